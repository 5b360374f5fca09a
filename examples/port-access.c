/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: an address space of a bus master, and every way to reach memory
 * through it. docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <string.h>

struct master {
	struct fh_device *self;
	struct fh_space *dma;
	struct fh_cached *ring;
	struct fh_waiter *waiter;
	uint64_t from;
	bool done;
};

/* Its own space, with what it is to see of the machine. */
static enum fh_code master_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct master *master = state;
	struct fh_machine *m = fh_object_get_machine(device);
	struct fh_region *root = fh_region_new_container(device, "dma-root", FH_SIZE_ALL);
	struct fh_region *window =
		fh_region_new_alias(device, "dma-window", fh_space_root(fh_machine_memory(m)),
				    0x80000000, 0x80000000);

	(void)err;
	fh_region_add(root, window, 0, 0);
	master->self = device;
	master->dma = fh_space_new(device, "dma", root);
	return FH_OK;
}

static const struct fh_type master_type = {
	.name = "master", .parent = &fh_device_type, .state_size = sizeof(struct master),
	.device = &(const struct fh_device_ops){ .realize = master_realize }
};

/* Loads, stores, bulk, with attributes and without; the result says what came of it. */
static bool access_it(struct master *master)
{
	const struct fh_attrs as_me = { .requester = 0x0810 };
	uint16_t half = 0;
	uint64_t value = 0;
	uint8_t block[64];

	return fh_space_store16(master->dma, 0x100, 0x1234, FH_BE) == FH_TX_OK &&
	       fh_space_load16(master->dma, 0x100, FH_LE, &half) == FH_TX_OK && half == 0x3412 &&
	       fh_space_load(master->dma, 0x100, 2, FH_BE, as_me, &value) == FH_TX_OK &&
	       value == 0x1234 &&
	       fh_space_fill(master->dma, 0x200, 0xee, sizeof(block), as_me) == FH_TX_OK &&
	       fh_space_read(master->dma, 0x200, block, sizeof(block), as_me) == FH_TX_OK &&
	       block[63] == 0xee &&
	       fh_space_write(master->dma, 0x90000000, block, 4, as_me) == FH_TX_DECODE_ERROR;
}

/* In place, as long as the mapping lasts; a part of it may be all that there is. */
static bool copy_by_mapping(struct master *master, uint64_t addr, const uint8_t *from,
			    uint64_t size)
{
	while (size > 0) {
		struct fh_mapped to;
		struct fh_mapping *mapping = fh_space_map(master->dma, addr, size, FH_MAP_WRITE,
							  FH_ATTRS_NONE, master->self, &to);

		if (!mapping)
			return false; /* to.code says why */
		memcpy(to.ptr, from, to.size);
		addr += to.size, from += to.size, size -= to.size;
		if (fh_mapping_unmap(mapping, to.size) != FH_TX_OK)
			return false;
	}
	return true;
}

/* No room for a bounce buffer: be called when there is. */
static void try_to_map(void *state)
{
	struct master *master = state;
	struct fh_mapped mapped;
	struct fh_mapping *mapping = fh_space_map(master->dma, master->from, 256, FH_MAP_READ,
						  FH_ATTRS_NONE, master->self, &mapped);

	if (!mapping && mapped.code == FH_EAGAIN) {
		master->waiter = fh_space_notify_room(master->dma, 256, master->self, try_to_map,
						      master);
		return;
	}
	master->done = mapping && mapped.bounced;
	fh_mapping_unmap(mapping, 0);
}

/* A window that is looked at again and again, and notices when the map changes under it. */
static bool poll_ring(struct master *master)
{
	uint16_t index = 0;

	if (!master->ring)
		master->ring = fh_cached_new(master->self, master->dma, 0x1000, 0x100,
					     FH_ATTRS_NONE);
	return fh_cached_store16(master->ring, 2, 7, FH_LE) == FH_TX_OK &&
	       fh_cached_load16(master->ring, 2, FH_LE, &index) == FH_TX_OK && index == 7;
}

/* What is there, pinned: it can be used after it has been unplugged, and then says so. */
static bool find(struct master *master)
{
	struct fh_section section;
	struct fh_pinned *pinned = fh_space_find(master->dma, 0x1000, 0x10, master->self, &section);
	uint8_t byte = 0;
	const bool good = pinned && section.offset == 0x1000 && section.ptr &&
			  fh_pinned_read(pinned, 2, &byte, 1, FH_ATTRS_NONE) == FH_TX_OK &&
			  byte == 7;

	fh_pinned_unpin(pinned);
	return good && !fh_space_is_mapped(master->dma, 0x40000000, 1);
}

static enum fh_tx reg_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			   struct fh_attrs attrs)
{
	(void)state, (void)size, (void)attrs;
	*ret_value = offset;
	return FH_TX_OK;
}

static const struct fh_region_ops reg_ops = { .read = reg_read };

/* It has no state, only what it owns. */
static const struct fh_type board_type = { .name = "board" };

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_region *system = fh_space_root(fh_machine_memory(m));
	struct fh_object *board = fh_object_new_child(m, "board", &board_type, NULL);
	struct fh_region *ram = fh_region_new_ram(board, "ram", 0x10000, NULL);
	struct fh_region *regs = fh_region_new_mmio(board, "regs", 0x1000, &reg_ops, NULL);
	struct fh_device *device = fh_device_plug(m, &master_type, "master", NULL, NULL);
	static const uint8_t bytes[512];

	if (!ram || !device)
		return 1;
	fh_region_add(system, ram, 0x80000000, 0);
	fh_region_add(system, regs, 0x90000000, 0);

	struct master *master = fh_device_state(device);
	bool good = access_it(master) && copy_by_mapping(master, 0x2000, bytes, sizeof(bytes)) &&
		    poll_ring(master) && find(master);

	/* Somebody else has all the room; then gives it back. */
	struct fh_mapped theirs;
	struct fh_mapping *all = fh_space_map(master->dma, 0x10000000, 256, FH_MAP_READ,
					      FH_ATTRS_NONE, m, &theirs);

	fh_space_set_bounce_limit(master->dma, 256);
	master->from = 0x10000000;
	try_to_map(master);
	good = good && all && master->waiter && !master->done;
	fh_mapping_unmap(all, 0);
	fh_machine_drain(m);
	good = good && master->done;

	fh_device_unplug(device);
	fh_object_dispose(board);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}
