/* SPDX-License-Identifier: MIT */
/*
 * Cached windows: what is remembered of one lookup, for all threads together.
 *
 * R1. What is remembered is a sight: one range of one view, found in a leaf that was alive, as in a
 *     lookaside (lookaside.h, R1 and R3). It is used only if the space shows that view now and the
 *     leaf's generation still holds. So the commit that changes the map under a window ends its
 *     sight, without knowing of it, and a region of one that has ended is never touched.
 * R2. A sight is constant. A thread that finds it ended looks again, puts another in its place, and
 *     has the old one freed after a grace period. Of two threads that look at once one wins, and
 *     the other throws its own away.
 * R3. The window holds its space, from birth to its own finalize, and nothing else.
 * R4. Detached: nothing is remembered any more, and all accesses are decode errors.
 */
#include "memory/cached.h"

#include <string.h>

#include "base/alloc.h"
#include "memory/chain.h"
#include "memory/ram.h"
#include "memory/space.h"

#define FH_ASIDE __attribute__((noinline))

static struct fh_cached *cached_of(struct fh_object *object)
{
	return (struct fh_cached *)object;
}

/* --- Sights --------------------------------------------------------------------------------- */

static void sight_free(struct fh_deferred *deferred)
{
	fh_free(fh_container_of(deferred, struct fh_sight, deferred));
}

/* Put another in its place, if it is still there. */
static bool sight_replace(struct fh_cached *cached, struct fh_sight *old, struct fh_sight *fresh)
{
	/* Release: pairs with the acquire in sight_get(). */
	if (!atomic_compare_exchange_strong_explicit(&cached->sight, &old, fresh,
						     memory_order_acq_rel, memory_order_acquire))
		return false;
	if (old) {
		old->deferred.run = sight_free;
		fh_reaper_defer(cached->object.machine->reaper, &old->deferred, sizeof(*old));
	}
	return true;
}

/* What is remembered, if it holds for that much and for that use. In a read section. */
static inline struct fh_sight *sight_get(const struct fh_cached *cached, uint64_t offset,
					 uint64_t size)
{
	/* Acquire: pairs with the release in sight_replace(). */
	struct fh_sight *sight = atomic_load_explicit(&cached->sight, memory_order_acquire);
	/* Acquire: pairs with the release with which a space gets another view. */
	const uint64_t view_id =
		atomic_load_explicit(&cached->space->view_id, memory_order_acquire);

	return FH_LIKELY(sight && offset <= sight->span && size - 1 <= sight->span - offset &&
			 sight->view_id == view_id &&
			 fh_view_leaf_holds(sight->leaf, sight->generation)) ?
		       sight :
		       NULL;
}

/* Look at what is there now, and remember it. In a read section. */
static void sight_renew(struct fh_cached *cached)
{
	struct fh_sight *old = atomic_load_explicit(&cached->sight, memory_order_acquire);
	/* Acquire: pairs with the release with which a space gets another set. */
	const struct fh_view_set *set =
		atomic_load_explicit(&cached->space->set, memory_order_acquire);
	struct fh_view_hit hit;
	struct fh_sight *fresh;

	if (old && old->view_id == atomic_load_explicit(&cached->space->view_id,
							memory_order_acquire) &&
	    fh_view_leaf_holds(old->leaf, old->generation))
		return; /* it holds, and does not reach that far */
	if (!fh_view_find(fh_view_set_root(set), cached->addr, &hit))
		return;
	FH_POINT("cached.walked");
	const struct fh_range range = fh_view_hit_range(hit);
	const uint64_t rest = range.last - cached->addr;
	const struct fh_region *region = range.region;
	const uint64_t generation = fh_view_leaf_generation(hit.leaf);

	if (generation == FH_VIEW_NEVER)
		return;
	fresh = fh_alloc(sizeof(*fresh));
	*fresh = (struct fh_sight){
		.view_id = set->id,
		.leaf = hit.leaf,
		.generation = generation,
		.span = rest < cached->most ? rest : cached->most,
		.iommu = region->kind == FH_REGION_IOMMU,
	};
	if (fh_attrs_permit(cached->attrs, region))
		fresh->direct = fh_direct(region, range.flags);
	if (fresh->direct)
		fresh->ptr = region->ram + range.offset + (cached->addr - range.first);
	if (!sight_replace(cached, old, fresh))
		fh_free(fresh);
	else if (fh_object_has(&cached->object, FH_OBJECT_DETACHED))
		sight_replace(cached, fresh, NULL); /* R4: the detach may have been before it */
}

/* --- Accesses ------------------------------------------------------------------------------- */

static enum fh_tx load_far(struct fh_cached *cached, const struct fh_sight *sight, uint64_t offset,
			   unsigned size, enum fh_order order, uint64_t *ret_value)
{
	uint64_t value = 0;
	const enum fh_tx tx = fh_cached_far(
		cached, sight, offset,
		&(struct fh_transfer){ .kind = FH_TRANSFER_READ,
				       .typed = true,
				       .attrs = cached->attrs,
				       .to = (uint8_t *)&value,
				       .left = size });

	*ret_value = order == FH_BE ? fh_swap(value, size) : value;
	return tx;
}

static enum fh_tx store_far(struct fh_cached *cached, const struct fh_sight *sight, uint64_t offset,
			    unsigned size, enum fh_order order, uint64_t value)
{
	const uint64_t low = value & (UINT64_MAX >> (64 - 8 * size));
	const uint64_t bytes = order == FH_BE ? fh_swap(low, size) : low;

	return fh_cached_far(cached, sight, offset,
			     &(struct fh_transfer){ .kind = FH_TRANSFER_WRITE,
						    .typed = true,
						    .attrs = cached->attrs,
						    .from = (const uint8_t *)&bytes,
						    .left = size });
}

/* What is there now, if it holds for that much. */
static const struct fh_sight *sight_renew_for(struct fh_cached *cached, uint64_t offset,
					      uint64_t size)
{
	sight_renew(cached);
	return sight_get(cached, offset, size);
}

/* The same; nobody looks again if what is remembered holds. */
static inline const struct fh_sight *sight_now(struct fh_cached *cached, uint64_t offset,
					       uint64_t size)
{
	const struct fh_sight *sight = sight_get(cached, offset, size);

	return sight ? sight : sight_renew_for(cached, offset, size);
}

/* All of it lies in the window, which has not been detached; else it is a decode error. */
static bool cached_may(struct fh_cached *cached, uint64_t offset, uint64_t size)
{
	return offset <= cached->most && size - 1 <= cached->most - offset &&
	       !fh_object_has(&cached->object, FH_OBJECT_DETACHED);
}

/* In a read section, which these end. */
static FH_ASIDE enum fh_tx load_other(struct fh_cached *cached, uint64_t offset, unsigned size,
				      enum fh_order order, uint64_t *ret_value)
{
	enum fh_tx tx = FH_TX_DECODE_ERROR;

	*ret_value = 0;
	if (cached_may(cached, offset, size)) {
		const struct fh_sight *sight = sight_now(cached, offset, size);

		if (sight && sight->iommu)
			tx = load_far(cached, sight, offset, size, order, ret_value);
		else
			tx = fh_space_load(cached->space, cached->addr + offset, size, order,
					   cached->attrs, ret_value);
	}
	fh_rcu_read_end(fh_thread_self());
	return tx;
}

static FH_ASIDE enum fh_tx store_other(struct fh_cached *cached, uint64_t offset, unsigned size,
				       enum fh_order order, uint64_t value)
{
	enum fh_tx tx = FH_TX_DECODE_ERROR;

	if (cached_may(cached, offset, size)) {
		const struct fh_sight *sight = sight_now(cached, offset, size);

		if (sight && sight->iommu)
			tx = store_far(cached, sight, offset, size, order, value);
		else
			tx = fh_space_store(cached->space, cached->addr + offset, size, order,
					    cached->attrs, value);
	}
	fh_rcu_read_end(fh_thread_self());
	return tx;
}

/* The thread has never been in a read section. */
static FH_COLD enum fh_tx load_first(struct fh_cached *cached, uint64_t offset, unsigned size,
				     enum fh_order order, uint64_t *ret_value)
{
	fh_rcu_read_begin(fh_thread_self());
	return load_other(cached, offset, size, order, ret_value);
}

static FH_COLD enum fh_tx store_first(struct fh_cached *cached, uint64_t offset, unsigned size,
				      enum fh_order order, uint64_t value)
{
	fh_rcu_read_begin(fh_thread_self());
	return store_other(cached, offset, size, order, value);
}

/* Host memory for an aligned access of a whole size, or NULL. In a read section. */
static inline void *cached_memory(const struct fh_cached *cached, uint64_t offset, unsigned size,
				  unsigned direct)
{
	const struct fh_sight *sight = sight_get(cached, offset, size);

	if (FH_UNLIKELY(!sight || !(sight->direct & direct) || !fh_size_is_whole(size)))
		return NULL;
	return fh_ptr_is_aligned(sight->ptr + offset, size) ? sight->ptr + offset : NULL;
}

enum fh_tx fh_cached_load(struct fh_cached *cached, uint64_t offset, unsigned size,
			  enum fh_order order, uint64_t *ret_value)
{
	struct fh_thread *t = fh_rcu_thread_ready();

	fh_assert(size - 1 < 8);
	if (FH_UNLIKELY(!t))
		return load_first(cached, offset, size, order, ret_value);
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	const void *ptr = cached_memory(cached, offset, size, FH_DIRECT_READ);

	FH_POINT("cached.found");
	if (FH_UNLIKELY(!ptr))
		return load_other(cached, offset, size, order, ret_value);
	const uint64_t value = fh_ram_load(ptr, size);

	fh_rcu_read_end(t);
	*ret_value = order == FH_BE ? fh_swap(value, size) : value;
	return FH_TX_OK;
}

enum fh_tx fh_cached_store(struct fh_cached *cached, uint64_t offset, unsigned size,
			   enum fh_order order, uint64_t value)
{
	struct fh_thread *t = fh_rcu_thread_ready();

	fh_assert(size - 1 < 8);
	if (FH_UNLIKELY(!t))
		return store_first(cached, offset, size, order, value);
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	void *ptr = cached_memory(cached, offset, size, FH_DIRECT_STORE);

	FH_POINT("cached.found");
	if (FH_UNLIKELY(!ptr))
		return store_other(cached, offset, size, order, value);
	if (order == FH_BE)
		value = fh_swap(value & (UINT64_MAX >> (64 - 8 * size)), size);
	fh_ram_store(ptr, value, size);
	fh_rcu_read_end(t);
	return FH_TX_OK;
}

enum fh_tx fh_cached_read(struct fh_cached *cached, uint64_t offset, void *buffer, uint64_t size)
{
	struct fh_thread *t = fh_thread_self();
	enum fh_tx tx = FH_TX_DECODE_ERROR;

	if (size == 0)
		return FH_TX_OK;
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	const struct fh_sight *sight = sight_get(cached, offset, size);

	if (FH_LIKELY(sight && (sight->direct & FH_DIRECT_READ))) {
		fh_ram_read(buffer, sight->ptr + offset, size);
		tx = FH_TX_OK;
	} else if (cached_may(cached, offset, size)) {
		if (!sight)
			sight = sight_renew_for(cached, offset, size);
		if (sight && sight->iommu)
			tx = fh_cached_far(cached, sight, offset,
				 &(struct fh_transfer){ .kind = FH_TRANSFER_READ,
							.attrs = cached->attrs,
							.to = buffer,
							.left = size });
		else
			tx = fh_space_read(cached->space, cached->addr + offset, buffer, size,
					   cached->attrs);
	} else {
		memset(buffer, 0, size);
	}
	fh_rcu_read_end(t);
	return tx;
}

enum fh_tx fh_cached_write(struct fh_cached *cached, uint64_t offset, const void *buffer,
			   uint64_t size)
{
	struct fh_thread *t = fh_thread_self();
	enum fh_tx tx = FH_TX_DECODE_ERROR;

	if (size == 0)
		return FH_TX_OK;
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	const struct fh_sight *sight = sight_get(cached, offset, size);

	if (FH_LIKELY(sight && (sight->direct & FH_DIRECT_STORE))) {
		fh_ram_write(sight->ptr + offset, buffer, size);
		tx = FH_TX_OK;
	} else if (cached_may(cached, offset, size)) {
		if (!sight)
			sight = sight_renew_for(cached, offset, size);
		if (sight && sight->iommu)
			tx = fh_cached_far(cached, sight, offset,
				 &(struct fh_transfer){ .kind = FH_TRANSFER_WRITE,
							.attrs = cached->attrs,
							.from = buffer,
							.left = size });
		else
			tx = fh_space_write(cached->space, cached->addr + offset, buffer, size,
					    cached->attrs);
	}
	fh_rcu_read_end(t);
	return tx;
}

void *fh_cached_direct(struct fh_cached *cached, uint64_t offset, uint64_t size, unsigned flags)
{
	struct fh_thread *t = fh_thread_self();
	const unsigned direct = (flags & FH_MAP_READ ? FH_DIRECT_READ : 0) |
				(flags & FH_MAP_WRITE ? FH_DIRECT_STORE : 0);

	fh_assert(t->depth > 0 && size != 0 && direct != 0);
	fh_chain_assert_may_access(t);
	const struct fh_sight *sight = sight_get(cached, offset, size);

	if (FH_UNLIKELY(!sight) && cached_may(cached, offset, size))
		sight = sight_renew_for(cached, offset, size);
	return sight && (sight->direct & direct) == direct ? sight->ptr + offset : NULL;
}

/* --- Birth and death ------------------------------------------------------------------------ */

static void cached_detach(struct fh_object *object)
{
	struct fh_cached *cached = cached_of(object);
	struct fh_sight *sight;

	/* R4. Who renews it at this moment looks at the flag afterwards. */
	do
		sight = atomic_load_explicit(&cached->sight, memory_order_acquire);
	while (sight && !sight_replace(cached, sight, NULL));
	fh_cached_drop_way(cached);
}

static void cached_finalize(struct fh_object *object)
{
	struct fh_cached *cached = cached_of(object);

	/* Relaxed: nobody else has the window any more. */
	fh_free(atomic_load_explicit(&cached->sight, memory_order_relaxed));
	fh_free(atomic_load_explicit(&cached->way, memory_order_relaxed));
	fh_object_unhold(&cached->space->object);
}

static struct fh_object *cached_held(struct fh_object *object)
{
	return &cached_of(object)->space->object;
}

static const struct fh_core_ops cached_core = {
	.size = sizeof(struct fh_cached),
	.align = _Alignof(struct fh_cached),
	.immediate = true,
	.detach = cached_detach,
	.finalize = cached_finalize,
	.held_by_nature = cached_held,
	.held_as = "space",
};

static const struct fh_type cached_type = { .name = "cached", .core = &cached_core };

static enum fh_code cached_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct fh_cached *made = arg;
	struct fh_cached *cached = cached_of(object);

	(void)err;
	cached->space = made->space;
	cached->addr = made->addr;
	cached->most = made->most;
	cached->attrs = made->attrs;
	fh_object_hold(&cached->space->object);
	return FH_OK;
}

struct fh_cached *fh_cached_new(FH_ANY any, struct fh_space *space, uint64_t addr, uint64_t size,
				struct fh_attrs attrs)
{
	struct fh_machine *m;
	struct fh_object *owner = fh_owner_of(any, &m);
	struct fh_cached made = { .space = space, .addr = addr, .attrs = attrs };
	struct fh_object *object = NULL;

	fh_assert(space->object.machine == m && size != 0);
	made.most = fh_size_last(size) < UINT64_MAX - addr ? fh_size_last(size) : UINT64_MAX - addr;
	/* In a transaction, so that the end of the space comes before all of this or after. */
	fh_topology_begin(m);
	if (!fh_object_has(&space->object, FH_OBJECT_DETACHED))
		object = fh_object_create(m, owner, NULL, &cached_type, cached_construct, &made,
					  NULL);
	fh_topology_commit(m);
	return object ? cached_of(object) : NULL;
}

struct fh_cached *fh_cached_destroy(struct fh_cached *cached)
{
	if (cached)
		fh_object_dispose(cached);
	return NULL;
}
