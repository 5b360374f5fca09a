/* SPDX-License-Identifier: MIT */
/*
 * Saving and restoring: a round trip of every kind of field, versions, subsections, and streams
 * that are damaged, cut off or of another machine, which change nothing.
 */
#include "support/probe.h"

#include <stdlib.h>
#include <string.h>

#include "device/state.h"

/* --- A device with a field of each kind ------------------------------------------------------ */

struct point {
	uint16_t x;
	int32_t y;
	bool lit[2];
};

struct all {
	bool flag;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	int8_t i8;
	int16_t i16;
	int32_t i32;
	int64_t i64;
	uint32_t regs[5];
	uint8_t fifo[16];
	char label[12];
	char *text;
	struct point point;
	struct point points[3];
	uint8_t used;
	uint16_t queue[8];
	uint32_t entries;
	struct point *table;
	uint64_t bytes;
	uint8_t *blob;
	struct fh_timer *timer;
	bool optional_there;
	uint32_t optional;
	uint32_t extra; /* of a subsection */
	bool extra_needed;

	uint32_t not_saved;
	unsigned saves, loads;
	unsigned loaded_version;
};

static const struct fh_state_field point_fields[] = {
	FH_STATE(U16, struct point, x),
	FH_STATE(I32, struct point, y),
	FH_STATE(BOOL, struct point, lit),
	{ 0 },
};

static const struct fh_state_table point_table = {
	.version = 1, .size = sizeof(struct point), .fields = point_fields
};

static bool optional_exists(const void *state)
{
	return ((const struct all *)state)->optional_there;
}

static const struct fh_state_field all_fields[] = {
	FH_STATE(BOOL, struct all, flag),
	FH_STATE(U8, struct all, u8),
	FH_STATE(U16, struct all, u16),
	FH_STATE(U32, struct all, u32),
	FH_STATE(U64, struct all, u64),
	FH_STATE(I8, struct all, i8),
	FH_STATE(I16, struct all, i16),
	FH_STATE(I32, struct all, i32),
	FH_STATE(I64, struct all, i64),
	FH_STATE(U32, struct all, regs),
	FH_STATE(BYTES, struct all, fifo),
	FH_STATE(STRING, struct all, label),
	{ .name = "text", .kind = FH_STATE_STRING, .offset = offsetof(struct all, text),
	  .size = sizeof(char *), .max = 64 },
	FH_STATE_OF(&point_table, struct all, point),
	FH_STATE_OF(&point_table, struct all, points),
	FH_STATE_SOME(U16, struct all, queue, U8, used),
	{ .name = "table", .kind = FH_STATE_STRUCT, .offset = offsetof(struct all, table),
	  .size = sizeof(void *), .table = &point_table, .length_kind = FH_STATE_U32,
	  .length_offset = offsetof(struct all, entries), .max = 1000 },
	FH_STATE_POINTER(BYTES, struct all, blob, U64, bytes, 1 << 20),
	FH_STATE(TIMER, struct all, timer),
	{ .name = "optional", .kind = FH_STATE_U32, .offset = offsetof(struct all, optional),
	  .size = 4, .exists = optional_exists },
	{ 0 },
};

static bool extra_needed(const void *state)
{
	return ((const struct all *)state)->extra_needed;
}

static const struct fh_state_field extra_fields[] = { FH_STATE(U32, struct all, extra), { 0 } };

static const struct fh_state_table extra_table = {
	.name = "extra", .version = 1, .fields = extra_fields, .needed = extra_needed
};

static const struct fh_state_table *const all_subsections[] = { &extra_table, NULL };

static enum fh_code all_pre_save(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)device, (void)err;
	((struct all *)state)->saves++;
	return FH_OK;
}

static enum fh_code all_check(const void *state, unsigned version, struct fh_error *err)
{
	const struct all *all = state;

	(void)version;
	return all->u8 == 0xee ? fh_error_set(err, FH_ERANGE, "u8 is 0xee") : FH_OK;
}

/* Refuses 0xdd, which check() lets pass. */
static enum fh_code all_post_load(struct fh_device *device, void *state, unsigned version,
				  struct fh_error *err)
{
	struct all *all = state;

	assert_true(fh_domain_is_mine(fh_device_domain(device)));
	all->loads++;
	all->loaded_version = version;
	return all->u8 == 0xdd ? fh_error_set(err, FH_ERANGE, "u8 is 0xdd") : FH_OK;
}

static const struct fh_state_table all_table = {
	.version = 3, .minimum_version = 2, .fields = all_fields, .subsections = all_subsections,
	.pre_save = all_pre_save, .check = all_check, .post_load = all_post_load
};

static void nothing(void *state)
{
	(void)state;
}

static enum fh_code all_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)err;
	((struct all *)state)->timer = fh_timer_new(device, "timer", nothing, state);
	return FH_OK;
}

static void all_finalize(struct fh_object *object, void *state)
{
	struct all *all = state;

	(void)object;
	free(all->text);
	free(all->table);
	free(all->blob);
}

static const struct fh_type all_type = {
	.name = "all", .parent = &fh_device_type, .state_size = sizeof(struct all),
	.finalize = all_finalize,
	.device = &(const struct fh_device_ops){ .realize = all_realize, .saved = &all_table }
};

static struct all *all_new(struct fh_machine *m, const char *name)
{
	struct fh_device *device = fh_device_plug(m, &all_type, name, NULL, NULL);

	assert_non_null(device);
	return fh_device_state(device);
}

static struct fh_device *device_at(struct fh_machine *m, const char *path)
{
	struct fh_object *object = fh_object_find(m, path);

	assert_non_null(object);
	fh_object_unref(object);
	return (struct fh_device *)object;
}

/* Different for each @salt, in every field. */
static void all_fill(struct all *all, unsigned salt)
{
	all->flag = salt & 1;
	all->u8 = (uint8_t)(salt + 1);
	all->u16 = (uint16_t)(salt * 1001);
	all->u32 = salt * 1000003;
	all->u64 = salt * UINT64_C(1000000000039);
	all->i8 = (int8_t)-salt;
	all->i16 = (int16_t)(-300 - (int)salt);
	all->i32 = -70000 - (int)salt;
	all->i64 = -INT64_C(5000000000) - salt;
	for (unsigned i = 0; i < 5; i++)
		all->regs[i] = salt * 31 + i;
	memset(all->fifo, (int)salt, sizeof(all->fifo));
	snprintf(all->label, sizeof(all->label), "label%u", salt % 1000);
	free(all->text);
	all->text = malloc(16);
	snprintf(all->text, 16, "text %u", salt % 1000);
	all->point = (struct point){ (uint16_t)salt, -(int)salt, { salt & 1, !(salt & 1) } };
	for (unsigned i = 0; i < 3; i++)
		all->points[i] = (struct point){ (uint16_t)(salt + i), (int)i, { true, false } };
	all->used = (uint8_t)(salt % 9);
	for (unsigned i = 0; i < all->used; i++)
		all->queue[i] = (uint16_t)(salt + i);
	free(all->table);
	all->entries = salt % 7;
	all->table = all->entries ? calloc(all->entries, sizeof(struct point)) : NULL;
	for (unsigned i = 0; i < all->entries; i++)
		all->table[i] = (struct point){ (uint16_t)(salt * i), 1, { false, true } };
	free(all->blob);
	all->bytes = salt % 11;
	all->blob = all->bytes ? malloc(all->bytes) : NULL;
	for (unsigned i = 0; i < all->bytes; i++)
		all->blob[i] = (uint8_t)(salt + i);
	all->optional_there = salt & 1;
	all->optional = salt;
	all->extra_needed = salt & 1;
	all->extra = salt * 3;
}

/* Not the timers, and not what is not there. */
static bool all_equal(const struct all *a, const struct all *b)
{
	bool same = a->flag == b->flag && a->u8 == b->u8 && a->u16 == b->u16 && a->u32 == b->u32 &&
		    a->u64 == b->u64 && a->i8 == b->i8 && a->i16 == b->i16 && a->i32 == b->i32 &&
		    a->i64 == b->i64 && !memcmp(a->regs, b->regs, sizeof(a->regs)) &&
		    !memcmp(a->fifo, b->fifo, sizeof(a->fifo)) && !strcmp(a->label, b->label) &&
		    !strcmp(a->text ? a->text : "", b->text ? b->text : "") &&
		    !memcmp(&a->point, &b->point, sizeof(a->point)) &&
		    !memcmp(a->points, b->points, sizeof(a->points)) && a->used == b->used &&
		    !memcmp(a->queue, b->queue, a->used * sizeof(a->queue[0])) &&
		    a->entries == b->entries && a->bytes == b->bytes;

	if (same && a->entries)
		same = !memcmp(a->table, b->table, a->entries * sizeof(a->table[0]));
	if (same && a->bytes)
		same = !memcmp(a->blob, b->blob, a->bytes);
	if (same && a->optional_there)
		same = a->optional == b->optional;
	if (same && a->extra_needed)
		same = a->extra == b->extra;
	return same;
}

/* A copy for all_equal(), which owns nothing but by way of all_free(). */
static struct all all_copy(const struct all *all)
{
	struct all copy = *all;

	copy.text = all->text ? strdup(all->text) : NULL;
	copy.table = NULL;
	copy.blob = NULL;
	if (all->entries) {
		copy.table = calloc(all->entries, sizeof(struct point));
		memcpy(copy.table, all->table, all->entries * sizeof(struct point));
	}
	if (all->bytes) {
		copy.blob = malloc(all->bytes);
		memcpy(copy.blob, all->blob, all->bytes);
	}
	return copy;
}

static void all_free(struct all *all)
{
	free(all->text);
	free(all->table);
	free(all->blob);
}

static struct fh_state_buffer saved(FH_ANY top)
{
	struct fh_state_buffer buffer = { 0 };
	const struct fh_state_writer writer = fh_state_buffer_writer(&buffer);
	struct fh_error err = FH_ERROR_INIT;

	if (fh_state_save(top, &writer, &err) != FH_OK)
		fail_msg("%s", err.message);
	return buffer;
}

static void restore_ok(FH_ANY top, const struct fh_state_buffer *buffer)
{
	struct fh_error err = FH_ERROR_INIT;

	if (fh_state_restore(top, buffer->data, buffer->size, &err) != FH_OK)
		fail_msg("%s", err.message);
}

static int set_up(void **state)
{
	*state = machine_begin();
	return 0;
}

static int tear_down(void **state)
{
	machine_end(*state);
	return 0;
}

/* --- There and back -------------------------------------------------------------------------- */

static void every_kind_comes_back_as_it_was(void **state)
{
	struct fh_machine *m = *state;
	struct all *all = all_new(m, "all");

	for (unsigned salt = 1; salt < 60; salt++) {
		all_fill(all, salt);
		all->not_saved = 77;
		struct all before = all_copy(all);
		struct fh_state_buffer buffer = saved(m);

		all_fill(all, salt * 7 + 2);
		all->optional_there = before.optional_there; /* does not change in a device's life */
		all->extra = 0;
		all->not_saved = 78;
		restore_ok(m, &buffer);
		all->extra_needed = before.extra_needed;
		assert_true(all_equal(all, &before));
		assert_int_equal(all->not_saved, 78);
		assert_int_equal(all->saves, salt);
		assert_int_equal(all->loads, salt);
		assert_int_equal(all->loaded_version, 3);
		all_free(&before);
		fh_state_buffer_free(&buffer);
	}
}

static void timer_has_as_long_left_as_when_it_was_saved(void **state)
{
	struct fh_machine *m = *state;
	struct all *all = all_new(m, "all");
	const uint64_t hour = UINT64_C(3600000000000);
	uint64_t deadline = 0;

	fh_timer_arm(all->timer, fh_machine_now(m) + hour);
	struct fh_state_buffer armed = saved(m);

	fh_timer_cancel(all->timer);
	struct fh_state_buffer idle = saved(m);
	const uint64_t before = fh_machine_now(m);

	restore_ok(m, &armed);
	assert_true(fh_timer_deadline(all->timer, &deadline));
	assert_in_range(deadline, before + hour - 10000000000, fh_machine_now(m) + hour);
	restore_ok(m, &idle);
	assert_false(fh_timer_is_armed(all->timer));
	fh_state_buffer_free(&armed);
	fh_state_buffer_free(&idle);
}

/* The base's own state, and that of a child. */
static const struct fh_state_field more_fields[] = {
	{ .name = "more", .kind = FH_STATE_U32, .size = 4 }, { 0 }
};
static const struct fh_state_table more_table = { .version = 1, .fields = more_fields };
static const struct fh_type more_type = {
	.name = "more", .parent = &all_type, .state_size = 4,
	.device = &(const struct fh_device_ops){ .saved = &more_table }
};

static void each_level_and_each_device_below_is_saved(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = fh_device_new(m, &more_type, "board", NULL, NULL);
	struct fh_device *child = fh_device_new(board, &all_type, "child", NULL, NULL);
	struct all *all = fh_object_state(board, &all_type);
	uint32_t *more = fh_object_state(board, &more_type);
	struct all *below = fh_device_state(child);

	assert_int_equal(fh_device_realize(board, NULL), FH_OK);
	all->u32 = 1;
	*more = 2;
	below->u32 = 3;
	struct fh_state_buffer whole = saved(m);
	struct fh_state_buffer part = saved(child);

	all->u32 = *more = below->u32 = 9;
	restore_ok(m, &whole);
	assert_int_equal(all->u32, 1);
	assert_int_equal(*more, 2);
	assert_int_equal(below->u32, 3);
	below->u32 = all->u32 = 9;
	restore_ok(child, &part);
	assert_int_equal(below->u32, 3);
	assert_int_equal(all->u32, 9);
	/* A part is not the whole, and the whole more than a part. */
	assert_int_equal(fh_state_restore(m, part.data, part.size, NULL), FH_ENOENT);
	assert_int_equal(fh_state_restore(child, whole.data, whole.size, NULL), FH_ENOENT);
	fh_state_buffer_free(&whole);
	fh_state_buffer_free(&part);
}

/* --- Damage ---------------------------------------------------------------------------------- */

/* Restoring these bytes fails, and changes nothing; the message is left in @err. */
static void refused(struct fh_machine *m, const uint8_t *data, size_t size, struct fh_error *err)
{
	struct all *all = fh_device_state(device_at(m, "/all"));
	const unsigned loads = all->loads;
	struct all before = all_copy(all);

	*err = (struct fh_error)FH_ERROR_INIT;
	assert_int_not_equal(fh_state_restore(m, data, size, err), FH_OK);
	assert_int_not_equal(err->code, FH_OK);
	assert_true(all_equal(all, &before));
	assert_int_equal(all->loads, loads);
	all_free(&before);
}

/* Where the name of the field is in the stream; what is behind is its data. */
static size_t offset_of(const struct fh_state_buffer *buffer, const char *name)
{
	const uint8_t *at = memmem(buffer->data, buffer->size, name, strlen(name));

	assert_non_null(at);
	return (size_t)(at - buffer->data);
}

static void every_byte_flipped_is_refused(void **state)
{
	struct fh_machine *m = *state;
	struct all *all = all_new(m, "all");
	struct fh_error err;

	all_fill(all, 33);
	struct fh_state_buffer buffer = saved(m);
	const size_t first = offset_of(&buffer, "regs");
	const size_t last = offset_of(&buffer, "fifo") - 2;

	all_fill(all, 35);
	for (size_t i = 0; i < buffer.size; i++)
		for (unsigned bit = 0; bit < 9; bit++) {
			const uint8_t flip = bit < 8 ? (uint8_t)(1 << bit) : 0xff;

			buffer.data[i] ^= flip;
			refused(m, buffer.data, buffer.size, &err);
			if (i >= first && i <= last) {
				assert_non_null(strstr(err.message, "device '/all'"));
				assert_non_null(strstr(err.message, "field 'regs'"));
			}
			buffer.data[i] ^= flip;
		}
	restore_ok(m, &buffer);
	fh_state_buffer_free(&buffer);
}

static void every_length_cut_is_refused(void **state)
{
	struct fh_machine *m = *state;
	struct all *all = all_new(m, "all");
	struct fh_error err;

	all_fill(all, 33);
	struct fh_state_buffer buffer = saved(m);
	const size_t regs = offset_of(&buffer, "regs");

	all_fill(all, 35);
	for (size_t size = 0; size < buffer.size; size++) {
		uint8_t *exact = malloc(size + !size); /* so that a tool sees what is behind */

		memcpy(exact, buffer.data, size);
		refused(m, exact, size, &err);
		if (size == regs + 10) {
			assert_non_null(strstr(err.message, "device '/all'"));
			assert_non_null(strstr(err.message, "field 'regs'"));
		}
		free(exact);
	}
	uint8_t *longer = calloc(1, buffer.size + 1);

	memcpy(longer, buffer.data, buffer.size);
	refused(m, longer, buffer.size + 1, &err);
	free(longer);
	fh_state_buffer_free(&buffer);
}

/* A name that is damaged names nothing, and is shown as what can be shown of it. */
static void damaged_names_are_printable(void **state)
{
	struct fh_machine *m = *state;
	struct all *all = all_new(m, "all");
	struct fh_error err;

	all_fill(all, 33);
	struct fh_state_buffer buffer = saved(m);
	const size_t path = offset_of(&buffer, "/all"), regs = offset_of(&buffer, "regs");

	memcpy(buffer.data + regs, "r\xc3\xa9\xff", 4);
	refused(m, buffer.data, buffer.size, &err);
	assert_string_equal(
		err.message,
		"device '/all': field 'regs': the stream has 'r\xc3\xa9?' in its place");
	memcpy(buffer.data + path, "/\xe2\x82l", 4);
	refused(m, buffer.data, buffer.size, &err);
	assert_string_equal(err.message, "device '/??l': the machine has none of that name");
	fh_state_buffer_free(&buffer);
}

/* A device's section twice, or not at all: of streams whose checksums would be right. */
static void devices_missing_twice_or_of_another_type_are_refused(void **state)
{
	struct fh_machine *m = *state;
	struct fh_machine *other = machine_begin();
	struct fh_error err;

	all_new(m, "all");
	all_new(other, "all");
	all_new(other, "second");
	struct fh_state_buffer two = saved(other);
	struct fh_state_buffer one = saved(m);

	refused(m, two.data, two.size, &err);
	assert_int_equal(err.code, FH_ENOENT);
	assert_non_null(strstr(err.message, "device '/second'"));
	assert_int_equal(fh_state_restore(other, one.data, one.size, &err), FH_ENOENT);
	fh_device_unplug(device_at(other, "/second"));
	fh_device_unplug(device_at(other, "/all"));
	assert_non_null(fh_device_plug(other, &more_type, "all", NULL, NULL));
	fh_error_clear(&err);
	assert_int_equal(fh_state_restore(other, one.data, one.size, &err), FH_ETYPE);
	assert_non_null(strstr(err.message, "'all'"));
	fh_state_buffer_free(&one);
	fh_state_buffer_free(&two);
	machine_end(other);
}

/* --- Refusals by the device ------------------------------------------------------------------- */

static void check_refuses_before_anything_changes(void **state)
{
	struct fh_machine *m = *state;
	struct all *all = all_new(m, "all");
	struct all *second = all_new(m, "second");
	struct fh_error err;

	second->u8 = 0xee;
	struct fh_state_buffer buffer = saved(m);

	second->u8 = 1;
	all->u32 = 5;
	refused(m, buffer.data, buffer.size, &err);
	assert_int_equal(err.code, FH_ERANGE);
	assert_non_null(strstr(err.message, "'/second'"));
	assert_int_equal(second->u8, 1);
	fh_state_buffer_free(&buffer);
}

static void a_post_load_that_refuses_gives_all_their_old_states_back(void **state)
{
	struct fh_machine *m = *state;
	struct all *all = all_new(m, "all");
	struct all *second = all_new(m, "second");
	struct fh_error err = FH_ERROR_INIT;

	all_fill(all, 21);
	second->u8 = 0xdd;
	struct fh_state_buffer buffer = saved(m);

	all_fill(all, 43);
	second->u8 = 1;
	fh_timer_arm(second->timer, fh_machine_now(m) + UINT64_C(1000000000000));
	struct all before = all_copy(all);

	assert_int_equal(fh_state_restore(m, buffer.data, buffer.size, &err), FH_ERANGE);
	assert_non_null(strstr(err.message, "'/second'"));
	assert_true(all_equal(all, &before));
	assert_int_equal(second->u8, 1);
	assert_true(fh_timer_is_armed(second->timer));
	assert_int_equal(all->loads, 2); /* once with each state */
	assert_int_equal(second->loads, 2);
	assert_null(strstr(err.message, "reset"));
	/* If the old one is refused, too, that is said. */
	second->u8 = 0xdd;
	fh_error_clear(&err);
	assert_int_equal(fh_state_restore(m, buffer.data, buffer.size, &err), FH_ERANGE);
	assert_non_null(strstr(err.message, "reset '/second'"));
	all_free(&before);
	fh_state_buffer_free(&buffer);
}

/* --- Hostile lengths -------------------------------------------------------------------------- */

static void put_crcs(struct fh_state_buffer *buffer, size_t field, size_t field_end)
{
	const size_t end = buffer->size - 9;
	uint32_t crc = fh_state_crc(0, buffer->data + field, field_end - field);

	memcpy(buffer->data + field_end, &crc, 4);
	crc = fh_state_crc(0, buffer->data + 16, end - 16 - 4);
	memcpy(buffer->data + end - 4, &crc, 4);
	crc = fh_state_crc(0, buffer->data, buffer->size - 4);
	memcpy(buffer->data + buffer->size - 4, &crc, 4);
}

/* With checksums that are right: a count without the bytes for it. */
static void a_count_beyond_room_or_data_allocates_nothing(void **state)
{
	static const uint32_t counts[] = { 4, 999, 1000, 1001, 0x10000, UINT32_MAX };
	struct fh_machine *m = *state;
	struct all *all = all_new(m, "all");
	struct fh_error err;

	all_fill(all, 31); /* three in the table */
	struct fh_state_buffer buffer = saved(m);
	const size_t field = offset_of(&buffer, "\5table") ;
	uint32_t count, length;

	memcpy(&count, buffer.data + field + 7, 4);
	memcpy(&length, buffer.data + field + 11, 4);
	assert_int_equal(count, 3);
	put_crcs(&buffer, field, field + 15 + length);
	restore_ok(m, &buffer);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		memcpy(buffer.data + field + 7, &counts[i], 4);
		put_crcs(&buffer, field, field + 15 + length);
		refused(m, buffer.data, buffer.size, &err);
		assert_non_null(strstr(err.message, "field 'table'"));
	}
	fh_state_buffer_free(&buffer);
}

/* --- Who cannot be saved ---------------------------------------------------------------------- */

static enum fh_code pre_save_refuses(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)device, (void)state;
	return fh_error_set(err, FH_EBUSY, "not now");
}

static const struct fh_state_table refusing_table = {
	.version = 1, .fields = point_fields, .pre_save = pre_save_refuses
};
static const struct fh_type refusing_type = {
	.name = "refusing", .parent = &fh_device_type, .state_size = sizeof(struct point),
	.device = &(const struct fh_device_ops){ .saved = &refusing_table }
};

static void who_refuses_or_has_no_name_cannot_be_saved(void **state)
{
	struct fh_machine *m = *state;
	struct fh_state_buffer buffer = { 0 };
	const struct fh_state_writer writer = fh_state_buffer_writer(&buffer);
	struct fh_error err = FH_ERROR_INIT;
	struct fh_device *device = fh_device_plug(m, &refusing_type, "late", NULL, NULL);

	assert_int_equal(fh_state_save(m, &writer, &err), FH_EBUSY);
	assert_string_equal(err.message, "device '/late': not now");
	fh_device_unplug(device);
	fh_device_plug(m, &all_type, NULL, NULL, NULL);
	assert_int_equal(fh_state_save(m, &writer, NULL), FH_EINVAL);
	fh_state_buffer_free(&buffer);
}

static enum fh_code write_nothing(void *arg, const void *data, size_t size, struct fh_error *err)
{
	(void)data, (void)size, (void)err;
	return ++*(unsigned *)arg < 3 ? FH_OK : FH_EIO;
}

static void a_writer_that_fails_ends_it(void **state)
{
	struct fh_machine *m = *state;
	unsigned calls = 0;
	const struct fh_state_writer writer = { .write = write_nothing, .arg = &calls };

	all_new(m, "all");
	all_new(m, "second");
	all_new(m, "third");
	assert_int_equal(fh_state_save(m, &writer, NULL), FH_EIO);
	assert_int_equal(calls, 3);
}

/* --- --------------------------------------------------------------------------------------- */

static void crc_is_that_of_the_standard(void **state)
{
	(void)state;
	assert_int_equal(fh_state_crc(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(fh_state_crc(fh_state_crc(0, "1234", 4), "56789", 5), 0xcbf43926);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_comes_back_as_it_was),
		TEST(timer_has_as_long_left_as_when_it_was_saved),
		TEST(each_level_and_each_device_below_is_saved),
		TEST(every_byte_flipped_is_refused),
		TEST(every_length_cut_is_refused),
		TEST(damaged_names_are_printable),
		TEST(devices_missing_twice_or_of_another_type_are_refused),
		TEST(check_refuses_before_anything_changes),
		TEST(a_post_load_that_refuses_gives_all_their_old_states_back),
		TEST(a_count_beyond_room_or_data_allocates_nothing),
		TEST(who_refuses_or_has_no_name_cannot_be_saved),
		TEST(a_writer_that_fails_ends_it),
		cmocka_unit_test(crc_is_that_of_the_standard),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
