/* SPDX-License-Identifier: MIT */
/*
 * Decoding, against the tables of the specifications: each instruction's fixed bits. A word is the
 * instruction whose fixed bits it has, if the hart has that extension, and illegal if there is
 * none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/op.h"

enum extension { BASE, ZBA, ZBB, ZBS, CBOM, CBOZ, F, D };

enum format { R /* or no immediate at all */, I, SHIFT, SHIFT_W, S, B, U, J, RAW };

struct encoding {
	enum op_code code;
	uint32_t match, mask;
	enum format format;
	enum extension extension;
};

#define MASK_R	 0xfe00707f
#define MASK_I	 0x0000707f
#define MASK_SH	 0xfc00707f
#define MASK_UN	 0xfff0707f
#define MASK_AMO 0xf800707f

static const struct encoding encodings[] = {
	{OP_LUI, 0x37, 0x7f, U, BASE},
	{OP_AUIPC, 0x17, 0x7f, U, BASE},
	{OP_JAL, 0x6f, 0x7f, J, BASE},
	{OP_JALR, 0x67, MASK_I, I, BASE},
	{OP_BEQ, 0x0063, MASK_I, B, BASE},
	{OP_BNE, 0x1063, MASK_I, B, BASE},
	{OP_BLT, 0x4063, MASK_I, B, BASE},
	{OP_BGE, 0x5063, MASK_I, B, BASE},
	{OP_BLTU, 0x6063, MASK_I, B, BASE},
	{OP_BGEU, 0x7063, MASK_I, B, BASE},
	{OP_LB, 0x0003, MASK_I, I, BASE},
	{OP_LH, 0x1003, MASK_I, I, BASE},
	{OP_LW, 0x2003, MASK_I, I, BASE},
	{OP_LD, 0x3003, MASK_I, I, BASE},
	{OP_LBU, 0x4003, MASK_I, I, BASE},
	{OP_LHU, 0x5003, MASK_I, I, BASE},
	{OP_LWU, 0x6003, MASK_I, I, BASE},
	{OP_SB, 0x0023, MASK_I, S, BASE},
	{OP_SH, 0x1023, MASK_I, S, BASE},
	{OP_SW, 0x2023, MASK_I, S, BASE},
	{OP_SD, 0x3023, MASK_I, S, BASE},
	{OP_ADDI, 0x0013, MASK_I, I, BASE},
	{OP_SLTI, 0x2013, MASK_I, I, BASE},
	{OP_SLTIU, 0x3013, MASK_I, I, BASE},
	{OP_XORI, 0x4013, MASK_I, I, BASE},
	{OP_ORI, 0x6013, MASK_I, I, BASE},
	{OP_ANDI, 0x7013, MASK_I, I, BASE},
	{OP_SLLI, 0x00001013, MASK_SH, SHIFT, BASE},
	{OP_SRLI, 0x00005013, MASK_SH, SHIFT, BASE},
	{OP_SRAI, 0x40005013, MASK_SH, SHIFT, BASE},
	{OP_ADDIW, 0x001b, MASK_I, I, BASE},
	{OP_SLLIW, 0x0000101b, MASK_R, SHIFT_W, BASE},
	{OP_SRLIW, 0x0000501b, MASK_R, SHIFT_W, BASE},
	{OP_SRAIW, 0x4000501b, MASK_R, SHIFT_W, BASE},
	{OP_ADD, 0x00000033, MASK_R, R, BASE},
	{OP_SUB, 0x40000033, MASK_R, R, BASE},
	{OP_SLL, 0x00001033, MASK_R, R, BASE},
	{OP_SLT, 0x00002033, MASK_R, R, BASE},
	{OP_SLTU, 0x00003033, MASK_R, R, BASE},
	{OP_XOR, 0x00004033, MASK_R, R, BASE},
	{OP_SRL, 0x00005033, MASK_R, R, BASE},
	{OP_SRA, 0x40005033, MASK_R, R, BASE},
	{OP_OR, 0x00006033, MASK_R, R, BASE},
	{OP_AND, 0x00007033, MASK_R, R, BASE},
	{OP_ADDW, 0x0000003b, MASK_R, R, BASE},
	{OP_SUBW, 0x4000003b, MASK_R, R, BASE},
	{OP_SLLW, 0x0000103b, MASK_R, R, BASE},
	{OP_SRLW, 0x0000503b, MASK_R, R, BASE},
	{OP_SRAW, 0x4000503b, MASK_R, R, BASE},
	{OP_FENCE, 0x000f, MASK_I, RAW, BASE},
	{OP_FENCE_I, 0x100f, MASK_I, RAW, BASE},
	{OP_SYSTEM, 0x0073, MASK_I, RAW, BASE},
	{OP_CSR, 0x1073, MASK_I, RAW, BASE},
	{OP_CSR, 0x2073, MASK_I, RAW, BASE},
	{OP_CSR, 0x3073, MASK_I, RAW, BASE},
	{OP_CSR, 0x5073, MASK_I, RAW, BASE},
	{OP_CSR, 0x6073, MASK_I, RAW, BASE},
	{OP_CSR, 0x7073, MASK_I, RAW, BASE},
	{OP_MUL, 0x02000033, MASK_R, R, BASE},
	{OP_MULH, 0x02001033, MASK_R, R, BASE},
	{OP_MULHSU, 0x02002033, MASK_R, R, BASE},
	{OP_MULHU, 0x02003033, MASK_R, R, BASE},
	{OP_DIV, 0x02004033, MASK_R, R, BASE},
	{OP_DIVU, 0x02005033, MASK_R, R, BASE},
	{OP_REM, 0x02006033, MASK_R, R, BASE},
	{OP_REMU, 0x02007033, MASK_R, R, BASE},
	{OP_MULW, 0x0200003b, MASK_R, R, BASE},
	{OP_DIVW, 0x0200403b, MASK_R, R, BASE},
	{OP_DIVUW, 0x0200503b, MASK_R, R, BASE},
	{OP_REMW, 0x0200603b, MASK_R, R, BASE},
	{OP_REMUW, 0x0200703b, MASK_R, R, BASE},
#define AMO(code, match)                                                                           \
	{code, (match) | 0x202f, MASK_AMO, RAW, BASE}, {code, (match) | 0x302f, MASK_AMO, RAW, BASE}
	{OP_LR, 0x1000202f, 0xf9f0707f, RAW, BASE},
	{OP_LR, 0x1000302f, 0xf9f0707f, RAW, BASE},
	AMO(OP_SC, 0x18000000),
	AMO(OP_AMO, 0x00000000),
	AMO(OP_AMO, 0x08000000),
	AMO(OP_AMO, 0x20000000),
	AMO(OP_AMO, 0x40000000),
	AMO(OP_AMO, 0x60000000),
	AMO(OP_AMO, 0x80000000),
	AMO(OP_AMO, 0xa0000000),
	AMO(OP_AMO, 0xc0000000),
	AMO(OP_AMO, 0xe0000000),
	{OP_ADD_UW, 0x0800003b, MASK_R, R, ZBA},
	{OP_SH1ADD, 0x20002033, MASK_R, R, ZBA},
	{OP_SH2ADD, 0x20004033, MASK_R, R, ZBA},
	{OP_SH3ADD, 0x20006033, MASK_R, R, ZBA},
	{OP_SH1ADD_UW, 0x2000203b, MASK_R, R, ZBA},
	{OP_SH2ADD_UW, 0x2000403b, MASK_R, R, ZBA},
	{OP_SH3ADD_UW, 0x2000603b, MASK_R, R, ZBA},
	{OP_SLLI_UW, 0x0800101b, MASK_SH, SHIFT, ZBA},
	{OP_ANDN, 0x40007033, MASK_R, R, ZBB},
	{OP_ORN, 0x40006033, MASK_R, R, ZBB},
	{OP_XNOR, 0x40004033, MASK_R, R, ZBB},
	{OP_CLZ, 0x60001013, MASK_UN, R, ZBB},
	{OP_CTZ, 0x60101013, MASK_UN, R, ZBB},
	{OP_CPOP, 0x60201013, MASK_UN, R, ZBB},
	{OP_SEXT_B, 0x60401013, MASK_UN, R, ZBB},
	{OP_SEXT_H, 0x60501013, MASK_UN, R, ZBB},
	{OP_CLZW, 0x6000101b, MASK_UN, R, ZBB},
	{OP_CTZW, 0x6010101b, MASK_UN, R, ZBB},
	{OP_CPOPW, 0x6020101b, MASK_UN, R, ZBB},
	{OP_MAX, 0x0a006033, MASK_R, R, ZBB},
	{OP_MAXU, 0x0a007033, MASK_R, R, ZBB},
	{OP_MIN, 0x0a004033, MASK_R, R, ZBB},
	{OP_MINU, 0x0a005033, MASK_R, R, ZBB},
	{OP_ZEXT_H, 0x0800403b, MASK_UN, R, ZBB},
	{OP_ROL, 0x60001033, MASK_R, R, ZBB},
	{OP_ROR, 0x60005033, MASK_R, R, ZBB},
	{OP_RORI, 0x60005013, MASK_SH, SHIFT, ZBB},
	{OP_ROLW, 0x6000103b, MASK_R, R, ZBB},
	{OP_RORW, 0x6000503b, MASK_R, R, ZBB},
	{OP_RORIW, 0x6000501b, MASK_R, SHIFT_W, ZBB},
	{OP_ORC_B, 0x28705013, MASK_UN, R, ZBB},
	{OP_REV8, 0x6b805013, MASK_UN, R, ZBB},
	{OP_BCLR, 0x48001033, MASK_R, R, ZBS},
	{OP_BEXT, 0x48005033, MASK_R, R, ZBS},
	{OP_BINV, 0x68001033, MASK_R, R, ZBS},
	{OP_BSET, 0x28001033, MASK_R, R, ZBS},
	{OP_BCLRI, 0x48001013, MASK_SH, SHIFT, ZBS},
	{OP_BEXTI, 0x48005013, MASK_SH, SHIFT, ZBS},
	{OP_BINVI, 0x68001013, MASK_SH, SHIFT, ZBS},
	{OP_BSETI, 0x28001013, MASK_SH, SHIFT, ZBS},
	{OP_CBO, 0x0000200f, 0xfff07fff, RAW, CBOM},
	{OP_CBO, 0x0010200f, 0xfff07fff, RAW, CBOM},
	{OP_CBO, 0x0020200f, 0xfff07fff, RAW, CBOM},
	{OP_CBO, 0x0040200f, 0xfff07fff, RAW, CBOZ},
	{OP_FLW, 0x2007, MASK_I, I, F},
	{OP_FSW, 0x2027, MASK_I, S, F},
	{OP_FLD, 0x3007, MASK_I, I, D},
	{OP_FSD, 0x3027, MASK_I, S, D},
	{OP_FMV_X_W, 0xe0000053, MASK_UN, RAW, F},
	{OP_FMV_W_X, 0xf0000053, MASK_UN, RAW, F},
	{OP_FMV_X_D, 0xe2000053, MASK_UN, RAW, D},
	{OP_FMV_D_X, 0xf2000053, MASK_UN, RAW, D},
	{OP_FP, 0x43, 0x7f, RAW, F},
	{OP_FP, 0x47, 0x7f, RAW, F},
	{OP_FP, 0x4b, 0x7f, RAW, F},
	{OP_FP, 0x4f, 0x7f, RAW, F},
	/* After the moves: what OP-FP encodes otherwise is for the floating point to judge. */
	{OP_FP, 0x53, 0x7f, RAW, F},
};

#define ENCODINGS (sizeof(encodings) / sizeof(encodings[0]))

static const struct cpu_isa everything = {
	.zba = true, .zbb = true, .zbs = true, .zicbom = true, .zicboz = true,
	.f = true,   .d = true,	  .c = true,
};

static struct cpu_isa without(enum extension extension)
{
	struct cpu_isa isa = everything;

	switch (extension) {
	case ZBA:
		isa.zba = false;
		break;
	case ZBB:
		isa.zbb = false;
		break;
	case ZBS:
		isa.zbs = false;
		break;
	case CBOM:
		isa.zicbom = false;
		break;
	case CBOZ:
		isa.zicboz = false;
		break;
	case F:
		isa.f = isa.d = false;
		break;
	case D:
		isa.d = false;
		break;
	case BASE:
		break;
	}
	return isa;
}

static uint32_t random_word(void)
{
	static const uint64_t factor = UINT64_C(0x5851f42d4c957f2d);
	static __thread uint64_t seed = 1;

	seed = seed * factor + 1;
	return (uint32_t)(seed >> 32);
}

static const struct encoding *encoding_of(uint32_t insn)
{
	for (unsigned i = 0; i < ENCODINGS; i++)
		if ((insn & encodings[i].mask) == encodings[i].match)
			return &encodings[i];
	return NULL;
}

/* Bit by bit, as the figures of the formats draw it. */
static int32_t immediate(enum format format, uint32_t insn)
{
	static const int8_t places[][32] = {
		/* the bit of the immediate that bit 31, 30, ... 0 holds; -1: none */
		[I] = {11, 10, 9,  8,  7,  6,  5,  4,  3,  2,  1,  0,  -1, -1, -1, -1,
		       -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
		[S] = {11, 10, 9,  8,  7, 6, 5, -1, -1, -1, -1, -1, -1, -1, -1, -1,
		       -1, -1, -1, -1, 4, 3, 2, 1,  0,	-1, -1, -1, -1, -1, -1, -1},
		[B] = {12, 10, 9,  8,  7, 6, 5, -1, -1, -1, -1, -1, -1, -1, -1, -1,
		       -1, -1, -1, -1, 4, 3, 2, 1,  11, -1, -1, -1, -1, -1, -1, -1},
		[U] = {31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
		       15, 14, 13, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
		[J] = {20, 10, 9,  8,  7,  6,  5,  4,  3,  2,  1,  11, 19, 18, 17, 16,
		       15, 14, 13, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
	};
	uint32_t imm = 0;

	if (format == SHIFT || format == SHIFT_W)
		return (int32_t)(insn >> 20 & (format == SHIFT ? 63 : 31));
	for (unsigned bit = 0; bit < 32; bit++)
		if (places[format][31 - bit] >= 0 && (insn >> bit & 1))
			imm |= UINT32_C(1) << places[format][31 - bit];
	if ((insn >> 31) && places[format][0] < 31)
		imm |= UINT32_MAX << places[format][0];
	return (int32_t)imm;
}

static void assert_decodes(const struct encoding *encoding, uint32_t insn)
{
	const bool to_f = encoding->code == OP_FLW || encoding->code == OP_FLD ||
			  encoding->code == OP_FMV_W_X || encoding->code == OP_FMV_D_X;
	const unsigned rd = insn >> 7 & 31;
	struct op op;

	op_decode(&everything, insn, &op);
	assert_int_equal(op.code, encoding->code);
	assert_int_equal(op.rd, rd || to_f ? rd : OP_SINK);
	assert_int_equal(op.rs1, insn >> 15 & 31);
	assert_int_equal(op.rs2, insn >> 20 & 31);
	if (encoding->format != R && encoding->format != RAW)
		assert_int_equal(op.imm, immediate(encoding->format, insn));
	if (encoding->format == RAW && op.code != OP_FENCE && op.code != OP_FENCE_I)
		assert_int_equal((uint32_t)op.imm, insn);
}

static void every_instruction_decodes_to_its_operation_and_operands(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ENCODINGS; i++) {
		const struct encoding *e = &encodings[i];

		for (unsigned n = 0; n < 1000; n++) {
			const uint32_t insn = (random_word() & ~e->mask) | e->match;

			assert_decodes(encoding_of(insn), insn);
		}
		assert_decodes(encoding_of(e->match), e->match);
		assert_decodes(encoding_of(e->match | ~e->mask), e->match | ~e->mask);
	}
}

static void an_instruction_of_an_extension_that_is_off_is_illegal(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ENCODINGS; i++) {
		const struct cpu_isa isa = without(encodings[i].extension);
		struct op op;

		op_decode(&isa, encodings[i].match, &op);
		if (encodings[i].extension == D && encodings[i].format == RAW)
			assert_true(op.code == OP_ILLEGAL);
		else if (encodings[i].extension != BASE)
			assert_int_equal(op.code, OP_ILLEGAL);
		else
			assert_int_equal(op.code, encodings[i].code);
	}
}

static void what_no_table_has_is_illegal_with_its_bits(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4000000; n++) {
		const uint32_t insn = random_word() | 3;
		const struct encoding *e = encoding_of(insn);
		struct op op;

		op_decode(&everything, insn, &op);
		if (op.code != (e ? e->code : OP_ILLEGAL))
			fail_msg("%08x is %s", insn, op_name((enum op_code)op.code));
		if (!e)
			assert_int_equal((uint32_t)op.imm, insn);
	}
}

/* Assembled by GNU binutils: the compressed form, and the same with compression off. */
static void compressed_instructions_stand_for_their_expansions(void **state)
{
	static const struct {
		uint16_t compressed;
		uint32_t expansion;
	} pairs[] = {
#include "decode-compressed.h"
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (op_expand(pairs[i].compressed) != pairs[i].expansion)
			fail_msg("%04x gives %08x, not %08x", pairs[i].compressed,
				 op_expand(pairs[i].compressed), pairs[i].expansion);
}

static void reserved_compressed_encodings_stand_for_nothing(void **state)
{
	static const uint16_t reserved[] = {
		0x0000, /* defined illegal */
		0x0004, /* c.addi4spn, 0 */
		0x8000, /* quadrant 0, 100 */
		0x2001, /* c.addiw to x0 */
		0x6081, /* c.lui, 0 */
		0x6101, /* c.addi16sp, 0 */
		0x9c41, /* c.subw's row, third */
		0x9c61, /* and fourth */
		0x4002, /* c.lwsp to x0 */
		0x6002, /* c.ldsp to x0 */
		0x8002, /* c.jr x0 */
		0x0003, /* not compressed */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		assert_int_equal(op_expand(reserved[i]), 0);
}

static void without_c_a_jump_to_a_half_is_told_apart(void **state)
{
	struct cpu_isa isa = everything;
	struct op op;

	(void)state;
	isa.c = false;
	op_decode(&isa, 0x00000163, &op); /* beq x0, x0, +2 */
	assert_int_equal(op.code, OP_BRANCH_ODD);
	op_decode(&isa, 0x00000263, &op); /* +4 */
	assert_int_equal(op.code, OP_BEQ);
	op_decode(&isa, 0x0020006f, &op); /* jal x0, +2 */
	assert_int_equal(op.code, OP_JAL_ODD);
	op_decode(&isa, 0x0040006f, &op);
	assert_int_equal(op.code, OP_JAL);
	op_decode(&isa, 0x00008067, &op);
	assert_int_equal(op.code, OP_JALR_4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_instruction_decodes_to_its_operation_and_operands),
		cmocka_unit_test(an_instruction_of_an_extension_that_is_off_is_illegal),
		cmocka_unit_test(what_no_table_has_is_illegal_with_its_bits),
		cmocka_unit_test(compressed_instructions_stand_for_their_expansions),
		cmocka_unit_test(reserved_compressed_encodings_stand_for_nothing),
		cmocka_unit_test(without_c_a_jump_to_a_half_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
