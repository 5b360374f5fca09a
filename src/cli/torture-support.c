/* SPDX-License-Identifier: MIT */
/*
 * What rows and commands have in common: random numbers, slots, jobs for the workers.
 *
 * R1. A slot's lock is a leaf: it is held for a look, a ref or an exchange, never over another
 *     call.
 * R2. A job holds an fh_io, which pins its device; when that is completed the job touches neither
 *     the device nor what was mapped.
 */
#include "cli/torture.h"

#include <stdlib.h>
#include <unistd.h>

#define MOST_JOBS 64u

/*
 * The finalizer of SplitMix64: every state is followed by the next odd multiple of the golden
 * ratio.
 */
uint64_t fh_torture_random(uint64_t *state)
{
	uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

bool fh_torture_check(struct fh_torture *t, bool right, const char *what)
{
	if (right)
		return true;
	/* Relaxed: a count, read when all threads have been joined. */
	if (atomic_fetch_add_explicit(&t->failures, 1, memory_order_relaxed) < 20)
		fprintf(stderr, "freehold: torture: %s\n", what);
	return false;
}

enum fh_torture_outcome fh_torture_tx(struct fh_torture *t, enum fh_tx tx)
{
	if (!fh_torture_check(t, tx <= FH_TX_DECODE_ERROR, "an access has no result"))
		return FH_TORTURE_REFUSED;
	/* Relaxed: a count. */
	atomic_fetch_add_explicit(&t->results[tx], 1, memory_order_relaxed);
	return fh_torture_outcome(tx == FH_TX_OK);
}

/* --- Slots ---------------------------------------------------------------------------------- */

struct slots {
	struct fh_torture_slot *first;
	size_t count;
};

#define SLOT_KINDS 7

static void all_slots(struct fh_torture *t, struct slots slots[static SLOT_KINDS])
{
	slots[0] = (struct slots){ t->devices, FH_TORTURE_DEVICES };
	slots[1] = (struct slots){ t->loose, FH_TORTURE_LOOSE };
	slots[2] = (struct slots){ t->spaces, FH_TORTURE_SPACES };
	slots[3] = (struct slots){ t->listeners, FH_TORTURE_LISTENERS };
	slots[4] = (struct slots){ t->holds, FH_TORTURE_HOLDS };
	slots[5] = (struct slots){ t->weaks, FH_TORTURE_WEAKS };
	slots[6] = (struct slots){ t->objects, FH_TORTURE_OBJECTS };
}

void fh_torture_slots_init(struct fh_torture *t)
{
	struct slots slots[SLOT_KINDS];

	all_slots(t, slots);
	for (size_t i = 0; i < SLOT_KINDS; i++) {
		for (size_t j = 0; j < slots[i].count; j++)
			pthread_mutex_init(&slots[i].first[j].lock, NULL);
	}
}

void fh_torture_slots_fini(struct fh_torture *t)
{
	struct slots slots[SLOT_KINDS];

	all_slots(t, slots);
	for (size_t i = 0; i < SLOT_KINDS; i++) {
		for (size_t j = 0; j < slots[i].count; j++)
			pthread_mutex_destroy(&slots[i].first[j].lock);
	}
}

void *fh_torture_get(struct fh_torture_slot *slot)
{
	pthread_mutex_lock(&slot->lock);

	struct fh_object *const object = slot->content;

	if (object != NULL)
		fh_object_ref(object);
	pthread_mutex_unlock(&slot->lock);
	return object;
}

void *fh_torture_swap(struct fh_torture_slot *slot, void *content)
{
	pthread_mutex_lock(&slot->lock);

	void *const old = slot->content;

	slot->content = content;
	pthread_mutex_unlock(&slot->lock);
	return old;
}

bool fh_torture_put(struct fh_torture_slot *slot, void *content)
{
	pthread_mutex_lock(&slot->lock);

	const bool empty = slot->content == NULL;

	if (empty)
		slot->content = content;
	pthread_mutex_unlock(&slot->lock);
	return empty;
}

struct fh_device *fh_torture_any_device(struct fh_torture *t, uint64_t *random)
{
	return fh_torture_get(&t->devices[fh_torture_pick(random, FH_TORTURE_DEVICES)]);
}

struct fh_torture_device *fh_torture_state(struct fh_device *device)
{
	return fh_object_state(device, &fh_torture_device_type);
}

void *fh_torture_child(struct fh_device *device, const char *name)
{
	return device != NULL ? fh_object_find_child(device, name) : NULL;
}

void *fh_torture_any_child(struct fh_torture *t, uint64_t *random, const char *name)
{
	struct fh_device *const device = fh_torture_any_device(t, random);
	void *const child = fh_torture_child(device, name);

	fh_object_unref(device);
	return child;
}

struct fh_region *fh_torture_any_region(struct fh_torture *t, uint64_t *random)
{
	static const char *const names[] = {
		"bar", "regs", "fast", "rom", "ram", "spare", "window"
	};
	const unsigned which = fh_torture_pick(random, 10);

	if (which >= sizeof(names) / sizeof(names[0]))
		return fh_torture_get(&t->loose[fh_torture_pick(random, FH_TORTURE_LOOSE)]);
	return fh_torture_any_child(t, random, names[which]);
}

struct fh_space *fh_torture_any_space(struct fh_torture *t, uint64_t *random)
{
	struct fh_space *space = NULL;

	switch (fh_torture_pick(random, 4)) {
	case 0:
		space = fh_torture_get(&t->spaces[fh_torture_pick(random, FH_TORTURE_SPACES)]);
		break;
	case 1:
		space = fh_torture_any_child(t, random, "bus");
		break;
	default:
		break;
	}
	return space != NULL ? space : fh_object_ref(t->memory);
}

uint64_t fh_torture_any_addr(uint64_t *random)
{
	const uint64_t value = fh_torture_random(random);
	const uint64_t low = value >> 32;

	switch (value % 8) {
	case 0:
		return UINT64_MAX - low % FH_TORTURE_STEP; /* the upper border */
	case 1:
		return low % (2 * FH_TORTURE_RAM_SIZE);
	case 2:
		return FH_TORTURE_BASE + low % (FH_TORTURE_DEVICES * FH_TORTURE_STEP);
	default:
		/* The lower half of a bar, where most is. */
		return FH_TORTURE_BASE +
		       value / 8 % FH_TORTURE_DEVICES * FH_TORTURE_STEP +
		       low % FH_TORTURE_KIDS;
	}
}

/* --- Jobs ----------------------------------------------------------------------------------- */

void fh_torture_jobs_init(struct fh_torture_jobs *jobs)
{
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->changed, NULL);
	jobs->last = &jobs->first;
}

static void io_done(void *state)
{
	struct fh_torture_device *const device = state;

	fh_torture_act(device, 1);
}

/*
 * Relaxed byte by byte: what guests and devices do to memory at the same time is theirs to
 * settle.
 */
static void touch(const struct fh_torture_job *job)
{
	for (uint64_t i = 0; i < job->size; i += 64) {
		if (job->write)
			__atomic_store_n(&job->ptr[i], (uint8_t)i, __ATOMIC_RELAXED);
		else
			(void)__atomic_load_n(&job->ptr[i], __ATOMIC_RELAXED);
	}
}

static void finish(struct fh_torture_job *job)
{
	if (job->ptr != NULL)
		touch(job);
	/* Half of them are left to the end of the operation. */
	if (job->size % 2 == 0)
		fh_mapping_unmap(job->mapping, job->write ? job->size : 0);
	fh_io_complete(job->io, io_done, job->device);
	free(job);
}

void fh_torture_jobs_push(struct fh_torture *t, struct fh_torture_job *job)
{
	struct fh_torture_jobs *const jobs = &t->jobs;

	pthread_mutex_lock(&jobs->lock);

	const bool room = jobs->count < MOST_JOBS && !jobs->closed;

	if (room) {
		job->next = NULL;
		*jobs->last = job;
		jobs->last = &job->next;
		jobs->count++;
		pthread_cond_signal(&jobs->changed);
	}
	pthread_mutex_unlock(&jobs->lock);
	if (!room)
		finish(job);
}

void fh_torture_jobs_close(struct fh_torture_jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->closed = true;
	pthread_cond_broadcast(&jobs->changed);
	pthread_mutex_unlock(&jobs->lock);
}

void *fh_torture_worker(void *arg)
{
	struct fh_torture *const t = arg;
	struct fh_torture_jobs *const jobs = &t->jobs;

	for (;;) {
		pthread_mutex_lock(&jobs->lock);
		while (jobs->first == NULL && !jobs->closed)
			pthread_cond_wait(&jobs->changed, &jobs->lock);

		struct fh_torture_job *const job = jobs->first;

		if (job != NULL) {
			jobs->first = job->next;
			if (jobs->first == NULL)
				jobs->last = &jobs->first;
			jobs->count--;
		}
		pthread_mutex_unlock(&jobs->lock);
		if (job == NULL)
			return NULL;
		if (job->delay != 0)
			usleep(job->delay);
		finish(job);
	}
}

enum fh_torture_outcome fh_torture_begin_io(struct fh_torture *t, struct fh_device *device,
					    struct fh_space *space, uint64_t *random)
{
	struct fh_io *const io = fh_io_begin(device, "dma");

	if (io == NULL)
		return FH_TORTURE_REFUSED;

	struct fh_torture_job *const job = calloc(1, sizeof(*job));
	struct fh_mapped mapped;

	if (job == NULL)
		abort();
	job->io = io;
	job->device = fh_torture_state(device);

	const uint64_t size = 1 + fh_torture_pick(random, 8192);

	job->write = fh_torture_chance(random, 2);
	job->delay = fh_torture_chance(random, 4) ? fh_torture_pick(random, 2000) : 0;

	job->mapping = fh_space_map(space, fh_torture_any_addr(random), size,
				    job->write ? FH_MAP_WRITE : FH_MAP_READ, FH_ATTRS_NONE, io,
				    &mapped);
	job->ptr = mapped.ptr;
	job->size = mapped.size;

	const bool done = job->mapping != NULL;

	fh_torture_jobs_push(t, job);
	return fh_torture_outcome(done);
}

/* --- Holds ---------------------------------------------------------------------------------- */

void fh_torture_hold_free(struct fh_torture_hold *hold)
{
	if (hold == NULL)
		return;
	fh_unpin(hold->pin);
	fh_pinned_unpin(hold->pinned);
	fh_mapping_unmap(hold->mapping, 0);
	fh_object_unref(hold->holder);
	free(hold);
}
