/* SPDX-License-Identifier: MIT */
/*
 * The last words of a process whose invariants are broken.
 *
 * One write(2) of a buffer on the stack: no lock of stdio may be in the way, and lines of several
 * threads do not mix. A program that has a hook hears them instead.
 */
#include "base/assert.h"

#include <freehold/hooks.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Null unless the program defines it. */
#pragma weak fh_hook_panic

static _Noreturn void die(char *line, size_t size, int length)
{
	size_t used = length < 0 ? 0 : (size_t)length;

	if (used > size - 2)
		used = size - 2;
	if (fh_hook_panic) {
		line[used] = '\0';
		fh_hook_panic(line);
		abort();
	}
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		abort();
	abort();
}

void fh_panic(const char *fmt, ...)
{
	static const char prefix[] = "freehold: ";
	char line[512] = "freehold: ";
	const size_t start = sizeof(prefix) - 1;
	va_list args;
	int length;

	va_start(args, fmt);
	length = vsnprintf(line + start, sizeof(line) - start, fmt, args);
	va_end(args);
	die(line, sizeof(line), length < 0 ? (int)start : (int)start + length);
}

void fh_assert_fail(const char *what, const char *file, int line, const char *function)
{
	fh_panic("%s:%d: %s: %s", file, line, function, what);
}
