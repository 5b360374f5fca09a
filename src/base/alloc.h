/* SPDX-License-Identifier: MIT */
/*
 * Memory of the library itself.
 *
 * R1. fh_alloc and its kin never return NULL. They are for small control structures, whose size is
 *     the library's own choice: on exhaustion the process stops with a message.
 * R2. Anything whose size a user, a file or a guest chooses comes from fh_try_alloc and its kin,
 *     may be NULL, and becomes FH_ENOMEM.
 * R3. Everything is returned with fh_free, which accepts NULL.
 *
 * An embedder who wants another policy than R1 has two places for it: the malloc of the process,
 * which is the only source of memory here, and the hook that <freehold/hooks.h> declares. That is
 * bound by the linker: one that is set at run time would be a mutable global, since an allocation
 * does not know its machine.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>
#include <stdlib.h>

#include <freehold/base.h>

#include "base/assert.h"

/* Never NULL; contents undefined. */
void *fh_alloc(size_t size)
	__attribute__((malloc, returns_nonnull, alloc_size(1), warn_unused_result));

/* Never NULL; all bytes zero. */
void *fh_zalloc(size_t size)
	__attribute__((malloc, returns_nonnull, alloc_size(1), warn_unused_result));

/* Never NULL; all bytes zero; align is a power of two, for what keeps to its own cache lines. */
void *fh_zalloc_aligned(size_t size, size_t align)
	__attribute__((malloc, returns_nonnull, alloc_size(1), warn_unused_result));

/* Never NULL; contents kept up to the smaller size, the rest undefined. ptr (consumed) or NULL. */
void *fh_realloc(void *ptr, size_t size)
	__attribute__((returns_nonnull, alloc_size(2), warn_unused_result));

/* Never NULL, also for NULL, which reads as "". */
char *fh_strdup(const char *text) __attribute__((malloc, returns_nonnull, warn_unused_result));

/* Never NULL; as sprintf into memory that fits. */
char *fh_printf(const char *fmt, ...) FH_PRINTF(1, 2)
	__attribute__((malloc, returns_nonnull, warn_unused_result));

/* May be NULL; contents undefined. */
void *fh_try_alloc(size_t size) __attribute__((malloc, alloc_size(1), warn_unused_result));

/* May be NULL, also where count * size overflows; all bytes zero. */
void *fh_try_zalloc(size_t count, size_t size)
	__attribute__((malloc, alloc_size(1, 2), warn_unused_result));

static inline void fh_free(void *ptr)
{
	free(ptr);
}

/* For FH_CLEANUP on a pointer of any type. */
static inline void fh_freep(void *ptr_to_ptr)
{
	free(*(void **)ptr_to_ptr);
}

/* A zeroed structure of its own. */
#define fh_new(type) ((type *)fh_zalloc(sizeof(type)))

/* Says that size bytes could not be had, and aborts. */
_Noreturn FH_COLD void fh_out_of_memory(size_t size);

#endif
