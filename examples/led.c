/* SPDX-License-Identifier: MIT */
/*
 * A device of one register: how it is written, plugged, used and unplugged. README.md shows it. The
 * guest would write a colour to the register at 0x10000000; here the program does it.
 */
#include <freehold/freehold.h>

#include <stdio.h>

static enum fh_tx led_write(void *colour, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)offset, (void)size, (void)attrs;
	*(uint32_t *)colour = (uint32_t)value; /* no lock: a device's callbacks run one at a time */
	return FH_TX_OK;
}

static const struct fh_region_ops led_regs = { .write = led_write, .valid = { .max = 4 } };

/* If this or what comes after it fails, the library takes back what was made. */
static enum fh_code led_realize(struct fh_device *device, void *colour, struct fh_error *err)
{
	return fh_device_export(
		device, fh_region_new_mmio(device, "regs", 0x1000, &led_regs, colour), err);
}

static const struct fh_type led_type = {
	.name = "led", .parent = &fh_device_type, .state_size = sizeof(uint32_t),
	.device = &(const struct fh_device_ops){ .realize = led_realize }
};

int main(void)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_machine *m = fh_machine_new(NULL, &err);
	struct fh_device *led = m ? fh_device_plug(m, &led_type, "led0", NULL, &err) : NULL;

	if (!led)
		return fprintf(stderr, "%s\n", err.message), 1;
	struct fh_space *memory = fh_machine_memory(m);

	fh_region_add(fh_space_root(memory), fh_device_region(led, "regs"), 0x10000000, 0);
	enum fh_tx on = fh_space_store32(memory, 0x10000000, 7, FH_LE); /* from any thread */

	fh_device_unplug(led); /* from any thread, at any time, whatever others do to it */
	enum fh_tx off = fh_space_store32(memory, 0x10000000, 7, FH_LE);

	fh_machine_drain(m);
	fh_ledger_print(m, stdout); /* ledger: 2 objects created, 2 died, 0 alive */
	return fh_machine_destroy(m) != 0 || on != FH_TX_OK || off != FH_TX_DECODE_ERROR;
}
