/* SPDX-License-Identifier: MIT */
/*
 * Regions that are made and destroyed at run time (L1, L3): while readers run, from register writes
 * and resets, in transactions, by the hundred thousand, and while their owner is unplugged. What a
 * grace period has to do with them is in grace.c.
 */
#include "support/quirk.h"

#include <sched.h>
#include <string.h>

#include "base/point.h"
#include "support/random.h"
#include "support/scale.h"

#define BASE UINT64_C(0x10000000)
#define UNDER UINT64_C(0x1111111111111111) /* how the RAM below quirks reads */

static struct fh_region *memory_root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

static uint64_t load64(struct fh_machine *m, uint64_t addr)
{
	uint64_t value;

	CHECK(fh_space_load64(fh_machine_memory(m), addr, FH_LE, &value) == FH_TX_OK);
	return value;
}

/* --- Readers over slots --------------------------------------------------------------------- */

enum { SLOTS = 64, SLOT_SIZE = 0x100, READERS = 2 };

struct arena {
	struct fh_machine *m;
	struct quirk_count count;
	_Atomic bool stop;
	_Atomic uint64_t quirks_seen;
	_Atomic unsigned seeds;
	struct worker readers[READERS];
};

/* A quirk's value tells its slot; under it is RAM, so that there is always something. */
static void read_slots(void *arg)
{
	struct arena *arena = arg;
	unsigned seed = ++arena->seeds;

	while (!atomic_load_explicit(&arena->stop, memory_order_relaxed)) {
		const unsigned slot = below(&seed, SLOTS);
		const uint64_t value = load64(arena->m, BASE + slot * SLOT_SIZE + 8);

		CHECK(value == UNDER || value == slot + 1);
		if (value != UNDER)
			arena->quirks_seen++;
	}
}

/* Maps RAM of @owner over all slots, and has it read. */
static struct fh_region *arena_begin(struct arena *arena, FH_ANY owner)
{
	struct fh_region *ram = fh_region_new_ram(owner, "under", SLOTS * SLOT_SIZE, NULL);

	memset(arena, 0, sizeof(*arena));
	arena->m = fh_object_get_machine(owner);
	memset(fh_region_ram(ram), 0x11, SLOTS * SLOT_SIZE);
	assert_int_equal(fh_region_add(memory_root(arena->m), ram, BASE, 0), FH_OK);
	for (int i = 0; i < READERS; i++)
		worker_start(&arena->readers[i], read_slots, arena);
	return ram;
}

static void arena_wait(struct arena *arena)
{
	const uint64_t seen = arena->quirks_seen;

	while (arena->quirks_seen - seen < 10)
		sched_yield();
}

static void arena_end_readers(struct arena *arena)
{
	arena->stop = true;
	for (int i = 0; i < READERS; i++)
		worker_join(&arena->readers[i]);
}

static void arena_end(struct arena *arena)
{
	arena_end_readers(arena);
	fh_machine_drain(arena->m);
	assert_int_equal(arena->count.released, arena->count.made);
}

static struct fh_region *quirk_at(FH_ANY owner, struct quirk_count *count, uint64_t addr,
				  uint64_t value)
{
	struct fh_region *region = quirk_region(owner, SLOT_SIZE, quirk_new(count, value));

	CHECK(region);
	CHECK(fh_region_add(memory_root(fh_object_get_machine(owner)), region, addr, 1) == FH_OK);
	return region;
}

/* Own regions end with their ref; a device's are destroyed. */
static struct fh_region *end(struct fh_region *region, bool own)
{
	return own ? fh_object_unref(region) : fh_region_destroy(region);
}

static void churn(struct arena *arena, FH_ANY owner, bool own)
{
	struct fh_region *quirks[SLOTS] = { NULL };
	const uint64_t rounds = scaled(150000);
	unsigned seed = 99;

	for (uint64_t i = 0; i < rounds; i++) {
		const unsigned slot = below(&seed, SLOTS);

		if (!quirks[slot])
			quirks[slot] = quirk_at(owner, &arena->count, BASE + slot * SLOT_SIZE,
						slot + 1);
		else if (below(&seed, 4) == 0)
			fh_region_set_enabled(quirks[slot], i & 1);
		else
			quirks[slot] = end(quirks[slot], own);
	}
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (!quirks[slot])
			quirks[slot] = quirk_at(owner, &arena->count, BASE + slot * SLOT_SIZE,
						slot + 1);
		fh_region_set_enabled(quirks[slot], true);
	}
	arena_wait(arena);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		end(quirks[slot], own);
}

static void quirks_of_a_device_come_and_go_while_readers_run(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "nic", &hooks, 0x1000);
	struct arena arena;

	(void)unused;
	arena_begin(&arena, device);
	churn(&arena, device, false);
	arena_end(&arena);
	machine_check_alive(m, 4); /* the device, its registers and RAM, what is under */
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void quirks_of_nobody_come_and_go_while_readers_run(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct arena arena;

	(void)unused;
	struct fh_region *ram = arena_begin(&arena, m);

	churn(&arena, m, true);
	arena_end(&arena);
	fh_object_unref(ram);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- MSI-X tables: from register writes and from resets ------------------------------------- */

/* A device with a table over each of its slots, or not: its registers and its reset switch it. */
struct pci {
	struct arena *arena;
	struct fh_region *tables[SLOTS];
	_Atomic unsigned inside; /* callbacks: they are serialised */
	unsigned resets;
};

static void pci_enter(struct pci *pci)
{
	CHECK(pci->inside++ == 0);
}

static void pci_leave(struct pci *pci)
{
	pci->inside--;
}

static void pci_switch(struct fh_device *device, struct pci *pci, unsigned slot, bool on)
{
	if (on && !pci->tables[slot])
		pci->tables[slot] = quirk_at(device, &pci->arena->count, BASE + slot * SLOT_SIZE,
					     slot + 1);
	else if (!on)
		pci->tables[slot] = fh_region_destroy(pci->tables[slot]);
}

static struct fh_device *pci_device; /* the one of the test */

/* A write of a slot switches its table; one of SLOTS resets the device. */
static enum fh_tx pci_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs)
{
	struct pci *pci = state;

	(void)offset;
	(void)size;
	(void)attrs;
	pci_enter(pci);
	if (value < SLOTS)
		pci_switch(pci_device, pci, (unsigned)value, !pci->tables[value]);
	pci_leave(pci);
	if (value == SLOTS)
		fh_device_reset(pci_device, FH_RESET_WARM);
	return FH_TX_OK;
}

static const struct fh_region_ops pci_ops = { .write = pci_write };

static enum fh_code pci_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct fh_region *regs = fh_region_new_mmio(device, "regs", 0x1000, &pci_ops, state);

	CHECK(fh_region_add(memory_root(fh_object_get_machine(device)), regs, 0x1000, 0) == FH_OK);
	return fh_device_export(device, regs, err);
}

static void pci_reset_enter(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct pci *pci = state;

	(void)type;
	pci_enter(pci);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		pci_switch(device, pci, slot, false);
	pci->resets++;
	pci_leave(pci);
}

static void pci_reset_exit(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct pci *pci = state;

	(void)type;
	pci_enter(pci);
	for (unsigned slot = 0; slot < SLOTS; slot += 4)
		pci_switch(device, pci, slot, true);
	pci_leave(pci);
}

static const struct fh_device_ops pci_device_ops = {
	.realize = pci_realize,
	.reset_enter = pci_reset_enter,
	.reset_exit = pci_reset_exit,
};
static const struct fh_type pci_type = {
	.name = "pci",
	.parent = &fh_device_type,
	.state_size = sizeof(struct pci),
	.device = &pci_device_ops,
};

struct guest {
	struct fh_machine *m;
	unsigned seed;
	uint64_t rounds;
};

static void guest_writes(void *arg)
{
	struct guest *guest = arg;

	for (uint64_t i = 0; i < guest->rounds; i++)
		CHECK(fh_space_store32(fh_machine_memory(guest->m), 0x1000,
				       below(&guest->seed, SLOTS + 1), FH_LE) == FH_TX_OK);
}

static void resets(void *arg)
{
	struct guest *guest = arg;

	for (uint64_t i = 0; i < guest->rounds / 20; i++)
		if (i & 1)
			fh_device_reset(pci_device, FH_RESET_COLD);
		else
			fh_machine_reset(guest->m, FH_RESET_COLD);
}

static void tables_are_switched_by_register_writes_and_resets(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct guest guests[3];
	struct worker workers[3];
	struct arena arena;

	(void)unused;
	struct fh_region *ram = arena_begin(&arena, m);

	pci_device = fh_device_new(m, &pci_type, "pci", NULL, NULL);
	((struct pci *)fh_device_state(pci_device))->arena = &arena;
	assert_int_equal(fh_device_realize(pci_device, NULL), FH_OK);
	for (unsigned i = 0; i < 3; i++) {
		guests[i] = (struct guest){ .m = m, .seed = i, .rounds = scaled(20000) };
		worker_start(&workers[i], i < 2 ? guest_writes : resets, &guests[i]);
	}
	for (unsigned i = 0; i < 3; i++)
		worker_join(&workers[i]);
	/* A reset that a register write asked for in a callback is done there and then. */
	const unsigned before = ((struct pci *)fh_device_state(pci_device))->resets;

	store32(m, 0x1000, SLOTS, FH_TX_OK);
	assert_int_equal(((struct pci *)fh_device_state(pci_device))->resets, before + 1);
	arena_wait(&arena);
	machine_check_alive(m, 1 + 1 + 1 + SLOTS / 4); /* RAM, device, registers, tables */
	fh_device_unplug(pci_device);
	arena_end(&arena);
	fh_object_unref(ram);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- By the hundred thousand ---------------------------------------------------------------- */

enum end_way { BY_UNPLUG, ONE_BY_ONE, IN_ONE_TRANSACTION, WITH_THEIR_REFS, WAYS };

static void many(enum end_way way)
{
	const bool own = way == WITH_THEIR_REFS;
	const size_t total = scaled(200000);
	struct fh_region **regions = calloc(total, sizeof(struct fh_region *));
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = own ? NULL : probe_plug(m, "a", &hooks, 0x1000);
	struct quirk_count count = { 0 };

	fh_edit_begin(m);
	for (size_t i = 0; i < total; i++)
		regions[i] = own ? quirk_at(m, &count, BASE + i * SLOT_SIZE, i) :
				   quirk_at(device, &count, BASE + i * SLOT_SIZE, i);
	fh_edit_commit(m);
	for (size_t i = 0; i < total; i += 997)
		assert_int_equal(load64(m, BASE + i * SLOT_SIZE), i);
	machine_check_alive(m, total + (own ? 0 : 3));
	if (way == IN_ONE_TRANSACTION)
		fh_edit_begin(m);
	for (size_t i = 0; i < total && way != BY_UNPLUG; i++)
		end(regions[i], own);
	if (way == IN_ONE_TRANSACTION)
		fh_edit_commit(m);
	fh_device_unplug(device);
	load32(m, BASE, FH_TX_DECODE_ERROR);
	machine_check_alive(m, 0);
	assert_int_equal(count.made, total);
	assert_int_equal(count.released, total);
	free(regions);
	machine_end(m);
}

static void hundreds_of_thousands_end_in_every_way(void **unused)
{
	(void)unused;
	for (enum end_way way = BY_UNPLUG; way < WAYS; way++)
		many(way);
}

/* --- In transactions ------------------------------------------------------------------------ */

struct look {
	struct fh_machine *m;
	uint64_t addr;
	uint64_t value;
	enum fh_tx tx;
};

static void run_look(void *arg)
{
	struct look *look = arg;

	look->tx = fh_space_load64(fh_machine_memory(look->m), look->addr, FH_LE, &look->value);
}

/* What another thread sees at BASE; this one may be in a transaction. 0: nothing. */
static uint64_t seen_elsewhere(struct fh_machine *m)
{
	struct look look = { .m = m, .addr = BASE };
	struct worker worker;

	worker_start(&worker, run_look, &look);
	worker_join(&worker);
	return look.tx == FH_TX_OK ? look.value : 0;
}

static void fail_add(void *state, const struct fh_section *section)
{
	(void)state;
	CHECK(section->first != BASE);
}

static void region_made_and_destroyed_in_a_transaction_is_never_seen(void **unused)
{
	const struct fh_listener_ops ops = { .add = fail_add };
	struct fh_machine *m = machine_begin();
	struct fh_listener *listener = fh_listener_new(m, fh_machine_memory(m), 0, &ops, NULL);
	struct quirk_count count = { 0 };

	(void)unused;
	for (int nested = 0; nested < 2; nested++) {
		fh_edit_begin(m);
		if (nested)
			fh_edit_begin(m);
		struct fh_region *region = quirk_at(m, &count, BASE, 7);
		struct fh_region *alias = fh_region_new_alias(m, NULL, region, 0, 0x100);

		fh_region_add(memory_root(m), alias, BASE + 0x1000, 0);
		fh_region_move(region, BASE + 0x100);
		fh_region_destroy(region);
		fh_region_destroy(region);
		fh_region_move(region, BASE);
		fh_object_unref(region);
		if (nested)
			fh_edit_commit(m);
		assert_int_equal(seen_elsewhere(m), 0);
		fh_edit_commit(m);
		assert_int_equal(seen_elsewhere(m), 0);
		fh_object_unref(alias);
		machine_check_alive(m, 1);
	}
	assert_int_equal(count.released, 2);
	fh_object_unref(listener);
	machine_end(m);
}

static void region_destroyed_in_a_transaction_is_seen_until_the_commit(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct quirk_count count = { 0 };
	struct fh_region *region = quirk_at(m, &count, BASE, 7);

	(void)unused;
	fh_edit_begin(m);
	fh_object_unref(region);
	assert_int_equal(seen_elsewhere(m), 7);
	struct fh_region *next = quirk_at(m, &count, BASE, 8);

	assert_int_equal(seen_elsewhere(m), 7);
	assert_int_equal(count.released, 0);
	fh_edit_commit(m);
	assert_int_equal(seen_elsewhere(m), 8);
	fh_machine_drain(m);
	assert_int_equal(count.released, 1);
	fh_object_unref(next);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* Whatever is destroyed with it in the same transaction, in any order: what is left is whole. */
static void destroyed_with_its_container_and_its_alias(void **unused)
{
	(void)unused;
	for (int order = 0; order < 6; order++) {
		static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
						  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
		struct fh_machine *m = machine_begin();
		struct quirk_count count = { 0 };
		struct fh_region *region[3];

		region[0] = fh_region_new_container(m, NULL, 0x10000);
		region[1] = quirk_region(m, 0x100, quirk_new(&count, 7));
		region[2] = fh_region_new_alias(m, NULL, region[1], 0, 0x100);
		fh_region_add(region[0], region[1], 0, 0);
		fh_region_add(region[0], region[2], 0x1000, 0);
		fh_region_add(memory_root(m), region[0], BASE, 0);
		assert_int_equal(load64(m, BASE + 0x1000), 7);
		fh_edit_begin(m);
		for (int i = 0; i < 3; i++)
			fh_object_unref(region[orders[order][i]]);
		assert_int_equal(seen_elsewhere(m), 7);
		fh_edit_commit(m);
		assert_int_equal(seen_elsewhere(m), 0);
		machine_check_alive(m, 0);
		assert_int_equal(count.released, 1);
		machine_end(m);
	}
}

static void read_one(void *arg)
{
	struct arena *arena = arg;

	while (!atomic_load_explicit(&arena->stop, memory_order_relaxed)) {
		CHECK(load64(arena->m, BASE) == 7);
		arena->quirks_seen++;
	}
}

/* Readers see the one or the other, never a hole. */
static void replacing_one_by_another_shows_no_hole(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, 0x1000);
	struct arena arena = { .m = m };
	struct fh_region *region = quirk_at(device, &arena.count, BASE, 7);

	(void)unused;
	for (int i = 0; i < READERS; i++)
		worker_start(&arena.readers[i], read_one, &arena);
	arena_wait(&arena);
	for (uint64_t i = 0; i < scaled(50000); i++) {
		fh_edit_begin(m);
		struct fh_region *next = quirk_at(device, &arena.count, BASE, 7);

		if (i & 1)
			fh_region_set_priority(next, -1); /* below the other until that is gone */
		fh_region_destroy(region);
		fh_edit_commit(m);
		region = next;
	}
	arena_end_readers(&arena);
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	assert_int_equal(arena.count.made, arena.count.released);
	machine_end(m);
}

/* --- While the owner is unplugged ----------------------------------------------------------- */

enum { KEPT = 8 };

struct toucher {
	struct fh_machine *m;
	_Atomic bool stop;
	_Atomic uint64_t stores;
};

struct crowd {
	struct quirk_count count;
	_Atomic(struct fh_region *) kept[KEPT]; /* of the device; in its callbacks alone */
};

/* In a callback: replaces one of the regions that the device has made. */
static enum fh_tx replace_one(struct probe *probe, uint64_t offset, uint64_t value)
{
	struct crowd *crowd = probe->hooks->arg;
	const uint64_t at = value % KEPT;
	struct fh_region *made = quirk_region(probe->device, 0x100,
					      quirk_new(&crowd->count, value));

	(void)offset;
	/* The device may be hidden by now; it is not detached while a callback runs (L6). */
	CHECK(made);
	FH_POINT("test.made");
	CHECK(fh_region_add(memory_root(fh_object_get_machine(probe->device)), made,
			    BASE + at * 0x100, 0) == FH_OK);
	fh_region_destroy(atomic_exchange(&crowd->kept[at], made));
	return FH_TX_OK;
}

static void touch(void *arg)
{
	struct toucher *toucher = arg;
	uint32_t value = 0;

	while (!toucher->stop) {
		uint64_t read;

		if (fh_space_store32(fh_machine_memory(toucher->m), 0x1000, value++, FH_LE) ==
		    FH_TX_OK)
			toucher->stores++;
		fh_space_load64(fh_machine_memory(toucher->m), BASE + value % KEPT * 0x100, FH_LE,
				&read);
		sched_yield(); /* rather than in a section, which makes grace periods long */
	}
}

static void owner_is_unplugged_while_its_callbacks_make_regions(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct toucher toucher = { .m = m };
	struct worker workers[3];

	(void)unused;
	for (int i = 0; i < 3; i++)
		worker_start(&workers[i], touch, &toucher);
	for (uint64_t round = 0; round < scaled(150); round++) {
		struct crowd crowd = { 0 };
		struct probe_hooks hooks = {
			.write = replace_one, .arg = &crowd, .concurrent = round & 1,
		};
		const uint64_t before = toucher.stores;
		struct fh_device *device = probe_plug(m, "a", &hooks, 0x1000);

		while (toucher.stores - before < 20)
			sched_yield();
		fh_device_unplug(device);
		for (int i = 0; i < KEPT; i++)
			load32(m, BASE + (uint64_t)i * 0x100, FH_TX_DECODE_ERROR);
		fh_machine_drain(m);
		/* A reader that waited for the domain may have it pinned still. */
		while (hooks.finalized == 0)
			fh_machine_drain(m);
		assert_int_equal(crowd.count.made, crowd.count.released);
		assert_true(crowd.count.made > 0);
	}
	toucher.stop = true;
	for (int i = 0; i < 3; i++)
		worker_join(&workers[i]);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void run_store(void *arg)
{
	CHECK(fh_space_store32(fh_machine_memory((struct fh_machine *)arg), 0x1000, 3, FH_LE) ==
	      FH_TX_OK);
}

static void run_unplug(void *arg)
{
	fh_device_unplug(arg);
}

static void region_made_when_its_owner_is_hidden_is_never_seen(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct crowd crowd = { 0 };
	struct probe_hooks hooks = { .write = replace_one, .arg = &crowd };
	struct fh_device *device = probe_plug(m, "a", &hooks, 0x1000);
	struct worker writer, unplugger;

	(void)unused;
	fh_point_arm("test.made");
	worker_start(&writer, run_store, m);
	assert_true(fh_point_wait("test.made"));
	fh_point_arm("drain.synchronize");
	worker_start(&unplugger, run_unplug, device);
	assert_true(fh_point_wait("drain.synchronize"));
	fh_point_release_all();
	worker_join(&writer);
	load32(m, BASE + 0x300, FH_TX_DECODE_ERROR);
	worker_join(&unplugger);
	machine_check_alive(m, 0);
	assert_int_equal(crowd.count.released, 1);
	assert_int_equal(crowd.count.calls, 0);
	machine_end(m);
}

/* From outside of callbacks, a thread with a ref of the device: it is refused from detach on. */
struct maker {
	struct fh_device *device;
	struct quirk_count *count;
	unsigned made;
};

static void make_until_refused(void *arg)
{
	struct maker *maker = arg;

	for (;;) {
		/*
		 * The device may lose it at any moment: the section keeps it until there is a ref.
		 */
		fh_read_begin();
		struct fh_region *region =
			quirk_region(maker->device, 0x100, quirk_new(maker->count, 5));
		const bool mine = region && fh_object_try_ref(region);

		fh_read_end();
		if (!region)
			break;
		if (!mine)
			continue;
		fh_region_add(memory_root(fh_object_get_machine(maker->device)), region,
			      BASE + maker->made++ % 16 * 0x100, 0);
		if (maker->made % 3)
			fh_region_destroy(region);
		fh_object_unref(region);
	}
	fh_object_unref(maker->device);
}

static void regions_of_the_detached_are_refused(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	for (uint64_t round = 0; round < scaled(100); round++) {
		struct quirk_count count = { 0 };
		struct probe_hooks hooks = { 0 };
		struct fh_device *device = probe_plug(m, "a", &hooks, 0x1000);
		struct maker makers[2];
		struct worker workers[2];

		for (int i = 0; i < 2; i++) {
			makers[i] = (struct maker){ .device = fh_object_ref(device),
						    .count = &count };
			worker_start(&workers[i], make_until_refused, &makers[i]);
		}
		while (count.made < 20)
			sched_yield();
		fh_device_unplug(device);
		for (int i = 0; i < 2; i++)
			worker_join(&workers[i]);
		machine_check_alive(m, 0);
		assert_int_equal(count.made, count.released);
	}
	machine_end(m);
}

static int reset_points(void **unused)
{
	(void)unused;
	fh_point_release_all();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quirks_of_a_device_come_and_go_while_readers_run),
		cmocka_unit_test(quirks_of_nobody_come_and_go_while_readers_run),
		cmocka_unit_test(tables_are_switched_by_register_writes_and_resets),
		cmocka_unit_test(hundreds_of_thousands_end_in_every_way),
		cmocka_unit_test(region_made_and_destroyed_in_a_transaction_is_never_seen),
		cmocka_unit_test(region_destroyed_in_a_transaction_is_seen_until_the_commit),
		cmocka_unit_test(destroyed_with_its_container_and_its_alias),
		cmocka_unit_test(replacing_one_by_another_shows_no_hole),
		cmocka_unit_test(owner_is_unplugged_while_its_callbacks_make_regions),
		cmocka_unit_test_teardown(region_made_when_its_owner_is_hidden_is_never_seen,
					  reset_points),
		cmocka_unit_test(regions_of_the_detached_are_refused),
	};

	return cmocka_run_group_tests_name("scenario/runtime", tests, NULL, NULL);
}
