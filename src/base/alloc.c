/* SPDX-License-Identifier: MIT */
/*
 * Memory of the library itself: malloc, and a clear end where it fails.
 *
 * Zeroed memory is malloc and memset, not calloc: glibc's calloc passes by the cache that malloc
 * keeps for each thread, which costs more than clearing a small structure. What a user chose the
 * size of may be large, there calloc is right: fresh pages are zero already.
 */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fh_out_of_memory(size_t size)
{
	fh_panic("out of memory: %zu bytes could not be allocated", size);
}

void *fh_alloc(size_t size)
{
	void *ptr = malloc(size ? size : 1);

	if (FH_UNLIKELY(!ptr))
		fh_out_of_memory(size);
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
	if (posix_memalign(&ptr, align, size ? size : 1) != 0)
		fh_out_of_memory(size);
	return memset(ptr, 0, size);
}

void *fh_realloc(void *ptr, size_t size)
{
	void *moved = realloc(ptr, size ? size : 1);

	if (FH_UNLIKELY(!moved))
		fh_out_of_memory(size);
	return moved;
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

	va_start(args, fmt);
	length = vasprintf(&text, fmt, args);
	va_end(args);
	if (length < 0)
		fh_out_of_memory(strlen(fmt));
	return text;
}

void *fh_try_alloc(size_t size)
{
	return malloc(size ? size : 1);
}

void *fh_try_zalloc(size_t count, size_t size)
{
	return calloc(count ? count : 1, size ? size : 1);
}
