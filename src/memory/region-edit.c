/* SPDX-License-Identifier: MIT */
/*
 * Edits: every change of a region and of how regions are put together, each a transaction.
 *
 * R1. A change touches what it changes at the level where it happens: a link, its window in the
 *     container or alias that it hangs in, before and after; what a region shows, the region
 *     itself. Commit carries that upward (topology.h R1).
 * R2. After a change all of these are up to date that commit relies on: the container's count of
 *     what is visible, and what the regions concerned resolve to.
 * R3. What fails changes nothing.
 */
#include "memory/extras.h"
#include "memory/iommu.h"
#include "memory/space.h"
#include "memory/topology.h"

/* --- Transactions for one region ------------------------------------------------------------ */

static bool is_dead(const struct fh_region *region)
{
	return fh_object_has(&region->object, FH_OBJECT_DETACHED);
}

/* Not FH_OK, and no transaction, if there is nothing to edit or it may not be edited here. */
static enum fh_code edit_begin(struct fh_region *region)
{
	enum fh_code code = fh_topology_check_context(NULL);

	if (code != FH_OK)
		return code;
	if (!region)
		return FH_EDEAD;
	fh_topology_begin(region->object.machine);
	if (!is_dead(region))
		return FH_OK;
	fh_topology_commit(region->object.machine);
	return FH_EDEAD;
}

static enum fh_code edit_end(struct fh_region *region, enum fh_code code)
{
	fh_topology_commit(region->object.machine);
	return code;
}

/* --- What a change touches ------------------------------------------------------------------ */

/* All that the region shows, at each place where it shows. */
static void touch_whole(struct fh_region *region)
{
	if (region->size != 0)
		fh_topology_touch(region->object.machine, region, 0, fh_size_last(region->size));
}

/* Where the region stands in its container. */
static void touch_place(struct fh_region *region)
{
	if (region->container && region->size != 0)
		fh_topology_touch(region->object.machine, region->container, region->addr,
				  fh_region_last(region));
}

/* A property has changed that decides how the region shows, or whether it does. */
static void region_changed(struct fh_region *region)
{
	fh_region_recount(region);
	fh_resolve_check(region);
	fh_resolve_check(region->container);
	touch_whole(region);
}

void fh_region_shown_changed(struct fh_object *object)
{
	region_changed(fh_region_of(object));
}

/* --- Containers ----------------------------------------------------------------------------- */

static void place(struct fh_region *region, struct fh_region *container)
{
	region->order = region->object.machine->topology->next_order++;
	fh_region_link_child(container, region);
	fh_resolve_check(container);
	touch_place(region);
}

static void displace(struct fh_region *region)
{
	struct fh_region *container = region->container;

	touch_place(region);
	fh_region_unlink_child(region);
	fh_resolve_check(container);
}

static enum fh_code check_add(struct fh_region *container, struct fh_region *sub)
{
	if (is_dead(container) || is_dead(sub))
		return FH_EDEAD;
	if (sub->container)
		return FH_EBUSY;
	return fh_region_would_loop(container, sub) ? FH_ELOOP : FH_OK;
}

enum fh_code fh_region_add(struct fh_region *container, struct fh_region *sub, uint64_t addr,
			   int32_t priority)
{
	enum fh_code code;

	code = fh_topology_check_context(NULL);
	if (code != FH_OK)
		return code;
	if (!container || !sub)
		return FH_EDEAD;
	if (container->object.machine != sub->object.machine)
		return FH_EINVAL;
	fh_topology_begin(sub->object.machine);
	code = check_add(container, sub);
	if (code == FH_OK) {
		sub->addr = addr;
		sub->priority = priority;
		place(sub, container);
	}
	return edit_end(sub, code);
}

enum fh_code fh_region_remove(struct fh_region *sub)
{
	const enum fh_code code = fh_topology_check_context(NULL);

	if (code != FH_OK || !sub)
		return code;
	fh_topology_begin(sub->object.machine);
	if (sub->container)
		displace(sub);
	return edit_end(sub, FH_OK);
}

enum fh_code fh_region_move(struct fh_region *region, uint64_t addr)
{
	struct fh_region *container;
	enum fh_code code = edit_begin(region);

	if (code != FH_OK)
		return code;
	container = region->container;
	if (container)
		displace(region);
	region->addr = addr;
	if (container)
		place(region, container);
	return edit_end(region, FH_OK);
}

enum fh_code fh_region_set_priority(struct fh_region *region, int32_t priority)
{
	const enum fh_code code = edit_begin(region);

	if (code != FH_OK)
		return code;
	if (region->priority != priority) {
		region->priority = priority;
		touch_place(region);
	}
	return edit_end(region, FH_OK);
}

/* --- Size ----------------------------------------------------------------------------------- */

static bool may_grow_to(const struct fh_region *region, uint64_t size)
{
	return !fh_region_has_ram(region) ||
	       size <= ((const struct fh_ram_region *)region)->capacity;
}

/* Its place in the container is of another size; its order there stays. */
static void set_size(struct fh_region *region, uint64_t size)
{
	struct fh_region *container = region->container;
	const uint64_t greater = size > region->size ? size : region->size;

	touch_place(region);
	if (container)
		fh_region_unlink_child(region);
	region->size = size;
	if (container)
		fh_region_link_child(container, region);
	touch_place(region);
	fh_resolve_check(container);
	if (!region->links)
		return;
	/* For those who show it otherwise. Nothing leads them to what lies beyond its new size. */
	fh_topology_touch(region->object.machine, region, 0, fh_size_last(greater));
	fh_resolve_check(region);
	fh_list_for_each_entry(alias, &region->links->aliases, struct fh_alias, link)
		fh_resolve_check(&alias->region);
}

static void resize(struct fh_region *region, uint64_t size)
{
	set_size(region, size);
	if (!fh_region_has_ram(region) || !fh_ram_of(region)->resized)
		return;

	const struct fh_ram_region *ram = fh_ram_of(region);
	struct fh_thread *t = fh_thread_self();

	fh_thread_hold(t, FH_HELD_LISTENER);
	ram->resized(ram->resized_state, region, size);
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

enum fh_code fh_region_resize(struct fh_region *region, uint64_t size)
{
	enum fh_code code;

	code = edit_begin(region);
	if (code != FH_OK)
		return code;
	if (!may_grow_to(region, size))
		code = FH_EINVAL;
	else if (region->size != size)
		resize(region, size);
	return edit_end(region, code);
}

/* --- Aliases -------------------------------------------------------------------------------- */

static void set_target(struct fh_alias *alias, struct fh_region *target)
{
	touch_whole(&alias->region);
	if (alias->target)
		fh_alias_unlink_target(alias);
	if (target)
		fh_alias_link_target(alias, target);
	fh_resolve_check(&alias->region);
}

enum fh_code fh_region_set_alias_offset(struct fh_region *alias, uint64_t offset)
{
	enum fh_code code;

	code = edit_begin(alias);
	if (code != FH_OK)
		return code;
	if (alias->kind != FH_REGION_ALIAS) {
		code = FH_ETYPE;
	} else if (fh_alias_of(alias)->offset != offset) {
		fh_alias_of(alias)->offset = offset;
		fh_resolve_check(alias);
		touch_whole(alias);
	}
	return edit_end(alias, code);
}

static enum fh_code check_target(struct fh_region *alias, struct fh_region *target)
{
	if (alias->kind != FH_REGION_ALIAS)
		return FH_ETYPE;
	if (!target)
		return FH_OK;
	if (target->object.machine != alias->object.machine)
		return FH_EINVAL;
	if (is_dead(target))
		return FH_EDEAD;
	return fh_region_would_loop(alias, target) ? FH_ELOOP : FH_OK;
}

enum fh_code fh_region_set_alias_target(struct fh_region *alias, struct fh_region *target)
{
	enum fh_code code;

	code = edit_begin(alias);
	if (code != FH_OK)
		return code;
	code = check_target(alias, target);
	if (code == FH_OK && fh_alias_of(alias)->target != target)
		set_target(fh_alias_of(alias), target);
	return edit_end(alias, code);
}

/* --- How it shows --------------------------------------------------------------------------- */

enum fh_code fh_region_set_enabled(struct fh_region *region, bool enabled)
{
	const enum fh_code code = edit_begin(region);

	if (code != FH_OK)
		return code;
	if (region->enabled != enabled) {
		region->enabled = enabled;
		region_changed(region);
	}
	return edit_end(region, FH_OK);
}

enum fh_code fh_region_set_readonly(struct fh_region *region, bool readonly)
{
	const enum fh_code code = edit_begin(region);

	if (code != FH_OK)
		return code;
	if (!readonly && fh_region_is_readonly_ever(region))
		return edit_end(region, FH_EPERM);
	if (region->readonly != readonly) {
		region->readonly = readonly;
		region_changed(region);
	}
	return edit_end(region, FH_OK);
}

enum fh_code fh_region_set_nonvolatile(struct fh_region *region, bool nonvolatile)
{
	const enum fh_code code = edit_begin(region);

	if (code != FH_OK)
		return code;
	if (region->nonvolatile != nonvolatile) {
		region->nonvolatile = nonvolatile;
		region_changed(region);
	}
	return edit_end(region, FH_OK);
}

enum fh_code fh_region_set_rom_mode(struct fh_region *region, bool rom_mode)
{
	enum fh_code code;

	code = edit_begin(region);
	if (code != FH_OK)
		return code;
	if (region->kind != FH_REGION_ROM_DEVICE) {
		code = FH_ETYPE;
	} else if (region->rom_mode != rom_mode) {
		region->rom_mode = rom_mode;
		region_changed(region);
	}
	return edit_end(region, code);
}

enum fh_code fh_region_set_unmergeable(struct fh_region *region, bool unmergeable)
{
	const enum fh_code code = edit_begin(region);

	if (code != FH_OK)
		return code;
	if (region->mergeable == unmergeable) {
		region->mergeable = !unmergeable;
		region_changed(region);
	}
	return edit_end(region, FH_OK);
}

/* --- Detach --------------------------------------------------------------------------------- */

/* Everything that shows the region lets go of it (L2), so that from here on nobody shows it. */
static void detach_upper(struct fh_region *region)
{
	struct fh_links *links = region->links;

	if (region->container)
		displace(region);
	if (!links)
		return;
	fh_list_for_each_entry_safe(alias, &links->aliases, struct fh_alias, link)
		set_target(alias, NULL);
	fh_list_for_each_entry_safe(space, &links->roots, struct fh_space, root_link)
		fh_space_lose_root(space);
	/* Those who share the set have all lost their way here; at commit it goes. */
	if (links->view_set) {
		links->view_set->region = NULL;
		links->view_set = NULL;
	}
}

/* Law L6, step 4. Idempotent. */
void fh_region_detach(struct fh_object *object)
{
	struct fh_region *region = fh_region_of(object);

	detach_upper(region);
	if (fh_region_has_ram(region)) {
		fh_list_remove(&fh_ram_of(region)->ram_link);
		fh_discard_detach(fh_ram_of(region));
	}
	fh_extras_detach(region);
	fh_region_unlink_children(region);
	if (fh_region_target(region))
		fh_alias_unlink_target(fh_alias_of(region));
	if (region->kind == FH_REGION_IOMMU)
		fh_iommu_detach(fh_iommu_of(region));
	fh_topology_forget(region);
}
