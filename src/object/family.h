/* SPDX-License-Identifier: MIT */
/*
 * The children of an object, and their names.
 *
 * R1. All of it is guarded by the machine's tree lock.
 * R2. Adding, finding and removing a name take constant time: named children are in an open hash
 *     table. Families that have a named child are in the machine's list, so that a name is looked
 *     up in all of them without a look at the objects that have no children: what has none pays
 *     nothing for it.
 * R3. "name[*]" stands for "name[N]": N counts, from 0 on, how often that was asked for here, and
 *     is not given twice. A count is kept by hash alone: names of one hash would share it, which
 *     leaves gaps and nothing worse.
 * R4. Children that leave because the parent goes stay in memory until its dispose callbacks have
 *     returned: its state may point to them, and its init may be at work on them still (L5). Each
 *     is pinned for it.
 */
#ifndef OBJECT_FAMILY_H
#define OBJECT_FAMILY_H

#include "base/list.h"
#include "object/machine.h"
#include "object/object.h"

struct fh_name_slot {
	uint64_t hash;
	struct fh_object *child; /* NULL: free */
};

struct fh_name_count {
	uint64_t hash; /* of what stands before the bracket */
	uint64_t used; /* numbers given; 0: free */
};

struct fh_family {
	struct fh_object *parent;
	struct fh_list children;
	struct fh_list gone;  /* R4, linked by their `sibling` */
	struct fh_list named; /* in machine->families while a child has a name */
	struct fh_name_slot *names;
	struct fh_name_count *counts; /* NULL until the first "name[*]" */
	uint32_t mask;
	uint32_t count; /* of names */
	uint32_t counts_mask;
	uint32_t counts_used;
	size_t total; /* of children */
};

static inline const char *fh_object_name_of(const struct fh_object *object)
{
	/* Acquire: pairs with the release in fh_object_link(). */
	return atomic_load_explicit(&object->name, memory_order_acquire);
}

/* The family of @parent, made if it has none. */
struct fh_family *fh_family_of(struct fh_object *parent);

/* The parent's dispose callbacks have returned (R4). Takes the tree lock. */
void fh_family_release(struct fh_object *parent);

/* Call @visit for each child that is kept by R4. Tree lock held. */
void fh_family_each_gone(const struct fh_object *parent,
			 void (*visit)(struct fh_object *child, void *arg), void *arg);

void fh_family_add_name(struct fh_family *family, const char *name, struct fh_object *child);
void fh_family_remove_name(struct fh_family *family, const char *name);

/* The child of that name, born or not, or NULL; @hash is fh_hash_bytes(name, length). */
struct fh_object *fh_family_find(const struct fh_family *family, uint64_t hash, const char *name,
				 size_t length);

/* The length of what stands before "[*]" at the name's end, or 0: it is a name like any other. */
size_t fh_name_stem(const char *name);

/*
 * The next name of "name[*]" in @parent, to be fh_free'd; @stem as fh_name_stem() says. Nobody has
 * it now, or will be given it so again. Takes the tree lock.
 */
char *fh_family_number(struct fh_object *parent, const char *name, size_t stem);

#endif
