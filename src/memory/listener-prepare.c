/* SPDX-License-Identifier: MIT */
/*
 * Telling listeners of what a commit is about to publish. R1 to R5: listener.c.
 *
 * R6. Whoever has `prepare` hears of a commit before anything of it is published, and `commit` of
 *     it afterwards: of the same spaces as then, since who listens does not change in between (R5),
 *     and of the same difference.
 * R7. Nobody pays for it who has no such listener in his machine; in a machine that has one, spaces
 *     without pay a look at who listens to them.
 */
#include "base/thread.h"
#include "memory/extras.h"
#include "memory/listener.h"
#include "memory/news.h"

static bool space_prepares(const struct fh_space *space)
{
	each_listener(listener, space)
		if (listener->ops->prepare)
			return true;
	return false;
}

static bool set_prepares(const struct fh_view_set *set)
{
	fh_list_for_each_entry(space, &set->spaces, struct fh_space, set_link) {
		if (fh_list_empty(&space->listeners))
			break;
		if (!fh_list_linked(&space->switched_link) && space_prepares(space))
			return true;
	}
	return false;
}

/* --- The change, as sections ---------------------------------------------------------------- */

static size_t add_eventfds(struct fh_sections *sections, const struct fh_extra *extras,
			   size_t count)
{
	size_t eventfds = 0;

	for (size_t i = 0; i < count; i++) {
		if (!extras[i].event)
			continue;
		fh_section_from_range(&fh_vector_add(sections), &extras[i].range);
		eventfds++;
	}
	return eventfds;
}

static struct fh_space_change change_from_news(struct fh_sections *sections,
					       const struct fh_news *news)
{
	struct fh_space_change change = {
		.removed_count = news->removed_count,
		.added_count = news->added_count,
	};
	const size_t ranges = news->removed_count + news->added_count;

	sections->count = 0;
	fh_vector_reserve(sections, ranges + news->gone_count + news->come_count);
	fh_sections_add(sections, news->removed, news->removed_count);
	fh_sections_add(sections, news->added, news->added_count);
	change.eventfds_removed_count = add_eventfds(sections, news->gone, news->gone_count);
	change.eventfds_added_count = add_eventfds(sections, news->come, news->come_count);
	change.removed = sections->at;
	change.added = fh_vector_from(sections, news->removed_count);
	change.eventfds_removed = fh_vector_from(sections, ranges);
	change.eventfds_added = fh_vector_from(sections, ranges + change.eventfds_removed_count);
	return change;
}

static bool is_change(const struct fh_space_change *change)
{
	return change->removed_count + change->added_count + change->eventfds_removed_count +
		       change->eventfds_added_count > 0;
}

/* --- Who hears of it ------------------------------------------------------------------------ */

static void prepare_one(const struct fh_listener *listener, const struct fh_space_change *change)
{
	struct fh_thread *t = fh_thread_self();

	if (!listener->ops->prepare || !is_change(change))
		return;
	fh_thread_hold(t, FH_HELD_LISTENER);
	listener->ops->prepare(listener->state, change);
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

static void prepare_space(const struct fh_space *space, const struct fh_space_change *change)
{
	each_listener(listener, space)
		prepare_one(listener, change);
}

static void prepare_leaving(struct fh_topology *topology, const struct fh_listener *listener)
{
	struct fh_space_change change;
	struct fh_news news;

	if (!listener->ops->prepare)
		return;
	news = fh_news_compare(topology, fh_listener_view_before(listener), NULL);
	fh_news_find_extras(topology, &news, FH_NEWS_NOW, FH_NEWS_AFTER);
	change = change_from_news(&topology->sections, &news);
	prepare_one(listener, &change);
}

static void prepare_set(struct fh_topology *topology, const struct fh_view_set *set)
{
	struct fh_space_change change;
	struct fh_news news;

	if (set->fresh || !set_prepares(set))
		return;
	news = fh_news_of_set(topology, set);
	fh_news_find_extras(topology, &news, FH_NEWS_NOW, FH_NEWS_AFTER);
	change = change_from_news(&topology->sections, &news);
	fh_list_for_each_entry(space, &set->spaces, struct fh_space, set_link) {
		if (fh_list_empty(&space->listeners))
			break;
		if (!fh_list_linked(&space->switched_link))
			prepare_space(space, &change);
	}
}

static void prepare_switched(struct fh_topology *topology, const struct fh_space *space)
{
	struct fh_space_change change;
	struct fh_news news;

	if (!space_prepares(space))
		return;
	news = fh_news_compare(topology, fh_view_set_before(space->showed),
			       fh_view_set_after(space->shows));
	fh_news_find_extras(topology, &news, FH_NEWS_NOW, FH_NEWS_AFTER);
	change = change_from_news(&topology->sections, &news);
	prepare_space(space, &change);
}

void fh_listeners_prepare(struct fh_topology *topology)
{
	fh_list_for_each_entry(listener, &topology->leaving, struct fh_listener, link)
		prepare_leaving(topology, listener);
	fh_list_for_each_entry(set, &topology->dirty, struct fh_view_set, dirty_link)
		prepare_set(topology, set);
	fh_list_for_each_entry(space, &topology->switched, struct fh_space, switched_link)
		prepare_switched(topology, space);
}
