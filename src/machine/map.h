/* SPDX-License-Identifier: MIT */
/* Where things are on the board `virt`: the addresses and lines that users of QEMU's board know. */
#ifndef MACHINE_MAP_H
#define MACHINE_MAP_H

#include <stdint.h>

#define VIRT_ROM	   0x1000
#define VIRT_ROM_SIZE	   0xf000
#define VIRT_TEST	   0x100000
#define VIRT_TEST_SIZE	   0x1000
#define VIRT_RTC	   0x101000
#define VIRT_RTC_SIZE	   0x1000
#define VIRT_CLINT	   0x2000000 /* mswi at its start, then mtimer */
#define VIRT_CLINT_SIZE	   0x10000
#define VIRT_MSWI_SIZE	   0x4000
#define VIRT_MTIMECMP	   0x2004000
#define VIRT_MTIMECMP_SIZE 0x7ff8
#define VIRT_MTIME	   0x200bff8
#define VIRT_MTIME_SIZE	   0x4008
#define VIRT_SSWI	   0x2f00000
#define VIRT_SSWI_SIZE	   0x4000
#define VIRT_PLIC	   0xc000000
#define VIRT_PLIC_SIZE	   0x600000
#define VIRT_PLIC_SOURCES  95
#define VIRT_UART	   0x10000000
#define VIRT_UART_SIZE	   0x100
#define VIRT_UART_CLOCK	   3686400
#define VIRT_RAM	   0x80000000
#define VIRT_RAM_MAX	   (UINT64_C(1) << 40)

#define VIRT_UART_IRQ 10
#define VIRT_RTC_IRQ  11

#define VIRT_TIMEBASE  10000000 /* Hz */
#define VIRT_HARTS_MAX 8

#endif
