/* SPDX-License-Identifier: MIT */
/*
 * Restoring what is whole, with checksums that are right, and still cannot be: values, counts,
 * timers and subsections that no device of this description could have saved. They come from
 * devices of the same name that describe their state otherwise.
 */
#include "support/probe.h"

#include <stdlib.h>
#include <string.h>

#include "device/state.h"

struct part {
	uint8_t flag;
	char label[8];
	uint16_t used;
	uint8_t few;
	uint32_t *list;
	uint32_t spare;
	struct fh_timer *timer;
};

static void expired(void *state)
{
	(void)state;
}

static enum fh_code part_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)err;
	((struct part *)state)->timer = fh_timer_new(device, "timer", expired, state);
	return FH_OK;
}

static void part_finalize(struct fh_object *object, void *state)
{
	(void)object;
	free(((struct part *)state)->list);
}

/* A type "part" with that table. */
#define PART(name_, realize_, subsections_, ...)                                              \
	static const struct fh_state_field name_##_fields[] = { __VA_ARGS__, { 0 } };         \
	static const struct fh_state_table name_##_table = {                                  \
		.version = 1, .fields = name_##_fields, .subsections = (subsections_)         \
	};                                                                                    \
	static const struct fh_type name_##_type = {                                          \
		.name = "part", .parent = &fh_device_type, .state_size = sizeof(struct part), \
		.finalize = part_finalize,                                                    \
		.device = &(const struct fh_device_ops){                                      \
			.realize = (realize_), .saved = &name_##_table }                      \
	}

static struct fh_machine *from, *to;

static int set_up(void **state)
{
	(void)state;
	from = machine_begin();
	to = machine_begin();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	machine_end(from);
	machine_end(to);
	return 0;
}

static struct part *plug(struct fh_machine *m, const struct fh_type *type)
{
	return fh_device_state(fh_device_plug(m, type, "part", NULL, NULL));
}

static struct fh_state_buffer saved(void)
{
	struct fh_state_buffer buffer = { 0 };
	const struct fh_state_writer writer = fh_state_buffer_writer(&buffer);

	assert_int_equal(fh_state_save(from, &writer, NULL), FH_OK);
	return buffer;
}

static enum fh_code restored(const struct fh_state_buffer *buffer, struct fh_error *err)
{
	*err = (struct fh_error)FH_ERROR_INIT;
	return fh_state_restore(to, buffer->data, buffer->size, err);
}

/* What @from saves, @to refuses, and says that. */
static void assert_refused(enum fh_code code, const char *message)
{
	struct fh_state_buffer buffer = saved();
	struct fh_error err;

	assert_int_equal(restored(&buffer, &err), code);
	assert_string_equal(err.message, message);
	fh_state_buffer_free(&buffer);
}

/* --- Values ----------------------------------------------------------------------------------- */

PART(flag, NULL, NULL, { .name = "flag", .kind = FH_STATE_BOOL, .size = 1,
			 .offset = offsetof(struct part, flag) });

static void bool_that_is_neither_is_refused(void **state)
{
	struct part *part = plug(to, &flag_type);

	(void)state;
	plug(from, &flag_type)->flag = 2;
	assert_refused(FH_EFORMAT, "device '/part': field 'flag': 2 is neither false nor true");
	assert_int_equal(part->flag, 0);
}

PART(label, NULL, NULL, FH_STATE(STRING, struct part, label));

static void string_that_ends_within_itself_is_refused(void **state)
{
	struct part *part = plug(to, &label_type);
	struct fh_error err;

	(void)state;
	strcpy(plug(from, &label_type)->label, "abc");
	struct fh_state_buffer buffer = saved();
	uint8_t *field = memmem(buffer.data, buffer.size, "\5label", 6);
	uint8_t *data = memmem(buffer.data, buffer.size, "abc", 3);
	uint8_t *end = buffer.data + buffer.size - 9; /* of the only section */
	uint32_t crc;

	data[1] = 0;
	crc = fh_state_crc(0, field, (size_t)(data + 3 - field));
	memcpy(data + 3, &crc, 4);
	crc = fh_state_crc(0, buffer.data + 16, (size_t)(end - 4 - (buffer.data + 16)));
	memcpy(end - 4, &crc, 4);
	crc = fh_state_crc(0, buffer.data, buffer.size - 4);
	memcpy(buffer.data + buffer.size - 4, &crc, 4);
	assert_int_equal(restored(&buffer, &err), FH_EFORMAT);
	assert_string_equal(err.message,
			    "device '/part': field 'label': a string ends within itself");
	assert_string_equal(part->label, "");
	fh_state_buffer_free(&buffer);
}

/* --- Counts ----------------------------------------------------------------------------------- */

PART(many, NULL, NULL, FH_STATE_POINTER(U32, struct part, list, U16, used, 1000));
PART(few, NULL, NULL, FH_STATE_POINTER(U32, struct part, list, U8, few, 1000));

static void more_than_can_be_counted_is_refused(void **state)
{
	struct part *part = plug(from, &many_type);
	struct part *other = plug(to, &few_type);

	(void)state;
	part->used = 300;
	part->list = calloc(300, sizeof(part->list[0]));
	assert_refused(FH_EFORMAT, "device '/part': field 'list': "
				   "the stream has 300 of it, too many to be counted");
	assert_null(other->list);
	part->used = 255;
	struct fh_state_buffer buffer = saved();
	struct fh_error err;

	assert_int_equal(restored(&buffer, &err), FH_OK);
	assert_int_equal(other->few, 255);
	fh_state_buffer_free(&buffer);
}

/* --- Timers ----------------------------------------------------------------------------------- */

PART(timed, part_realize, NULL, FH_STATE(TIMER, struct part, timer));
PART(untimed, NULL, NULL, FH_STATE(TIMER, struct part, timer));

static void timer_that_the_device_does_not_have_is_refused_if_armed(void **state)
{
	struct part *part = plug(from, &timed_type);
	struct fh_error err;

	(void)state;
	plug(to, &untimed_type);
	struct fh_state_buffer buffer = saved();

	assert_int_equal(restored(&buffer, &err), FH_OK);
	fh_state_buffer_free(&buffer);
	fh_timer_arm(part->timer, fh_machine_now(from) + UINT64_C(1000000000000));
	assert_refused(FH_EFORMAT, "device '/part': field 'timer': "
				   "it is armed, and the device has no such timer");
}

static void timer_that_is_nearly_never_due_does_not_become_due(void **state)
{
	struct part *part = plug(to, &timed_type);
	uint64_t deadline = 0;
	struct fh_error err;

	(void)state;
	fh_timer_arm(plug(from, &timed_type)->timer, UINT64_MAX - 1);
	struct fh_state_buffer buffer = saved();

	assert_int_equal(restored(&buffer, &err), FH_OK); /* later by more than a nanosecond */
	assert_true(fh_timer_deadline(part->timer, &deadline));
	assert_true(deadline >= UINT64_MAX - 1);
	fh_state_buffer_free(&buffer);
}

/* --- Subsections ------------------------------------------------------------------------------ */

static const struct fh_state_field spare_fields[] = { FH_STATE(U32, struct part, spare), { 0 } };
static const struct fh_state_table spare_table = {
	.name = "spare", .version = 1, .fields = spare_fields
};
static const struct fh_state_table *const once[] = { &spare_table, NULL };
static const struct fh_state_table *const twice[] = { &spare_table, &spare_table, NULL };

PART(once, NULL, once, FH_STATE(U8, struct part, few));
PART(twice, NULL, twice, FH_STATE(U8, struct part, few));

static void subsection_that_comes_twice_is_refused(void **state)
{
	struct part *part = plug(to, &once_type);

	(void)state;
	plug(from, &twice_type)->spare = 5;
	assert_refused(FH_ENOTSUP, "device '/part': subsection 'spare' is not known here");
	assert_int_equal(part->spare, 0);
}

static bool spare_is_needed(const void *state)
{
	return ((const struct part *)state)->spare > 0;
}

static const struct fh_state_table rare_table = {
	.name = "rare", .version = 1, .fields = spare_fields, .needed = spare_is_needed
};
static const struct fh_state_table *const rarely[] = { &rare_table, NULL };

PART(rarely, NULL, rarely, FH_STATE(U8, struct part, few));
PART(never, NULL, NULL, FH_STATE(U8, struct part, few));

/* So one that does not know of it can read the stream. */
static void subsection_that_is_not_needed_is_not_in_the_stream(void **state)
{
	struct part *part = plug(from, &rarely_type);
	struct part *other = plug(to, &never_type);
	struct fh_error err;

	(void)state;
	part->few = 3;
	struct fh_state_buffer buffer = saved();

	assert_null(memmem(buffer.data, buffer.size, "rare", 4));
	assert_int_equal(restored(&buffer, &err), FH_OK);
	assert_int_equal(other->few, 3);
	fh_state_buffer_free(&buffer);
	part->spare = 1;
	assert_refused(FH_ENOTSUP, "device '/part': subsection 'rare' is not known here");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bool_that_is_neither_is_refused),
		TEST(string_that_ends_within_itself_is_refused),
		TEST(more_than_can_be_counted_is_refused),
		TEST(timer_that_the_device_does_not_have_is_refused_if_armed),
		TEST(timer_that_is_nearly_never_due_does_not_become_due),
		TEST(subsection_that_comes_twice_is_refused),
		TEST(subsection_that_is_not_needed_is_not_in_the_stream),
	};

	return cmocka_run_group_tests_name("state-values", tests, NULL, NULL);
}
