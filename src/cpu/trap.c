/* SPDX-License-Identifier: MIT */
/*
 * Traps: how they are taken, delegated and returned from, which interrupt comes first, and the
 * instructions of the SYSTEM opcode that are no CSR accesses (priv 3.1.6 to 3.1.9, 3.3, 4.2).
 *
 * R1. An exception is pending in h->trap with h->pc at its instruction, and taken by
 *     hart_take_trap(), once.
 * R2. What changes the privilege mode selects the TLBs and looks at the interrupts again.
 */
#include "cpu/privileged.h"
#include "cpu/tlb.h"

/* priv 3.1.9: in falling order of priority. */
static const uint8_t irq_order[] = {IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI};

#define INSN_ECALL	     0x00000073
#define INSN_EBREAK	     0x00100073
#define INSN_SRET	     0x10200073
#define INSN_MRET	     0x30200073
#define INSN_WFI	     0x10500073
#define INSN_SFENCE_W_INVAL  0x18000073
#define INSN_SFENCE_INVAL_IR 0x18100073
/* rs1 and rs2 are free. */
#define INSN_FENCE_MASK	 0xfe007fff
#define INSN_SFENCE_VMA	 0x12000073
#define INSN_SINVAL_VMA	 0x16000073

/* --- Interrupts ------------------------------------------------------------------------------- */

uint64_t hart_mip(const struct hart *h)
{
	/* Acquire: of the release that set a line, so that what its device did is seen. */
	uint64_t mip = atomic_load_explicit(&h->mip_lines, memory_order_acquire);

	mip |= h->mip_software;
	if (h->menvcfg & MENVCFG_STCE) { /* Sstc 1.1 */
		mip &= ~IRQ_BIT(IRQ_STI);
		if (h->stimecmp != UINT64_MAX && h->time(h->time_arg) >= h->stimecmp)
			mip |= IRQ_BIT(IRQ_STI);
	}
	return mip;
}

/* Those that go to a handler now, of M-mode or else of S-mode (priv 3.1.9, 4.1.3). */
static uint64_t due_interrupts(const struct hart *h)
{
	const bool m_enabled = h->priv < PRIV_M || (h->mstatus & MSTATUS_MIE);
	const bool s_enabled = h->priv < PRIV_S ||
			       (h->priv == PRIV_S && (h->mstatus & MSTATUS_SIE));
	uint64_t pending;

	/* Without an enabled one there is no need to ask for the time. */
	if (h->mie == 0 || (!m_enabled && !s_enabled))
		return 0;
	pending = hart_mip(h) & h->mie;
	if (m_enabled && (pending & ~h->mideleg))
		return pending & ~h->mideleg;
	return s_enabled ? pending & h->mideleg : 0;
}

bool hart_interrupt_is_due(const struct hart *h)
{
	return due_interrupts(h) != 0;
}

void hart_notice_interrupts(struct hart *h)
{
	/* Relaxed: for the hart's own eyes. */
	if (due_interrupts(h))
		atomic_fetch_or_explicit(&h->attention, ATTENTION_IRQ, memory_order_relaxed);
}

/* --- Taking ----------------------------------------------------------------------------------- */

static uint64_t vector(uint64_t tvec, uint64_t cause)
{
	const uint64_t base = tvec & ~UINT64_C(3);

	return (tvec & 1) && (cause & CAUSE_INTERRUPT) ? base + 4 * (cause & ~CAUSE_INTERRUPT)
						       : base;
}

static void enter_s(struct hart *h, uint64_t cause, uint64_t tval)
{
	uint64_t status = h->mstatus & ~(MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SIE);

	if (h->mstatus & MSTATUS_SIE)
		status |= MSTATUS_SPIE;
	if (h->priv == PRIV_S)
		status |= MSTATUS_SPP;
	h->mstatus = status;
	h->scause = cause;
	h->sepc = h->pc;
	h->stval = tval;
	h->priv = PRIV_S;
	h->pc = vector(h->stvec, cause);
}

static void enter_m(struct hart *h, uint64_t cause, uint64_t tval)
{
	uint64_t status = h->mstatus & ~(MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MIE);

	if (h->mstatus & MSTATUS_MIE)
		status |= MSTATUS_MPIE;
	status |= (uint64_t)h->priv << MSTATUS_MPP_SHIFT;
	h->mstatus = status;
	h->mcause = cause;
	h->mepc = h->pc;
	h->mtval = tval;
	h->priv = PRIV_M;
	h->pc = vector(h->mtvec, cause);
}

/* priv 3.1.8: never from M to S. */
static void enter(struct hart *h, uint64_t cause, uint64_t tval)
{
	const uint64_t deleg = cause & CAUSE_INTERRUPT ? h->mideleg : h->medeleg;
	const bool to_s = h->priv <= PRIV_S && ((deleg >> (cause & 63)) & 1);

	if (h->trace)
		h->trace(h->trace_arg, h->id, cause, h->pc, tval, to_s ? PRIV_S : PRIV_M);
	if (to_s)
		enter_s(h, cause, tval);
	else
		enter_m(h, cause, tval);
	h->waiting = false;
	tlb_select(h);
	hart_notice_interrupts(h); /* one for M may be due in the handler of S */
}

void hart_take_trap(struct hart *h)
{
	const struct trap trap = h->trap;

	h->trap.cause = CAUSE_NONE;
	enter(h, trap.cause, trap.tval);
}

bool hart_take_interrupt(struct hart *h)
{
	const uint64_t due = due_interrupts(h);

	if (!due)
		return false;
	for (unsigned i = 0; i < sizeof(irq_order); i++) {
		if (due & IRQ_BIT(irq_order[i])) {
			enter(h, CAUSE_INTERRUPT | irq_order[i], 0);
			return true;
		}
	}
	return false;
}

/* --- Instructions ----------------------------------------------------------------------------- */

static bool illegal(struct hart *h, uint32_t insn)
{
	hart_raise(h, CAUSE_ILLEGAL, insn);
	return false;
}

static bool return_to(struct hart *h, enum priv priv, uint64_t pc)
{
	if (priv != PRIV_M)
		h->mstatus &= ~MSTATUS_MPRV;
	h->priv = priv;
	h->pc = pc;
	h->reservation = UINT64_MAX; /* priv 3.3.2 allows it */
	tlb_select(h);
	hart_notice_interrupts(h);
	return true;
}

/* priv 3.1.6.1, 3.3.2 */
static bool mret(struct hart *h, uint32_t insn)
{
	const enum priv priv = (h->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT;
	uint64_t status = h->mstatus & ~(MSTATUS_MIE | MSTATUS_MPP);

	if (h->priv != PRIV_M)
		return illegal(h, insn);
	if (h->mstatus & MSTATUS_MPIE)
		status |= MSTATUS_MIE;
	h->mstatus = status | MSTATUS_MPIE;
	return return_to(h, priv, h->mepc);
}

static bool sret(struct hart *h, uint32_t insn)
{
	const enum priv priv = h->mstatus & MSTATUS_SPP ? PRIV_S : PRIV_U;
	uint64_t status = h->mstatus & ~(MSTATUS_SIE | MSTATUS_SPP);

	if (h->priv == PRIV_U || (h->priv == PRIV_S && (h->mstatus & MSTATUS_TSR)))
		return illegal(h, insn);
	if (h->mstatus & MSTATUS_SPIE)
		status |= MSTATUS_SIE;
	h->mstatus = status | MSTATUS_SPIE;
	return return_to(h, priv, h->sepc);
}

/*
 * priv 3.3.3: it ends when an enabled interrupt is pending, whatever mstatus.xIE and mideleg say.
 * In U-mode, and in S-mode with TW, there is no time limit within which it completes.
 */
static bool wfi(struct hart *h, uint32_t insn)
{
	if (h->priv == PRIV_U || (h->priv == PRIV_S && (h->mstatus & MSTATUS_TW)))
		return illegal(h, insn);
	h->pc += 4;
	h->waiting = true;
	/* Relaxed: for the hart's own eyes. */
	atomic_fetch_or_explicit(&h->attention, ATTENTION_IRQ, memory_order_relaxed);
	return true;
}

/* priv 4.2.1; sinval.vma is as strong (Svinval). Address space identifiers: all are meant. */
static bool fence(struct hart *h, uint32_t insn)
{
	const unsigned rs1 = (insn >> 15) & 31;
	const bool is_sinval = (insn & INSN_FENCE_MASK) == INSN_SINVAL_VMA;

	if (h->priv == PRIV_U || (h->priv == PRIV_S && (h->mstatus & MSTATUS_TVM)) ||
	    (is_sinval && !h->isa.svinval))
		return illegal(h, insn);
	tlb_fence(h, rs1 ? &h->x[rs1] : NULL);
	h->pc += 4;
	return true;
}

/* Svinval: sfence.w.inval and sfence.inval.ir; sinval.vma has done it all. */
static bool svinval_fence(struct hart *h, uint32_t insn)
{
	if (!h->isa.svinval || h->priv == PRIV_U)
		return illegal(h, insn);
	h->pc += 4;
	return true;
}

bool hart_system(struct hart *h, uint32_t insn)
{
	switch (insn) {
	case INSN_ECALL:
		hart_raise(h, CAUSE_ECALL_U + h->priv, 0);
		return false;
	case INSN_EBREAK:
		hart_raise(h, CAUSE_BREAKPOINT, h->pc);
		return false;
	case INSN_SRET:
		return sret(h, insn);
	case INSN_MRET:
		return mret(h, insn);
	case INSN_WFI:
		return wfi(h, insn);
	case INSN_SFENCE_W_INVAL:
	case INSN_SFENCE_INVAL_IR:
		return svinval_fence(h, insn);
	default:
		break;
	}
	if ((insn & INSN_FENCE_MASK) == INSN_SFENCE_VMA ||
	    (insn & INSN_FENCE_MASK) == INSN_SINVAL_VMA)
		return fence(h, insn);
	return illegal(h, insn);
}
