/* SPDX-License-Identifier: MIT */
/*
 * Cached windows, as their two files see them: what is remembered. See cached.c for R1 to R4,
 * cached-way.c for R5 and R6.
 */
#ifndef MEMORY_CACHED_H
#define MEMORY_CACHED_H

#include "freehold/cached.h"
#include "memory/iommu.h"
#include "memory/lookaside.h"
#include "memory/transfer.h"

/* R1, R2. Of the bytes from the window's start on, as far as its first range goes. */
struct fh_sight {
	uint64_t view_id;
	const struct fh_view_leaf *leaf;
	uint64_t generation;
	uint64_t span; /* bytes of the window, less one */
	uint8_t *ptr;  /* at the window's start */
	unsigned direct; /* enum fh_direct: what is accessed in place */
	bool iommu;	 /* there may be a way: R5 */
	struct fh_deferred deferred;
};

/* R5. Constant, and replaced as a sight is (R2). */
struct fh_way {
	uint64_t view_id; /* of the window's space, and the leaf that shows the first IOMMU */
	const struct fh_view_leaf *leaf;
	uint64_t generation;
	uint64_t switches;
	uint64_t first; /* in the window */
	uint64_t span;	/* bytes, less one */
	uint8_t *ptr;	/* at `first` */
	unsigned direct;
	unsigned hops;
	struct fh_deferred deferred;
	struct fh_hop hop[];
};

struct fh_cached {
	struct fh_object object;
	_Atomic(struct fh_sight *) sight __attribute__((aligned(64))); /* NULL: none */
	_Atomic(struct fh_way *) way; /* NULL: none */
	struct fh_space *space; /* C, as all that follows */
	uint64_t addr;
	uint64_t most; /* bytes of the window, less one */
	struct fh_attrs attrs;
};

/*
 * An access at the offset of what the sight, which holds for all of it, shows as an IOMMU. In a
 * read section.
 */
enum fh_tx fh_cached_far(struct fh_cached *cached, const struct fh_sight *sight, uint64_t offset,
			 struct fh_transfer *transfer);

/* Forget the way. Under no lock that matters. */
void fh_cached_drop_way(struct fh_cached *cached);

#endif
