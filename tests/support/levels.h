/* SPDX-License-Identifier: MIT */
/*
 * Types of three levels, thing_1 to thing_3 and device_1 to device_3, that write down what happens
 * to them: "+1" level 1's init, "d1" its dispose, "f1" its finalize. Included once, by the test's
 * own file, which has level_init(), called with what was written down, and LEVEL_TYPES().
 *
 * R1. The state of a level begins with its number, by which dispose and finalize know it.
 */
#ifndef SUPPORT_LEVELS_H
#define SUPPORT_LEVELS_H

#include "support/probe.h"

#include <stdio.h>
#include <string.h>

static char trace[4096];

static inline void note(const char *what, const char *level)
{
	const size_t used = strlen(trace);

	snprintf(trace + used, sizeof(trace) - used, "%s%s%s", used ? " " : "", what, level);
}

static inline void assert_trace(const char *wanted)
{
	assert_string_equal(trace, wanted);
	trace[0] = '\0';
}

/* The test's. */
static enum fh_code level_init(struct fh_object *object, int level, struct fh_error *err);

#define LEVEL(n)                                                                                   \
	static enum fh_code init_##n(struct fh_object *object, void *state, struct fh_error *err)  \
	{                                                                                          \
		*(int *)state = (n);                                                               \
		note("+", #n);                                                                     \
		return level_init(object, (n), err);                                               \
	}                                                                                          \
	static void dispose_##n(struct fh_object *object, void *state)                             \
	{                                                                                          \
		(void)object;                                                                      \
		CHECK(*(int *)state == (n));                                                       \
		note("d", #n);                                                                     \
	}                                                                                          \
	static void finalize_##n(struct fh_object *object, void *state)                            \
	{                                                                                          \
		(void)object;                                                                      \
		CHECK(*(int *)state == (n));                                                       \
		note("f", #n);                                                                     \
	}
LEVEL(1)
LEVEL(2)
LEVEL(3)

#define LEVEL_TYPE(kind, n, above, size, with)                                                     \
	static const struct fh_type kind##_##n = {                                                 \
		.name = #kind "-" #n,                                                              \
		.parent = (above),                                                                 \
		.state_size = (size),                                                              \
		.properties = (with),                                                              \
		.init = init_##n,                                                                  \
		.dispose = dispose_##n,                                                            \
		.finalize = finalize_##n,                                                          \
	}

/* All six, with states of @size bytes and the properties @with, or NULL. */
#define LEVEL_TYPES(size, with)                                                                    \
	LEVEL_TYPE(thing, 1, &fh_object_type, size, with);                                         \
	LEVEL_TYPE(thing, 2, &thing_1, size, with);                                                \
	LEVEL_TYPE(thing, 3, &thing_2, size, with);                                                \
	LEVEL_TYPE(device, 1, &fh_device_type, size, with);                                        \
	LEVEL_TYPE(device, 2, &device_1, size, with);                                              \
	LEVEL_TYPE(device, 3, &device_2, size, with)

#endif
