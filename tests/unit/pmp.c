/* SPDX-License-Identifier: MIT */
/*
 * Physical memory protection, by the RISC-V Privileged Architecture 1.12, section 3.7.
 */
#include "support/hart.h"

enum { PMPCFG0 = 0x3a0, PMPCFG1 = 0x3a1, PMPCFG2 = 0x3a2, PMPADDR0 = 0x3b0 };
enum { R = 1, W = 2, X = 4, TOR = 0x08, NA4 = 0x10, NAPOT = 0x18, L = 0x80 };

static int set_up(void **state)
{
	const int code = rack_set_up(state);

	pmp_reset(&((struct rack *)*state)->h);
	return code;
}

static unsigned may(struct rack *r, uint64_t pa, uint64_t size, enum priv priv)
{
	bool partial;

	return pmp_permissions(&r->h, pa, size, priv, &partial);
}

static bool is_partial(struct rack *r, uint64_t pa, uint64_t size)
{
	bool partial;

	pmp_permissions(&r->h, pa, size, PRIV_S, &partial);
	return partial;
}

/* 3.7.1, "Priority and Matching Logic" */
static void no_match_lets_m_through_and_nobody_else(void **state)
{
	struct rack *r = *state;

	assert_int_equal(may(r, RAM_BASE, 8, PRIV_M), R | W | X);
	assert_int_equal(may(r, RAM_BASE, 8, PRIV_S), 0);
	assert_int_equal(may(r, RAM_BASE, 8, PRIV_U), 0);
}

static void without_entries_everything_is_permitted(void **state)
{
	struct rack *r = *state;

	r->h.isa.pmp_regions = 0;
	assert_int_equal(may(r, RAM_BASE, 8, PRIV_U), R | W | X);
	assert_false(csr_reads(r, PMPCFG0));
	assert_false(csr_writes(r, PMPADDR0, 0));
}

/* 3.7.1, "Address Matching" */
static void napot_sizes_are_trailing_ones(void **state)
{
	struct rack *r = *state;

	csr_put(r, PMPADDR0, (0x80000000 >> 2) | 0x1ff); /* 4 KiB */
	csr_put(r, PMPCFG0, NAPOT | R);
	assert_int_equal(may(r, 0x80000000, 8, PRIV_S), R);
	assert_int_equal(may(r, 0x80000ff8, 8, PRIV_S), R);
	assert_int_equal(may(r, 0x80001000, 8, PRIV_S), 0);
	assert_false(is_partial(r, 0x80001000, 8));
	csr_put(r, PMPADDR0, 0x80000000 >> 2); /* the smallest: 8 bytes */
	assert_int_equal(may(r, 0x80000000, 8, PRIV_S), R);
	assert_int_equal(may(r, 0x80000008, 1, PRIV_S), 0);
}

static void napot_of_all_ones_is_everything(void **state)
{
	struct rack *r = *state;

	csr_put(r, PMPADDR0, UINT64_MAX);
	csr_put(r, PMPCFG0, NAPOT | R | W | X);
	assert_int_equal(may(r, 0, 8, PRIV_U), R | W | X);
	assert_int_equal(may(r, (UINT64_C(1) << 56) - 8, 8, PRIV_U), R | W | X);
}

static void na4_is_four_bytes(void **state)
{
	struct rack *r = *state;

	csr_put(r, PMPADDR0, 0x80000004 >> 2);
	csr_put(r, PMPCFG0, NA4 | R);
	assert_int_equal(may(r, 0x80000004, 4, PRIV_S), R);
	assert_int_equal(may(r, 0x80000000, 4, PRIV_S), 0);
	assert_int_equal(may(r, 0x80000008, 4, PRIV_S), 0);
}

static void tor_goes_from_the_address_below_to_its_own(void **state)
{
	struct rack *r = *state;

	csr_put(r, PMPADDR0, 0x80001000 >> 2);
	csr_put(r, PMPADDR0 + 1, 0x80002000 >> 2);
	csr_put(r, PMPCFG0, (TOR | R | W) << 8);
	assert_int_equal(may(r, 0x80000ff8, 8, PRIV_S), 0);
	assert_int_equal(may(r, 0x80001000, 8, PRIV_S), R | W);
	assert_int_equal(may(r, 0x80001ff8, 8, PRIV_S), R | W);
	assert_int_equal(may(r, 0x80002000, 8, PRIV_S), 0);
}

static void tor_of_entry_0_begins_at_0_and_an_empty_one_matches_nothing(void **state)
{
	struct rack *r = *state;

	csr_put(r, PMPADDR0, 0x1000 >> 2);
	csr_put(r, PMPADDR0 + 1, 0x1000 >> 2);
	csr_put(r, PMPCFG0, (TOR | X) << 8 | TOR | R);
	assert_int_equal(may(r, 0, 8, PRIV_S), R);
	assert_int_equal(may(r, 0x1000, 8, PRIV_S), 0);
}

static void lowest_entry_that_matches_any_byte_decides(void **state)
{
	struct rack *r = *state;

	/* The example of the specification: 0xc..0xf, and an access to 0x8..0xf. */
	csr_put(r, PMPADDR0, 0xc >> 2);
	csr_put(r, PMPADDR0 + 1, UINT64_MAX);
	csr_put(r, PMPCFG0, (NAPOT | R | W | X) << 8 | NA4 | R | W | X);
	assert_int_equal(may(r, 0x8, 8, PRIV_S), 0);
	assert_true(is_partial(r, 0x8, 8));
	assert_int_equal(may(r, 0x8, 8, PRIV_M), 0);
	assert_int_equal(may(r, 0x8, 4, PRIV_S), R | W | X);
}

/* 3.7.1, "Locking and Privilege Mode" */
static void locked_entry_binds_m_and_cannot_be_written(void **state)
{
	struct rack *r = *state;

	csr_put(r, PMPADDR0 + 1, UINT64_MAX);
	csr_put(r, PMPCFG0, (L | NAPOT | R) << 8);
	assert_int_equal(may(r, RAM_BASE, 8, PRIV_M), R);
	csr_put(r, PMPCFG0, 0);
	csr_put(r, PMPADDR0 + 1, 0);
	assert_int_equal(csr_get(r, PMPCFG0), (L | NAPOT | R) << 8);
	assert_int_equal(csr_get(r, PMPADDR0 + 1), (UINT64_C(1) << 54) - 1);
}

static void locked_tor_entry_locks_the_address_below(void **state)
{
	struct rack *r = *state;

	csr_put(r, PMPADDR0, 0x100);
	csr_put(r, PMPADDR0 + 1, 0x200);
	csr_put(r, PMPCFG0, (L | TOR | R) << 8);
	csr_put(r, PMPADDR0, 0x180);
	assert_int_equal(csr_get(r, PMPADDR0), 0x100);
	csr_put(r, PMPCFG0, NA4); /* entry 0 itself is not locked */
	assert_int_equal(csr_get(r, PMPCFG0) & 0xff, NA4);
}

static void unlocked_entry_does_not_bind_m(void **state)
{
	struct rack *r = *state;

	csr_put(r, PMPADDR0, UINT64_MAX);
	csr_put(r, PMPCFG0, NAPOT);
	assert_int_equal(may(r, RAM_BASE, 8, PRIV_M), R | W | X);
	assert_int_equal(may(r, RAM_BASE, 8, PRIV_S), 0);
}

/* 3.7.1: R=0 W=1 is reserved; the fields are WARL. */
static void write_without_read_is_not_stored(void **state)
{
	struct rack *r = *state;

	csr_put(r, PMPCFG0, 0x60 | NA4 | W);
	assert_int_equal(csr_get(r, PMPCFG0), NA4);
}

/* 3.7.1: on RV64 the odd configuration registers are illegal. */
static void registers_that_exist(void **state)
{
	struct rack *r = *state;

	assert_true(csr_reads(r, PMPCFG2));
	assert_false(csr_reads(r, PMPCFG1));
	assert_true(csr_reads(r, PMPADDR0 + 15));
	assert_false(csr_reads(r, PMPADDR0 + 16));
	rack_priv(r, PRIV_S);
	assert_false(csr_reads(r, PMPCFG0));
}

/* 3.7: loads and stores, and M-mode with MPRV. */
static void accesses_fault(void **state)
{
	struct rack *r = *state;
	uint64_t value;

	csr_put(r, PMPADDR0, (RAM_BASE >> 2) | 0x1ff);
	csr_put(r, PMPCFG0, NAPOT | R);
	rack_priv(r, PRIV_U);
	assert_true(hart_load_slow(&r->h, RAM_BASE, 8, &value));
	assert_false(hart_store_slow(&r->h, RAM_BASE, 8, 1));
	assert_trap(r, CAUSE_STORE_ACCESS, RAM_BASE);
	assert_false(hart_load_slow(&r->h, RAM_BASE + 0x1000, 4, &value));
	assert_trap(r, CAUSE_LOAD_ACCESS, RAM_BASE + 0x1000);
	rack_priv(r, PRIV_M);
	assert_true(hart_store_slow(&r->h, RAM_BASE, 8, 1));
	csr_put(r, 0x300, MSTATUS_MPRV); /* MPP = U */
	assert_false(hart_store_slow(&r->h, RAM_BASE, 8, 1));
	assert_trap(r, CAUSE_STORE_ACCESS, RAM_BASE);
}

/* A page with two protections in it is looked at each time. */
static void protection_of_a_part_of_a_page_is_exact(void **state)
{
	struct rack *r = *state;
	uint64_t value;

	csr_put(r, PMPADDR0, (RAM_BASE + 0x100) >> 2);
	csr_put(r, PMPADDR0 + 1, UINT64_MAX);
	csr_put(r, PMPCFG0, (NAPOT | R | W | X) << 8 | NA4);
	rack_priv(r, PRIV_S);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(hart_load_slow(&r->h, RAM_BASE + 0xf8, 8, &value));
		assert_int_equal(tlb_data(&r->h, RAM_BASE)->read, TLB_NONE);
		assert_false(hart_load_slow(&r->h, RAM_BASE + 0x100, 4, &value));
		assert_trap(r, CAUSE_LOAD_ACCESS, RAM_BASE + 0x100);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, rack_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_match_lets_m_through_and_nobody_else),
		TEST(without_entries_everything_is_permitted),
		TEST(napot_sizes_are_trailing_ones),
		TEST(napot_of_all_ones_is_everything),
		TEST(na4_is_four_bytes),
		TEST(tor_goes_from_the_address_below_to_its_own),
		TEST(tor_of_entry_0_begins_at_0_and_an_empty_one_matches_nothing),
		TEST(lowest_entry_that_matches_any_byte_decides),
		TEST(locked_entry_binds_m_and_cannot_be_written),
		TEST(locked_tor_entry_locks_the_address_below),
		TEST(unlocked_entry_does_not_bind_m),
		TEST(write_without_read_is_not_stored),
		TEST(registers_that_exist),
		TEST(accesses_fault),
		TEST(protection_of_a_part_of_a_page_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
