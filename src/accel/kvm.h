/* SPDX-License-Identifier: MIT */
/*
 * What the files of KVM's part share.
 *
 * R1. The slots and eventfds of KVM, and what they are made from, are changed in listener callbacks
 *     alone: the topology lock guards them.
 * R2. `lock` is a leaf: under it nothing is called but the embedder's kick. It guards the list of
 *     vCPUs, the error, and what is marked G.
 * R3. While `closed`, no vCPU enters KVM_RUN. kvm_close() returns when none is inside.
 */
#ifndef ACCEL_KVM_H
#define ACCEL_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

#include <freehold/kvm.h>
#include <freehold/machine.h>

#include "base/alloc.h"

#define KVM_SLOT_NONE UINT32_MAX

/* How KVM is called: the tests have one of their own. */
struct kvm_calls {
	/* As ioctl(2), but -errno where that fails. */
	int (*call)(void *arg, int fd, unsigned long request, void *argument);
	void *arg;
};

/* A piece of a range of the view: whole pages, with host memory. */
struct kvm_slot {
	uint64_t first;
	uint64_t last;
	struct fh_region *region;
	uint64_t offset; /* in the region, at first */
	char *ptr;	 /* at first */
	uint32_t flags;	 /* KVM_MEM_... */
	uint32_t id;	 /* KVM's number; KVM_SLOT_NONE: there was none to be had */
	bool gone;	 /* within one change: goes */
};

struct kvm_slots {
	struct kvm_slot *at;
	size_t count, room;
};

/* An eventfd at an address of the space. */
struct kvm_event {
	uint64_t addr;
	uint64_t data;	  /* as the device sees it; 0 unless match_data */
	int fd;		  /* the library's: until eventfd_del */
	uint8_t size;	  /* 0: any */
	bool match_data;
	bool big_endian;
	bool left;	  /* to the space, though KVM would have had to have it */
	uint8_t given;	  /* KVM has it for these lengths (kvm-events.c) */
	uint8_t wanted;	  /* within one change: is to have it */
};

struct kvm_events {
	struct kvm_event *at;
	size_t count, room;
};

/* What KVM does not do as it should: of slots, of eventfds. */
struct kvm_trouble {
	size_t missing;	       /* those that it has not */
	bool broken;	       /* it has refused to give one up */
	struct fh_error now;   /* what was wrong with this change */
	struct fh_error fault; /* G: why not all is shown */
};

struct kvm {
	struct fh_machine *machine;
	struct fh_space *space; /* a ref */
	struct kvm_calls calls;
	struct fh_kvm_options options;
	int fd;
	uint64_t page;
	bool has_readonly;
	bool has_eventfds;
	bool takes_eventfds; /* they are the same for KVM and the space */
	bool has_any_length; /* and may use it */

	struct kvm_slots slots; /* by address; never two that overlap */
	struct kvm_slots fresh; /* within one change: come */
	struct kvm_trouble slot_trouble;
	uint32_t *unused;	/* numbers that were given back: unused_count of next_id */
	size_t unused_count, unused_room;
	uint32_t next_id;
	uint32_t limit;
	uint64_t *bitmap;
	size_t bitmap_words;

	struct kvm_events events;
	struct {
		uint64_t *at;
		size_t count, room;
	} touched;		/* within one change: addresses of eventfds */
	struct kvm_trouble event_trouble;

	unsigned closes;	/* kvm_close() without its kvm_open() */
	bool held;		/* one of them is on_prepare()'s */

	pthread_mutex_t lock;
	pthread_cond_t idle;	   /* G: somebody left KVM_RUN while it is closed */
	pthread_cond_t open;	   /* G: it is not closed any more */
	struct fh_kvm_vcpu *vcpus; /* G */
	_Atomic bool closed;	   /* changed under lock */
	_Atomic bool dead;	   /* changed under lock: disposed of */
};

struct fh_kvm_vcpu {
	struct fh_kvm *object; /* a ref */
	struct kvm *kvm;
	int fd;
	struct kvm_run *run;
	void (*kick)(void *arg);
	void *arg;
	_Atomic bool inside; /* in KVM_RUN, or about to look whether it may enter */
	bool kicked;	     /* G: an end of KVM_RUN that is the library's own wish */
	bool interrupted;    /* G: one that the embedder wants */
	struct fh_kvm_vcpu *next;
};

/* As fh_kvm_new(), with the calls of one's own. */
struct fh_kvm *kvm_new_with(FH_ANY owner, struct fh_space *space, int vm_fd,
			    const struct fh_kvm_options *options, const struct kvm_calls *calls,
			    struct fh_error *err);

static inline int kvm_call(struct kvm *kvm, int fd, unsigned long request, void *argument)
{
	return kvm->calls.call(kvm->calls.arg, fd, request, argument);
}

struct kvm *kvm_of(struct fh_kvm *object);

extern const struct fh_listener_ops kvm_listener_ops; /* state: struct kvm * */

/* Room for so many. */
void *kvm_grow(void *at, size_t *room, size_t wanted, size_t size);
/* A change is over: what went wrong in it; if nothing did, nothing is wrong. */
void kvm_report(struct kvm *kvm, struct kvm_trouble *trouble);

/* Keeps all vCPUs out of KVM_RUN until the last open; in a listener: the topology lock is held. */
void kvm_close(struct kvm *kvm);
void kvm_open(struct kvm *kvm);
/* Ends KVM_RUN on all vCPUs, for good. */
void kvm_end(struct kvm *kvm);

/* --- kvm-events.c ---------------------------------------------------------------------------- */

void kvm_on_eventfd_add(void *state, const struct fh_section *section,
			const struct fh_eventfd_match *match, int fd);
void kvm_on_eventfd_del(void *state, const struct fh_section *section,
			const struct fh_eventfd_match *match, int fd);
/* Before the change: it may take from KVM what it has. */
bool kvm_events_may_go(const struct kvm *kvm, const struct fh_space_change *change);
/* Ranges that went or came. */
void kvm_events_cut(struct kvm *kvm, const struct fh_section *sections, size_t count);
/* When all of it was told. */
void kvm_events_settle(struct kvm *kvm);

#endif
