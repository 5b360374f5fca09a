/* SPDX-License-Identifier: MIT */
/*
 * Regions of `freehold torture` that come and go by themselves. Their state is on the heap, and
 * goes when the library says that the last callback is over: not before, or a callback finds it
 * dead.
 */
#include "cli/torture.h"

#include <stdlib.h>
#include <unistd.h>

struct loose {
	uint64_t canary;
	struct fh_torture *t;
	_Atomic uint64_t calls;
};

static struct loose *enter_loose(void *state)
{
	struct loose *const loose = state;

	fh_torture_check(loose->t, loose->canary == FH_TORTURE_CANARY,
			 "a callback has lost its region");
	/* Relaxed: a count. */
	atomic_fetch_add_explicit(&loose->calls, 1, memory_order_relaxed);
	return loose;
}

static enum fh_tx loose_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	const struct loose *const loose = enter_loose(state);

	(void)offset;
	(void)size;
	(void)attrs;
	*ret_value = loose->canary;
	return FH_TX_OK;
}

static enum fh_tx loose_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)offset;
	(void)size;
	(void)attrs;
	enter_loose(state);
	if (value % 64 == 0) {
		fh_blocking_begin();
		usleep(50);
		fh_blocking_end();
		enter_loose(state);
	}
	return FH_TX_OK;
}

static void loose_release(void *state)
{
	struct loose *const loose = enter_loose(state);

	loose->canary = FH_TORTURE_DEAD;
	free(loose);
}

static const struct fh_region_ops loose_ops = {
	.read = loose_read,
	.write = loose_write,
	.release = loose_release,
	.valid = { .min = 1, .max = 4 },
};

struct fh_region *fh_torture_new_loose_mmio(struct fh_torture *t, FH_ANY owner, uint64_t size)
{
	struct loose *const loose = calloc(1, sizeof(*loose));

	if (loose == NULL)
		abort();
	loose->canary = FH_TORTURE_CANARY;
	loose->t = t;

	struct fh_region *const region =
		fh_region_new_mmio(owner, NULL, size, &loose_ops, loose);

	if (region == NULL)
		free(loose);
	return region;
}
