/* SPDX-License-Identifier: MIT */
/*
 * The pairing heap of heap.h. A node is greater than or equal to its parent (R1); the children of
 * one node are in no order.
 */
#include "device/heap.h"

#include <stdbool.h>
#include <stddef.h>

static bool is_less(const struct fh_heap_node *a, const struct fh_heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

/* One heap of two roots that have no siblings; either may be NULL. */
static struct fh_heap_node *meld(struct fh_heap_node *a, struct fh_heap_node *b)
{
	if (!a || !b)
		return a ? a : b;
	if (is_less(b, a)) {
		struct fh_heap_node *greater = a;

		a = b;
		b = greater;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	a->child = b;
	return a;
}

/* Cuts node out of its siblings and returns the one after it. */
static struct fh_heap_node *cut(struct fh_heap_node *node)
{
	struct fh_heap_node *next = node->next;

	node->next = NULL;
	node->prev = NULL;
	return next;
}

/* One heap of a list of siblings: in pairs from the left, then these from the right, which is what
 * makes the amortized cost logarithmic. */
static struct fh_heap_node *meld_siblings(struct fh_heap_node *first)
{
	struct fh_heap_node *pairs = NULL;
	struct fh_heap_node *root = NULL;

	while (first) {
		struct fh_heap_node *a = first;
		struct fh_heap_node *b = cut(a);
		struct fh_heap_node *pair;

		first = b ? cut(b) : NULL;
		pair = meld(a, b);
		pair->next = pairs;
		pairs = pair;
	}
	while (pairs) {
		struct fh_heap_node *pair = pairs;

		pairs = cut(pair);
		root = meld(root, pair);
	}
	return root;
}

void fh_heap_add(struct fh_heap *heap, struct fh_heap_node *node)
{
	node->child = NULL;
	node->next = NULL;
	node->prev = NULL;
	heap->root = meld(heap->root, node);
}

void fh_heap_remove(struct fh_heap *heap, struct fh_heap_node *node)
{
	if (node == heap->root) {
		heap->root = meld_siblings(node->child);
	} else {
		if (node->prev->child == node)
			node->prev->child = node->next;
		else
			node->prev->next = node->next;
		if (node->next)
			node->next->prev = node->prev;
		heap->root = meld(heap->root, meld_siblings(node->child));
	}
	node->child = NULL;
	cut(node);
}

struct fh_heap_node *fh_heap_pop(struct fh_heap *heap)
{
	struct fh_heap_node *least = heap->root;

	if (least)
		fh_heap_remove(heap, least);
	return least;
}
