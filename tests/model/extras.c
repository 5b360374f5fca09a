/* SPDX-License-Identifier: MIT */
/*
 * Eventfds, coalesced ranges and dirty logs come and go while the map changes at random: listeners
 * are told exactly the difference of what the oracle finds; a store on any way signals the eventfd
 * or calls the callback that the oracle says, asks for coalesced stores when it should, and marks
 * the pages that are then taken. See run.h.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/run.h"

static void random_edits_tell_and_stores_do_what_the_oracle_finds(void **state)
{
	static const struct run_plan plan = { style_with_extras, 400000, NULL };

	(void)state;
	assert_true(run_worlds(&plan));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_edits_tell_and_stores_do_what_the_oracle_finds),
	};

	return cmocka_run_group_tests_name("extras", tests, NULL, NULL);
}
