/* SPDX-License-Identifier: MIT */
/*
 * The device of `freehold torture`. It has one of everything that a device can have, fails to be
 * born at any step if it is told to, and in every callback checks that it may be called at all.
 *
 * Its bar holds, from the bottom up: registers (serialised), fast registers (concurrent), a ROM
 * device, a place for a region made at run time, RAM, and the bars of its children. Its bus
 * master space shows the machine's memory, and so itself.
 */
#include "cli/torture.h"

#include <stdlib.h>
#include <unistd.h>

/* --- What every callback checks ------------------------------------------------------------- */

static struct fh_torture_device *enter(void *state)
{
	struct fh_torture_device *const device = state;
	struct fh_torture *const t = device->t;

	fh_torture_check(t, device->canary == (FH_TORTURE_CANARY | device->serial),
			 "a callback has lost its device");
	fh_torture_check(t, device->ready, "a callback before the device was whole (L7)");
	fh_torture_check(t, !device->gone, "a callback after unrealize (L6)");
	/* Relaxed: a count. */
	atomic_fetch_add_explicit(&t->callbacks, 1, memory_order_relaxed);
	return device;
}

/* In the domain, where nobody else is. */
static struct fh_torture_device *enter_domain(void *state)
{
	struct fh_torture_device *const device = enter(state);

	device->calls++;
	return device;
}

/* --- Registers ------------------------------------------------------------------------------ */

static enum fh_tx regs_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	struct fh_torture_device *const device = enter_domain(state);
	uint64_t value;

	(void)size;
	(void)attrs;
	switch (offset & ~UINT64_C(7)) {
	case FH_TORTURE_REG_CANARY:
		value = device->canary;
		break;
	case FH_TORTURE_REG_SCRATCH:
		value = device->scratch;
		break;
	default:
		value = device->calls;
		break;
	}
	if ((offset & 0xff0) == 0xff0)
		return FH_TX_DEVICE_ERROR;
	*ret_value = value >> ((offset & 4) * 8);
	return FH_TX_OK;
}

static enum fh_tx regs_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	struct fh_torture_device *const device = enter_domain(state);

	(void)size;
	(void)attrs;
	if (offset == FH_TORTURE_REG_COMMAND) {
		device->random ^= value;
		fh_torture_act(device, value & 3);
	} else {
		device->scratch = value;
	}
	return FH_TX_OK;
}

static bool regs_accepts(void *state, uint64_t offset, unsigned size, bool write,
			 struct fh_attrs attrs)
{
	enter_domain(state);
	(void)size;
	return !(write && attrs.user && offset == FH_TORTURE_REG_COMMAND);
}

static const struct fh_region_ops regs_ops = {
	.read = regs_read,
	.write = regs_write,
	.accepts = regs_accepts,
	.valid = { .min = 1, .max = 8, .unaligned = true },
	.impl = { .min = 4, .max = 4 },
	.read_modify_write = true,
};

static enum fh_tx fast_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	struct fh_torture_device *const device = enter(state);

	(void)size;
	(void)attrs;
	/* Relaxed: a count. */
	atomic_fetch_add_explicit(&device->fast_calls, 1, memory_order_relaxed);
	*ret_value = offset == 0 ? device->canary : offset;
	return FH_TX_OK;
}

/* Without the domain: on to another address, or out of the read section for a while. */
static enum fh_tx fast_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	struct fh_torture_device *const device = enter(state);
	uint64_t random = value, loaded;

	(void)offset;
	(void)attrs;
	if (fh_torture_chance(&random, 64)) {
		fh_blocking_begin();
		usleep(fh_torture_pick(&random, 200));
		fh_blocking_end();
		enter(state);
		return FH_TX_OK;
	}
	/* A quarter of the way each time, so that a chain of these has an end. */
	if (size < 4 || value % 4 != 0)
		return FH_TX_OK;
	return fh_space_load(device->bus, fh_torture_any_addr(&random), size, FH_LE, attrs,
			     &loaded);
}

static const struct fh_region_ops fast_ops = {
	.read = fast_read,
	.write = fast_write,
	.valid = { .min = 1, .max = 8 },
	.order = FH_BE,
	.concurrent = true,
};

static enum fh_tx rom_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs)
{
	struct fh_torture_device *const device = enter_domain(state);

	(void)offset;
	(void)size;
	(void)attrs;
	fh_region_set_rom_mode(device->rom, value & 1);
	return FH_TX_OK;
}

static const struct fh_region_ops rom_ops = {
	.read = regs_read,
	.write = rom_write,
	.valid = { .min = 1, .max = 8 },
	.impl = { .min = 4, .max = 4 },
};

/* --- Lines, timers -------------------------------------------------------------------------- */

/*
 * A leaf: it only drives on. Lines run from older devices to younger ones, so that there is an
 * end.
 */
static void line_changed(void *state, bool level)
{
	struct fh_torture_device *const device = enter(state);

	device->changes++;
	if (device->serial % 3 == 0)
		fh_irq_set(device->out, level);
}

static void timer_expired(void *state)
{
	struct fh_torture_device *const device = enter_domain(state);

	if (fh_torture_chance(&device->random, 2))
		fh_timer_arm(device->timer, fh_machine_now(device->t->m) +
						    fh_torture_pick(&device->random, 1000000));
	fh_torture_act(device, 2);
}

static void bh_run(void *state)
{
	fh_torture_act(enter_domain(state), 2);
}

/* --- Realize -------------------------------------------------------------------------------- */

static enum fh_code make_regions(struct fh_torture_device *device, struct fh_error *err)
{
	struct fh_device *const owner = device->device;

	device->bar = fh_region_new_container(owner, "bar", FH_TORTURE_STEP);
	device->regs = fh_region_new_mmio(owner, "regs", FH_TORTURE_PAGE, &regs_ops, device);
	device->fast = fh_region_new_mmio(owner, "fast", FH_TORTURE_PAGE, &fast_ops, device);
	device->spare = fh_region_new_mmio(owner, "spare", FH_TORTURE_PAGE, &regs_ops, device);
	device->rom = fh_region_new_rom_device(owner, "rom", FH_TORTURE_PAGE, &rom_ops, device,
					       err);
	device->ram = fh_region_new_ram(owner, "ram", FH_TORTURE_RAM_BYTES, err);
	if (device->rom == NULL || device->ram == NULL)
		return fh_error_set(err, FH_EDEAD, "the device is being removed");
	fh_region_add(device->bar, device->regs, FH_TORTURE_REGS, 0);
	fh_region_add(device->bar, device->fast, FH_TORTURE_FAST, 0);
	fh_region_add(device->bar, device->rom, FH_TORTURE_ROM, 0);
	fh_region_add(device->bar, device->ram, FH_TORTURE_RAM, 0);
	return fh_device_export(owner, device->bar, err);
}

static enum fh_code make_lines(struct fh_torture_device *device, struct fh_error *err)
{
	struct fh_device *const owner = device->device;

	device->out = fh_irq_new(owner, "out");
	fh_irq_new_input(owner, "in", line_changed, device);
	device->timer = fh_timer_new(owner, "timer", timer_expired, device);
	device->bh = fh_bh_new(owner, "bh", bh_run, device);
	if (device->bh == NULL)
		return fh_error_set(err, FH_EDEAD, "the device is being removed");
	return FH_OK;
}

/* The bus shows the machine's memory; of every fourth device shifted, so that it shares no view. */
static enum fh_code make_bus(struct fh_torture_device *device, struct fh_error *err)
{
	struct fh_device *const owner = device->device;
	struct fh_torture *const t = device->t;
	struct fh_region *const window =
		fh_region_new_alias(owner, "window", t->system,
				    device->serial % 4 == 0 ? FH_TORTURE_PAGE : 0, FH_SIZE_ALL);

	device->bus_root = fh_region_new_container(owner, "bus-root", FH_SIZE_ALL);
	fh_region_add(device->bus_root, window, 0, 0);
	device->bus = fh_space_new(owner, "bus", device->bus_root);
	/* A space whose root is a region of the device that owns the space. */
	fh_space_new(owner, "self", device->regs);
	if (device->bus == NULL)
		return fh_error_set(err, FH_EDEAD, "the device is being removed");
	return FH_OK;
}

/* Of two children one is realized here, the other by the core. */
static enum fh_code make_kids(struct fh_torture_device *device, struct fh_error *err)
{
	static const char *const names[] = { "kid0", "kid1", "kid2" };

	for (uint32_t i = 0; i < device->kids && i < 3; i++) {
		const struct fh_type *const type =
			i == 1 ? &fh_torture_own_type : &fh_torture_device_type;
		struct fh_device *const kid =
			fh_device_new(device->device, type, names[i], NULL, err);

		if (kid == NULL)
			return err != NULL ? err->code : FH_EDEAD;
		/* The last one takes the failure that was asked of the parent's last step. */
		if (device->fail == 6)
			fh_torture_state(kid)->fail = 1 + (uint32_t)(device->serial % 4);
		if (i % 2 != 0)
			continue;

		const enum fh_code code = fh_device_realize(kid, err);

		if (code != FH_OK)
			return code;
		fh_region_add(device->bar, fh_torture_state(kid)->bar, FH_TORTURE_KIDS, (int)i);
	}
	return FH_OK;
}

/* What realize can be told to fail before. */
static enum fh_code (*const steps[])(struct fh_torture_device *device, struct fh_error *err) = {
	make_regions,
	make_lines,
	make_bus,
	make_kids,
};

static enum fh_code realize(struct fh_device *owner, void *state, struct fh_error *err)
{
	struct fh_torture_device *const device = state;
	struct fh_torture *const t = device->t;
	const uint32_t count = sizeof(steps) / sizeof(steps[0]);

	device->device = owner;
	device->gone = false;
	for (uint32_t i = 0; i < count; i++) {
		if (device->fail == i + 1)
			return fh_error_set(err, FH_EIO, "told to fail at step %u", i + 1);

		const enum fh_code code = steps[i](device, err);

		if (code != FH_OK)
			return code;
	}
	/* Half of them are in their place from the start. */
	if (device->serial % 2 == 0)
		fh_region_add(t->system, device->bar,
			      FH_TORTURE_BASE +
				      device->serial % FH_TORTURE_DEVICES * FH_TORTURE_STEP,
			      0);
	if (device->fail == count + 1)
		return fh_error_set(err, FH_EIO, "told to fail at the end");
	device->ready = true;
	/* Relaxed: a count. */
	atomic_fetch_add_explicit(&t->realized, 1, memory_order_relaxed);
	return FH_OK;
}

static void unrealize(struct fh_device *owner, void *state)
{
	struct fh_torture_device *const device = state;

	(void)owner;
	fh_torture_check(device->t, !device->gone, "unrealized twice");
	device->gone = true;
}

static void reset_hold(struct fh_device *owner, void *state, enum fh_reset_type type)
{
	(void)owner;
	(void)type;
	fh_torture_act(enter_domain(state), 0);
}

static void reset_phase(struct fh_device *owner, void *state, enum fh_reset_type type)
{
	(void)owner;
	(void)type;
	enter_domain(state);
}

/* --- The types ------------------------------------------------------------------------------ */

const struct fh_type fh_torture_anchor_type = {
	.name = "torture-anchor",
	.state_size = sizeof(struct fh_torture *),
};

const struct fh_type fh_torture_plain_type = { .name = "torture-plain" };

static enum fh_code init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct fh_torture_device *const device = state;
	struct fh_object *const anchor =
		fh_object_find_child(fh_object_get_machine(object), "torture");

	if (anchor == NULL)
		return fh_error_set(err, FH_EDEAD, "the run is over");
	device->t = *(struct fh_torture **)fh_object_state(anchor, &fh_torture_anchor_type);
	fh_object_unref(anchor);
	/* Relaxed: only distinct. */
	device->serial = atomic_fetch_add_explicit(&device->t->serials, 1, memory_order_relaxed);
	device->canary = FH_TORTURE_CANARY | device->serial;
	device->random = device->serial;
	return FH_OK;
}

static void dispose(struct fh_object *object, void *state)
{
	struct fh_torture_device *const device = state;
	char *label = NULL;

	fh_torture_check(device->t, !device->disposed, "disposed of twice (L5)");
	device->disposed = true;
	fh_torture_check(device->t, device->canary == (FH_TORTURE_CANARY | device->serial),
			 "disposed of when it had been finalized");
	/* Its own properties can still be read. */
	fh_torture_check(device->t,
			 fh_object_get_text(object, "label", &label, NULL) == FH_OK,
			 "a property cannot be read in dispose");
	free(label);
}

/* Of the derived type, which comes first in both. */
static void dispose_own(struct fh_object *object, void *state)
{
	const struct fh_torture_device *const device =
		fh_object_state(object, &fh_torture_device_type);

	(void)state;
	fh_torture_check(device->t, !device->disposed, "disposed of base first (L5)");
}

static void finalize_own(struct fh_object *object, void *state)
{
	const struct fh_torture_device *const device =
		fh_object_state(object, &fh_torture_device_type);

	(void)state;
	fh_torture_check(device->t, device->disposed && device->canary != FH_TORTURE_DEAD,
			 "finalized base first, or alive (L5)");
}

static void finalize(struct fh_object *object, void *state)
{
	struct fh_torture_device *const device = state;

	(void)object;
	fh_torture_check(device->t, device->disposed, "finalized and never disposed of (L5)");
	fh_torture_check(device->t, device->canary == (FH_TORTURE_CANARY | device->serial),
			 "finalized twice");
	device->canary = FH_TORTURE_DEAD;
	/* Relaxed: a count. */
	atomic_fetch_add_explicit(&device->t->finalized, 1, memory_order_relaxed);
}

static enum fh_code set_dial(struct fh_object *object, void *state, const struct fh_value *value,
			     struct fh_error *err)
{
	struct fh_torture_device *const device = state;

	(void)object;
	(void)err;
	device->calls++;
	/* Relaxed: the library reads the field from any thread. */
	atomic_store_explicit(&device->dial, (uint32_t)value->u, memory_order_relaxed);
	return FH_OK;
}

static const struct fh_property properties[] = {
	{ .name = "fail", .kind = FH_PROPERTY_U32,
	  .offset = offsetof(struct fh_torture_device, fail),
	  .description = "the step at which realize fails" },
	{ .name = "kids", .kind = FH_PROPERTY_U32,
	  .offset = offsetof(struct fh_torture_device, kids),
	  .description = "how many children it makes" },
	{ .name = "dial", .kind = FH_PROPERTY_U32,
	  .offset = offsetof(struct fh_torture_device, dial),
	  .flags = FH_PROPERTY_LIVE, .set = set_dial, .description = "settable at any time" },
	{ .name = "label", .kind = FH_PROPERTY_STRING,
	  .offset = offsetof(struct fh_torture_device, label), .flags = FH_PROPERTY_LIVE,
	  .description = "a text", .preset = "none" },
	{ .name = "friend", .kind = FH_PROPERTY_LINK,
	  .offset = offsetof(struct fh_torture_device, friend), .flags = FH_PROPERTY_LIVE,
	  .description = "a weak link to another device" },
	{ .name = NULL },
};

const struct fh_type fh_torture_device_type = {
	.name = "torture-device",
	.parent = &fh_device_type,
	.state_size = sizeof(struct fh_torture_device),
	.init = init,
	.dispose = dispose,
	.finalize = finalize,
	.properties = properties,
	.device = &(const struct fh_device_ops){
		.realize = realize,
		.unrealize = unrealize,
		.reset_enter = reset_phase,
		.reset_hold = reset_hold,
		.reset_exit = reset_phase,
	},
};

const struct fh_type fh_torture_own_type = {
	.name = "torture-own",
	.parent = &fh_torture_device_type,
	.dispose = dispose_own,
	.finalize = finalize_own,
	.device = &(const struct fh_device_ops){ .own_domain = true },
};
