/* SPDX-License-Identifier: MIT */
/*
 * What a map's regions show of each other: refuses maps without an end, and bounds the rest.
 *
 * Region A leads to B if B is a subregion of A or the target of A. A walk from the root of a
 * space along these steps is a piece of the view; a map in which a walk returns to where it was
 * may have no end.
 *
 * The library refuses every such cycle when it is made. Yet there are boards that mirror a slice
 * of a container within the same container, where no address leads round: the slice does not
 * contain the mirror. For these the alias is *unrolled*: instead of the container it leads to
 * those subregions that its window meets (map-build.c makes a container of aliases to them). A
 * container that has a backing of its own cannot be taken apart so.
 *
 * R1. No recursion: the depth of a map is for the file to choose.
 */
#include "cli/map.h"

#include <inttypes.h>
#include <stdlib.h>

#include <freehold/region.h>

struct step {
	uint32_t region;
	uint32_t at; /* how many of its steps were taken */
};

struct walk {
	struct fh_map *map;
	size_t depth;
	struct step *path;  /* from the start to where we are */
	uint8_t *states;    /* by region */
	uint64_t *pieces;   /* by region, once it is DONE: how many pieces it shows; saturates */
};

enum state { NEW, ON_PATH, DONE };

uint32_t fh_map_next_in_window(const struct fh_map *map, uint32_t alias, uint32_t *at)
{
	const struct fh_map_region *const window = &map->regions[alias];
	const struct fh_map_region *const target = &map->regions[window->target];
	const unsigned __int128 all = (unsigned __int128)1 << 64;
	const unsigned __int128 start = window->alias_offset;
	const unsigned __int128 stop = start + (window->size == FH_SIZE_ALL ? all : window->size);

	while (*at < target->sub_count) {
		const uint32_t number = target->subs[(*at)++];
		const struct fh_map_region *const sub = &map->regions[number];
		const unsigned __int128 size = sub->size == FH_SIZE_ALL ? all : sub->size;

		if (sub->addr < stop && sub->addr + size > start)
			return number;
	}
	return FH_MAP_NONE;
}

/* Where the next step leads, or FH_MAP_NONE after the last. */
static uint32_t next_step(const struct fh_map *map, struct step *step)
{
	const struct fh_map_region *const region = &map->regions[step->region];

	if (step->at < region->sub_count)
		return region->subs[step->at++];
	if (region->unrolled) {
		uint32_t at = step->at - region->sub_count;
		const uint32_t next = fh_map_next_in_window(map, step->region, &at);

		step->at = at + region->sub_count;
		return next;
	}
	if (step->at++ == region->sub_count)
		return region->target;
	return FH_MAP_NONE;
}

static void enter(struct walk *walk, uint32_t region)
{
	walk->path[walk->depth++] = (struct step){ .region = region };
	walk->states[region] = ON_PATH;
	walk->pieces[region] = 1;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	const uint64_t sum = a + b;

	return sum < a || sum > FH_MAP_PIECE_LIMIT ? FH_MAP_PIECE_LIMIT + 1 : sum;
}

static void leave(struct walk *walk)
{
	const uint32_t region = walk->path[--walk->depth].region;

	walk->states[region] = DONE;
	if (!walk->map->regions[region].enabled || !walk->map->regions[region].shown)
		walk->pieces[region] = 0;
	if (walk->depth > 0) {
		uint64_t *const above = &walk->pieces[walk->path[walk->depth - 1].region];

		*above = add_saturated(*above, walk->pieces[region]);
	}
}

/*
 * The path leads back to @again, which is on it: take the cycle apart at an alias of a plain
 * container and go back to that alias, which has not been added to anything yet. False if there
 * is none.
 */
static bool unroll(struct walk *walk, uint32_t again)
{
	struct fh_map_region *const regions = walk->map->regions;

	for (size_t i = walk->depth; i-- > 0;) {
		const uint32_t number = walk->path[i].region;
		struct fh_map_region *const region = &regions[number];
		const uint32_t next = i + 1 < walk->depth ? walk->path[i + 1].region : again;

		/* An alias may lead on to its subregions, too. */
		if (region->target == next && !region->unrolled &&
		    regions[next].kind == FH_MAP_CONTAINER) {
			region->unrolled = true;
			while (walk->depth > i)
				walk->states[walk->path[--walk->depth].region] = NEW;
			enter(walk, number);
			return true;
		}
		if (number == again)
			break;
	}
	return false;
}

/*
 * Walk everything below @start. False at a cycle that stays: the path ends where *ret_again leads
 * on.
 */
static bool walk_from(struct walk *walk, uint32_t start, uint32_t *ret_again)
{
	if (walk->states[start] != NEW)
		return true;
	enter(walk, start);
	while (walk->depth > 0) {
		struct step *const step = &walk->path[walk->depth - 1];
		const uint32_t next = next_step(walk->map, step);

		if (next == FH_MAP_NONE) {
			leave(walk);
		} else if (walk->states[next] == NEW) {
			enter(walk, next);
		} else if (walk->states[next] == DONE) {
			walk->pieces[step->region] = add_saturated(walk->pieces[step->region],
								   walk->pieces[next]);
		} else if (!unroll(walk, next)) {
			*ret_again = next;
			return false;
		}
	}
	return true;
}

/*
 * The cycle that the path closes with *again, as "4 > 7 > 4", with its middle left out if need
 * be.
 */
static enum fh_code refuse_cycle(const struct walk *walk, uint32_t again, struct fh_error *err)
{
	char text[128];
	size_t start = walk->depth - 1, length = 0;

	while (walk->path[start].region != again)
		start--;
	for (size_t i = start; i < walk->depth && length < sizeof(text) - 32; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%u > ",
					   walk->path[i].region);
	if (walk->depth - start > 2 && length >= sizeof(text) - 32)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "... > ");
	snprintf(text + length, sizeof(text) - length, "%u", again);
	return fh_error_set(err, FH_ELOOP, "regions[%u]: shows itself without end: %s", again,
			    text);
}

static enum fh_code find_cycles(struct walk *walk, struct fh_error *err)
{
	for (size_t i = 0; i < walk->map->region_count; i++) {
		uint32_t again;

		if (!walk_from(walk, (uint32_t)i, &again))
			return refuse_cycle(walk, again, err);
	}
	return FH_OK;
}

/* Spaces with the same root share its view. */
static enum fh_code count_pieces(const struct walk *walk, struct fh_error *err)
{
	struct fh_map *const map = walk->map;
	uint64_t total = 0;

	for (size_t i = 0; i < map->space_count; i++) {
		const uint32_t root = map->spaces[i].root;

		if (root == FH_MAP_NONE)
			continue;
		total = add_saturated(total, walk->pieces[root]);
		walk->pieces[root] = 0;
		if (total > FH_MAP_PIECE_LIMIT)
			return fh_error_set(err, FH_ELIMIT,
					    "spaces[%zu]: the map shows more than %" PRIu64
					    " million pieces of regions",
					    i, FH_MAP_PIECE_LIMIT >> 20);
	}
	map->piece_count = total;
	return FH_OK;
}

enum fh_code fh_map_check_graph(struct fh_map *map, struct fh_error *err)
{
	struct walk walk = {
		.map = map,
		.path = calloc(map->region_count + 1, sizeof(*walk.path)),
		.states = calloc(map->region_count + 1, sizeof(*walk.states)),
		.pieces = calloc(map->region_count + 1, sizeof(*walk.pieces)),
	};
	enum fh_code code = FH_ENOMEM;

	if (walk.path != NULL && walk.states != NULL && walk.pieces != NULL) {
		code = find_cycles(&walk, err);
		if (code == FH_OK)
			code = count_pieces(&walk, err);
	} else {
		fh_error_set(err, code, "not enough memory for it");
	}
	free(walk.path);
	free(walk.states);
	free(walk.pieces);
	return code;
}
