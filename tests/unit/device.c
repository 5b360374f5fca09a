/* SPDX-License-Identifier: MIT */
/*
 * Devices: how they are made, what domain they are in, what they offer.
 */
#include "support/part.h"

#include "memory/region.h"
#include "support/dies.h"

/* --- Creation ------------------------------------------------------------------------------- */

static const struct fh_type plain_type = { .name = "plain" };

static void new_refuses_what_is_not_a_device(void **state)
{
	struct fh_error err = FH_ERROR_INIT;

	assert_null(fh_device_new(*state, &plain_type, "x", NULL, &err));
	assert_int_equal(err.code, FH_ETYPE);
	assert_null(fh_device_new(*state, &fh_device_type, "x", NULL, NULL));
}

static void wrong_setting_leaves_nothing(void **state)
{
	const struct fh_setting settings[] = {
		{ "fail", "off" }, { "colour", "red" }, { NULL, NULL }
	};
	struct fh_error err = FH_ERROR_INIT;
	struct fh_machine *m = *state;

	assert_null(fh_device_plug(m, &part_type, "x", settings, &err));
	assert_int_equal(err.code, FH_ENOENT);
	assert_ptr_equal(strstr(err.message, "part 'x': "), err.message);
	assert_trace("");
	assert_null(fh_object_find(m, "/x"));
	machine_check_alive(m, 0);
}

static void plug_by_name_finds_the_type(void **state)
{
	struct fh_machine *m = *state;
	struct fh_error err = FH_ERROR_INIT;

	assert_null(fh_device_plug_named(m, "part", "x", NULL, &err));
	assert_int_equal(err.code, FH_ENOENT);
	assert_int_equal(fh_machine_add_type(m, &part_type, NULL), FH_OK);
	assert_non_null(fh_device_plug_named(m, "part", "x", NULL, NULL));
	assert_null(fh_device_plug_named(m, "part", "x", NULL, &err));
	assert_trace("realize(x)");
}

static void plug_under_the_dead_is_refused(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *parent = part_new(m, "parent", NULL);
	struct fh_error err = FH_ERROR_INIT;

	fh_object_ref(parent);
	fh_object_dispose(parent);
	assert_null(fh_device_plug(parent, &part_type, "x", NULL, &err));
	assert_int_equal(err.code, FH_EDEAD);
	fh_object_unref(parent);
}

static void name_is_free_after_a_failed_plug(void **state)
{
	const struct fh_setting fail[] = { { "fail", "on" }, { NULL, NULL } };
	struct fh_machine *m = *state;

	assert_null(fh_device_plug(m, &part_type, "x", fail, NULL));
	assert_non_null(fh_device_plug(m, &part_type, "x", NULL, NULL));
}

/* --- Domains -------------------------------------------------------------------------------- */

static const struct fh_device_ops own_device = { .own_domain = true };
static const struct fh_type own_type = {
	.name = "own", .parent = &part_type, .device = &own_device
};

static const struct fh_type below_own_type = { .name = "below-own", .parent = &own_type };

static void subtree_shares_the_domain_of_its_topmost_device(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *top = part_new(m, "top", NULL);
	struct fh_object *bus = fh_object_new_child(top, "bus", &plain_type, NULL);
	struct fh_device *child = part_new(bus, "child", NULL);
	struct fh_device *grandchild = part_new(child, "grandchild", NULL);
	struct fh_device *own = fh_device_new(child, &own_type, "own", NULL, NULL);
	struct fh_device *below = part_new(own, "below", NULL);
	struct fh_device *derived = fh_device_new(child, &below_own_type, "derived", NULL, NULL);

	assert_ptr_equal(fh_device_domain(grandchild), fh_device_domain(top));
	assert_ptr_equal(fh_device_domain(child), fh_device_domain(top));
	assert_ptr_equal(fh_device_domain_of(bus), fh_device_domain(top));
	assert_ptr_not_equal(fh_device_domain(below), fh_device_domain(top));
	assert_ptr_equal(fh_device_domain(below), fh_device_domain(own));
	/* To have one's own is not inherited by types. */
	assert_ptr_equal(fh_device_domain(derived), fh_device_domain(top));
	assert_null(fh_device_domain_of(fh_machine_root(m)));
	assert_ptr_not_equal(fh_device_domain(part_new(m, "other", NULL)), fh_device_domain(top));
}

static void region_is_serialised_by_the_domain_of_its_device(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *top = part_new(m, "10", NULL);
	struct fh_device *child = part_new(top, "11", &mapping);

	assert_int_equal(fh_device_realize(top, NULL), FH_OK);
	assert_ptr_equal(fh_device_region(child, "regs")->domain, fh_device_domain(top));
}

struct call {
	struct fh_device *device;
	unsigned calls;
	bool nested;
};

static void count_call(void *state)
{
	struct call *call = state;

	assert_true(fh_domain_is_mine(fh_device_domain(call->device)));
	if (call->calls++ == 0)
		call->nested = fh_device_call(call->device, count_call, call);
}

static void call_runs_in_the_domain_and_is_not_entered_again(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = part_new(m, "x", NULL);
	struct call call = { .device = device, .nested = true };

	assert_false(fh_device_call(device, count_call, &call)); /* not shown yet */
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	assert_true(fh_device_call(device, count_call, &call));
	assert_int_equal(call.calls, 1);
	assert_false(call.nested);
	fh_object_ref(device);
	fh_device_unplug(device);
	assert_false(fh_device_call(device, count_call, &call));
	assert_int_equal(call.calls, 1);
	fh_object_unref(device);
}

/* --- Exports -------------------------------------------------------------------------------- */

static void exports_are_found_by_name_and_index(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *device = part_new(m, "x", NULL);
	struct fh_device *child = part_new(device, "child", NULL);
	struct fh_region *a = fh_region_new_container(device, "a", 16);
	struct fh_region *b = fh_region_new_container(device, NULL, 16);
	struct fh_region *hidden = fh_region_new_container(device, "hidden", 16);
	struct fh_region *c = fh_region_new_container(child, "c", 16);

	assert_int_equal(fh_device_export(device, b, NULL), FH_OK);
	assert_int_equal(fh_device_export(device, a, NULL), FH_OK);
	assert_int_equal(fh_device_export(child, c, NULL), FH_OK);
	assert_ptr_equal(fh_device_region(device, "a"), a);
	assert_ptr_equal(fh_device_region_at(device, 0), b);
	assert_ptr_equal(fh_device_region_at(device, 1), a);
	assert_null(fh_device_region_at(device, 2));
	assert_null(fh_device_region(device, "hidden"));
	assert_null(fh_device_region(device, "c"));
	assert_int_equal(fh_device_export(device, a, NULL), FH_EEXIST);
	assert_int_equal(fh_device_export(device, c, NULL), FH_EINVAL);
	assert_int_equal(fh_device_export(device, NULL, NULL), FH_EDEAD);
	fh_region_destroy(b);
	assert_null(fh_device_region_at(device, 0));
	assert_ptr_equal(fh_device_region_at(device, 1), a);
	(void)hidden;
}

/* --- What a programmer does wrong ----------------------------------------------------------- */

static void realize_in_a_transaction(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_device *device = part_new(m, "x", NULL);

	fh_edit_begin(m);
	fh_device_realize(device, NULL);
}

static void realize_in_a_section(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_device *device = part_new(m, "x", NULL);

	fh_read_begin();
	fh_device_realize(device, NULL);
}

static void realize_child(void *state)
{
	fh_blocking_begin();
	fh_device_realize(state, NULL);
}

static void realize_in_a_callback_of_the_domain(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_device *device = fh_device_plug(m, &part_type, "x", NULL, NULL);

	fh_device_call(device, realize_child, part_new(device, "child", NULL));
}

static void name_two_lines_alike(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_device *device = fh_device_plug(m, &part_type, "x", NULL, NULL);

	fh_irq_new(device, "irq");
	fh_irq_new(device, "irq");
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(realize_in_a_transaction, "assertion failed"));
	assert_true(dies_saying(realize_in_a_section, "assertion failed"));
	assert_true(dies_saying(realize_in_a_callback_of_the_domain, "assertion failed"));
	assert_true(dies_saying(name_two_lines_alike, "irq 'irq' of a device"));
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misuse_is_asserted), /* first: it forks */
		test(new_refuses_what_is_not_a_device),
		test(wrong_setting_leaves_nothing),
		test(plug_by_name_finds_the_type),
		test(plug_under_the_dead_is_refused),
		test(name_is_free_after_a_failed_plug),
		test(subtree_shares_the_domain_of_its_topmost_device),
		test(region_is_serialised_by_the_domain_of_its_device),
		test(call_runs_in_the_domain_and_is_not_entered_again),
		test(exports_are_found_by_name_and_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
