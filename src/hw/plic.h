/* SPDX-License-Identifier: MIT */
/*
 * The platform-level interrupt controller of the RISC-V PLIC specification 1.0.0, as a device:
 * region "regs" of 0x600000 bytes, inputs "source-1".."source-N" (levels), outputs
 * "context-0".."context-M".
 *
 * Registers may be accessed from many threads at once. When an access returns, the outputs follow
 * the registers, or another thread is just now making them follow.
 */
#ifndef HW_PLIC_H
#define HW_PLIC_H

#include <freehold/device.h>

#define PLIC_SIZE 0x600000

/**
 * Properties: "sources", 1 to 1023 without source 0, which is none; "contexts", 1 to 1024, usually
 * two for each hart: M-mode, S-mode.
 */
extern const struct fh_type plic_type;

#endif
