/* SPDX-License-Identifier: MIT */
/*
 * A map as JSON, in the format that map-load.c reads, from what the library says. Written piece by
 * piece, a region a line, because the whole may be large.
 *
 * R1. Reading the output and printing it again gives the same bytes.
 */
#include "cli/map.h"

#include <inttypes.h>
#include <stdlib.h>

#include <jansson.h>

static void put_string(const char *text, FILE *out)
{
	json_t *const json = json_string(text);

	if (json == NULL)
		abort();
	json_dumpf(json, out, JSON_ENCODE_ANY);
	json_decref(json);
}

static void put_hex(const char *key, uint64_t value, FILE *out)
{
	fprintf(out, ",\"%s\":\"0x%" PRIx64 "\"", key, value);
}

static void put_number(uint32_t number, FILE *out)
{
	if (number == FH_MAP_NONE)
		fputs("null", out);
	else
		fprintf(out, "%u", number);
}

/* --- Regions -------------------------------------------------------------------------------- */

static void put_switches(const struct fh_map_region *region, const struct fh_region_info *info,
			 FILE *out)
{
	/* What makes ROM of RAM is its kind; the file may say it once more. */
	const bool readonly = region->kind == FH_MAP_ROM ? region->readonly : info->readonly;

	if (info->priority != 0)
		fprintf(out, ",\"priority\":%d", info->priority);
	if (!info->enabled)
		fputs(",\"enabled\":false", out);
	if (readonly)
		fputs(",\"readonly\":true", out);
	if (info->nonvolatile)
		fputs(",\"nonvolatile\":true", out);
	if (info->unmergeable)
		fputs(",\"unmergeable\":true", out);
	if (region->kind == FH_MAP_ROMD && !info->rom_mode)
		fputs(",\"rom_mode\":false", out);
}

static void put_subs(const struct fh_map *map, struct fh_region *region, FILE *out)
{
	size_t count;
	uint32_t *const subs = fh_map_subs(map, region, &count);

	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s%u", i == 0 ? ",\"subregions\":[" : ",", subs[i]);
	if (count > 0)
		putc(']', out);
	free(subs);
}

static void put_region(const struct fh_map *map, const struct fh_map_region *region, FILE *out)
{
	const struct fh_region_info info = fh_region_get_info(region->region);

	fputs("{\"name\":", out);
	put_string(region->name, out);
	fprintf(out, ",\"kind\":\"%s\"", fh_map_kind_names[region->kind]);
	/* One that is in no container has an address only in the file. */
	put_hex("addr", info.container != NULL ? info.addr : region->addr, out);
	if (info.size == FH_SIZE_ALL)
		fputs(",\"size\":\"0x10000000000000000\"", out);
	else
		put_hex("size", info.size, out);
	put_switches(region, &info, out);
	put_subs(map, region->region, out);
	if (info.kind == FH_REGION_ALIAS) {
		fputs(",\"alias\":{\"target\":", out);
		put_number(info.alias_target != NULL ? fh_map_number(map, info.alias_target) :
						       FH_MAP_NONE,
			   out);
		put_hex("offset", info.alias_offset, out);
		putc('}', out);
	}
	putc('}', out);
}

/* --- Spaces --------------------------------------------------------------------------------- */

struct listing {
	const struct fh_map *map;
	FILE *out;
	bool started;
};

static bool put_range(const struct fh_section *section, void *arg)
{
	struct listing *const listing = arg;
	FILE *const out = listing->out;

	fprintf(out, "%s\n  {\"first\":\"0x%" PRIx64 "\"", listing->started ? "," : "",
		section->first);
	put_hex("last", section->last, out);
	fputs(",\"region\":", out);
	put_number(fh_map_number(listing->map, section->region), out);
	put_hex("offset", section->offset, out);
	fprintf(out, ",\"as\":\"%s\"%s}", fh_map_shows_as(listing->map, section),
		section->nonvolatile ? ",\"nonvolatile\":true" : "");
	listing->started = true;
	return true;
}

static void put_space(const struct fh_map *map, const struct fh_map_space *space, FILE *out)
{
	struct listing listing = { .map = map, .out = out };
	struct fh_region *const root = fh_space_root(space->space);

	fputs("{\"name\":", out);
	put_string(space->name, out);
	fputs(",\"root\":", out);
	put_number(root != NULL ? fh_map_number(map, root) : FH_MAP_NONE, out);
	fputs(",\"flat\":[", out);
	fh_space_each(space->space, put_range, &listing);
	fputs("]}", out);
}

void fh_map_print_json(const struct fh_map *map, FILE *out)
{
	putc('{', out);
	if (map->origin != NULL) {
		fputs("\"origin\":", out);
		put_string(map->origin, out);
		fputs(",\n", out);
	}
	fputs("\"regions\":[", out);
	for (size_t i = 0; i < map->region_count; i++) {
		fputs(i == 0 ? "\n " : ",\n ", out);
		put_region(map, &map->regions[i], out);
	}
	fputs("],\n\"spaces\":[", out);
	for (size_t i = 0; i < map->space_count; i++) {
		fputs(i == 0 ? "\n " : ",\n ", out);
		put_space(map, &map->spaces[i], out);
	}
	fputs("]}\n", out);
}
