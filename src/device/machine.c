/* SPDX-License-Identifier: MIT */
/*
 * The life of a machine, and its poll.
 *
 * R1. One thread at a time polls. Who comes meanwhile is turned away, and the poller asks for
 *     another poll on its way out, so that nothing that was queued in between is forgotten.
 * R2. The machine's own objects, the space "memory" and its root, are children of the root like any
 *     other, first created and so last disposed of; the ledger leaves them out.
 */
#include <limits.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "device/device.h"
#include "freehold/freehold.h"
#include "memory/bounce.h"
#include "memory/room.h"
#include "memory/space.h"
#include "memory/topology.h"

/* --- Poll ----------------------------------------------------------------------------------- */

/* False: another thread polls. */
static bool poll_try(struct fh_devices *devices)
{
	bool mine;

	fh_lock_acquire(&devices->lock);
	mine = !devices->polling;
	devices->polling = true;
	devices->missed = !mine;
	fh_lock_release(&devices->lock);
	return mine;
}

static void poll_wait(struct fh_devices *devices)
{
	for (;;) {
		const uint32_t key = fh_gate_enter(&devices->idle);

		if (poll_try(devices))
			break;
		fh_gate_wait(&devices->idle, key, FH_WAIT_FOREVER);
	}
}

static void poll_done(struct fh_machine *m)
{
	struct fh_devices *devices = m->devices;
	bool missed;

	fh_lock_acquire(&devices->lock);
	missed = devices->missed;
	devices->missed = false;
	devices->polling = false;
	fh_lock_release(&devices->lock);
	fh_gate_open(&devices->idle);
	if (missed)
		fh_machine_kick(m);
}

/* fh_machine_ops.poll: what is due of devices. */
static bool poll_devices(struct fh_machine *m)
{
	bool any = fh_resets_run(m);

	any |= fh_bhs_run(m);
	any |= fh_timers_run(m);
	any |= fh_rooms_run(m);
	return any;
}

static bool poll_once(struct fh_machine *m)
{
	bool any = fh_control_run(m, NULL);

	any |= m->ops->poll(m);
	return any;
}

bool fh_machine_poll(struct fh_machine *m)
{
	bool any;

	fh_assert(fh_thread_may_wait());
	if (!poll_try(m->devices))
		return false;
	any = poll_once(m);
	poll_done(m);
	return any;
}

void fh_machine_drain(struct fh_machine *m)
{
	fh_assert(fh_thread_may_wait());
	poll_wait(m->devices);
	/* Finalizers may queue again, and what they queue may finalize. */
	do {
		while (poll_once(m))
			;
		fh_reaper_drain(m->reaper);
	} while (poll_once(m));
	poll_done(m);
}

/* --- Birth ---------------------------------------------------------------------------------- */

/* fh_machine_ops.call: what is called for an operation in flight is a callback of its device. */
static bool call_owner(struct fh_object *owner, void (*call)(void *arg), void *arg)
{
	struct fh_device *device = fh_io_device(owner);

	return fh_chain_call_owner(device ? &device->object : owner, call, arg);
}

static void edit_begin(struct fh_machine *m)
{
	fh_rank_assert(m, FH_RANK_TOPOLOGY);
	fh_topology_begin(m);
}

static const struct fh_machine_ops machine_ops = {
	.edit_begin = edit_begin,
	.edit_commit = fh_topology_commit,
	.edit_join = fh_topology_join,
	.call = call_owner,
	.domain_of = fh_device_domain_of,
	.explain = fh_topology_explain,
	.pin_lapses = fh_mapping_lapses,
	.unrealize = fh_device_unrealize_below,
	.may_join = fh_device_may_join,
	.poll = poll_devices,
};

static struct fh_devices *devices_new(void)
{
	struct fh_devices *devices = fh_new(struct fh_devices);

	fh_lock_init(&devices->lock);
	fh_lock_init(&devices->line_lock);
	fh_gate_init(&devices->idle);
	devices->told_deadline = UINT64_MAX;
	fh_list_init(&devices->due);
	fh_list_init(&devices->bhs);
	fh_list_init(&devices->due_bhs);
	fh_list_init(&devices->resets);
	fh_list_init(&devices->opened);
	fh_lock_init(&devices->clock_lock);
	fh_list_init(&devices->clocks);
	return devices;
}

/* R2. The tree keeps it from here. */
static void adopt_builtin(struct fh_machine *m, const char *name, struct fh_object *object)
{
	fh_assert(object);
	fh_object_set_flags(object, FH_OBJECT_BUILTIN);
	fh_assert(fh_object_add_child(m, name, object, NULL) == FH_OK);
	fh_object_unref(object);
}

static void make_memory(struct fh_machine *m)
{
	struct fh_region *root = fh_region_new_container(m, NULL, FH_SIZE_ALL);
	struct fh_space *space = fh_space_new(m, NULL, root);

	adopt_builtin(m, "system", &root->object);
	adopt_builtin(m, "memory", &space->object);
	m->memory = space;
}

struct fh_machine *fh_machine_new(const struct fh_machine_options *options, struct fh_error *err)
{
	struct fh_machine *m = fh_new(struct fh_machine);

	/* First: only this can fail, and then nothing is to be undone. */
	if (fh_machine_init_objects(m, &machine_ops, options, err) != FH_OK) {
		fh_free(m);
		return NULL;
	}
	m->devices = devices_new();
	fh_topology_init(m);
	make_memory(m);
	return m;
}

struct fh_object *fh_machine_root(struct fh_machine *m)
{
	return fh_machine_object(m);
}

struct fh_space *fh_machine_memory(struct fh_machine *m)
{
	return m->memory;
}

/* --- Death ---------------------------------------------------------------------------------- */

/* The child of the root that was created last (ref taken), or NULL. */
static struct fh_object *take_last_child(struct fh_machine *m)
{
	struct fh_object *child;

	fh_tree_acquire(m);
	child = fh_object_last_child_locked(&m->root);
	if (child)
		fh_object_ref(child); /* its parent has one as long as it is a child */
	fh_lock_release(&m->tree_lock);
	return child;
}

static int count_alive(struct fh_machine *m)
{
	int alive = 0;

	fh_ledger_acquire(m);
	fh_list_for_each(node, &m->objects)
		alive += alive < INT_MAX;
	fh_lock_release(&m->ledger_lock);
	return alive;
}

static void devices_free(struct fh_devices *devices)
{
	fh_assert(!devices->timers.root);
	fh_assert(fh_list_empty(&devices->bhs));
	fh_assert(fh_list_empty(&devices->resets));
	fh_assert(fh_list_empty(&devices->opened));
	fh_assert(fh_list_empty(&devices->clocks));
	fh_free(devices);
}

int fh_machine_destroy(struct fh_machine *m)
{
	struct fh_object *child;
	int alive;

	if (!m)
		return 0;
	fh_assert(fh_thread_may_wait());
	while ((child = take_last_child(m))) {
		fh_object_dispose(child);
		fh_object_unref(child);
	}
	m->memory = NULL;
	fh_machine_drain(m);
	alive = count_alive(m);
	if (alive > 0)
		return alive;
	fh_topology_fini(m);
	fh_machine_fini_objects(m);
	devices_free(m->devices);
	fh_free(m);
	return 0;
}

void fh_machine_destroyp(struct fh_machine **m)
{
	if (fh_machine_destroy(*m) == 0)
		return;
	fh_ledger_print(*m, stderr);
	fh_panic("a machine was destroyed while objects of it were in use");
}
