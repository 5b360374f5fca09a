/* SPDX-License-Identifier: MIT */
/*
 * The hooks of a program that is linked with the shared library: it finds them.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <freehold/freehold.h>

void fh_hook_panic(const char *line)
{
	(void)line;
	_exit(42); /* it may end the process itself */
}

bool fh_hook_no_memory(size_t size, unsigned attempt)
{
	(void)size, (void)attempt;
	return false;
}

static void shared_library_calls_the_programs_hook(void **state)
{
	int status = 0;
	const pid_t child = fork();

	(void)state;
	if (child == 0) {
		struct fh_machine *m = fh_machine_new(NULL, NULL);

		fh_read_begin();
		fh_machine_drain(m); /* a programmer's error: it waits, in a read section */
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_library_calls_the_programs_hook),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
