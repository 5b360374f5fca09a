/* SPDX-License-Identifier: MIT */
/*
 * The reaper: grace periods, order, draining, back-pressure.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/point.h"
#include "base/rcu.h"
#include "base/reaper.h"
#include "support/dies.h"

enum { THREADS = 4, PER_THREAD = 5000, DRAINS = 300, SWAPS = 3000, MS = 1000000 };

static struct fh_reaper *reaper;
static atomic_uint runs;

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
	const struct timespec time = {.tv_nsec = ms * MS};

	nanosleep(&time, NULL);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int make_reaper(void **state)
{
	(void)state;
	atomic_store_explicit(&runs, 0, memory_order_relaxed);
	reaper = fh_reaper_new(NULL);
	return reaper ? 0 : -1;
}

static int destroy_reaper(void **state)
{
	(void)state;
	fh_point_release_all();
	reaper = fh_reaper_destroy(reaper);
	return 0;
}

static unsigned ran(void)
{
	return atomic_load_explicit(&runs, memory_order_acquire);
}

static void count_run(struct fh_deferred *deferred)
{
	fh_assert(fh_thread_self()->is_reaper);
	fh_assert(!fh_rcu_in_section(fh_thread_self()));
	fh_free(deferred);
	atomic_fetch_add_explicit(&runs, 1, memory_order_release);
}

static void defer_counted(size_t bytes)
{
	struct fh_deferred *deferred = fh_new(struct fh_deferred);

	deferred->run = count_run;
	fh_reaper_defer(reaper, deferred, bytes);
}

/* Waits without a drain, which would wake the reaper. */
static bool have_run(unsigned count)
{
	for (unsigned i = 0; i < 20000 && ran() < count; i++)
		sleep_ms(1);
	return ran() == count;
}

static void push_wakes_an_idle_reaper(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 20; i++) {
		defer_counted(10);
		assert_true(have_run(i));
		fh_reaper_drain(reaper);
	}
}

static void deferred_runs_once_on_the_reapers_thread(void **state)
{
	(void)state;
	defer_counted(10);
	fh_reaper_drain(reaper);
	assert_int_equal(ran(), 1);
	assert_int_equal(fh_reaper_pending_bytes(reaper), 0);
}

static void drain_of_an_idle_reaper_returns(void **state)
{
	(void)state;
	fh_reaper_drain(reaper);
	fh_reaper_drain(reaper);
	assert_int_equal(ran(), 0);
}

static void deferred_does_not_run_while_a_section_is_open(void **state)
{
	struct fh_thread *t = fh_thread_self();

	(void)state;
	fh_rcu_read_begin(t);
	defer_counted(10);
	fh_reaper_flush_now(reaper);
	sleep_ms(50);
	assert_int_equal(ran(), 0);
	fh_rcu_read_end(t);
	fh_reaper_drain(reaper);
	assert_int_equal(ran(), 1);
}

/* A section that began after the batch was taken, pushing what goes into the next. */
static void deferred_of_a_later_batch_gets_a_grace_period_of_its_own(void **state)
{
	struct fh_thread *t = fh_thread_self();

	(void)state;
	fh_point_arm("reaper.grace-over");
	defer_counted(10);
	assert_true(fh_point_wait("reaper.grace-over"));
	fh_rcu_read_begin(t);
	defer_counted(10);
	fh_point_release("reaper.grace-over");
	sleep_ms(50);
	assert_int_equal(ran(), 1);
	fh_rcu_read_end(t);
	fh_reaper_drain(reaper);
	assert_int_equal(ran(), 2);
}

static atomic_uint in_section;

static void *defer_in_section(void *release)
{
	struct fh_thread *t = fh_thread_self();

	fh_rcu_read_begin(t);
	defer_counted(10);
	atomic_store_explicit(&in_section, 1, memory_order_release);
	while (!atomic_load_explicit((atomic_bool *)release, memory_order_acquire))
		sleep_ms(1);
	fh_rcu_read_end(t);
	return NULL;
}

/* A push during a grace period, from a section that this grace period does not wait for. */
static void deferred_does_not_share_a_grace_period_that_began_before(void **state)
{
	struct fh_thread *t = fh_thread_self();
	atomic_bool release = false;
	pthread_t thread;

	(void)state;
	atomic_store_explicit(&in_section, 0, memory_order_relaxed);
	fh_rcu_read_begin(t);
	defer_counted(10);
	sleep_ms(30);
	thread = start(defer_in_section, &release);
	while (!atomic_load_explicit(&in_section, memory_order_acquire))
		sleep_ms(1);
	fh_rcu_read_end(t);
	assert_true(have_run(1));
	sleep_ms(50);
	assert_int_equal(ran(), 1);
	atomic_store_explicit(&release, true, memory_order_release);
	join(thread);
	assert_true(have_run(2));
}

struct datum {
	struct fh_deferred deferred;
	int value;
};

static _Atomic(struct datum *) published;
static atomic_bool stop;
static atomic_uint bad_reads;

static void *read_published(void *arg)
{
	struct fh_thread *t = fh_thread_self();

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		fh_rcu_read_begin(t);
		/* Acquire: pairs with the exchange in swap_published(). */
		if (atomic_load_explicit(&published, memory_order_acquire)->value != 42)
			atomic_fetch_add_explicit(&bad_reads, 1, memory_order_relaxed);
		fh_rcu_read_end(t);
	}
	return arg;
}

static void poison(struct fh_deferred *deferred)
{
	struct datum *datum = fh_container_of(deferred, struct datum, deferred);

	datum->value = 0;
	fh_free(datum);
}

static void swap_published(void)
{
	struct datum *young = fh_new(struct datum);
	struct datum *old;

	young->value = 42;
	old = atomic_exchange_explicit(&published, young, memory_order_acq_rel);
	if (old) {
		old->deferred.run = poison;
		fh_reaper_defer(reaper, &old->deferred, sizeof(*old));
	}
}

static void readers_never_see_what_was_reaped(void **state)
{
	pthread_t readers[2];

	(void)state;
	atomic_store_explicit(&stop, false, memory_order_relaxed);
	swap_published();
	for (unsigned i = 0; i < 2; i++)
		readers[i] = start(read_published, NULL);
	for (unsigned i = 0; i < SWAPS; i++)
		swap_published();
	fh_reaper_drain(reaper);
	for (unsigned i = 0; i < SWAPS; i++)
		swap_published();
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < 2; i++)
		join(readers[i]);
	fh_reaper_drain(reaper);
	fh_free(atomic_exchange_explicit(&published, NULL, memory_order_relaxed));
	assert_int_equal(atomic_load_explicit(&bad_reads, memory_order_relaxed), 0);
}

struct numbered {
	struct fh_deferred deferred;
	unsigned thread;
	unsigned number;
};

static unsigned next_number[THREADS]; /* only the reaper's thread, then whoever drained */
static unsigned out_of_order;

static void check_number(struct fh_deferred *deferred)
{
	struct numbered *item = fh_container_of(deferred, struct numbered, deferred);

	if (item->number != next_number[item->thread]++)
		out_of_order++;
	fh_free(item);
}

static void *defer_numbered(void *arg)
{
	for (unsigned i = 0; i < PER_THREAD; i++) {
		struct numbered *item = fh_new(struct numbered);

		item->thread = (unsigned)(uintptr_t)arg;
		item->number = i;
		item->deferred.run = check_number;
		fh_reaper_defer(reaper, &item->deferred, sizeof(*item));
	}
	return NULL;
}

static void each_threads_order_is_kept(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	memset(next_number, 0, sizeof(next_number));
	out_of_order = 0;
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = start(defer_numbered, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < THREADS; i++)
		join(threads[i]);
	fh_reaper_drain(reaper);
	assert_int_equal(out_of_order, 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(next_number[i], PER_THREAD);
}

/* Runs once in each of so many batches, for it queues itself again. */
struct chain {
	struct fh_deferred deferred;
	unsigned left;
};

static void defer_again(struct fh_deferred *deferred)
{
	struct chain *chain = fh_container_of(deferred, struct chain, deferred);

	if (--chain->left > 0)
		fh_reaper_defer(reaper, deferred, sizeof(*chain));
}

static void drain_waits_for_what_runs_queue(void **state)
{
	struct chain chain = {.deferred.run = defer_again, .left = 20};

	(void)state;
	fh_reaper_defer(reaper, &chain.deferred, sizeof(chain));
	fh_reaper_drain(reaper);
	assert_int_equal(chain.left, 0);
	assert_int_equal(fh_reaper_pending_bytes(reaper), 0);
}

struct flagged {
	struct fh_deferred deferred;
	unsigned done;
};

static void set_flag(struct fh_deferred *deferred)
{
	fh_container_of(deferred, struct flagged, deferred)->done++;
}

/*
 * Queues it, and has the reaper stop when it has run and the reaper has said that it sleeps, but
 * not counted it. The reaper may be about to sleep already: so it is caught first with the batch in
 * hand.
 */
static void defer_and_stop_at_next_sleep(struct fh_deferred *deferred)
{
	fh_point_arm("reaper.taken");
	fh_reaper_defer(reaper, deferred, 1);
	fh_assert(fh_point_wait("reaper.taken"));
	fh_point_arm("reaper.asleep");
	fh_point_release("reaper.taken");
}

/* The flag is read plainly: a drain that has nothing to wait for orders it all the same. */
static void drain_orders_what_ran_before_it(void **state)
{
	struct flagged item = {.deferred.run = set_flag};

	(void)state;
	defer_and_stop_at_next_sleep(&item.deferred);
	while (fh_reaper_pending_bytes(reaper) > 0)
		sleep_ms(1);
	sleep_ms(10);
	fh_reaper_drain(reaper);
	assert_int_equal(item.done, 1);
}

/* Each thread looks only at its own flags, plainly: the drain orders them. */
static void *defer_and_drain(void *ret_missed)
{
	for (unsigned i = 0; i < DRAINS; i++) {
		struct flagged items[3] = {0};

		for (unsigned n = 0; n < 3; n++) {
			items[n].deferred.run = set_flag;
			fh_reaper_defer(reaper, &items[n].deferred, 1);
		}
		fh_reaper_drain(reaper);
		for (unsigned n = 0; n < 3; n++)
			*(unsigned *)ret_missed += items[n].done != 1;
	}
	return NULL;
}

static void drain_is_complete_beside_others_that_push_and_drain(void **state)
{
	pthread_t threads[THREADS];
	unsigned missed[THREADS] = {0};

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = start(defer_and_drain, &missed[i]);
	for (unsigned i = 0; i < THREADS; i++) {
		join(threads[i]);
		assert_int_equal(missed[i], 0);
	}
	assert_int_equal(fh_reaper_pending_bytes(reaper), 0);
}

static void *drain_it(void *arg)
{
	fh_reaper_drain(reaper);
	return arg;
}

/* The drain begins when the reaper has said that it sleeps, but has not counted it. Another push
 * wakes it meanwhile: the count that follows is of the earlier sleep and must not end the drain. */
static void drain_is_not_ended_by_a_sleep_that_began_before(void **state)
{
	struct flagged item = {.deferred.run = set_flag};
	struct fh_thread *t = fh_thread_self();
	pthread_t drainer;

	(void)state;
	defer_and_stop_at_next_sleep(&item.deferred);
	assert_true(fh_point_wait("reaper.asleep"));
	fh_rcu_read_begin(t);
	defer_counted(10);
	drainer = start(drain_it, NULL);
	sleep_ms(20);
	fh_point_release("reaper.asleep");
	sleep_ms(50);
	assert_int_equal(item.done, 1);
	assert_int_equal(ran(), 0);
	assert_int_equal(pthread_tryjoin_np(drainer, NULL), EBUSY);
	fh_rcu_read_end(t);
	join(drainer);
	assert_int_equal(ran(), 1);
}

static void push_between_the_look_and_the_sleep_is_not_missed(void **state)
{
	(void)state;
	fh_point_arm("reaper.before-sleep");
	defer_counted(10);
	assert_true(fh_point_wait("reaper.before-sleep"));
	defer_counted(10);
	fh_point_release("reaper.before-sleep");
	assert_true(have_run(2));
}

static void *throttle(void *arg)
{
	fh_reaper_throttle(reaper);
	return arg;
}

static void throttle_waits_until_less_than_the_limit_is_pending(void **state)
{
	struct fh_thread *t = fh_thread_self();
	pthread_t thread;

	(void)state;
	fh_reaper_set_limit(reaper, 1000);
	fh_rcu_read_begin(t);
	for (unsigned i = 0; i < 10; i++)
		defer_counted(100);
	assert_false(fh_reaper_over_limit(reaper));
	defer_counted(100);
	assert_true(fh_reaper_over_limit(reaper));
	assert_int_equal(fh_reaper_pending_bytes(reaper), 1100);
	thread = start(throttle, NULL);
	sleep_ms(30);
	assert_int_equal(pthread_tryjoin_np(thread, NULL), EBUSY);
	fh_rcu_read_end(t);
	join(thread);
	assert_false(fh_reaper_over_limit(reaper));
}

static void raising_the_limit_ends_a_throttle(void **state)
{
	struct fh_thread *t = fh_thread_self();
	pthread_t thread;

	(void)state;
	fh_reaper_set_limit(reaper, 10);
	fh_rcu_read_begin(t);
	defer_counted(100);
	thread = start(throttle, NULL);
	sleep_ms(10);
	fh_reaper_set_limit(reaper, 100);
	join(thread);
	assert_int_equal(ran(), 0);
	fh_rcu_read_end(t);
}

static void throttle_below_the_limit_returns_at_once(void **state)
{
	(void)state;
	fh_reaper_throttle(reaper);
	assert_false(fh_reaper_over_limit(reaper));
}

static void defer_again_or_stop(struct fh_deferred *deferred)
{
	struct chain *chain = fh_container_of(deferred, struct chain, deferred);

	if (--chain->left > 0)
		fh_reaper_defer(reaper, deferred, 1);
	else
		atomic_store_explicit(&stop, true, memory_order_release);
}

/* R4: 50 batches have 49 distances of 0.2 ms between their beginnings. */
static void busy_reaper_naps_between_grace_periods(void **state)
{
	struct chain chain = {.deferred.run = defer_again_or_stop, .left = 50};
	const int64_t began = now_ns();

	(void)state;
	atomic_store_explicit(&stop, false, memory_order_relaxed);
	fh_reaper_defer(reaper, &chain.deferred, 1);
	while (!atomic_load_explicit(&stop, memory_order_acquire))
		sleep_ms(1);
	assert_true(now_ns() - began >= 48 * 200000);
	fh_reaper_drain(reaper);
}

/* 200 batches with naps take 40 ms at least; without, they may, but not each time. */
static void drain_takes_no_naps(void **state)
{
	int64_t best_ns = INT64_MAX;

	(void)state;
	for (unsigned i = 0; i < 50 && best_ns > 30 * MS; i++) {
		struct chain chain = {.deferred.run = defer_again, .left = 200};
		int64_t took_ns = now_ns();

		fh_reaper_defer(reaper, &chain.deferred, 1);
		fh_reaper_drain(reaper);
		took_ns = now_ns() - took_ns;
		assert_int_equal(chain.left, 0);
		if (took_ns < best_ns)
			best_ns = took_ns;
	}
	assert_true(best_ns <= 30 * MS);
}

static sigset_t reapers_mask;
static char reapers_name[16];

static void look_at_thread(struct fh_deferred *deferred)
{
	(void)deferred;
	pthread_sigmask(SIG_SETMASK, NULL, &reapers_mask);
	pthread_getname_np(pthread_self(), reapers_name, sizeof(reapers_name));
}

static void reapers_thread_has_a_name_and_takes_no_signals(void **state)
{
	struct fh_deferred look = {.run = look_at_thread};
	sigset_t mine;

	(void)state;
	fh_reaper_defer(reaper, &look, 0);
	fh_reaper_drain(reaper);
	assert_string_equal(reapers_name, "fh-reaper");
	assert_true(sigismember(&reapers_mask, SIGTERM));
	assert_true(sigismember(&reapers_mask, SIGALRM));
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	assert_false(sigismember(&mine, SIGTERM));
}

static void destroy_runs_everything_that_waits(void **state)
{
	struct fh_reaper *other = fh_reaper_new(NULL);
	struct chain chain = {.deferred.run = defer_again, .left = 1};

	(void)state;
	assert_non_null(other);
	fh_reaper_defer(other, &chain.deferred, 10);
	assert_null(fh_reaper_destroy(other));
	assert_int_equal(chain.left, 0);
	assert_null(fh_reaper_destroy(NULL));
}

static void drain_in_section(void)
{
	struct fh_reaper *mine = fh_reaper_new(NULL);

	fh_rcu_read_begin(fh_thread_self());
	fh_reaper_drain(mine);
}

static void drain_with_domain(void)
{
	struct fh_reaper *mine = fh_reaper_new(NULL);

	fh_thread_hold(fh_thread_self(), FH_HELD_DOMAIN);
	fh_reaper_throttle(mine);
}

static void drain_on_reaper(struct fh_deferred *deferred)
{
	(void)deferred;
	fh_reaper_drain(reaper);
}

static void drain_from_a_run(void)
{
	struct fh_deferred deferred = {.run = drain_on_reaper};

	reaper = fh_reaper_new(NULL);
	fh_reaper_defer(reaper, &deferred, 0);
	fh_reaper_drain(reaper);
}

static void stay_in_section(struct fh_deferred *deferred)
{
	(void)deferred;
	fh_rcu_read_begin(fh_thread_self());
}

static void run_that_stays_in_a_section(void)
{
	struct fh_deferred deferred = {.run = stay_in_section};

	reaper = fh_reaper_new(NULL);
	fh_reaper_defer(reaper, &deferred, 0);
	fh_reaper_drain(reaper);
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(drain_in_section, "depth == 0"));
	assert_true(dies_saying(drain_with_domain, "held[kind] == 0"));
	assert_true(dies_saying(drain_from_a_run, "is_reaper"));
	assert_true(dies_saying(run_that_stays_in_a_section, "depth == 0"));
}

#define reaper_test(f) cmocka_unit_test_setup_teardown(f, make_reaper, destroy_reaper)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misuse_is_asserted),
		reaper_test(push_wakes_an_idle_reaper),
		reaper_test(deferred_runs_once_on_the_reapers_thread),
		reaper_test(drain_of_an_idle_reaper_returns),
		reaper_test(deferred_does_not_run_while_a_section_is_open),
		reaper_test(deferred_of_a_later_batch_gets_a_grace_period_of_its_own),
		reaper_test(deferred_does_not_share_a_grace_period_that_began_before),
		reaper_test(readers_never_see_what_was_reaped),
		reaper_test(each_threads_order_is_kept),
		reaper_test(drain_waits_for_what_runs_queue),
		reaper_test(drain_orders_what_ran_before_it),
		reaper_test(drain_is_complete_beside_others_that_push_and_drain),
		reaper_test(drain_is_not_ended_by_a_sleep_that_began_before),
		reaper_test(push_between_the_look_and_the_sleep_is_not_missed),
		reaper_test(throttle_waits_until_less_than_the_limit_is_pending),
		reaper_test(raising_the_limit_ends_a_throttle),
		reaper_test(throttle_below_the_limit_returns_at_once),
		reaper_test(busy_reaper_naps_between_grace_periods),
		reaper_test(drain_takes_no_naps),
		reaper_test(reapers_thread_has_a_name_and_takes_no_signals),
		cmocka_unit_test(destroy_runs_everything_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
