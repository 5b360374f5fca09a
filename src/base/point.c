/* SPDX-License-Identifier: MIT */
/*
 * The points of point.h, in the private test library only. Mutable statics are in order here: no
 * build that anybody ships has this file's contents.
 *
 * A slot is one arming: free -> armed -> stopped -> going -> free. Of several armings of one name,
 * each counts the arrivals that no earlier one has stopped.
 */
#include "base/point.h"

#ifdef FH_POINTS

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

enum {
	SLOTS = 32,
	NAME_SIZE = 64,
	WAIT_S = 20,   /* how long a test waits for a thread to arrive */
	STOP_S = 120,  /* how long a thread waits for the test before it calls the test broken */
};

enum slot_state { SLOT_FREE, SLOT_ARMED, SLOT_STOPPED, SLOT_GOING };

struct slot {
	enum slot_state state;
	char name[NAME_SIZE];
	unsigned arrivals; /* still to come, the one that stops included */
	bool has_only;
	pthread_t only;
};

static struct slot slots[SLOTS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards slots */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static atomic_uint armed; /* slots that are armed; a hint for fh_point_hit() */

/* Waits for a change. False when the deadline is over. */
static bool wait_until(const struct timespec *deadline)
{
	return pthread_cond_timedwait(&changed, &mutex, deadline) != ETIMEDOUT;
}

/* FH_TEST_TIMEOUT times that, where a test is slower than by itself. */
static struct timespec deadline_in(int seconds)
{
	const char *text = getenv("FH_TEST_TIMEOUT");
	const long times = text ? strtol(text, NULL, 10) : 1;
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += times > 1 ? seconds * times : seconds;
	return deadline;
}

static void slot_set(struct slot *slot, enum slot_state state)
{
	if (slot->state == SLOT_ARMED)
		atomic_fetch_sub_explicit(&armed, 1, memory_order_relaxed);
	if (state == SLOT_ARMED)
		atomic_fetch_add_explicit(&armed, 1, memory_order_relaxed);
	slot->state = state;
	pthread_cond_broadcast(&changed);
}

/* The slot that stops this arrival, NULL if none does. Call with mutex held. */
static struct slot *slot_for_arrival(const char *name)
{
	for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
		if (slot->state != SLOT_ARMED || strcmp(slot->name, name) != 0)
			continue;
		if (slot->has_only && !pthread_equal(slot->only, pthread_self()))
			continue;
		if (--slot->arrivals == 0)
			return slot;
	}
	return NULL;
}

void fh_point_hit(const char *name)
{
	struct timespec deadline;
	struct slot *slot;

	/* Relaxed: the test arms before it lets the threads come, or waits until one happens by. */
	if (FH_LIKELY(atomic_load_explicit(&armed, memory_order_relaxed) == 0))
		return;
	pthread_mutex_lock(&mutex);
	slot = slot_for_arrival(name);
	if (slot) {
		slot_set(slot, SLOT_STOPPED);
		deadline = deadline_in(STOP_S);
		while (slot->state == SLOT_STOPPED) {
			if (!wait_until(&deadline))
				fh_panic("a thread stopped at point %s was never released", name);
		}
		slot_set(slot, SLOT_FREE);
	}
	pthread_mutex_unlock(&mutex);
}

void fh_point_arm_at(const char *name, unsigned nth, const pthread_t *only)
{
	struct slot *slot = slots;

	fh_assert(nth > 0);
	fh_assert(strlen(name) < NAME_SIZE);
	pthread_mutex_lock(&mutex);
	while (slot < slots + SLOTS && slot->state != SLOT_FREE)
		slot++;
	fh_assert(slot < slots + SLOTS);
	strcpy(slot->name, name);
	slot->arrivals = nth;
	slot->has_only = only != NULL;
	if (only)
		slot->only = *only;
	slot_set(slot, SLOT_ARMED);
	pthread_mutex_unlock(&mutex);
}

void fh_point_arm(const char *name)
{
	fh_point_arm_at(name, 1, NULL);
}

/* Whether some slot of that name is in that state. Call with mutex held. */
static bool any_slot(const char *name, enum slot_state state)
{
	for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
		if (slot->state == state && strcmp(slot->name, name) == 0)
			return true;
	}
	return false;
}

bool fh_point_wait(const char *name)
{
	const struct timespec deadline = deadline_in(WAIT_S);
	bool stopped;

	pthread_mutex_lock(&mutex);
	/* What is neither armed nor stopped would never come. */
	fh_assert(any_slot(name, SLOT_ARMED) || any_slot(name, SLOT_STOPPED));
	while (any_slot(name, SLOT_ARMED) && wait_until(&deadline))
		;
	stopped = !any_slot(name, SLOT_ARMED) && any_slot(name, SLOT_STOPPED);
	pthread_mutex_unlock(&mutex);
	return stopped;
}

bool fh_point_stopped(const char *name)
{
	bool stopped;

	pthread_mutex_lock(&mutex);
	stopped = any_slot(name, SLOT_STOPPED);
	pthread_mutex_unlock(&mutex);
	return stopped;
}

static void release_stopped(struct slot *slot)
{
	if (slot->state == SLOT_STOPPED)
		slot_set(slot, SLOT_GOING);
}

static void disarm(struct slot *slot)
{
	if (slot->state == SLOT_ARMED)
		slot_set(slot, SLOT_FREE);
}

/* Does it to every slot of that name. Call with mutex held. */
static void for_each_slot(const char *name, void (*action)(struct slot *slot))
{
	for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
		if (slot->state != SLOT_FREE && strcmp(slot->name, name) == 0)
			action(slot);
	}
}

void fh_point_release(const char *name)
{
	pthread_mutex_lock(&mutex);
	for_each_slot(name, any_slot(name, SLOT_STOPPED) ? release_stopped : disarm);
	pthread_mutex_unlock(&mutex);
}

void fh_point_release_all(void)
{
	pthread_mutex_lock(&mutex);
	for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
		disarm(slot);
		release_stopped(slot);
	}
	pthread_mutex_unlock(&mutex);
}

#else

/* A translation unit holds at least one declaration. */
extern int fh_no_points;

#endif
