/* SPDX-License-Identifier: MIT */
/*
 * Traps, interrupts and the instructions that return from them or wait for them, by the RISC-V
 * Privileged Architecture 1.12 (sections in the comments), Sstc and Svinval.
 */
#include "support/hart.h"

enum {
	ECALL = 0x00000073,
	EBREAK = 0x00100073,
	SRET = 0x10200073,
	MRET = 0x30200073,
	WFI = 0x10500073,
	SFENCE_VMA = 0x12000073,
	SINVAL_VMA = 0x16000073,
	SFENCE_W_INVAL = 0x18000073,
	SFENCE_INVAL_IR = 0x18100073,
};
enum { MSTATUS = 0x300, MIDELEG = 0x303, MEDELEG = 0x302, MIE = 0x304, MENVCFG = 0x30a };
enum { MTVEC = 0x305, STVEC = 0x105, SIP = 0x144, MIP = 0x344, STIMECMP = 0x14d, SIE = 0x104 };

static bool is_illegal(struct rack *r, uint32_t insn)
{
	const uint64_t pc = r->h.pc;
	const bool done = hart_system(&r->h, insn);

	if (done)
		return false;
	assert_trap(r, CAUSE_ILLEGAL, insn);
	assert_int_equal(r->h.pc, pc);
	return true;
}

static void take(struct rack *r, enum cause cause, uint64_t tval)
{
	hart_raise(&r->h, cause, tval);
	hart_take_trap(&r->h);
}

static void line(struct rack *r, unsigned irq, bool level)
{
	if (level)
		r->h.mip_lines |= IRQ_BIT(irq);
	else
		r->h.mip_lines &= ~IRQ_BIT(irq);
}

/* 3.1.6.1, 3.1.14 to 3.1.16 */
static void exception_goes_to_m_and_stacks_the_mode(void **state)
{
	struct rack *r = *state;

	csr_put(r, MTVEC, 0x80000101); /* vectored, but that is for interrupts */
	csr_put(r, MSTATUS, MSTATUS_MIE);
	rack_priv(r, PRIV_S);
	r->h.pc = 0x80001234;
	take(r, CAUSE_LOAD_PAGE, 0x55);
	assert_int_equal(r->h.priv, PRIV_M);
	assert_int_equal(r->h.pc, 0x80000100);
	assert_int_equal(r->h.mepc, 0x80001234);
	assert_int_equal(r->h.mcause, CAUSE_LOAD_PAGE);
	assert_int_equal(r->h.mtval, 0x55);
	assert_int_equal(r->h.mstatus & (MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE),
			 ((uint64_t)PRIV_S << 11) | MSTATUS_MPIE);
	assert_int_equal(r->h.trap.cause, CAUSE_NONE);
}

/* 3.1.8, 4.1.1 */
static void delegated_exception_goes_to_s_and_leaves_m_alone(void **state)
{
	struct rack *r = *state;

	csr_put(r, MEDELEG, 1 << CAUSE_ECALL_U);
	csr_put(r, STVEC, 0x80000200);
	csr_put(r, MSTATUS, MSTATUS_SIE);
	rack_priv(r, PRIV_U);
	r->h.pc = 0x1000;
	assert_false(hart_system(&r->h, ECALL));
	hart_take_trap(&r->h);
	assert_int_equal(r->h.priv, PRIV_S);
	assert_int_equal(r->h.pc, 0x80000200);
	assert_int_equal(r->h.sepc, 0x1000);
	assert_int_equal(r->h.scause, CAUSE_ECALL_U);
	assert_int_equal(r->h.stval, 0);
	assert_int_equal(r->h.mstatus & (MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE), MSTATUS_SPIE);
	assert_int_equal(r->h.mcause, 0);
	assert_int_equal(r->h.mepc, 0);
}

/* 3.1.8: "Traps never transition from a more-privileged mode to a less-privileged mode." */
static void delegation_is_not_for_m(void **state)
{
	struct rack *r = *state;

	csr_put(r, MEDELEG, UINT64_MAX);
	take(r, CAUSE_ILLEGAL, 0);
	assert_int_equal(r->h.priv, PRIV_M);
	assert_int_equal(r->h.mcause, CAUSE_ILLEGAL);
}

/* 3.1.8: horizontally */
static void trap_from_s_to_s_remembers_s(void **state)
{
	struct rack *r = *state;

	csr_put(r, MEDELEG, 1 << CAUSE_ILLEGAL);
	rack_priv(r, PRIV_S);
	take(r, CAUSE_ILLEGAL, 7);
	assert_int_equal(r->h.priv, PRIV_S);
	assert_true(r->h.mstatus & MSTATUS_SPP);
	assert_int_equal(r->h.stval, 7);
}

/* 3.3.1 */
static void ecall_says_where_it_comes_from_and_ebreak_its_address(void **state)
{
	struct rack *r = *state;

	r->h.pc = 0x80000444;
	assert_false(hart_system(&r->h, ECALL));
	assert_trap(r, CAUSE_ECALL_M, 0);
	rack_priv(r, PRIV_S);
	assert_false(hart_system(&r->h, ECALL));
	assert_trap(r, CAUSE_ECALL_S, 0);
	assert_false(hart_system(&r->h, EBREAK));
	assert_trap(r, CAUSE_BREAKPOINT, 0x80000444);
	assert_int_equal(r->h.pc, 0x80000444);
}

/* 3.1.6.1, 3.1.6.3 */
static void mret_pops_and_clears_mprv_unless_it_stays_in_m(void **state)
{
	struct rack *r = *state;

	r->h.mepc = 0x80000500;
	csr_put(r, MSTATUS, MSTATUS_MPIE | ((uint64_t)PRIV_S << 11) | MSTATUS_MPRV);
	assert_true(hart_system(&r->h, MRET));
	assert_int_equal(r->h.priv, PRIV_S);
	assert_int_equal(r->h.pc, 0x80000500);
	assert_int_equal(r->h.mstatus & (MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV),
			 MSTATUS_MIE | MSTATUS_MPIE);
	rack_priv(r, PRIV_M);
	csr_put(r, MSTATUS, MSTATUS_MPP | MSTATUS_MPRV);
	assert_true(hart_system(&r->h, MRET));
	assert_int_equal(r->h.priv, PRIV_M);
	assert_true(r->h.mstatus & MSTATUS_MPRV);
	assert_false(r->h.mstatus & (MSTATUS_MIE | MSTATUS_MPP));
}

static void sret_pops_and_clears_mprv(void **state)
{
	struct rack *r = *state;

	r->h.sepc = 0x600;
	csr_put(r, MSTATUS, MSTATUS_SPP | MSTATUS_MPRV);
	assert_true(hart_system(&r->h, SRET));
	assert_int_equal(r->h.priv, PRIV_S);
	assert_int_equal(r->h.pc, 0x600);
	assert_int_equal(r->h.mstatus & (MSTATUS_SPP | MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_MPRV),
			 MSTATUS_SPIE);
}

/* 3.3.2, 3.1.6.5 */
static void returns_need_the_privilege(void **state)
{
	struct rack *r = *state;

	rack_priv(r, PRIV_U);
	assert_true(is_illegal(r, MRET));
	assert_true(is_illegal(r, SRET));
	rack_priv(r, PRIV_S);
	assert_true(is_illegal(r, MRET));
	r->h.mstatus |= MSTATUS_TSR;
	assert_true(is_illegal(r, SRET));
	r->h.mstatus &= ~MSTATUS_TSR;
	assert_false(is_illegal(r, SRET));
}

/* 3.1.6.5, 3.3.3 */
static void wfi_is_for_m_and_for_s_without_tw(void **state)
{
	struct rack *r = *state;

	r->h.mstatus |= MSTATUS_TW;
	assert_false(is_illegal(r, WFI));
	assert_true(r->h.waiting);
	assert_int_equal(r->h.pc, RAM_BASE + 4);
	assert_true(r->h.attention & ATTENTION_IRQ);
	rack_priv(r, PRIV_S);
	assert_true(is_illegal(r, WFI));
	r->h.mstatus &= ~MSTATUS_TW;
	assert_false(is_illegal(r, WFI));
	rack_priv(r, PRIV_U);
	assert_true(is_illegal(r, WFI));
}

/* 3.1.6.5, 4.2.1, Svinval */
static void fences_obey_tvm_and_mode(void **state)
{
	struct rack *r = *state;

	rack_priv(r, PRIV_S);
	assert_false(is_illegal(r, SFENCE_VMA));
	assert_false(is_illegal(r, SINVAL_VMA));
	r->h.mstatus |= MSTATUS_TVM;
	assert_true(is_illegal(r, SFENCE_VMA));
	assert_true(is_illegal(r, SINVAL_VMA));
	assert_false(is_illegal(r, SFENCE_W_INVAL));
	assert_false(is_illegal(r, SFENCE_INVAL_IR));
	rack_priv(r, PRIV_U);
	assert_true(is_illegal(r, SFENCE_VMA));
	assert_true(is_illegal(r, SFENCE_W_INVAL));
	rack_priv(r, PRIV_M);
	assert_false(is_illegal(r, SFENCE_VMA));
	r->h.isa.svinval = false;
	assert_true(is_illegal(r, SINVAL_VMA));
	assert_true(is_illegal(r, SFENCE_W_INVAL));
	assert_true(is_illegal(r, 0x10600073)); /* nothing */
}

/* 3.1.9: MEI, MSI, MTI, SEI, SSI, STI */
static void interrupts_of_m_come_in_their_order(void **state)
{
	static const unsigned order[] = {IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI};
	struct rack *r = *state;

	csr_put(r, MTVEC, 0x80000001);
	csr_put(r, MIE, UINT64_MAX);
	for (unsigned i = 0; i < 6; i++)
		line(r, order[i], true);
	for (unsigned i = 0; i < 6; i++) {
		csr_put(r, MSTATUS, MSTATUS_MIE);
		assert_true(hart_take_interrupt(&r->h));
		assert_int_equal(r->h.mcause, CAUSE_INTERRUPT | order[i]);
		assert_int_equal(r->h.pc, 0x80000000 + 4 * order[i]); /* 3.1.7 */
		assert_false(hart_take_interrupt(&r->h));	      /* MIE is clear */
		line(r, order[i], false);
	}
	csr_put(r, MSTATUS, MSTATUS_MIE);
	assert_false(hart_take_interrupt(&r->h));
}

/* 3.1.9: "Interrupts to M-mode take priority over any interrupts to lower privilege modes." */
static void interrupt_for_m_comes_before_a_delegated_one(void **state)
{
	struct rack *r = *state;

	csr_put(r, MIE, UINT64_MAX);
	csr_put(r, MIDELEG, IRQ_BIT(IRQ_SEI));
	line(r, IRQ_SEI, true);
	line(r, IRQ_STI, true); /* not delegated */
	rack_priv(r, PRIV_U);
	assert_true(hart_take_interrupt(&r->h));
	assert_int_equal(r->h.mcause, CAUSE_INTERRUPT | IRQ_STI);
	rack_priv(r, PRIV_U);
	line(r, IRQ_STI, false);
	assert_true(hart_take_interrupt(&r->h));
	assert_int_equal(r->h.scause, CAUSE_INTERRUPT | IRQ_SEI);
	assert_int_equal(r->h.priv, PRIV_S);
}

/* 3.1.9, 4.1.3: global enables of a mode are for that mode alone. */
static void delegated_interrupts_depend_on_the_mode(void **state)
{
	struct rack *r = *state;

	csr_put(r, MIE, UINT64_MAX);
	csr_put(r, MIDELEG, IRQ_BIT(IRQ_SSI));
	line(r, IRQ_SSI, true);
	csr_put(r, MSTATUS, MSTATUS_MIE | MSTATUS_SIE);
	assert_false(hart_take_interrupt(&r->h)); /* never in M */
	rack_priv(r, PRIV_S);
	r->h.mstatus &= ~MSTATUS_SIE;
	assert_false(hart_take_interrupt(&r->h));
	r->h.mstatus |= MSTATUS_SIE;
	assert_true(hart_take_interrupt(&r->h));
	assert_int_equal(r->h.scause, CAUSE_INTERRUPT | IRQ_SSI);
}

static void interrupt_for_m_needs_no_enable_below_m(void **state)
{
	struct rack *r = *state;

	csr_put(r, MIE, IRQ_BIT(IRQ_MTI));
	line(r, IRQ_MTI, true);
	assert_false(hart_take_interrupt(&r->h));
	rack_priv(r, PRIV_S);
	assert_true(hart_take_interrupt(&r->h));
	assert_int_equal(r->h.priv, PRIV_M);
}

/* 3.1.9: "must also be evaluated immediately following ..." */
static void enabling_a_pending_interrupt_asks_for_attention(void **state)
{
	struct rack *r = *state;

	line(r, IRQ_MSI, true);
	r->h.attention = 0;
	csr_put(r, MSTATUS, MSTATUS_MIE);
	assert_int_equal(r->h.attention, 0);
	csr_put(r, MIE, IRQ_BIT(IRQ_MSI));
	assert_int_equal(r->h.attention, ATTENTION_IRQ);
	r->h.attention = 0;
	csr_put(r, MSTATUS, MSTATUS_MPIE); /* not enabled; mret enables it */
	assert_int_equal(r->h.attention, 0);
	assert_true(hart_system(&r->h, MRET));
	assert_int_equal(r->h.attention, ATTENTION_IRQ);
}

/* Sstc 1.1 */
static void stip_is_the_comparison_while_stce(void **state)
{
	struct rack *r = *state;

	csr_put(r, STIMECMP, 100);
	r->now = 100;
	assert_int_equal(csr_get(r, MIP), 0);
	csr_put(r, MENVCFG, MENVCFG_STCE);
	assert_int_equal(csr_get(r, MIP), IRQ_BIT(IRQ_STI));
	r->now = 99;
	assert_int_equal(csr_get(r, MIP), 0);
	csr_put(r, MIP, IRQ_BIT(IRQ_STI)); /* read-only now */
	assert_int_equal(csr_get(r, MIP), 0);
	csr_put(r, MENVCFG, 0);
	csr_put(r, MIP, IRQ_BIT(IRQ_STI));
	assert_int_equal(csr_get(r, MIP), IRQ_BIT(IRQ_STI));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rack_set_up, rack_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exception_goes_to_m_and_stacks_the_mode),
		TEST(delegated_exception_goes_to_s_and_leaves_m_alone),
		TEST(delegation_is_not_for_m),
		TEST(trap_from_s_to_s_remembers_s),
		TEST(ecall_says_where_it_comes_from_and_ebreak_its_address),
		TEST(mret_pops_and_clears_mprv_unless_it_stays_in_m),
		TEST(sret_pops_and_clears_mprv),
		TEST(returns_need_the_privilege),
		TEST(wfi_is_for_m_and_for_s_without_tw),
		TEST(fences_obey_tvm_and_mode),
		TEST(interrupts_of_m_come_in_their_order),
		TEST(interrupt_for_m_comes_before_a_delegated_one),
		TEST(delegated_interrupts_depend_on_the_mode),
		TEST(interrupt_for_m_needs_no_enable_below_m),
		TEST(enabling_a_pending_interrupt_asks_for_attention),
		TEST(stip_is_the_comparison_while_stce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
