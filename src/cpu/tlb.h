/* SPDX-License-Identifier: MIT */
/*
 * The software TLB of a hart: from virtual pages to host memory.
 *
 * One direct-mapped table per translation mode, so that a change of privilege selects another one
 * and flushes nothing. A table starts small and grows when its misses ask for it.
 *
 * R1. A tag is the virtual page's first address, or TLB_NONE. A lookup compares it with the address
 *     less the bits within the page, but for those that an aligned access has clear: misaligned
 *     accesses never match, and none that crosses into another page can.
 * R2. The host address of a byte is its virtual address + addend; `pages` has the physical page of
 *     each entry, whichever tags are set.
 * R3. No entry has a `write` tag for a page of which a hart keeps decoded code: those stores go the
 *     slow way, which tells block.c. When a page becomes one, tlb_protect() makes it so.
 *     The same holds for pages of which somebody logs the writes (freehold/dirty.h): those stores
 *     go the slow way too, which marks them, unless the page is open (logged.c). When logging
 *     starts, the listener has the entries dropped.
 * R4. `epoch` of a table is unique to what it can have held since it was last flushed, fully or in
 *     part: who remembers a translation of fetches compares it. So a flush of one address gives a
 *     new epoch even where the entry is there no more: it may have been evicted, and still be
 *     remembered.
 * R5. Entries are used by the hart's thread only, inside a slice (hart.h R4).
 */
#ifndef CPU_TLB_H
#define CPU_TLB_H

#include "cpu/hart.h"

#define TLB_PAGE_BITS	 12
#define TLB_PAGE_SIZE	 (UINT64_C(1) << TLB_PAGE_BITS)
#define TLB_PAGE_MASK	 (~(TLB_PAGE_SIZE - 1))
#define TLB_NONE	 UINT64_MAX
#define TLB_ENTRY_BITS	 5
#define TLB_COUNT_MIN	 256
#define TLB_COUNT_MAX	 4096

struct tlb_entry {
	uint64_t read, write, fetch; /* R1 */
	uintptr_t addend;
};

_Static_assert(sizeof(struct tlb_entry) == 1 << TLB_ENTRY_BITS, "the lookup shifts");

struct tlb {
	struct tlb_entry *entries;
	uint64_t *pages; /* physical page addresses, by index */
	uint32_t count;	 /* a power of two, TLB_COUNT_MIN..TLB_COUNT_MAX */
	uint32_t misses; /* since it was flushed or grown */
	uint64_t epoch;	 /* R4 */
};

/* As the lookup wants it: the index times the size of an entry. */
static inline uint64_t tlb_mask(const struct tlb *tlb)
{
	return (uint64_t)(tlb->count - 1) << TLB_ENTRY_BITS;
}

static inline struct tlb_entry *tlb_at(struct tlb_entry *entries, uint64_t mask, uint64_t va)
{
	return (struct tlb_entry *)((char *)entries +
				    ((va >> (TLB_PAGE_BITS - TLB_ENTRY_BITS)) & mask));
}

/* The entry of the present data mode for the address, whatever it holds. */
static inline struct tlb_entry *tlb_data(const struct hart *h, uint64_t va)
{
	return tlb_at(h->tlb_entries, h->tlb_mask, va);
}

/* What a tag must be for an aligned access of the size. */
static inline uint64_t tlb_tag(uint64_t va, unsigned size)
{
	return va & (TLB_PAGE_MASK | (size - 1));
}

static inline void *tlb_host(const struct tlb_entry *entry, uint64_t va)
{
	return (void *)(entry->addend + va);
}

static inline uint64_t tlb_physical(const struct tlb *tlb, uint64_t va)
{
	return tlb->pages[(va >> TLB_PAGE_BITS) & (tlb->count - 1)] + (va & ~TLB_PAGE_MASK);
}

/* Who has to be told of a store, after it was made. */
struct tlb_store {
	bool code;		  /* blocks_note_store() */
	struct fh_region *logged; /* fh_dirty_mark() at offset; NULL: nobody logs it */
	uint64_t offset;
	uint64_t va;
	bool opens; /* the page may be opened: logged.c */
};

/*
 * mmu.c: translate, check, and put what is memory into the TLB (of fetches for ACCESS_FETCH). The
 * access does not cross a page. Returns the host address, with *ret_pa the physical one, and in
 * *store (may be NULL) who has to be told of a store; such a store is not entered.
 * NULL with h->trap.cause set: a fault. NULL with CAUSE_NONE: registers, or memory that cannot be
 * accessed so, at *ret_pa; for ACCESS_FETCH that is an access fault.
 */
void *tlb_fill(struct hart *h, uint64_t va, enum access access, unsigned size, uint64_t *ret_pa,
	       struct tlb_store *store);

/* mmu.c: the store of `size` bytes at `pa`, for which tlb_fill() gave `store`, was made. */
void tlb_stored(struct hart *h, const struct tlb_store *store, uint64_t pa, unsigned size);

/* tlb.c: after every change of priv, mstatus (MPRV, MPP, SUM, MXR), satp: choose the tables. */
void tlb_select(struct hart *h);
/* Everything of the hart, all modes; new epochs. */
void tlb_flush(struct hart *h);
/* Take the write tags from all entries for the physical page (R3). */
void tlb_protect(struct hart *h, uint64_t page);
/* The same for all pages that logged_is_closing() names. */
void tlb_close_logged(struct hart *h);
/* The page is open now: if it is entered, then for writing, too. */
void tlb_permit(struct hart *h, uint64_t va, uint64_t pa);

#endif
