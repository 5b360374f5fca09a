/* SPDX-License-Identifier: MIT */
/*
 * Memory of the library itself: malloc, and a clear end where it fails, unless the program's hook
 * has it tried again.
 *
 * Zeroed memory is malloc and memset, not calloc: glibc's calloc passes by the cache that malloc
 * keeps for each thread, which costs more than clearing a small structure. What a user chose the
 * size of may be large, there calloc is right: fresh pages are zero already.
 */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <freehold/hooks.h>

/* Null unless the program defines it. */
#pragma weak fh_hook_no_memory

void fh_out_of_memory(size_t size)
{
	fh_panic("out of memory: %zu bytes could not be allocated", size);
}

/* Returns only if it is to be tried again. */
static FH_COLD void try_again(size_t size, unsigned attempt)
{
	if (!fh_hook_no_memory || !fh_hook_no_memory(size, attempt))
		fh_out_of_memory(size);
}

void *fh_alloc(size_t size)
{
	void *ptr = malloc(size ? size : 1);

	for (unsigned attempt = 1; FH_UNLIKELY(!ptr); attempt++) {
		try_again(size, attempt);
		ptr = malloc(size ? size : 1);
	}
	return ptr;
}

void *fh_zalloc(size_t size)
{
	return memset(fh_alloc(size), 0, size);
}

void *fh_zalloc_aligned(size_t size, size_t align)
{
	void *ptr;

	fh_assert(align >= sizeof(void *) && (align & (align - 1)) == 0);
	for (unsigned attempt = 1; posix_memalign(&ptr, align, size ? size : 1) != 0; attempt++)
		try_again(size, attempt);
	return memset(ptr, 0, size);
}

void *fh_realloc(void *ptr, size_t size)
{
	for (unsigned attempt = 1;; attempt++) {
		void *moved = realloc(ptr, size ? size : 1);

		if (FH_LIKELY(moved))
			return moved;
		try_again(size, attempt);
	}
}

char *fh_strdup(const char *text)
{
	const size_t size = text ? strlen(text) + 1 : 1;
	char *copy = fh_alloc(size);

	if (size > 1)
		memcpy(copy, text, size);
	else
		copy[0] = '\0';
	return copy;
}

char *fh_printf(const char *fmt, ...)
{
	char *text;
	va_list args;
	int length;

	for (unsigned attempt = 1;; attempt++) {
		va_start(args, fmt);
		length = vasprintf(&text, fmt, args);
		va_end(args);
		if (length >= 0)
			return text;
		try_again(strlen(fmt), attempt);
	}
}

void *fh_try_alloc(size_t size)
{
	return malloc(size ? size : 1);
}

void *fh_try_zalloc(size_t count, size_t size)
{
	return calloc(count ? count : 1, size ? size : 1);
}
