/* SPDX-License-Identifier: MIT */
/*
 * Dirty pages, as the oracle has them: a bit for each page of a region and each client that logs
 * it.
 */
#include <inttypes.h>

#include "model/look.h"

/* Pages that have a byte in the range. */
static uint64_t pages_of(uint64_t offset, uint64_t size)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < MODEL_PAGES; i++) {
		const uint64_t first = (uint64_t)i * FH_DIRTY_PAGE;

		if (offset < first + FH_DIRTY_PAGE &&
		    (offset >= first || size > first - offset))
			pages |= UINT64_C(1) << i;
	}
	return size ? pages : 0;
}

void pages_mark(struct stores *stores, int slot, uint64_t offset, uint64_t size)
{
	for (unsigned i = 0; i < FH_DIRTY_CLIENTS; i++)
		if (stores->mask[slot] >> i & 1)
			stores->dirty[slot][i] |= pages_of(offset, size);
}

void stores_edited(struct world *world)
{
	struct stores *stores = world->stores;
	const struct model *model = &world->model;

	for (int i = 0; i < model->region_slots; i++) {
		const uint8_t mask = model->regions[i].real ? model_log_mask(model, i) : 0;

		for (unsigned j = 0; mask != stores->mask[i] && j < FH_DIRTY_CLIENTS; j++)
			if ((mask ^ stores->mask[i]) >> j & 1)
				stores->dirty[i][j] = 0;
		stores->mask[i] = mask;
	}
}

/* --- Taking --------------------------------------------------------------------------------- */

static bool add_run(uint64_t offset, uint64_t size, void *arg)
{
	*(uint64_t *)arg |= pages_of(offset, size);
	return true;
}

static uint64_t take_snapshot(struct world *world, const struct op *op, unsigned client,
			      enum fh_code *ret_code)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_dirty_snapshot *snapshot =
		fh_dirty_snapshot_take(world->model.regions[op->slot].real,
				       (enum fh_dirty_client)client, op->addr, op->size, &err);
	uint64_t pages = 0;

	*ret_code = err.code;
	if (!snapshot)
		return 0;
	fh_dirty_snapshot_each(snapshot, add_run, &pages);
	if (fh_dirty_snapshot_pages(snapshot) != (uint64_t)__builtin_popcountll(pages))
		world_fail(world, "a snapshot counts %" PRIu64 " pages and has %d",
			   fh_dirty_snapshot_pages(snapshot), __builtin_popcountll(pages));
	fh_dirty_snapshot_free(snapshot);
	return pages;
}

/* Whole pages of the region's memory are asked for. */
static void check_listeners(struct world *world, const struct op *op, bool taken)
{
	const struct model_region *region = &world->model.regions[op->slot];
	uint64_t last = op->addr + (op->size - 1);

	if (last > region->capacity - 1)
		last = region->capacity - 1;
	ears_check_logs(world->ears, world->shown, region->real,
			op->addr & ~(uint64_t)(FH_DIRTY_PAGE - 1), last | (FH_DIRTY_PAGE - 1),
			taken);
	if (ears_failure(world->ears))
		world_fail(world, "%s", ears_failure(world->ears));
}

void pages_take(struct world *world, const struct op *op)
{
	struct stores *stores = world->stores;
	const unsigned client = (unsigned)op->priority & 7;
	const uint64_t wanted = stores->dirty[op->slot][client] & pages_of(op->addr, op->size);
	struct fh_region *region = world->model.regions[op->slot].real;
	enum fh_code code = FH_OK;
	uint64_t pages;

	if (fh_dirty_clients(region) != stores->mask[op->slot])
		world_fail(world, "clients %#x log region %d, not %#x", fh_dirty_clients(region),
			   op->slot, stores->mask[op->slot]);
	if (fh_dirty_test(region, (enum fh_dirty_client)client, op->addr, op->size) != !!wanted)
		world_fail(world, "region %d is %s for client %u", op->slot,
			   wanted ? "clean" : "dirty", client);
	if (op->flag) {
		pages = fh_dirty_test_and_clear(region, (enum fh_dirty_client)client, op->addr,
						op->size) ? wanted : 0;
	} else {
		pages = take_snapshot(world, op, client, &code);
		if (code != (stores->mask[op->slot] >> client & 1 ? FH_OK : FH_ENOENT))
			world_fail(world, "a snapshot returned %s", fh_code_name(code));
	}
	if (pages != wanted)
		world_fail(world, "pages of region %d for client %u: %#" PRIx64 ", not %#" PRIx64,
			   op->slot, client, pages, wanted);
	check_listeners(world, op, wanted != 0);
	stores->dirty[op->slot][client] &= ~wanted;
	world->counts.pages += (unsigned)__builtin_popcountll(wanted);
}
