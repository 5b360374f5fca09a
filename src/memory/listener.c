/* SPDX-License-Identifier: MIT */
/*
 * Listeners: who is told of every change of a space's view.
 *
 * R1. All callbacks but coalesced_flush run under the topology lock, with FH_HELD_LISTENER noted, so
 *     that an edit from within one is refused. So no list of listeners changes while it is gone
 *     through.
 * R2. A listener is told of additions and removals such that, put together, they are what the
 *     space's published view shows: all of it when it registers, the difference at each commit,
 *     none when it leaves.
 * R3. What is logged is told apart from that: after the additions, of each range whose clients are
 *     others than before. An addition of one that is logged is followed by log_start; a removal
 *     ends it.
 * R4. One that leaves, because it or its space is disposed of, is told at the commit of that
 *     transaction. It is held until then and for a grace period; its owner is pinned as long as
 *     it exists, so that `state` is there.
 * R5. What callbacks ask for waits until the present commit has been told to all: then those are
 *     told that depart, of what is published now, and those that join. Outside of a commit
 *     (registering, log_sync) that is the commit which the outermost transaction has at its end.
 */
#include "base/point.h"
#include "base/thread.h"
#include "memory/extras.h"
#include "memory/listener.h"
#include "memory/news.h"

static struct fh_listener *listener_of(struct fh_object *object)
{
	return (struct fh_listener *)object;
}

static void listener_join(struct fh_listener *listener);
static void listener_depart(struct fh_listener *listener);
static void listener_is_out(struct fh_listener *listener);

/* --- Telling one ---------------------------------------------------------------------------- */

static void tell_begin(const struct fh_listener *listener, const struct fh_news *news)
{
	(void)news;
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

static void tell_extras(const struct fh_listener *listener, const struct fh_extra *extras,
			size_t count,
			void (*tell_event)(void *state, const struct fh_section *section,
					   const struct fh_eventfd_match *match, int fd),
			void (*tell_coalesced)(void *state, const struct fh_section *section))
{
	if (!tell_event && !tell_coalesced)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct fh_extra_event *event = extras[i].event;
		struct fh_section section;

		fh_section_from_range(&section, &extras[i].range);
		if (event && tell_event)
			tell_event(listener->state, &section, &event->match, event->fd);
		else if (!event && tell_coalesced)
			tell_coalesced(listener->state, &section);
	}
}

static void tell_gone(const struct fh_listener *listener, const struct fh_news *news)
{
	tell_extras(listener, news->gone, news->gone_count, listener->ops->eventfd_del,
		    listener->ops->coalesced_del);
}

static void tell_removed(const struct fh_listener *listener, const struct fh_news *news)
{
	tell_ranges(listener, listener->ops->remove, news->removed, news->removed_count);
}

/* All that the view shows but for what was added; both are in order of address. */
static void tell_kept(const struct fh_listener *listener, const struct fh_news *news)
{
	struct fh_view_cursor cursor;
	struct fh_range range;
	size_t next = 0;

	if (!listener->ops->keep)
		return;
	fh_view_cursor_init(&cursor, news->view, 0);
	while (fh_view_cursor_next(&cursor, &range)) {
		if (next < news->added_count && news->added[next].first == range.first)
			next++;
		else
			tell_ranges(listener, listener->ops->keep, &range, 1);
	}
}

static void tell_added(const struct fh_listener *listener, const struct fh_news *news)
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

static void tell_logs(const struct fh_listener *listener, const struct fh_news *news)
{
	if (!listener->ops->log_start && !listener->ops->log_stop)
		return;
	for (size_t i = 0; i < news->added_count; i++)
		tell_log(listener, &news->added[i], 0);
	for (size_t i = 0; i < news->reflagged_count; i++)
		tell_log(listener, &news->reflagged[i].range, news->reflagged[i].before);
}

static void tell_come(const struct fh_listener *listener, const struct fh_news *news)
{
	tell_extras(listener, news->come, news->come_count, listener->ops->eventfd_add,
		    listener->ops->coalesced_add);
}

static void tell_batch(const struct fh_listener *listener, const struct fh_news *news)
{
	struct fh_sections *sections = &listener->object.machine->topology->sections;

	if (!listener->ops->batch || (!news->alone && news->removed_count + news->added_count == 0))
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

static void tell_commit(const struct fh_listener *listener, const struct fh_news *news)
{
	(void)news;
	FH_POINT("listener.commit");
	if (listener->ops->commit)
		listener->ops->commit(listener->state, listener->space);
}

/* In this order; what takes down, in falling order of priority. */
static const struct phase {
	void (*tell)(const struct fh_listener *listener, const struct fh_news *news);
	bool falls;
} phases[] = {
	{ tell_begin, false }, { tell_gone, true },  { tell_removed, true },
	{ tell_kept, false },  { tell_added, false }, { tell_logs, false },
	{ tell_come, false },  { tell_batch, false }, { tell_commit, false },
};

enum { PHASES = sizeof(phases) / sizeof(phases[0]) };

/* Everything, to one that joins or leaves. */
static void tell_alone(struct fh_listener *listener, struct fh_news *news, enum fh_news_time old)
{
	struct fh_thread *t = fh_thread_self();

	news->alone = true;
	fh_news_find_extras(listener->object.machine->topology, news, old, FH_NEWS_NOW);
	fh_thread_hold(t, FH_HELD_LISTENER);
	for (unsigned i = 0; i < PHASES; i++)
		phases[i].tell(listener, news);
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

/* --- Telling all of a space ----------------------------------------------------------------- */

static void tell_space(struct fh_space *space, const struct fh_news *news)
{
	struct fh_thread *t = fh_thread_self();

	fh_thread_hold(t, FH_HELD_LISTENER);
	for (unsigned i = 0; i < PHASES; i++) {
		if (!phases[i].falls) {
			each_listener(listener, space)
				phases[i].tell(listener, news);
			continue;
		}
		fh_list_for_each_reverse(node, &space->listeners)
			phases[i].tell(fh_list_entry(node, struct fh_listener, link), news);
	}
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

static void tell_leaving(struct fh_topology *topology)
{
	struct fh_list *node;

	while ((node = fh_list_pop(&topology->leaving))) {
		struct fh_listener *listener = fh_list_entry(node, struct fh_listener, link);
		struct fh_news news =
			fh_news_compare(topology, fh_listener_view_before(listener), NULL);

		tell_alone(listener, &news, FH_NEWS_BEFORE);
		listener_is_out(listener);
	}
}

static void tell_set(struct fh_topology *topology, const struct fh_view_set *set)
{
	struct fh_news news;

	if (set->fresh || !fh_view_set_has_listeners(set))
		return;
	news = fh_news_of_set(topology, set);
	fh_news_find_extras(topology, &news, FH_NEWS_BEFORE, FH_NEWS_NOW);
	if (!fh_news_any(&news))
		return;
	fh_list_for_each_entry(space, &set->spaces, struct fh_space, set_link) {
		if (fh_list_empty(&space->listeners))
			break;
		if (!fh_list_linked(&space->switched_link))
			tell_space(space, &news);
	}
}

static void tell_switched(struct fh_topology *topology, struct fh_space *space)
{
	if (fh_list_empty(&space->listeners))
		return;
	struct fh_news news = fh_news_compare(topology, fh_view_set_before(space->showed),
					      fh_view_set_root(space->shows));

	fh_news_find_extras(topology, &news, FH_NEWS_BEFORE, FH_NEWS_NOW);
	if (fh_news_any(&news))
		tell_space(space, &news);
}

/* R5: what listeners have asked for while they were told, and who is told of that, again. */
static void settle(struct fh_topology *topology)
{
	struct fh_list *node;

	for (;;) {
		if ((node = fh_list_pop(&topology->departing)))
			listener_depart(fh_list_entry(node, struct fh_listener, wait_link));
		else if ((node = fh_list_pop(&topology->joining)))
			listener_join(fh_list_entry(node, struct fh_listener, wait_link));
		else
			return;
	}
}

void fh_listeners_tell(struct fh_topology *topology)
{
	FH_POINT("commit.tell");
	tell_leaving(topology);
	fh_list_for_each_entry(set, &topology->dirty, struct fh_view_set, dirty_link)
		tell_set(topology, set);
	fh_list_for_each_entry(space, &topology->switched, struct fh_space, switched_link)
		tell_switched(topology, space);
	settle(topology);
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
	fh_topology_commit(m); /* R5 */
}

/* --- Joining and leaving -------------------------------------------------------------------- */

static bool in_callback(void)
{
	return fh_thread_holds(fh_thread_self(), FH_HELD_LISTENER);
}

/* What finds it other than through its space. Under the lock. */
static void listener_count_hooks(struct fh_listener *listener, bool joins)
{
	struct fh_topology *topology = listener->object.machine->topology;
	const unsigned count = atomic_load_explicit(&topology->log_hooks, memory_order_relaxed);

	if (listener->ops->log_sync || listener->ops->log_clear) /* Relaxed: as where it is read. */
		atomic_store_explicit(&topology->log_hooks, joins ? count + 1 : count - 1,
				      memory_order_relaxed);
	if (listener->ops->coalesced_flush && joins)
		fh_coalesced_add_flusher(topology,
					 &(struct fh_flusher){ &listener->object, listener->owner,
							       listener->ops->coalesced_flush,
							       listener->state });
	else if (listener->ops->coalesced_flush)
		fh_coalesced_remove_flusher(topology, &listener->object);
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
	fh_space_list(space);
}

/* Of what the listener's space shows now. */
static struct fh_news listener_news(const struct fh_listener *listener, bool joins)
{
	/* Relaxed: under the lock. */
	const struct fh_view_node *view = fh_view_set_root(
		atomic_load_explicit(&listener->space->set, memory_order_relaxed));
	struct fh_topology *topology = listener->object.machine->topology;

	return joins ? fh_news_compare(topology, NULL, view) :
		       fh_news_compare(topology, view, NULL);
}

/* Tells it of what is published; what this transaction changes, it is told with the others. */
static void listener_join(struct fh_listener *listener)
{
	struct fh_news news = listener_news(listener, true);

	space_add_listener(listener->space, listener);
	listener_count_hooks(listener, true);
	if (listener->ops->prepare)
		listener->object.machine->topology->preparers++;
	tell_alone(listener, &news, FH_NEWS_NOW);
}

/* It has been told for the last time. */
static void listener_is_out(struct fh_listener *listener)
{
	struct fh_topology *topology = listener->object.machine->topology;

	if (listener->ops->prepare)
		topology->preparers--;
	fh_vector_add(&topology->unpins) = &listener->space->object;
	fh_vector_add(&topology->unpins) = &listener->object;
	listener->space = NULL;
}

/* R5: all have been told of the commit, this one as well. */
static void listener_depart(struct fh_listener *listener)
{
	struct fh_news news = listener_news(listener, false);

	listener_count_hooks(listener, false);
	fh_list_remove(&listener->link);
	fh_space_list(listener->space);
	tell_alone(listener, &news, FH_NEWS_NOW);
	listener_is_out(listener);
}

/* Takes it from its space and has it told so, once. */
static void listener_leave(struct fh_listener *listener)
{
	struct fh_topology *topology = listener->object.machine->topology;

	if (!fh_list_linked(&listener->link)) { /* it has not joined, and was told nothing */
		fh_list_remove(&listener->wait_link);
		listener->space = NULL;
		return;
	}
	if (!listener->leaving) {
		listener->leaving = true;
		/* The commit looks at both once more. */
		fh_object_hold(&listener->object);
		fh_object_hold(&listener->space->object);
	}
	if (in_callback()) { /* R5 */
		fh_list_add_last(&topology->departing, &listener->wait_link);
		return;
	}
	fh_list_remove(&listener->wait_link); /* its space ends before it could depart */
	listener_count_hooks(listener, false);
	fh_list_remove(&listener->link);
	fh_list_add_last(&topology->leaving, &listener->link);
	fh_space_list(listener->space);
}

void fh_listeners_leave(struct fh_space *space)
{
	struct fh_list *node;

	while ((node = fh_list_first(&space->listeners)))
		listener_leave(fh_list_entry(node, struct fh_listener, link));
	fh_list_for_each_safe(waiting, &space->object.machine->topology->joining) {
		struct fh_listener *listener =
			fh_list_entry(waiting, struct fh_listener, wait_link);

		if (listener->space == space)
			listener_leave(listener);
	}
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
	fh_owner_unpin(object, listener->owner);
}

static struct fh_object *listener_held_by_nature(struct fh_object *object)
{
	return listener_of(object)->owner;
}

static const struct fh_core_ops listener_core = {
	.size = sizeof(struct fh_listener),
	.immediate = true,
	.leaf = true,
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
	listener->owner = fh_owner_pin(object, made->owner);
	fh_list_init(&listener->link);
	fh_list_init(&listener->wait_link);
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
	fh_topology_join(m);
	if (!fh_object_has(&space->object, FH_OBJECT_DETACHED))
		object = fh_object_create(m, owner, NULL, &fh_listener_type, listener_construct,
					  &made, NULL);
	if (object) {
		listener_of(object)->space = space;
		if (in_callback()) /* R5 */
			fh_list_add_last(&m->topology->joining, &listener_of(object)->wait_link);
		else
			listener_join(listener_of(object));
	}
	fh_topology_commit(m);
	return object ? listener_of(object) : NULL;
}

struct fh_listener *fh_listener_destroy(struct fh_listener *listener)
{
	if (listener)
		fh_object_dispose(listener);
	return NULL;
}
