/* SPDX-License-Identifier: MIT */
/*
 * KVM: keeps the memory slots and eventfds of a virtual machine equal to what an address space
 * shows, and runs its vCPUs. Not a part of freehold.h: who uses KVM includes this file, after
 * <linux/kvm.h> or without it.
 *
 * What is shown, and what of it the guest reaches without leaving KVM_RUN:
 *   RAM, and RAM devices             reads and writes
 *   ROM, RAM that is read-only, and ROM devices in ROM mode
 *                                    reads; writes are accesses of the space
 *   anything else                    nothing: accesses of the space
 * A slot is made of whole pages of the host. The parts of a range that do not fill one, ranges of
 * which the host memory is not aligned as the guest's addresses are, and on hosts without
 * KVM_CAP_READONLY_MEM all that is read-only, are accesses of the space as well.
 *
 * A change of the map is atomic for the guest. Where a slot or an eventfd of KVM's has to go, be
 * split, cut or moved, all vCPUs are kept out of KVM_RUN from before the new view is published
 * until all of the change is in place: a vCPU that has seen anything of the new map, in a slot or
 * by an access, sees nothing of the old one any more, and no hole in between. Where there are only
 * additions nobody waits: what KVM has not yet is reached through the space, with the same result.
 *
 * Eventfds (eventfd.h) are signalled by KVM itself wherever it would do as the space does:
 *   one size                  stores of that size
 *   any size                  stores of 1, 2, 4 and 8 bytes, as far as these lie in one range
 *   data                      compared as the region's byte order has them
 * The rest is left to the space, which signals as always: where eventfds with and without data
 * match stores of one size at one address, since KVM knows no order of them; what it refuses; and
 * all of them for a struct fh_kvm with attrs.debug or attrs.memory_only, or of another address
 * space of KVM's than its first (slot_first), which KVM does not tell apart here. A store is
 * signalled once, by one of the two. Coalesced ranges are not KVM's business.
 */
#ifndef FREEHOLD_KVM_H
#define FREEHOLD_KVM_H

#include <freehold/space.h>

FH_BEGIN_DECLS

struct kvm_run; /* of <linux/kvm.h> */

struct fh_kvm_vcpu;

/** How; all zero is the default. Copied. */
struct fh_kvm_options {
	uint32_t slot_first; /**< the first number of a slot; those below are the embedder's. Its
				  bits from 16 on choose KVM's address space, as with KVM itself */
	uint32_t slot_limit; /**< so many slots at most; 0: as many as the host has */
	/**
	 * Give KVM an eventfd for stores of any size and data as one of "length 0", where it is
	 * alone at its address and the host has KVM_CAP_IOEVENTFD_ANY_LENGTH. That is the fastest,
	 * and not exact: hosts take reads there for stores. For guests that never read such
	 * registers.
	 */
	bool eventfd_any_length;
	/** Of the accesses that vCPUs make. */
	struct fh_attrs attrs;
	/**
	 * Optional: an access of a vCPU to @addr has failed with @tx. Of a read, @data (@size bytes
	 * as they lie in the guest's memory) has been set to ones, and may be set to anything else.
	 * On the vCPU's thread, under no lock, in no callback.
	 */
	void (*failed)(void *arg, struct fh_kvm_vcpu *vcpu, uint64_t addr, uint8_t *data,
		       unsigned size, bool write, enum fh_tx tx);
	void *arg;
};

/**
 * Have KVM's virtual machine @vm_fd (duplicated) show what @space shows, from now on until the
 * result is disposed of: then its slots are empty, its eventfds gone, its vCPUs stop, see
 * fh_kvm_run(). (It is an object with a child: where its last ref goes, the rest is control's.)
 * Also keeps KVM's dirty log (dirty.h) of what is logged. @options may be NULL. An object in the
 * name of @owner (borrowed; with a struct fh_machine *, owned by caller); it takes a ref of the
 * space. Nobody else changes the slots of these numbers.
 * Errors (NULL): FH_ENOTSUP the host or this build has no KVM, or not KVM_CAP_IMMEDIATE_EXIT;
 * FH_ELIMIT there are more ranges than slots; FH_ENOMEM, FH_EIO the host refused one; FH_EDEAD
 * owner or space have been detached. Context: as the edits of region.h.
 */
FH_API struct fh_kvm *fh_kvm_new(FH_ANY owner, struct fh_space *space, int vm_fd,
				 const struct fh_kvm_options *options, struct fh_error *err);
/** As fh_object_dispose(). NULL is allowed. Returns NULL. */
FH_API struct fh_kvm *fh_kvm_destroy(struct fh_kvm *kvm);

/**
 * FH_OK: each range has its slot, and KVM signals each eventfd. Otherwise the map has become what
 * KVM cannot show as a whole, and @err says why: FH_ELIMIT more ranges than slots; FH_ENOMEM,
 * FH_EIO the host refused one. The guest still sees the right thing there, but by accesses of the
 * space: slowly, and it cannot execute from there. What has no slot gets one as soon as a change
 * makes room. If slots are all right, of eventfds: FH_ENOTSUP the host has none, or knows no order
 * of those at one address; FH_EEXIST the embedder has given KVM another for the same stores;
 * FH_ELIMIT, FH_ENOMEM, FH_EIO the host refused one. They are signalled all the same, by the space.
 * Tried again at each change of eventfds. Any context.
 */
FH_API enum fh_code fh_kvm_check(struct fh_kvm *kvm, struct fh_error *err);

/* --- vCPUs ---------------------------------------------------------------------------------- */

/**
 * Make a vCPU known, which from now on is run by fh_kvm_run() alone (owned by caller; it takes a
 * ref of @kvm). @vcpu_fd is duplicated; @run is its mapped state (borrowed: until
 * fh_kvm_vcpu_free()).
 *
 * @kick(@arg) makes a KVM_RUN end in which the vCPU's thread is, by a signal to that thread that
 * has a handler, which may do nothing: pthread_kill(). The library itself uses no signals. It is
 * called from any thread, under locks of the library: it passes the signal on and never waits, nor
 * calls back. It is only called from the first fh_kvm_run() of the vCPU on, at times when its
 * thread has just left KVM_RUN, too.
 * Errors (NULL): FH_EDEAD @kvm is disposed of; FH_EIO the descriptor cannot be duplicated.
 */
FH_API struct fh_kvm_vcpu *fh_kvm_vcpu_new(struct fh_kvm *kvm, int vcpu_fd, struct kvm_run *run,
					   void (*kick)(void *arg), void *arg,
					   struct fh_error *err);

/** Give it back (consumed), not while it runs (asserted). NULL is allowed. Returns NULL. */
FH_API struct fh_kvm_vcpu *fh_kvm_vcpu_free(struct fh_kvm_vcpu *vcpu);

/**
 * Run the vCPU until something happens that is not an access to memory: KVM_EXIT_MMIO is done here,
 * as fh_space_load() and fh_space_store() of 1 to 8 bytes.
 *   FH_OK        run->exit_reason says what
 *   FH_ECANCELED fh_kvm_vcpu_interrupt(), which is never missed, or a signal that was not the
 *                library's doing, which is where it comes together with one that was. What the
 *                last exit asked for is complete: registers may be read, saved, changed
 *   FH_EDEAD     the struct fh_kvm is disposed of
 *   FH_EIO       KVM_RUN has failed; @err says how
 * One thread at a time per vCPU. Context: not from a callback, read section or transaction, and
 * holding nothing that a thread may wait for that edits the map: edits wait for vCPUs to leave
 * KVM_RUN.
 */
FH_API enum fh_code fh_kvm_run(struct fh_kvm_vcpu *vcpu, struct fh_error *err);

/** Have the present fh_kvm_run(), or else the next, return FH_ECANCELED. Any thread. */
FH_API void fh_kvm_vcpu_interrupt(struct fh_kvm_vcpu *vcpu);

FH_END_DECLS

#endif
