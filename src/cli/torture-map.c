/* SPDX-License-Identifier: MIT */
/*
 * Rows of `freehold torture` that change the memory map: regions, spaces, listeners.
 *
 * R1. Aliases show only regions that hold no alias of a container, and loose containers lie only in
 *     each other and at the root, so that what all the aliases show together stays small.
 */
#include "cli/torture.h"

#include <stdlib.h>
#include <unistd.h>

static enum fh_torture_outcome finish(struct fh_region *region, enum fh_code code)
{
	fh_object_unref(region);
	return region == NULL ? FH_TORTURE_IDLE : fh_torture_code(code);
}

static uint64_t any_place(uint64_t *random)
{
	return FH_TORTURE_BASE + fh_torture_pick(random, FH_TORTURE_DEVICES) * FH_TORTURE_STEP;
}

static bool is_container(struct fh_region *region)
{
	return fh_region_get_info(region).kind == FH_REGION_CONTAINER;
}

/* --- Places --------------------------------------------------------------------------------- */

static enum fh_torture_outcome row_map_bar(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const bar = fh_torture_any_child(t, random, "bar");
	const int32_t priority = (int32_t)fh_torture_pick(random, 5) - 2;

	if (bar == NULL)
		return FH_TORTURE_IDLE;
	return finish(bar, fh_region_add(t->system, bar, any_place(random), priority));
}

static enum fh_torture_outcome row_map_loose(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const region =
		fh_torture_get(&t->loose[fh_torture_pick(random, FH_TORTURE_LOOSE)]);
	struct fh_region *container =
		fh_torture_get(&t->loose[fh_torture_pick(random, FH_TORTURE_LOOSE)]);
	const uint64_t offset = fh_torture_pick(random, 16) * UINT64_C(0x800);

	if (container == NULL || !is_container(container) || fh_torture_chance(random, 2)) {
		fh_object_unref(container);
		container = fh_object_ref(t->system);
	}

	const enum fh_code code =
		fh_region_add(container, region,
			      container == t->system ? any_place(random) + offset : offset,
			      (int32_t)fh_torture_pick(random, 5) - 2);

	fh_object_unref(container);
	return finish(region, code);
}

static enum fh_torture_outcome row_remove(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const region = fh_torture_any_region(t, random);

	fh_region_remove(region);
	return finish(region, FH_OK);
}

static enum fh_torture_outcome row_move(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const bar = fh_torture_any_child(t, random, "bar");

	return finish(bar, fh_region_move(bar, any_place(random)));
}

static enum fh_torture_outcome row_move_inside(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const region = fh_torture_any_region(t, random);
	struct fh_region_info info;

	if (region == NULL)
		return FH_TORTURE_IDLE;
	info = fh_region_get_info(region);
	if (info.container == t->system || info.size == FH_SIZE_ALL)
		return finish(region, FH_EBUSY);
	return finish(region, fh_region_move(region, fh_torture_pick(random, 16) * 0x800));
}

static enum fh_torture_outcome row_resize(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const region = fh_torture_any_region(t, random);

	if (region == NULL)
		return FH_TORTURE_IDLE;
	if (fh_region_get_info(region).size == FH_SIZE_ALL)
		return finish(region, FH_EBUSY);
	return finish(region, fh_region_resize(region, is_container(region) ?
							FH_TORTURE_STEP :
							fh_torture_pick(random, 0x2000)));
}

static enum fh_torture_outcome row_change(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const region = fh_torture_any_region(t, random);
	const bool on = !fh_torture_chance(random, 3);

	switch (fh_torture_pick(random, 6)) {
	case 0:
		return finish(region, fh_region_set_priority(
					      region, (int32_t)fh_torture_pick(random, 3)));
	case 1:
		return finish(region, fh_region_set_readonly(region, !on));
	case 2:
		return finish(region, fh_region_set_nonvolatile(region, !on));
	case 3:
		return finish(region, fh_region_set_unmergeable(region, !on));
	case 4:
		return finish(region, fh_region_set_rom_mode(region, on));
	default:
		return finish(region, fh_region_set_enabled(region, on));
	}
}

/* Two devices change places, and nobody sees them half way. */
static enum fh_torture_outcome row_swap(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const first = fh_torture_any_child(t, random, "bar");
	struct fh_region *const second = fh_torture_any_child(t, random, "bar");
	enum fh_torture_outcome outcome = FH_TORTURE_IDLE;

	if (first != NULL && second != NULL) {
		const uint64_t place = any_place(random);

		fh_edit_begin(t->m);
		fh_region_move(first, place + FH_TORTURE_STEP);
		fh_edit_begin(t->m);
		fh_region_set_enabled(second, false);
		fh_edit_commit(t->m);
		fh_region_move(second, place);
		fh_region_set_enabled(second, true);
		fh_edit_commit(t->m);
		outcome = FH_TORTURE_DONE;
	}
	fh_object_unref(first);
	fh_object_unref(second);
	return outcome;
}

/* --- Loose regions -------------------------------------------------------------------------- */

/* Something that an alias may show: see R1 of this file. */
static struct fh_region *any_target(struct fh_torture *t, uint64_t *random)
{
	static const char *const names[] = { "bar", "regs", "fast", "rom", "ram", "spare" };

	return fh_torture_any_child(t, random, names[fh_torture_pick(random, 6)]);
}

static struct fh_region *new_loose(struct fh_torture *t, uint64_t *random)
{
	const uint64_t size = 0x800 + fh_torture_pick(random, 0x4000);
	struct fh_region *target, *region;

	switch (fh_torture_pick(random, 6)) {
	case 0:
		return fh_region_new_container(t->m, NULL, size);
	case 1:
		return fh_torture_new_loose_mmio(t, t->m, size);
	case 2:
		return fh_region_new_ram(t->m, NULL, size, NULL);
	case 3:
		return fh_region_new_rom(t->m, NULL, size, FH_ROM_DECODE_ERROR, NULL);
	case 4:
		return fh_region_new_reservation(t->m, NULL, size);
	default:
		target = any_target(t, random);
		region = fh_region_new_alias(t->m, NULL, target, fh_torture_pick(random, 0x1000),
					     size);
		fh_object_unref(target);
		return region;
	}
}

/* A new one for an old one, which may be in the middle of the map. */
static enum fh_torture_outcome row_loose(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_slot *const slot = &t->loose[fh_torture_pick(random, FH_TORTURE_LOOSE)];
	struct fh_region *const fresh = new_loose(t, random);
	struct fh_region *const old = fh_torture_swap(slot, fresh);

	/* Without a dispose it goes with its last ref, which another thread may have. */
	if (fh_torture_chance(random, 2))
		fh_region_destroy(old);
	fh_object_unref(old);
	return fh_torture_outcome(fresh != NULL);
}

static enum fh_torture_outcome row_destroy_editing(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_slot *const slot = &t->loose[fh_torture_pick(random, FH_TORTURE_LOOSE)];
	struct fh_region *const old = fh_torture_swap(slot, NULL);

	if (old == NULL)
		return FH_TORTURE_IDLE;
	fh_edit_begin(t->m);
	fh_region_move(old, 0);
	fh_region_destroy(old);
	fh_region_move(old, 1);
	fh_edit_commit(t->m);
	fh_object_unref(old);
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome row_retarget(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const alias =
		fh_torture_get(&t->loose[fh_torture_pick(random, FH_TORTURE_LOOSE)]);
	struct fh_region *const target = any_target(t, random);
	enum fh_code code;

	if (fh_torture_chance(random, 2))
		code = fh_region_set_alias_target(alias, target);
	else
		code = fh_region_set_alias_offset(alias, fh_torture_pick(random, 0x4000));
	fh_object_unref(target);
	return finish(alias, code);
}

/* A circle of containers is refused, whoever closes it first. */
static enum fh_torture_outcome row_circle(struct fh_torture *t, uint64_t *random)
{
	struct fh_region *const first = fh_region_new_container(t->m, NULL, 0x1000);
	struct fh_region *const second = fh_region_new_container(t->m, NULL, 0x1000);

	(void)random;
	fh_torture_check(t, fh_region_add(first, second, 0, 0) == FH_OK, "a plain add failed");
	fh_torture_check(t, fh_region_add(second, first, 0, 0) == FH_ELOOP,
			 "a circle was not refused");
	fh_object_unref(first);
	fh_object_unref(second);
	return FH_TORTURE_DONE;
}

/* --- Spaces, listeners ---------------------------------------------------------------------- */

static struct fh_region *any_root(struct fh_torture *t, uint64_t *random)
{
	if (fh_torture_chance(random, 2))
		return fh_object_ref(t->system);
	return fh_torture_any_region(t, random);
}

static enum fh_torture_outcome row_space(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_slot *const slot = &t->spaces[fh_torture_pick(random, FH_TORTURE_SPACES)];
	struct fh_region *const root = any_root(t, random);
	struct fh_space *const fresh = fh_space_new(t->m, NULL, root);
	struct fh_space *const old = fh_torture_swap(slot, fresh);

	fh_object_unref(root);
	if (fh_torture_chance(random, 2))
		fh_object_dispose(old);
	fh_object_unref(old);
	return fh_torture_outcome(fresh != NULL);
}

static enum fh_torture_outcome row_set_root(struct fh_torture *t, uint64_t *random)
{
	struct fh_space *const space =
		fh_torture_get(&t->spaces[fh_torture_pick(random, FH_TORTURE_SPACES)]);
	struct fh_region *const root = any_root(t, random);
	enum fh_torture_outcome outcome = FH_TORTURE_IDLE;

	if (space != NULL)
		outcome = fh_torture_code(fh_space_set_root(space, root));
	fh_object_unref(root);
	fh_object_unref(space);
	return outcome;
}

static uint64_t hash_section(const struct fh_section *section)
{
	uint64_t state = section->first;

	state = fh_torture_random(&state) ^ section->last;
	state = fh_torture_random(&state) ^ (uint64_t)(uintptr_t)section->region;
	state = fh_torture_random(&state) ^ section->offset;
	state = fh_torture_random(&state) ^ (section->readonly * 1u + section->rom_mode * 2u +
					     section->nonvolatile * 4u);
	return fh_torture_random(&state);
}

/*
 * The region is there for the call, although it may have been disposed of; a slow listener sees
 * to it.
 */
static uint64_t listen(const struct fh_torture_ear *ear, const struct fh_section *section)
{
	const uint64_t hash = hash_section(section);

	if (hash % 256 == 0)
		usleep(50);
	fh_torture_check(ear->t, fh_object_get_machine(section->region) == ear->t->m,
			 "a listener was told of a region that is not there");
	return hash;
}

static void heard_add(void *state, const struct fh_section *section)
{
	struct fh_torture_ear *const ear = state;

	ear->sum += listen(ear, section);
	ear->count++;
}

static void heard_remove(void *state, const struct fh_section *section)
{
	struct fh_torture_ear *const ear = state;

	ear->sum -= listen(ear, section);
	ear->count--;
}

static const struct fh_listener_ops listener_ops = { .add = heard_add, .remove = heard_remove };

static enum fh_torture_outcome row_listener(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_slot *const slot =
		&t->listeners[fh_torture_pick(random, FH_TORTURE_LISTENERS)];
	struct fh_space *const space = fh_torture_any_space(t, random);
	struct fh_torture_ear *const ear = calloc(1, sizeof(*ear));

	if (ear == NULL)
		abort();
	ear->t = t;
	/*
	 * Release: with the acquire of the next to put one in front. It stays to the end of the
	 * run.
	 */
	ear->next = atomic_load_explicit(&t->ears, memory_order_acquire);
	while (!atomic_compare_exchange_weak_explicit(&t->ears, &ear->next, ear,
						      memory_order_acq_rel, memory_order_acquire))
		continue;

	struct fh_listener *const fresh =
		fh_listener_new(t->m, space, (int)fh_torture_pick(random, 3), &listener_ops, ear);
	struct fh_listener *const old = fh_torture_swap(slot, fresh);

	fh_object_unref(space);
	if (fh_torture_chance(random, 2))
		fh_listener_destroy(old);
	fh_object_unref(old);
	return fh_torture_outcome(fresh != NULL);
}

const struct fh_torture_row fh_torture_map_rows[] = {
	{ "map a bar", 120, row_map_bar },
	{ "map a loose region", 90, row_map_loose },
	{ "remove", 24, row_remove },
	{ "move", 90, row_move },
	{ "move inside", 24, row_move_inside },
	{ "resize", 24, row_resize },
	{ "change", 60, row_change },
	{ "swap", 30, row_swap },
	{ "loose region", 90, row_loose },
	{ "destroy, editing", 18, row_destroy_editing },
	{ "retarget", 60, row_retarget },
	{ "circle", 12, row_circle },
	{ "space", 18, row_space },
	{ "set root", 18, row_set_root },
	{ "listener", 12, row_listener },
	{ NULL, 0, NULL },
};
