/* SPDX-License-Identifier: MIT */
/*
 * The board `virt`: harts, RAM, and what lies around them.
 */
#ifndef MACHINE_VIRT_H
#define MACHINE_VIRT_H

#include <stdio.h>

#include <freehold/freehold.h>

#include "machine/loop.h"
#include "machine/options.h"

struct virt;

/*
 * The whole machine, ready to start, with everything loaded (owned by caller). @options and @loop
 * (both borrowed) outlive it. Errors (NULL): one line for the user.
 */
struct virt *virt_new(const struct machine_options *options, struct loop *loop,
		      struct fh_error *err);

/* Write the device tree to a file. */
enum fh_code virt_dump_dtb(struct virt *v, const char *path, struct fh_error *err);

/*
 * Run until the guest or the user ends it. *ret_status: 0, the guest's own code, or 128 and the
 * number of the signal that ended it. Errors: a reboot for which the files are not there any more.
 */
enum fh_code virt_run(struct virt *v, int *ret_status, struct fh_error *err);

/*
 * Take the machine down and print its ledger to @ledger (NULL: not). Consumed; NULL is allowed.
 * Returns the number of objects that should have died.
 */
int virt_free(struct virt *v, FILE *ledger);

#endif
