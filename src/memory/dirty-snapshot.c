/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging: taking bits, and what was taken. See dirty.h for R1 to R5.
 *
 * R8. Bits are taken in an order: listeners bring theirs; the bits go, word by word; all threads
 *     pass a barrier (R2), if any bit went; listeners are told. Only then the caller reads.
 * R9. Words of a snapshot are those of the map from the first that the range meets, so that they
 *     move without shifts. Pages that are clean are never written, so that a snapshot of a large
 *     region of which little is dirty takes little memory of the host's.
 */
#include <string.h>

#include "base/rcu.h"
#include "memory/dirty.h"
#include "memory/topology.h"

struct fh_dirty_snapshot {
	uint64_t first, last; /* pages that it covers */
	uint64_t bytes_last;  /* the last byte of the region's memory */
	uint64_t dirty;	      /* pages */
	uint64_t words[];     /* from that of `first` on */
};

/* --- Words ---------------------------------------------------------------------------------- */

/* Pages. */
struct pages {
	uint64_t first, last;
};

/* Of those pages, the bits in the word. */
static inline uint64_t bits_in(uint64_t word, const struct pages *pages)
{
	uint64_t bits = UINT64_MAX;

	if (word == pages->first / 64)
		bits &= UINT64_MAX << (pages->first % 64);
	if (word == pages->last / 64)
		bits &= UINT64_MAX >> (63 - pages->last % 64);
	return bits;
}

/* The pages of the range that the region's memory has. False: none. */
static bool pages_of(const struct fh_region *region, uint64_t offset, uint64_t size,
		     struct pages *ret)
{
	const struct fh_ram_region *ram = (const struct fh_ram_region *)region;

	if (!fh_region_has_ram(region) || size == 0 || ram->capacity == 0 ||
	    offset > fh_size_last(ram->capacity))
		return false;
	uint64_t last = fh_add_clipped(offset, size - 1);

	if (last > fh_size_last(ram->capacity))
		last = fh_size_last(ram->capacity);
	*ret = (struct pages){ offset / FH_DIRTY_PAGE, last / FH_DIRTY_PAGE };
	return true;
}

/* From word i on, up to last: the first of which a bit is set, or one not far before it. */
static inline uint64_t skip_clean(const struct fh_dirty_map *map, uint64_t i, uint64_t last)
{
	for (; i + 8 <= last; i += 8) {
		uint64_t any = 0;

		/* Relaxed: a mark that the caller knows of is seen. */
		for (unsigned k = 0; k < 8; k++)
			any |= atomic_load_explicit(&map->words[i + k], memory_order_relaxed);
		if (any)
			break;
	}
	return i;
}

/*
 * Returns how many there were; to @ret (NULL: nowhere), which is zeroed and begins at first's word.
 */
static uint64_t map_take(struct fh_dirty_map *map, const struct pages *pages, uint64_t *ret)
{
	const uint64_t begin = pages->first / 64;
	const uint64_t last = pages->last / 64;
	uint64_t count = 0;

	for (uint64_t i = begin; i <= last; i++) {
		if (((i - begin) & 7) == 0)
			i = skip_clean(map, i, last);
		const uint64_t bits = bits_in(i, pages);
		uint64_t taken;

		/* Relaxed: a mark that the caller knows of is seen. A clean page costs a load. */
		if (FH_LIKELY((atomic_load_explicit(&map->words[i], memory_order_relaxed) & bits) == 0))
			continue;
		/* Acquire: of the data, pairs with the marks' release (R3). */
		if (bits == UINT64_MAX)
			taken = atomic_exchange_explicit(&map->words[i], 0, memory_order_acq_rel);
		else
			taken = atomic_fetch_and_explicit(&map->words[i], ~bits,
							  memory_order_acq_rel) & bits;
		if (ret)
			ret[i - begin] = taken;
		count += (uint64_t)__builtin_popcountll(taken);
	}
	return count;
}

/* --- Taking --------------------------------------------------------------------------------- */

/* The client's map, or NULL. In a read section. */
static struct fh_dirty_map *map_of(const struct fh_region *region, enum fh_dirty_client client,
				   bool *ret_barrier)
{
	const struct fh_dirty_log *log = fh_dirty_log_of(region);

	fh_assert((unsigned)client < FH_DIRTY_CLIENTS);
	if (!log || !log->maps[client])
		return NULL;
	*ret_barrier = log->barrier;
	return log->maps[client];
}

/* R8. False: the client does not log the region. */
static bool take(struct fh_region *region, enum fh_dirty_client client, const struct pages *pages,
		 uint64_t *ret_words, uint64_t *ret_count)
{
	const uint64_t first = pages->first * FH_DIRTY_PAGE;
	const uint64_t last = pages->last * FH_DIRTY_PAGE + (FH_DIRTY_PAGE - 1);
	struct fh_thread *t = fh_thread_self();
	struct fh_dirty_map *map;
	bool barrier = false;

	*ret_count = 0;
	fh_listeners_log(region, first, last, false);
	fh_rcu_read_begin(t);
	map = map_of(region, client, &barrier);
	if (map)
		*ret_count = map_take(map, pages, ret_words);
	fh_rcu_read_end(t);
	if (*ret_count == 0)
		return map;
	FH_POINT("dirty.taken");
	if (barrier)
		fh_barrier_heavy();
	fh_listeners_log(region, first, last, true);
	return true;
}

bool fh_dirty_test(struct fh_region *region, enum fh_dirty_client client, uint64_t offset,
		   uint64_t size)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_dirty_map *map;
	struct pages pages;
	bool barrier;
	bool dirty = false;

	if (!pages_of(region, offset, size, &pages))
		return false;
	fh_rcu_read_begin(t);
	map = map_of(region, client, &barrier);
	for (uint64_t i = pages.first / 64; map && !dirty && i <= pages.last / 64; i++)
		/* Relaxed: nothing is promised of the data. */
		dirty = atomic_load_explicit(&map->words[i], memory_order_relaxed) &
			bits_in(i, &pages);
	fh_rcu_read_end(t);
	return dirty;
}

bool fh_dirty_test_and_clear(struct fh_region *region, enum fh_dirty_client client,
			     uint64_t offset, uint64_t size)
{
	struct pages pages;
	uint64_t count;

	return pages_of(region, offset, size, &pages) &&
	       take(region, client, &pages, NULL, &count) && count > 0;
}

/* --- Snapshots ------------------------------------------------------------------------------ */

struct fh_dirty_snapshot *fh_dirty_snapshot_take(struct fh_region *region,
						 enum fh_dirty_client client, uint64_t offset,
						 uint64_t size, struct fh_error *err)
{
	struct fh_dirty_snapshot *snapshot;
	struct pages pages;

	if (!pages_of(region, offset, size, &pages)) {
		fh_error_set(err, FH_EINVAL, "the range has no byte of the region's memory");
		return NULL;
	}
	snapshot = fh_try_zalloc(1, sizeof(*snapshot) + (pages.last / 64 - pages.first / 64 + 1) *
								sizeof(snapshot->words[0]));
	if (!snapshot) {
		fh_error_set(err, FH_ENOMEM, "no memory for a snapshot of dirty pages");
		return NULL;
	}
	snapshot->first = pages.first;
	snapshot->last = pages.last;
	snapshot->bytes_last = fh_size_last(((const struct fh_ram_region *)region)->capacity);
	if (take(region, client, &pages, snapshot->words, &snapshot->dirty))
		return snapshot;
	fh_error_set(err, FH_ENOENT, "the client does not log the region");
	return fh_dirty_snapshot_free(snapshot);
}

struct fh_dirty_snapshot *fh_dirty_snapshot_free(struct fh_dirty_snapshot *snapshot)
{
	fh_free(snapshot);
	return NULL;
}

uint64_t fh_dirty_snapshot_pages(const struct fh_dirty_snapshot *snapshot)
{
	return snapshot->dirty;
}

/* From @page on, the first page that is dirty (or clean), or last + 1. */
static uint64_t snapshot_next(const struct fh_dirty_snapshot *snapshot, uint64_t page, bool dirty)
{
	const uint64_t begin = snapshot->first / 64;
	const uint64_t flip = dirty ? 0 : UINT64_MAX;

	while (page <= snapshot->last) {
		const uint64_t word =
			(snapshot->words[page / 64 - begin] ^ flip) & UINT64_MAX << (page % 64);

		if (word) {
			const uint64_t found =
				page / 64 * 64 + (uint64_t)__builtin_ctzll(word);

			return found <= snapshot->last ? found : snapshot->last + 1;
		}
		page = (page / 64 + 1) * 64;
	}
	return snapshot->last + 1;
}

bool fh_dirty_snapshot_test(const struct fh_dirty_snapshot *snapshot, uint64_t offset,
			    uint64_t size)
{
	uint64_t first = offset / FH_DIRTY_PAGE;

	if (size == 0)
		return false;
	const uint64_t last = fh_add_clipped(offset, size - 1) / FH_DIRTY_PAGE;

	if (first < snapshot->first)
		first = snapshot->first;
	return first <= snapshot->last && snapshot_next(snapshot, first, true) <= last &&
	       snapshot_next(snapshot, first, true) <= snapshot->last;
}

void fh_dirty_snapshot_each(const struct fh_dirty_snapshot *snapshot,
			    bool (*visit)(uint64_t offset, uint64_t size, void *arg), void *arg)
{
	uint64_t first = snapshot_next(snapshot, snapshot->first, true);

	while (first <= snapshot->last) {
		const uint64_t next = snapshot_next(snapshot, first, false);
		uint64_t last = next * FH_DIRTY_PAGE - 1;

		if (last > snapshot->bytes_last)
			last = snapshot->bytes_last;
		if (!visit(first * FH_DIRTY_PAGE, last - first * FH_DIRTY_PAGE + 1, arg))
			return;
		first = snapshot_next(snapshot, next, true);
	}
}
