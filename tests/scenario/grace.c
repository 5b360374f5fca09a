/* SPDX-License-Identifier: MIT */
/*
 * The grace period (L3), with regions made at run time: what a region stands for is released when
 * every reader that could see it has left, however the reader got there, and not before.
 *
 * R1. A reader is stopped in a read section with what it found. The region is destroyed; another
 *     thread drains the machine, which must not return before the reader goes on.
 */
#include "support/quirk.h"

#include <string.h>
#include <time.h>

#include "base/point.h"

#define BASE UINT64_C(0x10000000)
#define VALUE UINT64_C(0x7777777777777777)

enum {
	SIZE = 0x100,
	PATIENCE_MS = 10, /* long enough for what must not happen */
};

static struct fh_space *memory;
static struct fh_object *holder;
static struct quirk_count count; /* of regions; RAM counts as well */

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)ms * 1000000 }, NULL);
}

static int reset_points(void **unused)
{
	(void)unused;
	fh_point_release_all();
	return 0;
}

static struct fh_machine *begin(void)
{
	static const struct fh_type plain_type = { .name = "plain" };
	struct fh_machine *m = machine_begin();

	memset(&count, 0, sizeof(count));
	memory = fh_machine_memory(m);
	holder = fh_object_new_child(m, "holder", &plain_type, NULL);
	return m;
}

static void finish(struct fh_machine *m)
{
	fh_object_dispose(holder);
	machine_check_alive(m, 0);
	assert_int_equal(count.made, count.released);
	machine_end(m);
}

static void ram_release(void *arg)
{
	memset(arg, 0xdd, SIZE);
	free(arg);
	count.released++;
}

static struct fh_region *ram_new(FH_ANY owner)
{
	void *bytes = malloc(SIZE);

	memset(bytes, 0x77, SIZE);
	count.made++;
	return fh_region_new_ram_ptr(owner, NULL, SIZE, bytes, ram_release, bytes);
}

static struct fh_region *put(struct fh_region *region, uint64_t addr)
{
	CHECK(region && fh_region_add(fh_space_root(memory), region, addr, 0) == FH_OK);
	return region;
}

static void stop_inside(struct quirk *quirk, uint64_t offset)
{
	(void)quirk;
	(void)offset;
	FH_POINT("test.inside");
}

static struct fh_region *quirk_at(FH_ANY owner, uint64_t addr)
{
	struct quirk *quirk = quirk_new(&count, VALUE);

	quirk->read = stop_inside;
	return put(quirk_region(owner, SIZE, quirk), addr);
}

static void run_drain(void *arg)
{
	fh_machine_drain(arg);
}

/* --- Readers of every kind ------------------------------------------------------------------ */

struct reader {
	const struct way *way;
	struct fh_pinned *pinned;
	uint64_t value;
	enum fh_tx tx;
};

static void load(struct reader *reader)
{
	reader->tx = fh_space_load64(memory, BASE, FH_LE, &reader->value);
}

/* The second finds it in the lookaside. */
static void load_twice(struct reader *reader)
{
	load(reader);
	CHECK(reader->value == VALUE);
	load(reader);
}

static void store(struct reader *reader)
{
	reader->tx = fh_space_store64(memory, BASE, VALUE, FH_LE);
	reader->value = VALUE;
}

/* Of two regions. */
static void read_bulk(struct reader *reader)
{
	uint64_t values[2];

	reader->tx = fh_space_read(memory, BASE - 8, values, sizeof(values), FH_ATTRS_NONE);
	CHECK(values[0] == VALUE);
	reader->value = values[1];
}

static void fill(struct reader *reader)
{
	reader->tx = fh_space_fill(memory, BASE - 8, 0x77, 16, FH_ATTRS_NONE);
	reader->value = VALUE;
}

static void read_pinned(struct reader *reader)
{
	reader->tx = fh_pinned_read(reader->pinned, 0, &reader->value, 8, FH_ATTRS_NONE);
}

static void find_and_read(struct reader *reader)
{
	struct fh_section section;

	reader->pinned = fh_space_find(memory, BASE, 8, holder, &section);
	CHECK(reader->pinned);
	read_pinned(reader);
	fh_pinned_unpin(reader->pinned);
}

static void map_and_read(struct reader *reader)
{
	struct fh_mapped mapped;
	struct fh_mapping *map = fh_space_map(memory, BASE, SIZE, FH_MAP_READ, FH_ATTRS_NONE,
					      holder, &mapped);

	CHECK(map);
	memcpy(&reader->value, mapped.ptr, 8);
	fh_mapping_unmap(map, 0);
}

/* What was looked up is there until the outermost section ends. */
static void look_and_read(struct reader *reader)
{
	struct fh_section section;

	fh_read_begin();
	CHECK(fh_space_lookup(memory, BASE, &section));
	fh_read_begin();
	load(reader);
	fh_read_end();
	FH_POINT("test.section");
	memcpy(&reader->value, section.ptr, 8);
	fh_read_end();
}

static bool visit(const struct fh_section *section, void *arg)
{
	struct reader *reader = arg;

	if (section->first != BASE)
		return true;
	FH_POINT("test.section");
	memcpy(&reader->value, section->ptr, 8);
	return false;
}

static void visit_each(struct reader *reader)
{
	fh_space_each(memory, visit, reader);
}

struct way {
	const char *name;
	void (*read)(struct reader *reader);
	const char *point; /* where it is stopped */
	unsigned nth;
	bool ram, pinned;
};

static const struct way ways[] = {
	{ "a load that has found", load, "lookup.found", 1, false, false },
	{ "a load that has found again", load_twice, "lookup.found", 2, false, false },
	{ "a load in the callback", load, "test.inside", 1, false, false },
	{ "a load in the callback, again", load_twice, "test.inside", 2, false, false },
	{ "a store that has found", store, "lookup.found", 1, false, false },
	{ "a store in the callback", store, "test.inside", 1, false, false },
	{ "a bulk read between two", read_bulk, "access.between", 1, false, false },
	{ "a bulk read in the second", read_bulk, "test.inside", 2, false, false },
	{ "a fill between two", fill, "access.between", 1, false, false },
	{ "a pinned read", read_pinned, "test.inside", 1, false, true },
	{ "a find", find_and_read, "lookup.found", 1, false, false },
	{ "a load of RAM that has found", load, "lookup.found", 1, true, false },
	{ "a load of RAM that has found again", load_twice, "lookup.found", 2, true, false },
	{ "a store to RAM", store, "lookup.found", 1, true, false },
	{ "a bulk read of RAM", read_bulk, "access.between", 1, true, false },
	{ "a fill of RAM", fill, "access.between", 1, true, false },
	{ "a map", map_and_read, "lookup.found", 1, true, false },
	{ "a lookup", look_and_read, "test.section", 1, true, false },
	{ "a visit", visit_each, "test.section", 1, true, false },
};

static void run_reader(void *arg)
{
	struct reader *reader = arg;

	reader->way->read(reader);
}

enum owner { NOBODY, DEVICE, SEEN_THROUGH_ALIAS, OWNERS };

static void destroy(struct fh_region *region, enum owner owner)
{
	if (owner == DEVICE)
		fh_region_destroy(region);
	else
		fh_object_unref(region);
}

static void reader_is_waited_for(const struct way *way, enum owner owner)
{
	struct fh_machine *m = begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = owner == DEVICE ? probe_plug(m, "a", &hooks, 0x1000) : NULL;
	struct fh_region *before = quirk_at(m, BASE - SIZE), *alias = NULL;
	const bool through = owner == SEEN_THROUGH_ALIAS;
	const uint64_t addr = through ? 16 * BASE : BASE;
	struct reader reader = { .way = way, .tx = FH_TX_OK };
	struct worker worker, drainer;
	struct fh_section section;
	struct fh_region *region;

	if (way->ram)
		region = put(device ? ram_new(device) : ram_new(m), addr);
	else
		region = device ? quirk_at(device, addr) : quirk_at(m, addr);
	if (through)
		alias = put(fh_region_new_alias(m, NULL, region, 0, SIZE), BASE);
	if (way->pinned)
		reader.pinned = fh_space_find(memory, BASE, 8, holder, &section);
	fh_point_arm_at(way->point, way->nth, NULL);
	worker_start(&worker, run_reader, &reader);
	assert_true(fh_point_wait(way->point));

	destroy(region, owner);
	fh_pinned_unpin(way->pinned ? reader.pinned : NULL);
	load32(m, BASE, FH_TX_DECODE_ERROR);
	worker_start(&drainer, run_drain, m);
	/* Whatever else is retired meanwhile. */
	for (int i = 0; i < 20; i++)
		fh_object_unref(quirk_at(m, 2 * BASE));
	if (worker_done_within(&drainer, PATIENCE_MS) || count.released != 0)
		fail_msg("%s was not waited for", way->name);
	fh_point_release(way->point);
	worker_join(&worker);
	worker_join(&drainer);
	/* A pinned section stops at the end of the owner, which a region without one is itself. */
	const bool stops = way->read == find_and_read && owner != DEVICE;

	assert_int_equal(reader.tx, stops ? FH_TX_DECODE_ERROR : FH_TX_OK);
	assert_int_equal(reader.value, stops ? 0 : VALUE);
	fh_object_unref(alias);
	fh_object_unref(before);
	fh_device_unplug(device);
	finish(m);
}

static void every_reader_is_waited_for(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		for (enum owner owner = NOBODY; owner < OWNERS; owner++)
			reader_is_waited_for(&ways[i], owner);
}

/* --- Several readers, several regions ------------------------------------------------------- */

/* In the callback, inside the read section: each reader of a region has one of its own. */
struct gate {
	_Atomic bool inside, open;
};

enum { GATES = 12 };

/* A load of 8 bytes at offset 8 * i goes through the quirk's gate i. */
static void stand_at_gate(struct quirk *quirk, uint64_t offset)
{
	struct gate *gates = quirk->arg;
	struct gate *gate = &gates[offset / 8];

	gate->inside = true;
	while (!gate->open)
		pause_ms(1);
}

static struct fh_region *gated_at(FH_ANY owner, uint64_t addr, struct gate *gates)
{
	struct quirk *quirk = quirk_new(&count, VALUE);

	quirk->read = stand_at_gate;
	quirk->arg = gates;
	return put(quirk_region(owner, SIZE, quirk), addr);
}

static void run_load(void *arg)
{
	uint64_t value;

	CHECK(fh_space_load64(memory, *(uint64_t *)arg, FH_LE, &value) == FH_TX_OK);
	CHECK(value == VALUE);
}

static void start_load(struct worker *worker, uint64_t *addr, struct gate *gate)
{
	worker_start(worker, run_load, addr);
	for (int i = 0; i < 20000 && !gate->inside; i++)
		pause_ms(1);
	assert_true(gate->inside);
}

static void last_of_several_readers_is_waited_for(void **unused)
{
	struct fh_machine *m = begin();
	struct gate gates[3] = { 0 };
	struct fh_region *region = gated_at(m, BASE, gates);
	uint64_t addrs[3] = { BASE, BASE + 8, BASE + 16 };
	struct worker workers[3], drainer;

	(void)unused;
	for (int i = 0; i < 3; i++)
		start_load(&workers[i], &addrs[i], &gates[i]);
	fh_object_unref(region);
	worker_start(&drainer, run_drain, m);
	for (int i = 0; i < 3; i++) {
		assert_false(worker_done_within(&drainer, PATIENCE_MS));
		assert_int_equal(count.released, 0);
		gates[(i + 1) % 3].open = true; /* who came first goes last */
		worker_join(&workers[(i + 1) % 3]);
	}
	worker_join(&drainer);
	assert_int_equal(count.released, 1);
	finish(m);
}

/* At one place; each has a reader inside when the next takes its place in one transaction. */
static void generations_at_one_place_are_released_with_their_readers(void **unused)
{
	struct fh_machine *m = begin();
	struct gate gates[GATES][1] = { 0 };
	struct fh_region *region = gated_at(m, BASE, gates[0]);
	struct worker workers[GATES];
	uint64_t addr = BASE;

	(void)unused;
	for (int i = 0; i < GATES; i++) {
		start_load(&workers[i], &addr, gates[i]);
		fh_edit_begin(m);
		fh_object_unref(region);
		region = i + 1 < GATES ? gated_at(m, BASE, gates[i + 1]) : NULL;
		fh_edit_commit(m);
		if (i % 3 == 0)
			pause_ms(1); /* a grace period begins before the next reader comes */
	}
	for (int i = 0; i < GATES; i++) {
		pause_ms(2);
		/* A later one's reader is inside still. */
		assert_true(count.released <= (uint64_t)i);
		gates[i]->open = true;
		worker_join(&workers[i]);
	}
	fh_machine_drain(m);
	assert_int_equal(count.released, GATES);
	finish(m);
}

/* A grace period that began before a region is retired is none of the region's. */
static void grace_period_is_stopped(const char *point, unsigned nth)
{
	struct fh_machine *m = begin();
	struct fh_region *other = put(fh_region_new_reservation(m, NULL, SIZE), 2 * BASE);
	struct gate gates[1] = { 0 };
	struct fh_region *region = gated_at(m, BASE, gates);
	uint64_t addr = BASE;
	struct worker worker;

	fh_machine_drain(m);
	fh_point_arm_at(point, nth, NULL);
	fh_object_unref(other);
	assert_true(fh_point_wait(point));
	start_load(&worker, &addr, gates);
	fh_object_unref(region);
	fh_point_release(point);
	pause_ms(PATIENCE_MS);
	assert_int_equal(count.released, 0);
	gates->open = true;
	worker_join(&worker);
	fh_machine_drain(m);
	assert_int_equal(count.released, 1);
	finish(m);
}

static void grace_period_that_began_before_does_not_count(void **unused)
{
	(void)unused;
	/* Of the view that showed the other region, and of that itself. */
	for (unsigned nth = 1; nth <= 2; nth++) {
		grace_period_is_stopped("reaper.taken", nth);
		grace_period_is_stopped("reaper.grace-over", nth);
	}
}

/* A reader that came after the region had gone is not waited for: it cannot see it. */
static void reader_of_the_new_view_does_not_keep_what_is_gone(void **unused)
{
	struct fh_machine *m = begin();
	struct gate gates[1] = { 0 };
	struct fh_region *region = quirk_at(m, BASE), *other = gated_at(m, 2 * BASE, gates);
	uint64_t addr = 2 * BASE;
	struct worker worker;

	(void)unused;
	fh_machine_drain(m);
	fh_point_arm_at("reaper.grace-over", 2, NULL); /* the region's own, after the view's */
	fh_object_unref(region);
	assert_true(fh_point_wait("reaper.grace-over"));
	assert_int_equal(count.released, 0);
	start_load(&worker, &addr, gates);
	fh_point_release("reaper.grace-over");
	for (int i = 0; i < 2000 && count.released == 0; i++)
		pause_ms(1);
	assert_int_equal(count.released, 1);
	gates->open = true;
	worker_join(&worker);
	fh_object_unref(other);
	finish(m);
}

static void block(struct quirk *quirk, uint64_t offset)
{
	fh_blocking_begin();
	stand_at_gate(quirk, offset);
	fh_blocking_end();
}

/* Outside of its section; it is pinned, for any number of grace periods. */
static void blocked_callback_keeps_its_region_without_a_section(void **unused)
{
	(void)unused;
	for (enum owner owner = NOBODY; owner <= DEVICE; owner++) {
		struct fh_machine *m = begin();
		struct probe_hooks hooks = { 0 };
		struct fh_device *device =
			owner == DEVICE ? probe_plug(m, "a", &hooks, 0x1000) : NULL;
		struct gate gates[2] = { 0 };
		uint64_t addrs[2] = { BASE, BASE + 8 };
		struct worker workers[2];
		struct quirk *quirk = quirk_new(&count, VALUE);

		quirk->read = block;
		quirk->arg = gates;
		struct fh_region *region =
			put(device ? quirk_region(device, SIZE, quirk) :
				     quirk_region(m, SIZE, quirk), BASE);

		for (int i = 0; i < 2; i++)
			start_load(&workers[i], &addrs[i], &gates[i]);
		destroy(region, owner);
		for (int i = 0; i < 2; i++) {
			fh_machine_drain(m); /* returns, as nobody is in a section */
			assert_int_equal(count.released, 0);
			gates[i].open = true;
			worker_join(&workers[i]);
		}
		fh_machine_drain(m);
		assert_int_equal(count.released, 1);
		fh_device_unplug(device);
		finish(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_reader_is_waited_for, reset_points),
		cmocka_unit_test(last_of_several_readers_is_waited_for),
		cmocka_unit_test(generations_at_one_place_are_released_with_their_readers),
		cmocka_unit_test_teardown(grace_period_that_began_before_does_not_count,
					  reset_points),
		cmocka_unit_test_teardown(reader_of_the_new_view_does_not_keep_what_is_gone,
					  reset_points),
		cmocka_unit_test(blocked_callback_keeps_its_region_without_a_section),
	};

	return cmocka_run_group_tests_name("scenario/grace", tests, NULL, NULL);
}
