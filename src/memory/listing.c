/* SPDX-License-Identifier: MIT */
/*
 * Listings: the map as plain values. How they are printed is listing-text.c's and listing-json.c's.
 *
 * R1. All is read in one look under the topology lock. A region that is not detached stays in
 *     memory as long as that is held, because its detach is a transaction; what dies later is only
 *     a pointer that nobody follows.
 * R2. No recursion: the depth of a map is for others to choose.
 */
#include "memory/listing.h"

#include <stdlib.h>
#include <string.h>

#include "memory/space.h"

FH_VECTOR(region_list, struct fh_region *);
FH_VECTOR(range_list, struct fh_listed_range);
FH_VECTOR(sub_list, uint32_t);
FH_VECTOR(text_list, char *);

/* A region and its number. */
struct entry {
	const struct fh_region *region;
	uint32_t number;
};

/* The view of a set that is listed already. */
struct listed_set {
	const struct fh_view_set *set;
	size_t first, count;
};
FH_VECTOR(set_list, struct listed_set);

/* What a listing points to. */
struct memory {
	struct sub_list subs;
	struct text_list texts;
};

struct survey {
	struct fh_machine *m;
	struct fh_listing *listing;
	struct memory *memory;
	struct region_list regions; /* by number */
	struct entry *entries;	    /* by pointer */
	struct range_list ranges;
	struct set_list sets;
};

/* --- Numbers -------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
	const struct fh_region *const left = ((const struct entry *)a)->region;
	const struct fh_region *const right = ((const struct entry *)b)->region;

	return (left > right) - (left < right);
}

static uint32_t number_of(const struct survey *survey, const struct fh_region *region)
{
	const struct entry key = { .region = region };
	const struct entry *entry;

	if (!region || survey->regions.count == 0)
		return FH_LISTED_NONE;
	entry = bsearch(&key, survey->entries, survey->regions.count, sizeof(key),
			compare_entries);
	return entry ? entry->number : FH_LISTED_NONE;
}

static void number_regions(struct survey *survey)
{
	const size_t count = survey->regions.count;

	fh_assert(count < FH_LISTED_NONE);
	fh_free(survey->entries);
	survey->entries = fh_alloc((count + 1) * sizeof(*survey->entries));
	for (size_t i = 0; i < count; i++)
		survey->entries[i] = (struct entry){ survey->regions.at[i], (uint32_t)i };
	qsort(survey->entries, count, sizeof(*survey->entries), compare_entries);
}

/* --- Which regions -------------------------------------------------------------------------- */

static bool is_listed(struct fh_object *object)
{
	return fh_object_cast(object, &fh_region_type) &&
	       fh_object_has(object, FH_OBJECT_BORN) && !fh_object_has(object, FH_OBJECT_DETACHED);
}

/* All of the machine, in the order in which it came to know them. */
static void collect_regions(struct survey *survey)
{
	struct fh_machine *m = survey->m;

	fh_lock_acquire(&m->ledger_lock);
	fh_list_for_each_entry(object, &m->objects, struct fh_object, all) {
		if (is_listed(object))
			fh_vector_add(&survey->regions) = fh_region_of(object);
	}
	fh_lock_release(&m->ledger_lock);
	number_regions(survey);
}

static void reach(const struct survey *survey, const struct fh_region *region, bool *reached,
		  struct sub_list *pending)
{
	const uint32_t number = number_of(survey, region);

	if (number == FH_LISTED_NONE || reached[number])
		return;
	reached[number] = true;
	fh_vector_add(pending) = number;
}

/* Only those stay that can be reached from @root. */
static void keep_reached(struct survey *survey, const struct fh_region *root)
{
	bool *reached = fh_zalloc(survey->regions.count + 1);
	struct sub_list pending = { 0 };
	size_t kept = 0;

	reach(survey, root, reached, &pending);
	while (pending.count > 0) {
		const struct fh_region *region = survey->regions.at[pending.at[--pending.count]];
		struct fh_index_cursor cursor;

		reach(survey, fh_region_target(region), reached, &pending);
		if (!region->links)
			continue;
		fh_index_overlap(&cursor, &region->links->children, 0, UINT64_MAX);
		for (const struct fh_index_entry *entry; (entry = fh_index_next(&cursor));)
			reach(survey, entry->region, reached, &pending);
	}
	for (size_t i = 0; i < survey->regions.count; i++) {
		if (reached[i])
			survey->regions.at[kept++] = survey->regions.at[i];
	}
	survey->regions.count = kept;
	fh_vector_free(&pending);
	fh_free(reached);
	number_regions(survey);
}

/* --- What they are -------------------------------------------------------------------------- */

static const char *kind_of(const struct fh_region *region)
{
	switch ((enum fh_region_kind)region->kind) {
	case FH_REGION_CONTAINER: return "container";
	case FH_REGION_MMIO: return "mmio";
	case FH_REGION_RAM: return "ram";
	case FH_REGION_ROM: return "rom";
	case FH_REGION_ROM_DEVICE: return "romd";
	case FH_REGION_ALIAS: return "alias";
	case FH_REGION_RESERVATION: return "reservation";
	case FH_REGION_IOMMU: return "iommu";
	case FH_REGION_RAM_DEVICE: return "ramd";
	}
	fh_assert(!"a kind of region");
	return NULL;
}

/* Kept with the listing. */
static const char *keep_text(struct survey *survey, char *text)
{
	fh_vector_add(&survey->memory->texts) = text;
	return text;
}

static const char *name_of(struct survey *survey, struct fh_object *object)
{
	const char *name = fh_object_name(object);

	return name ? keep_text(survey, fh_strdup(name)) : "";
}

static struct fh_listed_owner owner_of(struct survey *survey, struct fh_object *owner)
{
	return (struct fh_listed_owner){
		.path = keep_text(survey, fh_object_path_dup(owner)),
		.is_device = owner->class->device != NULL,
	};
}

/* Of what has no owner: its parent, if it has one that is not the machine. */
static struct fh_listed_owner parent_of(struct survey *survey, struct fh_object *object)
{
	struct fh_machine *m = survey->m;
	struct fh_listed_owner owner = { .is_parent = true };

	fh_lock_acquire(&m->tree_lock);
	if (object->parent && object->parent != fh_machine_object(m)) {
		owner.path = keep_text(survey, fh_object_path_locked(object->parent));
		owner.is_device = object->parent->class->device != NULL;
	}
	fh_lock_release(&m->tree_lock);
	return owner;
}

static void list_subs(struct survey *survey, const struct fh_region *region,
		      struct fh_listed_region *ret)
{
	struct sub_list *all = &survey->memory->subs;
	const size_t before = all->count;
	size_t count;
	struct fh_region **subs = fh_region_sorted_subs(region, &count);

	for (size_t i = 0; i < count; i++) {
		const uint32_t number = number_of(survey, subs[i]);

		if (number != FH_LISTED_NONE)
			fh_vector_add(all) = number;
	}
	ret->sub_count = (uint32_t)(all->count - before);
	fh_free(subs);
}

static void list_region(struct survey *survey, struct fh_region *region,
			struct fh_listed_region *ret)
{
	struct fh_object *object = &region->object;

	*ret = (struct fh_listed_region){
		.region = region,
		.name = name_of(survey, object),
		.kind = kind_of(region),
		.owner = region->owner != object ? owner_of(survey, region->owner) :
						   parent_of(survey, object),
		.size = region->size,
		.addr = region->addr,
		.container = number_of(survey, region->container),
		.target = number_of(survey, fh_region_target(region)),
		.priority = region->priority,
		.enabled = region->enabled,
		.readonly = region->readonly,
		.nonvolatile = region->nonvolatile,
		.unmergeable = !region->mergeable,
		.rom_mode = region->rom_mode,
		.shown = fh_object_is_shown(region->owner),
	};
	if (region->kind == FH_REGION_ALIAS)
		ret->alias_offset = fh_alias_of(region)->offset;
	list_subs(survey, region, ret);
}

static void list_regions(struct survey *survey)
{
	struct fh_listing *listing = survey->listing;
	size_t at = 0;

	listing->region_count = survey->regions.count;
	listing->regions = fh_zalloc((listing->region_count + 1) * sizeof(*listing->regions));
	for (size_t i = 0; i < listing->region_count; i++)
		list_region(survey, survey->regions.at[i], &listing->regions[i]);
	/* Now that the array does not move any more. */
	for (size_t i = 0; i < listing->region_count; i++) {
		listing->regions[i].subs = fh_vector_from(&survey->memory->subs, at);
		at += listing->regions[i].sub_count;
	}
}

/* --- Spaces --------------------------------------------------------------------------------- */

static struct listed_set list_set(struct survey *survey, const struct fh_view_set *set)
{
	struct listed_set listed = { .set = set, .first = survey->ranges.count };
	struct fh_view_cursor cursor;
	struct fh_range range;

	for (size_t i = 0; i < survey->sets.count; i++) {
		if (survey->sets.at[i].set == set)
			return survey->sets.at[i];
	}
	fh_view_cursor_init(&cursor, fh_view_set_root(set), 0);
	while (fh_view_cursor_next(&cursor, &range)) {
		const uint32_t number = number_of(survey, range.region);
		struct fh_section section;

		if (number == FH_LISTED_NONE)
			continue;
		fh_section_from_range(&section, &range);
		fh_vector_add(&survey->ranges) = (struct fh_listed_range){
			.first = range.first,
			.last = range.last,
			.offset = range.offset,
			.region = number,
			.nonvolatile = section.nonvolatile,
			.as = fh_section_kind(&section),
		};
	}
	listed.count = survey->ranges.count - listed.first;
	fh_vector_add(&survey->sets) = listed;
	return listed;
}

static void list_space(struct survey *survey, struct fh_space *space)
{
	struct fh_listing *listing = survey->listing;
	/* Relaxed: it changes under the topology lock only. */
	const struct listed_set set = list_set(
		survey, atomic_load_explicit(&space->set, memory_order_relaxed));

	listing->spaces[listing->space_count++] = (struct fh_listed_space){
		.space = space,
		.name = name_of(survey, &space->object),
		.owner = parent_of(survey, &space->object),
		.root = number_of(survey, space->root),
		.first_range = set.first,
		.range_count = set.count,
	};
}

static void list_spaces(struct survey *survey, const struct fh_space *only)
{
	struct fh_listing *listing = survey->listing;
	size_t count = 0;

	fh_list_for_each_entry(space, &survey->m->topology->spaces, struct fh_space, all_link)
		count++;
	listing->spaces = fh_zalloc((count + 1) * sizeof(*listing->spaces));
	fh_list_for_each_entry(space, &survey->m->topology->spaces, struct fh_space, all_link) {
		if (!only || space == only)
			list_space(survey, space);
	}
	listing->ranges = survey->ranges.at;
	listing->range_count = survey->ranges.count;
}

/* --- The whole ------------------------------------------------------------------------------ */

struct fh_listing *fh_listing_new(struct fh_machine *m, struct fh_space *space)
{
	struct survey survey = {
		.m = m, .listing = fh_new(struct fh_listing), .memory = fh_new(struct memory)
	};

	fh_topology_look_begin(m);
	collect_regions(&survey);
	if (space)
		keep_reached(&survey, space->root);
	list_regions(&survey);
	list_spaces(&survey, space);
	fh_topology_look_end(m);
	fh_vector_free(&survey.regions);
	fh_vector_free(&survey.sets);
	fh_free(survey.entries);
	survey.listing->memory = survey.memory;
	return survey.listing;
}

struct fh_listing *fh_listing_free(struct fh_listing *listing)
{
	struct memory *memory;

	if (!listing)
		return NULL;
	memory = listing->memory;
	for (size_t i = 0; i < memory->texts.count; i++)
		fh_free(memory->texts.at[i]);
	fh_vector_free(&memory->texts);
	fh_vector_free(&memory->subs);
	fh_free(memory);
	fh_free(listing->regions);
	fh_free(listing->spaces);
	fh_free(listing->ranges);
	fh_free(listing);
	return NULL;
}

void fh_listing_freep(struct fh_listing **listing)
{
	*listing = fh_listing_free(*listing);
}

void fh_listing_print(const struct fh_listing *listing, unsigned flags, FILE *out)
{
	if (flags & FH_MTREE_JSON)
		fh_listing_print_json(listing, out);
	else if (flags & FH_MTREE_FLAT)
		fh_listing_print_flat(listing, flags, out);
	else
		fh_listing_print_tree(listing, flags, out);
}

void fh_mtree(struct fh_machine *m, struct fh_space *space, unsigned flags, FILE *out)
{
	struct fh_listing *listing = fh_listing_new(m, space);

	fh_listing_print(listing, flags, out);
	fh_listing_free(listing);
}
