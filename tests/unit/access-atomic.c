/* SPDX-License-Identifier: MIT */
/*
 * Atomic accesses to guest memory: every operation, size and order against plain arithmetic, and
 * threads that lose no increment.
 */
#include "support/probe.h"

#include <string.h>

#define BASE UINT64_C(0x100000)

static struct fh_region *root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

static struct fh_region *show(struct fh_machine *m, struct fh_region *region, uint64_t addr)
{
	assert_non_null(region);
	assert_int_equal(fh_region_add(root(m), region, addr, 0), FH_OK);
	return region;
}

static void drop(struct fh_region *region)
{
	fh_region_remove(region);
	fh_object_unref(region);
}

static uint64_t low(uint64_t value, unsigned size)
{
	return value & (UINT64_MAX >> (64 - 8 * size));
}

static int64_t as_signed(uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		return (int8_t)value;
	case 2:
		return (int16_t)value;
	case 4:
		return (int32_t)value;
	default:
		return (int64_t)value;
	}
}

static uint64_t expected(enum fh_atomic_op op, uint64_t a, uint64_t b, unsigned size)
{
	switch (op) {
	case FH_ATOMIC_SWAP:
		return b;
	case FH_ATOMIC_ADD:
		return a + b;
	case FH_ATOMIC_AND:
		return a & b;
	case FH_ATOMIC_OR:
		return a | b;
	case FH_ATOMIC_XOR:
		return a ^ b;
	case FH_ATOMIC_MIN:
		return as_signed(a, size) < as_signed(b, size) ? a : b;
	case FH_ATOMIC_MAX:
		return as_signed(a, size) > as_signed(b, size) ? a : b;
	case FH_ATOMIC_MIN_UNSIGNED:
		return low(a, size) < low(b, size) ? a : b;
	default:
		return low(a, size) > low(b, size) ? a : b;
	}
}

static void fetch_does_every_operation(void **unused)
{
	static const uint64_t values[] = { 0, 1, 0x7f, 0x80, 0xff, UINT64_C(0x7fffffffffffffff),
					   UINT64_C(0x8000000080008080), UINT64_MAX,
					   UINT64_C(0x123456789abcdef0) };
	const unsigned count = sizeof(values) / sizeof(values[0]);
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);
	uint8_t *byte = fh_region_ram(ram);

	(void)unused;
	for (unsigned size = 1; size <= 8; size *= 2)
		for (enum fh_order order = FH_LE; order <= FH_BE; order++)
			for (enum fh_atomic_op op = FH_ATOMIC_SWAP; op <= FH_ATOMIC_MAX_UNSIGNED;
			     op++)
				for (unsigned i = 0; i < count * count; i++) {
					const uint64_t a = values[i / count], b = values[i % count];
					const uint64_t addr = BASE + 8 + size;
					uint64_t old, now;

					memset(byte, 0xee, 64);
					fh_space_store(memory, addr, size, order, FH_ATTRS_NONE, a);
					assert_int_equal(fh_space_fetch(memory, addr, size, order,
									FH_ATTRS_NONE, op, b, &old),
							 FH_TX_OK);
					assert_int_equal(old, low(a, size));
					fh_space_load(memory, addr, size, order, FH_ATTRS_NONE,
						      &now);
					assert_int_equal(now, low(expected(op, a, b, size), size));
					assert_int_equal(byte[7 + size], 0xee);
					assert_int_equal(byte[8 + 2 * size], 0xee);
				}
	drop(ram);
	machine_end(m);
}

static void cmpxchg_exchanges_what_is_expected_and_nothing_else(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);

	(void)unused;
	for (unsigned size = 1; size <= 8; size *= 2)
		for (enum fh_order order = FH_LE; order <= FH_BE; order++) {
			const uint64_t a = UINT64_C(0x8182838485868788), b = ~a;
			uint64_t old, now;

			fh_space_store(memory, BASE, size, order, FH_ATTRS_NONE, a);
			assert_int_equal(fh_space_cmpxchg(memory, BASE, size, order, FH_ATTRS_NONE,
							  a + 1, b, &old),
					 FH_TX_OK);
			assert_int_equal(old, low(a, size));
			fh_space_load(memory, BASE, size, order, FH_ATTRS_NONE, &now);
			assert_int_equal(now, low(a, size));
			assert_int_equal(fh_space_cmpxchg(memory, BASE, size, order, FH_ATTRS_NONE,
							  a, b, &old),
					 FH_TX_OK);
			assert_int_equal(old, low(a, size));
			fh_space_load(memory, BASE, size, order, FH_ATTRS_NONE, &now);
			assert_int_equal(now, low(b, size));
		}
	drop(ram);
	machine_end(m);
}

static void check_add(struct fh_machine *m, uint64_t addr, unsigned size, enum fh_tx tx)
{
	uint64_t old = 7;

	assert_int_equal(fh_space_fetch(fh_machine_memory(m), addr, size, FH_LE, FH_ATTRS_NONE,
					FH_ATOMIC_ADD, 1, &old),
			 tx);
	assert_int_equal(old, 0);
	assert_int_equal(fh_space_cmpxchg(fh_machine_memory(m), addr, size, FH_LE, FH_ATTRS_NONE,
					  0, 0, &old),
			 tx);
}

static void only_ram_that_may_be_written_takes_them(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_region *rom =
		show(m, fh_region_new_rom(m, NULL, 0x1000, FH_ROM_IGNORE, NULL), BASE);
	struct fh_region *ram =
		show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE + 0x1000);
	struct fh_region *half = show(m, fh_region_new_ram(m, NULL, 4, NULL), BASE + 0x4000);
	struct fh_region *taken =
		show(m, fh_region_new_reservation(m, NULL, 0x1000), BASE + 0x5000);

	(void)unused;
	probe_plug(m, "probe", &hooks, BASE + 0x2000);
	check_add(m, BASE, 4, FH_TX_DENIED);
	check_add(m, BASE + 0x1000, 4, FH_TX_OK);
	check_add(m, BASE + 0x2000, 4, FH_TX_DENIED);
	check_add(m, BASE + 0x3000, 4, FH_TX_DECODE_ERROR);
	check_add(m, BASE + 0x4000, 8, FH_TX_DENIED);
	check_add(m, BASE + 0x5000, 4, FH_TX_DECODE_ERROR);
	check_add(m, BASE + 0x1011, 2, FH_TX_DECODE_ERROR);
	check_add(m, BASE + 0x1014, 8, FH_TX_DECODE_ERROR);
	fh_region_set_readonly(ram, true);
	check_add(m, BASE + 0x1000, 4, FH_TX_DENIED);
	assert_int_equal(hooks.reads + hooks.writes, 0);
	drop(rom);
	drop(ram);
	drop(half);
	drop(taken);
	machine_end(m);
}

enum { ROUNDS = 20000, THREADS = 3 };

struct adder {
	struct worker worker;
	struct fh_space *memory;
};

static void add_on(void *arg)
{
	struct adder *adder = arg;
	uint64_t old, seen = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK(fh_space_fetch(adder->memory, BASE, 4, FH_BE, FH_ATTRS_NONE, FH_ATOMIC_ADD,
				     1, &old) == FH_TX_OK);
		/* The same by hand. */
		do {
			fh_space_load(adder->memory, BASE + 8, 8, FH_LE, FH_ATTRS_NONE, &seen);
			CHECK(fh_space_cmpxchg(adder->memory, BASE + 8, 8, FH_LE, FH_ATTRS_NONE,
					       seen, seen + 1, &old) == FH_TX_OK);
		} while (old != seen);
	}
}

static void threads_lose_no_increment(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);
	struct adder adders[THREADS];
	uint64_t value;

	(void)unused;
	for (unsigned i = 0; i < THREADS; i++) {
		adders[i].memory = fh_machine_memory(m);
		worker_start(&adders[i].worker, add_on, &adders[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		worker_join(&adders[i].worker);
	fh_space_load(fh_machine_memory(m), BASE, 4, FH_BE, FH_ATTRS_NONE, &value);
	assert_int_equal(value, ROUNDS * THREADS);
	fh_space_load(fh_machine_memory(m), BASE + 8, 8, FH_LE, FH_ATTRS_NONE, &value);
	assert_int_equal(value, ROUNDS * THREADS);
	drop(ram);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetch_does_every_operation),
		cmocka_unit_test(cmpxchg_exchanges_what_is_expected_and_nothing_else),
		cmocka_unit_test(only_ram_that_may_be_written_takes_them),
		cmocka_unit_test(threads_lose_no_increment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
