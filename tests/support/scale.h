/* SPDX-License-Identifier: MIT */
/*
 * How much of something a test does: all of it, or less where every access is checked. The
 * environment variable FH_TEST_EFFORT says how many percent instead, 100 being all. And how long it
 * waits before it calls something hung: FH_TEST_TIMEOUT times what suffices on a machine that is
 * only busy.
 */
#ifndef SUPPORT_SCALE_H
#define SUPPORT_SCALE_H

#include <stdint.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SCALE_THREAD_SANITIZER 1
#endif
#if __has_feature(address_sanitizer)
#define SCALE_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define SCALE_THREAD_SANITIZER 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SCALE_ADDRESS_SANITIZER 1
#endif

#if defined(SCALE_THREAD_SANITIZER)
#define SCALE_PERCENT 4
#define SCALE_SANITIZER 1
#elif defined(SCALE_ADDRESS_SANITIZER)
#define SCALE_PERCENT 20
#define SCALE_SANITIZER 1
#else
#define SCALE_PERCENT 100
#define SCALE_SANITIZER 0
#endif

static inline uint64_t scaled(uint64_t full)
{
	const char *text = getenv("FH_TEST_EFFORT");
	const double percent = text ? strtod(text, NULL) : SCALE_PERCENT;
	const double part = (double)full * percent / 100;

	return part < 1 ? 1 : (uint64_t)part;
}

/* For what has to happen, in any unit of time. What must not happen is waited for a fixed time. */
static inline unsigned patience(unsigned limit)
{
	const char *text = getenv("FH_TEST_TIMEOUT");
	const unsigned long times = text ? strtoul(text, NULL, 10) : 1;

	return times > 1 ? limit * (unsigned)times : limit;
}

#endif
