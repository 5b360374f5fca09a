/* SPDX-License-Identifier: MIT */
/*
 * The chain of callbacks on one thread: re-entry, depth, callbacks that block and what they leave
 * behind, callbacks that are no accesses.
 */
#include "support/dies.h"
#include "support/nodes.h"

/* --- Re-entry on one thread ----------------------------------------------------------------- */

static void device_that_reaches_itself_is_refused(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node a = { .next = &a };

	(void)state;
	node_init(&a, m, 0);
	assert_int_equal(access_node(&a), FH_TX_OK);
	assert_int_equal(a.next_tx, FH_TX_REENTRY);
	assert_int_equal(a.calls, 1);
	nodes_fini(&a, 1);
	machine_end(m);
}

static void way_back_through_another_device_is_refused(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[3] = { { .next = &n[1] }, { .next = &n[2] }, { .next = &n[0] } };

	(void)state;
	nodes_init(n, 3, m);
	assert_int_equal(access_node(&n[0]), FH_TX_OK);
	assert_int_equal(n[0].next_tx, FH_TX_OK);
	assert_int_equal(n[1].next_tx, FH_TX_OK);
	assert_int_equal(n[2].next_tx, FH_TX_REENTRY);
	assert_int_equal(n[0].calls, 1);
	nodes_fini(n, 3);
	machine_end(m);
}

static void reentrant_region_lets_its_own_callback_in(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[3] = { { .next = &n[1] }, { .next = &n[2] }, { 0 } };

	(void)state;
	node_init(&n[0], m, 0);
	node_init(&n[1], m, 1);
	/* The first one's domain, but as a region that may be entered again. */
	n[2].m = m;
	n[2].ops.read = node_read;
	n[2].ops.reentrant = true;
	n[2].region = fh_region_new_mmio(m, NULL, 0x1000, &n[2].ops, &n[2]);
	fh_domain_unref(n[2].region->domain);
	n[2].region->domain = fh_domain_ref(n[0].region->domain);
	assert_int_equal(
		fh_region_add(fh_space_root(fh_machine_memory(m)), n[2].region, ADDR(2), 0), FH_OK);
	assert_int_equal(access_node(&n[0]), FH_TX_OK);
	assert_int_equal(n[1].next_tx, FH_TX_OK);
	assert_int_equal(n[2].calls, 1);
	nodes_fini(n, 3);
	machine_end(m);
}

static void go_deeper(struct node *node)
{
	if (++node->depth > node->deepest)
		node->deepest = node->depth;
	node->next_tx = access_node(node);
	node->depth--;
}

static void chain_has_a_greatest_depth(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node a = { .action = go_deeper, .ops.concurrent = true };

	(void)state;
	node_init(&a, m, 0);
	assert_int_equal(access_node(&a), FH_TX_OK);
	assert_int_equal(a.deepest, FH_CHAIN_MAX);
	assert_int_equal(a.calls, FH_CHAIN_MAX);
	nodes_fini(&a, 1);
	machine_end(m);
}

/* --- Callbacks that block ------------------------------------------------------------------- */

static void blocked_callback_counts_until_it_returns(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[2] = { { .next = &n[1] }, { .action = block_inside } };
	struct visitor v;

	(void)state;
	nodes_init(n, 2, m);
	fh_point_arm("chain.blocked");
	fh_point_arm("test.blocking");
	fh_point_arm("chain.resumed");
	fh_point_arm("chain.returning");
	visitor_start(&v, &n[0]);
	assert_true(fh_point_wait("chain.blocked"));
	/* The whole chain, once each, before the section is left. */
	assert_int_equal(n[0].region->object.blocked, 1);
	assert_int_equal(n[1].region->object.blocked, 1);
	fh_point_release("chain.blocked");
	assert_true(fh_point_wait("test.blocking"));
	fh_point_release("test.blocking");
	assert_true(fh_point_wait("chain.resumed"));
	assert_int_equal(n[1].region->object.blocked, 1);
	fh_point_release("chain.resumed");
	assert_true(fh_point_wait("chain.returning"));
	assert_int_equal(n[1].region->object.blocked, 1);
	fh_point_release("chain.returning");
	assert_int_equal(visitor_join(&v), FH_TX_OK);
	assert_int_equal(n[0].region->object.blocked, 0);
	assert_int_equal(n[1].region->object.blocked, 0);
	nodes_fini(n, 2);
	machine_end(m);
}

static void block_twice(struct node *node)
{
	block_inside(node);
	assert_int_equal(node->region->object.blocked, 1);
	block_inside(node);
	assert_int_equal(node->region->object.blocked, 1);
}

static void callback_that_blocks_twice_counts_once(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node a = { .action = block_twice };

	(void)state;
	node_init(&a, m, 0);
	assert_int_equal(access_node(&a), FH_TX_OK);
	nodes_fini(&a, 1);
	machine_end(m);
}

/*
 * An access made while blocked is made in a section of its own, and its callback may block as
 * well.
 */
static void block_and_access(struct node *node)
{
	fh_blocking_begin();
	node->next_tx = access_node(&node[1]);
	fh_blocking_end();
}

static void blocked_callback_may_access(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[2] = { { .action = block_and_access }, { .action = block_inside } };

	(void)state;
	nodes_init(n, 2, m);
	fh_read_begin();
	assert_int_equal(access_node(&n[0]), FH_TX_OK);
	assert_int_equal(n[0].next_tx, FH_TX_OK);
	assert_int_equal(fh_thread_self()->depth, 1);
	fh_read_end();
	nodes_fini(n, 2);
	machine_end(m);
}

static void blocking_outside_callbacks_leaves_the_section_only(void **state)
{
	(void)state;
	fh_read_begin();
	fh_read_begin();
	fh_blocking_begin();
	fh_rcu_synchronize();
	fh_blocking_end();
	assert_int_equal(fh_thread_self()->depth, 2);
	fh_read_end();
	fh_read_end();
	fh_blocking_begin();
	fh_blocking_end();
	assert_int_equal(fh_thread_self()->depth, 0);
}

/* --- Bulk accesses and the view ------------------------------------------------------------- */

struct bulk {
	struct worker worker;
	struct fh_machine *m;
	uint64_t size;
	uint32_t value[3];
	enum fh_tx tx;
};

static void read_in_bulk(void *arg)
{
	struct bulk *bulk = arg;

	bulk->tx = fh_space_read(fh_machine_memory(bulk->m), ADDR(0), bulk->value, bulk->size,
				 (struct fh_attrs){ 0 });
}

/* A node of 4 bytes, 4 bytes of RAM behind it, and another node. */
static struct fh_region *ram_between(struct node *n, struct fh_machine *m)
{
	struct fh_region *ram = fh_region_new_ram(m, NULL, 4, NULL);

	nodes_init(n, 2, m);
	for (unsigned i = 0; i < 2; i++) {
		fh_region_resize(n[i].region, 4);
		fh_region_move(n[i].region, ADDR(0) + 8 * i);
	}
	*(uint32_t *)fh_region_ram(ram) = 7;
	fh_region_add(fh_space_root(fh_machine_memory(m)), ram, ADDR(0) + 4, 0);
	return ram;
}

static void bulk_access_uses_one_view(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[2] = { 0 };
	struct fh_region *ram = ram_between(n, m);
	struct bulk bulk = { .m = m, .size = 12 };

	(void)state;
	fh_point_arm("access.between");
	worker_start(&bulk.worker, read_in_bulk, &bulk);
	assert_true(fh_point_wait("access.between"));
	fh_region_remove(ram);
	fh_region_remove(n[1].region);
	fh_point_release("access.between");
	worker_join(&bulk.worker);
	assert_int_equal(bulk.tx, FH_TX_OK);
	assert_int_equal(bulk.value[1], 7);
	assert_int_equal(n[1].calls, 1);
	fh_object_unref(ram);
	nodes_fini(n, 2);
	machine_end(m);
}

static void bulk_access_that_blocks_goes_on_in_the_new_view(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node n[2] = { { .action = block_inside }, { 0 } };
	struct fh_region *ram = ram_between(n, m);
	struct bulk bulk = { .m = m, .size = 12 };

	(void)state;
	fh_point_arm("test.blocking");
	worker_start(&bulk.worker, read_in_bulk, &bulk);
	assert_true(fh_point_wait("test.blocking"));
	fh_region_remove(n[1].region);
	fh_object_unref(n[1].region);
	fh_region_remove(ram);
	fh_object_unref(ram);
	fh_machine_drain(m);
	fh_point_release("test.blocking");
	worker_join(&bulk.worker);
	assert_int_equal(bulk.tx, FH_TX_DECODE_ERROR);
	assert_int_equal(bulk.value[0], 1);
	assert_int_equal(bulk.value[1] | bulk.value[2], 0);
	assert_int_equal(n[1].calls, 0);
	nodes_fini(n, 1);
	machine_end(m);
}

/* --- Callbacks that are no accesses --------------------------------------------------------- */

static void count_call(void *arg)
{
	++*(unsigned *)arg;
}

static void call_of_a_hidden_owner_is_not_made(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node a = { 0 };
	unsigned calls = 0;

	(void)state;
	node_init(&a, m, 0);
	assert_true(fh_chain_call(a.region->domain, a.region->owner, &a.region->object, false,
				  count_call, &calls));
	fh_object_clear_flags(a.region->owner, FH_OBJECT_SHOWN);
	assert_false(fh_chain_call(a.region->domain, a.region->owner, &a.region->object, false,
				   count_call, &calls));
	assert_int_equal(calls, 1);
	assert_true(fh_chain_call(a.region->domain, a.region->owner, &a.region->object, true,
				  count_call, &calls));
	assert_int_equal(calls, 2);
	fh_object_set_flags(a.region->owner, FH_OBJECT_SHOWN);
	nodes_fini(&a, 1);
	machine_end(m);
}

static struct node *called_node;
static unsigned inner_calls;

static void call_again(void *arg)
{
	struct fh_region *region = called_node->region;

	*(bool *)arg = fh_chain_call(region->domain, region->owner, &region->object, false,
				     count_call, &inner_calls);
	assert_true(fh_chain_call_reentrant(region->domain, region->owner, &region->object, false,
					    count_call, &inner_calls));
}

static void call_within_its_own_domain_is_refused_unless_reentrant(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node a = { 0 };
	bool called = true;

	(void)state;
	called_node = &a;
	inner_calls = 0;
	node_init(&a, m, 0);
	assert_true(fh_chain_call(a.region->domain, a.region->owner, &a.region->object, false,
				  call_again, &called));
	assert_false(called);
	assert_int_equal(inner_calls, 1);
	nodes_fini(&a, 1);
	machine_end(m);
}

struct caller {
	struct worker worker;
	struct node *node;
	unsigned calls;
	bool called;
};

static void call_node(void *arg)
{
	struct caller *caller = arg;
	struct fh_region *region = caller->node->region;

	caller->called = fh_chain_call(region->domain, region->owner, &region->object, false,
				       count_call, &caller->calls);
}

/* Hidden while it waits for the domain: looked at again, and not called. */
static void call_that_waited_looks_at_the_shown_bit_again(void **state)
{
	struct fh_machine *m = machine_begin();
	struct node a = { .action = block_inside };
	struct caller caller = { .node = &a };
	struct visitor v;

	(void)state;
	node_init(&a, m, 0);
	fh_point_arm("test.blocking");
	visitor_start(&v, &a);
	assert_true(fh_point_wait("test.blocking"));
	fh_point_arm("chain.waiting");
	worker_start(&caller.worker, call_node, &caller);
	assert_true(fh_point_wait("chain.waiting"));
	fh_object_clear_flags(a.region->owner, FH_OBJECT_SHOWN);
	fh_point_release("chain.waiting");
	fh_point_release("test.blocking");
	assert_int_equal(visitor_join(&v), FH_TX_OK);
	worker_join(&caller.worker);
	assert_false(caller.called);
	assert_int_equal(caller.calls, 0);
	fh_object_set_flags(a.region->owner, FH_OBJECT_SHOWN);
	nodes_fini(&a, 1);
	machine_end(m);
}

/* --- A programmer's errors ------------------------------------------------------------------ */

static void nest_blocking(void)
{
	fh_blocking_begin();
	fh_blocking_begin();
}

static void end_blocking(void)
{
	fh_blocking_end();
}

static void end_no_section(void)
{
	fh_read_end();
}

static void throttle_in_section(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	fh_read_begin();
	fh_machine_throttle(m);
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(throttle_in_section, "depth"));
	assert_true(dies_saying(nest_blocking, "blocking"));
	assert_true(dies_saying(end_blocking, "blocking"));
	assert_true(dies_saying(end_no_section, "depth"));
}

#define TEST(name) cmocka_unit_test_teardown(name, release_points)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(misuse_is_asserted),
		TEST(device_that_reaches_itself_is_refused),
		TEST(way_back_through_another_device_is_refused),
		TEST(reentrant_region_lets_its_own_callback_in),
		TEST(chain_has_a_greatest_depth),
		TEST(blocked_callback_counts_until_it_returns),
		TEST(callback_that_blocks_twice_counts_once),
		TEST(blocked_callback_may_access),
		TEST(blocking_outside_callbacks_leaves_the_section_only),
		TEST(bulk_access_uses_one_view),
		TEST(bulk_access_that_blocks_goes_on_in_the_new_view),
		TEST(call_of_a_hidden_owner_is_not_made),
		TEST(call_within_its_own_domain_is_refused_unless_reentrant),
		TEST(call_that_waited_looks_at_the_shown_bit_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
