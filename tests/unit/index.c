/* SPDX-License-Identifier: MIT */
/*
 * The index of a container: against a sorted array, in what it finds and in what it keeps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "memory/index.h"
#include "support/dies.h"

enum { MODEL_MAX = 3000, MANY = 100000 };

/* The same content twice: the index, and an array in order of keys. */
struct twin {
	struct fh_index index;
	struct fh_index_entry entry[MODEL_MAX];
	size_t count;
};

/* Regions are only addresses. */
static struct fh_region *region(size_t number)
{
	static char storage[MANY + 1];

	return (struct fh_region *)&storage[number];
}

static uint64_t draw(uint64_t *random, uint64_t below)
{
	return fh_hash_u64(++*random) % below;
}

static int compare(const struct fh_index_entry *a, const struct fh_index_entry *b)
{
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return (uintptr_t)a->region < (uintptr_t)b->region ? -1 : a->region != b->region;
}

static void twin_add(struct twin *twin, struct fh_index_entry entry)
{
	size_t at = twin->count++;

	for (; at > 0 && compare(&entry, &twin->entry[at - 1]) < 0; at--)
		twin->entry[at] = twin->entry[at - 1];
	twin->entry[at] = entry;
	fh_index_add(&twin->index, entry.first, entry.last, entry.region);
}

static void twin_remove(struct twin *twin, size_t at)
{
	struct fh_index_entry gone = twin->entry[at];

	twin->count--;
	memmove(&twin->entry[at], &twin->entry[at + 1],
		(twin->count - at) * sizeof(twin->entry[0]));
	assert_true(fh_index_remove(&twin->index, gone.first, gone.region));
	assert_false(fh_index_remove(&twin->index, gone.first, gone.region));
}

static void assert_finds(const struct twin *twin, uint64_t first, uint64_t last)
{
	const struct fh_index_entry *found;
	struct fh_index_cursor cursor;

	fh_index_overlap(&cursor, &twin->index, first, last);
	for (size_t i = 0; i < twin->count; i++) {
		const struct fh_index_entry *entry = &twin->entry[i];

		if (entry->first > last || entry->last < first)
			continue;
		found = fh_index_next(&cursor);
		assert_non_null(found);
		assert_int_equal(compare(found, entry), 0);
		assert_true(found->last == entry->last);
	}
	assert_null(fh_index_next(&cursor));
	assert_null(fh_index_next(&cursor));
}

static void assert_same(const struct twin *twin)
{
	assert_true(fh_index_check(&twin->index));
	assert_int_equal(fh_index_count(&twin->index), twin->count);
	assert_int_equal(fh_index_single(&twin->index) != NULL, twin->count == 1);
	assert_finds(twin, 0, UINT64_MAX);
}

/* Any of three kinds: short, long, of which many begin at the same address, at a border. */
static struct fh_index_entry draw_entry(uint64_t *random, size_t number)
{
	struct fh_index_entry entry = { .region = region(number) };

	switch (draw(random, 8)) {
	case 0:
		entry.last = draw(random, 2) ? UINT64_MAX : draw(random, 1000);
		break;
	case 1:
		entry.first = UINT64_MAX - draw(random, 3);
		entry.last = UINT64_MAX;
		break;
	case 2:
	case 3:
		entry.first = draw(random, 16) << 60;
		entry.last = entry.first + draw(random, UINT64_MAX - entry.first) + 1;
		break;
	default:
		entry.first = draw(random, UINT64_MAX);
		entry.last = entry.first + draw(random, UINT64_C(1) << 40);
		if (entry.last < entry.first)
			entry.last = UINT64_MAX;
	}
	return entry;
}

static void zeroed_index_is_empty(void **state)
{
	static const struct twin none;
	struct fh_index index = { 0 };

	(void)state;
	assert_same(&none);
	assert_false(fh_index_remove(&index, 0, region(0)));
	assert_int_equal(fh_index_bytes(&index), 0);
	fh_index_clear(&index);
	assert_int_equal(fh_index_count(&index), 0);
	assert_true(sizeof(index) <= 16);
}

static void entry_of_the_whole_space_overlaps_every_address(void **state)
{
	struct fh_index index = { 0 };
	const uint64_t addr[] = { 0, 1, UINT64_MAX / 2, UINT64_MAX };
	struct fh_index_cursor cursor;

	(void)state;
	fh_index_add(&index, 0, UINT64_MAX, region(1));
	for (size_t i = 0; i < 4; i++) {
		fh_index_overlap(&cursor, &index, addr[i], addr[i]);
		assert_ptr_equal(fh_index_next(&cursor)->region, region(1));
		assert_null(fh_index_next(&cursor));
	}
	assert_ptr_equal(fh_index_single(&index)->region, region(1));
	fh_index_clear(&index);
	assert_int_equal(fh_index_bytes(&index), 0);
}

static void borders_of_entries_and_windows_are_inclusive(void **state)
{
	struct twin *twin = calloc(1, sizeof(*twin));

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		twin_add(twin, (struct fh_index_entry){ i * 10 + 5, i * 10 + 9, region(i) });
	for (uint64_t addr = 0; addr < 1010; addr++) {
		assert_finds(twin, addr, addr);
		assert_finds(twin, addr, addr + 5);
		assert_finds(twin, addr, UINT64_MAX);
		assert_finds(twin, 0, addr);
	}
	fh_index_clear(&twin->index);
	free(twin);
}

static void random_edits_agree_with_an_array(void **state)
{
	struct twin *twin = calloc(1, sizeof(*twin));
	uint64_t random = 1;
	size_t number = 0;

	(void)state;
	/* It grows and shrinks by turns, to more each time, and past all sizes of a leaf. */
	for (unsigned step = 0; step < 48000; step++) {
		bool grows = step / 3000 % 2 == 0;
		size_t most = 40u << (step / 6000);
		bool add = draw(&random, 10) < (grows ? 8 : 2);

		if (twin->count == 0 || (add && twin->count < most))
			twin_add(twin, draw_entry(&random, number++ % MANY));
		else
			twin_remove(twin, draw(&random, twin->count));
		if (step % 16 == 0 || twin->count < 100)
			assert_same(twin);

		uint64_t first = draw_entry(&random, 0).first;

		assert_finds(twin, first, draw_entry(&random, 0).last | first);
		assert_finds(twin, first, first);
	}
	while (twin->count > 0) {
		twin_remove(twin, draw(&random, twin->count));
		if (twin->count % 8 == 0 || twin->count < 100)
			assert_same(twin);
	}
	assert_int_equal(fh_index_bytes(&twin->index), 0);
	free(twin);
}

static void many_entries_at_one_address_are_kept_apart(void **state)
{
	struct twin *twin = calloc(1, sizeof(*twin));
	uint64_t random = 2;

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		size_t number = i * 389 % 1000;

		twin_add(twin, (struct fh_index_entry){ 7, 7 + number % 5, region(number) });
	}
	assert_same(twin);
	assert_finds(twin, 10, 10);
	assert_false(fh_index_remove(&twin->index, 7, region(1000)));
	assert_false(fh_index_remove(&twin->index, 8, region(1)));
	while (twin->count > 0) {
		twin_remove(twin, draw(&random, twin->count));
		assert_true(fh_index_check(&twin->index));
	}
	free(twin);
}

static void building_in_order_of_address_keeps_it_whole(void **state)
{
	(void)state;
	for (int down = 0; down < 2; down++) {
		struct fh_index index = { 0 };

		for (uint64_t i = 0; i < 5000; i++) {
			uint64_t first = (down ? 5000 - i : i) * 16;

			fh_index_add(&index, first, first + 15, region(i));
			if (i % 50 == 0)
				assert_true(fh_index_check(&index));
		}
		assert_true(fh_index_check(&index));
		assert_true(fh_index_bytes(&index) < 5000 * 31);
		fh_index_clear(&index);
	}
}

static void memory_is_in_proportion_to_entries(void **state)
{
	struct fh_index index = { 0 };
	uint64_t random = 3;

	(void)state;
	fh_index_add(&index, 0, 1, region(0));
	assert_true(fh_index_bytes(&index) <= 56);
	fh_index_remove(&index, 0, region(0));

	for (uint64_t i = 0; i < MANY; i++) {
		uint64_t first = fh_hash_u64(i) & ~UINT64_C(0xfff);

		fh_index_add(&index, first, first + draw(&random, 4096), region(i));
	}
	assert_true(fh_index_check(&index));
	assert_true(fh_index_bytes(&index) < MANY * 40);

	/* Nor is it kept by what is left of many. */
	for (uint64_t i = 0; i < MANY - 1000; i++)
		assert_true(fh_index_remove(&index, fh_hash_u64(i) & ~UINT64_C(0xfff), region(i)));
	assert_true(fh_index_check(&index));
	assert_true(fh_index_bytes(&index) < 1000 * 60);
	for (uint64_t i = MANY - 1000; i < MANY - 1; i++)
		assert_true(fh_index_remove(&index, fh_hash_u64(i) & ~UINT64_C(0xfff), region(i)));
	assert_ptr_equal(fh_index_single(&index)->region, region(MANY - 1));
	assert_true(fh_index_bytes(&index) < 800);
	fh_index_clear(&index);
}

static struct fh_index victim;

static void add_twice(void)
{
	fh_index_add(&victim, 5, 6, region(1));
	fh_index_add(&victim, 5, 9, region(1));
}

static void add_backwards(void)
{
	fh_index_add(&victim, 6, 5, region(1));
}

static void overlap_backwards(void)
{
	struct fh_index_cursor cursor;

	fh_index_overlap(&cursor, &victim, 6, 5);
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(add_twice, "fh_index_add"));
	assert_true(dies_saying(add_backwards, "first <= last"));
	assert_true(dies_saying(overlap_backwards, "first <= last"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_index_is_empty),
		cmocka_unit_test(entry_of_the_whole_space_overlaps_every_address),
		cmocka_unit_test(borders_of_entries_and_windows_are_inclusive),
		cmocka_unit_test(random_edits_agree_with_an_array),
		cmocka_unit_test(many_entries_at_one_address_are_kept_apart),
		cmocka_unit_test(building_in_order_of_address_keeps_it_whole),
		cmocka_unit_test(memory_is_in_proportion_to_entries),
		cmocka_unit_test(misuse_is_asserted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
