/* SPDX-License-Identifier: MIT */
/*
 * Reading views beyond what view.h does in line: iteration, holes, and walks over everything.
 */
#include "memory/view.h"

/*
 * Down to the leaf in which addr belongs; *ret_right becomes the key right of it, which by R3 is
 * where the next leaf begins. False in *ret_more: there is no leaf right of it.
 */
static const struct fh_view_leaf *view_descend(const struct fh_view_node *node, uint64_t addr,
					       uint64_t *ret_right, bool *ret_more)
{
	*ret_more = false;
	while (node->level > 0) {
		unsigned slot = fh_view_search(node, addr);

		if (slot + 1 < node->count) {
			*ret_right = node->first[slot + 1];
			*ret_more = true;
		}
		node = fh_view_to_inner(node)->child[slot];
	}
	return fh_view_to_leaf(node);
}

void fh_view_cursor_init(struct fh_view_cursor *cursor, const struct fh_view_node *root,
			 uint64_t addr)
{
	cursor->root = root;
	cursor->leaf = NULL;
	if (!root)
		return;
	cursor->leaf = view_descend(root, addr, &cursor->right, &cursor->more);
	cursor->slot = fh_view_search(&cursor->leaf->node, addr);
	if (cursor->leaf->slot[cursor->slot].last < addr)
		cursor->slot++;
}

bool fh_view_cursor_next(struct fh_view_cursor *cursor, struct fh_range *ret)
{
	const struct fh_view_leaf *leaf = cursor->leaf;

	if (!leaf)
		return false;
	if (cursor->slot == leaf->node.count) {
		if (!cursor->more) {
			cursor->leaf = NULL;
			return false;
		}
		leaf = view_descend(cursor->root, cursor->right, &cursor->right, &cursor->more);
		cursor->leaf = leaf;
		cursor->slot = 0;
	}
	*ret = fh_view_hit_range((struct fh_view_hit){ leaf, cursor->slot++ });
	return true;
}

uint64_t fh_view_hole_last(const struct fh_view_node *root, uint64_t addr)
{
	struct fh_view_cursor cursor;
	struct fh_range next;

	fh_view_cursor_init(&cursor, root, addr);
	if (!fh_view_cursor_next(&cursor, &next))
		return UINT64_MAX;
	fh_assert(next.first > addr);
	return next.first - 1;
}

/* --- Walks over everything ------------------------------------------------------------------ */

/* All nodes, each before its children. */
struct walk {
	unsigned depth;
	struct {
		const struct fh_view_inner *inner;
		unsigned slot; /* of the next child */
	} at[FH_VIEW_HEIGHT];
};

/* The node after `node`, which was the last one returned; NULL after the last. */
static const struct fh_view_node *walk_next(struct walk *walk, const struct fh_view_node *node)
{
	if (node->level > 0) {
		fh_assert(walk->depth < FH_VIEW_HEIGHT);
		walk->at[walk->depth].inner = fh_view_to_inner(node);
		walk->at[walk->depth].slot = 0;
		walk->depth++;
	}
	for (; walk->depth > 0; walk->depth--) {
		const struct fh_view_inner *inner = walk->at[walk->depth - 1].inner;
		unsigned slot = walk->at[walk->depth - 1].slot++;

		if (slot < inner->node.count)
			return inner->child[slot];
	}
	return NULL;
}

struct fh_view_size fh_view_measure(const struct fh_view_node *root)
{
	struct walk walk = { 0 };
	struct fh_view_size size = { 0 };

	for (const struct fh_view_node *node = root; node; node = walk_next(&walk, node)) {
		if (node->level > 0) {
			size.inners++;
			continue;
		}
		size.leaves++;
		size.ranges += node->count;
	}
	size.bytes = size.leaves * sizeof(struct fh_view_leaf) +
		     size.inners * sizeof(struct fh_view_inner);
	return size;
}

/* R2, R4 and the node's own part in R5. */
static bool node_check(const struct fh_view_node *node, bool root)
{
	unsigned fewest = root && node->level == 0 ? 1 : 2;

	if (node->count < fewest || node->count > FH_VIEW_WIDTH)
		return false;
	for (unsigned i = node->count; i < FH_VIEW_WIDTH; i++) {
		if (node->first[i] != UINT64_MAX)
			return false;
	}
	return atomic_load_explicit(&node->generation, memory_order_relaxed) % 2 == 0;
}

/* R1, from *next on, unless *full: nothing more fits. Moves both. */
static bool leaf_check(const struct fh_view_leaf *leaf, uint64_t *next, bool *full)
{
	for (unsigned i = 0; i < leaf->node.count; i++) {
		uint64_t last = leaf->slot[i].last;

		if (*full || leaf->node.first[i] < *next || last < leaf->node.first[i])
			return false;
		*full = last == UINT64_MAX;
		*next = last + 1;
	}
	return true;
}

/* R2 and R3, for all children. */
static bool inner_check(const struct fh_view_inner *inner)
{
	for (unsigned i = 0; i < inner->node.count; i++) {
		if (inner->child[i]->level + 1 != inner->node.level ||
		    inner->child[i]->first[0] != inner->node.first[i])
			return false;
	}
	return true;
}

bool fh_view_check(const struct fh_view_node *root)
{
	struct walk walk = { 0 };
	uint64_t next = 0;
	bool full = false;

	for (const struct fh_view_node *node = root; node; node = walk_next(&walk, node)) {
		if (!node_check(node, node == root))
			return false;
		if (node->level > 0 ? !inner_check(fh_view_to_inner(node)) :
				      !leaf_check(fh_view_to_leaf(node), &next, &full))
			return false;
	}
	return true;
}
