/* SPDX-License-Identifier: MIT */
/*
 * Accesses to registers against an oracle that was written from the contract: what `valid` and
 * `impl` mean, byte order, borders, results.
 */
#include "support/array.h"
#include "support/dies.h"

#define BASE UINT64_C(0x10000)

/* --- The oracle ----------------------------------------------------------------------------- */

/* What an access does to one byte. */
enum fate { DONE, DECODE, NARROW };

static bool is_power(unsigned n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* A piece of the guest's: which of its bytes reach the device. */
static void judge_piece(const struct fh_region_ops *ops, unsigned offset, unsigned size, bool write,
			enum fate *fate)
{
	unsigned unit;

	if (size < ops->valid.min || size > ops->valid.max ||
	    (offset % size != 0 && !ops->valid.unaligned)) {
		for (unsigned i = 0; i < size; i++)
			fate[i] = DECODE;
		return;
	}
	for (unsigned at = 0; at < size; at += unit) {
		unit = 8;
		while (unit > size - at || unit > ops->impl.max ||
		       (!ops->impl.unaligned && (offset + at) % unit != 0))
			unit /= 2;
		for (unsigned i = at; i < at + unit; i++)
			fate[i] = write && unit < ops->impl.min && !ops->read_modify_write ?
					  NARROW :
					  DONE;
		/* The rest of an aligned unit of impl.min is narrow as well, and goes with it. */
		if (unit < ops->impl.min) {
			while (at + unit < size && (offset + at + unit) % ops->impl.min != 0) {
				fate[at + unit] = fate[at];
				unit++;
			}
		}
	}
}

/* The part of an access that lies in one region. */
static void judge_part(const struct fh_region_ops *ops, unsigned offset, unsigned size, bool whole,
		       bool write, enum fate *fate)
{
	unsigned piece;

	if (whole && is_power(size)) {
		judge_piece(ops, offset, size, write, fate);
		return;
	}
	for (; size > 0; size -= piece, offset += piece, fate += piece) {
		piece = 8;
		while (piece > size || piece > ops->valid.max || offset % piece != 0)
			piece /= 2;
		if (piece < ops->valid.min && ops->valid.unaligned && size >= ops->valid.min)
			piece = ops->valid.min;
		judge_piece(ops, offset, piece, write, fate);
	}
}

static enum fh_tx tx_of(const enum fate *fate, unsigned size)
{
	enum fh_tx worst = FH_TX_OK;

	for (unsigned i = 0; i < size; i++) {
		const enum fh_tx tx = fate[i] == DECODE ? FH_TX_DECODE_ERROR :
				      fate[i] == NARROW ? FH_TX_DEVICE_ERROR :
							  FH_TX_OK;

		worst = tx > worst ? tx : worst;
	}
	return worst;
}

/* Fates of all bytes of an access at offset of `a`, behind which `b` lies. */
static void judge(const struct array *a, const struct array *b, unsigned offset, unsigned size,
		  bool write, enum fate *fate)
{
	const unsigned in_a = offset + size > ARRAY_SIZE ? ARRAY_SIZE - offset : size;

	judge_part(&a->ops, offset, in_a, in_a == size, write, fate);
	if (in_a < size)
		judge_part(&b->ops, 0, size - in_a, false, write, fate + in_a);
}

static uint8_t *byte_at(struct array *a, struct array *b, unsigned offset)
{
	return offset < ARRAY_SIZE ? &a->byte[offset] : &b->byte[offset - ARRAY_SIZE];
}

static void check_load(struct fh_space *space, struct array *a, struct array *b, unsigned offset,
		       unsigned size, enum fh_order order)
{
	enum fate fate[8];
	uint64_t wanted = 0, value = 1;

	judge(a, b, offset, size, false, fate);
	for (unsigned i = 0; i < size; i++) {
		const unsigned shift = 8 * (order == FH_BE ? size - 1 - i : i);

		if (fate[i] == DONE)
			wanted |= (uint64_t)*byte_at(a, b, offset + i) << shift;
	}
	const enum fh_tx tx = fh_space_load(space, BASE + offset, size, order, none, &value);

	assert_int_equal(tx, tx_of(fate, size));
	assert_int_equal(value, wanted);
}

static void check_store(struct fh_space *space, struct array *a, struct array *b, unsigned offset,
			unsigned size, enum fh_order order)
{
	const uint64_t value = UINT64_C(0xf1e2d3c4b5a69788);
	uint8_t wanted[2 * ARRAY_SIZE];
	enum fate fate[8];

	array_fill(a, (uint8_t)offset);
	array_fill(b, (uint8_t)(offset + 100));
	for (unsigned i = 0; i < 2 * ARRAY_SIZE; i++)
		wanted[i] = *byte_at(a, b, i);
	judge(a, b, offset, size, true, fate);
	for (unsigned i = 0; i < size; i++) {
		const unsigned shift = 8 * (order == FH_BE ? size - 1 - i : i);

		if (fate[i] == DONE)
			wanted[offset + i] = (uint8_t)(value >> shift);
	}
	const enum fh_tx tx = fh_space_store(space, BASE + offset, size, order, none, value);

	assert_int_equal(tx, tx_of(fate, size));
	for (unsigned i = 0; i < 2 * ARRAY_SIZE; i++)
		assert_int_equal(*byte_at(a, b, i), wanted[i]);
}

/* All accesses to one pair of neighbours. */
static void check_pair(struct fh_machine *m, const struct fh_region_ops *first,
		       const struct fh_region_ops *second)
{
	struct fh_space *space = fh_machine_memory(m);
	struct array *a = array_new(m, first, BASE);
	struct array *b = array_new(m, second, BASE + ARRAY_SIZE);

	for (unsigned offset = 0; offset < ARRAY_SIZE; offset++) {
		for (unsigned size = 1; size <= 8; size++) {
			for (enum fh_order order = FH_LE; order <= FH_BE; order++) {
				if (!first->read_modify_write) /* which makes no difference */
					check_load(space, a, b, offset, size, order);
				check_store(space, a, b, offset, size, order);
			}
		}
	}
	assert_int_equal(a->bad_calls, 0);
	assert_int_equal(b->bad_calls, 0);
	array_destroy(a);
	array_destroy(b);
}

/* The n-th of all pairs of sizes, as min and max. */
static struct fh_access_sizes sizes_of(unsigned n)
{
	static const struct fh_access_sizes sizes[] = {
		{ 1, 1, false }, { 1, 2, false }, { 1, 4, false }, { 1, 8, false },
		{ 2, 2, false }, { 2, 4, false }, { 2, 8, false }, { 4, 4, false },
		{ 4, 8, false }, { 8, 8, false },
	};
	struct fh_access_sizes result = sizes[n % 10];

	result.unaligned = n / 10 != 0;
	return result;
}

static void every_size_and_alignment_is_as_the_contract_says(void **state)
{
	/* A neighbour that is as different as can be. */
	const struct fh_region_ops second = {
		.valid = { 1, 4, false },
		.impl = { 2, 2, false },
		.order = FH_BE,
		.read_modify_write = true,
	};
	struct fh_machine *m = machine_begin();

	(void)state;
	for (unsigned valid = 0; valid < 20; valid++) {
		for (unsigned impl = 0; impl < 20; impl++) {
			for (unsigned how = 0; how < 4; how++) {
				const struct fh_region_ops first = {
					.valid = sizes_of(valid),
					.impl = sizes_of(impl),
					.order = how & 1 ? FH_BE : FH_LE,
					.read_modify_write = (how & 2) != 0,
					.concurrent = impl % 2,
				};

				check_pair(m, &first, &second);
			}
		}
		fh_machine_drain(m);
	}
	machine_end(m);
}

static void native_order_is_little_endian(void **state)
{
	const struct fh_region_ops ops = {
		.valid = { 1, 8, false },
		.impl = { 1, 2, false },
		.order = FH_NATIVE,
	};
	struct fh_machine *m = machine_begin();
	struct array *a = array_new(m, &ops, BASE);
	struct array *b = array_new(m, &ops, BASE + ARRAY_SIZE);

	(void)state;
	for (unsigned size = 1; size <= 8; size++) {
		check_load(fh_machine_memory(m), a, b, 8, size, FH_NATIVE);
		check_store(fh_machine_memory(m), a, b, 8, size, FH_NATIVE);
	}
	array_destroy(a);
	array_destroy(b);
	machine_end(m);
}

static void defaults_are_one_to_eight_bytes_aligned(void **state)
{
	struct fh_machine *m = machine_begin();
	struct array *a = array_new(m, &(struct fh_region_ops){ .valid = { 0 } }, BASE);
	struct fh_space *space = fh_machine_memory(m);
	uint64_t value;

	(void)state;
	for (unsigned size = 1; size <= 8; size *= 2) {
		assert_int_equal(fh_space_load(space, BASE + size, size, FH_LE, none, &value),
				 FH_TX_OK);
		assert_int_equal(a->calls, 1);
		a->calls = 0;
	}
	assert_int_equal(fh_space_load(space, BASE + 1, 2, FH_LE, none, &value),
			 FH_TX_DECODE_ERROR);
	assert_int_equal(a->calls, 0);
	array_destroy(a);
	machine_end(m);
}

/* --- What a device can say ------------------------------------------------------------------ */

static void error_of_the_device_reads_as_zero(void **state)
{
	struct fh_machine *m = machine_begin();
	struct array *a = array_new(m, &(struct fh_region_ops){ .impl = { 1, 8, false } }, BASE);
	struct fh_space *space = fh_machine_memory(m);
	uint64_t value = 1;

	(void)state;
	a->tx = FH_TX_DEVICE_ERROR;
	assert_int_equal(fh_space_load(space, BASE, 4, FH_LE, none, &value), FH_TX_DEVICE_ERROR);
	assert_int_equal(value, 0);
	value = 1;
	assert_int_equal(fh_space_load(space, BASE, 4, FH_BE, none, &value), FH_TX_DEVICE_ERROR);
	assert_int_equal(value, 0);
	assert_int_equal(fh_space_store(space, BASE, 4, FH_LE, none, 1), FH_TX_DEVICE_ERROR);
	array_destroy(a);
	machine_end(m);
}

static void failed_read_keeps_a_narrow_write_from_happening(void **state)
{
	const struct fh_region_ops ops = { .impl = { 4, 4, false }, .read_modify_write = true };
	struct fh_machine *m = machine_begin();
	struct array *a = array_new(m, &ops, BASE);
	uint8_t before[ARRAY_SIZE];

	(void)state;
	memcpy(before, a->byte, ARRAY_SIZE);
	a->tx = FH_TX_DEVICE_ERROR;
	assert_int_equal(fh_space_store8(fh_machine_memory(m), BASE + 1, 0xff, FH_LE),
			 FH_TX_DEVICE_ERROR);
	assert_memory_equal(a->byte, before, ARRAY_SIZE);
	assert_int_equal(a->calls, 1);
	array_destroy(a);
	machine_end(m);
}

static bool accepts_offset_8(void *state, uint64_t offset, unsigned size, bool write,
			     struct fh_attrs attrs)
{
	(void)state;
	(void)size;
	(void)attrs;
	return offset == 8 && !write;
}

static void what_accepts_refuses_is_a_decode_error(void **state)
{
	const struct fh_region_ops ops = {
		.impl = { 1, 2, false },
		.accepts = accepts_offset_8,
	};
	struct fh_machine *m = machine_begin();
	struct array *a = array_new(m, &ops, BASE);
	struct fh_space *space = fh_machine_memory(m);
	uint32_t value;
	uint16_t half;

	(void)state;
	assert_int_equal(fh_space_load16(space, BASE, FH_LE, &half), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_space_load32(space, BASE + 8, FH_LE, &value), FH_TX_OK);
	assert_int_equal(fh_space_load32(space, BASE + 4, FH_LE, &value), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_space_store32(space, BASE + 8, 0, FH_LE), FH_TX_DECODE_ERROR);
	assert_int_equal(a->calls, 2); /* of impl.max each: asked once for the whole */
	array_destroy(a);
	machine_end(m);
}

static void missing_callbacks_are_decode_errors(void **state)
{
	const struct fh_region_ops write_only = { .write = array_write, .impl = { 1, 8, false } };
	const struct fh_region_ops read_only = { .read = array_read, .impl = { 1, 8, false } };
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct array a = { .ops = { .impl = { 1, 8, false } } };
	uint32_t value;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fh_region *region =
			fh_region_new_mmio(m, NULL, ARRAY_SIZE, i ? &read_only : &write_only, &a);

		fh_region_add(fh_space_root(space), region, BASE, 0);
		assert_int_equal(fh_space_load32(space, BASE, FH_LE, &value),
				 i ? FH_TX_OK : FH_TX_DECODE_ERROR);
		assert_int_equal(fh_space_store32(space, BASE, 1, FH_LE),
				 i ? FH_TX_DECODE_ERROR : FH_TX_OK);
		fh_region_remove(region);
		fh_object_unref(region);
	}
	machine_end(m);
}

static void attributes_reach_the_callback(void **state)
{
	const struct fh_attrs attrs = { .requester = 0x1234, .secure = true, .user = true };
	struct fh_machine *m = machine_begin();
	struct array *a = array_new(m, &(struct fh_region_ops){ .impl = { 1, 4, false } }, BASE);
	uint64_t value;

	(void)state;
	for (unsigned size = 4; size <= 8; size += 4) { /* the short way and the long one */
		memset(&a->attrs, 0, sizeof(a->attrs));
		assert_int_equal(fh_space_load(fh_machine_memory(m), BASE, size, FH_LE, attrs,
					       &value),
				 FH_TX_OK);
		assert_int_equal(a->attrs.requester, 0x1234);
		assert_true(a->attrs.secure && a->attrs.user);
		assert_false(a->attrs.debug || a->attrs.memory_only);
	}
	array_destroy(a);
	machine_end(m);
}

/* --- A programmer's errors ------------------------------------------------------------------ */

static void load_nothing(void)
{
	uint64_t value;

	fh_space_load(fh_machine_memory(fh_machine_new(NULL, NULL)), 0, 0, FH_LE, none, &value);
}

static void store_nine(void)
{
	fh_space_store(fh_machine_memory(fh_machine_new(NULL, NULL)), 0, 9, FH_LE, none, 0);
}

static void load_in_transaction(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	uint64_t value;

	fh_edit_begin(m);
	fh_space_load(fh_machine_memory(m), 0, 4, FH_LE, none, &value);
}

static void region_that_takes_three_bytes(void)
{
	static const struct fh_region_ops ops = { .impl = { .min = 3 } };

	fh_region_new_mmio(fh_machine_new(NULL, NULL), NULL, 0x10, &ops, NULL);
}

static void region_that_takes_sixteen_bytes(void)
{
	static const struct fh_region_ops ops = { .valid = { .max = 16 } };

	fh_region_new_mmio(fh_machine_new(NULL, NULL), NULL, 0x10, &ops, NULL);
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(load_nothing, "size - 1 < 8"));
	assert_true(dies_saying(store_nine, "size - 1 < 8"));
	assert_true(dies_saying(region_that_takes_three_bytes, "sizes->min"));
	assert_true(dies_saying(region_that_takes_sixteen_bytes, "sizes->max"));
	assert_true(dies_saying(load_in_transaction, "FH_HELD_TOPOLOGY"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_and_alignment_is_as_the_contract_says),
		cmocka_unit_test(native_order_is_little_endian),
		cmocka_unit_test(defaults_are_one_to_eight_bytes_aligned),
		cmocka_unit_test(error_of_the_device_reads_as_zero),
		cmocka_unit_test(failed_read_keeps_a_narrow_write_from_happening),
		cmocka_unit_test(what_accepts_refuses_is_a_decode_error),
		cmocka_unit_test(missing_callbacks_are_decode_errors),
		cmocka_unit_test(attributes_reach_the_callback),
		cmocka_unit_test(misuse_is_asserted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
