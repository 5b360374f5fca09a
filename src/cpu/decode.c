/* SPDX-License-Identifier: MIT */
/*
 * From instruction words to operations, after the unprivileged specification, chapter "RV32/64G
 * Instruction Set Listings", and those of Zba, Zbb, Zbs, Zicbom and Zicboz.
 *
 * R1. An encoding that the specification reserves, or that belongs to an extension which the hart
 *     does not have, is OP_ILLEGAL with the raw instruction as its immediate. Where a field is to
 *     be ignored (fence, fence.i) it is.
 * R2. What SYSTEM (funct3 0) and OP-FP encode is judged by those who execute it.
 */
#include "cpu/op.h"

static inline int32_t field_signed(uint32_t insn, unsigned high, unsigned low)
{
	return (int32_t)(insn << (31 - high)) >> (31 - high + low);
}

static inline uint32_t field(uint32_t insn, unsigned high, unsigned low)
{
	return (insn >> low) & ((UINT32_C(1) << (high - low + 1)) - 1);
}

static int32_t imm_s(uint32_t insn)
{
	return field_signed(insn, 31, 25) * 32 + (int32_t)field(insn, 11, 7);
}

static int32_t imm_b(uint32_t insn)
{
	return field_signed(insn, 31, 31) * 4096 +
	       (int32_t)(field(insn, 7, 7) << 11 | field(insn, 30, 25) << 5 |
			 field(insn, 11, 8) << 1);
}

static int32_t imm_j(uint32_t insn)
{
	return field_signed(insn, 31, 31) * (1 << 20) +
	       (int32_t)(field(insn, 19, 12) << 12 | field(insn, 20, 20) << 11 |
			 field(insn, 30, 21) << 1);
}

static enum op_code decode_load(const struct cpu_isa *isa, unsigned funct3, bool fp)
{
	static const uint8_t integer[8] = { OP_LB,  OP_LH,  OP_LW,  OP_LD,
					    OP_LBU, OP_LHU, OP_LWU, OP_ILLEGAL };

	if (!fp)
		return integer[funct3];
	if (funct3 == 2 && isa->f)
		return OP_FLW;
	return funct3 == 3 && isa->d ? OP_FLD : OP_ILLEGAL;
}

static enum op_code decode_store(const struct cpu_isa *isa, unsigned funct3, bool fp)
{
	static const uint8_t integer[4] = { OP_SB, OP_SH, OP_SW, OP_SD };

	if (!fp)
		return funct3 < 4 ? integer[funct3] : OP_ILLEGAL;
	if (funct3 == 2 && isa->f)
		return OP_FSW;
	return funct3 == 3 && isa->d ? OP_FSD : OP_ILLEGAL;
}

/* Shifts by an immediate, and the unary operations that share their opcodes. */
static enum op_code decode_shift_left(const struct cpu_isa *isa, uint32_t insn)
{
	static const uint8_t unary[8] = { OP_CLZ,    OP_CTZ,	OP_CPOP,    OP_ILLEGAL,
					  OP_SEXT_B, OP_SEXT_H, OP_ILLEGAL, OP_ILLEGAL };

	switch (field(insn, 31, 26)) {
	case 0x00:
		return OP_SLLI;
	case 0x0a:
		return isa->zbs ? OP_BSETI : OP_ILLEGAL;
	case 0x12:
		return isa->zbs ? OP_BCLRI : OP_ILLEGAL;
	case 0x1a:
		return isa->zbs ? OP_BINVI : OP_ILLEGAL;
	case 0x18:
		return isa->zbb && field(insn, 25, 20) < 8 ? unary[field(insn, 22, 20)] :
							     OP_ILLEGAL;
	default:
		return OP_ILLEGAL;
	}
}

static enum op_code decode_shift_right(const struct cpu_isa *isa, uint32_t insn)
{
	switch (field(insn, 31, 26)) {
	case 0x00:
		return OP_SRLI;
	case 0x10:
		return OP_SRAI;
	case 0x12:
		return isa->zbs ? OP_BEXTI : OP_ILLEGAL;
	case 0x18:
		return isa->zbb ? OP_RORI : OP_ILLEGAL;
	case 0x0a:
		return isa->zbb && field(insn, 25, 20) == 7 ? OP_ORC_B : OP_ILLEGAL;
	case 0x1a:
		return isa->zbb && field(insn, 25, 20) == 0x38 ? OP_REV8 : OP_ILLEGAL;
	default:
		return OP_ILLEGAL;
	}
}

static enum op_code decode_op_imm(const struct cpu_isa *isa, uint32_t insn)
{
	static const uint8_t plain[8] = { OP_ADDI, OP_ILLEGAL, OP_SLTI, OP_SLTIU,
					  OP_XORI, OP_ILLEGAL, OP_ORI,	OP_ANDI };
	const unsigned funct3 = field(insn, 14, 12);

	if (funct3 == 1)
		return decode_shift_left(isa, insn);
	return funct3 == 5 ? decode_shift_right(isa, insn) : plain[funct3];
}

static enum op_code decode_op_imm_32(const struct cpu_isa *isa, uint32_t insn)
{
	const unsigned funct7 = field(insn, 31, 25);

	switch (field(insn, 14, 12)) {
	case 0:
		return OP_ADDIW;
	case 1:
		if (funct7 == 0x00)
			return OP_SLLIW;
		if (field(insn, 31, 26) == 0x02 && isa->zba)
			return OP_SLLI_UW;
		if (funct7 == 0x30 && isa->zbb && field(insn, 24, 20) < 3)
			return OP_CLZW + field(insn, 24, 20);
		return OP_ILLEGAL;
	case 5:
		if (funct7 == 0x00)
			return OP_SRLIW;
		if (funct7 == 0x20)
			return OP_SRAIW;
		return funct7 == 0x30 && isa->zbb ? OP_RORIW : OP_ILLEGAL;
	default:
		return OP_ILLEGAL;
	}
}

/* Register and register: by funct7 and funct3, with the extension that each row needs. */
static enum op_code decode_op(const struct cpu_isa *isa, uint32_t insn)
{
	static const uint8_t base[8] = { OP_ADD, OP_SLL, OP_SLT, OP_SLTU,
					 OP_XOR, OP_SRL, OP_OR,	 OP_AND };
	const bool zba = isa->zba, zbb = isa->zbb, zbs = isa->zbs;
	const unsigned funct3 = field(insn, 14, 12);

#define IF(condition, code) ((condition) ? (code) : OP_ILLEGAL)
	switch (field(insn, 31, 25) << 3 | funct3) {
	case 0x00 << 3 | 0 ... 0x00 << 3 | 7:
		return base[funct3];
	case 0x01 << 3 | 0 ... 0x01 << 3 | 7:
		return OP_MUL + funct3;
	case 0x20 << 3 | 0:
		return OP_SUB;
	case 0x20 << 3 | 5:
		return OP_SRA;
	case 0x20 << 3 | 4:
		return IF(zbb, OP_XNOR);
	case 0x20 << 3 | 6:
		return IF(zbb, OP_ORN);
	case 0x20 << 3 | 7:
		return IF(zbb, OP_ANDN);
	case 0x10 << 3 | 2:
		return IF(zba, OP_SH1ADD);
	case 0x10 << 3 | 4:
		return IF(zba, OP_SH2ADD);
	case 0x10 << 3 | 6:
		return IF(zba, OP_SH3ADD);
	case 0x05 << 3 | 4:
		return IF(zbb, OP_MIN);
	case 0x05 << 3 | 5:
		return IF(zbb, OP_MINU);
	case 0x05 << 3 | 6:
		return IF(zbb, OP_MAX);
	case 0x05 << 3 | 7:
		return IF(zbb, OP_MAXU);
	case 0x30 << 3 | 1:
		return IF(zbb, OP_ROL);
	case 0x30 << 3 | 5:
		return IF(zbb, OP_ROR);
	case 0x14 << 3 | 1:
		return IF(zbs, OP_BSET);
	case 0x24 << 3 | 1:
		return IF(zbs, OP_BCLR);
	case 0x24 << 3 | 5:
		return IF(zbs, OP_BEXT);
	case 0x34 << 3 | 1:
		return IF(zbs, OP_BINV);
	default:
		return OP_ILLEGAL;
	}
}

static enum op_code decode_op_32(const struct cpu_isa *isa, uint32_t insn)
{
	switch (field(insn, 31, 25) << 3 | field(insn, 14, 12)) {
	case 0x00 << 3 | 0:
		return OP_ADDW;
	case 0x00 << 3 | 1:
		return OP_SLLW;
	case 0x00 << 3 | 5:
		return OP_SRLW;
	case 0x20 << 3 | 0:
		return OP_SUBW;
	case 0x20 << 3 | 5:
		return OP_SRAW;
	case 0x01 << 3 | 0:
		return OP_MULW;
	case 0x01 << 3 | 4 ... 0x01 << 3 | 7:
		return OP_DIVW + (field(insn, 14, 12) - 4);
	case 0x04 << 3 | 0:
		return IF(isa->zba, OP_ADD_UW);
	case 0x04 << 3 | 4:
		return IF(isa->zbb && field(insn, 24, 20) == 0, OP_ZEXT_H);
	case 0x10 << 3 | 2:
		return IF(isa->zba, OP_SH1ADD_UW);
	case 0x10 << 3 | 4:
		return IF(isa->zba, OP_SH2ADD_UW);
	case 0x10 << 3 | 6:
		return IF(isa->zba, OP_SH3ADD_UW);
	case 0x30 << 3 | 1:
		return IF(isa->zbb, OP_ROLW);
	case 0x30 << 3 | 5:
		return IF(isa->zbb, OP_RORW);
	default:
		return OP_ILLEGAL;
	}
}
#undef IF

static enum op_code decode_amo(uint32_t insn)
{
	const unsigned funct3 = field(insn, 14, 12);

	if (funct3 != 2 && funct3 != 3)
		return OP_ILLEGAL;
	switch (field(insn, 31, 27)) {
	case 0x02:
		return field(insn, 24, 20) == 0 ? OP_LR : OP_ILLEGAL;
	case 0x03:
		return OP_SC;
	case 0x00:
	case 0x01:
	case 0x04:
	case 0x08:
	case 0x0c:
	case 0x10:
	case 0x14:
	case 0x18:
	case 0x1c:
		return OP_AMO;
	default:
		return OP_ILLEGAL;
	}
}

static enum op_code decode_misc_mem(const struct cpu_isa *isa, uint32_t insn)
{
	const unsigned operation = field(insn, 31, 20);

	switch (field(insn, 14, 12)) {
	case 0:
		return OP_FENCE;
	case 1:
		return OP_FENCE_I;
	case 2:
		if (field(insn, 11, 7) != 0)
			return OP_ILLEGAL;
		if (operation == 4)
			return isa->zicboz ? OP_CBO : OP_ILLEGAL;
		return operation < 3 && isa->zicbom ? OP_CBO : OP_ILLEGAL;
	default:
		return OP_ILLEGAL;
	}
}

/* OP-FP: the moves of bits are operations of their own. */
static enum op_code decode_fp(const struct cpu_isa *isa, uint32_t insn)
{
	if (!isa->f)
		return OP_ILLEGAL;
	switch (insn & UINT32_C(0xfff0707f)) {
	case 0xe0000053:
		return OP_FMV_X_W;
	case 0xf0000053:
		return OP_FMV_W_X;
	case 0xe2000053:
		return isa->d ? OP_FMV_X_D : OP_ILLEGAL;
	case 0xf2000053:
		return isa->d ? OP_FMV_D_X : OP_ILLEGAL;
	default:
		return OP_FP;
	}
}

static enum op_code decode_branch(const struct cpu_isa *isa, uint32_t insn)
{
	static const uint8_t branch[8] = { OP_BEQ, OP_BNE, OP_ILLEGAL, OP_ILLEGAL,
					   OP_BLT, OP_BGE, OP_BLTU,    OP_BGEU };
	const enum op_code code = branch[field(insn, 14, 12)];

	return code != OP_ILLEGAL && !isa->c && (imm_b(insn) & 2) ? OP_BRANCH_ODD : code;
}

/* What reads its operands from the instruction itself, or reports it (op.h R3). */
static bool op_is_raw(enum op_code code)
{
	switch (code) {
	case OP_ILLEGAL:
	case OP_FP:
	case OP_LR:
	case OP_SC:
	case OP_AMO:
	case OP_CBO:
	case OP_CSR:
	case OP_SYSTEM:
	case OP_BRANCH_ODD:
	case OP_FMV_X_W:
	case OP_FMV_W_X:
	case OP_FMV_X_D:
	case OP_FMV_D_X:
		return true;
	default:
		return false;
	}
}

static enum op_code decode_code(const struct cpu_isa *isa, uint32_t insn, int32_t *imm)
{
	enum op_code code;

	*imm = field_signed(insn, 31, 20);
	switch (insn & 0x7f) {
	case 0x03:
	case 0x07:
		return decode_load(isa, field(insn, 14, 12), insn & 4);
	case 0x23:
	case 0x27:
		*imm = imm_s(insn);
		return decode_store(isa, field(insn, 14, 12), insn & 4);
	case 0x13:
		code = decode_op_imm(isa, insn);
		if ((insn & 0x3000) == 0x1000)
			*imm = (int32_t)field(insn, 25, 20);
		return code;
	case 0x1b:
		code = decode_op_imm_32(isa, insn);
		if ((insn & 0x3000) == 0x1000)
			*imm = (int32_t)field(insn, 25, 20);
		return code;
	case 0x33:
		return decode_op(isa, insn);
	case 0x3b:
		return decode_op_32(isa, insn);
	case 0x37:
	case 0x17:
		*imm = (int32_t)(insn & UINT32_C(0xfffff000));
		return insn & 0x20 ? OP_LUI : OP_AUIPC;
	case 0x63:
		*imm = imm_b(insn);
		return decode_branch(isa, insn);
	case 0x6f:
		*imm = imm_j(insn);
		return !isa->c && (*imm & 2) ? OP_JAL_ODD : OP_JAL;
	case 0x67:
		if (field(insn, 14, 12) != 0)
			return OP_ILLEGAL;
		return isa->c ? OP_JALR : OP_JALR_4;
	case 0x2f:
		return decode_amo(insn);
	case 0x0f:
		return decode_misc_mem(isa, insn);
	case 0x43:
	case 0x47:
	case 0x4b:
	case 0x4f:
		return isa->f ? OP_FP : OP_ILLEGAL;
	case 0x53:
		return decode_fp(isa, insn);
	case 0x73:
		if (field(insn, 14, 12) == 4)
			return OP_ILLEGAL;
		return field(insn, 14, 12) == 0 ? OP_SYSTEM : OP_CSR;
	default:
		return OP_ILLEGAL;
	}
}

/* Is the destination one of the floating-point registers, which have no sink? */
static bool op_writes_f(enum op_code code)
{
	return code == OP_FLW || code == OP_FLD || code == OP_FMV_W_X || code == OP_FMV_D_X;
}

void op_decode(const struct cpu_isa *isa, uint32_t insn, struct op *op)
{
	const enum op_code code = decode_code(isa, insn, &op->imm);

	op->code = code;
	op->rd = (uint8_t)field(insn, 11, 7);
	if (op->rd == 0 && !op_writes_f(code))
		op->rd = OP_SINK;
	op->rs1 = (uint8_t)field(insn, 19, 15);
	op->rs2 = (uint8_t)field(insn, 24, 20);
	if (op_is_raw(code))
		op->imm = (int32_t)insn;
}

const char *op_name(enum op_code code)
{
	static const char *const names[OP_COUNT] = {
#define X(name) [OP_##name] = #name,
		OP_LIST(X)
#undef X
	};

	return (unsigned)code < OP_COUNT ? names[code] : "?";
}
