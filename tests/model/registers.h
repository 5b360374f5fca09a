/* SPDX-License-Identifier: MIT */
/*
 * Registers of every kind (which sizes and alignments the guest may use and the callbacks take,
 * both byte orders, widening with and without read-modify-write), side by side, and an oracle that
 * says what comes of each access to them. The callbacks check that they are given what they take.
 */
#ifndef MODEL_REGISTERS_H
#define MODEL_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

#include <freehold/freehold.h>

#define REGISTERS_BASE UINT64_C(0x10000)

enum {
	REGISTERS_PAIRS = 10, /* of a least and a greatest size */
	REGISTERS_KINDS = REGISTERS_PAIRS * 2 * REGISTERS_PAIRS * 2 * 2 * 2,
	REGISTERS_REGIONS = 2,
	REGISTERS_MOST = 32,   /* bytes of a region */
	REGISTERS_BANK = 40,   /* of what its callbacks have */
	REGISTERS_LONGEST = 20, /* bytes of an access */
};

/*
 * Region @number (owned by caller), of registers of @kind, @place bytes above REGISTERS_BASE in the
 * machine's memory. Regions do not overlap.
 */
struct fh_region *registers_new(struct fh_machine *m, int number, unsigned kind, unsigned place,
				unsigned size);

struct registers_access {
	struct fh_space *space;
	int place;     /* of its first byte, from REGISTERS_BASE on */
	unsigned size; /* 1 to 8 of a typed one, else to REGISTERS_LONGEST */
	bool write, typed, big_endian;
};

/* Makes the access; false, and an explanation on stderr, if it is not what the oracle says. */
bool registers_check(const struct registers_access *a);

/* Calls of callbacks so far. */
uint64_t registers_calls(void);

#endif
