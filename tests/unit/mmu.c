/* SPDX-License-Identifier: MIT */
/*
 * Page tables, by the RISC-V Privileged Architecture 1.12, sections 4.3 to 4.6, with Svade.
 */
#include "support/pages.h"

enum { MSTATUS = 0x300 };

static void assert_faults(struct rack *r, bool load, bool store, bool fetch)
{
	assert_int_equal(loads(r, VA), !load);
	if (load)
		assert_trap(r, CAUSE_LOAD_PAGE, VA);
	assert_int_equal(stores(r, VA), !store);
	if (store)
		assert_trap(r, CAUSE_STORE_PAGE, VA);
	assert_int_equal(fetches(r, VA), !fetch);
	if (fetch)
		assert_trap(r, CAUSE_FETCH_PAGE, VA);
}

/* 4.4.1, 4.5.1, 4.6.1 */
static void pages_are_found_through_3_4_and_5_levels(void **state)
{
	struct rack *r = *state;

	for (unsigned levels = 3; levels <= 5; levels++) {
		const uint64_t va = UINT64_C(0x123456789abcd000) &
				    ((UINT64_C(1) << (11 + 9 * levels)) - 1);
		uint64_t pa;

		rack_priv(r, PRIV_M);
		map(r, levels, va, 0, pte(PAGE, V | R | A));
		turn_on(r, levels);
		assert_true(hart_translate(&r->h, va + 0x123, 1, ACCESS_LOAD, &pa));
		assert_int_equal(pa, PAGE + 0x123);
	}
}

static void upper_half_is_found_too(void **state)
{
	const uint64_t va = UINT64_C(0xffffffe000001000);
	struct rack *r = *state;
	uint64_t pa;

	map(r, 3, va, 0, pte(PAGE, V | R | A));
	turn_on(r, 3);
	assert_true(hart_translate(&r->h, va, 1, ACCESS_LOAD, &pa));
	assert_int_equal(pa, PAGE);
}

/* 4.4.1: bits 63 to 39 all equal to bit 38 */
static void addresses_that_are_not_canonical_fault(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | W | A | D);
	assert_false(loads(r, VA | UINT64_C(1) << 39));
	assert_trap(r, CAUSE_LOAD_PAGE, VA | UINT64_C(1) << 39);
	assert_false(stores(r, VA | UINT64_C(1) << 63));
	assert_trap(r, CAUSE_STORE_PAGE, VA | UINT64_C(1) << 63);
}

/* 4.3.1 and 4.3.2, step 5 */
static void permissions_are_those_of_the_leaf(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | A | D);
	assert_faults(r, false, true, true);
	map(r, 3, VA, 0, pte(PAGE, V | R | W | A | D));
	tlb_fence(&r->h, NULL);
	assert_faults(r, false, false, true);
	map(r, 3, VA, 0, pte(PAGE, V | X | A | D));
	tlb_fence(&r->h, NULL);
	assert_faults(r, true, true, false);
}

/* Step 3: W without R is reserved; V is 0; step 4: no leaf. */
static void entries_that_are_no_leaf_fault(void **state)
{
	static const unsigned bits[] = {0, R | W | X | A | D, V | W | A | D, V | W | X | A | D, V};
	struct rack *r = *state;

	for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		rack_priv(r, PRIV_M);
		set_up_page(r, bits[i]);
		assert_faults(r, true, true, true);
	}
}

/* 4.4.1: N and PBMT belong to extensions that are not there; the rest is reserved. */
static void reserved_bits_fault(void **state)
{
	struct rack *r = *state;

	for (unsigned bit = 54; bit < 64; bit++) {
		rack_priv(r, PRIV_M);
		map(r, 3, VA, 0, pte(PAGE, V | R | A) | UINT64_C(1) << bit);
		turn_on(r, 3);
		assert_false(loads(r, VA));
		assert_trap(r, CAUSE_LOAD_PAGE, VA);
	}
}

/* 4.3.1: "For non-leaf PTEs, the D, A, and U bits are reserved" */
static void reserved_bits_of_pointers_fault(void **state)
{
	static const unsigned bits[] = {D, A, U};
	struct rack *r = *state;

	for (unsigned i = 0; i < 3; i++) {
		rack_priv(r, PRIV_M);
		set_up_page(r, V | R | A);
		ram_put(r, ROOT + (VA >> 30 & 511) * 8, pte(TABLE + 2 * 0x1000, V | bits[i]));
		assert_false(loads(r, VA));
		assert_trap(r, CAUSE_LOAD_PAGE, VA);
	}
}

/* Svade; 4.3.2, step 7 */
static void accessed_and_dirty_bits_are_softwares_to_set(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | W | X | D);
	assert_faults(r, true, true, true);
	map(r, 3, VA, 0, pte(PAGE, V | R | W | X | A));
	tlb_fence(&r->h, NULL);
	assert_faults(r, false, true, false);
	assert_int_equal(tlb_data(&r->h, VA)->write, TLB_NONE);
	assert_int_equal(ram_get(r, TABLE + 0x1000 + (VA >> 12 & 511) * 8) & D, 0);
}

/* 4.3.2, step 6 */
static void superpages_must_be_aligned(void **state)
{
	struct rack *r = *state;
	uint64_t pa;

	map(r, 3, VA, 1, pte(RAM_BASE + 0x200000, V | R | A));
	turn_on(r, 3);
	assert_true(hart_translate(&r->h, VA, 1, ACCESS_LOAD, &pa));
	assert_int_equal(pa, RAM_BASE + 0x200000 + (VA & 0x1fffff));
	rack_priv(r, PRIV_M);
	map(r, 3, VA, 1, pte(RAM_BASE + 0x201000, V | R | A));
	turn_on(r, 3);
	tlb_fence(&r->h, NULL);
	assert_false(loads(r, VA));
	assert_trap(r, CAUSE_LOAD_PAGE, VA);
}

/* 4.3.1: U, and mstatus.SUM (3.1.6.3) */
static void pages_of_users_and_of_the_supervisor_are_apart(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | W | X | U | A | D);
	assert_faults(r, true, true, true);
	r->h.mstatus |= MSTATUS_SUM;
	tlb_select(&r->h);
	assert_faults(r, false, false, true); /* never executes them */
	rack_priv(r, PRIV_U);
	assert_faults(r, false, false, false);
	map(r, 3, VA, 0, pte(PAGE, V | R | W | X | A | D));
	tlb_fence(&r->h, NULL);
	assert_faults(r, true, true, true);
}

/* SUM selects another table: what was entered under it is not seen without. */
static void sum_switched_off_forgets_nothing_and_lets_nothing_through(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | U | A);
	csr_put(r, 0x100, MSTATUS_SUM);
	assert_true(loads(r, VA));
	assert_int_equal(tlb_data(&r->h, VA)->read, VA);
	csr_put(r, 0x100, 0);
	assert_int_equal(tlb_data(&r->h, VA)->read, TLB_NONE);
	csr_put(r, 0x100, MSTATUS_SUM);
	assert_int_equal(tlb_data(&r->h, VA)->read, VA);
}

/* 3.1.6.3 */
static void mxr_makes_executable_pages_readable(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | X | A);
	csr_put(r, 0x100, MSTATUS_MXR);
	assert_true(loads(r, VA));
	csr_put(r, 0x100, 0);
	assert_int_equal(tlb_data(&r->h, VA)->read, TLB_NONE);
	assert_false(loads(r, VA));
	assert_trap(r, CAUSE_LOAD_PAGE, VA);
}

/* 3.1.6.3 */
static void mprv_is_for_loads_and_stores_of_m(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | W | A | D);
	rack_priv(r, PRIV_M);
	csr_put(r, MSTATUS, MSTATUS_MPRV | (uint64_t)PRIV_S << 11);
	assert_true(stores(r, VA));
	assert_int_equal(ram_get(r, PAGE), 0x77);
	assert_true(fetches(r, RAM_BASE)); /* not translated */
	csr_put(r, MSTATUS, MSTATUS_MPRV); /* as U */
	assert_false(stores(r, VA));
	assert_trap(r, CAUSE_STORE_PAGE, VA);
	csr_put(r, MSTATUS, 0);
	assert_true(stores(r, PAGE));
}

/* 4.3.2, step 2 */
static void page_table_that_cannot_be_read_is_an_access_fault(void **state)
{
	struct rack *r = *state;

	csr_put(r, SATP, UINT64_C(8) << 60 | 0x40000000 >> 12); /* nothing there */
	rack_priv(r, PRIV_S);
	assert_false(loads(r, VA));
	assert_trap(r, CAUSE_LOAD_ACCESS, VA);
	csr_put(r, SATP, UINT64_C(8) << 60 | REG_BASE >> 12); /* registers */
	assert_false(stores(r, VA));
	assert_trap(r, CAUSE_STORE_ACCESS, VA);
	assert_false(fetches(r, VA));
	assert_trap(r, CAUSE_FETCH_ACCESS, VA);
}

/* 3.7.2: page tables are read as S-mode reads. */
static void page_table_under_pmp_is_an_access_fault(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | A);
	pmp_write(&r->h, 0x3b1, UINT64_MAX);
	pmp_write(&r->h, 0x3b0, (ROOT >> 2) | 0x1ff);
	pmp_write(&r->h, 0x3a0, 0x1f << 8 | 0x18);
	assert_false(loads(r, VA));
	assert_trap(r, CAUSE_LOAD_ACCESS, VA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_are_found_through_3_4_and_5_levels),
		TEST(upper_half_is_found_too),
		TEST(addresses_that_are_not_canonical_fault),
		TEST(permissions_are_those_of_the_leaf),
		TEST(entries_that_are_no_leaf_fault),
		TEST(reserved_bits_fault),
		TEST(reserved_bits_of_pointers_fault),
		TEST(accessed_and_dirty_bits_are_softwares_to_set),
		TEST(superpages_must_be_aligned),
		TEST(pages_of_users_and_of_the_supervisor_are_apart),
		TEST(sum_switched_off_forgets_nothing_and_lets_nothing_through),
		TEST(mxr_makes_executable_pages_readable),
		TEST(mprv_is_for_loads_and_stores_of_m),
		TEST(page_table_that_cannot_be_read_is_an_access_fault),
		TEST(page_table_under_pmp_is_an_access_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
