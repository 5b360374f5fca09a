/* SPDX-License-Identifier: MIT */
/*
 * Who wants to know when an object is disposed of, and what its own link properties point to.
 *
 * Most objects are of no concern to anybody: the record is made on first use.
 *
 * R1. Everything here is guarded by the machine's links lock. The pointer to the record may be
 *     looked at without it, by fh_concern_peek().
 * R2. What hangs on an object here counts nothing (L2): its detach empties weaks, watches,
 *     revocations and links; the end of its leave empties held and replaced.
 * R3. Whoever takes the lists down has set a flag first, and looks for the record afterwards.
 *     Whoever puts something on makes the record first and then sees the flags through a
 *     modification of the same word: so one of the two comes later, and either is refused or finds
 *     the record.
 */
#ifndef OBJECT_CONCERN_H
#define OBJECT_CONCERN_H

#include "base/list.h"
#include "object/machine.h"
#include "object/object.h"

struct fh_concern {
	struct fh_list weaks;	    /* watch.c: weak references to it */
	struct fh_list watches;	    /* watch.c: watches on it */
	struct fh_list revocations; /* pin.c: revocable pins on it */
	struct fh_list links;	    /* property-link.c: weak and former link properties to it */
	struct fh_list watching;    /* watch.c: its own watches, told or not */
	struct fh_list held;	    /* property-link.c: its own link properties */
	struct fh_list replaced;    /* property-link.c: what these were when a realize began */
	struct fh_own_table *own;   /* property-own.c: properties of this object alone; NULL: none */
};

/*
 * The record, made if there is none, to put something on one of its lists (R3); @flags are set in
 * the object. NULL if one of the flags @closed, such as FH_OBJECT_DETACHED, was set already.
 */
struct fh_concern *fh_concern_open(struct fh_machine *m, struct fh_object *object, uint32_t flags,
				   uint32_t closed) FH_REQUIRES(&m->links_lock);

/* The record, or NULL: nothing was on its lists when the caller last modified the flags. */
static inline struct fh_concern *fh_concern_peek(struct fh_object *object)
{
	/* Acquire: pairs with the release in fh_concern_open(). */
	return atomic_load_explicit(&object->concern, memory_order_acquire);
}

/* Before the object's memory goes: all lists are empty (asserted). NULL record: nothing to do. */
void fh_object_concern_free(struct fh_object *object);

#endif
