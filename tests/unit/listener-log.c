/* SPDX-License-Identifier: MIT */
/*
 * What listeners are told of dirty logging: who logs what, and that bits are wanted.
 */
#include "support/ear.h"

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

int main(void)
{
#define listener_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		listener_test(logging_is_told_as_such_and_nothing_is_removed_or_added),
		listener_test(additions_that_are_logged_are_followed_by_log_start),
		listener_test(space_that_switches_tells_what_is_logged_otherwise),
		listener_test(bits_are_asked_for_where_the_region_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
