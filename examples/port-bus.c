/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: a bus with slots, whose controller is asked before a device comes,
 * asks its guest before one goes, and survives one that goes by surprise.
 * docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <stdio.h>

enum { SLOTS = 4, SLOT_SIZE = 0x1000, REG_EJECT = 0, REG_REFUSE = 4 };

struct bridge {
	struct fh_bus *bus;
	struct fh_region *window; /* of all slots */
	struct fh_irq *attention; /* the guest is asked to give up a device */
	unsigned present;         /* a bit for each slot */
};

static enum fh_code bridge_check(void *state, struct fh_device *device, uint32_t slot,
				 struct fh_error *err)
{
	(void)state, (void)device;
	return slot == 0 ? fh_error_set(err, FH_EPERM, "slot 0 is the bridge's own") : FH_OK;
}

/* Realized, and not yet to be seen: map it. */
static enum fh_code bridge_plugged(void *state, struct fh_device *device, uint32_t slot,
				   struct fh_error *err)
{
	struct bridge *bridge = state;

	(void)err;
	bridge->present |= 1u << slot;
	return fh_region_add(bridge->window, fh_device_region(device, "regs"),
			     (uint64_t)slot * SLOT_SIZE, 0);
}

static enum fh_unplug_answer bridge_unplug_request(void *state, struct fh_device *device,
						   uint32_t slot, struct fh_error *err)
{
	(void)device, (void)slot, (void)err;
	fh_irq_raise(((struct bridge *)state)->attention);
	return FH_UNPLUG_LATER; /* bridge_write() has the guest's answer */
}

/* After a request, or by surprise. What it mapped is gone already. */
static void bridge_unplugged(void *state, struct fh_device *device, uint32_t slot)
{
	(void)device;
	((struct bridge *)state)->present &= ~(1u << slot);
}

static const struct fh_bus_ops bridge_bus = {
	.check = bridge_check, .plugged = bridge_plugged,
	.unplug_request = bridge_unplug_request, .unplugged = bridge_unplugged
};

/* The guest writes the number of a slot. */
static enum fh_tx bridge_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			       struct fh_attrs attrs)
{
	struct bridge *bridge = state;
	struct fh_device *device = fh_bus_find_device(bridge->bus, (uint32_t)value);

	(void)size, (void)attrs;
	if (device && offset == REG_EJECT)
		fh_device_unplug(device);
	else if (device && offset == REG_REFUSE)
		fh_device_refuse_unplug(device);
	fh_object_unref(device);
	fh_irq_lower(bridge->attention);
	return FH_TX_OK;
}

static const struct fh_region_ops bridge_regs = { .write = bridge_write };

static enum fh_code bridge_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct bridge *bridge = state;

	bridge->attention = fh_irq_new(device, "attention");
	bridge->window = fh_region_new_container(device, "window", SLOTS * SLOT_SIZE);
	bridge->bus = fh_bus_new(device, "bus", &bridge_bus, bridge, SLOTS);
	fh_region_add(bridge->window,
		      fh_region_new_mmio(device, "regs", 8, &bridge_regs, bridge), 0, 0);
	return fh_device_export(device, bridge->window, err);
}

static const struct fh_type bridge_type = {
	.name = "bridge", .parent = &fh_device_type, .state_size = sizeof(struct bridge),
	.device = &(const struct fh_device_ops){ .realize = bridge_realize }
};

/* --- A card --------------------------------------------------------------------------------- */

static enum fh_code card_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)state;
	return fh_device_export(device, fh_region_new_ram(device, "regs", SLOT_SIZE, err), err);
}

static const struct fh_type card_type = {
	.name = "card", .parent = &fh_device_type,
	.device = &(const struct fh_device_ops){ .realize = card_realize }
};

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_space *memory = fh_machine_memory(m);
	struct fh_device *device = fh_device_plug(m, &bridge_type, "bridge", NULL, NULL);
	struct fh_error err = FH_ERROR_INIT;
	const uint64_t base = 0x40000000;

	if (!device)
		return 1;
	fh_region_add(fh_space_root(memory), fh_device_region(device, "window"), base, 0);

	struct bridge *bridge = fh_device_state(device);
	struct fh_bus *bus = fh_device_bus(device, "bus");
	bool good = !fh_bus_plug(bus, 0, &card_type, "a", NULL, &err);

	printf("%s\n", err.message);

	struct fh_device *a = fh_bus_plug(bus, 1, &card_type, "a", NULL, NULL);
	struct fh_device *b = fh_bus_plug(bus, 3, &card_type, "b", NULL, NULL);

	good = good && a && b && bridge->present == 0xa &&
	       fh_space_store32(memory, base + 0x3000, 7, FH_LE) == FH_TX_OK;

	/* Asked for; the guest refuses; asked for again; the guest agrees. */
	good = good && fh_device_request_unplug(a, NULL) == FH_OK &&
	       fh_irq_level(bridge->attention);
	fh_space_store32(memory, base + REG_REFUSE, 1, FH_LE);
	good = good && !fh_device_unplug_is_requested(a) &&
	       fh_device_request_unplug(a, NULL) == FH_OK;
	fh_space_store32(memory, base + REG_EJECT, 1, FH_LE);
	fh_machine_drain(m); /* from a callback the rest of an unplug is the poll's */
	good = good && bridge->present == 0x8;

	fh_device_unplug(b); /* by surprise */
	good = good && bridge->present == 0 &&
	       fh_space_store32(memory, base + 0x3000, 7, FH_LE) == FH_TX_DECODE_ERROR;

	fh_device_unplug(device);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}
