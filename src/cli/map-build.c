/* SPDX-License-Identifier: MIT */
/*
 * From a struct fh_map to a machine, through the library's public headers.
 *
 * R1. Nothing in the machine is ever accessed. RAM of any size stands on one page that cannot be
 *     read: files describe machines with terabytes.
 * R2. Spaces come last, when all regions are in place, and go first: each view is rendered once.
 * R3. Regions and spaces have no owner but the caller, because a file's names need not be unique.
 *     Only what is not shown belongs to a device, one that is never realized.
 * R4. For an unrolled alias the machine has a container in the place of the alias' target, with
 *     an alias of each subregion that the window meets. To whoever prints or compares, this
 *     container is the target: it has the target's number.
 */
#include "cli/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <freehold/device.h>
#include <freehold/iommu.h>
#include <freehold/object.h>

static const struct fh_region_ops no_registers;

/* Never called: see R1. */
static enum fh_tx translate_nothing(void *state, uint64_t addr, unsigned access, unsigned index,
				    struct fh_attrs attrs, struct fh_translation *ret)
{
	(void)state;
	(void)addr;
	(void)access;
	(void)index;
	(void)attrs;
	(void)ret;
	return FH_TX_DECODE_ERROR;
}

static const struct fh_iommu_ops no_translations = { .translate = translate_nothing };

static const struct fh_device_ops hidden_ops;
static const struct fh_type hidden_type = {
	.name = "hidden", .parent = &fh_device_type, .device = &hidden_ops
};

/* A name that the library does not take is ours alone. */
static const char *library_name(const char *name)
{
	return name[0] == '\0' || strchr(name, '/') != NULL ? NULL : name;
}

/* --- Regions -------------------------------------------------------------------------------- */

/*
 * A view knows ROM as RAM that is read-only, and such RAM need not exist. But that mark would be
 * inherited by subregions, as being ROM is not.
 */
static bool is_true_rom(const struct fh_map_region *from)
{
	return from->kind == FH_MAP_ROM && from->sub_count > 0 && from->size != 0;
}

/* Memory of its own, which cannot have 0 bytes, but can be made to have them. */
static struct fh_region *make_rom_device(FH_ANY owner, const char *name, uint64_t size,
					 struct fh_error *err)
{
	struct fh_region *const region = fh_region_new_rom_device(
		owner, name, size != 0 ? size : 1, &no_registers, NULL, err);

	if (region != NULL && size == 0)
		fh_region_resize(region, 0);
	return region;
}

static struct fh_region *make_kind(struct fh_map *map, const struct fh_map_region *from,
				   FH_ANY owner, const char *name, struct fh_error *err)
{
	switch (from->kind) {
	case FH_MAP_CONTAINER:
		return fh_region_new_container(owner, name, from->size);
	case FH_MAP_MMIO:
		return fh_region_new_mmio(owner, name, from->size, &no_registers, NULL);
	case FH_MAP_ROM:
		if (is_true_rom(from))
			return fh_region_new_rom(owner, name, from->size, FH_ROM_IGNORE, err);
		return fh_region_new_ram_ptr(owner, name, from->size, map->backing, NULL, NULL);
	case FH_MAP_RAMD:
		return fh_region_new_ram_device(owner, name, from->size, map->backing, NULL, NULL);
	case FH_MAP_RAM:
		return fh_region_new_ram_ptr(owner, name, from->size, map->backing, NULL, NULL);
	case FH_MAP_ROMD:
		return make_rom_device(owner, name, from->size, err);
	case FH_MAP_ALIAS:
		return fh_region_new_alias(owner, name, NULL, from->alias_offset, from->size);
	case FH_MAP_RESERVATION:
		return fh_region_new_reservation(owner, name, from->size);
	case FH_MAP_IOMMU:
		return fh_region_new_iommu(owner, name, from->size, &no_translations, NULL);
	case FH_MAP_KINDS:
		break;
	}
	return NULL;
}

static struct fh_region *make_region(struct fh_map *map, const struct fh_map_region *from,
				     struct fh_error *err)
{
	struct fh_region *region;

	if (from->shown)
		return make_kind(map, from, map->m, library_name(from->name), err);
	if (map->hidden == NULL)
		map->hidden = fh_device_new(map->m, &hidden_type, NULL, NULL, err);
	if (map->hidden == NULL)
		return NULL;
	region = make_kind(map, from, map->hidden, NULL, err);
	return region != NULL ? fh_object_ref(region) : NULL;
}

static void set_switches(const struct fh_map_region *from)
{
	/* Also for one that lies in no container: it is printed. */
	if (from->addr != 0)
		fh_region_move(from->region, from->addr);
	if (from->priority != 0)
		fh_region_set_priority(from->region, from->priority);
	if (!from->enabled)
		fh_region_set_enabled(from->region, false);
	if (from->readonly || (from->kind == FH_MAP_ROM && !is_true_rom(from)))
		fh_region_set_readonly(from->region, true);
	if (from->nonvolatile)
		fh_region_set_nonvolatile(from->region, true);
	if (from->unmergeable)
		fh_region_set_unmergeable(from->region, true);
	if (!from->rom_mode)
		fh_region_set_rom_mode(from->region, false);
}

static enum fh_code make_regions(struct fh_map *map, struct fh_error *err)
{
	for (size_t i = 0; i < map->region_count; i++) {
		struct fh_map_region *const region = &map->regions[i];

		region->region = make_region(map, region, err);
		if (region->region == NULL) {
			fh_error_set(err, FH_EINVAL, "a %s cannot be made of this",
				     fh_map_kind_names[region->kind]);
			fh_error_prefix(err, "regions[%zu]: ", i);
			return err->code;
		}
		set_switches(region);
	}
	return FH_OK;
}

/* --- Structure ------------------------------------------------------------------------------ */

static const char *reason(enum fh_code code)
{
	return code == FH_ELOOP ? "it would show itself without end" : fh_code_name(code);
}

/* In reverse: of equals the library shows the one added last on top, the file lists it first. */
static enum fh_code add_subs(struct fh_map *map, uint32_t number, struct fh_error *err)
{
	const struct fh_map_region *const region = &map->regions[number];

	for (uint32_t i = region->sub_count; i-- > 0;) {
		const struct fh_map_region *const sub = &map->regions[region->subs[i]];
		const enum fh_code code =
			fh_region_add(region->region, sub->region, sub->addr, sub->priority);

		if (code != FH_OK)
			return fh_error_set(err, code, "regions[%u].subregions[%u]: %s", number, i,
					    reason(code));
	}
	return FH_OK;
}

/* An alias of the whole of @number, as it lies in its container. */
static struct fh_region *make_stand_in(struct fh_map *map, uint32_t number)
{
	const struct fh_map_region *const from = &map->regions[number];

	return fh_region_new_alias(map->m, library_name(from->name), from->region, 0, from->size);
}

/* The container of an unrolled alias: see R4. */
static enum fh_code make_copy(struct fh_map *map, uint32_t alias, struct fh_region **ret_copy,
			      struct fh_error *err)
{
	const struct fh_map_region *const target = &map->regions[map->regions[alias].target];
	const size_t most = map->extra_count + target->sub_count + 1;
	struct fh_region **const extras = realloc(map->extras, most * sizeof(*extras));
	uint32_t at = 0;

	if (extras == NULL)
		return fh_error_set(err, FH_ENOMEM, "not enough memory for it");
	map->extras = extras;

	struct fh_region *const copy =
		fh_region_new_container(map->m, library_name(target->name), target->size);

	extras[map->extra_count++] = copy;
	fh_region_set_enabled(copy, target->enabled && target->shown);
	fh_region_set_readonly(copy, target->readonly);
	fh_region_set_nonvolatile(copy, target->nonvolatile);

	const size_t first = map->extra_count;

	for (uint32_t sub; (sub = fh_map_next_in_window(map, alias, &at)) != FH_MAP_NONE;)
		extras[map->extra_count++] = make_stand_in(map, sub);
	/* In reverse, as in add_subs(). */
	at = target->sub_count;
	for (size_t i = map->extra_count; i-- > first;) {
		const struct fh_map_region *sub;

		do
			sub = &map->regions[target->subs[--at]];
		while (fh_region_get_info(extras[i]).alias_target != sub->region);

		const enum fh_code code = fh_region_add(copy, extras[i], sub->addr, sub->priority);

		if (code != FH_OK)
			return fh_error_set(err, code, "regions[%u].alias: %s", alias,
					    reason(code));
	}
	*ret_copy = copy;
	return FH_OK;
}

static enum fh_code set_target(struct fh_map *map, uint32_t number, struct fh_error *err)
{
	const struct fh_map_region *const alias = &map->regions[number];
	struct fh_region *target;

	if (alias->target == FH_MAP_NONE)
		return FH_OK;
	target = map->regions[alias->target].region;
	if (alias->unrolled) {
		const enum fh_code code = make_copy(map, number, &target, err);

		if (code != FH_OK)
			return code;
	}

	const enum fh_code code = fh_region_set_alias_target(alias->region, target);

	if (code != FH_OK)
		return fh_error_set(err, code, "regions[%u].alias: %s", number, reason(code));
	return FH_OK;
}

static enum fh_code connect_regions(struct fh_map *map, struct fh_error *err)
{
	enum fh_code code = FH_OK;

	fh_edit_begin(map->m);
	for (size_t i = 0; i < map->region_count && code == FH_OK; i++)
		code = add_subs(map, (uint32_t)i, err);
	for (size_t i = 0; i < map->region_count && code == FH_OK; i++)
		code = set_target(map, (uint32_t)i, err);
	fh_edit_commit(map->m);
	return code;
}

/* --- Numbers -------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
	const struct fh_region *const left = ((const struct fh_map_entry *)a)->region;
	const struct fh_region *const right = ((const struct fh_map_entry *)b)->region;

	return (left > right) - (left < right);
}

static enum fh_code number_regions(struct fh_map *map, struct fh_error *err)
{
	map->entries = calloc(2 * map->region_count + 1, sizeof(*map->entries));
	if (map->entries == NULL)
		return fh_error_set(err, FH_ENOMEM, "not enough memory for it");
	for (size_t i = 0; i < map->region_count; i++) {
		const struct fh_map_region *const region = &map->regions[i];

		map->entries[map->entry_count++] = (struct fh_map_entry){
			.region = region->region, .number = (uint32_t)i
		};
		if (region->unrolled)
			map->entries[map->entry_count++] = (struct fh_map_entry){
				.region = fh_region_get_info(region->region).alias_target,
				.number = region->target,
			};
	}
	qsort(map->entries, map->entry_count, sizeof(*map->entries), compare_entries);
	return FH_OK;
}

uint32_t fh_map_number(const struct fh_map *map, const struct fh_region *region)
{
	const struct fh_map_entry key = { .region = region };
	const struct fh_map_entry *const entry = bsearch(&key, map->entries, map->entry_count,
							 sizeof(key), compare_entries);

	return entry != NULL ? entry->number : FH_MAP_NONE;
}

/* --- The whole ------------------------------------------------------------------------------ */

static void make_spaces(struct fh_map *map)
{
	for (size_t i = 0; i < map->space_count; i++) {
		struct fh_map_space *const space = &map->spaces[i];
		struct fh_region *const root =
			space->root != FH_MAP_NONE ? map->regions[space->root].region : NULL;

		space->space = fh_space_new(map->m, library_name(space->name), root);
	}
}

enum fh_code fh_map_build(struct fh_map *map, struct fh_error *err)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *const backing = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	enum fh_code code;

	if (backing == MAP_FAILED)
		return fh_error_set(err, FH_ENOMEM, "not enough memory for it");
	map->m = fh_machine_new(NULL, err);
	if (!map->m) {
		munmap(backing, page);
		return FH_EAGAIN;
	}
	map->backing = backing;
	code = make_regions(map, err);
	if (code == FH_OK)
		code = connect_regions(map, err);
	if (code == FH_OK)
		code = number_regions(map, err);
	if (code == FH_OK)
		make_spaces(map);
	return code;
}

static void drop_regions(struct fh_map *map)
{
	fh_edit_begin(map->m);
	for (size_t i = 0; i < map->extra_count; i++)
		fh_object_unref(map->extras[i]);
	for (size_t i = 0; i < map->region_count; i++)
		map->regions[i].region = fh_object_unref(map->regions[i].region);
	fh_edit_commit(map->m);
	free(map->extras);
	map->extras = NULL;
	map->extra_count = 0;
}

void fh_map_demolish(struct fh_map *map)
{
	if (map->m == NULL)
		return;
	for (size_t i = 0; i < map->space_count; i++)
		map->spaces[i].space = fh_object_unref(map->spaces[i].space);
	fh_object_dispose(map->hidden);
	map->hidden = NULL;
	drop_regions(map);
	fh_machine_destroyp(&map->m);
	map->m = NULL;
	munmap(map->backing, (size_t)sysconf(_SC_PAGESIZE));
	map->backing = NULL;
	free(map->entries);
	map->entries = NULL;
	map->entry_count = 0;
}
