/* SPDX-License-Identifier: MIT */
/*
 * Devices that DMA into each other from several threads: where no circle can be closed nobody is
 * ever refused; where one is, the access that would close it is refused, and nothing hangs.
 *
 * A node is a device with a register. A store to it is passed on by DMA to the nodes that it leads
 * to, inside the callback, with one hop less to go. Each arrival at a further node is a crossing.
 */
#include "support/probe.h"

#include <sched.h>
#include <string.h>

#include "support/random.h"
#include "support/scale.h"

#define BASE UINT64_C(0x10000000)

enum {
	NODES = 8,
	THREADS = 4,
	LIMIT_S = 110, /* for what takes a few seconds: beyond it, it hangs */
};

struct net;

struct node {
	struct net *net;
	struct probe_hooks hooks;
	struct fh_device *device;
	unsigned leads_to; /* bits */
	uint64_t arrivals; /* in the domain: a plain counter would show it if two were in there */
};

struct net {
	struct fh_machine *m;
	struct node nodes[NODES];
	unsigned entries;	     /* bits: where threads come in */
	uint32_t hops;
	bool refusals;		     /* are permitted */
	unsigned lingers;	     /* every so many arrivals; 0: never */
	uint64_t wanted, most;	     /* of each thread: crossings, entries at most */
	_Atomic uint64_t crossings, refused, entered;
	_Atomic unsigned seeds;
};

static uint64_t addr_of(unsigned node)
{
	return BASE + node * 0x1000;
}

/* --- Nodes ---------------------------------------------------------------------------------- */

static _Thread_local uint64_t thread_crossings, thread_refused;

static void check_result(const struct net *net, enum fh_tx tx)
{
	CHECK(tx == FH_TX_OK || (tx == FH_TX_REENTRY && net->refusals));
}

/* So that others come to wait: a microsecond or two, or now and then until it is its turn again. */
static void linger(uint64_t turn)
{
	for (volatile unsigned i = 0; i < 1000; i++)
		;
	if (turn % 32 == 0)
		sched_yield();
}

/* @value: the hops that are left. */
static enum fh_tx pass_on(struct probe *probe, uint64_t offset, uint64_t value)
{
	struct node *node = probe->hooks->arg;
	struct net *net = node->net;

	(void)offset;
	node->arrivals++;
	if (net->lingers && node->arrivals % net->lingers == 0)
		linger(node->arrivals / net->lingers);
	for (unsigned next = 0; next < NODES && value > 0; next++) {
		if (!(node->leads_to >> next & 1))
			continue;
		const enum fh_tx tx = fh_space_store32(fh_machine_memory(net->m), addr_of(next),
						       (uint32_t)value - 1, FH_LE);

		check_result(net, tx);
		thread_crossings += tx == FH_TX_OK;
		thread_refused += tx == FH_TX_REENTRY;
	}
	return FH_TX_OK;
}

static void node_plug(struct net *net, unsigned index, FH_ANY parent, const struct fh_type *type)
{
	struct node *node = &net->nodes[index];

	node->net = net;
	node->hooks = (struct probe_hooks){ .write = pass_on, .arg = node };
	node->device = fh_device_new(parent, type, NULL, NULL, NULL);
	probe_of(node->device)->hooks = &node->hooks;
	assert_int_equal(fh_device_realize(node->device, NULL), FH_OK);
	assert_int_equal(fh_region_add(fh_space_root(fh_machine_memory(net->m)),
				       fh_device_region(node->device, "regs"), addr_of(index), 0),
			 FH_OK);
}

static void lead(struct net *net, unsigned from, unsigned to)
{
	net->nodes[from].leads_to |= 1u << to;
}

static void net_begin(struct net *net)
{
	memset(net, 0, sizeof(*net));
	net->m = machine_begin();
}

static void net_end(struct net *net)
{
	uint64_t arrivals = 0;

	for (unsigned i = 0; i < NODES; i++) {
		assert_true(net->nodes[i].hooks.most_inside <= 1);
		arrivals += net->nodes[i].arrivals;
	}
	assert_int_equal(arrivals, net->crossings + net->entered);
	machine_end(net->m);
}

/* --- Threads -------------------------------------------------------------------------------- */

static void enter(void *arg)
{
	struct net *net = arg;
	unsigned seed = ++net->seeds;
	uint64_t entered = 0;

	thread_crossings = thread_refused = 0;
	while (thread_crossings < net->wanted && entered < net->most) {
		unsigned node;

		do
			node = below(&seed, NODES);
		while (!(net->entries >> node & 1));
		/* Who holds nothing waits for as long as it takes. */
		CHECK(fh_space_store32(fh_machine_memory(net->m), addr_of(node), net->hops,
				       FH_LE) == FH_TX_OK);
		entered++;
	}
	net->crossings += thread_crossings;
	net->refused += thread_refused;
	net->entered += entered;
}

/* @crossings in all, or as many as @entries stores of each thread come to. */
static void run(struct net *net, unsigned threads, uint64_t crossings, uint64_t entries)
{
	struct worker workers[THREADS];

	net->wanted = crossings / threads;
	net->most = entries;
	for (unsigned i = 0; i < threads; i++)
		worker_start(&workers[i], enter, net);
	for (unsigned i = 0; i < threads; i++)
		worker_join_within(&workers[i], LIMIT_S);
}

/* --- No circle: no refusal ------------------------------------------------------------------ */

/* A and B each with a mailbox for the DMA of the other, which has a domain of its own. */
static void two_that_write_to_each_others_mailbox_are_never_refused(void **unused)
{
	struct net net;

	(void)unused;
	net_begin(&net);
	node_plug(&net, 0, net.m, &probe_type);
	node_plug(&net, 1, net.m, &probe_type);
	node_plug(&net, 2, net.nodes[0].device, &probe_own_domain_type);
	node_plug(&net, 3, net.nodes[1].device, &probe_own_domain_type);
	lead(&net, 0, 3);
	lead(&net, 1, 2);
	net.entries = 0x3;
	net.hops = 1;
	run(&net, 2, scaled(6000000), UINT64_MAX);
	/* The mailboxes are written to by others as well. */
	net.entries = 0xf;
	run(&net, THREADS, scaled(3000000), UINT64_MAX);
	net.lingers = 20;
	run(&net, THREADS, scaled(1000000), UINT64_MAX);
	assert_true(net.crossings >= scaled(10000000));
	assert_int_equal(net.refused, 0);
	net_end(&net);
}

/* Into the middle and the end of a chain as well. */
static void chain_is_never_refused(void **unused)
{
	struct net net;

	(void)unused;
	net_begin(&net);
	for (unsigned i = 0; i < 4; i++) {
		node_plug(&net, i, net.m, i & 1 ? &probe_own_domain_type : &probe_type);
		if (i > 0)
			lead(&net, i - 1, i);
	}
	net.entries = 0xf;
	net.hops = 3;
	run(&net, 3, scaled(2000000), UINT64_MAX);
	net.lingers = 20;
	run(&net, THREADS, scaled(1000000), UINT64_MAX);
	assert_int_equal(net.refused, 0);
	net_end(&net);
}

static void plug_all(struct net *net)
{
	for (unsigned i = 0; i < NODES; i++)
		node_plug(net, i, net->m, &probe_type);
}

/* Many wait for one at the same time, each of whom holds another. */
static void many_that_lead_to_one_are_never_refused(void **unused)
{
	struct net net;

	(void)unused;
	net_begin(&net);
	for (unsigned i = 0; i < 6; i++) {
		node_plug(&net, i, net.m, &probe_type);
		if (i > 0)
			lead(&net, i, 0);
	}
	net.entries = 0x3f;
	net.hops = 1;
	net.lingers = 3;
	run(&net, THREADS, scaled(500000), UINT64_MAX);
	assert_int_equal(net.refused, 0);
	net_end(&net);
}

/* Whatever leads down only, by as many ways as there are. */
static void graph_without_circles_is_never_refused(void **unused)
{
	(void)unused;
	for (unsigned seed = 1; seed <= 6; seed++) {
		unsigned state = seed;
		struct net net;

		net_begin(&net);
		plug_all(&net);
		for (unsigned from = 0; from < NODES; from++)
			for (unsigned to = from + 1; to < NODES; to++)
				if (below(&state, 3) == 0)
					lead(&net, from, to);
		lead(&net, 0, 1);
		net.entries = 0xff;
		net.hops = 3;
		net.lingers = seed * 4;
		run(&net, THREADS, scaled(300000), UINT64_MAX);
		assert_int_equal(net.refused, 0);
		net_end(&net);
	}
}

/* --- Circles: refused, and never a hang ----------------------------------------------------- */

/* The same mailboxes in the domains of A and B: each DMA goes from one domain to the other. */
static void two_domains_that_write_to_each_other_never_hang(void **unused)
{
	struct net net;

	(void)unused;
	net_begin(&net);
	node_plug(&net, 0, net.m, &probe_type);
	node_plug(&net, 1, net.m, &probe_type);
	node_plug(&net, 2, net.nodes[0].device, &probe_type);
	node_plug(&net, 3, net.nodes[1].device, &probe_type);
	lead(&net, 0, 3);
	lead(&net, 1, 2);
	net.entries = 0x3;
	net.hops = 1;
	/* One thread closes no circle. */
	run(&net, 1, UINT64_MAX, scaled(200000));
	assert_int_equal(net.crossings, scaled(200000));
	net.refusals = true;
	net.lingers = 10;
	run(&net, THREADS, UINT64_MAX, scaled(150000));
	/* Each came to one end or the other. */
	assert_int_equal(net.crossings + net.refused, net.entered);
	net_end(&net);
}

static void ring_is_refused_where_it_closes(void **unused)
{
	for (unsigned length = 1; length <= 4; length++) {
		const uint64_t rounds = scaled(20000);
		struct net net;

		(void)unused;
		net_begin(&net);
		for (unsigned i = 0; i < length; i++) {
			node_plug(&net, i, net.m, &probe_type);
			lead(&net, i, (i + 1) % length);
		}
		net.entries = (1u << length) - 1;
		net.hops = 20;
		net.refusals = true;
		/* Alone: all the way round, and then the one access that closes it. */
		run(&net, 1, UINT64_MAX, rounds);
		assert_int_equal(net.refused, rounds);
		assert_int_equal(net.crossings, rounds * (length - 1));
		/* Each that comes in ends with a refusal, its own or of the circle with others. */
		run(&net, THREADS, UINT64_MAX, rounds);
		assert_int_equal(net.refused, net.entered);
		net_end(&net);
	}
}

static void any_graph_never_hangs(void **unused)
{
	(void)unused;
	for (unsigned seed = 1; seed <= 10; seed++) {
		unsigned state = seed;
		struct net net;

		net_begin(&net);
		for (unsigned i = 0; i < NODES; i++)
			node_plug(&net, i, i < 2 ? (FH_ANY)net.m : (FH_ANY)net.nodes[i % 2].device,
				  below(&state, 2) ? &probe_type : &probe_own_domain_type);
		for (unsigned i = 0; i < 2 * NODES; i++)
			lead(&net, below(&state, NODES), below(&state, NODES));
		net.entries = 0xff;
		net.hops = 4;
		net.refusals = true;
		net.lingers = seed;
		run(&net, THREADS, UINT64_MAX, scaled(6000));
		net_end(&net);
	}
}

/* Siblings share a domain unless one asks for its own. */
static void sibling_in_the_same_domain_is_always_refused(void **unused)
{
	struct net net;

	(void)unused;
	net_begin(&net);
	node_plug(&net, 0, net.m, &probe_type);
	node_plug(&net, 1, net.nodes[0].device, &probe_type);
	node_plug(&net, 2, net.nodes[0].device, &probe_type);
	node_plug(&net, 3, net.nodes[0].device, &probe_own_domain_type);
	lead(&net, 1, 2);
	net.entries = 0x2;
	net.hops = 1;
	net.refusals = true;
	run(&net, THREADS, UINT64_MAX, scaled(50000));
	assert_int_equal(net.refused, net.entered);
	/* And the one in a domain of its own never is. */
	net.nodes[1].leads_to = 0;
	lead(&net, 1, 3);
	net.refusals = false;
	run(&net, THREADS, UINT64_MAX, scaled(50000));
	net_end(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_that_write_to_each_others_mailbox_are_never_refused),
		cmocka_unit_test(chain_is_never_refused),
		cmocka_unit_test(many_that_lead_to_one_are_never_refused),
		cmocka_unit_test(graph_without_circles_is_never_refused),
		cmocka_unit_test(two_domains_that_write_to_each_other_never_hang),
		cmocka_unit_test(ring_is_refused_where_it_closes),
		cmocka_unit_test(any_graph_never_hangs),
		cmocka_unit_test(sibling_in_the_same_domain_is_always_refused),
	};

	return cmocka_run_group_tests_name("stress/dma", tests, NULL, NULL);
}
