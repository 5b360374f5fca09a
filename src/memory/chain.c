/* SPDX-License-Identifier: MIT */
/*
 * The rare half of the chain: refusals, waits, callbacks that block. See chain.h for R1 to R7.
 *
 * Why waits never close a circle, and why only a wait that would close one is refused.
 *
 * Terms. A thread *holds* a domain from the exchange that stores it in the lock's owner to the
 * store that clears it. A thread that holds one and has to wait for another *registers*: under
 * the machine's wait lock it walks D -> holder of D -> domain that this one is registered for ->
 * its holder ..., and, unless the walk comes back to itself, puts a struct fh_wait, which lies on
 * its stack, into the list. It takes it out, under the same lock, when it holds what it waited
 * for. A thread that holds nothing does not register: nobody waits for it.
 *
 * A. A thread that is in the list does not release any domain, as it does nothing but wait. It
 *    may acquire one: that which it is registered for.
 * B. No block of a thread is looked into. The walk reads an owner as a mere number and searches
 *    for it in the list, which holds threads that exist. If it is there, it is that thread and
 *    not a dead one whose block lay at the same address: the dead one's release of the domain,
 *    the free of its block, the allocation of the new one, its registration and this walk
 *    happened in this order, so that the walk reads that release or something later.
 * C. No circle of waits is missed. In a circle, let T be the thread that registered last, D_1
 *    what T waits for, T_1 its holder, D_2 what that one waits for, and so on until T_n holds
 *    what T_n-1 waits for and waits for something that T holds. Each T_i acquired D_i before it
 *    registered, and that before T did; the wait lock orders these. So T's walk reads each of
 *    these owners (they have released nothing since, by A), finds each of these waits, and ends
 *    at T.
 * D. No other wait is refused. Suppose the walk went from D_1 to T_1 to D_2 ... to T_n, which is
 *    registered for something that T holds. Each T_i was in the list during the whole walk (the
 *    lock is held) and held D_i at some moment of it; by A it held D_i from then on. T_i is not
 *    the holder of D_i+1 (the walk stops there, see E), nor can it become so during the walk:
 *    T_i+1 holds it. So at the end of the walk the circle would be real.
 * E. A thread in the list that holds the domain it is registered for has ceased to wait and has
 *    not taken itself out yet. It is about to run, and so waits for nothing.
 * F. A walk ends. By C and D those in the list form no circle among themselves, apart from E.
 * G. What was handed over (R6) is not waited for by its holder, and is given back before the
 *    holder registers.
 *
 * Waiters hold no wait lock while they sleep, and take it for the length of the list only.
 */
#include "memory/chain.h"

/* A registered wait; on the waiter's stack. */
struct fh_wait {
	struct fh_wait *next;
	struct fh_thread *thread;
	struct fh_domain *domain;
};

enum {
	SPINS = 60, /* in the section, before a wait that leaves it: about 1 us */
};

/* --- Counting ------------------------------------------------------------------------------- */

/* R3: every frame that is not counted yet. Those above a counted one are. In the section. */
static void chain_count(struct fh_thread *t)
{
	for (struct fh_frame *frame = t->chain; frame && !frame->counted; frame = frame->up) {
		fh_object_hold(frame->owner);
		if (frame->target != frame->owner)
			fh_object_hold(frame->target);
		/*
		 * Relaxed: the section is left after it, and a drain looks only when its grace
		 * period, which waits for that, is over.
		 */
		atomic_fetch_add_explicit(&frame->owner->blocked, 1, memory_order_relaxed);
		frame->counted = true;
	}
}

void fh_chain_uncount(struct fh_frame *frame)
{
	struct fh_object *owner = frame->owner;
	struct fh_object *target = frame->target;

	fh_assert(!frame->blocking);
	/*
	 * Release: what the callback did precedes what the drain lets happen; it looks with
	 * acquire.
	 */
	const uint32_t blocked =
		atomic_fetch_sub_explicit(&owner->blocked, 1, memory_order_acq_rel);

	fh_assert(blocked != 0);
	if (blocked == 1)
		fh_gate_open(&owner->machine->drained);
	if (target != owner)
		fh_object_unhold(target);
	fh_object_unhold(owner);
}

/* Counts, and leaves the section because the thread is going to block. Returns its depth. */
static unsigned chain_leave_section(struct fh_thread *t)
{
	chain_count(t);
	FH_POINT("chain.blocked");
	const unsigned depth = fh_rcu_leave(t);

	t->left++;
	FH_POINT("chain.left");
	return depth;
}

static void chain_resume_section(struct fh_thread *t, unsigned depth)
{
	fh_rcu_resume(t, depth);
	FH_POINT("chain.resumed");
}

/* --- Waiting for a domain ------------------------------------------------------------------- */

/* Rule B. Wait lock held. */
static const struct fh_wait *wait_of(const struct fh_machine *m, const struct fh_thread *thread)
{
	const struct fh_wait *wait = m->waits;

	while (wait && wait->thread != thread)
		wait = wait->next;
	return wait;
}

/* Whether t, waiting for domain, would wait for itself. Wait lock held. */
static bool wait_closes_circle(const struct fh_machine *m, const struct fh_thread *t,
			       const struct fh_domain *domain)
{
	for (;;) {
		/* Relaxed: the wait lock orders what matters (C). */
		const struct fh_thread *owner = fh_lock_owner(&domain->lock);
		const struct fh_wait *wait;

		if (owner == t)
			return true;
		wait = owner ? wait_of(m, owner) : NULL;
		if (!wait || wait->domain == domain) /* E */
			return false;
		domain = wait->domain;
	}
}

/* False: the wait is refused. */
static bool wait_register(struct fh_machine *m, struct fh_wait *wait)
{
	bool circle;

	fh_lock_acquire_as(&m->wait_lock, wait->thread);
	FH_POINT("chain.test-circle");
	circle = wait_closes_circle(m, wait->thread, wait->domain);
	if (!circle) {
		wait->next = m->waits;
		m->waits = wait;
	}
	fh_lock_release_as(&m->wait_lock, wait->thread);
	return !circle;
}

static void wait_unregister(struct fh_machine *m, struct fh_wait *wait)
{
	struct fh_wait **link = &m->waits;

	fh_lock_acquire_as(&m->wait_lock, wait->thread);
	while (*link != wait)
		link = &(*link)->next;
	*link = wait->next;
	fh_lock_release_as(&m->wait_lock, wait->thread);
}

/* R7: the chain holds a domain for an owner of another machine. */
static bool chain_is_foreign(const struct fh_thread *t, const struct fh_machine *m)
{
	for (const struct fh_frame *frame = t->chain; frame; frame = frame->up) {
		if (frame->domain && frame->owner->machine != m)
			return true;
	}
	return false;
}

/*
 * Waits for the domain outside the section and hands it over (R6). The target, and through it the
 * domain, is pinned meanwhile; afterwards the new section keeps both.
 */
static enum fh_engage chain_wait(struct fh_thread *t, const struct fh_frame *frame,
				 struct fh_domain *domain) FH_NO_THREAD_SAFETY_ANALYSIS
{
	struct fh_object *owner = frame->owner;
	struct fh_object *target = frame->target;
	struct fh_machine *m = owner->machine;
	struct fh_wait wait = { .thread = t, .domain = domain };
	const bool holds = fh_thread_holds(t, FH_HELD_DOMAIN);

	if (holds && (chain_is_foreign(t, m) || !wait_register(m, &wait)))
		return FH_REENTRY;
	fh_object_hold(owner);
	fh_object_hold(target);
	fh_thread_hold(t, FH_HELD_DOMAIN);
	const unsigned depth = chain_leave_section(t);

	FH_POINT("chain.waiting");
	fh_lock_acquire_turn(&domain->lock, t);
	FH_POINT("chain.wait-over");
	if (holds)
		wait_unregister(m, &wait);
	t->handed = domain;
	chain_resume_section(t, depth);
	fh_object_unhold(target);
	fh_object_unhold(owner);
	return FH_AGAIN;
}

static bool chain_spin(struct fh_thread *t, struct fh_domain *domain) FH_NO_THREAD_SAFETY_ANALYSIS
{
	for (int i = 0; i < SPINS; i++) {
		if (!fh_lock_owner(&domain->lock) && fh_lock_try_as(&domain->lock, t))
			return true;
#if defined(__x86_64__)
		__builtin_ia32_pause();
#elif defined(__aarch64__)
		__asm__ volatile("isb" ::: "memory");
#endif
	}
	return false;
}

/* --- Entering ------------------------------------------------------------------------------- */

enum fh_engage fh_chain_enter_slow(struct fh_thread *t, struct fh_frame *frame,
				   struct fh_domain *domain, bool reentrant)
{
	fh_assert(fh_rcu_in_section(t));
	if (frame->depth > FH_CHAIN_MAX) {
		fh_chain_settle(t);
		return FH_REENTRY;
	}
	if (domain && t->handed == domain) {
		t->handed = NULL; /* the frame's from here */
	} else {
		fh_chain_settle(t);
		if (domain && fh_lock_owner(&domain->lock) == t) {
			if (!reentrant)
				return FH_REENTRY;
			frame->domain = NULL;
		} else if (domain) {
			if (!chain_spin(t, domain))
				return chain_wait(t, frame, domain);
			fh_thread_hold(t, FH_HELD_DOMAIN);
		}
	}
	t->chain = frame;
	return FH_ENGAGED;
}

void fh_chain_settle_slow(struct fh_thread *t) FH_NO_THREAD_SAFETY_ANALYSIS
{
	struct fh_domain *domain = t->handed;

	fh_assert(fh_rcu_in_section(t));
	t->handed = NULL;
	fh_thread_unhold(t, FH_HELD_DOMAIN);
	fh_lock_release_as(&domain->lock, t);
}

/* --- Callbacks that are no accesses --------------------------------------------------------- */

static bool chain_call(struct fh_domain *domain, struct fh_object *owner, struct fh_object *target,
		       bool hidden_too, bool reentrant, void (*call)(void *arg), void *arg)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_frame frame;
	enum fh_engage engage;

	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	do {
		engage = FH_REENTRY;
		/* L6: the look and the start of the callback lie in one section. */
		if (hidden_too || fh_object_is_shown(owner))
			engage = fh_chain_enter(t, &frame, domain, owner, target, reentrant);
	} while (engage == FH_AGAIN);
	fh_chain_settle(t);
	if (engage == FH_ENGAGED) {
		call(arg);
		fh_chain_leave(t, &frame);
	}
	fh_rcu_read_end(t);
	return engage == FH_ENGAGED;
}

bool fh_chain_call(struct fh_domain *domain, struct fh_object *owner, struct fh_object *target,
		   bool hidden_too, void (*call)(void *arg), void *arg)
{
	return chain_call(domain, owner, target, hidden_too, false, call, arg);
}

bool fh_chain_call_reentrant(struct fh_domain *domain, struct fh_object *owner,
			     struct fh_object *target, bool hidden_too, void (*call)(void *arg),
			     void *arg)
{
	return chain_call(domain, owner, target, hidden_too, true, call, arg);
}

bool fh_chain_call_owner(struct fh_object *owner, void (*call)(void *arg), void *arg)
{
	return fh_chain_call(owner->machine->ops->domain_of(owner), owner, owner, false, call, arg);
}

/* --- Public: callbacks that block, read sections ---------------------------------------------- */

void fh_blocking_begin(void)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_frame *frame = t->chain;

	fh_chain_assert_may_access(t);
	fh_assert(!(frame ? frame->blocking : t->blocking));
	const unsigned depth = chain_leave_section(t);

	if (frame) {
		frame->blocking = true;
		frame->blocking_depth = depth;
	} else {
		t->blocking = true;
		t->blocking_depth = depth;
	}
}

void fh_blocking_end(void)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_frame *frame = t->chain;

	fh_assert(frame ? frame->blocking : t->blocking);
	if (frame)
		frame->blocking = false;
	else
		t->blocking = false;
	chain_resume_section(t, frame ? frame->blocking_depth : t->blocking_depth);
}

void fh_read_begin(void)
{
	fh_rcu_read_begin(fh_thread_self());
}

void fh_read_end(void)
{
	fh_rcu_read_end(fh_thread_self());
}

void fh_machine_throttle(struct fh_machine *m)
{
	fh_thread_assert_may_wait(fh_thread_self());
	if (FH_UNLIKELY(fh_reaper_over_limit(m->reaper)))
		fh_reaper_throttle(m->reaper);
}
