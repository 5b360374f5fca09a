/* SPDX-License-Identifier: MIT */
/*
 * Objects that are gone but for each other are found, and printed as a cycle that says how each
 * keeps the next (L8).
 */
#include "support/linked.h"

#include <string.h>

#include "device/device.h"
#include "memory/region.h"
#include "object/pin.h"
#include "support/text.h"

#define BASE UINT64_C(0x10000000)

/* --- Cycles --------------------------------------------------------------------------------- */

/*
 * No cycle can be made with the public API: what pins ends with its holder. These are planted by
 * hand, among regions, which pin their owners by nature: each is made the owner of the one before.
 */
static void plant_cycle(struct fh_region **regions, int count)
{
	for (int i = 0; i < count; i++) {
		struct fh_object *owner = &regions[(i + 1) % count]->object;

		regions[i]->owner = owner;
		fh_object_hold(owner);
	}
}

static void break_cycle(struct fh_region *region)
{
	struct fh_object *owner = region->owner;

	region->owner = &region->object;
	fh_object_unhold(owner);
}

static void cycle_of(int count)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *regions[4];
	struct fh_object *bystander = fh_object_new(m, &linked_type, NULL);
	char *text;
	int alive, named = 0;

	for (int i = 0; i < count; i++) {
		char name[2] = { (char)('a' + i), '\0' };
		struct fh_region *region = fh_region_new_container(m, NULL, 0x100);

		assert_int_equal(fh_object_add_child(m, name, region, NULL), FH_OK);
		fh_object_unref(region);
		regions[i] = region;
	}
	plant_cycle(regions, count);
	text = ledger_text(m, NULL);
	assert_text_lacks(text, "cycle"); /* they are alive, and have reason to be */
	free(text);
	for (int i = 0; i < count; i++)
		fh_object_dispose(regions[i]);
	fh_machine_drain(m);
	text = ledger_text(m, &alive);
	assert_int_equal(alive, count + 1);
	const char *cycle = strstr(text, "cycle: each is kept by the next\n");

	assert_non_null(cycle);
	assert_null(strstr(cycle + 1, "cycle:"));
	for (int i = 0; i < count; i++) {
		char wanted[80];

		snprintf(wanted, sizeof(wanted),
			 "\n    /%c [region, disposed]\n        pin: owner of\n    ", 'a' + i);
		named += strstr(cycle, wanted) != NULL;
	}
	assert_int_equal(named, count);
	assert_text_has(cycle, "    and again /");
	assert_text_lacks(cycle, "linked");
	/* And each by its own. */
	assert_text_has(text, "/a [region, disposed]: 0 refs, 1 pins\n    pin: owner of /");
	free(text);
	break_cycle(regions[0]);
	fh_object_unref(bystander);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void planted_cycle_is_printed_as_a_cycle(void **unused)
{
	(void)unused;
	for (int count = 2; count <= 4; count++)
		cycle_of(count);
}

static unsigned count_cycles(const char *text)
{
	unsigned cycles = 0;

	for (const char *at = text; (at = strstr(at, "cycle:")); at++)
		cycles++;
	return cycles;
}

/* The ledger has @count cycles, with each of @wanted as a line of the first, up to NULL. */
static void assert_cycles(struct fh_machine *m, unsigned count, const char *const *wanted)
{
	char *text = ledger_text(m, NULL);

	if (count_cycles(text) != count)
		fail_msg("not %u cycles:\n%s", count, text);
	for (; *wanted; wanted++)
		assert_text_has(strstr(text, "cycle:"), *wanted);
	free(text);
}

#define CYCLES(m, count, ...) assert_cycles(m, count, (const char *const[]){ __VA_ARGS__, NULL })
#define NO_CYCLES(m) assert_cycles(m, 0, (const char *const[]){ NULL })

static struct fh_object *linked_new(struct fh_machine *m)
{
	return fh_object_new(m, &linked_type, NULL);
}

static void befriend(struct fh_object *object, struct fh_object *friend)
{
	assert_int_equal(fh_object_set_link(object, "friend", friend, NULL), FH_OK);
}

/* A ref of what only the cycle has: who breaks it needs one. */
static void break_friendship(struct fh_object *object)
{
	fh_object_ref(object);
	befriend(object, NULL);
	fh_object_unref(object);
}

/* Each owns a ref of the next: nobody has them, and nobody will ask for their dispose. */
static void strong_links_in_a_circle_are_printed_as_a_cycle(void **unused)
{
	(void)unused;
	for (int count = 1; count <= 4; count++) {
		struct fh_machine *m = machine_begin();
		struct fh_object *ring[4];

		for (int i = 0; i < count; i++)
			ring[i] = linked_new(m);
		for (int i = 0; i < count; i++)
			befriend(ring[i], ring[(i + 1) % count]);
		for (int i = 0; i < count; i++) {
			NO_CYCLES(m); /* somebody has one of them, and through it the others */
			fh_object_unref(ring[i]);
		}
		CYCLES(m, 1, "    <linked> [linked, shown]\n        ref: link 'friend' of\n    ",
		       "    and again <linked>");
		fh_machine_drain(m);
		assert_int_equal(fh_ledger_read(m).alive, count);
		CYCLES(m, 1, "    <linked> [linked, shown]\n");
		/* Each of them is a member of it, once. */
		char *text = ledger_text(m, NULL);
		int lines = 0;

		for (const char *at = strstr(text, "cycle:"); (at = strstr(at, "\n    <")); at++)
			lines++;
		assert_int_equal(lines, count);
		free(text);
		break_friendship(ring[0]);
		machine_check_alive(m, 0);
		machine_end(m);
	}
}

/* What is in the tree has its parent, what hangs on a cycle is in none. */
static void only_what_is_lost_is_in_a_cycle(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *a = fh_object_new_child(m, "a", &linked_type, NULL);
	struct fh_object *b = linked_new(m), *c = linked_new(m), *d = linked_new(m);
	struct fh_object *hanger = fh_object_new(m, &plain_type, NULL);

	(void)unused;
	befriend(a, b);
	befriend(b, a);
	fh_object_unref(b);
	NO_CYCLES(m);
	befriend(c, d);
	befriend(d, c);
	assert_int_equal(fh_object_add_child(d, "hanger", hanger, NULL), FH_OK);
	fh_object_unref(hanger);
	fh_object_unref(c);
	fh_object_unref(d);
	CYCLES(m, 1, "    <linked> [linked, shown]\n");
	char *text = ledger_text(m, NULL);

	assert_text_lacks(strstr(text, "cycle:"), "hanger");
	assert_text_lacks(strstr(text, "cycle:"), "/a");
	free(text);
	/* Disposing of the one in the tree ends its links: it is no cycle. */
	fh_object_dispose(a);
	break_friendship(c);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* A ref of the parent's one way, one of a link the other. */
static void child_that_owns_its_parent_is_printed_as_a_cycle(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *parent = fh_object_new(m, &plain_type, NULL);
	struct fh_object *child = fh_object_new_child(parent, "child", &linked_type, NULL);

	(void)unused;
	fh_region_new_container(parent, "part", 0x1000); /* pins it, and goes with it */
	befriend(child, parent);
	NO_CYCLES(m);
	fh_object_unref(parent);
	fh_machine_drain(m);
	CYCLES(m, 1, "    <plain> [plain, shown]\n        ref: link 'friend' of\n",
	       "    <plain>/child [linked, shown]\n        ref: child of\n");
	break_friendship(child);
	machine_check_alive(m, 0);
	machine_end(m);
}

struct look_of_death {
	struct fh_machine *m;
	unsigned calls;
};

static struct look_of_death look;

static void look_at_cycle(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	look.calls++;
	/* Its link goes when its dispose has returned, and with that the other's pin. */
	CYCLES(look.m, 1, "    <looker> [looker, being disposed]\n        pin: 'test' of\n",
	       "    <linked> [linked, shown]\n        ref: link 'friend' of\n");
}

static const struct fh_type looker_type = {
	.name = "looker",
	.parent = &linked_type,
	.dispose = look_at_cycle,
};

/*
 * A ref one way, a pin the other: is a cycle as long as it lasts, and ends with the first dispose.
 */
static void ref_one_way_and_pin_the_other_end_with_the_dispose(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *looker = fh_object_new(m, &looker_type, NULL);
	struct fh_object *pinner = linked_new(m);

	(void)unused;
	look = (struct look_of_death){ .m = m };
	befriend(looker, pinner);
	assert_non_null(fh_object_pin(looker, pinner, "test"));
	fh_object_unref(pinner);
	NO_CYCLES(m);
	fh_object_unref(looker);
	assert_int_equal(look.calls, 1);
	NO_CYCLES(m);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void look_at_both_ways(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	look.calls++;
	CYCLES(look.m, 1,
	       "    <witness> [witness, being disposed]\n"
	       "        ref: link 'friend' of\n"
	       "        pin: 'test' of\n    ",
	       "    <linked> [linked, shown]\n        ref: link 'friend' of\n    ");
}

static const struct fh_type witness_type = {
	.name = "witness",
	.parent = &linked_type,
	.dispose = look_at_both_ways,
};

/* A ref and a pin of the same keeper: a step with two ways, not two cycles. */
static void each_way_to_keep_the_same_is_named(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *witness = fh_object_new(m, &witness_type, NULL), *other = linked_new(m);

	(void)unused;
	look = (struct look_of_death){ .m = m };
	befriend(witness, other);
	befriend(other, witness);
	assert_non_null(fh_object_pin(witness, other, "test"));
	fh_object_unref(other);
	NO_CYCLES(m);
	fh_object_dispose(witness);
	assert_int_equal(look.calls, 1);
	NO_CYCLES(m);
	fh_object_unref(witness);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* Refs in a circle, and pins, which count once their target is disposed of: one path, not two. */
static void two_ways_to_keep_one_another_are_one_cycle(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *a = linked_new(m), *b = linked_new(m);

	(void)unused;
	befriend(a, b);
	befriend(b, a);
	assert_non_null(fh_object_pin(a, b, "test"));
	assert_non_null(fh_object_pin(b, a, "test"));
	fh_object_unref(a);
	fh_object_unref(b);
	CYCLES(m, 1, "    <linked> [linked, shown]\n        ref: link 'friend' of\n    ");
	break_friendship(a);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* By hand as well: what dispose has closed is opened again. */
static struct fh_pin *pin_after_death(struct fh_device *target, struct fh_device *holder)
{
	struct fh_holding *holding =
		atomic_load_explicit(&holder->object.holding, memory_order_relaxed);

	assert_true(holding->closed);
	holding->closed = false;
	return fh_pin_take(&target->object, &holder->object, "dma", NULL);
}

static void pins_between_two_disposed_devices_are_printed_as_a_path(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks[2] = { { 0 }, { 0 } };
	struct fh_device *a = probe_plug(m, "a", &hooks[0], BASE);
	struct fh_device *b = probe_plug(m, "b", &hooks[1], BASE + 0x10000);
	struct fh_pin *pins[2];
	int alive;
	char *text;

	(void)unused;
	assert_non_null(fh_object_pin(a, b, "dma"));
	assert_non_null(fh_object_pin(b, a, "dma"));
	fh_object_ref(a);
	fh_object_ref(b);
	fh_device_unplug(a);
	fh_device_unplug(b);
	pins[0] = pin_after_death(a, b);
	pins[1] = pin_after_death(b, a);
	fh_object_unref(a);
	fh_object_unref(b);
	fh_machine_drain(m);
	text = ledger_text(m, &alive);
	assert_int_equal(alive, 2);
	/* Which of them comes first depends on their addresses. */
	const char *first = a < b ? "a" : "b", *second = a < b ? "b" : "a";
	char wanted[600];

	snprintf(wanted, sizeof(wanted),
		 "ledger: %llu objects created, %llu died, 2 alive\n"
		 "  /a [probe, disposed]: 0 refs, 1 pins\n"
		 "    pin: 'dma' of /b [probe, disposed]\n"
		 "  /b [probe, disposed]: 0 refs, 1 pins\n"
		 "    pin: 'dma' of /a [probe, disposed]\n"
		 "cycle: each is kept by the next\n"
		 "    /%s [probe, disposed]\n"
		 "        pin: 'dma' of\n"
		 "    /%s [probe, disposed]\n"
		 "        pin: 'dma' of\n"
		 "    and again /%s [probe, disposed]\n",
		 (unsigned long long)fh_ledger_read(m).created,
		 (unsigned long long)fh_ledger_read(m).died, first, second, first);
	assert_string_equal(text, wanted);
	free(text);
	/* Together: neither is freed while the other's pin stands in it. */
	fh_read_begin();
	fh_unpin(pins[0]);
	fh_unpin(pins[1]);
	fh_read_end();
	machine_check_alive(m, 0);
	machine_end(m);
}

/* Two cycles that have nothing to do with each other are two. */
static void two_cycles_are_printed_as_two(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *regions[4];
	char *text;

	(void)unused;
	for (int i = 0; i < 4; i++)
		regions[i] = fh_region_new_container(m, NULL, 0x100);
	plant_cycle(regions, 2);
	plant_cycle(regions + 2, 2);
	for (int i = 0; i < 4; i++)
		fh_object_unref(regions[i]);
	fh_machine_drain(m);
	text = ledger_text(m, NULL);
	assert_int_equal(count_cycles(text), 2);
	free(text);
	break_cycle(regions[0]);
	break_cycle(regions[2]);
	machine_check_alive(m, 0);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planted_cycle_is_printed_as_a_cycle),
		cmocka_unit_test(two_cycles_are_printed_as_two),
		cmocka_unit_test(pins_between_two_disposed_devices_are_printed_as_a_path),
		cmocka_unit_test(strong_links_in_a_circle_are_printed_as_a_cycle),
		cmocka_unit_test(only_what_is_lost_is_in_a_cycle),
		cmocka_unit_test(child_that_owns_its_parent_is_printed_as_a_cycle),
		cmocka_unit_test(ref_one_way_and_pin_the_other_end_with_the_dispose),
		cmocka_unit_test(each_way_to_keep_the_same_is_named),
		cmocka_unit_test(two_ways_to_keep_one_another_are_one_cycle),
	};

	return cmocka_run_group_tests_name("scenario/cycles", tests, NULL, NULL);
}
