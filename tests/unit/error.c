/* SPDX-License-Identifier: MIT */
/*
 * What <freehold/base.h> promises: errors, their codes, and the two words of ownership.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <freehold/base.h>

static void set_records_code_and_message(void **state)
{
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	assert_int_equal(fh_error_set(&err, FH_ENOENT, "no %s at %d", "device", 7), FH_ENOENT);
	assert_int_equal(err.code, FH_ENOENT);
	assert_string_equal(err.message, "no device at 7");
}

static void first_failure_wins(void **state)
{
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	fh_error_set(&err, FH_EBUSY, "first");
	assert_int_equal(fh_error_set(&err, FH_EIO, "second"), FH_EIO);
	assert_int_equal(err.code, FH_EBUSY);
	assert_string_equal(err.message, "first");
}

static void null_error_is_permitted_everywhere(void **state)
{
	(void)state;
	assert_int_equal(fh_error_set(NULL, FH_EINVAL, "%d", 1), FH_EINVAL);
	fh_error_prefix(NULL, "device: ");
	fh_error_clear(NULL);
}

static void message_that_just_fits_is_whole(void **state)
{
	char text[FH_ERROR_MESSAGE_SIZE];
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fh_error_set(&err, FH_EINVAL, "%s", text);
	assert_string_equal(err.message, text);
}

static void long_message_is_cut_and_says_so(void **state)
{
	char text[2 * FH_ERROR_MESSAGE_SIZE];
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fh_error_set(&err, FH_EINVAL, "%s", text);
	assert_int_equal(strlen(err.message), FH_ERROR_MESSAGE_SIZE - 1);
	assert_string_equal(err.message + FH_ERROR_MESSAGE_SIZE - 4, "...");
}

/* Two-byte characters, at both alignments against the cut. */
static void cut_falls_between_characters(void **state)
{
	(void)state;
	for (int shift = 0; shift < 2; shift++) {
		char text[2 * FH_ERROR_MESSAGE_SIZE];
		struct fh_error err = FH_ERROR_INIT;
		size_t i = 0;
		size_t length;

		if (shift)
			text[i++] = 'x';
		while (i < sizeof(text) - 2) {
			text[i++] = '\xc3';
			text[i++] = '\xa9';
		}
		text[i] = '\0';
		fh_error_set(&err, FH_EINVAL, "%s", text);
		length = strlen(err.message);
		assert_true(length < FH_ERROR_MESSAGE_SIZE);
		assert_string_equal(err.message + length - 3, "...");
		assert_int_equal((unsigned char)err.message[length - 4], 0xa9);
	}
}

/* A text with what follows in it, which is to be shown as that. */
static void shows(const char *bytes, const char *as)
{
	char expected[FH_ERROR_MESSAGE_SIZE] = "[";
	struct fh_error err = FH_ERROR_INIT;

	fh_error_set(&err, FH_EFORMAT, "[%s]", bytes);
	assert_string_equal(err.message, strcat(strcat(expected, as), "]"));
	fh_error_clear(&err);
	fh_error_set(&err, FH_EFORMAT, "]");
	fh_error_prefix(&err, "[%s", bytes);
	assert_string_equal(err.message, expected);
}

static void what_is_no_character_is_a_question_mark(void **state)
{
	(void)state;
	shows("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
	      "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
	shows("a\x80z", "a?z");		 /* a continuation of nothing */
	shows("\xc3", "?");		 /* cut off by the end */
	shows("\xe2\x82z", "??z");	 /* and by another */
	shows("\xc0\xaf", "??");	 /* longer than it needs to be */
	shows("\xe0\x80\xaf", "???");
	shows("\xed\xa0\x80", "???");	 /* a surrogate */
	shows("\xf4\x90\x80\x80", "????"); /* beyond the last */
	shows("\xff\xfe", "??");
	shows("\x1b[1m\n\t\x7f", "?[1m???");
}

/* All of them alike: where the cut falls does not matter. */
static void long_message_that_is_no_text_is_cut_where_it_is_full(void **state)
{
	char text[2 * FH_ERROR_MESSAGE_SIZE];
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	memset(text, 0x80, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fh_error_set(&err, FH_EINVAL, "%s", text);
	assert_int_equal(strlen(err.message), FH_ERROR_MESSAGE_SIZE - 1);
	assert_string_equal(err.message + FH_ERROR_MESSAGE_SIZE - 5, "?...");
}

static void prefix_goes_before_the_message(void **state)
{
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	fh_error_set(&err, FH_ERANGE, "too large");
	fh_error_prefix(&err, "region '%s': ", "bar0");
	fh_error_prefix(&err, "device '%s': ", "nic0");
	assert_int_equal(err.code, FH_ERANGE);
	assert_string_equal(err.message, "device 'nic0': region 'bar0': too large");
}

static void prefix_without_failure_changes_nothing(void **state)
{
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	fh_error_prefix(&err, "device: ");
	assert_int_equal(err.code, FH_OK);
	assert_string_equal(err.message, "");
}

static void prefix_cuts_the_tail_of_the_older_text(void **state)
{
	char text[FH_ERROR_MESSAGE_SIZE];
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fh_error_set(&err, FH_EINVAL, "%s", text);
	fh_error_prefix(&err, "device: ");
	assert_int_equal(strlen(err.message), FH_ERROR_MESSAGE_SIZE - 1);
	assert_memory_equal(err.message, "device: xx", 10);
	assert_string_equal(err.message + FH_ERROR_MESSAGE_SIZE - 4, "...");
}

static void prefix_too_long_by_itself_is_cut(void **state)
{
	char text[2 * FH_ERROR_MESSAGE_SIZE];
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	memset(text, 'p', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fh_error_set(&err, FH_EINVAL, "cause");
	fh_error_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.message), FH_ERROR_MESSAGE_SIZE - 1);
	assert_string_equal(err.message + FH_ERROR_MESSAGE_SIZE - 4, "...");
}

static void clear_makes_it_usable_again(void **state)
{
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	fh_error_set(&err, FH_EBUSY, "first");
	fh_error_clear(&err);
	fh_error_set(&err, FH_EIO, "second");
	assert_int_equal(err.code, FH_EIO);
	assert_string_equal(err.message, "second");
}

static void every_code_has_its_own_name(void **state)
{
	(void)state;
	assert_string_equal(fh_code_name(FH_OK), "FH_OK");
	assert_string_equal(fh_code_name(FH_EAMBIGUOUS), "FH_EAMBIGUOUS");
	for (int a = FH_OK; a >= FH_EAGAIN; a--) {
		assert_string_not_equal(fh_code_name((enum fh_code)a), "FH_E?");
		for (int b = a - 1; b >= FH_EAGAIN; b--)
			assert_string_not_equal(fh_code_name((enum fh_code)a),
						fh_code_name((enum fh_code)b));
	}
	assert_string_equal(fh_code_name((enum fh_code)(FH_EAGAIN - 1)), "FH_E?");
	assert_string_equal(fh_code_name((enum fh_code)1), "FH_E?");
}

static int *cleaned;

static void clean(int **ptr)
{
	cleaned = *ptr;
}

static int *make(int *what, bool keep)
{
	FH_CLEANUP(clean) int *ptr = what;

	return keep ? fh_steal(&ptr) : NULL;
}

static void cleanup_runs_unless_stolen(void **state)
{
	int value = 0;

	(void)state;
	assert_null(make(&value, false));
	assert_ptr_equal(cleaned, &value);
	assert_ptr_equal(make(&value, true), &value);
	assert_null(cleaned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_records_code_and_message),
		cmocka_unit_test(first_failure_wins),
		cmocka_unit_test(null_error_is_permitted_everywhere),
		cmocka_unit_test(message_that_just_fits_is_whole),
		cmocka_unit_test(long_message_is_cut_and_says_so),
		cmocka_unit_test(cut_falls_between_characters),
		cmocka_unit_test(what_is_no_character_is_a_question_mark),
		cmocka_unit_test(long_message_that_is_no_text_is_cut_where_it_is_full),
		cmocka_unit_test(prefix_goes_before_the_message),
		cmocka_unit_test(prefix_without_failure_changes_nothing),
		cmocka_unit_test(prefix_cuts_the_tail_of_the_older_text),
		cmocka_unit_test(prefix_too_long_by_itself_is_cut),
		cmocka_unit_test(clear_makes_it_usable_again),
		cmocka_unit_test(every_code_has_its_own_name),
		cmocka_unit_test(cleanup_runs_unless_stolen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
