/* SPDX-License-Identifier: MIT */
/*
 * Views: what an address space shows, as a flat map of ranges.
 *
 * A view is an immutable ordered map, a B+tree whose changes copy the way from the root to what
 * changed and share the rest. Who publishes the new root keeps a map that readers walk without
 * a lock and without a write, however many edits are made meanwhile; a root is a snapshot.
 *
 * R1. Ranges are disjoint, in order, not empty. No two leaves of a view overlap.
 * R2. All leaves are at level 0, a child of a node at level n is at level n - 1. Every node holds
 *     at least two items, but a leaf that is the root one; none holds more than FH_VIEW_WIDTH.
 * R3. first[i] of an inner node equals the first[0] of its child i exactly. So a search that begins
 *     right of the first range never needs to turn back, and the key right of a leaf is
 *     the address where the next range begins.
 * R4. first[i] of an item that is not there is UINT64_MAX, so that a search needs no count until
 *     it is done.
 * R5. Once published a node does not change, but for its generation (pool.h) and its link.
 * R6. Regions are never dereferenced, and nothing here is counted or pinned (L3).
 * R7. A node is part of one view at a time. Spaces may share a view, views share no nodes.
 *
 * Readers call what takes a root inside the read section in which they acquired that root. The
 * writer holds the topology lock.
 */
#ifndef MEMORY_VIEW_H
#define MEMORY_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "memory/pool.h"

struct fh_region;

/* A range of addresses that shows part of one region. last is inclusive. */
struct fh_range {
	uint64_t first;
	uint64_t last;
	struct fh_region *region;
	uint64_t offset; /* in region, of what first shows */
	uint32_t flags;	 /* the renderer's */
};

/*
 * What a leaf knows of a range besides its first. A slot lies in one cache line, so that a lookup
 * takes the lines of all firsts, together, and then one more. An array of each field instead took
 * 9 % less memory and 7 % more time to look up one of 100,000.
 */
struct fh_view_slot {
	uint64_t last;
	struct fh_region *region;
	uint64_t offset;
	uint32_t flags;
};

struct fh_view_leaf {
	/* On cache lines of its own: who looks at a generation is not disturbed by other nodes. */
	_Alignas(64) struct fh_view_node node;
	struct fh_view_slot slot[FH_VIEW_WIDTH];
};

struct fh_view_inner {
	_Alignas(64) struct fh_view_node node;
	struct fh_view_node *child[FH_VIEW_WIDTH];
};

/* No view is higher: each inner node has two children, and 2^38 nodes do not fit into memory. */
#define FH_VIEW_HEIGHT 40

/* A generation that no leaf ever has while it is alive (pool.h, R2). */
#define FH_VIEW_NEVER UINT64_C(1)

static inline const struct fh_view_leaf *fh_view_to_leaf(const struct fh_view_node *node)
{
	return (const struct fh_view_leaf *)node;
}

static inline const struct fh_view_inner *fh_view_to_inner(const struct fh_view_node *node)
{
	return (const struct fh_view_inner *)node;
}

/*
 * The last item of a node that begins at or before addr, or 0 if none does. Counts, over the whole
 * width: no branch that a processor could guess wrong, no load that waits for another, and all
 * lines asked for at once. In halves it took 1.6 times as long, up to node->count 1.4 times.
 */
static inline unsigned fh_view_search(const struct fh_view_node *node, uint64_t addr)
{
	unsigned item = 0;

	for (unsigned i = 1; i < FH_VIEW_WIDTH; i++)
		item += node->first[i] <= addr;
	/* Only the last address of all is found among the items that are not there (R4). */
	return item < node->count ? item : node->count - 1;
}

/* --- Lookup --------------------------------------------------------------------------------- */

/* A range that was found; valid as long as the read section. */
struct fh_view_hit {
	const struct fh_view_leaf *leaf;
	unsigned slot;
};

/* The range that shows addr. False: a hole, *ret untouched. A root of NULL is an empty view. */
static inline bool fh_view_find(const struct fh_view_node *root, uint64_t addr,
				struct fh_view_hit *ret)
{
	if (FH_UNLIKELY(!root))
		return false;
	while (root->level > 0)
		root = fh_view_to_inner(root)->child[fh_view_search(root, addr)];

	const struct fh_view_leaf *leaf = fh_view_to_leaf(root);
	unsigned slot = fh_view_search(root, addr);

	if (leaf->node.first[slot] > addr || leaf->slot[slot].last < addr)
		return false;
	*ret = (struct fh_view_hit){ leaf, slot };
	return true;
}

static inline struct fh_range fh_view_hit_range(struct fh_view_hit hit)
{
	const struct fh_view_slot *slot = &hit.leaf->slot[hit.slot];

	return (struct fh_range){ hit.leaf->node.first[hit.slot], slot->last, slot->region,
				  slot->offset, slot->flags };
}

/*
 * For lookasides: what to remember, as a pair with the leaf, beside what was found in it.
 * FH_VIEW_NEVER, which never holds, if the leaf has been retired since its root was acquired.
 */
static inline uint64_t fh_view_leaf_generation(const struct fh_view_leaf *leaf)
{
	/* Acquire: pairs with the release with which pool.c ends a life. */
	uint64_t generation = atomic_load_explicit(&leaf->node.generation, memory_order_acquire);

	return generation % 2 == 0 ? generation : FH_VIEW_NEVER;
}

/*
 * The pair holds: the leaf is part of a view that is published, or was so when this read section
 * began. May be asked at any time, of any leaf there ever was, as long as the machine exists.
 */
static inline bool fh_view_leaf_holds(const struct fh_view_leaf *leaf, uint64_t generation)
{
	/* Acquire: as above. */
	return atomic_load_explicit(&leaf->node.generation, memory_order_acquire) == generation;
}

/*
 * An iteration in order of address; lives on the caller's stack, holds nothing. It keeps no path:
 * the key right of a leaf leads to the next one (R3).
 */
struct fh_view_cursor {
	const struct fh_view_node *root;
	const struct fh_view_leaf *leaf; /* NULL: nothing more */
	uint64_t right;			 /* where the first range right of leaf begins */
	unsigned slot;			 /* in leaf: the next */
	bool more;			 /* there is a leaf right of this one */
};

/* Starts at the first range with last >= addr. */
void fh_view_cursor_init(struct fh_view_cursor *cursor, const struct fh_view_node *root,
			 uint64_t addr);

/* The next range. False: there was none, *ret untouched. */
bool fh_view_cursor_next(struct fh_view_cursor *cursor, struct fh_range *ret);

/* The last address of the hole that addr, which no range shows, is in. */
uint64_t fh_view_hole_last(const struct fh_view_node *root, uint64_t addr);

/* --- Whole views ---------------------------------------------------------------------------- */

struct fh_view_size {
	size_t ranges;
	size_t leaves;
	size_t inners;
	size_t bytes;
};

/* Goes through all nodes. */
struct fh_view_size fh_view_measure(const struct fh_view_node *root);

static inline size_t fh_view_bytes(const struct fh_view_node *root)
{
	return fh_view_measure(root).bytes;
}

/* Every invariant holds, and all nodes are alive: for tests. */
bool fh_view_check(const struct fh_view_node *root);

/* --- Edits ---------------------------------------------------------------------------------- */

/*
 * The making of a new version. The old one stays whole and readable; what the new one does not
 * share with it is collected in `retired`.
 *
 *	fh_view_edit_begin(&edit, pool, root);
 *	fh_view_edit_replace(&edit, first, last, ranges, count);	as often as wanted
 *	root = fh_view_edit_end(&edit);
 *	fh_view_retired_seal(&edit.retired);
 *	...publish root; after a grace period...
 *	fh_view_pool_give(pool, &edit.retired);
 */
struct fh_view_edit {
	struct fh_view_pool *pool;
	struct fh_view_node *root; /* so far; may be read with the functions above */
	struct fh_view_retired retired;
	uint64_t epoch;
	size_t made;	   /* nodes written, those dropped again included */
	size_t made_bytes; /* their size */
};

void fh_view_edit_begin(struct fh_view_edit *edit, struct fh_view_pool *pool,
			struct fh_view_node *root);

/*
 * Shows exactly `ranges` in [first, last]: in order, disjoint and inside it. Ranges that are there
 * now and have an address in it lie wholly inside it. Windows of one edit may come in any order
 * and overlap. A window that is empty and becomes empty costs a search and copies nothing.
 */
void fh_view_edit_replace(struct fh_view_edit *edit, uint64_t first, uint64_t last,
			  const struct fh_range *ranges, size_t count);

/* The root of the new version, NULL if it is empty. The edit is over; `retired` is the caller's. */
struct fh_view_node *fh_view_edit_end(struct fh_view_edit *edit);

#endif
