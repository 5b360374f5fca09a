/* SPDX-License-Identifier: MIT */
/*
 * Cached windows behind IOMMUs: the IOMMU is asked once, and again whenever its answer, or what
 * lies on the way, may have become another.
 */
#include "support/probe.h"

#include <string.h>

#define PAGE UINT64_C(0x1000)
#define RAM_BASE UINT64_C(0x100000)

struct mmu {
	struct fh_region *region;
	struct fh_space *to;
	uint64_t base; /* address 0 leads there */
	unsigned permissions;
	unsigned asked, asked_to_write;
	enum fh_tx tx;
};

static struct fh_machine *m;
static struct fh_space *memory, *bus;
static struct fh_region *ram;
static struct mmu mmu, second;
static struct fh_cached *window;

static enum fh_tx translate(void *state, uint64_t addr, unsigned access, unsigned index,
			    struct fh_attrs attrs, struct fh_translation *ret)
{
	struct mmu *one = state;

	(void)index, (void)attrs;
	one->asked++;
	one->asked_to_write += access == FH_IOMMU_WRITE;
	ret->first = addr & ~(PAGE - 1);
	ret->last = addr | (PAGE - 1);
	ret->space = one->to;
	ret->addr = one->base + ret->first;
	ret->permissions = one->permissions;
	return one->tx;
}

static const struct fh_iommu_ops ops = { .translate = translate };

static void mmu_new(struct mmu *one, struct fh_space *to, uint64_t base)
{
	*one = (struct mmu){ .to = to,
			     .base = base,
			     .permissions = FH_IOMMU_READ | FH_IOMMU_WRITE };
	one->region = fh_region_new_iommu(m, NULL, 0x10000, &ops, one);
}

static int setup(void **state)
{
	(void)state;
	m = machine_begin();
	memory = fh_machine_memory(m);
	ram = fh_region_new_ram(m, NULL, 16 * PAGE, NULL);
	for (unsigned i = 0; i < 16; i++)
		memset((char *)fh_region_ram(ram) + i * PAGE, (int)i, PAGE);
	fh_region_add(fh_space_root(memory), ram, RAM_BASE, 0);
	mmu_new(&mmu, memory, RAM_BASE);
	bus = fh_space_new(m, NULL, mmu.region);
	window = fh_cached_new(m, bus, PAGE + 0x100, 2 * PAGE, FH_ATTRS_NONE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fh_object_unref(window);
	fh_object_unref(bus);
	fh_object_unref(mmu.region);
	fh_object_unref(ram);
	machine_end(m);
	return 0;
}

/* And how often the IOMMU was asked for that. */
static unsigned load(uint64_t offset, uint8_t expected)
{
	const unsigned before = mmu.asked;
	uint8_t byte = 99;

	assert_int_equal(fh_cached_load8(window, offset, FH_LE, &byte), FH_TX_OK);
	assert_int_equal(byte, expected);
	return mmu.asked - before;
}

static unsigned store(uint64_t offset, uint8_t byte)
{
	const unsigned before = mmu.asked;

	assert_int_equal(fh_cached_store8(window, offset, byte, FH_LE), FH_TX_OK);
	return mmu.asked - before;
}

static void it_is_asked_once_for_its_page(void **state)
{
	uint8_t bytes[64];
	uint64_t value;

	(void)state;
	assert_int_equal(load(0x80, 1), 1);
	assert_int_equal(load(0x80, 1), 0);
	assert_int_equal(load(0, 1), 0);
	assert_int_equal(load(PAGE - 0x101, 1), 0);
	assert_int_equal(fh_cached_load(window, 3, 8, FH_BE, &value), FH_TX_OK);
	assert_int_equal(value, UINT64_C(0x0101010101010101));
	assert_int_equal(fh_cached_read(window, 1, bytes, 64), FH_TX_OK);
	assert_int_equal(mmu.asked, 1);
	/* What lies in another translation is asked for each time, and the first one stays. */
	assert_int_equal(load(PAGE - 0x100, 2), 1);
	assert_int_equal(load(PAGE - 0x100, 2), 1);
	assert_int_equal(load(0, 1), 0);
	assert_int_equal(fh_cached_load(window, PAGE - 0x104, 8, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, UINT64_C(0x0202020201010101));
}

static void loads_alone_permit_no_stores(void **state)
{
	(void)state;
	assert_int_equal(load(0, 1), 1);
	assert_int_equal(mmu.asked_to_write, 0);
	assert_int_equal(store(8, 7), 1);
	assert_int_equal(mmu.asked_to_write, 1);
	assert_int_equal(store(9, 7), 0);
	assert_int_equal(load(9, 7), 0);
	assert_int_equal(*((uint8_t *)fh_region_ram(ram) + PAGE + 0x108), 7);
	assert_int_equal(fh_cached_store(window, 16, 4, FH_BE, 0x01020304), FH_TX_OK);
	assert_int_equal(load(16, 1), 0);
	assert_int_equal(load(19, 4), 0);
}

static void what_may_only_be_written_is_not_read(void **state)
{
	uint8_t byte;

	(void)state;
	mmu.permissions = FH_IOMMU_WRITE;
	assert_int_equal(store(0, 7), 1);
	assert_int_equal(store(1, 7), 0);
	assert_int_equal(fh_cached_load8(window, 0, FH_LE, &byte), FH_TX_DENIED);
}

static void failures_are_asked_for_once_each_time(void **state)
{
	uint8_t byte;

	(void)state;
	mmu.permissions = 0;
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(fh_cached_load8(window, 0, FH_LE, &byte), FH_TX_DENIED);
		assert_int_equal(mmu.asked, i);
	}
	mmu.permissions = FH_IOMMU_READ;
	assert_int_equal(load(0, 1), 1);
	assert_int_equal(load(0, 1), 0);
	assert_int_equal(fh_cached_store8(window, 0, 1, FH_LE), FH_TX_DENIED);
}

static void invalidation_ends_it(void **state)
{
	(void)state;
	load(0, 1);
	store(0, 1);
	mmu.base += PAGE;
	fh_iommu_invalidate(mmu.region, 0, PAGE, 2 * PAGE - 1, NULL, NULL);
	assert_int_equal(load(0, 2), 1);
	assert_int_equal(load(0, 2), 0);
	mmu.permissions = FH_IOMMU_READ;
	fh_iommu_invalidate(mmu.region, FH_IOMMU_ALL_INDEXES, 0, UINT64_MAX, NULL, NULL);
	assert_int_equal(fh_cached_store8(window, 0, 1, FH_LE), FH_TX_DENIED);
}

static void what_moves_at_its_end_is_noticed(void **state)
{
	uint8_t byte;

	(void)state;
	load(0, 1);
	fh_region_move(ram, RAM_BASE - PAGE);
	assert_int_equal(load(0, 2), 1);
	fh_region_remove(ram);
	assert_int_equal(fh_cached_load8(window, 0, FH_LE, &byte), FH_TX_DECODE_ERROR);
}

static void iommu_that_is_gone_is_not_asked(void **state)
{
	struct fh_region *other = fh_region_new_ram(m, NULL, 4 * PAGE, NULL);
	struct fh_region *root = fh_region_new_container(m, NULL, 0x10000);
	struct fh_space *space = fh_space_new(m, NULL, root);
	struct mmu third;

	(void)state;
	mmu_new(&third, memory, RAM_BASE);
	fh_region_add(root, third.region, 0, 0);
	fh_object_unref(window);
	window = fh_cached_new(m, space, PAGE, PAGE, FH_ATTRS_NONE);
	load(0, 1);
	load(0, 1);
	assert_int_equal(third.asked, 1);
	fh_region_add(root, other, 0, 1);
	load(0, 0);
	fh_region_remove(other);
	load(0, 1);
	fh_object_unref(third.region);
	fh_machine_drain(m);
	assert_int_equal(fh_cached_load8(window, 0, FH_LE, &(uint8_t){ 0 }), FH_TX_DECODE_ERROR);
	fh_object_unref(other);
	fh_object_unref(root);
	fh_object_unref(space);
}

static void second_iommu_on_the_way_is_asked_likewise(void **state)
{
	struct fh_space *middle;

	(void)state;
	mmu_new(&second, memory, RAM_BASE);
	middle = fh_space_new(m, NULL, second.region);
	mmu.to = middle;
	mmu.base = 0;
	load(0, 1);
	load(0, 1);
	assert_int_equal(mmu.asked, 1);
	assert_int_equal(second.asked, 1);
	second.base += PAGE;
	fh_iommu_invalidate(second.region, 0, PAGE, PAGE, NULL, NULL);
	assert_int_equal(load(0, 2), 1);
	assert_int_equal(load(0, 2), 0);
	/* The space on the way goes, and nobody's memory is kept for the window's sake. */
	mmu.to = memory;
	mmu.base = RAM_BASE;
	fh_object_unref(middle);
	fh_object_unref(second.region);
	fh_machine_drain(m);
	assert_int_equal(load(0, 1), 1);
}

static void space_on_the_way_that_shows_another_view_is_noticed(void **state)
{
	struct fh_region *other = fh_region_new_ram(m, NULL, 16 * PAGE, NULL);
	struct fh_region *root = fh_region_new_container(m, NULL, 0x100000);
	struct fh_region *front = fh_region_new_alias(m, NULL, ram, 0, 16 * PAGE);
	struct fh_space *also = fh_space_new(m, NULL, ram); /* keeps that view alive */
	struct fh_space *middle = fh_space_new(m, NULL, root);

	(void)state;
	fh_region_add(root, front, 0, 0); /* the view of `ram` is shared */
	mmu.to = middle;
	mmu.base = 0;
	assert_int_equal(load(0, 1), 1);
	assert_int_equal(load(0, 1), 0);
	fh_region_set_alias_target(front, other);
	assert_int_equal(load(0, 0), 1);
	fh_object_unref(middle);
	fh_object_unref(also);
	fh_object_unref(front);
	fh_object_unref(root);
	fh_object_unref(other);
}

static void logged_memory_is_marked(void **state)
{
	(void)state;
	store(0, 1);
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_USER0, NULL), FH_OK);
	for (unsigned i = 0; i < 2; i++) {
		store(0, 1);
		assert_true(fh_dirty_test_and_clear(ram, FH_DIRTY_USER0, PAGE, PAGE));
	}
	fh_dirty_stop(ram, FH_DIRTY_USER0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_asked_once_for_its_page),
		TEST(loads_alone_permit_no_stores),
		TEST(what_may_only_be_written_is_not_read),
		TEST(failures_are_asked_for_once_each_time),
		TEST(invalidation_ends_it),
		TEST(what_moves_at_its_end_is_noticed),
		TEST(iommu_that_is_gone_is_not_asked),
		TEST(second_iommu_on_the_way_is_asked_likewise),
		TEST(space_on_the_way_that_shows_another_view_is_noticed),
		TEST(logged_memory_is_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
