/* SPDX-License-Identifier: MIT */
/*
 * The interpreter: runs blocks of decoded operations, each of which jumps to the next.
 *
 * R1. `pc` is that of the block's start; an operation's own is pc + 2 * op->offset.
 * R2. The budget is charged for a whole block where it is entered, and given back for what was not
 *     run where the block is left half way.
 * R3. After every access that left the fast path `attention` is looked at before the next operation
 *     (hart.h R4).
 * R4. A block is entered with nothing wanted of the hart: no attention, budget left, epoch current.
 * R5. Signed arithmetic is done on unsigned values: it wraps.
 */
#include "cpu/op.h"

#include "cpu/block.h"
#include "cpu/fp.h"
#include "cpu/hart.h"
#include "cpu/memory.h"
#include "cpu/tlb.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* --- Arithmetic that is more than an operator ------------------------------------------------ */

static inline uint64_t sext32(uint64_t value)
{
	return (uint64_t)(int32_t)value;
}

static inline uint64_t mul_high(int64_t a, int64_t b)
{
	return (uint64_t)(((__int128)a * b) >> 64);
}

static inline uint64_t mul_high_mixed(int64_t a, uint64_t b)
{
	return (uint64_t)(((__int128)a * (__int128)b) >> 64);
}

static inline uint64_t mul_high_unsigned(uint64_t a, uint64_t b)
{
	return (uint64_t)(((unsigned __int128)a * b) >> 64);
}

/* Division by zero and overflow give what the specification says, chapter "M". */
static inline uint64_t div_signed(int64_t a, int64_t b)
{
	if (b == 0)
		return UINT64_MAX;
	return b == -1 ? 0 - (uint64_t)a : (uint64_t)(a / b);
}

static inline uint64_t rem_signed(int64_t a, int64_t b)
{
	if (b == 0)
		return (uint64_t)a;
	return b == -1 ? 0 : (uint64_t)(a % b);
}

static inline uint64_t div_unsigned(uint64_t a, uint64_t b)
{
	return b ? a / b : UINT64_MAX;
}

static inline uint64_t rem_unsigned(uint64_t a, uint64_t b)
{
	return b ? a % b : a;
}

static inline uint64_t rotate_left(uint64_t value, unsigned by)
{
	return value << (by & 63) | value >> (-by & 63);
}

static inline uint64_t rotate_left_word(uint32_t value, unsigned by)
{
	return sext32(value << (by & 31) | value >> (-by & 31));
}

/* Each byte that is not zero becomes all ones. */
static inline uint64_t or_combine(uint64_t value)
{
	const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
	const uint64_t high = ~low & (((value & low) + low) | value);

	return (high >> 7) * 0xff;
}

static bool branch_is_taken(const struct hart *h, uint32_t insn)
{
	const uint64_t a = h->x[insn >> 15 & 31], b = h->x[insn >> 20 & 31];
	bool taken;

	switch (insn >> 13 & 3) {
	case 0:
		taken = a == b;
		break;
	case 2:
		taken = (int64_t)a < (int64_t)b;
		break;
	default:
		taken = a < b;
		break;
	}
	return taken != (insn >> 12 & 1);
}

/* The offset of the branch, of a target that only a hart without C minds. */
static int64_t branch_offset(const struct hart *h, uint32_t insn)
{
	struct cpu_isa isa = h->isa;
	struct op op;

	isa.c = true;
	op_decode(&isa, insn, &op);
	return op.imm;
}

/* csrrw and its kin: chapter "Zicsr". */
static bool exec_csr(struct hart *h, uint32_t insn)
{
	static const uint8_t ops[4] = { CSR_WRITE, CSR_WRITE, CSR_SET, CSR_CLEAR };
	const enum csr_op op = ops[insn >> 12 & 3];
	const unsigned rs1 = insn >> 15 & 31, rd = insn >> 7 & 31;
	const uint64_t operand = insn & 0x4000 ? rs1 : h->x[rs1];
	uint64_t value = 0;

	if (!hart_csr(h, insn >> 20, op, operand, op == CSR_WRITE || rs1 != 0, &value)) {
		hart_raise(h, CAUSE_ILLEGAL, insn);
		return false;
	}
	h->x[rd ? rd : OP_SINK] = value;
	return true;
}

static uint32_t block_insn(const struct block *block, const struct op *op)
{
	const uint8_t *raw = block->raw + 2 * op->offset;
	const uint32_t low = raw[0] | (uint32_t)raw[1] << 8;

	return op_is_compressed(low) ? low : low | (uint32_t)raw[2] << 16 | (uint32_t)raw[3] << 24;
}

/* A jump that no link serves: by the hart's cache of jumps, or the long way. */
static struct block *exec_find(struct hart *h, uint64_t pc)
{
	struct jump *jump = block_jump(h->blocks, pc);
	struct block *block;

	if (jump->pc == pc && jump->epoch == h->fetch_tlb->epoch && jump->block &&
	    jump->block->epoch == h->code_epoch)
		return jump->block;
	block = block_find(h, pc);
	if (block && (block->pa_second == UINT64_MAX || !(block->pa_second & 1)))
		*jump = (struct jump){ pc, h->fetch_tlb->epoch, block };
	return block;
}

/* --- The operations -------------------------------------------------------------------------- */

#define RD  x[op->rd]
#define RS1 x[op->rs1]
#define RS2 x[op->rs2]
#define IMM ((uint64_t)(int64_t)op->imm)

#define NEXT                                                                                       \
	do {                                                                                       \
		op++;                                                                              \
		goto *op->label;                                                                   \
	} while (0)

#define SIMPLE(name, value)                                                                        \
	do_##name : RD = (value);                                                                  \
	NEXT

/* R4. */
#define ENTER(next)                                                                                \
	do {                                                                                       \
		block = (next);                                                                    \
		if (unlikely(atomic_load_explicit(&h->attention, memory_order_relaxed)) ||         \
		    unlikely(budget <= 0))                                                         \
			goto leave;                                                                \
		budget -= block->count;                                                            \
		op = block->ops;                                                                   \
		goto *op->label;                                                                   \
	} while (0)

#define FOLLOW(n, distance)                                                                        \
	do {                                                                                       \
		pc += (distance);                                                                  \
		next = block->link[n];                                                             \
		if (unlikely(!next) || unlikely(next->epoch != h->code_epoch))                     \
			goto link_##n;                                                             \
		ENTER(next);                                                                       \
	} while (0)

#define BRANCH(name, condition)                                                                    \
	do_##name : if (condition) FOLLOW(1, IMM);                                                 \
	FOLLOW(0, block->bytes)

#define LOAD(name, type, value_type)                                                               \
	do_##name : {                                                                              \
		const uint64_t va = RS1 + IMM;                                                     \
		const struct tlb_entry *entry = tlb_data(h, va);                                   \
		if (unlikely(entry->read != tlb_tag(va, sizeof(type)))) {                          \
			uint64_t value;                                                            \
			if (!memory_load(h, va, sizeof(type), &value))                             \
				goto trap;                                                         \
			RD = (uint64_t)(value_type)(type)value;                                    \
			goto slow_done;                                                            \
		}                                                                                  \
		RD = (uint64_t)(value_type)__atomic_load_n((const type *)tlb_host(entry, va),      \
							   __ATOMIC_RELAXED);                      \
	}                                                                                          \
	NEXT

#define STORE_BODY(type, value)                                                                    \
	do {                                                                                       \
		const uint64_t va = RS1 + IMM;                                                     \
		const struct tlb_entry *entry = tlb_data(h, va);                                   \
		if (unlikely(entry->write != tlb_tag(va, sizeof(type)))) {                         \
			if (!memory_store(h, va, sizeof(type), (value)))                           \
				goto trap;                                                         \
			goto slow_done;                                                            \
		}                                                                                  \
		__atomic_store_n((type *)tlb_host(entry, va), (type)(value), __ATOMIC_RELAXED);    \
	} while (0)

#define STORE(name, type)                                                                          \
	do_##name : STORE_BODY(type, RS2);                                                         \
	NEXT

#define LOAD_F(name, type, box)                                                                    \
	do_##name : {                                                                              \
		const uint64_t va = RS1 + IMM;                                                     \
		const struct tlb_entry *entry = tlb_data(h, va);                                   \
		if (!hart_fp_enabled(h))                                                           \
			goto illegal;                                                              \
		if (unlikely(entry->read != tlb_tag(va, sizeof(type)))) {                          \
			uint64_t value;                                                            \
			if (!memory_load(h, va, sizeof(type), &value))                             \
				goto trap;                                                         \
			h->f[op->rd] = value | (box);                                              \
			hart_fp_dirty(h);                                                          \
			goto slow_done;                                                            \
		}                                                                                  \
		h->f[op->rd] = __atomic_load_n((const type *)tlb_host(entry, va),                  \
					       __ATOMIC_RELAXED) |                                 \
			       (box);                                                              \
		hart_fp_dirty(h);                                                                  \
	}                                                                                          \
	NEXT

#define STORE_F(name, type)                                                                        \
	do_##name : if (!hart_fp_enabled(h)) goto illegal;                                         \
	STORE_BODY(type, h->f[op->rs2]);                                                           \
	NEXT

#define MOVE_F(name, body)                                                                         \
	do_##name : if (!hart_fp_enabled(h)) goto illegal;                                         \
	body;                                                                                      \
	NEXT

#define BOX UINT64_C(0xffffffff00000000)

#define CALL(name, function)                                                                       \
	do_##name : if (unlikely(!function(h, (uint32_t)op->imm))) goto trap;                      \
	goto slow_done

/* With `ops`: only puts labels there. One function, since labels are its own. */
static void run(struct hart *h, struct op *ops, unsigned ops_count)
{
	static const void *const labels[OP_COUNT] = {
#define X(name) [OP_##name] = &&do_##name,
		OP_LIST(X)
#undef X
	};
	uint64_t *x, pc, from;
	struct block *block, *next;
	const struct op *op;
	int64_t budget, charged;
	uint64_t generation;
	unsigned slot;

	if (ops) {
		for (unsigned i = 0; i < ops_count; i++)
			ops[i].label = labels[ops[i].code];
		return;
	}
	x = h->x;
	pc = h->pc;
	charged = budget = h->budget;
	goto find;

	SIMPLE(ADD, RS1 + RS2);
	SIMPLE(SUB, RS1 - RS2);
	SIMPLE(SLL, RS1 << (RS2 & 63));
	SIMPLE(SLT, (int64_t)RS1 < (int64_t)RS2);
	SIMPLE(SLTU, RS1 < RS2);
	SIMPLE(XOR, RS1 ^ RS2);
	SIMPLE(SRL, RS1 >> (RS2 & 63));
	SIMPLE(SRA, (uint64_t)((int64_t)RS1 >> (RS2 & 63)));
	SIMPLE(OR, RS1 | RS2);
	SIMPLE(AND, RS1 & RS2);
	SIMPLE(ADDW, sext32(RS1 + RS2));
	SIMPLE(SUBW, sext32(RS1 - RS2));
	SIMPLE(SLLW, sext32((uint32_t)RS1 << (RS2 & 31)));
	SIMPLE(SRLW, sext32((uint32_t)RS1 >> (RS2 & 31)));
	SIMPLE(SRAW, (uint64_t)(int64_t)((int32_t)RS1 >> (RS2 & 31)));

	SIMPLE(ADDI, RS1 + IMM);
	SIMPLE(SLTI, (int64_t)RS1 < (int64_t)IMM);
	SIMPLE(SLTIU, RS1 < IMM);
	SIMPLE(XORI, RS1 ^ IMM);
	SIMPLE(ORI, RS1 | IMM);
	SIMPLE(ANDI, RS1 & IMM);
	SIMPLE(SLLI, RS1 << (op->imm & 63));
	SIMPLE(SRLI, RS1 >> (op->imm & 63));
	SIMPLE(SRAI, (uint64_t)((int64_t)RS1 >> (op->imm & 63)));
	SIMPLE(ADDIW, sext32(RS1 + IMM));
	SIMPLE(SLLIW, sext32((uint32_t)RS1 << (op->imm & 31)));
	SIMPLE(SRLIW, sext32((uint32_t)RS1 >> (op->imm & 31)));
	SIMPLE(SRAIW, (uint64_t)(int64_t)((int32_t)RS1 >> (op->imm & 31)));
	SIMPLE(LUI, IMM);
	SIMPLE(AUIPC, pc + 2 * op->offset + IMM);

	SIMPLE(MUL, RS1 * RS2);
	SIMPLE(MULH, mul_high((int64_t)RS1, (int64_t)RS2));
	SIMPLE(MULHSU, mul_high_mixed((int64_t)RS1, RS2));
	SIMPLE(MULHU, mul_high_unsigned(RS1, RS2));
	SIMPLE(DIV, div_signed((int64_t)RS1, (int64_t)RS2));
	SIMPLE(DIVU, div_unsigned(RS1, RS2));
	SIMPLE(REM, rem_signed((int64_t)RS1, (int64_t)RS2));
	SIMPLE(REMU, rem_unsigned(RS1, RS2));
	SIMPLE(MULW, sext32(RS1 * RS2));
	SIMPLE(DIVW, sext32(div_signed((int32_t)RS1, (int32_t)RS2)));
	SIMPLE(DIVUW, sext32(div_unsigned((uint32_t)RS1, (uint32_t)RS2)));
	SIMPLE(REMW, sext32(rem_signed((int32_t)RS1, (int32_t)RS2)));
	SIMPLE(REMUW, sext32(rem_unsigned((uint32_t)RS1, (uint32_t)RS2)));

	SIMPLE(ADD_UW, (uint32_t)RS1 + RS2);
	SIMPLE(SH1ADD, (RS1 << 1) + RS2);
	SIMPLE(SH2ADD, (RS1 << 2) + RS2);
	SIMPLE(SH3ADD, (RS1 << 3) + RS2);
	SIMPLE(SH1ADD_UW, ((uint64_t)(uint32_t)RS1 << 1) + RS2);
	SIMPLE(SH2ADD_UW, ((uint64_t)(uint32_t)RS1 << 2) + RS2);
	SIMPLE(SH3ADD_UW, ((uint64_t)(uint32_t)RS1 << 3) + RS2);
	SIMPLE(SLLI_UW, (uint64_t)(uint32_t)RS1 << (op->imm & 63));

	SIMPLE(ANDN, RS1 & ~RS2);
	SIMPLE(ORN, RS1 | ~RS2);
	SIMPLE(XNOR, ~(RS1 ^ RS2));
	SIMPLE(CLZ, RS1 ? (uint64_t)__builtin_clzll(RS1) : 64);
	SIMPLE(CTZ, RS1 ? (uint64_t)__builtin_ctzll(RS1) : 64);
	SIMPLE(CPOP, (uint64_t)__builtin_popcountll(RS1));
	SIMPLE(CLZW, (uint32_t)RS1 ? (uint64_t)__builtin_clz((uint32_t)RS1) : 32);
	SIMPLE(CTZW, (uint32_t)RS1 ? (uint64_t)__builtin_ctz((uint32_t)RS1) : 32);
	SIMPLE(CPOPW, (uint64_t)__builtin_popcount((uint32_t)RS1));
	SIMPLE(MAX, (int64_t)RS1 > (int64_t)RS2 ? RS1 : RS2);
	SIMPLE(MAXU, RS1 > RS2 ? RS1 : RS2);
	SIMPLE(MIN, (int64_t)RS1 < (int64_t)RS2 ? RS1 : RS2);
	SIMPLE(MINU, RS1 < RS2 ? RS1 : RS2);
	SIMPLE(SEXT_B, (uint64_t)(int8_t)RS1);
	SIMPLE(SEXT_H, (uint64_t)(int16_t)RS1);
	SIMPLE(ZEXT_H, (uint16_t)RS1);
	SIMPLE(ROL, rotate_left(RS1, (unsigned)RS2));
	SIMPLE(ROR, rotate_left(RS1, -(unsigned)RS2));
	SIMPLE(RORI, rotate_left(RS1, -(unsigned)op->imm));
	SIMPLE(ROLW, rotate_left_word((uint32_t)RS1, (unsigned)RS2));
	SIMPLE(RORW, rotate_left_word((uint32_t)RS1, -(unsigned)RS2));
	SIMPLE(RORIW, rotate_left_word((uint32_t)RS1, -(unsigned)op->imm));
	SIMPLE(ORC_B, or_combine(RS1));
	SIMPLE(REV8, __builtin_bswap64(RS1));

	SIMPLE(BCLR, RS1 & ~(UINT64_C(1) << (RS2 & 63)));
	SIMPLE(BEXT, RS1 >> (RS2 & 63) & 1);
	SIMPLE(BINV, RS1 ^ UINT64_C(1) << (RS2 & 63));
	SIMPLE(BSET, RS1 | UINT64_C(1) << (RS2 & 63));
	SIMPLE(BCLRI, RS1 & ~(UINT64_C(1) << (op->imm & 63)));
	SIMPLE(BEXTI, RS1 >> (op->imm & 63) & 1);
	SIMPLE(BINVI, RS1 ^ UINT64_C(1) << (op->imm & 63));
	SIMPLE(BSETI, RS1 | UINT64_C(1) << (op->imm & 63));

	LOAD(LB, uint8_t, int8_t);
	LOAD(LH, uint16_t, int16_t);
	LOAD(LW, uint32_t, int32_t);
	LOAD(LD, uint64_t, uint64_t);
	LOAD(LBU, uint8_t, uint8_t);
	LOAD(LHU, uint16_t, uint16_t);
	LOAD(LWU, uint32_t, uint32_t);
	STORE(SB, uint8_t);
	STORE(SH, uint16_t);
	STORE(SW, uint32_t);
	STORE(SD, uint64_t);

	LOAD_F(FLW, uint32_t, BOX);
	LOAD_F(FLD, uint64_t, 0);
	STORE_F(FSW, uint32_t);
	STORE_F(FSD, uint64_t);
	MOVE_F(FMV_X_W, RD = sext32(h->f[op->rs1]));
	MOVE_F(FMV_X_D, RD = h->f[op->rs1]);
	MOVE_F(FMV_W_X, (h->f[op->rd] = BOX | (uint32_t)RS1, hart_fp_dirty(h)));
	MOVE_F(FMV_D_X, (h->f[op->rd] = RS1, hart_fp_dirty(h)));
do_FP:
	if (!hart_fp_enabled(h) || !fp_execute(h, (uint32_t)op->imm))
		goto illegal;
	NEXT;

	CALL(LR, memory_lr);
	CALL(SC, memory_sc);
	CALL(AMO, memory_amo);
	CALL(CBO, memory_cbo);
do_FENCE:
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	NEXT;

	BRANCH(BEQ, RS1 == RS2);
	BRANCH(BNE, RS1 != RS2);
	BRANCH(BLT, (int64_t)RS1 < (int64_t)RS2);
	BRANCH(BGE, (int64_t)RS1 >= (int64_t)RS2);
	BRANCH(BLTU, RS1 < RS2);
	BRANCH(BGEU, RS1 >= RS2);
do_JAL:
	RD = pc + block->bytes;
	FOLLOW(1, IMM);
do_END:
	FOLLOW(0, block->bytes);
do_JALR : {
	const uint64_t target = (RS1 + IMM) & ~UINT64_C(1);
	const struct jump *jump = block_jump(h->blocks, target);

	RD = pc + block->bytes;
	pc = target;
	if (unlikely(jump->pc != pc) || unlikely(jump->epoch != h->fetch_tlb->epoch) ||
	    unlikely(!jump->block) || unlikely(jump->block->epoch != h->code_epoch))
		goto find;
	ENTER(jump->block);
}

do_BRANCH_ODD:
	if (branch_is_taken(h, (uint32_t)op->imm)) {
		hart_raise(h, CAUSE_FETCH_MISALIGNED,
			   pc + 2 * op->offset + (uint64_t)branch_offset(h, (uint32_t)op->imm));
		goto trap;
	}
	pc += block->bytes;
	goto find;
do_JAL_ODD:
	hart_raise(h, CAUSE_FETCH_MISALIGNED, pc + 2 * op->offset + IMM);
	goto trap;
do_JALR_4:
	if ((RS1 + IMM) & 2) {
		hart_raise(h, CAUSE_FETCH_MISALIGNED, (RS1 + IMM) & ~UINT64_C(1));
		goto trap;
	}
	goto do_JALR;

do_FENCE_I:
	pc += block->bytes;
	blocks_fence(h);
	goto find;
do_CSR:
	h->pc = pc + 2 * op->offset;
	h->instret += (uint64_t)(charged - budget - 1);
	charged = budget + 1;
	if (!exec_csr(h, (uint32_t)op->imm))
		goto trap;
	pc += block->bytes;
	goto find;
do_SYSTEM:
	h->pc = pc + 2 * op->offset;
	h->instret += (uint64_t)(charged - budget - 1);
	charged = budget + 1;
	if (!hart_system(h, (uint32_t)op->imm))
		goto trap;
	pc = h->pc;
	goto find;

do_ILLEGAL:
illegal:
	hart_raise(h, CAUSE_ILLEGAL, block_insn(block, op));
trap:
	pc += 2 * op->offset;
	budget += block->count - (op - block->ops); /* R2 */
	goto leave;

slow_done: /* R3 */
	op++;
	if (unlikely(atomic_load_explicit(&h->attention, memory_order_relaxed))) {
		pc += 2 * op->offset;
		budget += block->count - (op - block->ops);
		goto leave;
	}
	goto *op->label;

link_0:
	from = pc - block->bytes;
	slot = 0;
	goto link;
link_1:
	from = pc - IMM;
	slot = 1;
link:
	generation = h->blocks->generation;
	next = exec_find(h, pc);
	if (!next)
		goto leave;
	if (((from ^ pc) & TLB_PAGE_MASK) == 0 && next->pa_second == UINT64_MAX &&
	    generation == h->blocks->generation)
		block->link[slot] = next;
	ENTER(next);

find:
	/* A call with something wanted, or an operation that has called for it, goes no further. */
	if (atomic_load_explicit(&h->attention, memory_order_relaxed) || budget <= 0)
		goto leave;
	next = exec_find(h, pc);
	if (!next)
		goto leave;
	ENTER(next);

leave:
	h->pc = pc;
	h->instret += (uint64_t)(charged - budget);
	h->budget = budget;
}

void exec_bind(struct op *ops, unsigned count)
{
	run(NULL, ops, count);
}

void hart_run_blocks(struct hart *h)
{
	run(h, NULL, 0);
}
