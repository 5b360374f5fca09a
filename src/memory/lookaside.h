/* SPDX-License-Identifier: MIT */
/*
 * What a thread remembers of its recent lookups, so that an access needs no walk through the
 * view.
 *
 * R1. An entry is one range of one view, found in a leaf that was alive: the pair (leaf,
 *     generation). It is used only if the space shows that view now and the pair still holds; so
 *     an edit needs to tell no thread.
 * R2. It is filled inside the section in which its range was found, and never from a leaf that
 *     has been retired in the meantime. Between sections it pins nothing: the region of an entry
 *     is touched only after R1 was seen to hold within the present section.
 * R3. The leaf is looked at only after the view's id was found equal. Ids are never used twice,
 *     and the memory of a leaf stays a leaf as long as the machine exists (pool.h).
 * R4. A page's first range goes to the slot of the page, further ranges of the same page to slots
 *     of 16 bytes to 2 KiB each, as the narrowest of them asks for: registers lie 4 KiB apart, or
 *     close together. Wide memory has slots of its own, of 1 GiB each, and so does not fill those
 *     of pages.
 * R5. The table grows while entries that are alive push each other out, to half a MiB at most.
 */
#ifndef MEMORY_LOOKASIDE_H
#define MEMORY_LOOKASIDE_H

#include "base/thread.h"
#include "memory/dispatch.h"
#include "memory/space.h"

/* The root of the view that the space shows now; NULL: empty. In a read section. */
static inline const struct fh_view_node *fh_space_view(const struct fh_space *space)
{
	/* Acquire: pairs with the release with which a space gets another set. */
	return fh_view_set_root(atomic_load_explicit(&space->set, memory_order_acquire));
}

/* Two cache lines, of which memory needs the first alone. */
struct fh_look {
	uint64_t view_id; /* FH_LOOK_EMPTY: none */
	uint64_t first;
	uint64_t span; /* last - first */
	const struct fh_view_leaf *leaf;
	uint64_t generation;
	uint64_t bias;	    /* addr + bias is the offset in the region */
	uintptr_t ram_bias; /* addr + ram_bias is the host address, if direct */
	uint16_t load_sizes; /* fh_region_simple_sizes() */
	uint16_t store_sizes;
	uint8_t direct; /* enum fh_direct */
	bool reentrant;
	uint8_t chunk; /* R4: of a page's slot: bits that the page's other slots stand for */

	struct fh_region *region;
	struct fh_domain *domain;
	struct fh_object *owner;
	void *state;
	enum fh_tx (*read)(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			   struct fh_attrs attrs);
	enum fh_tx (*write)(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs);
} __attribute__((aligned(128)));

#define FH_LOOK_EMPTY UINT64_MAX

enum {
	FH_LOOKASIDE_LEAST = 64, /* slots */
	FH_LOOKASIDE_MOST = 4096,
	FH_LOOK_PAGE = 12, /* bits of an address that one slot of a page stands for */
	FH_LOOK_CHUNK_LEAST = 4, /* the same for the slots of further ranges in a page */
	FH_LOOK_CHUNK_MOST = 11,
	FH_LOOKASIDE_MEMORIES = 4,
	FH_LOOK_WIDE = 30,
	FH_LOOK_WIDE_SPAN = 2 << 20, /* bytes, less one, from which on memory is wide */
};

struct fh_lookaside {
	unsigned bits;	  /* of slots */
	unsigned crowded; /* R5: since it has this size */
	struct fh_look memory[FH_LOOKASIDE_MEMORIES]; /* R4 */
	struct fh_look slot[];
};

static inline struct fh_look *fh_lookaside_memory(struct fh_lookaside *lookaside, uint64_t view_id,
						  uint64_t addr)
{
	return &lookaside->memory[((addr >> FH_LOOK_WIDE) + view_id) % FH_LOOKASIDE_MEMORIES];
}

static inline struct fh_look *fh_lookaside_slot(struct fh_lookaside *lookaside, uint64_t view_id,
						uint64_t addr, unsigned shift)
{
	/* 2^64 over the golden ratio spreads keys that lie at equal distances best. */
	const uint64_t key = (addr >> shift) + view_id * UINT64_C(0x9e3779b9);

	return &lookaside->slot[(key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - lookaside->bits)];
}

/* R1, for size bytes from addr on. */
static inline bool fh_look_holds(const struct fh_look *look, uint64_t view_id, uint64_t addr,
				 uint64_t size)
{
	const uint64_t distance = addr - look->first;

	return look->view_id == view_id && distance <= look->span &&
	       size - 1 <= look->span - distance &&
	       fh_view_leaf_holds(look->leaf, look->generation);
}

/* What was used last shows all of it: NULL, or the entry, as below. */
static inline const struct fh_look *fh_lookaside_recent(const struct fh_thread *t,
							struct fh_space *space, uint64_t addr,
							uint64_t size)
{
	const struct fh_look *look = t->recent;
	/* Acquire: pairs with the release with which a space gets another view. */
	const uint64_t view_id = atomic_load_explicit(&space->view_id, memory_order_acquire);

	return FH_LIKELY(look != NULL) && fh_look_holds(look, view_id, addr, size) ? look : NULL;
}

/*
 * The range that shows all of addr..addr + size - 1 in the view that is published now; size is
 * not 0. What is not remembered is walked for, and remembered if it can be. NULL: no one range
 * shows all of it, or it was retired at this moment. Valid until the section is left or a
 * callback is called.
 */
const struct fh_look *fh_lookaside_find(struct fh_thread *t, struct fh_space *space, uint64_t addr,
					uint64_t size);

#endif
