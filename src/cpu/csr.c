/* SPDX-License-Identifier: MIT */
/*
 * Control and status registers (priv 2 to 4; unprivileged specification for fcsr and counters).
 *
 * R1. A CSR that no function here knows is an illegal instruction: software probes by trapping.
 * R2. WARL fields are made legal when they are written; what is stored is what is read.
 * R3. Who changes what interrupts or translations depend on says so at once:
 *     hart_notice_interrupts(), tlb_select(), tlb_flush().
 * R4. Bits of mip have three homes: lines and SSIP in mip_lines, because other threads set them;
 *     SEIP and STIP as software writes them in mip_software; and STIP as the time says (Sstc).
 */
#include "cpu/privileged.h"
#include "cpu/tlb.h"

enum {
	CSR_FFLAGS = 0x001,
	CSR_FRM = 0x002,
	CSR_FCSR = 0x003,
	CSR_SSTATUS = 0x100,
	CSR_SIE = 0x104,
	CSR_STVEC = 0x105,
	CSR_SCOUNTEREN = 0x106,
	CSR_SENVCFG = 0x10a,
	CSR_SSCRATCH = 0x140,
	CSR_SEPC = 0x141,
	CSR_SCAUSE = 0x142,
	CSR_STVAL = 0x143,
	CSR_SIP = 0x144,
	CSR_STIMECMP = 0x14d,
	CSR_SATP = 0x180,
	CSR_MSTATUS = 0x300,
	CSR_MISA = 0x301,
	CSR_MEDELEG = 0x302,
	CSR_MIDELEG = 0x303,
	CSR_MIE = 0x304,
	CSR_MTVEC = 0x305,
	CSR_MCOUNTEREN = 0x306,
	CSR_MENVCFG = 0x30a,
	CSR_MCOUNTINHIBIT = 0x320,
	CSR_MHPMEVENT3 = 0x323,
	CSR_MHPMEVENT31 = 0x33f,
	CSR_MSCRATCH = 0x340,
	CSR_MEPC = 0x341,
	CSR_MCAUSE = 0x342,
	CSR_MTVAL = 0x343,
	CSR_MIP = 0x344,
	CSR_PMPCFG0 = 0x3a0,
	CSR_PMPADDR63 = 0x3ef,
	CSR_MCYCLE = 0xb00,
	CSR_MINSTRET = 0xb02,
	CSR_MHPMCOUNTER3 = 0xb03,
	CSR_MHPMCOUNTER31 = 0xb1f,
	CSR_CYCLE = 0xc00,
	CSR_TIME = 0xc01,
	CSR_INSTRET = 0xc02,
	CSR_HPMCOUNTER3 = 0xc03,
	CSR_HPMCOUNTER31 = 0xc1f,
	CSR_MVENDORID = 0xf11,
	CSR_MARCHID = 0xf12,
	CSR_MIMPID = 0xf13,
	CSR_MHARTID = 0xf14,
	CSR_MCONFIGPTR = 0xf15,
};

#define SSTATUS_WRITABLE                                                                           \
	(MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)
#define SSTATUS_READABLE (SSTATUS_WRITABLE | MSTATUS_UXL64 | MSTATUS_SD)
#define MSTATUS_WRITABLE                                                                           \
	(SSTATUS_WRITABLE | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV |              \
	 MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR)

/* All but ecall from M, and the reserved ones (priv 3.1.8). */
#define MEDELEG_WRITABLE UINT64_C(0xb3ff)

/* --- Who may ------------------------------------------------------------------------------- */

/* priv 3.1.11 and 4.1.5: each less privileged mode needs the leave of those above it. */
static bool counter_permitted(const struct hart *h, uint64_t bit)
{
	return h->priv == PRIV_M ||
	       ((h->mcounteren & bit) && (h->priv == PRIV_S || (h->scounteren & bit)));
}

/* Sstc 2.1: S-mode needs mcounteren.TM and menvcfg.STCE. */
static bool stimecmp_permitted(const struct hart *h)
{
	return h->isa.sstc && (h->priv == PRIV_M || ((h->mcounteren & COUNTER_TM) &&
						     (h->menvcfg & MENVCFG_STCE)));
}

/* What the number itself says (priv 2.1), and what other registers forbid. */
static bool access_permitted(const struct hart *h, unsigned csr, bool write)
{
	if (((csr >> 8) & 3) > h->priv || (write && (csr >> 10) == 3))
		return false;
	if (csr >= CSR_FFLAGS && csr <= CSR_FCSR)
		return h->isa.f && hart_fp_enabled(h);
	if (csr == CSR_SATP) /* priv 3.1.6.5 */
		return h->priv == PRIV_M || !(h->mstatus & MSTATUS_TVM);
	if (csr == CSR_STIMECMP)
		return stimecmp_permitted(h);
	if (csr >= CSR_CYCLE && csr <= CSR_HPMCOUNTER31)
		return counter_permitted(h, UINT64_C(1) << (csr - CSR_CYCLE));
	return true;
}

/* --- Counters: cycles are instructions -------------------------------------------------------- */

static uint64_t counter_read(const struct hart *h, uint64_t bit, uint64_t offset)
{
	return h->mcountinhibit & bit ? offset : h->instret + offset;
}

/*
 * The value is there after the instruction that writes it, which itself would count (priv 3.1.10);
 * while inhibited the offset is the value.
 */
static uint64_t counter_offset(const struct hart *h, uint64_t bit, uint64_t value)
{
	return h->mcountinhibit & bit ? value : value - (h->instret + 1);
}

static void write_mcountinhibit(struct hart *h, uint64_t value)
{
	const uint64_t cycle = counter_read(h, COUNTER_CY, h->cycle_offset);
	const uint64_t instret = counter_read(h, COUNTER_IR, h->instret_offset);

	h->mcountinhibit = value & (COUNTER_CY | COUNTER_IR);
	h->cycle_offset = h->mcountinhibit & COUNTER_CY ? cycle : cycle - h->instret;
	h->instret_offset = h->mcountinhibit & COUNTER_IR ? instret : instret - h->instret;
}

/* --- Status and interrupts -------------------------------------------------------------------- */

static void write_mstatus(struct hart *h, uint64_t value, uint64_t writable)
{
	const uint64_t old = h->mstatus;
	uint64_t status;

	if (!h->isa.f)
		writable &= ~MSTATUS_FS;
	if ((value & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT == 2)
		writable &= ~MSTATUS_MPP; /* no such mode */
	status = (old & ~writable) | (value & writable);
	status &= ~MSTATUS_SD;
	if ((status & MSTATUS_FS) == MSTATUS_FS)
		status |= MSTATUS_SD;
	h->mstatus = status;
	if ((old ^ status) & MSTATUS_MXR)
		tlb_flush(h); /* entries hold what MXR permitted */
	if ((old ^ status) & (MSTATUS_MPRV | MSTATUS_MPP | MSTATUS_SUM))
		tlb_select(h);
	hart_notice_interrupts(h);
}

/* mip.SSIP, which lives with the lines (R4). */
static void write_ssip(struct hart *h, bool set)
{
	/* Relaxed: the hart's own bit; lines that set it publish with their attention. */
	if (set)
		atomic_fetch_or_explicit(&h->mip_lines, IRQ_BIT(IRQ_SSI), memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&h->mip_lines, ~IRQ_BIT(IRQ_SSI), memory_order_relaxed);
}

/* priv 3.1.9: M-level bits are read-only; STIP too while stimecmp drives it (Sstc 1.1). */
static uint64_t mip_writable(const struct hart *h)
{
	const bool stce = h->menvcfg & MENVCFG_STCE;

	return IRQ_BIT(IRQ_SSI) | IRQ_BIT(IRQ_SEI) | (stce ? 0 : IRQ_BIT(IRQ_STI));
}

/* What csrrs and csrrc of mip change: not the signals from outside (priv 3.1.9, SEIP). */
static uint64_t mip_stored(const struct hart *h)
{
	const uint64_t lines = atomic_load_explicit(&h->mip_lines, memory_order_relaxed);

	return (lines & IRQ_BIT(IRQ_SSI)) | h->mip_software;
}

static void write_mip(struct hart *h, uint64_t value, uint64_t writable)
{
	const uint64_t software = writable & (IRQ_BIT(IRQ_STI) | IRQ_BIT(IRQ_SEI));

	if (writable & IRQ_BIT(IRQ_SSI))
		write_ssip(h, value & IRQ_BIT(IRQ_SSI));
	h->mip_software = (h->mip_software & ~software) | (value & software);
	hart_notice_interrupts(h);
}

static void write_mie(struct hart *h, uint64_t value, uint64_t writable)
{
	h->mie = (h->mie & ~writable) | (value & writable);
	hart_notice_interrupts(h);
}

/* --- Trap vectors, environment, translation --------------------------------------------------- */

/* priv 3.1.7: modes above vectored are reserved; such a write does nothing. */
static void write_tvec(uint64_t *tvec, uint64_t value)
{
	if ((value & 3) <= 1)
		*tvec = value;
}

/* Instructions are aligned to 2 bytes, or to 4 without C (priv 3.1.14). */
static uint64_t legal_epc(const struct hart *h, uint64_t value)
{
	return value & ~(h->isa.c ? UINT64_C(1) : UINT64_C(3));
}

static uint64_t legal_envcfg(const struct hart *h, uint64_t old, uint64_t value, uint64_t writable)
{
	if (!h->isa.zicbom)
		writable &= ~(ENVCFG_CBIE | ENVCFG_CBCFE);
	if (!h->isa.zicboz)
		writable &= ~ENVCFG_CBZE;
	if ((value & ENVCFG_CBIE) == UINT64_C(2) << 4)
		writable &= ~ENVCFG_CBIE; /* reserved */
	return (old & ~writable) | (value & writable);
}

static void write_menvcfg(struct hart *h, uint64_t value)
{
	const uint64_t writable = ENVCFG_FIOM | ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE |
				  (h->isa.sstc ? MENVCFG_STCE : 0);

	h->menvcfg = legal_envcfg(h, h->menvcfg, value, writable);
	hart_arm_timer(h);
	hart_notice_interrupts(h);
}

static bool satp_mode_exists(const struct hart *h, unsigned mode)
{
	return mode == SATP_BARE || mode == SATP_SV39 || (mode == SATP_SV48 && h->isa.sv48) ||
	       (mode == SATP_SV57 && h->isa.sv57);
}

/* priv 4.1.11: a mode that is not there makes the whole write one that does nothing. */
static void write_satp(struct hart *h, uint64_t value)
{
	if (!satp_mode_exists(h, SATP_MODE(value)))
		return;
	if (SATP_MODE(value) == SATP_BARE)
		value = 0;
	if (h->satp == value)
		return;
	h->satp = value;
	tlb_fence(h, NULL); /* entries carry no address space identifier */
	tlb_select(h);
}

static void write_fcsr(struct hart *h, unsigned csr, uint64_t value)
{
	if (csr == CSR_FCSR)
		h->frm = (value >> 5) & 7;
	else if (csr == CSR_FRM)
		h->frm = value & 7;
	if (csr != CSR_FRM)
		h->fflags = value & 0x1f;
	hart_fp_dirty(h);
}

/* Letters of the extensions, and MXL for 64 bits (priv 3.1.1). */
static uint64_t misa(const struct hart *h)
{
	const struct cpu_isa *const isa = &h->isa;

#define LETTER(letter) (UINT64_C(1) << ((letter) - 'A'))
	return UINT64_C(2) << 62 | LETTER('I') | LETTER('M') | LETTER('A') | LETTER('S') |
	       LETTER('U') | (isa->f ? LETTER('F') : 0) | (isa->d ? LETTER('D') : 0) |
	       (isa->c ? LETTER('C') : 0);
#undef LETTER
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* Those that are what one field holds; NULL: another. */
static uint64_t *plain_register(struct hart *h, unsigned csr)
{
	switch (csr) {
	case CSR_STVEC: return &h->stvec;
	case CSR_SCOUNTEREN: return &h->scounteren;
	case CSR_SENVCFG: return &h->senvcfg;
	case CSR_SSCRATCH: return &h->sscratch;
	case CSR_SEPC: return &h->sepc;
	case CSR_SCAUSE: return &h->scause;
	case CSR_STVAL: return &h->stval;
	case CSR_STIMECMP: return &h->stimecmp;
	case CSR_SATP: return &h->satp;
	case CSR_MSTATUS: return &h->mstatus;
	case CSR_MEDELEG: return &h->medeleg;
	case CSR_MIDELEG: return &h->mideleg;
	case CSR_MIE: return &h->mie;
	case CSR_MTVEC: return &h->mtvec;
	case CSR_MCOUNTEREN: return &h->mcounteren;
	case CSR_MENVCFG: return &h->menvcfg;
	case CSR_MCOUNTINHIBIT: return &h->mcountinhibit;
	case CSR_MSCRATCH: return &h->mscratch;
	case CSR_MEPC: return &h->mepc;
	case CSR_MCAUSE: return &h->mcause;
	case CSR_MTVAL: return &h->mtval;
	default: return NULL;
	}
}

/* Event counters and selectors: read-only 0 (priv 3.1.10). */
static bool is_zero(unsigned csr)
{
	return (csr >= CSR_MHPMCOUNTER3 && csr <= CSR_MHPMCOUNTER31) ||
	       (csr >= CSR_HPMCOUNTER3 && csr <= CSR_HPMCOUNTER31) ||
	       (csr >= CSR_MHPMEVENT3 && csr <= CSR_MHPMEVENT31);
}

/* Those that are put together; false: there is no such register. */
static bool read_other(const struct hart *h, unsigned csr, uint64_t *ret)
{
	switch (csr) {
	case CSR_FFLAGS:
		*ret = h->fflags;
		return true;
	case CSR_FRM:
		*ret = h->frm;
		return true;
	case CSR_FCSR:
		*ret = (uint64_t)h->frm << 5 | h->fflags;
		return true;
	case CSR_SSTATUS:
		*ret = h->mstatus & SSTATUS_READABLE;
		return true;
	case CSR_SIE:
		*ret = h->mie & h->mideleg;
		return true;
	case CSR_SIP:
		*ret = hart_mip(h) & h->mideleg;
		return true;
	case CSR_MIP:
		*ret = hart_mip(h);
		return true;
	case CSR_MISA:
		*ret = misa(h);
		return true;
	case CSR_MCYCLE:
	case CSR_CYCLE:
		*ret = counter_read(h, COUNTER_CY, h->cycle_offset);
		return true;
	case CSR_MINSTRET:
	case CSR_INSTRET:
		*ret = counter_read(h, COUNTER_IR, h->instret_offset);
		return true;
	case CSR_TIME:
		*ret = h->time(h->time_arg);
		return true;
	case CSR_MHARTID:
		*ret = h->id;
		return true;
	case CSR_MVENDORID:
	case CSR_MARCHID:
	case CSR_MIMPID:
	case CSR_MCONFIGPTR:
		*ret = 0;
		return true;
	default:
		*ret = 0;
		return is_zero(csr) ||
		       (csr >= CSR_PMPCFG0 && csr <= CSR_PMPADDR63 && pmp_read(h, csr, ret));
	}
}

/* --- Writing ---------------------------------------------------------------------------------- */

static bool write_supervisor(struct hart *h, unsigned csr, uint64_t value)
{
	switch (csr) {
	case CSR_SSTATUS:
		write_mstatus(h, value, SSTATUS_WRITABLE);
		return true;
	case CSR_SIE:
		write_mie(h, value, h->mideleg);
		return true;
	case CSR_SIP: /* priv 4.1.3: SEIP and STIP are read-only */
		write_mip(h, value, IRQ_BIT(IRQ_SSI) & h->mideleg);
		return true;
	case CSR_STVEC:
		write_tvec(&h->stvec, value);
		return true;
	case CSR_SCOUNTEREN:
		h->scounteren = (uint32_t)value;
		return true;
	case CSR_SENVCFG:
		h->senvcfg = legal_envcfg(h, h->senvcfg, value,
					  ENVCFG_FIOM | ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE);
		return true;
	case CSR_SEPC:
		h->sepc = legal_epc(h, value);
		return true;
	case CSR_STIMECMP:
		h->stimecmp = value;
		hart_arm_timer(h);
		hart_notice_interrupts(h);
		return true;
	case CSR_SATP:
		write_satp(h, value);
		return true;
	default:
		return false;
	}
}

static bool write_machine(struct hart *h, unsigned csr, uint64_t value)
{
	switch (csr) {
	case CSR_MSTATUS:
		write_mstatus(h, value, MSTATUS_WRITABLE);
		return true;
	case CSR_MEDELEG:
		h->medeleg = value & MEDELEG_WRITABLE;
		return true;
	case CSR_MIDELEG:
		h->mideleg = value & IRQ_S_BITS;
		hart_notice_interrupts(h);
		return true;
	case CSR_MIE:
		write_mie(h, value, IRQ_ALL_BITS);
		return true;
	case CSR_MIP:
		write_mip(h, value, mip_writable(h));
		return true;
	case CSR_MTVEC:
		write_tvec(&h->mtvec, value);
		return true;
	case CSR_MCOUNTEREN:
		h->mcounteren = (uint32_t)value;
		return true;
	case CSR_MENVCFG:
		write_menvcfg(h, value);
		return true;
	case CSR_MCOUNTINHIBIT:
		write_mcountinhibit(h, value);
		return true;
	case CSR_MEPC:
		h->mepc = legal_epc(h, value);
		return true;
	case CSR_MCYCLE:
		h->cycle_offset = counter_offset(h, COUNTER_CY, value);
		return true;
	case CSR_MINSTRET:
		h->instret_offset = counter_offset(h, COUNTER_IR, value);
		return true;
	default:
		return false;
	}
}

/* False: it has no effect of its own, and is a plain register or read-only. */
static bool write_special(struct hart *h, unsigned csr, uint64_t value)
{
	if (csr >= CSR_FFLAGS && csr <= CSR_FCSR) {
		write_fcsr(h, csr, value);
		return true;
	}
	if (csr >= CSR_PMPCFG0 && csr <= CSR_PMPADDR63)
		return pmp_write(h, csr, value);
	return write_supervisor(h, csr, value) || write_machine(h, csr, value);
}

bool hart_csr(struct hart *h, unsigned csr, enum csr_op op, uint64_t operand, bool write,
	      uint64_t *ret)
{
	uint64_t *const plain = plain_register(h, csr);
	uint64_t old, base;

	if (!access_permitted(h, csr, write))
		return false;
	if (plain)
		old = *plain;
	else if (!read_other(h, csr, &old))
		return false;
	*ret = old;
	if (!write)
		return true;
	base = csr == CSR_MIP ? mip_stored(h) : old;
	if (op == CSR_SET)
		operand = base | operand;
	else if (op == CSR_CLEAR)
		operand = base & ~operand;
	if (!write_special(h, csr, operand) && plain)
		*plain = operand;
	return true;
}
