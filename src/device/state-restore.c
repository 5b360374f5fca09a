/* SPDX-License-Identifier: MIT */
/*
 * A stream to the devices of a machine: all of it is read (state-stream.c) and checked before
 * anything changes. The rules are those of state-load.h.
 *
 * R4. What changes is done in three goes over the devices, each in the domains: the copies change
 *     places with the states; then the post_loads; or, where one of those refuses, the copies
 *     change back, and the post_loads that were called are called with the old states.
 * R5. A device that is hidden keeps what it has: its unrealize may be at its state.
 */
#include <stdlib.h>
#include <string.h>

#include "device/state-load.h"

/* --- Checks --------------------------------------------------------------------------------- */

static int compare_devices(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t) * (struct fh_device *const *)a;
	const uintptr_t y = (uintptr_t) * (struct fh_device *const *)b;

	return x < y ? -1 : x > y;
}

/* Every device that would be saved is in the stream. */
static enum fh_code check_complete(struct fh_state_restore *restore, struct fh_error *err)
{
	const size_t count = restore->loads.count;
	struct fh_device **sorted = fh_alloc((count + 1) * sizeof(sorted[0]));
	struct fh_state_devices devices = { 0 };
	enum fh_code code = FH_OK;

	for (size_t i = 0; i < count; i++)
		sorted[i] = restore->loads.at[i]->device;
	qsort(sorted, count, sizeof(sorted[0]), compare_devices);
	fh_state_devices_take(&devices, restore->top);
	for (size_t i = 0; i < devices.count && code == FH_OK; i++) {
		if (bsearch(&devices.at[i], sorted, count, sizeof(sorted[0]), compare_devices))
			continue;
		FH_CLEANUP(fh_freep) char *path = fh_object_path_dup(&devices.at[i]->object);

		code = fh_error_set(err, FH_ENOENT, "device '%s': the stream does not have it",
				    path);
	}
	fh_state_devices_drop(&devices);
	fh_free(sorted);
	return code;
}

static enum fh_code check_device(struct fh_state_load *load, struct fh_error *err)
{
	for (size_t i = 0; i < load->reads.count; i++) {
		const struct fh_state_read *read = &load->reads.at[i];
		enum fh_code code;

		if (!read->table->check)
			continue;
		code = read->table->check(read->copy, read->version, err);
		if (code != FH_OK)
			return fh_error_set(err, code, "what was read cannot be its state: %s",
					    fh_code_name(code));
	}
	return FH_OK;
}

/* --- Changes (R4) --------------------------------------------------------------------------- */

static void swap_bytes(char *a, char *b, size_t size)
{
	char held[256];

	while (size > 0) {
		const size_t part = size < sizeof(held) ? size : sizeof(held);

		memcpy(held, a, part);
		memcpy(a, b, part);
		memcpy(b, held, part);
		a += part;
		b += part;
		size -= part;
	}
}

static void swap_timer(struct fh_state_timer *timer)
{
	struct fh_state_timer old = { .timer = timer->timer };

	old.armed = fh_timer_deadline(timer->timer, &old.deadline);
	if (timer->armed)
		fh_timer_arm(timer->timer, timer->deadline);
	else
		fh_timer_cancel(timer->timer);
	*timer = old;
}

/* In the domain. */
static void swap_device(void *arg)
{
	struct fh_state_load *load = arg;

	for (size_t i = 0; i < load->moves.count; i++)
		swap_bytes(load->moves.at[i].live, load->moves.at[i].copy, load->moves.at[i].size);
	for (size_t i = 0; i < load->timers.count; i++)
		swap_timer(&load->timers.at[i]);
	load->moved = !load->moved;
}

struct after {
	struct fh_state_load *load;
	enum fh_code code;
	struct fh_error *err;
};

/* In the domain. Whether it refuses: up to which, is in `called`. */
static void after_load(void *arg)
{
	struct after *after = arg;
	struct fh_state_load *load = after->load;

	for (size_t i = 0; i < load->reads.count && after->code == FH_OK; i++) {
		struct fh_state_read *read = &load->reads.at[i];

		if (!read->table->post_load)
			continue;
		read->called = true;
		after->code = read->table->post_load(load->device, read->live, read->version,
						     after->err);
		if (after->code != FH_OK)
			fh_error_set(after->err, after->code, "its post_load failed with %s",
				     fh_code_name(after->code));
	}
}

/* In the domain, with the old state. */
static void after_undo(void *arg)
{
	struct after *after = arg;
	struct fh_state_load *load = after->load;

	for (size_t i = 0; i < load->reads.count; i++) {
		struct fh_state_read *read = &load->reads.at[i];

		if (read->called &&
		    read->table->post_load(load->device, read->live, read->table->version,
					   NULL) != FH_OK)
			after->code = FH_EINVAL;
	}
}

static void undo(struct fh_state_restore *restore, struct fh_error *err)
{
	for (size_t i = restore->loads.count; i-- > 0;)
		if (restore->loads.at[i]->moved)
			fh_state_call(restore->loads.at[i], swap_device, restore->loads.at[i],
				      NULL);
	for (size_t i = 0; i < restore->loads.count; i++) {
		struct after after = { .load = restore->loads.at[i] };

		fh_state_call(after.load, after_undo, &after, NULL);
		if (after.code != FH_OK)
			fh_error_prefix(err, "reset '%s', which refuses its old state, too; ",
					after.load->path);
	}
}

static enum fh_code change_device(struct fh_state_load *load, struct fh_error *err)
{
	return fh_state_call(load, swap_device, load, err);
}

static enum fh_code finish_device(struct fh_state_load *load, struct fh_error *err)
{
	struct after after = { .load = load, .err = err };
	const enum fh_code code = fh_state_call(load, after_load, &after, err);

	return code == FH_OK ? after.code : code;
}

/* One of the goes. */
static enum fh_code each_device(struct fh_state_restore *restore,
				enum fh_code (*go)(struct fh_state_load *load,
						   struct fh_error *err),
				struct fh_error *err)
{
	enum fh_code code = FH_OK;

	for (size_t i = 0; i < restore->loads.count && code == FH_OK; i++) {
		code = go(restore->loads.at[i], err);
		if (code != FH_OK)
			fh_error_prefix(err, "device '%s': ", restore->loads.at[i]->path);
	}
	return code;
}

enum fh_code fh_state_restore(FH_ANY top_any, const void *data, size_t size, struct fh_error *err)
{
	struct fh_object *top = fh_object_of(top_any);
	struct fh_state_restore restore = {
		.top = top, .m = top->machine, .data = data, .in = { .at = data, .left = size }
	};
	enum fh_code code;

	fh_assert(fh_thread_may_wait());
	fh_machine_flush_coalesced(top->machine); /* or it would come on top */
	code = fh_state_read_stream(&restore, err);
	if (code == FH_OK)
		code = check_complete(&restore, err);
	if (code == FH_OK)
		code = each_device(&restore, check_device, err);
	if (code == FH_OK) {
		code = each_device(&restore, change_device, err);
		if (code == FH_OK)
			code = each_device(&restore, finish_device, err);
		if (code != FH_OK)
			undo(&restore, err);
	}
	for (size_t i = 0; i < restore.loads.count; i++)
		fh_state_load_free(restore.loads.at[i]);
	fh_vector_free(&restore.loads);
	return code;
}
