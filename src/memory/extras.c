/* SPDX-License-Identifier: MIT */
/*
 * The lists of eventfds and coalesced ranges of a region, and the tables that are made of them. See
 * extras.h for R1 to R4.
 */
#include "memory/extras.h"

#include <string.h>

#include "base/point.h"
#include "memory/dispatch.h"

uint32_t fh_extras_flags(const struct fh_region *region)
{
	const struct fh_extras *extras = region->links->extras;

	return (extras->eventfds.count > 0 ? FH_RANGE_EVENTFD : 0) |
	       (extras->coalesced.count > 0 ? FH_RANGE_COALESCED : 0) |
	       (extras->flush || extras->coalesced.count > 0 ? FH_RANGE_FLUSH : 0) |
	       (extras->turn ? FH_RANGE_TURN : 0);
}

struct fh_extras *fh_extras_of(struct fh_region *region)
{
	struct fh_links *links = fh_region_links(region);

	if (!links->extras) {
		links->extras = fh_new(struct fh_extras);
		links->extras->region = region;
		fh_list_init(&links->extras->changed_link);
		fh_list_init(&links->extras->gather_link);
		/* Release: pairs with the acquire in fh_extras_flags_now(). */
		fh_object_set_flags(&region->object, FH_OBJECT_EXTRAS);
	}
	return links->extras;
}

/* --- Owners with coalesced ranges (R5) -------------------------------------------------------- */

static bool owner_gathers(const struct fh_topology *topology, const struct fh_object *owner)
{
	fh_list_for_each_entry(extras, &topology->gathering, struct fh_extras, gather_link)
		if (extras->region->owner == owner)
			return true;
	return false;
}

/* The registers of the owner's show otherwise. Those that are not born yet show nothing. */
static void touch_registers(struct fh_object *owner)
{
	struct fh_machine *m = owner->machine;

	fh_tree_acquire(m);
	for (struct fh_object *o = fh_object_next_locked(owner, owner); o;
	     o = fh_object_next_locked(o, owner)) {
		struct fh_region *region = fh_region_of(o);

		if (o->parent == owner && fh_object_has(o, FH_OBJECT_BORN) &&
		    fh_object_cast(o, &fh_region_type) && fh_region_has_callbacks(region) &&
		    region->size != 0)
			fh_topology_touch(m, region, 0, fh_size_last(region->size));
	}
	fh_lock_release(&m->tree_lock);
}

static void note_gathering(struct fh_extras *extras)
{
	struct fh_object *owner = extras->region->owner;
	struct fh_topology *topology = owner->machine->topology;
	bool gathers = extras->coalesced.count > 0;

	if (gathers == fh_list_linked(&extras->gather_link))
		return;
	if (gathers)
		fh_list_add_last(&topology->gathering, &extras->gather_link);
	else
		fh_list_remove(&extras->gather_link);
	topology->render.gathering = !fh_list_empty(&topology->gathering);
	gathers = owner_gathers(topology, owner);
	if (gathers == fh_object_has(owner, FH_OBJECT_GATHERS))
		return;
	if (gathers)
		fh_object_set_flags(owner, FH_OBJECT_GATHERS);
	else
		fh_object_clear_flags(owner, FH_OBJECT_GATHERS);
	if (!fh_object_has(owner, FH_OBJECT_HIDDEN))
		touch_registers(owner);
}

/* --- Changes -------------------------------------------------------------------------------- */

void fh_extras_changed(struct fh_extras *extras)
{
	struct fh_region *region = extras->region;
	struct fh_topology *topology = region->object.machine->topology;

	if (!fh_list_linked(&extras->changed_link)) {
		fh_list_add_last(&topology->extras_changed, &extras->changed_link);
		fh_object_hold(&region->object);
		fh_vector_add(&topology->unpins) = &region->object;
		extras->turn = !extras->turn;
	}
	note_gathering(extras);
	region->extras = fh_extras_flags(region) != 0;
	if (region->size != 0)
		fh_topology_touch(region->object.machine, region, 0, fh_size_last(region->size));
}

void fh_extras_detach(struct fh_region *region)
{
	struct fh_extras *extras = region->links ? region->links->extras : NULL;

	if (!extras || (extras->eventfds.count + extras->coalesced.count == 0 && !extras->flush))
		return;
	for (size_t i = 0; i < extras->eventfds.count; i++)
		fh_eventfd_cut_off(extras->eventfds.at[i]);
	extras->eventfds.count = 0;
	extras->coalesced.count = 0;
	extras->flush = false;
	fh_extras_changed(extras);
}

void fh_extras_free(struct fh_extras *extras)
{
	if (!extras)
		return;
	fh_assert(!fh_list_linked(&extras->changed_link));
	fh_assert(!fh_list_linked(&extras->gather_link));
	fh_assert(extras->eventfds.count == 0);
	/* Relaxed: nobody else has the region. */
	fh_assert(!atomic_load_explicit(&extras->table, memory_order_relaxed));
	fh_vector_free(&extras->eventfds);
	fh_vector_free(&extras->coalesced);
	fh_free(extras);
}

/* --- Tables --------------------------------------------------------------------------------- */

static size_t table_bytes(size_t events, size_t spans)
{
	return sizeof(struct fh_extra_table) + events * sizeof(struct fh_extra_event) +
	       spans * sizeof(struct fh_span);
}

static struct fh_extra_table *table_new(const struct fh_extras *extras)
{
	const size_t count = extras->eventfds.count;
	const size_t spans = extras->coalesced.count;
	struct fh_extra_table *table;

	if (count + spans == 0 && !extras->flush)
		return NULL;
	table = fh_alloc(table_bytes(count, spans));
	table->count = count;
	for (size_t i = 0; i < count; i++)
		table->events[i] = fh_eventfd_event(extras->eventfds.at[i]);
	table->coalesced = (struct fh_span *)(table->events + count);
	table->coalesced_count = spans;
	table->flush = extras->flush;
	if (spans > 0)
		memcpy(table->coalesced, extras->coalesced.at, spans * sizeof(struct fh_span));
	return table;
}

uint32_t fh_extras_flags_now(const struct fh_region *region, uint32_t flags)
{
	const struct fh_extra_table *table = NULL;

	if (!fh_region_has_callbacks(region))
		return flags;
	/* Acquire: in fh_object_has(), from fh_extras_of(). */
	if (fh_object_has(&region->object, FH_OBJECT_EXTRAS))
		table = fh_extras_table(region);
	flags &= ~(uint32_t)(FH_RANGE_EVENTFD | FH_RANGE_FLUSH);
	if (table && table->count > 0)
		flags |= FH_RANGE_EVENTFD;
	if ((table && (table->flush || table->coalesced_count > 0)) ||
	    fh_object_has(region->owner, FH_OBJECT_GATHERS))
		flags |= FH_RANGE_FLUSH;
	return flags;
}

static void table_retired(struct fh_deferred *deferred)
{
	fh_free(fh_container_of(deferred, struct fh_extra_table, retire));
}

#define each_changed(extras, topology) \
	fh_list_for_each_entry(extras, &(topology)->extras_changed, struct fh_extras, changed_link)

void fh_extras_make(struct fh_topology *topology)
{
	each_changed(extras, topology) {
		/* Relaxed: under the lock. */
		extras->before = atomic_load_explicit(&extras->table, memory_order_relaxed);
		extras->after = table_new(extras);
	}
}

void fh_extras_publish(struct fh_topology *topology)
{
	each_changed(extras, topology) {
		/* Release: pairs with the acquire in fh_extras_table(). */
		atomic_store_explicit(&extras->table, extras->after, memory_order_release);
	}
}

void fh_extras_told(struct fh_topology *topology)
{
	struct fh_list *node;

	while ((node = fh_list_pop(&topology->extras_changed))) {
		struct fh_extras *extras = fh_list_entry(node, struct fh_extras, changed_link);
		struct fh_extra_table *before = extras->before;

		extras->before = extras->after = NULL;
		if (!before)
			continue;
		before->retire.run = table_retired;
		fh_reaper_defer(topology->machine->reaper, &before->retire,
				table_bytes(before->count, before->coalesced_count));
	}
}
