/* SPDX-License-Identifier: MIT */
/*
 * Load-reserved, store-conditional and AMOs (unprivileged specification, A).
 */
#include <pthread.h>

#include "support/code.h"

static void a_store_conditional_needs_its_reservation(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, LR_D(A0, A1), SC_D(A2, A3, A1), SC_D(A4, A3, A1), ECALL);
	h->x[A1] = DATA;
	h->x[A3] = 42;
	run_to_ecall(h, BASE);
	assert_int_equal(h->x[A2], 0);
	assert_int_equal(h->x[A4], 1);
	assert_int_equal(get(rig, DATA), 42);

	/* Used up, even if memory is as it was. */
	h->x[A3] = 42;
	run_to_ecall(h, BASE);
	assert_int_equal(h->x[A2], 0);
	assert_int_equal(h->x[A4], 1);

	/* Another address, another size. */
	PUT(rig, BASE + 0x100, LR_D(A0, A1), SC_D(A2, A3, A5), LR_D(A0, A1), SC_W(A4, A3, A1),
	    ECALL);
	h->x[A5] = DATA + 8;
	run_to_ecall(h, BASE + 0x100);
	assert_int_equal(h->x[A2], 1);
	assert_int_equal(h->x[A4], 1);
}

static void a_store_by_another_hart_breaks_a_reservation(void **state)
{
	struct rig *rig = *state;
	struct hart *a = rig->hart[0], *b = rig->hart[1];

	PUT(rig, BASE, LR_W(A0, A1), ECALL);
	PUT(rig, BASE + 0x100, SC_W(A2, A3, A1), ECALL);
	PUT(rig, BASE + 0x200, SW(A3, A1, 0), ECALL);
	a->x[A1] = b->x[A1] = DATA;
	a->x[A3] = 1;
	b->x[A3] = 2;
	run_to_ecall(a, BASE);
	run_to_ecall(b, BASE + 0x200);
	run_to_ecall(a, BASE + 0x100);

	assert_int_equal(a->x[A2], 1);
	assert_int_equal(get(rig, DATA), 2);
}

static void atomics_give_the_old_value_and_store_the_new(void **state)
{
	static const struct {
		uint32_t funct5;
		uint32_t word;
		uint64_t twice;
	} amos[] = {
		{ 0x01, 5, 5 },
		{ 0x00, 0x80000006, UINT64_C(0x8000000080000006) },
		{ 0x04, 0x80000004, UINT64_C(0x8000000080000004) },
		{ 0x0c, 1, 1 },
		{ 0x08, 0x80000005, UINT64_C(0x8000000080000005) },
		{ 0x10, 0x80000001, UINT64_C(0x8000000080000001) },
		{ 0x14, 5, 5 },
		{ 0x18, 5, 5 },
		{ 0x1c, 0x80000001, UINT64_C(0x8000000080000001) },
	};
	const uint64_t old = UINT64_C(0x8000000080000001);
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	h->x[A1] = DATA;
	h->x[A3] = 5;
	for (unsigned i = 0; i < sizeof(amos) / sizeof(amos[0]); i++) {
		const uint32_t amo = type_r(0x202f | amos[i].funct5 << 27, A0, A1, A3);
		uint64_t pc = BASE + i * 64;

		put(rig, DATA, &old, 8);
		PUT(rig, pc, amo, ECALL);
		run_to_ecall(h, pc);
		assert_int_equal(h->x[A0], UINT64_C(0xffffffff80000001));
		assert_int_equal(get(rig, DATA), (old & ~UINT64_C(0xffffffff)) | amos[i].word);

		put(rig, DATA, &old, 8);
		PUT(rig, pc + 32, amo | 0x1000, ECALL);
		run_to_ecall(h, pc + 32);
		assert_int_equal(h->x[A0], old);
		assert_int_equal(get(rig, DATA), amos[i].twice);
	}
}

static void atomics_are_for_aligned_memory(void **state)
{
	struct rig *rig = *state;
	struct hart *h = rig->hart[0];

	PUT(rig, BASE, type_r(0x302f, A0, A1, A3), ECALL);
	PUT(rig, BASE + 0x100, LR_D(A0, A1), ECALL);
	h->x[A1] = DATA + 4;
	assert_int_equal(run(h, BASE), CAUSE_STORE_MISALIGNED);
	assert_int_equal(run(h, BASE + 0x100), CAUSE_LOAD_MISALIGNED);
	assert_int_equal(h->trap.tval, DATA + 4);
	h->x[A1] = REGISTERS;
	assert_int_equal(run(h, BASE), CAUSE_STORE_ACCESS);
	assert_int_equal(run(h, BASE + 0x100), CAUSE_LOAD_ACCESS);
	assert_int_equal(h->trap.tval, REGISTERS);
}

static void *run_thread(void *arg)
{
	struct hart *h = arg;

	return (void *)(uintptr_t)run(h, BASE);
}

#define TURNS 20000

static void two_harts_count_to_the_sum_with_lr_and_sc(void **state)
{
	struct rig *rig = *state;
	pthread_t thread;
	void *cause;

	PUT(rig, BASE, LR_D(A0, A1), ADDI(A0, A0, 1), SC_D(A2, A0, A1), BNE(A2, ZERO, -12),
	    ADDI(A3, A3, -1), BNE(A3, ZERO, -20), ECALL);
	for (unsigned i = 0; i < HARTS; i++) {
		rig->hart[i]->x[A1] = DATA;
		rig->hart[i]->x[A3] = TURNS;
	}
	pthread_create(&thread, NULL, run_thread, rig->hart[1]);
	run_to_ecall(rig->hart[0], BASE);
	pthread_join(thread, &cause);

	assert_int_equal((uintptr_t)cause, CAUSE_ECALL_M);
	assert_int_equal(get(rig, DATA), 2 * TURNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_store_conditional_needs_its_reservation),
		TEST(a_store_by_another_hart_breaks_a_reservation),
		TEST(atomics_give_the_old_value_and_store_the_new),
		TEST(atomics_are_for_aligned_memory),
		TEST(two_harts_count_to_the_sum_with_lr_and_sc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
