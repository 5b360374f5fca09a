/* SPDX-License-Identifier: MIT */
/*
 * Hot-unplug in the middle of a DMA: a disk writes into memory, and both are unplugged before it is
 * done. It never touches freed memory, and meanwhile the ledger says what is alive, and why.
 */
#include <freehold/freehold.h>

#include <string.h>

struct disk {
	struct fh_device *self;
	struct fh_io *io; /* the operation in flight, and where it writes to */
	void *to;
};

/* The guest writes the address that it wants to have the data at. */
static enum fh_tx disk_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	struct disk *disk = state;
	struct fh_space *memory = fh_machine_memory(fh_object_get_machine(disk->self));
	struct fh_mapped mapped;

	(void)offset, (void)size, (void)attrs;
	disk->io = fh_io_begin(disk->self, "transfer");
	if (!fh_space_map(memory, value, 512, FH_MAP_WRITE, FH_ATTRS_NONE, disk->io, &mapped))
		return fh_io_complete(disk->io, NULL, NULL), FH_TX_DEVICE_ERROR;
	disk->to = mapped.ptr;
	return FH_TX_OK; /* a worker would take it from here */
}

/* A callback of the device, and so not called after its unplug. */
static void disk_done(void *called)
{
	*(bool *)called = true;
}

static const struct fh_region_ops disk_regs = { .write = disk_write };

static enum fh_code disk_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	((struct disk *)state)->self = device;
	return fh_device_export(
		device, fh_region_new_mmio(device, "regs", 0x1000, &disk_regs, state), err);
}

static const struct fh_type disk_type = {
	.name = "disk", .parent = &fh_device_type, .state_size = sizeof(struct disk),
	.device = &(const struct fh_device_ops){ .realize = disk_realize }
};

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_space *memory = fh_machine_memory(m);
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x10000, NULL);
	struct fh_device *device = fh_device_plug(m, &disk_type, "disk0", NULL, NULL);

	if (!ram || !device)
		return 1;
	fh_region_add(fh_space_root(memory), ram, 0x80000000, 0);
	fh_region_add(fh_space_root(memory), fh_device_region(device, "regs"), 0x10000000, 0);
	if (fh_space_store64(memory, 0x10000000, 0x80000200, FH_LE) != FH_TX_OK)
		return 1;

	struct disk *disk = fh_device_state(device);

	fh_device_unplug(device);
	fh_object_unref(ram);
	fh_machine_drain(m);
	fh_ledger_print(m, stdout); /* nothing is in the machine, two are still in memory */

	bool called = false;

	memset(disk->to, 0x55, 512); /* the data arrives: the operation pins both */
	fh_io_complete(disk->io, disk_done, &called);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || called;
}
