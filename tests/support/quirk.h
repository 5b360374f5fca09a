/* SPDX-License-Identifier: MIT */
/*
 * A region that is made and destroyed at run time, with a context of its own that goes with it:
 * what a PCI quirk or an MSI-X table is.
 *
 * R1. The context is freed by the region's `release`, so that a call after it is found out: by the
 *     canary, and by AddressSanitizer.
 */
#ifndef SUPPORT_QUIRK_H
#define SUPPORT_QUIRK_H

#include <stdlib.h>

#include "support/probe.h"

#define QUIRK_CANARY UINT32_C(0xa11ce5ed)

/* Of all quirks of a test, which it outlives. */
struct quirk_count {
	_Atomic uint64_t made, released, calls;
};

struct quirk {
	uint32_t canary;
	_Atomic unsigned inside;
	uint64_t value; /* as it reads */
	struct quirk_count *count;
	void (*read)(struct quirk *quirk, uint64_t offset); /* the test's, or NULL */
	void *arg;
};

static inline enum fh_tx quirk_read(void *state, uint64_t offset, uint64_t *ret_value,
				    unsigned size, struct fh_attrs attrs)
{
	struct quirk *quirk = state;

	(void)size;
	(void)attrs;
	CHECK(quirk->canary == QUIRK_CANARY);
	atomic_fetch_add_explicit(&quirk->inside, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&quirk->count->calls, 1, memory_order_relaxed);
	*ret_value = quirk->value;
	if (quirk->read)
		quirk->read(quirk, offset);
	/* The context is released after the last callback (L1). */
	CHECK(quirk->canary == QUIRK_CANARY && quirk->value == *ret_value);
	atomic_fetch_sub_explicit(&quirk->inside, 1, memory_order_relaxed);
	return FH_TX_OK;
}

static inline enum fh_tx quirk_write(void *state, uint64_t offset, uint64_t value, unsigned size,
				     struct fh_attrs attrs)
{
	uint64_t ignored;

	(void)value;
	return quirk_read(state, offset, &ignored, size, attrs);
}

static inline void quirk_release(void *state)
{
	struct quirk *quirk = state;

	CHECK(quirk->canary == QUIRK_CANARY);
	CHECK(quirk->inside == 0);
	quirk->canary = 0;
	atomic_fetch_add_explicit(&quirk->count->released, 1, memory_order_relaxed);
	free(quirk);
}

static const struct fh_region_ops quirk_ops = {
	.read = quirk_read,
	.write = quirk_write,
	.release = quirk_release,
	.concurrent = true,
};

static inline struct quirk *quirk_new(struct quirk_count *count, uint64_t value)
{
	struct quirk *quirk = calloc(1, sizeof(*quirk));

	CHECK(quirk);
	quirk->canary = QUIRK_CANARY;
	quirk->value = value;
	quirk->count = count;
	return quirk;
}

/* The region of a quirk, which has it from here; NULL, and no quirk, if the owner is detached. */
static inline struct fh_region *quirk_region(FH_ANY owner, uint64_t size, struct quirk *quirk)
{
	struct fh_region *region = fh_region_new_mmio(owner, NULL, size, &quirk_ops, quirk);

	if (region)
		atomic_fetch_add_explicit(&quirk->count->made, 1, memory_order_relaxed);
	else
		free(quirk);
	return region;
}

#endif
