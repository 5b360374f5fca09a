/* SPDX-License-Identifier: MIT */
/*
 * A hart without a thread, for tests that call its parts directly: 16 MiB of RAM at RAM_BASE, a
 * page of ROM, one register, and a clock that the test sets.
 *
 * R1. A test runs in one read section, as a slice does; hart_outside() is for what edits the map.
 */
#ifndef SUPPORT_HART_H
#define SUPPORT_HART_H

#include <stdlib.h>
#include <string.h>

#include "cpu/hart.h"
#include "cpu/privileged.h"
#include "cpu/tlb.h"
#include "support/probe.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x1000000)
#define ROM_BASE UINT64_C(0x1000)
#define REG_BASE UINT64_C(0x10000000)

struct rack {
	struct fh_machine *m;
	struct fh_region *ram, *rom, *reg;
	struct hart h;
	uint64_t now;	   /* the clock */
	uint64_t written;  /* to the register */
	bool refuse;	   /* the register is in error */
};

static inline enum fh_tx rack_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
				   struct fh_attrs attrs)
{
	struct rack *const r = state;

	(void)offset, (void)size, (void)attrs;
	*ret_value = UINT64_C(0x8877665544332211);
	return r->refuse ? FH_TX_DEVICE_ERROR : FH_TX_OK;
}

static inline enum fh_tx rack_write(void *state, uint64_t offset, uint64_t value, unsigned size,
				    struct fh_attrs attrs)
{
	struct rack *const r = state;

	(void)offset, (void)size, (void)attrs;
	r->written = value;
	return r->refuse ? FH_TX_DEVICE_ERROR : FH_TX_OK;
}

static const struct fh_region_ops rack_ops = {.read = rack_read, .write = rack_write};

static inline uint64_t rack_time(void *arg)
{
	return ((struct rack *)arg)->now;
}

static inline int rack_set_up(void **state)
{
	struct rack *const r = calloc(1, sizeof(*r));
	struct fh_region *root;

	r->m = machine_begin();
	root = fh_space_root(fh_machine_memory(r->m));
	r->ram = fh_region_new_ram(r->m, "ram", RAM_SIZE, NULL);
	r->rom = fh_region_new_rom(r->m, "rom", 0x1000, FH_ROM_DECODE_ERROR, NULL);
	r->reg = fh_region_new_mmio(r->m, "reg", 0x1000, &rack_ops, r);
	fh_region_add(root, r->ram, RAM_BASE, 0);
	fh_region_add(root, r->rom, ROM_BASE, 0);
	fh_region_add(root, r->reg, REG_BASE, 0);
	r->h.isa = cpu_isa_default();
	r->h.machine = r->m;
	r->h.memory = fh_machine_memory(r->m);
	r->h.time = rack_time;
	r->h.time_arg = r;
	r->h.reset_pc = RAM_BASE;
	tlb_init(&r->h);
	hart_reset(&r->h);
	/* Everything to everyone, as firmware does: NAPOT over all, RWX. */
	pmp_write(&r->h, 0x3b0, UINT64_MAX);
	pmp_write(&r->h, 0x3a0, 0x1f);
	fh_read_begin();
	*state = r;
	return 0;
}

static inline int rack_tear_down(void **state)
{
	struct rack *const r = *state;

	fh_read_end();
	tlb_free(&r->h);
	fh_object_unref(r->ram);
	fh_object_unref(r->rom);
	fh_object_unref(r->reg);
	machine_end(r->m);
	free(r);
	return 0;
}

static inline void rack_priv(struct rack *r, enum priv priv)
{
	r->h.priv = priv;
	tlb_select(&r->h);
}

/* --- CSRs by number, with their outcome ------------------------------------------------------ */

static inline uint64_t csr_get(struct rack *r, unsigned csr)
{
	uint64_t value = 0;

	assert_true(hart_csr(&r->h, csr, CSR_SET, 0, false, &value));
	return value;
}

static inline void csr_put(struct rack *r, unsigned csr, uint64_t value)
{
	uint64_t old;

	assert_true(hart_csr(&r->h, csr, CSR_WRITE, value, true, &old));
}

static inline bool csr_reads(struct rack *r, unsigned csr)
{
	uint64_t value;

	return hart_csr(&r->h, csr, CSR_SET, 0, false, &value);
}

static inline bool csr_writes(struct rack *r, unsigned csr, uint64_t value)
{
	uint64_t old;

	return hart_csr(&r->h, csr, CSR_WRITE, value, true, &old);
}

/* --- RAM -------------------------------------------------------------------------------------- */

static inline void ram_put(struct rack *r, uint64_t addr, uint64_t value)
{
	memcpy((char *)fh_region_ram(r->ram) + (addr - RAM_BASE), &value, 8);
}

static inline uint64_t ram_get(struct rack *r, uint64_t addr)
{
	uint64_t value;

	memcpy(&value, (char *)fh_region_ram(r->ram) + (addr - RAM_BASE), 8);
	return value;
}

static inline void assert_trap(struct rack *r, enum cause cause, uint64_t tval)
{
	assert_int_equal(r->h.trap.cause, cause);
	assert_int_equal(r->h.trap.tval, tval);
	r->h.trap.cause = CAUSE_NONE;
}

#endif
