/* SPDX-License-Identifier: MIT */
/*
 * Cached windows behind IOMMUs: what is remembered of translations, for all threads together.
 *
 * R5. Behind an IOMMU a second thing is remembered, a way: the translations that an access went
 *     through, as far as they all hold. It is used, within a read section, if each step is still
 *     good, from the first on, because only that keeps the next one in memory: the sight's leaf,
 *     which shows the first IOMMU; that this one has invalidated nothing since before it was asked
 *     (what it invalidates from now on waits for the section); the leaf that it led to, which shows
 *     memory or the next IOMMU; and so on. A space on the way may have been switched to another
 *     view, or be gone: so no space has been since. No space or IOMMU is kept in memory by a way.
 * R6. Ways are for what the translation was asked for: a way of reads is not written through. What
 *     fails is not remembered.
 */
#include "memory/cached.h"

#include <string.h>

#include "base/alloc.h"
#include "memory/ram.h"
#include "memory/topology.h"

#define FH_ASIDE __attribute__((noinline))

static void way_free(struct fh_deferred *deferred)
{
	fh_free(fh_container_of(deferred, struct fh_way, deferred));
}

static bool way_replace(struct fh_cached *cached, struct fh_way *old, struct fh_way *fresh)
{
	/* Release: pairs with the acquire in way_get(). */
	if (!atomic_compare_exchange_strong_explicit(&cached->way, &old, fresh,
						     memory_order_acq_rel, memory_order_acquire))
		return false;
	if (old) {
		old->deferred.run = way_free;
		fh_reaper_defer(cached->object.machine->reaper, &old->deferred, sizeof(*old));
	}
	return true;
}

static uint64_t switches_of(const struct fh_cached *cached)
{
	/* Acquire: pairs with the release in publish.c. */
	return atomic_load_explicit(&cached->object.machine->topology->switches,
				    memory_order_acquire);
}

static bool way_holds(const struct fh_cached *cached, const struct fh_way *way)
{
	/* Acquire, both: as in sight_get(), and as in iommu.c. */
	if (way->view_id != atomic_load_explicit(&cached->space->view_id, memory_order_acquire) ||
	    !fh_view_leaf_holds(way->leaf, way->generation) ||
	    way->switches != switches_of(cached))
		return false;
	for (unsigned i = 0; i < way->hops; i++) {
		const struct fh_hop *hop = &way->hop[i];

		if (atomic_load_explicit(&hop->iommu->begun, memory_order_acquire) != hop->begun ||
		    !fh_view_leaf_holds(hop->leaf, hop->generation))
			return false;
	}
	return true;
}

/* Host memory for that much and that use, or NULL. In a read section, to whose end it is valid. */
static uint8_t *way_get(const struct fh_cached *cached, uint64_t offset, uint64_t size,
			unsigned direct)
{
	/* Acquire: pairs with the release in way_replace(). */
	const struct fh_way *way = atomic_load_explicit(&cached->way, memory_order_acquire);

	if (!way || offset - way->first > way->span ||
	    size - 1 > way->span - (offset - way->first) || !(way->direct & direct) ||
	    !way_holds(cached, way))
		return NULL;
	return way->ptr + (offset - way->first);
}

/* What may be accessed in place at the end of the trail: R6. */
static unsigned trail_direct(const struct fh_trail *trail, bool write)
{
	const unsigned direct = fh_direct(trail->range.region, trail->range.flags);

	if (!write)
		return direct & FH_DIRECT_READ;
	return direct & (trail->permissions & FH_IOMMU_READ ? FH_DIRECT_READ | FH_DIRECT_STORE :
							       FH_DIRECT_STORE);
}

/* An access at the offset, which the sight holds for, followed this trail as a whole. */
static void way_remember(struct fh_cached *cached, const struct fh_sight *sight, uint64_t offset,
			 uint64_t switches, unsigned direct, const struct fh_trail *trail)
{
	struct fh_way *old = atomic_load_explicit(&cached->way, memory_order_acquire);
	const uint64_t before = trail->before < offset ? trail->before : offset;
	const uint64_t rest = sight->span - offset;
	struct fh_way *fresh;

	for (unsigned i = 0; i < trail->hops; i++)
		if (trail->hop[i].generation == FH_VIEW_NEVER)
			return;
	/* Of a window of several translations the first one that was used stays. */
	if (old && (old->direct & direct) == direct && way_holds(cached, old))
		return;
	fresh = fh_alloc(sizeof(*fresh) + trail->hops * sizeof(fresh->hop[0]));
	*fresh = (struct fh_way){
		.view_id = sight->view_id,
		.leaf = sight->leaf,
		.generation = sight->generation,
		.switches = switches,
		.first = offset - before,
		.span = before + (trail->after < rest ? trail->after : rest),
		.ptr = trail->range.region->ram + trail->range.offset - before,
		.direct = direct,
		.hops = trail->hops,
	};
	memcpy(fresh->hop, trail->hop, trail->hops * sizeof(fresh->hop[0]));
	if (!way_replace(cached, old, fresh))
		fh_free(fresh);
	else if (fh_object_has(&cached->object, FH_OBJECT_DETACHED))
		way_replace(cached, fresh, NULL); /* R4 */
}

/* The long way, which is remembered if that is possible. */
static FH_ASIDE enum fh_tx far_long(struct fh_cached *cached, const struct fh_sight *sight,
				    uint64_t offset, struct fh_transfer *transfer)
{
	const bool write = transfer->kind == FH_TRANSFER_WRITE;
	const uint64_t size = transfer->left, switches = switches_of(cached);
	struct fh_thread *t = fh_thread_self();
	const uint64_t seen = t->left;
	struct fh_trail trail;
	unsigned direct;
	enum fh_tx tx;

	trail.size = 0;
	transfer->trail = &trail;
	tx = fh_access_run(t, cached->space, cached->addr + offset, transfer);
	/* A thread that has left its section meanwhile may have found what is gone. */
	if (tx != FH_TX_OK || seen != t->left || trail.size != size ||
	    !fh_attrs_permit(cached->attrs, trail.range.region))
		return tx;
	direct = trail_direct(&trail, write);
	if (direct & (write ? FH_DIRECT_STORE : FH_DIRECT_READ))
		way_remember(cached, sight, offset, switches, direct, &trail);
	return tx;
}

enum fh_tx fh_cached_far(struct fh_cached *cached, const struct fh_sight *sight, uint64_t offset,
			 struct fh_transfer *transfer)
{
	const bool write = transfer->kind == FH_TRANSFER_WRITE;
	uint8_t *ptr = way_get(cached, offset, transfer->left,
			       write ? FH_DIRECT_STORE : FH_DIRECT_READ);

	FH_POINT("cached.way");
	if (!ptr)
		return far_long(cached, sight, offset, transfer);
	if (write)
		fh_ram_write(ptr, transfer->from, transfer->left);
	else
		fh_ram_read(transfer->to, ptr, transfer->left);
	return FH_TX_OK;
}

void fh_cached_drop_way(struct fh_cached *cached)
{
	struct fh_way *way;

	/* R4. Who remembers one at this moment looks at the flag afterwards. */
	do
		way = atomic_load_explicit(&cached->way, memory_order_acquire);
	while (way && !way_replace(cached, way, NULL));
}
