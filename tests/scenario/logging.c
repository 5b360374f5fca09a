/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging, with a writer stopped at the one moment that matters: between its look at the map
 * and its write, between write and mark; and logged memory that is unplugged, or logged no more,
 * just then.
 */
#include <unistd.h>

#include "base/point.h"
#include "support/probe.h"

#define BASE UINT64_C(0x80000000)
#define PAGE UINT64_C(0x1000)
#define SIZE (16 * PAGE)
#define VALUE UINT64_C(0x1122334455667788)

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *ram;

static int setup(void **state)
{
	(void)state;
	m = machine_begin();
	memory = fh_machine_memory(m);
	ram = fh_region_new_ram(m, "ram", SIZE, NULL);
	fh_region_add(fh_space_root(memory), ram, BASE, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fh_point_release_all();
	fh_object_unref(ram);
	machine_end(m);
	return 0;
}

static uint64_t at(uint64_t addr)
{
	uint64_t value;

	CHECK(fh_space_load64(memory, addr, FH_LE, &value) == FH_TX_OK);
	return value;
}

static bool take(struct fh_region *region, uint64_t offset)
{
	return fh_dirty_test_and_clear(region, FH_DIRTY_MIGRATION, offset, 1);
}

static void store(void *arg)
{
	CHECK(fh_space_store64(memory, *(uint64_t *)arg, VALUE, FH_LE) == FH_TX_OK);
}

static void write_bulk(void *arg)
{
	const uint64_t values[2] = { VALUE, VALUE };

	CHECK(fh_space_write(memory, *(uint64_t *)arg, values, sizeof(values), FH_ATTRS_NONE) ==
	      FH_TX_OK);
}

static void start(void *arg)
{
	CHECK(fh_dirty_start(arg, FH_DIRTY_MIGRATION, NULL) == FH_OK);
}

static void unplug(void *arg)
{
	fh_device_unplug(arg);
}

/* A writer that is stopped there. */
static void stop_writer(struct worker *writer, void (*write)(void *arg), uint64_t *addr,
			const char *point)
{
	fh_point_arm(point);
	worker_start(writer, write, addr);
	assert_true(fh_point_wait(point));
}

static void let_go(struct worker *writer, const char *point)
{
	fh_point_release(point);
	worker_join(writer);
}

static void data_are_there_before_the_mark(void **state)
{
	static void (*const writes[])(void *arg) = { store, write_bulk };
	uint64_t addr = BASE + PAGE;
	struct worker writer;

	(void)state;
	start(ram);
	for (unsigned i = 0; i < 2; i++, addr += PAGE) {
		stop_writer(&writer, writes[i], &addr, "dirty.mark");
		assert_int_equal(at(addr), VALUE);
		assert_false(take(ram, addr - BASE));
		let_go(&writer, "dirty.mark");
		assert_true(take(ram, addr - BASE));
		/* Through the lookaside. */
		stop_writer(&writer, writes[i], &addr, "dirty.mark");
		let_go(&writer, "dirty.mark");
		assert_true(take(ram, addr - BASE));
	}
}

static void start_waits_for_a_store_that_found_the_page_unlogged(void **state)
{
	uint64_t addr = BASE + PAGE;
	struct worker writer, starter;

	(void)state;
	stop_writer(&writer, store, &addr, "lookup.found");
	worker_start(&starter, start, ram);
	while (!fh_dirty_clients(ram))
		;
	for (unsigned i = 0; i < 50; i++) {
		usleep(1000); /* time for the starter to go as far as it gets */
		assert_false(fh_dirty_is_complete(ram, FH_DIRTY_MIGRATION));
	}
	assert_int_equal(at(addr), 0);
	let_go(&writer, "lookup.found");
	worker_join(&starter);
	/* Whether it marked does not matter: who copies now has it. */
	assert_true(fh_dirty_is_complete(ram, FH_DIRTY_MIGRATION));
	assert_int_equal(at(addr), VALUE);
}

static void logging_that_ends_keeps_the_bits_for_who_is_about_to_mark(void **state)
{
	uint64_t addr = BASE + PAGE;
	struct worker writer;

	(void)state;
	start(ram);
	stop_writer(&writer, store, &addr, "dirty.mark");
	fh_dirty_stop(ram, FH_DIRTY_MIGRATION);
	assert_int_equal(fh_dirty_clients(ram), 0);
	fh_region_resize(ram, 0); /* a commit more, so that there is more to be retired */
	let_go(&writer, "dirty.mark");
	fh_machine_drain(m);
	fh_region_resize(ram, SIZE);
	start(ram);
	assert_false(take(ram, PAGE)); /* not in the new ones */
}

static void memory_is_unplugged_while_it_is_logged_and_written(void **state)
{
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "card", &hooks, 0x10000000);
	struct fh_region *card = fh_object_ref(probe_of(device)->ram);
	uint64_t addr = 0x20000000 + 8;
	struct worker writer, unplugger;

	(void)state;
	fh_region_add(fh_space_root(memory), card, 0x20000000, 0);
	assert_int_equal(fh_dirty_global_start(m, FH_DIRTY_MIGRATION, NULL), FH_OK);
	stop_writer(&writer, store, &addr, "dirty.mark");
	worker_start(&unplugger, unplug, device);
	while (fh_space_store64(memory, addr, 0, FH_LE) == FH_TX_OK)
		; /* until it is hidden */
	assert_int_equal(hooks.finalized, 0);
	let_go(&writer, "dirty.mark");
	worker_join(&unplugger);
	/* The region has a ref: its last bits can be taken. */
	assert_true(take(card, 0));
	assert_false(take(card, 0));
	assert_int_equal(fh_dirty_start(card, FH_DIRTY_CODE, NULL), FH_EDEAD);
	fh_dirty_mark(card, 0, 1); /* who still has it mapped */
	assert_true(take(card, 0));
	fh_object_unref(card);
	fh_machine_drain(m);
	assert_int_equal(hooks.finalized, 1);
	assert_false(take(ram, 0)); /* the others are logged as before */
	fh_space_store8(memory, BASE, 1, FH_LE);
	assert_true(take(ram, 0));
	/* The machine ends with its logging on. */
}

static void starting_in_a_callback_does_not_wait(void **state)
{
	struct worker writer;
	uint64_t addr = BASE;

	(void)state;
	stop_writer(&writer, store, &addr, "lookup.found"); /* a grace period would never end */
	fh_read_begin();
	start(ram);
	fh_read_end();
	assert_false(fh_dirty_is_complete(ram, FH_DIRTY_MIGRATION));
	let_go(&writer, "lookup.found");
	fh_machine_drain(m);
	assert_true(fh_dirty_is_complete(ram, FH_DIRTY_MIGRATION));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_are_there_before_the_mark),
		TEST(start_waits_for_a_store_that_found_the_page_unlogged),
		TEST(logging_that_ends_keeps_the_bits_for_who_is_about_to_mark),
		TEST(memory_is_unplugged_while_it_is_logged_and_written),
		TEST(starting_in_a_callback_does_not_wait),
	};

	return cmocka_run_group_tests_name("scenario/logging", tests, NULL, NULL);
}
