/* SPDX-License-Identifier: MIT */
/*
 * Holders that have nothing below them and that no guest saw: their dispose, which has little else
 * to do, against those who use them on other threads (L4, L6).
 */
#include "support/probe.h"

#include "base/point.h"

static const struct fh_type plain_type = { .name = "plain" };

static int reset(void **unused)
{
	(void)unused;
	fh_point_release_all();
	return 0;
}

/* --- Pins ----------------------------------------------------------------------------------- */

struct user {
	struct fh_object *target, *holder;
	struct fh_pin *pin;
};

static void run_pins(void *arg)
{
	struct user *user = arg;

	/* Its thread has a chunk from here on. */
	fh_unpin(fh_object_pin(user->target, user->holder, "first"));
	fh_point_arm("pin.fast");
	user->pin = fh_object_pin(user->target, user->holder, "second");
}

static void run_unpins(void *arg)
{
	struct user *user = arg;

	user->pin = fh_object_pin(user->target, user->holder, "use");
	fh_point_arm("pin.fast-end");
	fh_unpin(user->pin);
}

static void run_dispose(void *arg)
{
	fh_object_dispose((struct fh_object *)arg);
}

/* The holder is disposed of while a thread is in the middle of the fast way. */
static void meet(void (*use)(void *arg), const char *point)
{
	struct fh_machine *m = machine_begin();
	struct user user = {
		.target = fh_object_new_child(m, "target", &plain_type, NULL),
		.holder = fh_object_ref(fh_object_new_child(m, "holder", &plain_type, NULL)),
	};
	struct worker worker, undertaker;

	worker_start(&worker, use, &user);
	while (!fh_point_stopped(point))
		CHECK(!worker_done(&worker));
	worker_start(&undertaker, run_dispose, user.holder);
	/* It waits for the thread. */
	assert_false(worker_done_within(&undertaker, 50));
	fh_point_release(point);
	worker_join(&worker);
	worker_join(&undertaker);
	/* The dispose has ended what was pinned; the end of the same is harmless. */
	fh_unpin(user.pin);
	user.holder = fh_object_unref(user.holder);
	fh_object_dispose(user.target);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void pin_that_is_just_taken_ends_with_its_holder(void **unused)
{
	(void)unused;
	meet(run_pins, "pin.fast");
}

static void pin_that_is_just_ended_ends_once(void **unused)
{
	(void)unused;
	meet(run_unpins, "pin.fast-end");
}

/* --- Room ----------------------------------------------------------------------------------- */

struct waiting {
	struct fh_machine *m;
	struct fh_space *space;
	struct fh_object *holder;
	_Atomic bool called;
};

static void room_is_there(void *state)
{
	struct waiting *waiting = state;

	FH_POINT("test.called");
	CHECK(!fh_object_is_disposed(waiting->m)); /* and the holder's state is whole */
	waiting->called = true;
}

static void run_poll(void *arg)
{
	fh_machine_poll((struct fh_machine *)arg);
}

static _Atomic unsigned disposals;

static void note_dispose(struct fh_object *object, void *state)
{
	(void)object, (void)state;
	disposals++;
}

static const struct fh_type noting_type = { .name = "noting", .dispose = note_dispose };

static void last_unref_waits_for_the_callback_too(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct waiting waiting = {
		.m = m,
		.space = fh_machine_memory(m),
		.holder = fh_object_new(m, &noting_type, NULL),
	};
	struct worker poller;

	(void)unused;
	disposals = 0;
	fh_point_arm("test.called");
	assert_non_null(fh_space_notify_room(waiting.space, 1, waiting.holder, room_is_there,
					     &waiting));
	worker_start(&poller, run_poll, m);
	assert_true(fh_point_wait("test.called"));
	waiting.holder = fh_object_unref(waiting.holder);
	assert_int_equal(disposals, 0);
	fh_point_release("test.called");
	worker_join(&poller);
	assert_true(waiting.called);
	machine_check_alive(m, 0);
	assert_int_equal(disposals, 1);
	machine_end(m);
}

static void callback_of_a_holder_is_waited_for(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct waiting waiting = {
		.m = m,
		.space = fh_machine_memory(m),
		.holder = fh_object_ref(fh_object_new_child(m, "holder", &plain_type, NULL)),
	};
	struct worker poller, undertaker;

	(void)unused;
	fh_point_arm("test.called");
	assert_non_null(fh_space_notify_room(waiting.space, 1, waiting.holder, room_is_there,
					     &waiting));
	worker_start(&poller, run_poll, m);
	assert_true(fh_point_wait("test.called"));
	worker_start(&undertaker, run_dispose, waiting.holder);
	assert_false(worker_done_within(&undertaker, 50));
	fh_point_release("test.called");
	worker_join(&poller);
	worker_join(&undertaker);
	assert_true(waiting.called);
	waiting.holder = fh_object_unref(waiting.holder);
	machine_check_alive(m, 0);
	machine_end(m);
}

static struct waiting unborn;

static enum fh_code init_waits_and_fails(struct fh_object *object, void *state,
					 struct fh_error *err)
{
	(void)state;
	CHECK(fh_space_notify_room(unborn.space, 1, object, room_is_there, &unborn));
	FH_POINT("test.init");
	return fh_error_set(err, FH_EIO, "no luck");
}

static const struct fh_type waiting_type = {
	.name = "waiting", .parent = &noting_type, .init = init_waits_and_fails
};

static void run_birth(void *unused)
{
	(void)unused;
	CHECK(!fh_object_new_child(unborn.m, "child", &waiting_type, NULL));
}

static void birth_that_fails_waits_for_the_callback_too(void **unused)
{
	struct worker poller, parturient;

	(void)unused;
	unborn = (struct waiting){ .m = machine_begin() };
	unborn.space = fh_machine_memory(unborn.m);
	disposals = 0;
	fh_point_arm("test.called");
	fh_point_arm("test.init");
	worker_start(&parturient, run_birth, NULL);
	assert_true(fh_point_wait("test.init"));
	worker_start(&poller, run_poll, unborn.m);
	assert_true(fh_point_wait("test.called"));
	fh_point_release("test.init");
	assert_false(worker_done_within(&parturient, 50));
	assert_int_equal(disposals, 0);
	fh_point_release("test.called");
	worker_join(&poller);
	worker_join(&parturient);
	assert_true(unborn.called);
	assert_int_equal(disposals, 1);
	machine_check_alive(unborn.m, 0);
	machine_end(unborn.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(pin_that_is_just_taken_ends_with_its_holder, reset),
		cmocka_unit_test_teardown(pin_that_is_just_ended_ends_once, reset),
		cmocka_unit_test_teardown(callback_of_a_holder_is_waited_for, reset),
		cmocka_unit_test_teardown(last_unref_waits_for_the_callback_too, reset),
		cmocka_unit_test_teardown(birth_that_fails_waits_for_the_callback_too, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
