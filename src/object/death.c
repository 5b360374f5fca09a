/* SPDX-License-Identifier: MIT */
/*
 * Dispose, in the one order of law L6: hide, drain, unrealize, detach, leave.
 *
 * R1. Every step is idempotent and may find that another thread has done it for a part of the
 *     subtree: whoever sets a flag first does the work.
 * R2. Steps that only take down links run in one transaction. What leaves the tree does so inside a
 *     transaction of its own, so that inside one a subtree only grows: control and the threads on
 *     which births fail work in one another's subtrees.
 * R3. Foreign code (unrealize, revocations, watches, dispose callbacks) runs outside of all locks.
 * R4. Who calls these functions holds a pin of the object.
 * R5. What is not EXPOSED has nothing below it and was never realized: nothing of it can be in a
 *     view, or in a callback but for one that comes with a pin in its name (room.h). For it no step
 *     needs a transaction, nor, if there never was such a pin, a drain; it is looked at under the
 *     tree lock, with which a child joins.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "object/machine.h"
#include "object/pin.h"

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

static void hide(struct fh_object *top)
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

static bool blocked_below(struct fh_object *top)
{
	struct fh_machine *m = top->machine;
	bool any = false;

	fh_tree_acquire(m);
	for (struct fh_object *o = top; o && !any; o = fh_object_next_locked(o, top))
		/* Acquire: what a callback did precedes what its device's unrealize sees. */
		any = atomic_load_explicit(&o->blocked, memory_order_acquire) != 0;
	fh_lock_release(&m->tree_lock);
	return any;
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

		if (!blocked_below(top))
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
	struct fh_machine *m = object->machine;

	if (object->class->core->detach)
		return false;
	fh_tree_acquire(m);
	const bool alone = !fh_object_has(object, FH_OBJECT_EXPOSED);

	if (alone)
		fh_object_set_flags(object, FH_OBJECT_DETACHED);
	fh_lock_release(&m->tree_lock);
	if (alone)
		cut_links(object);
	return alone;
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
 * One word: either this sees SETTLED, or fh_object_settle() sees DISPOSING. @in_tree: it may have a
 * parent, whose subtree somebody may be walking (R2). @keep: since the parent goes (family.h R4).
 */
static void leave_one(struct fh_object *object, bool in_tree, bool keep)
{
	const uint32_t were = fh_object_set_flags(object, FH_OBJECT_DISPOSING);
	struct fh_machine *m = object->machine;

	if (!(were & FH_OBJECT_DISPOSING) && (were & FH_OBJECT_SETTLED))
		fh_object_call_dispose(object);
	fh_properties_drop_links(object);
	if (in_tree)
		m->ops->edit_join(m);
	fh_object_unlink(object, keep);
	if (in_tree)
		m->ops->edit_commit(m);
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

static void leave(struct fh_object *top, bool in_tree, bool keep)
{
	/* No child can have come since the detach. */
	if (!fh_object_has(top, FH_OBJECT_EXPOSED)) {
		leave_one(top, in_tree, keep);
		return;
	}
	for (bool done = false; !done;) {
		struct fh_object *object = take_lowest(top);

		done = object == top;
		leave_one(object, in_tree, !done || keep);
		fh_object_unhold(object);
	}
}

/* --- The whole ------------------------------------------------------------------------------ */

/* What waited for the end of an immediate object, which is of itself never drained. */
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
		const bool exposed = fh_object_has(object, FH_OBJECT_EXPOSED);

		/* Hidden it is, but whoever did it may not have published that. */
		if (exposed)
			hide(object);
		if (exposed || fh_holding_is_there(object))
			drain(object);
		fh_concern_revoke_below(object);
		if (fh_object_has(object, FH_OBJECT_EXPOSED))
			m->ops->unrealize(object);
		FH_POINT("dispose.before-detach");
		detach(object);
		fh_concern_notify_below(object);
		leave(object, true, false);
		FH_POINT("dispose.left");
	}
	fh_object_unhold(object);
}

/* Of what was never shown: nothing to drain, on any thread. The rest as for leave_one(). */
static void dispose_unseen(struct fh_object *object, bool in_tree, bool keep)
{
	fh_object_set_flags(object, FH_OBJECT_REQUESTED | FH_OBJECT_HIDDEN);
	object->machine->ops->unrealize(object);
	detach(object);
	fh_concern_notify_below(object);
	leave(object, in_tree, keep);
}

/* Regions, lines, timers. Whoever set REQUESTED comes here, with a pin. */
static void dispose_immediate(struct fh_object *object, bool keep)
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
	if (fh_concern_has_notices(object)) {
		fh_object_hold(object);
		fh_control_queue(object);
		fh_machine_kick(m);
	}
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
		dispose_immediate(object, false);
		fh_object_unhold(object);
	} else if (!fh_object_has(object, FH_OBJECT_EXPOSED) && !may_be_called) {
		dispose_unseen(object, false, false);
		fh_object_unhold(object);
	} else {
		hide(object);
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
			dispose_immediate(object, false);
			fh_object_unhold(object);
		}
		return;
	}
	const bool wait = fh_thread_may_wait();

	if (first)
		fh_object_hold(object); /* the queue's (L1) */
	else if (fh_object_has(object, FH_OBJECT_LEFT) || !try_hold(object))
		return; /* asked for by somebody else, who was done before this is */
	hide(object);
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

/* --- Failed births (L7) --------------------------------------------------------------------- */

uint64_t fh_object_mark(struct fh_object *object)
{
	struct fh_machine *m = object->machine;

	fh_ledger_acquire(m);
	const uint64_t mark = m->orders;

	fh_lock_release(&m->ledger_lock);
	fh_holding_mark(object);
	fh_concern_mark(object);
	fh_properties_mark_links(object);
	fh_properties_mark_own(object);
	return mark;
}

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
		if (fh_object_has(o, FH_OBJECT_REQUESTED))
			return false;
	/* This flag brings about a drain if it is disposed of itself. */
	fh_object_set_flags(object, FH_OBJECT_EXPOSED);
	claim_locked(object);
	return true;
}

void fh_object_unclaim(struct fh_object *object)
{
	/* Release: pairs with the acquire in blocked_below(). */
	if (atomic_fetch_sub_explicit(&object->blocked, 1, memory_order_acq_rel) == 1)
		fh_gate_open(&object->machine->drained);
	fh_object_unhold(object);
}

struct late {
	struct fh_object **objects; /* each claimed */
	size_t count, room;
	bool contested; /* there are some that could not be claimed */
	bool used;	/* there are some that were shown elsewhere */
};

static int compare_late(const void *a, const void *b)
{
	const struct fh_object *x = *(struct fh_object *const *)a;
	const struct fh_object *y = *(struct fh_object *const *)b;

	return x->order > y->order ? -1 : x->order < y->order;
}

/* @object is not this thread's to undo, nor is what goes with it below @top. Tree lock held. */
static void leave_to_control_locked(struct fh_object *object, struct fh_object *top, uint64_t mark)
{
	for (struct fh_object *o = object->parent; o != top; o = o->parent)
		if (o->order > mark)
			fh_object_set_flags(o, FH_OBJECT_USED);
}

/* What came below @top after the mark, the last first. Tree lock held. */
static void take_late_locked(struct fh_object *top, uint64_t mark, struct late *ret)
{
	ret->count = 0;
	ret->contested = ret->used = false;
	for (struct fh_object *o = fh_object_next_locked(top, top); o;
	     o = fh_object_next_locked(o, top)) {
		if (o->order <= mark)
			continue;
		if (!fh_object_claim_locked(o, top)) {
			ret->contested = true;
			/* Its dispose callbacks may be running, and find their parent whole. */
			if (fh_object_has(o, FH_OBJECT_DETACHED) && !o->class->core->immediate)
				leave_to_control_locked(o, top, mark);
			continue;
		}
		if (fh_object_has(o, FH_OBJECT_USED)) {
			ret->used = true;
			leave_to_control_locked(o, top, mark);
		}
		if (ret->count == ret->room) {
			ret->room = ret->room ? ret->room * 2 : 16;
			ret->objects =
				fh_realloc(ret->objects, ret->room * sizeof(*ret->objects));
		}
		ret->objects[ret->count++] = o;
	}
	if (ret->count > 0)
		qsort(ret->objects, ret->count, sizeof(*ret->objects), compare_late);
}

/* False: nothing. */
static bool take_late(struct fh_object *top, uint64_t mark, struct late *ret)
{
	fh_tree_acquire(top->machine);
	take_late_locked(top, mark, ret);
	fh_lock_release(&top->machine->tree_lock);
	return ret->count > 0;
}

/* Control disposes of something between @object and @top as a whole. Tree lock held. */
static bool goes_with_control_locked(const struct fh_object *object, const struct fh_object *top,
				     uint64_t mark)
{
	for (const struct fh_object *o = object->parent; o && o != top; o = o->parent)
		if (o->order > mark && fh_object_has(o, FH_OBJECT_USED))
			return true;
	return false;
}

/* Claimed. */
static void dispose_late(struct fh_object *object, const struct fh_object *top, uint64_t mark)
{
	struct fh_machine *m = object->machine;

	fh_tree_acquire(m);
	const struct fh_object *parent = object->parent;
	const bool keep = parent && parent != top && parent->order > mark; /* it goes as well */
	const bool with_control = goes_with_control_locked(object, top, mark);

	fh_lock_release(&m->tree_lock);
	if (with_control)
		return;
	if (object->class->core->immediate) {
		if (!(fh_object_set_flags(object, FH_OBJECT_REQUESTED) & FH_OBJECT_REQUESTED))
			dispose_immediate(object, keep);
	} else if (fh_object_has(object, FH_OBJECT_USED)) {
		/* Callbacks of what was put there may run: control drains it. A realize never waits. */
		fh_object_dispose(object);
	} else if (!fh_object_has(object, FH_OBJECT_LEFT)) {
		dispose_unseen(object, true, keep);
	}
}

void fh_object_rollback(struct fh_object *object, uint64_t mark)
{
	struct late late = { 0 };

	/* Again, as callbacks of what is disposed of may have made more. */
	while (take_late(object, mark, &late))
		for (size_t i = 0; i < late.count; i++) {
			dispose_late(late.objects[i], object, mark);
			fh_object_unclaim(late.objects[i]);
		}
	fh_free(late.objects);
}

void fh_object_rollback_own(struct fh_object *object)
{
	fh_properties_rollback_links(object);
	fh_properties_rollback_own(object);
	fh_holding_rollback(object);
	fh_concern_rollback(object);
}

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
static bool take_unborn(struct fh_object *object, struct late *ret, bool *ret_in_tree)
{
	struct fh_machine *m = object->machine;

	fh_tree_acquire(m);
	/* Relaxed: what counts here did so under this lock, or is refused as REQUESTED is set. */
	bool mine = !fh_object_has(object, FH_OBJECT_HIDDEN) && !may_be_in_use(object) &&
		    atomic_load_explicit(&object->blocked, memory_order_relaxed) == 0;

	if (mine) {
		take_late_locked(object, 0, ret);
		mine = !ret->contested && !ret->used;
	}
	if (mine) {
		claim_locked(object);
		/* Nobody shows it from here on. */
		fh_object_set_flags(object, FH_OBJECT_HIDDEN);
	}
	*ret_in_tree = object->parent;
	fh_lock_release(&m->tree_lock);
	return mine;
}

static void abort_unseen(struct fh_object *object)
{
	struct fh_thread *t = fh_thread_self();
	struct late late = { 0 };
	bool in_tree;
	const bool mine = take_unborn(object, &late, &in_tree);

	if (mine) {
		/* Control may be waiting for the claims: nothing called here waits for it. */
		t->undoing++;
		dispose_unseen(object, in_tree, false);
		t->undoing--;
	} else {
		hide(object);
		fh_object_hold(object); /* the queue's (L1) */
		fh_control_queue(object);
		fh_machine_kick(object->machine);
	}
	for (size_t i = 0; i < late.count; i++)
		fh_object_unclaim(late.objects[i]);
	if (mine)
		fh_object_unclaim(object);
	fh_free(late.objects);
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
