/* SPDX-License-Identifier: MIT */
/*
 * The nodes of an index: what index.c, which changes them, and index-walk.c, which goes through
 * them, have in common. Nobody else includes this.
 *
 * R1. All leaves are at level 0, a child of a node at level n is at level n - 1.
 * R2. Slot i of an inner node holds the exact key of the first entry below child i, and the
 *     exact max(last) of all entries below it.
 * R3. Every node but the root has between FEWEST and WIDTH items, an inner root at least two.
 * R4. A leaf that is not the root has capacity WIDTH.
 */
#ifndef MEMORY_INDEX_NODE_H
#define MEMORY_INDEX_NODE_H

#include "base/assert.h"
#include "memory/index.h"

enum {
	FH_INDEX_WIDTH = 32, /* items of a full node; a power of two */
	FH_INDEX_FEWEST = 4, /* of any other */
};

struct fh_index_node {
	uint16_t level;
	uint16_t capacity;
	uint32_t count;
};

/* Whole entries, since an insertion moves half of them anyway. */
struct fh_index_leaf {
	struct fh_index_node node;
	struct fh_index_entry entry[]; /* node.capacity of them */
};

/* Arrays, since a search reads only keys. */
struct fh_index_inner {
	struct fh_index_node node;
	uint64_t first[FH_INDEX_WIDTH];
	struct fh_region *region[FH_INDEX_WIDTH];
	uint64_t max[FH_INDEX_WIDTH];
	struct fh_index_node *child[FH_INDEX_WIDTH];
};

/* What a parent knows of a child (R2). */
struct fh_index_summary {
	uint64_t first;
	struct fh_region *region;
	uint64_t max;
};

/* The way from the root to a leaf: by level, an inner node and the slot of the child taken. */
struct fh_index_path {
	unsigned top; /* level of the root */
	struct {
		struct fh_index_inner *inner;
		unsigned slot;
	} at[FH_INDEX_HEIGHT];
};

static inline struct fh_index_leaf *fh_index_to_leaf(struct fh_index_node *node)
{
	return fh_container_of(node, struct fh_index_leaf, node);
}

static inline struct fh_index_inner *fh_index_to_inner(struct fh_index_node *node)
{
	return fh_container_of(node, struct fh_index_inner, node);
}

/* The order of keys; regions count only as numbers. */
static inline bool fh_index_less(uint64_t a_first, const struct fh_region *a, uint64_t b_first,
				 const struct fh_region *b)
{
	return a_first != b_first ? a_first < b_first : (uintptr_t)a < (uintptr_t)b;
}

/* Of a node that is not empty. */
struct fh_index_summary fh_index_summarize(struct fh_index_node *node);

#endif
