/* SPDX-License-Identifier: MIT */
/*
 * A machine's life, its poll and its drain.
 */
#include "support/probe.h"

#include <stdio.h>
#include <string.h>

#include "base/point.h"
#include "device/device.h"
#include "support/dies.h"

static _Atomic unsigned posts;

static void loop_post(void *loop)
{
	atomic_fetch_add_explicit((_Atomic unsigned *)loop, 1, memory_order_relaxed);
}

static const struct fh_loop_ops loop_ops = { .post = loop_post };

static struct fh_machine *looped_machine(void)
{
	const struct fh_machine_options options = { .loop_ops = &loop_ops, .loop = &posts };
	struct fh_machine *m = fh_machine_new(&options, NULL);

	posts = 0;
	return m;
}

/* --- Birth and death ------------------------------------------------------------------------ */

static void new_machine_has_an_empty_memory(void **state)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_region_info info = fh_region_get_info(fh_space_root(fh_machine_memory(m)));
	struct fh_object *memory = fh_object_find(m, "/memory");
	uint8_t byte;

	(void)state;
	assert_int_equal(info.kind, FH_REGION_CONTAINER);
	assert_true(info.size == FH_SIZE_ALL);
	assert_ptr_equal(memory, fh_machine_memory(m));
	assert_int_equal(fh_space_load8(fh_machine_memory(m), 0, FH_LE, &byte), FH_TX_DECODE_ERROR);
	assert_ptr_equal(fh_machine_root(m), fh_object_find(m, "/"));
	fh_object_unref(fh_machine_root(m));
	fh_object_unref(memory);
	/* Its own objects are not in the ledger. */
	assert_int_equal(fh_ledger_read(m).created, 0);
	assert_int_equal(fh_machine_destroy(m), 0);
	assert_int_equal(fh_machine_destroy(NULL), 0);
}

static char trace[256];
static pthread_mutex_t trace_mutex = PTHREAD_MUTEX_INITIALIZER; /* finalizers are the reaper's */

static void note(const char *what, struct fh_object *object)
{
	pthread_mutex_lock(&trace_mutex);
	assert_true(strlen(trace) + 32 < sizeof(trace));
	strcat(strcat(strcat(trace, what), fh_object_name(object)), " ");
	pthread_mutex_unlock(&trace_mutex);
}

static void plain_dispose(struct fh_object *object, void *state)
{
	(void)state;
	note("-", object);
}

static void plain_finalize(struct fh_object *object, void *state)
{
	(void)state;
	note("~", object);
}

static const struct fh_type plain_type = {
	.name = "plain", .dispose = plain_dispose, .finalize = plain_finalize
};

static void destroy_disposes_of_the_last_created_first(void **state)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_object *a = fh_object_new_child(m, "a", &plain_type, NULL);

	(void)state;
	trace[0] = '\0';
	fh_object_new_child(m, "b", &plain_type, NULL);
	fh_object_new_child(a, "c", &plain_type, NULL);
	assert_int_equal(fh_machine_destroy(m), 0);
	assert_ptr_equal(strstr(trace, "-b "), trace);
	assert_true(strstr(trace, "-c ") < strstr(trace, "-a "));
	assert_non_null(strstr(trace, "~a "));
	assert_non_null(strstr(trace, "~b "));
	assert_non_null(strstr(trace, "~c "));
}

static void machine_that_is_still_in_use_stays(void **state)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_object *kept = fh_object_ref(fh_object_new_child(m, "kept", &plain_type, NULL));
	struct fh_region *ram = fh_region_new_ram(m, NULL, 4096, NULL);
	struct fh_region *root = fh_object_ref(fh_space_root(fh_machine_memory(m)));
	char text[1000] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	fh_object_new_child(m, "gone", &plain_type, NULL);
	assert_int_equal(fh_machine_destroy(m), 3);
	assert_null(fh_machine_memory(m));
	assert_int_equal(fh_ledger_print(m, out), 2);
	fclose(out);
	assert_non_null(strstr(text, "/kept"));
	assert_null(strstr(text, "/gone"));
	assert_null(fh_object_find(m, "/kept"));
	fh_object_unref(kept);
	fh_object_unref(ram);
	assert_int_equal(fh_machine_destroy(m), 1);
	fh_object_unref(root);
	assert_int_equal(fh_machine_destroy(m), 0);
}

static void destroy_with_survivors(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	fh_object_ref(fh_object_new_child(m, "survivor", &plain_type, NULL));
}

static void poll_it(void *state)
{
	fh_machine_poll(state);
}

static const struct fh_type board_type = { .name = "board", .parent = &fh_device_type };

static void poll_in_a_callback(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	fh_device_call(fh_device_plug(m, &board_type, "board", NULL, NULL), poll_it, m);
}

static void drain_in_a_section(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	fh_read_begin();
	fh_machine_drain(m);
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(destroy_with_survivors, "/survivor"));
	assert_true(dies_saying(destroy_with_survivors, "in use"));
	assert_true(dies_saying(poll_in_a_callback, "assertion failed"));
	assert_true(dies_saying(drain_in_a_section, "assertion failed"));
}

static void machines_do_not_share_anything(void **state)
{
	struct fh_machine *machines[3];
	struct probe_hooks hooks = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		machines[i] = fh_machine_new(NULL, NULL);
		probe_plug(machines[i], "probe", &hooks, 0x1000 * i);
	}
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = 0; j < 3; j++)
			load32(machines[i], 0x1000 * j, i == j ? FH_TX_OK : FH_TX_DECODE_ERROR);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fh_machine_destroy(machines[i]), 0);
	assert_int_equal(hooks.finalized, 3);
}

static void now_goes_forward(void **state)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	const uint64_t first = fh_machine_now(m);

	(void)state;
	assert_true(first > 0);
	assert_true(fh_machine_now(m) >= first);
	machine_end(m);
}

/* --- Poll and drain ------------------------------------------------------------------------- */

static void unplug(void *state)
{
	fh_device_unplug(state);
}

static void unplug_in_a_callback_is_finished_by_the_poll_asked_for(void **state)
{
	struct fh_machine *m = looped_machine();
	struct fh_device *board = fh_object_ref(
		fh_device_plug(m, &board_type, "board", NULL, NULL));
	struct fh_object *found;

	(void)state;
	assert_true(fh_device_call(board, unplug, board));
	assert_int_equal(posts, 1);
	assert_true(fh_object_is_disposed(board));
	found = fh_object_find(m, "/board");
	assert_ptr_equal(found, board);
	fh_object_unref(found);
	assert_true(fh_machine_poll(m));
	assert_null(fh_object_find(m, "/board"));
	assert_false(fh_machine_poll(m));
	fh_object_unref(board);
	machine_end(m);
}

struct rounds {
	struct fh_machine *m;
	bool polled;
};

static void poll_once(void *arg)
{
	struct rounds *rounds = arg;

	rounds->polled = fh_machine_poll(rounds->m);
}

static void drain_once(void *arg)
{
	fh_machine_drain(arg);
}

static void stop_at_point(void *state)
{
	(void)state;
	fh_blocking_begin();
	FH_POINT("test.polled");
	fh_blocking_end();
}

static void count_run(void *state)
{
	++*(unsigned *)state;
}

static void one_thread_at_a_time_polls_and_nothing_is_forgotten(void **state)
{
	static unsigned runs;
	struct fh_machine *m = looped_machine();
	struct fh_device *board = fh_device_plug(m, &board_type, "board", NULL, NULL);
	struct fh_bh *slow = fh_bh_new(board, "slow", stop_at_point, NULL);
	struct fh_bh *quick = fh_bh_new(board, "quick", count_run, &runs);
	struct rounds rounds = { .m = m };
	struct worker poller, drainer;

	(void)state;
	runs = 0;
	fh_bh_schedule(slow);
	fh_point_arm("test.polled");
	worker_start(&poller, poll_once, &rounds);
	assert_true(fh_point_wait("test.polled"));
	fh_bh_schedule(quick);
	posts = 0;
	/* The loop does what it was asked for, and is turned away. */
	assert_false(fh_machine_poll(m));
	assert_int_equal(runs, 0);
	/* A drain waits for its turn. */
	worker_start(&drainer, drain_once, m);
	assert_false(worker_done_within(&drainer, 30));
	fh_point_release("test.polled");
	worker_join(&poller);
	worker_join(&drainer);
	assert_true(rounds.polled);
	assert_true(posts >= 1);
	assert_int_equal(runs, 1);
	machine_end(m);
}

/* What its finalize lets go, and so on. */
struct link {
	struct fh_object *next; /* a ref */
};

static void link_finalize(struct fh_object *object, void *state)
{
	(void)object;
	fh_object_unref(((struct link *)state)->next);
}

static const struct fh_type silent_type = { .name = "silent" };
static const struct fh_type link_type = {
	.name = "link", .state_size = sizeof(struct link), .finalize = link_finalize
};

static void drain_waits_for_what_finalizers_let_go(void **state)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_object *first = NULL;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct fh_object *object = fh_object_new(m, &link_type, NULL);

		/* With a child: its end is for control. */
		fh_object_new_child(object, "child", &silent_type, NULL);
		((struct link *)fh_object_state(object, &link_type))->next = first;
		first = object;
	}
	fh_object_unref(first);
	fh_machine_drain(m);
	assert_int_equal(fh_ledger_read(m).alive, 0);
	assert_int_equal(fh_ledger_read(m).died, 40);
	assert_int_equal(fh_machine_destroy(m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misuse_is_asserted), /* first: it forks */
		cmocka_unit_test(new_machine_has_an_empty_memory),
		cmocka_unit_test(destroy_disposes_of_the_last_created_first),
		cmocka_unit_test(machine_that_is_still_in_use_stays),
		cmocka_unit_test(machines_do_not_share_anything),
		cmocka_unit_test(now_goes_forward),
		cmocka_unit_test(unplug_in_a_callback_is_finished_by_the_poll_asked_for),
		cmocka_unit_test(one_thread_at_a_time_polls_and_nothing_is_forgotten),
		cmocka_unit_test(drain_waits_for_what_finalizers_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
