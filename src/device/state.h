/* SPDX-License-Identifier: MIT */
/*
 * What saving and restoring states share: the format, and how a table is gone through.
 *
 * The stream, all numbers little-endian (docs/state.md has it in full):
 *
 *	stream	head sections end
 *	head	"FHSTATE\n" u32 format, u32 crc
 *	section	u8 'D', u32 length of the body, body, u32 crc
 *	body	u16 length and path, u8 length and type, u8 number of levels, levels
 *	level	u8 length and type, table
 *	table	u32 version, u16 number of fields, fields, u16 of subsections, subsections
 *	field	u8 length and name, u8 kind, u32 elements, u32 length of the data, data, u32 crc
 *	sub	u8 length and name, table
 *	end	u8 'E', u32 number of sections, u32 crc of all before
 *
 * R1. A field within a struct has no crc of its own. One of a level or subsection has, so that what
 *     is damaged can be named.
 * R2. Recursion follows tables, which are constant and at most FH_STATE_DEPTH deep, never the
 *     stream.
 */
#ifndef DEVICE_STATE_H
#define DEVICE_STATE_H

#include "device/device.h"
#include "freehold/state.h"

#define FH_STATE_MAGIC	 "FHSTATE\n"
#define FH_STATE_FORMAT	 1
#define FH_STATE_DEVICE	 'D'
#define FH_STATE_END	 'E'
#define FH_STATE_DEPTH	 8
#define FH_STATE_NOT_ARMED UINT64_MAX
#define FH_STATE_CRC_SIZE 4
/* The least that an element of FH_STATE_STRUCT takes: a version and two numbers. */
#define FH_STATE_LEAST_STRUCT 8

/* The crc-32 of IEEE 802.3, of what @crc is of and then @data; 0 is that of nothing. */
uint32_t fh_state_crc(uint32_t crc, const void *data, size_t size);

/* Bytes of one element of that kind in the stream and in the state; 0: as the field says. */
size_t fh_state_width(enum fh_state_kind kind);
const char *fh_state_kind_name(unsigned kind);

/* Of one element of that field in the state. Asserts that the field makes sense. */
size_t fh_state_element_size(const struct fh_state_field *field);
/* How many elements there may be. */
uint64_t fh_state_room(const struct fh_state_field *field);
/* The number in use as the state says; asserts that it is within the room. */
uint64_t fh_state_length(const struct fh_state_field *field, const void *state);

static inline const void *fh_state_member(const struct fh_state_field *field, const void *state)
{
	const void *member = (const char *)state + field->offset;

	return field->max ? *(const void *const *)member : member;
}

static inline bool fh_state_has(const struct fh_state_field *field, unsigned version,
				const void *state)
{
	return field->since <= version && (!field->exists || field->exists(state));
}

static inline bool fh_state_needed(const struct fh_state_table *table, const void *state)
{
	return !table->needed || table->needed(state);
}

static inline const struct fh_state_table *fh_state_table_of(const struct fh_class *level)
{
	return level->type->device ? level->type->device->saved : NULL;
}

/* The level of @class at that depth. */
static inline const struct fh_class *fh_state_level(const struct fh_class *class, unsigned depth)
{
	while (class->depth > depth)
		class = class->parent;
	return class;
}

/* Whether any level has a table. */
bool fh_state_is_saved(const struct fh_device *device);

struct fh_state_devices {
	struct fh_device **at; /* each pinned; parents before children */
	size_t count, room;
};

/* Those at and below @top that are shown and saved. */
void fh_state_devices_take(struct fh_state_devices *devices, struct fh_object *top);
void fh_state_devices_drop(struct fh_state_devices *devices);

#endif
