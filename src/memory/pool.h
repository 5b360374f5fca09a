/* SPDX-License-Identifier: MIT */
/*
 * Memory for the nodes of views: one pool for each machine.
 *
 * A thread remembers in its lookaside which leaf showed an address, as a pair (leaf, generation),
 * and asks the leaf itself whether the pair still holds: at any later time, with nothing counted
 * and nothing told to it. So the memory of a leaf stays a leaf as long as the machine exists.
 *
 * R1. Memory that once was a leaf is never anything else, and goes back to the system only in
 *     fh_view_pool_destroy().
 * R2. The generation of a node only ever grows. It is even while the node is alive, that is from
 *     the edit that makes it until its retired list is sealed, and odd until it is made anew. So a
 *     pair that has ceased to hold never holds again.
 * R3. A node is in one of these places: in a view or in an edit that makes one; in a retired list;
 *     given back; free.
 * R4. The link of a node is the pool's and the writer's alone: readers of a retired node never look
 *     at it, so that a node can be put into a list while it is being read.
 * R5. Contents beyond the header are valid from allocation until the node is given back; under
 *     AddressSanitizer they are poisoned the rest of the time.
 *
 * Locking: fh_view_pool_give() from any thread; all else under the topology lock (T).
 */
#ifndef MEMORY_POOL_H
#define MEMORY_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Items of a full node, leaf or inner; at least 8. With 32 a change of one range costs a third to a
 * half more, a lookup the same, and a view takes 7 % less memory.
 */
#ifndef FH_VIEW_WIDTH
# define FH_VIEW_WIDTH 16
#endif

/* The build poisons free nodes (R5). */
#if defined(__SANITIZE_ADDRESS__)
# define FH_VIEW_POISONS 1
#elif defined(__has_feature)
# if __has_feature(address_sanitizer)
#  define FH_VIEW_POISONS 1
# endif
#endif
#ifndef FH_VIEW_POISONS
# define FH_VIEW_POISONS 0
#endif

/* What leaves and inner nodes have in common. What it means is in view.h. */
struct fh_view_node {
	_Atomic uint64_t generation; /* R2 */
	struct fh_view_node *link;   /* R4 */
	uint64_t epoch;		     /* the edit that made it (T) */
	uint32_t count;		     /* items; at least 1 */
	uint32_t level;		     /* 0: a leaf; never changes between inner and leaf (R1) */
	uint64_t first[FH_VIEW_WIDTH];
};

/* Nodes on their way from an edit through a grace period to the pool. All zero: none. */
struct fh_view_retired {
	struct fh_view_node *head;
	struct fh_view_node *tail;
	size_t count;
	size_t bytes;
};

/* Nodes of one size. */
struct fh_view_class {
	struct fh_view_node *free;
	size_t free_count;
	char *fresh; /* the unused rest of the newest slab */
	size_t fresh_count;
	size_t allocated;  /* nodes in all slabs, the unused rest included */
	size_t slab_count; /* nodes of the next slab */
};

struct fh_view_pool {
	struct fh_view_class leaf;	      /* (T) */
	struct fh_view_class inner;	      /* (T) */
	struct fh_view_slab *slabs;	      /* (T) */
	struct fh_view_node *sorting;	      /* (T) given back and taken over, of any size */
	uint64_t epoch;			      /* (T) of the latest edit */
	size_t bytes;			      /* (T) in slabs */
	_Atomic(struct fh_view_node *) given; /* back from their grace period */
};

/* A moment's count of nodes; allocated = free + used. */
struct fh_view_pool_stats {
	size_t allocated;
	size_t free;  /* those given back included */
	size_t used;  /* in views, in edits or retired */
	size_t bytes; /* of the system's memory */
};

/* An empty pool, which holds no memory. */
void fh_view_pool_init(struct fh_view_pool *pool);

/* Gives back everything. No view, retired list or lookaside may use the pool's nodes any more. */
void fh_view_pool_destroy(struct fh_view_pool *pool);

/*
 * The grace period of a sealed list is over: its nodes may be used again from now on. Empties the
 * list. From any thread; takes no lock, does not allocate.
 */
void fh_view_pool_give(struct fh_view_pool *pool, struct fh_view_retired *list);

/* Walks the nodes given back: for tests and reports. */
struct fh_view_pool_stats fh_view_pool_stats(struct fh_view_pool *pool);

/* --- For edits ------------------------------------------------------------------------------ */

/* A node of that level, alive; its contents beyond the header are undefined. */
struct fh_view_node *fh_view_pool_take(struct fh_view_pool *pool, unsigned level, uint64_t epoch);

/* Gives back at once a node that no reader has ever seen. */
void fh_view_pool_put(struct fh_view_pool *pool, struct fh_view_node *node);

/* --- Retired lists -------------------------------------------------------------------------- */

/* Adds a node that readers may still see. */
void fh_view_retired_add(struct fh_view_retired *list, struct fh_view_node *node);

/* Moves all of from, which is empty afterwards, to to. */
void fh_view_retired_join(struct fh_view_retired *to, struct fh_view_retired *from);

/*
 * Ends the life of the nodes: pairs (leaf, generation) hold no more. To be called once, right
 * before the root that replaces them is published with release order: whoever acquires that root
 * finds the generations odd, and so does every read section that begins after the grace period has.
 */
void fh_view_retired_seal(struct fh_view_retired *list);

#endif
