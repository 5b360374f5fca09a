/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging against writers: no write is lost.
 *
 * R1. A copy is kept as a migration keeps it: all of memory once, after logging has started; then
 *     over and over the pages of a snapshot, each read after the bits were taken. When the writers
 *     have stopped, one more snapshot has to make the copy equal to the memory.
 * R2. What heals itself is not seen by that: a page that is written again is copied again. So the
 *     race between one store and one taking of its bit is run by itself, many times, with the bit
 *     set beforehand.
 */
#include "support/probe.h"

#include <sched.h>
#include <string.h>

#include "support/copy.h"
#include "support/random.h"
#include "support/scale.h"

enum {
	WRITERS = 4,
	PAGE = 0x1000,
	PAGES = 1024,
	SIZE = PAGES * PAGE,
	BURST = 128, /* words: more than a processor's store buffer holds back at once */
};

#define RAM UINT64_C(0x80000000)
#define WINDOW UINT64_C(0x10000000)

struct world {
	struct fh_machine *m;
	struct fh_space *memory;
	struct fh_region *ram, *window;
	struct fh_object *holder;
	_Atomic bool stop, pause;
	_Atomic unsigned paused, seeds;
	_Atomic uint64_t writes;
	uint8_t bytes[SIZE]; /* of the copy */
	struct copy copy;
};

/* --- Writers -------------------------------------------------------------------------------- */

struct writer {
	struct world *world;
	unsigned seed;
	uint64_t count;
	uint8_t page[2 * PAGE];
};

static uint64_t pick(struct writer *writer)
{
	return (uint64_t)below(&writer->seed, PAGES) * PAGE +
	       below(&writer->seed, PAGE / 8 - 1) * 8;
}

static void write_word(struct writer *writer)
{
	CHECK(fh_space_store64(writer->world->memory, RAM + pick(writer), writer->count, FH_LE) ==
	      FH_TX_OK);
}

/* Over the border of two pages, now and then. */
static void write_odd(struct writer *writer)
{
	const uint64_t offset = (uint64_t)(1 + below(&writer->seed, PAGES - 1)) * PAGE -
				below(&writer->seed, 9);

	CHECK(fh_space_store(writer->world->memory, RAM + offset, 8, FH_BE, FH_ATTRS_NONE,
			     writer->count) == FH_TX_OK);
}

static void write_bulk(struct writer *writer)
{
	const uint64_t offset = (uint64_t)below(&writer->seed, PAGES - 2) * PAGE + 40;

	memset(writer->page, (int)writer->count, sizeof(writer->page));
	CHECK(fh_space_write(writer->world->memory, RAM + offset, writer->page, 2 * PAGE,
			     FH_ATTRS_NONE) == FH_TX_OK);
}

static void write_fill(struct writer *writer)
{
	CHECK(fh_space_fill(writer->world->memory, RAM + pick(writer), (uint8_t)writer->count, 8,
			    FH_ATTRS_NONE) == FH_TX_OK);
}

/* The window moves; what it shows is within the region. */
static void write_window(struct writer *writer)
{
	CHECK(fh_space_store64(writer->world->memory, WINDOW + below(&writer->seed, 512) * 8,
			       writer->count, FH_LE) == FH_TX_OK);
}

static void write_mapping(struct writer *writer)
{
	struct fh_mapped mapped;
	struct fh_mapping *mapping =
		fh_space_map(writer->world->memory, RAM + pick(writer), 8, FH_MAP_WRITE,
			     FH_ATTRS_NONE, writer->world->holder, &mapped);

	CHECK(mapping && mapped.size == 8 && !mapped.bounced);
	__atomic_store_n((uint64_t *)mapped.ptr, writer->count, __ATOMIC_RELAXED);
	fh_mapping_unmap(mapping, 8);
}

static void wait_while_paused(struct world *world)
{
	if (!atomic_load_explicit(&world->pause, memory_order_acquire))
		return;
	world->paused++;
	while (atomic_load_explicit(&world->pause, memory_order_acquire))
		sched_yield();
	world->paused--;
}

static void write_on(void *arg)
{
	static void (*const writes[])(struct writer *writer) = {
		write_word, write_word, write_word, write_odd, write_bulk, write_fill, write_window,
		write_mapping,
	};
	struct world *world = arg;
	struct writer writer = { .world = world, .seed = ++world->seeds };

	while (!atomic_load_explicit(&world->stop, memory_order_relaxed)) {
		writer.count++;
		writes[below(&writer.seed, sizeof(writes) / sizeof(writes[0]))](&writer);
		wait_while_paused(world);
	}
	world->writes += writer.count;
}

static void pause_writers(struct world *world)
{
	world->pause = true;
	while (world->paused != WRITERS)
		sched_yield();
}

static void resume_writers(struct world *world)
{
	world->pause = false;
	while (world->paused != 0)
		sched_yield();
}

/* --- The copy ------------------------------------------------------------------------------- */

/* Changes of the map and of other clients, beside the writers. */
static void disturb(struct world *world, unsigned *seed)
{
	switch (below(seed, 4)) {
	case 0:
		fh_region_set_alias_offset(world->window, below(seed, PAGES - 1) * PAGE);
		break;
	case 1:
		assert_int_equal(fh_dirty_start(world->ram, FH_DIRTY_DISPLAY, NULL), FH_OK);
		break;
	case 2:
		fh_dirty_stop(world->ram, FH_DIRTY_DISPLAY);
		break;
	default:
		fh_dirty_test_and_clear(world->ram, FH_DIRTY_DISPLAY, 0, SIZE);
	}
}

static void migrate(struct world *world, unsigned *seed)
{
	if (below(seed, 2))
		assert_int_equal(fh_dirty_start(world->ram, FH_DIRTY_MIGRATION, NULL), FH_OK);
	else
		assert_int_equal(fh_dirty_global_start(world->m, FH_DIRTY_MIGRATION, NULL), FH_OK);
	copy_all(&world->copy);
	for (unsigned i = 0; i < 10; i++) {
		copy_dirty(&world->copy);
		disturb(world, seed);
	}
	pause_writers(world);
	copy_dirty(&world->copy);
	CHECK(copy_is_equal(&world->copy));
	resume_writers(world);
	fh_dirty_stop(world->ram, FH_DIRTY_MIGRATION);
	fh_dirty_global_stop(world->m, FH_DIRTY_MIGRATION);
}

static void world_begin(struct world *world)
{
	struct fh_region *root;

	memset(world, 0, sizeof(*world));
	world->m = machine_begin();
	world->memory = fh_machine_memory(world->m);
	root = fh_space_root(world->memory);
	world->ram = fh_region_new_ram(world->m, "ram", SIZE, NULL);
	world->copy = (struct copy){ .space = world->memory,
				     .ram = world->ram,
				     .addr = RAM,
				     .size = SIZE,
				     .bytes = world->bytes };
	world->window = fh_region_new_alias(world->m, "window", world->ram, 0, PAGE);
	fh_region_add(root, world->ram, RAM, 0);
	fh_region_add(root, world->window, WINDOW, 0);
	world->holder = fh_object_new_child(world->m, "holder", &holder_type, NULL);
}

static void world_end(struct world *world)
{
	fh_object_dispose(world->holder);
	fh_object_unref(world->window);
	fh_object_unref(world->ram);
	machine_end(world->m);
}

static void copy_is_equal_once_the_writers_stand_still(void **unused)
{
	static struct world world;
	const uint64_t times = scaled(60);
	struct worker writers[WRITERS];
	unsigned seed = 99;

	(void)unused;
	world_begin(&world);
	for (int i = 0; i < WRITERS; i++)
		worker_start(&writers[i], write_on, &world);
	for (uint64_t i = 0; i < times; i++)
		migrate(&world, &seed);
	world.stop = true;
	for (int i = 0; i < WRITERS; i++)
		worker_join(&writers[i]);
	assert_true(world.writes > 1000);
	assert_true(world.copy.copied > times * SIZE); /* of the dirty as well */
	world_end(&world);
}

/* --- One store, one taking ------------------------------------------------------------------ */

struct duel {
	struct world *world;
	uint64_t rounds;
	_Atomic uint64_t turn __attribute__((aligned(64)));
	_Atomic uint64_t done __attribute__((aligned(64)));
};

static void wait_for(_Atomic uint64_t *word, uint64_t value)
{
	for (unsigned spins = 0; atomic_load_explicit(word, memory_order_acquire) != value; spins++)
		if (spins % 256 == 255)
			sched_yield();
}

static void store_when_told(void *arg)
{
	struct duel *duel = arg;
	uint64_t burst[BURST];

	for (uint64_t i = 1; i <= duel->rounds; i++) {
		wait_for(&duel->turn, i);
		for (unsigned k = 0; k < BURST; k++)
			burst[k] = i;
		/* Its own cache has the bit, and not the lines that it writes. */
		fh_dirty_test(duel->world->ram, FH_DIRTY_CODE, 0, 8);
		CHECK(fh_space_write(duel->world->memory, RAM, burst, sizeof(burst),
				     FH_ATTRS_NONE) == FH_TX_OK);
		atomic_store_explicit(&duel->done, i, memory_order_release);
	}
}

/* Takes the bit; if it was set, *seen is what the memory holds. */
static void look(struct world *world, uint64_t *seen)
{
	uint64_t burst[BURST];

	if (!fh_dirty_test_and_clear(world->ram, FH_DIRTY_CODE, 0, 8))
		return;
	/* The last first: it is the last to be written. */
	for (unsigned k = BURST; k-- > 0;)
		CHECK(fh_space_load64(world->memory, RAM + k * 8, FH_LE, &burst[k]) == FH_TX_OK);
	*seen = burst[BURST - 1];
}

static void store_that_finds_its_bit_set_is_seen_by_who_takes_it(void **unused)
{
	static struct world world;
	static struct duel duel;
	struct worker writer;
	uint64_t seen = 0;

	(void)unused;
	world_begin(&world);
	assert_int_equal(fh_dirty_start(world.ram, FH_DIRTY_CODE, NULL), FH_OK);
	duel = (struct duel){ .world = &world, .rounds = scaled(200000) };
	worker_start(&writer, store_when_told, &duel);
	for (uint64_t i = 1; i <= duel.rounds; i++) {
		fh_dirty_mark(world.ram, 0, 8);
		atomic_store_explicit(&duel.turn, i, memory_order_release);
		for (volatile unsigned wait = 0; wait < i % 256; wait++)
			;
		look(&world, &seen);
		wait_for(&duel.done, i);
		look(&world, &seen);
		CHECK(seen == i);
	}
	worker_join(&writer);
	world_end(&world);
}

/* --- Regions that go ------------------------------------------------------------------------ */

static void churn(void *arg)
{
	struct world *world = arg;
	unsigned seed = ++world->seeds;

	while (!atomic_load_explicit(&world->stop, memory_order_relaxed)) {
		const uint64_t addr = WINDOW + 2 * PAGE + below(&seed, 2 * PAGE);

		fh_space_store(world->memory, addr, 1 + below(&seed, 8), FH_LE, FH_ATTRS_NONE, 1);
		fh_space_fill(world->memory, WINDOW, 3, 8 * PAGE, FH_ATTRS_NONE);
	}
}

static void regions_die_under_writers_while_they_are_logged(void **unused)
{
	static struct world world;
	struct worker writers[WRITERS];
	unsigned seed = 7;

	(void)unused;
	world_begin(&world);
	for (int i = 0; i < WRITERS; i++)
		worker_start(&writers[i], churn, &world);
	for (uint64_t i = 0; i < scaled(1500); i++) {
		struct fh_region *ram = fh_region_new_ram(world.m, NULL, 3 * PAGE + 5, NULL);
		struct fh_dirty_snapshot *snapshot;

		if (below(&seed, 3) == 0)
			fh_dirty_global_start(world.m, FH_DIRTY_USER1, NULL);
		fh_region_add(fh_space_root(world.memory), ram, WINDOW + 2 * PAGE, 0);
		assert_int_equal(fh_dirty_start(ram, FH_DIRTY_USER0, NULL), FH_OK);
		snapshot = fh_dirty_snapshot_take(ram, FH_DIRTY_USER0, 0, SIZE, NULL);
		if (below(&seed, 3) == 0)
			fh_dirty_global_stop(world.m, FH_DIRTY_USER1);
		if (below(&seed, 2))
			fh_dirty_stop(ram, FH_DIRTY_USER0);
		fh_object_unref(ram);
		assert_non_null(snapshot);
		fh_dirty_snapshot_free(snapshot);
	}
	world.stop = true;
	for (int i = 0; i < WRITERS; i++)
		worker_join(&writers[i]);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_is_equal_once_the_writers_stand_still),
		cmocka_unit_test(store_that_finds_its_bit_set_is_seen_by_who_takes_it),
		cmocka_unit_test(regions_die_under_writers_while_they_are_logged),
	};

	return cmocka_run_group_tests_name("stress/dirty", tests, NULL, NULL);
}
