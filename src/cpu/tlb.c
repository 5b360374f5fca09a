/* SPDX-License-Identifier: MIT */
/*
 * The tables of a hart's software TLB: one for each way in which loads and stores can be translated
 * and checked, and one for each of fetches; how they grow, and what empties them.
 *
 * R1. A table is of one effective privilege mode, with S-mode's data in two, without and with
 *     mstatus.SUM. So changes of mode, of MPRV and of SUM select tables; changes of MXR, satp and
 *     PMP empty them.
 * R2. Tables of M-mode are never translated: fences leave them alone.
 * R3. An entry is of one page of 4 KiB, also where the page table's leaf is larger. A table knows
 *     the range of addresses in which it may have pages of large leaves; a fence for an address in
 *     there empties it, because it is meant for the whole leaf.
 * R4. `noted` is set, then the attention (release), by threads that change the map; the hart takes
 *     the attention's word for it at the start of a slice and looks at `noted` after each access
 *     that may have left the read section.
 */
#include "cpu/logged.h"
#include "cpu/privileged.h"
#include "cpu/tlb.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAP_NOTES 16

enum mode { DATA_U, DATA_S, DATA_S_SUM, DATA_M, FETCH_U, FETCH_S, FETCH_M, MODES };

struct table {
	struct tlb tlb;
	uint64_t large_first, large_last; /* R3; first > last: none */
};

struct tlbs {
	struct table tables[MODES];
	uint64_t epoch; /* the last one given */
};

struct map_changes {
	pthread_mutex_t lock;
	_Atomic bool noted; /* R4 */
	bool all;	    /* lock: there were more than fit */
	unsigned count;	    /* lock */
	struct {
		uint64_t first, last;
	} notes[MAP_NOTES]; /* lock */
};

/* --- Tables ----------------------------------------------------------------------------------- */

static void *allocate(size_t count, size_t size)
{
	void *const p = calloc(count, size);

	if (!p)
		abort(); /* a few kilobytes: as the library does */
	return p;
}

static void table_clear(struct tlbs *tlbs, struct table *table)
{
	struct tlb *const tlb = &table->tlb;

	memset(tlb->entries, 0xff, tlb->count * sizeof(*tlb->entries)); /* TLB_NONE */
	tlb->misses = 0;
	tlb->epoch = ++tlbs->epoch;
	table->large_first = 1;
	table->large_last = 0;
}

static void table_size(struct tlbs *tlbs, struct table *table, uint32_t count)
{
	free(table->tlb.entries);
	free(table->tlb.pages);
	table->tlb.entries = allocate(count, sizeof(*table->tlb.entries));
	table->tlb.pages = allocate(count, sizeof(*table->tlb.pages));
	table->tlb.count = count;
	table_clear(tlbs, table);
}

/*
 * A table that misses more often than it has entries is too small for what runs; one that was
 * emptied before an eighth of it was filled costs more to empty than it brings.
 */
static void table_flush(struct tlbs *tlbs, struct table *table)
{
	const uint32_t count = table->tlb.count;

	if (table->tlb.misses == 0)
		table->tlb.epoch = ++tlbs->epoch; /* who remembers is not empty: tlb.h R4 */
	else if (count > TLB_COUNT_MIN && table->tlb.misses < count / 8)
		table_size(tlbs, table, count / 2);
	else
		table_clear(tlbs, table);
}

static void flush_modes(struct hart *h, enum mode first, enum mode last)
{
	for (unsigned mode = first; mode <= last; mode++)
		table_flush(h->tlbs, &h->tlbs->tables[mode]);
}

static void select_data(struct hart *h, struct tlb *tlb)
{
	h->tlb = tlb;
	h->tlb_entries = tlb->entries;
	h->tlb_mask = tlb_mask(tlb);
}

static enum priv data_priv(const struct hart *h)
{
	return h->mstatus & MSTATUS_MPRV ? (h->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT
					 : h->priv;
}

void tlb_select(struct hart *h)
{
	const bool sum = h->mstatus & MSTATUS_SUM;
	const enum priv data = data_priv(h);
	const enum mode mode = data == PRIV_M ? DATA_M
			       : data == PRIV_U ? DATA_U
			       : sum	       ? DATA_S_SUM
					       : DATA_S;
	const enum mode fetch = h->priv == PRIV_M   ? FETCH_M
				: h->priv == PRIV_U ? FETCH_U
						    : FETCH_S;

	select_data(h, &h->tlbs->tables[mode].tlb);
	h->fetch_tlb = &h->tlbs->tables[fetch].tlb;
}

void tlb_flush(struct hart *h)
{
	flush_modes(h, DATA_U, FETCH_M);
	tlb_select(h);
}

/* --- Entries ---------------------------------------------------------------------------------- */

void tlb_enter(struct hart *h, uint64_t va, uint64_t pa, void *page, unsigned perms, bool fetch,
	       uint64_t leaf_size)
{
	struct table *const table = (struct table *)(fetch ? h->fetch_tlb : h->tlb);
	struct tlb *const tlb = &table->tlb;
	const uint64_t first = va & TLB_PAGE_MASK;
	const uint64_t leaf = va & ~(leaf_size - 1);
	struct tlb_entry *entry;

	if (++tlb->misses > 2 * tlb->count && tlb->count < TLB_COUNT_MAX) {
		table_size(h->tlbs, table, tlb->count * 2);
		tlb->misses = 1;
		tlb_select(h);
	}
	if (leaf_size > TLB_PAGE_SIZE) {
		const bool none = table->large_first > table->large_last;

		if (none || leaf < table->large_first)
			table->large_first = leaf;
		if (none || leaf + (leaf_size - 1) > table->large_last)
			table->large_last = leaf + (leaf_size - 1);
	}
	entry = tlb_at(tlb->entries, tlb_mask(tlb), va);
	entry->read = !fetch && (perms & PERM_R) ? first : TLB_NONE;
	entry->write = !fetch && (perms & PERM_W) ? first : TLB_NONE;
	entry->fetch = fetch && (perms & PERM_X) ? first : TLB_NONE;
	entry->addend = (uintptr_t)page - (uintptr_t)first;
	tlb->pages[(va >> TLB_PAGE_BITS) & (tlb->count - 1)] = pa & TLB_PAGE_MASK;
}

static bool entry_is_of(const struct tlb_entry *entry, uint64_t first)
{
	return entry->read == first || entry->write == first || entry->fetch == first;
}

static void entry_clear(struct tlb_entry *entry)
{
	entry->read = entry->write = entry->fetch = TLB_NONE;
}

static void table_fence(struct tlbs *tlbs, struct table *table, uint64_t addr)
{
	struct tlb *const tlb = &table->tlb;
	struct tlb_entry *const entry = tlb_at(tlb->entries, tlb_mask(tlb), addr);

	if (addr >= table->large_first && addr <= table->large_last) { /* R3 */
		table_flush(tlbs, table);
		return;
	}
	if (entry_is_of(entry, addr & TLB_PAGE_MASK))
		entry_clear(entry);
	tlb->epoch = ++tlbs->epoch; /* the entry may have been replaced, but not forgotten */
}

void tlb_fence(struct hart *h, const uint64_t *addr)
{
	static const uint8_t modes[] = {DATA_U, DATA_S, DATA_S_SUM, FETCH_U, FETCH_S}; /* R2 */

	for (unsigned i = 0; i < sizeof(modes); i++) {
		struct table *const table = &h->tlbs->tables[modes[i]];

		if (addr)
			table_fence(h->tlbs, table, *addr);
		else
			table_flush(h->tlbs, table);
	}
	tlb_select(h);
}

void tlb_protect(struct hart *h, uint64_t page)
{
	for (unsigned mode = DATA_U; mode <= DATA_M; mode++) {
		struct tlb *const tlb = &h->tlbs->tables[mode].tlb;

		if (tlb->misses == 0)
			continue;
		for (uint32_t i = 0; i < tlb->count; i++)
			if (tlb->pages[i] == page)
				tlb->entries[i].write = TLB_NONE;
	}
}

void tlb_close_logged(struct hart *h)
{
	for (unsigned mode = DATA_U; mode <= DATA_M; mode++) {
		struct tlb *const tlb = &h->tlbs->tables[mode].tlb;

		if (tlb->misses == 0)
			continue;
		for (uint32_t i = 0; i < tlb->count; i++)
			if (tlb->entries[i].write != TLB_NONE &&
			    logged_is_closing(h, tlb->pages[i]))
				tlb->entries[i].write = TLB_NONE;
	}
}

void tlb_permit(struct hart *h, uint64_t va, uint64_t pa)
{
	struct tlb_entry *const entry = tlb_data(h, va);

	if (entry->read == (va & TLB_PAGE_MASK) && tlb_physical(h->tlb, va) == pa)
		entry->write = entry->read;
}

/* --- The map ---------------------------------------------------------------------------------- */

void tlb_note_map_change(struct hart *h, uint64_t first, uint64_t last)
{
	struct map_changes *const changes = h->map_changes;

	pthread_mutex_lock(&changes->lock);
	if (changes->count < MAP_NOTES) {
		changes->notes[changes->count].first = first;
		changes->notes[changes->count].last = last;
		changes->count++;
	} else {
		changes->all = true;
	}
	/* Release: of the note; the acquire is in tlb_look_at_map_changes(). */
	atomic_store_explicit(&changes->noted, true, memory_order_release);
	pthread_mutex_unlock(&changes->lock);
	/* Release: of `noted`; the acquire is where hart.c takes the attention. */
	atomic_fetch_or_explicit(&h->attention, ATTENTION_MAP, memory_order_release);
}

static void table_drop(struct tlbs *tlbs, struct table *table, uint64_t first, uint64_t last)
{
	struct tlb *const tlb = &table->tlb;

	tlb->epoch = ++tlbs->epoch;
	if (tlb->misses == 0)
		return;
	for (uint32_t i = 0; i < tlb->count; i++)
		if (tlb->pages[i] <= last && tlb->pages[i] + (TLB_PAGE_SIZE - 1) >= first)
			entry_clear(&tlb->entries[i]);
}

bool tlb_look_at_map_changes(struct hart *h)
{
	struct map_changes *const changes = h->map_changes;

	if (!atomic_load_explicit(&changes->noted, memory_order_acquire))
		return false;
	pthread_mutex_lock(&changes->lock);
	for (unsigned i = 0; i < changes->count; i++)
		for (unsigned mode = 0; mode < MODES; mode++)
			table_drop(h->tlbs, &h->tlbs->tables[mode], changes->notes[i].first,
				   changes->notes[i].last);
	if (changes->all)
		flush_modes(h, DATA_U, FETCH_M);
	changes->count = 0;
	changes->all = false;
	/* Relaxed: under the lock, which the next note takes too. */
	atomic_store_explicit(&changes->noted, false, memory_order_relaxed);
	pthread_mutex_unlock(&changes->lock);
	tlb_select(h);
	return true;
}

/* --- Life ------------------------------------------------------------------------------------- */

void tlb_init(struct hart *h)
{
	h->tlbs = allocate(1, sizeof(*h->tlbs));
	for (unsigned mode = 0; mode < MODES; mode++)
		table_size(h->tlbs, &h->tlbs->tables[mode], TLB_COUNT_MIN);
	h->map_changes = allocate(1, sizeof(*h->map_changes));
	pthread_mutex_init(&h->map_changes->lock, NULL);
	logged_init(h);
	tlb_select(h);
}

void tlb_free(struct hart *h)
{
	for (unsigned mode = 0; mode < MODES; mode++) {
		free(h->tlbs->tables[mode].tlb.entries);
		free(h->tlbs->tables[mode].tlb.pages);
	}
	free(h->tlbs);
	h->tlbs = NULL;
	pthread_mutex_destroy(&h->map_changes->lock);
	free(h->map_changes);
	h->map_changes = NULL;
	logged_free(h);
}
