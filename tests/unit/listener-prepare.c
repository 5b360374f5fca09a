/* SPDX-License-Identifier: MIT */
/*
 * What listeners are told of a commit before anything of it is published.
 */
#include "support/flat.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <freehold/dirty.h>

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *root;
static char heard[4096];

static const struct fh_region_ops no_ops = { .concurrent = true };

static int setup(void **state)
{
	(void)state;
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	root = fh_space_root(memory);
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

/* --- Two that write down what they hear, and what their spaces show then --------------------- */

struct ear {
	const char *name;
	struct fh_space *space;
};

static void say(const struct ear *ear, const char *before, const char *text, const char *after)
{
	const char *parts[] = { ear->name, before, text, after };

	for (unsigned i = 0; i < 4; i++) {
		assert_true(strlen(heard) + strlen(parts[i]) < sizeof(heard));
		strcat(heard, parts[i]);
	}
}

static void hear(const struct ear *ear, const char *what, const struct fh_section *sections,
		 size_t count)
{
	struct flat flat = { .used = 0 };

	for (size_t i = 0; i < count; i++)
		flat_add(&flat, &sections[i]);
	if (count > 0)
		say(ear, what, flat.text, ") ");
}

static void ear_prepare(void *state, const struct fh_space_change *change)
{
	const struct ear *ear = state;

	say(ear, "of [", flat_of(ear->space).text, "] ");
	hear(ear, "-(", change->removed, change->removed_count);
	hear(ear, "+(", change->added, change->added_count);
	hear(ear, "-fd(", change->eventfds_removed, change->eventfds_removed_count);
	hear(ear, "+fd(", change->eventfds_added, change->eventfds_added_count);
}

static void ear_commit(void *state, struct fh_space *space)
{
	say(state, "now [", flat_of(space).text, "] ");
}

static const struct fh_listener_ops ops = { .prepare = ear_prepare, .commit = ear_commit };

#define assert_heard(expected)                      \
	do {                                        \
		assert_string_equal(heard, expected); \
		heard[0] = '\0';                    \
	} while (0)

/* --- What, and when -------------------------------------------------------------------------- */

static void all_are_told_before_any_view_is_published(void **state)
{
	struct fh_region *other_root = keep(fh_region_new_container(m, NULL, 0x1000), "other");
	struct fh_region *regs = mmio("regs", 0x10);
	struct ear ears[2] = { { "m:", memory }, { "o:", NULL } };
	struct fh_listener *listeners[2];

	(void)state;
	ears[1].space = fh_space_new(m, NULL, other_root);
	fh_region_add(root, mmio("far", 1), 0x2000, 0);
	fh_region_add(root, regs, 0, 0);
	fh_region_add(other_root, keep(fh_region_new_alias(m, NULL, regs, 0, 0x10), "w"), 0x20, 0);
	for (unsigned i = 0; i < 2; i++)
		listeners[i] = fh_listener_new(m, ears[i].space, 0, &ops, &ears[i]);
	/* Those that join are told nothing before. */
	assert_heard("m:now [0-f regs+0, 2000-2000 far+0] o:now [20-2f regs+0] ");
	fh_region_resize(regs, 8);
	assert_heard("m:of [0-f regs+0, 2000-2000 far+0] m:-(0-f regs+0) m:+(0-7 regs+0) "
		     "o:of [20-2f regs+0] o:-(20-2f regs+0) o:+(20-27 regs+0) "
		     "m:now [0-7 regs+0, 2000-2000 far+0] o:now [20-27 regs+0] ");
	fh_region_move(regs, 0x100); /* only one of them sees that */
	assert_heard("m:of [0-7 regs+0, 2000-2000 far+0] m:-(0-7 regs+0) m:+(100-107 regs+0) "
		     "m:now [100-107 regs+0, 2000-2000 far+0] ");
	fh_object_unref(listeners[0]);
	assert_heard("m:of [100-107 regs+0, 2000-2000 far+0] "
		     "m:-(100-107 regs+0, 2000-2000 far+0) "
		     "m:now [100-107 regs+0, 2000-2000 far+0] ");
	fh_object_unref(ears[1].space);
	assert_heard("o:of [20-27 regs+0] o:-(20-27 regs+0) o:now [] ");
	fh_object_unref(listeners[1]);
	assert_heard("");
}

static void space_that_switches_is_told_the_difference_of_two_views(void **state)
{
	struct fh_region *a = mmio("a", 0x10), *b = mmio("b", 0x20);
	struct ear ear = { "", fh_space_new(m, NULL, a) };
	struct fh_listener *listener = fh_listener_new(m, ear.space, 0, &ops, &ear);

	(void)state;
	heard[0] = '\0';
	fh_space_set_root(ear.space, b);
	assert_heard("of [0-f a+0] -(0-f a+0) +(0-1f b+0) now [0-1f b+0] ");
	fh_edit_begin(m);
	fh_space_set_root(ear.space, a);
	fh_region_resize(a, 0x30); /* a view that is made in this commit, and has changed */
	fh_edit_commit(m);
	assert_heard("of [0-1f b+0] -(0-1f b+0) +(0-2f a+0) now [0-2f a+0] ");
	fh_space_set_root(ear.space, NULL);
	assert_heard("of [0-2f a+0] -(0-2f a+0) now [] ");
	fh_object_unref(listener);
	fh_object_unref(ear.space);
	assert_heard("now [] ");
}

static struct fh_eventfd *watch(struct fh_region *region, uint64_t offset, unsigned size)
{
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct fh_eventfd *made = fh_eventfd_new(
		m, region, &(struct fh_eventfd_match){ .offset = offset, .size = size }, fd, NULL);

	close(fd);
	assert_non_null(made);
	return made;
}

static void eventfds_that_go_and_come_are_among_it(void **state)
{
	struct fh_region *regs = mmio("regs", 0x10);
	struct ear ear = { "", memory };
	struct fh_listener *listener = fh_listener_new(m, memory, 0, &ops, &ear);
	struct fh_eventfd *first, *second;

	(void)state;
	fh_region_add(root, mmio("far", 1), 0x2000, 0);
	fh_region_add(root, regs, 0, 0);
	fh_region_add_coalesced(regs, 0xc, 2);
	heard[0] = '\0';
	first = watch(regs, 4, 4);
	assert_heard("of [0-f regs+0, 2000-2000 far+0] +fd(4-7 regs+4) "
		     "now [0-f regs+0, 2000-2000 far+0] ");
	fh_edit_begin(m);
	second = watch(regs, 0, 0);
	fh_object_unref(first);
	fh_edit_commit(m);
	assert_heard("of [0-f regs+0, 2000-2000 far+0] -fd(4-7 regs+4) +fd(0-0 regs+0) "
		     "now [0-f regs+0, 2000-2000 far+0] ");
	fh_region_move(regs, 0x10);
	assert_heard("of [0-f regs+0, 2000-2000 far+0] -(0-f regs+0) +(10-1f regs+0) "
		     "-fd(0-0 regs+0) +fd(10-10 regs+0) now [10-1f regs+0, 2000-2000 far+0] ");
	fh_object_unref(second);
	fh_object_unref(listener);
}

static void who_logs_is_not_announced(void **state)
{
	struct fh_region *ram = keep(fh_region_new_ram(m, NULL, 0x1000, NULL), "ram");
	struct ear ear = { "", memory };
	struct fh_listener *listener = fh_listener_new(m, memory, 0, &ops, &ear);

	(void)state;
	fh_region_add(root, ram, 0x1000, 0);
	heard[0] = '\0';
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_USER0, NULL), FH_OK);
	assert_heard("now [1000-1fff ram+0] ");
	fh_dirty_stop(ram, FH_DIRTY_USER0);
	fh_object_unref(listener);
}

/* --- What is done in it ----------------------------------------------------------------------- */

static struct fh_listener *made, *doomed;
static struct ear made_ear = { "new:", NULL }, doomed_ear = { "old:", NULL };

static void meddle(void *state, const struct fh_space_change *change)
{
	assert_int_equal(fh_region_move(state, 0x80), FH_EPERM);
	if (made)
		return;
	assert_int_equal(change->added_count, 1);
	made = fh_listener_new(m, memory, 0, &ops, &made_ear);
	fh_object_unref(doomed);
}

static void listeners_made_and_disposed_of_in_it_hear_whole_stories(void **state)
{
	static const struct fh_listener_ops meddling = { .prepare = meddle };
	struct fh_region *regs = mmio("regs", 0x10);
	struct fh_listener *meddler;

	(void)state;
	made = NULL;
	made_ear.space = doomed_ear.space = memory;
	fh_region_add(root, mmio("far", 1), 0x2000, 0);
	meddler = fh_listener_new(m, memory, -1, &meddling, regs);
	doomed = fh_listener_new(m, memory, 0, &ops, &doomed_ear);
	heard[0] = '\0';
	fh_region_add(root, regs, 0, 0);
	assert_heard("old:of [2000-2000 far+0] old:+(0-f regs+0) "
		     "old:now [0-f regs+0, 2000-2000 far+0] old:now [0-f regs+0, 2000-2000 far+0] "
		     "new:now [0-f regs+0, 2000-2000 far+0] ");
	fh_object_unref(meddler);
	fh_region_move(regs, 0x10);
	assert_heard("new:of [0-f regs+0, 2000-2000 far+0] new:-(0-f regs+0) new:+(10-1f regs+0) "
		     "new:now [10-1f regs+0, 2000-2000 far+0] ");
	fh_object_unref(made);
}

/* -------------------------------------------------------------------------------------------- */

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(all_are_told_before_any_view_is_published),
		test(space_that_switches_is_told_the_difference_of_two_views),
		test(eventfds_that_go_and_come_are_among_it),
		test(who_logs_is_not_announced),
		test(listeners_made_and_disposed_of_in_it_hear_whole_stories),
	};

	return cmocka_run_group_tests_name("listener-prepare", tests, NULL, NULL);
}
