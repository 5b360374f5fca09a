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
	case FH_PROPERTY_LINK: break;
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
	struct fh_object *object = fh_object_of(any);
	enum fh_code code = FH_OK;
	const struct fh_class_property *slot =
		fh_property_find(object, name, FH_KIND(BOOL), &code, err);
	struct fh_value value = { .boolean = false };

	if (!slot)
		return code;
	get_scalar(object, slot, &value);
	*ret_value = value.boolean;
	return FH_OK;
}

enum fh_code fh_object_get_u64(FH_ANY any, const char *name, uint64_t *ret_value,
			       struct fh_error *err)
{
	struct fh_object *object = fh_object_of(any);
	enum fh_code code = FH_OK;
	const struct fh_class_property *slot =
		fh_property_find(object, name, FH_KINDS_UNSIGNED, &code, err);
	struct fh_value value = { .u = 0 };

	if (FH_UNLIKELY(!slot))
		return code;
	get_scalar(object, slot, &value);
	*ret_value = value.u;
	return FH_OK;
}

enum fh_code fh_object_get_i64(FH_ANY any, const char *name, int64_t *ret_value,
			       struct fh_error *err)
{
	struct fh_object *object = fh_object_of(any);
	enum fh_code code = FH_OK;
	const struct fh_class_property *slot =
		fh_property_find(object, name, FH_KINDS_INTEGER, &code, err);
	struct fh_value value = { .i = 0 };

	if (FH_UNLIKELY(!slot))
		return code;
	get_scalar(object, slot, &value);
	if (FH_UNLIKELY(!fh_property_range(slot->property->kind).is_signed && value.u > INT64_MAX))
		return fh_error_set(err, FH_ERANGE, "property '%s' is %" PRIu64, name, value.u);
	*ret_value = value.i;
	return FH_OK;
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
	struct fh_object *object = fh_object_of(any);
	enum fh_code code = FH_OK;
	const struct fh_class_property *slot =
		fh_property_find(object, name, FH_KINDS_TEXT, &code, err);
	struct fh_value value = { .i = 0 };

	if (!slot)
		return code;
	if (slot->property->kind == FH_PROPERTY_STRING)
		return get_string(object, slot, ret_value, err);
	get_scalar(object, slot, &value);
	*ret_value = fh_property_format(slot->property, &value);
	return FH_OK;
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
	struct fh_object *object = fh_object_of(any);
	enum fh_code code = FH_OK;
	const struct fh_class_property *slot =
		fh_property_find(object, name, FH_KIND(LINK), &code, err);

	if (slot)
		*ret_value = get_link(object, slot);
	return code;
}

static char *link_text(struct fh_object *object, const struct fh_class_property *slot)
{
	FH_CLEANUP(fh_object_unrefp) struct fh_object *target = get_link(object, slot);

	return target ? fh_object_path_dup(target) : fh_strdup("");
}

enum fh_code fh_object_get_text(FH_ANY any, const char *name, char **ret_text,
				struct fh_error *err)
{
	struct fh_object *object = fh_object_of(any);
	enum fh_code code = FH_OK;
	const struct fh_class_property *slot =
		fh_property_find(object, name, FH_KINDS_ALL, &code, err);
	struct fh_value value = { .u = 0 };
	char *text = NULL;

	if (!slot)
		return code;
	switch (slot->property->kind) {
	case FH_PROPERTY_LINK: text = link_text(object, slot); break;
	case FH_PROPERTY_STRING: code = get_string(object, slot, &text, err); break;
	default:
		get_scalar(object, slot, &value);
		text = fh_property_format(slot->property, &value);
	}
	if (code == FH_OK)
		*ret_text = text ? text : fh_strdup("");
	return code;
}
