/* SPDX-License-Identifier: MIT */
/*
 * Parts of memory come and go at random, listeners join, leave and refuse now and then: what each
 * is told, and what is there and in it afterwards, is what a naive oracle has. After a refusal
 * everything is as before.
 *
 *	FH_TEST_EFFORT=N	so many per cent of the usual number of edits
 *	FH_MODEL_SEED=N		another run
 *	FH_MODEL_WORLD=N	begin with that world
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/oracle.h"
#include "model/parts.h"

enum { EDITS = 400000, WORLD_EDITS = 500, VETO_PERCENT = 30 };

static const struct fh_type plain_type = { .name = "model-object" };

/* --- Edits ---------------------------------------------------------------------------------- */

/* A number that is listeners' first refusal, or -1. */
static int any_veto(struct rng *rng)
{
	return rng_chance(rng, VETO_PERCENT) ? (int)rng_below(rng, 6) : -1;
}

static void make_region(struct parts *parts, struct rng *rng, int slot)
{
	struct parts_region *region = &parts->regions[slot];
	const uint64_t granule = UINT64_C(4096) << rng_below(rng, 3);
	uint64_t size = granule * (1 + rng_below(rng, PARTS_GRANULES));
	struct fh_error err = FH_ERROR_INIT;

	if (rng_chance(rng, 30))
		size -= rng_below(rng, granule);
	const struct fh_ram_options options = {
		.backing = rng_chance(rng, 50) ? FH_RAM_ANONYMOUS : FH_RAM_MEMFD,
		.unpopulated = rng_chance(rng, 50),
		.granule = granule,
	};

	*region = (struct parts_region){ .size = size, .granule = granule };
	region->granules = (int)((size + granule - 1) / granule);
	for (int i = 0; i < region->granules; i++) {
		region->there[i] = !options.unpopulated;
		region->known[i] = true;
	}
	region->real = fh_region_new_ram_with(parts->m, NULL, size, &options, &err);
	if (!region->real)
		parts_fail(parts, "no region was made: %s", err.message);
}

/* Those that match leave, in any order; -1: no matter. Those of a dead region have done so. */
static void expect_leave(struct parts *parts, int region, int owner, int listener)
{
	parts_expect(parts, -1, false);
	for (int i = 0; i < PARTS_LISTENERS; i++) {
		const struct parts_listener *one = &parts->listeners[i];

		if (one->real && one->region >= 0 && (region < 0 || one->region == region) &&
		    (owner < 0 || one->owner == owner) && (listener < 0 || i == listener))
			parts_leave(parts, i);
	}
}

static void end_region(struct parts *parts, int slot)
{
	struct parts_region *region = &parts->regions[slot];

	expect_leave(parts, slot, -1, -1);
	fh_object_dispose(region->real);
	parts_check_calls(parts);
	/* Those who listened to it have to be told what it is until now. */
	for (int i = 0; i < PARTS_LISTENERS; i++)
		if (parts->listeners[i].real && parts->listeners[i].region == slot)
			parts->listeners[i].region = -1;
	for (int i = 0; i < PARTS_BANS; i++)
		if (parts->bans[i].real && parts->bans[i].region == slot)
			parts->bans[i].region = -1;
	fh_object_unref(region->real);
	region->real = NULL;
}

static void make_listener(struct parts *parts, struct rng *rng, int slot, int region_slot)
{
	struct parts_listener *listener = &parts->listeners[slot];
	const struct parts_region *region = &parts->regions[region_slot];
	const int owner = (int)rng_below(rng, PARTS_OWNERS + 1) - 1;
	const uint64_t offset = rng_chance(rng, 30) ? 0 : rng_below(rng, region->size + 100);
	const uint64_t size = rng_chance(rng, 40) ? FH_SIZE_ALL : rng_below(rng, region->size);
	struct fh_error err = FH_ERROR_INIT;
	enum fh_code wanted = FH_EINVAL;

	parts_expect(parts, any_veto(rng), true);
	if (size > 0 && offset < region->size) {
		*listener = (struct parts_listener){
			.parts = parts, .region = region_slot, .owner = owner,
			.first = offset, .last = region->size - 1, .order = ++parts->order,
		};
		if (size - 1 < listener->last - offset)
			listener->last = offset + (size - 1);
		wanted = parts_join(parts, slot);
	}
	listener->real = fh_discard_listener_new(
		owner < 0 ? (void *)parts->m : parts->owners[owner], region->real, offset, size,
		&parts_ops, listener, &err);
	if (err.code != wanted)
		parts_fail(parts, "a listener was not made as it should: %s", err.message);
	parts_check_calls(parts);
}

static void end_listener(struct parts *parts, int slot)
{
	struct parts_listener *listener = &parts->listeners[slot];

	expect_leave(parts, -1, -1, slot);
	fh_object_dispose(listener->real);
	if (listener->owner < 0)
		fh_object_unref(listener->real);
	parts_check_calls(parts);
	listener->real = NULL;
}

static void renew_owner(struct parts *parts, int slot)
{
	if (parts->owners[slot]) {
		expect_leave(parts, -1, slot, -1);
		fh_object_dispose(parts->owners[slot]);
		parts_check_calls(parts);
	}
	for (int i = 0; i < PARTS_LISTENERS; i++)
		if (parts->listeners[i].owner == slot)
			parts->listeners[i].real = NULL;
	parts->owners[slot] =
		fh_object_new_child(fh_machine_root(parts->m), NULL, &plain_type, NULL);
}

static void toggle_ban(struct parts *parts, struct rng *rng, int slot, int region)
{
	if (!parts->bans[slot].real) {
		if (rng_chance(rng, 70))
			return;
		parts->bans[slot].real = fh_region_forbid_discard(parts->regions[region].real,
								  fh_machine_root(parts->m));
		parts->bans[slot].region = region;
		parts->regions[region].bans++;
		return;
	}
	if (parts->bans[slot].region >= 0)
		parts->regions[parts->bans[slot].region].bans--;
	parts->bans[slot].real = fh_discard_ban_end(parts->bans[slot].real);
}

/* --- Accesses ------------------------------------------------------------------------------- */

static uint64_t end_of(const struct parts_region *region, int granule)
{
	const uint64_t end = (uint64_t)(granule + 1) * region->granule;

	return end > region->size ? region->size : end;
}

static void look(struct parts *parts, struct rng *rng, struct parts_region *region)
{
	const int granule = (int)rng_below(rng, (uint64_t)region->granules);
	uint8_t *begin = (uint8_t *)fh_region_ram(region->real) +
			 (uint64_t)granule * region->granule;
	const uint64_t size = end_of(region, granule) - (uint64_t)granule * region->granule;

	if (region->known[granule] && (begin[0] != region->content[granule] ||
				       begin[size - 1] != region->content[granule]))
		parts_fail(parts, "granule %d has %#x, not %#x", granule, begin[0],
			   region->content[granule]);
	if (rng_chance(rng, 50)) {
		region->content[granule] = (uint8_t)rng_next(rng);
		region->known[granule] = true;
		memset(begin, region->content[granule], size);
	}
}

struct walk {
	struct parts *parts;
	const struct parts_region *region;
	uint64_t first, last; /* the walk is of these bytes */
	uint64_t next;	      /* up to here it is right */
};

/* From walk->next on nothing is there before @to. */
static void check_absent(struct walk *walk, uint64_t to)
{
	const struct parts_region *region = walk->region;

	for (uint64_t at = walk->next; at < to; at = (at / region->granule + 1) * region->granule)
		if (region->there[at / region->granule])
			parts_fail(walk->parts, "granule %d is there", (int)(at / region->granule));
}

static bool visit_run(uint64_t offset, uint64_t size, void *arg)
{
	struct walk *walk = arg;
	const struct parts_region *region = walk->region;

	if (offset < walk->next || offset + size - 1 > walk->last ||
	    (offset > walk->first && offset == walk->next)) {
		parts_fail(walk->parts, "a run at %#" PRIx64 " of %#" PRIx64, offset, size);
		return false;
	}
	check_absent(walk, offset);
	for (uint64_t at = offset; at < offset + size;
	     at = (at / region->granule + 1) * region->granule)
		if (!region->there[at / region->granule])
			parts_fail(walk->parts, "granule %d is not there",
				   (int)(at / region->granule));
	walk->next = offset + size;
	return true;
}

static void check_walk(struct parts *parts, struct rng *rng, const struct parts_region *region)
{
	const uint64_t offset = rng_below(rng, region->size);
	const uint64_t size = 1 + rng_below(rng, region->size - offset);
	struct walk walk = { parts, region, offset, offset + (size - 1), offset };
	bool all = true;

	for (uint64_t i = offset / region->granule; i <= walk.last / region->granule; i++)
		all &= region->there[i];
	fh_region_each_populated(region->real, offset, size, visit_run, &walk);
	check_absent(&walk, walk.last + 1);
	if (fh_region_is_populated(region->real, offset, size) != all)
		parts_fail(parts, "%#" PRIx64 " bytes from %#" PRIx64 " are%s populated", size,
			   offset, all ? " not" : "");
}

/* --- Worlds --------------------------------------------------------------------------------- */

static void come_or_go(struct parts *parts, struct rng *rng, int slot)
{
	const struct parts_region *region = &parts->regions[slot];
	const bool populate = rng_chance(rng, 50);
	const uint64_t first = rng_below(rng, (uint64_t)region->granules);
	const uint64_t count = 1 + rng_below(rng, (uint64_t)region->granules - first);
	uint64_t offset = first * region->granule;
	uint64_t size = count * region->granule;

	if (offset + size > region->size && rng_chance(rng, 95))
		size = region->size - offset;
	if (rng_chance(rng, 3))
		offset += rng_below(rng, region->granule);
	if (rng_chance(rng, 3))
		size = rng_below(rng, size);
	parts_expect(parts, any_veto(rng), true);
	const enum fh_code wanted = populate ? parts_populate(parts, slot, offset, size)
					     : parts_discard(parts, slot, offset, size);
	const enum fh_code code =
		populate ? fh_region_populate(region->real, offset, size, rng_chance(rng, 10), NULL)
			 : fh_region_discard(region->real, offset, size, NULL);

	if (code != wanted)
		parts_fail(parts, "it returned %s, not %s", fh_code_name(code),
			   fh_code_name(wanted));
	parts_check_calls(parts);
}

static void edit(struct parts *parts, struct rng *rng)
{
	const int region = (int)rng_below(rng, PARTS_REGIONS);
	const int listener = (int)rng_below(rng, PARTS_LISTENERS);
	const uint64_t choice = rng_below(rng, 1000);

	if (!parts->regions[region].real)
		make_region(parts, rng, region);
	else if (choice < 5)
		end_region(parts, region);
	else if (choice < 150 && !parts->listeners[listener].real)
		make_listener(parts, rng, listener, region);
	else if (choice < 180 && parts->listeners[listener].real)
		end_listener(parts, listener);
	else if (choice < 184)
		renew_owner(parts, (int)rng_below(rng, PARTS_OWNERS));
	else if (choice < 230)
		toggle_ban(parts, rng, (int)rng_below(rng, PARTS_BANS), region);
	else if (choice < 350)
		look(parts, rng, &parts->regions[region]);
	else
		come_or_go(parts, rng, region);
	if (parts->regions[region].real)
		check_walk(parts, rng, &parts->regions[region]);
}

static void end_world(struct parts *parts)
{
	for (int i = 0; i < PARTS_BANS; i++)
		if (parts->bans[i].real)
			toggle_ban(parts, NULL, i, 0);
	for (int i = 0; i < PARTS_REGIONS; i++)
		if (parts->regions[i].real)
			end_region(parts, i);
	for (int i = 0; i < PARTS_LISTENERS; i++)
		if (parts->listeners[i].real)
			end_listener(parts, i);
	for (int i = 0; i < PARTS_OWNERS; i++)
		fh_object_dispose(parts->owners[i]);
	fh_machine_destroyp(&parts->m);
}

/* Returns how many times listeners refused. */
static uint64_t run_world(uint64_t seed, uint64_t number, uint64_t *told)
{
	struct rng rng = { seed ^ number * UINT64_C(0xd1342543de82ef95) };
	struct parts *parts = calloc(1, sizeof(*parts));

	parts->m = fh_machine_new(NULL, NULL);
	for (int i = 0; i < PARTS_LISTENERS; i++)
		parts->listeners[i].owner = -1;
	for (int i = 0; i < PARTS_OWNERS; i++)
		renew_owner(parts, i);
	for (int i = 0; i < WORLD_EDITS && !parts->failure[0]; i++) {
		edit(parts, &rng);
		if (parts->failure[0])
			fail_msg("world %" PRIu64 " of seed %" PRIu64 ", edit %d: %s", number, seed,
				 i, parts->failure);
	}
	end_world(parts);
	if (parts->failure[0])
		fail_msg("world %" PRIu64 " of seed %" PRIu64 ", at its end: %s", number, seed,
			 parts->failure);
	const uint64_t vetoes = parts->vetoes;

	*told += parts->told;
	free(parts);
	return vetoes;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void parts_that_come_and_go_are_told_as_the_oracle_has_them(void **state)
{
	const uint64_t seed = number_from("FH_MODEL_SEED", 20260);
	const uint64_t first = number_from("FH_MODEL_WORLD", 0);
	const uint64_t edits = EDITS * number_from("FH_TEST_EFFORT", 100) / 100;
	uint64_t vetoes = 0, told = 0;

	(void)state;
	for (uint64_t i = 0; i < edits / WORLD_EDITS + 1; i++)
		vetoes += run_world(seed, first + i, &told);
	fprintf(stderr, "%" PRIu64 " edits, %" PRIu64 " calls, %" PRIu64 " refusals\n", edits, told,
		vetoes);
	assert_true(vetoes > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_that_come_and_go_are_told_as_the_oracle_has_them),
	};

	return cmocka_run_group_tests_name("discard", tests, NULL, NULL);
}
