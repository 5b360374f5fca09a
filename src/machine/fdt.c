/* SPDX-License-Identifier: MIT */
/*
 * The device tree, written from front to back by libfdt. Bindings: the Devicetree specification,
 * and the kernel's bindings riscv/cpus, interrupt-controller/sifive,plic, timer/sifive,clint
 * (ACLINT), serial/8250, rtc/google,goldfish-rtc, mfd/syscon, power/reset/syscon-*.
 *
 * R1. Errors of libfdt are collected and looked at once: with room enough, which is made sure of by
 *     trying again with twice as much, none but the lack of room can happen.
 */
#include "machine/fdt.h"

#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/map.h"

enum {
	PHANDLE_PLIC = 1,
	PHANDLE_TEST = 2,
	PHANDLE_CPU = 16,	   /* + hart */
	PHANDLE_CPU_INTC = 16 + 8, /* + hart */
};

/* Interrupts at a hart's own controller: bits of mip. */
enum { LOCAL_SSI = 1, LOCAL_MSI = 3, LOCAL_MTI = 7, LOCAL_SEI = 9, LOCAL_MEI = 11 };

struct writer {
	void *blob;
	int error; /* R1 */
};

static void check(struct writer *w, int error)
{
	if (error < 0 && w->error == 0)
		w->error = error;
}

static void begin(struct writer *w, const char *name)
{
	check(w, fdt_begin_node(w->blob, name));
}

static void begin_at(struct writer *w, const char *name, uint64_t addr)
{
	char full[64];

	snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)addr);
	begin(w, full);
}

static void end(struct writer *w)
{
	check(w, fdt_end_node(w->blob));
}

static void put_u32(struct writer *w, const char *name, uint32_t value)
{
	check(w, fdt_property_u32(w->blob, name, value));
}

static void put_string(struct writer *w, const char *name, const char *value)
{
	check(w, fdt_property_string(w->blob, name, value));
}

static void put_empty(struct writer *w, const char *name)
{
	check(w, fdt_property(w->blob, name, NULL, 0));
}

/* Strings one after the other, each with its zero; @size counts all of them. */
static void put_strings(struct writer *w, const char *name, const char *values, size_t size)
{
	check(w, fdt_property(w->blob, name, values, (int)size));
}

static void put_cells(struct writer *w, const char *name, const uint32_t *cells, size_t count)
{
	fdt32_t swapped[4 * VIRT_HARTS_MAX];

	for (size_t i = 0; i < count; i++)
		swapped[i] = cpu_to_fdt32(cells[i]);
	check(w, fdt_property(w->blob, name, swapped, (int)(count * sizeof(*swapped))));
}

static void put_reg(struct writer *w, uint64_t addr, uint64_t size)
{
	const uint32_t cells[] = { (uint32_t)(addr >> 32), (uint32_t)addr, (uint32_t)(size >> 32),
				   (uint32_t)size };

	put_cells(w, "reg", cells, 4);
}

static void put_plic_irq(struct writer *w, uint32_t irq)
{
	put_u32(w, "interrupts", irq);
	put_u32(w, "interrupt-parent", PHANDLE_PLIC);
}

/* For each hart its interrupt controller and one or two of its inputs. */
static void put_extended(struct writer *w, unsigned harts, uint32_t first, uint32_t second)
{
	uint32_t cells[4 * VIRT_HARTS_MAX];
	size_t count = 0;

	for (unsigned hart = 0; hart < harts; hart++) {
		cells[count++] = PHANDLE_CPU_INTC + hart;
		cells[count++] = first;
		if (second != 0) {
			cells[count++] = PHANDLE_CPU_INTC + hart;
			cells[count++] = second;
		}
	}
	put_cells(w, "interrupts-extended", cells, count);
}

/* --- Nodes ---------------------------------------------------------------------------------- */

static void write_chosen(struct writer *w, const struct fdt_board *board)
{
	begin(w, "chosen");
	put_string(w, "stdout-path", "/soc/serial@10000000");
	check(w, fdt_property(w->blob, "rng-seed", board->rng_seed, sizeof(board->rng_seed)));
	if (board->bootargs)
		put_string(w, "bootargs", board->bootargs);
	if (board->initrd_size > 0) {
		check(w, fdt_property_u64(w->blob, "linux,initrd-start", board->initrd_first));
		check(w, fdt_property_u64(w->blob, "linux,initrd-end",
					  board->initrd_first + board->initrd_size));
	}
	end(w);
}

/* The same three times: for software of old, and as the kernel's binding wants it now. */
static void put_isa(struct writer *w, const char *isa)
{
	char list[512];
	size_t size = 0;

	put_string(w, "riscv,isa", isa);
	put_string(w, "riscv,isa-base", "rv64i");
	isa += strlen("rv64");
	/* Letters up to the first '_', then words. */
	for (; *isa && *isa != '_' && size + 2 <= sizeof(list); isa++) {
		list[size++] = *isa;
		list[size++] = '\0';
	}
	while (*isa == '_') {
		const size_t length = strcspn(++isa, "_");

		if (length >= sizeof(list) - size) {
			check(w, -FDT_ERR_BADVALUE);
			return;
		}
		memcpy(list + size, isa, length);
		size += length;
		list[size++] = '\0';
		isa += length;
	}
	put_strings(w, "riscv,isa-extensions", list, size);
}

static void write_cpu(struct writer *w, const struct fdt_board *board, unsigned hart)
{
	begin_at(w, "cpu", hart);
	put_u32(w, "phandle", PHANDLE_CPU + hart);
	put_string(w, "device_type", "cpu");
	put_u32(w, "reg", hart);
	put_string(w, "status", "okay");
	put_string(w, "compatible", "riscv");
	put_isa(w, board->isa);
	put_string(w, "mmu-type", board->mmu_type);
	if (board->cbom_block > 0)
		put_u32(w, "riscv,cbom-block-size", board->cbom_block);
	if (board->cboz_block > 0)
		put_u32(w, "riscv,cboz-block-size", board->cboz_block);
	begin(w, "interrupt-controller");
	put_u32(w, "#interrupt-cells", 1);
	put_empty(w, "interrupt-controller");
	put_string(w, "compatible", "riscv,cpu-intc");
	put_u32(w, "phandle", PHANDLE_CPU_INTC + hart);
	end(w);
	end(w);
}

static void write_cpus(struct writer *w, const struct fdt_board *board)
{
	char name[16];

	begin(w, "cpus");
	put_u32(w, "#address-cells", 1);
	put_u32(w, "#size-cells", 0);
	put_u32(w, "timebase-frequency", VIRT_TIMEBASE);
	for (unsigned hart = 0; hart < board->harts; hart++)
		write_cpu(w, board, hart);
	begin(w, "cpu-map");
	begin(w, "cluster0");
	for (unsigned hart = 0; hart < board->harts; hart++) {
		snprintf(name, sizeof(name), "core%u", hart);
		begin(w, name);
		put_u32(w, "cpu", PHANDLE_CPU + hart);
		end(w);
	}
	end(w);
	end(w);
	end(w);
}

static void write_syscon(struct writer *w, const char *name, const char *compatible, uint32_t value)
{
	begin(w, name);
	put_string(w, "compatible", compatible);
	put_u32(w, "regmap", PHANDLE_TEST);
	put_u32(w, "offset", 0);
	put_u32(w, "value", value);
	end(w);
}

/* Software that does not know ACLINT finds the same registers as a CLINT. */
static void write_clint(struct writer *w, unsigned harts)
{
	begin_at(w, "clint", VIRT_CLINT);
	put_strings(w, "compatible", "sifive,clint0\0riscv,clint0",
		    sizeof("sifive,clint0\0riscv,clint0"));
	put_reg(w, VIRT_CLINT, VIRT_CLINT_SIZE);
	put_extended(w, harts, LOCAL_MSI, LOCAL_MTI);
	end(w);
}

static void write_aclint(struct writer *w, unsigned harts)
{
	begin_at(w, "mswi", VIRT_CLINT);
	put_string(w, "compatible", "riscv,aclint-mswi");
	put_reg(w, VIRT_CLINT, VIRT_MSWI_SIZE);
	put_u32(w, "#interrupt-cells", 0);
	put_empty(w, "interrupt-controller");
	put_extended(w, harts, LOCAL_MSI, 0);
	end(w);

	begin_at(w, "mtimer", VIRT_MTIMECMP);
	put_string(w, "compatible", "riscv,aclint-mtimer");
	const uint32_t cells[] = { 0, VIRT_MTIME,    0, VIRT_MTIME_SIZE,
				   0, VIRT_MTIMECMP, 0, VIRT_MTIMECMP_SIZE };

	put_cells(w, "reg", cells, 8);
	put_extended(w, harts, LOCAL_MTI, 0);
	end(w);

	begin_at(w, "sswi", VIRT_SSWI);
	put_string(w, "compatible", "riscv,aclint-sswi");
	put_reg(w, VIRT_SSWI, VIRT_SSWI_SIZE);
	put_u32(w, "#interrupt-cells", 0);
	put_empty(w, "interrupt-controller");
	put_extended(w, harts, LOCAL_SSI, 0);
	end(w);
}

static void write_interrupts(struct writer *w, unsigned harts)
{
	begin_at(w, "plic", VIRT_PLIC);
	put_u32(w, "phandle", PHANDLE_PLIC);
	put_strings(w, "compatible", "sifive,plic-1.0.0\0riscv,plic0",
		    sizeof("sifive,plic-1.0.0\0riscv,plic0"));
	put_u32(w, "#address-cells", 0);
	put_u32(w, "#interrupt-cells", 1);
	put_empty(w, "interrupt-controller");
	put_reg(w, VIRT_PLIC, VIRT_PLIC_SIZE);
	put_u32(w, "riscv,ndev", VIRT_PLIC_SOURCES);
	put_extended(w, harts, LOCAL_MEI, LOCAL_SEI);
	end(w);
}

static void write_soc(struct writer *w, const struct fdt_board *board)
{
	static const char test_compatible[] = "sifive,test1\0sifive,test0\0syscon";

	begin(w, "soc");
	put_string(w, "compatible", "simple-bus");
	put_u32(w, "#address-cells", 2);
	put_u32(w, "#size-cells", 2);
	put_empty(w, "ranges");

	begin_at(w, "serial", VIRT_UART);
	put_string(w, "compatible", "ns16550a");
	put_reg(w, VIRT_UART, VIRT_UART_SIZE);
	put_u32(w, "clock-frequency", VIRT_UART_CLOCK);
	put_plic_irq(w, VIRT_UART_IRQ);
	end(w);

	begin_at(w, "rtc", VIRT_RTC);
	put_string(w, "compatible", "google,goldfish-rtc");
	put_reg(w, VIRT_RTC, VIRT_RTC_SIZE);
	put_plic_irq(w, VIRT_RTC_IRQ);
	end(w);

	begin_at(w, "test", VIRT_TEST);
	put_u32(w, "phandle", PHANDLE_TEST);
	put_strings(w, "compatible", test_compatible, sizeof(test_compatible));
	put_reg(w, VIRT_TEST, VIRT_TEST_SIZE);
	end(w);

	write_interrupts(w, board->harts);
	if (board->aclint)
		write_aclint(w, board->harts);
	else
		write_clint(w, board->harts);
	end(w);
}

static void write_tree(struct writer *w, const struct fdt_board *board)
{
	check(w, fdt_finish_reservemap(w->blob));
	begin(w, "");
	put_u32(w, "#address-cells", 2);
	put_u32(w, "#size-cells", 2);
	put_string(w, "compatible", "riscv-virtio");
	put_string(w, "model", "riscv-virtio,freehold");
	write_chosen(w, board);
	begin_at(w, "memory", VIRT_RAM);
	put_string(w, "device_type", "memory");
	put_reg(w, VIRT_RAM, board->ram_size);
	end(w);
	write_cpus(w, board);
	write_syscon(w, "poweroff", "syscon-poweroff", 0x5555);
	write_syscon(w, "reboot", "syscon-reboot", 0x7777);
	write_soc(w, board);
	end(w);
	check(w, fdt_finish(w->blob));
}

void *fdt_make(const struct fdt_board *board, size_t *ret_size)
{
	for (int room = 16384;; room *= 2) {
		struct writer w = { .blob = calloc(1, (size_t)room) };

		if (!w.blob)
			return NULL;
		check(&w, fdt_create(w.blob, room));
		write_tree(&w, board);
		if (w.error == 0) {
			*ret_size = fdt_totalsize(w.blob);
			return w.blob;
		}
		free(w.blob);
		if (w.error != -FDT_ERR_NOSPACE)
			return NULL;
	}
}

/* --- Trees from files ----------------------------------------------------------------------- */

static int amend_chosen(void *blob, const struct fdt_board *board)
{
	int node = fdt_path_offset(blob, "/chosen");
	int error = 0;

	if (node == -FDT_ERR_NOTFOUND)
		node = fdt_add_subnode(blob, 0, "chosen");
	if (node < 0)
		return node;
	if (board->bootargs)
		error = fdt_setprop_string(blob, node, "bootargs", board->bootargs);
	if (error == 0 && board->initrd_size > 0)
		error = fdt_setprop_u64(blob, node, "linux,initrd-start", board->initrd_first);
	if (error == 0 && board->initrd_size > 0)
		error = fdt_setprop_u64(blob, node, "linux,initrd-end",
					board->initrd_first + board->initrd_size);
	return error;
}

void *fdt_amend(const void *blob, size_t size, const struct fdt_board *board, size_t *ret_size,
		struct fh_error *err)
{
	const size_t room = size + 4096 + (board->bootargs ? strlen(board->bootargs) : 0);
	void *tree = malloc(room);
	int error = tree ? 0 : -FDT_ERR_NOSPACE;

	if (error == 0 && (size < sizeof(struct fdt_header) || fdt_check_full(blob, size) != 0))
		error = -FDT_ERR_BADSTRUCTURE;
	if (error == 0)
		error = fdt_open_into(blob, tree, (int)room);
	if (error == 0)
		error = amend_chosen(tree, board);
	if (error == 0)
		error = fdt_pack(tree);
	if (error != 0) {
		fh_error_set(err, FH_EFORMAT, "not a device tree: %s", fdt_strerror(error));
		free(tree);
		return NULL;
	}
	*ret_size = fdt_totalsize(tree);
	return tree;
}
