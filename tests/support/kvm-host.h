/* SPDX-License-Identifier: MIT */
/*
 * A small real-mode guest under the host's KVM, if it has one. Included once, by the test's own
 * file.
 */
#ifndef SUPPORT_KVM_HOST_H
#define SUPPORT_KVM_HOST_H

#include "support/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel/kvm.h"

#define HOST_CODE 0x1000 /* where it begins, with all segments at 0 */

struct host {
	struct kvm_calls calls; /* that count */
	int kvm, vm, vcpu;
	size_t run_size;
	struct kvm_run *run;
	_Atomic unsigned runs;
	pthread_t thread;
	enum fh_code code;
	struct fh_kvm_vcpu *known;
};

static int host_call(void *arg, int fd, unsigned long request, void *argument)
{
	struct host *host = arg;

	host->runs += request == KVM_RUN;
	const int result = ioctl(fd, request, argument);

	return result < 0 ? -errno : result;
}

static void on_signal(int number)
{
	(void)number; /* that it came has ended KVM_RUN */
}

static void host_kick(void *arg)
{
	pthread_kill(((struct host *)arg)->thread, SIGUSR1);
}

/* What is missing, or NULL. */
static const char *host_open_all(struct host *host)
{
	const struct sigaction action = { .sa_handler = on_signal };

	host->kvm = host->vm = host->vcpu = -1;
	host->run = MAP_FAILED;
#if !defined(__x86_64__)
	return "the guest is one for x86";
#endif
	host->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (host->kvm < 0)
		return "/dev/kvm";
	if (ioctl(host->kvm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return "KVM_CAP_IMMEDIATE_EXIT";
	if (ioctl(host->kvm, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD) <= 0)
		return "KVM_CAP_IOEVENTFD";
	host->vm = ioctl(host->kvm, KVM_CREATE_VM, 0);
	if (host->vm < 0)
		return "KVM_CREATE_VM";
	host->vcpu = ioctl(host->vm, KVM_CREATE_VCPU, 0);
	if (host->vcpu < 0)
		return "KVM_CREATE_VCPU";
	host->run_size = (size_t)ioctl(host->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	host->run = mmap(NULL, host->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, host->vcpu, 0);
	if (host->run == MAP_FAILED)
		return "the vCPU's state";
	host->calls = (struct kvm_calls){ .call = host_call, .arg = host };
	return sigaction(SIGUSR1, &action, NULL) < 0 ? "SIGUSR1" : NULL;
}

static void host_close(struct host *host)
{
	if (host->run != MAP_FAILED)
		munmap(host->run, host->run_size);
	if (host->vcpu >= 0)
		close(host->vcpu);
	if (host->vm >= 0)
		close(host->vm);
	if (host->kvm >= 0)
		close(host->kvm);
}

/* False, and it says why: skip. */
static bool host_open(struct host *host)
{
	const char *missing;

	memset(host, 0, sizeof(*host));
	missing = host_open_all(host);
	if (!missing)
		return true;
	fprintf(stderr, "skipped: %s is not there\n", missing);
	host_close(host);
	return false;
}

static void *host_main(void *arg)
{
	struct host *host = arg;

	host->code = fh_kvm_run(host->known, NULL);
	return NULL;
}

/* From the start of its code. */
static void host_start(struct host *host, struct fh_kvm *kvm)
{
#if defined(__x86_64__)
	const struct kvm_regs regs = { .rip = HOST_CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	assert_int_equal(ioctl(host->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = sregs.cs.selector = 0;
	assert_int_equal(ioctl(host->vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(ioctl(host->vcpu, KVM_SET_REGS, &regs), 0);
#endif
	host->known = fh_kvm_vcpu_new(kvm, host->vcpu, host->run, host_kick, host, NULL);
	assert_non_null(host->known);
	assert_int_equal(pthread_create(&host->thread, NULL, host_main, host), 0);
}

/* The guest has halted. */
static void host_join(struct host *host)
{
	pthread_join(host->thread, NULL);
	fh_kvm_vcpu_free(host->known);
	assert_int_equal(host->code, FH_OK);
	assert_int_equal(host->run->exit_reason, KVM_EXIT_HLT);
}

#endif
