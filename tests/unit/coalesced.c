/* SPDX-License-Identifier: MIT */
/*
 * Coalesced ranges: who keeps stores, as an accelerator does, brings them in their order before
 * anybody could tell that they were late. (Which ranges listeners are told of is eventfd.c's.)
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/probe.h"

#define PLANE  UINT64_C(0x10000)
#define STATUS UINT64_C(0x20000)
#define OTHER  UINT64_C(0x30000)

/* A screen: what is stored to its plane is counted and remembered by its status. */
struct screen {
	uint32_t stores;
	uint32_t latest;
	uint32_t trace; /* in decimal digits */
};

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_device *screen;
static struct screen *state_of_screen;
static struct fh_region *plane, *status;
static struct fh_listener *listener;

static enum fh_tx screen_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			      struct fh_attrs attrs)
{
	const struct screen *self = state;

	(void)offset, (void)size, (void)attrs;
	*ret_value = self->trace;
	return FH_TX_OK;
}

static enum fh_tx screen_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			       struct fh_attrs attrs)
{
	struct screen *self = state;

	(void)offset, (void)size, (void)attrs;
	self->stores++;
	self->latest = (uint32_t)value;
	self->trace = self->trace * 10 + (uint32_t)value;
	return FH_TX_OK;
}

static const struct fh_region_ops screen_regs = { .read = screen_read, .write = screen_write };

static void screen_reset(struct fh_device *device, void *state, enum fh_reset_type type)
{
	(void)device, (void)type;
	((struct screen *)state)->trace = 0;
}

static const struct fh_state_field screen_fields[] = {
	FH_STATE(U32, struct screen, latest),
	{ 0 },
};
static const struct fh_state_table screen_table = { .version = 1, .fields = screen_fields };
static const struct fh_device_ops screen_ops = {
	.reset_hold = screen_reset, .saved = &screen_table
};
static const struct fh_type screen_type = {
	.name = "screen",
	.parent = &fh_device_type,
	.state_size = sizeof(struct screen),
	.device = &screen_ops,
};

/* --- Who keeps ------------------------------------------------------------------------------ */

struct keeper {
	uint32_t values[8];
	unsigned kept, asked;
};

static struct keeper keeper;

static void keep(uint32_t value)
{
	keeper.values[keeper.kept++] = value;
}

static void keeper_flush(void *state)
{
	struct keeper *self = state;

	self->asked++;
	for (unsigned i = 0; i < self->kept; i++)
		fh_space_store32(memory, PLANE + 0x100, self->values[i], FH_LE);
	self->kept = 0;
	fh_machine_flush_coalesced(m); /* nothing, here */
}

static const struct fh_listener_ops keeper_ops = { .coalesced_flush = keeper_flush };

static struct fh_region *add_registers(uint64_t addr)
{
	struct fh_region *region =
		fh_region_new_mmio(screen, NULL, 0x1000, &screen_regs, state_of_screen);

	fh_region_add(fh_space_root(memory), region, addr, 0);
	return region;
}

static int setup(void **state)
{
	(void)state;
	m = machine_begin();
	memory = fh_machine_memory(m);
	screen = fh_device_plug(m, &screen_type, "screen", NULL, NULL);
	state_of_screen = fh_device_state(screen);
	status = add_registers(STATUS); /* before there is anything coalesced */
	plane = add_registers(PLANE);
	assert_int_equal(fh_region_add_coalesced(plane, 0x100, 0x100), FH_OK);
	keeper = (struct keeper){ .kept = 0 };
	listener = fh_listener_new(m, memory, 0, &keeper_ops, &keeper);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fh_object_unref(listener);
	machine_end(m);
	return 0;
}

static uint32_t load(uint64_t addr)
{
	uint32_t value = 0;

	assert_int_equal(fh_space_load32(memory, addr, FH_LE, &value), FH_TX_OK);
	return value;
}

/* --- Tests ---------------------------------------------------------------------------------- */

static void any_register_of_the_device_shows_what_was_kept_in_its_order(void **state)
{
	(void)state;
	keep(1);
	keep(2);
	keep(3);
	assert_int_equal(load(STATUS), 123);
	keep(4);
	fh_space_store32(memory, STATUS, 5, FH_LE);
	assert_int_equal(state_of_screen->trace, 12345);
	assert_int_equal(keeper.asked, 2);
}

static void registers_made_later_ask_as_well(void **state)
{
	struct fh_region *later = add_registers(OTHER);

	(void)state;
	keep(1);
	assert_int_equal(load(OTHER), 1);
	fh_object_dispose(later);
}

static void registers_of_another_device_do_not_ask_unless_marked(void **state)
{
	struct fh_device *other = fh_device_plug(m, &screen_type, "other", NULL, NULL);
	struct fh_region *regs = fh_region_new_mmio(other, NULL, 0x1000, &screen_regs,
						    fh_device_state(other));

	(void)state;
	fh_region_add(fh_space_root(memory), regs, OTHER, 0);
	keep(1);
	load(OTHER);
	assert_int_equal(keeper.asked, 0);
	assert_int_equal(fh_region_set_flush_coalesced(regs, true), FH_OK);
	load(OTHER);
	assert_int_equal(keeper.asked, 1);
	assert_int_equal(state_of_screen->trace, 1);
}

static void registers_ask_until_the_last_range_of_the_device_is_gone(void **state)
{
	struct fh_region *second = add_registers(OTHER);

	(void)state;
	fh_region_add_coalesced(second, 0, 4);
	fh_region_add_coalesced(second, 8, 4);
	fh_edit_begin(m); /* in which nobody is asked */
	assert_int_equal(fh_region_clear_coalesced(plane), FH_OK);
	fh_edit_commit(m);
	load(STATUS);
	load(PLANE);
	assert_int_equal(keeper.asked, 2);
	fh_object_dispose(second);
	load(STATUS);
	load(PLANE);
	assert_int_equal(keeper.asked, 2);
	fh_region_add_coalesced(plane, 0, 4);
	load(STATUS);
	assert_int_equal(keeper.asked, 3);
}

static void eventfd_is_signalled_after_what_was_kept(void **state)
{
	const struct fh_eventfd_match match = { .offset = 8 };
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	assert_non_null(fh_eventfd_new(screen, status, &match, fd, NULL));
	keep(7);
	fh_space_store32(memory, STATUS + 8, 0, FH_LE);
	assert_int_equal(state_of_screen->trace, 7);
	assert_int_equal(read(fd, &(uint64_t){ 0 }, 8), 8);
	close(fd);
}

static void who_looks_without_an_access_asks_by_itself(void **state)
{
	(void)state;
	keep(1);
	keep(2);
	fh_machine_flush_coalesced(m);
	assert_int_equal(state_of_screen->trace, 12);
	assert_int_equal(keeper.asked, 1);
}

static void end_of_the_ranges_brings_what_was_kept_there(void **state)
{
	(void)state;
	keep(1);
	assert_int_equal(fh_region_clear_coalesced(plane), FH_OK);
	assert_int_equal(state_of_screen->trace, 1);
	assert_int_equal(keeper.asked, 1);
}

static void saved_state_has_what_was_kept_and_restored_state_has_not(void **state)
{
	struct fh_state_buffer buffer = { 0 };
	const struct fh_state_writer writer = fh_state_buffer_writer(&buffer);

	(void)state;
	keep(5);
	assert_int_equal(fh_state_save(m, &writer, NULL), FH_OK);
	assert_int_equal(state_of_screen->latest, 5);
	keep(6);
	assert_int_equal(fh_state_restore(m, buffer.data, buffer.size, NULL), FH_OK);
	assert_int_equal(keeper.kept, 0);
	assert_int_equal(state_of_screen->latest, 5);
	fh_state_buffer_free(&buffer);
}

static void reset_comes_after_what_was_kept(void **state)
{
	(void)state;
	keep(5);
	fh_device_reset(screen, FH_RESET_WARM);
	assert_int_equal(state_of_screen->latest, 5);
	assert_int_equal(state_of_screen->trace, 0);
	keep(6);
	fh_machine_reset(m, FH_RESET_COLD);
	assert_int_equal(state_of_screen->latest, 6);
	assert_int_equal(state_of_screen->trace, 0);
}

static void unplugged_device_leaves_no_trace(void **state)
{
	struct fh_device *other = fh_device_plug(m, &screen_type, "other", NULL, NULL);
	struct fh_region *regs = fh_region_new_mmio(other, NULL, 0x1000, &screen_regs,
						    fh_device_state(other));

	(void)state;
	fh_region_add(fh_space_root(memory), regs, OTHER, 0);
	fh_region_add_coalesced(regs, 0, 4);
	fh_device_unplug(other);
	assert_int_equal(fh_region_clear_coalesced(plane), FH_OK);
	keeper.asked = 0;
	load(STATUS);
	assert_int_equal(keeper.asked, 0);
}

int main(void)
{
#define coalesced_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		coalesced_test(any_register_of_the_device_shows_what_was_kept_in_its_order),
		coalesced_test(registers_made_later_ask_as_well),
		coalesced_test(registers_of_another_device_do_not_ask_unless_marked),
		coalesced_test(registers_ask_until_the_last_range_of_the_device_is_gone),
		coalesced_test(eventfd_is_signalled_after_what_was_kept),
		coalesced_test(who_looks_without_an_access_asks_by_itself),
		coalesced_test(end_of_the_ranges_brings_what_was_kept_there),
		coalesced_test(saved_state_has_what_was_kept_and_restored_state_has_not),
		coalesced_test(reset_comes_after_what_was_kept),
		coalesced_test(unplugged_device_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
