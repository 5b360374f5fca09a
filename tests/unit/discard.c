/* SPDX-License-Identifier: MIT */
/*
 * Parts of memory that come and go: what is given back, what is zero, who is told, who may refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <freehold/freehold.h>

#include "support/host.h"

enum { PAGE = 4096, PAGES = 16, SIZE = PAGES * PAGE };

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *ram;
static uint8_t *bytes;
static char heard[1024];

static struct fh_region *new_ram(const struct fh_ram_options *options)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_region *region = fh_region_new_ram_with(m, NULL, SIZE, options, &err);

	if (!region)
		fail_msg("%s", err.message);
	return region;
}

static int setup(void **state)
{
	(void)state;
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	ram = new_ram(&(struct fh_ram_options){ .backing = FH_RAM_MEMFD });
	bytes = fh_region_ram(ram);
	fh_region_add(fh_space_root(memory), ram, 0, 0);
	heard[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ram = fh_object_unref(ram);
	return fh_machine_destroy(m);
}

static const struct fh_type plain_type = { .name = "plain" };

/* --- A listener that writes down what it hears, in pages, under its name ---------------------- */

struct ear {
	const char *name;
	uint64_t refuses; /* the page; 0: none */
};

static void hear(const struct ear *ear, char what, uint64_t offset, uint64_t size)
{
	const size_t used = strlen(heard);

	assert_int_equal(offset % PAGE, 0);
	assert_int_equal(size % PAGE, 0);
	snprintf(heard + used, sizeof(heard) - used, "%s%c%u-%u ", ear->name, what,
		 (unsigned)(offset / PAGE), (unsigned)((offset + size) / PAGE - 1));
}

static enum fh_code ear_populate(void *state, struct fh_region *region, uint64_t offset,
				 uint64_t size)
{
	const struct ear *const ear = state;

	(void)region;
	if (ear->refuses && offset <= ear->refuses * PAGE && ear->refuses * PAGE < offset + size) {
		hear(ear, '!', offset, size);
		return FH_ELIMIT;
	}
	hear(ear, '+', offset, size);
	return FH_OK;
}

static void ear_discard(void *state, struct fh_region *region, uint64_t offset, uint64_t size)
{
	(void)region;
	hear(state, '-', offset, size);
}

static const struct fh_discard_ops ear_ops = { .populate = ear_populate, .discard = ear_discard };

static struct fh_discard_listener *listen(struct ear *ear, uint64_t page, uint64_t pages)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_discard_listener *listener = fh_discard_listener_new(
		m, ram, page * PAGE, pages == PAGES ? FH_SIZE_ALL : pages * PAGE, &ear_ops, ear,
		&err);

	if (!listener)
		fail_msg("%s", err.message);
	return listener;
}

#define assert_heard(expected)                        \
	do {                                          \
		assert_string_equal(heard, expected); \
		heard[0] = '\0';                      \
	} while (0)

static enum fh_code discard(unsigned page, unsigned pages)
{
	return fh_region_discard(ram, (uint64_t)page * PAGE, (uint64_t)pages * PAGE, NULL);
}

static enum fh_code populate(unsigned page, unsigned pages)
{
	return fh_region_populate(ram, (uint64_t)page * PAGE, (uint64_t)pages * PAGE, false, NULL);
}

static bool is_populated(unsigned page, unsigned pages)
{
	return fh_region_is_populated(ram, (uint64_t)page * PAGE, (uint64_t)pages * PAGE);
}

static unsigned resident(struct fh_region *region)
{
	unsigned char pages[PAGES];
	unsigned count = 0;

	assert_int_equal(mincore(fh_region_ram(region), SIZE, pages), 0);
	for (unsigned i = 0; i < PAGES; i++)
		count += pages[i] & 1;
	return count;
}

/* --- The host's part -------------------------------------------------------------------------- */

static void what_is_discarded_is_given_back_and_zero(void **state)
{
	if (under_qemu())
		skip(); /* nothing is given back */
	const struct fh_ram_options kinds[] = {
		{ .backing = FH_RAM_ANONYMOUS },
		{ .backing = FH_RAM_ANONYMOUS, .shared = true },
		{ .backing = FH_RAM_MEMFD },
	};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct fh_region *region = new_ram(&kinds[i]);
		uint8_t *const at = fh_region_ram(region);
		struct stat status;

		memset(at, 0x77, SIZE);
		assert_int_equal(resident(region), PAGES);
		assert_int_equal(fh_region_discard(region, 2 * PAGE, 3 * PAGE, NULL), FH_OK);
		assert_int_equal(resident(region), PAGES - 3);
		assert_int_equal(at[2 * PAGE - 1], 0x77);
		assert_int_equal(at[5 * PAGE], 0x77);
		if (fh_region_get_fd(region, NULL) >= 0) {
			assert_int_equal(fstat(fh_region_get_fd(region, NULL), &status), 0);
			assert_int_equal(status.st_blocks, (PAGES - 3) * PAGE / 512);
			assert_int_equal(status.st_size, SIZE);
		}
		for (unsigned b = 2 * PAGE; b < 5 * PAGE; b++)
			assert_int_equal(at[b], 0);
		fh_object_unref(region);
	}
}

static void populated_memory_is_zero_whatever_was_written_meanwhile(void **state)
{
	(void)state;
	assert_int_equal(discard(1, 2), FH_OK);
	assert_int_equal(fh_space_store8(memory, PAGE, 5, FH_LE), FH_TX_OK);
	assert_int_equal(bytes[PAGE], 5);
	assert_int_equal(populate(1, 2), FH_OK);
	assert_int_equal(bytes[PAGE], 0);
	/* What is populated stays as it is. */
	bytes[PAGE] = 6;
	assert_int_equal(populate(0, 4), FH_OK);
	assert_int_equal(bytes[PAGE], 6);
}

static void populating_may_allocate_at_once(void **state)
{
	if (under_qemu())
		skip(); /* counts what is resident */
	(void)state;
	assert_int_equal(discard(0, PAGES), FH_OK);
	assert_int_equal(resident(ram), 0);
	assert_int_equal(fh_region_populate(ram, 0, 4 * PAGE, true, NULL), FH_OK);
	assert_int_equal(resident(ram), 4);
}

static void mapping_stays_an_address(void **state)
{
	struct fh_mapped mapped;
	struct fh_mapping *mapping =
		fh_space_map(memory, 0, PAGE, FH_MAP_READ | FH_MAP_WRITE, FH_ATTRS_NONE,
			     fh_machine_root(m), &mapped);

	(void)state;
	*(uint8_t *)mapped.ptr = 1;
	assert_int_equal(discard(0, 1), FH_OK);
	assert_int_equal(*(uint8_t *)mapped.ptr, 0);
	*(uint8_t *)mapped.ptr = 2;
	assert_int_equal(fh_mapping_unmap(mapping, 1), FH_TX_OK);
}

static void what_is_discarded_is_dirty(void **state)
{
	(void)state;
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_MIGRATION, NULL), FH_OK);
	assert_int_equal(discard(3, 2), FH_OK);
	assert_false(fh_dirty_test(ram, FH_DIRTY_MIGRATION, 0, 3 * PAGE));
	assert_true(fh_dirty_test(ram, FH_DIRTY_MIGRATION, 3 * PAGE, PAGE));
	assert_true(fh_dirty_test(ram, FH_DIRTY_MIGRATION, 4 * PAGE, PAGE));
	assert_false(fh_dirty_test(ram, FH_DIRTY_MIGRATION, 5 * PAGE, PAGE));
	fh_dirty_stop(ram, FH_DIRTY_MIGRATION);
}

/* --- What is there ---------------------------------------------------------------------------- */

static bool write_run(uint64_t offset, uint64_t size, void *arg)
{
	hear(&(struct ear){ .name = "" }, ' ', offset, size);
	return !arg;
}

static void runs_say_what_is_there(void **state)
{
	bool once;

	(void)state;
	assert_true(is_populated(0, PAGES));
	fh_region_each_populated(ram, 0, SIZE, write_run, NULL);
	assert_heard(" 0-15 ");
	assert_int_equal(discard(2, 2), FH_OK);
	assert_int_equal(discard(7, 1), FH_OK);
	fh_region_each_populated(ram, 0, FH_SIZE_ALL, write_run, NULL);
	assert_heard(" 0-1  4-6  8-15 ");
	fh_region_each_populated(ram, PAGE, 4 * PAGE, write_run, NULL);
	assert_heard(" 1-1  4-4 ");
	fh_region_each_populated(ram, 0, SIZE, write_run, &once);
	assert_heard(" 0-1 ");
	assert_true(is_populated(4, 3));
	assert_false(is_populated(4, 4) || is_populated(3, 1) || is_populated(0, PAGES));
	assert_false(is_populated(PAGES - 1, 2)); /* beyond it */
}

static void ram_may_begin_unpopulated(void **state)
{
	struct fh_region *region = new_ram(&(struct fh_ram_options){ .unpopulated = true,
								     .granule = 4 * PAGE });

	(void)state;
	assert_int_equal(fh_region_get_ram_info(region).granule, 4 * PAGE);
	fh_region_each_populated(region, 0, SIZE, write_run, NULL);
	assert_heard("");
	assert_int_equal(fh_region_populate(region, 0, PAGE, false, NULL), FH_EINVAL);
	assert_int_equal(fh_region_populate(region, 4 * PAGE, 8 * PAGE, false, NULL), FH_OK);
	fh_region_each_populated(region, 0, SIZE, write_run, NULL);
	assert_heard(" 4-11 ");
	fh_object_unref(region);
}

static void last_piece_may_be_short(void **state)
{
	struct fh_region *region = fh_region_new_ram_with(
		m, NULL, PAGE + 100, &(struct fh_ram_options){ 0 }, NULL);

	(void)state;
	((uint8_t *)fh_region_ram(region))[PAGE + 99] = 1;
	assert_int_equal(fh_region_discard(region, PAGE, 100, NULL), FH_OK);
	assert_int_equal(((uint8_t *)fh_region_ram(region))[PAGE + 99], 0);
	assert_true(fh_region_is_populated(region, 0, PAGE));
	assert_false(fh_region_is_populated(region, PAGE, 100));
	assert_int_equal(fh_region_discard(region, 0, 100, NULL), FH_EINVAL);
	fh_object_unref(region);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct fh_region *rom = fh_region_new_rom(m, NULL, PAGE, FH_ROM_IGNORE, NULL);

	(void)state;
	assert_int_equal(fh_region_discard(ram, 1, PAGE, NULL), FH_EINVAL);
	assert_int_equal(fh_region_discard(ram, SIZE, PAGE, NULL), FH_ERANGE);
	assert_int_equal(fh_region_populate(ram, PAGE, UINT64_MAX, false, NULL), FH_ERANGE);
	assert_int_equal(fh_region_discard(rom, 0, PAGE, NULL), FH_ETYPE);
	assert_int_equal(fh_region_discard(NULL, 0, PAGE, NULL), FH_EDEAD);
	assert_int_equal(fh_region_discard(ram, PAGE, 0, NULL), FH_OK);
	assert_null(fh_discard_listener_new(m, rom, 0, PAGE, &ear_ops, NULL, NULL));
	assert_null(fh_discard_listener_new(m, ram, SIZE, PAGE, &ear_ops, NULL, NULL));
	fh_object_unref(rom);
}

/* --- Bans ------------------------------------------------------------------------------------- */

static void discards_can_be_forbidden(void **state)
{
	struct fh_discard_ban *first = fh_region_forbid_discard(ram, fh_machine_root(m));
	struct fh_discard_ban *second = fh_region_forbid_discard(ram, fh_machine_root(m));

	(void)state;
	bytes[0] = 1;
	assert_int_equal(discard(0, 1), FH_EBUSY);
	fh_discard_ban_end(first);
	assert_int_equal(discard(0, 1), FH_EBUSY);
	assert_int_equal(bytes[0], 1);
	fh_discard_ban_end(second);
	assert_int_equal(discard(0, 1), FH_OK);
	assert_null(fh_discard_ban_end(NULL));
}

static void ban_goes_with_its_holder(void **state)
{
	struct fh_object *holder = fh_object_new_child(fh_machine_root(m), "holder", &plain_type,
						       NULL);

	(void)state;
	assert_non_null(fh_region_forbid_discard(ram, holder));
	assert_int_equal(discard(0, 1), FH_EBUSY);
	fh_object_dispose(holder);
	fh_machine_drain(m);
	assert_int_equal(discard(0, 1), FH_OK);
}

/* --- Listeners -------------------------------------------------------------------------------- */

static void listeners_are_told_of_what_changes_in_their_section(void **state)
{
	struct ear all = { .name = "a" }, part = { .name = "p" };
	struct fh_discard_listener *one = listen(&all, 0, PAGES), *two = listen(&part, 4, 4);

	(void)state;
	assert_heard("a+0-15 p+4-7 ");
	assert_int_equal(discard(6, 4), FH_OK);
	assert_heard("p-6-7 a-6-9 "); /* in reverse */
	assert_int_equal(discard(5, 6), FH_OK); /* two runs: what is left of it */
	assert_heard("p-5-5 a-5-5 a-10-10 ");
	assert_int_equal(populate(0, 8), FH_OK);
	assert_heard("a+5-7 p+5-7 ");
	assert_int_equal(populate(0, 8), FH_OK);
	assert_heard("");
	fh_object_unref(two);
	fh_machine_drain(m);
	assert_heard("p-4-7 ");
	fh_object_unref(one);
	fh_machine_drain(m);
	assert_heard("a-11-15 a-0-7 ");
}

static uint8_t seen;

static void look_at_byte(void *state, struct fh_region *region, uint64_t offset, uint64_t size)
{
	(void)state, (void)size;
	seen = ((uint8_t *)fh_region_ram(region))[offset];
}

static void discard_is_told_before_the_memory_goes(void **state)
{
	static const struct fh_discard_ops ops = { .discard = look_at_byte };
	struct fh_discard_listener *listener =
		fh_discard_listener_new(m, ram, 0, FH_SIZE_ALL, &ops, NULL, NULL);

	(void)state;
	bytes[PAGE] = 33;
	assert_int_equal(discard(1, 1), FH_OK);
	assert_int_equal(seen, 33);
	fh_object_unref(listener);
}

static void refusal_is_rolled_back(void **state)
{
	struct ear a = { .name = "a" }, b = { .name = "b" }, c = { .name = "c" };
	struct fh_discard_listener *ears[3];
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	discard(0, PAGES);
	populate(4, 1);
	ears[0] = listen(&a, 0, PAGES);
	ears[1] = listen(&b, 0, PAGES);
	ears[2] = listen(&c, 0, PAGES);
	heard[0] = '\0';
	b.refuses = 6;
	assert_int_equal(fh_region_populate(ram, 2 * PAGE, 6 * PAGE, true, &err), FH_ELIMIT);
	assert_true(err.message[0] != '\0');
	/* The run before the one refused, too; what was there before stays. */
	assert_heard("a+2-3 b+2-3 c+2-3 a+5-7 b!5-7 a-5-7 c-2-3 b-2-3 a-2-3 ");
	assert_false(fh_region_is_populated(ram, 2 * PAGE, PAGE));
	assert_true(is_populated(4, 1));
	assert_int_equal(resident(ram), 0);
	b.refuses = 0;
	assert_int_equal(populate(2, 6), FH_OK);
	assert_heard("a+2-3 b+2-3 c+2-3 a+5-7 b+5-7 c+5-7 ");
	for (unsigned i = 0; i < 3; i++)
		fh_object_unref(ears[i]);
}

static void one_that_joins_may_refuse_what_is_there(void **state)
{
	struct ear ear = { .name = "", .refuses = 5 };
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	discard(3, 1);
	assert_null(fh_discard_listener_new(m, ram, 0, FH_SIZE_ALL, &ear_ops, &ear, &err));
	assert_int_equal(err.code, FH_ELIMIT);
	assert_heard("+0-2 !4-15 -0-2 ");
	discard(0, 1);
	assert_heard("");
}

static void listener_goes_with_its_owner(void **state)
{
	struct ear ear = { .name = "" };
	struct fh_object *owner = fh_object_new_child(fh_machine_root(m), "owner", &plain_type,
						      NULL);

	(void)state;
	assert_non_null(fh_discard_listener_new(owner, ram, 0, 4 * PAGE, &ear_ops, &ear, NULL));
	assert_heard("+0-3 ");
	fh_object_dispose(owner);
	fh_machine_drain(m);
	assert_heard("-0-3 ");
	discard(0, 1);
	assert_heard("");
}

static void end_of_the_region_is_told_once(void **state)
{
	struct ear ear = { .name = "" };
	struct fh_discard_listener *listener;

	(void)state;
	discard(0, 8);
	listener = listen(&ear, 0, PAGES);
	heard[0] = '\0';
	fh_region_destroy(ram);
	assert_heard("-8-15 ");
	assert_int_equal(discard(8, 1), FH_EDEAD);
	assert_null(fh_discard_listener_new(m, ram, 0, PAGE, &ear_ops, &ear, NULL));
	assert_null(fh_region_forbid_discard(ram, fh_machine_root(m)));
	fh_discard_listener_destroy(listener);
	fh_object_unref(listener);
	fh_machine_drain(m);
	assert_heard("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_discarded_is_given_back_and_zero),
		TEST(populated_memory_is_zero_whatever_was_written_meanwhile),
		TEST(populating_may_allocate_at_once),
		TEST(mapping_stays_an_address),
		TEST(what_is_discarded_is_dirty),
		TEST(runs_say_what_is_there),
		TEST(ram_may_begin_unpopulated),
		TEST(last_piece_may_be_short),
		TEST(what_makes_no_sense_is_refused),
		TEST(discards_can_be_forbidden),
		TEST(ban_goes_with_its_holder),
		TEST(listeners_are_told_of_what_changes_in_their_section),
		TEST(discard_is_told_before_the_memory_goes),
		TEST(refusal_is_rolled_back),
		TEST(one_that_joins_may_refuse_what_is_there),
		TEST(listener_goes_with_its_owner),
		TEST(end_of_the_region_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
