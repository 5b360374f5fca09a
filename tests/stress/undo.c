/* SPDX-License-Identifier: MIT */
/*
 * Two threads realize devices that make a random tree below them and fail, or give birth to such as
 * fail, while three others dispose of whatever of it they can get hold of, or realize it, pin it,
 * or make more below it (L4, L5, L6, L7).
 *
 * R1. Each object is disposed of once and finalized once; what was realized is unrealized once,
 *     before that; none of its callbacks runs beside another.
 * R2. No parent is disposed of before its child.
 * R3. Each pin is revoked once.
 */
#include "support/probe.h"

#include <sched.h>

#include "object/machine.h"
#include "support/random.h"
#include "support/scale.h"

enum { MAKERS = 2, OTHERS = 3, SLOTS = 8, DEPTH = 2 };

static struct fh_machine *machine;
static _Atomic(struct fh_object *) slots[SLOTS]; /* each with a ref: for others to take */
static _Atomic bool stop;
static _Atomic unsigned made, disposed, finalized, realized, unrealized, pinned, revoked;
static struct fh_object *holder;
static _Thread_local unsigned seed;
static _Thread_local struct fh_object **newborn; /* where init leaves a ref, or NULL */

static unsigned any(unsigned limit)
{
	return below(&seed, limit);
}

/* --- What is made --------------------------------------------------------------------------- */

struct leaf {
	_Atomic bool busy, realized, disposed;
};

static const struct fh_type leaf_type;

static enum fh_code leaf_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)state;
	(void)err;
	made++;
	if (newborn)
		*newborn = fh_object_ref(object);
	newborn = NULL;
	return FH_OK;
}

static enum fh_code leaf_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct leaf *leaf = state;

	(void)device;
	(void)err;
	CHECK(!leaf->disposed && !leaf->realized);
	leaf->realized = true;
	realized++;
	return FH_OK;
}

static void enter(struct fh_object *object, struct leaf *leaf)
{
	CHECK(!atomic_exchange(&leaf->busy, true));
	fh_tree_acquire(machine);
	const struct fh_object *parent = object->parent;

	CHECK(!parent || parent->class->type != &leaf_type ||
	      !((struct leaf *)fh_object_state((struct fh_object *)parent, &leaf_type))->disposed);
	fh_lock_release(&machine->tree_lock);
	if (any(4) == 0)
		sched_yield();
}

static void leaf_unrealize(struct fh_device *device, void *state)
{
	struct leaf *leaf = state;

	enter((struct fh_object *)device, leaf);
	CHECK(leaf->realized && !leaf->disposed);
	leaf->realized = false;
	unrealized++;
	leaf->busy = false;
}

static void leaf_dispose(struct fh_object *object, void *state)
{
	struct leaf *leaf = state;

	enter(object, leaf);
	CHECK(!leaf->realized && !leaf->disposed);
	leaf->disposed = true;
	disposed++;
	leaf->busy = false;
}

static void leaf_finalize(struct fh_object *object, void *state)
{
	const struct leaf *leaf = state;

	(void)object;
	CHECK(leaf->disposed && !leaf->busy);
	finalized++;
}

static const struct fh_device_ops leaf_ops = {
	.realize = leaf_realize, .unrealize = leaf_unrealize
};
static const struct fh_type leaf_type = {
	.name = "leaf",
	.parent = &fh_device_type,
	.state_size = sizeof(struct leaf),
	.device = &leaf_ops,
	.init = leaf_init,
	.dispose = leaf_dispose,
	.finalize = leaf_finalize,
};

/* --- Making it ------------------------------------------------------------------------------ */

static void publish(struct fh_object *object)
{
	fh_object_unref(atomic_exchange(&slots[any(SLOTS)], fh_object_ref(object)));
}

static void make_below(struct fh_object *parent, unsigned depth);

/* Born elsewhere, and put there; it may be gone already. */
static void make_elsewhere(struct fh_object *parent, unsigned depth)
{
	struct fh_object *object = fh_object_new(machine, &leaf_type, NULL);

	if (depth > 0)
		make_below(object, depth - 1);
	if (any(2))
		fh_device_realize((struct fh_device *)object, NULL);
	if (any(2))
		publish(object);
	if (fh_object_add_child(parent, NULL, object, NULL) != FH_OK)
		fh_object_dispose(object);
	fh_object_unref(object);
}

/* The ref is taken in init: with the parent it may be gone as soon as that has returned. */
static void make_there(struct fh_object *parent, unsigned depth)
{
	struct fh_object *object = NULL;

	newborn = &object;
	if (fh_object_new_child(parent, NULL, &leaf_type, NULL)) {
		if (any(2))
			publish(object);
		if (depth > 0 && any(2))
			make_below(object, depth - 1);
		if (any(2))
			fh_device_realize((struct fh_device *)object, NULL);
		if (depth > 0 && any(2))
			make_below(object, depth - 1);
	}
	newborn = NULL;
	fh_object_unref(object);
}

static void make_below(struct fh_object *parent, unsigned depth)
{
	for (unsigned count = 1 + any(3); count > 0; count--)
		if (any(3) == 0)
			make_elsewhere(parent, depth);
		else
			make_there(parent, depth);
}

static enum fh_code unlucky_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)state;
	make_below((struct fh_object *)device, DEPTH);
	return fh_error_set(err, FH_EIO, "no luck");
}

static const struct fh_device_ops unlucky_ops = { .realize = unlucky_realize };
static const struct fh_type unlucky_type = {
	.name = "unlucky", .parent = &fh_device_type, .device = &unlucky_ops
};

static enum fh_code unborn_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)state;
	make_below(object, DEPTH - 1);
	return any(2) ? FH_OK : fh_error_set(err, FH_EIO, "no luck");
}

static const struct fh_type unborn_type = {
	.name = "unborn", .parent = &fh_device_type, .init = unborn_init
};

/* --- Threads -------------------------------------------------------------------------------- */

static void make(void *arg)
{
	seed = *(const unsigned *)arg;
	for (uint64_t round = scaled(10000); round > 0; round--) {
		struct fh_device *device =
			fh_object_ref(fh_device_new(machine, &unlucky_type, NULL, NULL, NULL));

		for (unsigned tries = any(3); tries > 0; tries--)
			if (any(4) == 0)
				fh_object_new_child(device, NULL, &unborn_type, NULL);
			else /* it fails, or another thread realizes something below it */
				CHECK(fh_device_realize(device, NULL) != FH_OK);
		fh_object_dispose(device);
		fh_object_unref(device);
	}
}

static void revoke(struct fh_pin *pin, void *state)
{
	(void)state;
	revoked++;
	fh_unpin(pin);
}

static void meddle_with(struct fh_object *object)
{
	switch (any(5)) {
	case 0: fh_device_realize((struct fh_device *)object, NULL); break;
	case 1: make_below(object, 0); break;
	case 2:
		if (fh_object_pin_revocable(object, holder, "dma", revoke, NULL))
			pinned++;
		break;
	default: fh_object_dispose(object); return;
	}
	publish(object);
}

static void meddle(void *arg)
{
	seed = *(const unsigned *)arg;
	while (!stop) {
		struct fh_object *object = atomic_exchange(&slots[any(SLOTS)], NULL);

		if (object)
			meddle_with(object);
		else
			sched_yield();
		fh_object_unref(object);
	}
}

static void all_that_is_undone_dies_once(void **unused)
{
	struct worker makers[MAKERS], others[OTHERS];
	unsigned seeds[MAKERS + OTHERS];

	(void)unused;
	machine = machine_begin();
	holder = holder_new(machine);
	for (unsigned i = 0; i < MAKERS + OTHERS; i++)
		seeds[i] = i + 1;
	for (unsigned i = 0; i < MAKERS; i++)
		worker_start(&makers[i], make, &seeds[i]);
	for (unsigned i = 0; i < OTHERS; i++)
		worker_start(&others[i], meddle, &seeds[MAKERS + i]);
	for (unsigned i = 0; i < MAKERS; i++)
		worker_join(&makers[i]);
	stop = true;
	for (unsigned i = 0; i < OTHERS; i++)
		worker_join(&others[i]);
	for (unsigned i = 0; i < SLOTS; i++)
		fh_object_unref(slots[i]);
	machine_check_alive(machine, 1);
	holder = fh_object_unref(holder);
	assert_int_equal(revoked, pinned);
	assert_int_equal(disposed, made);
	assert_int_equal(finalized, made);
	assert_int_equal(unrealized, realized);
	assert_true(realized > 0 && pinned > 0);
	machine_end(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_is_undone_dies_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
