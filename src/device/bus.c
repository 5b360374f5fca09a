/* SPDX-License-Identifier: MIT */
/*
 * Buses: slots, and the callbacks when devices come and go.
 *
 * R1. A slot and its device know each other, uncounted (L2), under the tree lock. Both ends take
 *     the link down: the device's detach, the bus's.
 * R2. `plugged` of a device is set after the callback of that name and before it is realized as
 *     seen from outside, and cleared by whoever calls `unplugged`, before the type's unrealize. Of
 *     these there is one at a time: the realizer, or who set `unrealizing`.
 * R3. Requests are callbacks of the controller and look at the device's shown bit in their section,
 *     so that the drain of a surprise removal waits for them: `unplugged` is the last.
 */
#include "freehold/bus.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "device/device.h"

struct fh_bus {
	struct fh_object object;
	struct fh_device *controller; /* C: pinned */
	const struct fh_bus_ops *ops; /* C */
	void *state;		      /* C */
	uint32_t count;		      /* C */
	struct fh_device **slots;     /* T; C the array */
};

/* --- Life ----------------------------------------------------------------------------------- */

static struct fh_bus *bus_of(struct fh_object *object)
{
	return (struct fh_bus *)object;
}

/* Tree lock held. */
static void slot_release_locked(struct fh_device *device)
{
	if (!device->bus)
		return;
	device->bus->slots[device->slot] = NULL;
	device->bus = NULL;
	device->slot_by_realize = false;
}

static void bus_detach(struct fh_object *object)
{
	struct fh_bus *bus = bus_of(object);

	fh_tree_acquire(object->machine);
	for (uint32_t i = 0; i < bus->count; i++)
		if (bus->slots[i])
			slot_release_locked(bus->slots[i]);
	fh_lock_release(&object->machine->tree_lock);
}

static void bus_finalize(struct fh_object *object)
{
	struct fh_bus *bus = bus_of(object);

	fh_free(bus->slots);
	fh_object_unhold(&bus->controller->object);
}

static struct fh_object *bus_held(struct fh_object *object)
{
	return &bus_of(object)->controller->object;
}

static const struct fh_core_ops bus_core = {
	.size = sizeof(struct fh_bus),
	.detach = bus_detach,
	.finalize = bus_finalize,
	.held_by_nature = bus_held,
	.held_as = "controller",
};

static const struct fh_type bus_type = { .name = "bus", .core = &bus_core };

static enum fh_code bus_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct fh_bus *from = arg;
	struct fh_bus *bus = bus_of(object);

	(void)err;
	bus->controller = from->controller;
	bus->ops = from->ops;
	bus->state = from->state;
	bus->count = from->count;
	bus->slots = fh_zalloc(bus->count * sizeof(bus->slots[0]));
	fh_object_hold(&bus->controller->object);
	return FH_OK;
}

struct fh_bus *fh_bus_new(struct fh_device *controller, const char *name,
			  const struct fh_bus_ops *ops, void *state, uint32_t slots)
{
	static const struct fh_bus_ops none;
	struct fh_bus from = {
		.controller = controller, .ops = ops ? ops : &none, .state = state, .count = slots
	};

	fh_assert(slots > 0 && slots <= FH_SLOTS_MAX);
	return (struct fh_bus *)fh_device_new_part(controller, name, &bus_type, bus_construct,
						   &from);
}

struct fh_bus *fh_device_bus(struct fh_device *controller, const char *name)
{
	struct fh_object *object = fh_object_find_child(controller, name);
	struct fh_object *bus = fh_object_cast(object, &bus_type);

	fh_object_unref(object);
	return (struct fh_bus *)bus;
}

uint32_t fh_bus_slots(struct fh_bus *bus)
{
	return bus->count;
}

/* --- Slots ---------------------------------------------------------------------------------- */

/* The bus that is the device's parent, or NULL. Tree lock held. */
static struct fh_bus *bus_above_locked(const struct fh_device *device)
{
	struct fh_object *parent = device->object.parent;

	return parent && parent->class->core == &bus_core ? bus_of(parent) : NULL;
}

static uint32_t slot_free(const struct fh_bus *bus)
{
	uint32_t slot = 0;

	while (slot < bus->count && bus->slots[slot])
		slot++;
	return slot;
}

/* Tree lock held. */
static enum fh_code slot_claim_locked(struct fh_device *device, uint32_t slot, struct fh_error *err)
{
	struct fh_bus *bus = bus_above_locked(device);
	const bool any = slot == FH_SLOT_ANY;

	if (!bus)
		return fh_error_set(err, FH_EINVAL, "its parent is not a bus");
	if (device->bus)
		return fh_error_set(err, FH_EBUSY, "it has slot %" PRIu32, device->slot);
	if (fh_object_has(&bus->object, FH_OBJECT_DETACHED) ||
	    fh_object_has(&device->object, FH_OBJECT_DETACHED))
		return fh_error_set(err, FH_EDEAD, "it is disposed of, or its bus is");
	if (any)
		slot = slot_free(bus);
	if (any && slot == bus->count)
		return fh_error_set(err, FH_ELIMIT, "all %" PRIu32 " slots of the bus are taken",
				    bus->count);
	if (slot >= bus->count)
		return fh_error_set(err, FH_ERANGE,
				    "there is no slot %" PRIu32 ": the bus has %" PRIu32, slot,
				    bus->count);
	if (bus->slots[slot]) {
		const char *name = fh_object_name(bus->slots[slot]);

		return fh_error_set(err, FH_EEXIST, "slot %" PRIu32 " is taken, by '%s'", slot,
				    name ? name : "");
	}
	bus->slots[slot] = device;
	device->bus = bus;
	device->slot = slot;
	return FH_OK;
}

enum fh_code fh_device_set_slot(struct fh_device *device, uint32_t slot, struct fh_error *err)
{
	struct fh_machine *m = device->object.machine;

	fh_tree_acquire(m);
	const enum fh_code code = slot_claim_locked(device, slot, err);

	fh_lock_release(&m->tree_lock);
	return code;
}

uint32_t fh_device_slot(struct fh_device *device)
{
	struct fh_machine *m = device->object.machine;

	fh_tree_acquire(m);
	const uint32_t slot = device->bus ? device->slot : FH_SLOT_ANY;

	fh_lock_release(&m->tree_lock);
	return slot;
}

struct fh_bus *fh_device_find_bus(struct fh_device *device)
{
	struct fh_machine *m = device->object.machine;

	fh_tree_acquire(m);
	struct fh_bus *bus = device->bus;

	if (bus && !fh_object_try_ref(&bus->object))
		bus = NULL;
	fh_lock_release(&m->tree_lock);
	return bus;
}

struct fh_device *fh_bus_find_device(struct fh_bus *bus, uint32_t slot)
{
	struct fh_machine *m = bus->object.machine;

	fh_tree_acquire(m);
	struct fh_device *device = slot < bus->count ? bus->slots[slot] : NULL;

	if (device && !fh_object_try_ref(device))
		device = NULL;
	fh_lock_release(&m->tree_lock);
	return device;
}

void fh_bus_leave(struct fh_device *device, bool only_by_realize)
{
	struct fh_machine *m = device->object.machine;

	fh_tree_acquire(m);
	if (!only_by_realize || device->slot_by_realize)
		slot_release_locked(device);
	fh_lock_release(&m->tree_lock);
}

struct fh_device *fh_bus_plug(struct fh_bus *bus, uint32_t slot, const struct fh_type *type,
			      const char *name, const struct fh_setting *settings,
			      struct fh_error *err)
{
	return fh_device_plug_at(&bus->object, slot, type, name, settings, err);
}

/* --- Callbacks ------------------------------------------------------------------------------ */

enum what { CHECK, PLUGGED, UNPLUGGED, REQUEST };

struct bus_call {
	struct fh_bus *bus; /* pinned */
	struct fh_device *device;
	uint32_t slot;
	enum what what;
	enum fh_code code;
	enum fh_unplug_answer answer;
	struct fh_error *err;
};

/* The device has a slot: its bus, pinned. False: it has none. */
static bool call_begin(struct bus_call *call)
{
	struct fh_machine *m = call->device->object.machine;

	fh_tree_acquire(m);
	call->bus = call->device->bus;
	call->slot = call->device->slot;
	if (call->bus)
		fh_object_hold(&call->bus->object);
	fh_lock_release(&m->tree_lock);
	return call->bus;
}

static void request_run(struct bus_call *call)
{
	const struct fh_bus_ops *ops = call->bus->ops;
	struct fh_error said = FH_ERROR_INIT; /* its code counts, also for who wants no error */

	/* R3 */
	if (!fh_object_is_shown(&call->device->object)) {
		call->code = fh_error_set(call->err, FH_EDEAD, "it is disposed of");
		return;
	}
	call->answer = ops->unplug_request(call->bus->state, call->device, call->slot, &said);
	if (call->answer != FH_UNPLUG_REFUSE)
		return;
	fh_error_set(&said, FH_EPERM, "the bus refuses");
	call->code = fh_error_set(call->err, said.code, "%s", said.message);
}

/* In the controller's domain. */
static void call_run(void *arg)
{
	struct bus_call *call = arg;
	const struct fh_bus_ops *ops = call->bus->ops;

	switch (call->what) {
	case CHECK:
		call->code = ops->check(call->bus->state, call->device, call->slot, call->err);
		break;
	case PLUGGED:
		call->code = ops->plugged(call->bus->state, call->device, call->slot, call->err);
		break;
	case UNPLUGGED:
		ops->unplugged(call->bus->state, call->device, call->slot);
		break;
	case REQUEST:
		request_run(call);
		break;
	}
}

static bool call_is_wanted(const struct bus_call *call)
{
	const struct fh_bus_ops *ops = call->bus->ops;

	switch (call->what) {
	case CHECK:
		return ops->check;
	case PLUGGED:
		return ops->plugged;
	case UNPLUGGED:
		return ops->unplugged;
	case REQUEST:
		return ops->unplug_request;
	}
	return false;
}

/* Call it, and let go of the bus. */
static enum fh_code call_end(struct bus_call *call)
{
	struct fh_object *controller = &call->bus->controller->object;
	struct fh_domain *domain = fh_device_domain(call->bus->controller);

	if (call_is_wanted(call) &&
	    !fh_chain_call_reentrant(domain, controller, &call->device->object,
				     call->what != REQUEST, call_run, call))
		call->code = fh_error_set(call->err, FH_EBUSY,
					  "the controller of its bus is out of reach");
	if (call->code != FH_OK)
		fh_error_set(call->err, call->code, "its bus refuses it with %s",
			     fh_code_name(call->code));
	fh_object_unhold(&call->bus->object);
	return call->code;
}

enum fh_code fh_bus_enter(struct fh_device *device, struct fh_error *err)
{
	struct fh_machine *m = device->object.machine;
	struct bus_call call = { .device = device, .what = CHECK, .err = err };
	enum fh_code code = FH_OK;

	fh_tree_acquire(m);
	if (bus_above_locked(device) && !device->bus) {
		code = slot_claim_locked(device, FH_SLOT_ANY, err);
		device->slot_by_realize = code == FH_OK;
	}
	fh_lock_release(&m->tree_lock);
	if (code != FH_OK || !call_begin(&call))
		return code;
	return call_end(&call);
}

enum fh_code fh_bus_plugged(struct fh_device *device, struct fh_error *err)
{
	struct bus_call call = { .device = device, .what = PLUGGED, .err = err };
	enum fh_code code;

	if (!call_begin(&call))
		return FH_OK;
	code = call_end(&call);
	if (code == FH_OK) {
		fh_tree_acquire(device->object.machine);
		device->plugged = true;
		device->unplug_requested = false;
		fh_lock_release(&device->object.machine->tree_lock);
	}
	return code;
}

void fh_bus_unplugged(struct fh_device *device)
{
	struct bus_call call = { .device = device, .what = UNPLUGGED };
	bool plugged;

	fh_tree_acquire(device->object.machine);
	plugged = device->plugged;
	device->plugged = false;
	fh_lock_release(&device->object.machine->tree_lock);
	if (plugged && call_begin(&call))
		call_end(&call);
}

/* --- Requests ------------------------------------------------------------------------------- */

static enum fh_code request_begin(struct fh_device *device, struct fh_error *err)
{
	struct fh_machine *m = device->object.machine;
	enum fh_code code = FH_OK;

	fh_tree_acquire(m);
	if (fh_object_has(&device->object, FH_OBJECT_REQUESTED | FH_OBJECT_HIDDEN))
		code = fh_error_set(err, FH_EDEAD, "it is disposed of");
	else if (!device->plugged)
		code = fh_error_set(err, FH_ENOTSUP, "it is not plugged into a bus");
	else if (device->unplug_requested)
		code = fh_error_set(err, FH_EBUSY, "its unplug has been asked for");
	else
		device->unplug_requested = true;
	fh_lock_release(&m->tree_lock);
	return code;
}

void fh_device_refuse_unplug(struct fh_device *device)
{
	struct fh_machine *m = device->object.machine;

	fh_tree_acquire(m);
	device->unplug_requested = false;
	fh_lock_release(&m->tree_lock);
}

bool fh_device_unplug_is_requested(struct fh_device *device)
{
	struct fh_machine *m = device->object.machine;

	fh_tree_acquire(m);
	const bool requested = device->unplug_requested;

	fh_lock_release(&m->tree_lock);
	return requested;
}

enum fh_code fh_device_request_unplug(struct fh_device *device, struct fh_error *err)
{
	struct bus_call call = {
		.device = device, .what = REQUEST, .answer = FH_UNPLUG_NOW, .err = err
	};
	enum fh_code code;

	fh_chain_assert_may_access(fh_thread_self());
	code = request_begin(device, err);
	if (code != FH_OK)
		return code;
	if (!call_begin(&call))
		return fh_error_set(err, FH_EDEAD, "it is disposed of");
	FH_POINT("bus.requested");
	code = call_end(&call);
	if (code != FH_OK)
		fh_device_refuse_unplug(device);
	else if (call.answer == FH_UNPLUG_NOW)
		fh_object_dispose(device);
	return code;
}
