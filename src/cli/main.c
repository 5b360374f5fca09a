/* SPDX-License-Identifier: MIT */
/*
 * The program `freehold`: finds the command that the first argument names and runs it. Where that
 * is an option there is no command, and the machine is run.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "cli/version.h"
#include "machine/options.h"

static const struct fh_command commands[] = {
	{ "map", "render a memory map from a file, or check it", fh_cli_map },
	{ "torture", "stress the library at random on many threads", fh_cli_torture },
};

static void print_help(void)
{
	puts("Usage: freehold -OPTION...              run the machine\n"
	     "       freehold COMMAND [ARGUMENT]...\n"
	     "       freehold --help | --version\n");
	options_help(stdout);
	puts("\n"
	     "Commands:");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].summary);
	puts("\n"
	     "'freehold COMMAND --help' says more about each.");
}

static int run(int argc, char **argv)
{
	if (argc < 2)
		return fh_cli_fail("a command is missing; try 'freehold --help'");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help();
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("freehold " FH_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	if (argv[1][0] == '-')
		return fh_cli_run(argc, argv);
	return fh_cli_fail("there is no command '%s'; try 'freehold --help'", argv[1]);
}

int main(int argc, char **argv)
{
	const int status = run(argc, argv);

	/* A full disk is a failure, as much as anything before it. */
	return fh_cli_flush() ? status : EXIT_FAILURE;
}
