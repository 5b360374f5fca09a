/* SPDX-License-Identifier: MIT */
/*
 * What a device is: its type, its birth, its domain, the regions and lines that it offers. How it
 * is realized and how that is undone is realize.c.
 *
 * R1. A device's domain is fixed when it is first asked for and never changes: who engages it may
 *     keep the pointer as long as it keeps the device.
 * R2. An exported region is not kept by the device layer (L2): the export is a number in the
 *     region, which goes with it.
 */
#include "device/device.h"

#include <string.h>

#include "base/alloc.h"
#include "freehold/bus.h"
#include "memory/region.h"

/* --- The type ------------------------------------------------------------------------------- */

/* What a derived type does not give it has from its base, but for own_domain. */
static const struct fh_device_ops *device_merge(const struct fh_device_ops *base,
						const struct fh_device_ops *derived)
{
	static const struct fh_device_ops none;
	struct fh_device_ops *ops = fh_new(struct fh_device_ops);

	base = base ? base : &none;
	derived = derived ? derived : &none;
	ops->realize = derived->realize ? derived->realize : base->realize;
	ops->unrealize = derived->unrealize ? derived->unrealize : base->unrealize;
	ops->reset_enter = derived->reset_enter ? derived->reset_enter : base->reset_enter;
	ops->reset_hold = derived->reset_hold ? derived->reset_hold : base->reset_hold;
	ops->reset_exit = derived->reset_exit ? derived->reset_exit : base->reset_exit;
	ops->own_domain = derived->own_domain;
	return ops;
}

static void device_finalize(struct fh_object *object)
{
	struct fh_device *device = fh_device_of(object);

	fh_free(device->levels);
	/* Relaxed: nobody else has the device any more. */
	fh_domain_unref(atomic_load_explicit(&device->domain, memory_order_relaxed));
}

static void device_detach(struct fh_object *object)
{
	fh_bus_leave(fh_device_of(object), false);
}

static const struct fh_core_ops device_core = {
	.size = sizeof(struct fh_device),
	.hidden_at_birth = true,
	.detach = device_detach,
	.finalize = device_finalize,
	.merge = device_merge,
};

const struct fh_type fh_device_type = { .name = "device", .abstract = true, .core = &device_core };

void *fh_device_state(struct fh_device *device)
{
	return (char *)device + device->object.class->state_offset;
}

bool fh_device_is_realized(struct fh_device *device)
{
	return fh_object_has(&device->object, FH_OBJECT_REALIZED);
}

/* --- Domains -------------------------------------------------------------------------------- */

/* The nearest device at or above @object, or NULL. Tree lock held. */
static struct fh_device *device_at_or_above(struct fh_object *object)
{
	while (object && !fh_object_is_device(object))
		object = object->parent;
	return object ? fh_device_of(object) : NULL;
}

static struct fh_domain *domain_peek(struct fh_device *device)
{
	/* Acquire: pairs with the release in domain_fix_locked(). */
	return atomic_load_explicit(&device->domain, memory_order_acquire);
}

/* Who brings the domain in which @device is: itself, or the nearest above that has one or must. */
static struct fh_device *domain_bringer(struct fh_device *device)
{
	struct fh_device *up;

	while (!domain_peek(device) && !device->object.class->device->own_domain &&
	       (up = device_at_or_above(device->object.parent)))
		device = up;
	return device;
}

/* Tree lock held. */
static struct fh_domain *domain_fix_locked(struct fh_device *device)
{
	struct fh_device *bringer = domain_bringer(device);
	struct fh_domain *domain = domain_peek(bringer);

	if (!domain) {
		domain = fh_domain_new();
		atomic_store_explicit(&bringer->domain, domain, memory_order_release);
		/* Its finalize, where the domain goes, shall wait for a grace period: lock.h R2. */
		fh_object_set_flags(&bringer->object, FH_OBJECT_FINDABLE);
	}
	for (; device != bringer; device = device_at_or_above(device->object.parent)) {
		atomic_store_explicit(&device->domain, fh_domain_ref(domain),
				      memory_order_release);
		fh_object_set_flags(&device->object, FH_OBJECT_FINDABLE);
	}
	return domain;
}

struct fh_domain *fh_device_domain(struct fh_device *device)
{
	struct fh_domain *domain = domain_peek(device);

	if (FH_LIKELY(domain))
		return domain;
	fh_tree_acquire(device->object.machine);
	domain = domain_fix_locked(device);
	fh_lock_release(&device->object.machine->tree_lock);
	return domain;
}

struct fh_domain *fh_device_domain_of(struct fh_object *owner)
{
	struct fh_domain *domain = NULL;
	struct fh_device *device;

	if (fh_object_is_device(owner))
		return fh_device_domain(fh_device_of(owner));
	fh_tree_acquire(owner->machine);
	device = device_at_or_above(owner);
	if (device)
		domain = domain_fix_locked(device);
	fh_lock_release(&owner->machine->tree_lock);
	return domain;
}

bool fh_device_call(struct fh_device *device, void (*call)(void *state), void *state)
{
	return fh_chain_call(fh_device_domain(device), &device->object, &device->object, false,
			     call, state);
}

/* --- Birth ---------------------------------------------------------------------------------- */

static bool is_device_type(const struct fh_type *type)
{
	while (type && type != &fh_device_type)
		type = type->parent;
	return type;
}

/* Takes a ref for the maker: a birth under a parent ends with the parent's alone, and from then on
 * anybody may dispose of the device. */
static enum fh_code device_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	struct fh_object **made = arg;

	(void)err;
	*made = fh_object_ref(object);
	return FH_OK;
}

static enum fh_code apply_settings(struct fh_device *device, const struct fh_setting *settings,
				   struct fh_error *err)
{
	for (; settings && settings->name; settings++) {
		const enum fh_code code = fh_object_set_text(device, settings->name,
							     settings->text, err);

		if (code != FH_OK)
			return code;
	}
	return FH_OK;
}

/* As fh_device_new(); a ref for the caller besides the parent's. */
static struct fh_device *device_make(struct fh_object *parent, const struct fh_type *type,
				     const char *name, const struct fh_setting *settings,
				     struct fh_error *err)
{
	struct fh_object *made = NULL;

	if (!is_device_type(type)) {
		fh_error_set(err, FH_ETYPE, "the type '%s' is not a type of device", type->name);
		return NULL;
	}
	if (!fh_object_create(parent->machine, parent, name, type, device_construct, &made, err)) {
		fh_object_unref(made);
		return NULL;
	}
	if (apply_settings(fh_device_of(made), settings, err) != FH_OK) {
		fh_object_abort_birth(made);
		return NULL;
	}
	return fh_device_of(made);
}

static void name_error(struct fh_error *err, const struct fh_type *type, const char *name)
{
	fh_error_prefix(err, "%s '%s': ", type->name, name ? name : "");
}

struct fh_device *fh_device_new(FH_ANY parent, const struct fh_type *type, const char *name,
				const struct fh_setting *settings, struct fh_error *err)
{
	struct fh_device *device = device_make(fh_object_of(parent), type, name, settings, err);

	if (!device)
		name_error(err, type, name);
	else
		fh_object_unref(device);
	return device;
}

/* Within a frame of the parent's, so that its dispose does not overtake what this does. */
static struct fh_device *device_plug(struct fh_object *parent, uint32_t slot,
				     const struct fh_type *type, const char *name,
				     const struct fh_setting *settings, struct fh_error *err)
{
	struct fh_device *device = device_make(parent, type, name, settings, err);

	if (!device) {
		name_error(err, type, name);
		return NULL;
	}
	if (slot != FH_SLOT_ANY && fh_device_set_slot(device, slot, err) != FH_OK) {
		name_error(err, type, name);
		fh_object_abort_birth(&device->object);
		return NULL;
	}
	if (fh_device_realize(device, err) != FH_OK) {
		fh_object_abort_birth(&device->object);
		return NULL;
	}
	fh_object_unref(device);
	return device;
}

struct fh_device *fh_device_plug_at(struct fh_object *parent, uint32_t slot,
				    const struct fh_type *type, const char *name,
				    const struct fh_setting *settings, struct fh_error *err)
{
	struct fh_device *device = NULL;
	struct fh_frame frame;

	if (!fh_frame_begin(&frame, parent)) {
		fh_error_set(err, FH_EDEAD, "the parent is disposed of");
		name_error(err, type, name);
		return NULL;
	}
	device = device_plug(parent, slot, type, name, settings, err);
	fh_frame_end(&frame);
	return device;
}

struct fh_device *fh_device_plug(FH_ANY parent, const struct fh_type *type, const char *name,
				 const struct fh_setting *settings, struct fh_error *err)
{
	return fh_device_plug_at(fh_object_of(parent), FH_SLOT_ANY, type, name, settings, err);
}

struct fh_device *fh_device_plug_named(FH_ANY parent_any, const char *type_name, const char *name,
				       const struct fh_setting *settings, struct fh_error *err)
{
	struct fh_object *parent = fh_object_of(parent_any);
	const struct fh_type *type = fh_machine_find_type(parent->machine, type_name);

	if (!type) {
		fh_error_set(err, FH_ENOENT, "no type has the name '%s'", type_name);
		return NULL;
	}
	return fh_device_plug(parent, type, name, settings, err);
}

struct fh_device *fh_device_unplug(struct fh_device *device)
{
	fh_object_dispose(device);
	return NULL;
}

struct fh_object *fh_device_new_part(struct fh_device *device, const char *name,
				     const struct fh_type *type,
				     enum fh_code (*construct)(struct fh_object *object, void *arg,
							       struct fh_error *err),
				     void *arg)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_object *part = fh_object_create(device->object.machine, &device->object, name,
						  type, construct, arg, &err);

	if (!part && err.code != FH_EDEAD)
		fh_panic("%s '%s' of a device: %s", type->name, name ? name : "", err.message);
	return part;
}

/* --- Exports -------------------------------------------------------------------------------- */

enum fh_code fh_device_export(struct fh_device *device, struct fh_region *region,
			      struct fh_error *err)
{
	struct fh_machine *m = device->object.machine;
	enum fh_code code = FH_OK;

	if (!region || fh_object_is_disposed(region))
		return fh_error_set(err, FH_EDEAD, "the region is disposed of");
	if (region->owner != &device->object)
		return fh_error_set(err, FH_EINVAL, "the region is not the device's");
	fh_tree_acquire(m);
	if (region->export_number != 0)
		code = fh_error_set(err, FH_EEXIST, "the region is exported already");
	else if (device->exports == UINT16_MAX)
		code = fh_error_set(err, FH_ELIMIT, "a device exports at most %d regions",
				    UINT16_MAX);
	else
		region->export_number = (uint16_t)++device->exports;
	fh_lock_release(&m->tree_lock);
	return code;
}

/* The exported region of that number, or with that name. Tree lock held. */
static struct fh_region *exported_locked(struct fh_device *device, unsigned number,
					 const char *name)
{
	struct fh_object *top = &device->object;

	for (struct fh_object *o = fh_object_next_locked(top, top); o;
	     o = fh_object_next_locked(o, top)) {
		if (o->parent != top || !fh_object_cast(o, &fh_region_type))
			continue;
		struct fh_region *region = fh_region_of(o);

		if (region->export_number == 0)
			continue;
		if (name ? fh_object_name(o) && strcmp(fh_object_name(o), name) == 0 :
			   region->export_number == number)
			return region;
	}
	return NULL;
}

static struct fh_region *exported(struct fh_device *device, unsigned number, const char *name)
{
	struct fh_machine *m = device->object.machine;
	struct fh_region *region;

	fh_tree_acquire(m);
	region = exported_locked(device, number, name);
	fh_lock_release(&m->tree_lock);
	return region;
}

struct fh_region *fh_device_region(struct fh_device *device, const char *name)
{
	return exported(device, 0, name);
}

struct fh_region *fh_device_region_at(struct fh_device *device, unsigned index)
{
	return index < UINT16_MAX ? exported(device, index + 1, NULL) : NULL;
}
