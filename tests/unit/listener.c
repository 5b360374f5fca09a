/* SPDX-License-Identifier: MIT */
/*
 * What listeners are told: the exact difference, in the order that is promised, after it is
 * published.
 */
#include "support/flat.h"

#include <stdlib.h>

#include "memory/space.h"
#include "support/dies.h"

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *root;
static char heard[8192];

static const struct fh_region_ops no_ops = { .concurrent = true };

static int setup(void **state)
{
	struct fh_region *far;

	(void)state;
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	root = fh_space_root(memory);
	/* So that the root does not show the same as the one region that a test adds. */
	far = fh_region_new_mmio(m, NULL, 1, &no_ops, NULL);
	fh_object_add_child(m, "far", far, NULL);
	fh_object_unref(far);
	fh_region_add(root, far, UINT64_MAX, 0);
	heard[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return fh_machine_destroy(m);
}

/* Dies with the machine. */
static struct fh_region *keep(struct fh_region *region, const char *name)
{
	assert_int_equal(fh_object_add_child(m, name, region, NULL), FH_OK);
	fh_object_unref(region);
	return region;
}

static struct fh_region *mmio(const char *name, uint64_t size)
{
	return keep(fh_region_new_mmio(m, NULL, size, &no_ops, NULL), name);
}

/* --- A listener that writes down what it hears, under its name ------------------------------- */

static void hear(const char *who, const char *what, const struct fh_section *section)
{
	const size_t used = strlen(heard);
	struct flat flat = { .used = 0 };
	int length;

	if (section)
		flat_add(&flat, section);
	length = snprintf(heard + used, sizeof(heard) - used, "%s%s(%s) ", who, what, flat.text);
	assert_true(length > 0 && (size_t)length < sizeof(heard) - used);
}

static void ear_begin(void *state, struct fh_space *space)
{
	(void)space;
	hear(state, "begin", NULL);
}

static void ear_remove(void *state, const struct fh_section *section)
{
	hear(state, "-", section);
}

static void ear_add(void *state, const struct fh_section *section)
{
	hear(state, "+", section);
}

static void ear_commit(void *state, struct fh_space *space)
{
	(void)space;
	hear(state, "commit", NULL);
}

static const struct fh_listener_ops ear_ops = {
	.begin = ear_begin, .remove = ear_remove, .add = ear_add, .commit = ear_commit
};

static struct fh_listener *new_ear(FH_ANY owner, struct fh_space *space, int priority,
				   const char *name)
{
	return fh_listener_new(owner, space, priority, &ear_ops, (void *)(uintptr_t)name);
}

/* One that has heard already what there is. */
static struct fh_listener *listen(struct fh_space *space, int priority, const char *name)
{
	struct fh_listener *ear = new_ear(m, space, priority, name);

	assert_non_null(ear);
	heard[0] = '\0';
	return ear;
}

#define assert_heard(expected)                      \
	do {                                        \
		assert_string_equal(heard, expected); \
		heard[0] = '\0';                    \
	} while (0)

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

/* --- Dirty logging -------------------------------------------------------------------------- */

static void hear_log(const char *who, const char *what, const struct fh_section *section,
		     unsigned old_mask)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%x>%x", what, old_mask, (unsigned)section->log_mask);
	hear(who, text, section);
}

static void ear_log_start(void *state, const struct fh_section *section, uint8_t old_mask)
{
	hear_log(state, "log", section, old_mask);
}

static void ear_log_stop(void *state, const struct fh_section *section, uint8_t old_mask)
{
	hear_log(state, "unlog", section, old_mask);
}

/* Brings a bit: of the first page of what is asked for. */
static void ear_log_sync(void *state, const struct fh_section *section)
{
	hear(state, "sync", section);
	fh_dirty_mark(section->region, section->offset, 1);
}

static void ear_log_clear(void *state, const struct fh_section *section)
{
	hear(state, "clear", section);
}

static void log_ear_batch(void *state, const struct fh_section *removed, size_t removed_count,
		      const struct fh_section *added, size_t added_count)
{
	(void)removed;
	(void)added;
	if (removed_count + added_count > 0)
		hear(state, "batch", NULL);
}

static const struct fh_listener_ops log_ear_ops = {
	.begin = ear_begin,
	.remove = ear_remove,
	.add = ear_add,
	.batch = log_ear_batch,
	.commit = ear_commit,
	.log_start = ear_log_start,
	.log_stop = ear_log_stop,
	.log_sync = ear_log_sync,
	.log_clear = ear_log_clear,
};

static struct fh_listener *log_listen(struct fh_space *space, const char *name)
{
	return fh_listener_new(m, space, 0, &log_ear_ops, (void *)(uintptr_t)name);
}

static struct fh_region *show_ram(const char *name, uint64_t size, uint64_t addr)
{
	struct fh_region *ram = keep(fh_region_new_ram(m, NULL, size, NULL), name);

	fh_region_add(root, ram, addr, 0);
	return ram;
}

static void logging_is_told_as_such_and_nothing_is_removed_or_added(void **state)
{
	struct fh_region *ram = show_ram("ram", 0x4000, 0);
	struct fh_region *hole = mmio("hole", 0x1000);
	struct fh_listener *ear;

	(void)state;
	fh_region_add(root, hole, 0x1000, 1);
	ear = log_listen(memory, "");
	heard[0] = '\0';
	fh_dirty_start(ram, FH_DIRTY_DISPLAY, NULL);
	assert_heard("begin() log0>1(0-fff ram+0) log0>1(2000-3fff ram+2000) commit() ");
	fh_dirty_start(ram, FH_DIRTY_DISPLAY, NULL);
	assert_heard("");
	fh_dirty_start(ram, FH_DIRTY_MIGRATION, NULL);
	assert_heard("begin() log1>3(0-fff ram+0) log1>3(2000-3fff ram+2000) commit() ");
	fh_dirty_global_start(m, FH_DIRTY_MIGRATION, NULL);
	fh_dirty_stop(ram, FH_DIRTY_MIGRATION);
	assert_heard("");
	fh_edit_begin(m);
	fh_dirty_global_stop(m, FH_DIRTY_MIGRATION);
	fh_dirty_start(ram, FH_DIRTY_CODE, NULL);
	fh_edit_commit(m);
	assert_heard("begin() log3>5(0-fff ram+0) unlog3>5(0-fff ram+0) log3>5(2000-3fff ram+2000) "
		     "unlog3>5(2000-3fff ram+2000) commit() ");
	/* There and back again is nothing. */
	fh_edit_begin(m);
	fh_dirty_start(ram, FH_DIRTY_USER0, NULL);
	fh_dirty_stop(ram, FH_DIRTY_USER0);
	fh_edit_commit(m);
	assert_heard("");
	fh_object_unref(ear);
}

static void additions_that_are_logged_are_followed_by_log_start(void **state)
{
	struct fh_region *ram = show_ram("ram", 0x1000, 0);
	struct fh_listener *ear, *late;

	(void)state;
	fh_dirty_start(ram, FH_DIRTY_MIGRATION, NULL);
	ear = log_listen(memory, "");
	assert_heard("begin() +(0-fff ram+0) +(ffffffffffffffff-ffffffffffffffff far+0) "
		     "log0>2(0-fff ram+0) batch() commit() ");
	fh_region_move(ram, 0x2000);
	assert_heard("begin() -(0-fff ram+0) +(2000-2fff ram+0) log0>2(2000-2fff ram+0) batch() "
		     "commit() ");
	/* Cut, and logged by others, in one transaction: the parts are new. */
	fh_edit_begin(m);
	fh_region_add(root, mmio("regs", 0x10), 0x2000, 1);
	fh_dirty_start(ram, FH_DIRTY_DISPLAY, NULL);
	fh_edit_commit(m);
	assert_heard("begin() -(2000-2fff ram+0) +(2000-200f regs+0) +(2010-2fff ram+10) "
		     "log0>3(2010-2fff ram+10) batch() commit() ");
	fh_region_remove(ram);
	assert_heard("begin() -(2010-2fff ram+10) batch() commit() ");
	fh_dirty_stop(ram, FH_DIRTY_DISPLAY);
	assert_heard("");
	fh_listener_destroy(ear);
	fh_object_unref(ear);
	heard[0] = '\0';
	late = listen(memory, 0, ""); /* without any such callbacks */
	fh_region_add(root, ram, 0, 0);
	assert_heard("begin() +(0-fff ram+0) commit() ");
	fh_dirty_stop(ram, FH_DIRTY_MIGRATION);
	assert_heard("begin() commit() ");
	fh_object_unref(late);
}

static void space_that_switches_tells_what_is_logged_otherwise(void **state)
{
	struct fh_region *ram = show_ram("ram", 0x1000, 0);
	struct fh_space *space = fh_space_new(m, "space", root);
	struct fh_region *other_root = keep(fh_region_new_container(m, NULL, FH_SIZE_ALL), "other");
	struct fh_region *far = keep(fh_region_new_mmio(m, NULL, 1, &no_ops, NULL), "edge");
	struct fh_region *alias = keep(fh_region_new_alias(m, NULL, ram, 0, 0x1000), "alias");
	struct fh_listener *ear;

	(void)state;
	fh_region_add(other_root, far, 0x10000, 0);
	fh_region_add(other_root, alias, 0, 0);
	ear = log_listen(space, "");
	heard[0] = '\0';
	fh_edit_begin(m);
	fh_space_set_root(space, other_root);
	fh_dirty_start(ram, FH_DIRTY_CODE, NULL);
	fh_edit_commit(m);
	assert_heard("begin() -(ffffffffffffffff-ffffffffffffffff far+0) +(10000-10000 edge+0) "
		     "log0>4(0-fff ram+0) batch() commit() ");
	fh_object_unref(ear);
	fh_object_unref(space);
}

static void bits_are_asked_for_where_the_region_shows(void **state)
{
	struct fh_region *ram = show_ram("ram", 0x8000, 0x10000);
	struct fh_region *alias = keep(fh_region_new_alias(m, NULL, ram, 0x4000, 0x2000), "alias");
	struct fh_listener *ear = log_listen(memory, "");
	struct fh_dirty_snapshot *snapshot;

	(void)state;
	fh_region_add(root, alias, 0x1000, 0);
	fh_dirty_start(ram, FH_DIRTY_MIGRATION, NULL);
	heard[0] = '\0';
	snapshot = fh_dirty_snapshot_take(ram, FH_DIRTY_MIGRATION, 0x5000, 0x2000, NULL);
	assert_heard("sync(2000-2fff ram+5000) sync(15000-16fff ram+5000) "
		     "clear(2000-2fff ram+5000) clear(15000-16fff ram+5000) ");
	assert_int_equal(fh_dirty_snapshot_pages(snapshot), 1);
	assert_true(fh_dirty_snapshot_test(snapshot, 0x5000, 1));
	fh_dirty_snapshot_free(snapshot);
	assert_true(fh_dirty_test_and_clear(ram, FH_DIRTY_MIGRATION, 0x7800, 1));
	assert_heard("sync(17000-17fff ram+7000) clear(17000-17fff ram+7000) ");
	/* Without bits there is nothing to clear. */
	fh_dirty_stop(ram, FH_DIRTY_MIGRATION);
	heard[0] = '\0';
	assert_false(fh_dirty_test_and_clear(ram, FH_DIRTY_MIGRATION, 0, 1));
	assert_heard("sync(10000-10fff ram+0) ");
	fh_listener_destroy(ear);
	fh_object_unref(ear);
	heard[0] = '\0';
	assert_false(fh_dirty_test_and_clear(ram, FH_DIRTY_MIGRATION, 0, 1));
	assert_heard("");
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

/* --- Edits in callbacks --------------------------------------------------------------------- */

static void every_edit(const struct fh_section *section)
{
	const struct fh_eventfd_match match = { .offset = 0 };
	struct fh_region *region = section->region;
	struct fh_error err = { 0 };

	assert_int_equal(fh_region_add(root, region, 0, 0), FH_EPERM);
	assert_int_equal(fh_region_remove(region), FH_EPERM);
	assert_int_equal(fh_region_remove(NULL), FH_EPERM);
	assert_int_equal(fh_region_move(region, 0), FH_EPERM);
	assert_int_equal(fh_region_set_priority(region, 1), FH_EPERM);
	assert_int_equal(fh_region_set_enabled(region, false), FH_EPERM);
	assert_int_equal(fh_region_resize(region, 1), FH_EPERM);
	assert_int_equal(fh_region_set_alias_offset(region, 1), FH_EPERM);
	assert_int_equal(fh_region_set_alias_target(region, NULL), FH_EPERM);
	assert_int_equal(fh_region_set_readonly(region, true), FH_EPERM);
	assert_int_equal(fh_region_set_nonvolatile(region, true), FH_EPERM);
	assert_int_equal(fh_region_set_rom_mode(region, true), FH_EPERM);
	assert_int_equal(fh_region_set_unmergeable(region, true), FH_EPERM);
	assert_int_equal(fh_region_add_coalesced(region, 0, 1), FH_EPERM);
	assert_int_equal(fh_region_clear_coalesced(region), FH_EPERM);
	assert_int_equal(fh_region_set_flush_coalesced(region, true), FH_EPERM);
	assert_int_equal(fh_space_set_root(memory, NULL), FH_EPERM);
	assert_int_equal(fh_dirty_start(region, FH_DIRTY_USER0, NULL), FH_EPERM);
	assert_int_equal(fh_dirty_global_start(m, FH_DIRTY_USER0, NULL), FH_EPERM);
	assert_null(fh_eventfd_new(m, region, &match, 0, &err));
	assert_int_equal(err.code, FH_EPERM);
	fh_error_clear(&err);
	assert_null(fh_region_new_ram(m, NULL, 0x1000, &err));
	assert_int_equal(err.code, FH_EPERM);
	fh_error_clear(&err);
	assert_null(fh_region_new_alias(m, NULL, region, 0, 1));
	assert_null(fh_space_new(m, NULL, region));
}

static void edit_in_section(void *state, const struct fh_section *section)
{
	every_edit(section);
	++*(unsigned *)state;
}

static void edit_in_space(void *state, struct fh_space *space)
{
	struct fh_section section = { .region = root };

	(void)space;
	edit_in_section(state, &section);
}

static void edit_in_log(void *state, const struct fh_section *section, uint8_t old_mask)
{
	(void)old_mask;
	edit_in_section(state, section);
}

static void edit_in_batch(void *state, const struct fh_section *removed, size_t removed_count,
			  const struct fh_section *added, size_t added_count)
{
	edit_in_section(state, removed_count ? removed : added);
	(void)added_count;
}

static void edit_in_event(void *state, const struct fh_section *section,
			  const struct fh_eventfd_match *match, int fd)
{
	(void)match, (void)fd;
	edit_in_section(state, section);
}

static void edits_in_every_callback_are_refused_and_change_nothing(void **state)
{
	const struct fh_listener_ops ops = {
		.begin = edit_in_space, .remove = edit_in_section, .keep = edit_in_section,
		.add = edit_in_section, .batch = edit_in_batch, .commit = edit_in_space,
		.log_start = edit_in_log, .log_stop = edit_in_log, .log_sync = edit_in_section,
		.log_clear = edit_in_section, .eventfd_add = edit_in_event,
		.eventfd_del = edit_in_event, .coalesced_add = edit_in_section,
		.coalesced_del = edit_in_section,
	};
	const struct fh_eventfd_match match = { .offset = 4 };
	struct fh_region *ram = show_ram("ram", 0x1000, 0x1000), *regs = mmio("regs", 0x10);
	unsigned edits = 0;
	struct fh_listener *ear = fh_listener_new(m, memory, 0, &ops, &edits);
	struct fh_eventfd *eventfd;

	(void)state;
	assert_int_equal(edits, 5);
	fh_region_add(root, regs, 0, 0);
	assert_int_equal(edits, 11);
	eventfd = fh_eventfd_new(m, regs, &match, 0, NULL);
	assert_non_null(eventfd);
	fh_region_add_coalesced(regs, 0, 4);
	edits = 0;
	fh_region_clear_coalesced(regs);
	fh_object_unref(eventfd);
	fh_dirty_start(ram, FH_DIRTY_CODE, NULL);
	fh_dirty_mark(ram, 0, 1);
	fh_dirty_test_and_clear(ram, FH_DIRTY_CODE, 0, 1);
	fh_dirty_stop(ram, FH_DIRTY_CODE);
	assert_int_equal(edits, 4 * 6 + 2);
	fh_region_remove(regs);
	assert_flat(memory, "1000-1fff ram+0, ffffffffffffffff-ffffffffffffffff far+0");
	fh_object_unref(ear);
}

static void destroy_a_region(void *state, const struct fh_section *section)
{
	(void)state;
	fh_region_destroy(section->region);
}

static void dispose_from_a_listener(void)
{
	const struct fh_listener_ops ops = { .add = destroy_a_region };

	setup(NULL);
	fh_listener_new(m, memory, 0, &ops, NULL);
}

static void begin_a_transaction(void *state, struct fh_space *space)
{
	(void)state, (void)space;
	fh_edit_begin(m);
}

static void begin_from_a_listener(void)
{
	const struct fh_listener_ops ops = { .commit = begin_a_transaction };

	setup(NULL);
	fh_listener_new(m, memory, 0, &ops, NULL);
}

static void transactions_and_deaths_in_a_listener_are_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(dispose_from_a_listener, "FH_HELD_LISTENER"));
	assert_true(dies_saying(begin_from_a_listener, "FH_HELD_LISTENER"));
}

/* --- Listeners that come and go in callbacks ------------------------------------------------- */

enum phase { BEGIN, REMOVE, ADD, BATCH, COMMIT, LOG_START, LOG_SYNC, EVENTFD, PHASES };

/* What the one in the middle does, in which phase, once. */
static struct plan {
	enum phase phase;
	struct fh_listener **destroy; /* NULL: it makes one, `made` */
	struct fh_listener *made;
	bool armed;
} plan;

static void act(const char *name, enum phase phase)
{
	if (!plan.armed || plan.phase != phase || strcmp(name, "b") != 0)
		return;
	plan.armed = false;
	if (!plan.destroy) {
		plan.made = new_ear(m, memory, -1, "n");
		assert_non_null(plan.made);
		return;
	}
	fh_listener_destroy(*plan.destroy);
	fh_object_unref(*plan.destroy); /* not even a ref of the caller's is left */
	*plan.destroy = NULL;
}

static void actor_begin(void *state, struct fh_space *space)
{
	ear_begin(state, space);
	act(state, BEGIN);
}

static void actor_remove(void *state, const struct fh_section *section)
{
	ear_remove(state, section);
	act(state, REMOVE);
}

static void actor_add(void *state, const struct fh_section *section)
{
	ear_add(state, section);
	act(state, ADD);
}

static void actor_batch(void *state, const struct fh_section *removed, size_t removed_count,
			const struct fh_section *added, size_t added_count)
{
	log_ear_batch(state, removed, removed_count, added, added_count);
	act(state, BATCH);
}

static void actor_commit(void *state, struct fh_space *space)
{
	ear_commit(state, space);
	act(state, COMMIT);
}

static void actor_log_start(void *state, const struct fh_section *section, uint8_t old_mask)
{
	(void)section, (void)old_mask;
	act(state, LOG_START);
}

static void actor_log_sync(void *state, const struct fh_section *section)
{
	(void)section;
	act(state, LOG_SYNC);
}

static void actor_eventfd(void *state, const struct fh_section *section,
			  const struct fh_eventfd_match *match, int fd)
{
	(void)section, (void)match, (void)fd;
	act(state, EVENTFD);
}

static const struct fh_listener_ops actor_ops = {
	.begin = actor_begin, .remove = actor_remove, .add = actor_add, .batch = actor_batch,
	.commit = actor_commit, .log_start = actor_log_start, .log_sync = actor_log_sync,
	.eventfd_add = actor_eventfd, .eventfd_del = actor_eventfd,
};

static struct fh_listener *actors[3];
static struct fh_region *moving;

static void actors_begin(void)
{
	moving = show_ram("ram", 0x1000, 0);
	for (unsigned i = 0; i < 3; i++)
		actors[i] = fh_listener_new(m, memory, (int)i, &actor_ops,
					    (void *)(uintptr_t)(i == 0 ? "a" : i == 1 ? "b" : "c"));
}

static void actors_end(void)
{
	for (unsigned i = 0; i < 3; i++)
		fh_object_unref(actors[i]);
}

/* Something that has every phase before or at which the plan is carried out. */
static void change(enum phase phase)
{
	const struct fh_eventfd_match match = { .offset = 0 };
	struct fh_region *regs;

	switch (phase) {
	case LOG_START:
		fh_dirty_start(moving, FH_DIRTY_CODE, NULL);
		break;
	case LOG_SYNC:
		fh_dirty_test_and_clear(moving, FH_DIRTY_CODE, 0, 1);
		break;
	case EVENTFD:
		regs = mmio("bell", 0x10);
		fh_region_add(root, regs, 0x9000, 0);
		heard[0] = '\0';
		plan.armed = true;
		fh_object_unref(fh_eventfd_new(m, regs, &match, 0, NULL));
		break;
	default:
		fh_region_move(moving, 0x4000);
		break;
	}
}

#define FAR "(ffffffffffffffff-ffffffffffffffff far+0) "

static const char *shown_after(enum phase phase, char sign, const char *name)
{
	static char text[2][512];
	static unsigned turn;
	char *at = text[turn++ % 2];

	if (phase <= COMMIT)
		snprintf(at, sizeof(text[0]), "%s%c(4000-4fff ram+0) %s%c" FAR, name, sign, name,
			 sign);
	else if (phase == EVENTFD)
		snprintf(at, sizeof(text[0]), "%s%c(0-fff ram+0) %s%c(9000-900f bell+0) %s%c" FAR,
			 name, sign, name, sign, name, sign);
	else
		snprintf(at, sizeof(text[0]), "%s%c(0-fff ram+0) %s%c" FAR, name, sign, name, sign);
	return at;
}

/* What the three hear of the change by itself. */
static const char *story_of(enum phase phase)
{
	if (phase <= COMMIT)
		return "abegin() bbegin() cbegin() c-(0-fff ram+0) b-(0-fff ram+0) a-(0-fff ram+0) "
		       "a+(4000-4fff ram+0) b+(4000-4fff ram+0) c+(4000-4fff ram+0) "
		       "abatch() bbatch() cbatch() acommit() bcommit() ccommit() ";
	return phase == LOG_SYNC ? "" : "abegin() bbegin() cbegin() acommit() bcommit() ccommit() ";
}

static void one_disposed_of_in_any_phase_hears_the_commit_and_then_its_undoing(void **state)
{
	static const char *const names[] = { "a", "b", "c" };

	for (unsigned phase = 0; phase < PHASES; phase++) {
		for (unsigned victim = 0; victim < 3; victim++) {
			char expected[2048];

			actors_begin();
			heard[0] = '\0';
			plan = (struct plan){
				.phase = phase, .destroy = &actors[victim], .armed = true
			};
			change(phase);
			assert_false(plan.armed);
			assert_null(actors[victim]);
			snprintf(expected, sizeof(expected), "%s%sbegin() %s%sbatch() %scommit() ",
				 phase == EVENTFD ? "abegin() bbegin() cbegin() acommit() "
						    "bcommit() ccommit() " :
						    story_of(phase),
				 names[victim], shown_after(phase, '-', names[victim]),
				 names[victim], names[victim]);
			/* The eventfd is gone again, which those that are left hear. */
			heard[strlen(expected)] = '\0';
			assert_heard(expected);
			actors_end();
			teardown(NULL);
			setup(state);
		}
	}
}

static void one_made_in_any_phase_hears_the_map_after_the_commit(void **state)
{
	for (unsigned phase = 0; phase < PHASES; phase++) {
		char expected[2048];

		actors_begin();
		heard[0] = '\0';
		plan = (struct plan){ .phase = phase, .armed = true };
		change(phase);
		snprintf(expected, sizeof(expected), "%snbegin() %sncommit() ", story_of(phase),
			 shown_after(phase, '+', "n"));
		heard[strlen(expected)] = '\0';
		assert_heard(expected);
		/* It is one of them from then on. */
		fh_region_set_enabled(moving, false);
		assert_non_null(strstr(heard, "nbegin() abegin() "));
		fh_object_unref(plan.made);
		actors_end();
		teardown(NULL);
		setup(state);
	}
}

/* Makes one and disposes of it, or disposes of itself, while it is told that it has joined. */
static struct fh_listener *hasty;

static void hasty_add(void *state, const struct fh_section *section)
{
	ear_add(state, section);
	if (!plan.made) {
		plan.made = new_ear(m, memory, 0, "never");
		fh_object_unref(plan.made);
	}
}

static void one_made_and_disposed_of_in_one_callback_hears_nothing(void **state)
{
	const struct fh_listener_ops ops = { .add = hasty_add };
	char name[] = "h";

	(void)state;
	plan = (struct plan){ 0 };
	hasty = fh_listener_new(m, memory, 0, &ops, name);
	assert_heard("h+" FAR);
	fh_object_unref(hasty);
}

static void leave_at_once(void *state, struct fh_space *space)
{
	ear_commit(state, space);
	hasty = fh_listener_destroy(hasty);
}

static void one_that_is_told_all_alone_may_leave_in_it(void **state)
{
	const struct fh_listener_ops ops = {
		.begin = ear_begin, .remove = ear_remove, .commit = leave_at_once
	};
	struct fh_space *other = fh_space_new(m, NULL, root);
	char name[] = "x";
	struct fh_listener *ear;

	(void)state;
	hasty = NULL;
	ear = fh_listener_new(m, other, 0, &ops, name);
	heard[0] = '\0';
	hasty = ear;
	/* Its space goes, which it is told all alone. */
	fh_object_unref(other);
	assert_heard("xbegin() x-" FAR "xcommit() ");
	assert_null(hasty);
	fh_object_unref(ear);
	assert_heard("");
}

static void space_that_lost_its_listener_in_a_callback_hides_no_other(void **state)
{
	struct fh_space *other = fh_space_new(m, NULL, root);
	struct fh_listener *stays = listen(memory, 0, "s");
	struct fh_listener *goes =
		fh_listener_new(m, other, 0, &actor_ops, (void *)(uintptr_t)"b");

	(void)state;
	plan = (struct plan){ .phase = ADD, .destroy = &goes, .armed = true };
	fh_region_add(root, mmio("one", 0x10), 0, 0);
	assert_null(goes);
	heard[0] = '\0';
	fh_region_add(root, mmio("two", 0x10), 0x20, 0);
	assert_heard("sbegin() s+(20-2f two+0) scommit() ");
	fh_object_unref(stays);
	fh_object_unref(other);
}

static void listener_whose_space_ends_before_it_could_depart_is_told_once(void **state)
{
	struct fh_space *other = fh_space_new(m, NULL, root);
	struct fh_listener *first, *second;
	char a[] = "a";

	(void)state;
	moving = show_ram("ram", 0x1000, 0);
	fh_dirty_start(moving, FH_DIRTY_CODE, NULL);
	first = fh_listener_new(m, memory, 0, &actor_ops, (void *)(uintptr_t)"b");
	second = fh_listener_new(m, other, 0, &actor_ops, a);
	heard[0] = '\0';
	fh_edit_begin(m);
	plan = (struct plan){ .phase = ADD, .destroy = &second, .armed = true };
	fh_object_unref(first);
	/* Joining tells it at once, in the transaction. */
	first = fh_listener_new(m, memory, 0, &actor_ops, (void *)(uintptr_t)"b");
	assert_null(second);
	fh_object_unref(other);
	heard[0] = '\0';
	fh_edit_commit(m);
	assert_heard("bbegin() b-(0-fff ram+0) b-" FAR "bbatch() bcommit() "
		     "abegin() a-(0-fff ram+0) a-" FAR "abatch() acommit() ");
	fh_object_unref(first);
}

static void look_around(void *state, struct fh_space *space)
{
	*(bool *)state = fh_region_get_info(fh_space_root(space)).enabled;
}

static void listener_may_look_at_regions(void **state)
{
	const struct fh_listener_ops ops = { .begin = look_around };
	bool enabled = false;
	struct fh_listener *ear = fh_listener_new(m, memory, 0, &ops, &enabled);

	(void)state;
	assert_true(enabled);
	fh_object_unref(ear);
}

int main(void)
{
#define listener_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		/* First: it forks. */
		cmocka_unit_test(transactions_and_deaths_in_a_listener_are_asserted),
		listener_test(what_stays_is_told_to_who_asks),
		listener_test(edits_in_every_callback_are_refused_and_change_nothing),
		listener_test(one_disposed_of_in_any_phase_hears_the_commit_and_then_its_undoing),
		listener_test(one_made_in_any_phase_hears_the_map_after_the_commit),
		listener_test(one_made_and_disposed_of_in_one_callback_hears_nothing),
		listener_test(one_that_is_told_all_alone_may_leave_in_it),
		listener_test(space_that_lost_its_listener_in_a_callback_hides_no_other),
		listener_test(listener_whose_space_ends_before_it_could_depart_is_told_once),
		listener_test(joining_replays_the_map_and_leaving_undoes_it),
		listener_test(removals_come_before_additions_and_what_stays_is_not_told),
		listener_test(change_of_attributes_is_a_removal_and_an_addition),
		listener_test(logging_is_told_as_such_and_nothing_is_removed_or_added),
		listener_test(additions_that_are_logged_are_followed_by_log_start),
		listener_test(space_that_switches_tells_what_is_logged_otherwise),
		listener_test(bits_are_asked_for_where_the_region_shows),
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
		listener_test(listener_may_look_at_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
