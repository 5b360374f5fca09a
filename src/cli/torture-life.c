/* SPDX-License-Identifier: MIT */
/*
 * Rows of `freehold torture` about births and deaths: plugging and unplugging, refs, pins, weak
 * references, properties, and looking on while others do it.
 */
#include "cli/torture.h"

#include <stdlib.h>
#include <string.h>

/* --- Plugging ------------------------------------------------------------------------------- */

/* What slot i holds is called so, wherever it is plugged. */
static const char *name_of(unsigned place, char buffer[static 16])
{
	snprintf(buffer, 16, "dev%u", place);
	return buffer;
}

/* Into its slot; if that has been filled meanwhile, out of the machine again. */
static enum fh_torture_outcome keep(struct fh_torture *t, unsigned place, struct fh_device *device)
{
	if (fh_torture_put(&t->devices[place], device))
		return FH_TORTURE_DONE;
	fh_device_unplug(device);
	fh_object_unref(device);
	return FH_TORTURE_REFUSED;
}

/* Is there one in the slot that is not on its way out? */
static bool is_taken(struct fh_torture *t, unsigned place)
{
	struct fh_device *const device = fh_torture_get(&t->devices[place]);
	const bool taken = device != NULL;

	fh_object_unref(device);
	return taken;
}

/* In steps, with a ref from before it is shown. */
static enum fh_torture_outcome plug_below(struct fh_torture *t, FH_ANY parent, unsigned place,
					  unsigned fail, unsigned kids)
{
	char name[16];
	struct fh_error err = FH_ERROR_INIT;
	const struct fh_type *const type =
		place % 3 == 0 ? &fh_torture_own_type : &fh_torture_device_type;
	struct fh_object *const object =
		fh_object_new_child(parent, name_of(place, name), type, &err);

	if (object == NULL) {
		fh_torture_check(t, err.code != FH_OK && err.message[0] != '\0',
				 "a birth failed without a reason");
		return FH_TORTURE_REFUSED;
	}
	/*
	 * Borrowed from a parent that others can unplug: so looked up again, for a ref of our
	 * own. If it is another by now, then one that another thread is plugging into the same
	 * slot.
	 */
	struct fh_device *const device =
		(struct fh_device *)fh_object_find_child(parent, name_of(place, name));

	if (device == NULL)
		return FH_TORTURE_REFUSED;
	fh_object_set_u64(device, "fail", fail, NULL);
	fh_object_set_u64(device, "kids", kids, NULL);
	if (fh_device_realize(device, &err) != FH_OK) {
		fh_torture_check(t, !fh_device_is_realized(device) || err.code == FH_EBUSY,
				 "realized although realize failed (L7)");
		/* It can be tried again. */
		if (fail % 2 == 0) {
			fh_object_set_u64(device, "fail", 0, NULL);
			fh_device_realize(device, NULL);
		}
		if (!fh_device_is_realized(device)) {
			fh_object_dispose(device);
			fh_object_unref(device);
			return FH_TORTURE_REFUSED;
		}
	}
	return keep(t, place, device);
}

static enum fh_torture_outcome row_plug(struct fh_torture *t, uint64_t *random)
{
	const unsigned place = fh_torture_pick(random, FH_TORTURE_DEVICES);

	if (is_taken(t, place))
		return FH_TORTURE_IDLE;
	return plug_below(t, t->m, place, 0, fh_torture_pick(random, 4));
}

static enum fh_torture_outcome row_plug_failing(struct fh_torture *t, uint64_t *random)
{
	const unsigned place = fh_torture_pick(random, FH_TORTURE_DEVICES);

	if (is_taken(t, place))
		return FH_TORTURE_IDLE;
	return plug_below(t, t->m, place, 1 + fh_torture_pick(random, 6),
			  fh_torture_pick(random, 4));
}

static enum fh_torture_outcome row_plug_child(struct fh_torture *t, uint64_t *random)
{
	const unsigned place = fh_torture_pick(random, FH_TORTURE_DEVICES);
	struct fh_device *const parent = fh_torture_any_device(t, random);

	if (parent == NULL || is_taken(t, place)) {
		fh_object_unref(parent);
		return FH_TORTURE_IDLE;
	}

	const enum fh_torture_outcome outcome =
		plug_below(t, parent, place, fh_torture_pick(random, 12),
			   fh_torture_pick(random, 2));

	fh_object_unref(parent);
	return outcome;
}

/* At one stroke, by the name of the type, with properties as text; nobody keeps a ref. */
static enum fh_torture_outcome row_plug_named(struct fh_torture *t, uint64_t *random)
{
	static const char *const fails[] = { "0", "0", "0", "1", "3", "5" };
	const struct fh_setting settings[] = {
		{ "fail", fails[fh_torture_pick(random, 6)] },
		{ "label", "plugged by name" },
		{ NULL, NULL },
	};
	char name[16];
	struct fh_error err = FH_ERROR_INIT;

	snprintf(name, sizeof(name), "by-name%u", fh_torture_pick(random, 4));

	const bool done =
		fh_device_plug_named(t->m, "torture-device", name, settings, &err) != NULL;

	fh_torture_check(t, done == (err.code == FH_OK), "a birth failed without a reason");

	/* Those of others as well. */
	struct fh_object *const object = fh_object_find_child(t->m, name);

	if (object != NULL && fh_torture_chance(random, 2))
		fh_object_dispose(object);
	fh_object_unref(object);
	return fh_torture_outcome(done);
}

/* --- Unplugging ----------------------------------------------------------------------------- */

static struct fh_device *take_device(struct fh_torture *t, uint64_t *random)
{
	return fh_torture_swap(&t->devices[fh_torture_pick(random, FH_TORTURE_DEVICES)], NULL);
}

/* Nothing can be hung on a device that has been detached, by itself or by others (L6). */
static void check_detached(struct fh_torture *t, struct fh_device *device)
{
	struct fh_region *const region = fh_region_new_container(device, NULL, 0x1000);
	struct fh_pin *const pin = fh_object_pin(t->system, device, "too late");
	struct fh_io *const io = fh_io_begin(device, "too late");

	fh_torture_check(t, region == NULL, "a region was born under a device that is detached");
	fh_torture_check(t, pin == NULL, "a pin in the name of a device that is detached");
	fh_torture_check(t, io == NULL, "an operation of a device that is detached");
	fh_torture_check(t, !fh_device_is_realized(device), "detached, and still realized");
	if (io != NULL)
		fh_io_complete(io, NULL, NULL);
}

/* Outside of everything: when this returns it is done. */
static enum fh_torture_outcome row_unplug(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = take_device(t, random);

	if (device == NULL)
		return FH_TORTURE_IDLE;
	fh_device_unplug(device);
	fh_torture_check(t, fh_object_is_disposed(device), "unplugged, but not disposed of");
	check_detached(t, device);
	if (fh_torture_chance(random, 4))
		fh_device_unplug(device);
	fh_object_unref(device);
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome row_unplug_reading(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = take_device(t, random);

	if (device == NULL)
		return FH_TORTURE_IDLE;
	fh_read_begin();
	fh_device_unplug(device);
	fh_object_unref(device);
	fh_read_end();
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome row_unplug_editing(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = take_device(t, random);
	struct fh_region *const region = fh_torture_any_region(t, random);

	if (device != NULL) {
		fh_edit_begin(t->m);
		fh_region_set_enabled(region, true);
		fh_device_unplug(device);
		fh_region_set_enabled(region, false);
		fh_edit_commit(t->m);
	}
	fh_object_unref(region);
	fh_object_unref(device);
	return device != NULL ? FH_TORTURE_DONE : FH_TORTURE_IDLE;
}

/* Somebody else keeps it in the slot, and finds it dead. */
static enum fh_torture_outcome row_unplug_kept(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = fh_torture_any_device(t, random);

	if (device == NULL)
		return FH_TORTURE_IDLE;
	fh_device_unplug(device);
	fh_object_unref(device);
	return FH_TORTURE_DONE;
}

/* Clear a slot of what has died in it. */
static enum fh_torture_outcome row_bury(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_slot *const slot =
		&t->devices[fh_torture_pick(random, FH_TORTURE_DEVICES)];
	struct fh_device *const device = fh_torture_swap(slot, NULL);

	if (device == NULL)
		return FH_TORTURE_IDLE;
	if (!fh_object_is_disposed(device) && fh_torture_put(slot, device))
		return FH_TORTURE_IDLE;
	fh_device_unplug(device);
	fh_object_unref(device);
	return FH_TORTURE_DONE;
}

/* --- Refs, pins, weak references ------------------------------------------------------------ */

static enum fh_torture_outcome row_object(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_slot *const slot =
		&t->objects[fh_torture_pick(random, FH_TORTURE_OBJECTS)];
	struct fh_object *const fresh = fh_object_new(t->m, &fh_torture_plain_type, NULL);

	if (fresh != NULL && fh_torture_chance(random, 4))
		fh_object_add_child(t->m, NULL, fresh, NULL);

	struct fh_object *const old = fh_torture_swap(slot, fresh);

	if (old != NULL && fh_torture_chance(random, 2))
		fh_object_dispose(old);
	fh_object_unref(old);
	return fh_torture_outcome(fresh != NULL);
}

static enum fh_torture_outcome row_pin(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_hold *const hold = calloc(1, sizeof(*hold));
	struct fh_region *const target = fh_torture_any_region(t, random);

	if (hold == NULL)
		abort();
	hold->holder = fh_torture_any_device(t, random);
	if (hold->holder != NULL && target != NULL)
		hold->pin = fh_object_pin(target, hold->holder, "torture");
	fh_object_unref(target);

	const bool done = hold->pin != NULL;
	struct fh_torture_slot *const slot = &t->holds[fh_torture_pick(random, FH_TORTURE_HOLDS)];

	fh_torture_hold_free(fh_torture_swap(slot, hold));
	return fh_torture_outcome(done);
}

static enum fh_torture_outcome row_unpin(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_hold *const hold =
		fh_torture_swap(&t->holds[fh_torture_pick(random, FH_TORTURE_HOLDS)], NULL);

	fh_torture_hold_free(hold);
	return hold != NULL ? FH_TORTURE_DONE : FH_TORTURE_IDLE;
}

static enum fh_torture_outcome row_weak(struct fh_torture *t, uint64_t *random)
{
	struct fh_torture_slot *const slot = &t->weaks[fh_torture_pick(random, FH_TORTURE_WEAKS)];
	struct fh_weak *weak = fh_torture_swap(slot, NULL);
	struct fh_device *const device = fh_torture_any_device(t, random);

	if (weak != NULL) {
		struct fh_object *const target = fh_weak_get(weak);

		fh_torture_check(t, target == NULL || fh_object_name(target) != NULL,
				 "a weak reference to what has no name");
		fh_object_unref(target);
	}
	if (device != NULL) {
		fh_weak_free(weak);
		weak = fh_weak_new(device);
	}
	fh_object_unref(device);
	if (weak != NULL && !fh_torture_put(slot, weak))
		fh_weak_free(weak);
	return device != NULL ? FH_TORTURE_DONE : FH_TORTURE_IDLE;
}

/* --- Properties ----------------------------------------------------------------------------- */

static enum fh_torture_outcome row_set(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = fh_torture_any_device(t, random);
	struct fh_device *const other = fh_torture_any_device(t, random);
	enum fh_code code = FH_EINVAL;

	if (device != NULL) {
		switch (fh_torture_pick(random, 4)) {
		case 0:
			code = fh_object_set_u64(device, "dial", (uint32_t)*random, NULL);
			break;
		case 1:
			code = fh_object_set_string(device, "label", "another label", NULL);
			break;
		case 2:
			code = fh_object_set_link(device, "friend", other, NULL);
			break;
		default:
			code = fh_object_set_text(device, "kids", "3", NULL);
			fh_torture_check(t, code != FH_OK || !fh_device_is_realized(device),
					 "a property was set that is not live");
			break;
		}
	}
	fh_object_unref(other);
	fh_object_unref(device);
	return device == NULL ? FH_TORTURE_IDLE : fh_torture_code(code);
}

static enum fh_torture_outcome row_get(struct fh_torture *t, uint64_t *random)
{
	static const char *const names[] = { "dial", "label", "friend", "kids" };
	struct fh_device *const device = fh_torture_any_device(t, random);
	struct fh_object *friend = NULL;
	char *text = NULL;

	if (device == NULL)
		return FH_TORTURE_IDLE;

	const enum fh_code code =
		fh_object_get_text(device, names[fh_torture_pick(random, 4)], &text, NULL);

	if (fh_object_get_link(device, "friend", &friend, NULL) == FH_OK)
		fh_object_unref(friend);
	free(text);
	fh_object_unref(device);
	return fh_torture_code(code);
}

/* --- Looking on ----------------------------------------------------------------------------- */

static bool count_child(struct fh_object *child, void *arg)
{
	char path[64];

	*(unsigned *)arg += fh_object_path(child, path, sizeof(path)) != 0;
	return true;
}

static enum fh_torture_outcome row_look(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = fh_torture_any_device(t, random);
	unsigned count = 0;
	char path[128];

	if (device == NULL) {
		fh_object_each_child(t->m, count_child, &count);
		return FH_TORTURE_DONE;
	}
	fh_object_each_child(device, count_child, &count);
	fh_object_path(device, path, sizeof(path));

	struct fh_object *const found = fh_object_find(t->m, path);

	fh_object_unref(found);
	fh_object_unref(device);
	return fh_torture_outcome(found != NULL);
}

static enum fh_torture_outcome row_explain(struct fh_torture *t, uint64_t *random)
{
	struct fh_device *const device = fh_torture_any_device(t, random);

	if (device == NULL)
		return FH_TORTURE_IDLE;
	fh_object_explain(device, t->null);
	fh_object_unref(device);
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome row_ledger(struct fh_torture *t, uint64_t *random)
{
	if (fh_torture_chance(random, 8))
		fh_ledger_print(t->m, t->null);

	const struct fh_ledger ledger = fh_ledger_read(t->m);

	fh_torture_check(t, ledger.died <= ledger.created, "more have died than were created");
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome row_poll(struct fh_torture *t, uint64_t *random)
{
	(void)random;
	return fh_machine_poll(t->m) ? FH_TORTURE_DONE : FH_TORTURE_IDLE;
}

static enum fh_torture_outcome row_drain(struct fh_torture *t, uint64_t *random)
{
	(void)random;
	fh_machine_drain(t->m);
	return FH_TORTURE_DONE;
}

static enum fh_torture_outcome row_throttle(struct fh_torture *t, uint64_t *random)
{
	(void)random;
	fh_machine_throttle(t->m);
	return FH_TORTURE_DONE;
}

const struct fh_torture_row fh_torture_life_rows[] = {
	{ "plug", 80, row_plug },
	{ "plug failing", 20, row_plug_failing },
	{ "plug a child", 30, row_plug_child },
	{ "plug by name", 4, row_plug_named },
	{ "unplug", 8, row_unplug },
	{ "unplug, reading", 4, row_unplug_reading },
	{ "unplug, editing", 4, row_unplug_editing },
	{ "unplug, kept", 4, row_unplug_kept },
	{ "bury", 40, row_bury },
	{ "object", 10, row_object },
	{ "pin", 60, row_pin },
	{ "unpin", 60, row_unpin },
	{ "weak reference", 60, row_weak },
	{ "set property", 60, row_set },
	{ "get property", 60, row_get },
	{ "look", 30, row_look },
	{ "explain", 2, row_explain },
	{ "ledger", 2, row_ledger },
	{ "poll", 10, row_poll },
	{ "drain", 1, row_drain },
	{ "throttle", 10, row_throttle },
	{ NULL, 0, NULL },
};
