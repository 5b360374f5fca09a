/* SPDX-License-Identifier: MIT */
/*
 * The pairing heap against a sorted array, with random additions and removals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "device/heap.h"

enum { NODES = 200, STEPS = 20000 };

struct item {
	struct fh_heap_node node;
	bool in;
};

static uint32_t seed = 1;

static uint32_t draw(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static struct item *least(struct item *items)
{
	struct item *found = NULL;

	for (struct item *item = items; item < items + NODES; item++) {
		if (!item->in)
			continue;
		if (!found || item->node.key < found->node.key ||
		    (item->node.key == found->node.key && item->node.tie < found->node.tie))
			found = item;
	}
	return found;
}

static void step(struct fh_heap *heap, struct item *items, uint64_t tie)
{
	struct item *item = &items[draw(NODES)];

	if (item->in) {
		fh_heap_remove(heap, &item->node);
		item->in = false;
	} else {
		item->node.key = draw(40); /* many are equal */
		item->node.tie = tie;
		fh_heap_add(heap, &item->node);
		item->in = true;
	}
}

static void root_is_always_the_least(void **state)
{
	static struct item items[NODES];
	struct fh_heap heap = { NULL };
	struct item *wanted;

	(void)state;
	for (unsigned i = 0; i < STEPS; i++) {
		step(&heap, items, i);
		wanted = least(items);
		assert_ptr_equal(heap.root, wanted ? &wanted->node : NULL);
		if (draw(100) == 0 && wanted) {
			assert_ptr_equal(fh_heap_pop(&heap), &wanted->node);
			wanted->in = false;
		}
	}
	while ((wanted = least(items))) {
		assert_ptr_equal(fh_heap_pop(&heap), &wanted->node);
		wanted->in = false;
	}
	assert_null(heap.root);
}

static void pop_of_an_empty_heap_is_nothing(void **state)
{
	struct fh_heap heap = { NULL };

	(void)state;
	assert_null(fh_heap_pop(&heap));
}

static void equal_keys_come_in_order_of_their_ties(void **state)
{
	struct fh_heap_node nodes[16] = { 0 };
	struct fh_heap heap = { NULL };

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		nodes[i].key = 7;
		nodes[i].tie = i;
		fh_heap_add(&heap, &nodes[i]);
	}
	for (unsigned i = 0; i < 16; i++)
		assert_ptr_equal(fh_heap_pop(&heap), &nodes[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_is_always_the_least),
		cmocka_unit_test(pop_of_an_empty_heap_is_nothing),
		cmocka_unit_test(equal_keys_come_in_order_of_their_ties),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
