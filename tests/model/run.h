/* SPDX-License-Identifier: MIT */
/*
 * The run of a model test: worlds of random edits until there have been enough.
 *
 *	FH_TEST_EFFORT=N	so many per cent of the usual number of edits
 *	FH_MODEL_SEED=N		another run; "random" for one of no choice
 *	FH_MODEL_WORLD=N	one world of it alone
 *
 * The library is used in a child process, so that its own assertions are findings as well. From
 * what fails the parent takes away everything without which it fails too, by trying, and prints the
 * rest.
 */
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include "model/world.h"

struct run_plan {
	struct style (*style)(struct rng *rng); /* of each world */
	uint64_t edits;				/* usually, at least */
	const char *variable; /* of the environment, that says how many instead; or NULL */
};

/* True if all is well. */
bool run_worlds(const struct run_plan *plan);

#endif
