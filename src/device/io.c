/* SPDX-License-Identifier: MIT */
/*
 * An operation in flight, which may outlive its device (L4): a holder of its own. It stands outside
 * the tree, so that the device's dispose does not end its pins; it pins the device, so that its
 * completion finds the device's memory; and its end, which comes with its completion, releases
 * both.
 *
 * R1. The maker's ref is the only one that the library gives out: fh_io_complete() takes it back.
 * R2. The device is pinned from birth to finalize (L1). That it is an operation of some kind, which
 *     is what the ledger is to say, is one more pin, in the operation's name, until it is complete.
 * R3. What is called for it (room, revocations) is a callback of the device's, and it has no state
 *     of its own: so its completion, after which nothing more is called, waits for nothing.
 */
#include "device/device.h"

struct fh_io {
	struct fh_object object;
	struct fh_device *device; /* C: pinned */
};

static void io_finalize(struct fh_object *object)
{
	fh_object_unhold(&((struct fh_io *)object)->device->object);
}

static struct fh_object *io_held(struct fh_object *object)
{
	return &((struct fh_io *)object)->device->object;
}

static const struct fh_core_ops io_core = {
	.size = sizeof(struct fh_io),
	.finalize = io_finalize,
	.called_as_other = true,
	.held_by_nature = io_held,
};

static const struct fh_type io_type = { .name = "io", .core = &io_core };

struct fh_device *fh_io_device(struct fh_object *object)
{
	return object->class->core == &io_core ? ((struct fh_io *)object)->device : NULL;
}

static enum fh_code io_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	struct fh_device *device = arg;

	(void)err;
	((struct fh_io *)object)->device = device;
	fh_object_hold(&device->object);
	return FH_OK;
}

struct fh_io *fh_io_begin(struct fh_device *device, const char *kind)
{
	struct fh_object *io = fh_object_create(device->object.machine, NULL, NULL, &io_type,
						io_construct, device, NULL);

	fh_assert(io);
	if (!fh_object_pin(device, io, kind))
		io = fh_object_unref(io);
	return (struct fh_io *)io;
}

struct fh_io *fh_io_complete(struct fh_io *io, void (*done)(void *state), void *state)
{
	if (!io)
		return NULL;
	struct fh_device *device = io->device;

	if (done)
		fh_chain_call(fh_device_domain(device), &device->object, &io->object, false, done,
			      state);
	return fh_object_unref(io);
}
