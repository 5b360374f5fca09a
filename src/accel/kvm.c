/* SPDX-License-Identifier: MIT */
/*
 * The object that ties an address space to KVM: its birth, its end, its errors.
 *
 * It is an object of the public kind, and its listener is its child. The listener pins it, so that
 * the state is there until the last removal was told; vCPUs have a ref each.
 */
#include "accel/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int call_host(void *arg, int fd, unsigned long request, void *argument)
{
	(void)arg;
	const int result = ioctl(fd, request, argument);

	return result < 0 ? -errno : result;
}

/* --- The type ------------------------------------------------------------------------------- */

static enum fh_code kvm_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct kvm *kvm = state;

	(void)err;
	kvm->machine = fh_object_get_machine(object);
	kvm->fd = -1;
	pthread_mutex_init(&kvm->lock, NULL);
	pthread_cond_init(&kvm->idle, NULL);
	pthread_cond_init(&kvm->open, NULL);
	return FH_OK;
}

static void kvm_dispose(struct fh_object *object, void *state)
{
	(void)object;
	kvm_end(state);
}

static void kvm_finalize(struct fh_object *object, void *state)
{
	struct kvm *kvm = state;

	(void)object;
	fh_assert(!kvm->vcpus); /* each has a ref */
	if (kvm->fd >= 0)
		close(kvm->fd);
	fh_free(kvm->slots.at);
	fh_free(kvm->fresh.at);
	fh_free(kvm->unused);
	fh_free(kvm->events.at);
	fh_free(kvm->touched.at);
	fh_free(kvm->bitmap);
	pthread_cond_destroy(&kvm->open);
	pthread_cond_destroy(&kvm->idle);
	pthread_mutex_destroy(&kvm->lock);
	if (kvm->space)
		fh_object_unref(kvm->space);
}

static const struct fh_type kvm_type = {
	.name = "kvm",
	.state_size = sizeof(struct kvm),
	.init = kvm_init,
	.dispose = kvm_dispose,
	.finalize = kvm_finalize,
};

struct kvm *kvm_of(struct fh_kvm *object)
{
	return fh_object_state((struct fh_object *)object, &kvm_type);
}

/* --- Birth ---------------------------------------------------------------------------------- */

static int extension(const struct kvm_calls *calls, int fd, uintptr_t capability)
{
	return calls->call(calls->arg, fd, KVM_CHECK_EXTENSION, (void *)capability);
}

/* What the host has; nothing is made yet. Returns how many slots there are, or 0. */
static uint32_t host_slots(const struct kvm_calls *calls, int fd, struct fh_error *err)
{
	const int slots = extension(calls, fd, KVM_CAP_NR_MEMSLOTS);

	if (extension(calls, fd, KVM_CAP_USER_MEMORY) <= 0) {
		fh_error_set(err, FH_ENOTSUP, "the descriptor is not KVM's, or has no user memory");
		return 0;
	}
	if (extension(calls, fd, KVM_CAP_IMMEDIATE_EXIT) <= 0) {
		fh_error_set(err, FH_ENOTSUP, "the host's KVM has no immediate exit");
		return 0;
	}
	return slots > 0 ? (uint32_t)slots : 32; /* what there is where nothing is said */
}

static uint32_t slot_limit(const struct fh_kvm_options *options, uint32_t slots)
{
	const uint32_t below = options->slot_first & 0xffff;
	const uint32_t left = slots > below ? slots - below : 0;

	return options->slot_limit && options->slot_limit < left ? options->slot_limit : left;
}

static enum fh_code check(struct kvm *kvm, const struct kvm_trouble *trouble, struct fh_error *err)
{
	struct fh_error fault;

	pthread_mutex_lock(&kvm->lock);
	fault = trouble->fault;
	pthread_mutex_unlock(&kvm->lock);
	return fault.code == FH_OK ? FH_OK : fh_error_set(err, fault.code, "%s", fault.message);
}

/* Nothing of it stays. Returns NULL. */
static struct fh_kvm *give_up(struct fh_object *object, bool owned)
{
	fh_object_dispose(object);
	if (owned)
		fh_object_unref(object);
	return NULL;
}

struct fh_kvm *kvm_new_with(FH_ANY owner, struct fh_space *space, int vm_fd,
			    const struct fh_kvm_options *options, const struct kvm_calls *calls,
			    struct fh_error *err)
{
	struct fh_machine *m = fh_object_get_machine(space);
	const bool owned = owner.machine == m || owner.object == fh_machine_root(m);
	const uint32_t slots = host_slots(calls, vm_fd, err);
	struct fh_object *object;

	if (slots == 0)
		return NULL;
	object = owned ? fh_object_new(m, &kvm_type, err) :
			 fh_object_new_child(owner, NULL, &kvm_type, err);
	if (!object)
		return NULL;

	struct kvm *kvm = fh_object_state(object, &kvm_type);

	kvm->calls = *calls;
	if (options)
		kvm->options = *options;
	kvm->limit = slot_limit(&kvm->options, slots);
	kvm->has_readonly = extension(calls, vm_fd, KVM_CAP_READONLY_MEM) > 0;
	kvm->has_eventfds = extension(calls, vm_fd, KVM_CAP_IOEVENTFD) > 0;
	kvm->takes_eventfds = !kvm->options.attrs.debug && !kvm->options.attrs.memory_only &&
			      kvm->options.slot_first >> 16 == 0;
	kvm->has_any_length = kvm->options.eventfd_any_length &&
			      extension(calls, vm_fd, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
	kvm->page = (uint64_t)sysconf(_SC_PAGESIZE);
	kvm->fd = fcntl(vm_fd, F_DUPFD_CLOEXEC, 0);
	if (kvm->fd < 0) {
		fh_error_set(err, FH_EIO, "the descriptor of KVM's machine: %s", strerror(errno));
		return give_up(object, owned);
	}
	if (!fh_object_try_ref(space)) {
		fh_error_set(err, FH_EDEAD, "the address space is disposed of");
		return give_up(object, owned);
	}
	kvm->space = space;
	if (!fh_listener_new(object, space, 0, &kvm_listener_ops, kvm)) {
		fh_error_set(err, FH_EDEAD, "the owner or the address space is disposed of");
		return give_up(object, owned);
	}
	if (check(kvm, &kvm->slot_trouble, err) != FH_OK)
		return give_up(object, owned);
	return (struct fh_kvm *)object;
}

struct fh_kvm *fh_kvm_new(FH_ANY owner, struct fh_space *space, int vm_fd,
			  const struct fh_kvm_options *options, struct fh_error *err)
{
	static const struct kvm_calls host = { .call = call_host };

	return kvm_new_with(owner, space, vm_fd, options, &host, err);
}

struct fh_kvm *fh_kvm_destroy(struct fh_kvm *object)
{
	if (object)
		fh_object_dispose((struct fh_object *)object);
	return NULL;
}

enum fh_code fh_kvm_check(struct fh_kvm *object, struct fh_error *err)
{
	struct kvm *kvm = kvm_of(object);
	const enum fh_code code = check(kvm, &kvm->slot_trouble, err);

	return code == FH_OK ? check(kvm, &kvm->event_trouble, err) : code;
}
