/* SPDX-License-Identifier: MIT */
/*
 * Properties: what may be set, by which name, kind, range and when, and what is read back. Links
 * are property-link.c.
 */
#include "base/rcu.h"
#include "support/objects.h"

/* --- A type with one of each ----------------------------------------------------------------- */

struct sample {
	uint8_t guard0;
	uint8_t u8;
	uint8_t guard1;
	int8_t i8;
	uint8_t guard2;
	bool flag;
	uint8_t guard3;
	uint16_t u16;
	int16_t i16;
	uint32_t u32;
	int32_t i32;
	uint64_t u64;
	int64_t i64;
	uint64_t size;
	char *text;
	int mode;
	struct fh_object *weak;
	struct fh_object *other;
	struct fh_object *strong;
	uint32_t fixed;
	uint32_t live;
	uint64_t doubled;
};

static const char *const modes[] = { "slow", "fast", "turbo", NULL };
extern const struct fh_type sample_type;

static enum fh_code set_doubled(struct fh_object *object, void *state, const struct fh_value *value,
				struct fh_error *err)
{
	struct sample *sample = state;

	(void)object;
	if (value->u == 13)
		return fh_error_set(err, FH_EINVAL, "13 is not welcome");
	if (value->u == 14)
		return FH_EIO;
	sample->doubled = value->u * 2;
	return FH_OK;
}

static void get_doubled(struct fh_object *object, void *state, struct fh_value *value)
{
	(void)object;
	assert_true(fh_rcu_in_section(fh_thread_self()));
	value->u = ((struct sample *)state)->doubled / 2;
}

static void get_computed(struct fh_object *object, void *state, struct fh_value *value)
{
	(void)object;
	(void)state;
	value->string = "computed";
}

#define FIELD(name_, kind_, field)                                                                 \
	.name = (name_), .kind = FH_PROPERTY_##kind_, .offset = offsetof(struct sample, field)

static const struct fh_property sample_properties[] = {
	{ FIELD("u8", U8, u8) },
	{ FIELD("u16", U16, u16) },
	{ FIELD("u32", U32, u32) },
	{ FIELD("u64", U64, u64) },
	{ FIELD("i8", I8, i8) },
	{ FIELD("i16", I16, i16) },
	{ FIELD("i32", I32, i32) },
	{ FIELD("i64", I64, i64) },
	{ FIELD("flag", BOOL, flag) },
	{ FIELD("size", SIZE, size), .preset = "4K" },
	{ FIELD("text", STRING, text), .preset = "hello" },
	{ FIELD("mode", ENUM, mode), .enum_names = modes, .preset = "fast" },
	{ FIELD("weak", LINK, weak) },
	{ FIELD("other", LINK, other) },
	{ FIELD("strong", LINK, strong), .flags = FH_PROPERTY_STRONG, .link_type = &sample_type },
	{ FIELD("fixed", U32, fixed), .flags = FH_PROPERTY_READ_ONLY, .preset = "7" },
	{ FIELD("live", U32, live), .flags = FH_PROPERTY_LIVE },
	{ .name = "doubled", .kind = FH_PROPERTY_U64, .set = set_doubled, .get = get_doubled },
	{ .name = "computed", .kind = FH_PROPERTY_STRING, .flags = FH_PROPERTY_READ_ONLY,
	  .get = get_computed },
	{ .name = NULL },
};

const struct fh_type sample_type = {
	.name = "sample",
	.state_size = sizeof(struct sample),
	.properties = sample_properties,
};

static struct fh_object *new_sample(struct fh_machine *m)
{
	struct fh_object *object = fh_object_new(m, &sample_type, NULL);

	assert_non_null(object);
	return object;
}

static struct sample *sample_of(struct fh_object *object)
{
	return fh_object_state(object, &sample_type);
}

/* --- Scalars -------------------------------------------------------------------------------- */

static void unsigned_kinds_hold_their_whole_range(void **state)
{
	static const struct { const char *name; uint64_t max; } kinds[] = {
		{ "u8", UINT8_MAX }, { "u16", UINT16_MAX }, { "u32", UINT32_MAX },
		{ "u64", UINT64_MAX }, { "size", UINT64_MAX },
	};
	struct fh_object *object = new_sample(*state);
	uint64_t value;

	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(fh_object_set_u64(object, kinds[i].name, kinds[i].max, NULL), 0);
		assert_int_equal(fh_object_get_u64(object, kinds[i].name, &value, NULL), FH_OK);
		assert_true(value == kinds[i].max);
		assert_int_equal(fh_object_set_u64(object, kinds[i].name, 0, NULL), FH_OK);
		assert_int_equal(fh_object_get_u64(object, kinds[i].name, &value, NULL), FH_OK);
		assert_true(value == 0);
	}
	assert_int_equal(sample_of(object)->guard0 | sample_of(object)->guard1 |
			 sample_of(object)->guard2 | sample_of(object)->guard3, 0);
	fh_object_unref(object);
}

static void signed_kinds_hold_their_whole_range(void **state)
{
	static const struct { const char *name; int64_t min, max; } kinds[] = {
		{ "i8", INT8_MIN, INT8_MAX }, { "i16", INT16_MIN, INT16_MAX },
		{ "i32", INT32_MIN, INT32_MAX }, { "i64", INT64_MIN, INT64_MAX },
	};
	struct fh_object *object = new_sample(*state);
	int64_t value;

	for (size_t i = 0; i < 4; i++) {
		const int64_t ends[] = { kinds[i].min, kinds[i].max, -1 };

		for (size_t j = 0; j < 3; j++) {
			assert_int_equal(fh_object_set_i64(object, kinds[i].name, ends[j], NULL),
					 FH_OK);
			assert_int_equal(fh_object_get_i64(object, kinds[i].name, &value, NULL),
					 FH_OK);
			assert_true(value == ends[j]);
		}
	}
	assert_int_equal(sample_of(object)->guard1 | sample_of(object)->guard2, 0);
	fh_object_unref(object);
}

static void signed_access_reaches_unsigned_kinds(void **state)
{
	struct fh_object *object = new_sample(*state);
	int64_t value = 1;

	assert_int_equal(fh_object_set_i64(object, "u16", 65535, NULL), FH_OK);
	assert_int_equal(fh_object_get_i64(object, "u16", &value, NULL), FH_OK);
	assert_int_equal(value, 65535);
	assert_int_equal(fh_object_set_u64(object, "u64", UINT64_MAX, NULL), FH_OK);
	assert_int_equal(fh_object_get_i64(object, "u64", &value, NULL), FH_ERANGE);
	assert_int_equal(value, 65535);
	fh_object_unref(object);
}

static void value_out_of_range_is_refused_with_the_range(void **state)
{
	struct fh_object *object = new_sample(*state);
	struct fh_error err = FH_ERROR_INIT;
	uint64_t value;

	assert_int_equal(fh_object_set_u64(object, "u8", 255, &err), FH_OK);
	assert_int_equal(fh_object_set_u64(object, "u8", 256, &err), FH_ERANGE);
	assert_says(&err, FH_ERANGE, "'u8': 256 is not in 0..255");
	assert_int_equal(fh_object_get_u64(object, "u8", &value, NULL), FH_OK);
	assert_int_equal(value, 255);
	fh_error_clear(&err);
	fh_object_set_i64(object, "i8", -129, &err);
	assert_says(&err, FH_ERANGE, "-129 is not in -128..127");
	fh_error_clear(&err);
	fh_object_set_i64(object, "u64", -1, &err);
	assert_says(&err, FH_ERANGE, "-1 is not in 0..18446744073709551615");
	assert_int_equal(fh_object_set_i64(object, "i16", 32768, NULL), FH_ERANGE);
	assert_int_equal(fh_object_set_i64(object, "u32", INT64_C(1) << 32, NULL), FH_ERANGE);
	fh_object_unref(object);
}

static void unknown_name_is_refused_with_the_type(void **state)
{
	struct fh_object *object = new_sample(*state);
	struct fh_error err = FH_ERROR_INIT;
	bool value = true;

	assert_int_equal(fh_object_set_u64(object, "u8x", 1, &err), FH_ENOENT);
	assert_says(&err, FH_ENOENT, "type 'sample' has no property 'u8x'");
	assert_int_equal(fh_object_get_bool(object, "", &value, NULL), FH_ENOENT);
	assert_true(value);
	fh_object_unref(object);
}

static void other_kind_is_refused_with_the_kind(void **state)
{
	struct fh_object *object = new_sample(*state);
	struct fh_error err = FH_ERROR_INIT;
	char *text = NULL;
	uint64_t value = 5;

	assert_int_equal(fh_object_set_bool(object, "u8", true, &err), FH_ETYPE);
	assert_says(&err, FH_ETYPE, "'u8' of type 'sample' is of kind u8, not a bool");
	fh_error_clear(&err);
	assert_int_equal(fh_object_set_u64(object, "i8", 1, &err), FH_ETYPE);
	assert_says(&err, FH_ETYPE, "kind i8, not an unsigned integer");
	fh_error_clear(&err);
	assert_int_equal(fh_object_set_i64(object, "mode", 1, &err), FH_ETYPE);
	assert_says(&err, FH_ETYPE, "kind enum, not an integer");
	fh_error_clear(&err);
	assert_int_equal(fh_object_set_string(object, "size", "4K", &err), FH_ETYPE);
	assert_says(&err, FH_ETYPE, "kind size, not a string");
	fh_error_clear(&err);
	assert_int_equal(fh_object_set_link(object, "text", NULL, &err), FH_ETYPE);
	assert_says(&err, FH_ETYPE, "kind string, not a link");
	assert_int_equal(fh_object_get_u64(object, "flag", &value, NULL), FH_ETYPE);
	assert_int_equal(fh_object_get_string(object, "u8", &text, NULL), FH_ETYPE);
	assert_int_equal(value, 5);
	assert_null(text);
	fh_object_unref(object);
}

/* --- When ----------------------------------------------------------------------------------- */

static void read_only_is_never_settable(void **state)
{
	struct fh_object *object = new_sample(*state);
	struct fh_error err = FH_ERROR_INIT;
	uint64_t value = 0;

	assert_int_equal(fh_object_set_u64(object, "fixed", 1, &err), FH_EPERM);
	assert_says(&err, FH_EPERM, "'fixed' of type 'sample' is read-only");
	assert_int_equal(fh_object_get_u64(object, "fixed", &value, NULL), FH_OK);
	assert_int_equal(value, 7);
	fh_object_unref(object);
}

static void realized_device_takes_live_properties_only(void **state)
{
	struct fh_object *object = new_sample(*state);
	struct fh_error err = FH_ERROR_INIT;

	assert_int_equal(fh_object_set_u64(object, "u32", 1, NULL), FH_OK);
	assert_int_equal(fh_object_set_u64(object, "live", 1, NULL), FH_OK);
	assert_int_equal(domain.calls, 0);
	fh_object_set_flags(object, FH_OBJECT_REALIZED);
	assert_int_equal(fh_object_set_u64(object, "u32", 2, &err), FH_EPERM);
	assert_says(&err, FH_EPERM, "once the device is realized");
	assert_int_equal(fh_object_set_text(object, "text", "x", NULL), FH_EPERM);
	assert_int_equal(fh_object_set_link(object, "weak", NULL, NULL), FH_EPERM);
	assert_int_equal(domain.calls, 0);
	assert_int_equal(fh_object_set_u64(object, "live", 2, NULL), FH_OK);
	assert_int_equal(domain.calls, 1);
	assert_int_equal(sample_of(object)->u32, 1);
	assert_int_equal(sample_of(object)->live, 2);
	fh_object_unref(object);
}

static void domain_that_refuses_leaves_the_value(void **state)
{
	struct fh_object *object = new_sample(*state);
	struct fh_error err = FH_ERROR_INIT;

	fh_object_set_flags(object, FH_OBJECT_REALIZED);
	domain.refuses = true;
	assert_int_equal(fh_object_set_u64(object, "live", 2, &err), FH_EBUSY);
	assert_says(&err, FH_EBUSY, "re-enter");
	domain.refuses = false;
	fh_error_clear(&err);
	fh_object_clear_flags(object, FH_OBJECT_SHOWN);
	assert_int_equal(fh_object_set_u64(object, "live", 2, &err), FH_EDEAD);
	assert_says(&err, FH_EDEAD, "unplugged");
	assert_int_equal(sample_of(object)->live, 0);
	fh_object_unref(object);
}

static void detached_object_is_read_but_not_set(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *object = fh_object_new_child(root_of(m), "a", &sample_type, NULL);
	struct fh_object *target = new_sample(m);
	struct fh_error err = FH_ERROR_INIT;

	fh_object_ref(object);
	fh_object_dispose(object);
	assert_int_equal(fh_object_set_u64(object, "u32", 1, &err), FH_EDEAD);
	assert_says(&err, FH_EDEAD, "disposed of");
	assert_int_equal(fh_object_set_string(object, "text", "x", NULL), FH_EDEAD);
	assert_int_equal(fh_object_set_link(object, "weak", target, NULL), FH_EDEAD);
	assert_text(object, "text", "hello");
	assert_text(object, "size", "4K");
	fh_object_unref(target);
	fh_object_unref(object);
}

/* --- Strings, enums, callbacks -------------------------------------------------------------- */

static void string_is_a_copy_both_ways(void **state)
{
	struct fh_object *object = new_sample(*state);
	char mine[] = "first";
	char *got = NULL;

	assert_int_equal(fh_object_set_string(object, "text", mine, NULL), FH_OK);
	mine[0] = 'X';
	assert_int_equal(fh_object_get_string(object, "text", &got, NULL), FH_OK);
	assert_string_equal(got, "first");
	assert_ptr_not_equal(got, sample_of(object)->text);
	free(got);
	assert_int_equal(fh_object_set_string(object, "text", NULL, NULL), FH_OK);
	assert_int_equal(fh_object_get_string(object, "text", &got, NULL), FH_OK);
	assert_null(got);
	assert_text(object, "text", "");
	fh_object_unref(object);
}

static void enum_takes_its_names_only(void **state)
{
	struct fh_object *object = new_sample(*state);
	struct fh_error err = FH_ERROR_INIT;
	char *name = NULL;

	assert_int_equal(fh_object_set_string(object, "mode", "turbo", NULL), FH_OK);
	assert_int_equal(sample_of(object)->mode, 2);
	assert_int_equal(fh_object_set_string(object, "mode", "warp", &err), FH_ERANGE);
	assert_says(&err, FH_ERANGE, "'warp' is none of: slow, fast, turbo");
	assert_int_equal(fh_object_get_string(object, "mode", &name, NULL), FH_OK);
	assert_string_equal(name, "turbo");
	free(name);
	sample_of(object)->mode = 9;
	assert_text(object, "mode", "9");
	fh_object_unref(object);
}

static void callbacks_take_the_place_of_the_field(void **state)
{
	struct fh_object *object = new_sample(*state);
	struct fh_error err = FH_ERROR_INIT;
	uint64_t value = 0;

	assert_int_equal(fh_object_set_u64(object, "doubled", 21, NULL), FH_OK);
	assert_int_equal(sample_of(object)->doubled, 42);
	assert_int_equal(fh_object_get_u64(object, "doubled", &value, NULL), FH_OK);
	assert_int_equal(value, 21);
	assert_int_equal(fh_object_set_u64(object, "doubled", 13, &err), FH_EINVAL);
	assert_says(&err, FH_EINVAL, "13 is not welcome");
	/* A setter that says nothing is no reason to tell nothing. */
	fh_error_clear(&err);
	assert_int_equal(fh_object_set_u64(object, "doubled", 14, &err), FH_EIO);
	assert_says(&err, FH_EIO, "property 'doubled': its setter failed with FH_EIO");
	assert_text(object, "computed", "computed");
	fh_object_unref(object);
}

/* --- Text ----------------------------------------------------------------------------------- */

static void text_sets_every_kind(void **state)
{
	static const struct { const char *name, *text, *shown; } cases[] = {
		{ "flag", "on", "on" }, { "flag", "off", "off" }, { "flag", "yes", "on" },
		{ "flag", "no", "off" }, { "flag", "true", "on" }, { "flag", "false", "off" },
		{ "u8", "0xff", "255" }, { "u8", "007", "7" }, { "u8", "-0", "0" },
		{ "u64", "18446744073709551615", "18446744073709551615" },
		{ "u64", "0XfFfFfFfFfFfFfFfF", "18446744073709551615" },
		{ "i8", "-128", "-128" }, { "i8", "-0x80", "-128" }, { "i8", "127", "127" },
		{ "i64", "-9223372036854775808", "-9223372036854775808" },
		{ "i64", "9223372036854775807", "9223372036854775807" },
		{ "size", "4K", "4K" }, { "size", "4096", "4K" }, { "size", "1000", "1000" },
		{ "size", "1536k", "1536K" }, { "size", "2m", "2M" }, { "size", "1G", "1G" },
		{ "size", "1024T", "1P" }, { "size", "15E", "15E" }, { "size", "0", "0" },
		{ "size", "0x10M", "16M" },
		{ "text", "", "" }, { "text", "a b", "a b" }, { "mode", "slow", "slow" },
	};
	struct fh_object *object = new_sample(*state);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(fh_object_set_text(object, cases[i].name, cases[i].text, NULL),
				 FH_OK);
		assert_text(object, cases[i].name, cases[i].shown);
		assert_int_equal(fh_object_set_text(object, cases[i].name, cases[i].shown, NULL),
				 FH_OK);
		assert_text(object, cases[i].name, cases[i].shown);
	}
	fh_object_unref(object);
}

static void text_that_does_not_parse_changes_nothing(void **state)
{
	static const struct { const char *name, *text; enum fh_code code; } cases[] = {
		{ "flag", "On", FH_EFORMAT }, { "flag", "", FH_EFORMAT },
		{ "flag", "1", FH_EFORMAT },
		{ "u8", "", FH_EFORMAT }, { "u8", "-", FH_EFORMAT }, { "u8", "0x", FH_EFORMAT },
		{ "u8", " 1", FH_EFORMAT }, { "u8", "1 ", FH_EFORMAT }, { "u8", "+1", FH_EFORMAT },
		{ "u8", "1K", FH_EFORMAT }, { "u8", "0x1g", FH_EFORMAT },
		{ "u8", "--1", FH_EFORMAT },
		{ "u8", "256", FH_ERANGE }, { "u8", "-1", FH_ERANGE },
		{ "u64", "18446744073709551616", FH_ERANGE },
		{ "u64", "99999999999999999999999", FH_ERANGE },
		{ "u64", "0x10000000000000000", FH_ERANGE },
		{ "i8", "128", FH_ERANGE }, { "i8", "-129", FH_ERANGE },
		{ "i64", "9223372036854775808", FH_ERANGE },
		{ "i64", "-9223372036854775809", FH_ERANGE },
		{ "size", "16E", FH_ERANGE }, { "size", "4KK", FH_EFORMAT },
		{ "size", "4X", FH_EFORMAT }, { "size", "K", FH_EFORMAT },
		{ "size", "1.5G", FH_EFORMAT }, { "size", "-1", FH_ERANGE },
		{ "mode", "", FH_ERANGE }, { "mode", "FAST", FH_ERANGE },
		{ "weak", "/nobody", FH_ENOENT }, { "fixed", "nonsense", FH_EPERM },
	};
	struct fh_object *object = new_sample(*state);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fh_error err = FH_ERROR_INIT;
		char *before = NULL;

		fh_object_get_text(object, cases[i].name, &before, NULL);
		if (fh_object_set_text(object, cases[i].name, cases[i].text, &err) != cases[i].code)
			fail_msg("%s=%s: %s", cases[i].name, cases[i].text, err.message);
		assert_says(&err, cases[i].code, cases[i].name);
		assert_text(object, cases[i].name, before);
		free(before);
	}
	fh_object_unref(object);
}

/* --- Presets, introspection ----------------------------------------------------------------- */

static const struct fh_property derived_properties[] = {
	{ .name = "own", .kind = FH_PROPERTY_U8, .offset = 0, .preset = "9" },
	{ .name = "u8", .kind = FH_PROPERTY_STRING, .offset = 8, .preset = "mine" },
	{ .name = NULL },
};
static const struct fh_type derived_type = {
	.name = "derived", .parent = &sample_type, .state_size = 16,
	.properties = derived_properties,
};

static void presets_are_there_from_birth(void **state)
{
	struct fh_object *object = fh_object_new(*state, &derived_type, NULL);

	assert_text(object, "size", "4K");
	assert_text(object, "text", "hello");
	assert_text(object, "mode", "fast");
	assert_text(object, "fixed", "7");
	assert_text(object, "own", "9");
	assert_text(object, "u16", "0");
	assert_text(object, "flag", "off");
	fh_object_unref(object);
}

static void derived_property_hides_the_inherited_one(void **state)
{
	struct fh_object *object = fh_object_new(*state, &derived_type, NULL);

	assert_int_equal(fh_object_set_u64(object, "u8", 1, NULL), FH_ETYPE);
	assert_text(object, "u8", "mine");
	assert_int_equal(sample_of(object)->u8, 0);
	fh_object_unref(object);
}

static void preset_that_does_not_fit_fails_the_birth(void **state)
{
	static const struct fh_property properties[] = {
		{ .name = "a", .kind = FH_PROPERTY_STRING, .preset = "kept?" },
		{ .name = "b", .kind = FH_PROPERTY_U8, .offset = 8, .preset = "256" },
		{ .name = NULL },
	};
	static const struct fh_type type = {
		.name = "broken", .state_size = 16, .properties = properties,
	};
	struct fh_error err = FH_ERROR_INIT;

	assert_null(fh_object_new(*state, &type, &err));
	assert_says(&err, FH_ERANGE, "default of property 'b': 256 is not in 0..255");
}

struct seen {
	char names[400];
	unsigned stop_after;
};

static bool note_property(const struct fh_type *level, const struct fh_property *property,
			  void *arg)
{
	struct seen *seen = arg;
	const size_t used = strlen(seen->names);

	snprintf(seen->names + used, sizeof(seen->names) - used, "%s.%s ", level->name,
		 property->name);
	return --seen->stop_after > 0;
}

static void each_property_visits_inherited_ones_first_and_hidden_ones_never(void **state)
{
	struct seen all = { "", 1000 };
	struct seen two = { "", 2 };

	(void)state;
	fh_type_each_property(&derived_type, note_property, &all);
	assert_ptr_equal(strstr(all.names, "sample.u16 "), all.names);
	assert_null(strstr(all.names, "sample.u8 "));
	assert_non_null(strstr(all.names, "sample.computed derived.own derived.u8 "));
	fh_type_each_property(&derived_type, note_property, &two);
	assert_string_equal(two.names, "sample.u16 sample.u32 ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unsigned_kinds_hold_their_whole_range),
		TEST(signed_kinds_hold_their_whole_range),
		TEST(signed_access_reaches_unsigned_kinds),
		TEST(value_out_of_range_is_refused_with_the_range),
		TEST(unknown_name_is_refused_with_the_type),
		TEST(other_kind_is_refused_with_the_kind),
		TEST(read_only_is_never_settable),
		TEST(realized_device_takes_live_properties_only),
		TEST(domain_that_refuses_leaves_the_value),
		TEST(detached_object_is_read_but_not_set),
		TEST(string_is_a_copy_both_ways),
		TEST(enum_takes_its_names_only),
		TEST(callbacks_take_the_place_of_the_field),
		TEST(text_sets_every_kind),
		TEST(text_that_does_not_parse_changes_nothing),
		TEST(presets_are_there_from_birth),
		TEST(derived_property_hides_the_inherited_one),
		TEST(preset_that_does_not_fit_fails_the_birth),
		TEST(each_property_visits_inherited_ones_first_and_hidden_ones_never),
	};

	return cmocka_run_group_tests_name("property", tests, NULL, NULL);
}
