/* SPDX-License-Identifier: MIT */
/*
 * Making a new version of a view, see view.h.
 *
 * A replacement goes in turns. Each turn goes down from the root once, changes the items of one
 * node (the highest that has children wholly in the window; at last, a leaf), and puts the result
 * in place upwards, copying each node on the way. To change a range is one turn; to drop a long
 * window takes about two for each level, to insert many ranges one for each leaf. Every turn leaves
 * a whole tree behind, so that nothing here has to deal with a broken one.
 *
 * R1. A node of this edit, as its epoch says, has been seen by no reader. It goes back to the pool
 *     as soon as it is replaced, and a child of it is exchanged in place. All nodes above one of
 *     this edit are of this edit.
 * R2. A node of an earlier edit is never changed. When it is replaced it is retired, once.
 */
#include "memory/view.h"

#include "memory/view-recipe.h"

enum {
	WIDTH = FH_VIEW_WIDTH,
	FEW = WIDTH / 2,	    /* a node that lost items takes in a neighbour below this, */
	MERGED = WIDTH - WIDTH / 8, /* if both together are no more than this */
};

/* The way from the root to a node: by level, nodes and the item of each that was taken. */
struct path {
	unsigned top; /* level of the root */
	struct {
		struct fh_view_node *node; /* NULL: the leaf that an empty view has not */
		unsigned item;
	} at[FH_VIEW_HEIGHT];
};

/* Items [from, to) of the path's node at `level`, none if equal: what is about to be replaced. */
struct gap {
	unsigned level;
	unsigned from;
	unsigned to;
};

/* --- Lives of nodes ------------------------------------------------------------------------- */

static bool edit_made(const struct fh_view_edit *edit, const struct fh_view_node *node)
{
	return node->epoch == edit->epoch;
}

/* The node is no longer part of the new version; its children are somebody else's concern. */
static void edit_drop(struct fh_view_edit *edit, struct fh_view_node *node)
{
	if (edit_made(edit, node))
		fh_view_pool_put(edit->pool, node);
	else
		fh_view_retired_add(&edit->retired, node);
}

/*
 * Drops the children in the gap and all below them. Their links, which nobody needs yet, are the
 * queue of what is still to be dropped.
 */
static void edit_drop_below(struct fh_view_edit *edit, struct fh_view_inner *inner, struct gap gap)
{
	struct fh_view_node *node = inner->child[gap.from];
	struct fh_view_node *tail = node;

	for (unsigned i = gap.from + 1; i < gap.to; i++)
		tail = tail->link = inner->child[i];
	tail->link = NULL;

	while (node) {
		for (unsigned i = 0; node->level > 0 && i < node->count; i++) {
			tail = tail->link = fh_view_inner_of(node)->child[i];
			tail->link = NULL;
		}

		struct fh_view_node *next = node->link;

		edit_drop(edit, node);
		node = next;
	}
}

/* --- Putting items in place ----------------------------------------------------------------- */

/*
 * The neighbour that the path's node at `level` takes in because few items are left in it, or
 * NULL. It is the left one if there is one. One item alone never stays (R2 of view.h).
 */
static struct fh_view_node *few_neighbour(const struct path *path, unsigned level, unsigned left)
{
	const struct fh_view_inner *parent = fh_view_inner_of(path->at[level + 1].node);
	unsigned item = path->at[level + 1].item;
	struct fh_view_node *neighbour = parent->child[item > 0 ? item - 1 : 1];

	return left < FH_VIEW_FEWEST || left + neighbour->count <= MERGED ? neighbour : NULL;
}

/*
 * Makes what the node with the gap becomes when the items fill it, and moves the gap up: to what
 * that replaces in the parent.
 */
static struct fh_view_made gap_fill(struct gap *gap, struct fh_view_edit *edit,
				    const struct path *path, const struct fh_view_items *items)
{
	unsigned level = gap->level;
	struct fh_view_node *node = path->at[level].node;
	unsigned old_count = node ? node->count : 0;
	unsigned left = old_count - (gap->to - gap->from) + items->count;
	unsigned item = level < path->top ? path->at[level + 1].item : 0;
	struct fh_view_node *neighbour = NULL;
	struct fh_view_recipe recipe = { .level = level, .items = items };

	if (left > 0 && left < FEW && left < old_count && level < path->top)
		neighbour = few_neighbour(path, level, left);

	if (neighbour && item > 0)
		fh_view_recipe_add(&recipe, neighbour, 0, neighbour->count);
	if (gap->from > 0)
		fh_view_recipe_add(&recipe, node, 0, gap->from);
	fh_view_recipe_add(&recipe, NULL, 0, items->count);

	unsigned behind = recipe.count;

	if (gap->to < old_count)
		fh_view_recipe_add(&recipe, node, gap->to, old_count - gap->to);
	if (neighbour && item == 0)
		fh_view_recipe_add(&recipe, neighbour, 0, neighbour->count);

	/*
	 * In two nodes they are divided in the middle; but behind the new ones where those came at
	 * an end or where more follow, so that what is built in order of address, up or down, ends
	 * with nodes nearly full.
	 */
	bool ends = items->more || gap->from == 0 || gap->to == old_count;
	struct fh_view_made made =
		fh_view_recipe_make(&recipe, edit, ends && !neighbour ? behind : 0);

	if (node)
		edit_drop(edit, node);
	if (neighbour)
		edit_drop(edit, neighbour);
	*gap = (struct gap){ level + 1, item, item + 1 };
	if (neighbour && item > 0)
		gap->from--;
	else if (neighbour)
		gap->to++;
	return made;
}

/* `child` takes the place of the item that the path took at `level`: the common case. */
static void edit_set_child(struct fh_view_edit *edit, const struct path *path, unsigned level,
			   struct fh_view_node *child)
{
	for (; level <= path->top; level++) {
		struct fh_view_node *old = path->at[level].node;
		struct fh_view_node *node = edit_made(edit, old) ? old :
								   fh_view_edit_copy(edit, old);
		unsigned item = path->at[level].item;
		bool same_first = item > 0 || node->first[0] == child->first[0];

		fh_view_inner_of(node)->child[item] = child;
		node->first[item] = child->first[0];
		if (node == old && same_first)
			return;
		if (node != old)
			edit_drop(edit, old);
		child = node;
	}
	edit->root = child;
}

/* The nodes take the place of the root, which was at `level`. */
static void edit_set_root(struct fh_view_edit *edit, unsigned level,
			  const struct fh_view_made *made)
{
	if (made->count == 2) {
		const struct fh_view_items items = { .nodes = made->node, .count = 2 };
		struct fh_view_recipe recipe = { .level = level + 1, .items = &items };

		fh_assert(recipe.level < FH_VIEW_HEIGHT);
		fh_view_recipe_add(&recipe, NULL, 0, 2);
		edit->root = fh_view_recipe_make(&recipe, edit, 0).node[0];
		return;
	}
	edit->root = made->count > 0 ? made->node[0] : NULL;
	while (edit->root && edit->root->level > 0 && edit->root->count == 1) {
		struct fh_view_node *root = edit->root;

		edit->root = fh_view_inner_of(root)->child[0];
		edit_drop(edit, root);
	}
}

/* Fills the gap, and changes upwards to the root what has to follow. */
static void edit_fill(struct fh_view_edit *edit, const struct path *path, struct gap gap,
		      struct fh_view_items items)
{
	struct fh_view_made made = gap_fill(&gap, edit, path, &items);

	while (gap.level <= path->top) {
		const struct fh_view_made below = made;

		if (below.count == 1 && gap.to - gap.from == 1) {
			edit_set_child(edit, path, gap.level, below.node[0]);
			return;
		}
		items.nodes = below.node;
		items.count = below.count;
		made = gap_fill(&gap, edit, path, &items);
	}
	edit_set_root(edit, path->top, &made);
}

/* --- Windows -------------------------------------------------------------------------------- */

/* The last address that an item of a node may reach, where `limit` is the node's own. */
static uint64_t item_limit(const struct fh_view_node *node, unsigned item, uint64_t limit)
{
	return item + 1 < node->count ? node->first[item + 1] - 1 : limit;
}

/*
 * Goes down to where `at` belongs, as far as the first node that has children wholly in the window
 * [first, last], else to the leaf. Returns those children, or the leaf's ranges in the window. No
 * range of the view is in [first, at). *ret_limit: the last address that belongs to the leaf.
 */
static struct gap window_find(struct path *path, struct fh_view_node *node, uint64_t at,
			      uint64_t first, uint64_t last, uint64_t *ret_limit)
{
	uint64_t limit = UINT64_MAX;
	unsigned item;

	path->top = node->level;
	for (;; node = fh_view_inner_of(node)->child[item]) {
		item = fh_view_search(node, at);
		path->at[node->level].node = node;
		path->at[node->level].item = item;
		if (node->level == 0)
			break;

		struct gap gap = { node->level, item + (node->first[item] < first), 0 };

		for (gap.to = gap.from; gap.to < node->count; gap.to++) {
			if (item_limit(node, gap.to, limit) > last)
				break;
		}
		if (gap.from < gap.to)
			return gap;
		limit = item_limit(node, item, limit);
	}

	struct gap gap = { 0, item + (fh_view_leaf_of(node)->slot[item].last < first), 0 };

	for (gap.to = gap.from; gap.to < node->count; gap.to++) {
		if (node->first[gap.to] > last)
			break;
	}
	*ret_limit = limit;
	return gap;
}

/* The present ranges of a leaf's gap lie wholly in the window. */
static void leaf_assert_inside(const struct fh_view_node *node, struct gap gap, uint64_t first,
			       uint64_t last)
{
	if (gap.from == gap.to)
		return;
	fh_assert(node->first[gap.from] >= first);
	fh_assert(fh_view_to_leaf(node)->slot[gap.to - 1].last <= last);
}

/* The last of all ranges below a node ends in the window. */
static void below_assert_inside(const struct fh_view_node *node, uint64_t last)
{
	while (node->level > 0)
		node = fh_view_to_inner(node)->child[node->count - 1];
	fh_assert(fh_view_to_leaf(node)->slot[node->count - 1].last <= last);
}

static void ranges_assert(uint64_t first, uint64_t last, const struct fh_range *ranges,
			  size_t count)
{
	fh_assert(first <= last);
	for (size_t i = 0; i < count; i++) {
		fh_assert(ranges[i].first >= first && ranges[i].first <= ranges[i].last);
		fh_assert(i == 0 || ranges[i].first > ranges[i - 1].last);
	}
	fh_assert(count == 0 || ranges[count - 1].last <= last);
}

/* As many of the ranges as two leaves take besides what the leaf of the gap keeps. */
static struct fh_view_items items_next(const struct fh_view_node *leaf, struct gap gap,
				       const struct fh_range *ranges, size_t count)
{
	unsigned kept = (leaf ? leaf->count : 0) - (gap.to - gap.from);
	bool more = count > 2 * WIDTH - kept;

	return (struct fh_view_items){
		.ranges = ranges,
		.count = more ? 2 * WIDTH - kept : (unsigned)count,
		.more = more,
	};
}

/*
 * A turn that only drops, as long as the window reaches beyond one leaf. False: it does not, and
 * gap is what is left to be replaced. *at moves up, to what is left of the window.
 */
static bool edit_clear(struct fh_view_edit *edit, struct path *path, struct gap *gap, uint64_t *at,
		       uint64_t first, uint64_t last)
{
	uint64_t limit;

	*gap = (struct gap){ 0 };
	path->top = 0;
	path->at[0].node = NULL;
	if (!edit->root)
		return false;
	*gap = window_find(path, edit->root, *at, first, last, &limit);

	struct fh_view_node *node = path->at[gap->level].node;

	if (gap->level > 0) {
		below_assert_inside(fh_view_inner_of(node)->child[gap->to - 1], last);
		edit_drop_below(edit, fh_view_inner_of(node), *gap);
		edit_fill(edit, path, *gap, (struct fh_view_items){ 0 });
		return true;
	}
	leaf_assert_inside(node, *gap, first, last);
	if (gap->to < node->count || limit >= last)
		return false;
	/* The next leaf begins at limit + 1, in the window. */
	if (gap->from < gap->to)
		edit_fill(edit, path, *gap, (struct fh_view_items){ 0 });
	*at = limit + 1;
	return true;
}

void fh_view_edit_begin(struct fh_view_edit *edit, struct fh_view_pool *pool,
			struct fh_view_node *root)
{
	*edit = (struct fh_view_edit){ .pool = pool, .root = root, .epoch = ++pool->epoch };
}

void fh_view_edit_replace(struct fh_view_edit *edit, uint64_t first, uint64_t last,
			  const struct fh_range *ranges, size_t count)
{
	uint64_t at = first;
	struct path path;
	struct gap gap;

	ranges_assert(first, last, ranges, count);
	for (;;) {
		if (edit_clear(edit, &path, &gap, &at, first, last))
			continue;

		struct fh_view_items items = items_next(path.at[0].node, gap, ranges, count);

		if (items.count > 0 || gap.from < gap.to)
			edit_fill(edit, &path, gap, items);
		if (!items.more)
			return;
		ranges += items.count;
		count -= items.count;
		first = at = ranges[0].first;
	}
}

struct fh_view_node *fh_view_edit_end(struct fh_view_edit *edit)
{
	struct fh_view_node *root = edit->root;

	edit->root = NULL;
	return root;
}
