/* SPDX-License-Identifier: MIT */
/*
 * What goes through an index: the iteration over a window; and over everything, its end, its size,
 * and the proof that it is in order.
 */
#include "memory/index.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "memory/index-node.h"

/*
 * At the inner node of a level: down into the next child, from the slot there on, that reaches into
 * the window. Such a child can fail to have an entry in it only where it also reaches beyond
 * the window's end, so at most once for each level. False: no such child.
 */
static bool cursor_down(struct fh_index_cursor *cursor, unsigned level)
{
	struct fh_index_step *step = &cursor->path[level];
	const struct fh_index_inner *inner = step->inner;

	while (step->slot < inner->node.count && inner->max[step->slot] < cursor->first)
		step->slot++;
	if (step->slot == inner->node.count || inner->first[step->slot] > cursor->last)
		return false;

	struct fh_index_node *child = inner->child[step->slot++];

	if (level == 1) {
		cursor->leaf = fh_index_to_leaf(child);
		cursor->slot = 0;
	} else {
		cursor->path[level - 1].inner = fh_index_to_inner(child);
		cursor->path[level - 1].slot = 0;
	}
	return true;
}

/* From a level of the path on, to the next leaf that may hold something, or to NULL. */
static void cursor_advance(struct fh_index_cursor *cursor, unsigned level)
{
	cursor->leaf = NULL;
	while (level <= cursor->top && !cursor->leaf) {
		if (cursor_down(cursor, level))
			level--;
		else
			level++;
	}
}

void fh_index_overlap(struct fh_index_cursor *cursor, const struct fh_index *index, uint64_t first,
		      uint64_t last)
{
	struct fh_index_node *root = index->root;

	fh_assert(first <= last);
	cursor->first = first;
	cursor->last = last;
	cursor->leaf = NULL;
	cursor->top = 0;
	if (!root)
		return;
	cursor->top = root->level;
	if (root->level == 0) {
		cursor->leaf = fh_index_to_leaf(root);
		cursor->slot = 0;
		return;
	}
	cursor->path[root->level].inner = fh_index_to_inner(root);
	cursor->path[root->level].slot = 0;
	cursor_advance(cursor, root->level);
}

const struct fh_index_entry *fh_index_next(struct fh_index_cursor *cursor)
{
	while (cursor->leaf) {
		const struct fh_index_leaf *leaf = cursor->leaf;

		while (cursor->slot < leaf->node.count) {
			const struct fh_index_entry *entry = &leaf->entry[cursor->slot++];

			if (entry->first > cursor->last) {
				cursor->leaf = NULL;
				return NULL;
			}
			if (entry->last >= cursor->first)
				return entry;
		}
		cursor_advance(cursor, 1);
	}
	return NULL;
}

const struct fh_index_entry *fh_index_single(const struct fh_index *index)
{
	return index->count == 1 ? &fh_index_to_leaf(index->root)->entry[0] : NULL;
}

/* --- Walks over everything ------------------------------------------------------------------ */

/* All nodes, each after its children: the one returned may be freed. */
struct walk {
	struct fh_index_path path;
	struct fh_index_node *next;
	unsigned level; /* of next */
};

/* Down to the first leaf below node. */
static void walk_down(struct walk *walk, struct fh_index_node *node)
{
	while (node->level > 0) {
		walk->path.at[node->level].inner = fh_index_to_inner(node);
		walk->path.at[node->level].slot = 0;
		node = fh_index_to_inner(node)->child[0];
	}
	walk->next = node;
	walk->level = 0;
}

static void walk_begin(struct walk *walk, struct fh_index_node *root)
{
	walk->next = NULL;
	if (!root)
		return;
	walk->path.top = root->level;
	walk_down(walk, root);
}

static struct fh_index_node *walk_next(struct walk *walk)
{
	struct fh_index_node *node = walk->next;

	if (!node)
		return NULL;
	if (walk->level == walk->path.top) {
		walk->next = NULL;
		return node;
	}
	walk->level++;

	struct fh_index_inner *parent = walk->path.at[walk->level].inner;
	unsigned slot = ++walk->path.at[walk->level].slot;

	if (slot < parent->node.count)
		walk_down(walk, parent->child[slot]);
	else
		walk->next = &parent->node;
	return node;
}

void fh_index_clear(struct fh_index *index)
{
	struct fh_index_node *node;
	struct walk walk;

	walk_begin(&walk, index->root);
	while ((node = walk_next(&walk)))
		fh_free(node);
	*index = (struct fh_index){ 0 };
}

static size_t node_bytes(const struct fh_index_node *node)
{
	if (node->level > 0)
		return sizeof(struct fh_index_inner);
	return sizeof(struct fh_index_leaf) + node->capacity * sizeof(struct fh_index_entry);
}

size_t fh_index_bytes(const struct fh_index *index)
{
	struct fh_index_node *node;
	struct walk walk;
	size_t bytes = 0;

	walk_begin(&walk, index->root);
	while ((node = walk_next(&walk)))
		bytes += node_bytes(node);
	return bytes;
}

/* R1 and R2 of the nodes, for all slots. */
static bool inner_check(struct fh_index_inner *inner)
{
	for (unsigned i = 0; i < inner->node.count; i++) {
		struct fh_index_summary sum = fh_index_summarize(inner->child[i]);

		if (inner->child[i]->level + 1u != inner->node.level ||
		    inner->first[i] != sum.first || inner->region[i] != sum.region ||
		    inner->max[i] != sum.max)
			return false;
	}
	return true;
}

/* Entries are whole and follow *previous, in order of keys; moves it. */
static bool leaf_check(struct fh_index_leaf *leaf, const struct fh_index_entry **previous)
{
	for (unsigned i = 0; i < leaf->node.count; i++) {
		const struct fh_index_entry *entry = &leaf->entry[i];

		if (entry->first > entry->last)
			return false;
		if (*previous && !fh_index_less((*previous)->first, (*previous)->region,
						entry->first, entry->region))
			return false;
		*previous = entry;
	}
	return true;
}

bool fh_index_check(const struct fh_index *index)
{
	const struct fh_index_entry *previous = NULL;
	struct fh_index_node *node;
	struct walk walk;
	size_t count = 0;

	walk_begin(&walk, index->root);
	while ((node = walk_next(&walk))) {
		bool root = node == index->root;
		unsigned fewest = !root ? FH_INDEX_FEWEST : node->level > 0 ? 2 : 1;

		if (node->count < fewest || node->count > node->capacity ||
		    (!root && node->capacity != FH_INDEX_WIDTH))
			return false;
		if (node->level > 0 ? !inner_check(fh_index_to_inner(node)) :
				      !leaf_check(fh_index_to_leaf(node), &previous))
			return false;
		count += node->level > 0 ? 0 : node->count;
	}
	return count == index->count;
}
