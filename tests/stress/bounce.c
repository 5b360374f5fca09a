/* SPDX-License-Identifier: MIT */
/*
 * Threads that share little room for bounce buffers, while what they map is moved, unplugged and
 * plugged again, and other holders come and go: everybody gets room in the end, what is written
 * back is whole, and at the end all room is free.
 */
#include "support/probe.h"

#include <sched.h>
#include <string.h>

#include "base/lock.h"
#include "support/random.h"
#include "support/scale.h"

#define BASE UINT64_C(0x10000000)
#define STEADY UINT64_C(0x20000000)

enum {
	THREADS = 4,
	LIMIT = 64, /* of the room: less than two threads may want */
	LIMIT_S = 110,
	LIVES = 16, /* of one device, that may be in memory together */
};

struct world {
	struct fh_machine *m;
	struct fh_space *memory;
	struct probe_hooks steady_hooks;
	_Atomic bool stop;
	_Atomic uint64_t waits, calls;
};

/* Somebody who maps; each has a device. */
struct mapper {
	struct worker worker;
	struct world *world;
	struct probe_hooks hooks;
	struct fh_device *device;
	unsigned seed;
	uint64_t rounds;
	/* The wait: the callback maps. */
	struct fh_gate called;
	_Atomic bool was_called;
	uint64_t addr, size;
	unsigned flags;
	struct fh_mapping *mapping;
	struct fh_mapped mapped;
};

static void map(struct mapper *mapper, FH_ANY holder)
{
	mapper->mapping = fh_space_map(mapper->world->memory, mapper->addr, mapper->size,
				       mapper->flags, FH_ATTRS_NONE, holder, &mapper->mapped);
}

static void room_is_there(void *state)
{
	struct mapper *mapper = state;

	map(mapper, mapper->device);
	/* It was set aside for this one. */
	CHECK(mapper->mapped.code != FH_EAGAIN);
	mapper->world->calls++;
	atomic_store_explicit(&mapper->was_called, true, memory_order_release);
	fh_gate_open(&mapper->called);
}

static void wait_for_room(struct mapper *mapper)
{
	atomic_store_explicit(&mapper->was_called, false, memory_order_relaxed);
	mapper->world->waits++;
	CHECK(fh_space_notify_room(mapper->world->memory, mapper->size, mapper->device,
				   room_is_there, mapper));
	for (;;) {
		const uint32_t key = fh_gate_enter(&mapper->called);

		if (atomic_load_explicit(&mapper->was_called, memory_order_acquire))
			break;
		fh_gate_wait(&mapper->called, key, FH_WAIT_FOREVER);
	}
}

static void run_mapper(void *arg)
{
	struct mapper *mapper = arg;

	for (uint64_t i = 0; i < mapper->rounds; i++) {
		mapper->addr = below(&mapper->seed, 2) ? BASE : STEADY;
		mapper->size = 8 * (1 + below(&mapper->seed, 6));
		mapper->flags = 1 + below(&mapper->seed, 3);
		map(mapper, mapper->device);
		if (mapper->mapped.code == FH_EAGAIN)
			wait_for_room(mapper);
		if (!mapper->mapping) {
			CHECK(mapper->addr == BASE);
			CHECK(mapper->mapped.code == FH_ENOENT || mapper->mapped.code == FH_EIO);
			continue;
		}
		CHECK(mapper->mapped.bounced && mapper->mapped.size == mapper->size);
		if (below(&mapper->seed, 4) == 0)
			sched_yield();
		memset(mapper->mapped.ptr, (int)i, mapper->size);
		const enum fh_tx tx = fh_mapping_unmap(mapper->mapping, mapper->size);

		CHECK(tx == FH_TX_OK || (tx == FH_TX_DECODE_ERROR && mapper->addr == BASE));
	}
}

static void run_poller(void *arg)
{
	struct world *world = arg;

	while (!world->stop)
		if (!fh_machine_poll(world->m))
			sched_yield();
}

/* Of the next life, once what had it before is final. */
static struct probe_hooks *next_hooks(struct probe_hooks *hooks, unsigned life)
{
	struct probe_hooks *next = &hooks[life % LIVES];

	while (next->realized != next->finalized)
		sched_yield();
	memset(next, 0, sizeof(*next));
	return next;
}

/* What is mapped moves, goes and comes back. */
static void run_editor(void *arg)
{
	static struct probe_hooks hooks[LIVES];
	struct world *world = arg;
	unsigned seed = 99;

	for (unsigned life = 0; !world->stop; life++) {
		struct fh_device *target =
			probe_plug(world->m, "target", next_hooks(hooks, life), BASE);

		for (unsigned i = below(&seed, 20); i > 0; i--) {
			fh_region_remove(fh_device_region(target, "regs"));
			CHECK(fh_region_add(fh_space_root(world->memory),
					    fh_device_region(target, "regs"), BASE, 0) == FH_OK);
			sched_yield();
		}
		fh_device_unplug(target);
	}
}

static void do_nothing(void *state)
{
	(void)state;
}

/* Holders that have a buffer, or wait for one, and go just so. */
static void run_passers(void *arg)
{
	static struct probe_hooks hooks[LIVES];
	struct world *world = arg;
	struct fh_mapped mapped;

	for (unsigned life = 0; !world->stop; life++) {
		struct fh_device *device =
			probe_plug(world->m, "passer", next_hooks(hooks, life), 4 * BASE);
		struct fh_io *io = fh_io_begin(device, "dma");

		fh_space_map(world->memory, STEADY, 16, FH_MAP_WRITE, FH_ATTRS_NONE, device,
			     &mapped);
		fh_space_map(world->memory, BASE, 16, FH_MAP_READ, FH_ATTRS_NONE, io, &mapped);
		fh_space_notify_room(world->memory, 48, device, do_nothing, NULL);
		fh_space_notify_room(world->memory, 8, io, do_nothing, NULL);
		fh_device_unplug(device);
		sched_yield();
		fh_io_complete(io, NULL, NULL);
	}
}

static void begin(struct world *world)
{
	memset(world, 0, sizeof(*world));
	world->m = machine_begin();
	world->memory = fh_machine_memory(world->m);
	fh_space_set_bounce_limit(world->memory, LIMIT);
	probe_plug(world->m, "steady", &world->steady_hooks, STEADY);
}

/* All of it is free again. */
static void end(struct world *world, struct fh_object *holder)
{
	struct fh_mapped mapped;

	fh_machine_drain(world->m);
	struct fh_mapping *mapping = fh_space_map(world->memory, STEADY, 2 * LIMIT, FH_MAP_WRITE,
						  FH_ATTRS_NONE, holder, &mapped);

	assert_non_null(mapping);
	assert_int_equal(mapped.size, LIMIT);
	fh_mapping_unmap(mapping, 0);
	machine_end(world->m);
}

static void run(unsigned threads, uint64_t rounds, bool edits, bool passers)
{
	static struct mapper mappers[THREADS];
	struct worker poller, editor, passer;
	struct world world;

	begin(&world);
	for (unsigned i = 0; i < threads; i++) {
		struct mapper *mapper = &mappers[i];

		memset(mapper, 0, sizeof(*mapper));
		mapper->world = &world;
		mapper->seed = i + 1;
		mapper->rounds = rounds;
		fh_gate_init(&mapper->called);
		mapper->device = probe_plug(world.m, (char[]){ (char)('a' + i), 0 }, &mapper->hooks,
					    BASE * (8 + i));
	}
	worker_start(&poller, run_poller, &world);
	if (edits)
		worker_start(&editor, run_editor, &world);
	if (passers)
		worker_start(&passer, run_passers, &world);
	for (unsigned i = 0; i < threads; i++)
		worker_start(&mappers[i].worker, run_mapper, &mappers[i]);
	for (unsigned i = 0; i < threads; i++)
		worker_join_within(&mappers[i].worker, LIMIT_S);
	world.stop = true;
	if (edits)
		worker_join(&editor);
	if (passers)
		worker_join(&passer);
	worker_join(&poller);
	assert_int_equal(world.waits, world.calls);
	assert_true(world.waits > rounds / 100);
	end(&world, (struct fh_object *)mappers[0].device);
}

static void little_room_is_enough_for_all(void **unused)
{
	(void)unused;
	run(THREADS, scaled(40000), false, false);
}

static void nobody_waits_for_ever_while_holders_come_and_go(void **unused)
{
	(void)unused;
	run(THREADS, scaled(20000), false, true);
}

static void nobody_waits_for_ever_while_everything_moves(void **unused)
{
	(void)unused;
	run(THREADS, scaled(10000), true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(little_room_is_enough_for_all),
		cmocka_unit_test(nobody_waits_for_ever_while_holders_come_and_go),
		cmocka_unit_test(nobody_waits_for_ever_while_everything_moves),
	};

	return cmocka_run_group_tests_name("stress/bounce", tests, NULL, NULL);
}
