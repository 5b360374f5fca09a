/* SPDX-License-Identifier: MIT */
/*
 * Devices that are plugged and unplugged without pause while three threads access them, DMA goes on
 * in operations that outlive them, and timers and bottom halves run (L4, L5, L6).
 *
 * R1. After a device's unrealize has begun, none of its callbacks runs: every callback looks.
 * R2. A ref of the test's keeps a device's pointer good, as it may be unplugged by anybody.
 */
#include "support/probe.h"

#include <sched.h>
#include <stdlib.h>

#include "memory/ram.h"
#include "support/random.h"
#include "support/scale.h"

#define BASE UINT64_C(0x10000000)
#define RAM UINT64_C(0x80000000)

enum {
	SLOTS = 6,
	SLOT = 0x10000,
	ACCESSORS = 3,
	RING = 64,
	DMA_BYTES = 64,
};

/* What a guest's store asks a device to do. */
enum command { NOTHING, ARM_TIMER, SCHEDULE_BH, START_DMA, FORWARD, BLOCK, UNPLUG_SELF };

struct world;

/* One life of a device; outlives its finalize. */
struct life {
	struct probe_hooks hooks;
	struct world *world;
	unsigned slot;
	struct fh_timer *timer;
	struct fh_bh *bh;
	_Atomic unsigned timers, bhs, done;
	_Atomic bool ended; /* its unrealize has begun */
};

/* An operation in flight, on its way to the thread that completes it. */
struct transfer {
	struct life *life;
	struct fh_io *io;
	struct fh_mapping *mapping;
	uint8_t *ptr;
	uint64_t size;
};

struct world {
	struct fh_machine *m;
	struct fh_region *ram;
	pthread_mutex_t lock; /* of the ring */
	struct transfer ring[RING];
	unsigned first, count;
	_Atomic bool stop_access, stop;
	_Atomic unsigned seeds;
	_Atomic uint64_t hits, transfers, refused;
};

static uint64_t addr_of(unsigned slot)
{
	return BASE + slot * SLOT;
}

/* --- Operations in flight ------------------------------------------------------------------- */

static bool ring_put(struct world *world, const struct transfer *transfer)
{
	bool room;

	pthread_mutex_lock(&world->lock);
	room = world->count < RING;
	if (room)
		world->ring[(world->first + world->count++) % RING] = *transfer;
	pthread_mutex_unlock(&world->lock);
	return room;
}

static bool ring_take(struct world *world, struct transfer *ret)
{
	bool any;

	pthread_mutex_lock(&world->lock);
	any = world->count > 0;
	if (any) {
		*ret = world->ring[world->first];
		world->first = (world->first + 1) % RING;
		world->count--;
	}
	pthread_mutex_unlock(&world->lock);
	return any;
}

/* R1 */
static void check_not_ended(struct life *life)
{
	CHECK(!life->ended && life->hooks.disposed == 0);
}

static void transfer_done(void *state)
{
	struct life *life = state;

	check_not_ended(life);
	life->done++;
}

static void transfer_end(struct transfer *transfer)
{
	/* Long after the device and what it maps may have gone; others read it meanwhile. */
	fh_ram_fill(transfer->ptr, 0xa5, transfer->size);
	fh_mapping_unmap(transfer->mapping, transfer->size);
	fh_io_complete(transfer->io, transfer_done, transfer->life);
}

/* Into the RAM of the machine, or of any device, the device itself included. */
static void start_dma(struct probe *probe, struct life *life, unsigned where)
{
	struct world *world = life->world;
	const uint64_t addr = where % (SLOTS + 1) < SLOTS ?
				      addr_of(where % (SLOTS + 1)) + PROBE_SIZE :
				      RAM;
	struct transfer transfer = { .life = life };
	struct fh_mapped mapped;

	transfer.io = fh_io_begin(probe->device, "dma");
	/* In a callback the device is not detached (L6). */
	CHECK(transfer.io);
	transfer.mapping = fh_space_map(fh_machine_memory(world->m), addr, DMA_BYTES, FH_MAP_WRITE,
					FH_ATTRS_NONE, transfer.io, &mapped);
	transfer.ptr = mapped.ptr;
	transfer.size = mapped.size;
	if (!transfer.mapping) {
		fh_io_complete(transfer.io, NULL, NULL);
		return;
	}
	world->transfers++;
	if (!ring_put(world, &transfer)) {
		fh_mapping_unmap(transfer.mapping, 0);
		fh_io_complete(transfer.io, NULL, NULL);
	}
}

static void complete_on(void *arg)
{
	struct world *world = arg;
	struct transfer transfer;

	for (;;) {
		/* Looked at first: what was put before is taken. */
		const bool stop = world->stop;

		if (ring_take(world, &transfer))
			transfer_end(&transfer);
		else if (stop)
			break;
		else
			sched_yield();
	}
}

/* --- Devices -------------------------------------------------------------------------------- */

static void timer_expired(void *state)
{
	struct life *life = state;

	check_not_ended(life);
	life->timers++;
}

static void bh_run(void *state)
{
	struct life *life = state;

	check_not_ended(life);
	life->bhs++;
}

static enum fh_tx on_read(struct probe *probe, uint64_t offset, uint64_t *ret_value)
{
	(void)offset;
	check_not_ended(probe->hooks->arg);
	*ret_value = PROBE_CANARY;
	return FH_TX_OK;
}

static void forward(struct life *life, unsigned to)
{
	uint32_t value;
	const enum fh_tx tx = fh_space_load32(fh_machine_memory(life->world->m),
					      addr_of(to % SLOTS), FH_LE, &value);

	CHECK(tx == FH_TX_OK || tx == FH_TX_REENTRY || tx == FH_TX_DECODE_ERROR);
	CHECK(tx != FH_TX_OK || value == PROBE_CANARY);
	life->world->refused += tx == FH_TX_REENTRY;
}

static enum fh_tx on_write(struct probe *probe, uint64_t offset, uint64_t value)
{
	struct life *life = probe->hooks->arg;
	const unsigned argument = (unsigned)value >> 8;

	(void)offset;
	check_not_ended(life);
	switch (value & 0xff) {
	case ARM_TIMER:
		fh_timer_arm(life->timer, fh_machine_now(life->world->m) + argument % 100);
		break;
	case SCHEDULE_BH:
		fh_bh_schedule(life->bh);
		break;
	case START_DMA:
		start_dma(probe, life, argument);
		break;
	case FORWARD:
		forward(life, argument);
		break;
	case BLOCK: /* outside of the section: the drain has to wait for the count (L6) */
		fh_blocking_begin();
		for (unsigned i = 0; i < argument % 8; i++)
			sched_yield();
		fh_blocking_end();
		break;
	case UNPLUG_SELF:
		fh_device_unplug(probe->device);
		break;
	default:
		break;
	}
	check_not_ended(life);
	return FH_TX_OK;
}

static enum fh_code on_realize(struct probe *probe, struct fh_error *err)
{
	struct life *life = probe->hooks->arg;
	struct fh_region *root = fh_space_root(fh_machine_memory(life->world->m));

	(void)err;
	life->timer = fh_timer_new(probe->device, "timer", timer_expired, life);
	life->bh = fh_bh_new(probe->device, "bh", bh_run, life);
	CHECK(fh_region_add(root, probe->regs, addr_of(life->slot), 0) == FH_OK);
	return fh_region_add(root, probe->ram, addr_of(life->slot) + PROBE_SIZE, 0);
}

static void on_unrealize(struct probe *probe)
{
	((struct life *)probe->hooks->arg)->ended = true;
}

/* --- Threads -------------------------------------------------------------------------------- */

static enum fh_tx access_once(struct world *world, unsigned *seed)
{
	struct fh_space *space = fh_machine_memory(world->m);
	const uint64_t addr = addr_of(below(seed, SLOTS));
	/* One in a hundred unplugs; the rest does what devices do. */
	const unsigned command = below(seed, 100) == 0 ? UNPLUG_SELF : below(seed, UNPLUG_SELF);
	uint8_t bytes[64];
	uint32_t value;
	enum fh_tx tx;

	switch (below(seed, 4)) {
	case 0:
		tx = fh_space_load32(space, addr, FH_LE, &value);
		CHECK(tx != FH_TX_OK || value == PROBE_CANARY);
		return tx;
	case 1: /* the end of the registers and the beginning of the RAM */
		return fh_space_read(space, addr + PROBE_SIZE - 32, bytes, sizeof(bytes),
				     FH_ATTRS_NONE);
	case 2:
		return fh_space_store32(space, addr + PROBE_SIZE + 0x100, 1, FH_LE);
	default:
		return fh_space_store32(space, addr, command | below(seed, 256) << 8, FH_LE);
	}
}

static void access_on(void *arg)
{
	struct world *world = arg;
	unsigned seed = ++world->seeds;
	uint64_t hits = 0;

	while (!world->stop_access) {
		const enum fh_tx tx = access_once(world, &seed);

		/* Who holds no domain is never refused. */
		CHECK(tx == FH_TX_OK || tx == FH_TX_DECODE_ERROR);
		hits += tx == FH_TX_OK;
		sched_yield(); /* rather than in a section, which makes grace periods long */
	}
	world->hits += hits;
}

static void poll_on(void *arg)
{
	struct world *world = arg;

	while (!world->stop)
		if (!fh_machine_poll(world->m))
			sched_yield();
}

/* --- The test ------------------------------------------------------------------------------- */

static struct fh_device *plug(struct world *world, struct life *life, unsigned slot, unsigned turn)
{
	struct fh_device *device;

	life->world = world;
	life->slot = slot;
	life->hooks = (struct probe_hooks){
		.read = on_read, .write = on_write, .realize = on_realize,
		.unrealize = on_unrealize, .arg = life, .concurrent = turn % 3 == 0,
	};
	device = fh_object_ref(probe_new(world->m, NULL, &life->hooks)); /* R2 */
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	return device;
}

/* Somebody reaches it, unless it is unplugged before. */
static void wait_for_use(const struct life *life)
{
	for (int i = 0; i < 2000 && life->hooks.writes == 0 && !life->ended; i++)
		sched_yield();
}

static void unplug(struct fh_device **device)
{
	if (!*device)
		return;
	fh_device_unplug(*device);
	*device = fh_object_unref(*device);
}

static void lives_are_checked(const struct life *lives, uint64_t count)
{
	uint64_t timers = 0, bhs = 0, done = 0;

	for (uint64_t i = 0; i < count; i++) {
		const struct probe_hooks *hooks = &lives[i].hooks;

		assert_int_equal(hooks->realized, 1);
		assert_int_equal(hooks->unrealized, 1);
		assert_int_equal(hooks->disposed, 1);
		assert_int_equal(hooks->finalized, 1);
		assert_true(hooks->concurrent || hooks->most_inside <= 1);
		timers += lives[i].timers;
		bhs += lives[i].bhs;
		done += lives[i].done;
	}
	/* All of it has happened, or the test says nothing. */
	assert_true(timers > 0 && bhs > 0 && done > 0);
}

static void devices_are_unplugged_while_everything_uses_them(void **unused)
{
	const uint64_t rounds = scaled(25000) + 200;
	struct life *lives = calloc(rounds, sizeof(*lives));
	struct world world = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct fh_device *devices[SLOTS] = { NULL };
	struct worker accessors[ACCESSORS], poller, completer;

	(void)unused;
	world.m = machine_begin();
	world.ram = fh_region_new_ram(world.m, NULL, 0x10000, NULL);
	fh_region_add(fh_space_root(fh_machine_memory(world.m)), world.ram, RAM, 0);
	for (int i = 0; i < ACCESSORS; i++)
		worker_start(&accessors[i], access_on, &world);
	worker_start(&poller, poll_on, &world);
	worker_start(&completer, complete_on, &world);

	for (uint64_t round = 0; round < rounds; round++) {
		const unsigned slot = (unsigned)(round % SLOTS);

		unplug(&devices[slot]);
		devices[slot] = plug(&world, &lives[round], slot, (unsigned)round);
		if (round % 4 == 0)
			wait_for_use(&lives[round]);
	}
	for (unsigned slot = 0; slot < SLOTS; slot++)
		unplug(&devices[slot]);
	world.stop_access = true;
	for (int i = 0; i < ACCESSORS; i++)
		worker_join(&accessors[i]);
	world.stop = true;
	worker_join(&poller);
	worker_join(&completer);

	fh_object_unref(world.ram);
	machine_check_alive(world.m, 0);
	assert_true(world.hits > 0 && world.transfers > 0);
	lives_are_checked(lives, rounds);
	machine_end(world.m);
	free(lives);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_are_unplugged_while_everything_uses_them),
	};

	return cmocka_run_group_tests_name("stress/unplug", tests, NULL, NULL);
}
