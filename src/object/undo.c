/* SPDX-License-Identifier: MIT */
/*
 * What is undone on the thread on which it failed (L7): a realize, or a birth. Nothing of that was
 * shown, so that there is nothing to drain.
 *
 * R1. What is undone is claimed. That is counted like a callback that blocks, so that whoever
 *     disposes of it, or of something above, waits for it in the drain (L6) and finds it done. Who
 *     is past the drain has set TAKEN, under the same lock: nothing of that can be claimed.
 * R2. What is not this thread's to undo is disposed of by control: what was shown before it was put
 *     there, as callbacks of it may run (USED); what is taken; and what came late and has such a
 *     thing below it (RESERVED), with all the rest that is below that: children leave before their
 *     parents, in one order. What is not USED is unrealized at once all the same, in its turn.
 * R3. What has come late goes with all below it, also with what is older. It stays claimed, and so
 *     in memory, until the whole is undone.
 * R4. What is put somewhere below an object before its birth is over is late if that is: it belongs
 *     to it.
 * R5. What is about to be undone is closed, in the moment when all below it is claimed: whatever
 *     joins, or is realized there, does so before that or is refused.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "object/death.h"
#include "object/machine.h"
#include "object/pin.h"

/* --- Claims --------------------------------------------------------------------------------- */

/* As if a callback of it had blocked: a drain waits. Tree lock held. */
static void claim_locked(struct fh_object *object)
{
	fh_object_hold(object);
	/* Relaxed: under the tree lock, as the look at it. */
	atomic_fetch_add_explicit(&object->blocked, 1, memory_order_relaxed);
}

bool fh_object_claim_locked(struct fh_object *object, const struct fh_object *top)
{
	for (const struct fh_object *o = object; o != top; o = o->parent)
		if (fh_object_has(o, FH_OBJECT_TAKEN))
			return false;
	/* This flag brings about a drain if it is disposed of itself. */
	fh_object_set_flags(object, FH_OBJECT_EXPOSED);
	claim_locked(object);
	return true;
}

void fh_object_unclaim(struct fh_object *object)
{
	/* Release: pairs with the acquire in fh_death_blocked_locked(). */
	if (atomic_fetch_sub_explicit(&object->blocked, 1, memory_order_acq_rel) == 1)
		fh_gate_open(&object->machine->drained);
	fh_object_unhold(object);
}

/* --- A realize (L7) ------------------------------------------------------------------------- */

/* Under the tree lock, with which what is born joins, and has a later number than this then. */
uint64_t fh_object_mark(struct fh_object *object)
{
	struct fh_machine *m = object->machine;

	fh_tree_acquire(m);
	fh_ledger_acquire(m);
	const uint64_t mark = m->orders;

	fh_lock_release(&m->ledger_lock);
	fh_lock_release(&m->tree_lock);
	fh_holding_mark(object);
	fh_concern_mark(object);
	fh_properties_mark_links(object);
	fh_properties_mark_own(object);
	return mark;
}

static int compare_late(const void *a, const void *b)
{
	const struct fh_object *x = *(struct fh_object *const *)a;
	const struct fh_object *y = *(struct fh_object *const *)b;

	return x->order > y->order ? -1 : x->order < y->order;
}

/* @object lies below @top. Tree lock held. */
static bool is_late_locked(const struct fh_object *object, const struct fh_object *top,
			   uint64_t mark)
{
	while (object->inner != 0) {
		const struct fh_object *unborn = object; /* R4: what it belongs to */

		for (unsigned steps = object->inner; steps > 0 && unborn != top; steps--)
			unborn = unborn->parent;
		if (unborn == top)
			break;
		object = unborn;
	}
	return object->order > mark;
}

/* Whether @object, or what is above it, came late and has one of @flags. Tree lock held. */
static bool is_marked_locked(const struct fh_object *object, const struct fh_object *top,
			     uint64_t mark, uint32_t flags)
{
	for (const struct fh_object *o = object; o && o != top; o = o->parent)
		if (o->order > mark && fh_object_has(o, flags))
			return true;
	return false;
}

bool fh_object_is_used_locked(const struct fh_object *object, const struct fh_object *top,
			      uint64_t mark)
{
	return is_marked_locked(object, top, mark, FH_OBJECT_USED);
}

/* R2: what came late and is above @object. Tree lock held. */
static void reserve_above_locked(struct fh_object *object, struct fh_object *top, uint64_t mark)
{
	for (struct fh_object *o = object->parent; o != top; o = o->parent)
		if (o->order > mark)
			fh_object_set_flags(o, FH_OBJECT_RESERVED);
}

static void late_add(struct fh_late *late, struct fh_object *object)
{
	if (late->count == late->room) {
		late->room = late->room ? late->room * 2 : 16;
		late->objects = fh_realloc(late->objects, late->room * sizeof(*late->objects));
	}
	late->objects[late->count++] = object;
}

/* Tree lock held. */
static void take_late_locked(struct fh_object *top, uint64_t mark, struct fh_late *ret)
{
	for (struct fh_object *o = fh_object_next_locked(top, top); o;
	     o = fh_object_next_locked(o, top)) {
		if (!is_late_locked(o, top, mark))
			continue;
		const bool claimed = fh_object_claim_locked(o, top);

		if (claimed)
			late_add(ret, o);
		if (!claimed || fh_object_has(o, FH_OBJECT_USED)) {
			reserve_above_locked(o, top, mark);
			ret->others = true;
		}
	}
	if (ret->count > 0)
		qsort(ret->objects, ret->count, sizeof(*ret->objects), compare_late);
}

void fh_object_claim_late(struct fh_object *object, uint64_t mark, struct fh_late *ret)
{
	fh_tree_acquire(object->machine);
	take_late_locked(object, mark, ret);
	fh_lock_release(&object->machine->tree_lock);
}

void fh_object_unclaim_late(struct fh_late *late)
{
	for (size_t i = 0; i < late->count; i++)
		fh_object_unclaim(late->objects[i]);
	fh_free(late->objects);
}

/* R5. Tree lock held. */
static void close_locked(struct fh_object *top)
{
	for (struct fh_object *o = top; o; o = fh_object_next_locked(o, top))
		fh_object_set_flags(o, FH_OBJECT_HIDDEN | FH_OBJECT_CLOSED);
}

/*
 * All of @object, which is claimed, is this thread's to undo at once, and closed; @ret: what is
 * below it now. False: it is for control (R2). Tree lock held.
 */
static bool close_late_locked(struct fh_object *object, struct fh_object *top, uint64_t mark,
			      struct fh_late *ret)
{
	if (fh_object_has(object, FH_OBJECT_USED | FH_OBJECT_RESERVED))
		return false;
	take_late_locked(object, 0, ret);
	if (ret->others) {
		fh_object_set_flags(object, FH_OBJECT_RESERVED);
		reserve_above_locked(object, top, mark);
		return false;
	}
	close_locked(object);
	return true;
}

/* Claimed. True: something has happened. */
static bool undo_late(struct fh_object *object, struct fh_object *top, uint64_t mark)
{
	const bool immediate = object->class->core->immediate;
	struct fh_machine *m = object->machine;
	struct fh_late below = { 0 };

	fh_tree_acquire(m);
	const struct fh_object *parent = object->parent; /* NULL: it has left */
	bool mine = parent &&
		    !is_marked_locked(parent, top, mark, FH_OBJECT_USED | FH_OBJECT_RESERVED);
	const bool keep = mine && parent != top && is_late_locked(parent, top, mark);
	const bool at_once = mine && (immediate || close_late_locked(object, top, mark, &below));

	fh_lock_release(&m->tree_lock);
	if (at_once) {
		const bool first =
			!(fh_object_set_flags(object, FH_OBJECT_REQUESTED) & FH_OBJECT_REQUESTED);

		if (!immediate)
			fh_death_unseen(object, keep, first);
		else if (first)
			fh_death_immediate(object, keep);
		else
			mine = false;
	} else if (mine) {
		mine = !fh_object_has(object, FH_OBJECT_REQUESTED);
		fh_object_dispose(object); /* by control: a realize never waits */
	}
	fh_object_unclaim_late(&below);
	return mine;
}

void fh_object_rollback(struct fh_object *object, uint64_t mark)
{
	bool any;

	/* Again, as callbacks of what is disposed of may have made more. */
	do {
		struct fh_late late = { 0 };

		any = false;
		fh_object_claim_late(object, mark, &late);
		for (size_t i = 0; i < late.count; i++)
			any |= undo_late(late.objects[i], object, mark);
		fh_object_unclaim_late(&late);
	} while (any);
}

void fh_object_rollback_own(struct fh_object *object)
{
	fh_properties_rollback_links(object);
	fh_properties_rollback_own(object);
	fh_holding_rollback(object);
	fh_concern_rollback(object);
}

/* --- A birth (L7) --------------------------------------------------------------------------- */

/*
 * An owner that is no device is shown from the start (L7): callbacks below it, or in its name (R5),
 * may be running.
 */
static bool may_be_in_use(struct fh_object *object)
{
	return !object->class->core->hidden_at_birth &&
	       (fh_object_has(object, FH_OBJECT_EXPOSED) || fh_holding_may_call(object)) &&
	       fh_object_has(object, FH_OBJECT_SHOWN | FH_OBJECT_HIDDEN);
}

/*
 * All of it claimed, for the calling thread to undo; whoever disposes of something above waits.
 * False: somebody does so already, or is at work in a part of it, so that control has to do the
 * whole.
 */
static bool take_unborn(struct fh_object *object, struct fh_late *ret)
{
	struct fh_machine *m = object->machine;

	fh_tree_acquire(m);
	/* What is not counted here is refused, as it is closed: see realize_begin(). */
	bool mine = !fh_object_has(object, FH_OBJECT_HIDDEN) && !may_be_in_use(object) &&
		    !fh_death_blocked_locked(object);

	if (mine) {
		take_late_locked(object, 0, ret);
		mine = !ret->others;
	}
	if (mine) {
		claim_locked(object);
		close_locked(object);
		fh_object_set_flags(object, FH_OBJECT_TAKEN);
	}
	fh_lock_release(&m->tree_lock);
	return mine;
}

static void abort_unseen(struct fh_object *object)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_late late = { 0 };
	const bool mine = take_unborn(object, &late);

	if (mine) {
		/* Control may be waiting for the claims: nothing called here waits for it. */
		t->undoing++;
		fh_death_unseen(object, false, true);
		t->undoing--;
	} else {
		fh_death_hide(object);
		fh_object_hold(object); /* the queue's (L1) */
		fh_control_queue(object);
		fh_machine_kick(object->machine);
	}
	fh_object_unclaim_late(&late);
	if (mine)
		fh_object_unclaim(object);
}

void fh_object_abort_birth(struct fh_object *object)
{
	fh_object_settle(object, 0);
	if (may_be_in_use(object))
		fh_object_dispose(object);
	/* Whoever asks first has it done: if that was another thread, control does. */
	else if (!(fh_object_set_flags(object, FH_OBJECT_REQUESTED) & FH_OBJECT_REQUESTED))
		abort_unseen(object);
	fh_object_unref(object);
}
