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

struct comparison {
	const struct fh_map *map;
	const struct fh_map_space *space;
	size_t at;		  /* ranges that agreed */
	bool differs;
	bool found;		  /* there is a range in the view where they differ */
	struct fh_map_range range; /* that one */
};

static bool is_same(const struct fh_map_range *a, const struct fh_map_range *b)
{
	return a->first == b->first && a->last == b->last && a->region == b->region &&
	       a->offset == b->offset && a->nonvolatile == b->nonvolatile &&
	       strcmp(a->as, b->as) == 0;
}

static bool compare_range(const struct fh_section *section, void *arg)
{
	struct comparison *const comparison = arg;
	const struct fh_map_space *const space = comparison->space;

	comparison->range = (struct fh_map_range){
		.first = section->first,
		.last = section->last,
		.offset = section->offset,
		.region = fh_map_number(comparison->map, section->region),
		.nonvolatile = section->nonvolatile,
		.as = fh_map_shows_as(comparison->map, section),
	};
	if (comparison->at < space->flat_count &&
	    is_same(&comparison->range, &space->flat[comparison->at])) {
		comparison->at++;
		return true;
	}
	comparison->differs = true;
	comparison->found = true;
	return false;
}

static void put_range(const struct fh_map *map, const struct fh_map_range *range, FILE *out)
{
	fprintf(out, "%016" PRIx64 "-%016" PRIx64 " (%s%s) region %u \"", range->first, range->last,
		range->nonvolatile ? "nv-" : "", range->as, range->region);
	fh_cli_put_text(range->region < map->region_count ? map->regions[range->region].name : "",
			out);
	fprintf(out, "\" @%016" PRIx64, range->offset);
}

static void put_difference(const struct comparison *comparison, const char *path, FILE *out)
{
	const struct fh_map *const map = comparison->map;
	const struct fh_map_space *const space = comparison->space;

	fh_cli_put_text(path, out);
	fprintf(out, ": spaces[%zu] \"", (size_t)(space - map->spaces));
	fh_cli_put_text(space->name, out);
	fprintf(out, "\": flat[%zu]: the file has ", comparison->at);
	if (comparison->at < space->flat_count)
		put_range(map, &space->flat[comparison->at], out);
	else
		fputs("no more", out);
	fputs(", the view ", out);
	if (comparison->found)
		put_range(map, &comparison->range, out);
	else
		fputs("no more", out);
	putc('\n', out);
}

void fh_map_compare(const struct fh_map *map, const char *path, FILE *out,
		    struct fh_map_tally *tally)
{
	for (size_t i = 0; i < map->space_count; i++) {
		struct comparison comparison = { .map = map, .space = &map->spaces[i] };

		fh_space_each(map->spaces[i].space, compare_range, &comparison);
		if (comparison.at < map->spaces[i].flat_count)
			comparison.differs = true;
		if (comparison.differs)
			put_difference(&comparison, path, out);
		tally->exact += !comparison.differs;
		tally->differ += comparison.differs;
	}
}
