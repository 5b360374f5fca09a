/* SPDX-License-Identifier: MIT */
/*
 * Control: the one place that waits. Whoever holds it may wait for grace periods, one thread at a
 * time, never nested and never from within a callback.
 *
 * R1. An object is on the queue at most once, and holds a pin of its own while it is (L1).
 * R2. Whoever takes control works the queue off until it is empty. What is queued while control is
 *     held by somebody is therefore done by them or by the embedder's next poll, which was asked
 *     for.
 */
#include "base/rcu.h"
#include "object/machine.h"

static struct fh_object *next_queued(struct fh_object *object)
{
	struct fh_deferred *next = object->deferred.next;

	return next ? fh_container_of(next, struct fh_object, deferred) : NULL;
}

bool fh_thread_may_wait(void)
{
	const struct fh_thread *t = fh_thread_self();

	if (t->depth != 0 || t->chain || t->is_reaper || t->undoing != 0)
		return false;
	for (unsigned kind = 0; kind < FH_HELD_KINDS; kind++)
		if (t->held[kind] != 0)
			return false;
	return true;
}

void fh_machine_kick(struct fh_machine *m)
{
	if (m->loop_ops.post)
		m->loop_ops.post(m->loop);
}

void fh_control_queue(struct fh_object *object)
{
	struct fh_control *control = &object->machine->control;

	fh_lock_acquire(&control->queue_lock);
	object->deferred.next = NULL;
	if (control->last)
		control->last->deferred.next = &object->deferred;
	else
		control->first = object;
	control->last = object;
	fh_lock_release(&control->queue_lock);
}

static struct fh_object *control_pop(struct fh_control *control)
{
	fh_lock_acquire(&control->queue_lock);
	struct fh_object *object = control->first;

	if (object) {
		control->first = next_queued(object);
		if (!control->first)
			control->last = NULL;
	}
	fh_lock_release(&control->queue_lock);
	return object;
}

bool fh_control_run(struct fh_machine *m, struct fh_object *object)
{
	struct fh_thread *t = fh_thread_self();
	bool any = false;

	fh_assert(fh_thread_may_wait());
	fh_thread_hold(t, FH_HELD_CONTROL);
	FH_POINT("control.acquire");
	fh_lock_acquire_as(&m->control.lock, t);
	while (object || (object = control_pop(&m->control))) {
		FH_POINT("control.popped");
		fh_object_dispose_now(object);
		object = NULL;
		any = true;
	}
	fh_lock_release_as(&m->control.lock, t);
	fh_thread_unhold(t, FH_HELD_CONTROL);
	return any;
}
