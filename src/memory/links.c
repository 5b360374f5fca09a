/* SPDX-License-Identifier: MIT */
/*
 * The graph of regions: containers and subregions, aliases and targets, and that it has no cycles.
 *
 * R1. Every link is known at both ends, and each change here makes or takes down both ends at once
 *     (L2). Windows are the business of whoever edits.
 * R2. A region that has none of these links at its lower end has no struct fh_links.
 * R3. Walks use stacks of their own and not recursion: a chain may be as long as memory.
 */
#include "memory/links.h"

#include <stdlib.h>

#include "memory/extras.h"
#include "memory/topology.h"

/* --- Links ---------------------------------------------------------------------------------- */

struct fh_links *fh_region_links(struct fh_region *region)
{
	if (!region->links) {
		region->links = fh_new(struct fh_links);
		fh_list_init(&region->links->aliases);
		fh_list_init(&region->links->roots);
	}
	return region->links;
}

void fh_region_free_links(struct fh_region *region)
{
	struct fh_links *links = region->links;

	fh_assert(!region->container);
	if (!links)
		return;
	fh_assert(fh_index_count(&links->children) == 0);
	fh_assert(fh_list_empty(&links->aliases));
	fh_assert(fh_list_empty(&links->roots));
	fh_assert(!links->view_set);
	fh_assert(links->touched == 0 && links->mark == 0);
	fh_extras_free(links->extras);
	region->links = NULL;
	fh_free(links);
}

/* Where the index has a subregion: one of size 0, which shows nothing, as if it had one byte. */
static uint64_t index_last(const struct fh_region *sub)
{
	return sub->size == 0 ? sub->addr : fh_region_last(sub);
}

void fh_region_recount(struct fh_region *region)
{
	const bool visible = region->container && fh_region_is_visible(region);

	if (visible == region->counted)
		return;
	region->counted = visible;
	region->container->links->visible += visible ? 1 : -1;
	region->container->links->visible_sum ^= (uintptr_t)region;
}

void fh_region_link_child(struct fh_region *container, struct fh_region *sub)
{
	fh_assert(!sub->container);
	fh_index_add(&fh_region_links(container)->children, sub->addr, index_last(sub), sub);
	sub->container = container;
	fh_region_recount(sub);
	if (sub->links || sub->kind == FH_REGION_ALIAS)
		fh_topology_graph_changed(sub->object.machine->topology);
}

void fh_region_unlink_child(struct fh_region *sub)
{
	struct fh_links *links = sub->container->links;
	const bool found = fh_index_remove(&links->children, sub->addr, sub);

	fh_assert(found);
	if (sub->counted) {
		sub->counted = false;
		links->visible--;
		links->visible_sum ^= (uintptr_t)sub;
	}
	sub->container = NULL;
}

void fh_region_unlink_children(struct fh_region *container)
{
	struct fh_links *links = container->links;
	struct fh_index_cursor cursor;
	const struct fh_index_entry *entry;

	if (!links)
		return;
	fh_index_overlap(&cursor, &links->children, 0, UINT64_MAX);
	while ((entry = fh_index_next(&cursor))) {
		entry->region->container = NULL;
		entry->region->counted = false;
	}
	fh_index_clear(&links->children);
	links->visible = 0;
	links->visible_sum = 0;
}

void fh_alias_link_target(struct fh_alias *alias, struct fh_region *target)
{
	fh_assert(!alias->target);
	alias->target = target;
	fh_list_add_last(&fh_region_links(target)->aliases, &alias->link);
	fh_topology_graph_changed(target->object.machine->topology);
}

void fh_alias_unlink_target(struct fh_alias *alias)
{
	alias->target = NULL;
	fh_list_remove(&alias->link);
}

/* --- Cycles --------------------------------------------------------------------------------- */

/* What the downward search looks at before the search goes the other way. */
enum { LOOP_BUDGET = 32 };

/*
 * Looks for @upper in what @lower shows. Most of what is mapped is small, and then this is all: 1
 * if it is there, 0 if not, -1 if there is too much to look at.
 */
static int loop_search_down(const struct fh_region *upper, struct fh_region *lower)
{
	struct fh_region *stack[LOOP_BUDGET] = { lower };
	unsigned depth = 1;
	unsigned budget = LOOP_BUDGET;

	while (depth > 0) {
		struct fh_region *region = stack[--depth];
		struct fh_region *target = fh_region_target(region);
		struct fh_index_cursor cursor;
		const struct fh_index_entry *entry;

		if (region == upper)
			return 1;
		if (target) {
			if (budget-- == 0 || depth == LOOP_BUDGET)
				return -1;
			stack[depth++] = target;
		}
		if (!region->links || fh_index_count(&region->links->children) == 0)
			continue;
		fh_index_overlap(&cursor, &region->links->children, 0, UINT64_MAX);
		while ((entry = fh_index_next(&cursor))) {
			if (budget-- == 0 || depth == LOOP_BUDGET)
				return -1;
			stack[depth++] = entry->region;
		}
	}
	return 0;
}

/* Puts a region on the stack, once. One without links is reached only once anyway. */
static void loop_push(struct fh_regions *stack, struct fh_region *region)
{
	if (region->links) {
		if (region->links->mark)
			return;
		region->links->mark = 1;
	}
	fh_vector_add(stack) = region;
}

/*
 * Looks for @lower among what shows @upper: its container, its aliases, and what shows these.
 * The stack keeps what was visited, so that the marks can be taken off.
 */
static bool loop_search_up(struct fh_region *upper, const struct fh_region *lower)
{
	struct fh_regions *stack = &upper->object.machine->topology->stack;
	bool found = false;

	stack->count = 0;
	loop_push(stack, upper);
	for (size_t i = 0; i < stack->count && !found; i++) {
		struct fh_region *region = stack->at[i];

		found = region == lower;
		if (region->container)
			loop_push(stack, region->container);
		if (!region->links)
			continue;
		fh_list_for_each_entry(alias, &region->links->aliases, struct fh_alias, link)
			loop_push(stack, &alias->region);
	}
	for (size_t i = 0; i < stack->count; i++) {
		if (stack->at[i]->links)
			stack->at[i]->links->mark = 0;
	}
	fh_vector_reset(stack);
	return found;
}

bool fh_region_would_loop(struct fh_region *upper, struct fh_region *lower)
{
	const int found = loop_search_down(upper, lower);

	return found < 0 ? loop_search_up(upper, lower) : found > 0;
}

/* --- In order ------------------------------------------------------------------------------- */

static int compare_subs(const void *a, const void *b)
{
	const struct fh_region *const *left = a;
	const struct fh_region *const *right = b;

	return fh_region_is_above(*left, *right) ? -1 : 1;
}

struct fh_region **fh_region_sorted_subs(const struct fh_region *region, size_t *ret_count)
{
	const size_t count = region->links ? fh_index_count(&region->links->children) : 0;
	struct fh_region **subs;
	struct fh_index_cursor cursor;
	size_t i = 0;

	*ret_count = count;
	if (count == 0)
		return NULL;
	subs = fh_alloc(count * sizeof(*subs));
	fh_index_overlap(&cursor, &region->links->children, 0, UINT64_MAX);
	for (const struct fh_index_entry *entry; (entry = fh_index_next(&cursor));)
		subs[i++] = entry->region;
	qsort(subs, count, sizeof(*subs), compare_subs);
	return subs;
}
