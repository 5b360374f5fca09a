/* SPDX-License-Identifier: MIT */
/*
 * Guest memory under ThreadSanitizer: it intercepts memcpy() and reports what vCPUs and devices
 * do to each other there by design (ram.h, R2). These copies are its blind spot, and the only
 * one.
 */
#include "memory/ram.h"

#if FH_TSAN

#define FH_BLIND __attribute__((no_sanitize("thread"), noinline))

/* Atomics, since the compiler would make a call of memcpy() out of a plain loop. */
FH_BLIND void fh_ram_move(void *to, const void *from, size_t size)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	if ((((uintptr_t)t | (uintptr_t)f) & 7) == 0) {
		for (; size >= 8; size -= 8, t += 8, f += 8)
			__atomic_store_n((uint64_t *)(void *)t,
					 __atomic_load_n((const uint64_t *)(const void *)f,
							 __ATOMIC_RELAXED),
					 __ATOMIC_RELAXED);
	}
	for (; size > 0; size--, t++, f++)
		__atomic_store_n(t, __atomic_load_n(f, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

FH_BLIND void fh_ram_set(void *to, uint8_t byte, size_t size)
{
	for (uint8_t *t = to; size > 0; size--, t++)
		__atomic_store_n(t, byte, __ATOMIC_RELAXED);
}

#else

/* A translation unit holds at least one declaration. */
extern int fh_no_thread_sanitizer;

#endif
