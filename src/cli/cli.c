/* SPDX-License-Identifier: MIT */
/*
 * What the commands of the program share: see cli.h.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

void fh_cli_put_text(const char *text, FILE *out)
{
	for (; *text != '\0'; text++)
		putc(is_control(*text) ? '?' : *text, out);
}

int fh_cli_fail(const char *fmt, ...)
{
	char message[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);

	/* What was printed before comes first, also where both streams go to one file. */
	fflush(stdout);
	fputs("freehold: ", stderr);
	fh_cli_put_text(message, stderr);
	putc('\n', stderr);
	return EXIT_FAILURE;
}

bool fh_cli_flush(void)
{
	errno = 0;
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return true;

	const char *const why = errno != 0 ? strerror(errno) : "an earlier write failed";

	/* It is said once. */
	__fpurge(stdout);
	clearerr(stdout);
	fh_cli_fail("cannot write the output: %s", why);
	return false;
}

bool fh_cli_parse_number(const char *text, uint64_t max, uint64_t *ret_number)
{
	if (*text < '0' || *text > '9')
		return false;

	char *rest;

	errno = 0;
	const unsigned long long number = strtoull(text, &rest, 10);

	if (errno != 0 || *rest != '\0' || number > max)
		return false;
	*ret_number = number;
	return true;
}
