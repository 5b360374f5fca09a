/* SPDX-License-Identifier: MIT */
/*
 * Floating point where hosts differ, by the unprivileged specification, chapters F and D:
 * underflow, ties, boxes, NaNs, and reserved encodings. The rest has an emulator as oracle
 * (tests/guest).
 */
#include <fenv.h>
#include <string.h>

#include "cpu/fp.h"
#include "support/probe.h"
#include "support/host.h"

enum { NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16 };
enum { RNE, RTZ, RDN, RUP, RMM };

#define D(value) bits_d(value)
#define S(value) (BOX | bits_s(value))
#define BOX	 UINT64_C(0xffffffff00000000)
#define NAN_D	 UINT64_C(0x7ff8000000000000)
#define NAN_S	 (BOX | 0x7fc00000)

/* With rd 10, rs1 11, rs2 12, rs3 13, and the rounding mode of frm. */
#define REGISTERS   (10 << 7 | 11 << 15 | 12 << 20)
#define FADD_S	    (0x00007053u | REGISTERS)
#define FMUL_S	    (0x10007053u | REGISTERS)
#define FMUL_D	    (0x12007053u | REGISTERS)
#define FDIV_S	    (0x18007053u | REGISTERS)
#define FDIV_D	    (0x1a007053u | REGISTERS)
#define FMIN_S	    (0x28000053u | REGISTERS)
#define FMADD_S	    (0x00007043u | REGISTERS | 13u << 27)
#define FMADD_D	    (0x02007043u | REGISTERS | 13u << 27)
#define FADD_D	    (0x02007053u | REGISTERS)
#define FCVT_S_D    (0x40107053u | 10 << 7 | 11 << 15)
#define FCVT_W_D    (0xc2007053u | 10 << 7 | 11 << 15)
#define FCLASS_S    (0xe0001053u | 10 << 7 | 11 << 15)

static uint64_t bits_d(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static uint32_t bits_s(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

struct example {
	uint32_t insn;
	unsigned rm;
	uint64_t a, b, c;
	uint64_t result;
	uint8_t flags;
};

static void check(const struct example *examples, unsigned count)
{
	if (under_valgrind())
		skip();
	for (unsigned i = 0; i < count; i++) {
		const struct example *e = &examples[i];
		struct hart h = {.isa = cpu_isa_default(), .frm = (uint8_t)e->rm};
		uint64_t result;

		h.f[11] = e->a;
		h.f[12] = e->b;
		h.f[13] = e->c;
		assert_true(fp_execute(&h, e->insn));
		result = e->insn == FCVT_W_D || e->insn == FCLASS_S ? h.x[10] : h.f[10];
		if (result != e->result || h.fflags != e->flags)
			fail_msg("example %u: %016lx, flags %x", i, (unsigned long)result,
				 h.fflags);
		assert_int_equal(fegetround(), FE_TONEAREST);
	}
}

#define CHECK_ALL(examples) check(examples, sizeof(examples) / sizeof(examples[0]))

/* Chapter F, "subnormal arithmetic": tininess is detected after rounding. */
static void underflow_is_of_what_is_tiny_after_rounding(void **state)
{
	const uint64_t d1 = D(1 + 0x1p-52), d_below = D(0x1p-1022 - 0x1p-1074);
	const uint64_t s1 = S(1 + 0x1p-23F), s_below = S(0x1p-126F - 0x1p-149F);
	const uint64_t minus_d = UINT64_C(1) << 63, minus_s = UINT64_C(1) << 31;
	const struct example examples[] = {
		/* 2^-1022 (1 - 2^-104), which is 2^-1022 in as many bits as it has. */
		{FMUL_D, RNE, d1, d_below, 0, D(0x1p-1022), NX},
		{FMUL_D, RNE, d_below, d1, 0, D(0x1p-1022), NX},
		{FMUL_D, RNE, d_below, d1 ^ minus_d, 0, D(-0x1p-1022), NX},
		{FMUL_D, RMM, d1, d_below, 0, D(0x1p-1022), NX},
		{FMUL_D, RUP, d1, d_below, 0, D(0x1p-1022), NX},
		{FMUL_D, RTZ, d1, d_below, 0, d_below, NX | UF},
		{FMUL_D, RDN, d1, d_below, 0, d_below, NX | UF},
		{FMADD_D, RNE, d1, d_below, 0, D(0x1p-1022), NX},
		{FMADD_D, RNE, D(0x1p-600), D(-0x1p-500), D(0x1p-1022), D(0x1p-1022), NX},
		{FMADD_D, RTZ, D(0x1p-600), D(-0x1p-500), D(0x1p-1022), d_below, NX | UF},
		/* 2^-1022 (1 - 2^-53): fewer bits below make a tie of it, but tiny it is. */
		{FMUL_D, RNE, D(1 - 0x1p-53), D(0x1p-1022), 0, D(0x1p-1022), NX | UF},
		{FMUL_D, RUP, D(1 - 0x1p-53), D(0x1p-1022), 0, D(0x1p-1022), NX | UF},
		{FDIV_D, RUP, d_below, D(1 - 0x1p-53), 0, D(0x1p-1022), NX | UF},
		/* Exact: no underflow, however small. */
		{FMUL_D, RNE, D(0x1p-1000), D(0x1p-74), 0, 1, 0},

		{FMUL_S, RNE, s1, s_below, 0, S(0x1p-126F), NX},
		{FMUL_S, RNE, s_below ^ minus_s, s1, 0, S(-0x1p-126F), NX},
		{FMUL_S, RUP, s1, s_below, 0, S(0x1p-126F), NX},
		{FMUL_S, RTZ, s1, s_below, 0, s_below, NX | UF},
		{FMADD_S, RNE, s1, s_below, S(0), S(0x1p-126F), NX},
		{FMADD_S, RNE, S(0x1p-100F), S(-0x1p-80F), S(0x1p-126F), S(0x1p-126F), NX},
		{FMUL_S, RNE, S(1 - 0x1p-24F), S(0x1p-126F), 0, S(0x1p-126F), NX | UF},
		{FDIV_S, RUP, s_below, S(1 - 0x1p-24F), 0, S(0x1p-126F), NX | UF},

		{FCVT_S_D, RNE, D(0x1p-126 - 0x1p-166), 0, 0, S(0x1p-126F), NX},
		{FCVT_S_D, RNE, D(0x1p-151 - 0x1p-126), 0, 0, S(-0x1p-126F), NX},
		{FCVT_S_D, RNE, D(0x1p-126 - 0x1p-150), 0, 0, S(0x1p-126F), NX | UF},
		{FCVT_S_D, RUP, D(0x1p-126 - 0x1p-150), 0, 0, S(0x1p-126F), NX | UF},
		{FCVT_S_D, RTZ, D(0x1p-126 - 0x1p-166), 0, 0, s_below, NX | UF},
	};

	(void)state;
	CHECK_ALL(examples);
}

/* Table "Rounding mode encoding" */
static void modes_round_as_they_say(void **state)
{
	const struct example examples[] = {
		{FADD_D, RNE, D(1), D(0x1p-53), 0, D(1), NX},
		{FADD_D, RMM, D(1), D(0x1p-53), 0, D(1 + 0x1p-52), NX},
		{FADD_D, RMM, D(-1), D(-0x1p-53), 0, D(-1 - 0x1p-52), NX},
		{FADD_D, RMM, D(1), D(0x1p-54), 0, D(1), NX},
		{FADD_D, RTZ, D(-1), D(-0x1p-53), 0, D(-1), NX},
		{FADD_D, RDN, D(-1), D(-0x1p-60), 0, D(-1 - 0x1p-52), NX},
		{FADD_D, RUP, D(1), D(0x1p-60), 0, D(1 + 0x1p-52), NX},
		{FADD_S, RNE, S(1), S(0x1p-24F), 0, S(1), NX},
		{FADD_S, RMM, S(1), S(0x1p-24F), 0, S(1 + 0x1p-23F), NX},
		{FADD_S, RUP, S(1), S(0x1p-60F), 0, S(1 + 0x1p-23F), NX},
		{FCVT_S_D, RMM, D(1 + 0x1p-24), 0, 0, S(1 + 0x1p-23F), NX},
		{FCVT_W_D, RNE, D(2.5), 0, 0, 2, NX},
		{FCVT_W_D, RMM, D(2.5), 0, 0, 3, NX},
		{FCVT_W_D, RDN, D(-2.5), 0, 0, (uint64_t)-3, NX},
		{FCVT_W_D, RNE, D(3), 0, 0, 3, 0},
		{FCVT_W_D, RTZ, D(0x1p31), 0, 0, INT32_MAX, NV},
	};

	(void)state;
	CHECK_ALL(examples);
}

/* "NaN Boxing of Narrower Values" and "NaN Generation and Propagation" */
static void singles_are_boxed_and_nans_canonical(void **state)
{
	const uint64_t inf = BOX | 0x7f800000, signaling = BOX | 0x7f800001;
	const struct example examples[] = {
		{FADD_S, RNE, S(1), S(2), 0, S(3), 0},
		{FADD_S, RNE, S(1) & ~BOX, S(2), 0, NAN_S, 0},
		{FADD_S, RNE, S(1), S(2) ^ UINT64_C(1) << 32, 0, NAN_S, 0},
		{FMIN_S, RNE, S(1) & ~BOX, S(2), 0, S(2), 0},
		{FCLASS_S, RNE, D(1), 0, 0, 1 << 9, 0},
		{FCLASS_S, RNE, signaling, 0, 0, 1 << 8, 0},
		{FADD_S, RNE, signaling, S(2), 0, NAN_S, NV},
		{FMIN_S, RNE, signaling, S(2), 0, S(2), NV},
		{FADD_S, RNE, BOX | 0xffc12345, S(2), 0, NAN_S, 0},
		{FMADD_S, RNE, inf, S(0), NAN_S, NAN_S, NV},
		{FMADD_D, RNE, D(0), NAN_D & ~(UINT64_C(1) << 51), NAN_D, NAN_D, NV},
		{FDIV_S, RNE, S(1), S(0), 0, inf, DZ},
		{FDIV_S, RNE, S(0), S(0), 0, NAN_S, NV},
		{FMUL_S, RNE, S(0x1p100F), S(0x1p100F), 0, inf, OF | NX},
		{FMUL_S, RTZ, S(0x1p100F), S(0x1p100F), 0, BOX | 0x7f7fffff, OF | NX},
	};

	(void)state;
	CHECK_ALL(examples);
}

static void reserved_encodings_do_nothing(void **state)
{
	static const uint32_t reserved[] = {
		FADD_S & ~0x2000u,	 /* rounding mode 5 */
		FADD_S & ~0x1000u,	 /* 6 */
		FADD_S | 3 << 25,	 /* quad */
		FADD_S | 2 << 25,	 /* half */
		FMIN_S | 2 << 12,
		FCLASS_S | 1 << 20,
		0x58007053u | REGISTERS, /* fsqrt with an rs2 */
		FCVT_W_D | 4 << 20,
		FCVT_S_D & ~(1u << 20),	 /* from the same format */
		0x38000053u | REGISTERS,
	};
	struct hart h = {.isa = cpu_isa_default()};

	(void)state;
	for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (fp_execute(&h, reserved[i]))
			fail_msg("%u was executed", i);
	h.frm = 5;
	assert_false(fp_execute(&h, FADD_S));
	h.frm = 0;
	h.isa.d = false;
	assert_false(fp_execute(&h, FADD_D));
	assert_false(fp_execute(&h, FCVT_S_D));
	assert_int_equal(h.fflags, 0);
	for (unsigned i = 0; i < 32; i++)
		assert_true(h.f[i] == 0 && h.x[i] == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(underflow_is_of_what_is_tiny_after_rounding),
		cmocka_unit_test(modes_round_as_they_say),
		cmocka_unit_test(singles_are_boxed_and_nans_canonical),
		cmocka_unit_test(reserved_encodings_do_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
