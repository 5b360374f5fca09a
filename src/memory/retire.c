/* SPDX-License-Identifier: MIT */
/*
 * What a commit leaves behind: pins of ranges that appeared, and for the reaper, after a grace
 * period, all that was replaced (L3).
 *
 * R1. One record for each commit, however much it retires. Records are used again: the reaper gives
 *     them back on a stack that the next commit that has none takes whole.
 * R2. A region that a commit takes out of one place of a view and shows at another keeps the pin
 *     that it has.
 */
#include <string.h>

#include "base/point.h"
#include "base/reaper.h"
#include "memory/space.h"
#include "memory/topology.h"

enum {
	UNPINS_INLINE = 8, /* of a record; more are on the heap */
	NET_LIMIT = 256,   /* pairs of ranges that are worth a look for R2 */
};

struct fh_retirement {
	struct fh_deferred deferred;
	struct fh_topology *topology;
	struct fh_retirement *next; /* of those not in use */
	struct fh_view_retired nodes;
	struct fh_view_set *dead;
	struct fh_object **unpins; /* here or on the heap */
	size_t unpin_count;
	struct fh_object *here[UNPINS_INLINE];
};

/* --- Pins ----------------------------------------------------------------------------------- */

static void pin(struct fh_object *object)
{
	/* Readers will find it: its memory stays for a grace period after its last pin. */
	if (!fh_object_has(object, FH_OBJECT_FINDABLE))
		fh_object_set_flags(object, FH_OBJECT_FINDABLE);
	fh_object_hold(object);
}

/* What only changed place keeps its pin (R2): takes such pairs out of both lists. */
static void net(struct fh_objects *appeared, struct fh_objects *unpins, size_t begin)
{
	for (size_t i = begin; i < unpins->count;) {
		size_t j = 0;

		while (j < appeared->count && appeared->at[j] != unpins->at[i])
			j++;
		if (j == appeared->count) {
			i++;
			continue;
		}
		appeared->at[j] = appeared->at[--appeared->count];
		unpins->at[i] = unpins->at[--unpins->count];
	}
}

void fh_retire_pins(struct fh_topology *topology)
{
	const struct fh_ranges *removed = &topology->changes.removed;
	const struct fh_ranges *added = &topology->changes.added;
	struct fh_objects *unpins = &topology->unpins;
	const size_t begin = unpins->count;

	for (size_t i = 0; i < removed->count; i++)
		fh_vector_add(unpins) = &removed->at[i].region->object;
	if (removed->count * added->count > NET_LIMIT || removed->count == 0) {
		for (size_t i = 0; i < added->count; i++)
			pin(&added->at[i].region->object);
		return;
	}
	struct fh_objects *appeared = &topology->appeared;

	appeared->count = 0;
	for (size_t i = 0; i < added->count; i++)
		fh_vector_add(appeared) = &added->at[i].region->object;
	net(appeared, unpins, begin);
	for (size_t i = 0; i < appeared->count; i++)
		pin(appeared->at[i]);
}

/* --- After the grace period ----------------------------------------------------------------- */

/* A dead set's ranges, and itself. On the reaper: nobody else knows it any more. */
static void set_free(struct fh_view_set *set)
{
	struct fh_view_cursor cursor;
	struct fh_range range;

	fh_view_cursor_init(&cursor, set->old_root, 0);
	while (fh_view_cursor_next(&cursor, &range))
		fh_object_unhold(&range.region->object);
	fh_free(set);
}

static void retirement_run(struct fh_deferred *deferred)
{
	struct fh_retirement *record = fh_container_of(deferred, struct fh_retirement, deferred);
	struct fh_topology *topology = record->topology;

	while (record->dead) {
		struct fh_view_set *set = record->dead;

		record->dead = set->dead_next;
		set_free(set);
	}
	fh_view_pool_give(&topology->pool, &record->nodes);
	for (size_t i = 0; i < record->unpin_count; i++)
		fh_object_unhold(record->unpins[i]);
	if (record->unpins != record->here)
		fh_free(record->unpins);
	record->next = atomic_load_explicit(&topology->returned, memory_order_relaxed);
	/* Release: pairs with the acquire in retirement_take(). */
	while (!atomic_compare_exchange_weak_explicit(&topology->returned, &record->next, record,
						      memory_order_release, memory_order_relaxed))
		;
}

/* --- At commit ------------------------------------------------------------------------------ */

static struct fh_retirement *retirement_take(struct fh_topology *topology)
{
	struct fh_retirement *record = topology->retirements;

	if (!record) /* Acquire: pairs with the release in retirement_run(). */
		record = atomic_exchange_explicit(&topology->returned, NULL, memory_order_acquire);
	if (!record)
		record = fh_new(struct fh_retirement);
	topology->retirements = record->next;
	record->next = NULL;
	return record;
}

/* Moves the list of what to unpin to the record; returns the bytes that it takes there. */
static size_t retirement_take_unpins(struct fh_retirement *record, struct fh_objects *unpins)
{
	const size_t bytes = unpins->count * sizeof(*unpins->at);

	record->unpins = record->here;
	record->unpin_count = unpins->count;
	if (unpins->count > UNPINS_INLINE)
		record->unpins = fh_alloc(bytes);
	if (bytes > 0)
		memcpy(record->unpins, unpins->at, bytes);
	fh_vector_reset(unpins);
	return record->unpins == record->here ? 0 : bytes;
}

void fh_retire_run(struct fh_topology *topology)
{
	struct fh_retirement *record;
	size_t bytes;

	if (topology->retired.count == 0 && topology->unpins.count == 0 && !topology->dead)
		return;
	record = retirement_take(topology);
	record->topology = topology;
	record->deferred.run = retirement_run;
	record->nodes = topology->retired;
	record->dead = topology->dead;
	topology->retired = (struct fh_view_retired){ 0 };
	topology->dead = NULL;
	bytes = sizeof(*record) + record->nodes.bytes;
	bytes += retirement_take_unpins(record, &topology->unpins);
	for (const struct fh_view_set *set = record->dead; set; set = set->dead_next)
		bytes += sizeof(*set);
	fh_reaper_defer(topology->machine->reaper, &record->deferred, bytes);
}

static void free_all(struct fh_retirement *record)
{
	while (record) {
		struct fh_retirement *next = record->next;

		fh_free(record);
		record = next;
	}
}

void fh_retire_fini(struct fh_topology *topology)
{
	free_all(topology->retirements);
	/* Acquire: pairs with the release in retirement_run(). */
	free_all(atomic_load_explicit(&topology->returned, memory_order_acquire));
}
