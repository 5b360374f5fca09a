/* SPDX-License-Identifier: MIT */
/*
 * The device tree: what software is told. libfdt reads it back, and dtc, where it is installed, has
 * nothing to say against it.
 */
#include "machine/fdt.h"

#include <libfdt.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/map.h"

static struct fdt_board board(unsigned harts)
{
	return (struct fdt_board){
		.harts = harts,
		.isa = "rv64imafdc_zicsr",
		.mmu_type = "riscv,sv57",
		.cbom_block = 64,
		.ram_size = UINT64_C(0x1234500000),
		.bootargs = "console=ttyS0",
		.initrd_first = 0x84000000,
		.initrd_size = 0x123,
	};
}

static uint32_t cell(const void *blob, const char *path, const char *name, int index)
{
	int size = 0;
	const fdt32_t *cells = fdt_getprop(blob, fdt_path_offset(blob, path), name, &size);

	assert_non_null(cells);
	assert_true((size_t)size >= ((size_t)index + 1) * sizeof(*cells));
	return fdt32_to_cpu(cells[index]);
}

static uint64_t cells64(const void *blob, const char *path, const char *name, int index)
{
	return (uint64_t)cell(blob, path, name, index) << 32 | cell(blob, path, name, index + 1);
}

static const char *text(const void *blob, const char *path, const char *name)
{
	return fdt_getprop(blob, fdt_path_offset(blob, path), name, NULL);
}

static void tree_tells_of_memory_and_boot(void **state)
{
	const struct fdt_board b = board(1);
	size_t size = 0;
	void *blob = fdt_make(&b, &size);

	(void)state;
	assert_int_equal(fdt_check_full(blob, size), 0);
	assert_int_equal(cells64(blob, "/memory@80000000", "reg", 0), 0x80000000);
	assert_int_equal(cells64(blob, "/memory@80000000", "reg", 2), b.ram_size);
	assert_string_equal(text(blob, "/chosen", "bootargs"), b.bootargs);
	assert_string_equal(text(blob, "/chosen", "stdout-path"), "/soc/serial@10000000");
	assert_int_equal(cells64(blob, "/chosen", "linux,initrd-start", 0), 0x84000000);
	assert_int_equal(cells64(blob, "/chosen", "linux,initrd-end", 0), 0x84000123);
	free(blob);
}

static void harts_are_as_many_as_there_are(void **state)
{
	(void)state;
	for (unsigned harts = 1; harts <= VIRT_HARTS_MAX; harts++) {
		struct fdt_board b = board(harts);

		b.aclint = harts % 2;
		size_t size = 0;
		void *blob = fdt_make(&b, &size);
		char path[64];
		int bytes = 0;

		for (unsigned hart = 0; hart <= harts; hart++) {
			snprintf(path, sizeof(path), "/cpus/cpu@%u", hart);
			assert_int_equal(fdt_path_offset(blob, path) >= 0, hart < harts);
			if (hart == harts)
				break;
			assert_int_equal(cell(blob, path, "reg", 0), hart);
			assert_string_equal(text(blob, path, "riscv,isa"), b.isa);
			assert_string_equal(text(blob, path, "mmu-type"), b.mmu_type);
			assert_int_equal(cell(blob, path, "riscv,cbom-block-size", 0), 64);
			assert_null(text(blob, path, "riscv,cboz-block-size"));
			/* Its lines: of the hart's own controller, by phandle. */
			strcat(path, "/interrupt-controller");
			const uint32_t intc = cell(blob, path, "phandle", 0);
			const int at = (int)hart;

			assert_int_equal(cell(blob, "/soc/plic@c000000", "interrupts-extended",
					      4 * at),
					 intc);
			assert_int_equal(cell(blob, "/soc/plic@c000000", "interrupts-extended",
					      4 * at + 1),
					 11);
			assert_int_equal(cell(blob, "/soc/plic@c000000", "interrupts-extended",
					      4 * at + 2),
					 intc);
			assert_int_equal(cell(blob, "/soc/plic@c000000", "interrupts-extended",
					      4 * at + 3),
					 9);
			if (b.aclint)
				assert_int_equal(cell(blob, "/soc/mtimer@2004000",
						      "interrupts-extended", 2 * at),
						 intc);
			else
				assert_int_equal(cell(blob, "/soc/clint@2000000",
						      "interrupts-extended", 4 * at + 2),
						 intc);
			assert_int_equal(fdt_path_offset(blob, "/soc/mswi@2000000") >= 0, b.aclint);
			assert_int_equal(fdt_path_offset(blob, "/soc/sswi@2f00000") >= 0, b.aclint);
		}
		fdt_getprop(blob, fdt_path_offset(blob, "/soc/plic@c000000"), "interrupts-extended",
			    &bytes);
		assert_int_equal(bytes, harts * 16);
		free(blob);
	}
}

static void long_command_line_fits(void **state)
{
	struct fdt_board b = board(8);
	char *line = malloc(100001);
	size_t size = 0;
	void *blob;

	(void)state;
	memset(line, 'x', 100000);
	line[100000] = '\0';
	b.bootargs = line;
	blob = fdt_make(&b, &size);
	assert_int_equal(fdt_check_full(blob, size), 0);
	assert_string_equal(text(blob, "/chosen", "bootargs"), line);
	free(blob);
	free(line);
}

static void without_initrd_and_command_line_nothing_is_said(void **state)
{
	struct fdt_board b = board(1);
	size_t size = 0;
	void *blob;

	(void)state;
	b.bootargs = NULL;
	b.initrd_size = 0;
	blob = fdt_make(&b, &size);
	assert_null(text(blob, "/chosen", "bootargs"));
	assert_null(text(blob, "/chosen", "linux,initrd-start"));
	free(blob);
}

static void tree_from_a_file_is_amended(void **state)
{
	struct fdt_board b = board(2);
	size_t size = 0, amended_size = 0;
	void *blob, *amended;

	(void)state;
	b.bootargs = NULL;
	b.initrd_size = 0;
	blob = fdt_make(&b, &size);
	b = board(1); /* does not matter any more */
	b.initrd_size = 0x100;
	amended = fdt_amend(blob, size, &b, &amended_size, NULL);
	assert_int_equal(fdt_check_full(amended, amended_size), 0);
	assert_string_equal(text(amended, "/chosen", "bootargs"), b.bootargs);
	assert_int_equal(cells64(amended, "/chosen", "linux,initrd-end", 0), 0x84000100);
	assert_true(fdt_path_offset(amended, "/cpus/cpu@1") >= 0);
	free(amended);
	free(blob);
}

static void what_is_no_tree_is_refused(void **state)
{
	const struct fdt_board b = board(1);
	struct fh_error err = FH_ERROR_INIT;
	size_t size = 0, amended_size = 77;
	char *blob = fdt_make(&b, &size);

	(void)state;
	assert_null(fdt_amend("hello", 5, &b, &amended_size, &err));
	assert_int_equal(err.code, FH_EFORMAT);
	assert_null(fdt_amend(blob, size - 1, &b, &amended_size, NULL));
	/* Damage anywhere is refused or harmless. */
	for (size_t at = 0; at < size; at += 3) {
		const char was = blob[at];
		void *amended;

		blob[at] ^= 0x55;
		amended = fdt_amend(blob, size, &b, &amended_size, NULL);
		if (amended)
			assert_int_equal(fdt_check_full(amended, amended_size), 0);
		free(amended);
		blob[at] = was;
	}
	free(blob);
}

static void dtc_has_no_complaint(void **state)
{
	const struct fdt_board b = board(4);
	size_t size = 0;
	void *blob;
	FILE *out;

	(void)state;
	if (system("command -v dtc >/dev/null") != 0)
		skip();
	blob = fdt_make(&b, &size);
	/* The names of the nodes are those that people know from this board. */
	out = popen("dtc -I dtb -O dts -o /dev/null -W no-simple_bus_reg -W no-unit_address_format "
		    "-W no-interrupt_provider -E unit_address_vs_reg 2>&1 | "
		    "(! grep .)",
		    "w");
	assert_int_equal(fwrite(blob, 1, size, out), size);
	assert_int_equal(pclose(out), 0);
	free(blob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_tells_of_memory_and_boot),
		cmocka_unit_test(harts_are_as_many_as_there_are),
		cmocka_unit_test(long_command_line_fits),
		cmocka_unit_test(without_initrd_and_command_line_nothing_is_said),
		cmocka_unit_test(tree_from_a_file_is_amended),
		cmocka_unit_test(what_is_no_tree_is_refused),
		cmocka_unit_test(dtc_has_no_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
