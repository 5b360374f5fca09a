/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: a device type, from its init to its finalize: properties, realize
 * and its undoing, a child device, reset in three phases, lines, timers and bottom halves.
 * docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <stdio.h>
#include <stdlib.h>

/* --- A FIFO: a device that is a part of another --------------------------------------------- */

struct fifo {
	uint32_t depth, used;
};

static const struct fh_property fifo_properties[] = {
	{ .name = "depth", .kind = FH_PROPERTY_U32, .preset = "16",
	  .offset = offsetof(struct fifo, depth) },
	{ 0 },
};

static void fifo_reset_hold(struct fh_device *device, void *state, enum fh_reset_type type)
{
	(void)device, (void)type;
	((struct fifo *)state)->used = 0;
}

static const struct fh_type fifo_type = {
	.name = "fifo", .parent = &fh_device_type, .state_size = sizeof(struct fifo),
	.properties = fifo_properties,
	.device = &(const struct fh_device_ops){ .reset_hold = fifo_reset_hold }
};

/* --- A port --------------------------------------------------------------------------------- */

enum { REG_DATA = 0, REG_TICKS = 4 };

struct port {
	struct fh_device *self;
	struct fifo *fifo;
	struct fh_irq *irq;     /* an output */
	struct fh_irq *enable;  /* an input */
	struct fh_timer *timer;
	struct fh_bh *bh;
	char *label;            /* the property's: the core frees it */
	uint32_t period;
	_Atomic bool enabled;   /* told by whoever drives the line: see fh_irq_new_input() */
	unsigned ticks;
	uint8_t *history;       /* from init to finalize */
	uint8_t *scratch;       /* from realize to unrealize */
};

static const struct fh_property port_properties[] = {
	{ .name = "label", .kind = FH_PROPERTY_STRING, .offset = offsetof(struct port, label) },
	{ .name = "period", .kind = FH_PROPERTY_U32, .preset = "1000",
	  .flags = FH_PROPERTY_LIVE, /* also when it is realized */
	  .offset = offsetof(struct port, period), .description = "us" },
	{ 0 },
};

static void port_enable(void *state, bool level)
{
	((struct port *)state)->enabled = level;
}

static void port_expired(void *state)
{
	struct port *port = state;

	fh_bh_schedule(port->bh);
}

static void port_run(void *state)
{
	struct port *port = state;

	port->ticks++;
	fh_irq_raise(port->irq);
}

static enum fh_tx port_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	struct port *port = state;

	(void)size, (void)attrs;
	*ret_value = offset == REG_TICKS ? port->ticks : port->fifo->used;
	return FH_TX_OK;
}

static enum fh_tx port_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	struct port *port = state;
	struct fh_machine *m = fh_object_get_machine(port->self);

	(void)value, (void)size, (void)attrs;
	if (offset != REG_DATA || port->fifo->used == port->fifo->depth)
		return FH_TX_DEVICE_ERROR;
	port->fifo->used++;
	if (port->enabled)
		fh_timer_arm(port->timer, fh_machine_now(m) + port->period * UINT64_C(1000));
	return FH_TX_OK;
}

static const struct fh_region_ops port_regs = {
	.read = port_read, .write = port_write, .valid = { .min = 4, .max = 4 }
};

/* instance_init: what cannot fail for a user's reasons, and needs no property. */
static enum fh_code port_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct port *port = state;
	struct fh_device *fifo = fh_device_new(object, &fifo_type, "fifo", NULL, err);

	if (!fifo)
		return err ? err->code : FH_EINVAL;
	port->self = (struct fh_device *)object;
	port->fifo = fh_device_state(fifo);
	port->history = calloc(1, 64);
	return FH_OK;
}

/* What is made here the library undoes if a later line fails, and so the fifo's realize. */
static enum fh_code port_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct port *port = state;

	if (port->period == 0)
		return fh_error_set(err, FH_EINVAL, "a period of 0");
	port->irq = fh_irq_new(device, "irq");
	port->enable = fh_irq_new_input(device, "enable", port_enable, port);
	port->timer = fh_timer_new(device, "timer", port_expired, port);
	port->bh = fh_bh_new(device, "bh", port_run, port);

	struct fh_region *regs = fh_region_new_mmio(device, "regs", 0x1000, &port_regs, port);
	const enum fh_code code = fh_device_export(device, regs, err);

	if (code == FH_OK) /* last: what the library does not know of it cannot undo */
		port->scratch = malloc(64);
	return code;
}

/* No callback of the device runs any more. Nothing to unmap, unparent, disconnect or cancel. */
static void port_unrealize(struct fh_device *device, void *state)
{
	struct port *port = state;

	(void)device;
	free(port->scratch);
	port->scratch = NULL;
}

/* Enter: forget. Hold: drive lines. Exit: start. Each over the whole subtree before the next. */
static void port_reset_enter(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct port *port = state;

	(void)device, (void)type;
	port->ticks = 0;
	fh_timer_cancel(port->timer);
}

static void port_reset_hold(struct fh_device *device, void *state, enum fh_reset_type type)
{
	(void)device, (void)type;
	fh_irq_lower(((struct port *)state)->irq);
}

/* instance_finalize: only memory. Most types have none. */
static void port_finalize(struct fh_object *object, void *state)
{
	(void)object;
	free(((struct port *)state)->history);
}

static const struct fh_type port_type = {
	.name = "port", .parent = &fh_device_type, .state_size = sizeof(struct port),
	.init = port_init, .finalize = port_finalize, .properties = port_properties,
	.device = &(const struct fh_device_ops){
		.realize = port_realize, .unrealize = port_unrealize,
		.reset_enter = port_reset_enter, .reset_hold = port_reset_hold }
};

/* --- A board -------------------------------------------------------------------------------- */

static const struct fh_device_ops switch_ops;
static const struct fh_type switch_type = {
	.name = "switch", .parent = &fh_device_type, .device = &switch_ops
};

static enum fh_code switch_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)state, (void)err;
	fh_irq_raise(fh_irq_new(device, "on"));
	return FH_OK;
}

static const struct fh_device_ops switch_ops = { .realize = switch_realize };

/* A board shows a property of a part as its own. */
static bool name_it(struct fh_device *toggle, struct fh_device *port)
{
	uint64_t period = 0;

	return fh_object_add_alias(toggle, "speed", port, "period", NULL) == FH_OK &&
	       fh_object_set_text(toggle, "speed", "200", NULL) == FH_OK &&
	       fh_object_get_u64(port, "period", &period, NULL) == FH_OK && period == 200;
}

static bool run(struct fh_machine *m, struct fh_device *port, struct fh_device *toggle)
{
	struct fh_space *memory = fh_machine_memory(m);
	uint32_t value = 0;

	fh_region_add(fh_space_root(memory), fh_device_region(port, "regs"), 0x10000000, 0);
	fh_irq_connect(fh_device_irq(toggle, "on"), fh_device_irq(port, "enable"));

	fh_space_store32(memory, 0x10000000, 'a', FH_LE);
	while (!fh_irq_level(fh_device_irq(port, "irq")))
		fh_machine_poll(m);
	fh_machine_reset(m, FH_RESET_COLD);
	return !fh_irq_level(fh_device_irq(port, "irq")) &&
	       fh_space_load32(memory, 0x10000000, FH_LE, &value) == FH_TX_OK && value == 0 &&
	       fh_object_set_u64(port, "period", 5, NULL) == FH_OK;
}

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_error err = FH_ERROR_INIT;
	const struct fh_setting wrong[] = { { "period", "0" }, { 0 } };
	const struct fh_setting settings[] = { { "period", "100" }, { 0 } };

	if (fh_device_plug(m, &port_type, "port", wrong, &err))
		return 1;
	printf("%s\n", err.message);
	fh_error_clear(&err);

	/* For those made from now on, unless they say otherwise. */
	fh_machine_set_default(m, "port", "label", "com", &err);

	struct fh_device *port = fh_device_plug(m, &port_type, "port", settings, &err);
	struct fh_device *toggle = fh_device_plug(m, &switch_type, "switch", NULL, &err);

	if (!port || !toggle)
		return printf("%s\n", err.message), 1;

	const bool good = name_it(toggle, port) && run(m, port, toggle);

	fh_device_unplug(port); /* the timer armed, the line connected, the region mapped: no matter */
	fh_device_unplug(toggle);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}
