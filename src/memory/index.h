/* SPDX-License-Identifier: MIT */
/*
 * The children of one container, by address: what the renderer asks when a window of a container
 * has to be drawn again.
 *
 * An ordered tree of entries (first, last, region), in which each subtree knows the greatest `last`
 * below it, so that a window costs what overlaps it plus the height, however long the entries are
 * and however they overlie each other. Priorities are not its business.
 *
 * R1. Keys are (first, address of the region's structure); a key is present at most once.
 * R2. Regions are never dereferenced.
 * R3. Changed in place, under the topology lock; nobody iterates meanwhile.
 * R4. All zero is an empty index: it needs no initializer, and none that is empty holds memory.
 */
#ifndef MEMORY_INDEX_H
#define MEMORY_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fh_region;
struct fh_index_leaf;
struct fh_index_inner;

/* last is inclusive; (0, UINT64_MAX) is the whole space. */
struct fh_index_entry {
	uint64_t first;
	uint64_t last;
	struct fh_region *region;
};

struct fh_index {
	struct fh_index_node *root; /* NULL: empty */
	size_t count;
};

/* No tree is higher: each inner node has four children, and 2^38 nodes do not fit into memory. */
#define FH_INDEX_HEIGHT 20

/* An iteration; lives on the caller's stack, holds nothing, may be dropped at any point. */
struct fh_index_cursor {
	uint64_t first;
	uint64_t last;
	const struct fh_index_leaf *leaf; /* NULL: nothing more */
	unsigned slot;			  /* in leaf: next to look at */
	unsigned top;			  /* level of the root */
	struct fh_index_step {
		const struct fh_index_inner *inner;
		unsigned slot;
	} path[FH_INDEX_HEIGHT]; /* by level; 0 is not used */
};

/* The key (first, region) must not be present; first <= last. */
void fh_index_add(struct fh_index *index, uint64_t first, uint64_t last, struct fh_region *region);

/* False, and nothing changed, if there is no such key. */
bool fh_index_remove(struct fh_index *index, uint64_t first, struct fh_region *region);

/* Removes everything. */
void fh_index_clear(struct fh_index *index);

/* Starts an iteration over all entries that have an address in [first, last]. */
void fh_index_overlap(struct fh_index_cursor *cursor, const struct fh_index *index, uint64_t first,
		      uint64_t last);

/* The next one in key order, NULL after the last (borrowed, until the next edit). */
const struct fh_index_entry *fh_index_next(struct fh_index_cursor *cursor);

static inline size_t fh_index_count(const struct fh_index *index)
{
	return index->count;
}

/* The only entry (borrowed, until the next edit), or NULL if there is none or more than one. */
const struct fh_index_entry *fh_index_single(const struct fh_index *index);

/* Memory held, without struct fh_index itself. */
size_t fh_index_bytes(const struct fh_index *index);

/* Every invariant holds: for tests, walks everything. */
bool fh_index_check(const struct fh_index *index);

#endif
