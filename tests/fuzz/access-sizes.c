/* SPDX-License-Identifier: MIT */
/*
 * Bytes as two regions of registers side by side and accesses to them, each of which does what the
 * oracle of the model tests says.
 *
 * Six bytes make the regions: kind (two), size; the same again. Each three that follow are an
 * access: where, how long, how.
 */
#include <stdint.h>
#include <stdlib.h>

#include "model/registers.h"

#define BEFORE 8 /* bytes of hole in front of the first region */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accesses(struct fh_space *space, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i + 3 <= size; i += 3) {
		struct registers_access a = {
			.space = space,
			.place = data[i] % (2 * REGISTERS_MOST + BEFORE) - BEFORE,
			.write = data[i + 2] & 1,
			.big_endian = data[i + 2] & 2,
			.typed = data[i + 2] & 4,
		};

		a.size = 1 + data[i + 1] % (a.typed ? 8 : REGISTERS_LONGEST);
		if (!registers_check(&a))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fh_region *regions[REGISTERS_REGIONS];
	struct fh_machine *m;
	unsigned place = 0;

	if (size < 3 * REGISTERS_REGIONS)
		return 0;
	m = fh_machine_new(NULL, NULL);
	for (int i = 0; i < REGISTERS_REGIONS; i++, data += 3, size -= 3) {
		const unsigned length = 1 + data[2] % REGISTERS_MOST;

		regions[i] = registers_new(m, i, (data[0] | data[1] << 8) % REGISTERS_KINDS, place,
					   length);
		place += length;
	}
	check_accesses(fh_machine_memory(m), data, size);
	for (int i = 0; i < REGISTERS_REGIONS; i++)
		fh_object_unref(regions[i]);
	fh_machine_destroyp(&m);
	return 0;
}
