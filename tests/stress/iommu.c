/* SPDX-License-Identifier: MIT */
/*
 * DMA from four threads through an IOMMU whose page table lies in guest memory, while it is being
 * programmed anew: once an invalidation is complete, nothing is written by the old translation.
 *
 * A page that is taken out of use is filled with a pattern when its invalidation is complete. It
 * has to be whole when it is used again, and at the end.
 */
#include "support/probe.h"

#include <sched.h>
#include <string.h>

#include "support/scale.h"

#define PAGE	UINT64_C(0x1000)
#define TABLE	UINT64_C(0x1000) /* of IOVAS entries of 8 bytes: address, and 1 if it is there */
#define POOL	UINT64_C(0x100000)
#define PATTERN UINT64_C(0xfeedfacecafebeef)

enum { IOVAS = 16, PAGES = 24, THREADS = 4 };

struct rig {
	struct fh_machine *m;
	struct fh_space *memory, *bus;
	struct fh_region *iommu;
	_Atomic bool stop;
	_Atomic uint64_t writes, refused;
	_Atomic unsigned seeds;
	_Atomic unsigned completions;
};

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* --- The IOMMU ------------------------------------------------------------------------------ */

static enum fh_tx iommu_translate(void *state, uint64_t addr, unsigned access, unsigned index,
				  struct fh_attrs attrs, struct fh_translation *ret)
{
	struct rig *rig = state;
	const uint64_t page = addr / PAGE;
	uint64_t entry = 0;

	(void)access, (void)index, (void)attrs;
	CHECK(fh_space_load64(rig->memory, TABLE + 8 * page, FH_LE, &entry) == FH_TX_OK);
	ret->first = page * PAGE;
	ret->last = page * PAGE + PAGE - 1;
	ret->space = rig->memory;
	ret->addr = entry & ~UINT64_C(1);
	ret->permissions = entry & 1 ? FH_IOMMU_READ | FH_IOMMU_WRITE : 0;
	return FH_TX_OK;
}

static const struct fh_iommu_ops iommu_ops = { .translate = iommu_translate };

/* --- DMA ------------------------------------------------------------------------------------ */

static void dma_run(void *arg)
{
	struct rig *rig = arg;
	uint32_t seed = 77 * ++rig->seeds;
	uint8_t bytes[96];

	memset(bytes, 0x5a, sizeof(bytes));
	while (!rig->stop) {
		const uint64_t addr = next(&seed) % (IOVAS * PAGE - sizeof(bytes));
		const uint64_t size = 1 + next(&seed) % sizeof(bytes);
		const enum fh_tx tx =
			fh_space_write(rig->bus, addr, bytes, size, FH_ATTRS_NONE);

		CHECK(tx == FH_TX_OK || tx == FH_TX_DENIED);
		if (tx == FH_TX_OK)
			rig->writes++;
		else
			rig->refused++;
	}
}

/* --- Programming it --------------------------------------------------------------------------- */

static void completed(void *state)
{
	((struct rig *)state)->completions++;
}

static void invalidate_and_wait(struct rig *rig, unsigned iova)
{
	const unsigned before = rig->completions;

	fh_iommu_invalidate(rig->iommu, 0, iova * PAGE, iova * PAGE + PAGE - 1, completed, rig);
	while (rig->completions == before)
		sched_yield();
}

static void page_fill(struct rig *rig, unsigned page)
{
	for (uint64_t at = 0; at < PAGE; at += 8)
		fh_space_store64(rig->memory, POOL + page * PAGE + at, PATTERN, FH_LE);
}

static bool page_is_whole(struct rig *rig, unsigned page)
{
	for (uint64_t at = 0; at < PAGE; at += 8) {
		uint64_t value;

		fh_space_load64(rig->memory, POOL + page * PAGE + at, FH_LE, &value);
		if (value != PATTERN)
			return false;
	}
	return true;
}

static void table_set(struct rig *rig, unsigned iova, uint64_t entry)
{
	CHECK(fh_space_store64(rig->memory, TABLE + 8 * iova, entry, FH_LE) == FH_TX_OK);
}

static void no_access_uses_an_old_translation_after_the_invalidation(void **state)
{
	static struct rig rig;
	struct fh_region *ram;
	struct worker workers[THREADS];
	unsigned used[IOVAS], idle[PAGES - IOVAS];
	uint32_t seed = 4711;

	(void)state;
	memset(&rig, 0, sizeof(rig));
	rig.m = machine_begin();
	rig.memory = fh_machine_memory(rig.m);
	ram = fh_region_new_ram(rig.m, NULL, 0x200000, NULL);
	fh_region_add(fh_space_root(rig.memory), ram, 0, 0);
	rig.iommu = fh_region_new_iommu(rig.m, NULL, IOVAS * PAGE, &iommu_ops, &rig);
	rig.bus = fh_space_new(rig.m, NULL, rig.iommu);
	for (unsigned i = 0; i < IOVAS; i++) {
		used[i] = i;
		table_set(&rig, i, (POOL + i * PAGE) | 1);
	}
	for (unsigned i = 0; i < PAGES - IOVAS; i++) {
		idle[i] = IOVAS + i;
		page_fill(&rig, idle[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		worker_start(&workers[i], dma_run, &rig);
	for (uint64_t round = scaled(400); round > 0; round--) {
		const unsigned iova = next(&seed) % IOVAS;
		const unsigned slot = next(&seed) % (PAGES - IOVAS);
		const unsigned old = used[iova];

		assert_true(page_is_whole(&rig, idle[slot]));
		if (round % 8 == 0) { /* nowhere for a while */
			table_set(&rig, iova, 0);
			invalidate_and_wait(&rig, iova);
		}
		table_set(&rig, iova, (POOL + idle[slot] * PAGE) | 1);
		used[iova] = idle[slot];
		invalidate_and_wait(&rig, iova);
		page_fill(&rig, old);
		idle[slot] = old;
	}
	rig.stop = true;
	for (unsigned i = 0; i < THREADS; i++)
		worker_join(&workers[i]);
	for (unsigned i = 0; i < PAGES - IOVAS; i++)
		assert_true(page_is_whole(&rig, idle[i]));
	assert_true(rig.writes > 0);
	fh_object_unref(rig.bus);
	fh_object_unref(rig.iommu);
	fh_object_unref(ram);
	machine_end(rig.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_access_uses_an_old_translation_after_the_invalidation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
