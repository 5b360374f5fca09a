/* SPDX-License-Identifier: MIT */
/*
 * Windows upward: from the regions that were touched, through containers and aliases, to every view
 * set that shows them.
 *
 * A window or a few in a plain tree of containers go up one by one. Where there are aliases, or
 * many windows, the graph above the touched regions is put in topological order first, so that
 * every region is passed once, with all its windows joined, however many ways lead through it.
 *
 * R1. A window arrives at a region only if that is visible as it is now. If it was visible before
 *     the transaction, what made it invisible touched all of it.
 * R2. Regions without links have one way up, through their container; the walk passes them at once.
 *     So every region that the walk has to mark has links to keep the mark in.
 * R3. A region whose aliases led to no view set, however indirectly, is called barren until the
 *     graph changes: a thousand spaces that alias what all of them show cost nothing.
 * R4. No recursion.
 */
#include <stdlib.h>

#include "memory/space.h"
#include "memory/topology.h"

/* A region on the way down the walk's stack. */
struct fh_climb_step {
	struct fh_region *region;
	struct fh_list *alias; /* the next to look at; NULL: first look at the container */
};

/* A region that windows may pass. Nodes are in reverse order: what is above stands before. */
struct fh_climb_node {
	struct fh_region *region;
	uint32_t spans; /* index + 1 in the pool of those that arrived, or 0 */
	bool fertile;	/* a view set is here or above */
};

struct fh_climb_span {
	struct fh_span span;
	uint32_t next; /* index + 1, or 0 */
};

/* --- One step ------------------------------------------------------------------------------- */

/* Clips to what a region of that size has, false if nothing is left. */
static bool span_clip(struct fh_span *span, uint64_t size)
{
	if (size == 0 || span->first > fh_size_last(size))
		return false;
	if (span->last > fh_size_last(size))
		span->last = fh_size_last(size);
	return true;
}

bool fh_climb_to_container(const struct fh_region *region, struct fh_span *span)
{
	const struct fh_region *container = region->container;

	if (!container || !fh_region_is_visible(container) || !span_clip(span, region->size) ||
	    span->first > UINT64_MAX - region->addr)
		return false;
	span->first += region->addr;
	span->last = fh_add_clipped(span->last, region->addr);
	return span_clip(span, container->size);
}

bool fh_climb_to_alias(const struct fh_alias *alias, struct fh_span *span)
{
	if (!fh_region_is_visible(&alias->region) || span->last < alias->offset)
		return false;
	span->first = span->first > alias->offset ? span->first - alias->offset : 0;
	span->last -= alias->offset;
	return span_clip(span, alias->region.size);
}

static int compare_spans(const void *a, const void *b)
{
	const struct fh_span *left = a;
	const struct fh_span *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

void fh_spans_merge(struct fh_spans *spans)
{
	size_t count = 0;

	if (spans->count < 2)
		return;
	qsort(spans->at, spans->count, sizeof(*spans->at), compare_spans);
	for (size_t i = 1; i < spans->count; i++) {
		struct fh_span *span = &spans->at[count];
		const struct fh_span *other = &spans->at[i];

		if (other->first > fh_add_clipped(span->last, 1))
			spans->at[++count] = *other;
		else if (other->last > span->last)
			span->last = other->last;
	}
	spans->count = count + 1;
}

/* --- The short way -------------------------------------------------------------------------- */

static bool is_plain(const struct fh_topology *topology, const struct fh_links *links)
{
	return fh_list_empty(&links->aliases) || links->barren_epoch == topology->graph_epoch;
}

/* What arrives at a region that a space shows. */
static void set_add(struct fh_topology *topology, struct fh_view_set *set, struct fh_span span)
{
	if (set->fresh)
		return; /* rendered as a whole */
	fh_view_set_dirty(topology, set);
	fh_vector_add(&set->windows) = span;
}

/* Carries one window up as long as there is one way. False: it arrived where there are more. */
static bool climb_plain(struct fh_topology *topology, struct fh_region **region,
			struct fh_span *span)
{
	do {
		const struct fh_links *links = (*region)->links;

		if (links && !is_plain(topology, links))
			return false;
		if (links && links->view_set)
			set_add(topology, links->view_set, *span);
		if (!fh_climb_to_container(*region, span))
			return true;
		*region = (*region)->container;
	} while (true);
}

/* --- The graph above ------------------------------------------------------------------------ */

/* Where the way up from @region goes on: itself, or the first above it that has links (R2). */
static struct fh_region *with_links(struct fh_region *region)
{
	while (region && !region->links)
		region = region->container;
	return region;
}

static void walk_push(struct fh_climb *climb, struct fh_region *region)
{
	region = with_links(region);
	if (!region || region->links->mark)
		return;
	region->links->mark = UINT32_MAX; /* begun */
	fh_vector_add(&climb->steps) = (struct fh_climb_step){ region, NULL };
}

/* Depth first: a region becomes a node when all above it are. */
static void walk(struct fh_climb *climb, struct fh_region *from)
{
	walk_push(climb, from);
	while (climb->steps.count > 0) {
		struct fh_climb_step *step = &fh_vector_last(&climb->steps);
		struct fh_region *region = step->region;

		if (!step->alias) {
			step->alias = region->links->aliases.next;
			walk_push(climb, region->container);
		} else if (step->alias != &region->links->aliases) {
			struct fh_alias *alias =
				fh_list_entry(step->alias, struct fh_alias, link);

			step->alias = step->alias->next;
			walk_push(climb, &alias->region);
		} else {
			climb->steps.count--;
			fh_vector_add(&climb->nodes) = (struct fh_climb_node){ region, 0, false };
			fh_assert(climb->nodes.count < UINT32_MAX);
			region->links->mark = (uint32_t)climb->nodes.count;
		}
	}
}

static struct fh_climb_node *node_of(struct fh_climb *climb, struct fh_region *region)
{
	region = with_links(region);
	return region ? &climb->nodes.at[region->links->mark - 1] : NULL;
}

/* A view set is at the node or above; its aliases alone have none above them (R3). */
static void node_judge(struct fh_topology *topology, struct fh_climb_node *node)
{
	struct fh_climb *climb = &topology->climb;
	struct fh_links *links = node->region->links;
	bool barren = true;

	fh_list_for_each_entry(alias, &links->aliases, struct fh_alias, link) {
		const struct fh_climb_node *above = node_of(climb, &alias->region);

		if (above && above->fertile) {
			barren = false;
			break;
		}
	}
	if (barren)
		links->barren_epoch = topology->graph_epoch;

	const struct fh_climb_node *above = node_of(climb, node->region->container);

	node->fertile = links->view_set || !barren || (above && above->fertile);
}

/* A window arrives at @region, or what of it is seen at the next above it that has links. */
static void arrive(struct fh_climb *climb, struct fh_region *region, struct fh_span span)
{
	while (!region->links) {
		if (!fh_climb_to_container(region, &span))
			return;
		region = region->container;
	}
	struct fh_climb_node *node = &climb->nodes.at[region->links->mark - 1];

	fh_vector_add(&climb->pool) = (struct fh_climb_span){ span, node->spans };
	fh_assert(climb->pool.count < UINT32_MAX);
	node->spans = (uint32_t)climb->pool.count;
}

/* All that arrived at the node, joined, goes on. */
static void node_pass(struct fh_topology *topology, struct fh_climb_node *node)
{
	struct fh_climb *climb = &topology->climb;
	const struct fh_links *links = node->region->links;

	climb->spans.count = 0;
	for (uint32_t i = node->spans; i != 0; i = climb->pool.at[i - 1].next)
		fh_vector_add(&climb->spans) = climb->pool.at[i - 1].span;
	fh_spans_merge(&climb->spans);
	for (size_t i = 0; i < climb->spans.count; i++) {
		struct fh_span span = climb->spans.at[i];

		if (links->view_set)
			set_add(topology, links->view_set, span);
		if (fh_climb_to_container(node->region, &span))
			arrive(climb, node->region->container, span);
	}
	if (links->barren_epoch == topology->graph_epoch)
		return;
	fh_list_for_each_entry(alias, &links->aliases, struct fh_alias, link) {
		for (size_t i = 0; i < climb->spans.count; i++) {
			struct fh_span span = climb->spans.at[i];

			if (fh_climb_to_alias(alias, &span))
				arrive(climb, &alias->region, span);
		}
	}
}

static void climb_graph(struct fh_topology *topology)
{
	struct fh_climb *climb = &topology->climb;
	const struct fh_windows *windows = &topology->windows;

	climb->nodes.count = 0;
	climb->pool.count = 0;
	for (size_t i = 0; i < windows->count; i++) {
		if (windows->at[i].region)
			walk(climb, windows->at[i].region);
	}
	for (size_t i = 0; i < climb->nodes.count; i++)
		node_judge(topology, &climb->nodes.at[i]);
	for (size_t i = 0; i < windows->count; i++) {
		const struct fh_window *window = &windows->at[i];

		if (window->region)
			arrive(climb, window->region,
			       (struct fh_span){ window->first, window->last });
	}
	for (size_t i = climb->nodes.count; i-- > 0;) {
		if (climb->nodes.at[i].fertile && climb->nodes.at[i].spans)
			node_pass(topology, &climb->nodes.at[i]);
	}
	for (size_t i = 0; i < climb->nodes.count; i++)
		climb->nodes.at[i].region->links->mark = 0;
}

/* --- All of it ------------------------------------------------------------------------------ */

/* More windows than this are put together on their way. */
enum { FEW_WINDOWS = 4 };

void fh_climb_windows(struct fh_topology *topology)
{
	struct fh_windows *windows = &topology->windows;
	bool graph = windows->count > FEW_WINDOWS;

	for (size_t i = 0; i < windows->count && !graph; i++) {
		struct fh_window *window = &windows->at[i];
		struct fh_span span = { window->first, window->last };
		struct fh_region *region = window->region;

		/* What went up already would go up once more, to no harm. */
		if (region)
			graph = !climb_plain(topology, &region, &span);
	}
	if (graph)
		climb_graph(topology);
	for (size_t i = 0; i < windows->count; i++) {
		if (windows->at[i].region)
			windows->at[i].region->links->touched = 0;
	}
	fh_vector_reset(windows);
}

void fh_climb_reset(struct fh_climb *climb)
{
	fh_vector_reset(&climb->steps);
	fh_vector_reset(&climb->nodes);
	fh_vector_reset(&climb->pool);
	fh_vector_reset(&climb->spans);
}

void fh_climb_free(struct fh_climb *climb)
{
	fh_vector_free(&climb->steps);
	fh_vector_free(&climb->nodes);
	fh_vector_free(&climb->pool);
	fh_vector_free(&climb->spans);
}
