/* SPDX-License-Identifier: MIT */
/*
 * Timers and bottom halves: callbacks of a device on the thread that polls the machine.
 *
 * R1. All of `where` and what goes with it is guarded by fh_devices.lock (E), a leaf.
 * R2. One that is armed or scheduled before its device is shown is parked until it is shown, and
 *     one whose device is hidden, or which has been detached, is never queued again.
 * R3. A poll first moves what is due to a list of its own, so that what a callback arms or
 *     schedules is for the next one. Until the callback begins, inside the domain, it can still be
 *     cancelled, armed anew or disposed of: who does so in a callback of the same device knows that
 *     it will not run.
 * R4. While it is on its way to its callback it is pinned: it may be disposed of in there.
 */
#include <time.h>

#include "device/device.h"

enum where {
	IDLE,
	PARKED, /* R2 */
	QUEUED,
	DUE,	/* R3 */
};

struct fh_timer {
	struct fh_object object;
	struct fh_device *device;	/* C */
	void (*expired)(void *state);	/* C */
	void *state;			/* C */
	enum where where;		/* E */
	struct fh_heap_node node;	/* E: QUEUED: in timers; key: the deadline, PARKED too */
	struct fh_list due;		/* E: DUE: in due */
};

struct fh_bh {
	struct fh_object object;
	struct fh_device *device;	/* C */
	void (*run)(void *state);	/* C */
	void *state;			/* C */
	enum where where;		/* E */
	struct fh_list link;		/* E: QUEUED: in bhs; DUE: in due_bhs */
};

struct part_arg {
	struct fh_device *device;
	void (*call)(void *state);
	void *state;
};

uint64_t fh_machine_now(struct fh_machine *m)
{
	struct timespec now;

	(void)m;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Nothing of this object is queued any more (R2). */
static bool is_over(const struct fh_object *object)
{
	return fh_object_has(object, FH_OBJECT_HIDDEN | FH_OBJECT_DETACHED);
}

/* --- Timers --------------------------------------------------------------------------------- */

/* E held. */
static void tell_loop(struct fh_machine *m)
{
	struct fh_devices *devices = m->devices;
	const uint64_t deadline = devices->timers.root ? devices->timers.root->key : UINT64_MAX;

	if (deadline == devices->told_deadline)
		return;
	devices->told_deadline = deadline;
	if (m->loop_ops.timer)
		m->loop_ops.timer(m->loop, deadline);
}

/* E held. */
static void timer_remove(struct fh_devices *devices, struct fh_timer *timer)
{
	if (timer->where == QUEUED)
		fh_heap_remove(&devices->timers, &timer->node);
	else if (timer->where == DUE)
		fh_list_remove(&timer->due);
	timer->where = IDLE;
}

/* E held; the deadline is in the node. */
static void timer_put(struct fh_devices *devices, struct fh_timer *timer)
{
	if (!fh_object_is_shown(&timer->object)) {
		timer->where = PARKED;
		return;
	}
	timer->node.tie = devices->arms++;
	timer->where = QUEUED;
	fh_heap_add(&devices->timers, &timer->node);
}

static void timer_shown_changed(struct fh_object *object)
{
	struct fh_timer *timer = (struct fh_timer *)object;
	struct fh_devices *devices = object->machine->devices;

	fh_lock_acquire(&devices->lock);
	if (is_over(object))
		timer_remove(devices, timer);
	else if (timer->where == PARKED)
		timer_put(devices, timer);
	tell_loop(object->machine);
	fh_lock_release(&devices->lock);
}

static void timer_detach(struct fh_object *object)
{
	fh_timer_cancel((struct fh_timer *)object);
}

static void timer_finalize(struct fh_object *object)
{
	fh_object_unhold(&((struct fh_timer *)object)->device->object);
}

static struct fh_object *timer_held(struct fh_object *object)
{
	return &((struct fh_timer *)object)->device->object;
}

static const struct fh_core_ops timer_core = {
	.size = sizeof(struct fh_timer),
	.immediate = true,
	.detach = timer_detach,
	.shown_changed = timer_shown_changed,
	.finalize = timer_finalize,
	.held_by_nature = timer_held,
};

static const struct fh_type timer_type = { .name = "timer", .core = &timer_core };

static enum fh_code timer_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct part_arg *part = arg;
	struct fh_timer *timer = (struct fh_timer *)object;

	(void)err;
	timer->device = part->device;
	timer->expired = part->call;
	timer->state = part->state;
	fh_list_init(&timer->due);
	fh_object_hold(&part->device->object);
	return FH_OK;
}

struct fh_timer *fh_timer_new(struct fh_device *device, const char *name,
			      void (*expired)(void *state), void *state)
{
	struct part_arg part = { .device = device, .call = expired, .state = state };

	return (struct fh_timer *)fh_device_new_part(device, name, &timer_type, timer_construct,
						     &part);
}

void fh_timer_arm(struct fh_timer *timer, uint64_t deadline)
{
	if (!timer)
		return;
	struct fh_machine *m = timer->object.machine;
	struct fh_devices *devices = m->devices;

	fh_lock_acquire(&devices->lock);
	timer_remove(devices, timer);
	if (!is_over(&timer->object)) {
		timer->node.key = deadline;
		timer_put(devices, timer);
	}
	tell_loop(m);
	fh_lock_release(&devices->lock);
}

void fh_timer_cancel(struct fh_timer *timer)
{
	if (!timer)
		return;
	struct fh_machine *m = timer->object.machine;
	struct fh_devices *devices = m->devices;

	fh_lock_acquire(&devices->lock);
	timer_remove(devices, timer);
	tell_loop(m);
	fh_lock_release(&devices->lock);
}

bool fh_timer_is_armed(struct fh_timer *timer)
{
	if (!timer)
		return false;
	struct fh_devices *devices = timer->object.machine->devices;
	bool armed;

	fh_lock_acquire(&devices->lock);
	armed = timer->where != IDLE;
	fh_lock_release(&devices->lock);
	return armed;
}

/* In the domain: from here on it cannot be cancelled (R3). */
static void timer_call(void *arg)
{
	struct fh_timer *timer = arg;
	struct fh_devices *devices = timer->object.machine->devices;
	bool due;

	fh_lock_acquire(&devices->lock);
	due = timer->where == DUE;
	if (due)
		timer_remove(devices, timer);
	fh_lock_release(&devices->lock);
	if (due)
		timer->expired(timer->state);
}

/* Moves what has expired to the list, in order of deadline. E held. */
static void timers_take_due(struct fh_machine *m)
{
	struct fh_devices *devices = m->devices;
	const uint64_t now = fh_machine_now(m);

	/*
	 * A wake-up may come a little before its deadline by our clock, and is used up then: the
	 * loop is told of the same deadline again. (One of 0 is due, whatever the clock.)
	 */
	if (devices->timers.root && devices->timers.root->key == devices->told_deadline)
		devices->told_deadline = 0;
	while (devices->timers.root && devices->timers.root->key <= now) {
		struct fh_timer *timer = fh_container_of(fh_heap_pop(&devices->timers),
							 struct fh_timer, node);

		timer->where = DUE;
		fh_list_add_last(&devices->due, &timer->due);
	}
	tell_loop(m);
}

/* The first that is due, pinned, or NULL. It stays in the list. */
static struct fh_timer *timer_take(struct fh_devices *devices)
{
	struct fh_timer *timer = NULL;
	struct fh_list *node;

	fh_lock_acquire(&devices->lock);
	node = fh_list_first(&devices->due);
	if (node) {
		timer = fh_list_entry(node, struct fh_timer, due);
		fh_object_hold(&timer->object);
	}
	fh_lock_release(&devices->lock);
	return timer;
}

bool fh_timers_run(struct fh_machine *m)
{
	struct fh_devices *devices = m->devices;
	struct fh_timer *timer;
	bool any = false;

	fh_lock_acquire(&devices->lock);
	timers_take_due(m);
	fh_lock_release(&devices->lock);
	while ((timer = timer_take(devices))) {
		struct fh_device *device = timer->device;

		FH_POINT("timer.due");
		if (!fh_chain_call(fh_device_domain(device), &device->object, &timer->object,
				   false, timer_call, timer))
			fh_timer_cancel(timer);
		fh_object_unhold(&timer->object);
		any = true;
	}
	return any;
}

/* --- Bottom halves -------------------------------------------------------------------------- */

/* E held. */
static void bh_remove(struct fh_bh *bh)
{
	fh_list_remove(&bh->link);
	bh->where = IDLE;
}

/* E held; whoever gets true asks for a poll. */
static bool bh_put(struct fh_devices *devices, struct fh_bh *bh)
{
	if (!fh_object_is_shown(&bh->object)) {
		bh->where = PARKED;
		return false;
	}
	bh->where = QUEUED;
	fh_list_add_last(&devices->bhs, &bh->link);
	return true;
}

static void bh_shown_changed(struct fh_object *object)
{
	struct fh_bh *bh = (struct fh_bh *)object;
	struct fh_devices *devices = object->machine->devices;
	bool queued = false;

	fh_lock_acquire(&devices->lock);
	if (is_over(object))
		bh_remove(bh);
	else if (bh->where == PARKED)
		queued = bh_put(devices, bh);
	fh_lock_release(&devices->lock);
	if (queued)
		fh_machine_kick(object->machine);
}

static void bh_cancel(struct fh_bh *bh)
{
	struct fh_devices *devices = bh->object.machine->devices;

	fh_lock_acquire(&devices->lock);
	bh_remove(bh);
	fh_lock_release(&devices->lock);
}

static void bh_detach(struct fh_object *object)
{
	bh_cancel((struct fh_bh *)object);
}

static void bh_finalize(struct fh_object *object)
{
	fh_object_unhold(&((struct fh_bh *)object)->device->object);
}

static struct fh_object *bh_held(struct fh_object *object)
{
	return &((struct fh_bh *)object)->device->object;
}

static const struct fh_core_ops bh_core = {
	.size = sizeof(struct fh_bh),
	.immediate = true,
	.detach = bh_detach,
	.shown_changed = bh_shown_changed,
	.finalize = bh_finalize,
	.held_by_nature = bh_held,
};

static const struct fh_type bh_type = { .name = "bh", .core = &bh_core };

static enum fh_code bh_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct part_arg *part = arg;
	struct fh_bh *bh = (struct fh_bh *)object;

	(void)err;
	bh->device = part->device;
	bh->run = part->call;
	bh->state = part->state;
	fh_list_init(&bh->link);
	fh_object_hold(&part->device->object);
	return FH_OK;
}

struct fh_bh *fh_bh_new(struct fh_device *device, const char *name, void (*run)(void *state),
			void *state)
{
	struct part_arg part = { .device = device, .call = run, .state = state };

	return (struct fh_bh *)fh_device_new_part(device, name, &bh_type, bh_construct, &part);
}

void fh_bh_schedule(struct fh_bh *bh)
{
	if (!bh)
		return;
	struct fh_machine *m = bh->object.machine;
	struct fh_devices *devices = m->devices;
	bool queued = false;

	fh_lock_acquire(&devices->lock);
	if (bh->where == IDLE && !is_over(&bh->object))
		queued = bh_put(devices, bh);
	fh_lock_release(&devices->lock);
	if (queued)
		fh_machine_kick(m);
}

static void bh_call(void *arg)
{
	struct fh_bh *bh = arg;
	struct fh_devices *devices = bh->object.machine->devices;
	bool due;

	fh_lock_acquire(&devices->lock);
	due = bh->where == DUE;
	if (due)
		bh_remove(bh);
	fh_lock_release(&devices->lock);
	if (due)
		bh->run(bh->state);
}

static void bhs_take_due(struct fh_devices *devices)
{
	struct fh_list *node;

	fh_lock_acquire(&devices->lock);
	while ((node = fh_list_pop(&devices->bhs))) {
		fh_list_entry(node, struct fh_bh, link)->where = DUE;
		fh_list_add_last(&devices->due_bhs, node);
	}
	fh_lock_release(&devices->lock);
}

static struct fh_bh *bh_take(struct fh_devices *devices)
{
	struct fh_bh *bh = NULL;
	struct fh_list *node;

	fh_lock_acquire(&devices->lock);
	node = fh_list_first(&devices->due_bhs);
	if (node) {
		bh = fh_list_entry(node, struct fh_bh, link);
		fh_object_hold(&bh->object);
	}
	fh_lock_release(&devices->lock);
	return bh;
}

bool fh_bhs_run(struct fh_machine *m)
{
	struct fh_devices *devices = m->devices;
	struct fh_bh *bh;
	bool any = false;

	bhs_take_due(devices);
	while ((bh = bh_take(devices))) {
		struct fh_device *device = bh->device;

		FH_POINT("bh.due");
		if (!fh_chain_call(fh_device_domain(device), &device->object, &bh->object, false,
				   bh_call, bh))
			bh_cancel(bh);
		fh_object_unhold(&bh->object);
		any = true;
	}
	return any;
}
