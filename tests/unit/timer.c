/* SPDX-License-Identifier: MIT */
/*
 * Timers and bottom halves: when they run, how often, and that they never do once their device is
 * hidden or they were cancelled.
 */
#include "support/probe.h"

#include <string.h>
#include <time.h>

#include "base/point.h"
#include "device/device.h"

static const struct fh_type board_type = { .name = "board", .parent = &fh_device_type };

/* What the loop was told. */
struct told {
	_Atomic unsigned posts;
	_Atomic uint64_t deadline;
};

static struct told told;

static void loop_post(void *loop)
{
	struct told *t = loop;

	atomic_fetch_add_explicit(&t->posts, 1, memory_order_relaxed);
}

static void loop_timer(void *loop, uint64_t deadline)
{
	struct told *t = loop;

	atomic_store_explicit(&t->deadline, deadline, memory_order_relaxed);
}

static const struct fh_loop_ops loop_ops = { .post = loop_post, .timer = loop_timer };

static int set_up(void **state)
{
	const struct fh_machine_options options = { .loop_ops = &loop_ops, .loop = &told };

	told.posts = 0;
	told.deadline = 0;
	*state = fh_machine_new(&options, NULL);
	told.posts = 0;
	return 0;
}

static int tear_down(void **state)
{
	fh_point_release_all();
	machine_end(*state);
	return 0;
}

static struct fh_device *board_new(FH_ANY parent, const char *name)
{
	struct fh_device *device = fh_device_new(parent, &board_type, name, NULL, NULL);

	assert_non_null(device);
	return device;
}

static struct fh_device *board_plug(FH_ANY parent, const char *name)
{
	struct fh_device *device = fh_device_plug(parent, &board_type, name, NULL, NULL);

	assert_non_null(device);
	return device;
}

/* --- What runs ------------------------------------------------------------------------------ */

struct clock {
	struct fh_device *device;
	struct fh_timer *timer;
	struct fh_bh *bh;
	void (*then)(struct clock *clock); /* optional: what the callback does */
	_Atomic unsigned runs;
	unsigned order; /* of its last run among all */
};

static unsigned run_order;

static void clock_run(void *state)
{
	struct clock *clock = state;

	assert_true(fh_domain_is_mine(fh_device_domain(clock->device)));
	clock->runs++;
	clock->order = ++run_order;
	if (clock->then)
		clock->then(clock);
}

static void clock_init(struct clock *clock, struct fh_device *device)
{
	clock->device = device;
	clock->timer = fh_timer_new(device, NULL, clock_run, clock);
	clock->bh = fh_bh_new(device, NULL, clock_run, clock);
	assert_non_null(clock->timer);
	assert_non_null(clock->bh);
}

/* --- Timers --------------------------------------------------------------------------------- */

static uint64_t ran_at;

static void note_time(struct clock *clock)
{
	ran_at = fh_machine_now(fh_object_get_machine(clock->device));
}

static void timer_runs_once_and_not_before_its_deadline(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;
	const uint64_t deadline = fh_machine_now(m) + 20000000;

	clock = (struct clock){ .then = note_time };
	clock_init(&clock, board_plug(m, "board"));
	assert_false(fh_timer_is_armed(clock.timer));
	fh_timer_arm(clock.timer, deadline);
	assert_true(fh_timer_is_armed(clock.timer));
	while (!fh_machine_poll(m))
		;
	assert_true(ran_at >= deadline);
	assert_int_equal(clock.runs, 1);
	assert_false(fh_timer_is_armed(clock.timer));
	assert_false(fh_machine_poll(m));
	assert_int_equal(clock.runs, 1);
}

static void timers_run_in_order_of_deadline_and_then_of_arming(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = board_plug(m, "board");
	static struct clock clocks[4];
	const uint64_t now = fh_machine_now(m);

	memset(clocks, 0, sizeof(clocks));
	for (unsigned i = 0; i < 4; i++)
		clock_init(&clocks[i], board);
	run_order = 0;
	fh_timer_arm(clocks[0].timer, now - 1);
	fh_timer_arm(clocks[1].timer, now - 3);
	fh_timer_arm(clocks[2].timer, now - 3);
	fh_timer_arm(clocks[3].timer, now - 2);
	assert_true(fh_machine_poll(m));
	assert_int_equal(clocks[1].order, 1);
	assert_int_equal(clocks[2].order, 2);
	assert_int_equal(clocks[3].order, 3);
	assert_int_equal(clocks[0].order, 4);
}

static void arming_again_replaces_and_cancelling_ends(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;

	clock = (struct clock){ 0 };
	clock_init(&clock, board_plug(m, "board"));
	fh_timer_arm(clock.timer, 1);
	fh_timer_arm(clock.timer, UINT64_MAX - 1);
	fh_machine_poll(m);
	assert_int_equal(clock.runs, 0);
	fh_timer_arm(clock.timer, 1);
	fh_timer_cancel(clock.timer);
	assert_false(fh_timer_is_armed(clock.timer));
	fh_machine_poll(m);
	assert_int_equal(clock.runs, 0);
	fh_timer_cancel(clock.timer);
	fh_timer_arm(clock.timer, 1);
	fh_machine_poll(m);
	assert_int_equal(clock.runs, 1);
	fh_timer_arm(NULL, 1);
	fh_timer_cancel(NULL);
	assert_false(fh_timer_is_armed(NULL));
}

static void rearm(struct clock *clock)
{
	assert_false(fh_timer_is_armed(clock->timer));
	fh_timer_arm(clock->timer, 1);
}

static void timer_armed_in_its_callback_runs_in_the_next_poll(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;

	clock = (struct clock){ .then = rearm };
	clock_init(&clock, board_plug(m, "board"));
	fh_timer_arm(clock.timer, 1);
	assert_true(fh_machine_poll(m));
	assert_int_equal(clock.runs, 1);
	assert_true(fh_machine_poll(m));
	assert_int_equal(clock.runs, 2);
	clock.then = NULL;
	fh_machine_drain(m);
	assert_int_equal(clock.runs, 3);
}

static struct clock *other;

static void cancel_other(struct clock *clock)
{
	(void)clock;
	fh_timer_cancel(other->timer);
}

static void timer_due_in_the_same_poll_can_still_be_cancelled(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = board_plug(m, "board");
	static struct clock clocks[2];

	memset(clocks, 0, sizeof(clocks));
	clock_init(&clocks[0], board);
	clock_init(&clocks[1], board);
	other = &clocks[1];
	clocks[0].then = cancel_other;
	fh_timer_arm(clocks[0].timer, 1);
	fh_timer_arm(clocks[1].timer, 2);
	fh_machine_poll(m);
	assert_int_equal(clocks[0].runs, 1);
	assert_int_equal(clocks[1].runs, 0);
}

static void poll_once(void *arg)
{
	fh_machine_poll(arg);
}

static void cancel_it(void *state)
{
	fh_timer_cancel(((struct clock *)state)->timer);
}

/* The poll has decided to run it, and has not entered the domain, when a callback cancels it. */
static void timer_cancelled_in_the_domain_does_not_run_afterwards(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;
	struct worker poller;

	clock = (struct clock){ 0 };
	clock_init(&clock, board_plug(m, "board"));
	fh_timer_arm(clock.timer, 1);
	fh_point_arm("timer.due");
	worker_start(&poller, poll_once, m);
	assert_true(fh_point_wait("timer.due"));
	assert_true(fh_timer_is_armed(clock.timer));
	assert_true(fh_device_call(clock.device, cancel_it, &clock));
	fh_point_release("timer.due");
	worker_join(&poller);
	assert_int_equal(clock.runs, 0);
}

static void rearm_it(void *state)
{
	fh_timer_arm(((struct clock *)state)->timer, UINT64_MAX - 1);
}

static void timer_armed_anew_in_the_domain_does_not_run_at_the_old_deadline(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;
	struct worker poller;

	clock = (struct clock){ 0 };
	clock_init(&clock, board_plug(m, "board"));
	fh_timer_arm(clock.timer, 1);
	fh_point_arm("timer.due");
	worker_start(&poller, poll_once, m);
	assert_true(fh_point_wait("timer.due"));
	assert_true(fh_device_call(clock.device, rearm_it, &clock));
	fh_point_release("timer.due");
	worker_join(&poller);
	assert_int_equal(clock.runs, 0);
	assert_true(fh_timer_is_armed(clock.timer));
	assert_int_equal(told.deadline, UINT64_MAX - 1);
}

static void dispose_of_itself(struct clock *clock)
{
	fh_object_dispose(clock->timer);
	fh_object_dispose(clock->bh);
	fh_timer_arm(clock->timer, 1);
	fh_bh_schedule(clock->bh);
	assert_false(fh_timer_is_armed(clock->timer));
}

static void timer_may_dispose_of_itself(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;

	clock = (struct clock){ .then = dispose_of_itself };
	clock_init(&clock, board_plug(m, "board"));
	fh_timer_arm(clock.timer, 1);
	fh_machine_poll(m);
	assert_int_equal(clock.runs, 1);
	machine_check_alive(m, 1);
	assert_int_equal(clock.runs, 1);
}

static void loop_is_told_of_the_earliest_deadline(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = board_plug(m, "board");
	static struct clock clocks[2];

	memset(clocks, 0, sizeof(clocks));
	clock_init(&clocks[0], board);
	clock_init(&clocks[1], board);
	fh_timer_arm(clocks[0].timer, UINT64_MAX - 10);
	assert_int_equal(told.deadline, UINT64_MAX - 10);
	fh_timer_arm(clocks[1].timer, UINT64_MAX - 20);
	assert_int_equal(told.deadline, UINT64_MAX - 20);
	fh_timer_arm(clocks[1].timer, UINT64_MAX - 5);
	assert_int_equal(told.deadline, UINT64_MAX - 10);
	fh_timer_cancel(clocks[0].timer);
	assert_int_equal(told.deadline, UINT64_MAX - 5);
	fh_timer_arm(clocks[0].timer, 1);
	assert_int_equal(told.deadline, 1);
	fh_machine_poll(m);
	assert_int_equal(told.deadline, UINT64_MAX - 5);
	fh_device_unplug(board);
	assert_int_equal(told.deadline, UINT64_MAX);
}

/* A loop whose timer is used up, and whose clock is a little ahead of ours, comes back. */
static void loop_that_polls_too_early_is_told_again(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;

	memset(&clock, 0, sizeof(clock));
	clock_init(&clock, board_plug(m, "board"));
	fh_timer_arm(clock.timer, UINT64_MAX - 5);
	told.deadline = 7;
	fh_machine_poll(m);
	assert_int_equal(clock.runs, 0);
	assert_int_equal(told.deadline, UINT64_MAX - 5);
	fh_timer_arm(clock.timer, 1);
	fh_machine_poll(m);
	assert_int_equal(clock.runs, 1);
	assert_int_equal(told.deadline, UINT64_MAX);
}

/* --- Bottom halves -------------------------------------------------------------------------- */

static void bh_runs_once_for_any_number_of_calls(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;

	clock = (struct clock){ 0 };
	clock_init(&clock, board_plug(m, "board"));
	told.posts = 0;
	fh_bh_schedule(clock.bh);
	fh_bh_schedule(clock.bh);
	fh_bh_schedule(NULL);
	assert_int_equal(told.posts, 1);
	assert_int_equal(clock.runs, 0);
	assert_true(fh_machine_poll(m));
	assert_int_equal(clock.runs, 1);
	assert_false(fh_machine_poll(m));
	fh_bh_schedule(clock.bh);
	fh_machine_drain(m);
	assert_int_equal(clock.runs, 2);
}

static void schedule_again(struct clock *clock)
{
	fh_bh_schedule(clock->bh);
}

static void bh_scheduled_in_its_callback_runs_in_the_next_poll(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;

	clock = (struct clock){ .then = schedule_again };
	clock_init(&clock, board_plug(m, "board"));
	fh_bh_schedule(clock.bh);
	told.posts = 0;
	assert_true(fh_machine_poll(m));
	assert_int_equal(clock.runs, 1);
	assert_int_equal(told.posts, 1);
	clock.then = NULL;
	assert_true(fh_machine_poll(m));
	assert_int_equal(clock.runs, 2);
	assert_false(fh_machine_poll(m));
}

static void bhs_run_in_the_order_in_which_they_were_scheduled(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = board_plug(m, "board");
	static struct clock clocks[3];

	memset(clocks, 0, sizeof(clocks));
	run_order = 0;
	for (unsigned i = 0; i < 3; i++)
		clock_init(&clocks[i], board);
	fh_bh_schedule(clocks[2].bh);
	fh_bh_schedule(clocks[0].bh);
	fh_bh_schedule(clocks[1].bh);
	fh_machine_poll(m);
	assert_int_equal(clocks[2].order, 1);
	assert_int_equal(clocks[0].order, 2);
	assert_int_equal(clocks[1].order, 3);
}

static void dispose_of_it(void *state)
{
	fh_object_dispose(((struct clock *)state)->bh);
}

/* As with a timer that is cancelled. */
static void bh_disposed_of_in_the_domain_does_not_run_afterwards(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;
	struct worker poller;

	clock = (struct clock){ 0 };
	clock_init(&clock, board_plug(m, "board"));
	fh_bh_schedule(clock.bh);
	fh_point_arm("bh.due");
	worker_start(&poller, poll_once, m);
	assert_true(fh_point_wait("bh.due"));
	assert_true(fh_device_call(clock.device, dispose_of_it, &clock));
	fh_point_release("bh.due");
	worker_join(&poller);
	assert_int_equal(clock.runs, 0);
}

static void what_is_disposed_of_while_queued_is_gone(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;

	clock = (struct clock){ 0 };
	clock_init(&clock, board_plug(m, "board"));
	fh_timer_arm(clock.timer, 1);
	fh_bh_schedule(clock.bh);
	fh_object_dispose(clock.timer);
	fh_object_dispose(clock.bh);
	assert_int_equal(told.deadline, UINT64_MAX);
	machine_check_alive(m, 1);
	assert_int_equal(clock.runs, 0);
}

static void bh_may_dispose_of_itself(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock;

	clock = (struct clock){ .then = dispose_of_itself };
	clock_init(&clock, board_plug(m, "board"));
	fh_bh_schedule(clock.bh);
	fh_machine_poll(m);
	machine_check_alive(m, 1);
	assert_int_equal(clock.runs, 1);
}

/* --- Life ----------------------------------------------------------------------------------- */

static void what_is_queued_before_the_device_is_shown_waits_for_that(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = board_new(m, "board");
	static struct clock clock;

	clock = (struct clock){ 0 };
	clock_init(&clock, board);
	told.posts = 0;
	fh_timer_arm(clock.timer, 1);
	fh_bh_schedule(clock.bh);
	assert_int_equal(told.posts, 0);
	assert_true(fh_timer_is_armed(clock.timer));
	assert_false(fh_machine_poll(m));
	assert_int_equal(clock.runs, 0);
	assert_int_equal(fh_device_realize(board, NULL), FH_OK);
	assert_int_equal(told.posts, 1);
	assert_int_equal(told.deadline, 1);
	fh_machine_poll(m);
	assert_int_equal(clock.runs, 2);
}

static void unplug_it(struct clock *clock)
{
	fh_device_unplug(clock->device);
	/* Hidden: nothing is queued any more. */
	fh_timer_arm(clock->timer, 1);
	fh_bh_schedule(clock->bh);
	assert_false(fh_timer_is_armed(clock->timer));
}

static void nothing_runs_after_the_device_was_hidden(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clock, late;

	clock = (struct clock){ .then = unplug_it };
	late = (struct clock){ 0 };
	clock_init(&clock, board_plug(m, "board"));
	clock_init(&late, clock.device);
	fh_bh_schedule(clock.bh);
	fh_bh_schedule(late.bh);
	fh_timer_arm(late.timer, 1);
	fh_machine_drain(m);
	assert_int_equal(clock.runs, 1);
	assert_int_equal(late.runs, 0);
	machine_check_alive(m, 0);
}

static void unplug(void *arg)
{
	fh_device_unplug(arg);
}

/*
 * The poll has taken what is due and is about to look at the shown bit when the device goes through
 * hide and drain; the poll comes between drain and detach.
 */
static void due_between_drain_and_detach(struct fh_machine *m, bool bh)
{
	static struct clock clock;
	struct worker poller, unplugger;
	const char *point = bh ? "bh.due" : "timer.due";

	clock = (struct clock){ 0 };
	clock_init(&clock, board_plug(m, "board"));
	if (bh)
		fh_bh_schedule(clock.bh);
	else
		fh_timer_arm(clock.timer, 1);
	fh_point_arm(point);
	worker_start(&poller, poll_once, m);
	assert_true(fh_point_wait(point));
	fh_point_arm("dispose.before-detach");
	worker_start(&unplugger, unplug, clock.device);
	assert_true(fh_point_wait("dispose.before-detach"));
	fh_point_release(point);
	worker_join(&poller);
	assert_int_equal(clock.runs, 0);
	fh_point_release("dispose.before-detach");
	worker_join(&unplugger);
	machine_check_alive(m, 0);
}

static void timer_between_drain_and_detach_does_not_run(void **state)
{
	due_between_drain_and_detach(*state, false);
}

static void bh_between_drain_and_detach_does_not_run(void **state)
{
	due_between_drain_and_detach(*state, true);
}

static void parts_are_refused_after_the_end(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = fh_object_ref(board_plug(m, "board"));

	fh_device_unplug(board);
	assert_null(fh_timer_new(board, "timer", clock_run, NULL));
	assert_null(fh_bh_new(board, "bh", clock_run, NULL));
	fh_object_unref(board);
}

struct storm {
	struct fh_machine *m;
	struct clock *clocks;
	_Atomic bool stop;
};

static void arm_all(void *arg)
{
	struct storm *storm = arg;

	for (unsigned i = 0; !atomic_load_explicit(&storm->stop, memory_order_relaxed); i++) {
		struct clock *clock = &storm->clocks[i % 8];

		fh_timer_arm(clock->timer, i % 3 ? 1 : UINT64_MAX - 1);
		fh_bh_schedule(clock->bh);
		if (i % 5 == 0)
			fh_timer_cancel(clock->timer);
	}
}

static void poll_all(void *arg)
{
	struct storm *storm = arg;

	while (!atomic_load_explicit(&storm->stop, memory_order_relaxed))
		fh_machine_poll(storm->m);
}

static void everything_stops_when_the_device_goes_in_the_middle(void **state)
{
	struct fh_machine *m = *state;
	static struct clock clocks[8];
	struct storm storm = { .m = m, .clocks = clocks };
	struct worker armer, pollers[2];
	struct fh_device *board = board_plug(m, "board");

	memset(clocks, 0, sizeof(clocks));
	for (unsigned i = 0; i < 8; i++) {
		clock_init(&clocks[i], board);
		fh_object_ref(clocks[i].timer);
		fh_object_ref(clocks[i].bh);
	}
	worker_start(&armer, arm_all, &storm);
	worker_start(&pollers[0], poll_all, &storm);
	worker_start(&pollers[1], poll_all, &storm);
	while (clocks[7].runs < 20)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	fh_device_unplug(board);
	unsigned runs[8];

	for (unsigned i = 0; i < 8; i++)
		runs[i] = clocks[i].runs;
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	atomic_store_explicit(&storm.stop, true, memory_order_relaxed);
	worker_join(&armer);
	worker_join(&pollers[0]);
	worker_join(&pollers[1]);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(clocks[i].runs, runs[i]);
		fh_object_unref(clocks[i].timer);
		fh_object_unref(clocks[i].bh);
	}
	machine_check_alive(m, 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(timer_runs_once_and_not_before_its_deadline),
		test(timers_run_in_order_of_deadline_and_then_of_arming),
		test(arming_again_replaces_and_cancelling_ends),
		test(timer_armed_in_its_callback_runs_in_the_next_poll),
		test(timer_due_in_the_same_poll_can_still_be_cancelled),
		test(timer_cancelled_in_the_domain_does_not_run_afterwards),
		test(timer_armed_anew_in_the_domain_does_not_run_at_the_old_deadline),
		test(timer_may_dispose_of_itself),
		test(loop_is_told_of_the_earliest_deadline),
		test(loop_that_polls_too_early_is_told_again),
		test(bh_runs_once_for_any_number_of_calls),
		test(bh_scheduled_in_its_callback_runs_in_the_next_poll),
		test(bhs_run_in_the_order_in_which_they_were_scheduled),
		test(bh_may_dispose_of_itself),
		test(bh_disposed_of_in_the_domain_does_not_run_afterwards),
		test(what_is_disposed_of_while_queued_is_gone),
		test(what_is_queued_before_the_device_is_shown_waits_for_that),
		test(nothing_runs_after_the_device_was_hidden),
		test(timer_between_drain_and_detach_does_not_run),
		test(bh_between_drain_and_detach_does_not_run),
		test(parts_are_refused_after_the_end),
		test(everything_stops_when_the_device_goes_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
