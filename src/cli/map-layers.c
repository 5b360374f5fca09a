/* SPDX-License-Identifier: MIT */
/*
 * What lies over what: see map-layers.h.
 *
 * R1. Pieces come in the order in which the library paints: subregions from the topmost down, then
 *     what the region has itself. So a piece is hidden by those before it, and by nothing else.
 * R2. A piece lies one layer below the lowest of those before it that it meets.
 * R3. No recursion: the depth of a map is for the file to choose.
 */
#include "cli/map-layers.h"

#include <stdlib.h>
#include <string.h>

typedef __int128 wide;

/* A region to be taken apart, or its own contents. */
struct visit {
	wide base; /* address in the space of the region's offset 0 */
	uint64_t first, last; /* of the space, all that can be seen of it */
	uint32_t region;
	uint32_t alias;
	uint32_t container;
	bool readonly, nonvolatile;
	bool contents; /* the subregions are done */
};

struct work {
	struct fh_layers *layers;
	struct visit *stack;
	size_t count, capacity;
	size_t piece_capacity;
};

static void *grown(void *array, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return array;
	*capacity = *capacity * 2 + 64;
	array = realloc(array, *capacity * size);
	if (array == NULL)
		abort();
	return array;
}

/* --- Pieces --------------------------------------------------------------------------------- */

static void push(struct work *work, struct visit visit)
{
	work->stack = grown(work->stack, work->count, &work->capacity, sizeof(*work->stack));
	work->stack[work->count++] = visit;
}

/* What is seen of a region that begins at @base, within what is seen of @above. */
static void push_region(struct work *work, const struct visit *above, uint32_t number, wide base)
{
	const struct fh_listed_region *const region = &work->layers->listing->regions[number];
	const wide size = region->size == FH_SIZE_ALL ? (wide)1 << 64 : (wide)region->size;
	struct visit visit = *above;

	if (!region->enabled || !region->shown || size == 0 || base > visit.last ||
	    base + size - 1 < visit.first)
		return;
	if (base > visit.first)
		visit.first = (uint64_t)base;
	if (base + size - 1 < visit.last)
		visit.last = (uint64_t)(base + size - 1);
	visit.base = base;
	visit.region = number;
	visit.readonly |= region->readonly;
	visit.nonvolatile |= region->nonvolatile;
	visit.contents = false;
	push(work, visit);
}

static const char *shows_as(const struct fh_listed_region *region, bool readonly)
{
	if (strcmp(region->kind, "reservation") == 0 || strcmp(region->kind, "iommu") == 0)
		return region->kind;
	if (readonly || strcmp(region->kind, "rom") == 0)
		return "rom";
	if (strcmp(region->kind, "mmio") == 0 ||
	    (strcmp(region->kind, "romd") == 0 && !region->rom_mode))
		return "i/o";
	return region->kind;
}

static void add_piece(struct work *work, const struct visit *visit)
{
	struct fh_layers *const layers = work->layers;
	const struct fh_listed_region *const region = &layers->listing->regions[visit->region];

	layers->pieces = grown(layers->pieces, layers->piece_count, &work->piece_capacity,
			       sizeof(*layers->pieces));
	layers->pieces[layers->piece_count++] = (struct fh_layer_piece){
		.first = visit->first,
		.last = visit->last,
		.offset = (uint64_t)(visit->first - visit->base),
		.region = visit->region,
		.alias = visit->alias,
		.container = visit->container,
		.as = shows_as(region, visit->readonly),
		.nonvolatile = visit->nonvolatile,
	};
}

/* On the stack the last is next: contents first, then subregions from the lowest up. */
static void take_apart(struct work *work, struct visit visit)
{
	const struct fh_listed_region *const region =
		&work->layers->listing->regions[visit.region];

	visit.contents = true;
	push(work, visit);
	visit.container = visit.region;
	for (uint32_t i = region->sub_count; i-- > 0;)
		push_region(work, &visit, region->subs[i],
			    visit.base + work->layers->listing->regions[region->subs[i]].addr);
}

static void take_contents(struct work *work, struct visit visit)
{
	const struct fh_listed_region *const region =
		&work->layers->listing->regions[visit.region];

	if (region->target != FH_LISTED_NONE) {
		if (visit.alias == FH_LISTED_NONE)
			visit.alias = visit.region;
		push_region(work, &visit, region->target,
			    visit.base - (wide)region->alias_offset);
	} else if (strcmp(region->kind, "alias") != 0 && strcmp(region->kind, "container") != 0) {
		add_piece(work, &visit);
	}
}

/* The graph has an end, but it may be far: the limit counts steps, too. */
static bool find_pieces(struct work *work, uint32_t root)
{
	const struct visit all = { .last = UINT64_MAX,
				   .alias = FH_LISTED_NONE,
				   .container = FH_LISTED_NONE };
	size_t steps = 0;

	push_region(work, &all, root, 0);
	while (work->count > 0) {
		const struct visit visit = work->stack[--work->count];

		if (work->layers->piece_count == FH_LAYERS_LIMIT ||
		    ++steps > (size_t)200 * FH_LAYERS_LIMIT)
			return false;
		if (visit.contents)
			take_contents(work, visit);
		else
			take_apart(work, visit);
	}
	return true;
}

/* --- Cells ---------------------------------------------------------------------------------- */

static int compare_edges(const void *a, const void *b)
{
	const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* Where something begins, or begins no more. */
static uint64_t *find_edges(const struct fh_layers *layers, const struct fh_listed_space *space,
			    size_t *ret_count)
{
	const struct fh_listed_range *const ranges = &layers->listing->ranges[space->first_range];
	uint64_t *const edges = calloc(2 * (layers->piece_count + space->range_count) + 1,
				       sizeof(*edges));
	size_t count = 1, kept = 1;

	if (edges == NULL)
		abort();
	for (size_t i = 0; i < layers->piece_count; i++) {
		edges[count++] = layers->pieces[i].first;
		edges[count++] = layers->pieces[i].last + 1; /* 0 at the top: it is there anyway */
	}
	for (size_t i = 0; i < space->range_count; i++) {
		edges[count++] = ranges[i].first;
		edges[count++] = ranges[i].last + 1;
	}
	qsort(edges, count, sizeof(*edges), compare_edges);
	for (size_t i = 1; i < count; i++) {
		if (edges[i] != edges[kept - 1])
			edges[kept++] = edges[i];
	}
	*ret_count = kept;
	return edges;
}

static void make_cells(struct fh_layers *layers, const struct fh_listed_space *space)
{
	size_t count;
	uint64_t *const edges = find_edges(layers, space, &count);

	layers->cells = calloc(count, sizeof(*layers->cells));
	if (layers->cells == NULL)
		abort();
	layers->cell_count = count;
	for (size_t i = 0; i < count; i++)
		layers->cells[i] = (struct fh_layer_cell){
			.first = edges[i],
			.last = i + 1 < count ? edges[i + 1] - 1 : UINT64_MAX,
			.top = SIZE_MAX,
		};
	free(edges);
}

static size_t cell_at(const struct fh_layers *layers, uint64_t addr)
{
	size_t low = 0, high = layers->cell_count;

	while (high - low > 1) {
		const size_t middle = low + (high - low) / 2;

		if (layers->cells[middle].first <= addr)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* R2. */
static void stack_pieces(struct fh_layers *layers)
{
	unsigned *const depths = calloc(layers->cell_count, sizeof(*depths));

	if (depths == NULL)
		abort();
	for (size_t i = 0; i < layers->piece_count; i++) {
		struct fh_layer_piece *const piece = &layers->pieces[i];

		piece->cell = cell_at(layers, piece->first);
		piece->cell_count = cell_at(layers, piece->last) + 1 - piece->cell;
		for (size_t j = piece->cell; j < piece->cell + piece->cell_count; j++) {
			piece->layer = depths[j] > piece->layer ? depths[j] : piece->layer;
			if (layers->cells[j].top == SIZE_MAX)
				layers->cells[j].top = i;
		}
		for (size_t j = piece->cell; j < piece->cell + piece->cell_count; j++)
			depths[j] = piece->layer + 1;
		if (piece->layer >= layers->layer_count)
			layers->layer_count = piece->layer + 1;
	}
	free(depths);
}

bool fh_layers_make(struct fh_layers *ret, const struct fh_listing *listing,
		    const struct fh_listed_space *space)
{
	struct work work = { .layers = ret };
	bool complete = true;

	*ret = (struct fh_layers){ .listing = listing };
	if (space->root != FH_LISTED_NONE)
		complete = find_pieces(&work, space->root);
	free(work.stack);
	if (complete) {
		make_cells(ret, space);
		stack_pieces(ret);
	}
	return complete;
}

void fh_layers_free(struct fh_layers *layers)
{
	free(layers->pieces);
	free(layers->cells);
}
