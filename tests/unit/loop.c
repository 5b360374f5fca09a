/* SPDX-License-Identifier: MIT */
/*
 * The event loop: what other threads ask for is done, on the loop's thread, however it comes; and a
 * machine's work and deadlines are served.
 */
#include "support/probe.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "machine/loop.h"
#include "support/scale.h"

struct world {
	struct loop *loop;
	struct fh_machine *m;
	pthread_t runner; /* who runs the loop */
	_Atomic int wishes;
	int granted; /* the loop's */
	int limit;
	int expired;
	uint64_t late; /* ns */
	uint64_t deadline;
	struct probe_hooks hooks;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fh_machine_options options = { .loop_ops = &loop_ops };

	w->loop = loop_new(NULL);
	assert_non_null(w->loop);
	options.loop = w->loop;
	w->m = fh_machine_new(&options, NULL);
	w->runner = pthread_self();
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	machine_end(w->m);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void no_wish(void *arg)
{
	(void)arg;
}

static void *stop_later(void *arg)
{
	struct world *w = arg;

	usleep(20000);
	loop_stop(w->loop);
	return NULL;
}

static void a_stop_from_another_thread_ends_it(void **state)
{
	struct world *w = *state;
	pthread_t thread;

	pthread_create(&thread, NULL, stop_later, w);
	loop_run(w->loop, w->m, no_wish, w);
	pthread_join(thread, NULL);
}

static void grant(void *arg)
{
	struct world *w = arg;

	CHECK(pthread_equal(pthread_self(), w->runner));
	w->granted++;
	loop_stop(w->loop);
}

static void what_was_asked_for_before_it_runs_is_done(void **state)
{
	struct world *w = *state;

	loop_wake(w->loop);
	loop_wake(w->loop);
	loop_run(w->loop, w->m, grant, w);
	assert_int_equal(w->granted, 1);
	loop_stop(w->loop);
	loop_run(w->loop, w->m, grant, w);
	assert_int_equal(w->granted, 1);
}

/* Each wish is written, then asked for; whoever asks waits until it is granted. */
static void *wish(void *arg)
{
	struct world *w = arg;

	for (int i = 0; i < w->limit; i++) {
		atomic_fetch_add_explicit(&w->wishes, 1, memory_order_release);
		loop_wake(w->loop);
		for (int turns = 0;
		     atomic_load_explicit(&w->wishes, memory_order_acquire) > 0; turns++) {
			CHECK(turns < (int)patience(20000));
			if (turns > 1000)
				usleep(500);
		}
	}
	return NULL;
}

static void grant_all(void *arg)
{
	struct world *w = arg;

	w->granted += atomic_exchange_explicit(&w->wishes, 0, memory_order_acq_rel);
	if (w->granted == 2 * w->limit)
		loop_stop(w->loop);
}

static void no_wish_of_two_threads_is_missed(void **state)
{
	struct world *w = *state;
	pthread_t threads[2];

	w->limit = 2000;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, wish, w);
	loop_run(w->loop, w->m, grant_all, w);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(w->granted, 4000);
}

static void expire(void *arg)
{
	struct world *w = arg;
	const uint64_t now = fh_machine_now(w->m);

	CHECK(now >= w->deadline);
	w->late = now - w->deadline;
	w->expired++;
	loop_stop(w->loop);
}

static void deadlines_are_finer_than_a_millisecond(void **state)
{
	struct world *w = *state;
	struct fh_device *device = probe_new(w->m, "probe", &w->hooks);
	struct fh_timer *timer;
	uint64_t least = UINT64_MAX;

	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	timer = fh_timer_new(device, "timer", expire, w);
	for (int i = 1; i <= 20; i++) {
		w->deadline = fh_machine_now(w->m) + 100000;
		fh_timer_arm(timer, w->deadline);
		loop_run(w->loop, w->m, no_wish, w);
		assert_int_equal(w->expired, i);
		least = w->late < least ? w->late : least;
	}
	assert_true(least < 900000);
	/* What is over already is due at once. */
	w->deadline = 0;
	fh_timer_arm(timer, 0);
	loop_run(w->loop, w->m, no_wish, w);
	assert_int_equal(w->expired, 21);
	fh_device_unplug(device);
}

static void work_that_a_thread_leaves_is_done(void **state)
{
	struct world *w = *state;
	struct fh_device *device = probe_new(w->m, "probe", &w->hooks);
	struct fh_bh *bh;

	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	bh = fh_bh_new(device, "bh", expire, w);
	for (int i = 1; i <= 100; i++) {
		fh_bh_schedule(bh);
		loop_run(w->loop, w->m, no_wish, w);
		assert_int_equal(w->expired, i);
	}
	fh_device_unplug(device);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stop_from_another_thread_ends_it),
		TEST(what_was_asked_for_before_it_runs_is_done),
		TEST(no_wish_of_two_threads_is_missed),
		TEST(deadlines_are_finer_than_a_millisecond),
		TEST(work_that_a_thread_leaves_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
