/* SPDX-License-Identifier: MIT */
/*
 * A barrier that one side pays for both: who does something often leaves its barrier out, and who
 * does the opposite seldom has all threads of the process pass one (Linux' membarrier).
 *
 *	often:                              seldom:
 *		store A                             store B
 *		fh_barrier_light()                  fh_barrier_heavy()
 *		load B                              load A
 *
 * R1. At least one of the two loads sees the other side's store, as with a full barrier on both
 *     sides: the heavy side's is somewhere between the light side's store and load, or before or
 *     after both. Without a seldom side each stores with fh_barrier_store() and loads seq_cst.
 * R2. Registering is the process's, and the kernel's to remember; once is enough, and again does no
 *     harm. liburcu does the same for its grace periods.
 */
#ifndef BASE_BARRIER_H
#define BASE_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>

/* False: the host has none; then the often side needs a full barrier, or an atomic, of its own. */
bool fh_barrier_register(void);

/* Keeps the compiler from changing the order of what is before and after. */
static inline void fh_barrier_light(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* After fh_barrier_register() has said true. A few hundred ns to a few us. Any context. */
void fh_barrier_heavy(void);

/*
 * A store that no later seq_cst load overtakes. By the language a seq_cst store is one; x86-64
 * makes an exchange of it anyhow, but on aarch64 it is STLR, which in QEMU's user mode on x86-64
 * (seen with 7.2 and 10.0) a following LDAR does overtake.
 */
#define fh_barrier_store(ptr, value) \
 ((void)atomic_exchange_explicit(ptr, value, memory_order_seq_cst))

#endif
