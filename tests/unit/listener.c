/* SPDX-License-Identifier: MIT */
/*
 * What listeners are told: the exact difference, in the order that is promised, after it is
 * published.
 */
#include "support/ear.h"

/* --- What is told --------------------------------------------------------------------------- */

static void joining_replays_the_map_and_leaving_undoes_it(void **state)
{
	struct fh_listener *ear;

	(void)state;
	fh_region_add(root, mmio("regs", 0x10), 0, 0);
	ear = new_ear(m, memory, 0, "");
	assert_heard("begin() +(0-f regs+0) +(ffffffffffffffff-ffffffffffffffff far+0) commit() ");
	fh_listener_destroy(ear);
	assert_heard("begin() -(0-f regs+0) -(ffffffffffffffff-ffffffffffffffff far+0) commit() ");
	fh_listener_destroy(ear);
	assert_heard("");
	fh_object_unref(ear);
	assert_null(fh_listener_destroy(NULL));
}

static void removals_come_before_additions_and_what_stays_is_not_told(void **state)
{
	struct fh_listener *ear = listen(memory, 0, "");
	struct fh_region *a = mmio("a", 0x10), *b = mmio("b", 0x10);

	(void)state;
	fh_region_add(root, a, 0, 0);
	assert_heard("begin() +(0-f a+0) commit() ");
	fh_edit_begin(m);
	fh_region_add(root, b, 0x20, 0);
	fh_region_move(a, 0x10);
	fh_edit_commit(m);
	assert_heard("begin() -(0-f a+0) +(10-1f a+0) +(20-2f b+0) commit() ");
	fh_region_move(b, 0x18);
	assert_heard("begin() -(10-1f a+0) -(20-2f b+0) +(10-17 a+0) +(18-27 b+0) commit() ");

	/* There and back again is nothing. */
	fh_edit_begin(m);
	fh_region_move(b, 0x1000);
	fh_region_move(b, 0x18);
	fh_edit_commit(m);
	assert_heard("");
	fh_object_unref(ear);
}

static void change_of_attributes_is_a_removal_and_an_addition(void **state)
{
	struct fh_listener *ear = listen(memory, 0, "");
	struct fh_region *flash = keep(
		fh_region_new_rom_device(m, NULL, 0x1000, &no_ops, NULL, NULL), "flash");

	(void)state;
	fh_region_add(root, flash, 0, 0);
	assert_heard("begin() +(0-fff flash+0 romd) commit() ");
	fh_region_set_rom_mode(flash, false);
	assert_heard("begin() -(0-fff flash+0 romd) +(0-fff flash+0) commit() ");
	fh_region_set_readonly(flash, true);
	assert_heard("begin() -(0-fff flash+0) +(0-fff flash+0 ro) commit() ");
	fh_region_set_nonvolatile(flash, true);
	assert_heard("begin() -(0-fff flash+0 ro) +(0-fff flash+0 ro nv) commit() ");
	fh_region_set_unmergeable(flash, true);
	assert_heard("");
	fh_object_unref(ear);
}

static void additions_rise_and_removals_fall_in_priority(void **state)
{
	struct fh_listener *last = listen(memory, 5, "c");
	struct fh_listener *first = listen(memory, -5, "a");
	struct fh_listener *middle = listen(memory, 5, "d");

	(void)state;
	fh_region_add(root, mmio("regs", 0x10), 0, 0);
	assert_heard("abegin() cbegin() dbegin() a+(0-f regs+0) c+(0-f regs+0) d+(0-f regs+0) "
		     "acommit() ccommit() dcommit() ");
	fh_region_destroy(fh_space_root(memory));
	assert_null(fh_space_root(memory));
	assert_non_null(strstr(heard, "d-(0-f regs+0) d-("));
	assert_true(strstr(heard, "d-") < strstr(heard, "c-"));
	assert_true(strstr(heard, "c-") < strstr(heard, "a-"));
	fh_object_unref(first);
	fh_object_unref(middle);
	fh_object_unref(last);
}

static void parts_that_windows_cut_and_join_are_told_once(void **state)
{
	struct fh_listener *ear = listen(memory, 0, "");
	struct fh_region *ram = keep(fh_region_new_ram(m, NULL, 0x10000, NULL), "ram");
	struct fh_region *a = mmio("a", 0x10), *b = mmio("b", 0x10), *c = mmio("c", 0x10);

	(void)state;
	fh_region_add(root, ram, 0, -1);
	heard[0] = '\0';
	fh_edit_begin(m);
	fh_region_add(root, c, 0x3000, 0);
	fh_region_add(root, a, 0x1000, 0);
	fh_region_add(root, b, 0x2000, 0);
	fh_edit_commit(m);
	assert_heard("begin() -(0-ffff ram+0) +(0-fff ram+0) +(1000-100f a+0) "
		     "+(1010-1fff ram+1010) +(2000-200f b+0) +(2010-2fff ram+2010) "
		     "+(3000-300f c+0) +(3010-ffff ram+3010) commit() ");
	fh_edit_begin(m);
	fh_region_remove(a);
	fh_region_remove(b);
	fh_region_remove(c);
	fh_edit_commit(m);
	assert_heard("begin() -(0-fff ram+0) -(1000-100f a+0) -(1010-1fff ram+1010) "
		     "-(2000-200f b+0) -(2010-2fff ram+2010) -(3000-300f c+0) "
		     "-(3010-ffff ram+3010) +(0-ffff ram+0) commit() ");
	fh_object_unref(ear);
}

/* --- Batches -------------------------------------------------------------------------------- */

static void ear_batch(void *state, const struct fh_section *removed, size_t removed_count,
		      const struct fh_section *added, size_t added_count)
{
	(void)state;
	for (size_t i = 0; i < removed_count; i++)
		hear("", "-", &removed[i]);
	for (size_t i = 0; i < added_count; i++)
		hear("", "+", &added[i]);
	hear("", ".", NULL);
}

static void batch_is_the_whole_difference_in_order_of_address(void **state)
{
	const struct fh_listener_ops ops = { .batch = ear_batch };
	struct fh_region *a = mmio("a", 0x10), *b = mmio("b", 0x10);
	struct fh_listener *ear = fh_listener_new(m, memory, 0, &ops, NULL);

	(void)state;
	assert_heard("+(ffffffffffffffff-ffffffffffffffff far+0) .() ");
	fh_edit_begin(m);
	fh_region_add(root, b, 0x100, 0);
	fh_region_add(root, a, 0, 0);
	fh_edit_commit(m);
	assert_heard("+(0-f a+0) +(100-10f b+0) .() ");
	fh_edit_begin(m);
	fh_region_remove(b);
	fh_region_move(a, 0x80);
	fh_edit_commit(m);
	assert_heard("-(0-f a+0) -(100-10f b+0) +(80-8f a+0) .() ");
	fh_object_unref(ear);
	assert_heard("-(80-8f a+0) -(ffffffffffffffff-ffffffffffffffff far+0) .() ");
}

/* --- Who is told ---------------------------------------------------------------------------- */

static void only_spaces_that_changed_are_told(void **state)
{
	struct fh_region *other_root = keep(fh_region_new_container(m, NULL, 0x100), "other");
	struct fh_space *other = fh_space_new(m, NULL, other_root);
	struct fh_listener *far = listen(memory, 0, "m"), *near = listen(other, 0, "o");

	(void)state;
	fh_region_add(root, mmio("a", 0x10), 0, 0);
	assert_heard("mbegin() m+(0-f a+0) mcommit() ");
	fh_region_add(other_root, mmio("b", 0x10), 0, 0);
	assert_heard("obegin() o+(0-f b+0) ocommit() ");
	fh_object_unref(far);
	fh_object_unref(near);
	fh_object_unref(other);
}

static void all_spaces_of_a_shared_view_are_told(void **state)
{
	struct fh_space *other = fh_space_new(m, NULL, root);
	struct fh_listener *first = listen(memory, 0, "m"), *second = listen(other, 0, "o");

	(void)state;
	fh_region_add(root, mmio("a", 0x10), 0, 0);
	assert_non_null(strstr(heard, "m+(0-f a+0) "));
	assert_non_null(strstr(heard, "o+(0-f a+0) "));
	fh_object_unref(first);
	fh_object_unref(second);
	fh_object_unref(other);
}

static void space_that_comes_to_share_a_view_is_told_only_what_differs(void **state)
{
	struct fh_region *outer = keep(fh_region_new_container(m, NULL, FH_SIZE_ALL), "outer");
	struct fh_region *window = keep(fh_region_new_alias(m, NULL, root, 0, FH_SIZE_ALL), "w");
	struct fh_region *over = mmio("over", 0x10);
	struct fh_space *other = fh_space_new(m, NULL, outer);
	struct fh_listener *ear;

	(void)state;
	fh_region_add(root, mmio("a", 0x20), 0, 0);
	fh_region_add(outer, window, 0, 0);
	fh_region_add(outer, over, 0x1000, 1);
	ear = listen(other, 0, "");
	assert_ptr_not_equal(other->shows, memory->shows);
	fh_region_set_enabled(over, false);
	assert_ptr_equal(other->shows, memory->shows);
	assert_heard("begin() -(1000-100f over+0) commit() ");
	fh_region_set_enabled(over, true);
	assert_heard("begin() +(1000-100f over+0) commit() ");

	/* In one transaction with a change of what both show. */
	fh_edit_begin(m);
	fh_region_set_enabled(over, false);
	fh_region_add(root, mmio("b", 0x10), 0x40, 0);
	fh_edit_commit(m);
	assert_heard("begin() -(1000-100f over+0) +(40-4f b+0) commit() ");
	fh_object_unref(ear);
	fh_object_unref(other);
}

static void change_of_root_is_the_difference_of_two_views(void **state)
{
	struct fh_region *a = keep(fh_region_new_container(m, NULL, 0x100), "a");
	struct fh_region *b = keep(fh_region_new_container(m, NULL, 0x100), "b");
	struct fh_region *both = mmio("both", 0x10);
	struct fh_space *space = fh_space_new(m, NULL, a);
	struct fh_listener *ear = listen(space, 0, "");

	(void)state;
	fh_region_add(a, keep(fh_region_new_alias(m, NULL, both, 0, 0x10), NULL), 0, 0);
	fh_region_add(a, mmio("one", 0x10), 0x20, 0);
	fh_region_add(b, keep(fh_region_new_alias(m, NULL, both, 0, 0x10), NULL), 0, 0);
	fh_region_add(b, mmio("two", 0x10), 0x20, 0);
	heard[0] = '\0';
	fh_space_set_root(space, b);
	assert_heard("begin() -(20-2f one+0) +(20-2f two+0) commit() ");
	fh_space_set_root(space, NULL);
	assert_heard("begin() -(0-f both+0) -(20-2f two+0) commit() ");
	fh_object_unref(ear);
	fh_object_unref(space);
}

/* --- When ----------------------------------------------------------------------------------- */

static struct fh_space *watched;

static void look_at_other_space(void *state, struct fh_space *space)
{
	(void)space;
	strcpy(state, flat_of(watched).text);
}

static void every_view_is_published_before_anybody_is_told(void **state)
{
	const struct fh_listener_ops ops = { .begin = look_at_other_space };
	struct fh_region *outer = keep(fh_region_new_container(m, NULL, 0x1000), "outer");
	struct fh_region *inner = mmio("regs", 0x10);
	char seen[2][256];
	struct fh_listener *ears[2];

	(void)state;
	fh_region_add(outer, keep(fh_region_new_alias(m, NULL, inner, 0, 0x10), NULL), 0x20, 0);
	watched = fh_space_new(m, NULL, outer);
	ears[0] = fh_listener_new(m, memory, 0, &ops, seen[0]);
	ears[1] = fh_listener_new(m, watched, 0, &ops, seen[1]);
	fh_edit_begin(m);
	fh_region_add(root, inner, 0, 0);
	fh_region_resize(inner, 0x8);
	fh_edit_commit(m);
	assert_string_equal(seen[0], "20-27 regs+0");
	assert_string_equal(seen[1], "20-27 regs+0");
	fh_object_unref(ears[0]);
	fh_object_unref(ears[1]);
	fh_object_unref(watched);
}

static void one_that_joins_in_a_transaction_is_told_the_rest_at_its_commit(void **state)
{
	struct fh_listener *ear;

	(void)state;
	fh_edit_begin(m);
	fh_region_add(root, mmio("a", 0x10), 0, 0);
	ear = new_ear(m, memory, 0, "");
	assert_heard("begin() +(ffffffffffffffff-ffffffffffffffff far+0) commit() ");
	fh_edit_commit(m);
	assert_heard("begin() +(0-f a+0) commit() ");

	/* And one that leaves is told what it knew, then. */
	fh_edit_begin(m);
	fh_region_add(root, mmio("b", 0x10), 0x10, 0);
	fh_object_unref(ear);
	assert_heard("");
	fh_edit_commit(m);
	assert_heard("begin() -(0-f a+0) -(ffffffffffffffff-ffffffffffffffff far+0) commit() ");
}

static void end_of_the_space_undoes_the_map(void **state)
{
	struct fh_region *regs = mmio("regs", 0x10);
	struct fh_space *space = fh_space_new(m, NULL, regs);
	struct fh_listener *ear = listen(space, 0, "");

	(void)state;
	fh_object_unref(space);
	assert_heard("begin() -(0-f regs+0) commit() ");
	fh_machine_drain(m);
	fh_listener_destroy(ear);
	assert_heard("");
	fh_object_unref(ear);
}

static void space_and_listener_that_end_in_one_transaction_are_told_once(void **state)
{
	struct fh_region *regs = mmio("regs", 0x10);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct fh_space *space = fh_space_new(m, NULL, regs);
		struct fh_listener *ear = listen(space, 0, "");

		fh_edit_begin(m);
		if (i == 0)
			fh_object_unref(space);
		fh_object_unref(ear);
		if (i == 1)
			fh_object_unref(space);
		fh_region_resize(regs, 0x20);
		fh_edit_commit(m);
		assert_heard(i == 0 ? "begin() -(0-f regs+0) commit() " :
				      "begin() -(0-1f regs+0) commit() ");
	}
}

static void dead_spaces_and_owners_have_no_listeners(void **state)
{
	static const struct fh_type owner_type = { .name = "owner" };
	struct fh_object *owner = fh_object_new(m, &owner_type, NULL);
	struct fh_space *space = fh_space_new(m, NULL, NULL);

	(void)state;
	assert_non_null(new_ear(owner, memory, 0, "x"));
	heard[0] = '\0';
	fh_object_dispose(owner);
	assert_heard("xbegin() x-(ffffffffffffffff-ffffffffffffffff far+0) xcommit() ");
	assert_null(new_ear(owner, memory, 0, ""));
	fh_object_dispose(space);
	assert_null(new_ear(m, space, 0, ""));
	assert_heard("");
	fh_object_unref(owner);
	fh_object_unref(space);
}

/* --- What stays ----------------------------------------------------------------------------- */

static void ear_keep(void *state, const struct fh_section *section)
{
	hear(state, "=", section);
}

static void what_stays_is_told_to_who_asks(void **state)
{
	const struct fh_listener_ops ops = {
		.begin = ear_begin, .keep = ear_keep, .remove = ear_remove, .add = ear_add
	};
	struct fh_region *a = mmio("a", 0x10), *b = mmio("b", 0x10);
	char name[] = "";
	struct fh_listener *ear;

	(void)state;
	fh_region_add(root, a, 0, 0);
	ear = fh_listener_new(m, memory, 0, &ops, name);
	assert_heard("begin() +(0-f a+0) +(ffffffffffffffff-ffffffffffffffff far+0) ");
	fh_region_add(root, b, 0x20, 0);
	assert_heard("begin() =(0-f a+0) =(ffffffffffffffff-ffffffffffffffff far+0) "
		     "+(20-2f b+0) ");
	fh_region_move(a, 0x28);
	assert_heard("begin() -(0-f a+0) -(20-2f b+0) "
		     "=(ffffffffffffffff-ffffffffffffffff far+0) +(20-27 b+0) +(28-37 a+0) ");
	fh_space_set_root(memory, NULL);
	assert_heard("begin() -(20-27 b+0) -(28-37 a+0) "
		     "-(ffffffffffffffff-ffffffffffffffff far+0) ");
	fh_space_set_root(memory, root);
	heard[0] = '\0';
	fh_object_unref(ear);
	assert_heard("begin() -(20-27 b+0) -(28-37 a+0) "
		     "-(ffffffffffffffff-ffffffffffffffff far+0) ");
}

int main(void)
{
#define listener_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		listener_test(what_stays_is_told_to_who_asks),
		listener_test(joining_replays_the_map_and_leaving_undoes_it),
		listener_test(removals_come_before_additions_and_what_stays_is_not_told),
		listener_test(change_of_attributes_is_a_removal_and_an_addition),
		listener_test(additions_rise_and_removals_fall_in_priority),
		listener_test(parts_that_windows_cut_and_join_are_told_once),
		listener_test(batch_is_the_whole_difference_in_order_of_address),
		listener_test(only_spaces_that_changed_are_told),
		listener_test(all_spaces_of_a_shared_view_are_told),
		listener_test(space_that_comes_to_share_a_view_is_told_only_what_differs),
		listener_test(change_of_root_is_the_difference_of_two_views),
		listener_test(every_view_is_published_before_anybody_is_told),
		listener_test(one_that_joins_in_a_transaction_is_told_the_rest_at_its_commit),
		listener_test(end_of_the_space_undoes_the_map),
		listener_test(space_and_listener_that_end_in_one_transaction_are_told_once),
		listener_test(dead_spaces_and_owners_have_no_listeners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
