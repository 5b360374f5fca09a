/* SPDX-License-Identifier: MIT */
/*
 * Where the host is not all that it is: Valgrind computes without exception flags, stops no process
 * and has opinions of its own on system calls; QEMU's user mode gives no memory back and knows
 * little of what is resident; sanitizers stop where malloc() would return NULL. What needs that is
 * skipped there. tools/configs.py says where the first two are.
 */
#ifndef SUPPORT_HOST_H
#define SUPPORT_HOST_H

#include <stdbool.h>
#include <stdlib.h>

#include "support/scale.h"

static inline bool under_valgrind(void)
{
	return getenv("FH_UNDER_VALGRIND") != NULL;
}

static inline bool under_qemu(void)
{
	return getenv("FH_UNDER_QEMU") != NULL;
}

static inline bool under_sanitizer(void)
{
	return SCALE_SANITIZER;
}

static inline bool under_thread_sanitizer(void)
{
#if defined(SCALE_THREAD_SANITIZER)
	return true;
#else
	return false;
#endif
}

#endif
