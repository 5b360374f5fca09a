/* SPDX-License-Identifier: MIT */
/*
 * Rendering: what a window of a region shows, as a flat list of ranges. A pure function of the
 * region tree. render.c says how.
 */
#ifndef MEMORY_RENDER_H
#define MEMORY_RENDER_H

#include "memory/links.h"
#include "memory/vector.h"
#include "memory/view.h"

FH_VECTOR(fh_ranges, struct fh_range);

struct fh_render_frame;
struct fh_render_key;

/* Scratch memory. All zero: none. */
struct fh_render {
	/* What is being painted, outermost first, and what of it is still to be painted. */
	FH_VECTOR(fh_render_frames, struct fh_render_frame) frames;
	FH_VECTOR(fh_render_kids, struct fh_region *) kids;
	/* What was painted, topmost first. */
	struct fh_ranges leaves;
	bool ordered; /* they are disjoint and in order of address */
	bool gathering; /* some owners have FH_OBJECT_GATHERS (extras.h R5) */
	/* Leaves by address, and those that reach the address where the sweep is. */
	FH_VECTOR(fh_render_keys, struct fh_render_key) keys;
	FH_VECTOR(fh_render_heap, uint32_t) heap;
};

/*
 * Appends to @ret what [first, last] of @region shows: in order, disjoint, joined where that is
 * allowed. Under the topology lock.
 */
void fh_render_window(struct fh_render *render, struct fh_region *region, uint64_t first,
		      uint64_t last, struct fh_ranges *ret);

/* Between commits: give back memory that is not worth keeping. At the end: all of it. */
void fh_render_reset(struct fh_render *render);
void fh_render_free(struct fh_render *render);

/* @b, right behind @a, continues it: the same part of the region would be one range. */
static inline bool fh_range_continues(const struct fh_range *a, const struct fh_range *b)
{
	return a->region == b->region && a->last != UINT64_MAX && a->last + 1 == b->first &&
	       a->flags == b->flags && a->offset + (b->first - a->first) == b->offset;
}

static inline bool fh_range_joins(const struct fh_range *a, const struct fh_range *b)
{
	return fh_range_continues(a, b) && a->region->mergeable;
}

/* Equal, but perhaps for internal flags. */
static inline bool fh_range_shows_same(const struct fh_range *a, const struct fh_range *b)
{
	return a->first == b->first && a->last == b->last && a->region == b->region &&
	       a->offset == b->offset &&
	       ((a->flags ^ b->flags) & ~(uint32_t)FH_RANGE_INTERNAL) == 0;
}

static inline bool fh_range_equal(const struct fh_range *a, const struct fh_range *b)
{
	return a->first == b->first && a->last == b->last && a->region == b->region &&
	       a->offset == b->offset && a->flags == b->flags;
}

#endif
