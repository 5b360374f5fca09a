/* SPDX-License-Identifier: MIT */
/*
 * A device that tells what happens to it, and whose realize the test supplies; and a listener that
 * counts what the guest could see. Included once, by the test's own file.
 */
#ifndef SUPPORT_PART_H
#define SUPPORT_PART_H

#include "support/probe.h"

#include <stdio.h>
#include <string.h>

#include "base/point.h"
#include "device/device.h"

static char trace[1024];

static inline void note(const char *what, struct fh_device *device)
{
	const size_t used = strlen(trace);
	const char *name = fh_object_name(device);

	snprintf(trace + used, sizeof(trace) - used, "%s%s(%s)", used ? " " : "", what,
		 name ? name : "");
}

static inline void assert_trace(const char *wanted)
{
	assert_string_equal(trace, wanted);
	trace[0] = '\0';
}

/* The test's, of the device that is being realized; all optional. */
struct plan {
	enum fh_code (*realize)(struct fh_device *device, struct fh_error *err);
	struct fh_irq *input; /* somebody else's */
};

struct part {
	uint32_t level;
	bool fail;
	struct plan *plan;
};

static enum fh_tx part_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)state;
	(void)size;
	(void)attrs;
	*ret_value = offset;
	return FH_TX_OK;
}

static const struct fh_region_ops part_ops = { .read = part_read };

static inline enum fh_code part_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct part *part = state;

	note("realize", device);
	part->level++;
	if (part->plan && part->plan->realize) {
		const enum fh_code code = part->plan->realize(device, err);

		if (code != FH_OK)
			return code;
	}
	if (part->fail)
		return fh_error_set(err, FH_EIO, "the disk is on fire");
	return FH_OK;
}

static inline void part_unrealize(struct fh_device *device, void *state)
{
	struct part *part = state;

	note("unrealize", device);
	part->level--;
}

static const struct fh_property part_properties[] = {
	{ .name = "fail", .kind = FH_PROPERTY_BOOL, .offset = offsetof(struct part, fail) },
	{ .name = NULL },
};

static const struct fh_device_ops part_device = {
	.realize = part_realize, .unrealize = part_unrealize
};

static const struct fh_type part_type = {
	.name = "part",
	.parent = &fh_device_type,
	.state_size = sizeof(struct part),
	.properties = part_properties,
	.device = &part_device,
};

static inline struct part *part_of(struct fh_device *device)
{
	return fh_object_state(device, &part_type);
}

static inline struct fh_device *part_new(FH_ANY parent, const char *name, struct plan *plan)
{
	struct fh_device *device = fh_device_new(parent, &part_type, name, NULL, NULL);

	assert_non_null(device);
	part_of(device)->plan = plan;
	return device;
}

static inline int set_up(void **state)
{
	trace[0] = '\0';
	*state = machine_begin();
	return 0;
}

static inline int tear_down(void **state)
{
	fh_point_release_all();
	machine_end(*state);
	return 0;
}

/* --- What the guest sees -------------------------------------------------------------------- */

struct watcher {
	unsigned commits, added;
	struct fh_listener *listener;
};

static inline void watch_add(void *state, const struct fh_section *section)
{
	struct watcher *watcher = state;

	(void)section;
	watcher->added++;
}

static inline void watch_commit(void *state, struct fh_space *space)
{
	struct watcher *watcher = state;

	(void)space;
	watcher->commits++;
}

static const struct fh_listener_ops watch_ops = { .add = watch_add, .commit = watch_commit };

static inline void watch_begin(struct fh_machine *m, struct watcher *watcher)
{
	watcher->listener = fh_listener_new(m, fh_machine_memory(m), 0, &watch_ops, watcher);
	watcher->commits = 0;
	watcher->added = 0;
}

static inline void watch_end(struct watcher *watcher)
{
	watcher->listener = fh_object_unref(watcher->listener);
}

static inline struct fh_region *root_of(FH_ANY any)
{
	return fh_space_root(fh_machine_memory(fh_object_of(any)->machine));
}

/* Registers at an address that is the device's name, of two hexadecimal digits, times 4096. */
static inline enum fh_code map_regs(struct fh_device *device, struct fh_error *err)
{
	struct fh_region *regs = fh_region_new_mmio(device, "regs", 0x1000, &part_ops, NULL);
	unsigned page;

	assert_int_equal(sscanf(fh_object_name(device), "%x", &page), 1);
	assert_int_equal(fh_region_add(root_of(device), regs, page * 0x1000, 0), FH_OK);
	return fh_device_export(device, regs, err);
}

static struct plan mapping = { .realize = map_regs };

#endif
