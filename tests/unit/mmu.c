/* SPDX-License-Identifier: MIT */
/*
 * Page tables, the TLB and the slow way of loads and stores, by the RISC-V Privileged Architecture
 * 1.12, sections 4.3 to 4.6 and 4.2.1, with Svade.
 */
#include "support/hart.h"

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
enum { MSTATUS = 0x300, SATP = 0x180 };

#define ROOT  (RAM_BASE + 0x100000)
#define TABLE (RAM_BASE + 0x110000) /* more of them, a page apart */
#define PAGE  (RAM_BASE + 0x200000) /* what is mapped */
#define VA    UINT64_C(0x1234567000)

static uint64_t pte(uint64_t pa, unsigned bits)
{
	return pa >> 12 << 10 | bits;
}

/* Maps @va with @leaf at @level; tables are those at TABLE, one for each level. */
static void map(struct rack *r, unsigned levels, uint64_t va, unsigned level, uint64_t leaf)
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

static void turn_on(struct rack *r, unsigned levels)
{
	csr_put(r, SATP, (uint64_t)(levels + 5) << 60 | ROOT >> 12);
	rack_priv(r, PRIV_S);
}

static void set_up_page(struct rack *r, unsigned bits)
{
	map(r, 3, VA, 0, pte(PAGE, bits));
	turn_on(r, 3);
}

static bool loads(struct rack *r, uint64_t va)
{
	uint64_t value;

	return hart_load_slow(&r->h, va, 8, &value);
}

static bool stores(struct rack *r, uint64_t va)
{
	return hart_store_slow(&r->h, va, 8, 0x77);
}

static bool fetches(struct rack *r, uint64_t va)
{
	uint64_t pa;

	return tlb_fill(&r->h, va, ACCESS_FETCH, 2, &pa, NULL);
}

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
		assert_true(hart_translate(&r->h, va + 0x123, ACCESS_LOAD, &pa));
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
	assert_true(hart_translate(&r->h, va, ACCESS_LOAD, &pa));
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
	assert_true(hart_translate(&r->h, VA, ACCESS_LOAD, &pa));
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

/* 4.2.1 */
static void fence_of_an_address_forgets_that_page(void **state)
{
	struct rack *r = *state;
	const uint64_t other = VA + 0x1000, fetch_epoch_of = VA;
	uint64_t epoch;

	map(r, 3, other, 0, pte(PAGE, V | R | A));
	set_up_page(r, V | R | X | A);
	assert_true(loads(r, VA) && loads(r, other) && fetches(r, VA));
	epoch = r->h.fetch_tlb->epoch;
	tlb_fence(&r->h, &fetch_epoch_of);
	assert_int_equal(tlb_data(&r->h, VA)->read, TLB_NONE);
	assert_int_equal(tlb_data(&r->h, other)->read, other);
	assert_int_not_equal(r->h.fetch_tlb->epoch, epoch);
	assert_int_equal(tlb_at(r->h.fetch_tlb->entries, tlb_mask(r->h.fetch_tlb), VA)->fetch,
			 TLB_NONE);
}

/* 4.2.1: the leaf is meant, whatever address in it is named. */
static void fence_of_an_address_forgets_the_whole_superpage(void **state)
{
	const uint64_t base = VA & ~UINT64_C(0x1fffff);
	struct rack *r = *state;

	map(r, 3, VA, 1, pte(RAM_BASE + 0x200000, V | R | A));
	turn_on(r, 3);
	assert_true(loads(r, VA));
	tlb_fence(&r->h, &base);
	assert_int_equal(tlb_data(&r->h, VA)->read, TLB_NONE);
}

static void other_address_space_is_not_seen_through_the_tlb(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | A);
	assert_true(loads(r, VA));
	csr_put(r, SATP, csr_get(r, SATP) ^ UINT64_C(1) << 44);
	assert_int_equal(tlb_data(&r->h, VA)->read, TLB_NONE);
}

static void misses_make_the_table_grow(void **state)
{
	struct rack *r = *state;

	for (unsigned i = 0; i < 4 * TLB_COUNT_MIN; i++)
		assert_true(loads(r, RAM_BASE + (uint64_t)i * 4096));
	assert_true(r->h.tlb->count > TLB_COUNT_MIN);
	assert_int_equal(r->h.tlb_mask, tlb_mask(r->h.tlb));
	assert_ptr_equal(r->h.tlb_entries, r->h.tlb->entries);
}

/* --- What lies there ------------------------------------------------------------------------- */

static void memory_is_entered_and_registers_are_not(void **state)
{
	struct rack *r = *state;
	uint64_t value;

	ram_put(r, RAM_BASE + 8, 0xdeadbeef);
	assert_true(hart_load_slow(&r->h, RAM_BASE + 8, 4, &value));
	assert_int_equal(value, 0xdeadbeef);
	assert_int_equal(tlb_data(&r->h, RAM_BASE)->read, RAM_BASE);
	assert_int_equal(tlb_data(&r->h, RAM_BASE)->write, RAM_BASE);
	assert_ptr_equal(tlb_host(tlb_data(&r->h, RAM_BASE), RAM_BASE + 8),
			 (char *)fh_region_ram(r->ram) + 8);
	assert_int_equal(tlb_physical(r->h.tlb, RAM_BASE + 8), RAM_BASE + 8);
	assert_true(hart_load_slow(&r->h, REG_BASE, 4, &value));
	assert_int_equal(value, 0x44332211);
	assert_true(hart_store_slow(&r->h, REG_BASE, 2, 0x12345));
	assert_int_equal(r->written, 0x2345);
	assert_int_not_equal(tlb_data(&r->h, REG_BASE)->read, REG_BASE);
}

static void rom_is_entered_for_reading_only(void **state)
{
	struct rack *r = *state;

	assert_true(loads(r, ROM_BASE));
	assert_int_equal(tlb_data(&r->h, ROM_BASE)->read, ROM_BASE);
	assert_int_equal(tlb_data(&r->h, ROM_BASE)->write, TLB_NONE);
	assert_false(stores(r, ROM_BASE));
	assert_trap(r, CAUSE_STORE_ACCESS, ROM_BASE);
}

static void what_is_not_there_or_refuses_is_an_access_fault(void **state)
{
	struct rack *r = *state;

	assert_false(loads(r, 0x40000000));
	assert_trap(r, CAUSE_LOAD_ACCESS, 0x40000000);
	r->refuse = true;
	assert_false(stores(r, REG_BASE));
	assert_trap(r, CAUSE_STORE_ACCESS, REG_BASE);
	assert_false(fetches(r, REG_BASE));
	assert_int_equal(r->h.trap.cause, CAUSE_NONE); /* exec.c makes it one */
}

static void access_across_pages_is_made_of_both(void **state)
{
	struct rack *r = *state;
	uint64_t value;

	set_up_page(r, V | R | W | A | D);
	map(r, 3, VA + 0x1000, 0, pte(PAGE + 0x5000, V | R | W | A | D));
	assert_true(hart_store_slow(&r->h, VA + 0xffb, 8, UINT64_C(0x8877665544332211)));
	assert_int_equal(ram_get(r, PAGE + 0xff8) >> 24, UINT64_C(0x5544332211));
	assert_int_equal(ram_get(r, PAGE + 0x5000), 0x887766);
	assert_true(hart_load_slow(&r->h, VA + 0xffb, 8, &value));
	assert_int_equal(value, UINT64_C(0x8877665544332211));
	assert_true(hart_load_slow(&r->h, VA + 0xfff, 2, &value));
	assert_int_equal(value, 0x6655);
}

/* 3.1.16: the address of the part; and nothing of it is done. */
static void store_across_pages_faults_as_a_whole(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | W | A | D);
	map(r, 3, VA + 0x1000, 0, 0);
	assert_false(hart_store_slow(&r->h, VA + 0xffc, 8, UINT64_MAX));
	assert_trap(r, CAUSE_STORE_PAGE, VA + 0x1000);
	assert_int_equal(ram_get(r, PAGE + 0xff8), 0);
}

/* Not even where it is the map, PMP or the kind of memory that refuses the second part. */
static void store_across_pages_into_what_refuses_is_not_begun(void **state)
{
	static const uint64_t seconds[] = {0x40000000, ROM_BASE, REG_BASE};
	struct rack *r = *state;

	for (unsigned i = 0; i < 3; i++) {
		rack_priv(r, PRIV_M);
		map(r, 3, VA + 0x1000, 0, pte(seconds[i], V | R | W | A | D));
		set_up_page(r, V | R | W | A | D);
		tlb_fence(&r->h, NULL);
		assert_false(hart_store_slow(&r->h, VA + 0xffc, 8, UINT64_MAX));
		assert_trap(r, CAUSE_STORE_ACCESS, VA + 0x1000);
		assert_int_equal(ram_get(r, PAGE + 0xff8), 0);
		assert_int_equal(r->written, 0);
	}
	/* Past the end of RAM, untranslated. */
	rack_priv(r, PRIV_M);
	assert_false(hart_store_slow(&r->h, RAM_BASE + RAM_SIZE - 3, 4, UINT64_MAX));
	assert_trap(r, CAUSE_STORE_ACCESS, RAM_BASE + RAM_SIZE);
	assert_int_equal(ram_get(r, RAM_BASE + RAM_SIZE - 8), 0);
}

/* 3.7.1 */
static void store_across_pages_under_pmp_is_not_begun(void **state)
{
	struct rack *r = *state;

	set_up_page(r, V | R | W | A | D);
	map(r, 3, VA + 0x1000, 0, pte(PAGE + 0x5000, V | R | W | A | D));
	pmp_write(&r->h, 0x3b1, UINT64_MAX);
	pmp_write(&r->h, 0x3b0, (PAGE + 0x5000) >> 2 | 0x1ff);
	pmp_write(&r->h, 0x3a0, 0x1f << 8 | 0x18);
	assert_false(hart_store_slow(&r->h, VA + 0xffa, 8, UINT64_MAX));
	assert_trap(r, CAUSE_STORE_ACCESS, VA + 0x1000);
	assert_int_equal(ram_get(r, PAGE + 0xff8), 0);
}

/* 3.6.2: whether registers take misaligned accesses is theirs to say: across pages they do not. */
static void access_across_pages_is_for_memory_only(void **state)
{
	struct rack *r = *state;
	uint64_t value;

	set_up_page(r, V | R | W | A | D);
	map(r, 3, VA - 0x1000, 0, pte(REG_BASE, V | R | W | A | D));
	assert_false(hart_store_slow(&r->h, VA - 2, 4, UINT64_MAX));
	assert_trap(r, CAUSE_STORE_ACCESS, VA - 2);
	assert_int_equal(r->written, 0);
	assert_int_equal(ram_get(r, PAGE), 0);
	assert_false(hart_load_slow(&r->h, VA - 2, 4, &value));
	assert_trap(r, CAUSE_LOAD_ACCESS, VA - 2);
}

/* Memory may end, or go on as other memory, within a page. */
static void store_across_the_end_of_memory_is_not_begun(void **state)
{
	const uint64_t last = RAM_BASE + RAM_SIZE + 0x7fc;
	struct rack *r = *state;
	struct fh_region *const more = fh_region_new_ram(r->m, "more", 0x800, NULL);
	struct fh_region *const yet = fh_region_new_ram(r->m, "yet", 0x800, NULL);
	uint64_t value;

	fh_read_end();
	fh_region_add(fh_space_root(fh_machine_memory(r->m)), more, last - 0x7fc, 0);
	fh_read_begin();
	assert_false(hart_store_slow(&r->h, last, 8, UINT64_MAX));
	assert_trap(r, CAUSE_STORE_ACCESS, last);
	assert_int_equal(*(uint32_t *)((char *)fh_region_ram(more) + 0x7fc), 0);
	fh_read_end();
	fh_region_add(fh_space_root(fh_machine_memory(r->m)), yet, last + 4, 0);
	fh_read_begin();
	assert_true(hart_store_slow(&r->h, last, 8, UINT64_C(0x1122334455667788)));
	assert_true(hart_load_slow(&r->h, last, 8, &value));
	assert_int_equal(value, UINT64_C(0x1122334455667788));
	assert_int_equal(*(uint32_t *)fh_region_ram(yet), 0x11223344);
	fh_object_unref(more);
	fh_object_unref(yet);
}

/* What the map's listener does. */
static void noted_change_of_the_map_drops_what_it_touches(void **state)
{
	struct rack *r = *state;

	assert_true(loads(r, RAM_BASE) && loads(r, RAM_BASE + 0x5000));
	assert_false(tlb_look_at_map_changes(&r->h));
	tlb_note_map_change(&r->h, RAM_BASE + 0x5800, RAM_BASE + 0x5800);
	assert_true(r->h.attention & ATTENTION_MAP);
	assert_true(tlb_look_at_map_changes(&r->h));
	assert_int_equal(tlb_data(&r->h, RAM_BASE)->read, RAM_BASE);
	assert_int_equal(tlb_data(&r->h, RAM_BASE + 0x5000)->read, TLB_NONE);
	for (unsigned i = 0; i < 100; i++)
		tlb_note_map_change(&r->h, 0, 0); /* more than fit: everything */
	assert_true(tlb_look_at_map_changes(&r->h));
	assert_int_equal(tlb_data(&r->h, RAM_BASE)->read, TLB_NONE);
}

static void protected_page_loses_its_write_tags_in_all_modes(void **state)
{
	struct rack *r = *state;

	assert_true(loads(r, RAM_BASE));
	rack_priv(r, PRIV_S);
	assert_true(loads(r, RAM_BASE));
	tlb_protect(&r->h, RAM_BASE);
	assert_int_equal(tlb_data(&r->h, RAM_BASE)->write, TLB_NONE);
	assert_int_equal(tlb_data(&r->h, RAM_BASE)->read, RAM_BASE);
	rack_priv(r, PRIV_M);
	assert_int_equal(tlb_data(&r->h, RAM_BASE)->write, TLB_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rack_set_up, rack_tear_down)

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
		TEST(fence_of_an_address_forgets_that_page),
		TEST(fence_of_an_address_forgets_the_whole_superpage),
		TEST(other_address_space_is_not_seen_through_the_tlb),
		TEST(misses_make_the_table_grow),
		TEST(memory_is_entered_and_registers_are_not),
		TEST(rom_is_entered_for_reading_only),
		TEST(what_is_not_there_or_refuses_is_an_access_fault),
		TEST(access_across_pages_is_made_of_both),
		TEST(store_across_pages_faults_as_a_whole),
		TEST(store_across_pages_into_what_refuses_is_not_begun),
		TEST(store_across_pages_under_pmp_is_not_begun),
		TEST(access_across_pages_is_for_memory_only),
		TEST(store_across_the_end_of_memory_is_not_begun),
		TEST(noted_change_of_the_map_drops_what_it_touches),
		TEST(protected_page_loses_its_write_tags_in_all_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
