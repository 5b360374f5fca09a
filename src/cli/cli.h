/* SPDX-License-Identifier: MIT */
/*
 * What the commands of the program share.
 *
 * R1. A command returns the exit status: EXIT_SUCCESS, or EXIT_FAILURE after at least one line on
 *     standard error.
 * R2. Such a line begins with the program's name and holds no control characters, whatever a file
 *     or an argument may contain.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <freehold/base.h>

struct fh_command {
	const char *name;
	const char *summary; /* one line for --help */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

/* Print "freehold: ..." and a newline to standard error. Returns EXIT_FAILURE. */
int fh_cli_fail(const char *fmt, ...) FH_PRINTF(1, 2);

/* Write what is buffered to standard output; false after a line on standard error. */
bool fh_cli_flush(void);

/* Print @text with control characters made visible as '?'. */
void fh_cli_put_text(const char *text, FILE *out);

/* A whole non-negative decimal number of at most @max. */
bool fh_cli_parse_number(const char *text, uint64_t max, uint64_t *ret_number);

int fh_cli_map(int argc, char **argv);
/* No command, but options of the machine: argv[0] is not looked at. */
int fh_cli_run(int argc, char **argv);
int fh_cli_torture(int argc, char **argv);

#endif
