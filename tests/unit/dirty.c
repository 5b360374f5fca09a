/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging: every way to write marks exactly its pages, for exactly the clients that log.
 */
#include "support/array.h"
#include "support/flat.h"
#include "support/host.h"

#include "memory/dirty.h"
#include "memory/space.h"

#define BASE UINT64_C(0x100000)
#define PAGE UINT64_C(0x1000)
#define PAGES 200
#define SIZE (PAGES * PAGE)

static struct fh_machine *m;
static struct fh_space *space;
static struct fh_region *ram;

static int setup(void **state)
{
	(void)state;
	m = machine_begin();
	space = fh_machine_memory(m);
	ram = show(m, fh_region_new_ram(m, "ram", SIZE, NULL), BASE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fh_point_release_all();
	drop(ram);
	machine_end(m);
	return 0;
}

/* --- Which pages are dirty: "3 5-7" --------------------------------------------------------- */

static char text[256];

static bool add_run(uint64_t offset, uint64_t size, void *arg)
{
	const size_t used = strlen(text);
	const uint64_t first = offset / PAGE, last = (offset + size - 1) / PAGE;

	(void)arg;
	assert_int_equal(offset % PAGE, 0);
	if (first == last)
		snprintf(text + used, sizeof(text) - used, "%s%" PRIu64, used ? " " : "", first);
	else
		snprintf(text + used, sizeof(text) - used, "%s%" PRIu64 "-%" PRIu64,
			 used ? " " : "", first, last);
	return true;
}

/* Takes the bits. */
static const char *dirty_in(struct fh_region *region, enum fh_dirty_client client, uint64_t offset,
			    uint64_t size)
{
	struct fh_dirty_snapshot *snapshot =
		fh_dirty_snapshot_take(region, client, offset, size, NULL);

	if (!snapshot)
		return "(not logged)";
	text[0] = '\0';
	fh_dirty_snapshot_each(snapshot, add_run, NULL);
	assert_null(fh_dirty_snapshot_free(snapshot));
	return text;
}

#define assert_dirty(client, expected) \
	assert_string_equal(dirty_in(ram, FH_DIRTY_##client, 0, UINT64_MAX), expected)

static void start(enum fh_dirty_client client)
{
	assert_int_equal(fh_dirty_start(ram, client, NULL), FH_OK);
	assert_true(fh_dirty_is_complete(ram, client));
}

static struct fh_object *new_holder(void)
{
	return fh_object_new_child(m, "holder", &holder_type, NULL);
}

/* --- Ways to write -------------------------------------------------------------------------- */

static void stores_of_every_size_mark_the_pages_that_they_touch(void **state)
{
	(void)state;
	start(FH_DIRTY_MIGRATION);
	for (unsigned size = 1; size <= 8; size++) {
		for (uint64_t offset = 2 * PAGE - 9; offset <= 2 * PAGE + 1; offset++) {
			const uint64_t first = offset / PAGE, last = (offset + size - 1) / PAGE;
			char expected[16];

			snprintf(expected, sizeof(expected), first == last ? "%d" : "%d-%d",
				 (int)first, (int)last);
			assert_dirty(MIGRATION, "");
			for (unsigned twice = 0; twice < 2; twice++)
				assert_int_equal(fh_space_store(space, BASE + offset, size, twice,
								none, ~UINT64_C(0)),
						 FH_TX_OK);
			assert_dirty(MIGRATION, expected);
		}
	}
	/* Through the lookaside, clean and dirty and clean again. */
	for (unsigned i = 0; i < 3; i++) {
		fh_space_store32(space, BASE + 7 * PAGE, i, FH_LE);
		fh_space_store32(space, BASE + 7 * PAGE, i, FH_BE);
		fh_space_store32(space, BASE + 9 * PAGE - 4, i, FH_LE);
		assert_int_equal(*(uint32_t *)((char *)fh_region_ram(ram) + 7 * PAGE),
				 __builtin_bswap32(i));
		assert_dirty(MIGRATION, "7-8");
	}
}

static void reads_and_writes_elsewhere_mark_nothing(void **state)
{
	struct fh_region *other = show(m, fh_region_new_ram(m, "other", SIZE, NULL), BASE + SIZE);
	uint8_t bytes[64];
	uint64_t value;

	(void)state;
	start(FH_DIRTY_MIGRATION);
	fh_space_load64(space, BASE, FH_LE, &value);
	fh_space_read(space, BASE, bytes, sizeof(bytes), none);
	fh_space_store64(space, BASE + SIZE, 1, FH_LE);
	fh_space_write(space, BASE + SIZE, bytes, sizeof(bytes), none);
	assert_dirty(MIGRATION, "");
	assert_string_equal(dirty_in(other, FH_DIRTY_MIGRATION, 0, SIZE), "(not logged)");
	fh_space_write(space, BASE + SIZE - 1, bytes, 2, none); /* one byte in each */
	assert_dirty(MIGRATION, "199");
	drop(other);
}

static void bulk_writes_and_fills_mark_from_end_to_end(void **state)
{
	static uint8_t bytes[3 * 4096];

	(void)state;
	start(FH_DIRTY_MIGRATION);
	fh_space_write(space, BASE + PAGE, bytes, 1, none);
	assert_dirty(MIGRATION, "1");
	fh_space_write(space, BASE + 2 * PAGE - 1, bytes, PAGE + 2, none);
	assert_dirty(MIGRATION, "1-3");
	fh_space_write(space, BASE + 62 * PAGE + 5, bytes, 2 * PAGE, none); /* over a word's end */
	assert_dirty(MIGRATION, "62-64");
	fh_space_write(space, BASE + 62 * PAGE, bytes, 0, none);
	assert_dirty(MIGRATION, "");
	fh_space_fill(space, BASE + 3 * PAGE, 7, 150 * PAGE, none);
	assert_dirty(MIGRATION, "3-152");
	fh_space_fill(space, BASE, 7, SIZE, none);
	assert_dirty(MIGRATION, "0-199");
	fh_space_fill(space, BASE - PAGE, 7, PAGE + 1, none); /* mostly a hole */
	assert_dirty(MIGRATION, "0");
}

static void atomics_mark_what_they_change(void **state)
{
	uint64_t old;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		fh_space_fetch(space, BASE + 2 * PAGE, 4, FH_LE, none, FH_ATOMIC_ADD, 1, &old);
		fh_space_fetch(space, BASE + 3 * PAGE, 8, FH_BE, none, FH_ATOMIC_SWAP, 1, &old);
		fh_space_cmpxchg(space, BASE + 4 * PAGE, 4, FH_BE, none, i, i + 1, &old);
		fh_space_cmpxchg(space, BASE + 5 * PAGE, 4, FH_LE, none, 77, 1, &old); /* fails */
		if (i == 0)
			start(FH_DIRTY_MIGRATION);
	}
	assert_dirty(MIGRATION, "2-4");
}

static void windows_mark_from_the_start_on(void **state)
{
	struct fh_cached *cached = fh_cached_new(m, space, BASE + PAGE, 3 * PAGE, none);
	uint8_t bytes[64] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		fh_cached_store(cached, PAGE, 4, FH_LE, 1);
		fh_cached_write(cached, 2 * PAGE - 1, bytes, 2);
		if (i == 0)
			start(FH_DIRTY_MIGRATION);
		else
			assert_dirty(MIGRATION, "2-3");
	}
	fh_object_unref(cached);
}

static void memory_is_marked_by_its_own_offset_through_any_window(void **state)
{
	struct fh_region *root = fh_space_root(space);
	struct fh_region *alias = fh_region_new_alias(m, "alias", ram, 5 * PAGE, 10 * PAGE);

	(void)state;
	fh_region_add(root, alias, 0x10000000, 0);
	start(FH_DIRTY_DISPLAY);
	fh_space_store8(space, 0x10000000 + 2 * PAGE, 1, FH_LE);
	assert_dirty(DISPLAY, "7");
	fh_region_move(alias, 0x20000800);
	fh_space_store8(space, 0x20000800, 1, FH_LE);
	assert_dirty(DISPLAY, "5");
	drop(alias);
}

static void loaders_mark_rom_and_guests_do_not(void **state)
{
	const struct fh_attrs debug = { .debug = true };
	struct fh_region *rom = show(
		m, fh_region_new_rom(m, "rom", 2 * PAGE, FH_ROM_IGNORE, NULL), 0x10000000);

	(void)state;
	assert_int_equal(fh_dirty_start(rom, FH_DIRTY_CODE, NULL), FH_OK);
	fh_space_store64(space, 0x10000000, 1, FH_LE);
	assert_string_equal(dirty_in(rom, FH_DIRTY_CODE, 0, SIZE), "");
	fh_space_store(space, 0x10000000 + PAGE, 8, FH_LE, debug, 1);
	assert_string_equal(dirty_in(rom, FH_DIRTY_CODE, 0, SIZE), "1");
	fh_space_fill(space, 0x10000000, 1, 2 * PAGE, debug);
	assert_string_equal(dirty_in(rom, FH_DIRTY_CODE, 0, SIZE), "0-1");
	drop(rom);
	/* So with RAM that shows as read-only. */
	start(FH_DIRTY_CODE);
	fh_region_set_readonly(ram, true);
	fh_space_store8(space, BASE, 1, FH_LE);
	assert_dirty(CODE, "");
	fh_space_store(space, BASE, 1, FH_LE, debug, 1);
	assert_dirty(CODE, "0");
}

static enum fh_tx flash_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	struct fh_region **flash = state;

	(void)attrs;
	memcpy((uint8_t *)fh_region_ram(*flash) + offset, &value, size);
	fh_dirty_mark(*flash, offset, size);
	return FH_TX_OK;
}

static void rom_device_is_marked_by_its_callback(void **state)
{
	static const struct fh_region_ops ops = { .write = flash_write };
	struct fh_region *flash = NULL;

	(void)state;
	flash = show(m, fh_region_new_rom_device(m, "flash", 4 * PAGE, &ops, &flash, NULL),
		     0x10000000);
	assert_int_equal(fh_dirty_start(flash, FH_DIRTY_MIGRATION, NULL), FH_OK);
	assert_int_equal(fh_space_store32(space, 0x10000000 + 2 * PAGE, 1, FH_LE), FH_TX_OK);
	assert_string_equal(dirty_in(flash, FH_DIRTY_MIGRATION, 0, SIZE), "2");
	fh_region_set_rom_mode(flash, false);
	fh_space_store32(space, 0x10000000 + PAGE, 1, FH_LE);
	assert_string_equal(dirty_in(flash, FH_DIRTY_MIGRATION, 0, SIZE), "1");
	drop(flash);
}

static void what_was_found_or_mapped_before_the_start_marks_too(void **state)
{
	struct fh_object *holder = new_holder();
	struct fh_section section;
	struct fh_pinned *pinned;
	struct fh_mapping *mapping, *reading;
	struct fh_mapped mapped, read;

	(void)state;
	pinned = fh_space_find(space, BASE + 3 * PAGE, PAGE, holder, &section);
	reading = fh_space_map(space, BASE + 9 * PAGE, PAGE, FH_MAP_READ, none, holder, &read);
	mapping = fh_space_map(space, BASE + 5 * PAGE + 8, 2 * PAGE, FH_MAP_WRITE, none, holder,
			       &mapped);
	fh_space_store8(space, BASE, 1, FH_LE); /* into the lookaside, as writable */
	start(FH_DIRTY_MIGRATION);
	fh_space_store8(space, BASE, 1, FH_LE);
	fh_pinned_write(pinned, 1, "x", 1, none);
	assert_dirty(MIGRATION, "0 3");
	memset(mapped.ptr, 1, mapped.size);
	fh_mapping_unmap(mapping, UINT64_MAX);
	fh_mapping_unmap(reading, 0);
	assert_dirty(MIGRATION, "5-7");
	/* Mapping what is logged already. */
	for (unsigned i = 0; i < 2; i++) {
		mapping = fh_space_map(space, BASE + SIZE - 4, 8, FH_MAP_READ | FH_MAP_WRITE, none,
				       holder, &mapped);
		assert_non_null(mapping);
		assert_false(mapped.bounced);
		assert_int_equal(mapped.size, 4);
		fh_mapping_unmap(mapping, i);
		assert_dirty(MIGRATION, i ? "199" : "");
	}
	/* Only what was written. */
	mapping = fh_space_map(space, BASE, 9 * PAGE, FH_MAP_WRITE, none, holder, &mapped);
	fh_mapping_unmap(mapping, PAGE + 1);
	assert_dirty(MIGRATION, "0-1");
	fh_pinned_unpin(pinned);
	fh_object_dispose(holder);
}

static void host_writers_mark_what_they_say_and_nothing_beyond_the_end(void **state)
{
	static const struct fh_region_ops no_ops;
	struct fh_region *regs =
		show(m, fh_region_new_mmio(m, "regs", PAGE, &no_ops, NULL), 0x10000000);

	(void)state;
	fh_dirty_mark(ram, 0, SIZE); /* not logged: nothing */
	fh_dirty_mark(regs, 0, PAGE);
	start(FH_DIRTY_USER4);
	fh_dirty_mark(ram, 0, 0);
	fh_dirty_mark(ram, SIZE, 1);
	fh_dirty_mark(ram, UINT64_MAX, UINT64_MAX);
	assert_dirty(USER4, "");
	fh_dirty_mark(ram, PAGE - 1, 2);
	fh_dirty_mark(ram, 64 * PAGE, 64 * PAGE);
	fh_dirty_mark(ram, SIZE - 1, UINT64_MAX);
	assert_dirty(USER4, "0-1 64-127 199");
	drop(regs);
}

/* --- Clients -------------------------------------------------------------------------------- */

static void clients_take_their_own_bits(void **state)
{
	(void)state;
	for (unsigned client = 0; client < FH_DIRTY_CLIENTS; client++)
		start((enum fh_dirty_client)client);
	assert_int_equal(fh_dirty_clients(ram), 0xff);
	fh_space_store8(space, BASE + 3 * PAGE, 1, FH_LE);
	assert_dirty(DISPLAY, "3");
	assert_dirty(DISPLAY, "");
	fh_space_store8(space, BASE + 4 * PAGE, 1, FH_LE);
	assert_dirty(DISPLAY, "4");
	for (unsigned client = 1; client < FH_DIRTY_CLIENTS; client++)
		assert_string_equal(dirty_in(ram, (enum fh_dirty_client)client, 0, SIZE), "3-4");
}

static void stopping_forgets_and_starting_begins_clean(void **state)
{
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	assert_null(fh_dirty_snapshot_take(ram, FH_DIRTY_CODE, 0, SIZE, &err));
	assert_int_equal(err.code, FH_ENOENT);
	start(FH_DIRTY_CODE);
	start(FH_DIRTY_DISPLAY);
	fh_space_store8(space, BASE, 1, FH_LE);
	start(FH_DIRTY_CODE); /* it is on: nothing is lost */
	assert_true(fh_dirty_test(ram, FH_DIRTY_CODE, 0, 1));
	fh_dirty_stop(ram, FH_DIRTY_CODE);
	fh_dirty_stop(ram, FH_DIRTY_CODE);
	fh_dirty_stop(NULL, FH_DIRTY_CODE);
	assert_int_equal(fh_dirty_clients(ram), 1 << FH_DIRTY_DISPLAY);
	assert_false(fh_dirty_test(ram, FH_DIRTY_CODE, 0, 1));
	assert_false(fh_dirty_is_complete(ram, FH_DIRTY_CODE));
	assert_dirty(CODE, "(not logged)");
	start(FH_DIRTY_CODE);
	assert_dirty(CODE, "");
	assert_dirty(DISPLAY, "0"); /* went on all the time */
	fh_dirty_stop(ram, FH_DIRTY_CODE);
	fh_dirty_stop(ram, FH_DIRTY_DISPLAY);
	assert_int_equal(fh_dirty_clients(ram), 0);
	fh_space_store8(space, BASE, 1, FH_LE);
}

static void starting_says_what_is_wrong(void **state)
{
	struct fh_region *box = fh_region_new_container(m, "box", SIZE);
	struct fh_region *dead = fh_region_new_ram(m, "dead", SIZE, NULL);

	(void)state;
	assert_int_equal(fh_dirty_start(NULL, FH_DIRTY_CODE, NULL), FH_EDEAD);
	assert_int_equal(fh_dirty_start(box, FH_DIRTY_CODE, NULL), FH_ETYPE);
	assert_int_equal(fh_dirty_clients(box), 0);
	assert_false(fh_dirty_test_and_clear(box, FH_DIRTY_CODE, 0, 1));
	fh_region_destroy(dead);
	assert_int_equal(fh_dirty_start(dead, FH_DIRTY_CODE, NULL), FH_EDEAD);
	drop(box);
	fh_object_unref(dead);
}

static void whole_machine_is_logged_with_what_comes_later(void **state)
{
	struct fh_object *holder = new_holder();
	struct fh_region *unseen = fh_region_new_ram(m, "unseen", SIZE, NULL);
	struct fh_region *later;
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	start(FH_DIRTY_MIGRATION);
	fh_space_store8(space, BASE, 1, FH_LE);
	assert_int_equal(fh_dirty_global_start(m, FH_DIRTY_MIGRATION, NULL), FH_OK);
	assert_int_equal(fh_dirty_global_start(m, FH_DIRTY_MIGRATION, NULL), FH_OK);
	assert_true(fh_dirty_is_complete(unseen, FH_DIRTY_MIGRATION));
	later = show(m, fh_region_new_ram(m, "later", SIZE, NULL), BASE + SIZE);
	assert_int_equal(fh_dirty_clients(later), 1 << FH_DIRTY_MIGRATION);
	fh_space_store8(space, BASE + SIZE + PAGE, 1, FH_LE);
	fh_region_add(fh_space_root(space), unseen, BASE + 2 * SIZE, 0);
	fh_space_store8(space, BASE + 2 * SIZE + 2 * PAGE, 1, FH_LE);
	assert_dirty(MIGRATION, "0");
	assert_string_equal(dirty_in(later, FH_DIRTY_MIGRATION, 0, SIZE), "1");
	assert_string_equal(dirty_in(unseen, FH_DIRTY_MIGRATION, 0, SIZE), "2");
	/* A name that is taken: the region that was half made leaves nothing. */
	assert_non_null(fh_region_new_ram(holder, "twin", PAGE, NULL));
	assert_null(fh_region_new_ram(holder, "twin", PAGE, &err));
	assert_int_equal(err.code, FH_EEXIST);
	fh_space_store8(space, BASE, 1, FH_LE);
	fh_dirty_global_stop(m, FH_DIRTY_MIGRATION);
	fh_dirty_global_stop(m, FH_DIRTY_MIGRATION);
	assert_dirty(MIGRATION, "0"); /* its own logging goes on */
	assert_int_equal(fh_dirty_clients(later), 0);
	assert_int_equal(fh_dirty_clients(unseen), 0);
	drop(later);
	drop(unseen);
	fh_object_dispose(holder);
}

/* An operation completes, and a device goes, without unmapping what they wrote to. */
static void mapping_that_ends_with_its_holder_marks_all_of_it(void **state)
{
	struct fh_object *holder = new_holder();
	struct fh_object *other =
		fh_object_new_child(m, "other", fh_object_get_type(holder), NULL);
	struct fh_mapped mapped;

	(void)state;
	start(FH_DIRTY_MIGRATION);
	assert_non_null(fh_space_map(space, BASE + 3 * PAGE, 2 * PAGE, FH_MAP_WRITE, none, holder,
				     &mapped));
	assert_non_null(fh_space_map(space, BASE + 7 * PAGE, PAGE, FH_MAP_READ | FH_MAP_WRITE, none,
				     holder, &mapped));
	assert_non_null(
		fh_space_map(space, BASE + 9 * PAGE, PAGE, FH_MAP_READ, none, holder, &mapped));
	assert_non_null(
		fh_space_map(space, BASE + 11 * PAGE, PAGE, FH_MAP_WRITE, none, other, &mapped));
	assert_dirty(MIGRATION, "");
	fh_object_dispose(holder);
	fh_machine_drain(m);
	assert_dirty(MIGRATION, "3-4 7");
	fh_object_dispose(other);
	fh_machine_drain(m);
	assert_dirty(MIGRATION, "11");
}

static void map_page_5(void *holder)
{
	struct fh_mapped mapped;

	CHECK(fh_space_map(space, BASE + 5 * PAGE, PAGE, FH_MAP_WRITE, none,
			   (struct fh_object *)holder, &mapped));
}

static void dispose_of(void *holder)
{
	fh_object_dispose((struct fh_object *)holder);
}

/* Its pin is there, and fh_space_map() has not returned. */
static void mapping_that_ends_as_it_is_made_marks_all_of_it(void **state)
{
	struct fh_object *holder = fh_object_ref(new_holder());
	struct fh_mapped mapped;
	struct worker mapper, undertaker;

	(void)state;
	start(FH_DIRTY_MIGRATION);
	fh_mapping_unmap(fh_space_map(space, BASE, PAGE, FH_MAP_WRITE, none, holder, &mapped), 0);
	fh_point_arm("drain.done");
	worker_start(&undertaker, dispose_of, holder);
	assert_true(fh_point_wait("drain.done"));
	fh_point_arm("map.pinned");
	worker_start(&mapper, map_page_5, holder);
	assert_true(fh_point_wait("map.pinned"));
	fh_point_release("drain.done");
	worker_join(&undertaker);
	assert_dirty(MIGRATION, "5");
	fh_point_release("map.pinned");
	worker_join(&mapper);
	fh_object_unref(holder);
}

static void bitmap_that_cannot_be_had_changes_nothing(void **state)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_region *vast;

	(void)state;
	if (under_sanitizer())
		skip();
	vast = fh_region_new_ram_ptr(m, "vast", FH_SIZE_ALL, &err, NULL, NULL);
	assert_non_null(vast); /* its bitmap would have 2^49 bytes */
	assert_int_equal(fh_dirty_start(vast, FH_DIRTY_CODE, &err), FH_ENOMEM);
	assert_int_equal(fh_dirty_clients(vast), 0);
	assert_int_equal(fh_dirty_global_start(m, FH_DIRTY_CODE, NULL), FH_ENOMEM);
	assert_int_equal(fh_dirty_clients(ram), 0);
	fh_region_destroy(vast);
	fh_object_unref(vast);
	assert_int_equal(fh_dirty_global_start(m, FH_DIRTY_CODE, NULL), FH_OK);
	assert_null(fh_region_new_ram_ptr(m, NULL, FH_SIZE_ALL, &err, NULL, NULL));
	fh_dirty_global_stop(m, FH_DIRTY_CODE);
}

/* --- Snapshots ------------------------------------------------------------------------------ */

static void snapshot_takes_the_pages_of_its_range_alone(void **state)
{
	struct fh_dirty_snapshot *snapshot;

	(void)state;
	start(FH_DIRTY_DISPLAY);
	fh_dirty_mark(ram, 0, SIZE);
	assert_string_equal(dirty_in(ram, FH_DIRTY_DISPLAY, 3 * PAGE + 5, PAGE), "3-4");
	assert_string_equal(dirty_in(ram, FH_DIRTY_DISPLAY, 60 * PAGE, 70 * PAGE), "60-129");
	assert_string_equal(dirty_in(ram, FH_DIRTY_DISPLAY, SIZE - 1, UINT64_MAX), "199");
	assert_true(fh_dirty_test_and_clear(ram, FH_DIRTY_DISPLAY, PAGE - 1, 2));
	assert_false(fh_dirty_test_and_clear(ram, FH_DIRTY_DISPLAY, PAGE - 1, 2));
	assert_false(fh_dirty_test(ram, FH_DIRTY_DISPLAY, 60 * PAGE, 70 * PAGE));
	assert_true(fh_dirty_test(ram, FH_DIRTY_DISPLAY, 60 * PAGE, 70 * PAGE + 1));
	snapshot = fh_dirty_snapshot_take(ram, FH_DIRTY_DISPLAY, PAGE, SIZE, NULL);
	assert_int_equal(fh_dirty_snapshot_pages(snapshot), 200 - 2 - 2 - 70 - 1);
	assert_true(fh_dirty_snapshot_test(snapshot, 0, 2 * PAGE + 1));
	assert_false(fh_dirty_snapshot_test(snapshot, 0, 2 * PAGE));
	assert_true(fh_dirty_snapshot_test(snapshot, 2 * PAGE + 1, 1));
	assert_false(fh_dirty_snapshot_test(snapshot, 2 * PAGE + 1, 0));
	assert_false(fh_dirty_snapshot_test(snapshot, 60 * PAGE, 70 * PAGE));
	assert_true(fh_dirty_snapshot_test(snapshot, 60 * PAGE, UINT64_MAX));
	assert_false(fh_dirty_snapshot_test(snapshot, SIZE - 1, UINT64_MAX));
	assert_false(fh_dirty_snapshot_test(snapshot, SIZE * 100, 1));
	fh_dirty_snapshot_free(snapshot);
	assert_dirty(DISPLAY, "");
	assert_null(fh_dirty_snapshot_take(ram, FH_DIRTY_DISPLAY, SIZE, 1, NULL));
	assert_null(fh_dirty_snapshot_take(ram, FH_DIRTY_DISPLAY, 0, 0, NULL));
	assert_null(fh_dirty_snapshot_free(NULL));
}

static bool note_run(uint64_t offset, uint64_t size, void *arg)
{
	uint64_t *run = arg;

	run[0] = offset;
	run[1] = size;
	return false;
}

/* More than a few words of bits: clean stretches are skipped, of any length, from any page on. */
static void dirty_pages_of_large_memory_are_all_found(void **state)
{
	enum { MANY = 64 * 40 + 17 };
	struct fh_region *large =
		show(m, fh_region_new_ram(m, "large", MANY * PAGE, NULL), 0x10000000);
	uint32_t seed = 1;

	(void)state;
	assert_int_equal(fh_dirty_start(large, FH_DIRTY_MIGRATION, NULL), FH_OK);
	for (unsigned round = 0; round < 300; round++) {
		uint64_t page[2], first, count;
		struct fh_dirty_snapshot *snapshot;

		for (unsigned i = 0; i < 2; i++) {
			seed = seed * 1664525 + 1013904223;
			page[i] = (seed >> 8) % MANY;
			fh_dirty_mark(large, page[i] * PAGE, 1);
		}
		seed = seed * 1664525 + 1013904223;
		first = (seed >> 8) % (page[0] + 1);
		count = (page[0] >= first) + (page[1] >= first && page[1] != page[0]);
		snapshot = fh_dirty_snapshot_take(large, FH_DIRTY_MIGRATION, first * PAGE,
						  UINT64_MAX, NULL);
		assert_int_equal(fh_dirty_snapshot_pages(snapshot), count);
		assert_true(fh_dirty_snapshot_test(snapshot, page[0] * PAGE, 1));
		assert_int_equal(fh_dirty_snapshot_test(snapshot, page[1] * PAGE, 1),
				 page[1] >= first);
		fh_dirty_snapshot_free(snapshot);
		assert_int_equal(fh_dirty_test_and_clear(large, FH_DIRTY_MIGRATION, 0, UINT64_MAX),
				 page[1] < first);
	}
	drop(large);
}

static void runs_end_with_the_memory_and_stop_when_told(void **state)
{
	struct fh_region *odd = fh_region_new_ram(m, "odd", 5 * PAGE + 100, NULL);
	struct fh_dirty_snapshot *snapshot;
	uint64_t run[2];

	(void)state;
	assert_int_equal(fh_dirty_start(odd, FH_DIRTY_CODE, NULL), FH_OK);
	fh_dirty_mark(odd, PAGE, 1);
	fh_dirty_mark(odd, 4 * PAGE, 5 * PAGE);
	snapshot = fh_dirty_snapshot_take(odd, FH_DIRTY_CODE, 0, UINT64_MAX, NULL);
	fh_dirty_snapshot_each(snapshot, note_run, run);
	assert_int_equal(run[0], PAGE);
	assert_int_equal(run[1], PAGE);
	fh_dirty_snapshot_free(snapshot);
	fh_dirty_mark(odd, 4 * PAGE, 5 * PAGE);
	snapshot = fh_dirty_snapshot_take(odd, FH_DIRTY_CODE, 3 * PAGE, UINT64_MAX, NULL);
	fh_dirty_snapshot_each(snapshot, note_run, run);
	assert_int_equal(run[0], 4 * PAGE);
	assert_int_equal(run[1], PAGE + 100);
	/* The snapshot outlives the region. */
	fh_region_destroy(odd);
	fh_object_unref(odd);
	fh_machine_drain(m);
	assert_true(fh_dirty_snapshot_test(snapshot, 5 * PAGE + 99, 1));
	assert_int_equal(fh_dirty_snapshot_pages(snapshot), 2);
	fh_dirty_snapshot_free(snapshot);
}

static void smaller_region_keeps_the_bits_of_all_its_memory(void **state)
{
	(void)state;
	start(FH_DIRTY_CODE);
	fh_space_store8(space, BASE + 150 * PAGE, 1, FH_LE);
	fh_region_resize(ram, 10 * PAGE);
	fh_space_store8(space, BASE + 3 * PAGE, 1, FH_LE);
	assert_int_equal(fh_space_store8(space, BASE + 12 * PAGE, 1, FH_LE), FH_TX_DECODE_ERROR);
	assert_dirty(CODE, "3 150");
	fh_region_resize(ram, SIZE);
	fh_space_store8(space, BASE + 12 * PAGE, 1, FH_LE);
	assert_dirty(CODE, "12");
	fh_region_resize(ram, 0);
	fh_dirty_stop(ram, FH_DIRTY_CODE);
	start(FH_DIRTY_CODE);
	fh_region_resize(ram, SIZE);
	fh_space_store8(space, BASE + 12 * PAGE, 1, FH_LE);
	assert_dirty(CODE, "12");
}

/* --- What others see of it ------------------------------------------------------------------ */

static void ranges_stay_and_lookasides_lose_them(void **state)
{
	const struct fh_view_set *set = atomic_load(&space->set);
	struct fh_view_hit before = { NULL, 0 }, after = before;
	struct fh_section section;
	uint64_t life;

	(void)state;
	life = atomic_load(&ram->object.life);
	assert_true(fh_view_find(fh_view_set_root(set), BASE, &before));
	const uint64_t generation = fh_view_leaf_generation(before.leaf);

	start(FH_DIRTY_CODE);
	fh_machine_drain(m);
	assert_false(fh_view_leaf_holds(before.leaf, generation));
	assert_true(fh_view_find(fh_view_set_root(set), BASE, &after));
	assert_int_equal(atomic_load(&ram->object.life), life); /* no pin more or less */
	fh_read_begin();
	assert_true(fh_space_lookup(space, BASE, &section));
	fh_read_end();
	assert_int_equal(section.log_mask, 1 << FH_DIRTY_CODE);
	assert_ptr_equal(section.ptr, fh_region_ram(ram));
	fh_dirty_stop(ram, FH_DIRTY_CODE);
	fh_read_begin();
	assert_true(fh_space_lookup(space, BASE, &section));
	fh_read_end();
	assert_int_equal(section.log_mask, 0);
	fh_machine_drain(m);
	assert_int_equal(atomic_load(&ram->object.life), life);
}

static void inside_a_transaction_or_section_it_completes_later(void **state)
{
	(void)state;
	fh_read_begin();
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_CODE, NULL), FH_OK);
	assert_false(fh_dirty_is_complete(ram, FH_DIRTY_CODE)); /* this section is in the way */
	fh_read_end();
	fh_machine_drain(m);
	assert_true(fh_dirty_is_complete(ram, FH_DIRTY_CODE));
	fh_space_store8(space, BASE, 1, FH_LE);
	assert_dirty(CODE, "0");
	fh_edit_begin(m);
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_DISPLAY, NULL), FH_OK);
	fh_dirty_stop(ram, FH_DIRTY_CODE);
	assert_false(fh_dirty_is_complete(ram, FH_DIRTY_DISPLAY));
	fh_edit_commit(m);
	fh_machine_drain(m);
	assert_true(fh_dirty_is_complete(ram, FH_DIRTY_DISPLAY));
	/* Begun and ended in one transaction; the region dies in another. */
	fh_edit_begin(m);
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_CODE, NULL), FH_OK);
	fh_dirty_stop(ram, FH_DIRTY_CODE);
	fh_edit_commit(m);
	fh_edit_begin(m);
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_USER0, NULL), FH_OK);
	fh_region_destroy(ram);
	fh_edit_commit(m);
	assert_int_equal(fh_dirty_clients(ram),
			 1 << FH_DIRTY_USER0 | 1 << FH_DIRTY_DISPLAY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stores_of_every_size_mark_the_pages_that_they_touch),
		TEST(reads_and_writes_elsewhere_mark_nothing),
		TEST(bulk_writes_and_fills_mark_from_end_to_end),
		TEST(atomics_mark_what_they_change),
		TEST(windows_mark_from_the_start_on),
		TEST(memory_is_marked_by_its_own_offset_through_any_window),
		TEST(loaders_mark_rom_and_guests_do_not),
		TEST(rom_device_is_marked_by_its_callback),
		TEST(what_was_found_or_mapped_before_the_start_marks_too),
		TEST(host_writers_mark_what_they_say_and_nothing_beyond_the_end),
		TEST(clients_take_their_own_bits),
		TEST(stopping_forgets_and_starting_begins_clean),
		TEST(starting_says_what_is_wrong),
		TEST(whole_machine_is_logged_with_what_comes_later),
		TEST(mapping_that_ends_with_its_holder_marks_all_of_it),
		TEST(mapping_that_ends_as_it_is_made_marks_all_of_it),
		TEST(bitmap_that_cannot_be_had_changes_nothing),
		TEST(snapshot_takes_the_pages_of_its_range_alone),
		TEST(dirty_pages_of_large_memory_are_all_found),
		TEST(runs_end_with_the_memory_and_stop_when_told),
		TEST(smaller_region_keeps_the_bits_of_all_its_memory),
		TEST(ranges_stay_and_lookasides_lose_them),
		TEST(inside_a_transaction_or_section_it_completes_later),
	};

	return cmocka_run_group_tests_name("dirty", tests, NULL, NULL);
}
