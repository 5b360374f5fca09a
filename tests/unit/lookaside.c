/* SPDX-License-Identifier: MIT */
/*
 * What a thread remembers of its lookups: it never shows what is no longer there, and never
 * mistakes one thing for another.
 */
#include "base/point.h"
#include "support/array.h"

#define BASE UINT64_C(0x10000)

static void remembered_lookup_ends_with_the_edit(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = show(m, fh_region_new_ram(m, "ram", 0x1000, NULL), BASE);
	uint64_t addr = BASE;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		const uint64_t next = BASE + (i % 7 + 1) * 0x800;

		load32(m, addr, FH_TX_OK);
		load32(m, addr, FH_TX_OK);
		fh_region_move(ram, next);
		if (addr + 4 <= next || addr >= next + 0x1000)
			load32(m, addr, FH_TX_DECODE_ERROR);
		addr = next;
	}
	drop(ram);
	load32(m, addr, FH_TX_DECODE_ERROR);
	machine_end(m);
}

/* Wide, narrow and many ranges in one page; more than the lookaside begins with. */
static void many_ranges_are_told_apart(void **state)
{
	enum { COUNT = 600 };
	static const uint64_t strides[] = { 16, 256, 0x1000, 0x3000 };
	struct fh_machine *m = machine_begin();
	struct array *a[COUNT];

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		for (unsigned i = 0; i < COUNT; i++) {
			a[i] = array_new(m, &(struct fh_region_ops){ .impl = { 1, 8, false } },
					 BASE + i * strides[k]);
			memset(a[i]->byte, (int)i, ARRAY_SIZE);
			a[i]->byte[4] = (uint8_t)(i >> 8);
		}
		for (unsigned n = 0; n < 20 * COUNT; n++) {
			const unsigned i = n * 7919 % COUNT;
			const uint32_t value =
				load32(m, BASE + i * strides[k] + 1, FH_TX_DECODE_ERROR);

			assert_int_equal(value, 0); /* unaligned */
			assert_int_equal(load32(m, BASE + i * strides[k], FH_TX_OK),
					 (uint8_t)i * 0x01010101u);
			assert_int_equal(load32(m, BASE + i * strides[k] + 4, FH_TX_OK) & 0xff,
					 i >> 8);
			if (strides[k] > ARRAY_SIZE)
				load32(m, BASE + i * strides[k] + ARRAY_SIZE, FH_TX_DECODE_ERROR);
		}
		for (unsigned i = 0; i < COUNT; i++)
			array_destroy(a[i]);
	}
	machine_end(m);
}

static void space_shows_its_new_root_at_once(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram[2];
	struct fh_space *space[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		ram[i] = fh_region_new_ram(m, NULL, 0x1000, NULL);
		*(uint8_t *)fh_region_ram(ram[i]) = (uint8_t)(10 + i);
		space[i] = fh_space_new(m, NULL, ram[i]);
	}
	for (unsigned n = 0; n < 100; n++) {
		for (unsigned i = 0; i < 2; i++) {
			uint8_t value;

			assert_int_equal(fh_space_load8(space[i], 0, FH_LE, &value), FH_TX_OK);
			assert_int_equal(value, 10 + (i + n) % 2);
			assert_int_equal(fh_space_set_root(space[i], ram[(i + n + 1) % 2]), FH_OK);
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		fh_object_unref(space[i]);
		fh_object_unref(ram[i]);
	}
	machine_end(m);
}

/* What a thread remembers of a machine that is gone is never looked at. */
static void machines_come_and_go_under_one_thread(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 20; n++) {
		struct fh_machine *m = machine_begin();
		struct array *a[40];

		for (unsigned i = 0; i < 40; i++) {
			a[i] = array_new(m, &(struct fh_region_ops){ .impl = { 1, 8, false } },
					 BASE + i * 0x40);
			a[i]->byte[0] = (uint8_t)(n + i);
			assert_int_equal((uint8_t)load32(m, BASE + i * 0x40, FH_TX_OK),
					 (uint8_t)(n + i));
		}
		for (unsigned i = 0; i < 40; i++)
			array_destroy(a[i]);
		machine_end(m);
	}
}

static struct fh_machine *shared_machine;

/* Twice, as the second one finds what the first one remembered. */
static void load_twice(void *arg)
{
	enum fh_tx *tx = arg;

	for (unsigned i = 0; i < 2; i++)
		tx[i] = fh_space_load32(fh_machine_memory(shared_machine), BASE, FH_LE,
					&(uint32_t){ 0 });
}

static void leaf_retired_between_walk_and_fill_is_not_remembered(void **state)
{
	struct fh_machine *m = shared_machine = machine_begin();
	struct array *a = array_new(m, &(struct fh_region_ops){ .impl = { 1, 8, false } }, BASE);
	enum fh_tx tx[2];
	struct worker worker;

	(void)state;
	fh_point_arm("lookup.walked");
	worker_start(&worker, load_twice, tx);
	assert_true(fh_point_wait("lookup.walked"));
	fh_region_remove(a->region);
	fh_point_release("lookup.walked");
	worker_join(&worker);
	assert_int_equal(tx[1], FH_TX_DECODE_ERROR);
	array_destroy(a);
	machine_end(m);
}

/* --- Readers against an editor -------------------------------------------------------------- */

enum { PLACES = 64 };

struct reader {
	struct worker worker;
	struct fh_machine *m;
	_Atomic bool *stop;
	unsigned seed, odd;
	unsigned shown, holes;
};

/* Place p shows what belongs to p, which says so, or nothing. */
static void read_places(void *arg)
{
	struct reader *reader = arg;

	while (!atomic_load_explicit(reader->stop, memory_order_relaxed)) {
		reader->seed = reader->seed * 1103515245 + 12345;
		const unsigned place = (reader->seed >> 16) % PLACES;
		uint32_t value;
		const enum fh_tx tx = fh_space_load32(fh_machine_memory(reader->m),
						      BASE + place * 0x20, FH_LE, &value);

		if (tx == FH_TX_OK)
			reader->shown++;
		else
			reader->holes++;
		if (!(tx == FH_TX_OK && value == place * 0x01010101u) &&
		    !(tx == FH_TX_DECODE_ERROR && value == 0))
			reader->odd++;
	}
}

static void edit_places(struct fh_machine *m, unsigned edits)
{
	const struct fh_region_ops ops = { .impl = { 1, 8, false } };
	struct array *a[PLACES] = { NULL };
	unsigned seed = 1;

	for (unsigned n = 0; n < edits; n++) {
		seed = seed * 1103515245 + 12345;
		const unsigned place = (seed >> 16) % PLACES;

		if (a[place]) {
			array_destroy(a[place]);
			a[place] = NULL;
			continue;
		}
		a[place] = array_made(m, &ops);
		memset(a[place]->byte, (int)place, ARRAY_SIZE);
		show(m, a[place]->region, BASE + place * 0x20);
	}
	for (unsigned place = 0; place < PLACES; place++)
		if (a[place])
			array_destroy(a[place]);
}

static void readers_see_what_is_there_while_an_editor_runs(void **state)
{
	struct fh_machine *m = machine_begin();
	_Atomic bool stop = false;
	struct reader reader[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		reader[i] = (struct reader){ .m = m, .stop = &stop, .seed = i };
		worker_start(&reader[i].worker, read_places, &reader[i]);
	}
	edit_places(m, 20000);
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < 2; i++) {
		worker_join(&reader[i].worker);
		assert_int_equal(reader[i].odd, 0);
		assert_true(reader[i].shown > 0 && reader[i].holes > 0);
	}
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembered_lookup_ends_with_the_edit),
		cmocka_unit_test(many_ranges_are_told_apart),
		cmocka_unit_test(space_shows_its_new_root_at_once),
		cmocka_unit_test(machines_come_and_go_under_one_thread),
		cmocka_unit_test(leaf_retired_between_walk_and_fill_is_not_remembered),
		cmocka_unit_test(readers_see_what_is_there_while_an_editor_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
