/* SPDX-License-Identifier: MIT */
/*
 * `freehold -OPTION...`: run the machine, take it down and print its ledger.
 */
#include "cli/cli.h"

#include <stdlib.h>

#include "machine/loop.h"
#include "machine/options.h"
#include "machine/virt.h"

/* True: something was printed, as asked for, and that is all. */
static bool print_what_was_asked(const struct machine_options *o)
{
	if (o->help)
		options_help(stdout);
	else if (o->machine_help)
		options_machine_help(stdout);
	else if (o->cpu_help)
		cpu_isa_help(stdout);
	else if (o->trace_help)
		options_trace_help(stdout);
	else
		return false;
	return true;
}

/* The exit status. */
static int run(const struct machine_options *o, struct loop *loop)
{
	struct fh_error err = FH_ERROR_INIT;
	struct virt *v = virt_new(o, loop, &err);
	int status = EXIT_SUCCESS;
	enum fh_code code;

	if (!v)
		return fh_cli_fail("%s", err.message);
	if (o->dump_dtb) {
		code = virt_dump_dtb(v, o->dump_dtb, &err);
		virt_free(v, NULL);
	} else {
		code = virt_run(v, &status, &err);
		if (virt_free(v, stderr) != 0 && status == EXIT_SUCCESS)
			status = EXIT_FAILURE;
	}
	return code == FH_OK ? status : fh_cli_fail("%s", err.message);
}

int fh_cli_run(int argc, char **argv)
{
	struct fh_error err = FH_ERROR_INIT;
	struct machine_options o;
	struct loop *loop;
	int status;

	if (options_parse(argc, argv, &o, &err) != FH_OK)
		return fh_cli_fail("%s", err.message);
	if (print_what_was_asked(&o))
		return EXIT_SUCCESS;
	loop = loop_new(&err);
	if (!loop)
		return fh_cli_fail("%s", err.message);
	status = run(&o, loop);
	loop_free(loop);
	return status;
}
