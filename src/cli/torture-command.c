/* SPDX-License-Identifier: MIT */
/*
 * What a device of `freehold torture` does in its callbacks: anything that a callback may.
 *
 * R1. Each command runs in the device's domain and draws from the device's own random numbers.
 * R2. A device's own regions, lines and timers are used by pointer: they stay until it is
 *     detached, and that is after its last callback. Of others a ref is taken.
 */
#include "cli/torture.h"

#include <stdlib.h>
#include <unistd.h>

static struct fh_device *any_device(struct fh_torture_device *device)
{
	return fh_torture_any_device(device->t, &device->random);
}

static enum fh_torture_outcome tx_of(struct fh_torture_device *device, enum fh_tx tx)
{
	return fh_torture_tx(device->t, tx);
}

/* The device, its domain and its memory are still ours after something that let others run. */
static enum fh_torture_outcome still_here(struct fh_torture_device *device, bool done)
{
	fh_torture_check(device->t, device->canary == (FH_TORTURE_CANARY | device->serial),
			 "a device has gone from under its own callback");
	fh_torture_check(device->t, !device->gone, "unrealized from under its own callback (L6)");
	device->calls++;
	return fh_torture_outcome(done);
}

/* --- Accesses ------------------------------------------------------------------------------- */

static enum fh_torture_outcome do_load(struct fh_torture_device *device, unsigned ttl)
{
	uint64_t value;

	(void)ttl;
	return tx_of(device, fh_space_load(device->bus, fh_torture_any_addr(&device->random),
					   1 + fh_torture_pick(&device->random, 8), FH_LE,
					   FH_ATTRS_NONE, &value));
}

static enum fh_torture_outcome do_store(struct fh_torture_device *device, unsigned ttl)
{
	(void)ttl;
	return tx_of(device, fh_space_store(device->bus, fh_torture_any_addr(&device->random),
					    1 + fh_torture_pick(&device->random, 8), FH_BE,
					    FH_ATTRS_NONE, fh_torture_random(&device->random)));
}

/* By way of memory to another device, or back to this one, which must be refused. */
static enum fh_torture_outcome do_pass_on(struct fh_torture_device *device, unsigned ttl)
{
	const uint64_t place = fh_torture_pick(&device->random, FH_TORTURE_DEVICES);
	const uint64_t value = fh_torture_random(&device->random) & ~UINT64_C(3);

	if (ttl == 0)
		return FH_TORTURE_IDLE;
	return tx_of(device, fh_space_store(device->bus,
					    FH_TORTURE_BASE + place * FH_TORTURE_STEP +
						    FH_TORTURE_REG_COMMAND,
					    4, FH_LE, FH_ATTRS_NONE, (uint32_t)value | (ttl - 1)));
}

static enum fh_torture_outcome do_bulk(struct fh_torture_device *device, unsigned ttl)
{
	uint8_t bytes[512] = { 0 };
	const uint64_t size = 1 + fh_torture_pick(&device->random, sizeof(bytes));
	const uint64_t addr = fh_torture_any_addr(&device->random);

	(void)ttl;
	if (fh_torture_chance(&device->random, 2))
		return tx_of(device,
			     fh_space_read(device->bus, addr, bytes, size, FH_ATTRS_NONE));
	return tx_of(device, fh_space_write(device->bus, addr, bytes, size, FH_ATTRS_NONE));
}

static enum fh_torture_outcome do_io(struct fh_torture_device *device, unsigned ttl)
{
	(void)ttl;
	return fh_torture_begin_io(device->t, device->device, device->bus, &device->random);
}

static enum fh_torture_outcome do_block(struct fh_torture_device *device, unsigned ttl)
{
	const unsigned wait = fh_torture_pick(&device->random, 300);

	(void)ttl;
	fh_blocking_begin();
	usleep(wait);
	fh_blocking_end();
	return still_here(device, true);
}

static void count_call(void *state)
{
	struct fh_torture_device *const device = state;

	fh_torture_check(device->t, device->ready && !device->gone,
			 "a call into a device that is not shown");
	device->calls++;
}

static enum fh_torture_outcome do_call(struct fh_torture_device *device, unsigned ttl)
{
	struct fh_device *const other = any_device(device);

	(void)ttl;
	if (other == NULL)
		return FH_TORTURE_IDLE;

	const bool done = fh_device_call(other, count_call, fh_torture_state(other));

	fh_object_unref(other);
	return still_here(device, done);
}

/* --- The map -------------------------------------------------------------------------------- */

static enum fh_torture_outcome do_place(struct fh_torture_device *device, unsigned ttl)
{
	const uint64_t place = fh_torture_pick(&device->random, FH_TORTURE_DEVICES);
	const uint64_t addr = FH_TORTURE_BASE + place * FH_TORTURE_STEP;

	(void)ttl;
	if (fh_torture_chance(&device->random, 4)) {
		fh_region_remove(device->bar);
		return FH_TORTURE_DONE;
	}
	if (fh_torture_chance(&device->random, 2))
		return fh_torture_code(fh_region_add(device->t->system, device->bar, addr, 0));
	return fh_torture_code(fh_region_move(device->bar, addr));
}

static enum fh_torture_outcome do_change(struct fh_torture_device *device, unsigned ttl)
{
	struct fh_region *const regions[] = {
		device->regs, device->fast, device->ram, device->rom
	};
	struct fh_region *const region = regions[fh_torture_pick(&device->random, 4)];
	const uint64_t value = fh_torture_random(&device->random);

	(void)ttl;
	switch (value % 5) {
	case 0:
		return fh_torture_code(fh_region_set_enabled(region, (value & 64) != 0));
	case 1:
		return fh_torture_code(fh_region_set_priority(region, (int32_t)(value >> 60)));
	case 2:
		return fh_torture_code(fh_region_set_readonly(region, (value & 64) != 0));
	case 3:
		return fh_torture_code(fh_region_resize(region, 1 + (value >> 32) % 0x1800));
	default:
		return fh_torture_code(fh_region_set_unmergeable(region, (value & 64) != 0));
	}
}

/* A region of this device in another's container. */
static enum fh_torture_outcome do_lend(struct fh_torture_device *device, unsigned ttl)
{
	struct fh_region *const bar =
		fh_torture_any_child(device->t, &device->random, "bar");

	(void)ttl;
	if (bar == NULL)
		return FH_TORTURE_IDLE;
	fh_region_remove(device->spare);

	const enum fh_code code = fh_region_add(bar, device->spare, FH_TORTURE_KIDS, 1);

	fh_object_unref(bar);
	return fh_torture_code(code);
}

/* A region that comes and goes at run time, sometimes twice within one callback. */
static enum fh_torture_outcome do_quirk(struct fh_torture_device *device, unsigned ttl)
{
	(void)ttl;
	if (device->quirk != NULL) {
		device->quirk = fh_region_destroy(device->quirk);
		if (fh_torture_chance(&device->random, 2))
			return FH_TORTURE_DONE;
	}
	device->quirk = fh_torture_new_loose_mmio(device->t, device->device, FH_TORTURE_PAGE);
	if (device->quirk == NULL)
		return FH_TORTURE_REFUSED;
	return fh_torture_code(
		fh_region_add(device->bar, device->quirk, FH_TORTURE_QUIRK, 0));
}

static enum fh_torture_outcome do_alias(struct fh_torture_device *device, unsigned ttl)
{
	struct fh_region *const target =
		fh_torture_any_child(device->t, &device->random, "ram");

	(void)ttl;
	device->alias = fh_region_destroy(device->alias);
	if (target == NULL)
		return FH_TORTURE_IDLE;
	device->alias = fh_region_new_alias(device->device, NULL, target, 0, FH_TORTURE_PAGE);
	fh_object_unref(target);
	if (device->alias == NULL)
		return FH_TORTURE_REFUSED;
	return fh_torture_code(fh_region_add(device->bar, device->alias,
					     FH_TORTURE_KIDS + FH_TORTURE_PAGE, -1));
}

static enum fh_torture_outcome do_edit(struct fh_torture_device *device, unsigned ttl)
{
	(void)ttl;
	fh_edit_begin(device->t->m);
	fh_region_set_enabled(device->fast, fh_torture_chance(&device->random, 2));
	fh_edit_begin(device->t->m);
	fh_region_move(device->ram, FH_TORTURE_RAM + fh_torture_pick(&device->random, 0x1000));
	fh_edit_commit(device->t->m);
	fh_region_set_nonvolatile(device->ram, fh_torture_chance(&device->random, 2));
	fh_edit_commit(device->t->m);
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome do_space(struct fh_torture_device *device, unsigned ttl)
{
	(void)ttl;
	if (device->extra != NULL) {
		fh_object_dispose(device->extra);
		device->extra = NULL;
		return FH_TORTURE_DONE;
	}
	device->extra = fh_space_new(device->device, NULL, device->bar);
	return fh_torture_outcome(device->extra != NULL);
}

/* --- Lines, timers, reset ------------------------------------------------------------------- */

static enum fh_torture_outcome do_timer(struct fh_torture_device *device, unsigned ttl)
{
	(void)ttl;
	if (fh_torture_chance(&device->random, 4))
		fh_timer_cancel(device->timer);
	else
		fh_timer_arm(device->timer, fh_machine_now(device->t->m) +
						    fh_torture_pick(&device->random, 2000000));
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome do_bh(struct fh_torture_device *device, unsigned ttl)
{
	if (ttl == 0)
		return FH_TORTURE_IDLE;
	fh_bh_schedule(device->bh);
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome do_line(struct fh_torture_device *device, unsigned ttl)
{
	(void)ttl;
	if (fh_torture_chance(&device->random, 4))
		fh_irq_pulse(device->out);
	else
		fh_irq_set(device->out, fh_torture_chance(&device->random, 2));
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome do_reset(struct fh_torture_device *device, unsigned ttl)
{
	if (ttl == 0)
		return FH_TORTURE_IDLE;
	fh_device_reset(device->device, FH_RESET_WARM);
	return still_here(device, true);
}

/* --- Lifetimes ------------------------------------------------------------------------------ */

static enum fh_torture_outcome do_unplug_self(struct fh_torture_device *device, unsigned ttl)
{
	uint64_t value;

	(void)ttl;
	fh_device_unplug(device->device);
	/* Hidden at once: nothing of it is left to see (L6). */
	fh_torture_check(device->t,
			 fh_space_load(device->bus, 0, 4, FH_LE, FH_ATTRS_NONE, &value) ==
				 FH_TX_DECODE_ERROR || !fh_object_is_disposed(device->device),
			 "an unplugged device's bus still shows its window");
	return still_here(device, true);
}

static enum fh_torture_outcome do_unplug_other(struct fh_torture_device *device, unsigned ttl)
{
	struct fh_torture_slot *const slot =
		&device->t->devices[fh_torture_pick(&device->random, FH_TORTURE_DEVICES)];
	struct fh_device *const other = fh_torture_swap(slot, NULL);

	(void)ttl;
	if (other == NULL)
		return FH_TORTURE_IDLE;
	fh_device_unplug(other);
	fh_object_unref(other);
	return still_here(device, true);
}

static enum fh_torture_outcome do_pin(struct fh_torture_device *device, unsigned ttl)
{
	struct fh_device *const other = any_device(device);

	(void)ttl;
	if (other == NULL)
		return FH_TORTURE_IDLE;

	/* It ends with this device, if not before. */
	struct fh_pin *const pin = fh_object_pin(other, device->device, "cache");

	fh_object_unref(other);
	if (pin != NULL && fh_torture_chance(&device->random, 2))
		fh_unpin(pin);
	return fh_torture_outcome(pin != NULL);
}

static void revoked(struct fh_pin *pin, void *state)
{
	struct fh_torture_device *const device = state;

	count_call(device);
	fh_unpin(pin);
}

static void target_disposed(struct fh_object *target, void *state)
{
	struct fh_torture_device *const device = state;

	(void)target;
	/* Relaxed: a count. */
	atomic_fetch_add_explicit(&device->told, 1, memory_order_relaxed);
}

static enum fh_torture_outcome do_watch(struct fh_torture_device *device, unsigned ttl)
{
	struct fh_device *const other = any_device(device);
	bool done;

	(void)ttl;
	if (other == NULL)
		return FH_TORTURE_IDLE;
	if (fh_torture_chance(&device->random, 2)) {
		struct fh_watch *const watch =
			fh_object_watch(other, device->device, target_disposed, device);

		done = watch != NULL;
	} else {
		done = fh_object_pin_revocable(other, device->device, "revocable", revoked,
					       device) != NULL;
	}
	fh_object_unref(other);
	return fh_torture_outcome(done);
}

/* A live property is set in a callback of its device: of one's own, or of another's. */
static enum fh_torture_outcome do_befriend(struct fh_torture_device *device, unsigned ttl)
{
	struct fh_device *const other = any_device(device);
	enum fh_code code;

	(void)ttl;
	if (other == NULL)
		return FH_TORTURE_IDLE;
	if (fh_torture_chance(&device->random, 2))
		code = fh_object_set_link(device->device, "friend", other, NULL);
	else
		code = fh_object_set_link(other, "friend", device->device, NULL);
	fh_object_unref(other);
	return still_here(device, code == FH_OK);
}

/* A line between this device and another, from the older to the younger. */
static enum fh_torture_outcome do_connect(struct fh_torture_device *device, unsigned ttl)
{
	struct fh_device *const other = any_device(device);
	struct fh_irq *const input = fh_torture_child(other, "in");
	enum fh_torture_outcome outcome = FH_TORTURE_IDLE;

	(void)ttl;
	if (input != NULL && fh_torture_state(other)->serial > device->serial) {
		if (fh_torture_chance(&device->random, 2)) {
			outcome = fh_torture_code(fh_irq_connect(device->out, input));
		} else {
			fh_irq_disconnect(device->out, input);
			outcome = FH_TORTURE_DONE;
		}
	}
	fh_object_unref(input);
	fh_object_unref(other);
	return outcome;
}

/* --- The table ------------------------------------------------------------------------------ */

const struct fh_torture_command fh_torture_command_table[] = {
	{ "load", 60, do_load },
	{ "store", 40, do_store },
	{ "pass on", 60, do_pass_on },
	{ "bulk", 20, do_bulk },
	{ "io", 10, do_io },
	{ "block", 4, do_block },
	{ "call", 10, do_call },
	{ "place", 10, do_place },
	{ "change", 10, do_change },
	{ "lend", 6, do_lend },
	{ "quirk", 20, do_quirk },
	{ "alias", 8, do_alias },
	{ "edit", 8, do_edit },
	{ "space", 4, do_space },
	{ "timer", 10, do_timer },
	{ "bottom half", 10, do_bh },
	{ "line", 10, do_line },
	{ "reset", 3, do_reset },
	{ "unplug self", 2, do_unplug_self },
	{ "unplug other", 2, do_unplug_other },
	{ "pin", 5, do_pin },
	{ "watch", 5, do_watch },
	{ "befriend", 5, do_befriend },
	{ "connect", 8, do_connect },
};
const size_t fh_torture_command_count =
	sizeof(fh_torture_command_table) / sizeof(fh_torture_command_table[0]);

void fh_torture_act(struct fh_torture_device *device, unsigned ttl)
{
	unsigned total = 0, drawn;
	size_t i = 0;

	count_call(device);
	for (size_t j = 0; j < fh_torture_command_count; j++)
		total += fh_torture_command_table[j].weight;
	drawn = fh_torture_pick(&device->random, total);
	while (drawn >= fh_torture_command_table[i].weight)
		drawn -= fh_torture_command_table[i++].weight;

	struct fh_torture_counts *const counts = &device->t->commands[i];
	const enum fh_torture_outcome outcome = fh_torture_command_table[i].run(device, ttl);

	/* Relaxed: a count. */
	atomic_fetch_add_explicit(&counts->by_outcome[outcome], 1, memory_order_relaxed);
}
