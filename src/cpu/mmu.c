/* SPDX-License-Identifier: MIT */
/*
 * From virtual addresses to memory: page tables (priv 4.3 to 4.6), protection, the view of the
 * address space, and the loads and stores that the TLB does not serve.
 *
 * R1. Accessed and dirty bits are never set: a page fault asks software for it (Svade). So an entry
 *     permits writes only if the page is dirty.
 * R2. Between the lookup in the view and the end of the use of a pointer nothing runs a callback:
 *     page tables are read from memory only. What has run one looks at the map's changes before
 *     anything else is used, because a callback may leave the read section.
 * R3. An access that crosses a page is checked in both, down to the memory there, before either
 *     part is done; and one that crosses the end of a piece of memory in the map, in all of its
 *     pieces. Registers are no part of such accesses: what they refuse is known too late (priv
 *     3.6.2 leaves misaligned accesses to each region).
 */
#include "cpu/block.h"
#include "cpu/logged.h"
#include "cpu/privileged.h"
#include "cpu/tlb.h"

#include <freehold/dirty.h>
#include <string.h>

/* Page table entries: priv 4.4.1. */
#define PTE_V	      (UINT64_C(1) << 0)
#define PTE_R	      (UINT64_C(1) << 1)
#define PTE_W	      (UINT64_C(1) << 2)
#define PTE_X	      (UINT64_C(1) << 3)
#define PTE_U	      (UINT64_C(1) << 4)
#define PTE_A	      (UINT64_C(1) << 6)
#define PTE_D	      (UINT64_C(1) << 7)
#define PTE_PPN_SHIFT 10
/* N, PBMT and what is reserved above the page number: no extension here uses them. */
#define PTE_RESERVED (UINT64_C(0x3ff) << 54)

#define VPN_BITS 9

/* How an access is made. */
struct how {
	enum access access;
	enum priv priv; /* effective */
	bool sum, mxr;
};

/* What an address means. */
struct translation {
	uint64_t pa;
	uint64_t leaf_size;
	unsigned perms; /* PERM_*: of the page, to `how` */
};

static struct how how_of(const struct hart *h, enum access access)
{
	struct how how = {
		.access = access,
		.priv = h->priv,
		.sum = h->mstatus & MSTATUS_SUM,
		.mxr = h->mstatus & MSTATUS_MXR,
	};

	if (access != ACCESS_FETCH && (h->mstatus & MSTATUS_MPRV))
		how.priv = (h->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT;
	return how;
}

static bool page_fault(struct hart *h, enum access access, uint64_t va)
{
	static const uint8_t causes[] = {CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, CAUSE_FETCH_PAGE};

	hart_raise(h, causes[access], va);
	return false;
}

static bool access_fault(struct hart *h, enum access access, uint64_t va)
{
	static const uint8_t causes[] = {CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, CAUSE_FETCH_ACCESS};

	hart_raise(h, causes[access], va);
	return false;
}

static unsigned perm_of(enum access access)
{
	return access == ACCESS_LOAD ? PERM_R : access == ACCESS_STORE ? PERM_W : PERM_X;
}

/* --- Page tables ------------------------------------------------------------------------------ */

static bool pte_load(struct hart *h, uint64_t addr, uint64_t *ret)
{
	const struct fh_attrs attrs = {.memory_only = true}; /* R2 */
	bool partial;

	if (!(pmp_permissions(h, addr, 8, PRIV_S, &partial) & PERM_R))
		return false;
	return fh_space_load(h->memory, addr, 8, FH_LE, attrs, ret) == FH_TX_OK;
}

/* priv 4.3.2, step 5, and R1: what the leaf lets such accesses do. */
static unsigned leaf_perms(uint64_t pte, const struct how *how)
{
	unsigned perms = (pte >> 1) & PERM_ALL;

	if (!(pte & PTE_A))
		return 0;
	if (!(pte & PTE_D))
		perms &= ~PERM_W;
	if (how->mxr && (perms & PERM_X))
		perms |= PERM_R;
	if (how->priv == PRIV_U)
		return pte & PTE_U ? perms : 0;
	if (!(pte & PTE_U))
		return perms;
	/* Never does S-mode execute pages of users. */
	return how->sum ? perms & ~PERM_X : 0;
}

/* Nothing lets a leaf or a pointer be like this: steps 3 and 6. */
static bool leaf_is_reserved(uint64_t pte, unsigned level)
{
	const uint64_t below = (UINT64_C(1) << (VPN_BITS * level)) - 1;

	return (pte & (PTE_R | PTE_W)) == PTE_W || ((pte >> PTE_PPN_SHIFT) & below);
}

/* priv 4.3.2, for 3, 4 or 5 levels. */
static bool walk(struct hart *h, uint64_t va, const struct how *how, struct translation *ret)
{
	const unsigned levels = SATP_MODE(h->satp) - SATP_SV39 + 3;
	const unsigned unused = 64 - (TLB_PAGE_BITS + VPN_BITS * levels);
	uint64_t table = (h->satp & SATP_PPN) << TLB_PAGE_BITS;

	if ((uint64_t)((int64_t)(va << unused) >> unused) != va)
		return page_fault(h, how->access, va);
	for (unsigned level = levels; level-- > 0;) {
		const unsigned shift = TLB_PAGE_BITS + VPN_BITS * level;
		const uint64_t vpn = (va >> shift) & ((1 << VPN_BITS) - 1);
		const uint64_t below = (UINT64_C(1) << shift) - 1;
		uint64_t pte;

		if (!pte_load(h, table + vpn * 8, &pte))
			return access_fault(h, how->access, va);
		if (!(pte & PTE_V) || (pte & PTE_RESERVED))
			return page_fault(h, how->access, va);
		table = ((pte >> PTE_PPN_SHIFT) & SATP_PPN) << TLB_PAGE_BITS;
		if (!(pte & (PTE_R | PTE_W | PTE_X))) {
			if (pte & (PTE_U | PTE_A | PTE_D)) /* reserved in pointers */
				return page_fault(h, how->access, va);
			continue;
		}
		if (leaf_is_reserved(pte, level))
			return page_fault(h, how->access, va);
		ret->pa = table | (va & below);
		ret->leaf_size = below + 1;
		ret->perms = leaf_perms(pte, how);
		return true;
	}
	return page_fault(h, how->access, va);
}

/* The translation, with the page's permissions checked, but not what lies there. */
static bool translate(struct hart *h, uint64_t va, const struct how *how, struct translation *ret)
{
	if (how->priv == PRIV_M || SATP_MODE(h->satp) == SATP_BARE) {
		ret->pa = va;
		ret->leaf_size = TLB_PAGE_SIZE;
		ret->perms = PERM_ALL;
		return true;
	}
	if (!walk(h, va, how, ret))
		return false;
	return (ret->perms & perm_of(how->access)) || page_fault(h, how->access, va);
}

bool hart_translate(struct hart *h, uint64_t va, unsigned size, enum access access,
		    uint64_t *ret_pa)
{
	const struct how how = how_of(h, access);
	struct translation t;
	bool partial;

	if (!translate(h, va, &how, &t))
		return false;
	if (!(pmp_permissions(h, t.pa, size, how.priv, &partial) & perm_of(access)))
		return access_fault(h, access, va);
	*ret_pa = t.pa;
	return true;
}

/* --- Filling ---------------------------------------------------------------------------------- */

static bool has_code(const struct hart *h, uint64_t pa)
{
	return h->code_pages && code_pages_has(h->code_pages, pa);
}

/* What the section lets one do directly, whatever page tables and PMP say. */
static unsigned section_perms(const struct fh_section *section)
{
	if (!section->ptr || section->device) /* a device's memory is no RAM: each access counts */
		return 0;
	return section->readonly || section->rom_mode ? PERM_R | PERM_X : PERM_ALL;
}

/* Is all of it memory that can be accessed so, in however many pieces? */
static bool is_memory(const struct hart *h, uint64_t first, uint64_t last, enum access access)
{
	struct fh_section section;

	do {
		if (!fh_space_lookup(h->memory, first, &section) ||
		    !(section_perms(&section) & perm_of(access)))
			return false;
		first = section.last + 1;
	} while (section.last < last);
	return true;
}

/*
 * Into the TLB, if the whole page is memory of one kind under one protection. True: it would have
 * been entered for writing, if it were open.
 */
static bool enter_page(struct hart *h, uint64_t va, const struct how *how,
		       const struct translation *t, const struct fh_section *section, bool code)
{
	const uint64_t page = t->pa & TLB_PAGE_MASK;
	unsigned perms = t->perms & section_perms(section);
	bool partial;

	if (section->first > page || section->last - page < TLB_PAGE_SIZE - 1)
		return false;
	perms &= pmp_permissions(h, page, TLB_PAGE_SIZE, how->priv, &partial);
	if (partial)
		return false;
	const uint64_t offset = section->offset + (page - section->first);
	/* Only what is one page of the log's, too. */
	const bool opens = section->log_mask && !code && (perms & PERM_W) &&
			   offset % FH_DIRTY_PAGE == 0;

	if (code || (section->log_mask &&
		     !(opens && logged_is_open(h, page, section->region, offset))))
		perms &= ~PERM_W; /* tlb.h R3 */
	tlb_enter(h, va, page, (char *)section->ptr + (page - section->first), perms,
		  how->access == ACCESS_FETCH, t->leaf_size);
	return opens;
}

void *tlb_fill(struct hart *h, uint64_t va, enum access access, unsigned size, uint64_t *ret_pa,
	       struct tlb_store *store)
{
	const struct how how = how_of(h, access);
	struct fh_section section;
	struct translation t;
	bool partial, has, opens;

	h->trap.cause = CAUSE_NONE;
	if (!translate(h, va, &how, &t))
		return NULL;
	*ret_pa = t.pa;
	if (!(pmp_permissions(h, t.pa, size, how.priv, &partial) & perm_of(access))) {
		access_fault(h, access, va);
		return NULL;
	}
	if (!fh_space_lookup(h->memory, t.pa, &section) ||
	    !(section_perms(&section) & perm_of(access)))
		return NULL;
	if (section.last - t.pa < size - 1) {
		if (!is_memory(h, section.last + 1, t.pa + (size - 1), access)) /* R3 */
			access_fault(h, access, va);
		return NULL;
	}
	has = access != ACCESS_FETCH && has_code(h, t.pa);
	opens = enter_page(h, va, &how, &t, &section, has);
	if (store)
		*store = (struct tlb_store){
			.code = has,
			.logged = section.log_mask ? section.region : NULL,
			.offset = section.offset + (t.pa - section.first),
			.va = va,
			.opens = opens,
		};
	return (char *)section.ptr + (t.pa - section.first);
}

void tlb_stored(struct hart *h, const struct tlb_store *store, uint64_t pa, unsigned size)
{
	if (store->logged) {
		/* In this order: logged.c R1. */
		const bool open = store->opens && logged_open(h, pa, store->logged,
							      store->offset & TLB_PAGE_MASK);

		fh_dirty_mark(store->logged, store->offset, size);
		if (open)
			tlb_permit(h, store->va, pa);
	}
	if (store->code)
		blocks_note_store(h, pa, size);
}

/* --- The slow way ----------------------------------------------------------------------------- */

static struct fh_attrs attrs_of(const struct hart *h)
{
	const struct how how = how_of(h, ACCESS_LOAD);

	return (struct fh_attrs){.user = how.priv == PRIV_U};
}

/* R2. Blocks cannot go while one of them runs: hart.c flushes them. */
static void look_at_map_changes(struct hart *h)
{
	/* Relaxed: for the hart's own eyes. */
	if (tlb_look_at_map_changes(h))
		atomic_fetch_or_explicit(&h->attention, ATTENTION_MAP, memory_order_relaxed);
}

/*
 * Aligned accesses are made in one piece, as other harts may look on (unprivileged specification,
 * RVWMO). Relaxed: ordering is what fences are for.
 */
static uint64_t memory_load(const void *p, unsigned size)
{
	uint64_t value = 0;

	if ((uintptr_t)p & (size - 1) || (size & (size - 1))) {
		memcpy(&value, p, size);
		return value;
	}
	switch (size) {
	case 1:
		return __atomic_load_n((const uint8_t *)p, __ATOMIC_RELAXED);
	case 2:
		return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
	case 4:
		return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
	default:
		return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
	}
}

static void memory_store(void *p, unsigned size, uint64_t value)
{
	if ((uintptr_t)p & (size - 1) || (size & (size - 1))) {
		memcpy(p, &value, size);
		return;
	}
	switch (size) {
	case 1:
		__atomic_store_n((uint8_t *)p, (uint8_t)value, __ATOMIC_RELAXED);
		break;
	case 2:
		__atomic_store_n((uint16_t *)p, (uint16_t)value, __ATOMIC_RELAXED);
		break;
	case 4:
		__atomic_store_n((uint32_t *)p, (uint32_t)value, __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n((uint64_t *)p, value, __ATOMIC_RELAXED);
		break;
	}
}

/* Within a page. */
static bool load_whole(struct hart *h, uint64_t va, unsigned size, uint64_t *ret)
{
	enum fh_tx tx;
	uint64_t pa;
	const void *const p = tlb_fill(h, va, ACCESS_LOAD, size, &pa, NULL);

	if (p) {
		*ret = memory_load(p, size);
		return true;
	}
	if (h->trap.cause != CAUSE_NONE)
		return false;
	logged_pause(h);
	tx = fh_space_load(h->memory, pa, size, FH_LE, attrs_of(h), ret);
	logged_resume(h);
	look_at_map_changes(h);
	return tx == FH_TX_OK || access_fault(h, ACCESS_LOAD, va);
}

static bool store_whole(struct hart *h, uint64_t va, unsigned size, uint64_t value)
{
	struct tlb_store store;
	enum fh_tx tx;
	uint64_t pa;
	void *const p = tlb_fill(h, va, ACCESS_STORE, size, &pa, &store);

	if (p) {
		memory_store(p, size, value);
		tlb_stored(h, &store, pa, size);
		return true;
	}
	if (h->trap.cause != CAUSE_NONE)
		return false;
	logged_pause(h);
	tx = fh_space_store(h->memory, pa, size, FH_LE, attrs_of(h), value);
	logged_resume(h);
	look_at_map_changes(h);
	return tx == FH_TX_OK || access_fault(h, ACCESS_STORE, va);
}

/* How much of the access lies in the first page. */
static unsigned first_part(uint64_t va, unsigned size)
{
	const uint64_t room = TLB_PAGE_SIZE - (va & ~TLB_PAGE_MASK);

	return room < size ? (unsigned)room : size;
}

/* Memory on both sides of a page border; or false, and h->trap is set (R3). */
struct parts {
	void *low, *high;
	uint64_t low_pa, high_pa;
	struct tlb_store low_store, high_store;
};

static void *part_find(struct hart *h, uint64_t va, unsigned size, enum access access,
		       uint64_t *ret_pa, struct tlb_store *ret_store)
{
	void *const p = tlb_fill(h, va, access, size, ret_pa, ret_store);

	if (!p && h->trap.cause == CAUSE_NONE)
		access_fault(h, access, va);
	return p;
}

static bool parts_find(struct hart *h, uint64_t va, unsigned first, unsigned size,
		       enum access access, struct parts *ret)
{
	ret->low = part_find(h, va, first, access, &ret->low_pa, &ret->low_store);
	if (!ret->low)
		return false;
	ret->high = part_find(h, va + first, size - first, access, &ret->high_pa,
			      &ret->high_store);
	return ret->high;
}

bool hart_load_slow(struct hart *h, uint64_t va, unsigned size, uint64_t *ret)
{
	const unsigned first = first_part(va, size);
	struct parts parts;

	if (first == size)
		return load_whole(h, va, size, ret);
	if (!parts_find(h, va, first, size, ACCESS_LOAD, &parts))
		return false;
	*ret = memory_load(parts.low, first) | memory_load(parts.high, size - first) << (8 * first);
	return true;
}

bool hart_store_slow(struct hart *h, uint64_t va, unsigned size, uint64_t value)
{
	const unsigned first = first_part(va, size);
	struct parts parts;

	if (first == size)
		return store_whole(h, va, size, value);
	if (!parts_find(h, va, first, size, ACCESS_STORE, &parts))
		return false;
	memory_store(parts.low, first, value);
	memory_store(parts.high, size - first, value >> (8 * first));
	tlb_stored(h, &parts.low_store, parts.low_pa, first);
	tlb_stored(h, &parts.high_store, parts.high_pa, size - first);
	return true;
}
