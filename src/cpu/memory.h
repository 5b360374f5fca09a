/* SPDX-License-Identifier: MIT */
/*
 * What of loads, stores and atomics is not in line: see memory.c.
 */
#ifndef CPU_MEMORY_H
#define CPU_MEMORY_H

#include "cpu/hart.h"

/*
 * All of them: false, h->trap is set and nothing was done, but for what it says. An access that did
 * not match the TLB: zero-extended value.
 */
bool memory_load(struct hart *h, uint64_t va, unsigned size, uint64_t *ret);
bool memory_store(struct hart *h, uint64_t va, unsigned size, uint64_t value);

/* Instructions of major opcode AMO. */
bool memory_lr(struct hart *h, uint32_t insn);
bool memory_sc(struct hart *h, uint32_t insn);
bool memory_amo(struct hart *h, uint32_t insn);

/* cbo.*: false with CAUSE_ILLEGAL where the mode may not; tval is the instruction. */
bool memory_cbo(struct hart *h, uint32_t insn);

#endif
