/* SPDX-License-Identifier: MIT */
/*
 * From a JSON file to a struct fh_map: everything that can be wrong with a file is found here and
 * in map-graph.c, so that what builds, prints and compares maps need not look again.
 *
 * The format: {"origin": text, "regions": [...], "spaces": [...]}; addresses and sizes are texts
 * in hexadecimal, because JSON numbers are not exact up to 2^64; regions refer to each other by
 * their place in the list.
 */
#include "cli/map.h"

#include <stdlib.h>
#include <string.h>

#include "cli/map-file.h"

const char *const fh_map_kind_names[FH_MAP_KINDS] = {
	[FH_MAP_CONTAINER] = "container",
	[FH_MAP_MMIO] = "mmio",
	[FH_MAP_RAM] = "ram",
	[FH_MAP_ROM] = "rom",
	[FH_MAP_ROMD] = "romd",
	[FH_MAP_RAMD] = "ramd",
	[FH_MAP_ALIAS] = "alias",
	[FH_MAP_RESERVATION] = "reservation",
	[FH_MAP_IOMMU] = "iommu",
};

/* What a range of a flat view can show as. */
static const char *const shown_names[] = {
	"ram", "rom", "romd", "ramd", "i/o", "reservation", "iommu"
};

static const char *const map_keys[] = { "origin", "regions", "spaces", NULL };
static const char *const region_keys[] = {
	"name", "kind", "addr", "size", "priority", "enabled", "readonly", "nonvolatile",
	"unmergeable", "rom_mode", "shown", "subregions", "alias", "owner", "parent", NULL
};
static const char *const alias_keys[] = { "target", "offset", NULL };
static const char *const owner_keys[] = { "path", "device", NULL };
static const char *const space_keys[] = { "name", "parent", "root", "flat", NULL };
static const char *const range_keys[] = {
	"first", "last", "region", "offset", "as", "nonvolatile", NULL
};

/* Room for a place in the file, and for a place within that. */
#define WHERE_SIZE 64
#define INNER_SIZE (2 * WHERE_SIZE)

static enum fh_code no_memory(struct fh_error *err)
{
	return fh_error_set(err, FH_ENOMEM, "not enough memory for it");
}

static enum fh_code copy_text(char **ret_copy, const char *text, struct fh_error *err)
{
	*ret_copy = strdup(text);
	return *ret_copy != NULL ? FH_OK : no_memory(err);
}

/* --- Owners --------------------------------------------------------------------------------- */

/* One that is missing is none. */
static enum fh_code load_owner(struct fh_map_owner *owner, json_t *json, const char *where,
			       const char *key, struct fh_error *err)
{
	json_t *const value = json_object_get(json, key);
	char inner[INNER_SIZE];
	const char *path = NULL;
	enum fh_code code;

	if (value == NULL)
		return FH_OK;
	snprintf(inner, sizeof(inner), "%s.%s", where, key);
	if (owner->path != NULL)
		return fh_error_set(err, FH_EFORMAT, "%s: what has an owner has no parent", inner);
	code = fh_map_check_keys(value, inner, owner_keys, err);
	if (code == FH_OK)
		code = fh_map_get_text(value, inner, "path", &path, err);
	if (code == FH_OK)
		code = copy_text(&owner->path, path, err);
	if (code == FH_OK)
		code = fh_map_get_bool(value, inner, "device", &owner->is_device, err);
	owner->is_parent = strcmp(key, "parent") == 0;
	return code;
}

/* --- Regions -------------------------------------------------------------------------------- */

static enum fh_code load_kind(struct fh_map_region *region, json_t *json, const char *where,
			      struct fh_error *err)
{
	const char *kind;
	const enum fh_code code = fh_map_get_text(json, where, "kind", &kind, err);

	if (code != FH_OK)
		return code;
	for (int i = 0; i < FH_MAP_KINDS; i++) {
		if (strcmp(kind, fh_map_kind_names[i]) == 0) {
			region->kind = (enum fh_map_kind)i;
			return FH_OK;
		}
	}
	return fh_error_set(err, FH_EFORMAT, "%s.kind: there is no kind \"%.40s\"", where, kind);
}

static enum fh_code load_switches(struct fh_map_region *region, json_t *json, const char *where,
				  struct fh_error *err)
{
	const struct {
		const char *key;
		bool *field;
	} switches[] = {
		{ "enabled", &region->enabled },	 { "readonly", &region->readonly },
		{ "nonvolatile", &region->nonvolatile }, { "unmergeable", &region->unmergeable },
		{ "rom_mode", &region->rom_mode },	 { "shown", &region->shown },
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		const enum fh_code code =
			fh_map_get_bool(json, where, switches[i].key, switches[i].field, err);

		if (code != FH_OK)
			return code;
	}
	if (json_object_get(json, "rom_mode") != NULL && region->kind != FH_MAP_ROMD)
		return fh_error_set(err, FH_EFORMAT, "%s.rom_mode: only a romd has one", where);
	return FH_OK;
}

static enum fh_code load_alias(const struct fh_map *map, struct fh_map_region *region, json_t *json,
			       const char *where, struct fh_error *err)
{
	json_t *const alias = json_object_get(json, "alias");
	char inner[INNER_SIZE];
	enum fh_code code;

	if (region->kind != FH_MAP_ALIAS && alias == NULL)
		return FH_OK;
	if (region->kind != FH_MAP_ALIAS)
		return fh_error_set(err, FH_EFORMAT, "%s.alias: its kind is not alias", where);
	snprintf(inner, sizeof(inner), "%s.alias", where);
	if (alias == NULL)
		return fh_error_set(err, FH_EFORMAT, "%s: missing", inner);
	code = fh_map_check_keys(alias, inner, alias_keys, err);
	if (code == FH_OK)
		code = fh_map_get_number(alias, inner, "target", map->region_count, true,
					 &region->target, err);
	if (code == FH_OK)
		code = fh_map_get_hex(alias, inner, "offset", &region->alias_offset, err);
	return code;
}

static enum fh_code load_sub(struct fh_map *map, uint32_t number, json_t *json, const char *where,
			     size_t place, struct fh_error *err)
{
	struct fh_map_region *const region = &map->regions[number];
	const json_int_t value = json_is_integer(json) ? json_integer_value(json) : -1;

	if (value < 0 || (uint64_t)value >= map->region_count)
		return fh_error_set(err, FH_ERANGE,
				    "%s.subregions[%zu]: not the number of a region", where, place);

	struct fh_map_region *const sub = &map->regions[value];

	if (sub->container != FH_MAP_NONE)
		return fh_error_set(err, FH_EFORMAT,
				    "%s.subregions[%zu]: region %" JSON_INTEGER_FORMAT
				    " is already a subregion of region %u",
				    where, place, value, sub->container);
	sub->container = number;
	region->subs[region->sub_count++] = (uint32_t)value;
	return FH_OK;
}

static enum fh_code load_subs(struct fh_map *map, uint32_t number, json_t *json, const char *where,
			      struct fh_error *err)
{
	struct fh_map_region *const region = &map->regions[number];
	json_t *list;
	enum fh_code code = fh_map_get_list(json, where, "subregions", true, &list, err);

	if (code != FH_OK || list == NULL || json_array_size(list) == 0)
		return code;
	region->subs = calloc(json_array_size(list), sizeof(*region->subs));
	if (region->subs == NULL)
		return no_memory(err);
	for (size_t i = 0; i < json_array_size(list) && code == FH_OK; i++)
		code = load_sub(map, number, json_array_get(list, i), where, i, err);
	return code;
}

static enum fh_code load_region(struct fh_map *map, uint32_t number, json_t *json,
				struct fh_error *err)
{
	struct fh_map_region *const region = &map->regions[number];
	char where[WHERE_SIZE];
	const char *name = NULL;
	enum fh_code code;

	snprintf(where, sizeof(where), "regions[%u]", number);
	code = fh_map_check_keys(json, where, region_keys, err);
	if (code == FH_OK)
		code = fh_map_get_text(json, where, "name", &name, err);
	if (code == FH_OK)
		code = copy_text(&region->name, name, err);
	if (code == FH_OK)
		code = load_kind(region, json, where, err);
	if (code == FH_OK)
		code = fh_map_get_hex(json, where, "addr", &region->addr, err);
	if (code == FH_OK)
		code = fh_map_get_size(json, where, "size", &region->size, err);
	if (code == FH_OK)
		code = fh_map_get_i32(json, where, "priority", &region->priority, err);
	if (code == FH_OK)
		code = load_switches(region, json, where, err);
	if (code == FH_OK)
		code = load_alias(map, region, json, where, err);
	if (code == FH_OK)
		code = load_subs(map, number, json, where, err);
	if (code == FH_OK)
		code = load_owner(&region->owner, json, where, "owner", err);
	if (code == FH_OK)
		code = load_owner(&region->owner, json, where, "parent", err);
	return code;
}

static enum fh_code load_regions(struct fh_map *map, json_t *json, struct fh_error *err)
{
	json_t *list;
	enum fh_code code = fh_map_get_list(json, "map", "regions", false, &list, err);

	if (code != FH_OK)
		return code;

	const size_t count = json_array_size(list);

	map->regions = calloc(count + 1, sizeof(*map->regions));
	if (map->regions == NULL)
		return no_memory(err);
	map->region_count = count;
	for (size_t i = 0; i < count; i++) {
		map->regions[i].enabled = true;
		map->regions[i].shown = true;
		map->regions[i].rom_mode = true;
		map->regions[i].container = FH_MAP_NONE;
		map->regions[i].target = FH_MAP_NONE;
	}
	for (size_t i = 0; i < count && code == FH_OK; i++)
		code = load_region(map, (uint32_t)i, json_array_get(list, i), err);
	return code;
}

/* --- Spaces --------------------------------------------------------------------------------- */

static enum fh_code load_as(struct fh_map_range *range, json_t *json, const char *where,
			    struct fh_error *err)
{
	const char *as;
	const enum fh_code code = fh_map_get_text(json, where, "as", &as, err);

	if (code != FH_OK)
		return code;
	for (size_t i = 0; i < sizeof(shown_names) / sizeof(shown_names[0]); i++) {
		if (strcmp(as, shown_names[i]) == 0) {
			range->as = shown_names[i];
			return FH_OK;
		}
	}
	return fh_error_set(err, FH_EFORMAT, "%s.as: nothing shows as \"%.40s\"", where, as);
}

static enum fh_code load_range(const struct fh_map *map, struct fh_map_range *range, json_t *json,
			       const char *where, struct fh_error *err)
{
	enum fh_code code = fh_map_check_keys(json, where, range_keys, err);

	if (code == FH_OK)
		code = fh_map_get_hex(json, where, "first", &range->first, err);
	if (code == FH_OK)
		code = fh_map_get_hex(json, where, "last", &range->last, err);
	if (code == FH_OK && range->last < range->first)
		code = fh_error_set(err, FH_ERANGE, "%s.last: less than first", where);
	if (code == FH_OK)
		code = fh_map_get_number(json, where, "region", map->region_count, false,
					 &range->region, err);
	if (code == FH_OK)
		code = fh_map_get_hex(json, where, "offset", &range->offset, err);
	if (code == FH_OK)
		code = load_as(range, json, where, err);
	if (code == FH_OK)
		code = fh_map_get_bool(json, where, "nonvolatile", &range->nonvolatile, err);
	return code;
}

static enum fh_code load_flat(const struct fh_map *map, struct fh_map_space *space, json_t *json,
			      const char *where, struct fh_error *err)
{
	json_t *list;
	enum fh_code code = fh_map_get_list(json, where, "flat", true, &list, err);

	if (code != FH_OK || list == NULL)
		return code;
	space->flat = calloc(json_array_size(list) + 1, sizeof(*space->flat));
	if (space->flat == NULL)
		return no_memory(err);
	space->flat_count = json_array_size(list);
	space->has_flat = true;
	for (size_t i = 0; i < space->flat_count && code == FH_OK; i++) {
		char inner[INNER_SIZE];

		snprintf(inner, sizeof(inner), "%s.flat[%zu]", where, i);
		code = load_range(map, &space->flat[i], json_array_get(list, i), inner, err);
	}
	return code;
}

static enum fh_code load_space(const struct fh_map *map, struct fh_map_space *space, json_t *json,
			       const char *where, struct fh_error *err)
{
	const char *name = NULL;
	enum fh_code code = fh_map_check_keys(json, where, space_keys, err);

	if (code == FH_OK)
		code = fh_map_get_text(json, where, "name", &name, err);
	if (code == FH_OK)
		code = copy_text(&space->name, name, err);
	if (code == FH_OK)
		code = load_owner(&space->owner, json, where, "parent", err);
	if (code == FH_OK)
		code = fh_map_get_number(json, where, "root", map->region_count, true, &space->root,
					 err);
	if (code == FH_OK)
		code = load_flat(map, space, json, where, err);
	return code;
}

static enum fh_code load_spaces(struct fh_map *map, json_t *json, struct fh_error *err)
{
	json_t *list;
	enum fh_code code = fh_map_get_list(json, "map", "spaces", false, &list, err);

	if (code != FH_OK)
		return code;
	map->spaces = calloc(json_array_size(list) + 1, sizeof(*map->spaces));
	if (map->spaces == NULL)
		return no_memory(err);
	map->space_count = json_array_size(list);
	for (size_t i = 0; i < map->space_count && code == FH_OK; i++) {
		char where[WHERE_SIZE];

		snprintf(where, sizeof(where), "spaces[%zu]", i);
		code = load_space(map, &map->spaces[i], json_array_get(list, i), where, err);
	}
	return code;
}

/* --- The whole ------------------------------------------------------------------------------ */

static enum fh_code load(struct fh_map *map, json_t *json, struct fh_error *err)
{
	enum fh_code code = fh_map_check_keys(json, "map", map_keys, err);

	if (code == FH_OK && json_object_get(json, "origin") != NULL) {
		const char *origin = NULL;

		code = fh_map_get_text(json, "map", "origin", &origin, err);
		if (code == FH_OK)
			code = copy_text(&map->origin, origin, err);
	}
	if (code == FH_OK)
		code = load_regions(map, json, err);
	if (code == FH_OK)
		code = load_spaces(map, json, err);
	if (code == FH_OK)
		code = fh_map_check_graph(map, err);
	return code;
}

/* @json (consumed) may be NULL. */
static struct fh_map *load_json(json_t *json, struct fh_error *err)
{
	struct fh_map *map;

	if (json == NULL)
		return NULL;
	map = calloc(1, sizeof(*map));

	if (map == NULL)
		no_memory(err);
	else if (load(map, json, err) != FH_OK)
		map = fh_map_free(map);
	json_decref(json);
	return map;
}

struct fh_map *fh_map_load(const char *path, struct fh_error *err)
{
	return load_json(fh_map_read_json(path, err), err);
}

struct fh_map *fh_map_load_text(const char *text, size_t size, struct fh_error *err)
{
	return load_json(fh_map_parse_json(text, size, err), err);
}

struct fh_map *fh_map_free(struct fh_map *map)
{
	if (map == NULL)
		return NULL;
	fh_map_demolish(map);
	for (size_t i = 0; i < map->region_count; i++) {
		free(map->regions[i].name);
		free(map->regions[i].owner.path);
		free(map->regions[i].subs);
	}
	for (size_t i = 0; i < map->space_count; i++) {
		free(map->spaces[i].name);
		free(map->spaces[i].owner.path);
		free(map->spaces[i].flat);
	}
	free(map->regions);
	free(map->spaces);
	free(map->origin);
	free(map);
	return NULL;
}

void fh_map_freep(struct fh_map **map)
{
	*map = fh_map_free(*map);
}
