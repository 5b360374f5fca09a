/* SPDX-License-Identifier: MIT */
/*
 * A small real-mode guest under the host's KVM, if it has one. Included once, by the test's own
 * file. Its vCPUs run the same code, and know each other by bx.
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

enum { HOST_CPUS = 2 };

struct host_cpu {
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	enum fh_code code;
	struct fh_kvm_vcpu *known;
};

struct host {
	struct kvm_calls calls; /* that count */
	int kvm, vm;
	size_t run_size;
	_Atomic unsigned runs;
	struct host_cpu cpus[HOST_CPUS];
	unsigned started; /* of them */
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
	pthread_kill(((struct host_cpu *)arg)->thread, SIGUSR1);
}

static const char *host_open_cpu(const struct host *host, unsigned index, struct host_cpu *cpu)
{
	cpu->fd = ioctl(host->vm, KVM_CREATE_VCPU, index);
	if (cpu->fd < 0)
		return "KVM_CREATE_VCPU";
	cpu->run = mmap(NULL, host->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	return cpu->run == MAP_FAILED ? "the vCPU's state" : NULL;
}

/* What is missing, or NULL. */
static const char *host_open_all(struct host *host)
{
	const struct sigaction action = { .sa_handler = on_signal };
	const char *missing = NULL;

	host->kvm = host->vm = -1;
	for (unsigned i = 0; i < HOST_CPUS; i++)
		host->cpus[i] = (struct host_cpu){ .fd = -1, .run = MAP_FAILED };
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
	host->run_size = (size_t)ioctl(host->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	for (unsigned i = 0; i < HOST_CPUS && !missing; i++)
		missing = host_open_cpu(host, i, &host->cpus[i]);
	if (missing)
		return missing;
	host->calls = (struct kvm_calls){ .call = host_call, .arg = host };
	return sigaction(SIGUSR1, &action, NULL) < 0 ? "SIGUSR1" : NULL;
}

static void host_close(struct host *host)
{
	for (unsigned i = 0; i < HOST_CPUS; i++) {
		if (host->cpus[i].run != MAP_FAILED)
			munmap(host->cpus[i].run, host->run_size);
		if (host->cpus[i].fd >= 0)
			close(host->cpus[i].fd);
	}
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
	struct host_cpu *cpu = arg;

	cpu->code = fh_kvm_run(cpu->known, NULL);
	return NULL;
}

/* All but bx and where the code is are as after a reset. */
static void host_set_registers(const struct host_cpu *cpu, uint16_t bx)
{
#if defined(__x86_64__)
	const struct kvm_regs regs = { .rip = HOST_CODE, .rflags = 2, .rbx = bx };
	struct kvm_sregs sregs;

	assert_int_equal(ioctl(cpu->fd, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = sregs.cs.selector = 0;
	assert_int_equal(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(ioctl(cpu->fd, KVM_SET_REGS, &regs), 0);
#else
	(void)cpu, (void)bx;
#endif
}

/* So many vCPUs, from the start of the code; bx is @stride times the vCPU's index. */
static void host_start(struct host *host, struct fh_kvm *kvm, unsigned count, uint16_t stride)
{
	for (host->started = 0; host->started < count; host->started++) {
		struct host_cpu *cpu = &host->cpus[host->started];

		host_set_registers(cpu, (uint16_t)(stride * host->started));
		cpu->known = fh_kvm_vcpu_new(kvm, cpu->fd, cpu->run, host_kick, cpu, NULL);
		assert_non_null(cpu->known);
		assert_int_equal(pthread_create(&cpu->thread, NULL, host_main, cpu), 0);
	}
}

/* All vCPUs have halted. */
static void host_join(struct host *host)
{
	for (unsigned i = 0; i < host->started; i++) {
		struct host_cpu *cpu = &host->cpus[i];

		pthread_join(cpu->thread, NULL);
		fh_kvm_vcpu_free(cpu->known);
		assert_int_equal(cpu->code, FH_OK);
		assert_int_equal(cpu->run->exit_reason, KVM_EXIT_HLT);
	}
}

#endif
