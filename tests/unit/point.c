/* SPDX-License-Identifier: MIT */
/*
 * The points at which tests stop threads: they are trusted by every forced interleaving.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/assert.h"
#include "base/point.h"
#include "support/dies.h"

static atomic_uint passed;

static pthread_t start(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	fh_assert(pthread_create(&thread, NULL, body, arg) == 0);
	return thread;
}

static void join(pthread_t thread)
{
	fh_assert(pthread_join(thread, NULL) == 0);
}

static unsigned passes(void)
{
	return atomic_load_explicit(&passed, memory_order_acquire);
}

static int reset(void **state)
{
	(void)state;
	atomic_store_explicit(&passed, 0, memory_order_relaxed);
	return 0;
}

static int release_points(void **state)
{
	(void)state;
	fh_point_release_all();
	return 0;
}

static void *pass(void *arg)
{
	for (unsigned i = 0; i < 3; i++) {
		FH_POINT("test.here");
		atomic_fetch_add_explicit(&passed, 1, memory_order_release);
	}
	FH_POINT("test.there");
	return arg;
}

static void unarmed_point_stops_nobody(void **state)
{
	(void)state;
	fh_point_arm("test.elsewhere");
	join(start(pass, NULL));
	assert_int_equal(passes(), 3);
	assert_false(fh_point_stopped("test.here"));
}

static void armed_point_stops_one_thread_once(void **state)
{
	pthread_t thread;

	(void)state;
	fh_point_arm("test.here");
	thread = start(pass, NULL);
	assert_true(fh_point_wait("test.here"));
	assert_true(fh_point_stopped("test.here"));
	assert_int_equal(passes(), 0);
	fh_point_release("test.here");
	join(thread);
	assert_int_equal(passes(), 3);
	assert_false(fh_point_stopped("test.here"));
}

static void nth_arrival_is_the_one_that_stops(void **state)
{
	pthread_t thread;

	(void)state;
	fh_point_arm_at("test.here", 3, NULL);
	thread = start(pass, NULL);
	assert_true(fh_point_wait("test.here"));
	assert_int_equal(passes(), 2);
	fh_point_release("test.here");
	join(thread);
}

static void *pass_when_told(void *arg)
{
	const struct timespec time = {.tv_nsec = 1000000};

	while (!atomic_load_explicit((atomic_bool *)arg, memory_order_relaxed))
		nanosleep(&time, NULL);
	return pass(arg);
}

static void only_the_named_thread_stops(void **state)
{
	atomic_bool go = false;
	pthread_t thread;

	(void)state;
	thread = start(pass_when_told, &go);
	fh_point_arm_at("test.here", 1, &thread);
	pass(NULL);
	assert_int_equal(passes(), 3);
	assert_false(fh_point_stopped("test.here"));
	atomic_store_explicit(&go, true, memory_order_relaxed);
	assert_true(fh_point_wait("test.here"));
	assert_int_equal(passes(), 3);
	fh_point_release("test.here");
	join(thread);
	assert_int_equal(passes(), 6);
}

static void two_names_stop_and_go_independently(void **state)
{
	pthread_t thread;

	(void)state;
	fh_point_arm("test.there");
	fh_point_arm("test.here");
	thread = start(pass, NULL);
	assert_true(fh_point_wait("test.here"));
	assert_false(fh_point_stopped("test.there"));
	fh_point_release("test.here");
	assert_true(fh_point_wait("test.there"));
	assert_int_equal(passes(), 3);
	fh_point_release("test.there");
	join(thread);
}

static void two_armings_of_a_name_stop_two_threads(void **state)
{
	pthread_t threads[2];

	(void)state;
	fh_point_arm("test.here");
	fh_point_arm("test.here");
	for (unsigned i = 0; i < 2; i++)
		threads[i] = start(pass, NULL);
	assert_true(fh_point_wait("test.here"));
	assert_int_equal(passes(), 0);
	fh_point_release("test.here");
	for (unsigned i = 0; i < 2; i++)
		join(threads[i]);
	assert_int_equal(passes(), 6);
}

static void release_before_arrival_disarms(void **state)
{
	(void)state;
	fh_point_arm("test.here");
	fh_point_release("test.here");
	join(start(pass, NULL));
	assert_int_equal(passes(), 3);
}

static void point_armed_again_before_release_stops_the_next_arrival(void **state)
{
	pthread_t thread;

	(void)state;
	fh_point_arm("test.here");
	thread = start(pass, NULL);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(fh_point_wait("test.here"));
		assert_int_equal(passes(), i);
		if (i < 2)
			fh_point_arm("test.here");
		fh_point_release("test.here");
	}
	join(thread);
}

static void release_all_lets_everybody_go(void **state)
{
	pthread_t thread;

	(void)state;
	fh_point_arm("test.here");
	fh_point_arm("test.there");
	thread = start(pass, NULL);
	assert_true(fh_point_wait("test.here"));
	fh_point_release_all();
	join(thread);
}

static void wait_unarmed(void)
{
	fh_point_wait("test.nowhere");
}

static void waiting_for_what_is_not_armed_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(wait_unarmed, "any_slot"));
}

#define point_test(f) cmocka_unit_test_setup_teardown(f, reset, release_points)

int main(void)
{
	const struct CMUnitTest tests[] = {
		point_test(unarmed_point_stops_nobody),
		point_test(armed_point_stops_one_thread_once),
		point_test(nth_arrival_is_the_one_that_stops),
		point_test(only_the_named_thread_stops),
		point_test(two_names_stop_and_go_independently),
		point_test(two_armings_of_a_name_stop_two_threads),
		point_test(release_before_arrival_disarms),
		point_test(point_armed_again_before_release_stops_the_next_arrival),
		point_test(release_all_lets_everybody_go),
		point_test(waiting_for_what_is_not_armed_is_asserted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
