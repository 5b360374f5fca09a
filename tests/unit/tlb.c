/* SPDX-License-Identifier: MIT */
/*
 * The TLB, its fences (RISC-V Privileged Architecture 1.12, section 4.2.1, and Svinval), and the
 * slow way of loads and stores.
 */
#include "support/pages.h"

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

/* Each access to a device's memory counts: it goes through the library, and leaves no entry. */
static void memory_of_a_device_is_not_entered(void **state)
{
	static uint8_t bar[0x1000] __attribute__((aligned(0x1000)));
	struct rack *r = *state;
	struct fh_region *device =
		fh_region_new_ram_device(r->m, "bar", sizeof(bar), bar, NULL, NULL);
	const uint64_t addr = RAM_BASE + RAM_SIZE;
	uint64_t value;

	fh_region_add(fh_space_root(fh_machine_memory(r->m)), device, addr, 0);
	fh_read_begin();
	bar[8] = 42;
	assert_true(hart_load_slow(&r->h, addr + 8, 8, &value));
	assert_int_equal(value, 42);
	assert_true(hart_store_slow(&r->h, addr + 16, 4, 43));
	assert_int_equal(bar[16], 43);
	assert_int_equal(tlb_data(&r->h, addr)->read, TLB_NONE);
	assert_int_equal(tlb_data(&r->h, addr)->write, TLB_NONE);
	fh_read_end();
	fh_object_unref(device);
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

/* --- Svinval ---------------------------------------------------------------------------------- */

static void execute(struct rack *r, uint32_t insn)
{
	assert_true(hart_system(&r->h, insn));
}

/*
 * Svinval: sinval.vma, ordered by sfence.w.inval before it and sfence.inval.ir after it, does what
 * sfence.vma does; of all addresses (x0) or of one.
 */
static void sequence_of_svinval_is_a_fence(void **state)
{
	const uint32_t sfence_w_inval = 0x18000073, sfence_inval_ir = 0x18100073;
	const uint32_t sinvals[] = { 0x16000073, 0x16000073 | 10 << 15,
				     0x16000073 | 10 << 15 | 5 << 20 };
	struct rack *r = *state;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t value;

		rack_priv(r, PRIV_M);
		set_up_page(r, V | R | W | X | A | D);
		ram_put(r, PAGE, 11);
		ram_put(r, PAGE + 0x5000, 22);
		assert_true(hart_load_slow(&r->h, VA, 8, &value) && fetches(r, VA));
		assert_int_equal(value, 11);
		map(r, 3, VA, 0, pte(PAGE + 0x5000, V | R | A));
		r->h.x[10] = VA + 8; /* any address of the page */
		execute(r, sfence_w_inval);
		execute(r, sinvals[i]);
		execute(r, sfence_inval_ir);
		assert_int_equal(tlb_data(&r->h, VA)->read, TLB_NONE);
		assert_true(hart_load_slow(&r->h, VA, 8, &value));
		assert_int_equal(value, 22);
		assert_false(stores(r, VA));
		assert_trap(r, CAUSE_STORE_PAGE, VA);
		assert_false(fetches(r, VA));
		assert_trap(r, CAUSE_FETCH_PAGE, VA);
	}
}

static void sinval_of_an_address_leaves_the_others(void **state)
{
	struct rack *r = *state;

	map(r, 3, VA + 0x1000, 0, pte(PAGE, V | R | A));
	set_up_page(r, V | R | A);
	assert_true(loads(r, VA) && loads(r, VA + 0x1000));
	r->h.x[10] = VA + 0x1000;
	execute(r, 0x16000073 | 10 << 15);
	assert_int_equal(tlb_data(&r->h, VA)->read, VA);
	assert_int_equal(tlb_data(&r->h, VA + 0x1000)->read, TLB_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		TEST(memory_of_a_device_is_not_entered),
		TEST(noted_change_of_the_map_drops_what_it_touches),
		TEST(protected_page_loses_its_write_tags_in_all_modes),
		TEST(sequence_of_svinval_is_a_fence),
		TEST(sinval_of_an_address_leaves_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
