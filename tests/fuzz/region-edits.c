/* SPDX-License-Identifier: MIT */
/*
 * Bytes as edits of a map: regions that come, go, move, change their size, priority, visibility and
 * what they show; spaces, listeners, owners; transactions. After each every space shows what the
 * model test's oracle paints, and every listener was told the difference.
 *
 * The first byte is the style of the world, each two that follow are one edit: of all that could be
 * done at that point they choose one, so that no bytes are wasted on what cannot.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/world.h"

#define EDIT_LIMIT 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rng rng_of(uint64_t number)
{
	return (struct rng){ (number + 1) * UINT64_C(0x9e3779b97f4a7c15) };
}

static void fail(const char *failure)
{
	fprintf(stderr, "%s\n", failure);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rng rng = rng_of(size > 0 ? data[0] : 0);
	const struct style style = style_random(&rng);
	struct world *world = world_new();
	char failure[500] = "";
	struct op op;

	for (size_t i = 1; i + 1 < size && i < 2 * EDIT_LIMIT; i += 2) {
		struct rng choice = rng_of(data[i] | (uint64_t)data[i + 1] << 8);

		op = edit_choose(world_model(world), &style, world_depth(world), &choice);
		if (!world_apply(world, &op))
			fail(world_failure(world));
	}
	while (world_choose_end(world, &rng, &op)) {
		if (!world_apply(world, &op))
			fail(world_failure(world));
	}
	if (!world_end(world, failure, sizeof(failure)))
		fail(failure);
	return 0;
}
