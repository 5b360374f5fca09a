/* SPDX-License-Identifier: MIT */
/*
 * Every kind of register against every kind of access: which sizes and alignments the guest may
 * use (`valid`) and the callbacks take (`impl`), both byte orders, widening with and without
 * read-modify-write; accesses of 1 to 8 bytes and bulk ones at each offset, over a region's border
 * into another region of a random kind, and into and out of holes.
 *
 * The oracle knows bytes only. It says of each byte of an access whether it is done, or what
 * refuses it, from rules that are stated below as the public headers have them; it never looks at
 * how the library cuts, widens or swaps. The callbacks check that they are given what they take.
 *
 *	FH_TEST_EFFORT=N	so many per cent of the kinds
 */
#include "support/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE  UINT64_C(0x10000)
#define BEFORE 7   /* bytes of hole in front of the first region that accesses begin in */
#define REGIONS 2
#define LONGEST 20 /* bytes of a bulk access */

enum { BANK = 40, PAIRS = 10, KINDS = PAIRS * 2 * PAIRS * 2 * 2 * 2 };

/* A kind of register. */
struct kind {
	unsigned valid_min, valid_max, impl_min, impl_max;
	bool valid_unaligned, impl_unaligned, big_endian, modify;
};

/* A region's registers, as bytes in order of address. */
struct bank {
	struct kind kind;
	uint8_t bytes[BANK];
	unsigned first; /* its region begins so many bytes above BASE */
	unsigned size;
	unsigned calls;
};

static struct fh_region_ops all_ops[KINDS];
static struct bank banks[REGIONS];
static uint64_t calls; /* of all banks there were */

/* --- The device ----------------------------------------------------------------------------- */

static void check_call(const struct bank *bank, uint64_t offset, unsigned size)
{
	const struct kind *kind = &bank->kind;

	CHECK(size >= kind->impl_min && size <= kind->impl_max && (size & (size - 1)) == 0);
	CHECK(kind->impl_unaligned || offset % size == 0);
	CHECK(offset + size <= BANK);
	/* Beyond the end lies only what an access that was widened brings along. */
	CHECK(offset < bank->size);
}

static enum fh_tx bank_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	struct bank *bank = state;

	(void)attrs;
	check_call(bank, offset, size);
	*ret_value = UINT64_C(0xabababababababab); /* what is higher is ignored */
	for (unsigned i = 0; i < size; i++) {
		const unsigned shift = 8 * (bank->kind.big_endian ? size - 1 - i : i);

		*ret_value &= ~(UINT64_C(0xff) << shift);
		*ret_value |= (uint64_t)bank->bytes[offset + i] << shift;
	}
	bank->calls++;
	return FH_TX_OK;
}

static enum fh_tx bank_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	struct bank *bank = state;

	(void)attrs;
	check_call(bank, offset, size);
	CHECK(size == 8 || value >> 8 * size == 0);
	for (unsigned i = 0; i < size; i++)
		bank->bytes[offset + i] = (uint8_t)(value >> 8 * (bank->kind.big_endian ?
									  size - 1 - i :
									  i));
	bank->calls++;
	return FH_TX_OK;
}

/* --- Kinds ---------------------------------------------------------------------------------- */

static void pair_of(unsigned number, unsigned *ret_min, unsigned *ret_max)
{
	for (unsigned min = 1; min <= 8; min *= 2) {
		for (unsigned max = min; max <= 8; max *= 2) {
			if (number-- == 0) {
				*ret_min = min;
				*ret_max = max;
				return;
			}
		}
	}
}

static struct kind kind_of(unsigned number)
{
	struct kind kind;

	pair_of(number % PAIRS, &kind.valid_min, &kind.valid_max);
	number /= PAIRS;
	pair_of(number % PAIRS, &kind.impl_min, &kind.impl_max);
	number /= PAIRS;
	kind.valid_unaligned = number & 1;
	kind.impl_unaligned = number & 2;
	kind.big_endian = number & 4;
	kind.modify = number & 8;
	return kind;
}

static const struct fh_region_ops *ops_of(unsigned number)
{
	const struct kind kind = kind_of(number);

	all_ops[number] = (struct fh_region_ops){
		.read = bank_read,
		.write = bank_write,
		.valid = { (uint8_t)kind.valid_min, (uint8_t)kind.valid_max, kind.valid_unaligned },
		.impl = { (uint8_t)kind.impl_min, (uint8_t)kind.impl_max, kind.impl_unaligned },
		.order = kind.big_endian ? FH_BE : FH_LE,
		.read_modify_write = kind.modify,
	};
	return &all_ops[number];
}

/* --- The oracle ----------------------------------------------------------------------------- */

enum { NO_BANK = -1 };

static int bank_at(int place)
{
	for (int i = 0; i < REGIONS; i++) {
		const int first = (int)banks[i].first;

		if (place >= first && place < first + (int)banks[i].size)
			return i;
	}
	return NO_BANK;
}

/* A piece is what `valid` judges. */
static bool is_valid(const struct kind *kind, unsigned offset, unsigned size)
{
	return size >= kind->valid_min && size <= kind->valid_max &&
	       (kind->valid_unaligned || offset % size == 0);
}

/*
 * "Cut into pieces that it takes, if there are such": the longest power of two that is aligned,
 * fits and is at most valid.max. One that is too short for `valid` is as long as that asks for, if
 * alignment does not matter and there is so much.
 */
static unsigned cut(const struct kind *kind, unsigned offset, unsigned left)
{
	unsigned size = kind->valid_max;

	while (size > left || offset % size != 0)
		size /= 2;
	if (size < kind->valid_min && kind->valid_unaligned && left >= kind->valid_min)
		size = kind->valid_min;
	return size;
}

/*
 * Is the byte `at` of a piece written by a call that covers no neighbours of the piece? With
 * impl.unaligned a piece that is long enough is; otherwise the aligned block of impl.min around it
 * has to lie in the piece.
 */
static bool is_covered(const struct kind *kind, unsigned offset, unsigned size, unsigned at)
{
	const unsigned block = at - at % kind->impl_min;

	if (kind->impl_unaligned)
		return size >= kind->impl_min;
	return block >= offset && block + kind->impl_min <= offset + size;
}

/* What comes of each byte. */
static void judge_piece(const struct kind *kind, unsigned offset, unsigned size, bool write,
			enum fh_tx *ret)
{
	const bool valid = is_valid(kind, offset, size);

	for (unsigned i = 0; i < size; i++) {
		if (!valid)
			ret[i] = FH_TX_DECODE_ERROR;
		else if (write && !kind->modify && !is_covered(kind, offset, size, offset + i))
			ret[i] = FH_TX_DEVICE_ERROR;
		else
			ret[i] = FH_TX_OK;
	}
}

static void judge(int place, unsigned size, bool write, bool typed, enum fh_tx *ret)
{
	const bool whole = typed && (size & (size - 1)) == 0;

	for (unsigned done = 0; done < size;) {
		const int number = bank_at(place + (int)done);
		unsigned left = 1;

		while (done + left < size && bank_at(place + (int)(done + left)) == number)
			left++;
		if (number == NO_BANK) {
			for (unsigned i = 0; i < left; i++)
				ret[done + i] = FH_TX_DECODE_ERROR;
			done += left;
			continue;
		}
		const struct bank *bank = &banks[number];
		const unsigned offset = (unsigned)(place + (int)done - (int)bank->first);
		const unsigned piece =
			whole && left == size ? size : cut(&bank->kind, offset, left);

		judge_piece(&bank->kind, offset, piece, write, ret + done);
		done += piece;
	}
}

static enum fh_tx worst_of(const enum fh_tx *outcome, unsigned size)
{
	enum fh_tx worst = FH_TX_OK;

	for (unsigned i = 0; i < size; i++)
		worst = outcome[i] > worst ? outcome[i] : worst;
	return worst;
}

/* --- One access ----------------------------------------------------------------------------- */

struct access {
	struct fh_space *space;
	int place; /* of its first byte, from BASE on */
	unsigned size;
	bool write, typed, big_endian;
};

static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void explain(const struct access *a, enum fh_tx tx, enum fh_tx expected)
{
	for (int i = 0; i < REGIONS; i++) {
		const struct kind *k = &banks[i].kind;

		fprintf(stderr,
			"# +%u, %u bytes: valid %u-%u%s impl %u-%u%s %s%s\n", banks[i].first,
			banks[i].size, k->valid_min, k->valid_max, k->valid_unaligned ? "u" : "",
			k->impl_min, k->impl_max, k->impl_unaligned ? "u" : "",
			k->big_endian ? "BE" : "LE", k->modify ? " modify" : "");
	}
	fprintf(stderr, "# %s %s of %u at %+d: result %d, expected %d\n",
		a->typed ? (a->big_endian ? "BE" : "LE") : "bulk", a->write ? "write" : "read",
		a->size, a->place, (int)tx, (int)expected);
}

/* As the bytes lie in order of address. */
static uint64_t value_of(const uint8_t *bytes, unsigned size, bool big_endian)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << 8 * (big_endian ? size - 1 - i : i);
	return value;
}

static bool check_read(const struct access *a, const enum fh_tx *outcome)
{
	const enum fh_order order = a->big_endian ? FH_BE : FH_LE;
	const uint64_t addr = BASE + (uint64_t)(int64_t)a->place;
	const enum fh_tx expected = worst_of(outcome, a->size);
	uint8_t bytes[LONGEST], got[LONGEST];
	uint64_t value = ~UINT64_C(0);
	enum fh_tx tx;
	bool same;

	for (unsigned i = 0; i < a->size; i++) {
		const int number = bank_at(a->place + (int)i);

		bytes[i] = outcome[i] == FH_TX_OK ?
				   banks[number].bytes[a->place + (int)i - (int)banks[number].first] :
				   0;
	}
	if (a->typed) {
		tx = fh_space_load(a->space, addr, a->size, order, FH_ATTRS_NONE, &value);
		same = value == value_of(bytes, a->size, a->big_endian);
	} else {
		memset(got, 0xee, sizeof(got));
		tx = fh_space_read(a->space, addr, got, a->size, FH_ATTRS_NONE);
		same = memcmp(got, bytes, a->size) == 0;
	}
	if (tx == expected && same)
		return true;
	explain(a, tx, expected);
	return false;
}

static bool check_write(const struct access *a, const enum fh_tx *outcome)
{
	const enum fh_order order = a->big_endian ? FH_BE : FH_LE;
	const uint64_t addr = BASE + (uint64_t)(int64_t)a->place;
	const enum fh_tx expected = worst_of(outcome, a->size);
	uint8_t before[REGIONS][BANK], bytes[LONGEST];
	bool same = true;
	enum fh_tx tx;

	for (unsigned i = 0; i < a->size; i++)
		bytes[i] = (uint8_t)random_next();
	for (int i = 0; i < REGIONS; i++)
		memcpy(before[i], banks[i].bytes, BANK);
	for (unsigned i = 0; i < a->size; i++) {
		const int number = bank_at(a->place + (int)i);

		if (outcome[i] == FH_TX_OK)
			before[number][a->place + (int)i - (int)banks[number].first] = bytes[i];
	}
	if (a->typed) /* what is higher than the size is ignored */
		tx = fh_space_store(a->space, addr, a->size, order, FH_ATTRS_NONE,
				    value_of(bytes, a->size, a->big_endian) |
					    (a->size < 8 ? ~UINT64_C(0) << 8 * a->size : 0));
	else
		tx = fh_space_write(a->space, addr, bytes, a->size, FH_ATTRS_NONE);
	for (int i = 0; i < REGIONS; i++)
		same = same && memcmp(before[i], banks[i].bytes, BANK) == 0;
	if (tx == expected && same)
		return true;
	explain(a, tx, expected);
	return false;
}

static bool check(const struct access *a)
{
	enum fh_tx outcome[LONGEST];

	judge(a->place, a->size, a->write, a->typed, outcome);
	return a->write ? check_write(a, outcome) : check_read(a, outcome);
}

/* --- All of them ---------------------------------------------------------------------------- */

static unsigned check_typed(struct fh_space *space)
{
	struct access a = { .space = space, .typed = true };
	unsigned wrong = 0;

	for (a.place = -BEFORE; a.place < 16; a.place++) {
		for (a.size = 1; a.size <= 8; a.size++) {
			for (unsigned way = 0; way < 4; way++) {
				a.write = way & 1;
				a.big_endian = way & 2;
				wrong += !check(&a);
			}
		}
	}
	return wrong;
}

static unsigned check_bulk(struct fh_space *space)
{
	struct access a = { .space = space };
	unsigned wrong = 0;

	for (unsigned i = 0; i < 64; i++) {
		a.place = (int)(random_next() % 48) - BEFORE;
		a.size = 1 + (unsigned)(random_next() % LONGEST);
		a.write = random_next() & 1;
		wrong += !check(&a);
	}
	return wrong;
}

/* Two regions side by side; returns how many accesses went wrong. */
static unsigned check_kinds(struct fh_machine *m, unsigned first, unsigned second)
{
	const unsigned sizes[] = { 16, 13, 7, 24 };
	struct fh_space *space = fh_machine_memory(m);
	const unsigned numbers[REGIONS] = { first, second };
	struct fh_region *regions[REGIONS];
	unsigned place = 0, wrong;

	for (int i = 0; i < REGIONS; i++) {
		struct bank *bank = &banks[i];

		*bank = (struct bank){ .kind = kind_of(numbers[i]), .first = place };
		bank->size = sizes[random_next() % 4];
		for (unsigned j = 0; j < BANK; j++)
			bank->bytes[j] = (uint8_t)random_next();
		regions[i] = fh_region_new_mmio(m, NULL, bank->size, ops_of(numbers[i]), bank);
		assert_int_equal(fh_region_add(fh_space_root(space), regions[i], BASE + place, 0),
				 FH_OK);
		place += bank->size;
	}
	wrong = check_typed(space) + check_bulk(space);
	for (int i = 0; i < REGIONS; i++) {
		calls += banks[i].calls;
		fh_region_destroy(regions[i]);
		fh_object_unref(regions[i]);
	}
	return wrong;
}

static void every_access_does_what_its_bytes_say(void **state)
{
	const char *text = getenv("FH_TEST_EFFORT");
	const unsigned effort = text ? (unsigned)strtoul(text, NULL, 0) : 100;
	const unsigned step = effort >= 100 || effort == 0 ? 1 : 100 / effort;
	struct fh_machine *m = machine_begin();
	unsigned wrong = 0;

	(void)state;
	random_state = UINT64_C(0x9e3779b97f4a7c15);
	for (unsigned kind = 0; kind < KINDS && wrong < 20; kind += step) {
		wrong += check_kinds(m, kind, (unsigned)(random_next() % KINDS));
		if (kind % 64 == 0)
			fh_machine_drain(m);
	}
	assert_int_equal(wrong, 0);
	assert_true(calls > 100 * (uint64_t)KINDS / step);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_access_does_what_its_bytes_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
