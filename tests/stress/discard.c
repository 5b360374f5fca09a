/* SPDX-License-Identifier: MIT */
/*
 * Parts of a region's memory come and go from two threads, while guests write to it, listeners join
 * and leave, refuse now and then, and discards are forbidden for moments. Each listener is told of
 * exactly what is there: nothing comes twice, nothing goes that had not come, and when it has left
 * nothing is left of what it was told.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <freehold/freehold.h>

#include "support/scale.h"

enum { PAGE = 4096, PAGES = 64, TURNS = 20000, EARS = 2 };

struct world {
	struct fh_machine *m;
	struct fh_space *memory;
	struct fh_region *ram;
	_Atomic bool stop;
	_Atomic uint64_t refused, told;
};

/* Under the region's lock, so that it needs none of its own. */
struct ear {
	struct world *world;
	uint64_t there; /* a bit for each page */
	unsigned refusals;
};

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static uint64_t bits_of(uint64_t offset, uint64_t size)
{
	const uint64_t pages = size / PAGE;

	return (pages == 64 ? UINT64_MAX : (UINT64_C(1) << pages) - 1) << offset / PAGE;
}

static enum fh_code ear_populate(void *state, struct fh_region *region, uint64_t offset,
				 uint64_t size)
{
	struct ear *const ear = state;
	const uint64_t bits = bits_of(offset, size);

	(void)region;
	check((ear->there & bits) == 0, "it was there already");
	if (++ear->refusals % 16 == 0) {
		atomic_fetch_add_explicit(&ear->world->refused, 1, memory_order_relaxed);
		return FH_ELIMIT;
	}
	ear->there |= bits;
	atomic_fetch_add_explicit(&ear->world->told, 1, memory_order_relaxed);
	return FH_OK;
}

static void ear_discard(void *state, struct fh_region *region, uint64_t offset, uint64_t size)
{
	struct ear *const ear = state;
	const uint64_t bits = bits_of(offset, size);

	(void)region;
	check((ear->there & bits) == bits, "it was not there");
	ear->there &= ~bits;
}

static const struct fh_discard_ops ear_ops = { .populate = ear_populate, .discard = ear_discard };

static bool is_stopped(struct world *world)
{
	return atomic_load_explicit(&world->stop, memory_order_acquire);
}

/* Joins for a part of the memory, and leaves. */
static void *join_and_leave(void *arg)
{
	struct world *const world = arg;
	uint32_t seed = (uint32_t)(uintptr_t)pthread_self();

	while (!is_stopped(world)) {
		struct ear ear = { .world = world, .refusals = next(&seed) % 16 };
		const uint64_t first = next(&seed) % PAGES;
		struct fh_discard_listener *listener =
			fh_discard_listener_new(world->m, world->ram, first * PAGE, FH_SIZE_ALL,
						&ear_ops, &ear, NULL);

		for (unsigned i = next(&seed) % 32; listener && i > 0; i--)
			sched_yield();
		fh_discard_listener_destroy(listener);
		check(ear.there == 0, "something is left of what it was told");
		if (listener)
			fh_object_unref(listener);
	}
	return NULL;
}

static void *write_all_the_time(void *arg)
{
	struct world *const world = arg;
	uint32_t seed = 7;

	while (!is_stopped(world)) {
		const uint64_t addr = next(&seed) % PAGES * PAGE + next(&seed) % 512 * 8;
		uint64_t value;

		check(fh_space_store64(world->memory, addr, seed, FH_LE) == FH_TX_OK &&
			      fh_space_load64(world->memory, addr, FH_LE, &value) == FH_TX_OK,
		      "no memory");
	}
	return NULL;
}

static void change(struct world *world, uint32_t *seed)
{
	const uint64_t page = next(seed) % PAGES;
	const uint64_t pages = 1 + next(seed) % (PAGES - page);
	struct fh_discard_ban *ban;
	enum fh_code code;

	switch (next(seed) % 8) {
	case 0:
		ban = fh_region_forbid_discard(world->ram, fh_machine_root(world->m));
		code = fh_region_discard(world->ram, page * PAGE, pages * PAGE, NULL);
		check(code == FH_EBUSY, "it was forbidden");
		fh_discard_ban_end(ban);
		break;
	case 1:
	case 2:
	case 3:
		code = fh_region_discard(world->ram, page * PAGE, pages * PAGE, NULL);
		check(code == FH_OK || code == FH_EBUSY, "a discard failed");
		break;
	default:
		code = fh_region_populate(world->ram, page * PAGE, pages * PAGE, next(seed) & 1,
					  NULL);
		check(code == FH_OK || code == FH_ELIMIT, "populating failed");
	}
}

static void *change_all_the_time(void *arg)
{
	uint32_t seed = 3;

	while (!is_stopped(arg))
		change(arg, &seed);
	return NULL;
}

static void listeners_are_told_of_exactly_what_is_there(void **state)
{
	struct world world = { .m = fh_machine_new(NULL, NULL) };
	pthread_t ears[EARS], writer, changer;
	uint32_t seed = 1;

	(void)state;
	world.memory = fh_machine_memory(world.m);
	world.ram = fh_region_new_ram_with(world.m, NULL, PAGES * PAGE,
					   &(struct fh_ram_options){ .backing = FH_RAM_MEMFD,
								     .unpopulated = true },
					   NULL);
	fh_region_add(fh_space_root(world.memory), world.ram, 0, 0);
	for (unsigned i = 0; i < EARS; i++)
		pthread_create(&ears[i], NULL, join_and_leave, &world);
	pthread_create(&writer, NULL, write_all_the_time, &world);
	pthread_create(&changer, NULL, change_all_the_time, &world);
	for (unsigned turn = 0; turn < scaled(TURNS); turn++)
		change(&world, &seed);
	while (atomic_load_explicit(&world.told, memory_order_relaxed) < 100 ||
	       atomic_load_explicit(&world.refused, memory_order_relaxed) < 10)
		change(&world, &seed);
	/* Release: the acquire is in is_stopped(). */
	atomic_store_explicit(&world.stop, true, memory_order_release);
	for (unsigned i = 0; i < EARS; i++)
		pthread_join(ears[i], NULL);
	pthread_join(writer, NULL);
	pthread_join(changer, NULL);
	fh_object_unref(world.ram);
	assert_int_equal(fh_machine_destroy(world.m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listeners_are_told_of_exactly_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
