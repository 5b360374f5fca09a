/* SPDX-License-Identifier: MIT */
/*
 * The index of a container: a B+tree augmented with max(last), see index.h and index-node.h.
 *
 * Most containers have a child or two and a few have 100,000: so a tree begins as a leaf of two
 * entries, which doubles until it has full width; then it splits, and from there on all nodes have
 * full width.
 *
 * Searches within a node count without branching, although halving would look at fewer keys: what
 * they wait for is memory, and so all lines of a node are asked for at once. Halving was 5 to 20 %
 * slower at every size.
 */
#include "memory/index.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "memory/index-node.h"

enum {
	NARROWEST = 2, /* capacity of the first leaf; a power of two */
	FEW = 16,      /* below: after a removal, merge with a neighbour if both fit into one */
	MERGED = 28,   /* of which the next insertions do not split it again at once */
};

/* --- Nodes ---------------------------------------------------------------------------------- */

static struct fh_index_node *leaf_new(unsigned capacity)
{
	struct fh_index_leaf *leaf =
		fh_alloc(sizeof(*leaf) + capacity * sizeof(struct fh_index_entry));

	leaf->node = (struct fh_index_node){ .capacity = (uint16_t)capacity };
	return &leaf->node;
}

static struct fh_index_node *inner_new(unsigned level)
{
	struct fh_index_inner *inner = fh_alloc(sizeof(*inner));

	inner->node =
		(struct fh_index_node){ .level = (uint16_t)level, .capacity = FH_INDEX_WIDTH };
	return &inner->node;
}

/* Copies count items between two nodes of a level, or within one. Counts are the caller's. */
static void items_move(struct fh_index_node *to, unsigned to_slot, struct fh_index_node *from,
		       unsigned from_slot, unsigned count)
{
	if (to->level == 0) {
		memmove(&fh_index_to_leaf(to)->entry[to_slot],
			&fh_index_to_leaf(from)->entry[from_slot],
			count * sizeof(struct fh_index_entry));
		return;
	}

	struct fh_index_inner *t = fh_index_to_inner(to);
	struct fh_index_inner *f = fh_index_to_inner(from);

	memmove(&t->first[to_slot], &f->first[from_slot], count * sizeof(t->first[0]));
	memmove(&t->region[to_slot], &f->region[from_slot], count * sizeof(t->region[0]));
	memmove(&t->max[to_slot], &f->max[from_slot], count * sizeof(t->max[0]));
	memmove(&t->child[to_slot], &f->child[from_slot], count * sizeof(t->child[0]));
}

/* Makes room for one item at slot. */
static void node_open(struct fh_index_node *node, unsigned slot)
{
	items_move(node, slot + 1, node, slot, node->count - slot);
	node->count++;
}

/* Closes the gap that the item at slot leaves. */
static void node_close(struct fh_index_node *node, unsigned slot)
{
	items_move(node, slot, node, slot + 1, node->count - slot - 1);
	node->count--;
}

static struct fh_index_summary leaf_summarize(struct fh_index_leaf *leaf)
{
	struct fh_index_summary sum = { leaf->entry[0].first, leaf->entry[0].region, 0 };

	for (unsigned i = 0; i < leaf->node.count; i++)
		sum.max = leaf->entry[i].last > sum.max ? leaf->entry[i].last : sum.max;
	return sum;
}

struct fh_index_summary fh_index_summarize(struct fh_index_node *node)
{
	if (node->level == 0)
		return leaf_summarize(fh_index_to_leaf(node));

	struct fh_index_inner *inner = fh_index_to_inner(node);
	struct fh_index_summary sum = { inner->first[0], inner->region[0], 0 };

	for (unsigned i = 0; i < node->count; i++)
		sum.max = inner->max[i] > sum.max ? inner->max[i] : sum.max;
	return sum;
}

static void inner_describe(struct fh_index_inner *inner, unsigned slot,
			   const struct fh_index_summary *sum)
{
	inner->first[slot] = sum->first;
	inner->region[slot] = sum->region;
	inner->max[slot] = sum->max;
}

/* Brings a slot up to date with its child (R2). False: it was. */
static bool inner_refresh(struct fh_index_inner *inner, unsigned slot)
{
	struct fh_index_summary sum = fh_index_summarize(inner->child[slot]);

	if (inner->first[slot] == sum.first && inner->region[slot] == sum.region &&
	    inner->max[slot] == sum.max)
		return false;
	inner_describe(inner, slot, &sum);
	return true;
}

static void inner_set(struct fh_index_inner *inner, unsigned slot, struct fh_index_node *child)
{
	struct fh_index_summary sum = fh_index_summarize(child);

	inner->child[slot] = child;
	inner_describe(inner, slot, &sum);
}

/* --- Search --------------------------------------------------------------------------------- */

/* The slot of the first entry whose key is not less. */
static unsigned leaf_find(const struct fh_index_leaf *leaf, uint64_t first,
			  const struct fh_region *region)
{
	unsigned slot = 0;

	for (unsigned i = 0; i < leaf->node.count; i++)
		slot += leaf->entry[i].first < first;
	while (slot < leaf->node.count &&
	       fh_index_less(leaf->entry[slot].first, leaf->entry[slot].region, first, region))
		slot++;
	return slot;
}

/* The slot of the last child that begins at or before the key; 0 if none does. */
static unsigned inner_find(const struct fh_index_inner *inner, uint64_t first,
			   const struct fh_region *region)
{
	unsigned slot = 0;

	for (unsigned i = 1; i < inner->node.count; i++)
		slot += inner->first[i] < first;
	while (slot + 1 < inner->node.count &&
	       !fh_index_less(first, region, inner->first[slot + 1], inner->region[slot + 1]))
		slot++;
	return slot;
}

static struct fh_index_leaf *path_find(struct fh_index_path *path, struct fh_index_node *node,
				       uint64_t first, const struct fh_region *region)
{
	path->top = node->level;
	fh_assert(path->top < FH_INDEX_HEIGHT);
	while (node->level > 0) {
		struct fh_index_inner *inner = fh_index_to_inner(node);
		unsigned slot = inner_find(inner, first, region);

		path->at[node->level].inner = inner;
		path->at[node->level].slot = slot;
		node = inner->child[slot];
	}
	return fh_index_to_leaf(node);
}

/* --- Addition ------------------------------------------------------------------------------- */

/* A leaf that is the root, in another size. */
static struct fh_index_leaf *root_resize(struct fh_index *index, unsigned capacity)
{
	struct fh_index_node *old = index->root;
	struct fh_index_node *node = leaf_new(capacity);

	node->count = old->count;
	items_move(node, 0, old, 0, old->count);
	fh_free(old);
	index->root = node;
	return fh_index_to_leaf(node);
}

/*
 * Moves the tail of a full node to a new one, ahead of an insertion at slot. Insertion at an end
 * goes on there more often than not: then nearly all stay on the other side, and a map that is made
 * in order of address ends with nodes nearly full.
 */
static struct fh_index_node *node_split(struct fh_index_node *node, unsigned slot)
{
	unsigned keep = FH_INDEX_WIDTH / 2;

	if (slot == FH_INDEX_WIDTH)
		keep = FH_INDEX_WIDTH - FH_INDEX_FEWEST;
	else if (slot == 0)
		keep = FH_INDEX_FEWEST;

	struct fh_index_node *tail = node->level > 0 ? inner_new(node->level) :
						       leaf_new(FH_INDEX_WIDTH);

	tail->count = FH_INDEX_WIDTH - keep;
	items_move(tail, 0, node, keep, tail->count);
	node->count = keep;
	return tail;
}

/* Puts child behind slot of inner. Returns the tail if inner had to be split, else NULL. */
static struct fh_index_node *inner_insert(struct fh_index_inner *inner, unsigned slot,
					  struct fh_index_node *child)
{
	struct fh_index_node *node = &inner->node;
	struct fh_index_node *tail = NULL;

	if (node->count == FH_INDEX_WIDTH) {
		tail = node_split(node, slot);
		if (slot > node->count) {
			slot -= node->count;
			node = tail;
		}
	}
	node_open(node, slot);
	inner_set(fh_index_to_inner(node), slot, child);
	return tail;
}

/* Hangs tail, split off the leaf at the lower end of path, into the tree (R2). */
static void path_grow(struct fh_index *index, struct fh_index_path *path,
		      struct fh_index_node *tail)
{
	for (unsigned level = 1; level <= path->top; level++) {
		struct fh_index_inner *inner = path->at[level].inner;
		unsigned slot = path->at[level].slot;

		inner_refresh(inner, slot);
		if (tail)
			tail = inner_insert(inner, slot + 1, tail);
	}
	if (!tail)
		return;

	struct fh_index_node *root = inner_new(path->top + 1);

	root->count = 2;
	inner_set(fh_index_to_inner(root), 0, index->root);
	inner_set(fh_index_to_inner(root), 1, tail);
	index->root = root;
}

/* An entry has come into the leaf at the lower end of path: R2 upwards, as far as it changes. */
static void path_widen(struct fh_index_path *path, const struct fh_index_entry *entry)
{
	for (unsigned level = 1; level <= path->top; level++) {
		struct fh_index_inner *inner = path->at[level].inner;
		unsigned slot = path->at[level].slot;
		bool changed = false;

		if (inner->max[slot] < entry->last) {
			inner->max[slot] = entry->last;
			changed = true;
		}
		if (fh_index_less(entry->first, entry->region, inner->first[slot],
				  inner->region[slot])) {
			inner->first[slot] = entry->first;
			inner->region[slot] = entry->region;
			changed = true;
		}
		if (!changed)
			return;
	}
}

void fh_index_add(struct fh_index *index, uint64_t first, uint64_t last, struct fh_region *region)
{
	const struct fh_index_entry entry = { first, last, region };
	struct fh_index_path path;

	fh_assert(first <= last);
	if (!index->root)
		index->root = leaf_new(NARROWEST);

	struct fh_index_leaf *leaf = path_find(&path, index->root, first, region);
	unsigned slot = leaf_find(leaf, first, region);
	struct fh_index_node *tail = NULL;

	fh_assert(slot == leaf->node.count || leaf->entry[slot].first != first ||
		  leaf->entry[slot].region != region);
	if (leaf->node.count == leaf->node.capacity) {
		if (leaf->node.capacity < FH_INDEX_WIDTH)
			leaf = root_resize(index, 2u * leaf->node.capacity);
		else
			tail = node_split(&leaf->node, slot);
	}

	struct fh_index_leaf *home = leaf;

	if (tail && slot > leaf->node.count) {
		slot -= leaf->node.count;
		home = fh_index_to_leaf(tail);
	}
	node_open(&home->node, slot);
	home->entry[slot] = entry;
	index->count++;
	if (tail)
		path_grow(index, &path, tail);
	else
		path_widen(&path, &entry);
}

/* --- Removal -------------------------------------------------------------------------------- */

/* Shares the items of two neighbours, too many for one, equally. */
static void node_balance(struct fh_index_node *left, struct fh_index_node *right)
{
	unsigned total = left->count + right->count;
	unsigned keep = total / 2;

	if (left->count > keep) {
		unsigned moved = left->count - keep;

		items_move(right, moved, right, 0, right->count);
		items_move(right, 0, left, keep, moved);
	} else {
		unsigned moved = keep - left->count;

		items_move(left, left->count, right, 0, moved);
		items_move(right, 0, right, moved, right->count - moved);
	}
	left->count = keep;
	right->count = total - keep;
}

/* The child at slot has few items: merge it with a neighbour, or take some over (R3). */
static void inner_merge(struct fh_index_inner *inner, unsigned slot)
{
	unsigned at = slot > 0 ? slot - 1 : 0;
	unsigned few = inner->child[slot]->count;
	struct fh_index_node *left = inner->child[at];
	struct fh_index_node *right = inner->child[at + 1];

	if (left->count + right->count <= MERGED) {
		items_move(left, left->count, right, 0, right->count);
		left->count += right->count;
		fh_free(right);
		node_close(&inner->node, at + 1);
		inner_refresh(inner, at);
	} else if (few < FH_INDEX_FEWEST) {
		node_balance(left, right);
		inner_refresh(inner, at);
		inner_refresh(inner, at + 1);
	} else {
		inner_refresh(inner, slot);
	}
}

/* An entry has gone from the leaf at the lower end of path: R2 and R3 upwards. */
static void path_shrink(struct fh_index_path *path, struct fh_index_leaf *leaf)
{
	struct fh_index_node *child = &leaf->node;

	for (unsigned level = 1; level <= path->top; level++) {
		struct fh_index_inner *inner = path->at[level].inner;
		unsigned slot = path->at[level].slot;

		if (child->count < FEW)
			inner_merge(inner, slot);
		else if (!inner_refresh(inner, slot))
			return;
		child = &inner->node;
	}
}

/* A root with one child or none is not needed, and one leaf not wider than it must be (R4). */
static void root_shrink(struct fh_index *index)
{
	struct fh_index_node *root = index->root;

	while (root->level > 0 && root->count == 1) {
		index->root = fh_index_to_inner(root)->child[0];
		fh_free(root);
		root = index->root;
	}
	if (root->count == 0) {
		fh_free(root);
		index->root = NULL;
	} else if (root->level == 0 && root->capacity > NARROWEST &&
		   root->count <= root->capacity / 4u) {
		root_resize(index, root->capacity / 2u);
	}
}

bool fh_index_remove(struct fh_index *index, uint64_t first, struct fh_region *region)
{
	struct fh_index_path path;

	if (!index->root)
		return false;

	struct fh_index_leaf *leaf = path_find(&path, index->root, first, region);
	unsigned slot = leaf_find(leaf, first, region);

	if (slot == leaf->node.count || leaf->entry[slot].first != first ||
	    leaf->entry[slot].region != region)
		return false;
	node_close(&leaf->node, slot);
	index->count--;
	path_shrink(&path, leaf);
	root_shrink(index);
	return true;
}
