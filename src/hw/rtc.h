/* SPDX-License-Identifier: MIT */
/*
 * The goldfish real-time clock, as a device: region "regs" of 0x1000 bytes, output "irq".
 */
#ifndef HW_RTC_H
#define HW_RTC_H

#include <freehold/device.h>

/**
 * Properties: "offset", ns by which the clock is ahead of the host's when the machine starts; the
 * guest may set the clock.
 */
extern const struct fh_type rtc_type;

#endif
