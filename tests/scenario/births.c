/* SPDX-License-Identifier: MIT */
/*
 * Births that fail early or go odd ways (L5, L7): init that fails at any level, realize below what
 * is not shown or is hidden, parts that are unplugged while their parent's realize is undone.
 */
#include "support/levels.h"

#include <stdlib.h>

#include "base/point.h"
#include "support/text.h"

#define BASE UINT64_C(0x10000000)

static const struct fh_type plain_type = { .name = "plain" };

static struct fh_region *memory_root(struct fh_machine *m)
{
	return fh_space_root(fh_machine_memory(m));
}

/* --- Init that fails at a level ------------------------------------------------------------- */

static int failing; /* the level whose init fails; 0: none */
static struct fh_object *other; /* to which inits attach things */

static void told(struct fh_object *target, void *state)
{
	(void)target;
	(void)state;
	fail_msg("a watch of an object that was never born was told");
}

struct thing {
	int level;
	struct fh_object *friend, *peer;
};

static const struct fh_property thing_properties[] = {
	{ .name = "friend", .kind = FH_PROPERTY_LINK, .flags = FH_PROPERTY_STRONG,
	  .offset = offsetof(struct thing, friend) },
	{ .name = "peer", .kind = FH_PROPERTY_LINK, .offset = offsetof(struct thing, peer) },
	{ .name = NULL },
};

/* Leaves things behind for the core to undo. */
static enum fh_code level_init(struct fh_object *object, int level, struct fh_error *err)
{
	struct fh_machine *m = fh_object_get_machine(object);
	struct fh_region *region = fh_region_new_container(object, NULL, 0x1000);
	char name[16];

	snprintf(name, sizeof(name), "%d", level);
	CHECK(fh_region_add(memory_root(m), region, BASE * (uint64_t)level, 0) == FH_OK);
	CHECK(fh_object_new_child(object, name, &plain_type, NULL));
	CHECK(fh_object_pin(other, object, "test"));
	CHECK(fh_object_watch(other, object, told, NULL));
	CHECK(fh_object_set_link(object, "friend", other, NULL) == FH_OK);
	CHECK(fh_object_set_link(object, "peer", other, NULL) == FH_OK);
	if (level == failing)
		return fh_error_set(err, FH_EIO, "no luck at level %d", level);
	return FH_OK;
}

LEVEL_TYPES(sizeof(struct thing), thing_properties);

/* A level whose init failed is not disposed of; the earlier ones are, derived first (L5). */
static const char *const traces[] = {
	"+1 +2 +3 d3 d2 d1 f3 f2 f1",
	"+1",
	"+1 +2 d1 f1",
	"+1 +2 +3 d2 d1 f2 f1",
};

static struct fh_object *give_birth(struct fh_machine *m, int way, struct fh_error *err)
{
	switch (way) {
	case 0:
		return fh_object_new(m, &thing_3, err);
	case 1:
		return fh_object_new_child(m, "x", &thing_3, err);
	case 2:
		return (struct fh_object *)fh_device_new(m, &device_3, "x", NULL, err);
	default:
		return (struct fh_object *)fh_device_plug(m, &device_3, "x", NULL, err);
	}
}

static void die(struct fh_object *object, int way)
{
	if (way == 0)
		fh_object_unref(object);
	else
		fh_object_dispose(object);
}

static void init_that_fails_leaves_nothing(void **unused)
{
	(void)unused;
	for (int way = 0; way < 4; way++) {
		struct fh_machine *m = machine_begin();

		other = fh_object_new_child(m, "other", &plain_type, NULL);
		char *before = explain_text(other);

		for (failing = 3; failing >= 0; failing--) {
			struct fh_error err = FH_ERROR_INIT;
			struct fh_object *object = give_birth(m, way, &err);
			char wanted[64];

			assert_int_equal(object == NULL, failing != 0);
			if (object)
				die(object, way);
			machine_check_alive(m, 1);
			assert_trace(traces[failing]);
			if (failing == 0)
				break;
			assert_int_equal(err.code, FH_EIO);
			snprintf(wanted, sizeof(wanted), "%s-%d: no luck at level %d",
				 way < 2 ? "thing" : "device", failing, failing);
			assert_text_has(err.message, wanted);
			assert_null(fh_object_find(m, "/x"));
			char *after = explain_text(other);

			assert_string_equal(before, after);
			free(after);
		}
		free(before);
		fh_object_dispose(other);
		machine_end(m);
	}
}

/* --- Levels of realize ---------------------------------------------------------------------- */

static enum fh_code base_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)device;
	(void)state;
	(void)err;
	note("+", "base");
	return FH_OK;
}

static void base_unrealize(struct fh_device *device, void *state)
{
	(void)device;
	(void)state;
	note("-", "base");
}

static enum fh_code aloof_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)device;
	(void)state;
	(void)err;
	note("+", "aloof");
	return FH_OK;
}

static void aloof_unrealize(struct fh_device *device, void *state)
{
	(void)device;
	(void)state;
	note("-", "aloof");
}

static const struct fh_device_ops base_ops = {
	.realize = base_realize,
	.unrealize = base_unrealize,
};
static const struct fh_device_ops aloof_ops = {
	.realize = aloof_realize,
	.unrealize = aloof_unrealize,
};
static const struct fh_device_ops undoing_ops = { .unrealize = aloof_unrealize };
static const struct fh_type base_type = {
	.name = "base",
	.parent = &fh_device_type,
	.device = &base_ops,
};
static const struct fh_type aloof_type = {
	.name = "aloof",
	.parent = &base_type,
	.device = &aloof_ops,
};
static const struct fh_type undoing_type = {
	.name = "undoing",
	.parent = &base_type,
	.device = &undoing_ops,
};

static void level_whose_realize_was_not_called_is_not_unrealized(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	fh_device_unplug(fh_device_plug(m, &aloof_type, "x", NULL, NULL));
	assert_trace("+aloof -aloof");
	/* One that inherits its realize is realized with it. */
	fh_device_unplug(fh_device_plug(m, &undoing_type, "x", NULL, NULL));
	assert_trace("+base -aloof -base");
	machine_check_alive(m, 0);
	machine_end(m);
}

static enum fh_code just_fail(struct probe *probe, struct fh_error *err)
{
	(void)probe;
	return fh_error_set(err, FH_EIO, "no");
}

/* --- Links that a realize sets -------------------------------------------------------------- */

/* Of each kind one that the realize sets, one that it changes and one that it clears. */
struct linker {
	struct fh_object *strong[3], *weak[3];
};

enum { SET, CHANGED, CLEARED, LINKS };

#define LINK(name_, flags_, field)                                                                 \
	{                                                                                          \
		.name = (name_), .kind = FH_PROPERTY_LINK, .flags = (flags_),                      \
		.offset = offsetof(struct linker, field)                                           \
	}

static const char *const link_names[][LINKS] = {
	{ "strong-set", "strong-changed", "strong-cleared" },
	{ "weak-set", "weak-changed", "weak-cleared" },
};

static const struct fh_property linker_properties[] = {
	LINK("strong-set", FH_PROPERTY_STRONG, strong[SET]),
	LINK("strong-changed", FH_PROPERTY_STRONG, strong[CHANGED]),
	LINK("strong-cleared", FH_PROPERTY_STRONG, strong[CLEARED]),
	LINK("weak-set", 0, weak[SET]),
	LINK("weak-changed", 0, weak[CHANGED]),
	LINK("weak-cleared", 0, weak[CLEARED]),
	{ .name = NULL },
};

static bool linker_fails;
static struct fh_object *before, *within; /* what the links point to */

static enum fh_code linker_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct fh_object *child = fh_object_new_child(device, "late", &plain_type, NULL);

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		const char *const *names = link_names[kind];

		CHECK(fh_object_set_link(device, names[SET], child, NULL) == FH_OK);
		CHECK(fh_object_set_link(device, names[SET], within, NULL) == FH_OK);
		CHECK(fh_object_set_link(device, names[CHANGED], NULL, NULL) == FH_OK);
		CHECK(fh_object_set_link(device, names[CHANGED], child, NULL) == FH_OK);
		CHECK(fh_object_set_link(device, names[CLEARED], NULL, NULL) == FH_OK);
	}
	return linker_fails ? fh_error_set(err, FH_EIO, "no") : FH_OK;
}

static const struct fh_device_ops linker_ops = { .realize = linker_realize };
static const struct fh_type linker_type = {
	.name = "linker",
	.parent = &fh_device_type,
	.state_size = sizeof(struct linker),
	.properties = linker_properties,
	.device = &linker_ops,
};

static struct fh_device *linker_new(FH_ANY parent)
{
	struct fh_device *device = fh_device_new(parent, &linker_type, "linker", NULL, NULL);

	assert_non_null(device);
	for (int kind = 0; kind < 2; kind++)
		for (int i = CHANGED; i < LINKS; i++)
			assert_int_equal(fh_object_set_link(device, link_names[kind][i], before,
							    NULL),
					 FH_OK);
	return device;
}

static void assert_link(FH_ANY object, const char *name, const struct fh_object *wanted)
{
	struct fh_object *target = NULL;

	assert_int_equal(fh_object_get_link(object, name, &target, NULL), FH_OK);
	assert_ptr_equal(target, wanted);
	fh_object_unref(target);
}

static void assert_links_as_before(struct fh_device *device)
{
	for (int kind = 0; kind < 2; kind++) {
		assert_link(device, link_names[kind][SET], NULL);
		assert_link(device, link_names[kind][CHANGED], before);
		assert_link(device, link_names[kind][CLEARED], before);
	}
}

static void links_set_in_a_realize_that_fails_are_as_before(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	before = fh_object_new(m, &plain_type, NULL);
	within = fh_object_new(m, &plain_type, NULL);
	struct fh_device *device = linker_new(m);
	char *before_text = explain_text(before), *within_text = explain_text(within);

	linker_fails = true;
	for (int attempt = 0; attempt < 2; attempt++) {
		assert_int_equal(fh_device_realize(device, NULL), FH_EIO);
		assert_links_as_before(device);
		char *texts[] = { explain_text(before), explain_text(within) };

		assert_string_equal(texts[0], before_text);
		assert_string_equal(texts[1], within_text);
		free(texts[0]);
		free(texts[1]);
		machine_check_alive(m, 3);
	}
	linker_fails = false;
	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	assert_link(device, "strong-set", within);
	assert_link(device, "weak-cleared", NULL);
	/* Of what was before, nothing is held. */
	fh_object_unref(before);
	machine_check_alive(m, 3); /* the device, its child, within */
	fh_object_unref(within);
	machine_check_alive(m, 3);
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	free(before_text);
	free(within_text);
	machine_end(m);
}

/* A part that was realized within the parent's realize is undone with it. */
static void links_of_a_child_are_undone_with_the_parents_realize(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { 0 }, fail_hooks = { .realize = just_fail };
	struct fh_device *parent = probe_new(m, "parent", &hooks);

	(void)unused;
	linker_fails = false;
	before = fh_object_new(m, &plain_type, NULL);
	within = fh_object_new(m, &plain_type, NULL);
	struct fh_device *child = linker_new(parent);

	probe_new(parent, "fails", &fail_hooks);
	assert_int_equal(fh_device_realize(parent, NULL), FH_EIO);
	assert_links_as_before(child);
	fh_object_unref(within);
	machine_check_alive(m, 4); /* the parent, its children, before */
	fh_device_unplug(parent);
	fh_object_unref(before);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* Nothing was held for the case of a failure: what died meanwhile cannot come back. */
static void links_to_what_died_in_a_failed_realize_read_as_nothing(void **unused)
{
	struct fh_machine *m = machine_begin();

	(void)unused;
	linker_fails = true;
	before = fh_object_new(m, &plain_type, NULL);
	within = fh_object_new(m, &plain_type, NULL);
	struct fh_device *device = linker_new(m);

	fh_object_unref(before); /* the links' alone */
	assert_int_equal(fh_device_realize(device, NULL), FH_EIO);
	for (int kind = 0; kind < 2; kind++)
		for (int i = 0; i < LINKS; i++)
			assert_link(device, link_names[kind][i], NULL);
	machine_check_alive(m, 2);
	fh_object_unref(within);
	fh_device_unplug(device);
	machine_check_alive(m, 0);
	machine_end(m);
}

/* --- Below what is not shown ---------------------------------------------------------------- */

static enum fh_code map_by_name(struct probe *probe, struct fh_error *err)
{
	struct fh_machine *m = fh_object_get_machine(probe->device);
	const uint64_t page = strtoull(fh_object_name(probe->device), NULL, 10);

	(void)err;
	return fh_region_add(memory_root(m), probe->regs, BASE + page * PROBE_SIZE, 0);
}

static void assert_seen(struct fh_machine *m, unsigned pages, bool seen)
{
	for (unsigned page = 0; page < pages; page++)
		load32(m, BASE + page * PROBE_SIZE, seen ? FH_TX_OK : FH_TX_DECODE_ERROR);
}

static void device_below_one_that_is_not_shown_is_shown_with_it(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks[3] = {
		{ .realize = map_by_name }, { .realize = map_by_name }, { .realize = map_by_name },
	};
	struct fh_device *device[3];

	(void)unused;
	device[0] = probe_new(m, "0", &hooks[0]);
	struct fh_object *bus = fh_object_new_child(device[0], "bus", &plain_type, NULL);

	device[1] = probe_new(bus, "1", &hooks[1]);
	device[2] = probe_new(device[1], "2", &hooks[2]);
	assert_int_equal(fh_device_realize(device[2], NULL), FH_OK);
	assert_seen(m, 3, false);
	assert_int_equal(fh_device_realize(device[1], NULL), FH_OK);
	assert_seen(m, 3, false);
	assert_int_equal(fh_device_realize(device[0], NULL), FH_OK);
	assert_seen(m, 3, true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hooks[i].realized, 1);
	/* And what is born below what is shown, is shown by its own realize. */
	struct probe_hooks late_hooks = { .realize = map_by_name };
	struct fh_device *late = probe_new(bus, "3", &late_hooks);

	load32(m, BASE + 3 * PROBE_SIZE, FH_TX_DECODE_ERROR);
	assert_int_equal(fh_device_realize(late, NULL), FH_OK);
	assert_seen(m, 4, true);
	fh_device_unplug(device[0]);
	assert_seen(m, 4, false);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void device_below_one_that_is_never_realized_dies_unseen(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks parent_hooks = { 0 }, hooks = { .realize = map_by_name };
	struct fh_device *parent = probe_new(m, "parent", &parent_hooks);

	(void)unused;
	assert_int_equal(fh_device_realize(probe_new(parent, "0", &hooks), NULL), FH_OK);
	assert_seen(m, 1, false);
	fh_device_unplug(parent);
	machine_check_alive(m, 0);
	assert_int_equal(parent_hooks.unrealized, 0);
	assert_int_equal(hooks.unrealized, 1);
	assert_int_equal(hooks.finalized, 1);
	machine_end(m);
}

struct job {
	struct fh_device *device;
	enum fh_code code;
};

static void run_unplug(void *arg)
{
	fh_device_unplug(((struct job *)arg)->device);
}

static void run_realize(void *arg)
{
	struct job *job = arg;

	job->code = fh_device_realize(job->device, NULL);
}

/* The unplug of the parent stops at @point, by when the parent is hidden. */
static void realize_below_the_hidden(const char *point)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks parent_hooks = { 0 };
	struct probe_hooks old_hooks = { .realize = map_by_name };
	struct probe_hooks new_hooks = { .realize = map_by_name };
	struct fh_device *parent = probe_plug(m, "parent", &parent_hooks, 0x1000);
	struct fh_device *old = fh_object_ref(probe_new(parent, "0", &old_hooks));
	struct job unplug = { .device = parent }, realize = { .device = old };
	struct worker unplugger, realizer;

	fh_point_arm(point);
	worker_start(&unplugger, run_unplug, &unplug);
	assert_true(fh_point_wait(point));
	worker_start(&realizer, run_realize, &realize);
	worker_join(&realizer);
	assert_int_equal(realize.code, FH_EDEAD);
	struct fh_device *born = probe_new(parent, "1", &new_hooks);

	fh_object_ref(born);
	assert_int_equal(fh_device_realize(born, NULL), FH_EDEAD);
	assert_null(fh_device_plug(parent, &probe_type, "2", NULL, NULL));
	assert_seen(m, 3, false);
	fh_point_release(point);
	worker_join(&unplugger);
	assert_int_equal(fh_device_realize(born, NULL), FH_EDEAD);
	assert_int_equal(old_hooks.realized + new_hooks.realized, 0);
	assert_int_equal(old_hooks.unrealized + new_hooks.unrealized, 0);
	assert_int_equal(old_hooks.disposed, 1);
	assert_int_equal(new_hooks.disposed, 1);
	fh_object_unref(old);
	fh_object_unref(born);
	machine_check_alive(m, 0);
	machine_end(m);
}

static void realize_below_what_is_hidden_is_refused(void **unused)
{
	static const char *const points[] = {
		"dispose.hidden", "drain.synchronize", "drain.done", "dispose.before-detach",
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		realize_below_the_hidden(points[i]);
}

/* --- Unplugged while it is undone ----------------------------------------------------------- */

static void stop_in_unrealize(struct probe *probe)
{
	(void)probe;
	FH_POINT("test.unrealize");
	CHECK(probe->hooks->disposed == 0);
}

/* The unrealize that undoes is the child's; its dispose comes after that (L6), elsewhere. */
static void child_unplugged_while_its_parents_realize_is_undone(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks parent_hooks = { 0 }, fail_hooks = { .realize = just_fail };
	struct probe_hooks hooks = { .unrealize = stop_in_unrealize };
	struct fh_device *parent = probe_new(m, "parent", &parent_hooks);
	struct fh_device *child = probe_new(parent, "child", &hooks);
	struct job realize = { .device = parent }, unplug = { .device = child };
	struct worker unplugger, realizer;

	(void)unused;
	probe_new(parent, "fails", &fail_hooks);
	fh_point_arm("test.unrealize");
	worker_start(&realizer, run_realize, &realize);
	assert_true(fh_point_wait("test.unrealize"));
	worker_start(&unplugger, run_unplug, &unplug);
	assert_false(worker_done_within(&unplugger, 50));
	assert_int_equal(hooks.disposed, 0);
	fh_point_release("test.unrealize");
	worker_join(&realizer);
	worker_join(&unplugger);
	assert_int_equal(realize.code, FH_EIO);
	assert_int_equal(hooks.unrealized, 1);
	machine_check_alive(m, 2); /* the parent, the one that fails */
	assert_int_equal(hooks.finalized, 1);
	fh_device_unplug(parent);
	machine_check_alive(m, 0);
	machine_end(m);
}

static struct fh_device *made; /* by the realize below */

static enum fh_code make_child_and_fail(struct probe *probe, struct fh_error *err)
{
	made = fh_object_ref(probe_new(probe->device, "child", probe->hooks->arg));
	CHECK(fh_device_realize(made, err) == FH_OK);
	FH_POINT("test.realize");
	return just_fail(probe, err);
}

static void run_plug(void *arg)
{
	struct job *job = arg;

	job->code = fh_device_realize(job->device, NULL);
	fh_device_unplug(job->device);
}

/* The other way round: control is in the child's unrealize already, and undoing leaves it. */
static void parents_realize_is_undone_while_its_child_is_unplugged(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct probe_hooks hooks = { .unrealize = stop_in_unrealize };
	struct probe_hooks parent_hooks = { .realize = make_child_and_fail, .arg = &hooks };
	struct fh_device *parent = probe_new(m, "parent", &parent_hooks);
	struct job realize = { .device = parent }, unplug = { 0 };
	struct worker unplugger, realizer;

	(void)unused;
	fh_point_arm("test.realize");
	fh_point_arm("test.unrealize");
	worker_start(&realizer, run_plug, &realize);
	assert_true(fh_point_wait("test.realize"));
	unplug.device = made;
	worker_start(&unplugger, run_unplug, &unplug);
	assert_true(fh_point_wait("test.unrealize"));
	fh_point_release("test.realize");
	/* The unplug of the parent waits for control, which is in the child's. */
	assert_false(worker_done_within(&realizer, 50));
	assert_int_equal(hooks.disposed, 0);
	fh_point_release("test.unrealize");
	worker_join(&realizer);
	worker_join(&unplugger);
	assert_int_equal(realize.code, FH_EIO);
	assert_int_equal(hooks.unrealized, 1);
	fh_object_unref(made);
	machine_check_alive(m, 0);
	assert_int_equal(hooks.finalized, 1);
	machine_end(m);
}

/* Where the whole birth fails: what control is at a part of, it ends as a whole. */
static struct probe_hooks plug_child_hooks;
static unsigned plug_disposed;

static enum fh_code plug_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)state;
	made = fh_object_ref(probe_new(device, "child", &plug_child_hooks));
	CHECK(fh_device_realize(made, err) == FH_OK);
	FH_POINT("test.realize");
	return fh_error_set(err, FH_EIO, "no");
}

static void plug_dispose(struct fh_object *object, void *state)
{
	(void)object;
	(void)state;
	CHECK(plug_child_hooks.disposed == 1);
	plug_disposed++;
}

static const struct fh_device_ops plug_ops = { .realize = plug_realize };
static const struct fh_type plug_type = {
	.name = "plug",
	.parent = &fh_device_type,
	.dispose = plug_dispose,
	.device = &plug_ops,
};

static void run_plug_type(void *arg)
{
	CHECK(!fh_device_plug((struct fh_machine *)arg, &plug_type, "parent", NULL, NULL));
}

static void plug_fails_while_a_child_is_unplugged(void **unused)
{
	struct fh_machine *m = machine_begin();
	struct job unplug = { 0 };
	struct worker unplugger, plugger;

	(void)unused;
	plug_disposed = 0;
	plug_child_hooks = (struct probe_hooks){ .unrealize = stop_in_unrealize };
	fh_point_arm("test.realize");
	fh_point_arm("test.unrealize");
	worker_start(&plugger, run_plug_type, m);
	assert_true(fh_point_wait("test.realize"));
	unplug.device = made;
	worker_start(&unplugger, run_unplug, &unplug);
	assert_true(fh_point_wait("test.unrealize"));
	fh_point_release("test.realize");
	worker_join(&plugger); /* waits for nothing: it may be in somebody's callback */
	assert_int_equal(plug_child_hooks.disposed + plug_disposed, 0);
	fh_point_release("test.unrealize");
	worker_join(&unplugger);
	fh_object_unref(made);
	machine_check_alive(m, 0);
	assert_int_equal(plug_child_hooks.finalized, 1);
	assert_int_equal(plug_disposed, 1);
	machine_end(m);
}

static int reset(void **unused)
{
	(void)unused;
	fh_point_release_all();
	trace[0] = '\0';
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(init_that_fails_leaves_nothing, reset),
		cmocka_unit_test_teardown(level_whose_realize_was_not_called_is_not_unrealized,
					  reset),
		cmocka_unit_test(links_set_in_a_realize_that_fails_are_as_before),
		cmocka_unit_test(links_of_a_child_are_undone_with_the_parents_realize),
		cmocka_unit_test(links_to_what_died_in_a_failed_realize_read_as_nothing),
		cmocka_unit_test(device_below_one_that_is_not_shown_is_shown_with_it),
		cmocka_unit_test(device_below_one_that_is_never_realized_dies_unseen),
		cmocka_unit_test_teardown(realize_below_what_is_hidden_is_refused, reset),
		cmocka_unit_test_teardown(child_unplugged_while_its_parents_realize_is_undone,
					  reset),
		cmocka_unit_test_teardown(parents_realize_is_undone_while_its_child_is_unplugged,
					  reset),
		cmocka_unit_test_teardown(plug_fails_while_a_child_is_unplugged, reset),
	};

	return cmocka_run_group_tests_name("scenario/births", tests, NULL, NULL);
}
