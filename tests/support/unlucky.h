/* SPDX-License-Identifier: MIT */
/* A device whose realize does what the test wants, and fails. */
#ifndef SUPPORT_UNLUCKY_H
#define SUPPORT_UNLUCKY_H

#include "support/probe.h"

static void (*do_in_realize)(struct fh_device *device);

static enum fh_code unlucky_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)state;
	do_in_realize(device);
	return fh_error_set(err, FH_EIO, "no luck");
}

static const struct fh_device_ops unlucky_ops = { .realize = unlucky_realize };
static const struct fh_type unlucky_type = {
	.name = "unlucky", .parent = &fh_device_type, .device = &unlucky_ops
};

static inline struct fh_device *unlucky_new(struct fh_machine *m)
{
	return fh_device_new(m, &unlucky_type, "unlucky", NULL, NULL);
}

static inline void realize_and_fail(struct fh_device *device,
				    void (*meanwhile)(struct fh_device *device))
{
	do_in_realize = meanwhile;
	assert_int_equal(fh_device_realize(device, NULL), FH_EIO);
}

/* Disposed of, also by control; then nothing is left. */
static inline void unlucky_end(struct fh_device *device)
{
	struct fh_machine *m = fh_object_get_machine(device);

	fh_object_dispose(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

#endif
