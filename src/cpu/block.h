/* SPDX-License-Identifier: MIT */
/*
 * Blocks of decoded operations, and the pages that they come from. See block.c.
 */
#ifndef CPU_BLOCK_H
#define CPU_BLOCK_H

#include "cpu/hart.h"
#include "cpu/op.h"

#define BLOCK_HARTS_MAX	  8
#define BLOCK_OPS_MAX	  32
#define BLOCK_JUMPS_COUNT 4096

/*
 * A block is entered only if its epoch is the hart's code_epoch. Links lead to blocks of the same
 * page, or to nothing: 0, what follows the block in memory; 1, where its last operation jumps to.
 */
struct block {
	uint32_t epoch;	   /* 0: never current */
	uint16_t count;	   /* instructions */
	uint16_t bytes;
	struct block *link[2];
	uint64_t pa;
	uint64_t pa_second; /* UINT64_MAX, but for single instructions: block.c R5 */
	struct block *hash_next;
	struct block *page_next[2]; /* among the blocks of its page, and of its second page */
	const uint8_t *raw;	    /* the instructions that were decoded */
	struct op ops[];
};

/* Where a virtual address led to, as long as the epoch is that of the table for fetches. */
struct jump {
	uint64_t pc;
	uint64_t epoch;
	struct block *block;
};

struct page;

struct blocks {
	struct jump jumps[BLOCK_JUMPS_COUNT];
	struct block **hash;
	struct page **pages;
	struct page *free_pages;
	uint8_t *arena;
	size_t used;
	uint64_t generation; /* counts flushes: pointers from before one are void */
	uint64_t decoded;    /* blocks, for statistics and tests */
};

static inline struct jump *block_jump(struct blocks *blocks, uint64_t pc)
{
	return &blocks->jumps[(pc >> 1) & (BLOCK_JUMPS_COUNT - 1)];
}

/*
 * The block at a virtual address, decoded or looked at again if need be; NULL: h->trap is set, with
 * the address as that of the operation. May flush (see generation).
 */
struct block *block_find(struct hart *h, uint64_t pc);

/* The blocks of a hart. h->code_pages and h->id are set before; h->blocks is set by it. */
void blocks_init(struct hart *h);
void blocks_free(struct hart *h);

/* Forget every block: the map changed, or a reset. Context: the hart's thread, not in a block. */
void blocks_flush(struct hart *h);

/*
 * On ATTENTION_CODE, after that bit was cleared (acquire): do what other harts' notes ask for.
 * Context: the hart's thread, between calls of hart_run_blocks().
 */
void blocks_service(struct hart *h);

/* A store into a page of code was made: what was decoded from the page is looked at again. */
void blocks_note_store(struct hart *h, uint64_t pa, unsigned size);

/* fence.i: everything is compared with memory when it is entered next. */
void blocks_fence(struct hart *h);

/* Which pages have decoded code on which hart: one for all harts of a machine. */
struct code_pages *code_pages_new(void);
void code_pages_free(struct code_pages *pages);
/* Does any hart keep code of the page? Any thread. */
bool code_pages_has(struct code_pages *pages, uint64_t pa);

#endif
