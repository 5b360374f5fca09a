/* SPDX-License-Identifier: MIT */
/*
 * Runs waits.S on the whole machine: of many thousand wake-ups none is lost.
 */
#include <stdlib.h>
#include <unistd.h>

#include "machine/virt.h"
#include "support/probe.h"

static void no_wake_up_is_lost(void **state)
{
	const char *const path = getenv("WAITS_GUEST");
	const char *arguments[] = {"freehold", "-bios", "none", "-kernel", path,
				   "-smp", "4", "-serial", "file:/dev/null", NULL};
	struct fh_error err = FH_ERROR_INIT;
	struct machine_options options;
	struct loop *loop;
	struct virt *v;
	int status = -1;

	(void)state;
	if (!path)
		skip(); /* no compiler for guests */
	assert_int_equal(options_parse(9, (char **)arguments, &options, &err), FH_OK);
	loop = loop_new(&err);
	v = virt_new(&options, loop, &err);
	if (!v)
		fail_msg("%s", err.message);
	alarm(120); /* all wait for ever */
	assert_int_equal(virt_run(v, &status, &err), FH_OK);
	alarm(0);
	assert_int_equal(virt_free(v, NULL), 0);
	loop_free(loop);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wake_up_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
