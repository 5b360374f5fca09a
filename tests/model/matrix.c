/* SPDX-License-Identifier: MIT */
/*
 * Every kind of register against every kind of access: see registers.h. Accesses of 1 to 8 bytes
 * and bulk ones at each offset, over a region's border into another region of a random kind, and
 * into and out of holes.
 *
 *	FH_TEST_EFFORT=N	so many per cent of the kinds
 */
#include <stdlib.h>

#include "model/registers.h"
#include "support/probe.h"

#define BEFORE 7 /* bytes of hole in front of the first region that accesses begin in */

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned check_typed(struct fh_space *space)
{
	struct registers_access a = { .space = space, .typed = true };
	unsigned wrong = 0;

	for (a.place = -BEFORE; a.place < 16; a.place++) {
		for (a.size = 1; a.size <= 8; a.size++) {
			for (unsigned way = 0; way < 4; way++) {
				a.write = way & 1;
				a.big_endian = way & 2;
				wrong += !registers_check(&a);
			}
		}
	}
	return wrong;
}

static unsigned check_bulk(struct fh_space *space, uint64_t *random)
{
	struct registers_access a = { .space = space };
	unsigned wrong = 0;

	for (unsigned i = 0; i < 64; i++) {
		a.place = (int)(random_next(random) % 48) - BEFORE;
		a.size = 1 + (unsigned)(random_next(random) % REGISTERS_LONGEST);
		a.write = random_next(random) & 1;
		wrong += !registers_check(&a);
	}
	return wrong;
}

/* Regions side by side, the first of this kind; returns how many accesses went wrong. */
static unsigned check_kind(struct fh_machine *m, unsigned kind, uint64_t *random)
{
	const unsigned sizes[] = { 16, 13, 7, 24 };
	struct fh_space *space = fh_machine_memory(m);
	struct fh_region *regions[REGISTERS_REGIONS];
	unsigned place = 0, wrong;

	for (int i = 0; i < REGISTERS_REGIONS; i++) {
		const unsigned size = sizes[random_next(random) % 4];

		regions[i] = registers_new(m, i, kind, place, size);
		kind = (unsigned)(random_next(random) % REGISTERS_KINDS);
		place += size;
	}
	wrong = check_typed(space) + check_bulk(space, random);
	for (int i = 0; i < REGISTERS_REGIONS; i++) {
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
	uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
	unsigned wrong = 0;

	(void)state;
	for (unsigned kind = 0; kind < REGISTERS_KINDS && wrong < 20; kind += step) {
		wrong += check_kind(m, kind, &random);
		if (kind % 64 == 0)
			fh_machine_drain(m);
	}
	assert_int_equal(wrong, 0);
	assert_true(registers_calls() > 100 * (uint64_t)REGISTERS_KINDS / step);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_access_does_what_its_bytes_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
