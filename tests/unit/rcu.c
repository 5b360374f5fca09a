/* SPDX-License-Identifier: MIT */
/*
 * Read sections and grace periods.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/rcu.h"
#include "support/dies.h"

enum { READERS = 4, SWAPS = 100, TICKETS = 20000 };

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

static void sleep_ms(long ms)
{
	const struct timespec time = {.tv_nsec = ms * 1000000};

	nanosleep(&time, NULL);
}

static void sections_nest(void **state)
{
	struct fh_thread *t = fh_thread_self();

	(void)state;
	assert_false(fh_rcu_in_section(t));
	fh_rcu_read_begin(t);
	fh_rcu_read_begin(t);
	fh_rcu_read_end(t);
	assert_true(fh_rcu_in_section(t));
	assert_true(_urcu_bp_read_ongoing());
	fh_rcu_read_end(t);
	assert_false(fh_rcu_in_section(t));
	assert_false(_urcu_bp_read_ongoing());
}

static void leave_and_resume_keep_the_depth(void **state)
{
	struct fh_thread *t = fh_thread_self();
	unsigned depth;

	(void)state;
	fh_rcu_read_begin(t);
	fh_rcu_read_begin(t);
	depth = fh_rcu_leave(t);
	assert_int_equal(depth, 2);
	assert_false(_urcu_bp_read_ongoing());
	fh_rcu_synchronize();
	fh_rcu_resume(t, depth);
	assert_true(_urcu_bp_read_ongoing());
	fh_rcu_read_end(t);
	assert_true(_urcu_bp_read_ongoing());
	fh_rcu_read_end(t);
	assert_false(_urcu_bp_read_ongoing());
}

static void leaving_no_section_resumes_to_none(void **state)
{
	struct fh_thread *t = fh_thread_self();

	(void)state;
	assert_int_equal(fh_rcu_leave(t), 0);
	fh_rcu_resume(t, 0);
	assert_false(fh_rcu_in_section(t));
	assert_false(_urcu_bp_read_ongoing());
}

static void section_of_the_embedder_outlives_ours(void **state)
{
	struct fh_thread *t = fh_thread_self();

	(void)state;
	_urcu_bp_read_lock();
	fh_rcu_read_begin(t);
	fh_rcu_read_end(t);
	assert_true(_urcu_bp_read_ongoing());
	_urcu_bp_read_unlock();
	assert_false(_urcu_bp_read_ongoing());
}

static void synchronize_in_section(void)
{
	fh_rcu_read_begin(fh_thread_self());
	fh_rcu_synchronize();
}

static void synchronize_in_the_embedders_section(void)
{
	_urcu_bp_read_lock();
	fh_rcu_synchronize();
}

static void end_without_begin(void)
{
	fh_rcu_read_end(fh_thread_self());
}

static void resume_within_a_section(void)
{
	fh_rcu_read_begin(fh_thread_self());
	fh_rcu_resume(fh_thread_self(), 1);
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(synchronize_in_section, "depth == 0"));
	assert_true(dies_saying(synchronize_in_the_embedders_section, "read_ongoing"));
	assert_true(dies_saying(end_without_begin, "depth != 0"));
	assert_true(dies_saying(resume_within_a_section, "depth == 0"));
}

static atomic_bool is_over;

static void *synchronize(void *arg)
{
	fh_rcu_synchronize();
	atomic_store_explicit(&is_over, true, memory_order_release);
	return arg;
}

static void grace_period_waits_for_a_section_that_was_open(void **state)
{
	struct fh_thread *t = fh_thread_self();
	pthread_t thread;

	(void)state;
	atomic_store_explicit(&is_over, false, memory_order_relaxed);
	fh_rcu_read_begin(t);
	fh_rcu_read_begin(t);
	thread = start(synchronize, NULL);
	sleep_ms(30);
	fh_rcu_read_end(t);
	sleep_ms(30);
	assert_false(atomic_load_explicit(&is_over, memory_order_acquire));
	fh_rcu_read_end(t);
	join(thread);
	assert_true(atomic_load_explicit(&is_over, memory_order_acquire));
}

static _Atomic(int *) published;
static atomic_bool stop;
static atomic_uint bad_reads;

static void *read_published(void *arg)
{
	struct fh_thread *t = fh_thread_self();

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		fh_rcu_read_begin(t);
		/* Acquire: pairs with the exchange of the writer. */
		if (*atomic_load_explicit(&published, memory_order_acquire) != 42)
			atomic_fetch_add_explicit(&bad_reads, 1, memory_order_relaxed);
		fh_rcu_read_end(t);
	}
	return arg;
}

/* ThreadSanitizer has to follow this: readers read plainly what the writer changes after a grace
 * period, and frees. */
static void what_is_replaced_is_free_after_a_grace_period(void **state)
{
	pthread_t readers[READERS];
	int *old = fh_alloc(sizeof(*old));

	(void)state;
	*old = 42;
	atomic_store_explicit(&stop, false, memory_order_relaxed);
	atomic_store_explicit(&published, old, memory_order_release);
	for (unsigned i = 0; i < READERS; i++)
		readers[i] = start(read_published, NULL);
	for (unsigned i = 0; i < SWAPS; i++) {
		int *young = fh_alloc(sizeof(*young));

		*young = 42;
		old = atomic_exchange_explicit(&published, young, memory_order_acq_rel);
		fh_rcu_synchronize();
		*old = 0;
		fh_free(old);
	}
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < READERS; i++)
		join(readers[i]);
	fh_free(atomic_load_explicit(&published, memory_order_relaxed));
	assert_int_equal(atomic_load_explicit(&bad_reads, memory_order_relaxed), 0);
}

static void *read_later(void *delay_ms)
{
	struct fh_thread *t = fh_thread_self();

	sleep_ms((long)(intptr_t)delay_ms);
	for (unsigned i = 0; i < 10; i++) {
		fh_rcu_read_begin(t);
		fh_rcu_read_end(t);
	}
	return NULL;
}

/* liburcu hands a reader on from the one to the other, which ThreadSanitizer may not see. */
static void thread_that_comes_later_reads_like_one_that_ended(void **state)
{
	pthread_t first = start(read_later, NULL);
	pthread_t second = start(read_later, (void *)(intptr_t)50);

	(void)state;
	join(second);
	join(first);
}

static uint64_t tickets[READERS * TICKETS];

static void *take_tickets(void *arg)
{
	uint64_t *ticket = arg;

	for (unsigned i = 0; i < TICKETS; i++)
		ticket[i] = fh_ticket();
	return NULL;
}

static int by_value(const void *left, const void *right)
{
	const uint64_t a = *(const uint64_t *)left;
	const uint64_t b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static void tickets_are_never_equal_and_never_zero(void **state)
{
	pthread_t threads[READERS];

	(void)state;
	for (unsigned i = 0; i < READERS; i++)
		threads[i] = start(take_tickets, tickets + i * TICKETS);
	for (unsigned i = 0; i < READERS; i++)
		join(threads[i]);
	qsort(tickets, READERS * TICKETS, sizeof(tickets[0]), by_value);
	assert_true(tickets[0] > 0);
	for (unsigned i = 1; i < READERS * TICKETS; i++)
		assert_true(tickets[i] > tickets[i - 1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_nest),
		cmocka_unit_test(leave_and_resume_keep_the_depth),
		cmocka_unit_test(leaving_no_section_resumes_to_none),
		cmocka_unit_test(section_of_the_embedder_outlives_ours),
		cmocka_unit_test(misuse_is_asserted),
		cmocka_unit_test(grace_period_waits_for_a_section_that_was_open),
		cmocka_unit_test(what_is_replaced_is_free_after_a_grace_period),
		cmocka_unit_test(thread_that_comes_later_reads_like_one_that_ended),
		cmocka_unit_test(tickets_are_never_equal_and_never_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
