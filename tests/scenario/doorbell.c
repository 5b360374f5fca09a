/* SPDX-License-Identifier: MIT */
/*
 * Stores that are stopped on their way to an eventfd while the eventfd, its owner, its region or
 * the device goes: the descriptor that they signal is the one that they found, and is open.
 */
#include "support/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/point.h"
#include "memory/extras.h"

#define BASE UINT64_C(0x10000000)

static struct fh_machine *m;
static struct fh_space *memory;
static int bell;
static struct probe_hooks hooks[2];

static int setup(void **state)
{
	(void)state;
	memset(hooks, 0, sizeof(hooks));
	m = machine_begin();
	memory = fh_machine_memory(m);
	bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fh_point_release_all();
	machine_end(m);
	close(bell);
	return 0;
}

static uint64_t signals(void)
{
	uint64_t count;

	return read(bell, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1 || errno != EBADF;
}

static struct fh_eventfd *watch(FH_ANY owner, struct fh_region *region)
{
	const struct fh_eventfd_match match = { .offset = 8, .size = 4 };
	struct fh_eventfd *eventfd = fh_eventfd_new(owner, region, &match, bell, NULL);

	assert_non_null(eventfd);
	return eventfd;
}

static void store(void *arg)
{
	*(enum fh_tx *)arg = fh_space_store32(memory, BASE + 8, 1, FH_LE);
}

static void unplug(void *arg)
{
	fh_device_unplug(arg);
}

/* A store that is stopped there, in its read section. */
static void stop_store(struct worker *storer, enum fh_tx *tx, const char *point)
{
	fh_point_arm(point);
	worker_start(storer, store, tx);
	assert_true(fh_point_wait(point));
}

static void let_go(struct worker *storer, const char *point)
{
	fh_point_release(point);
	worker_join(storer);
}

static void unplug_of_the_device_waits_for_a_store_that_found_its_eventfd(void **state)
{
	struct fh_device *device = probe_plug(m, "device", &hooks[0], BASE);
	const int copy = fh_eventfd_event(watch(device, probe_of(device)->regs)).fd;
	struct worker storer, unplugger;
	enum fh_tx tx = FH_TX_DENIED;

	(void)state;
	stop_store(&storer, &tx, "eventfd.found");
	worker_start(&unplugger, unplug, device);
	assert_false(worker_done_within(&unplugger, 50));
	assert_int_equal(hooks[0].unrealized, 0);
	assert_true(is_open(copy));
	let_go(&storer, "eventfd.found");
	worker_join(&unplugger);
	assert_int_equal(tx, FH_TX_OK);
	assert_int_equal(signals(), 1);
	store32(m, BASE + 8, 1, FH_TX_DECODE_ERROR);
	fh_machine_drain(m);
	assert_false(is_open(copy));
	assert_int_equal(signals(), 0);
	assert_int_equal(hooks[0].writes, 0);
}

static void owner_of_the_eventfd_that_dies_first_leaves_the_descriptor_to_who_found_it(void **state)
{
	struct fh_device *device = probe_plug(m, "device", &hooks[0], BASE);
	struct fh_device *backend = probe_plug(m, "backend", &hooks[1], BASE + 0x10000);
	const int copy = fh_eventfd_event(watch(backend, probe_of(device)->regs)).fd;
	struct worker storer, unplugger;
	enum fh_tx tx = FH_TX_DENIED;

	(void)state;
	stop_store(&storer, &tx, "eventfd.found");
	worker_start(&unplugger, unplug, backend);
	assert_false(worker_done_within(&unplugger, 50));
	assert_true(is_open(copy));
	let_go(&storer, "eventfd.found");
	worker_join(&unplugger);
	assert_int_equal(signals(), 1);
	store32(m, BASE + 8, 1, FH_TX_OK);
	assert_int_equal(hooks[0].writes, 1);
	assert_int_equal(signals(), 0);
	fh_machine_drain(m);
	assert_false(is_open(copy));
	fh_device_unplug(device);
}

static void descriptor_stays_open_for_a_store_that_found_it(void **state)
{
	struct fh_device *device = probe_plug(m, "device", &hooks[0], BASE);
	struct fh_eventfd *eventfd = watch(m, probe_of(device)->regs);
	const int copy = fh_eventfd_event(eventfd).fd;
	struct worker storer;
	enum fh_tx tx = FH_TX_DENIED;

	(void)state;
	stop_store(&storer, &tx, "eventfd.found");
	fh_eventfd_destroy(eventfd); /* does not wait */
	fh_object_unref(eventfd);
	usleep(20000); /* as long as the reaper takes, and more */
	assert_true(is_open(copy));
	let_go(&storer, "eventfd.found");
	assert_int_equal(tx, FH_TX_OK);
	assert_int_equal(signals(), 1);
	fh_machine_drain(m);
	assert_false(is_open(copy));
	fh_device_unplug(device);
}

/* It found the range as it was; whether the eventfd is still there is decided by a later look. */
static void store_that_has_not_looked_yet_signals_nothing_after_the_removal(void **state)
{
	struct fh_device *device = probe_plug(m, "device", &hooks[0], BASE);
	struct fh_eventfd *eventfd = watch(m, probe_of(device)->regs);
	struct worker storer;
	enum fh_tx tx = FH_TX_DENIED;

	(void)state;
	stop_store(&storer, &tx, "lookup.found");
	fh_eventfd_destroy(eventfd);
	fh_object_unref(eventfd);
	let_go(&storer, "lookup.found");
	assert_int_equal(tx, FH_TX_OK);
	assert_int_equal(signals(), 0);
	assert_int_equal(hooks[0].writes, 1);
	fh_device_unplug(device);
}

static void device_dies_before_the_eventfd_of_another_owner(void **state)
{
	struct fh_device *device = probe_plug(m, "device", &hooks[0], BASE);
	struct fh_device *backend = probe_plug(m, "backend", &hooks[1], BASE + 0x10000);

	(void)state;
	watch(backend, probe_of(device)->regs);
	fh_device_unplug(device);
	store32(m, BASE + 8, 1, FH_TX_DECODE_ERROR);
	assert_int_equal(signals(), 0);
	fh_machine_drain(m);
	assert_int_equal(hooks[0].finalized, 1);
	fh_device_unplug(backend);
	fh_machine_drain(m);
	assert_int_equal(hooks[1].finalized, 1);
}

int main(void)
{
#define bell_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		bell_test(unplug_of_the_device_waits_for_a_store_that_found_its_eventfd),
		bell_test(
			owner_of_the_eventfd_that_dies_first_leaves_the_descriptor_to_who_found_it),
		bell_test(descriptor_stays_open_for_a_store_that_found_it),
		bell_test(store_that_has_not_looked_yet_signals_nothing_after_the_removal),
		bell_test(device_dies_before_the_eventfd_of_another_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
