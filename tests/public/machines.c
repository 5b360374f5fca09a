/* SPDX-License-Identifier: MIT */
/*
 * Many machines in one process: alive at once, made and destroyed on many threads, in a process
 * that forks, and in one that has no room for another.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <freehold/freehold.h>

#define MACHINES 1000
#define THREADS 4
#define ROUNDS 50

struct counter {
	uint64_t writes;
	struct fh_timer *timer;
	bool expired;
};

static enum fh_tx counter_write(void *state, uint64_t offset, uint64_t value, unsigned size,
				struct fh_attrs attrs)
{
	struct counter *counter = state;

	(void)offset, (void)size, (void)attrs;
	counter->writes += value;
	fh_timer_arm(counter->timer, 0);
	return FH_TX_OK;
}

static void counter_expired(void *state)
{
	((struct counter *)state)->expired = true;
}

static const struct fh_region_ops counter_regs = { .write = counter_write };

static enum fh_code counter_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	((struct counter *)state)->timer = fh_timer_new(device, "timer", counter_expired, state);
	return fh_device_export(
		device, fh_region_new_mmio(device, "regs", 0x1000, &counter_regs, state), err);
}

static const struct fh_type counter_type = {
	.name = "counter", .parent = &fh_device_type, .state_size = sizeof(struct counter),
	.device = &(const struct fh_device_ops){ .realize = counter_realize }
};

/* A machine with RAM and a device that has counted @value. */
static struct fh_machine *machine_with_a_counter(uint32_t value)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_region *root = fh_space_root(fh_machine_memory(m));
	struct fh_device *device = fh_device_plug(m, &counter_type, "counter", NULL, NULL);
	struct fh_region *ram = fh_region_new_ram(device, "ram", 0x10000, NULL);

	assert_int_equal(fh_region_add(root, fh_device_region(device, "regs"), 0x1000, 0), FH_OK);
	assert_int_equal(fh_region_add(root, ram, 0x10000, 0), FH_OK);
	assert_int_equal(fh_space_store32(fh_machine_memory(m), 0x1000, value, FH_LE), FH_TX_OK);
	assert_int_equal(fh_space_store32(fh_machine_memory(m), 0x10000, value, FH_LE), FH_TX_OK);
	return m;
}

static bool machine_has(struct fh_machine *m, uint32_t value)
{
	struct fh_object *device = fh_object_find(m, "/counter");
	const struct counter *counter = fh_object_state(device, &counter_type);
	uint32_t word = 0;
	bool good;

	fh_machine_poll(m);
	good = counter->expired && counter->writes == value &&
	       fh_space_load32(fh_machine_memory(m), 0x10000, FH_LE, &word) == FH_TX_OK &&
	       word == value;
	fh_object_unref(device);
	return good;
}

static void thousand_machines_are_alive_at_once(void **state)
{
	static struct fh_machine *machines[MACHINES];

	(void)state;
	for (uint32_t i = 0; i < MACHINES; i++)
		machines[i] = machine_with_a_counter(i);
	for (uint32_t i = 0; i < MACHINES; i++)
		assert_true(machine_has(machines[i], i));
	for (uint32_t i = 0; i < MACHINES; i++) /* those made first go first */
		assert_int_equal(fh_machine_destroy(machines[i]), 0);
}

static void *make_and_destroy(void *arg)
{
	uintptr_t wrong = 0;

	(void)arg;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct fh_machine *m = machine_with_a_counter(i);

		wrong += !machine_has(m, i);
		wrong += fh_machine_destroy(m) != 0;
	}
	return (void *)wrong;
}

static void threads_make_and_destroy_machines_of_their_own(void **state)
{
	pthread_t threads[THREADS];
	void *wrong;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_and_destroy, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

/* The child may not use the machine; the parent's is none the worse for it. */
static void process_with_a_machine_may_start_others(void **state)
{
	struct fh_machine *m = machine_with_a_counter(7);
	int status = 0;
	const pid_t child = fork();

	(void)state;
	if (child == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(machine_has(m, 7));
	assert_int_equal(fh_machine_destroy(m), 0);
}

static bool refused(void)
{
	struct fh_error err = FH_ERROR_INIT;

	return !fh_machine_new(NULL, &err) && err.code == FH_EAGAIN && err.message[0] != '\0';
}

/* Threads are given a stack of that size if nobody says otherwise; returns what it was. */
static size_t set_default_stack(size_t size)
{
	pthread_attr_t attr;
	size_t before;

	assert_int_equal(pthread_getattr_default_np(&attr), 0);
	pthread_attr_getstacksize(&attr, &before);
	assert_int_equal(pthread_attr_setstacksize(&attr, size), 0);
	assert_int_equal(pthread_setattr_default_np(&attr), 0);
	pthread_attr_destroy(&attr);
	return before;
}

static void host_without_a_thread_refuses_and_nothing_is_left(void **state)
{
	/* No host has that much address space. What leaks, the leak checkers see. */
	const size_t stack = set_default_stack((size_t)1 << 60);
	struct fh_machine *m;
	sigset_t mask;
	bool good = true;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++)
		good = refused() && good;
	set_default_stack(stack);
	assert_true(good);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	assert_false(sigismember(&mask, SIGUSR1));
	m = machine_with_a_counter(7);
	assert_true(machine_has(m, 7));
	assert_int_equal(fh_machine_destroy(m), 0);
}

/* In a process that has not used the library yet: afterwards it has the key. */
static bool refused_without_keys(void)
{
	pthread_key_t key, last = 0;
	struct fh_machine *m;
	unsigned taken = 0;

	while (taken <= PTHREAD_KEYS_MAX && pthread_key_create(&key, NULL) == 0)
		last = key, taken++;
	if (taken == 0 || !refused() || !refused())
		return false;
	pthread_key_delete(last);
	m = fh_machine_new(NULL, NULL);
	return m && fh_machine_destroy(m) == 0;
}

static void process_without_keys_is_refused_until_it_has_one(void **state)
{
	int status = 0;
	const pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(refused_without_keys() ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: nobody has used the library yet. */
		cmocka_unit_test(process_without_keys_is_refused_until_it_has_one),
		cmocka_unit_test(host_without_a_thread_refuses_and_nothing_is_left),
		cmocka_unit_test(thousand_machines_are_alive_at_once),
		cmocka_unit_test(threads_make_and_destroy_machines_of_their_own),
		cmocka_unit_test(process_with_a_machine_may_start_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
