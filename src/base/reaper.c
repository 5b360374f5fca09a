/* SPDX-License-Identifier: MIT */
/*
 * The reaper. See reaper.h for R1-R4.
 *
 * What waits is a stack that is only ever pushed to and taken whole, so that it knows no ABA; the
 * reaper turns it round to keep the order of pushes.
 *
 * I1. head is NULL (the reaper is awake, nothing waits), asleep (nothing waits, everything pushed
 *     before has run and the reaper sleeps or is about to), or the newest of what waits. Only the
 *     pusher that replaces asleep wakes the reaper: one system call for each time it slept.
 * I2. head goes from NULL to asleep only after everything taken before has run. So who sees asleep
 *     knows that every push that happened before that look has run.
 * I3. Each change to asleep is counted in sleeps, after it was made. Two counts that begin after
 *     some moment mean that the second change was made after it.
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
static void reaper_rouse(struct fh_reaper *reaper)
{
	atomic_fetch_add_explicit(&reaper->wake, 1, memory_order_release);
	fh_wake_word(&reaper->wake, false);
}

/* ---- the reaper's thread ---- */

/* Sleeps until something is pushed. False when it is to end instead. */
static bool reaper_sleep(struct fh_reaper *reaper)
{
	struct fh_deferred *head = NULL;
	uint32_t key;

	/* Release, for I2 and I4: pairs with the acquire load of head in fh_reaper_drain(). */
	if (!atomic_compare_exchange_strong_explicit(&reaper->head, &head, &reaper->asleep,
						     memory_order_release, memory_order_relaxed))
		return true;
	FH_POINT("reaper.asleep");
	/* Release pairs with the acquire loads of sleeps in fh_reaper_drain(). */
	atomic_fetch_add_explicit(&reaper->sleeps, 1, memory_order_release);
	fh_gate_open(&reaper->progress);
	for (;;) {
		key = atomic_load_explicit(&reaper->wake, memory_order_acquire);
		if (atomic_load_explicit(&reaper->head, memory_order_relaxed) != &reaper->asleep)
			return true;
		if (atomic_load_explicit(&reaper->stop, memory_order_relaxed))
			return false;
		FH_POINT("reaper.before-sleep");
		fh_wait_word(&reaper->wake, key, FH_WAIT_FOREVER);
	}
}

/* Keeps grace periods apart (R4). began is when the last one did. */
static void reaper_nap(struct fh_reaper *reaper, int64_t began)
{
	for (;;) {
		uint32_t key = atomic_load_explicit(&reaper->wake, memory_order_acquire);
		int64_t left_ns = began + NAP_NS - now_ns();

		if (left_ns <= 0 || atomic_load_explicit(&reaper->hurry, memory_order_relaxed) ||
		    atomic_load_explicit(&reaper->flush, memory_order_relaxed))
			break;
		fh_wait_word(&reaper->wake, key, left_ns);
	}
	atomic_store_explicit(&reaper->flush, false, memory_order_relaxed);
}

/* Takes all that waits, oldest first. */
static struct fh_deferred *reaper_take(struct fh_reaper *reaper)
{
	/* Acquire: pairs with the release of every push, for all are one release sequence. */
	struct fh_deferred *newest =
		atomic_exchange_explicit(&reaper->head, NULL, memory_order_acquire);
	struct fh_deferred *oldest = NULL;

	while (newest) {
		struct fh_deferred *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

static void reaper_report(struct fh_reaper *reaper, size_t released)
{
	/* Relaxed: a number to compare with a limit. Those who wait for it go through the gate. */
	atomic_fetch_sub_explicit(&reaper->pending, released, memory_order_relaxed);
	fh_gate_open(&reaper->progress);
}

static void reaper_run(struct fh_reaper *reaper, struct fh_deferred *list, struct fh_thread *t)
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
			reaper_report(reaper, released);
			released = 0;
		}
	}
	reaper_report(reaper, released);
}

static void *reaper_main(void *arg)
{
	struct fh_reaper *reaper = arg;
	struct fh_thread *t = fh_thread_self();
	int64_t began = now_ns() - NAP_NS;
	struct fh_deferred *list;

	t->is_reaper = true;
	pthread_setname_np(pthread_self(), "fh-reaper");
	while (atomic_load_explicit(&reaper->head, memory_order_relaxed) || reaper_sleep(reaper)) {
		reaper_nap(reaper, began);
		began = now_ns();
		list = reaper_take(reaper);
		FH_POINT("reaper.taken");
		fh_rcu_synchronize();
		FH_POINT("reaper.grace-over");
		reaper_run(reaper, list, t);
	}
	return NULL;
}

/* ---- any thread ---- */

struct fh_reaper *fh_reaper_new(struct fh_error *err)
{
	struct fh_reaper *reaper;
	sigset_t all;
	sigset_t before;
	int failed;

	if (fh_thread_prepare(err) != FH_OK)
		return NULL;
	reaper = fh_zalloc_aligned(sizeof(*reaper), _Alignof(struct fh_reaper));
	atomic_store_explicit(&reaper->limit, FH_REAPER_LIMIT_DEFAULT, memory_order_relaxed);
	fh_gate_init(&reaper->progress);
	/* The thread inherits the mask: no handler of the embedder ever runs on it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&reaper->thread, NULL, reaper_main, reaper);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed) {
		errno = failed;
		fh_error_set(err, FH_EAGAIN, "the host has no thread for a machine: %m");
		fh_free(reaper);
		return NULL;
	}
	return reaper;
}

struct fh_reaper *fh_reaper_destroy(struct fh_reaper *reaper)
{
	if (!reaper)
		return NULL;
	fh_reaper_drain(reaper);
	atomic_store_explicit(&reaper->stop, true, memory_order_relaxed);
	reaper_rouse(reaper);
	fh_assert(pthread_join(reaper->thread, NULL) == 0);
	fh_assert(atomic_load_explicit(&reaper->head, memory_order_relaxed) == &reaper->asleep);
	fh_free(reaper);
	return NULL;
}

void fh_reaper_defer(struct fh_reaper *reaper, struct fh_deferred *deferred, size_t bytes)
{
	struct fh_deferred *head;

	fh_assert(deferred->run != NULL);
	deferred->bytes = bytes;
	/* Relaxed: the push that follows publishes it to the reaper, which alone subtracts (I4). */
	atomic_fetch_add_explicit(&reaper->pending, bytes, memory_order_relaxed);
	head = atomic_load_explicit(&reaper->head, memory_order_relaxed);
	do {
		deferred->next = head == &reaper->asleep ? NULL : head;
		/* Release: pairs with the acquire of reaper_take(). */
	} while (!atomic_compare_exchange_weak_explicit(&reaper->head, &head, deferred,
							memory_order_release,
							memory_order_relaxed));
	if (FH_UNLIKELY(head == &reaper->asleep))
		reaper_rouse(reaper);
}

void fh_reaper_flush_now(struct fh_reaper *reaper)
{
	atomic_store_explicit(&reaper->flush, true, memory_order_relaxed);
	reaper_rouse(reaper);
}

static void assert_may_wait(void)
{
	const struct fh_thread *t = fh_thread_self();

	fh_thread_assert_may_wait(t);
	fh_assert(!t->is_reaper);
}

static void reaper_hurry_begin(struct fh_reaper *reaper)
{
	atomic_fetch_add_explicit(&reaper->hurry, 1, memory_order_relaxed);
	reaper_rouse(reaper);
}

static void reaper_hurry_end(struct fh_reaper *reaper)
{
	atomic_fetch_sub_explicit(&reaper->hurry, 1, memory_order_relaxed);
}

/* Nothing waits at this moment, or nothing did at some moment since sleeps was first (I2, I3). */
static bool reaper_was_empty(const struct fh_reaper *reaper, uint32_t first)
{
	/* Acquire, both: pair with the releases in reaper_sleep(). What ran is visible. */
	return atomic_load_explicit(&reaper->head, memory_order_acquire) == &reaper->asleep ||
	       atomic_load_explicit(&reaper->sleeps, memory_order_acquire) - first >= 2;
}

void fh_reaper_drain(struct fh_reaper *reaper)
{
	const uint32_t first = atomic_load_explicit(&reaper->sleeps, memory_order_acquire);

	assert_may_wait();
	if (reaper_was_empty(reaper, first))
		return;
	reaper_hurry_begin(reaper);
	for (;;) {
		uint32_t key = fh_gate_enter(&reaper->progress);

		if (reaper_was_empty(reaper, first))
			break;
		fh_gate_wait(&reaper->progress, key, FH_WAIT_FOREVER);
	}
	reaper_hurry_end(reaper);
}

size_t fh_reaper_pending_bytes(const struct fh_reaper *reaper)
{
	return atomic_load_explicit(&reaper->pending, memory_order_relaxed);
}

void fh_reaper_set_limit(struct fh_reaper *reaper, size_t bytes)
{
	atomic_store_explicit(&reaper->limit, bytes, memory_order_relaxed);
	fh_gate_open(&reaper->progress);
}

bool fh_reaper_over_limit(const struct fh_reaper *reaper)
{
	return fh_reaper_pending_bytes(reaper) >
	       atomic_load_explicit(&reaper->limit, memory_order_relaxed);
}

void fh_reaper_throttle(struct fh_reaper *reaper)
{
	assert_may_wait();
	if (FH_LIKELY(!fh_reaper_over_limit(reaper)))
		return;
	reaper_hurry_begin(reaper);
	for (;;) {
		uint32_t key = fh_gate_enter(&reaper->progress);

		if (!fh_reaper_over_limit(reaper))
			break;
		fh_gate_wait(&reaper->progress, key, FH_WAIT_FOREVER);
	}
	reaper_hurry_end(reaper);
}
