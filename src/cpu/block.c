/* SPDX-License-Identifier: MIT */
/*
 * Blocks: found by physical address, decoded once, looked at again when their bytes may have
 * changed.
 *
 * Two things make a block stale: a store into its page (by any hart, told to blocks_note_store()),
 * and a fence.i, which covers what no hart stored: DMA. A stale block is not thrown away: when it
 * is entered next, its bytes are compared with memory, and as a rule they are the same.
 *
 * R1. A block belongs to one hart. What another hart stores reaches it as a note, looked at when
 *     that hart's attention is; the architecture promises nothing before its own fence.i.
 * R2. A hart that keeps blocks of a page has its bit in struct code_pages (code.c), set before the
 *     bytes are read. While there is a bit, no TLB has a write entry for the page (but for entries
 *     that a note is on its way to, see R1).
 * R3. A dead block (page let go, bytes changed) has epoch 0 for ever and stays in the arena until
 *     the next flush: links and jumps may still lead to it, and find it not current.
 * R4. A page that is stored to again and again without any of its blocks being entered is data now:
 *     it is let go, and stores to it are fast again.
 * R5. A block whose page can be fetched from as a whole has pa_second UINT64_MAX. Others are single
 *     instructions, never linked to: one that goes on in the next page (pa_second is where), and,
 *     with bit 0 of pa_second, those of pages of which a part may not be fetched (PMP, end of
 *     memory), which are asked for each time.
 */
#include "cpu/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/code.h"
#include "cpu/tlb.h"

#define ARENA_SIZE	 (48U << 20)
#define HASH_BITS	 16
#define PAGES_BITS	 12
#define STORES_MAX	 64

/* A page of code, of one hart. */
struct page {
	uint64_t pa;
	struct page *next;
	struct block *blocks[2]; /* that begin in it, that end in it */
	unsigned stores;	 /* since one of its blocks was found current (R4) */
};

static void *block_calloc(size_t count, size_t size)
{
	void *ptr = calloc(count, size);

	if (!ptr) {
		fputs("freehold: out of memory for decoded code\n", stderr);
		abort();
	}
	return ptr;
}

/* --- Pages ----------------------------------------------------------------------------------- */

static inline struct page **page_bucket(struct blocks *blocks, uint64_t pa)
{
	return &blocks->pages[(pa >> TLB_PAGE_BITS) & ((1 << PAGES_BITS) - 1)];
}

static struct page *page_find(struct blocks *blocks, uint64_t pa)
{
	struct page *page = *page_bucket(blocks, pa);

	pa &= TLB_PAGE_MASK;
	while (page && page->pa != pa)
		page = page->next;
	return page;
}

static struct page *page_new(struct hart *h, uint64_t pa)
{
	struct blocks *blocks = h->blocks;
	struct page *page = blocks->free_pages;

	if (page)
		blocks->free_pages = page->next;
	else
		page = block_calloc(1, sizeof(*page));
	pa &= TLB_PAGE_MASK;
	*page = (struct page){ .pa = pa, .next = *page_bucket(blocks, pa) };
	*page_bucket(blocks, pa) = page;
	code_pages_set(h->code_pages, pa, h->id);
	tlb_protect(h, pa);
	for (unsigned i = 0; i < BLOCK_HARTS_MAX; i++)
		if (i != h->id)
			code_pages_post(h->code_pages, i, pa);
	return page;
}

static struct page *page_get(struct hart *h, uint64_t pa)
{
	struct page *page = page_find(h->blocks, pa);

	return page ? page : page_new(h, pa);
}

static void page_unlink_block(struct page *page, struct block *block, unsigned which)
{
	struct block **at = &page->blocks[which];

	while (*at != block)
		at = &(*at)->page_next[which];
	*at = block->page_next[which];
}

static inline struct block **block_bucket(struct blocks *blocks, uint64_t pa)
{
	const uint64_t hash = (pa >> 1) * UINT64_C(0x9e3779b97f4a7c15);

	return &blocks->hash[hash >> (64 - HASH_BITS)];
}

/* R3. */
static void block_kill(struct blocks *blocks, struct block *block)
{
	struct block **at = block_bucket(blocks, block->pa);

	while (*at != block)
		at = &(*at)->hash_next;
	*at = block->hash_next;
	block->epoch = 0;
	page_unlink_block(page_find(blocks, block->pa), block, 0);
	if (block->pa_second != UINT64_MAX)
		page_unlink_block(page_find(blocks, block->pa_second), block, 1);
}

/*
 * The hart keeps nothing of the page any more: its bit goes, unless another page shares the slot.
 */
static void page_leave_slot(struct hart *h, uint64_t pa)
{
	for (struct page *page = *page_bucket(h->blocks, pa); page; page = page->next)
		if (code_pages_share(page->pa, pa))
			return;
	code_pages_clear(h->code_pages, pa, h->id);
}

/* R4. */
static void page_release(struct hart *h, struct page *page)
{
	struct blocks *blocks = h->blocks;
	struct page **at = page_bucket(blocks, page->pa);

	for (unsigned which = 0; which < 2; which++)
		while (page->blocks[which])
			block_kill(blocks, page->blocks[which]);
	while (*at != page)
		at = &(*at)->next;
	*at = page->next;
	page_leave_slot(h, page->pa);
	page->next = blocks->free_pages;
	blocks->free_pages = page;
}

static void page_stored(struct hart *h, uint64_t pa)
{
	struct page *page = page_find(h->blocks, pa);

	if (!page)
		return;
	if (++page->stores > STORES_MAX) {
		page_release(h, page);
		return;
	}
	if (page->stores > 1)
		return; /* all of them are stale already */
	for (unsigned which = 0; which < 2; which++)
		for (struct block *b = page->blocks[which]; b; b = b->page_next[which])
			b->epoch = 0;
}

/* A block of the page is current again, or new. */
static void page_entered(struct blocks *blocks, const struct block *block)
{
	page_find(blocks, block->pa)->stores = 0;
	if (block->pa_second != UINT64_MAX)
		page_find(blocks, block->pa_second)->stores = 0;
}

static void page_note_store(struct hart *h, uint64_t pa)
{
	const unsigned harts = code_pages_harts(h->code_pages, pa);

	for (unsigned i = 0; i < BLOCK_HARTS_MAX; i++) {
		if (!(harts & (1U << i)))
			continue;
		if (i == h->id)
			page_stored(h, pa);
		else
			code_pages_post(h->code_pages, i, (pa & TLB_PAGE_MASK) | CODE_NOTE_STORED);
	}
}

void blocks_note_store(struct hart *h, uint64_t pa, unsigned size)
{
	page_note_store(h, pa);
	if ((pa ^ (pa + size - 1)) & TLB_PAGE_MASK)
		page_note_store(h, pa + size - 1);
}

void blocks_service(struct hart *h)
{
	uint64_t pages[CODE_NOTES_MAX];
	const unsigned count = code_pages_take(h->code_pages, h->id, pages);

	if (count > CODE_NOTES_MAX) {
		tlb_flush(h);
		blocks_fence(h);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		if (pages[i] & CODE_NOTE_STORED)
			page_stored(h, pages[i]);
		else
			tlb_protect(h, pages[i]);
	}
}

/* --- All of them ----------------------------------------------------------------------------- */

void blocks_init(struct hart *h)
{
	struct blocks *blocks = block_calloc(1, sizeof(*blocks));

	blocks->hash = block_calloc(1 << HASH_BITS, sizeof(blocks->hash[0]));
	blocks->pages = block_calloc(1 << PAGES_BITS, sizeof(blocks->pages[0]));
	blocks->arena = block_calloc(1, ARENA_SIZE);
	h->blocks = blocks;
	h->code_epoch = 1;
	code_pages_attach(h->code_pages, h);
}

void blocks_flush(struct hart *h)
{
	struct blocks *blocks = h->blocks;

	for (unsigned i = 0; i < 1 << PAGES_BITS; i++) {
		while (blocks->pages[i]) {
			struct page *page = blocks->pages[i];

			blocks->pages[i] = page->next;
			page_leave_slot(h, page->pa);
			page->next = blocks->free_pages;
			blocks->free_pages = page;
		}
	}
	memset(blocks->hash, 0, sizeof(blocks->hash[0]) << HASH_BITS);
	memset(blocks->jumps, 0, sizeof(blocks->jumps));
	blocks->used = 0;
	blocks->generation++;
	h->code_epoch = 1;
}

void blocks_free(struct hart *h)
{
	struct blocks *blocks = h->blocks;

	if (!blocks)
		return;
	code_pages_detach(h->code_pages, h);
	blocks_flush(h);
	while (blocks->free_pages) {
		struct page *page = blocks->free_pages;

		blocks->free_pages = page->next;
		free(page);
	}
	free(blocks->arena);
	free(blocks->pages);
	free(blocks->hash);
	free(blocks);
	h->blocks = NULL;
}

void blocks_fence(struct hart *h)
{
	if (++h->code_epoch == 0)
		blocks_flush(h);
}

/* --- Finding and decoding -------------------------------------------------------------------- */

/* Where the bytes of a block are; those of a single instruction may be apart (R5). */
struct source {
	uint64_t pa, pa_second;
	const uint8_t *host, *host_second;
	bool single;
};

/* *ret_whole: the table for fetches has the page, so that all of it may be fetched alike. */
static const uint8_t *fetch(struct hart *h, uint64_t va, uint64_t *ret_pa, bool *ret_whole)
{
	const struct tlb_entry *entry = tlb_at(h->fetch_tlb->entries, tlb_mask(h->fetch_tlb), va);
	const uint8_t *host;

	*ret_whole = true;
	if (entry->fetch == (va & TLB_PAGE_MASK)) {
		*ret_pa = tlb_physical(h->fetch_tlb, va);
		return tlb_host(entry, va);
	}
	host = tlb_fill(h, va, ACCESS_FETCH, 2, ret_pa, NULL);
	if (!host && h->trap.cause == CAUSE_NONE)
		hart_raise(h, CAUSE_FETCH_ACCESS, va);
	entry = tlb_at(h->fetch_tlb->entries, tlb_mask(h->fetch_tlb), va);
	*ret_whole = entry->fetch == (va & TLB_PAGE_MASK);
	return host;
}

/* Another hart may be storing there. */
static uint32_t fetch_half(const uint8_t *host)
{
	return __atomic_load_n((const uint16_t *)host, __ATOMIC_RELAXED);
}

static bool source_find(struct hart *h, uint64_t pc, struct source *ret)
{
	bool whole, whole_second = true, compressed;

	*ret = (struct source){ .pa_second = UINT64_MAX };
	ret->host = fetch(h, pc, &ret->pa, &whole);
	if (!ret->host)
		return false;
	compressed = op_is_compressed(fetch_half(ret->host));
	if (whole && (compressed || (pc & ~TLB_PAGE_MASK) != TLB_PAGE_SIZE - 2))
		return true;
	ret->single = true;
	ret->pa_second = ret->pa;
	if (!compressed) {
		ret->host_second = fetch(h, pc + 2, &ret->pa_second, &whole_second);
		if (!ret->host_second)
			return false;
	}
	ret->pa_second |= !whole || !whole_second;
	return true;
}

static uint32_t raw_half(const uint8_t *raw)
{
	return raw[0] | (uint32_t)raw[1] << 8;
}

static bool source_equals(const struct source *source, const struct block *block)
{
	if (source->host_second)
		return fetch_half(source->host) == raw_half(block->raw) &&
		       fetch_half(source->host_second) == raw_half(block->raw + 2);
	for (unsigned i = 0; i < block->bytes; i += 2)
		if (fetch_half(source->host + i) != raw_half(block->raw + i))
			return false;
	return true;
}

static void decode_one(struct hart *h, struct op *op, uint32_t insn, unsigned offset)
{
	uint32_t whole = insn;

	if (op_is_compressed(insn))
		whole = h->isa.c ? op_expand((uint16_t)insn) : 0;
	op_decode(&h->isa, whole, op);
	if (op->code == OP_ILLEGAL)
		op->imm = (int32_t)insn;
	op->offset = (uint8_t)(offset / 2);
	/* Jumps count from the start of their block. */
	if (op->code >= OP_BEQ && op->code <= OP_JAL)
		op->imm += (int32_t)offset;
}

/* Decode into ops and raw; returns the number of instructions. */
static unsigned decode_run(struct hart *h, const struct source *source, struct op *ops,
			   uint8_t *raw, unsigned *ret_bytes)
{
	const unsigned room = (unsigned)(TLB_PAGE_SIZE - (source->pa & ~TLB_PAGE_MASK));
	const unsigned most = source->single ? 1 : BLOCK_OPS_MAX;
	unsigned count = 0, at = 0;

	while (count < most && at < room) {
		uint32_t insn = fetch_half(source->host + at);
		unsigned size = 2;

		if (!op_is_compressed(insn)) {
			if (at + 4 > room && !source->host_second)
				break; /* it goes on in the next page: a block of its own */
			insn |= fetch_half(source->host_second ? source->host_second :
								 source->host + at + 2)
				<< 16;
			size = 4;
		}
		memcpy(raw + at, &insn, size);
		decode_one(h, &ops[count], insn, at);
		at += size;
		if (ops[count++].code >= OP_FIRST_TERMINATOR)
			break;
	}
	if (ops[count - 1].code < OP_FIRST_TERMINATOR)
		ops[count] = (struct op){ .code = OP_END, .offset = (uint8_t)(at / 2) };
	*ret_bytes = at;
	return count;
}

static void *arena_take(struct hart *h, size_t size)
{
	struct blocks *blocks = h->blocks;
	void *ptr;

	size = (size + 15) & ~(size_t)15;
	if (ARENA_SIZE - blocks->used < size)
		blocks_flush(h);
	ptr = blocks->arena + blocks->used;
	blocks->used += size;
	return ptr;
}

static struct block *block_decode(struct hart *h, const struct source *source)
{
	struct op ops[BLOCK_OPS_MAX + 1];
	uint8_t raw[BLOCK_OPS_MAX * 4];
	struct block *block, **bucket;
	struct page *page;
	unsigned count, total, bytes;

	/* R2: the pages are marked before the bytes are read; a flush would undo it. */
	if (ARENA_SIZE - h->blocks->used < sizeof(*block) + sizeof(ops) + sizeof(raw) + 16)
		blocks_flush(h);
	page = page_get(h, source->pa);
	if (source->single)
		page_get(h, source->pa_second);
	count = decode_run(h, source, ops, raw, &bytes);
	total = count + (ops[count - 1].code < OP_FIRST_TERMINATOR);
	exec_bind(ops, total);

	block = arena_take(h, sizeof(*block) + total * sizeof(ops[0]) + bytes);
	bucket = block_bucket(h->blocks, source->pa);
	*block = (struct block){
		.count = (uint16_t)count,
		.bytes = (uint16_t)bytes,
		.pa = source->pa,
		.pa_second = source->pa_second,
		.hash_next = *bucket,
		.page_next = { page->blocks[0] },
		.raw = (const uint8_t *)&block->ops[total],
	};
	memcpy(block->ops, ops, total * sizeof(ops[0]));
	memcpy((uint8_t *)&block->ops[total], raw, bytes);
	*bucket = block;
	page->blocks[0] = block;
	if (source->single) {
		page = page_find(h->blocks, source->pa_second);
		block->page_next[1] = page->blocks[1];
		page->blocks[1] = block;
	}
	h->blocks->decoded++;
	return block;
}

struct block *block_find(struct hart *h, uint64_t pc)
{
	struct source source;
	struct block *block;

	if (!source_find(h, pc, &source))
		return NULL;
	block = *block_bucket(h->blocks, source.pa);
	while (block && (block->pa != source.pa || block->pa_second != source.pa_second))
		block = block->hash_next;
	if (block && block->epoch != h->code_epoch && !source_equals(&source, block)) {
		block_kill(h->blocks, block);
		block = NULL;
	}
	if (!block)
		block = block_decode(h, &source);
	if (block->epoch != h->code_epoch) {
		block->epoch = h->code_epoch;
		page_entered(h->blocks, block);
	}
	return block;
}
