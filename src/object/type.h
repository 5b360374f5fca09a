/* SPDX-License-Identifier: MIT */
/*
 * Classes: what a machine works out once for each type that it meets.
 *
 * R1. A class is made on first use of its type in a machine, never changes, and lives as long as
 *     the machine.
 * R2. Casts, interfaces and property names are looked up in small open hash tables, so that their
 *     cost does not grow with depth.
 */
#ifndef OBJECT_TYPE_H
#define OBJECT_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "freehold/object.h"
#include "freehold/property.h"

/* What the library's own types add to a type. Inherited by types derived from them. */
struct fh_core_ops {
	size_t size;	/* of the core struct that begins with struct fh_object */
	size_t align;	/* 0: as malloc's */
	bool immediate; /* dispose never waits; no children */
	bool leaf; /* immediate; may be disposed of in a listener's callback as well */
	bool hidden_at_birth; /* devices: shown by realize, not by birth */
	bool called_as_other; /* callbacks in its name are another's, whose drain waits for them */
	/*
	 * L6 step 4 for this object, idempotent, in a transaction (topology lock held): take down
	 * every link from and to it. Called once per object; foreign code may not run here.
	 */
	void (*detach)(struct fh_object *object);
	/* Its shown bit or its owner's has changed; topology lock held, in a transaction. */
	void (*shown_changed)(struct fh_object *object);
	/* Before the memory goes, after the type's own finalize callbacks. */
	void (*finalize)(struct fh_object *object);
	/*
	 * Devices: a table (fh_alloc'ed, the class frees it) with @derived's fields, and @base's
	 * where NULL.
	 */
	const struct fh_device_ops *(*merge)(const struct fh_device_ops *base,
					     const struct fh_device_ops *derived);
	/*
	 * For fh_object_explain(): an object that this one pins because it is what it is (region:
	 * owner), or NULL or itself.
	 */
	struct fh_object *(*held_by_nature)(struct fh_object *object);
	const char *held_as; /* what that is to this one; NULL: "owner" */
};

struct fh_class_level {
	const struct fh_type *type; /* NULL: free slot */
	size_t state_offset;	    /* from the object */
};

struct fh_class_property {
	const struct fh_property *property; /* NULL: free slot */
	uint64_t hash;			    /* fh_hash_string(property->name) */
	/* Of its level, from the object; modulo 2^64, as one object's own may be anywhere. */
	size_t state_offset;
};

struct fh_class {
	const struct fh_type *type;
	const struct fh_class *parent;
	size_t size;	    /* of an object without its name */
	size_t state_offset; /* of this level, from the object */
	size_t align;	     /* 0: as malloc's */
	unsigned depth;
	const struct fh_core_ops *core; /* of the nearest level that has one; never NULL */
	const struct fh_device_ops *device; /* merged: NULL fields inherited; NULL: not a device */

	uint32_t level_mask;
	uint32_t interface_mask;
	uint32_t property_mask;
	struct fh_class_level *levels;		/* by hash of type */
	struct fh_interface_entry *interfaces;	/* by hash of interface */
	struct fh_class_property *properties;	/* by hash of name; derived overrides base */
};

/* Frees all classes. */
void fh_classes_fini(struct fh_machine *m);

static inline void *fh_class_state(const struct fh_class_level *level, struct fh_object *object)
{
	return (char *)object + level->state_offset;
}

/* The class of @type in @m. Lock-free after the first time. */
const struct fh_class *fh_class_get(struct fh_machine *m, const struct fh_type *type);

/* The level of @type in @class, or NULL. */
const struct fh_class_level *fh_class_level(const struct fh_class *class,
					    const struct fh_type *type);

/* The property of that name, whose hash @hash is, or NULL. */
static inline const struct fh_class_property *
fh_class_find_property(const struct fh_class *class, const char *name, uint64_t hash)
{
	for (uint32_t i = (uint32_t)hash & class->property_mask;;
	     i = (i + 1) & class->property_mask) {
		const struct fh_class_property *slot = &class->properties[i];

		if (FH_UNLIKELY(!slot->property))
			return NULL;
		if (slot->hash == hash && strcmp(slot->property->name, name) == 0)
			return slot;
	}
}

/* default.c: the machine's defaults for a new object; at the machine's end. */
enum fh_code fh_defaults_apply(struct fh_object *object, struct fh_error *err);
void fh_defaults_fini(struct fh_machine *m);

/*
 * property-own.c: what was added after the mark is removed by the rollback (L7); at finalize, all.
 */
void fh_properties_mark_own(struct fh_object *object);
void fh_properties_rollback_own(struct fh_object *object);
void fh_properties_release_own(struct fh_object *object);

/* property.c: give properties of a new object their defaults; free what they hold. */
enum fh_code fh_properties_preset(struct fh_object *object, struct fh_error *err);
/* Links read as nothing from here on, strong ones give their ref back. At the end of leave. */
void fh_properties_drop_links(struct fh_object *object);
void fh_properties_release(struct fh_object *object);
/* A realize that fails puts the object's links back to what they were at the mark (L7). */
void fh_properties_mark_links(struct fh_object *object);
void fh_properties_rollback_links(struct fh_object *object);
/* Weak link properties that point to @target become NULL; detach of the target. */
void fh_properties_clear_links_to(struct fh_object *target);
/* For explain: call @visit, which only notes down, for each strong link. Links lock held. */
void fh_properties_each_strong_locked(struct fh_object *object,
				      void (*visit)(struct fh_object *target, const char *name,
						    void *arg),
				      void *arg);

#endif
