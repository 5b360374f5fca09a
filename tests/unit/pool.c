/* SPDX-License-Identifier: MIT */
/*
 * The pool of view nodes: what a leaf says of itself through all its lives, and where nodes are.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "memory/view.h"
#include "support/dies.h"

#if FH_VIEW_POISONS
# include <sanitizer/asan_interface.h>
# define IS_POISONED(ptr) (__asan_address_is_poisoned(ptr) != 0)
#else
# define IS_POISONED(ptr) ((void)(ptr), false)
#endif

/* A view, and what was replaced in it and is sealed, but not given yet. */
struct fixture {
	struct fh_view_pool pool;
	struct fh_view_node *root;
	struct fh_view_retired retired;
};

static const struct fh_range some = { .first = 16, .last = 31, .flags = 5 };

static struct fh_range range(uint64_t first, uint64_t last)
{
	return (struct fh_range){ .first = first, .last = last, .offset = first };
}

static size_t nodes_of(const struct fh_view_node *root)
{
	struct fh_view_size size = fh_view_measure(root);

	return size.leaves + size.inners;
}

static void assert_accounts(struct fixture *f)
{
	struct fh_view_pool_stats stats = fh_view_pool_stats(&f->pool);

	assert_true(fh_view_check(f->root));
	assert_int_equal(stats.used, nodes_of(f->root) + f->retired.count);
	assert_int_equal(stats.used + stats.free, stats.allocated);
}

/* Makes and publishes a version with one window replaced. */
static void replace(struct fixture *f, uint64_t first, uint64_t last, const struct fh_range *ranges,
		    size_t count)
{
	struct fh_view_edit edit;

	fh_view_edit_begin(&edit, &f->pool, f->root);
	fh_view_edit_replace(&edit, first, last, ranges, count);
	f->root = fh_view_edit_end(&edit);
	fh_view_retired_seal(&edit.retired);
	fh_view_retired_join(&f->retired, &edit.retired);
	assert_accounts(f);
}

static void fixture_open(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	fh_view_pool_init(&f->pool);
	assert_int_equal(fh_view_pool_stats(&f->pool).bytes, 0);
}

static void fixture_close(struct fixture *f)
{
	replace(f, 0, UINT64_MAX, NULL, 0);
	assert_null(f->root);
	fh_view_pool_give(&f->pool, &f->retired);
	assert_int_equal(fh_view_pool_stats(&f->pool).used, 0);
	fh_view_pool_destroy(&f->pool);
	assert_int_equal(fh_view_pool_stats(&f->pool).bytes, 0);
}

static void stale_pair_never_holds_again(void **state)
{
	struct fixture f;
	const struct fh_view_leaf *leaf;
	struct fh_view_hit hit = { 0 };
	uint64_t generation;

	(void)state;
	fixture_open(&f);
	replace(&f, 16, 31, &some, 1);
	assert_true(fh_view_find(f.root, 20, &hit));
	leaf = hit.leaf;
	generation = fh_view_leaf_generation(leaf);
	assert_true(fh_view_leaf_holds(leaf, generation));
	assert_false(fh_view_leaf_holds(leaf, FH_VIEW_NEVER));
	for (unsigned life = 0; life < 1000; life++) {
		replace(&f, 16, 31, &some, life % 2);
		assert_false(fh_view_leaf_holds(leaf, generation));
		assert_false(fh_view_leaf_holds(leaf, FH_VIEW_NEVER));
		fh_view_pool_give(&f.pool, &f.retired);
		assert_false(fh_view_leaf_holds(leaf, generation));
	}
	assert_true(fh_view_pool_stats(&f.pool).allocated < 10);
	fixture_close(&f);
}

static void pair_holds_until_its_list_is_sealed(void **state)
{
	struct fixture f;
	struct fh_view_edit edit;
	struct fh_view_hit hit = { 0 };
	uint64_t generation;

	(void)state;
	fixture_open(&f);
	replace(&f, 16, 31, &some, 1);
	assert_true(fh_view_find(f.root, 20, &hit));
	generation = fh_view_leaf_generation(hit.leaf);

	fh_view_edit_begin(&edit, &f.pool, f.root);
	fh_view_edit_replace(&edit, 0, 100, NULL, 0);
	f.root = fh_view_edit_end(&edit);
	assert_true(fh_view_leaf_holds(hit.leaf, generation));
	fh_view_retired_seal(&edit.retired);
	assert_false(fh_view_leaf_holds(hit.leaf, generation));
	assert_true(fh_view_leaf_generation(hit.leaf) == FH_VIEW_NEVER);
	/* Whoever found it before may still read it. */
	assert_int_equal(fh_view_hit_range(hit).flags, some.flags);
	assert_false(IS_POISONED(&hit.leaf->slot[hit.slot]));
	fh_view_pool_give(&f.pool, &edit.retired);
	assert_int_equal(IS_POISONED(&hit.leaf->slot[hit.slot]), FH_VIEW_POISONS);
	assert_int_equal(IS_POISONED(&hit.leaf->node.first), FH_VIEW_POISONS);
	assert_false(fh_view_leaf_holds(hit.leaf, generation));
	fixture_close(&f);
}

static void nodes_are_used_again_only_when_given(void **state)
{
	struct fixture f;
	struct fh_view_pool_stats stats;

	(void)state;
	fixture_open(&f);
	for (unsigned i = 0; i < 100; i++)
		replace(&f, 16, 31, &some, 1);
	stats = fh_view_pool_stats(&f.pool);
	assert_int_equal(stats.used, 100);
	assert_int_equal(f.retired.count, 99);
	assert_int_equal(f.retired.bytes, 99 * sizeof(struct fh_view_leaf));

	fh_view_pool_give(&f.pool, &f.retired);
	assert_null(f.retired.head);
	assert_int_equal(f.retired.count, 0);
	assert_int_equal(fh_view_pool_stats(&f.pool).used, 1);
	for (unsigned i = 0; i < 50; i++)
		replace(&f, 16, 31, &some, 1);
	assert_int_equal(fh_view_pool_stats(&f.pool).allocated, stats.allocated);
	fixture_close(&f);
}

static void views_of_a_pool_do_not_mix(void **state)
{
	struct fixture f;
	struct fh_view_edit a, b;
	struct fh_view_node *root_a, *root_b;

	(void)state;
	fixture_open(&f);
	fh_view_edit_begin(&a, &f.pool, NULL);
	fh_view_edit_begin(&b, &f.pool, NULL);
	for (uint64_t i = 0; i < 500; i++) {
		const struct fh_range low = range(i * 32, i * 32 + 9);
		const struct fh_range high = range(i * 32 + 10, i * 32 + 31);

		fh_view_edit_replace(&a, low.first, low.last, &low, 1);
		fh_view_edit_replace(&b, high.first, high.last, &high, 1);
	}
	root_a = fh_view_edit_end(&a);
	root_b = fh_view_edit_end(&b);
	assert_true(fh_view_check(root_a) && fh_view_check(root_b));
	assert_int_equal(fh_view_measure(root_a).ranges, 500);
	assert_int_equal(fh_view_pool_stats(&f.pool).used, nodes_of(root_a) + nodes_of(root_b));

	fh_view_edit_begin(&a, &f.pool, root_a);
	fh_view_edit_replace(&a, 0, UINT64_MAX, NULL, 0);
	assert_null(fh_view_edit_end(&a));
	fh_view_retired_seal(&a.retired);
	fh_view_pool_give(&f.pool, &a.retired);
	assert_true(fh_view_check(root_b));
	assert_int_equal(fh_view_measure(root_b).ranges, 500);
	f.root = root_b;
	fixture_close(&f);
}

/* What an editor hands to a thread that gives it back: a box for one list. */
struct box {
	pthread_mutex_t lock;
	struct fh_view_retired list; /* under lock */
	bool closed;		     /* under lock */
	struct fh_view_pool *pool;
};

static void *give_all(void *arg)
{
	struct box *box = arg;
	bool closed = false;

	while (!closed) {
		struct fh_view_retired list;

		pthread_mutex_lock(&box->lock);
		list = box->list;
		box->list = (struct fh_view_retired){ 0 };
		closed = box->closed;
		pthread_mutex_unlock(&box->lock);
		fh_view_pool_give(box->pool, &list);
	}
	return NULL;
}

static void nodes_can_be_given_by_other_threads(void **state)
{
	struct fixture f;
	struct box box = { .lock = PTHREAD_MUTEX_INITIALIZER, .pool = &f.pool };
	pthread_t threads[2];

	(void)state;
	fixture_open(&f);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, give_all, &box), 0);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t first = fh_hash_u64(i) % 1000 * 16;
		const struct fh_range next = range(first, first + 15);
		struct fh_view_edit edit;

		fh_view_edit_begin(&edit, &f.pool, f.root);
		fh_view_edit_replace(&edit, first, first + 15, &next, i % 3 > 0);
		f.root = fh_view_edit_end(&edit);
		fh_view_retired_seal(&edit.retired);
		pthread_mutex_lock(&box.lock);
		fh_view_retired_join(&box.list, &edit.retired);
		pthread_mutex_unlock(&box.lock);
	}
	pthread_mutex_lock(&box.lock);
	box.closed = true;
	pthread_mutex_unlock(&box.lock);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	fh_view_pool_give(&f.pool, &box.list);
	assert_true(fh_view_check(f.root));
	assert_accounts(&f);
	fixture_close(&f);
}

/* --- Misuse --------------------------------------------------------------------------------- */

static struct fixture victim;

static void seal_twice(void)
{
	struct fh_view_edit edit;

	fh_view_edit_begin(&edit, &victim.pool, victim.root);
	fh_view_edit_replace(&edit, 0, UINT64_MAX, NULL, 0);
	fh_view_retired_seal(&edit.retired);
	fh_view_retired_seal(&edit.retired);
}

static void give_unsealed(void)
{
	struct fh_view_edit edit;

	fh_view_edit_begin(&edit, &victim.pool, victim.root);
	fh_view_edit_replace(&edit, 0, UINT64_MAX, NULL, 0);
	fh_view_pool_give(&victim.pool, &edit.retired);
	victim.root = NULL;
	for (;;)
		replace(&victim, 16, 31, &some, 1);
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	fixture_open(&victim);
	replace(&victim, 16, 31, &some, 1);
	assert_true(dies_saying(seal_twice, "node_alive"));
	assert_true(dies_saying(give_unsealed, "node_alive"));
	fixture_close(&victim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stale_pair_never_holds_again),
		cmocka_unit_test(pair_holds_until_its_list_is_sealed),
		cmocka_unit_test(nodes_are_used_again_only_when_given),
		cmocka_unit_test(views_of_a_pool_do_not_mix),
		cmocka_unit_test(nodes_can_be_given_by_other_threads),
		cmocka_unit_test(misuse_is_asserted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
