/* SPDX-License-Identifier: MIT */
/*
 * The library's own memory, and the last words of a process that cannot go on.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "support/dies.h"

/* The sanitizers' allocators stop at what malloc refuses, unless told. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void zeroed_memory_is_zero_and_aligned(void **state)
{
	unsigned char *plain = fh_zalloc(100);
	unsigned char *aligned = fh_zalloc_aligned(100, 256);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_true(plain[i] == 0 && aligned[i] == 0);
	assert_int_equal((uintptr_t)aligned % 256, 0);
	plain = fh_realloc(plain, 200);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(plain[i], 0);
	fh_free(plain);
	fh_free(aligned);
	fh_free(NULL);
}

static void nothing_can_be_allocated(void **state)
{
	void *nothing = fh_alloc(0);

	(void)state;
	assert_non_null(nothing);
	fh_free(nothing);
	fh_free(fh_zalloc(0));
	fh_free(fh_try_alloc(0));
	fh_free(fh_try_zalloc(0, 8));
}

static void texts_are_copied_and_formatted(void **state)
{
	FH_CLEANUP(fh_freep) char *copy = fh_strdup("led");
	FH_CLEANUP(fh_freep) char *empty = fh_strdup(NULL);
	FH_CLEANUP(fh_freep) char *text = fh_printf("%s[%d]", copy, 3);

	(void)state;
	assert_string_equal(copy, "led");
	assert_string_equal(empty, "");
	assert_string_equal(text, "led[3]");
}

static void what_a_user_asks_for_may_be_refused(void **state)
{
	volatile size_t huge = SIZE_MAX / 4;
	void *got;

	(void)state;
	got = fh_try_zalloc(huge, 8);
	assert_null(got);
	got = fh_try_alloc(huge);
	assert_null(got);
}

static void ask_for_too_much(void)
{
	volatile size_t huge = SIZE_MAX / 4;

	fh_free(fh_alloc(huge));
}

static void exhaustion_stops_with_a_message(void **state)
{
	(void)state;
	assert_true(dies_saying(ask_for_too_much, "out of memory: 4611686018427387903 bytes"));
}

static void assert_falsehood(void)
{
	volatile int two = 2;

	fh_assert(two == 1 + 2);
}

static void reach_the_unreachable(void)
{
	fh_unreachable();
}

static void assertion_says_what_and_where(void **state)
{
	(void)state;
	assert_true(dies_saying(assert_falsehood, "assertion failed: two == 1 + 2\n"));
	assert_true(dies_saying(assert_falsehood, "alloc.c:"));
	assert_true(dies_saying(reach_the_unreachable, "reach_the_unreachable: unreachable code"));
}

static void panic_with_a_long_message(void)
{
	char text[2000];

	memset(text, 'z', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fh_panic("%s", text);
}

static void long_panic_is_cut_to_one_line(void **state)
{
	(void)state;
	assert_true(dies_saying(panic_with_a_long_message, "zzz\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_memory_is_zero_and_aligned),
		cmocka_unit_test(nothing_can_be_allocated),
		cmocka_unit_test(texts_are_copied_and_formatted),
		cmocka_unit_test(what_a_user_asks_for_may_be_refused),
		cmocka_unit_test(exhaustion_stops_with_a_message),
		cmocka_unit_test(assertion_says_what_and_where),
		cmocka_unit_test(long_panic_is_cut_to_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
