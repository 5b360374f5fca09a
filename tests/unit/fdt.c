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
			assert_string_equal(text(blob, path, "riscv,isa-base"), "rv64i");
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

static void extensions_are_listed_one_by_one(void **state)
{
	static const char expected[] = "i\0m\0a\0f\0d\0c\0zicsr";
	const struct fdt_board b = board(1);
	size_t size = 0;
	void *blob = fdt_make(&b, &size);
	int length = 0;
	const char *list = fdt_getprop(blob, fdt_path_offset(blob, "/cpus/cpu@0"),
				       "riscv,isa-extensions", &length);

	(void)state;
	assert_int_equal(length, sizeof(expected));
	assert_memory_equal(list, expected, sizeof(expected));
	free(blob);
}

/* --- Beside a peer -------------------------------------------------------------------------- */

/* In @theirs, the child of @parent of that name, or at that address: names change. */
static int find_peer(const void *theirs, int parent, const char *name)
{
	const char *at = strchr(name, '@');
	int node = fdt_subnode_offset(theirs, parent, name);

	if (node >= 0 || !at)
		return node;
	fdt_for_each_subnode(node, theirs, parent) {
		const char *other = strchr(fdt_get_name(theirs, node, NULL), '@');

		if (other && strcmp(other, at) == 0)
			return node;
	}
	return -FDT_ERR_NOTFOUND;
}

/* The harts by number, for phandles are anybody's to choose. */
static void assert_same_lines(const void *blobs[2], const fdt32_t *cells[2], int count)
{
	for (int i = 0; i < count; i += 2) {
		uint32_t harts[2];

		for (int b = 0; b < 2; b++) {
			const int intc = fdt_node_offset_by_phandle(blobs[b],
								    fdt32_to_cpu(cells[b][i]));
			const int cpu = fdt_parent_offset(blobs[b], intc);
			const fdt32_t *reg = fdt_getprop(blobs[b], cpu, "reg", NULL);

			assert_non_null(reg);
			harts[b] = fdt32_to_cpu(*reg);
		}
		assert_int_equal(harts[0], harts[1]);
		assert_int_equal(fdt32_to_cpu(cells[0][i + 1]), fdt32_to_cpu(cells[1][i + 1]));
	}
}

static void assert_same_properties(const void *ours, int node, const void *theirs, int peer)
{
	static const char *const names[] = {
		"compatible", "reg", "interrupts", "offset", "value", "clock-frequency", "ranges",
		"#interrupt-cells", "#address-cells", "#size-cells", "interrupt-controller",
		"device_type", "status", "timebase-frequency", "stdout-path",
		"interrupts-extended",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int sizes[2] = { 0 };
		const void *values[2] = { fdt_getprop(ours, node, names[i], &sizes[0]),
					  fdt_getprop(theirs, peer, names[i], &sizes[1]) };

		/* Some come and go with the peer's versions; none is anything else. */
		if (!values[0] || !values[1])
			continue;
		if (sizes[0] != sizes[1] ||
		    (strcmp(names[i], "interrupts-extended") != 0 &&
		     memcmp(values[0], values[1], (size_t)sizes[0]) != 0))
			fail_msg("%s of %s differs", names[i], fdt_get_name(ours, node, NULL));
		if (strcmp(names[i], "interrupts-extended") == 0)
			assert_same_lines((const void *[]){ ours, theirs },
					  (const fdt32_t *[]){ values[0], values[1] },
					  sizes[0] / 4);
	}
}

/* All of our nodes: each is there, and says the same. */
static void assert_same_tree(const void *ours, const void *theirs)
{
	int peers[8] = { 0 }, depth = 0;

	assert_same_properties(ours, 0, theirs, 0);
	for (int node = fdt_next_node(ours, 0, &depth); node >= 0 && depth > 0;
	     node = fdt_next_node(ours, node, &depth)) {
		const char *name = fdt_get_name(ours, node, NULL);

		assert_in_range(depth, 1, 7);
		peers[depth] = find_peer(theirs, peers[depth - 1], name);
		if (peers[depth] < 0)
			fail_msg("%s is not there", name);
		assert_same_properties(ours, node, theirs, peers[depth]);
	}
}

static void *read_whole(const char *path)
{
	FILE *file = fopen(path, "r");
	char *data = calloc(1, 1 << 21);

	assert_non_null(file);
	assert_true(fread(data, 1, 1 << 21, file) > 0);
	fclose(file);
	return data;
}

static void devices_are_where_those_of_a_peer_are(void **state)
{
	(void)state;
	if (system("command -v qemu-system-riscv64 >/dev/null") != 0)
		skip();
	for (int i = 0; i < 4; i++) {
		struct fdt_board b = board(i / 2 ? 4 : 1);
		char path[] = "/tmp/freehold-fdt-XXXXXX", command[256];
		size_t size = 0;

		b.ram_size = UINT64_C(256) << 20;
		b.aclint = i % 2;
		close(mkstemp(path));
		snprintf(command, sizeof(command),
			 "qemu-system-riscv64 -M virt,aclint=%s,dumpdtb=%s -smp %u -m 256M "
			 "-display none >/dev/null 2>&1",
			 b.aclint ? "on" : "off", path, b.harts);
		assert_int_equal(system(command), 0);
		void *ours = fdt_make(&b, &size);
		void *theirs = read_whole(path);

		unlink(path);
		assert_same_tree(ours, theirs);
		free(ours);
		free(theirs);
	}
}

/* --- What is given -------------------------------------------------------------------------- */

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
		cmocka_unit_test(extensions_are_listed_one_by_one),
		cmocka_unit_test(devices_are_where_those_of_a_peer_are),
		cmocka_unit_test(long_command_line_fits),
		cmocka_unit_test(without_initrd_and_command_line_nothing_is_said),
		cmocka_unit_test(tree_from_a_file_is_amended),
		cmocka_unit_test(what_is_no_tree_is_refused),
		cmocka_unit_test(dtc_has_no_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
