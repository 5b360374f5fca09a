/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: every kind of region, how regions are put into each other, and
 * what may be changed at run time. docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                                       \
	do {                                                                                   \
		if (!(condition))                                                              \
			return printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), false; \
	} while (0)

struct board {
	uint32_t reg;
	uint8_t host_page[0x1000]; /* memory of our own */
	uint32_t host_bar[0x400];  /* here a real device's would be mapped */
};

static enum fh_tx reg_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			   struct fh_attrs attrs)
{
	(void)offset, (void)size, (void)attrs;
	*ret_value = ((struct board *)state)->reg;
	return FH_TX_OK;
}

static enum fh_tx reg_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)offset, (void)size, (void)attrs;
	((struct board *)state)->reg = (uint32_t)value;
	return FH_TX_OK;
}

/* What the guest may do is `valid`, what the callbacks take is `impl`. */
static const struct fh_region_ops reg_ops = {
	.read = reg_read, .write = reg_write, .order = FH_LE,
	.valid = { .min = 1, .max = 4 }, .impl = { .min = 4, .max = 4 },
	.read_modify_write = true, /* a narrow write keeps the other bytes */
};

static const struct fh_type board_type = { .name = "board", .state_size = sizeof(struct board) };

static bool put_together(struct fh_object *board, struct board *state, struct fh_region *system)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_region *ram = fh_region_new_ram(board, "ram", 0x100000, &err);
	struct fh_region *rom = fh_region_new_rom(board, "rom", 0x4000, FH_ROM_IGNORE, &err);
	struct fh_region *flash =
		fh_region_new_rom_device(board, "flash", 0x4000, &reg_ops, state, &err);
	struct fh_region *page = fh_region_new_ram_ptr(board, "page", sizeof(state->host_page),
						       state->host_page, NULL, NULL);
	struct fh_region *bar = fh_region_new_ram_device(board, "bar", sizeof(state->host_bar),
							 state->host_bar, NULL, NULL);

	if (!ram || !rom || !flash || !page || !bar)
		return printf("%s\n", err.message), false;

	struct fh_region *regs = fh_region_new_mmio(board, "regs", 0x1000, &reg_ops, state);
	struct fh_region *bus = fh_region_new_container(board, "bus", 0x10000000);
	struct fh_region *low = fh_region_new_alias(board, "low", ram, 0, 0x8000);
	struct fh_region *theirs = fh_region_new_reservation(board, "theirs", 0x1000);

	memset(fh_region_ram(rom), 0x13, 0x4000); /* as a loader does */

	fh_region_add(system, ram, 0x80000000, 0);
	fh_region_add(system, bus, 0x10000000, 0);
	fh_region_add(system, low, 0, 0);
	fh_region_add(system, rom, 0, 1); /* priority 1: over the alias */
	fh_region_add(bus, regs, 0, 0);
	fh_region_add(bus, page, 0x1000, 0);
	fh_region_add(bus, flash, 0x4000, 0);
	fh_region_add(bus, bar, 0x9000, 0);
	fh_region_add(bus, theirs, 0x8000, 0);
	return true;
}

static bool change(struct fh_object *board, struct fh_machine *m, struct fh_space *memory)
{
	struct fh_region *ram = (struct fh_region *)fh_object_find_child(board, "ram");
	struct fh_region *rom = (struct fh_region *)fh_object_find_child(board, "rom");
	struct fh_region *low = (struct fh_region *)fh_object_find_child(board, "low");
	struct fh_region *regs = (struct fh_region *)fh_object_find_child(board, "regs");
	struct fh_region *flash = (struct fh_region *)fh_object_find_child(board, "flash");
	uint8_t byte = 0;
	uint32_t word = 0;

	/* One change for the guest, however many edits. */
	fh_edit_begin(m);
	fh_region_set_enabled(rom, false);      /* what lies under it shows */
	fh_region_set_alias_offset(low, 0x8000);
	fh_region_move(regs, 0x2000);           /* in its container; never at two places */
	fh_region_resize(regs, 0x800);
	fh_edit_commit(m);

	fh_region_set_readonly(low, true); /* through this window; the RAM elsewhere is not */
	fh_region_set_nonvolatile(ram, true);
	fh_region_set_rom_mode(flash, false); /* reads call back */

	CHECK(fh_space_store32(memory, 0x80008000, 0x55667788, FH_LE) == FH_TX_OK);
	CHECK(fh_space_load8(memory, 0, FH_LE, &byte) == FH_TX_OK && byte == 0x88);
	CHECK(fh_space_store8(memory, 0, 1, FH_LE) == FH_TX_OK); /* ignored */
	CHECK(fh_space_load8(memory, 0, FH_LE, &byte) == FH_TX_OK && byte == 0x88);
	CHECK(fh_space_store32(memory, 0x10002000, 0x01020304, FH_LE) == FH_TX_OK);
	CHECK(fh_space_store8(memory, 0x10002001, 0xff, FH_LE) == FH_TX_OK);
	CHECK(fh_space_load32(memory, 0x10004000, FH_LE, &word) == FH_TX_OK && word == 0x0102ff04);
	CHECK(fh_space_load32(memory, 0x10008000, FH_LE, &word) == FH_TX_DECODE_ERROR);
	CHECK(fh_space_store32(memory, 0x10009000, 7, FH_LE) == FH_TX_OK);

	fh_region_remove(rom); /* out of its container; it can be added again */
	fh_region_destroy(low); /* at run time, in any callback, whoever still reads it */
	CHECK(fh_space_load8(memory, 0, FH_LE, &byte) == FH_TX_DECODE_ERROR);

	fh_object_unref(flash);
	fh_object_unref(regs);
	fh_object_unref(low); /* a ref keeps the memory, not the place in the machine */
	fh_object_unref(rom);
	fh_object_unref(ram);
	return true;
}

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *board = fh_object_new_child(m, "board", &board_type, NULL);

	if (!put_together(board, fh_object_state(board, &board_type), fh_space_root(memory)) ||
	    !change(board, m, memory))
		return 1;
	fh_object_dispose(board); /* takes all its regions along */
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0;
}
