/* SPDX-License-Identifier: MIT */
/*
 * Logged pages that a hart writes without a mark for each store: when they are open, and that every
 * store leaves a bit to be found, whoever takes bits when.
 */
#include "cpu/logged.h"
#include "support/hart.h"

#include <freehold/dirty.h>

#define AT RAM_BASE /* of M-mode, untranslated */

static struct rack *r;

static int set_up(void **state)
{
	const int result = rack_set_up(state);

	r = *state;
	assert_int_equal(fh_dirty_start(r->ram, FH_DIRTY_MIGRATION, NULL), FH_OK);
	logged_resume(&r->h);
	return result;
}

/* As exec.c does it: in line, if the tag permits. True: it did. */
static bool store_fast(uint64_t addr)
{
	const struct tlb_entry *entry = tlb_data(&r->h, addr);

	if (entry->write != tlb_tag(addr, 8))
		return false;
	*(uint64_t *)tlb_host(entry, addr) = addr;
	return true;
}

static void store(uint64_t addr)
{
	if (!store_fast(addr))
		assert_true(hart_store_slow(&r->h, addr, 8, addr));
}

static bool take(uint64_t addr)
{
	return fh_dirty_test_and_clear(r->ram, FH_DIRTY_MIGRATION, addr - RAM_BASE, 1);
}

static struct fh_section section_at(uint64_t addr)
{
	struct fh_section section;

	assert_true(fh_space_lookup(r->h.memory, addr, &section));
	return section;
}

/* What the listener is told when bits go. */
static void tell_taken(void)
{
	const struct fh_section section = section_at(AT);

	logged_note_taken(&r->h, &section);
}

static void stand_and_run(void)
{
	logged_pause(&r->h);
	logged_resume(&r->h);
}

static void store_opens_its_page(void **state)
{
	(void)state;
	assert_false(store_fast(AT));
	store(AT);
	assert_true(take(AT));
	tell_taken();
	stand_and_run();
	store(AT);
	assert_true(store_fast(AT + 8));
	assert_false(store_fast(AT + 0x1000));
	assert_false(r->h.attention & ATTENTION_MAP); /* which would have all decoded anew */
}

static void load_does_not_open_but_enters_what_is_open(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(hart_load_slow(&r->h, AT, 8, &value));
	assert_false(store_fast(AT));
	store(AT);
	tlb_flush(&r->h);
	assert_true(hart_load_slow(&r->h, AT, 8, &value));
	assert_true(store_fast(AT));
}

static void page_that_is_taken_while_the_hart_runs_is_dirty_again_and_closed(void **state)
{
	(void)state;
	store(AT);
	store(AT + 0x1000);
	assert_true(take(AT));
	tell_taken();
	assert_true(r->h.attention & ATTENTION_LOG);
	assert_true(store_fast(AT)); /* until it looks */
	assert_true(take(AT));
	stand_and_run();
	assert_false(store_fast(AT));
	assert_false(store_fast(AT + 0x1000));
	assert_false(take(AT));
	store(AT);
	assert_true(take(AT));
}

static void page_that_is_taken_while_the_hart_stands_is_clean_and_closed(void **state)
{
	(void)state;
	store(AT);
	logged_pause(&r->h);
	assert_true(take(AT));
	tell_taken();
	assert_false(take(AT));
	logged_resume(&r->h);
	assert_false(store_fast(AT));
}

static void pages_that_are_not_taken_stay_open(void **state)
{
	struct fh_section section = section_at(AT);

	(void)state;
	store(AT);
	store(AT + 0x1000);
	store(AT + 0x100000);
	section.last = section.first + 0x0fff;
	assert_true(take(AT));
	logged_note_taken(&r->h, &section);
	stand_and_run();
	assert_false(store_fast(AT));
	assert_true(store_fast(AT + 0x1000));
	assert_true(store_fast(AT + 0x100000));
}

/* The listener of a region that is gone hears of no more takings. */
static void memory_that_goes_is_marked_once_more_when_all_is_written(void **state)
{
	const struct fh_section section = section_at(AT);

	(void)state;
	store(AT);
	logged_note_gone(&r->h, &section);
	assert_true(take(AT));
	assert_true(store_fast(AT));
	assert_false(take(AT));
	logged_pause(&r->h);
	assert_true(take(AT));
	logged_resume(&r->h);
	assert_false(store_fast(AT));
	logged_pause(&r->h);
	assert_false(take(AT));
}

static void client_that_begins_has_the_pages_closed_and_finds_them_clean(void **state)
{
	const struct fh_section section = section_at(AT);

	(void)state;
	store(AT);
	assert_int_equal(fh_dirty_start(r->ram, FH_DIRTY_DISPLAY, NULL), FH_OK);
	logged_note_started(&r->h, &section);
	assert_false(fh_dirty_test(r->ram, FH_DIRTY_DISPLAY, 0, RAM_SIZE));
	stand_and_run();
	assert_false(store_fast(AT));
	store(AT);
	assert_true(fh_dirty_test(r->ram, FH_DIRTY_DISPLAY, 0, 1));
}

static void open_page_of_one_region_is_not_that_of_another(void **state)
{
	(void)state;
	store(AT + 0x1000);
	assert_true(logged_is_open(&r->h, AT + 0x1000, r->ram, 0x1000));
	assert_false(logged_is_open(&r->h, AT + 0x1000, r->rom, 0x1000));
	assert_false(logged_is_open(&r->h, AT + 0x1000, r->ram, 0x2000));
	assert_false(logged_open(&r->h, AT + 0x1000, r->rom, 0x1000));
}

/* A page of the hart's would be two of the log's. */
static void what_lies_askew_is_not_opened(void **state)
{
	struct fh_region *window = fh_region_new_alias(r->m, "window", r->ram, 0x800, 0x4000);

	(void)state;
	fh_region_add(fh_space_root(r->h.memory), window, 0x20000000, 0);
	for (unsigned i = 0; i < 2; i++) {
		store(0x20001000);
		assert_false(store_fast(0x20001000));
		assert_true(take(AT + 0x1800));
	}
	fh_object_unref(window);
}

static void more_pages_than_can_be_open_are_all_marked(void **state)
{
	(void)state;
	for (unsigned turn = 0; turn < 2; turn++) {
		for (uint64_t addr = AT; addr < AT + RAM_SIZE; addr += 0x1000) {
			store(addr);
			assert_true(store_fast(addr));
		}
		for (uint64_t addr = AT; addr < AT + RAM_SIZE; addr += 0x1000)
			assert_true(take(addr));
		tell_taken();
		stand_and_run();
		for (uint64_t addr = AT; addr < AT + RAM_SIZE; addr += 0x1000)
			take(addr);
	}
	tell_taken();
	stand_and_run();
	for (uint64_t addr = AT; addr < AT + RAM_SIZE; addr += 0x1000)
		assert_false(store_fast(addr));
}

/* --- Callbacks on the hart's way -------------------------------------------------------------- */

static enum fh_tx take_in_callback(void *state, uint64_t offset, uint64_t value, unsigned size,
				   struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)value, (void)size, (void)attrs;
	CHECK(take(AT));
	tell_taken();
	CHECK(!take(AT)); /* the hart writes nothing meanwhile */
	return FH_TX_OK;
}

static void register_that_takes_bits_finds_them_all(void **state)
{
	static const struct fh_region_ops ops = { .write = take_in_callback };
	struct fh_region *taker = fh_region_new_mmio(r->m, "taker", 0x1000, &ops, NULL);

	(void)state;
	fh_region_add(fh_space_root(r->h.memory), taker, 0x20000000, 0);
	store(AT);
	assert_true(store_fast(AT));
	assert_true(hart_store_slow(&r->h, 0x20000000, 8, 1));
	assert_false(store_fast(AT));
	store(AT);
	assert_true(take(AT));
	fh_object_unref(taker);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, rack_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(store_opens_its_page),
		TEST(load_does_not_open_but_enters_what_is_open),
		TEST(page_that_is_taken_while_the_hart_runs_is_dirty_again_and_closed),
		TEST(page_that_is_taken_while_the_hart_stands_is_clean_and_closed),
		TEST(pages_that_are_not_taken_stay_open),
		TEST(memory_that_goes_is_marked_once_more_when_all_is_written),
		TEST(client_that_begins_has_the_pages_closed_and_finds_them_clean),
		TEST(open_page_of_one_region_is_not_that_of_another),
		TEST(what_lies_askew_is_not_opened),
		TEST(more_pages_than_can_be_open_are_all_marked),
		TEST(register_that_takes_bits_finds_them_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
