/* SPDX-License-Identifier: MIT */
/*
 * What listeners may do in their callbacks: look, make and dispose of listeners; nothing else.
 */
#include "support/ear.h"

#include "support/dies.h"

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
		cmocka_unit_test(transactions_and_deaths_in_a_listener_are_asserted), /* first: it forks */
		listener_test(edits_in_every_callback_are_refused_and_change_nothing),
		listener_test(one_disposed_of_in_any_phase_hears_the_commit_and_then_its_undoing),
		listener_test(one_made_in_any_phase_hears_the_map_after_the_commit),
		listener_test(one_made_and_disposed_of_in_one_callback_hears_nothing),
		listener_test(one_that_is_told_all_alone_may_leave_in_it),
		listener_test(space_that_lost_its_listener_in_a_callback_hides_no_other),
		listener_test(listener_whose_space_ends_before_it_could_depart_is_told_once),
		listener_test(listener_may_look_at_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
