/* SPDX-License-Identifier: MIT */
/*
 * An intrusive pairing heap: the armed timers of a machine by deadline, devices by the order in
 * which they were realized. Nothing is allocated, so that arming and teardown cannot fail.
 *
 * R1. The root is the least: by key, and of equal keys by `tie`.
 * R2. Adding is constant; removing any node is O(log N) amortized. No recursion.
 * R3. Whoever owns the heap names its lock, and knows which nodes are in it.
 */
#ifndef DEVICE_HEAP_H
#define DEVICE_HEAP_H

#include <stdint.h>

struct fh_heap_node {
	uint64_t key;
	uint64_t tie;
	struct fh_heap_node *child; /* first of those below it */
	struct fh_heap_node *next;  /* sibling */
	struct fh_heap_node *prev;  /* sibling, of the first one the parent; NULL: the root */
};

/* All zero is an empty heap. */
struct fh_heap {
	struct fh_heap_node *root; /* the least, or NULL */
};

/* Puts in a node that is in no heap, with its key and tie set. */
void fh_heap_add(struct fh_heap *heap, struct fh_heap_node *node);

/* Takes out a node that is in this heap. */
void fh_heap_remove(struct fh_heap *heap, struct fh_heap_node *node);

/* Takes out the least and returns it, NULL if there is none. */
struct fh_heap_node *fh_heap_pop(struct fh_heap *heap);

#endif
