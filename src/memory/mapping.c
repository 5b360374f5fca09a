/* SPDX-License-Identifier: MIT */
/*
 * Looking a range up, and mapping guest memory for direct use.
 *
 * R1. A mapping is a pin of its region in the name of its holder (L4), and nothing else: a
 *     region's memory stays where it is as long as the region. The handle is the pin itself.
 * R2. The region is found and pinned inside one read section, so that it cannot go in between
 *     (L3).
 */
#include "memory/chain.h"
#include "memory/lookaside.h"
#include "memory/space.h"

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

/* What a mapping needs to know of the range at addr. */
struct target {
	struct fh_region *region;
	uint8_t *ptr;
	uint64_t most; /* bytes from addr on, less one */
};

/* False: it is not accessed directly for that. In a read section. */
static bool target_find(struct fh_thread *t, struct fh_space *space, uint64_t addr,
			unsigned direct, struct target *ret)
{
	const struct fh_look *look = fh_lookaside_recent(t, space, addr, 1);

	if (!look)
		look = fh_lookaside_find(t, space, addr, 1);
	if (FH_LIKELY(look)) {
		ret->region = look->region;
		ret->ptr = (uint8_t *)(look->ram_bias + addr);
		ret->most = look->span - (addr - look->first);
		return (look->direct & direct) != 0;
	}
	/* A leaf that was retired at this moment is not remembered. */
	struct fh_view_hit hit;

	if (!fh_view_find(fh_space_view(space), addr, &hit))
		return false;
	const struct fh_range range = fh_view_hit_range(hit);

	if (!(fh_direct(range.region, range.flags) & direct))
		return false;
	ret->region = range.region;
	ret->ptr = range.region->ram + range.offset + (addr - range.first);
	ret->most = range.last - addr;
	return true;
}

struct fh_mapping *fh_space_map(struct fh_space *space, uint64_t addr, uint64_t *size, bool write,
				FH_ANY holder, void **ret_ptr)
{
	const unsigned direct = write ? FH_DIRECT_WRITE : FH_DIRECT_READ;
	struct fh_thread *t = fh_thread_self();
	struct fh_pin *pin = NULL;
	struct target target;

	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	if (FH_LIKELY(*size != 0 && target_find(t, space, addr, direct, &target))) {
		FH_POINT("lookup.found");
		pin = fh_pin_take(&target.region->object, fh_object_of(holder), "map");
	}
	fh_rcu_read_end(t);
	if (FH_LIKELY(pin)) {
		if (*size - 1 > target.most)
			*size = target.most + 1;
		*ret_ptr = target.ptr;
	}
	return (struct fh_mapping *)pin;
}

struct fh_mapping *fh_mapping_unmap(struct fh_mapping *mapping)
{
	if (FH_LIKELY(mapping))
		fh_pin_drop((struct fh_pin *)mapping);
	return NULL;
}
