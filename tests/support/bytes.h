/* SPDX-License-Identifier: MIT */
/*
 * What tests of bounce buffers share: registers that are bytes, behind which a device notes what it
 * was written, and how much of a space's room is left.
 */
#ifndef SUPPORT_BYTES_H
#define SUPPORT_BYTES_H

#include <string.h>

#include "support/probe.h"

#define BASE UINT64_C(0x10000000)
#define OTHER UINT64_C(0x20000000)
#define REGS 64

/* A device of registers that are bytes, which notes what it was written. */
struct bytes {
	struct probe_hooks hooks;
	struct fh_device *device;
	uint8_t byte[REGS];
	uint64_t write_first, write_last;
	struct fh_attrs attrs; /* of the last access */
	enum fh_tx tx;	       /* what its callbacks return */
	struct fh_region *region;
};

static inline enum fh_tx bytes_read(void *state, uint64_t offset, uint64_t *ret_value,
				    unsigned size, struct fh_attrs attrs)
{
	struct bytes *bytes = state;

	CHECK(offset + size <= REGS);
	*ret_value = 0;
	memcpy(ret_value, bytes->byte + offset, size);
	bytes->hooks.reads++;
	bytes->attrs = attrs;
	return bytes->tx;
}

static inline enum fh_tx bytes_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	struct bytes *bytes = state;

	CHECK(offset + size <= REGS);
	memcpy(bytes->byte + offset, &value, size);
	if (bytes->hooks.writes++ == 0)
		bytes->write_first = offset;
	bytes->write_last = offset + size - 1;
	bytes->attrs = attrs;
	return bytes->tx;
}

static const struct fh_region_ops bytes_ops = {
	.read = bytes_read,
	.write = bytes_write,
	.impl = { .min = 1, .max = 4 },
};

static inline struct fh_region *root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

/* The registers at BASE, of a device at OTHER. */
static inline void bytes_plug(struct fh_machine *m, struct bytes *bytes)
{
	memset(bytes, 0, sizeof(*bytes));
	bytes->device = probe_plug(m, "bytes", &bytes->hooks, OTHER);
	bytes->region = fh_region_new_mmio(bytes->device, "bytes", REGS, &bytes_ops, bytes);
	for (unsigned i = 0; i < REGS; i++)
		bytes->byte[i] = (uint8_t)(i + 1);
	assert_int_equal(fh_region_add(root(m), bytes->region, BASE, 0), FH_OK);
}

/* The room of a space is what a mapping of all of it gets. */
static inline uint64_t room_left(struct fh_space *space, struct fh_object *holder, uint64_t most)
{
	struct fh_mapped mapped;
	uint64_t left = 0;

	for (uint64_t size = 1; size <= most; size++) {
		struct fh_mapping *mapping = fh_space_map(space, BASE, size, FH_MAP_WRITE,
							  FH_ATTRS_NONE, holder, &mapped);

		if (mapping)
			left = size;
		fh_mapping_unmap(mapping, 0);
	}
	return left;
}

#endif
