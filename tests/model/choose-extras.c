/* SPDX-License-Identifier: MIT */
/*
 * How edits of eventfds, coalesced ranges and logs are chosen, and stores: few places, so that they
 * meet each other and the edges of what is shown.
 */
#include "model/pick.h"

static bool has_registers(const struct model_region *region)
{
	return model_has_callbacks(region);
}

static bool has_log(const struct model_region *region)
{
	return region->log_own != 0;
}

static bool has_memory(const struct model_region *region)
{
	return model_has_memory(region);
}

enum op_kind choose_extra_kind(const struct chooser *c, unsigned depth)
{
	/* Of a hundred; what is not listed is OP_STORE. */
	static const struct { enum op_kind kind; unsigned weight; } weights[] = {
		{ OP_EVENTFD_NEW, 14 }, { OP_EVENTFD_DESTROY, 8 }, { OP_COALESCE, 7 },
		{ OP_COALESCE_CLEAR, 3 }, { OP_FLUSH, 2 }, { OP_LOG_START, 6 },
		{ OP_LOG_STOP, 4 }, { OP_LOG_ALL, 1 }, { OP_LOG_ALL_STOP, 2 }, { OP_TAKE, 13 },
	};
	unsigned choice = (unsigned)rng_below(c->rng, depth > 0 ? 34 : 100);

	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		if (choice < weights[i].weight)
			return weights[i].kind;
		choice -= weights[i].weight;
	}
	return OP_STORE;
}

/* An offset in the region where something may begin or end. */
static uint64_t any_offset(const struct chooser *c, int region)
{
	const uint64_t size = c->model->regions[region].size;
	const int span = (int)rng_below(c->rng, MODEL_SPANS);
	const int eventfd = (int)rng_below(c->rng, MODEL_EVENTFDS);

	switch (rng_below(c->rng, 6)) {
	case 0: return size - rng_below(c->rng, 10);
	case 1: return any_addr_in(c, region) - rng_below(c->rng, 8);
	case 2:
		return c->model->spans[span].used ? c->model->spans[span].last + 1 -
							    rng_below(c->rng, 3)
						  : 8;
	case 3:
		return c->model->eventfds[eventfd].real ? c->model->eventfds[eventfd].match.offset
							: 4;
	default: return rng_below(c->rng, 8) * 4;
	}
}

static void fill_eventfd(const struct chooser *c, struct op *op)
{
	static const uint64_t sizes[] = { 0, 0, 1, 2, 4, 4, 8, 8, 3 };
	static const int32_t data[] = { 0, 1, 2, 3, 1, 2, 0x100, 0x12345678 };

	op->slot = (int16_t)rng_below(c->rng, MODEL_EVENTFDS);
	op->flag = rng_chance(c->rng, 50);
	if (op->kind == OP_EVENTFD_DESTROY)
		return;
	for (int i = 0; i < MODEL_EVENTFDS && c->model->eventfds[op->slot].real; i++)
		op->slot = (int16_t)((op->slot + 1) % MODEL_EVENTFDS);
	op->owner = (int16_t)pick_owner(c);
	op->other = (int16_t)pick_seen(c, rng_chance(c->rng, 98) ? has_registers : NULL);
	if (op->other == MODEL_NONE)
		op->slot = MODEL_NONE;
	else
		op->addr = any_offset(c, op->other);
	op->size = sizes[rng_below(c->rng, rng_chance(c->rng, 98) ? 8 : 9)];
	op->priority = data[rng_below(c->rng, 8)];
}

static void fill_coalesced(const struct chooser *c, struct op *op)
{
	op->slot = (int16_t)pick_seen(c, rng_chance(c->rng, 98) ? has_registers : NULL);
	op->flag = rng_chance(c->rng, 60);
	if (op->slot == MODEL_NONE)
		return;
	op->addr = any_offset(c, op->slot);
	op->size = rng_chance(c->rng, 40) ? any_size(c, false) : rng_below(c->rng, 40);
	if (rng_chance(c->rng, 80) && op->addr < c->model->regions[op->slot].size &&
	    op->size > c->model->regions[op->slot].size - op->addr)
		op->size = c->model->regions[op->slot].size - op->addr;
}

static void fill_log(const struct chooser *c, struct op *op)
{
	static const int32_t clients[] = { 0, 1, 1, 2, 5, 7 };

	op->priority = clients[rng_below(c->rng, 6)];
	op->slot = (int16_t)pick_seen(c, rng_chance(c->rng, 98) ? has_memory : NULL);
	/* One that is logged: it has another client now, or one for the other. */
	if (rng_chance(c->rng, op->kind == OP_LOG_STOP ? 80 : 40) &&
	    pick_region(c, has_log) != MODEL_NONE)
		op->slot = (int16_t)pick_region(c, has_log);
	if (op->kind == OP_LOG_STOP && op->slot != MODEL_NONE && rng_chance(c->rng, 70))
		while (c->model->regions[op->slot].log_own &&
		       !(c->model->regions[op->slot].log_own >> op->priority & 1))
			op->priority = (op->priority + 1) % FH_DIRTY_CLIENTS;
	if (op->kind == OP_LOG_ALL || op->kind == OP_LOG_ALL_STOP)
		op->slot = 0;
}

static void fill_take(const struct chooser *c, struct op *op)
{
	op->slot = (int16_t)pick_seen(c, rng_chance(c->rng, 70) ? has_log : has_memory);
	op->flag = rng_chance(c->rng, 40);
	if (op->slot == MODEL_NONE || !model_has_memory(&c->model->regions[op->slot])) {
		op->slot = MODEL_NONE;
		return;
	}
	const struct model_region *region = &c->model->regions[op->slot];

	op->priority = (int32_t)rng_below(c->rng, FH_DIRTY_CLIENTS);
	for (int i = 0; i < FH_DIRTY_CLIENTS; i++)
		if (rng_chance(c->rng, 90) &&
		    !(model_log_mask(c->model, op->slot) >> op->priority & 1))
			op->priority = (op->priority + 1) % FH_DIRTY_CLIENTS;
	op->size = region->capacity;
	if (rng_chance(c->rng, 60)) {
		op->addr = rng_below(c->rng, region->capacity);
		op->size = 1 + rng_below(c->rng, region->capacity);
	}
}

void fill_extra(const struct chooser *c, struct op *op)
{
	switch (op->kind) {
	case OP_EVENTFD_NEW:
	case OP_EVENTFD_DESTROY: fill_eventfd(c, op); break;
	case OP_COALESCE:
	case OP_COALESCE_CLEAR:
	case OP_FLUSH: fill_coalesced(c, op); break;
	case OP_TAKE: fill_take(c, op); break;
	case OP_STORE:
		op->slot = (int16_t)pick_space(c);
		op->addr = rng_next(c->rng);
		break;
	default: fill_log(c, op); break;
	}
}
