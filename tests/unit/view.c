/* SPDX-License-Identifier: MIT */
/*
 * Views: against a sorted array, in what they show, what they keep, and what they tell lookasides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "memory/view.h"
#include "support/dies.h"

enum {
	CELLS = 4096, /* of equal size, in which the random tests place ranges */
	PAIRS = 512,
	MANY = 100000,
};

/* A leaf and its generation, as a lookaside would remember them. */
struct pair {
	const struct fh_view_leaf *leaf;
	uint64_t generation;
	bool holds;
};

/* The same content twice: a view, and an array in order of address; with all that came of it. */
struct twin {
	struct fh_view_pool pool;
	struct fh_view_node *root;
	struct fh_range range[CELLS];
	size_t count;
	struct fh_view_retired retired; /* sealed, not given yet */
	uint64_t cell;			/* size of one; with the usual one they fill the space */
	struct pair pair[PAIRS];
	size_t pairs;
	uint64_t random;
};

static uint64_t draw(struct twin *twin, uint64_t below)
{
	return fh_hash_u64(++twin->random) % below;
}

static struct fh_region *region(uint64_t number)
{
	static char storage[1024];

	return (struct fh_region *)&storage[number % 1024];
}

/* A range of which every field tells it from others. */
static struct fh_range range(uint64_t first, uint64_t last)
{
	uint64_t hash = fh_hash_pair(first, last);

	return (struct fh_range){ first, last, region(hash), hash >> 10, (uint32_t)(hash >> 3) };
}

static bool same(const struct fh_range *a, const struct fh_range *b)
{
	return a->first == b->first && a->last == b->last && a->region == b->region &&
	       a->offset == b->offset && a->flags == b->flags;
}

static struct twin *twin_new(uint64_t seed)
{
	struct twin *twin = calloc(1, sizeof(*twin));

	twin->random = seed << 32;
	twin->cell = UINT64_C(1) << 52;
	fh_view_pool_init(&twin->pool);
	return twin;
}

static size_t nodes_of(const struct fh_view_node *root)
{
	struct fh_view_size size = fh_view_measure(root);

	return size.leaves + size.inners;
}

static void assert_accounts(struct twin *twin)
{
	struct fh_view_pool_stats stats = fh_view_pool_stats(&twin->pool);

	assert_int_equal(stats.used, nodes_of(twin->root) + twin->retired.count);
	assert_int_equal(stats.used + stats.free, stats.allocated);
}

static void twin_destroy(struct twin *twin)
{
	struct fh_view_edit edit;

	fh_view_edit_begin(&edit, &twin->pool, twin->root);
	fh_view_edit_replace(&edit, 0, UINT64_MAX, NULL, 0);
	assert_null(fh_view_edit_end(&edit));
	assert_int_equal(edit.made, 0); /* dropped as a whole */
	fh_view_retired_seal(&edit.retired);
	fh_view_retired_join(&twin->retired, &edit.retired);
	fh_view_pool_give(&twin->pool, &twin->retired);
	twin->root = NULL;
	assert_accounts(twin);
	assert_int_equal(fh_view_pool_stats(&twin->pool).used, 0);
	fh_view_pool_destroy(&twin->pool);
	assert_int_equal(fh_view_pool_stats(&twin->pool).bytes, 0);
	free(twin);
}

/* --- The array ------------------------------------------------------------------------------ */

/* The first range of the array with last >= addr. */
static size_t model_at(const struct twin *twin, uint64_t addr)
{
	size_t at = 0;

	while (at < twin->count && twin->range[at].last < addr)
		at++;
	return at;
}

static void model_replace(struct twin *twin, uint64_t first, uint64_t last,
			  const struct fh_range *ranges, size_t count)
{
	size_t from = model_at(twin, first);
	size_t to = from;

	while (to < twin->count && twin->range[to].first <= last)
		to++;
	assert_true(twin->count - (to - from) + count <= CELLS);
	memmove(&twin->range[from + count], &twin->range[to],
		(twin->count - to) * sizeof(twin->range[0]));
	memcpy(&twin->range[from], ranges, count * sizeof(twin->range[0]));
	twin->count += count - (to - from);
}

/* --- Comparisons ---------------------------------------------------------------------------- */

static void assert_shows(const struct fh_view_node *root, const struct fh_range *ranges,
			 size_t count)
{
	struct fh_view_cursor cursor;
	struct fh_range next;

	fh_view_cursor_init(&cursor, root, 0);
	for (size_t i = 0; i < count; i++) {
		assert_true(fh_view_cursor_next(&cursor, &next));
		assert_true(same(&next, &ranges[i]));
	}
	assert_false(fh_view_cursor_next(&cursor, &next));
	assert_false(fh_view_cursor_next(&cursor, &next));
}

static void assert_answers(const struct twin *twin, const struct fh_view_node *root, uint64_t addr)
{
	size_t at = model_at(twin, addr);
	bool hole = at == twin->count || twin->range[at].first > addr;
	struct fh_view_cursor cursor;
	struct fh_view_hit hit = { 0 };
	struct fh_range found;

	assert_int_equal(fh_view_find(root, addr, &hit), !hole);
	if (hole) {
		uint64_t last = at == twin->count ? UINT64_MAX : twin->range[at].first - 1;

		assert_true(fh_view_hole_last(root, addr) == last);
	} else {
		found = fh_view_hit_range(hit);
		assert_true(same(&found, &twin->range[at]));
	}

	fh_view_cursor_init(&cursor, root, addr);
	for (size_t i = at; i < at + 20 && i < twin->count; i++) {
		assert_true(fh_view_cursor_next(&cursor, &found));
		assert_true(same(&found, &twin->range[i]));
	}
	if (at + 20 >= twin->count)
		assert_false(fh_view_cursor_next(&cursor, &found));
}

static void assert_answers_at_borders(const struct twin *twin, const struct fh_range *range)
{
	assert_answers(twin, twin->root, range->first);
	assert_answers(twin, twin->root, range->last);
	assert_answers(twin, twin->root, range->first - 1);
	assert_answers(twin, twin->root, range->last + 1);
}

/* --- Lookasides ----------------------------------------------------------------------------- */

static int compare_pointers(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * A pair holds exactly as long as its leaf stays in the view; once it does not, it never does
 * again, although the memory is used for other leaves. To be called after each version, and before
 * anything is given.
 */
static void assert_pairs(struct twin *twin)
{
	static const struct fh_view_leaf *leaf[CELLS + 1];
	struct fh_view_cursor cursor;
	struct fh_range next;
	size_t leaves = 0;

	fh_view_cursor_init(&cursor, twin->root, 0);
	while (fh_view_cursor_next(&cursor, &next)) {
		if (cursor.slot == 1)
			leaf[leaves++] = cursor.leaf;
	}
	qsort(leaf, leaves, sizeof(leaf[0]), compare_pointers);
	for (size_t i = 0; i < twin->pairs; i++) {
		struct pair *pair = &twin->pair[i];

		if (!bsearch(&pair->leaf, leaf, leaves, sizeof(leaf[0]), compare_pointers))
			pair->holds = false;
		assert_int_equal(fh_view_leaf_holds(pair->leaf, pair->generation), pair->holds);
	}
	for (size_t i = 0; i < 4 && leaves > 0; i++) {
		size_t slot = twin->pairs < PAIRS ? twin->pairs++ : draw(twin, PAIRS);
		const struct fh_view_leaf *some = leaf[draw(twin, leaves)];

		twin->pair[slot] = (struct pair){ some, fh_view_leaf_generation(some), true };
		assert_true(twin->pair[slot].generation != FH_VIEW_NEVER);
	}
}

/* --- Random edits --------------------------------------------------------------------------- */

/* Moves the borders of a window outwards until no range lies across one. */
static void widen(const struct twin *twin, uint64_t *first, uint64_t *last)
{
	size_t at = model_at(twin, *first);

	if (at < twin->count && twin->range[at].first < *first)
		*first = twin->range[at].first;
	at = model_at(twin, *last);
	if (at < twin->count && twin->range[at].first <= *last)
		*last = twin->range[at].last;
}

/* Ranges of a cell or more, or parts of one, as densely as told: of 16 cells. */
static size_t draw_ranges(struct twin *twin, uint64_t first, uint64_t last, unsigned density,
			  struct fh_range *ret)
{
	uint64_t size = twin->cell, play = size < 1000 ? size : 1000;
	uint64_t to = last / size < CELLS ? last / size : CELLS - 1;
	size_t count = 0;

	for (uint64_t cell = first / size; cell <= to; cell++) {
		uint64_t begin = cell * size + (draw(twin, 2) ? draw(twin, play) : 0);
		uint64_t end = cell * size + size - 1 - (draw(twin, 2) ? draw(twin, play) : 0);

		if (draw(twin, 16) >= density)
			continue;
		if (draw(twin, 8) == 0 && cell < to)
			end += size * (draw(twin, to - cell) % 8 + 1);
		begin = begin < first ? first : begin;
		if (begin > last)
			break;
		end = end > last || end < begin ? last : end;
		ret[count++] = range(begin, end);
		cell = end / size;
	}
	return count;
}

static void random_replace(struct twin *twin, struct fh_view_edit *edit, unsigned step)
{
	static struct fh_range ranges[CELLS];
	uint64_t size = draw(twin, 4) ? 1 + draw(twin, 3) : 1 + draw(twin, CELLS);
	uint64_t cell = draw(twin, CELLS);
	uint64_t first = cell * twin->cell;
	uint64_t last = cell + size >= CELLS ? UINT64_MAX : (cell + size) * twin->cell - 1;
	unsigned density = draw(twin, 3) == 0 ? 0 : draw(twin, 17);
	size_t count;

	if (size > 64 && step / 200 % 3 != 0)
		density = step / 200 % 3 == 1 ? 16 : density; /* a time of full views */
	if (draw(twin, 4) == 0)
		first += draw(twin, twin->cell);
	widen(twin, &first, &last);
	count = draw_ranges(twin, first, last, density, ranges);
	fh_view_edit_replace(edit, first, last, ranges, count);
	model_replace(twin, first, last, ranges, count);
	assert_true(fh_view_check(edit->root));
	for (size_t i = 0; i < count && i < 3; i++)
		assert_answers(twin, edit->root, ranges[i].first);
}

static void run_random_edits(struct twin *twin, unsigned steps)
{
	static struct fh_range before[CELLS];

	for (unsigned step = 0; step < steps; step++) {
		struct fh_view_node *old = twin->root;
		size_t old_count = twin->count;
		struct fh_view_edit edit;

		memcpy(before, twin->range, sizeof(before));
		fh_view_edit_begin(&edit, &twin->pool, twin->root);
		for (uint64_t n = draw(twin, 5); n > 0; n--)
			random_replace(twin, &edit, step);
		assert_shows(old, before, old_count);

		twin->root = fh_view_edit_end(&edit);
		fh_view_retired_seal(&edit.retired);
		assert_shows(old, before, old_count);
		assert_shows(twin->root, twin->range, twin->count);
		assert_pairs(twin);
		for (unsigned i = 0; i < 8; i++)
			assert_answers(twin, twin->root,
				       draw(twin, 2) * UINT64_MAX - draw(twin, CELLS) * twin->cell);
		if (twin->count > 0) {
			assert_answers_at_borders(twin, &twin->range[0]);
			assert_answers_at_borders(twin, &twin->range[draw(twin, twin->count)]);
			assert_answers_at_borders(twin, &twin->range[twin->count - 1]);
		}
		fh_view_retired_join(&twin->retired, &edit.retired);
		assert_accounts(twin);
		if (draw(twin, 3) == 0) {
			fh_view_pool_give(&twin->pool, &twin->retired);
			assert_accounts(twin);
		}
	}
	twin_destroy(twin);
}

static void random_edits_agree_with_an_array(void **state)
{
	(void)state;
	run_random_edits(twin_new(1), 1500);
}

/* Where ranges are a few addresses long, borders that are wrong by one cannot hide. */
static void random_edits_of_single_addresses_agree_with_an_array(void **state)
{
	(void)state;
	for (uint64_t size = 1; size <= 2; size++) {
		struct twin *twin = twin_new(17 + size);

		twin->cell = size;
		run_random_edits(twin, 600);
	}
}

static void single_changes_agree_with_an_array(void **state)
{
	struct twin *twin = twin_new(2);
	struct fh_view_edit edit;

	(void)state;
	for (unsigned step = 0; step < 20000; step++) {
		bool grows = step / 5000 % 2 == 0;
		uint64_t first = draw(twin, CELLS) * twin->cell;
		struct fh_range wanted = range(first, first + twin->cell - 1);
		bool add = draw(twin, 10) < (grows ? 9 : 1);

		fh_view_edit_begin(&edit, &twin->pool, twin->root);
		fh_view_edit_replace(&edit, wanted.first, wanted.last, &wanted, add);
		model_replace(twin, wanted.first, wanted.last, &wanted, add);
		twin->root = fh_view_edit_end(&edit);
		fh_view_retired_seal(&edit.retired);
		assert_true(fh_view_check(twin->root));
		assert_answers_at_borders(twin, &wanted);
		if (step % 64 == 0) {
			assert_shows(twin->root, twin->range, twin->count);
			assert_pairs(twin);
		}
		fh_view_retired_join(&twin->retired, &edit.retired);
		if (step % 64 == 0) {
			assert_accounts(twin);
			fh_view_pool_give(&twin->pool, &twin->retired);
		}
	}
	twin_destroy(twin);
}

/* --- Particular cases ----------------------------------------------------------------------- */

/* Makes and publishes a version with one window replaced; what it replaced waits in the twin. */
static void replace(struct twin *twin, uint64_t first, uint64_t last, const struct fh_range *ranges,
		    size_t count)
{
	struct fh_view_edit edit;

	fh_view_edit_begin(&edit, &twin->pool, twin->root);
	fh_view_edit_replace(&edit, first, last, ranges, count);
	twin->root = fh_view_edit_end(&edit);
	fh_view_retired_seal(&edit.retired);
	fh_view_retired_join(&twin->retired, &edit.retired);
	assert_true(fh_view_check(twin->root));
	assert_accounts(twin);
}

static void null_root_is_an_empty_view(void **state)
{
	struct twin *twin = twin_new(3);

	(void)state;
	assert_shows(NULL, NULL, 0);
	assert_answers(twin, NULL, 0);
	assert_answers(twin, NULL, UINT64_MAX);
	assert_true(fh_view_check(NULL));
	assert_int_equal(fh_view_bytes(NULL), 0);
	replace(twin, 0, UINT64_MAX, NULL, 0);
	assert_null(twin->root);
	twin_destroy(twin);
}

static void one_range_can_show_the_whole_space(void **state)
{
	struct twin *twin = twin_new(4);
	const struct fh_range all = range(0, UINT64_MAX);
	const struct fh_range parts[] = { range(0, 0), range(1, UINT64_MAX - 1),
					  range(UINT64_MAX, UINT64_MAX) };

	(void)state;
	replace(twin, 0, UINT64_MAX, &all, 1);
	assert_shows(twin->root, &all, 1);
	model_replace(twin, 0, UINT64_MAX, &all, 1);
	assert_answers(twin, twin->root, 0);
	assert_answers(twin, twin->root, UINT64_MAX);

	replace(twin, 0, UINT64_MAX, parts, 3);
	model_replace(twin, 0, UINT64_MAX, parts, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_answers_at_borders(twin, &parts[i]);
	replace(twin, UINT64_MAX, UINT64_MAX, NULL, 0);
	replace(twin, 0, 0, NULL, 0);
	assert_shows(twin->root, &parts[1], 1);
	twin_destroy(twin);
}

/* A search among absent items, of which the first is UINT64_MAX too (R4 of view.h). */
static void last_address_is_found_at_every_fill(void **state)
{
	struct twin *twin = twin_new(5);
	const struct fh_range top = range(UINT64_MAX, UINT64_MAX);
	struct fh_view_hit hit = { 0 };

	(void)state;
	replace(twin, UINT64_MAX, UINT64_MAX, &top, 1);
	for (uint64_t i = 0; i < 600; i++) {
		struct fh_range low = range(i * 8, i * 8 + 3);

		assert_true(fh_view_find(twin->root, UINT64_MAX, &hit));
		assert_true(fh_view_hit_range(hit).region == top.region);
		assert_true(fh_view_hole_last(twin->root, UINT64_MAX - 1) == UINT64_MAX - 1);
		replace(twin, low.first, low.last, &low, 1);
	}
	replace(twin, UINT64_MAX, UINT64_MAX, NULL, 0);
	assert_false(fh_view_find(twin->root, UINT64_MAX, &hit));
	assert_true(fh_view_hole_last(twin->root, UINT64_MAX) == UINT64_MAX);
	twin_destroy(twin);
}

static void nothing_for_nothing_copies_nothing(void **state)
{
	struct twin *twin = twin_new(6);
	struct fh_view_node *root;
	struct fh_view_edit edit;

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		const struct fh_range some = range(i * 16, i * 16 + 7);

		replace(twin, some.first, some.last, &some, 1);
	}
	root = twin->root;
	fh_view_edit_begin(&edit, &twin->pool, root);
	for (uint64_t i = 0; i < 100; i++)
		fh_view_edit_replace(&edit, i * 16 + 8, i * 16 + 15, NULL, 0);
	fh_view_edit_replace(&edit, 2000, UINT64_MAX, NULL, 0);
	assert_int_equal(edit.made, 0);
	assert_int_equal(edit.retired.count, 0);
	assert_ptr_equal(fh_view_edit_end(&edit), root);
	twin_destroy(twin);
}

static struct fh_range *many_ranges(void)
{
	struct fh_range *ranges = malloc(MANY * sizeof(*ranges));

	for (uint64_t i = 0; i < MANY; i++)
		ranges[i] = range(i * 0x2000 + 0x100, i * 0x2000 + 0x10ff);
	return ranges;
}

static void hundred_thousand_come_and_go_in_one_edit(void **state)
{
	struct twin *twin = twin_new(7);
	struct fh_range *ranges = many_ranges();
	const struct fh_range one = range(0x1000000, 0x1ffffff);

	(void)state;
	replace(twin, 0, UINT64_MAX, ranges, MANY);
	assert_shows(twin->root, ranges, MANY);
	assert_true(fh_view_bytes(twin->root) < MANY * 47);
	assert_int_equal(twin->retired.count, 0);

	/* All but the first and the last; of the nodes, all that are not on the way to those. */
	size_t nodes = nodes_of(twin->root);

	replace(twin, 0x2000, (MANY - 1) * UINT64_C(0x2000) - 1, &one, 1);
	assert_int_equal(twin->retired.count, nodes);
	assert_int_equal(fh_view_measure(twin->root).ranges, 3);
	fh_view_pool_give(&twin->pool, &twin->retired);

	/* Many into the middle, more than once. */
	for (unsigned i = 0; i < 3; i++) {
		replace(twin, 0x1000000, 0x1ffffff, ranges + 2048, 2047);
		assert_int_equal(fh_view_measure(twin->root).ranges, 2049);
	}
	memmove(&ranges[1], &ranges[2048], 2047 * sizeof(*ranges));
	ranges[2048] = ranges[MANY - 1];
	assert_shows(twin->root, ranges, 2049);
	free(ranges);
	twin_destroy(twin);
}

static void change_among_many_copies_one_path(void **state)
{
	struct twin *twin = twin_new(8);
	struct fh_range *ranges = many_ranges();
	struct fh_view_edit edit;
	size_t made = 0, bytes = 0;

	(void)state;
	replace(twin, 0, UINT64_MAX, ranges, MANY);
	for (unsigned i = 0; i < 2000; i++) {
		const struct fh_range *victim = &ranges[draw(twin, MANY)];

		for (unsigned back = 0; back < 2; back++) {
			fh_view_edit_begin(&edit, &twin->pool, twin->root);
			fh_view_edit_replace(&edit, victim->first, victim->last, victim, back);
			twin->root = fh_view_edit_end(&edit);
			assert_true(edit.made <= 2 * 5 + 1);
			made += edit.made;
			bytes += edit.made_bytes;
			fh_view_retired_seal(&edit.retired);
			fh_view_pool_give(&twin->pool, &edit.retired);
		}
	}
	assert_true(made < 4000 * 6);
	assert_true(bytes < 4000 * 2400);
	assert_true(fh_view_check(twin->root));
	assert_accounts(twin);
	free(ranges);
	twin_destroy(twin);
}

static void nodes_of_the_same_edit_are_used_again(void **state)
{
	struct twin *twin = twin_new(9);
	struct fh_view_edit edit;
	size_t nodes, allocated;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		const struct fh_range some = range(i * 16, i * 16 + 7);

		replace(twin, some.first, some.last, &some, 1);
		fh_view_pool_give(&twin->pool, &twin->retired);
	}
	nodes = nodes_of(twin->root);
	allocated = fh_view_pool_stats(&twin->pool).allocated;
	fh_view_edit_begin(&edit, &twin->pool, twin->root);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t first = draw(twin, 1000) * 16;
		const struct fh_range some = range(first, first + i % 8);

		fh_view_edit_replace(&edit, first, first + 15, &some, 1);
	}
	twin->root = fh_view_edit_end(&edit);
	assert_int_equal(edit.retired.count, nodes);
	assert_true(fh_view_pool_stats(&twin->pool).allocated <= allocated + 2 * nodes);
	fh_view_retired_seal(&edit.retired);
	fh_view_retired_join(&twin->retired, &edit.retired);
	assert_accounts(twin);
	twin_destroy(twin);
}

static void building_in_order_of_address_fills_nodes(void **state)
{
	(void)state;
	for (int down = 0; down < 2; down++) {
		struct twin *twin = twin_new(10);

		for (uint64_t i = 0; i < 4000; i++) {
			uint64_t first = (down ? 4000 - i : i) * 16;
			const struct fh_range some = range(first, first + 15);

			replace(twin, first, first + 15, &some, 1);
			if (i % 64 == 0)
				fh_view_pool_give(&twin->pool, &twin->retired);
		}
		assert_true(fh_view_bytes(twin->root) < 4000 * 52);
		twin_destroy(twin);
	}
}

/* --- Misuse --------------------------------------------------------------------------------- */

static struct twin *victim;

static void cut_the_left(void)
{
	replace(victim, 108, 200, NULL, 0);
}

static void cut_the_right(void)
{
	replace(victim, 0, 107, NULL, 0);
}

static void cut_the_middle(void)
{
	replace(victim, 104, 107, NULL, 0);
}

static void cut_far_away(void)
{
	replace(victim, 108, 15 * 1000, NULL, 0);
}

static void cut_the_last_of_many(void)
{
	replace(victim, 0, 100 * 999 + 5, NULL, 0);
}

static void show_outside(void)
{
	const struct fh_range some = range(50, 61);

	replace(victim, 50, 60, &some, 1);
}

static void show_out_of_order(void)
{
	const struct fh_range some[] = { range(50, 55), range(55, 60) };

	replace(victim, 50, 60, some, 2);
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	victim = twin_new(16);
	for (uint64_t i = 1; i < 1000; i++) {
		const struct fh_range some = range(i * 100, i * 100 + 15);

		replace(victim, some.first, some.last, &some, 1);
	}
	assert_true(dies_saying(cut_the_left, "first[gap.from] >= first"));
	assert_true(dies_saying(cut_the_right, "last <= last"));
	assert_true(dies_saying(cut_the_middle, "first[gap.from] >= first"));
	assert_true(dies_saying(cut_far_away, "first[gap.from] >= first"));
	assert_true(dies_saying(cut_the_last_of_many, "last <= last"));
	assert_true(dies_saying(show_outside, "last <= last"));
	assert_true(dies_saying(show_out_of_order, "ranges[i - 1].last"));
	twin_destroy(victim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_root_is_an_empty_view),
		cmocka_unit_test(one_range_can_show_the_whole_space),
		cmocka_unit_test(last_address_is_found_at_every_fill),
		cmocka_unit_test(nothing_for_nothing_copies_nothing),
		cmocka_unit_test(single_changes_agree_with_an_array),
		cmocka_unit_test(random_edits_agree_with_an_array),
		cmocka_unit_test(random_edits_of_single_addresses_agree_with_an_array),
		cmocka_unit_test(hundred_thousand_come_and_go_in_one_edit),
		cmocka_unit_test(change_among_many_copies_one_path),
		cmocka_unit_test(nodes_of_the_same_edit_are_used_again),
		cmocka_unit_test(building_in_order_of_address_fills_nodes),
		cmocka_unit_test(misuse_is_asserted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
