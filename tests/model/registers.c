/* SPDX-License-Identifier: MIT */
/*
 * The registers, the oracle and one access: see registers.h. The oracle knows bytes only. It says
 * of each byte of an access whether it is done, or what refuses it, from rules that are stated
 * below as the public headers have them; it never looks at how the library cuts, widens or swaps.
 */
#include "model/registers.h"

#include <stdio.h>
#include <string.h>

#include "support/probe.h"

/* A kind of register. */
struct kind {
	unsigned valid_min, valid_max, impl_min, impl_max;
	bool valid_unaligned, impl_unaligned, big_endian, modify;
};

/* A region's registers, as bytes in order of address. */
struct bank {
	struct kind kind;
	uint8_t bytes[REGISTERS_BANK];
	unsigned first; /* its region begins so many bytes above REGISTERS_BASE */
	unsigned size;
	uint64_t calls;
};

static struct fh_region_ops all_ops[REGISTERS_KINDS];
static struct bank banks[REGISTERS_REGIONS];

/* --- The device ----------------------------------------------------------------------------- */

static void check_call(const struct bank *bank, uint64_t offset, unsigned size)
{
	const struct kind *kind = &bank->kind;

	CHECK(size >= kind->impl_min && size <= kind->impl_max && (size & (size - 1)) == 0);
	CHECK(kind->impl_unaligned || offset % size == 0);
	CHECK(offset + size <= REGISTERS_BANK);
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

	pair_of(number % REGISTERS_PAIRS, &kind.valid_min, &kind.valid_max);
	number /= REGISTERS_PAIRS;
	pair_of(number % REGISTERS_PAIRS, &kind.impl_min, &kind.impl_max);
	number /= REGISTERS_PAIRS;
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
	for (int i = 0; i < REGISTERS_REGIONS; i++) {
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

static uint8_t next_byte(void)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return (uint8_t)(state >> 24);
}

static void explain(const struct registers_access *a, enum fh_tx tx, enum fh_tx expected)
{
	for (int i = 0; i < REGISTERS_REGIONS; i++) {
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

static bool check_read(const struct registers_access *a, const enum fh_tx *outcome)
{
	const enum fh_order order = a->big_endian ? FH_BE : FH_LE;
	const uint64_t addr = REGISTERS_BASE + (uint64_t)(int64_t)a->place;
	const enum fh_tx expected = worst_of(outcome, a->size);
	uint8_t bytes[REGISTERS_LONGEST], got[REGISTERS_LONGEST];
	uint64_t value = ~UINT64_C(0);
	enum fh_tx tx;
	bool same;

	for (unsigned i = 0; i < a->size; i++) {
		const int number = bank_at(a->place + (int)i);

		bytes[i] =
			outcome[i] == FH_TX_OK ?
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

static bool check_write(const struct registers_access *a, const enum fh_tx *outcome)
{
	const enum fh_order order = a->big_endian ? FH_BE : FH_LE;
	const uint64_t addr = REGISTERS_BASE + (uint64_t)(int64_t)a->place;
	const enum fh_tx expected = worst_of(outcome, a->size);
	uint8_t before[REGISTERS_REGIONS][REGISTERS_BANK], bytes[REGISTERS_LONGEST];
	bool same = true;
	enum fh_tx tx;

	for (unsigned i = 0; i < a->size; i++)
		bytes[i] = next_byte();
	for (int i = 0; i < REGISTERS_REGIONS; i++)
		memcpy(before[i], banks[i].bytes, REGISTERS_BANK);
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
	for (int i = 0; i < REGISTERS_REGIONS; i++)
		same = same && memcmp(before[i], banks[i].bytes, REGISTERS_BANK) == 0;
	if (tx == expected && same)
		return true;
	explain(a, tx, expected);
	return false;
}

bool registers_check(const struct registers_access *a)
{
	enum fh_tx outcome[REGISTERS_LONGEST];

	judge(a->place, a->size, a->write, a->typed, outcome);
	return a->write ? check_write(a, outcome) : check_read(a, outcome);
}

/* --- Regions -------------------------------------------------------------------------------- */

struct fh_region *registers_new(struct fh_machine *m, int number, unsigned kind, unsigned place,
				unsigned size)
{
	struct bank *bank = &banks[number];
	struct fh_region *region;

	*bank = (struct bank){
		.kind = kind_of(kind), .first = place, .size = size, .calls = bank->calls
	};
	for (unsigned i = 0; i < REGISTERS_BANK; i++)
		bank->bytes[i] = next_byte();
	region = fh_region_new_mmio(m, NULL, size, ops_of(kind), bank);
	CHECK(fh_region_add(fh_space_root(fh_machine_memory(m)), region, REGISTERS_BASE + place,
			    0) == FH_OK);
	return region;
}

uint64_t registers_calls(void)
{
	uint64_t calls = 0;

	for (int i = 0; i < REGISTERS_REGIONS; i++)
		calls += banks[i].calls;
	return calls;
}
