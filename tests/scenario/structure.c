/* SPDX-License-Identifier: MIT */
/*
 * Structure counts nothing (L2), what the guest sees is pinned (L3): containers and subregions,
 * aliases and targets, spaces and roots, in every order of death.
 */
#include "support/probe.h"

#include <string.h>
#include <time.h>

#define BASE UINT64_C(0x10000000)

static struct fh_region *memory_root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

/* Container and subregion of one owner. */
static enum fh_code realize_container(struct probe *probe, struct fh_error *err)
{
	struct fh_region *container = fh_region_new_container(probe->device, "window", 0x10000);

	probe->data = container;
	assert_int_equal(fh_region_add(container, probe->regs, 0x1000, 0), FH_OK);
	assert_int_equal(fh_region_add(container, probe->ram, 0x2000, 0), FH_OK);
	return fh_device_export(probe->device, container, err);
}

static void container_and_subregion_of_one_owner_die_together(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .realize = realize_container };
	struct fh_device *device = probe_new(m, "a", &hooks);

	(void)unused;
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	assert_int_equal(fh_region_add(memory_root(m), fh_device_region(device, "window"), BASE, 0),
			 FH_OK);
	assert_int_equal(load32(m, BASE + 0x1000, FH_TX_OK), PROBE_CANARY);
	fh_device_unplug(device);
	load32(m, BASE + 0x1000, FH_TX_DECODE_ERROR);
	machine_check_alive(m, 0);
	assert_int_equal(hooks.finalized, 1);
	machine_end(m);
}

/* Device A with child B whose region sits in A's container. */
static void child_in_parents_container(bool child_first)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks parent = { .realize = realize_container }, child = { 0 };
	struct fh_device *a = probe_new(m, "a", &parent);
	struct fh_device *b;

	assert_int_equal(fh_device_realize(a, NULL), FH_OK);
	b = probe_new(a, "b", &child);
	assert_int_equal(fh_device_realize(b, NULL), FH_OK);
	assert_int_equal(fh_region_add(fh_device_region(a, "window"), fh_device_region(b, "regs"),
				       0x8000, 0),
			 FH_OK);
	assert_int_equal(fh_region_add(memory_root(m), fh_device_region(a, "window"), BASE, 0),
			 FH_OK);
	load32(m, BASE + 0x8000, FH_TX_OK);
	if (child_first) {
		fh_device_unplug(b);
		load32(m, BASE + 0x8000, FH_TX_DECODE_ERROR);
		load32(m, BASE + 0x1000, FH_TX_OK);
		fh_machine_drain(m);
		assert_int_equal(child.finalized, 1);
		assert_int_equal(parent.finalized, 0);
	}
	fh_device_unplug(a);
	load32(m, BASE + 0x8000, FH_TX_DECODE_ERROR);
	machine_check_alive(m, 0);
	assert_int_equal(child.finalized, 1);
	assert_int_equal(parent.finalized, 1);
	machine_end(m);
}

static void child_in_parents_container_dies_with_the_parent(void **unused)
{
	(void)unused;
	child_in_parents_container(false);
}

static void child_in_parents_container_dies_before_the_parent(void **unused)
{
	(void)unused;
	child_in_parents_container(true);
}

/* Regions of A and B in each other's containers. */
static void regions_in_each_others_containers_leave_no_cycle(void **unused)
{
	(void)unused;
	for (int first = 0; first < 2; first++) {
		struct fh_machine *m = machine_begin();
		struct probe_hooks hooks[2] = { { .realize = realize_container },
						{ .realize = realize_container } };
		struct fh_device *device[2] = { probe_new(m, "a", &hooks[0]),
						probe_new(m, "b", &hooks[1]) };

		for (int i = 0; i < 2; i++) {
			assert_int_equal(fh_device_realize(device[i], NULL), FH_OK);
			assert_int_equal(fh_region_add(memory_root(m),
						       fh_device_region(device[i], "window"),
						       BASE * (uint64_t)(i + 1), 0),
					 FH_OK);
		}
		for (int i = 0; i < 2; i++) {
			struct fh_region *alias = fh_region_new_alias(
				device[i], "shared", fh_device_region(device[i], "regs"), 0,
				PROBE_SIZE);

			assert_int_equal(fh_region_add(fh_device_region(device[1 - i], "window"),
						       alias, 0x9000, 0),
					 FH_OK);
		}
		load32(m, BASE + 0x9000, FH_TX_OK);
		load32(m, 2 * BASE + 0x9000, FH_TX_OK);
		fh_device_unplug(device[first]);
		/*
		 * What the dead one showed in the other's container is a hole, the rest is there.
		 */
		load32(m, BASE * (uint64_t)(2 - first) + 0x9000, FH_TX_DECODE_ERROR);
		load32(m, BASE * (uint64_t)(2 - first) + 0x1000, FH_TX_OK);
		fh_machine_drain(m);
		assert_int_equal(hooks[first].finalized, 1);
		assert_int_equal(hooks[1 - first].finalized, 0);
		fh_device_unplug(device[1 - first]);
		machine_check_alive(m, 0);
		machine_end(m);
	}
}

static void region_without_a_name_lives_and_dies(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	char path[64];

	(void)unused;
	for (int i = 0; i < 3; i++) {
		struct fh_region *region = fh_region_new_container(device, NULL, 0x100);

		assert_non_null(region);
		assert_null(fh_object_name(region));
		fh_object_path(region, path, sizeof(path));
		assert_ptr_equal(strstr(path, "/a/<"), path);
		assert_int_equal(fh_region_add(memory_root(m), region, 0x100 * (uint64_t)i, 0),
				 FH_OK);
	}
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void alias_whose_target_dies_shows_a_hole(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_region *alias = fh_region_new_alias(m, "alias", fh_device_region(device, "regs"),
						      0x800, 0x800);
	struct fh_region *second = fh_region_new_alias(m, "second", alias, 0, 0x800);

	(void)unused;
	assert_int_equal(fh_region_add(memory_root(m), alias, 0x1000, 0), FH_OK);
	assert_int_equal(fh_region_add(memory_root(m), second, 0x2000, 0), FH_OK);
	load32(m, 0x1000, FH_TX_OK);
	load32(m, 0x2000, FH_TX_OK);
	fh_device_unplug(device);
	load32(m, 0x1000, FH_TX_DECODE_ERROR);
	load32(m, 0x2000, FH_TX_DECODE_ERROR);
	assert_null(fh_region_get_info(alias).alias_target);
	machine_check_alive(m, 2);
	fh_object_unref(alias);
	fh_object_unref(second);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void target_whose_alias_dies_is_untouched(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_region *alias =
		fh_region_new_alias(m, "alias", fh_device_region(device, "regs"), 0, PROBE_SIZE);

	(void)unused;
	assert_int_equal(fh_region_add(memory_root(m), alias, 0x1000, 0), FH_OK);
	alias = fh_object_unref(alias);
	load32(m, 0x1000, FH_TX_DECODE_ERROR);
	load32(m, BASE, FH_TX_OK);
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* An owner that is no device: its last ref goes while a region of it is mapped and visible. */
static const struct fh_type plain_type = { .name = "plain" };

static void owner_whose_last_ref_goes_vanishes_at_once(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *owner = fh_object_new(m, &plain_type, NULL);
	struct fh_region *ram = fh_region_new_ram(owner, "ram", 0x1000, NULL);

	(void)unused;
	assert_int_equal(fh_region_add(memory_root(m), ram, 0x1000, 0), FH_OK);
	store32(m, 0x1000, 7, FH_TX_OK);
	fh_object_unref(owner);
	load32(m, 0x1000, FH_TX_DECODE_ERROR);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* A reader that is in its section keeps what it found, whatever happens meanwhile (L3). */
static void what_a_reader_found_stays_until_its_section_ends(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x1000, NULL);
	struct fh_section section;

	(void)unused;
	assert_int_equal(fh_region_add(memory_root(m), ram, 0x1000, 0), FH_OK);
	store32(m, 0x1000, 7, FH_TX_OK);
	fh_read_begin();
	assert_true(fh_space_lookup(fh_machine_memory(m), 0x1000, &section));
	ram = fh_object_unref(ram);
	load32(m, 0x1000, FH_TX_DECODE_ERROR);
	for (int i = 0; i < 20; i++) {
		const struct timespec ms = { .tv_nsec = 1000000 };

		nanosleep(&ms, NULL);
		assert_int_equal(*(volatile uint32_t *)section.ptr, 7);
		assert_int_equal(fh_ledger_read(m).alive, 1);
	}
	fh_read_end();
	machine_check_alive(m, 0);
	machine_end(m);
}

/* The root of the space belongs to the device that owns the space. */
static enum fh_code realize_space(struct probe *probe, struct fh_error *err)
{
	struct fh_region *root = fh_region_new_container(probe->device, "root", FH_SIZE_ALL);

	(void)err;
	assert_int_equal(fh_region_add(root, probe->ram, 0, 0), FH_OK);
	probe->space = fh_space_new(probe->device, "dma", root);
	assert_non_null(probe->space);
	probe->data = root;
	return FH_OK;
}

static void space_and_its_root_of_one_owner_die_together(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .realize = realize_space };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_space *space = fh_object_ref(probe_of(device)->space);
	uint32_t value;

	(void)unused;
	assert_int_equal(fh_space_store32(space, 0, 5, FH_LE), FH_TX_OK);
	fh_device_unplug(device);
	/* The space outlives its place in the machine for whoever has a ref, and is empty. */
	assert_int_equal(fh_space_load32(space, 0, FH_LE, &value), FH_TX_DECODE_ERROR);
	assert_null(fh_space_root(space));
	assert_int_equal(fh_space_set_root(space, memory_root(m)), FH_EDEAD);
	fh_object_unref(space);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void spaces_that_show_each_other_leave_no_cycle(void **unused)
{
	(void)unused;
	for (int first = 0; first < 2; first++) {
		struct fh_machine *m = machine_begin();
		struct probe_hooks hooks[2] = { { .realize = realize_space },
						{ .realize = realize_space } };
		struct fh_device *device[2] = { probe_plug(m, "a", &hooks[0], BASE),
						probe_plug(m, "b", &hooks[1], 2 * BASE) };
		uint32_t value;

		for (int i = 0; i < 2; i++) {
			struct fh_region *other = fh_region_new_alias(
				device[i], "other", fh_device_region(device[1 - i], "regs"), 0,
				PROBE_SIZE);

			assert_int_equal(fh_region_add(probe_of(device[i])->data, other, 0x100000, 0),
					 FH_OK);
		}
		assert_int_equal(fh_space_load32(probe_of(device[0])->space, 0x100000, FH_LE,
						 &value),
				 FH_TX_OK);
		fh_device_unplug(device[first]);
		assert_int_equal(fh_space_load32(probe_of(device[1 - first])->space, 0x100000,
						 FH_LE, &value),
				 FH_TX_DECODE_ERROR);
		fh_machine_drain(m);
		assert_int_equal(hooks[first].finalized, 1);
		fh_device_unplug(device[1 - first]);
		machine_check_alive(m, 0);
		machine_end(m);
	}
}

static void name_is_free_when_unplug_returns(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks[8] = { 0 };
	struct fh_device *held[8];

	(void)unused;
	for (int i = 0; i < 8; i++) {
		struct fh_device *device = probe_plug(m, "a", &hooks[i], BASE);
		char path[32];

		held[i] = fh_object_ref(device);
		load32(m, BASE, FH_TX_OK);
		fh_device_unplug(device);
		load32(m, BASE, FH_TX_DECODE_ERROR);
		/* Disposed, not finalized: it keeps a copy of its last path. */
		fh_object_path(held[i], path, sizeof(path));
		assert_string_equal(path, "/a");
	}
	for (int i = 0; i < 8; i++) {
		fh_machine_drain(m);
		assert_int_equal(hooks[i].finalized, 0);
		fh_object_unref(held[i]);
	}
	machine_check_alive(m, 0);
	machine_end(m);
}

/*
 * Removal of what is being torn down, from dispose and finalize, before and after the core did it.
 */
static void tear_down(struct probe *probe)
{
	fh_region_remove(probe->regs);
	fh_region_destroy(probe->regs);
	fh_region_destroy(probe->regs);
	fh_region_remove(probe->ram);
	if (probe->data)
		fh_device_unplug(probe->data);
	fh_device_unplug(probe->device);
}

static void tear_down_refs(struct probe *probe)
{
	fh_region_remove(probe->regs);
	fh_region_destroy(probe->regs);
	fh_object_unref(probe->regs);
}

static void callbacks_may_remove_what_is_removed_already(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .unrealize = tear_down, .dispose = tear_down,
				     .finalize = tear_down_refs };
	struct probe_hooks child_hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_device *child = probe_new(device, "child", &child_hooks);

	(void)unused;
	assert_int_equal(fh_device_realize(child, NULL), FH_OK);
	fh_object_ref(probe_of(device)->regs); /* given back in finalize */
	probe_of(device)->data = fh_object_ref(child);
	fh_device_unplug(device);
	fh_object_unref(child);
	/*
	 * regs pins its owner, whose finalize would give its ref back: that is a cycle, and
	 * printed.
	 */
	fh_machine_drain(m);
	assert_int_equal(hooks.disposed, 1);
	assert_int_equal(child_hooks.disposed, 1);
	assert_int_equal(child_hooks.finalized, 1);
	assert_int_equal(hooks.finalized, 0);
	fh_object_unref(probe_of(device)->regs);
	hooks.finalize = NULL;
	machine_check_alive(m, 0);
	assert_int_equal(hooks.finalized, 1);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(container_and_subregion_of_one_owner_die_together),
		cmocka_unit_test(child_in_parents_container_dies_with_the_parent),
		cmocka_unit_test(child_in_parents_container_dies_before_the_parent),
		cmocka_unit_test(regions_in_each_others_containers_leave_no_cycle),
		cmocka_unit_test(region_without_a_name_lives_and_dies),
		cmocka_unit_test(alias_whose_target_dies_shows_a_hole),
		cmocka_unit_test(target_whose_alias_dies_is_untouched),
		cmocka_unit_test(owner_whose_last_ref_goes_vanishes_at_once),
		cmocka_unit_test(what_a_reader_found_stays_until_its_section_ends),
		cmocka_unit_test(space_and_its_root_of_one_owner_die_together),
		cmocka_unit_test(spaces_that_show_each_other_leave_no_cycle),
		cmocka_unit_test(name_is_free_when_unplug_returns),
		cmocka_unit_test(callbacks_may_remove_what_is_removed_already),
	};

	return cmocka_run_group_tests_name("scenario/structure", tests, NULL, NULL);
}
