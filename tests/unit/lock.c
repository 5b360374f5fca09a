/* SPDX-License-Identifier: MIT */
/*
 * The lock, the futex words beneath it, and the gate.
 *
 * A lost wake-up shows as a hang, which the timeout of the test run ends.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/lock.h"
#include "base/point.h"
#include "support/dies.h"
#include "support/scale.h"

enum { THREADS = 4, INCREMENTS = 50000, ROUNDS = 100000, MS = 1000000 };

static struct fh_lock lock;
static unsigned long counter; /* guarded by lock, no atomic: ThreadSanitizer looks on */

static pthread_t start(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	fh_assert(pthread_create(&thread, NULL, body, arg) == 0);
	return thread;
}

static void join(pthread_t thread)
{
	fh_assert(pthread_join(thread, NULL) == 0);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int reset(void **state)
{
	(void)state;
	fh_lock_init(&lock);
	counter = 0;
	return 0;
}

static int release_points(void **state)
{
	(void)state;
	fh_point_release_all();
	return 0;
}

static void owner_is_who_acquired(void **state)
{
	(void)state;
	assert_null(fh_lock_owner(&lock));
	fh_lock_acquire(&lock);
	assert_true(fh_lock_held_by_me(&lock));
	assert_ptr_equal(fh_lock_owner(&lock), fh_thread_self());
	fh_lock_release(&lock);
	assert_false(fh_lock_held_by_me(&lock));
}

static void *try_once(void *ret_success)
{
	bool success = fh_lock_try(&lock);

	*(bool *)ret_success = success;
	if (success)
		fh_lock_release(&lock);
	return NULL;
}

static void try_succeeds_only_on_a_free_lock(void **state)
{
	bool success = true;

	(void)state;
	fh_lock_acquire(&lock);
	join(start(try_once, &success));
	assert_false(success);
	fh_lock_release(&lock);
	join(start(try_once, &success));
	assert_true(success);
}

static void acquire_twice(void) FH_NO_THREAD_SAFETY_ANALYSIS
{
	fh_lock_acquire(&lock);
	fh_lock_acquire(&lock);
}

static void release_unowned(void) FH_NO_THREAD_SAFETY_ANALYSIS
{
	fh_lock_release(&lock);
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(acquire_twice, "owner(lock) != t"));
	assert_true(dies_saying(release_unowned, "held_by_me"));
}

static void *increment(void *arg)
{
	for (unsigned i = 0; i < INCREMENTS; i++) {
		fh_lock_acquire(&lock);
		counter++;
		fh_lock_release(&lock);
	}
	return arg;
}

static void no_increment_is_lost(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = start(increment, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		join(threads[i]);
	assert_int_equal(counter, THREADS * INCREMENTS);
	assert_null(fh_lock_owner(&lock));
	assert_int_equal(atomic_load_explicit(&lock.waiters, memory_order_relaxed), 0);
}

/* Holds now and then for longer than anybody spins, so that every round of waiting occurs. */
static void hold_a_while(unsigned long random)
{
	const unsigned long kind = random % 64;
	int64_t until;

	if (kind >= 8)
		return;
	until = now_ns() + (int64_t)(random / 64 % (kind == 0 ? 30000 : 3000));
	while (now_ns() < until)
		;
}

static void *contend(void *arg)
{
	unsigned long random = (unsigned long)(uintptr_t)arg;
	unsigned long mine;

	do {
		random = random * 6364136223846793005ul + 1442695040888963407ul;
		fh_lock_acquire(&lock);
		mine = ++counter;
		hold_a_while(random >> 32);
		fh_lock_release(&lock);
		hold_a_while(random >> 40);
	} while (mine < ROUNDS);
	return NULL;
}

static void contend_on_all_threads(void)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = start(contend, (void *)(uintptr_t)(i + 1));
	for (unsigned i = 0; i < THREADS; i++)
		join(threads[i]);
}

static void no_wake_up_is_lost_in_contended_rounds(void **state)
{
	(void)state;
	contend_on_all_threads();
	assert_true(counter >= ROUNDS);
}

/* From here on the kernel of this process has no membarrier. False if that cannot be had. */
static bool forbid_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = 4, .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
	       syscall(SYS_membarrier, 0, 0, 0) < 0;
}

/* Rule E, in a child of its own, since there is no way back. */
static void no_wake_up_is_lost_for_good_without_membarrier(void **state)
{
	enum { DONE, CANNOT, WRONG };
	int status = -1;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		alarm(patience(50));
		if (!forbid_membarrier())
			_exit(CANNOT);
		contend_on_all_threads();
		_exit(counter >= ROUNDS ? DONE : WRONG);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		skip();
	assert_int_equal(WEXITSTATUS(status), DONE);
}

static void *count_once(void *arg)
{
	fh_lock_acquire(&lock);
	counter++;
	fh_lock_release(&lock);
	return arg;
}

/* Rule B: (c) is before the release, which therefore wakes; the look (e) is after it. */
static void waiter_that_was_counted_before_the_release_gets_the_lock(void **state)
{
	pthread_t waiter;

	(void)state;
	fh_point_arm("lock.counted");
	fh_lock_acquire(&lock);
	waiter = start(count_once, NULL);
	assert_true(fh_point_wait("lock.counted"));
	fh_lock_release(&lock);
	fh_point_release("lock.counted");
	join(waiter);
	assert_int_equal(counter, 1);
}

/* Rule C: the wake-up comes between the look (e) and the sleep (f), where nobody hears it. */
static void waiter_does_not_sleep_on_a_lock_released_since_it_looked(void **state)
{
	pthread_t waiter;

	(void)state;
	fh_point_arm("lock.before-sleep");
	fh_lock_acquire(&lock);
	waiter = start(count_once, NULL);
	assert_true(fh_point_wait("lock.before-sleep"));
	fh_lock_release(&lock);
	fh_point_release("lock.before-sleep");
	join(waiter);
	assert_int_equal(counter, 1);
}

/* Rule C: the same thread owns the lock again when the waiter comes to sleep on it. */
static void waiter_that_sleeps_on_a_later_hold_is_woken_from_it(void **state)
{
	const struct timespec time = {.tv_nsec = 20 * MS};
	pthread_t waiter;

	(void)state;
	fh_point_arm("lock.before-sleep");
	fh_lock_acquire(&lock);
	waiter = start(count_once, NULL);
	assert_true(fh_point_wait("lock.before-sleep"));
	fh_lock_release(&lock);
	fh_lock_acquire(&lock);
	fh_point_release("lock.before-sleep");
	nanosleep(&time, NULL);
	assert_int_equal(counter, 0);
	fh_lock_release(&lock);
	join(waiter);
	assert_int_equal(counter, 1);
}

/* Rule D: two sleep, one release; the one that is woken wakes the other. */
static void one_release_is_enough_for_two_sleepers(void **state)
{
	const struct timespec time = {.tv_nsec = 20 * MS};
	pthread_t waiters[2];

	(void)state;
	fh_lock_acquire(&lock);
	for (unsigned i = 0; i < 2; i++)
		waiters[i] = start(count_once, NULL);
	while (atomic_load_explicit(&lock.waiters, memory_order_relaxed) != 2)
		;
	nanosleep(&time, NULL);
	fh_lock_release(&lock);
	for (unsigned i = 0; i < 2; i++)
		join(waiters[i]);
	assert_int_equal(counter, 2);
}

static void *count_in_turn(void *arg) FH_NO_THREAD_SAFETY_ANALYSIS
{
	fh_lock_acquire_turn(&lock, fh_thread_self());
	counter++;
	fh_lock_release(&lock);
	return arg;
}

static void *release_for_others(void *ret_had_turn) FH_NO_THREAD_SAFETY_ANALYSIS
{
	fh_lock_acquire(&lock);
	FH_POINT("test.taken");
	fh_lock_release(&lock);
	*(bool *)ret_had_turn = fh_lock_try(&lock) && counter == 1;
	if (fh_lock_held_by_me(&lock))
		fh_lock_release(&lock);
	return NULL;
}

static unsigned starving(void)
{
	return atomic_load_explicit(&lock.starving, memory_order_relaxed);
}

/* R4: one that was woken in vain has its turn before the releaser goes on and takes it again. */
static void releaser_pauses_for_a_waiter_that_starves(void **state)
{
	pthread_t releaser, waiter;
	bool had_turn = false;

	(void)state;
	fh_point_arm("test.taken");
	releaser = start(release_for_others, &had_turn);
	assert_true(fh_point_wait("test.taken"));
	waiter = start(count_in_turn, NULL);
	while (starving() == 0)
		fh_lock_wake(&lock); /* as if the releaser had taken it again at once */
	/* Not while it looks: it would have its turn before the releaser sees it. */
	fh_point_arm("lock.before-sleep");
	while (!fh_point_stopped("lock.before-sleep"))
		fh_lock_wake(&lock);
	fh_point_arm("lock.pausing");
	fh_point_release("test.taken");
	assert_true(fh_point_wait("lock.pausing"));
	fh_point_release("lock.before-sleep");
	join(waiter);
	assert_int_equal(starving(), 0);
	fh_point_release("lock.pausing");
	join(releaser);
	assert_true(had_turn);
}

/* Nobody who merely waits makes others pause. */
static void only_who_asked_for_its_turn_starves(void **state)
{
	pthread_t waiter;

	(void)state;
	fh_lock_acquire(&lock);
	waiter = start(count_once, NULL);
	while (atomic_load_explicit(&lock.waiters, memory_order_relaxed) != 1)
		;
	for (unsigned i = 0; i < 1000; i++)
		fh_lock_wake(&lock);
	assert_int_equal(starving(), 0);
	fh_lock_release(&lock);
	join(waiter);
	assert_int_equal(counter, 1);
}

/* A releaser stops between (a) and (b): the lock is free for others all the same. */
static void lock_is_free_before_the_releaser_looks_for_waiters(void **state)
	FH_NO_THREAD_SAFETY_ANALYSIS
{
	pthread_t releaser;

	(void)state;
	fh_point_arm("lock.released");
	releaser = start(count_once, NULL);
	assert_true(fh_point_wait("lock.released"));
	assert_true(fh_lock_try(&lock));
	assert_int_equal(counter, 1);
	fh_lock_release(&lock);
	fh_point_release("lock.released");
	join(releaser);
}

static void errno_is_left_alone(void **state)
{
	_Atomic uint32_t word = 1;

	(void)state;
	errno = 77;
	fh_wait_word(&word, 2, FH_WAIT_FOREVER);
	fh_wake_word(&word, true);
	assert_int_equal(errno, 77);
}

static void wait_returns_at_once_if_the_word_has_changed(void **state)
{
	_Atomic uint32_t word = 1;

	(void)state;
	assert_true(fh_wait_word(&word, 0, FH_WAIT_FOREVER));
}

static void wait_ends_when_its_time_is_up(void **state)
{
	_Atomic uint32_t word = 1;
	const int64_t began = now_ns();

	(void)state;
	while (fh_wait_word(&word, 1, 5 * MS))
		;
	assert_true(now_ns() - began >= 5 * MS);
	assert_false(fh_wait_word(&word, 1, 0));
}

static struct fh_gate gate;
static _Atomic uint32_t condition;

static void *wait_at_gate(void *arg)
{
	for (;;) {
		uint32_t key = fh_gate_enter(&gate);

		if (atomic_load_explicit(&condition, memory_order_relaxed))
			break;
		FH_POINT("test.before-gate");
		fh_gate_wait(&gate, key, FH_WAIT_FOREVER);
	}
	return arg;
}

static void change_and_open(void)
{
	atomic_store_explicit(&condition, 1, memory_order_relaxed);
	fh_gate_open(&gate);
}

static void opening_wakes_all_who_wait(void **state)
{
	const struct timespec time = {.tv_nsec = 20 * MS};
	pthread_t waiters[THREADS];

	(void)state;
	atomic_store_explicit(&condition, 0, memory_order_relaxed);
	for (unsigned i = 0; i < THREADS; i++)
		waiters[i] = start(wait_at_gate, NULL);
	nanosleep(&time, NULL);
	change_and_open();
	for (unsigned i = 0; i < THREADS; i++)
		join(waiters[i]);
}

static void opening_before_the_sleep_is_not_missed(void **state)
{
	pthread_t waiter;

	(void)state;
	atomic_store_explicit(&condition, 0, memory_order_relaxed);
	fh_point_arm("test.before-gate");
	waiter = start(wait_at_gate, NULL);
	assert_true(fh_point_wait("test.before-gate"));
	change_and_open();
	/* A second waiter makes the word odd again; it must not look like the first one's key. */
	fh_gate_enter(&gate);
	fh_point_release("test.before-gate");
	join(waiter);
}

static void gate_wait_ends_when_its_time_is_up(void **state)
{
	uint32_t key = fh_gate_enter(&gate);

	(void)state;
	while (fh_gate_wait(&gate, key, 2 * MS))
		;
	fh_gate_open(&gate);
	assert_true(fh_gate_wait(&gate, key, 2 * MS));
}

static void *bounce(void *arg)
{
	const uint32_t mine = (uint32_t)(uintptr_t)arg;

	for (unsigned i = 0; i < 20000; i++) {
		for (;;) {
			uint32_t key = fh_gate_enter(&gate);

			if (atomic_load_explicit(&condition, memory_order_relaxed) == mine)
				break;
			fh_gate_wait(&gate, key, FH_WAIT_FOREVER);
		}
		atomic_store_explicit(&condition, 1 - mine, memory_order_relaxed);
		fh_gate_open(&gate);
	}
	return NULL;
}

static void gate_loses_no_wake_up_between_two_threads(void **state)
{
	pthread_t other;

	(void)state;
	atomic_store_explicit(&condition, 0, memory_order_relaxed);
	other = start(bounce, (void *)(uintptr_t)1);
	bounce(NULL);
	join(other);
}

#define lock_test(f) cmocka_unit_test_setup_teardown(f, reset, release_points)

int main(void)
{
	const struct CMUnitTest tests[] = {
		lock_test(owner_is_who_acquired),
		lock_test(try_succeeds_only_on_a_free_lock),
		lock_test(misuse_is_asserted),
		lock_test(no_increment_is_lost),
		lock_test(no_wake_up_is_lost_in_contended_rounds),
		lock_test(no_wake_up_is_lost_for_good_without_membarrier),
		lock_test(waiter_that_was_counted_before_the_release_gets_the_lock),
		lock_test(waiter_does_not_sleep_on_a_lock_released_since_it_looked),
		lock_test(waiter_that_sleeps_on_a_later_hold_is_woken_from_it),
		lock_test(one_release_is_enough_for_two_sleepers),
		lock_test(lock_is_free_before_the_releaser_looks_for_waiters),
		lock_test(releaser_pauses_for_a_waiter_that_starves),
		lock_test(only_who_asked_for_its_turn_starves),
		lock_test(errno_is_left_alone),
		lock_test(wait_returns_at_once_if_the_word_has_changed),
		lock_test(wait_ends_when_its_time_is_up),
		lock_test(opening_wakes_all_who_wait),
		lock_test(opening_before_the_sleep_is_not_missed),
		lock_test(gate_wait_ends_when_its_time_is_up),
		lock_test(gate_loses_no_wake_up_between_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
