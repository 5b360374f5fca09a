/* SPDX-License-Identifier: MIT */
/*
 * Looking a range up, and mapping guest memory for direct use.
 *
 * R1. A mapping is a pin of its region in the name of its holder (L4): a region's memory stays
 *     where it is as long as the region. The handle is the pin itself. A bounce buffer hangs on the
 *     pin as its tail (bounce.c).
 * R2. What was written through a mapping is marked dirty when it is unmapped, if it is logged then
 *     (dirty.h). For that the pin keeps what it is of. One that ends with its holder is marked as a
 *     whole: nobody says how much was written.
 * R3. The region is found and pinned inside one read section, so that it cannot go in between
 *     (L3).
 */
#include "memory/bounce.h"
#include "memory/chain.h"
#include "memory/dirty.h"
#include "memory/lookaside.h"
#include "memory/space.h"
#include "object/pin.h"

/* The first address of the hole that addr, which no range shows, is in. */
static uint64_t hole_first(const struct fh_view_node *node, uint64_t addr)
{
	if (!node)
		return 0;
	while (node->level > 0)
		node = fh_view_to_inner(node)->child[fh_view_search(node, addr)];

	const struct fh_view_leaf *leaf = fh_view_to_leaf(node);
	const unsigned slot = fh_view_search(node, addr);

	/* Nothing begins at or before addr: the search went to the first of all (view.h, R3). */
	return node->first[slot] > addr ? 0 : leaf->slot[slot].last + 1;
}

bool fh_space_lookup(struct fh_space *space, uint64_t addr, struct fh_section *ret)
{
	const struct fh_view_node *root = fh_space_view(space);
	struct fh_view_hit hit;

	fh_assert(fh_rcu_in_section(fh_thread_self()));
	if (!fh_view_find(root, addr, &hit)) {
		*ret = (struct fh_section){
			.first = hole_first(root, addr),
			.last = fh_view_hole_last(root, addr),
		};
		return false;
	}
	const struct fh_range range = fh_view_hit_range(hit);

	fh_section_from_range(ret, &range);
	return true;
}

_Static_assert((int)FH_MAP_READ == (int)FH_DIRECT_READ && (int)FH_MAP_WRITE == (int)FH_DIRECT_WRITE,
	       "what a mapping is for is what memory can be accessed directly for");

#define FH_ASIDE __attribute__((noinline))

/* What fh_pin.aux holds of a mapping without a bounce buffer. */
enum {
	AUX_OFFSET, /* in the region */
	AUX_SIZE,
};

/* The kinds of pin that mappings are, by address: one that is for writing says so. */
static const char kind_read[] = "map";
static const char kind_write[] = "map";

static inline const char *kind_of(unsigned flags)
{
	return flags & FH_MAP_WRITE ? kind_write : kind_read;
}

/* What a mapping needs to know of the range at addr. */
struct target {
	struct fh_region *region;
	uint8_t *ptr;
	uint64_t offset; /* in the region */
	uint64_t most; /* bytes from addr on, less one */
};

/* What is accessed so may be given to who asks for that, the memory of a device too. */
static inline bool permits(unsigned has, unsigned direct)
{
	return (has & direct) == direct || (has >> FH_DIRECT_DEVICE_SHIFT & direct) == direct;
}

/* False: it is not accessed directly for all of that. In a read section. */
static bool target_find(struct fh_thread *t, struct fh_space *space, uint64_t addr, unsigned direct,
			struct target *ret)
{
	const struct fh_look *look = fh_lookaside_find(t, space, addr, 1);

	if (FH_LIKELY(look)) {
		ret->region = look->region;
		ret->ptr = (uint8_t *)(look->ram_bias + addr);
		ret->offset = look->bias + addr;
		ret->most = look->span - (addr - look->first);
		return permits(look->direct, direct);
	}
	/* A leaf that was retired at this moment is not remembered. */
	struct fh_view_hit hit;

	if (!fh_view_find(fh_space_view(space), addr, &hit))
		return false;
	const struct fh_range range = fh_view_hit_range(hit);

	if (!permits(fh_direct(range.region, range.flags), direct))
		return false;
	ret->region = range.region;
	ret->offset = range.offset + (addr - range.first);
	ret->ptr = range.region->ram + ret->offset;
	ret->most = range.last - addr;
	return true;
}

static inline uint64_t mapped_size(uint64_t size, uint64_t most)
{
	return size - 1 > most ? most + 1 : size;
}

static inline void mapped_set(struct fh_mapped *ret, void *ptr, uint64_t size)
{
	ret->ptr = ptr;
	ret->size = size;
	ret->bounced = false;
	ret->device = false;
	ret->code = FH_OK;
	ret->tx = FH_TX_OK;
}

/* In a read section, which this ends. */
static FH_ASIDE struct fh_mapping *map_other(struct fh_space *space, uint64_t addr, uint64_t size,
					     unsigned flags, struct fh_attrs attrs,
					     struct fh_object *holder, struct fh_mapped *ret)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_mapping *mapping;
	struct target target;

	/* The long way finds out why not. */
	if (!target_find(t, space, addr, flags & (FH_MAP_READ | FH_MAP_WRITE), &target) ||
	    !fh_attrs_permit(attrs, target.region)) {
		mapping = fh_bounce_map(t, space, addr, size, flags, attrs, holder, ret);
	} else {
		FH_POINT("lookup.found");
		const uint64_t aux[] = {
			[AUX_OFFSET] = target.offset,
			[AUX_SIZE] = mapped_size(size, target.most),
		};
		struct fh_pin *pin =
			fh_pin_take(&target.region->object, holder, kind_of(flags), aux);

		FH_POINT("map.pinned");
		mapping = (struct fh_mapping *)pin;
		if (pin) {
			mapped_set(ret, target.ptr, aux[AUX_SIZE]);
			ret->device = target.region->kind == FH_REGION_RAM_DEVICE;
		} else {
			fh_mapped_fail(ret, FH_EDEAD, FH_TX_DEVICE_ERROR);
		}
	}
	fh_rcu_read_end(t);
	return mapping;
}

/* The thread has never been in a read section; or there is nothing to map. */
static FH_COLD struct fh_mapping *map_first(struct fh_space *space, uint64_t addr, uint64_t size,
					    unsigned flags, struct fh_attrs attrs,
					    struct fh_object *holder, struct fh_mapped *ret)
{
	if (size == 0)
		return fh_mapped_fail(ret, FH_EINVAL, FH_TX_DEVICE_ERROR);
	fh_chain_assert_may_access(fh_thread_self());
	fh_rcu_read_begin(fh_thread_self());
	return map_other(space, addr, size, flags, attrs, holder, ret);
}

/*
 * The short way calls nothing, so that it saves no registers: what it cannot do itself it hands to
 * another function as its last act.
 */
struct fh_mapping *fh_space_map(struct fh_space *space, uint64_t addr, uint64_t size,
				unsigned flags, struct fh_attrs attrs, FH_ANY any,
				struct fh_mapped *ret)
{
	const unsigned direct = flags & (FH_MAP_READ | FH_MAP_WRITE);
	struct fh_thread *t = fh_rcu_thread_ready();
	struct fh_object *holder = fh_object_of(any);

	fh_assert(direct != 0);
	if (FH_UNLIKELY(!t || size == 0))
		return map_first(space, addr, size, flags, attrs, holder, ret);
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	const struct fh_look *look = fh_lookaside_recent(t, space, addr, 1);

	if (FH_LIKELY(look && (look->direct & direct) == direct && !attrs.memory_only)) {
		FH_POINT("lookup.found");
		struct fh_pin *pin =
			fh_pin_try(t, &look->region->object, holder, kind_of(flags));

		/* Before this read section ends nobody ends the pin. */
		if (FH_LIKELY(pin)) {
			mapped_set(ret, (void *)(look->ram_bias + addr),
				   mapped_size(size, look->span - (addr - look->first)));
			pin->aux[AUX_OFFSET] = addr + look->bias;
			pin->aux[AUX_SIZE] = ret->size;
			fh_rcu_read_end(t);
			return (struct fh_mapping *)pin;
		}
	}
	return map_other(space, addr, size, flags, attrs, holder, ret);
}

/* --- Unmap ---------------------------------------------------------------------------------- */

/* What is mapped, if it is logged; or NULL. In a read section. */
static inline const struct fh_region *logged_region(struct fh_pin *pin)
{
	struct fh_object *target = fh_pin_target(pin);
	const struct fh_region *region = target ? fh_region_of(target) : NULL;

	return region && region->ram && fh_dirty_log_of(region) ? region : NULL;
}

/* R2. Before it is ended, so that it is not of something else. */
static void mark_written(struct fh_pin *pin, uint64_t written)
{
	struct fh_thread *t = fh_thread_self();
	const uint64_t size = pin->aux[AUX_SIZE];
	const struct fh_region *region;

	fh_rcu_read_begin(t);
	region = logged_region(pin);
	if (region)
		fh_dirty_mark_range(region, pin->aux[AUX_OFFSET], written < size ? written : size);
	fh_rcu_read_end(t);
}

void fh_mapping_lapses(struct fh_pin *pin)
{
	/* Relaxed: it is the caller's to end, and nothing else is put in its place before. */
	if (atomic_load_explicit(&pin->kind, memory_order_relaxed) == kind_write)
		mark_written(pin, UINT64_MAX);
}

static FH_ASIDE enum fh_tx unmap_other(struct fh_pin *pin, uint64_t written)
{
	if (fh_pin_tail(pin))
		return fh_bounce_unmap(pin, written);
	if (written != 0)
		mark_written(pin, written);
	return fh_pin_drop(pin) || written == 0 ? FH_TX_OK : FH_TX_DECODE_ERROR;
}

enum fh_tx fh_mapping_unmap(struct fh_mapping *mapping, uint64_t written)
{
	struct fh_pin *pin = (struct fh_pin *)mapping;
	struct fh_thread *t = fh_rcu_thread_ready();
	struct fh_object *target;

	if (FH_UNLIKELY(!pin))
		return FH_TX_OK;
	if (FH_UNLIKELY(!t))
		return unmap_other(pin, written);
	fh_rcu_read_begin(t);
	target = FH_UNLIKELY(written != 0 && logged_region(pin)) ? NULL : fh_pin_try_end(pin);
	fh_rcu_read_end(t);
	if (FH_UNLIKELY(!target))
		return unmap_other(pin, written);
	fh_object_unhold(target);
	return FH_TX_OK;
}
