/* SPDX-License-Identifier: MIT */
/*
 * What the library keeps for each thread: one heap block behind one thread-local pointer.
 *
 * One pointer, because a thread-local access costs most inside a shared library; initial-exec,
 * because then it is one load from a fixed offset instead of a call.
 *
 * R1. The block is made on first use and belongs to its thread. Nobody else touches a field.
 * R2. It is freed by a destructor of a pthread key. Other keys' destructors may still use the
 *     library afterwards: they get a new block, which goes in the next round of destructors.
 * R3. A thread ends with no section open and nothing held (asserted): so a pointer to a block, read
 *     from a lock that the thread owns, is valid as long as that lock stays owned.
 * R4. The low 32 bits of a block's address are never all zero (lock.h needs that).
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include <freehold/base.h>

#include "base/assert.h"

/*
 * The order of locks, outermost first. What a thread holds may be followed only by its own kind or
 * by a later one. A read section lies between control and topology and has no entry here: it is
 * t->depth.
 */
enum fh_held {
	FH_HELD_CONTROL,
	FH_HELD_DOMAIN,
	FH_HELD_TOPOLOGY,
	FH_HELD_LISTENER, /* and interrupt sinks: leaves */
	FH_HELD_KINDS,
};

struct fh_thread {
	/* rcu.h: nesting of read sections; the outermost alone enters liburcu. */
	unsigned depth;

	/* reaper.c: this is the thread of a reaper. */
	bool is_reaper;

	/* death.c: it undoes births, whose end control may be waiting for. */
	unsigned undoing;

	/* All layers, through fh_thread_hold/unhold: how many of each kind are held. */
	unsigned held[FH_HELD_KINDS];

	/*
	 * pin.c: the chunk of pins that the thread used last, and the id of the holding it is of.
	 */
	uint64_t pins_id;
	void *pins;

	/*
	 * Memory layer (chain.h): innermost frame of the chain of callbacks that the thread is in.
	 */
	void *chain;

	/*
	 * Memory layer (chain.h): a domain that the thread waited for and holds for its next try.
	 */
	void *handed;

	/*
	 * Memory layer: lookaside of recent lookups, allocated when wanted, and its entry that was
	 * used last, NULL if there is no lookaside. lookaside_free is called with it before the
	 * block goes, on its thread, where fh_thread_self() is still this block.
	 */
	void *lookaside;
	void *recent;
	/*
	 * Memory layer (chain.h): how often the thread left its read sections to wait, within a
	 * callback or an access. Who looked something up before looks again if it changed.
	 */
	uint64_t left;

	void (*lookaside_free)(void *lookaside);

	/* Memory layer (chain.h): fh_blocking_begin() outside callbacks. */
	bool blocking;
	unsigned blocking_depth;

	/* Memory layer (coalesced.c): it asks for coalesced stores. */
	bool flushing;
} __attribute__((aligned(64)));

/* NULL until first use. Only fh_thread_self() and thread.c touch it. */
extern _Thread_local struct fh_thread *fh_thread_current
	__attribute__((tls_model("initial-exec")));

/*
 * Takes the key on which all blocks hang, once for the process. FH_EAGAIN: it has none left. Where
 * nobody prepared, the first block does, and asserts it.
 */
enum fh_code fh_thread_prepare(struct fh_error *err);

/* Makes the calling thread's block. */
struct fh_thread *fh_thread_new(void) __attribute__((cold, noinline, returns_nonnull));

/* The calling thread's block (borrowed); valid while the thread runs. Not from signal handlers. */
static inline struct fh_thread *fh_thread_self(void)
{
	struct fh_thread *t = fh_thread_current;

	return FH_LIKELY(t) ? t : fh_thread_new();
}

static inline bool fh_thread_holds(const struct fh_thread *t, enum fh_held kind)
{
	return t->held[kind] != 0;
}

/*
 * Notes that the thread is about to take something of this kind, and asserts the order of locks:
 * nothing of a later kind is held, and control is not asked for from within a read section.
 */
static inline void fh_thread_hold(struct fh_thread *t, enum fh_held kind)
{
	for (unsigned later = (unsigned)kind + 1; later < FH_HELD_KINDS; later++)
		fh_assert(t->held[later] == 0);
	fh_assert(kind != FH_HELD_CONTROL || t->depth == 0);
	t->held[kind]++;
}

/*
 * Asserts that the thread may wait for a grace period, or for a thread that does: it is in no read
 * section and holds nothing but control.
 */
static inline void fh_thread_assert_may_wait(const struct fh_thread *t)
{
	fh_assert(t->depth == 0);
	for (unsigned kind = FH_HELD_CONTROL + 1; kind < FH_HELD_KINDS; kind++)
		fh_assert(t->held[kind] == 0);
}

static inline void fh_thread_unhold(struct fh_thread *t, enum fh_held kind)
{
	fh_assert(t->held[kind] > 0);
	t->held[kind]--;
}

#endif
