/* SPDX-License-Identifier: MIT */
/*
 * Every floating-point instruction of F and D, with every rounding mode and operands that are
 * random, special, or half way between two results, against Debian's qemu-riscv64: results and
 * flags, bit by bit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu/fp.h"

struct input {
	uint64_t insn, frm;
	uint64_t x[3], f[3];
};

struct output {
	uint64_t x13, f13, fflags;
};

enum { SINGLE, DOUBLE };

/* Encodings with rd 13, rs1 10, rs2 11, rs3 12 and a dynamic rounding mode, for singles. */
#define REGISTERS (13u << 7 | 10u << 15)
#define BINARY(funct5, rm) (0x53u | (rm) << 12 | (funct5) << 27 | REGISTERS | 11u << 20)
#define UNARY(funct5, rm, rs2) (0x53u | (rm) << 12 | (funct5) << 27 | REGISTERS | (rs2) << 20)
#define FUSED(opcode) ((opcode) | 7u << 12 | REGISTERS | 11u << 20 | 12u << 27)

enum shape { FROM_FLOAT, FROM_INTEGER };

static const struct instruction {
	const char *name;
	uint32_t insn; /* of singles; doubles have bit 25 set */
	enum shape shape;
} instructions[] = {
	{ "fadd", BINARY(0u, 7u), 0 },	     { "fsub", BINARY(1u, 7u), 0 },
	{ "fmul", BINARY(2u, 7u), 0 },	     { "fdiv", BINARY(3u, 7u), 0 },
	{ "fsqrt", UNARY(0xbu, 7u, 0u), 0 }, { "fsgnj", BINARY(4u, 0u), 0 },
	{ "fsgnjn", BINARY(4u, 1u), 0 },     { "fsgnjx", BINARY(4u, 2u), 0 },
	{ "fmin", BINARY(5u, 0u), 0 },	     { "fmax", BINARY(5u, 1u), 0 },
	{ "fle", BINARY(0x14u, 0u), 0 },     { "flt", BINARY(0x14u, 1u), 0 },
	{ "feq", BINARY(0x14u, 2u), 0 },     { "fclass", UNARY(0x1cu, 1u, 0u), 0 },
	{ "fcvt.w", UNARY(0x18u, 7u, 0u), 0 },
	{ "fcvt.wu", UNARY(0x18u, 7u, 1u), 0 },
	{ "fcvt.l", UNARY(0x18u, 7u, 2u), 0 },
	{ "fcvt.lu", UNARY(0x18u, 7u, 3u), 0 },
	{ "fcvt from w", UNARY(0x1au, 7u, 0u), FROM_INTEGER },
	{ "fcvt from wu", UNARY(0x1au, 7u, 1u), FROM_INTEGER },
	{ "fcvt from l", UNARY(0x1au, 7u, 2u), FROM_INTEGER },
	{ "fcvt from lu", UNARY(0x1au, 7u, 3u), FROM_INTEGER },
	{ "fmadd", FUSED(0x43u), 0 },	     { "fmsub", FUSED(0x47u), 0 },
	{ "fnmsub", FUSED(0x4bu), 0 },	     { "fnmadd", FUSED(0x4fu), 0 },
	/* Between the formats: rs2 names the one that is converted from. */
	{ "fcvt to the other", UNARY(8u, 7u, 0u), 0 },
};

#define INSTRUCTIONS (sizeof(instructions) / sizeof(instructions[0]))
#define RECORDS 400000

static uint64_t seed = UINT64_C(88172645463325252);

static uint64_t any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* --- Operands ------------------------------------------------------------------------------- */

static uint64_t any_double(void)
{
	static const uint64_t special[] = {
		0x0000000000000000, 0x3ff0000000000000, 0x7ff0000000000000, 0x7ff8000000000000,
		0x7ff0000000000001, 0x0000000000000001, 0x000fffffffffffff, 0x0010000000000000,
		0x7fefffffffffffff, 0x41dfffffffc00000, 0x41e0000000000000, 0x41f0000000000000,
		0x43e0000000000000, 0x43f0000000000000, 0x3fe0000000000000, 0x3ff8000000000000,
		0x4004000000000000, 0x36a0000000000000, 0x380fffffffffffff, 0x47efffffefffffff,
	};
	const uint64_t sign = any() & UINT64_C(1) << 63;

	switch (any() % 3) {
	case 0: return sign | special[any() % (sizeof(special) / sizeof(special[0]))];
	case 1: /* few digits and a middling exponent: exact results, and ties */
		return sign | (1023 - 60 + any() % 120) << 52 |
		       (any() & 0xfffffffffffff & ~((UINT64_C(1) << any() % 52) - 1));
	default: return any();
	}
}

static uint64_t any_single(void)
{
	static const uint32_t special[] = {
		0x00000000, 0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001, 0x00000001, 0x007fffff,
		0x00800000, 0x7f7fffff, 0x4f000000, 0x4f800000, 0x5f000000, 0x5f800000, 0x3f000000,
		0x3fc00000, 0x40200000, 0x4effffff,
	};
	const uint64_t box = any() % 16 ? UINT64_C(0xffffffff) << 32 : any() << 32;
	const uint32_t sign = (uint32_t)(any() & UINT32_C(1) << 31);

	switch (any() % 3) {
	case 0: return box | sign | special[any() % (sizeof(special) / sizeof(special[0]))];
	case 1:
		return box | sign | (127 - 30 + any() % 60) << 23 |
		       (any() & 0x7fffff & ~((UINT32_C(1) << any() % 23) - 1));
	default: return box | (uint32_t)any();
	}
}

/* Integers of every length, and their negatives. */
static uint64_t any_integer(void)
{
	const uint64_t value = any() >> any() % 64;

	return any() % 2 ? value : ~value;
}

static struct input make_input(void)
{
	const struct instruction *instruction = &instructions[any() % INSTRUCTIONS];
	const unsigned format = any() % 2 ? DOUBLE : SINGLE;
	const bool other = instruction->insn >> 27 == 8;
	/* What is read: the other format where the formats are converted. */
	const bool wide = other ? format == SINGLE : format == DOUBLE;
	struct input input = { .insn = instruction->insn | (uint32_t)format << 25,
			       .frm = any() % 5 };

	if (other && format == SINGLE)
		input.insn |= 1u << 20;
	for (unsigned i = 0; i < 3; i++) {
		input.f[i] = wide ? any_double() : any_single();
		input.x[i] = any_integer();
	}
	/* Half a unit in the last place of the first: sums that are ties. */
	if (wide && any() % 4 == 0)
		input.f[1] = (input.f[0] & UINT64_C(0xfff0000000000000)) - (UINT64_C(53) << 52);
	return input;
}

/* --- Comparison ----------------------------------------------------------------------------- */

static bool writes_x(uint32_t insn)
{
	const unsigned funct5 = insn >> 27;

	return (insn & 0x7f) == 0x53 && (funct5 == 0x14 || funct5 == 0x18 || funct5 == 0x1c);
}

static void compare(const struct input *in, const struct output *expected)
{
	struct hart h = { .frm = (uint8_t)in->frm, .isa = { .f = true, .d = true } };

	memcpy(&h.x[10], in->x, sizeof(in->x));
	memcpy(&h.f[10], in->f, sizeof(in->f));
	if (!fp_execute(&h, (uint32_t)in->insn))
		fail_msg("%08x is not known", (unsigned)in->insn);
	const uint64_t got = writes_x((uint32_t)in->insn) ? h.x[13] : h.f[13];
	const uint64_t wanted = writes_x((uint32_t)in->insn) ? expected->x13 : expected->f13;

	if (got == wanted && h.fflags == expected->fflags)
		return;
	print_error("%08x, mode %u, f %016llx %016llx %016llx, x %016llx: "
		    "%016llx flags %02x, but qemu-riscv64 has %016llx flags %02x\n",
		    (unsigned)in->insn, (unsigned)in->frm, (unsigned long long)in->f[0],
		    (unsigned long long)in->f[1], (unsigned long long)in->f[2],
		    (unsigned long long)in->x[0], (unsigned long long)got, h.fflags,
		    (unsigned long long)wanted, (unsigned)expected->fflags);
	fail();
}

static void floats_are_as_the_oracle_has_them(void **unused)
{
	const char *emulator = getenv("QEMU_RISCV64");
	const char *guest = getenv("ORACLE_GUEST");
	char in_path[] = "/tmp/freehold-in-XXXXXX", out_path[] = "/tmp/freehold-out-XXXXXX";
	char command[1024];

	(void)unused;
	if (!emulator || !guest)
		skip();
	struct input *inputs = test_malloc(RECORDS * sizeof(*inputs));
	FILE *in = fdopen(mkstemp(in_path), "w");
	FILE *out = fdopen(mkstemp(out_path), "r");

	assert_non_null(in);
	assert_non_null(out);
	for (size_t i = 0; i < RECORDS; i++)
		inputs[i] = make_input();
	assert_int_equal(fwrite(inputs, sizeof(*inputs), RECORDS, in), RECORDS);
	fclose(in);
	snprintf(command, sizeof(command), "'%s' '%s' <%s >%s", emulator, guest, in_path, out_path);
	const int status = system(command);

	unlink(in_path);
	unlink(out_path);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < RECORDS; i++) {
		struct output expected;

		assert_int_equal(fread(&expected, sizeof(expected), 1, out), 1);
		compare(&inputs[i], &expected);
	}
	fclose(out);
	test_free(inputs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(floats_are_as_the_oracle_has_them),
	};

	return cmocka_run_group_tests_name("guest/floats", tests, NULL, NULL);
}
