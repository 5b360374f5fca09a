/* SPDX-License-Identifier: MIT */
/* Paths, absolute and partial, and names that are numbered. */
#include "object/family.h"
#include "support/objects.h"

static const struct fh_type plain_type = { .name = "plain" };
static const struct fh_type other_type = { .name = "other" };

static struct fh_object *child(struct fh_object *parent, const char *name)
{
	struct fh_object *object = fh_object_new_child(parent, name, &plain_type, NULL);

	assert_non_null(object);
	return object;
}

static void assert_resolves(struct fh_machine *m, const char *path, const struct fh_type *type,
			    struct fh_object *wanted)
{
	struct fh_object *found = NULL;
	struct fh_error err = FH_ERROR_INIT;

	if (fh_machine_resolve(m, path, type, &found, &err) != FH_OK)
		fail_msg("%s: %s", path, err.message);
	assert_ptr_equal(found, wanted);
	fh_object_unref(found);
}

static void assert_refused(struct fh_machine *m, const char *path, const struct fh_type *type,
			   enum fh_code code, const char *text)
{
	struct fh_object *found = root_of(m);
	struct fh_error err = FH_ERROR_INIT;

	assert_int_equal(fh_machine_resolve(m, path, type, &found, &err), code);
	assert_says(&err, code, text);
	assert_ptr_equal(found, root_of(m)); /* untouched */
}

static void clear(struct fh_machine *m)
{
	struct fh_object *root = root_of(m);
	struct fh_object *last;

	while ((last = fh_object_last_child_locked(root)))
		fh_object_dispose(last);
}

/* --- Resolution ------------------------------------------------------------------------------ */

static void partial_path_names_what_ends_so(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *a = child(root_of(m), "a");
	struct fh_object *b = child(a, "b");
	struct fh_object *c = child(b, "c");

	assert_resolves(m, "/", NULL, root_of(m));
	assert_resolves(m, "/a/b/c", NULL, c);
	assert_resolves(m, "c", NULL, c);
	assert_resolves(m, "b/c", NULL, c);
	assert_resolves(m, "a/b", NULL, b);
	assert_refused(m, "a/c", NULL, FH_ENOENT, "no object has the path 'a/c'");
	assert_refused(m, "", NULL, FH_ENOENT, "");
	assert_refused(m, "c/", NULL, FH_ENOENT, "");
	assert_refused(m, "b//c", NULL, FH_ENOENT, "");
	assert_refused(m, "/b", NULL, FH_ENOENT, "");
	clear(m);
}

static void ambiguity_is_reported_with_two_that_match(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *a = child(root_of(m), "a");
	struct fh_object *b = child(root_of(m), "b");
	struct fh_object *first = child(a, "uart");

	assert_resolves(m, "uart", NULL, first);
	struct fh_object *second = child(b, "uart");

	assert_refused(m, "uart", NULL, FH_EAMBIGUOUS, "ambiguous: /a/uart, /b/uart");
	assert_resolves(m, "a/uart", NULL, first);
	assert_resolves(m, "b/uart", NULL, second);
	fh_object_dispose(first);
	assert_resolves(m, "uart", NULL, second);
	clear(m);
}

static void type_decides_among_those_of_one_name(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *a = child(root_of(m), "a");
	struct fh_object *plain = child(a, "x");
	struct fh_object *other = fh_object_new_child(plain, "x", &other_type, NULL);

	assert_refused(m, "x", NULL, FH_EAMBIGUOUS, "ambiguous");
	assert_resolves(m, "x", &plain_type, plain);
	assert_resolves(m, "x", &other_type, other);
	assert_refused(m, "a", &other_type, FH_ENOENT, "no object of type 'other'");
	assert_refused(m, "/a", &other_type, FH_ETYPE, "/a is a 'plain', not a 'other'");
	clear(m);
}

static void what_is_outside_the_tree_is_not_named(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *top = fh_object_new(m, &plain_type, NULL);
	struct fh_object *below = child(top, "below");

	assert_refused(m, "below", NULL, FH_ENOENT, "");
	assert_int_equal(fh_object_add_child(root_of(m), "top", top, NULL), FH_OK);
	assert_resolves(m, "below", NULL, below);
	fh_object_unref(top);
	clear(m);
}

/* --- Numbers --------------------------------------------------------------------------------- */

static void assert_named(const struct fh_object *object, const char *wanted)
{
	assert_string_equal(fh_object_name_of(object), wanted);
}

static void star_in_brackets_is_the_next_number(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *root = root_of(m);
	struct fh_object *loose = fh_object_new(m, &plain_type, NULL);

	assert_named(child(root, "slot[*]"), "slot[0]");
	struct fh_object *second = child(root, "slot[*]");

	assert_named(second, "slot[1]");
	assert_resolves(m, "slot[1]", NULL, second);
	assert_named(child(root, "port[*]"), "port[0]");
	child(root, "slot[2]");
	assert_int_equal(fh_object_add_child(root, "slot[*]", loose, NULL), FH_OK);
	assert_named(loose, "slot[3]");
	fh_object_unref(loose);
	assert_named(child(root, "[*]"), "[*]"); /* a name like any other */
	assert_named(child(root, "a[*]b"), "a[*]b");
	clear(m);
}

static void number_is_not_given_twice(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *root = root_of(m);

	fh_object_dispose(child(root, "slot[*]"));
	assert_named(child(root, "slot[*]"), "slot[1]");
	assert_named(child(root, "slot[0]"), "slot[0]"); /* the name itself is free */
	for (int i = 0; i < 200; i++) {
		char name[20];

		snprintf(name, sizeof(name), "n%d[*]", i);
		child(root, name);
	}
	assert_named(child(root, "slot[*]"), "slot[2]");
	assert_named(child(root, "n77[*]"), "n77[1]");
	clear(m);
}

/* --- Links ----------------------------------------------------------------------------------- */

struct linked {
	struct fh_object *to;
};

static const struct fh_property linked_properties[] = {
	{ .name = "to", .kind = FH_PROPERTY_LINK, .link_type = &other_type,
	  .offset = offsetof(struct linked, to) },
	{ .name = NULL },
};

static const struct fh_type linked_type = {
	.name = "linked", .state_size = sizeof(struct linked), .properties = linked_properties
};

static void link_takes_a_partial_path_from_text(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *linked = fh_object_new_child(root_of(m), "l", &linked_type, NULL);
	struct fh_object *a = child(root_of(m), "a");
	struct fh_error err = FH_ERROR_INIT;

	fh_object_new_child(a, "x", &other_type, NULL);
	child(root_of(m), "x"); /* of another type: does not count */
	assert_int_equal(fh_object_set_text(linked, "to", "x", &err), FH_OK);
	assert_text(linked, "to", "/a/x");
	fh_object_new_child(linked, "x", &other_type, NULL);
	assert_int_equal(fh_object_set_text(linked, "to", "x", &err), FH_EAMBIGUOUS);
	assert_says(&err, FH_EAMBIGUOUS, "property 'to': the path 'x' is ambiguous: /a/x, /l/x");
	assert_text(linked, "to", "/a/x");
	clear(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(partial_path_names_what_ends_so),
		TEST(ambiguity_is_reported_with_two_that_match),
		TEST(type_decides_among_those_of_one_name),
		TEST(what_is_outside_the_tree_is_not_named),
		TEST(star_in_brackets_is_the_next_number),
		TEST(number_is_not_given_twice),
		TEST(link_takes_a_partial_path_from_text),
	};

	return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
