/* SPDX-License-Identifier: MIT */
/*
 * Nodes, for tests of the chain of callbacks: a node is a region with a domain of its own, whose
 * read does what the test says and then goes on to another node; a visitor is a thread that reads
 * one. Included once, by the test's own file.
 *
 * R1. A node outlives its machine: it holds the region's table of callbacks.
 */
#ifndef SUPPORT_NODES_H
#define SUPPORT_NODES_H

#include <string.h>

#include "base/alloc.h"
#include "base/point.h"
#include "memory/chain.h"
#include "memory/region.h"
#include "support/probe.h"

#define ADDR(n) (UINT64_C(0x10000) * ((n) + 1))

struct node {
	struct fh_machine *m;
	struct fh_region_ops ops;
	struct fh_region *region;
	struct node *next;	/* accessed by the callback, or NULL */
	void (*action)(struct node *node);
	_Atomic unsigned calls;
	enum fh_tx next_tx;	/* of the access to next */
	unsigned depth, deepest;
};

static inline enum fh_tx access_node(struct node *node)
{
	return fh_space_load32(fh_machine_memory(node->m), fh_region_get_info(node->region).addr,
			       FH_LE, &(uint32_t){ 0 });
}

static enum fh_tx node_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	struct node *node = state;

	(void)offset;
	(void)size;
	(void)attrs;
	atomic_fetch_add_explicit(&node->calls, 1, memory_order_relaxed);
	if (node->action)
		node->action(node);
	if (node->next)
		node->next_tx = access_node(node->next);
	*ret_value = 1;
	return FH_TX_OK;
}

static inline void node_init(struct node *node, struct fh_machine *m, unsigned n)
{
	node->m = m;
	node->ops.read = node_read;
	node->region = fh_region_new_mmio(m, NULL, 0x1000, &node->ops, node);
	assert_int_equal(fh_region_add(fh_space_root(fh_machine_memory(m)), node->region, ADDR(n),
				       0),
			 FH_OK);
}

static inline void node_fini(struct node *node)
{
	fh_region_remove(node->region);
	fh_object_unref(node->region);
}

static inline void nodes_init(struct node *nodes, unsigned count, struct fh_machine *m)
{
	for (unsigned i = 0; i < count; i++)
		node_init(&nodes[i], m, i);
}

static inline void nodes_fini(struct node *nodes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		/* Whatever happened: nobody holds the domain, nobody is counted. */
		if (nodes[i].region->domain)
			assert_null(fh_lock_owner(&nodes[i].region->domain->lock));
		assert_int_equal(nodes[i].region->object.blocked, 0);
		node_fini(&nodes[i]);
	}
}

/* A thread that accesses a node. */
struct visitor {
	struct worker worker;
	struct node *node;
	enum fh_tx tx;
};

static inline void visit(void *arg)
{
	struct visitor *visitor = arg;

	visitor->tx = access_node(visitor->node);
}

static inline void visitor_start(struct visitor *visitor, struct node *node)
{
	visitor->node = node;
	worker_start(&visitor->worker, visit, visitor);
}

static inline enum fh_tx visitor_join(struct visitor *visitor)
{
	worker_join(&visitor->worker);
	return visitor->tx;
}

/* --- Actions -------------------------------------------------------------------------------- */

static inline void stop_inside(struct node *node)
{
	(void)node;
	FH_POINT("test.inside");
}

static inline void block_inside(struct node *node)
{
	(void)node;
	fh_blocking_begin();
	FH_POINT("test.blocking");
	fh_blocking_end();
}

#endif
