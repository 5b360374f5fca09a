/* SPDX-License-Identifier: MIT */
/*
 * Clocks: numbers, who follows whom, who is told and when, and what is left when one goes.
 */
#include "support/probe.h"

#include "device/device.h"

static const struct fh_type board_type = { .name = "board", .parent = &fh_device_type };

/* --- Numbers ---------------------------------------------------------------------------------- */

static void periods_and_frequencies_are_each_others(void **state)
{
	(void)state;
	assert_int_equal(fh_period_from_hz(1000000000), FH_PERIOD_NS);
	assert_int_equal(fh_period_from_hz(1), UINT64_C(1000000000) << 32);
	assert_int_equal(fh_period_from_hz(0), 0);
	assert_int_equal(fh_period_to_hz(0), 0);
	assert_int_equal(fh_period_from_hz(UINT64_MAX), 1);
	for (uint64_t hz = 1; hz < 3000000000; hz = hz * 3 + 1)
		assert_int_equal(fh_period_to_hz(fh_period_from_hz(hz)), hz);
}

static void ticks_and_time_are_exact_and_do_not_overflow(void **state)
{
	const uint64_t third = fh_period_from_hz(3);
	const uint64_t mega = fh_period_from_hz(1000000);

	(void)state;
	assert_int_equal(fh_period_ticks(mega, 1999), 1);
	assert_int_equal(fh_period_ticks(mega, 2000), 2);
	assert_int_equal(fh_period_ns(mega, 3), 3000);
	/* A year of a gigahertz, of which 64 bits hold no product. */
	assert_int_equal(fh_period_ticks(fh_period_from_hz(1000000000),
					 UINT64_C(31536000000000000)),
			 UINT64_C(31536000000000000));
	assert_int_equal(fh_period_ns(FH_PERIOD_NS, UINT64_MAX), UINT64_MAX);
	assert_int_equal(fh_period_ns(FH_PERIOD_NS * 2, UINT64_MAX), UINT64_MAX);
	assert_int_equal(fh_period_ticks(1, UINT64_MAX), UINT64_MAX);
	assert_int_equal(fh_period_ticks(UINT64_MAX, UINT64_MAX), FH_PERIOD_NS);
	assert_int_equal(fh_period_ticks(0, 5), 0);
	assert_int_equal(fh_period_ns(0, 5), UINT64_MAX);
	assert_int_equal(fh_period_ns(0, 0), 0);
	/* Neither too early nor later than it must be. */
	for (uint64_t ticks = 1; ticks < 1000; ticks += 7) {
		const uint64_t ns = fh_period_ns(third, ticks);

		assert_int_equal(fh_period_ticks(third, ns), ticks);
		assert_int_equal(fh_period_ticks(third, ns - 1), ticks - 1);
	}
}

/* --- Following -------------------------------------------------------------------------------- */

struct listener {
	struct fh_clock *clock;
	unsigned told;
	uint64_t period;
};

static void changed(void *state)
{
	struct listener *listener = state;

	listener->told++;
	listener->period = fh_clock_period(listener->clock);
}

static int set_up(void **state)
{
	*state = machine_begin();
	return 0;
}

static int tear_down(void **state)
{
	machine_end(*state);
	return 0;
}

static struct fh_device *board_plug(struct fh_machine *m, const char *name)
{
	struct fh_device *device = fh_device_plug(m, &board_type, name, NULL, NULL);

	assert_non_null(device);
	return device;
}

static void listen(struct listener *listener, struct fh_device *device, const char *name)
{
	*listener = (struct listener){ 0 };
	listener->clock = fh_clock_new(device, name, changed, listener);
	assert_non_null(listener->clock);
}

static void a_change_goes_through_to_all_that_follow(void **state)
{
	struct fh_device *a = board_plug(*state, "a");
	struct fh_device *b = board_plug(*state, "b");
	struct fh_clock *source = fh_clock_new(a, "out", NULL, NULL);
	struct listener input, half, triple, last;

	listen(&input, b, "in");
	listen(&half, b, "half");
	listen(&triple, b, "triple");
	listen(&last, b, "last");
	assert_int_equal(fh_clock_follow(last.clock, half.clock, 1, 5), FH_OK);
	assert_int_equal(fh_clock_follow(half.clock, input.clock, 1, 2), FH_OK);
	assert_int_equal(fh_clock_follow(triple.clock, input.clock, 3, 1), FH_OK);
	assert_int_equal(fh_clock_follow(input.clock, source, 1, 1), FH_OK);
	assert_int_equal(input.told + half.told + triple.told + last.told, 0);
	assert_int_equal(fh_clock_set_hz(source, 30000000), FH_OK);
	assert_int_equal(fh_clock_hz(input.clock), 30000000);
	assert_int_equal(fh_clock_hz(half.clock), 15000000);
	assert_int_equal(fh_clock_hz(triple.clock), 90000000);
	assert_int_equal(fh_clock_hz(last.clock), 3000000);
	assert_int_equal(last.told, 1);
	assert_int_equal(last.period, fh_clock_period(last.clock));
	assert_int_equal(triple.told, 1);
	assert_int_equal(fh_clock_set_hz(source, 30000000), FH_OK); /* which is no change */
	assert_int_equal(input.told, 1);
	/* Another ratio. */
	assert_int_equal(fh_clock_follow(half.clock, input.clock, 2, 3), FH_OK);
	assert_int_equal(fh_clock_hz(last.clock), 4000000);
	assert_int_equal(last.told, 2);
	fh_clock_unfollow(half.clock);
	assert_int_equal(fh_clock_period(last.clock), 0);
	assert_int_equal(fh_clock_hz(triple.clock), 90000000);
	assert_ptr_equal(fh_device_clock(b, "half"), half.clock);
}

static void what_cannot_follow_is_refused(void **state)
{
	struct fh_device *a = board_plug(*state, "a");
	struct fh_clock *x = fh_clock_new(a, "x", NULL, NULL);
	struct fh_clock *y = fh_clock_new(a, "y", NULL, NULL);
	struct fh_clock *z = fh_clock_new(a, "z", NULL, NULL);

	assert_int_equal(fh_clock_follow(y, x, 1, 1), FH_OK);
	assert_int_equal(fh_clock_follow(z, y, 1, 1), FH_OK);
	assert_int_equal(fh_clock_follow(x, z, 1, 1), FH_ELOOP);
	assert_int_equal(fh_clock_follow(x, x, 1, 1), FH_ELOOP);
	assert_int_equal(fh_clock_follow(z, x, 1, 1), FH_EBUSY);
	assert_int_equal(fh_clock_follow(x, z, 0, 1), FH_EINVAL);
	assert_int_equal(fh_clock_follow(x, NULL, 1, 1), FH_EDEAD);
	assert_int_equal(fh_clock_set_hz(y, 1), FH_EBUSY);
	assert_int_equal(fh_clock_set_hz(NULL, 1), FH_EDEAD);
	/* So slow that there is no number for it; so fast likewise. */
	assert_int_equal(fh_clock_follow(y, x, 1, UINT32_MAX), FH_OK);
	assert_int_equal(fh_clock_set_hz(x, 1), FH_OK);
	assert_int_equal(fh_clock_period(z), UINT64_MAX);
	assert_int_equal(fh_clock_follow(y, x, UINT32_MAX, 1), FH_OK);
	assert_int_equal(fh_clock_set_period(x, 1), FH_OK);
	assert_int_equal(fh_clock_period(z), 1);
}

static void who_follows_what_goes_stops(void **state)
{
	struct fh_device *a = board_plug(*state, "a");
	struct fh_device *b = board_plug(*state, "b");
	struct fh_clock *source = fh_clock_new(a, "out", NULL, NULL);
	struct listener input, last;

	listen(&input, b, "in");
	listen(&last, b, "last");
	assert_int_equal(fh_clock_follow(input.clock, source, 1, 1), FH_OK);
	assert_int_equal(fh_clock_follow(last.clock, input.clock, 1, 1), FH_OK);
	assert_int_equal(fh_clock_set_hz(source, 1000), FH_OK);
	fh_device_unplug(a);
	assert_int_equal(fh_clock_period(last.clock), 0);
	assert_int_equal(last.told, 2);
	assert_int_equal(last.period, 0);
	assert_int_equal(fh_clock_set_hz(input.clock, 5), FH_OK);
	/* And in the other order: who is gone is not told. */
	fh_object_ref(last.clock);
	fh_device_unplug(b);
	assert_int_equal(last.told, 3);
	assert_int_equal(fh_clock_set_hz(last.clock, 1), FH_EDEAD);
	struct fh_clock *other = fh_clock_new(board_plug(*state, "c"), "other", NULL, NULL);

	assert_int_equal(fh_clock_follow(last.clock, other, 1, 1), FH_EDEAD);
	assert_int_equal(fh_clock_follow(other, last.clock, 1, 1), FH_EDEAD);
	assert_int_equal(fh_clock_set_hz(other, 1), FH_OK);
	fh_object_unref(last.clock);
}

static void what_changes_before_a_device_is_shown_is_told_then(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *a = board_plug(m, "a");
	struct fh_device *b = fh_device_new(m, &board_type, "b", NULL, NULL);
	struct fh_clock *source = fh_clock_new(a, "out", NULL, NULL);
	struct listener input, still;

	listen(&input, b, "in");
	listen(&still, b, "still");
	assert_int_equal(fh_clock_follow(input.clock, source, 1, 1), FH_OK);
	assert_int_equal(fh_clock_set_hz(source, 1000), FH_OK);
	assert_int_equal(fh_clock_set_hz(source, 2000), FH_OK);
	assert_int_equal(fh_clock_hz(input.clock), 2000);
	assert_int_equal(input.told, 0);
	assert_int_equal(fh_device_realize(b, NULL), FH_OK);
	assert_int_equal(input.told, 1);
	assert_int_equal(input.period, fh_period_from_hz(2000));
	assert_int_equal(still.told, 0);
	fh_device_new(a, &board_type, "never shown", NULL, NULL);
}

/* One that sets another when it is told: a derived clock by hand. */
static struct listener derived;

static void set_derived(void *state)
{
	struct fh_clock *const *source = state;

	assert_int_equal(fh_clock_set_period(derived.clock, 2 * fh_clock_period(*source)), FH_OK);
}

static void a_clock_may_be_set_in_a_callback(void **state)
{
	struct fh_device *a = board_plug(*state, "a");
	struct fh_clock *source = NULL;

	source = fh_clock_new(a, "source", set_derived, &source);
	listen(&derived, a, "derived");
	assert_int_equal(fh_clock_set_hz(source, 4000), FH_OK);
	assert_int_equal(fh_clock_hz(derived.clock), 2000);
	assert_int_equal(derived.told, 1);
}

/* --- Threads ---------------------------------------------------------------------------------- */

struct setter {
	struct fh_clock *clock;
	uint64_t hz;
};

static void set_often(void *arg)
{
	const struct setter *setter = arg;

	for (unsigned i = 1; i <= 2000; i++)
		CHECK(fh_clock_set_hz(setter->clock, setter->hz + i) == FH_OK);
}

static void plug_often(void *arg)
{
	struct fh_clock *source = arg;
	struct fh_machine *m = fh_object_get_machine(source);

	for (unsigned i = 0; i < 100; i++) {
		struct fh_device *device = fh_device_plug(m, &board_type, "c", NULL, NULL);
		struct listener listener;

		listen(&listener, device, "in");
		fh_clock_follow(listener.clock, source, 1, 1);
		fh_device_unplug(device);
	}
}

static void the_last_change_is_seen_whoever_tells(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *a = board_plug(m, "a");
	struct fh_clock *source = fh_clock_new(a, "out", NULL, NULL);
	struct setter setters[2] = { { source, 1000 }, { source, 500000 } };
	struct worker workers[3];
	struct listener input;

	listen(&input, a, "in");
	assert_int_equal(fh_clock_follow(input.clock, source, 1, 2), FH_OK);
	for (unsigned i = 0; i < 2; i++)
		worker_start(&workers[i], set_often, &setters[i]);
	worker_start(&workers[2], plug_often, source);
	for (unsigned i = 0; i < 3; i++)
		worker_join(&workers[i]);
	assert_int_equal(input.period, fh_clock_period(input.clock));
	assert_int_not_equal(input.period, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(periods_and_frequencies_are_each_others),
		cmocka_unit_test(ticks_and_time_are_exact_and_do_not_overflow),
		TEST(a_change_goes_through_to_all_that_follow),
		TEST(what_cannot_follow_is_refused),
		TEST(who_follows_what_goes_stops),
		TEST(what_changes_before_a_device_is_shown_is_told_then),
		TEST(a_clock_may_be_set_in_a_callback),
		TEST(the_last_change_is_seen_whoever_tells),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
