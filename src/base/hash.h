/* SPDX-License-Identifier: MIT */
/*
 * Hashes for the library's own tables: names in the composition tree, types, pointers.
 *
 * R1. Every bit of the result depends on every bit of the input, so that a table of 2^n slots may
 *     mask the low n bits.
 * R2. Values are never stored or sent: they may change from one version to the next.
 * R3. They resist accidents, not adversaries: names come from an embedder, not from a guest.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* A bijection of the 64-bit words: two rounds of multiply and fold. */
static inline uint64_t fh_hash_u64(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 over the golden ratio, odd */
	x ^= x >> 29;
	x *= UINT64_C(0xd1342543de82ef95); /* odd, bits well spread */
	x ^= x >> 32;
	return x;
}

static inline uint64_t fh_hash_ptr(const void *ptr)
{
	return fh_hash_u64((uint64_t)(uintptr_t)ptr);
}

/* One hash from two, order matters: of a key that has two parts. */
static inline uint64_t fh_hash_pair(uint64_t a, uint64_t b)
{
	return fh_hash_u64(fh_hash_u64(a) + b);
}

/* FNV-1a over the bytes, mixed at the end, since its own low bits are weak (R1). */
static inline uint64_t fh_hash_bytes(const void *data, size_t size)
{
	const unsigned char *byte = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
	return fh_hash_u64(hash);
}

/* The same for a text up to its zero; equal to fh_hash_bytes(text, strlen(text)). */
static inline uint64_t fh_hash_string(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return fh_hash_u64(hash);
}

#endif
