/* SPDX-License-Identifier: MIT */
/*
 * A thread's block: made on first use, freed at the thread's end, made again where the destructor
 * of another key still needs one.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "support/dies.h"

static void run_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	fh_assert(pthread_create(&thread, NULL, body, arg) == 0);
	fh_assert(pthread_join(thread, NULL) == 0);
}

static void *tell_self(void *ret_self)
{
	struct fh_thread *t = fh_thread_self();

	fh_assert(t == fh_thread_self());
	*(struct fh_thread **)ret_self = t;
	return NULL;
}

static void each_thread_has_one_block_of_its_own(void **state)
{
	struct fh_thread *other = NULL;

	(void)state;
	run_thread(tell_self, &other);
	assert_non_null(other);
	assert_ptr_not_equal(other, fh_thread_self());
	assert_ptr_equal(fh_thread_self(), fh_thread_self());
}

static void new_block_is_zero(void **state)
{
	const struct fh_thread *t = fh_thread_self();

	(void)state;
	assert_int_equal(t->depth, 0);
	assert_false(t->is_reaper);
	assert_null(t->chain);
	assert_null(t->lookaside);
	for (unsigned kind = 0; kind < FH_HELD_KINDS; kind++)
		assert_false(fh_thread_holds(t, (enum fh_held)kind));
	assert_int_not_equal((uint32_t)(uintptr_t)t, 0);
}

static unsigned lookasides_freed;

static void free_lookaside(void *lookaside)
{
	fh_assert(fh_thread_self()->lookaside == lookaside);
	lookasides_freed++;
	fh_free(lookaside);
}

static void give_lookaside(void)
{
	struct fh_thread *t = fh_thread_self();

	fh_assert(!t->lookaside);
	t->lookaside = fh_alloc(100);
	t->lookaside_free = free_lookaside;
}

static void *use_lookaside(void *arg)
{
	give_lookaside();
	return arg;
}

static void lookaside_is_freed_at_the_end(void **state)
{
	(void)state;
	lookasides_freed = 0;
	run_thread(use_lookaside, NULL);
	assert_int_equal(lookasides_freed, 1);
}

static pthread_key_t early_key; /* made before the library's: destroyed before the block */
static pthread_key_t late_key;  /* made after it: destroyed after the block */
static unsigned destructions;

/* What the destructor of an embedder may do: read, with a lookaside of the new block. */
static void use_library_late(void *arg)
{
	struct fh_thread *t = fh_thread_self();

	(void)arg;
	fh_rcu_read_begin(t);
	fh_assert(fh_rcu_in_section(t));
	fh_rcu_read_end(t);
	if (!t->lookaside)
		give_lookaside();
	destructions++;
}

static void *end_with_key(void *key)
{
	fh_rcu_read_begin(fh_thread_self());
	fh_rcu_read_end(fh_thread_self());
	give_lookaside();
	fh_assert(pthread_setspecific(*(pthread_key_t *)key, &destructions) == 0);
	return NULL;
}

static void destructor_that_comes_first_uses_the_block(void **state)
{
	(void)state;
	destructions = 0;
	lookasides_freed = 0;
	run_thread(end_with_key, &early_key);
	assert_int_equal(destructions, 1);
	assert_int_equal(lookasides_freed, 1);
}

static void destructor_that_comes_later_gets_a_new_block(void **state)
{
	(void)state;
	destructions = 0;
	lookasides_freed = 0;
	run_thread(end_with_key, &late_key);
	assert_int_equal(destructions, 1);
	assert_int_equal(lookasides_freed, 2);
}

static void hold_in_order(void **state)
{
	struct fh_thread *t = fh_thread_self();

	(void)state;
	fh_thread_hold(t, FH_HELD_CONTROL);
	fh_thread_assert_may_wait(t);
	fh_thread_hold(t, FH_HELD_DOMAIN);
	fh_thread_hold(t, FH_HELD_DOMAIN);
	fh_thread_hold(t, FH_HELD_TOPOLOGY);
	fh_thread_hold(t, FH_HELD_LISTENER);
	assert_true(fh_thread_holds(t, FH_HELD_DOMAIN));
	fh_thread_unhold(t, FH_HELD_LISTENER);
	fh_thread_unhold(t, FH_HELD_TOPOLOGY);
	fh_thread_unhold(t, FH_HELD_DOMAIN);
	assert_true(fh_thread_holds(t, FH_HELD_DOMAIN));
	fh_thread_unhold(t, FH_HELD_DOMAIN);
	fh_thread_unhold(t, FH_HELD_CONTROL);
	assert_false(fh_thread_holds(t, FH_HELD_CONTROL));
}

static void take_domain_under_topology(void)
{
	fh_thread_hold(fh_thread_self(), FH_HELD_TOPOLOGY);
	fh_thread_hold(fh_thread_self(), FH_HELD_DOMAIN);
}

static void take_control_in_section(void)
{
	fh_rcu_read_begin(fh_thread_self());
	fh_thread_hold(fh_thread_self(), FH_HELD_CONTROL);
}

static void wait_with_domain(void)
{
	fh_thread_hold(fh_thread_self(), FH_HELD_DOMAIN);
	fh_thread_assert_may_wait(fh_thread_self());
}

static void give_back_what_is_not_held(void)
{
	fh_thread_unhold(fh_thread_self(), FH_HELD_TOPOLOGY);
}

static void wrong_order_of_locks_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(take_domain_under_topology, "held[later] == 0"));
	assert_true(dies_saying(take_control_in_section, "depth == 0"));
	assert_true(dies_saying(wait_with_domain, "held[kind] == 0"));
	assert_true(dies_saying(give_back_what_is_not_held, "held[kind] > 0"));
}

static void *end_in_section(void *arg)
{
	fh_rcu_read_begin(fh_thread_self());
	return arg;
}

static void leave_thread_in_section(void)
{
	run_thread(end_in_section, NULL);
}

static void thread_that_ends_in_a_section_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(leave_thread_in_section, "depth == 0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_thread_has_one_block_of_its_own),
		cmocka_unit_test(new_block_is_zero),
		cmocka_unit_test(lookaside_is_freed_at_the_end),
		cmocka_unit_test(destructor_that_comes_first_uses_the_block),
		cmocka_unit_test(destructor_that_comes_later_gets_a_new_block),
		cmocka_unit_test(hold_in_order),
		cmocka_unit_test(wrong_order_of_locks_is_asserted),
		cmocka_unit_test(thread_that_ends_in_a_section_is_asserted),
	};

	/* glibc calls destructors in the order of the keys' making. */
	fh_assert(pthread_key_create(&early_key, use_library_late) == 0);
	fh_thread_self();
	fh_assert(pthread_key_create(&late_key, use_library_late) == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
