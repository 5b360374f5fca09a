/* SPDX-License-Identifier: MIT */
/*
 * Reset: three phases, each over the whole subtree, children first.
 *
 * R1. What is reset is what is shown when the reset begins; what is hidden meanwhile is left out.
 * R2. In a callback whose domain is that of the whole subtree the reset is done there and then. In
 *     one of another domain it would have to wait for a domain while holding one, which may be
 *     refused: it is queued instead and done by the next poll, which holds none.
 */
#include "base/alloc.h"
#include "device/device.h"

enum phase { PHASE_ENTER, PHASE_HOLD, PHASE_EXIT, PHASES };

struct reset_list {
	struct fh_device **devices; /* each pinned */
	size_t count;
	size_t room;
};

/* A reset that waits for the next poll. */
struct reset_request {
	struct fh_list node; /* in fh_devices.resets */
	struct fh_object *top; /* pinned */
	enum fh_reset_type type;
};

/* --- Which devices -------------------------------------------------------------------------- */

static void list_add(struct reset_list *list, struct fh_object *object)
{
	if (!fh_object_is_device(object) || !fh_object_is_shown(object))
		return;
	if (list->count == list->room) {
		list->room = list->room ? list->room * 2 : 16;
		list->devices = fh_realloc(list->devices, list->room * sizeof(*list->devices));
	}
	fh_object_hold(object);
	list->devices[list->count++] = fh_device_of(object);
}

/* Children before parents, in order of creation: who has no more below it when the walk goes on. */
static void list_fill(struct reset_list *list, struct fh_object *top)
{
	struct fh_machine *m = top->machine;
	struct fh_object *o = top;

	fh_tree_acquire(m);
	while (o) {
		struct fh_object *next = fh_object_next_locked(o, top);
		struct fh_object *stop = next ? next->parent : top->parent;

		for (; o != stop; o = o->parent)
			list_add(list, o);
		o = next;
	}
	fh_lock_release(&m->tree_lock);
}

static void list_clear(struct reset_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		fh_object_unhold(&list->devices[i]->object);
	fh_free(list->devices);
}

/* --- The phases ----------------------------------------------------------------------------- */

typedef void reset_callback(struct fh_device *device, void *state, enum fh_reset_type type);

static reset_callback *callback_of(const struct fh_device_ops *ops, enum phase phase)
{
	if (!ops)
		return NULL;
	return phase == PHASE_ENTER ? ops->reset_enter :
	       phase == PHASE_HOLD  ? ops->reset_hold :
				      ops->reset_exit;
}

struct phase_call {
	struct fh_device *device;
	const struct fh_class *level; /* whose callback it is, and whose state it gets */
	enum phase phase;
	enum fh_reset_type type;
};

static void phase_run(void *arg)
{
	const struct phase_call *call = arg;

	callback_of(call->level->type->device, call->phase)(
		call->device, (char *)call->device + call->level->state_offset, call->type);
}

static void reset_phase(struct fh_device *device, enum phase phase, enum fh_reset_type type)
{
	struct phase_call call = { .device = device, .phase = phase, .type = type };

	call.level = device->object.class;
	while (call.level && !callback_of(call.level->type->device, phase))
		call.level = call.level->parent;
	if (call.level)
		fh_chain_call_reentrant(fh_device_domain(device), &device->object, &device->object,
					false, phase_run, &call);
}

/* --- Now or later (R2) ---------------------------------------------------------------------- */

static bool must_wait_holding(const struct reset_list *list)
{
	if (!fh_thread_holds(fh_thread_self(), FH_HELD_DOMAIN))
		return false;
	for (size_t i = 0; i < list->count; i++)
		if (!fh_domain_is_mine(fh_device_domain(list->devices[i])))
			return true;
	return false;
}

static void reset_later(struct fh_object *top, enum fh_reset_type type)
{
	struct fh_devices *devices = top->machine->devices;
	struct reset_request *request = fh_new(struct reset_request);

	request->top = top;
	request->type = type;
	fh_list_init(&request->node);
	fh_object_hold(top);
	fh_lock_acquire(&devices->lock);
	fh_list_add_last(&devices->resets, &request->node);
	fh_lock_release(&devices->lock);
	fh_machine_kick(top->machine);
}

static void reset_below(struct fh_object *top, enum fh_reset_type type)
{
	struct reset_list list = { 0 };

	fh_machine_flush_coalesced(top->machine); /* what came before the reset */
	list_fill(&list, top);
	if (must_wait_holding(&list)) {
		reset_later(top, type);
	} else {
		for (enum phase phase = PHASE_ENTER; phase < PHASES; phase++)
			for (size_t i = 0; i < list.count; i++)
				reset_phase(list.devices[i], phase, type);
	}
	list_clear(&list);
}

bool fh_resets_run(struct fh_machine *m)
{
	struct fh_devices *devices = m->devices;
	struct fh_list requests;
	struct fh_list *node;
	bool any = false;

	fh_list_init(&requests);
	fh_lock_acquire(&devices->lock);
	fh_list_splice_last(&requests, &devices->resets);
	fh_lock_release(&devices->lock);
	while ((node = fh_list_pop(&requests))) {
		struct reset_request *request = fh_list_entry(node, struct reset_request, node);

		reset_below(request->top, request->type);
		fh_object_unhold(request->top);
		fh_free(request);
		any = true;
	}
	return any;
}

void fh_device_reset(struct fh_device *device, enum fh_reset_type type)
{
	fh_chain_assert_may_access(fh_thread_self());
	reset_below(&device->object, type);
}

void fh_machine_reset(struct fh_machine *m, enum fh_reset_type type)
{
	fh_chain_assert_may_access(fh_thread_self());
	reset_below(&m->root, type);
}
