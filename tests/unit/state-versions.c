/* SPDX-License-Identifier: MIT */
/* Device states of other versions: what is read, and what is refused by name. */
#include "support/probe.h"

#include <string.h>

static struct fh_state_buffer saved(FH_ANY top)
{
	struct fh_state_buffer buffer = { 0 };
	const struct fh_state_writer writer = fh_state_buffer_writer(&buffer);
	struct fh_error err = FH_ERROR_INIT;

	if (fh_state_save(top, &writer, &err) != FH_OK)
		fail_msg("%s", err.message);
	return buffer;
}

struct versioned {
	uint32_t a, b;
};

#define VERSIONED(name_, version_, minimum_, ...)                                             \
	static const struct fh_state_field name_##_fields[] = { __VA_ARGS__, { 0 } };        \
	static const struct fh_state_table name_##_table = {                                 \
		.version = version_, .minimum_version = minimum_, .fields = name_##_fields   \
	};                                                                                   \
	static const struct fh_type name_##_type = {                                         \
		.name = "versioned", .parent = &fh_device_type,                              \
		.state_size = sizeof(struct versioned),                                      \
		.device = &(const struct fh_device_ops){ .saved = &name_##_table }           \
	}

VERSIONED(v1, 1, 1, FH_STATE(U32, struct versioned, a));
VERSIONED(v2, 2, 1, FH_STATE(U32, struct versioned, a),
	  FH_STATE_SINCE(2, U32, struct versioned, b));
VERSIONED(v3, 3, 2, FH_STATE(U32, struct versioned, a),
	  FH_STATE_SINCE(2, U32, struct versioned, b));

/* What device @from saves, @to restores. */
static enum fh_code across(const struct fh_type *from, const struct fh_type *to,
			   struct versioned *ret_state, struct fh_error *err)
{
	struct fh_machine *m = machine_begin();
	struct fh_machine *other = machine_begin();
	struct versioned *state =
		fh_device_state(fh_device_plug(m, from, "device", NULL, NULL));
	struct fh_device *device = fh_device_plug(other, to, "device", NULL, NULL);

	state->a = 1;
	state->b = 2;
	struct fh_state_buffer buffer = saved(m);

	state = fh_device_state(device);
	state->a = state->b = 9;
	const enum fh_code code = fh_state_restore(other, buffer.data, buffer.size, err);

	*ret_state = *state;
	fh_state_buffer_free(&buffer);
	machine_end(m);
	machine_end(other);
	return code;
}

static void old_versions_are_read_and_new_ones_refused(void **state)
{
	struct fh_error err = FH_ERROR_INIT;
	struct versioned now;

	(void)state;
	assert_int_equal(across(&v1_type, &v2_type, &now, &err), FH_OK);
	assert_int_equal(now.a, 1);
	assert_int_equal(now.b, 9);
	assert_int_equal(across(&v2_type, &v3_type, &now, &err), FH_OK);
	assert_int_equal(now.b, 2);
	assert_int_equal(across(&v2_type, &v1_type, &now, &err), FH_ENOTSUP);
	assert_non_null(strstr(err.message, "version 2"));
	assert_int_equal(now.a, 9);
	fh_error_clear(&err);
	assert_int_equal(across(&v1_type, &v3_type, &now, &err), FH_ENOTSUP);
	assert_non_null(strstr(err.message, "2 to 3"));
}

VERSIONED(wider, 1, 1, FH_STATE(U64, struct versioned, a));
VERSIONED(renamed, 1, 1, { .name = "z", .kind = FH_STATE_U32, .size = 4 });
VERSIONED(longer, 1, 1, FH_STATE(U32, struct versioned, a), FH_STATE(U32, struct versioned, b));

static void other_fields_are_refused_by_name(void **state)
{
	struct fh_error err = FH_ERROR_INIT;
	struct versioned now;

	(void)state;
	assert_int_equal(across(&v1_type, &wider_type, &now, &err), FH_EFORMAT);
	assert_non_null(strstr(err.message, "field 'a': it is u32 in the stream, u64"));
	fh_error_clear(&err);
	assert_int_equal(across(&v1_type, &renamed_type, &now, &err), FH_EFORMAT);
	assert_non_null(strstr(err.message, "field 'z': the stream has 'a'"));
	fh_error_clear(&err);
	assert_int_equal(across(&v1_type, &longer_type, &now, &err), FH_EFORMAT);
	assert_non_null(strstr(err.message, "field 'b': the stream does not have it"));
	fh_error_clear(&err);
	assert_int_equal(across(&longer_type, &v1_type, &now, &err), FH_EFORMAT);
	assert_non_null(strstr(err.message, "field 'b' of the stream"));
	assert_int_equal(now.a, 9);
}

static const struct fh_state_table named_table = {
	.name = "spare", .version = 1, .fields = v1_fields
};
static const struct fh_state_table *const spare_subsections[] = { &named_table, NULL };
static const struct fh_state_table with_table = {
	.version = 1, .fields = v1_fields, .subsections = spare_subsections
};
static const struct fh_type with_type = {
	.name = "versioned", .parent = &fh_device_type, .state_size = sizeof(struct versioned),
	.device = &(const struct fh_device_ops){ .saved = &with_table }
};

static void a_subsection_may_be_missing_but_not_unknown(void **state)
{
	struct fh_error err = FH_ERROR_INIT;
	struct versioned now;

	(void)state;
	assert_int_equal(across(&v1_type, &with_type, &now, &err), FH_OK);
	assert_int_equal(across(&with_type, &with_type, &now, &err), FH_OK);
	assert_int_equal(across(&with_type, &v1_type, &now, &err), FH_ENOTSUP);
	assert_non_null(strstr(err.message, "subsection 'spare'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_versions_are_read_and_new_ones_refused),
		cmocka_unit_test(other_fields_are_refused_by_name),
		cmocka_unit_test(a_subsection_may_be_missing_but_not_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
