/* SPDX-License-Identifier: MIT */
/*
 * An access of any length on its way through ranges and pieces: bulk accesses, typed ones that
 * are not simple, pinned sections.
 *
 * R1. Bytes are done in rising order of address. What fails reads as zeros; the rest is done all
 *     the same; the result is the worst.
 * R2. A typed access of 1, 2, 4 or 8 bytes that lies in one range is one piece, which the
 *     region's `valid` takes or refuses as it is. Everything else is cut into pieces that `valid`
 *     takes, where there are such.
 */
#ifndef MEMORY_TRANSFER_H
#define MEMORY_TRANSFER_H

#include "memory/dispatch.h"

struct fh_space;
struct fh_trail;

enum fh_transfer_kind { FH_TRANSFER_READ, FH_TRANSFER_WRITE, FH_TRANSFER_FILL };

struct fh_transfer {
	enum fh_transfer_kind kind;
	bool typed;		 /* R2 */
	bool flushed;		 /* coalesced stores have been asked for */
	uint8_t byte;		 /* fill */
	struct fh_attrs attrs;
	uint8_t *to;		 /* read: where the next byte goes */
	const uint8_t *from;	 /* write: where the next byte comes from */
	uint64_t left;		 /* bytes still to be done */
	enum fh_tx worst;
	struct fh_trail *trail;	 /* or NULL: what the last part went through, if that was IOMMUs */
};

/*
 * Do the first of the next `size` bytes, which lie at offset of the region, that shows with these
 * flags. Returns how many were done; 0: the thread waited, look the region up again.
 */
uint64_t fh_transfer_part(struct fh_transfer *transfer, struct fh_thread *t,
			  struct fh_region *region, uint32_t range_flags, uint64_t offset,
			  uint64_t size);

/* access.c: the whole of it, from addr on. In a read section. */
enum fh_tx fh_access_run(struct fh_thread *t, struct fh_space *space, uint64_t addr,
			 struct fh_transfer *transfer);

/* The next bytes fail. */
void fh_transfer_fail(struct fh_transfer *transfer, uint64_t size, enum fh_tx tx);

#endif
