/* SPDX-License-Identifier: MIT */
/*
 * Picking at random, but so that things meet: addresses come from a small grid, from the edges of
 * what is there already and from the borders of the space.
 */
#include "model/pick.h"

/* --- Picking what is there ------------------------------------------------------------------ */

int pick_region(const struct chooser *c, bool (*wanted)(const struct model_region *region))
{
	const int slots = c->model->region_slots;

	if (slots == 0)
		return MODEL_NONE;
	const int start = (int)rng_below(c->rng, (uint64_t)slots);

	for (int i = 0; i < slots; i++) {
		const int slot = (start + i) % slots;
		const struct model_region *region = &c->model->regions[slot];

		if (region->real && (!wanted || wanted(region)))
			return slot;
	}
	return MODEL_NONE;
}

/* Mostly one that is seen. */
int pick_seen(const struct chooser *c, bool (*wanted)(const struct model_region *region))
{
	for (int i = 0; i < 8 && rng_chance(c->rng, 98); i++) {
		const int slot = pick_region(c, wanted);

		if (slot == MODEL_NONE || c->seen[slot])
			return slot;
	}
	return pick_region(c, wanted);
}

bool is_container(const struct model_region *region)
{
	return region->kind == FH_REGION_CONTAINER;
}

bool is_alias(const struct model_region *region)
{
	return region->kind == FH_REGION_ALIAS;
}

bool is_true_alias(const struct model_region *region)
{
	return region->kind == FH_REGION_ALIAS && region->target != MODEL_NONE;
}

bool is_blind_alias(const struct model_region *region)
{
	return region->kind == FH_REGION_ALIAS && region->target == MODEL_NONE;
}

bool is_memory(const struct model_region *region)
{
	return region->kind == FH_REGION_RAM || region->kind == FH_REGION_MMIO ||
	       region->kind == FH_REGION_ROM_DEVICE;
}

bool is_rom_device(const struct model_region *region)
{
	return region->kind == FH_REGION_ROM_DEVICE;
}

bool is_loose(const struct model_region *region)
{
	return region->container == MODEL_NONE && !region->builtin;
}

bool is_placed(const struct model_region *region)
{
	return region->container != MODEL_NONE;
}

/* Mostly what fits, so that errors are tried as well. */
int pick_mostly(const struct chooser *c, bool (*wanted)(const struct model_region *region))
{
	return pick_seen(c, rng_chance(c->rng, 97) ? wanted : NULL);
}

int pick_owner(const struct chooser *c)
{
	int slot = (int)rng_below(c->rng, MODEL_OWNERS);

	if (c->style->extras > 0) /* several things of one owner */
		slot %= c->style->owners + 1;
	return c->model->owners[slot].real && rng_chance(c->rng, 60) ? slot : MODEL_NONE;
}

/* There is always one: the machine's own. */
int pick_space(const struct chooser *c)
{
	const int start = (int)rng_below(c->rng, MODEL_SPACES);

	for (int i = 0; i < MODEL_SPACES; i++)
		if (c->model->spaces[(start + i) % MODEL_SPACES].real)
			return (start + i) % MODEL_SPACES;
	return 0;
}

bool is_empty_space(const struct model_space *space)
{
	return space->real && space->root == MODEL_NONE;
}

/* One that shows nothing, or any. */
int pick_empty_space(const struct chooser *c)
{
	for (int i = 0; i < MODEL_SPACES; i++)
		if (is_empty_space(&c->model->spaces[i]))
			return i;
	return pick_space(c);
}

/* --- Numbers -------------------------------------------------------------------------------- */

uint64_t any_addr(const struct chooser *c)
{
	static const uint64_t borders[] = {
		0, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 4095, UINT64_C(1) << 63, 1,
	};
	const uint64_t on_grid = rng_below(c->rng, c->style->grid) * c->style->unit;

	switch (rng_below(c->rng, 20)) {
	case 0: return borders[rng_below(c->rng, 6)];
	case 1: return on_grid + rng_below(c->rng, 9) - 4;
	case 2: return rng_next(c->rng) >> rng_below(c->rng, 64);
	case 3: return 0 - on_grid;
	default: return on_grid;
	}
}

/* Of what @large says: something to put others into, or a part of it. */
uint64_t any_size(const struct chooser *c, bool large)
{
	const uint64_t grid = c->style->grid > 64 ? 4 : c->style->grid;
	const uint64_t most = large ? grid : 1 + grid / 4;
	const uint64_t units = 1 + rng_below(c->rng, 1 + rng_below(c->rng, most));
	/* All of the space is as many units as there are, and no number. */
	const uint64_t product = units * c->style->unit;
	const uint64_t size = product != 0 ? product : FH_SIZE_ALL;

	switch (rng_below(c->rng, 100)) {
	case 0:
	case 1: return FH_SIZE_ALL;
	case 2: return 0;
	case 3: return 1 + rng_below(c->rng, 8);
	case 4: return rng_next(c->rng) >> rng_below(c->rng, 64);
	case 5: return size - 1;
	case 6: return size + 1;
	case 7:
	case 8: return large ? FH_SIZE_ALL : size;
	default: return size;
	}
}

int32_t any_priority(const struct chooser *c)
{
	switch (rng_below(c->rng, 12)) {
	case 0: return INT32_MIN;
	case 1: return INT32_MAX;
	case 2:
	case 3: return (int32_t)rng_below(c->rng, 5) - 2;
	default: return 0;
	}
}

/* Another alias of the same target: in the same place, or in @container. NULL: there is none. */
const struct model_region *find_twin(const struct chooser *c, int slot, int container)
{
	const int slots = c->model->region_slots;
	const struct model_region *alias = &c->model->regions[slot];
	const int start = (int)rng_below(c->rng, (uint64_t)slots);

	for (int i = 0; i < slots && is_alias(alias) && alias->target != MODEL_NONE; i++) {
		const struct model_region *twin = &c->model->regions[(start + i) % slots];

		if (twin->real && twin != alias && is_alias(twin) &&
		    twin->target == alias->target && twin->container != MODEL_NONE &&
		    (container == MODEL_NONE || twin->container == container))
			return twin;
	}
	return NULL;
}

/* An address in @container, and most likely within it. */
uint64_t any_addr_in(const struct chooser *c, int container)
{
	const uint64_t size = container == MODEL_NONE ? 0 : c->model->regions[container].size;
	const uint64_t units = size / c->style->unit;

	if (size == 0 || rng_chance(c->rng, 15))
		return any_addr(c);
	if (units == 0)
		return rng_chance(c->rng, 50) ? rng_below(c->rng, size) : 0;
	return rng_below(c->rng, units < c->style->grid ? units : c->style->grid) * c->style->unit;
}

/* Where @slot might go in @container: beside something, or anywhere. */
uint64_t any_place(const struct chooser *c, int slot, int container)
{
	const struct model_region *region = &c->model->regions[slot];
	const struct model_region *other = &c->model->regions[pick_region(c, NULL)];
	const struct model_region *twin = find_twin(c, slot, container);

	/* So that both show the target as if they were one. */
	if (twin && rng_chance(c->rng, c->style->striped ? 85 : 60))
		return twin->addr + (region->alias_offset - twin->alias_offset);
	if (other->container != container || other == region || rng_chance(c->rng, 60))
		return any_addr_in(c, container);
	return rng_chance(c->rng, 50) ? other->addr + other->size : other->addr - region->size;
}
