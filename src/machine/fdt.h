/* SPDX-License-Identifier: MIT */
/*
 * The device tree of the board `virt`: what software is told of the machine.
 */
#ifndef MACHINE_FDT_H
#define MACHINE_FDT_H

#include <freehold/freehold.h>

struct fdt_board {
	unsigned harts;
	const char *isa;		 /* "rv64imafdc_..." */
	const char *mmu_type;		 /* "riscv,sv48" */
	unsigned cbom_block, cboz_block; /* bytes; 0: not there */
	bool aclint;	      /* tell of ACLINT's parts, instead of the CLINT that they look like */
	uint64_t ram_size;
	const char *bootargs;		    /* may be NULL */
	uint64_t initrd_first, initrd_size; /* size 0: none */
	uint8_t rng_seed[32];
};

/* The tree as a blob (owned by caller, free()), *ret_size bytes. NULL: no memory. */
void *fdt_make(const struct fdt_board *board, size_t *ret_size);

/*
 * Put command line and initial RAM disk into a tree that was read from a file. Returns the new blob
 * (owned by caller, free()).
 * Errors (NULL): FH_EFORMAT, it is no device tree.
 */
void *fdt_amend(const void *blob, size_t size, const struct fdt_board *board, size_t *ret_size,
		struct fh_error *err);

#endif
