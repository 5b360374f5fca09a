/* SPDX-License-Identifier: MIT */
/*
 * Buses: what devices are plugged into, and who is asked and told when they come and go.
 *
 * A bus belongs to a device, its controller, and has slots, by number: what the bus calls an
 * address. Devices on it are its children in the tree, and go with it. A slot keeps nothing alive,
 * and is free again when its device has been detached.
 *
 * plug: a slot is taken, check() may refuse, the device is realized with all below it, plugged()
 * may refuse, the device is shown. Whatever refuses undoes what came before, unseen by the guest.
 * unplug: the device is hidden, drained, unplugged() is called, then it is unrealized.
 */
#ifndef FREEHOLD_BUS_H
#define FREEHOLD_BUS_H

#include <freehold/device.h>

FH_BEGIN_DECLS

/** Any free slot, the lowest; none. */
#define FH_SLOT_ANY UINT32_MAX
/** The most slots that a bus can have. */
#define FH_SLOTS_MAX 65536

/** What a bus says to the request of an unplug. */
enum fh_unplug_answer {
	FH_UNPLUG_NOW,	 /**< go on: the device is unplugged when the callback has returned */
	FH_UNPLUG_LATER, /**< the guest is asked: fh_device_unplug() or fh_device_refuse_unplug() */
	FH_UNPLUG_REFUSE /**< no; the callback may have set an error */
};

/**
 * A bus's callbacks, all optional. All are callbacks of the controller, in its domain, with the
 * state that fh_bus_new() was given; the device is borrowed. They may change what is mapped, drive
 * lines, schedule; they do not realize, and do not wait. Where a realize comes from a callback of
 * another domain (see fh_device_realize()), the controller's may be out of reach: then check and
 * plugged count as refused, with FH_EBUSY, and an unplugged that undoes is not called.
 */
struct fh_bus_ops {
	/** May this device, which is not realized, be plugged into the slot? */
	enum fh_code (*check)(void *state, struct fh_device *device, uint32_t slot,
			      struct fh_error *err);
	/** It is realized, and shown next; or refuse, and it is not. */
	enum fh_code (*plugged)(void *state, struct fh_device *device, uint32_t slot,
				struct fh_error *err);
	/** See fh_device_request_unplug(). NULL: FH_UNPLUG_NOW. */
	enum fh_unplug_answer (*unplug_request)(void *state, struct fh_device *device,
						uint32_t slot, struct fh_error *err);
	/**
	 * It goes, asked for or by surprise; once for each plugged that succeeded, or would have
	 * been called. Also when the controller goes itself, maybe after its own unrealize.
	 */
	void (*unplugged)(void *state, struct fh_device *device, uint32_t slot);
};

/**
 * A bus of @slots slots, 1 to FH_SLOTS_MAX (borrowed: child @name of @controller). @ops (borrowed,
 * may be NULL) and @state stay as long as the bus. NULL if the device has been detached. A name
 * that is taken is a programmer's error (asserted).
 */
FH_API struct fh_bus *fh_bus_new(struct fh_device *controller, const char *name,
				 const struct fh_bus_ops *ops, void *state, uint32_t slots);
/** A child bus by name, or NULL (borrowed). */
FH_API struct fh_bus *fh_device_bus(struct fh_device *controller, const char *name);
/** How many slots it has. */
FH_API uint32_t fh_bus_slots(struct fh_bus *bus);
/** The device in a slot, realized or not (ref taken), or NULL. */
FH_API struct fh_device *fh_bus_find_device(struct fh_bus *bus, uint32_t slot);

/**
 * fh_device_plug() with the bus as parent, into that slot; what is plugged there without one
 * (FH_SLOT_ANY, or fh_device_plug() itself) takes the lowest that is free. Errors besides its own:
 * FH_EEXIST the slot is taken; FH_ERANGE there is no such slot; FH_ELIMIT none is free; whatever
 * check and plugged return.
 */
FH_API struct fh_device *fh_bus_plug(struct fh_bus *bus, uint32_t slot, const struct fh_type *type,
				     const char *name, const struct fh_setting *settings,
				     struct fh_error *err);
/**
 * Reserve a slot for a device that was made with a bus as parent, before it is realized. Errors as
 * fh_bus_plug(); FH_EINVAL its parent is no bus; FH_EBUSY it has one; FH_EDEAD either is detached.
 */
FH_API enum fh_code fh_device_set_slot(struct fh_device *device, uint32_t slot,
				       struct fh_error *err);
/** Its slot, or FH_SLOT_ANY if it has none. */
FH_API uint32_t fh_device_slot(struct fh_device *device);
/** The bus in a slot of which it is (ref taken), or NULL. */
FH_API struct fh_bus *fh_device_find_bus(struct fh_device *device);

/**
 * Ask the bus for the end of a device, which the caller has a ref or pin of. FH_OK: it was
 * unplugged (as by fh_device_unplug(), and with its contexts), or will be when the guest agrees. To
 * remove it without asking is fh_device_unplug(), also while it is being asked for.
 * Errors: FH_EBUSY asked for already; FH_ENOTSUP the device is not plugged into a bus; FH_EDEAD it
 * is disposed of, or its bus; where unplug_request refuses, the code of the error that it has set,
 * or FH_EPERM.
 * Context: as fh_device_call(), and in callbacks of the controller.
 */
FH_API enum fh_code fh_device_request_unplug(struct fh_device *device, struct fh_error *err);
/** Between a request that was not refused and the end. */
FH_API bool fh_device_unplug_is_requested(struct fh_device *device);
/** The guest has refused: the request is over. Any context; without a request nothing happens. */
FH_API void fh_device_refuse_unplug(struct fh_device *device);

FH_END_DECLS

#endif
