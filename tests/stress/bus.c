/* SPDX-License-Identifier: MIT */
/*
 * A bus under many hands: some plug, some ask for the end, some tear out, and a guest that answers.
 * Each device that was plugged is unplugged once, and no slot is left taken.
 */
#include "support/probe.h"

#include <sched.h>

#include "support/scale.h"

#define SLOTS 4

static struct {
	struct fh_machine *m;
	struct fh_bus *bus;
	unsigned present[SLOTS]; /* in the controller's domain */
	unsigned plugged, unplugged;
	unsigned turn;
	_Atomic bool over;
} rig;

static enum fh_code bus_check(void *state, struct fh_device *device, uint32_t slot,
			      struct fh_error *err)
{
	(void)state, (void)device;
	CHECK(rig.present[slot] == 0);
	return rig.turn++ % 5 == 0 ? fh_error_set(err, FH_EPERM, "not now") : FH_OK;
}

static enum fh_code bus_plugged(void *state, struct fh_device *device, uint32_t slot,
				struct fh_error *err)
{
	(void)state, (void)device;
	if (rig.turn++ % 7 == 0)
		return fh_error_set(err, FH_EPERM, "not now");
	CHECK(rig.present[slot]++ == 0);
	rig.plugged++;
	return FH_OK;
}

static enum fh_unplug_answer bus_request(void *state, struct fh_device *device, uint32_t slot,
					 struct fh_error *err)
{
	(void)state, (void)device, (void)err;
	CHECK(rig.present[slot] == 1);
	return (enum fh_unplug_answer)(rig.turn++ % 3);
}

static void bus_unplugged(void *state, struct fh_device *device, uint32_t slot)
{
	(void)state, (void)device;
	CHECK(rig.present[slot]-- == 1);
	rig.unplugged++;
}

static const struct fh_bus_ops bus_ops = {
	.check = bus_check, .plugged = bus_plugged, .unplug_request = bus_request,
	.unplugged = bus_unplugged
};

static const struct fh_type board_type = { .name = "board", .parent = &fh_device_type };

static void plug(void *arg)
{
	const unsigned count = scaled(1000);

	(void)arg;
	for (unsigned i = 0; i < count;)
		if (fh_bus_plug(rig.bus, i % 3 ? FH_SLOT_ANY : i % SLOTS, &board_type, NULL, NULL,
				NULL))
			i++;
		else
			sched_yield();
}

/* A device in some slot, again and again, asked for or torn out; or the guest's answer. */
static void unplug(void *arg)
{
	const unsigned which = *(const unsigned *)arg;

	for (unsigned i = 0; !rig.over; i++) {
		struct fh_device *device = fh_bus_find_device(rig.bus, i % SLOTS);

		if (!device) {
			sched_yield();
			continue;
		}
		if (which == 0)
			fh_device_request_unplug(device, NULL);
		else if (which == 1 && i % 3 == 0)
			fh_device_unplug(device);
		else if (which == 2 && fh_device_unplug_is_requested(device))
			i % 2 ? fh_device_refuse_unplug(device) : (void)fh_device_unplug(device);
		fh_object_unref(device);
	}
}

static void every_device_comes_and_goes_once(void **state)
{
	static unsigned whiches[3] = { 0, 1, 2 };
	struct worker plugs[2], others[3];
	struct fh_device *controller;

	(void)state;
	rig.m = machine_begin();
	controller = fh_device_plug(rig.m, &board_type, "controller", NULL, NULL);
	rig.bus = fh_bus_new(controller, "bus", &bus_ops, NULL, SLOTS);
	for (unsigned i = 0; i < 3; i++)
		worker_start(&others[i], unplug, &whiches[i]);
	for (unsigned i = 0; i < 2; i++)
		worker_start(&plugs[i], plug, NULL);
	for (unsigned i = 0; i < 2; i++)
		worker_join_within(&plugs[i], 300);
	rig.over = true;
	for (unsigned i = 0; i < 3; i++)
		worker_join_within(&others[i], 300);
	fh_object_dispose(rig.bus);
	assert_int_equal(rig.plugged, rig.unplugged);
	assert_true(rig.plugged > 0);
	machine_end(rig.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_device_comes_and_goes_once) };

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
