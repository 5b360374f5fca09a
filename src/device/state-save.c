/* SPDX-License-Identifier: MIT */
/*
 * States to a stream. A section is built in memory, in the domain of its device, and written
 * outside of it.
 *
 * R1. A section that does not fit into memory fails when it is done, not where it happened: `full`.
 */
#include "device/state.h"

#include <limits.h>
#include <string.h>

#include "base/alloc.h"

/* --- Bytes ---------------------------------------------------------------------------------- */

struct out {
	struct fh_state_buffer buffer;
	bool full; /* R1 */
};

/* Where @size bytes more are to go, or NULL. */
static uint8_t *out_reserve(struct out *out, size_t size)
{
	struct fh_state_buffer *buffer = &out->buffer;

	if (size > buffer->room - buffer->size) {
		const size_t room = (buffer->size + size) * 2 + 256;
		uint8_t *data = out->full ? NULL : fh_try_alloc(room);

		if (!data) {
			out->full = true;
			return NULL;
		}
		if (buffer->size > 0)
			memcpy(data, buffer->data, buffer->size);
		fh_free(buffer->data);
		buffer->data = data;
		buffer->room = room;
	}
	buffer->size += size;
	return buffer->data + buffer->size - size;
}

static void out_bytes(struct out *out, const void *data, size_t size)
{
	uint8_t *at = size > 0 ? out_reserve(out, size) : NULL;

	if (at)
		memcpy(at, data, size);
}

/* The host is little-endian, as the stream is. */
static void out_number(struct out *out, uint64_t value, size_t size)
{
	out_bytes(out, &value, size);
}

static void out_name(struct out *out, const char *name, size_t size_of_length)
{
	const size_t length = strlen(name);

	fh_assert(length > 0 && length < UINT64_C(1) << 8 * size_of_length);
	out_number(out, length, size_of_length);
	out_bytes(out, name, length);
}

/* A number that is known later, at @at. */
static void out_patch(struct out *out, size_t at, uint64_t value, size_t size)
{
	if (!out->full)
		memcpy(out->buffer.data + at, &value, size);
}

static void out_crc(struct out *out, size_t from)
{
	if (!out->full)
		out_number(out,
			   fh_state_crc(0, out->buffer.data + from, out->buffer.size - from),
			   FH_STATE_CRC_SIZE);
}

static enum fh_code buffer_write(void *arg, const void *data, size_t size, struct fh_error *err)
{
	struct fh_state_buffer *buffer = arg;
	struct out out = { .buffer = *buffer };

	out_bytes(&out, data, size);
	*buffer = out.buffer;
	if (out.full)
		return fh_error_set(err, FH_ENOMEM, "%zu bytes of state do not fit into memory",
				    size);
	return FH_OK;
}

struct fh_state_writer fh_state_buffer_writer(struct fh_state_buffer *buffer)
{
	return (struct fh_state_writer){ .write = buffer_write, .arg = buffer };
}

void fh_state_buffer_free(struct fh_state_buffer *buffer)
{
	fh_free(buffer->data);
	*buffer = (struct fh_state_buffer){ 0 };
}

/* --- Tables --------------------------------------------------------------------------------- */

static void save_fields(struct out *out, const struct fh_state_table *table, const void *state,
			unsigned depth);

static void save_timers(struct out *out, const struct fh_state_field *field, const void *member,
			uint64_t count)
{
	struct fh_timer *const *timers = member;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t left = FH_STATE_NOT_ARMED;
		uint64_t deadline;

		if (timers[i] && fh_timer_deadline(timers[i], &deadline)) {
			const uint64_t now = fh_machine_now(
				fh_object_get_machine(timers[i]));

			left = deadline > now ? deadline - now : 0;
			left -= left == FH_STATE_NOT_ARMED;
		}
		out_number(out, left, fh_state_width(field->kind));
	}
}

static void save_field(struct out *out, const struct fh_state_field *field, const void *state,
		       unsigned depth)
{
	const size_t size = fh_state_element_size(field);
	const uint64_t count = fh_state_length(field, state);
	const char *member = fh_state_member(field, state);
	const size_t start = out->buffer.size;

	out_name(out, field->name, 1);
	out_number(out, field->kind, 1);
	out_number(out, count, 4);
	out_number(out, 0, 4);
	const size_t data = out->buffer.size;

	if (field->kind == FH_STATE_TIMER) {
		save_timers(out, field, member, count);
	} else if (field->kind == FH_STATE_STRUCT) {
		for (uint64_t i = 0; i < count; i++)
			save_fields(out, field->table, member + i * size, depth + 1);
	} else {
		out_bytes(out, member, count * size);
	}
	/* What takes 4 GiB is refused with its section. */
	out_patch(out, data - 4, out->buffer.size - data, 4);
	if (depth == 0)
		out_crc(out, start);
}

static void save_fields(struct out *out, const struct fh_state_table *table, const void *state,
			unsigned depth)
{
	unsigned count = 0;

	fh_assert(table->version != 0 && depth < FH_STATE_DEPTH);
	out_number(out, table->version, 4);
	const size_t at = out->buffer.size;

	out_number(out, 0, 2);
	for (const struct fh_state_field *f = table->fields; f && f->name; f++)
		if (fh_state_has(f, table->version, state)) {
			save_field(out, f, state, depth);
			count++;
		}
	fh_assert(count <= UINT16_MAX);
	out_patch(out, at, count, 2);
	if (depth > 0)
		out_number(out, 0, 2);
}

/* A level's or subsection's. */
static enum fh_code save_table(struct out *out, struct fh_device *device,
			       const struct fh_state_table *table, void *state, unsigned depth,
			       struct fh_error *err)
{
	enum fh_code code = FH_OK;
	unsigned count = 0;

	fh_assert(depth < FH_STATE_DEPTH);
	if (table->pre_save)
		code = table->pre_save(device, state, err);
	if (code != FH_OK)
		return fh_error_set(err, code, "its pre_save failed with %s", fh_code_name(code));
	save_fields(out, table, state, 0);
	const size_t at = out->buffer.size;

	out_number(out, 0, 2);
	for (const struct fh_state_table *const *sub = table->subsections;
	     sub && *sub && code == FH_OK; sub++) {
		if (!fh_state_needed(*sub, state))
			continue;
		out_name(out, (*sub)->name, 1);
		code = save_table(out, device, *sub, state, depth + 1, err);
		count++;
	}
	out_patch(out, at, count, 2);
	return code;
}

/* --- Devices -------------------------------------------------------------------------------- */

struct save {
	struct out out;
	struct fh_device *device;
	const char *path;
	enum fh_code code;
	struct fh_error *err;
};

/* In the domain. */
static void save_device(void *arg)
{
	struct save *save = arg;
	struct out *out = &save->out;
	const struct fh_class *class = save->device->object.class;
	unsigned count = 0;

	out_number(out, FH_STATE_DEVICE, 1);
	out_number(out, 0, 4);
	out_name(out, save->path, 2);
	out_name(out, class->type->name, 1);
	const size_t at = out->buffer.size;

	out_number(out, 0, 1);
	for (unsigned depth = 0; depth <= class->depth && save->code == FH_OK; depth++) {
		const struct fh_class *level = fh_state_level(class, depth);
		const struct fh_state_table *table = fh_state_table_of(level);
		void *state = (char *)save->device + level->state_offset;

		if (!table || !fh_state_needed(table, state))
			continue;
		out_name(out, level->type->name, 1);
		save->code = save_table(out, save->device, table, state, 0, save->err);
		count++;
	}
	out_patch(out, at, count, 1);
	out_patch(out, 1, out->buffer.size - 5, 4);
}

static enum fh_code check_path(const char *path, struct fh_error *err)
{
	if (path[0] != '/' || strstr(path, "/<"))
		return fh_error_set(err, FH_EINVAL, "what is saved needs a name in the tree");
	if (strlen(path) > UINT16_MAX)
		return fh_error_set(err, FH_ELIMIT, "its path is too long");
	return FH_OK;
}

/* The section of the device in save->out; none: the device has gone. */
static enum fh_code save_section(struct save *save, struct fh_error *err)
{
	struct fh_object *object = &save->device->object;

	save->code = check_path(save->path, err);
	save->err = err;
	save->out.buffer.size = 0;
	if (save->code == FH_OK)
		fh_chain_call(fh_device_domain(save->device), object, object, false, save_device,
			      save);
	if (save->code != FH_OK)
		return save->code;
	if (save->out.buffer.size > UINT32_MAX)
		return fh_error_set(err, FH_ELIMIT, "its state takes 4 GiB");
	if (save->out.buffer.size > 0)
		out_crc(&save->out, 0);
	return FH_OK;
}

struct stream {
	const struct fh_state_writer *writer;
	uint32_t crc;
	uint32_t sections;
};

static enum fh_code stream_write(struct stream *stream, const struct out *out,
				 struct fh_error *err)
{
	if (out->full) /* R1 */
		return fh_error_set(err, FH_ENOMEM, "the state does not fit into memory");
	stream->crc = fh_state_crc(stream->crc, out->buffer.data, out->buffer.size);
	const enum fh_code code = stream->writer->write(stream->writer->arg, out->buffer.data,
							out->buffer.size, err);

	return code == FH_OK ? code :
			       fh_error_set(err, code, "the stream cannot be written: %s",
					    fh_code_name(code));
}

static enum fh_code write_head(struct stream *stream, struct out *out, struct fh_error *err)
{
	out_bytes(out, FH_STATE_MAGIC, strlen(FH_STATE_MAGIC));
	out_number(out, FH_STATE_FORMAT, 4);
	out_crc(out, 0);
	return stream_write(stream, out, err);
}

static enum fh_code write_end(struct stream *stream, struct out *out, struct fh_error *err)
{
	out->buffer.size = 0;
	out_number(out, FH_STATE_END, 1);
	out_number(out, stream->sections, 4);
	if (!out->full)
		out_number(out,
			   fh_state_crc(stream->crc, out->buffer.data, out->buffer.size),
			   FH_STATE_CRC_SIZE);
	return stream_write(stream, out, err);
}

static enum fh_code save_and_write(struct stream *stream, struct save *save, struct fh_error *err)
{
	FH_CLEANUP(fh_freep) char *path = fh_object_path_dup(&save->device->object);
	enum fh_code code;

	save->path = path;
	code = save_section(save, err);
	if (code == FH_OK && (save->out.buffer.size > 0 || save->out.full)) {
		stream->sections++;
		code = stream_write(stream, &save->out, err);
	}
	if (code != FH_OK)
		fh_error_prefix(err, "device '%s': ", path);
	return code;
}

enum fh_code fh_state_save(FH_ANY top, const struct fh_state_writer *writer, struct fh_error *err)
{
	struct fh_state_devices devices = { 0 };
	struct stream stream = { .writer = writer };
	struct save save = { 0 };
	enum fh_code code;

	fh_assert(fh_thread_may_wait());
	fh_machine_flush_coalesced(fh_object_of(top)->machine);
	fh_state_devices_take(&devices, fh_object_of(top));
	code = write_head(&stream, &save.out, err);
	for (size_t i = 0; i < devices.count && code == FH_OK; i++) {
		save.device = devices.at[i];
		/* Whoever asks for the path of one that is gone gets its last. */
		if (fh_object_is_shown(&save.device->object))
			code = save_and_write(&stream, &save, err);
	}
	if (code == FH_OK)
		code = write_end(&stream, &save.out, err);
	fh_free(save.out.buffer.data);
	fh_state_devices_drop(&devices);
	return code;
}
