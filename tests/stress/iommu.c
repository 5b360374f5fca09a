/* SPDX-License-Identifier: MIT */
/*
 * DMA from four threads through an IOMMU whose page table lies in guest memory, while it is being
 * programmed anew: once an invalidation is complete, nothing is written by the old translation.
 * Written in every way, and some of it through a second IOMMU behind, whose translations block.
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
	struct fh_space *memory, *bus, *middle; /* from the first IOMMU to the second, blocking one */
	struct fh_region *iommu, *second;
	struct fh_object *holders[THREADS];
	_Atomic bool stop;
	_Atomic uint64_t writes, refused;
	_Atomic unsigned seeds, asked;
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

	(void)access, (void)index;
	CHECK(fh_space_load64(rig->memory, TABLE + 8 * page, FH_LE, &entry) == FH_TX_OK);
	ret->first = page * PAGE;
	ret->last = page * PAGE + PAGE - 1;
	ret->space = attrs.requester ? rig->middle : rig->memory;
	ret->addr = entry & ~UINT64_C(1);
	ret->permissions = entry & 1 ? FH_IOMMU_READ | FH_IOMMU_WRITE : 0;
	return FH_TX_OK;
}

static const struct fh_iommu_ops iommu_ops = { .translate = iommu_translate };

static enum fh_tx second_translate(void *state, uint64_t addr, unsigned access, unsigned index,
				   struct fh_attrs attrs, struct fh_translation *ret)
{
	struct rig *rig = state;

	(void)access, (void)index, (void)attrs;
	if (++rig->asked % 8 == 0) {
		fh_blocking_begin();
		for (unsigned i = 0; i < 20; i++)
			sched_yield();
		fh_blocking_end();
	}
	*ret = (struct fh_translation){
		.first = addr & ~(PAGE - 1),
		.last = addr | (PAGE - 1),
		.space = rig->memory,
		.addr = addr & ~(PAGE - 1),
		.permissions = FH_IOMMU_READ | FH_IOMMU_WRITE,
	};
	return FH_TX_OK;
}

static const struct fh_iommu_ops second_ops = { .translate = second_translate };

/* --- DMA ------------------------------------------------------------------------------------ */

struct dma {
	struct rig *rig;
	struct fh_object *holder;
	struct fh_cached *window[IOVAS]; /* of a page each, which remember where that leads */
	struct fh_attrs attrs;
	uint64_t addr, size;
	uint8_t bytes[96];
};

static enum fh_tx dma_map(struct dma *dma)
{
	struct fh_mapped mapped;
	struct fh_mapping *mapping = fh_space_map(dma->rig->bus, dma->addr, dma->size,
						  FH_MAP_WRITE, dma->attrs, dma->holder, &mapped);

	if (!mapping)
		return mapped.tx;
	/* As devices do, while others write there too. */
	for (uint64_t i = 0; i < mapped.size; i++)
		__atomic_store_n((uint8_t *)mapped.ptr + i, dma->bytes[i], __ATOMIC_RELAXED);
	return fh_mapping_unmap(mapping, mapped.size);
}

static enum fh_tx dma_window(struct dma *dma)
{
	const uint64_t offset = dma->addr % PAGE;
	struct fh_cached *window = dma->window[dma->addr / PAGE];

	if (dma->size % 2)
		return fh_cached_store(window, offset & ~UINT64_C(7), 8, FH_LE, 7);
	return fh_cached_write(window, offset, dma->bytes,
			       dma->size < PAGE - offset ? dma->size : PAGE - offset);
}

static enum fh_tx dma_once(struct dma *dma, unsigned way)
{
	struct fh_space *bus = dma->rig->bus;
	uint64_t old;

	switch (way) {
	case 0:
		return fh_space_store(bus, dma->addr, 8, FH_LE, dma->attrs, 7);
	case 1:
		return fh_space_fetch(bus, dma->addr & ~UINT64_C(7), 8, FH_LE, dma->attrs,
				      FH_ATOMIC_ADD, 7, &old);
	case 2:
	case 5:
		return dma_window(dma);
	case 3:
	case 4:
		return dma_map(dma);
	default:
		return fh_space_write(bus, dma->addr, dma->bytes, dma->size, dma->attrs);
	}
}

static void dma_run(void *arg)
{
	struct rig *rig = arg;
	const unsigned number = rig->seeds++;
	uint32_t seed = 77 * (number + 1);
	struct dma dma = { .rig = rig, .holder = rig->holders[number] };

	dma.attrs.requester = number % 2;
	for (unsigned i = 0; i < IOVAS; i++)
		dma.window[i] = fh_cached_new(rig->m, rig->bus, i * PAGE, PAGE, dma.attrs);
	memset(dma.bytes, 0x5a, sizeof(dma.bytes));
	while (!rig->stop) {
		enum fh_tx tx;

		dma.addr = next(&seed) % (IOVAS * PAGE - sizeof(dma.bytes));
		dma.size = 1 + next(&seed) % sizeof(dma.bytes);
		tx = dma_once(&dma, next(&seed) % 8);
		CHECK(tx == FH_TX_OK || tx == FH_TX_DENIED);
		if (tx == FH_TX_OK)
			rig->writes++;
		else
			rig->refused++;
	}
	for (unsigned i = 0; i < IOVAS; i++)
		fh_object_unref(dma.window[i]);
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
	rig.second = fh_region_new_iommu(rig.m, NULL, FH_SIZE_ALL, &second_ops, &rig);
	rig.middle = fh_space_new(rig.m, NULL, rig.second);
	for (unsigned i = 0; i < IOVAS; i++) {
		used[i] = i;
		table_set(&rig, i, (POOL + i * PAGE) | 1);
	}
	for (unsigned i = 0; i < PAGES - IOVAS; i++) {
		idle[i] = IOVAS + i;
		page_fill(&rig, idle[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		rig.holders[i] = holder_new(rig.m);
	for (unsigned i = 0; i < THREADS; i++)
		worker_start(&workers[i], dma_run, &rig);
	/* Until something was written, however slow the host is. */
	for (uint64_t round = scaled(400); round > 0 || rig.writes == 0; round -= round > 0) {
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
	for (unsigned i = 0; i < THREADS; i++)
		fh_object_unref(rig.holders[i]);
	fh_object_unref(rig.bus);
	fh_object_unref(rig.middle);
	fh_object_unref(rig.second);
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
