/* SPDX-License-Identifier: MIT */
/*
 * What discard.c and discard-listener.c share: see discard.h.
 */
#ifndef MEMORY_DISCARD_PART_H
#define MEMORY_DISCARD_PART_H

#include "memory/chain.h"
#include "memory/region.h"
#include "memory/vector.h"

/* A stretch of the region's memory; last is inclusive. */
struct fh_stretch {
	uint64_t first, last;
};
FH_VECTOR(fh_stretches, struct fh_stretch);

/* R1. */
static inline void fh_discard_leaf_begin(struct fh_discard *discard) FH_ACQUIRE(discard->lock)
{
	struct fh_thread *t = fh_thread_self();

	fh_thread_hold(t, FH_HELD_LISTENER);
	fh_lock_acquire_as(&discard->lock, t);
}

static inline void fh_discard_leaf_end(struct fh_discard *discard) FH_RELEASE(discard->lock)
{
	struct fh_thread *t = fh_thread_self();

	fh_lock_release_as(&discard->lock, t);
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

/* FH_EDEAD, FH_ETYPE: nothing of the region can come or go. */
enum fh_code fh_discard_check(struct fh_region *region, struct fh_error *err);

/* The range, cut to the region's memory. False: nothing. */
bool fh_stretch_of(const struct fh_ram_region *ram, uint64_t offset, uint64_t size,
		   struct fh_stretch *ret);

/* Appends the runs in @within of what is absent, respectively populated. Lock held. */
void fh_discard_collect(const struct fh_ram_region *ram, const struct fh_stretch *within,
			bool absent, struct fh_stretches *ret);

/* Every listener, in order; FH_OK, or who was told has been told that it went again. Lock held. */
enum fh_code fh_discard_tell_populate(struct fh_ram_region *ram, const struct fh_stretch *run);
/* Every listener, in reverse. Lock held. */
void fh_discard_tell_discard(struct fh_ram_region *ram, const struct fh_stretch *run);

#endif
