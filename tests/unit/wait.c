/* SPDX-License-Identifier: MIT */
/*
 * Waits for domains: what they leave and keep, circles of waits, crossings at random.
 */
#include "support/nodes.h"
#include "support/scale.h"

/* --- Waits ---------------------------------------------------------------------------------- */

static void second_access_waits_for_the_first(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node a = { .action = stop_inside };
	struct visitor v[2];

	(void)state;
	node_init(&a, m, 0);
	fh_point_arm("test.inside");
	visitor_start(&v[0], &a);
	assert_true(fh_point_wait("test.inside"));
	fh_point_arm("chain.waiting");
	visitor_start(&v[1], &a);
	assert_true(fh_point_wait("chain.waiting"));
	fh_point_release("chain.waiting");
	assert_false(worker_done_within(&v[1].worker, 20));
	assert_int_equal(a.calls, 1);
	fh_point_release("test.inside");
	assert_int_equal(visitor_join(&v[0]), FH_TX_OK);
	assert_int_equal(visitor_join(&v[1]), FH_TX_OK);
	assert_int_equal(a.calls, 2);
	nodes_fini(&a, 1);
	machine_end(m);
}

/* A grace period passes although somebody waits for a domain, whatever it held before. */
static void waiting_leaves_the_read_section(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[2] = { { .next = &n[1] }, { .action = block_inside } };
	struct visitor v[2];

	(void)state;
	nodes_init(n, 2, m);
	fh_point_arm("test.blocking");
	visitor_start(&v[0], &n[1]);
	assert_true(fh_point_wait("test.blocking"));
	fh_point_arm("chain.waiting");
	visitor_start(&v[1], &n[0]);
	assert_true(fh_point_wait("chain.waiting"));
	assert_int_equal(n[0].region->object.blocked, 1); /* counted by the wait */
	assert_int_equal(n[1].region->object.blocked, 1); /* by its own blocking */
	fh_rcu_synchronize();
	fh_point_release("chain.waiting");
	fh_rcu_synchronize();
	fh_point_release("test.blocking");
	assert_int_equal(visitor_join(&v[0]), FH_TX_OK);
	assert_int_equal(visitor_join(&v[1]), FH_TX_OK);
	assert_int_equal(n[0].next_tx, FH_TX_OK);
	nodes_fini(n, 2);
	machine_end(m);
}

static void what_was_waited_for_is_looked_up_again(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[2] = { { .action = block_inside }, { 0 } };
	struct visitor v[2];

	(void)state;
	nodes_init(n, 2, m);
	fh_point_arm("test.blocking");
	visitor_start(&v[0], &n[0]);
	assert_true(fh_point_wait("test.blocking"));
	fh_point_arm("chain.waiting");
	visitor_start(&v[1], &n[0]);
	assert_true(fh_point_wait("chain.waiting"));
	/* The other device moves to where the first one was. */
	fh_edit_begin(m);
	fh_region_move(n[0].region, ADDR(7));
	fh_region_move(n[1].region, ADDR(0));
	fh_edit_commit(m);
	fh_point_release("chain.waiting");
	fh_point_release("test.blocking");
	assert_int_equal(visitor_join(&v[0]), FH_TX_OK);
	assert_int_equal(visitor_join(&v[1]), FH_TX_OK);
	assert_int_equal(n[0].calls, 1);
	assert_int_equal(n[1].calls, 1);
	nodes_fini(n, 2); /* asserts that the domain waited for has been given back */
	machine_end(m);
}

static void region_that_goes_during_the_wait_is_kept_for_it(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node a = { .action = block_inside };
	struct visitor v[2];

	(void)state;
	node_init(&a, m, 0);
	fh_point_arm("test.blocking");
	visitor_start(&v[0], &a);
	assert_true(fh_point_wait("test.blocking"));
	fh_point_arm("chain.waiting");
	visitor_start(&v[1], &a);
	assert_true(fh_point_wait("chain.waiting"));
	node_fini(&a);
	fh_machine_drain(m);
	assert_int_equal(fh_ledger_read(m).alive, 1);
	fh_point_release("test.blocking");
	assert_int_equal(visitor_join(&v[0]), FH_TX_OK);
	fh_machine_drain(m);
	assert_int_equal(fh_ledger_read(m).alive, 1); /* by who waits alone */
	fh_point_release("chain.waiting");
	assert_int_equal(visitor_join(&v[1]), FH_TX_DECODE_ERROR);
	assert_int_equal(a.calls, 1);
	machine_end(m);
}

/* --- Circles of waits ----------------------------------------------------------------------- */

/* Each visitor is inside its own node before any goes on to the next one's. */
static void circle_begin(struct node *n, struct visitor *v, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		n[i].action = stop_inside;
		n[i].next = &n[(i + 1) % count];
		fh_point_arm("test.inside");
		visitor_start(&v[i], &n[i]);
		assert_true(fh_point_wait("test.inside"));
	}
}

/* Exactly one access of the circle was refused; each callback ran. */
static void circle_end(struct node *n, struct visitor *v, unsigned count)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < count; i++)
		assert_int_equal(visitor_join(&v[i]), FH_TX_OK);
	for (unsigned i = 0; i < count; i++) {
		assert_true(n[i].next_tx == FH_TX_OK || n[i].next_tx == FH_TX_REENTRY);
		refused += n[i].next_tx == FH_TX_REENTRY;
	}
	assert_int_equal(refused, 1);
}

static void circle_of_waits_refuses_one_access(void **state)
{
	(void)state;
	for (unsigned count = 2; count <= 4; count++) {
		struct fh_machine *m = machine_begin();
		struct node n[4] = { 0 };
		struct visitor v[4];

		nodes_init(n, count, m);
		circle_begin(n, v, count);
		fh_point_release("test.inside");
		circle_end(n, v, count);
		nodes_fini(n, count);
		machine_end(m);
	}
}

/* The second comes to the test while the first is in the midst of it. */
static void circle_closed_by_two_at_the_same_moment_refuses_one(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[2] = { 0 };
	struct visitor v[2];

	(void)state;
	nodes_init(n, 2, m);
	circle_begin(n, v, 2);
	fh_point_arm("chain.test-circle");
	fh_point_release("test.inside");
	assert_true(fh_point_wait("chain.test-circle"));
	assert_false(worker_done_within(&v[0].worker, 20));
	assert_false(worker_done(&v[1].worker));
	fh_point_release("chain.test-circle");
	circle_end(n, v, 2);
	nodes_fini(n, 2);
	machine_end(m);
}

/* The first has registered and does not sleep yet. */
static void circle_is_closed_by_a_wait_that_has_only_begun(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[2] = { 0 };
	struct visitor v[2];
	unsigned ms = patience(5000);

	(void)state;
	nodes_init(n, 2, m);
	circle_begin(n, v, 2);
	fh_point_arm("chain.waiting");
	fh_point_release("test.inside");
	assert_true(fh_point_wait("chain.waiting"));
	/* One is stopped there; the other is refused, ends, and lets the domain go. */
	while (!worker_done(&v[0].worker) && !worker_done_within(&v[1].worker, 1))
		assert_true(ms-- > 0);
	fh_point_release("chain.waiting");
	circle_end(n, v, 2);
	nodes_fini(n, 2);
	machine_end(m);
}

/* It has got the domain and has not taken itself out of the list yet: it waits for nothing. */
static void wait_that_is_over_is_no_link_of_a_circle(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[4] = {
		{ .next = &n[1] }, { .action = stop_inside }, { .next = &n[0] }, { 0 }
	};
	struct visitor v[3];

	(void)state;
	nodes_init(n, 3, m);
	fh_point_arm("test.inside");
	visitor_start(&v[1], &n[1]);
	assert_true(fh_point_wait("test.inside"));
	fh_point_arm("chain.waiting");
	fh_point_arm("chain.wait-over");
	visitor_start(&v[0], &n[0]); /* holds 0, waits for 1 */
	assert_true(fh_point_wait("chain.waiting"));
	fh_point_release("chain.waiting");
	fh_point_release("test.inside");
	assert_int_equal(visitor_join(&v[1]), FH_TX_OK);
	assert_true(fh_point_wait("chain.wait-over")); /* holds 0 and 1, registered for 1 */
	fh_point_arm("chain.waiting");
	visitor_start(&v[2], &n[2]); /* holds 2, waits for 0 */
	assert_true(fh_point_wait("chain.waiting"));
	fh_point_release("chain.waiting");
	fh_point_release("chain.wait-over");
	assert_int_equal(visitor_join(&v[0]), FH_TX_OK);
	assert_int_equal(visitor_join(&v[2]), FH_TX_OK);
	assert_int_equal(n[0].next_tx, FH_TX_OK);
	assert_int_equal(n[2].next_tx, FH_TX_OK);
	nodes_fini(n, 3);
	machine_end(m);
}

/* 0 waits for 1, 1 for 2, 2 for 3, which blocks: a queue, no circle. */
static void queue_of_waits_is_never_refused(void **state)
{
	enum { COUNT = 4 };
	struct fh_machine *m = machine_begin();
	struct node n[COUNT] = { 0 };
	struct visitor v[COUNT];

	(void)state;
	nodes_init(n, COUNT, m);
	n[COUNT - 1].action = block_inside;
	fh_point_arm("test.blocking");
	visitor_start(&v[COUNT - 1], &n[COUNT - 1]);
	assert_true(fh_point_wait("test.blocking"));
	for (unsigned i = COUNT - 1; i-- > 0;) {
		n[i].next = &n[i + 1];
		fh_point_arm("chain.waiting");
		visitor_start(&v[i], &n[i]);
		assert_true(fh_point_wait("chain.waiting"));
		fh_point_release("chain.waiting");
	}
	fh_point_release("test.blocking");
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(visitor_join(&v[i]), FH_TX_OK);
		assert_int_equal(n[i].next_tx, FH_TX_OK);
	}
	nodes_fini(n, COUNT);
	machine_end(m);
}

/* R7: a circle through two machines cannot be seen, so that none may come about. */
static void chain_of_another_machine_does_not_wait(void **state)
{
	struct fh_machine *m[2] = { machine_begin(), machine_begin() };
	struct node n[2] = { { .next = &n[1] }, { .action = stop_inside } };
	struct visitor v;

	(void)state;
	node_init(&n[0], m[0], 0);
	node_init(&n[1], m[1], 0);
	assert_int_equal(access_node(&n[0]), FH_TX_OK);
	assert_int_equal(n[0].next_tx, FH_TX_OK);
	fh_point_arm("test.inside");
	visitor_start(&v, &n[1]);
	assert_true(fh_point_wait("test.inside"));
	assert_int_equal(access_node(&n[0]), FH_TX_OK);
	assert_int_equal(n[0].next_tx, FH_TX_REENTRY);
	fh_point_release("test.inside");
	assert_int_equal(visitor_join(&v), FH_TX_OK);
	nodes_fini(n, 2);
	machine_end(m[0]);
	machine_end(m[1]);
}

/* --- Crossings at random -------------------------------------------------------------------- */

struct crowd {
	struct worker worker;
	struct node *nodes;
	unsigned count, rounds, seed;
	unsigned odd; /* outcomes that may not be */
};

/* Every visitor goes along 0 -> 1 -> ... -> count - 1, from wherever it likes: no circle. */
static void cross(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned i = 0; i < crowd->rounds; i++) {
		crowd->seed = crowd->seed * 1103515245 + 12345;
		if (access_node(&crowd->nodes[(crowd->seed >> 16) % crowd->count]) != FH_TX_OK)
			crowd->odd++;
	}
}

static void crossings_without_a_circle_see_no_refusal(void **state)
{
	enum { COUNT = 3, THREADS = 3 };
	struct fh_machine *m = machine_begin();
	struct node n[COUNT] = { { .next = &n[1] }, { .next = &n[2] }, { 0 } };
	struct crowd crowd[THREADS];

	(void)state;
	nodes_init(n, COUNT, m);
	for (unsigned i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){ .nodes = n, .count = COUNT, .rounds = 20000, .seed = i };
		worker_start(&crowd[i].worker, cross, &crowd[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		worker_join(&crowd[i].worker);
		assert_int_equal(crowd[i].odd, 0);
	}
	/* next_tx is written within the domain, and was always this: */
	assert_int_equal(n[0].next_tx | n[1].next_tx, FH_TX_OK);
	nodes_fini(n, COUNT);
	machine_end(m);
}

static _Atomic unsigned circle_refusals;

static void count_refusals(struct node *node)
{
	if (access_node(node + 1 - 2 * (node->ops.valid.max == 4)) == FH_TX_REENTRY)
		atomic_fetch_add_explicit(&circle_refusals, 1, memory_order_relaxed);
}

/* Two that reach each other: each way back is refused, and nothing ever hangs. */
static void crossings_in_a_circle_end(void **state)
{
	enum { THREADS = 3 };
	struct fh_machine *m = machine_begin();
	struct node n[2] = { { .action = count_refusals, .ops.valid.max = 8 },
			     { .action = count_refusals, .ops.valid.max = 4 } };
	struct crowd crowd[THREADS];

	(void)state;
	atomic_store_explicit(&circle_refusals, 0, memory_order_relaxed);
	nodes_init(n, 2, m);
	for (unsigned i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){ .nodes = n, .count = 2, .rounds = 10000, .seed = i };
		worker_start(&crowd[i].worker, cross, &crowd[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		worker_join(&crowd[i].worker);
		assert_int_equal(crowd[i].odd, 0);
	}
	/* The own way back at least, once for each access from outside. */
	assert_true(circle_refusals >= THREADS * 10000);
	nodes_fini(n, 2);
	machine_end(m);
}

#define TEST(name) cmocka_unit_test_teardown(name, release_points)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(second_access_waits_for_the_first),
		TEST(waiting_leaves_the_read_section),
		TEST(what_was_waited_for_is_looked_up_again),
		TEST(region_that_goes_during_the_wait_is_kept_for_it),
		TEST(circle_of_waits_refuses_one_access),
		TEST(circle_closed_by_two_at_the_same_moment_refuses_one),
		TEST(circle_is_closed_by_a_wait_that_has_only_begun),
		TEST(wait_that_is_over_is_no_link_of_a_circle),
		TEST(queue_of_waits_is_never_refused),
		TEST(chain_of_another_machine_does_not_wait),
		TEST(crossings_without_a_circle_see_no_refusal),
		TEST(crossings_in_a_circle_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
