/* SPDX-License-Identifier: MIT */
/*
 * The slow half of the lock, and why no wake-up is lost.
 *
 * A release is a plain store followed by a load of another word, without the full barrier that
 * would make the order of these two visible. The waiter pays for both sides with membarrier(2).
 *
 * Terms. The releaser executes, in this order,
 *	(a) owner = NULL, release		(b) look at waiters; not 0: FUTEX_WAKE of one.
 * The waiter executes, in this order,
 *	(c) waiters + 1				(d) membarrier, private expedited
 *	(e) exchange NULL in owner for itself; if that succeeds: waiters - 1, it owns the lock
 *	(f) FUTEX_WAIT on the low half of owner, expecting that of what (e) saw; back to (e).
 *
 * Definition. v is the value that some (e) saw, not NULL; T_0 the thread that stored it; a_0 T_0's
 * release that follows v in the modification order of owner; a_1, a_2 ... the later releases; b_i
 * and a_i are of one release.
 *
 * A. (membarrier) Between begin and return of (d) every other thread of the process passes a full
 *    memory barrier, at some point p of its own program order: what precedes p is visible to what
 *    the waiter does after (d), and what the waiter did before (d) is visible to what follows p. A
 *    thread that does not run passes one when it is switched out or in.
 * B. While a waiter is between (c) and its decrement, every b_i sees waiters > 0.
 *    Take the releaser of a_i and its p of A. If p precedes b_i, the (c) is visible to b_i. If p
 *    follows b_i, it follows a_i too, so every (e), being after (d), sees a_i or something later in
 *    the modification order; but (e) saw v, and v is before a_0, which is not after a_i:
 *    contradiction. B holds for each (e) of one waiter with its own v: one (d) is enough for all of
 *    its rounds.
 * C. A waiter does not sleep through a_i. FUTEX_WAIT compares and queues in one step under the lock
 *    of the kernel's hash bucket, FUTEX_WAKE scans under the same lock. By B each a_i is followed
 *    by a FUTEX_WAKE. If the scan comes after the waiter was queued, it finds the waiter, or
 *    another that is queued (D). If it comes before, then so does a_i, and the comparison sees
 *    NULL, whose low half nobody expects (thread.h R4), or a later owner. If that one's low half
 *    equals v's - the same thread again, or a neighbour 4 GiB away - the waiter sleeps on it
 *    rightly: it owns the lock now, and its release is some a_j with j > i, of which B and C hold
 *    again.
 * D. One woken per release is enough. The woken thread passes (e). If it succeeds, its own release
 *    wakes the next, as the others are still counted. If it fails, somebody owns the lock, whose
 *    release does. So the lock is never free for good while somebody sleeps.
 * E. Where membarrier is missing (user-mode emulators, old kernels), (f) sleeps for a millisecond
 *    at most: B may fail then, and the next (e) repairs it.
 * F. What the lock protects is ordered by (a), a release, and the successful (e) or the exchange of
 *    fh_lock_try_as(), an acquire, alone. waiters orders nothing: it is relaxed, and stale values
 *    cost a system call or are excluded by B.
 */
#include "base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	SPINS = 100, /* 1 to 4 us, as processors pause; a domain is mostly held for less */
	FALLBACK_SLEEP_NS = 1000000, /* rule E */
	LOSSES = 3, /* R4: one that was woken so often in vain starves */
	PAUSE_NS = 1000000, /* R4: most of the time a thread that was woken needs to run */
	NS_PER_S = 1000000000,
};

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

/* Executes (d). False where the kernel does not have it. */
static bool barrier_everywhere(void)
{
	/*
	 * Whether the process has registered its intent: 0 unknown, 1 yes, -1 the kernel cannot.
	 * Process-wide as the registration is. Relaxed: two threads may both register, harmlessly.
	 */
	static _Atomic int registered;
	int state = atomic_load_explicit(&registered, memory_order_relaxed);

	if (FH_UNLIKELY(state == 0)) {
		state = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 ? 1 : -1;
		atomic_store_explicit(&registered, state, memory_order_relaxed);
	}
	return state > 0 && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

/* The futex word: the low half of owner, as hosts are little-endian. Only for the kernel. */
static const _Atomic uint32_t *lock_word(const struct fh_lock *lock)
{
	return (const _Atomic uint32_t *)(const void *)&lock->owner;
}

/* Waits a little without sleeping. True if t owns the lock now. */
static bool lock_spin(struct fh_lock *lock, struct fh_thread *t) FH_NO_THREAD_SAFETY_ANALYSIS
{
	for (int i = 0; i < SPINS; i++) {
		if (!fh_lock_owner(lock) && fh_lock_try_as(lock, t))
			return true;
		cpu_relax();
	}
	return false;
}

/* Relaxed, as the whole of R4: a stale value costs a pause or spares one. */
static void lock_starve(struct fh_lock *lock)
{
	atomic_fetch_add_explicit(&lock->starving, 1, memory_order_relaxed);
}

static void lock_had_turn(struct fh_lock *lock)
{
	atomic_fetch_sub_explicit(&lock->starving, 1, memory_order_relaxed);
	fh_wake_word(&lock->starving, true);
}

/* @losses_left: until it starves; negative: never. */
static void acquire_slow(struct fh_lock *lock, struct fh_thread *t, int losses_left)
{
	const int saved_errno = errno;
	struct fh_thread *owner = NULL;
	int64_t timeout_ns;

	fh_assert(fh_lock_owner(lock) != t);
	if (lock_spin(lock, t))
		return;
	/* (c); relaxed, as (d) or rule E does the rest. */
	atomic_fetch_add_explicit(&lock->waiters, 1, memory_order_relaxed);
	FH_POINT("lock.counted");
	timeout_ns = barrier_everywhere() ? FH_WAIT_FOREVER : FALLBACK_SLEEP_NS;
	/* (e); acquire pairs with the release store of fh_lock_release_as(). */
	while (!atomic_compare_exchange_strong_explicit(&lock->owner, &owner, t,
							memory_order_acquire,
							memory_order_relaxed)) {
		FH_POINT("lock.before-sleep");
		fh_wait_word(lock_word(lock), (uint32_t)(uintptr_t)owner, timeout_ns);
		if (lock_spin(lock, t))
			break;
		owner = NULL;
		if (losses_left > 0 && --losses_left == 0)
			lock_starve(lock);
	}
	atomic_fetch_sub_explicit(&lock->waiters, 1, memory_order_relaxed);
	if (losses_left == 0)
		lock_had_turn(lock);
	errno = saved_errno;
}

void fh_lock_acquire_slow(struct fh_lock *lock, struct fh_thread *t)
{
	acquire_slow(lock, t, -1);
}

void fh_lock_acquire_turn(struct fh_lock *lock, struct fh_thread *t)
{
	acquire_slow(lock, t, LOSSES);
}

void fh_lock_wake(struct fh_lock *lock)
{
	fh_wake_word(lock_word(lock), false);
	const uint32_t starving = atomic_load_explicit(&lock->starving, memory_order_relaxed);

	if (starving == 0)
		return;
	FH_POINT("lock.pausing");
	fh_wait_word(&lock->starving, starving, PAUSE_NS);
}

bool fh_wait_word(const _Atomic uint32_t *word, uint32_t old, int64_t timeout_ns)
{
	const int saved_errno = errno;
	struct timespec timeout;
	bool in_time = true;

	if (timeout_ns >= 0) {
		timeout.tv_sec = timeout_ns / NS_PER_S;
		timeout.tv_nsec = timeout_ns % NS_PER_S;
	}
	if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, old, timeout_ns >= 0 ? &timeout : NULL,
		    NULL, 0) < 0)
		in_time = errno != ETIMEDOUT;
	errno = saved_errno;
	return in_time;
}

void fh_wake_word(const _Atomic uint32_t *word, bool all)
{
	const int saved_errno = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, all ? INT32_MAX : 1, NULL, NULL, 0);
	errno = saved_errno;
}

uint32_t fh_gate_enter(struct fh_gate *gate)
{
	/* Acquire: pairs with the release of an fh_gate_open() that came before, whose condition is
	 * then visible. Release: pairs with the acquire of one that comes after. */
	return atomic_fetch_or_explicit(&gate->word, 1, memory_order_acq_rel) | 1;
}

bool fh_gate_wait(struct fh_gate *gate, uint32_t key, int64_t timeout_ns)
{
	return fh_wait_word(&gate->word, key, timeout_ns);
}

void fh_gate_open(struct fh_gate *gate)
{
	uint32_t old = atomic_load_explicit(&gate->word, memory_order_relaxed);
	uint32_t opened;

	/*
	 * Stores the same value again if nobody waits: it must be a modification, so that the
	 * waiter's comes before or after it. Release pairs with the acquire of fh_gate_enter().
	 */
	do {
		opened = old & 1 ? (old + 2) & ~UINT32_C(1) : old;
	} while (!atomic_compare_exchange_weak_explicit(&gate->word, &old, opened,
							memory_order_acq_rel,
							memory_order_relaxed));
	if (old & 1)
		fh_wake_word(&gate->word, true);
}
