/* SPDX-License-Identifier: MIT */
/*
 * The chain of callbacks that a thread is in, and the domains that it holds for them.
 *
 * R1. A frame is on the stack of whoever makes the call, pushed before and popped after it.
 * R2. A domain is engaged by at most one thread. Reaching one that the thread's own chain holds
 *     is refused (re-entry), and so is a wait that would close a circle of waiting threads: the
 *     test and the start of the wait are one step under the machine's wait lock. chain.c proves
 *     it.
 * R3. A wait for a domain leaves the read section, as a blocking callback does: every frame of
 *     the chain is counted at its owner, and owner and target are pinned, inside the section
 *     before it is left, until that frame is popped (L6).
 * R4. A domain is counted by the device or region that made it and by each that uses it.
 * R5. A chain is at most FH_CHAIN_MAX deep: a guest may not exhaust the host's stack.
 * R6. What a thread waited for it gets in the end, however soon others take it again (lock.h R4),
 *     and keeps for its next try (t->handed): so it cannot starve.
 *     Between FH_AGAIN and that try it stays in its section and calls nothing foreign; where
 *     there is no next try, fh_chain_settle() gives the domain back. So does an access behind an
 *     IOMMU, which has to be asked again, and that is foreign: it may have to wait once more.
 * R7. Circles are looked for within one machine. A chain that holds domains of another machine
 *     never waits: where it would have to, it is refused as well.
 */
#ifndef MEMORY_CHAIN_H
#define MEMORY_CHAIN_H

#include "base/lock.h"
#include "base/rcu.h"
#include "object/machine.h"

#define FH_CHAIN_MAX 32

struct fh_domain {
	struct fh_lock lock;
	_Atomic uint32_t refs;
};

struct fh_domain *fh_domain_new(void);
struct fh_domain *fh_domain_ref(struct fh_domain *domain);
/*
 * NULL is allowed; returns NULL. The last one frees: it is at least a grace period younger than
 * the last frame that took the domain (lock.h R2), as the finalize of a region or device is.
 */
struct fh_domain *fh_domain_unref(struct fh_domain *domain);

/* The calling thread is in a callback of this domain. NULL: false. */
static inline bool fh_domain_is_mine(const struct fh_domain *domain)
{
	return domain && fh_lock_held_by_me(&domain->lock);
}

struct fh_frame {
	struct fh_frame *up;	  /* towards the outermost */
	struct fh_domain *domain; /* engaged by this frame, or NULL */
	struct fh_object *owner;  /* whose callback it is: its drain waits for it */
	struct fh_object *target; /* region, timer, ...: pinned while blocked; may be the owner */
	unsigned depth;
	bool counted;		  /* R3 */
	bool blocking;		  /* between fh_blocking_begin() and end */
	unsigned blocking_depth;  /* of read sections, while blocking */
};

enum fh_engage {
	FH_ENGAGED, /* the frame is pushed: call, then fh_chain_leave() */
	FH_AGAIN,   /* waited, outside the section: look everything up again, then try again (R6) */
	FH_REENTRY, /* refused */
};

enum fh_engage fh_chain_enter_slow(struct fh_thread *t, struct fh_frame *frame,
				   struct fh_domain *domain, bool reentrant)
	__attribute__((cold, noinline));
void fh_chain_uncount(struct fh_frame *frame) __attribute__((cold, noinline));
void fh_chain_settle_slow(struct fh_thread *t) __attribute__((cold, noinline));

/*
 * Push a frame for a callback of @owner, taking @domain (NULL: none). In a read section, in which
 * owner and target were found or in which they are pinned.
 * @reentrant: a domain that the thread holds already is no reason to refuse.
 */
static inline enum fh_engage fh_chain_enter(struct fh_thread *t, struct fh_frame *frame,
					    struct fh_domain *domain, struct fh_object *owner,
					    struct fh_object *target, bool reentrant)
	FH_NO_THREAD_SAFETY_ANALYSIS
{
	struct fh_frame *up = t->chain;

	frame->up = up;
	frame->domain = domain;
	frame->owner = owner;
	frame->target = target;
	frame->depth = up ? up->depth + 1 : 1;
	frame->counted = false;
	frame->blocking = false;
	if (FH_UNLIKELY(frame->depth > FH_CHAIN_MAX || t->handed))
		return fh_chain_enter_slow(t, frame, domain, reentrant);
	if (domain) {
		if (FH_UNLIKELY(!fh_lock_try_as(&domain->lock, t)))
			return fh_chain_enter_slow(t, frame, domain, reentrant);
		fh_thread_hold(t, FH_HELD_DOMAIN);
	}
	/* It leaves before the function returns in which it lies; the compiler sees only this. */
#if __GNUC__ >= 12 /* clang says 4 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif
	t->chain = frame;
#if __GNUC__ >= 12
#pragma GCC diagnostic pop
#endif
	return FH_ENGAGED;
}

/* Pop the frame. In a read section. */
static inline void fh_chain_leave(struct fh_thread *t, struct fh_frame *frame)
	FH_NO_THREAD_SAFETY_ANALYSIS
{
	FH_POINT("chain.returning");
	fh_assert(t->chain == frame);
	t->chain = frame->up;
	if (frame->domain) {
		fh_thread_unhold(t, FH_HELD_DOMAIN);
		fh_lock_release_as(&frame->domain->lock, t);
	}
	if (FH_UNLIKELY(frame->counted))
		fh_chain_uncount(frame);
}

/* There is no next try after FH_AGAIN, or none for that domain (R6). In the same read section. */
static inline void fh_chain_settle(struct fh_thread *t)
{
	if (FH_UNLIKELY(t->handed))
		fh_chain_settle_slow(t);
}

/*
 * A callback that is not an access (timer, bottom half, completion, revocation, reset, setter):
 * opens a read section, looks at the owner's shown bit unless @hidden_too, engages, waits for the
 * domain where it must, and calls. False: not called. The caller keeps owner and target alive.
 */
bool fh_chain_call(struct fh_domain *domain, struct fh_object *owner, struct fh_object *target,
		   bool hidden_too, void (*call)(void *arg), void *arg);

/*
 * The same for what may also be asked for from within a callback of the same domain (reset,
 * setters).
 */
bool fh_chain_call_reentrant(struct fh_domain *domain, struct fh_object *owner,
			     struct fh_object *target, bool hidden_too, void (*call)(void *arg),
			     void *arg);

/* For struct fh_machine_ops.call: in the domain that the device layer names for @owner. */
bool fh_chain_call_owner(struct fh_object *owner, void (*call)(void *arg), void *arg);

/* Accesses are a programmer's error while the topology lock or a listener's is held. */
static inline void fh_chain_assert_may_access(const struct fh_thread *t)
{
	fh_assert((t->held[FH_HELD_TOPOLOGY] | t->held[FH_HELD_LISTENER]) == 0);
}

#endif
