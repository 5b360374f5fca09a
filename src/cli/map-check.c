/* SPDX-License-Identifier: MIT */
/*
 * A map against the flat views in its file: of each space that differs, the first difference.
 *
 * Regions are the same if they have the same number. A file may list one physical region under two
 * numbers; each place that shows it is then held to the number it goes by there, so nothing is let
 * through that the tree does not say.
 */
#include "cli/map.h"

#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"

static bool is_same(const struct fh_listed_range *a, const struct fh_map_range *b)
{
	return a->first == b->first && a->last == b->last && a->region == b->region &&
	       a->offset == b->offset && a->nonvolatile == b->nonvolatile &&
	       strcmp(a->as, b->as) == 0;
}

static void put_range(const struct fh_map *map, const struct fh_map_range *range, FILE *out)
{
	fprintf(out, "%016" PRIx64 "-%016" PRIx64 " (%s%s) region %u \"", range->first, range->last,
		range->nonvolatile ? "nv-" : "", range->as, range->region);
	fh_cli_put_text(range->region < map->region_count ? map->regions[range->region].name : "",
			out);
	fprintf(out, "\" @%016" PRIx64, range->offset);
}

/* @range is NULL if the view has no more. */
static void put_difference(const struct fh_map *map, const struct fh_map_space *space, size_t at,
			   const struct fh_listed_range *range, const char *path, FILE *out)
{
	fh_cli_put_text(path, out);
	fprintf(out, ": spaces[%zu] \"", (size_t)(space - map->spaces));
	fh_cli_put_text(space->name, out);
	fprintf(out, "\": flat[%zu]: the file has ", at);
	if (at < space->flat_count)
		put_range(map, &space->flat[at], out);
	else
		fputs("no more", out);
	fputs(", the view ", out);
	if (range != NULL)
		put_range(map,
			  &(struct fh_map_range){ .first = range->first,
						  .last = range->last,
						  .offset = range->offset,
						  .region = range->region,
						  .nonvolatile = range->nonvolatile,
						  .as = range->as },
			  out);
	else
		fputs("no more", out);
	putc('\n', out);
}

/* How many ranges agree, from the first on. */
static size_t count_same(const struct fh_map_space *space, const struct fh_listed_range *ranges,
			 size_t count)
{
	size_t at = 0;

	while (at < count && at < space->flat_count && is_same(&ranges[at], &space->flat[at]))
		at++;
	return at;
}

void fh_map_compare(const struct fh_map *map, const char *path, FILE *out,
		    struct fh_map_tally *tally)
{
	FH_CLEANUP(fh_listing_freep) struct fh_listing *listing = fh_map_list(map);

	for (size_t i = 0; i < map->space_count; i++) {
		const struct fh_map_space *const space = &map->spaces[i];
		const size_t count = listing->spaces[i].range_count;
		const struct fh_listed_range *const ranges =
			count > 0 ? &listing->ranges[listing->spaces[i].first_range] : NULL;
		const size_t same = count_same(space, ranges, count);
		const bool differs = same < count || same < space->flat_count;

		if (differs)
			put_difference(map, space, same, same < count ? &ranges[same] : NULL, path,
				       out);
		tally->exact += !differs;
		tally->differ += differs;
	}
}
