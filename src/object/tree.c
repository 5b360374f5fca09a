/* SPDX-License-Identifier: MIT */
/*
 * The composition tree: parents, children and their names.
 *
 * R1. All of it is guarded by the machine's tree lock, a leaf under which no foreign code runs.
 * R2. Adding, finding and removing a child take constant time: children are in a list in order of
 *     creation, named ones in an open hash table as well, from the first on.
 * R3. A child is found only after its birth; its name is taken from before its birth until it left.
 * R4. What is shown below a parent is decided in here, under the tree lock, with which hide and
 *     show walk the subtree: a child joins before such a walk, or sees its outcome.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "object/family.h"
#include "object/machine.h"

/* --- Walking -------------------------------------------------------------------------------- */

static struct fh_object *object_of_sibling(struct fh_list *node)
{
	return fh_container_of(node, struct fh_object, sibling);
}

static struct fh_object *first_child(const struct fh_object *object)
{
	struct fh_list *node = object->family ? fh_list_first(&object->family->children) : NULL;

	return node ? object_of_sibling(node) : NULL;
}

struct fh_object *fh_object_last_child_locked(const struct fh_object *object)
{
	struct fh_list *node = object->family ? fh_list_last(&object->family->children) : NULL;

	return node ? object_of_sibling(node) : NULL;
}

struct fh_object *fh_object_next_locked(const struct fh_object *object, const struct fh_object *top)
{
	struct fh_object *child = first_child(object);

	if (child)
		return child;
	for (; object != top; object = object->parent)
		if (object->sibling.next != &object->parent->family->children)
			return object_of_sibling(object->sibling.next);
	return NULL;
}

bool fh_object_is_below_locked(const struct fh_object *object, const struct fh_object *top)
{
	while (object && object != top)
		object = object->parent;
	return object;
}

/* --- Joining and leaving -------------------------------------------------------------------- */

/*
 * Callbacks of what was born elsewhere, and of what is below it, may be running, and the parent's
 * drain may be over. What is immediate is never drained.
 */
static bool comes_too_late(const struct fh_object *parent, const struct fh_object *child)
{
	return fh_object_has(parent, FH_OBJECT_HIDDEN) && fh_object_has(child, FH_OBJECT_BORN) &&
	       !child->class->core->immediate;
}

static enum fh_code check_link_locked(struct fh_object *parent, const char *name,
				      struct fh_object *child, struct fh_error *err)
{
	const char *has = fh_object_name_of(child);

	if (name && has && has != name)
		return fh_error_set(err, FH_EBUSY, "the object has a name already: '%s'", has);
	if (child->parent)
		return fh_error_set(err, FH_EBUSY, "the object has a parent already");
	if (fh_object_has(parent, FH_OBJECT_DETACHED | FH_OBJECT_CLOSED) ||
	    comes_too_late(parent, child))
		return fh_error_set(err, FH_EDEAD, "the parent is disposed of");
	if (fh_object_has(child, FH_OBJECT_REQUESTED))
		return fh_error_set(err, FH_EDEAD, "the object is disposed of");
	if (fh_object_is_below_locked(parent, child))
		return fh_error_set(err, FH_ELOOP, "the parent is below the object");
	if (fh_object_has(child, FH_OBJECT_BORN) && !child->machine->ops->may_join(parent, child))
		return fh_error_set(err, FH_EBUSY, "another thread is realizing the object");
	if (name && fh_family_find(parent->family, fh_hash_string(name), name, strlen(name)))
		return fh_error_set(err, FH_EEXIST, "the name '%s' is taken", name);
	return FH_OK;
}

static void link_locked(struct fh_object *parent, char *name, struct fh_object *child)
{
	struct fh_family *family = fh_family_of(parent);

	/* Named before it is in the table: whoever finds it there reads the name. */
	if (name && !fh_object_name_of(child)) {
		child->name_storage = name;
		/* Release: pairs with the acquire in fh_object_name_of(). */
		atomic_store_explicit(&child->name, name, memory_order_release);
	}
	fh_list_add_last(&family->children, &child->sibling);
	family->total++;
	child->parent = parent;
	if (name)
		fh_family_add_name(family, name, child);
	/* The parent's ref; the caller owns one, so that refs are not zero. */
	atomic_fetch_add_explicit(&child->life, FH_LIFE_REF, memory_order_relaxed);
}

/* For what joins the tree after its birth, as if it was born there (undo.c). Tree lock held. */
static uint64_t next_order(struct fh_machine *m)
{
	fh_ledger_acquire(m);
	const uint64_t order = ++m->orders;

	fh_lock_release(&m->ledger_lock);
	return order;
}

/* The nearest above it that is not born, as it belongs to that (undo.c R4); 0: none that near. */
static uint16_t steps_to_unborn_locked(const struct fh_object *child)
{
	uint16_t steps = 1;

	for (const struct fh_object *o = child->parent; o && steps != 0; o = o->parent, steps++)
		if (!fh_object_has(o, FH_OBJECT_BORN))
			return steps;
	return 0;
}

/* What the parent is, the subtree that joins becomes (R4). In a transaction. */
static void inherit_shown_locked(struct fh_object *parent, struct fh_object *top)
{
	const bool hidden = fh_object_has(parent, FH_OBJECT_HIDDEN);

	if (fh_object_is_shown(parent))
		return;
	for (struct fh_object *o = top; o; o = fh_object_next_locked(o, top)) {
		if (hidden)
			fh_object_set_flags(o, FH_OBJECT_HIDDEN);
		const uint32_t were = fh_object_clear_flags(o, FH_OBJECT_SHOWN);

		if (!(were & FH_OBJECT_SHOWN) || !(were & FH_OBJECT_BORN))
			continue;
		fh_object_set_flags(top, FH_OBJECT_USED);
		if (o->class->core->shown_changed)
			o->class->core->shown_changed(o);
	}
}

enum fh_code fh_object_link(struct fh_object *parent, char *name, struct fh_object *child,
			    struct fh_error *err)
{
	struct fh_machine *m = parent->machine;

	fh_assert(!parent->class->core->immediate);
	/* A new object is not in any view, so that it needs no transaction. */
	const bool born = fh_object_has(child, FH_OBJECT_BORN);

	if (born)
		m->ops->edit_begin(m);
	fh_tree_acquire(m);
	const enum fh_code code = check_link_locked(parent, name, child, err);

	if (code == FH_OK) {
		fh_object_set_flags(child, FH_OBJECT_FINDABLE);
		link_locked(parent, name, child);
		child->inner = steps_to_unborn_locked(child);
		if (born)
			child->order = next_order(m);
		inherit_shown_locked(parent, child);
	}
	fh_lock_release(&m->tree_lock);
	if (born)
		m->ops->edit_commit(m);
	return code;
}

void fh_object_unlink(struct fh_object *object, bool keep)
{
	struct fh_machine *m = object->machine;

	fh_tree_acquire(m);
	struct fh_object *parent = object->parent;

	if (fh_object_has(object, FH_OBJECT_LEFT)) {
		fh_lock_release(&m->tree_lock);
		return;
	}
	if (parent) {
		const char *name = fh_object_name_of(object);

		object->last_path = fh_object_path_locked(object);
		if (name)
			fh_family_remove_name(parent->family, name);
		fh_list_remove(&object->sibling);
		parent->family->total--;
		if (keep) {
			fh_object_hold(object);
			fh_list_add_last(&parent->family->gone, &object->sibling);
		}
		object->parent = NULL;
	}
	fh_object_set_flags(object, FH_OBJECT_LEFT);
	fh_lock_release(&m->tree_lock);
	if (parent)
		fh_object_unref(object);
}

/* --- Public --------------------------------------------------------------------------------- */

enum fh_code fh_object_check_name(const char *name, struct fh_error *err)
{
	if (name && (name[0] == '\0' || strchr(name, '/')))
		return fh_error_set(err, FH_EINVAL, "'%s' is no name for an object", name);
	return FH_OK;
}

enum fh_code fh_object_add_child(FH_ANY parent_any, const char *name, FH_ANY child_any,
				 struct fh_error *err)
{
	struct fh_object *parent = fh_object_of(parent_any);
	struct fh_object *child = fh_object_of(child_any);
	enum fh_code code = fh_object_check_name(name, err);

	if (code != FH_OK)
		return code;
	if (parent->machine != child->machine)
		return fh_error_set(err, FH_EINVAL, "the objects are of two machines");
	const size_t stem = name ? fh_name_stem(name) : 0;
	char *copy = !name ? NULL : stem ? fh_family_number(parent, name, stem) : fh_strdup(name);

	code = fh_object_link(parent, copy, child, err);
	if (code != FH_OK)
		fh_free(copy);
	return code;
}

struct fh_object *fh_object_find_parent(FH_ANY any)
{
	struct fh_object *object = fh_object_of(any);

	fh_tree_acquire(object->machine);
	struct fh_object *parent = object->parent;

	if (parent && !fh_object_try_ref(parent))
		parent = NULL;
	fh_lock_release(&object->machine->tree_lock);
	return parent;
}

const char *fh_object_name(FH_ANY any)
{
	return fh_object_name_of(fh_object_of(any));
}

/* Refs of all children that can be had, in order of creation, at most @room. Tree lock held. */
static size_t children_locked(struct fh_object *parent, struct fh_object **ret_children,
			      size_t room)
{
	size_t count = 0;

	fh_list_for_each(node, &parent->family->children) {
		struct fh_object *child = object_of_sibling(node);

		if (count == room)
			break;
		if (fh_object_has(child, FH_OBJECT_BORN) && fh_object_try_ref(child))
			ret_children[count++] = child;
	}
	return count;
}

void fh_object_each_child(FH_ANY any, bool (*visit)(struct fh_object *child, void *arg), void *arg)
{
	struct fh_object *parent = fh_object_of(any);
	struct fh_machine *m = parent->machine;
	struct fh_object **children = NULL;
	size_t room = 0, count = 0;

	fh_tree_acquire(m);
	while (parent->family && room < parent->family->total) {
		room = parent->family->total;
		fh_lock_release(&m->tree_lock);
		children = fh_realloc(children, room * sizeof(*children));
		fh_tree_acquire(m);
	}
	if (parent->family)
		count = children_locked(parent, children, room);
	fh_lock_release(&m->tree_lock);

	bool more = true;

	for (size_t i = 0; i < count; i++) {
		more = more && visit(children[i], arg);
		fh_object_unref(children[i]);
	}
	fh_free(children);
}
