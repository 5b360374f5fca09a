/* SPDX-License-Identifier: MIT */
/*
 * Page tables for the hart of support/hart.h.
 */
#ifndef SUPPORT_PAGES_H
#define SUPPORT_PAGES_H

#include "support/hart.h"

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
enum { SATP = 0x180 };

#define ROOT  (RAM_BASE + 0x100000)
#define TABLE (RAM_BASE + 0x110000) /* more of them, a page apart */
#define PAGE  (RAM_BASE + 0x200000) /* what is mapped */
#define VA    UINT64_C(0x1234567000)

static inline uint64_t pte(uint64_t pa, unsigned bits)
{
	return pa >> 12 << 10 | bits;
}

/* Maps @va with @leaf at @level; tables are those at TABLE, one for each level. */
static inline void map(struct rack *r, unsigned levels, uint64_t va, unsigned level, uint64_t leaf)
{
	uint64_t table = ROOT;

	for (unsigned i = levels; i-- > level;) {
		const uint64_t slot = table + ((va >> (12 + 9 * i)) & 511) * 8;

		if (i == level) {
			ram_put(r, slot, leaf);
		} else {
			table = TABLE + i * 0x1000;
			ram_put(r, slot, pte(table, V));
		}
	}
}

static inline void turn_on(struct rack *r, unsigned levels)
{
	csr_put(r, SATP, (uint64_t)(levels + 5) << 60 | ROOT >> 12);
	rack_priv(r, PRIV_S);
}

static inline void set_up_page(struct rack *r, unsigned bits)
{
	map(r, 3, VA, 0, pte(PAGE, bits));
	turn_on(r, 3);
}

static inline bool loads(struct rack *r, uint64_t va)
{
	uint64_t value;

	return hart_load_slow(&r->h, va, 8, &value);
}

static inline bool stores(struct rack *r, uint64_t va)
{
	return hart_store_slow(&r->h, va, 8, 0x77);
}

static inline bool fetches(struct rack *r, uint64_t va)
{
	uint64_t pa;

	return tlb_fill(&r->h, va, ACCESS_FETCH, 2, &pa, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rack_set_up, rack_tear_down)

#endif
