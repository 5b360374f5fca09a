/* SPDX-License-Identifier: MIT */
/*
 * A machine: the root from which everything hangs. Machines share nothing but the process's RCU
 * domain (liburcu's urcu-bp flavour). In a child process made by fork() no machine may be used: it
 * calls exec() or _exit().
 *
 * Threads: the library makes one thread per machine, the reaper, which runs finalizers. Timers and
 * bottom halves run in fh_machine_poll() and fh_machine_drain(). Control work, the waiting half of
 * an unplug, runs there too, or in the thread that asked for it where that may wait. An embedder's
 * loop calls the poll when told to (struct fh_loop_ops).
 */
#ifndef FREEHOLD_MACHINE_H
#define FREEHOLD_MACHINE_H

#include <freehold/object.h>

FH_BEGIN_DECLS

/**
 * The embedder's event loop. Both are called from any thread, under locks of the library: they
 * only pass a message on and never call back. Optional, both.
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

/** What a machine is made with; all zero is the default. Borrowed for the call, but for the ops. */
struct fh_machine_options {
	const struct fh_loop_ops *loop_ops; /**< copied; NULL: the embedder polls by itself */
	void *loop;			    /**< first argument of both (borrowed) */
	size_t retired_limit; /**< bytes that wait for a grace period before editors wait;
				   0: 64 MiB */
};

/**
 * A new machine (owned by caller). NULL, with FH_EAGAIN in @err and nothing left behind, where the
 * host has no thread for it (ulimit -u, the limits of a control group, address space for a stack)
 * or the process none of its thread-specific keys. @options NULL: defaults. Any thread; the
 * options' functions may be called before it returns.
 */
FH_API struct fh_machine *fh_machine_new(const struct fh_machine_options *options,
					 struct fh_error *err);

/**
 * Dispose of everything in the tree, last created first, drain, and free the machine (consumed if
 * 0 is returned). Returns the number of objects that outside refs or pins keep alive; then the
 * machine stays too, empty, for fh_ledger_print(), and the call can be repeated when those have
 * been given back. NULL is allowed: 0. Context: not from a callback, read section or transaction,
 * and no other thread uses the machine any more.
 */
FH_API int fh_machine_destroy(struct fh_machine *m);

/**
 * fh_machine_destroy() for FH_CLEANUP. Survivors are a programmer's error here: it prints the
 * ledger to standard error and aborts.
 */
FH_API void fh_machine_destroyp(struct fh_machine **m);

/** The root of the tree (borrowed from the machine). */
FH_API struct fh_object *fh_machine_root(struct fh_machine *m);

/**
 * The address space "memory", whose root is the container "system" of 2^64 bytes (borrowed). Both
 * are children of the machine's root, so that these two names are taken; the ledger does not count
 * them. NULL once fh_machine_destroy() has begun.
 */
FH_API struct fh_space *fh_machine_memory(struct fh_machine *m);

/**
 * Do what is due: queued control work, resets, bottom halves, expired timers. Never blocks for
 * events, but control work waits for grace periods and for callbacks that block. One thread at a
 * time does it; others return false at once, and the loop is asked for another poll. Returns true
 * if anything was done. Context: not from a callback, read section or transaction.
 */
FH_API bool fh_machine_poll(struct fh_machine *m);

/**
 * Poll until nothing is queued, and wait for every finalizer: when it returns, what was disposed of
 * and let go before the call is gone, but for what stays for an init or dispose that another thread
 * is at work in (struct fh_type). Armed timers that are not due are not waited for; another
 * thread's poll is. Threads that go on queueing work can hold it up. Context: not from a callback,
 * read section or transaction.
 */
FH_API void fh_machine_drain(struct fh_machine *m);

/** Nanoseconds of CLOCK_MONOTONIC: the clock of timers. Any context. */
FH_API uint64_t fh_machine_now(struct fh_machine *m);

/* --- Read sections -------------------------------------------------------------------------- */

/**
 * Inside a read section what a view shows stays in memory. Accesses open one themselves; a CPU loop
 * holds one for a bounded slice, so that many accesses share it. Sections nest, belong to their
 * thread, and are of the process, not of one machine: grace periods of all machines wait for them.
 * Inside one, nothing that waits for a grace period may be called (asserted). Every begin has its
 * end on the same thread.
 */
FH_API void fh_read_begin(void);
FH_API void fh_read_end(void);

/**
 * For a CPU loop between slices: wait while more memory than the limit (fh_machine_options) waits
 * for a grace period. Two loads when it is not so. Context: not from a callback, read section or
 * transaction.
 */
FH_API void fh_machine_throttle(struct fh_machine *m);

/**
 * A callback that may block for long brackets the wait: in between, the thread is outside its read
 * sections, and each callback that it is in counts until it returns: an unplug of its device waits
 * for that. It keeps its domains. What was looked up before is looked up again afterwards. The wait
 * must not need a domain that the thread holds, nor its own device's unplug. Allowed, without
 * effect on others, outside callbacks too. Does not nest in one callback (asserted). Context: not
 * in a transaction, nor in a listener or an interrupt input.
 */
FH_API void fh_blocking_begin(void);
FH_API void fh_blocking_end(void);

FH_END_DECLS

#endif
