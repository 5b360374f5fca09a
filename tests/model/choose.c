/* SPDX-License-Identifier: MIT */
/*
 * How the next edit is chosen: at random, but mostly such that it can be seen; aliases continue
 * other aliases, so that what they show can be joined.
 *
 * An edit after which a space would show regions at too many places for the oracle is not chosen.
 */
#include <string.h>

#include "model/pick.h"

struct style style_random(struct rng *rng)
{
	static const unsigned grids[] = { 8, 16, 16, 32, 64 };
	struct style style = { .grid = grids[rng_below(rng, 5)] };
	const bool flat = rng_chance(rng, 4);

	/* The whole space, exactly; or less of it, in pages or in units of no particular size. */
	switch (rng_below(rng, 3)) {
	case 0: style.unit = (UINT64_MAX / style.grid) + 1; break;
	case 1: style.unit = UINT64_C(4096) << rng_below(rng, 20); break;
	default: style.unit = (rng_next(rng) >> (8 + rng_below(rng, 48))) | 1; break;
	}
	if (flat)
		style.unit = UINT64_C(1) << 54;
	style.striped = !flat && rng_chance(rng, 30);
	style.flat = flat ? 90 : (unsigned)rng_below(rng, 60);
	style.regions = flat ? 500 : (int)(5 + rng_below(rng, 1 + rng_below(rng, 150)));
	style.owners = (int)rng_below(rng, MODEL_OWNERS);
	style.spaces = (int)(1 + rng_below(rng, MODEL_SPACES));
	style.listeners = (int)rng_below(rng, MODEL_LISTENERS + 1);
	style.batches = (unsigned)(rng_chance(rng, 25) ? 0 : rng_below(rng, 40));
	if (flat)
		style.grid = 1024;
	return style;
}

struct style style_with_extras(struct rng *rng)
{
	struct style style = style_random(rng);

	if (style.regions > 60)
		style.regions = 60;
	if (style.grid > 64)
		style.grid = 64;
	/* Memory is a few pages: let it be seen, and cut. */
	if (rng_chance(rng, 75))
		style.unit = rng_chance(rng, 70) ? UINT64_C(4096) << rng_below(rng, 4)
						 : 16 + rng_below(rng, 10000);
	style.owners = (int)rng_below(rng, 5);
	style.spaces = (int)(1 + rng_below(rng, 4));
	style.listeners = (int)(2 + rng_below(rng, 8));
	style.batches = (unsigned)rng_below(rng, 60);
	style.extras = (unsigned)(40 + rng_below(rng, 45));
	style.accesses = true;
	return style;
}

/* --- Edits ---------------------------------------------------------------------------------- */

static int free_region_slot(const struct model *model)
{
	for (int i = 0; i < MODEL_REGIONS; i++)
		if (!model->regions[i].real)
			return i;
	return MODEL_NONE;
}

/* The size of a window that does not show all of the region. */
static uint64_t part_of(const struct chooser *c, int slot)
{
	const uint64_t size = slot == MODEL_NONE ? 0 : c->model->regions[slot].size;
	const uint64_t units = size / c->style->unit;

	if (units < 2)
		return 1 + size / (2 + rng_below(c->rng, 4));
	return (1 + rng_below(c->rng, units - 1 < c->style->grid ? units - 1 : c->style->grid)) *
	       c->style->unit;
}

static void fill_new_alias(const struct chooser *c, struct op *op)
{
	const int other = pick_region(c, is_true_alias);

	op->other = (int16_t)pick_region(c, rng_chance(c->rng, 50) ? is_memory : NULL);
	if (rng_chance(c->rng, 5))
		op->other = MODEL_NONE;
	op->addr = rng_chance(c->rng, 30) ? 0 : any_addr_in(c, op->other);
	if (rng_chance(c->rng, 60))
		op->size = part_of(c, op->other);
	/* The next part of what another alias shows, or the same. */
	if (other != MODEL_NONE && rng_chance(c->rng, 50)) {
		const struct model_region *twin = &c->model->regions[other];

		op->other = (int16_t)twin->target;
		op->addr = twin->alias_offset + (rng_chance(c->rng, 70) ? twin->size : 0);
	}
	/* All of a region, so that a space may resolve through it. */
	if (op->other != MODEL_NONE && rng_chance(c->rng, 15)) {
		op->addr = 0;
		op->size = c->model->regions[op->other].size;
	}
}

/* What the host has to provide is kept small; it is in whole pages. */
static uint64_t host_size(const struct chooser *c)
{
	const uint64_t small = c->style->unit & ~UINT64_C(4095);
	const uint64_t size = small << rng_below(c->rng, 3);

	if (c->style->accesses)
		return UINT64_C(4096) << rng_below(c->rng, 7);
	if (size > 0 && size <= UINT64_C(1) << 32)
		return size;
	return UINT64_C(4096) << rng_below(c->rng, 16);
}

/* A few units of one of the large regions; or, until there are some, such a region. */
static void fill_stripe(const struct chooser *c, struct op *op)
{
	const int target = pick_region(c, is_memory);

	op->region_kind = FH_REGION_ALIAS;
	op->other = (int16_t)target;
	op->size = (1 + rng_below(c->rng, 4)) * c->style->unit;
	if (target != MODEL_NONE) {
		op->addr = any_addr_in(c, target);
		return;
	}
	op->region_kind = rng_chance(c->rng, 50) ? FH_REGION_RAM : FH_REGION_MMIO;
	op->flag = op->region_kind == FH_REGION_RAM && !c->style->accesses;
	op->size = op->region_kind == FH_REGION_RAM && c->style->accesses ?
			   host_size(c) : c->style->grid / 2 * c->style->unit;
}

static void fill_region_new(const struct chooser *c, struct op *op)
{
	static const uint8_t kinds[] = {
		FH_REGION_CONTAINER, FH_REGION_CONTAINER, FH_REGION_CONTAINER, FH_REGION_MMIO,
		FH_REGION_MMIO, FH_REGION_RAM, FH_REGION_RAM, FH_REGION_ROM,
		FH_REGION_ROM_DEVICE, FH_REGION_ALIAS, FH_REGION_ALIAS, FH_REGION_ALIAS,
		FH_REGION_ALIAS, FH_REGION_ALIAS, FH_REGION_RESERVATION, FH_REGION_IOMMU,
		FH_REGION_RAM_DEVICE,
	};

	op->slot = (int16_t)free_region_slot(c->model);
	op->owner = (int16_t)pick_owner(c);
	op->other = MODEL_NONE;
	if (c->style->striped && rng_chance(c->rng, 75)) {
		fill_stripe(c, op);
		return;
	}
	op->region_kind = kinds[rng_below(c->rng, sizeof(kinds))];
	if (c->style->accesses && op->region_kind == FH_REGION_IOMMU)
		op->region_kind = FH_REGION_MMIO;
	op->size = any_size(c, op->region_kind == FH_REGION_CONTAINER ||
				       op->region_kind == FH_REGION_ALIAS);
	if (op->region_kind == FH_REGION_ALIAS)
		fill_new_alias(c, op);
	op->flag = op->region_kind == FH_REGION_RAM_DEVICE ||
		   (op->region_kind == FH_REGION_RAM && rng_chance(c->rng, 80));
	if (c->style->accesses && op->region_kind != FH_REGION_CONTAINER &&
	    op->region_kind != FH_REGION_ALIAS) {
		op->flag = op->region_kind == FH_REGION_MMIO && rng_chance(c->rng, 40);
		op->priority = true;
		if (op->region_kind != FH_REGION_MMIO && op->region_kind != FH_REGION_RESERVATION)
			op->size = host_size(c);
	} else if (op->flag)
		op->size = op->size > INT64_MAX ? c->style->unit & INT64_MAX : op->size;
	else if (op->region_kind == FH_REGION_RAM || op->region_kind == FH_REGION_ROM ||
		 op->region_kind == FH_REGION_ROM_DEVICE)
		op->size = host_size(c);
}

static void fill_add(const struct chooser *c, struct op *op)
{
	op->slot = (int16_t)pick_region(c, rng_chance(c->rng, 97) ? is_loose : NULL);
	op->other = (int16_t)pick_seen(c, rng_chance(c->rng, 80) ? is_container : NULL);
	if (rng_chance(c->rng, c->style->flat) && c->model->regions[0].real)
		op->other = 0;
	if (op->slot == MODEL_NONE || op->other == MODEL_NONE)
		return;
	const struct model_region *twin = find_twin(c, op->slot, MODEL_NONE);

	if (twin && rng_chance(c->rng, 50))
		op->other = (int16_t)twin->container;
	/* Mostly no cycle. */
	for (int i = 0; i < 3 && model_reaches(c->model, &c->kids, op->slot, op->other); i++)
		op->other = (int16_t)pick_seen(c, NULL);
	op->addr = any_place(c, op->slot, op->other);
	op->priority = any_priority(c);
}

static void fill_move(const struct chooser *c, struct op *op)
{
	op->slot = (int16_t)pick_mostly(c, is_placed);
	if (op->slot == MODEL_NONE)
		return;
	op->addr = any_place(c, op->slot, c->model->regions[op->slot].container);
	if (rng_chance(c->rng, 10))
		op->addr = c->model->regions[op->slot].addr;
}

static void fill_owner(const struct chooser *c, struct op *op)
{
	op->slot = (int16_t)rng_below(c->rng, (uint64_t)c->style->owners + 1);
	if (op->slot == MODEL_OWNERS)
		op->slot--;
	op->other = (int16_t)pick_owner(c);
	op->flag = rng_chance(c->rng, 40);
}

/* Of some containers that which shows most. */
static int pick_rich(const struct chooser *c)
{
	int rich = MODEL_NONE;
	size_t most = 0;

	for (int i = 0; i < 5; i++) {
		const int slot = pick_region(c, is_container);
		const size_t places =
			slot == MODEL_NONE ? 0 : oracle_count(c->model, &c->kids, slot, NULL);

		if (rich == MODEL_NONE || places > most) {
			rich = slot;
			most = places;
		}
	}
	return rich;
}

static void fill_space(const struct chooser *c, struct op *op)
{
	op->slot = (int16_t)rng_below(c->rng, (uint64_t)c->style->spaces);
	if (op->kind == OP_SPACE_ROOT && rng_chance(c->rng, 80))
		op->slot = (int16_t)pick_empty_space(c);
	op->owner = (int16_t)pick_owner(c);
	switch (rng_below(c->rng, 12)) {
	case 0: break; /* none */
	case 1: op->other = 0; break;
	case 2:
	case 3: op->other = (int16_t)pick_region(c, is_alias); break;
	case 4:
	case 5:
	case 6: op->other = (int16_t)c->model->spaces[pick_space(c)].root; break;
	default: op->other = (int16_t)pick_rich(c); break;
	}
	if (op->slot == 0 && rng_chance(c->rng, 80))
		op->other = 0;
}

static void fill_listener(const struct chooser *c, struct op *op)
{
	static const uint8_t callbacks[] = {
		CALLBACK_REMOVE | CALLBACK_ADD | CALLBACK_BATCH, CALLBACK_REMOVE | CALLBACK_ADD,
		CALLBACK_BATCH, CALLBACK_ADD,
	};

	op->slot = (int16_t)rng_below(c->rng, (uint64_t)c->style->listeners + 1);
	if (op->slot == MODEL_LISTENERS)
		op->slot--;
	op->owner = (int16_t)pick_owner(c);
	op->other = (int16_t)pick_space(c);
	op->priority = any_priority(c);
	op->region_kind = callbacks[rng_below(c->rng, 4)];
	/* All that there is besides, or some of it. */
	if (c->style->extras > 0)
		op->region_kind |= rng_chance(c->rng, 70) ? 0x78 : 8 * rng_below(c->rng, 16);
}

/* A region that more than one alias shows directly, or any. */
static int pick_seen_twice(const struct chooser *c)
{
	for (int i = 0; i < 10; i++) {
		const int alias = pick_seen(c, is_alias);
		const int target = alias == MODEL_NONE ? MODEL_NONE
						       : c->model->regions[alias].target;

		if (target != MODEL_NONE && find_twin(c, alias, MODEL_NONE) &&
		    is_memory(&c->model->regions[target]))
			return target;
	}
	return pick_region(c, NULL);
}

static void fill_alias_target(const struct chooser *c, struct op *op)
{
	const int blind = pick_region(c, is_blind_alias);
	const int other = pick_region(c, is_true_alias);

	if (blind != MODEL_NONE && rng_chance(c->rng, 80))
		op->slot = (int16_t)blind;
	op->other = (int16_t)(rng_chance(c->rng, 97)
				      ? pick_region(c, rng_chance(c->rng, 50) ? is_memory : NULL)
				      : MODEL_NONE);
	if (other != MODEL_NONE && rng_chance(c->rng, 40))
		op->other = (int16_t)c->model->regions[other].target;
}

static bool is_off(const struct model_region *region)
{
	return !region->enabled;
}

/* Mostly such that something remains to be seen. */
static void fill_region_edit(const struct chooser *c, struct op *op)
{
	op->slot = (int16_t)pick_mostly(
		c, op->kind == OP_ALIAS_OFFSET || op->kind == OP_ALIAS_TARGET ? is_alias
		   : op->kind == OP_ROM_MODE				      ? is_rom_device
									      : NULL);
	if (op->kind == OP_ENABLED && rng_chance(c->rng, 60) &&
	    pick_region(c, is_off) != MODEL_NONE)
		op->slot = (int16_t)pick_region(c, is_off);
	if (op->slot == MODEL_NONE)
		return;
	const struct model_region *region = &c->model->regions[op->slot];
	const bool large = is_container(region) || is_alias(region);
	const bool upper = c->kids.begin[op->slot + 1] - c->kids.begin[op->slot] > 1;

	switch (op->kind) {
	case OP_ENABLED: op->flag = upper ? rng_chance(c->rng, 90) : !region->enabled; break;
	case OP_READONLY: op->flag = !region->readonly; break;
	case OP_NONVOLATILE: op->flag = !region->nonvolatile; break;
	case OP_UNMERGEABLE: op->flag = !region->unmergeable; break;
	default: op->flag = !region->rom_mode; break;
	}
	op->flag ^= rng_chance(c->rng, 5);
	op->priority = any_priority(c);
	if (rng_chance(c->rng, 80) && region->priority > INT32_MIN && region->priority < INT32_MAX)
		op->priority = region->priority + (rng_chance(c->rng, 50) ? 1 : -1);
	op->addr = any_addr_in(c, region->target);
	op->size = any_size(c, large);
	const struct model_region *twin = find_twin(c, op->slot, region->container);

	if (is_alias(region) && rng_chance(c->rng, 50))
		op->size = part_of(c, region->target);
	/* Host memory does not grow beyond what it was. */
	if (region->capacity > 0 && !large && rng_chance(c->rng, 70))
		op->size = rng_chance(c->rng, 70) ? region->capacity : region->capacity / 2;

	if (twin && rng_chance(c->rng, c->style->striped ? 85 : 60))
		op->addr = twin->alias_offset + (region->addr - twin->addr);
	if (upper && rng_chance(c->rng, 70))
		op->size = rng_chance(c->rng, 50) ? FH_SIZE_ALL
						  : (c->style->grid - 1) * c->style->unit;
	if (op->kind == OP_ALIAS_TARGET)
		fill_alias_target(c, op);
	if (op->kind == OP_UNMERGEABLE && rng_chance(c->rng, 50)) {
		op->slot = (int16_t)pick_seen_twice(c);
		op->flag = !c->model->regions[op->slot].unmergeable;
	}
}

static enum op_kind choose_kind(const struct chooser *c, unsigned depth)
{
	/* Per thousand; what is not listed is OP_MOVE. */
	static const struct { enum op_kind kind; unsigned weight; } weights[] = {
		{ OP_POLL, 3 }, { OP_OWNER_NEW, 15 }, { OP_OWNER_REALIZE, 25 },
		{ OP_OWNER_DISPOSE, 6 }, { OP_REGION_DESTROY, 25 }, { OP_REMOVE, 40 },
		{ OP_PRIORITY, 60 }, { OP_ENABLED, 70 }, { OP_RESIZE, 70 },
		{ OP_ALIAS_OFFSET, 60 }, { OP_ALIAS_TARGET, 40 }, { OP_READONLY, 35 },
		{ OP_NONVOLATILE, 20 }, { OP_UNMERGEABLE, 25 }, { OP_ROM_MODE, 25 },
		{ OP_SPACE_NEW, 12 }, { OP_SPACE_ROOT, 20 }, { OP_SPACE_DESTROY, 5 },
		{ OP_LISTENER_NEW, 15 }, { OP_LISTENER_DESTROY, 6 }, { OP_ADD, 170 },
	};
	int regions = 0;
	unsigned choice = (unsigned)rng_below(c->rng, 1000);

	if (depth > 0 && rng_chance(c->rng, 30))
		return OP_COMMIT;
	if (c->style->extras > 0 && rng_chance(c->rng, c->style->extras))
		return choose_extra_kind(c, depth);
	if (depth < 4 && rng_chance(c->rng, c->style->batches / (depth + 1)))
		return OP_BEGIN;
	for (int i = 0; i < c->model->region_slots; i++)
		regions += c->model->regions[i].real != NULL;
	if (regions < c->style->regions &&
	    rng_chance(c->rng, regions < c->style->regions / 2 ? 40 : 10))
		return OP_REGION_NEW;
	if (pick_region(c, is_blind_alias) != MODEL_NONE && rng_chance(c->rng, 15))
		return OP_ALIAS_TARGET;
	if (is_empty_space(&c->model->spaces[pick_empty_space(c)]) && rng_chance(c->rng, 20))
		return OP_SPACE_ROOT;
	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		if (choice < weights[i].weight)
			return weights[i].kind;
		choice -= weights[i].weight;
	}
	return OP_MOVE;
}

static struct op choose_op(const struct chooser *c, unsigned depth)
{
	struct op op = { .kind = (uint8_t)choose_kind(c, depth),
			 .slot = MODEL_NONE, .other = MODEL_NONE, .owner = MODEL_NONE };

	if (op.kind >= OP_EVENTFD_NEW) {
		fill_extra(c, &op);
		return op;
	}
	switch (op.kind) {
	case OP_BEGIN:
	case OP_COMMIT:
	case OP_POLL: break;
	case OP_OWNER_NEW:
	case OP_OWNER_REALIZE:
	case OP_OWNER_DISPOSE: fill_owner(c, &op); break;
	case OP_REGION_NEW: fill_region_new(c, &op); break;
	case OP_ADD: fill_add(c, &op); break;
	case OP_MOVE: fill_move(c, &op); break;
	case OP_SPACE_NEW:
	case OP_SPACE_ROOT:
	case OP_SPACE_DESTROY: fill_space(c, &op); break;
	case OP_LISTENER_NEW:
	case OP_LISTENER_DESTROY: fill_listener(c, &op); break;
	default: fill_region_edit(c, &op); break;
	}
	if (op.kind == OP_SPACE_DESTROY || op.kind == OP_LISTENER_DESTROY ||
	    op.kind == OP_REGION_DESTROY)
		op.flag = rng_chance(c->rng, 50);
	return op;
}

/* --- What the oracle can paint ---------------------------------------------------------------- */

/* As @from; of the regions only those there are. */
static void model_copy(struct model *to, const struct model *from)
{
	const size_t used = (size_t)from->region_slots * sizeof(from->regions[0]);

	memcpy(to->regions, from->regions, used);
	/* A new region may take the slot behind them. */
	if (from->region_slots < MODEL_REGIONS)
		to->regions[from->region_slots] = from->regions[from->region_slots];
	memcpy(to->owners, from->owners, sizeof(*to) - offsetof(struct model, owners));
}

static bool can_be_painted(const struct model *model)
{
	struct model_kids kids;

	model_sort_kids(model, &kids);
	for (int i = 0; i < MODEL_SPACES; i++)
		if (model->spaces[i].real &&
		    oracle_count(model, &kids, model->spaces[i].root, NULL) > MODEL_INSTANCES)
			return false;
	return true;
}

static bool op_is_good(const struct chooser *c, const struct op *op, unsigned depth)
{
	struct model trial;
	enum fh_code code;

	if (op->kind <= OP_POLL)
		return op->kind != OP_POLL || depth == 0;
	if (op->kind >= OP_STORE)
		return op->slot != MODEL_NONE && depth == 0;
	if (op->slot == MODEL_NONE || (op->kind == OP_OWNER_REALIZE && depth > 0))
		return false;
	model_copy(&trial, c->model);
	return model_apply(&trial, op, &code) && can_be_painted(&trial);
}

struct op edit_choose(const struct model *model, const struct style *style, unsigned depth,
		      struct rng *rng)
{
	struct chooser c = { .model = model, .style = style, .rng = rng };

	model_sort_kids(model, &c.kids);
	for (int i = 0; i < MODEL_SPACES; i++)
		if (model->spaces[i].real)
			oracle_count(model, &c.kids, model->spaces[i].root, c.seen);
	for (int i = 0; i < 100; i++) {
		const struct op op = choose_op(&c, depth);

		if (op_is_good(&c, &op, depth))
			return op;
	}
	return (struct op){ .kind = depth > 0 ? OP_COMMIT : OP_POLL };
}
