/* SPDX-License-Identifier: MIT */
/*
 * Clocks: trees of those that follow each other, and the telling of what changed.
 *
 * R1. Links and periods are changed under the machine's clock lock (K), a leaf. They count nothing
 *     (L2): a clock's detach, which precedes its finalize, takes them down. Periods are read by
 *     anybody.
 * R2. Who changes a period puts the clock on the list of those to be told, pinned. One thread at a
 *     time tells, until the list is empty; others leave it to that one. No lock is held while
 *     foreign code runs.
 * R3. The look at the shown bit lies in the section of the call (L6). What is not shown yet is put
 *     on the list again when it is.
 * R4. `changed` is a leaf: while it runs its thread counts as holding FH_HELD_LISTENER.
 */
#include "freehold/clock.h"

#include "base/rcu.h"
#include "device/device.h"

struct fh_clock {
	struct fh_object object;
	struct fh_device *device;     /* C: pinned */
	void (*changed)(void *state); /* C, may be NULL */
	void *state;		      /* C */

	struct fh_clock *source;      /* K */
	struct fh_list followers;     /* K: by of_source */
	struct fh_list of_source;     /* K */
	uint32_t multiplier, divider; /* K: of the source's frequency */
	_Atomic uint64_t period;      /* K for writing */
	struct fh_list to_tell;	      /* K: in fh_devices.clocks */
	uint64_t told;		      /* of who tells */
};

/* --- Numbers -------------------------------------------------------------------------------- */

#define UNITS_PER_SECOND (UINT64_C(1000000000) << 32)

static uint64_t clip(unsigned __int128 value)
{
	return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

uint64_t fh_period_from_hz(uint64_t hz)
{
	const uint64_t period = hz ? (UNITS_PER_SECOND + (unsigned __int128)hz / 2) / hz : 0;

	return hz && !period ? 1 : period;
}

uint64_t fh_period_to_hz(uint64_t period)
{
	return period ? (uint64_t)((UNITS_PER_SECOND + (unsigned __int128)period / 2) / period) : 0;
}

uint64_t fh_period_ns(uint64_t period, uint64_t ticks)
{
	if (ticks == 0)
		return 0;
	if (period == 0)
		return UINT64_MAX;
	return clip(((unsigned __int128)period * ticks + (FH_PERIOD_NS - 1)) >> 32);
}

uint64_t fh_period_ticks(uint64_t period, uint64_t ns)
{
	return period ? clip(((unsigned __int128)ns << 32) / period) : 0;
}

/* What follows at that ratio of frequencies. */
static uint64_t period_derived(uint64_t period, uint32_t multiplier, uint32_t divider)
{
	const unsigned __int128 scaled = (unsigned __int128)period * divider + multiplier / 2;
	const uint64_t derived = clip(scaled / multiplier);

	return period && !derived ? 1 : derived;
}

/* --- Periods -------------------------------------------------------------------------------- */

static struct fh_clock *clock_of(struct fh_object *object)
{
	return (struct fh_clock *)object;
}

static struct fh_clock *clock_of_source(struct fh_list *node)
{
	return fh_list_entry(node, struct fh_clock, of_source);
}

static uint64_t period_of(const struct fh_clock *clock)
{
	/* Relaxed: one word; what belongs to it is ordered by the clock lock. */
	return atomic_load_explicit(&clock->period, memory_order_relaxed);
}

/* K held. */
static void tell_later(struct fh_clock *clock)
{
	if (!clock->changed || fh_list_linked(&clock->to_tell))
		return;
	fh_object_hold(&clock->object);
	fh_list_add_last(&clock->object.machine->devices->clocks, &clock->to_tell);
}

/* False: it is as it was, and so are those that follow. K held. */
static bool set_one(struct fh_clock *clock, uint64_t period)
{
	if (period_of(clock) == period)
		return false;
	atomic_store_explicit(&clock->period, period, memory_order_relaxed);
	tell_later(clock);
	return true;
}

/* The next in preorder below @top; not what is below @clock, unless @down. K held. */
static struct fh_clock *next_follower(struct fh_clock *clock, const struct fh_clock *top, bool down)
{
	if (down && !fh_list_empty(&clock->followers))
		return clock_of_source(fh_list_first(&clock->followers));
	while (clock != top && clock->of_source.next == &clock->source->followers)
		clock = clock->source;
	return clock == top ? NULL : clock_of_source(clock->of_source.next);
}

/* The clock and all that follow. K held. */
static void set_all(struct fh_clock *top, uint64_t period)
{
	struct fh_clock *clock = top;
	bool down = set_one(top, period);

	while ((clock = next_follower(clock, top, down)))
		down = set_one(clock, period_derived(period_of(clock->source), clock->multiplier,
						     clock->divider));
}

/* K held. */
static void unfollow(struct fh_clock *clock)
{
	if (!clock->source)
		return;
	fh_list_remove(&clock->of_source);
	clock->source = NULL;
	set_all(clock, 0);
}

/* --- Telling -------------------------------------------------------------------------------- */

static void tell(struct fh_clock *clock)
{
	struct fh_thread *t = fh_thread_self();

	fh_rcu_read_begin(t);
	if (fh_object_is_shown(&clock->object) && clock->told != period_of(clock)) {
		clock->told = period_of(clock);
		fh_thread_hold(t, FH_HELD_LISTENER);
		clock->changed(clock->state);
		fh_thread_unhold(t, FH_HELD_LISTENER);
	}
	fh_rcu_read_end(t);
}

void fh_clocks_tell(struct fh_machine *m)
{
	struct fh_devices *devices = m->devices;
	struct fh_list *node;

	fh_lock_acquire(&devices->clock_lock);
	if (devices->clocks_telling) {
		fh_lock_release(&devices->clock_lock);
		return;
	}
	devices->clocks_telling = true;
	while ((node = fh_list_pop(&devices->clocks))) {
		struct fh_clock *clock = fh_list_entry(node, struct fh_clock, to_tell);

		fh_lock_release(&devices->clock_lock);
		tell(clock);
		fh_object_unhold(&clock->object);
		fh_lock_acquire(&devices->clock_lock);
	}
	devices->clocks_telling = false;
	fh_lock_release(&devices->clock_lock);
}

/* --- Life ----------------------------------------------------------------------------------- */

/* Topology and tree lock held: it is told when these are released. */
static void clock_shown_changed(struct fh_object *object)
{
	struct fh_devices *devices = object->machine->devices;

	if (!fh_object_is_shown(object))
		return;
	fh_lock_acquire(&devices->clock_lock);
	tell_later(clock_of(object));
	fh_lock_release(&devices->clock_lock);
}

/* Whoever followed stops. What is told is a leaf below the topology lock. */
static void clock_detach(struct fh_object *object)
{
	struct fh_devices *devices = object->machine->devices;
	struct fh_clock *clock = clock_of(object);

	fh_lock_acquire(&devices->clock_lock);
	unfollow(clock);
	while (!fh_list_empty(&clock->followers))
		unfollow(clock_of_source(fh_list_first(&clock->followers)));
	fh_lock_release(&devices->clock_lock);
	fh_clocks_tell(object->machine);
}

static void clock_finalize(struct fh_object *object)
{
	fh_object_unhold(&clock_of(object)->device->object);
}

static struct fh_object *clock_held(struct fh_object *object)
{
	return &clock_of(object)->device->object;
}

static const struct fh_core_ops clock_core = {
	.size = sizeof(struct fh_clock),
	.immediate = true,
	.detach = clock_detach,
	.shown_changed = clock_shown_changed,
	.finalize = clock_finalize,
	.held_by_nature = clock_held,
};

static const struct fh_type clock_type = { .name = "clock", .core = &clock_core };

static enum fh_code clock_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct fh_clock *from = arg;
	struct fh_clock *clock = clock_of(object);

	(void)err;
	clock->device = from->device;
	clock->changed = from->changed;
	clock->state = from->state;
	fh_list_init(&clock->followers);
	fh_list_init(&clock->of_source);
	fh_list_init(&clock->to_tell);
	fh_object_hold(&clock->device->object);
	return FH_OK;
}

struct fh_clock *fh_clock_new(struct fh_device *device, const char *name,
			      void (*changed)(void *state), void *state)
{
	struct fh_clock from = { .device = device, .changed = changed, .state = state };

	return (struct fh_clock *)fh_device_new_part(device, name, &clock_type, clock_construct,
						     &from);
}

struct fh_clock *fh_device_clock(struct fh_device *device, const char *name)
{
	struct fh_object *object = fh_object_find_child(device, name);
	struct fh_object *clock = fh_object_cast(object, &clock_type);

	fh_object_unref(object);
	return (struct fh_clock *)clock;
}

/* --- Setting -------------------------------------------------------------------------------- */

/* As of lines: not in a transaction; but a leaf may, whatever its thread is in. */
static struct fh_devices *change_begin(struct fh_clock *clock)
	FH_ACQUIRE(clock->object.machine->devices->clock_lock) FH_NO_THREAD_SAFETY_ANALYSIS
{
	const struct fh_thread *t = fh_thread_self();

	fh_assert(!fh_thread_holds(t, FH_HELD_TOPOLOGY) ||
		  fh_thread_holds(t, FH_HELD_LISTENER));
	fh_lock_acquire(&clock->object.machine->devices->clock_lock);
	return clock->object.machine->devices;
}

static void change_end(struct fh_clock *clock)
	FH_RELEASE(clock->object.machine->devices->clock_lock) FH_NO_THREAD_SAFETY_ANALYSIS
{
	struct fh_machine *m = clock->object.machine;

	fh_lock_release(&m->devices->clock_lock);
	fh_clocks_tell(m);
}

static bool is_detached(const struct fh_clock *clock)
{
	return fh_object_has(&clock->object, FH_OBJECT_DETACHED);
}

enum fh_code fh_clock_set_period(struct fh_clock *clock, uint64_t period)
{
	enum fh_code code = FH_OK;

	if (!clock)
		return FH_EDEAD;
	change_begin(clock);
	if (is_detached(clock))
		code = FH_EDEAD;
	else if (clock->source)
		code = FH_EBUSY;
	else
		set_all(clock, period);
	change_end(clock);
	return code;
}

/* K held. */
static enum fh_code check_follow(const struct fh_clock *clock, const struct fh_clock *source)
{
	if (is_detached(clock) || is_detached(source))
		return FH_EDEAD;
	if (clock->source && clock->source != source)
		return FH_EBUSY;
	for (const struct fh_clock *up = source; up; up = up->source)
		if (up == clock)
			return FH_ELOOP;
	return FH_OK;
}

enum fh_code fh_clock_follow(struct fh_clock *clock, struct fh_clock *source, uint32_t multiplier,
			     uint32_t divider)
{
	enum fh_code code;

	if (!clock || !source)
		return FH_EDEAD;
	if (multiplier == 0 || divider == 0 || clock->object.machine != source->object.machine)
		return FH_EINVAL;
	change_begin(clock);
	code = check_follow(clock, source);
	if (code == FH_OK) {
		if (!clock->source)
			fh_list_add_last(&source->followers, &clock->of_source);
		clock->source = source;
		clock->multiplier = multiplier;
		clock->divider = divider;
		set_all(clock, period_derived(period_of(source), multiplier, divider));
	}
	change_end(clock);
	return code;
}

void fh_clock_unfollow(struct fh_clock *clock)
{
	if (!clock)
		return;
	change_begin(clock);
	unfollow(clock);
	change_end(clock);
}

uint64_t fh_clock_period(struct fh_clock *clock)
{
	return clock ? period_of(clock) : 0;
}
