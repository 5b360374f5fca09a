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

/* Queued work of a device: a timer or a bottom half. */
struct work {
	struct fh_object object;
	struct fh_device *device;	/* C */
	void (*call)(void *state);	/* C */
	void *state;			/* C */
	enum where where;		/* E */
	struct fh_list link;		/* E: DUE: in due or due_bhs; a bh QUEUED: in bhs */
	struct fh_heap_node node;	/* E: a timer QUEUED: in timers; key: the deadline, PARKED too */
};

struct fh_timer {
	struct work work;
};

struct fh_bh {
	struct work work;
};

static const struct fh_type timer_type, bh_type;

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

static bool is_timer(const struct work *work)
{
	return work->object.class->type == &timer_type;
}

/* --- The queues ----------------------------------------------------------------------------- */

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
static void work_remove(struct fh_devices *devices, struct work *work)
{
	if (work->where == QUEUED && is_timer(work))
		fh_heap_remove(&devices->timers, &work->node);
	else
		fh_list_remove(&work->link);
	work->where = IDLE;
}

/* E held; whoever gets true asks for a poll. */
static bool work_put(struct fh_devices *devices, struct work *work)
{
	if (!fh_object_is_shown(&work->object)) {
		work->where = PARKED;
		return false;
	}
	work->where = QUEUED;
	if (is_timer(work)) {
		work->node.tie = devices->arms++;
		fh_heap_add(&devices->timers, &work->node);
		return false;
	}
	fh_list_add_last(&devices->bhs, &work->link);
	return true;
}

static struct fh_devices *queues_lock(struct fh_machine *m)
	FH_ACQUIRE(m->devices->lock) FH_NO_THREAD_SAFETY_ANALYSIS
{
	fh_lock_acquire(&m->devices->lock);
	return m->devices;
}

/* The loop learns what there is to do. */
static void queues_unlock(struct fh_machine *m, bool poll)
	FH_RELEASE(m->devices->lock) FH_NO_THREAD_SAFETY_ANALYSIS
{
	tell_loop(m);
	fh_lock_release(&m->devices->lock);
	if (poll)
		fh_machine_kick(m);
}

static void work_cancel(struct work *work)
{
	struct fh_machine *m = work->object.machine;

	work_remove(queues_lock(m), work);
	queues_unlock(m, false);
}

/* In the domain: from here on it cannot be cancelled (R3). */
static void work_call(void *arg)
{
	struct work *work = arg;
	struct fh_machine *m = work->object.machine;
	struct fh_devices *devices = queues_lock(m);
	const bool due = work->where == DUE;

	if (due)
		work_remove(devices, work);
	queues_unlock(m, false);
	if (due)
		work->call(work->state);
}

/* The first that is due, pinned, or NULL. It stays in the list. */
static struct work *work_take(struct fh_machine *m, const struct fh_list *due)
{
	struct work *work = NULL;

	queues_lock(m);
	if (!fh_list_empty(due)) {
		work = fh_list_entry(fh_list_first(due), struct work, link);
		fh_object_hold(&work->object);
	}
	queues_unlock(m, false);
	return work;
}

static bool run_due(struct fh_machine *m, const struct fh_list *due, const char *point)
{
	struct work *work;
	bool any = false;

	(void)point; /* in builds without points */
	while ((work = work_take(m, due))) {
		struct fh_device *device = work->device;

		FH_POINT(point);
		if (!fh_chain_call(fh_device_domain(device), &device->object, &work->object, false,
				   work_call, work))
			work_cancel(work);
		fh_object_unhold(&work->object);
		any = true;
	}
	return any;
}

/* --- The objects ---------------------------------------------------------------------------- */

static void work_shown_changed(struct fh_object *object)
{
	struct fh_machine *m = object->machine;
	struct work *work = (struct work *)object;
	struct fh_devices *devices = queues_lock(m);
	bool poll = false;

	if (is_over(object))
		work_remove(devices, work);
	else if (work->where == PARKED)
		poll = work_put(devices, work);
	queues_unlock(m, poll);
}

static void work_detach(struct fh_object *object)
{
	work_cancel((struct work *)object);
}

static void work_finalize(struct fh_object *object)
{
	fh_object_unhold(&((struct work *)object)->device->object);
}

static struct fh_object *work_held(struct fh_object *object)
{
	return &((struct work *)object)->device->object;
}

static const struct fh_core_ops work_core = {
	.size = sizeof(struct work),
	.immediate = true,
	.detach = work_detach,
	.shown_changed = work_shown_changed,
	.finalize = work_finalize,
	.held_by_nature = work_held,
};

static const struct fh_type timer_type = { .name = "timer", .core = &work_core };
static const struct fh_type bh_type = { .name = "bh", .core = &work_core };

struct work_arg {
	struct fh_device *device;
	void (*call)(void *state);
	void *state;
};

static enum fh_code work_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct work_arg *from = arg;
	struct work *work = (struct work *)object;

	(void)err;
	work->device = from->device;
	work->call = from->call;
	work->state = from->state;
	fh_list_init(&work->link);
	fh_object_hold(&from->device->object);
	return FH_OK;
}

/* --- Timers --------------------------------------------------------------------------------- */

struct fh_timer *fh_timer_new(struct fh_device *device, const char *name,
			      void (*expired)(void *state), void *state)
{
	struct work_arg arg = { .device = device, .call = expired, .state = state };

	return (struct fh_timer *)fh_device_new_part(device, name, &timer_type, work_construct,
						     &arg);
}

void fh_timer_arm(struct fh_timer *timer, uint64_t deadline)
{
	if (!timer)
		return;
	struct work *work = &timer->work;
	struct fh_machine *m = work->object.machine;
	struct fh_devices *devices = queues_lock(m);

	work_remove(devices, work);
	if (!is_over(&work->object)) {
		work->node.key = deadline;
		work_put(devices, work);
	}
	queues_unlock(m, false);
}

void fh_timer_cancel(struct fh_timer *timer)
{
	if (timer)
		work_cancel(&timer->work);
}

bool fh_timer_is_armed(struct fh_timer *timer)
{
	if (!timer)
		return false;
	struct fh_machine *m = timer->work.object.machine;

	queues_lock(m);
	const bool armed = timer->work.where != IDLE;

	queues_unlock(m, false);
	return armed;
}

bool fh_timer_deadline(struct fh_timer *timer, uint64_t *ret_deadline)
{
	if (!timer)
		return false;
	struct fh_machine *m = timer->work.object.machine;

	queues_lock(m);
	const bool armed = timer->work.where != IDLE;

	if (armed)
		*ret_deadline = timer->work.node.key;
	queues_unlock(m, false);
	return armed;
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
		struct work *work =
			fh_container_of(fh_heap_pop(&devices->timers), struct work, node);

		work->where = DUE;
		fh_list_add_last(&devices->due, &work->link);
	}
}

bool fh_timers_run(struct fh_machine *m)
{
	queues_lock(m);
	timers_take_due(m);
	queues_unlock(m, false);
	return run_due(m, &m->devices->due, "timer.due");
}

/* --- Bottom halves -------------------------------------------------------------------------- */

struct fh_bh *fh_bh_new(struct fh_device *device, const char *name, void (*run)(void *state),
			void *state)
{
	struct work_arg arg = { .device = device, .call = run, .state = state };

	return (struct fh_bh *)fh_device_new_part(device, name, &bh_type, work_construct, &arg);
}

void fh_bh_schedule(struct fh_bh *bh)
{
	if (!bh)
		return;
	struct work *work = &bh->work;
	struct fh_machine *m = work->object.machine;
	struct fh_devices *devices = queues_lock(m);
	bool poll = false;

	if (work->where == IDLE && !is_over(&work->object))
		poll = work_put(devices, work);
	queues_unlock(m, poll);
}

static void bhs_take_due(struct fh_devices *devices)
{
	struct fh_list *node;

	while ((node = fh_list_pop(&devices->bhs))) {
		fh_list_entry(node, struct work, link)->where = DUE;
		fh_list_add_last(&devices->due_bhs, node);
	}
}

bool fh_bhs_run(struct fh_machine *m)
{
	bhs_take_due(queues_lock(m));
	queues_unlock(m, false);
	return run_due(m, &m->devices->due_bhs, "bh.due");
}
