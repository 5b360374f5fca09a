/* SPDX-License-Identifier: MIT */
/*
 * Coalesced ranges, and the listeners that are asked for what they keep of the stores there.
 *
 * R1. Those who can be asked stand in an array that never changes: a new one is published when a
 *     listener joins or leaves, and the old one goes after a grace period, as a listener does that
 *     left.
 * R2. To be asked is a callback of the listener's owner, in a frame of the chain: so the owner's
 *     drain waits for it, and nobody is asked whose owner is hidden.
 * R3. The stores that are brought reach the same registers. They ask nobody: t->flushing.
 * R4. Which accesses ask is a flag of the range, FH_RANGE_FLUSH: extras.h R5.
 */
#include "base/rcu.h"
#include "memory/chain.h"
#include "memory/dispatch.h"
#include "memory/extras.h"

/* --- Ranges --------------------------------------------------------------------------------- */

/* False, and no transaction: *ret_code says why. */
static bool edit_begin(struct fh_region *region, enum fh_code *ret_code)
{
	if (!region) {
		*ret_code = FH_EDEAD;
		return false;
	}
	*ret_code = fh_topology_check_context(NULL);
	if (*ret_code != FH_OK)
		return false;
	fh_topology_begin(region->object.machine);
	if (fh_object_has(&region->object, FH_OBJECT_DETACHED))
		*ret_code = FH_EDEAD;
	else if (!fh_region_has_callbacks(region))
		*ret_code = FH_ETYPE;
	else
		return true;
	fh_topology_commit(region->object.machine);
	return false;
}

static bool is_inside(const struct fh_region *region, uint64_t offset, uint64_t size)
{
	return region->size != 0 && offset <= fh_size_last(region->size) &&
	       fh_size_last(size) <= fh_size_last(region->size) - offset;
}

enum fh_code fh_region_add_coalesced(struct fh_region *region, uint64_t offset, uint64_t size)
{
	enum fh_code code;

	if (!edit_begin(region, &code))
		return code;
	if (size == 0) {
		code = FH_EINVAL;
	} else if (!is_inside(region, offset, size)) {
		code = FH_ERANGE;
	} else {
		struct fh_extras *extras = fh_extras_of(region);

		fh_vector_add(&extras->coalesced) =
			(struct fh_span){ offset, offset + fh_size_last(size) };
		fh_spans_merge(&extras->coalesced);
		fh_extras_changed(extras);
	}
	fh_topology_commit(region->object.machine);
	return code;
}

/* In a transaction or a listener there are no accesses. */
static bool may_ask(const struct fh_thread *t)
{
	return !fh_thread_holds(t, FH_HELD_TOPOLOGY) && !fh_thread_holds(t, FH_HELD_LISTENER);
}

enum fh_code fh_region_clear_coalesced(struct fh_region *region)
{
	enum fh_code code;

	if (region && may_ask(fh_thread_self()))
		fh_machine_flush_coalesced(region->object.machine);
	if (!edit_begin(region, &code))
		return code == FH_ETYPE ? FH_OK : code;
	if (region->links && region->links->extras && region->links->extras->coalesced.count > 0) {
		region->links->extras->coalesced.count = 0;
		fh_extras_changed(region->links->extras);
	}
	fh_topology_commit(region->object.machine);
	return FH_OK;
}

enum fh_code fh_region_set_flush_coalesced(struct fh_region *region, bool flush)
{
	enum fh_code code;

	if (!edit_begin(region, &code))
		return code;
	if ((region->links && region->links->extras && region->links->extras->flush) != flush) {
		struct fh_extras *extras = fh_extras_of(region);

		extras->flush = flush;
		fh_extras_changed(extras);
	}
	fh_topology_commit(region->object.machine);
	return FH_OK;
}

/* --- Who is asked --------------------------------------------------------------------------- */

struct fh_flushers {
	struct fh_deferred retire;
	size_t count;
	struct fh_flusher at[];
};

static void flushers_retired(struct fh_deferred *deferred)
{
	fh_free(fh_container_of(deferred, struct fh_flushers, retire));
}

static struct fh_flushers *flushers_new(size_t count)
{
	struct fh_flushers *flushers = NULL;

	if (count > 0) {
		flushers = fh_alloc(sizeof(*flushers) + count * sizeof(flushers->at[0]));
		flushers->count = 0;
	}
	return flushers;
}

/* R1. */
static void flushers_replace(struct fh_topology *topology, struct fh_flushers *new)
{
	/* Release: pairs with the acquire in flushers_now(). */
	struct fh_flushers *old =
		atomic_exchange_explicit(&topology->flushers, new, memory_order_acq_rel);

	if (!old)
		return;
	old->retire.run = flushers_retired;
	fh_reaper_defer(topology->machine->reaper, &old->retire,
			sizeof(*old) + old->count * sizeof(old->at[0]));
}

static const struct fh_flushers *flushers_now(struct fh_topology *topology)
{
	/* Acquire: pairs with the release in flushers_replace(). */
	return atomic_load_explicit(&topology->flushers, memory_order_acquire);
}

void fh_coalesced_add_flusher(struct fh_topology *topology, const struct fh_flusher *flusher)
{
	const struct fh_flushers *old = flushers_now(topology);
	struct fh_flushers *new = flushers_new((old ? old->count : 0) + 1);

	for (size_t i = 0; old && i < old->count; i++)
		new->at[new->count++] = old->at[i];
	new->at[new->count++] = *flusher;
	flushers_replace(topology, new);
}

void fh_coalesced_remove_flusher(struct fh_topology *topology, const struct fh_object *listener)
{
	const struct fh_flushers *old = flushers_now(topology);
	struct fh_flushers *new = flushers_new(old->count - 1);

	for (size_t i = 0; i < old->count; i++)
		if (old->at[i].listener != listener)
			new->at[new->count++] = old->at[i];
	flushers_replace(topology, new);
}

/* Where the listener stands now, or -1. */
static size_t find(const struct fh_flushers *flushers, const struct fh_object *listener)
{
	for (size_t i = 0; flushers && i < flushers->count; i++)
		if (flushers->at[i].listener == listener)
			return i;
	return SIZE_MAX;
}

/* Index of the one to be asked after this, whose index was @at. */
static size_t ask(struct fh_thread *t, struct fh_topology *topology,
		  const struct fh_flushers **flushers, size_t at)
{
	const struct fh_flusher one = (*flushers)->at[at];
	const uint64_t seen = t->left;
	struct fh_frame frame;

	if (!fh_object_is_shown(one.owner) ||
	    fh_chain_enter(t, &frame, NULL, one.owner, one.listener, true) != FH_ENGAGED)
		return at + 1;
	one.flush(one.state);
	if (t->left != seen) { /* the array may be gone, but the listener is pinned by the frame */
		size_t now;

		*flushers = flushers_now(topology);
		now = find(*flushers, one.listener);
		at = now == SIZE_MAX ? at : now + 1;
	} else {
		at++;
	}
	fh_chain_leave(t, &frame);
	return at;
}

void fh_coalesced_flush(struct fh_thread *t, struct fh_machine *m)
{
	const struct fh_flushers *flushers = flushers_now(m->topology);

	if (!flushers || t->flushing) /* R3 */
		return;
	t->flushing = true;
	for (size_t at = 0; flushers && at < flushers->count;)
		at = ask(t, m->topology, &flushers, at);
	t->flushing = false;
}

void fh_machine_flush_coalesced(struct fh_machine *m)
{
	struct fh_thread *t = fh_thread_self();

	fh_chain_assert_may_access(t);
	if (!flushers_now(m->topology))
		return;
	fh_rcu_read_begin(t);
	fh_coalesced_flush(t, m);
	fh_chain_settle(t);
	fh_rcu_read_end(t);
}
