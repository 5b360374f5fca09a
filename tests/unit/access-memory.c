/* SPDX-License-Identifier: MIT */
/*
 * Accesses to memory of all kinds, across borders, in bulk, and beyond everything.
 */
#include "support/array.h"

#define BASE UINT64_C(0x10000)

/* --- Memory --------------------------------------------------------------------------------- */

static void memory_takes_every_size_at_every_alignment(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, "ram", 0x1000, NULL), BASE);
	uint8_t *byte = fh_region_ram(ram);

	(void)state;
	for (unsigned offset = 0; offset < 16; offset++) {
		for (unsigned size = 1; size <= 8; size++) {
			const uint64_t value = UINT64_C(0x8877665544332211) >> (64 - 8 * size);
			uint64_t got;

			memset(byte, 0xee, 32);
			assert_int_equal(fh_space_store(space, BASE + offset, size, FH_LE, none,
							value),
					 FH_TX_OK);
			for (unsigned i = 0; i < 32; i++)
				assert_int_equal(byte[i],
						 i < offset || i >= offset + size ?
							 0xee :
							 (uint8_t)(value >> 8 * (i - offset)));
			assert_int_equal(
				fh_space_load(space, BASE + offset, size, FH_LE, none, &got),
				FH_TX_OK);
			assert_int_equal(got, value);
			assert_int_equal(
				fh_space_load(space, BASE + offset, size, FH_BE, none, &got),
				FH_TX_OK);
			assert_int_equal(got, __builtin_bswap64(value) >> (64 - 8 * size));
			assert_int_equal(fh_space_store(space, BASE + offset, size, FH_BE, none,
							got),
					 FH_TX_OK);
			assert_memory_equal(byte + offset, &value, size);
		}
	}
	drop(ram);
	machine_end(m);
}

static void rom_reads_and_keeps_its_contents(void **state)
{
	static const enum fh_rom_write writes[] = { FH_ROM_IGNORE, FH_ROM_DECODE_ERROR };
	const struct fh_attrs debug = { .debug = true };
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct fh_region *rom =
			show(m, fh_region_new_rom(m, "rom", 0x1000, writes[i], NULL), BASE);
		const enum fh_tx tx = i ? FH_TX_DECODE_ERROR : FH_TX_OK;
		uint8_t buffer[16] = { 1, 2, 3 };
		uint32_t value;

		assert_int_equal(fh_space_store32(space, BASE, 7, FH_LE), tx);
		assert_int_equal(fh_space_write(space, BASE, buffer, 16, none), tx);
		assert_int_equal(fh_space_fill(space, BASE, 9, 16, none), tx);
		assert_int_equal(fh_space_load32(space, BASE, FH_LE, &value), FH_TX_OK);
		assert_int_equal(value, 0);
		assert_int_equal(fh_space_store(space, BASE, 4, FH_LE, debug, 0x11223344),
				 FH_TX_OK);
		assert_int_equal(fh_space_write(space, BASE + 4, buffer, 3, debug), FH_TX_OK);
		assert_int_equal(fh_space_fill(space, BASE + 7, 9, 1, debug), FH_TX_OK);
		assert_int_equal(fh_space_load32(space, BASE, FH_LE, &value), FH_TX_OK);
		assert_int_equal(value, 0x11223344);
		assert_int_equal(fh_space_load32(space, BASE + 4, FH_LE, &value), FH_TX_OK);
		assert_int_equal(value, 0x09030201);
		drop(rom);
	}
	machine_end(m);
}

static void readonly_window_onto_ram_ignores_writes(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, "ram", 0x1000, NULL), BASE);
	struct fh_region *window =
		show(m, fh_region_new_alias(m, "window", ram, 0, 0x1000), BASE + 0x10000);
	uint32_t value;

	(void)state;
	assert_int_equal(fh_region_set_readonly(window, true), FH_OK);
	assert_int_equal(fh_space_store32(space, BASE + 0x10000, 7, FH_LE), FH_TX_OK);
	assert_int_equal(fh_space_load32(space, BASE, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 0);
	assert_int_equal(fh_space_store32(space, BASE, 7, FH_LE), FH_TX_OK);
	assert_int_equal(fh_space_load32(space, BASE + 0x10000, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 7);
	drop(window);
	drop(ram);
	machine_end(m);
}

static void rom_device_reads_memory_in_rom_mode_and_always_writes_by_callback(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct array a = { .ops = { .read = array_read,
				    .write = array_write,
				    .impl = { 1, 8, false } } };
	struct fh_region *flash =
		show(m, fh_region_new_rom_device(m, "flash", ARRAY_SIZE, &a.ops, &a, NULL), BASE);
	uint32_t value;

	(void)state;
	array_fill(&a, 1);
	memset(fh_region_ram(flash), 0x77, ARRAY_SIZE);
	assert_int_equal(fh_space_load32(space, BASE, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 0x77777777);
	assert_int_equal(a.calls, 0);
	assert_int_equal(fh_space_store32(space, BASE, 5, FH_LE), FH_TX_OK);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.byte[0], 5);
	assert_int_equal(fh_region_set_rom_mode(flash, false), FH_OK);
	assert_int_equal(fh_space_load32(space, BASE, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 5);
	assert_int_equal(a.calls, 2);
	drop(flash);
	machine_end(m);
}

static void memory_only_is_denied_by_all_but_memory(void **state)
{
	const struct fh_attrs attrs = { .memory_only = true };
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct array *a = array_new(m, &(struct fh_region_ops){ .impl = { 1, 8, false } }, BASE);
	struct fh_region *ram = show(m, fh_region_new_ram(m, "ram", 0x1000, NULL), BASE + 0x1000);
	struct fh_region *rom =
		show(m, fh_region_new_rom(m, "rom", 0x1000, FH_ROM_IGNORE, NULL), BASE + 0x2000);
	struct fh_region *flash = show(
		m, fh_region_new_rom_device(m, "flash", 0x1000, &a->ops, a, NULL), BASE + 0x3000);
	struct fh_region *reserved =
		show(m, fh_region_new_reservation(m, "reserved", 0x1000), BASE + 0x4000);
	uint8_t buffer[8];
	uint64_t value;

	(void)state;
	a->ops.release = NULL; /* two regions share the state */
	assert_int_equal(fh_space_load(space, BASE, 4, FH_LE, attrs, &value), FH_TX_DENIED);
	assert_int_equal(fh_space_store(space, BASE, 4, FH_LE, attrs, 0), FH_TX_DENIED);
	assert_int_equal(fh_space_read(space, BASE, buffer, 8, attrs), FH_TX_DENIED);
	assert_int_equal(fh_space_load(space, BASE + 0x1000, 4, FH_LE, attrs, &value), FH_TX_OK);
	assert_int_equal(fh_space_write(space, BASE + 0x1000, buffer, 8, attrs), FH_TX_OK);
	assert_int_equal(fh_space_load(space, BASE + 0x2000, 4, FH_LE, attrs, &value), FH_TX_OK);
	assert_int_equal(fh_space_load(space, BASE + 0x3000, 4, FH_LE, attrs, &value),
			 FH_TX_DENIED);
	assert_int_equal(fh_space_load(space, BASE + 0x4000, 4, FH_LE, attrs, &value),
			 FH_TX_DECODE_ERROR);
	assert_int_equal(a->calls, 0);
	drop(flash);
	drop(rom);
	drop(ram);
	drop(reserved);
	array_destroy(a);
	fh_machine_drain(m);
	fh_free(a);
	machine_end(m);
}

/* --- Borders -------------------------------------------------------------------------------- */

static void holes_and_reservations_are_decode_errors(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct fh_region *reserved =
		show(m, fh_region_new_reservation(m, "reserved", 0x1000), BASE);
	uint8_t buffer[16];
	uint64_t value;

	(void)state;
	for (uint64_t addr = BASE - 8; addr <= BASE + 8; addr += 8) {
		value = 1;
		memset(buffer, 1, sizeof(buffer));
		assert_int_equal(fh_space_load(space, addr, 8, FH_LE, none, &value),
				 FH_TX_DECODE_ERROR);
		assert_int_equal(value, 0);
		assert_int_equal(fh_space_store(space, addr, 8, FH_LE, none, value),
				 FH_TX_DECODE_ERROR);
		assert_int_equal(fh_space_read(space, addr, buffer, sizeof(buffer), none),
				 FH_TX_DECODE_ERROR);
		assert_int_equal(buffer[0] | buffer[15], 0);
	}
	drop(reserved);
	machine_end(m);
}

static void access_beyond_the_top_is_a_decode_error_and_does_the_rest(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct fh_region *high =
		show(m, fh_region_new_ram(m, "high", 0x1000, NULL), -UINT64_C(0x1000));
	struct fh_region *low = show(m, fh_region_new_ram(m, "low", 0x1000, NULL), 0);
	uint8_t buffer[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	uint64_t value;

	(void)state;
	assert_int_equal(fh_space_fill(space, UINT64_MAX - 3, 0x5a, 8, none), FH_TX_DECODE_ERROR);
	assert_int_equal(((uint8_t *)fh_region_ram(high))[0xfff], 0x5a);
	assert_int_equal(((uint8_t *)fh_region_ram(low))[0], 0);
	assert_int_equal(fh_space_load(space, UINT64_MAX - 3, 8, FH_LE, none, &value),
			 FH_TX_DECODE_ERROR);
	assert_int_equal(value, 0x5a5a5a5a);
	assert_int_equal(fh_space_read(space, UINT64_MAX - 3, buffer, 8, none), FH_TX_DECODE_ERROR);
	assert_int_equal(buffer[3], 0x5a);
	assert_int_equal(buffer[4] | buffer[7], 0);
	assert_int_equal(fh_space_load(space, UINT64_MAX - 3, 4, FH_LE, none, &value), FH_TX_OK);
	assert_int_equal(fh_space_load(space, UINT64_MAX, 1, FH_LE, none, &value), FH_TX_OK);
	drop(high);
	drop(low);
	machine_end(m);
}

static void empty_space_and_empty_access(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *empty = fh_space_new(m, NULL, NULL);
	uint8_t byte = 1;
	uint64_t value;

	(void)state;
	assert_int_equal(fh_space_load(empty, 0, 1, FH_LE, none, &value), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_space_read(empty, 0, &byte, 0, none), FH_TX_OK);
	assert_int_equal(fh_space_write(empty, 0, &byte, 0, none), FH_TX_OK);
	assert_int_equal(fh_space_fill(empty, 0, 0, 0, none), FH_TX_OK);
	assert_int_equal(byte, 1);
	fh_object_unref(empty);
	machine_end(m);
}

/* --- Bulk ----------------------------------------------------------------------------------- */

/* RAM, a device, a hole and RAM again, of 0x20 bytes each. */
static void bulk_goes_through_ranges_in_order_and_skips_what_fails(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct fh_region *first = show(m, fh_region_new_ram(m, NULL, 0x10, NULL), BASE);
	struct array *a = array_new(m, &(struct fh_region_ops){ .impl = { 2, 4, false },
								.order = FH_BE,
								.read_modify_write = true },
				    BASE + 0x10);
	struct fh_region *last = show(m, fh_region_new_ram(m, NULL, 0x10, NULL), BASE + 0x30);
	uint8_t *ram[2] = { fh_region_ram(first), fh_region_ram(last) };
	uint8_t out[0x40], in[0x40];

	(void)state;
	for (unsigned begin = 0; begin < 0x40; begin++) {
		for (unsigned size = 1; begin + size <= 0x40; size++) {
			const bool hole = begin < 0x30 && begin + size > 0x20;
			const enum fh_tx tx = hole ? FH_TX_DECODE_ERROR : FH_TX_OK;

			memset(ram[0], 0xee, 0x10);
			memset(ram[1], 0xee, 0x10);
			memset(a->byte, 0xee, sizeof(a->byte));
			for (unsigned i = 0; i < size; i++)
				out[i] = (uint8_t)(begin + i);
			assert_int_equal(fh_space_write(space, BASE + begin, out, size, none), tx);
			assert_int_equal(fh_space_read(space, BASE, in, 0x40, none),
					 FH_TX_DECODE_ERROR);
			for (unsigned i = 0; i < 0x40; i++) {
				const uint8_t wanted = i >= 0x20 && i < 0x30 ? 0 :
						       i < begin || i >= begin + size ? 0xee :
											(uint8_t)i;

				assert_int_equal(in[i], wanted);
			}
			assert_int_equal(fh_space_fill(space, BASE + begin, 0x33, size, none), tx);
			assert_int_equal(fh_space_read(space, BASE + begin, in, size, none), tx);
			for (unsigned i = 0; i < size; i++)
				assert_int_equal(in[i],
						 begin + i >= 0x20 && begin + i < 0x30 ? 0 : 0x33);
		}
	}
	assert_int_equal(a->bad_calls, 0);
	drop(first);
	drop(last);
	array_destroy(a);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_takes_every_size_at_every_alignment),
		cmocka_unit_test(rom_reads_and_keeps_its_contents),
		cmocka_unit_test(readonly_window_onto_ram_ignores_writes),
		cmocka_unit_test(rom_device_reads_memory_in_rom_mode_and_always_writes_by_callback),
		cmocka_unit_test(memory_only_is_denied_by_all_but_memory),
		cmocka_unit_test(holes_and_reservations_are_decode_errors),
		cmocka_unit_test(access_beyond_the_top_is_a_decode_error_and_does_the_rest),
		cmocka_unit_test(empty_space_and_empty_access),
		cmocka_unit_test(bulk_goes_through_ranges_in_order_and_skips_what_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
