/* SPDX-License-Identifier: MIT */
/*
 * How devices are realized and shown, how a failure is undone (L7), and how unrealize goes (L6).
 */
#include "support/part.h"

static unsigned count_children(FH_ANY parent)
{
	struct fh_object *top = fh_object_of(parent);
	unsigned count = 0;

	fh_lock_acquire(&top->machine->tree_lock);
	for (struct fh_object *o = fh_object_next_locked(top, top); o;
	     o = fh_object_next_locked(o, top))
		count += o->parent == top;
	fh_lock_release(&top->machine->tree_lock);
	return count;
}

static enum fh_code map_with_two_children(struct fh_device *device, struct fh_error *err)
{
	assert_int_equal(map_regs(device, err), FH_OK);
	part_new(device, "12", &mapping);
	struct fh_device *first = part_new(device, "11", &mapping);

	return fh_device_realize(first, err);
}

static void realize_shows_the_whole_subtree_in_one_transaction(void **state)
{
	struct fh_machine *m = *state;
	struct plan plan = { .realize = map_with_two_children };
	struct fh_device *device = part_new(m, "10", &plan);
	struct watcher watcher = { 0 };

	watch_begin(m, &watcher);
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	assert_int_equal(watcher.commits, 1);
	assert_int_equal(watcher.added, 3);
	for (uint64_t page = 0x10; page <= 0x12; page++)
		assert_int_equal(load32(m, page * 0x1000 + 4, FH_TX_OK), 4);
	watch_end(&watcher);
	/* Children realized in the realize of their parent, then the rest. */
	assert_trace("realize(10) realize(11) realize(12)");
}

static enum fh_code expect_unseen(struct fh_device *device, struct fh_error *err)
{
	assert_int_equal(map_regs(device, err), FH_OK);
	load32(fh_object_get_machine(device), 0x10000, FH_TX_DECODE_ERROR);
	return FH_OK;
}

static void nothing_is_seen_before_the_end_of_realize(void **state)
{
	struct fh_machine *m = *state;
	struct plan plan = { .realize = expect_unseen };
	struct fh_device *device = part_new(m, "10", &plan);

	assert_false(fh_object_is_shown(&device->object));
	assert_false(fh_device_is_realized(device));
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	assert_true(fh_device_is_realized(device));
	load32(m, 0x10000, FH_TX_OK);
}

static void device_below_one_that_is_not_realized_waits_to_be_shown(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *parent = part_new(m, "10", &mapping);
	struct fh_device *child = part_new(parent, "11", &mapping);

	assert_int_equal(fh_device_realize(child, NULL), FH_OK);
	assert_true(fh_device_is_realized(child));
	load32(m, 0x11000, FH_TX_DECODE_ERROR);
	assert_int_equal(fh_device_realize(parent, NULL), FH_OK);
	load32(m, 0x11000, FH_TX_OK);
	/* Not realized a second time. */
	assert_trace("realize(11) realize(10)");
	fh_device_unplug(parent);
	assert_trace("unrealize(10) unrealize(11)");
}

static void device_added_later_is_shown_by_its_own_realize(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *parent = part_new(m, "10", &mapping);

	assert_int_equal(fh_device_realize(parent, NULL), FH_OK);
	struct fh_device *child = part_new(parent, "11", &mapping);

	load32(m, 0x11000, FH_TX_DECODE_ERROR);
	assert_int_equal(fh_device_realize(child, NULL), FH_OK);
	load32(m, 0x11000, FH_TX_OK);
}

static void realize_twice_is_refused(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = part_new(m, "10", &mapping);
	struct fh_error err = FH_ERROR_INIT;

	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	assert_int_equal(fh_device_realize(device, &err), FH_EBUSY);
	assert_string_equal(err.message, "part '10': it is realized");
}

static void realize_of_the_dead_is_refused(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = part_new(m, "10", &mapping);

	fh_object_ref(device);
	fh_object_dispose(device);
	assert_int_equal(fh_device_realize(device, NULL), FH_EDEAD);
	assert_trace("");
	fh_object_unref(device);
}

/* --- Levels --------------------------------------------------------------------------------- */

static enum fh_code level_realize(struct fh_device *device, void *state, struct fh_error *err);
static void level_unrealize(struct fh_device *device, void *state);

static const struct fh_device_ops level_ops = {
	.realize = level_realize, .unrealize = level_unrealize
};
static const struct fh_type base_type = {
	.name = "base", .parent = &part_type, .state_size = 16, .device = &level_ops
};
static const struct fh_type middle_type = {
	.name = "middle", .parent = &base_type, .state_size = 16
};
static const struct fh_type derived_type = {
	.name = "derived", .parent = &middle_type, .state_size = 16, .device = &level_ops
};

static bool derived_fails;

static const struct fh_type *level_of(struct fh_device *device, void *state)
{
	if (fh_object_cast(device, &derived_type) &&
	    state == fh_object_state(device, &derived_type))
		return &derived_type;
	assert_ptr_equal(state, fh_object_state(device, &base_type));
	return &base_type;
}

static enum fh_code level_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	const struct fh_type *level = level_of(device, state);
	const enum fh_code code = fh_device_realize_base(device, level, err);

	if (code != FH_OK)
		return code;
	note(level->name, device);
	if (level == &derived_type && derived_fails)
		return FH_EIO;
	return FH_OK;
}

static void level_unrealize(struct fh_device *device, void *state)
{
	note(level_of(device, state) == &derived_type ? "not-derived" : "not-base", device);
}

static void each_level_gets_its_own_state(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = fh_device_plug(m, &derived_type, "x", NULL, NULL);

	assert_non_null(device);
	assert_trace("realize(x) base(x) derived(x)");
	fh_device_unplug(device);
	assert_trace("not-derived(x) not-base(x) unrealize(x)");
}

static void inherited_realize_gets_the_state_of_its_level(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = fh_device_plug(m, &middle_type, "x", NULL, NULL);

	assert_non_null(device);
	assert_ptr_equal(fh_device_state(device), fh_object_state(device, &middle_type));
	assert_trace("realize(x) base(x)");
	fh_device_unplug(device);
	assert_trace("not-base(x) unrealize(x)");
}

static void base_levels_that_succeeded_are_undone_when_the_derived_fails(void **state)
{
	struct fh_machine *m = *state;
	struct fh_error err = FH_ERROR_INIT;

	derived_fails = true;
	assert_null(fh_device_plug(m, &derived_type, "x", NULL, &err));
	derived_fails = false;
	assert_int_equal(err.code, FH_EIO);
	assert_string_equal(err.message, "derived 'x': its realize failed with FH_EIO");
	assert_trace("realize(x) base(x) derived(x) not-base(x) unrealize(x)");
	machine_check_alive(m, 0);
}

static void must_not_run(void *state)
{
	(void)state;
	fail_msg("a callback of a device that was never shown");
}

/* --- Failures (L7) -------------------------------------------------------------------------- */

enum step { AFTER_REGION, AFTER_LINE, AFTER_TIMER, AFTER_CHILD, AFTER_PIN, IN_CHILD, STEPS };

static enum step failing;
static unsigned attempts;
static unsigned tell_count;

static void count_told(struct fh_object *target, void *state)
{
	(void)target;
	(void)state;
	tell_count++;
}

/* Leaves something of every kind behind, and fails at the step `failing` of the first attempt. */
static enum fh_code realize_much(struct fh_device *device, struct fh_error *err)
{
	struct plan *plan = part_of(device)->plan;
	const enum step last = attempts++ == 0 ? failing : STEPS;
	struct fh_error ignored = FH_ERROR_INIT;

	assert_int_equal(map_regs(device, err), FH_OK);
	if (last == AFTER_REGION)
		return FH_EIO;
	struct fh_irq *output = fh_irq_new(device, "irq");

	assert_int_equal(fh_irq_connect(output, plan->input), FH_OK);
	fh_irq_raise(output);
	if (last == AFTER_LINE)
		return FH_EIO;
	fh_timer_arm(fh_timer_new(device, "timer", must_not_run, NULL), 0);
	fh_bh_schedule(fh_bh_new(device, "bh", must_not_run, NULL));
	if (last == AFTER_TIMER)
		return FH_EIO;
	struct fh_device *child = fh_device_plug(device, &part_type, "child", NULL, err);

	assert_non_null(child);
	/* One that fails leaves its name free, at once. */
	const struct fh_setting fail[] = { { "fail", "on" }, { NULL, NULL } };

	assert_null(fh_device_plug(device, &part_type, "second", fail, &ignored));
	assert_non_null(fh_device_plug(device, &part_type, "second", NULL, err));
	if (last == AFTER_CHILD)
		return FH_EIO;
	assert_non_null(fh_object_pin(fh_machine_root(fh_object_get_machine(device)), device,
				      "test"));
	assert_non_null(fh_object_watch(plan->input, device, count_told, NULL));
	if (last == AFTER_PIN)
		return FH_EIO;
	struct fh_device *late = part_new(device, "late", NULL);

	part_of(late)->fail = last == IN_CHILD;
	return FH_OK;
}

static void count_pin(struct fh_object *target, const char *kind, void *arg)
{
	(void)target;
	(void)kind;
	(*(unsigned *)arg)++;
}

static void failed_realize_leaves_nothing(struct fh_machine *m, enum step step)
{
	struct fh_device *other = part_new(m, "other", NULL);
	struct plan plan = { .realize = realize_much };
	struct fh_device *device = part_new(m, "10", &plan);
	struct fh_device *before = part_new(device, "before", NULL);
	struct fh_error err = FH_ERROR_INIT;
	struct watcher watcher = { 0 };
	unsigned pins = 0;

	tell_count = 0;
	failing = step;
	attempts = 0;
	assert_int_equal(fh_device_realize(other, NULL), FH_OK);
	plan.input = fh_irq_new_input(other, "input", NULL, NULL);
	watch_begin(m, &watcher);

	assert_int_equal(fh_device_realize(device, &err), FH_EIO);

	assert_int_not_equal(err.message[0], '\0');
	assert_int_equal(watcher.commits, 0);
	assert_int_equal(watcher.added, 0);
	assert_false(fh_irq_level(plan.input));
	assert_false(fh_device_is_realized(device));
	assert_int_equal(count_children(device), 1);
	assert_false(fh_device_is_realized(before));
	assert_null(fh_device_region_at(device, 0));
	fh_holding_each(&device->object, count_pin, &pins);
	assert_int_equal(pins, 0);
	assert_int_equal(part_of(device)->level, step == IN_CHILD ? 0 : 1);
	machine_check_alive(m, 5); /* other, its input, device, before, the listener */

	/* The same again, which now succeeds. */
	fh_error_clear(&err);
	assert_int_equal(fh_device_realize(device, &err), FH_OK);
	assert_int_equal(watcher.added, 1);
	assert_true(fh_irq_level(plan.input));
	assert_ptr_equal(fh_device_region_at(device, 0), fh_device_region(device, "regs"));
	assert_true(fh_device_is_realized(before));
	watch_end(&watcher);
	/* Without a poll in between: the timer and the bottom half must not run. */
	fh_device_unplug(other);
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	/* The watch of the attempt that failed was not told. */
	assert_int_equal(tell_count, 1);
}

static void realize_that_fails_at_any_step_leaves_nothing(void **state)
{
	for (enum step step = AFTER_REGION; step < STEPS; step++)
		failed_realize_leaves_nothing(*state, step);
}

static enum fh_code realize_first_child(struct fh_device *device, struct fh_error *err)
{
	struct fh_device *c = part_new(device, "c", NULL);

	assert_non_null(fh_device_plug(device, &part_type, "a", NULL, err));
	part_new(device, "b", NULL);
	part_of(part_new(device, "f", NULL))->fail = true;
	return fh_device_realize(c, err);
}

static void failure_is_undone_in_exact_reverse(void **state)
{
	struct fh_machine *m = *state;
	struct plan plan = { .realize = realize_first_child };
	struct fh_device *device = part_new(m, "top", &plan);
	struct fh_device *early = part_new(device, "early", NULL);
	struct fh_error err = FH_ERROR_INIT;

	assert_int_equal(fh_device_realize(early, NULL), FH_OK);
	trace[0] = '\0';
	assert_int_equal(fh_device_realize(device, &err), FH_EIO);
	assert_string_equal(err.message, "part 'top': part 'f': the disk is on fire");
	/* Realized before the attempt: remains. What children were realized after the own realize
	 * goes before it, what was realized in it afterwards. */
	assert_trace("realize(top) realize(a) realize(c) realize(b) realize(f) "
		     "unrealize(b) unrealize(top) unrealize(c) unrealize(a)");
	assert_true(fh_device_is_realized(early));
}

static void unrealize_goes_in_exact_reverse(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *top = part_new(m, "top", NULL);
	struct fh_device *a = part_new(top, "a", NULL);
	struct fh_device *b = part_new(top, "b", NULL);

	part_new(a, "aa", NULL);
	assert_int_equal(fh_device_realize(b, NULL), FH_OK);
	assert_int_equal(fh_device_realize(top, NULL), FH_OK);
	assert_non_null(fh_device_plug(a, &part_type, "ab", NULL, NULL));
	assert_trace("realize(b) realize(top) realize(a) realize(aa) realize(ab)");
	fh_device_unplug(top);
	/* A realization is complete when the children's are. */
	assert_trace("unrealize(ab) unrealize(top) unrealize(a) unrealize(aa) unrealize(b)");
}

/* --- Threads -------------------------------------------------------------------------------- */

struct job {
	struct fh_device *device;
	enum fh_code code;
	struct fh_error err;
};

static void realize_job(void *arg)
{
	struct job *job = arg;

	job->code = fh_device_realize(job->device, &job->err);
}

static void unplug_job(void *arg)
{
	struct job *job = arg;

	fh_device_unplug(job->device);
	fh_object_unref(job->device);
}

/* The guest never sees a device that is unplugged while it is being realized, and unplug waits. */
static void unplug_during_realize(struct fh_machine *m, const char *point, unsigned nth)
{
	struct plan plan = { .realize = map_with_two_children };
	struct fh_device *device = part_new(m, "10", &plan);
	struct job realize = { .device = device };
	struct job unplug = { .device = fh_object_ref(device) };
	struct worker realizer, unplugger;
	struct watcher watcher = { 0 };

	trace[0] = '\0';
	fh_object_ref(device);
	watch_begin(m, &watcher);
	fh_point_arm_at(point, nth, NULL);
	worker_start(&realizer, realize_job, &realize);
	assert_true(fh_point_wait(point));
	fh_point_arm("drain.before-count");
	worker_start(&unplugger, unplug_job, &unplug);
	assert_true(fh_point_wait("drain.before-count"));
	fh_point_release("drain.before-count");
	assert_false(worker_done_within(&unplugger, 50));
	assert_null(strstr(trace, "unrealize"));
	fh_point_release(point);
	worker_join(&realizer);
	worker_join(&unplugger);
	assert_int_equal(watcher.added, 0);
	assert_int_equal(watcher.commits, 0);
	/* All that was realized has been unrealized, and nothing else. */
	assert_int_equal(part_of(device)->level, 0);
	assert_false(fh_device_is_realized(device));
	assert_int_equal(count_children(device), 0);
	watch_end(&watcher);
	fh_object_unref(device);
	machine_check_alive(m, 0);
}

static void unplug_waits_for_a_realize_that_is_about_to_show(void **state)
{
	unplug_during_realize(*state, "realize.before-show", 3); /* after the children */
	assert_trace("realize(10) realize(11) realize(12) "
		     "unrealize(10) unrealize(12) unrealize(11)");
}

static void unplug_waits_for_a_realize_that_is_at_its_children(void **state)
{
	/* The child that is not realized yet is refused, as it is hidden. */
	unplug_during_realize(*state, "realize.child", 1);
	assert_trace("realize(10) realize(11) unrealize(10) unrealize(11)");
}

static void child_below_a_realize_in_progress_is_not_realized_by_another_thread(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = part_new(m, "10", &mapping);
	struct fh_device *child = part_new(device, "11", &mapping);
	struct job realize = { .device = device };
	struct job child_realize = { .device = child };
	struct worker realizer;
	struct fh_error err = FH_ERROR_INIT;

	fh_point_arm("realize.child");
	worker_start(&realizer, realize_job, &realize);
	assert_true(fh_point_wait("realize.child"));
	assert_int_equal(fh_device_realize(child, &err), FH_EBUSY);
	fh_point_release("realize.child");
	worker_join(&realizer);
	assert_int_equal(realize.code, FH_OK);
	assert_true(fh_device_is_realized(child));

	/* And the other way round. */
	fh_device_unplug(device);
	device = part_new(m, "10", &mapping);
	child_realize.device = part_new(device, "11", &mapping);
	fh_point_arm("realize.before-show");
	worker_start(&realizer, realize_job, &child_realize);
	assert_true(fh_point_wait("realize.before-show"));
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	/* The child was realized, and not yet shown: its parent's realize shows it. */
	load32(m, 0x11000, FH_TX_OK);
	fh_point_release("realize.before-show");
	worker_join(&realizer);
	load32(m, 0x11000, FH_TX_OK);
}

static void child_that_is_made_at_the_last_moment_is_not_shown(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = part_new(m, "10", &mapping);
	struct job realize = { .device = device };
	struct fh_device *late;
	struct worker realizer;

	fh_point_arm("realize.before-show");
	worker_start(&realizer, realize_job, &realize);
	assert_true(fh_point_wait("realize.before-show"));
	late = part_new(device, "11", NULL);
	assert_int_equal(map_regs(late, NULL), FH_OK);
	fh_point_release("realize.before-show");
	worker_join(&realizer);
	load32(m, 0x10000, FH_TX_OK);
	load32(m, 0x11000, FH_TX_DECODE_ERROR);
	assert_int_equal(fh_device_realize(late, NULL), FH_OK);
	load32(m, 0x11000, FH_TX_OK);
}

static void child_unplugged_before_its_turn_is_left_out(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = part_new(m, "10", &mapping);
	struct fh_device *child = part_new(device, "11", &mapping);
	struct job realize = { .device = device };
	struct worker realizer;

	part_new(device, "12", &mapping);
	fh_point_arm("realize.child");
	worker_start(&realizer, realize_job, &realize);
	assert_true(fh_point_wait("realize.child"));
	fh_device_unplug(child);
	fh_point_release("realize.child");
	worker_join(&realizer);
	assert_int_equal(realize.code, FH_OK);
	assert_int_equal(realize.err.code, FH_OK);
	assert_trace("realize(10) realize(12)");
	load32(m, 0x12000, FH_TX_OK);
}

static enum fh_code slow_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)object;
	(void)state;
	FH_POINT("test.in-init");
	return fh_error_set(err, FH_EIO, "no");
}

static const struct fh_type slow_type = {
	.name = "slow", .parent = &fh_device_type, .init = slow_init
};

static void plug_slow(void *arg)
{
	assert_null(fh_device_plug((struct fh_device *)arg, &slow_type, "slow", NULL, NULL));
}

static void unplug_waits_for_a_plug_below_that_is_in_progress(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *parent = part_new(m, "10", NULL);
	struct job unplug = { .device = fh_object_ref(parent) };
	struct worker plugger, unplugger;

	assert_int_equal(fh_device_realize(parent, NULL), FH_OK);
	fh_object_ref(parent);
	fh_point_arm("test.in-init");
	worker_start(&plugger, plug_slow, parent);
	assert_true(fh_point_wait("test.in-init"));
	worker_start(&unplugger, unplug_job, &unplug);
	assert_false(worker_done_within(&unplugger, 50));
	assert_false(fh_object_has(&parent->object, FH_OBJECT_DETACHED));
	fh_point_release("test.in-init");
	worker_join(&plugger);
	worker_join(&unplugger);
	fh_object_unref(parent);
	machine_check_alive(m, 0);
}

static enum fh_code unplug_self(struct fh_device *device, struct fh_error *err)
{
	assert_int_equal(map_regs(device, err), FH_OK);
	fh_device_unplug(device);
	assert_true(fh_object_is_disposed(device));
	return FH_OK;
}

static void device_that_unplugs_itself_in_realize_is_never_seen(void **state)
{
	struct fh_machine *m = *state;
	struct plan plan = { .realize = unplug_self };
	struct fh_device *device = part_new(m, "10", &plan);
	struct watcher watcher = { 0 };

	watch_begin(m, &watcher);
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	assert_int_equal(watcher.added, 0);
	fh_machine_drain(m);
	assert_trace("realize(10) unrealize(10)");
	watch_end(&watcher);
	machine_check_alive(m, 0);
}

static struct fh_device *victim;

static enum fh_code unplug_victim(struct fh_device *device, struct fh_error *err)
{
	(void)device;
	(void)err;
	FH_POINT("test.in-realize");
	fh_device_unplug(victim); /* waits for nothing: control waits for this realize */
	return FH_OK;
}

static void unplug_in_a_realize_that_is_being_waited_for_does_not_hang(void **state)
{
	struct fh_machine *m = *state;
	struct plan plan = { .realize = unplug_victim };
	struct fh_device *device = part_new(m, "10", &plan);
	struct job realize = { .device = device };
	struct job unplug = { .device = fh_object_ref(device) };
	struct worker realizer, unplugger;

	victim = part_new(m, "20", &mapping);
	assert_int_equal(fh_device_realize(victim, NULL), FH_OK);
	fh_point_arm("test.in-realize");
	worker_start(&realizer, realize_job, &realize);
	assert_true(fh_point_wait("test.in-realize"));
	fh_point_arm("drain.before-count");
	worker_start(&unplugger, unplug_job, &unplug);
	assert_true(fh_point_wait("drain.before-count"));
	fh_point_release_all();
	worker_join(&realizer);
	worker_join(&unplugger);
	machine_check_alive(m, 0);
}

static enum fh_code fail_after_some(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)state;
	fh_irq_new(device, "irq");
	fh_timer_new(device, "timer", must_not_run, NULL);
	return fh_error_set(err, FH_EIO, "no");
}

static const struct fh_device_ops failing_ops = { .realize = fail_after_some };
static const struct fh_type failing_type = {
	.name = "failing", .parent = &fh_device_type, .device = &failing_ops
};

static const struct fh_type quiet_type = { .name = "quiet", .parent = &fh_device_type };

static void plug_many(void *arg)
{
	struct fh_machine *m = arg;

	for (unsigned i = 0; i < 200; i++) {
		assert_null(fh_device_plug(m, &failing_type, NULL, NULL, NULL));
		struct fh_device *device = fh_device_plug(m, &quiet_type, NULL, NULL, NULL);

		assert_non_null(device);
		fh_device_unplug(device);
	}
}

static void plugs_on_many_threads_leave_nothing(void **state)
{
	struct fh_machine *m = *state;
	struct worker workers[4];

	for (unsigned i = 0; i < 4; i++)
		worker_start(&workers[i], plug_many, m);
	for (unsigned i = 0; i < 4; i++)
		worker_join(&workers[i]);
	machine_check_alive(m, 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(realize_shows_the_whole_subtree_in_one_transaction),
		test(nothing_is_seen_before_the_end_of_realize),
		test(device_below_one_that_is_not_realized_waits_to_be_shown),
		test(device_added_later_is_shown_by_its_own_realize),
		test(realize_twice_is_refused),
		test(realize_of_the_dead_is_refused),
		test(each_level_gets_its_own_state),
		test(inherited_realize_gets_the_state_of_its_level),
		test(base_levels_that_succeeded_are_undone_when_the_derived_fails),
		test(realize_that_fails_at_any_step_leaves_nothing),
		test(failure_is_undone_in_exact_reverse),
		test(unrealize_goes_in_exact_reverse),
		test(unplug_waits_for_a_realize_that_is_about_to_show),
		test(unplug_waits_for_a_realize_that_is_at_its_children),
		test(child_below_a_realize_in_progress_is_not_realized_by_another_thread),
		test(child_that_is_made_at_the_last_moment_is_not_shown),
		test(child_unplugged_before_its_turn_is_left_out),
		test(unplug_waits_for_a_plug_below_that_is_in_progress),
		test(device_that_unplugs_itself_in_realize_is_never_seen),
		test(unplug_in_a_realize_that_is_being_waited_for_does_not_hang),
		test(plugs_on_many_threads_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
