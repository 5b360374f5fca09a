/* SPDX-License-Identifier: MIT */
/*
 * Four readers against an editor flat out: every region is read as itself or not at all, and what
 * moves is seen at exactly one place.
 *
 * The map has a part for each kind of edit, at an address of its own:
 *
 * LONE   regions that come and go, each with one place: its value or a hole.
 * MOVER  each has two places next to each other: a bulk access over both sees it at exactly one.
 * PAIR   two regions that change places in one transaction: a bulk access sees both.
 * WINDOW an alias whose offset changes: what one access reads through it is of one page of RAM.
 * STACK  regions at one place, which change priority or are disabled: one of them, and always one.
 *
 * Readers look through the machine's memory, or through a space that shows it at an offset.
 */
#include "support/quirk.h"

#include <stdio.h>
#include <string.h>

#include "support/random.h"
#include "support/scale.h"

#define LONE UINT64_C(0x10000000)
#define MOVER UINT64_C(0x20000000)
#define PAIR UINT64_C(0x30000000)
#define WINDOW UINT64_C(0x40000000)
#define STACK UINT64_C(0x50000000)
#define OFFSET UINT64_C(0x1000000000) /* of the second space */

enum {
	READERS = 4,
	LONES = 512,
	MOVERS = 32,
	PAIRS = 16,
	PAGES = 16,
	LAYERS = 8,
	CELL = 8, /* the size of what moves */
	PAGE = 0x1000,
};

struct world {
	struct fh_machine *m;
	struct fh_space *spaces[2];
	struct quirk_count count;
	struct fh_region *lones[LONES], *movers[MOVERS], *pairs[PAIRS][2], *window, *ram;
	struct fh_region *layers[LAYERS], *second_root, *second_all;
	bool moved[MOVERS], crossed[PAIRS];
	_Atomic bool stop;
	_Atomic unsigned seeds;
	_Atomic uint64_t reads, hits;
};

/* What a region of that part reads as, in each cell of it. */
static uint64_t value_of(uint64_t part, unsigned index)
{
	return part | (index + 1);
}

/* --- Readers -------------------------------------------------------------------------------- */

struct reader {
	struct world *world;
	struct fh_space *space;
	uint64_t offset; /* of the space */
	unsigned seed;
};

static void read_lone(struct reader *reader)
{
	const unsigned i = below(&reader->seed, LONES);
	uint64_t value;
	const enum fh_tx tx =
		fh_space_load64(reader->space, reader->offset + LONE + i * PAGE + 8, FH_LE, &value);

	if (tx == FH_TX_OK) {
		CHECK(value == value_of(LONE, i));
		reader->world->hits++;
	} else {
		CHECK(tx == FH_TX_DECODE_ERROR && value == 0);
	}
}

/* Two cells next to each other in one access. */
static void read_two(struct reader *reader, uint64_t addr, uint64_t values[2], enum fh_tx wanted)
{
	CHECK(fh_space_read(reader->space, reader->offset + addr, values, 2 * CELL,
			    FH_ATTRS_NONE) == wanted);
}

static void read_mover(struct reader *reader)
{
	const unsigned i = below(&reader->seed, MOVERS);
	const uint64_t value = value_of(MOVER, i);
	uint64_t values[2];

	/* Half of it is a hole. */
	read_two(reader, MOVER + i * PAGE, values, FH_TX_DECODE_ERROR);
	CHECK((values[0] == value && values[1] == 0) || (values[0] == 0 && values[1] == value));
}

static void read_pair(struct reader *reader)
{
	const unsigned i = below(&reader->seed, PAIRS);
	const uint64_t a = value_of(PAIR, 2 * i), b = value_of(PAIR, 2 * i + 1);
	uint64_t values[2];

	read_two(reader, PAIR + i * PAGE, values, FH_TX_OK);
	CHECK((values[0] == a && values[1] == b) || (values[0] == b && values[1] == a));
}

static void read_window(struct reader *reader)
{
	uint64_t values[PAGE / 8 / 4];
	const uint64_t addr = WINDOW + below(&reader->seed, 4) * (PAGE / 4);

	CHECK(fh_space_read(reader->space, reader->offset + addr, values, sizeof(values),
			    FH_ATTRS_NONE) == FH_TX_OK);
	CHECK(values[0] > WINDOW && values[0] <= value_of(WINDOW, PAGES - 1));
	for (size_t i = 1; i < sizeof(values) / sizeof(values[0]); i++)
		CHECK(values[i] == values[0]);
}

static void read_stack(struct reader *reader)
{
	uint64_t value;

	CHECK(fh_space_load64(reader->space, reader->offset + STACK + 16, FH_LE, &value) ==
	      FH_TX_OK);
	CHECK(value > STACK && value <= value_of(STACK, LAYERS - 1));
}

/* One view from end to end: in order, and each of what only moves once. */
struct census {
	uint64_t next, offset;
	unsigned movers, pairs, stack;
};

static bool take_census(const struct fh_section *section, void *arg)
{
	struct census *census = arg;
	const uint64_t part = (section->first - census->offset) & ~UINT64_C(0xfffffff);

	CHECK(section->first >= census->next && section->last >= section->first);
	census->next = section->last + 1;
	census->movers += part == MOVER;
	census->pairs += part == PAIR;
	census->stack += part == STACK;
	return true;
}

static void read_all(struct reader *reader)
{
	struct census census = { .offset = reader->offset };

	if (below(&reader->seed, 50) != 0)
		return;
	fh_space_each(reader->space, take_census, &census);
	CHECK(census.movers == MOVERS && census.pairs == 2 * PAIRS && census.stack == 1);
}

/* What was found stays for the section, whatever the editor does (L3). */
static void read_found(struct reader *reader)
{
	const uint64_t addr = LONE + below(&reader->seed, LONES) * PAGE;
	struct fh_section section;

	fh_read_begin();
	if (fh_space_lookup(reader->space, reader->offset + addr, &section)) {
		for (int i = 0; i < 10; i++)
			CHECK(fh_object_get_machine(section.region) == reader->world->m);
		if (fh_object_try_ref(section.region))
			fh_object_unref(section.region);
	}
	fh_read_end();
}

static void read_on(void *arg)
{
	static void (*const reads[])(struct reader *reader) = {
		read_lone, read_lone, read_mover, read_pair, read_window, read_stack, read_all,
		read_found,
	};
	struct world *world = arg;
	struct reader reader = { .world = world, .seed = ++world->seeds };
	const bool second = reader.seed & 1;
	uint64_t count = 0;

	reader.space = world->spaces[second];
	reader.offset = second ? OFFSET : 0;
	for (; !atomic_load_explicit(&world->stop, memory_order_relaxed); count++)
		reads[below(&reader.seed, sizeof(reads) / sizeof(reads[0]))](&reader);
	world->reads += count;
}

/* --- The editor ----------------------------------------------------------------------------- */

static struct fh_region *root_of(struct world *world)
{
	return fh_space_root(fh_machine_memory(world->m));
}

static struct fh_region *put(struct world *world, uint64_t size, uint64_t value, uint64_t addr,
			     int priority)
{
	struct fh_region *region = quirk_region(world->m, size, quirk_new(&world->count, value));

	CHECK(fh_region_add(root_of(world), region, addr, priority) == FH_OK);
	return region;
}

static struct fh_region *put_lone(struct world *world, unsigned i)
{
	return put(world, PAGE, value_of(LONE, i), LONE + i * PAGE, 0);
}

static void edit_lone(struct world *world, unsigned *seed)
{
	const unsigned i = below(seed, LONES);

	if (!world->lones[i])
		world->lones[i] = put_lone(world, i);
	else if (below(seed, 3) == 0)
		fh_region_remove(world->lones[i]);
	else
		world->lones[i] = fh_object_unref(world->lones[i]);
	if (world->lones[i] && !fh_region_get_info(world->lones[i]).container)
		fh_region_add(root_of(world), world->lones[i], LONE + i * PAGE, 0);
}

static void edit_mover(struct world *world, unsigned *seed)
{
	const unsigned i = below(seed, MOVERS);

	world->moved[i] = !world->moved[i];
	fh_region_move(world->movers[i], MOVER + i * PAGE + (world->moved[i] ? CELL : 0));
}

static void edit_pair(struct world *world, unsigned *seed)
{
	const unsigned i = below(seed, PAIRS);
	const bool crossed = world->crossed[i] = !world->crossed[i];

	fh_edit_begin(world->m);
	fh_region_move(world->pairs[i][0], PAIR + i * PAGE + (crossed ? CELL : 0));
	fh_region_move(world->pairs[i][1], PAIR + i * PAGE + (crossed ? 0 : CELL));
	fh_edit_commit(world->m);
}

static void edit_window(struct world *world, unsigned *seed)
{
	fh_region_set_alias_offset(world->window, below(seed, PAGES) * PAGE);
}

/* The lowest stays, so that there is always one. */
static void edit_stack(struct world *world, unsigned *seed)
{
	const unsigned i = 1 + below(seed, LAYERS - 1);

	if (below(seed, 2))
		fh_region_set_priority(world->layers[i], (int)below(seed, 5));
	else
		fh_region_set_enabled(world->layers[i], below(seed, 2));
}

static void edit(struct world *world, unsigned *seed)
{
	static void (*const edits[])(struct world *world, unsigned *seed) = {
		edit_lone, edit_lone, edit_lone, edit_mover, edit_mover, edit_pair, edit_window,
		edit_stack,
	};

	edits[below(seed, sizeof(edits) / sizeof(edits[0]))](world, seed);
}

/* Several of them in one transaction, now and then. */
static void edit_all(struct world *world, uint64_t edits)
{
	unsigned seed = 4711;

	for (uint64_t i = 0; i < edits; i++) {
		const unsigned together = below(&seed, 20) == 0 ? below(&seed, 30) : 0;

		if (together > 0)
			fh_edit_begin(world->m);
		for (unsigned k = 0; k <= together; k++)
			edit(world, &seed);
		if (together > 0)
			fh_edit_commit(world->m);
	}
}

/* --- The world ------------------------------------------------------------------------------ */

static void world_begin(struct world *world)
{
	struct fh_region *root, *all;

	memset(world, 0, sizeof(*world));
	world->m = machine_begin();
	for (unsigned i = 0; i < LONES; i += 2)
		world->lones[i] = put_lone(world, i);
	for (unsigned i = 0; i < MOVERS; i++)
		world->movers[i] = put(world, CELL, value_of(MOVER, i), MOVER + i * PAGE, 0);
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		world->pairs[i / 2][i % 2] = put(world, CELL, value_of(PAIR, i),
						 PAIR + i / 2 * PAGE + i % 2 * CELL, 0);
	for (unsigned i = 0; i < LAYERS; i++)
		world->layers[i] = put(world, PAGE, value_of(STACK, i), STACK, i ? 1 : 0);
	world->ram = fh_region_new_ram(world->m, NULL, PAGES * PAGE, NULL);
	for (uint64_t i = 0; i < PAGES * PAGE / 8; i++)
		((uint64_t *)fh_region_ram(world->ram))[i] =
			value_of(WINDOW, (unsigned)(i / (PAGE / 8)));
	world->window = fh_region_new_alias(world->m, NULL, world->ram, 0, PAGE);
	fh_region_add(root_of(world), world->window, WINDOW, 0);

	/* The second space is no plain alias of the first, so that it has a view of its own. */
	root = world->second_root = fh_region_new_container(world->m, "root", FH_SIZE_ALL);
	all = world->second_all = fh_region_new_alias(world->m, "all", root_of(world), 0, OFFSET);
	assert_int_equal(fh_region_add(root, all, OFFSET, 0), FH_OK);
	world->spaces[0] = fh_machine_memory(world->m);
	world->spaces[1] = fh_space_new(world->m, "second", root);
}

static void world_end(struct world *world)
{
	for (unsigned i = 0; i < LONES; i++)
		fh_object_unref(world->lones[i]);
	for (unsigned i = 0; i < MOVERS; i++)
		fh_object_unref(world->movers[i]);
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		fh_object_unref(world->pairs[i / 2][i % 2]);
	for (unsigned i = 0; i < LAYERS; i++)
		fh_object_unref(world->layers[i]);
	fh_object_unref(world->window);
	fh_object_unref(world->ram);
	fh_object_unref(world->spaces[1]);
	fh_object_unref(world->second_root);
	fh_object_unref(world->second_all);
	machine_check_alive(world->m, 0);
	assert_int_equal(world->count.made, world->count.released);
	machine_end(world->m);
}

static void readers_see_each_region_as_itself_and_at_one_place(void **unused)
{
	struct worker readers[READERS];
	struct world world;

	(void)unused;
	world_begin(&world);
	for (int i = 0; i < READERS; i++)
		worker_start(&readers[i], read_on, &world);
	edit_all(&world, scaled(400000));
	world.stop = true;
	for (int i = 0; i < READERS; i++)
		worker_join(&readers[i]);
	assert_true(world.reads > 1000);
	assert_true(world.hits > 0);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_see_each_region_as_itself_and_at_one_place),
	};

	return cmocka_run_group_tests_name("stress/readers", tests, NULL, NULL);
}
