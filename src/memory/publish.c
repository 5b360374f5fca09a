/* SPDX-License-Identifier: MIT */
/*
 * Commit: from what was touched to what readers see. R1 to R4: topology.h.
 *
 * For each view set, each window that changed is rendered again and compared with what the view
 * shows there; only what is different goes into the new version of the view.
 *
 * R5. The result is what rendering the whole set anew would give. Beyond the edges of a window
 *     nothing has changed, so ranges that reach over an edge are cut there, and joined again with
 *     what was rendered where they still fit. A range of a region that is never to be joined does
 *     not say whether what lies beyond the edge is the same showing of the region or another one;
 *     so the window is widened to all of that range first, and then ends where a range did end.
 * R6. A range that is the same as before is no change: nobody is told of it, and its pin stays.
 * R7. Windows of one set are done from left to right, each in the version that the ones before it
 *     left.
 * R8. A range of which only internal flags differ goes into the new version like any other, so that
 *     what is remembered of its leaf ends; but it is neither removed nor added, and its pin stays.
 *     Who changes such a flag touches all that the region shows, so that of one region all ranges
 *     of a commit are rendered with the same flags, and none is noted here and removed further
 *     right.
 */
#include "base/point.h"
#include "memory/dirty.h"
#include "memory/extras.h"
#include "memory/space.h"
#include "memory/topology.h"

void fh_view_set_dirty(struct fh_topology *topology, struct fh_view_set *set)
{
	if (!fh_list_linked(&set->dirty_link))
		fh_list_add_last(&topology->dirty, &set->dirty_link);
}

/* --- One window: what it shows now ---------------------------------------------------------- */

/* The view's ranges that have an address in the window or touch it, to topology->old. */
static void window_find_old(struct fh_topology *topology, const struct fh_view_node *root,
			    const struct fh_span *window)
{
	struct fh_view_cursor cursor;
	struct fh_range range;

	topology->old.count = 0;
	fh_view_cursor_init(&cursor, root, window->first > 0 ? window->first - 1 : 0);
	while (fh_view_cursor_next(&cursor, &range) &&
	       range.first <= fh_add_clipped(window->last, 1))
		fh_vector_add(&topology->old) = range;
}

/* What an old range has left of the window. False: nothing. */
static bool part_left(const struct fh_ranges *old, const struct fh_span *window,
		      struct fh_range *ret)
{
	if (old->count == 0 || old->at[0].first >= window->first)
		return false;
	*ret = old->at[0];
	if (ret->last >= window->first)
		ret->last = window->first - 1;
	return true;
}

static bool part_right(const struct fh_ranges *old, const struct fh_span *window,
		       struct fh_range *ret)
{
	if (old->count == 0 || fh_vector_last(old).last <= window->last)
		return false;
	*ret = fh_vector_last(old);
	if (ret->first <= window->last) {
		ret->offset += window->last + 1 - ret->first;
		ret->first = window->last + 1;
	}
	return true;
}

static bool is_unclear(const struct fh_range *a, const struct fh_range *b)
{
	return !a->region->mergeable && fh_range_continues(a, b);
}

/*
 * Widens the window where its edge cuts what may be one showing of an unmergeable region (R5), at
 * each side once at most. True: it is to be rendered again.
 */
static bool window_widen(struct fh_topology *topology, struct fh_span *window, bool widened[2])
{
	const struct fh_ranges *rendered = &topology->rendered;
	struct fh_span wider = *window;
	struct fh_range part;

	if (rendered->count < 2)
		return false;
	if (!widened[0] && part_left(&topology->old, window, &part) &&
	    is_unclear(&part, &rendered->at[1])) {
		wider.first = part.first;
		widened[0] = true;
	}
	if (!widened[1] && part_right(&topology->old, window, &part) &&
	    is_unclear(&fh_vector_last(rendered), &part)) {
		wider.last = part.last;
		widened[1] = true;
	}
	if (wider.first == window->first && wider.last == window->last)
		return false;
	*window = wider;
	return true;
}

/*
 * Adds what old ranges have beyond the window, joined where it fits. Returns where the result
 * begins.
 */
static size_t window_join(struct fh_topology *topology, const struct fh_span *window)
{
	struct fh_ranges *rendered = &topology->rendered;
	struct fh_range left, right;
	size_t begin = 1;

	if (part_left(&topology->old, window, &left)) {
		if (rendered->count > 1 && fh_range_joins(&left, &rendered->at[1])) {
			rendered->at[1].first = left.first;
			rendered->at[1].offset = left.offset;
		} else {
			rendered->at[0] = left;
			begin = 0;
		}
	}
	if (part_right(&topology->old, window, &right)) {
		if (rendered->count > begin && fh_range_joins(&fh_vector_last(rendered), &right))
			fh_vector_last(rendered).last = right.last;
		else
			fh_vector_add(rendered) = right;
	}
	return begin;
}

/*
 * What the view shows in the window and around it, to topology->old, and what it has to show there,
 * to topology->rendered. Both cover the same addresses. Returns where the latter begins.
 */
static size_t window_render(struct fh_topology *topology, const struct fh_view_set *set,
			    const struct fh_view_node *root, struct fh_span window)
{
	bool widened[2] = { false, false };

	do {
		window_find_old(topology, root, &window);
		topology->rendered.count = 0;
		/* Room for what is left of it. */
		fh_vector_add(&topology->rendered) = (struct fh_range){ 0 };
		fh_render_window(&topology->render, set->region, window.first, window.last,
				 &topology->rendered);
	} while (window_widen(topology, &window, widened));
	return window_join(topology, &window);
}

/* --- One window: what is different ---------------------------------------------------------- */

/* Notes what was removed; what an earlier window of the commit added was never there (R7). */
static void note_removed(struct fh_changes *changes, const struct fh_view_set *set,
			 const struct fh_range *range)
{
	if (changes->added.count > set->added &&
	    fh_range_equal(&fh_vector_last(&changes->added), range))
		changes->added.count--;
	else
		fh_vector_add(&changes->removed) = *range;
}

/*
 * The range of the row that shows the same as @range, or NULL; *at is where the search for one
 * further left has come to.
 */
static const struct fh_range *run_find(const struct fh_range *row, size_t count,
				       const struct fh_range *range, size_t *at)
{
	while (*at < count && row[*at].first < range->first)
		++*at;
	return *at < count && fh_range_shows_same(&row[*at], range) ? &row[*at] : NULL;
}

/* Replaces a row of old ranges by a row of new ones, of which none is the same. */
static void apply_run(struct fh_topology *topology, struct fh_view_set *set,
		      struct fh_view_edit *edit, const struct fh_range *old, size_t old_count,
		      const struct fh_range *new, size_t new_count)
{
	uint64_t first = UINT64_MAX;
	uint64_t last = 0;
	size_t at = 0;

	if (old_count > 0) {
		first = old[0].first;
		last = old[old_count - 1].last;
	}
	if (new_count > 0) {
		first = new[0].first < first ? new[0].first : first;
		last = new[new_count - 1].last > last ? new[new_count - 1].last : last;
	}
	fh_view_edit_replace(edit, first, last, new, new_count);
	for (size_t i = 0; i < old_count; i++)
		if (!run_find(new, new_count, &old[i], &at))
			note_removed(&topology->changes, set, &old[i]);
	at = 0;
	for (size_t i = 0; i < new_count; i++) {
		const struct fh_range *was = run_find(old, old_count, &new[i], &at);

		if (was) /* R8 */
			fh_vector_add(&topology->changes.reflagged) =
				(struct fh_reflag){ new[i], was->flags };
		else
			fh_vector_add(&topology->changes.added) = new[i];
	}
}

static void window_apply(struct fh_topology *topology, struct fh_view_set *set,
			 struct fh_view_edit *edit, size_t begin)
{
	const struct fh_range *old = topology->old.at;
	const struct fh_range *old_end = fh_vector_from(&topology->old, topology->old.count);
	const struct fh_range *new = topology->rendered.at + begin;
	const struct fh_range *new_end = topology->rendered.at + topology->rendered.count;

	while (old < old_end || new < new_end) {
		const struct fh_range *old_run = old;
		const struct fh_range *new_run = new;

		while (old < old_end || new < new_end) {
			if (old < old_end && new < new_end && fh_range_equal(old, new))
				break;
			const bool old_first =
				old < old_end && (new == new_end || old->first <= new->first);
			const bool new_first =
				new < new_end && (old == old_end || new->first <= old->first);

			if (old_first)
				old++;
			if (new_first)
				new++;
		}
		if (old > old_run || new > new_run)
			apply_run(topology, set, edit, old_run, (size_t)(old - old_run), new_run,
				  (size_t)(new - new_run));
		if (old < old_end) { /* the same in both (R6) */
			old++;
			new++;
		}
	}
}

/* --- View sets ------------------------------------------------------------------------------ */

static void set_update(struct fh_topology *topology, struct fh_view_set *set)
{
	struct fh_view_edit edit;

	set->removed = topology->changes.removed.count;
	set->added = topology->changes.added.count;
	set->reflagged = topology->changes.reflagged.count;
	set->old_root = fh_view_set_root(set);
	if (set->fresh)
		fh_vector_add(&set->windows) = (struct fh_span){ 0, UINT64_MAX };
	fh_spans_merge(&set->windows);
	fh_view_edit_begin(&edit, &topology->pool, set->old_root);
	for (size_t i = 0; i < set->windows.count; i++) {
		const size_t begin =
			window_render(topology, set, edit.root, set->windows.at[i]);

		window_apply(topology, set, &edit, begin);
	}
	set->new_root = fh_view_edit_end(&edit);
	fh_view_retired_join(&topology->retired, &edit.retired);
	set->removed_count = topology->changes.removed.count - set->removed;
	set->added_count = topology->changes.added.count - set->added;
	set->reflagged_count = topology->changes.reflagged.count - set->reflagged;
	if (set->fresh) {
		set->made = topology->commits;
		set->made_of = set->added_count;
	}
	fh_vector_reset(&set->windows);
}

/* The nodes of a set that no space shows any more; its ranges are unpinned from the old root. */
static void set_bury(struct fh_topology *topology, struct fh_view_set *set)
{
	struct fh_view_edit edit;

	set->old_root = fh_view_set_root(set);
	fh_view_edit_begin(&edit, &topology->pool, set->old_root);
	fh_view_edit_replace(&edit, 0, UINT64_MAX, NULL, 0);
	fh_view_edit_end(&edit);
	fh_view_retired_join(&topology->retired, &edit.retired);
	fh_vector_free(&set->windows);
}

/* --- All of it ------------------------------------------------------------------------------ */

static void publish(struct fh_topology *topology)
{
	fh_view_retired_seal(&topology->retired);
	FH_POINT("commit.publish");
	fh_extras_publish(topology);
	/* Release, all: pair with the acquires of readers (space.h R2, fh_view_set_root()). */
	fh_list_for_each_entry(set, &topology->dirty, struct fh_view_set, dirty_link) {
		if (set->new_root != set->old_root)
			atomic_store_explicit(&set->root, set->new_root, memory_order_release);
	}
	fh_list_for_each_entry(space, &topology->switched, struct fh_space, switched_link) {
		struct fh_view_set *set = space->shows;

		atomic_store_explicit(&space->set, set, memory_order_release);
		atomic_store_explicit(&space->view_id, set ? set->id : 0, memory_order_release);
	}
	/* Release: pairs with the acquire in cached.c: who sees it sees what the spaces show. */
	if (!fh_list_empty(&topology->switched))
		atomic_fetch_add_explicit(&topology->switches, 1, memory_order_release);
	FH_POINT("commit.published");
}

static void forget_all(struct fh_topology *topology)
{
	struct fh_list *node;

	while ((node = fh_list_pop(&topology->dirty)))
		fh_list_entry(node, struct fh_view_set, dirty_link)->fresh = false;
	while ((node = fh_list_pop(&topology->switched)))
		fh_list_entry(node, struct fh_space, switched_link)->showed = NULL;
	fh_vector_reset(&topology->changes.removed);
	fh_vector_reset(&topology->changes.added);
	fh_vector_reset(&topology->changes.reflagged);
	fh_vector_reset(&topology->difference.removed);
	fh_vector_reset(&topology->difference.added);
	fh_vector_reset(&topology->difference.reflagged);
	fh_vector_reset(&topology->old);
	fh_vector_reset(&topology->rendered);
	fh_vector_reset(&topology->appeared);
	fh_vector_reset(&topology->gone);
	fh_vector_reset(&topology->come);
	fh_vector_reset(&topology->sections);
	fh_climb_reset(&topology->climb);
	fh_render_reset(&topology->render);
}

void fh_publish_run(struct fh_topology *topology)
{
	topology->commits++;
	fh_resolve_run(topology);
	fh_climb_windows(topology);
	fh_list_for_each_entry(set, &topology->dirty, struct fh_view_set, dirty_link)
		set_update(topology, set);
	for (struct fh_view_set *set = topology->dead; set; set = set->dead_next)
		set_bury(topology, set);
	fh_retire_pins(topology); /* before anybody sees what appeared (L3) */
	fh_extras_make(topology);
	if (FH_UNLIKELY(topology->preparers > 0))
		fh_listeners_prepare(topology);
	publish(topology);
	fh_listeners_tell(topology);
	fh_extras_told(topology);
	forget_all(topology);
	fh_dirty_committed(topology);
	FH_POINT("commit.retire");
	fh_retire_run(topology); /* last: from here on it may be gone */
}
