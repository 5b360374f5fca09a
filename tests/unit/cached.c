/* SPDX-License-Identifier: MIT */
/*
 * Cached windows: they show what the space shows, whatever happens to the map, and cost nothing
 * that anybody could notice when it dies.
 */
#include "support/probe.h"

#include <string.h>

#include "base/point.h"
#include "base/rcu.h"
#include "support/dies.h"

#define BASE UINT64_C(0x100000)

static struct fh_region *root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

static struct fh_region *ram_at(struct fh_machine *m, uint64_t addr, uint8_t byte)
{
	struct fh_region *ram = fh_region_new_ram(m, NULL, 0x1000, NULL);

	assert_non_null(ram);
	memset(fh_region_ram(ram), byte, 0x1000);
	assert_int_equal(fh_region_add(root(m), ram, addr, 0), FH_OK);
	return ram;
}

static void drop(struct fh_region *region)
{
	fh_region_remove(region);
	fh_object_unref(region);
}

static struct fh_cached *window(struct fh_machine *m, uint64_t addr, uint64_t size)
{
	struct fh_cached *cached =
		fh_cached_new(m, fh_machine_memory(m), addr, size, FH_ATTRS_NONE);

	assert_non_null(cached);
	return cached;
}

static void check_load(struct fh_cached *cached, uint64_t offset, uint32_t value, enum fh_tx tx)
{
	uint32_t got = 77;

	assert_int_equal(fh_cached_load32(cached, offset, FH_LE, &got), tx);
	assert_int_equal(got, value);
}

static void end(struct fh_machine *m, struct fh_cached *cached)
{
	fh_object_unref(cached);
	machine_end(m);
}

/* --- Accesses ------------------------------------------------------------------------------- */

static void every_size_and_order_is_as_the_space_has_it(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, BASE, 0);
	struct fh_cached *cached = window(m, BASE + 0x10, 0x100);
	uint8_t *byte = fh_region_ram(ram);

	(void)unused;
	for (unsigned size = 1; size <= 8; size++)
		for (uint64_t offset = 0; offset < 16; offset++)
			for (enum fh_order order = FH_LE; order <= FH_BE; order++) {
				const uint64_t value = UINT64_C(0x8182838485868788) * (offset + 1);
				uint64_t by_space, by_window;

				memset(byte, 0xee, 64);
				assert_int_equal(fh_cached_store(cached, offset, size, order,
								 value),
						 FH_TX_OK);
				fh_space_load(fh_machine_memory(m), BASE + 0x10 + offset, size,
					      order, FH_ATTRS_NONE, &by_space);
				assert_int_equal(by_space,
						 value & (UINT64_MAX >> (64 - 8 * size)));
				assert_int_equal(byte[0x10 + offset - 1], 0xee);
				assert_int_equal(byte[0x10 + offset + size], 0xee);
				assert_int_equal(fh_cached_load(cached, offset, size, order,
								&by_window),
						 FH_TX_OK);
				assert_int_equal(by_window, by_space);
			}
	drop(ram);
	end(m, cached);
}

static void bulk_is_as_the_space_has_it(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, BASE, 0);
	struct fh_cached *cached = window(m, BASE + 0x10, 0x100);
	uint8_t out[0x80], in[0x80];

	(void)unused;
	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 3 + 1);
	for (unsigned again = 0; again < 2; again++) {
		assert_int_equal(fh_cached_write(cached, 0x21, out, sizeof(out)), FH_TX_OK);
		assert_memory_equal((uint8_t *)fh_region_ram(ram) + 0x31, out, sizeof(out));
		memset(in, 0, sizeof(in));
		assert_int_equal(fh_cached_read(cached, 0x21, in, sizeof(in)), FH_TX_OK);
		assert_memory_equal(in, out, sizeof(in));
	}
	assert_int_equal(fh_cached_read(cached, 0x1000, in, 0), FH_TX_OK);
	assert_int_equal(fh_cached_write(cached, 0x1000, in, 0), FH_TX_OK);
	drop(ram);
	end(m, cached);
}

static void what_is_beyond_the_window_is_a_decode_error(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, BASE, 5);
	struct fh_cached *cached = window(m, BASE + 0x10, 0x12);
	uint8_t buffer[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	const uint8_t zeros[8] = { 0 };

	(void)unused;
	for (unsigned again = 0; again < 2; again++) {
		check_load(cached, 0xe, 0x05050505, FH_TX_OK);
		check_load(cached, 0xf, 0, FH_TX_DECODE_ERROR);
		check_load(cached, 0x12, 0, FH_TX_DECODE_ERROR);
		check_load(cached, UINT64_MAX - 1, 0, FH_TX_DECODE_ERROR);
		check_load(cached, -UINT64_C(0x10), 0, FH_TX_DECODE_ERROR);
	}
	assert_int_equal(fh_cached_store32(cached, 0x10, 0, FH_LE), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_cached_write(cached, 0x10, buffer, 8), FH_TX_DECODE_ERROR);
	assert_int_equal(((uint8_t *)fh_region_ram(ram))[0x20], 5);
	assert_int_equal(fh_cached_read(cached, 0x10, buffer, 8), FH_TX_DECODE_ERROR);
	assert_memory_equal(buffer, zeros, 8);
	drop(ram);
	end(m, cached);
}

static void window_may_reach_the_top_and_not_beyond(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, -UINT64_C(0x1000), 5);
	struct fh_cached *cached = window(m, -UINT64_C(0x10), 0x1000);

	(void)unused;
	for (unsigned again = 0; again < 2; again++) {
		check_load(cached, 0xc, 0x05050505, FH_TX_OK);
		check_load(cached, 0xd, 0, FH_TX_DECODE_ERROR);
		check_load(cached, 0x10, 0, FH_TX_DECODE_ERROR);
	}
	drop(ram);
	end(m, cached);
}

static void window_may_be_of_all_there_is(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, -UINT64_C(0x1000), 5);
	struct fh_cached *cached = window(m, 0, FH_SIZE_ALL);

	(void)unused;
	for (unsigned again = 0; again < 2; again++) {
		check_load(cached, -UINT64_C(4), 0x05050505, FH_TX_OK);
		check_load(cached, -UINT64_C(3), 0, FH_TX_DECODE_ERROR);
	}
	drop(ram);
	end(m, cached);
}

static void registers_and_rom_are_accessed_as_ever(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_region *rom = fh_region_new_rom(m, NULL, 0x1000, FH_ROM_DECODE_ERROR, NULL);
	struct fh_cached *regs = window(m, BASE, 0x100);
	struct fh_cached *code = window(m, 2 * BASE, 0x100);

	(void)unused;
	probe_plug(m, "probe", &hooks, BASE);
	fh_region_add(root(m), rom, 2 * BASE, 0);
	memset(fh_region_ram(rom), 9, 0x1000);
	for (unsigned again = 0; again < 2; again++) {
		check_load(regs, 0, PROBE_CANARY, FH_TX_OK);
		assert_int_equal(fh_cached_store32(regs, 4, 1, FH_LE), FH_TX_OK);
		assert_int_equal(hooks.reads, again + 1);
		assert_int_equal(hooks.writes, again + 1);
		check_load(code, 8, 0x09090909, FH_TX_OK);
		assert_int_equal(fh_cached_store32(code, 8, 1, FH_LE), FH_TX_DECODE_ERROR);
	}
	drop(rom);
	fh_object_unref(code);
	end(m, regs);
}

static void attributes_go_with_every_access(void **unused)
{
	const struct fh_attrs memory_only = { .memory_only = true };
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_region *ram = ram_at(m, 2 * BASE, 3);
	struct fh_cached *regs =
		fh_cached_new(m, fh_machine_memory(m), BASE, 0x100, memory_only);
	struct fh_cached *memory =
		fh_cached_new(m, fh_machine_memory(m), 2 * BASE, 0x100, memory_only);

	(void)unused;
	probe_plug(m, "probe", &hooks, BASE);
	check_load(regs, 0, 0, FH_TX_DENIED);
	check_load(memory, 0, 0x03030303, FH_TX_OK);
	assert_int_equal(hooks.reads, 0);
	drop(ram);
	fh_object_unref(memory);
	end(m, regs);
}

/* --- In place ------------------------------------------------------------------------------- */

/* The window's memory in place for that use, or NULL. */
static void *direct(struct fh_cached *cached, uint64_t offset, uint64_t size, unsigned flags)
{
	fh_read_begin();
	void *ptr = fh_cached_direct(cached, offset, size, flags);

	fh_read_end();
	return ptr;
}

static void memory_in_place_is_what_the_space_shows(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, BASE, 1);
	struct fh_region *rom = fh_region_new_rom(m, NULL, 0x1000, FH_ROM_IGNORE, NULL);
	struct fh_cached *cached = window(m, BASE + 0x10, 0x1000);
	struct fh_cached *fixed = window(m, BASE + 0x1000, 0x100);
	uint8_t *at = (uint8_t *)fh_region_ram(ram) + 0x10;

	(void)unused;
	assert_int_equal(fh_region_add(root(m), rom, BASE + 0x1000, 0), FH_OK);
	assert_ptr_equal(direct(cached, 0, 1, FH_MAP_READ), at);
	assert_ptr_equal(direct(cached, 8, 0xfe8, FH_MAP_READ | FH_MAP_WRITE), at + 8);
	assert_null(direct(cached, 8, 0xfe9, FH_MAP_READ)); /* the last byte is ROM's */
	assert_null(direct(cached, 0x1000, 1, FH_MAP_READ));
	assert_null(direct(cached, UINT64_MAX, 1, FH_MAP_READ));
	assert_null(direct(cached, 1, UINT64_MAX, FH_MAP_READ));
	assert_ptr_equal(direct(fixed, 0, 0x100, FH_MAP_READ), fh_region_ram(rom));
	assert_null(direct(fixed, 0, 1, FH_MAP_WRITE));
	assert_null(direct(fixed, 0, 1, FH_MAP_READ | FH_MAP_WRITE));
	fh_region_set_readonly(ram, true);
	assert_null(direct(cached, 0, 1, FH_MAP_WRITE));
	assert_ptr_equal(direct(cached, 0, 1, FH_MAP_READ), at);
	fh_region_set_readonly(ram, false);
	assert_ptr_equal(direct(cached, 0, 1, FH_MAP_WRITE), at);
	fh_region_move(ram, BASE + 8);
	assert_ptr_equal(direct(cached, 0, 1, FH_MAP_WRITE), at - 8);
	fh_object_unref(fixed);
	drop(rom);
	drop(ram);
	assert_null(direct(cached, 0, 1, FH_MAP_READ));
	end(m, cached);
}

static void logged_memory_in_place_is_only_read(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, BASE, 1);
	struct fh_cached *cached = window(m, BASE, 0x100);

	(void)unused;
	assert_non_null(direct(cached, 0, 8, FH_MAP_WRITE));
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_MIGRATION, NULL), FH_OK);
	assert_null(direct(cached, 0, 8, FH_MAP_WRITE));
	assert_non_null(direct(cached, 0, 8, FH_MAP_READ));
	fh_dirty_stop(ram, FH_DIRTY_MIGRATION);
	assert_non_null(direct(cached, 0, 8, FH_MAP_WRITE));
	drop(ram);
	end(m, cached);
}

static void look_outside_of_all_sections(void)
{
	fh_cached_direct(window(machine_begin(), BASE, 0x100), 0, 8, FH_MAP_READ);
}

static void look_for_no_use(void)
{
	struct fh_cached *cached = window(machine_begin(), BASE, 0x100);

	fh_read_begin();
	fh_cached_direct(cached, 0, 8, 0);
}

static void memory_in_place_needs_a_section_and_a_use(void **unused)
{
	(void)unused;
	assert_true(dies_saying(look_outside_of_all_sections, "depth > 0"));
	assert_true(dies_saying(look_for_no_use, "direct != 0"));
}

/* --- The map changes ------------------------------------------------------------------------ */

static void every_change_under_the_window_is_noticed(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, BASE, 1);
	struct fh_cached *cached = window(m, BASE + 0x10, 0x100);
	uint8_t *byte = fh_region_ram(ram);

	(void)unused;
	check_load(cached, 0, 0x01010101, FH_TX_OK);
	check_load(cached, 0, 0x01010101, FH_TX_OK);
	/* Gone, and back. */
	fh_region_remove(ram);
	check_load(cached, 0, 0, FH_TX_DECODE_ERROR);
	assert_int_equal(fh_cached_store32(cached, 0, 2, FH_LE), FH_TX_DECODE_ERROR);
	assert_int_equal(byte[0x10], 1);
	fh_region_add(root(m), ram, BASE, 0);
	check_load(cached, 0, 0x01010101, FH_TX_OK);
	/* Something else on top of a part. */
	struct fh_region *over = fh_region_new_ram(m, NULL, 0x10, NULL);

	memset(fh_region_ram(over), 2, 0x10);
	fh_region_add(root(m), over, BASE + 0x20, 1);
	check_load(cached, 0, 0x01010101, FH_TX_OK);
	check_load(cached, 0xe, 0x02020101, FH_TX_OK);
	check_load(cached, 0x10, 0x02020202, FH_TX_OK);
	check_load(cached, 0x20, 0x01010101, FH_TX_OK);
	assert_int_equal(fh_cached_store16(cached, 0x10, 0x4444, FH_LE), FH_TX_OK);
	assert_int_equal(byte[0x20], 1);
	drop(over);
	check_load(cached, 0x10, 0x01010101, FH_TX_OK);
	/* Another offset. */
	byte[0x18] = 7;
	fh_region_move(ram, BASE - 8);
	check_load(cached, 0, 0x01010107, FH_TX_OK);
	/* Read-only, from one access to the next. */
	assert_int_equal(fh_cached_store32(cached, 4, 3, FH_LE), FH_TX_OK);
	fh_region_set_readonly(ram, true);
	fh_cached_store32(cached, 4, 8, FH_LE);
	check_load(cached, 4, 3, FH_TX_OK);
	fh_region_set_readonly(ram, false);
	assert_int_equal(fh_cached_store32(cached, 4, 8, FH_LE), FH_TX_OK);
	check_load(cached, 4, 8, FH_TX_OK);
	drop(ram);
	end(m, cached);
}

static void another_root_is_noticed(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *other = ram_at(m, 3 * BASE, 6);
	struct fh_region *ram = ram_at(m, BASE, 1);
	struct fh_space *space = fh_space_new(m, "dma", root(m));
	struct fh_cached *cached = fh_cached_new(m, space, BASE, 0x100, FH_ATTRS_NONE);

	(void)unused;
	check_load(cached, 0, 0x01010101, FH_TX_OK);
	/* Another root: a view of its own. */
	assert_int_equal(fh_space_set_root(space, NULL), FH_OK);
	check_load(cached, 0, 0, FH_TX_DECODE_ERROR);
	assert_int_equal(fh_space_set_root(space, other), FH_OK);
	check_load(cached, 0, 0, FH_TX_DECODE_ERROR);
	assert_int_equal(fh_space_set_root(space, root(m)), FH_OK);
	check_load(cached, 0, 0x01010101, FH_TX_OK);
	fh_object_unref(space);
	check_load(cached, 0, 0, FH_TX_DECODE_ERROR);
	drop(ram);
	drop(other);
	/* The window keeps the space's memory, and nothing of what it showed. */
	machine_check_alive(m, 2);
	end(m, cached);
}

/* A region is gone from the map while a window shows it: nothing but the guest kept it. */
static void window_keeps_nothing_that_the_guest_could_see(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "probe", &hooks, 2 * BASE);
	struct fh_cached *cached = window(m, BASE, 0x100);

	(void)unused;
	fh_region_add(root(m), fh_device_region(device, "ram"), BASE, 0);
	check_load(cached, 0, 0, FH_TX_OK);
	fh_device_unplug(device);
	machine_check_alive(m, 1);
	assert_int_equal(hooks.finalized, 1);
	check_load(cached, 0, 0, FH_TX_DECODE_ERROR);
	end(m, cached);
}

static void window_ends_with_its_owner(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "probe", &hooks, 2 * BASE);
	struct fh_region *ram = ram_at(m, BASE, 1);
	struct fh_cached *cached =
		fh_cached_new(device, fh_machine_memory(m), BASE, 0x100, FH_ATTRS_NONE);

	(void)unused;
	assert_non_null(cached);
	fh_object_ref(cached);
	check_load(cached, 0, 0x01010101, FH_TX_OK);
	fh_object_ref(device);
	fh_device_unplug(device);
	fh_machine_drain(m);
	check_load(cached, 0, 0, FH_TX_DECODE_ERROR);
	assert_int_equal(fh_cached_store32(cached, 0, 2, FH_LE), FH_TX_DECODE_ERROR);
	check_load(cached, 0, 0, FH_TX_DECODE_ERROR);
	assert_null(fh_cached_new(device, fh_machine_memory(m), BASE, 1, FH_ATTRS_NONE));
	fh_object_unref(device);
	drop(ram);
	end(m, cached);
}

struct accessor {
	struct worker worker;
	struct fh_cached *cached;
	uint32_t value;
	enum fh_tx tx;
};

static void load_first_word(void *arg)
{
	struct accessor *accessor = arg;

	fh_read_begin(); /* so that the thread is known */
	fh_read_end();
	accessor->tx = fh_cached_load32(accessor->cached, 0, FH_LE, &accessor->value);
}

/* Found in a view that is replaced before it is remembered: it must not be used afterwards. */
static void change_between_lookup_and_fill_is_noticed(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, BASE, 1);
	struct accessor accessor = { .cached = window(m, BASE, 0x100) };

	(void)unused;
	fh_point_arm("cached.walked");
	worker_start(&accessor.worker, load_first_word, &accessor);
	assert_true(fh_point_wait("cached.walked"));
	fh_region_remove(ram);
	struct fh_region *other = ram_at(m, BASE, 2);

	fh_point_release("cached.walked");
	worker_join(&accessor.worker);
	assert_int_equal(accessor.tx, FH_TX_OK);
	assert_int_equal(accessor.value, 0x02020202);
	check_load(accessor.cached, 0, 0x02020202, FH_TX_OK);
	drop(ram);
	drop(other);
	end(m, accessor.cached);
}

/* Found, and replaced before the access: it is made, in memory that is still there. */
static void region_found_stays_until_the_access_is_done(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = ram_at(m, BASE, 1);
	struct accessor accessor = { .cached = window(m, BASE, 0x100) };

	(void)unused;
	check_load(accessor.cached, 0, 0x01010101, FH_TX_OK);
	fh_point_arm("cached.found");
	worker_start(&accessor.worker, load_first_word, &accessor);
	assert_true(fh_point_wait("cached.found"));
	drop(ram);
	fh_point_release("cached.found");
	worker_join(&accessor.worker);
	assert_int_equal(accessor.tx, FH_TX_OK);
	assert_int_equal(accessor.value, 0x01010101);
	check_load(accessor.cached, 0, 0, FH_TX_DECODE_ERROR);
	end(m, accessor.cached);
}

/* --- Threads -------------------------------------------------------------------------------- */

struct crowd {
	struct worker worker;
	struct fh_cached *cached;
	_Atomic bool *stop;
};

/* Each word that it shows is of one of the two regions, or there is nothing. */
static void load_on(void *arg)
{
	struct crowd *crowd = arg;

	while (!*crowd->stop) {
		uint64_t value;
		const enum fh_tx tx = fh_cached_load64(crowd->cached, 8, FH_LE, &value);

		if (tx == FH_TX_OK)
			CHECK(value == UINT64_C(0x0101010101010101) ||
			      value == UINT64_C(0x0202020202020202));
		else
			CHECK(tx == FH_TX_DECODE_ERROR && value == 0);
	}
}

static void threads_share_a_window_while_the_map_changes(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_cached *cached = window(m, BASE, 0x100);
	struct crowd crowd[2];
	_Atomic bool stop = false;

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		crowd[i] = (struct crowd){ .cached = cached, .stop = &stop };
		worker_start(&crowd[i].worker, load_on, &crowd[i]);
	}
	for (unsigned i = 0; i < 300; i++) {
		uint64_t value;
		struct fh_region *ram = ram_at(m, BASE, (uint8_t)(1 + i % 2));

		/* Who has made a change sees it at once. */
		assert_int_equal(fh_cached_load64(cached, 0, FH_LE, &value), FH_TX_OK);
		assert_int_equal(value, UINT64_C(0x0101010101010101) * (1 + i % 2));
		drop(ram);
		assert_int_equal(fh_cached_load64(cached, 0, FH_LE, &value), FH_TX_DECODE_ERROR);
	}
	stop = true;
	for (unsigned i = 0; i < 2; i++)
		worker_join(&crowd[i].worker);
	end(m, cached);
}

#define TEST(name) cmocka_unit_test_teardown(name, release_points)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_size_and_order_is_as_the_space_has_it),
		TEST(bulk_is_as_the_space_has_it),
		TEST(what_is_beyond_the_window_is_a_decode_error),
		TEST(window_may_reach_the_top_and_not_beyond),
		TEST(window_may_be_of_all_there_is),
		TEST(registers_and_rom_are_accessed_as_ever),
		TEST(attributes_go_with_every_access),
		TEST(memory_in_place_is_what_the_space_shows),
		TEST(logged_memory_in_place_is_only_read),
		TEST(memory_in_place_needs_a_section_and_a_use),
		TEST(every_change_under_the_window_is_noticed),
		TEST(another_root_is_noticed),
		TEST(window_keeps_nothing_that_the_guest_could_see),
		TEST(window_ends_with_its_owner),
		TEST(change_between_lookup_and_fill_is_noticed),
		TEST(region_found_stays_until_the_access_is_done),
		TEST(threads_share_a_window_while_the_map_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
