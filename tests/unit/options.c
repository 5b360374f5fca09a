/* SPDX-License-Identifier: MIT */
/*
 * The options of the machine: what they mean, and one clear line for each that is wrong.
 */
#include "machine/options.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define ARGS(...) ((char **)(const char *[]){ "freehold", __VA_ARGS__, NULL })

static int count(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return argc;
}

static struct machine_options parsed(char **argv)
{
	struct fh_error err = FH_ERROR_INIT;
	struct machine_options o;

	if (options_parse(count(argv), argv, &o, &err) != FH_OK)
		fail_msg("%s", err.message);
	return o;
}

static void assert_refused(char **argv, const char *text)
{
	struct fh_error err = FH_ERROR_INIT;
	struct machine_options o;

	assert_int_equal(options_parse(count(argv), argv, &o, &err), FH_EINVAL);
	assert_non_null(strstr(err.message, text));
	assert_null(strchr(err.message, '\n'));
}

static void presets_are_those_that_users_know(void **state)
{
	const struct machine_options o = parsed(ARGS("-nographic"));

	(void)state;
	assert_int_equal(o.ram_size, 128 << 20);
	assert_int_equal(o.harts, 1);
	assert_string_equal(o.bios, OPTIONS_FIRMWARE);
	assert_string_equal(o.serial, "stdio");
	assert_null(o.kernel);
	assert_false(o.no_reboot || o.stopped || o.help);
	assert_int_equal(o.rtc_offset, 0);
}

static void sizes_are_mebibytes_or_have_a_suffix(void **state)
{
	(void)state;
	assert_int_equal(parsed(ARGS("-m", "64")).ram_size, 64 << 20);
	assert_int_equal(parsed(ARGS("-m", "512M")).ram_size, 512 << 20);
	assert_int_equal(parsed(ARGS("-m", "3g")).ram_size, UINT64_C(3) << 30);
	assert_int_equal(parsed(ARGS("-m", "size=8192K")).ram_size, 8 << 20);
	assert_int_equal(parsed(ARGS("-m", "4096B")).ram_size, 4096);
	assert_refused(ARGS("-m", "0"), "-m 0: not a size");
	assert_refused(ARGS("-m", "-1"), "not a size");
	assert_refused(ARGS("-m", "1.5G"), "not a size");
	assert_refused(ARGS("-m", "12Q"), "not a size");
	assert_refused(ARGS("-m", "12MB"), "not a size");
	assert_refused(ARGS("-m", "100B"), "not a size");
	assert_refused(ARGS("-m", "2T"), "at most 1T");
	assert_refused(ARGS("-m", "18446744073709551616"), "not a size");
	assert_refused(ARGS("-m", "17592186044417M"), "not a size");
}

static void all_of_them_are_taken(void **state)
{
	const struct machine_options o = parsed(ARGS(
		"-M", "virt", "-smp", "cpus=4", "-bios", "none", "--kernel", "k", "-initrd", "i",
		"-append", "a b", "-dtb", "d", "-serial", "null", "-no-reboot", "-S", "-d",
		"int,guest_errors", "-D", "log", "-display", "none", "-cpu", "rv64,zbb=off"));

	(void)state;
	assert_int_equal(o.harts, 4);
	assert_null(o.bios);
	assert_string_equal(o.kernel, "k");
	assert_string_equal(o.initrd, "i");
	assert_string_equal(o.append, "a b");
	assert_string_equal(o.dtb, "d");
	assert_string_equal(o.serial, "null");
	assert_true(o.no_reboot);
	assert_true(o.stopped);
	assert_int_equal(o.trace, TRACE_INT | TRACE_GUEST_ERRORS);
	assert_string_equal(o.trace_file, "log");
	assert_false(o.isa.zbb);
	assert_true(o.isa.zba);
}

static void machine_takes_what_is_so_anyway(void **state)
{
	(void)state;
	assert_string_equal(parsed(ARGS("-machine", "virt,dumpdtb=a.dtb")).dump_dtb, "a.dtb");
	assert_string_equal(parsed(ARGS("-M", "type=virt,aclint=on,dumpdtb=b")).dump_dtb, "b");
	assert_true(parsed(ARGS("-M", "help")).machine_help);
	assert_refused(ARGS("-M", "sifive_u"), "there is no 'sifive_u'");
	assert_refused(ARGS("-M", "type=virtual"), "there is no 'type=virtual'");
	assert_refused(ARGS("-M", "virt,acpi=on"), "there is no 'acpi=on'");
	assert_true(parsed(ARGS("-M", "virt,aclint=on")).aclint);
	assert_false(parsed(ARGS("-M", "virt,aclint=off")).aclint);
	assert_refused(ARGS("-M", "dumpdtb=a,virt"), "has to be last");
}

static void clock_starts_where_it_is_told(void **state)
{
	struct machine_options o = parsed(ARGS("-rtc", "base=2006-06-17T16:01:21"));
	const int64_t then = (int64_t)time(NULL) + o.rtc_offset / 1000000000;

	(void)state;
	assert_in_range(then, 1150560081, 1150560083);
	assert_true(parsed(ARGS("-rtc", "base=1970-01-01")).rtc_offset < 0);
	assert_int_equal(parsed(ARGS("-rtc", "base=utc")).rtc_offset, 0);
	parsed(ARGS("-rtc", "base=localtime"));
	assert_refused(ARGS("-rtc", "base=yesterday"), "-rtc base=yesterday: it is");
	assert_refused(ARGS("-rtc", "utc"), "-rtc utc: it is");
	assert_refused(ARGS("-rtc", "base=2006-06-17 "), "it is");
}

static void wrong_ones_are_refused_in_one_line(void **state)
{
	(void)state;
	assert_refused(ARGS("-frobnicate"), "there is no option '-frobnicate'");
	assert_refused(ARGS("kernel"), "there is no option 'kernel'");
	assert_refused(ARGS("-"), "there is no option '-'");
	assert_refused(ARGS("-kernel"), "-kernel needs an argument: FILE");
	assert_refused(ARGS("-smp", "0"), "1 to 8 harts");
	assert_refused(ARGS("-smp", "9"), "1 to 8 harts");
	assert_refused(ARGS("-smp", "2x"), "1 to 8 harts");
	assert_refused(ARGS("-cpu", "rv32"), "-cpu: no model 'rv32'");
	assert_refused(ARGS("-d", "int,in_asm"), "there is no 'in_asm'");
	assert_refused(ARGS("-display", "gtk"), "there is only none");
}

static void help_names_every_option(void **state)
{
	static const char *const names[] = {
		"-M ",	     "-m ",    "-smp ",	      "-bios ", "-kernel ", "-initrd ",
		"-append ",  "-dtb ",  "-serial ",    "-rtc ",	"-S ",	    "-d ",
		"-D ",	     "-no-reboot", "-nographic", "Ctrl-A x",
	};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	options_help(out);
	fclose(out);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_non_null(strstr(text, names[i]));
	free(text);
	assert_true(parsed(ARGS("-nographic", "--help")).help);
	assert_true(parsed(ARGS("-cpu", "help")).cpu_help);
	assert_true(parsed(ARGS("-d", "help")).trace_help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets_are_those_that_users_know),
		cmocka_unit_test(sizes_are_mebibytes_or_have_a_suffix),
		cmocka_unit_test(all_of_them_are_taken),
		cmocka_unit_test(machine_takes_what_is_so_anyway),
		cmocka_unit_test(clock_starts_where_it_is_told),
		cmocka_unit_test(wrong_ones_are_refused_in_one_line),
		cmocka_unit_test(help_names_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
