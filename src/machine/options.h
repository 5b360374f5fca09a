/* SPDX-License-Identifier: MIT */
/*
 * The options of the machine, as QEMU's users type them.
 */
#ifndef MACHINE_OPTIONS_H
#define MACHINE_OPTIONS_H

#include <stdio.h>

#include <freehold/freehold.h>

#include "cpu/cpu.h"

/* Bits of machine_options.trace: what -d asks for. */
enum {
	TRACE_INT = 1,		/* every trap and interrupt that a hart takes */
	TRACE_UNIMP = 2,	/* illegal instructions */
	TRACE_GUEST_ERRORS = 4, /* accesses to nothing */
};

/* Strings are borrowed from the arguments or of static storage. */
struct machine_options {
	bool help; /* one of these was asked for: nothing else counts */
	bool cpu_help;
	bool aclint; /* the device tree tells of ACLINT, not of a CLINT */
	bool machine_help;
	bool trace_help;

	uint64_t ram_size;
	unsigned harts;
	struct cpu_isa isa;
	const char *bios;			    /* a file, or NULL: none */
	const char *kernel, *initrd, *append, *dtb; /* or NULL */
	const char *dump_dtb;			    /* or NULL */
	const char *serial;
	bool no_reboot;
	bool stopped;	    /* -S */
	int64_t rtc_offset; /* ns from UTC */
	unsigned trace;
	const char *trace_file; /* or NULL: standard error */
};

/* The firmware of -bios default: Debian's package opensbi. */
#define OPTIONS_FIRMWARE "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"

/* argv[0] is not looked at. Errors: FH_EINVAL, with one line for the user; *ret is unspecified. */
enum fh_code options_parse(int argc, char **argv, struct machine_options *ret,
			   struct fh_error *err);

void options_help(FILE *out);
void options_machine_help(FILE *out);
void options_trace_help(FILE *out);

#endif
