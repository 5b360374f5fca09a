/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging: who logs what, and the marks. See dirty.h for R1 to R5; taking bits is
 * dirty-snapshot.c's.
 *
 * R6. What a region shows as logged (log_mask) is what was asked for it alone (log_own), or for the
 *     machine. It changes under the topology lock, in a transaction which touches all that the
 *     region shows (publish.c R8).
 * R7. A log is replaced at once, the flags follow at the commit. Meanwhile marks are made that
 *     nobody relies on, or none where none is asked for.
 */
#include "memory/dirty.h"

#include <inttypes.h>

#include "base/point.h"
#include "base/rcu.h"
#include "memory/space.h"
#include "memory/topology.h"

/* --- Bitmaps -------------------------------------------------------------------------------- */

/* Under the topology lock, in a transaction. */
static struct fh_dirty_map *map_new(const struct fh_ram_region *ram)
{
	const uint64_t last = fh_size_last(ram->capacity);
	const uint64_t pages = ram->capacity ? last / FH_DIRTY_PAGE + 1 : 0;
	struct fh_dirty_map *map =
		fh_try_zalloc(1, sizeof(*map) + (pages + 63) / 64 * sizeof(map->words[0]));

	if (!map)
		return NULL;
	map->pages = pages;
	map->since = ram->region.object.machine->topology->commits + 1;
	return map;
}

static size_t map_bytes(const struct fh_dirty_map *map)
{
	return sizeof(*map) + map->pages / 8;
}

/* --- Completion (R4) ------------------------------------------------------------------------ */

/*
 * Commits are numbered. What was started until one of them is complete when a grace period has
 * passed since that one was published.
 */
struct completion {
	struct fh_deferred deferred;
	struct fh_topology *topology;
	uint64_t commit;
};

static void complete_until(struct fh_topology *topology, uint64_t commit)
{
	/* Acquire: the number passes on what came before it was set. */
	uint64_t known = atomic_load_explicit(&topology->log_complete, memory_order_acquire);

	/* Release: pairs with the acquire in fh_dirty_is_complete(). */
	while (known < commit &&
	       !atomic_compare_exchange_weak_explicit(&topology->log_complete, &known, commit,
						      memory_order_acq_rel, memory_order_acquire))
		;
}

static void completion_run(struct fh_deferred *deferred)
{
	struct completion *completion = fh_container_of(deferred, struct completion, deferred);

	complete_until(completion->topology, completion->commit);
	fh_free(completion);
}

void fh_dirty_committed(struct fh_topology *topology)
{
	struct completion *completion;

	if (FH_LIKELY(!topology->log_starting))
		return;
	topology->log_starting = false;
	completion = fh_new(struct completion);
	completion->deferred.run = completion_run;
	completion->topology = topology;
	completion->commit = topology->commits;
	fh_reaper_defer(topology->machine->reaper, &completion->deferred, sizeof(*completion));
}

/* Until everything is complete that was started until @commit, for those who may wait. */
static void wait_complete(struct fh_topology *topology, uint64_t commit)
{
	FH_POINT("dirty.started");
	/* Acquire: pairs with the release in complete_until(). */
	if (atomic_load_explicit(&topology->log_complete, memory_order_acquire) >= commit ||
	    !fh_thread_may_wait())
		return;
	fh_rcu_synchronize();
	complete_until(topology, commit);
}

/* --- Marks ---------------------------------------------------------------------------------- */

/* Of [first, last], the bits in the word. */
static inline uint64_t bits_in(uint64_t word, uint64_t first, uint64_t last)
{
	uint64_t bits = UINT64_MAX;

	if (word == first / 64)
		bits &= UINT64_MAX << (first % 64);
	if (word == last / 64)
		bits &= UINT64_MAX >> (63 - last % 64);
	return bits;
}

static inline void map_mark(struct fh_dirty_map *map, uint64_t first, uint64_t last, bool barrier)
{
	for (uint64_t i = first / 64; i <= last / 64; i++) {
		const uint64_t bits = bits_in(i, first, last);

		/* Relaxed: R2. */
		if (barrier && (atomic_load_explicit(&map->words[i], memory_order_relaxed) &
				bits) == bits)
			continue;
		FH_POINT("dirty.mark");
		/* Release: of the data; pairs with the acquire of who takes the bits (R3). */
		atomic_fetch_or_explicit(&map->words[i], bits, memory_order_release);
	}
}

void fh_dirty_mark_log(const struct fh_dirty_log *log, uint64_t offset, uint64_t size)
{
	const uint64_t first = offset / FH_DIRTY_PAGE;
	uint64_t last;

	if (size == 0)
		return;
	last = fh_add_clipped(offset, size - 1) / FH_DIRTY_PAGE;
	fh_barrier_light(); /* R2: after the data */
	for (unsigned mask = log->mask; mask; mask &= mask - 1) {
		struct fh_dirty_map *map = log->maps[__builtin_ctz(mask)];

		if (FH_UNLIKELY(last >= map->pages)) {
			if (first >= map->pages)
				continue;
			last = map->pages - 1;
		}
		map_mark(map, first, last, log->barrier);
	}
}

void fh_dirty_mark(struct fh_region *region, uint64_t offset, uint64_t size)
{
	struct fh_thread *t = fh_thread_self();

	if (!fh_region_has_ram(region))
		return;
	fh_rcu_read_begin(t);
	fh_dirty_mark_range(region, offset, size);
	fh_rcu_read_end(t);
}

/* --- Logs ----------------------------------------------------------------------------------- */

/* Frees the log, and those of its maps that the mask names. */
static void log_free(struct fh_dirty_log *log, unsigned mask)
{
	for (; mask; mask &= mask - 1)
		fh_free(log->maps[__builtin_ctz(mask)]);
	fh_free(log);
}

/* Nobody marks in it any more (R1). */
static void log_retired(struct fh_deferred *deferred)
{
	struct fh_dirty_log *log = fh_container_of(deferred, struct fh_dirty_log, retire);

	log_free(log, log->dropped);
}

static void log_retire(struct fh_machine *m, struct fh_dirty_log *log, uint8_t dropped)
{
	size_t bytes = sizeof(*log);

	log->dropped = dropped;
	log->retire.run = log_retired;
	for (unsigned mask = dropped; mask; mask &= mask - 1)
		bytes += map_bytes(log->maps[__builtin_ctz(mask)]);
	fh_reaper_defer(m->reaper, &log->retire, bytes);
}

/* A log of the mask's clients, with the maps that the old one has of them. NULL: no memory. */
static struct fh_dirty_log *log_new(const struct fh_ram_region *ram, const struct fh_dirty_log *old,
				    uint8_t mask)
{
	struct fh_dirty_log *log = fh_new(struct fh_dirty_log);
	const unsigned kept = old ? old->mask & mask : 0;

	log->barrier = old ? old->barrier : fh_barrier_register();
	for (unsigned left = mask; left; left &= left - 1) {
		const int client = __builtin_ctz(left);

		log->maps[client] = kept >> client & 1 ? old->maps[client] : map_new(ram);
		if (!log->maps[client]) {
			log_free(log, log->mask & ~kept);
			return NULL;
		}
		log->mask |= (uint8_t)(1u << client);
	}
	return log;
}

static enum fh_code out_of_memory(const struct fh_ram_region *ram, struct fh_error *err)
{
	return fh_error_set(err, FH_ENOMEM,
			    "no memory to log the writes to a region of %#" PRIx64 " bytes",
			    ram->capacity);
}

/* Under the topology lock. What the region shows has to be touched, if it shows anything. */
static enum fh_code ram_set_mask(struct fh_ram_region *ram, uint8_t mask, struct fh_error *err)
{
	struct fh_machine *m = ram->region.object.machine;
	struct fh_dirty_log *old = atomic_load_explicit(&ram->dirty, memory_order_relaxed);
	struct fh_dirty_log *log = NULL;

	if (mask == ram->log_mask)
		return FH_OK;
	if (mask && !(log = log_new(ram, old, mask)))
		return out_of_memory(ram, err);
	if (mask & ~ram->log_mask)
		m->topology->log_starting = true;
	/* Release: pairs with the acquire in fh_dirty_log_of(). */
	atomic_store_explicit(&ram->dirty, log, memory_order_release);
	if (old)
		log_retire(m, old, old->mask & (uint8_t)~mask);
	ram->log_mask = mask;
	return FH_OK;
}

/* In a transaction: the mask that the region has now to have, at each place where it shows. */
static enum fh_code ram_update(struct fh_ram_region *ram, struct fh_error *err)
{
	struct fh_region *region = &ram->region;
	struct fh_machine *m = region->object.machine;
	const enum fh_code code =
		ram_set_mask(ram, ram->log_own | m->topology->log_global, err);

	if (code == FH_OK && region->size != 0)
		fh_topology_touch(m, region, 0, fh_size_last(region->size));
	return code;
}

enum fh_code fh_dirty_region_init(struct fh_ram_region *ram, struct fh_error *err)
{
	struct fh_machine *m = ram->region.object.machine;
	enum fh_code code;

	fh_list_init(&ram->ram_link);
	code = fh_topology_check_context(err);
	if (code != FH_OK)
		return code;
	fh_topology_begin(m);
	code = ram_set_mask(ram, m->topology->log_global, err);
	if (code == FH_OK)
		fh_list_add_last(&m->topology->rams, &ram->ram_link);
	fh_topology_commit(m);
	return code;
}

void fh_dirty_region_fini(struct fh_ram_region *ram)
{
	/* Relaxed: nobody else has the region. */
	struct fh_dirty_log *log = atomic_load_explicit(&ram->dirty, memory_order_relaxed);

	fh_assert(!fh_list_linked(&ram->ram_link));
	if (log)
		log_free(log, log->mask);
}

/* --- Starting and stopping ------------------------------------------------------------------ */

static inline uint8_t bit_of(enum fh_dirty_client client)
{
	fh_assert((unsigned)client < FH_DIRTY_CLIENTS);
	return (uint8_t)(1u << client);
}

static enum fh_code region_start(struct fh_region *region, enum fh_dirty_client client,
				 uint64_t *ret_since, struct fh_error *err)
{
	const uint8_t bit = bit_of(client);
	struct fh_ram_region *ram;
	enum fh_code code = FH_OK;

	if (fh_object_has(&region->object, FH_OBJECT_DETACHED))
		return fh_error_set(err, FH_EDEAD, "the region has been disposed of");
	if (!fh_region_has_ram(region))
		return fh_error_set(err, FH_ETYPE, "the region has no memory");
	ram = fh_ram_of(region);
	if (!(ram->log_own & bit)) {
		ram->log_own |= bit;
		code = ram_update(ram, err);
	}
	if (code == FH_OK)
		*ret_since = fh_dirty_log_of(region)->maps[client]->since;
	else
		ram->log_own &= (uint8_t)~bit;
	return code;
}

enum fh_code fh_dirty_start(struct fh_region *region, enum fh_dirty_client client,
			    struct fh_error *err)
{
	struct fh_machine *m;
	uint64_t since = 0;
	enum fh_code code;

	if (!region)
		return fh_error_set(err, FH_EDEAD, "there is no region");
	code = fh_topology_check_context(err);
	if (code != FH_OK)
		return code;
	m = region->object.machine;
	fh_topology_begin(m);
	code = region_start(region, client, &since, err);
	fh_topology_commit(m);
	if (code == FH_OK)
		wait_complete(m->topology, since);
	return code;
}

void fh_dirty_stop(struct fh_region *region, enum fh_dirty_client client)
{
	const uint8_t bit = bit_of(client);
	struct fh_ram_region *ram;

	if (!region || !fh_region_has_ram(region))
		return;
	ram = fh_ram_of(region);
	fh_topology_begin(region->object.machine);
	if (ram->log_own & bit) {
		ram->log_own &= (uint8_t)~bit;
		ram_update(ram, NULL); /* a smaller mask needs no memory that can fail */
	}
	fh_topology_commit(region->object.machine);
}

static enum fh_code all_update(struct fh_topology *topology, struct fh_error *err)
{
	enum fh_code code = FH_OK;

	fh_list_for_each_entry(ram, &topology->rams, struct fh_ram_region, ram_link)
		if (code == FH_OK)
			code = ram_update(ram, err);
	return code;
}

enum fh_code fh_dirty_global_start(struct fh_machine *m, enum fh_dirty_client client,
				   struct fh_error *err)
{
	const uint8_t bit = bit_of(client);
	struct fh_topology *topology = m->topology;
	enum fh_code code = fh_topology_check_context(err);
	uint64_t commit;

	if (code != FH_OK)
		return code;
	fh_topology_begin(m);
	if (!(topology->log_global & bit)) {
		topology->log_global |= bit;
		code = all_update(topology, err);
		if (code != FH_OK) {
			topology->log_global &= (uint8_t)~bit;
			all_update(topology, NULL);
		}
	}
	commit = topology->commits + topology->log_starting;
	fh_topology_commit(m);
	if (code == FH_OK)
		wait_complete(topology, commit);
	return code;
}

void fh_dirty_global_stop(struct fh_machine *m, enum fh_dirty_client client)
{
	const uint8_t bit = bit_of(client);
	struct fh_topology *topology = m->topology;

	fh_topology_begin(m);
	if (topology->log_global & bit) {
		topology->log_global &= (uint8_t)~bit;
		all_update(topology, NULL);
	}
	fh_topology_commit(m);
}

/* --- What is logged ------------------------------------------------------------------------- */

unsigned fh_dirty_clients(struct fh_region *region)
{
	struct fh_thread *t = fh_thread_self();
	const struct fh_dirty_log *log;
	unsigned mask;

	if (!fh_region_has_ram(region))
		return 0;
	fh_rcu_read_begin(t);
	log = fh_dirty_log_of(region);
	mask = log ? log->mask : 0;
	fh_rcu_read_end(t);
	return mask;
}

bool fh_dirty_is_complete(struct fh_region *region, enum fh_dirty_client client)
{
	const uint8_t bit = bit_of(client);
	struct fh_thread *t = fh_thread_self();
	const struct fh_dirty_log *log;
	bool complete;

	if (!fh_region_has_ram(region))
		return false;
	fh_rcu_read_begin(t);
	log = fh_dirty_log_of(region);
	/* Acquire: pairs with the release in complete_until(). */
	complete = log && (log->mask & bit) &&
		   atomic_load_explicit(&region->object.machine->topology->log_complete,
					memory_order_acquire) >= log->maps[client]->since;
	fh_rcu_read_end(t);
	return complete;
}
