/* SPDX-License-Identifier: MIT */
/*
 * Getting properties; see property.h for R1 to R3.
 *
 * R6. A getter runs on the caller's thread, outside the device's domain, in a read section. It
 *     works in every state of the object, dispose and finalize included (L5).
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "object/property.h"

#define LOAD(type, field) atomic_load_explicit((_Atomic(type) *)(field), memory_order_relaxed)

static inline void load_scalar(void *field, struct fh_value *value)
{
	switch (value->kind) {
	case FH_PROPERTY_BOOL: value->boolean = LOAD(bool, field); return;
	case FH_PROPERTY_U8: value->u = LOAD(uint8_t, field); return;
	case FH_PROPERTY_U16: value->u = LOAD(uint16_t, field); return;
	case FH_PROPERTY_U32: value->u = LOAD(uint32_t, field); return;
	case FH_PROPERTY_U64:
	case FH_PROPERTY_SIZE: value->u = LOAD(uint64_t, field); return;
	case FH_PROPERTY_I8: value->i = LOAD(int8_t, field); return;
	case FH_PROPERTY_I16: value->i = LOAD(int16_t, field); return;
	case FH_PROPERTY_I32:
	case FH_PROPERTY_ENUM: value->i = LOAD(int32_t, field); return;
	case FH_PROPERTY_I64: value->i = LOAD(int64_t, field); return;
	case FH_PROPERTY_STRING:
	case FH_PROPERTY_LINK:
	case FH_PROPERTY_CHILD:
	case FH_PROPERTY_ALIAS: break;
	}
	fh_unreachable();
}

/* A scalar, from wherever it is. */
static inline void get_scalar(struct fh_object *object, const struct fh_class_property *slot,
			      struct fh_value *ret_value)
{
	const struct fh_property *property = slot->property;

	ret_value->kind = property->kind;
	if (FH_LIKELY(!property->get)) {
		load_scalar(fh_property_field(object, slot), ret_value);
		return;
	}
	struct fh_thread *t = fh_thread_self();

	fh_rcu_read_begin(t);
	property->get(object, fh_property_state(object, slot), ret_value);
	fh_rcu_read_end(t);
}

enum fh_code fh_object_get_bool(FH_ANY any, const char *name, bool *ret_value, struct fh_error *err)
{
	struct fh_found found;
	struct fh_value value = { .boolean = false };
	const enum fh_code code =
		fh_property_open(&found, fh_object_of(any), name, FH_KIND(BOOL), err);

	if (FH_LIKELY(code == FH_OK)) {
		get_scalar(found.object, found.slot, &value);
		*ret_value = value.boolean;
	}
	fh_property_close(&found);
	return code;
}

static __attribute__((noinline)) enum fh_code
get_u64(const struct fh_sought *sought, uint64_t *ret_value, struct fh_error *err)
{
	struct fh_found found;
	struct fh_value value = { .u = 0 };
	const enum fh_code code =
		fh_property_open_sought(&found, sought, FH_KINDS_UNSIGNED, err);

	if (FH_LIKELY(code == FH_OK)) {
		get_scalar(found.object, found.slot, &value);
		*ret_value = value.u;
	}
	fh_property_close(&found);
	return code;
}

/* The usual case by itself: a field without a getter. */
enum fh_code fh_object_get_u64(FH_ANY any, const char *name, uint64_t *ret_value,
			       struct fh_error *err)
{
	const struct fh_sought sought = fh_property_seek(fh_object_of(any), name);
	struct fh_value value;

	if (FH_UNLIKELY(!sought.slot || sought.slot->property->get))
		return get_u64(&sought, ret_value, err);
	value.kind = sought.slot->property->kind;
	if (FH_UNLIKELY(!(FH_KINDS_UNSIGNED >> value.kind & 1)))
		return get_u64(&sought, ret_value, err);
	load_scalar(fh_property_field(sought.object, sought.slot), &value);
	*ret_value = value.u;
	return FH_OK;
}

enum fh_code fh_object_get_i64(FH_ANY any, const char *name, int64_t *ret_value,
			       struct fh_error *err)
{
	struct fh_found found;
	struct fh_value value = { .i = 0 };
	enum fh_code code =
		fh_property_open(&found, fh_object_of(any), name, FH_KINDS_INTEGER, err);

	if (FH_LIKELY(code == FH_OK)) {
		get_scalar(found.object, found.slot, &value);
		if (FH_UNLIKELY(!fh_property_range(found.slot->property->kind).is_signed &&
				value.u > INT64_MAX))
			code = fh_error_set(err, FH_ERANGE, "property '%s' is %" PRIu64, name,
					    value.u);
		else
			*ret_value = value.i;
	}
	fh_property_close(&found);
	return code;
}

static enum fh_code get_string(struct fh_object *object, const struct fh_class_property *slot,
			       char **ret_copy, struct fh_error *err)
{
	const struct fh_property *property = slot->property;
	struct fh_value value = { .kind = FH_PROPERTY_STRING, .string = NULL };
	struct fh_thread *t = fh_thread_self();
	enum fh_code code;

	if (property->get) {
		fh_rcu_read_begin(t);
		property->get(object, fh_property_state(object, slot), &value);
		code = fh_property_copy_string(value.string, ret_copy, err);
		fh_rcu_read_end(t);
		return code;
	}
	fh_links_acquire_as(object->machine, t);
	value.string = LOAD(char *, fh_property_field(object, slot));
	code = fh_property_copy_string(value.string, ret_copy, err);
	fh_lock_release_as(&object->machine->links_lock, t);
	return code;
}

enum fh_code fh_object_get_string(FH_ANY any, const char *name, char **ret_value,
				  struct fh_error *err)
{
	struct fh_found found;
	struct fh_value value = { .i = 0 };
	enum fh_code code = fh_property_open(&found, fh_object_of(any), name, FH_KINDS_TEXT, err);

	if (code == FH_OK && found.slot->property->kind == FH_PROPERTY_STRING) {
		code = get_string(found.object, found.slot, ret_value, err);
	} else if (code == FH_OK) {
		get_scalar(found.object, found.slot, &value);
		*ret_value = fh_property_format(found.slot->property, &value);
	}
	fh_property_close(&found);
	return code;
}

static struct fh_object *get_child(struct fh_object *object, const struct fh_property *property)
{
	struct fh_object *child = fh_object_find_child(object, property->name);

	if (child && property->link_type && !fh_object_cast(child, property->link_type))
		child = fh_object_unref(child);
	return child;
}

/* A ref, or NULL. */
static struct fh_object *get_link(struct fh_object *object, const struct fh_class_property *slot)
{
	const struct fh_property *property = slot->property;
	struct fh_value value = { .kind = FH_PROPERTY_LINK, .link = NULL };
	struct fh_thread *t = fh_thread_self();

	/* L5: what the type's own code still remembers may be gone. */
	if (fh_object_has(object, FH_OBJECT_LEFT | FH_OBJECT_FINALIZING))
		return NULL;
	if (property->kind == FH_PROPERTY_CHILD)
		return get_child(object, property);
	if (!property->get)
		return fh_link_get(object, fh_property_field(object, slot));
	fh_rcu_read_begin(t);
	property->get(object, fh_property_state(object, slot), &value);
	if (value.link && !fh_object_try_ref(value.link))
		value.link = NULL;
	fh_rcu_read_end(t);
	return value.link;
}

enum fh_code fh_object_get_link(FH_ANY any, const char *name, struct fh_object **ret_value,
				struct fh_error *err)
{
	struct fh_found found;
	const enum fh_code code = fh_property_open(&found, fh_object_of(any), name,
						   FH_KIND(LINK) | FH_KIND(CHILD), err);

	if (code == FH_OK)
		*ret_value = get_link(found.object, found.slot);
	fh_property_close(&found);
	return code;
}

static char *link_text(struct fh_object *object, const struct fh_class_property *slot)
{
	FH_CLEANUP(fh_object_unrefp) struct fh_object *target = get_link(object, slot);

	return target ? fh_object_path_dup(target) : fh_strdup("");
}

static enum fh_code get_text(struct fh_object *object, const struct fh_class_property *slot,
			     char **ret_text, struct fh_error *err)
{
	struct fh_value value = { .u = 0 };
	char *text = NULL;
	enum fh_code code = FH_OK;

	switch (slot->property->kind) {
	case FH_PROPERTY_LINK:
	case FH_PROPERTY_CHILD: text = link_text(object, slot); break;
	case FH_PROPERTY_STRING: code = get_string(object, slot, &text, err); break;
	default:
		get_scalar(object, slot, &value);
		text = fh_property_format(slot->property, &value);
	}
	if (code == FH_OK)
		*ret_text = text ? text : fh_strdup("");
	return code;
}

enum fh_code fh_object_get_text(FH_ANY any, const char *name, char **ret_text,
				struct fh_error *err)
{
	struct fh_found found;
	enum fh_code code = fh_property_open(&found, fh_object_of(any), name, FH_KINDS_ALL, err);

	if (code == FH_OK)
		code = get_text(found.object, found.slot, ret_text, err);
	fh_property_close(&found);
	return code;
}
