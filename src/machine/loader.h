/* SPDX-License-Identifier: MIT */
/*
 * Files into guest memory: kernels, firmware, initial RAM disks, device trees.
 *
 * R1. What a file says of itself is checked before anything is written: architecture, size,
 *     addresses.
 * R2. Images are written through the address space as a loader does (attrs.debug), so that ROM can
 *     be loaded too, and what does not fit is an error that names the file and the range.
 */
#ifndef MACHINE_LOADER_H
#define MACHINE_LOADER_H

#include <freehold/freehold.h>

struct image {
	uint64_t entry; /* where to start */
	uint64_t first; /* what it occupies in memory, bss included */
	uint64_t last;
	bool is_elf;
	bool has_tohost; /* a bare-metal test: the word there ends the run */
	uint64_t tohost;
};

/*
 * Load a kernel or firmware. An ELF file goes to its physical addresses. Anything else goes to
 * @addr, a RISC-V Image (plain, or as an EFI program) to the next multiple of 2 MiB: the offset in
 * its header is from the start of RAM, and leaves room for a firmware, which was found already.
 * Errors: FH_ENOENT, FH_EIO the file; FH_EFORMAT damaged, or for another architecture; FH_ERANGE
 * does not fit where it has to go.
 */
enum fh_code loader_image(struct fh_space *memory, const char *path, uint64_t addr,
			  struct image *ret, struct fh_error *err);

/*
 * Bytes of the file @path, which errors name, to @addr. Errors: FH_ERANGE, nothing changed.
 */
enum fh_code loader_put(struct fh_space *memory, const char *path, uint64_t addr, const void *data,
			uint64_t size, struct fh_error *err);

/* The whole file in memory, to be freed; at most @limit bytes. */
void *loader_read(const char *path, uint64_t limit, uint64_t *ret_size, struct fh_error *err);

#endif
