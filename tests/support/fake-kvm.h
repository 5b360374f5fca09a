/* SPDX-License-Identifier: MIT */
/*
 * A KVM without a host's: it keeps slots, and notes whatever real KVM would refuse, and what a
 * guest could notice. Included once, by the test's own file.
 *
 * R1. `wrong` is the first thing that was not as it has to be; NULL at the end of every test.
 * R2. A slot that goes or comes back while a vCPU is inside KVM_RUN is wrong.
 */
#ifndef SUPPORT_FAKE_KVM_H
#define SUPPORT_FAKE_KVM_H

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "accel/kvm.h"

enum { FAKE_SLOTS = 512, FAKE_PAGES = 256, FAKE_PAGE = 4096 };

struct fake_slot {
	uint64_t first;
	uint64_t pages; /* 0: unused */
	char *ptr;
	uint32_t flags;
	bool dirty[FAKE_PAGES];
};

struct fake_kvm {
	struct kvm_calls calls;
	pthread_mutex_t lock;
	struct fake_slot slots[FAKE_SLOTS];
	unsigned limit; /* what it says */
	bool has_readonly;
	unsigned inside; /* vCPUs */
	unsigned deletions, additions, flag_changes, runs, kicks;
	int refuse; /* -errno of additions; 0: none */
	const char *wrong;
	/* What a vCPU does inside KVM_RUN, under the lock: KVM_RUN's result, or 1: goes on. */
	int (*guest)(struct fake_kvm *fake, int fd);
};

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
			pthread_mutex_unlock(&fake->lock);
			sched_yield();
			pthread_mutex_lock(&fake->lock);
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
	default:
		return 1;
	}
}

static int fake_call(void *arg, int fd, unsigned long request, void *argument)
{
	struct fake_kvm *fake = arg;
	int result;

	pthread_mutex_lock(&fake->lock);
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
	case KVM_RUN:
		result = fake_run(fake, fd, fake_run_of_thread);
		break;
	default:
		fake_wrong(fake, "a call that nobody knows");
		result = -ENOTTY;
	}
	pthread_mutex_unlock(&fake->lock);
	return result;
}

static void fake_kick(void *arg)
{
	struct fake_kvm *fake = arg;

	pthread_mutex_lock(&fake->lock);
	fake->kicks++;
	pthread_mutex_unlock(&fake->lock);
}

static void fake_init(struct fake_kvm *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->calls = (struct kvm_calls){ .call = fake_call, .arg = fake };
	fake->limit = FAKE_SLOTS;
	fake->has_readonly = true;
	pthread_mutex_init(&fake->lock, NULL);
}

/* The slot that has the page, or NULL. Under the lock, or with nobody else about. */
static struct fake_slot *fake_find(struct fake_kvm *fake, uint64_t addr)
{
	for (unsigned i = 0; i < FAKE_SLOTS; i++) {
		struct fake_slot *slot = &fake->slots[i];

		if (slot->pages && addr >= slot->first &&
		    addr - slot->first < slot->pages * FAKE_PAGE)
			return slot;
	}
	return NULL;
}

static unsigned fake_count(const struct fake_kvm *fake)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FAKE_SLOTS; i++)
		count += fake->slots[i].pages > 0;
	return count;
}

#endif
