/* SPDX-License-Identifier: MIT */
/*
 * What the library prints for people, as a string that a test can look into (owned by caller,
 * free()).
 */
#ifndef SUPPORT_TEXT_H
#define SUPPORT_TEXT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/probe.h"

/* The text of a temporary file, which is closed. */
static inline char *text_of(FILE *out)
{
	const long size = ftell(out);
	char *text = calloc(1, (size_t)size + 1);

	rewind(out);
	assert_int_equal(fread(text, 1, (size_t)size, out), size);
	fclose(out);
	return text;
}

static inline char *explain_text(FH_ANY object)
{
	FILE *out = tmpfile();

	assert_non_null(out);
	fh_object_explain(object, out);
	return text_of(out);
}

/* What the ledger prints; *ret_alive, if wanted, is what it returns. */
static inline char *ledger_text(struct fh_machine *m, int *ret_alive)
{
	FILE *out = tmpfile();
	int alive;

	assert_non_null(out);
	alive = fh_ledger_print(m, out);
	if (ret_alive)
		*ret_alive = alive;
	return text_of(out);
}

/* Fails the test, and shows the text, unless @wanted is in it. */
static inline void assert_text_has(const char *text, const char *wanted)
{
	assert_non_null(text);
	if (!strstr(text, wanted))
		fail_msg("'%s' is not in:\n%s", wanted, text ? text : "");
}

static inline void assert_text_lacks(const char *text, const char *unwanted)
{
	if (strstr(text, unwanted))
		fail_msg("'%s' is in:\n%s", unwanted, text);
}

#endif
