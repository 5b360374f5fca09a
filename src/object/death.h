/* SPDX-License-Identifier: MIT */
/* The parts of a dispose of which undo.c makes its own: see death.c for the rules. */
#ifndef OBJECT_DEATH_H
#define OBJECT_DEATH_H

#include "object/object.h"

/* L6.1, of @top with all below it. */
void fh_death_hide(struct fh_object *top);

/* Whether something in @top's subtree is blocked or claimed (undo.c R1). Tree lock held. */
bool fh_death_blocked_locked(struct fh_object *top);

/*
 * The whole, on any thread, of what was never shown, so that there is nothing to drain. @keep: it
 * has a parent that goes as well (family.h R4). @first: it was the caller who set REQUESTED. The
 * caller holds a pin.
 */
void fh_death_unseen(struct fh_object *object, bool keep, bool first);

/* The same for regions, lines and timers; by whoever set REQUESTED. */
void fh_death_immediate(struct fh_object *object, bool keep);

#endif
