/* SPDX-License-Identifier: MIT */
/*
 * Which pages have decoded code, among all harts of a machine, and what harts tell each other about
 * them. See code.c; new, free and has are in cpu.h and block.h.
 */
#ifndef CPU_CODE_H
#define CPU_CODE_H

#include "cpu/block.h"

#define CODE_NOTES_MAX	 64
#define CODE_NOTE_STORED 1 /* bit 0 of a note: the page was stored to; else: it has code now */

/* Pages whose numbers are alike in the low bits share a slot. */
bool code_pages_share(uint64_t a, uint64_t b);
/* Bit n: hart n keeps blocks of such a page. */
unsigned code_pages_harts(struct code_pages *pages, uint64_t pa);
void code_pages_set(struct code_pages *pages, uint64_t pa, unsigned hart);
void code_pages_clear(struct code_pages *pages, uint64_t pa, unsigned hart);

/* From now on, or no more, notes for its number go to this hart. */
void code_pages_attach(struct code_pages *pages, struct hart *h);
void code_pages_detach(struct code_pages *pages, struct hart *h);
/* A note (page address, CODE_NOTE_*) for a hart, if there is such a one. Any thread. */
void code_pages_post(struct code_pages *pages, unsigned to, uint64_t note);
/* The notes for a hart, which are gone then; more than CODE_NOTES_MAX: some were lost. */
unsigned code_pages_take(struct code_pages *pages, unsigned hart, uint64_t ret[CODE_NOTES_MAX]);

#endif
