/* SPDX-License-Identifier: MIT */
/* Properties of one object: added and removed at run time, aliases, children. */
#include "support/objects.h"

struct device {
	uint32_t speed;
};

static const struct fh_property device_properties[] = {
	{ .name = "speed", .kind = FH_PROPERTY_U32, .offset = offsetof(struct device, speed) },
	{ .name = "fixed", .kind = FH_PROPERTY_U32, .offset = offsetof(struct device, speed),
	  .flags = FH_PROPERTY_READ_ONLY },
	{ .name = NULL },
};

static const struct fh_type device_type = {
	.name = "device", .state_size = sizeof(struct device), .properties = device_properties
};
static const struct fh_type plain_type = { .name = "plain" };
static const struct fh_type board_type = {
	.name = "board",
	.properties = (const struct fh_property[]){
		{ .name = "cpu", .kind = FH_PROPERTY_CHILD, .link_type = &device_type },
		{ .name = NULL },
	},
};

static struct fh_object *new_plain(struct fh_machine *m)
{
	return fh_object_new(m, &plain_type, NULL);
}

static void add(struct fh_object *object, const struct fh_property *property, void *state)
{
	struct fh_error err = FH_ERROR_INIT;

	if (fh_object_add_property(object, property, state, NULL, &err) != FH_OK)
		fail_msg("%s", err.message);
}

static void add_alias(struct fh_object *object, const char *name, struct fh_object *target,
		      const char *target_name)
{
	struct fh_error err = FH_ERROR_INIT;

	if (fh_object_add_alias(object, name, target, target_name, &err) != FH_OK)
		fail_msg("%s", err.message);
}

static void assert_missing(struct fh_object *object, const char *name, enum fh_code code)
{
	struct fh_error err = FH_ERROR_INIT;
	char *text = NULL;

	assert_int_equal(fh_object_get_text(object, name, &text, &err), code);
	assert_int_equal(fh_object_set_text(object, name, "1", NULL), code);
	assert_int_equal(err.code, code);
	assert_null(text);
}

/* --- Added ----------------------------------------------------------------------------------- */

static const char *const colours[] = { "red", "green", NULL };

static void property_without_state_keeps_a_value_of_every_kind(void **state)
{
	static const struct { const char *name; enum fh_property_kind kind; const char *text; }
	kinds[] = {
		{ "bool", FH_PROPERTY_BOOL, "on" }, { "u8", FH_PROPERTY_U8, "255" },
		{ "u16", FH_PROPERTY_U16, "65535" }, { "u32", FH_PROPERTY_U32, "4294967295" },
		{ "u64", FH_PROPERTY_U64, "18446744073709551615" },
		{ "i8", FH_PROPERTY_I8, "-128" }, { "i16", FH_PROPERTY_I16, "-32768" },
		{ "i32", FH_PROPERTY_I32, "-1" }, { "i64", FH_PROPERTY_I64, "-2" },
		{ "size", FH_PROPERTY_SIZE, "4K" }, { "string", FH_PROPERTY_STRING, "a text" },
		{ "enum", FH_PROPERTY_ENUM, "green" }, { "link", FH_PROPERTY_LINK, "/" },
	};
	struct fh_object *object = new_plain(*state);
	struct fh_object *other = new_plain(*state);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct fh_property property = {
			.name = kinds[i].name, .kind = kinds[i].kind, .enum_names = colours,
			.offset = 4096 /* of no meaning without a state */
		};

		add(object, &property, NULL);
		assert_int_equal(fh_object_set_text(object, kinds[i].name, kinds[i].text, NULL),
				 FH_OK);
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_text(object, kinds[i].name, kinds[i].text);
		assert_missing(other, kinds[i].name, FH_ENOENT); /* it is of one object */
	}
	fh_object_unref(object);
	fh_object_unref(other);
}

static void property_with_a_state_is_its_field(void **state)
{
	struct { uint32_t before, value, after; } mine = { 1, 2, 3 };
	const struct fh_property property = {
		.name = "value", .kind = FH_PROPERTY_U32, .offset = sizeof(uint32_t),
		.preset = "9", .description = "what it is"
	};
	struct fh_object *object = new_plain(*state);

	add(object, &property, &mine);
	assert_int_equal(mine.value, 9);
	assert_int_equal(fh_object_set_u64(object, "value", 10, NULL), FH_OK);
	assert_int_equal(mine.value, 10);
	assert_true(mine.before == 1 && mine.after == 3);
	assert_int_equal(fh_object_set_u64(object, "value", UINT64_C(1) << 32, NULL), FH_ERANGE);
	assert_int_equal(fh_object_set_bool(object, "value", true, NULL), FH_ETYPE);
	fh_object_unref(object);
}

static void property_that_cannot_be_is_refused_and_leaves_the_state(void **state)
{
	static const char *const names[] = { "", "a/b" };
	struct fh_property property = { .name = "speed", .kind = FH_PROPERTY_STRING };
	struct fh_object *object = fh_object_new(*state, &device_type, NULL);
	char mine[] = "mine";
	char *text = mine;
	struct fh_error err = FH_ERROR_INIT;

	assert_int_equal(fh_object_add_property(object, &property, &text, free, &err), FH_EEXIST);
	assert_says(&err, FH_EEXIST, "there is a property 'speed' already");
	for (int i = 0; i < 2; i++) {
		property.name = names[i];
		assert_int_equal(fh_object_add_property(object, &property, &text, free, NULL),
				 FH_EINVAL);
	}
	property.name = "name";
	property.kind = FH_PROPERTY_ENUM; /* without names */
	assert_int_equal(fh_object_add_property(object, &property, &text, free, NULL), FH_EINVAL);
	property.kind = FH_PROPERTY_ALIAS;
	assert_int_equal(fh_object_add_property(object, &property, &text, free, NULL), FH_EINVAL);
	property.kind = FH_PROPERTY_U8;
	property.preset = "256";
	assert_int_equal(fh_object_add_property(object, &property, &text, free, NULL), FH_ERANGE);
	assert_missing(object, "name", FH_ENOENT);
	property.preset = NULL;
	add(object, &property, NULL);
	assert_int_equal(fh_object_add_property(object, &property, &text, free, NULL), FH_EEXIST);
	assert_ptr_equal(text, mine);
	fh_object_unref(object);
}

static void detached_object_takes_no_property(void **state)
{
	const struct fh_property property = { .name = "late", .kind = FH_PROPERTY_STRING,
					      .preset = "x" };
	struct fh_object *object = new_plain(*state);
	char *text = NULL;

	fh_object_dispose(object);
	assert_int_equal(fh_object_add_property(object, &property, &text, free, NULL), FH_EDEAD);
	assert_null(text);
	fh_object_unref(object);
}

static enum fh_code set_doubled(struct fh_object *object, void *state, const struct fh_value *value,
				struct fh_error *err)
{
	(void)object;
	(void)err;
	*(uint64_t *)state = value->u * 2;
	return FH_OK;
}

static void get_halved(struct fh_object *object, void *state, struct fh_value *value)
{
	(void)object;
	value->u = *(uint64_t *)state / 2;
}

static void callbacks_get_the_state(void **state)
{
	const struct fh_property property = {
		.name = "twice", .kind = FH_PROPERTY_U64, .set = set_doubled, .get = get_halved
	};
	struct fh_object *object = new_plain(*state);
	uint64_t mine = 8;

	add(object, &property, &mine);
	assert_text(object, "twice", "4");
	assert_int_equal(fh_object_set_u64(object, "twice", 50, NULL), FH_OK);
	assert_int_equal(mine, 100);
	fh_object_unref(object);
}

/* --- Removed --------------------------------------------------------------------------------- */

static void count_release(void *state)
{
	++*(int *)state;
}

static void removal_releases_the_state_once(void **state)
{
	const struct fh_property property = { .name = "p", .kind = FH_PROPERTY_I32 };
	struct fh_object *object = fh_object_new(*state, &device_type, NULL);
	struct fh_error err = FH_ERROR_INIT;
	int released = 0;

	assert_int_equal(fh_object_add_property(object, &property, &released, count_release, NULL),
			 FH_OK);
	assert_int_equal(fh_object_remove_property(object, "p", NULL), FH_OK);
	assert_int_equal(released, 1);
	assert_missing(object, "p", FH_ENOENT);
	assert_int_equal(fh_object_remove_property(object, "p", NULL), FH_ENOENT);
	assert_int_equal(fh_object_remove_property(object, "speed", &err), FH_EPERM);
	assert_says(&err, FH_EPERM, "property 'speed' is of the type 'device'");
	/* The name is free. */
	assert_int_equal(fh_object_add_property(object, &property, &released, count_release, NULL),
			 FH_OK);
	fh_object_unref(object);
	settle(*state);
	assert_int_equal(released, 2); /* with the object */
}

static enum fh_code remove_itself(struct fh_object *object, void *state,
				  const struct fh_value *value, struct fh_error *err)
{
	(void)value;
	assert_int_equal(fh_object_remove_property(object, "p", err), FH_OK);
	assert_int_equal(*(int *)state, 0); /* this is a callback of it: not yet */
	return FH_OK;
}

static void property_removed_in_its_own_callback_is_released_afterwards(void **state)
{
	const struct fh_property property = {
		.name = "p", .kind = FH_PROPERTY_I32, .set = remove_itself
	};
	struct fh_object *object = new_plain(*state);
	int released = 0;

	assert_int_equal(fh_object_add_property(object, &property, &released, count_release, NULL),
			 FH_OK);
	assert_int_equal(fh_object_set_i64(object, "p", 1, NULL), FH_OK);
	assert_int_equal(released, 1);
	fh_object_unref(object);
}

static void removal_ends_links_and_strings(void **state)
{
	const struct fh_property strong = {
		.name = "strong", .kind = FH_PROPERTY_LINK, .flags = FH_PROPERTY_STRONG
	};
	const struct fh_property weak = { .name = "weak", .kind = FH_PROPERTY_LINK };
	const struct fh_property text = { .name = "text", .kind = FH_PROPERTY_STRING };
	struct { struct fh_object *link; char *text; } mine = { NULL, NULL };
	struct fh_object *object = new_plain(*state);
	struct fh_object *target = new_plain(*state);

	add(object, &strong, &mine.link);
	add(object, &weak, NULL);
	add(object, &text, &mine.text);
	assert_int_equal(fh_object_set_link(object, "strong", target, NULL), FH_OK);
	assert_int_equal(fh_object_set_link(object, "weak", target, NULL), FH_OK);
	assert_int_equal(fh_object_set_string(object, "text", "t", NULL), FH_OK);
	fh_object_unref(target); /* the link's ref is left */
	assert_false(fh_object_is_disposed(target));
	assert_int_equal(fh_object_remove_property(object, "weak", NULL), FH_OK);
	assert_int_equal(fh_object_remove_property(object, "text", NULL), FH_OK);
	assert_null(mine.text);
	assert_int_equal(fh_object_remove_property(object, "strong", NULL), FH_OK);
	assert_null(mine.link);
	settle(*state);
	assert_int_equal(fh_ledger_read(*state).alive, 1);
	fh_object_unref(object);
}

static unsigned finalized;

static void remove_in_finalize(struct fh_object *object, void *state)
{
	char *text = NULL;

	(void)state;
	finalized++;
	assert_int_equal(fh_object_get_text(object, "p", &text, NULL), FH_OK);
	assert_string_equal(text, "7");
	free(text);
	assert_int_equal(fh_object_remove_property(object, "p", NULL), FH_OK);
}

static void property_is_read_and_removed_in_finalize(void **state)
{
	static const struct fh_type type = { .name = "t", .finalize = remove_in_finalize };
	const struct fh_property property = {
		.name = "p", .kind = FH_PROPERTY_I32, .preset = "7"
	};
	struct fh_object *object = fh_object_new_child(root_of(*state), "o", &type, NULL);

	finalized = 0;
	add(object, &property, NULL);
	fh_object_dispose(object);
	settle(*state);
	assert_int_equal(finalized, 1);
}

static void failed_realize_removes_what_it_added(void **state)
{
	const struct fh_property before = { .name = "before", .kind = FH_PROPERTY_I32 };
	const struct fh_property during = { .name = "during", .kind = FH_PROPERTY_I32 };
	struct fh_object *object = new_plain(*state);

	add(object, &before, NULL);
	fh_object_mark(object);
	add(object, &during, NULL);
	fh_object_rollback_own(object);
	assert_text(object, "before", "0");
	assert_missing(object, "during", FH_ENOENT);
	fh_object_unref(object);
}

static void ten_thousand_are_found_and_removed(void **state)
{
	struct fh_object *object = new_plain(*state);
	char name[16];

	for (int i = 0; i < 10000; i++) {
		const struct fh_property property = { .name = name, .kind = FH_PROPERTY_I32 };

		snprintf(name, sizeof(name), "p%d", i);
		add(object, &property, NULL);
		assert_int_equal(fh_object_set_i64(object, name, i, NULL), FH_OK);
	}
	for (int i = 0; i < 10000; i += 3) {
		snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(fh_object_remove_property(object, name, NULL), FH_OK);
	}
	for (int i = 0; i < 10000; i++) {
		int64_t value = -1;

		snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(fh_object_get_i64(object, name, &value, NULL),
				 i % 3 ? FH_OK : FH_ENOENT);
		assert_int_equal(value, i % 3 ? i : -1);
	}
	fh_object_unref(object);
}

/* --- Aliases --------------------------------------------------------------------------------- */

static void alias_reads_and_writes_what_it_stands_for(void **state)
{
	struct fh_object *object = new_plain(*state);
	struct fh_object *target = fh_object_new(*state, &device_type, NULL);

	add_alias(object, "baud", target, "speed");
	assert_int_equal(fh_object_set_u64(object, "baud", 300, NULL), FH_OK);
	assert_text(target, "speed", "300");
	assert_text(object, "baud", "300");
	assert_int_equal(fh_object_set_bool(object, "baud", true, NULL), FH_ETYPE);
	add_alias(object, "baud2", object, "baud");
	assert_text(object, "baud2", "300");
	/* By the rules of what it stands for. */
	add_alias(object, "fixed", target, "fixed");
	assert_int_equal(fh_object_set_u64(object, "fixed", 1, NULL), FH_EPERM);
	fh_object_set_flags(target, FH_OBJECT_REALIZED);
	assert_int_equal(fh_object_set_u64(object, "baud", 1, NULL), FH_EPERM);
	fh_object_clear_flags(target, FH_OBJECT_REALIZED);
	fh_object_unref(target);
	fh_object_unref(object);
}

static void alias_keeps_nothing_and_says_that_its_target_is_gone(void **state)
{
	struct fh_object *object = new_plain(*state);
	struct fh_object *target = fh_object_new(*state, &device_type, NULL);
	struct fh_error err = FH_ERROR_INIT;
	char *text = NULL;

	add_alias(object, "baud", target, "speed");
	fh_object_unref(target);
	settle(*state);
	assert_int_equal(fh_ledger_read(*state).alive, 1);
	assert_missing(object, "baud", FH_EDEAD);
	assert_int_equal(fh_object_get_text(object, "baud", &text, &err), FH_EDEAD);
	assert_says(&err, FH_EDEAD, "'baud' stands for 'speed' of an object that is disposed of");
	assert_int_equal(fh_object_remove_property(object, "baud", NULL), FH_OK);
	fh_object_unref(object);
}

static void alias_without_end_is_refused(void **state)
{
	const struct fh_property property = { .name = "a", .kind = FH_PROPERTY_I32 };
	struct fh_object *object = new_plain(*state);

	add(object, &property, NULL);
	add_alias(object, "b", object, "a");
	assert_int_equal(fh_object_remove_property(object, "a", NULL), FH_OK);
	assert_missing(object, "b", FH_ENOENT);
	assert_int_equal(fh_object_add_alias(object, "c", object, "a", NULL), FH_ENOENT);
	add(object, &property, NULL);
	add_alias(object, "c", object, "b");
	assert_int_equal(fh_object_remove_property(object, "a", NULL), FH_OK);
	/* Through a detour, as what it stands for has to be there. */
	const struct fh_property again = { .name = "d", .kind = FH_PROPERTY_I32 };

	add(object, &again, NULL);
	add_alias(object, "a", object, "d");
	assert_text(object, "c", "0");
	assert_int_equal(fh_object_remove_property(object, "d", NULL), FH_OK);
	assert_int_equal(fh_object_add_alias(object, "d", object, "c", NULL), FH_ENOENT);
	assert_missing(object, "c", FH_ENOENT);
	fh_object_unref(object);
}

static void alias_that_comes_to_stand_for_itself_is_an_error(void **state)
{
	const struct fh_property property = { .name = "a", .kind = FH_PROPERTY_I32 };
	struct fh_object *x = new_plain(*state);
	struct fh_object *y = new_plain(*state);

	add(x, &property, NULL);
	add_alias(y, "a", x, "a");
	/* In the moment between the look and the addition, as another thread may have it. */
	assert_int_equal(fh_object_remove_property(x, "a", NULL), FH_OK);
	fh_object_new_child(x, "a", &plain_type, NULL);
	add_alias(x, "b", y, "a");
	assert_text(x, "b", "<plain>/a");
	add_alias(x, "a", x, "b");
	assert_missing(x, "a", FH_ELOOP);
	assert_missing(y, "a", FH_ELOOP);
	fh_object_unref(x);
	fh_object_unref(y);
}

/* --- Children -------------------------------------------------------------------------------- */

static void child_reads_as_a_property(void **state)
{
	struct fh_object *object = fh_object_new_child(root_of(*state), "o", &plain_type, NULL);
	struct fh_object *child = fh_object_new_child(object, "c[*]", &plain_type, NULL);
	const struct fh_property hides = { .name = "c[0]", .kind = FH_PROPERTY_I32 };
	struct fh_object *found = NULL;

	assert_text(object, "c[0]", "/o/c[0]");
	assert_int_equal(fh_object_get_link(object, "c[0]", &found, NULL), FH_OK);
	assert_ptr_equal(found, child);
	fh_object_unref(found);
	assert_int_equal(fh_object_set_link(object, "c[0]", NULL, NULL), FH_EPERM);
	assert_int_equal(fh_object_set_text(object, "c[0]", "", NULL), FH_EPERM);
	assert_int_equal(fh_object_remove_property(object, "c[0]", NULL), FH_ENOENT);
	add(object, &hides, NULL);
	assert_text(object, "c[0]", "0");
	fh_object_dispose(object);
}

static void declared_child_is_of_its_type(void **state)
{
	struct fh_object *board = fh_object_new_child(root_of(*state), "b", &board_type, NULL);

	assert_text(board, "cpu", "");
	struct fh_object *wrong = fh_object_new_child(board, "cpu", &plain_type, NULL);

	assert_text(board, "cpu", "");
	fh_object_dispose(wrong);
	fh_object_new_child(board, "cpu", &device_type, NULL);
	assert_text(board, "cpu", "/b/cpu");
	assert_int_equal(fh_object_set_text(board, "cpu", "/b", NULL), FH_EPERM);
	fh_object_dispose(board);
}

/* --- Introspection --------------------------------------------------------------------------- */

struct list {
	char text[300];
	unsigned room;
};

static bool note(const struct fh_type *level, const struct fh_property *property, void *arg)
{
	struct list *list = arg;
	const size_t used = strlen(list->text);

	snprintf(list->text + used, sizeof(list->text) - used, "%s.%s:%s%s%s ",
		 level ? level->name : "", property->name, fh_property_kind_name(property->kind),
		 property->link_type ? "=" : "",
		 property->link_type ? property->link_type->name : "");
	return --list->room > 0;
}

static void each_property_visits_types_own_and_children(void **state)
{
	const struct fh_property own = { .name = "own", .kind = FH_PROPERTY_STRING };
	struct fh_object *object = fh_object_new(*state, &device_type, NULL);
	struct fh_object *target = fh_object_new(*state, &device_type, NULL);
	struct list all = { "", 100 }, three = { "", 3 };

	add(object, &own, NULL);
	add_alias(object, "baud", target, "speed");
	fh_object_new_child(object, "c", &plain_type, NULL);
	add_alias(object, "first", object, "c");
	fh_object_new_child(object, "own", &plain_type, NULL); /* hidden */
	fh_object_each_property(object, note, &all);
	assert_string_equal(all.text, "device.speed:u32 device.fixed:u32 .own:string .baud:u32 "
				      ".first:child=plain .c:child=plain ");
	fh_object_each_property(object, note, &three);
	assert_string_equal(three.text, "device.speed:u32 device.fixed:u32 .own:string ");
	fh_object_unref(target);
	all = (struct list){ "", 100 };
	fh_object_each_property(object, note, &all);
	assert_non_null(strstr(all.text, " .baud:alias "));
	fh_object_unref(object);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(property_without_state_keeps_a_value_of_every_kind),
		TEST(property_with_a_state_is_its_field),
		TEST(property_that_cannot_be_is_refused_and_leaves_the_state),
		TEST(detached_object_takes_no_property),
		TEST(callbacks_get_the_state),
		TEST(removal_releases_the_state_once),
		TEST(property_removed_in_its_own_callback_is_released_afterwards),
		TEST(removal_ends_links_and_strings),
		TEST(property_is_read_and_removed_in_finalize),
		TEST(failed_realize_removes_what_it_added),
		TEST(ten_thousand_are_found_and_removed),
		TEST(alias_reads_and_writes_what_it_stands_for),
		TEST(alias_keeps_nothing_and_says_that_its_target_is_gone),
		TEST(alias_without_end_is_refused),
		TEST(alias_that_comes_to_stand_for_itself_is_an_error),
		TEST(child_reads_as_a_property),
		TEST(declared_child_is_of_its_type),
		TEST(each_property_visits_types_own_and_children),
	};

	return cmocka_run_group_tests_name("property-own", tests, NULL, NULL);
}
