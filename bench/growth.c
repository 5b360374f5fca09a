/* SPDX-License-Identifier: MIT */
/*
 * How costs grow with what a change does not concern, or concerns a little: address spaces that
 * show the changed map and others, containers and aliases behind each other, listeners.
 */
#include "bench.h"

#include <stdlib.h>

#define REGIONS	 1000
#define STRIDE	 UINT64_C(0x2000)
#define SAMPLES	 5
#define MOST	 1000 /* spaces */
#define DEEPEST	 100

struct map {
	struct fh_machine *m;
	struct fh_region *root;
	struct fh_region *regions[REGIONS];
	uint64_t random;
};

static void map_build(struct map *map, struct fh_region *root)
{
	map->root = root;
	map->random = 88172645463325252u;
	for (size_t i = 0; i < REGIONS; i++) {
		map->regions[i] =
			fh_region_new_mmio(map->m, NULL, 0x1000, &bench_concurrent_ops, NULL);
		fh_region_add(root, map->regions[i], i * STRIDE, 0);
	}
}

static void map_free(struct map *map)
{
	for (size_t i = 0; i < REGIONS; i++)
		fh_object_unref(map->regions[i]);
}

/* The mean of moves, each a transaction of its own. */
static double moves(struct map *map, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++) {
		const size_t pick = bench_random(&map->random) % REGIONS;

		fh_region_move(map->regions[pick], pick * STRIDE + (i & 1 ? 0x1000 : 0));
	}
	return (bench_now() - start) / (double)count;
}

/* --- Address spaces --------------------------------------------------------------------------- */

enum sharing { SHARED, APART, ELSEWHERE };

/*
 * @count further spaces: that show the same view, that show it shifted, or that show another map.
 */
static double with_spaces(size_t count, enum sharing sharing)
{
	struct map map = { .m = fh_machine_new(NULL, NULL) };
	struct fh_region *root = fh_space_root(fh_machine_memory(map.m));
	struct fh_region *other = fh_region_new_ram(map.m, NULL, 0x1000, NULL);
	struct fh_region **aliases = calloc(count, sizeof(struct fh_region *));
	struct fh_space **spaces = calloc(count, sizeof(struct fh_space *));
	double cost;

	map_build(&map, root);
	for (size_t i = 0; i < count; i++) {
		struct fh_region *target = sharing == ELSEWHERE ? other : root;

		aliases[i] = fh_region_new_alias(map.m, NULL, target,
						 sharing == APART ? 0x1000 * (i + 1) : 0,
						 FH_SIZE_ALL);
		spaces[i] = fh_space_new(map.m, NULL, aliases[i]);
	}
	cost = moves(&map, count >= 100 && sharing == APART ? bench_scale(500) :
							      bench_scale(20000));
	for (size_t i = 0; i < count; i++) {
		fh_object_unref(spaces[i]);
		fh_object_unref(aliases[i]);
	}
	free(spaces);
	free(aliases);
	fh_object_unref(other);
	map_free(&map);
	fh_machine_destroyp(&map.m);
	return cost;
}

static void grow_spaces(void)
{
	static const struct {
		size_t count;
		enum sharing sharing;
		const char *name;
	} rows[] = {
		{ 1, SHARED, "spaces.shared.n1" },
		{ 10, SHARED, "spaces.shared.n10" },
		{ 100, SHARED, "spaces.shared.n100" },
		{ MOST, SHARED, "spaces.shared.n1000" },
		{ 1, APART, "spaces.apart.n1" },
		{ 10, APART, "spaces.apart.n10" },
		{ 100, APART, "spaces.apart.n100" },
		{ MOST, APART, "spaces.apart.n1000" },
		{ 1, ELSEWHERE, "spaces.elsewhere.n1" },
		{ MOST, ELSEWHERE, "spaces.elsewhere.n1000" },
	};

	for (int sample = 0; sample < SAMPLES; sample++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			bench_sample(bench_row(rows[i].name, "ns"),
				     with_spaces(rows[i].count, rows[i].sharing));
	}
}

/* --- Depth ------------------------------------------------------------------------------------ */

/* A map of REGIONS at the end of @depth containers, or aliases, behind each other. */
static double with_depth(size_t depth, bool aliases)
{
	struct map map = { .m = fh_machine_new(NULL, NULL) };
	struct fh_region *upper = fh_space_root(fh_machine_memory(map.m));
	struct fh_region *levels[DEEPEST + 1];
	double cost;

	levels[0] = fh_region_new_container(map.m, NULL, FH_SIZE_ALL);
	map_build(&map, levels[0]);
	fh_edit_begin(map.m);
	for (size_t i = 1; i <= depth; i++) {
		levels[i] = aliases ? fh_region_new_alias(map.m, NULL, levels[i - 1], 0x100,
							  FH_SIZE_ALL - 0x1000 * i) :
				      fh_region_new_container(map.m, NULL, FH_SIZE_ALL);
		if (!aliases)
			fh_region_add(levels[i], levels[i - 1], 0x100, 0);
	}
	fh_region_add(upper, levels[depth], 0x100, 0);
	fh_edit_commit(map.m);
	cost = moves(&map, bench_scale(10000));
	for (size_t i = depth + 1; i-- > 0;)
		fh_object_unref(levels[i]);
	map_free(&map);
	fh_machine_destroyp(&map.m);
	return cost;
}

static void grow_depth(void)
{
	static const struct {
		size_t depth;
		const char *containers, *aliases;
	} rows[] = {
		{ 1, "depth.containers.n1", "depth.aliases.n1" },
		{ 10, "depth.containers.n10", "depth.aliases.n10" },
		{ DEEPEST, "depth.containers.n100", "depth.aliases.n100" },
	};

	for (int sample = 0; sample < SAMPLES; sample++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			bench_sample(bench_row(rows[i].containers, "ns"),
				     with_depth(rows[i].depth, false));
			bench_sample(bench_row(rows[i].aliases, "ns"),
				     with_depth(rows[i].depth, true));
		}
	}
}

/* --- Listeners -------------------------------------------------------------------------------- */

static void hear_section(void *state, const struct fh_section *section)
{
	bench_keep((uint64_t)(uintptr_t)state ^ section->first);
}

/* What one listener adds to a change: of the space that changes, or of one that does not. */
static void listener_costs(void)
{
	static const struct fh_listener_ops ops = { .add = hear_section, .remove = hear_section };
	enum { LISTENERS = 100 };
	struct map map = { .m = fh_machine_new(NULL, NULL) };
	struct fh_space *memory = fh_machine_memory(map.m);
	struct fh_region *other = fh_region_new_ram(map.m, NULL, 0x1000, NULL);
	struct fh_space *quiet = fh_space_new(map.m, NULL, other);
	struct fh_listener *listeners[LISTENERS];
	double alone, changed, unchanged;

	map_build(&map, fh_space_root(memory));
	for (int sample = 0; sample < 11; sample++) {
		alone = moves(&map, bench_scale(10000));
		for (size_t i = 0; i < LISTENERS; i++)
			listeners[i] = fh_listener_new(map.m, quiet, 0, &ops, NULL);
		unchanged = moves(&map, bench_scale(10000));
		for (size_t i = 0; i < LISTENERS; i++) {
			fh_object_unref(listeners[i]);
			listeners[i] = fh_listener_new(map.m, memory, 0, &ops, NULL);
		}
		changed = moves(&map, bench_scale(10000));
		for (size_t i = 0; i < LISTENERS; i++)
			fh_object_unref(listeners[i]);
		bench_sample(bench_row("listener.changed", "ns"), (changed - alone) / LISTENERS);
		bench_sample(bench_row("listener.unchanged", "ns"),
			     (unchanged - alone) / LISTENERS);
	}
	fh_object_unref(quiet);
	fh_object_unref(other);
	map_free(&map);
	fh_machine_destroyp(&map.m);
}

void bench_growth(void)
{
	grow_spaces();
	grow_depth();
	listener_costs();
}
