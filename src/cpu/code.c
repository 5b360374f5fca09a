/* SPDX-License-Identifier: MIT */
/*
 * Pages of decoded code, as all harts of a machine see them: for each page which harts keep blocks
 * of it, and for each hart what the others have to tell it.
 *
 * R1. A hart sets its bit before it reads the bytes that it decodes, and tells the others, who take
 *     their write tags away. Who fills its TLB asks for the bits before it enters a write tag.
 * R2. Slots are shared by pages 4 GiB apart: a bit too many costs time, one too few is wrong. So a
 *     hart clears its bit only when it keeps nothing of any page of the slot.
 * R3. Notes are bounded. Where they do not fit the hart is told only that there were too many.
 */
#include "cpu/code.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/tlb.h"

#define SLOT_BITS 20

/* What others ask of a hart. */
struct notes {
	pthread_mutex_t lock; /* a leaf */
	struct hart *hart;    /* NULL: there is none */
	unsigned count;	      /* > CODE_NOTES_MAX: R3 */
	uint64_t pages[CODE_NOTES_MAX];
};

struct code_pages {
	_Atomic uint8_t slots[1 << SLOT_BITS];
	struct notes notes[BLOCK_HARTS_MAX];
};

struct code_pages *code_pages_new(void)
{
	struct code_pages *pages = calloc(1, sizeof(*pages));

	if (!pages) {
		fputs("freehold: out of memory for decoded code\n", stderr);
		abort();
	}
	for (unsigned i = 0; i < BLOCK_HARTS_MAX; i++)
		pthread_mutex_init(&pages->notes[i].lock, NULL);
	return pages;
}

void code_pages_free(struct code_pages *pages)
{
	if (!pages)
		return;
	for (unsigned i = 0; i < BLOCK_HARTS_MAX; i++)
		pthread_mutex_destroy(&pages->notes[i].lock);
	free(pages);
}

static inline _Atomic uint8_t *slot_of(struct code_pages *pages, uint64_t pa)
{
	return &pages->slots[(pa >> TLB_PAGE_BITS) & ((1 << SLOT_BITS) - 1)];
}

bool code_pages_share(uint64_t a, uint64_t b)
{
	return (((a ^ b) >> TLB_PAGE_BITS) & ((1 << SLOT_BITS) - 1)) == 0;
}

unsigned code_pages_harts(struct code_pages *pages, uint64_t pa)
{
	/* Pairs with code_pages_set() (R1); who misses it gets a note. */
	return atomic_load_explicit(slot_of(pages, pa), memory_order_seq_cst);
}

bool code_pages_has(struct code_pages *pages, uint64_t pa)
{
	return code_pages_harts(pages, pa) != 0;
}

void code_pages_set(struct code_pages *pages, uint64_t pa, unsigned hart)
{
	/* Pairs with code_pages_harts() (R1). */
	atomic_fetch_or_explicit(slot_of(pages, pa), (uint8_t)(1U << hart), memory_order_seq_cst);
}

void code_pages_clear(struct code_pages *pages, uint64_t pa, unsigned hart)
{
	/* In the one order with the setting. */
	atomic_fetch_and_explicit(slot_of(pages, pa), (uint8_t) ~(1U << hart),
				  memory_order_seq_cst);
}

/* --- Notes ----------------------------------------------------------------------------------- */

static void notes_set_hart(struct notes *notes, struct hart *hart)
{
	pthread_mutex_lock(&notes->lock);
	notes->hart = hart;
	notes->count = 0;
	pthread_mutex_unlock(&notes->lock);
}

void code_pages_attach(struct code_pages *pages, struct hart *h)
{
	notes_set_hart(&pages->notes[h->id], h);
}

void code_pages_detach(struct code_pages *pages, struct hart *h)
{
	notes_set_hart(&pages->notes[h->id], NULL);
}

void code_pages_post(struct code_pages *pages, unsigned to, uint64_t note)
{
	struct notes *notes = &pages->notes[to];

	pthread_mutex_lock(&notes->lock);
	if (notes->hart) {
		if (notes->count < CODE_NOTES_MAX)
			notes->pages[notes->count] = note;
		if (notes->count <= CODE_NOTES_MAX)
			notes->count++;
		/* Release: the acquire is where the hart takes its attention. */
		atomic_fetch_or_explicit(&notes->hart->attention, ATTENTION_CODE,
					 memory_order_release);
	}
	pthread_mutex_unlock(&notes->lock);
}

unsigned code_pages_take(struct code_pages *pages, unsigned hart, uint64_t ret[CODE_NOTES_MAX])
{
	struct notes *notes = &pages->notes[hart];
	unsigned count;

	pthread_mutex_lock(&notes->lock);
	count = notes->count;
	notes->count = 0;
	memcpy(ret, notes->pages,
	       (count < CODE_NOTES_MAX ? count : CODE_NOTES_MAX) * sizeof(ret[0]));
	pthread_mutex_unlock(&notes->lock);
	return count;
}
