/* SPDX-License-Identifier: MIT */
/*
 * Code that changes: by stores of this hart and others, by devices, and by another map.
 */
#include "support/code.h"

static void code_that_stores_into_itself_runs_as_changed(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), BEQ(A1, ZERO, 12), ECALL, NOP, SW(A2, A3, 0),
	    ADDI(A1, ZERO, 1), FENCE_I, type_j(ZERO, -28));
	h->x[A2] = ADDI(A0, ZERO, 2);
	h->x[A3] = BASE;
	/* The branch goes to the nop. */
	run_to_ecall(h, BASE);

	assert_int_equal(h->x[A0], 2);
}

static void a_store_makes_the_page_stale_without_a_fence(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE + 0x2000, SW(A2, A3, 0), JALR(ZERO, A3, 0));
	run_to_ecall(h, BASE);
	h->x[A2] = ADDI(A0, ZERO, 2);
	h->x[A3] = BASE;
	run_to_ecall(h, BASE + 0x2000);

	assert_int_equal(h->x[A0], 2);
}

static void a_page_that_was_stored_to_before_it_was_code_is_watched(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE + 0x2000, SW(A2, A3, 0), JALR(ZERO, A4, 0));
	h->x[A3] = BASE + 0x800;
	h->x[A4] = BASE;
	run_to_ecall(h, BASE + 0x2000); /* stores the fast way from now on, then runs the page */
	h->x[A2] = ADDI(A0, ZERO, 2);
	h->x[A3] = BASE;
	run_to_ecall(h, BASE + 0x2000);

	assert_int_equal(h->x[A0], 2);
}

static void atomics_change_code_too(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];
	const uint32_t swap = type_r(0x0800202f, A5, A3, A2);

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE + 0x2000, swap, JALR(ZERO, A3, 0));
	PUT(rig, BASE + 0x2100, LR_W(A5, A3), SC_W(A5, A2, A3), JALR(ZERO, A3, 0));
	h->x[A3] = BASE;
	run_to_ecall(h, BASE);
	h->x[A2] = ADDI(A0, ZERO, 2);
	run_to_ecall(h, BASE + 0x2000);
	assert_int_equal(h->x[A0], 2);
	h->x[A2] = ADDI(A0, ZERO, 3);
	run_to_ecall(h, BASE + 0x2100);
	assert_int_equal(h->x[A0], 3);
}

static void what_a_device_wrote_runs_after_a_fence(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE + 0x100, FENCE_I, JALR(ZERO, A3, 0));
	h->x[A3] = BASE;
	run_to_ecall(h, BASE + 0x100);
	assert_int_equal(h->x[A0], 1);
	PUT(rig, BASE, ADDI(A0, ZERO, 2)); /* not seen by the hart */
	run_to_ecall(h, BASE + 0x100);

	assert_int_equal(h->x[A0], 2);
}

static void code_that_is_the_same_is_not_decoded_again(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];
	uint64_t decoded;

	/* A counter in its own page, and a fence, each round. */
	PUT(rig, BASE, LW(A0, A1, 0), ADDI(A0, A0, 1), SW(A0, A1, 0), FENCE_I, ADDI(A2, A2, -1),
	    BNE(A2, ZERO, -20), ECALL);
	h->x[A1] = BASE + 0x800;
	h->x[A2] = 2;
	run_to_ecall(h, BASE);
	decoded = h->blocks->decoded;
	h->x[A2] = 1000;
	run_to_ecall(h, BASE);

	assert_int_equal(get(rig, BASE + 0x800), 1002);
	assert_in_range(h->blocks->decoded, decoded, decoded + 1);
}

static void a_page_that_is_only_stored_to_is_data_again(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];
	const uint64_t old = BASE + 0x4000;

	PUT(rig, old, ADDI(A0, ZERO, 1), ECALL);
	run_to_ecall(h, old);
	assert_true(code_pages_has(rig->pages, old));
	PUT(rig, BASE, SD(A2, A3, 0), ADDI(A3, A3, 8), ADDI(A4, A4, -1), BNE(A4, ZERO, -12), ECALL);
	h->x[A3] = old;
	h->x[A4] = 512;
	run_to_ecall(h, BASE);

	assert_false(code_pages_has(rig->pages, old));
	assert_true(code_pages_has(rig->pages, BASE));
	/* And code once more. */
	PUT(rig, old, ADDI(A0, ZERO, 3), ECALL);
	run_to_ecall(h, old);
	assert_int_equal(h->x[A0], 3);
	assert_true(code_pages_has(rig->pages, old));
}

static void a_store_by_another_hart_reaches_this_one(void **state)
{
	struct rig *rig = *state;
	struct hart *a = rig->hart[0], *b = rig->hart[1];

	PUT(rig, BASE + 0x1000, ADDI(A0, ZERO, 1), ECALL);
	PUT(rig, BASE, SW(A2, A3, 0), ECALL);
	b->x[A3] = BASE + 0x1ff8;
	run_to_ecall(b, BASE); /* now it has a fast way to write to that page */
	run_to_ecall(a, BASE + 0x1000);
	b->x[A2] = ADDI(A0, ZERO, 2);
	b->x[A3] = BASE + 0x1000;
	run_to_ecall(b, BASE);
	assert_true(atomic_load(&a->attention) & ATTENTION_CODE);
	run_to_ecall(a, BASE + 0x1000);

	assert_int_equal(a->x[A0], 2);
}

static void a_flush_forgets_everything(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, ADDI(A0, ZERO, 1), ECALL);
	run_to_ecall(h, BASE);
	blocks_flush(h);
	assert_false(code_pages_has(rig->pages, BASE));
	PUT(rig, BASE, ADDI(A0, ZERO, 2));
	run_to_ecall(h, BASE);
	assert_int_equal(h->x[A0], 2);
}

/*
 * --- Other pages -------------------------------------------------------------------------------
 */

#define ROOT UINT64_C(0x80020000) /* three levels of page tables, a page apart */
#define VA   UINT64_C(0x40000000)

static void map(struct rig *rig, uint64_t va, uint64_t pa)
{
	const uint64_t pointers[] = { (ROOT + 0x1000) >> 12 << 10 | 1,
				      (ROOT + 0x2000) >> 12 << 10 | 1 };
	const uint64_t leaf = pa >> 12 << 10 | 0xcf; /* D A X W R V */

	put(rig, ROOT + (va >> 30 & 511) * 8, &pointers[0], 8);
	put(rig, ROOT + 0x1000 + (va >> 21 & 511) * 8, &pointers[1], 8);
	put(rig, ROOT + 0x2000 + (va >> 12 & 511) * 8, &leaf, 8);
}

static void enter_s(struct hart *h)
{
	pmp_write(h, 0x3b0, UINT64_MAX);
	pmp_write(h, 0x3a0, 0x1f);
	h->satp = (uint64_t)SATP_SV39 << 60 | ROOT >> 12;
	h->priv = PRIV_S;
	tlb_select(h);
}

/* priv 4.2.1: after the fence fetches of both halves are made through the new page table. */
static void remapped_second_half_of_an_instruction_is_what_runs(void **state)
{
	const uint32_t fences[] = { 0x12000073, 0x12000073 | A1 << 15 }; /* sfence.vma; of a1 */
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];
	const uint64_t first = BASE + 0x3000, at = VA + 0xffe;
	const uint64_t seconds[] = { BASE + 0x5000, BASE + 0x6000, BASE + 0x7000 };
	const uint16_t low = (uint16_t)ADDI(A0, ZERO, 0);

	enter_s(h);
	map(rig, VA, first);
	map(rig, VA + 0x1000, seconds[0]);
	put(rig, first + 0xffe, &low, 2);
	for (unsigned i = 0; i < 3; i++) {
		const uint16_t high = (uint16_t)(ADDI(A0, ZERO, 5 + (int)i) >> 16);

		put(rig, seconds[i], &high, 2);
		put(rig, seconds[i] + 2, &(uint32_t){ ECALL }, 4);
	}
	assert_int_equal(run(h, at), CAUSE_ECALL_S);
	assert_int_equal(h->x[A0], 5);
	for (unsigned i = 0; i < 2; i++) {
		PUT(rig, first + 16 * i, fences[i], type_j(ZERO, 0xffa - 16 * (int)i));
		h->x[A1] = VA + 0x1000;
		map(rig, VA + 0x1000, seconds[i + 1]);
		assert_int_equal(run(h, VA + 16 * i), CAUSE_ECALL_S);
		assert_int_equal(h->pc, VA + 0x1002);
		assert_int_equal(h->x[A0], 6 + i);
	}
	/* And nothing there: the address of the half that is missing (priv 3.1.16). */
	put(rig, ROOT + 0x2000 + 8, &(uint64_t){ 0 }, 8);
	assert_int_equal(run(h, VA + 16), CAUSE_FETCH_PAGE);
	assert_int_equal(h->pc, at);
	assert_int_equal(h->trap.tval, VA + 0x1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(code_that_stores_into_itself_runs_as_changed),
		TEST(a_store_makes_the_page_stale_without_a_fence),
		TEST(a_page_that_was_stored_to_before_it_was_code_is_watched),
		TEST(atomics_change_code_too),
		TEST(what_a_device_wrote_runs_after_a_fence),
		TEST(code_that_is_the_same_is_not_decoded_again),
		TEST(a_page_that_is_only_stored_to_is_data_again),
		TEST(a_store_by_another_hart_reaches_this_one),
		TEST(a_flush_forgets_everything),
		TEST(remapped_second_half_of_an_instruction_is_what_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
