/* SPDX-License-Identifier: MIT */
/*
 * The interleavings that must be forced: threads are stopped at named points (base/point.h), so
 * that what a model checker found on paper is seen in C.
 *
 * A callback of the test "blocks": it brackets a wait with fh_blocking_begin/end, between which it
 * stands at a gate that the test opens.
 */
#include "support/probe.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/point.h"

#define BASE UINT64_C(0x10000000)

static struct fh_region *memory_root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

static void pause_ms(unsigned ms)
{
	const struct timespec time = { .tv_nsec = (long)ms * 1000000 };

	nanosleep(&time, NULL);
}

static int reset_points(void **unused)
{
	(void)unused;
	fh_point_release_all();
	return 0;
}

/* --- A callback that blocks ----------------------------------------------------------------- */

struct gate {
	_Atomic bool inside; /* the callback waits, outside its read section */
	_Atomic bool open;
};

static void stand_at(struct gate *gate)
{
	fh_blocking_begin();
	gate->inside = true;
	while (!gate->open)
		pause_ms(1);
	fh_blocking_end();
}

static enum fh_tx write_blocks(struct probe *probe, uint64_t offset, uint64_t value)
{
	(void)offset;
	(void)value;
	stand_at(probe->hooks->arg);
	return FH_TX_OK;
}

static void wait_inside(struct gate *gate)
{
	for (int i = 0; i < 20000 && !gate->inside; i++)
		pause_ms(1);
	assert_true(gate->inside);
}

struct store {
	struct fh_machine *m;
	uint64_t addr;
	enum fh_tx tx;
};

static void run_store(void *arg)
{
	struct store *store = arg;

	store->tx = fh_space_store32(fh_machine_memory(store->m), store->addr, 1, FH_LE);
}

static void run_unplug(void *arg)
{
	fh_device_unplug(arg);
}

/*
 * Blocks during the drain's grace period, resumes before the count is read, and stalls before it
 * returns: the drain must wait for the return, not for the end of the blocking.
 */
static void callback_that_resumed_is_waited_for_until_it_returns(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct gate gate = { 0 };
	struct probe_hooks hooks = { .write = write_blocks, .arg = &gate };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct store store = { .m = m, .addr = BASE };
	struct worker writer, unplugger;

	(void)unused;
	fh_point_arm("drain.before-count");
	fh_point_arm("chain.returning");
	worker_start(&writer, run_store, &store);
	wait_inside(&gate);
	worker_start(&unplugger, run_unplug, device);
	/* The grace period is over: the writer was outside its section. */
	assert_true(fh_point_wait("drain.before-count"));
	gate.open = true;
	assert_true(fh_point_wait("chain.returning"));
	fh_point_release("drain.before-count");
	assert_false(worker_done_within(&unplugger, 30));
	assert_int_equal(hooks.unrealized, 0);
	fh_point_release("chain.returning");
	worker_join(&writer);
	worker_join(&unplugger);
	assert_int_equal(hooks.unrealized, 1);
	assert_int_equal(store.tx, FH_TX_OK);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- The same in B, called by DMA from A, while A is unplugged ------------------------------- */

static enum fh_tx write_does_dma(struct probe *probe, uint64_t offset, uint64_t value)
{
	struct fh_machine *m = fh_object_get_machine(probe->device);

	(void)offset;
	return fh_space_store32(fh_machine_memory(m), 2 * BASE, (uint32_t)value, FH_LE);
}

static void callback_whose_dma_blocks_is_waited_for(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct gate gate = { 0 };
	struct probe_hooks a_hooks = { .write = write_does_dma };
	struct probe_hooks b_hooks = { .write = write_blocks, .arg = &gate };
	struct fh_device *a = probe_plug(m, "a", &a_hooks, BASE);
	struct fh_device *b = probe_plug(m, "b", &b_hooks, 2 * BASE);
	struct store store = { .m = m, .addr = BASE };
	struct worker writer, unplugger;

	(void)unused;
	worker_start(&writer, run_store, &store);
	wait_inside(&gate);
	fh_point_arm("drain.before-count");
	worker_start(&unplugger, run_unplug, a);
	assert_true(fh_point_wait("drain.before-count"));
	/* B resumes and returns into A, which then stalls before it returns. */
	fh_point_arm_at("chain.returning", 2, NULL);
	gate.open = true;
	assert_true(fh_point_wait("chain.returning"));
	fh_point_release("drain.before-count");
	assert_false(worker_done_within(&unplugger, 30));
	assert_int_equal(a_hooks.unrealized, 0);
	fh_point_release("chain.returning");
	worker_join(&writer);
	worker_join(&unplugger);
	assert_int_equal(a_hooks.unrealized, 1);
	fh_device_unplug(b);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- A bulk access that blocks between two regions, the second of which goes ---------------- */

struct bulk {
	struct fh_machine *m;
	enum fh_tx tx;
	uint8_t bytes[2 * PROBE_SIZE];
};

static enum fh_tx read_blocks(struct probe *probe, uint64_t offset, uint64_t *ret_value)
{
	if (offset >= PROBE_SIZE - 8)
		stand_at(probe->hooks->arg);
	*ret_value = 0x1111111111111111;
	return FH_TX_OK;
}

static void run_bulk_read(void *arg)
{
	struct bulk *bulk = arg;

	bulk->tx = fh_space_read(fh_machine_memory(bulk->m), BASE, bulk->bytes,
				 sizeof(bulk->bytes), FH_ATTRS_NONE);
}

static void bulk_access_looks_again_after_it_blocked(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct gate gate = { 0 };
	struct probe_hooks a_hooks = { .read = read_blocks, .arg = &gate }, b_hooks = { 0 };
	struct fh_device *a = probe_plug(m, "a", &a_hooks, BASE);
	struct fh_device *b = probe_plug(m, "b", &b_hooks, BASE + PROBE_SIZE);
	struct bulk bulk = { .m = m };
	struct worker reader;

	(void)unused;
	worker_start(&reader, run_bulk_read, &bulk);
	wait_inside(&gate);
	fh_device_unplug(b);
	fh_machine_drain(m);
	assert_int_equal(b_hooks.finalized, 1);
	gate.open = true;
	worker_join(&reader);
	assert_int_equal(bulk.tx, FH_TX_DECODE_ERROR);
	assert_int_equal(b_hooks.reads, 0);
	assert_int_equal(bulk.bytes[PROBE_SIZE - 1], 0x11);
	assert_int_equal(bulk.bytes[PROBE_SIZE], 0);
	fh_device_unplug(a);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Timer and completion between drain and detach ------------------------------------------ */

struct late {
	struct fh_timer *timer;
	struct fh_bh *bh;
	struct fh_io *io;
	_Atomic unsigned calls;
};

static void count_call(void *state)
{
	struct late *late = state;

	late->calls++;
}

static enum fh_code realize_late(struct probe *probe, struct fh_error *err)
{
	struct late *late = probe->hooks->arg;

	(void)err;
	late->timer = fh_timer_new(probe->device, "timer", count_call, late);
	late->bh = fh_bh_new(probe->device, "bh", count_call, late);
	late->io = fh_io_begin(probe->device, "io");
	return FH_OK;
}

static void callbacks_between_drain_and_detach_are_not_called(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct late late = { 0 };
	struct probe_hooks hooks = { .realize = realize_late, .arg = &late };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct worker unplugger;

	(void)unused;
	fh_bh_schedule(late.bh);
	fh_machine_poll(m);
	assert_int_equal(late.calls, 1);
	fh_point_arm("dispose.before-detach");
	worker_start(&unplugger, run_unplug, device);
	assert_true(fh_point_wait("dispose.before-detach"));
	fh_timer_arm(late.timer, fh_machine_now(m));
	fh_bh_schedule(late.bh);
	fh_io_complete(late.io, count_call, &late);
	fh_point_release("dispose.before-detach");
	worker_join(&unplugger);
	fh_machine_poll(m);
	assert_int_equal(late.calls, 1);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- A child realized after hide, before the drain is over ---------------------------------- */

static void child_realized_after_hide_is_never_seen_and_unrealized(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks parent_hooks = { 0 }, child_hooks = { 0 };
	struct fh_device *parent = probe_plug(m, "parent", &parent_hooks, BASE);
	struct worker unplugger;

	(void)unused;
	fh_point_arm("drain.synchronize");
	worker_start(&unplugger, run_unplug, parent);
	assert_true(fh_point_wait("drain.synchronize"));
	struct fh_device *child = probe_new(parent, "child", &child_hooks);

	if (fh_device_realize(child, NULL) == FH_OK) {
		fh_region_add(memory_root(m), fh_device_region(child, "regs"), 2 * BASE, 0);
		load32(m, 2 * BASE, FH_TX_DECODE_ERROR);
	}
	fh_point_release("drain.synchronize");
	worker_join(&unplugger);
	assert_int_equal(child_hooks.unrealized, child_hooks.realized);
	assert_int_equal(child_hooks.reads, 0);
	machine_check_alive(m, 0);
	assert_int_equal(child_hooks.finalized, 1);
	machine_end(m);
}

/* --- A pin and a link made after detach, from another device -------------------------------- */

static void pin_and_link_made_after_detach_are_refused(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 }, other_hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct fh_device *other = probe_plug(m, "b", &other_hooks, 2 * BASE);
	struct fh_region *regs = fh_object_ref(probe_of(device)->regs);
	struct fh_region *container = fh_object_ref(fh_region_new_container(device, "c", 0x1000));
	struct worker unplugger;

	(void)unused;
	fh_point_arm("dispose.detached");
	worker_start(&unplugger, run_unplug, device);
	assert_true(fh_point_wait("dispose.detached"));
	assert_null(fh_object_pin(device, other, "late"));
	assert_null(fh_object_pin(regs, other, "late"));
	assert_null(fh_object_pin(other, device, "late"));
	assert_int_equal(fh_region_add(container, probe_of(other)->ram, 0, 0), FH_EDEAD);
	assert_int_equal(fh_region_add(memory_root(m), regs, 0, 0), FH_EDEAD);
	assert_null(fh_region_new_alias(other, "late", regs, 0, 8));
	assert_null(fh_device_new(device, &probe_type, "late", NULL, NULL));
	fh_point_release("dispose.detached");
	worker_join(&unplugger);
	fh_object_unref(regs);
	fh_object_unref(container);
	fh_machine_drain(m);
	assert_int_equal(hooks.finalized, 1);
	fh_device_unplug(other);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Last unref against removal ------------------------------------------------------------- */

static void run_unref(void *arg)
{
	fh_object_unref((struct fh_object *)arg);
}

static void run_dispose(void *arg)
{
	fh_object_dispose((struct fh_object *)arg);
}

static const struct fh_type plain_type = { .name = "plain" };

static void last_unref_meets_removal_from_the_tree(void **unused)
{
	(void)unused;
	for (int order = 0; order < 2; order++) {
		struct fh_machine *m = machine_begin();
		struct fh_object *owner = fh_object_new_child(m, "owner", &plain_type, NULL);
		struct fh_region *ram = fh_region_new_ram(owner, "ram", 0x1000, NULL);
		struct worker unref, dispose;

		fh_region_add(memory_root(m), ram, 0, 0);
		fh_object_ref(owner);
		/* Removal has left the tree and dropped the parent's ref, or has not begun yet. */
		fh_point_arm(order ? "dispose.left" : "control.popped");
		worker_start(&dispose, run_dispose, owner);
		assert_true(fh_point_wait(order ? "dispose.left" : "control.popped"));
		worker_start(&unref, run_unref, owner);
		worker_join(&unref);
		load32(m, 0, FH_TX_DECODE_ERROR);
		fh_point_release(order ? "dispose.left" : "control.popped");
		worker_join(&dispose);
		machine_check_alive(m, 0);
		machine_end(m);
	}
}

/* The last unref has decided to dispose; the same object's unplug comes from another thread. */
static void removal_meets_the_last_unref(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *owner = fh_object_new(m, &plain_type, NULL);
	struct fh_region *ram = fh_region_new_ram(owner, "ram", 0x1000, NULL);
	struct fh_object *holder = fh_object_new_child(m, "holder", &plain_type, NULL);
	struct fh_pin *pin = fh_object_pin(owner, holder, "test");
	struct worker unref, dispose;

	(void)unused;
	fh_region_add(memory_root(m), ram, 0, 0);
	fh_point_arm("unref.last");
	fh_point_arm("dispose.requested");
	worker_start(&unref, run_unref, owner);
	assert_true(fh_point_wait("unref.last"));
	worker_start(&dispose, run_dispose, owner);
	assert_true(fh_point_wait("dispose.requested"));
	load32(m, 0, FH_TX_DECODE_ERROR);
	fh_point_release("dispose.requested");
	/*
	 * The unref has claimed it and not queued it yet: dispose is not done, and does not return.
	 */
	assert_false(worker_done_within(&dispose, 20));
	fh_point_release("unref.last");
	worker_join(&unref);
	worker_join(&dispose);
	fh_unpin(pin);
	fh_object_dispose(holder);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* A parent's queued job overtakes its child's: the child's finds its work done. */
static void parents_job_overtakes_the_childs(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks parent_hooks = { 0 }, child_hooks = { 0 };
	struct fh_device *parent = probe_plug(m, "parent", &parent_hooks, BASE);
	struct fh_device *child = probe_plug(parent, "child", &child_hooks, 2 * BASE);
	struct worker unplugger;

	(void)unused;
	fh_point_arm("control.popped");
	worker_start(&unplugger, run_unplug, parent);
	assert_true(fh_point_wait("control.popped"));
	/* In a section, as a callback would be: the child's job is queued behind the parent's. */
	fh_read_begin();
	fh_device_unplug(child);
	fh_read_end();
	fh_point_release("control.popped");
	worker_join(&unplugger);
	assert_int_equal(parent_hooks.unrealized, 1);
	assert_int_equal(child_hooks.unrealized, 1);
	machine_check_alive(m, 0);
	assert_int_equal(child_hooks.finalized, 1);
	machine_end(m);
}

/* --- Run-time regions ----------------------------------------------------------------------- */

struct quirk {
	struct fh_region *region;
	struct gate gate;
	_Atomic unsigned released;
	_Atomic unsigned inside;
	uint32_t canary;
};

static enum fh_tx quirk_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	struct quirk *quirk = state;

	(void)size;
	(void)attrs;
	quirk->inside++;
	if (offset == 0)
		stand_at(&quirk->gate);
	else
		fh_region_destroy(quirk->region);
	/* The callback's context is released after its last callback (L1). */
	CHECK(quirk->released == 0);
	*ret_value = quirk->canary;
	quirk->inside--;
	return FH_TX_OK;
}

static void quirk_release(void *state)
{
	struct quirk *quirk = state;

	CHECK(quirk->inside == 0);
	quirk->released++;
}

static const struct fh_region_ops quirk_ops = {
	.read = quirk_read,
	.release = quirk_release,
	.concurrent = true,
};

struct load {
	struct fh_machine *m;
	uint64_t addr;
	uint32_t value;
	enum fh_tx tx;
};

static void run_load(void *arg)
{
	struct load *load = arg;

	load->tx = fh_space_load32(fh_machine_memory(load->m), load->addr, FH_LE, &load->value);
}

/*
 * A run-time region is destroyed in its own callback, while another reader blocks in it and a ref
 * of a caller's outlives the owner.
 */
static void region_destroyed_in_its_own_callback_waits_for_the_blocked_one(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "a", &hooks, BASE);
	struct quirk quirk = { .canary = 77 };
	struct load blocked = { .m = m, .addr = 0x1000 };
	struct worker reader;

	(void)unused;
	quirk.region = fh_region_new_mmio(device, NULL, 0x100, &quirk_ops, &quirk);
	fh_region_add(memory_root(m), quirk.region, 0x1000, 0);
	fh_object_ref(quirk.region);
	worker_start(&reader, run_load, &blocked);
	wait_inside(&quirk.gate);
	assert_int_equal(load32(m, 0x1004, FH_TX_OK), 77);
	load32(m, 0x1004, FH_TX_DECODE_ERROR);
	fh_object_unref(quirk.region);
	fh_machine_drain(m);
	assert_int_equal(quirk.released, 0);
	quirk.gate.open = true;
	worker_join(&reader);
	assert_int_equal(blocked.value, 77);
	fh_machine_drain(m);
	assert_int_equal(quirk.released, 1);

	/* And once more with the caller's ref outliving the owner. */
	struct quirk second = { .canary = 78 };

	second.region = fh_region_new_mmio(device, NULL, 0x100, &quirk_ops, &second);
	fh_region_add(memory_root(m), second.region, 0x1000, 0);
	fh_object_ref(second.region);
	fh_device_unplug(device);
	fh_machine_drain(m);
	assert_int_equal(hooks.disposed, 1);
	assert_int_equal(hooks.finalized, 0);
	assert_int_equal(second.released, 0);
	fh_object_unref(second.region);
	machine_check_alive(m, 0);
	assert_int_equal(second.released, 1);
	assert_int_equal(hooks.finalized, 1);
	machine_end(m);
}

/* Looked up, retired, then pinned inside the same section: the pin holds. */
static void region_retired_after_the_lookup_can_still_be_pinned(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = fh_object_new_child(m, "holder", &plain_type, NULL);
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x1000, NULL);
	struct fh_section section;
	struct fh_mapping *map;
	struct fh_mapped mapped;

	(void)unused;
	fh_region_add(memory_root(m), ram, 0, 0);
	store32(m, 0, 9, FH_TX_OK);
	fh_read_begin();
	assert_true(fh_space_lookup(fh_machine_memory(m), 0, &section));
	map = fh_space_map(fh_machine_memory(m), 0, 0x1000, FH_MAP_WRITE, FH_ATTRS_NONE, holder,
			   &mapped);
	assert_non_null(map);
	fh_mapping_unmap(map, 0);
	fh_region_remove(ram);
	/* Out of the map; the view that showed it is retired, its unpin queued. */
	struct fh_pin *pin = fh_object_pin(section.region, holder, "late");

	assert_non_null(pin);
	fh_object_unref(ram);
	fh_read_end();
	fh_machine_drain(m);
	assert_int_equal(*(volatile uint32_t *)section.ptr, 9);
	assert_int_equal(fh_ledger_read(m).alive, 2);
	fh_unpin(pin);
	machine_check_alive(m, 1);
	fh_object_dispose(holder);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* A commit between a reader's lookup and its use of what it found, and before it is remembered. */
static void commit_between_lookup_and_dispatch_is_seen_next_time(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct quirk quirk = { .canary = 77 };
	struct load load = { .m = m, .addr = 0x1008 };
	struct worker reader;

	(void)unused;
	quirk.gate.open = true;
	quirk.region = fh_region_new_mmio(m, NULL, 0x100, &quirk_ops, &quirk);
	fh_region_add(memory_root(m), quirk.region, 0x1000, 0);
	fh_point_arm("lookup.found");
	load.addr = 0x1000;
	worker_start(&reader, run_load, &load);
	assert_true(fh_point_wait("lookup.found"));
	fh_region_remove(quirk.region);
	fh_object_unref(quirk.region);
	pause_ms(20);
	assert_int_equal(quirk.released, 0);
	fh_point_release("lookup.found");
	worker_join(&reader);
	assert_int_equal(load.tx, FH_TX_OK);
	load32(m, 0x1000, FH_TX_DECODE_ERROR);
	machine_check_alive(m, 0);
	assert_int_equal(quirk.released, 1);
	machine_end(m);
}

/*
 * Found, then removed and let go by everybody, then its callback blocks: only the pin of the view
 * that is being retired keeps it until the reader's own pin.
 */
static void region_found_before_its_end_may_still_block(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct quirk quirk = { .canary = 77 };
	struct load load = { .m = m, .addr = 0x1000 };
	struct worker reader;

	(void)unused;
	quirk.region = fh_region_new_mmio(m, NULL, 0x100, &quirk_ops, &quirk);
	fh_region_add(memory_root(m), quirk.region, 0x1000, 0);
	fh_point_arm("lookup.found");
	worker_start(&reader, run_load, &load);
	assert_true(fh_point_wait("lookup.found"));
	fh_object_unref(quirk.region);
	load32(m, 0x1000, FH_TX_DECODE_ERROR);
	fh_point_release("lookup.found");
	wait_inside(&quirk.gate);
	fh_machine_drain(m);
	assert_int_equal(quirk.released, 0);
	quirk.gate.open = true;
	worker_join(&reader);
	assert_int_equal(load.value, 77);
	machine_check_alive(m, 0);
	assert_int_equal(quirk.released, 1);
	machine_end(m);
}

/* --- Two threads closing the circle A-B ----------------------------------------------------- */

/* Both threads are inside their device's callback before either goes for the other's. */
struct meeting {
	_Atomic unsigned here;
	uint64_t target;
};

static struct fh_machine *meeting_machine(struct probe *probe)
{
	return fh_object_get_machine(probe->device);
}

static enum fh_tx write_meets(struct probe *probe, uint64_t offset, uint64_t value)
{
	struct meeting **meeting = probe->hooks->arg;

	(void)offset;
	if (value == 0)
		return FH_TX_OK;
	meeting[0]->here++;
	while (meeting[0]->here < 2)
		;
	return fh_space_store32(fh_machine_memory(meeting_machine(probe)), meeting[1]->target, 0,
				FH_LE);
}

static void circle_closed_at_the_same_moment_is_refused_exactly_once(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	for (int round = 0; round < 200; round++) {
		struct meeting shared = { 0 }, a_way = { .target = 2 * BASE },
			       b_way = { .target = BASE };
		struct meeting *a_arg[2] = { &shared, &a_way }, *b_arg[2] = { &shared, &b_way };
		struct probe_hooks a_hooks = { .write = write_meets, .arg = a_arg };
		struct probe_hooks b_hooks = { .write = write_meets, .arg = b_arg };
		struct fh_device *a = probe_plug(m, "a", &a_hooks, BASE);
		struct fh_device *b = probe_plug(m, "b", &b_hooks, 2 * BASE);
		struct store first = { .m = m, .addr = BASE },
			     second = { .m = m, .addr = 2 * BASE };
		struct worker workers[2];

		worker_start(&workers[0], run_store, &first);
		worker_start(&workers[1], run_store, &second);
		worker_join(&workers[0]);
		worker_join(&workers[1]);
		/* One is refused; the other then gets its domain. */
		assert_int_equal((first.tx == FH_TX_REENTRY) + (second.tx == FH_TX_REENTRY), 1);
		assert_int_equal((first.tx == FH_TX_OK) + (second.tx == FH_TX_OK), 1);
		fh_device_unplug(a);
		fh_device_unplug(b);
		fh_machine_drain(m);
	}
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- A listener stalled in its commit ------------------------------------------------------- */

static void nothing_is_freed_while_a_listener_stalls(void **unused)
{
	struct fh_machine *m = machine_begin();
	const struct fh_listener_ops ops = { 0 };
	struct fh_listener *listener = fh_listener_new(m, fh_machine_memory(m), 0, &ops, NULL);
	struct quirk quirk = { .canary = 77 };
	struct worker editor;

	(void)unused;
	quirk.region = fh_region_new_mmio(m, NULL, 0x100, &quirk_ops, &quirk);
	fh_region_add(memory_root(m), quirk.region, 0x1000, 0);
	fh_point_arm("listener.commit");
	worker_start(&editor, run_unref, quirk.region);
	assert_true(fh_point_wait("listener.commit"));
	/* The new view is published; the old one's grace period has not begun. */
	load32(m, 0x1000, FH_TX_DECODE_ERROR);
	pause_ms(30);
	assert_int_equal(quirk.released, 0);
	fh_point_release("listener.commit");
	worker_join(&editor);
	fh_machine_drain(m);
	assert_int_equal(quirk.released, 1);
	fh_object_unref(listener);
	machine_check_alive(m, 0);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(callback_that_resumed_is_waited_for_until_it_returns,
					  reset_points),
		cmocka_unit_test_teardown(callback_whose_dma_blocks_is_waited_for, reset_points),
		cmocka_unit_test_teardown(bulk_access_looks_again_after_it_blocked, reset_points),
		cmocka_unit_test_teardown(callbacks_between_drain_and_detach_are_not_called,
					  reset_points),
		cmocka_unit_test_teardown(child_realized_after_hide_is_never_seen_and_unrealized,
					  reset_points),
		cmocka_unit_test_teardown(pin_and_link_made_after_detach_are_refused, reset_points),
		cmocka_unit_test_teardown(last_unref_meets_removal_from_the_tree, reset_points),
		cmocka_unit_test_teardown(removal_meets_the_last_unref, reset_points),
		cmocka_unit_test_teardown(parents_job_overtakes_the_childs, reset_points),
		cmocka_unit_test_teardown(
			region_destroyed_in_its_own_callback_waits_for_the_blocked_one,
			reset_points),
		cmocka_unit_test_teardown(region_retired_after_the_lookup_can_still_be_pinned,
					  reset_points),
		cmocka_unit_test_teardown(commit_between_lookup_and_dispatch_is_seen_next_time,
					  reset_points),
		cmocka_unit_test_teardown(region_found_before_its_end_may_still_block,
					  reset_points),
		cmocka_unit_test_teardown(circle_closed_at_the_same_moment_is_refused_exactly_once,
					  reset_points),
		cmocka_unit_test_teardown(nothing_is_freed_while_a_listener_stalls, reset_points),
	};

	return cmocka_run_group_tests_name("scenario/interleave", tests, NULL, NULL);
}
