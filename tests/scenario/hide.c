/* SPDX-License-Identifier: MIT */
/*
 * Two hides of one subtree at the same moment (L6): whoever comes second goes on to its drain
 * only when what the first one hid is published. And what joins a subtree that is hidden.
 */
#include "support/standing.h"

#define PARENT UINT64_C(0x10000000)
#define CHILD UINT64_C(0x20000000)

static void unplug(void *device)
{
	fh_device_unplug(device);
}

/*
 * The parent's hide has set its flags and not published yet, so that the guest still reaches the
 * child; then the child's unplug begins.
 */
static void child_is_not_drained_before_its_parents_hide_is_published(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks[2] = { 0 };
	struct fh_device *parent = probe_plug(m, "parent", &hooks[0], PARENT);
	struct fh_device *child = probe_plug(parent, "child", &hooks[1], CHILD);
	struct worker worker[2];

	(void)unused;
	fh_object_ref(child);
	fh_point_arm("commit.publish");
	worker_start(&worker[0], unplug, parent);
	assert_true(fh_point_wait("commit.publish"));
	worker_start(&worker[1], unplug, child);
	assert_false(worker_done_within(&worker[1], 50));
	assert_int_equal(hooks[1].unrealized, 0);
	load32(m, CHILD, FH_TX_OK);
	fh_point_release("commit.publish");
	worker_join(&worker[0]);
	worker_join(&worker[1]);
	load32(m, CHILD, FH_TX_DECODE_ERROR);
	fh_object_unref(child);
	machine_check_alive(m, 0);
	assert_int_equal(hooks[1].unrealized, 1);
	assert_int_equal(hooks[1].reads, 1);
	machine_end(m);
}

static const struct fh_type plain_type = { .name = "plain" };

/* A callback of it began after the drain of the one that it is put below. */
static void what_is_in_use_does_not_join_what_was_drained(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *parent = probe_plug(m, "parent", &hooks, PARENT);
	struct fh_object *board = fh_object_new(m, &plain_type, NULL);
	struct standing standing;
	struct worker unplugger;

	(void)unused;
	standing_plug(&standing, board);
	fh_point_arm("drain.done");
	worker_start(&unplugger, unplug, parent);
	assert_true(fh_point_wait("drain.done"));
	standing_begin(&standing, m);
	assert_int_equal(fh_object_add_child(parent, "board", board, NULL), FH_EDEAD);
	fh_point_release("drain.done");
	worker_join(&unplugger);
	assert_int_equal(standing.hooks.unrealized, 0);
	standing_end(&standing);
	fh_object_dispose(board);
	board = fh_object_unref(board);
	machine_check_alive(m, 0);
	assert_int_equal(standing.hooks.unrealized, 1);
	machine_end(m);
}

static struct fh_object *adopted;
static bool in_realize; /* it is made and in use no sooner than in the realize that takes it in */
static bool deeper;	/* it is put below something else that was made */
static struct standing in_use;

static void make_adopted(struct fh_machine *m)
{
	adopted = fh_object_new(m, &plain_type, NULL);
	standing_plug(&in_use, adopted);
	standing_begin(&in_use, m);
}

static enum fh_code adopt_and_fail(struct probe *probe, struct fh_error *err)
{
	struct fh_object *above = (struct fh_object *)probe->device;

	if (in_realize)
		make_adopted(fh_object_get_machine(above));
	if (deeper)
		above = fh_object_new_child(probe->device, "slot", &plain_type, NULL);
	CHECK(fh_object_add_child(above, "board", adopted, NULL) == FH_OK);
	return fh_error_set(err, FH_EIO, "no luck");
}

static void run_plug(void *arg)
{
	struct probe_hooks *hooks = arg;
	struct fh_device *device = probe_new((struct fh_object *)hooks->arg, "parent", hooks);

	CHECK(fh_device_realize(device, NULL) == FH_EIO);
	fh_device_unplug(device);
}

/* A callback of it runs, when the realize that took it in fails. */
static void in_use_when_a_realize_fails(void)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .realize = adopt_and_fail, .arg = m };
	struct worker plugger;

	fh_point_arm("drain.synchronize");
	if (!in_realize)
		make_adopted(m);
	worker_start(&plugger, run_plug, &hooks);
	/* All is hidden, and the unplug waits. */
	assert_true(fh_point_wait("drain.synchronize"));
	fh_point_release("drain.synchronize");
	assert_false(worker_done_within(&plugger, 50));
	load32(m, STANDING_ADDR, FH_TX_DECODE_ERROR);
	assert_int_equal(in_use.hooks.unrealized, 0);
	standing_end(&in_use);
	worker_join(&plugger);
	assert_int_equal(in_use.hooks.unrealized, 1);
	adopted = fh_object_unref(adopted);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void what_is_in_use_is_drained_when_a_realize_that_took_it_fails(void **unused)
{
	(void)unused;
	for (int way = 0; way < 4; way++) {
		deeper = way & 1;
		in_realize = way & 2;
		in_use_when_a_realize_fails();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			child_is_not_drained_before_its_parents_hide_is_published, release_points),
		cmocka_unit_test_teardown(what_is_in_use_does_not_join_what_was_drained,
					  release_points),
		cmocka_unit_test_teardown(
			what_is_in_use_is_drained_when_a_realize_that_took_it_fails,
			release_points),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
