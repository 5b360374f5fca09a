/* SPDX-License-Identifier: MIT */
/*
 * Cache blocks, by the RISC-V Base Cache Management Operation specification 1.0 ("CMO"): Zicbom and
 * Zicboz.
 */
#include <libfdt.h>
#include <stdio.h>
#include <unistd.h>

#include "cpu/memory.h"
#include "machine/virt.h"
#include "support/pages.h"

enum { RS1 = 10, BLOCK = 64 };

static const uint32_t inval = 0x0000200f | RS1 << 15, clean = 0x0010200f | RS1 << 15,
		      flush = 0x0020200f | RS1 << 15, zero = 0x0040200f | RS1 << 15;

enum { MENVCFG = 0x30a, SENVCFG = 0x10a };

static bool operate(struct rack *r, uint32_t insn, uint64_t va)
{
	r->h.x[RS1] = va;
	return memory_cbo(&r->h, insn);
}

static void permit_all(struct rack *r)
{
	csr_put(r, MENVCFG, ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE);
	csr_put(r, SENVCFG, ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE);
}

static void fill(struct rack *r, uint64_t addr, size_t size)
{
	memset((char *)fh_region_ram(r->ram) + (addr - RAM_BASE), 0xff, size);
}

/* CMO 2.7: software learns the size from the device tree. */
static void device_tree_tells_the_size_of_a_block(void **state)
{
	static char blob[0x10000]; /* zeroes will do for a guest that is not run */
	char path[] = "/tmp/freehold-cbo-XXXXXX";
	const char *arguments[] = {"freehold", "-nographic", "-bios", "none",
				   "-kernel", path, "-serial", "null"};
	struct fh_error err = FH_ERROR_INIT;
	struct machine_options options;
	struct loop *loop = loop_new(&err);
	struct virt *v;
	int cpu, file = mkstemp(path);

	(void)state;
	assert_int_equal(write(file, blob, 64), 64);
	assert_int_equal(options_parse(8, (char **)arguments, &options, &err), FH_OK);
	v = virt_new(&options, loop, &err);
	if (!v)
		fail_msg("%s", err.message);
	assert_int_equal(virt_dump_dtb(v, path, &err), FH_OK);
	virt_free(v, NULL);
	loop_free(loop);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	assert_true(read(file, blob, sizeof(blob)) > 0);
	close(file);
	unlink(path);
	cpu = fdt_path_offset(blob, "/cpus/cpu@0");
	assert_true(cpu >= 0);
	assert_int_equal(fdt32_ld(fdt_getprop(blob, cpu, "riscv,cbom-block-size", NULL)), BLOCK);
	assert_int_equal(fdt32_ld(fdt_getprop(blob, cpu, "riscv,cboz-block-size", NULL)), BLOCK);
}

/* CMO 3.1: rs1 needs no alignment; the block is the one that holds the address. */
static void zero_clears_the_block_around_the_address(void **state)
{
	static const unsigned offsets[] = {0, 1, 17, 63};
	struct rack *r = *state;

	for (unsigned i = 0; i < 4; i++) {
		/* Twice: the second is served by the TLB. */
		for (unsigned turn = 0; turn < 2; turn++) {
			fill(r, PAGE, 3 * BLOCK);
			assert_true(operate(r, zero, PAGE + BLOCK + offsets[i]));
			assert_int_equal(ram_get(r, PAGE + BLOCK - 8), UINT64_MAX);
			for (unsigned byte = 0; byte < BLOCK; byte += 8)
				assert_int_equal(ram_get(r, PAGE + BLOCK + byte), 0);
			assert_int_equal(ram_get(r, PAGE + 2 * BLOCK), UINT64_MAX);
		}
		tlb_flush(&r->h);
	}
}

static void management_changes_nothing(void **state)
{
	const uint32_t operations[] = {inval, clean, flush};
	struct rack *r = *state;

	fill(r, PAGE, BLOCK);
	for (unsigned i = 0; i < 3; i++)
		assert_true(operate(r, operations[i], PAGE + 3));
	for (unsigned byte = 0; byte < BLOCK; byte += 8)
		assert_int_equal(ram_get(r, PAGE + byte), UINT64_MAX);
}

/* CMO 2.5.1: menvcfg below M, and senvcfg too in U; CBIE 01 lets cbo.inval flush. */
static void envcfg_says_who_may(void **state)
{
	const struct {
		uint32_t insn;
		uint64_t bits;
	} operations[] = {
		{inval, ENVCFG_CBIE}, {inval, UINT64_C(1) << 4}, {clean, ENVCFG_CBCFE},
		{flush, ENVCFG_CBCFE}, {zero, ENVCFG_CBZE},
	};
	const uint64_t all = ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE;
	static const enum priv privs[] = {PRIV_U, PRIV_S, PRIV_M};
	struct rack *r = *state;

	for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		const uint32_t insn = operations[i].insn;
		const uint64_t others = insn == inval ? all & ~ENVCFG_CBIE :
							all & ~operations[i].bits;

		for (unsigned choice = 0; choice < 12; choice++) {
			const enum priv priv = privs[choice / 4];
			const bool m = choice & 1, s = choice & 2;
			const bool may = priv == PRIV_M || (m && (priv == PRIV_S || s));

			rack_priv(r, PRIV_M);
			csr_put(r, MENVCFG, others | (m ? operations[i].bits : 0));
			csr_put(r, SENVCFG, others | (s ? operations[i].bits : 0));
			rack_priv(r, priv);
			assert_int_equal(operate(r, insn, PAGE), may);
			if (!may)
				assert_trap(r, CAUSE_ILLEGAL, insn);
		}
	}
}

/* CMO 2.5.2 and 2.5.3: faults are those of stores, with rs1 as the address. */
static void faults_are_those_of_stores(void **state)
{
	const uint32_t operations[] = {inval, clean, flush, zero};
	struct rack *r = *state;

	permit_all(r);
	for (unsigned i = 0; i < 4; i++) {
		rack_priv(r, PRIV_M);
		set_up_page(r, 0);
		tlb_fence(&r->h, NULL);
		assert_false(operate(r, operations[i], VA + 5));
		assert_trap(r, CAUSE_STORE_PAGE, VA + 5);
		/* The page table itself cannot be read. */
		csr_put(r, SATP, UINT64_C(8) << 60 | 0x40000000 >> 12);
		assert_false(operate(r, operations[i], VA + 5));
		assert_trap(r, CAUSE_STORE_ACCESS, VA + 5);
	}
}

/* CMO 2.5.2: management needs leave to load or to store; zero is a store. */
static void page_for_reading_is_for_management_only(void **state)
{
	struct rack *r = *state;

	permit_all(r);
	set_up_page(r, V | R | A);
	assert_true(operate(r, clean, VA));
	assert_true(operate(r, flush, VA));
	assert_true(operate(r, inval, VA));
	assert_false(operate(r, zero, VA + 1));
	assert_trap(r, CAUSE_STORE_PAGE, VA + 1);
	/* Svade: the dirty bit is software's to set. */
	map(r, 3, VA, 0, pte(PAGE, V | R | W | A));
	tlb_fence(&r->h, NULL);
	assert_false(operate(r, zero, VA));
	assert_trap(r, CAUSE_STORE_PAGE, VA);
}

/* priv 3.7.1: PMP matches the whole block, or it is an access fault and nothing is written. */
static void pmp_guards_the_whole_block(void **state)
{
	const uint32_t operations[] = {inval, clean, flush, zero};
	struct rack *r = *state;

	permit_all(r);
	fill(r, PAGE, BLOCK);
	pmp_write(&r->h, 0x3b1, UINT64_MAX);
	pmp_write(&r->h, 0x3b0, PAGE >> 2 | 1); /* 16 bytes */
	pmp_write(&r->h, 0x3a0, 0x1f << 8 | 0x18);
	rack_priv(r, PRIV_S);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(operate(r, operations[i], PAGE + 32));
		assert_trap(r, CAUSE_STORE_ACCESS, PAGE + 32);
		assert_true(operate(r, operations[i], PAGE + BLOCK));
	}
	assert_int_equal(ram_get(r, PAGE + 32), UINT64_MAX);
}

static void zero_is_for_memory_that_is_written(void **state)
{
	static const uint64_t places[] = {ROM_BASE, REG_BASE, 0x40000000, RAM_BASE + RAM_SIZE};
	struct rack *r = *state;

	for (unsigned i = 0; i < 4; i++) {
		assert_false(operate(r, zero, places[i] + 9));
		assert_trap(r, CAUSE_STORE_ACCESS, places[i] + 9);
	}
	assert_int_equal(r->written, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_tree_tells_the_size_of_a_block),
		TEST(zero_clears_the_block_around_the_address),
		TEST(management_changes_nothing),
		TEST(envcfg_says_who_may),
		TEST(faults_are_those_of_stores),
		TEST(page_for_reading_is_for_management_only),
		TEST(pmp_guards_the_whole_block),
		TEST(zero_is_for_memory_that_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
