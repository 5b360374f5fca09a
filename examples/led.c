/* SPDX-License-Identifier: MIT */
/*
 * A device of one register and one interrupt line: how it is written, plugged, used and unplugged.
 *
 * The guest would write a colour to the register at 0x10000000; here the program does it. Each
 * write raises the line until the device is told otherwise.
 */
#include <freehold/freehold.h>

#include <stdio.h>

struct led {
	struct fh_region *regs;
	struct fh_irq *irq;
	uint32_t colour;
};

static enum fh_tx led_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs)
{
	struct led *led = state;

	(void)offset;
	(void)size;
	(void)attrs;
	led->colour = (uint32_t)value; /* no lock: callbacks of a device run one at a time */
	fh_irq_raise(led->irq);
	return FH_TX_OK;
}

static const struct fh_region_ops led_ops = {
	.write = led_write,
	.valid = { .min = 1, .max = 4 },
	.impl = { .min = 1, .max = 4 },
};

/* Whatever fails in here, what was made before is taken back by the library. */
static enum fh_code led_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct led *led = state;

	led->irq = fh_irq_new(device, "irq");
	led->regs = fh_region_new_mmio(device, "regs", 0x1000, &led_ops, led);
	return fh_device_export(device, led->regs, err);
}

static const struct fh_device_ops led_device = { .realize = led_realize };

static const struct fh_type led_type = {
	.name = "led",
	.parent = &fh_device_type,
	.state_size = sizeof(struct led),
	.device = &led_device,
};

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL);
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_error err = FH_ERROR_INIT;
	struct fh_device *device = fh_device_plug(m, &led_type, "led0", NULL, &err);

	if (!device) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	fh_region_add(fh_space_root(memory), fh_device_region(device, "regs"), 0x10000000, 0);

	enum fh_tx tx = fh_space_store32(memory, 0x10000000, 7, FH_LE); /* from any thread */
	const struct led *led = fh_device_state(device);

	printf("plugged: store %s, colour %u, irq %s\n", tx == FH_TX_OK ? "ok" : "failed",
	       led->colour, fh_irq_level(led->irq) ? "high" : "low");
	const bool worked = tx == FH_TX_OK && led->colour == 7 && fh_irq_level(led->irq);

	fh_device_unplug(device); /* from any thread, at any time */
	tx = fh_space_store32(memory, 0x10000000, 7, FH_LE);
	printf("unplugged: store %s\n", tx == FH_TX_DECODE_ERROR ? "finds nothing" : "ok");
	fh_machine_drain(m);
	/* 0: everything died */
	return fh_ledger_print(m, stdout) != 0 || !worked || tx != FH_TX_DECODE_ERROR;
}
