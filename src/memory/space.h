/* SPDX-License-Identifier: MIT */
/*
 * Address spaces and the views that they share.
 *
 * R1. A space whose root resolves to a region (through containers and aliases that add nothing)
 *     shows the view set of that region, or of one on the way whose set is not paid for yet
 *     (resolve.c R4). All spaces that resolve to the same region share one.
 * R2. A reader loads `view_id` (its key into the thread's lookaside); on a miss `set`, then
 *     set->root. Each load acquires; each store releases; `set` is stored before `view_id`, so that
 *     an id that is new comes with a set that is new.
 * R3. A view set is freed after a grace period. It pins nothing; its ranges pin their regions (L3).
 * R4. What readers load and what editors store lie on separate cache lines.
 */
#ifndef MEMORY_SPACE_H
#define MEMORY_SPACE_H

#include "freehold/space.h"
#include "memory/topology.h"

struct fh_room;

struct fh_view_set {
	uint64_t id; /* C: fh_ticket(), never re-used */

	/* The view; NULL: empty. */
	_Atomic(struct fh_view_node *) root __attribute__((aligned(64)));

	/* P, all of these. */
	struct fh_region *region __attribute__((aligned(64))); /* NULL: it was disposed of */
	struct fh_list spaces;	     /* that show it, by set_link; those with listeners first */
	struct fh_list all_link;     /* in topology->sets */
	uint64_t made;		     /* topology->commits then */
	size_t made_of;		     /* how many ranges it had then: what its making cost */

	/* In a commit. */
	struct fh_list dirty_link;   /* in topology->dirty */
	struct fh_spans windows;     /* to be rendered */
	bool fresh;		     /* made in this commit, to be rendered as a whole */
	struct fh_view_node *old_root; /* of a dirty or dead one: the view before the commit */
	struct fh_view_node *new_root; /* of a dirty one: the view after it */
	size_t removed, removed_count; /* of a dirty one: its part of topology->changes */
	size_t added, added_count;
	size_t reflagged, reflagged_count;

	struct fh_view_set *dead_next; /* in topology->dead; then the reaper's */
};

struct fh_space {
	struct fh_object object;
	_Atomic uint64_t view_id __attribute__((aligned(64))); /* 0: empty space, no view */
	_Atomic(struct fh_view_set *) set;
	struct fh_region *root __attribute__((aligned(64))); /* P */
	struct fh_list root_link;		/* P: in root->links->roots */
	struct fh_list set_link;		/* P: in shows->spaces */
	struct fh_list all_link;		/* P: in topology->spaces */
	struct fh_list listeners;		/* P: by rising priority */
	struct fh_view_set *shows;		/* P: `set`, from the next publication on */
	struct fh_view_set *showed;		/* P: of a space that switched: `set`, until then */
	struct fh_list unresolved_link;		/* P: in topology->unresolved; then it is held */
	struct fh_list switched_link;		/* P: in topology->switched; then it is held */
	struct fh_room *room;			/* room lock: NULL: nobody asked for any (room.h) */
};

extern const struct fh_type fh_space_type;
extern const struct fh_type fh_listener_type;

static inline struct fh_space *fh_space_of(struct fh_object *object)
{
	return (struct fh_space *)object;
}

/* The view as readers find it. In a read section, or under the topology lock. */
static inline struct fh_view_node *fh_view_set_root(const struct fh_view_set *set)
{
	/* Acquire: pairs with the release in publish.c. */
	return set ? atomic_load_explicit(&set->root, memory_order_acquire) : NULL;
}

/* The space takes its place in the list of its set: a commit looks only at those with listeners. */
static inline void fh_space_list(struct fh_space *space)
{
	fh_list_remove(&space->set_link);
	if (!space->shows)
		return;
	if (fh_list_empty(&space->listeners))
		fh_list_add_last(&space->shows->spaces, &space->set_link);
	else
		fh_list_add_first(&space->shows->spaces, &space->set_link);
}

/* The root is disposed of: the space is empty from the commit on. */
void fh_space_lose_root(struct fh_space *space);

/* The set has something to render in the present commit. */
void fh_view_set_dirty(struct fh_topology *topology, struct fh_view_set *set);

/* The range as a section that public functions hand out. */
void fh_section_from_range(struct fh_section *ret, const struct fh_range *range);

#endif
