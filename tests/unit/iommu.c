/* SPDX-License-Identifier: MIT */
/*
 * IOMMUs: where accesses end up, what they may do there, how far translations lead, what notifiers
 * are told, and when an invalidation is over.
 */
#include "support/table.h"

#include <stdio.h>

/* --- Accesses ------------------------------------------------------------------------------- */

static void access_goes_where_the_translation_leads(void **state)
{
	struct table *table = &tables[0];
	uint32_t value = 0;

	(void)state;
	table_map(table, 2, 0x7000, RW);
	assert_int_equal(fh_space_store32(table->bus, 2 * PAGE + 8, 0x12345678, FH_LE), FH_TX_OK);
	assert_int_equal(ram32(0x7008), 0x12345678);
	assert_int_equal(fh_space_load32(table->bus, 2 * PAGE + 8, FH_BE, &value), FH_TX_OK);
	assert_int_equal(value, 0x78563412);
	/* Never remembered: the next access asks again. */
	table_map(table, 2, 0x9000, RW);
	assert_int_equal(fh_space_store32(table->bus, 2 * PAGE + 8, 1, FH_LE), FH_TX_OK);
	assert_int_equal(ram32(0x9008), 1);
	assert_int_equal(ram32(0x7008), 0x12345678);
}

static void access_over_pages_is_cut_at_their_borders(void **state)
{
	struct table *table = &tables[0];
	uint8_t out[3 * PAGE], in[3 * PAGE];
	uint64_t value;

	(void)state;
	table_map(table, 1, 0x9000, RW);
	table_map(table, 2, 0x5000, RW);
	table_map(table, 3, 0x20000, RW);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(fh_space_write(table->bus, PAGE, out, sizeof(out), FH_ATTRS_NONE),
			 FH_TX_OK);
	assert_memory_equal((uint8_t *)fh_region_ram(ram) + 0x9000, out, PAGE);
	assert_memory_equal((uint8_t *)fh_region_ram(ram) + 0x5000, out + PAGE, PAGE);
	assert_memory_equal((uint8_t *)fh_region_ram(ram) + 0x20000, out + 2 * PAGE, PAGE);
	assert_int_equal(fh_space_read(table->bus, PAGE, in, sizeof(in), FH_ATTRS_NONE), FH_TX_OK);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(fh_space_load(table->bus, 2 * PAGE - 3, 8, FH_LE, FH_ATTRS_NONE, &value),
			 FH_TX_OK);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(value >> 8 * i & 0xff, out[PAGE - 3 + i]);
}

static void what_is_not_permitted_is_denied(void **state)
{
	struct table *table = &tables[0];
	uint32_t value = 7;

	(void)state;
	table_map(table, 0, 0x7000, FH_IOMMU_READ);
	table_map(table, 1, 0x8000, FH_IOMMU_WRITE);
	assert_int_equal(fh_space_load32(table->bus, 0, FH_LE, &value), FH_TX_OK);
	assert_int_equal(fh_space_store32(table->bus, 0, 5, FH_LE), FH_TX_DENIED);
	assert_int_equal(ram32(0x7000), 0);
	assert_int_equal(fh_space_store32(table->bus, PAGE, 5, FH_LE), FH_TX_OK);
	assert_int_equal(fh_space_load32(table->bus, PAGE, FH_LE, &value), FH_TX_DENIED);
	assert_int_equal(value, 0);
	/* What translate itself refuses has its result. */
	assert_int_equal(fh_space_load32(table->bus, 5 * PAGE, FH_LE, &value), FH_TX_DENIED);
	/* The rest of a longer access is done. */
	assert_int_equal(fh_space_store(table->bus, PAGE - 2, 4, FH_LE, FH_ATTRS_NONE, 0x04030201),
			 FH_TX_DENIED);
	assert_int_equal(ram32(0x8000), 0x0403);
}

static void translation_into_a_hole_is_a_decode_error(void **state)
{
	struct table *table = &tables[0];
	uint32_t value;

	(void)state;
	table_map(table, 0, 0x40000000, RW);
	assert_int_equal(fh_space_load32(table->bus, 0, FH_LE, &value), FH_TX_DECODE_ERROR);
	table->target = NULL;
	assert_int_equal(fh_space_load32(table->bus, 0, FH_LE, &value), FH_TX_DECODE_ERROR);
	table->target = memory;
	/* A page that leads to the last bytes of memory, and beyond. */
	table_map(table, 0, 0x200000 - 0x800, RW);
	assert_int_equal(fh_space_load32(table->bus, 0x7fc, FH_LE, &value), FH_TX_OK);
	assert_int_equal(fh_space_load32(table->bus, 0x800, FH_LE, &value), FH_TX_DECODE_ERROR);
}

static void permissions_decide_and_not_how_the_iommu_shows(void **state)
{
	struct table *table = &tables[0];

	(void)state;
	table_map(table, 2, 0x7000, RW);
	fh_region_set_readonly(table->region, true);
	assert_int_equal(fh_space_store32(table->bus, 2 * PAGE, 9, FH_LE), FH_TX_OK);
	assert_int_equal(ram32(0x7000), 9);
}

static void translation_may_lead_to_registers(void **state)
{
	struct table *table = &tables[0];
	uint32_t value;

	(void)state;
	table_map(table, 4, 0x10000000, RW);
	assert_int_equal(fh_space_load32(table->bus, 4 * PAGE, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, PROBE_CANARY);
	assert_int_equal(fh_space_load(table->bus, 4 * PAGE, 4, FH_LE,
				       (struct fh_attrs){ .memory_only = true },
				       &(uint64_t){ 0 }),
			 FH_TX_DENIED);
}

static void requester_chooses_the_index(void **state)
{
	struct table *table = &tables[0];
	const struct fh_attrs other = { .requester = 0x301 };

	(void)state;
	table->index_bits = 1;
	table_map(table, 0, 0x7000, RW);
	assert_int_equal(fh_space_store(table->bus, 0, 4, FH_LE, other, 0xabcd), FH_TX_OK);
	assert_int_equal(ram32(0x7000), 0);
	assert_int_equal(ram32(0x107000), 0xabcd);
}

/* --- Chains ----------------------------------------------------------------------------------- */

static void iommus_behind_each_other_all_translate(void **state)
{
	struct table *inner = &tables[0], *outer = &tables[1];
	uint32_t value;

	(void)state;
	table_init(outer, "outer", inner->bus);
	table_map(outer, 1, 3 * PAGE, RW);
	table_map(inner, 3, 0x7000, FH_IOMMU_READ);
	((uint32_t *)fh_region_ram(ram))[0x7010 / 4] = 99;
	assert_int_equal(fh_space_load32(outer->bus, PAGE + 0x10, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 99);
	assert_int_equal(fh_space_store32(outer->bus, PAGE + 0x10, 1, FH_LE), FH_TX_DENIED);
}

static void translation_does_not_reach_over_the_top(void **state)
{
	struct table *table = &tables[0];
	uint64_t value;

	(void)state;
	table_map(table, 0, UINT64_MAX - 0x7ff, RW);
	((uint32_t *)fh_region_ram(ram))[0] = 77;
	assert_int_equal(fh_space_load(table->bus, 0x800, 4, FH_LE, FH_ATTRS_NONE, &value),
			 FH_TX_DECODE_ERROR);
	assert_int_equal(value, 0);
}

static void circle_of_iommus_is_a_decode_error(void **state)
{
	struct table *table = &tables[0];
	uint32_t value;
	uint8_t bytes[100];

	(void)state;
	table->target = table->bus;
	table_map(table, 0, 0, RW);
	assert_int_equal(fh_space_load32(table->bus, 0, FH_LE, &value), FH_TX_DECODE_ERROR);
	assert_int_equal(table->asked, FH_IOMMU_HOPS);
	assert_int_equal(fh_space_write(table->bus, 0, bytes, sizeof(bytes), FH_ATTRS_NONE),
			 FH_TX_DECODE_ERROR);
	table->target = memory;
}

/* --- Notifiers ------------------------------------------------------------------------------ */

static char heard[1024];
static char name_a[] = "a", name_b[] = "b"; /* of notifiers: their state */

static void hear(void *state, const struct fh_iommu_event *event)
{
	const size_t used = strlen(heard);
	const struct fh_translation *t = &event->translation;

	snprintf(heard + used, sizeof(heard) - used, "%s%s%s %llx-%llx", used ? " " : "",
		 (const char *)state, event->kind == FH_IOMMU_MAP ? "+" : "-",
		 (unsigned long long)t->first, (unsigned long long)t->last);
	if (event->kind == FH_IOMMU_MAP)
		snprintf(heard + strlen(heard), sizeof(heard) - strlen(heard), ">%llx",
			 (unsigned long long)t->addr);
}

static void assert_heard(const char *what)
{
	assert_string_equal(heard, what);
	heard[0] = '\0';
}

static struct fh_translation translation(uint64_t first, uint64_t last, uint64_t addr)
{
	return (struct fh_translation){ first, last, memory, addr, RW };
}

static void notifiers_hear_what_overlaps_with_them(void **state)
{
	struct table *table = &tables[0];
	const struct fh_translation wide = translation(0x1000, 0x4fff, 0x7000);
	struct fh_iommu_notifier *a, *b;

	(void)state;
	heard[0] = '\0';
	a = fh_iommu_notifier_new(table->device, table->region, 0, 0x2000, 0x2fff,
				  FH_IOMMU_MAP | FH_IOMMU_UNMAP, hear, name_a);
	assert_int_equal(table->wanted[0], FH_IOMMU_MAP | FH_IOMMU_UNMAP);
	assert_int_equal(table->wanted[1], 0);
	b = fh_iommu_notifier_new(table->device, table->region, FH_IOMMU_ALL_INDEXES, 0,
				  UINT64_MAX, FH_IOMMU_UNMAP, hear, name_b);
	assert_int_equal(table->wanted[1], FH_IOMMU_UNMAP);
	fh_iommu_notify_map(table->region, 0, &wide);
	assert_heard("a+ 2000-2fff>8000");
	fh_iommu_notify_map(table->region, 1, &wide);
	assert_heard("");
	fh_iommu_invalidate(table->region, 0, 0x1000, 0x2001, NULL, NULL);
	assert_heard("a- 2000-2001 b- 1000-2001");
	fh_iommu_invalidate(table->region, 1, 0x3000, 0x3fff, NULL, NULL);
	assert_heard("b- 3000-3fff");
	assert_null(fh_iommu_notifier_destroy(a));
	assert_int_equal(table->wanted[0], FH_IOMMU_UNMAP);
	fh_iommu_notify_map(table->region, 0, &wide);
	assert_heard("");
	/* The end of the IOMMU unmaps everything, once. */
	fh_region_destroy(table->region);
	assert_heard("b- 0-ffffffffffffffff");
	fh_iommu_invalidate(table->region, 0, 0, 1, NULL, NULL);
	assert_int_equal(fh_iommu_replay(b), FH_EDEAD);
	assert_null(fh_iommu_notifier_destroy(b));
	assert_heard("");
	assert_null(fh_iommu_notifier_new(m, table->region, 5, 0, 1, 1, hear, name_a));
}

static void notifier_ends_with_its_owner(void **state)
{
	static struct probe_hooks shadow_hooks;
	struct table *table = &tables[0];
	struct fh_device *shadow = probe_plug(m, "shadow", &shadow_hooks, 0x20000000);

	(void)state;
	heard[0] = '\0';
	assert_non_null(fh_iommu_notifier_new(shadow, table->region, 0, 0, UINT64_MAX,
					      FH_IOMMU_UNMAP, hear, name_a));
	fh_device_unplug(shadow);
	fh_iommu_invalidate(table->region, 0, 0, UINT64_MAX, NULL, NULL);
	assert_heard("");
	assert_int_equal(table->wanted[0], 0);
}

static void replay_tells_of_what_there_is(void **state)
{
	struct table *table = &tables[0];
	struct fh_iommu_notifier *notifier;

	(void)state;
	heard[0] = '\0';
	table_map(table, 1, 0x9000, RW);
	table_map(table, 4, 0x3000, FH_IOMMU_READ);
	table_map(table, 5, 0x4000, FH_IOMMU_READ);
	notifier = fh_iommu_notifier_new(table->device, table->region, FH_IOMMU_ALL_INDEXES,
					 0x1800, 0x4fff, FH_IOMMU_MAP, hear, name_a);
	assert_int_equal(fh_iommu_replay(notifier), FH_OK);
	assert_heard("a+ 1800-1fff>9800 a+ 4000-4fff>3000 "
		     "a+ 1800-1fff>109800 a+ 4000-4fff>103000");
	/* Of what the IOMMU is now. */
	fh_region_resize(table->region, 0x2000);
	assert_int_equal(fh_iommu_replay(notifier), FH_OK);
	assert_heard("a+ 1800-1fff>9800 a+ 1800-1fff>109800");
	fh_region_resize(table->region, 0);
	assert_int_equal(fh_iommu_replay(notifier), FH_OK);
	assert_heard("");
}

/* --- Invalidations ---------------------------------------------------------------------------- */

static void invalidation_waits_for_accesses_that_were_translated_before(void **state)
{
	struct table *table = &tables[0];
	struct store store = { .space = table->bus, .addr = 0x2000, .value = 1 };
	struct worker worker;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x7000, RW);
	fh_point_arm("iommu.translated");
	worker_start(&worker, store_run, &store);
	assert_true(fh_point_wait("iommu.translated"));
	table_map(table, 2, 0x9000, RW);
	fh_iommu_invalidate(table->region, 0, 0x2000, 0x2fff, done, NULL);
	assert_false(done_within(50));
	assert_int_equal(ram32(0x7000), 0);
	fh_point_release("iommu.translated");
	worker_join(&worker);
	assert_true(done_in_time());
	/* By its old translation, and it was over before the end was told. */
	assert_int_equal(ram32(0x7000), 1);
	store_run(&store);
	assert_int_equal(ram32(0x9000), 1);
}

/* What a mapping does. */
static void use_begin(struct table *table, uint64_t addr, struct fh_iommu_use *use)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_trail trail;

	fh_rcu_read_begin(t);
	assert_int_equal(fh_iommu_follow(t, table->region, addr, 16, FH_IOMMU_READ, FH_ATTRS_NONE,
					 &trail),
			 FH_TX_OK);
	assert_int_equal(trail.hops, 1);
	fh_iommu_use_begin(use, &trail.hop[0]);
	assert_true(fh_iommu_arrive(t, &trail));
	fh_rcu_read_end(t);
}

static void invalidation_waits_for_mappings_of_its_range_and_for_no_later_ones(void **state)
{
	struct table *table = &tables[0];
	struct fh_iommu_use same, elsewhere, later;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x7000, RW);
	table_map(table, 3, 0x8000, RW);
	use_begin(table, 0x2ff0, &same);
	use_begin(table, 0x3000, &elsewhere);
	fh_iommu_invalidate(table->region, FH_IOMMU_ALL_INDEXES, 0x2000, 0x2fff, done, NULL);
	use_begin(table, 0x2ff0, &later);
	assert_false(done_within(50));
	fh_iommu_use_end(&same);
	assert_true(done_in_time());
	fh_iommu_use_end(&elsewhere);
	fh_iommu_use_end(&later);
	assert_int_equal(dones, 1);
}

static void iommu_that_goes_ends_its_invalidations(void **state)
{
	struct table *table = &tables[0];
	struct fh_iommu_use use;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x7000, RW);
	use_begin(table, 0x2000, &use);
	fh_iommu_invalidate(table->region, 0, 0, UINT64_MAX, done, NULL);
	fh_device_unplug(table->device);
	assert_false(done_within(30));
	assert_int_equal(table->released, 0);
	fh_iommu_use_end(&use);
	assert_true(done_in_time());
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(access_goes_where_the_translation_leads),
		test(access_over_pages_is_cut_at_their_borders),
		test(what_is_not_permitted_is_denied),
		test(translation_into_a_hole_is_a_decode_error),
		test(permissions_decide_and_not_how_the_iommu_shows),
		test(translation_may_lead_to_registers),
		test(requester_chooses_the_index),
		test(iommus_behind_each_other_all_translate),
		test(translation_does_not_reach_over_the_top),
		test(circle_of_iommus_is_a_decode_error),
		test(notifiers_hear_what_overlaps_with_them),
		test(notifier_ends_with_its_owner),
		test(replay_tells_of_what_there_is),
		test(invalidation_waits_for_accesses_that_were_translated_before),
		test(invalidation_waits_for_mappings_of_its_range_and_for_no_later_ones),
		test(iommu_that_goes_ends_its_invalidations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
