/* SPDX-License-Identifier: MIT */
/*
 * Signals that the process gets: what asks for the end, what stops it for a while and lets it go
 * on.
 */
#ifndef MACHINE_SIGNALS_H
#define MACHINE_SIGNALS_H

#include "machine/loop.h"

struct signals;

/* All are called on the loop's thread, while the loop runs. */
struct signals_ops {
	/*
	 * SIGINT, SIGTERM or SIGHUP. Those that were ignored at the start stay so, as with nohup.
	 */
	void (*end)(void *arg, int number);
	/* SIGTSTP: the process stops when this returns. */
	void (*suspend)(void *arg);
	/* The process goes on after a stop, whichever it was (SIGCONT). */
	void (*resume)(void *arg);
	/* SIGUSR1. */
	void (*user)(void *arg);
};

/* Caught from here on. @loop outlives them. Owned by caller; NULL: no memory. */
struct signals *signals_new(struct loop *loop, const struct signals_ops *ops, void *arg);

/* Consumed; NULL is allowed. Runs the loop once. Returns NULL. */
struct signals *signals_free(struct signals *signals);

#endif
