/* SPDX-License-Identifier: MIT */
/*
 * The rig: a device of three levels, with children of its own, that does in its realize whatever a
 * realize can do, and a bench on which it is watched.
 *
 * R1. Each level's realize is a row of steps. After step `fail_at` the realize fails; at each step
 *     it passes the point "test.step".
 * R2. A thread reads all the time where the rig would be seen: it sees all of it or nothing, and
 *     nothing unless the test permits it.
 * R3. What was realized is on a stack; whatever is unrealized has to be on top of it.
 */
#ifndef SUPPORT_RIG_H
#define SUPPORT_RIG_H

#include "support/probe.h"

#define RIG_PLACES 8 /* where the guest sees the rig, when it does */

enum { RIG_DONE_MAX = 32 };

/* The test's view of one rig. All of it but the atomics belongs to the thread that realizes. */
struct bench {
	struct fh_machine *m;
	struct fh_region *ram;	     /* the machine's */
	struct fh_device *bus;	     /* to which the rig adds */
	struct fh_region *window;    /* of the bus, at BUS */
	struct fh_irq *input;	     /* of the bus */
	struct fh_space *dma;	     /* of the bus */
	struct fh_listener *listener;
	struct probe_hooks bus_hooks;

	unsigned step, fail_at;	     /* 0: never */
	const void *done[RIG_DONE_MAX];  /* R3: the state of each level that is realized */
	unsigned done_count;
	const void *born[RIG_DONE_MAX]; /* rigs and parts not disposed of, in order of birth */
	unsigned made, disposed, finalized; /* of these */

	unsigned commits, added, removed; /* of the machine's memory */
	unsigned rises;			  /* of the input */
	unsigned revoked, told, timers, bhs;
	int own_sections;		  /* of the rig's own space, as its listener counts them */

	_Atomic bool stop, visible, must_be_visible;
	_Atomic unsigned looks;
	struct worker reader;
};

/* One at a time: the rig's callbacks have no other way to their bench. */
extern struct bench bench;

extern const struct fh_type rig_type;

void bench_begin(void);
/* The ledger check, and that every life had one dispose and one finalize. */
void bench_end(void);

/* A rig with a child that is not realized, and one that is. */
struct fh_device *rig_new(FH_ANY parent);
/* How many steps its realize has. */
unsigned rig_count_steps(void);

/* Since this was called, the reader has looked everywhere. */
void wait_for_a_look(void);

#endif
