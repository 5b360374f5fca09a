/* SPDX-License-Identifier: MIT */
/*
 * Running blocks: small programs in RAM, in M-mode. Each ends with an ecall, which is a trap.
 */
#include "support/probe.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "cpu/privileged.h"
#include "cpu/tlb.h"

#define BASE	  UINT64_C(0x80000000)
#define RAM_SIZE  UINT64_C(0x100000)
#define REGISTERS UINT64_C(0x10000000)
#define DATA	  (BASE + 0x8000)
#define HARTS	  2
#define ECALL	  0x00000073
#define FENCE_I	  0x0000100f
#define NOP	  0x00000013
#define BOX	  UINT64_C(0xffffffff00000000)

enum { ZERO, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5 };

/* --- A little assembler ---------------------------------------------------------------------- */

static uint32_t type_i(uint32_t base, unsigned rd, unsigned rs1, int imm)
{
	return base | rd << 7 | rs1 << 15 | (uint32_t)imm << 20;
}

static uint32_t type_r(uint32_t base, unsigned rd, unsigned rs1, unsigned rs2)
{
	return base | rd << 7 | rs1 << 15 | rs2 << 20;
}

static uint32_t type_s(uint32_t base, unsigned rs2, unsigned rs1, int imm)
{
	return base | ((uint32_t)imm & 31) << 7 | rs1 << 15 | rs2 << 20 |
	       ((uint32_t)imm >> 5 & 0x7f) << 25;
}

static uint32_t type_b(uint32_t base, unsigned rs1, unsigned rs2, int imm)
{
	const uint32_t i = (uint32_t)imm;

	return base | rs1 << 15 | rs2 << 20 | (i >> 11 & 1) << 7 | (i >> 1 & 15) << 8 |
	       (i >> 5 & 63) << 25 | (i >> 12 & 1) << 31;
}

static uint32_t type_j(unsigned rd, int imm)
{
	const uint32_t i = (uint32_t)imm;

	return 0x6f | rd << 7 | (i >> 12 & 0xff) << 12 | (i >> 11 & 1) << 20 |
	       (i >> 1 & 0x3ff) << 21 | (i >> 20 & 1) << 31;
}

#define ADDI(rd, rs1, imm)  type_i(0x0013, rd, rs1, imm)
#define ADD(rd, rs1, rs2)   type_r(0x0033, rd, rs1, rs2)
#define LW(rd, rs1, imm)    type_i(0x2003, rd, rs1, imm)
#define LD(rd, rs1, imm)    type_i(0x3003, rd, rs1, imm)
#define SW(rs2, rs1, imm)   type_s(0x2023, rs2, rs1, imm)
#define SD(rs2, rs1, imm)   type_s(0x3023, rs2, rs1, imm)
#define BNE(rs1, rs2, imm)  type_b(0x1063, rs1, rs2, imm)
#define BEQ(rs1, rs2, imm)  type_b(0x0063, rs1, rs2, imm)
#define JALR(rd, rs1, imm)  type_i(0x0067, rd, rs1, imm)
#define LR_D(rd, rs1)	    type_r(0x1000302f, rd, rs1, 0)
#define LR_W(rd, rs1)	    type_r(0x1000202f, rd, rs1, 0)
#define SC_D(rd, rs2, rs1)  type_r(0x1800302f, rd, rs1, rs2)
#define SC_W(rd, rs2, rs1)  type_r(0x1800202f, rd, rs1, rs2)

/* --- A machine of two harts without threads ---------------------------------------------------- */

struct rig {
	struct fh_machine *m;
	struct fh_region *memory, *registers;
	uint8_t *ram;
	struct code_pages *pages;
	struct hart *hart[HARTS];
	void (*written)(struct rig *rig); /* by a store to the register */
	uint64_t value;
};

static enum fh_tx reg_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			   struct fh_attrs attrs)
{
	const struct rig *rig = state;

	(void)offset, (void)size, (void)attrs;
	*ret_value = rig->value;
	return FH_TX_OK;
}

static enum fh_tx reg_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs)
{
	struct rig *rig = state;

	(void)offset, (void)size, (void)attrs;
	rig->value = value;
	if (rig->written)
		rig->written(rig);
	return FH_TX_OK;
}

static const struct fh_region_ops reg_ops = { .read = reg_read, .write = reg_write };

static uint64_t no_time(void *arg)
{
	(void)arg;
	return 0;
}

static struct hart *hart_new(struct rig *rig, unsigned id)
{
	struct hart *h = calloc(1, sizeof(*h));

	h->id = id;
	h->isa = cpu_isa_default();
	h->machine = rig->m;
	h->memory = fh_machine_memory(rig->m);
	h->time = no_time;
	h->code_pages = rig->pages;
	h->reset_pc = BASE;
	tlb_init(h);
	blocks_init(h);
	hart_reset(h);
	h->trap.cause = CAUSE_NONE;
	return h;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct fh_region *root;

	rig->m = machine_begin();
	root = fh_space_root(fh_machine_memory(rig->m));
	rig->memory = fh_region_new_ram(rig->m, "ram", RAM_SIZE, NULL);
	rig->registers = fh_region_new_mmio(rig->m, "reg", 0x1000, &reg_ops, rig);
	fh_region_add(root, rig->memory, BASE, 0);
	fh_region_add(root, rig->registers, REGISTERS, 0);
	rig->ram = fh_region_ram(rig->memory);
	rig->pages = code_pages_new();
	for (unsigned i = 0; i < HARTS; i++)
		rig->hart[i] = hart_new(rig, i);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < HARTS; i++) {
		blocks_free(rig->hart[i]);
		tlb_free(rig->hart[i]);
		free(rig->hart[i]);
	}
	code_pages_free(rig->pages);
	fh_object_unref(rig->memory);
	fh_object_unref(rig->registers);
	machine_end(rig->m);
	free(rig);
	return 0;
}

#define PUT(rig, addr, ...)                                                                        \
	put(rig, addr, (const uint32_t[]){ __VA_ARGS__ },                                          \
	    sizeof((const uint32_t[]){ __VA_ARGS__ }))

static void put(struct rig *rig, uint64_t addr, const void *from, size_t size)
{
	memcpy(rig->ram + (addr - BASE), from, size);
}

static uint64_t get(struct rig *rig, uint64_t addr)
{
	uint64_t value;

	memcpy(&value, rig->ram + (addr - BASE), sizeof(value));
	return value;
}

/* Run until it traps; returns the cause. */
static enum cause run(struct hart *h, uint64_t pc)
{
	h->pc = pc;
	h->trap.cause = CAUSE_NONE;
	while (h->trap.cause == CAUSE_NONE) {
		fh_read_begin();
		if (atomic_exchange_explicit(&h->attention, 0, memory_order_acquire) &
		    ATTENTION_CODE)
			blocks_service(h);
		h->budget = 1000;
		hart_run_blocks(h);
		fh_read_end();
	}
	return h->trap.cause;
}

static void run_to_ecall(struct hart *h, uint64_t pc)
{
	assert_int_equal(run(h, pc), CAUSE_ECALL_M);
}

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

/* --- Atomics ---------------------------------------------------------------------------------- */

static void a_store_conditional_needs_its_reservation(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, LR_D(A0, A1), SC_D(A2, A3, A1), SC_D(A4, A3, A1), ECALL);
	h->x[A1] = DATA;
	h->x[A3] = 42;
	run_to_ecall(h, BASE);
	assert_int_equal(h->x[A2], 0);
	assert_int_equal(h->x[A4], 1);
	assert_int_equal(get(rig, DATA), 42);

	/* Used up, even if memory is as it was. */
	h->x[A3] = 42;
	run_to_ecall(h, BASE);
	assert_int_equal(h->x[A2], 0);
	assert_int_equal(h->x[A4], 1);

	/* Another address, another size. */
	PUT(rig, BASE + 0x100, LR_D(A0, A1), SC_D(A2, A3, A5), LR_D(A0, A1), SC_W(A4, A3, A1),
	    ECALL);
	h->x[A5] = DATA + 8;
	run_to_ecall(h, BASE + 0x100);
	assert_int_equal(h->x[A2], 1);
	assert_int_equal(h->x[A4], 1);
}

static void a_store_by_another_hart_breaks_a_reservation(void **state)
{
	struct rig *rig = *state;
	struct hart *a = rig->hart[0], *b = rig->hart[1];

	PUT(rig, BASE, LR_W(A0, A1), ECALL);
	PUT(rig, BASE + 0x100, SC_W(A2, A3, A1), ECALL);
	PUT(rig, BASE + 0x200, SW(A3, A1, 0), ECALL);
	a->x[A1] = b->x[A1] = DATA;
	a->x[A3] = 1;
	b->x[A3] = 2;
	run_to_ecall(a, BASE);
	run_to_ecall(b, BASE + 0x200);
	run_to_ecall(a, BASE + 0x100);

	assert_int_equal(a->x[A2], 1);
	assert_int_equal(get(rig, DATA), 2);
}

static void atomics_give_the_old_value_and_store_the_new(void **state)
{
	static const struct {
		uint32_t funct5;
		uint32_t word;
		uint64_t twice;
	} amos[] = {
		{ 0x01, 5, 5 },
		{ 0x00, 0x80000006, UINT64_C(0x8000000080000006) },
		{ 0x04, 0x80000004, UINT64_C(0x8000000080000004) },
		{ 0x0c, 1, 1 },
		{ 0x08, 0x80000005, UINT64_C(0x8000000080000005) },
		{ 0x10, 0x80000001, UINT64_C(0x8000000080000001) },
		{ 0x14, 5, 5 },
		{ 0x18, 5, 5 },
		{ 0x1c, 0x80000001, UINT64_C(0x8000000080000001) },
	};
	const uint64_t old = UINT64_C(0x8000000080000001);
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	h->x[A1] = DATA;
	h->x[A3] = 5;
	for (unsigned i = 0; i < sizeof(amos) / sizeof(amos[0]); i++) {
		const uint32_t amo = type_r(0x202f | amos[i].funct5 << 27, A0, A1, A3);
		uint64_t pc = BASE + i * 64;

		put(rig, DATA, &old, 8);
		PUT(rig, pc, amo, ECALL);
		run_to_ecall(h, pc);
		assert_int_equal(h->x[A0], UINT64_C(0xffffffff80000001));
		assert_int_equal(get(rig, DATA), (old & ~UINT64_C(0xffffffff)) | amos[i].word);

		put(rig, DATA, &old, 8);
		PUT(rig, pc + 32, amo | 0x1000, ECALL);
		run_to_ecall(h, pc + 32);
		assert_int_equal(h->x[A0], old);
		assert_int_equal(get(rig, DATA), amos[i].twice);
	}
}

static void atomics_are_for_aligned_memory(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, type_r(0x302f, A0, A1, A3), ECALL);
	PUT(rig, BASE + 0x100, LR_D(A0, A1), ECALL);
	h->x[A1] = DATA + 4;
	assert_int_equal(run(h, BASE), CAUSE_STORE_MISALIGNED);
	assert_int_equal(run(h, BASE + 0x100), CAUSE_LOAD_MISALIGNED);
	assert_int_equal(h->trap.tval, DATA + 4);
	h->x[A1] = REGISTERS;
	assert_int_equal(run(h, BASE), CAUSE_STORE_ACCESS);
	assert_int_equal(run(h, BASE + 0x100), CAUSE_LOAD_ACCESS);
	assert_int_equal(h->trap.tval, REGISTERS);
}

static void *run_thread(void *arg)
{
	struct hart *h = arg;

	return (void *)(uintptr_t)run(h, BASE);
}

#define TURNS 20000

static void two_harts_count_to_the_sum_with_lr_and_sc(void **state)
{
	struct rig *rig = *state;
	pthread_t thread;
	void *cause;

	PUT(rig, BASE, LR_D(A0, A1), ADDI(A0, A0, 1), SC_D(A2, A0, A1), BNE(A2, ZERO, -12),
	    ADDI(A3, A3, -1), BNE(A3, ZERO, -20), ECALL);
	for (unsigned i = 0; i < HARTS; i++) {
		rig->hart[i]->x[A1] = DATA;
		rig->hart[i]->x[A3] = TURNS;
	}
	pthread_create(&thread, NULL, run_thread, rig->hart[1]);
	run_to_ecall(rig->hart[0], BASE);
	pthread_join(thread, &cause);

	assert_int_equal((uintptr_t)cause, CAUSE_ECALL_M);
	assert_int_equal(get(rig, DATA), 2 * TURNS);
}

/* --- Code that changes ------------------------------------------------------------------------- */

static void code_that_stores_into_itself_runs_as_changed(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), BEQ(A1, ZERO, 12), ECALL, NOP, SW(A2, A3, 0),
	    ADDI(A1, ZERO, 1), FENCE_I, type_j(ZERO, -28));
	h->x[A2] = ADDI(A0, ZERO, 2);
	h->x[A3] = BASE;
	/* The branch goes to the nop. */
	run_to_ecall(h, BASE);

	assert_int_equal(h->x[A0], 2);
}

static void a_store_makes_the_page_stale_without_a_fence(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE + 0x2000, SW(A2, A3, 0), JALR(ZERO, A3, 0));
	run_to_ecall(h, BASE);
	h->x[A2] = ADDI(A0, ZERO, 2);
	h->x[A3] = BASE;
	run_to_ecall(h, BASE + 0x2000);

	assert_int_equal(h->x[A0], 2);
}

static void a_page_that_was_stored_to_before_it_was_code_is_watched(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE + 0x2000, SW(A2, A3, 0), JALR(ZERO, A4, 0));
	h->x[A3] = BASE + 0x800;
	h->x[A4] = BASE;
	run_to_ecall(h, BASE + 0x2000); /* stores the fast way from now on, then runs the page */
	h->x[A2] = ADDI(A0, ZERO, 2);
	h->x[A3] = BASE;
	run_to_ecall(h, BASE + 0x2000);

	assert_int_equal(h->x[A0], 2);
}

static void atomics_change_code_too(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];
	const uint32_t swap = type_r(0x0800202f, A5, A3, A2);

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE + 0x2000, swap, JALR(ZERO, A3, 0));
	PUT(rig, BASE + 0x2100, LR_W(A5, A3), SC_W(A5, A2, A3), JALR(ZERO, A3, 0));
	h->x[A3] = BASE;
	run_to_ecall(h, BASE);
	h->x[A2] = ADDI(A0, ZERO, 2);
	run_to_ecall(h, BASE + 0x2000);
	assert_int_equal(h->x[A0], 2);
	h->x[A2] = ADDI(A0, ZERO, 3);
	run_to_ecall(h, BASE + 0x2100);
	assert_int_equal(h->x[A0], 3);
}

static void what_a_device_wrote_runs_after_a_fence(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE + 0x100, FENCE_I, JALR(ZERO, A3, 0));
	h->x[A3] = BASE;
	run_to_ecall(h, BASE + 0x100);
	assert_int_equal(h->x[A0], 1);
	PUT(rig, BASE, ADDI(A0, ZERO, 2)); /* not seen by the hart */
	run_to_ecall(h, BASE + 0x100);

	assert_int_equal(h->x[A0], 2);
}

static void code_that_is_the_same_is_not_decoded_again(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];
	uint64_t decoded;

	/* A counter in its own page, and a fence, each round. */
	PUT(rig, BASE, LW(A0, A1, 0), ADDI(A0, A0, 1), SW(A0, A1, 0), FENCE_I, ADDI(A2, A2, -1),
	    BNE(A2, ZERO, -20), ECALL);
	h->x[A1] = BASE + 0x800;
	h->x[A2] = 2;
	run_to_ecall(h, BASE);
	decoded = h->blocks->decoded;
	h->x[A2] = 1000;
	run_to_ecall(h, BASE);

	assert_int_equal(get(rig, BASE + 0x800), 1002);
	assert_in_range(h->blocks->decoded, decoded, decoded + 1);
}

static void a_page_that_is_only_stored_to_is_data_again(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];
	const uint64_t old = BASE + 0x4000;

	PUT(rig, old, ADDI(A0, ZERO, 1), ECALL);
	run_to_ecall(h, old);
	assert_true(code_pages_has(rig->pages, old));
	PUT(rig, BASE, SD(A2, A3, 0), ADDI(A3, A3, 8), ADDI(A4, A4, -1), BNE(A4, ZERO, -12), ECALL);
	h->x[A3] = old;
	h->x[A4] = 512;
	run_to_ecall(h, BASE);

	assert_false(code_pages_has(rig->pages, old));
	assert_true(code_pages_has(rig->pages, BASE));
	/* And code once more. */
	PUT(rig, old, ADDI(A0, ZERO, 3), ECALL);
	run_to_ecall(h, old);
	assert_int_equal(h->x[A0], 3);
	assert_true(code_pages_has(rig->pages, old));
}

static void a_store_by_another_hart_reaches_this_one(void **state)
{
	struct rig *rig = *state;
	struct hart *a = rig->hart[0], *b = rig->hart[1];

	PUT(rig, BASE + 0x1000, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE, SW(A2, A3, 0), ECALL);
	b->x[A3] = BASE + 0x1ff8;
	run_to_ecall(b, BASE); /* now it has a fast way to write to that page */
	run_to_ecall(a, BASE + 0x1000);
	b->x[A2] = ADDI(A0, ZERO, 2);
	b->x[A3] = BASE + 0x1000;
	run_to_ecall(b, BASE);
	assert_true(atomic_load(&a->attention) & ATTENTION_CODE);
	run_to_ecall(a, BASE + 0x1000);

	assert_int_equal(a->x[A0], 2);
}

static void a_flush_forgets_everything(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	run_to_ecall(h, BASE);
	blocks_flush(h);
	assert_false(code_pages_has(rig->pages, BASE));
	PUT(rig, BASE, ADDI(A0, ZERO, 2));
	run_to_ecall(h, BASE);
	assert_int_equal(h->x[A0], 2);
}

/* --- Arithmetic at its edges: the rest has an emulator as oracle -------------------------------- */

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		TEST(cbo_zero_clears_its_block_only),
		TEST(a_store_conditional_needs_its_reservation),
		TEST(a_store_by_another_hart_breaks_a_reservation),
		TEST(atomics_give_the_old_value_and_store_the_new),
		TEST(atomics_are_for_aligned_memory),
		TEST(two_harts_count_to_the_sum_with_lr_and_sc),
		TEST(code_that_stores_into_itself_runs_as_changed),
		TEST(a_store_makes_the_page_stale_without_a_fence),
		TEST(a_page_that_was_stored_to_before_it_was_code_is_watched),
		TEST(atomics_change_code_too),
		TEST(what_a_device_wrote_runs_after_a_fence),
		TEST(code_that_is_the_same_is_not_decoded_again),
		TEST(a_page_that_is_only_stored_to_is_data_again),
		TEST(a_store_by_another_hart_reaches_this_one),
		TEST(a_flush_forgets_everything),
		TEST(arithmetic_is_right_at_its_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
