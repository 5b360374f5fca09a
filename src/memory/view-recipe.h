/* SPDX-License-Identifier: MIT */
/*
 * Making new nodes of a view from parts of old ones: the lower half of view-edit.c, which alone
 * includes this.
 *
 * R1. Nothing is moved within a node: a new one is put together from what is to stay of an old one,
 *     the new items and, where few would be left, a neighbour.
 * R2. The parts are read before anything is dropped: they outlive the recipe.
 */
#ifndef MEMORY_VIEW_RECIPE_H
#define MEMORY_VIEW_RECIPE_H

#include "memory/view.h"

enum {
	FH_VIEW_FEWEST = 2, /* items of a node that is not the root */
};

/* New items: ranges for a leaf, else nodes. At most two nodes full. */
struct fh_view_items {
	const struct fh_range *ranges;
	struct fh_view_node *const *nodes;
	unsigned count;
	bool more; /* others will follow right of them */
};

struct fh_view_recipe {
	unsigned level;
	const struct fh_view_items *items;
	struct fh_view_piece {
		const struct fh_view_node *node; /* NULL: of items */
		unsigned from;
		unsigned count;
	} piece[4]; /* in order: a neighbour, what lies left of the new, the new, what lies right */
	unsigned pieces;
	unsigned count; /* items in all pieces, at most two nodes full */
};

/* No node, one, or two that are neighbours. */
struct fh_view_made {
	struct fh_view_node *node[2];
	unsigned count;
};

static inline struct fh_view_leaf *fh_view_leaf_of(struct fh_view_node *node)
{
	return fh_container_of(node, struct fh_view_leaf, node);
}

static inline struct fh_view_inner *fh_view_inner_of(struct fh_view_node *node)
{
	return fh_container_of(node, struct fh_view_inner, node);
}

/* A node of the edit, with no contents yet. */
struct fh_view_node *fh_view_edit_make(struct fh_view_edit *edit, unsigned level);

/* The same items as in old, an inner node, in a node of the edit. */
struct fh_view_node *fh_view_edit_copy(struct fh_view_edit *edit, const struct fh_view_node *old);

/* Appends items [from, from + count) of a node, or of the new ones if that is NULL. */
static inline void fh_view_recipe_add(struct fh_view_recipe *recipe,
				      const struct fh_view_node *node, unsigned from,
				      unsigned count)
{
	recipe->piece[recipe->pieces++] = (struct fh_view_piece){ node, from, count };
	recipe->count += count;
}

/*
 * Makes the nodes. If they must be two they are divided near `behind`, a count of items, or where
 * that is 0 in the middle.
 */
struct fh_view_made fh_view_recipe_make(const struct fh_view_recipe *recipe,
					struct fh_view_edit *edit, unsigned behind);

#endif
