/* SPDX-License-Identifier: MIT */
/*
 * IOMMUs whose translations block, and what is mapped through them: what was invalidated, or has
 * gone, meanwhile is used by nobody, and each mapping holds up the invalidations that are its own.
 */
#include "support/table.h"

/*
 * Page 1 of @outer leads to page 3 of @inner, that to 0x7000. While run(arg) is in the translate of
 * @inner, outside its read section, page 1 is made to lead to page 4 and so to 0x9000, and the
 * invalidation of what it was is over.
 */
static void run_while_the_way_changes(struct table *outer, struct table *inner,
				      void (*run)(void *arg), void *arg)
{
	struct worker worker;

	dones = 0;
	table_map(outer, 1, 3 * PAGE, RW);
	table_map(inner, 3, 0x7000, RW);
	table_map(inner, 4, 0x9000, RW);
	inner->block = true;
	fh_point_arm("test.translating");
	worker_start(&worker, run, arg);
	assert_true(fh_point_wait("test.translating"));
	table_map(outer, 1, 4 * PAGE, RW);
	fh_iommu_invalidate(outer->region, 0, PAGE, 2 * PAGE - 1, done, NULL);
	assert_true(done_in_time());
	fh_point_release("test.translating");
	worker_join(&worker);
}

/* --- Accesses ------------------------------------------------------------------------------- */

static void translation_that_ended_while_the_next_one_blocked_is_not_used(void **state)
{
	struct table *inner = &tables[0], *outer = &tables[1];
	struct store store = { .addr = PAGE + 8, .value = 1 };

	(void)state;
	table_init(outer, "outer", inner->bus);
	store.space = outer->bus;
	run_while_the_way_changes(outer, inner, store_run, &store);
	assert_int_equal(store.tx, FH_TX_OK);
	assert_int_equal(ram32(0x7008), 0);
	assert_int_equal(ram32(0x9008), 1);
	/* One that always blocks is no reason to try again. */
	assert_int_equal(outer->asked, 2);
	store_run(&store);
	assert_int_equal(outer->asked, 3);
}

struct look {
	struct fh_pinned *pinned;
	enum fh_tx tx;
};

static void look_run(void *arg)
{
	struct look *look = arg;
	uint32_t value;

	look->tx = fh_pinned_read(look->pinned, 8, &value, sizeof(value), FH_ATTRS_NONE);
}

/* Nothing holds up invalidations of one that has gone; and who asks it is not asked for ever. */
static void pinned_section_of_an_iommu_that_went_leads_nowhere(void **state)
{
	struct table *table = &tables[0];
	struct fh_device *holder = mapper_plug();
	struct fh_section section;
	struct look look = { .pinned = fh_space_find(table->bus, 2 * PAGE, PAGE, holder, &section) };
	struct worker worker;

	(void)state;
	table_map(table, 2, 0x7000, RW);
	table->block = true;
	look_run(&look);
	assert_int_equal(look.tx, FH_TX_OK);
	fh_point_arm("test.translating");
	worker_start(&worker, look_run, &look);
	assert_true(fh_point_wait("test.translating"));
	fh_region_destroy(table->region);
	fh_point_release("test.translating");
	worker_join(&worker);
	assert_int_equal(look.tx, FH_TX_DECODE_ERROR);
	table->block = false;
	look_run(&look);
	assert_int_equal(look.tx, FH_TX_DECODE_ERROR);
	assert_int_equal(table->asked, 2);
	fh_pinned_unpin(look.pinned);
	fh_device_unplug(holder);
}

/* --- Mappings --------------------------------------------------------------------------------- */

static void mapping_is_of_the_memory_behind_and_holds_up_its_invalidation(void **state)
{
	struct table *table = &tables[0];
	struct fh_device *mapper = mapper_plug();
	struct fh_mapped mapped, later;
	struct fh_mapping *mapping, *second;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x7000, RW);
	mapping = fh_space_map(table->bus, 0x2010, 0x2000, FH_MAP_WRITE, FH_ATTRS_NONE, mapper,
			       &mapped);
	assert_non_null(mapping);
	assert_ptr_equal(mapped.ptr, (uint8_t *)fh_region_ram(ram) + 0x7010);
	assert_int_equal(mapped.size, PAGE - 0x10);
	assert_false(mapped.bounced);
	table_map(table, 2, 0x9000, RW);
	fh_iommu_invalidate(table->region, 0, 0x2000, 0x2fff, done, NULL);
	/* A later mapping leads elsewhere and is not waited for. */
	second = fh_space_map(table->bus, 0x2010, 4, FH_MAP_READ, FH_ATTRS_NONE, mapper, &later);
	assert_ptr_equal(later.ptr, (uint8_t *)fh_region_ram(ram) + 0x9010);
	assert_false(done_within(30));
	assert_int_equal(fh_mapping_unmap(mapping, 4), FH_TX_OK);
	assert_true(done_in_time());
	/* What its holder's end unmaps is over as well. */
	dones = 0;
	fh_iommu_invalidate(table->region, 0, 0, UINT64_MAX, done, NULL);
	assert_false(done_within(30));
	fh_device_unplug(mapper);
	assert_true(done_in_time());
	(void)second;
}

static void registers_behind_are_bounced_and_written_where_it_led(void **state)
{
	struct table *table = &tables[0];
	struct fh_device *mapper = mapper_plug();
	struct fh_mapped mapped;
	struct fh_mapping *mapping;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x20000000, RW);
	mapping = fh_space_map(table->bus, 0x2000, 4, FH_MAP_READ | FH_MAP_WRITE, FH_ATTRS_NONE,
			       mapper, &mapped);
	assert_non_null(mapping);
	assert_true(mapped.bounced);
	assert_int_equal(*(uint32_t *)mapped.ptr, PROBE_CANARY);
	table_map(table, 2, 0x7000, RW);
	fh_iommu_invalidate(table->region, 0, 0, UINT64_MAX, done, NULL);
	assert_false(done_within(30));
	assert_int_equal(fh_mapping_unmap(mapping, 4), FH_TX_OK);
	assert_true(done_in_time());
	assert_true(mapper_hooks.writes > 0);
	assert_int_equal(ram32(0x7000), 0);
	fh_device_unplug(mapper);
}

static void mapping_is_refused_as_an_access_is(void **state)
{
	struct table *table = &tables[0];
	struct fh_device *mapper = mapper_plug();
	struct fh_mapped mapped;
	struct fh_mapping *mapping;

	(void)state;
	table_map(table, 2, 0x7000, FH_IOMMU_READ);
	table_map(table, 3, 0x60000000, RW);
	assert_null(fh_space_map(table->bus, 0x2000, 4, FH_MAP_WRITE, FH_ATTRS_NONE, mapper,
				 &mapped));
	assert_int_equal(mapped.code, FH_EPERM);
	assert_int_equal(mapped.tx, FH_TX_DENIED);
	mapping = fh_space_map(table->bus, 0x2000, 4, FH_MAP_READ, FH_ATTRS_NONE, mapper, &mapped);
	assert_non_null(mapping);
	fh_mapping_unmap(mapping, 0);
	assert_null(fh_space_map(table->bus, 0x3000, 4, FH_MAP_READ, FH_ATTRS_NONE, mapper,
				 &mapped));
	assert_int_equal(mapped.code, FH_ENOENT);
	/* Atomics go the same way. */
	uint64_t old;

	table_map(table, 4, 0x8000, RW);
	assert_int_equal(fh_space_fetch(table->bus, 0x4004, 4, FH_LE, FH_ATTRS_NONE, FH_ATOMIC_ADD,
					5, &old),
			 FH_TX_OK);
	assert_int_equal(ram32(0x8004), 5);
	assert_int_equal(fh_space_fetch(table->bus, 0x2004, 4, FH_LE, FH_ATTRS_NONE, FH_ATOMIC_ADD,
					5, &old),
			 FH_TX_DENIED);
	fh_device_unplug(mapper);
}

static void mapping_does_not_use_what_ended_while_a_translation_blocked(void **state)
{
	struct table *inner = &tables[0], *outer = &tables[1];
	struct map map = { .addr = PAGE, .holder = mapper_plug() };

	(void)state;
	table_init(outer, "outer", inner->bus);
	map.space = outer->bus;
	run_while_the_way_changes(outer, inner, map_run, &map);
	assert_non_null(map.mapping);
	assert_ptr_equal(map.mapped.ptr, (uint8_t *)fh_region_ram(ram) + 0x9000);
	/* It is of both of them. */
	dones = 0;
	fh_iommu_invalidate(outer->region, 0, PAGE, 2 * PAGE - 1, done, NULL);
	assert_false(done_within(30));
	fh_mapping_unmap(map.mapping, 0);
	assert_true(done_in_time());
	fh_device_unplug(map.holder);
}

/* What is mapped by a translation that was made after an invalidation does not hold that one up. */
static void invalidation_does_not_wait_for_who_was_asked_again(void **state)
{
	struct table *table = &tables[0];
	struct map map = { .space = table->bus, .addr = 2 * PAGE, .holder = mapper_plug() };
	struct worker worker;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x7000, RW);
	table->block = true;
	fh_point_arm("test.translating");
	worker_start(&worker, map_run, &map);
	assert_true(fh_point_wait("test.translating"));
	table_map(table, 2, 0x9000, RW);
	fh_iommu_invalidate(table->region, 0, 2 * PAGE, 3 * PAGE - 1, done, NULL);
	fh_point_release("test.translating");
	worker_join(&worker);
	assert_ptr_equal(map.mapped.ptr, (uint8_t *)fh_region_ram(ram) + 0x9000);
	assert_true(done_in_time());
	fh_mapping_unmap(map.mapping, 0);
	fh_device_unplug(map.holder);
}

/* The IOMMU's region is gone, and all grace periods are over, when its callback resumes. */
static void mapping_finds_nothing_in_an_iommu_that_went_while_it_was_asked(void **state)
{
	struct table *table = &tables[0];
	struct map map = { .space = table->bus, .addr = 2 * PAGE, .holder = mapper_plug() };
	struct worker worker;

	(void)state;
	table_map(table, 2, 0x7000, RW);
	table->block = true;
	fh_point_arm("test.translating");
	worker_start(&worker, map_run, &map);
	assert_true(fh_point_wait("test.translating"));
	fh_region_destroy(table->region);
	fh_machine_drain(m);
	fh_point_release("test.translating");
	worker_join(&worker);
	assert_null(map.mapping);
	assert_int_equal(map.mapped.code, FH_ENOENT);
	fh_device_unplug(map.holder);
}

/* --- Lifetimes -------------------------------------------------------------------------------- */

static void unplug_run(void *arg)
{
	fh_device_unplug(arg);
}

static void unplug_waits_for_a_translation_that_blocks(void **state)
{
	struct table *table = &tables[0];
	struct store store = { .space = table->bus, .addr = 0x2000, .value = 5 };
	struct worker access, unplug;

	(void)state;
	table_map(table, 2, 0x7000, RW);
	table->block = true;
	fh_point_arm("test.translating");
	worker_start(&access, store_run, &store);
	assert_true(fh_point_wait("test.translating"));
	worker_start(&unplug, unplug_run, table->device);
	assert_false(worker_done_within(&unplug, 30));
	fh_point_release("test.translating");
	worker_join(&unplug);
	worker_join(&access);
	assert_int_equal(store.tx, FH_TX_OK);
	assert_int_equal(fh_space_store32(memory, 0x7000, 6, FH_LE), FH_TX_OK);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(translation_that_ended_while_the_next_one_blocked_is_not_used),
		test(pinned_section_of_an_iommu_that_went_leads_nowhere),
		test(mapping_is_of_the_memory_behind_and_holds_up_its_invalidation),
		test(registers_behind_are_bounced_and_written_where_it_led),
		test(mapping_is_refused_as_an_access_is),
		test(mapping_does_not_use_what_ended_while_a_translation_blocked),
		test(invalidation_does_not_wait_for_who_was_asked_again),
		test(mapping_finds_nothing_in_an_iommu_that_went_while_it_was_asked),
		test(unplug_waits_for_a_translation_that_blocks),
	};

	return cmocka_run_group_tests_name("iommu-blocking", tests, NULL, NULL);
}
