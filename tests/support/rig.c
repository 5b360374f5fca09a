/* SPDX-License-Identifier: MIT */
/* The rig and its bench: see rig.h. */
#include "support/rig.h"

#include <sched.h>
#include <string.h>

#include "base/point.h"

/* Where things are in the machine's memory. */
#define RAM UINT64_C(0x10000000)
#define BUS UINT64_C(0x20000000)
#define BAR UINT64_C(0x30000000)
#define ALIAS UINT64_C(0x40000000)
#define QUIRK (RAM + 0x1000) /* on top of the RAM */
#define PATTERN UINT32_C(0xcafef00d)

/* Of the rig and its parts, as the guest sees them. */
static const uint64_t places[RIG_PLACES] = {
	BUS + 0x1000, BUS + 0x2000, BUS + 0x3000, BUS + 0x4000, BAR, BAR + 0x1000, ALIAS, QUIRK,
};

struct bench bench;

/* --- Steps ---------------------------------------------------------------------------------- */

static enum fh_code step(struct fh_error *err)
{
	bench.step++;
	FH_POINT("test.step");
	if (bench.step == bench.fail_at)
		return fh_error_set(err, FH_EIO, "step %u failed", bench.step);
	return FH_OK;
}

static void done_push(const void *state)
{
	CHECK(bench.done_count < RIG_DONE_MAX);
	bench.done[bench.done_count++] = state;
}

/* R3 */
static void done_pop(const void *state)
{
	CHECK(bench.done_count > 0 && bench.done[bench.done_count - 1] == state);
	bench.done_count--;
}

/* The whole of a device is complete: what was the state's is the last, in the order that it had. */
static void done_again(const void *state)
{
	unsigned at = 0;

	while (at < bench.done_count && bench.done[at] != state)
		at++;
	CHECK(at < bench.done_count);
	memmove(&bench.done[at], &bench.done[at + 1],
		(bench.done_count - at - 1) * sizeof(bench.done[0]));
	bench.done[bench.done_count - 1] = state;
}

static enum fh_tx regs_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)state;
	(void)offset;
	(void)size;
	(void)attrs;
	CHECK(bench.visible);
	*ret_value = PATTERN;
	return FH_TX_OK;
}

static const struct fh_region_ops regs_ops = { .read = regs_read };

static struct fh_region *regs_new(struct fh_device *device, const char *name)
{
	struct fh_region *regs = fh_region_new_mmio(device, name, 0x1000, &regs_ops, NULL);

	CHECK(regs);
	return regs;
}

/* --- Parts: children of the rig, and what they have ----------------------------------------- */

struct part {
	uint64_t addr; /* in the bus's window; 0: none */
	bool with_child;
	bool made;
};

static const struct fh_property part_properties[] = {
	{ .name = "addr", .kind = FH_PROPERTY_U64, .offset = offsetof(struct part, addr) },
	{ .name = "with-child", .kind = FH_PROPERTY_BOOL,
	  .offset = offsetof(struct part, with_child) },
	{ .name = NULL },
};

static const struct fh_type part_type;

static enum fh_code part_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct part *part = state;

	(void)object;
	(void)err;
	part->made = true;
	CHECK(bench.made - bench.disposed < RIG_DONE_MAX);
	bench.born[bench.made++ - bench.disposed] = state;
	return FH_OK;
}

static void part_dispose(struct fh_object *object, void *state)
{
	(void)object;
	CHECK(((struct part *)state)->made);
	bench.disposed++;
	/* The last born is the first to go (L6, L7). */
	CHECK(bench.born[bench.made - bench.disposed] == state);
}

static void part_finalize(struct fh_object *object, void *state)
{
	struct part *part = state;

	(void)object;
	CHECK(part->made);
	part->made = false;
	bench.finalized++;
}

static enum fh_code part_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct part *part = state;
	struct fh_region *regs = regs_new(device, "regs");
	enum fh_code code;

	CHECK(fh_device_export(device, regs, err) == FH_OK);
	if (part->addr)
		CHECK(fh_region_add(bench.window, regs, part->addr, 0) == FH_OK);
	code = step(err);
	if (code == FH_OK && part->with_child &&
	    !fh_device_plug(device, &part_type, "child", NULL, err))
		code = FH_EIO;
	if (code == FH_OK)
		code = step(err);
	if (code == FH_OK)
		done_push(part);
	return code;
}

static void part_unrealize(struct fh_device *device, void *state)
{
	struct fh_object *parent = fh_object_find_parent(device);

	/* Who was complete after the part is undone before it. */
	CHECK(!fh_device_is_realized((struct fh_device *)parent));
	fh_object_unref(parent);
	done_pop(state);
}

static const struct fh_device_ops part_ops = {
	.realize = part_realize,
	.unrealize = part_unrealize,
};

static const struct fh_type part_type = {
	.name = "part",
	.parent = &fh_device_type,
	.state_size = sizeof(struct part),
	.properties = part_properties,
	.init = part_init,
	.dispose = part_dispose,
	.finalize = part_finalize,
	.device = &part_ops,
};

/* --- The rig: what its steps do ------------------------------------------------------------- */

struct rig {
	struct fh_object *friend;
	struct fh_device *device;
	struct fh_region *regs, *bar;
	struct fh_space *space;
};

typedef enum fh_code rig_step(struct rig *rig, struct fh_error *err);

static enum fh_code make_regions(struct rig *rig, struct fh_error *err)
{
	rig->regs = regs_new(rig->device, "regs");
	rig->bar = fh_region_new_container(rig->device, "bar", 0x10000);
	CHECK(fh_device_export(rig->device, rig->regs, err) == FH_OK);
	return fh_device_export(rig->device, rig->bar, err);
}

static enum fh_code map_into_the_bus(struct rig *rig, struct fh_error *err)
{
	(void)err;
	return fh_region_add(bench.window, rig->regs, 0x1000, 0);
}

static enum fh_code map_into_memory(struct rig *rig, struct fh_error *err)
{
	struct fh_region *root = fh_space_root(fh_machine_memory(bench.m));

	(void)err;
	CHECK(fh_region_add(rig->bar, regs_new(rig->device, NULL), 0, 0) == FH_OK);
	CHECK(fh_region_add(root, regs_new(rig->device, NULL), QUIRK, 1) == FH_OK);
	CHECK(fh_region_add(root, fh_region_new_alias(rig->device, "alias", rig->regs, 0, 0x1000),
			    ALIAS, 0) == FH_OK);
	return fh_region_add(root, rig->bar, BAR, 0);
}

static enum fh_code connect_lines(struct rig *rig, struct fh_error *err)
{
	struct fh_irq *output = fh_irq_new(rig->device, "irq");

	(void)err;
	CHECK(fh_irq_connect(output, bench.input) == FH_OK);
	fh_irq_raise(output);
	return FH_OK;
}

static void count_timer(void *state)
{
	CHECK(bench.visible);
	++*(unsigned *)state;
}

static enum fh_code arm_timers(struct rig *rig, struct fh_error *err)
{
	(void)err;
	fh_timer_arm(fh_timer_new(rig->device, "timer", count_timer, &bench.timers), 0);
	fh_bh_schedule(fh_bh_new(rig->device, "bh", count_timer, &bench.bhs));
	return FH_OK;
}

static void count_revoked(struct fh_pin *pin, void *state)
{
	(void)state;
	bench.revoked++;
	fh_unpin(pin);
}

static void count_told(struct fh_object *target, void *state)
{
	(void)target;
	(void)state;
	bench.told++;
}

static enum fh_code take_pins(struct rig *rig, struct fh_error *err)
{
	struct fh_section section;
	struct fh_mapped mapped;

	(void)err;
	for (int i = 0; i < 40; i++) /* more than one chunk of the holder's list */
		CHECK(fh_object_pin(bench.bus, rig->device, "test"));
	CHECK(fh_object_pin_revocable(bench.bus, rig->device, "peer", count_revoked, rig));
	CHECK(fh_object_pin(rig->device, rig->device, "self"));
	CHECK(fh_space_map(fh_machine_memory(bench.m), RAM, 0x100, FH_MAP_WRITE, FH_ATTRS_NONE,
			   rig->device, &mapped));
	CHECK(fh_space_find(fh_machine_memory(bench.m), RAM, 4, rig->device, &section));
	CHECK(fh_object_watch(bench.bus, rig->device, count_told, NULL));
	CHECK(fh_object_set_link(rig->device, "friend", bench.bus, NULL) == FH_OK);
	return FH_OK;
}

static void count_own_add(void *state, const struct fh_section *section)
{
	(void)section;
	(void)state;
	bench.own_sections++;
}

static void count_own_remove(void *state, const struct fh_section *section)
{
	(void)section;
	(void)state;
	bench.own_sections--;
}

static const struct fh_listener_ops own_listener_ops = {
	.add = count_own_add,
	.remove = count_own_remove,
};

/* A space of the rig's own that shows all memory, and one of the bus's, each with a listener. */
static enum fh_code make_spaces(struct rig *rig, struct fh_error *err)
{
	struct fh_region *root = fh_region_new_container(rig->device, "root", FH_SIZE_ALL);
	struct fh_region *all = fh_region_new_alias(
		rig->device, "all", fh_space_root(fh_machine_memory(bench.m)), 0, FH_SIZE_ALL);

	(void)err;
	CHECK(fh_region_add(root, all, 0, 0) == FH_OK);
	rig->space = fh_space_new(rig->device, "dma", root);
	CHECK(fh_listener_new(rig->device, rig->space, 0, &own_listener_ops, NULL));
	CHECK(fh_listener_new(rig->device, bench.dma, 0, &own_listener_ops, NULL));
	CHECK(fh_listener_new(rig->device, fh_machine_memory(bench.m), 0, &own_listener_ops, NULL));
	return FH_OK;
}

/* Realized within the rig's realize, and a child of it within its own; a region in the rig's. */
static enum fh_code plug_child(struct rig *rig, struct fh_error *err)
{
	const struct fh_setting settings[] = { { "addr", "0x2000" },
					       { "with-child", "on" },
					       { NULL, NULL } };
	struct fh_device *child = fh_device_plug(rig->device, &part_type, "inner", settings, err);

	if (!child)
		return FH_EIO;
	return fh_region_add(rig->bar, regs_new(child, NULL), 0x1000, 0);
}

/* To be realized after the rig's realize. */
static enum fh_code make_child(struct rig *rig, struct fh_error *err)
{
	const struct fh_setting settings[] = { { "addr", "0x3000" }, { NULL, NULL } };

	return fh_device_new(rig->device, &part_type, "after", settings, err) ? FH_OK : FH_EIO;
}

/* --- The rig's levels ----------------------------------------------------------------------- */

static const struct fh_type base_type, middle_type;

static rig_step *const base_steps[] = { take_pins, make_spaces, NULL };
static rig_step *const middle_steps[] = { connect_lines, arm_timers, NULL };
static rig_step *const rig_steps[] = { make_regions, map_into_the_bus, map_into_memory, NULL };
static rig_step *const rig_late_steps[] = { plug_child, make_child, NULL };

static struct rig *rig_of(FH_ANY device)
{
	return fh_object_state(device, &base_type);
}

static enum fh_code run_steps(rig_step *const *steps, struct fh_device *device,
			      struct fh_error *err)
{
	enum fh_code code = FH_OK;

	for (; *steps && code == FH_OK; steps++) {
		code = (*steps)(rig_of(device), err);
		if (code == FH_OK)
			code = step(err);
	}
	return code;
}

static enum fh_code base_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	const enum fh_code code = run_steps(base_steps, device, err);

	if (code == FH_OK)
		done_push(state);
	return code;
}

static enum fh_code middle_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	enum fh_code code = run_steps(middle_steps, device, err);

	if (code == FH_OK)
		code = fh_device_realize_base(device, &middle_type, err);
	if (code == FH_OK)
		code = step(err);
	if (code == FH_OK)
		done_push(state);
	return code;
}

static enum fh_code rig_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	enum fh_code code;

	rig_of(device)->device = device;
	code = run_steps(rig_steps, device, err);
	if (code == FH_OK)
		code = fh_device_realize_base(device, &rig_type, err);
	if (code == FH_OK)
		code = run_steps(rig_late_steps, device, err);
	if (code == FH_OK)
		done_push(state);
	return code;
}

static void level_unrealize(struct fh_device *device, void *state)
{
	/* Undone, not gone: everything that the realize made is still there (L6). */
	CHECK(rig_of(device)->space || state == rig_of(device));
	/* If the realize had succeeded, all of it was complete when its children were. */
	if (fh_device_is_realized(device) && state == fh_object_state(device, &rig_type)) {
		done_again(fh_object_state(device, &base_type));
		done_again(fh_object_state(device, &middle_type));
		done_again(state);
	}
	done_pop(state);
}

static const struct fh_device_ops base_ops = {
	.realize = base_realize,
	.unrealize = level_unrealize,
};
static const struct fh_device_ops middle_ops = {
	.realize = middle_realize,
	.unrealize = level_unrealize,
};
static const struct fh_device_ops rig_ops = {
	.realize = rig_realize,
	.unrealize = level_unrealize,
};

static const struct fh_property base_properties[] = {
	{ .name = "friend", .kind = FH_PROPERTY_LINK, .flags = FH_PROPERTY_STRONG,
	  .offset = offsetof(struct rig, friend) },
	{ .name = NULL },
};

static const struct fh_type base_type = {
	.name = "rig-base",
	.properties = base_properties,
	.parent = &fh_device_type,
	.state_size = sizeof(struct rig),
	.device = &base_ops,
};
static const struct fh_type middle_type = {
	.name = "rig-middle",
	.parent = &base_type,
	.state_size = sizeof(struct part),
	.device = &middle_ops,
};
const struct fh_type rig_type = {
	.name = "rig",
	.parent = &middle_type,
	.state_size = sizeof(struct part),
	.init = part_init,
	.dispose = part_dispose,
	.finalize = part_finalize,
	.device = &rig_ops,
};

/* --- What the guest sees -------------------------------------------------------------------- */

static bool is_place(uint64_t addr)
{
	for (size_t i = 0; i < RIG_PLACES; i++)
		if (places[i] == addr)
			return true;
	return false;
}

static bool count_place(const struct fh_section *section, void *arg)
{
	*(unsigned *)arg += is_place(section->first) && !section->ptr;
	return true;
}

static void look_at_all(struct fh_space *space)
{
	const bool must = bench.must_be_visible;
	unsigned count = 0;

	fh_space_each(space, count_place, &count);
	CHECK(count == 0 || count == RIG_PLACES);
	CHECK(count == 0 || bench.visible);
	CHECK(count != 0 || !must || !bench.must_be_visible);
}

static void look_at(struct fh_space *space, uint64_t addr)
{
	const bool must = bench.must_be_visible;
	uint32_t value = 0;
	const enum fh_tx tx = fh_space_load32(space, addr, FH_LE, &value);

	if (value == PATTERN)
		CHECK(tx == FH_TX_OK && bench.visible);
	else /* what lies under it, as before and after the rig's life */
		CHECK(tx == (addr == QUIRK ? FH_TX_OK : FH_TX_DECODE_ERROR) && value == 0 &&
		      !(must && bench.must_be_visible));
}

/* R2 */
static void read_on(void *arg)
{
	struct fh_space *space = fh_machine_memory(bench.m);

	(void)arg;
	while (!bench.stop) {
		look_at_all(space);
		for (size_t i = 0; i < RIG_PLACES; i++)
			look_at(space, places[i]);
		bench.looks++;
	}
}

void wait_for_a_look(void)
{
	const unsigned looks = bench.looks;

	while (bench.looks - looks < 2)
		sched_yield();
}

static void count_add(void *state, const struct fh_section *section)
{
	(void)state;
	bench.added += is_place(section->first);
}

static void count_remove(void *state, const struct fh_section *section)
{
	(void)state;
	bench.removed += is_place(section->first);
}

static void count_commit(void *state, struct fh_space *space)
{
	(void)state;
	(void)space;
	bench.commits++;
}

static const struct fh_listener_ops listener_ops = {
	.add = count_add,
	.remove = count_remove,
	.commit = count_commit,
};

static void input_changed(void *state, bool level)
{
	(void)state;
	CHECK(bench.visible);
	bench.rises += level;
}

/* --- The bench ------------------------------------------------------------------------------ */

void bench_begin(void)
{
	struct fh_machine *m = machine_begin();
	struct fh_region *root = fh_space_root(fh_machine_memory(m));

	memset(&bench, 0, sizeof(bench));
	bench.m = m;
	bench.ram = fh_region_new_ram(m, "ram", 0x10000, NULL);
	assert_int_equal(fh_region_add(root, bench.ram, RAM, 0), FH_OK);
	bench.bus = probe_new(m, "bus", &bench.bus_hooks);
	assert_int_equal(fh_device_realize(bench.bus, NULL), FH_OK);
	bench.window = fh_region_new_container(bench.bus, "window", 0x100000);
	assert_int_equal(fh_region_add(root, bench.window, BUS, 0), FH_OK);
	bench.input = fh_irq_new_input(bench.bus, "input", input_changed, NULL);
	bench.dma = fh_space_new(bench.bus, "dma", bench.window);
	bench.listener = fh_listener_new(m, fh_machine_memory(m), 0, &listener_ops, NULL);
	worker_start(&bench.reader, read_on, NULL);
	bench.commits = bench.added = bench.removed = 0;
}

void bench_end(void)
{
	bench.stop = true;
	worker_join(&bench.reader);
	assert_int_equal(bench.done_count, 0);
	fh_object_unref(bench.listener);
	fh_device_unplug(bench.bus);
	fh_object_unref(bench.ram);
	machine_check_alive(bench.m, 0);
	assert_int_equal(bench.made, bench.disposed);
	assert_int_equal(bench.made, bench.finalized);
	assert_int_equal(bench.own_sections, 0);
	machine_end(bench.m);
}

/* A rig with a child that is not realized, and one that is. */
struct fh_device *rig_new(FH_ANY parent)
{
	const struct fh_setting settings[] = { { "addr", "0x4000" }, { NULL, NULL } };
	struct fh_device *rig = fh_device_new(parent, &rig_type, "rig", NULL, NULL);
	struct fh_device *early;

	assert_non_null(rig);
	assert_non_null(fh_device_new(rig, &part_type, "before", NULL, NULL));
	early = fh_device_new(rig, &part_type, "early", settings, NULL);
	assert_int_equal(fh_device_realize(early, NULL), FH_OK);
	bench.step = 0;
	return rig;
}

unsigned rig_count_steps(void)
{
	unsigned steps;

	bench_begin();
	struct fh_device *rig = rig_new(bench.m);

	bench.visible = true;
	assert_int_equal(fh_device_realize(rig, NULL), FH_OK);
	steps = bench.step;
	fh_device_unplug(rig);
	bench_end();
	assert_true(steps > 15);
	return steps;
}
