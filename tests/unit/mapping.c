/* SPDX-License-Identifier: MIT */
/*
 * Looking up, mapping, and sections that outlive the read section in which they were found.
 */
#include "support/array.h"

#include "base/point.h"
#include "base/rcu.h"
#include "object/object.h"

#define BASE UINT64_C(0x100000)

/* --- Lookup --------------------------------------------------------------------------------- */

static void check_lookup(struct fh_space *space, uint64_t addr, struct fh_region *region,
			 uint64_t first, uint64_t last)
{
	struct fh_section section;

	fh_read_begin();
	assert_int_equal(fh_space_lookup(space, addr, &section), region != NULL);
	assert_true(section.region == region);
	assert_int_equal(section.first, first);
	assert_int_equal(section.last, last);
	fh_read_end();
}

static void lookup_tells_ranges_and_holes(void **state)
{
	enum { COUNT = 100 };
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct fh_region *ram[COUNT];

	(void)state;
	check_lookup(space, 0, NULL, 0, UINT64_MAX);
	check_lookup(space, UINT64_MAX, NULL, 0, UINT64_MAX);
	for (uint64_t i = 0; i < COUNT; i++)
		ram[i] = show(m, fh_region_new_ram(m, NULL, 0x10, NULL), BASE + i * 0x40);
	check_lookup(space, 0, NULL, 0, BASE - 1);
	check_lookup(space, BASE - 1, NULL, 0, BASE - 1);
	for (uint64_t i = 0; i < COUNT; i++) {
		const uint64_t first = BASE + i * 0x40;
		const uint64_t next = i + 1 < COUNT ? first + 0x3f : UINT64_MAX;

		check_lookup(space, first, ram[i], first, first + 0xf);
		check_lookup(space, first + 0xf, ram[i], first, first + 0xf);
		check_lookup(space, first + 0x10, NULL, first + 0x10, next);
		check_lookup(space, next, NULL, first + 0x10, next);
	}
	for (unsigned i = 0; i < COUNT; i++)
		drop(ram[i]);
	machine_end(m);
}

static void lookup_sees_offsets_and_both_ends_of_the_space(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), 0);
	struct fh_region *window =
		show(m, fh_region_new_alias(m, NULL, ram, 0x800, 0x100), -UINT64_C(0x100));
	struct fh_section section;

	(void)state;
	check_lookup(space, 0, ram, 0, 0xfff);
	check_lookup(space, 0x1000, NULL, 0x1000, UINT64_MAX - 0x100);
	check_lookup(space, UINT64_MAX, ram, UINT64_MAX - 0xff, UINT64_MAX);
	fh_read_begin();
	assert_true(fh_space_lookup(space, UINT64_MAX, &section));
	assert_int_equal(section.offset, 0x800);
	assert_ptr_equal(section.ptr, (uint8_t *)fh_region_ram(ram) + 0x800);
	fh_read_end();
	drop(window);
	drop(ram);
	machine_end(m);
}

static void what_is_mapped_and_present_is_told(void **state)
{
	static const struct fh_region_ops ops = { .read = NULL };
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct fh_region *box = show(m, fh_region_new_container(m, NULL, 0x4000), BASE);
	struct fh_region *ram = fh_region_new_ram(m, NULL, 0x1000, NULL);
	struct fh_region *next = fh_region_new_mmio(m, NULL, 0x1000, &ops, NULL);

	(void)state;
	assert_int_equal(fh_region_add(box, ram, 0x1000, 0), FH_OK);
	assert_int_equal(fh_region_add(box, next, 0x2000, 0), FH_OK);
	assert_true(fh_region_is_mapped(ram));
	assert_false(fh_region_is_mapped(box)); /* it has nothing of its own */
	assert_true(fh_space_is_mapped(space, BASE + 0x1000, 0x2000));
	assert_true(fh_space_is_mapped(space, BASE + 0x1fff, 2));
	assert_false(fh_space_is_mapped(space, BASE + 0xfff, 2));
	assert_false(fh_space_is_mapped(space, BASE + 0x1000, 0x2001));
	assert_false(fh_space_is_mapped(space, BASE + 0x1000, UINT64_MAX));
	assert_true(fh_space_is_mapped(space, 0, 0));
	assert_false(fh_region_present(box, 0xfff));
	assert_true(fh_region_present(box, 0x1000));
	assert_false(fh_region_present(box, 0x3000));
	assert_false(fh_region_present(box, 0x4000));
	/* Something on top hides it; what nobody shows is present all the same. */
	struct fh_region *cover = fh_region_new_ram(m, NULL, 0x4000, NULL);

	fh_region_add(fh_space_root(space), cover, BASE, 1);
	assert_false(fh_region_is_mapped(ram));
	assert_true(fh_region_present(box, 0x1000));
	fh_region_remove(cover);
	fh_region_remove(box);
	assert_false(fh_region_is_mapped(ram));
	assert_false(fh_space_is_mapped(space, BASE + 0x1000, 1));
	assert_true(fh_region_present(box, 0x1000));
	/* In a transaction the tree is changed already, and the views are not. */
	fh_edit_begin(m);
	fh_region_add(fh_space_root(space), box, 0, 0);
	fh_region_set_enabled(next, false);
	assert_false(fh_region_is_mapped(ram));
	assert_false(fh_region_present(box, 0x2000));
	fh_edit_commit(m);
	assert_true(fh_region_is_mapped(ram));
	assert_false(fh_region_is_mapped(next));
	/* A container's own backing is not what is in it; and the end of the space. */
	fh_region_remove(ram);
	assert_int_equal(fh_region_add(cover, ram, 0x3000, 0), FH_OK);
	assert_false(fh_region_present(cover, 0x2fff));
	assert_true(fh_region_present(cover, 0x3000));
	fh_region_add(fh_space_root(space), cover, -UINT64_C(0x4000), 0);
	assert_true(fh_space_is_mapped(space, -UINT64_C(0x4000), 0x4000));
	assert_false(fh_space_is_mapped(space, -UINT64_C(0x4000), 0x4001));
	drop(box);
	drop(cover);
	drop(ram);
	drop(next);
	machine_end(m);
}

/* --- Mappings ------------------------------------------------------------------------------- */

/* What a map of `size` bytes gives: at least one, at `ptr`, or nothing if that is NULL. */
static void check_map(struct fh_machine *m, struct fh_object *holder, uint64_t addr, uint64_t size,
		      unsigned flags, void *ptr, uint64_t got)
{
	struct fh_mapped mapped;
	struct fh_mapping *mapping = fh_space_map(fh_machine_memory(m), addr, size,
						  flags | FH_MAP_DIRECT_ONLY, none, holder,
						  &mapped);

	assert_int_equal(mapping != NULL, ptr != NULL);
	assert_ptr_equal(mapped.ptr, ptr);
	assert_int_equal(mapped.size, got);
	assert_false(mapped.bounced);
	assert_int_equal(mapped.code == FH_OK, ptr != NULL);
	assert_int_equal(mapped.tx == FH_TX_OK, ptr != NULL);
	assert_int_equal(fh_mapping_unmap(mapping, 0), FH_TX_OK);
}

static void check_no_map(struct fh_machine *m, struct fh_object *holder, uint64_t addr,
			 uint64_t size, unsigned flags, enum fh_code code, enum fh_tx tx)
{
	struct fh_mapped mapped;

	assert_null(fh_space_map(fh_machine_memory(m), addr, size, flags, none, holder, &mapped));
	assert_null(mapped.ptr);
	assert_int_equal(mapped.size, 0);
	assert_int_equal(mapped.code, code);
	assert_int_equal(mapped.tx, tx);
}

static enum fh_tx read_nothing(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			       struct fh_attrs attrs)
{
	(void)state;
	(void)offset;
	(void)size;
	(void)attrs;
	*ret_value = 0;
	return FH_TX_OK;
}

static enum fh_tx write_nothing(void *state, uint64_t offset, uint64_t value, unsigned size,
				struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)value, (void)size, (void)attrs;
	return FH_TX_OK;
}

static void last_is(void *state, const struct fh_section *section)
{
	*(uint64_t *)state = section->last;
}

static void all_of_2_64_can_be_asked_for(void **state)
{
	static const struct fh_region_ops ops = { .write = write_nothing };
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *all = fh_region_new_mmio(m, NULL, FH_SIZE_ALL, &ops, NULL);
	struct fh_region *but_one = fh_region_new_alias(m, NULL, all, 1, FH_SIZE_ALL);
	struct fh_space *space = fh_space_new(m, NULL, but_one);
	static const struct fh_listener_ops ear_ops = { .coalesced_add = last_is };
	uint64_t last = 0;
	struct fh_listener *ear = fh_listener_new(m, space, 0, &ear_ops, &last);
	struct fh_pinned *pinned;
	struct fh_section section;

	(void)state;
	assert_false(fh_space_is_mapped(space, 0, FH_SIZE_ALL));
	fh_space_set_root(space, all);
	assert_true(fh_space_is_mapped(space, 0, FH_SIZE_ALL));
	assert_false(fh_space_is_mapped(space, 1, FH_SIZE_ALL));
	pinned = fh_space_find(space, 0, FH_SIZE_ALL, holder, &section);
	assert_int_equal(section.last, UINT64_MAX);
	assert_int_equal(fh_pinned_write(pinned, UINT64_MAX, "", 1, none), FH_TX_OK);
	fh_pinned_unpin(pinned);
	assert_int_equal(fh_region_add_coalesced(all, 1, FH_SIZE_ALL), FH_ERANGE);
	assert_int_equal(fh_region_add_coalesced(all, 0, FH_SIZE_ALL), FH_OK);
	assert_int_equal(last, UINT64_MAX);
	fh_object_unref(ear);
	fh_object_unref(space);
	drop(but_one);
	drop(all);
	fh_object_unref(holder);
	machine_end(m);
}

static void map_gives_what_is_memory_and_no_more(void **state)
{
	static const struct fh_region_ops ops = { .read = read_nothing };
	const unsigned r = FH_MAP_READ, w = FH_MAP_WRITE;
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);
	struct fh_region *rom =
		show(m, fh_region_new_rom(m, NULL, 0x1000, FH_ROM_IGNORE, NULL), BASE + 0x1000);
	struct fh_region *regs =
		show(m, fh_region_new_mmio(m, NULL, 0x1000, &ops, NULL), BASE + 0x2000);
	struct fh_region *flash = show(
		m, fh_region_new_rom_device(m, NULL, 0x1000, &ops, NULL, NULL), BASE + 0x3000);
	uint8_t *byte = fh_region_ram(ram);

	(void)state;
	for (unsigned again = 0; again < 2; again++) { /* found by a walk, and remembered */
		check_map(m, holder, BASE, 0x1000, w, byte, 0x1000);
		check_map(m, holder, BASE, 0x1000, r | w, byte, 0x1000);
		check_map(m, holder, BASE + 0x123, 1, w, byte + 0x123, 1);
		check_map(m, holder, BASE + 0xfff, UINT64_MAX, w, byte + 0xfff, 1);
		check_map(m, holder, BASE, 0x2000, r, byte, 0x1000);
		check_map(m, holder, BASE, 0, r, NULL, 0);
		check_map(m, holder, BASE + 0x1000, 4, w, NULL, 0);
		check_map(m, holder, BASE + 0x1000, 4, r | w, NULL, 0);
		check_map(m, holder, BASE + 0x1000, 4, r, fh_region_ram(rom), 4);
		check_map(m, holder, BASE + 0x2000, 4, r, NULL, 0);
		check_map(m, holder, BASE + 0x3000, 4, w, NULL, 0);
		check_map(m, holder, BASE + 0x3000, 4, r, fh_region_ram(flash), 4);
		check_map(m, holder, BASE + 0x4000, 4, r, NULL, 0);
		check_map(m, holder, BASE - 1, 4, r, NULL, 0);
	}
	fh_region_set_readonly(ram, true);
	check_map(m, holder, BASE, 4, w, NULL, 0);
	check_map(m, holder, BASE, 4, r, byte, 4);
	fh_region_set_rom_mode(flash, false);
	check_map(m, holder, BASE + 0x3000, 4, r, NULL, 0);
	drop(ram);
	drop(rom);
	drop(regs);
	drop(flash);
	fh_object_unref(holder);
	machine_end(m);
}

static void rom_is_memory_to_those_who_take_nothing_else(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *rom =
		show(m, fh_region_new_rom(m, NULL, 0x1000, FH_ROM_IGNORE, NULL), BASE);
	struct fh_mapped mapped;
	struct fh_mapping *mapping;

	(void)state;
	mapping = fh_space_map(fh_machine_memory(m), BASE, 4, FH_MAP_READ | FH_MAP_DIRECT_ONLY,
			       (struct fh_attrs){ .memory_only = true }, holder, &mapped);
	assert_non_null(mapping);
	assert_ptr_equal(mapped.ptr, fh_region_ram(rom));
	fh_mapping_unmap(mapping, 0);
	drop(rom);
	fh_object_unref(holder);
	machine_end(m);
}

static void map_that_fails_says_why(void **state)
{
	static const struct fh_region_ops ops = { .read = read_nothing };
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *regs = show(m, fh_region_new_mmio(m, NULL, 0x1000, &ops, NULL), BASE);
	struct fh_region *other =
		show(m, fh_region_new_reservation(m, NULL, 0x1000), BASE + 0x1000);
	const struct fh_attrs memory_only = { .memory_only = true };
	struct fh_mapped mapped;

	(void)state;
	check_no_map(m, holder, BASE, 0, FH_MAP_READ, FH_EINVAL, FH_TX_DEVICE_ERROR);
	check_no_map(m, holder, BASE - 1, 4, FH_MAP_READ, FH_ENOENT, FH_TX_DECODE_ERROR);
	check_no_map(m, holder, BASE + 0x1000, 4, FH_MAP_WRITE, FH_ENOENT, FH_TX_DECODE_ERROR);
	check_no_map(m, holder, BASE, 4, FH_MAP_READ | FH_MAP_DIRECT_ONLY, FH_ENOTSUP,
		     FH_TX_DEVICE_ERROR);
	assert_null(fh_space_map(fh_machine_memory(m), BASE, 4, FH_MAP_WRITE, memory_only, holder,
				 &mapped));
	assert_int_equal(mapped.code, FH_EPERM);
	assert_int_equal(mapped.tx, FH_TX_DENIED);
	fh_space_set_bounce_limit(fh_machine_memory(m), 0);
	check_no_map(m, holder, BASE, 4, FH_MAP_READ, FH_ENOTSUP, FH_TX_DEVICE_ERROR);
	fh_space_set_bounce_limit(fh_machine_memory(m), UINT64_MAX);
	fh_object_dispose(holder);
	fh_machine_drain(m);
	check_no_map(m, holder, BASE, 4, FH_MAP_READ, FH_EDEAD, FH_TX_DEVICE_ERROR);
	drop(regs);
	drop(other);
	fh_object_unref(holder);
	machine_end(m);
}

static void mapping_keeps_memory_that_left_the_map(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);
	struct fh_mapped mapped;
	struct fh_mapping *mapping = fh_space_map(fh_machine_memory(m), BASE, 0x1000, FH_MAP_WRITE,
						  none, holder, &mapped);

	(void)state;
	assert_non_null(mapping);
	drop(ram);
	machine_check_alive(m, 2);
	memset(mapped.ptr, 1, mapped.size);
	assert_int_equal(fh_mapping_unmap(mapping, mapped.size), FH_TX_OK);
	machine_check_alive(m, 1);
	fh_object_unref(holder);
	machine_end(m);
}

static void mapping_ends_with_its_holder(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);
	struct fh_mapped mapped;
	struct fh_mapping *mapping = fh_space_map(fh_machine_memory(m), BASE, 0x1000, FH_MAP_WRITE,
						  none, holder, &mapped);

	(void)state;
	assert_non_null(mapping);
	fh_object_dispose(holder);
	fh_machine_drain(m);
	drop(ram);
	machine_check_alive(m, 1);
	/* Nothing in its name any more; the end of what has ended is harmless. */
	assert_int_equal(fh_mapping_unmap(mapping, 0), FH_TX_OK);
	assert_int_equal(fh_mapping_unmap(mapping, 1), FH_TX_DECODE_ERROR);
	ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);
	check_no_map(m, holder, BASE, 4, FH_MAP_WRITE, FH_EDEAD, FH_TX_DEVICE_ERROR);
	drop(ram);
	fh_object_unref(holder);
	machine_end(m);
}

static void unmap_of_nothing_is_nothing(void **state)
{
	(void)state;
	assert_int_equal(fh_mapping_unmap(NULL, 1), FH_TX_OK);
	assert_null(fh_pinned_unpin(NULL));
	assert_null(fh_waiter_cancel(NULL));
}

struct mapper {
	struct worker worker;
	struct fh_machine *m;
	struct fh_object *holder;
	struct fh_mapping *mapping;
	struct fh_mapped mapped;
};

static void map_at_base(void *arg)
{
	struct mapper *mapper = arg;

	mapper->mapping = fh_space_map(fh_machine_memory(mapper->m), BASE, 0x1000, FH_MAP_WRITE,
				       none, mapper->holder, &mapper->mapped);
}

/* Looked up, retired by another thread, then pinned: all in one read section. */
static void region_retired_between_lookup_and_pin_is_kept(void **state)
{
	struct fh_machine *m = machine_begin();
	struct mapper mapper = { .m = m, .holder = holder_new(m) };
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);

	(void)state;
	fh_point_arm("lookup.found");
	worker_start(&mapper.worker, map_at_base, &mapper);
	assert_true(fh_point_wait("lookup.found"));
	drop(ram);
	fh_point_release("lookup.found");
	worker_join(&mapper.worker);
	assert_non_null(mapper.mapping);
	machine_check_alive(m, 2);
	((uint8_t *)mapper.mapped.ptr)[0xfff] = 1;
	fh_mapping_unmap(mapper.mapping, 0x1000);
	machine_check_alive(m, 1);
	fh_object_unref(mapper.holder);
	machine_end(m);
}

/* --- Pinned sections ------------------------------------------------------------------------ */

static void found_section_is_clipped(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *space = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);
	struct fh_section section = { .first = 1 };
	struct fh_pinned *pinned;

	(void)state;
	pinned = fh_space_find(space, BASE + 0x100, 0x10, holder, &section);
	assert_non_null(pinned);
	assert_int_equal(section.first, BASE + 0x100);
	assert_int_equal(section.last, BASE + 0x10f);
	assert_int_equal(section.offset, 0x100);
	assert_ptr_equal(section.region, ram);
	assert_ptr_equal(section.ptr, (uint8_t *)fh_region_ram(ram) + 0x100);
	fh_pinned_unpin(pinned);
	pinned = fh_space_find(space, BASE + 0xff0, UINT64_MAX, holder, &section);
	assert_non_null(pinned);
	assert_int_equal(section.last, BASE + 0xfff);
	fh_pinned_unpin(pinned);
	section.first = 1;
	assert_null(fh_space_find(space, BASE - 1, 0x10, holder, &section));
	assert_null(fh_space_find(space, BASE, 0, holder, &section));
	assert_int_equal(section.first, 1);
	drop(ram);
	fh_object_unref(holder);
	machine_end(m);
}

static void pinned_access_stays_within_its_section(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);
	uint8_t *byte = fh_region_ram(ram);
	uint8_t buffer[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct fh_section section;
	struct fh_pinned *pinned =
		fh_space_find(fh_machine_memory(m), BASE + 0x100, 0x10, holder, &section);

	(void)state;
	assert_int_equal(fh_pinned_write(pinned, 8, buffer, 8, none), FH_TX_OK);
	assert_memory_equal(byte + 0x108, buffer, 8);
	assert_int_equal(fh_pinned_write(pinned, 12, buffer, 8, none), FH_TX_DECODE_ERROR);
	assert_memory_equal(byte + 0x10c, buffer, 4);
	assert_int_equal(byte[0x110], 0);
	byte[0x110] = 0x77;
	assert_int_equal(fh_pinned_read(pinned, 12, buffer, 8, none), FH_TX_DECODE_ERROR);
	assert_int_equal(buffer[3], 4);
	assert_int_equal(buffer[4], 0);
	assert_int_equal(fh_pinned_read(pinned, 16, buffer, 1, none), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_pinned_read(pinned, UINT64_MAX, buffer, 8, none), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_pinned_read(pinned, 0, buffer, 0, none), FH_TX_OK);
	fh_pinned_unpin(pinned);
	drop(ram);
	fh_object_unref(holder);
	machine_end(m);
}

static void pinned_section_outlives_the_map_but_not_its_owner(void **state)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "probe", &hooks, BASE);
	struct fh_object *holder = holder_new(m);
	struct fh_section section;
	struct fh_pinned *pinned =
		fh_space_find(fh_machine_memory(m), BASE, 0x1000, holder, &section);
	uint32_t value = 0;

	(void)state;
	assert_int_equal(fh_pinned_read(pinned, 0, &value, 4, none), FH_TX_OK);
	assert_int_equal(value, PROBE_CANARY);
	fh_region_remove(fh_device_region(device, "regs"));
	fh_rcu_synchronize();
	assert_int_equal(fh_pinned_read(pinned, 0, &value, 4, none), FH_TX_OK);
	assert_int_equal(fh_pinned_write(pinned, 0, &value, 4, none), FH_TX_OK);
	assert_int_equal(hooks.reads, 2);
	assert_int_equal(hooks.writes, 1);
	fh_device_unplug(device);
	assert_int_equal(fh_pinned_read(pinned, 0, &value, 4, none), FH_TX_DECODE_ERROR);
	assert_int_equal(value, 0);
	assert_int_equal(hooks.reads, 2);
	fh_machine_drain(m);
	assert_int_equal(hooks.finalized, 0); /* its region pins it */
	fh_pinned_unpin(pinned);
	machine_check_alive(m, 1);
	assert_int_equal(hooks.finalized, 1);
	fh_object_unref(holder);
	machine_end(m);
}

static void pinned_section_whose_holder_went_reads_nothing(void **state)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_region *ram = show(m, fh_region_new_ram(m, NULL, 0x1000, NULL), BASE);
	struct fh_section section;
	struct fh_pinned *pinned =
		fh_space_find(fh_machine_memory(m), BASE, 0x1000, holder, &section);
	uint32_t value = 1;

	(void)state;
	fh_object_dispose(holder);
	fh_machine_drain(m);
	assert_int_equal(fh_pinned_read(pinned, 0, &value, 4, none), FH_TX_DECODE_ERROR);
	assert_int_equal(value, 0);
	assert_null(fh_pinned_unpin(pinned));
	drop(ram);
	fh_object_unref(holder);
	machine_end(m);
}

/* --- Both deaths of what blocks (L6) -------------------------------------------------------- */

static enum fh_tx block_in_read(struct probe *probe, uint64_t offset, uint64_t *ret_value)
{
	(void)probe;
	(void)offset;
	(void)ret_value;
	fh_blocking_begin();
	FH_POINT("test.blocking");
	fh_blocking_end();
	return FH_TX_OK;
}

struct pinned_reader {
	struct worker worker;
	struct fh_pinned *pinned;
	uint64_t value[2];
	enum fh_tx tx;
};

static void read_pinned(void *arg)
{
	struct pinned_reader *reader = arg;

	reader->tx = fh_pinned_read(reader->pinned, 0, reader->value, 16, none);
}

static void drain_machine(void *arg)
{
	fh_machine_drain(arg);
}

/* The first access blocks, the device goes; it is waited for, and no second one is made. */
static void pinned_access_that_blocks_looks_at_the_shown_bit_again(void **state)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .read = block_in_read };
	struct fh_device *device = probe_plug(m, "probe", &hooks, BASE);
	struct fh_object *holder = holder_new(m);
	struct fh_section section;
	struct pinned_reader reader = {
		.pinned = fh_space_find(fh_machine_memory(m), BASE, 0x1000, holder, &section),
	};
	struct worker control;

	(void)state;
	fh_point_arm("test.blocking");
	worker_start(&reader.worker, read_pinned, &reader);
	assert_true(fh_point_wait("test.blocking"));
	fh_point_arm("chain.returning");
	fh_object_ref(device);
	fh_read_begin(); /* so that the waiting half is left to control */
	fh_device_unplug(device);
	fh_read_end();
	worker_start(&control, drain_machine, m);
	assert_false(worker_done_within(&control, 20));
	fh_point_release("test.blocking");
	assert_true(fh_point_wait("chain.returning"));
	assert_false(worker_done_within(&control, 20));
	assert_int_equal(hooks.unrealized, 0);
	fh_point_release("chain.returning");
	worker_join(&reader.worker);
	worker_join(&control);
	assert_int_equal(reader.tx, FH_TX_DECODE_ERROR);
	assert_int_equal(hooks.reads, 1);
	assert_int_equal(hooks.unrealized, 1);
	fh_object_unref(device);
	fh_pinned_unpin(reader.pinned);
	machine_check_alive(m, 1);
	fh_object_unref(holder);
	machine_end(m);
}

#define TEST(name) cmocka_unit_test_teardown(name, release_points)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lookup_tells_ranges_and_holes),
		TEST(lookup_sees_offsets_and_both_ends_of_the_space),
		TEST(what_is_mapped_and_present_is_told),
		TEST(all_of_2_64_can_be_asked_for),
		TEST(map_gives_what_is_memory_and_no_more),
		TEST(rom_is_memory_to_those_who_take_nothing_else),
		TEST(map_that_fails_says_why),
		TEST(mapping_keeps_memory_that_left_the_map),
		TEST(mapping_ends_with_its_holder),
		TEST(unmap_of_nothing_is_nothing),
		TEST(region_retired_between_lookup_and_pin_is_kept),
		TEST(found_section_is_clipped),
		TEST(pinned_access_stays_within_its_section),
		TEST(pinned_section_outlives_the_map_but_not_its_owner),
		TEST(pinned_section_whose_holder_went_reads_nothing),
		TEST(pinned_access_that_blocks_looks_at_the_shown_bit_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
