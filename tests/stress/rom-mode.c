/* SPDX-License-Identifier: MIT */
/*
 * A ROM device's mode goes back and forth while four readers run: each aligned access reads either
 * the ROM's bytes or the callback's, never a mixture; and when the change has returned and a grace
 * period has passed, only the new ones. While the callbacks are what is read, the device writes its
 * ROM anew with plain stores: if a reader were still at the old bytes, ThreadSanitizer would see
 * it.
 */
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

#include "base/rcu.h"
#include "support/scale.h"

enum { READERS = 4, SIZE = 0x1000, TURNS = 100 };

#define FROM_ROM      UINT64_C(0xaaaaaaaaaaaaaaaa) /* or its complement: the ROM's two contents */
#define FROM_CALLBACK UINT64_C(0xcccccccccccccccc)
#define BASE	      UINT64_C(0x100000)
#define OTHER	      UINT64_C(0x200000) /* an alias of it */

/* What a reader may rely on. */
enum { ANYTHING, ROM, CALLBACK };

struct world {
	struct fh_machine *m;
	struct fh_space *memory;
	_Atomic uint64_t phase; /* counts phases: which one is phase % 4 */
	_Atomic bool stop;
	_Atomic uint64_t seen[2];
};

/* Phases: 0 ROM, 1 changing, 2 callbacks, 3 changing. */
static unsigned expected_in(uint64_t phase)
{
	return phase % 4 == 0 ? ROM : phase % 4 == 2 ? CALLBACK : ANYTHING;
}

static enum fh_tx flash_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = FROM_CALLBACK;
	return FH_TX_OK;
}

static const struct fh_region_ops flash_ops = { .read = flash_read, .concurrent = true };

static uint64_t cut(uint64_t value, unsigned size)
{
	return value & (UINT64_MAX >> (64 - 8 * size));
}

static bool is_rom(uint64_t value, unsigned size)
{
	return value == cut(FROM_ROM, size) || value == cut(~FROM_ROM, size);
}

static bool is_callback(uint64_t value, unsigned size)
{
	return value == cut(FROM_CALLBACK, size);
}

/* On a reader's thread, where cmocka's own way out is none. */
static void complain(const char *what, uint64_t value)
{
	fprintf(stderr, "%#llx: %s\n", (unsigned long long)value, what);
	abort();
}

static void judge(struct world *world, uint64_t value, unsigned size, uint64_t before,
		  uint64_t after)
{
	const unsigned expected = before == after ? expected_in(before) : ANYTHING;

	if (!is_rom(value, size) && !is_callback(value, size))
		complain("a mixture", value);
	if (expected == ROM && !is_rom(value, size))
		complain("after the change to ROM", value);
	if (expected == CALLBACK && !is_callback(value, size))
		complain("after the change to callbacks", value);
	atomic_fetch_add_explicit(&world->seen[is_rom(value, size)], 1, memory_order_relaxed);
}

static void *read_all_the_time(void *arg)
{
	struct world *const world = arg;
	unsigned turn = 0;

	while (!atomic_load_explicit(&world->stop, memory_order_acquire)) {
		const unsigned size = 1u << (turn & 3);
		const uint64_t base = turn & 4 ? BASE : OTHER;
		/* Acquire: the phase began before the access does. */
		const uint64_t before = atomic_load_explicit(&world->phase, memory_order_acquire);
		uint64_t bulk[4], value;

		fh_space_load(world->memory, base + turn * 8 % SIZE, size, FH_LE, FH_ATTRS_NONE,
			      &value);
		fh_space_read(world->memory, base + 64, bulk, sizeof(bulk), FH_ATTRS_NONE);
		/* A locked operation, so that the accesses are made before it. */
		const uint64_t after =
			atomic_fetch_add_explicit(&world->phase, 0, memory_order_acq_rel);

		judge(world, value, size, before, after);
		for (unsigned i = 0; i < 4; i++)
			judge(world, bulk[i], 8, before, after);
		turn++;
	}
	return NULL;
}

static void next_phase(struct world *world)
{
	atomic_fetch_add_explicit(&world->phase, 1, memory_order_acq_rel);
}

/* And on until somebody has read so. */
static void change(struct world *world, struct fh_region *flash, bool rom_mode)
{
	uint64_t seen;

	next_phase(world);
	fh_region_set_rom_mode(flash, rom_mode);
	fh_rcu_synchronize();
	next_phase(world);
	seen = atomic_load_explicit(&world->seen[rom_mode], memory_order_relaxed);
	while (atomic_load_explicit(&world->seen[rom_mode], memory_order_relaxed) == seen)
		sched_yield();
}

static void readers_see_one_mode_or_the_other(void **state)
{
	struct world world = { .m = fh_machine_new(NULL, NULL) };
	struct fh_region *flash =
		fh_region_new_rom_device(world.m, NULL, SIZE, &flash_ops, NULL, NULL);
	struct fh_region *alias = fh_region_new_alias(world.m, NULL, flash, 0, SIZE);
	uint64_t *const rom = fh_region_ram(flash);
	pthread_t readers[READERS];
	uint64_t content = FROM_ROM;

	(void)state;
	world.memory = fh_machine_memory(world.m);
	for (unsigned i = 0; i < SIZE / 8; i++)
		rom[i] = content;
	fh_region_add(fh_space_root(world.memory), flash, BASE, 0);
	fh_region_add(fh_space_root(world.memory), alias, OTHER, 0);
	for (unsigned i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, read_all_the_time, &world);
	for (unsigned turn = 0; turn < scaled(TURNS); turn++) {
		change(&world, flash, false);
		content = ~content;
		for (unsigned i = 0; i < SIZE / 8; i++)
			rom[i] = content;
		change(&world, flash, true);
	}
	/* Release: everything before; the acquire is in the reader's loop. */
	atomic_store_explicit(&world.stop, true, memory_order_release);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	fh_object_unref(alias);
	fh_object_unref(flash);
	assert_int_equal(fh_machine_destroy(world.m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_see_one_mode_or_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
