/* SPDX-License-Identifier: MIT */
/*
 * Compressed instructions: each stands for one of 32 bits, which is what it is turned into
 * (unprivileged specification, chapter "C", the tables of RVC instruction listings for RV64).
 *
 * R1. What is reserved gives 0, which is no instruction. Hints are instructions like others.
 */
#include "cpu/op.h"

static inline uint32_t bits(uint16_t c, unsigned high, unsigned low, unsigned to)
{
	return ((uint32_t)c >> low & ((1U << (high - low + 1)) - 1)) << to;
}

/* The popular registers x8..x15. */
static inline uint32_t reg_low(uint16_t c)
{
	return bits(c, 4, 2, 0) + 8;
}

static inline uint32_t reg_high(uint16_t c)
{
	return bits(c, 9, 7, 0) + 8;
}

static uint32_t type_r(uint32_t base, uint32_t rd, uint32_t rs1, uint32_t rs2)
{
	return base | rd << 7 | rs1 << 15 | rs2 << 20;
}

static uint32_t type_i(uint32_t base, uint32_t rd, uint32_t rs1, uint32_t imm)
{
	return base | rd << 7 | rs1 << 15 | imm << 20;
}

static uint32_t type_s(uint32_t base, uint32_t rs1, uint32_t rs2, uint32_t imm)
{
	return base | (imm & 31) << 7 | rs1 << 15 | rs2 << 20 | (imm >> 5 & 0x7f) << 25;
}

static uint32_t type_b(uint32_t base, uint32_t rs1, uint32_t imm)
{
	return base | rs1 << 15 | (imm >> 11 & 1) << 7 | (imm >> 1 & 15) << 8 |
	       (imm >> 5 & 63) << 25 | (imm >> 12 & 1) << 31;
}

static uint32_t type_j(uint32_t rd, uint32_t imm)
{
	return 0x6f | rd << 7 | (imm >> 12 & 0xff) << 12 | (imm >> 11 & 1) << 20 |
	       (imm >> 1 & 0x3ff) << 21 | (imm >> 20 & 1) << 31;
}

/* The six-bit signed immediate of most of quadrant 1. */
static uint32_t imm6(uint16_t c)
{
	const uint32_t imm = bits(c, 6, 2, 0);

	return c & 0x1000 ? imm | UINT32_C(0xffffffe0) : imm;
}

static uint32_t imm_cj(uint16_t c)
{
	const uint32_t imm = bits(c, 11, 11, 4) | bits(c, 10, 9, 8) | bits(c, 8, 8, 10) |
			     bits(c, 7, 7, 6) | bits(c, 6, 6, 7) | bits(c, 5, 3, 1) |
			     bits(c, 2, 2, 5);

	return c & 0x1000 ? imm | UINT32_C(0xfffff800) : imm;
}

static uint32_t imm_cb(uint16_t c)
{
	const uint32_t imm = bits(c, 11, 10, 3) | bits(c, 6, 5, 6) | bits(c, 4, 3, 1) |
			     bits(c, 2, 2, 5);

	return c & 0x1000 ? imm | UINT32_C(0xffffff00) : imm;
}

/* Loads and stores of words and doublewords relative to a register. */
static uint32_t expand_0(uint16_t c)
{
	const uint32_t word = bits(c, 12, 10, 3) | bits(c, 6, 6, 2) | bits(c, 5, 5, 6);
	const uint32_t twice = bits(c, 12, 10, 3) | bits(c, 6, 5, 6);
	const uint32_t add = bits(c, 12, 11, 4) | bits(c, 10, 7, 6) | bits(c, 6, 6, 2) |
			     bits(c, 5, 5, 3);

	switch (c >> 13) {
	case 0: /* c.addi4spn */
		return add ? type_i(0x13, reg_low(c), 2, add) : 0;
	case 1: /* c.fld */
		return type_i(0x3007, reg_low(c), reg_high(c), twice);
	case 2: /* c.lw */
		return type_i(0x2003, reg_low(c), reg_high(c), word);
	case 3: /* c.ld */
		return type_i(0x3003, reg_low(c), reg_high(c), twice);
	case 5: /* c.fsd */
		return type_s(0x3027, reg_high(c), reg_low(c), twice);
	case 6: /* c.sw */
		return type_s(0x2023, reg_high(c), reg_low(c), word);
	case 7: /* c.sd */
		return type_s(0x3023, reg_high(c), reg_low(c), twice);
	default:
		return 0;
	}
}

/* c.srli, c.srai, c.andi, and the operations of two registers. */
static uint32_t expand_arithmetic(uint16_t c)
{
	static const uint32_t binary[8] = { 0x40000033, 0x4033, 0x6033, 0x7033, /* sub xor or and */
					    0x4000003b, 0x3b,	0,	0 };	/* subw addw */
	const uint32_t rd = reg_high(c), shift = bits(c, 12, 12, 5) | bits(c, 6, 2, 0);
	uint32_t base;

	switch (c >> 10 & 3) {
	case 0:
		return type_i(0x5013, rd, rd, shift);
	case 1:
		return type_i(0x5013, rd, rd, shift | 0x400);
	case 2:
		return type_i(0x7013, rd, rd, imm6(c));
	default:
		base = binary[bits(c, 12, 12, 2) | bits(c, 6, 5, 0)];
		return base ? type_r(base, rd, rd, reg_low(c)) : 0;
	}
}

/* c.addi16sp and c.lui. */
static uint32_t expand_lui(uint16_t c)
{
	const uint32_t rd = bits(c, 11, 7, 0);
	uint32_t imm;

	if (imm6(c) == 0)
		return 0;
	if (rd != 2)
		return 0x37 | rd << 7 | imm6(c) << 12;
	imm = bits(c, 6, 6, 4) | bits(c, 5, 5, 6) | bits(c, 4, 3, 7) | bits(c, 2, 2, 5);
	return type_i(0x13, 2, 2, c & 0x1000 ? imm | UINT32_C(0xfffffe00) : imm);
}

static uint32_t expand_1(uint16_t c)
{
	const uint32_t rd = bits(c, 11, 7, 0);

	switch (c >> 13) {
	case 0: /* c.addi, c.nop */
		return type_i(0x13, rd, rd, imm6(c));
	case 1: /* c.addiw */
		return rd ? type_i(0x1b, rd, rd, imm6(c)) : 0;
	case 2: /* c.li */
		return type_i(0x13, rd, 0, imm6(c));
	case 3:
		return expand_lui(c);
	case 4:
		return expand_arithmetic(c);
	case 5: /* c.j */
		return type_j(0, imm_cj(c));
	case 6: /* c.beqz */
		return type_b(0x63, reg_high(c), imm_cb(c));
	default: /* c.bnez */
		return type_b(0x1063, reg_high(c), imm_cb(c));
	}
}

/* c.jr, c.mv, c.ebreak, c.jalr, c.add. */
static uint32_t expand_registers(uint16_t c)
{
	const uint32_t rd = bits(c, 11, 7, 0), rs2 = bits(c, 6, 2, 0);

	if (rs2 != 0)
		return type_r(0x33, rd, c & 0x1000 ? rd : 0, rs2);
	if (rd != 0)
		return type_i(0x67, c & 0x1000 ? 1 : 0, rd, 0);
	return c & 0x1000 ? 0x00100073 : 0;
}

static uint32_t expand_2(uint16_t c)
{
	const uint32_t rd = bits(c, 11, 7, 0), rs2 = bits(c, 6, 2, 0);
	const uint32_t load_word = bits(c, 12, 12, 5) | bits(c, 6, 4, 2) | bits(c, 3, 2, 6);
	const uint32_t load_twice = bits(c, 12, 12, 5) | bits(c, 6, 5, 3) | bits(c, 4, 2, 6);
	const uint32_t store_word = bits(c, 12, 9, 2) | bits(c, 8, 7, 6);
	const uint32_t store_twice = bits(c, 12, 10, 3) | bits(c, 9, 7, 6);

	switch (c >> 13) {
	case 0: /* c.slli */
		return type_i(0x1013, rd, rd, bits(c, 12, 12, 5) | bits(c, 6, 2, 0));
	case 1: /* c.fldsp */
		return type_i(0x3007, rd, 2, load_twice);
	case 2: /* c.lwsp */
		return rd ? type_i(0x2003, rd, 2, load_word) : 0;
	case 3: /* c.ldsp */
		return rd ? type_i(0x3003, rd, 2, load_twice) : 0;
	case 4:
		return expand_registers(c);
	case 5: /* c.fsdsp */
		return type_s(0x3027, 2, rs2, store_twice);
	case 6: /* c.swsp */
		return type_s(0x2023, 2, rs2, store_word);
	default: /* c.sdsp */
		return type_s(0x3023, 2, rs2, store_twice);
	}
}

uint32_t op_expand(uint16_t insn)
{
	switch (insn & 3) {
	case 0:
		return expand_0(insn);
	case 1:
		return expand_1(insn);
	case 2:
		return expand_2(insn);
	default:
		return 0;
	}
}
