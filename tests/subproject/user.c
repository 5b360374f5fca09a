/* SPDX-License-Identifier: MIT */
/* The least that uses the library: a store reaches RAM, and everything dies. */
#include <freehold/freehold.h>

int main(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x1000, NULL);
	uint32_t value = 0;

	fh_region_add(fh_space_root(memory), ram, 0x80000000, 0);
	fh_space_store32(memory, 0x80000000, 7, FH_LE);
	fh_space_load32(memory, 0x80000000, FH_LE, &value);
	fh_object_unref(ram);
	return fh_machine_destroy(m) != 0 || value != 7;
}
