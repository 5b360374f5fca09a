/* SPDX-License-Identifier: MIT */
/*
 * Which region a space really shows.
 *
 * A bus master often sees the machine's memory through a container that holds one alias of it. Its
 * space then shows what the memory's space shows, and both share one view. To resolve is to go from
 * the root down such links, as long as each adds nothing, hides nothing and moves nothing.
 *
 * R1. Every region on the way of a space is traced, and `next` says where the way went on from it.
 *     A region is examined again when something that decides about that changed, but only if it is
 *     traced, at a constant cost; and only if the answer is another one are the spaces above it
 *     looked for. So spaces that have nothing to do with an edit cost it nothing, however many
 *     there are.
 * R2. If a region is not traced, no space that is not in the list of unresolved ones goes through
 *     it.
 * R3. `next` is only compared: what it points to may be gone.
 * R4. To make a set costs as much as it has ranges, and so does giving it up for another one. So a
 *     set of many ranges is kept until there were as many commits, even if its spaces could share
 *     another one meanwhile: an overlay that comes and goes costs its own size, not the map's.
 * R5. A space in one of the lists here is held (pinned) until the commit is over.
 */
#include "base/rcu.h"
#include "memory/space.h"
#include "memory/topology.h"

/* Where the way goes on from @region: what shows the same as it does; NULL: nothing does. */
static struct fh_region *resolve_next(const struct fh_region *region)
{
	const struct fh_links *links = region->links;
	struct fh_region *next;

	if (!fh_region_is_visible(region) || region->readonly || region->nonvolatile)
		return NULL;
	if (region->kind == FH_REGION_ALIAS && (!links || links->visible == 0)) {
		const struct fh_alias *alias = (const struct fh_alias *)region;

		next = alias->offset == 0 ? alias->target : NULL;
	} else if (region->kind == FH_REGION_CONTAINER && links && links->visible == 1) {
		next = (struct fh_region *)links->visible_sum;
		if (next->addr != 0)
			next = NULL;
	} else {
		next = NULL;
	}
	/* What is smaller is not clipped, and has nothing beside it. */
	return next && next->size <= region->size ? next : NULL;
}

/* --- What changed --------------------------------------------------------------------------- */

void fh_resolve_space(struct fh_space *space)
{
	if (fh_list_linked(&space->unresolved_link))
		return;
	fh_object_hold(&space->object);
	fh_list_add_last(&space->object.machine->topology->unresolved, &space->unresolved_link);
}

/* If the way went from @upper to @region, go up it. */
static void upward(struct fh_regions *stack, struct fh_region *upper,
		   const struct fh_region *region)
{
	if (!upper || !upper->links || !upper->links->traced || upper->links->next != region)
		return;
	upper->links->traced = false;
	fh_vector_add(stack) = upper;
}

/* All spaces whose way leads through @region are to be resolved. */
static void unresolve_above(struct fh_region *region)
{
	struct fh_regions *stack = &region->object.machine->topology->stack;

	stack->count = 0;
	region->links->traced = false;
	fh_vector_add(stack) = region;
	while (stack->count > 0) {
		region = stack->at[--stack->count];
		fh_list_for_each_entry(space, &region->links->roots, struct fh_space, root_link)
			fh_resolve_space(space);
		upward(stack, region->container, region);
		fh_list_for_each_entry(alias, &region->links->aliases, struct fh_alias, link)
			upward(stack, &alias->region, region);
	}
	fh_vector_reset(stack);
}

void fh_resolve_check(struct fh_region *region)
{
	if (!region || !region->links || !region->links->traced)
		return;
	if (resolve_next(region) != region->links->next)
		unresolve_above(region);
}

/* --- At commit ------------------------------------------------------------------------------ */

enum { CHEAP = 64 }; /* ranges of a set that is not worth keeping */

/* R4. */
static bool is_paid_for(const struct fh_topology *topology, const struct fh_view_set *set)
{
	return set->made_of <= CHEAP || topology->commits - set->made >= set->made_of;
}

static struct fh_region *trace(const struct fh_topology *topology, struct fh_region *region)
{
	for (;;) {
		struct fh_links *links = fh_region_links(region);
		struct fh_region *next = resolve_next(region);

		links->traced = true;
		links->next = next;
		if (!next || (links->view_set && !is_paid_for(topology, links->view_set)))
			return region;
		region = next;
	}
}

static struct fh_view_set *set_of(struct fh_topology *topology, struct fh_region *region)
{
	struct fh_view_set *set = region->links->view_set;

	if (set)
		return set;
	set = fh_zalloc_aligned(sizeof(*set), _Alignof(struct fh_view_set));
	set->id = fh_ticket();
	set->region = region;
	set->fresh = true;
	fh_list_init(&set->spaces);
	fh_list_init(&set->dirty_link);
	fh_list_add_last(&topology->sets, &set->all_link);
	region->links->view_set = set;
	fh_topology_graph_changed(topology);
	fh_view_set_dirty(topology, set);
	return set;
}

static void space_switch(struct fh_topology *topology, struct fh_space *space,
			 struct fh_view_set *set)
{
	space->showed = space->shows;
	space->shows = set;
	fh_space_list(space);
	fh_list_add_last(&topology->switched, &space->switched_link);
}

/* No space shows it any more. What it showed goes with what the commit retires. */
static void set_kill(struct fh_topology *topology, struct fh_view_set *set)
{
	if (!fh_list_linked(&set->all_link))
		return; /* killed already */
	if (set->region)
		set->region->links->view_set = NULL;
	set->region = NULL;
	fh_list_remove(&set->all_link);
	fh_list_remove(&set->dirty_link);
	set->dead_next = topology->dead;
	topology->dead = set;
}

void fh_resolve_run(struct fh_topology *topology)
{
	struct fh_list *node;

	while ((node = fh_list_pop(&topology->unresolved))) {
		struct fh_space *space = fh_list_entry(node, struct fh_space, unresolved_link);
		struct fh_view_set *set =
			space->root ? set_of(topology, trace(topology, space->root)) : NULL;

		if (set != space->shows)
			space_switch(topology, space, set);
		fh_vector_add(&topology->unpins) = &space->object; /* R5 */
	}
	fh_list_for_each_entry(space, &topology->switched, struct fh_space, switched_link) {
		if (space->showed && fh_list_empty(&space->showed->spaces))
			set_kill(topology, space->showed);
	}
}
