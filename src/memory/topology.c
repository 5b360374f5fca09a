/* SPDX-License-Identifier: MIT */
/*
 * Transactions: the lock, and the record of what was touched. See topology.h.
 *
 * R5. Only a window that may reach a view is recorded: building a tree that no space shows records
 *     nothing, however long the transaction.
 * R6. A window names a region that has links: what has none is seen only through its container, and
 *     there the window is recorded. So the windows of a region that is disposed of in the same
 *     transaction can be found from it, and forgotten before its memory goes.
 */
#include "memory/topology.h"

#include "base/point.h"
#include "base/reaper.h"
#include "memory/space.h"

void fh_topology_init(struct fh_machine *m)
{
	struct fh_topology *topology = fh_new(struct fh_topology);

	topology->machine = m;
	topology->graph_epoch = 1;
	fh_lock_init(&topology->lock);
	fh_lock_init(&m->room_lock);
	fh_list_init(&m->room_due);
	fh_list_init(&topology->spaces);
	fh_list_init(&topology->sets);
	fh_list_init(&topology->rams);
	fh_list_init(&topology->gathering);
	fh_list_init(&topology->extras_changed);
	fh_list_init(&topology->unresolved);
	fh_list_init(&topology->leaving);
	fh_list_init(&topology->departing);
	fh_list_init(&topology->joining);
	fh_list_init(&topology->dirty);
	fh_list_init(&topology->switched);
	fh_view_pool_init(&topology->pool);
	m->topology = topology;
}

static void topology_free_scratch(struct fh_topology *topology)
{
	fh_vector_free(&topology->windows);
	fh_vector_free(&topology->changes.removed);
	fh_vector_free(&topology->changes.added);
	fh_vector_free(&topology->changes.reflagged);
	fh_vector_free(&topology->difference.removed);
	fh_vector_free(&topology->difference.added);
	fh_vector_free(&topology->difference.reflagged);
	fh_vector_free(&topology->unpins);
	fh_vector_free(&topology->appeared);
	fh_vector_free(&topology->stack);
	fh_vector_free(&topology->old);
	fh_vector_free(&topology->rendered);
	fh_vector_free(&topology->gone);
	fh_vector_free(&topology->come);
	fh_vector_free(&topology->sections);
	fh_climb_free(&topology->climb);
	fh_render_free(&topology->render);
}

void fh_topology_fini(struct fh_machine *m)
{
	struct fh_topology *topology = m->topology;

	fh_assert(topology->depth == 0);
	fh_assert(fh_list_empty(&topology->spaces));
	fh_assert(fh_list_empty(&topology->sets));
	fh_assert(fh_list_empty(&topology->rams));
	/* Relaxed: nobody else has the machine. */
	fh_assert(!atomic_load_explicit(&topology->flushers, memory_order_relaxed));
	fh_retire_fini(topology);
	topology_free_scratch(topology);
	fh_view_pool_destroy(&topology->pool);
	m->topology = NULL;
	fh_free(topology);
}

/* --- Transactions --------------------------------------------------------------------------- */

/* The analysis of locks cannot follow one that is taken by the outermost only. */
static void topology_enter(struct fh_topology *topology, struct fh_thread *t)
	FH_NO_THREAD_SAFETY_ANALYSIS
{
	if (fh_lock_owner(&topology->lock) != t) {
		fh_thread_hold(t, FH_HELD_TOPOLOGY);
		fh_lock_acquire_as(&topology->lock, t);
	}
	topology->depth++;
}

static void topology_leave(struct fh_topology *topology, struct fh_thread *t)
	FH_NO_THREAD_SAFETY_ANALYSIS
{
	if (--topology->depth > 0)
		return;
	fh_lock_release_as(&topology->lock, t);
	fh_thread_unhold(t, FH_HELD_TOPOLOGY);
}

void fh_topology_begin(struct fh_machine *m)
{
	struct fh_thread *t = fh_thread_self();

	/* Nothing is edited from within a listener, a leaf in the order of locks. */
	fh_assert(!fh_thread_holds(t, FH_HELD_LISTENER));
	topology_enter(m->topology, t);
}

void fh_topology_join(struct fh_machine *m)
{
	struct fh_thread *t = fh_thread_self();

	fh_assert(!fh_thread_holds(t, FH_HELD_LISTENER) || fh_topology_is_mine(m));
	topology_enter(m->topology, t);
}

enum fh_code fh_topology_check_context(struct fh_error *err)
{
	if (FH_UNLIKELY(fh_thread_holds(fh_thread_self(), FH_HELD_LISTENER)))
		return fh_error_set(err, FH_EPERM, "nothing is edited from within a listener");
	return FH_OK;
}

static bool topology_is_changed(const struct fh_topology *topology)
{
	return topology->windows.count > 0 || !fh_list_empty(&topology->unresolved) ||
	       !fh_list_empty(&topology->leaving) || !fh_list_empty(&topology->extras_changed) ||
	       !fh_list_empty(&topology->departing) || !fh_list_empty(&topology->joining) ||
	       topology->log_starting;
}

void fh_topology_commit(struct fh_machine *m)
{
	struct fh_topology *topology = m->topology;
	struct fh_thread *t = fh_thread_self();

	fh_assert(fh_lock_owner(&topology->lock) == t);
	if (topology->depth > 1 || !topology_is_changed(topology)) {
		topology_leave(topology, t);
		return;
	}
	fh_publish_run(topology);
	topology_leave(topology, t);
	FH_POINT("commit.released");
	/* Who edits faster than grace periods pass waits here, if it is one who may. */
	if (FH_UNLIKELY(fh_reaper_over_limit(m->reaper)) && fh_thread_may_wait())
		fh_reaper_throttle(m->reaper);
}

void fh_topology_look_begin(struct fh_machine *m)
{
	topology_enter(m->topology, fh_thread_self());
}

void fh_topology_look_end(struct fh_machine *m)
{
	topology_leave(m->topology, fh_thread_self());
}

/* The public names, for transactions of the embedder's. */

void fh_edit_begin(struct fh_machine *m)
{
	fh_topology_begin(m);
}

void fh_edit_commit(struct fh_machine *m)
{
	fh_topology_commit(m);
}

/* --- Windows -------------------------------------------------------------------------------- */

/* Anything above it may show it. */
static bool region_has_upper(const struct fh_region *region)
{
	return region->container || region->links->view_set ||
	       !fh_list_empty(&region->links->aliases);
}

static bool spans_meet(const struct fh_window *window, const struct fh_span *span)
{
	return span->first <= fh_add_clipped(window->last, 1) &&
	       window->first <= fh_add_clipped(span->last, 1);
}

void fh_topology_touch(struct fh_machine *m, struct fh_region *region, uint64_t first,
		       uint64_t last)
{
	struct fh_windows *windows = &m->topology->windows;
	struct fh_span span = { first, last };

	while (!region->links) { /* R6 */
		if (!fh_climb_to_container(region, &span))
			return;
		region = region->container;
	}
	if (!region_has_upper(region)) /* R5 */
		return;

	struct fh_links *links = region->links;
	struct fh_window *latest = links->touched ? &windows->at[links->touched - 1] : NULL;

	/* The old and the new place of what moves a little, over and over. */
	if (latest && spans_meet(latest, &span)) {
		latest->first = latest->first < span.first ? latest->first : span.first;
		latest->last = latest->last > span.last ? latest->last : span.last;
		return;
	}
	fh_vector_add(windows) =
		(struct fh_window){ region, span.first, span.last, links->touched };
	fh_assert(windows->count < UINT32_MAX);
	links->touched = (uint32_t)windows->count;
}

void fh_topology_forget(struct fh_region *region)
{
	struct fh_windows *windows = &region->object.machine->topology->windows;

	if (!region->links)
		return;
	for (uint32_t i = region->links->touched; i != 0; i = windows->at[i - 1].older)
		windows->at[i - 1].region = NULL;
	region->links->touched = 0;
}

/* --- Why is it alive ------------------------------------------------------------------------ */

static uint32_t set_count_ranges(const struct fh_view_set *set, const struct fh_object *object)
{
	struct fh_view_cursor cursor;
	struct fh_range range;
	uint32_t count = 0;

	fh_view_cursor_init(&cursor, fh_view_set_root(set), 0);
	while (fh_view_cursor_next(&cursor, &range))
		count += &range.region->object == object;
	return count;
}

uint32_t fh_topology_explain(struct fh_object *object, FILE *out)
{
	struct fh_machine *m = object->machine;
	uint32_t total = 0;

	fh_topology_look_begin(m);
	fh_list_for_each_entry(set, &m->topology->sets, struct fh_view_set, all_link) {
		const uint32_t count = set_count_ranges(set, object);

		total += count;
		if (count == 0)
			continue;
		fprintf(out, "  shown in %u range%s of", count, count == 1 ? "" : "s");
		fh_list_for_each_entry(space, &set->spaces, struct fh_space, set_link) {
			FH_CLEANUP(fh_freep) char *path = fh_object_path_dup(&space->object);

			fprintf(out, " %s", path);
		}
		fputc('\n', out);
	}
	fh_topology_look_end(m);
	return total;
}
