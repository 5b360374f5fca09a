/* SPDX-License-Identifier: MIT */
/*
 * Address spaces and the views that they share.
 *
 * R1. A space whose root resolves to a region (through containers and aliases that add nothing) shows
 *     the view set of that region. All spaces that resolve to the same region share one.
 * R2. A reader loads `view_id` (its key into the thread's lookaside); on a miss `set`, then set->root. Each load
 *     acquires; each store releases; `set` is stored before `view_id`, so that an id that is new comes with a set that is new.
 * R3. A view set is freed after a grace period. It pins nothing; its ranges pin their regions (L3).
 * R4. What readers load and what editors store lie on separate cache lines.
 */
#ifndef MEMORY_SPACE_H
#define MEMORY_SPACE_H

#include "freehold/space.h"
#include "memory/topology.h"

struct fh_view_set {
	uint64_t id;				/* C: fh_ticket(), never re-used */
	_Atomic(struct fh_view_node *) root __attribute__((aligned(64))); /* the view; NULL: empty */
	struct fh_region *region __attribute__((aligned(64))); /* P: what it shows */
	struct fh_list spaces;			/* P: that show it */
	struct fh_deferred deferred;
	/* more as commit needs it: windows to render, the difference */
};

struct fh_space {
	struct fh_object object;
	_Atomic uint64_t view_id __attribute__((aligned(64))); /* 0: empty space, no view */
	_Atomic(struct fh_view_set *) set;
	struct fh_region *root __attribute__((aligned(64))); /* P */
	struct fh_list root_link;		/* P: in root->roots */
	struct fh_list set_link;		/* P: in set->spaces */
	struct fh_list all_link;		/* P: in topology->spaces */
	struct fh_list listeners;		/* P: by priority */
};

extern const struct fh_type fh_space_type;
extern const struct fh_type fh_listener_type;

/* The root of the view that is published now; NULL: empty. In a read section. */
static inline const struct fh_view_node *fh_space_view(struct fh_space *space)
{
	/* Acquire, both: pair with the releases of the commit that stored them (R2). */
	struct fh_view_set *set = atomic_load_explicit(&space->set, memory_order_acquire);

	return set ? atomic_load_explicit(&set->root, memory_order_acquire) : NULL;
}

/* The range as a section that public functions hand out. */
void fh_section_from_range(struct fh_section *ret, const struct fh_range *range);

#endif
