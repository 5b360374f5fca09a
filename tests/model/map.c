/* SPDX-License-Identifier: MIT */
/*
 * Random trees of regions, edited at random: every space always shows what a naive oracle paints,
 * and every listener is told exactly the difference. See run.h.
 *
 *	FH_MODEL_EDITS=N	at least so many edits
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/run.h"

static void random_edits_show_what_the_oracle_paints(void **state)
{
	static const struct run_plan plan = { style_random, 2000000, "FH_MODEL_EDITS" };

	(void)state;
	assert_true(run_worlds(&plan));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_edits_show_what_the_oracle_paints),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
