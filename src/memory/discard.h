/* SPDX-License-Identifier: MIT */
/*
 * Which parts of a region's memory are populated, and who is told.
 *
 * R1. `lock` guards all of it. Populating and discarding are done under it, the host's part
 *     included, so that they come one after another and listeners see each as a whole. Listeners
 *     are called under it, as leaves (FH_HELD_LISTENER).
 * R2. Which region a listener belongs to changes only under the topology lock as well, so that its
 *     detach, its owner's and the region's find each other.
 * R3. A listener has been told exactly of the populated parts of its section, whenever the lock is
 *     free.
 * R4. What becomes populated was given back to the host before, whatever was written to it in the
 *     meantime: so it reads as zeros.
 */
#ifndef MEMORY_DISCARD_H
#define MEMORY_DISCARD_H

#include "base/list.h"
#include "base/lock.h"
#include "freehold/ram.h"

struct fh_ram_region;

struct fh_discard {
	struct fh_lock lock;
	uint64_t granule;	  /* C */
	uint64_t *absent;	  /* L: a bit for each granule that is not populated; NULL: none */
	unsigned bans;		  /* L */
	struct fh_list listeners; /* L: fh_discard_listener.link, in order of registration */
};

/* The region is being made. FH_ENOMEM: no room to note what is not there. */
enum fh_code fh_discard_init(struct fh_ram_region *ram, uint64_t granule, bool unpopulated,
			     struct fh_error *err);
/* Listeners are told for the last time. Topology lock held; idempotent. */
void fh_discard_detach(struct fh_ram_region *ram);
void fh_discard_fini(struct fh_ram_region *ram);

#endif
