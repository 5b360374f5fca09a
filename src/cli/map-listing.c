/* SPDX-License-Identifier: MIT */
/*
 * A map that is built, as a listing in the file's terms: what the library says, under the file's
 * numbers and names.
 *
 * R1. From the file come texts (names, owners) and what kind of memory a region has, which the
 *     library was not told (some ROM): see map-build.c. All else is the library's.
 */
#include "cli/map.h"

#include <stdlib.h>
#include <string.h>

static void *new_array(size_t count, size_t size)
{
	void *const array = calloc(count + 1, size);

	if (array == NULL)
		abort();
	return array;
}

/* The file's numbers of the listing's regions. */
static uint32_t *translate(const struct fh_map *map, const struct fh_listing *listing)
{
	uint32_t *const numbers = new_array(listing->region_count, sizeof(*numbers));

	for (size_t i = 0; i < listing->region_count; i++)
		numbers[i] = fh_map_number(map, listing->regions[i].region);
	return numbers;
}

static uint32_t translated(const uint32_t *numbers, uint32_t number)
{
	return number != FH_LISTED_NONE ? numbers[number] : FH_LISTED_NONE;
}

static struct fh_listed_owner owner_in_file(const struct fh_map_owner *owner)
{
	return (struct fh_listed_owner){
		.path = owner->path,
		.is_device = owner->is_device,
		.is_parent = owner->is_parent,
	};
}

static void adjust_region(const struct fh_map_region *from, const uint32_t *numbers,
			  struct fh_listed_region *region)
{
	region->name = from->name;
	region->kind = fh_map_kind_names[from->kind];
	region->owner = owner_in_file(&from->owner);
	/* What makes ROM of RAM is its kind; the file may say it once more. */
	if (from->kind == FH_MAP_ROM)
		region->readonly = from->readonly;
	region->container = translated(numbers, region->container);
	region->target = translated(numbers, region->target);
	for (uint32_t i = 0; i < region->sub_count; i++)
		region->subs[i] = translated(numbers, region->subs[i]);
}

/* Without the machine's own container and what unrolled aliases need. */
static void adjust_regions(const struct fh_map *map, const uint32_t *numbers,
			   struct fh_listing *listing)
{
	struct fh_listed_region *const regions = new_array(map->region_count, sizeof(*regions));

	for (size_t i = 0; i < listing->region_count; i++) {
		const uint32_t number = numbers[i];

		if (number == FH_MAP_NONE ||
		    map->regions[number].region != listing->regions[i].region)
			continue;
		regions[number] = listing->regions[i];
		adjust_region(&map->regions[number], numbers, &regions[number]);
	}
	listing->region_count = map->region_count;
	memcpy(listing->regions, regions, map->region_count * sizeof(*regions));
	free(regions);
}

static void adjust_ranges(const uint32_t *numbers, struct fh_listing *listing)
{
	for (size_t i = 0; i < listing->range_count; i++)
		listing->ranges[i].region = translated(numbers, listing->ranges[i].region);
}

/* Without the machine's own. */
static void adjust_spaces(const struct fh_map *map, const uint32_t *numbers,
			  struct fh_listing *listing)
{
	size_t count = 0;

	for (size_t i = 0; i < listing->space_count && count < map->space_count; i++) {
		const struct fh_map_space *const from = &map->spaces[count];

		if (listing->spaces[i].space != from->space)
			continue;
		listing->spaces[count] = listing->spaces[i];
		listing->spaces[count].name = from->name;
		listing->spaces[count].owner = owner_in_file(&from->owner);
		listing->spaces[count].root = translated(numbers, listing->spaces[i].root);
		count++;
	}
	listing->space_count = count;
}

struct fh_listing *fh_map_list(const struct fh_map *map)
{
	struct fh_listing *const listing = fh_listing_new(map->m, NULL);
	uint32_t *const numbers = translate(map, listing);

	listing->origin = map->origin;
	adjust_regions(map, numbers, listing);
	adjust_ranges(numbers, listing);
	adjust_spaces(map, numbers, listing);
	free(numbers);
	return listing;
}
