/* SPDX-License-Identifier: MIT */
/*
 * A mutual-exclusion lock that costs one locked operation for a pair, and the waiting beneath it.
 *
 * It exists because a device's domain is taken for every access to its registers, mostly without
 * contention, and because a wait for a domain has to know who owns it. lock.c proves it.
 *
 * R1. Not recursive: taking a lock that the thread owns is an assertion. Only the owner releases.
 * R2. The releaser looks at the lock once more after others can have it. Its memory may therefore
 *     go only when every release has returned: after a grace period if locks are released inside
 *     read sections, or after the threads that use it were joined.
 * R3. All zero is a lock that is free.
 * R4. Whoever comes first gets it, also who has just released it. A waiter that asked for its turn
 *     and lost the lock a few times makes those who release it pause until it has it, or a while
 *     has passed: the pause waits for nothing, so that it can close no circle.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "base/assert.h"
#include "base/point.h"
#include "base/thread.h"

struct FH_CAPABILITY("mutex") fh_lock {
	_Atomic(struct fh_thread *) owner; /* NULL: free. Its low half is the futex word. */
	_Atomic uint32_t waiters;          /* threads that are, or are about to be, asleep */
	_Atomic uint32_t starving;         /* of these, those for whom others pause (R4) */
};

static inline void fh_lock_init(struct fh_lock *lock)
{
	atomic_store_explicit(&lock->owner, NULL, memory_order_relaxed);
	atomic_store_explicit(&lock->waiters, 0, memory_order_relaxed);
	atomic_store_explicit(&lock->starving, 0, memory_order_relaxed);
}

/* Spins, then sleeps; returns when t owns the lock. */
void fh_lock_acquire_slow(struct fh_lock *lock, struct fh_thread *t) __attribute__((noinline));

/* The same, with its turn in the end (R4): for what others hold for long and take again at once. */
void fh_lock_acquire_turn(struct fh_lock *lock, struct fh_thread *t) __attribute__((noinline));

/* Wakes one sleeper, and pauses if one is starving. */
void fh_lock_wake(struct fh_lock *lock) __attribute__((cold, noinline));

/* Who owns the lock at this moment (borrowed), NULL if nobody. Stable only if it is the caller. */
static inline struct fh_thread *fh_lock_owner(const struct fh_lock *lock)
{
	return atomic_load_explicit(&lock->owner, memory_order_relaxed);
}

/*
 * As the functions below, for the hot path, whose caller has its thread block t at hand. That t is
 * the caller's own, and owns what it releases, is checked in the tests' build only.
 */
static inline bool fh_lock_try_as(struct fh_lock *lock, struct fh_thread *t)
	FH_TRY_ACQUIRE(true, lock) FH_NO_THREAD_SAFETY_ANALYSIS
{
	struct fh_thread *owner = NULL;

	/* Acquire: pairs with the release store of fh_lock_release_as(). */
	return atomic_compare_exchange_strong_explicit(&lock->owner, &owner, t,
						       memory_order_acquire,
						       memory_order_relaxed);
}

static inline void fh_lock_acquire_as(struct fh_lock *lock, struct fh_thread *t)
	FH_ACQUIRE(lock) FH_NO_THREAD_SAFETY_ANALYSIS
{
	if (FH_UNLIKELY(!fh_lock_try_as(lock, t)))
		fh_lock_acquire_slow(lock, t);
}

static inline void fh_lock_release_as(struct fh_lock *lock, struct fh_thread *t)
	FH_RELEASE(lock) FH_NO_THREAD_SAFETY_ANALYSIS
{
#ifdef FH_POINTS
	/* Only in the tests' build: to look at the owner costs a quarter of the pair. */
	fh_assert(fh_lock_owner(lock) == t);
#else
	(void)t;
#endif
	/* Release: pairs with the acquiring exchange of fh_lock_try_as(). */
	atomic_store_explicit(&lock->owner, NULL, memory_order_release);
	/* The compiler keeps the order of this store and the next load; lock.c does the rest. */
	atomic_signal_fence(memory_order_seq_cst);
	FH_POINT("lock.released");
	if (FH_UNLIKELY(atomic_load_explicit(&lock->waiters, memory_order_relaxed) != 0))
		fh_lock_wake(lock);
}

/* Takes the lock, waiting as long as it takes. */
static inline void fh_lock_acquire(struct fh_lock *lock) FH_ACQUIRE(lock)
{
	fh_lock_acquire_as(lock, fh_thread_self());
}

/* Takes the lock if that needs no waiting. False if it is owned, also by the caller. */
static inline bool fh_lock_try(struct fh_lock *lock) FH_TRY_ACQUIRE(true, lock)
{
	return fh_lock_try_as(lock, fh_thread_self());
}

static inline bool fh_lock_held_by_me(const struct fh_lock *lock)
{
	return fh_lock_owner(lock) == fh_thread_self();
}

static inline void fh_lock_release(struct fh_lock *lock) FH_RELEASE(lock)
{
	fh_assert(fh_lock_held_by_me(lock));
	fh_lock_release_as(lock, fh_thread_self());
}

/* Waits for ever. */
#define FH_WAIT_FOREVER INT64_C(-1)

/*
 * Sleeps while *word is old, until fh_wake_word() or until timeout_ns have passed. Also returns now
 * and then without a reason: the caller looks again. False if the time was up.
 */
bool fh_wait_word(const _Atomic uint32_t *word, uint32_t old, int64_t timeout_ns);

/* Wakes one sleeper of the word, or all. Touches no memory: the word may be gone already. */
void fh_wake_word(const _Atomic uint32_t *word, bool all);

/*
 * A gate: threads wait at it until a condition holds that others change.
 *
 *	for (;;) {                                          changer:
 *		key = fh_gate_enter(gate);                      condition = true;
 *		if (condition)                                  fh_gate_open(gate);
 *			break;
 *		fh_gate_wait(gate, key, FH_WAIT_FOREVER);
 *	}
 *
 * Bit 0 says that somebody may wait, the other bits count the openings that somebody waited for.
 * Both sides modify the same word, so one of them comes after the other: either the waiter sees the
 * condition or the changer sees the waiter. The condition may be relaxed atomics.
 */
struct fh_gate {
	_Atomic uint32_t word;
};

static inline void fh_gate_init(struct fh_gate *gate)
{
	atomic_store_explicit(&gate->word, 0, memory_order_relaxed);
}

/* Announces a waiter; the condition is looked at afterwards. */
uint32_t fh_gate_enter(struct fh_gate *gate);

/* Sleeps unless the gate was opened since fh_gate_enter() gave key. False if the time was up. */
bool fh_gate_wait(struct fh_gate *gate, uint32_t key, int64_t timeout_ns);

/* Wakes everybody who waits; one locked operation if nobody does. */
void fh_gate_open(struct fh_gate *gate);

#endif
