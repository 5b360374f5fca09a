/* SPDX-License-Identifier: MIT */
/*
 * Making new nodes of a view from parts of old ones, see view-recipe.h.
 *
 * Parts go straight to where they belong in one of two nodes: there is no third place in which
 * they are gathered first.
 */
#include "memory/view-recipe.h"

#include <string.h>

struct fh_view_node *fh_view_edit_make(struct fh_view_edit *edit, unsigned level)
{
	edit->made++;
	edit->made_bytes += level > 0 ? sizeof(struct fh_view_inner) : sizeof(struct fh_view_leaf);
	return fh_view_pool_take(edit->pool, level, edit->epoch);
}

struct fh_view_node *fh_view_edit_copy(struct fh_view_edit *edit, const struct fh_view_node *old)
{
	struct fh_view_node *node = fh_view_edit_make(edit, old->level);
	struct fh_view_inner *inner = fh_view_inner_of(node);

	/* Whole arrays: a copy of fixed size is a few wide moves, and keeps R4 of view.h. */
	memcpy(node->first, old->first, sizeof(node->first));
	memcpy(inner->child, fh_view_to_inner(old)->child, sizeof(inner->child));
	node->count = old->count;
	return node;
}

static void leaf_put(struct fh_view_leaf *leaf, unsigned at, const struct fh_range *ranges,
		     unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		leaf->node.first[at + i] = ranges[i].first;
		leaf->slot[at + i] = (struct fh_view_slot){ ranges[i].last, ranges[i].region,
							    ranges[i].offset, ranges[i].flags };
	}
}

static void inner_put(struct fh_view_inner *inner, unsigned at, struct fh_view_node *const *nodes,
		      unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		inner->node.first[at + i] = nodes[i]->first[0]; /* R3 of view.h */
		inner->child[at + i] = nodes[i];
	}
}

static void node_put(struct fh_view_node *node, unsigned at, const struct fh_view_node *source,
		     unsigned from, unsigned count)
{
	memcpy(&node->first[at], &source->first[from], count * sizeof(node->first[0]));
	if (node->level > 0)
		memcpy(&fh_view_inner_of(node)->child[at], &fh_view_to_inner(source)->child[from],
		       count * sizeof(struct fh_view_node *));
	else
		memcpy(&fh_view_leaf_of(node)->slot[at], &fh_view_to_leaf(source)->slot[from],
		       count * sizeof(struct fh_view_slot));
}

static void recipe_put(const struct fh_view_recipe *recipe, struct fh_view_node *node, unsigned at,
		       struct fh_view_piece piece)
{
	if (piece.node)
		node_put(node, at, piece.node, piece.from, piece.count);
	else if (recipe->level > 0)
		inner_put(fh_view_inner_of(node), at, recipe->items->nodes + piece.from,
			  piece.count);
	else
		leaf_put(fh_view_leaf_of(node), at, recipe->items->ranges + piece.from,
			 piece.count);
}

/* A new node of the items [begin, end) of a recipe. */
static struct fh_view_node *recipe_make(const struct fh_view_recipe *recipe,
					struct fh_view_edit *edit, unsigned begin, unsigned end)
{
	struct fh_view_node *node = fh_view_edit_make(edit, recipe->level);
	unsigned skip = begin;
	unsigned at = 0;

	node->count = end - begin;
	for (unsigned i = 0; i < recipe->pieces; i++) {
		struct fh_view_piece piece = recipe->piece[i];
		unsigned skipped = skip < piece.count ? skip : piece.count;

		skip -= skipped;
		piece.from += skipped;
		piece.count -= skipped;
		if (piece.count > node->count - at)
			piece.count = node->count - at;
		if (piece.count > 0)
			recipe_put(recipe, node, at, piece);
		at += piece.count;
	}
	while (at < FH_VIEW_WIDTH)
		node->first[at++] = UINT64_MAX; /* R4 of view.h */
	return node;
}

/* Where to divide so many items, so that each of two nodes has enough and not too many. */
static unsigned divide(unsigned count, unsigned behind)
{
	unsigned fewest = count > FH_VIEW_WIDTH + FH_VIEW_FEWEST ? count - FH_VIEW_WIDTH :
								   FH_VIEW_FEWEST;

	if (behind == 0)
		return count / 2;
	if (behind < fewest)
		return fewest;
	return behind > count - fewest ? count - fewest : behind;
}

struct fh_view_made fh_view_recipe_make(const struct fh_view_recipe *recipe,
					struct fh_view_edit *edit, unsigned behind)
{
	struct fh_view_made made = { .count = 0 };
	unsigned count = recipe->count;
	unsigned middle = count > FH_VIEW_WIDTH ? divide(count, behind) : count;

	if (count == 0)
		return made;
	made.node[made.count++] = recipe_make(recipe, edit, 0, middle);
	if (middle < count)
		made.node[made.count++] = recipe_make(recipe, edit, middle, count);
	return made;
}
