/* SPDX-License-Identifier: MIT */
/*
 * A realize that fails is undone on its own thread (L7), while that thread's callbacks and others
 * go on making, putting there, realizing and disposing of things below what is undone.
 */
#include "support/standing.h"
#include "support/unlucky.h"

#include "object/machine.h"

static const struct fh_type plain_type = { .name = "plain" };

static struct worker worker;
static struct fh_object *thing; /* what a test is about */
static struct fh_object *above; /* made in the realize, before what is made last */

static struct fh_machine *machine_of(struct fh_device *device)
{
	return fh_object_get_machine(device);
}

/* Disposed of with all that it made, and with the thing. */
static void end(struct fh_device *device)
{
	thing = fh_object_unref(thing);
	unlucky_end(device);
}

/* --- What calls back when it is undone: it was made last, so that it is undone first -------- */

static void (*do_in_dispose)(void);

static void last_dispose(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	do_in_dispose();
}

static const struct fh_type last_type = { .name = "last", .dispose = last_dispose };

static bool above_gone; /* disposed of */

static void above_dispose(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	above_gone = true;
}

static const struct fh_type above_type = { .name = "above", .dispose = above_dispose };

static void make_above_and_last(struct fh_device *device)
{
	above_gone = false;
	above = fh_object_new_child(device, "above", &above_type, NULL);
	CHECK(above && fh_object_new_child(device, "last", &last_type, NULL));
}

static void put_it_there(void)
{
	CHECK(fh_object_add_child(above, "thing", thing, NULL) == FH_OK);
}

static void what_is_in_use_may_still_join_and_is_drained(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_device *device = unlucky_new(m);
	struct standing standing;

	(void)unused;
	thing = fh_object_new(m, &plain_type, NULL);
	standing_plug(&standing, thing);
	standing_begin(&standing, m);
	do_in_dispose = put_it_there;
	realize_and_fail(device, make_above_and_last);
	assert_int_equal(standing.hooks.unrealized, 0);
	assert_false(above_gone);
	standing_end(&standing);
	fh_machine_drain(m);
	assert_int_equal(standing.hooks.unrealized, 1);
	assert_true(above_gone);
	end(device);
}

static void late_dispose(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	FH_POINT("test.late");
	CHECK(!above_gone);
}

static const struct fh_type late_type = { .name = "late", .dispose = late_dispose };

static void run_dispose(void *object)
{
	fh_object_dispose((struct fh_object *)object);
}

static void make_late_which_another_disposes_of(void)
{
	thing = fh_object_ref(fh_object_new_child(above, "thing", &late_type, NULL));
	fh_point_arm("test.late");
	worker_start(&worker, run_dispose, thing);
	CHECK(fh_point_wait("test.late"));
}

static void what_another_has_begun_to_dispose_of_leaves_before_what_is_above(void **unused)
{
	struct fh_device *device = unlucky_new(machine_begin());

	(void)unused;
	do_in_dispose = make_late_which_another_disposes_of;
	realize_and_fail(device, make_above_and_last);
	assert_false(above_gone);
	fh_point_release("test.late");
	worker_join(&worker);
	fh_machine_drain(machine_of(device));
	assert_true(above_gone);
	end(device);
}

/* --- What is being undone is closed --------------------------------------------------------- */

static unsigned realized;

static enum fh_code count_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)device;
	(void)state;
	(void)err;
	FH_POINT("test.realize");
	realized++;
	return FH_OK;
}

static void count_unrealize(struct fh_device *device, void *state)
{
	(void)device;
	(void)state;
	realized--;
}

static const struct fh_device_ops counting_ops = {
	.realize = count_realize, .unrealize = count_unrealize
};
static const struct fh_type counting_type = {
	.name = "counting", .parent = &fh_device_type, .device = &counting_ops
};

static void try_to_realize_and_to_join(void)
{
	CHECK(fh_device_realize((struct fh_device *)thing, NULL) == FH_EDEAD);
	CHECK(!fh_object_new_child(above, NULL, &plain_type, NULL));
	CHECK(!fh_object_new_child(thing, NULL, &plain_type, NULL));
}

/* The device that is not born is `above`; what its init makes last is undone first. */
static enum fh_code unborn_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)state;
	above = object;
	thing = (struct fh_object *)fh_device_new(object, &counting_type, "thing", NULL, err);
	CHECK(thing && fh_object_new_child(object, "last", &last_type, err));
	return fh_error_set(err, FH_EIO, "no luck");
}

static const struct fh_type unborn_type = {
	.name = "unborn", .parent = &fh_device_type, .init = unborn_init
};

static void nothing_joins_or_is_realized_below_what_is_being_undone(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	realized = 0;
	do_in_dispose = try_to_realize_and_to_join;
	assert_null(fh_device_new(m, &unborn_type, "unborn", NULL, NULL));
	thing = NULL;
	assert_int_equal(realized, 0);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- An init that began before the realize -------------------------------------------------- */

static unsigned finalized;

static void count_finalize(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	finalized++;
}

static const struct fh_type counted_type = { .name = "counted", .finalize = count_finalize };

static enum fh_code slow_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)state;
	FH_POINT("test.before");
	struct fh_object *bus = fh_object_new_child(object, "bus", &plain_type, err);
	struct fh_object *made = fh_object_new_child(bus, "made", &counted_type, err);

	CHECK(made);
	FH_POINT("test.after");
	CHECK(finalized == 0 && !fh_object_is_disposed(made));
	return FH_OK;
}

static const struct fh_type slow_type = { .name = "slow", .init = slow_init };

static void run_slow_birth(void *device)
{
	CHECK(fh_object_new_child((struct fh_device *)device, "slow", &slow_type, NULL));
}

static bool init_ends; /* before the realize fails */

/* Of a device that its own init realizes; below what that init has made. */
static void make_below_the_older(struct fh_device *device)
{
	struct fh_object *older = fh_object_find_child(device, "older");

	CHECK(fh_object_new_child(older, "made", &counted_type, NULL));
	fh_object_unref(older);
}

static enum fh_code realizing_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)state;
	(void)err;
	CHECK(fh_object_new_child(object, "older", &plain_type, NULL));
	do_in_realize = make_below_the_older;
	CHECK(fh_device_realize((struct fh_device *)object, NULL) == FH_EIO);
	return FH_OK;
}

static const struct fh_type realizing_type = {
	.name = "realizing", .parent = &unlucky_type, .init = realizing_init
};

static void what_a_realize_makes_in_an_init_is_undone(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	finalized = 0;
	struct fh_device *device = fh_device_new(m, &realizing_type, "realizing", NULL, NULL);

	fh_machine_drain(m);
	assert_int_equal(finalized, 1);
	machine_check_alive(m, 2);
	end(device);
}

static void let_init_go_on(struct fh_device *device)
{
	(void)device;
	if (!init_ends)
		fh_point_arm("test.after");
	fh_point_release("test.before");
	if (init_ends)
		worker_join(&worker);
	else
		CHECK(fh_point_wait("test.after"));
}

static void what_an_earlier_init_makes_is_not_undone(void **unused)
{
	(void)unused;
	for (int way = 0; way < 2; way++) {
		struct fh_device *device = unlucky_new(machine_begin());

		init_ends = way;
		finalized = 0;
		fh_point_arm("test.before");
		worker_start(&worker, run_slow_birth, device);
		assert_true(fh_point_wait("test.before"));
		realize_and_fail(device, let_init_go_on);
		fh_machine_drain(machine_of(device));
		if (!init_ends) {
			fh_point_release("test.after");
			worker_join(&worker);
		}
		machine_check_alive(machine_of(device), 4);
		end(device);
		assert_int_equal(finalized, 1);
	}
}

/* --- What a realize has put below what it made goes with it ---------------------------------- */

static void slot_dispose(struct fh_object *object, void *state)
{
	(void)state;
	fh_reaper_drain(object->machine->reaper);
	CHECK(finalized == 0);
	above_gone = true;
}

static const struct fh_type slot_type = { .name = "slot", .dispose = slot_dispose };

static void put_card_in_slot(struct fh_device *device)
{
	struct fh_object *slot = fh_object_new_child(device, "slot", &slot_type, NULL);
	struct fh_object *card = fh_object_new(machine_of(device), &counted_type, NULL);

	CHECK(fh_object_add_child(slot, "card", card, NULL) == FH_OK);
	fh_object_unref(card);
}

static void what_was_put_there_stays_until_its_parent_is_disposed_of(void **unused)
{
	struct fh_device *device = unlucky_new(machine_begin());

	(void)unused;
	above_gone = false;
	finalized = 0;
	realize_and_fail(device, put_card_in_slot);
	fh_machine_drain(machine_of(device));
	assert_true(above_gone);
	assert_int_equal(finalized, 1);
	end(device);
}

static void remove_card_from_slot(struct fh_device *device)
{
	struct fh_object *slot = fh_object_new_child(device, "slot", &plain_type, NULL);

	CHECK(slot); /* the name is free at a second try */
	fh_object_dispose(fh_object_new_child(slot, "card", &plain_type, NULL));
}

static void what_a_realize_removed_itself_is_undone_at_once(void **unused)
{
	struct fh_device *device = unlucky_new(machine_begin());

	(void)unused;
	for (int i = 0; i < 2; i++)
		realize_and_fail(device, remove_card_from_slot);
	end(device);
}

/* --- Pins that are to be revoked (L4) ------------------------------------------------------- */

static struct fh_object *holder;
static unsigned revoked;

static void revoke(struct fh_pin *pin, void *state)
{
	(void)state;
	revoked++;
	fh_unpin(pin);
}

static void make_pinned(struct fh_machine *m)
{
	thing = fh_object_new(m, &counting_type, NULL);
	struct fh_object *below = fh_object_new_child(thing, "below", &counted_type, NULL);

	CHECK(fh_object_pin_revocable(thing, holder, "dma", revoke, NULL));
	CHECK(fh_object_pin_revocable(below, holder, "dma", revoke, NULL));
}

enum pinned_way { MADE_THERE, PUT_THERE, UNPLUGGED, PINNED_WAYS };

static enum pinned_way pinned_way;

static void put_pinned_there(struct fh_device *device)
{
	if (pinned_way != PUT_THERE)
		make_pinned(machine_of(device));
	CHECK(fh_object_add_child(device, "thing", thing, NULL) == FH_OK);
	if (pinned_way == UNPLUGGED) {
		fh_point_arm("drain.before-count");
		worker_start(&worker, run_dispose, thing);
		CHECK(fh_point_wait("drain.before-count"));
	}
}

static void pins_on_what_is_undone_are_revoked(void **unused)
{
	(void)unused;
	for (pinned_way = 0; pinned_way < PINNED_WAYS; pinned_way++) {
		struct fh_machine *m = machine_begin();
		struct fh_device *device = unlucky_new(m);

		finalized = revoked = 0;
		holder = holder_new(m);
		if (pinned_way == PUT_THERE)
			make_pinned(m);
		realize_and_fail(device, put_pinned_there);
		if (pinned_way == UNPLUGGED) {
			fh_point_release("drain.before-count");
			worker_join(&worker);
		}
		fh_machine_drain(m);
		assert_int_equal(revoked, 2);
		assert_int_equal(finalized, 1);
		holder = fh_object_unref(holder);
		end(device);
	}
}

static void pins_on_what_was_never_in_the_tree_are_revoked(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	finalized = revoked = 0;
	holder = holder_new(m);
	thing = fh_object_new(m, &counted_type, NULL);
	assert_non_null(fh_object_pin_revocable(thing, holder, "dma", revoke, NULL));
	thing = fh_object_unref(thing);
	fh_machine_drain(m);
	assert_int_equal(revoked, 1);
	assert_int_equal(finalized, 1);
	holder = fh_object_unref(holder);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Realizes of two threads ---------------------------------------------------------------- */

static void run_realize(void *device)
{
	CHECK(fh_device_realize((struct fh_device *)device, NULL) == FH_OK);
}

static void try_to_put_it_there(struct fh_device *device)
{
	CHECK(fh_object_add_child(device, "thing", thing, NULL) == FH_EBUSY);
}

static void what_another_thread_realizes_does_not_join(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_device *device = unlucky_new(m);

	(void)unused;
	realized = 0;
	thing = fh_object_new(m, &counting_type, NULL);
	fh_point_arm("test.realize");
	worker_start(&worker, run_realize, thing);
	assert_true(fh_point_wait("test.realize"));
	realize_and_fail(device, try_to_put_it_there);
	fh_point_release("test.realize");
	worker_join(&worker);
	assert_int_equal(realized, 1);
	assert_int_equal(fh_object_add_child(device, "thing", thing, NULL), FH_OK);
	end(device);
	assert_int_equal(realized, 0);
}

static void join_the_tree(struct fh_device *device)
{
	CHECK(fh_object_new_child(device, "made", &counted_type, NULL));
	CHECK(fh_object_add_child(machine_of(device), "device", device, NULL) == FH_OK);
}

static void device_may_join_the_tree_while_it_is_realized(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *device = fh_object_new(m, &unlucky_type, NULL);

	(void)unused;
	finalized = 0;
	thing = NULL;
	realize_and_fail((struct fh_device *)device, join_the_tree);
	fh_object_unref(device); /* its parent has it */
	fh_machine_drain(m);
	assert_int_equal(finalized, 1);
	end((struct fh_device *)device);
}

/* --- The order ------------------------------------------------------------------------------ */

static bool base_gone; /* unrealized */

static void base_unrealize(struct fh_device *device, void *state)
{
	(void)device;
	(void)state;
	CHECK(realized == 0);
	base_gone = true;
}

static enum fh_code base_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)device;
	(void)state;
	(void)err;
	return FH_OK;
}

static const struct fh_device_ops base_ops = {
	.realize = base_realize, .unrealize = base_unrealize
};
static const struct fh_type base_type = {
	.name = "base", .parent = &fh_device_type, .device = &base_ops
};
static const struct fh_type derived_type;

/* What may be in use lies beside the device that is plugged. */
static enum fh_code derived_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)state;
	CHECK(fh_device_realize_base(device, &derived_type, err) == FH_OK);
	above = fh_object_new_child(device, "above", &above_type, err);
	CHECK(above && fh_device_plug(above, &counting_type, "counting", NULL, err));
	put_it_there();
	return fh_error_set(err, FH_EIO, "no luck");
}

static const struct fh_device_ops derived_ops = { .realize = derived_realize };
static const struct fh_type derived_type = {
	.name = "derived", .parent = &base_type, .device = &derived_ops
};

static void what_is_left_to_control_is_unrealized_in_its_turn(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_device *device = fh_device_new(m, &derived_type, "derived", NULL, NULL);

	(void)unused;
	base_gone = above_gone = false;
	realized = 0;
	thing = fh_object_new(m, &plain_type, NULL);
	assert_int_equal(fh_device_realize(device, NULL), FH_EIO);
	assert_true(base_gone);
	fh_machine_drain(m);
	assert_true(above_gone);
	end(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_in_use_may_still_join_and_is_drained,
					  release_points),
		cmocka_unit_test_teardown(
			what_another_has_begun_to_dispose_of_leaves_before_what_is_above,
			release_points),
		cmocka_unit_test(nothing_joins_or_is_realized_below_what_is_being_undone),
		cmocka_unit_test_teardown(what_an_earlier_init_makes_is_not_undone, release_points),
		cmocka_unit_test(what_a_realize_makes_in_an_init_is_undone),
		cmocka_unit_test(what_was_put_there_stays_until_its_parent_is_disposed_of),
		cmocka_unit_test(what_a_realize_removed_itself_is_undone_at_once),
		cmocka_unit_test_teardown(pins_on_what_is_undone_are_revoked, release_points),
		cmocka_unit_test(pins_on_what_was_never_in_the_tree_are_revoked),
		cmocka_unit_test_teardown(what_another_thread_realizes_does_not_join,
					  release_points),
		cmocka_unit_test(device_may_join_the_tree_while_it_is_realized),
		cmocka_unit_test(what_is_left_to_control_is_unrealized_in_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
