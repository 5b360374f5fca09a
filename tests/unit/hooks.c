/* SPDX-License-Identifier: MIT */
/*
 * A program that has hooks: it is asked before the process ends for lack of memory, and told why.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <freehold/hooks.h>
#include <freehold/machine.h>
#include <freehold/state.h>

#include "base/alloc.h"
#include "support/dies.h"

/* No more than this, which the hook changes as memory that is freed does. */
static size_t budget = SIZE_MAX;
static bool generous;

void fh_hook_panic(const char *line)
{
	fprintf(stderr, "the hook heard <%s>\n", line);
	fflush(stderr);
}

bool fh_hook_no_memory(size_t size, unsigned attempt)
{
	fprintf(stderr, "asked for %zu, %u. time\n", size, attempt);
	fflush(stderr);
	if (generous && attempt == 3)
		budget = SIZE_MAX;
	return attempt < 3 || generous;
}

/* Malloc as the library sees it here: private_test_malloc in tests/meson.build. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return size > budget ? NULL : __real_malloc(size);
}

static void ask_for_too_much(void)
{
	budget = 1000; /* in a child process: see dies_saying() */
	fh_free(fh_alloc(4000));
}

static void assert_falsehood(void)
{
	volatile int two = 2;

	fh_assert(two == 1 + 2);
}

static void panic_with_a_long_message(void)
{
	char text[2000];

	memset(text, 'z', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fh_panic("%s", text);
}

static void panic_goes_to_the_hook_alone(void **state)
{
	(void)state;
	assert_true(dies_saying(assert_falsehood, "the hook heard <freehold: "));
	assert_true(dies_saying(assert_falsehood, "assertion failed: two == 1 + 2>\n"));
	assert_false(dies_saying(assert_falsehood, "assertion failed: two == 1 + 2\n"));
	assert_true(dies_saying(panic_with_a_long_message, "zzz>\n"));
}

static void memory_is_asked_for_until_the_hook_gives_up(void **state)
{
	(void)state;
	assert_true(dies_saying(ask_for_too_much, "asked for 4000, 1. time\n"
						  "asked for 4000, 2. time\n"
						  "asked for 4000, 3. time\n"
						  "the hook heard <freehold: out of memory: "));
}

static void memory_that_the_hook_made_room_for_is_given(void **state)
{
	char *got;

	(void)state;
	budget = 1000;
	generous = true;
	got = fh_alloc(4000);
	memset(got, 1, 4000);
	fh_free(got);
	assert_true(budget == SIZE_MAX);
	generous = false;
}

static void what_a_user_chose_is_not_asked_for(void **state)
{
	void *got;

	(void)state;
	budget = 1000;
	generous = true;
	got = fh_try_alloc(4000);
	assert_null(got);
	assert_true(budget == 1000);
	budget = SIZE_MAX;
	generous = false;
}

static enum fh_code count_bytes(void *arg, const void *data, size_t size, struct fh_error *err)
{
	(void)data, (void)err;
	*(size_t *)arg += size;
	return FH_OK;
}

/* Nothing has state, so that the head is all there is to find room for. */
static void state_that_finds_no_room_is_an_error(void **state)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	size_t written = 0;
	const struct fh_state_writer writer = { .write = count_bytes, .arg = &written };
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	assert_int_equal(fh_state_save(m, &writer, &err), FH_OK);
	assert_true(written > 0);
	written = 0;
	budget = 256;
	const enum fh_code code = fh_state_save(m, &writer, &err);

	budget = SIZE_MAX;
	assert_int_equal(code, FH_ENOMEM);
	assert_string_equal(err.message, "the state does not fit into memory");
	assert_int_equal(written, 0);
	assert_int_equal(fh_machine_destroy(m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(panic_goes_to_the_hook_alone),
		cmocka_unit_test(memory_is_asked_for_until_the_hook_gives_up),
		cmocka_unit_test(memory_that_the_hook_made_room_for_is_given),
		cmocka_unit_test(what_a_user_chose_is_not_asked_for),
		cmocka_unit_test(state_that_finds_no_room_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
