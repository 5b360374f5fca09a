/* SPDX-License-Identifier: MIT */
/*
 * Comparing what the library shows with what the oracle paints.
 *
 * R1. Spaces that show the same root are painted once. Every so often a painting is checked by one
 *     of all cells.
 */
#include "model/look.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FULL_PAINTING_EVERY = 41, LOOK_EVERY = 5 };

/* --- What is wrong -------------------------------------------------------------------------- */

void world_fail(struct world *world, const char *fmt, ...)
{
	va_list args;

	if (world->failure[0])
		return;
	va_start(args, fmt);
	vsnprintf(world->failure, sizeof(world->failure), fmt, args);
	va_end(args);
}

const char *world_failure(const struct world *world)
{
	return world->failure;
}

int world_slot_of(const struct world *world, const struct fh_region *real)
{
	for (int i = 0; i < world->model.region_slots; i++)
		if (world->model.regions[i].real == real)
			return i;
	return MODEL_NONE;
}

static const char *section_text(const struct world *world, const struct fh_section *section,
				char *buffer, size_t size)
{
	if (!section)
		return "nothing";
	snprintf(buffer, size,
		 "%#" PRIx64 "..%#" PRIx64 " region %d from %#" PRIx64 "%s%s%s%s logged %#x",
		 section->first, section->last, world_slot_of(world, section->region),
		 section->offset, section->ptr ? " direct" : "",
		 section->readonly ? " readonly" : "", section->rom_mode ? " rom mode" : "",
		 section->nonvolatile ? " nonvolatile" : "", section->log_mask);
	return buffer;
}

/* --- What spaces show ----------------------------------------------------------------------- */

/* Paints all spaces as they are from now on. */
static void paint(struct world *world)
{
	const struct model *model = &world->model;

	model_sort_kids(model, &world->kids);
	for (int i = 0; i < MODEL_SPACES; i++) {
		const int root = model->spaces[i].real ? model->spaces[i].root : MODEL_NONE;
		int same = 0;

		while (same < i && !(model->spaces[same].real && model->spaces[same].root == root))
			same++;
		struct view *next = &world->next[i]->view;

		if (root == MODEL_NONE) {
			next->count = 0;
		} else if (same < i) {
			const struct view *view = &world->next[same]->view;

			next->count = view->count;
			memcpy(next->at, view->at, view->count * sizeof(view->at[0]));
		} else {
			oracle_paint(model, &world->kids, root, NULL, next);
		}
		extras_find(model, next, &world->next[i]->extras);
	}
}

static void check_painting(struct world *world, int space)
{
	struct view *full = malloc(sizeof(*full));

	oracle_paint(&world->model, &world->kids, world->model.spaces[space].root, &world->rng,
		     full);
	world->counts.paintings++;
	if (!view_equal(full, &world->shown[space]->view))
		world_fail(world, "the oracle disagrees with itself about space %d", space);
	free(full);
}

struct comparison {
	struct world *world;
	int space;
	size_t seen;
};

static bool compare_section(const struct fh_section *section, void *arg)
{
	struct comparison *comparison = arg;
	struct world *world = comparison->world;
	const struct view *view = &world->shown[comparison->space]->view;
	const struct fh_section *wanted =
		comparison->seen < view->count ? &view->at[comparison->seen] : NULL;
	char left[200], right[200];

	comparison->seen++;
	if (wanted && section_equal(section, wanted) && section->log_mask == wanted->log_mask)
		return true;
	world_fail(world, "space %d, range %zu of %zu: shows %s, not %s", comparison->space,
	     comparison->seen, view->count, section_text(world, section, left, sizeof(left)),
	     section_text(world, wanted, right, sizeof(right)));
	return false;
}

static void compare_space(struct world *world, int space)
{
	struct comparison comparison = { world, space, 0 };
	const struct view *view = &world->shown[space]->view;
	char text[200];

	fh_space_each(world->model.spaces[space].real, compare_section, &comparison);
	world->counts.ranges += comparison.seen;
	if (!world->failure[0] && comparison.seen < view->count)
		world_fail(world, "space %d: shows %zu ranges and not %s", space, comparison.seen,
		     section_text(world, &view->at[comparison.seen], text, sizeof(text)));
}

/* One address, beside an edge of what is shown, or anywhere. */
static void look_up(struct world *world, int space)
{
	const struct view *view = &world->shown[space]->view;
	const size_t near = view->count > 0 ? rng_below(&world->rng, view->count) : 0;
	const uint64_t edges[] = {
		view->count > 0 ? view->at[near].first : 0,
		view->count > 0 ? view->at[near].last : UINT64_MAX,
		rng_next(&world->rng),
	};
	const uint64_t addr = edges[rng_below(&world->rng, 3)] + rng_below(&world->rng, 3) - 1;
	struct fh_section wanted = { .first = 0, .last = UINT64_MAX };
	struct fh_section found = { 0 };
	bool hit = false;

	for (size_t i = 0; i < view->count && !hit; i++) {
		if (view->at[i].first > addr) {
			wanted.last = view->at[i].first - 1;
			break;
		}
		hit = addr <= view->at[i].last;
		if (hit)
			wanted = view->at[i];
		else
			wanted.first = view->at[i].last + 1;
	}
	fh_read_begin();
	const bool got = fh_space_lookup(world->model.spaces[space].real, addr, &found);

	fh_read_end();
	if (got != hit || found.first != wanted.first || found.last != wanted.last ||
	    (hit && !section_equal(&found, &wanted)))
		world_fail(world, "space %d: at %#" PRIx64 " it finds %s %#" PRIx64 "..%#" PRIx64
		     ", not %s %#" PRIx64 "..%#" PRIx64, space, addr, got ? "a range" : "a hole",
		     found.first, found.last, hit ? "a range" : "a hole", wanted.first,
		     wanted.last);
}

/* --- What regions are ------------------------------------------------------------------------- */

struct sub_check {
	struct world *world;
	int region;
	int next;
};

static bool check_sub(struct fh_region *sub, void *arg)
{
	struct sub_check *check = arg;
	const struct model_kids *kids = &check->world->kids;

	if (check->next >= kids->begin[check->region + 1] ||
	    check->world->model.regions[kids->kid[check->next]].real != sub) {
		world_fail(check->world, "region %d: its subregion %d is not in its place",
		     check->region, world_slot_of(check->world, sub));
		return false;
	}
	check->next++;
	return true;
}

struct fh_region *world_region(const struct world *world, int slot)
{
	return slot == MODEL_NONE ? NULL : world->model.regions[slot].real;
}

static void check_region(struct world *world, int slot)
{
	const struct model_region *wanted = &world->model.regions[slot];
	struct sub_check check = { world, slot, world->kids.begin[slot] };

	if (!wanted->real)
		return;
	fh_edit_begin(world->m);
	const struct fh_region_info info = fh_region_get_info(wanted->real);

	fh_region_each_sub(wanted->real, check_sub, &check);
	fh_edit_commit(world->m);
	if (check.next != world->kids.begin[slot + 1])
		world_fail(world, "region %d: a subregion is missing", slot);
	if (info.kind != wanted->kind || info.size != wanted->size ||
	    info.priority != wanted->priority || info.enabled != wanted->enabled ||
	    info.readonly != wanted->readonly || info.nonvolatile != wanted->nonvolatile ||
	    info.unmergeable != wanted->unmergeable || info.rom_mode != wanted->rom_mode ||
	    info.container != world_region(world, wanted->container) ||
	    info.alias_target != world_region(world, wanted->target) ||
	    (wanted->kind == FH_REGION_ALIAS && info.alias_offset != wanted->alias_offset) ||
	    (wanted->container != MODEL_NONE && info.addr != wanted->addr))
		world_fail(world, "region %d is not what it was made", slot);
}

/* --- Commits -------------------------------------------------------------------------------- */

void look_forward(struct world *world)
{
	paint(world);
	ears_expect(world->ears, &world->model, world->shown, world->next);
	bool changed = false;

	for (int i = 0; i < MODEL_SPACES; i++) {
		struct picture *picture = world->shown[i];

		changed |= !view_equal(&picture->view, &world->next[i]->view);
		world->shown[i] = world->next[i];
		world->next[i] = picture;
	}
	world->counts.changes += changed;
}

void look_at_all(struct world *world)
{
	world->counts.commits++;
	if (ears_failure(world->ears))
		world_fail(world, "%s", ears_failure(world->ears));
	for (int i = 0; i < MODEL_SPACES && !world->failure[0]; i++) {
		if (!world->model.spaces[i].real)
			continue;
		compare_space(world, i);
		if (world->counts.commits % LOOK_EVERY == 0)
			look_up(world, i);
		if ((world->counts.commits + (unsigned)i * 13) % FULL_PAINTING_EVERY == 0)
			check_painting(world, i);
	}
	if (world->counts.commits % LOOK_EVERY == 0 && world->model.region_slots > 0)
		check_region(world, (int)rng_below(&world->rng,
						   (uint64_t)world->model.region_slots));
}
