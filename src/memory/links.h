/* SPDX-License-Identifier: MIT */
/*
 * The links between regions: see links.c. All of it is guarded by the topology lock.
 */
#ifndef MEMORY_LINKS_H
#define MEMORY_LINKS_H

#include "memory/region.h"

/*
 * What a region has that is more than a leaf: made when first needed, and gone with the region.
 */
struct fh_links {
	struct fh_index children;	/* all subregions; of size 0 as if it were 1 */
	struct fh_list aliases;		/* fh_alias.link of those that show this region */
	struct fh_list roots;		/* fh_space.root_link of spaces whose root this is */
	struct fh_view_set *view_set;	/* of spaces whose root resolves to this region, or NULL */

	struct fh_extras *extras;	/* eventfds and coalesced ranges (extras.h), or NULL */

	/* Resolution (resolve.c). */
	size_t visible;			/* how many children are enabled, shown and not empty */
	uintptr_t visible_sum;		/* their addresses, exclusive or: if it is one, that one */
	const struct fh_region *next;	/* what it resolves to, as last looked at; only compared */
	bool traced;			/* some space may resolve through it */

	/* Windows (topology.c, climb.c). */
	uint32_t touched;		/* its latest window in this transaction + 1, or 0 */
	uint32_t mark;			/* scratch of graph walks, 0 outside of them */
	uint64_t barren_epoch;		/* when its aliases led to no view: graph_epoch */
};

/* The region's links, made if it has none. */
struct fh_links *fh_region_links(struct fh_region *region);
/* At finalize: asserts that nothing is linked. */
void fh_region_free_links(struct fh_region *region);

/* True if @lower, were it shown by @upper as a subregion or target, would show @upper in turn. */
bool fh_region_would_loop(struct fh_region *upper, struct fh_region *lower);

/* Both ends of a link, without checks and windows. */
void fh_region_link_child(struct fh_region *container, struct fh_region *sub);
void fh_region_unlink_child(struct fh_region *sub);
/* All at once; nothing shows the container. */
void fh_region_unlink_children(struct fh_region *container);
void fh_alias_link_target(struct fh_alias *alias, struct fh_region *target);
void fh_alias_unlink_target(struct fh_alias *alias);

/* The region's visibility has changed: have its container count it as it is now. */
void fh_region_recount(struct fh_region *region);

/* Subregions, topmost first, in an array to be fh_free'd; NULL if there are none. */
struct fh_region **fh_region_sorted_subs(const struct fh_region *region, size_t *ret_count);

#endif
