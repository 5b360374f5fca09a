/* SPDX-License-Identifier: MIT */
/*
 * Timers and software interrupts of the harts, after the RISC-V ACLINT specification 1.0, as a
 * device: regions "clint" of 0x10000 bytes, laid out as SiFive's CLINT (MSWI at 0, MTIMER at
 * 0x4000), and "sswi" of 0x4000; per hart N the outputs "msi-N" and "mti-N", which are levels, and
 * "ssi-N", which is an edge: who takes it remembers it.
 */
#ifndef HW_ACLINT_H
#define HW_ACLINT_H

#include <freehold/device.h>

#define ACLINT_FREQUENCY 10000000 /* Hz of mtime */

/** Properties: "harts", 1 to 4095. */
extern const struct fh_type aclint_type;

/**
 * mtime now. @device_state is fh_device_state() of the device. Any thread, any context, from its
 * realize to its finalize; takes no lock.
 */
uint64_t aclint_time(void *device_state);

/**
 * Before realize: have @jumped(arg) called whenever mtime has been set, by the guest or a reset, so
 * that deadlines which were computed from it are computed anew. Context: the device's domain; it
 * does not block. @arg (borrowed) stays until the device's unplug is done.
 */
void aclint_set_jumped(struct fh_device *device, void (*jumped)(void *arg), void *arg);

#endif
