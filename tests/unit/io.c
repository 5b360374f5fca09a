/* SPDX-License-Identifier: MIT */
/*
 * Operations in flight: holders of pins of their own, which may outlive their device (L4).
 */
#include "support/probe.h"

#include <stdio.h>
#include <string.h>

#include "base/point.h"
#include "device/device.h"

static const struct fh_type board_type = { .name = "board", .parent = &fh_device_type };

static int set_up(void **state)
{
	*state = machine_begin();
	return 0;
}

static int tear_down(void **state)
{
	fh_point_release_all();
	machine_end(*state);
	return 0;
}

static struct fh_device *board_plug(struct fh_machine *m, const char *name)
{
	struct fh_device *device = fh_device_plug(m, &board_type, name, NULL, NULL);

	assert_non_null(device);
	return device;
}

struct done {
	struct fh_device *device;
	_Atomic unsigned calls;
};

static void done_call(void *state)
{
	struct done *done = state;

	assert_true(fh_domain_is_mine(fh_device_domain(done->device)));
	done->calls++;
}

/* A region of @m that is mapped at 0, and its memory mapped for the operation. */
static uint32_t *map_ram(struct fh_machine *m, struct fh_io *io, struct fh_region **ret_ram)
{
	struct fh_region *ram = fh_region_new_ram(m, "ram", 4096, NULL);
	struct fh_mapped mapped;

	assert_int_equal(fh_region_add(fh_space_root(fh_machine_memory(m)), ram, 0, 0), FH_OK);
	assert_non_null(fh_space_map(fh_machine_memory(m), 0, 4096, FH_MAP_WRITE, FH_ATTRS_NONE,
				     io, &mapped));
	assert_int_equal(mapped.size, 4096);
	*ret_ram = ram;
	return mapped.ptr;
}

static void completion_is_a_callback_of_the_device_and_ends_the_pins(void **state)
{
	struct fh_machine *m = *state;
	struct done done = { .device = board_plug(m, "board") };
	struct fh_io *io = fh_io_begin(done.device, "dma");
	struct fh_region *ram;
	uint32_t *ptr = map_ram(m, io, &ram);

	ptr[1] = 5;
	assert_int_equal(load32(m, 4, FH_TX_OK), 5);
	fh_object_unref(ram);
	machine_check_alive(m, 3); /* the RAM is pinned */
	ptr[1] = 6;
	assert_null(fh_io_complete(io, done_call, &done));
	assert_int_equal(done.calls, 1);
	machine_check_alive(m, 1);
	assert_null(fh_io_complete(NULL, NULL, NULL));
}

static void operation_outlives_its_device(void **state)
{
	struct fh_machine *m = *state;
	struct done done = { .device = board_plug(m, "board") };
	struct fh_io *io = fh_io_begin(done.device, "dma");
	struct fh_region *ram;
	uint32_t *ptr = map_ram(m, io, &ram);
	char text[2000] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	fh_device_unplug(done.device);
	fh_object_unref(ram);
	machine_check_alive(m, 3);
	/* L8: the device is dead, and the operation says why it is still there. */
	assert_int_equal(fh_ledger_print(m, out), 3);
	fclose(out);
	assert_non_null(strstr(text, "/board [board, disposed]"));
	assert_non_null(strstr(text, "pin: 'dma' of <io>"));
	ptr[0] = 1; /* no write to freed memory */
	fh_io_complete(io, done_call, &done);
	assert_int_equal(done.calls, 0); /* hidden */
	machine_check_alive(m, 0);
}

static void operation_is_refused_after_the_end(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = fh_object_ref(board_plug(m, "board"));

	fh_device_unplug(board);
	assert_null(fh_io_begin(board, "dma"));
	fh_object_unref(board);
	machine_check_alive(m, 0);
}

static void complete(void *arg)
{
	fh_io_complete(arg, NULL, NULL);
}

static void completion_needs_no_callback(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = board_plug(m, "board");
	struct worker worker;

	worker_start(&worker, complete, fh_io_begin(board, "dma"));
	worker_join(&worker);
	machine_check_alive(m, 1);
}

struct completion {
	struct fh_io *io;
	struct done *done;
};

static void complete_done(void *arg)
{
	struct completion *completion = arg;

	FH_POINT("test.complete");
	fh_io_complete(completion->io, done_call, completion->done);
}

static void unplug(void *arg)
{
	fh_device_unplug(arg);
}

/* A completion between drain and detach. */
static void completion_after_the_drain_calls_nothing(void **state)
{
	struct fh_machine *m = *state;
	struct done done = { .device = board_plug(m, "board") };
	struct completion completion = { .io = fh_io_begin(done.device, "dma"), .done = &done };
	struct worker completer, unplugger;

	fh_point_arm("test.complete");
	worker_start(&completer, complete_done, &completion);
	assert_true(fh_point_wait("test.complete"));
	fh_point_arm("dispose.before-detach");
	worker_start(&unplugger, unplug, done.device);
	assert_true(fh_point_wait("dispose.before-detach"));
	fh_point_release("test.complete");
	worker_join(&completer);
	assert_int_equal(done.calls, 0);
	fh_point_release("dispose.before-detach");
	worker_join(&unplugger);
	machine_check_alive(m, 0);
}

static void revoke_pin(struct fh_pin *pin, void *state)
{
	struct done *done = state;

	assert_true(fh_domain_is_mine(fh_device_domain(done->device)));
	done->calls++;
	fh_unpin(pin);
}

/* The operation is the holder; the callback is its device's, in its domain. */
static void revocation_of_an_operations_pin_is_a_callback_of_its_device(void **state)
{
	struct fh_machine *m = *state;
	struct done done = { .device = board_plug(m, "board") };
	struct fh_device *target = board_plug(m, "target");
	struct fh_io *io = fh_io_begin(done.device, "dma");

	assert_non_null(fh_object_pin_revocable(target, io, "cache", revoke_pin, &done));
	fh_device_unplug(target);
	assert_int_equal(done.calls, 1);
	machine_check_alive(m, 2);
	fh_io_complete(io, NULL, NULL);
}

static void revocation_is_not_called_when_the_operations_device_is_hidden(void **state)
{
	struct fh_machine *m = *state;
	struct done done = { .device = board_plug(m, "board") };
	struct fh_device *target = board_plug(m, "target");
	struct fh_io *io = fh_io_begin(done.device, "dma");

	assert_non_null(fh_object_pin_revocable(target, io, "cache", revoke_pin, &done));
	fh_device_unplug(done.device);
	fh_device_unplug(target);
	assert_int_equal(done.calls, 0);
	machine_check_alive(m, 3);
	fh_io_complete(io, NULL, NULL);
	machine_check_alive(m, 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(completion_is_a_callback_of_the_device_and_ends_the_pins),
		test(operation_outlives_its_device),
		test(operation_is_refused_after_the_end),
		test(completion_needs_no_callback),
		test(completion_after_the_drain_calls_nothing),
		test(revocation_of_an_operations_pin_is_a_callback_of_its_device),
		test(revocation_is_not_called_when_the_operations_device_is_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
