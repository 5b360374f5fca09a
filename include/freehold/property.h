/* SPDX-License-Identifier: MIT */
/*
 * Properties: typed, named values of objects, declared in a table of the type.
 *
 * A property without callbacks lives in a field of the level's state at `offset`; the field's C
 * type is given with each kind. Getting and setting find the name in constant time. A property of a
 * device is settable until that is realized, or at any time if FH_PROPERTY_LIVE; one of another
 * object at any time.
 */
#ifndef FREEHOLD_PROPERTY_H
#define FREEHOLD_PROPERTY_H

#include <freehold/object.h>

FH_BEGIN_DECLS

/** What kind of value, and the type of its field. */
enum fh_property_kind {
	FH_PROPERTY_BOOL,   /**< bool */
	FH_PROPERTY_U8,	    /**< uint8_t ... */
	FH_PROPERTY_U16,
	FH_PROPERTY_U32,
	FH_PROPERTY_U64,
	FH_PROPERTY_I8,	    /**< int8_t ... */
	FH_PROPERTY_I16,
	FH_PROPERTY_I32,
	FH_PROPERTY_I64,
	FH_PROPERTY_SIZE,   /**< uint64_t, bytes; as text with a suffix K, M, G, T, P, E */
	FH_PROPERTY_STRING, /**< char *, owned by the core, or NULL */
	FH_PROPERTY_ENUM,   /**< int, an index of enum_names */
	FH_PROPERTY_LINK,   /**< struct fh_object *: see FH_PROPERTY_STRONG */
};

/** Flags of struct fh_property. */
enum {
	FH_PROPERTY_READ_ONLY = 1, /**< only the type's own code changes it */
	FH_PROPERTY_LIVE = 2,	   /**< settable while realized, as a callback of the device */
	FH_PROPERTY_STRONG = 4,	   /**< a link that holds a ref until its object is disposed of;
				      otherwise it is cleared when the target is disposed of */
};

/** A value on its way in or out. Strings and objects: see the functions. */
struct fh_value {
	enum fh_property_kind kind;
	union {
		bool boolean;
		uint64_t u;	 /**< U8..U64, SIZE */
		int64_t i;	 /**< I8..I64, ENUM (index) */
		const char *string;
		struct fh_object *link;
	};
};

/** A property: an entry of struct fh_type.properties, which ends with one without a name. */
struct fh_property {
	const char *name;
	enum fh_property_kind kind;
	unsigned flags;
	size_t offset;		       /**< of the field in the state of the type's level */
	const char *description;
	const char *preset;	       /**< default, as fh_object_set_text() takes it; NULL: 0 */
	const char *const *enum_names; /**< ENUM: ended by NULL */
	const struct fh_type *link_type; /**< LINK: what it may point to; NULL: any object */
	/**
	 * Optional: called instead of storing into or loading from the field. @value is of the
	 * property's kind and in its range. A string or link is borrowed, in both directions.
	 * Set: FH_OK, or what the caller gets.
	 * Context of set: the caller's, or once the device is realized its domain (LIVE); for a
	 * preset before the first init. Context of get: the caller's, in a read section and outside
	 * the domain, in every state of the object, dispose and finalize included.
	 */
	enum fh_code (*set)(struct fh_object *object, void *state, const struct fh_value *value,
			    struct fh_error *err);
	void (*get)(struct fh_object *object, void *state, struct fh_value *value);
};

/**
 * Set a property. On a realized device the set is a callback: it waits for the device's domain, and
 * may not be made in a transaction, a listener or an interrupt input.
 * Errors, nothing changed: FH_ENOENT no such property; FH_ETYPE another kind; FH_ERANGE the value
 * does not fit; FH_EPERM read-only, or not settable any more; FH_EDEAD the object or a link's
 * target has been detached, or the device is hidden; FH_EINVAL a link to another machine's object;
 * FH_EBUSY the set would re-enter a realized device that is in a callback, or wait in a circle;
 * FH_ENOMEM no memory for the string; whatever the setter returned.
 */
FH_API enum fh_code fh_object_set_bool(FH_ANY object, const char *name, bool value,
				       struct fh_error *err);
FH_API enum fh_code fh_object_set_u64(FH_ANY object, const char *name, uint64_t value,
				      struct fh_error *err); /**< unsigned kinds and SIZE */
FH_API enum fh_code fh_object_set_i64(FH_ANY object, const char *name, int64_t value,
				      struct fh_error *err); /**< any integer kind */
FH_API enum fh_code fh_object_set_string(FH_ANY object, const char *name, const char *value,
					 struct fh_error *err); /**< STRING (copied) and ENUM */
FH_API enum fh_code fh_object_set_link(FH_ANY object, const char *name, FH_ANY target,
				       struct fh_error *err); /**< target NULL: none */
/**
 * From text, as a command line has it, any kind: on/off, 17 or 0x11, sizes as 4K, names of an enum,
 * absolute paths of objects ("": none). Also FH_EFORMAT: it does not parse; FH_ENOENT: no such
 * path.
 */
FH_API enum fh_code fh_object_set_text(FH_ANY object, const char *name, const char *text,
				       struct fh_error *err);

/**
 * Get a property, of the kinds that the setter of the same name takes. Errors, output untouched:
 * FH_ENOENT, FH_ETYPE; FH_ERANGE more than INT64_MAX; FH_ENOMEM no memory for a copy.
 */
FH_API enum fh_code fh_object_get_bool(FH_ANY object, const char *name, bool *ret_value,
				       struct fh_error *err);
FH_API enum fh_code fh_object_get_u64(FH_ANY object, const char *name, uint64_t *ret_value,
				      struct fh_error *err);
FH_API enum fh_code fh_object_get_i64(FH_ANY object, const char *name, int64_t *ret_value,
				      struct fh_error *err);
/** A copy (owned by caller, free()), or NULL if there is none: STRING and ENUM. */
FH_API enum fh_code fh_object_get_string(FH_ANY object, const char *name, char **ret_value,
					 struct fh_error *err);
/** The target (ref taken), or NULL; always NULL once @object has left the machine (L6, step 5). */
FH_API enum fh_code fh_object_get_link(FH_ANY object, const char *name,
				       struct fh_object **ret_value, struct fh_error *err);
/** Any kind as text (owned by caller, free()), as fh_object_set_text() takes it; "" for none. */
FH_API enum fh_code fh_object_get_text(FH_ANY object, const char *name, char **ret_text,
				       struct fh_error *err);

/**
 * Call @visit for every property of the type, inherited ones first, until it returns false. @level
 * is the type that declares it; one that a derived type declares anew is visited there.
 */
FH_API void fh_type_each_property(const struct fh_type *type,
				  bool (*visit)(const struct fh_type *level,
						const struct fh_property *property, void *arg),
				  void *arg);

/** A name and a text, for lists that creation takes; the list ends with an entry without a name. */
struct fh_setting {
	const char *name;
	const char *text;
};

FH_END_DECLS

#endif
