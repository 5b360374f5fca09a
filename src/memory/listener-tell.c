/* SPDX-License-Identifier: MIT */
/*
 * Telling listeners: one alone, those of all spaces that a commit has changed, and those that have
 * dirty bits of their own. R1 to R5: listener.c.
 */
#include "base/point.h"
#include "base/thread.h"
#include "memory/extras.h"
#include "memory/listener.h"

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
	fh_sections_add(sections, news->removed, news->removed_count);
	fh_sections_add(sections, news->added, news->added_count);
	listener->ops->batch(listener->state, sections->at, news->removed_count,
			     fh_vector_from(sections, news->removed_count), news->added_count);
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

void fh_listener_tell_alone(struct fh_listener *listener, struct fh_news *news,
			    enum fh_news_time old)
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

		fh_listener_tell_alone(listener, &news, FH_NEWS_BEFORE);
		fh_listener_is_out(listener);
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
			fh_listener_depart(fh_list_entry(node, struct fh_listener, wait_link));
		else if ((node = fh_list_pop(&topology->joining)))
			fh_listener_join(fh_list_entry(node, struct fh_listener, wait_link));
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
