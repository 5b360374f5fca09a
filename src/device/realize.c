/* SPDX-License-Identifier: MIT */
/*
 * Realize, and how it is undone: the birth of a device as the guest sees it (L7), and the third
 * step of its death (L6).
 *
 * R1. A device is shown, with all below it that is realized, in one transaction after its realize
 *     succeeded, if its parent is shown; else when its parent is. Decided under topology and tree
 *     lock, with REALIZED set before: of a parent and a child that finish at the same moment on two
 *     threads, the later one shows the child.
 * R2. A realize in progress is counted at the device like a callback that blocks, from a look at
 *     HIDDEN in the same read section: whoever disposes of the device or of something above it
 *     waits for it in the drain, and a realize that comes later is refused. So unrealize never
 *     meets one.
 * R3. Two realizes in progress, one below the other, are of the same thread: the one came from the
 *     other. Decided under the tree lock.
 * R4. Each completion of a level or of a whole device takes a number from machine->realizations.
 *     Undo goes down these numbers: of a failed realize, those of its levels and of what was
 *     realized below it in between; of a whole life, those of whole devices, the levels of each
 *     derived first. A level whose realize was not called, as the derived one did not ask for it,
 *     is not unrealized.
 * R5. Whoever sets `unrealizing` under the tree lock calls the device's unrealize; REALIZED goes
 *     when that has returned.
 */
#include "base/alloc.h"
#include "base/point.h"
#include "device/device.h"

/* --- Frames --------------------------------------------------------------------------------- */

bool fh_frame_begin(struct fh_frame *frame, struct fh_object *owner)
{
	struct fh_thread *t = fh_thread_self();

	fh_chain_assert_may_access(t);
	fh_assert(!fh_rcu_in_section(t));
	*frame = (struct fh_frame){ .up = t->chain, .owner = owner, .target = owner };
	/* Not of a guest's making, so that it is none of the depths that FH_CHAIN_MAX counts. */
	frame->depth = frame->up ? frame->up->depth : 0;
	fh_rcu_read_begin(t);
	/* One word: either this sees HIDDEN, or who hides the owner sees that it must drain. */
	if (!(fh_object_set_flags(owner, FH_OBJECT_EXPOSED) & FH_OBJECT_HIDDEN)) {
		fh_object_hold(owner);
		/* Relaxed: see chain_count() in chain.c. */
		atomic_fetch_add_explicit(&owner->blocked, 1, memory_order_relaxed);
		frame->counted = true;
		t->chain = frame;
	}
	fh_rcu_read_end(t);
	return frame->counted;
}

void fh_frame_end(struct fh_frame *frame)
{
	fh_chain_leave(fh_thread_self(), frame);
}

/* --- Levels --------------------------------------------------------------------------------- */

static uint64_t next_number(struct fh_machine *m)
{
	/* Relaxed: only their order counts, and what is compared was done one after the other. */
	return atomic_fetch_add_explicit(&m->realizations, 1, memory_order_relaxed) + 1;
}

static void *level_state(struct fh_device *device, const struct fh_class *level)
{
	return (char *)device + level->state_offset;
}

/* The level at or above @level that has a realize of its own, or NULL. */
static const struct fh_class *level_with_realize(const struct fh_class *level)
{
	while (level && !(level->type->device && level->type->device->realize))
		level = level->parent;
	return level;
}

/* @level is realized; so is what lies between it and the one that brought the function. */
static enum fh_code realize_level(struct fh_device *device, const struct fh_class *level,
				  struct fh_error *err)
{
	const struct fh_class *with = level_with_realize(level);
	enum fh_code code = FH_OK;

	if (with)
		code = with->type->device->realize(device, level_state(device, with), err);
	if (code != FH_OK)
		return fh_error_set(err, code, "its realize failed with %s", fh_code_name(code));
	const uint64_t number = next_number(device->object.machine);

	for (; level != (with ? with->parent : NULL); level = level->parent)
		device->levels[level->depth] = number;
	return FH_OK;
}

enum fh_code fh_device_realize_base(struct fh_device *device, const struct fh_type *type,
				    struct fh_error *err)
{
	const struct fh_class *level = fh_class_get(device->object.machine, type);

	fh_assert(fh_class_level(device->object.class, type));
	fh_assert(device->realizer == fh_thread_self());
	return level->parent ? realize_level(device, level->parent, err) : FH_OK;
}

/* Under no lock. */
static void unrealize_level(struct fh_device *device, const struct fh_class *level)
{
	if (device->levels[level->depth] == 0)
		return;
	device->levels[level->depth] = 0;
	if (level->type->device && level->type->device->unrealize)
		level->type->device->unrealize(device, level_state(device, level));
}

/* --- Unrealize ------------------------------------------------------------------------------ */

static struct fh_device *device_of_node(struct fh_heap_node *node)
{
	return fh_container_of(node, struct fh_device, unrealize_node);
}

/* A realize that failed. */
struct undo {
	uint64_t mark;
	struct fh_heap done; /* what has been unrealized, the last first; each claimed */
};

/* All that is realized in @top's subtree since @since, the latest first (R5); each pinned. */
static void take_realized(struct fh_object *top, uint64_t since, const struct undo *undo,
			  struct fh_heap *ret_heap)
{
	struct fh_machine *m = top->machine;

	fh_tree_acquire(m);
	for (struct fh_object *o = top; o; o = fh_object_next_locked(o, top)) {
		struct fh_device *device = fh_device_of(o);

		if (!fh_object_is_device(o) || !fh_object_has(o, FH_OBJECT_REALIZED) ||
		    device->unrealizing || device->sequence <= since)
			continue;
		if (undo && (fh_object_is_used_locked(o, top, undo->mark) ||
			     !fh_object_claim_locked(o, top)))
			continue;
		if (!undo)
			fh_object_hold(o);
		device->unrealizing = true;
		device->unrealize_node.key = ~device->sequence;
		device->unrealize_node.tie = 0;
		fh_heap_add(ret_heap, &device->unrealize_node);
	}
	fh_lock_release(&m->tree_lock);
}

/* All of take_realized(). @undo: or NULL, in control. */
static void unrealize_since(struct fh_object *top, uint64_t since, struct undo *undo)
{
	struct fh_machine *m = top->machine;
	struct fh_heap heap = { 0 };
	struct fh_heap_node *node;

	take_realized(top, since, undo, &heap);
	while ((node = fh_heap_pop(&heap))) {
		struct fh_device *device = device_of_node(node);

		fh_bus_unplugged(device);
		for (const struct fh_class *c = device->object.class; c; c = c->parent)
			unrealize_level(device, c);
		fh_tree_acquire(m);
		fh_object_clear_flags(&device->object, FH_OBJECT_REALIZED);
		device->unrealizing = undo;
		fh_lock_release(&m->tree_lock);
		if (undo)
			fh_heap_add(&undo->done, node);
		else
			fh_object_unhold(&device->object);
	}
}

void fh_device_unrealize_below(struct fh_object *top)
{
	unrealize_since(top, 0, NULL);
}

/* --- Show (L7) ------------------------------------------------------------------------------ */

/* Whether @object, whose parent is shown, is to be shown too. */
static bool may_be_shown(const struct fh_object *object)
{
	if (fh_object_has(object, FH_OBJECT_HIDDEN))
		return false;
	return !fh_object_is_device(object) || fh_object_has(object, FH_OBJECT_REALIZED);
}

/* Topology and tree lock held. */
static void show_locked(struct fh_object *top)
{
	for (struct fh_object *o = top; o; o = fh_object_next_locked(o, top)) {
		if ((o->parent && !fh_object_is_shown(o->parent)) || !may_be_shown(o))
			continue;
		const uint32_t were = fh_object_set_flags(o, FH_OBJECT_SHOWN | FH_OBJECT_EXPOSED);

		if (!(were & FH_OBJECT_SHOWN) && o->class->core->shown_changed)
			o->class->core->shown_changed(o);
	}
}

static void device_show(struct fh_device *device)
{
	struct fh_machine *m = device->object.machine;

	m->ops->edit_begin(m);
	fh_tree_acquire(m);
	show_locked(&device->object);
	fh_lock_release(&m->tree_lock);
	m->ops->edit_commit(m);
	fh_irqs_open(m);
	fh_clocks_tell(m);
}

/* --- Realize -------------------------------------------------------------------------------- */

static const struct fh_thread *realizer_of(struct fh_object *object)
{
	return fh_object_is_device(object) ? fh_device_of(object)->realizer : NULL;
}

/* A realize in progress above or below the device that is not the one this comes from (R3). */
static bool overlaps_locked(struct fh_device *device, const struct fh_thread *t)
{
	struct fh_object *top = &device->object;

	for (struct fh_object *o = top->parent; o; o = o->parent)
		if (realizer_of(o) && realizer_of(o) != t)
			return true;
	for (struct fh_object *o = top; o; o = fh_object_next_locked(o, top))
		if (realizer_of(o))
			return true;
	return false;
}

bool fh_device_may_join(struct fh_object *parent, struct fh_object *child)
{
	const struct fh_thread *above = NULL; /* R3: all that are above are of one thread */

	for (struct fh_object *o = parent; o && !above; o = o->parent)
		above = realizer_of(o);
	if (!above)
		return true;
	for (struct fh_object *o = child; o; o = fh_object_next_locked(o, child))
		if (realizer_of(o) && realizer_of(o) != above)
			return false;
	return true;
}

static enum fh_code realize_begin(struct fh_device *device, struct fh_error *err)
{
	struct fh_machine *m = device->object.machine;
	struct fh_thread *t = fh_thread_self();
	enum fh_code code = FH_OK;

	fh_tree_acquire(m);
	if (fh_object_has(&device->object, FH_OBJECT_REQUESTED | FH_OBJECT_CLOSED))
		code = fh_error_set(err, FH_EDEAD, "it is disposed of");
	else if (fh_object_has(&device->object, FH_OBJECT_REALIZED))
		code = fh_error_set(err, FH_EBUSY, "it is realized");
	else if (overlaps_locked(device, t))
		code = fh_error_set(err, FH_EBUSY, "it is being realized by another thread");
	if (code == FH_OK) {
		device->realizer = t;
		device->exports_before = device->exports;
	}
	fh_lock_release(&m->tree_lock);
	return code;
}

/* The first device below @top that is to be realized, behind @last if that is there; pinned. */
static struct fh_device *next_to_realize(struct fh_object *top, struct fh_object *last)
{
	struct fh_machine *m = top->machine;
	struct fh_object *o;

	fh_tree_acquire(m);
	o = fh_object_next_locked(last && fh_object_is_below_locked(last, top) ? last : top, top);
	while (o && (!fh_object_is_device(o) || !fh_object_has(o, FH_OBJECT_BORN) ||
		     fh_object_has(o, FH_OBJECT_REALIZED | FH_OBJECT_HIDDEN | FH_OBJECT_REQUESTED)))
		o = fh_object_next_locked(o, top);
	if (o)
		fh_object_hold(o);
	fh_lock_release(&m->tree_lock);
	return o ? fh_device_of(o) : NULL;
}

/*
 * What is made below the device and not realized, in order of creation. A child that is unplugged
 * meanwhile is none of it. Ends after a pass from the start that finds nothing.
 */
static enum fh_code realize_children(struct fh_device *device, struct fh_error *err)
{
	struct fh_object *last = NULL;
	enum fh_code code = FH_OK;

	for (;;) {
		struct fh_device *child = next_to_realize(&device->object, last);
		const bool from_start = !last;

		if (last)
			fh_object_unhold(last);
		last = child ? &child->object : NULL;
		if (!child && from_start)
			return code;
		if (!child)
			continue;
		FH_POINT("realize.child");
		code = fh_device_realize(child, err);
		if (code == FH_EDEAD &&
		    fh_object_has(last, FH_OBJECT_REQUESTED | FH_OBJECT_HIDDEN)) {
			fh_error_clear(err);
			code = FH_OK;
		}
		if (code != FH_OK)
			break;
	}
	fh_object_unhold(last);
	return code;
}

static void realize_done(struct fh_device *device)
{
	struct fh_machine *m = device->object.machine;

	fh_tree_acquire(m);
	device->sequence = next_number(m);
	device->realizer = NULL;
	fh_object_set_flags(&device->object, FH_OBJECT_REALIZED);
	fh_lock_release(&m->tree_lock);
	FH_POINT("realize.before-show");
	device_show(device);
}

/* What the device is besides its children is as it was before its realize. */
static void rollback_device(struct fh_device *device)
{
	struct fh_machine *m = device->object.machine;

	fh_object_rollback_own(&device->object);
	fh_bus_leave(device, true);
	fh_tree_acquire(m);
	device->exports = device->exports_before;
	device->unrealizing = false;
	fh_lock_release(&m->tree_lock);
}

/*
 * L7: all that was done since @start, the last first; the guest has seen none of it. First what was
 * realized is unrealized, while all that was made is there; then that goes.
 */
static void realize_undo(struct fh_device *device, uint64_t start, uint64_t mark)
{
	struct fh_object *object = &device->object;
	struct fh_machine *m = object->machine;
	struct undo undo = { .mark = mark };
	struct fh_late late = { 0 };
	struct fh_heap_node *node;

	fh_object_claim_late(object, mark, &late);
	for (const struct fh_class *c = object->class; c; c = c->parent)
		if (device->levels[c->depth] != 0) {
			unrealize_since(object, device->levels[c->depth], &undo);
			unrealize_level(device, c);
		}
	unrealize_since(object, start, &undo);
	fh_object_rollback(object, mark);
	fh_object_unclaim_late(&late);
	while ((node = fh_heap_pop(&undo.done))) {
		rollback_device(device_of_node(node));
		fh_object_unclaim(&device_of_node(node)->object);
	}
	rollback_device(device);
	fh_tree_acquire(m);
	device->realizer = NULL;
	fh_lock_release(&m->tree_lock);
}

static enum fh_code realize_framed(struct fh_device *device, struct fh_error *err)
{
	struct fh_object *object = &device->object;
	enum fh_code code = realize_begin(device, err);

	if (code != FH_OK)
		return code;
	if (!device->levels)
		device->levels = fh_zalloc((object->class->depth + 1) * sizeof(*device->levels));
	const uint64_t mark = fh_object_mark(object);
	/* In this order: what is realized elsewhere after it and joins, does so after the mark. */
	const uint64_t start =
		atomic_load_explicit(&object->machine->realizations, memory_order_relaxed);

	code = fh_bus_enter(device, err);
	if (code == FH_OK)
		code = realize_level(device, object->class, err);
	if (code == FH_OK)
		code = realize_children(device, err);
	if (code == FH_OK)
		code = fh_bus_plugged(device, err);
	if (code == FH_OK)
		realize_done(device);
	else
		realize_undo(device, start, mark);
	return code;
}

/* Not in a callback of the same domain: what is made here could not be reached from there. */
static void assert_not_in_domain(struct fh_device *device)
{
	if (fh_thread_self()->chain)
		fh_assert(!fh_domain_is_mine(fh_device_domain(device)));
}

enum fh_code fh_device_realize(struct fh_device *device, struct fh_error *err)
{
	const char *name = fh_object_name(device);
	struct fh_frame frame;
	enum fh_code code;

	assert_not_in_domain(device);
	if (fh_frame_begin(&frame, &device->object)) {
		code = realize_framed(device, err);
		fh_frame_end(&frame);
	} else {
		code = fh_error_set(err, FH_EDEAD, "it is disposed of");
	}
	if (code != FH_OK)
		fh_error_prefix(err, "%s '%s': ", device->object.class->type->name,
				name ? name : "");
	return code;
}
