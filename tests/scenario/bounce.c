/* SPDX-License-Identifier: MIT */
/*
 * Bounce buffers: what is read and written when, and every order in which the mapping, its region,
 * its space and its holder may end.
 */
#include "support/bytes.h"

#include "base/point.h"

/* --- What is read and written --------------------------------------------------------------- */

static void bounce_is_filled_at_map_and_written_back_at_unmap(void **unused)
{
	const struct fh_attrs attrs = { .requester = 42, .user = true };
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	struct fh_mapping *mapping =
		fh_space_map(fh_machine_memory(m), BASE + 8, 16, FH_MAP_READ | FH_MAP_WRITE, attrs,
			     holder, &mapped);
	uint8_t *byte = mapped.ptr;

	assert_non_null(mapping);
	assert_true(mapped.bounced);
	assert_int_equal(mapped.size, 16);
	assert_int_equal(mapped.code, FH_OK);
	assert_int_equal(bytes.attrs.requester, 42);
	assert_memory_equal(byte, bytes.byte + 8, 16);
	assert_int_equal(bytes.hooks.writes, 0);
	memset(byte, 0xee, 16);
	assert_int_equal(bytes.byte[8], 9);
	bytes.attrs = FH_ATTRS_NONE;
	/* Only what was written. */
	assert_int_equal(fh_mapping_unmap(mapping, 6), FH_TX_OK);
	assert_int_equal(bytes.write_first, 8);
	assert_int_equal(bytes.write_last, 13);
	assert_int_equal(bytes.byte[13], 0xee);
	assert_int_equal(bytes.byte[14], 15);
	assert_int_equal(bytes.attrs.requester, 42);
	assert_true(bytes.attrs.user);
	fh_object_unref(holder);
	machine_end(m);
}

static void bounce_reads_or_writes_only_what_it_is_for(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_mapped mapped;
	struct fh_mapping *mapping;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	mapping = fh_space_map(fh_machine_memory(m), BASE, REGS, FH_MAP_READ, FH_ATTRS_NONE,
			       holder, &mapped);
	assert_memory_equal(mapped.ptr, bytes.byte, REGS);
	assert_int_equal(fh_mapping_unmap(mapping, REGS), FH_TX_OK);
	assert_int_equal(bytes.hooks.writes, 0);
	bytes.hooks.reads = 0;
	/* Clipped to the range. */
	mapping = fh_space_map(fh_machine_memory(m), BASE + 60, REGS, FH_MAP_WRITE, FH_ATTRS_NONE,
			       holder, &mapped);
	assert_int_equal(mapped.size, 4);
	assert_int_equal(*(uint32_t *)mapped.ptr, 0);
	assert_int_equal(bytes.hooks.reads, 0);
	memset(mapped.ptr, 5, 4);
	assert_int_equal(fh_mapping_unmap(mapping, UINT64_MAX), FH_TX_OK);
	assert_int_equal(bytes.write_first, 60);
	assert_int_equal(bytes.write_last, 63);
	/* Nothing was written after all. */
	mapping = fh_space_map(fh_machine_memory(m), BASE, REGS, FH_MAP_WRITE, FH_ATTRS_NONE,
			       holder, &mapped);
	bytes.hooks.writes = 0;
	assert_int_equal(fh_mapping_unmap(mapping, 0), FH_TX_OK);
	assert_int_equal(bytes.hooks.writes, 0);
	fh_object_unref(holder);
	machine_end(m);
}

static void results_of_both_ways_are_reported(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_mapped mapped;
	struct fh_mapping *mapping;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	bytes.tx = FH_TX_DEVICE_ERROR;
	fh_space_set_bounce_limit(fh_machine_memory(m), REGS);
	assert_null(fh_space_map(fh_machine_memory(m), BASE, REGS, FH_MAP_READ, FH_ATTRS_NONE,
				 holder, &mapped));
	assert_int_equal(mapped.code, FH_EIO);
	assert_int_equal(mapped.tx, FH_TX_DEVICE_ERROR);
	/* And its room is free again. */
	mapping = fh_space_map(fh_machine_memory(m), BASE, REGS, FH_MAP_WRITE, FH_ATTRS_NONE,
			       holder, &mapped);
	assert_non_null(mapping);
	assert_int_equal(fh_mapping_unmap(mapping, REGS), FH_TX_DEVICE_ERROR);
	assert_int_equal(bytes.hooks.writes, REGS / 4);
	fh_object_unref(holder);
	machine_end(m);
}

static void rom_is_bounced_for_writing(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *rom = fh_region_new_rom(m, NULL, 0x1000, FH_ROM_IGNORE, NULL);
	struct fh_region *strict = fh_region_new_rom(m, NULL, 0x1000, FH_ROM_DECODE_ERROR, NULL);
	const unsigned both = FH_MAP_READ | FH_MAP_WRITE;
	struct fh_mapped mapped;
	struct fh_mapping *mapping;
	uint8_t *byte = fh_region_ram(rom);

	(void)unused;
	fh_region_add(root(m), rom, BASE, 0);
	fh_region_add(root(m), strict, OTHER, 0);
	byte[5] = 99;
	mapping = fh_space_map(fh_machine_memory(m), BASE, 16, both, FH_ATTRS_NONE, holder,
			       &mapped);
	assert_true(mapped.bounced);
	assert_int_equal(((uint8_t *)mapped.ptr)[5], 99);
	memset(mapped.ptr, 1, 16);
	assert_int_equal(fh_mapping_unmap(mapping, 16), FH_TX_OK);
	assert_int_equal(byte[5], 99);
	mapping = fh_space_map(fh_machine_memory(m), OTHER, 16, both, FH_ATTRS_NONE, holder,
			       &mapped);
	assert_int_equal(fh_mapping_unmap(mapping, 16), FH_TX_DECODE_ERROR);
	fh_object_unref(rom);
	fh_object_unref(strict);
	fh_object_unref(holder);
	machine_end(m);
}

/* A device that maps its own registers from one of their callbacks. */
static enum fh_tx map_itself(struct probe *probe, uint64_t offset, uint64_t value)
{
	struct fh_mapped mapped;
	struct fh_space *memory = fh_machine_memory(fh_object_get_machine(probe->device));

	(void)offset;
	(void)value;
	CHECK(!fh_space_map(memory, BASE, 4, FH_MAP_READ, FH_ATTRS_NONE, probe->device, &mapped));
	CHECK(mapped.code == FH_EIO && mapped.tx == FH_TX_REENTRY);
	struct fh_mapping *mapping = fh_space_map(memory, BASE, 4, FH_MAP_WRITE, FH_ATTRS_NONE,
						  probe->device, &mapped);

	CHECK(mapping);
	CHECK(fh_mapping_unmap(mapping, 4) == FH_TX_REENTRY);
	return FH_TX_OK;
}

static void way_back_into_its_own_device_is_refused(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .write = map_itself };

	(void)unused;
	probe_plug(m, "self", &hooks, BASE);
	store32(m, BASE, 1, FH_TX_OK);
	assert_int_equal(hooks.reads, 0);
	assert_int_equal(hooks.writes, 1);
	machine_end(m);
}

/* --- The place that was mapped -------------------------------------------------------------- */

static void write_back_goes_to_the_place_that_was_mapped(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *ram = fh_region_new_ram(m, NULL, 0x1000, NULL);
	struct fh_mapped mapped;
	struct bytes bytes;
	uint8_t *byte = fh_region_ram(ram);

	(void)unused;
	bytes_plug(m, &bytes);
	struct fh_mapping *mapping = fh_space_map(fh_machine_memory(m), BASE + 4, 4, FH_MAP_WRITE,
						  FH_ATTRS_NONE, holder, &mapped);

	/* Something else is there now; and elsewhere the region is shown with another offset. */
	fh_region_remove(bytes.region);
	fh_region_add(root(m), ram, BASE, 0);
	fh_region_add(root(m), bytes.region, 0x1000, 0);
	memset(mapped.ptr, 0x77, 4);
	assert_int_equal(fh_mapping_unmap(mapping, 4), FH_TX_OK);
	assert_int_equal(byte[4], 0);
	assert_int_equal(bytes.byte[4], 0x77);
	assert_int_equal(bytes.byte[8], 9);
	fh_object_unref(ram);
	fh_object_unref(holder);
	machine_end(m);
}

/* --- Ends ----------------------------------------------------------------------------------- */

static void region_that_is_gone_is_not_written_to(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	struct fh_mapping *mapping = fh_space_map(fh_machine_memory(m), BASE, 8, FH_MAP_WRITE,
						  FH_ATTRS_NONE, holder, &mapped);

	fh_device_unplug(bytes.device);
	fh_machine_drain(m);
	assert_int_equal(bytes.hooks.disposed, 1);
	assert_int_equal(bytes.hooks.finalized, 0);
	memset(mapped.ptr, 1, 8);
	assert_int_equal(fh_mapping_unmap(mapping, 8), FH_TX_DECODE_ERROR);
	assert_int_equal(bytes.hooks.writes, 0);
	machine_check_alive(m, 1);
	assert_int_equal(bytes.hooks.finalized, 1);
	fh_object_unref(holder);
	machine_end(m);
}

static void space_may_go_before_its_bounce_buffers(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_space *space = fh_space_new(m, "dma", root(m));
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	struct fh_mapping *mapping =
		fh_space_map(space, BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE, holder, &mapped);

	assert_non_null(mapping);
	fh_object_unref(space);
	fh_machine_drain(m);
	memset(mapped.ptr, 3, 8);
	assert_int_equal(fh_mapping_unmap(mapping, 8), FH_TX_OK);
	assert_int_equal(bytes.byte[7], 3);
	fh_object_unref(holder);
	machine_end(m);
}

static void holder_that_goes_takes_its_buffers_along_unwritten(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, 3 * BASE);
	struct fh_object *other = holder_new(m);
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(fh_machine_memory(m), 32);
	fh_object_ref(device);
	struct fh_mapping *mapping = fh_space_map(fh_machine_memory(m), BASE, 30, FH_MAP_WRITE,
						  FH_ATTRS_NONE, device, &mapped);

	memset(mapped.ptr, 3, 30);
	assert_int_equal(room_left(fh_machine_memory(m), other, 32), 2);
	fh_device_unplug(device);
	fh_machine_drain(m);
	assert_int_equal(bytes.hooks.writes, 0);
	assert_int_equal(room_left(fh_machine_memory(m), other, 32), 32);
	/* As long as its memory is there. */
	assert_int_equal(fh_mapping_unmap(mapping, 0), FH_TX_OK);
	assert_int_equal(fh_mapping_unmap(mapping, 30), FH_TX_DECODE_ERROR);
	assert_int_equal(bytes.hooks.writes, 0);
	fh_object_unref(device);
	fh_object_unref(other);
	machine_end(m);
}

static void operation_ends_its_buffers_with_its_completion(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, 3 * BASE);
	struct fh_io *io = fh_io_begin(device, "dma");
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	assert_non_null(fh_space_map(fh_machine_memory(m), BASE, 30, FH_MAP_WRITE, FH_ATTRS_NONE,
				     io, &mapped));
	fh_device_unplug(device);
	fh_device_unplug(bytes.device);
	fh_machine_drain(m);
	memset(mapped.ptr, 3, 30);
	fh_io_complete(io, NULL, NULL);
	machine_check_alive(m, 0);
	assert_int_equal(bytes.hooks.writes, 0);
	machine_end(m);
}

struct unmapper {
	struct worker worker;
	struct fh_mapping *mapping;
	enum fh_tx tx;
};

static void unmap_all(void *arg)
{
	struct unmapper *unmapper = arg;

	unmapper->tx = fh_mapping_unmap(unmapper->mapping, UINT64_MAX);
}

/* Another thread is about to write back, has the buffer, and then the region's owner goes. */
static void owner_hidden_during_an_unmap_is_not_written_to(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct unmapper unmapper = { 0 };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	unmapper.mapping = fh_space_map(fh_machine_memory(m), BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE,
					holder, &mapped);
	fh_point_arm("bounce.stolen");
	worker_start(&unmapper.worker, unmap_all, &unmapper);
	assert_true(fh_point_wait("bounce.stolen"));
	fh_device_unplug(bytes.device);
	fh_machine_poll(m);
	assert_int_equal(bytes.hooks.finalized, 0);
	fh_point_release("bounce.stolen");
	worker_join(&unmapper.worker);
	assert_int_equal(unmapper.tx, FH_TX_DECODE_ERROR);
	assert_int_equal(bytes.hooks.writes, 0);
	fh_object_unref(holder);
	machine_check_alive(m, 0);
	machine_end(m);
}

/*
 * The same with the holder: the thread that unmaps has the buffer, so it is written all the same.
 */
static void holder_that_goes_during_an_unmap_takes_nothing_away(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, 3 * BASE);
	struct unmapper unmapper = { 0 };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	unmapper.mapping = fh_space_map(fh_machine_memory(m), BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE,
					device, &mapped);
	memset(mapped.ptr, 0x66, 8);
	fh_point_arm("bounce.stolen");
	worker_start(&unmapper.worker, unmap_all, &unmapper);
	assert_true(fh_point_wait("bounce.stolen"));
	fh_device_unplug(device);
	fh_machine_drain(m);
	assert_int_equal(hooks.finalized, 1);
	fh_point_release("bounce.stolen");
	worker_join(&unmapper.worker);
	assert_int_equal(unmapper.tx, FH_TX_OK);
	assert_int_equal(bytes.byte[7], 0x66);
	machine_end(m);
}

static void map_at_base(void *arg)
{
	struct unmapper *mapper = arg;
	struct fh_object *holder = (struct fh_object *)mapper->mapping;
	struct fh_mapped mapped;

	mapper->mapping = fh_space_map(fh_machine_memory(fh_object_get_machine(holder)), BASE, 8,
				       FH_MAP_READ, FH_ATTRS_NONE, holder, &mapped);
	mapper->tx = mapped.tx;
	CHECK(!mapper->mapping && mapped.code == FH_EDEAD);
	fh_object_unref(holder);
}

/* The buffer is filled, then the holder goes, then it is to be pinned in its name. */
static void holder_that_goes_while_it_maps_gets_nothing(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_object *other = holder_new(m);
	struct unmapper mapper = { .mapping = (struct fh_mapping *)holder };
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(fh_machine_memory(m), 8);
	fh_object_ref(holder);
	fh_point_arm("bounce.filled");
	worker_start(&mapper.worker, map_at_base, &mapper);
	assert_true(fh_point_wait("bounce.filled"));
	/* Its dispose does not wait for the reader: it was never shown to the guest. */
	fh_object_dispose(holder);
	fh_object_unref(holder);
	fh_point_release("bounce.filled");
	worker_join(&mapper.worker);
	assert_int_equal(room_left(fh_machine_memory(m), other, 8), 8);
	fh_object_unref(other);
	machine_end(m);
}

#define TEST(name) cmocka_unit_test_teardown(name, release_points)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bounce_is_filled_at_map_and_written_back_at_unmap),
		TEST(bounce_reads_or_writes_only_what_it_is_for),
		TEST(results_of_both_ways_are_reported),
		TEST(rom_is_bounced_for_writing),
		TEST(way_back_into_its_own_device_is_refused),
		TEST(write_back_goes_to_the_place_that_was_mapped),
		TEST(region_that_is_gone_is_not_written_to),
		TEST(space_may_go_before_its_bounce_buffers),
		TEST(holder_that_goes_takes_its_buffers_along_unwritten),
		TEST(operation_ends_its_buffers_with_its_completion),
		TEST(owner_hidden_during_an_unmap_is_not_written_to),
		TEST(holder_that_goes_during_an_unmap_takes_nothing_away),
		TEST(holder_that_goes_while_it_maps_gets_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
