/* SPDX-License-Identifier: MIT */
/*
 * Growable arrays: the scratch memory of commits, which is kept from one to the next so that a
 * commit in steady state allocates nothing.
 *
 * R1. All zero is an empty array that holds no memory.
 * R2. Pointers to items are valid until the next item is added.
 */
#ifndef MEMORY_VECTOR_H
#define MEMORY_VECTOR_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/assert.h"

/* Declares struct name, an array of type. */
#define FH_VECTOR(name, type) \
	struct name {         \
		type *at;     \
		size_t count; \
		size_t capacity; \
	}

/* What a long commit needed is not kept for ever: bytes that an array keeps between commits. */
#define FH_VECTOR_KEEP ((size_t)64 << 10)

static inline void *fh_vector_grown(void *at, size_t *capacity, size_t need, size_t item)
{
	size_t room = *capacity ? *capacity * 2 : 8;

	if (room < need)
		room = need;
	at = fh_realloc(at, room * item);
	*capacity = room;
	return at;
}

/* Room for that many more items. */
#define fh_vector_reserve(v, more)                                                             \
	do {                                                                                   \
		if (FH_UNLIKELY((v)->capacity - (v)->count < (size_t)(more)))                  \
			(v)->at = fh_vector_grown((v)->at, &(v)->capacity,                     \
						  (v)->count + (size_t)(more), sizeof(*(v)->at)); \
	} while (0)

/* One more item: fh_vector_add(v) = value. */
#define fh_vector_add(v) (*(__extension__({     \
		fh_vector_reserve(v, 1);        \
		&(v)->at[(v)->count++];         \
	})))

#define fh_vector_last(v) ((v)->at[(v)->count - 1])

/* The items from the i-th on. Of an array that holds no memory NULL, to which C adds not even 0. */
#define fh_vector_from(v, i) ((v)->at ? (v)->at + (i) : NULL)

#define fh_vector_free(v)             \
	do {                          \
		fh_free((v)->at);     \
		(v)->at = NULL;       \
		(v)->count = 0;       \
		(v)->capacity = 0;    \
	} while (0)

/* Empty, and without more memory than is worth keeping. */
#define fh_vector_reset(v)                                                      \
	do {                                                                    \
		(v)->count = 0;                                                 \
		if (FH_UNLIKELY((v)->capacity * sizeof(*(v)->at) > FH_VECTOR_KEEP)) \
			fh_vector_free(v);                                      \
	} while (0)

#endif
