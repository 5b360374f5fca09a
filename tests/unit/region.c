/* SPDX-License-Identifier: MIT */
/*
 * Regions as objects: birth, what each edit permits and refuses, and their end.
 */
#include "support/flat.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "memory/chain.h"
#include "memory/links.h"
#include "memory/space.h"
#include "support/dies.h"
#include "support/host.h"

static struct fh_machine *m;
static struct fh_region *root;

static int setup(void **state)
{
	(void)state;
	m = fh_machine_new(NULL, NULL);
	root = fh_space_root(fh_machine_memory(m));
	return 0;
}

/* The ledger check: what a test made it gave back. */
static int teardown(void **state)
{
	(void)state;
	return fh_machine_destroy(m);
}

static _Atomic unsigned released;

static void count_release(void *arg)
{
	assert_ptr_equal(arg, &released);
	atomic_fetch_add_explicit(&released, 1, memory_order_relaxed);
}

static const struct fh_region_ops plain_ops = { .concurrent = true };
static const struct fh_region_ops releasing_ops = { .concurrent = true, .release = count_release };

static struct fh_region *mmio(uint64_t size)
{
	return fh_region_new_mmio(m, NULL, size, &plain_ops, NULL);
}

static struct fh_region *container(void)
{
	return fh_region_new_container(m, NULL, FH_SIZE_ALL);
}

/* --- Birth ---------------------------------------------------------------------------------- */

static void byte_order_of_the_registers_can_be_asked_for(void **state)
{
	static const enum fh_order orders[][2] = {
		{ FH_LE, FH_LE }, { FH_BE, FH_BE }, { FH_NATIVE, FH_LE }
	};
	struct fh_region *region = container();

	(void)state;
	assert_int_equal(fh_region_get_info(region).order, FH_LE);
	fh_object_unref(region);
	for (unsigned i = 0; i < 3; i++) {
		const struct fh_region_ops ops = { .concurrent = true, .order = orders[i][0] };

		region = fh_region_new_mmio(m, NULL, 0x10, &ops, NULL);
		assert_int_equal(fh_region_get_info(region).order, orders[i][1]);
		fh_object_unref(region);
		fh_machine_drain(m); /* ops are gone */
		region = fh_region_new_rom_device(m, NULL, 0x1000, &ops, NULL, NULL);
		assert_int_equal(fh_region_get_info(region).order, orders[i][1]);
		fh_object_unref(region);
		fh_machine_drain(m);
	}
}

static void new_region_is_as_it_was_asked_for(void **state)
{
	struct fh_region *target = mmio(0x2000);
	struct fh_region *alias = fh_region_new_alias(m, NULL, target, 0x800, FH_SIZE_ALL);
	const struct fh_region_info info = fh_region_get_info(alias);

	(void)state;
	assert_int_equal(info.kind, FH_REGION_ALIAS);
	assert_true(info.size == FH_SIZE_ALL);
	assert_ptr_equal(info.alias_target, target);
	assert_int_equal(info.alias_offset, 0x800);
	assert_true(info.enabled && info.shown);
	assert_false(info.readonly || info.nonvolatile || info.unmergeable || info.rom_mode);
	assert_null(info.container);
	assert_ptr_equal(info.owner, alias);
	assert_null(fh_region_ram(alias));
	fh_object_unref(alias);
	fh_object_unref(target);
}

static void access_sizes_of_0_mean_defaults(void **state)
{
	const struct fh_region_ops narrow = { .valid = { .max = 4 },
					      .impl = { .min = 2 },
					      .order = FH_BE,
					      .concurrent = true };
	struct fh_region *plain = mmio(0x10);
	struct fh_region *other = fh_region_new_mmio(m, NULL, 0x10, &narrow, NULL);

	(void)state;
	assert_int_equal(plain->valid_min, 1);
	assert_int_equal(plain->valid_max, 8);
	assert_int_equal(plain->impl_min, 1);
	assert_int_equal(plain->impl_max, 8);
	assert_false(plain->big_endian);
	assert_int_equal(other->valid_min, 1);
	assert_int_equal(other->valid_max, 4);
	assert_int_equal(other->impl_min, 2);
	assert_int_equal(other->impl_max, 4);
	assert_true(other->big_endian);
	fh_object_unref(plain);
	fh_object_unref(other);
}

static void ram_is_zeroed_and_of_any_size(void **state)
{
	struct fh_region *ram = fh_region_new_ram(m, NULL, 0x1001, NULL);
	const char *bytes = fh_region_ram(ram);

	(void)state;
	assert_int_equal(bytes[0], 0);
	assert_int_equal(bytes[0x1000], 0);
	fh_object_unref(ram);
}

static void ram_that_cannot_be_had_is_an_error(void **state)
{
	if (under_valgrind())
		skip(); /* it says "invalid" of what is too large */
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	assert_null(fh_region_new_ram(m, NULL, 0, &err));
	assert_int_equal(err.code, FH_EINVAL);
	fh_error_clear(&err);
	assert_null(fh_region_new_rom(m, NULL, FH_SIZE_ALL, FH_ROM_IGNORE, &err));
	assert_int_equal(err.code, FH_EINVAL);
	fh_error_clear(&err);
	assert_null(fh_region_new_ram(m, NULL, UINT64_C(1) << 62, &err));
	assert_int_equal(err.code, FH_ENOMEM);
	fh_error_clear(&err);
	assert_null(fh_region_new_rom_device(m, NULL, FH_SIZE_ALL - 1, &plain_ops, NULL, &err));
	assert_int_equal(err.code, FH_ENOMEM);
}

static void state_is_released_once_when_the_region_is_finalized(void **state)
{
	struct fh_region *regs = fh_region_new_mmio(m, NULL, 0x10, &releasing_ops, &released);
	struct fh_region *ram = fh_region_new_ram_ptr(m, NULL, 1, &released, count_release,
						      &released);

	(void)state;
	released = 0;
	assert_ptr_equal(fh_region_ram(ram), &released);
	assert_int_equal(fh_region_add(root, regs, 0, 0), FH_OK);
	fh_region_destroy(regs);
	fh_region_destroy(regs);
	fh_machine_drain(m);
	assert_int_equal(released, 0); /* our ref is still there */
	fh_object_unref(regs);
	fh_object_unref(ram);
	fh_machine_drain(m);
	assert_int_equal(released, 2);
}

static const struct fh_type owner_type = { .name = "owner" };

static void constructor_that_fails_has_taken_nothing(void **state)
{
	struct fh_object *owner = fh_object_new(m, &owner_type, NULL);
	struct fh_region *regs = fh_region_new_mmio(owner, "regs", 0x10, &releasing_ops, &released);
	struct fh_region *dead = mmio(0x10);

	(void)state;
	released = 0;
	assert_ptr_equal(fh_region_get_info(regs).owner, owner);
	assert_null(fh_region_new_mmio(owner, "regs", 0x10, &releasing_ops, &released));
	assert_null(fh_region_new_ram_ptr(owner, "regs", 1, &released, count_release, &released));
	fh_object_dispose(dead);
	assert_null(fh_region_new_alias(m, NULL, dead, 0, 0x10));
	fh_object_unref(dead);
	fh_machine_drain(m);
	assert_int_equal(released, 0);
	fh_object_dispose(owner);
	assert_null(fh_region_new_mmio(owner, "late", 0x10, &releasing_ops, &released));
	fh_object_unref(owner);
	fh_machine_drain(m);
	assert_int_equal(released, 1);
}

/* --- Structure ------------------------------------------------------------------------------ */

static void add_refuses_what_cannot_be_and_changes_nothing(void **state)
{
	struct fh_machine *other = fh_machine_new(NULL, NULL);
	struct fh_region *a = container(), *b = container(), *dead = container();
	struct fh_region *foreign = fh_region_new_container(other, NULL, 0x10);

	(void)state;
	fh_object_dispose(dead);
	assert_int_equal(fh_region_add(a, NULL, 0, 0), FH_EDEAD);
	assert_int_equal(fh_region_add(NULL, a, 0, 0), FH_EDEAD);
	assert_int_equal(fh_region_add(a, dead, 0, 0), FH_EDEAD);
	assert_int_equal(fh_region_add(dead, a, 0, 0), FH_EDEAD);
	assert_int_equal(fh_region_add(a, foreign, 0, 0), FH_EINVAL);
	assert_int_equal(fh_region_add(a, a, 0, 0), FH_ELOOP);
	assert_int_equal(fh_region_add(a, b, 0x10, 3), FH_OK);
	assert_int_equal(fh_region_add(a, b, 0x20, 4), FH_EBUSY);
	assert_int_equal(fh_region_get_info(b).addr, 0x10);
	assert_int_equal(fh_region_get_info(b).priority, 3);
	fh_object_unref(foreign);
	fh_object_unref(a);
	fh_object_unref(b);
	fh_object_unref(dead);
	assert_int_equal(fh_machine_destroy(other), 0);
}

static void cycles_through_containers_and_aliases_are_refused(void **state)
{
	struct fh_region *a = container(), *b = container();
	struct fh_region *alias = fh_region_new_alias(m, NULL, NULL, 0, 0x10);

	(void)state;
	assert_int_equal(fh_region_add(a, b, 0, 0), FH_OK);
	assert_int_equal(fh_region_add(b, a, 0, 0), FH_ELOOP);
	assert_int_equal(fh_region_set_alias_target(alias, alias), FH_ELOOP);
	assert_int_equal(fh_region_set_alias_target(alias, a), FH_OK);
	assert_int_equal(fh_region_add(b, alias, 0, 0), FH_ELOOP);
	fh_region_set_alias_target(alias, NULL);
	assert_int_equal(fh_region_add(b, alias, 0, 0), FH_OK);
	assert_int_equal(fh_region_set_alias_target(alias, a), FH_ELOOP);
	assert_null(fh_region_get_info(alias).alias_target);

	/* No longer one when the link that would close it is gone. */
	fh_region_remove(b);
	assert_int_equal(fh_region_set_alias_target(alias, a), FH_OK);
	assert_int_equal(fh_region_add(a, b, 0, 0), FH_ELOOP);
	fh_object_unref(alias);
	fh_object_unref(a);
	fh_object_unref(b);
}

/* The search has to go up where too much lies below. */
static void cycle_below_much_is_found_too(void **state)
{
	enum { MANY = 100 };
	struct fh_region *top = container(), *wide = container(), *low = container();
	struct fh_region *leaves[MANY];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		leaves[i] = mmio(0x10);
		assert_int_equal(fh_region_add(wide, leaves[i], i * 0x10, 0), FH_OK);
	}
	assert_int_equal(fh_region_add(wide, low, 0, 0), FH_OK);
	assert_int_equal(fh_region_add(low, top, 0, 0), FH_OK);
	assert_int_equal(fh_region_add(top, wide, 0, 0), FH_ELOOP);
	fh_region_remove(top);
	assert_int_equal(fh_region_add(top, wide, 0, 0), FH_OK);
	for (unsigned i = 0; i < MANY; i++)
		fh_object_unref(leaves[i]);
	fh_object_unref(top);
	fh_object_unref(wide);
	fh_object_unref(low);
}

static void edits_of_nothing_and_of_the_dead_are_refused(void **state)
{
	struct fh_region *dead = fh_region_new_alias(m, NULL, NULL, 0, 0x10);
	struct fh_region *const none[] = { NULL, dead };

	(void)state;
	fh_object_dispose(dead);
	for (unsigned i = 0; i < 2; i++) {
		struct fh_region *region = none[i];

		assert_int_equal(fh_region_move(region, 0), FH_EDEAD);
		assert_int_equal(fh_region_set_priority(region, 1), FH_EDEAD);
		assert_int_equal(fh_region_set_enabled(region, false), FH_EDEAD);
		assert_int_equal(fh_region_resize(region, 1), FH_EDEAD);
		assert_int_equal(fh_region_set_alias_offset(region, 1), FH_EDEAD);
		assert_int_equal(fh_region_set_alias_target(region, NULL), FH_EDEAD);
		assert_int_equal(fh_region_set_readonly(region, true), FH_EDEAD);
		assert_int_equal(fh_region_set_nonvolatile(region, true), FH_EDEAD);
		assert_int_equal(fh_region_set_rom_mode(region, false), FH_EDEAD);
		assert_int_equal(fh_region_set_unmergeable(region, true), FH_EDEAD);
		fh_region_remove(region);
		assert_null(fh_region_destroy(region));
	}
	fh_object_unref(dead);
}

static void edits_of_the_wrong_kind_are_refused(void **state)
{
	struct fh_region *regs = mmio(0x10);

	(void)state;
	assert_int_equal(fh_region_set_alias_offset(regs, 1), FH_ETYPE);
	assert_int_equal(fh_region_set_alias_target(regs, NULL), FH_ETYPE);
	assert_int_equal(fh_region_set_rom_mode(regs, false), FH_ETYPE);
	fh_object_unref(regs);
}

static void ram_does_not_grow_beyond_what_it_was_made_with(void **state)
{
	struct fh_region *ram = fh_region_new_ram(m, NULL, 0x1800, NULL);

	(void)state;
	assert_int_equal(fh_region_resize(ram, 0x1000), FH_OK);
	assert_int_equal(fh_region_resize(ram, 0x1800), FH_OK);
	assert_int_equal(fh_region_resize(ram, 0x1801), FH_EINVAL);
	assert_int_equal(fh_region_resize(ram, FH_SIZE_ALL), FH_EINVAL);
	assert_int_equal(fh_region_get_info(ram).size, 0x1800);
	fh_object_unref(ram);
}

static bool note_sub(struct fh_region *sub, void *arg)
{
	char *text = arg;

	strcat(strcat(text, fh_object_name(sub)), " ");
	return text[0] != 'x';
}

static void subregions_are_visited_topmost_first(void **state)
{
	struct fh_region *outer = container();
	struct fh_region *a = fh_region_new_container(m, "a", 0x10);
	struct fh_region *b = fh_region_new_container(m, "b", 0);
	struct fh_region *c = fh_region_new_container(m, "c", 0x10);
	char text[16] = "";

	(void)state;
	fh_region_add(outer, a, 0x20, 0);
	fh_region_add(outer, b, UINT64_MAX, 0);
	fh_region_add(outer, c, 0, -1);
	fh_region_each_sub(outer, note_sub, text);
	assert_string_equal(text, "b a c ");
	fh_region_move(a, 0x30);
	text[0] = 0;
	fh_region_each_sub(outer, note_sub, text);
	assert_string_equal(text, "a b c ");
	fh_object_unref(a);
	fh_object_unref(b);
	fh_object_unref(c);
	fh_object_unref(outer);
}

/* --- Transactions --------------------------------------------------------------------------- */

static void nothing_is_seen_before_the_outermost_commit(void **state)
{
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_region *regs = fh_region_new_mmio(m, "regs", 0x10, &plain_ops, NULL);

	(void)state;
	fh_edit_begin(m);
	fh_edit_begin(m);
	fh_region_add(root, regs, 0, 0);
	fh_edit_commit(m);
	assert_flat(memory, "");
	fh_region_move(regs, 0x100);
	assert_flat(memory, "");
	fh_edit_commit(m);
	assert_flat(memory, "100-10f regs+0");
	fh_object_unref(regs);
	assert_flat(memory, "");
}

static void edits_that_change_nothing_publish_nothing(void **state)
{
	struct fh_space *memory = fh_machine_memory(m);
	struct fh_region *top = fh_region_new_mmio(m, NULL, 0x100, &plain_ops, NULL);
	struct fh_region *below = fh_region_new_mmio(m, NULL, 0x10, &plain_ops, NULL);
	struct fh_view_node *view;

	(void)state;
	fh_region_add(root, top, 0, 1);
	fh_region_add(root, below, 0, 0);
	view = fh_view_set_root(memory->shows);
	fh_region_move(below, 0x20);
	fh_region_set_nonvolatile(below, true);
	fh_region_move(top, 0);
	fh_edit_begin(m);
	fh_region_remove(top);
	fh_region_add(root, top, 0, 1);
	fh_edit_commit(m);
	assert_ptr_equal(fh_view_set_root(memory->shows), view);
	fh_object_unref(top);
	fh_object_unref(below);
}

static void what_a_transaction_made_and_disposed_of_leaves_no_trace(void **state)
{
	(void)state;
	fh_edit_begin(m);
	for (unsigned i = 0; i < 50; i++) {
		struct fh_region *outer = container();
		struct fh_region *alias = fh_region_new_alias(m, NULL, outer, 0, 0x1000);
		struct fh_region *regs = mmio(0x10);

		fh_region_add(root, alias, i * 0x1000, 0);
		fh_region_add(outer, regs, 0, 0);
		fh_region_resize(outer, 0x800);
		fh_object_unref(outer);
		fh_object_unref(regs);
		fh_object_unref(alias);
	}
	/* Finalizers may run, although what they finalize was touched in this transaction. */
	fh_reaper_flush_now(m->reaper);
	fh_edit_commit(m);
	assert_flat(fh_machine_memory(m), "");
}

/* --- End ------------------------------------------------------------------------------------ */

static void disposal_takes_links_down_at_both_ends(void **state)
{
	struct fh_region *outer = container(), *inner = container(), *sub = mmio(0x10);
	struct fh_region *alias = fh_region_new_alias(m, NULL, inner, 0, 0x100);
	struct fh_space *space = fh_space_new(m, NULL, inner);

	(void)state;
	fh_region_add(outer, inner, 0, 0);
	fh_region_add(inner, sub, 0, 0);
	assert_int_equal(fh_region_get_info(sub).container == inner, true);
	fh_region_destroy(inner);
	fh_region_destroy(inner);
	assert_null(fh_region_get_info(sub).container);
	assert_null(fh_region_get_info(inner).container);
	assert_null(fh_region_get_info(alias).alias_target);
	assert_null(fh_space_root(space));
	assert_int_equal(fh_region_add(root, sub, 0x40, 0), FH_OK);
	fh_object_unref(inner);
	fh_object_unref(outer);
	fh_object_unref(sub);
	fh_object_unref(alias);
	fh_object_unref(space);
}

static void space_whose_root_is_disposed_of_is_empty(void **state)
{
	struct fh_region *regs = fh_region_new_mmio(m, "regs", 0x10, &plain_ops, NULL);
	struct fh_region *other = fh_region_new_mmio(m, "other", 0x10, &plain_ops, NULL);
	struct fh_space *space = fh_space_new(m, NULL, regs);

	(void)state;
	assert_flat(space, "0-f regs+0");
	fh_object_dispose(regs);
	assert_flat(space, "");
	assert_int_equal(fh_space_set_root(space, regs), FH_EDEAD);
	assert_null(fh_space_new(m, NULL, regs));
	assert_int_equal(fh_space_set_root(space, other), FH_OK);
	assert_flat(space, "0-f other+0");
	assert_int_equal(fh_space_set_root(space, NULL), FH_OK);
	assert_flat(space, "");
	fh_object_dispose(space);
	assert_int_equal(fh_space_set_root(space, other), FH_EDEAD);
	fh_object_unref(regs);
	fh_object_unref(other);
	fh_object_unref(space);
}

static void what_a_view_shows_is_pinned_once_for_each_range(void **state)
{
	struct fh_region *regs = mmio(0x30), *over = mmio(0x10), *other = mmio(0x10);
	const uint32_t before = fh_object_pins(&regs->object);

	(void)state;
	fh_region_add(root, other, 0x1000, 0);
	fh_region_add(root, regs, 0, 0);
	assert_int_equal(fh_object_pins(&regs->object), before + 1);
	fh_region_add(root, over, 0x10, 1);
	assert_int_equal(fh_object_pins(&regs->object), before + 2);
	fh_region_move(regs, 0x8);
	assert_int_equal(fh_object_pins(&regs->object), before + 2);
	fh_region_remove(regs);
	fh_machine_drain(m);
	assert_int_equal(fh_object_pins(&regs->object), before);
	fh_object_unref(regs);
	fh_object_unref(over);
	fh_object_unref(other);
}

static void region_in_a_view_can_be_explained(void **state)
{
	struct fh_region *regs = fh_region_new_mmio(m, "regs", 0x30, &plain_ops, NULL);
	struct fh_region *over = mmio(0x10);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	fh_region_add(root, regs, 0, 0);
	fh_region_add(root, over, 0x10, 1);
	assert_int_equal(fh_topology_explain(&regs->object, out), 2);
	fclose(out);
	assert_string_equal(text, "  shown in 2 ranges of /memory\n");
	free(text);
	fh_object_unref(regs);
	fh_object_unref(over);
}

/* Where they began, the map was told of windows by the thousand: memory for that is given back. */
static void long_transactions_leave_no_long_lists(void **state)
{
	enum { MANY = 5000 };
	static struct fh_region *regions[MANY];

	(void)state;
	fh_edit_begin(m);
	for (unsigned i = 0; i < MANY; i++) {
		regions[i] = mmio(0x10);
		fh_region_add(root, regions[i], i * 0x100, 0);
	}
	fh_edit_commit(m);
	assert_true(m->topology->windows.capacity * sizeof(struct fh_window) <= FH_VECTOR_KEEP);
	assert_true(m->topology->changes.added.capacity * sizeof(struct fh_range) <=
		    FH_VECTOR_KEEP);
	for (unsigned i = 0; i < MANY; i++)
		fh_object_unref(regions[i]);
}

/* --- Misuse --------------------------------------------------------------------------------- */

static void commit_without_begin(void)
{
	fh_edit_commit(fh_machine_new(NULL, NULL));
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(commit_without_begin, "fh_topology_commit"));
}

int main(void)
{
#define region_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misuse_is_asserted), /* first: it forks */
		region_test(byte_order_of_the_registers_can_be_asked_for),
		region_test(new_region_is_as_it_was_asked_for),
		region_test(access_sizes_of_0_mean_defaults),
		region_test(ram_is_zeroed_and_of_any_size),
		region_test(ram_that_cannot_be_had_is_an_error),
		region_test(state_is_released_once_when_the_region_is_finalized),
		region_test(constructor_that_fails_has_taken_nothing),
		region_test(add_refuses_what_cannot_be_and_changes_nothing),
		region_test(cycles_through_containers_and_aliases_are_refused),
		region_test(cycle_below_much_is_found_too),
		region_test(edits_of_nothing_and_of_the_dead_are_refused),
		region_test(edits_of_the_wrong_kind_are_refused),
		region_test(ram_does_not_grow_beyond_what_it_was_made_with),
		region_test(subregions_are_visited_topmost_first),
		region_test(nothing_is_seen_before_the_outermost_commit),
		region_test(edits_that_change_nothing_publish_nothing),
		region_test(what_a_transaction_made_and_disposed_of_leaves_no_trace),
		region_test(disposal_takes_links_down_at_both_ends),
		region_test(space_whose_root_is_disposed_of_is_empty),
		region_test(what_a_view_shows_is_pinned_once_for_each_range),
		region_test(region_in_a_view_can_be_explained),
		region_test(long_transactions_leave_no_long_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
