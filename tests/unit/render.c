/* SPDX-License-Identifier: MIT */
/*
 * What a tree of regions shows: order, holes, aliases, attributes, borders; that parts rendered
 * again give what the whole would; and which spaces share a view.
 */
#include "support/flat.h"

#include <stdlib.h>

#include "memory/space.h"

#define LAST UINT64_MAX

static const struct fh_region_ops no_ops = { .concurrent = true };

/* A machine with the space under test, whose root is `root`. */
struct board {
	struct fh_machine *m;
	struct fh_space *space;
	struct fh_region *root;
	/* assert_whole(): kept, because a malloc that fills what is freed takes its time. */
	struct fh_render render;
	struct fh_ranges whole;
};

static int board_setup(void **state)
{
	struct board *board = calloc(1, sizeof(*board));

	board->m = fh_machine_new(NULL, NULL);
	board->space = fh_machine_memory(board->m);
	board->root = fh_space_root(board->space);
	*state = board;
	return 0;
}

/* Everything is a child of the root: it dies with the machine, and that is checked. */
static int board_teardown(void **state)
{
	struct board *board = *state;
	const int alive = fh_machine_destroy(board->m);

	fh_vector_free(&board->whole);
	fh_render_free(&board->render);
	free(board);
	return alive;
}

static struct fh_region *keep(struct board *board, struct fh_region *region, const char *name)
{
	assert_non_null(region);
	assert_int_equal(fh_object_add_child(board->m, name, region, NULL), FH_OK);
	fh_object_unref(region);
	return region;
}

static struct fh_region *container(struct board *board, const char *name, uint64_t size)
{
	return keep(board, fh_region_new_container(board->m, NULL, size), name);
}

static struct fh_region *mmio(struct board *board, const char *name, uint64_t size)
{
	return keep(board, fh_region_new_mmio(board->m, NULL, size, &no_ops, NULL), name);
}

static struct fh_region *ram(struct board *board, const char *name, uint64_t size)
{
	return keep(board, fh_region_new_ram(board->m, NULL, size, NULL), name);
}

static struct fh_region *alias(struct board *board, const char *name, struct fh_region *target,
			       uint64_t offset, uint64_t size)
{
	return keep(board, fh_region_new_alias(board->m, NULL, target, offset, size), name);
}

static struct fh_space *space(struct board *board, struct fh_region *root)
{
	struct fh_space *made = fh_space_new(board->m, NULL, root);

	assert_int_equal(fh_object_add_child(board->m, NULL, made, NULL), FH_OK);
	fh_object_unref(made);
	return made;
}

static void add(struct fh_region *to, struct fh_region *sub, uint64_t addr, int32_t priority)
{
	assert_int_equal(fh_region_add(to, sub, addr, priority), FH_OK);
}

/* --- Order ---------------------------------------------------------------------------------- */

static void higher_priority_hides_lower(void **state)
{
	struct board *b = *state;

	add(b->root, mmio(b, "high", 0x10), 0x10, 1);
	add(b->root, mmio(b, "low", 0x30), 0, -1);
	assert_flat(b->space, "0-f low+0, 10-1f high+0, 20-2f low+20");
}

static void of_equal_priorities_the_later_is_on_top(void **state)
{
	struct board *b = *state;
	struct fh_region *first = mmio(b, "first", 0x20);

	add(b->root, first, 0, 0);
	add(b->root, mmio(b, "second", 0x20), 0x10, 0);
	assert_flat(b->space, "0-f first+0, 10-2f second+0");

	/* To move is to add again. */
	fh_region_move(first, 0);
	assert_flat(b->space, "0-1f first+0, 20-2f second+10");
}

static void priority_is_local_to_the_container(void **state)
{
	struct board *b = *state;
	struct fh_region *inner = container(b, "inner", 0x100);

	add(inner, mmio(b, "great", 0x10), 0, INT32_MAX);
	add(b->root, inner, 0, 0);
	add(b->root, mmio(b, "modest", 0x8), 0, 1);
	assert_flat(b->space, "0-7 modest+0, 8-f great+8");
}

static void change_of_priority_reorders(void **state)
{
	struct board *b = *state;
	struct fh_region *low = mmio(b, "low", 0x10);

	add(b->root, low, 0, INT32_MIN);
	add(b->root, mmio(b, "high", 0x8), 0, 0);
	fh_region_set_priority(low, 1);
	assert_flat(b->space, "0-f low+0");
	fh_region_set_priority(low, -1);
	assert_flat(b->space, "0-7 high+0, 8-f low+8");
}

/* --- Holes ---------------------------------------------------------------------------------- */

static void holes_of_a_container_show_what_lies_under_it(void **state)
{
	struct board *b = *state;
	struct fh_region *upper = container(b, "upper", 0x100);

	add(upper, mmio(b, "regs", 0x10), 0x20, 0);
	add(b->root, upper, 0, 1);
	add(b->root, mmio(b, "under", 0x100), 0, 0);
	assert_flat(b->space, "0-1f under+0, 20-2f regs+0, 30-ff under+30");
}

static void backing_shows_in_the_holes_of_its_own_subregions_only(void **state)
{
	struct board *b = *state;
	struct fh_region *upper = mmio(b, "upper", 0x40);

	add(upper, mmio(b, "regs", 0x10), 0x10, -5);
	add(b->root, upper, 0, 1);
	add(b->root, mmio(b, "under", 0x100), 0, 0);
	assert_flat(b->space, "0-f upper+0, 10-1f regs+0, 20-3f upper+20, 40-ff under+40");
}

static void disabled_and_empty_regions_are_holes(void **state)
{
	struct board *b = *state;
	struct fh_region *regs = mmio(b, "regs", 0x10);

	add(b->root, regs, 0, 0);
	fh_region_set_enabled(regs, false);
	assert_flat(b->space, "");
	fh_region_set_enabled(regs, true);
	fh_region_resize(regs, 0);
	assert_flat(b->space, "");
	fh_region_resize(regs, 0x20);
	assert_flat(b->space, "0-1f regs+0");
	fh_region_set_enabled(b->root, false);
	assert_flat(b->space, "");
	fh_region_set_enabled(b->root, true);
	assert_flat(b->space, "0-1f regs+0");
}

static void subregions_are_clipped_by_their_container(void **state)
{
	struct board *b = *state;
	struct fh_region *inner = container(b, "inner", 0x18);

	add(inner, mmio(b, "regs", 0x10), 0x10, 0);
	add(inner, mmio(b, "beyond", 0x10), 0x18, 0);
	add(b->root, inner, 0x1000, 0);
	assert_flat(b->space, "1010-1017 regs+0");
	fh_region_resize(inner, 0x1c);
	assert_flat(b->space, "1010-1017 regs+0, 1018-101b beyond+0");
}

/* --- Borders -------------------------------------------------------------------------------- */

static void last_address_is_an_address(void **state)
{
	struct board *b = *state;

	add(b->root, mmio(b, "last", 0x10), LAST - 7, 1);
	add(b->root, mmio(b, "all", FH_SIZE_ALL), 0, 0);
	assert_flat(b->space, "0-fffffffffffffff7 all+0, fffffffffffffff8-ffffffffffffffff last+0");
}

static void region_of_all_addresses_is_clipped_where_it_is_moved_up(void **state)
{
	struct board *b = *state;
	struct fh_region *all = mmio(b, "all", FH_SIZE_ALL);

	add(b->root, all, LAST, 0);
	assert_flat(b->space, "ffffffffffffffff-ffffffffffffffff all+0");
	fh_region_move(all, 1);
	assert_flat(b->space, "1-ffffffffffffffff all+0");
}

static void alias_offset_beyond_the_top_shows_nothing(void **state)
{
	struct board *b = *state;
	struct fh_region *all = mmio(b, "all", FH_SIZE_ALL);
	struct fh_region *window = alias(b, "window", all, LAST - 3, 0x100);

	add(b->root, window, 0x10, 0);
	assert_flat(b->space, "10-13 all+fffffffffffffffc");
	fh_region_set_alias_offset(window, LAST);
	assert_flat(b->space, "10-10 all+ffffffffffffffff");
}

static void space_shows_its_root_at_0_whatever_its_address(void **state)
{
	struct board *b = *state;
	struct fh_region *inner = mmio(b, "inner", 0x10);

	add(b->root, inner, 0x5000, 0);
	assert_flat(space(b, inner), "0-f inner+0");
}

/* --- Aliases -------------------------------------------------------------------------------- */

static void alias_shows_a_window_with_the_subregions_of_its_target(void **state)
{
	struct board *b = *state;
	struct fh_region *target = mmio(b, "target", 0x100);

	add(target, mmio(b, "sub", 0x10), 0x40, 0);
	add(b->root, alias(b, "window", target, 0x48, 0x10), 0x1000, 0);
	assert_flat(b->space, "1000-1007 sub+8, 1008-100f target+50");
}

static void alias_beyond_its_target_is_a_hole(void **state)
{
	struct board *b = *state;
	struct fh_region *target = mmio(b, "target", 0x10);

	add(b->root, alias(b, "window", target, 0x8, 0x100), 0, 1);
	add(b->root, alias(b, "none", NULL, 0, 0x100), 0, 2);
	add(b->root, mmio(b, "under", 0x20), 0, 0);
	assert_flat(b->space, "0-7 target+8, 8-1f under+8");
	fh_region_resize(target, 0xc);
	assert_flat(b->space, "0-3 target+8, 4-1f under+4");
	fh_region_set_enabled(target, false);
	assert_flat(b->space, "0-1f under+0");
}

static void adjacent_windows_of_one_region_are_one_range(void **state)
{
	struct board *b = *state;
	struct fh_region *target = ram(b, "ram", 0x3000);
	struct fh_region *middle = alias(b, "b", target, 0x1000, 0x1000);

	add(b->root, alias(b, "a", target, 0, 0x1000), 0, 0);
	add(b->root, alias(b, "c", target, 0x2000, 0x1000), 0x2000, 0);
	assert_flat(b->space, "0-fff ram+0, 2000-2fff ram+2000");
	add(b->root, middle, 0x1000, 0);
	assert_flat(b->space, "0-2fff ram+0");
	fh_region_set_alias_offset(middle, 0);
	assert_flat(b->space, "0-fff ram+0, 1000-1fff ram+0, 2000-2fff ram+2000");
	fh_region_remove(middle);
	assert_flat(b->space, "0-fff ram+0, 2000-2fff ram+2000");
}

static void ranges_of_an_unmergeable_region_stay_apart(void **state)
{
	struct board *b = *state;
	struct fh_region *target = ram(b, "ram", 0x3000);
	struct fh_region *over = mmio(b, "over", 0x400);

	fh_region_set_unmergeable(target, true);
	add(b->root, alias(b, "a", target, 0, 0x1000), 0, 0);
	add(b->root, alias(b, "b", target, 0x1000, 0x2000), 0x1000, 0);
	assert_flat(b->space, "0-fff ram+0, 1000-2fff ram+1000");

	/* Only a part of either is rendered again, and what was one range is one again. */
	add(b->root, over, 0x800, 1);
	assert_flat(b->space, "0-7ff ram+0, 800-bff over+0, c00-fff ram+c00, 1000-2fff ram+1000");
	fh_region_move(over, 0x2000);
	assert_flat(b->space,
		    "0-fff ram+0, 1000-1fff ram+1000, 2000-23ff over+0, 2400-2fff ram+2400");
	fh_region_remove(over);
	assert_flat(b->space, "0-fff ram+0, 1000-2fff ram+1000");

	fh_region_set_unmergeable(target, false);
	assert_flat(b->space, "0-2fff ram+0");
}

/* --- Attributes ----------------------------------------------------------------------------- */

static void attributes_are_inherited_through_containers_and_aliases(void **state)
{
	struct board *b = *state;
	struct fh_region *memory = ram(b, "ram", 0x1000);
	struct fh_region *window = alias(b, "window", memory, 0, 0x1000);
	struct fh_region *inner = container(b, "inner", 0x1000);

	add(inner, window, 0, 0);
	add(b->root, inner, 0, 0);
	fh_region_set_readonly(inner, true);
	assert_flat(b->space, "0-fff ram+0 ro");
	fh_region_set_nonvolatile(window, true);
	assert_flat(b->space, "0-fff ram+0 ro nv");
	fh_region_set_readonly(inner, false);
	assert_flat(b->space, "0-fff ram+0 nv");
	/* Not the other way: the target itself is as it was. */
	assert_flat(space(b, memory), "0-fff ram+0");
}

struct kinds {
	char text[256];
};

static bool note_kind(const struct fh_section *section, void *arg)
{
	struct kinds *kinds = arg;

	strcat(strcat(kinds->text, fh_section_kind(section)), section->ptr ? "* " : " ");
	return true;
}

static void assert_kinds(struct fh_space *of, const char *expected)
{
	struct kinds kinds = { "" };

	fh_space_each(of, note_kind, &kinds);
	assert_string_equal(kinds.text, expected);
}

static void each_kind_shows_as_what_it_is(void **state)
{
	struct board *b = *state;
	struct fh_region *flash = keep(
		b, fh_region_new_rom_device(b->m, NULL, 0x1000, &no_ops, NULL, NULL), "flash");
	struct fh_region *inner = container(b, "inner", 0x10000);

	add(inner, ram(b, "ram", 0x1000), 0, 0);
	add(inner, keep(b, fh_region_new_rom(b->m, NULL, 0x1000, FH_ROM_IGNORE, NULL), "rom"),
	    0x1000, 0);
	add(inner, flash, 0x2000, 0);
	add(inner, mmio(b, "regs", 0x1000), 0x3000, 0);
	add(inner, keep(b, fh_region_new_reservation(b->m, NULL, 0x1000), "other"), 0x4000, 0);
	add(b->root, inner, 0, 0);
	assert_kinds(b->space, "ram* rom* romd* i/o reservation ");
	fh_region_set_rom_mode(flash, false);
	assert_kinds(b->space, "ram* rom* i/o i/o reservation ");
	fh_region_set_readonly(inner, true);
	assert_kinds(b->space, "rom* rom* rom rom reservation ");
	fh_region_set_rom_mode(flash, true);
	assert_kinds(b->space, "rom* rom* rom* rom reservation ");
}

/* --- Many ----------------------------------------------------------------------------------- */

/* Small numbers in any order: what a test needs of chance. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

enum { CROWD = 200, CELL = 0x100 };

/* The view is what one rendering of everything gives. */
static void assert_whole(struct board *b, struct fh_space *of)
{
	struct fh_ranges *whole = &b->whole;
	struct fh_view_cursor cursor;
	struct fh_range range;
	size_t i = 0;

	fh_topology_look_begin(of->object.machine);
	whole->count = 0;
	fh_render_window(&b->render, of->shows->region, 0, LAST, whole);
	fh_view_cursor_init(&cursor, fh_view_set_root(of->shows), 0);
	for (; fh_view_cursor_next(&cursor, &range); i++) {
		assert_true(i < whole->count);
		assert_true(fh_range_equal(&range, &whole->at[i]));
	}
	assert_int_equal(i, whole->count);
	assert_true(fh_view_check(fh_view_set_root(of->shows)));
	fh_topology_look_end(of->object.machine);
}

/* A crowd of regions in one container, half of them windows of others; many overlap. */
static void fill(struct board *b, struct fh_region *to, struct fh_region **regions, uint32_t *seed)
{
	for (unsigned i = 0; i < CROWD; i++) {
		const uint64_t size = (1 + next_random(seed) % 12) * CELL;
		char name[16];

		snprintf(name, sizeof(name), "r%u", i);
		regions[i] = i % 2 == 0 || i < 10 ?
				     mmio(b, name, size) :
				     alias(b, name, regions[next_random(seed) % i],
					   next_random(seed) % 4 * CELL, size);
		if (i % 5 == 0)
			fh_region_set_unmergeable(regions[i], true);
		add(to, regions[i], next_random(seed) % 64 * CELL,
		    (int32_t)(next_random(seed) % 5) - 2);
	}
}

static void change(struct fh_region *region, uint32_t *seed)
{
	switch (next_random(seed) % 8) {
	case 0:
		fh_region_set_enabled(region, next_random(seed) % 3);
		break;
	case 1:
		fh_region_resize(region, next_random(seed) % 12 * CELL);
		break;
	case 2:
		fh_region_set_priority(region, (int32_t)(next_random(seed) % 5) - 2);
		break;
	case 3:
		fh_region_set_nonvolatile(region, next_random(seed) % 4 == 0);
		break;
	case 4:
		fh_region_set_unmergeable(region, next_random(seed) % 2);
		break;
	default:
		fh_region_move(region, next_random(seed) % 64 * CELL);
	}
}

static void parts_rendered_again_give_what_the_whole_would(void **state)
{
	struct board *b = *state;
	struct fh_region *regions[CROWD];
	uint32_t seed = 7;

	fill(b, b->root, regions, &seed);
	assert_whole(b, b->space);
	for (unsigned i = 0; i < 2000; i++) {
		const unsigned edits = i % 3 == 0 ? 1 + next_random(&seed) % 20 : 1;

		fh_edit_begin(b->m);
		for (unsigned k = 0; k < edits; k++)
			change(regions[next_random(&seed) % CROWD], &seed);
		fh_edit_commit(b->m);
		assert_whole(b, b->space);
	}
}

static void depth_costs_no_stack(void **state)
{
	enum { DEPTH = 100000 };
	struct board *b = *state;
	struct fh_region *regs = mmio(b, "regs", 0x10);
	struct fh_region *top = regs;
	struct fh_region *bottom = NULL;

	fh_edit_begin(b->m);
	for (unsigned i = 0; i < DEPTH; i++) {
		const bool contains = i % 2;
		struct fh_region *upper =
			contains ? fh_region_new_container(b->m, NULL, FH_SIZE_ALL) :
				   fh_region_new_alias(b->m, NULL, top, 0, FH_SIZE_ALL);

		keep(b, upper, NULL);
		if (contains)
			add(upper, top, 1, 0);
		bottom = bottom ? bottom : upper;
		top = upper;
	}
	add(b->root, top, 0, 0);
	fh_edit_commit(b->m);
	assert_flat(b->space, "c350-c35f regs+0");
	fh_region_resize(regs, 0x8);
	assert_flat(b->space, "c350-c357 regs+0");
	assert_int_equal(fh_region_set_alias_target(bottom, top), FH_ELOOP);
	fh_region_destroy(bottom);
	assert_flat(b->space, "");
}

static void change_below_a_lattice_of_aliases_is_carried_up_once(void **state)
{
	enum { LEVELS = 60 };
	struct board *b = *state;
	struct fh_region *regs = mmio(b, "regs", 0x1000);
	struct fh_region *lower = regs;

	/* Each level shows the one below twice: 2^60 ways lead up. */
	for (unsigned i = 0; i < LEVELS; i++) {
		struct fh_region *upper = container(b, NULL, 0x1000);

		add(upper, alias(b, NULL, lower, 0, 0x1000), 0, 0);
		add(upper, alias(b, NULL, lower, 0, 0x1000), 0, 1);
		lower = upper;
	}
	add(b->root, lower, 0, 0);
	assert_flat(b->space, "0-fff regs+0");
	fh_region_set_nonvolatile(regs, true);
	assert_flat(b->space, "0-fff regs+0 nv");
}

/* --- Sharing -------------------------------------------------------------------------------- */

static void spaces_that_show_the_same_share_a_view(void **state)
{
	struct board *b = *state;
	struct fh_region *outer = container(b, "outer", FH_SIZE_ALL);
	struct fh_region *window = alias(b, "window", b->root, 0, FH_SIZE_ALL);
	struct fh_region *regs = mmio(b, "regs", 0x10);
	struct fh_space *other = space(b, outer);

	add(b->root, mmio(b, "a", 0x10), 0, 0);
	add(b->root, mmio(b, "b", 0x10), 0x20, 0);
	assert_flat(other, "");
	assert_ptr_not_equal(other->shows, b->space->shows);
	add(outer, window, 0, 0);
	assert_ptr_equal(other->shows, b->space->shows);
	assert_flat(other, "0-f a+0, 20-2f b+0");

	/* Whatever makes a difference parts them. */
	fh_region_set_readonly(outer, true);
	assert_ptr_not_equal(other->shows, b->space->shows);
	assert_flat(other, "0-f a+0 ro, 20-2f b+0 ro");
	fh_region_set_readonly(outer, false);
	assert_ptr_equal(other->shows, b->space->shows);
	fh_region_set_alias_offset(window, 0x20);
	assert_flat(other, "0-f b+0");
	fh_region_set_alias_offset(window, 0);
	assert_ptr_equal(other->shows, b->space->shows);
	fh_region_move(window, 8);
	assert_flat(other, "8-17 a+0, 28-37 b+0");
	fh_region_move(window, 0);
	add(outer, regs, 0x40, 0);
	assert_flat(other, "0-f a+0, 20-2f b+0, 40-4f regs+0");
	fh_region_set_enabled(regs, false);
	assert_ptr_equal(other->shows, b->space->shows);
	fh_region_resize(outer, 0x24);
	assert_flat(other, "0-f a+0, 20-23 b+0");
	fh_region_resize(outer, FH_SIZE_ALL);
	assert_ptr_equal(other->shows, b->space->shows);
	fh_region_set_alias_target(window, NULL);
	assert_flat(other, "");
}

static void container_shares_the_view_of_a_lone_subregion_that_it_does_not_clip(void **state)
{
	struct board *b = *state;
	struct fh_region *outer = container(b, "outer", 0x20);
	struct fh_region *inner = mmio(b, "inner", 0x10);
	struct fh_space *of_outer = space(b, outer);
	struct fh_space *of_inner = space(b, inner);
	struct fh_region *second = mmio(b, "second", 0x10);

	add(outer, inner, 0, 0);
	assert_ptr_equal(of_outer->shows, of_inner->shows);
	add(outer, second, 0x18, 0);
	assert_ptr_not_equal(of_outer->shows, of_inner->shows);
	assert_flat(of_outer, "0-f inner+0, 18-1f second+0");
	fh_region_resize(second, 0);
	assert_ptr_equal(of_outer->shows, of_inner->shows);
	fh_region_resize(outer, 0x8);
	assert_ptr_not_equal(of_outer->shows, of_inner->shows);
	assert_flat(of_outer, "0-7 inner+0");
	assert_flat(of_inner, "0-f inner+0");
}

static void overlay_that_comes_and_goes_does_not_cost_the_whole_map(void **state)
{
	enum { MANY = 300 };
	struct board *b = *state;
	struct fh_region *outer = container(b, "outer", FH_SIZE_ALL);
	struct fh_region *over = mmio(b, "over", 0x10);
	struct fh_space *other = space(b, outer);
	const struct fh_view_set *own;

	for (unsigned i = 0; i < MANY; i++)
		add(b->root, mmio(b, NULL, 0x10), i * 0x100, 0);
	add(outer, alias(b, "window", b->root, 0, FH_SIZE_ALL), 0, 0);
	assert_ptr_equal(other->shows, b->space->shows);
	add(outer, over, 0, 1);
	own = other->shows;
	assert_ptr_not_equal(own, b->space->shows);
	for (unsigned i = 0; i < MANY / 2; i++) {
		fh_region_set_enabled(over, i % 2);
		assert_ptr_equal(other->shows, own);
		assert_whole(b, other);
	}
	/* But not for ever, if it stays away. */
	for (unsigned i = 0; i < MANY; i++)
		fh_region_move(over, i);
	fh_region_set_enabled(over, false);
	assert_ptr_equal(other->shows, b->space->shows);
}

static void edit_costs_spaces_nothing_that_do_not_show_it(void **state)
{
	enum { SPACES = 100 };
	struct board *b = *state;
	struct fh_region *outer[SPACES];
	struct fh_space *spaces[SPACES];
	struct fh_view_set *sets[SPACES];
	struct fh_region *regs = mmio(b, "regs", 0x10);

	for (unsigned i = 0; i < SPACES; i++) {
		outer[i] = container(b, NULL, 0x1000);
		add(outer[i], mmio(b, NULL, 0x10), 0, 0);
		add(outer[i], mmio(b, NULL, 0x10), 0x100, 0);
		spaces[i] = space(b, outer[i]);
		sets[i] = spaces[i]->shows;
	}
	add(b->root, mmio(b, NULL, 0x10), 0x1000, 0);
	fh_edit_begin(b->m);
	add(b->root, regs, 0, 0);
	fh_region_move(regs, 0x100);
	assert_true(fh_list_empty(&b->m->topology->unresolved));
	assert_int_equal(b->m->topology->windows.count, 2);
	fh_edit_commit(b->m);
	for (unsigned i = 0; i < SPACES; i++)
		assert_ptr_equal(spaces[i]->shows, sets[i]);
}

int main(void)
{
#define render_test(name) cmocka_unit_test_setup_teardown(name, board_setup, board_teardown)
	const struct CMUnitTest tests[] = {
		render_test(higher_priority_hides_lower),
		render_test(of_equal_priorities_the_later_is_on_top),
		render_test(priority_is_local_to_the_container),
		render_test(change_of_priority_reorders),
		render_test(holes_of_a_container_show_what_lies_under_it),
		render_test(backing_shows_in_the_holes_of_its_own_subregions_only),
		render_test(disabled_and_empty_regions_are_holes),
		render_test(subregions_are_clipped_by_their_container),
		render_test(last_address_is_an_address),
		render_test(region_of_all_addresses_is_clipped_where_it_is_moved_up),
		render_test(alias_offset_beyond_the_top_shows_nothing),
		render_test(space_shows_its_root_at_0_whatever_its_address),
		render_test(alias_shows_a_window_with_the_subregions_of_its_target),
		render_test(alias_beyond_its_target_is_a_hole),
		render_test(adjacent_windows_of_one_region_are_one_range),
		render_test(ranges_of_an_unmergeable_region_stay_apart),
		render_test(attributes_are_inherited_through_containers_and_aliases),
		render_test(each_kind_shows_as_what_it_is),
		render_test(parts_rendered_again_give_what_the_whole_would),
		render_test(depth_costs_no_stack),
		render_test(change_below_a_lattice_of_aliases_is_carried_up_once),
		render_test(spaces_that_show_the_same_share_a_view),
		render_test(container_shares_the_view_of_a_lone_subregion_that_it_does_not_clip),
		render_test(overlay_that_comes_and_goes_does_not_cost_the_whole_map),
		render_test(edit_costs_spaces_nothing_that_do_not_show_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
