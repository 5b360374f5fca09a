/* SPDX-License-Identifier: MIT */
/*
 * A device that is an array of bytes, for tests of accesses. Each register lies in the array in the
 * region's byte order; the device complains about every call that `impl` forbids. Included once, by
 * the test's own file.
 */
#ifndef SUPPORT_ARRAY_H
#define SUPPORT_ARRAY_H

#include <string.h>

#include "base/alloc.h"
#include "support/probe.h"

#define ARRAY_SIZE 16 /* of the regions */

static const struct fh_attrs none;

struct array {
	struct fh_region_ops ops;
	struct fh_region *region;
	uint8_t byte[ARRAY_SIZE + 16]; /* a widened access may reach beyond the region */
	unsigned calls;
	unsigned bad_calls;
	struct fh_attrs attrs; /* of the last call */
	enum fh_tx tx;	       /* what callbacks return */
};

static inline void check_call(struct array *a, uint64_t offset, unsigned size,
			      struct fh_attrs attrs)
{
	const struct fh_access_sizes *impl = &a->ops.impl;

	a->calls++;
	a->attrs = attrs;
	if ((size & (size - 1)) != 0 || size < impl->min || size > impl->max ||
	    offset >= ARRAY_SIZE || (offset % size != 0 && !impl->unaligned))
		a->bad_calls++;
}

static enum fh_tx array_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	struct array *a = state;
	uint64_t value = UINT64_C(0xdddddddddddddddd); /* higher bytes are ignored */

	check_call(a, offset, size, attrs);
	for (unsigned i = 0; i < size; i++) {
		const unsigned shift = 8 * (a->ops.order == FH_BE ? size - 1 - i : i);

		value &= ~(UINT64_C(0xff) << shift);
		value |= (uint64_t)a->byte[offset + i] << shift;
	}
	*ret_value = value;
	return a->tx;
}

static enum fh_tx array_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	struct array *a = state;

	check_call(a, offset, size, attrs);
	if (size < 8 && value >> 8 * size != 0)
		a->bad_calls++;
	for (unsigned i = 0; i < size; i++)
		a->byte[offset + i] =
			(uint8_t)(value >> 8 * (a->ops.order == FH_BE ? size - 1 - i : i));
	return a->tx;
}

static inline void array_fill(struct array *a, uint8_t salt)
{
	for (unsigned i = 0; i < sizeof(a->byte); i++)
		a->byte[i] = (uint8_t)(i * 37 + salt);
}

/* Not shown yet. */
static inline struct array *array_made(struct fh_machine *m, const struct fh_region_ops *ops)
{
	struct array *a = fh_new(struct array);

	a->ops = *ops;
	a->ops.read = array_read;
	a->ops.write = array_write;
	a->ops.release = fh_free;
	a->region = fh_region_new_mmio(m, NULL, ARRAY_SIZE, &a->ops, a);
	array_fill(a, 0);
	return a;
}

static inline struct array *array_new(struct fh_machine *m, const struct fh_region_ops *ops,
				      uint64_t addr)
{
	struct array *a = array_made(m, ops);

	assert_int_equal(fh_region_add(fh_space_root(fh_machine_memory(m)), a->region, addr, 0),
			 FH_OK);
	array_fill(a, (uint8_t)addr);
	return a;
}

static inline void array_destroy(struct array *a)
{
	fh_region_remove(a->region);
	fh_object_unref(a->region);
}

/* --- Regions of other kinds ----------------------------------------------------------------- */

/* Shows a region of the test's own in the machine's memory. */
static inline struct fh_region *show(struct fh_machine *m, struct fh_region *region, uint64_t addr)
{
	assert_non_null(region);
	assert_int_equal(fh_region_add(fh_space_root(fh_machine_memory(m)), region, addr, 0),
			 FH_OK);
	return region;
}

static inline void drop(struct fh_region *region)
{
	fh_region_remove(region);
	fh_object_unref(region);
}

#endif
