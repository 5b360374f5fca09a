/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging, as the memory layer sees it: what marks, and what a region keeps.
 *
 * R1. A region that is logged has a log, which says for each client where its bits are. A log does
 *     not change: another set of clients is another log, and readers find the present one without a
 *     lock. What is replaced, bitmaps that are no longer wanted included, goes after a grace
 *     period. So marking is done in a read section, and a write and its mark in one.
 * R2. First the data, then the mark. A bit that is set already is not set again, so that a page
 *     which is written over and over costs a load of a line that all writers share. This is safe
 *     only since who takes bits lets all threads pass a barrier before it returns (base/barrier.h):
 *     a writer that found the bit set has either written its data before that barrier, and who took
 *     the bit sees them; or it looked at the bit after it, and found it clear. A release on the bit
 *     would not do, because it is only loaded: the data may wait in a store buffer while the load
 *     passes it. Where the host has no such barrier every mark is an atomic or.
 * R3. A bit is taken with an atomic exchange (or and), acquire, which pairs with the release of the
 *     marks: each mark is either taken, or comes after it and is found by the next.
 * R4. A range of a view that is logged says so in its flags. So the lookaside of a thread permits
 *     no direct write, and a hart none that it does not account for. Whoever has an older
 *     permission may use it to the end of its read section: starting is complete a grace period
 *     after the commit that published the flags (and after the listeners were told, who reach the
 *     harts).
 * R5. The library's writes look at the region's log in any case, whatever the flags say that they
 *     found: a pinned section or a mapping may be older than the log.
 *
 * What those have to do who write to host memory that they found (fh_direct() & FH_DIRECT_WRITE):
 * call fh_dirty_mark_range() after the write, in a read section, for all that was written, while
 * the region is still pinned. A mapping does it at its unmap. Who wants to write without asking
 * whether somebody logs needs FH_DIRECT_STORE instead.
 */
#ifndef MEMORY_DIRTY_H
#define MEMORY_DIRTY_H

#include "base/barrier.h"
#include "base/reaper.h"
#include "freehold/dirty.h"
#include "memory/region.h"

struct fh_topology;

/* The bits of one client and region. */
struct fh_dirty_map {
	uint64_t since; /* C: the number of the commit that published it */
	uint64_t pages; /* C */
	_Atomic uint64_t words[];
};

struct fh_dirty_log {
	struct fh_deferred retire;
	uint8_t mask;	 /* C: clients */
	uint8_t dropped; /* whose bits go with the log */
	bool barrier;	 /* C: R2: the host has one */
	struct fh_dirty_map *maps[FH_DIRTY_CLIENTS]; /* C: of the mask's */
};

/* The log at this moment, or NULL. In a read section, or under the topology lock. */
static inline const struct fh_dirty_log *fh_dirty_log_of(const struct fh_region *region)
{
	/* Acquire: pairs with the release with which dirty.c publishes it. */
	return atomic_load_explicit(&((const struct fh_ram_region *)region)->dirty,
				    memory_order_acquire);
}

void fh_dirty_mark_log(const struct fh_dirty_log *log, uint64_t offset, uint64_t size);

/*
 * Bytes of a region that has memory were written just now: mark them, if it is logged. In a read
 * section. Beyond the region's memory nothing is marked.
 */
static inline void fh_dirty_mark_range(const struct fh_region *region, uint64_t offset,
				       uint64_t size)
{
	const struct fh_dirty_log *log = fh_dirty_log_of(region);

	if (FH_UNLIKELY(log))
		fh_dirty_mark_log(log, offset, size);
}

/* The region is being made: it is logged by those who log everything. FH_ENOMEM. */
enum fh_code fh_dirty_region_init(struct fh_ram_region *ram, struct fh_error *err);
/* Nobody has it any more. */
void fh_dirty_region_fini(struct fh_ram_region *ram);

/* The commit is published and told: what it started is complete a grace period later. */
void fh_dirty_committed(struct fh_topology *topology);

#endif
