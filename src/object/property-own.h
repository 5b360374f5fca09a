/* SPDX-License-Identifier: MIT */
/*
 * A property of one object, as property-own.c keeps it and property-found.c finds it. The rules are
 * those of property-own.c.
 */
#ifndef OBJECT_PROPERTY_OWN_H
#define OBJECT_PROPERTY_OWN_H

#include "object/property.h"

struct fh_own {
	struct fh_class_property slot; /* of what follows */
	struct fh_property property;
	struct fh_list order; /* links lock: in the table, the first added first */
	struct fh_own *next;  /* links lock: in its bucket */
	struct fh_object *object;
	uint32_t uses;	      /* links lock: R1 */
	bool kept;	      /* links lock: was there when a realize began (L7) */
	bool ours;	      /* what a string's field holds is the core's to free */
	struct fh_weak *alias; /* NULL: it is none */
	char *alias_name;
	void *state;
	void (*release)(void *state);
	uint64_t value; /* where @state is NULL: bool, number, pointer */
	char name[];
};

/* In use by the caller, and in no table. */
struct fh_own *fh_own_new(struct fh_object *object, const char *name);

/* One use less; under no lock. */
void fh_own_put(struct fh_own *own);

/* In use, or NULL. */
struct fh_own *fh_own_find(struct fh_object *object, const char *name, uint64_t hash);

/* All in the table, each in use, in an array (fh_free) or NULL. */
struct fh_own **fh_own_take_all(struct fh_object *object, size_t *ret_count);

#endif
