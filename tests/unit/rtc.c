/* SPDX-License-Identifier: MIT */
/*
 * The goldfish clock: what time it is, who sets it, and when the alarm goes off.
 */
#include "support/probe.h"

#include <time.h>

#include "hw/rtc.h"

#define BASE   0x101000
#define SECOND UINT64_C(1000000000)

enum {
	TIME_LOW = BASE,
	TIME_HIGH = BASE + 0x04,
	ALARM_LOW = BASE + 0x08,
	ALARM_HIGH = BASE + 0x0c,
	IRQ_ENABLED = BASE + 0x10,
	CLEAR_ALARM = BASE + 0x14,
	ALARM_STATUS = BASE + 0x18,
	CLEAR_INTERRUPT = BASE + 0x1c,
};

static struct fh_device *rtc;
static struct fh_irq *irq;

static void plug(struct fh_machine *m, const char *offset)
{
	const struct fh_setting settings[] = { { "offset", offset }, { 0 } };

	rtc = fh_device_plug(m, &rtc_type, "rtc", offset ? settings : NULL, NULL);
	assert_non_null(rtc);
	irq = fh_device_irq(rtc, "irq");
	fh_region_add(fh_space_root(fh_machine_memory(m)), fh_device_region(rtc, "regs"), BASE, 0);
}

static int set_up(void **state)
{
	*state = machine_begin();
	plug(*state, NULL);
	return 0;
}

static int tear_down(void **state)
{
	machine_end(*state);
	return 0;
}

static uint64_t host_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * SECOND + now.tv_nsec;
}

static uint64_t guest_time(struct fh_machine *m)
{
	const uint64_t low = load32(m, TIME_LOW, FH_TX_OK);

	return (uint64_t)load32(m, TIME_HIGH, FH_TX_OK) << 32 | low;
}

static void set_time(struct fh_machine *m, uint64_t time)
{
	store32(m, TIME_HIGH, time >> 32, FH_TX_OK);
	store32(m, TIME_LOW, time, FH_TX_OK);
}

static void set_alarm(struct fh_machine *m, uint64_t time)
{
	store32(m, ALARM_HIGH, time >> 32, FH_TX_OK);
	store32(m, ALARM_LOW, time, FH_TX_OK);
}

static void assert_about(uint64_t time, uint64_t wanted)
{
	assert_true(time >= wanted && time < wanted + 20 * SECOND);
}

static void time_is_the_hosts(void **state)
{
	const uint64_t before = host_time();
	const uint64_t time = guest_time(*state);

	assert_true(before <= time && time <= host_time());
}

static void offset_moves_the_time(void **state)
{
	struct fh_machine *m = *state;

	fh_device_unplug(rtc);
	plug(m, "-86400000000000");
	const uint64_t yesterday = host_time() - 86400 * SECOND;

	assert_about(guest_time(m), yesterday);
}

static void reading_the_low_half_latches_the_high_half(void **state)
{
	struct fh_machine *m = *state;

	set_time(m, UINT64_C(0x780000000));
	(void)load32(m, TIME_LOW, FH_TX_OK);
	set_time(m, UINT64_C(0x900000000));
	assert_int_equal(load32(m, TIME_HIGH, FH_TX_OK), 7);
	(void)load32(m, TIME_LOW, FH_TX_OK);
	assert_int_equal(load32(m, TIME_HIGH, FH_TX_OK), 9);
}

static void guest_sets_the_time_in_either_order(void **state)
{
	struct fh_machine *m = *state;

	set_time(m, 1000 * SECOND);
	assert_about(guest_time(m), 1000 * SECOND);
	store32(m, TIME_LOW, (uint32_t)(77777 * SECOND), FH_TX_OK);
	store32(m, TIME_HIGH, (77777 * SECOND) >> 32, FH_TX_OK);
	assert_about(guest_time(m), 77777 * SECOND);
}

/* The low half overflows within 66 us. */
static const uint64_t before_carry = UINT64_C(0x1ffff0000);
static const struct timespec nap = { .tv_nsec = 2000000 };

/* Less than a carry is worth. */
static void assert_near(uint64_t time, uint64_t wanted)
{
	assert_true(time >= wanted && time - wanted < 4 * SECOND);
}

static void carry_between_the_halves_does_not_spoil_the_time(void **state)
{
	struct fh_machine *m = *state;

	set_time(m, before_carry);
	store32(m, TIME_HIGH, 5, FH_TX_OK);
	nanosleep(&nap, NULL);
	store32(m, TIME_LOW, 17, FH_TX_OK);
	assert_near(guest_time(m), (UINT64_C(5) << 32) + 17);
}

static void low_half_alone_keeps_the_high_half_of_now(void **state)
{
	struct fh_machine *m = *state;

	set_time(m, before_carry);
	nanosleep(&nap, NULL);
	store32(m, TIME_LOW, 17, FH_TX_OK);
	assert_near(guest_time(m), (UINT64_C(2) << 32) + 17);
}

static void alarm_in_the_past_goes_off_at_once(void **state)
{
	struct fh_machine *m = *state;

	store32(m, IRQ_ENABLED, 1, FH_TX_OK);
	assert_false(fh_irq_level(irq));
	set_alarm(m, guest_time(m) - 1);
	assert_true(fh_irq_level(irq));
	assert_int_equal(load32(m, ALARM_STATUS, FH_TX_OK), 0);
	store32(m, CLEAR_INTERRUPT, 1, FH_TX_OK);
	assert_false(fh_irq_level(irq));
}

static void alarm_goes_off_at_its_time(void **state)
{
	struct fh_machine *m = *state;
	const uint64_t alarm = guest_time(m) + SECOND / 50;

	store32(m, IRQ_ENABLED, 1, FH_TX_OK);
	set_alarm(m, alarm);
	assert_int_equal(load32(m, ALARM_LOW, FH_TX_OK), (uint32_t)alarm);
	assert_int_equal(load32(m, ALARM_HIGH, FH_TX_OK), alarm >> 32);
	if (guest_time(m) < alarm)
		assert_int_equal(load32(m, ALARM_STATUS, FH_TX_OK), guest_time(m) < alarm);
	while (!fh_irq_level(irq)) {
		assert_true(guest_time(m) < alarm + 20 * SECOND);
		fh_machine_poll(m);
	}
	assert_true(guest_time(m) >= alarm);
	assert_int_equal(load32(m, ALARM_STATUS, FH_TX_OK), 0);
}

static void alarm_that_is_not_enabled_is_kept_until_it_is(void **state)
{
	struct fh_machine *m = *state;

	set_alarm(m, 1);
	assert_false(fh_irq_level(irq));
	store32(m, IRQ_ENABLED, 1, FH_TX_OK);
	assert_true(fh_irq_level(irq));
	assert_int_equal(load32(m, IRQ_ENABLED, FH_TX_OK), 1);
	store32(m, IRQ_ENABLED, 0, FH_TX_OK);
	assert_false(fh_irq_level(irq));
}

static void cleared_alarm_does_not_go_off(void **state)
{
	struct fh_machine *m = *state;

	store32(m, IRQ_ENABLED, 1, FH_TX_OK);
	set_alarm(m, guest_time(m) + 100 * SECOND);
	assert_int_equal(load32(m, ALARM_STATUS, FH_TX_OK), 1);
	store32(m, CLEAR_ALARM, 1, FH_TX_OK);
	assert_int_equal(load32(m, ALARM_STATUS, FH_TX_OK), 0);
	set_time(m, guest_time(m) + 200 * SECOND);
	assert_false(fh_irq_level(irq));
}

static void setting_the_time_past_the_alarm_sets_it_off(void **state)
{
	struct fh_machine *m = *state;

	store32(m, IRQ_ENABLED, 1, FH_TX_OK);
	set_alarm(m, guest_time(m) + 100 * SECOND);
	set_time(m, guest_time(m) + 200 * SECOND);
	assert_true(fh_irq_level(irq));
}

static void half_an_alarm_does_not_go_off(void **state)
{
	struct fh_machine *m = *state;

	store32(m, IRQ_ENABLED, 1, FH_TX_OK);
	set_alarm(m, guest_time(m) + 100 * SECOND);
	store32(m, ALARM_HIGH, 0, FH_TX_OK);
	assert_false(fh_irq_level(irq));
	store32(m, ALARM_LOW, 0, FH_TX_OK);
	assert_true(fh_irq_level(irq));
}

static void reset_keeps_the_time_but_not_the_alarm(void **state)
{
	struct fh_machine *m = *state;

	set_time(m, 5000 * SECOND);
	set_alarm(m, 1);
	store32(m, IRQ_ENABLED, 1, FH_TX_OK);
	fh_machine_reset(m, FH_RESET_WARM);
	assert_false(fh_irq_level(irq));
	assert_int_equal(load32(m, IRQ_ENABLED, FH_TX_OK), 0);
	assert_about(guest_time(m), 5000 * SECOND);
}

static void only_words_are_accessed_and_the_rest_is_0(void **state)
{
	struct fh_machine *m = *state;
	uint64_t value;

	assert_int_equal(fh_space_load64(fh_machine_memory(m), BASE, FH_LE, &value),
			 FH_TX_DECODE_ERROR);
	store32(m, BASE + 0x20, 1, FH_TX_OK);
	assert_int_equal(load32(m, BASE + 0x20, FH_TX_OK), 0);
	assert_int_equal(load32(m, CLEAR_ALARM, FH_TX_OK), 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(time_is_the_hosts),
		test(offset_moves_the_time),
		test(reading_the_low_half_latches_the_high_half),
		test(guest_sets_the_time_in_either_order),
		test(carry_between_the_halves_does_not_spoil_the_time),
		test(low_half_alone_keeps_the_high_half_of_now),
		test(alarm_in_the_past_goes_off_at_once),
		test(alarm_goes_off_at_its_time),
		test(alarm_that_is_not_enabled_is_kept_until_it_is),
		test(cleared_alarm_does_not_go_off),
		test(setting_the_time_past_the_alarm_sets_it_off),
		test(half_an_alarm_does_not_go_off),
		test(reset_keeps_the_time_but_not_the_alarm),
		test(only_words_are_accessed_and_the_rest_is_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
