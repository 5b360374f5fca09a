/* SPDX-License-Identifier: MIT */
/*
 * The register by which a guest ends or resets its machine: SiFive's test finisher, which device
 * trees also show as a syscon that syscon-poweroff and syscon-reboot write. Region "regs" of 0x1000
 * bytes.
 */
#ifndef HW_SYSCON_H
#define HW_SYSCON_H

#include <freehold/device.h>

/* What is written to the register at 0. */
#define SYSCON_FAIL  0x3333 /* poweroff; the code is in the upper half */
#define SYSCON_PASS  0x5555 /* poweroff */
#define SYSCON_RESET 0x7777

/**
 * What the board does about it. Context: the device's domain, in the hart's own access: it passes
 * the message on and does not wait.
 */
struct syscon_ops {
	/** @code 0: all is well; else what the guest gave, or 1 if it gave none. */
	void (*poweroff)(void *arg, unsigned code);
	void (*reset)(void *arg);
};

extern const struct fh_type syscon_type;

/** Before realize. @ops and @arg (both borrowed) stay until the device's unplug is done. */
void syscon_set_ops(struct fh_device *device, const struct syscon_ops *ops, void *arg);

#endif
