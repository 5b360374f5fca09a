/* SPDX-License-Identifier: MIT */
/*
 * Running blocks: flow, traps, loads and stores, and arithmetic at its edges.
 */
#include "support/code.h"

/* --- Flow ------------------------------------------------------------------------------------- */

static void a_loop_runs_and_is_counted(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 100), ADD(A1, A1, A0), ADDI(A0, A0, -1), BNE(A0, ZERO, -8),
	    ECALL);
	run_to_ecall(h, BASE);

	assert_int_equal(h->x[A1], 5050);
	assert_int_equal(h->pc, BASE + 16);
	assert_int_equal(h->instret, 1 + 300);
	assert_int_equal(h->blocks->decoded, 3);
}

static void calls_and_returns_go_across_pages(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, type_j(RA, 0x3000), type_j(RA, 0x2ffc), ECALL);
	PUT(rig, BASE + 0x3000, ADDI(A0, A0, 1), JALR(ZERO, RA, 0));
	run_to_ecall(h, BASE);

	assert_int_equal(h->x[A0], 2);
	assert_int_equal(h->x[RA], BASE + 8);
	assert_int_equal(h->instret, 6);
}

static void a_jump_through_its_own_link_register_uses_the_old_value(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, JALR(RA, RA, 9), ECALL, ADDI(A0, ZERO, 7), ECALL);
	h->x[RA] = BASE;
	run_to_ecall(h, BASE);

	assert_int_equal(h->x[A0], 7);
	assert_int_equal(h->x[RA], BASE + 4);
}

static void code_goes_on_across_the_end_of_a_page(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];
	const uint64_t at = BASE + 0xffe;

	for (unsigned i = 0; i < 2; i++) {
		PUT(rig, at, ADDI(A0, ZERO, 5), ADDI(A0, A0, 1), ECALL);
		run_to_ecall(h, at);
		assert_int_equal(h->x[A0], 6);
	}
	/* Its second half is in the other page, which is stored to. */
	PUT(rig, BASE + 0x2000, SW(A1, A2, 0), JALR(ZERO, A3, 0));
	h->x[A1] = ADDI(A0, ZERO, 9) >> 16 | ADDI(A0, A0, 1) << 16;
	h->x[A2] = at + 2;
	h->x[A3] = at;
	run_to_ecall(h, BASE + 0x2000);
	assert_int_equal(h->x[A0], 10);
}

static void a_budget_and_attention_end_a_run(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, A0, 1), type_j(ZERO, -4));
	h->pc = BASE;
	h->budget = 100;
	fh_read_begin();
	hart_run_blocks(h);
	assert_in_range(h->instret, 100, 131);
	assert_int_equal(h->x[A0], (h->instret + 1) / 2);
	assert_int_equal(h->trap.cause, CAUSE_NONE);

	atomic_store_explicit(&h->attention, ATTENTION_IRQ, memory_order_relaxed);
	h->budget = 100;
	hart_run_blocks(h);
	fh_read_end();
	assert_int_equal(h->budget, 100);
}

static struct hart *attended;

static void want_attention(struct rig *rig)
{
	(void)rig;
	atomic_store_explicit(&attended->attention, ATTENTION_IRQ, memory_order_relaxed);
}

static void attention_after_a_register_is_served_before_the_next_operation(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	attended = h;
	rig->written = want_attention;
	PUT(rig, BASE, SW(A0, A1, 0), ADDI(A2, ZERO, 1), ECALL);
	h->x[A0] = 5;
	h->x[A1] = REGISTERS;
	h->pc = BASE;
	h->budget = 100;
	fh_read_begin();
	hart_run_blocks(h);
	fh_read_end();

	assert_int_equal(rig->value, 5);
	assert_int_equal(h->pc, BASE + 4);
	assert_int_equal(h->x[A2], 0);
	assert_int_equal(h->instret, 1);
	assert_int_equal(h->budget, 99);
}

/* --- Traps ------------------------------------------------------------------------------------ */

static void a_fault_is_precise(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ADDI(A0, A0, 1), LD(A1, ZERO, 64), ADDI(A0, A0, 1),
	    ECALL);
	h->x[A1] = 77;
	assert_int_equal(run(h, BASE), CAUSE_LOAD_ACCESS);

	assert_int_equal(h->pc, BASE + 8);
	assert_int_equal(h->trap.tval, 64);
	assert_int_equal(h->x[A0], 2);
	assert_int_equal(h->x[A1], 77);
	assert_int_equal(h->instret, 2);
}

static void an_illegal_instruction_brings_its_bits(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, NOP, 0xffffffff, ECALL);
	assert_int_equal(run(h, BASE), CAUSE_ILLEGAL);
	assert_int_equal(h->pc, BASE + 4);
	assert_int_equal(h->trap.tval, 0xffffffff);

	PUT(rig, BASE + 0x100, 0x80000001); /* c.nop; reserved */
	assert_int_equal(run(h, BASE + 0x100), CAUSE_ILLEGAL);
	assert_int_equal(h->pc, BASE + 0x102);
	assert_int_equal(h->trap.tval, 0x8000);

	PUT(rig, BASE + 0x200, type_i(0x1073, A0, A0, 0x7ff)); /* no such CSR */
	assert_int_equal(run(h, BASE + 0x200), CAUSE_ILLEGAL);
	assert_int_equal(h->trap.tval, type_i(0x1073, A0, A0, 0x7ff));

	PUT(rig, BASE + 0x300, type_i(0x2007, A0, A0, 0)); /* flw with FS off */
	h->mstatus &= ~MSTATUS_FS;
	assert_int_equal(run(h, BASE + 0x300), CAUSE_ILLEGAL);
	assert_int_equal(h->trap.tval, type_i(0x2007, A0, A0, 0));
}

static void fetching_from_registers_or_nothing_is_an_access_fault(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	assert_int_equal(run(h, REGISTERS), CAUSE_FETCH_ACCESS);
	assert_int_equal(h->trap.tval, REGISTERS);
	assert_int_equal(run(h, BASE + RAM_SIZE), CAUSE_FETCH_ACCESS);
	assert_int_equal(h->pc, BASE + RAM_SIZE);

	/* The second half is what is missing. */
	PUT(rig, BASE + RAM_SIZE - 4, 0x00130001);
	assert_int_equal(run(h, BASE + RAM_SIZE - 4), CAUSE_FETCH_ACCESS);
	assert_int_equal(h->pc, BASE + RAM_SIZE - 2);
	assert_int_equal(h->trap.tval, BASE + RAM_SIZE);
}

static void without_c_a_jump_to_a_half_traps_at_the_jump(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	h->isa.c = false;
	PUT(rig, BASE, BNE(A0, A0, 6), BEQ(A0, A0, 6), ECALL);
	assert_int_equal(run(h, BASE), CAUSE_FETCH_MISALIGNED);
	assert_int_equal(h->pc, BASE + 4);
	assert_int_equal(h->trap.tval, BASE + 10);

	PUT(rig, BASE + 0x100, JALR(RA, A0, 2));
	h->x[A0] = BASE;
	h->x[RA] = 1;
	assert_int_equal(run(h, BASE + 0x100), CAUSE_FETCH_MISALIGNED);
	assert_int_equal(h->trap.tval, BASE + 2);
	assert_int_equal(h->x[RA], 1);
}

/* --- Memory ----------------------------------------------------------------------------------- */

static void loads_extend_and_misaligned_accesses_work(void **state)
{
	static const struct {
		uint32_t base;
		uint64_t result;
	} loads[] = {
		{ 0x0003, 0xfffffffffffffff8 }, { 0x1003, 0xfffffffffffff7f8 },
		{ 0x2003, 0xfffffffff5f6f7f8 }, { 0x3003, 0xf1f2f3f4f5f6f7f8 },
		{ 0x4003, 0xf8 },		{ 0x5003, 0xf7f8 },
		{ 0x6003, 0xf5f6f7f8 },
	};
	static const uint64_t places[] = { DATA, DATA + 3, DATA + 0xffd };
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	for (unsigned p = 0; p < 3; p++) {
		PUT(rig, BASE, SD(A0, A1, 0), ECALL);
		h->x[A0] = UINT64_C(0xf1f2f3f4f5f6f7f8);
		h->x[A1] = places[p];
		run_to_ecall(h, BASE);
		assert_int_equal(get(rig, places[p]), h->x[A0]);
		for (unsigned i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
			PUT(rig, BASE, FENCE_I, type_i(loads[i].base, A2, A1, 0), ECALL);
			blocks_fence(h);
			run_to_ecall(h, BASE);
			assert_int_equal(h->x[A2], loads[i].result);
		}
	}
}

static void floating_point_registers_load_store_and_move_bits(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, type_i(0x3007, 0, A1, 0), type_i(0x2007, 1, A1, 0), type_s(0x3027, 1, A1, 8),
	    type_s(0x2027, 0, A1, 16), 0xe2000053 | A2 << 7 | 0 << 15, /* fmv.x.d a2, f0 */
	    0xe0000053 | A3 << 7 | 1 << 15,			       /* fmv.x.w a3, f1 */
	    0xf0000053 | 2 << 7 | A1 << 15,			       /* fmv.w.x f2, a1 */
	    0xf2000053 | 3 << 7 | A1 << 15, ECALL);		       /* fmv.d.x f3, a1 */
	put(rig, DATA, &(uint64_t){ UINT64_C(0x1234567889abcdef) }, 8);
	h->x[A1] = DATA;
	h->mstatus = (h->mstatus & ~MSTATUS_FS) | UINT64_C(1) << 13;
	run_to_ecall(h, BASE);

	assert_int_equal(h->f[0], UINT64_C(0x1234567889abcdef));
	assert_int_equal(h->f[1], UINT64_C(0xffffffff89abcdef));
	assert_int_equal(get(rig, DATA + 8), h->f[1]);
	assert_int_equal(get(rig, DATA + 16), 0x89abcdef);
	assert_int_equal(h->x[A2], h->f[0]);
	assert_int_equal(h->x[A3], UINT64_C(0xffffffff89abcdef));
	assert_int_equal(h->f[2], BOX | (uint32_t)DATA);
	assert_int_equal(h->f[3], DATA);
	assert_int_equal(h->mstatus & (MSTATUS_FS | MSTATUS_SD), MSTATUS_FS | MSTATUS_SD);
}

/* Unprivileged specification, C: c.fld, c.fsd, c.fldsp, c.fsdsp. */
static void compressed_floating_point_loads_and_stores_move_bits(void **state)
{
	static const uint16_t program[] = {
		0x2188,	   /* c.fld fa0, 0(a1) */
		0xa588,	   /* c.fsd fa0, 8(a1) */
		0x3ffe,	   /* c.fldsp ft11, 504(sp) */
		0xbfaa,	   /* c.fsdsp fa0, 504(sp) */
		ECALL, 0,
	};
	const uint64_t initial = UINT64_C(1) << 13;
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	put(rig, BASE, program, sizeof(program));
	h->x[A1] = DATA + 3; /* they may be misaligned */
	h->x[SP] = DATA + 0x400;
	put(rig, DATA + 3, &(uint64_t){ UINT64_C(0x1122334455667788) }, 8);
	put(rig, DATA + 0x400 + 504, &(uint64_t){ UINT64_C(0x99aabbccddeeff00) }, 8);
	h->mstatus = (h->mstatus & ~MSTATUS_FS) | initial;
	run_to_ecall(h, BASE);
	assert_int_equal(h->f[10], UINT64_C(0x1122334455667788));
	assert_int_equal(get(rig, DATA + 11), h->f[10]);
	assert_int_equal(h->f[31], UINT64_C(0x99aabbccddeeff00));
	assert_int_equal(get(rig, DATA + 0x400 + 504), h->f[10]);
	assert_int_equal(h->mstatus & MSTATUS_FS, MSTATUS_FS);

	/* A store leaves the registers as they are (priv 3.1.6.6). */
	h->mstatus = (h->mstatus & ~MSTATUS_FS) | initial;
	run_to_ecall(h, BASE + 6);
	assert_int_equal(h->mstatus & MSTATUS_FS, initial);

	/* Faults are those of loads and of stores, and precise. */
	h->x[A1] = h->x[SP] = 64;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(run(h, BASE + 2 * i),
				 i & 1 ? CAUSE_STORE_ACCESS : CAUSE_LOAD_ACCESS);
		assert_int_equal(h->pc, BASE + 2 * i);
	}
	assert_int_equal(h->f[10], UINT64_C(0x1122334455667788));

	/* With FS off they are illegal, and bring their 16 bits (priv 3.1.16). */
	h->mstatus &= ~MSTATUS_FS;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(run(h, BASE + 2 * i), CAUSE_ILLEGAL);
		assert_int_equal(h->trap.tval, program[i]);
	}
}

static void cbo_zero_clears_its_block_only(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	memset(rig->ram + 0x8000, 0xff, 192);
	PUT(rig, BASE, 0x0040200f | A0 << 15, ECALL);
	h->x[A0] = DATA + 64 + 17;
	run_to_ecall(h, BASE);

	assert_int_equal(get(rig, DATA + 56), UINT64_MAX);
	for (unsigned i = 64; i < 128; i += 8)
		assert_int_equal(get(rig, DATA + i), 0);
	assert_int_equal(get(rig, DATA + 128), UINT64_MAX);
}

/*
 * --- Arithmetic at its edges: the rest has an emulator as oracle --------------------------------
 */

static void arithmetic_is_right_at_its_edges(void **state)
{
	static const uint64_t min = UINT64_C(0x8000000000000000), ones = UINT64_MAX;
	static const struct {
		uint32_t base;
		uint64_t a, b, result;
	} cases[] = {
		{ 0x02004033, min, ones, min },	       /* div overflows */
		{ 0x02006033, min, ones, 0 },	       /* rem */
		{ 0x02004033, 7, 0, ones },	       /* by zero */
		{ 0x02005033, 7, 0, ones },
		{ 0x02006033, 7, 0, 7 },
		{ 0x02007033, 7, 0, 7 },
		{ 0x0200403b, 0x80000000, ones, 0xffffffff80000000 }, /* divw */
		{ 0x0200603b, 0x80000000, ones, 0 },
		{ 0x0200503b, 0x80000000, 0, ones },
		{ 0x0200703b, 0x80000000, 0, 0xffffffff80000000 },
		{ 0x02001033, min, min, UINT64_C(1) << 62 }, /* mulh */
		{ 0x02002033, ones, ones, ones },	     /* mulhsu */
		{ 0x02003033, ones, ones, ones - 1 },	     /* mulhu */
		{ 0x4000503b, 0x80000000, 31, ones },	     /* sraw */
		{ 0x0000103b, 1, 31, 0xffffffff80000000 },   /* sllw */
		{ 0x60001033, min | 1, 1, 3 },		     /* rol */
		{ 0x60001033, 5, 0, 5 },
		{ 0x6000503b, 1, 1, 0xffffffff80000000 }, /* rorw */
		{ 0x0800003b, ones, 1, 0x100000000 },	  /* add.uw */
		{ 0x2000603b, ones, 1, 0x7fffffff9 },	  /* sh3add.uw */
		{ 0x48005033, min, 63, 1 },		  /* bext */
		{ 0x0a006033, ones, 1, 1 },		  /* max */
		{ 0x0a007033, ones, 1, ones },		  /* maxu */
		{ 0x60001013, 0, 0, 64 },		  /* clz */
		{ 0x6010101b, 0, 0, 32 },		  /* ctzw */
		{ 0x28705013, 0x0100800000ff0001, 0, 0xff00ff0000ff00ff }, /* orc.b */
		{ 0x6b805013, 0x0102030405060708, 0, 0x0807060504030201 }, /* rev8 */
		{ 0x0800403b, ones, 0, 0xffff },	  /* zext.h */
	};
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bool unary = (cases[i].base & 0x7f) != 0x33 && (cases[i].base & 0x7f) != 0x3b;
		const bool zext = cases[i].base == 0x0800403b;

		PUT(rig, BASE + i * 16, type_r(cases[i].base, A0, A1, unary || zext ? 0 : A2),
		    ECALL);
		h->x[A1] = cases[i].a;
		h->x[A2] = cases[i].b;
		run_to_ecall(h, BASE + i * 16);
		if (h->x[A0] != cases[i].result)
			fail_msg("case %u: %016lx", i, (unsigned long)h->x[A0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_loop_runs_and_is_counted),
		TEST(calls_and_returns_go_across_pages),
		TEST(a_jump_through_its_own_link_register_uses_the_old_value),
		TEST(code_goes_on_across_the_end_of_a_page),
		TEST(a_budget_and_attention_end_a_run),
		TEST(attention_after_a_register_is_served_before_the_next_operation),
		TEST(a_fault_is_precise),
		TEST(an_illegal_instruction_brings_its_bits),
		TEST(fetching_from_registers_or_nothing_is_an_access_fault),
		TEST(without_c_a_jump_to_a_half_traps_at_the_jump),
		TEST(loads_extend_and_misaligned_accesses_work),
		TEST(floating_point_registers_load_store_and_move_bits),
		TEST(compressed_floating_point_loads_and_stores_move_bits),
		TEST(cbo_zero_clears_its_block_only),
		TEST(arithmetic_is_right_at_its_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
