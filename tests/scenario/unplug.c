/* SPDX-License-Identifier: MIT */
/*
 * Unplug at every wrong moment: during DMA, from the device's own register write, of one by
 * another, of a parent while its child's waits, while a callback adds to it (L4, L5, L6).
 */
#include "support/probe.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/point.h"

#define BASE UINT64_C(0x10000000)
#define RAM UINT64_C(0x80000000)

static struct fh_region *memory_root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

static struct fh_region *plug_ram(struct fh_machine *m)
{
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x10000, NULL);

	assert_int_equal(fh_region_add(memory_root(m), ram, RAM, 0), FH_OK);
	return ram;
}

/* --- DMA mappings --------------------------------------------------------------------------- */

static void io_completes_long_after_the_unplug(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = plug_ram(m);
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, BASE);
	struct fh_io *io = fh_io_begin(device, "read");
	struct fh_mapped mapped;
	struct fh_mapping *map = fh_space_map(fh_machine_memory(m), RAM + 0x100, 0x1000,
					      FH_MAP_WRITE, FH_ATTRS_NONE, io, &mapped);

	(void)unused;
	assert_non_null(map);
	assert_int_equal(mapped.size, 0x1000);
	fh_device_unplug(device);
	ram = fh_object_unref(ram);
	fh_machine_drain(m);
	/* The device is disposed of, the RAM gone from the map: both wait for the I/O. */
	assert_int_equal(hooks.disposed, 1);
	assert_int_equal(hooks.finalized, 0);
	load32(m, RAM, FH_TX_DECODE_ERROR);
	memset(mapped.ptr, 0xa5, mapped.size);
	fh_mapping_unmap(map, mapped.size);
	fh_io_complete(io, NULL, NULL);
	machine_check_alive(m, 0);
	assert_int_equal(hooks.finalized, 1);
	machine_end(m);
}

static void set_true(void *state)
{
	*(bool *)state = true;
}

static void completion_of_an_unplugged_device_is_not_called(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, BASE);
	struct fh_io *first = fh_io_begin(device, "read");
	struct fh_io *second = fh_io_begin(device, "read");
	bool called = false;

	(void)unused;
	fh_io_complete(first, set_true, &called);
	assert_true(called);
	called = false;
	fh_device_unplug(device);
	fh_io_complete(second, set_true, &called);
	assert_false(called);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* A device whose mapping covers its own memory, held for its life and never unmapped by it. */
static void mapping_of_own_memory_dies_with_the_device(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_mapped mapped;

	(void)unused;
	assert_int_equal(fh_region_add(memory_root(m), fh_device_region(device, "ram"), RAM, 0),
			 FH_OK);
	assert_non_null(fh_space_map(fh_machine_memory(m), RAM, PROBE_SIZE, FH_MAP_WRITE,
				     FH_ATTRS_NONE, device, &mapped));
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	assert_int_equal(hooks.finalized, 1);
	machine_end(m);
}

static void two_devices_that_map_each_other_leave_no_cycle(void **unused)
{
	(void)unused;
	for (int first = 0; first < 2; first++) {
		struct fh_machine *m = machine_begin();
		struct probe_hooks hooks[2] = { 0 };
		struct fh_device *device[2];
		struct fh_mapped mapped;

		for (int i = 0; i < 2; i++) {
			device[i] =
				probe_plug(m, i ? "b" : "a", &hooks[i], BASE * (uint64_t)(i + 1));
			assert_int_equal(fh_region_add(memory_root(m),
						       fh_device_region(device[i], "ram"),
						       RAM + 0x10000 * (uint64_t)i, 0),
					 FH_OK);
		}
		for (int i = 0; i < 2; i++)
			assert_non_null(fh_space_map(fh_machine_memory(m),
						     RAM + 0x10000 * (uint64_t)(1 - i),
						     PROBE_SIZE, FH_MAP_WRITE, FH_ATTRS_NONE,
						     device[i], &mapped));
		fh_device_unplug(device[first]);
		fh_machine_drain(m);
		/* The other's mapping keeps its memory. */
		assert_int_equal(hooks[first].disposed, 1);
		assert_int_equal(hooks[first].finalized, 0);
		fh_device_unplug(device[1 - first]);
		machine_check_alive(m, 0);
		machine_end(m);
	}
}

/* The core has ended the pins; the device's own unrealize and finalize end them once more. */
static void unmap_again(struct probe *probe)
{
	fh_mapping_unmap(probe->data, 0);
}

static void unmap_of_what_dispose_unmapped_is_harmless(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *ram = plug_ram(m);
	struct probe_hooks hooks = { .dispose = unmap_again, .finalize = unmap_again };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_mapped mapped;

	(void)unused;
	probe_of(device)->data = fh_space_map(fh_machine_memory(m), RAM, 0x1000, FH_MAP_WRITE,
					      FH_ATTRS_NONE, device, &mapped);
	assert_non_null(probe_of(device)->data);
	fh_device_unplug(device);
	fh_object_unref(ram);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void pinned_section_stops_at_the_unplug(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 }, holder_hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_device *holder = probe_plug(m, "b", &holder_hooks, 2 * BASE);
	struct fh_section section;
	struct fh_pinned *pinned =
		fh_space_find(fh_machine_memory(m), BASE + 4, 4, holder, &section);
	uint32_t value = 0;

	(void)unused;
	assert_non_null(pinned);
	assert_int_equal(fh_pinned_read(pinned, 0, &value, 4, FH_ATTRS_NONE), FH_TX_OK);
	assert_int_equal(value, PROBE_CANARY);
	/* Out of the map, still there for whoever pinned it. */
	fh_region_remove(fh_device_region(device, "regs"));
	assert_int_equal(fh_pinned_read(pinned, 0, &value, 4, FH_ATTRS_NONE), FH_TX_OK);
	fh_device_unplug(device);
	assert_int_equal(fh_pinned_read(pinned, 0, &value, 4, FH_ATTRS_NONE), FH_TX_DECODE_ERROR);
	assert_int_equal(hooks.reads, 2);
	fh_machine_drain(m);
	assert_int_equal(hooks.finalized, 0);
	fh_pinned_unpin(pinned);
	fh_machine_drain(m);
	assert_int_equal(hooks.finalized, 1);
	fh_device_unplug(holder);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Revocation ----------------------------------------------------------------------------- */

static void revoke(struct fh_pin *pin, void *state)
{
	struct probe *holder = state;

	/* After the drain of what it pins, before its dispose. */
	assert_int_equal(holder->canary, PROBE_CANARY);
	holder->hooks->writes++;
	fh_unpin(pin);
}

static void revocable_pin_is_revoked_after_the_drain(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 }, holder_hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_device *holder = probe_plug(m, "b", &holder_hooks, 2 * BASE);

	(void)unused;
	assert_non_null(fh_object_pin_revocable(device, holder, "peer", revoke, probe_of(holder)));
	fh_device_unplug(device);
	assert_int_equal(holder_hooks.writes, 1);
	fh_machine_drain(m);
	assert_int_equal(hooks.finalized, 1);
	fh_device_unplug(holder);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void pins_and_links_after_detach_are_refused(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 }, other_hooks = { 0 };
	struct fh_device *dead = fh_object_ref(probe_plug(m, "a", &hooks, BASE));
	struct fh_device *other = probe_plug(m, "b", &other_hooks, 2 * BASE);
	struct fh_region *regs = fh_object_ref(probe_of(dead)->regs);

	(void)unused;
	fh_device_unplug(dead);
	assert_null(fh_object_pin(dead, other, "late"));
	assert_null(fh_object_pin(other, dead, "late"));
	assert_null(fh_object_watch(dead, other, NULL, NULL));
	assert_null(fh_io_begin(dead, "late"));
	assert_null(fh_region_new_container(dead, "late", 0x100));
	assert_null(fh_irq_new(dead, "late"));
	assert_null(fh_region_new_alias(other, "late", regs, 0, 0x100));
	assert_int_equal(fh_region_add(memory_root(m), regs, 0, 0), FH_EDEAD);
	assert_int_equal(fh_object_add_child(dead, "late", other, NULL), FH_EBUSY);
	fh_object_unref(regs);
	fh_object_unref(dead);
	fh_device_unplug(other);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- From callbacks ------------------------------------------------------------------------- */

static enum fh_tx write_unplugs_arg(struct probe *probe, uint64_t offset, uint64_t value)
{
	struct fh_device *victim = probe->hooks->arg ? probe->hooks->arg : probe->device;
	struct fh_machine *m = fh_object_get_machine(victim);
	uint32_t seen;

	(void)offset;
	(void)value;
	fh_device_unplug(victim);
	/* Hidden when the call returns, disposed of later. */
	assert_int_equal(fh_space_load32(fh_machine_memory(m), BASE, FH_LE, &seen),
			 FH_TX_DECODE_ERROR);
	return FH_TX_OK;
}

static void device_unplugs_itself_from_its_own_register(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .write = write_unplugs_arg };

	(void)unused;
	probe_plug(m, "a", &hooks, BASE);
	store32(m, BASE, 1, FH_TX_OK);
	assert_int_equal(hooks.disposed, 0);
	load32(m, BASE, FH_TX_DECODE_ERROR);
	fh_machine_poll(m);
	assert_int_equal(hooks.unrealized, 1);
	assert_int_equal(hooks.disposed, 1);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void device_unplugs_another_from_its_register(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks victim_hooks = { 0 }, hooks = { .write = write_unplugs_arg };

	(void)unused;
	hooks.arg = probe_plug(m, "victim", &victim_hooks, BASE);
	struct fh_device *device = probe_plug(m, "a", &hooks, 2 * BASE);

	store32(m, 2 * BASE, 1, FH_TX_OK);
	load32(m, BASE, FH_TX_DECODE_ERROR);
	fh_machine_drain(m);
	assert_int_equal(victim_hooks.finalized, 1);
	assert_int_equal(hooks.disposed, 0);
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

static enum fh_tx write_unplugs_child_then_parent(struct probe *probe, uint64_t offset,
						  uint64_t value)
{
	struct fh_device **both = probe->hooks->arg;

	(void)offset;
	(void)value;
	fh_device_unplug(both[0]);
	fh_device_unplug(both[1]);
	fh_device_unplug(both[0]);
	return FH_TX_OK;
}

static void parent_is_unplugged_while_its_childs_unplug_waits(void **unused)
{
	(void)unused;
	for (int child_first = 0; child_first < 2; child_first++) {
		struct fh_machine *m = machine_begin();
		struct probe_hooks parent_hooks = { 0 }, child_hooks = { 0 };
		struct probe_hooks hooks = { .write = write_unplugs_child_then_parent };
		struct fh_device *parent = probe_plug(m, "parent", &parent_hooks, BASE);
		struct fh_device *child = probe_plug(parent, "child", &child_hooks, 2 * BASE);
		struct fh_device *order[2] = { child_first ? child : parent,
					       child_first ? parent : child };

		hooks.arg = order;
		struct fh_device *device = probe_plug(m, "a", &hooks, 3 * BASE);

		store32(m, 3 * BASE, 1, FH_TX_OK);
		load32(m, BASE, FH_TX_DECODE_ERROR);
		load32(m, 2 * BASE, FH_TX_DECODE_ERROR);
		fh_machine_drain(m);
		assert_int_equal(parent_hooks.unrealized, 1);
		assert_int_equal(child_hooks.unrealized, 1);
		assert_int_equal(parent_hooks.finalized, 1);
		assert_int_equal(child_hooks.finalized, 1);
		fh_device_unplug(device);
		machine_check_alive(m, 0);
		machine_end(m);
	}
}

/*
 * A region added by a callback while the device is being unplugged is never seen, and dies with it.
 */
static const struct fh_region_ops late_ops = { .concurrent = true };

static enum fh_tx write_adds_after_hide(struct probe *probe, uint64_t offset, uint64_t value)
{
	struct fh_machine *m = fh_object_get_machine(probe->device);
	struct fh_region *late;
	uint32_t seen;

	(void)offset;
	(void)value;
	fh_device_unplug(probe->device);
	late = fh_region_new_mmio(probe->device, "late", 0x100,
				  &late_ops, NULL);
	assert_non_null(late);
	fh_region_add(memory_root(m), late, 0x5000, 0);
	assert_int_equal(fh_space_load32(fh_machine_memory(m), 0x5000, FH_LE, &seen),
			 FH_TX_DECODE_ERROR);
	assert_false(fh_region_get_info(late).shown);
	return FH_TX_OK;
}

static void region_added_during_the_unplug_is_never_seen(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .write = write_adds_after_hide };

	(void)unused;
	probe_plug(m, "a", &hooks, BASE);
	store32(m, BASE, 1, FH_TX_OK);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Races ---------------------------------------------------------------------------------- */

static enum fh_tx write_stops(struct probe *probe, uint64_t offset, uint64_t value)
{
	(void)offset;
	(void)value;
	FH_POINT("test.inside");
	CHECK(probe->hooks->unrealized == 0 && probe->hooks->disposed == 0);
	return FH_TX_OK;
}

static void store_at_base(void *arg)
{
	fh_space_store32(fh_machine_memory((struct fh_machine *)arg), BASE, 1, FH_LE);
}

static void run_unplug(void *arg)
{
	fh_device_unplug(arg);
}

/* The callback has not blocked, so that nothing but the grace period waits for it. */
static void unplug_waits_for_a_callback_that_is_in_its_section(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .write = write_stops };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct worker writer, unplugger;

	(void)unused;
	fh_point_arm("test.inside");
	worker_start(&writer, store_at_base, m);
	assert_true(fh_point_wait("test.inside"));
	worker_start(&unplugger, run_unplug, device);
	assert_false(worker_done_within(&unplugger, 100));
	assert_int_equal(hooks.unrealized, 0);
	fh_point_release("test.inside");
	worker_join(&writer);
	worker_join(&unplugger);
	assert_int_equal(hooks.unrealized, 1);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* Readers that lose their time slice in a section make grace periods long where others compute. */
#define RACES 300
#define RACES_SECONDS 5

struct race {
	struct fh_machine *m;
	_Atomic bool stop;
	_Atomic uint64_t hits;
};

static void race_reader(void *arg)
{
	struct race *race = arg;
	uint32_t value;

	while (!atomic_load_explicit(&race->stop, memory_order_relaxed))
		if (fh_space_load32(fh_machine_memory(race->m), BASE, FH_LE, &value) == FH_TX_OK) {
			CHECK(value == PROBE_CANARY);
			race->hits++;
		}
}

static void unplug_races_with_accesses(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct race race = { .m = m };
	struct worker readers[3];
	static struct probe_hooks hooks[RACES];
	const time_t end = time(NULL) + RACES_SECONDS;
	int races;

	(void)unused;
	memset(hooks, 0, sizeof(hooks));
	for (int i = 0; i < 3; i++)
		worker_start(&readers[i], race_reader, &race);
	for (races = 0; races < RACES && time(NULL) <= end; races++) {
		const uint64_t before = race.hits;

		hooks[races].concurrent = races % 2;
		struct fh_device *device = probe_plug(m, "a", &hooks[races], BASE);

		while (race.hits == before)
			sched_yield();
		fh_device_unplug(device);
		assert_int_equal(hooks[races].unrealized, 1);
		if (!hooks[races].concurrent)
			assert_int_equal(hooks[races].most_inside, 1);
	}
	race.stop = true;
	for (int i = 0; i < 3; i++)
		worker_join(&readers[i]);
	/* Only now: a reader that waited for a domain pins what it waited for. */
	machine_check_alive(m, 0);
	for (int i = 0; i < races; i++)
		assert_int_equal(hooks[i].finalized, 1);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(io_completes_long_after_the_unplug),
		cmocka_unit_test(completion_of_an_unplugged_device_is_not_called),
		cmocka_unit_test(mapping_of_own_memory_dies_with_the_device),
		cmocka_unit_test(two_devices_that_map_each_other_leave_no_cycle),
		cmocka_unit_test(unmap_of_what_dispose_unmapped_is_harmless),
		cmocka_unit_test(pinned_section_stops_at_the_unplug),
		cmocka_unit_test(revocable_pin_is_revoked_after_the_drain),
		cmocka_unit_test(pins_and_links_after_detach_are_refused),
		cmocka_unit_test(device_unplugs_itself_from_its_own_register),
		cmocka_unit_test(device_unplugs_another_from_its_register),
		cmocka_unit_test(parent_is_unplugged_while_its_childs_unplug_waits),
		cmocka_unit_test(region_added_during_the_unplug_is_never_seen),
		cmocka_unit_test(unplug_waits_for_a_callback_that_is_in_its_section),
		cmocka_unit_test(unplug_races_with_accesses),
	};

	return cmocka_run_group_tests_name("scenario/unplug", tests, NULL, NULL);
}
