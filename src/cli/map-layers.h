/* SPDX-License-Identifier: MIT */
/*
 * One space of a map, taken apart for a picture: every piece of a region that the space would show
 * if nothing hid it, from the topmost down, and the addresses cut wherever anything begins or ends.
 */
#ifndef CLI_MAP_LAYERS_H
#define CLI_MAP_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <freehold/listing.h>

/* A space with more is not drawn. */
#define FH_LAYERS_LIMIT 10000

struct fh_layer_piece {
	uint64_t first; /* addresses in the space */
	uint64_t last;
	uint64_t offset; /* of first in the region */
	uint32_t region;
	uint32_t alias;	    /* the outermost one that it is seen through, or FH_LISTED_NONE */
	uint32_t container; /* or root, in which it is, as far as that is known; FH_LISTED_NONE */
	const char *as;	    /* how it would show */
	bool nonvolatile;
	unsigned layer;	    /* 0: nothing lies above it, where it lies */
	size_t cell, cell_count; /* where it lies */
};

/* Addresses between two edges. */
struct fh_layer_cell {
	uint64_t first;
	uint64_t last;
	size_t top; /* the piece on top, or SIZE_MAX: nothing is here */
};

struct fh_layers {
	const struct fh_listing *listing;
	struct fh_layer_piece *pieces; /* topmost first */
	size_t piece_count;
	struct fh_layer_cell *cells; /* all of 2^64, in order */
	size_t cell_count;
	unsigned layer_count;
};

/* False: there are more than FH_LAYERS_LIMIT. To be freed in any case. */
bool fh_layers_make(struct fh_layers *ret, const struct fh_listing *listing,
		    const struct fh_listed_space *space);
void fh_layers_free(struct fh_layers *layers);

#endif
