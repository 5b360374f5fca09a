/* SPDX-License-Identifier: MIT */
/*
 * Two deaths (L5): dispose once and finalize once, derived first, whatever comes in whatever order:
 * ends asked for twice, refs given back before and after, parents and children, and callbacks that
 * remove what is being removed.
 *
 * R1. Where a test has to call something with an object that may be gone, a pin of the test's
 *     own holder keeps the memory until the end.
 */
#include "support/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object/machine.h"
#include "support/orders.h"

#define BASE UINT64_C(0x10000000)

static const struct fh_type plain_type = { .name = "plain" };

static char trace[1024];

static void note(char what, char level, const char *name)
{
	const size_t used = strlen(trace);

	snprintf(trace + used, sizeof(trace) - used, "%s%c%c%s", used ? " " : "", what, level,
		 name ? name : "");
}

static void assert_trace(const char *wanted)
{
	assert_string_equal(trace, wanted);
	trace[0] = '\0';
}

static struct fh_region *memory_root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

/* --- Three levels that tell ----------------------------------------------------------------- */

/* "+1x": init of level 1 of x; d: dispose, f: finalize. */
#define LEVEL(n)                                                                                   \
	static enum fh_code init_##n(struct fh_object *object, void *state, struct fh_error *err)  \
	{                                                                                          \
		(void)err;                                                                         \
		*(int *)state = (n);                                                               \
		note('+', '0' + (n), fh_object_name(object));                                      \
		return FH_OK;                                                                      \
	}                                                                                          \
	static void dispose_##n(struct fh_object *object, void *state)                             \
	{                                                                                          \
		CHECK(*(int *)state == (n));                                                       \
		note('d', '0' + (n), fh_object_name(object));                                      \
	}                                                                                          \
	static void finalize_##n(struct fh_object *object, void *state)                            \
	{                                                                                          \
		CHECK(*(int *)state == (n));                                                       \
		*(int *)state = 0;                                                                 \
		note('f', '0' + (n), fh_object_name(object));                                      \
	}                                                                                          \
	static const struct fh_type type_##n

#define LEVEL_TYPE(n)                                                                              \
	.name = "level-" #n, .state_size = sizeof(int), .init = init_##n, .dispose = dispose_##n,  \
	.finalize = finalize_##n

LEVEL(1) = { LEVEL_TYPE(1) };
LEVEL(2) = { LEVEL_TYPE(2), .parent = &type_1 };
LEVEL(3) = { LEVEL_TYPE(3), .parent = &type_2 };

#define BORN(x) "+1" x " +2" x " +3" x
#define DISPOSED(x) "d3" x " d2" x " d1" x
#define FINALIZED(x) "f3" x " f2" x " f1" x

static void object_that_nobody_else_had_dies_where_its_last_ref_goes(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = fh_object_new(m, &type_3, NULL);

	(void)unused;
	assert_trace(BORN(""));
	fh_object_unref(fh_object_ref(object));
	assert_trace("");
	fh_object_unref(object);
	assert_trace(DISPOSED("") " " FINALIZED(""));
	machine_check_alive(m, 0);
	machine_end(m);
}

static void object_in_the_tree_dies_base_last(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *object = fh_object_new_child(m, "x", &type_3, NULL);

	(void)unused;
	assert_trace(BORN("x"));
	fh_object_dispose(object);
	fh_machine_drain(m);
	assert_trace(DISPOSED("x") " " FINALIZED("x"));
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Every order of ends -------------------------------------------------------------------- */

/* A parent and a child in the tree, each with a ref of the test's and pinned (R1). */
struct family {
	struct fh_machine *m;
	struct fh_object *parent, *child;
};

typedef void step(struct family *family);

static void dispose_parent(struct family *family)
{
	fh_object_dispose(family->parent);
}

static void dispose_child(struct family *family)
{
	fh_object_dispose(family->child);
}

static void unref_parent(struct family *family)
{
	fh_object_unref(family->parent);
}

static void unref_child(struct family *family)
{
	fh_object_unref(family->child);
}

/* As in a callback: it is hidden, the rest is for the queue. */
static void dispose_parent_in_a_section(struct family *family)
{
	fh_read_begin();
	fh_object_dispose(family->parent);
	fh_read_end();
}

static void dispose_child_in_a_section(struct family *family)
{
	fh_read_begin();
	fh_object_dispose(family->child);
	fh_read_end();
}

static void poll(struct family *family)
{
	fh_machine_poll(family->m);
}

static step *const in_order[] = {
	dispose_parent, dispose_child, unref_parent, unref_child, dispose_parent, dispose_child,
};
static step *const in_sections[] = {
	dispose_parent_in_a_section, dispose_child_in_a_section, unref_parent, unref_child, poll,
	dispose_parent,
};

static void family_ends(step *const *steps, const int *order, int count)
{
	struct family family = { .m = machine_begin() };
	struct fh_object *holder = fh_object_new_child(family.m, "holder", &plain_type, NULL);
	struct fh_pin *pins[2];

	family.parent = fh_object_new_child(family.m, "p", &type_3, NULL);
	family.child = fh_object_new_child(family.parent, "c", &type_3, NULL);
	fh_object_ref(family.parent);
	fh_object_ref(family.child);
	pins[0] = fh_object_pin(family.parent, holder, "test");
	pins[1] = fh_object_pin(family.child, holder, "test");
	trace[0] = '\0';
	for (int i = 0; i < count; i++)
		steps[order[i]](&family);
	fh_machine_drain(family.m);
	assert_trace(DISPOSED("c") " " DISPOSED("p"));
	/* No ref comes back. */
	assert_false(fh_object_try_ref(family.parent));
	assert_false(fh_object_try_ref(family.child));
	fh_unpin(pins[1]);
	fh_machine_drain(family.m);
	assert_trace(FINALIZED("c"));
	fh_unpin(pins[0]);
	fh_machine_drain(family.m);
	assert_trace(FINALIZED("p"));
	fh_object_dispose(holder);
	machine_check_alive(family.m, 0);
	machine_end(family.m);
}

static void every_order_of_ends_disposes_and_finalizes_once(void **unused)
{
	int order[6];

	(void)unused;
	orders_begin(order, 6);
	do {
		family_ends(in_order, order, 6);
		family_ends(in_sections, order, 6);
	} while (orders_next(order, 6));
}

/* --- Callbacks that remove what is being removed -------------------------------------------- */

enum moment { UNREALIZE, DISPOSE, FINALIZE, MOMENTS };

enum { REMOVALS = 6 };

/* What a device has, and what its callbacks remove in the order of the test. */
struct owner {
	struct fh_device *device;
	struct fh_object *weak, *strong; /* link properties */
	struct fh_region *foreign;	 /* mapped, of nobody: the device's ref */
	struct fh_object *elsewhere;	 /* child of another object: a ref of the device's */
	struct fh_pin *pin;
	struct fh_mapping *mapping;
	struct fh_watch *watch;
};

static const struct fh_property owner_properties[] = {
	{ .name = "weak", .kind = FH_PROPERTY_LINK, .flags = FH_PROPERTY_LIVE,
	  .offset = offsetof(struct owner, weak) },
	{ .name = "strong", .kind = FH_PROPERTY_LINK, .offset = offsetof(struct owner, strong),
	  .flags = FH_PROPERTY_LIVE | FH_PROPERTY_STRONG },
	{ .name = NULL },
};

static bool removes[MOMENTS];
static int removal_order[REMOVALS];
static unsigned calls[MOMENTS];
static unsigned told;

static void count_told(struct fh_object *target, void *state)
{
	(void)target;
	(void)state;
	told++;
}

static void dispose_child_named(struct owner *owner, const char *name)
{
	struct fh_object *child = fh_object_find_child(owner->device, name);

	if (!child)
		return;
	fh_object_dispose(child);
	fh_object_dispose(child);
	fh_object_unref(child);
}

static void remove_regions(struct owner *owner, enum moment moment)
{
	struct fh_object *regs = fh_object_find_child(owner->device, "regs");

	CHECK(moment != FINALIZE || !regs);
	fh_region_remove((struct fh_region *)regs);
	fh_region_destroy((struct fh_region *)regs);
	fh_object_unref(regs);
	dispose_child_named(owner, "container");
	dispose_child_named(owner, "regs");
	if (owner->foreign) {
		fh_region_remove(owner->foreign);
		owner->foreign = fh_object_unref(owner->foreign);
	}
}

static void remove_children(struct owner *owner, enum moment moment)
{
	(void)moment;
	dispose_child_named(owner, "part");
	dispose_child_named(owner, "plain");
	dispose_child_named(owner, "space");
	dispose_child_named(owner, "timer");
	dispose_child_named(owner, "irq");
}

static void remove_elsewhere(struct owner *owner, enum moment moment)
{
	(void)moment;
	if (owner->elsewhere) {
		fh_object_dispose(owner->elsewhere);
		owner->elsewhere = fh_object_unref(owner->elsewhere);
	}
}

static void remove_links(struct owner *owner, enum moment moment)
{
	static const char *const names[] = { "weak", "strong" };

	for (int i = 0; i < 2; i++) {
		struct fh_object *target = NULL;
		enum fh_code code;

		CHECK(fh_object_get_link(owner->device, names[i], &target, NULL) == FH_OK);
		CHECK(moment != FINALIZE || !target);
		code = fh_object_set_link(owner->device, names[i], (struct fh_object *)NULL, NULL);
		CHECK(code == FH_OK || code == FH_EDEAD);
		code = fh_object_set_link(owner->device, names[i], target, NULL);
		CHECK(code == FH_OK || code == FH_EDEAD);
		fh_object_unref(target);
	}
}

static void remove_pins(struct owner *owner, enum moment moment)
{
	(void)moment;
	/* Ended by the core's detach, or here: either is the end (L4). */
	owner->pin = fh_unpin(owner->pin);
	fh_mapping_unmap(owner->mapping, 0);
	owner->mapping = NULL;
	owner->watch = fh_watch_remove(owner->watch);
}

static void remove_itself(struct owner *owner, enum moment moment)
{
	(void)moment;
	fh_object_dispose(owner->device);
	fh_device_unplug(owner->device);
	CHECK(fh_object_is_disposed(owner->device));
}

static void (*const removals[REMOVALS])(struct owner *owner, enum moment moment) = {
	remove_regions, remove_children, remove_elsewhere, remove_links, remove_pins, remove_itself,
};

static void reach(struct owner *owner, enum moment moment)
{
	calls[moment]++;
	for (int i = 0; i < REMOVALS && removes[moment]; i++)
		removals[removal_order[i]](owner, moment);
}

static void owner_unrealize(struct fh_device *device, void *state)
{
	(void)device;
	reach(state, UNREALIZE);
}

static void owner_dispose(struct fh_object *object, void *state)
{
	(void)object;
	reach(state, DISPOSE);
}

/* Nothing that it holds may be left to the core: a ref is whoever's who took it. */
static void owner_finalize(struct fh_object *object, void *state)
{
	struct owner *owner = state;

	CHECK(!fh_object_try_ref(object));
	reach(owner, FINALIZE);
	fh_object_unref(owner->foreign);
	fh_object_unref(owner->elsewhere);
}

static void must_not_run(void *state)
{
	(void)state;
	CHECK(false);
}

static const struct fh_region_ops regs_ops = { .concurrent = true };

static enum fh_code owner_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct fh_machine *m = fh_object_get_machine(device);
	struct owner *owner = state;
	struct fh_region *container = fh_region_new_container(device, "container", 0x10000);
	struct fh_region *regs = fh_region_new_mmio(device, "regs", 0x1000, &regs_ops, NULL);

	owner->device = device;
	fh_region_add(container, regs, 0x1000, 0);
	fh_region_add(memory_root(m), container, BASE, 0);
	CHECK(fh_object_new_child(device, "plain", &type_3, err));
	CHECK(fh_space_new(device, "space", container));
	CHECK(fh_irq_new(device, "irq"));
	fh_timer_arm(fh_timer_new(device, "timer", must_not_run, NULL), UINT64_MAX);
	return FH_OK;
}

static const struct fh_device_ops owner_ops = {
	.realize = owner_realize,
	.unrealize = owner_unrealize,
};
static const struct fh_type owner_type = {
	.name = "owner",
	.parent = &fh_device_type,
	.state_size = sizeof(struct owner),
	.properties = owner_properties,
	.dispose = owner_dispose,
	.finalize = owner_finalize,
	.device = &owner_ops,
};

/* What the owner has to do with, and outlives it. */
struct world {
	struct fh_machine *m;
	struct fh_object *friend;
	struct fh_region *ram;
};

static void world_begin(struct world *world)
{
	world->m = machine_begin();
	world->friend = fh_object_new_child(world->m, "friend", &plain_type, NULL);
	world->ram = fh_region_new_ram(world->m, NULL, 0x1000, NULL);
	fh_region_add(memory_root(world->m), world->ram, 2 * BASE, 0);
}

static void world_end(struct world *world)
{
	fh_object_dispose(world->friend);
	fh_object_unref(world->ram);
	machine_check_alive(world->m, 0);
	machine_end(world->m);
}

static struct fh_device *owner_plug(struct world *world, struct probe_hooks *part_hooks)
{
	struct fh_device *device = fh_device_plug(world->m, &owner_type, "owner", NULL, NULL);
	struct owner *owner = fh_device_state(device);
	struct fh_mapped mapped;

	assert_int_equal(fh_device_realize(probe_new(device, "part", part_hooks), NULL), FH_OK);
	assert_int_equal(fh_object_set_link(device, "weak", world->friend, NULL), FH_OK);
	assert_int_equal(fh_object_set_link(device, "strong", world->friend, NULL), FH_OK);
	owner->foreign = fh_region_new_ram(world->m, NULL, 0x1000, NULL);
	fh_region_add(memory_root(world->m), owner->foreign, 3 * BASE, 0);
	owner->elsewhere = fh_object_new_child(world->friend, "elsewhere", &plain_type, NULL);
	fh_object_ref(owner->elsewhere);
	owner->pin = fh_object_pin(world->friend, device, "test");
	owner->mapping = fh_space_map(fh_machine_memory(world->m), 2 * BASE, 0x100, FH_MAP_WRITE,
				      FH_ATTRS_NONE, device, &mapped);
	owner->watch = fh_object_watch(world->friend, device, count_told, NULL);
	assert_true(owner->pin && owner->mapping && owner->watch);
	return device;
}

static void owner_dies(struct world *world)
{
	struct probe_hooks part_hooks = { 0 };
	struct fh_device *device = owner_plug(world, &part_hooks);
	struct fh_object *left;

	memset(calls, 0, sizeof(calls));
	trace[0] = '\0';
	fh_device_unplug(device);
	fh_machine_drain(world->m);
	for (enum moment moment = UNREALIZE; moment < MOMENTS; moment++)
		assert_int_equal(calls[moment], 1);
	assert_int_equal(part_hooks.unrealized, 1);
	assert_int_equal(part_hooks.disposed, 1);
	assert_int_equal(part_hooks.finalized, 1);
	assert_trace(DISPOSED("plain") " " FINALIZED("plain"));
	for (uint64_t at = BASE; at <= 3 * BASE; at += BASE)
		load32(world->m, at, at == 2 * BASE ? FH_TX_OK : FH_TX_DECODE_ERROR);
	left = fh_object_find_child(world->friend, "elsewhere");
	fh_object_dispose(left);
	fh_object_unref(left);
	machine_check_alive(world->m, 2);
}

static void removing_from_callbacks_in_any_order_is_harmless(void **unused)
{
	struct world world;

	(void)unused;
	told = 0;
	world_begin(&world);
	for (unsigned mask = 0; mask < 1 << MOMENTS; mask++) {
		for (int moment = 0; moment < MOMENTS; moment++)
			removes[moment] = mask >> moment & 1;
		orders_begin(removal_order, REMOVALS);
		/* All orders where one callback does it, or all do. */
		do
			owner_dies(&world);
		while ((mask == 1 || mask == 2 || mask == 4 || mask == 7) &&
		       orders_next(removal_order, REMOVALS));
	}
	assert_int_equal(told, 0);
	world_end(&world);
}

/* --- What lies below ------------------------------------------------------------------------ */

struct nest {
	struct fh_region *ram;
	struct fh_object *inner;
};

static const struct fh_type nest_type;
static const char *before_nest; /* the trace when its dispose begins */

static enum fh_code nest_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct nest *nest = state;

	nest->ram = fh_region_new_ram(object, "ram", 0x1000, err);
	nest->inner = fh_object_new_child(object, "i", &type_3, err);
	CHECK(nest->ram && fh_object_new_child(nest->inner, "j", &type_3, err));
	return FH_OK;
}

/* Its state points to what lay below it, without a ref. */
static void nest_dispose(struct fh_object *object, void *state)
{
	const struct nest *nest = fh_object_state(object, &nest_type);

	(void)state;
	fh_reaper_drain(object->machine->reaper);
	CHECK(strcmp(trace, before_nest) == 0);
	CHECK(fh_object_is_disposed(nest->inner));
	CHECK(fh_region_get_info(nest->ram).size == 0x1000);
	CHECK(fh_region_remove(nest->ram) == FH_OK);
	fh_region_destroy(nest->ram);
}

static const struct fh_type nest_type = {
	.name = "nest",
	.state_size = sizeof(struct nest),
	.init = nest_init,
	.dispose = nest_dispose,
};
static const struct fh_type derived_nest_type = {
	.name = "derived-nest",
	.parent = &nest_type,
	.dispose = nest_dispose,
};

static enum fh_code realize_of_nest_fails(struct probe *probe, struct fh_error *err)
{
	CHECK(fh_object_new_child(probe->device, "nest", &derived_nest_type, err));
	trace[0] = '\0';
	return fh_error_set(err, FH_EIO, "no luck");
}

static void what_lay_below_stays_when_a_realize_above_fails(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .realize = realize_of_nest_fails };
	struct fh_device *device = probe_new(m, "device", &hooks);

	(void)unused;
	/* All that it made stays until all of it is undone. */
	before_nest = DISPOSED("j") " " DISPOSED("i");
	assert_int_equal(fh_device_realize(device, NULL), FH_EIO);
	fh_machine_drain(m);
	assert_trace(DISPOSED("j") " " DISPOSED("i") " " FINALIZED("j") " " FINALIZED("i"));
	machine_check_alive(m, 1);
	fh_object_dispose(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void what_lay_below_stays_until_every_level_is_disposed_of(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct fh_object *nest = fh_object_new_child(m, "nest", &derived_nest_type, NULL);

	(void)unused;
	fh_region_add(memory_root(m), ((struct nest *)fh_object_state(nest, &nest_type))->ram, BASE,
		      0);
	trace[0] = '\0';
	before_nest = DISPOSED("j") " " DISPOSED("i") " " FINALIZED("j");
	fh_object_dispose(nest);
	fh_machine_drain(m);
	assert_trace(DISPOSED("j") " " DISPOSED("i") " " FINALIZED("j") " " FINALIZED("i"));
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Properties ----------------------------------------------------------------------------- */

struct record {
	uint8_t small;
	int64_t large;
	bool flag;
	char *text;
	int colour;
	uint64_t size;
	struct fh_object *weak, *strong;
	struct fh_object *remembered; /* by the type's own code, without a link of the core's */
	uint32_t computed;
};

static const char *const colours[] = { "red", "green", "blue", NULL };

static void get_computed(struct fh_object *object, void *state, struct fh_value *value)
{
	struct record *record = state;

	(void)object;
	value->u = record->computed + 1;
}

static void get_remembered(struct fh_object *object, void *state, struct fh_value *value)
{
	struct record *record = state;

	(void)object;
	value->link = record->remembered;
}

#define FIELD(name_, kind_) .name = #name_, .kind = kind_, .offset = offsetof(struct record, name_)

static const struct fh_property record_properties[] = {
	{ FIELD(small, FH_PROPERTY_U8) },
	{ FIELD(large, FH_PROPERTY_I64) },
	{ FIELD(flag, FH_PROPERTY_BOOL) },
	{ FIELD(text, FH_PROPERTY_STRING) },
	{ FIELD(colour, FH_PROPERTY_ENUM), .enum_names = colours },
	{ FIELD(size, FH_PROPERTY_SIZE) },
	{ FIELD(weak, FH_PROPERTY_LINK) },
	{ FIELD(strong, FH_PROPERTY_LINK), .flags = FH_PROPERTY_STRONG },
	{ FIELD(computed, FH_PROPERTY_U32), .get = get_computed },
	{ FIELD(remembered, FH_PROPERTY_LINK), .flags = FH_PROPERTY_READ_ONLY,
	  .get = get_remembered },
	{ .name = NULL },
};

static unsigned readings;

static void check_text(struct fh_object *object, const char *name, const char *wanted)
{
	char *text = NULL;

	CHECK(fh_object_get_text(object, name, &text, NULL) == FH_OK);
	CHECK(strcmp(text, wanted) == 0);
	free(text);
}

static void check_readable(struct fh_object *object, bool links)
{
	struct fh_object *target = NULL;
	uint64_t u = 0;
	int64_t i = 0;
	bool flag = false;

	CHECK(fh_object_get_u64(object, "small", &u, NULL) == FH_OK && u == 200);
	CHECK(fh_object_get_i64(object, "large", &i, NULL) == FH_OK && i == INT64_MIN);
	CHECK(fh_object_get_bool(object, "flag", &flag, NULL) == FH_OK && flag);
	CHECK(fh_object_get_u64(object, "computed", &u, NULL) == FH_OK && u == 42);
	check_text(object, "text", "kept");
	check_text(object, "colour", "blue");
	check_text(object, "size", "4K");
	check_text(object, "weak", links ? "/friend" : "");
	check_text(object, "strong", links ? "/friend" : "");
	check_text(object, "remembered", links ? "/friend" : "");
	CHECK(fh_object_get_link(object, "strong", &target, NULL) == FH_OK);
	CHECK(!target == !links);
	fh_object_unref(target);
	/* What is on its way out is not set any more; nothing is changed. */
	CHECK(fh_object_set_u64(object, "small", 1, NULL) == FH_EDEAD);
	CHECK(fh_object_set_text(object, "text", "lost", NULL) == FH_EDEAD);
	readings++;
}

static void record_dispose(struct fh_object *object, void *state)
{
	(void)state;
	check_readable(object, true);
}

static void record_finalize(struct fh_object *object, void *state)
{
	(void)state;
	check_readable(object, false);
}

static const struct fh_type record_type = {
	.name = "record",
	.state_size = sizeof(struct record),
	.properties = record_properties,
	.dispose = record_dispose,
	.finalize = record_finalize,
};
/* Each level's callback sees the properties of all. */
static const struct fh_type derived_record_type = {
	.name = "derived-record",
	.parent = &record_type,
	.dispose = record_dispose,
	.finalize = record_finalize,
};

static void properties_are_readable_in_dispose_and_finalize(void **unused)
{
	(void)unused;
	for (int in_tree = 0; in_tree < 2; in_tree++) {
		struct fh_machine *m = machine_begin();
		struct fh_object *friend = fh_object_new_child(m, "friend", &plain_type, NULL);
		struct fh_object *record =
			in_tree ? fh_object_new_child(m, "r", &derived_record_type, NULL) :
				  fh_object_new(m, &derived_record_type, NULL);

		readings = 0;
		((struct record *)fh_object_state(record, &record_type))->computed = 41;
		((struct record *)fh_object_state(record, &record_type))->remembered = friend;
		assert_int_equal(fh_object_set_u64(record, "small", 200, NULL), FH_OK);
		assert_int_equal(fh_object_set_i64(record, "large", INT64_MIN, NULL), FH_OK);
		assert_int_equal(fh_object_set_bool(record, "flag", true, NULL), FH_OK);
		assert_int_equal(fh_object_set_string(record, "text", "kept", NULL), FH_OK);
		assert_int_equal(fh_object_set_string(record, "colour", "blue", NULL), FH_OK);
		assert_int_equal(fh_object_set_text(record, "size", "4K", NULL), FH_OK);
		assert_int_equal(fh_object_set_link(record, "weak", friend, NULL), FH_OK);
		assert_int_equal(fh_object_set_link(record, "strong", friend, NULL), FH_OK);
		if (in_tree)
			fh_object_dispose(record);
		else
			fh_object_unref(record);
		machine_check_alive(m, 1);
		assert_int_equal(readings, 4);
		fh_object_dispose(friend);
		machine_check_alive(m, 0);
		machine_end(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(object_that_nobody_else_had_dies_where_its_last_ref_goes),
		cmocka_unit_test(object_in_the_tree_dies_base_last),
		cmocka_unit_test(every_order_of_ends_disposes_and_finalizes_once),
		cmocka_unit_test(removing_from_callbacks_in_any_order_is_harmless),
		cmocka_unit_test(what_lay_below_stays_until_every_level_is_disposed_of),
		cmocka_unit_test(what_lay_below_stays_when_a_realize_above_fails),
		cmocka_unit_test(properties_are_readable_in_dispose_and_finalize),
	};

	return cmocka_run_group_tests_name("scenario/deaths", tests, NULL, NULL);
}
