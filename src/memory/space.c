/* SPDX-License-Identifier: MIT */
/*
 * Address spaces as objects, and the look at what they show. What they resolve to is resolve.c's;
 * how their views come about, publish.c's; accesses through them, access.c's.
 */
#include "memory/space.h"

#include "base/rcu.h"
#include "memory/room.h"

/* --- Sections ------------------------------------------------------------------------------- */

void fh_section_from_range(struct fh_section *ret, const struct fh_range *range)
{
	const struct fh_region *region = range->region;
	const bool rom_mode = range->flags & FH_RANGE_ROM_MODE;
	const bool direct = region->ram && (rom_mode || region->kind != FH_REGION_ROM_DEVICE);

	*ret = (struct fh_section){
		.first = range->first,
		.last = range->last,
		.region = range->region,
		.offset = range->offset,
		.ptr = direct ? region->ram + range->offset : NULL,
		.readonly = range->flags & FH_RANGE_READONLY,
		.rom_mode = rom_mode,
		.nonvolatile = range->flags & FH_RANGE_NONVOLATILE,
		.log_mask = fh_range_log_mask(range->flags),
		.device = region->kind == FH_REGION_RAM_DEVICE,
	};
}

const char *fh_section_kind(const struct fh_section *section)
{
	if (section->region->kind == FH_REGION_RESERVATION)
		return "reservation";
	if (section->region->kind == FH_REGION_IOMMU)
		return "iommu";
	if (section->readonly)
		return "rom";
	if (section->rom_mode)
		return "romd";
	if (section->device)
		return "ramd";
	return section->ptr ? "ram" : "i/o";
}

void fh_space_each(struct fh_space *space,
		   bool (*visit)(const struct fh_section *section, void *arg), void *arg)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_view_cursor cursor;
	struct fh_range range;
	bool more = true;

	fh_rcu_read_begin(t);
	/* Acquire: pairs with the release in publish.c. */
	fh_view_cursor_init(&cursor,
			    fh_view_set_root(atomic_load_explicit(&space->set,
								  memory_order_acquire)),
			    0);
	while (more && fh_view_cursor_next(&cursor, &range)) {
		struct fh_section section;

		fh_section_from_range(&section, &range);
		more = visit(&section, arg);
	}
	fh_rcu_read_end(t);
}

bool fh_space_is_mapped(struct fh_space *space, uint64_t addr, uint64_t size)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_view_cursor cursor;
	struct fh_range range;
	uint64_t most = fh_size_last(size); /* bytes still to be looked for, less one */
	bool mapped = size == 0;

	if (size > 0 && most > UINT64_MAX - addr)
		return false;
	fh_rcu_read_begin(t);
	fh_view_cursor_init(&cursor,
			    fh_view_set_root(atomic_load_explicit(&space->set,
								  memory_order_acquire)),
			    addr);
	while (!mapped && fh_view_cursor_next(&cursor, &range) && range.first <= addr) {
		mapped = most <= range.last - addr;
		most -= mapped ? 0 : range.last - addr + 1;
		addr = range.last + 1;
	}
	fh_rcu_read_end(t);
	return mapped;
}

static bool set_shows(const struct fh_view_set *set, const struct fh_region *region)
{
	struct fh_view_cursor cursor;
	struct fh_range range;

	fh_view_cursor_init(&cursor, fh_view_set_root(set), 0);
	while (fh_view_cursor_next(&cursor, &range))
		if (range.region == region)
			return true;
	return false;
}

bool fh_region_is_mapped(struct fh_region *region)
{
	struct fh_machine *m = region->object.machine;
	bool mapped = false;

	fh_topology_look_begin(m);
	fh_list_for_each_entry(set, &m->topology->sets, struct fh_view_set, all_link)
		mapped = mapped || set_shows(set, region);
	fh_topology_look_end(m);
	return mapped;
}

bool fh_region_present(struct fh_region *container, uint64_t addr)
{
	struct fh_machine *m = container->object.machine;
	struct fh_render render = { .ordered = false };
	struct fh_ranges ranges = { .count = 0 };
	bool present = false;

	fh_topology_look_begin(m);
	if (container->size > 0 && addr <= fh_size_last(container->size))
		fh_render_window(&render, container, addr, addr, &ranges);
	for (size_t i = 0; i < ranges.count; i++)
		present = present || ranges.at[i].region != container;
	fh_topology_look_end(m);
	fh_render_free(&render);
	fh_vector_free(&ranges);
	return present;
}

/* --- Spaces --------------------------------------------------------------------------------- */

static void space_link_root(struct fh_space *space, struct fh_region *root)
{
	fh_list_remove(&space->root_link);
	space->root = root;
	if (root)
		fh_list_add_last(&fh_region_links(root)->roots, &space->root_link);
	fh_resolve_space(space);
}

void fh_space_lose_root(struct fh_space *space)
{
	space_link_root(space, NULL);
}

/* Idempotent. What the space showed goes at the commit, and its listeners are told. */
static void space_detach(struct fh_object *object)
{
	struct fh_space *space = fh_space_of(object);

	if (!fh_list_linked(&space->all_link))
		return;
	fh_list_remove(&space->all_link);
	fh_listeners_leave(space);
	space_link_root(space, NULL);
	fh_room_close(space);
}

static void space_finalize(struct fh_object *object)
{
	struct fh_space *space = fh_space_of(object);

	fh_assert(!space->root && !space->shows);
	fh_assert(!fh_list_linked(&space->all_link));
	fh_assert(fh_list_empty(&space->listeners));
	fh_room_leave(space);
}

static const struct fh_core_ops space_core = {
	.size = sizeof(struct fh_space),
	.align = _Alignof(struct fh_space),
	.immediate = true,
	.detach = space_detach,
	.finalize = space_finalize,
};

const struct fh_type fh_space_type = { .name = "space", .core = &space_core };

static enum fh_code space_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	struct fh_space *space = fh_space_of(object);

	(void)arg;
	(void)err;
	fh_list_init(&space->root_link);
	fh_list_init(&space->set_link);
	fh_list_init(&space->all_link);
	fh_list_init(&space->listeners);
	fh_list_init(&space->unresolved_link);
	fh_list_init(&space->switched_link);
	return FH_OK;
}

static bool root_is_dead(const struct fh_region *root)
{
	return root && fh_object_has(&root->object, FH_OBJECT_DETACHED);
}

struct fh_space *fh_space_new(FH_ANY any, const char *name, struct fh_region *root)
{
	struct fh_machine *m;
	struct fh_object *owner = fh_owner_of(any, &m);
	struct fh_space *space = NULL;

	fh_assert(!root || root->object.machine == m);
	if (fh_topology_check_context(NULL) != FH_OK)
		return NULL;
	/* In a transaction, so that the ends of owner and root come before all of this or after. */
	fh_topology_begin(m);
	if (!root_is_dead(root))
		space = (struct fh_space *)fh_object_create(m, owner, name, &fh_space_type,
							    space_construct, NULL, NULL);
	if (space) {
		fh_list_add_last(&m->topology->spaces, &space->all_link);
		space_link_root(space, root);
	}
	fh_topology_commit(m);
	return space;
}

struct fh_region *fh_space_root(struct fh_space *space)
{
	struct fh_region *root;

	fh_topology_look_begin(space->object.machine);
	root = space->root;
	fh_topology_look_end(space->object.machine);
	return root;
}

enum fh_code fh_space_set_root(struct fh_space *space, struct fh_region *root)
{
	struct fh_machine *m;
	enum fh_code code;

	code = fh_topology_check_context(NULL);
	if (code != FH_OK)
		return code;
	if (!space)
		return FH_EDEAD;
	m = space->object.machine;
	fh_assert(!root || root->object.machine == m);
	fh_topology_begin(m);
	if (fh_object_has(&space->object, FH_OBJECT_DETACHED) || root_is_dead(root))
		code = FH_EDEAD;
	else if (root != space->root)
		space_link_root(space, root);
	fh_topology_commit(m);
	return code;
}
