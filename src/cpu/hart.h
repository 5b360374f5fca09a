/* SPDX-License-Identifier: MIT */
/*
 * A hart: its architectural state, and what its parts share.
 *
 * The data path: block.c finds or decodes a block of operations for a physical address (decode.c),
 * exec.c runs it by threaded dispatch; loads, stores and fetches go through the hart's soft TLB
 * (tlb.h), which mmu.c fills from page tables and the address space's view. csr.c and trap.c hold
 * the privileged architecture, fp.c the floating point, hart.c the thread and its slices.
 *
 * R1. A hart's thread alone touches its state. What others set (interrupt lines, invalidations,
 *     stop) goes through the atomics at the end, and `attention` says that there is something.
 * R2. x[0] is never written: decode sends a destination x0 to x[32], which nobody reads.
 * R3. Within a block the pc is not kept: it is the block's first pc plus the operation's offset.
 * R4. A TLB entry and a pointer to a block are used only inside a slice (a read section) that
 *     looked at the invalidation queue at its start, and again after everything that left the fast
 *     path.
 */
#ifndef CPU_HART_H
#define CPU_HART_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <freehold/freehold.h>

#include "cpu/cpu.h"

enum priv { PRIV_U = 0, PRIV_S = 1, PRIV_M = 3 };

/* Exception causes, privileged specification, table of mcause. */
enum cause {
	CAUSE_FETCH_MISALIGNED = 0,
	CAUSE_FETCH_ACCESS = 1,
	CAUSE_ILLEGAL = 2,
	CAUSE_BREAKPOINT = 3,
	CAUSE_LOAD_MISALIGNED = 4,
	CAUSE_LOAD_ACCESS = 5,
	CAUSE_STORE_MISALIGNED = 6,
	CAUSE_STORE_ACCESS = 7,
	CAUSE_ECALL_U = 8,
	CAUSE_ECALL_S = 9,
	CAUSE_ECALL_M = 11,
	CAUSE_FETCH_PAGE = 12,
	CAUSE_LOAD_PAGE = 13,
	CAUSE_STORE_PAGE = 15,
	CAUSE_NONE = 64, /* nothing happened */
};

enum access { ACCESS_LOAD, ACCESS_STORE, ACCESS_FETCH };

/* Interrupt numbers: bits of mip and mie. */
enum { IRQ_SSI = 1, IRQ_MSI = 3, IRQ_STI = 5, IRQ_MTI = 7, IRQ_SEI = 9, IRQ_MEI = 11 };

struct pmp_entry {
	uint8_t cfg;
	uint64_t addr;	      /* as written to pmpaddr */
	uint64_t first, last; /* decoded, bytes */
};

/* What a trap brings to the handler. */
struct trap {
	enum cause cause; /* CAUSE_NONE: none is pending */
	uint64_t tval;
};

/* What csrrw, csrrs and csrrc do with the operand. */
enum csr_op { CSR_WRITE, CSR_SET, CSR_CLEAR };

/* Why a hart should leave the fast path: bits of `attention`. */
enum {
	ATTENTION_IRQ = 1 << 0,	  /* lines or pending bits changed */
	ATTENTION_CODE = 1 << 1,  /* notes about pages of code: blocks_service() */
	ATTENTION_MAP = 1 << 2,	  /* the memory map changed */
	ATTENTION_STOP = 1 << 3,  /* stop, pause, reset */
	ATTENTION_LOG = 1 << 4,	  /* open pages are to be closed: logged.c */
};

struct tlb;
struct tlb_entry;
struct tlbs;
struct map_changes;
struct blocks;
struct code_pages;
struct logged;

struct hart {
	/* Read and written by nearly every operation. */
	uint64_t x[33];
	uint64_t pc; /* at block borders only (R3) */
	uint64_t f[32]; /* NaN-boxed */
	/*
	 * The TLB for loads and stores of the present mode, spread for the inline lookup (tlb.h).
	 */
	struct tlb_entry *tlb_entries;
	uint64_t tlb_mask;
	struct tlb *tlb;       /* the same one; with mstatus.MPRV not that of fetches */
	struct tlb *fetch_tlb;
	struct tlbs *tlbs;     /* tlb.c: of all modes */
	struct blocks *blocks;
	unsigned logged_count; /* logged.c: open pages */
	uint32_t code_epoch;   /* blocks that say another one are looked at again (block.h) */
	uint64_t instret;      /* retired; right outside of hart_run_blocks() and in what it calls */
	int64_t budget;	       /* instructions until hart_run_blocks() returns, set by its caller */
	_Atomic uint32_t attention; /* R1: ATTENTION_*; leave the fast path at the next block */

	/* Floating point. */
	uint8_t frm;
	uint8_t fflags; /* accrued in software; the host's flags are merged in by fp.c when asked for */

	/* Privileged state. */
	uint8_t priv;
	uint64_t mstatus, misa, medeleg, mideleg, mie, mtvec, mscratch, mepc, mcause, mtval;
	uint64_t mcounteren, mcountinhibit, menvcfg, senvcfg;
	uint64_t stvec, sscratch, sepc, scause, stval, scounteren, satp, stimecmp;
	uint64_t mip_software; /* bits of mip that software sets: STIP, SEIP */
	uint64_t cycle_offset, instret_offset;
	struct pmp_entry pmp[16];
	struct trap trap; /* pending: raised by an operation, taken by hart.c */
	bool waiting;	  /* wfi: until an interrupt is pending */
	struct fh_timer *timer; /* stimecmp */
	void (*trace)(void *arg, unsigned hart_id, uint64_t cause, uint64_t pc, uint64_t tval,
		      unsigned to_priv);
	void *trace_arg;

	/* LR/SC: the physical address, + 1 for a doubleword, and the value that was loaded. */
	uint64_t reservation; /* UINT64_MAX: none */
	uint64_t reserved_value;

	/* Constant. */
	unsigned id;
	struct cpu_isa isa;
	struct fh_device *device;
	struct fh_machine *machine;
	struct fh_space *memory;
	struct code_pages *code_pages; /* shared by the harts of a machine */
	uint64_t (*time)(void *arg); /* the machine's mtime, 10 MHz on virt */
	void *time_arg;
	uint64_t time_ns; /* of one tick */
	uint64_t reset_pc, reset_a0, reset_a1;

	/* From other threads. */
	/*
	 * Bits of mip that lines drive: MSIP, MTIP, MEIP, SEIP; and SSIP, which the edge of a line
	 * or software sets and software clears.
	 */
	_Atomic uint64_t mip_lines;
	struct map_changes *map_changes; /* tlb.c */
	struct logged *logged;	    /* logged.c */
	_Atomic bool stop;	    /* end the thread */
};

static inline void hart_raise(struct hart *h, enum cause cause, uint64_t tval)
{
	h->trap.cause = cause;
	h->trap.tval = tval;
}

/* May floating-point instructions run? mstatus.FS is not Off. */
static inline bool hart_fp_enabled(const struct hart *h)
{
	return (h->mstatus & 0x6000) != 0;
}

/* mstatus.FS: Dirty, and with it SD. */
static inline void hart_fp_dirty(struct hart *h)
{
	h->mstatus |= UINT64_C(0x8000000000006000);
}

/*
 * exec.c: run from h->pc until attention is set, the budget is used up, or an operation traps. Then
 * h->trap.cause is not CAUSE_NONE, h->pc is the address of that operation and nothing of it is
 * done; else h->pc is where to go on. Context: in a slice (R4), no trap pending.
 */
void hart_run_blocks(struct hart *h);

/*
 * csr.c: false, with nothing done: an illegal instruction (exec.c raises it, with its bits). With
 * !write nothing is written, whatever `op`. h->pc is that of the instruction, h->instret is right.
 */
bool hart_csr(struct hart *h, unsigned csr, enum csr_op op, uint64_t operand, bool write,
	      uint64_t *ret);

/*
 * trap.c: an instruction of major opcode SYSTEM with funct3 0, all of them (ecall, ebreak, sret,
 * mret, wfi, sfence.vma, sinval.vma, sfence.w.inval, sfence.inval.ir) and the reserved ones. Called
 * with h->pc at the instruction; true: h->pc is where to go on. False: h->trap is set, h->pc as it
 * was.
 */
bool hart_system(struct hart *h, uint32_t insn);

/*
 * mmu.c: loads and stores that the TLB does not serve: misses, registers, page crossing, pages of
 * code. `size` 1, 2, 4, 8, any alignment. The value is zero-extended. False: h->trap is set, and of
 * a store nothing is done. A store to RAM is followed by tlb_stored().
 */
bool hart_load_slow(struct hart *h, uint64_t va, unsigned size, uint64_t *ret);
bool hart_store_slow(struct hart *h, uint64_t va, unsigned size, uint64_t value);
/* Within a page: translate, and check all of it, but not what lies there. */
bool hart_translate(struct hart *h, uint64_t va, unsigned size, enum access access,
		    uint64_t *ret_pa);

void hart_take_trap(struct hart *h);
bool hart_take_interrupt(struct hart *h);

#endif
