/* SPDX-License-Identifier: MIT */
/*
 * Rendering, in two steps.
 *
 * The walk goes down the region tree from the top of what is painted to the bottom: subregions by
 * falling priority, then the region's own backing. It notes each backing that it meets as a leaf,
 * in the order in which they hide each other. The sweep goes over the leaves by address and takes
 * of each what no earlier one hides.
 *
 * R1. The walk visits only what overlaps the window, and nothing that lies below a leaf which
 *     covers all that can be seen of it.
 * R2. Leaves that are disjoint and in order need no sweep. They always are when nothing overlaps.
 * R3. No recursion: how deep containers and aliases are nested is an embedder's or a guest's
 *     choice.
 * R4. Addresses are inclusive, and clipped to 2^64 - 1 where a region would go beyond. A frame maps
 *     addresses of the window to offsets in its region by a difference modulo 2^64, so that neither
 *     needs a larger type.
 */
#include "memory/extras.h"
#include "memory/render.h"

#include <stdlib.h>

#include "memory/dispatch.h"

/* A region of which [first, last], addresses of the window, is being painted. */
struct fh_render_frame {
	struct fh_region *region;
	uint64_t first;
	uint64_t last;
	uint64_t delta; /* address minus offset in the region */
	uint32_t flags; /* inherited, and the region's own */
	size_t kids;	/* where its subregions stand in render->kids */
	size_t kids_next;
	size_t kids_end;
};

/* A leaf's place in the sweep. */
struct fh_render_key {
	uint64_t first;
	uint32_t rank; /* index in render->leaves: a lower one hides a higher */
};

/* --- Subregions ----------------------------------------------------------------------------- */

static int compare_kids(const void *a, const void *b)
{
	const struct fh_region *const *left = a;
	const struct fh_region *const *right = b;

	return fh_region_is_above(*left, *right) ? -1 : 1;
}

static void sort_kids(struct fh_region **kids, size_t count)
{
	if (count > 16) {
		qsort(kids, count, sizeof(*kids), compare_kids);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct fh_region *kid = kids[i];
		size_t j = i;

		for (; j > 0 && fh_region_is_above(kid, kids[j - 1]); j--)
			kids[j] = kids[j - 1];
		kids[j] = kid;
	}
}

/* Notes the frame's visible subregions, topmost first, or by address if they are disjoint. */
static void frame_find_kids(struct fh_render *render, struct fh_render_frame *frame)
{
	const struct fh_links *links = frame->region->links;
	struct fh_index_cursor cursor;
	const struct fh_index_entry *entry;
	uint64_t reached = 0;
	bool overlap = false;

	frame->kids = frame->kids_next = render->kids.count;
	if (links && fh_index_count(&links->children) > 0) {
		fh_index_overlap(&cursor, &links->children, frame->first - frame->delta,
				 frame->last - frame->delta);
		while ((entry = fh_index_next(&cursor))) {
			if (!fh_region_is_visible(entry->region))
				continue;
			overlap |= render->kids.count > frame->kids && entry->first <= reached;
			if (entry->last > reached)
				reached = entry->last;
			fh_vector_add(&render->kids) = entry->region;
		}
	}
	frame->kids_end = render->kids.count;
	if (overlap)
		sort_kids(render->kids.at + frame->kids, frame->kids_end - frame->kids);
}

/* --- Frames --------------------------------------------------------------------------------- */

static uint32_t own_flags(const struct fh_region *region)
{
	return (region->readonly ? FH_RANGE_READONLY : 0) |
	       (region->nonvolatile ? FH_RANGE_NONVOLATILE : 0);
}

/* For offsets [first, last] of @region, clipped to its size. False: that is nothing. */
static bool frame_make(struct fh_render_frame *ret, struct fh_region *region, uint64_t first,
		       uint64_t last, uint64_t delta, uint32_t flags)
{
	const uint64_t limit = fh_size_last(region->size);

	if (first > limit)
		return false;
	*ret = (struct fh_render_frame){
		.region = region,
		.first = first + delta,
		.last = (last < limit ? last : limit) + delta,
		.delta = delta,
		.flags = flags | own_flags(region),
	};
	return true;
}

/* For a visible subregion of the frame's region that overlaps the frame. */
static bool frame_of_kid(struct fh_render_frame *ret, const struct fh_render_frame *frame,
			 struct fh_region *kid)
{
	const uint64_t first = frame->first - frame->delta;
	const uint64_t last = frame->last - frame->delta;

	return frame_make(ret, kid, first > kid->addr ? first - kid->addr : 0, last - kid->addr,
			  frame->delta + kid->addr, frame->flags);
}

/* For what an alias shows of its target. */
static bool frame_of_target(struct fh_render_frame *ret, const struct fh_render_frame *frame)
{
	const struct fh_alias *alias = fh_alias_of(frame->region);
	const uint64_t first = frame->first - frame->delta;
	const uint64_t last = frame->last - frame->delta;

	if (!alias->target || !fh_region_is_visible(alias->target) ||
	    alias->offset > UINT64_MAX - first)
		return false;
	return frame_make(ret, alias->target, first + alias->offset,
			  fh_add_clipped(last, alias->offset), frame->delta - alias->offset,
			  frame->flags);
}

static void frames_push(struct fh_render *render, const struct fh_render_frame *frame)
{
	fh_vector_add(&render->frames) = *frame;
	frame_find_kids(render, &fh_vector_last(&render->frames));
}

static void frames_pop(struct fh_render *render)
{
	render->kids.count = fh_vector_last(&render->frames).kids;
	render->frames.count--;
}

/* --- The walk ------------------------------------------------------------------------------- */

/* The frame's own backing is seen here, and nothing below it (R1). */
static void paint(struct fh_render *render, const struct fh_render_frame *frame)
{
	const uint64_t first = frame->first;
	const uint64_t last = frame->last;
	struct fh_region *region = frame->region;
	uint32_t flags = frame->flags;

	if (region->kind == FH_REGION_ROM)
		flags |= FH_RANGE_READONLY;
	else if (region->kind == FH_REGION_ROM_DEVICE && region->rom_mode)
		flags |= FH_RANGE_ROM_MODE;
	if (fh_region_has_ram(region))
		flags |= (uint32_t)fh_ram_of(region)->log_mask << FH_RANGE_LOGGED_SHIFT;
	if (FH_UNLIKELY(region->extras))
		flags |= fh_extras_flags(region);
	if (FH_UNLIKELY(render->gathering) && fh_region_has_callbacks(region) &&
	    fh_object_has(region->owner, FH_OBJECT_GATHERS))
		flags |= FH_RANGE_FLUSH;
	if (render->leaves.count > 0 && first <= fh_vector_last(&render->leaves).last)
		render->ordered = false;
	fh_vector_add(&render->leaves) = (struct fh_range){
		first, last, region, first - frame->delta, flags,
	};
	/* @frame may be one of these. */
	while (render->frames.count > 0 && fh_vector_last(&render->frames).first == first &&
	       fh_vector_last(&render->frames).last == last)
		frames_pop(render);
}

/* Has nothing but its own backing. */
static bool is_leaf(const struct fh_region *region)
{
	return !region->links && region->kind != FH_REGION_ALIAS &&
	       region->kind != FH_REGION_CONTAINER;
}

/* The next subregion of the top frame. */
static void walk_kid(struct fh_render *render)
{
	struct fh_render_frame *frame = &fh_vector_last(&render->frames);
	struct fh_region *kid = render->kids.at[frame->kids_next++];
	struct fh_render_frame next;

	if (!frame_of_kid(&next, frame, kid))
		return;
	if (is_leaf(kid)) {
		paint(render, &next);
		return;
	}
	/* Nothing comes after it: so chains of containers need one frame, whatever their length. */
	if (frame->kids_next == frame->kids_end && frame->region->kind == FH_REGION_CONTAINER)
		frames_pop(render);
	frames_push(render, &next);
}

/* The top frame's own backing, after its subregions. */
static void walk_backing(struct fh_render *render)
{
	const struct fh_render_frame *frame = &fh_vector_last(&render->frames);
	struct fh_render_frame next;

	if (frame->region->kind == FH_REGION_ALIAS && frame_of_target(&next, frame)) {
		frames_pop(render);
		frames_push(render, &next);
	} else if (frame->region->kind == FH_REGION_ALIAS ||
		   frame->region->kind == FH_REGION_CONTAINER) {
		frames_pop(render);
	} else {
		paint(render, frame);
	}
}

/* --- The sweep ------------------------------------------------------------------------------ */

static void output(struct fh_ranges *ret, size_t begin, const struct fh_range *range)
{
	if (ret->count > begin && fh_range_joins(&fh_vector_last(ret), range))
		fh_vector_last(ret).last = range->last;
	else
		fh_vector_add(ret) = *range;
}

static int compare_keys(const void *a, const void *b)
{
	const struct fh_render_key *left = a;
	const struct fh_render_key *right = b;

	if (left->first != right->first)
		return left->first < right->first ? -1 : 1;
	return left->rank < right->rank ? -1 : 1;
}

/* Leaves by address; there may be very many, or two. */
static void sweep_sort(struct fh_render *render)
{
	render->keys.count = 0;
	fh_vector_reserve(&render->keys, render->leaves.count);
	for (size_t i = 0; i < render->leaves.count; i++)
		fh_vector_add(&render->keys) =
			(struct fh_render_key){ render->leaves.at[i].first, (uint32_t)i };
	qsort(render->keys.at, render->keys.count, sizeof(*render->keys.at), compare_keys);
}

static void heap_push(struct fh_render *render, uint32_t rank)
{
	fh_vector_add(&render->heap) = rank;

	uint32_t *heap = render->heap.at;
	size_t i = render->heap.count - 1;

	for (; i > 0 && heap[(i - 1) / 2] > rank; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = rank;
}

static void heap_pop(struct fh_render *render)
{
	uint32_t *heap = render->heap.at;
	const size_t count = --render->heap.count;
	const uint32_t rank = heap[count];
	size_t i = 0;

	for (size_t child = 1; child < count; child = 2 * i + 1) {
		if (child + 1 < count && heap[child + 1] < heap[child])
			child++;
		if (heap[child] >= rank)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = rank;
}

/*
 * What the leaf that is on top at @at shows from there on, up to where it ends or a higher one
 * begins; leaves that begin meanwhile go on the heap. Returns the last address.
 */
static uint64_t sweep_leaf(struct fh_render *render, size_t *next, uint64_t at,
			   struct fh_ranges *ret, size_t begin)
{
	const uint32_t rank = render->heap.at[0];
	struct fh_range range = render->leaves.at[rank];

	range.offset += at - range.first;
	range.first = at;
	for (; *next < render->keys.count && render->keys.at[*next].first <= range.last; ++*next) {
		const struct fh_render_key *key = &render->keys.at[*next];

		if (key->rank < rank) {
			range.last = key->first - 1; /* it begins behind @at, or it were on top */
			break;
		}
		heap_push(render, key->rank);
	}
	output(ret, begin, &range);
	return range.last;
}

static void sweep(struct fh_render *render, struct fh_ranges *ret)
{
	const size_t begin = ret->count;
	size_t next = 0;
	uint64_t at = 0;

	sweep_sort(render);
	render->heap.count = 0;
	for (;;) {
		while (next < render->keys.count && render->keys.at[next].first <= at)
			heap_push(render, render->keys.at[next++].rank);
		while (render->heap.count > 0 && render->leaves.at[render->heap.at[0]].last < at)
			heap_pop(render);
		if (render->heap.count == 0) {
			if (next == render->keys.count)
				return;
			at = render->keys.at[next].first;
			continue;
		}
		const uint64_t last = sweep_leaf(render, &next, at, ret, begin);

		if (last == UINT64_MAX)
			return;
		at = last + 1;
	}
}

/* --- All of it ------------------------------------------------------------------------------ */

void fh_render_window(struct fh_render *render, struct fh_region *region, uint64_t first,
		      uint64_t last, struct fh_ranges *ret)
{
	const size_t begin = ret->count;
	struct fh_render_frame root;

	if (!fh_region_is_visible(region) || !frame_make(&root, region, first, last, 0, 0))
		return;
	render->leaves.count = 0;
	render->ordered = true;
	frames_push(render, &root);
	while (render->frames.count > 0) {
		const struct fh_render_frame *frame = &fh_vector_last(&render->frames);

		if (frame->kids_next < frame->kids_end)
			walk_kid(render);
		else
			walk_backing(render);
	}
	if (!render->ordered) {
		sweep(render, ret);
		return;
	}
	for (size_t i = 0; i < render->leaves.count; i++)
		output(ret, begin, &render->leaves.at[i]);
}

void fh_render_reset(struct fh_render *render)
{
	fh_vector_reset(&render->frames);
	fh_vector_reset(&render->kids);
	fh_vector_reset(&render->leaves);
	fh_vector_reset(&render->keys);
	fh_vector_reset(&render->heap);
}

void fh_render_free(struct fh_render *render)
{
	fh_vector_free(&render->frames);
	fh_vector_free(&render->kids);
	fh_vector_free(&render->leaves);
	fh_vector_free(&render->keys);
	fh_vector_free(&render->heap);
}
