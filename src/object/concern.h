/* SPDX-License-Identifier: MIT */
/*
 * Who wants to know when an object is disposed of, and what its own link properties point to.
 *
 * Most objects are of no concern to anybody: the record is made on first use.
 *
 * R1. Everything here is guarded by the machine's links lock.
 * R2. What hangs on an object here counts nothing (L2): its detach empties weaks, watches, revocations
 *     and links; the end of its leave empties held.
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
	struct fh_list links;	    /* property-link.c: weak link properties that point to it */
	struct fh_list watching;    /* watch.c: its own watches, told or not */
	struct fh_list held;	    /* property-link.c: its own link properties that point somewhere */
};

/* The object's record, made if there is none. Never NULL. */
struct fh_concern *fh_object_concern(struct fh_object *object)
	FH_REQUIRES(&object->machine->links_lock);

/* Before the object's memory goes: all lists are empty (asserted). NULL record: nothing to do. */
void fh_object_concern_free(struct fh_object *object);

#endif
