/* SPDX-License-Identifier: MIT */
/*
 * Valgrind computes without exception flags and stops no process: what needs that is skipped there.
 * tools/configs.py says where that is.
 */
#ifndef SUPPORT_VALGRIND_H
#define SUPPORT_VALGRIND_H

#include <stdbool.h>
#include <stdlib.h>

static inline bool under_valgrind(void)
{
	return getenv("FH_UNDER_VALGRIND") != NULL;
}

#endif
