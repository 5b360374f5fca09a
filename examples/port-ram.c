/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: RAM from a file, RAM that grows, and RAM of which parts come and
 * go. docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SIZE = 0x10000, PART = 0x4000 };

/* It has no state, only what it owns. */
static const struct fh_type board_type = { .name = "board" };

/* What the guest writes is in the file, and there is a way to be sure of it. */
static struct fh_region *nvdimm_new(struct fh_object *board, const char *path, struct fh_error *err)
{
	const struct fh_ram_options options = {
		.backing = FH_RAM_FILE, .path = path, .create = true, .shared = true,
		.nonvolatile = true
	};

	return fh_region_new_ram_with(board, "nvdimm", SIZE, &options, err);
}

static struct fh_region *growing_new(struct fh_object *board, struct fh_error *err)
{
	const struct fh_ram_options options = { .backing = FH_RAM_MEMFD, .max_size = 4 * SIZE };

	return fh_region_new_ram_with(board, "growing", SIZE, &options, err);
}

/* Who must know which parts are there, as with a device that is passed through. */
static enum fh_code populate(void *state, struct fh_region *region, uint64_t offset, uint64_t size)
{
	(void)region, (void)offset;
	*(uint64_t *)state += size;
	return FH_OK;
}

static void discard(void *state, struct fh_region *region, uint64_t offset, uint64_t size)
{
	(void)region, (void)offset;
	*(uint64_t *)state -= size;
}

static const struct fh_discard_ops discard_ops = { .populate = populate, .discard = discard };

static bool plug_parts(struct fh_object *board, struct fh_space *memory, struct fh_error *err)
{
	const struct fh_ram_options options = { .unpopulated = true, .granule = PART };
	struct fh_region *ram = fh_region_new_ram_with(board, "parts", SIZE, &options, err);
	uint64_t there = 0;

	if (!ram)
		return false;
	fh_region_add(fh_space_root(memory), ram, 0x40000000, 0);

	struct fh_discard_listener *listener =
		fh_discard_listener_new(board, ram, 0, FH_SIZE_ALL, &discard_ops, &there, err);

	/* The guest of a virtio-mem device asks for two parts, and gives one back. */
	bool good = listener && fh_region_populate(ram, PART, 2 * PART, false, err) == FH_OK &&
		    there == 2 * PART && fh_region_discard(ram, PART, PART, err) == FH_OK &&
		    there == PART && fh_region_is_populated(ram, 2 * PART, PART);

	fh_discard_listener_destroy(listener);
	return good && there == 0;
}

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *board = fh_object_new_child(m, "board", &board_type, NULL);
	struct fh_error err = FH_ERROR_INIT;
	char path[] = "/tmp/freehold-example-XXXXXX";
	const int fd = mkstemp(path);
	struct fh_region *nvdimm = nvdimm_new(board, path, &err);
	struct fh_region *growing = growing_new(board, &err);
	uint32_t word = 0;

	if (fd < 0 || !nvdimm || !growing)
		return printf("%s\n", err.message), 1;
	unlink(path);
	fh_region_add(fh_space_root(memory), nvdimm, 0, 0);
	fh_region_add(fh_space_root(memory), growing, 0x100000, 0);

	bool good = fh_space_store32(memory, 0x10, 7, FH_LE) == FH_TX_OK &&
		    fh_region_flush(nvdimm, 0, SIZE, &err) == FH_OK &&
		    pread(fd, &word, sizeof(word), 0x10) == sizeof(word) && word == 7;

	good = good && fh_region_resize(growing, 4 * SIZE) == FH_OK &&
	       fh_space_store32(memory, 0x100000 + 3 * SIZE, 7, FH_LE) == FH_TX_OK &&
	       plug_parts(board, memory, &err);
	if (!good)
		printf("%s\n", err.message);
	close(fd);
	fh_object_dispose(board);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}
