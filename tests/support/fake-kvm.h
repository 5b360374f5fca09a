/* SPDX-License-Identifier: MIT */
/*
 * A KVM without a host's: it keeps slots, and notes whatever real KVM would refuse, and what a
 * guest could notice. Included once, by the test's own file.
 *
 * R1. `wrong` is the first thing that was not as it has to be; NULL at the end of every test.
 * R2. A slot or an eventfd that goes while a vCPU is inside KVM_RUN is wrong.
 * R3. Everybody takes the lock with fake_lock(): vCPUs, which have it most of the time, wait for
 *     those who want it.
 */
#ifndef SUPPORT_FAKE_KVM_H
#define SUPPORT_FAKE_KVM_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "accel/kvm.h"

enum { FAKE_SLOTS = 512, FAKE_PAGES = 256, FAKE_PAGE = 4096, FAKE_EVENTS = 256 };

struct fake_slot {
	uint64_t first;
	uint64_t pages; /* 0: unused */
	char *ptr;
	uint32_t flags;
	bool dirty[FAKE_PAGES];
};

struct fake_event {
	uint64_t addr, data;
	uint32_t len;
	bool plain; /* of any data */
	int fd;
};

struct fake_kvm {
	struct kvm_calls calls;
	pthread_mutex_t lock;
	_Atomic unsigned wanted; /* by so many who wait for the lock (R3) */
	struct fake_slot slots[FAKE_SLOTS];
	unsigned limit; /* what it says */
	bool has_readonly, has_eventfds, has_any_length;
	struct fake_event events[FAKE_EVENTS];
	unsigned event_count;
	int refuse_events; /* -errno of additions; 0: none */
	unsigned inside; /* vCPUs */
	unsigned deletions, additions, flag_changes, runs, kicks;
	int refuse; /* -errno of additions; 0: none */
	const char *wrong;
	/* What a vCPU does inside KVM_RUN, under the lock: KVM_RUN's result, or 1: goes on. */
	int (*guest)(struct fake_kvm *fake, int fd);
};

static void fake_lock(struct fake_kvm *fake)
{
	fake->wanted++;
	pthread_mutex_lock(&fake->lock);
	fake->wanted--;
}

static void fake_unlock(struct fake_kvm *fake)
{
	pthread_mutex_unlock(&fake->lock);
}

static void fake_wrong(struct fake_kvm *fake, const char *what)
{
	if (!fake->wrong)
		fake->wrong = what;
}

static bool fake_overlaps(const struct fake_kvm *fake, uint64_t first, uint64_t pages)
{
	for (unsigned i = 0; i < FAKE_SLOTS; i++) {
		const struct fake_slot *slot = &fake->slots[i];

		if (slot->pages && slot->first < first + pages * FAKE_PAGE &&
		    first < slot->first + slot->pages * FAKE_PAGE)
			return true;
	}
	return false;
}

static int fake_add(struct fake_kvm *fake, struct fake_slot *slot,
		    const struct kvm_userspace_memory_region *memory)
{
	if (fake->refuse)
		return fake->refuse;
	if (fake_overlaps(fake, memory->guest_phys_addr, memory->memory_size / FAKE_PAGE))
		return fake_wrong(fake, "slots that overlap"), -EEXIST;
	*slot = (struct fake_slot){
		.first = memory->guest_phys_addr,
		.pages = memory->memory_size / FAKE_PAGE,
		.ptr = (char *)(uintptr_t)memory->userspace_addr,
		.flags = memory->flags,
	};
	fake->additions++;
	return 0;
}

static int fake_set(struct fake_kvm *fake, const struct kvm_userspace_memory_region *memory)
{
	struct fake_slot *slot = &fake->slots[memory->slot % FAKE_SLOTS];

	if (memory->slot >= fake->limit || memory->guest_phys_addr % FAKE_PAGE ||
	    memory->memory_size % FAKE_PAGE || memory->userspace_addr % FAKE_PAGE ||
	    memory->memory_size > (uint64_t)FAKE_PAGES * FAKE_PAGE)
		return fake_wrong(fake, "what KVM does not take"), -EINVAL;
	if (memory->memory_size == 0) {
		if (!slot->pages)
			return fake_wrong(fake, "a slot that is not there is given up"), -EINVAL;
		if (fake->inside)
			fake_wrong(fake, "a slot goes while a vCPU is inside");
		slot->pages = 0;
		fake->deletions++;
		return 0;
	}
	if (!slot->pages)
		return fake_add(fake, slot, memory);
	if (slot->first != memory->guest_phys_addr ||
	    slot->pages != memory->memory_size / FAKE_PAGE ||
	    (uintptr_t)slot->ptr != memory->userspace_addr ||
	    ((slot->flags ^ memory->flags) & ~KVM_MEM_LOG_DIRTY_PAGES))
		return fake_wrong(fake, "a slot is changed that has to go first"), -EINVAL;
	if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
		memset(slot->dirty, 0, sizeof(slot->dirty));
	slot->flags = memory->flags;
	fake->flag_changes++;
	return 0;
}

static int fake_get_dirty(struct fake_kvm *fake, const struct kvm_dirty_log *log)
{
	struct fake_slot *slot = &fake->slots[log->slot % FAKE_SLOTS];
	uint64_t *words = log->dirty_bitmap;

	if (!slot->pages || !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return fake_wrong(fake, "the log of what is not logged"), -ENOENT;
	memset(words, 0, (slot->pages + 63) / 64 * 8);
	for (uint64_t i = 0; i < slot->pages; i++)
		words[i / 64] |= (uint64_t)slot->dirty[i] << (i % 64);
	memset(slot->dirty, 0, sizeof(slot->dirty));
	return 0;
}

/* As KVM does: one that is plain, or has no length, tolerates no other of its kind. */
static bool fake_collides(const struct fake_event *a, const struct fake_event *b)
{
	return a->addr == b->addr &&
	       (a->len == 0 || b->len == 0 ||
		(a->len == b->len && (a->plain || b->plain || a->data == b->data)));
}

static int fake_event_add(struct fake_kvm *fake, const struct fake_event *event)
{
	if (fake->refuse_events)
		return fake->refuse_events;
	for (unsigned i = 0; i < fake->event_count; i++)
		if (fake_collides(&fake->events[i], event))
			return fake_wrong(fake, "eventfds that KVM does not take"), -EEXIST;
	if (fake->event_count == FAKE_EVENTS)
		return -ENOSPC;
	fake->events[fake->event_count++] = *event;
	return 0;
}

static int fake_event_remove(struct fake_kvm *fake, const struct fake_event *event)
{
	for (unsigned i = 0; i < fake->event_count; i++) {
		const struct fake_event *at = &fake->events[i];

		if (at->addr != event->addr || at->len != event->len || at->fd != event->fd ||
		    at->plain != event->plain || (!at->plain && at->data != event->data))
			continue;
		if (fake->inside)
			fake_wrong(fake, "an eventfd goes while a vCPU is inside");
		fake->events[i] = fake->events[--fake->event_count];
		return 0;
	}
	return fake_wrong(fake, "an eventfd that is not there is given up"), -ENOENT;
}

static int fake_ioeventfd(struct fake_kvm *fake, const struct kvm_ioeventfd *args)
{
	const struct fake_event event = {
		.addr = args->addr,
		.data = args->datamatch,
		.len = args->len,
		.plain = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH),
		.fd = args->fd,
	};

	if (args->len > 8 || (args->len & (args->len - 1)) || (args->len == 0 && !event.plain) ||
	    !fake->has_eventfds || (args->len == 0 && !fake->has_any_length))
		return fake_wrong(fake, "no eventfd that KVM takes"), -EINVAL;
	if (fcntl(args->fd, F_GETFD) < 0)
		return fake_wrong(fake, "an eventfd that is closed"), -EBADF;
	return args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN ? fake_event_remove(fake, &event) :
							   fake_event_add(fake, &event);
}

/* A store of the guest's, under the lock. True: KVM has signalled an eventfd for it. */
static inline bool fake_rings(struct fake_kvm *fake, uint64_t addr, unsigned len, uint64_t data)
{
	const uint64_t one = 1;

	for (unsigned i = 0; i < fake->event_count; i++) {
		const struct fake_event *event = &fake->events[i];

		if (event->addr != addr || (event->len != 0 && event->len != len) ||
		    (!event->plain && event->data != data))
			continue;
		if (write(event->fd, &one, sizeof(one)) != sizeof(one))
			fake_wrong(fake, "an eventfd that cannot be signalled");
		return true;
	}
	return false;
}

/* Lets others have the lock in between. */
static int fake_run(struct fake_kvm *fake, int fd, struct kvm_run *run)
{
	int result = 1;

	fake->inside++;
	fake->runs++;
	while (result == 1) {
		if (__atomic_load_n(&run->immediate_exit, __ATOMIC_RELAXED))
			result = -EINTR;
		else
			result = fake->guest(fake, fd);
		if (result == 1) {
			fake_unlock(fake);
			do
				sched_yield();
			while (fake->wanted > 0);
			fake_lock(fake);
		}
	}
	fake->inside--;
	return result;
}

/* One vCPU's thread has one run: found by the thread. */
static _Thread_local struct kvm_run *fake_run_of_thread;

static int fake_extension(const struct fake_kvm *fake, uintptr_t capability)
{
	switch (capability) {
	case KVM_CAP_NR_MEMSLOTS:
		return (int)fake->limit;
	case KVM_CAP_READONLY_MEM:
		return fake->has_readonly;
	case KVM_CAP_IOEVENTFD:
		return fake->has_eventfds;
	case KVM_CAP_IOEVENTFD_ANY_LENGTH:
		return fake->has_any_length;
	default:
		return 1;
	}
}

static int fake_call(void *arg, int fd, unsigned long request, void *argument)
{
	struct fake_kvm *fake = arg;
	int result;

	fake_lock(fake);
	switch (request) {
	case KVM_CHECK_EXTENSION:
		result = fake_extension(fake, (uintptr_t)argument);
		break;
	case KVM_SET_USER_MEMORY_REGION:
		result = fake_set(fake, argument);
		break;
	case KVM_GET_DIRTY_LOG:
		result = fake_get_dirty(fake, argument);
		break;
	case KVM_IOEVENTFD:
		result = fake_ioeventfd(fake, argument);
		break;
	case KVM_RUN:
		result = fake_run(fake, fd, fake_run_of_thread);
		break;
	default:
		fake_wrong(fake, "a call that nobody knows");
		result = -ENOTTY;
	}
	fake_unlock(fake);
	return result;
}

static void fake_kick(void *arg)
{
	struct fake_kvm *fake = arg;

	fake_lock(fake);
	fake->kicks++;
	fake_unlock(fake);
}

static void fake_init(struct fake_kvm *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->calls = (struct kvm_calls){ .call = fake_call, .arg = fake };
	fake->limit = FAKE_SLOTS;
	fake->has_readonly = fake->has_eventfds = fake->has_any_length = true;
	pthread_mutex_init(&fake->lock, NULL);
}

/* The slot that has the page, or NULL. Under the lock, or with nobody else about. */
static inline struct fake_slot *fake_find(struct fake_kvm *fake, uint64_t addr)
{
	for (unsigned i = 0; i < FAKE_SLOTS; i++) {
		struct fake_slot *slot = &fake->slots[i];

		if (slot->pages && addr >= slot->first &&
		    addr - slot->first < slot->pages * FAKE_PAGE)
			return slot;
	}
	return NULL;
}

static inline unsigned fake_count(const struct fake_kvm *fake)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FAKE_SLOTS; i++)
		count += fake->slots[i].pages > 0;
	return count;
}

#endif
