/* SPDX-License-Identifier: MIT */
/*
 * A machine: the root from which everything hangs. Machines share nothing but the process's RCU
 * domain (liburcu's urcu-bp flavour). A child process made by fork() may only exec or _exit.
 *
 * Threads: the library makes one thread per machine, the reaper, which runs finalizers. Control
 * work (the waiting half of an unplug), timers and bottom halves run in fh_machine_poll(), in
 * fh_machine_drain(), or in the embedder's loop that calls the former when told to.
 */
#ifndef FREEHOLD_MACHINE_H
#define FREEHOLD_MACHINE_H

#include <freehold/object.h>

FH_BEGIN_DECLS

/**
 * The embedder's event loop. Both are called from any thread, under locks of the library: they
 * only pass a message on and never call back.
 */
struct fh_loop_ops {
	/** Have fh_machine_poll() called soon, on the loop's thread. */
	void (*post)(void *loop);
	/**
	 * Have fh_machine_poll() called at @deadline (CLOCK_MONOTONIC, ns) or later, not before,
	 * instead of the deadline asked for before; UINT64_MAX: no deadline.
	 */
	void (*timer)(void *loop, uint64_t deadline);
};

struct fh_machine_options {
	const struct fh_loop_ops *loop_ops; /**< NULL: the embedder polls */
	void *loop;
	size_t retired_limit; /**< bytes waiting for a grace period before writers wait; 0: 64 MiB */
};

/** A new machine (owned by caller). @options NULL: defaults. */
FH_API struct fh_machine *fh_machine_new(const struct fh_machine_options *options);

/**
 * Dispose of everything in the tree, last created first, drain, and free the machine. Not from a
 * callback, read section or transaction. Returns the number of objects that outside refs or pins
 * keep alive; then the machine stays too, empty, for fh_ledger_print(), and the call can be
 * repeated when those have been given back. NULL is allowed.
 */
FH_API int fh_machine_destroy(struct fh_machine *m);

/** For FH_CLEANUP. Survivors are a programmer's error here: it prints the ledger and aborts. */
FH_API void fh_machine_destroyp(struct fh_machine **m);

/** The root of the tree (borrowed). */
FH_API struct fh_object *fh_machine_root(struct fh_machine *m);

/**
 * The address space "memory", whose root is the container "system" of 2^64 bytes (borrowed). Both are
 * children of the machine's root, so that these two names are taken.
 */
FH_API struct fh_space *fh_machine_memory(struct fh_machine *m);

/**
 * Do what is due: queued control work, bottom halves, expired timers. Never blocks for events, but
 * control work waits for grace periods. One thread at a time does it; others return at once, and the
 * loop is asked for another poll. Not from a callback, read section or transaction. Returns true if
 * anything was done.
 */
FH_API bool fh_machine_poll(struct fh_machine *m);

/**
 * Poll until nothing is queued, and wait for every finalizer: when it returns, what was disposed of
 * and let go before the call is gone. Pending timers are not waited for. Not from a callback, read section or
 * transaction.
 */
FH_API void fh_machine_drain(struct fh_machine *m);

/** Nanoseconds of CLOCK_MONOTONIC: the clock of timers. */
FH_API uint64_t fh_machine_now(struct fh_machine *m);

/* --- Read sections -------------------------------------------------------------------------- */

/**
 * Inside a read section what a view shows stays in memory. Accesses open one themselves; a CPU loop
 * holds one for a bounded slice, so that many accesses share it. Sections nest. Inside one, nothing
 * that waits for a grace period may be called.
 */
FH_API void fh_read_begin(void);
FH_API void fh_read_end(void);

/**
 * For a CPU loop between slices: wait while more memory than the limit waits for a grace period.
 * Constant cost when it is not so. Not in a read section.
 */
FH_API void fh_machine_throttle(struct fh_machine *m);

/**
 * A callback that may block for long brackets the wait: in between, the thread is outside its read
 * sections, and each callback that it is in counts until it returns. What was looked up before is
 * looked up again afterwards. The wait must not need a domain that the thread holds, nor its own
 * device's unplug. Allowed, without effect on others, outside callbacks too; does not nest.
 */
FH_API void fh_blocking_begin(void);
FH_API void fh_blocking_end(void);

FH_END_DECLS

#endif
