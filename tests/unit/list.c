/* SPDX-License-Identifier: MIT */
/*
 * Intrusive lists, and the hashes of the library's tables.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/list.h"

struct item {
	char name;
	struct fh_list link;
};

static struct item a = {.name = 'a', .link = FH_LIST_INIT(a.link)};
static struct item b = {.name = 'b', .link = FH_LIST_INIT(b.link)};
static struct item c = {.name = 'c', .link = FH_LIST_INIT(c.link)};
static struct fh_list head = FH_LIST_INIT(head);

static int fill_abc(void **state)
{
	(void)state;
	fh_list_init(&head);
	fh_list_init(&a.link);
	fh_list_init(&b.link);
	fh_list_init(&c.link);
	fh_list_add_last(&head, &b.link);
	fh_list_add_last(&head, &c.link);
	fh_list_add_first(&head, &a.link);
	return 0;
}

/* The names in a list, forwards, checked against the way back. */
static const char *names(struct fh_list *list)
{
	static char text[8];
	size_t used = 0;
	size_t back;

	fh_list_for_each_entry(item, list, struct item, link)
		text[used++] = item->name;
	text[used] = '\0';
	back = used;
	fh_list_for_each_reverse(node, list)
		assert_int_equal(fh_list_entry(node, struct item, link)->name, text[--back]);
	return text;
}

static void list_keeps_the_order_of_additions(void **state)
{
	(void)state;
	assert_string_equal(names(&head), "abc");
	assert_ptr_equal(fh_list_first(&head), &a.link);
	assert_ptr_equal(fh_list_last(&head), &c.link);
}

static void removing_twice_is_harmless(void **state)
{
	(void)state;
	fh_list_remove(&b.link);
	assert_false(fh_list_linked(&b.link));
	fh_list_remove(&b.link);
	assert_string_equal(names(&head), "ac");
}

static void empty_list_has_no_first_and_no_last(void **state)
{
	(void)state;
	while (fh_list_pop(&head))
		;
	assert_true(fh_list_empty(&head));
	assert_null(fh_list_first(&head));
	assert_null(fh_list_last(&head));
}

static void safe_iteration_survives_removal_of_each(void **state)
{
	(void)state;
	fh_list_for_each_safe(node, &head)
		fh_list_remove(node);
	assert_true(fh_list_empty(&head));
	fill_abc(NULL);
	fh_list_for_each_entry_safe(item, &head, struct item, link) {
		fh_list_remove(&item->link);
		memset(&item->link, 0, sizeof(item->link));
	}
	assert_true(fh_list_empty(&head));
}

static void splice_appends_in_order_and_empties(void **state)
{
	struct fh_list other;

	(void)state;
	fh_list_init(&other);
	fh_list_remove(&a.link);
	fh_list_add_last(&other, &a.link);
	fh_list_splice_last(&other, &head);
	assert_true(fh_list_empty(&head));
	assert_string_equal(names(&other), "abc");
	fh_list_splice_last(&other, &head);
	assert_string_equal(names(&other), "abc");
}

/* Visits head; at the node named at, removes the one named what. */
static const char *visited(char at, struct item *what)
{
	static char text[8];
	size_t used = 0;
	struct fh_list pending;
	struct fh_list *node;

	fh_list_visit_begin(&pending, &head);
	while ((node = fh_list_visit_next(&pending, &head))) {
		text[used++] = fh_list_entry(node, struct item, link)->name;
		if (text[used - 1] == at)
			fh_list_remove(&what->link);
	}
	text[used] = '\0';
	return text;
}

static void visit_survives_removal_of_any_node(void **state)
{
	(void)state;
	assert_string_equal(visited('b', &a), "abc");
	assert_string_equal(names(&head), "bc");
	fill_abc(NULL);
	assert_string_equal(visited('b', &b), "abc");
	assert_string_equal(names(&head), "ac");
	fill_abc(NULL);
	assert_string_equal(visited('b', &c), "ab");
	assert_string_equal(names(&head), "ab");
}

static void visit_leaves_out_what_is_added_meanwhile(void **state)
{
	struct fh_list pending;
	unsigned visits = 0;

	(void)state;
	fh_list_remove(&c.link);
	fh_list_visit_begin(&pending, &head);
	while (fh_list_visit_next(&pending, &head)) {
		if (visits++ == 0)
			fh_list_add_last(&head, &c.link);
	}
	assert_int_equal(visits, 2);
	assert_string_equal(names(&head), "acb");
}

static void hash_of_text_equals_hash_of_its_bytes(void **state)
{
	(void)state;
	assert_true(fh_hash_string("uart0") == fh_hash_bytes("uart0", 5));
	assert_true(fh_hash_string("uart0") != fh_hash_string("uart1"));
	assert_true(fh_hash_pair(1, 2) != fh_hash_pair(2, 1));
}

/* 4,096 keys into 4,096 slots: chance fills none with more than 8 or so. */
static void low_bits_of_hashes_are_spread(void **state)
{
	unsigned of_pointers[4096] = {0};
	unsigned of_names[4096] = {0};

	(void)state;
	for (unsigned i = 0; i < 4096; i++) {
		char name[32];

		snprintf(name, sizeof(name), "device[%u]", i);
		of_pointers[fh_hash_ptr((void *)(uintptr_t)(0x7f0000000000 + i * 4096ul)) % 4096]++;
		of_names[fh_hash_string(name) % 4096]++;
	}
	for (unsigned i = 0; i < 4096; i++) {
		assert_true(of_pointers[i] <= 10);
		assert_true(of_names[i] <= 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(list_keeps_the_order_of_additions, fill_abc),
		cmocka_unit_test_setup(removing_twice_is_harmless, fill_abc),
		cmocka_unit_test_setup(empty_list_has_no_first_and_no_last, fill_abc),
		cmocka_unit_test_setup(safe_iteration_survives_removal_of_each, fill_abc),
		cmocka_unit_test_setup(splice_appends_in_order_and_empties, fill_abc),
		cmocka_unit_test_setup(visit_survives_removal_of_any_node, fill_abc),
		cmocka_unit_test_setup(visit_leaves_out_what_is_added_meanwhile, fill_abc),
		cmocka_unit_test(hash_of_text_equals_hash_of_its_bytes),
		cmocka_unit_test(low_bits_of_hashes_are_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
