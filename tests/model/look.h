/* SPDX-License-Identifier: MIT */
/*
 * What a world is made of, for the files that it is made of: world.c does things, look.c compares.
 */
#ifndef MODEL_LOOK_H
#define MODEL_LOOK_H

#include "model/ears.h"
#include "model/stores.h"
#include "model/world.h"

struct world {
	struct fh_machine *m;
	struct model model;
	struct model_kids kids;
	struct ears *ears;
	struct picture *shown[MODEL_SPACES]; /* as published */
	struct picture *next[MODEL_SPACES];  /* as from the present commit on */
	struct stores *stores;
	unsigned depth;
	struct rng rng;
	struct world_counts counts;
	char failure[400];
};

/* The first failure counts. */
void world_fail(struct world *world, const char *fmt, ...) FH_PRINTF(2, 3);

/* NULL for MODEL_NONE. */
struct fh_region *world_region(const struct world *world, int slot);

/* The slot of a region, or MODEL_NONE. */
int world_slot_of(const struct world *world, const struct fh_region *real);

/* The model has reached what the next commit of the library will publish. */
void look_forward(struct world *world);
/* The library has committed: it shows and has told what was expected. */
void look_at_all(struct world *world);

#endif
