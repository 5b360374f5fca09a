/* SPDX-License-Identifier: MIT */
/*
 * Dispose, in the one order of law L6: hide, drain, unrealize, detach, leave.
 *
 * R1. Every step is idempotent and may find that another thread has done it for a part of the
 *     subtree: whoever sets a flag first does the work.
 * R2. Steps that only take down links run in one transaction, in which a subtree only grows: what
 *     is immediate leaves the tree in a transaction too, and all else that is in it has been
 *     drained or claimed by who is at work there (undo.c R1).
 * R3. Foreign code (unrealize, revocations, watches, dispose callbacks) runs outside of all locks.
 * R4. Who calls these functions holds a pin of the object.
 * R5. What is not EXPOSED has nothing below it and was never realized: nothing of it can be in a
 *     view, or in a callback but for one that comes with a pin in its name (room.h). For it no step
 *     needs a transaction, nor, if there never was such a pin, a drain; it is looked at under the
 *     tree lock, with which a child joins.
 */
#include "object/death.h"

#include "base/rcu.h"
#include "object/machine.h"
#include "object/pin.h"

/* R5: sets @flags, that keep it so, of what is not exposed. False: it is. */
static bool mark_alone(struct fh_object *object, uint32_t flags)
{
	if (fh_object_has(object, FH_OBJECT_EXPOSED))
		return false;
	fh_tree_acquire(object->machine);
	const bool alone = !fh_object_has(object, FH_OBJECT_EXPOSED);

	if (alone)
		fh_object_set_flags(object, flags);
	fh_lock_release(&object->machine->tree_lock);
	return alone;
}

/* --- Hide (L6.1) ---------------------------------------------------------------------------- */

/* False: it is exposed, and has to be hidden as a whole. */
static bool hide_alone(struct fh_object *object)
{
	struct fh_machine *m = object->machine;

	if (object->class->core->shown_changed)
		return false;
	fh_tree_acquire(m);
	const bool alone = !fh_object_has(object, FH_OBJECT_EXPOSED);

	if (alone) {
		fh_object_set_flags(object, FH_OBJECT_HIDDEN);
		fh_holding_slow(object);
		fh_object_clear_flags(object, FH_OBJECT_SHOWN);
	}
	fh_lock_release(&m->tree_lock);
	return alone;
}

void fh_death_hide(struct fh_object *top)
{
	struct fh_machine *m = top->machine;

	if (hide_alone(top)) {
		FH_POINT("dispose.hidden");
		return;
	}
	m->ops->edit_begin(m);
	/*
	 * Looked at in the transaction: who hides something above holds the topology lock until
	 * that is published, and a drain that began earlier would wait for the wrong grace period.
	 */
	if (fh_object_has(top, FH_OBJECT_HIDDEN)) {
		m->ops->edit_commit(m);
		return;
	}
	fh_tree_acquire(m);
	for (struct fh_object *o = top; o; o = fh_object_next_locked(o, top)) {
		fh_object_set_flags(o, FH_OBJECT_HIDDEN);
		fh_holding_slow(o);
		const uint32_t were = fh_object_clear_flags(o, FH_OBJECT_SHOWN);

		if ((were & FH_OBJECT_SHOWN) && o->class->core->shown_changed)
			o->class->core->shown_changed(o);
	}
	fh_lock_release(&m->tree_lock);
	m->ops->edit_commit(m);
	FH_POINT("dispose.hidden");
}

/* --- Drain (L6.2) --------------------------------------------------------------------------- */

bool fh_death_blocked_locked(struct fh_object *top)
{
	for (struct fh_object *o = top; o; o = fh_object_next_locked(o, top))
		/* Acquire: what a callback did precedes what its device's unrealize sees. */
		if (atomic_load_explicit(&o->blocked, memory_order_acquire) != 0)
			return true;
	return false;
}

/* False: something in it is blocked or claimed. */
static bool take_drained(struct fh_object *top)
{
	fh_tree_acquire(top->machine);
	const bool drained = !fh_death_blocked_locked(top);

	if (drained)
		fh_object_set_flags(top, FH_OBJECT_TAKEN);
	fh_lock_release(&top->machine->tree_lock);
	return drained;
}

/*
 * After the grace period each callback that began before hide has returned, or is counted in
 * `blocked` until it does (L6): it was counted inside the section that it left.
 */
static void drain(struct fh_object *top)
{
	struct fh_machine *m = top->machine;

	FH_POINT("drain.synchronize");
	fh_rcu_synchronize();
	FH_POINT("drain.before-count");
	for (;;) {
		const uint32_t key = fh_gate_enter(&m->drained);

		if (take_drained(top))
			break;
		fh_gate_wait(&m->drained, key, FH_WAIT_FOREVER);
	}
	FH_POINT("drain.done");
}

/* --- Detach (L6.4) -------------------------------------------------------------------------- */

static void cut_links(struct fh_object *object)
{
	fh_concern_clear(object);
	fh_concern_unwatch(object);
	fh_holding_close(object);
}

/* In a transaction. */
static void detach_one(struct fh_object *object)
{
	struct fh_machine *m = object->machine;

	/* Under the tree lock: a child joins before this, or is refused. */
	fh_tree_acquire(m);
	fh_object_set_flags(object, FH_OBJECT_DETACHED);
	fh_lock_release(&m->tree_lock);
	if (object->class->core->detach)
		object->class->core->detach(object);
	cut_links(object);
}

/* False: it is exposed, or of a kind that has links of its own. */
static bool detach_alone(struct fh_object *object)
{
	if (object->class->core->detach || !mark_alone(object, FH_OBJECT_DETACHED))
		return false;
	cut_links(object);
	return true;
}

static void detach(struct fh_object *top)
{
	struct fh_machine *m = top->machine;
	struct fh_object *object = top;

	if (!detach_alone(top)) {
		m->ops->edit_begin(m);
		while (object) {
			detach_one(object);
			FH_POINT("detach.one");
			/* Nothing leaves the subtree meanwhile (R2): object is still in it. */
			fh_tree_acquire(m);
			object = fh_object_next_locked(object, top);
			fh_lock_release(&m->tree_lock);
		}
		m->ops->edit_commit(m);
	}
	FH_POINT("dispose.detached");
}

/* --- Leave (L6.5) --------------------------------------------------------------------------- */

/*
 * What was never drained may have pins on it that are to be revoked: by control, in whose callbacks
 * nobody stands. The caller has set REQUESTED, so that it is not on the queue.
 */
static void tell_later(struct fh_object *object)
{
	if (!fh_concern_has_notices(object))
		return;
	fh_object_hold(object);
	fh_control_queue(object);
	fh_machine_kick(object->machine);
}

/*
 * One word: either this sees SETTLED, or fh_object_settle() sees DISPOSING. @keep: the parent goes
 * as well (family.h R4).
 */
static void leave_one(struct fh_object *object, bool keep)
{
	const uint32_t were =
		fh_object_set_flags(object, FH_OBJECT_DISPOSING | FH_OBJECT_REQUESTED);

	if (!(were & FH_OBJECT_DISPOSING) && (were & FH_OBJECT_SETTLED))
		fh_object_call_dispose(object);
	fh_properties_drop_links(object);
	fh_object_unlink(object, keep);
	if (!(were & FH_OBJECT_REQUESTED))
		tell_later(object);
}

bool fh_object_settle(struct fh_object *object, uint32_t flags)
{
	uint32_t were = atomic_load_explicit(&object->flags, memory_order_relaxed);
	uint32_t now;

	/* What left before it was born never is: its maker is told that there is nothing. */
	do
		now = were | FH_OBJECT_SETTLED | (were & FH_OBJECT_DISPOSING ? 0 : flags);
	while (!atomic_compare_exchange_weak_explicit(&object->flags, &were, now,
						      memory_order_seq_cst, memory_order_relaxed));
	if ((were & FH_OBJECT_SETTLED) || !(were & FH_OBJECT_DISPOSING))
		return false;
	fh_object_call_dispose(object);
	fh_properties_drop_links(object);
	return true;
}

/* The child created last of the child created last ... of @top, or itself; pinned. */
static struct fh_object *take_lowest(struct fh_object *top)
{
	struct fh_object *object = top;

	fh_tree_acquire(top->machine);
	for (struct fh_object *child = top; child; child = fh_object_last_child_locked(object))
		object = child;
	fh_object_hold(object);
	fh_lock_release(&top->machine->tree_lock);
	return object;
}

static void leave(struct fh_object *top, bool keep)
{
	/* No child can have come since the detach. */
	if (!fh_object_has(top, FH_OBJECT_EXPOSED)) {
		leave_one(top, keep);
		return;
	}
	for (bool done = false; !done;) {
		struct fh_object *object = take_lowest(top);

		done = object == top;
		leave_one(object, !done || keep);
		fh_object_unhold(object);
	}
}

/* --- The whole ------------------------------------------------------------------------------ */

/* What waited for the end of an object that was never drained. */
static void tell_of_the_dead(struct fh_object *object)
{
	if (!fh_concern_has_notices(object))
		return;
	fh_rcu_synchronize();
	fh_concern_revoke_below(object);
	fh_concern_notify_below(object);
}

void fh_object_dispose_now(struct fh_object *object)
{
	struct fh_machine *m = object->machine;

	if (fh_object_has(object, FH_OBJECT_LEFT)) {
		tell_of_the_dead(object);
	} else {
		/* Nobody claims what is taken. */
		const bool exposed = !mark_alone(object, FH_OBJECT_TAKEN);

		/* Hidden it is, but whoever did it may not have published that. */
		if (exposed)
			fh_death_hide(object);
		if (exposed || fh_holding_is_there(object))
			drain(object);
		fh_concern_revoke_below(object);
		if (exposed)
			m->ops->unrealize(object);
		FH_POINT("dispose.before-detach");
		detach(object);
		fh_concern_notify_below(object);
		leave(object, false);
		FH_POINT("dispose.left");
	}
	fh_object_unhold(object);
}

void fh_death_unseen(struct fh_object *object, bool keep, bool first)
{
	fh_object_set_flags(object, FH_OBJECT_HIDDEN);
	object->machine->ops->unrealize(object);
	detach(object);
	fh_concern_notify_below(object);
	leave(object, keep);
	if (first)
		tell_later(object);
}

void fh_death_immediate(struct fh_object *object, bool keep)
{
	struct fh_machine *m = object->machine;

	if (object->class->core->leaf)
		m->ops->edit_join(m);
	else
		m->ops->edit_begin(m);
	fh_object_set_flags(object, FH_OBJECT_HIDDEN);
	fh_object_clear_flags(object, FH_OBJECT_SHOWN);
	detach_one(object);
	fh_properties_drop_links(object);
	fh_object_unlink(object, keep);
	m->ops->edit_commit(m);
	tell_later(object);
}

/*
 * The end of an object that nobody else has: never shown nor findable, no children, no parent, no
 * pins on it. What it costs is what making and dropping an object costs, so it takes no lock and no
 * locked operation that it does not need.
 */
static void die_alone(struct fh_object *object)
{
	const struct fh_core_ops *core = object->class->core;
	struct fh_machine *m = object->machine;

	fh_object_set_flags_alone(object, FH_OBJECT_REQUESTED | FH_OBJECT_HIDDEN |
						  FH_OBJECT_DETACHED);
	if (core->detach) {
		m->ops->edit_begin(m);
		core->detach(object);
		m->ops->edit_commit(m);
	}
	fh_concern_unwatch(object);
	fh_holding_close(object);
	fh_object_call_dispose(object);
	fh_properties_drop_links(object);
	if (fh_object_is_alone(object, FH_LIFE_PIN)) {
		fh_object_set_flags_alone(object, FH_OBJECT_LEFT);
		/* Relaxed: alone. */
		atomic_store_explicit(&object->life, 0, memory_order_relaxed);
		fh_object_last_unhold(object);
		return;
	}
	fh_object_set_flags(object, FH_OBJECT_LEFT);
	fh_object_unhold(object);
}

void fh_object_last_unref(struct fh_object *object)
{
	/* R5: it may be so at this moment, by who has a pin. Then control drains it. */
	const bool may_be_called =
		fh_holding_may_call(object) && !object->class->core->called_as_other;

	if (!object->class->core->immediate && fh_object_is_alone(object, FH_LIFE_PIN) &&
	    !fh_object_has(object, FH_OBJECT_REQUESTED) && !may_be_called) {
		die_alone(object);
		return;
	}
	/* Whoever asks first has it done; the pin of all refs passes to it until that ends (L1). */
	if (fh_object_set_flags(object, FH_OBJECT_REQUESTED) & FH_OBJECT_REQUESTED) {
		fh_object_unhold(object);
		return;
	}
	FH_POINT("unref.last");
	if (object->class->core->immediate) {
		fh_death_immediate(object, false);
		fh_object_unhold(object);
	} else if (!fh_object_has(object, FH_OBJECT_EXPOSED) && !may_be_called) {
		fh_death_unseen(object, false, true);
		fh_object_unhold(object);
	} else {
		fh_death_hide(object);
		fh_control_queue(object);
		fh_machine_kick(object->machine);
	}
}

/* A pin, unless the object is gone already but for its memory. */
static bool try_hold(struct fh_object *object)
{
	uint64_t life = atomic_load_explicit(&object->life, memory_order_relaxed);

	do {
		if (life == 0)
			return false;
		/* Relaxed: the caller has the object. */
	} while (!atomic_compare_exchange_weak_explicit(&object->life, &life, life + FH_LIFE_PIN,
							memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

/* Somebody else has asked for the dispose and may not be at it yet. The caller holds a pin. */
static void wait_until_left(struct fh_object *object)
{
	struct fh_machine *m = object->machine;

	while (!fh_object_has(object, FH_OBJECT_LEFT)) {
		const uint32_t key = fh_gate_enter(&m->drained);

		fh_gate_wait(&m->drained, key, 200000);
		fh_control_run(m, NULL);
	}
}

void fh_object_dispose(FH_ANY any)
{
	struct fh_object *object = fh_object_of(any);

	if (!object)
		return;
	struct fh_machine *m = object->machine;
	const bool first =
		!(fh_object_set_flags(object, FH_OBJECT_REQUESTED) & FH_OBJECT_REQUESTED);

	if (object->class->core->immediate) {
		if (first) {
			fh_object_hold(object);
			fh_death_immediate(object, false);
			fh_object_unhold(object);
		}
		return;
	}
	const bool wait = fh_thread_may_wait();

	if (first)
		fh_object_hold(object); /* the queue's (L1) */
	else if (fh_object_has(object, FH_OBJECT_LEFT) || !try_hold(object))
		return; /* asked for by somebody else, who was done before this is */
	fh_death_hide(object);
	if (first && !wait)
		fh_control_queue(object);
	FH_POINT("dispose.requested");
	if (first && wait) {
		fh_control_run(m, object);
	} else if (first) {
		fh_machine_kick(m);
	} else {
		if (wait) {
			fh_control_run(m, NULL);
			wait_until_left(object);
		}
		fh_object_unhold(object);
	}
}
