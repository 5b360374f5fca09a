/* SPDX-License-Identifier: MIT */
/*
 * Listeners: who is told of every change of a space's view.
 *
 * R1. All callbacks run under the topology lock, with FH_HELD_LISTENER noted, so that an edit from
 *     within one is an assertion. So no list of listeners changes while it is gone through.
 * R2. A listener is told of additions and removals such that, put together, they are what the
 *     space's published view shows: all of it when it registers, the difference at each commit,
 *     none when it leaves.
 * R3. What is logged is told apart from that: after the additions, of each range whose clients are
 *     others than before. An addition of one that is logged is followed by log_start; a removal
 *     ends it.
 * R4. One that leaves, because it or its space is disposed of, is told at the commit of that
 *     transaction. It is held until then and for a grace period; its owner is pinned as long as
 *     it exists, so that `state` is there.
 */
#include "base/point.h"
#include "base/thread.h"
#include "memory/space.h"
#include "memory/topology.h"

struct fh_listener {
	struct fh_object object;
	const struct fh_listener_ops *ops; /* C */
	void *state;			   /* C */
	int priority;			   /* C */
	struct fh_object *owner;	   /* C: pinned; itself if it has none */
	struct fh_space *space;		   /* P: NULL when it has left */
	bool leaving;			   /* P: or has left */
	struct fh_list link;		   /* P: in space->listeners or topology->leaving */
};

/* What there is to tell: two rows of ranges in order of address. */
struct news {
	const struct fh_range *removed;
	size_t removed_count;
	const struct fh_range *added;
	size_t added_count;
	const struct fh_reflag *reflagged;
	size_t reflagged_count;
};

static bool news_any(const struct news *news)
{
	return news->removed_count + news->added_count + news->reflagged_count > 0;
}

static struct fh_listener *listener_of(struct fh_object *object)
{
	return (struct fh_listener *)object;
}

/* --- Telling one ---------------------------------------------------------------------------- */

static void tell_begin(const struct fh_listener *listener)
{
	if (listener->ops->begin)
		listener->ops->begin(listener->state, listener->space);
}

static void tell_ranges(const struct fh_listener *listener,
			void (*tell)(void *state, const struct fh_section *section),
			const struct fh_range *ranges, size_t count)
{
	if (!tell)
		return;
	for (size_t i = 0; i < count; i++) {
		struct fh_section section;

		fh_section_from_range(&section, &ranges[i]);
		tell(listener->state, &section);
	}
}

static void tell_removed(const struct fh_listener *listener, const struct news *news)
{
	tell_ranges(listener, listener->ops->remove, news->removed, news->removed_count);
}

static void tell_added(const struct fh_listener *listener, const struct news *news)
{
	tell_ranges(listener, listener->ops->add, news->added, news->added_count);
}

/* Clients log the range that did not before, or do not any more. */
static void tell_log(const struct fh_listener *listener, const struct fh_range *range,
		     uint32_t flags_before)
{
	const uint8_t before = fh_range_log_mask(flags_before);
	const uint8_t after = fh_range_log_mask(range->flags);
	struct fh_section section;

	if (before == after)
		return;
	fh_section_from_range(&section, range);
	if ((after & ~before) && listener->ops->log_start)
		listener->ops->log_start(listener->state, &section, before);
	if ((before & ~after) && listener->ops->log_stop)
		listener->ops->log_stop(listener->state, &section, before);
}

static void tell_logs(const struct fh_listener *listener, const struct news *news)
{
	if (!listener->ops->log_start && !listener->ops->log_stop)
		return;
	for (size_t i = 0; i < news->added_count; i++)
		tell_log(listener, &news->added[i], 0);
	for (size_t i = 0; i < news->reflagged_count; i++)
		tell_log(listener, &news->reflagged[i].range, news->reflagged[i].before);
}

static void tell_batch(const struct fh_listener *listener, const struct news *news)
{
	struct fh_sections *sections = &listener->object.machine->topology->sections;

	if (!listener->ops->batch)
		return;
	sections->count = 0;
	fh_vector_reserve(sections, news->removed_count + news->added_count);
	for (size_t i = 0; i < news->removed_count; i++)
		fh_section_from_range(&fh_vector_add(sections), &news->removed[i]);
	for (size_t i = 0; i < news->added_count; i++)
		fh_section_from_range(&fh_vector_add(sections), &news->added[i]);
	listener->ops->batch(listener->state, sections->at, news->removed_count,
			     sections->at + news->removed_count, news->added_count);
}

static void tell_commit(const struct fh_listener *listener)
{
	FH_POINT("listener.commit");
	if (listener->ops->commit)
		listener->ops->commit(listener->state, listener->space);
}

/* Everything, to one that joins or leaves. */
static void tell_alone(const struct fh_listener *listener, const struct news *news)
{
	struct fh_thread *t = fh_thread_self();

	fh_thread_hold(t, FH_HELD_LISTENER);
	tell_begin(listener);
	tell_removed(listener, news);
	tell_added(listener, news);
	tell_logs(listener, news);
	tell_batch(listener, news);
	tell_commit(listener);
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

/* --- Telling all of a space ----------------------------------------------------------------- */

#define each_listener(listener, space) \
	fh_list_for_each_entry(listener, &(space)->listeners, struct fh_listener, link)

static void tell_space(struct fh_space *space, const struct news *news)
{
	struct fh_thread *t = fh_thread_self();

	fh_thread_hold(t, FH_HELD_LISTENER);
	each_listener(listener, space)
		tell_begin(listener);
	fh_list_for_each_reverse(node, &space->listeners)
		tell_removed(fh_list_entry(node, struct fh_listener, link), news);
	each_listener(listener, space)
		tell_added(listener, news);
	each_listener(listener, space)
		tell_logs(listener, news);
	if (news->removed_count + news->added_count > 0) {
		each_listener(listener, space)
			tell_batch(listener, news);
	}
	each_listener(listener, space)
		tell_commit(listener);
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

/* The view of a set, before the present commit. */
static const struct fh_view_node *root_before(const struct fh_view_set *set)
{
	if (!set)
		return NULL;
	/* Dirty or dead: as noted. Otherwise it has not changed. */
	return fh_list_linked(&set->dirty_link) || !fh_list_linked(&set->all_link) ?
		       set->old_root :
		       fh_view_set_root(set);
}

/* What is in one view and not in the other, to topology->difference. */
static struct news compare_views(struct fh_topology *topology, const struct fh_view_node *before,
				 const struct fh_view_node *after)
{
	struct fh_changes *difference = &topology->difference;
	struct fh_view_cursor old_cursor, new_cursor;
	struct fh_range old, new;

	difference->removed.count = difference->added.count = difference->reflagged.count = 0;
	fh_view_cursor_init(&old_cursor, before, 0);
	fh_view_cursor_init(&new_cursor, after, 0);

	bool has_old = fh_view_cursor_next(&old_cursor, &old);
	bool has_new = fh_view_cursor_next(&new_cursor, &new);

	while (has_old || has_new) {
		const bool same = has_old && has_new && fh_range_shows_same(&old, &new);
		const bool take_old = has_old && (!has_new || old.first <= new.first);
		const bool take_new = has_new && (!has_old || new.first <= old.first);

		if (same && old.flags != new.flags)
			fh_vector_add(&difference->reflagged) =
				(struct fh_reflag){ new, old.flags };
		if (take_old) {
			if (!same)
				fh_vector_add(&difference->removed) = old;
			has_old = fh_view_cursor_next(&old_cursor, &old);
		}
		if (take_new) {
			if (!same)
				fh_vector_add(&difference->added) = new;
			has_new = fh_view_cursor_next(&new_cursor, &new);
		}
	}
	return (struct news){ difference->removed.at, difference->removed.count,
			      difference->added.at, difference->added.count,
			      difference->reflagged.at, difference->reflagged.count };
}

static void tell_leaving(struct fh_topology *topology)
{
	struct fh_list *node;

	while ((node = fh_list_pop(&topology->leaving))) {
		struct fh_listener *listener = fh_list_entry(node, struct fh_listener, link);
		const struct fh_space *space = listener->space;
		const struct fh_view_set *showed =
			fh_list_linked(&space->switched_link) ? space->showed : space->shows;
		const struct news news = compare_views(topology, root_before(showed), NULL);

		tell_alone(listener, &news);
		listener->space = NULL;
		fh_vector_add(&topology->unpins) = &listener->object;
	}
}

static void tell_set(struct fh_topology *topology, const struct fh_view_set *set)
{
	const struct news news = {
		topology->changes.removed.at + set->removed, set->removed_count,
		topology->changes.added.at + set->added, set->added_count,
		topology->changes.reflagged.at + set->reflagged, set->reflagged_count,
	};

	if (set->fresh || !news_any(&news))
		return;
	fh_list_for_each_entry(space, &set->spaces, struct fh_space, set_link) {
		if (!fh_list_empty(&space->listeners) && !fh_list_linked(&space->switched_link))
			tell_space(space, &news);
	}
}

static void tell_switched(struct fh_topology *topology, struct fh_space *space)
{
	if (fh_list_empty(&space->listeners))
		return;
	const struct news news = compare_views(topology, root_before(space->showed),
					       fh_view_set_root(space->shows));

	if (news_any(&news))
		tell_space(space, &news);
}

void fh_listeners_tell(struct fh_topology *topology)
{
	FH_POINT("commit.tell");
	tell_leaving(topology);
	fh_list_for_each_entry(set, &topology->dirty, struct fh_view_set, dirty_link)
		tell_set(topology, set);
	fh_list_for_each_entry(space, &topology->switched, struct fh_space, switched_link)
		tell_switched(topology, space);
}

/* --- Dirty bits ----------------------------------------------------------------------------- */

static void (*hook_of(const struct fh_listener *listener, bool clear))(void *state,
								      const struct fh_section *)
{
	return clear ? listener->ops->log_clear : listener->ops->log_sync;
}

static bool space_has_hook(const struct fh_space *space, bool clear)
{
	each_listener(listener, space)
		if (hook_of(listener, clear))
			return true;
	return false;
}

/* The part of the range that shows bytes first..last of its region. False: nothing. */
static bool section_of_bytes(struct fh_section *ret, struct fh_range range, uint64_t first,
			     uint64_t last)
{
	const uint64_t range_last = range.offset + (range.last - range.first);

	if (range.offset > last || range_last < first)
		return false;
	if (range_last > last)
		range.last -= range_last - last;
	if (range.offset < first) {
		range.first += first - range.offset;
		range.offset = first;
	}
	fh_section_from_range(ret, &range);
	return true;
}

static void space_log(const struct fh_space *space, const struct fh_region *region, uint64_t first,
		      uint64_t last, bool clear)
{
	struct fh_view_cursor cursor;
	struct fh_range range;
	struct fh_section section;

	/* What is published: relaxed, under the lock. */
	fh_view_cursor_init(&cursor,
			    fh_view_set_root(atomic_load_explicit(&space->set,
								  memory_order_relaxed)),
			    0);
	while (fh_view_cursor_next(&cursor, &range)) {
		if (range.region != region || !section_of_bytes(&section, range, first, last))
			continue;
		each_listener(listener, space) {
			if (hook_of(listener, clear))
				hook_of(listener, clear)(listener->state, &section);
		}
	}
}

void fh_listeners_log(struct fh_region *region, uint64_t first, uint64_t last, bool clear)
{
	struct fh_machine *m = region->object.machine;
	struct fh_topology *topology = m->topology;
	struct fh_thread *t = fh_thread_self();

	fh_assert(!fh_thread_holds(t, FH_HELD_LISTENER));
	/* Relaxed: who joined before this call is counted; others are told of what comes. */
	if (FH_LIKELY(atomic_load_explicit(&topology->log_hooks, memory_order_relaxed) == 0))
		return;
	fh_topology_look_begin(m);
	fh_thread_hold(t, FH_HELD_LISTENER);
	fh_list_for_each_entry(space, &topology->spaces, struct fh_space, all_link)
		if (space_has_hook(space, clear))
			space_log(space, region, first, last, clear);
	fh_thread_unhold(t, FH_HELD_LISTENER);
	fh_topology_look_end(m);
}

/* --- Joining and leaving -------------------------------------------------------------------- */

/* Under the lock. */
static void listener_count_hooks(const struct fh_listener *listener, bool joins)
{
	_Atomic unsigned *hooks = &listener->object.machine->topology->log_hooks;
	const unsigned count = atomic_load_explicit(hooks, memory_order_relaxed);

	if (listener->ops->log_sync || listener->ops->log_clear) /* Relaxed: as where it is read. */
		atomic_store_explicit(hooks, joins ? count + 1 : count - 1, memory_order_relaxed);
}

/* Among equals, behind those that were there. */
static void space_add_listener(struct fh_space *space, struct fh_listener *listener)
{
	struct fh_list *before = &space->listeners;

	fh_list_for_each(node, &space->listeners) {
		if (fh_list_entry(node, struct fh_listener, link)->priority >
		    listener->priority) {
			before = node;
			break;
		}
	}
	fh_list_add_before(before, &listener->link);
	listener->space = space;
}

/* Tells it of what is published; what this transaction changes, it is told with the others. */
static void listener_join(struct fh_listener *listener, struct fh_space *space)
{
	const struct fh_view_set *set = atomic_load_explicit(&space->set, memory_order_relaxed);
	const struct news news = compare_views(listener->object.machine->topology, NULL,
					       fh_view_set_root(set));

	space_add_listener(space, listener);
	listener_count_hooks(listener, true);
	tell_alone(listener, &news);
}

/* Takes it from its space and has it told so, once. */
static void listener_leave(struct fh_listener *listener)
{
	struct fh_topology *topology = listener->object.machine->topology;

	listener->leaving = true;
	listener_count_hooks(listener, false);
	fh_list_remove(&listener->link);
	fh_list_add_last(&topology->leaving, &listener->link);
	fh_object_hold(&listener->object);
	/* The commit looks at the space once more. */
	fh_object_hold(&listener->space->object);
	fh_vector_add(&topology->unpins) = &listener->space->object;
}

void fh_listeners_leave(struct fh_space *space)
{
	struct fh_list *node;

	while ((node = fh_list_first(&space->listeners)))
		listener_leave(fh_list_entry(node, struct fh_listener, link));
}

static void listener_detach(struct fh_object *object)
{
	struct fh_listener *listener = listener_of(object);

	if (listener->space && !listener->leaving)
		listener_leave(listener);
}

static void listener_finalize(struct fh_object *object)
{
	struct fh_listener *listener = listener_of(object);

	fh_assert(!listener->space);
	if (listener->owner != object)
		fh_object_unhold(listener->owner);
}

static struct fh_object *listener_held_by_nature(struct fh_object *object)
{
	struct fh_listener *listener = listener_of(object);

	return listener->owner != object ? listener->owner : NULL;
}

static const struct fh_core_ops listener_core = {
	.size = sizeof(struct fh_listener),
	.immediate = true,
	.detach = listener_detach,
	.finalize = listener_finalize,
	.held_by_nature = listener_held_by_nature,
};

const struct fh_type fh_listener_type = { .name = "listener", .core = &listener_core };

static enum fh_code listener_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct fh_listener *made = arg;
	struct fh_listener *listener = listener_of(object);

	(void)err;
	listener->ops = made->ops;
	listener->state = made->state;
	listener->priority = made->priority;
	listener->owner = made->owner ? made->owner : object;
	fh_list_init(&listener->link);
	if (listener->owner != object)
		fh_object_hold(listener->owner);
	return FH_OK;
}

struct fh_listener *fh_listener_new(FH_ANY any, struct fh_space *space, int priority,
				    const struct fh_listener_ops *ops, void *state)
{
	struct fh_machine *m;
	struct fh_object *owner = fh_owner_of(any, &m);
	struct fh_listener made = {
		.ops = ops, .state = state, .priority = priority, .owner = owner
	};
	struct fh_object *object = NULL;

	fh_assert(space->object.machine == m);
	/* In a transaction, so that the owner's detach comes before all of this or after. */
	fh_topology_begin(m);
	if (!fh_object_has(&space->object, FH_OBJECT_DETACHED))
		object = fh_object_create(m, owner, NULL, &fh_listener_type, listener_construct,
					  &made, NULL);
	if (object)
		listener_join(listener_of(object), space);
	fh_topology_commit(m);
	return object ? listener_of(object) : NULL;
}

struct fh_listener *fh_listener_destroy(struct fh_listener *listener)
{
	if (listener)
		fh_object_dispose(listener);
	return NULL;
}
