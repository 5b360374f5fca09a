/* SPDX-License-Identifier: MIT */
/*
 * The test finisher: which values end or reset the machine, and that no others do.
 */
#include "support/probe.h"

#include "hw/syscon.h"

#define BASE 0x100000

static unsigned poweroffs, resets, last_code;

static void note_poweroff(void *arg, unsigned code)
{
	assert_ptr_equal(arg, &poweroffs);
	poweroffs++;
	last_code = code;
}

static void note_reset(void *arg)
{
	assert_ptr_equal(arg, &poweroffs);
	resets++;
}

static const struct syscon_ops ops = { .poweroff = note_poweroff, .reset = note_reset };

static int set_up(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_device *device = fh_device_new(m, &syscon_type, "syscon", NULL, NULL);

	poweroffs = resets = 0;
	last_code = UINT32_MAX;
	syscon_set_ops(device, &ops, &poweroffs);
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	fh_region_add(fh_space_root(fh_machine_memory(m)), fh_device_region(device, "regs"), BASE,
		      0);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	machine_end(*state);
	return 0;
}

static void pass_powers_off_with_code_0(void **state)
{
	store32(*state, BASE, SYSCON_PASS, FH_TX_OK);
	assert_int_equal(poweroffs, 1);
	assert_int_equal(last_code, 0);
	assert_int_equal(resets, 0);
}

static void fail_powers_off_with_the_code_of_the_upper_half(void **state)
{
	store32(*state, BASE, 42 << 16 | SYSCON_FAIL, FH_TX_OK);
	assert_int_equal(last_code, 42);
	store32(*state, BASE, SYSCON_FAIL, FH_TX_OK);
	assert_int_equal(last_code, 1);
	assert_int_equal(poweroffs, 2);
}

static void reset_resets(void **state)
{
	store32(*state, BASE, SYSCON_RESET, FH_TX_OK);
	assert_int_equal(resets, 1);
	assert_int_equal(poweroffs, 0);
}

static void half_a_register_may_be_written(void **state)
{
	struct fh_space *memory = fh_machine_memory(*state);

	assert_int_equal(fh_space_store16(memory, BASE, SYSCON_PASS, FH_LE), FH_TX_OK);
	assert_int_equal(poweroffs, 1);
	assert_int_equal(fh_space_store8(memory, BASE, 0x55, FH_LE), FH_TX_DECODE_ERROR);
	assert_int_equal(poweroffs, 1);
}

static void everything_else_does_nothing(void **state)
{
	struct fh_space *memory = fh_machine_memory(*state);

	store32(*state, BASE, 0, FH_TX_OK);
	store32(*state, BASE, 0x5554, FH_TX_OK);
	store32(*state, BASE + 4, SYSCON_PASS, FH_TX_OK);
	assert_int_equal(fh_space_store(memory, BASE, 4, FH_LE, (struct fh_attrs){ .debug = true },
					SYSCON_PASS),
			 FH_TX_OK);
	assert_int_equal(load32(*state, BASE, FH_TX_OK), 0);
	assert_int_equal(poweroffs + resets, 0);
}

static void without_a_board_nothing_happens(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = fh_device_plug(m, &syscon_type, "lone", NULL, NULL);

	fh_region_add(fh_space_root(fh_machine_memory(m)), fh_device_region(device, "regs"),
		      2 * BASE, 0);
	store32(m, 2 * BASE, SYSCON_RESET, FH_TX_OK);
	assert_int_equal(poweroffs + resets, 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(pass_powers_off_with_code_0),
		test(fail_powers_off_with_the_code_of_the_upper_half),
		test(reset_resets),
		test(half_a_register_may_be_written),
		test(everything_else_does_nothing),
		test(without_a_board_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
