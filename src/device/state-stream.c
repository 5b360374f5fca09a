/* SPDX-License-Identifier: MIT */
/*
 * A stream of states: its head, the section of each device, its end; each piece is looked at as if
 * somebody had made it up. The rules are those of state-load.h.
 */
#include <inttypes.h>
#include <string.h>

#include "device/state-load.h"

/* --- A device ------------------------------------------------------------------------------- */

void fh_state_load_free(struct fh_state_load *load)
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

enum fh_code fh_state_call(struct fh_state_load *load, void (*call)(void *arg), void *arg,
			   struct fh_error *err)
{
	if (fh_chain_call(fh_device_domain(load->device), &load->device->object,
			  &load->device->object, false, call, arg))
		return FH_OK;
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
	return fh_state_call(load, copy_levels, load, err);
}

/* The device of that path, which has to be one whose state may be in the stream (ref taken). */
static enum fh_code find_device(struct fh_state_restore *restore, struct fh_state_load *load,
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

static enum fh_code read_device(struct fh_state_restore *restore, struct fh_state_load *load,
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

static enum fh_code damaged(struct fh_state_restore *restore, struct fh_error *err)
{
	return fh_error_set(err, FH_EFORMAT, "the stream is cut off or damaged at byte %zu",
			    (size_t)(restore->in.at - restore->data));
}

/* Behind the tag. */
static enum fh_code read_section(struct fh_state_restore *restore, struct fh_error *err)
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
		fh_state_load_free(load);
		return damaged(restore, err);
	}
	code = read_device(restore, load, &body, err);
	if (code == FH_OK && (cut || !fh_state_in_number(&restore->in, FH_STATE_CRC_SIZE, &crc)))
		code = fh_error_set(err, FH_EFORMAT, "the stream is cut off");
	if (code == FH_OK && crc != is)
		code = fh_error_set(err, FH_EFORMAT, "its checksum is wrong: it is damaged");
	if (code != FH_OK) {
		fh_error_prefix(err, "device '%s': ", load->path);
		fh_state_load_free(load);
		return code;
	}
	fh_vector_add(&restore->loads) = load;
	return FH_OK;
}

static enum fh_code read_head(struct fh_state_restore *restore, struct fh_error *err)
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

static enum fh_code read_end(struct fh_state_restore *restore, struct fh_error *err)
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

enum fh_code fh_state_read_stream(struct fh_state_restore *restore, struct fh_error *err)
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
