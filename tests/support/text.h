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

static inline char *explain_text(FH_ANY object)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	fh_object_explain(object, out);
	fclose(out);
	return text;
}

/* What the ledger prints; *ret_alive, if wanted, is what it returns. */
static inline char *ledger_text(struct fh_machine *m, int *ret_alive)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int alive;

	assert_non_null(out);
	alive = fh_ledger_print(m, out);
	fclose(out);
	if (ret_alive)
		*ret_alive = alive;
	return text;
}

/* Fails the test, and shows the text, unless @wanted is in it. */
static inline void assert_text_has(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("'%s' is not in:\n%s", wanted, text);
}

static inline void assert_text_lacks(const char *text, const char *unwanted)
{
	if (strstr(text, unwanted))
		fail_msg("'%s' is in:\n%s", unwanted, text);
}

#endif
