/* SPDX-License-Identifier: MIT */
/*
 * The reaper. See reaper.h for R1-R4.
 *
 * What waits is a stack that is only ever pushed to and taken whole, so that it knows no ABA; the
 * reaper turns it round to keep the order of pushes.
 *
 * I1. head is NULL (the reaper is awake, nothing waits), asleep (nothing waits, everything pushed before
 *     has run and the reaper sleeps or is about to), or the newest of what waits. Only the pusher
 *     that replaces asleep wakes the reaper: one system call for each time it slept.
 * I2. head goes from NULL to asleep only after everything taken before has run. So who sees asleep
 *     knows that every push that happened before that look has run.
 * I3. Each change to asleep is counted in sleeps, after it was made. Two counts that begin after some
 *     moment mean that the second change was made after it.
 * I4. pending is added to before the push and subtracted from after the run, before head changes to
 *     asleep: it is never too small, and exact when the reaper sleeps.
 */
#include "base/reaper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/point.h"
#include "base/rcu.h"
#include "base/thread.h"

enum {
	NAP_NS = 200000,      /* the least distance between the beginnings of two grace periods */
	REPORT_EVERY = 64,    /* runs between two updates of pending */
	CACHE_LINE = 64,
};

struct fh_reaper {
	/* Written by every push, and by the reaper. */
	_Alignas(CACHE_LINE) _Atomic(struct fh_deferred *) head; /* I1 */
	_Atomic size_t pending;                                  /* I4 */

	/* Written now and then. */
	_Alignas(CACHE_LINE) _Atomic size_t limit;
	_Atomic uint32_t wake;   /* changes to end a sleep or a nap; the reaper's futex word */
	_Atomic uint32_t hurry;  /* threads in drain or throttle: no naps */
	_Atomic bool flush;      /* no nap before the next grace period */
	_Atomic bool stop;       /* ends the thread when it would sleep */
	_Atomic uint32_t sleeps; /* I3 */
	struct fh_gate progress; /* opened when pending or sleeps has changed */

	struct fh_deferred asleep; /* only its address counts (I1) */
	pthread_t thread;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Ends the reaper's sleep or nap. Release pairs with the acquire loads of wake in the reaper: what
 * was stored before is seen by who sees the new value. */
static void reaper_rouse(struct fh_reaper *r)
{
	atomic_fetch_add_explicit(&r->wake, 1, memory_order_release);
	fh_wake_word(&r->wake, false);
}

/* ---- the reaper's thread ---- */

/* Sleeps until something is pushed. False when it is to end instead. */
static bool reaper_sleep(struct fh_reaper *r)
{
	struct fh_deferred *head = NULL;
	uint32_t key;

	/* Release, for I2 and I4: pairs with the acquire load of head in fh_reaper_drain(). */
	if (!atomic_compare_exchange_strong_explicit(&r->head, &head, &r->asleep,
						     memory_order_release, memory_order_relaxed))
		return true;
	FH_POINT("reaper.asleep");
	/* Release pairs with the acquire loads of sleeps in fh_reaper_drain(). */
	atomic_fetch_add_explicit(&r->sleeps, 1, memory_order_release);
	fh_gate_open(&r->progress);
	for (;;) {
		key = atomic_load_explicit(&r->wake, memory_order_acquire);
		if (atomic_load_explicit(&r->head, memory_order_relaxed) != &r->asleep)
			return true;
		if (atomic_load_explicit(&r->stop, memory_order_relaxed))
			return false;
		FH_POINT("reaper.before-sleep");
		fh_wait_word(&r->wake, key, FH_WAIT_FOREVER);
	}
}

/* Keeps grace periods apart (R4). began is when the last one did. */
static void reaper_nap(struct fh_reaper *r, int64_t began)
{
	for (;;) {
		uint32_t key = atomic_load_explicit(&r->wake, memory_order_acquire);
		int64_t left_ns = began + NAP_NS - now_ns();

		if (left_ns <= 0 || atomic_load_explicit(&r->hurry, memory_order_relaxed) ||
		    atomic_load_explicit(&r->flush, memory_order_relaxed))
			break;
		fh_wait_word(&r->wake, key, left_ns);
	}
	atomic_store_explicit(&r->flush, false, memory_order_relaxed);
}

/* Takes all that waits, oldest first. */
static struct fh_deferred *reaper_take(struct fh_reaper *r)
{
	/* Acquire: pairs with the release of every push, all of which are in one release sequence. */
	struct fh_deferred *newest =
		atomic_exchange_explicit(&r->head, NULL, memory_order_acquire);
	struct fh_deferred *oldest = NULL;

	while (newest) {
		struct fh_deferred *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

static void reaper_report(struct fh_reaper *r, size_t released)
{
	/* Relaxed: a number to compare with a limit. Those who wait for it go through the gate. */
	atomic_fetch_sub_explicit(&r->pending, released, memory_order_relaxed);
	fh_gate_open(&r->progress);
}

static void reaper_run(struct fh_reaper *r, struct fh_deferred *list, struct fh_thread *t)
{
	size_t released = 0;

	for (unsigned count = 1; list; count++) {
		struct fh_deferred *next = list->next;

		released += list->bytes;
		list->run(list);
		/* A run that forgot to leave a section would stop all reclamation for good. */
		fh_thread_assert_may_wait(t);
		list = next;
		if (count % REPORT_EVERY == 0) {
			reaper_report(r, released);
			released = 0;
		}
	}
	reaper_report(r, released);
}

static void *reaper_main(void *arg)
{
	struct fh_reaper *r = arg;
	struct fh_thread *t = fh_thread_self();
	int64_t began = now_ns() - NAP_NS;
	struct fh_deferred *list;

	t->is_reaper = true;
	pthread_setname_np(pthread_self(), "fh-reaper");
	while (atomic_load_explicit(&r->head, memory_order_relaxed) || reaper_sleep(r)) {
		reaper_nap(r, began);
		began = now_ns();
		list = reaper_take(r);
		FH_POINT("reaper.taken");
		fh_rcu_synchronize();
		FH_POINT("reaper.grace-over");
		reaper_run(r, list, t);
	}
	return NULL;
}

/* ---- any thread ---- */

struct fh_reaper *fh_reaper_new(struct fh_error *err)
{
	struct fh_reaper *r = fh_zalloc_aligned(sizeof(*r), _Alignof(struct fh_reaper));
	sigset_t all;
	sigset_t before;
	int failed;

	atomic_store_explicit(&r->limit, FH_REAPER_LIMIT_DEFAULT, memory_order_relaxed);
	fh_gate_init(&r->progress);
	/* The thread inherits the mask: no handler of the embedder ever runs on it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&r->thread, NULL, reaper_main, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed) {
		errno = failed;
		fh_error_set(err, FH_EAGAIN, "cannot start the reaper's thread: %m");
		fh_free(r);
		return NULL;
	}
	return r;
}

struct fh_reaper *fh_reaper_destroy(struct fh_reaper *r)
{
	if (!r)
		return NULL;
	fh_reaper_drain(r);
	atomic_store_explicit(&r->stop, true, memory_order_relaxed);
	reaper_rouse(r);
	fh_assert(pthread_join(r->thread, NULL) == 0);
	fh_assert(atomic_load_explicit(&r->head, memory_order_relaxed) == &r->asleep);
	fh_free(r);
	return NULL;
}

void fh_reaper_defer(struct fh_reaper *r, struct fh_deferred *deferred, size_t bytes)
{
	struct fh_deferred *head;

	fh_assert(deferred->run != NULL);
	deferred->bytes = bytes;
	/* Relaxed: the push that follows publishes it to the reaper, which alone subtracts (I4). */
	atomic_fetch_add_explicit(&r->pending, bytes, memory_order_relaxed);
	head = atomic_load_explicit(&r->head, memory_order_relaxed);
	do {
		deferred->next = head == &r->asleep ? NULL : head;
		/* Release: pairs with the acquire of reaper_take(). */
	} while (!atomic_compare_exchange_weak_explicit(&r->head, &head, deferred,
							memory_order_release,
							memory_order_relaxed));
	if (FH_UNLIKELY(head == &r->asleep))
		reaper_rouse(r);
}

void fh_reaper_flush_now(struct fh_reaper *r)
{
	atomic_store_explicit(&r->flush, true, memory_order_relaxed);
	reaper_rouse(r);
}

static void assert_may_wait(void)
{
	const struct fh_thread *t = fh_thread_self();

	fh_thread_assert_may_wait(t);
	fh_assert(!t->is_reaper);
}

static void reaper_hurry_begin(struct fh_reaper *r)
{
	atomic_fetch_add_explicit(&r->hurry, 1, memory_order_relaxed);
	reaper_rouse(r);
}

static void reaper_hurry_end(struct fh_reaper *r)
{
	atomic_fetch_sub_explicit(&r->hurry, 1, memory_order_relaxed);
}

/* Nothing waits at this moment, or nothing did at some moment since sleeps was first (I2, I3). */
static bool reaper_was_empty(const struct fh_reaper *r, uint32_t first)
{
	/* Acquire, both: pair with the releases in reaper_sleep(). What ran is visible. */
	return atomic_load_explicit(&r->head, memory_order_acquire) == &r->asleep ||
	       atomic_load_explicit(&r->sleeps, memory_order_acquire) - first >= 2;
}

void fh_reaper_drain(struct fh_reaper *r)
{
	const uint32_t first = atomic_load_explicit(&r->sleeps, memory_order_acquire);

	assert_may_wait();
	if (reaper_was_empty(r, first))
		return;
	reaper_hurry_begin(r);
	for (;;) {
		uint32_t key = fh_gate_enter(&r->progress);

		if (reaper_was_empty(r, first))
			break;
		fh_gate_wait(&r->progress, key, FH_WAIT_FOREVER);
	}
	reaper_hurry_end(r);
}

size_t fh_reaper_pending_bytes(const struct fh_reaper *r)
{
	return atomic_load_explicit(&r->pending, memory_order_relaxed);
}

void fh_reaper_set_limit(struct fh_reaper *r, size_t bytes)
{
	atomic_store_explicit(&r->limit, bytes, memory_order_relaxed);
	fh_gate_open(&r->progress);
}

bool fh_reaper_over_limit(const struct fh_reaper *r)
{
	return fh_reaper_pending_bytes(r) >
	       atomic_load_explicit(&r->limit, memory_order_relaxed);
}

void fh_reaper_throttle(struct fh_reaper *r)
{
	assert_may_wait();
	if (FH_LIKELY(!fh_reaper_over_limit(r)))
		return;
	reaper_hurry_begin(r);
	for (;;) {
		uint32_t key = fh_gate_enter(&r->progress);

		if (!fh_reaper_over_limit(r))
			break;
		fh_gate_wait(&r->progress, key, FH_WAIT_FOREVER);
	}
	reaper_hurry_end(r);
}
