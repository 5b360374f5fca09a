/* SPDX-License-Identifier: MIT */
/*
 * A machine's own defaults for properties: set at birth, after what the types preset and before
 * what the creation itself sets.
 *
 * R1. The list is guarded by the class lock. No setter runs under it: a birth takes copies of what
 *     is its own, and most machines have none, which costs a load.
 * R2. Types are named by text, so that a default may be there before its type is known. What is
 *     known is checked at once, the rest at birth.
 */
#include "base/alloc.h"
#include "object/machine.h"
#include "object/property.h"

struct fh_default {
	struct fh_default *next; /* in the order in which they were set */
	uint64_t hash;		 /* of the type's name */
	char *type;
	char *property;
	char *text;
};

static void default_free(struct fh_default *d)
{
	fh_free(d->type);
	fh_free(d->property);
	fh_free(d->text);
	fh_free(d);
}

static struct fh_default *default_new(const char *type, const char *property, const char *text)
{
	struct fh_default *d = fh_new(struct fh_default);

	d->hash = fh_hash_string(type);
	d->type = fh_strdup(type);
	d->property = fh_strdup(property);
	d->text = fh_strdup(text);
	return d;
}

static void free_list(struct fh_default *list)
{
	while (list) {
		struct fh_default *next = list->next;

		default_free(list);
		list = next;
	}
}

void fh_defaults_fini(struct fh_machine *m)
{
	free_list(atomic_load_explicit(&m->defaults, memory_order_relaxed));
}

/* --- Setting -------------------------------------------------------------------------------- */

/* What is known of the type says whether it may be set so. */
static enum fh_code check_default(struct fh_machine *m, const struct fh_type *type,
				  const char *name, const char *text, struct fh_error *err)
{
	const struct fh_class_property *slot =
		fh_class_find_property(fh_class_get(m, type), name, fh_hash_string(name));
	struct fh_value value;

	if (!slot)
		return fh_error_set(err, FH_ENOENT, "type '%s' has no property '%s'", type->name,
				    name);
	if (fh_property_is_fixed(slot->property))
		return fh_error_set(err, FH_EPERM, "property '%s' of type '%s' is read-only", name,
				    type->name);
	/* What a link names may come later. */
	if (slot->property->kind == FH_PROPERTY_LINK)
		return FH_OK;
	return fh_property_parse(slot->property, text, &value, err);
}

/* Takes the one that is of the same type and property out of the list, or returns NULL. */
static struct fh_default *take_old(struct fh_default **list, const char *type,
				   const char *property)
{
	for (struct fh_default **at = list; *at; at = &(*at)->next) {
		struct fh_default *d = *at;

		if (strcmp(d->type, type) == 0 && strcmp(d->property, property) == 0) {
			*at = d->next;
			return d;
		}
	}
	return NULL;
}

static void append(struct fh_default **list, struct fh_default *d)
{
	while (*list)
		list = &(*list)->next;
	*list = d;
}

enum fh_code fh_machine_set_default(struct fh_machine *m, const char *type, const char *property,
				    const char *text, struct fh_error *err)
{
	const struct fh_type *known = text ? fh_machine_find_type(m, type) : NULL;
	struct fh_default *list, *old;

	if (known) {
		const enum fh_code code = check_default(m, known, property, text, err);

		if (code != FH_OK)
			return fh_error_prefix(err, "default of '%s.%s': ", type, property), code;
	}
	struct fh_default *fresh = text ? default_new(type, property, text) : NULL;

	fh_lock_acquire(&m->class_lock);
	list = atomic_load_explicit(&m->defaults, memory_order_relaxed);
	old = take_old(&list, type, property);
	if (fresh)
		append(&list, fresh);
	/* Relaxed: who looks without the lock takes it before it follows the pointer. */
	atomic_store_explicit(&m->defaults, list, memory_order_relaxed);
	fh_lock_release(&m->class_lock);
	if (old)
		default_free(old);
	else if (!text)
		return fh_error_set(err, FH_ENOENT, "there is no default of '%s.%s'", type,
				    property);
	return FH_OK;
}

/* --- At birth ------------------------------------------------------------------------------- */

/* Copies of those of the object's type and what it derives from; base first. */
static struct fh_default *copy_for(struct fh_machine *m, const struct fh_class *class)
{
	struct fh_default *copies = NULL;

	fh_lock_acquire(&m->class_lock);
	for (; class; class = class->parent) {
		const uint64_t hash = fh_hash_string(class->type->name);
		const struct fh_default *d =
			atomic_load_explicit(&m->defaults, memory_order_relaxed);
		struct fh_default *level = NULL, **end = &level;

		for (; d; d = d->next) {
			if (d->hash != hash || strcmp(d->type, class->type->name) != 0)
				continue;
			*end = default_new(d->type, d->property, d->text);
			end = &(*end)->next;
		}
		*end = copies;
		copies = level;
	}
	fh_lock_release(&m->class_lock);
	return copies;
}

static enum fh_code apply(struct fh_object *object, const struct fh_default *d,
			  struct fh_error *err)
{
	const struct fh_class_property *slot = fh_class_find_property(
		object->class, d->property, fh_hash_string(d->property));
	enum fh_code code;

	if (!slot)
		code = fh_error_set(err, FH_ENOENT, "type '%s' has no property '%s'",
				    object->class->type->name, d->property);
	else if (fh_property_is_fixed(slot->property))
		code = fh_error_set(err, FH_EPERM, "property '%s' of type '%s' is read-only",
				    d->property, object->class->type->name);
	else
		code = fh_property_set_preset(object, slot, d->text, err);
	if (code != FH_OK)
		fh_error_prefix(err, "default of '%s.%s': ", d->type, d->property);
	return code;
}

enum fh_code fh_defaults_apply(struct fh_object *object, struct fh_error *err)
{
	struct fh_machine *m = object->machine;
	enum fh_code code = FH_OK;

	struct fh_default *copies = copy_for(m, object->class);

	for (const struct fh_default *d = copies; d && code == FH_OK; d = d->next)
		code = apply(object, d, err);
	free_list(copies);
	return code;
}

/* --- Listing -------------------------------------------------------------------------------- */

void fh_machine_each_default(struct fh_machine *m,
			     bool (*visit)(const char *type, const char *property,
					   const char *text, void *arg),
			     void *arg)
{
	struct fh_default *copies = NULL, **end = &copies;

	fh_lock_acquire(&m->class_lock);
	for (const struct fh_default *d = atomic_load_explicit(&m->defaults, memory_order_relaxed);
	     d; d = d->next) {
		*end = default_new(d->type, d->property, d->text);
		end = &(*end)->next;
	}
	fh_lock_release(&m->class_lock);
	for (const struct fh_default *d = copies; d; d = d->next)
		if (!visit(d->type, d->property, d->text, arg))
			break;
	free_list(copies);
}
