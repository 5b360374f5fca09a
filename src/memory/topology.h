/* SPDX-License-Identifier: MIT */
/*
 * The topology of a machine: the lock under which its map is edited, what a transaction has touched,
 * and what its commit does: resolve, render, publish, tell, retire.
 *
 * R1. An edit records the windows that it touches, in the coordinates of the region at whose level it
 *     changes something, before and after the change. Commit carries each window upward through
 *     containers and aliases to every view. A link that changes records its whole window at its upper
 *     side, so that what lay below it is covered even if it moved since.
 * R2. All views are published before any listener is told; only when every listener has returned does
 *     the grace period of what was replaced begin (L3): one deferred call per commit.
 * R3. Nothing in a commit waits for a grace period.
 */
#ifndef MEMORY_TOPOLOGY_H
#define MEMORY_TOPOLOGY_H

#include "base/lock.h"
#include "memory/region.h"
#include "memory/view.h"

struct fh_window {
	struct fh_region *region; /* in whose coordinates */
	uint64_t first, last;
};

struct fh_topology {
	struct fh_lock lock;
	unsigned depth;		     /* P: of nested transactions */
	uint64_t next_order;	     /* P: for fh_region.order */
	struct fh_view_pool *pool;
	struct fh_window *windows;   /* P: touched in this transaction */
	size_t window_count, window_capacity;
	bool resolve;		     /* P: a space's resolved root may have changed */
	struct fh_list spaces;	     /* P: all spaces that are not detached */
	/* more as render.c, publish.c and listener.c need it */
};

void fh_topology_init(struct fh_machine *m);
void fh_topology_fini(struct fh_machine *m);

/* Outermost begin takes the lock (FH_HELD_TOPOLOGY); outermost commit publishes and releases. */
void fh_topology_begin(struct fh_machine *m);
void fh_topology_commit(struct fh_machine *m);

static inline bool fh_topology_is_mine(struct fh_machine *m)
{
	return fh_lock_held_by_me(&m->topology->lock);
}

/* Note that [first, last] of @region shows something else from the commit on. */
void fh_topology_touch(struct fh_machine *m, struct fh_region *region, uint64_t first, uint64_t last);

#endif
