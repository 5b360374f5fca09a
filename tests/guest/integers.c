/* SPDX-License-Identifier: MIT */
/*
 * Every unprivileged instruction on integers, of RV64I, M, A, C, Zba, Zbb and Zbs, through the
 * decoder and the interpreter, against Debian's qemu-riscv64: x13 and, by later loads, memory.
 *
 * R1. A record runs at the same address on both sides (oracle.c R1), with x10 to x12 as given, x13
 *     as x10 and the stack pointer as x12. Ours ends with an ebreak, the oracle's with a jump.
 * R2. Records store to one kilobyte, which the loads of later records see.
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

#include "cpu/block.h"
#include "cpu/op.h"
#include "support/hart.h"

#define CODE	(RAM_BASE + 0x10000)
#define DATA	(RAM_BASE + 0x1000)
#define EBREAK	0x00100073u
#define NOP	0x00000013u
#define RECORDS 400000u
#define SHOWN	20u

struct input {
	uint64_t insn, frm;
	uint64_t x[3], f[3];
};

struct output {
	uint64_t x13, f13, fflags;
};

/* --- The instructions ------------------------------------------------------------------------- */

enum form {
	REGISTER,  /* rd, rs1, rs2 */
	IMMEDIATE, /* rd, rs1, twelve bits */
	SHIFT,	   /* rd, rs1, six bits */
	SHIFT_W,   /* rd, rs1, five bits */
	UNARY,	   /* rd, rs1 */
	UPPER,	   /* rd, twenty bits */
	LOAD,
	STORE,
	ATOMIC,
	RESERVED, /* a load, and a conditional store after it */
	BRANCH,
	JUMP,
	JUMP_REGISTER,
	FENCE,
	COMPRESSED,	   /* as it is, with random bits in `any` */
	COMPRESSED_DATA,   /* x12 or sp leads to data */
	COMPRESSED_SP,	   /* then sp is looked at */
	COMPRESSED_BRANCH, /* over half of a pair of increments */
	COMPRESSED_JUMP,   /* to x12, and ra is looked at */
};

static const struct instruction {
	const char *name;
	uint32_t insn, any;
	enum form form;
} instructions[] = {
#define R(name, opcode, funct3, funct7)                                   \
 {                                                                        \
  name, (opcode) | (funct3) << 12 | (uint32_t)(funct7) << 25, 0, REGISTER \
 }
#define I(name, opcode, funct3, form)      \
 {                                         \
  name, (opcode) | (funct3) << 12, 0, form \
 }
#define S(name, opcode, funct3, top, form)                         \
 {                                                                 \
  name, (opcode) | (funct3) << 12 | (uint32_t)(top) << 20, 0, form \
 }
#define A(name, funct5)                                       \
 { name ".w", 0x202f | (uint32_t)(funct5) << 27, 0, ATOMIC }, \
 {                                                            \
  name ".d", 0x302f | (uint32_t)(funct5) << 27, 0, ATOMIC     \
 }
#define C(name, insn, any, form) \
 {                               \
  name, insn, any, form          \
 }
	R("add", 0x33, 0, 0),
	R("sub", 0x33, 0, 0x20),
	R("sll", 0x33, 1, 0),
	R("slt", 0x33, 2, 0),
	R("sltu", 0x33, 3, 0),
	R("xor", 0x33, 4, 0),
	R("srl", 0x33, 5, 0),
	R("sra", 0x33, 5, 0x20),
	R("or", 0x33, 6, 0),
	R("and", 0x33, 7, 0),
	R("addw", 0x3b, 0, 0),
	R("subw", 0x3b, 0, 0x20),
	R("sllw", 0x3b, 1, 0),
	R("srlw", 0x3b, 5, 0),
	R("sraw", 0x3b, 5, 0x20),
	I("addi", 0x13, 0, IMMEDIATE),
	I("slti", 0x13, 2, IMMEDIATE),
	I("sltiu", 0x13, 3, IMMEDIATE),
	I("xori", 0x13, 4, IMMEDIATE),
	I("ori", 0x13, 6, IMMEDIATE),
	I("andi", 0x13, 7, IMMEDIATE),
	I("addiw", 0x1b, 0, IMMEDIATE),
	I("lui", 0x37, 0, UPPER),
	I("auipc", 0x17, 0, UPPER),
	S("slli", 0x13, 1, 0, SHIFT),
	S("srli", 0x13, 5, 0, SHIFT),
	S("srai", 0x13, 5, 0x400, SHIFT),
	S("slliw", 0x1b, 1, 0, SHIFT_W),
	S("srliw", 0x1b, 5, 0, SHIFT_W),
	S("sraiw", 0x1b, 5, 0x400, SHIFT_W),
	/* M */
	R("mul", 0x33, 0, 1),
	R("mulh", 0x33, 1, 1),
	R("mulhsu", 0x33, 2, 1),
	R("mulhu", 0x33, 3, 1),
	R("div", 0x33, 4, 1),
	R("divu", 0x33, 5, 1),
	R("rem", 0x33, 6, 1),
	R("remu", 0x33, 7, 1),
	R("mulw", 0x3b, 0, 1),
	R("divw", 0x3b, 4, 1),
	R("divuw", 0x3b, 5, 1),
	R("remw", 0x3b, 6, 1),
	R("remuw", 0x3b, 7, 1),
	/* Zba */
	R("add.uw", 0x3b, 0, 4),
	R("sh1add", 0x33, 2, 0x10),
	R("sh2add", 0x33, 4, 0x10),
	R("sh3add", 0x33, 6, 0x10),
	R("sh1add.uw", 0x3b, 2, 0x10),
	R("sh2add.uw", 0x3b, 4, 0x10),
	R("sh3add.uw", 0x3b, 6, 0x10),
	S("slli.uw", 0x1b, 1, 0x080, SHIFT),
	/* Zbb */
	R("andn", 0x33, 7, 0x20),
	R("orn", 0x33, 6, 0x20),
	R("xnor", 0x33, 4, 0x20),
	S("clz", 0x13, 1, 0x600, UNARY),
	S("ctz", 0x13, 1, 0x601, UNARY),
	S("cpop", 0x13, 1, 0x602, UNARY),
	S("clzw", 0x1b, 1, 0x600, UNARY),
	S("ctzw", 0x1b, 1, 0x601, UNARY),
	S("cpopw", 0x1b, 1, 0x602, UNARY),
	S("sext.b", 0x13, 1, 0x604, UNARY),
	S("sext.h", 0x13, 1, 0x605, UNARY),
	S("zext.h", 0x3b, 4, 0x080, UNARY),
	R("max", 0x33, 6, 5),
	R("maxu", 0x33, 7, 5),
	R("min", 0x33, 4, 5),
	R("minu", 0x33, 5, 5),
	R("rol", 0x33, 1, 0x30),
	R("ror", 0x33, 5, 0x30),
	R("rolw", 0x3b, 1, 0x30),
	R("rorw", 0x3b, 5, 0x30),
	S("rori", 0x13, 5, 0x600, SHIFT),
	S("roriw", 0x1b, 5, 0x600, SHIFT_W),
	S("orc.b", 0x13, 5, 0x287, UNARY),
	S("rev8", 0x13, 5, 0x6b8, UNARY),
	/* Zbs */
	R("bclr", 0x33, 1, 0x24),
	R("bext", 0x33, 5, 0x24),
	R("binv", 0x33, 1, 0x34),
	R("bset", 0x33, 1, 0x14),
	S("bclri", 0x13, 1, 0x480, SHIFT),
	S("bexti", 0x13, 5, 0x480, SHIFT),
	S("binvi", 0x13, 1, 0x680, SHIFT),
	S("bseti", 0x13, 1, 0x280, SHIFT),
	/* Memory and the flow of control */
	I("lb", 0x03, 0, LOAD),
	I("lh", 0x03, 1, LOAD),
	I("lw", 0x03, 2, LOAD),
	I("ld", 0x03, 3, LOAD),
	I("lbu", 0x03, 4, LOAD),
	I("lhu", 0x03, 5, LOAD),
	I("lwu", 0x03, 6, LOAD),
	I("sb", 0x23, 0, STORE),
	I("sh", 0x23, 1, STORE),
	I("sw", 0x23, 2, STORE),
	I("sd", 0x23, 3, STORE),
	A("amoadd", 0),
	A("amoswap", 1),
	A("amoxor", 4),
	A("amoor", 8),
	A("amoand", 0xc),
	A("amomin", 0x10),
	A("amomax", 0x14),
	A("amominu", 0x18),
	A("amomaxu", 0x1c),
	I("lr.w", 0x2f, 2, RESERVED),
	I("lr.d", 0x2f, 3, RESERVED),
	I("beq", 0x63, 0, BRANCH),
	I("bne", 0x63, 1, BRANCH),
	I("blt", 0x63, 4, BRANCH),
	I("bge", 0x63, 5, BRANCH),
	I("bltu", 0x63, 6, BRANCH),
	I("bgeu", 0x63, 7, BRANCH),
	I("jal", 0x6f, 0, JUMP),
	I("jalr", 0x67, 0, JUMP_REGISTER),
	I("fence", 0x0f, 0, FENCE),
	I("fence.i", 0x0f, 1, FENCE),
	/* C, with x13 where the destination is free, and x10 to x13 as the source */
	C("c.addi4spn", 0x0014, 0x1fe0, COMPRESSED),
	C("c.addi", 0x0681, 0x107c, COMPRESSED),
	C("c.addiw", 0x2681, 0x107c, COMPRESSED),
	C("c.li", 0x4681, 0x107c, COMPRESSED),
	C("c.lui", 0x6685, 0x1078, COMPRESSED),
	C("c.addi16sp", 0x6141, 0x103c, COMPRESSED_SP),
	C("c.srli", 0x8285, 0x1078, COMPRESSED),
	C("c.srai", 0x8685, 0x1078, COMPRESSED),
	C("c.andi", 0x8a81, 0x107c, COMPRESSED),
	C("c.sub", 0x8e89, 0x000c, COMPRESSED),
	C("c.sub", 0x8e91, 0x0004, COMPRESSED),
	C("c.xor", 0x8ea9, 0x0004, COMPRESSED),
	C("c.xor", 0x8eb1, 0x0004, COMPRESSED),
	C("c.or", 0x8ec9, 0x0004, COMPRESSED),
	C("c.or", 0x8ed1, 0x0004, COMPRESSED),
	C("c.and", 0x8ee9, 0x0004, COMPRESSED),
	C("c.and", 0x8ef1, 0x0004, COMPRESSED),
	C("c.subw", 0x9e89, 0x0004, COMPRESSED),
	C("c.subw", 0x9e91, 0x0004, COMPRESSED),
	C("c.addw", 0x9ea9, 0x0004, COMPRESSED),
	C("c.addw", 0x9eb1, 0x0004, COMPRESSED),
	C("c.slli", 0x0686, 0x1078, COMPRESSED),
	C("c.mv", 0x86aa, 0x0004, COMPRESSED),
	C("c.mv", 0x86b2, 0x0004, COMPRESSED),
	C("c.add", 0x96aa, 0x0004, COMPRESSED),
	C("c.add", 0x96b2, 0x0004, COMPRESSED),
	C("c.nop", 0x0001, 0x0000, COMPRESSED),
	C("c.lw", 0x4214, 0x1c60, COMPRESSED_DATA),
	C("c.ld", 0x6214, 0x1c60, COMPRESSED_DATA),
	C("c.sw", 0xc20c, 0x1c60, COMPRESSED_DATA),
	C("c.sd", 0xe20c, 0x1c60, COMPRESSED_DATA),
	C("c.lwsp", 0x4682, 0x107c, COMPRESSED_DATA),
	C("c.ldsp", 0x6682, 0x107c, COMPRESSED_DATA),
	C("c.swsp", 0xc02e, 0x1f80, COMPRESSED_DATA),
	C("c.sdsp", 0xe02e, 0x1f80, COMPRESSED_DATA),
	C("c.j", 0xa011, 0, COMPRESSED_BRANCH),
	C("c.beqz", 0xc111, 0x0080, COMPRESSED_BRANCH),
	C("c.beqz", 0xc211, 0x0080, COMPRESSED_BRANCH),
	C("c.bnez", 0xe111, 0x0080, COMPRESSED_BRANCH),
	C("c.bnez", 0xe211, 0x0080, COMPRESSED_BRANCH),
	C("c.jr", 0x8602, 0, COMPRESSED_JUMP),
	C("c.jalr", 0x9602, 0, COMPRESSED_JUMP),
#undef R
#undef I
#undef S
#undef A
#undef C
};

#define INSTRUCTIONS (sizeof(instructions) / sizeof(instructions[0]))

/* --- Records ---------------------------------------------------------------------------------- */

static uint64_t any(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Integers of every length and their negatives; the edges of 8, 16, 32 and 64 bits. */
static uint64_t any_integer(uint64_t *seed)
{
	static const uint64_t edges[] = {
		0,
		1,
		2,
		0x7f,
		0x80,
		0xff,
		0x7fff,
		0x8000,
		0xffff,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0xffffffff7fffffff,
	};
	const uint64_t choice = any(seed);
	const uint64_t value = choice % 3 ?
				       any(seed) >> (choice >> 8) % 64 :
				       edges[(choice >> 8) % (sizeof(edges) / sizeof(edges[0]))];

	return choice >> 32 & 1 ? value : ~value;
}

/* One of x10 to x13, now and then x0. */
static uint32_t any_source(uint64_t *seed)
{
	const uint64_t choice = any(seed) >> 8;

	return choice % 8 ? 10 + (uint32_t)(choice >> 8) % 4 : 0;
}

/* An address of data, misaligned one time in four. */
static uint64_t any_address(uint64_t *seed)
{
	const uint64_t choice = any(seed) >> 8;

	return DATA + (choice >> 8) % 256 * (choice % 4 ? 0 : 1) + (choice >> 20) % 32 * 8;
}

static void make_access(struct input *in, const struct instruction *i, uint32_t rd, uint64_t *seed)
{
	const uint32_t offset = (uint32_t)any(seed) & 0xfff;
	uint64_t address = any_address(seed);
	const uint32_t source = (i->form == LOAD ? rd : 10 + (uint32_t)(any(seed) >> 8) % 2);

	if (i->form == ATOMIC || i->form == RESERVED) {
		address &= ~UINT64_C(7);
		address += i->insn & 0x1000 ? 0 : any(seed) >> 8 & 4;
		in->x[2] = address;
		in->insn |= 12u << 15 | (uint32_t)(any(seed) >> 8 & 3) << 25 | rd << 7;
		if (i->form == ATOMIC)
			in->insn |= source << 20;
		else /* sc rd, source, (x12), with its result or what was loaded left to be seen */
			in->insn |= (in->insn & 0x707f) << 32 | (uint64_t)12 << 47 |
				    (uint64_t)3 << 59 | (uint64_t)source << 52 |
				    (uint64_t)(rd ? 0 : 13) << 39;
		return;
	}
	in->x[2] = address - (uint64_t)((int64_t)(offset ^ 0x800) - 0x800);
	in->insn |= 12u << 15;
	if (i->form == LOAD)
		in->insn |= source << 7 | offset << 20;
	else
		in->insn |= source << 20 | (offset & 31) << 7 | offset >> 5 << 25;
}

/* What jumps goes over an instruction that would be seen. */
static void make_jump(struct input *in, const struct instruction *i, uint32_t rd, uint64_t pc,
		      uint64_t *seed)
{
	const uint32_t offset = (uint32_t)any(seed) & 0xfff;

	if (i->form == BRANCH)
		in->insn |= any_source(seed) << 15 | any_source(seed) << 20 | 8u << 7;
	else if (i->form == JUMP)
		in->insn |= 8u << 20 | rd << 7;
	else
		in->insn |= 12u << 15 | offset << 20 | rd << 7;
	if (i->form == JUMP_REGISTER) /* the lowest bit of the sum is to be ignored */
		in->x[2] = pc + 8 + (any(seed) >> 8 & 1) -
			   (uint64_t)((int64_t)(offset ^ 0x800) - 0x800);
	if (i->form == BRANCH && any(seed) % 4 == 0)
		in->x[1] = in->x[0];
	in->insn |= (uint64_t)0x02168693 << 32; /* addi x13, x13, 33 */
}

static void make_compressed(struct input *in, const struct instruction *i, uint64_t pc,
			    uint64_t *seed)
{
	const uint32_t bits = (uint32_t)(any(seed) >> 8);

	in->insn |= (bits & i->any) | 0x00010000;
	switch (i->form) {
	case COMPRESSED_DATA:
		in->x[2] = any_address(seed);
		break;
	case COMPRESSED_SP: /* c.mv x13, sp */
		in->insn = (in->insn & 0xffff) | 0x868a0000;
		break;
	case COMPRESSED_BRANCH: /* over c.addi x13, 1, onto c.addi x13, 2 */
		in->insn = (in->insn & 0xffff) | UINT64_C(0x0001068906850000);
		if (any(seed) % 2)
			in->x[bits >> 16 & 1 ? 0 : 2] = 0;
		break;
	case COMPRESSED_JUMP: /* over c.addi x13, 1, to mv x13, ra */
		in->insn = (in->insn & 0xffff) | (i->insn & 0x1000 ? UINT64_C(0x0000868606850000) :
								     UINT64_C(0x0000068906850000));
		in->insn |= UINT64_C(0x0001000000000000);
		in->x[2] = pc + 4;
		break;
	default:
		break;
	}
	/* Reserved: an immediate of zero. */
	if ((in->insn & 0xe003) == 0x0000 && !(in->insn & 0x1fe0))
		in->insn |= 0x20;
	if (((in->insn & 0xef83) == 0x6101 && !(in->insn & 0x107c)))
		in->insn |= 0x20;
}

static struct input make_input(size_t index, uint64_t *seed)
{
	const struct instruction *i = &instructions[index % INSTRUCTIONS];
	const uint32_t rd = any(seed) >> 8 & 15 ? 13 : 0;
	const uint64_t pc = CODE + 16 * index;
	struct input in = { .insn = i->insn };

	for (unsigned n = 0; n < 3; n++)
		in.x[n] = any_integer(seed);
	if (any(seed) >> 8 & 1 << 4)
		in.x[1] = in.x[0] + (any(seed) >> 8) % 3 - 1;
	switch (i->form) {
	case REGISTER:
		in.insn |= rd << 7 | any_source(seed) << 15 | any_source(seed) << 20;
		break;
	case IMMEDIATE:
		in.insn |= rd << 7 | any_source(seed) << 15 | (uint32_t)any(seed) >> 8 << 20;
		break;
	case SHIFT:
		in.insn |= rd << 7 | any_source(seed) << 15 | ((uint32_t)any(seed) & 63) << 20;
		break;
	case SHIFT_W:
		in.insn |= rd << 7 | any_source(seed) << 15 | ((uint32_t)any(seed) & 31) << 20;
		break;
	case UNARY:
		in.insn |= rd << 7 | any_source(seed) << 15;
		break;
	case UPPER:
		in.insn |= rd << 7 | (uint32_t)any(seed) >> 8 << 12;
		break;
	case LOAD:
	case STORE:
	case ATOMIC:
	case RESERVED:
		make_access(&in, i, rd, seed);
		break;
	case BRANCH:
	case JUMP:
	case JUMP_REGISTER:
		make_jump(&in, i, rd, pc, seed);
		break;
	case FENCE:
		in.insn |= i->insn & 0x1000 ? 0 : (any(seed) >> 8 & 0xff) << 20;
		break;
	default:
		make_compressed(&in, i, pc, seed);
	}
	return in;
}

/* --- Comparison ------------------------------------------------------------------------------- */

/* Runs a record on the hart; false: it did not come to its end. */
static bool execute(struct rack *r, size_t index, const struct input *in)
{
	const uint64_t pc = CODE + 16 * index;
	const uint64_t second = in->insn >> 32;
	struct hart *h = &r->h;

	ram_put(r, pc, (in->insn & UINT32_MAX) | (second ? second : NOP) << 32);
	ram_put(r, pc + 8, EBREAK);
	memcpy(&h->x[10], in->x, sizeof(in->x));
	h->x[13] = h->x[10];
	h->x[2] = h->x[12];
	h->x[0] = 0;
	h->pc = pc;
	h->trap.cause = CAUSE_NONE;
	h->budget = 16;
	while (h->trap.cause == CAUSE_NONE && h->budget > 0)
		hart_run_blocks(h);
	return h->trap.cause == CAUSE_BREAKPOINT && h->pc == pc + 8;
}

/*
 * The emulator's 7.2 takes a word of zero below a doubleword that is not zero for one that has its
 * lowest bit where the doubleword has it; the specification of ctzw says 32.
 */
static uint64_t correct(const struct input *in, uint64_t value)
{
	const unsigned rs1 = in->insn >> 15 & 31;

	if ((in->insn & 0xfff0707f) != 0x6010101b || (in->insn >> 7 & 31) == 0 || rs1 == 0)
		return value;
	const uint64_t source = in->x[rs1 == 13 ? 0 : rs1 - 10];

	return source != 0 && (uint32_t)source == 0 ? 32 : value;
}

/* 1: they differ. */
static unsigned compare(struct rack *r, size_t index, const struct input *in,
			const struct output *expected)
{
	const bool ended = execute(r, index, in);

	if (ended && r->h.x[13] == correct(in, expected->x13))
		return 0;
	print_error("%s %016llx, x %016llx %016llx %016llx: %016llx (cause %d, at +%d), but "
		    "qemu-riscv64 has %016llx\n",
		    instructions[index % INSTRUCTIONS].name, (unsigned long long)in->insn,
		    (unsigned long long)in->x[0], (unsigned long long)in->x[1],
		    (unsigned long long)in->x[2], (unsigned long long)r->h.x[13],
		    (int)r->h.trap.cause, (int)(r->h.pc - CODE - 16 * index),
		    (unsigned long long)expected->x13);
	return 1;
}

static int set_up(void **state)
{
	if (rack_set_up(state) != 0)
		return -1;
	struct rack *r = *state;

	r->h.code_pages = code_pages_new();
	blocks_init(&r->h);
	return 0;
}

static int tear_down(void **state)
{
	struct rack *r = *state;
	struct code_pages *pages = r->h.code_pages;

	blocks_free(&r->h);
	code_pages_free(pages);
	return rack_tear_down(state);
}

static void integers_are_as_the_oracle_has_them(void **state)
{
	const char *emulator = getenv("QEMU_RISCV64");
	const char *guest = getenv("ORACLE_GUEST");
	char in_path[] = "/tmp/freehold-in-XXXXXX", out_path[] = "/tmp/freehold-out-XXXXXX";
	uint64_t seed = UINT64_C(88172645463325252);
	unsigned different = 0;
	char command[1024];

	if (!emulator || !guest)
		skip();
	struct input *inputs = test_malloc(RECORDS * sizeof(*inputs));
	FILE *in = fdopen(mkstemp(in_path), "w");
	FILE *out = fdopen(mkstemp(out_path), "r");

	assert_non_null(in);
	assert_non_null(out);
	for (size_t i = 0; i < RECORDS; i++)
		inputs[i] = make_input(i, &seed);
	assert_int_equal(fwrite(inputs, sizeof(*inputs), RECORDS, in), RECORDS);
	fclose(in);
	snprintf(command, sizeof(command), "'%s' '%s' <%s >%s", emulator, guest, in_path, out_path);
	const int status = system(command);

	unlink(in_path);
	unlink(out_path);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < RECORDS && different < SHOWN; i++) {
		struct output expected;

		assert_int_equal(fread(&expected, sizeof(expected), 1, out), 1);
		different += compare(*state, i, &inputs[i], &expected);
	}
	fclose(out);
	test_free(inputs);
	assert_int_equal(different, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(integers_are_as_the_oracle_has_them, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("guest/integers", tests, NULL, NULL);
}
