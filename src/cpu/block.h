/* SPDX-License-Identifier: MIT */
/*
 * Blocks of decoded operations, and the pages that they come from. See block.c.
 */
#ifndef CPU_BLOCK_H
#define CPU_BLOCK_H

#include "cpu/hart.h"

#define BLOCK_HARTS_MAX 8

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
