/* SPDX-License-Identifier: MIT */
/*
 * Stores from several threads to a register whose eventfds come and go, and that moves: each store
 * is either a signal or a callback. And listeners that come and go on several threads and in each
 * other's callbacks meanwhile: what each is told adds up to nothing when it has left.
 */
#include "support/probe.h"

#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/scale.h"

#define BASE UINT64_C(0x10000)

enum { STORERS = 2, LISTENING = 2, EARS = 4 };

struct rig {
	struct fh_machine *m;
	struct fh_space *memory;
	struct fh_region *regs, *over;
	_Atomic bool stop;
	_Atomic uint64_t stored, called, told;
	int fd;
};

static struct rig rig;

static enum fh_tx count_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)value, (void)size, (void)attrs;
	rig.called++;
	return FH_TX_OK;
}

static const struct fh_region_ops ops = { .write = count_write, .concurrent = true };

static void store_run(void *arg)
{
	(void)arg;
	while (!rig.stop) {
		CHECK(fh_space_store32(rig.memory, BASE + 8, 5, FH_LE) == FH_TX_OK);
		rig.stored++;
	}
}

/* --- Listeners ------------------------------------------------------------------------------ */

struct ear {
	struct fh_listener *listener; /* this thread's; or NULL */
	int ranges, events, coalesced; /* under the topology lock, as all that follows */
	struct fh_listener *other;    /* to be disposed of in a callback */
	struct ear *made;	      /* told by one that was made in a callback */
	bool make;
};

static void ear_add(void *state, const struct fh_section *section)
{
	(void)section;
	((struct ear *)state)->ranges++;
}

static void ear_remove(void *state, const struct fh_section *section)
{
	(void)section;
	CHECK(fh_region_move(section->region, 0) == FH_EPERM);
	((struct ear *)state)->ranges--;
}

static void ear_event_add(void *state, const struct fh_section *section,
			  const struct fh_eventfd_match *match, int fd)
{
	(void)section, (void)match, (void)fd;
	((struct ear *)state)->events++;
}

static void ear_event_del(void *state, const struct fh_section *section,
			  const struct fh_eventfd_match *match, int fd)
{
	(void)section, (void)match, (void)fd;
	CHECK(--((struct ear *)state)->events >= 0);
}

static void ear_coalesced_add(void *state, const struct fh_section *section)
{
	(void)section;
	((struct ear *)state)->coalesced++;
}

static void ear_coalesced_del(void *state, const struct fh_section *section)
{
	(void)section;
	CHECK(--((struct ear *)state)->coalesced >= 0);
}

static void ear_commit(void *state, struct fh_space *space);
static void ear_flush(void *state);

static const struct fh_listener_ops ear_ops = {
	.add = ear_add, .remove = ear_remove, .eventfd_add = ear_event_add,
	.eventfd_del = ear_event_del, .coalesced_add = ear_coalesced_add,
	.coalesced_del = ear_coalesced_del, .commit = ear_commit, .coalesced_flush = ear_flush,
};

static void ear_commit(void *state, struct fh_space *space)
{
	struct ear *ear = state;

	rig.told++;
	CHECK(ear->ranges >= 0);
	if (ear->make) {
		ear->make = false;
		ear->made->listener = fh_listener_new(rig.m, space, 1, &ear_ops, ear->made);
		ear->other = ear->made->listener;
	} else if (ear->other) {
		struct fh_listener *other = ear->other;

		ear->other = NULL;
		fh_object_unref(other);
	}
}

static void ear_flush(void *state)
{
	(void)state;
	rig.told++;
}

static void listen_run(void *arg)
{
	(void)arg;
	while (!rig.stop) {
		struct ear ears[EARS] = { 0 }, made[EARS] = { 0 };

		for (unsigned i = 0; i < EARS; i++) {
			ears[i].make = i % 2;
			ears[i].made = &made[i];
			ears[i].listener = fh_listener_new(rig.m, rig.memory, (int)i - 2, &ear_ops,
							   &ears[i]);
		}
		sched_yield();
		for (unsigned i = 0; i < EARS; i++) {
			fh_edit_begin(rig.m); /* nobody is told meanwhile */
			ears[i].make = false;
			if (ears[i].other)
				fh_object_unref(ears[i].other);
			ears[i].other = NULL;
			fh_object_unref(ears[i].listener);
			fh_edit_commit(rig.m);
		}
		for (unsigned i = 0; i < EARS; i++) {
			CHECK(ears[i].ranges == 0 && ears[i].events == 0 && ears[i].coalesced == 0);
			CHECK(made[i].ranges == 0 && made[i].events == 0 && made[i].coalesced == 0);
		}
		/* They are asked to flush as callbacks are, until a grace period has passed. */
		fh_machine_drain(rig.m);
	}
}

/* --- The map -------------------------------------------------------------------------------- */

static void change(uint64_t round)
{
	const struct fh_eventfd_match match = {
		.offset = 8, .size = round % 3 == 0 ? 0 : 4, .match_data = round % 2, .data =
			round % 2 ? 5 : 0,
	};
	struct fh_eventfd *eventfd = fh_eventfd_new(rig.m, rig.regs, &match, rig.fd, NULL);

	CHECK(eventfd);
	if (round % 4 == 0)
		fh_region_move(rig.over, BASE + 0x100 + round % 64);
	if (round % 16 == 5)
		fh_region_add_coalesced(rig.regs, 0x200, 0x100);
	if (round % 16 == 10)
		fh_region_clear_coalesced(rig.regs);
	if (round % 8 == 3)
		sched_yield();
	fh_object_unref(eventfd);
}

static void every_store_is_a_signal_or_a_callback(void **state)
{
	struct worker storers[STORERS], listening[LISTENING];
	uint64_t signals = 0;

	(void)state;
	memset(&rig, 0, sizeof(rig));
	rig.m = machine_begin();
	rig.memory = fh_machine_memory(rig.m);
	rig.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rig.regs = fh_region_new_mmio(rig.m, NULL, 0x1000, &ops, NULL);
	rig.over = fh_region_new_mmio(rig.m, NULL, 0x10, &ops, NULL);
	fh_region_add(fh_space_root(rig.memory), rig.regs, BASE, 0);
	fh_region_add(fh_space_root(rig.memory), rig.over, BASE + 0x100, 1);
	for (unsigned i = 0; i < STORERS; i++)
		worker_start(&storers[i], store_run, NULL);
	for (unsigned i = 0; i < LISTENING; i++)
		worker_start(&listening[i], listen_run, NULL);
	/* Until each has had its turn, however slow the host is. */
	for (uint64_t round = scaled(5000); round > 0 || !rig.stored || !rig.told;
	     round -= round > 0)
		change(round);
	rig.stop = true;
	for (unsigned i = 0; i < STORERS; i++)
		worker_join(&storers[i]);
	for (unsigned i = 0; i < LISTENING; i++)
		worker_join(&listening[i]);
	(void)!read(rig.fd, &signals, sizeof(signals));
	assert_int_equal(rig.stored, rig.called + signals);
	fh_object_unref(rig.over);
	fh_object_unref(rig.regs);
	machine_end(rig.m);
	close(rig.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_store_is_a_signal_or_a_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
