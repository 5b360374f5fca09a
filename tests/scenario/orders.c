/* SPDX-License-Identifier: MIT */
/*
 * What was realized goes in the exact reverse (L6, L7), in whatever order it was realized: a forest
 * of devices, each of which realizes some of those below it in its own realize, and may fail.
 *
 * A model says what is to happen. `done` is what is realized, in order of completion: a device is
 * put there when its own realize is done, and is the last again when all below it is.
 */
#include "support/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 12, ROUNDS = 400, OPS = 10 };

struct node {
	struct fh_device *device; /* NULL: disposed of */
	int parent;		  /* -1: none */
	int inner[2];		  /* below it, to be realized in its realize; -1: none */
	bool fails;
};

static struct node nodes[NODES];
static int done[NODES];
static int done_count;
static char trace[4096], expected[4096];
static unsigned seed;

static int below(int limit)
{
	seed = seed * 1103515245 + 12345;
	return (int)(seed >> 16 & 0x7fff) % limit;
}

static bool is_below(int node, int top)
{
	while (node >= 0 && node != top)
		node = nodes[node].parent;
	return node == top;
}

static void note(const char *what, const char *name)
{
	const size_t used = strlen(trace);

	snprintf(trace + used, sizeof(trace) - used, "%s%s%s", used ? " " : "", what, name);
}

static void expect(char what, int node)
{
	const size_t used = strlen(expected);

	snprintf(expected + used, sizeof(expected) - used, "%s%c%d", used ? " " : "", what, node);
}

static int done_find(int node)
{
	int at = 0;

	while (at < done_count && done[at] != node)
		at++;
	return at;
}

static bool is_done(int node)
{
	return done_find(node) < done_count;
}

static void done_remove(int at)
{
	done_count--;
	memmove(&done[at], &done[at + 1], (size_t)(done_count - at) * sizeof(done[0]));
}

/* What is below @top goes, the last first, down to the entry @stop. */
static void model_undo(int top, int stop)
{
	for (int at = done_count - 1; at >= stop; at--)
		if (is_below(done[at], top)) {
			expect('-', done[at]);
			done_remove(at);
		}
}

static bool model_realize(int node);

static bool model_parts(int node)
{
	for (int i = 0; i < 2; i++) {
		const int inner = nodes[node].inner[i];

		if (inner >= 0 && nodes[inner].device && !is_done(inner) && !model_realize(inner))
			return false;
	}
	if (nodes[node].fails)
		return false;
	expect('+', node);
	done[done_count++] = node;
	return true;
}

/* In preorder: those made first come first. */
static bool model_children(int node)
{
	for (int child = node + 1; child < NODES; child++)
		if (nodes[child].parent == node && nodes[child].device) {
			if (!is_done(child) && !model_realize(child))
				return false;
			if (!model_children(child))
				return false;
		}
	return true;
}

static bool model_realize(int node)
{
	const int start = done_count;

	if (!model_parts(node) || !model_children(node)) {
		model_undo(node, start);
		return false;
	}
	done_remove(done_find(node));
	done[done_count++] = node;
	return true;
}

static int index_of(struct fh_device *device)
{
	return atoi(fh_object_name(device));
}

static enum fh_code node_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	const struct node *node = &nodes[index_of(device)];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fh_device *inner =
			node->inner[i] >= 0 ? nodes[node->inner[i]].device : NULL;

		if (inner && !fh_device_is_realized(inner) &&
		    fh_device_realize(inner, err) != FH_OK)
			return FH_EIO;
	}
	if (node->fails)
		return FH_EIO;
	note("+", fh_object_name(device));
	return FH_OK;
}

static void node_unrealize(struct fh_device *device, void *state)
{
	(void)state;
	note("-", fh_object_name(device));
}

static const struct fh_device_ops node_ops = {
	.realize = node_realize,
	.unrealize = node_unrealize,
};
static const struct fh_type node_type = {
	.name = "node",
	.parent = &fh_device_type,
	.device = &node_ops,
};

static void plant(struct fh_machine *m)
{
	memset(nodes, 0, sizeof(nodes));
	done_count = 0;
	for (int i = 0; i < NODES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i);
		nodes[i].parent = below(4) && i > 0 ? below(i) : -1;
		if (nodes[i].parent >= 0)
			nodes[i].device = fh_device_new(nodes[nodes[i].parent].device, &node_type,
							name, NULL, NULL);
		else
			nodes[i].device = fh_device_new(m, &node_type, name, NULL, NULL);
		assert_non_null(nodes[i].device);
	}
	for (int i = 0; i < NODES; i++)
		for (int k = 0; k < 2; k++) {
			const int inner = below(NODES);

			nodes[i].inner[k] = inner != i && is_below(inner, i) ? inner : -1;
		}
}

static void realize_one(int node)
{
	for (int i = 0; i < NODES; i++)
		nodes[i].fails = below(8) == 0;
	const bool was_done = is_done(node);
	const bool ok = !was_done && model_realize(node);

	assert_int_equal(fh_device_realize(nodes[node].device, NULL) == FH_OK, ok);
	if (!was_done)
		assert_int_equal(is_done(node), ok);
}

static void dispose_one(int node)
{
	model_undo(node, 0);
	fh_device_unplug(nodes[node].device);
	for (int i = 0; i < NODES; i++)
		if (is_below(i, node))
			nodes[i].device = NULL;
}

static void odd_orders_are_undone_in_the_exact_reverse(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	for (int round = 0; round < ROUNDS; round++) {
		seed = (unsigned)round * 2654435761u + 1;
		plant(m);
		for (int op = 0; op < OPS; op++) {
			const int node = below(NODES);

			if (!nodes[node].device)
				continue;
			trace[0] = expected[0] = '\0';
			if (below(5) == 0)
				dispose_one(node);
			else
				realize_one(node);
			assert_string_equal(trace, expected);
		}
		trace[0] = expected[0] = '\0';
		for (int i = 0; i < NODES; i++)
			if (nodes[i].device)
				dispose_one(i);
		assert_string_equal(trace, expected);
		assert_int_equal(done_count, 0);
	}
	trace[0] = '\0';
	machine_check_alive(m, 0);
	machine_end(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_orders_are_undone_in_the_exact_reverse),
	};

	return cmocka_run_group_tests_name("scenario/orders", tests, NULL, NULL);
}
