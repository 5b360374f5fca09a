/* SPDX-License-Identifier: MIT */
/*
 * Buses: slots, vetoes, the order of callbacks, requests of unplugs and what crosses them.
 */
#include "support/probe.h"

#include <string.h>

#include "base/point.h"
#include "device/device.h"

static const struct fh_type board_type = { .name = "board", .parent = &fh_device_type };

/* --- A controller that takes notes ------------------------------------------------------------ */

static char notes[256];

static void note(const char *what)
{
	strncat(notes, what, sizeof(notes) - strlen(notes) - 1);
	strncat(notes, " ", sizeof(notes) - strlen(notes) - 1);
}

static struct {
	struct fh_device *controller;
	enum fh_code check, plugged, realize, refusal;
	enum fh_unplug_answer answer;
	uint32_t last_slot;
} rig;

static void check_context(void)
{
	CHECK(fh_domain_is_mine(fh_device_domain(rig.controller)));
}

static enum fh_code bus_check(void *state, struct fh_device *device, uint32_t slot,
			      struct fh_error *err)
{
	check_context();
	CHECK(!fh_device_is_realized(device) && state == &rig);
	rig.last_slot = slot;
	note("check");
	return rig.check ? fh_error_set(err, rig.check, "not here") : FH_OK;
}

static enum fh_code bus_plugged(void *state, struct fh_device *device, uint32_t slot,
				struct fh_error *err)
{
	(void)state, (void)slot, (void)err;
	check_context();
	CHECK(!fh_object_is_shown(&device->object));
	note("plugged");
	return rig.plugged;
}

static enum fh_unplug_answer bus_unplug_request(void *state, struct fh_device *device,
						uint32_t slot, struct fh_error *err)
{
	(void)state, (void)device, (void)slot;
	check_context();
	note("request");
	if (rig.refusal != FH_OK)
		fh_error_set(err, rig.refusal, "it is in use");
	return rig.answer;
}

static void bus_unplugged(void *state, struct fh_device *device, uint32_t slot)
{
	(void)state, (void)slot;
	check_context();
	CHECK(!fh_object_is_shown(&device->object));
	note("unplugged");
}

static const struct fh_bus_ops bus_ops = {
	.check = bus_check, .plugged = bus_plugged, .unplug_request = bus_unplug_request,
	.unplugged = bus_unplugged
};

static enum fh_code card_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)device, (void)state;
	note("realize");
	return rig.realize ? fh_error_set(err, rig.realize, "broken") : FH_OK;
}

static void card_unrealize(struct fh_device *device, void *state)
{
	(void)device, (void)state;
	note("unrealize");
}

static const struct fh_type card_type = {
	.name = "card", .parent = &fh_device_type,
	.device = &(const struct fh_device_ops){
		.realize = card_realize, .unrealize = card_unrealize }
};

static struct fh_bus *bus;

static int set_up(void **state)
{
	*state = machine_begin();
	memset(&rig, 0, sizeof(rig));
	rig.controller = fh_device_plug(*state, &board_type, "host", NULL, NULL);
	bus = fh_bus_new(rig.controller, "bus", &bus_ops, &rig, 4);
	assert_non_null(bus);
	notes[0] = '\0';
	return 0;
}

static int tear_down(void **state)
{
	fh_point_release_all();
	machine_end(*state);
	return 0;
}

static struct fh_device *card_plug(const char *name)
{
	struct fh_device *card = fh_device_plug(bus, &card_type, name, NULL, NULL);

	assert_non_null(card);
	return card;
}

static bool slot_is_free(uint32_t slot)
{
	struct fh_device *device = fh_bus_find_device(bus, slot);

	fh_object_unref(device);
	return !device;
}

/* --- Slots ------------------------------------------------------------------------------------ */

static void slots_are_taken_from_the_lowest_or_by_number(void **state)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_device *a, *b;

	(void)state;
	b = fh_bus_plug(bus, 1, &card_type, "b", NULL, NULL);
	a = card_plug("a");
	assert_int_equal(fh_device_slot(a), 0);
	assert_int_equal(fh_device_slot(b), 1);
	assert_int_equal(fh_device_slot(card_plug("c")), 2);
	assert_null(fh_bus_plug(bus, 1, &card_type, "d", NULL, &err));
	assert_int_equal(err.code, FH_EEXIST);
	assert_non_null(strstr(err.message, "'b'"));
	fh_error_clear(&err);
	assert_null(fh_bus_plug(bus, 4, &card_type, "d", NULL, &err));
	assert_int_equal(err.code, FH_ERANGE);
	card_plug("d");
	fh_error_clear(&err);
	assert_null(fh_device_plug(bus, &card_type, "e", NULL, &err));
	assert_int_equal(err.code, FH_ELIMIT);
	fh_device_unplug(b);
	assert_true(slot_is_free(1));
	assert_int_equal(fh_device_slot(card_plug("e")), 1);
	assert_int_equal(fh_device_slot(rig.controller), FH_SLOT_ANY);
	assert_int_equal(fh_device_set_slot(a, 3, NULL), FH_EBUSY);
	assert_int_equal(fh_device_set_slot(rig.controller, 3, NULL), FH_EINVAL);
	assert_ptr_equal(fh_device_bus(rig.controller, "bus"), bus);
	assert_int_equal(fh_bus_slots(bus), 4);
}

static void a_slot_reserved_is_held_until_the_device_goes(void **state)
{
	struct fh_device *card = fh_device_new(bus, &card_type, "card", NULL, NULL);

	(void)state;
	assert_int_equal(fh_device_set_slot(card, 3, NULL), FH_OK);
	rig.realize = FH_EIO;
	assert_int_equal(fh_device_realize(card, NULL), FH_EIO);
	assert_int_equal(fh_device_slot(card), 3);
	fh_device_unplug(card);
	assert_true(slot_is_free(3));
	assert_string_equal(notes, "check realize "); /* it was never plugged */
}

static void a_slot_that_realize_took_goes_with_its_failure(void **state)
{
	struct fh_device *card = fh_device_new(bus, &card_type, "card", NULL, NULL);

	(void)state;
	rig.realize = FH_EIO;
	assert_int_equal(fh_device_realize(card, NULL), FH_EIO);
	assert_int_equal(fh_device_slot(card), FH_SLOT_ANY);
	assert_true(slot_is_free(0));
	rig.realize = FH_OK;
	assert_int_equal(fh_device_realize(card, NULL), FH_OK);
	assert_int_equal(fh_device_slot(card), 0);
}

/* --- Plugging --------------------------------------------------------------------------------- */

static void callbacks_come_in_order(void **state)
{
	struct fh_device *card = card_plug("card");

	(void)state;
	assert_string_equal(notes, "check realize plugged ");
	notes[0] = '\0';
	fh_device_unplug(card);
	assert_string_equal(notes, "unplugged unrealize ");
}

static void a_veto_leaves_nothing(void **state)
{
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	rig.check = FH_EPERM;
	assert_null(fh_device_plug(bus, &card_type, "card", NULL, &err));
	assert_int_equal(err.code, FH_EPERM);
	assert_string_equal(err.message, "card 'card': not here");
	assert_string_equal(notes, "check ");
	assert_true(slot_is_free(0));
}

static void a_realize_that_fails_is_not_plugged(void **state)
{
	(void)state;
	rig.realize = FH_EIO;
	assert_null(fh_device_plug(bus, &card_type, "card", NULL, NULL));
	assert_string_equal(notes, "check realize ");
	assert_true(slot_is_free(0));
}

static void a_veto_at_the_end_undoes_the_realize(void **state)
{
	(void)state;
	rig.plugged = FH_ELIMIT;
	assert_null(fh_device_plug(bus, &card_type, "card", NULL, NULL));
	assert_string_equal(notes, "check realize plugged unrealize ");
	assert_true(slot_is_free(0));
}

/* A controller that plugs a card in its realize, which then fails. */
static enum fh_code late_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)state;
	rig.controller = device;
	bus = fh_bus_new(device, "bus", &bus_ops, &rig, 1);
	if (!fh_device_plug(bus, &card_type, "card", NULL, err))
		return err->code;
	return fh_error_set(err, FH_EIO, "late");
}

static const struct fh_type late_type = {
	.name = "late", .parent = &fh_device_type,
	.device = &(const struct fh_device_ops){ .realize = late_realize }
};

static void a_controller_whose_realize_fails_is_told_of_its_cards(void **state)
{
	assert_null(fh_device_plug(*state, &late_type, "late", NULL, NULL));
	assert_string_equal(notes, "check realize plugged unplugged unrealize ");
}

static void a_bus_takes_its_devices_along(void **state)
{
	card_plug("a");
	card_plug("b");
	notes[0] = '\0';
	fh_object_dispose(bus);
	assert_string_equal(notes, "unplugged unrealize unplugged unrealize ");
	(void)state;
}

/* --- Requests --------------------------------------------------------------------------------- */

static void a_request_that_is_granted_unplugs(void **state)
{
	struct fh_device *card = card_plug("card");

	(void)state;
	notes[0] = '\0';
	rig.answer = FH_UNPLUG_NOW;
	fh_object_ref(card);
	assert_int_equal(fh_device_request_unplug(card, NULL), FH_OK);
	assert_true(fh_object_is_disposed(card));
	assert_string_equal(notes, "request unplugged unrealize ");
	assert_int_equal(fh_device_request_unplug(card, NULL), FH_EDEAD);
	fh_object_unref(card);
}

static void a_request_that_is_refused_is_over(void **state)
{
	struct fh_device *card = card_plug("card");
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	rig.answer = FH_UNPLUG_REFUSE;
	assert_int_equal(fh_device_request_unplug(card, &err), FH_EPERM);
	assert_int_equal(err.code, FH_EPERM);
	assert_false(fh_device_unplug_is_requested(card));
	assert_false(fh_object_is_disposed(card));
	rig.refusal = FH_EBUSY; /* the bus says why: whoever asks hears that, with an error or not */
	fh_error_clear(&err);
	assert_int_equal(fh_device_request_unplug(card, &err), FH_EBUSY);
	assert_int_equal(err.code, FH_EBUSY);
	assert_string_equal(err.message, "it is in use");
	assert_int_equal(fh_device_request_unplug(card, NULL), FH_EBUSY);
	assert_false(fh_device_unplug_is_requested(card));
	assert_int_equal(fh_device_request_unplug(rig.controller, NULL), FH_ENOTSUP);
}

static void a_request_waits_for_the_guest(void **state)
{
	struct fh_device *card = card_plug("card");

	(void)state;
	rig.answer = FH_UNPLUG_LATER;
	assert_int_equal(fh_device_request_unplug(card, NULL), FH_OK);
	assert_true(fh_device_unplug_is_requested(card));
	assert_false(fh_object_is_disposed(card));
	assert_int_equal(fh_device_request_unplug(card, NULL), FH_EBUSY);
	fh_device_refuse_unplug(card);
	assert_false(fh_device_unplug_is_requested(card));
	assert_int_equal(fh_device_request_unplug(card, NULL), FH_OK);
	notes[0] = '\0';
	fh_device_unplug(card); /* the guest agrees, or it is torn out: the bus hears of it once */
	assert_string_equal(notes, "unplugged unrealize ");
}

static void request(void *arg)
{
	fh_device_request_unplug(arg, NULL);
}

/* Torn out when it has been asked for and the bus has not been asked yet. */
static void a_bus_is_not_asked_about_what_is_gone(void **state)
{
	struct fh_device *card = card_plug("card");
	struct worker worker;

	(void)state;
	fh_object_ref(card);
	notes[0] = '\0';
	fh_point_arm("bus.requested");
	worker_start(&worker, request, card);
	fh_point_wait("bus.requested");
	fh_device_unplug(card);
	fh_point_release("bus.requested");
	worker_join(&worker);
	fh_object_unref(card);
	assert_string_equal(notes, "unplugged unrealize ");
}

static void request_in_callback(void *state)
{
	(void)state;
	struct fh_device *card = fh_bus_find_device(bus, 0);

	assert_int_equal(fh_device_request_unplug(card, NULL), FH_OK);
	fh_object_unref(card);
}

static void a_controller_may_ask_itself(void **state)
{
	card_plug("card");
	notes[0] = '\0';
	assert_true(fh_device_call(rig.controller, request_in_callback, NULL));
	fh_machine_drain(*state);
	assert_string_equal(notes, "request unplugged unrealize ");
	assert_true(slot_is_free(0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(slots_are_taken_from_the_lowest_or_by_number),
		TEST(a_slot_reserved_is_held_until_the_device_goes),
		TEST(a_slot_that_realize_took_goes_with_its_failure),
		TEST(callbacks_come_in_order),
		TEST(a_veto_leaves_nothing),
		TEST(a_realize_that_fails_is_not_plugged),
		TEST(a_veto_at_the_end_undoes_the_realize),
		TEST(a_controller_whose_realize_fails_is_told_of_its_cards),
		TEST(a_bus_takes_its_devices_along),
		TEST(a_request_that_is_granted_unplugs),
		TEST(a_request_that_is_refused_is_over),
		TEST(a_request_waits_for_the_guest),
		TEST(a_bus_is_not_asked_about_what_is_gone),
		TEST(a_controller_may_ask_itself),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
