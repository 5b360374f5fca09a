/* SPDX-License-Identifier: MIT */
/* Objects: types, birth and death, the tree, casts, weak references, watches. */
#include "support/probe.h"

#include <stdio.h>
#include <string.h>

#include "object/machine.h"
#include "object/object.h"
#include "support/dies.h"

/* What happened, as letters: i and I init of base and derived, d D dispose, f F finalize. */
static char said[32];

static void say(char c)
{
	const size_t length = strlen(said);

	if (length < sizeof(said) - 1)
		said[length] = c;
}

static int forget(void **unused)
{
	(void)unused;
	memset(said, 0, sizeof(said));
	return 0;
}

struct base_state {
	int value;
};

struct derived_state {
	int value;
};

static bool fail_next;

static enum fh_code base_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)object;
	(void)err;
	((struct base_state *)state)->value = 1;
	say('i');
	return FH_OK;
}

static enum fh_code derived_init(struct fh_object *object, void *state, struct fh_error *err)
{
	((struct derived_state *)state)->value = 2;
	say('I');
	if (!fail_next)
		return FH_OK;
	assert_non_null(fh_region_new_container(object, "part", 0x100));
	return fh_error_set(err, FH_EIO, "told to fail");
}

static void base_dispose(struct fh_object *object, void *state)
{
	(void)object;
	assert_int_equal(((struct base_state *)state)->value, 1);
	say('d');
}

static void derived_dispose(struct fh_object *object, void *state)
{
	(void)object;
	assert_int_equal(((struct derived_state *)state)->value, 2);
	say('D');
}

static void base_finalize(struct fh_object *object, void *state)
{
	(void)object;
	assert_int_equal(((struct base_state *)state)->value, 1);
	say('f');
}

static void derived_finalize(struct fh_object *object, void *state)
{
	(void)object;
	assert_int_equal(((struct derived_state *)state)->value, 2);
	say('F');
}

static const struct fh_interface greeting = { .name = "greeting" };
static const struct fh_interface unknown = { .name = "unknown" };
static const char base_hello[] = "base", derived_hello[] = "derived";

static const struct fh_type base_type = {
	.name = "base",
	.state_size = sizeof(struct base_state),
	.init = base_init,
	.dispose = base_dispose,
	.finalize = base_finalize,
	.interfaces = (const struct fh_interface_entry[]){ { &greeting, base_hello }, { 0 } },
};

static const struct fh_type derived_type = {
	.name = "derived",
	.parent = &base_type,
	.state_size = sizeof(struct derived_state),
	.init = derived_init,
	.dispose = derived_dispose,
	.finalize = derived_finalize,
	.interfaces = (const struct fh_interface_entry[]){ { &greeting, derived_hello }, { 0 } },
};

static const struct fh_type leaf_type = { .name = "leaf", .parent = &derived_type };
static const struct fh_type other_type = { .name = "other" };
static const struct fh_type abstract_type = { .name = "abstract", .abstract = true };

static enum fh_code silent_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)object, (void)state, (void)err;
	return FH_EIO;
}

static const struct fh_type silent_type = { .name = "silent", .init = silent_init };

static void dispose_and_finalize_go_derived_first(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	fh_object_unref(fh_object_new(m, &derived_type, NULL));
	assert_string_equal(said, "iIDdFf");
	machine_end(m);
}

static void failed_init_leaves_nothing(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_error err = FH_ERROR_INIT;

	(void)unused;
	fail_next = true;
	assert_null(fh_object_new(m, &derived_type, &err));
	assert_int_equal(err.code, FH_EIO);
	assert_non_null(strstr(err.message, "told to fail"));
	fh_error_clear(&err);
	assert_null(fh_object_new(m, &silent_type, &err));
	assert_int_equal(err.code, FH_EIO);
	assert_string_equal(err.message, "silent: its init failed with FH_EIO");
	fh_machine_drain(m);
	assert_null(fh_object_new_child(m, "name", &derived_type, NULL));
	fh_machine_drain(m);
	fail_next = false;
	/* Of the levels, only the one whose init had succeeded. */
	assert_string_equal(said, "iIdfiIdf");
	assert_non_null(fh_object_new_child(m, "name", &derived_type, NULL));
	assert_null(fh_object_find_child(m, "nobody"));
	struct fh_object *named = fh_object_find(m, "/name");

	fh_object_dispose(named);
	fh_object_unref(named);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void no_ref_once_refs_are_zero(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = fh_object_new_child(m, "holder", &other_type, NULL);
	struct fh_object *object = fh_object_new(m, &base_type, NULL);
	struct fh_weak *weak = fh_weak_new(object);
	struct fh_pin *pin = fh_object_pin(object, holder, "test");

	(void)unused;
	assert_true(fh_object_try_ref(object));
	fh_object_unref(object);
	fh_object_unref(object);
	/* The pin keeps its memory, and nothing brings it back. */
	assert_true(fh_object_is_disposed(object));
	assert_false(fh_object_try_ref(object));
	assert_null(fh_weak_get(weak));
	assert_string_equal(said, "id");
	fh_unpin(pin);
	fh_machine_drain(m);
	assert_string_equal(said, "idf");
	fh_weak_free(weak);
	fh_object_dispose(holder);
	machine_end(m);
}

static void casts_and_interfaces_follow_the_type(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *leaf = fh_object_new(m, &leaf_type, NULL);
	struct fh_object *base = fh_object_new(m, &base_type, NULL);

	(void)unused;
	assert_ptr_equal(fh_object_cast(leaf, &leaf_type), leaf);
	assert_ptr_equal(fh_object_cast(leaf, &base_type), leaf);
	assert_ptr_equal(fh_object_cast(leaf, &fh_object_type), leaf);
	assert_null(fh_object_cast(leaf, &other_type));
	assert_null(fh_object_cast(base, &derived_type));
	assert_null(fh_object_cast(base, &fh_device_type));
	assert_int_equal(((struct base_state *)fh_object_state(leaf, &base_type))->value, 1);
	assert_int_equal(((struct derived_state *)fh_object_state(leaf, &derived_type))->value, 2);
	assert_ptr_equal(fh_object_interface(leaf, &greeting), derived_hello);
	assert_ptr_equal(fh_object_interface(base, &greeting), base_hello);
	assert_null(fh_object_interface(base, &unknown));
	assert_ptr_equal(fh_object_get_type(leaf), &leaf_type);
	fh_object_unref(leaf);
	fh_object_unref(base);
	machine_end(m);
}

static void abstract_types_and_wrong_names_are_refused(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_error err = FH_ERROR_INIT;
	struct fh_object *a = fh_object_new_child(m, "a", &other_type, NULL);
	struct fh_object *b = fh_object_new_child(a, "b", &other_type, NULL);
	struct fh_object *loose = fh_object_new(m, &other_type, NULL);

	(void)unused;
	assert_null(fh_object_new(m, &abstract_type, &err));
	assert_int_equal(err.code, FH_ETYPE);
	assert_int_equal(fh_object_add_child(a, "x/y", loose, NULL), FH_EINVAL);
	assert_int_equal(fh_object_add_child(a, "", loose, NULL), FH_EINVAL);
	assert_int_equal(fh_object_add_child(a, "b", loose, NULL), FH_EEXIST);
	assert_int_equal(fh_object_add_child(a, "c", loose, NULL), FH_OK);
	assert_int_equal(fh_object_add_child(m, NULL, loose, NULL), FH_EBUSY);
	assert_int_equal(fh_object_add_child(b, NULL, a, NULL), FH_EBUSY);
	fh_object_unref(loose);
	fh_object_dispose(a);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void run_add(void *arg)
{
	struct fh_object *const *objects = arg;

	CHECK(fh_object_add_child(objects[0], "b", objects[1], NULL) == FH_EEXIST);
}

/* Whoever asks for a name keeps it as long as the object. */
static void name_that_is_refused_is_never_seen(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *a = fh_object_new_child(m, "a", &other_type, NULL);
	struct fh_object *objects[] = { a, fh_object_new(m, &other_type, NULL) };
	struct worker worker;

	(void)unused;
	fh_object_new_child(a, "b", &other_type, NULL);
	fh_edit_begin(m);
	worker_start(&worker, run_add, objects);
	/* It waits to link the object. */
	assert_false(worker_done_within(&worker, 50));
	assert_null(fh_object_name(objects[1]));
	fh_edit_commit(m);
	worker_join(&worker);
	assert_int_equal(fh_object_add_child(a, "c", objects[1], NULL), FH_OK);
	assert_string_equal(fh_object_name(objects[1]), "c");
	fh_object_unref(objects[1]);
	fh_object_dispose(a);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void a_tree_cannot_be_put_below_itself(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *top = fh_object_new(m, &other_type, NULL);
	struct fh_object *low = fh_object_new_child(top, "low", &other_type, NULL);

	(void)unused;
	assert_int_equal(fh_object_add_child(low, "top", top, NULL), FH_ELOOP);
	fh_object_unref(top);
	machine_check_alive(m, 0);
	machine_end(m);
}

static bool count_children(struct fh_object *child, void *arg)
{
	(void)child;
	++*(unsigned *)arg;
	return true;
}

static bool dispose_child(struct fh_object *child, void *arg)
{
	(void)arg;
	fh_object_dispose(child);
	return true;
}

static void paths_find_what_they_name(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *a = fh_object_new_child(m, "a", &other_type, NULL);
	char name[16], path[64];
	unsigned count = 0;

	(void)unused;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_non_null(fh_object_new_child(a, name, &other_type, NULL));
	}
	for (int i = 0; i < 1000; i += 2) {
		snprintf(name, sizeof(name), "n%d", i);
		struct fh_object *child = fh_object_find_child(a, name);

		assert_non_null(child);
		fh_object_dispose(child);
		fh_object_unref(child);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/a/n%d", i);
		struct fh_object *child = fh_object_find(m, path);

		assert_int_equal(child != NULL, i % 2);
		if (!child)
			continue;
		assert_int_equal(fh_object_path(child, name, 4), strlen(path));
		assert_string_equal(name, "/a/");
		fh_object_unref(child);
	}
	fh_object_each_child(a, count_children, &count);
	assert_int_equal(count, 500);
	fh_object_each_child(a, dispose_child, NULL);
	fh_object_each_child(a, count_children, &count);
	assert_int_equal(count, 500);
	assert_null(fh_object_find(m, "a"));
	assert_null(fh_object_find(m, "/a/"));
	assert_null(fh_object_find(m, "/a/b/c"));
	fh_object_path(m, path, sizeof(path));
	assert_string_equal(path, "/");
	fh_object_dispose(a);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void children_leave_last_created_first(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *top = fh_object_new_child(m, "top", &base_type, NULL);

	(void)unused;
	fh_object_new_child(top, "one", &derived_type, NULL);
	fh_object_new_child(top, "two", &base_type, NULL);
	forget(NULL);
	fh_object_dispose(top);
	fh_machine_drain(m);
	/* When they are finalized, and in which order, is the reaper's business. */
	char disposed[sizeof(said)] = "";

	for (size_t i = 0, n = 0; said[i]; i++)
		if (said[i] == 'd' || said[i] == 'D')
			disposed[n++] = said[i];
	assert_string_equal(disposed, "dDdd");
	machine_end(m);
}

static void unpinned_ref_pairs_do_not_dispose(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = fh_object_new(m, &base_type, NULL);

	(void)unused;
	for (int i = 0; i < 100; i++)
		fh_object_ref(object);
	for (int i = 0; i < 100; i++)
		fh_object_unref(object);
	assert_false(fh_object_is_disposed(object));
	assert_string_equal(said, "i");
	fh_object_unref(object);
	assert_string_equal(said, "idf");
	machine_end(m);
}

static void types_are_found_by_name(void **unused)
{
	struct fh_machine *m = machine_begin();
	static const struct fh_type impostor = { .name = "base" };

	(void)unused;
	assert_null(fh_machine_find_type(m, "derived"));
	assert_int_equal(fh_machine_add_type(m, &derived_type, NULL), FH_OK);
	assert_int_equal(fh_machine_add_type(m, &derived_type, NULL), FH_OK);
	assert_ptr_equal(fh_machine_find_type(m, "base"), &base_type);
	assert_int_equal(fh_machine_add_type(m, &impostor, NULL), FH_EEXIST);
	machine_end(m);
}

/* --- The order of locks (object.h R3) ------------------------------------------------------- */

static void tree_in_ledger(void) FH_NO_THREAD_SAFETY_ANALYSIS
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	fh_ledger_acquire(m);
	fh_tree_acquire(m);
}

static void tree_in_links(void) FH_NO_THREAD_SAFETY_ANALYSIS
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	fh_links_acquire(m);
	fh_tree_acquire(m);
}

static void ledger_in_links(void) FH_NO_THREAD_SAFETY_ANALYSIS
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	fh_links_acquire(m);
	fh_ledger_acquire(m);
}

static void topology_in_tree(void) FH_NO_THREAD_SAFETY_ANALYSIS
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	fh_tree_acquire(m);
	m->ops->edit_begin(m);
}

static void order_of_locks_is_asserted(void **unused)
{
	struct fh_machine *m;

	(void)unused;
	assert_true(dies_saying(tree_in_ledger, "ledger_lock"));
	assert_true(dies_saying(tree_in_links, "links_lock"));
	assert_true(dies_saying(ledger_in_links, "links_lock"));
	assert_true(dies_saying(topology_in_tree, "tree_lock"));
	m = machine_begin();
	m->ops->edit_begin(m);
	fh_tree_acquire(m);
	fh_ledger_acquire(m);
	fh_links_acquire(m);
	fh_lock_release(&m->links_lock);
	fh_lock_release(&m->ledger_lock);
	fh_lock_release(&m->tree_lock);
	m->ops->edit_commit(m);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(dispose_and_finalize_go_derived_first, forget),
		cmocka_unit_test_setup(failed_init_leaves_nothing, forget),
		cmocka_unit_test_setup(no_ref_once_refs_are_zero, forget),
		cmocka_unit_test_setup(casts_and_interfaces_follow_the_type, forget),
		cmocka_unit_test_setup(abstract_types_and_wrong_names_are_refused, forget),
		cmocka_unit_test(name_that_is_refused_is_never_seen),
		cmocka_unit_test_setup(a_tree_cannot_be_put_below_itself, forget),
		cmocka_unit_test_setup(paths_find_what_they_name, forget),
		cmocka_unit_test_setup(children_leave_last_created_first, forget),
		cmocka_unit_test_setup(unpinned_ref_pairs_do_not_dispose, forget),
		cmocka_unit_test_setup(types_are_found_by_name, forget),
		cmocka_unit_test_setup(order_of_locks_is_asserted, forget),
	};

	return cmocka_run_group_tests_name("unit/object", tests, NULL, NULL);
}
