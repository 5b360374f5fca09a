/* SPDX-License-Identifier: MIT */
/*
 * What the files of properties share: values in fields, text, links.
 *
 * R1. A scalar is a relaxed atomic of its field's width: a reader on another thread sees the old
 *     value or the new, never a mixture.
 * R2. Strings and links are read and changed under the machine's links lock; nothing foreign is
 *     called and no memory of a user's size is freed under it.
 * R3. A link's field is stored with release and its target is not freed before a grace period
 *     after the field was cleared, so that a type's own code may read the field inside a read
 *     section (L2, L3).
 */
#ifndef OBJECT_PROPERTY_H
#define OBJECT_PROPERTY_H

#include <string.h>

#include "base/hash.h"
#include "object/machine.h"
#include "object/object.h"
#include "object/type.h"

/* Sets of kinds. */
#define FH_KIND(kind) (1u << FH_PROPERTY_##kind)
#define FH_KINDS_UNSIGNED (FH_KIND(U8) | FH_KIND(U16) | FH_KIND(U32) | FH_KIND(U64) | FH_KIND(SIZE))
#define FH_KINDS_SIGNED (FH_KIND(I8) | FH_KIND(I16) | FH_KIND(I32) | FH_KIND(I64))
#define FH_KINDS_INTEGER (FH_KINDS_UNSIGNED | FH_KINDS_SIGNED)
#define FH_KINDS_TEXT (FH_KIND(STRING) | FH_KIND(ENUM))
#define FH_KINDS_ALL UINT32_MAX

/* The error of fh_property_open(); @property NULL: there is none. */
FH_COLD enum fh_code fh_property_refuse(const struct fh_object *object, const char *name,
					const struct fh_property *property, uint32_t kinds,
					struct fh_error *err);

struct fh_own;

/* A property that was found, and what keeps it meanwhile. */
struct fh_found {
	struct fh_object *object; /* whose it is: of an alias, another */
	const struct fh_class_property *slot;
	struct fh_own *own;	/* in use; NULL: it is the type's */
	struct fh_object *keep; /* a ref of object; NULL: the caller's */
};

/* property-found.c: what is not the type's own, of any of @kinds. */
FH_COLD enum fh_code fh_property_open_slow(struct fh_found *found, const char *name, uint64_t hash,
					   uint32_t kinds, struct fh_error *err);
void fh_property_close_slow(struct fh_found *found);

/* What is looked for in an object, and what its type has of that name, or NULL. */
struct fh_sought {
	struct fh_object *object;
	const char *name;
	uint64_t hash;
	const struct fh_class_property *slot;
};

static inline struct fh_sought fh_property_seek(struct fh_object *object, const char *name)
{
	const uint64_t hash = fh_hash_string(name);

	return (struct fh_sought){
		.object = object, .name = name, .hash = hash,
		.slot = fh_class_find_property(object->class, name, hash),
	};
}

/*
 * The property that is sought, if it is one of @kinds: else FH_ENOENT, FH_ETYPE, or what an alias
 * leads to. Closed in every case.
 */
static inline enum fh_code fh_property_open_sought(struct fh_found *ret,
						   const struct fh_sought *sought, uint32_t kinds,
						   struct fh_error *err)
{
	ret->object = sought->object;
	ret->own = NULL;
	ret->keep = NULL;
	ret->slot = sought->slot;
	if (FH_LIKELY(ret->slot && kinds >> ret->slot->property->kind & 1))
		return FH_OK;
	return fh_property_open_slow(ret, sought->name, sought->hash, kinds, err);
}

static inline enum fh_code fh_property_open(struct fh_found *ret, struct fh_object *object,
					    const char *name, uint32_t kinds, struct fh_error *err)
{
	const struct fh_sought sought = fh_property_seek(object, name);

	return fh_property_open_sought(ret, &sought, kinds, err);
}

static inline void fh_property_close(struct fh_found *found)
{
	if (FH_UNLIKELY(found->own || found->keep))
		fh_property_close_slow(found);
}

/* What the callbacks of the property get as state, and where its value is if it has none. */
static inline void *fh_property_state(struct fh_object *object,
				      const struct fh_class_property *slot)
{
	return (void *)((uintptr_t)object + slot->state_offset);
}

static inline void *fh_property_field(struct fh_object *object,
				      const struct fh_class_property *slot)
{
	return (void *)((uintptr_t)object + slot->state_offset + slot->property->offset);
}

/* Nobody but the type's own code sets it. */
static inline bool fh_property_is_fixed(const struct fh_property *property)
{
	return property->flags & FH_PROPERTY_READ_ONLY || property->kind == FH_PROPERTY_CHILD;
}

/* Whether the field holds a string of the core's: else the callbacks alone know what it is. */
bool fh_property_owns_string(const struct fh_property *property);

/* From text, without asking whether that is permitted. */
enum fh_code fh_property_set_preset(struct fh_object *object, const struct fh_class_property *slot,
				    const char *text, struct fh_error *err);

/* Set it without asking whether that is permitted; the value fits. */
enum fh_code fh_property_set_now(struct fh_object *object, const struct fh_class_property *slot,
				 const struct fh_value *value, struct fh_error *err);

/* A string's length is a user's choice: no memory for a copy (owned by caller) is FH_ENOMEM. */
enum fh_code fh_property_copy_string(const char *string, char **ret_copy, struct fh_error *err);

/* What an integer kind holds. */
struct fh_range_of_kind {
	bool is_signed;
	int64_t min; /* 0 if unsigned */
	uint64_t max;
};

struct fh_range_of_kind fh_property_range(enum fh_property_kind kind);

/*
 * A value of any kind but LINK from text; *ret_value borrows @text for a STRING.
 * Errors: FH_EFORMAT it does not parse; FH_ERANGE it does not fit, or is no name of the enum.
 */
enum fh_code fh_property_parse(const struct fh_property *property, const char *text,
			       struct fh_value *ret_value, struct fh_error *err);

/* The opposite (owned by caller), for scalars. */
char *fh_property_format(const struct fh_property *property, const struct fh_value *value);

/* The index of a name of an ENUM, or -1. */
int fh_property_enum_index(const struct fh_property *property, const char *name);
/* The name of an index, or NULL. */
const char *fh_property_enum_name(const struct fh_property *property, int64_t index);

/*
 * Point the link in @field of @object at @target (borrowed; NULL: at nothing).
 * Errors, nothing changed: FH_EDEAD one of them is on its way out (L6); FH_ETYPE; FH_EINVAL another
 * machine's.
 */
enum fh_code fh_link_set(struct fh_object *object, const struct fh_property *property, void *field,
			 struct fh_object *target, struct fh_error *err);
/* May the property point at @target? Errors: FH_ETYPE; FH_EINVAL. */
enum fh_code fh_link_check(struct fh_object *object, const struct fh_property *property,
			   struct fh_object *target, struct fh_error *err);
/* The object at @path, for a link (ref taken); NULL for "". Errors: FH_ENOENT. */
enum fh_code fh_link_find(struct fh_object *object, const struct fh_property *property,
			  const char *path, struct fh_object **ret_target, struct fh_error *err);
/* Before the field of a property that is removed goes: it points at nothing. */
void fh_link_forget(struct fh_object *object, const void *field);
/* What it points to (ref taken), or NULL. */
struct fh_object *fh_link_get(struct fh_object *object, const void *field);

#endif
