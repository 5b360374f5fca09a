/* SPDX-License-Identifier: MIT */
/*
 * Levels of a device out of a stream, which nobody vouches for, into copies of their states. The
 * rules are those of state-load.h.
 */
#include "device/state-load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- Bytes ---------------------------------------------------------------------------------- */

bool fh_state_in_piece(struct fh_state_in *in, size_t size, struct fh_state_in *ret_piece)
{
	if (size > in->left)
		return false;
	*ret_piece = (struct fh_state_in){ .at = in->at, .left = size };
	in->at += size;
	in->left -= size;
	return true;
}

bool fh_state_in_number(struct fh_state_in *in, size_t size, uint64_t *ret_value)
{
	struct fh_state_in piece;
	uint64_t value = 0;

	if (!fh_state_in_piece(in, size, &piece))
		return false;
	memcpy(&value, piece.at, size);
	*ret_value = value;
	return true;
}

char *fh_state_in_name(struct fh_state_in *in, size_t size_of_length)
{
	struct fh_state_in piece;
	uint64_t length;
	char *name;

	if (!fh_state_in_number(in, size_of_length, &length) || length == 0 ||
	    !fh_state_in_piece(in, length, &piece))
		return NULL;
	/* No device, field or type has such a name. */
	for (size_t i = 0; i < length; i++)
		if (piece.at[i] < ' ' || piece.at[i] == 0x7f)
			return NULL;
	name = fh_alloc(length + 1);
	memcpy(name, piece.at, length);
	name[length] = '\0';
	return name;
}

static enum fh_code cut_off(struct fh_error *err)
{
	return fh_error_set(err, FH_EFORMAT, "the stream is cut off or damaged here");
}

/* --- The data of a field -------------------------------------------------------------------- */

/* What a field's data are to become. */
struct place {
	struct fh_state_load *load;
	const struct fh_state_field *field;
	char *copy; /* of the state or struct that has the field */
	char *live; /* its own; NULL: new altogether */
	unsigned depth;
};

static enum fh_code read_fields(struct fh_state_load *load, const struct fh_state_table *table,
				char *copy, char *live, struct fh_state_in *in, unsigned depth,
				unsigned *ret_version, struct fh_error *err);

static void add_move(const struct place *place, size_t offset, size_t size)
{
	if (place->live)
		fh_vector_add(&place->load->moves) = (struct fh_state_move){
			.live = place->live + offset,
			.copy = place->copy + offset,
			.size = size,
		};
}

static void set_length(const struct place *place, uint64_t count)
{
	const size_t offset = place->field->length_offset;
	const size_t size = fh_state_width(place->field->length_kind);

	memcpy(place->copy + offset, &count, size);
	add_move(place, offset, size);
}

/* Elements of their own, all zero, in place of those the copy shares with the state (R2). */
static enum fh_code new_elements(const struct place *place, uint64_t count, size_t size,
				 struct fh_error *err)
{
	const size_t offset = place->field->offset;
	void **pointer = (void **)(void *)(place->copy + offset);
	void *elements = NULL;

	fh_assert(place->live);
	if (count > 0) {
		elements = fh_try_zalloc(count, size);
		if (!elements)
			return fh_error_set(err, FH_ENOMEM, "%" PRIu64 " elements of it do not "
					    "fit into memory", count);
	}
	*pointer = elements;
	fh_vector_add(&place->load->pointers) = pointer;
	add_move(place, offset, sizeof(void *));
	return FH_OK;
}

static enum fh_code read_timers(const struct place *place, struct fh_state_in *in, uint64_t count,
				struct fh_error *err)
{
	fh_assert(place->live);
	for (uint64_t i = 0; i < count; i++) {
		struct fh_timer *timer;
		uint64_t left = 0;

		memcpy(&timer, place->copy + place->field->offset + i * sizeof(timer),
		       sizeof(timer));
		if (!fh_state_in_number(in, 8, &left))
			return cut_off(err);
		if (!timer && left != FH_STATE_NOT_ARMED)
			return fh_error_set(err, FH_EFORMAT,
					    "it is armed, and the device has no such timer");
		if (!timer)
			continue;
		const uint64_t now = place->load->now;

		fh_vector_add(&place->load->timers) = (struct fh_state_timer){
			.timer = timer,
			.armed = left != FH_STATE_NOT_ARMED,
			.deadline = left < UINT64_MAX - now ? now + left : UINT64_MAX,
		};
	}
	return FH_OK;
}

static enum fh_code read_structs(const struct place *place, struct fh_state_in *in, uint64_t count,
				 struct fh_error *err)
{
	const struct fh_state_field *field = place->field;
	char *copy = place->copy + field->offset;
	char *live = place->live ? place->live + field->offset : NULL;
	enum fh_code code = FH_OK;
	unsigned version;

	if (field->max) {
		memcpy(&copy, place->copy + field->offset, sizeof(copy));
		live = NULL;
	}
	for (uint64_t i = 0; i < count && code == FH_OK; i++) {
		uint64_t subsections = 0;

		code = read_fields(place->load, field->table, copy + i * field->table->size,
				   live ? live + i * field->table->size : NULL, in,
				   place->depth + 1, &version, err);
		if (code == FH_OK &&
		    (!fh_state_in_number(in, 2, &subsections) || subsections != 0))
			code = cut_off(err);
		if (code != FH_OK)
			fh_error_prefix(err, "element %" PRIu64 ": ", i);
	}
	return code;
}

/* What is copied as it is. */
static enum fh_code read_plain(const struct place *place, struct fh_state_in *in, uint64_t count,
			       size_t size, struct fh_error *err)
{
	const struct fh_state_field *field = place->field;
	char *copy = place->copy + field->offset;
	struct fh_state_in data;

	if (!fh_state_in_piece(in, count * size, &data))
		return cut_off(err);
	for (uint64_t i = 0; i < count; i++) {
		if (field->kind == FH_STATE_BOOL && data.at[i] > 1)
			return fh_error_set(err, FH_EFORMAT, "%u is neither false nor true",
					    data.at[i]);
		if (field->kind == FH_STATE_STRING && data.at[i] == 0)
			return fh_error_set(err, FH_EFORMAT, "a string ends within itself");
	}
	if (field->max)
		copy = *(char **)(void *)copy;
	else
		add_move(place, field->offset,
			 field->kind == FH_STATE_STRING ? field->size : count * size);
	if (count > 0)
		memcpy(copy, data.at, count * size);
	if (field->kind == FH_STATE_STRING && copy)
		copy[count] = '\0';
	return FH_OK;
}

/* --- A field -------------------------------------------------------------------------------- */

/* As many as the field has, or may have. */
static enum fh_code check_count(const struct fh_state_field *field, uint64_t count, size_t size,
				const struct fh_state_in *data, struct fh_error *err)
{
	const uint64_t room = fh_state_room(field);
	const bool varies = field->length_kind != FH_STATE_NONE || field->kind == FH_STATE_STRING;

	if (count > room || (!varies && count != room))
		return fh_error_set(err, FH_EFORMAT,
				    "the stream has %" PRIu64 " of it, the device %s%" PRIu64,
				    count, varies ? "room for " : "", room);
	/* R3, before anything is allocated. */
	if (field->kind == FH_STATE_STRUCT ? count > data->left / FH_STATE_LEAST_STRUCT :
					     count * size != data->left)
		return cut_off(err);
	if (field->length_kind != FH_STATE_NONE &&
	    fh_state_width(field->length_kind) < 8 &&
	    count >> 8 * fh_state_width(field->length_kind) != 0)
		return fh_error_set(err, FH_EFORMAT,
				    "the stream has %" PRIu64 " of it, too many to be counted",
				    count);
	return FH_OK;
}

static enum fh_code read_data(const struct place *place, struct fh_state_in *data, uint64_t count,
			      struct fh_error *err)
{
	const struct fh_state_field *field = place->field;
	const size_t size = fh_state_element_size(field);
	enum fh_code code = check_count(field, count, size, data, err);

	if (code == FH_OK && field->max)
		code = new_elements(place, count + (field->kind == FH_STATE_STRING), size, err);
	if (code == FH_OK && field->length_kind != FH_STATE_NONE)
		set_length(place, count);
	if (code != FH_OK)
		return code;
	if (field->kind == FH_STATE_STRUCT)
		code = read_structs(place, data, count, err);
	else if (field->kind == FH_STATE_TIMER)
		code = read_timers(place, data, count, err);
	else
		code = read_plain(place, data, count, size, err);
	if (code == FH_OK && data->left != 0)
		code = cut_off(err);
	return code;
}

/* The name has to be that of the field. */
static enum fh_code read_field_name(const struct fh_state_field *field, struct fh_state_in *in,
				    struct fh_error *err)
{
	FH_CLEANUP(fh_freep) char *name = fh_state_in_name(in, 1);

	if (!name)
		return cut_off(err);
	if (strcmp(name, field->name) != 0)
		return fh_error_set(err, FH_EFORMAT, "the stream has '%s' in its place", name);
	return FH_OK;
}

static enum fh_code read_field(const struct place *place, struct fh_state_in *in,
			       struct fh_error *err)
{
	const struct fh_state_field *field = place->field;
	const uint8_t *start = in->at;
	uint64_t kind, count, length, crc;
	struct fh_state_in data;
	enum fh_code code = read_field_name(field, in, err);

	if (code != FH_OK)
		return code;
	if (!fh_state_in_number(in, 1, &kind) || !fh_state_in_number(in, 4, &count) ||
	    !fh_state_in_number(in, 4, &length) || !fh_state_in_piece(in, length, &data))
		return cut_off(err);
	if (place->depth == 0) {
		const uint32_t is = fh_state_crc(0, start, (size_t)(in->at - start));

		if (!fh_state_in_number(in, FH_STATE_CRC_SIZE, &crc))
			return cut_off(err);
		if (crc != is)
			return fh_error_set(err, FH_EFORMAT,
					    "it is damaged: its checksum is wrong");
	}
	if (kind != field->kind)
		return fh_error_set(err, FH_EFORMAT, "it is %s in the stream, %s in the device",
				    fh_state_kind_name((unsigned)kind),
				    fh_state_kind_name(field->kind));
	return read_data(place, &data, count, err);
}

/* --- A table -------------------------------------------------------------------------------- */

static enum fh_code read_version(const struct fh_state_table *table, struct fh_state_in *in,
				 unsigned *ret_version, struct fh_error *err)
{
	uint64_t version;

	if (!fh_state_in_number(in, 4, &version))
		return cut_off(err);
	if (version == 0 || version > table->version || version < table->minimum_version)
		return fh_error_set(err, FH_ENOTSUP,
				    "it is saved in version %" PRIu64 ", and %u to %u are known",
				    version, table->minimum_version ? table->minimum_version : 1,
				    table->version);
	*ret_version = (unsigned)version;
	return FH_OK;
}

/* Of a state or struct; up to its subsections. */
static enum fh_code read_fields(struct fh_state_load *load, const struct fh_state_table *table,
				char *copy, char *live, struct fh_state_in *in, unsigned depth,
				unsigned *ret_version, struct fh_error *err)
{
	enum fh_code code = read_version(table, in, ret_version, err);
	uint64_t count, read = 0;

	fh_assert(depth < FH_STATE_DEPTH);
	if (code != FH_OK)
		return code;
	if (!fh_state_in_number(in, 2, &count))
		return cut_off(err);
	for (const struct fh_state_field *f = table->fields; f && f->name; f++) {
		const struct place place = {
			.load = load, .field = f, .copy = copy, .live = live, .depth = depth
		};

		if (!fh_state_has(f, *ret_version, copy))
			continue;
		if (read++ == count)
			code = fh_error_set(err, FH_EFORMAT, "the stream does not have it");
		else
			code = read_field(&place, in, err);
		if (code != FH_OK) {
			fh_error_prefix(err, "field '%s': ", f->name);
			return code;
		}
	}
	if (read == count)
		return FH_OK;

	FH_CLEANUP(fh_freep) char *name = fh_state_in_name(in, 1);

	return fh_error_set(err, FH_EFORMAT, "field '%s' of the stream is not one of the device's",
			    name ? name : "?");
}

static enum fh_code read_table(struct fh_state_load *load, const struct fh_state_table *table,
			       const char *table_name, char *copy, char *live,
			       struct fh_state_in *in, unsigned depth, struct fh_error *err);

/* One of those at or behind *@next, which is moved behind it: each is there once at most. */
static enum fh_code read_subsection(struct fh_state_load *load,
				    const struct fh_state_table *const **next, char *copy,
				    char *live, struct fh_state_in *in, unsigned depth,
				    struct fh_error *err)
{
	FH_CLEANUP(fh_freep) char *name = fh_state_in_name(in, 1);
	const struct fh_state_table *const *sub = *next;
	enum fh_code code;

	if (!name)
		return cut_off(err);
	while (sub && *sub && strcmp((*sub)->name, name) != 0)
		sub++;
	if (!sub || !*sub)
		return fh_error_set(err, FH_ENOTSUP, "subsection '%s' is not known here", name);
	*next = sub + 1;
	code = read_table(load, *sub, (*sub)->name, copy, live, in, depth, err);
	if (code != FH_OK)
		fh_error_prefix(err, "subsection '%s': ", name);
	return code;
}

static enum fh_code read_table(struct fh_state_load *load, const struct fh_state_table *table,
			       const char *table_name, char *copy, char *live,
			       struct fh_state_in *in, unsigned depth, struct fh_error *err)
{
	const struct fh_state_table *const *next = table->subsections;
	enum fh_code code;
	unsigned version;
	uint64_t count = 0;

	fh_assert(depth < FH_STATE_DEPTH);
	code = read_fields(load, table, copy, live, in, 0, &version, err);
	if (code == FH_OK && !fh_state_in_number(in, 2, &count))
		code = cut_off(err);
	for (uint64_t i = 0; code == FH_OK && i < count; i++)
		code = read_subsection(load, &next, copy, live, in, depth + 1, err);
	if (code == FH_OK)
		fh_vector_add(&load->reads) = (struct fh_state_read){
			.table = table, .name = table_name, .live = live, .copy = copy,
			.version = version
		};
	return code;
}

enum fh_code fh_state_read_level(struct fh_state_load *load, const struct fh_class *level,
				 struct fh_state_in *in, struct fh_error *err)
{
	return read_table(load, fh_state_table_of(level), level->type->name,
			  load->copies[level->depth], (char *)load->device + level->state_offset,
			  in, 0, err);
}
