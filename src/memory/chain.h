/* SPDX-License-Identifier: MIT */
/*
 * The chain of callbacks that a thread is in, and the domains that it holds for them.
 *
 * R1. A frame is on the stack of whoever makes the call, pushed before and popped after it.
 * R2. A domain is engaged by at most one thread. Reaching one that the thread's own chain holds is
 *     refused (re-entry), and so is a wait that would close a circle of waiting threads: the test and
 *     the start of the wait are one step under the machine's wait lock.
 * R3. A wait for a domain leaves the read section, as a blocking callback does: every frame of the chain is counted at its
 *     owner, and its target pinned, inside the section before it is left, until that frame is popped (L6).
 * R4. A domain is counted by the device or region that made it and by each that uses it.
 * R5. A chain is at most FH_CHAIN_MAX deep: a guest may not exhaust the host's stack.
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
struct fh_domain *fh_domain_unref(struct fh_domain *domain); /* NULL is allowed; returns NULL */

struct fh_frame {
	struct fh_frame *up;	  /* towards the outermost */
	struct fh_domain *domain; /* engaged by this frame, or NULL */
	struct fh_object *owner;  /* whose callback it is: its drain waits for it */
	struct fh_object *target; /* region, timer, ...: pinned while blocked; may be the owner */
	unsigned depth;
	bool counted;		  /* R3 */
};

enum fh_engage {
	FH_ENGAGED, /* the frame is pushed: call, then fh_chain_leave() */
	FH_AGAIN,   /* waited, outside the section: look everything up again, then call again */
	FH_REENTRY, /* refused */
};

/*
 * Push a frame for a callback of @owner, taking @domain (NULL: none). In a read section. After
 * FH_AGAIN nothing is held and what was looked up before is no longer valid.
 * @reentrant: a domain that the thread holds already is no reason to refuse.
 */
enum fh_engage fh_chain_enter(struct fh_thread *t, struct fh_frame *frame, struct fh_domain *domain,
			      struct fh_object *owner, struct fh_object *target, bool reentrant);
void fh_chain_leave(struct fh_thread *t, struct fh_frame *frame);

/*
 * A callback that is not an access (timer, bottom half, completion, revocation, reset, setter): opens a read section,
 * looks at the owner's shown bit unless @hidden_too, engages, waits for the domain where it must, and calls. False: not called.
 */
bool fh_chain_call(struct fh_domain *domain, struct fh_object *owner, struct fh_object *target,
		   bool hidden_too, void (*call)(void *arg), void *arg);

#endif
