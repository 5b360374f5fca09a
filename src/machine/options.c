/* SPDX-License-Identifier: MIT */
/*
 * Options: see options.h.
 *
 * R1. One table knows all options; an option takes one argument or none, and of several of a kind
 *     the last one counts.
 */
#include "machine/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "machine/map.h"

struct option {
	const char *name;     /* without dashes; one or two are fine */
	const char *argument; /* for the help; NULL: takes none */
	const char *help;
	enum fh_code (*set)(struct machine_options *o, const char *argument, struct fh_error *err);
};

/* --- Words and numbers ---------------------------------------------------------------------- */

static bool word_is(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* If the piece of text is "@name=value", the value. */
static const char *value_of(const char *text, size_t length, const char *name)
{
	const size_t size = strlen(name);

	if (length <= size || memcmp(text, name, size) != 0 || text[size] != '=')
		return NULL;
	return text + size + 1;
}

static bool parse_number(const char *text, uint64_t *ret, const char **ret_rest)
{
	char *rest;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &rest, 0);
	*ret_rest = rest;
	return errno == 0;
}

/* Mebibytes, or with a suffix. */
static bool parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "BKMGT";
	const char *rest, *suffix;
	uint64_t number;
	unsigned shift = 20;

	if (!parse_number(text, &number, &rest))
		return false;
	if (*rest != '\0') {
		suffix = strchr(suffixes, *rest >= 'a' ? *rest - 'a' + 'A' : *rest);
		if (!suffix || rest[1] != '\0')
			return false;
		shift = 10 * (unsigned)(suffix - suffixes);
	}
	*ret = number << shift;
	return *ret >> shift == number;
}

/* --- Options -------------------------------------------------------------------------------- */

static enum fh_code set_help(struct machine_options *o, const char *argument, struct fh_error *err)
{
	(void)argument;
	(void)err;
	o->help = true;
	return FH_OK;
}

static enum fh_code set_machine(struct machine_options *o, const char *argument,
				struct fh_error *err)
{
	for (const char *at = argument; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		const size_t length = strcspn(at, ",");
		const char *value = value_of(at, length, "dumpdtb");
		const char *type = value_of(at, length, "type");

		if (word_is(at, length, "help") || word_is(at, length, "?"))
			o->machine_help = true;
		else if (value && strchr(value, ','))
			return fh_error_set(err, FH_EINVAL,
					    "-machine %s: dumpdtb=FILE has to be last", argument);
		else if (value && *value != '\0')
			o->dump_dtb = value;
		else if (word_is(at, length, "aclint=on") || word_is(at, length, "aclint=off"))
			o->aclint = word_is(at, length, "aclint=on");
		/* These say what is so anyway. */
		else if (!word_is(at, length, "virt") &&
			 !word_is(at, length, "acpi=off") && !word_is(at, length, "aia=none") &&
			 !(type && length == strlen("type=virt") &&
			   word_is(type, strlen("virt"), "virt")))
			return fh_error_set(err, FH_EINVAL,
					    "-machine %s: there is no '%.*s'; the machine is virt",
					    argument, (int)length, at);
	}
	return FH_OK;
}

static enum fh_code set_memory(struct machine_options *o, const char *argument,
			       struct fh_error *err)
{
	const char *value = value_of(argument, strlen(argument), "size");

	if (!parse_size(value ? value : argument, &o->ram_size) || o->ram_size == 0 ||
	    o->ram_size % 4096 != 0 || o->ram_size > VIRT_RAM_MAX)
		return fh_error_set(err, FH_EINVAL,
				    "-m %s: not a size of memory, such as 512M or 2G (at most 1T)",
				    argument);
	return FH_OK;
}

static enum fh_code set_harts(struct machine_options *o, const char *argument, struct fh_error *err)
{
	const char *value = value_of(argument, strlen(argument), "cpus");
	const char *rest;
	uint64_t harts;

	if (!parse_number(value ? value : argument, &harts, &rest) || *rest != '\0' || harts == 0 ||
	    harts > VIRT_HARTS_MAX)
		return fh_error_set(err, FH_EINVAL, "-smp %s: the machine has 1 to %d harts",
				    argument, VIRT_HARTS_MAX);
	o->harts = (unsigned)harts;
	return FH_OK;
}

static enum fh_code set_cpu(struct machine_options *o, const char *argument, struct fh_error *err)
{
	if (strcmp(argument, "help") == 0 || strcmp(argument, "?") == 0) {
		o->cpu_help = true;
		return FH_OK;
	}
	return cpu_isa_parse(argument, &o->isa, err) ? FH_OK : FH_EINVAL;
}

static enum fh_code set_bios(struct machine_options *o, const char *argument, struct fh_error *err)
{
	(void)err;
	if (strcmp(argument, "none") == 0)
		o->bios = NULL;
	else
		o->bios = strcmp(argument, "default") == 0 ? OPTIONS_FIRMWARE : argument;
	return FH_OK;
}

#define SET_STRING(field)                                                         \
 static enum fh_code set_##field(struct machine_options *o, const char *argument, \
				 struct fh_error *err)                            \
 {                                                                                \
  (void)err;                                                                      \
  o->field = argument;                                                            \
  return FH_OK;                                                                   \
 }

SET_STRING(kernel)
SET_STRING(initrd)
SET_STRING(append)
SET_STRING(dtb)
SET_STRING(serial)
SET_STRING(trace_file)

static enum fh_code set_nographic(struct machine_options *o, const char *argument,
				  struct fh_error *err)
{
	(void)o;
	(void)argument;
	(void)err;
	return FH_OK; /* there are no graphics, and the serial line is at the terminal anyway */
}

static enum fh_code set_display(struct machine_options *o, const char *argument,
				struct fh_error *err)
{
	(void)o;
	if (strcmp(argument, "none") != 0)
		return fh_error_set(err, FH_EINVAL, "-display %s: there is only none", argument);
	return FH_OK;
}

static enum fh_code set_no_reboot(struct machine_options *o, const char *argument,
				  struct fh_error *err)
{
	(void)argument;
	(void)err;
	o->no_reboot = true;
	return FH_OK;
}

static enum fh_code set_stopped(struct machine_options *o, const char *argument,
				struct fh_error *err)
{
	(void)argument;
	(void)err;
	o->stopped = true;
	return FH_OK;
}

/* Local time as an offset from UTC, ns. */
static int64_t local_offset(void)
{
	const time_t now = time(NULL);
	struct tm local;

	return localtime_r(&now, &local) ? (int64_t)local.tm_gmtoff * 1000000000 : 0;
}

static enum fh_code set_rtc(struct machine_options *o, const char *argument, struct fh_error *err)
{
	const char *base = value_of(argument, strlen(argument), "base");
	struct tm date = { 0 };
	const char *rest;

	if (base && strcmp(base, "utc") == 0) {
		o->rtc_offset = 0;
	} else if (base && strcmp(base, "localtime") == 0) {
		o->rtc_offset = local_offset();
	} else {
		rest = base ? strptime(base, "%Y-%m-%dT%H:%M:%S", &date) : NULL;
		if (base && !rest) {
			date = (struct tm){ 0 };
			rest = strptime(base, "%Y-%m-%d", &date);
		}
		if (!rest || *rest != '\0' || date.tm_year < 70 || date.tm_year > 292)
			return fh_error_set(err, FH_EINVAL,
					    "-rtc %s: it is base=utc, base=localtime or "
					    "base=2006-06-17T16:01:21",
					    argument);
		o->rtc_offset = ((int64_t)timegm(&date) - (int64_t)time(NULL)) * 1000000000;
	}
	return FH_OK;
}

static enum fh_code set_trace(struct machine_options *o, const char *argument, struct fh_error *err)
{
	for (const char *at = argument; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		const size_t length = strcspn(at, ",");

		if (word_is(at, length, "int"))
			o->trace |= TRACE_INT;
		else if (word_is(at, length, "unimp"))
			o->trace |= TRACE_UNIMP;
		else if (word_is(at, length, "guest_errors"))
			o->trace |= TRACE_GUEST_ERRORS;
		else if (word_is(at, length, "help") || word_is(at, length, "?"))
			o->trace_help = true;
		else
			return fh_error_set(err, FH_EINVAL,
					    "-d %s: there is no '%.*s'; there are int, unimp and "
					    "guest_errors",
					    argument, (int)length, at);
	}
	return FH_OK;
}

static const struct option options[] = {
	{ "M", "virt[,aclint=on]", "the machine; aclint: described as such, not as a CLINT",
	  set_machine },
	{ "machine", "virt[,dumpdtb=FILE]", "the same; write the device tree and exit",
	  set_machine },
	{ "m", "SIZE", "RAM: 512M, 2G; a bare number is MiB (128M)", set_memory },
	{ "smp", "N", "harts, 1 to 8 (1)", set_harts },
	{ "cpu", "rv64[,NAME=on|off]...", "what a hart can do; -cpu help lists it", set_cpu },
	{ "bios", "FILE|default|none",
	  "firmware, at the start of RAM (default: OpenSBI); none: harts\n"
	  "start at the kernel's entry in M-mode",
	  set_bios },
	{ "kernel", "FILE", "Linux kernel (Image or EFI), ELF file, or anything else as it is",
	  set_kernel },
	{ "initrd", "FILE", "initial RAM disk", set_initrd },
	{ "append", "TEXT", "the kernel's command line", set_append },
	{ "dtb", "FILE", "another device tree than the machine's own", set_dtb },
	{ "serial", "stdio|file:PATH|pty|null", "where the serial line ends (stdio)", set_serial },
	{ "nographic", NULL, "as it is anyway: no display, the serial line at the terminal",
	  set_nographic },
	{ "display", "none", "the same", set_display },
	{ "rtc", "base=utc|localtime|DATE", "what the clock says, such as 2006-06-17T16:01:21",
	  set_rtc },
	{ "no-reboot", NULL, "exit when the guest reboots", set_no_reboot },
	{ "S", NULL, "the harts stand still until Ctrl-A c at the terminal, or SIGUSR1",
	  set_stopped },
	{ "d", "int,unimp,guest_errors",
	  "tell of: traps taken; illegal instructions; accesses to nothing", set_trace },
	{ "D", "FILE", "where -d writes to (standard error)", set_trace_file },
	{ "help", NULL, "this text", set_help },
	{ "h", NULL, NULL, set_help },
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static const struct option *find(const char *argument)
{
	if (*argument != '-')
		return NULL;
	argument += argument[1] == '-' ? 2 : 1;
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (strcmp(argument, options[i].name) == 0)
			return &options[i];
	return NULL;
}

enum fh_code options_parse(int argc, char **argv, struct machine_options *ret, struct fh_error *err)
{
	*ret = (struct machine_options){
		.ram_size = UINT64_C(128) << 20,
		.harts = 1,
		.isa = cpu_isa_default(),
		.bios = OPTIONS_FIRMWARE,
		.serial = "stdio",
	};
	for (int i = 1; i < argc; i++) {
		const struct option *option = find(argv[i]);
		const char *argument = NULL;

		if (!option)
			return fh_error_set(err, FH_EINVAL,
					    "there is no option '%s'; try 'freehold --help'",
					    argv[i]);
		if (option->argument && ++i == argc)
			return fh_error_set(err, FH_EINVAL, "%s needs an argument: %s", argv[i - 1],
					    option->argument);
		if (option->argument)
			argument = argv[i];
		const enum fh_code code = option->set(ret, argument, err);

		if (code != FH_OK)
			return code;
	}
	return FH_OK;
}

/* --- Help ----------------------------------------------------------------------------------- */

static void print_option(const struct option *option, FILE *out)
{
	char head[64];
	const char *text = option->help;

	if (!text)
		return;
	snprintf(head, sizeof(head), "-%s%s%s", option->name, option->argument ? " " : "",
		 option->argument ? option->argument : "");
	if (strlen(head) > 24)
		fprintf(out, "  %s\n  %24s", head, "");
	else
		fprintf(out, "  %-24s", head);
	for (;;) {
		const size_t length = strcspn(text, "\n");

		fprintf(out, "  %.*s\n", (int)length, text);
		if (text[length] == '\0')
			break;
		text += length + 1;
		fprintf(out, "  %24s", "");
	}
}

void options_help(FILE *out)
{
	fputs("A RISC-V machine, as QEMU's virt:\n"
	      "  freehold -m 512M -smp 2 -kernel Image -initrd initrd.img -append console=ttyS0\n"
	      "\n",
	      out);
	for (size_t i = 0; i < OPTION_COUNT; i++)
		print_option(&options[i], out);
	fputs("\n"
	      "At the terminal, Ctrl-A x leaves and Ctrl-A h helps. When the guest switches\n"
	      "itself off the exit status is 0, or what the guest gave as reason of a failure.\n",
	      out);
}

void options_machine_help(FILE *out)
{
	fputs("virt    RISC-V, 1 to 8 harts, at the addresses of QEMU's virt\n", out);
}

void options_trace_help(FILE *out)
{
	fputs("int           every exception and interrupt that a hart takes\n"
	      "unimp         illegal instructions\n"
	      "guest_errors  accesses to nothing\n",
	      out);
}
