/* SPDX-License-Identifier: MIT */
/*
 * Devices, and what a machine keeps for them: the queue of what its poll runs, the lock of its
 * lines.
 *
 * R1. Fields marked T are guarded by the machine's tree lock, E by fh_devices.lock, I by the line
 *     lock, K by the clock lock, C are constant from birth. E, I and K are leaves: no foreign code
 *     but the loop's `post` and `timer` runs under them.
 * R2. What belongs to a device (line, timer, bottom half) is a child of it, and pins it from birth
 *     to its own finalize (L1). What it asks for before it is shown takes effect when it is shown
 *     (L7).
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "base/list.h"
#include "base/lock.h"
#include "device/heap.h"
#include "freehold/device.h"
#include "memory/chain.h"
#include "object/machine.h"
#include "object/object.h"

struct fh_device {
	struct fh_object object;
	_Atomic(struct fh_domain *) domain; /* set once, T for writing */
	unsigned exports;		    /* T: regions exported so far */

	/* bus.c */
	struct fh_bus *bus;    /* T: in a slot of which it is, or NULL */
	uint32_t slot;	       /* T */
	bool slot_by_realize;  /* T: it had none before its realize */
	bool plugged;	       /* T */
	bool unplug_requested; /* T */

	/* realize.c */
	struct fh_thread *realizer;	   /* T: who realizes it at this moment, or NULL */
	uint64_t sequence;		   /* T: when its realization completed, as all others */
	unsigned exports_before;	   /* T: `exports` when its realize began */
	uint64_t *levels;		   /* realizer: by depth, when it was realized; 0: not */
	bool unrealizing;		   /* T: in somebody's heap of those to be unrealized */
	struct fh_heap_node unrealize_node; /* of who set unrealizing */
};

struct fh_devices {
	struct fh_lock lock;	/* E */
	struct fh_heap timers;	/* E: armed, by deadline */
	uint64_t arms;		/* E: of two equal deadlines the one armed first is first */
	uint64_t told_deadline; /* E: what the loop knows */
	struct fh_list due;	/* E: timers that this poll runs */
	struct fh_list bhs;	/* E: bottom halves scheduled */
	struct fh_list due_bhs; /* E: those that this poll runs */
	struct fh_list resets;	/* E: asked for where they could not be done */
	bool polling;		/* E: some thread polls or drains */
	bool missed;		/* E: another was turned away meanwhile */
	struct fh_gate idle;	/* opened when polling ends */

	struct fh_lock line_lock; /* I: connections of all lines */
	struct fh_list opened;	  /* I: lines to be told that their device is shown; each pinned */

	struct fh_lock clock_lock; /* K: clocks, see clock.c */
	struct fh_list clocks;	   /* K: to be told of their periods; each pinned */
	bool clocks_telling;	   /* K: some thread tells */
};

static inline bool fh_object_is_device(const struct fh_object *object)
{
	return object->class->device != NULL;
}

/* The device that @object is. */
static inline struct fh_device *fh_device_of(struct fh_object *object)
{
	return (struct fh_device *)object;
}

/* --- device.c ------------------------------------------------------------------------------- */

/* The domain of its callbacks (borrowed from the device), fixed when first asked for. */
struct fh_domain *fh_device_domain(struct fh_device *device);
/* The same for whatever @owner is: of the nearest device above it, or NULL. */
struct fh_domain *fh_device_domain_of(struct fh_object *owner);

/*
 * Make what belongs to a device: a child @name of type @type. NULL only if the device has been
 * detached; a name that is taken or no name is a programmer's error.
 */
struct fh_object *fh_device_new_part(struct fh_device *device, const char *name,
				     const struct fh_type *type,
				     enum fh_code (*construct)(struct fh_object *object, void *arg,
							       struct fh_error *err),
				     void *arg);

/* fh_device_plug() into a slot of the parent, which is a bus, unless that is FH_SLOT_ANY. */
struct fh_device *fh_device_plug_at(struct fh_object *parent, uint32_t slot,
				    const struct fh_type *type, const char *name,
				    const struct fh_setting *settings, struct fh_error *err);

/* --- bus.c ---------------------------------------------------------------------------------- */

/* If the device's parent is a bus: take a slot, if it has none, and ask whether it may come. */
enum fh_code fh_bus_enter(struct fh_device *device, struct fh_error *err);
/* It is realized. */
enum fh_code fh_bus_plugged(struct fh_device *device, struct fh_error *err);
/* It goes, if it was plugged. Under no lock. */
void fh_bus_unplugged(struct fh_device *device);
/* Its slot is free; or only if its realize took it. */
void fh_bus_leave(struct fh_device *device, bool only_by_realize);

/* --- realize.c ------------------------------------------------------------------------------ */

/*
 * A frame for what runs outside of read sections and without a domain, and may block: it is counted
 * at @owner from the start, so that the drain of whatever disposes of @owner waits for it (L6), and
 * disposals asked for inside are queued instead of waited for. False: @owner is hidden already.
 */
bool fh_frame_begin(struct fh_frame *frame, struct fh_object *owner);
void fh_frame_end(struct fh_frame *frame);

/* fh_machine_ops.unrealize and .may_join. */
void fh_device_unrealize_below(struct fh_object *top);
bool fh_device_may_join(struct fh_object *parent, struct fh_object *child);

/* --- reset.c, timer.c, irq.c, io.c ---------------------------------------------------------- */

/* Run what is queued; true if anything was. On the polling thread, under no lock. */
bool fh_resets_run(struct fh_machine *m);
bool fh_bhs_run(struct fh_machine *m);
bool fh_timers_run(struct fh_machine *m);
/* Let lines drive and be driven whose device has just been shown. In no transaction. */
void fh_irqs_open(struct fh_machine *m);

/*
 * Tell clocks that have changed, or whose device has just been shown. Under no lock but topology.
 */
void fh_clocks_tell(struct fh_machine *m);

/* The device of an operation in flight, or NULL if @object is none. */
struct fh_device *fh_io_device(struct fh_object *object);

#endif
