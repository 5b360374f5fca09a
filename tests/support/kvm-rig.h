/* SPDX-License-Identifier: MIT */
/*
 * A machine under a KVM that the test plays itself (fake-kvm.h), and threads that run its vCPUs.
 * Included once, by the test's own file.
 */
#ifndef SUPPORT_KVM_RIG_H
#define SUPPORT_KVM_RIG_H

#include "support/fake-kvm.h"
#include "support/probe.h"

#include "base/point.h"

#define PAGE UINT64_C(0x1000)

static struct fake_kvm fake;
static struct fh_machine *m;
static struct fh_space *space;
static struct fh_region *root;
static int fd; /* of anything: the fake does not look at it */

struct cpu {
	struct fh_kvm_vcpu *vcpu;
	struct kvm_run run;
	pthread_t thread;
	bool started;
	enum fh_code code;
};

static struct cpu cpus[3];

static int idle_guest(struct fake_kvm *f, int vcpu_fd)
{
	(void)f, (void)vcpu_fd;
	return 1;
}

static int setup(void **state)
{
	(void)state;
	fake_init(&fake);
	fake.guest = idle_guest;
	memset(cpus, 0, sizeof(cpus));
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	m = machine_begin();
	space = fh_machine_memory(m);
	root = fh_space_root(space);
	return 0;
}

static enum fh_code cpu_join(struct cpu *cpu)
{
	pthread_join(cpu->thread, NULL);
	cpu->started = false;
	assert_null(fh_kvm_vcpu_free(cpu->vcpu));
	return cpu->code;
}

static int teardown(void **state)
{
	(void)state;
	fh_point_release_all();
	for (unsigned i = 0; i < 3; i++) {
		if (cpus[i].started) { /* the test has failed */
			fh_kvm_vcpu_interrupt(cpus[i].vcpu);
			cpu_join(&cpus[i]);
		}
	}
	machine_end(m);
	close(fd);
	assert_string_equal(fake.wrong ? fake.wrong : "", "");
	assert_int_equal(fake_count(&fake), 0);
	assert_int_equal(fake.event_count, 0);
	return 0;
}

static struct fh_kvm *begin(const struct fh_kvm_options *options)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_kvm *kvm = kvm_new_with(m, space, fd, options, &fake.calls, &err);

	assert_string_equal(err.message, "");
	assert_non_null(kvm);
	return kvm;
}

/* At once, where its last ref would leave that to control. */
static inline void end(struct fh_kvm *kvm)
{
	fh_kvm_destroy(kvm);
	fh_object_unref(kvm);
}

/* --- vCPUs ---------------------------------------------------------------------------------- */

static void *cpu_main(void *arg)
{
	struct cpu *cpu = arg;

	fake_run_of_thread = &cpu->run;
	cpu->code = fh_kvm_run(cpu->vcpu, NULL);
	return NULL;
}

static void cpu_new(struct cpu *cpu, struct fh_kvm *kvm)
{
	*cpu = (struct cpu){ .code = FH_OK };
	cpu->vcpu = fh_kvm_vcpu_new(kvm, fd, &cpu->run, fake_kick, &fake, NULL);
	assert_non_null(cpu->vcpu);
}

static inline void cpu_start(struct cpu *cpu, struct fh_kvm *kvm)
{
	cpu_new(cpu, kvm);
	assert_int_equal(pthread_create(&cpu->thread, NULL, cpu_main, cpu), 0);
	cpu->started = true;
}

static inline void wait_for_runs(unsigned count)
{
	for (bool there = false; !there; sched_yield()) {
		fake_lock(&fake);
		there = fake.runs >= count;
		fake_unlock(&fake);
	}
}

#endif
