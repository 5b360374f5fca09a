/* SPDX-License-Identifier: MIT */
/*
 * Read-only and non-volatile: set on a region, a container, an alias, now and at run time; and the
 * mode of a ROM device. Whatever changes, listeners see it as a removal and an addition.
 */
#include "support/flat.h"

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *root, *box, *inner, *ram, *window, *copy;
static char heard[2048];

static void hear(const char *what, const struct fh_section *section)
{
	const size_t used = strlen(heard);
	struct flat flat = { .used = 0 };

	flat_add(&flat, section);
	assert_true(used + strlen(flat.text) + 4 < sizeof(heard));
	snprintf(heard + used, sizeof(heard) - used, "%s(%s) ", what, flat.text);
}

static void heard_remove(void *state, const struct fh_section *section)
{
	(void)state;
	hear("-", section);
}

static void heard_add(void *state, const struct fh_section *section)
{
	(void)state;
	hear("+", section);
}

static const struct fh_listener_ops ears = { .remove = heard_remove, .add = heard_add };
static struct fh_listener *listener;

static struct fh_region *keep(struct fh_region *region, const char *name)
{
	assert_int_equal(fh_object_add_child(m, name, region, NULL), FH_OK);
	fh_object_unref(region);
	return region;
}

/*
 * root
 *   box at 0, a container, in which is inner at 0, in which is ram at 0
 *   copy at 0x10000, an alias of window, an alias of box
 */
static int setup(void **state)
{
	(void)state;
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	root = fh_space_root(memory);
	box = keep(fh_region_new_container(m, NULL, 0x2000), "box");
	inner = keep(fh_region_new_container(m, NULL, 0x2000), "inner");
	ram = keep(fh_region_new_ram(m, NULL, 0x1000, NULL), "ram");
	window = keep(fh_region_new_alias(m, NULL, box, 0, 0x2000), "window");
	copy = keep(fh_region_new_alias(m, NULL, window, 0, 0x2000), "copy");
	fh_region_add(root, box, 0, 0);
	fh_region_add(box, inner, 0, 0);
	fh_region_add(inner, ram, 0, 0);
	fh_region_add(root, copy, 0x10000, 0);
	listener = fh_listener_new(m, memory, 0, &ears, NULL);
	heard[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fh_object_unref(listener);
	return fh_machine_destroy(m);
}

#define assert_heard(expected)                        \
	do {                                          \
		assert_string_equal(heard, expected); \
		heard[0] = '\0';                      \
	} while (0)

enum { HERE = 0, THERE = 0x10000 };

static bool is_written(uint64_t addr)
{
	uint8_t *const host = fh_region_ram(ram);

	host[8] = 1;
	assert_int_equal(fh_space_store8(memory, addr + 8, 2, FH_LE), FH_TX_OK);
	return host[8] == 2;
}

static void container_hands_read_only_down_to_all_who_show_it(void **state)
{
	(void)state;
	assert_true(is_written(HERE) && is_written(THERE));
	fh_region_set_readonly(box, true);
	assert_heard("-(0-fff ram+0) -(10000-10fff ram+0) +(0-fff ram+0 ro) "
		     "+(10000-10fff ram+0 ro) ");
	assert_false(is_written(HERE) || is_written(THERE));
	fh_region_set_readonly(box, false);
	assert_heard("-(0-fff ram+0 ro) -(10000-10fff ram+0 ro) +(0-fff ram+0) "
		     "+(10000-10fff ram+0) ");
	assert_true(is_written(HERE) && is_written(THERE));
}

static void alias_hands_read_only_down_to_what_shows_through_it_alone(void **state)
{
	(void)state;
	fh_region_set_readonly(copy, true);
	assert_heard("-(10000-10fff ram+0) +(10000-10fff ram+0 ro) ");
	assert_true(is_written(HERE));
	assert_false(is_written(THERE));
	fh_region_set_readonly(copy, false);
	assert_heard("-(10000-10fff ram+0 ro) +(10000-10fff ram+0) ");
	assert_true(is_written(THERE));
}

static void alias_of_an_alias_inherits_too(void **state)
{
	(void)state;
	fh_region_set_readonly(window, true);
	assert_heard("-(10000-10fff ram+0) +(10000-10fff ram+0 ro) ");
	assert_true(is_written(HERE));
	assert_false(is_written(THERE));
}

static void read_only_from_two_sides_needs_both_to_go(void **state)
{
	(void)state;
	fh_region_set_readonly(inner, true);
	heard[0] = '\0';
	fh_region_set_readonly(copy, true);
	fh_region_set_nonvolatile(box, false);
	assert_heard(""); /* it was so already */
	fh_region_set_readonly(inner, false);
	assert_heard("-(0-fff ram+0 ro) +(0-fff ram+0) ");
	assert_true(is_written(HERE));
	assert_false(is_written(THERE));
	fh_region_set_readonly(copy, false);
	assert_true(is_written(THERE));
}

static void container_and_alias_hand_nonvolatile_down(void **state)
{
	(void)state;
	fh_region_set_nonvolatile(box, true);
	assert_heard("-(0-fff ram+0) -(10000-10fff ram+0) +(0-fff ram+0 nv) "
		     "+(10000-10fff ram+0 nv) ");
	fh_region_set_nonvolatile(window, true);
	assert_heard("");
	fh_region_set_nonvolatile(box, false);
	assert_heard("-(0-fff ram+0 nv) +(0-fff ram+0) ");
	fh_region_set_nonvolatile(window, false);
	assert_heard("-(10000-10fff ram+0 nv) +(10000-10fff ram+0) ");
	assert_true(is_written(HERE) && is_written(THERE));
}

static void both_marks_are_kept_apart(void **state)
{
	(void)state;
	fh_edit_begin(m);
	fh_region_set_readonly(box, true);
	fh_region_set_nonvolatile(copy, true);
	fh_edit_commit(m);
	assert_flat(memory, "0-fff ram+0 ro, 10000-10fff ram+0 ro nv");
	assert_heard("-(0-fff ram+0) -(10000-10fff ram+0) +(0-fff ram+0 ro) "
		     "+(10000-10fff ram+0 ro nv) ");
}

static void what_is_put_in_later_inherits(void **state)
{
	struct fh_region *more = keep(fh_region_new_ram(m, NULL, 0x800, NULL), "more");

	(void)state;
	fh_region_set_readonly(box, true);
	fh_region_set_nonvolatile(copy, true);
	heard[0] = '\0';
	fh_region_add(inner, more, 0x1000, 0);
	assert_heard("+(1000-17ff more+0 ro) +(11000-117ff more+0 ro nv) ");
	/* And what is taken out inherits no more. */
	fh_region_remove(more);
	fh_region_add(root, more, 0x20000, 0);
	assert_flat(memory, "0-fff ram+0 ro, 10000-10fff ram+0 ro nv, 20000-207ff more+0");
}

static void a_mark_ends_what_would_be_joined(void **state)
{
	struct fh_region *low = keep(fh_region_new_alias(m, NULL, ram, 0, 0x800), "low");
	struct fh_region *high = keep(fh_region_new_alias(m, NULL, ram, 0x800, 0x800), "high");

	(void)state;
	fh_region_add(root, low, 0x20000, 0);
	fh_region_add(root, high, 0x20800, 0);
	heard[0] = '\0';
	fh_region_set_nonvolatile(high, true);
	assert_heard("-(20000-20fff ram+0) +(20000-207ff ram+0) +(20800-20fff ram+800 nv) ");
	fh_region_set_nonvolatile(low, true);
	assert_heard("-(20000-207ff ram+0) -(20800-20fff ram+800 nv) +(20000-20fff ram+0 nv) ");
}

/* --- ROM mode -------------------------------------------------------------------------------- */

static enum fh_tx register_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
				struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = 0x77;
	return FH_TX_OK;
}

static const struct fh_region_ops register_ops = { .read = register_read, .concurrent = true };

static void rom_mode_changes_wherever_it_shows(void **state)
{
	struct fh_region *flash = keep(
		fh_region_new_rom_device(m, NULL, 0x800, &register_ops, NULL, NULL), "flash");
	uint8_t value;

	(void)state;
	fh_region_add(inner, flash, 0x1000, 0);
	heard[0] = '\0';
	*(uint8_t *)fh_region_ram(flash) = 0x11;
	fh_region_set_rom_mode(flash, false);
	assert_heard("-(1000-17ff flash+0 romd) -(11000-117ff flash+0 romd) "
		     "+(1000-17ff flash+0) +(11000-117ff flash+0) ");
	assert_int_equal(fh_space_load8(memory, THERE + 0x1000, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 0x77);
	fh_region_set_rom_mode(flash, true);
	assert_heard("-(1000-17ff flash+0) -(11000-117ff flash+0) "
		     "+(1000-17ff flash+0 romd) +(11000-117ff flash+0 romd) ");
	assert_int_equal(fh_space_load8(memory, HERE + 0x1000, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 0x11);
	fh_region_set_rom_mode(flash, true);
	assert_heard("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(container_hands_read_only_down_to_all_who_show_it),
		TEST(alias_hands_read_only_down_to_what_shows_through_it_alone),
		TEST(alias_of_an_alias_inherits_too),
		TEST(read_only_from_two_sides_needs_both_to_go),
		TEST(container_and_alias_hand_nonvolatile_down),
		TEST(both_marks_are_kept_apart),
		TEST(what_is_put_in_later_inherits),
		TEST(a_mark_ends_what_would_be_joined),
		TEST(rom_mode_changes_wherever_it_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
