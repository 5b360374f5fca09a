/* SPDX-License-Identifier: MIT */
/*
 * Room for bounce buffers, and who waits for it: in order, told once, whichever of waiter, holder,
 * space and poll comes first or goes first.
 */
#include "support/bytes.h"

#include "base/point.h"
#include "base/rcu.h"

/* --- Room ----------------------------------------------------------------------------------- */

struct wait {
	struct fh_machine *m;
	struct fh_object *holder;
	struct wait *next; /* called before this one, or NULL */
	unsigned called;
	uint64_t wants;
	struct fh_mapping *mapping;
	struct fh_mapped mapped;
};

static void count_and_map(void *state)
{
	struct wait *wait = state;

	wait->called++;
	if (wait->next)
		CHECK(wait->next->called == 1);
	if (wait->wants > 0)
		wait->mapping = fh_space_map(fh_machine_memory(wait->m), BASE, wait->wants,
					     FH_MAP_WRITE, FH_ATTRS_NONE, wait->holder,
					     &wait->mapped);
}

static void exhausted_room_is_told_apart_and_waited_for(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m, .holder = holder, .wants = 16 };
	struct fh_mapped mapped, none;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	struct fh_mapping *mapping = fh_space_map(memory, BASE, REGS, FH_MAP_WRITE, FH_ATTRS_NONE,
						  holder, &mapped);

	assert_int_equal(mapped.size, 32); /* never more than there can be */
	assert_null(fh_space_map(memory, BASE, 1, FH_MAP_READ, FH_ATTRS_NONE, holder, &none));
	assert_int_equal(none.code, FH_EAGAIN);
	assert_int_equal(bytes.hooks.reads, 0);
	assert_non_null(fh_space_notify_room(memory, 16, holder, count_and_map, &wait));
	fh_machine_drain(m);
	assert_int_equal(wait.called, 0);
	fh_mapping_unmap(mapping, 0);
	assert_int_equal(wait.called, 0); /* on the poll thread */
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	assert_non_null(wait.mapping);
	assert_int_equal(wait.mapped.size, 16);
	fh_mapping_unmap(wait.mapping, 0);
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	fh_object_unref(holder);
	machine_end(m);
}

static void room_that_is_there_already_is_told(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m };

	(void)unused;
	assert_non_null(fh_space_notify_room(fh_machine_memory(m), 1, holder, count_and_map,
					     &wait));
	assert_true(fh_machine_poll(m));
	assert_int_equal(wait.called, 1);
	fh_object_unref(holder);
	machine_end(m);
}

/* Each gets what it waited for, in order, and nobody comes in between. */
static void waiters_are_served_in_order_and_nobody_passes_them(void **unused)
{
	enum { COUNT = 4 };
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder[COUNT], *other = holder_new(m);
	struct wait wait[COUNT];
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	struct fh_mapping *first =
		fh_space_map(memory, BASE, 24, FH_MAP_WRITE, FH_ATTRS_NONE, other, &mapped);

	for (unsigned i = 0; i < COUNT; i++) {
		holder[i] = holder_new(m);
		wait[i] = (struct wait){
			.m = m,
			.holder = holder[i],
			.next = i ? &wait[i - 1] : NULL,
			.wants = i == 0 ? 32 : 8,
		};
		assert_non_null(fh_space_notify_room(memory, wait[i].wants, holder[i],
						     count_and_map, &wait[i]));
	}
	/* There are 8 left, but the first one waits for 32. */
	assert_int_equal(room_left(memory, other, 32), 0);
	fh_machine_drain(m);
	assert_int_equal(wait[1].called, 0);
	fh_mapping_unmap(first, 0);
	/* It is set aside now, though nobody was called yet. */
	assert_int_equal(room_left(memory, other, 32), 0);
	fh_machine_drain(m);
	assert_int_equal(wait[0].called, 1);
	assert_int_equal(wait[0].mapped.size, 32);
	assert_int_equal(wait[1].called, 0);
	fh_mapping_unmap(wait[0].mapping, 0);
	fh_machine_drain(m);
	for (unsigned i = 1; i < COUNT; i++) {
		assert_int_equal(wait[i].called, 1);
		assert_int_equal(wait[i].mapped.size, 8);
		fh_mapping_unmap(wait[i].mapping, 0);
	}
	assert_int_equal(room_left(memory, other, 32), 32);
	for (unsigned i = 0; i < COUNT; i++)
		fh_object_unref(holder[i]);
	fh_object_unref(other);
	machine_end(m);
}

/* What was set aside and not used goes to the next. */
static void waiter_that_maps_nothing_leaves_its_room_to_others(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m), *other = holder_new(m);
	struct wait idle = { .m = m }, wait = { .m = m, .holder = other, .wants = 32 };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	struct fh_mapping *first =
		fh_space_map(memory, BASE, 32, FH_MAP_WRITE, FH_ATTRS_NONE, other, &mapped);

	assert_non_null(fh_space_notify_room(memory, 32, holder, count_and_map, &idle));
	assert_non_null(fh_space_notify_room(memory, 32, other, count_and_map, &wait));
	fh_mapping_unmap(first, 0);
	fh_machine_drain(m);
	assert_int_equal(idle.called, 1);
	assert_int_equal(wait.called, 1);
	assert_non_null(wait.mapping);
	fh_mapping_unmap(wait.mapping, 0);
	fh_object_unref(holder);
	fh_object_unref(other);
	machine_end(m);
}

/* Whoever goes, or gives up, stands in nobody's way. */
static void waiter_goes_with_its_holder_or_when_cancelled(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, 3 * BASE);
	struct fh_object *holder = holder_new(m), *other = holder_new(m);
	struct wait gone = { .m = m }, cancelled = { .m = m };
	struct wait wait = { .m = m, .holder = other, .wants = 8 };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	struct fh_mapping *first =
		fh_space_map(memory, BASE, 20, FH_MAP_WRITE, FH_ATTRS_NONE, other, &mapped);

	assert_non_null(fh_space_notify_room(memory, 32, device, count_and_map, &gone));
	struct fh_waiter *waiter =
		fh_space_notify_room(memory, 32, holder, count_and_map, &cancelled);

	assert_non_null(fh_space_notify_room(memory, 8, other, count_and_map, &wait));
	fh_device_unplug(device);
	fh_machine_drain(m);
	assert_int_equal(wait.called, 0);
	assert_null(fh_waiter_cancel(waiter));
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	assert_int_equal(gone.called + cancelled.called, 0);
	fh_mapping_unmap(wait.mapping, 0);
	fh_mapping_unmap(first, 0);
	assert_int_equal(room_left(memory, other, 32), 32);
	fh_object_unref(holder);
	fh_object_unref(other);
	machine_end(m);
}

/* Due, but not called yet: the holder goes, and then not any more. */
static void waiter_whose_device_is_unplugged_when_due_is_not_called(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, 3 * BASE);
	struct fh_object *other = holder_new(m);
	struct wait gone = { .m = m };
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	assert_non_null(fh_space_notify_room(memory, 32, device, count_and_map, &gone));
	assert_int_equal(room_left(memory, other, 32), 0);
	fh_read_begin();
	fh_device_unplug(device); /* hidden; the rest is left to control */
	fh_read_end();
	fh_machine_drain(m);
	assert_int_equal(gone.called, 0);
	assert_int_equal(room_left(memory, other, 32), 32);
	fh_object_unref(other);
	machine_end(m);
}

static void waiters_of_a_space_that_goes_are_called(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct fh_space *space = fh_space_new(m, "dma", root(m));
	struct wait wait[2] = { { .m = m }, { .m = m } };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(space, 8);
	struct fh_mapping *mapping =
		fh_space_map(space, BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE, holder, &mapped);

	assert_non_null(mapping);
	for (unsigned i = 0; i < 2; i++)
		assert_non_null(
			fh_space_notify_room(space, 8, holder, count_and_map, &wait[i]));
	fh_object_ref(space);
	fh_object_dispose(space);
	assert_null(fh_space_notify_room(space, 8, holder, count_and_map, &wait[0]));
	fh_machine_drain(m);
	assert_int_equal(wait[0].called, 1);
	assert_int_equal(wait[1].called, 1);
	assert_null(fh_space_map(space, BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE, holder, &mapped));
	assert_int_equal(mapped.code, FH_ENOENT);
	fh_mapping_unmap(mapping, 0);
	fh_object_unref(space);
	fh_object_unref(space);
	fh_object_unref(holder);
	machine_end(m);
}

static void limit_that_changes_is_noticed_by_who_waits(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m), *other = holder_new(m);
	struct wait wait = { .m = m, .holder = holder, .wants = 16 }, last = { .m = m };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 8);
	struct fh_mapping *mapping =
		fh_space_map(memory, BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE, other, &mapped);

	assert_non_null(fh_space_notify_room(memory, 16, holder, count_and_map, &wait));
	fh_space_set_bounce_limit(memory, 24);
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	assert_int_equal(wait.mapped.size, 16);
	/* With a limit of 0 there will never be any: who waits is told so. */
	assert_non_null(fh_space_notify_room(memory, 16, holder, count_and_map, &last));
	fh_machine_drain(m);
	assert_int_equal(last.called, 0);
	fh_space_set_bounce_limit(memory, 0);
	fh_machine_drain(m);
	assert_int_equal(last.called, 1);
	fh_mapping_unmap(mapping, 0);
	fh_mapping_unmap(wait.mapping, 0);
	fh_object_unref(holder);
	fh_object_unref(other);
	machine_end(m);
}

/* A callback of the operation's device: in its domain, and not once the device is hidden. */
static void waiter_of_an_operation_is_a_callback_of_its_device(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct probe_hooks hooks = { 0 };
	struct fh_device *device = probe_plug(m, "disk", &hooks, 3 * BASE);
	struct fh_io *io = fh_io_begin(device, "dma");
	struct wait wait = { .m = m }, late = { .m = m };

	(void)unused;
	assert_non_null(fh_space_notify_room(memory, 1, io, count_and_map, &wait));
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	assert_non_null(fh_space_notify_room(memory, 1, io, count_and_map, &late));
	fh_device_unplug(device);
	fh_machine_drain(m);
	assert_int_equal(late.called, 0);
	fh_io_complete(io, NULL, NULL);
	machine_check_alive(m, 0);
	machine_end(m);
}

struct registrar {
	struct worker worker;
	struct fh_machine *m;
	struct fh_object *holder;
	struct wait *wait;
	struct fh_waiter *waiter;
};

static void register_waiter(void *arg)
{
	struct registrar *registrar = arg;

	registrar->waiter = fh_space_notify_room(fh_machine_memory(registrar->m), 8,
						 registrar->holder, count_and_map,
						 registrar->wait);
}

/* Found no room, then all room is given back, then it registers: it is called all the same. */
static void room_made_before_the_registration_is_not_missed(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m };
	struct registrar registrar = { .m = m, .holder = holder, .wait = &wait };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 8);
	struct fh_mapping *mapping =
		fh_space_map(memory, BASE, 8, FH_MAP_WRITE, FH_ATTRS_NONE, holder, &mapped);

	fh_point_arm("room.pinned");
	worker_start(&registrar.worker, register_waiter, &registrar);
	assert_true(fh_point_wait("room.pinned"));
	fh_mapping_unmap(mapping, 0);
	fh_machine_drain(m);
	fh_point_release("room.pinned");
	worker_join(&registrar.worker);
	fh_machine_drain(m);
	assert_int_equal(wait.called, 1);
	fh_object_unref(holder);
	machine_end(m);
}

/* The holder goes in the middle of the registration. */
static void holder_that_goes_while_it_registers_does_not_wait(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m };
	struct registrar registrar = { .m = m, .holder = holder, .wait = &wait };

	(void)unused;
	fh_object_ref(holder);
	fh_point_arm("room.pinned");
	worker_start(&registrar.worker, register_waiter, &registrar);
	assert_true(fh_point_wait("room.pinned"));
	fh_object_dispose(holder);
	fh_machine_drain(m);
	fh_point_release("room.pinned");
	worker_join(&registrar.worker);
	assert_null(registrar.waiter);
	fh_object_unref(holder);
	fh_object_unref(holder);
	machine_check_alive(m, 0);
	assert_int_equal(wait.called, 0);
	machine_end(m);
}

static void poll_machine(void *arg)
{
	fh_machine_poll(arg);
}

/* The poller has it, and then it is cancelled: it is not called, and its room is free. */
static void waiter_cancelled_when_the_poller_has_it_is_not_called(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m), *other = holder_new(m);
	struct wait wait = { .m = m };
	struct worker poller;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 8);
	struct fh_waiter *waiter = fh_space_notify_room(memory, 8, holder, count_and_map, &wait);

	fh_point_arm("room.due");
	worker_start(&poller, poll_machine, m);
	assert_true(fh_point_wait("room.due"));
	fh_waiter_cancel(waiter);
	/* The holder may go as well: the poller keeps its memory. */
	fh_object_unref(holder);
	fh_point_release("room.due");
	worker_join(&poller);
	assert_int_equal(wait.called, 0);
	assert_int_equal(room_left(memory, other, 8), 8);
	fh_object_unref(other);
	machine_end(m);
}

struct canceller {
	struct worker worker;
	struct fh_waiter *waiter;
};

static void cancel_waiter(void *arg)
{
	struct canceller *canceller = arg;

	fh_waiter_cancel(canceller->waiter);
}

/* The pin has ended, and before more can be done about it the poller comes and finds it so. */
static void waiter_that_is_being_cancelled_is_not_the_pollers_to_free(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *holder = holder_new(m);
	struct wait wait = { .m = m };
	struct canceller canceller = { 0 };
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 8);
	canceller.waiter = fh_space_notify_room(memory, 8, holder, count_and_map, &wait);
	fh_point_arm("room.end");
	worker_start(&canceller.worker, cancel_waiter, &canceller);
	assert_true(fh_point_wait("room.end"));
	fh_machine_poll(m);
	fh_point_release("room.end");
	worker_join(&canceller.worker);
	assert_int_equal(wait.called, 0);
	assert_int_equal(room_left(memory, holder, 8), 8);
	fh_object_unref(holder);
	machine_end(m);
}

#define TEST(name) cmocka_unit_test_teardown(name, release_points)

/*
 * In a callback on the poll thread, of another device: the waiter is due, and its turn comes next.
 */
static void complete_it(void *state)
{
	fh_io_complete(state, NULL, NULL);
}

static void operation_that_is_complete_is_not_called_and_keeps_nothing(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_object *other = holder_new(m);
	struct probe_hooks hooks[2] = { { 0 }, { 0 } };
	struct fh_device *disk = probe_plug(m, "disk", &hooks[0], 3 * BASE);
	struct fh_device *timer = probe_plug(m, "timer", &hooks[1], 4 * BASE);
	struct fh_io *io = fh_io_begin(disk, "dma");
	struct wait wait = { .m = m };
	struct fh_mapped mapped;
	struct bytes bytes;

	(void)unused;
	bytes_plug(m, &bytes);
	fh_space_set_bounce_limit(memory, 32);
	assert_non_null(fh_space_map(memory, BASE, 24, FH_MAP_WRITE, FH_ATTRS_NONE, io, &mapped));
	assert_non_null(fh_space_notify_room(memory, 1, io, count_and_map, &wait));
	fh_bh_schedule(fh_bh_new(timer, "bh", complete_it, io));
	assert_true(fh_machine_poll(m));
	/* Its state may be gone from here on; its buffer is. */
	assert_int_equal(wait.called, 0);
	assert_int_equal(room_left(memory, other, 32), 32);
	fh_machine_drain(m);
	assert_int_equal(wait.called, 0);
	fh_object_unref(other);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exhausted_room_is_told_apart_and_waited_for),
		TEST(room_that_is_there_already_is_told),
		TEST(waiters_are_served_in_order_and_nobody_passes_them),
		TEST(waiter_that_maps_nothing_leaves_its_room_to_others),
		TEST(waiter_goes_with_its_holder_or_when_cancelled),
		TEST(waiter_whose_device_is_unplugged_when_due_is_not_called),
		TEST(waiters_of_a_space_that_goes_are_called),
		TEST(limit_that_changes_is_noticed_by_who_waits),
		TEST(waiter_of_an_operation_is_a_callback_of_its_device),
		TEST(operation_that_is_complete_is_not_called_and_keeps_nothing),
		TEST(room_made_before_the_registration_is_not_missed),
		TEST(holder_that_goes_while_it_registers_does_not_wait),
		TEST(waiter_cancelled_when_the_poller_has_it_is_not_called),
		TEST(waiter_that_is_being_cancelled_is_not_the_pollers_to_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
