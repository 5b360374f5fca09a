/* SPDX-License-Identifier: MIT */
/*
 * A failed birth leaves nothing (L7): the realize of a rig (support/rig.h) fails after each of its
 * steps in turn, and the rig is unplugged by another thread at each of them.
 *
 * R1. What the library says about the objects that the rig had to do with is the same before and
 *     after a failure, to the letter: each ref, pin and place in a view.
 */
#include "support/rig.h"

#include <stdio.h>
#include <string.h>

#include "base/point.h"
#include "support/text.h"

/* R1 */
static char *everything(struct fh_device *rig)
{
	FILE *out = tmpfile();

	assert_non_null(out);
	fh_machine_drain(bench.m);
	fh_object_explain(rig, out);
	fh_object_explain(bench.bus, out);
	fh_object_explain(bench.window, out);
	fh_object_explain(bench.input, out);
	fh_object_explain(bench.dma, out);
	fh_object_explain(bench.ram, out);
	fh_object_explain(bench.m, out);
	fh_object_explain(fh_machine_memory(bench.m), out);
	fh_object_explain(fh_space_root(fh_machine_memory(bench.m)), out);
	fprintf(out, "alive: %llu\n", (unsigned long long)fh_ledger_read(bench.m).alive);
	return text_of(out);
}

static bool count_child(struct fh_object *child, void *arg)
{
	(void)child;
	++*(unsigned *)arg;
	return true;
}

static unsigned count_children(struct fh_device *device)
{
	unsigned count = 0;

	fh_object_each_child(device, count_child, &count);
	return count;
}

static void assert_unseen(void)
{
	wait_for_a_look();
	assert_int_equal(bench.commits, 0);
	assert_int_equal(bench.added, 0);
	assert_int_equal(bench.rises, 0);
	assert_int_equal(bench.timers, 0);
	assert_int_equal(bench.bhs, 0);
	assert_int_equal(bench.revoked, 0);
	assert_int_equal(bench.told, 0);
	assert_int_equal(bench.own_sections, 0);
}

/* --- Failure at every step ------------------------------------------------------------------ */

static void realize_again_succeeds(struct fh_device *rig)
{
	bench.fail_at = 0;
	bench.visible = true;
	assert_int_equal(fh_device_realize(rig, NULL), FH_OK);
	bench.must_be_visible = true;
	assert_int_equal(bench.commits, 1);
	assert_int_equal(bench.added, RIG_PLACES);
	assert_int_equal(bench.rises, 1);
	assert_ptr_equal(fh_device_region_at(rig, 0), fh_device_region(rig, "regs"));
	wait_for_a_look();
	fh_machine_drain(bench.m);
	assert_int_equal(bench.timers, 1);
	assert_int_equal(bench.bhs, 1);
	bench.must_be_visible = false;
	fh_device_unplug(rig);
	assert_int_equal(bench.commits, 2);
	assert_int_equal(bench.removed, RIG_PLACES);
	assert_false(fh_irq_level(bench.input));
}

static void realize_fails_after_step(unsigned k)
{
	struct fh_error err = FH_ERROR_INIT;
	char wanted[64];

	bench_begin();
	struct fh_device *rig = rig_new(bench.m);
	char *before = everything(rig);

	for (int attempt = 0; attempt < 2; attempt++) {
		bench.step = 0;
		bench.fail_at = k;
		fh_error_clear(&err);
		assert_int_equal(fh_device_realize(rig, &err), FH_EIO);
		assert_unseen();
		char *after = everything(rig);

		assert_string_equal(before, after);
		free(after);
		snprintf(wanted, sizeof(wanted), "step %u failed", k);
		assert_text_has(err.message, wanted);
		assert_ptr_equal(strstr(err.message, "rig 'rig': "), err.message);
		assert_false(fh_device_is_realized(rig));
		assert_int_equal(count_children(rig), 2);
		assert_null(fh_device_region_at(rig, 0));
		assert_int_equal(bench.done_count, 1); /* early's, which it is still */
	}
	free(before);
	realize_again_succeeds(rig);
	bench_end();
}

static void realize_that_fails_after_any_step_leaves_nothing(void **unused)
{
	const unsigned steps = rig_count_steps();

	(void)unused;
	for (unsigned k = 1; k <= steps; k++)
		realize_fails_after_step(k);
}

/* The same with plug, which disposes of the device as well; its name is free. */
static void plug_that_fails_after_any_step_leaves_nothing(void **unused)
{
	const unsigned steps = rig_count_steps() - 2; /* without the child "before" */

	(void)unused;
	for (unsigned k = 1; k <= steps; k++) {
		struct fh_error err = FH_ERROR_INIT;
		struct fh_ledger ledger;
		struct fh_object *found;

		bench_begin();
		ledger = fh_ledger_read(bench.m);
		bench.fail_at = k;
		assert_null(fh_device_plug(bench.m, &rig_type, "rig", NULL, &err));
		assert_unseen();
		fh_machine_drain(bench.m);
		assert_int_equal(fh_ledger_read(bench.m).alive, ledger.alive);
		assert_int_equal(bench.finalized, bench.made);
		found = fh_object_find(bench.m, "/rig");
		assert_null(found);
		bench_end();
	}
}

/* --- Unplugged at every step ---------------------------------------------------------------- */

struct job {
	struct fh_device *device;
	enum fh_code code;
	struct fh_error err;
};

static void run_realize(void *arg)
{
	struct job *job = arg;

	job->code = fh_device_realize(job->device, &job->err);
}

static void run_unplug(void *arg)
{
	struct job *job = arg;

	fh_device_unplug(job->device);
	fh_object_unref(job->device);
}

/* The nth thread at @point is stopped; meanwhile the rig, or what is above it, is unplugged. */
static void rig_is_unplugged_at(const char *point, unsigned nth, unsigned fail_at, bool parent)
{
	struct worker realizer, unplugger;

	bench_begin();
	struct probe_hooks top_hooks = { 0 };
	struct fh_device *top = parent ? probe_new(bench.m, "top", &top_hooks) : NULL;

	if (top)
		assert_int_equal(fh_device_realize(top, NULL), FH_OK);
	struct fh_device *rig = top ? rig_new(top) : rig_new(bench.m);
	struct job realize = { .device = fh_object_ref(rig) };
	struct job unplug = { .device = fh_object_ref(top ? top : rig) };

	bench.fail_at = fail_at;
	fh_point_arm_at(point, nth, NULL);
	worker_start(&realizer, run_realize, &realize);
	assert_true(fh_point_wait(point));
	fh_point_arm("drain.before-count");
	worker_start(&unplugger, run_unplug, &unplug);
	assert_true(fh_point_wait("drain.before-count"));
	/* A grace period is not enough: the realize is waited for, nothing is undone meanwhile. */
	const unsigned done = bench.done_count;

	fh_point_release("drain.before-count");
	assert_false(worker_done_within(&unplugger, 2));
	assert_int_equal(bench.done_count, done);
	assert_int_equal(bench.disposed, 0);
	fh_point_release(point);
	worker_join(&realizer);
	worker_join(&unplugger);
	assert_int_equal(bench.done_count, 0);
	assert_unseen();
	assert_false(fh_device_is_realized(rig));
	assert_int_equal(count_children(rig), 0);
	fh_object_unref(rig);
	bench_end();
}

static int reset_points(void **unused)
{
	(void)unused;
	fh_point_release_all();
	return 0;
}

static void rig_unplugged_at_any_step_is_never_seen(void **unused)
{
	const unsigned steps = rig_count_steps();

	(void)unused;
	for (unsigned k = 1; k <= steps; k++)
		rig_is_unplugged_at("test.step", k, k % 3 == 0 ? k : 0, k % 2 == 0);
}

static void rig_unplugged_before_a_child_or_the_show_is_never_seen(void **unused)
{
	(void)unused;
	for (int parent = 0; parent < 2; parent++) {
		/* The children "before" and "after": the others are realized by name. */
		rig_is_unplugged_at("realize.child", 1, 0, parent);
		rig_is_unplugged_at("realize.child", 2, 0, parent);
		/* Of "early", the inner child and its child, "before", "after", the rig. */
		for (unsigned nth = 1; nth <= 5; nth++)
			rig_is_unplugged_at("realize.before-show", nth, 0, parent);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(realize_that_fails_after_any_step_leaves_nothing),
		cmocka_unit_test(plug_that_fails_after_any_step_leaves_nothing),
		cmocka_unit_test_teardown(rig_unplugged_at_any_step_is_never_seen, reset_points),
		cmocka_unit_test_teardown(
			rig_unplugged_before_a_child_or_the_show_is_never_seen, reset_points),
	};

	return cmocka_run_group_tests_name("scenario/realize", tests, NULL, NULL);
}
