/* SPDX-License-Identifier: MIT */
/*
 * Control and status registers, by the RISC-V Privileged Architecture 1.12 (sections in the
 * comments), the unprivileged specification ("F"), Sstc and the CMO extensions.
 */
#include "support/hart.h"

enum {
	FFLAGS = 0x001, FRM = 0x002, FCSR = 0x003,
	SSTATUS = 0x100, SIE = 0x104, STVEC = 0x105, SCOUNTEREN = 0x106, SENVCFG = 0x10a,
	SEPC = 0x141, SIP = 0x144, STIMECMP = 0x14d, SATP = 0x180,
	MSTATUS = 0x300, MISA = 0x301, MEDELEG = 0x302, MIDELEG = 0x303, MIE = 0x304,
	MTVEC = 0x305, MCOUNTEREN = 0x306, MENVCFG = 0x30a, MCOUNTINHIBIT = 0x320,
	MSCRATCH = 0x340, MEPC = 0x341, MIP = 0x344, TSELECT = 0x7a0, MSECCFG = 0x747,
	MCYCLE = 0xb00, MINSTRET = 0xb02, MHPMCOUNTER3 = 0xb03, CYCLE = 0xc00, TIME = 0xc01,
	INSTRET = 0xc02, HPMCOUNTER3 = 0xc03, MVENDORID = 0xf11, MHARTID = 0xf14,
	MCONFIGPTR = 0xf15,
};

/* 2.1: bits 9:8 say the lowest mode, bits 11:10 what is read-only. */
static void number_says_who_may(void **state)
{
	struct rack *r = *state;

	assert_true(csr_reads(r, MSCRATCH));
	rack_priv(r, PRIV_S);
	assert_false(csr_reads(r, MSCRATCH));
	assert_true(csr_reads(r, SSTATUS));
	rack_priv(r, PRIV_U);
	assert_false(csr_reads(r, SSTATUS));
}

static void read_only_register_can_be_read_but_not_written(void **state)
{
	struct rack *r = *state;

	r->h.id = 3;
	assert_int_equal(csr_get(r, MHARTID), 3);
	assert_false(csr_writes(r, MHARTID, 0));
	assert_int_equal(csr_get(r, MVENDORID), 0);
	assert_int_equal(csr_get(r, MCONFIGPTR), 0);
	assert_false(csr_writes(r, CYCLE, 0));
}

static void unknown_registers_are_illegal(void **state)
{
	static const uint16_t unknown[] = {0x000, 0x004, 0x102, TSELECT, MSECCFG, 0x310, 0x31a,
					   0x34a, 0x34b, 0x600, 0xc80, 0xda0, 0xfb0, 0xfff};
	struct rack *r = *state;

	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_false(csr_reads(r, unknown[i]));
		assert_false(csr_writes(r, unknown[i], 0));
	}
}

static void set_and_clear_change_the_bits_of_the_operand(void **state)
{
	struct rack *r = *state;
	uint64_t old;

	csr_put(r, MSCRATCH, 0xf0);
	assert_true(hart_csr(&r->h, MSCRATCH, CSR_SET, 0x0f, true, &old));
	assert_int_equal(old, 0xf0);
	assert_true(hart_csr(&r->h, MSCRATCH, CSR_CLEAR, 0x11, true, &old));
	assert_int_equal(old, 0xff);
	assert_int_equal(csr_get(r, MSCRATCH), 0xee);
}

/* 3.1.6 */
static void mstatus_has_legal_values_only(void **state)
{
	const uint64_t xl = MSTATUS_UXL64 | MSTATUS_SXL64;
	struct rack *r = *state;

	assert_int_equal(csr_get(r, MSTATUS), xl);
	csr_put(r, MSTATUS, UINT64_MAX);
	assert_int_equal(csr_get(r, MSTATUS), xl | MSTATUS_SD | 0x7e79aa);
	csr_put(r, MSTATUS, UINT64_C(2) << 11); /* no such mode: MPP stays */
	assert_int_equal(csr_get(r, MSTATUS), xl | MSTATUS_MPP);
	csr_put(r, MSTATUS, UINT64_C(1) << 13); /* FS Initial */
	assert_int_equal(csr_get(r, MSTATUS), xl | UINT64_C(1) << 13);
}

/* 4.1.1 */
static void sstatus_is_a_part_of_mstatus(void **state)
{
	struct rack *r = *state;

	csr_put(r, MSTATUS, MSTATUS_MIE | MSTATUS_TVM | MSTATUS_MPRV);
	csr_put(r, SSTATUS, UINT64_MAX);
	assert_int_equal(csr_get(r, SSTATUS), MSTATUS_UXL64 | MSTATUS_SD | 0xc6122);
	assert_int_equal(csr_get(r, MSTATUS) & (MSTATUS_MIE | MSTATUS_TVM | MSTATUS_MPRV),
			 MSTATUS_MIE | MSTATUS_TVM | MSTATUS_MPRV);
	csr_put(r, SSTATUS, 0);
	assert_int_equal(csr_get(r, MSTATUS) & (MSTATUS_MIE | MSTATUS_SD), MSTATUS_MIE);
}

/* 3.1.1 */
static void misa_says_the_letters_and_ignores_writes(void **state)
{
	struct rack *r = *state;

	assert_int_equal(csr_get(r, MISA), UINT64_C(0x800000000014112d));
	csr_put(r, MISA, 0);
	assert_int_equal(csr_get(r, MISA), UINT64_C(0x800000000014112d));
	r->h.isa.f = r->h.isa.d = r->h.isa.c = false;
	assert_int_equal(csr_get(r, MISA), UINT64_C(0x8000000000141101));
}

/* 3.1.6.6 and "F": off, everything of floating point is illegal; a write makes it dirty. */
static void fcsr_needs_fs_and_makes_it_dirty(void **state)
{
	struct rack *r = *state;

	assert_false(csr_reads(r, FCSR));
	csr_put(r, MSTATUS, UINT64_C(1) << 13);
	rack_priv(r, PRIV_U);
	assert_int_equal(csr_get(r, FCSR), 0);
	assert_int_equal(r->h.mstatus & MSTATUS_FS, UINT64_C(1) << 13);
	csr_put(r, FCSR, 0xfff);
	assert_int_equal(csr_get(r, FCSR), 0xff);
	assert_int_equal(csr_get(r, FRM), 7);
	csr_put(r, FRM, 2);
	csr_put(r, FFLAGS, 0x21);
	assert_int_equal(csr_get(r, FCSR), 0x41);
	assert_int_equal(r->h.mstatus & (MSTATUS_FS | MSTATUS_SD), MSTATUS_FS | MSTATUS_SD);
}

static void without_f_there_is_no_fs(void **state)
{
	struct rack *r = *state;

	r->h.isa.f = r->h.isa.d = false;
	csr_put(r, MSTATUS, MSTATUS_FS);
	assert_int_equal(csr_get(r, MSTATUS) & (MSTATUS_FS | MSTATUS_SD), 0);
	assert_false(csr_reads(r, FCSR));
}

/* 3.1.8 */
static void delegation_registers_have_what_can_be_delegated(void **state)
{
	struct rack *r = *state;

	csr_put(r, MEDELEG, UINT64_MAX);
	assert_int_equal(csr_get(r, MEDELEG), 0xb3ff); /* not ecall from M */
	csr_put(r, MIDELEG, UINT64_MAX);
	assert_int_equal(csr_get(r, MIDELEG), 0x222);
}

/* 3.1.9, 4.1.3 */
static void sie_and_sip_show_what_is_delegated(void **state)
{
	struct rack *r = *state;

	csr_put(r, MIE, UINT64_MAX);
	assert_int_equal(csr_get(r, MIE), 0xaaa);
	assert_int_equal(csr_get(r, SIE), 0);
	csr_put(r, MIP, UINT64_MAX);
	assert_int_equal(csr_get(r, MIP), 0x222);
	assert_int_equal(csr_get(r, SIP), 0);
	csr_put(r, MIDELEG, 0x202);
	assert_int_equal(csr_get(r, SIE), 0x202);
	assert_int_equal(csr_get(r, SIP), 0x202);
	csr_put(r, SIE, 0);
	assert_int_equal(csr_get(r, MIE), 0x8a8 | 0x020);
	csr_put(r, SIP, 0); /* of which only SSIP is S-mode's to clear */
	assert_int_equal(csr_get(r, MIP), 0x220);
}

/* 3.1.9: "the signal from the external interrupt controller is not used to calculate ..." */
static void csrrs_of_mip_does_not_store_the_signal_of_seip(void **state)
{
	struct rack *r = *state;
	uint64_t old;

	r->h.mip_lines = IRQ_BIT(IRQ_SEI) | IRQ_BIT(IRQ_MTI);
	assert_true(hart_csr(&r->h, MIP, CSR_SET, IRQ_BIT(IRQ_SSI), true, &old));
	assert_int_equal(old, IRQ_BIT(IRQ_SEI) | IRQ_BIT(IRQ_MTI));
	r->h.mip_lines &= ~IRQ_BIT(IRQ_SEI);
	assert_int_equal(csr_get(r, MIP), IRQ_BIT(IRQ_SSI) | IRQ_BIT(IRQ_MTI));
	csr_put(r, MIP, 0); /* lines are read-only */
	assert_int_equal(csr_get(r, MIP), IRQ_BIT(IRQ_MTI));
}

/* 3.1.7, 3.1.14 */
static void vectors_and_pcs_are_aligned(void **state)
{
	struct rack *r = *state;

	csr_put(r, MTVEC, 0x80000001);
	assert_int_equal(csr_get(r, MTVEC), 0x80000001);
	csr_put(r, MTVEC, 0x90000002); /* reserved mode */
	assert_int_equal(csr_get(r, MTVEC), 0x80000001);
	csr_put(r, MEPC, 0x1003);
	assert_int_equal(csr_get(r, MEPC), 0x1002);
	r->h.isa.c = false;
	csr_put(r, SEPC, 0x1003);
	assert_int_equal(csr_get(r, SEPC), 0x1000);
}

/* 3.1.10 to 3.1.12, 4.1.5 */
static void counters_need_leave_from_above(void **state)
{
	struct rack *r = *state;

	r->now = 77;
	assert_int_equal(csr_get(r, TIME), 77);
	rack_priv(r, PRIV_S);
	assert_false(csr_reads(r, TIME));
	r->h.mcounteren = COUNTER_TM;
	assert_int_equal(csr_get(r, TIME), 77);
	assert_false(csr_reads(r, CYCLE));
	rack_priv(r, PRIV_U);
	assert_false(csr_reads(r, TIME));
	r->h.scounteren = COUNTER_TM;
	assert_true(csr_reads(r, TIME));
	r->h.mcounteren = 0;
	assert_false(csr_reads(r, TIME));
}

static void written_counter_counts_on_after_the_instruction(void **state)
{
	struct rack *r = *state;

	r->h.instret = 1000;
	csr_put(r, MINSTRET, 5);
	r->h.instret++; /* the write itself */
	assert_int_equal(csr_get(r, MINSTRET), 5);
	r->h.instret += 10;
	assert_int_equal(csr_get(r, INSTRET), 15);
	assert_int_equal(csr_get(r, MCYCLE), 1011);
}

static void inhibited_counter_stands_still(void **state)
{
	struct rack *r = *state;

	r->h.instret = 50;
	csr_put(r, MCOUNTINHIBIT, UINT64_MAX);
	assert_int_equal(csr_get(r, MCOUNTINHIBIT), COUNTER_CY | COUNTER_IR);
	r->h.instret = 90;
	assert_int_equal(csr_get(r, MINSTRET), 50);
	csr_put(r, MCYCLE, 7);
	csr_put(r, MCOUNTINHIBIT, 0);
	r->h.instret = 100;
	assert_int_equal(csr_get(r, MINSTRET), 60);
	assert_int_equal(csr_get(r, MCYCLE), 17);
}

static void event_counters_are_zero(void **state)
{
	struct rack *r = *state;

	csr_put(r, MHPMCOUNTER3, 9);
	assert_int_equal(csr_get(r, MHPMCOUNTER3), 0);
	csr_put(r, 0x323, 9);
	assert_int_equal(csr_get(r, 0x323), 0);
	assert_int_equal(csr_get(r, HPMCOUNTER3), 0);
}

/* 4.1.11 */
static void satp_with_a_mode_that_is_not_there_is_not_written(void **state)
{
	struct rack *r = *state;

	csr_put(r, SATP, UINT64_C(8) << 60 | 0x80000);
	csr_put(r, SATP, UINT64_C(11) << 60);
	assert_int_equal(csr_get(r, SATP), UINT64_C(8) << 60 | 0x80000);
	csr_put(r, SATP, UINT64_C(10) << 60 | UINT64_C(0xffff) << 44);
	assert_int_equal(csr_get(r, SATP), UINT64_C(10) << 60 | UINT64_C(0xffff) << 44);
	r->h.isa.sv57 = false;
	csr_put(r, SATP, UINT64_C(9) << 60);
	csr_put(r, SATP, UINT64_C(10) << 60);
	assert_int_equal(csr_get(r, SATP), UINT64_C(9) << 60);
	csr_put(r, SATP, 0);
	assert_int_equal(csr_get(r, SATP), 0);
}

/* 3.1.6.5 */
static void tvm_takes_satp_from_s(void **state)
{
	struct rack *r = *state;

	r->h.mstatus |= MSTATUS_TVM;
	assert_true(csr_reads(r, SATP));
	rack_priv(r, PRIV_S);
	assert_false(csr_reads(r, SATP));
	assert_false(csr_writes(r, SATP, 0));
	r->h.mstatus &= ~MSTATUS_TVM;
	assert_true(csr_reads(r, SATP));
}

/* 3.1.18; CMO: CBIE 2 is reserved; Sstc: STCE */
static void envcfg_has_what_extensions_bring(void **state)
{
	struct rack *r = *state;

	csr_put(r, MENVCFG, UINT64_MAX);
	assert_int_equal(csr_get(r, MENVCFG), UINT64_C(0x80000000000000f1));
	csr_put(r, MENVCFG, 0x20);
	assert_int_equal(csr_get(r, MENVCFG), 0x30);
	csr_put(r, SENVCFG, UINT64_MAX);
	assert_int_equal(csr_get(r, SENVCFG), 0xf1);
	r->h.isa.sstc = r->h.isa.zicbom = r->h.isa.zicboz = false;
	csr_put(r, MENVCFG, 0);
	csr_put(r, SENVCFG, 0);
	csr_put(r, MENVCFG, 1);
	assert_int_equal(csr_get(r, MENVCFG) & 1, 1);
	r->h.menvcfg = 0;
	csr_put(r, MENVCFG, UINT64_MAX);
	assert_int_equal(csr_get(r, MENVCFG), 1);
}

/* Sstc 2.1 */
static void stimecmp_needs_tm_and_stce_below_m(void **state)
{
	struct rack *r = *state;

	assert_true(csr_reads(r, STIMECMP));
	rack_priv(r, PRIV_S);
	assert_false(csr_reads(r, STIMECMP));
	r->h.mcounteren = COUNTER_TM;
	assert_false(csr_reads(r, STIMECMP));
	r->h.menvcfg = MENVCFG_STCE;
	csr_put(r, STIMECMP, 1234);
	assert_int_equal(csr_get(r, STIMECMP), 1234);
	r->h.mcounteren = 0;
	assert_false(csr_writes(r, STIMECMP, 0));
	rack_priv(r, PRIV_M);
	r->h.isa.sstc = false;
	assert_false(csr_reads(r, STIMECMP));
}

/* -cpu and the device tree's strings. */
static void isa_is_what_the_option_says(void **state)
{
	struct fh_error err = FH_ERROR_INIT;
	char text[CPU_ISA_STRING_SIZE];
	struct cpu_isa isa;

	(void)state;
	assert_true(cpu_isa_parse("rv64", &isa, &err));
	cpu_isa_string(&isa, text);
	assert_string_equal(text, "rv64imafdc_zicbom_zicboz_zicntr_zicsr_zifencei_zba_zbb_zbs_sstc_"
				  "svade_svinval");
	assert_string_equal(cpu_mmu_type(&isa), "riscv,sv57");
	assert_true(cpu_isa_parse("rv64,zbb=off,sv57=off,c=off,pmp=off", &isa, &err));
	cpu_isa_string(&isa, text);
	assert_string_equal(text, "rv64imafd_zicbom_zicboz_zicntr_zicsr_zifencei_zba_zbs_sstc_"
				  "svade_svinval");
	assert_string_equal(cpu_mmu_type(&isa), "riscv,sv48");
	assert_int_equal(isa.pmp_regions, 0);
}

static void wrong_options_are_refused(void **state)
{
	static const char *const wrong[] = {"rv32", "", "rv64,zbb", "rv64,zbb=maybe", "rv64,foo=on",
					    "rv64,", "rv64,f=off", "rv64,sv48=off", "rv64,=on"};
	struct cpu_isa isa = {0};

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fh_error err = FH_ERROR_INIT;
		const bool good = i == 2; /* a name alone switches on */

		assert_int_equal(cpu_isa_parse(wrong[i], &isa, &err), good);
		assert_int_equal(err.message[0] == 0, good);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rack_set_up, rack_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(number_says_who_may),
		TEST(read_only_register_can_be_read_but_not_written),
		TEST(unknown_registers_are_illegal),
		TEST(set_and_clear_change_the_bits_of_the_operand),
		TEST(mstatus_has_legal_values_only),
		TEST(sstatus_is_a_part_of_mstatus),
		TEST(misa_says_the_letters_and_ignores_writes),
		TEST(fcsr_needs_fs_and_makes_it_dirty),
		TEST(without_f_there_is_no_fs),
		TEST(delegation_registers_have_what_can_be_delegated),
		TEST(sie_and_sip_show_what_is_delegated),
		TEST(csrrs_of_mip_does_not_store_the_signal_of_seip),
		TEST(vectors_and_pcs_are_aligned),
		TEST(counters_need_leave_from_above),
		TEST(written_counter_counts_on_after_the_instruction),
		TEST(inhibited_counter_stands_still),
		TEST(event_counters_are_zero),
		TEST(satp_with_a_mode_that_is_not_there_is_not_written),
		TEST(tvm_takes_satp_from_s),
		TEST(envcfg_has_what_extensions_bring),
		TEST(stimecmp_needs_tm_and_stce_below_m),
		TEST(isa_is_what_the_option_says),
		TEST(wrong_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
