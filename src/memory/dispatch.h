/* SPDX-License-Identifier: MIT */
/*
 * One access to one region: what is legal, what the callbacks are given, who is let in.
 *
 * R1. Byte order, once and for all: a region is an array of bytes in which each register lies in
 *     the region's byte order. A callback's value is the integer as the device sees it. A load or
 *     store takes an integer out of those bytes, or puts it there, in the order that the access
 *     names. So the value passes unchanged where the two orders are equal, and with its bytes
 *     reversed where they differ; bulk accesses see the array.
 * R2. A piece is an access of 1, 2, 4 or 8 bytes that the guest makes, or that a longer one is
 *     cut into: as long as possible, aligned in the region, at most valid.max. `valid` judges
 *     pieces, and alignment means that of the offset in the region.
 * R3. What the callbacks get are units: as long as possible, at most impl.max, aligned unless
 *     impl.unaligned. What is shorter than impl.min becomes the aligned unit of impl.min that it
 *     lies in, which may reach beyond the region's end; of a read the rest is dropped, a write
 *     reads first if the region says so.
 * R4. All units of a piece are done, in rising order, under one frame of the chain; the result is
 *     the worst. A unit that could not be read leaves zeros.
 */
#ifndef MEMORY_DISPATCH_H
#define MEMORY_DISPATCH_H

#include "memory/chain.h"
#include "memory/region.h"

/* How host memory stands for a range: which accesses go there without a callback. */
enum fh_direct {
	FH_DIRECT_READ = 1 << 0,
	FH_DIRECT_WRITE = 1 << 1, /* and is marked dirty afterwards, if it is logged (dirty.h) */
	FH_DIRECT_STORE = 1 << 2, /* is written, and nothing else: nobody logs it */
	/* The same of a device's memory: by exact accesses alone, which bulk ones are not. */
	FH_DIRECT_DEVICE_READ = 1 << 3,
	FH_DIRECT_DEVICE_WRITE = 1 << 4,
};

enum { FH_DIRECT_DEVICE_SHIFT = 3 };

/* Of a region that shows with these range flags. */
static inline unsigned fh_direct(const struct fh_region *region, uint32_t range_flags)
{
	switch (region->kind) {
	case FH_REGION_RAM:
		if (range_flags & FH_RANGE_READONLY)
			return FH_DIRECT_READ;
		return FH_DIRECT_READ | FH_DIRECT_WRITE |
		       (range_flags & FH_RANGE_LOGGED ? 0 : FH_DIRECT_STORE);
	case FH_REGION_ROM:
		return FH_DIRECT_READ;
	case FH_REGION_ROM_DEVICE:
		return range_flags & FH_RANGE_ROM_MODE ? FH_DIRECT_READ : 0;
	case FH_REGION_RAM_DEVICE:
		return range_flags & FH_RANGE_READONLY ?
			       FH_DIRECT_DEVICE_READ :
			       FH_DIRECT_DEVICE_READ | FH_DIRECT_DEVICE_WRITE;
	default:
		return 0;
	}
}

/* Callbacks are how it is accessed, where not directly. */
static inline bool fh_region_has_callbacks(const struct fh_region *region)
{
	return region->kind == FH_REGION_MMIO || region->kind == FH_REGION_ROM_DEVICE;
}

/* Who has these attributes may access its memory, or its registers. */
static inline bool fh_attrs_permit(struct fh_attrs attrs, const struct fh_region *region)
{
	if (region->kind == FH_REGION_RAM_DEVICE)
		return !attrs.memory_only && !attrs.debug;
	return !attrs.memory_only || !fh_region_has_callbacks(region);
}

/* What is accessed, by whom, how. */
struct fh_piece {
	struct fh_region *region; /* with callbacks */
	uint64_t offset; /* in the region */
	unsigned size;	 /* 1, 2, 4 or 8 */
	bool write;
	struct fh_attrs attrs;
	uint8_t *bytes; /* size of them, in order of address; written by a read */
};

/* R2: of what is left from offset on. At least 1. */
unsigned fh_piece_size(const struct fh_region *region, uint64_t offset, uint64_t left);

/*
 * The sizes (as bits: 1 << size) of aligned accesses that one call of the callback does, without
 * a look at anything else.
 */
unsigned fh_region_simple_sizes(const struct fh_region *region, bool write);

/*
 * Do it, within the chain. In a read section in which the region was found or is pinned.
 * *ret_again: nothing was done, the thread waited, see fh_chain_enter(). A read that fails leaves
 * zeros.
 */
enum fh_tx fh_dispatch(struct fh_thread *t, const struct fh_piece *piece, bool *ret_again);

static inline enum fh_tx fh_tx_worst(enum fh_tx a, enum fh_tx b)
{
	return a > b ? a : b;
}

#endif
