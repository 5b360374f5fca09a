/* SPDX-License-Identifier: MIT */
/*
 * Properties: typed, named values of objects, declared in a table of the type, or added to one
 * object at run time (fh_object_add_property(), fh_object_add_alias()).
 *
 * A child with a name reads as a property of that name, too, unless that hides it.
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
	FH_PROPERTY_CHILD,  /**< no field: the child of the property's name, if it is of link_type;
			       read as a link, never set */
	FH_PROPERTY_ALIAS,  /**< as fh_object_each_property() shows an alias that has lost what it
			       stands for; not for tables */
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
	const struct fh_type *link_type; /**< LINK, CHILD: what it may be; NULL: any object */
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
 * FH_ENOMEM no memory for the string; whatever the setter returned. Of an alias: what the property
 * says that it stands for; FH_EDEAD the object of that is gone; FH_ELOOP it stands for itself.
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
 * paths of objects, absolute or partial ("": none). Also FH_EFORMAT: it does not parse; of paths,
 * FH_ENOENT and FH_EAMBIGUOUS, as fh_machine_resolve() of what is of the link's type.
 */
FH_API enum fh_code fh_object_set_text(FH_ANY object, const char *name, const char *text,
				       struct fh_error *err);

/**
 * Get a property, of the kinds that the setter of the same name takes. Errors, output untouched:
 * FH_ENOENT, FH_ETYPE; FH_ERANGE more than INT64_MAX; FH_ENOMEM no memory for a copy; of an alias,
 * FH_EDEAD and FH_ELOOP. Any state of the object, also in dispose and finalize.
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
/**
 * LINK and CHILD: the target (ref taken), or NULL; always NULL once @object has left the machine
 * (L6, step 5).
 */
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

/**
 * The same for an object: its type's properties, then its own in the order in which they were added
 * (@level NULL; an alias as what it stands for, under its own name), then children with names, as
 * CHILD. @visit is called under no lock; what it is given is borrowed for the call.
 */
FH_API void fh_object_each_property(FH_ANY object,
				    bool (*visit)(const struct fh_type *level,
						  const struct fh_property *property, void *arg),
				    void *arg);

/** "bool", "u8", ... static storage; "?" for what is none. */
FH_API const char *fh_property_kind_name(enum fh_property_kind kind);

/** What an integer kind or SIZE holds, or false: it is another kind, outputs untouched. */
FH_API bool fh_property_kind_range(enum fh_property_kind kind, int64_t *ret_min,
				   uint64_t *ret_max);

/* --- Properties of one object --------------------------------------------------------------- */

/**
 * Add a property to one object, of any kind up to LINK; it is found and set like those of the type.
 * @property is borrowed for the call, but for what enum_names and link_type point to, and preset is
 * set before anybody finds it. @state is what callbacks get and where the field is, at offset, with
 * NULL or the core's own in it if a string or link. NULL: the core keeps the value, and callbacks
 * get its address.
 * The property goes when it is removed, when its object is finalized, or when the realize during
 * which it was added fails. Once that is so and no callback of it runs any more, @release (may be
 * NULL) is called with @state, under no lock; on an error it is not.
 * Errors: FH_EEXIST; FH_EINVAL the name is empty or has a '/', or the kind; FH_EDEAD the object has
 * been detached; whatever setting the preset returned.
 */
FH_API enum fh_code fh_object_add_property(FH_ANY object, const struct fh_property *property,
					   void *state, void (*release)(void *state),
					   struct fh_error *err);

/**
 * Add a property that stands for @target_name of @target (borrowed; kept by nothing): whatever is
 * done with it is done with that one, by whose object's rules. It is looked up at each use.
 * Errors: as fh_object_add_property(); FH_ENOENT @target has no such property; FH_EINVAL two
 * machines.
 */
FH_API enum fh_code fh_object_add_alias(FH_ANY object, const char *name, FH_ANY target,
					const char *target_name, struct fh_error *err);

/**
 * Remove what the two above have added. Never waits; any context, also callbacks, dispose and
 * finalize, and a callback of the property itself. What a realize removes stays removed if it
 * fails. Errors: FH_ENOENT; FH_EPERM it is the type's.
 */
FH_API enum fh_code fh_object_remove_property(FH_ANY object, const char *name,
					      struct fh_error *err);

/* --- A machine's defaults ------------------------------------------------------------------- */

/**
 * What a property is from birth on, as fh_object_set_text() takes it, in objects that are made from
 * now on, of the type of that name or derived from it: after what types preset, of which the most
 * derived type's comes last, and before what the creation sets. A later one for the same stands in
 * the place of the earlier. All are copied. @text NULL: no default any more.
 * If the type is known to the machine it is checked at once, what a link names excepted; if not,
 * the creation fails. Errors (both name type and property): FH_ENOENT no such property, nor, to be
 * taken back, default; FH_EPERM read-only; FH_EFORMAT, FH_ERANGE as fh_object_set_text().
 */
FH_API enum fh_code fh_machine_set_default(struct fh_machine *m, const char *type,
					   const char *property, const char *text,
					   struct fh_error *err);

/**
 * Call @visit, under no lock, for each of them in the order in which they were set, until false.
 */
FH_API void fh_machine_each_default(struct fh_machine *m,
				    bool (*visit)(const char *type, const char *property,
						  const char *text, void *arg),
				    void *arg);

/* --- Lists ---------------------------------------------------------------------------------- */

/** A name and a text, for lists that creation takes; the list ends with an entry without a name. */
struct fh_setting {
	const char *name;
	const char *text;
};

FH_END_DECLS

#endif
