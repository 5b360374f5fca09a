/* SPDX-License-Identifier: MIT */
/*
 * A machine and its model, edited together: after every transaction each space has to show what the
 * oracle paints, and each listener has to have been told the difference.
 */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include "model/edit.h"

struct world;

struct world *world_new(void);
const struct model *world_model(const struct world *world);
unsigned world_depth(const struct world *world);

/* Do it to both, and compare. False: world_failure() says what is wrong. */
bool world_apply(struct world *world, const struct op *op);

/* The commit of what is open, or the end of something at random; false: nothing is left. */
bool world_choose_end(const struct world *world, struct rng *rng, struct op *ret);

/*
 * Brings everything to its end and frees the world. False if anything is wrong or alive; then
 * @failure says what.
 */
bool world_end(struct world *world, char *failure, size_t size);

/* Empty as long as all is well. */
const char *world_failure(const struct world *world);

struct world_counts {
	uint64_t edits; /* calls that change something in the map */
	uint64_t commits;
	uint64_t changes; /* that changed what some space shows */
	uint64_t paintings; /* full ones */
	uint64_t told;	    /* sections to listeners */
	uint64_t ranges;    /* compared */
	uint64_t extras;    /* eventfds, coalesced ranges and logs told */
	uint64_t stores;
	uint64_t rings; /* of eventfds, by stores */
	uint64_t pages; /* dirty, and taken */
};

struct world_counts world_counts(const struct world *world);

#endif
