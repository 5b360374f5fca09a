/* SPDX-License-Identifier: MIT */
/*
 * What -d asks for: a line for each trap of its kind.
 */
#ifndef MACHINE_TRACE_H
#define MACHINE_TRACE_H

#include <stdint.h>

#include <freehold/freehold.h>

#include "machine/options.h"

struct trace;

/* @options (borrowed) outlive it. Owned by caller. Errors (NULL): FH_EIO, the file. */
struct trace *trace_new(const struct machine_options *options, struct fh_error *err);
/* Consumed; NULL is allowed. Returns NULL. */
struct trace *trace_free(struct trace *trace);

/* For cpu_config.trace, with the trace as its argument. Any thread. */
void trace_trap(void *trace, unsigned hart, uint64_t cause, uint64_t pc, uint64_t tval,
		unsigned to_priv);

#endif
