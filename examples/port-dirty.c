/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: dirty logging, for a display and for a copy of RAM that goes on
 * while the guest writes. docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <string.h>

struct copy {
	const uint8_t *from;
	uint8_t *to;
	uint64_t copied;
};

static bool copy_run(uint64_t offset, uint64_t size, void *arg)
{
	struct copy *copy = arg;

	memcpy(copy->to + offset, copy->from + offset, size);
	copy->copied += size;
	return true;
}

/* What was written since the last round. */
static uint64_t copy_round(struct fh_region *ram, uint64_t size, struct copy *copy)
{
	struct fh_dirty_snapshot *snapshot =
		fh_dirty_snapshot_take(ram, FH_DIRTY_MIGRATION, 0, size, NULL);

	copy->copied = 0;
	fh_dirty_snapshot_each(snapshot, copy_run, copy);
	fh_dirty_snapshot_free(snapshot);
	return copy->copied;
}

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_space *memory = fh_machine_memory(m);
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x10000, NULL);
	static uint8_t other[0x10000];

	if (!ram)
		return 1;
	fh_region_add(fh_space_root(memory), ram, 0, 0);

	struct copy copy = { .from = fh_region_ram(ram), .to = other };

	if (fh_dirty_start(ram, FH_DIRTY_MIGRATION, NULL) != FH_OK ||
	    fh_dirty_start(ram, FH_DIRTY_DISPLAY, NULL) != FH_OK)
		return 1;
	copy_run(0, 0x10000, &copy); /* all of it once: from here on every write is seen */

	fh_space_store32(memory, 0x3ffe, 0x01020304, FH_LE); /* two pages */
	memset((uint8_t *)fh_region_ram(ram) + 0x8000, 1, 16);
	fh_dirty_mark(ram, 0x8000, 16); /* who writes by a pointer says so */

	bool good = copy_round(ram, 0x10000, &copy) == 3 * FH_DIRTY_PAGE &&
		    copy_round(ram, 0x10000, &copy) == 0 &&
		    memcmp(other, copy.from, sizeof(other)) == 0;

	/* The display has bits of its own. */
	good = good && fh_dirty_test_and_clear(ram, FH_DIRTY_DISPLAY, 0x3000, 0x1000) &&
	       !fh_dirty_test(ram, FH_DIRTY_DISPLAY, 0x3000, 0x1000) &&
	       fh_dirty_test(ram, FH_DIRTY_DISPLAY, 0x4000, 0x1000);
	fh_dirty_stop(ram, FH_DIRTY_DISPLAY);
	fh_dirty_stop(ram, FH_DIRTY_MIGRATION);

	fh_object_unref(ram);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}
