/* SPDX-License-Identifier: MIT */
/*
 * Boot: see boot.h.
 *
 * R1. Places are taken in the order firmware, kernel, device tree, RAM disk; nothing overlaps what
 *     has its place already.
 */
#include "machine/boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "machine/fdt.h"
#include "machine/loader.h"
#include "machine/map.h"

#define MIB (UINT64_C(1) << 20)

/*
 * Device trees lie below 3 GiB, where 32-bit pointers and firmware with few page tables reach, and
 * kernels want them, as themselves, at a multiple of 2 MiB.
 */
#define DTB_LIMIT (UINT64_C(3) << 30)
#define ALIGN	  (2 * MIB)

/* How a firmware learns what is next: the layout of OpenSBI's struct fw_dynamic_info, version 2. */
struct next_stage {
	uint64_t magic, version, addr, mode, options, boot_hart;
};

#define NEXT_MAGIC   UINT64_C(0x4942534f) /* "OSBI" */
#define NEXT_MODE_S  1
#define NEXT_VERSION 2

struct place {
	const char *what;
	uint64_t first, last;
};

struct loading {
	struct fh_space *memory;
	const struct machine_options *o;
	struct fdt_board board;
	char isa[CPU_ISA_STRING_SIZE];
	struct place places[4];
	unsigned place_count;
	struct image firmware, kernel;
	void *dtb;
	size_t dtb_size;
	uint64_t dtb_addr;
};

/* R1 */
static enum fh_code take_place(struct loading *l, const char *what, uint64_t first, uint64_t last,
			       struct fh_error *err)
{
	for (unsigned i = 0; i < l->place_count; i++)
		if (first <= l->places[i].last && last >= l->places[i].first)
			return fh_error_set(err, FH_ERANGE,
					    "%s at 0x%llx overlaps %s at 0x%llx: %s", what,
					    (unsigned long long)first, l->places[i].what,
					    (unsigned long long)l->places[i].first,
					    l->kernel.is_elf && l->place_count == 1 ?
						    "such a program wants -bios none" :
						    "more RAM may help (-m)");
	l->places[l->place_count++] = (struct place){ what, first, last };
	return FH_OK;
}

static uint64_t align_up(uint64_t addr)
{
	return (addr + ALIGN - 1) & ~(ALIGN - 1);
}

/* --- Firmware and kernel -------------------------------------------------------------------- */

static enum fh_code load_firmware(struct loading *l, struct fh_error *err)
{
	enum fh_code code;

	if (!l->o->bios)
		return FH_OK;
	code = loader_image(l->memory, l->o->bios, VIRT_RAM, &l->firmware, err);
	if (code == FH_ENOENT && strcmp(l->o->bios, OPTIONS_FIRMWARE) == 0) {
		fh_error_clear(err);
		return fh_error_set(err, code,
				    "no firmware at %s: install the package opensbi, or "
				    "give -bios",
				    OPTIONS_FIRMWARE);
	}
	if (code != FH_OK)
		return code;
	return take_place(l, "the firmware", l->firmware.first, l->firmware.last, err);
}

static enum fh_code load_kernel(struct loading *l, struct fh_error *err)
{
	const uint64_t addr = l->o->bios ? align_up(l->firmware.last + 1) : VIRT_RAM;
	enum fh_code code;

	/* Without a kernel a firmware finds nothing but zeros there. */
	l->kernel.entry = addr;
	l->kernel.first = addr;
	l->kernel.last = addr;
	if (!l->o->kernel)
		return FH_OK;
	code = loader_image(l->memory, l->o->kernel, addr, &l->kernel, err);
	if (code != FH_OK)
		return code;
	return take_place(l, "the kernel", l->kernel.first, l->kernel.last, err);
}

/* --- Device tree and RAM disk --------------------------------------------------------------- */

/* Replaces l->dtb. Its size depends on whether there is a RAM disk, not on where. */
static enum fh_code make_dtb(struct loading *l, struct fh_error *err)
{
	uint64_t size;
	void *file;

	free(l->dtb);
	l->dtb = NULL;
	if (!l->o->dtb) {
		l->dtb = fdt_make(&l->board, &l->dtb_size);
		return l->dtb ? FH_OK : fh_error_set(err, FH_ENOMEM, "no memory for a device tree");
	}
	file = loader_read(l->o->dtb, 64 * MIB, &size, err);
	if (!file)
		return FH_EIO;
	l->dtb = fdt_amend(file, size, &l->board, &l->dtb_size, err);
	free(file);
	if (!l->dtb)
		fh_error_prefix(err, "%s: ", l->o->dtb);
	return l->dtb ? FH_OK : FH_EFORMAT;
}

static enum fh_code place_dtb(struct loading *l, struct fh_error *err)
{
	const uint64_t top = VIRT_RAM + l->o->ram_size < DTB_LIMIT ? VIRT_RAM + l->o->ram_size :
								     DTB_LIMIT;
	const enum fh_code code = make_dtb(l, err);

	if (code != FH_OK)
		return code;
	if (l->dtb_size > top - VIRT_RAM)
		return fh_error_set(err, FH_ERANGE, "RAM is too small for the device tree (-m)");
	l->dtb_addr = (top - l->dtb_size) & ~(ALIGN - 1);
	return take_place(l, "the device tree", l->dtb_addr, l->dtb_addr + l->dtb_size - 1, err);
}

/*
 * Well above the kernel, which may want more than its file tells; right behind it where RAM is
 * short.
 */
static uint64_t initrd_addr(const struct loading *l, uint64_t size)
{
	const uint64_t half = l->o->ram_size / 2 < 128 * MIB ? l->o->ram_size / 2 : 128 * MIB;
	const uint64_t behind = align_up(l->kernel.last + 1);
	const uint64_t above = align_up(l->kernel.first + half);

	return above < behind || above + size > l->dtb_addr ? behind : above;
}

static enum fh_code load_initrd(struct loading *l, struct fh_error *err)
{
	uint64_t size, addr;
	enum fh_code code;
	void *file;

	if (!l->o->initrd)
		return FH_OK;
	file = loader_read(l->o->initrd, l->o->ram_size, &size, err);
	if (!file)
		return FH_EIO;
	addr = initrd_addr(l, size);
	code = size == 0 ? fh_error_set(err, FH_EFORMAT, "%s: empty", l->o->initrd) :
			   take_place(l, "the initial RAM disk", addr, addr + size - 1, err);
	if (code == FH_OK)
		code = loader_put(l->memory, l->o->initrd, addr, file, size, err);
	free(file);
	if (code != FH_OK)
		return code;
	l->board.initrd_first = addr;
	l->board.initrd_size = size;
	return make_dtb(l, err);
}

/* --- The first instructions ----------------------------------------------------------------- */

static enum fh_code load_rom(struct loading *l, struct fh_error *err)
{
	struct {
		uint32_t code[6];
		uint64_t start, dtb;
		struct next_stage next;
	} rom = {
		.code = {
			0x00000297, /* auipc t0, 0 */
			0x02828613, /* addi a2, t0, 40: next */
			0xf1402573, /* csrr a0, mhartid */
			0x0202b583, /* ld a1, 32(t0): dtb */
			0x0182b283, /* ld t0, 24(t0): start */
			0x00028067, /* jr t0 */
		},
		.start = l->o->bios ? l->firmware.entry : l->kernel.entry,
		.dtb = l->dtb_addr,
		.next = {
			.magic = NEXT_MAGIC,
			.version = NEXT_VERSION,
			.addr = l->kernel.entry,
			.mode = NEXT_MODE_S,
		},
	};

	return loader_put(l->memory, "the reset code", VIRT_ROM, &rom, sizeof(rom), err);
}

static enum fh_code check_options(const struct machine_options *o, struct fh_error *err)
{
	if (!o->kernel && !o->bios)
		return fh_error_set(err, FH_EINVAL,
				    "nothing to run: give -kernel FILE or -bios FILE");
	if (!o->kernel && o->append)
		return fh_error_set(err, FH_EINVAL, "-append is for a kernel, which -kernel gives");
	if (!o->kernel && o->initrd)
		return fh_error_set(err, FH_EINVAL, "-initrd is for a kernel, which -kernel gives");
	return FH_OK;
}

static enum fh_code load_all(struct loading *l, struct fh_error *err)
{
	enum fh_code code = check_options(l->o, err);

	if (code == FH_OK)
		code = load_firmware(l, err);
	if (code == FH_OK)
		code = load_kernel(l, err);
	if (code == FH_OK)
		code = place_dtb(l, err);
	if (code == FH_OK)
		code = load_initrd(l, err);
	if (code == FH_OK)
		code = loader_put(l->memory, "the device tree", l->dtb_addr, l->dtb, l->dtb_size,
				  err);
	if (code == FH_OK)
		code = load_rom(l, err);
	return code;
}

enum fh_code boot_load(struct fh_space *memory, const struct machine_options *options,
		       struct boot *ret, struct fh_error *err)
{
	struct loading l = {
		.memory = memory,
		.o = options,
		.board = {
			.harts = options->harts,
			.aclint = options->aclint,
			.mmu_type = cpu_mmu_type(&options->isa),
			.cbom_block = options->isa.zicbom ? 64 : 0,
			.cboz_block = options->isa.zicboz ? 64 : 0,
			.ram_size = options->ram_size,
			.bootargs = options->append,
			.initrd_size = options->initrd ? 1 : 0,
		},
	};
	enum fh_code code;

	cpu_isa_string(&options->isa, l.isa);
	l.board.isa = l.isa;
	/* Without it a guest has less to start from, and nothing more. */
	if (getrandom(l.board.rng_seed, sizeof(l.board.rng_seed), GRND_NONBLOCK) < 0)
		memset(l.board.rng_seed, 0, sizeof(l.board.rng_seed));
	code = load_all(&l, err);
	if (code != FH_OK) {
		free(l.dtb);
		return code;
	}
	*ret = (struct boot){
		.has_tohost = l.kernel.has_tohost || l.firmware.has_tohost,
		.tohost = l.kernel.has_tohost ? l.kernel.tohost : l.firmware.tohost,
		.dtb = l.dtb,
		.dtb_size = l.dtb_size,
	};
	return FH_OK;
}
