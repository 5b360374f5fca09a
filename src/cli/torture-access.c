/* SPDX-License-Identifier: MIT */
/*
 * Rows of `freehold torture` that access memory, hold on to it, and drive lines, timers and
 * resets from outside of all callbacks.
 */
#include "cli/torture.h"

#include <stdlib.h>
#include <string.h>

static struct fh_attrs any_attrs(uint64_t *random)
{
	const uint64_t value = fh_torture_random(random);

	return (struct fh_attrs){
		.requester = (uint32_t)(value >> 32),
		.secure = value % 2 == 0,
		.user = value / 2 % 4 == 0,
		.debug = value / 8 % 16 == 0,
		.memory_only = value / 128 % 8 == 0,
	};
}

/* --- Accesses ------------------------------------------------------------------------------- */

static enum fh_torture_outcome row_load(struct fh_torture *t, uint64_t *random)
{
	uint64_t value = 1;
	const unsigned size = 1 + fh_torture_pick(random, 8);
	const enum fh_tx tx = fh_space_load(t->memory, fh_torture_any_addr(random), size,
					    fh_torture_chance(random, 2) ? FH_LE : FH_BE,
					    any_attrs(random), &value);

	fh_torture_check(t, size == 8 || value >> (8 * size) == 0,
			 "a load returned more bytes than it was asked for");
	return fh_torture_tx(t, tx);
}

static enum fh_torture_outcome row_store(struct fh_torture *t, uint64_t *random)
{
	return fh_torture_tx(t, fh_space_store(t->memory, fh_torture_any_addr(random),
					       1 + fh_torture_pick(random, 8), FH_LE,
					       any_attrs(random), fh_torture_random(random)));
}

/* Have a device, whichever is there, do something in its callback. */
static enum fh_torture_outcome row_command(struct fh_torture *t, uint64_t *random)
{
	const uint64_t place = fh_torture_pick(random, FH_TORTURE_DEVICES) * FH_TORTURE_STEP;

	return fh_torture_tx(t, fh_space_store32(t->memory,
						 FH_TORTURE_BASE + place + FH_TORTURE_REG_COMMAND,
						 (uint32_t)fh_torture_random(random), FH_LE));
}

static enum fh_torture_outcome row_bulk_read(struct fh_torture *t, uint64_t *random)
{
	uint8_t bytes[4096];
	struct fh_space *const space = fh_torture_any_space(t, random);
	const enum fh_tx tx = fh_space_read(space, fh_torture_any_addr(random), bytes,
					    fh_torture_pick(random, sizeof(bytes)),
					    any_attrs(random));

	fh_object_unref(space);
	return fh_torture_tx(t, tx);
}

static enum fh_torture_outcome row_bulk_write(struct fh_torture *t, uint64_t *random)
{
	uint8_t bytes[4096];
	struct fh_space *const space = fh_torture_any_space(t, random);
	const uint64_t size = fh_torture_pick(random, sizeof(bytes));

	memset(bytes, (int)size, sizeof(bytes));

	const enum fh_tx tx = fh_space_write(space, fh_torture_any_addr(random), bytes, size,
					     any_attrs(random));

	fh_object_unref(space);
	return fh_torture_tx(t, tx);
}

static enum fh_torture_outcome row_fill(struct fh_torture *t, uint64_t *random)
{
	struct fh_space *const space = fh_torture_any_space(t, random);
	const enum fh_tx tx = fh_space_fill(space, fh_torture_any_addr(random), 0x55,
					    fh_torture_pick(random, 0x2000), any_attrs(random));

	fh_object_unref(space);
	return fh_torture_tx(t, tx);
}

/* Through the space that shows nothing but a device's registers, its canary can be told exactly. */
static enum fh_torture_outcome row_canary(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = fh_torture_any_device(t, random);
	struct fh_space *const self = fh_torture_child(device, "self");
	enum fh_torture_outcome outcome = FH_TORTURE_IDLE;

	if (self != NULL) {
		uint64_t value;
		const enum fh_tx tx = fh_space_load64(self, FH_TORTURE_REG_CANARY, FH_LE, &value);

		fh_torture_check(t, tx != FH_TX_OK || value == fh_torture_state(device)->canary,
				 "a device's registers are another's");
		fh_torture_check(t, tx == FH_TX_OK || tx == FH_TX_DECODE_ERROR,
				 "a load of a register failed for no reason that there can be");
		outcome = fh_torture_tx(t, tx);
	}
	fh_object_unref(self);
	fh_object_unref(device);
	return outcome;
}

/* Many accesses in one read section, as a CPU makes them. */
static enum fh_torture_outcome row_slice(struct fh_torture *t, uint64_t *random)
{
	struct fh_space *const space = fh_torture_any_space(t, random);
	uint64_t value;

	fh_read_begin();
	for (unsigned i = 0; i < 200; i++)
		fh_torture_tx(t, fh_space_load(space, fh_torture_any_addr(random), 4, FH_LE,
					       FH_ATTRS_NONE, &value));
	fh_read_end();
	fh_object_unref(space);
	fh_machine_throttle(t->m);
	return FH_TORTURE_DONE;
}

/* --- Looking at views ----------------------------------------------------------------------- */

struct order {
	uint64_t next;
	bool started;
	bool wrong;
};

static bool check_order(const struct fh_section *section, void *arg)
{
	struct order *const order = arg;

	order->wrong = order->wrong || section->last < section->first ||
		       (order->started && section->first < order->next);
	order->started = true;
	order->next = section->last + 1;
	return section->last != UINT64_MAX;
}

static enum fh_torture_outcome row_each(struct fh_torture *t, uint64_t *random)
{
	struct fh_space *const space = fh_torture_any_space(t, random);
	struct order order = { 0 };

	fh_space_each(space, check_order, &order);
	fh_torture_check(t, !order.wrong, "ranges of a view are out of order");
	fh_object_unref(space);
	return FH_TORTURE_DONE;
}

static bool check_shown(const struct fh_section *section, void *arg)
{
	*(bool *)arg = *(bool *)arg && fh_region_get_info(section->region).shown;
	return true;
}

/* While nobody can change the map, it shows nothing whose owner is hidden. */
static enum fh_torture_outcome row_audit(struct fh_torture *t, uint64_t *random)
{
	struct fh_space *const space = fh_torture_any_space(t, random);
	bool right = true;

	fh_edit_begin(t->m);
	fh_space_each(space, check_shown, &right);
	fh_torture_check(t, right, "a view shows what has been hidden (L6)");
	fh_edit_commit(t->m);
	fh_object_unref(space);
	return FH_TORTURE_DONE;
}

/* What is found in a read section can be held beyond it. */
static enum fh_torture_outcome row_lookup(struct fh_torture *t, uint64_t *random)
{
	const uint64_t addr = fh_torture_any_addr(random);
	struct fh_region *region = NULL;
	struct fh_section section;

	fh_read_begin();
	if (fh_space_lookup(t->memory, addr, &section) && fh_object_try_ref(section.region))
		region = section.region;
	fh_read_end();
	fh_torture_check(t, section.first <= addr && addr <= section.last,
			 "a lookup found what is somewhere else");
	if (region == NULL)
		return FH_TORTURE_IDLE;
	fh_region_set_nonvolatile(region, fh_torture_chance(random, 2));
	fh_object_unref(region);
	return FH_TORTURE_DONE;
}

/* --- Holding on ----------------------------------------------------------------------------- */

static enum fh_torture_outcome keep(struct fh_torture *t, uint64_t *random,
				    struct fh_torture_hold *hold, bool done)
{
	struct fh_torture_slot *const slot = &t->holds[fh_torture_pick(random, FH_TORTURE_HOLDS)];

	fh_torture_hold_free(fh_torture_swap(slot, hold));
	return fh_torture_outcome(done);
}

static struct fh_torture_hold *new_hold(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const holder = fh_torture_any_device(t, random);
	struct fh_torture_hold *const hold = holder != NULL ? calloc(1, sizeof(*hold)) : NULL;

	if (hold == NULL)
		fh_object_unref(holder);
	else
		hold->holder = holder;
	return hold;
}

static enum fh_torture_outcome row_find(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_hold *const hold = new_hold(t, random);
	struct fh_section section;

	if (hold == NULL)
		return FH_TORTURE_IDLE;
	hold->pinned = fh_space_find(t->memory, fh_torture_any_addr(random), 0x800, hold->holder,
				     &section);
	if (hold->pinned != NULL)
		hold->size = section.last - section.first + 1;
	return keep(t, random, hold, hold->pinned != NULL);
}

/* The registers of one device in the hands of another. */
static enum fh_torture_outcome row_find_canary(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = fh_torture_any_device(t, random);
	struct fh_space *const self = fh_torture_child(device, "self");
	struct fh_torture_hold *const hold = self != NULL ? new_hold(t, random) : NULL;
	enum fh_torture_outcome outcome = FH_TORTURE_IDLE;

	if (hold != NULL) {
		struct fh_section section;

		hold->pinned = fh_space_find(self, 0, 16, hold->holder, &section);
		if (hold->pinned != NULL) {
			hold->size = section.last - section.first + 1;
			hold->canary = hold->size >= 8 ? fh_torture_state(device)->canary : 0;
		}
		outcome = keep(t, random, hold, hold->pinned != NULL);
	}
	fh_object_unref(self);
	fh_object_unref(device);
	return outcome;
}

static enum fh_torture_outcome access_pinned(struct fh_torture *t, uint64_t *random,
					     struct fh_torture_hold *hold)
{
	uint64_t value = 0;
	enum fh_tx tx;

	if (hold->size < sizeof(value))
		return FH_TORTURE_IDLE;
	if (hold->canary == 0 && fh_torture_chance(random, 2)) {
		tx = fh_pinned_write(hold->pinned, 0, &value, sizeof(value), FH_ATTRS_NONE);
	} else {
		tx = fh_pinned_read(hold->pinned, 0, &value, sizeof(value), FH_ATTRS_NONE);
		fh_torture_check(t, hold->canary == 0 || tx != FH_TX_OK || value == hold->canary,
				 "pinned registers are another device's");
	}
	return fh_torture_tx(t, tx);
}

/* Use what somebody else found, perhaps long ago. */
static enum fh_torture_outcome row_use(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_slot *const slot = &t->holds[fh_torture_pick(random, FH_TORTURE_HOLDS)];
	struct fh_torture_hold *const hold = fh_torture_swap(slot, NULL);
	enum fh_torture_outcome outcome = FH_TORTURE_IDLE;

	if (hold != NULL && hold->pinned != NULL && !fh_object_is_disposed(hold->holder))
		outcome = access_pinned(t, random, hold);
	if (hold != NULL && !fh_torture_put(slot, hold))
		fh_torture_hold_free(hold);
	return outcome;
}

static enum fh_torture_outcome row_map(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_hold *const hold = new_hold(t, random);
	struct fh_space *const space = fh_torture_any_space(t, random);
	struct fh_mapped mapped;

	if (hold != NULL)
		hold->mapping =
			fh_space_map(space, fh_torture_any_addr(random), 64,
				     fh_torture_chance(random, 2) ? FH_MAP_WRITE : FH_MAP_READ,
				     FH_ATTRS_NONE, hold->holder, &mapped);
	fh_object_unref(space);
	if (hold == NULL)
		return FH_TORTURE_IDLE;
	return keep(t, random, hold, hold->mapping != NULL);
}

static enum fh_torture_outcome row_io(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = fh_torture_any_device(t, random);
	struct fh_space *const space = fh_torture_any_space(t, random);
	enum fh_torture_outcome outcome = FH_TORTURE_IDLE;

	if (device != NULL)
		outcome = fh_torture_begin_io(t, device, space, random);
	fh_object_unref(space);
	fh_object_unref(device);
	return outcome;
}

/* --- Lines, timers, calls, resets ----------------------------------------------------------- */

static enum fh_torture_outcome row_timer(struct fh_torture *t, uint64_t *random)
{
	struct fh_timer *const timer = fh_torture_any_child(t, random, "timer");

	if (timer == NULL)
		return FH_TORTURE_IDLE;
	if (fh_torture_chance(random, 4))
		fh_timer_cancel(timer);
	else
		fh_timer_arm(timer, fh_machine_now(t->m) + fh_torture_pick(random, 3000000));
	fh_timer_is_armed(timer);
	fh_object_unref(timer);
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome row_bh(struct fh_torture *t, uint64_t *random)
{
	struct fh_bh *const bh = fh_torture_any_child(t, random, "bh");

	if (bh == NULL)
		return FH_TORTURE_IDLE;
	fh_bh_schedule(bh);
	fh_object_unref(bh);
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome row_line(struct fh_torture *t, uint64_t *random)
{
	struct fh_irq *const line = fh_torture_any_child(t, random, "out");

	if (line == NULL)
		return FH_TORTURE_IDLE;
	if (fh_torture_chance(random, 3))
		fh_irq_pulse(line);
	else
		fh_irq_set(line, fh_torture_chance(random, 2));
	fh_irq_level(line);
	fh_object_unref(line);
	return FH_TORTURE_DONE;
}

/* From the older to the younger, so that no circle of lines comes about. */
static enum fh_torture_outcome row_connect(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const first = fh_torture_any_device(t, random);
	struct fh_device *const second = fh_torture_any_device(t, random);
	struct fh_irq *const output = fh_torture_child(first, "out");
	struct fh_irq *const input = fh_torture_child(second, "in");
	enum fh_torture_outcome outcome = FH_TORTURE_IDLE;

	if (output != NULL && input != NULL &&
	    fh_torture_state(first)->serial < fh_torture_state(second)->serial) {
		if (fh_torture_chance(random, 3)) {
			fh_irq_disconnect(output, input);
			outcome = FH_TORTURE_DONE;
		} else {
			outcome = fh_torture_code(fh_irq_connect(output, input));
		}
	}
	fh_object_unref(output);
	fh_object_unref(input);
	fh_object_unref(first);
	fh_object_unref(second);
	return outcome;
}

static void called(void *state)
{
	fh_torture_act(state, 2);
}

static enum fh_torture_outcome row_call(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = fh_torture_any_device(t, random);

	if (device == NULL)
		return FH_TORTURE_IDLE;

	const bool done = fh_device_call(device, called, fh_torture_state(device));

	fh_object_unref(device);
	return fh_torture_outcome(done);
}

static enum fh_torture_outcome row_reset(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = fh_torture_any_device(t, random);

	if (device == NULL)
		return FH_TORTURE_IDLE;
	fh_device_reset(device, fh_torture_chance(random, 2) ? FH_RESET_COLD : FH_RESET_WARM);
	fh_object_unref(device);
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome row_reset_all(struct fh_torture *t, uint64_t *random)
{
	(void)random;
	fh_machine_reset(t->m, FH_RESET_COLD);
	return FH_TORTURE_DONE;
}

const struct fh_torture_row fh_torture_access_rows[] = {
	{ "load", 1000, row_load },
	{ "store", 750, row_store },
	{ "command", 750, row_command },
	{ "bulk read", 200, row_bulk_read },
	{ "bulk write", 200, row_bulk_write },
	{ "fill", 100, row_fill },
	{ "canary", 200, row_canary },
	{ "slice", 20, row_slice },
	{ "each range", 30, row_each },
	{ "audit", 20, row_audit },
	{ "look up", 100, row_lookup },
	{ "find", 100, row_find },
	{ "find registers", 100, row_find_canary },
	{ "use what was found", 300, row_use },
	{ "map memory", 100, row_map },
	{ "io", 200, row_io },
	{ "timer", 100, row_timer },
	{ "bottom half", 100, row_bh },
	{ "line", 150, row_line },
	{ "connect", 100, row_connect },
	{ "call", 150, row_call },
	{ "reset", 12, row_reset },
	{ "reset all", 3, row_reset_all },
	{ NULL, 0, NULL },
};
