/* SPDX-License-Identifier: MIT */
/*
 * Traces of traps: see trace.h.
 *
 * R1. A line is written with one call, so that those of several harts are not mixed, and is in the
 *     file as soon as its trap is taken.
 */
#include "machine/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trace {
	unsigned what; /* TRACE_* */
	FILE *out;
};

static const char *cause_name(uint64_t cause)
{
	static const char *const exceptions[] = {
		"instruction address misaligned",
		"instruction access fault",
		"illegal instruction",
		"breakpoint",
		"load address misaligned",
		"load access fault",
		"store address misaligned",
		"store access fault",
		"call from U",
		"call from S",
		NULL,
		"call from M",
		"instruction page fault",
		"load page fault",
		NULL,
		"store page fault",
	};
	static const char *const interrupts[] = {
		[1] = "supervisor software", [3] = "machine software",
		[5] = "supervisor timer",    [7] = "machine timer",
		[9] = "supervisor external", [11] = "machine external",
	};
	const uint64_t number = cause & INT64_MAX;
	const bool interrupt = cause >> 63;
	const char *name = NULL;

	if (interrupt && number < sizeof(interrupts) / sizeof(interrupts[0]))
		name = interrupts[number];
	if (!interrupt && number < sizeof(exceptions) / sizeof(exceptions[0]))
		name = exceptions[number];
	return name ? name : "unknown";
}

static unsigned trace_kind(uint64_t cause)
{
	if (cause == 2)
		return TRACE_INT | TRACE_UNIMP;
	if (cause == 1 || cause == 5 || cause == 7)
		return TRACE_INT | TRACE_GUEST_ERRORS;
	return TRACE_INT;
}

void trace_trap(void *arg, unsigned hart, uint64_t cause, uint64_t pc, uint64_t tval,
		unsigned to_priv)
{
	struct trace *trace = arg;

	if (trace->what & trace_kind(cause))
		fprintf(trace->out,
			"hart %u: %s %" PRIu64 " (%s) at 0x%" PRIx64 ", tval 0x%" PRIx64
			", to %s\n",
			hart, cause >> 63 ? "interrupt" : "exception", cause & INT64_MAX,
			cause_name(cause), pc, tval, to_priv == 3 ? "M" : "S");
}

struct trace *trace_new(const struct machine_options *options, struct fh_error *err)
{
	const char *path = options->trace_file;
	struct trace *trace = calloc(1, sizeof(*trace));

	if (!trace) {
		fh_error_set(err, FH_ENOMEM, "no memory for a trace");
		return NULL;
	}
	trace->what = options->trace;
	trace->out = path ? fopen(path, "we") : stderr;
	if (!trace->out) {
		fh_error_set(err, FH_EIO, "%s: %s", path, strerror(errno));
		return trace_free(trace);
	}
	if (path)
		setvbuf(trace->out, NULL, _IOLBF, 0);
	return trace;
}

struct trace *trace_free(struct trace *trace)
{
	if (trace && trace->out && trace->out != stderr)
		fclose(trace->out);
	free(trace);
	return NULL;
}
