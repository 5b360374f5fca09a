/* SPDX-License-Identifier: MIT */
/*
 * A listener that mirrors an address space into a table of its own, as an accelerator does with the
 * memory slots of its guest. It is told exactly what changed, and the table is always the map.
 */
#include <freehold/freehold.h>

#include <inttypes.h>
#include <stdio.h>

struct mirror {
	struct fh_section slots[8]; /* in no order */
	unsigned used;
};

static void mirror_remove(void *state, const struct fh_section *section)
{
	struct mirror *mirror = state;
	unsigned i = 0;

	while (mirror->slots[i].first != section->first)
		i++;
	mirror->slots[i] = mirror->slots[--mirror->used];
}

static void mirror_add(void *state, const struct fh_section *section)
{
	struct mirror *mirror = state;

	mirror->slots[mirror->used++] = *section;
	printf("  %#7" PRIx64 "..%#" PRIx64 " is %s\n", section->first, section->last,
	       fh_section_kind(section));
}

static void mirror_begin(void *state, struct fh_space *space)
{
	(void)state, (void)space;
	printf("a change:\n");
}

static const struct fh_listener_ops mirror_ops = {
	.begin = mirror_begin, .remove = mirror_remove, .add = mirror_add
};

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_space *memory = fh_machine_memory(m);
	struct fh_region *root = fh_space_root(memory);
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x10000, NULL);
	struct fh_region *rom = fh_region_new_rom(m, "rom", 0x1000, FH_ROM_IGNORE, NULL);
	struct mirror mirror = { .used = 0 };
	bool good;

	if (!ram || !rom)
		return 1;
	fh_region_add(root, ram, 0, 0);
	struct fh_listener *listener = fh_listener_new(m, memory, 0, &mirror_ops, &mirror);

	good = mirror.used == 1; /* the map as it was */
	fh_region_add(root, rom, 0xf000, 1);
	good = good && mirror.used == 2; /* RAM, and the ROM on top of its end */
	fh_edit_begin(m);
	fh_region_move(rom, 0x8000); /* never seen: only what is true at the commit is told */
	fh_region_move(rom, 0x4000);
	fh_edit_commit(m);
	good = good && mirror.used == 3; /* RAM, ROM, RAM */
	fh_object_unref(listener);
	good = good && mirror.used == 0; /* told of the removal of everything */

	fh_object_unref(rom);
	fh_object_unref(ram);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}
