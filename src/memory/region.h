/* SPDX-License-Identifier: MIT */
/*
 * A region, as the memory layer sees it.
 *
 * R1. Fields marked P are guarded by the topology lock. Fields marked C are constant from birth.
 *     What an access needs is C, or P and copied into the view's ranges (flags), or atomic.
 * R2. Structure counts nothing (L2): container, children, alias links are uncounted and two-way.
 * R3. A region pins its owner from birth to its own finalize (L1); own == &region->object means none.
 * R4. A published range pins the region once (L3).
 */
#ifndef MEMORY_REGION_H
#define MEMORY_REGION_H

#include "freehold/region.h"
#include "memory/index.h"
#include "object/machine.h"
#include "object/object.h"

struct fh_domain;
struct fh_view_set;

/* How a region shows in a range of a view: fh_range.flags. */
enum fh_range_flag {
	FH_RANGE_READONLY = 1 << 0,
	FH_RANGE_NONVOLATILE = 1 << 1,
	FH_RANGE_ROM_MODE = 1 << 2,    /* a ROM device in ROM mode */
	FH_RANGE_UNMERGEABLE = 1 << 3,
};

struct fh_region {
	struct fh_object object;

	/* Read by accesses. */
	uint8_t kind;		    /* C: enum fh_region_kind */
	uint8_t rom_write;	    /* C: enum fh_rom_write */
	uint8_t valid_min, valid_max; /* C: bytes, defaults filled in */
	uint8_t impl_min, impl_max; /* C */
	bool big_endian;	    /* C: byte order of its registers */
	bool mergeable;		    /* P */
	const struct fh_region_ops *ops; /* C: mmio, ROM device; else NULL */
	void *state;		    /* C: for ops */
	uint8_t *ram;		    /* C: host memory, or NULL */
	struct fh_domain *domain;   /* C: NULL: callbacks are concurrent */
	struct fh_object *owner;    /* C */

	/* Structure. */
	uint64_t size;		    /* P: FH_SIZE_ALL is 2^64, 0 is nothing */
	uint64_t addr;		    /* P: in the container */
	struct fh_region *container; /* P */
	struct fh_index children;   /* P */
	uint64_t order;		    /* P: of two with equal priority the greater is on top */
	int32_t priority;	    /* P */
	bool enabled, readonly, nonvolatile, rom_mode; /* P */
	bool marked;		    /* P: scratch of graph walks, false outside of them */
	struct fh_region *target;   /* P: alias only */
	uint64_t alias_offset;	    /* P: alias only */
	struct fh_list alias_link;  /* P: in target->aliases */
	struct fh_list aliases;	    /* P: of aliases that show this region */
	struct fh_view_set *view_set; /* P: spaces whose root resolves to this region, or NULL */
	struct fh_list roots;	    /* P: spaces whose root this is */
	uint64_t capacity;	    /* C: bytes of RAM allocated */
	void (*release)(void *arg); /* C: of a caller's RAM pointer */
	void *release_arg;	    /* C */
};

static inline struct fh_region *fh_region_of(struct fh_object *object)
{
	return (struct fh_region *)object;
}

extern const struct fh_type fh_region_type;

/* The last address of a region of a size that is not 0. */
static inline uint64_t fh_size_last(uint64_t size)
{
	return size == FH_SIZE_ALL ? UINT64_MAX : size - 1;
}

/* Ordered by these two: what is on top among the children of one container. */
static inline bool fh_region_is_above(const struct fh_region *a, const struct fh_region *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a->order > b->order;
}

#endif
