/* SPDX-License-Identifier: MIT */
/*
 * A copy of RAM, kept as a migration keeps it: all of it once, after logging for FH_DIRTY_MIGRATION
 * has started; then over and over the pages of a snapshot, each read after its bit was taken.
 */
#ifndef SUPPORT_COPY_H
#define SUPPORT_COPY_H

#include <string.h>

#include "support/probe.h"

struct copy {
	struct fh_space *space;
	struct fh_region *ram;
	uint64_t addr, size; /* of the RAM in the space */
	uint8_t *bytes;	     /* the test's, @size of them */
	uint64_t copied;     /* bytes */
};

static inline bool copy_run(uint64_t offset, uint64_t size, void *arg)
{
	struct copy *copy = arg;

	CHECK(fh_space_read(copy->space, copy->addr + offset, copy->bytes + offset, size,
			    FH_ATTRS_NONE) == FH_TX_OK);
	copy->copied += size;
	return true;
}

static inline void copy_all(struct copy *copy)
{
	copy_run(0, copy->size, copy);
}

static inline void copy_dirty(struct copy *copy)
{
	struct fh_dirty_snapshot *snapshot =
		fh_dirty_snapshot_take(copy->ram, FH_DIRTY_MIGRATION, 0, copy->size, NULL);

	assert_non_null(snapshot);
	fh_dirty_snapshot_each(snapshot, copy_run, copy);
	fh_dirty_snapshot_free(snapshot);
}

static inline bool copy_is_equal(const struct copy *copy)
{
	return memcmp(copy->bytes, fh_region_ram(copy->ram), copy->size) == 0;
}

#endif
