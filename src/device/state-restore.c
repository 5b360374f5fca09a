/* SPDX-License-Identifier: MIT */
/*
 * A stream to the devices of a machine: all of it is read and checked before anything changes. The
 * rules are those of state-load.h.
 *
 * R4. What changes is done in three goes over the devices, each in the domains: the copies change
 *     places with the states; then the post_loads; or, where one of those refuses, the copies
 *     change back, and the post_loads that were called are called with the old states.
 * R5. A device that is hidden keeps what it has: its unrealize may be at its state.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device/state-load.h"

struct restore {
	struct fh_object *top;
	struct fh_machine *m;
	const uint8_t *data; /* the stream's start */
	struct fh_state_in in;
	FH_VECTOR(fh_state_loads, struct fh_state_load *) loads;
};

/* --- A device ------------------------------------------------------------------------------- */

static void load_free(struct fh_state_load *load)
{
	for (size_t i = 0; i < load->pointers.count; i++)
		fh_free(*load->pointers.at[i]);
	for (unsigned depth = 0; load->copies && depth <= load->device->object.class->depth;
	     depth++)
		fh_free(load->copies[depth]);
	fh_free(load->copies);
	fh_vector_free(&load->reads);
	fh_vector_free(&load->moves);
	fh_vector_free(&load->timers);
	fh_vector_free(&load->pointers);
	fh_free(load->path);
	if (load->device)
		fh_object_unref(load->device);
	fh_free(load);
}

/* In the domain. */
static void copy_levels(void *arg)
{
	struct fh_state_load *load = arg;
	const struct fh_class *class = load->device->object.class;

	for (; class; class = class->parent)
		if (load->copies[class->depth])
			memcpy(load->copies[class->depth],
			       (char *)load->device + class->state_offset,
			       class->type->state_size);
}

static bool call_shown(struct fh_state_load *load, void (*call)(void *arg), void *arg)
{
	return fh_chain_call(fh_device_domain(load->device), &load->device->object,
			     &load->device->object, false, call, arg);
}

static enum fh_code has_gone(struct fh_error *err)
{
	return fh_error_set(err, FH_EDEAD, "it is not realized, or was unplugged meanwhile");
}

static enum fh_code make_copies(struct fh_state_load *load, struct fh_error *err)
{
	const struct fh_class *class = load->device->object.class;

	load->copies = fh_zalloc((class->depth + 1) * sizeof(load->copies[0]));
	for (; class; class = class->parent) {
		if (!fh_state_table_of(class))
			continue;
		load->copies[class->depth] = fh_try_alloc(class->type->state_size);
		if (!load->copies[class->depth])
			return fh_error_set(err, FH_ENOMEM, "its state does not fit into memory");
	}
	return call_shown(load, copy_levels, load) ? FH_OK : has_gone(err);
}

/* The device of that path, which has to be one whose state may be in the stream (ref taken). */
static enum fh_code find_device(struct restore *restore, struct fh_state_load *load,
				struct fh_error *err)
{
	struct fh_object *object = fh_object_find(restore->m, load->path);
	bool below;

	if (!object)
		return fh_error_set(err, FH_ENOENT, "the machine has none of that name");
	load->device = fh_device_of(object); /* looked at as one only below */
	fh_tree_acquire(restore->m);
	below = fh_object_is_below_locked(object, restore->top);
	fh_lock_release(&restore->m->tree_lock);
	if (!fh_object_is_device(object))
		return fh_error_set(err, FH_ETYPE, "it is not a device");
	if (!below)
		return fh_error_set(err, FH_ENOENT, "it is not one of those to be restored");
	for (size_t i = 0; i < restore->loads.count; i++)
		if (restore->loads.at[i]->device == load->device)
			return fh_error_set(err, FH_EFORMAT, "it is in the stream twice");
	return FH_OK;
}

static enum fh_code check_type(struct fh_state_load *load, struct fh_state_in *body,
			       struct fh_error *err)
{
	FH_CLEANUP(fh_freep) char *type = fh_state_in_name(body, 1);
	const char *is = load->device->object.class->type->name;

	if (!type)
		return fh_error_set(err, FH_EFORMAT, "the stream is damaged at its type");
	if (strcmp(type, is) != 0)
		return fh_error_set(err, FH_ETYPE, "it is of type '%s' in the stream, of '%s' in "
				    "the machine", type, is);
	return FH_OK;
}

/* The level from @depth on that has that name and a table, or NULL; it is needed up to there. */
static const struct fh_class *next_level(struct fh_state_load *load, unsigned *depth,
					 const char *name, const char **ret_missing)
{
	const struct fh_class *class = load->device->object.class;

	*ret_missing = NULL;
	for (; *depth <= class->depth; ++*depth) {
		const struct fh_class *level = fh_state_level(class, *depth);
		const struct fh_state_table *table = fh_state_table_of(level);

		if (!table)
			continue;
		if (name && strcmp(level->type->name, name) == 0) {
			++*depth;
			return level;
		}
		if (fh_state_needed(table, load->copies[level->depth])) {
			*ret_missing = level->type->name;
			return NULL;
		}
	}
	return NULL;
}

static enum fh_code read_level(struct fh_state_load *load, struct fh_state_in *body,
			       unsigned *depth, struct fh_error *err)
{
	FH_CLEANUP(fh_freep) char *name = fh_state_in_name(body, 1);
	const struct fh_class *level;
	const char *missing;

	if (!name)
		return fh_error_set(err, FH_EFORMAT, "the stream is damaged at a type's name");
	level = next_level(load, depth, name, &missing);
	if (!level && missing)
		return fh_error_set(err, FH_EFORMAT,
				    "the stream has '%s' where the state of its type '%s' is due",
				    name, missing);
	if (!level)
		return fh_error_set(err, FH_EFORMAT, "it has no state of a type '%s'", name);
	return fh_state_read_level(load, level, body, err);
}

static enum fh_code read_levels(struct fh_state_load *load, struct fh_state_in *body,
				struct fh_error *err)
{
	const char *missing;
	unsigned depth = 0;
	uint64_t count;
	enum fh_code code = FH_OK;

	if (!fh_state_in_number(body, 1, &count))
		return fh_error_set(err, FH_EFORMAT, "the stream is cut off or damaged");
	for (uint64_t i = 0; i < count && code == FH_OK; i++)
		code = read_level(load, body, &depth, err);
	if (code != FH_OK)
		return code;
	next_level(load, &depth, NULL, &missing);
	if (missing)
		return fh_error_set(err, FH_EFORMAT, "the stream has no state of its type '%s'",
				    missing);
	if (body->left != 0)
		return fh_error_set(err, FH_EFORMAT, "the stream has more than its state");
	return FH_OK;
}

static enum fh_code read_device(struct restore *restore, struct fh_state_load *load,
				struct fh_state_in *body, struct fh_error *err)
{
	enum fh_code code = find_device(restore, load, err);

	if (code == FH_OK)
		code = check_type(load, body, err);
	if (code == FH_OK && !fh_state_is_saved(load->device))
		code = fh_error_set(err, FH_ENOENT, "its type has no state");
	if (code == FH_OK)
		code = make_copies(load, err);
	if (code == FH_OK)
		code = read_levels(load, body, err);
	return code;
}

/* --- The stream ----------------------------------------------------------------------------- */

static enum fh_code damaged(struct restore *restore, struct fh_error *err)
{
	return fh_error_set(err, FH_EFORMAT, "the stream is cut off or damaged at byte %zu",
			    (size_t)(restore->in.at - restore->data));
}

/* Behind the tag. */
static enum fh_code read_section(struct restore *restore, struct fh_error *err)
{
	const uint8_t *start = restore->in.at - 1;
	struct fh_state_load *load;
	struct fh_state_in body;
	uint64_t length, crc;
	uint32_t is;
	enum fh_code code;

	if (!fh_state_in_number(&restore->in, 4, &length))
		return damaged(restore, err);
	/* Of one that is cut off as much is read as there is: what is missing can be named. */
	const bool cut = length > restore->in.left;

	fh_state_in_piece(&restore->in, cut ? restore->in.left : length, &body);
	is = fh_state_crc(0, start, (size_t)(restore->in.at - start));
	load = fh_new(struct fh_state_load);
	load->now = fh_machine_now(restore->m);
	load->path = fh_state_in_name(&body, 2);
	if (!load->path) {
		load_free(load);
		return damaged(restore, err);
	}
	code = read_device(restore, load, &body, err);
	if (code == FH_OK && (cut || !fh_state_in_number(&restore->in, FH_STATE_CRC_SIZE, &crc)))
		code = fh_error_set(err, FH_EFORMAT, "the stream is cut off");
	if (code == FH_OK && crc != is)
		code = fh_error_set(err, FH_EFORMAT, "its checksum is wrong: it is damaged");
	if (code != FH_OK) {
		fh_error_prefix(err, "device '%s': ", load->path);
		load_free(load);
		return code;
	}
	fh_vector_add(&restore->loads) = load;
	return FH_OK;
}

static enum fh_code read_head(struct restore *restore, struct fh_error *err)
{
	const size_t magic_size = strlen(FH_STATE_MAGIC);
	struct fh_state_in magic;
	uint64_t format, crc;
	uint32_t is;

	if (!fh_state_in_piece(&restore->in, magic_size, &magic) ||
	    memcmp(magic.at, FH_STATE_MAGIC, magic_size) != 0)
		return fh_error_set(err, FH_EFORMAT, "this is no stream of states");
	if (!fh_state_in_number(&restore->in, 4, &format))
		return damaged(restore, err);
	is = fh_state_crc(0, restore->data, magic_size + 4);
	if (!fh_state_in_number(&restore->in, FH_STATE_CRC_SIZE, &crc) || crc != is)
		return damaged(restore, err);
	if (format != FH_STATE_FORMAT)
		return fh_error_set(err, FH_ENOTSUP,
				    "the stream is of format %" PRIu64 ", and %d is known",
				    format, FH_STATE_FORMAT);
	return FH_OK;
}

static enum fh_code read_end(struct restore *restore, struct fh_error *err)
{
	uint64_t sections, crc;
	uint32_t is;

	if (!fh_state_in_number(&restore->in, 4, &sections))
		return damaged(restore, err);
	is = fh_state_crc(0, restore->data, (size_t)(restore->in.at - restore->data));
	if (!fh_state_in_number(&restore->in, FH_STATE_CRC_SIZE, &crc) || crc != is ||
	    sections != restore->loads.count || restore->in.left != 0)
		return damaged(restore, err);
	return FH_OK;
}

static enum fh_code read_stream(struct restore *restore, struct fh_error *err)
{
	enum fh_code code = read_head(restore, err);
	uint64_t tag;

	while (code == FH_OK) {
		if (!fh_state_in_number(&restore->in, 1, &tag))
			return damaged(restore, err);
		if (tag == FH_STATE_END)
			return read_end(restore, err);
		if (tag != FH_STATE_DEVICE)
			return damaged(restore, err);
		code = read_section(restore, err);
	}
	return code;
}

/* --- Checks --------------------------------------------------------------------------------- */

static int compare_devices(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t) * (struct fh_device *const *)a;
	const uintptr_t y = (uintptr_t) * (struct fh_device *const *)b;

	return x < y ? -1 : x > y;
}

/* Every device that would be saved is in the stream. */
static enum fh_code check_complete(struct restore *restore, struct fh_error *err)
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

static void undo(struct restore *restore, struct fh_error *err)
{
	for (size_t i = restore->loads.count; i-- > 0;)
		if (restore->loads.at[i]->moved)
			call_shown(restore->loads.at[i], swap_device, restore->loads.at[i]);
	for (size_t i = 0; i < restore->loads.count; i++) {
		struct after after = { .load = restore->loads.at[i] };

		call_shown(after.load, after_undo, &after);
		if (after.code != FH_OK)
			fh_error_prefix(err, "reset '%s', which refuses its old state, too; ",
					after.load->path);
	}
}

static enum fh_code change_device(struct fh_state_load *load, struct fh_error *err)
{
	if (!call_shown(load, swap_device, load))
		return has_gone(err);
	return FH_OK;
}

static enum fh_code finish_device(struct fh_state_load *load, struct fh_error *err)
{
	struct after after = { .load = load, .err = err };

	if (!call_shown(load, after_load, &after))
		return has_gone(err);
	return after.code;
}

/* One of the goes. */
static enum fh_code each_device(struct restore *restore,
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
	struct restore restore = {
		.top = top, .m = top->machine, .data = data, .in = { .at = data, .left = size }
	};
	enum fh_code code;

	fh_assert(fh_thread_may_wait());
	code = read_stream(&restore, err);
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
		load_free(restore.loads.at[i]);
	fh_vector_free(&restore.loads);
	return code;
}
