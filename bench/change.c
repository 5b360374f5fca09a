/* SPDX-License-Identifier: MIT */
/*
 * What one change of the map costs: a region among N added, removed, moved, each in a transaction
 * of its own, in random order; and what further address spaces add to it.
 */
#include "bench.h"

#include <malloc.h>
#include <stdlib.h>

#define STRIDE UINT64_C(0x2000) /* between regions of 0x1000 bytes: neighbours never join */

static enum fh_tx read_nothing(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			       struct fh_attrs attrs)
{
	(void)offset;
	(void)size;
	(void)attrs;
	*ret_value = (uint64_t)(uintptr_t)state;
	return FH_TX_OK;
}

static enum fh_tx write_nothing(void *state, uint64_t offset, uint64_t value, unsigned size,
				struct fh_attrs attrs)
{
	(void)state;
	(void)offset;
	(void)value;
	(void)size;
	(void)attrs;
	return FH_TX_OK;
}

const struct fh_region_ops bench_concurrent_ops = {
	.read = read_nothing, .write = write_nothing, .concurrent = true
};
const struct fh_region_ops bench_serialised_ops = { .read = read_nothing, .write = write_nothing };

struct map {
	struct fh_machine *m;
	struct fh_region *root;
	struct fh_region **regions;
	size_t count;
	uint64_t random;
};

static size_t heap_bytes(void)
{
	const struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* @spare: what edits replaced may lie about; else it is used again at once. */
static void map_build(struct map *map, size_t count, bool spare)
{
	*map = (struct map){ .count = count, .random = 88172645463325252u };
	map->m = fh_machine_new(NULL, NULL);
	map->root = fh_space_root(fh_machine_memory(map->m));
	map->regions = malloc(count * sizeof(*map->regions));

	/* One by one in random order: i * odd, modulo a power of two, visits every slot once. */
	for (size_t i = 0; i < count; i++) {
		map->regions[i] = fh_region_new_mmio(map->m, NULL, 0x1000, &bench_concurrent_ops,
						     (void *)(i * STRIDE));
	}
	for (size_t i = count; i-- > 1;) {
		const size_t j = bench_random(&map->random) % (i + 1);
		struct fh_region *swap = map->regions[i];

		map->regions[i] = map->regions[j];
		map->regions[j] = swap;
	}
	for (size_t i = 0; i < count; i++) {
		fh_region_add(map->root, map->regions[i], i * STRIDE, 0);
		if (!spare && i % 64 == 0)
			fh_machine_drain(map->m);
	}
}

static void map_free(struct map *map)
{
	for (size_t i = 0; i < map->count; i++)
		fh_object_unref(map->regions[i]);
	free(map->regions);
	fh_machine_destroyp(&map->m);
}

/* What one region costs to put in, and what it takes. */
static void map_each(size_t count)
{
	const double start = bench_now();
	struct map map;

	map_build(&map, count, true);
	bench_sample(bench_row("build.region", "ns"), (bench_now() - start) / (double)count);
	map_free(&map);

	const size_t before = heap_bytes();

	map_build(&map, count, false);
	fh_machine_drain(map.m);
	bench_sample(bench_row("region.bytes", "B"),
		     (double)(heap_bytes() - before) / (double)count - sizeof(*map.regions));
	map_free(&map);
}

struct costs {
	double add, remove, move;
};

/* Remove, add back, move away by half a stride and move back. */
static struct costs map_changes(struct map *map, size_t rounds)
{
	struct costs costs = { 0 };
	double times[4];

	for (size_t r = 0; r < rounds; r++) {
		/* A batch of each kind, so that the clock is read seldom. */
		size_t picks[16];

		for (size_t i = 0; i < 16; i++)
			picks[i] = bench_random(&map->random) % map->count;
		times[0] = bench_now();
		for (size_t i = 0; i < 16; i++)
			fh_region_remove(map->regions[picks[i]]);
		times[1] = bench_now();
		for (size_t i = 0; i < 16; i++)
			fh_region_add(map->root, map->regions[picks[i]], picks[i] * STRIDE, 0);
		times[2] = bench_now();
		for (size_t i = 0; i < 16; i++)
			fh_region_move(map->regions[picks[i]], picks[i] * STRIDE + 0x1000);
		times[3] = bench_now();
		for (size_t i = 0; i < 16; i++)
			fh_region_move(map->regions[picks[i]], picks[i] * STRIDE);
		costs.remove += times[1] - times[0];
		costs.add += times[2] - times[1];
		costs.move += times[3] - times[2];
	}
	costs.remove /= (double)rounds * 16;
	costs.add /= (double)rounds * 16;
	costs.move /= (double)rounds * 16;
	return costs;
}

struct size_rows {
	size_t count;
	const char *change, *add, *remove, *move;
};

static const struct size_rows sizes[] = {
	{ 10, "change.n10", "change.add.n10", "change.remove.n10", "change.move.n10" },
	{ 100, "change.n100", "change.add.n100", "change.remove.n100", "change.move.n100" },
	{ 1000, "change.n1000", "change.add.n1000", "change.remove.n1000", "change.move.n1000" },
	{ 10000, "change.n10000", "change.add.n10000", "change.remove.n10000",
	  "change.move.n10000" },
	{ 100000, "change.n100000", "change.add.n100000", "change.remove.n100000",
	  "change.move.n100000" },
};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void bench_sizes(void)
{
	struct map maps[SIZES];

	for (size_t s = 0; s < SIZES; s++)
		map_build(&maps[s], sizes[s].count, true);
	for (int sample = 0; sample < 11; sample++)
		for (size_t s = 0; s < SIZES; s++) {
			const struct costs costs = map_changes(&maps[s], bench_scale(1500));

			bench_sample(bench_row(sizes[s].change, "ns"),
				     (costs.add + costs.remove + costs.move) / 3);
			bench_sample(bench_row(sizes[s].add, "ns"), costs.add);
			bench_sample(bench_row(sizes[s].remove, "ns"), costs.remove);
			bench_sample(bench_row(sizes[s].move, "ns"), costs.move);
		}
	for (size_t s = 0; s < SIZES; s++)
		map_free(&maps[s]);
}

#define SPACES 64

/* 64 further spaces, each of which shows the root through an alias: at its place or moved. */
static void bench_spaces(const char *name, bool sharable)
{
	struct map map;
	struct fh_region *containers[SPACES], *aliases[SPACES];
	struct fh_space *spaces[SPACES];

	map_build(&map, 1000, true);
	for (size_t i = 0; i < SPACES; i++) {
		const uint64_t shift = sharable ? 0 : 0x1000 * (i + 1);

		containers[i] = fh_region_new_container(map.m, NULL, FH_SIZE_ALL);
		aliases[i] = fh_region_new_alias(map.m, NULL, map.root, shift, FH_SIZE_ALL);
		fh_region_add(containers[i], aliases[i], 0, 0);
		spaces[i] = fh_space_new(map.m, NULL, containers[i]);
	}
	for (int sample = 0; sample < 11; sample++) {
		const struct costs costs = map_changes(&map, bench_scale(sharable ? 500 : 50));

		bench_sample(bench_row(name, "ns"), (costs.add + costs.remove + costs.move) / 3);
	}
	for (size_t i = 0; i < SPACES; i++) {
		fh_object_unref(spaces[i]);
		fh_object_unref(aliases[i]);
		fh_object_unref(containers[i]);
	}
	map_free(&map);
}

void bench_change(void)
{
	map_each(100000);
	bench_sizes();
	bench_spaces("change.spaces64.shared", true);
	bench_spaces("change.spaces64.apart", false);
}
