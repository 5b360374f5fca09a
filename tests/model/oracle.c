/* SPDX-License-Identifier: MIT */
/*
 * Painting cell by cell; see oracle.h. Recursive, without any cleverness: it is meant to be seen to
 * be right.
 */
#include "model/oracle.h"

#include <stdlib.h>
#include <string.h>

/* Wide enough for where a region begins and ends when it is seen through aliases. */
typedef __int128 wide;

#define LAST_ADDRESS ((wide)UINT64_MAX)

/* --- Random numbers ------------------------------------------------------------------------- */

uint64_t rng_next(struct rng *rng)
{
	uint64_t x = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t rng_below(struct rng *rng, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)rng_next(rng) * limit) >> 64);
}

bool rng_chance(struct rng *rng, unsigned percent)
{
	return rng_below(rng, 100) < percent;
}

/* --- The model ------------------------------------------------------------------------------ */

static wide real_size(const struct model_region *region)
{
	return region->size == FH_SIZE_ALL ? LAST_ADDRESS + 1 : (wide)region->size;
}

bool model_is_visible(const struct model *model, int index)
{
	const struct model_region *region = &model->regions[index];

	return region->enabled && region->size != 0 &&
	       (region->owner == MODEL_NONE || model->owners[region->owner].shown);
}

bool model_has_memory(const struct model_region *region)
{
	return region->kind == FH_REGION_RAM || region->kind == FH_REGION_ROM ||
	       region->kind == FH_REGION_ROM_DEVICE || region->kind == FH_REGION_RAM_DEVICE;
}

bool model_has_callbacks(const struct model_region *region)
{
	return region->kind == FH_REGION_MMIO || region->kind == FH_REGION_ROM_DEVICE;
}

uint8_t model_log_mask(const struct model *model, int index)
{
	const struct model_region *region = &model->regions[index];

	return model_has_memory(region) ? region->log_own | model->log_all : 0;
}

static bool is_above(const struct model_region *a, const struct model_region *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a->order > b->order;
}

void model_sort_kids(const struct model *model, struct model_kids *ret)
{
	int fill[MODEL_REGIONS];
	int total = 0;

	memset(fill, 0, sizeof(fill));
	for (int i = 0; i < model->region_slots; i++)
		if (model->regions[i].real && model->regions[i].container != MODEL_NONE)
			fill[model->regions[i].container]++;
	for (int i = 0; i < model->region_slots; i++) {
		ret->begin[i] = total;
		total += fill[i];
		fill[i] = ret->begin[i];
	}
	ret->begin[model->region_slots] = total;
	for (int i = 0; i < model->region_slots; i++) {
		const struct model_region *region = &model->regions[i];

		if (!region->real || region->container == MODEL_NONE)
			continue;
		int at = fill[region->container]++;

		for (; at > ret->begin[region->container] &&
		       is_above(region, &model->regions[ret->kid[at - 1]]); at--)
			ret->kid[at] = ret->kid[at - 1];
		ret->kid[at] = i;
	}
}

static bool reaches(const struct model *model, const struct model_kids *kids, int from, int to,
		    bool *seen)
{
	const struct model_region *region = &model->regions[from];

	if (from == to)
		return true;
	if (seen[from])
		return false;
	seen[from] = true;
	for (int i = kids->begin[from]; i < kids->begin[from + 1]; i++)
		if (reaches(model, kids, kids->kid[i], to, seen))
			return true;
	return region->kind == FH_REGION_ALIAS && region->target != MODEL_NONE &&
	       reaches(model, kids, region->target, to, seen);
}

bool model_reaches(const struct model *model, const struct model_kids *kids, int from, int to)
{
	bool seen[MODEL_REGIONS] = { false };

	return reaches(model, kids, from, to, seen);
}

/* --- Where cells begin ---------------------------------------------------------------------- */

struct edges {
	const struct model *model;
	const struct model_kids *kids;
	bool *seen; /* by region: it has a place; or NULL */
	size_t places;
	size_t count;
	uint64_t first[MODEL_CELLS];
};

/* Offset 0 of the region is seen at @base, and of it what lies in [first, last]. */
static void find_edges(struct edges *edges, int index, wide base, wide first, wide last)
{
	const struct model_region *region = &edges->model->regions[index];

	if (!model_is_visible(edges->model, index))
		return;
	if (first < base)
		first = base;
	if (last > base + real_size(region) - 1)
		last = base + real_size(region) - 1;
	if (first > last || edges->places > MODEL_INSTANCES)
		return;
	edges->places++;
	if (edges->seen)
		edges->seen[index] = true;
	edges->first[edges->count++] = (uint64_t)first;
	if (last < LAST_ADDRESS)
		edges->first[edges->count++] = (uint64_t)last + 1;
	for (int i = edges->kids->begin[index]; i < edges->kids->begin[index + 1]; i++) {
		const int kid = edges->kids->kid[i];

		find_edges(edges, kid, base + edges->model->regions[kid].addr, first, last);
	}
	if (region->kind == FH_REGION_ALIAS && region->target != MODEL_NONE)
		find_edges(edges, region->target, base - region->alias_offset, first, last);
}

static void start_edges(struct edges *edges, const struct model *model,
			const struct model_kids *kids, int root, bool *seen)
{
	edges->model = model;
	edges->kids = kids;
	edges->seen = seen;
	edges->places = 0;
	edges->count = 0;
	edges->first[edges->count++] = 0;
	if (root != MODEL_NONE)
		find_edges(edges, root, 0, 0, LAST_ADDRESS);
}

size_t oracle_count(const struct model *model, const struct model_kids *kids, int root,
		    bool *ret_seen)
{
	struct edges edges;

	start_edges(&edges, model, kids, root, ret_seen);
	return edges.places;
}

/* Cells of one address beside what is there, of the last address there is, and anywhere. */
static void add_random_edges(struct edges *edges, struct rng *rng)
{
	const size_t found = edges->count;

	edges->first[edges->count++] = UINT64_MAX;
	while (edges->count < MODEL_CELLS) {
		const uint64_t near = edges->first[rng_below(rng, found)];
		const uint64_t any = rng_next(rng) >> rng_below(rng, 64);

		edges->first[edges->count++] = rng_chance(rng, 50) ? any
					       : rng_chance(rng, 50) ? near + 1
								     : near - 1;
	}
}

static int compare_addresses(const void *a, const void *b)
{
	const uint64_t left = *(const uint64_t *)a;
	const uint64_t right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static void sort_edges(struct edges *edges)
{
	size_t kept = 0;

	qsort(edges->first, edges->count, sizeof(edges->first[0]), compare_addresses);
	for (size_t i = 0; i < edges->count; i++)
		if (kept == 0 || edges->first[i] != edges->first[kept - 1])
			edges->first[kept++] = edges->first[i];
	edges->count = kept;
}

/* --- What is at an address ------------------------------------------------------------------ */

struct hit {
	int region;
	uint64_t offset;
	bool readonly, nonvolatile;
	uint64_t path; /* says through which containers and aliases */
};

static bool find_hit(const struct model *model, const struct model_kids *kids, int index,
		     uint64_t offset, struct hit hit, struct hit *ret)
{
	const struct model_region *region = &model->regions[index];

	if (!model_is_visible(model, index) || (wide)offset >= real_size(region))
		return false;
	hit.readonly |= region->readonly;
	hit.nonvolatile |= region->nonvolatile;
	hit.path = (hit.path + (uint64_t)index + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (int i = kids->begin[index]; i < kids->begin[index + 1]; i++) {
		const int kid = kids->kid[i];
		const uint64_t addr = model->regions[kid].addr;

		if (offset >= addr && find_hit(model, kids, kid, offset - addr, hit, ret))
			return true;
	}
	if (region->kind == FH_REGION_CONTAINER)
		return false;
	if (region->kind == FH_REGION_ALIAS) {
		if (region->target == MODEL_NONE || region->alias_offset > UINT64_MAX - offset)
			return false;
		return find_hit(model, kids, region->target, offset + region->alias_offset, hit,
				ret);
	}
	*ret = hit;
	ret->region = index;
	ret->offset = offset;
	ret->readonly |= region->kind == FH_REGION_ROM;
	return true;
}

/* --- Views ---------------------------------------------------------------------------------- */

static struct fh_section section_of(const struct model *model, const struct hit *hit,
				    uint64_t first)
{
	const struct model_region *region = &model->regions[hit->region];
	struct fh_section section;

	memset(&section, 0, sizeof(section));
	section.first = first;
	section.region = region->real;
	section.offset = hit->offset;
	section.readonly = hit->readonly;
	section.nonvolatile = hit->nonvolatile;
	section.rom_mode = region->kind == FH_REGION_ROM_DEVICE && region->rom_mode;
	section.device = region->kind == FH_REGION_RAM_DEVICE;
	if (region->kind == FH_REGION_RAM || region->kind == FH_REGION_ROM || section.rom_mode ||
	    section.device)
		section.ptr = region->ram + hit->offset;
	section.log_mask = model_log_mask(model, hit->region);
	return section;
}

/* Would @b, which begins right behind @a, continue the same range? */
static bool continues(const struct model *model, const struct hit *a, const struct fh_section *at_a,
		      const struct hit *b, uint64_t first)
{
	return a->region == b->region && a->offset + (first - at_a->first) == b->offset &&
	       a->readonly == b->readonly && a->nonvolatile == b->nonvolatile &&
	       (a->path == b->path || !model->regions[a->region].unmergeable);
}

void oracle_paint(const struct model *model, const struct model_kids *kids, int root,
		  struct rng *rng, struct view *ret)
{
	struct edges edges;
	struct hit run = { .region = MODEL_NONE }; /* the hit with which the last range begins */

	start_edges(&edges, model, kids, root, NULL);
	if (rng)
		add_random_edges(&edges, rng);
	sort_edges(&edges);
	ret->count = 0;
	for (size_t i = 0; i < edges.count; i++) {
		const uint64_t first = edges.first[i];
		const uint64_t last =
			i + 1 < edges.count ? edges.first[i + 1] - 1 : UINT64_MAX;
		struct fh_section *before = ret->count > 0 ? &ret->at[ret->count - 1] : NULL;
		struct hit hit;

		if (root == MODEL_NONE ||
		    !find_hit(model, kids, root, first, (struct hit){ .path = 0 }, &hit))
			continue;
		if (before && before->last + 1 == first &&
		    continues(model, &run, before, &hit, first)) {
			before->last = last;
			run.path = hit.path;
			continue;
		}
		run = hit;
		ret->at[ret->count] = section_of(model, &hit, first);
		ret->at[ret->count++].last = last;
	}
}

bool section_equal(const struct fh_section *a, const struct fh_section *b)
{
	return a->first == b->first && a->last == b->last && a->region == b->region &&
	       a->offset == b->offset && a->ptr == b->ptr && a->readonly == b->readonly &&
	       a->rom_mode == b->rom_mode && a->nonvolatile == b->nonvolatile &&
	       a->device == b->device;
}

bool view_equal(const struct view *a, const struct view *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!section_equal(&a->at[i], &b->at[i]))
			return false;
	return true;
}

void view_difference(const struct view *from, const struct view *to, struct view *ret_removed,
		     struct view *ret_added)
{
	size_t i = 0, j = 0;

	ret_removed->count = ret_added->count = 0;
	while (i < from->count || j < to->count) {
		if (i < from->count && j < to->count && section_equal(&from->at[i], &to->at[j])) {
			i++;
			j++;
		} else if (j == to->count ||
			   (i < from->count && from->at[i].first <= to->at[j].first)) {
			ret_removed->at[ret_removed->count++] = from->at[i++];
		} else {
			ret_added->at[ret_added->count++] = to->at[j++];
		}
	}
}
