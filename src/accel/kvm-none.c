/* SPDX-License-Identifier: MIT */
/*
 * KVM where the build's host has no <linux/kvm.h>: the library shows the same functions everywhere,
 * and says that there is none. Without a struct fh_kvm no other of them can be called.
 */
#include <stdlib.h>

#include <freehold/kvm.h>

struct fh_kvm *fh_kvm_new(FH_ANY owner, struct fh_space *space, int vm_fd,
			  const struct fh_kvm_options *options, struct fh_error *err)
{
	(void)owner, (void)space, (void)vm_fd, (void)options;
	fh_error_set(err, FH_ENOTSUP, "built without KVM");
	return NULL;
}

struct fh_kvm *fh_kvm_destroy(struct fh_kvm *kvm)
{
	(void)kvm;
	return NULL;
}

enum fh_code fh_kvm_check(struct fh_kvm *kvm, struct fh_error *err)
{
	(void)kvm, (void)err;
	abort();
}

struct fh_kvm_vcpu *fh_kvm_vcpu_new(struct fh_kvm *kvm, int vcpu_fd, struct kvm_run *run,
				    void (*kick)(void *arg), void *arg, struct fh_error *err)
{
	(void)kvm, (void)vcpu_fd, (void)run, (void)kick, (void)arg, (void)err;
	abort();
}

struct fh_kvm_vcpu *fh_kvm_vcpu_free(struct fh_kvm_vcpu *vcpu)
{
	(void)vcpu;
	return NULL;
}

enum fh_code fh_kvm_run(struct fh_kvm_vcpu *vcpu, struct fh_error *err)
{
	(void)vcpu, (void)err;
	abort();
}

void fh_kvm_vcpu_interrupt(struct fh_kvm_vcpu *vcpu)
{
	(void)vcpu;
	abort();
}
