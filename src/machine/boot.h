/* SPDX-License-Identifier: MIT */
/*
 * What a machine finds in its memory when it starts: firmware, kernel, initial RAM disk, device
 * tree, and the first instructions.
 */
#ifndef MACHINE_BOOT_H
#define MACHINE_BOOT_H

#include <freehold/freehold.h>

#include "machine/options.h"

struct boot {
	uint64_t tohost; /* a bare-metal test: what is written there ends the run */
	bool has_tohost;
	void *dtb; /* (owned by caller, free()) */
	size_t dtb_size;
};

/*
 * Load everything into @memory, where RAM and ROM are. Also for a reboot. Errors: one line for the
 * user, *ret untouched.
 */
enum fh_code boot_load(struct fh_space *memory, const struct machine_options *options,
		       struct boot *ret, struct fh_error *err);

#endif
