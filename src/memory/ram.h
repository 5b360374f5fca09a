/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: the only place that touches it on behalf of accesses.
 *
 * R1. vCPUs and devices race for guest memory by design. An aligned access of 1, 2, 4 or 8 bytes
 *     is done in one piece (single-copy atomic, relaxed), as hardware does it; nothing is
 *     promised about others.
 * R2. ThreadSanitizer reports no race in guest memory, and nothing else is hidden from it.
 * R3. The memory of a device (FH_REGION_RAM_DEVICE) has side effects: it is accessed by
 *     fh_ram_load() and fh_ram_store() alone, once for each byte asked for.
 */
#ifndef MEMORY_RAM_H
#define MEMORY_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/annotate.h"
#include "base/assert.h"

/* Bytes of a value in the opposite order; size is 1 to 8, bytes above it are 0 and stay so. */
static inline uint64_t fh_swap(uint64_t value, unsigned size)
{
	return __builtin_bswap64(value) >> (64 - 8 * size);
}

/* A size that an access can have in one piece: 1, 2, 4, 8. */
static inline bool fh_size_is_whole(uint64_t size)
{
	return size <= 8 && (0x116u >> size & 1);
}

static inline bool fh_ptr_is_aligned(const void *ptr, unsigned size)
{
	return ((uintptr_t)ptr & (size - 1)) == 0;
}

/* In host order, which is little-endian. ptr is aligned to size, which is 1, 2, 4 or 8. */
static inline uint64_t fh_ram_load(const void *ptr, unsigned size)
{
	switch (size) {
	case 1:
		return __atomic_load_n((const uint8_t *)ptr, __ATOMIC_RELAXED);
	case 2:
		return __atomic_load_n((const uint16_t *)ptr, __ATOMIC_RELAXED);
	case 4:
		return __atomic_load_n((const uint32_t *)ptr, __ATOMIC_RELAXED);
	default:
		return __atomic_load_n((const uint64_t *)ptr, __ATOMIC_RELAXED);
	}
}

static inline void fh_ram_store(void *ptr, uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		__atomic_store_n((uint8_t *)ptr, (uint8_t)value, __ATOMIC_RELAXED);
		break;
	case 2:
		__atomic_store_n((uint16_t *)ptr, (uint16_t)value, __ATOMIC_RELAXED);
		break;
	case 4:
		__atomic_store_n((uint32_t *)ptr, (uint32_t)value, __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n((uint64_t *)ptr, value, __ATOMIC_RELAXED);
		break;
	}
}

#if FH_TSAN
/* memcpy() and memset(), which ThreadSanitizer does not look into. */
void fh_ram_move(void *to, const void *from, size_t size);
void fh_ram_set(void *to, uint8_t byte, size_t size);
#else
static inline void fh_ram_move(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
}

static inline void fh_ram_set(void *to, uint8_t byte, size_t size)
{
	memset(to, byte, size);
}
#endif

/* Out of guest memory at ptr, into it, and a byte all over it. R1 holds for each. */
static inline void fh_ram_read(void *buffer, const void *ptr, size_t size)
{
	if (fh_size_is_whole(size) && fh_ptr_is_aligned(ptr, (unsigned)size)) {
		const uint64_t value = fh_ram_load(ptr, (unsigned)size);

		memcpy(buffer, &value, size);
	} else {
		fh_ram_move(buffer, ptr, size);
	}
}

static inline void fh_ram_write(void *ptr, const void *buffer, size_t size)
{
	if (fh_size_is_whole(size) && fh_ptr_is_aligned(ptr, (unsigned)size)) {
		uint64_t value = 0;

		memcpy(&value, buffer, size);
		fh_ram_store(ptr, value, (unsigned)size);
	} else {
		fh_ram_move(ptr, buffer, size);
	}
}

/*
 * A device's memory (R3): how much of size bytes at ptr can be accessed at once, and that access,
 * of 1, 2, 4 or 8 bytes. The buffer is ordinary memory.
 */
static inline unsigned fh_device_piece(const void *ptr, uint64_t size)
{
	unsigned piece = 8;

	while (piece > size || !fh_ptr_is_aligned(ptr, piece))
		piece /= 2;
	return piece;
}

static inline void fh_device_read(void *buffer, const void *ptr, unsigned size)
{
	const uint64_t value = fh_ram_load(ptr, size);

	memcpy(buffer, &value, size);
}

static inline void fh_device_write(void *ptr, const void *buffer, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, buffer, size);
	fh_ram_store(ptr, value, size);
}

static inline void fh_ram_fill(void *ptr, uint8_t byte, size_t size)
{
	if (fh_size_is_whole(size) && fh_ptr_is_aligned(ptr, (unsigned)size))
		fh_ram_store(ptr, byte * UINT64_C(0x0101010101010101), (unsigned)size);
	else
		fh_ram_set(ptr, byte, size);
}

#endif
