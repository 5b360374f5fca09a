/* SPDX-License-Identifier: MIT */
/*
 * Finding what is not the type's own: properties of the object, what its aliases stand for, and its
 * children, each of which reads as a property.
 *
 * R1. An alias holds its target weakly. What it stands for is looked up at each use, by name; a
 *     chain of aliases is followed to an end, or refused.
 */
#include "base/alloc.h"
#include "object/family.h"
#include "object/property-own.h"

#define FH_ALIAS_DEPTH_MAX 16

/* --- Finding -------------------------------------------------------------------------------- */

/* A child as a property: in no table. */
static struct fh_own *own_of_child(struct fh_object *object, const char *name)
{
	struct fh_object *child = fh_object_find_child(object, name);
	struct fh_own *own;

	if (!child)
		return NULL;
	own = fh_own_new(object, name);
	own->property.kind = FH_PROPERTY_CHILD;
	own->property.link_type = child->class->type;
	fh_object_unref(child);
	return own;
}

static void found_at(struct fh_found *found, struct fh_object *object, const char *name,
		     uint64_t hash)
{
	found->object = object;
	found->own = NULL;
	found->slot = fh_class_find_property(object->class, name, hash);
	if (found->slot)
		return;
	found->own = fh_own_find(object, name, hash);
	if (!found->own)
		found->own = own_of_child(object, name);
	found->slot = found->own ? &found->own->slot : NULL;
}

/* From an alias on to what it stands for. */
static enum fh_code follow(struct fh_found *found, struct fh_error *err)
{
	struct fh_own *const alias = found->own;
	struct fh_object *const target = fh_weak_get(alias->alias);

	if (!target)
		return fh_error_set(err, FH_EDEAD,
				    "property '%s' stands for '%s' of an object that is disposed of",
				    alias->name, alias->alias_name);
	found_at(found, target, alias->alias_name, fh_hash_string(alias->alias_name));
	if (!found->slot)
		fh_property_refuse(target, alias->alias_name, NULL, 0, err);
	fh_own_put(alias); /* before what keeps its object */
	fh_object_unref(found->keep);
	found->keep = target;
	return found->slot ? FH_OK : FH_ENOENT;
}

enum fh_code fh_property_open_slow(struct fh_found *found, const char *name, uint64_t hash,
				   uint32_t kinds, struct fh_error *err)
{
	struct fh_object *const object = found->object;
	enum fh_code code = FH_OK;

	if (!found->slot)
		found_at(found, object, name, hash);
	if (!found->slot)
		return fh_property_refuse(object, name, NULL, kinds, err);
	for (unsigned depth = 0; found->own && found->own->alias; depth++) {
		if (depth == FH_ALIAS_DEPTH_MAX)
			return fh_error_set(err, FH_ELOOP,
					    "property '%s' is an alias of an alias without end",
					    name);
		code = follow(found, err);
		if (code != FH_OK)
			return code;
	}
	if (!(kinds >> found->slot->property->kind & 1))
		return fh_property_refuse(found->object, found->slot->property->name,
					  found->slot->property, kinds, err);
	return FH_OK;
}

void fh_property_close_slow(struct fh_found *found)
{
	if (found->own)
		fh_own_put(found->own);
	fh_object_unref(found->keep);
}

/* --- Introspection -------------------------------------------------------------------------- */

struct each {
	struct fh_object *object;
	bool (*visit)(const struct fh_type *level, const struct fh_property *property, void *arg);
	void *arg;
	bool more;
};

static bool visit_type(const struct fh_type *level, const struct fh_property *property, void *arg)
{
	struct each *each = arg;

	each->more = each->visit(level, property, each->arg);
	return each->more;
}

/* An alias shows what it stands for under its own name. */
static void visit_own(struct each *each, const struct fh_own *own)
{
	struct fh_found found;

	if (!own->alias) {
		each->more = each->visit(NULL, &own->property, each->arg);
		return;
	}
	const bool good = fh_property_open(&found, each->object, own->name, FH_KINDS_ALL, NULL) ==
			  FH_OK;
	struct fh_property property = good ? *found.slot->property : own->property;

	property.name = own->name;
	each->more = each->visit(NULL, &property, each->arg);
	fh_property_close(&found);
}

static bool visit_child(struct fh_object *child, void *arg)
{
	struct each *each = arg;
	const char *name = fh_object_name_of(child);
	const uint64_t hash = name ? fh_hash_string(name) : 0;
	struct fh_own *hides = NULL;

	if (!name || fh_class_find_property(each->object->class, name, hash))
		return true;
	hides = fh_own_find(each->object, name, hash);
	if (hides) {
		fh_own_put(hides);
		return true;
	}
	const struct fh_property property = {
		.name = name, .kind = FH_PROPERTY_CHILD, .link_type = child->class->type
	};

	each->more = each->visit(NULL, &property, each->arg);
	return each->more;
}

void fh_object_each_property(FH_ANY any,
			     bool (*visit)(const struct fh_type *level,
					   const struct fh_property *property, void *arg),
			     void *arg)
{
	struct each each = {
		.object = fh_object_of(any), .visit = visit, .arg = arg, .more = true
	};
	struct fh_own **owns;
	size_t count;

	fh_type_each_property(each.object->class->type, visit_type, &each);
	owns = fh_own_take_all(each.object, &count);
	for (size_t i = 0; i < count; i++) {
		if (each.more)
			visit_own(&each, owns[i]);
		fh_own_put(owns[i]);
	}
	fh_free(owns);
	if (each.more)
		fh_object_each_child(each.object, visit_child, &each);
}
