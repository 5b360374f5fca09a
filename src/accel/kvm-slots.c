/* SPDX-License-Identifier: MIT */
/*
 * The listener that makes KVM's slots what the view shows.
 *
 * A change arrives as one batch. Slots of what was removed go, but for those that are added again
 * as they were; then those of what was added come. A slot cannot be cut or moved, so that what the
 * guest still has would be missing in between; and what it wrote to a slot that goes would be
 * missing in the last look at its dirty log. So it does not run meanwhile (R4).
 *
 * R1. slots is sorted, and no two overlap: it has what ranges of the view become, and these do
 *     not overlap. In KVM all that go have gone before the first comes.
 * R2. A slot that is logged gives its dirty pages to fh_dirty_mark() before it goes.
 * R3. A slot without a number is not in KVM: the guest's accesses there are the space's. It is
 *     tried again at each change of slots.
 * R4. If any slot goes, vCPUs are kept out of KVM_RUN from before the view is published (prepare)
 *     until all is in place (commit). So no vCPU finds the new map in an access of the space and
 *     then the old one in its slots. Where slots only come nobody waits: what has none yet is an
 *     access of the space, which shows it already. What nobody is told before, the end of a
 *     listener in another's callback, changes no view; the vCPUs are outside for the slots alone.
 */
#include "accel/kvm.h"

#include <errno.h>
#include <string.h>

#include <freehold/dirty.h>

#define SLOT_BYTES_MAX (UINT64_C(1) << 42) /* below KVM's own limit, of 2^31 - 1 pages */

void *kvm_grow(void *at, size_t *room, size_t wanted, size_t size)
{
	if (wanted <= *room)
		return at;
	*room = wanted > 2 * *room ? wanted : 2 * *room;
	return fh_realloc(at, *room * size);
}

/* --- KVM's side ----------------------------------------------------------------------------- */

static int slot_set(struct kvm *kvm, const struct kvm_slot *slot, uint64_t size)
{
	struct kvm_userspace_memory_region memory = {
		.slot = kvm->options.slot_first + slot->id,
		.flags = slot->flags,
		.guest_phys_addr = slot->first,
		.memory_size = size,
		.userspace_addr = (uintptr_t)slot->ptr,
	};

	return kvm_call(kvm, kvm->fd, KVM_SET_USER_MEMORY_REGION, &memory);
}

static uint64_t slot_size(const struct kvm_slot *slot)
{
	return slot->last - slot->first + 1; /* at most SLOT_BYTES_MAX */
}

static void complain(struct kvm *kvm, const struct kvm_slot *slot, const char *what, int result)
{
	fh_error_set(&kvm->slot_trouble.now, result == -ENOMEM ? FH_ENOMEM : FH_EIO,
		     "memory at 0x%llx..0x%llx: %s: %s", (unsigned long long)slot->first,
		     (unsigned long long)slot->last, what, strerror(-result));
}

/* A number, or KVM_SLOT_NONE. */
static uint32_t id_take(struct kvm *kvm)
{
	if (kvm->unused_count > 0)
		return kvm->unused[--kvm->unused_count];
	return kvm->next_id < kvm->limit ? kvm->next_id++ : KVM_SLOT_NONE;
}

static void id_give(struct kvm *kvm, uint32_t id)
{
	kvm->unused = kvm_grow(kvm->unused, &kvm->unused_room, kvm->unused_count + 1,
			   sizeof(*kvm->unused));
	kvm->unused[kvm->unused_count++] = id;
}

static void slot_come(struct kvm *kvm, struct kvm_slot *slot)
{
	int result;

	slot->id = id_take(kvm);
	if (slot->id == KVM_SLOT_NONE) {
		fh_error_set(&kvm->slot_trouble.now, FH_ELIMIT,
			     "memory at 0x%llx..0x%llx: all %u slots are taken",
			     (unsigned long long)slot->first, (unsigned long long)slot->last,
			     kvm->limit);
		return;
	}
	result = slot_set(kvm, slot, slot_size(slot));
	if (result >= 0)
		return;
	complain(kvm, slot, "KVM refuses it", result);
	id_give(kvm, slot->id);
	slot->id = KVM_SLOT_NONE;
}

/* Marks runs of pages. */
static void mark_words(struct kvm *kvm, const struct kvm_slot *slot, uint64_t pages)
{
	const uint64_t *words = kvm->bitmap;

	for (uint64_t i = 0; i < pages;) {
		uint64_t end = i;

		while (end < pages && (words[end / 64] >> (end % 64) & 1))
			end++;
		if (end > i)
			fh_dirty_mark(slot->region, slot->offset + i * kvm->page,
				      (end - i) * kvm->page);
		else if (words[i / 64] == 0)
			end = (i / 64 + 1) * 64;
		else
			end = i + 1;
		i = end;
	}
}

/* R2: what KVM knows to be dirty, and knows no more after this. */
static void slot_harvest(struct kvm *kvm, const struct kvm_slot *slot)
{
	const uint64_t pages = slot_size(slot) / kvm->page;
	struct kvm_dirty_log log = { .slot = kvm->options.slot_first + slot->id };
	int result;

	if (slot->id == KVM_SLOT_NONE || !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return;
	kvm->bitmap =
		kvm_grow(kvm->bitmap, &kvm->bitmap_words, (pages + 63) / 64, sizeof(uint64_t));
	memset(kvm->bitmap, 0, (pages + 63) / 64 * sizeof(uint64_t));
	log.dirty_bitmap = kvm->bitmap;
	result = kvm_call(kvm, kvm->fd, KVM_GET_DIRTY_LOG, &log);
	if (result >= 0) {
		mark_words(kvm, slot, pages);
	} else { /* All of it, rather than too little. */
		complain(kvm, slot, "the dirty log", result);
		fh_dirty_mark(slot->region, slot->offset, slot_size(slot));
	}
}

static void slot_go(struct kvm *kvm, struct kvm_slot *slot)
{
	int result;

	if (slot->id == KVM_SLOT_NONE)
		return;
	slot_harvest(kvm, slot);
	result = slot_set(kvm, slot, 0);
	if (result >= 0) {
		id_give(kvm, slot->id);
		return;
	}
	/* The guest goes on seeing what it must not see: nothing that follows makes that good. */
	complain(kvm, slot, "KVM does not give it up", result);
	kvm->slot_trouble.broken = true;
}

/* --- From ranges to slots ------------------------------------------------------------------- */

/* The first slot that ends at addr or behind it. */
static size_t slot_find(const struct kvm *kvm, uint64_t addr)
{
	size_t low = 0, high = kvm->slots.count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (kvm->slots.at[middle].last < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Those that are within the section, by their index. */
#define each_slot_within(i, kvm, section)                                                  \
	for (size_t i = slot_find(kvm, (section)->first);                                  \
	     i < (kvm)->slots.count && (kvm)->slots.at[i].last <= (section)->last; i++)    \
		if ((kvm)->slots.at[i].first >= (section)->first)

/* The whole pages of the section, as a slot; false: there are none that KVM can show. */
static bool slot_from_section(const struct kvm *kvm, const struct fh_section *section,
			      struct kvm_slot *ret)
{
	const uint64_t mask = kvm->page - 1;
	const uint64_t first = (section->first + mask) & ~mask;
	const uint64_t end = (section->last + 1) & ~mask; /* 0: 2^64 */
	const bool readonly = section->readonly || section->rom_mode;

	if (!section->ptr || (readonly && !kvm->has_readonly))
		return false;
	/* The first comparison: 2^64 was passed; the second: no page is left. */
	if (first < section->first || end - 1 < first || end - 1 > section->last)
		return false;
	*ret = (struct kvm_slot){
		.first = first,
		.last = end - 1,
		.region = section->region,
		.offset = section->offset + (first - section->first),
		.ptr = (char *)section->ptr + (first - section->first),
		.flags = readonly ? KVM_MEM_READONLY :
			 section->log_mask ? KVM_MEM_LOG_DIRTY_PAGES : 0,
		.id = KVM_SLOT_NONE,
	};
	return ((uintptr_t)ret->ptr & mask) == 0;
}

/* A slot that was to go is what has to come, but for its logging. */
static bool slot_stays(struct kvm *kvm, const struct kvm_slot *wanted)
{
	const size_t i = slot_find(kvm, wanted->first);
	struct kvm_slot *slot;

	if (i == kvm->slots.count)
		return false;
	slot = &kvm->slots.at[i];
	if (!slot->gone || slot->first != wanted->first || slot->last != wanted->last ||
	    slot->region != wanted->region || slot->ptr != wanted->ptr ||
	    slot->flags != wanted->flags)
		return false;
	slot->gone = false;
	return true;
}

static void want_section(struct kvm *kvm, const struct fh_section *section)
{
	struct kvm_slot whole;

	if (!slot_from_section(kvm, section, &whole))
		return;
	for (uint64_t done = 0, size = slot_size(&whole); done < size; done += SLOT_BYTES_MAX) {
		struct kvm_slot piece = whole;

		piece.first += done;
		piece.offset += done;
		piece.ptr += done;
		if (piece.last - piece.first >= SLOT_BYTES_MAX)
			piece.last = piece.first + SLOT_BYTES_MAX - 1;
		if (slot_stays(kvm, &piece))
			continue;
		kvm->fresh.at = kvm_grow(kvm->fresh.at, &kvm->fresh.room, kvm->fresh.count + 1,
				     sizeof(piece));
		kvm->fresh.at[kvm->fresh.count++] = piece;
	}
}

/* --- A change ------------------------------------------------------------------------------- */

static bool mark_gone(struct kvm *kvm, const struct fh_section *removed, size_t count)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		each_slot_within(at, kvm, &removed[i])
			any = kvm->slots.at[at].gone = true;
	}
	return any;
}

/* Whether any slot goes that KVM has: for which vCPUs have to wait. */
static bool any_goes(const struct kvm *kvm)
{
	for (size_t i = 0; i < kvm->slots.count; i++)
		if (kvm->slots.at[i].gone && kvm->slots.at[i].id != KVM_SLOT_NONE)
			return true;
	return false;
}

static void sweep(struct kvm *kvm)
{
	size_t kept = 0;

	for (size_t i = 0; i < kvm->slots.count; i++) {
		if (kvm->slots.at[i].gone)
			slot_go(kvm, &kvm->slots.at[i]);
		else
			kvm->slots.at[kept++] = kvm->slots.at[i];
	}
	kvm->slots.count = kept;
}

/* From behind, so that it is done in place. */
static void merge_fresh(struct kvm *kvm)
{
	size_t old = kvm->slots.count, new = kvm->fresh.count, to = old + new;

	kvm->slots.at = kvm_grow(kvm->slots.at, &kvm->slots.room, to, sizeof(*kvm->slots.at));
	kvm->slots.count = to;
	while (new > 0) {
		if (old > 0 && kvm->slots.at[old - 1].first > kvm->fresh.at[new - 1].first)
			kvm->slots.at[--to] = kvm->slots.at[--old];
		else
			kvm->slots.at[--to] = kvm->fresh.at[--new];
	}
}

static void come_all(struct kvm *kvm)
{
	kvm->slot_trouble.missing = 0;
	for (size_t i = 0; i < kvm->slots.count; i++) {
		if (kvm->slots.at[i].id == KVM_SLOT_NONE)
			slot_come(kvm, &kvm->slots.at[i]);
		kvm->slot_trouble.missing += kvm->slots.at[i].id == KVM_SLOT_NONE;
	}
}

void kvm_report(struct kvm *kvm, struct kvm_trouble *trouble)
{
	pthread_mutex_lock(&kvm->lock);
	if (trouble->now.code != FH_OK || (trouble->missing == 0 && !trouble->broken))
		trouble->fault = trouble->now;
	pthread_mutex_unlock(&kvm->lock);
	fh_error_clear(&trouble->now);
}

/* What goes is marked, what comes is in fresh. True if there is anything. */
static bool plan(struct kvm *kvm, const struct fh_section *removed, size_t removed_count,
		 const struct fh_section *added, size_t added_count)
{
	const bool marked = mark_gone(kvm, removed, removed_count);

	kvm->fresh.count = 0;
	for (size_t i = 0; i < added_count; i++)
		want_section(kvm, &added[i]);
	return marked || kvm->fresh.count > 0;
}

static void forget_plan(struct kvm *kvm)
{
	for (size_t i = 0; i < kvm->slots.count; i++)
		kvm->slots.at[i].gone = false;
	kvm->fresh.count = 0;
}

/* R4: only where the guest has something that it is about to lose. */
static void on_prepare(void *state, const struct fh_space_change *change)
{
	struct kvm *kvm = state;
	bool loses = kvm_events_may_go(kvm, change);

	if (!loses && plan(kvm, change->removed, change->removed_count, change->added,
			   change->added_count)) {
		loses = any_goes(kvm);
		forget_plan(kvm);
	}
	if (loses)
		kvm_close(kvm);
	kvm->held = loses;
}

static void on_batch(void *state, const struct fh_section *removed, size_t removed_count,
		     const struct fh_section *added, size_t added_count)
{
	struct kvm *kvm = state;
	bool closed;

	kvm_events_cut(kvm, removed, removed_count);
	kvm_events_cut(kvm, added, added_count);
	if (!plan(kvm, removed, removed_count, added, added_count))
		return;
	closed = any_goes(kvm); /* of what was not announced: see kvm_close() */
	if (closed)
		kvm_close(kvm);
	sweep(kvm);
	merge_fresh(kvm);
	come_all(kvm);
	if (closed)
		kvm_open(kvm);
	kvm_report(kvm, &kvm->slot_trouble);
}

static void on_commit(void *state, struct fh_space *space)
{
	struct kvm *kvm = state;

	(void)space;
	kvm_events_settle(kvm);
	if (kvm->held)
		kvm_open(kvm);
	kvm->held = false;
}

/* --- Logging -------------------------------------------------------------------------------- */

/*
 * KVM does not log the slot, so that it must not have it: the space notices what is written by
 * accesses. Tried again with the next change of slots.
 */
static void slot_hide(struct kvm *kvm, struct kvm_slot *slot)
{
	kvm_close(kvm);
	slot->flags = 0;
	slot_go(kvm, slot);
	slot->flags = KVM_MEM_LOG_DIRTY_PAGES;
	slot->id = KVM_SLOT_NONE;
	kvm->slot_trouble.missing++;
	kvm_open(kvm);
}

/*
 * Flags of slots that stay where they are: KVM changes them under running vCPUs. Ranges that are
 * added in this commit have no slots yet, and come with theirs; where old ones of the same pages
 * are about to go, they are logged for that long.
 */
static void log_section(struct kvm *kvm, const struct fh_section *section, bool on)
{
	const uint32_t flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0;

	each_slot_within(i, kvm, section) {
		struct kvm_slot *slot = &kvm->slots.at[i];
		int result;

		if ((slot->flags & KVM_MEM_READONLY) || slot->flags == flags)
			continue;
		slot->flags = flags;
		if (slot->id == KVM_SLOT_NONE)
			continue;
		result = slot_set(kvm, slot, slot_size(slot));
		if (result >= 0)
			continue;
		complain(kvm, slot, "KVM does not log it", result);
		if (on)
			slot_hide(kvm, slot);
	}
	if (kvm->slot_trouble.now.code != FH_OK)
		kvm_report(kvm, &kvm->slot_trouble);
}

static void on_log_start(void *state, const struct fh_section *section, uint8_t old_mask)
{
	(void)old_mask;
	log_section(state, section, true);
}

static void on_log_stop(void *state, const struct fh_section *section, uint8_t old_mask)
{
	(void)old_mask;
	log_section(state, section, section->log_mask != 0);
}

static void on_log_sync(void *state, const struct fh_section *section)
{
	struct kvm *kvm = state;

	for (size_t i = slot_find(kvm, section->first);
	     i < kvm->slots.count && kvm->slots.at[i].first <= section->last; i++)
		slot_harvest(kvm, &kvm->slots.at[i]);
	if (kvm->slot_trouble.now.code != FH_OK)
		kvm_report(kvm, &kvm->slot_trouble);
}

const struct fh_listener_ops kvm_listener_ops = {
	.prepare = on_prepare,
	.batch = on_batch,
	.commit = on_commit,
	.log_start = on_log_start,
	.log_stop = on_log_stop,
	.log_sync = on_log_sync,
	.eventfd_add = kvm_on_eventfd_add,
	.eventfd_del = kvm_on_eventfd_del,
};
