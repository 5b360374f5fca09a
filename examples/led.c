/* SPDX-License-Identifier: MIT */
/*
 * A device of one register and one interrupt line: how it is written, plugged, used and unplugged.
 * README.md shows it. The guest would write a colour to the register at 0x10000000; here the
 * program does it.
 */
#include <freehold/freehold.h>

#include <stdio.h>

struct led {
	struct fh_irq *irq;
	uint32_t colour;
};

static enum fh_tx led_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs)
{
	struct led *led = state;

	(void)offset, (void)size, (void)attrs;
	led->colour = (uint32_t)value; /* no lock: a device's callbacks run one at a time */
	fh_irq_raise(led->irq);
	return FH_TX_OK;
}

static const struct fh_region_ops led_regs = { .write = led_write, .valid = { .max = 4 } };

/* Whatever fails in here, the library takes back what was made before. */
static enum fh_code led_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct led *led = state;

	led->irq = fh_irq_new(device, "irq");
	return fh_device_export(
		device, fh_region_new_mmio(device, "regs", 0x1000, &led_regs, led), err);
}

static const struct fh_type led_type = {
	.name = "led", .parent = &fh_device_type, .state_size = sizeof(struct led),
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

	enum fh_tx tx = fh_space_store32(memory, 0x10000000, 7, FH_LE); /* from any thread */
	bool good = tx == FH_TX_OK && fh_irq_level(fh_device_irq(led, "irq"));

	fh_device_unplug(led); /* from any thread, at any time, whatever others do to it */
	tx = fh_space_store32(memory, 0x10000000, 7, FH_LE);
	good = good && tx == FH_TX_DECODE_ERROR;
	fh_machine_drain(m);
	fh_ledger_print(m, stdout); /* ledger: 3 objects created, 3 died, 0 alive */
	return fh_machine_destroy(m) != 0 || !good;
}
