/* SPDX-License-Identifier: MIT */
/*
 * Properties over an object's life, and as a table: defaults at birth, release at the end,
 * introspection. Setting is property-set.c, getting property-get.c, links property-link.c, text
 * property-text.c, properties of one object property-own.c and property-found.c; the rules that
 * they share are in property.h.
 */
#include "object/property.h"

#include "base/alloc.h"
#include "object/concern.h"

enum fh_code fh_property_refuse(const struct fh_object *object, const char *name,
				const struct fh_property *property, uint32_t kinds,
				struct fh_error *err)
{
	const char *type = object->class->type->name;
	const char *wanted = "a link";

	if (!property)
		return fh_error_set(err, FH_ENOENT, "type '%s' has no property '%s'", type, name);
	if (kinds == FH_KIND(BOOL))
		wanted = "a bool";
	else if (kinds == FH_KINDS_UNSIGNED)
		wanted = "an unsigned integer";
	else if (kinds == FH_KINDS_INTEGER)
		wanted = "an integer";
	else if (kinds == FH_KINDS_TEXT)
		wanted = "a string";
	return fh_error_set(err, FH_ETYPE, "property '%s' of type '%s' is of kind %s, not %s", name,
			    type, fh_property_kind_name(property->kind), wanted);
}

enum fh_code fh_property_copy_string(const char *string, char **ret_copy, struct fh_error *err)
{
	const size_t size = string ? strlen(string) + 1 : 0;
	char *copy = string ? fh_try_alloc(size) : NULL;

	if (string && !copy)
		return fh_error_set(err, FH_ENOMEM, "no memory for a string of %zu bytes", size);
	if (string)
		memcpy(copy, string, size);
	*ret_copy = copy;
	return FH_OK;
}

enum fh_code fh_property_set_preset(struct fh_object *object, const struct fh_class_property *slot,
				    const char *text, struct fh_error *err)
{
	const struct fh_property *property = slot->property;
	struct fh_value value = { .kind = FH_PROPERTY_LINK };
	FH_CLEANUP(fh_object_unrefp) struct fh_object *target = NULL;
	enum fh_code code = FH_OK;

	if (property->kind != FH_PROPERTY_LINK) {
		code = fh_property_parse(property, text, &value, err);
	} else {
		code = fh_link_find(object, property, text, &target, err);
		value.link = target;
	}
	if (code == FH_OK && target)
		code = fh_link_check(object, property, target, err);
	if (code == FH_OK)
		code = fh_property_set_now(object, slot, &value, err);
	return code;
}

static enum fh_code preset(struct fh_object *object, const struct fh_class *level,
			   const struct fh_property *property, struct fh_error *err)
{
	const struct fh_class_property slot = { .property = property,
						.state_offset = level->state_offset };
	const enum fh_code code = fh_property_set_preset(object, &slot, property->preset, err);

	if (code != FH_OK)
		fh_error_prefix(err, "default of ");
	return code;
}

/* Base first, so that the default of a derived type comes last where both set the same thing. */
static enum fh_code preset_levels(struct fh_object *object, const struct fh_class *level,
				  struct fh_error *err)
{
	enum fh_code code = level->parent ? preset_levels(object, level->parent, err) : FH_OK;

	for (const struct fh_property *p = level->type->properties; p && p->name; p++)
		if (code == FH_OK && p->preset)
			code = preset(object, level, p, err);
	return code;
}

enum fh_code fh_properties_preset(struct fh_object *object, struct fh_error *err)
{
	const enum fh_code code = preset_levels(object, object->class, err);

	/* Relaxed: who sees one takes the lock (default.c). */
	if (FH_LIKELY(code != FH_OK ||
		      !atomic_load_explicit(&object->machine->defaults, memory_order_relaxed)))
		return code;
	return fh_defaults_apply(object, err);
}

bool fh_property_owns_string(const struct fh_property *property)
{
	const bool computed = property->get && property->flags & FH_PROPERTY_READ_ONLY;

	return property->kind == FH_PROPERTY_STRING && !property->set && !computed;
}

void fh_properties_release(struct fh_object *object)
{
	for (const struct fh_class *level = object->class; level; level = level->parent) {
		char *const state = (char *)object + level->state_offset;

		for (const struct fh_property *p = level->type->properties; p && p->name; p++)
			if (fh_property_owns_string(p))
				fh_free(*(char **)(state + p->offset));
	}
	if (FH_UNLIKELY(fh_concern_peek(object)))
		fh_properties_release_own(object);
}

static const struct fh_type *type_parent(const struct fh_type *type)
{
	if (type == &fh_object_type)
		return NULL;
	return type->parent ? type->parent : &fh_object_type;
}

/* The level at which @type declares the property that it shows under this name. */
static const struct fh_type *declaring_level(const struct fh_type *type, const char *name)
{
	for (; type; type = type_parent(type))
		for (const struct fh_property *p = type->properties; p && p->name; p++)
			if (strcmp(p->name, name) == 0)
				return type;
	return NULL;
}

void fh_type_each_property(const struct fh_type *type,
			   bool (*visit)(const struct fh_type *level,
					 const struct fh_property *property, void *arg),
			   void *arg)
{
	unsigned depth = 0;

	for (const struct fh_type *level = type; level; level = type_parent(level))
		depth++;
	while (depth--) {
		const struct fh_type *level = type;

		for (unsigned i = 0; i < depth; i++)
			level = type_parent(level);
		for (const struct fh_property *p = level->properties; p && p->name; p++)
			if (declaring_level(type, p->name) == level && !visit(level, p, arg))
				return;
	}
}
