/* SPDX-License-Identifier: MIT */
/*
 * KVM: keeps the memory slots of a virtual machine equal to what an address space shows, and runs
 * its vCPUs. Not a part of freehold.h: who uses KVM includes this file, after <linux/kvm.h> or
 * without it.
 *
 * What is shown, and what of it the guest reaches without leaving KVM_RUN:
 *   RAM                              reads and writes
 *   ROM, RAM that is read-only, and ROM devices in ROM mode
 *                                    reads; writes are accesses of the space
 *   anything else                    nothing: accesses of the space
 * A slot is made of whole pages of the host. The parts of a range that do not fill one, ranges of
 * which the host memory is not aligned as the guest's addresses are, and on hosts without
 * KVM_CAP_READONLY_MEM all that is read-only, are accesses of the space as well.
 *
 * A change of the map never shows the guest a hole where something was and still is: where a slot
 * has to go, be split, cut or moved, all vCPUs are kept out of KVM_RUN until all slots of the
 * change are as they will be. Where slots are only added, nobody waits: what has no slot yet
 * is reached through the space, with the same result.
 * The slots follow the published view a moment later, in the same commit; till then vCPUs that run
 * see the old map in what has slots, and the new one in what has not.
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
 * result is disposed of: then its slots are empty, its vCPUs stop, see fh_kvm_run(). (It is an
 * object with a child: where its last ref goes, the rest is control's.) Also keeps KVM's dirty log
 * (dirty.h) of what is logged. @options may be NULL. An object in the name of @owner (borrowed;
 * with a struct fh_machine *, owned by caller); it takes a ref of the space. Nobody else changes
 * the slots of these numbers.
 * Errors (NULL): FH_ENOTSUP the host or this build has no KVM, or not KVM_CAP_IMMEDIATE_EXIT;
 * FH_ELIMIT there are more ranges than slots; FH_ENOMEM, FH_EIO the host refused one; FH_EDEAD
 * owner or space have been detached. Context: as the edits of region.h.
 */
FH_API struct fh_kvm *fh_kvm_new(FH_ANY owner, struct fh_space *space, int vm_fd,
				 const struct fh_kvm_options *options, struct fh_error *err);
/** As fh_object_dispose(). NULL is allowed. Returns NULL. */
FH_API struct fh_kvm *fh_kvm_destroy(struct fh_kvm *kvm);

/**
 * FH_OK: each range has its slot. Otherwise the map has become what KVM cannot show as a whole,
 * and @err says why: FH_ELIMIT more ranges than slots; FH_ENOMEM, FH_EIO the host refused one. The
 * guest still sees the right thing there, but by accesses of the space: slowly, and it cannot
 * execute from there. What has no slot gets one as soon as a change makes room. Any context.
 */
FH_API enum fh_code fh_kvm_check(struct fh_kvm *kvm, struct fh_error *err);

/* --- vCPUs ---------------------------------------------------------------------------------- */

/**
 * Make a vCPU known, which from now on is run by fh_kvm_run() alone (owned by caller; it takes a ref
 * of @kvm). @vcpu_fd is duplicated; @run is its mapped state (borrowed: until fh_kvm_vcpu_free()).
 *
 * @kick(@arg) makes a KVM_RUN end in which the vCPU's thread is, by a signal to that thread that
 * has a handler, which may do nothing: pthread_kill(). The library itself uses no signals. It is
 * called from any thread, under locks of the library: it passes the signal on and never waits, nor
 * calls back. It is only called from the first fh_kvm_run() of the vCPU on, at times when its
 * thread has just left KVM_RUN, too.
 * Errors (NULL): FH_EDEAD @kvm is disposed of; FH_EIO the descriptor cannot be duplicated.
 */
FH_API struct fh_kvm_vcpu *fh_kvm_vcpu_new(struct fh_kvm *kvm, int vcpu_fd, struct kvm_run *run,
					   void (*kick)(void *arg), void *arg, struct fh_error *err);

/** Give it back (consumed), not while it runs (asserted). NULL is allowed. Returns NULL. */
FH_API struct fh_kvm_vcpu *fh_kvm_vcpu_free(struct fh_kvm_vcpu *vcpu);

/**
 * Run the vCPU until something happens that is not an access to memory: KVM_EXIT_MMIO is done here,
 * as fh_space_load() and fh_space_store() of 1 to 8 bytes.
 *   FH_OK        run->exit_reason says what
 *   FH_ECANCELED fh_kvm_vcpu_interrupt(), or a signal that was not the library's doing. What the
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
