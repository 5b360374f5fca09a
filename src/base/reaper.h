/* SPDX-License-Identifier: MIT */
/*
 * The reaper: one thread per machine that runs what has to wait for a grace period.
 *
 * R1. run() is called on the reaper's thread, after a whole grace period that began after the push,
 *     under no lock and outside any read section. It may free its own fh_deferred.
 * R2. What one thread pushes runs in the order in which it was pushed; more generally, of two
 *     pushes of which one happened before the other, the first runs first.
 * R3. Pushing is lock-free, allocates nothing and may be done anywhere: inside read sections, under
 *     any lock, from run().
 * R4. Grace periods are shared by all that waits, and begin at least 0.2 ms apart while work keeps
 *     coming, unless somebody waits in fh_reaper_drain() or fh_reaper_throttle(); an idle reaper
 *     begins at once.
 */
#ifndef BASE_REAPER_H
#define BASE_REAPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <freehold/base.h>

struct fh_reaper;

/*
 * Embedded in what is going to be released. The caller sets run; all fields belong to the reaper
 * from the push until it calls run.
 */
struct fh_deferred {
	struct fh_deferred *next;                  /* private */
	void (*run)(struct fh_deferred *deferred); /* set before the push, never NULL */
	size_t bytes;                              /* private */
};

/* What may wait to be released before fh_reaper_over_limit() asks for patience. */
#define FH_REAPER_LIMIT_DEFAULT ((size_t)64 << 20)

/* Starts a reaper (owned by caller). NULL, with FH_EAGAIN in err, if no thread can be had. */
struct fh_reaper *fh_reaper_new(struct fh_error *err);

/*
 * Drains, ends the thread, frees (consumed) and returns NULL. Nobody pushes any more. Context: as
 * fh_reaper_drain(). NULL is permitted.
 */
struct fh_reaper *fh_reaper_destroy(struct fh_reaper *reaper);

/*
 * Has deferred->run(deferred) called after a grace period (R1-R3). deferred (consumed) must not be
 * queued already. bytes is what waits for it, roughly, its own storage included.
 */
void fh_reaper_defer(struct fh_reaper *reaper, struct fh_deferred *deferred, size_t bytes);

/*
 * Waits for a moment, after the call, at which nothing waited and everything pushed until then had
 * run, what runs had pushed included. Context: fh_thread_assert_may_wait(), not on a reaper's
 * thread, not while holding what a run() may want. Threads that never stop pushing can hold it up.
 */
void fh_reaper_drain(struct fh_reaper *reaper);

/* Asks for the next grace period to begin at once, without the nap of R4. From anywhere. */
void fh_reaper_flush_now(struct fh_reaper *reaper);

/* Bytes that are queued and have not been released. */
size_t fh_reaper_pending_bytes(const struct fh_reaper *reaper);

void fh_reaper_set_limit(struct fh_reaper *reaper, size_t bytes);

/* More than the limit waits. Two relaxed loads. */
bool fh_reaper_over_limit(const struct fh_reaper *reaper);

/* Waits until no more than the limit waits. Context: as fh_reaper_drain(). */
void fh_reaper_throttle(struct fh_reaper *reaper);

#endif
