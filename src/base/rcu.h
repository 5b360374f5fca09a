/* SPDX-License-Identifier: MIT */
/*
 * Read sections and grace periods: the only place that knows liburcu.
 *
 * The urcu-bp flavour needs no registration of threads. Its registry, its grace-period counter and
 * the ticket below are one per process: the one thing that machines share. After fork() the child
 * has no reaper and must not use a machine; it calls exec() or _exit().
 *
 * R1. A read section nests through t->depth; only the outermost enters liburcu, and it nests with
 *     sections that the embedder itself opens through urcu-bp.
 * R2. What was reachable when a grace period began is no longer used by any section when it ends.
 * R3. No grace period is waited for within a section (asserted).
 * R4. ThreadSanitizer is told exactly this: the end of a section releases a tag, the end of a grace
 *     period acquires it. It does not see inside liburcu, and nothing of ours is hidden from it.
 *
 * liburcu's headers permit the inlining of functions of at most ten lines into programs under any
 * licence; _urcu_bp_read_lock, _urcu_bp_read_unlock and _urcu_bp_read_ongoing are such functions
 * and say so.
 */
#ifndef BASE_RCU_H
#define BASE_RCU_H

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "base/assert.h"
#include "base/thread.h"

/*
 * liburcu's variable with a cheaper way to its address: inside a shared library it would be four
 * calls for each section otherwise. Declared before liburcu does it, since clang takes no attribute
 * after a use, and again afterwards, since gcc goes by the last declaration.
 */
struct urcu_bp_reader;
extern _Thread_local struct urcu_bp_reader *urcu_bp_reader
	__attribute__((tls_model("initial-exec")));

/*
 * Its functions, declared ahead to give them attributes. alignment: liburcu carves its readers out
 * of an arena with less alignment than their type asks for, which is harmless, as only the first
 * word is used, but UBSan would stop at every section. thread: a reader passes from a thread that
 * ended to one that begins under a lock inside liburcu, which ThreadSanitizer does not see when
 * told to leave the library alone; then it must not see half of that either. (clang would
 * instrument what it inlines.)
 */
#if FH_TSAN && defined(__clang__)
#define FH_RCU_FOREIGN __attribute__((no_sanitize("alignment", "thread"), noinline))
#else
#define FH_RCU_FOREIGN __attribute__((no_sanitize("alignment", "thread")))
#endif
FH_RCU_FOREIGN static inline void _urcu_bp_read_lock_update(unsigned long count);
FH_RCU_FOREIGN static inline void _urcu_bp_read_lock(void);
FH_RCU_FOREIGN static inline void _urcu_bp_read_unlock(void);
FH_RCU_FOREIGN static inline int _urcu_bp_read_ongoing(void);

#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu/urcu-bp.h>
#include <urcu/static/urcu-bp.h>

extern _Thread_local struct urcu_bp_reader *urcu_bp_reader
	__attribute__((tls_model("initial-exec")));

#if FH_TSAN
void fh_rcu_tsan_section_ends(void);
#else
static inline void fh_rcu_tsan_section_ends(void)
{
}
#endif

/* Begins a read section. t is the calling thread's block, here and below. */
static inline void fh_rcu_read_begin(struct fh_thread *t)
{
	if (FH_LIKELY(t->depth++ == 0))
		_urcu_bp_read_lock();
}

/* Ends the innermost read section. What was looked up in it is no longer valid. */
static inline void fh_rcu_read_end(struct fh_thread *t)
{
	if (FH_LIKELY(t->depth == 1)) {
		t->depth = 0;
		fh_rcu_tsan_section_ends();
		_urcu_bp_read_unlock();
	} else {
		fh_assert(t->depth != 0);
		t->depth--;
	}
}

/*
 * The calling thread's block, NULL if it has none or was never a reader: then fh_thread_self() or
 * fh_rcu_read_begin() has something to make first. For a hot path that wants to call nothing.
 */
static inline struct fh_thread *fh_rcu_thread_ready(void)
{
	return FH_LIKELY(URCU_TLS(urcu_bp_reader) != NULL) ? fh_thread_current : NULL;
}

static inline bool fh_rcu_in_section(const struct fh_thread *t)
{
	return t->depth != 0;
}

/*
 * Leaves all sections of the thread at once, because it is going to block, and returns how deep it
 * was (0: it was in none). Everything looked up before must be looked up again after
 * fh_rcu_resume().
 */
unsigned fh_rcu_leave(struct fh_thread *t);

/* Enters as many sections as fh_rcu_leave() left. */
void fh_rcu_resume(struct fh_thread *t, unsigned depth);

/* Waits for a grace period that begins after the call. Context: fh_thread_assert_may_wait(). */
void fh_rcu_synchronize(void);

/*
 * A number that no other call in this process ever got or gets; never 0. For ids that must not be
 * mistaken for those of something that is gone. It says nothing about order between threads.
 */
uint64_t fh_ticket(void);

#endif
