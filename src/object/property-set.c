/* SPDX-License-Identifier: MIT */
/*
 * Setting properties; see property.h for R1 to R3.
 *
 * R4. Every set goes through the same gates in the same order: the name, the kind, whether it may
 *     be set now, the value. What any of them refuses has changed nothing.
 * R5. On a realized device a set is one of the device's callbacks: it runs in its domain, or not
 *     at all once the device is hidden (L6).
 * R7. A place that place_open() has seen is closed by place_close(), whatever the outcome.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "object/property.h"

/* --- The gates ------------------------------------------------------------------------------ */

/* A property that may be set now. */
struct place {
	struct fh_found found; /* R7 */
	bool live;	       /* R5 */
};

static FH_COLD enum fh_code refuse_set(const struct fh_object *object,
				       const struct fh_property *property, uint32_t flags,
				       struct fh_error *err)
{
	const char *type = object->class->type->name;

	if (fh_property_is_fixed(property))
		return fh_error_set(err, FH_EPERM, "property '%s' of type '%s' is read-only",
				    property->name, type);
	if (flags & FH_OBJECT_DETACHED)
		return fh_error_set(err, FH_EDEAD, "property '%s': its object is disposed of",
				    property->name);
	return fh_error_set(err, FH_EPERM,
			    "property '%s' of type '%s' cannot be set once the device is realized",
			    property->name, type);
}

/* The first three gates of R4. */
static inline enum fh_code place_open_sought(struct place *ret, const struct fh_sought *sought,
					     uint32_t kinds, struct fh_error *err)
{
	const enum fh_code code = fh_property_open_sought(&ret->found, sought, kinds, err);

	ret->live = false;
	if (FH_UNLIKELY(code != FH_OK))
		return code;
	const struct fh_object *object = ret->found.object;
	const struct fh_property *property = ret->found.slot->property;
	/* Acquire: pairs with the release in fh_object_set_flags(). */
	const uint32_t flags = atomic_load_explicit(&object->flags, memory_order_acquire);
	const bool realized = flags & FH_OBJECT_REALIZED;

	if (FH_UNLIKELY(property->flags & FH_PROPERTY_READ_ONLY || flags & FH_OBJECT_DETACHED ||
			(realized && !(property->flags & FH_PROPERTY_LIVE))))
		return refuse_set(object, property, flags, err);
	ret->live = realized;
	return FH_OK;
}

static inline enum fh_code place_open(struct place *ret, FH_ANY any, const char *name,
				      uint32_t kinds, struct fh_error *err)
{
	const struct fh_sought sought = fh_property_seek(fh_object_of(any), name);

	return place_open_sought(ret, &sought, kinds, err);
}

static inline enum fh_code place_close(struct place *place, enum fh_code code)
{
	fh_property_close(&place->found);
	return code;
}

/* --- Fields --------------------------------------------------------------------------------- */

#define STORE(type, field, value) \
	atomic_store_explicit((_Atomic(type) *)(field), (type)(value), memory_order_relaxed)

/* Relaxed: a property orders nothing but itself (R1). */
static inline void store_scalar(void *field, const struct fh_value *value)
{
	switch (value->kind) {
	case FH_PROPERTY_BOOL: STORE(bool, field, value->boolean); return;
	case FH_PROPERTY_U8:
	case FH_PROPERTY_I8: STORE(uint8_t, field, value->u); return;
	case FH_PROPERTY_U16:
	case FH_PROPERTY_I16: STORE(uint16_t, field, value->u); return;
	case FH_PROPERTY_U32:
	case FH_PROPERTY_I32:
	case FH_PROPERTY_ENUM: STORE(uint32_t, field, value->u); return;
	case FH_PROPERTY_U64:
	case FH_PROPERTY_I64:
	case FH_PROPERTY_SIZE: STORE(uint64_t, field, value->u); return;
	case FH_PROPERTY_STRING:
	case FH_PROPERTY_LINK:
	case FH_PROPERTY_CHILD:
	case FH_PROPERTY_ALIAS: break;
	}
	fh_unreachable();
}

static enum fh_code store_string(struct fh_object *object, void *field, const char *string,
				 struct fh_error *err)
{
	_Atomic(char *) *const string_field = field;
	char *fresh;
	const enum fh_code code = fh_property_copy_string(string, &fresh, err);

	if (code != FH_OK)
		return code;
	fh_links_acquire(object->machine);
	char *const old = atomic_load_explicit(string_field, memory_order_relaxed);
	/* Release: for the type's own code, which reads the field without the lock. */
	atomic_store_explicit(string_field, fresh, memory_order_release);
	fh_lock_release(&object->machine->links_lock);
	fh_free(old);
	return FH_OK;
}

enum fh_code fh_property_set_now(struct fh_object *object, const struct fh_class_property *slot,
				 const struct fh_value *value, struct fh_error *err)
{
	const struct fh_property *property = slot->property;
	void *const field = fh_property_field(object, slot);

	if (property->set) {
		const enum fh_code code =
			property->set(object, fh_property_state(object, slot), value, err);

		if (code != FH_OK)
			fh_error_set(err, code, "property '%s': its setter failed with %s",
				     property->name, fh_code_name(code));
		return code;
	}
	if (property->kind == FH_PROPERTY_STRING)
		return store_string(object, field, value->string, err);
	if (property->kind == FH_PROPERTY_LINK)
		return fh_link_set(object, property, field, value->link, err);
	store_scalar(field, value);
	return FH_OK;
}

/* --- The set itself ------------------------------------------------------------------------- */

struct set_call {
	const struct place *place;
	const struct fh_value *value;
	struct fh_error *err;
	enum fh_code code;
};

static void run_set(void *arg)
{
	struct set_call *call = arg;

	const struct fh_found *found = &call->place->found;

	call->code = fh_property_set_now(found->object, found->slot, call->value, call->err);
}

static enum fh_code set_in_domain(const struct place *place, const struct fh_value *value,
				  struct fh_error *err)
{
	struct set_call call = { .place = place, .value = value, .err = err };
	const char *name = place->found.slot->property->name;

	if (place->found.object->machine->ops->call(place->found.object, run_set, &call))
		return call.code;
	if (!fh_object_is_shown(place->found.object))
		return fh_error_set(err, FH_EDEAD, "property '%s': its device is being unplugged",
				    name);
	return fh_error_set(err, FH_EBUSY,
			    "property '%s': the set would re-enter a device in a callback",
			    name);
}

static inline enum fh_code place_set(const struct place *place, const struct fh_value *value,
				     struct fh_error *err)
{
	if (FH_UNLIKELY(place->live))
		return set_in_domain(place, value, err);
	return fh_property_set_now(place->found.object, place->found.slot, value, err);
}

enum fh_code fh_object_set_bool(FH_ANY object, const char *name, bool value, struct fh_error *err)
{
	const struct fh_value bool_value = { .kind = FH_PROPERTY_BOOL, .boolean = value };
	struct place place;
	const enum fh_code code = place_open(&place, object, name, FH_KIND(BOOL), err);

	return place_close(&place, code == FH_OK ? place_set(&place, &bool_value, err) : code);
}

static FH_COLD enum fh_code refuse_number(const struct place *place, const char *number,
					  struct fh_error *err)
{
	const struct fh_property *property = place->found.slot->property;
	const struct fh_range_of_kind range = fh_property_range(property->kind);

	return fh_error_set(err, FH_ERANGE, "property '%s': %s is not in %" PRId64 "..%" PRIu64,
			    property->name, number, range.min, range.max);
}

static FH_COLD enum fh_code refuse_unsigned(const struct place *place, uint64_t value,
					    struct fh_error *err)
{
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, value);
	return refuse_number(place, number, err);
}

static FH_COLD enum fh_code refuse_signed(const struct place *place, int64_t value,
					  struct fh_error *err)
{
	char number[24];

	snprintf(number, sizeof(number), "%" PRId64, value);
	return refuse_number(place, number, err);
}

static enum fh_code place_set_u64(const struct place *place, uint64_t value, struct fh_error *err)
{
	const enum fh_property_kind kind = place->found.slot->property->kind;
	const struct fh_value u64_value = { .kind = kind, .u = value };

	if (FH_UNLIKELY(value > fh_property_range(kind).max))
		return refuse_unsigned(place, value, err);
	return place_set(place, &u64_value, err);
}

static __attribute__((noinline)) enum fh_code
set_u64(const struct fh_sought *sought, uint64_t value, struct fh_error *err)
{
	struct place place;
	enum fh_code code = place_open_sought(&place, sought, FH_KINDS_UNSIGNED, err);

	if (code == FH_OK)
		code = place_set_u64(&place, value, err);
	return place_close(&place, code);
}

/* The usual case by itself, if it is one: a field without a setter, of what is not realized. */
static inline bool set_field(const struct fh_sought *sought, uint64_t value)
{
	const struct fh_property *property = sought->slot->property;
	void *const field = fh_property_field(sought->object, sought->slot);
	/* Acquire: pairs with the release in fh_object_set_flags(). */
	const uint32_t flags =
		atomic_load_explicit(&sought->object->flags, memory_order_acquire);

	if (FH_UNLIKELY(property->set || property->flags & FH_PROPERTY_READ_ONLY ||
			flags & (FH_OBJECT_DETACHED | FH_OBJECT_REALIZED)))
		return false;
	switch (property->kind) {
	case FH_PROPERTY_U8:
		if (value <= UINT8_MAX)
			STORE(uint8_t, field, value);
		return value <= UINT8_MAX;
	case FH_PROPERTY_U16:
		if (value <= UINT16_MAX)
			STORE(uint16_t, field, value);
		return value <= UINT16_MAX;
	case FH_PROPERTY_U32:
		if (value <= UINT32_MAX)
			STORE(uint32_t, field, value);
		return value <= UINT32_MAX;
	case FH_PROPERTY_U64:
	case FH_PROPERTY_SIZE: STORE(uint64_t, field, value); return true;
	default: return false;
	}
}

enum fh_code fh_object_set_u64(FH_ANY object, const char *name, uint64_t value,
			       struct fh_error *err)
{
	const struct fh_sought sought = fh_property_seek(fh_object_of(object), name);

	if (FH_LIKELY(sought.slot && set_field(&sought, value)))
		return FH_OK;
	return set_u64(&sought, value, err);
}

static enum fh_code place_set_i64(const struct place *place, int64_t value, struct fh_error *err)
{
	const enum fh_property_kind kind = place->found.slot->property->kind;
	const struct fh_range_of_kind range = fh_property_range(kind);
	const struct fh_value i64_value = { .kind = kind, .i = value };

	if (FH_UNLIKELY(value < range.min || (value > 0 && (uint64_t)value > range.max)))
		return refuse_signed(place, value, err);
	return place_set(place, &i64_value, err);
}

enum fh_code fh_object_set_i64(FH_ANY object, const char *name, int64_t value,
			       struct fh_error *err)
{
	struct place place;
	enum fh_code code = place_open(&place, object, name, FH_KINDS_INTEGER, err);

	if (FH_LIKELY(code == FH_OK))
		code = place_set_i64(&place, value, err);
	return place_close(&place, code);
}

static enum fh_code place_set_text(const struct place *place, const char *text,
				   struct fh_error *err)
{
	struct fh_value value;
	const enum fh_code code = fh_property_parse(place->found.slot->property, text, &value, err);

	return code == FH_OK ? place_set(place, &value, err) : code;
}

enum fh_code fh_object_set_string(FH_ANY object, const char *name, const char *value,
				  struct fh_error *err)
{
	struct place place;
	enum fh_code code = place_open(&place, object, name, FH_KINDS_TEXT, err);

	if (code == FH_OK) {
		fh_assert(value || place.found.slot->property->kind == FH_PROPERTY_STRING);
		code = place_set_text(&place, value, err);
	}
	return place_close(&place, code);
}

static enum fh_code place_set_link(const struct place *place, struct fh_object *target,
				   struct fh_error *err)
{
	const struct fh_value value = { .kind = FH_PROPERTY_LINK, .link = target };
	const struct fh_found *found = &place->found;
	enum fh_code code;

	if (found->slot->property->kind == FH_PROPERTY_CHILD)
		return refuse_set(found->object, found->slot->property, 0, err);
	code = fh_link_check(found->object, found->slot->property, target, err);
	return code == FH_OK ? place_set(place, &value, err) : code;
}

enum fh_code fh_object_set_link(FH_ANY object, const char *name, FH_ANY target,
				struct fh_error *err)
{
	struct place place;
	enum fh_code code = place_open(&place, object, name, FH_KIND(LINK) | FH_KIND(CHILD), err);

	if (code == FH_OK)
		code = place_set_link(&place, fh_object_of(target), err);
	return place_close(&place, code);
}

static enum fh_code place_set_path(const struct place *place, const char *path,
				   struct fh_error *err)
{
	FH_CLEANUP(fh_object_unrefp) struct fh_object *target = NULL;
	const struct fh_found *found = &place->found;
	enum fh_code code = FH_OK;

	if (found->slot->property->kind == FH_PROPERTY_LINK)
		code = fh_link_find(found->object, found->slot->property, path, &target, err);
	return code == FH_OK ? place_set_link(place, target, err) : code;
}

enum fh_code fh_object_set_text(FH_ANY object, const char *name, const char *text,
				struct fh_error *err)
{
	struct place place;
	enum fh_code code = place_open(&place, object, name, FH_KINDS_ALL, err);

	fh_assert(text);
	if (code == FH_OK) {
		const enum fh_property_kind kind = place.found.slot->property->kind;

		code = kind == FH_PROPERTY_LINK || kind == FH_PROPERTY_CHILD
			       ? place_set_path(&place, text, err)
			       : place_set_text(&place, text, err);
	}
	return place_close(&place, code);
}
