/* SPDX-License-Identifier: MIT */
/*
 * Bounce buffers: what is read and written when, and every order in which the mapping, its region,
 * its space and its holder may end.
 */
#include "support/probe.h"

#include <string.h>

#include "base/point.h"
#include "base/rcu.h"

#define BASE UINT64_C(0x10000000)
#define OTHER UINT64_C(0x20000000)
#define REGS 64

/* A device of registers that are bytes, which notes what it was written. */
struct bytes {
	struct probe_hooks hooks;
	struct fh_device *device;
	uint8_t byte[REGS];
	uint64_t write_first, write_last;
	struct fh_attrs attrs; /* of the last access */
	enum fh_tx tx;	       /* what its callbacks return */
	struct fh_region *region;
};

static enum fh_tx bytes_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	struct bytes *bytes = state;

	CHECK(offset + size <= REGS);
	*ret_value = 0;
	memcpy(ret_value, bytes->byte + offset, size);
	bytes->hooks.reads++;
	bytes->attrs = attrs;
	return bytes->tx;
}

static enum fh_tx bytes_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	struct bytes *bytes = state;

	CHECK(offset + size <= REGS);
	memcpy(bytes->byte + offset, &value, size);
	if (bytes->hooks.writes++ == 0)
		bytes->write_first = offset;
	bytes->write_last = offset + size - 1;
	bytes->attrs = attrs;
	return bytes->tx;
}

static const struct fh_region_ops bytes_ops = {
	.read = bytes_read,
	.write = bytes_write,
	.impl = { .min = 1, .max = 4 },
};

static struct fh_region *root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

/* The registers at BASE, of a device at OTHER. */
static void bytes_plug(struct fh_machine *m, struct bytes *bytes)
{
	memset(bytes, 0, sizeof(*bytes));
	bytes->device = probe_plug(m, "bytes", &bytes->hooks, OTHER);
	bytes->region = fh_region_new_mmio(bytes->device, "bytes", REGS, &bytes_ops, bytes);
	for (unsigned i = 0; i < REGS; i++)
		bytes->byte[i] = (uint8_t)(i + 1);
	assert_int_equal(fh_region_add(root(m), bytes->region, BASE, 0), FH_OK);
}

static const struct fh_type holder_type = { .name = "holder" };

static struct fh_object *holder_new(struct fh_machine *m)
{
	struct fh_object *holder = fh_object_new(m, &holder_type, NULL);

	assert_non_null(holder);
	return holder;
}

/* The room of a space is what a mapping of all of it gets. */
static uint64_t room_left(struct fh_space *space, struct fh_object *holder, uint64_t most)
{
	struct fh_mapped mapped;
	uint64_t left = 0;

	for (uint64_t size = 1; size <= most; size++) {
		struct fh_mapping *mapping = fh_space_map(space, BASE, size, FH_MAP_WRITE,
							  FH_ATTRS_NONE, holder, &mapped);

		if (mapping)
			left = size;
		fh_mapping_unmap(mapping, 0);
	}
	return left;
}

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

/* The same with the holder: the thread that unmaps has the buffer, so it is written all the same. */
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

/* --- Room ----------------------------------------------------------------------------------- */

struct wait {
	struct fh_machine *m;
	struct fh_object *holder;
	struct wait *next; /* called before this one, or NULL */
	unsigned called;
	uint64_t wants;
	struct fh_mapping *mapping;
	struct fh_mapped mapped;
};

static void count_and_map(void *state)
{
	struct wait *wait = state;

	wait->called++;
	if (wait->next)
		CHECK(wait->next->called == 1);
	if (wait->wants > 0)
		wait->mapping = fh_space_map(fh_machine_memory(wait->m), BASE, wait->wants,
					     FH_MAP_WRITE, FH_ATTRS_NONE, wait->holder,
					     &wait->mapped);
}

static void exhausted_room_is_told_apart_and_waited_for(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m, .holder = holder, .wants = 16 };
	struct fh_mapped mapped, none;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	struct fh_mapping *mapping = fh_space_map(memory, BASE, REGS, FH_MAP_WRITE, FH_ATTRS_NONE,
						  holder, &mapped);

	assert_int_equal(mapped.size, 32); /* never more than there can be */
	assert_null(fh_space_map(memory, BASE, 1, FH_MAP_READ, FH_ATTRS_NONE, holder, &none));
	assert_int_equal(none.code, FH_EAGAIN);
	assert_int_equal(bytes.hooks.reads, 0);
	assert_non_null(fh_space_notify_room(memory, 16, holder, count_and_map, &wait));
	fh_machine_drain(m);
	assert_int_equal(wait.called, 0);
	fh_mapping_unmap(mapping, 0);
	assert_int_equal(wait.called, 0); /* on the poll thread */
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	assert_non_null(wait.mapping);
	assert_int_equal(wait.mapped.size, 16);
	fh_mapping_unmap(wait.mapping, 0);
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	fh_object_unref(holder);
	machine_end(m);
}

static void room_that_is_there_already_is_told(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m };

	(void)unused;
	assert_non_null(fh_space_notify_room(fh_machine_memory(m), 1, holder, count_and_map,
					     &wait));
	assert_true(fh_machine_poll(m));
	assert_int_equal(wait.called, 1);
	fh_object_unref(holder);
	machine_end(m);
}

/* Each gets what it waited for, in order, and nobody comes in between. */
static void waiters_are_served_in_order_and_nobody_passes_them(void **unused)
{
	enum { COUNT = 4 };
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder[COUNT], *other = holder_new(m);
	struct wait wait[COUNT];
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	struct fh_mapping *first =
		fh_space_map(memory, BASE, 24, FH_MAP_WRITE, FH_ATTRS_NONE, other, &mapped);

	for (unsigned i = 0; i < COUNT; i++) {
		holder[i] = holder_new(m);
		wait[i] = (struct wait){
			.m = m,
			.holder = holder[i],
			.next = i ? &wait[i - 1] : NULL,
			.wants = i == 0 ? 32 : 8,
		};
		assert_non_null(fh_space_notify_room(memory, wait[i].wants, holder[i],
						     count_and_map, &wait[i]));
	}
	/* There are 8 left, but the first one waits for 32. */
	assert_int_equal(room_left(memory, other, 32), 0);
	fh_machine_drain(m);
	assert_int_equal(wait[1].called, 0);
	fh_mapping_unmap(first, 0);
	/* It is set aside now, though nobody was called yet. */
	assert_int_equal(room_left(memory, other, 32), 0);
	fh_machine_drain(m);
	assert_int_equal(wait[0].called, 1);
	assert_int_equal(wait[0].mapped.size, 32);
	assert_int_equal(wait[1].called, 0);
	fh_mapping_unmap(wait[0].mapping, 0);
	fh_machine_drain(m);
	for (unsigned i = 1; i < COUNT; i++) {
		assert_int_equal(wait[i].called, 1);
		assert_int_equal(wait[i].mapped.size, 8);
		fh_mapping_unmap(wait[i].mapping, 0);
	}
	assert_int_equal(room_left(memory, other, 32), 32);
	for (unsigned i = 0; i < COUNT; i++)
		fh_object_unref(holder[i]);
	fh_object_unref(other);
	machine_end(m);
}

/* What was set aside and not used goes to the next. */
static void waiter_that_maps_nothing_leaves_its_room_to_others(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m), *other = holder_new(m);
	struct wait idle = { .m = m }, wait = { .m = m, .holder = other, .wants = 32 };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	struct fh_mapping *first =
		fh_space_map(memory, BASE, 32, FH_MAP_WRITE, FH_ATTRS_NONE, other, &mapped);

	assert_non_null(fh_space_notify_room(memory, 32, holder, count_and_map, &idle));
	assert_non_null(fh_space_notify_room(memory, 32, other, count_and_map, &wait));
	fh_mapping_unmap(first, 0);
	fh_machine_drain(m);
	assert_int_equal(idle.called, 1);
	assert_int_equal(wait.called, 1);
	assert_non_null(wait.mapping);
	fh_mapping_unmap(wait.mapping, 0);
	fh_object_unref(holder);
	fh_object_unref(other);
	machine_end(m);
}

/* Whoever goes, or gives up, stands in nobody's way. */
static void waiter_goes_with_its_holder_or_when_cancelled(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, 3 * BASE);
	struct fh_object *holder = holder_new(m), *other = holder_new(m);
	struct wait gone = { .m = m }, cancelled = { .m = m };
	struct wait wait = { .m = m, .holder = other, .wants = 8 };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	struct fh_mapping *first =
		fh_space_map(memory, BASE, 20, FH_MAP_WRITE, FH_ATTRS_NONE, other, &mapped);

	assert_non_null(fh_space_notify_room(memory, 32, device, count_and_map, &gone));
	struct fh_waiter *waiter =
		fh_space_notify_room(memory, 32, holder, count_and_map, &cancelled);

	assert_non_null(fh_space_notify_room(memory, 8, other, count_and_map, &wait));
	fh_device_unplug(device);
	fh_machine_drain(m);
	assert_int_equal(wait.called, 0);
	assert_null(fh_waiter_cancel(waiter));
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	assert_int_equal(gone.called + cancelled.called, 0);
	fh_mapping_unmap(wait.mapping, 0);
	fh_mapping_unmap(first, 0);
	assert_int_equal(room_left(memory, other, 32), 32);
	fh_object_unref(holder);
	fh_object_unref(other);
	machine_end(m);
}

/* Due, but not called yet: the holder goes, and then not any more. */
static void waiter_whose_device_is_unplugged_when_due_is_not_called(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, 3 * BASE);
	struct fh_object *other = holder_new(m);
	struct wait gone = { .m = m };
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	assert_non_null(fh_space_notify_room(memory, 32, device, count_and_map, &gone));
	assert_int_equal(room_left(memory, other, 32), 0);
	fh_read_begin();
	fh_device_unplug(device); /* hidden; the rest is left to control */
	fh_read_end();
	fh_machine_drain(m);
	assert_int_equal(gone.called, 0);
	assert_int_equal(room_left(memory, other, 32), 32);
	fh_object_unref(other);
	machine_end(m);
}

static void waiters_of_a_space_that_goes_are_called(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_space *space = fh_space_new(m, "dma", root(m));
	struct wait wait[2] = { { .m = m }, { .m = m } };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(space, 8);
	struct fh_mapping *mapping =
		fh_space_map(space, BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE, holder, &mapped);

	assert_non_null(mapping);
	for (unsigned i = 0; i < 2; i++)
		assert_non_null(
			fh_space_notify_room(space, 8, holder, count_and_map, &wait[i]));
	fh_object_ref(space);
	fh_object_dispose(space);
	assert_null(fh_space_notify_room(space, 8, holder, count_and_map, &wait[0]));
	fh_machine_drain(m);
	assert_int_equal(wait[0].called, 1);
	assert_int_equal(wait[1].called, 1);
	assert_null(fh_space_map(space, BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE, holder, &mapped));
	assert_int_equal(mapped.code, FH_ENOENT);
	fh_mapping_unmap(mapping, 0);
	fh_object_unref(space);
	fh_object_unref(space);
	fh_object_unref(holder);
	machine_end(m);
}

static void limit_that_changes_is_noticed_by_who_waits(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m), *other = holder_new(m);
	struct wait wait = { .m = m, .holder = holder, .wants = 16 }, last = { .m = m };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 8);
	struct fh_mapping *mapping =
		fh_space_map(memory, BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE, other, &mapped);

	assert_non_null(fh_space_notify_room(memory, 16, holder, count_and_map, &wait));
	fh_space_set_bounce_limit(memory, 24);
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	assert_int_equal(wait.mapped.size, 16);
	/* With a limit of 0 there will never be any: who waits is told so. */
	assert_non_null(fh_space_notify_room(memory, 16, holder, count_and_map, &last));
	fh_machine_drain(m);
	assert_int_equal(last.called, 0);
	fh_space_set_bounce_limit(memory, 0);
	fh_machine_drain(m);
	assert_int_equal(last.called, 1);
	fh_mapping_unmap(mapping, 0);
	fh_mapping_unmap(wait.mapping, 0);
	fh_object_unref(holder);
	fh_object_unref(other);
	machine_end(m);
}

/* A callback of the operation's device: in its domain, and not once the device is hidden. */
static void waiter_of_an_operation_is_a_callback_of_its_device(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, 3 * BASE);
	struct fh_io *io = fh_io_begin(device, "dma");
	struct wait wait = { .m = m }, late = { .m = m };

	(void)unused;
	assert_non_null(fh_space_notify_room(memory, 1, io, count_and_map, &wait));
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	assert_non_null(fh_space_notify_room(memory, 1, io, count_and_map, &late));
	fh_device_unplug(device);
	fh_machine_drain(m);
	assert_int_equal(late.called, 0);
	fh_io_complete(io, NULL, NULL);
	machine_check_alive(m, 0);
	machine_end(m);
}

struct registrar {
	struct worker worker;
	struct fh_machine *m;
	struct fh_object *holder;
	struct wait *wait;
	struct fh_waiter *waiter;
};

static void register_waiter(void *arg)
{
	struct registrar *registrar = arg;

	registrar->waiter = fh_space_notify_room(fh_machine_memory(registrar->m), 8,
						 registrar->holder, count_and_map,
						 registrar->wait);
}

/* Found no room, then all room is given back, then it registers: it is called all the same. */
static void room_made_before_the_registration_is_not_missed(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m };
	struct registrar registrar = { .m = m, .holder = holder, .wait = &wait };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 8);
	struct fh_mapping *mapping =
		fh_space_map(memory, BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE, holder, &mapped);

	fh_point_arm("room.pinned");
	worker_start(&registrar.worker, register_waiter, &registrar);
	assert_true(fh_point_wait("room.pinned"));
	fh_mapping_unmap(mapping, 0);
	fh_machine_drain(m);
	fh_point_release("room.pinned");
	worker_join(&registrar.worker);
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	fh_object_unref(holder);
	machine_end(m);
}

/* The holder goes in the middle of the registration. */
static void holder_that_goes_while_it_registers_does_not_wait(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m };
	struct registrar registrar = { .m = m, .holder = holder, .wait = &wait };

	(void)unused;
	fh_object_ref(holder);
	fh_point_arm("room.pinned");
	worker_start(&registrar.worker, register_waiter, &registrar);
	assert_true(fh_point_wait("room.pinned"));
	fh_object_dispose(holder);
	fh_machine_drain(m);
	fh_point_release("room.pinned");
	worker_join(&registrar.worker);
	assert_null(registrar.waiter);
	fh_object_unref(holder);
	fh_object_unref(holder);
	machine_check_alive(m, 0);
	assert_int_equal(wait.called, 0);
	machine_end(m);
}

static void poll_machine(void *arg)
{
	fh_machine_poll(arg);
}

/* The poller has it, and then it is cancelled: it is not called, and its room is free. */
static void waiter_cancelled_when_the_poller_has_it_is_not_called(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m), *other = holder_new(m);
	struct wait wait = { .m = m };
	struct worker poller;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 8);
	struct fh_waiter *waiter = fh_space_notify_room(memory, 8, holder, count_and_map, &wait);

	fh_point_arm("room.due");
	worker_start(&poller, poll_machine, m);
	assert_true(fh_point_wait("room.due"));
	fh_waiter_cancel(waiter);
	/* The holder may go as well: the poller keeps its memory. */
	fh_object_unref(holder);
	fh_point_release("room.due");
	worker_join(&poller);
	assert_int_equal(wait.called, 0);
	assert_int_equal(room_left(memory, other, 8), 8);
	fh_object_unref(other);
	machine_end(m);
}

struct canceller {
	struct worker worker;
	struct fh_waiter *waiter;
};

static void cancel_waiter(void *arg)
{
	struct canceller *canceller = arg;

	fh_waiter_cancel(canceller->waiter);
}

/* The pin has ended, and before more can be done about it the poller comes and finds it so. */
static void waiter_that_is_being_cancelled_is_not_the_pollers_to_free(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m };
	struct canceller canceller = { 0 };
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 8);
	canceller.waiter = fh_space_notify_room(memory, 8, holder, count_and_map, &wait);
	fh_point_arm("room.end");
	worker_start(&canceller.worker, cancel_waiter, &canceller);
	assert_true(fh_point_wait("room.end"));
	fh_machine_poll(m);
	fh_point_release("room.end");
	worker_join(&canceller.worker);
	assert_int_equal(wait.called, 0);
	assert_int_equal(room_left(memory, holder, 8), 8);
	fh_object_unref(holder);
	machine_end(m);
}

static int release_points(void **state)
{
	(void)state;
	fh_point_release_all();
	return 0;
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
		TEST(exhausted_room_is_told_apart_and_waited_for),
		TEST(room_that_is_there_already_is_told),
		TEST(waiters_are_served_in_order_and_nobody_passes_them),
		TEST(waiter_that_maps_nothing_leaves_its_room_to_others),
		TEST(waiter_goes_with_its_holder_or_when_cancelled),
		TEST(waiter_whose_device_is_unplugged_when_due_is_not_called),
		TEST(waiters_of_a_space_that_goes_are_called),
		TEST(limit_that_changes_is_noticed_by_who_waits),
		TEST(waiter_of_an_operation_is_a_callback_of_its_device),
		TEST(room_made_before_the_registration_is_not_missed),
		TEST(holder_that_goes_while_it_registers_does_not_wait),
		TEST(waiter_cancelled_when_the_poller_has_it_is_not_called),
		TEST(waiter_that_is_being_cancelled_is_not_the_pollers_to_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
