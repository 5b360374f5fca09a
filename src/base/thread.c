/* SPDX-License-Identifier: MIT */
/*
 * The life of a thread's block. See thread.h for R1-R4.
 *
 * The key is process-wide, like the registry of readers in liburcu: a thread is no machine's. Its
 * destructor lies in this library, which must therefore stay loaded while a thread runs that used
 * it: a shared library is to be linked with -z nodelete.
 */
#include "base/thread.h"

#include <pthread.h>

#include "base/alloc.h"

_Thread_local struct fh_thread *fh_thread_current;

static pthread_key_t thread_key;
static pthread_mutex_t thread_key_lock = PTHREAD_MUTEX_INITIALIZER;
static bool thread_key_made; /* under its lock */

/* The destructor of the key. If a later one calls fh_thread_self(), the key is set again and glibc
 * comes round once more (R2). */
static void thread_end(void *ptr)
{
	struct fh_thread *t = ptr;

	fh_assert(t == fh_thread_current);
	fh_thread_assert_may_wait(t);
	fh_assert(t->held[FH_HELD_CONTROL] == 0);
	fh_assert(t->chain == NULL);
	fh_assert(t->handed == NULL && !t->blocking);
	if (t->lookaside) {
		fh_assert(t->lookaside_free != NULL);
		t->lookaside_free(t->lookaside);
	}
	fh_thread_current = NULL;
	fh_free(t);
}

/* False: the process has no key left at this moment. */
static bool thread_key_make(void)
{
	bool made;

	pthread_mutex_lock(&thread_key_lock);
	if (!thread_key_made)
		thread_key_made = pthread_key_create(&thread_key, thread_end) == 0;
	made = thread_key_made;
	pthread_mutex_unlock(&thread_key_lock);
	return made;
}

enum fh_code fh_thread_prepare(struct fh_error *err)
{
	if (thread_key_make())
		return FH_OK;
	return fh_error_set(err, FH_EAGAIN, "the process has no thread-specific key left");
}

/* A block whose address has a low half that is not zero (R4): one in 2^26 is passed over. */
static struct fh_thread *thread_alloc(void)
{
	struct fh_thread *t = fh_zalloc_aligned(sizeof(*t), _Alignof(struct fh_thread));
	struct fh_thread *other;

	if (FH_LIKELY((uint32_t)(uintptr_t)t != 0))
		return t;
	other = fh_zalloc_aligned(sizeof(*t), _Alignof(struct fh_thread));
	fh_free(t);
	return other;
}

struct fh_thread *fh_thread_new(void)
{
	struct fh_thread *t;

	fh_assert(thread_key_make());
	t = thread_alloc();
	if (pthread_setspecific(thread_key, t) != 0)
		fh_out_of_memory(sizeof(*t));
	fh_thread_current = t;
	return t;
}
