/* SPDX-License-Identifier: MIT */
/*
 * vCPUs: in and out of KVM_RUN, and how all of them are kept out of it.
 *
 * The gate is two flags, each written by one side and then the other read, so that at least one
 * side sees the other's (fh_barrier_store()): a vCPU says that it is inside and looks whether the
 * gate is closed; who closes it says so and looks who is inside. Whoever is inside is kicked, and
 * waited for. A vCPU that finds the gate closed steps back and waits until it is open.
 *
 * Why nobody waits in a circle. The one who closes is in a listener, thus holds the topology lock
 * and perhaps domains of devices. It waits for vCPUs that are inside KVM_RUN only, and a thread is
 * there with no lock, domain or read section (fh_kvm_run()'s context), waiting for nothing but the
 * guest or the kick. A vCPU that does anything else, such as wait for the topology lock in an
 * access that it makes for the guest, or is itself the one who edits, is outside and not waited
 * for. A vCPU that waits at the gate holds nothing as well, and the one it waits for opens the gate
 * before its commit is over, in which it waits for nothing but vCPUs that are inside KVM_RUN, those
 * of other virtual machines included.
 *
 * R1. immediate_exit, kicked and interrupted are written under the lock. immediate_exit is set
 *     before the kick: a vCPU that the signal reaches on its way into KVM_RUN does not stay there.
 * R2. An end of KVM_RUN by a signal reaches the embedder unless the library alone wanted it.
 */
#include "accel/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/barrier.h"

/* Under the lock. */
static void vcpu_kick(struct fh_kvm_vcpu *vcpu)
{
	/*
	 * As with the gate: who does not see it inside has stored this before it came in, and KVM
	 * looks at it there.
	 */
	fh_barrier_store((_Atomic uint8_t *)&vcpu->run->immediate_exit, 1);
	if (atomic_load_explicit(&vcpu->inside, memory_order_seq_cst))
		vcpu->kick(vcpu->arg);
}

/* --- The gate ------------------------------------------------------------------------------- */

static bool any_inside(const struct kvm *kvm)
{
	for (const struct fh_kvm_vcpu *vcpu = kvm->vcpus; vcpu; vcpu = vcpu->next)
		if (atomic_load_explicit(&vcpu->inside, memory_order_seq_cst))
			return true;
	return false;
}

void kvm_close(struct kvm *kvm)
{
	if (kvm->closes++ > 0)
		return;
	pthread_mutex_lock(&kvm->lock);
	fh_barrier_store(&kvm->closed, true);
	for (struct fh_kvm_vcpu *vcpu = kvm->vcpus; vcpu; vcpu = vcpu->next) {
		if (atomic_load_explicit(&vcpu->inside, memory_order_seq_cst)) {
			vcpu->kicked = true;
			vcpu_kick(vcpu);
		}
	}
	while (any_inside(kvm))
		pthread_cond_wait(&kvm->idle, &kvm->lock);
	pthread_mutex_unlock(&kvm->lock);
}

void kvm_open(struct kvm *kvm)
{
	if (--kvm->closes > 0)
		return;
	pthread_mutex_lock(&kvm->lock);
	fh_barrier_store(&kvm->closed, false);
	pthread_cond_broadcast(&kvm->open);
	pthread_mutex_unlock(&kvm->lock);
}

void kvm_end(struct kvm *kvm)
{
	pthread_mutex_lock(&kvm->lock);
	/* Release: with the acquire in fh_kvm_run(), which may also come from the lock. */
	atomic_store_explicit(&kvm->dead, true, memory_order_release);
	for (struct fh_kvm_vcpu *vcpu = kvm->vcpus; vcpu; vcpu = vcpu->next) {
		vcpu->kicked = true;
		vcpu_kick(vcpu);
	}
	pthread_mutex_unlock(&kvm->lock);
}

static void vcpu_leave(struct fh_kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;

	fh_barrier_store(&vcpu->inside, false);
	if (atomic_load_explicit(&kvm->closed, memory_order_seq_cst)) {
		pthread_mutex_lock(&kvm->lock);
		pthread_cond_signal(&kvm->idle);
		pthread_mutex_unlock(&kvm->lock);
	}
}

static void vcpu_enter(struct fh_kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;

	for (;;) {
		fh_barrier_store(&vcpu->inside, true);
		if (!atomic_load_explicit(&kvm->closed, memory_order_seq_cst))
			return;
		vcpu_leave(vcpu);
		pthread_mutex_lock(&kvm->lock);
		while (atomic_load_explicit(&kvm->closed, memory_order_relaxed))
			pthread_cond_wait(&kvm->open, &kvm->lock);
		pthread_mutex_unlock(&kvm->lock);
	}
}

/* KVM_RUN was ended from outside. True: the library alone wanted it. */
static bool vcpu_was_kicked(struct fh_kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	bool ours;

	pthread_mutex_lock(&kvm->lock);
	ours = vcpu->kicked && !vcpu->interrupted;
	vcpu->kicked = vcpu->interrupted = false;
	/* Relaxed: its own thread's, which goes into KVM_RUN next. */
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&kvm->lock);
	return ours;
}

/* --- Running -------------------------------------------------------------------------------- */

static void vcpu_access(struct fh_kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_run *run = vcpu->run;
	const uint64_t addr = run->mmio.phys_addr;
	const unsigned size = run->mmio.len;
	const bool write = run->mmio.is_write;
	uint64_t value = 0;
	enum fh_tx tx;

	/* The bytes as they lie in memory, whatever the guest takes them for. */
	fh_assert(size > 0 && size <= sizeof(value));
	if (write) {
		memcpy(&value, run->mmio.data, size);
		tx = fh_space_store(kvm->space, addr, size, FH_LE, kvm->options.attrs, value);
	} else {
		tx = fh_space_load(kvm->space, addr, size, FH_LE, kvm->options.attrs, &value);
		if (tx != FH_TX_OK)
			value = UINT64_MAX;
		memcpy(run->mmio.data, &value, size);
	}
	if (tx != FH_TX_OK && kvm->options.failed)
		kvm->options.failed(kvm->options.arg, vcpu, addr, run->mmio.data, size, write, tx);
}

enum fh_code fh_kvm_run(struct fh_kvm_vcpu *vcpu, struct fh_error *err)
{
	struct kvm *kvm = vcpu->kvm;

	for (;;) {
		/* Acquire: from kvm_end(). */
		if (atomic_load_explicit(&kvm->dead, memory_order_acquire))
			return fh_error_set(err, FH_EDEAD, "KVM's part is disposed of");
		fh_machine_throttle(kvm->machine);
		vcpu_enter(vcpu);
		const int result = kvm_call(kvm, vcpu->fd, KVM_RUN, NULL);

		vcpu_leave(vcpu);
		if (result == -EINTR || result == -EAGAIN) {
			if (!vcpu_was_kicked(vcpu))
				return fh_error_set(err, FH_ECANCELED, "KVM_RUN was interrupted");
		} else if (result < 0) {
			return fh_error_set(err, FH_EIO, "KVM_RUN: %s", strerror(-result));
		} else if (vcpu->run->exit_reason == KVM_EXIT_MMIO) {
			vcpu_access(vcpu);
		} else {
			return FH_OK;
		}
	}
}

void fh_kvm_vcpu_interrupt(struct fh_kvm_vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->kvm->lock);
	vcpu->interrupted = true;
	vcpu_kick(vcpu);
	pthread_mutex_unlock(&vcpu->kvm->lock);
}

/* --- Birth and end -------------------------------------------------------------------------- */

struct fh_kvm_vcpu *fh_kvm_vcpu_new(struct fh_kvm *object, int vcpu_fd, struct kvm_run *run,
				    void (*kick)(void *arg), void *arg, struct fh_error *err)
{
	struct kvm *kvm = kvm_of(object);
	const int fd = fcntl(vcpu_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0) {
		fh_error_set(err, FH_EIO, "the descriptor of a vCPU: %s", strerror(errno));
		return NULL;
	}
	/* Acquire: from kvm_end(). */
	if (atomic_load_explicit(&kvm->dead, memory_order_acquire) ||
	    !fh_object_try_ref((struct fh_object *)object)) {
		close(fd);
		fh_error_set(err, FH_EDEAD, "KVM's part is disposed of");
		return NULL;
	}

	struct fh_kvm_vcpu *vcpu = fh_alloc(sizeof(*vcpu));

	*vcpu = (struct fh_kvm_vcpu){
		.object = object, .kvm = kvm, .fd = fd, .run = run, .kick = kick, .arg = arg
	};
	pthread_mutex_lock(&kvm->lock);
	vcpu->next = kvm->vcpus;
	kvm->vcpus = vcpu;
	pthread_mutex_unlock(&kvm->lock);
	return vcpu;
}

struct fh_kvm_vcpu *fh_kvm_vcpu_free(struct fh_kvm_vcpu *vcpu)
{
	struct fh_kvm_vcpu **link;

	if (!vcpu)
		return NULL;
	fh_assert(!atomic_load_explicit(&vcpu->inside, memory_order_relaxed));
	pthread_mutex_lock(&vcpu->kvm->lock);
	for (link = &vcpu->kvm->vcpus; *link != vcpu; link = &(*link)->next)
		;
	*link = vcpu->next;
	pthread_mutex_unlock(&vcpu->kvm->lock);
	close(vcpu->fd);
	fh_object_unref((struct fh_object *)vcpu->object);
	fh_free(vcpu);
	return NULL;
}
