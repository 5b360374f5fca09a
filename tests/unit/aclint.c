/* SPDX-License-Identifier: MIT */
/*
 * The ACLINT against its specification: software interrupts, time, and when timers interrupt.
 */
#include "support/probe.h"

#include "hw/aclint.h"

#define CLINT  0x2000000
#define SSWI   0x2f00000
#define HARTS  2
#define NEVER  UINT64_MAX
#define SECOND ACLINT_FREQUENCY

static struct fh_device *aclint;
static unsigned jumps;

static void note_jump(void *arg)
{
	assert_ptr_equal(arg, &jumps);
	jumps++;
}

static int set_up(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *root = fh_space_root(fh_machine_memory(m));
	const struct fh_setting settings[] = { { "harts", "2" }, { 0 } };

	aclint = fh_device_new(m, &aclint_type, "aclint", settings, NULL);
	assert_non_null(aclint);
	aclint_set_jumped(aclint, note_jump, &jumps);
	assert_int_equal(fh_device_realize(aclint, NULL), FH_OK);
	jumps = 0;
	fh_region_add(root, fh_device_region(aclint, "clint"), CLINT, 0);
	fh_region_add(root, fh_device_region(aclint, "sswi"), SSWI, 0);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	machine_end(*state);
	return 0;
}

static bool level(const char *name)
{
	struct fh_irq *irq = fh_device_irq(aclint, name);

	assert_non_null(irq);
	return fh_irq_level(irq);
}

static uint64_t load64(struct fh_machine *m, uint64_t addr)
{
	uint64_t value;

	assert_int_equal(fh_space_load64(fh_machine_memory(m), addr, FH_LE, &value), FH_TX_OK);
	return value;
}

static void store64(struct fh_machine *m, uint64_t addr, uint64_t value)
{
	assert_int_equal(fh_space_store64(fh_machine_memory(m), addr, value, FH_LE), FH_TX_OK);
}

static uint64_t mtimecmp(unsigned hart)
{
	return CLINT + 0x4000 + 8 * hart;
}

static const uint64_t mtime = CLINT + 0xbff8;

/* --- MSWI, SSWI ----------------------------------------------------------------------------- */

static void msip_is_the_line(void **state)
{
	struct fh_machine *m = *state;

	store32(m, CLINT + 4, 1, FH_TX_OK);
	assert_true(level("msi-1"));
	assert_false(level("msi-0"));
	assert_int_equal(load32(m, CLINT + 4, FH_TX_OK), 1);
	store32(m, CLINT + 4, 0, FH_TX_OK);
	assert_false(level("msi-1"));
}

static void msip_has_one_bit(void **state)
{
	struct fh_machine *m = *state;

	store32(m, CLINT, 0xfffffffe, FH_TX_OK);
	assert_false(level("msi-0"));
	store32(m, CLINT, 0xffffffff, FH_TX_OK);
	assert_int_equal(load32(m, CLINT, FH_TX_OK), 1);
}

static void registers_of_harts_that_are_not_there_are_0(void **state)
{
	struct fh_machine *m = *state;

	store32(m, CLINT + 4 * HARTS, 1, FH_TX_OK);
	assert_int_equal(load32(m, CLINT + 4 * HARTS, FH_TX_OK), 0);
	store64(m, mtimecmp(HARTS), 1);
	assert_int_equal(load64(m, mtimecmp(HARTS)), 0);
	store32(m, SSWI + 4 * HARTS, 1, FH_TX_OK);
	(void)load32(m, CLINT + 0xc000, FH_TX_DECODE_ERROR);
}

static unsigned rises, falls;

static void count_edges(void *state, bool high)
{
	(void)state;
	*(high ? &rises : &falls) += 1;
}

static const struct fh_type sink_type = { .name = "sink", .parent = &fh_device_type };

static void setssip_is_an_edge_for_each_one_written(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *sink = fh_device_plug(m, &sink_type, "sink", NULL, NULL);

	rises = falls = 0;
	assert_int_equal(fh_irq_connect(fh_device_irq(aclint, "ssi-1"),
					fh_irq_new_input(sink, "ssi", count_edges, NULL)),
			 FH_OK);
	store32(m, SSWI + 4, 1, FH_TX_OK);
	store32(m, SSWI + 4, 3, FH_TX_OK);
	store32(m, SSWI + 4, 0, FH_TX_OK);
	store32(m, SSWI + 4, 2, FH_TX_OK);
	store32(m, SSWI, 1, FH_TX_OK);
	assert_int_equal(rises, 2);
	assert_int_equal(falls, 2);
	assert_int_equal(load32(m, SSWI + 4, FH_TX_OK), 0);
}

/* --- MTIMER --------------------------------------------------------------------------------- */

static void mtime_runs_with_the_hosts_clock_from_0(void **state)
{
	struct fh_machine *m = *state;
	const uint64_t host_before = fh_machine_now(m);
	const uint64_t before = load64(m, mtime);

	assert_true(before < 60 * SECOND);
	while (fh_machine_now(m) < host_before + 10000000)
		;
	const uint64_t passed = load64(m, mtime) - before;
	const uint64_t host_passed = (fh_machine_now(m) - host_before) / 100;

	assert_true(passed >= 90000 && passed <= host_passed + 1);
}

static void everyone_reads_the_same_time(void **state)
{
	const uint64_t first = load64(*state, mtime);
	const uint64_t second = aclint_time(fh_device_state(aclint));
	const uint64_t third = load64(*state, mtime);

	assert_true(first <= second && second <= third);
}

static void mtime_is_set_and_runs_on(void **state)
{
	struct fh_machine *m = *state;

	store64(m, mtime, UINT64_C(0x123400000000));
	assert_in_range(load64(m, mtime), UINT64_C(0x123400000000),
			UINT64_C(0x123400000000) + 20 * SECOND);
	assert_int_equal(jumps, 1);
	store64(m, mtime, 0);
	assert_in_range(aclint_time(fh_device_state(aclint)), 0, 20 * SECOND);
	assert_int_equal(jumps, 2);
}

static void registers_may_be_accessed_by_halves(void **state)
{
	struct fh_machine *m = *state;

	store32(m, mtimecmp(1), 0x11111111, FH_TX_OK);
	store32(m, mtimecmp(1) + 4, 0x22222222, FH_TX_OK);
	assert_int_equal(load64(m, mtimecmp(1)), UINT64_C(0x2222222211111111));
	assert_int_equal(load32(m, mtimecmp(1), FH_TX_OK), 0x11111111);
	assert_int_equal(load32(m, mtimecmp(1) + 4, FH_TX_OK), 0x22222222);
	store32(m, mtime + 4, 0x777, FH_TX_OK);
	assert_int_equal(load32(m, mtime + 4, FH_TX_OK), 0x777);
	assert_int_equal(load64(m, mtimecmp(0)), NEVER);
}

static void timer_interrupts_while_mtime_has_reached_mtimecmp(void **state)
{
	struct fh_machine *m = *state;

	assert_false(level("mti-0"));
	store64(m, mtimecmp(0), load64(m, mtime));
	assert_true(level("mti-0"));
	assert_false(level("mti-1"));
	store64(m, mtimecmp(0), NEVER);
	assert_false(level("mti-0"));
	store64(m, mtimecmp(0), 0);
	assert_true(level("mti-0"));
}

static void timer_interrupts_at_its_time(void **state)
{
	struct fh_machine *m = *state;
	const uint64_t then = load64(m, mtime) + SECOND / 50;

	store64(m, mtimecmp(1), then);
	while (!level("mti-1")) {
		assert_true(load64(m, mtime) < then + 20 * SECOND);
		fh_machine_poll(m);
	}
	assert_true(load64(m, mtime) >= then);
	assert_false(level("mti-0"));
}

static void timer_that_is_put_off_does_not_interrupt(void **state)
{
	struct fh_machine *m = *state;
	const uint64_t then = load64(m, mtime) + SECOND / 100;

	store64(m, mtimecmp(0), then);
	store64(m, mtimecmp(0), NEVER);
	while (load64(m, mtime) < then + SECOND / 100)
		fh_machine_poll(m);
	assert_false(level("mti-0"));
}

static void setting_mtime_decides_anew(void **state)
{
	struct fh_machine *m = *state;

	store64(m, mtimecmp(0), UINT64_C(1) << 40);
	store64(m, mtimecmp(1), UINT64_C(1) << 41);
	store64(m, mtime, UINT64_C(1) << 40);
	assert_true(level("mti-0"));
	assert_false(level("mti-1"));
	store64(m, mtime, 0);
	assert_false(level("mti-0"));
	store64(m, mtime, (UINT64_C(1) << 40) - SECOND / 100);
	while (!level("mti-0"))
		fh_machine_poll(m);
	assert_false(level("mti-1"));
}

static void deadlines_beyond_the_hosts_clock_do_not_interrupt(void **state)
{
	struct fh_machine *m = *state;

	/* In ns they overflow, at the first by little. */
	store64(m, mtimecmp(0), UINT64_MAX / 100 + 1);
	store64(m, mtimecmp(1), NEVER - 200 * (uint64_t)SECOND);
	assert_false(fh_machine_poll(m)); /* nor do they keep the host busy */
	assert_false(level("mti-0"));
	assert_false(level("mti-1"));
	store64(m, mtime, NEVER - 100 * (uint64_t)SECOND);
	assert_true(level("mti-1"));
}

static void reset_clears_all(void **state)
{
	struct fh_machine *m = *state;

	store32(m, CLINT, 1, FH_TX_OK);
	store64(m, mtime, UINT64_C(1) << 50);
	store64(m, mtimecmp(0), 5);
	fh_machine_reset(m, FH_RESET_WARM);
	assert_false(level("msi-0"));
	assert_false(level("mti-0"));
	assert_int_equal(load32(m, CLINT, FH_TX_OK), 0);
	assert_in_range(load64(m, mtime), 0, 20 * SECOND);
	assert_int_equal(jumps, 2);
}

static void number_of_harts_is_checked(void **state)
{
	const struct fh_setting none[] = { { "harts", "0" }, { 0 } };
	const struct fh_setting many[] = { { "harts", "4096" }, { 0 } };
	const struct fh_setting most[] = { { "harts", "4095" }, { 0 } };
	struct fh_error err = FH_ERROR_INIT;

	assert_null(fh_device_plug((struct fh_machine *)*state, &aclint_type, "a", none, &err));
	assert_int_equal(err.code, FH_ERANGE);
	assert_null(fh_device_plug((struct fh_machine *)*state, &aclint_type, "a", many, NULL));
	assert_non_null(fh_device_plug((struct fh_machine *)*state, &aclint_type, "a", most, NULL));
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(msip_is_the_line),
		test(msip_has_one_bit),
		test(registers_of_harts_that_are_not_there_are_0),
		test(setssip_is_an_edge_for_each_one_written),
		test(mtime_runs_with_the_hosts_clock_from_0),
		test(everyone_reads_the_same_time),
		test(mtime_is_set_and_runs_on),
		test(registers_may_be_accessed_by_halves),
		test(timer_interrupts_while_mtime_has_reached_mtimecmp),
		test(timer_interrupts_at_its_time),
		test(timer_that_is_put_off_does_not_interrupt),
		test(setting_mtime_decides_anew),
		test(deadlines_beyond_the_hosts_clock_do_not_interrupt),
		test(reset_clears_all),
		test(number_of_harts_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
