/* SPDX-License-Identifier: MIT */
/*
 * Differences of views, for listeners. See news.h for R1 to R3.
 */
#include "memory/news.h"

#include <stdlib.h>

/* --- Ranges --------------------------------------------------------------------------------- */

struct fh_news fh_news_compare(struct fh_topology *topology, const struct fh_view_node *before,
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
	return (struct fh_news){
		.removed = difference->removed.at,
		.removed_count = difference->removed.count,
		.added = difference->added.at,
		.added_count = difference->added.count,
		.reflagged = difference->reflagged.at,
		.reflagged_count = difference->reflagged.count,
		.view = after,
	};
}

struct fh_news fh_news_of_set(const struct fh_topology *topology, const struct fh_view_set *set)
{
	return (struct fh_news){
		.removed = fh_vector_from(&topology->changes.removed, set->removed),
		.removed_count = set->removed_count,
		.added = fh_vector_from(&topology->changes.added, set->added),
		.added_count = set->added_count,
		.reflagged = fh_vector_from(&topology->changes.reflagged, set->reflagged),
		.reflagged_count = set->reflagged_count,
		.view = fh_view_set_root(set),
	};
}

bool fh_news_has_logs(const struct fh_news *news)
{
	for (size_t i = 0; i < news->reflagged_count; i++) {
		const struct fh_reflag *reflag = &news->reflagged[i];

		if (fh_range_log_mask(reflag->before) != fh_range_log_mask(reflag->range.flags))
			return true;
	}
	return false;
}

bool fh_news_any(const struct fh_news *news)
{
	return news->removed_count + news->added_count + news->gone_count + news->come_count > 0 ||
	       fh_news_has_logs(news);
}

/* --- Extras --------------------------------------------------------------------------------- */

/* The part of the range that shows bytes first..last of its region, which it shows some of. */
static struct fh_range part_of(struct fh_range range, uint64_t first, uint64_t last)
{
	const uint64_t range_last = range.offset + (range.last - range.first);

	if (range_last > last)
		range.last -= range_last - last;
	if (range.offset < first) {
		range.first += first - range.offset;
		range.offset = first;
	}
	return range;
}

static void find_events(struct fh_extra_list *list, const struct fh_range *range,
			const struct fh_extra_table *table)
{
	const uint64_t range_last = range->offset + (range->last - range->first);
	size_t low = 0, high = table->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (table->events[middle].match.offset < range->offset)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < table->count && table->events[low].match.offset <= range_last; low++) {
		const struct fh_extra_event *event = &table->events[low];
		const uint64_t first = event->match.offset;
		const uint64_t last = first + (event->match.size ? event->match.size - 1 : 0);

		if (last <= range_last) /* R3 */
			fh_vector_add(list) =
				(struct fh_extra){ part_of(*range, first, last), event };
	}
}

static void find_coalesced(struct fh_extra_list *list, const struct fh_range *range,
			   const struct fh_extra_table *table)
{
	const uint64_t range_last = range->offset + (range->last - range->first);

	for (size_t i = 0; i < table->coalesced_count; i++) {
		const struct fh_span *span = &table->coalesced[i];

		if (span->first <= range_last && span->last >= range->offset)
			fh_vector_add(list) = (struct fh_extra){
				part_of(*range, span->first, span->last), NULL
			};
	}
}

static const struct fh_extra_table *table_at(const struct fh_region *region,
					     enum fh_news_time time)
{
	const struct fh_extras *extras = region->links->extras;

	if (time == FH_NEWS_NOW || !fh_list_linked(&extras->changed_link))
		return fh_extras_table(region);
	return time == FH_NEWS_BEFORE ? extras->before : extras->after;
}

/* @flags: those of the range at that time. */
static void find_extras(struct fh_extra_list *list, const struct fh_range *range, uint32_t flags,
			enum fh_news_time time)
{
	const struct fh_extra_table *table;

	if (FH_LIKELY(!(flags & (FH_RANGE_EVENTFD | FH_RANGE_COALESCED))))
		return;
	table = table_at(range->region, time);
	if (!table)
		return;
	find_events(list, range, table);
	find_coalesced(list, range, table);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a == b ? 0 : a < b ? -1 : 1;
}

/* By address; of those at one place coalesced ranges first. 0: nothing can tell them apart. */
static int compare_extras(const void *left, const void *right)
{
	const struct fh_extra *a = left, *b = right;
	int order = compare_numbers(a->range.first, b->range.first);

	if (order == 0 && a->event && b->event)
		order = fh_eventfd_compare(&a->event->match, &b->event->match);
	if (order == 0)
		order = compare_numbers(a->event ? (uintptr_t)a->event->eventfd : 0,
					b->event ? (uintptr_t)b->event->eventfd : 0);
	if (order == 0)
		order = compare_numbers(a->range.last, b->range.last);
	if (order == 0)
		order = compare_numbers((uintptr_t)a->range.region, (uintptr_t)b->range.region);
	return order ? order : compare_numbers(a->range.offset, b->range.offset);
}

static void sort(struct fh_extra_list *list)
{
	if (list->count > 1)
		qsort(list->at, list->count, sizeof(*list->at), compare_extras);
}

/* What is in both leaves both. */
static void cancel(struct fh_extra_list *gone, struct fh_extra_list *come)
{
	size_t i = 0, j = 0, left_gone = 0, left_come = 0;

	while (i < gone->count || j < come->count) {
		const int order = i == gone->count ? 1 :
				  j == come->count ? -1 :
						     compare_extras(&gone->at[i], &come->at[j]);

		if (order < 0) {
			gone->at[left_gone++] = gone->at[i++];
		} else if (order > 0) {
			come->at[left_come++] = come->at[j++];
		} else {
			i++;
			j++;
		}
	}
	gone->count = left_gone;
	come->count = left_come;
}

void fh_news_find_extras(struct fh_topology *topology, struct fh_news *news,
			 enum fh_news_time old, enum fh_news_time new)
{
	struct fh_extra_list *gone = &topology->gone;
	struct fh_extra_list *come = &topology->come;

	gone->count = come->count = 0;
	for (size_t i = 0; i < news->removed_count; i++)
		find_extras(gone, &news->removed[i], news->removed[i].flags, old);
	for (size_t i = 0; i < news->added_count; i++)
		find_extras(come, &news->added[i], news->added[i].flags, new);
	for (size_t i = 0; i < news->reflagged_count; i++) {
		const struct fh_reflag *reflag = &news->reflagged[i];

		find_extras(gone, &reflag->range, reflag->before, old);
		find_extras(come, &reflag->range, reflag->range.flags, new);
	}
	if (gone->count + come->count > 0) {
		sort(gone);
		sort(come);
		cancel(gone, come);
	}
	news->gone = gone->at;
	news->gone_count = gone->count;
	news->come = come->at;
	news->come_count = come->count;
}
