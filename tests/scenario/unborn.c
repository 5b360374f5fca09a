/* SPDX-License-Identifier: MIT */
/*
 * Births whose parent is disposed of while they are in progress (L5, L7): whichever thread comes
 * last calls the dispose callbacks, once, derived first, for the levels whose init succeeded.
 */
#include "support/levels.h"
#include "support/text.h"

#include "base/point.h"
#include "object/machine.h"

static const struct fh_type plain_type = { .name = "plain" };

static struct fh_object *parent; /* goes while a level of its child is being made */
static int gone_at;	 /* the level whose init sees it go; 0: none */
static int failing_at;	 /* the level whose init fails; 0: none */
static const char *stop; /* where init of the last level waits, or NULL */

static enum fh_code level_init(struct fh_object *object, int level, struct fh_error *err)
{
	fh_object_new_child(object, NULL, &plain_type, NULL);
	if (level == gone_at) {
		fh_object_dispose(parent);
		CHECK(!fh_object_new_child(object, NULL, &plain_type, NULL));
	}
	if (level == 3 && stop)
		FH_POINT(stop);
	if (level == failing_at)
		return fh_error_set(err, FH_EIO, "no luck");
	return FH_OK;
}

LEVEL_TYPES(sizeof(int), NULL);

/* In turn as a plain object and as a device; true if it was born. */
static bool give_birth(bool device, struct fh_error *err)
{
	if (device)
		return fh_device_new(parent, &device_3, "child", NULL, err);
	return fh_object_new_child(parent, "child", &thing_3, err);
}

static struct fh_machine *begin(void)
{
	struct fh_machine *m = machine_begin();

	trace[0] = '\0';
	parent = fh_object_ref(fh_object_new_child(m, "parent", &plain_type, NULL));
	return m;
}

static void end(struct fh_machine *m, const char *wanted)
{
	parent = fh_object_unref(parent);
	machine_check_alive(m, 0);
	assert_trace(wanted);
	machine_end(m);
}

static void parent_that_goes_during_init_fails_the_birth(void **unused)
{
	(void)unused;
	failing_at = 0;
	for (int i = 0; i < 6; i++) {
		struct fh_machine *m = begin();
		struct fh_error err = FH_ERROR_INIT;

		gone_at = 1 + i / 2;
		assert_false(give_birth(i % 2, &err));
		assert_int_equal(err.code, FH_EDEAD);
		end(m, "+1 +2 +3 d3 d2 d1 f3 f2 f1");
	}
}

static void init_that_fails_when_the_parent_has_gone_is_undone_once(void **unused)
{
	static const char *const wanted[] = {
		NULL, "+1", "+1 +2 d1 f1", "+1 +2 +3 d2 d1 f2 f1"
	};

	(void)unused;
	for (failing_at = 1; failing_at <= 3; failing_at++) {
		for (gone_at = 1; gone_at <= failing_at; gone_at++) {
			for (int device = 0; device < 2; device++) {
				struct fh_machine *m = begin();
				struct fh_error err = FH_ERROR_INIT;

				assert_false(give_birth(device, &err));
				assert_int_equal(err.code, FH_EIO);
				end(m, wanted[failing_at]);
			}
		}
	}
}

/* --- Two threads ---------------------------------------------------------------------------- */

static bool born;

static void run_birth(void *arg)
{
	born = give_birth(arg, NULL);
}

static void run_dispose(void *unused)
{
	(void)unused;
	fh_object_dispose(parent);
}

/*
 * The dispose of the parent stops at @point, with the child in the tree and its init not over yet;
 * then the birth ends before the dispose goes on, or after it is over.
 */
static void meet(const char *point, bool device, bool birth_first)
{
	struct fh_machine *m = begin();
	struct worker parturient, undertaker;

	stop = "test.init";
	gone_at = failing_at = 0;
	fh_point_arm(stop);
	worker_start(&parturient, run_birth, device ? m : NULL);
	assert_true(fh_point_wait(stop));
	fh_point_arm(point);
	worker_start(&undertaker, run_dispose, NULL);
	assert_true(fh_point_wait(point));
	fh_point_release(birth_first ? stop : point);
	worker_join(birth_first ? &parturient : &undertaker);
	fh_point_release(birth_first ? point : stop);
	worker_join(birth_first ? &undertaker : &parturient);
	stop = NULL;
	/* Born before it was disposed of, or disposed of before it was born. */
	assert_int_equal(born, birth_first && strcmp(point, "dispose.left") != 0);
	end(m, "+1 +2 +3 d3 d2 d1 f3 f2 f1");
}

static void birth_and_the_parents_death_meet_at_any_point(void **unused)
{
	static const char *const points[] = {
		"dispose.hidden", "drain.done", "dispose.before-detach", "dispose.detached",
		"dispose.left",
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		for (int way = 0; way < 4; way++)
			meet(points[i], way & 1, way & 2);
}

/* --- What init has made stays while it is at work -------------------------------------------- */

static enum fh_code result;	   /* of the init below */
static _Atomic unsigned finalized; /* what it made */
static struct fh_object *made;	   /* by it */

static void made_finalize(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	finalized++;
}

static const struct fh_type made_type = { .name = "made", .finalize = made_finalize };

static enum fh_code slow_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct fh_region *outer = fh_region_new_container(object, "outer", 0x1000);
	struct fh_region *inner = fh_region_new_container(object, "inner", 0x1000);

	(void)state;
	made = fh_object_new_child(object, "made", &made_type, NULL);
	FH_POINT("test.init");
	CHECK(finalized == 0 && fh_object_is_disposed(made));
	CHECK(fh_region_add(outer, inner, 0, 0) == FH_EDEAD);
	return result == FH_OK ? FH_OK : fh_error_set(err, result, "no luck");
}

static void slow_dispose(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	CHECK(finalized == 0);
}

static const struct fh_type slow_type = {
	.name = "slow", .init = slow_init, .dispose = slow_dispose
};

static void run_slow(void *unused)
{
	(void)unused;
	CHECK(!fh_object_new_child(parent, "child", &slow_type, NULL));
}

static void what_init_has_made_stays_when_the_parent_goes(void **unused)
{
	(void)unused;
	for (int fails = 0; fails < 2; fails++) {
		struct fh_machine *m = begin();
		struct worker parturient;

		result = fails ? FH_EIO : FH_OK;
		finalized = 0;
		fh_point_arm("test.init");
		worker_start(&parturient, run_slow, NULL);
		assert_true(fh_point_wait("test.init"));
		fh_object_dispose(parent);
		fh_machine_drain(m);
		assert_int_equal(finalized, 0);
		char *why = explain_text(made);

		assert_non_null(strstr(why, "pin: until the end of the dispose of "
					    "/parent/child [slow, disposed]"));
		free(why);
		fh_point_release("test.init");
		worker_join(&parturient);
		end(m, "");
		assert_int_equal(finalized, 1);
	}
}

/* As the parent's dispose does, so does a realize that fails above it. */
static struct worker slow_parturient;

static void run_slow_below(void *device)
{
	CHECK(!fh_object_new_child((struct fh_object *)device, "child", &slow_type, NULL));
}

static enum fh_code realize_with_slow_fails(struct fh_device *device, void *state,
					    struct fh_error *err)
{
	(void)state;
	fh_point_arm("test.init");
	worker_start(&slow_parturient, run_slow_below, device);
	CHECK(fh_point_wait("test.init"));
	return fh_error_set(err, FH_EIO, "no luck");
}

static const struct fh_device_ops slow_ops = { .realize = realize_with_slow_fails };
static const struct fh_type slow_device = {
	.name = "slow-device", .parent = &fh_device_type, .device = &slow_ops
};

static void what_init_has_made_stays_when_a_realize_above_fails(void **unused)
{
	struct fh_machine *m = begin();

	(void)unused;
	result = FH_OK;
	finalized = 0;
	assert_null(fh_device_plug(parent, &slow_device, "device", NULL, NULL));
	fh_machine_drain(m);
	assert_int_equal(finalized, 0);
	fh_point_release("test.init");
	worker_join(&slow_parturient);
	fh_object_dispose(parent);
	end(m, "");
	assert_int_equal(finalized, 1);
}

/* --- The end of what was not born, while control walks the parent's subtree ------------------- */

static enum fh_code init_stops_and_fails(struct fh_object *object, void *state,
					 struct fh_error *err)
{
	(void)object;
	(void)state;
	FH_POINT("test.init");
	return fh_error_set(err, FH_EIO, "no luck");
}

static const struct fh_type unlucky_type = { .name = "unlucky", .init = init_stops_and_fails };

static void run_unlucky(void *unused)
{
	(void)unused;
	CHECK(!fh_object_new_child(parent, "child", &unlucky_type, NULL));
}

static void unborn_does_not_leave_the_tree_under_the_parents_detach(void **unused)
{
	struct fh_machine *m = begin();
	struct worker parturient, undertaker;

	(void)unused;
	fh_point_arm("test.init");
	worker_start(&parturient, run_unlucky, NULL);
	assert_true(fh_point_wait("test.init"));
	/* The parent, then its child. */
	fh_point_arm_at("detach.one", 2, NULL);
	worker_start(&undertaker, run_dispose, NULL);
	assert_true(fh_point_wait("detach.one"));
	/* What was not born is control's. */
	fh_point_release("test.init");
	assert_true(worker_done_within(&parturient, 5000));
	fh_point_release("detach.one");
	worker_join(&parturient);
	worker_join(&undertaker);
	end(m, "");
}

/* --- An owner that is shown before its birth fails -------------------------------------------- */

#define BASE UINT64_C(0x10000000)

static struct fh_machine *machine;
static _Atomic bool inside;  /* a callback of the owner's region runs */
static _Atomic unsigned ends; /* dispose callbacks of the owner's base */

static enum fh_tx open_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	inside = true;
	FH_POINT("test.read");
	*ret_value = 0;
	inside = false;
	return FH_TX_OK;
}

static const struct fh_region_ops open_ops = { .read = open_read };

static enum fh_code open_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct fh_region *region = fh_region_new_mmio(object, "regs", 0x1000, &open_ops, NULL);

	(void)state;
	return fh_region_add(fh_space_root(fh_machine_memory(machine)), region, BASE, 0) == FH_OK ?
		       FH_OK :
		       fh_error_set(err, FH_EIO, "its region is not mapped");
}

static void open_dispose(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	CHECK(!inside);
	ends++;
}

static const struct fh_type open_type = {
	.name = "open", .init = open_init, .dispose = open_dispose
};
static const struct fh_type open_unlucky_type = {
	.name = "open-unlucky", .parent = &open_type, .init = init_stops_and_fails
};

static void run_load(void *unused)
{
	uint32_t value;

	(void)unused;
	fh_space_load32(fh_machine_memory(machine), BASE, FH_LE, &value);
}

static void run_open_unlucky(void *unused)
{
	(void)unused;
	CHECK(!fh_object_new_child(machine, "child", &open_unlucky_type, NULL));
}

static void callback_of_what_was_not_born_is_waited_for(void **unused)
{
	struct worker parturient, reader;

	(void)unused;
	machine = machine_begin();
	ends = 0;
	fh_point_arm("test.init");
	fh_point_arm("test.read");
	worker_start(&parturient, run_open_unlucky, NULL);
	assert_true(fh_point_wait("test.init"));
	worker_start(&reader, run_load, NULL);
	assert_true(fh_point_wait("test.read"));
	fh_point_release("test.init");
	assert_false(worker_done_within(&parturient, 50));
	assert_int_equal(ends, 0);
	load32(machine, BASE, FH_TX_DECODE_ERROR);
	fh_point_release("test.read");
	worker_join(&reader);
	worker_join(&parturient);
	assert_int_equal(ends, 1);
	assert_null(fh_object_find(machine, "/child"));
	machine_check_alive(machine, 0);
	machine_end(machine);
}

/* --- The other way round: the parent's leave takes away what is being undone ------------------ */

static _Atomic unsigned told; /* dispose callbacks */

static void inner_dispose(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	told++;
}

static const struct fh_type inner_type = { .name = "inner", .dispose = inner_dispose };

static enum fh_code init_with_child_fails(struct fh_object *object, void *state,
					  struct fh_error *err)
{
	CHECK(fh_object_new_child(object, "inner", &inner_type, NULL));
	return init_stops_and_fails(object, state, err);
}

static const struct fh_type unlucky_device = {
	.name = "unlucky-device", .parent = &fh_device_type, .init = init_with_child_fails
};

static void run_unlucky_device(void *type)
{
	CHECK(!fh_device_new(parent, (const struct fh_type *)type, "child", NULL, NULL));
}

/* Control has drained the parent; the birth fails, and control goes on to its end. */
static void parent_does_not_leave_under_the_end_of_its_unborn(void **unused)
{
	struct fh_machine *m = begin();
	struct worker parturient, undertaker;

	(void)unused;
	told = 0;
	fh_point_arm("test.init");
	worker_start(&parturient, run_unlucky_device, (void *)&unlucky_device);
	assert_true(fh_point_wait("test.init"));
	fh_point_arm("dispose.detached");
	worker_start(&undertaker, run_dispose, NULL);
	assert_true(fh_point_wait("dispose.detached"));
	/* Of the child, then of its child, if it is the thread's to undo. */
	fh_point_arm_at("detach.one", 2, &parturient.thread);
	fh_point_release("test.init");
	for (int i = 0; i < 100 && !fh_point_stopped("detach.one"); i++)
		if (worker_done_within(&parturient, 20))
			break;
	fh_point_release("dispose.detached");
	worker_done_within(&undertaker, 200);
	fh_point_release("detach.one");
	worker_join(&parturient);
	worker_join(&undertaker);
	assert_int_equal(told, 1);
	end(m, "");
}

/* The parent's dispose waits for the end of the birth, whose callbacks dispose of something. */
static struct fh_object *bystander;

static void deadly_dispose(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	FH_POINT("test.inner");
	fh_object_dispose(bystander);
}

static const struct fh_type deadly_type = { .name = "deadly", .dispose = deadly_dispose };

static enum fh_code init_with_deadly_fails(struct fh_object *object, void *state,
					   struct fh_error *err)
{
	(void)state;
	CHECK(fh_object_new_child(object, "inner", &deadly_type, NULL));
	return fh_error_set(err, FH_EIO, "no luck");
}

static const struct fh_type deadly_device = {
	.name = "deadly-device", .parent = &fh_device_type, .init = init_with_deadly_fails
};

static void end_of_a_birth_does_not_wait_for_who_waits_for_it(void **unused)
{
	struct fh_machine *m = begin();
	struct worker parturient, undertaker;

	(void)unused;
	bystander = fh_object_ref(fh_object_new_child(m, "bystander", &plain_type, NULL));
	fh_point_arm("test.inner");
	worker_start(&parturient, run_unlucky_device, (void *)&deadly_device);
	assert_true(fh_point_wait("test.inner"));
	worker_start(&undertaker, run_dispose, NULL);
	assert_false(worker_done_within(&undertaker, 100));
	fh_point_release("test.inner");
	worker_join(&parturient);
	worker_join(&undertaker);
	bystander = fh_object_unref(bystander);
	end(m, "");
}

/* --- Nor is the parent disposed of while a dispose callback of its unborn runs ---------------- */

static void standing_dispose(struct fh_object *object, void *state)
{
	(void)state;
	FH_POINT("test.inner");
	/* It is whole, and has its parent. */
	struct fh_object *above = fh_object_find_parent(object);

	CHECK(above);
	fh_object_unref(above);
	told++;
}

static const struct fh_type standing_device = {
	.name = "standing", .parent = &fh_device_type, .dispose = standing_dispose
};
static const struct fh_type standing_unlucky_device = {
	.name = "standing-unlucky", .parent = &standing_device, .init = init_stops_and_fails
};

static void parent_waits_for_the_dispose_of_its_unborn(void **unused)
{
	(void)unused;
	for (int drained = 0; drained < 2; drained++) {
		struct fh_machine *m = begin();
		struct worker parturient, undertaker;

		told = 0;
		fh_point_arm("test.init");
		worker_start(&parturient, run_unlucky_device, (void *)&standing_unlucky_device);
		assert_true(fh_point_wait("test.init"));
		fh_point_arm("test.inner");
		if (drained) {
			fh_point_arm("dispose.detached");
			worker_start(&undertaker, run_dispose, NULL);
			assert_true(fh_point_wait("dispose.detached"));
		}
		fh_point_release("test.init");
		/* Whoever it is that calls it, it is not called twice, nor overtaken. */
		worker_done_within(&parturient, 50);
		if (drained)
			fh_point_release("dispose.detached");
		else
			worker_start(&undertaker, run_dispose, NULL);
		assert_true(fh_point_wait("test.inner"));
		assert_false(worker_done_within(&undertaker, 50));
		fh_point_release("test.inner");
		worker_join(&parturient);
		worker_join(&undertaker);
		assert_int_equal(told, 1);
		end(m, "");
	}
}

static int reset(void **unused)
{
	(void)unused;
	fh_point_release_all();
	stop = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parent_that_goes_during_init_fails_the_birth),
		cmocka_unit_test(init_that_fails_when_the_parent_has_gone_is_undone_once),
		cmocka_unit_test_teardown(birth_and_the_parents_death_meet_at_any_point, reset),
		cmocka_unit_test_teardown(what_init_has_made_stays_when_the_parent_goes, reset),
		cmocka_unit_test_teardown(what_init_has_made_stays_when_a_realize_above_fails,
					  reset),
		cmocka_unit_test_teardown(unborn_does_not_leave_the_tree_under_the_parents_detach,
					  reset),
		cmocka_unit_test_teardown(callback_of_what_was_not_born_is_waited_for, reset),
		cmocka_unit_test_teardown(parent_does_not_leave_under_the_end_of_its_unborn, reset),
		cmocka_unit_test_teardown(parent_waits_for_the_dispose_of_its_unborn, reset),
		cmocka_unit_test_teardown(end_of_a_birth_does_not_wait_for_who_waits_for_it, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
