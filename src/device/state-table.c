/* SPDX-License-Identifier: MIT */
/*
 * State tables: what both directions ask of them. See state.h.
 */
#include "device/state.h"

#include <string.h>

#include "base/alloc.h"

uint32_t fh_state_crc(uint32_t crc, const void *data, size_t size)
{
	/* The remainders of the sixteen values of four bits. */
	static const uint32_t step[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const uint8_t *at = data;

	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc ^= at[i];
		crc = crc >> 4 ^ step[crc & 15];
		crc = crc >> 4 ^ step[crc & 15];
	}
	return ~crc;
}

size_t fh_state_width(enum fh_state_kind kind)
{
	switch (kind) {
	case FH_STATE_BOOL:
	case FH_STATE_U8:
	case FH_STATE_I8:
	case FH_STATE_BYTES:
	case FH_STATE_STRING:
		return 1;
	case FH_STATE_U16:
	case FH_STATE_I16:
		return 2;
	case FH_STATE_U32:
	case FH_STATE_I32:
		return 4;
	case FH_STATE_U64:
	case FH_STATE_I64:
	case FH_STATE_TIMER:
		return 8;
	case FH_STATE_NONE:
	case FH_STATE_STRUCT:
		break;
	}
	return 0;
}

const char *fh_state_kind_name(unsigned kind)
{
	static const char *const names[] = {
		"nothing", "bool", "u8",  "u16",   "u32",    "u64",    "i8",
		"i16",	   "i32",  "i64", "bytes", "string", "struct", "timer",
	};

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "of no known kind";
}

size_t fh_state_element_size(const struct fh_state_field *field)
{
	size_t size = fh_state_width(field->kind);

	if (field->kind == FH_STATE_STRUCT) {
		fh_assert(field->table && !field->table->subsections && !field->table->check &&
			  !field->table->pre_save && !field->table->post_load);
		size = field->table->size;
	}
	fh_assert(size != 0);
	if (field->max)
		fh_assert(field->size == sizeof(void *) && field->kind != FH_STATE_TIMER &&
			  (field->length_kind != FH_STATE_NONE || field->kind == FH_STATE_STRING));
	else
		fh_assert(field->size >= size && field->size % size == 0 &&
			  field->size / size <= UINT32_MAX);
	if (field->kind == FH_STATE_STRING)
		fh_assert(field->length_kind == FH_STATE_NONE);
	return size;
}

uint64_t fh_state_room(const struct fh_state_field *field)
{
	const size_t size = fh_state_element_size(field);

	if (field->max)
		return field->max;
	/* A string in the state has its terminator there, too. */
	return field->size / size - (field->kind == FH_STATE_STRING);
}

static uint64_t length_member(const struct fh_state_field *field, const void *state)
{
	const void *member = (const char *)state + field->length_offset;

	switch (field->length_kind) {
	case FH_STATE_U8:
		return *(const uint8_t *)member;
	case FH_STATE_U16:
		return *(const uint16_t *)member;
	case FH_STATE_U32:
		return *(const uint32_t *)member;
	case FH_STATE_U64:
		return *(const uint64_t *)member;
	default:
		fh_panic("state field '%s': its length cannot be %s", field->name,
			 fh_state_kind_name(field->length_kind));
	}
}

uint64_t fh_state_length(const struct fh_state_field *field, const void *state)
{
	const uint64_t room = fh_state_room(field);
	const char *text = fh_state_member(field, state);
	uint64_t length = room;

	if (field->kind == FH_STATE_STRING)
		length = text ? strnlen(text, room + 1) : 0;
	else if (field->length_kind != FH_STATE_NONE)
		length = length_member(field, state);
	if (length > room)
		fh_panic("state field '%s': there are more of it than it has room for",
			 field->name);
	return length;
}

bool fh_state_is_saved(const struct fh_device *device)
{
	for (const struct fh_class *c = device->object.class; c; c = c->parent)
		if (fh_state_table_of(c))
			return true;
	return false;
}

void fh_state_devices_take(struct fh_state_devices *devices, struct fh_object *top)
{
	struct fh_machine *m = top->machine;

	fh_tree_acquire(m);
	for (struct fh_object *o = top; o; o = fh_object_next_locked(o, top)) {
		if (!fh_object_is_device(o) || !fh_object_is_shown(o) ||
		    !fh_state_is_saved(fh_device_of(o)))
			continue;
		if (devices->count == devices->room) {
			devices->room = devices->room ? devices->room * 2 : 16;
			devices->at = fh_realloc(devices->at,
						 devices->room * sizeof(devices->at[0]));
		}
		fh_object_hold(o);
		devices->at[devices->count++] = fh_device_of(o);
	}
	fh_lock_release(&m->tree_lock);
}

void fh_state_devices_drop(struct fh_state_devices *devices)
{
	for (size_t i = 0; i < devices->count; i++)
		fh_object_unhold(&devices->at[i]->object);
	fh_free(devices->at);
	*devices = (struct fh_state_devices){ 0 };
}
