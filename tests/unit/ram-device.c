/* SPDX-License-Identifier: MIT */
/*
 * RAM devices: host memory with side effects, which every access touches exactly as it was asked
 * for, and never otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <freehold/freehold.h>

#include "memory/lookaside.h"
#include "support/watched.h"
#include "support/host.h"

enum { BASE = 0x10000 };

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *bar;
static unsigned released;

static void count_release(void *arg)
{
	(void)arg;
	released++;
}

static int setup(void **state)
{
	(void)state;
	watched_begin();
	for (unsigned i = 0; i < WATCHED_SIZE; i++)
		watched.page[i] = (uint8_t)(i * 7 + 1);
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	bar = fh_region_new_ram_device(m, NULL, WATCHED_SIZE, watched.page, count_release, NULL);
	fh_region_add(fh_space_root(memory), bar, BASE, 0);
	released = 0;
	return 0;
}

static int teardown(void **state)
{
	int leaks;

	(void)state;
	fh_object_unref(bar);
	leaks = fh_machine_destroy(m);
	watched_end();
	return leaks || released != 1;
}

/* "offset:bytes changed" of each touch. */
static const char *touches(void)
{
	static char text[2048];
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < watched.count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u:%u",
					 i ? " " : "", watched.touch[i].offset,
					 watched.touch[i].changed);
	return text;
}

static const char *touches_of_write(uint64_t offset, unsigned size)
{
	uint8_t buffer[64];

	for (unsigned i = 0; i < size; i++)
		buffer[i] = (uint8_t)~watched.page[offset + i];
	watched_on();
	fh_space_write(memory, BASE + offset, buffer, size, FH_ATTRS_NONE);
	watched_off();
	assert_memory_equal(watched.page + offset, buffer, size);
	return touches();
}

static const char *touches_of_read(uint64_t offset, unsigned size)
{
	uint8_t buffer[64];

	watched_on();
	fh_space_read(memory, BASE + offset, buffer, size, FH_ATTRS_NONE);
	watched_off();
	assert_memory_equal(watched.page + offset, buffer, size);
	return touches();
}

static void needs_the_watch(void)
{
	if (!WATCHED_WORKS || under_valgrind())
		skip();
}

static void a_load_touches_once_what_it_asks_for(void **state)
{
	(void)state;
	needs_the_watch();
	/* Twice each: as it is looked up for the first time, and as it is remembered. */
	for (unsigned turn = 0; turn < 2; turn++) {
		for (unsigned size = 1; size <= 8; size *= 2) {
			uint64_t value, expected = 0;

			memcpy(&expected, watched.page + 16, size);
			watched_on();
			assert_int_equal(fh_space_load(memory, BASE + 16, size, FH_LE,
						       FH_ATTRS_NONE, &value),
					 FH_TX_OK);
			watched_off();
			assert_string_equal(touches(), "16:0");
			assert_int_equal(value, expected);
		}
	}
}

static void a_store_touches_once_and_is_as_wide_as_asked(void **state)
{
	static const char *const expected[] = { [1] = "24:1", [2] = "24:2", [4] = "24:4",
						[8] = "24:8" };

	(void)state;
	needs_the_watch();
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t value = 0;

		memcpy(&value, watched.page + 24, size);
		watched_on();
		assert_int_equal(fh_space_store(memory, BASE + 24, size, FH_LE, FH_ATTRS_NONE,
						~value),
				 FH_TX_OK);
		watched_off();
		assert_string_equal(touches(), expected[size]);
	}
}

static void what_is_not_aligned_is_cut_into_the_widest_pieces(void **state)
{
	uint64_t value;

	(void)state;
	needs_the_watch();
	watched_on();
	fh_space_load(memory, BASE + 1, 8, FH_LE, FH_ATTRS_NONE, &value);
	watched_off();
	assert_string_equal(touches(), "1:0 2:0 4:0 8:0");
	assert_memory_equal(&value, watched.page + 1, 8);
	watched_on();
	fh_space_store(memory, BASE + 2, 3, FH_LE, FH_ATTRS_NONE, ~(value >> 8));
	watched_off();
	assert_string_equal(touches(), "2:2 4:1");
}

static void bulk_accesses_are_cut_into_the_widest_pieces(void **state)
{
	(void)state;
	needs_the_watch();
	assert_string_equal(touches_of_read(0, 32), "0:0 8:0 16:0 24:0");
	assert_string_equal(touches_of_read(3, 14), "3:0 4:0 8:0 16:0");
	assert_string_equal(touches_of_write(64, 32), "64:8 72:8 80:8 88:8");
	assert_string_equal(touches_of_write(101, 13), "101:1 102:2 104:8 112:2");
	/* One range, and at its end. */
	assert_string_equal(touches_of_write(WATCHED_SIZE - 9, 9), "4087:1 4088:8");
}

static void a_fill_is_cut_likewise(void **state)
{
	(void)state;
	needs_the_watch();
	memset(watched.page, 0, 32);
	watched_on();
	fh_space_fill(memory, BASE + 6, 0x5a, 12, FH_ATTRS_NONE);
	watched_off();
	assert_string_equal(touches(), "6:2 8:8 16:2");
}

static void pinned_and_cached_accesses_do_the_same(void **state)
{
	struct fh_cached *cached = fh_cached_new(m, memory, BASE, 64, FH_ATTRS_NONE);
	struct fh_section section;
	struct fh_pinned *pinned =
		fh_space_find(memory, BASE, 64, fh_machine_root(m), &section);
	uint8_t buffer[16];

	(void)state;
	assert_true(section.device);
	watched_on();
	fh_pinned_read(pinned, 0, buffer, 16, FH_ATTRS_NONE);
	fh_cached_read(cached, 0, buffer, 16);
	watched_off();
	fh_pinned_unpin(pinned);
	fh_object_unref(cached);
	needs_the_watch();
	assert_string_equal(touches(), "0:0 8:0 0:0 8:0");
}

static void mapping_gives_the_memory_itself_and_says_whose(void **state)
{
	struct fh_mapped mapped;
	struct fh_mapping *mapping =
		fh_space_map(memory, BASE + 8, 64, FH_MAP_READ | FH_MAP_WRITE, FH_ATTRS_NONE,
			     fh_machine_root(m), &mapped);

	(void)state;
	assert_non_null(mapping);
	assert_ptr_equal(mapped.ptr, watched.page + 8);
	assert_true(mapped.device);
	assert_false(mapped.bounced);
	fh_mapping_unmap(mapping, 0);
}

static void sections_say_that_it_is_a_device(void **state)
{
	struct fh_section section;

	(void)state;
	fh_read_begin();
	assert_true(fh_space_lookup(memory, BASE, &section));
	fh_read_end();
	assert_true(section.device);
	assert_ptr_equal(section.ptr, watched.page);
	assert_string_equal(fh_section_kind(&section), "ramd");
	assert_int_equal(fh_region_get_info(bar).kind, FH_REGION_RAM_DEVICE);
	assert_ptr_equal(fh_region_ram(bar), watched.page);
}

static void accesses_without_side_effects_are_denied(void **state)
{
	const struct fh_attrs debug = { .debug = true }, memory_only = { .memory_only = true };
	struct fh_mapped mapped;
	uint8_t byte = 9;
	uint64_t value;

	(void)state;
	watched_on();
	assert_int_equal(fh_space_read(memory, BASE, &byte, 1, debug), FH_TX_DENIED);
	assert_int_equal(fh_space_write(memory, BASE, &byte, 1, debug), FH_TX_DENIED);
	assert_int_equal(fh_space_load(memory, BASE, 4, FH_LE, memory_only, &value), FH_TX_DENIED);
	assert_int_equal(fh_space_load(memory, BASE, 4, FH_LE, debug, &value), FH_TX_DENIED);
	assert_int_equal(fh_space_fetch(memory, BASE, 4, FH_LE, FH_ATTRS_NONE, FH_ATOMIC_ADD, 1,
					&value),
			 FH_TX_DENIED);
	/* Nor is there a pointer for such. */
	assert_null(fh_space_map(memory, BASE, 4, FH_MAP_READ, debug, bar, &mapped));
	assert_int_equal(mapped.code, FH_EPERM);
	assert_null(fh_space_map(memory, BASE, 4, FH_MAP_WRITE, memory_only, bar, &mapped));
	assert_int_equal(mapped.code, FH_EPERM);
	watched_off();
	assert_int_equal(watched.count, 0);
	assert_int_equal(byte, 0);
}

static void one_that_is_read_only_is_not_written(void **state)
{
	uint64_t value;

	(void)state;
	fh_region_set_readonly(bar, true);
	watched_on();
	assert_int_equal(fh_space_store(memory, BASE, 4, FH_LE, FH_ATTRS_NONE, 5), FH_TX_OK);
	watched_off();
	assert_int_equal(watched.count, 0);
	assert_int_equal(fh_space_load32(memory, BASE, FH_LE, &(uint32_t){ 0 }), FH_TX_OK);
	fh_region_set_readonly(bar, false);
	assert_int_equal(fh_space_store(memory, BASE, 4, FH_LE, FH_ATTRS_NONE, 5), FH_TX_OK);
	assert_int_equal(fh_space_load(memory, BASE, 4, FH_LE, FH_ATTRS_NONE, &value), FH_TX_OK);
	assert_int_equal(value, 5);
}

static void a_store_marks_its_page(void **state)
{
	(void)state;
	assert_int_equal(fh_dirty_start(bar, FH_DIRTY_USER0, NULL), FH_OK);
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_int_equal(fh_space_store(memory, BASE + 8, 4, FH_LE, FH_ATTRS_NONE, 5),
				 FH_TX_OK);
		assert_true(fh_dirty_test_and_clear(bar, FH_DIRTY_USER0, 8, 4));
	}
	fh_dirty_stop(bar, FH_DIRTY_USER0);
}

static void byte_order_is_as_asked_for(void **state)
{
	uint64_t value;

	(void)state;
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_int_equal(fh_space_store(memory, BASE + 8, 4, FH_BE, FH_ATTRS_NONE,
						0x11223344),
				 FH_TX_OK);
		assert_int_equal(watched.page[8], 0x11);
		assert_int_equal(fh_space_load(memory, BASE + 8, 4, FH_BE, FH_ATTRS_NONE, &value),
				 FH_TX_OK);
		assert_int_equal(value, 0x11223344);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_load_touches_once_what_it_asks_for),
		TEST(a_store_touches_once_and_is_as_wide_as_asked),
		TEST(what_is_not_aligned_is_cut_into_the_widest_pieces),
		TEST(bulk_accesses_are_cut_into_the_widest_pieces),
		TEST(a_fill_is_cut_likewise),
		TEST(pinned_and_cached_accesses_do_the_same),
		TEST(mapping_gives_the_memory_itself_and_says_whose),
		TEST(sections_say_that_it_is_a_device),
		TEST(accesses_without_side_effects_are_denied),
		TEST(one_that_is_read_only_is_not_written),
		TEST(a_store_marks_its_page),
		TEST(byte_order_is_as_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
