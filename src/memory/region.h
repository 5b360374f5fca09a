/* SPDX-License-Identifier: MIT */
/*
 * A region, as the memory layer sees it.
 *
 * R1. Fields marked P are guarded by the topology lock. Fields marked C are constant from birth.
 *     What an access needs is C, or P and copied into the view's ranges (flags), or atomic.
 * R2. Structure counts nothing (L2): container, children, alias links are uncounted and two-way.
 * R3. A region pins its owner from birth to its own finalize (L1); own == &region->object means
 *     none.
 * R4. A published range pins the region once (L3).
 * R5. Most regions are registers in one container: what only others need (subregions, aliases of
 *     it, spaces that show it) stands in `links`, which they do not have; what only an alias or RAM
 *     needs, in a struct of its own that begins with the region.
 */
#ifndef MEMORY_REGION_H
#define MEMORY_REGION_H

#include <stdatomic.h>

#include "freehold/region.h"
#include "memory/backing.h"
#include "memory/discard.h"
#include "memory/index.h"
#include "object/machine.h"
#include "object/object.h"

struct fh_dirty_log;
struct fh_domain;
struct fh_links;
struct fh_view_set;

/*
 * How a region shows in a range of a view: fh_range.flags. What is internal is no part of what the
 * guest sees: when it alone changes, the range is published anew, so that nobody remembers it as it
 * was, but it is neither removed nor added, and its pin stays (publish.c R8).
 */
enum fh_range_flag {
	FH_RANGE_READONLY = 1 << 0,
	FH_RANGE_NONVOLATILE = 1 << 1,
	FH_RANGE_ROM_MODE = 1 << 2, /* a ROM device in ROM mode */
	FH_RANGE_LOGGED = 0xff << 8, /* internal: the clients that log writes (dirty.h) */
	FH_RANGE_EVENTFD = 1 << 16, /* internal, all of these (extras.h): has eventfds */
	FH_RANGE_COALESCED = 1 << 17, /* has coalesced ranges */
	FH_RANGE_FLUSH = 1 << 18,   /* asks for coalesced stores before it is accessed */
	FH_RANGE_TURN = 1 << 19,    /* turns whenever any of these changes */
	FH_RANGE_EXTRAS = 0xf << 16,
	FH_RANGE_INTERNAL = FH_RANGE_LOGGED | FH_RANGE_EXTRAS,
};

enum { FH_RANGE_LOGGED_SHIFT = 8 };

static inline uint8_t fh_range_log_mask(uint32_t flags)
{
	return (uint8_t)((flags & FH_RANGE_LOGGED) >> FH_RANGE_LOGGED_SHIFT);
}

struct fh_region {
	struct fh_object object;

	/* Read by accesses. */
	uint8_t kind : 4;	    /* C: enum fh_region_kind */
	uint8_t rom_write : 3;	    /* C: enum fh_rom_write */
	uint8_t big_endian : 1;	    /* C: byte order of its registers */
	uint8_t valid_min : 4;	    /* C: bytes, defaults filled in; so the next three */
	uint8_t valid_max : 4;
	uint8_t impl_min : 4;
	uint8_t impl_max : 4;

	bool : 0; /* what follows is written beside readers of what precedes */
	bool enabled : 1;	    /* P, all of these */
	bool readonly : 1;
	bool nonvolatile : 1;
	bool rom_mode : 1;
	bool mergeable : 1;
	bool counted : 1;	    /* P: in container->links->visible */
	bool extras : 1;	    /* P: links->extras show in its flags */

	int32_t priority;	    /* P */
	const struct fh_region_ops *ops; /* C: mmio, ROM device; else NULL */
	void *state;		    /* C: for ops */
	uint8_t *ram;		    /* C: host memory, or NULL */
	struct fh_domain *domain;   /* C: NULL: callbacks are concurrent */
	struct fh_object *owner;    /* C */

	/* Structure. */
	uint64_t size;		     /* P: FH_SIZE_ALL is 2^64, 0 is nothing */
	uint64_t addr;		     /* P: in the container */
	struct fh_region *container; /* P */
	struct fh_links *links;	     /* P: NULL: nothing but its container knows the region */
	uint64_t order : 48;	     /* P: of two with equal priority the greater is on top */
	uint16_t export_number;	     /* tree lock: device.c; 0: not exported */
};

struct fh_alias {
	struct fh_region region;
	struct fh_region *target; /* P: NULL: a hole */
	uint64_t offset;	  /* P */
	struct fh_list link;	  /* P: in target->links->aliases */
};

/* RAM, ROM, ROM device and RAM device. */
struct fh_ram_region {
	struct fh_region region;
	uint64_t capacity;	    /* C: bytes of memory, as it was made: the greatest size */
	struct fh_backing backing;  /* C */
	struct fh_discard discard;
	void (*resized)(void *state, struct fh_region *region, uint64_t size); /* C, or NULL */
	void *resized_state;	    /* C */
	struct fh_list ram_link;    /* P: in topology->rams */
	uint8_t log_own;	    /* P: clients that log this region (dirty.c) */
	uint8_t log_mask;	    /* P: these and the machine's: how it shows */
	_Atomic(struct fh_dirty_log *) dirty; /* P for writing: of log_mask; NULL: 0 */
};

static inline struct fh_region *fh_region_of(struct fh_object *object)
{
	return (struct fh_region *)object;
}

static inline struct fh_alias *fh_alias_of(struct fh_region *region)
{
	fh_assert(region->kind == FH_REGION_ALIAS);
	return (struct fh_alias *)region;
}

/* What an alias shows; NULL for what is none. */
static inline struct fh_region *fh_region_target(const struct fh_region *region)
{
	return region->kind == FH_REGION_ALIAS ? ((const struct fh_alias *)region)->target : NULL;
}

static inline bool fh_region_has_ram(const struct fh_region *region)
{
	return region->kind == FH_REGION_RAM || region->kind == FH_REGION_ROM ||
	       region->kind == FH_REGION_ROM_DEVICE || region->kind == FH_REGION_RAM_DEVICE;
}

static inline struct fh_ram_region *fh_ram_of(struct fh_region *region)
{
	fh_assert(fh_region_has_ram(region));
	return (struct fh_ram_region *)region;
}

/* RAM which the host itself gives for reading only. ROM needs no mark for that. */
static inline bool fh_region_is_readonly_ever(const struct fh_region *region)
{
	return region->kind == FH_REGION_RAM &&
	       ((const struct fh_ram_region *)region)->backing.readonly;
}

/* The base of all kinds of region; no region is of just this type. */
extern const struct fh_type fh_region_type;

/* The last address of a region of a size that is not 0. */
static inline uint64_t fh_size_last(uint64_t size)
{
	return size == FH_SIZE_ALL ? UINT64_MAX : size - 1;
}

/* a + b, at most the last address there is. */
static inline uint64_t fh_add_clipped(uint64_t a, uint64_t b)
{
	return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* The last address in its container of a region whose size is not 0. */
static inline uint64_t fh_region_last(const struct fh_region *region)
{
	return fh_add_clipped(region->addr, fh_size_last(region->size));
}

/* Ordered by these two: what is on top among the children of one container. */
static inline bool fh_region_is_above(const struct fh_region *a, const struct fh_region *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a->order > b->order;
}

/* It shows something, if there is something to show. Otherwise it is a hole. */
static inline bool fh_region_is_visible(const struct fh_region *region)
{
	return region->enabled && region->size != 0 && fh_object_is_shown(region->owner);
}

/* --- region-edit.c ---------------------------------------------------------------------------- */

/* Core ops of all regions. */
void fh_region_detach(struct fh_object *object);
void fh_region_shown_changed(struct fh_object *object);

#endif
