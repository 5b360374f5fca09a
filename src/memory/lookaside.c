/* SPDX-License-Identifier: MIT */
/*
 * The miss of a lookaside: walk, choose a slot, grow. See lookaside.h for R1 to R5.
 */
#include "memory/lookaside.h"

#include "base/alloc.h"

static struct fh_lookaside *lookaside_new(unsigned bits)
{
	const size_t slots = (size_t)1 << bits;
	struct fh_lookaside *lookaside =
		fh_zalloc_aligned(sizeof(*lookaside) + slots * sizeof(struct fh_look),
				  _Alignof(struct fh_lookaside));

	lookaside->bits = bits;
	for (size_t i = 0; i < FH_LOOKASIDE_MEMORIES; i++)
		lookaside->memory[i].view_id = FH_LOOK_EMPTY;
	for (size_t i = 0; i < slots; i++) {
		lookaside->slot[i].view_id = FH_LOOK_EMPTY;
		lookaside->slot[i].chunk = FH_LOOK_CHUNK_MOST;
	}
	return lookaside;
}

static bool lookaside_can_grow(const struct fh_lookaside *lookaside)
{
	return lookaside->bits < (unsigned)__builtin_ctz(FH_LOOKASIDE_MOST);
}

/* The thread's own, made or grown where it should be. */
static struct fh_lookaside *lookaside_for_fill(struct fh_thread *t)
{
	struct fh_lookaside *lookaside = t->lookaside;

	if (FH_UNLIKELY(!lookaside)) {
		lookaside = lookaside_new(__builtin_ctz(FH_LOOKASIDE_LEAST));
	} else if (FH_UNLIKELY(lookaside->crowded > 1u << (lookaside->bits - 1))) {
		const unsigned bits = lookaside->bits + 2;

		/* What it knows is lost: it is found again at the price of one walk each. */
		fh_free(lookaside);
		lookaside = lookaside_new(bits);
	}
	t->lookaside = lookaside;
	t->lookaside_free = fh_free;
	return lookaside;
}

/* The entry would be used if its address came again, as far as one can tell. */
static bool look_is_alive(const struct fh_look *look, uint64_t view_id)
{
	/* Other views may be gone with their machine: their leaves are not looked at (R3). */
	return look->view_id != FH_LOOK_EMPTY &&
	       (look->view_id != view_id || fh_view_leaf_holds(look->leaf, look->generation));
}

/* Some of what the entry shows lies in the page of addr. */
static bool look_is_in_page(const struct fh_look *look, uint64_t view_id, uint64_t addr)
{
	const uint64_t page = addr >> FH_LOOK_PAGE;

	return look->view_id == view_id && look->first >> FH_LOOK_PAGE <= page &&
	       (look->first + look->span) >> FH_LOOK_PAGE >= page;
}

/* Bits of the widest aligned block around addr that lies in the range. */
static uint8_t chunk_of(uint64_t addr, const struct fh_range *range)
{
	uint8_t bits = FH_LOOK_CHUNK_MOST;

	for (; bits > FH_LOOK_CHUNK_LEAST; bits--) {
		const uint64_t rest = (UINT64_C(1) << bits) - 1;

		if ((addr & ~rest) >= range->first && (addr | rest) <= range->last)
			break;
	}
	return bits;
}

/* Where the range at addr goes: R4 and R5. */
static struct fh_look *lookaside_choose(struct fh_lookaside *lookaside, uint64_t view_id,
					uint64_t addr, const struct fh_range *range)
{
	struct fh_look *look = fh_lookaside_slot(lookaside, view_id, addr, FH_LOOK_PAGE);

	if (range->region->ram && range->last - range->first >= FH_LOOK_WIDE_SPAN)
		return fh_lookaside_memory(lookaside, view_id, addr);
	if (!look_is_in_page(look, view_id, addr)) {
		look->chunk = FH_LOOK_CHUNK_MOST;
	} else if (look_is_alive(look, view_id)) {
		const uint8_t chunk = chunk_of(addr, range);

		if (look->chunk > chunk)
			look->chunk = chunk;
		look = fh_lookaside_slot(lookaside, view_id, addr, look->chunk);
	}
	if (lookaside_can_grow(lookaside) && look_is_alive(look, view_id))
		lookaside->crowded++;
	return look;
}

static void look_set(struct fh_look *look, uint64_t view_id, const struct fh_range *range)
{
	struct fh_region *region = range->region;
	const struct fh_region_ops *ops = region->ops;

	look->view_id = view_id;
	look->first = range->first;
	look->span = range->last - range->first;
	look->bias = range->offset - range->first;
	look->ram_bias = (uintptr_t)region->ram + look->bias;
	/* What has eventfds, or asks for coalesced stores, goes the long way. */
	look->load_sizes = range->flags & FH_RANGE_FLUSH ?
				   0 :
				   (uint16_t)fh_region_simple_sizes(region, false);
	look->store_sizes = range->flags & (FH_RANGE_EVENTFD | FH_RANGE_FLUSH) ?
				    0 :
				    (uint16_t)fh_region_simple_sizes(region, true);
	look->direct = (uint8_t)fh_direct(region, range->flags);
	look->region = region;
	look->domain = region->domain;
	look->owner = region->owner;
	look->state = region->state;
	look->reentrant = ops && ops->reentrant;
	look->read = ops ? ops->read : NULL;
	look->write = ops ? ops->write : NULL;
}

static FH_COLD const struct fh_look *lookaside_fill(struct fh_thread *t, struct fh_space *space,
						    uint64_t addr, uint64_t size)
{
	/* Acquire: pairs with the release with which a space gets another set. */
	const struct fh_view_set *set = atomic_load_explicit(&space->set, memory_order_acquire);
	struct fh_view_hit hit;

	if (!fh_view_find(fh_view_set_root(set), addr, &hit))
		return NULL;
	FH_POINT("lookup.walked");
	const struct fh_range range = fh_view_hit_range(hit);
	const uint64_t generation = fh_view_leaf_generation(hit.leaf);

	if (size - 1 > range.last - addr || generation == FH_VIEW_NEVER)
		return NULL;
	struct fh_lookaside *lookaside = lookaside_for_fill(t);
	/*
	 * The set's own id: the space may have got another one between the loads of its two
	 * fields.
	 */
	struct fh_look *look = lookaside_choose(lookaside, set->id, addr, &range);

	look->leaf = hit.leaf;
	look->generation = generation;
	look_set(look, set->id, &range);
	t->recent = look;
	return look;
}

const struct fh_look *fh_lookaside_find(struct fh_thread *t, struct fh_space *space, uint64_t addr,
					uint64_t size)
{
	struct fh_lookaside *lookaside = t->lookaside;
	/* Acquire: pairs with the release with which a space gets another view. */
	const uint64_t view_id = atomic_load_explicit(&space->view_id, memory_order_acquire);
	struct fh_look *look;

	if (FH_UNLIKELY(!lookaside))
		return lookaside_fill(t, space, addr, size);
	look = fh_lookaside_slot(lookaside, view_id, addr, FH_LOOK_PAGE);
	if (!fh_look_holds(look, view_id, addr, size)) {
		const unsigned chunk = look->chunk;

		look = fh_lookaside_memory(lookaside, view_id, addr);
		if (!fh_look_holds(look, view_id, addr, size)) {
			look = fh_lookaside_slot(lookaside, view_id, addr, chunk);
			if (!fh_look_holds(look, view_id, addr, size))
				return lookaside_fill(t, space, addr, size);
		}
	}
	t->recent = look;
	return look;
}
