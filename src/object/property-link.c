/* SPDX-License-Identifier: MIT */
/*
 * Link properties that live in a field of their object's state.
 *
 * R1. A field that is not NULL has a node, in its holder's list `held`; that of a weak link is in
 *     its target's list `links` as well. So the end of either finds its links, each in constant
 *     time (L2).
 * R2. A strong link owns a ref of its target until it is changed or its holder leaves.
 * R3. A link is refused once either end is detached. Detach sets that flag first and clears the
 *     links to the object afterwards; concern.h says why none is forgotten (L6).
 * R4. What was in force when a realize began is *kept*. When it is changed, a node in the holder's
 *     list `replaced`, and as a weak link's in its target's, remembers where it pointed to, without
 *     a ref: so that a realize which fails leaves the links as they were, but for those whose
 *     targets have died (L7).
 */
#include "base/alloc.h"
#include "object/concern.h"
#include "object/property.h"

struct fh_link {
	struct fh_list from; /* in the holder's concern->held, or replaced */
	struct fh_list to;   /* in the target's concern->links; alone if strong and in force */
	struct fh_object *target;
	_Atomic(struct fh_object *) *field;
	const struct fh_property *property;
	bool kept;   /* R4 */
	bool former; /* R4: not in force, the field is another's or NULL */
};

static bool is_strong(const struct fh_property *property)
{
	return (property->flags & FH_PROPERTY_STRONG) != 0;
}

/* The node of a field that is not NULL: only a type that wrote into its link by hand has none. */
static struct fh_link *find_locked(struct fh_concern *holder, const void *field)
{
	fh_list_for_each_entry(link, &holder->held, struct fh_link, from)
		if ((const void *)link->field == field)
			return link;
	fh_unreachable();
}

/* Take the link down at both ends; the node, with a strong link's ref, goes to @ended. */
static void end_locked(struct fh_link *link, struct fh_list *ended)
{
	/* Relaxed: nobody learns anything from nothing. */
	if (!link->former)
		atomic_store_explicit(link->field, NULL, memory_order_relaxed);
	fh_list_remove(&link->to);
	fh_list_remove(&link->from);
	fh_list_add_last(ended, &link->from);
}

/* Under no lock: give back what the nodes hold, and free them. */
static void free_ended(struct fh_list *ended)
{
	fh_list_for_each_entry_safe(link, ended, struct fh_link, from) {
		if (is_strong(link->property) && !link->former)
			fh_object_unref(link->target);
		fh_free(link);
	}
}

static struct fh_link *link_new(struct fh_object *target, const struct fh_property *property,
				void *field)
{
	struct fh_link *link = fh_new(struct fh_link);

	fh_list_init(&link->to);
	link->target = target;
	link->field = field;
	link->property = property;
	return link;
}

/* The record of a target that may be linked to, a strong link's ref taken; or NULL: it dies. */
static struct fh_concern *admit_locked(struct fh_machine *m, struct fh_object *target,
				       const struct fh_property *property)
	FH_REQUIRES(&m->links_lock)
{
	/* Findable: the field is read inside read sections, without a ref. */
	struct fh_concern *to =
		fh_concern_open(m, target, FH_OBJECT_FINDABLE, FH_OBJECT_DETACHED);

	if (!to || fh_object_refs(target) == 0)
		return NULL;
	return is_strong(property) && !fh_object_try_ref(target) ? NULL : to;
}

static struct fh_link *make_locked(struct fh_concern *from, struct fh_concern *to,
				   struct fh_object *target, const struct fh_property *property,
				   void *field)
{
	struct fh_link *link = link_new(target, property, field);

	fh_list_add_last(&from->held, &link->from);
	if (!is_strong(property))
		fh_list_add_last(&to->links, &link->to);
	/* Release: pairs with the acquire, or the data dependency, of who reads the field. */
	atomic_store_explicit(link->field, target, memory_order_release);
	return link;
}

/* R4: of a link that is about to end. */
static void remember_locked(struct fh_machine *m, struct fh_concern *from,
			    const struct fh_link *link) FH_REQUIRES(&m->links_lock)
{
	struct fh_concern *to =
		fh_concern_open(m, link->target, FH_OBJECT_FINDABLE, FH_OBJECT_DETACHED);
	struct fh_link *former;

	if (!to)
		return;
	former = link_new(link->target, link->property, link->field);
	former->former = true;
	fh_list_add_last(&from->replaced, &former->from);
	fh_list_add_last(&to->links, &former->to);
}

static enum fh_code set_locked(struct fh_machine *m, struct fh_object *object,
			       const struct fh_property *property, void *field,
			       struct fh_object *target, struct fh_list *ended)
	FH_REQUIRES(&m->links_lock)
{
	_Atomic(struct fh_object *) *const link_field = field;
	struct fh_concern *from = fh_concern_open(m, object, 0, FH_OBJECT_DETACHED);
	struct fh_concern *to = NULL;

	if (!from)
		return FH_EDEAD;
	if (target) {
		to = admit_locked(m, target, property);
		if (!to)
			return FH_EDEAD;
	}
	if (atomic_load_explicit(link_field, memory_order_relaxed)) {
		struct fh_link *old = find_locked(from, field);

		if (old->kept)
			remember_locked(m, from, old);
		end_locked(old, ended);
	}
	if (target)
		make_locked(from, to, target, property, field);
	return FH_OK;
}

enum fh_code fh_link_check(struct fh_object *object, const struct fh_property *property,
			   struct fh_object *target, struct fh_error *err)
{
	if (!target)
		return FH_OK;
	if (target->machine != object->machine)
		return fh_error_set(err, FH_EINVAL,
				    "property '%s': its target is of another machine",
				    property->name);
	if (property->link_type && !fh_object_cast(target, property->link_type))
		return fh_error_set(err, FH_ETYPE, "property '%s': wants a '%s', not a '%s'",
				    property->name, property->link_type->name,
				    target->class->type->name);
	return FH_OK;
}

enum fh_code fh_link_find(struct fh_object *object, const struct fh_property *property,
			  const char *path, struct fh_object **ret_target, struct fh_error *err)
{
	/* Of an absolute path the type is checked later, with words of its own. */
	const struct fh_type *type = *path == '/' ? NULL : property->link_type;
	enum fh_code code = FH_OK;

	*ret_target = NULL;
	if (*path)
		code = fh_machine_resolve(object->machine, path, type, ret_target, err);
	if (code != FH_OK)
		fh_error_prefix(err, "property '%s': ", property->name);
	return code;
}

enum fh_code fh_link_set(struct fh_object *object, const struct fh_property *property, void *field,
			 struct fh_object *target, struct fh_error *err)
{
	enum fh_code code = fh_link_check(object, property, target, err);
	struct fh_machine *m = object->machine;
	struct fh_list ended;

	if (code != FH_OK)
		return code;
	fh_list_init(&ended);
	fh_links_acquire(m);
	code = set_locked(m, object, property, field, target, &ended);
	fh_lock_release(&m->links_lock);
	free_ended(&ended);
	if (code != FH_OK)
		return fh_error_set(err, code, "property '%s': %s is disposed of", property->name,
				    fh_object_has(object, FH_OBJECT_DETACHED) ? "its object"
									      : "the target");
	return FH_OK;
}

struct fh_object *fh_link_get(struct fh_object *object, const void *field)
{
	struct fh_object *target;

	fh_links_acquire(object->machine);
	target = atomic_load_explicit((_Atomic(struct fh_object *) *)field, memory_order_relaxed);
	/* A target whose last ref has gone reads as nothing, before its detach has cleared this. */
	if (target && !fh_object_try_ref(target))
		target = NULL;
	fh_lock_release(&object->machine->links_lock);
	return target;
}

/* Those of the field, and what it stood for before; NULL: of every field. */
static void end_links(struct fh_object *object, const void *field)
{
	struct fh_concern *concern = fh_concern_peek(object);
	struct fh_list ended;

	if (!concern)
		return;
	fh_list_init(&ended);
	fh_links_acquire(object->machine);
	fh_list_for_each_entry_safe(link, &concern->held, struct fh_link, from)
		if (!field || (const void *)link->field == field)
			end_locked(link, &ended);
	fh_list_for_each_entry_safe(link, &concern->replaced, struct fh_link, from)
		if (!field || (const void *)link->field == field)
			end_locked(link, &ended);
	fh_lock_release(&object->machine->links_lock);
	free_ended(&ended);
}

void fh_link_forget(struct fh_object *object, const void *field)
{
	end_links(object, field);
}

void fh_properties_drop_links(struct fh_object *object)
{
	end_links(object, NULL);
}

void fh_properties_mark_links(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);
	struct fh_list ended;

	if (!concern)
		return;
	fh_list_init(&ended);
	fh_links_acquire(object->machine);
	fh_list_for_each_entry(link, &concern->held, struct fh_link, from)
		link->kept = true;
	fh_list_for_each_entry_safe(link, &concern->replaced, struct fh_link, from)
		end_locked(link, &ended);
	fh_lock_release(&object->machine->links_lock);
	free_ended(&ended);
}

/* Put back what was replaced, if the target is alive. The field is free. */
static void restore_locked(struct fh_machine *m, struct fh_concern *from,
			   const struct fh_link *former) FH_REQUIRES(&m->links_lock)
{
	struct fh_concern *to = admit_locked(m, former->target, former->property);

	if (to)
		make_locked(from, to, former->target, former->property, former->field)->kept =
			true;
}

void fh_properties_rollback_links(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);
	struct fh_machine *m = object->machine;
	struct fh_list ended;

	if (!concern)
		return;
	fh_list_init(&ended);
	fh_links_acquire(m);
	fh_list_for_each_entry_safe(link, &concern->held, struct fh_link, from)
		if (!link->kept)
			end_locked(link, &ended);
	/* A field is in the list once: what replaces a kept link is not kept. */
	fh_list_for_each_entry_safe(link, &concern->replaced, struct fh_link, from) {
		restore_locked(m, concern, link);
		end_locked(link, &ended);
	}
	fh_lock_release(&m->links_lock);
	free_ended(&ended);
}

void fh_properties_clear_links_to(struct fh_object *target)
{
	struct fh_concern *concern = fh_concern_peek(target);
	struct fh_list ended;

	if (!concern)
		return;
	fh_list_init(&ended);
	fh_links_acquire(target->machine);
	fh_list_for_each_entry_safe(link, &concern->links, struct fh_link, to)
		end_locked(link, &ended);
	fh_lock_release(&target->machine->links_lock);
	free_ended(&ended);
}

void fh_properties_each_strong_locked(struct fh_object *object,
				      void (*visit)(struct fh_object *target, const char *name,
						    void *arg),
				      void *arg)
{
	struct fh_concern *concern = fh_concern_peek(object);

	if (!concern)
		return;
	fh_list_for_each_entry(link, &concern->held, struct fh_link, from)
		if (is_strong(link->property))
			visit(link->target, link->property->name, arg);
}
