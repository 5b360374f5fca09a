/* SPDX-License-Identifier: MIT */
/*
 * The decoded form of an instruction: what exec.c runs and decode.c makes.
 *
 * R1. One instruction is one operation, so that an operation's index in its block is the number of
 *     instructions before it. A block that does not end in a jump has one more operation, OP_END.
 * R2. Register numbers are 0..31; a destination x0 is OP_SINK, which nobody reads.
 * R3. `imm` is the immediate, sign-extended; the raw instruction for what OP_IS_RAW names.
 * R4. In a block `label` stands in place of `code`: a translator finds the instructions themselves
 *     kept with the block, and decodes them again.
 */
#ifndef CPU_OP_H
#define CPU_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/hart.h"

#define OP_SINK 32

#define OP_LIST(X)                                                                                 \
	/* integer, register and register */                                                       \
	X(ADD) X(SUB) X(SLL) X(SLT) X(SLTU) X(XOR) X(SRL) X(SRA) X(OR) X(AND)                      \
	X(ADDW) X(SUBW) X(SLLW) X(SRLW) X(SRAW)                                                    \
	/* register and immediate */                                                               \
	X(ADDI) X(SLTI) X(SLTIU) X(XORI) X(ORI) X(ANDI) X(SLLI) X(SRLI) X(SRAI)                    \
	X(ADDIW) X(SLLIW) X(SRLIW) X(SRAIW) X(LUI) X(AUIPC)                                        \
	/* M */                                                                                    \
	X(MUL) X(MULH) X(MULHSU) X(MULHU) X(DIV) X(DIVU) X(REM) X(REMU)                            \
	X(MULW) X(DIVW) X(DIVUW) X(REMW) X(REMUW)                                                  \
	/* Zba */                                                                                  \
	X(ADD_UW) X(SH1ADD) X(SH2ADD) X(SH3ADD) X(SH1ADD_UW) X(SH2ADD_UW) X(SH3ADD_UW) X(SLLI_UW)  \
	/* Zbb */                                                                                  \
	X(ANDN) X(ORN) X(XNOR) X(CLZ) X(CTZ) X(CPOP) X(CLZW) X(CTZW) X(CPOPW)                      \
	X(MAX) X(MAXU) X(MIN) X(MINU) X(SEXT_B) X(SEXT_H) X(ZEXT_H)                                \
	X(ROL) X(ROR) X(RORI) X(ROLW) X(RORW) X(RORIW) X(ORC_B) X(REV8)                            \
	/* Zbs */                                                                                  \
	X(BCLR) X(BEXT) X(BINV) X(BSET) X(BCLRI) X(BEXTI) X(BINVI) X(BSETI)                        \
	/* loads and stores */                                                                     \
	X(LB) X(LH) X(LW) X(LD) X(LBU) X(LHU) X(LWU) X(SB) X(SH) X(SW) X(SD)                       \
	X(FLW) X(FLD) X(FSW) X(FSD)                                                                \
	/* floating point: moves of bits, and all else */                                          \
	X(FMV_X_W) X(FMV_W_X) X(FMV_X_D) X(FMV_D_X) X(FP)                                          \
	/* atomic, fences, cache blocks */                                                         \
	X(LR) X(SC) X(AMO) X(FENCE) X(CBO)                                                         \
	X(ILLEGAL)                                                                                 \
	/* what ends a block */                                                                    \
	X(BEQ) X(BNE) X(BLT) X(BGE) X(BLTU) X(BGEU) X(JAL) X(JALR)                                 \
	X(BRANCH_ODD) X(JAL_ODD) X(JALR_4) /* without C: the target may be misaligned */           \
	X(FENCE_I) X(CSR) X(SYSTEM) X(END)

enum op_code {
#define X(name) OP_##name,
	OP_LIST(X)
#undef X
	OP_COUNT,
	OP_FIRST_TERMINATOR = OP_BEQ,
};

struct op {
	union {
		uint64_t code;	   /* enum op_code, as decoded */
		const void *label; /* its place in exec.c, when bound */
	};
	uint8_t rd, rs1, rs2;
	uint8_t offset; /* from the block's start, in halfwords */
	int32_t imm;
};

_Static_assert(sizeof(struct op) == 16, "four operations to a cache line");

/*
 * decode.c. Decode a 32-bit instruction; what the hart does not know is OP_ILLEGAL. op->offset is
 * the caller's.
 */
void op_decode(const struct cpu_isa *isa, uint32_t insn, struct op *op);
/* The 32-bit instruction that a compressed one stands for; 0: there is none. */
uint32_t op_expand(uint16_t insn);
const char *op_name(enum op_code code);

/* exec.c: put labels in place of codes. */
void exec_bind(struct op *ops, unsigned count);

static inline bool op_is_compressed(uint32_t insn)
{
	return (insn & 3) != 3;
}

#endif
