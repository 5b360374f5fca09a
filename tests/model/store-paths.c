/* SPDX-License-Identifier: MIT */
/*
 * Stores on all ways that there are, to places that are chosen such that they meet something: an
 * eventfd, a coalesced range, memory, an edge. See stores.h.
 */
#include <string.h>

#include "model/look.h"

enum { MOST_BYTES = 3 * FH_DIRTY_PAGE };

/* What is going to be stored, and how. */
struct choice {
	struct world *world;
	int space;
	const struct fh_section *section; /* where it begins, if anything is there */
	struct rng rng;
	uint64_t addr;
	unsigned size;	/* of a typed one */
	uint64_t value; /* in bytes, of the first eight */
	uint8_t bytes[MOST_BYTES];
};

/* --- Where ---------------------------------------------------------------------------------- */

static uint64_t any_size(struct rng *rng)
{
	return rng_chance(rng, 85) ? UINT64_C(1) << rng_below(rng, 4) : 1 + rng_below(rng, 8);
}

/* At an eventfd or in a coalesced range, mostly as it is wanted there. */
static void choose_extra(struct choice *choice, const struct extras *extras)
{
	struct rng *rng = &choice->rng;
	const struct extra *extra = &extras->at[rng_below(rng, extras->count)];
	const uint64_t length = extra->last - extra->first;

	choice->addr = extra->first;
	if (extra->eventfd == MODEL_NONE)
		choice->addr += rng_below(rng, length == UINT64_MAX ? length : length + 1);
	else if (extra->match.size != 0 && rng_chance(rng, 80))
		choice->size = extra->match.size;
	if (rng_chance(rng, 10))
		choice->addr += rng_below(rng, 17) - 8;
	if (rng_chance(rng, 70))
		choice->value = extra->match.data;
}

static void choose_section(struct choice *choice, const struct view *view)
{
	struct rng *rng = &choice->rng;
	const struct fh_section *section = &view->at[rng_below(rng, view->count)];

	/* Mostly memory, and such as is logged. */
	for (int i = 0; i < 5 && !section->log_mask; i++)
		section = &view->at[rng_below(rng, view->count)];
	const uint64_t length = section->last - section->first;

	switch (rng_below(rng, 4)) {
	case 0: choice->addr = section->first + rng_below(rng, 9) - 4; break;
	case 1: choice->addr = section->last + rng_below(rng, 9) - 8; break;
	default:
		choice->addr = section->first + rng_below(rng, (length < 64 ? length : 64 *
							       FH_DIRTY_PAGE) + 1);
	}
}

static const struct fh_section *section_at(const struct view *view, uint64_t addr)
{
	for (size_t i = 0; i < view->count; i++)
		if (addr >= view->at[i].first && addr <= view->at[i].last)
			return &view->at[i];
	return NULL;
}

/* False: nothing is shown. */
static bool choose(struct choice *choice, struct world *world, const struct op *op)
{
	const struct picture *shown = world->shown[op->slot];

	*choice = (struct choice){ .world = world, .space = op->slot, .rng = { op->addr } };
	choice->size = (unsigned)any_size(&choice->rng);
	choice->value = rng_below(&choice->rng, 4);
	if (shown->view.count == 0)
		return false;
	if (shown->extras.count > 0 && rng_chance(&choice->rng, 55))
		choose_extra(choice, &shown->extras);
	else
		choose_section(choice, &shown->view);
	choice->section = section_at(&shown->view, choice->addr);
	return true;
}

/* The region in which it begins, or NULL. */
static const struct model_region *region_of(const struct choice *choice)
{
	return choice->section ? &choice->world->model.regions[world_slot_of(
					 choice->world, choice->section->region)]
			       : NULL;
}

/* --- What ----------------------------------------------------------------------------------- */

static struct fh_space *space_of(const struct choice *choice)
{
	return choice->world->model.spaces[choice->space].real;
}

static struct fh_object *holder_of(const struct choice *choice)
{
	return fh_machine_root(choice->world->m);
}

static void expect(struct choice *choice, uint64_t size, bool typed, bool debug,
		   const struct fh_section *only)
{
	const struct store store = { choice->addr, choice->bytes, size, typed, debug };

	stores_expect(choice->world, choice->space, &store, only);
}

/* Mostly in the order of the registers that are there. Says which. */
static enum fh_order put_value(struct choice *choice)
{
	const struct model_region *region = region_of(choice);
	bool big = region && region->big_endian;

	if (rng_chance(&choice->rng, 10))
		big = !big;
	for (unsigned i = 0; i < choice->size; i++)
		choice->bytes[big ? choice->size - 1 - i : i] = (uint8_t)(choice->value >> 8 * i);
	return big ? FH_BE : FH_LE;
}

/* Of a bulk store; not beyond the top. */
static uint64_t put_bytes(struct choice *choice)
{
	struct rng *rng = &choice->rng;
	uint64_t size = 1 + rng_below(rng, UINT64_C(1) << rng_below(rng, 14));
	uint8_t byte = (uint8_t)rng_below(rng, 3);

	if (size > MOST_BYTES)
		size = MOST_BYTES;
	if (size - 1 > UINT64_MAX - choice->addr)
		size = UINT64_MAX - choice->addr + 1;
	memset(choice->bytes, byte, size);
	if (size > 8 && rng_chance(rng, 50))
		memset(choice->bytes, 0, 8);
	return size;
}

/* --- Ways ----------------------------------------------------------------------------------- */

static void store_typed(struct choice *choice)
{
	const enum fh_order order = put_value(choice);

	if (choice->size - 1 > UINT64_MAX - choice->addr)
		return;
	expect(choice, choice->size, true, false, NULL);
	fh_space_store(space_of(choice), choice->addr, choice->size, order, FH_ATTRS_NONE,
		       choice->value);
}

static void store_bulk(struct choice *choice)
{
	const bool debug = rng_chance(&choice->rng, 20);
	const struct fh_attrs attrs = { .debug = debug };
	const uint64_t size = put_bytes(choice);

	expect(choice, size, false, debug, NULL);
	fh_space_write(space_of(choice), choice->addr, choice->bytes, size, attrs);
}

static void store_fill(struct choice *choice)
{
	const uint64_t size = put_bytes(choice);
	const uint8_t byte = choice->bytes[size - 1];

	memset(choice->bytes, byte, size);
	expect(choice, size, false, false, NULL);
	fh_space_fill(space_of(choice), choice->addr, byte, size, FH_ATTRS_NONE);
}

static void store_cached(struct choice *choice)
{
	const bool typed = rng_chance(&choice->rng, 50);
	const enum fh_order order = put_value(choice);
	const uint64_t size = typed ? choice->size : put_bytes(choice);

	if (size - 1 > UINT64_MAX - choice->addr)
		return;
	struct fh_cached *cached = fh_cached_new(holder_of(choice), space_of(choice),
						 choice->addr, size, FH_ATTRS_NONE);

	for (int i = 0; i < 2; i++) { /* the second time it has been found */
		expect(choice, size, typed, false, NULL);
		if (typed)
			fh_cached_store(cached, 0, choice->size, order, choice->value);
		else
			fh_cached_write(cached, 0, choice->bytes, size);
		if (i == 0)
			ears_check_asked(choice->world->ears, &choice->world->model,
					 choice->world->stores->asks);
	}
	fh_object_dispose(cached);
	fh_object_unref(cached);
}

static void store_pinned(struct choice *choice)
{
	uint64_t size = put_bytes(choice);
	struct fh_section found;
	struct fh_pinned *pinned = fh_space_find(space_of(choice), choice->addr, size,
						 holder_of(choice), &found);

	if (!!pinned != !!choice->section)
		world_fail(choice->world, "a section was%s found", pinned ? "" : " not");
	if (!pinned || !choice->section)
		return;
	if (size > choice->section->last - choice->addr)
		size = choice->section->last - choice->addr + 1;
	expect(choice, size, false, false, choice->section);
	fh_pinned_write(pinned, 0, choice->bytes, size, FH_ATTRS_NONE);
	fh_pinned_unpin(pinned);
}

/* Memory itself, or a bounce buffer for what is there instead. */
static void store_mapped(struct choice *choice)
{
	const struct model_region *region = region_of(choice);
	const bool bounce = rng_chance(&choice->rng, 50);
	const unsigned flags = FH_MAP_WRITE | (bounce ? 0 : FH_MAP_DIRECT_ONLY);
	const bool memory = region && !choice->section->readonly &&
			    (region->kind == FH_REGION_RAM || region->kind == FH_REGION_RAM_DEVICE);
	const bool usable = memory || (bounce && region && region->kind != FH_REGION_RESERVATION);
	uint64_t size = put_bytes(choice);
	struct fh_mapped mapped;
	struct fh_mapping *mapping =
		fh_space_map(space_of(choice), choice->addr, size, flags, FH_ATTRS_NONE,
			     holder_of(choice), &mapped);

	if (!!mapping != usable || (mapping && mapped.bounced == memory))
		world_fail(choice->world, "%s is mapped", !mapping ? "nothing"
						  : mapped.bounced ? "a bounce buffer" : "memory");
	if (!mapping || !usable)
		return;
	if (mapped.size - 1 > choice->section->last - choice->addr)
		world_fail(choice->world, "more is mapped than is there");
	size = rng_below(&choice->rng, mapped.size + 1);
	if (size > 0)
		expect(choice, size, false, false, choice->section);
	memcpy(mapped.ptr, choice->bytes, size);
	fh_mapping_unmap(mapping, size);
}

static void store_atomic(struct choice *choice)
{
	const struct model_region *region = region_of(choice);
	const unsigned size = rng_chance(&choice->rng, 50) ? 4 : 8;
	uint64_t old;

	choice->addr &= ~(uint64_t)(size - 1);
	if (!region || region->kind != FH_REGION_RAM || choice->section->readonly ||
	    choice->addr < choice->section->first ||
	    choice->section->last - choice->addr < size - 1)
		return;
	if (((choice->addr - choice->section->first + choice->section->offset) & (size - 1)) != 0)
		return;
	expect(choice, size, true, false, NULL);
	if (fh_space_fetch(space_of(choice), choice->addr, size, FH_LE, FH_ATTRS_NONE,
			   FH_ATOMIC_ADD, 1, &old) != FH_TX_OK)
		world_fail(choice->world, "memory is not added to");
}

/* Without the space. */
static void store_to_region(struct choice *choice)
{
	const struct model_region *region = region_of(choice);
	struct stores *stores = choice->world->stores;

	if (!region || !model_has_memory(region))
		return;
	const int slot = world_slot_of(choice->world, choice->section->region);
	const uint64_t offset = rng_below(&choice->rng, region->capacity);
	const uint64_t size = rng_below(&choice->rng, region->capacity - offset + 1);

	if (region->kind != FH_REGION_RAM || rng_chance(&choice->rng, 50)) {
		pages_mark(stores, slot, offset, size);
		fh_dirty_mark(region->real, offset, size);
		return;
	}
	const uint64_t first = offset & ~(uint64_t)(FH_DIRTY_PAGE - 1);

	pages_mark(stores, slot, first, FH_DIRTY_PAGE);
	if (fh_region_discard(region->real, first, FH_DIRTY_PAGE, NULL) != FH_OK ||
	    fh_region_populate(region->real, first, FH_DIRTY_PAGE, false, NULL) != FH_OK)
		world_fail(choice->world, "a page of region %d is not discarded", slot);
}

void stores_store(struct world *world, const struct op *op)
{
	static void (*const ways[])(struct choice *choice) = {
		store_typed, store_typed, store_typed, store_typed, store_bulk, store_bulk,
		store_fill, store_cached, store_pinned, store_mapped, store_mapped,
		store_atomic, store_to_region,
	};
	struct choice choice;

	if (choose(&choice, world, op))
		ways[rng_below(&choice.rng, sizeof(ways) / sizeof(ways[0]))](&choice);
}
