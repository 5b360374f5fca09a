/* SPDX-License-Identifier: MIT */
/*
 * What another thread unplugs, while a realize that failed is undone around it (L6, L7).
 */
#include "support/unlucky.h"

#include "base/point.h"

static const struct fh_type plain_type = { .name = "plain" };

/* --- It leaves before what it lies below ---------------------------------------------------- */

static struct fh_object *lower, *upper;
static struct worker unplugger;
static const char *unplug_stops; /* the point at which */
static bool in_callback;	 /* of the lower */
static bool upper_gone;		 /* disposed of */
static unsigned lower_gone;

/* Its parent is there, and whole; no other callback of it runs. */
static void lower_callback(struct fh_object *object, const char *point)
{
	struct fh_object *above = fh_object_find_parent(object);

	CHECK(above && !upper_gone && !in_callback);
	in_callback = true;
	FH_POINT(point);
	CHECK(!upper_gone);
	in_callback = false;
	fh_object_unref(above);
}

static void lower_unrealize(struct fh_device *device, void *state)
{
	(void)state;
	lower_callback((struct fh_object *)device, "test.unrealize");
}

static void lower_dispose(struct fh_object *object, void *state)
{
	(void)state;
	lower_callback(object, "test.dispose");
	lower_gone++;
}

static const struct fh_device_ops lower_ops = { .unrealize = lower_unrealize };
static const struct fh_type lower_type = {
	.name = "lower", .parent = &fh_device_type, .device = &lower_ops, .dispose = lower_dispose
};

static void upper_dispose(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	CHECK(lower_gone == 1);
	upper_gone = true;
}

static const struct fh_type upper_type = {
	.name = "upper", .parent = &fh_device_type, .dispose = upper_dispose
};

static void make_upper(struct fh_machine *m)
{
	upper = fh_object_new(m, &upper_type, NULL);
	lower = fh_object_ref(fh_device_plug(upper, &lower_type, "lower", NULL, NULL));
}

static void run_dispose_of_the_lower(void *unused)
{
	(void)unused;
	fh_object_dispose(lower);
}

static void unplug_the_lower(void)
{
	fh_point_arm(unplug_stops);
	worker_start(&unplugger, run_dispose_of_the_lower, NULL);
	CHECK(fh_point_wait(unplug_stops));
}

static void put_upper_there_and_unplug(struct fh_device *device)
{
	if (!upper)
		make_upper(fh_object_get_machine(device));
	CHECK(fh_object_add_child(device, "upper", upper, NULL) == FH_OK);
	unplug_the_lower();
}

/* @old: made before the realize, and put there by it. */
static void unplugged_below_what_is_undone(bool old, bool at_once)
{
	struct fh_machine *m = machine_begin();
	struct fh_device *device = unlucky_new(m);

	upper_gone = in_callback = false;
	lower_gone = 0;
	upper = lower = NULL;
	if (old)
		make_upper(m);
	realize_and_fail(device, put_upper_there_and_unplug);
	assert_int_equal(upper_gone, at_once);
	fh_point_release(unplug_stops);
	worker_join(&unplugger);
	fh_machine_drain(m);
	assert_true(upper_gone);
	assert_int_equal(lower_gone, 1);
	lower = fh_object_unref(lower);
	upper = fh_object_unref(upper);
	unlucky_end(device);
}

static void what_is_being_unplugged_leaves_before_its_parent_is_undone(void **unused)
{
	(void)unused;
	for (int old = 0; old < 2; old++) {
		unplug_stops = "test.unrealize";
		unplugged_below_what_is_undone(old, false);
		unplug_stops = "test.dispose";
		unplugged_below_what_is_undone(old, false);
	}
}

/* Who unplugs it finds it done. */
static void what_is_to_be_unplugged_is_undone_with_its_parent(void **unused)
{
	(void)unused;
	unplug_stops = "drain.before-count";
	for (int old = 0; old < 2; old++)
		unplugged_below_what_is_undone(old, true);
}

/* --- It does not leave while what is undone is walked ---------------------------------------- */

static struct fh_object *left, *made_late;

static void make_below_the_left(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	made_late = fh_object_ref(fh_object_new_child(left, "late", &plain_type, NULL));
}

static const struct fh_type maker_type = { .name = "maker", .dispose = make_below_the_left };

static void make_left_and_maker(struct fh_device *device)
{
	left = fh_object_new_child(device, "left", &plain_type, NULL);
	CHECK(fh_object_new_child(device, "maker", &maker_type, NULL));
}

static void run_failing_realize(void *device)
{
	do_in_realize = make_left_and_maker;
	CHECK(fh_device_realize((struct fh_device *)device, NULL) == FH_EIO);
}

static void run_dispose_of_the_late(void *unused)
{
	(void)unused;
	fh_object_dispose(made_late);
}

static void nothing_leaves_while_a_realize_that_failed_is_walked(void **unused)
{
	struct fh_device *device = unlucky_new(machine_begin());
	struct worker realizer, undertaker;

	(void)unused;
	/* Of the maker, what it makes something below, and what it made. */
	fh_point_arm_at("detach.one", 3, NULL);
	worker_start(&realizer, run_failing_realize, device);
	assert_true(fh_point_wait("detach.one"));
	worker_start(&undertaker, run_dispose_of_the_late, NULL);
	assert_false(worker_done_within(&undertaker, 50));
	fh_point_release("detach.one");
	worker_join(&realizer);
	worker_join(&undertaker);
	made_late = fh_object_unref(made_late);
	unlucky_end(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			what_is_being_unplugged_leaves_before_its_parent_is_undone, release_points),
		cmocka_unit_test_teardown(what_is_to_be_unplugged_is_undone_with_its_parent,
					  release_points),
		cmocka_unit_test_teardown(nothing_leaves_while_a_realize_that_failed_is_walked,
					  release_points),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
