/* SPDX-License-Identifier: MIT */
/*
 * What somebody has mapped, pinned or looks at through a window, while it changes: mappings and
 * pinned sections stay as they were found, windows show what the space shows.
 */
#include "support/array.h"
#include "support/holding.h"

#define BASE UINT64_C(0x100000)
#define PAGE UINT64_C(0x1000)

static struct fh_cached *window(uint64_t addr)
{
	return fh_cached_new(m, memory, addr, PAGE, none);
}

static void assert_reads(struct fh_cached *cached, uint32_t expected, enum fh_tx tx)
{
	uint32_t value = 1;

	for (unsigned again = 0; again < 2; again++) { /* looked up, and remembered */
		assert_int_equal(fh_cached_load32(cached, 8, FH_LE, &value), tx);
		assert_int_equal(value, expected);
	}
}

static void ram_of_another_size_stays_what_it_was(void **state)
{
	const struct fh_ram_options options = { .max_size = 4 * PAGE };
	struct fh_region *ram =
		show(m, fh_region_new_ram_with(m, NULL, 3 * PAGE, &options, NULL), BASE);
	struct fh_cached *cached = window(BASE + 2 * PAGE);
	struct fh_section section;
	struct fh_pinned *pinned = fh_space_find(memory, BASE, 3 * PAGE, holder, &section);
	struct fh_mapped mapped;
	struct fh_mapping *mapping =
		fh_space_map(memory, BASE, 3 * PAGE, FH_MAP_WRITE, none, holder, &mapped);
	uint32_t value = 0x2222;

	(void)state;
	assert_reads(cached, 0, FH_TX_OK);
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_USER0, NULL), FH_OK);
	assert_int_equal(fh_region_resize(ram, PAGE), FH_OK);
	assert_reads(cached, 0, FH_TX_DECODE_ERROR);
	assert_int_equal(fh_pinned_write(pinned, 2 * PAGE + 8, &value, 4, none), FH_TX_OK);
	assert_true(fh_dirty_test_and_clear(ram, FH_DIRTY_USER0, 2 * PAGE, 1));
	memset((uint8_t *)mapped.ptr + PAGE, 0x11, 4);
	assert_int_equal(fh_mapping_unmap(mapping, PAGE + 4), FH_TX_OK);
	assert_true(fh_dirty_test(ram, FH_DIRTY_USER0, PAGE, 1));
	assert_false(fh_dirty_test(ram, FH_DIRTY_USER0, 2 * PAGE, 1));
	assert_int_equal(fh_region_resize(ram, 4 * PAGE), FH_OK);
	assert_reads(cached, 0x2222, FH_TX_OK);
	assert_int_equal(fh_space_load32(memory, BASE + PAGE, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 0x11111111);
	/* It ends where it did. */
	assert_int_equal(fh_pinned_read(pinned, 3 * PAGE, &value, 4, none), FH_TX_DECODE_ERROR);
	fh_pinned_unpin(pinned);
	fh_object_unref(cached);
	drop(ram);
}

static enum fh_tx eight(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = 8;
	return FH_TX_OK;
}

static void rom_mode_is_as_it_was_found_but_for_windows(void **state)
{
	static const struct fh_region_ops ops = { .read = eight };
	struct fh_region *flash =
		show(m, fh_region_new_rom_device(m, NULL, PAGE, &ops, NULL, NULL), BASE);
	struct fh_cached *cached = window(BASE);
	struct fh_section section;
	struct fh_pinned *rom = fh_space_find(memory, BASE, PAGE, holder, &section), *registers;
	uint32_t value;

	(void)state;
	assert_true(section.rom_mode);
	assert_reads(cached, 0, FH_TX_OK);
	fh_region_set_rom_mode(flash, false);
	registers = fh_space_find(memory, BASE, PAGE, holder, &section);
	assert_null(section.ptr);
	for (unsigned i = 0; i < 4; i++) {
		assert_reads(cached, i % 2 ? 0 : 8, FH_TX_OK);
		assert_int_equal(fh_pinned_read(rom, 8, &value, 4, none), FH_TX_OK);
		assert_int_equal(value, 0);
		assert_int_equal(fh_pinned_read(registers, 8, &value, 4, none), FH_TX_OK);
		assert_int_equal(value, 8);
		fh_region_set_rom_mode(flash, i % 2 == 0);
	}
	fh_pinned_unpin(rom);
	fh_pinned_unpin(registers);
	fh_object_unref(cached);
	drop(flash);
}

static void reservation_over_ram_hides_it_from_who_looks(void **state)
{
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 4 * PAGE, NULL), BASE);
	struct fh_region *taken = fh_region_new_reservation(m, NULL, 2 * PAGE);
	struct fh_region *inside = fh_region_new_ram(m, NULL, PAGE, NULL);
	struct fh_cached *cached = window(BASE + PAGE);
	struct fh_section section;
	struct fh_pinned *pinned = fh_space_find(memory, BASE, 4 * PAGE, holder, &section);
	struct fh_mapped mapped;
	uint32_t value = 5;
	uint64_t old;

	(void)state;
	assert_reads(cached, 0, FH_TX_OK);
	fh_region_add(fh_space_root(memory), taken, BASE + PAGE, 1);
	assert_reads(cached, 0, FH_TX_DECODE_ERROR);
	assert_true(fh_space_is_mapped(memory, BASE, 4 * PAGE));
	assert_null(fh_space_map(memory, BASE + PAGE, 4, FH_MAP_READ, none, holder, &mapped));
	assert_int_equal(mapped.code, FH_ENOENT);
	assert_int_equal(fh_space_fetch(memory, BASE + PAGE, 4, FH_LE, none, FH_ATOMIC_ADD, 1,
					&old),
			 FH_TX_DECODE_ERROR);
	assert_int_equal(fh_pinned_write(pinned, PAGE + 8, &value, 4, none), FH_TX_OK);
	/* It may hold what does show. */
	fh_region_add(taken, inside, 0, 0);
	assert_reads(cached, 0, FH_TX_OK);
	assert_int_equal(fh_space_load32(memory, BASE + 2 * PAGE, FH_LE, &value),
			 FH_TX_DECODE_ERROR);
	fh_region_remove(taken);
	assert_reads(cached, 5, FH_TX_OK);
	fh_pinned_unpin(pinned);
	fh_object_unref(cached);
	drop(inside);
	drop(taken);
	drop(ram);
}

static void window_follows_its_space_from_root_to_root(void **state)
{
	struct fh_region *one = fh_region_new_ram(m, NULL, PAGE, NULL);
	struct fh_region *two = fh_region_new_ram(m, NULL, PAGE, NULL);
	struct fh_space *space = fh_space_new(m, NULL, one);
	struct fh_cached *cached = fh_cached_new(m, space, 0, PAGE, none);

	(void)state;
	((uint32_t *)fh_region_ram(one))[2] = 1;
	((uint32_t *)fh_region_ram(two))[2] = 2;
	for (unsigned i = 0; i < 3; i++) {
		assert_reads(cached, 1, FH_TX_OK);
		fh_space_set_root(space, two);
		assert_reads(cached, 2, FH_TX_OK);
		fh_space_set_root(space, NULL);
		assert_reads(cached, 0, FH_TX_DECODE_ERROR);
		fh_space_set_root(space, one);
	}
	drop(one);
	fh_machine_drain(m);
	assert_reads(cached, 0, FH_TX_DECODE_ERROR);
	fh_object_unref(space);
	assert_reads(cached, 0, FH_TX_DECODE_ERROR);
	fh_object_unref(cached);
	drop(two);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ram_of_another_size_stays_what_it_was),
		TEST(rom_mode_is_as_it_was_found_but_for_windows),
		TEST(reservation_over_ram_hides_it_from_who_looks),
		TEST(window_follows_its_space_from_root_to_root),
	};

	return cmocka_run_group_tests_name("held", tests, NULL, NULL);
}
