/* SPDX-License-Identifier: MIT */
/*
 * Runs clock.S on the whole machine: who sets mtime reaches the timers that the harts keep.
 */
#include <stdlib.h>
#include <unistd.h>

#include "machine/virt.h"
#include "support/probe.h"

static void setting_mtime_moves_the_supervisor_timers(void **state)
{
	const char *const path = getenv("CLOCK_GUEST");
	const char *arguments[] = {"freehold", "-nographic", "-bios", "none", "-kernel", path,
			     "-smp", "2", "-serial", "null", NULL};
	struct fh_error err = FH_ERROR_INIT;
	struct machine_options options;
	struct loop *loop;
	struct virt *v;
	int status = -1;

	(void)state;
	if (!path)
		skip(); /* no compiler for guests */
	assert_int_equal(options_parse(10, (char **)arguments, &options, &err), FH_OK);
	loop = loop_new(&err);
	v = virt_new(&options, loop, &err);
	if (!v)
		fail_msg("%s", err.message);
	alarm(200); /* a hart that is not told waits for ever */
	assert_int_equal(virt_run(v, &status, &err), FH_OK);
	alarm(0);
	assert_int_equal(virt_free(v, NULL), 0);
	loop_free(loop);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setting_mtime_moves_the_supervisor_timers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
