/* SPDX-License-Identifier: MIT */
/*
 * What a store does, byte by byte of the view. See stores.h for R1.
 */
#include "model/stores.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "model/look.h"

/* --- Registers ------------------------------------------------------------------------------ */

static enum fh_tx no_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			  struct fh_attrs attrs)
{
	(void)state;
	(void)offset;
	(void)ret_value;
	(void)size;
	(void)attrs;
	return FH_TX_DEVICE_ERROR;
}

/* In no order: of two stores that change places the sum is the same. */
static uint64_t call_sum(int slot, uint64_t offset, uint64_t value, unsigned size)
{
	struct rng rng = { offset * 31 + (uint64_t)slot };

	rng.state = rng_next(&rng) ^ value;
	return rng_next(&rng) * size;
}

static enum fh_tx note_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	const struct registers_of *registers = state;

	(void)attrs;
	registers->stores->calls++;
	registers->stores->sum += call_sum(registers->slot, offset, value, size);
	return FH_TX_OK;
}

const struct fh_region_ops *stores_registers(bool big_endian)
{
	static const struct fh_region_ops ops[2] = {
		{ .read = no_read, .write = note_write, .concurrent = true,
		  .valid.unaligned = true, .impl.unaligned = true, .order = FH_LE },
		{ .read = no_read, .write = note_write, .concurrent = true,
		  .valid.unaligned = true, .impl.unaligned = true, .order = FH_BE },
	};

	return &ops[big_endian];
}

void *stores_state(struct stores *stores, int slot)
{
	return &stores->registers[slot];
}

/* --- Eventfds ------------------------------------------------------------------------------- */

/* Has it been signalled as often as was wanted? */
static void check_ring(struct world *world, int slot)
{
	struct stores *stores = world->stores;
	uint64_t count = 0;

	if (stores->fd[slot] < 0)
		return;
	if (read(stores->fd[slot], &count, sizeof(count)) < 0)
		count = 0;
	if (count != stores->rung[slot])
		world_fail(world, "eventfd %d was signalled %" PRIu64 " times, not %" PRIu64, slot,
			   count, stores->rung[slot]);
	stores->rung[slot] = 0;
}

int stores_eventfd(struct world *world, int slot)
{
	struct stores *stores = world->stores;

	check_ring(world, slot);
	if (stores->fd[slot] >= 0)
		close(stores->fd[slot]);
	stores->fd[slot] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return stores->fd[slot];
}

void stores_check_rings(struct world *world, bool all)
{
	struct stores *stores = world->stores;

	for (int i = 0; i < MODEL_EVENTFDS; i++) {
		if (all || stores->just_rung[i])
			check_ring(world, i);
		stores->just_rung[i] = false;
	}
}

/* --- What a store does ------------------------------------------------------------------------ */

static uint64_t value_of(const uint8_t *bytes, unsigned size, bool big_endian)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << 8 * (big_endian ? size - 1 - i : i);
	return value;
}

static void expect_piece(struct world *world, int slot, uint64_t offset, const uint8_t *bytes,
			 unsigned size, bool debug)
{
	struct stores *stores = world->stores;
	const uint64_t value = value_of(bytes, size, world->model.regions[slot].big_endian);
	const int eventfd =
		debug ? MODEL_NONE
		      : eventfd_of_store(&world->model, slot, offset, size, value);

	if (eventfd != MODEL_NONE) {
		stores->rung[eventfd]++;
		stores->just_rung[eventfd] = true;
		world->counts.rings++;
	} else {
		stores->calls_wanted++;
		stores->sum_wanted += call_sum(slot, offset, value, size);
	}
}

/* A single store, or the largest pieces that are aligned. */
static void expect_registers(struct world *world, int slot, uint64_t offset, const uint8_t *bytes,
			     uint64_t size, bool whole, bool debug)
{
	if (!debug && region_asks(&world->model, slot))
		world->stores->asks = true;
	while (size > 0) {
		unsigned piece = 8;

		while (piece > size || (!whole && offset % piece != 0))
			piece /= 2;
		expect_piece(world, slot, offset, bytes, piece, debug);
		offset += piece;
		bytes += piece;
		size -= piece;
	}
}

static void expect_part(struct world *world, const struct fh_section *section, uint64_t offset,
			const uint8_t *bytes, uint64_t size, const struct store *store)
{
	const int slot = world_slot_of(world, section->region);
	const bool one = size == 1 || size == 2 || size == 4 || size == 8;
	bool marks = false;

	switch (world->model.regions[slot].kind) {
	case FH_REGION_MMIO:
	case FH_REGION_ROM_DEVICE:
		expect_registers(world, slot, offset, bytes, size,
				 store->typed && size == store->size && one, store->debug);
		break;
	case FH_REGION_RAM: marks = !section->readonly || store->debug; break;
	case FH_REGION_ROM: marks = store->debug; break;
	case FH_REGION_RAM_DEVICE: marks = !section->readonly && !store->debug; break;
	default: break;
	}
	if (marks)
		pages_mark(world->stores, slot, offset, size);
}

void stores_expect(struct world *world, int space, const struct store *store,
		   const struct fh_section *only)
{
	const struct view *view = &world->shown[space]->view;
	const uint64_t last = store->addr + (store->size - 1);

	for (size_t i = 0; i < view->count; i++) {
		const struct fh_section *section = &view->at[i];
		const uint64_t from =
			section->first > store->addr ? section->first : store->addr;
		const uint64_t to = section->last < last ? section->last : last;

		if (section->first > last || section->last < store->addr ||
		    (only && section != only))
			continue;
		expect_part(world, section, section->offset + (from - section->first),
			    store->bytes + (from - store->addr), to - from + 1, store);
	}
}

/* --- Accesses ------------------------------------------------------------------------------- */

static void check(struct world *world)
{
	struct stores *stores = world->stores;

	if (stores->calls != stores->calls_wanted || stores->sum != stores->sum_wanted)
		world_fail(world, "callbacks: %" PRIu64 " calls, not %" PRIu64 "%s", stores->calls,
			   stores->calls_wanted,
			   stores->calls == stores->calls_wanted ? ", but others" : "");
	stores_check_rings(world, world->counts.stores % 16 == 0);
	ears_check_asked(world->ears, &world->model, stores->asks);
	if (ears_failure(world->ears))
		world_fail(world, "%s", ears_failure(world->ears));
	stores->asks = false;
}

void stores_access(struct world *world, const struct op *op)
{
	if (op->kind == OP_TAKE) {
		pages_take(world, op);
		return;
	}
	world->counts.stores++;
	stores_store(world, op);
	check(world);
}

/* --- All of it ------------------------------------------------------------------------------ */

uint64_t *stores_rung(struct stores *stores)
{
	return stores->rung;
}

uint8_t *stores_device_memory(struct stores *stores)
{
	return stores->device_memory;
}

struct stores *stores_new(void)
{
	struct stores *stores = calloc(1, sizeof(*stores));

	stores->device_memory = aligned_alloc(FH_DIRTY_PAGE, MODEL_PAGES * FH_DIRTY_PAGE);
	for (int i = 0; i < MODEL_REGIONS; i++)
		stores->registers[i] = (struct registers_of){ stores, i };
	for (int i = 0; i < MODEL_EVENTFDS; i++)
		stores->fd[i] = -1;
	return stores;
}

void stores_free(struct stores *stores)
{
	for (int i = 0; i < MODEL_EVENTFDS; i++)
		if (stores->fd[i] >= 0)
			close(stores->fd[i]);
	free(stores->device_memory);
	free(stores);
}
