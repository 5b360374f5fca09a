/* SPDX-License-Identifier: MIT */
/*
 * The pool of view nodes, see pool.h.
 *
 * Nodes come back in the order in which grace periods end and are sorted by size only when one is
 * wanted, one at a time: so nobody pays for a whole batch at once, and giving back a list of
 * any length is one exchange of a pointer.
 */
#include "memory/pool.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "memory/view.h"

#if FH_VIEW_POISONS
# include <sanitizer/asan_interface.h>
#else
# define ASAN_POISON_MEMORY_REGION(ptr, size)	((void)(ptr), (void)(size))
# define ASAN_UNPOISON_MEMORY_REGION(ptr, size) ((void)(ptr), (void)(size))
#endif

enum {
	CACHE_LINE = 64,
	SLAB_FIRST = 4,	   /* nodes: small machines stay small */
	SLAB_LARGEST = 96, /* nodes: below the size from which malloc maps each slab separately */
};

struct fh_view_slab {
	struct fh_view_slab *next;
	size_t size; /* with this header */
};

static size_t level_bytes(unsigned level)
{
	return level > 0 ? sizeof(struct fh_view_inner) : sizeof(struct fh_view_leaf);
}

static struct fh_view_class *pool_class(struct fh_view_pool *pool, unsigned level)
{
	return level > 0 ? &pool->inner : &pool->leaf;
}

static void node_poison(struct fh_view_node *node)
{
	ASAN_POISON_MEMORY_REGION(&node->first,
				  level_bytes(node->level) - offsetof(struct fh_view_node, first));
}

static void node_unpoison(struct fh_view_node *node)
{
	ASAN_UNPOISON_MEMORY_REGION(&node->first, level_bytes(node->level) -
							  offsetof(struct fh_view_node, first));
}

/*
 * Release: pairs with the acquire in fh_view_leaf_generation() and fh_view_leaf_holds(), so that
 * who finds the end of a life has also seen what led to it.
 */
static void node_flip(struct fh_view_node *node)
{
	uint64_t generation = atomic_load_explicit(&node->generation, memory_order_relaxed);

	atomic_store_explicit(&node->generation, generation + 1, memory_order_release);
}

static bool node_alive(struct fh_view_node *node)
{
	return atomic_load_explicit(&node->generation, memory_order_relaxed) % 2 == 0;
}

/* --- The pool ------------------------------------------------------------------------------- */

void fh_view_pool_init(struct fh_view_pool *pool)
{
	*pool = (struct fh_view_pool){
		.leaf.slab_count = SLAB_FIRST,
		.inner.slab_count = SLAB_FIRST,
	};
}

void fh_view_pool_destroy(struct fh_view_pool *pool)
{
	struct fh_view_slab *slab = pool->slabs;

	while (slab) {
		struct fh_view_slab *next = slab->next;

		ASAN_UNPOISON_MEMORY_REGION(slab, slab->size);
		fh_free(slab);
		slab = next;
	}
	fh_view_pool_init(pool);
}

/* A new slab for class; slabs double until they are large. */
static void class_grow(struct fh_view_pool *pool, struct fh_view_class *class, size_t node_size)
{
	size_t size = sizeof(struct fh_view_slab) + CACHE_LINE + class->slab_count * node_size;
	struct fh_view_slab *slab = fh_alloc(size);
	uintptr_t fresh = (uintptr_t)(slab + 1);

	slab->next = pool->slabs;
	slab->size = size;
	pool->slabs = slab;
	pool->bytes += size;
	class->fresh = (char *)(slab + 1) + (-fresh & (CACHE_LINE - 1));
	class->fresh_count = class->slab_count;
	class->allocated += class->slab_count;
	if (class->slab_count < SLAB_LARGEST)
		class->slab_count *= 2;
}

static struct fh_view_node *class_carve(struct fh_view_pool *pool, struct fh_view_class *class,
					unsigned level)
{
	size_t size = level_bytes(level);

	if (class->fresh_count == 0)
		class_grow(pool, class, size);

	struct fh_view_node *node = (void *)class->fresh;

	class->fresh += size;
	class->fresh_count--;
	atomic_init(&node->generation, FH_VIEW_NEVER);
	return node;
}

/* The next of the nodes that came back from a grace period, NULL if there is none. */
static struct fh_view_node *pool_next_given(struct fh_view_pool *pool)
{
	if (!pool->sorting) {
		/* Acquire: pairs with the release in fh_view_pool_give(). */
		if (!atomic_load_explicit(&pool->given, memory_order_relaxed))
			return NULL;
		pool->sorting = atomic_exchange_explicit(&pool->given, NULL, memory_order_acquire);
	}

	struct fh_view_node *node = pool->sorting;

	pool->sorting = node->link;
	__builtin_prefetch(pool->sorting);
	fh_assert(!node_alive(node));
	return node;
}

static void class_push(struct fh_view_class *class, struct fh_view_node *node)
{
	node->link = class->free;
	class->free = node;
	class->free_count++;
}

static struct fh_view_node *class_pop(struct fh_view_class *class)
{
	struct fh_view_node *node = class->free;

	if (node) {
		class->free = node->link;
		class->free_count--;
	}
	return node;
}

struct fh_view_node *fh_view_pool_take(struct fh_view_pool *pool, unsigned level, uint64_t epoch)
{
	struct fh_view_class *class = pool_class(pool, level);
	struct fh_view_node *node = class_pop(class);

	while (!node && (node = pool_next_given(pool))) {
		if (pool_class(pool, node->level) != class) {
			class_push(pool_class(pool, node->level), node);
			node = NULL;
		}
	}
	if (!node)
		node = class_carve(pool, class, level);
	node->level = level;
	node->epoch = epoch;
	node_unpoison(node);
	node_flip(node);
	return node;
}

void fh_view_pool_put(struct fh_view_pool *pool, struct fh_view_node *node)
{
	fh_assert(node_alive(node));
	node_flip(node);
	node_poison(node);
	class_push(pool_class(pool, node->level), node);
}

void fh_view_pool_give(struct fh_view_pool *pool, struct fh_view_retired *list)
{
	struct fh_view_node *head = list->head;

	if (!head)
		return;
	if (FH_VIEW_POISONS) {
		for (struct fh_view_node *node = head; node; node = node->link)
			node_poison(node);
	}

	struct fh_view_node *given = atomic_load_explicit(&pool->given, memory_order_relaxed);

	/*
	 * Release: the links; pairs with the acquire in pool_next_given(). Nodes are only taken all
	 * at once, so that a head which has been taken and is back does no harm.
	 */
	do {
		list->tail->link = given;
	} while (!atomic_compare_exchange_weak_explicit(
		&pool->given, &given, head, memory_order_release, memory_order_relaxed));
	*list = (struct fh_view_retired){ 0 };
}

static size_t chain_count(const struct fh_view_node *node)
{
	size_t count = 0;

	for (; node; node = node->link)
		count++;
	return count;
}

struct fh_view_pool_stats fh_view_pool_stats(struct fh_view_pool *pool)
{
	/* Acquire: pairs with the release in fh_view_pool_give(). Nobody takes any now (T). */
	const struct fh_view_node *given = atomic_load_explicit(&pool->given, memory_order_acquire);
	struct fh_view_pool_stats stats = {
		.allocated = pool->leaf.allocated + pool->inner.allocated,
		.free = pool->leaf.free_count + pool->leaf.fresh_count + pool->inner.free_count +
			pool->inner.fresh_count + chain_count(pool->sorting) + chain_count(given),
		.bytes = pool->bytes,
	};

	stats.used = stats.allocated - stats.free;
	return stats;
}

/* --- Retired lists -------------------------------------------------------------------------- */

void fh_view_retired_add(struct fh_view_retired *list, struct fh_view_node *node)
{
	node->link = list->head;
	list->head = node;
	if (!list->tail)
		list->tail = node;
	list->count++;
	list->bytes += level_bytes(node->level);
}

void fh_view_retired_join(struct fh_view_retired *to, struct fh_view_retired *from)
{
	if (!from->head)
		return;
	from->tail->link = to->head;
	to->head = from->head;
	if (!to->tail)
		to->tail = from->tail;
	to->count += from->count;
	to->bytes += from->bytes;
	*from = (struct fh_view_retired){ 0 };
}

void fh_view_retired_seal(struct fh_view_retired *list)
{
	for (struct fh_view_node *node = list->head; node; node = node->link) {
		fh_assert(node_alive(node));
		node_flip(node);
	}
}
