/* SPDX-License-Identifier: MIT */
/*
 * The privileged architecture, among its own parts: bits of the CSRs, and what csr.c, trap.c,
 * mmu.c, tlb.c, pmp.c and hart.c want of each other. Sections are those of the RISC-V Privileged
 * Architecture, version 1.12 ("priv"), and of the extensions Sstc, Svinval and CMO.
 */
#ifndef CPU_PRIVILEGED_H
#define CPU_PRIVILEGED_H

#include "cpu/hart.h"

/* mstatus, priv 3.1.6. */
#define MSTATUS_SIE   (UINT64_C(1) << 1)
#define MSTATUS_MIE   (UINT64_C(1) << 3)
#define MSTATUS_SPIE  (UINT64_C(1) << 5)
#define MSTATUS_MPIE  (UINT64_C(1) << 7)
#define MSTATUS_SPP   (UINT64_C(1) << 8)
#define MSTATUS_MPP   (UINT64_C(3) << 11)
#define MSTATUS_FS    (UINT64_C(3) << 13)
#define MSTATUS_MPRV  (UINT64_C(1) << 17)
#define MSTATUS_SUM   (UINT64_C(1) << 18)
#define MSTATUS_MXR   (UINT64_C(1) << 19)
#define MSTATUS_TVM   (UINT64_C(1) << 20)
#define MSTATUS_TW    (UINT64_C(1) << 21)
#define MSTATUS_TSR   (UINT64_C(1) << 22)
#define MSTATUS_UXL64 (UINT64_C(2) << 32)
#define MSTATUS_SXL64 (UINT64_C(2) << 34)
#define MSTATUS_SD    (UINT64_C(1) << 63)

#define MSTATUS_MPP_SHIFT 11

/* menvcfg and senvcfg: priv 3.1.18, CMO 4.1, Sstc 3.1. */
#define ENVCFG_FIOM   (UINT64_C(1) << 0)
#define ENVCFG_CBIE   (UINT64_C(3) << 4)
#define ENVCFG_CBCFE  (UINT64_C(1) << 6)
#define ENVCFG_CBZE   (UINT64_C(1) << 7)
#define MENVCFG_STCE  (UINT64_C(1) << 63)

/* mcounteren, scounteren, mcountinhibit: priv 3.1.11, 3.1.12. */
#define COUNTER_CY (UINT64_C(1) << 0)
#define COUNTER_TM (UINT64_C(1) << 1)
#define COUNTER_IR (UINT64_C(1) << 2)

/* satp, priv 4.1.11. */
#define SATP_MODE(satp) ((unsigned)((satp) >> 60))
#define SATP_PPN	((UINT64_C(1) << 44) - 1)
enum { SATP_BARE = 0, SATP_SV39 = 8, SATP_SV48 = 9, SATP_SV57 = 10 };

#define IRQ_BIT(irq) (UINT64_C(1) << (irq))
#define IRQ_S_BITS   (IRQ_BIT(IRQ_SSI) | IRQ_BIT(IRQ_STI) | IRQ_BIT(IRQ_SEI))
#define IRQ_ALL_BITS (IRQ_S_BITS | IRQ_BIT(IRQ_MSI) | IRQ_BIT(IRQ_MTI) | IRQ_BIT(IRQ_MEI))

#define CAUSE_INTERRUPT (UINT64_C(1) << 63)

/* --- trap.c --------------------------------------------------------------------------------- */

/* mip as software reads it: lines, what software has set, and the supervisor timer. */
uint64_t hart_mip(const struct hart *h);
/* Does any interrupt go to a handler now? */
bool hart_interrupt_is_due(const struct hart *h);
/* To be called when what interrupts depend on has changed: leave the fast path if one is due. */
void hart_notice_interrupts(struct hart *h);

/* --- pmp.c ---------------------------------------------------------------------------------- */

/* As bits of pmpcfg and, shifted by one, of a page table entry. */
enum { PERM_R = 1, PERM_W = 2, PERM_X = 4, PERM_ALL = 7 };

/* False: the register does not exist. */
bool pmp_read(const struct hart *h, unsigned csr, uint64_t *ret);
bool pmp_write(struct hart *h, unsigned csr, uint64_t value);
/*
 * What an access to all of [pa, pa + size - 1] from `priv` may be: PERM_* bits. *ret_partial says
 * that an entry matches only a part: then it may be nothing (priv 3.7.1).
 */
unsigned pmp_permissions(const struct hart *h, uint64_t pa, uint64_t size, enum priv priv,
			 bool *ret_partial);
void pmp_reset(struct hart *h);

/* --- tlb.c ---------------------------------------------------------------------------------- */

/* Tables for all modes, empty; h->map_changes too. */
void tlb_init(struct hart *h);
void tlb_free(struct hart *h);
/* Enter a page: `perms` of PERM_*; `leaf_size` is that of the page table's leaf. */
void tlb_enter(struct hart *h, uint64_t va, uint64_t pa, void *page, unsigned perms, bool fetch,
	       uint64_t leaf_size);
/* sfence.vma: all modes but M, one address or (addr NULL) all. */
void tlb_fence(struct hart *h, const uint64_t *addr);
/* Any thread: what is in [first, last] is not to be used from the next look on. */
void tlb_note_map_change(struct hart *h, uint64_t first, uint64_t last);
/*
 * The hart's thread, in a slice: flush what the notes say. True: there was one, and the blocks are
 * still to be flushed.
 */
bool tlb_look_at_map_changes(struct hart *h);

/* --- hart.c --------------------------------------------------------------------------------- */

void hart_reset(struct hart *h);
/* stimecmp or menvcfg.STCE has changed. */
void hart_arm_timer(struct hart *h);

#endif
