/* SPDX-License-Identifier: MIT */
/*
 * For tests of running code: a little assembler, and a machine of two harts without threads, whose
 * small programs in RAM run in M-mode and end with an ecall, which is a trap.
 *
 * R1. run() is a slice after the other, as hart.c makes them, until a trap is pending.
 */
#ifndef SUPPORT_CODE_H
#define SUPPORT_CODE_H

#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "cpu/privileged.h"
#include "cpu/tlb.h"
#include "support/probe.h"

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

static inline uint32_t type_i(uint32_t base, unsigned rd, unsigned rs1, int imm)
{
	return base | rd << 7 | rs1 << 15 | (uint32_t)imm << 20;
}

static inline uint32_t type_r(uint32_t base, unsigned rd, unsigned rs1, unsigned rs2)
{
	return base | rd << 7 | rs1 << 15 | rs2 << 20;
}

static inline uint32_t type_s(uint32_t base, unsigned rs2, unsigned rs1, int imm)
{
	return base | ((uint32_t)imm & 31) << 7 | rs1 << 15 | rs2 << 20 |
	       ((uint32_t)imm >> 5 & 0x7f) << 25;
}

static inline uint32_t type_b(uint32_t base, unsigned rs1, unsigned rs2, int imm)
{
	const uint32_t i = (uint32_t)imm;

	return base | rs1 << 15 | rs2 << 20 | (i >> 11 & 1) << 7 | (i >> 1 & 15) << 8 |
	       (i >> 5 & 63) << 25 | (i >> 12 & 1) << 31;
}

static inline uint32_t type_j(unsigned rd, int imm)
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

/*
 * --- A machine of two harts without threads ----------------------------------------------------
 */

struct rig {
	struct fh_machine *m;
	struct fh_region *memory, *registers;
	uint8_t *ram;
	struct code_pages *pages;
	struct hart *hart[HARTS];
	void (*written)(struct rig *rig); /* by a store to the register */
	uint64_t value;
};

static inline enum fh_tx reg_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			   struct fh_attrs attrs)
{
	const struct rig *rig = state;

	(void)offset, (void)size, (void)attrs;
	*ret_value = rig->value;
	return FH_TX_OK;
}

static inline enum fh_tx reg_write(void *state, uint64_t offset, uint64_t value, unsigned size,
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

static inline uint64_t no_time(void *arg)
{
	(void)arg;
	return 0;
}

static inline struct hart *hart_new(struct rig *rig, unsigned id)
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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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

static inline void put(struct rig *rig, uint64_t addr, const void *from, size_t size)
{
	memcpy(rig->ram + (addr - BASE), from, size);
}

static inline uint64_t get(struct rig *rig, uint64_t addr)
{
	uint64_t value;

	memcpy(&value, rig->ram + (addr - BASE), sizeof(value));
	return value;
}

/* Run until it traps; returns the cause. */
static inline enum cause run(struct hart *h, uint64_t pc)
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

static inline void run_to_ecall(struct hart *h, uint64_t pc)
{
	assert_int_equal(run(h, pc), CAUSE_ECALL_M);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
