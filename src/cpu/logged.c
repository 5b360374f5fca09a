/* SPDX-License-Identifier: MIT */
/*
 * Open pages: those of logged memory that a hart has in its TLB for writing.
 *
 * A store to logged memory takes the slow way and marks its page. From then on the page is dirty
 * for everyone who logs it, until somebody takes the bits: more stores would set what is set. So
 * the page is opened, and stores go the fast way, without a mark, until the bits are taken.
 *
 * R1. First the page is entered here (under the lock), then it is marked, then the TLB may have a
 *     write tag. Who takes bits comes here when they are taken and before the pages are read
 *     (log_clear). Either that finds the page, or it came before the entry, and the mark comes
 *     after the bits were taken.
 * R2. If the hart is running then, the page is marked again, there and then: so each store through
 *     a write tag was seen by who took the bits, or leaves a new bit. The hart is asked to close
 *     the page. If it is not, all its stores came before (the lock passes them on), and it closes
 *     the page before it runs on.
 * R3. Where the memory has left the map nobody comes here any more when its bits are taken. So the
 *     listener marks the page, and the hart, if it was running, once more when it has written for
 *     the last time: in the same read section, in which the region still is.
 * R4. Running is within a slice, and not in an access that may run a callback: that may leave the
 *     read section, and may itself take bits or change the map.
 * R5. Pages are not closed one by one as their TLB entries go. A page that is open and not in the
 *     TLB costs one mark too many.
 * R6. Only the hart's thread enters, closes, and changes h->logged_count; others mark entries with
 *     flags. All under the lock, but for what that thread reads of its own.
 */
#include "cpu/logged.h"

#include <freehold/dirty.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/tlb.h"

#define SLOTS	  4096 /* a power of two */
#define COUNT_MAX (SLOTS * 3 / 4)
#define FEW_PAGES 64

/* Bits of an entry's page. */
#define OPEN  UINT64_C(1)
#define CLOSE UINT64_C(2) /* the hart is asked to close it */
#define LATE  UINT64_C(4) /* R3: it is to be marked when the hart pauses */

struct entry {
	uint64_t page; /* and flags; 0: free */
	uint64_t offset;
	struct fh_region *region;
};

struct logged {
	pthread_mutex_t lock;
	bool running;		/* lock: R4 */
	bool close, late;	/* lock: some entry says so */
	unsigned count;		/* lock: of entries, closed ones included until all are cleared */
	struct entry *entries;	/* lock: NULL: there never was one */
};

/* --- Entries ---------------------------------------------------------------------------------- */

static unsigned slot_of(uint64_t page)
{
	/* 2^64 over the golden ratio: guests have their pages at equal distances. */
	return (unsigned)((page >> TLB_PAGE_BITS) * UINT64_C(0x9e3779b97f4a7c15) >> 52);
}

_Static_assert(SLOTS == 1 << (64 - 52), "the slot's shift");

/* Its entry, or the free one where it would be. There is always one: COUNT_MAX. */
static struct entry *entry_at(const struct logged *logged, uint64_t page)
{
	unsigned slot = slot_of(page);

	while (logged->entries[slot].page &&
	       (logged->entries[slot].page & TLB_PAGE_MASK) != page)
		slot = (slot + 1) & (SLOTS - 1);
	return &logged->entries[slot];
}

static void entry_mark(const struct entry *entry)
{
	fh_dirty_mark(entry->region, entry->offset, TLB_PAGE_SIZE);
}

/* --- The hart --------------------------------------------------------------------------------- */

/* R3. Under the lock. */
static void mark_late(struct logged *logged)
{
	for (unsigned i = 0; logged->late && i < SLOTS; i++)
		if (logged->entries[i].page & LATE)
			entry_mark(&logged->entries[i]);
	logged->late = false;
}

/* Under the lock. */
static void close_all(struct hart *h, struct logged *logged)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (logged->entries[i].page)
			logged->entries[i].page |= CLOSE;
	tlb_close_logged(h);
	memset(logged->entries, 0, SLOTS * sizeof(*logged->entries));
	logged->count = h->logged_count = 0;
	logged->close = false;
}

/* The others, moved to where they are found now. Under the lock. */
static void close_some(struct hart *h, struct logged *logged)
{
	static const struct entry none;
	struct entry *const old = logged->entries;

	tlb_close_logged(h);
	logged->entries = calloc(SLOTS, sizeof(*old));
	if (!logged->entries) {
		logged->entries = old;
		close_all(h, logged);
		return;
	}
	logged->count = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		if (old[i].page & CLOSE)
			old[i] = none;
		if (!old[i].page)
			continue;
		*entry_at(logged, old[i].page & TLB_PAGE_MASK) = old[i];
		logged->count++;
	}
	free(old);
	h->logged_count = logged->count;
	logged->close = false;
}

void logged_resume_slow(struct hart *h)
{
	struct logged *const logged = h->logged;

	pthread_mutex_lock(&logged->lock);
	if (logged->close)
		close_some(h, logged);
	logged->running = h->logged_count != 0;
	pthread_mutex_unlock(&logged->lock);
}

void logged_pause_slow(struct hart *h)
{
	struct logged *const logged = h->logged;

	pthread_mutex_lock(&logged->lock);
	mark_late(logged);
	logged->running = false;
	pthread_mutex_unlock(&logged->lock);
}

bool logged_open(struct hart *h, uint64_t pa, struct fh_region *region, uint64_t offset)
{
	const uint64_t page = pa & TLB_PAGE_MASK;
	struct logged *const logged = h->logged;
	struct entry *entry;
	bool open;

	pthread_mutex_lock(&logged->lock);
	if (!logged->entries)
		logged->entries = calloc(SLOTS, sizeof(*logged->entries));
	if (!logged->entries) {
		pthread_mutex_unlock(&logged->lock);
		return false;
	}
	if (logged->count == COUNT_MAX) {
		mark_late(logged);
		close_all(h, logged);
	}
	entry = entry_at(logged, page);
	if (!entry->page) {
		*entry = (struct entry){.page = page | OPEN, .offset = offset, .region = region};
		h->logged_count = ++logged->count;
		logged->running = true;
	}
	open = entry->region == region && entry->offset == offset;
	pthread_mutex_unlock(&logged->lock);
	return open;
}

bool logged_is_open(struct hart *h, uint64_t pa, const struct fh_region *region, uint64_t offset)
{
	struct logged *const logged = h->logged;
	const struct entry *entry;
	bool open;

	if (!h->logged_count)
		return false;
	pthread_mutex_lock(&logged->lock);
	entry = entry_at(logged, pa & TLB_PAGE_MASK);
	open = entry->page && entry->region == region && entry->offset == offset;
	pthread_mutex_unlock(&logged->lock);
	return open;
}

bool logged_is_closing(const struct hart *h, uint64_t pa)
{
	return entry_at(h->logged, pa & TLB_PAGE_MASK)->page & CLOSE;
}

/* --- The listener ----------------------------------------------------------------------------- */

enum event { TAKEN, STARTED, GONE };

/* Under the lock. */
static void ask(struct logged *logged, struct entry *entry, const struct fh_section *section,
		enum event event)
{
	if (!entry->page || entry->region != section->region)
		return;
	entry->page |= CLOSE;
	logged->close = true;
	if (event == GONE || (event == TAKEN && logged->running)) /* R2, R3 */
		entry_mark(entry);
	if (event == GONE && logged->running) {
		entry->page |= LATE;
		logged->late = true;
	}
}

static void note(struct hart *h, const struct fh_section *section, enum event event)
{
	const uint64_t first = section->first & TLB_PAGE_MASK;
	const uint64_t last = section->last & TLB_PAGE_MASK;
	struct logged *const logged = h->logged;

	pthread_mutex_lock(&logged->lock);
	if (logged->count == 0) {
		/* There is nothing to ask for. */
	} else if ((last - first) >> TLB_PAGE_BITS < FEW_PAGES) {
		for (uint64_t i = 0; i <= (last - first) >> TLB_PAGE_BITS; i++)
			ask(logged, entry_at(logged, first + (i << TLB_PAGE_BITS)), section, event);
	} else {
		for (unsigned i = 0; i < SLOTS; i++) {
			const uint64_t page = logged->entries[i].page & TLB_PAGE_MASK;

			if (page >= first && page <= last)
				ask(logged, &logged->entries[i], section, event);
		}
	}
	/* Relaxed: what the hart needs to know it finds under the lock. */
	if (logged->close)
		atomic_fetch_or_explicit(&h->attention, ATTENTION_LOG, memory_order_relaxed);
	pthread_mutex_unlock(&logged->lock);
}

void logged_note_taken(struct hart *h, const struct fh_section *section)
{
	note(h, section, TAKEN);
}

void logged_note_started(struct hart *h, const struct fh_section *section)
{
	note(h, section, STARTED);
}

void logged_note_gone(struct hart *h, const struct fh_section *section)
{
	note(h, section, GONE);
}

/* --- Life ------------------------------------------------------------------------------------- */

void logged_init(struct hart *h)
{
	h->logged = calloc(1, sizeof(*h->logged));
	if (!h->logged)
		abort(); /* a few bytes: as the library does */
	pthread_mutex_init(&h->logged->lock, NULL);
	h->logged_count = 0;
}

void logged_free(struct hart *h)
{
	pthread_mutex_destroy(&h->logged->lock);
	free(h->logged->entries);
	free(h->logged);
	h->logged = NULL;
}
