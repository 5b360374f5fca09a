/* SPDX-License-Identifier: MIT */
/*
 * Every death can be explained (L8): whoever keeps an object is named, by path and kind; the ledger
 * counts.
 */
#include "support/linked.h"

#include <sched.h>
#include <string.h>

#include "support/text.h"

#define BASE UINT64_C(0x10000000)
#define RAM UINT64_C(0x80000000)

static struct fh_region *memory_root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

/* What is said of the object has all of these, up to NULL. */
static void assert_explained(FH_ANY object, const char *const *wanted)
{
	char *text = explain_text(object);

	for (; *wanted; wanted++)
		assert_text_has(text, *wanted);
	free(text);
}

#define EXPLAINED(object, ...) assert_explained(object, (const char *const[]){ __VA_ARGS__, NULL })

static void assert_not_explained(FH_ANY object, const char *unwanted)
{
	char *text = explain_text(object);

	assert_text_lacks(text, unwanted);
	free(text);
}

/* --- Refs ----------------------------------------------------------------------------------- */

static void refs_are_named(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = fh_object_new_child(m, "x", &plain_type, NULL);
	struct fh_object *holder = fh_object_new_child(m, "holder", &linked_type, NULL);

	(void)unused;
	EXPLAINED(object, "/x [plain, shown]: 1 refs, 1 pins\n", "ref: its parent");
	assert_not_explained(object, "callers");
	assert_not_explained(object, "in flight");
	fh_object_ref(object);
	fh_object_ref(object);
	EXPLAINED(object, "3 refs, 1 pins\n", "ref: its parent", "ref: 2 of callers");
	assert_int_equal(fh_object_set_link(holder, "friend", object, NULL), FH_OK);
	EXPLAINED(object, "4 refs", "ref: link 'friend' of /holder [linked, shown]",
		  "ref: 2 of callers");
	fh_object_dispose(object);
	/* It has left its parent, and the link is the holder's to change. */
	EXPLAINED(object, "/x [plain, disposed]: 3 refs",
		  "ref: link 'friend' of /holder [linked, shown]", "ref: 2 of callers");
	assert_not_explained(object, "parent");
	fh_object_unref(object);
	fh_object_unref(object);
	EXPLAINED(object, "1 refs, 1 pins", "ref: link 'friend' of /holder");
	assert_not_explained(object, "callers");
	fh_object_dispose(holder);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void states_are_named(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_new(m, "a", &hooks);
	struct fh_object *loose = fh_object_new(m, &plain_type, NULL);

	(void)unused;
	EXPLAINED(device, "/a [probe, not shown]");
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	EXPLAINED(device, "/a [probe, shown]");
	fh_object_ref(device);
	fh_read_begin();
	fh_device_unplug(device);
	EXPLAINED(device, "/a [probe, being disposed]", "in flight"); /* the queue's pin */
	fh_read_end();
	fh_machine_drain(m);
	EXPLAINED(device, "/a [probe, disposed]: 1 refs, 1 pins");
	/* Outside of the tree there is no path but its type's name. */
	EXPLAINED(loose, "<plain> [plain, shown]", "ref: 1 of callers");
	fh_object_unref(loose);
	fh_object_unref(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Pins ----------------------------------------------------------------------------------- */

static void pins_are_named_with_holder_and_kind(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, BASE);
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x10000, NULL);
	struct fh_object *holder = fh_object_new_child(device, "queue", &plain_type, NULL);
	struct fh_section section;
	struct fh_mapped mapped;

	(void)unused;
	fh_region_add(memory_root(m), ram, RAM, 0);
	struct fh_mapping *by_device =
		fh_space_map(fh_machine_memory(m), RAM, 0x1000, FH_MAP_WRITE, FH_ATTRS_NONE, device,
			     &mapped);
	assert_non_null(fh_space_find(fh_machine_memory(m), RAM, 4, holder, &section));
	struct fh_io *io = fh_io_begin(device, "read");
	struct fh_mapping *by_io = fh_space_map(fh_machine_memory(m), RAM, 0x1000, FH_MAP_WRITE,
						FH_ATTRS_NONE, io, &mapped);
	struct fh_pin *pin = fh_object_pin(ram, device, "cache");

	EXPLAINED(ram, "shown in 1 range of /memory", "pin: 'map' of /disk [probe, shown]",
		  "pin: 'section' of /disk/queue [plain, shown]", "pin: 'map' of <io> [io, shown]",
		  "pin: 'cache' of /disk [probe, shown]", "ref: 1 of callers");
	/* All that there is, is named. */
	assert_not_explained(ram, "in flight");
	EXPLAINED(device, "pin: 'read' of <io> [io, shown]",
		  "pin: owner of /disk/regs [region, shown]",
		  "pin: owner of /disk/ram [ram, shown]");
	assert_not_explained(device, "in flight");
	fh_device_unplug(device);
	/* Its own pins went with it; its operation's did not. */
	assert_not_explained(ram, "of /disk");
	EXPLAINED(ram, "pin: 'map' of <io>");
	fh_machine_drain(m);
	/* Until the operation completes: the device is gone but for that. */
	EXPLAINED(device, "/disk [probe, disposed]: 0 refs", "pin: 'read' of <io>");
	assert_not_explained(device, "in flight");
	/* The device's memory is there, so that what its dispose ended may be ended again. */
	fh_mapping_unmap(by_device, 0);
	fh_unpin(pin);
	fh_mapping_unmap(by_io, 0);
	fh_io_complete(io, NULL, NULL);
	assert_not_explained(ram, "pin: '");
	fh_object_unref(ram);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void parts_of_a_device_are_named(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = fh_object_ref(probe_plug(m, "a", &hooks, BASE));
	struct fh_irq *irq = fh_object_ref(fh_irq_new(device, "irq"));
	struct fh_timer *timer = fh_object_ref(fh_timer_new(device, "timer", NULL, NULL));
	struct fh_listener *listener = fh_object_ref(fh_listener_new(
		device, fh_machine_memory(m), 0, &(const struct fh_listener_ops){ 0 }, NULL));

	(void)unused;
	fh_device_unplug(device);
	fh_machine_drain(m);
	EXPLAINED(device, "pin: owner of /a/irq [irq, disposed]",
		  "pin: owner of /a/timer [timer, disposed]",
		  "pin: owner of /a/<listener> [listener, disposed]");
	fh_object_unref(irq);
	fh_object_unref(timer);
	fh_object_unref(listener);
	fh_machine_drain(m);
	EXPLAINED(device, "1 refs, 1 pins");
	fh_object_unref(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- What the guest sees -------------------------------------------------------------------- */

static void spaces_that_show_it_are_named(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x3000, NULL);
	struct fh_region *hole = fh_region_new_reservation(m, "hole", 0x1000);
	struct fh_space *shared = fh_space_new(m, "shared", memory_root(m));
	struct fh_space *other = fh_space_new(device, "other", fh_device_region(device, "ram"));

	(void)unused;
	assert_not_explained(ram, "shown in");
	fh_region_add(memory_root(m), ram, RAM, 0);
	EXPLAINED(ram, "shown in 1 range of /memory");
	fh_region_add(memory_root(m), hole, RAM + 0x1000, 1);
	/* Two spaces with one view, one pin for each range. */
	EXPLAINED(ram, "1 refs, 3 pins", "shown in 2 ranges of /memory");
	assert_not_explained(ram, "in flight");
	EXPLAINED(fh_device_region(device, "ram"), "shown in 1 range of /a/other");
	fh_region_set_enabled(hole, false);
	fh_machine_drain(m);
	EXPLAINED(ram, "1 refs, 2 pins", "shown in 1 range of");
	fh_object_dispose(other);
	assert_not_explained(fh_device_region(device, "ram"), "shown in");
	fh_object_unref(shared);
	fh_object_unref(hole);
	fh_region_remove(ram);
	fh_machine_drain(m);
	assert_not_explained(ram, "shown in");
	fh_object_unref(ram);
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Callbacks ------------------------------------------------------------------------------ */

struct gate {
	_Atomic bool inside, open;
};

static enum fh_tx write_blocks(struct probe *probe, uint64_t offset, uint64_t value)
{
	struct gate *gate = probe->hooks->arg;

	(void)offset;
	(void)value;
	fh_blocking_begin();
	gate->inside = true;
	while (!gate->open)
		sched_yield();
	fh_blocking_end();
	return FH_TX_OK;
}

static void run_store(void *arg)
{
	CHECK(fh_space_store32(fh_machine_memory((struct fh_machine *)arg), BASE, 1, FH_LE) ==
	      FH_TX_OK);
}

static void run_unplug(void *arg)
{
	fh_device_unplug(arg);
}

static void blocked_callbacks_are_counted(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct gate gate = { 0 };
	struct probe_hooks hooks = { .write = write_blocks, .arg = &gate };
	struct fh_device *device = fh_object_ref(probe_plug(m, "a", &hooks, BASE));
	struct worker writer, unplugger;

	(void)unused;
	worker_start(&writer, run_store, m);
	while (!gate.inside)
		sched_yield();
	EXPLAINED(device, "1 of its callbacks blocked and have not returned");
	worker_start(&unplugger, run_unplug, device);
	/* An unplug that hangs explains itself. */
	while (!fh_object_is_disposed(device))
		sched_yield();
	EXPLAINED(device, "being disposed", "1 of its callbacks blocked");
	gate.open = true;
	worker_join(&writer);
	worker_join(&unplugger);
	fh_machine_drain(m);
	assert_not_explained(device, "blocked");
	fh_object_unref(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- The ledger ----------------------------------------------------------------------------- */

static void ledger_counts_and_names_each_survivor(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *first = fh_object_new_child(m, "first", &plain_type, NULL);
	struct fh_object *second = fh_object_new(m, &plain_type, NULL);
	struct fh_ledger ledger = fh_ledger_read(m);
	char *text;
	int alive;

	(void)unused;
	assert_int_equal(ledger.created, 2);
	assert_int_equal(ledger.died, 0);
	assert_int_equal(ledger.alive, 2);
	text = ledger_text(m, &alive);
	assert_int_equal(alive, 2);
	assert_text_has(text, "ledger: 2 objects created, 0 died, 2 alive\n");
	assert_text_has(text, "/first [plain, shown]: 1 refs, 1 pins\n    ref: its parent\n");
	assert_text_has(text, "<plain> [plain, shown]: 1 refs, 1 pins\n    ref: 1 of callers\n");
	assert_text_lacks(text, "cycle");
	assert_text_lacks(text, "/memory"); /* the machine's own are not counted */
	free(text);
	/* Disposed of, it is alive as long as somebody has it. */
	fh_object_ref(first);
	fh_object_dispose(first);
	fh_machine_drain(m);
	text = ledger_text(m, &alive);
	assert_int_equal(alive, 2);
	assert_text_has(text, "/first [plain, disposed]: 1 refs, 1 pins\n    ref: 1 of callers\n");
	free(text);
	fh_object_unref(first);
	fh_machine_drain(m);
	ledger = fh_ledger_read(m);
	assert_int_equal(ledger.created, 2);
	assert_int_equal(ledger.died, 1);
	assert_int_equal(ledger.alive, 1);
	/* The machine's end says who is in the way, stays for the ledger, and can be repeated. */
	assert_int_equal(fh_machine_destroy(m), 1);
	text = ledger_text(m, &alive);
	assert_int_equal(alive, 1);
	assert_text_has(text, "1 alive\n  <plain> [plain, shown]: 1 refs");
	free(text);
	fh_object_unref(second);
	assert_int_equal(fh_machine_destroy(m), 0);
}

static void ledger_names_at_most_a_hundred(void **unused)
{
	struct fh_machine *m = machine_begin();
	unsigned lines = 0;
	int alive;
	char *text;

	(void)unused;
	for (int i = 0; i < 150; i++)
		fh_object_new_child(m, NULL, &plain_type, NULL);
	text = ledger_text(m, &alive);
	assert_int_equal(alive, 150);
	for (const char *at = text; (at = strstr(at, "[plain")); at++)
		lines++;
	assert_int_equal(lines, 100);
	assert_text_has(text, "... and 50 more\n");
	free(text);
	machine_end(m);
}

/* --- While everything moves ----------------------------------------------------------------- */

struct mover {
	struct fh_machine *m;
	_Atomic bool stop;
};

static void move(void *arg)
{
	struct mover *mover = arg;
	struct fh_object *friend = fh_object_new(mover->m, &plain_type, NULL);

	while (!mover->stop) {
		struct fh_object *object =
			fh_object_new_child(mover->m, NULL, &linked_type, NULL);
		struct fh_region *ram = fh_region_new_ram(object, "ram", 0x1000, NULL);
		struct fh_object *loose = fh_object_new(mover->m, &plain_type, NULL);

		fh_region_add(memory_root(mover->m), ram, RAM, 0);
		fh_object_set_link(object, "friend", friend, NULL);
		fh_object_pin(friend, object, "test");
		fh_object_add_child(object, "loose", loose, NULL);
		fh_object_unref(loose);
		fh_object_dispose(object);
	}
	fh_object_unref(friend);
}

static void explaining_goes_on_while_everything_moves(void **unused)
{
	struct mover mover = { .m = machine_begin() };
	struct fh_object *object = fh_object_new_child(mover.m, "x", &plain_type, NULL);
	struct worker workers[2];

	(void)unused;
	for (int i = 0; i < 2; i++)
		worker_start(&workers[i], move, &mover);
	for (int i = 0; i < 3000; i++) {
		char *text = ledger_text(mover.m, NULL);

		assert_text_has(text, "/x [plain, shown]: 1 refs, 1 pins\n    ref: its parent\n");
		assert_text_lacks(text, "cycle");
		free(text);
		EXPLAINED(object, "/x [plain, shown]: 1 refs, 1 pins\n    ref: its parent\n");
		fh_ledger_read(mover.m);
	}
	mover.stop = true;
	for (int i = 0; i < 2; i++)
		worker_join(&workers[i]);
	fh_object_dispose(object);
	machine_check_alive(mover.m, 0);
	machine_end(mover.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refs_are_named),
		cmocka_unit_test(states_are_named),
		cmocka_unit_test(pins_are_named_with_holder_and_kind),
		cmocka_unit_test(parts_of_a_device_are_named),
		cmocka_unit_test(spaces_that_show_it_are_named),
		cmocka_unit_test(blocked_callbacks_are_counted),
		cmocka_unit_test(ledger_counts_and_names_each_survivor),
		cmocka_unit_test(ledger_names_at_most_a_hundred),
		cmocka_unit_test(explaining_goes_on_while_everything_moves),
	};

	return cmocka_run_group_tests_name("scenario/explain", tests, NULL, NULL);
}
