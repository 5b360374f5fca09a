/* SPDX-License-Identifier: MIT */
/* A machine's defaults for properties; what is known of types. */
#include "support/objects.h"

struct base {
	uint32_t a;
	uint32_t b;
	uint32_t c;
	uint32_t at_init;
	char *text;
	struct fh_object *link;
};

static enum fh_code note_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct base *base = state;

	(void)object;
	(void)err;
	base->at_init = base->b;
	return FH_OK;
}

#define FIELD(name_, kind_)                                                                        \
	.name = #name_, .kind = FH_PROPERTY_##kind_, .offset = offsetof(struct base, name_)

static const struct fh_property base_properties[] = {
	{ FIELD(a, U32), .preset = "1" },
	{ FIELD(b, U32), .preset = "1" },
	{ FIELD(c, U32), .flags = FH_PROPERTY_READ_ONLY, .preset = "1" },
	{ FIELD(text, STRING) },
	{ FIELD(link, LINK) },
	{ .name = "part", .kind = FH_PROPERTY_CHILD },
	{ .name = NULL },
};

static const struct fh_interface counts = { .name = "counts" };
static const struct fh_interface_entry base_interfaces[] = { { &counts, &counts }, { 0 } };
static const struct fh_type base_type = {
	.name = "base", .state_size = sizeof(struct base), .properties = base_properties,
	.init = note_init
};
static const struct fh_type derived_type = {
	.name = "derived", .parent = &base_type, .interfaces = base_interfaces
};
static const struct fh_type last_type = { .name = "a-last", .parent = &derived_type };

static void set_default(struct fh_machine *m, const char *type, const char *property,
			const char *text)
{
	struct fh_error err = FH_ERROR_INIT;

	if (fh_machine_set_default(m, type, property, text, &err) != FH_OK)
		fail_msg("%s", err.message);
}

/* --- Defaults -------------------------------------------------------------------------------- */

static void default_comes_between_preset_and_settings(void **state)
{
	struct fh_machine *m = *state;

	set_default(m, "base", "b", "0x20");
	struct fh_object *object = fh_object_new(m, &base_type, NULL);

	assert_text(object, "a", "1");
	assert_text(object, "b", "32");
	/* It is there before init, as the preset is. */
	assert_int_equal(((struct base *)fh_object_state(object, &base_type))->at_init, 32);
	assert_int_equal(fh_object_set_u64(object, "b", 5, NULL), FH_OK);
	assert_text(object, "b", "5");
	fh_object_unref(object);
}

static void default_is_for_derived_types_whose_own_come_last(void **state)
{
	struct fh_machine *m = *state;

	set_default(m, "derived", "a", "3"); /* set first, and stands nevertheless */
	set_default(m, "base", "a", "2");
	set_default(m, "base", "b", "2");
	struct fh_object *base = fh_object_new(m, &base_type, NULL);
	struct fh_object *last = fh_object_new(m, &last_type, NULL);

	assert_text(base, "a", "2");
	assert_text(last, "a", "3");
	assert_text(last, "b", "2");
	fh_object_unref(base);
	fh_object_unref(last);
}

static void later_default_takes_the_place_of_the_earlier(void **state)
{
	struct fh_machine *m = *state;
	struct fh_error err = FH_ERROR_INIT;

	set_default(m, "base", "a", "2");
	set_default(m, "base", "a", "4");
	struct fh_object *object = fh_object_new(m, &base_type, NULL);

	assert_text(object, "a", "4");
	fh_object_unref(object);
	set_default(m, "base", "a", NULL);
	object = fh_object_new(m, &base_type, NULL);
	assert_text(object, "a", "1");
	fh_object_unref(object);
	assert_int_equal(fh_machine_set_default(m, "base", "a", NULL, &err), FH_ENOENT);
	assert_says(&err, FH_ENOENT, "no default of 'base.a'");
}

static void default_of_a_known_type_is_checked_at_once(void **state)
{
	static const struct { const char *property, *text; enum fh_code code; } wrong[] = {
		{ "x", "1", FH_ENOENT }, { "c", "1", FH_EPERM }, { "part", "/", FH_EPERM },
		{ "a", "q", FH_EFORMAT }, { "a", "4294967296", FH_ERANGE },
	};
	struct fh_machine *m = *state;

	assert_int_equal(fh_machine_add_type(m, &base_type, NULL), FH_OK);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fh_error err = FH_ERROR_INIT;
		char said[40];

		snprintf(said, sizeof(said), "default of 'base.%s': ", wrong[i].property);
		assert_int_equal(fh_machine_set_default(m, "base", wrong[i].property,
							wrong[i].text, &err), wrong[i].code);
		assert_says(&err, wrong[i].code, said);
	}
	/* What a link names may come later. */
	set_default(m, "base", "link", "/later");
	set_default(m, "base", "text", "a text");
	struct fh_object *object = fh_object_new(m, &base_type, NULL);

	assert_null(object);
	set_default(m, "base", "link", NULL);
	object = fh_object_new_child(root_of(m), "later", &derived_type, NULL);
	set_default(m, "base", "link", "/later");
	struct fh_object *linked = fh_object_new(m, &base_type, NULL);

	assert_text(linked, "link", "/later");
	assert_text(linked, "text", "a text");
	fh_object_unref(linked);
	fh_object_dispose(object);
}

static void default_of_a_type_not_known_fails_the_birth(void **state)
{
	static const struct { const char *property, *text; enum fh_code code; } wrong[] = {
		{ "x", "1", FH_ENOENT }, { "c", "1", FH_EPERM }, { "a", "q", FH_EFORMAT },
		{ "link", "/nowhere", FH_ENOENT },
	};
	struct fh_machine *m = *state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fh_error err = FH_ERROR_INIT;
		char said[40];

		set_default(m, "base", wrong[i].property, wrong[i].text);
		snprintf(said, sizeof(said), "default of 'base.%s': ", wrong[i].property);
		assert_null(fh_object_new(m, &derived_type, &err));
		assert_says(&err, wrong[i].code, said);
		set_default(m, "base", wrong[i].property, NULL);
	}
}

struct text {
	char text[200];
	unsigned room;
};

static bool note_default(const char *type, const char *property, const char *text, void *arg)
{
	struct text *list = arg;
	const size_t used = strlen(list->text);

	snprintf(list->text + used, sizeof(list->text) - used, "%s.%s=%s ", type, property, text);
	return --list->room > 0;
}

static void defaults_are_listed_in_the_order_in_which_they_were_set(void **state)
{
	struct fh_machine *m = *state;
	struct text all = { "", 100 }, one = { "", 1 };

	set_default(m, "unknown", "p", "1");
	set_default(m, "base", "a", "2");
	set_default(m, "unknown", "p", "3");
	fh_machine_each_default(m, note_default, &all);
	assert_string_equal(all.text, "base.a=2 unknown.p=3 ");
	fh_machine_each_default(m, note_default, &one);
	assert_string_equal(one.text, "base.a=2 ");
}

/* --- Types ----------------------------------------------------------------------------------- */

static bool note_type(const struct fh_type *type, void *arg)
{
	struct text *list = arg;

	strcat(strcat(list->text, type->name), " ");
	return --list->room > 0;
}

static void assert_types(struct fh_machine *m, const struct fh_type *base,
			 const struct fh_interface *interface, unsigned room, const char *wanted)
{
	struct text list = { "", room };

	fh_machine_each_type(m, base, interface, note_type, &list);
	assert_string_equal(list.text, wanted);
}

static void types_are_listed_by_name_base_and_interface(void **state)
{
	static const struct fh_interface unheard = { .name = "unheard" };
	static const struct fh_type alone = { .name = "alone", .abstract = true };
	struct fh_machine *m = *state;

	assert_types(m, NULL, NULL, 100, "");
	fh_machine_add_type(m, &last_type, NULL);
	fh_machine_add_type(m, &alone, NULL);
	assert_types(m, NULL, NULL, 100, "a-last alone base derived object ");
	assert_types(m, NULL, NULL, 2, "a-last alone ");
	assert_types(m, &base_type, NULL, 100, "a-last base derived ");
	assert_types(m, NULL, &counts, 100, "a-last derived ");
	assert_types(m, &alone, &counts, 100, "");
	assert_types(m, NULL, &unheard, 100, "");
}

static void types_say_what_they_derive_from(void **state)
{
	(void)state;
	assert_ptr_equal(fh_type_parent(&derived_type), &base_type);
	assert_ptr_equal(fh_type_parent(&base_type), &fh_object_type);
	assert_null(fh_type_parent(&fh_object_type));
	assert_true(fh_type_is(&last_type, &base_type));
	assert_true(fh_type_is(&last_type, &fh_object_type));
	assert_false(fh_type_is(&base_type, &last_type));
	assert_ptr_equal(fh_type_interface(&last_type, &counts), &counts);
	assert_null(fh_type_interface(&base_type, &counts));
}

static void kinds_have_names_and_integers_a_range(void **state)
{
	int64_t min = 7;
	uint64_t max = 7;

	(void)state;
	assert_string_equal(fh_property_kind_name(FH_PROPERTY_BOOL), "bool");
	assert_string_equal(fh_property_kind_name(FH_PROPERTY_CHILD), "child");
	assert_string_equal(fh_property_kind_name((enum fh_property_kind)99), "?");
	assert_false(fh_property_kind_range(FH_PROPERTY_LINK, &min, &max));
	assert_false(fh_property_kind_range((enum fh_property_kind)99, &min, &max));
	assert_true(min == 7 && max == 7);
	assert_true(fh_property_kind_range(FH_PROPERTY_I8, &min, &max));
	assert_true(min == -128 && max == 127);
	assert_true(fh_property_kind_range(FH_PROPERTY_SIZE, &min, &max));
	assert_true(min == 0 && max == UINT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(default_comes_between_preset_and_settings),
		TEST(default_is_for_derived_types_whose_own_come_last),
		TEST(later_default_takes_the_place_of_the_earlier),
		TEST(default_of_a_known_type_is_checked_at_once),
		TEST(default_of_a_type_not_known_fails_the_birth),
		TEST(defaults_are_listed_in_the_order_in_which_they_were_set),
		TEST(types_are_listed_by_name_base_and_interface),
		TEST(types_say_what_they_derive_from),
		TEST(kinds_have_names_and_integers_a_range),
	};

	return cmocka_run_group_tests_name("property-default", tests, NULL, NULL);
}
