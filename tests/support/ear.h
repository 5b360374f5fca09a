/* SPDX-License-Identifier: MIT */
/*
 * A machine for tests of listeners, and listeners that write down what they hear, under their
 * names.
 */
#ifndef SUPPORT_EAR_H
#define SUPPORT_EAR_H

#include "support/flat.h"

#include "memory/space.h"

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *root;
static char heard[8192];

static const struct fh_region_ops no_ops = { .concurrent = true };

static inline int setup(void **state)
{
	struct fh_region *far;

	(void)state;
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	root = fh_space_root(memory);
	/* So that the root does not show the same as the one region that a test adds. */
	far = fh_region_new_mmio(m, NULL, 1, &no_ops, NULL);
	fh_object_add_child(m, "far", far, NULL);
	fh_object_unref(far);
	fh_region_add(root, far, UINT64_MAX, 0);
	heard[0] = '\0';
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	return fh_machine_destroy(m);
}

/* Dies with the machine. */
static inline struct fh_region *keep(struct fh_region *region, const char *name)
{
	assert_int_equal(fh_object_add_child(m, name, region, NULL), FH_OK);
	fh_object_unref(region);
	return region;
}

static inline struct fh_region *mmio(const char *name, uint64_t size)
{
	return keep(fh_region_new_mmio(m, NULL, size, &no_ops, NULL), name);
}

/* --- A listener that writes down what it hears, under its name ------------------------------- */

static inline void hear(const char *who, const char *what, const struct fh_section *section)
{
	const size_t used = strlen(heard);
	struct flat flat = { .used = 0 };
	int length;

	if (section)
		flat_add(&flat, section);
	length = snprintf(heard + used, sizeof(heard) - used, "%s%s(%s) ", who, what, flat.text);
	assert_true(length > 0 && (size_t)length < sizeof(heard) - used);
}

static inline void ear_begin(void *state, struct fh_space *space)
{
	(void)space;
	hear(state, "begin", NULL);
}

static inline void ear_remove(void *state, const struct fh_section *section)
{
	hear(state, "-", section);
}

static inline void ear_add(void *state, const struct fh_section *section)
{
	hear(state, "+", section);
}

static inline void ear_commit(void *state, struct fh_space *space)
{
	(void)space;
	hear(state, "commit", NULL);
}

static const struct fh_listener_ops ear_ops = {
	.begin = ear_begin, .remove = ear_remove, .add = ear_add, .commit = ear_commit
};

static inline struct fh_listener *new_ear(FH_ANY owner, struct fh_space *space, int priority,
					  const char *name)
{
	return fh_listener_new(owner, space, priority, &ear_ops, (void *)(uintptr_t)name);
}

/* One that has heard already what there is. */
static inline struct fh_listener *listen(struct fh_space *space, int priority, const char *name)
{
	struct fh_listener *ear = new_ear(m, space, priority, name);

	assert_non_null(ear);
	heard[0] = '\0';
	return ear;
}

/* That there is one. */
static inline void log_ear_batch(void *state, const struct fh_section *removed,
				 size_t removed_count, const struct fh_section *added,
				 size_t added_count)
{
	(void)removed;
	(void)added;
	if (removed_count + added_count > 0)
		hear(state, "batch", NULL);
}

static inline struct fh_region *show_ram(const char *name, uint64_t size, uint64_t addr)
{
	struct fh_region *ram = keep(fh_region_new_ram(m, NULL, size, NULL), name);

	fh_region_add(root, ram, addr, 0);
	return ram;
}

#define assert_heard(expected)                      \
	do {                                        \
		assert_string_equal(heard, expected); \
		heard[0] = '\0';                    \
	} while (0)

#endif
