/* SPDX-License-Identifier: MIT */
/*
 * Who is told of a death, and who can still find the dead (L5): weak references, watches that are
 * removed while they are told, names and paths; and races in which nothing that was on its way out
 * comes back.
 */
#include "support/probe.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/point.h"

#define BASE UINT64_C(0x10000000)
#define CANARY UINT32_C(0x11feb10d)

struct thing {
	uint32_t canary;
	_Atomic unsigned serial; /* the test's */
	_Atomic unsigned disposed, finalized;
	void (*dispose)(struct fh_object *object);
	void (*finalize)(struct fh_object *object);
};

static enum fh_code thing_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)object;
	(void)err;
	((struct thing *)state)->canary = CANARY;
	return FH_OK;
}

static void thing_dispose(struct fh_object *object, void *state)
{
	struct thing *thing = state;

	CHECK(thing->canary == CANARY && thing->disposed++ == 0);
	if (thing->dispose)
		thing->dispose(object);
}

static void thing_finalize(struct fh_object *object, void *state)
{
	struct thing *thing = state;

	CHECK(thing->canary == CANARY && thing->disposed == 1 && thing->finalized++ == 0);
	CHECK(!fh_object_try_ref(object));
	if (thing->finalize)
		thing->finalize(object);
	thing->canary = 0;
}

static const struct fh_type thing_type = {
	.name = "thing",
	.state_size = sizeof(struct thing),
	.init = thing_init,
	.dispose = thing_dispose,
	.finalize = thing_finalize,
};

static struct thing *thing_of(struct fh_object *object)
{
	return fh_object_state(object, &thing_type);
}

static struct fh_object *thing_new(FH_ANY parent, const char *name)
{
	struct fh_object *object = fh_object_new_child(parent, name, &thing_type, NULL);

	assert_non_null(object);
	return object;
}

/* Of a machine that has nothing else. */
static void finish(struct fh_machine *m)
{
	machine_check_alive(m, 0);
	machine_end(m);
}

static int reset_points(void **unused)
{
	(void)unused;
	fh_point_release_all();
	return 0;
}

/* --- Weak references ------------------------------------------------------------------------ */

static void weak_reference_reads_as_nothing_once_dispose_is_asked_for(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = thing_new(m, "x"), *got;
	struct fh_weak *weak = fh_weak_new(object), *other = fh_weak_new(object);

	(void)unused;
	got = fh_weak_get(weak);
	assert_ptr_equal(got, object);
	/* Somebody has a ref, and the dispose is queued, as in a section: it reads as nothing. */
	fh_read_begin();
	fh_object_dispose(object);
	assert_null(fh_weak_get(weak));
	fh_read_end();
	fh_machine_drain(m);
	assert_null(fh_weak_get(weak));
	fh_object_unref(got);
	fh_machine_drain(m);
	/* Freed with and without its target; one that is made of the dead reads as nothing. */
	fh_weak_free(weak);
	fh_weak_free(other);
	object = fh_object_ref(thing_new(m, "x"));
	weak = fh_weak_new(object);
	fh_weak_free(weak);
	fh_object_dispose(object);
	weak = fh_weak_new(object);
	assert_null(fh_weak_get(weak));
	fh_object_unref(object);
	finish(m);
	/* It outlives the machine. */
	assert_null(fh_weak_get(weak));
	fh_weak_free(weak);
}

/* The last ref goes: the same for what has never been in the tree. */
static void weak_reference_does_not_keep(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = fh_object_new(m, &thing_type, NULL);
	struct fh_weak *weak = fh_weak_new(object);

	(void)unused;
	fh_object_unref(object);
	assert_null(fh_weak_get(weak));
	machine_check_alive(m, 0);
	fh_weak_free(weak);
	finish(m);
}

/* --- Watches -------------------------------------------------------------------------------- */

struct tale {
	struct fh_watch *watch;
	struct fh_object *target; /* as it was told */
	unsigned told;
	struct tale *removes;	  /* in its callback: itself, or another */
	struct fh_object *disposes;
};

static void tell(struct fh_object *target, void *state)
{
	struct tale *tale = state;

	CHECK(tale->told++ == 0);
	CHECK(thing_of(target)->canary == CANARY && thing_of(target)->disposed == 0);
	CHECK(fh_object_is_disposed(target));
	tale->target = target;
	if (tale->removes)
		tale->removes->watch = fh_watch_remove(tale->removes->watch);
	if (tale->disposes)
		fh_object_dispose(tale->disposes);
}

static void watch(struct tale *tale, struct fh_object *target, struct fh_object *holder)
{
	tale->watch = fh_object_watch(target, holder, tell, tale);
	assert_non_null(tale->watch);
}

static void watch_is_told_once_after_the_drain(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = fh_object_ref(thing_new(m, "x"));
	struct fh_object *holder = thing_new(m, "holder");
	struct tale tale = { 0 };

	(void)unused;
	watch(&tale, object, holder);
	fh_object_dispose(object);
	assert_int_equal(tale.told, 1);
	assert_ptr_equal(tale.target, object);
	fh_object_dispose(object);
	fh_object_unref(object);
	fh_machine_drain(m);
	assert_int_equal(tale.told, 1);
	/* Told already: removing it does no harm. */
	fh_watch_remove(tale.watch);
	fh_object_dispose(holder);
	finish(m);
}

static void watch_may_be_removed_in_its_own_callback(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = thing_new(m, "x"), *holder = thing_new(m, "holder");
	struct tale tale = { .removes = &tale };

	(void)unused;
	watch(&tale, object, holder);
	fh_object_dispose(object);
	assert_int_equal(tale.told, 1);
	assert_null(tale.watch);
	fh_object_dispose(holder);
	finish(m);
}

/* Whichever is told first removes the other. */
static void watch_removed_by_anothers_callback_is_not_told(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = thing_new(m, "x");
	struct fh_object *holders[2] = { thing_new(m, "a"), thing_new(m, "b") };
	struct tale tales[2] = { { .removes = &tales[1] }, { .removes = &tales[0] } };

	(void)unused;
	watch(&tales[0], object, holders[0]);
	watch(&tales[1], object, holders[1]);
	fh_object_dispose(object);
	assert_int_equal(tales[0].told + tales[1].told, 1);
	fh_watch_remove(tales[0].watch);
	fh_watch_remove(tales[1].watch);
	fh_object_dispose(holders[0]);
	fh_object_dispose(holders[1]);
	finish(m);
}

static void run_dispose(void *arg)
{
	fh_object_dispose((struct fh_object *)arg);
}

/* Control has the watch in its hands, and has not called yet. */
static void watch_may_be_removed_while_it_is_being_told(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = thing_new(m, "x"), *holder = thing_new(m, "holder");
	struct tale tale = { 0 }, other = { 0 };
	struct worker undertaker;

	(void)unused;
	watch(&tale, object, holder);
	fh_point_arm("watch.taken");
	worker_start(&undertaker, run_dispose, object);
	assert_true(fh_point_wait("watch.taken"));
	fh_watch_remove(tale.watch);
	watch(&other, holder, holder); /* in the memory of the first, maybe */
	fh_point_release("watch.taken");
	worker_join(&undertaker);
	assert_int_equal(tale.told, 1);
	assert_int_equal(other.told, 0);
	fh_object_dispose(holder);
	finish(m);
}

static void look_at(struct fh_object *target, void *state)
{
	unsigned *told = state;

	CHECK(fh_object_is_disposed(target));
	++*told;
}

/* A region leaves its dying device by itself, when control has its watch in its hands. */
static void target_is_there_while_it_is_told_of(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = thing_new(m, "x"), *holder = thing_new(m, "holder");
	struct fh_region *region = fh_region_new_container(object, "region", 0x1000);
	struct worker undertaker;
	unsigned told = 0;

	(void)unused;
	assert_non_null(fh_object_watch(region, holder, look_at, &told));
	fh_point_arm("watch.taken");
	worker_start(&undertaker, run_dispose, object);
	assert_true(fh_point_wait("watch.taken"));
	const uint64_t died = fh_ledger_read(m).died;

	fh_object_dispose(region);
	assert_false(worker_done_within(&undertaker, 50));
	assert_int_equal(fh_ledger_read(m).died, died);
	fh_point_release("watch.taken");
	worker_join(&undertaker);
	assert_int_equal(told, 1);
	fh_object_dispose(holder);
	finish(m);
}

static void watch_of_a_holder_that_died_first_is_not_told(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = fh_object_ref(thing_new(m, "x"));
	struct fh_object *holder = fh_object_ref(thing_new(m, "holder"));
	struct tale tales[3] = { 0 };

	(void)unused;
	for (int i = 0; i < 3; i++)
		watch(&tales[i], object, holder);
	fh_object_dispose(holder);
	/* It can be removed as long as the holder's memory is there. */
	fh_watch_remove(tales[0].watch);
	fh_object_dispose(object);
	fh_watch_remove(tales[1].watch);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tales[i].told, 0);
	assert_null(fh_object_watch(object, holder, tell, NULL));
	fh_object_unref(object);
	fh_object_unref(holder);
	finish(m);
}

/* Who goes with the target is not told of it. */
static void watch_of_a_holder_that_dies_with_the_target_is_not_told(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *parent = thing_new(m, "parent"), *child = thing_new(parent, "child");
	struct tale of_parent = { 0 }, of_child = { 0 }, of_self = { 0 };

	(void)unused;
	watch(&of_parent, parent, child);
	watch(&of_child, child, parent);
	watch(&of_self, parent, parent);
	fh_object_dispose(parent);
	assert_int_equal(of_parent.told + of_child.told + of_self.told, 0);
	finish(m);
}

/* Each death asks for the next, from its watch. */
static void watches_pass_a_death_on(void **unused)
{
	enum { COUNT = 20 };
	struct fh_machine *m = machine_begin();
	struct fh_object *things[COUNT], *holder = thing_new(m, "holder");
	struct tale tales[COUNT];

	(void)unused;
	memset(tales, 0, sizeof(tales));
	for (int i = 0; i < COUNT; i++)
		things[i] = thing_new(m, NULL);
	for (int i = 0; i < COUNT; i++) {
		watch(&tales[i], things[i], holder);
		tales[i].disposes = i + 1 < COUNT ? things[i + 1] : holder;
	}
	fh_object_dispose(things[0]);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(tales[i].told, 1);
	finish(m);
}

static void watch_of_the_last_ref_is_told(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = fh_object_new(m, &thing_type, NULL);
	struct fh_object *holder = thing_new(m, "holder");
	struct tale tale = { 0 };

	(void)unused;
	watch(&tale, object, holder);
	fh_object_unref(object);
	assert_int_equal(tale.told, 1); /* there and then: it was never shown */
	fh_object_dispose(holder);
	finish(m);
}

static void count_told(struct fh_object *target, void *state)
{
	CHECK(fh_object_is_disposed(target));
	++*(unsigned *)state;
}

/* What ends in any callback is told of by control. */
static void watch_of_a_region_is_told_by_control(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *region = fh_region_new_container(m, NULL, 0x100);
	struct fh_object *holder = thing_new(m, "holder");
	unsigned told = 0;

	(void)unused;
	assert_non_null(fh_object_watch(region, holder, count_told, &told));
	fh_read_begin();
	fh_object_unref(region);
	fh_read_end();
	assert_int_equal(told, 0);
	fh_machine_poll(m);
	assert_int_equal(told, 1);
	fh_object_dispose(holder);
	finish(m);
}

static enum fh_tx write_disposes(struct probe *probe, uint64_t offset, uint64_t value)
{
	(void)offset;
	(void)value;
	fh_object_dispose((struct fh_object *)probe->hooks->arg);
	return FH_TX_OK;
}

/* Not before a callback of the target has returned. */
static void watch_waits_for_the_callbacks_of_its_target(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .write = write_disposes };
	struct fh_object *holder = thing_new(m, "holder");
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	unsigned told = 0;

	(void)unused;
	hooks.arg = device;
	assert_non_null(fh_object_watch(device, holder, count_told, &told));
	store32(m, BASE, 1, FH_TX_OK);
	assert_int_equal(told, 0);
	fh_machine_poll(m);
	assert_int_equal(told, 1);
	fh_object_dispose(holder);
	finish(m);
}

/* --- Names and paths ------------------------------------------------------------------------ */

static void assert_path(FH_ANY object, const char *wanted)
{
	char path[64];

	CHECK(fh_object_path(object, path, sizeof(path)) == strlen(wanted));
	CHECK(strcmp(path, wanted) == 0);
}

static void look_in_dispose(struct fh_object *object)
{
	struct fh_object *parent = fh_object_find_parent(object);

	/* Whole: it has its name, its place and, if it is the lower one, a parent that is. */
	assert_path(object, strcmp(fh_object_name(object), "upper") ? "/upper/lower" : "/upper");
	CHECK(parent);
	if (thing_of(object)->canary == CANARY && !strcmp(fh_object_name(object), "lower"))
		CHECK(thing_of(parent)->disposed == 0);
	fh_object_unref(parent);
}

static void look_in_finalize(struct fh_object *object)
{
	struct fh_object *found = fh_object_find(fh_object_get_machine(object), "/upper");

	CHECK(!fh_object_find_parent(object));
	CHECK(found != object);
	fh_object_unref(found);
	assert_path(object, strcmp(fh_object_name(object), "upper") ? "/upper/lower" : "/upper");
}

static void the_dead_keep_their_last_path_and_free_their_names(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	for (int i = 0; i < 3; i++) {
		struct fh_object *upper = thing_new(m, "upper"), *lower = thing_new(upper, "lower");
		struct fh_object *again, *found;

		thing_of(upper)->dispose = thing_of(lower)->dispose = look_in_dispose;
		thing_of(upper)->finalize = thing_of(lower)->finalize = look_in_finalize;
		fh_object_ref(upper);
		fh_object_ref(lower);
		fh_object_dispose(upper);
		assert_path(upper, "/upper");
		assert_path(lower, "/upper/lower");
		found = fh_object_find(m, "/upper/lower");
		assert_null(found);
		/* At once, while the old one is there. */
		again = thing_new(m, "upper");
		thing_new(again, "lower");
		found = fh_object_find(m, "/upper/lower");
		assert_non_null(found);
		assert_ptr_not_equal(found, lower);
		fh_object_unref(found);
		fh_object_unref(lower);
		fh_object_unref(upper);
		fh_machine_drain(m);
		fh_object_dispose(again);
	}
	finish(m);
}

/* A name that is taken is so until its object has left, not until it has begun to. */
static void take_own_name(struct fh_object *object)
{
	struct fh_machine *m = fh_object_get_machine(object);
	struct fh_error err = FH_ERROR_INIT;

	CHECK(!fh_object_new_child(m, "x", &thing_type, &err) && err.code == FH_EEXIST);
}

static void name_is_taken_until_its_object_has_left(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = thing_new(m, "x");

	(void)unused;
	thing_of(object)->dispose = take_own_name;
	fh_object_dispose(object);
	object = thing_new(m, "x");
	fh_object_dispose(object);
	finish(m);
}

/* --- No resurrection ------------------------------------------------------------------------ */

struct hunt {
	struct fh_machine *m;
	_Atomic bool stop;
	_Atomic uint64_t found;
	_Atomic unsigned gone; /* the serial of the last that has been disposed of */
};

/* @gone as it was before the object was looked for. */
static void check_alive(struct hunt *hunt, struct fh_object *object, unsigned gone)
{
	if (!object)
		return;
	CHECK(thing_of(object)->serial > gone);
	/* With a ref it is not finalized, whatever has become of it. */
	CHECK(thing_of(object)->canary == CANARY && thing_of(object)->finalized == 0);
	hunt->found++;
	fh_object_unref(object);
}

static bool visit_alive(struct fh_object *child, void *arg)
{
	if (fh_object_cast(child, &thing_type))
		check_alive(arg, fh_object_ref(child), 0);
	return true;
}

static void hunt_by_name(void *arg)
{
	struct hunt *hunt = arg;

	while (!hunt->stop) {
		const unsigned gone = hunt->gone;

		check_alive(hunt, fh_object_find(hunt->m, "/x"), gone);
		check_alive(hunt, fh_object_find(hunt->m, "/x/below"), gone);
		check_alive(hunt, fh_object_find_child(hunt->m, "x"), gone);
		fh_object_each_child(hunt->m, visit_alive, hunt);
		sched_yield();
	}
}

static void what_is_found_is_alive_and_never_what_was_disposed_of(void **unused)
{
	struct hunt hunt = { .m = machine_begin() };
	struct worker workers[3];

	(void)unused;
	for (int i = 0; i < 3; i++)
		worker_start(&workers[i], hunt_by_name, &hunt);
	for (unsigned serial = 1; serial <= 1500; serial++) {
		struct fh_object *object = fh_object_new(hunt.m, &thing_type, NULL);
		const uint64_t before = hunt.found;

		thing_of(object)->serial = serial;
		thing_of(thing_new(object, "below"))->serial = serial;
		assert_int_equal(fh_object_add_child(hunt.m, "x", object, NULL), FH_OK);
		while (serial % 8 == 0 && hunt.found == before)
			sched_yield();
		fh_object_dispose(object);
		hunt.gone = serial;
		fh_object_unref(object);
	}
	hunt.stop = true;
	for (int i = 0; i < 3; i++)
		worker_join(&workers[i]);
	finish(hunt.m);
}

/* A weak reference against the last unref: the ref comes before it, or not at all. */
struct duel {
	struct fh_weak *weak;
	_Atomic unsigned round, ready;
	_Atomic bool stop;
	_Atomic unsigned won;
};

static void get_weakly(void *arg)
{
	struct duel *duel = arg;
	unsigned round = 0;

	while (!duel->stop) {
		if (duel->round == round) {
			sched_yield();
			continue;
		}
		round = duel->round;
		struct fh_object *object = fh_weak_get(duel->weak);

		if (object) {
			CHECK(thing_of(object)->canary == CANARY);
			CHECK(thing_of(object)->disposed == 0);
			duel->won++;
			fh_object_unref(object);
		}
		duel->ready++;
	}
}

static void weak_reference_against_the_last_unref_is_in_time_or_gets_nothing(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct duel duel = { 0 };
	struct worker workers[2];

	(void)unused;
	for (int i = 0; i < 2; i++)
		worker_start(&workers[i], get_weakly, &duel);
	for (unsigned round = 1; round <= 3000; round++) {
		struct fh_object *object = fh_object_new(m, &thing_type, NULL);

		duel.weak = fh_weak_new(object);
		duel.ready = 0;
		duel.round = round;
		while (round % 8 == 0 && duel.ready == 0) /* sometimes it is too late on purpose */
			sched_yield();
		if (round % 2)
			sched_yield();
		fh_object_unref(object);
		while (duel.ready < 2)
			sched_yield();
		assert_null(fh_weak_get(duel.weak));
		fh_weak_free(duel.weak);
	}
	duel.stop = true;
	for (int i = 0; i < 2; i++)
		worker_join(&workers[i]);
	assert_true(duel.won > 0);
	finish(m);
}

/* Found in a section, retired, refs gone: try_ref says no, and the memory is there to be asked. */
static void run_unref(void *arg)
{
	fh_object_unref((struct fh_object *)arg);
}

static void ref_of_what_was_found_is_refused_once_the_last_has_gone(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = fh_region_new_ram(m, NULL, 0x1000, NULL);
	struct fh_section section;
	struct worker worker;

	(void)unused;
	fh_region_add(fh_space_root(fh_machine_memory(m)), ram, 0, 0);
	fh_read_begin();
	assert_true(fh_space_lookup(fh_machine_memory(m), 0, &section));
	assert_true(fh_object_try_ref(section.region));
	fh_object_unref(section.region);
	worker_start(&worker, run_unref, ram);
	worker_join(&worker);
	assert_false(fh_object_try_ref(section.region));
	assert_true(fh_object_is_disposed(section.region));
	fh_read_end();
	finish(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weak_reference_reads_as_nothing_once_dispose_is_asked_for),
		cmocka_unit_test(weak_reference_does_not_keep),
		cmocka_unit_test(watch_is_told_once_after_the_drain),
		cmocka_unit_test(watch_may_be_removed_in_its_own_callback),
		cmocka_unit_test(watch_removed_by_anothers_callback_is_not_told),
		cmocka_unit_test_teardown(watch_may_be_removed_while_it_is_being_told,
					  reset_points),
		cmocka_unit_test_teardown(target_is_there_while_it_is_told_of, reset_points),
		cmocka_unit_test(watch_of_a_holder_that_died_first_is_not_told),
		cmocka_unit_test(watch_of_a_holder_that_dies_with_the_target_is_not_told),
		cmocka_unit_test(watches_pass_a_death_on),
		cmocka_unit_test(watch_of_the_last_ref_is_told),
		cmocka_unit_test(watch_of_a_region_is_told_by_control),
		cmocka_unit_test(watch_waits_for_the_callbacks_of_its_target),
		cmocka_unit_test(the_dead_keep_their_last_path_and_free_their_names),
		cmocka_unit_test(name_is_taken_until_its_object_has_left),
		cmocka_unit_test_teardown(what_is_found_is_alive_and_never_what_was_disposed_of,
					  reset_points),
		cmocka_unit_test(weak_reference_against_the_last_unref_is_in_time_or_gets_nothing),
		cmocka_unit_test(ref_of_what_was_found_is_refused_once_the_last_has_gone),
	};

	return cmocka_run_group_tests_name("scenario/watches", tests, NULL, NULL);
}
