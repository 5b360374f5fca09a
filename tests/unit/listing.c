/* SPDX-License-Identifier: MIT */
/*
 * Listings: the map as values, as text and as JSON, to the byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <freehold/freehold.h>

#include "support/scale.h"

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *root;

static int setup(void **state)
{
	(void)state;
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	root = fh_space_root(memory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return fh_machine_destroy(m);
}

static const struct fh_region_ops plain_ops = { .concurrent = true };
static const struct fh_device_ops device_ops = { .own_domain = false };
static const struct fh_type device_type = {
	.name = "card", .parent = &fh_device_type, .device = &device_ops
};
static uint8_t page[4096];

static struct fh_region *mmio(FH_ANY owner, const char *name, uint64_t size)
{
	return fh_region_new_mmio(owner, name, size, &plain_ops, NULL);
}

static struct fh_region *ram(FH_ANY owner, const char *name)
{
	return fh_region_new_ram_ptr(owner, name, sizeof(page), page, NULL, NULL);
}

static void add(struct fh_region *container, struct fh_region *sub, uint64_t addr, int32_t priority)
{
	assert_int_equal(fh_region_add(container, sub, addr, priority), FH_OK);
}

/* Owned by caller. */
static char *printed(struct fh_space *space, unsigned flags)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	fh_mtree(m, space, flags, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void assert_printed(struct fh_space *space, unsigned flags, const char *expected)
{
	char *text = printed(space, flags);

	assert_string_equal(text, expected);
	free(text);
}

/* --- Text ----------------------------------------------------------------------------------- */

/* A bit of everything; what is its own is disposed of by drop(). */
struct sample {
	struct fh_device *card;
	struct fh_device *ghost;
	struct fh_region *own[4];
};

static struct sample make_sample(void)
{
	struct sample s = {
		.card = fh_device_plug(m, &device_type, "card", NULL, NULL),
		.ghost = fh_device_new(m, &device_type, "ghost", NULL, NULL),
	};
	struct fh_region *window;

	s.own[0] = ram(m, "dram");
	s.own[1] = fh_region_new_alias(m, "low", s.own[0], 0x100, 0x800);
	s.own[2] = fh_region_new_alias(m, "gone", NULL, 0, 0x10);
	s.own[3] = fh_region_new_reservation(m, "kept", 0x1000);
	window = fh_region_new_container(s.card, "window", FH_SIZE_ALL);
	add(root, window, 0x10000, -1);
	add(window, mmio(s.card, "regs", 0x100), 0x200, 0);
	add(window, mmio(s.card, "late", 0x100), 0x280, 0);
	add(root, s.own[1], 0, 1);
	add(root, s.own[2], 0x9000, 0);
	add(root, s.own[3], 0xa000, 0);
	add(root, mmio(s.ghost, "unseen", 0x1000), 0, 7);
	fh_region_set_enabled(s.own[2], false);
	fh_region_set_readonly(s.own[1], true);
	fh_region_set_nonvolatile(s.own[1], true);
	return s;
}

static void drop(struct sample *s)
{
	for (size_t i = 0; i < sizeof(s->own) / sizeof(s->own[0]); i++)
		fh_object_unref(s->own[i]);
	fh_object_dispose(s->card);
	fh_object_dispose(s->ghost);
}

static void tree_has_every_region_that_is_enabled_and_shown(void **state)
{
	struct sample s = make_sample();

	(void)state;
	assert_printed(NULL, 0,
		"address-space: memory\n"
		"  0000000000000000-ffffffffffffffff (prio 0, container): system\n"
		"    0000000000000000-00000000000007ff (prio 1, nv-rom): alias low @dram "
			"0000000000000100-00000000000008ff\n"
		"    000000000000a000-000000000000afff (prio 0, reservation): kept\n"
		"    0000000000010000-ffffffffffffffff (prio -1, container): window\n"
		"      0000000000010200-00000000000102ff (prio 0, i/o): regs\n"
		"      0000000000010280-000000000001037f (prio 0, i/o): late\n"
		"\n"
		"memory-region: dram\n"
		"  0000000000000000-0000000000000fff (prio 0, ram): dram\n"
		"\n");
	drop(&s);
}

static void tree_with_all_flags_says_what_is_off_and_whose_it_is(void **state)
{
	struct sample s = make_sample();

	(void)state;
	assert_printed(memory, FH_MTREE_DISABLED | FH_MTREE_OWNERS,
		"address-space: memory\n"
		"  0000000000000000-ffffffffffffffff (prio 0, container): system\n"
		"    0000000000000000-0000000000000fff (prio 7, i/o): unseen [not shown] "
			"owner:{dev path=/ghost}\n"
		"    0000000000000000-00000000000007ff (prio 1, nv-rom): alias low @dram "
			"0000000000000100-00000000000008ff\n"
		"    0000000000009000-000000000000900f (prio 0, alias): alias gone @(none) "
			"0000000000000000-000000000000000f [disabled]\n"
		"    000000000000a000-000000000000afff (prio 0, reservation): kept\n"
		"    0000000000010000-ffffffffffffffff (prio -1, container): window "
			"owner:{dev path=/card}\n"
		"      0000000000010200-00000000000102ff (prio 0, i/o): regs "
			"owner:{dev path=/card}\n"
		"      0000000000010280-000000000001037f (prio 0, i/o): late "
			"owner:{dev path=/card}\n"
		"\n"
		"memory-region: dram\n"
		"  0000000000000000-0000000000000fff (prio 0, ram): dram\n"
		"\n");
	drop(&s);
}

static void tree_says_what_has_no_size(void **state)
{
	struct fh_region *none = mmio(m, "none", 0);

	(void)state;
	add(root, none, 0x5000, 0);
	assert_printed(memory, 0,
		"address-space: memory\n"
		"  0000000000000000-ffffffffffffffff (prio 0, container): system\n"
		"    0000000000005000-0000000000005000 (prio 0, i/o): none [empty]\n"
		"\n");
	fh_object_unref(none);
}

static void flat_has_every_range_of_every_view(void **state)
{
	struct sample s = make_sample();
	struct fh_space *bus = fh_space_new(s.card, "bus", root);
	struct fh_space *empty = fh_space_new(s.card, "empty", NULL);

	(void)state;
	assert_non_null(bus);
	assert_non_null(empty);
	assert_printed(NULL, FH_MTREE_FLAT | FH_MTREE_OWNERS,
		"FlatView #0\n"
		" AS \"memory\", root: system\n"
		" AS \"bus\", root: system parent:{dev path=/card}\n"
		" Root memory region: system\n"
		"  0000000000000000-00000000000007ff (prio 0, nv-rom): dram @0000000000000100\n"
		"  000000000000a000-000000000000afff (prio 0, reservation): kept\n"
		"  0000000000010200-000000000001027f (prio 0, i/o): regs owner:{dev path=/card}\n"
		"  0000000000010280-000000000001037f (prio 0, i/o): late owner:{dev path=/card}\n"
		"\n"
		"FlatView #1\n"
		" AS \"empty\", root: (none) parent:{dev path=/card}\n"
		" Root memory region: (none)\n"
		"  No rendered FlatView\n"
		"\n");
	drop(&s);
}

/* Each is a line of its own, also where it continues the one before. */
static void ranges_that_are_not_joined_stay_two(void **state)
{
	struct fh_region *dram = ram(m, "dram");
	struct fh_region *low = fh_region_new_alias(m, "low", dram, 0, 0x800);
	struct fh_region *high = fh_region_new_alias(m, "high", dram, 0x800, 0x800);

	(void)state;
	fh_region_set_unmergeable(dram, true);
	add(root, low, 0, 0);
	add(root, high, 0x800, 0);
	assert_printed(NULL, FH_MTREE_FLAT,
		"FlatView #0\n"
		" AS \"memory\", root: system\n"
		" Root memory region: system\n"
		"  0000000000000000-00000000000007ff (prio 0, ram): dram\n"
		"  0000000000000800-0000000000000fff (prio 0, ram): dram @0000000000000800\n"
		"\n");
	fh_object_unref(low);
	fh_object_unref(high);
	fh_object_unref(dram);
}

static void control_characters_are_shown_as_question_marks(void **state)
{
	struct fh_region *odd = fh_region_new_container(m, "a\n\x1b[31m\x7f", 0x1000);
	char *text = printed(NULL, 0);

	(void)state;
	assert_non_null(strstr(text, "memory-region: a??[31m?\n"));
	free(text);
	fh_object_unref(odd);
}

/* --- JSON ----------------------------------------------------------------------------------- */

static void json_has_all_that_decides_what_is_shown(void **state)
{
	struct sample s = make_sample();

	(void)state;
	fh_region_set_unmergeable(s.own[3], true);
	assert_printed(NULL, FH_MTREE_JSON,
		"{\"regions\":[\n"
		" {\"name\":\"system\",\"kind\":\"container\",\"addr\":\"0x0\","
			"\"size\":\"0x10000000000000000\",\"subregions\":[8,2,4,3,5]},\n"
		" {\"name\":\"dram\",\"kind\":\"ram\",\"addr\":\"0x0\",\"size\":\"0x1000\"},\n"
		" {\"name\":\"low\",\"kind\":\"alias\",\"addr\":\"0x0\",\"size\":\"0x800\","
			"\"priority\":1,\"readonly\":true,\"nonvolatile\":true,"
			"\"alias\":{\"target\":1,\"offset\":\"0x100\"}},\n"
		" {\"name\":\"gone\",\"kind\":\"alias\",\"addr\":\"0x9000\",\"size\":\"0x10\","
			"\"enabled\":false,\"alias\":{\"target\":null,\"offset\":\"0x0\"}},\n"
		" {\"name\":\"kept\",\"kind\":\"reservation\",\"addr\":\"0xa000\","
			"\"size\":\"0x1000\",\"unmergeable\":true},\n"
		" {\"name\":\"window\",\"kind\":\"container\",\"addr\":\"0x10000\","
			"\"size\":\"0x10000000000000000\",\"priority\":-1,\"subregions\":[7,6],"
			"\"owner\":{\"path\":\"/card\",\"device\":true}},\n"
		" {\"name\":\"regs\",\"kind\":\"mmio\",\"addr\":\"0x200\",\"size\":\"0x100\","
			"\"owner\":{\"path\":\"/card\",\"device\":true}},\n"
		" {\"name\":\"late\",\"kind\":\"mmio\",\"addr\":\"0x280\",\"size\":\"0x100\","
			"\"owner\":{\"path\":\"/card\",\"device\":true}},\n"
		" {\"name\":\"unseen\",\"kind\":\"mmio\",\"addr\":\"0x0\",\"size\":\"0x1000\","
			"\"priority\":7,\"shown\":false,"
			"\"owner\":{\"path\":\"/ghost\",\"device\":true}}],\n"
		"\"spaces\":[\n"
		" {\"name\":\"memory\",\"root\":0,\"flat\":[\n"
		"  {\"first\":\"0x0\",\"last\":\"0x7ff\",\"region\":1,\"offset\":\"0x100\","
			"\"as\":\"rom\",\"nonvolatile\":true},\n"
		"  {\"first\":\"0xa000\",\"last\":\"0xafff\",\"region\":4,\"offset\":\"0x0\","
			"\"as\":\"reservation\"},\n"
		"  {\"first\":\"0x10200\",\"last\":\"0x1027f\",\"region\":6,\"offset\":\"0x0\","
			"\"as\":\"i/o\"},\n"
		"  {\"first\":\"0x10280\",\"last\":\"0x1037f\",\"region\":7,\"offset\":\"0x0\","
			"\"as\":\"i/o\"}]}]}\n");
	drop(&s);
}

static void assert_json_kind(struct fh_region *region, const char *expected)
{
	char *text = printed(NULL, FH_MTREE_JSON);

	assert_non_null(region);
	if (!strstr(text, expected))
		fail_msg("%s is not in %s", expected, text);
	free(text);
	fh_object_unref(region);
}

static enum fh_tx translate_nothing(void *state, uint64_t addr, unsigned access, unsigned index,
				    struct fh_attrs attrs, struct fh_translation *ret)
{
	(void)state, (void)addr, (void)access, (void)index, (void)attrs, (void)ret;
	return FH_TX_DECODE_ERROR;
}

static void json_names_every_kind(void **state)
{
	static const struct fh_iommu_ops iommu_ops = { .translate = translate_nothing };
	struct fh_region *flash;

	(void)state;
	assert_json_kind(fh_region_new_container(m, "r", 16),
			 "\"kind\":\"container\",\"addr\":\"0x0\",\"size\":\"0x10\"}");
	assert_json_kind(mmio(m, "r", 16), "\"kind\":\"mmio\"");
	assert_json_kind(ram(m, "r"), "\"kind\":\"ram\"");
	assert_json_kind(fh_region_new_rom(m, "r", 16, FH_ROM_IGNORE, NULL), "\"kind\":\"rom\"");
	assert_json_kind(fh_region_new_ram_device(m, "r", 16, page, NULL, NULL),
			 "\"kind\":\"ramd\"");
	assert_json_kind(fh_region_new_alias(m, "r", NULL, 0, 16), "\"kind\":\"alias\"");
	assert_json_kind(fh_region_new_reservation(m, "r", 16), "\"kind\":\"reservation\"");
	assert_json_kind(fh_region_new_iommu(m, "r", 16, &iommu_ops, NULL),
			 "\"kind\":\"iommu\"");
	flash = fh_region_new_rom_device(m, "r", 16, &plain_ops, NULL, NULL);
	assert_json_kind(fh_object_ref(flash),
			 "\"kind\":\"romd\",\"addr\":\"0x0\",\"size\":\"0x10\"}");
	fh_region_set_rom_mode(flash, false);
	assert_json_kind(
		flash, "\"kind\":\"romd\",\"addr\":\"0x0\",\"size\":\"0x10\",\"rom_mode\":false}");
}

static void assert_json_name(const char *name, const char *expected)
{
	struct fh_region *region = fh_region_new_container(m, name, 1);
	char *text = printed(NULL, FH_MTREE_JSON);
	char wanted[200];

	snprintf(wanted, sizeof(wanted), "{\"name\":\"%s\",\"kind\"", expected);
	if (!strstr(text, wanted))
		fail_msg("%s is not in %s", wanted, text);
	free(text);
	fh_object_unref(region);
}

static void json_texts_are_escaped_and_valid(void **state)
{
	(void)state;
	assert_json_name("a\"b\\c", "a\\\"b\\\\c");
	assert_json_name("\b\f\n\r\t\x01\x1f\x7f", "\\b\\f\\n\\r\\t\\u0001\\u001F\x7f");
	assert_json_name("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
			 "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	/* Cut short; too long for what it says; a surrogate; beyond the last; no beginning. */
	assert_json_name("x\xe2\x82", "x\xef\xbf\xbd\xef\xbf\xbd");
	assert_json_name("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");
	assert_json_name("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_json_name("\xf4\x90\x80\x80y", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy");
	assert_json_name("\xffz", "\xef\xbf\xbdz");
}

/* --- What is listed ------------------------------------------------------------------------- */

static void one_space_brings_what_its_root_leads_to(void **state)
{
	struct fh_region *dram = ram(m, "dram");
	struct fh_region *other = ram(m, "other");
	struct fh_region *bus = fh_region_new_container(m, "bus", 0x10000);
	struct fh_region *window = fh_region_new_alias(m, "window", dram, 0, 0x100);
	struct fh_space *space = fh_space_new(m, "card", bus);
	struct fh_listing *listing;

	(void)state;
	add(bus, window, 0, 0);
	add(root, other, 0, 0);
	listing = fh_listing_new(m, space);
	assert_int_equal(listing->space_count, 1);
	assert_ptr_equal(listing->spaces[0].space, space);
	assert_int_equal(listing->region_count, 3);
	assert_ptr_equal(listing->regions[0].region, dram);
	assert_ptr_equal(listing->regions[1].region, bus);
	assert_ptr_equal(listing->regions[2].region, window);
	assert_int_equal(listing->regions[2].target, 0);
	assert_int_equal(listing->regions[2].container, 1);
	assert_int_equal(listing->spaces[0].root, 1);
	assert_int_equal(listing->range_count, 1);
	assert_int_equal(listing->ranges[0].region, 0);
	fh_listing_freep(&listing);
	assert_null(listing);
	assert_null(fh_listing_free(NULL));
	fh_object_unref(space);
	fh_object_unref(window);
	fh_object_unref(bus);
	fh_object_unref(dram);
	fh_object_unref(other);
}

static void listing_outlives_what_it_lists(void **state)
{
	struct sample s = make_sample();
	struct fh_listing *listing = fh_listing_new(m, NULL);
	char *before = printed(NULL, FH_MTREE_JSON), *after = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&after, &size);

	(void)state;
	drop(&s);
	fh_machine_drain(m);
	fh_listing_print(listing, FH_MTREE_JSON, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(before, after);
	fh_listing_free(listing);
	free(before);
	free(after);
}

static void transaction_shows_its_edits_and_the_views_before_them(void **state)
{
	struct fh_region *old = ram(m, "old"), *new = ram(m, "new");
	struct fh_listing *listing;

	(void)state;
	add(root, old, 0, 0);
	fh_edit_begin(m);
	old = fh_object_unref(old);
	add(root, new, 0x5000, 0);
	listing = fh_listing_new(m, NULL);
	assert_int_equal(listing->region_count, 2);
	assert_int_equal(listing->regions[0].sub_count, 1);
	assert_ptr_equal(listing->regions[1].region, new);
	assert_int_equal(listing->range_count, 0);
	fh_listing_free(listing);
	fh_edit_commit(m);
	fh_object_unref(new);
}

/* --- Consistent ----------------------------------------------------------------------------- */

struct mover {
	struct fh_region *pair[2];
	_Atomic bool stop;
	_Atomic uint64_t moves;
};

/* They move together, and so are always equally far apart. */
static void *move_both(void *arg)
{
	struct mover *mover = arg;

	for (uint64_t i = 0; !atomic_load_explicit(&mover->stop, memory_order_relaxed); i++) {
		struct fh_region *born = mmio(m, "born", 0x10);

		fh_edit_begin(m);
		fh_region_move(mover->pair[0], (i % 16) << 16);
		fh_region_add(root, born, 0x4000000, 0);
		fh_region_move(mover->pair[1], (i % 16) << 16 | 0x8000);
		fh_edit_commit(m);
		fh_object_unref(born);
		atomic_fetch_add_explicit(&mover->moves, 1, memory_order_relaxed);
	}
	return NULL;
}

static void listing_is_of_one_moment(void **state)
{
	struct mover mover = { .pair = { ram(m, "a"), ram(m, "b") } };
	pthread_t thread;

	(void)state;
	add(root, mover.pair[0], 0, 0);
	add(root, mover.pair[1], 0x8000, 0);
	assert_int_equal(pthread_create(&thread, NULL, move_both, &mover), 0);
	/* And until enough was moved meanwhile, whenever the host runs the other thread. */
	for (uint64_t i = 0, met = 0; i < 2000 || met < scaled(200); i++) {
		const uint64_t before = atomic_load_explicit(&mover.moves, memory_order_relaxed);
		struct fh_listing *listing = fh_listing_new(m, memory);

		met += atomic_load_explicit(&mover.moves, memory_order_relaxed) != before;

		assert_true(listing->region_count >= 3);
		assert_int_equal(listing->regions[1].addr | 0x8000, listing->regions[2].addr);
		/* A third is on its way in or out. */
		assert_true(listing->range_count == listing->region_count - 1);
		assert_int_equal(listing->ranges[0].first, listing->regions[1].addr);
		assert_int_equal(listing->ranges[1].first, listing->regions[2].addr);
		fh_listing_free(listing);
	}
	atomic_store_explicit(&mover.stop, true, memory_order_relaxed);
	pthread_join(thread, NULL);
	fh_object_unref(mover.pair[0]);
	fh_object_unref(mover.pair[1]);
}

static void large_map_is_listed_in_full(void **state)
{
	enum { MANY = 20000 };
	struct fh_device *card = fh_device_plug(m, &device_type, "card", NULL, NULL);
	struct fh_listing *listing;
	char *text, *at;
	size_t lines = 0;

	(void)state;
	fh_edit_begin(m);
	for (uint64_t i = 0; i < MANY; i++)
		add(root, mmio(card, NULL, 0x100), i << 12, 0);
	fh_edit_commit(m);
	listing = fh_listing_new(m, NULL);
	assert_int_equal(listing->region_count, MANY + 1);
	assert_int_equal(listing->range_count, MANY);
	fh_listing_free(listing);
	text = printed(NULL, FH_MTREE_FLAT);
	for (at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, MANY + 4);
	free(text);
	fh_object_dispose(card);
}

/* A line does not grow with the depth, nor the stack. */
static void deep_map_is_printed_in_lines_of_bounded_width(void **state)
{
	enum { DEPTH = 2000 };
	struct fh_device *card = fh_device_plug(m, &device_type, "card", NULL, NULL);
	struct fh_region *above = root;
	char *text;

	(void)state;
	fh_edit_begin(m);
	for (int i = 0; i < DEPTH; i++) {
		struct fh_region *below = fh_region_new_container(card, NULL, 0x1000);

		add(above, below, 0, 0);
		above = below;
	}
	fh_edit_commit(m);
	text = printed(NULL, 0);
	assert_non_null(strstr(text, "[depth 2001] 0000000000000000-0000000000000fff "
				     "(prio 0, container): (unnamed)\n"));
	for (char *line = text, *next; (next = strchr(line, '\n')); line = next + 1)
		assert_true(next - line < 256);
	free(text);
	fh_object_dispose(card);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tree_has_every_region_that_is_enabled_and_shown),
		TEST(tree_with_all_flags_says_what_is_off_and_whose_it_is),
		TEST(flat_has_every_range_of_every_view),
		TEST(tree_says_what_has_no_size),
		TEST(ranges_that_are_not_joined_stay_two),
		TEST(control_characters_are_shown_as_question_marks),
		TEST(json_has_all_that_decides_what_is_shown),
		TEST(json_names_every_kind),
		TEST(json_texts_are_escaped_and_valid),
		TEST(one_space_brings_what_its_root_leads_to),
		TEST(listing_outlives_what_it_lists),
		TEST(transaction_shows_its_edits_and_the_views_before_them),
		TEST(listing_is_of_one_moment),
		TEST(large_map_is_listed_in_full),
		TEST(deep_map_is_printed_in_lines_of_bounded_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
