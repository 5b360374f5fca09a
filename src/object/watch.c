/* SPDX-License-Identifier: MIT */
/*
 * Weak references, watches and revocations: what is told, or reads as nothing, when an object is
 * disposed of.
 *
 * R1. All links are guarded by the links lock, under which no foreign code runs.
 * R2. A weak reference's `target` is cleared as the last touch of it: after that it can be freed
 *     without the machine, which may be gone.
 * R3. A watch stays valid for fh_watch_remove() until its holder is finalized, told or not.
 * R4. A revocation belongs to its pin; while it is being called, whoever ends the pin leaves the
 *     freeing to the caller.
 */
#include "base/alloc.h"
#include "base/point.h"
#include "object/concern.h"
#include "object/machine.h"

struct fh_weak {
	struct fh_list node; /* in the target's concern->weaks */
	struct fh_machine *machine;
	_Atomic(struct fh_object *) target;
};

struct fh_watch {
	struct fh_list node;	    /* in the target's concern->watches, or lone */
	struct fh_list holder_node; /* in the holder's concern->watching */
	struct fh_object *target;   /* NULL: told, or the holder is detached */
	struct fh_object *holder;
	void (*disposed)(struct fh_object *target, void *state);
	void *state;
	bool kept;		    /* was there at fh_concern_mark() */
};

struct fh_revocation {
	struct fh_pin_tail tail; /* its pin's */
	struct fh_list node; /* in the target's concern->revocations, or lone */
	struct fh_pin *pin;  /* NULL: has ended */
	struct fh_machine *machine;
	void (*revoke)(struct fh_pin *pin, void *state);
	void *state;
	bool calling;
};

/* --- Weak references ------------------------------------------------------------------------ */

struct fh_weak *fh_weak_new(FH_ANY any)
{
	struct fh_object *target = fh_object_of(any);
	struct fh_machine *m = target->machine;
	struct fh_weak *weak = fh_new(struct fh_weak);

	fh_list_init(&weak->node);
	weak->machine = m;
	fh_links_acquire(m);
	struct fh_concern *concern =
		fh_concern_open(m, target, FH_OBJECT_FINDABLE, FH_OBJECT_DETACHED);

	if (concern) {
		fh_list_add_last(&concern->weaks, &weak->node);
		/* Relaxed: the weak reference is not shared yet. */
		atomic_store_explicit(&weak->target, target, memory_order_relaxed);
	}
	fh_lock_release(&m->links_lock);
	return weak;
}

/* Links lock held. */
static void weak_clear(struct fh_weak *weak)
{
	fh_list_remove(&weak->node);
	/* Release: pairs with the acquires below; nothing of it is touched afterwards (R2). */
	atomic_store_explicit(&weak->target, NULL, memory_order_release);
}

struct fh_object *fh_weak_get(struct fh_weak *weak)
{
	struct fh_machine *m = weak->machine;

	if (!atomic_load_explicit(&weak->target, memory_order_acquire))
		return NULL;
	fh_links_acquire(m);
	struct fh_object *target = atomic_load_explicit(&weak->target, memory_order_relaxed);

	if (target && (fh_object_has(target, FH_OBJECT_REQUESTED) || !fh_object_try_ref(target)))
		target = NULL;
	fh_lock_release(&m->links_lock);
	return target;
}

struct fh_weak *fh_weak_free(struct fh_weak *weak)
{
	if (!weak)
		return NULL;
	if (atomic_load_explicit(&weak->target, memory_order_acquire)) {
		struct fh_machine *m = weak->machine;

		fh_links_acquire(m);
		if (atomic_load_explicit(&weak->target, memory_order_relaxed))
			weak_clear(weak);
		fh_lock_release(&m->links_lock);
	}
	fh_free(weak);
	return NULL;
}

void fh_concern_clear(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);
	struct fh_list *node;

	if (!concern)
		return;
	fh_links_acquire(object->machine);
	while ((node = fh_list_first(&concern->weaks)))
		weak_clear(fh_list_entry(node, struct fh_weak, node));
	fh_lock_release(&object->machine->links_lock);
	fh_properties_clear_links_to(object);
}

/* --- Watches -------------------------------------------------------------------------------- */

struct fh_watch *fh_object_watch(FH_ANY target_any, FH_ANY holder_any,
				 void (*disposed)(struct fh_object *target, void *state),
				 void *state)
{
	struct fh_object *target = fh_object_of(target_any);
	struct fh_object *holder = fh_object_of(holder_any);
	struct fh_machine *m = target->machine;
	struct fh_watch *watch = NULL;

	fh_links_acquire(m);
	struct fh_concern *to =
		fh_concern_open(m, target, FH_OBJECT_FINDABLE, FH_OBJECT_DETACHED);
	struct fh_concern *from = fh_concern_open(m, holder, 0, FH_OBJECT_DETACHED);

	if (to && from) {
		watch = fh_new(struct fh_watch);
		watch->target = target;
		watch->holder = holder;
		watch->disposed = disposed;
		watch->state = state;
		fh_list_add_last(&to->watches, &watch->node);
		fh_list_add_last(&from->watching, &watch->holder_node);
	}
	fh_lock_release(&m->links_lock);
	return watch;
}

struct fh_watch *fh_watch_remove(struct fh_watch *watch)
{
	if (!watch)
		return NULL;
	struct fh_machine *m = watch->holder->machine;

	fh_links_acquire(m);
	fh_list_remove(&watch->node);
	fh_list_remove(&watch->holder_node);
	fh_lock_release(&m->links_lock);
	fh_free(watch);
	return NULL;
}

void fh_concern_mark(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);

	if (!concern)
		return;
	fh_links_acquire(object->machine);
	fh_list_for_each_entry(watch, &concern->watching, struct fh_watch, holder_node)
		watch->kept = true;
	fh_lock_release(&object->machine->links_lock);
}

void fh_concern_rollback(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);

	if (!concern)
		return;
	fh_links_acquire(object->machine);
	fh_list_for_each_entry(watch, &concern->watching, struct fh_watch, holder_node) {
		if (watch->kept)
			continue;
		fh_list_remove(&watch->node);
		watch->target = NULL;
	}
	fh_lock_release(&object->machine->links_lock);
}

void fh_concern_unwatch(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);

	if (!concern)
		return;
	fh_links_acquire(object->machine);
	fh_list_for_each_entry(watch, &concern->watching, struct fh_watch, holder_node) {
		fh_list_remove(&watch->node);
		watch->target = NULL;
	}
	fh_lock_release(&object->machine->links_lock);
}

/*
 * That there is none below @top, seen without a lock: whatever comes now comes too late (concern.h,
 * R3).
 */
static bool is_unwatched(struct fh_object *top)
{
	return !fh_object_has(top, FH_OBJECT_EXPOSED) && !fh_concern_peek(top);
}

/* The first of that list of the concerns at and below @top; NULL: they are empty. */
static struct fh_list *pop_below_locked(struct fh_object *top, size_t list)
{
	struct fh_list *node = NULL;

	for (struct fh_object *o = top; o && !node; o = fh_object_next_locked(o, top)) {
		struct fh_concern *concern = fh_concern_peek(o);

		if (concern)
			node = fh_list_pop((struct fh_list *)(void *)((char *)concern + list));
	}
	return node;
}

/*
 * The watch to be told next below @top, no longer on its target: a copy, since it may be removed
 * while it is told. Target and holder are pinned: the one may leave the tree by itself meanwhile,
 * the other has the state.
 */
static bool take_watch(struct fh_object *top, struct fh_watch *ret_copy)
{
	struct fh_machine *m = top->machine;
	struct fh_list *node;

	fh_tree_acquire(m);
	fh_links_acquire(m);
	node = pop_below_locked(top, offsetof(struct fh_concern, watches));
	if (node) {
		struct fh_watch *found = fh_list_entry(node, struct fh_watch, node);

		*ret_copy = *found;
		found->target = NULL;
		fh_object_hold(ret_copy->target);
		fh_object_hold(ret_copy->holder);
	}
	fh_lock_release(&m->links_lock);
	fh_lock_release(&m->tree_lock);
	return node;
}

void fh_concern_notify_below(struct fh_object *top)
{
	struct fh_watch watch = { 0 };

	if (is_unwatched(top))
		return;
	while (take_watch(top, &watch)) {
		FH_POINT("watch.taken");
		watch.disposed(watch.target, watch.state);
		fh_object_unhold(watch.target);
		fh_object_unhold(watch.holder);
	}
}

/* --- Revocations ---------------------------------------------------------------------------- */

/* The pin has ended. */
static void revocation_end(struct fh_pin_tail *tail)
{
	struct fh_revocation *revocation = (struct fh_revocation *)tail;
	struct fh_machine *m = revocation->machine;

	fh_links_acquire(m);
	fh_list_remove(&revocation->node);
	revocation->pin = NULL;
	const bool calling = revocation->calling;

	fh_lock_release(&m->links_lock);
	if (!calling)
		fh_free(revocation);
}

bool fh_revocation_new(struct fh_pin *pin, struct fh_object *target,
		       void (*revoke)(struct fh_pin *pin, void *state), void *state)
{
	struct fh_machine *m = target->machine;
	struct fh_revocation *revocation = fh_new(struct fh_revocation);
	bool taken = false;

	revocation->tail.end = revocation_end;
	revocation->tail.calls = true;
	revocation->pin = pin;
	revocation->machine = m;
	revocation->revoke = revoke;
	revocation->state = state;
	fh_list_init(&revocation->node);
	fh_links_acquire(m);
	struct fh_concern *concern =
		fh_concern_open(m, target, 0, FH_OBJECT_HIDDEN | FH_OBJECT_REQUESTED);

	if (concern && fh_pin_set_tail(pin, &revocation->tail)) {
		fh_list_add_last(&concern->revocations, &revocation->node);
		taken = true;
	}
	fh_lock_release(&m->links_lock);
	if (!taken)
		fh_free(revocation);
	return taken;
}

/* The next one below @top, its holder pinned. */
static struct fh_revocation *take_revocation(struct fh_object *top, struct fh_object **ret_holder)
{
	struct fh_machine *m = top->machine;
	struct fh_revocation *found = NULL;
	struct fh_list *node;

	fh_tree_acquire(m);
	fh_links_acquire(m);
	node = pop_below_locked(top, offsetof(struct fh_concern, revocations));
	if (node) {
		found = fh_list_entry(node, struct fh_revocation, node);
		found->calling = true;
		/* The pin is in force or just being ended: its holder is there. */
		*ret_holder = fh_pin_holder(found->pin);
		fh_object_hold(*ret_holder);
	}
	fh_lock_release(&m->links_lock);
	fh_lock_release(&m->tree_lock);
	return found;
}

static void revoke_thunk(void *arg)
{
	struct fh_revocation *revocation = arg;

	fh_links_acquire(revocation->machine);
	struct fh_pin *pin = revocation->pin;

	fh_lock_release(&revocation->machine->links_lock);
	if (pin)
		revocation->revoke(pin, revocation->state);
}

void fh_concern_revoke_below(struct fh_object *top)
{
	struct fh_machine *m = top->machine;
	struct fh_revocation *revocation;
	struct fh_object *holder = NULL;

	if (is_unwatched(top))
		return;
	while ((revocation = take_revocation(top, &holder))) {
		m->ops->call(holder, revoke_thunk, revocation);
		fh_links_acquire(m);
		revocation->calling = false;
		const bool ended = !revocation->pin;

		fh_lock_release(&m->links_lock);
		if (ended)
			fh_free(revocation);
		fh_object_unhold(holder);
	}
}

bool fh_concern_has_notices(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);

	if (!concern)
		return false;
	fh_links_acquire(object->machine);
	const bool any = !fh_list_empty(&concern->watches) ||
			 !fh_list_empty(&concern->revocations);

	fh_lock_release(&object->machine->links_lock);
	return any;
}

void fh_concern_free(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);
	struct fh_list *node;

	if (!concern)
		return;
	fh_links_acquire(object->machine);
	while ((node = fh_list_pop(&concern->watching)))
		fh_free(fh_list_entry(node, struct fh_watch, holder_node));
	fh_lock_release(&object->machine->links_lock);
	fh_object_concern_free(object);
}
