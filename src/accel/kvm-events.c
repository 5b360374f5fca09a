/* SPDX-License-Identifier: MIT */
/*
 * Eventfds that KVM signals itself, without an exit.
 *
 * KVM compares the address, the number of bytes and, if it is told so, the bytes of a store. It has
 * no order among those that match: of one address and length it takes either one that compares
 * nothing or any number that compare different data, and refuses all else. So for each address and
 * each of the four lengths it is worked out which eventfds the space would signal, and KVM is given
 * these, or where it cannot have them all, none: such stores leave KVM_RUN and the space signals
 * the right one. In neither case does anybody signal twice.
 *
 * R4. `events` is sorted by address, and of one address the most specific first, as the space looks
 *     at them. Never two with the same match: two regions do not show at one address.
 * R5. What is `given` KVM has, but for that nothing is: an eventfd leaves KVM in eventfd_del, while
 *     its descriptor is there; all else is done in `commit`, when it is known what there is.
 * R6. An eventfd for stores of any size is told as long as its first byte is to be seen. KVM gets
 *     it only for lengths that are seen as a whole, in one range: of a longer store the space makes
 *     two. That is looked at again whenever a range changes in which they may lie.
 * R7. Vcpus are kept outside KVM_RUN while anything is taken from KVM, in a change that was
 *     announced from before its publication on: see kvm-slots.c R4.
 */
#include "accel/kvm.h"

#include <errno.h>
#include <string.h>

enum {
	LENGTHS = 4,		 /* bit n: stores of 1 << n bytes */
	ANY_LENGTH = 1 << LENGTHS, /* in KVM's own way */
	TAIL = (1 << (LENGTHS - 1)) - 1, /* bytes behind the first of the longest */
};

/* --- The order ------------------------------------------------------------------------------ */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a == b ? 0 : a < b ? -1 : 1;
}

static unsigned rank(const struct kvm_event *event)
{
	return (event->match_data ? 2u : 0) + (event->size != 0 ? 1u : 0);
}

static int compare(const struct kvm_event *a, const struct kvm_event *b)
{
	int order = compare_numbers(a->addr, b->addr);

	if (order == 0)
		order = compare_numbers(rank(b), rank(a));
	if (order == 0)
		order = compare_numbers(a->size, b->size);
	return order ? order : compare_numbers(a->data, b->data);
}

/* The first that is not before it. */
static size_t event_find(const struct kvm *kvm, const struct kvm_event *event)
{
	size_t low = 0, high = kvm->events.count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (compare(&kvm->events.at[middle], event) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first that is there or behind. */
static size_t event_find_addr(const struct kvm *kvm, uint64_t addr)
{
	return event_find(kvm, &(struct kvm_event){ .addr = addr, .match_data = true, .size = 1 });
}

/* --- KVM's side ----------------------------------------------------------------------------- */

static void complain(struct kvm *kvm, const struct kvm_event *event, enum fh_code code,
		     const char *what)
{
	fh_error_set(&kvm->event_trouble.now, code, "an eventfd at 0x%llx: %s",
		     (unsigned long long)event->addr, what);
}

static enum fh_code code_of(int result)
{
	switch (result) {
	case -EEXIST:
		return FH_EEXIST;
	case -ENOSPC:
		return FH_ELIMIT;
	case -ENOMEM:
		return FH_ENOMEM;
	default:
		return FH_EIO;
	}
}

/* As the bytes lie in the guest's memory, on a host that takes these for its own integer. */
static uint64_t data_in_memory(const struct kvm_event *event, unsigned length)
{
	return event->big_endian ? __builtin_bswap64(event->data) >> (64 - 8 * length) :
				   event->data;
}

static int event_call(struct kvm *kvm, const struct kvm_event *event, unsigned bit, uint32_t flags)
{
	struct kvm_ioeventfd ioeventfd = {
		.addr = event->addr,
		.len = bit == ANY_LENGTH ? 0 : bit, /* bit n is 1 << n */
		.fd = event->fd,
		.flags = flags | (event->match_data ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
	};

	if (event->match_data)
		ioeventfd.datamatch = data_in_memory(event, ioeventfd.len);
	return kvm_call(kvm, kvm->fd, KVM_IOEVENTFD, &ioeventfd);
}

static void event_take(struct kvm *kvm, struct kvm_event *event, unsigned bits)
{
	for (unsigned bit = 1; bit <= ANY_LENGTH; bit <<= 1) {
		if (!(event->given & bits & bit))
			continue;
		const int result = event_call(kvm, event, bit, KVM_IOEVENTFD_FLAG_DEASSIGN);

		if (result < 0) { /* The guest goes on signalling what it must not. */
			complain(kvm, event, code_of(result), "KVM does not give it up");
			kvm->event_trouble.broken = true;
		}
	}
	event->given &= (uint8_t)~bits;
}

static void event_give(struct kvm *kvm, struct kvm_event *event)
{
	for (unsigned bit = 1; bit <= ANY_LENGTH; bit <<= 1) {
		if (!(event->wanted & ~event->given & bit))
			continue;
		const int result = event_call(kvm, event, bit, 0);

		if (result >= 0) {
			event->given |= (uint8_t)bit;
		} else {
			complain(kvm, event, code_of(result), strerror(-result));
			event->left = true;
		}
	}
}

/* --- What KVM is to have -------------------------------------------------------------------- */

struct group {
	struct kvm_event *at; /* of one address */
	size_t count;
	uint64_t seen; /* bytes of their range from there on, where that matters */
};

static bool takes(const struct group *group, const struct kvm_event *event, unsigned length)
{
	if (event->size != 0 ? event->size != length : group->seen < length)
		return false;
	return !event->match_data || length == 8 || event->data >> (8 * length) == 0;
}

/* One of that size for the same data comes first. */
static bool is_hidden(const struct kvm *kvm, const struct kvm_event *event, unsigned length)
{
	struct kvm_event first = *event;
	size_t i;

	if (event->size != 0)
		return false;
	first.size = (uint8_t)length;
	i = event_find(kvm, &first);
	return i < kvm->events.count && compare(&kvm->events.at[i], &first) == 0;
}

static void plan_length(struct kvm *kvm, struct group *group, unsigned length)
{
	struct kvm_event *plain = NULL; /* the first that compares nothing */
	bool data = false;

	for (size_t i = 0; i < group->count; i++) {
		struct kvm_event *event = &group->at[i];

		if (!takes(group, event, length))
			continue;
		if (event->match_data)
			data = true;
		else if (!plain)
			plain = event;
	}
	if (plain && !data) {
		plain->wanted |= (uint8_t)length;
	} else if (plain) {
		complain(kvm, plain, FH_ENOTSUP,
			 "others there compare data, and KVM has no order of them");
		plain->left = true;
	} else {
		for (size_t i = 0; data && i < group->count; i++)
			if (takes(group, &group->at[i], length) &&
			    !is_hidden(kvm, &group->at[i], length))
				group->at[i].wanted |= (uint8_t)length;
	}
}

/* How much of the range that has addr is seen from there on; its view is published. */
static uint64_t bytes_seen(struct kvm *kvm, uint64_t addr)
{
	struct fh_section section;
	bool found;

	fh_read_begin();
	found = fh_space_lookup(kvm->space, addr, &section);
	fh_read_end();
	if (!found)
		return 0;
	return section.last - addr < TAIL ? section.last - addr + 1 : TAIL + 1;
}

static void leave_all(struct kvm *kvm, struct group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		complain(kvm, &group->at[i], FH_ENOTSUP, "the host's KVM has none");
		group->at[i].left = true;
	}
}

static void plan(struct kvm *kvm, struct group *group)
{
	const unsigned all = ANY_LENGTH - 1;

	for (size_t i = 0; i < group->count; i++) {
		kvm->event_trouble.missing -= group->at[i].left;
		group->at[i].left = false;
		group->at[i].wanted = 0;
		if (group->at[i].size == 0 && group->seen == 0)
			group->seen = bytes_seen(kvm, group->at[i].addr);
	}
	if (!kvm->has_eventfds) {
		leave_all(kvm, group);
		return;
	}
	for (unsigned length = 1; length <= TAIL + 1; length <<= 1)
		plan_length(kvm, group, length);
	if (kvm->has_any_length && group->count == 1 && group->at[0].size == 0 &&
	    group->at[0].wanted == all && !group->at[0].match_data)
		group->at[0].wanted = ANY_LENGTH;
}

static bool takes_any(const struct group *group)
{
	for (size_t i = 0; i < group->count; i++)
		if (group->at[i].given & ~group->at[i].wanted)
			return true;
	return false;
}

static void settle(struct kvm *kvm, struct group *group)
{
	plan(kvm, group);
	if (takes_any(group)) {
		kvm_close(kvm);
		for (size_t i = 0; i < group->count; i++)
			event_take(kvm, &group->at[i], ~(unsigned)group->at[i].wanted);
		kvm_open(kvm);
	}
	for (size_t i = 0; i < group->count; i++) {
		event_give(kvm, &group->at[i]);
		kvm->event_trouble.missing += group->at[i].left;
	}
}

static struct group group_from(const struct kvm *kvm, size_t i)
{
	struct group group = { .at = &kvm->events.at[i] };

	while (i + group.count < kvm->events.count &&
	       group.at[group.count].addr == group.at[0].addr)
		group.count++;
	return group;
}

/* --- A change ------------------------------------------------------------------------------- */

static void touch(struct kvm *kvm, uint64_t addr)
{
	kvm->touched.at = kvm_grow(kvm->touched.at, &kvm->touched.room, kvm->touched.count + 1,
				   sizeof(addr));
	kvm->touched.at[kvm->touched.count++] = addr;
}

/* Those for stores of any size that may be cut otherwise than before, by their index (R6). */
#define each_that_may_be_cut(i, kvm, section)                                                 \
	for (size_t i = event_find_addr(kvm, (section)->first < TAIL ? 0 :                    \
							(section)->first - TAIL);             \
	     i < (kvm)->events.count && (kvm)->events.at[i].addr <= (section)->last; i++)     \
		if ((kvm)->events.at[i].size == 0)

static bool given_at(const struct kvm *kvm, const struct fh_section *sections, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		const uint64_t addr = sections[k].first;

		for (size_t i = event_find_addr(kvm, addr);
		     i < kvm->events.count && kvm->events.at[i].addr == addr; i++)
			if (kvm->events.at[i].given)
				return true;
	}
	return false;
}

static bool given_and_cut(const struct kvm *kvm, const struct fh_section *sections, size_t count)
{
	for (size_t k = 0; k < count; k++)
		each_that_may_be_cut(i, kvm, &sections[k])
			if (kvm->events.at[i].given)
				return true;
	return false;
}

bool kvm_events_may_go(const struct kvm *kvm, const struct fh_space_change *change)
{
	return given_at(kvm, change->eventfds_removed, change->eventfds_removed_count) ||
	       given_at(kvm, change->eventfds_added, change->eventfds_added_count) ||
	       given_and_cut(kvm, change->removed, change->removed_count) ||
	       given_and_cut(kvm, change->added, change->added_count);
}

void kvm_events_cut(struct kvm *kvm, const struct fh_section *sections, size_t count)
{
	for (size_t k = 0; k < count; k++)
		each_that_may_be_cut(i, kvm, &sections[k])
			touch(kvm, kvm->events.at[i].addr);
}

static struct kvm_event event_of(const struct fh_section *section,
				 const struct fh_eventfd_match *match, int fd)
{
	return (struct kvm_event){
		.addr = section->first,
		.data = match->match_data ? match->data : 0,
		.fd = fd,
		.size = (uint8_t)match->size,
		.match_data = match->match_data,
		.big_endian = fh_region_get_info(section->region).order == FH_BE,
	};
}

void kvm_on_eventfd_add(void *state, const struct fh_section *section,
			const struct fh_eventfd_match *match, int fd)
{
	struct kvm *kvm = state;
	struct kvm_events *events = &kvm->events;
	const struct kvm_event event = event_of(section, match, fd);
	const size_t i = event_find(kvm, &event);

	if (!kvm->takes_eventfds)
		return;
	events->at = kvm_grow(events->at, &events->room, events->count + 1, sizeof(event));
	memmove(events->at + i + 1, events->at + i, (events->count++ - i) * sizeof(event));
	events->at[i] = event;
	touch(kvm, event.addr);
}

void kvm_on_eventfd_del(void *state, const struct fh_section *section,
			const struct fh_eventfd_match *match, int fd)
{
	struct kvm *kvm = state;
	struct kvm_events *events = &kvm->events;
	const struct kvm_event event = event_of(section, match, fd);
	const size_t i = event_find(kvm, &event);

	if (!kvm->takes_eventfds)
		return;
	fh_assert(i < events->count && events->at[i].fd == fd);
	if (events->at[i].given) {
		kvm_close(kvm);
		event_take(kvm, &events->at[i], events->at[i].given); /* R5 */
		kvm_open(kvm);
	}
	kvm->event_trouble.missing -= events->at[i].left;
	memmove(events->at + i, events->at + i + 1, (--events->count - i) * sizeof(event));
	touch(kvm, event.addr);
}

/* Where all eventfds of a change are known, and what was refused is tried again. */
void kvm_events_settle(struct kvm *kvm)
{
	if (kvm->touched.count == 0)
		return;
	if (kvm->event_trouble.missing > 0) {
		for (size_t i = 0; i < kvm->events.count;) {
			struct group group = group_from(kvm, i);

			settle(kvm, &group);
			i += group.count;
		}
	} else {
		for (size_t k = 0; k < kvm->touched.count; k++) {
			const size_t i = event_find_addr(kvm, kvm->touched.at[k]);
			struct group group = { .count = 0 };

			if (i < kvm->events.count &&
			    kvm->events.at[i].addr == kvm->touched.at[k])
				group = group_from(kvm, i);
			settle(kvm, &group);
		}
	}
	kvm->touched.count = 0;
	kvm_report(kvm, &kvm->event_trouble);
}
