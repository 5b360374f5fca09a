/* SPDX-License-Identifier: MIT */
/*
 * The library's side of the model test: on the public interface only. See world.h.
 *
 * R1. Every edit is done to the model first: what the library returns, shows and tells is known
 *     before it is asked.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "model/look.h"

/* --- Making things -------------------------------------------------------------------------- */

static const struct fh_iommu_ops no_translations = { .indexes = 1 }; /* nobody accesses */

static const struct fh_type plain_type = { .name = "model-object" };
static const struct fh_device_ops device_ops = { .own_domain = false };
static const struct fh_type device_type = {
	.name = "model-device", .parent = &fh_device_type, .device = &device_ops,
};

static struct fh_object *owner_of(const struct world *world, int owner)
{
	return owner == MODEL_NONE ? fh_machine_root(world->m) : world->model.owners[owner].real;
}

static void make_region(struct world *world, const struct op *op)
{
	struct model_region *region = &world->model.regions[op->slot];
	struct fh_object *owner = owner_of(world, op->owner);
	/* Mostly never accessed: only its address counts. */
	uint8_t *ptr = (uint8_t *)(uintptr_t)(4096 * (1 + (unsigned)op->slot));
	const struct fh_region_ops *ops = stores_registers(op->flag);
	void *state = stores_state(world->stores, op->slot);

	switch (region->kind) {
	case FH_REGION_CONTAINER:
		region->real = fh_region_new_container(owner, NULL, op->size);
		break;
	case FH_REGION_MMIO:
		region->real = fh_region_new_mmio(owner, NULL, op->size, ops, state);
		break;
	case FH_REGION_RAM:
		region->real = op->flag ? fh_region_new_ram_ptr(owner, NULL, op->size, ptr, NULL,
								NULL)
					: fh_region_new_ram(owner, NULL, op->size, NULL);
		break;
	case FH_REGION_ROM:
		region->real = fh_region_new_rom(owner, NULL, op->size, FH_ROM_IGNORE, NULL);
		break;
	case FH_REGION_ROM_DEVICE:
		region->real = fh_region_new_rom_device(owner, NULL, op->size, ops, state, NULL);
		break;
	case FH_REGION_ALIAS:
		region->real = fh_region_new_alias(owner, NULL, world_region(world, op->other),
						   op->addr, op->size);
		break;
	case FH_REGION_RESERVATION:
		region->real = fh_region_new_reservation(owner, NULL, op->size);
		break;
	case FH_REGION_IOMMU:
		region->real = fh_region_new_iommu(owner, NULL, op->size, &no_translations, NULL);
		break;
	case FH_REGION_RAM_DEVICE:
		if (op->priority)
			ptr = stores_device_memory(world->stores);
		region->real = fh_region_new_ram_device(owner, NULL, op->size, ptr, NULL, NULL);
		break;
	}
	if (!region->real)
		world_fail(world, "no region %d was made", op->slot);
	else
		region->ram = fh_region_ram(region->real);
}

static void make_owner(struct world *world, const struct op *op)
{
	struct fh_object *parent = owner_of(world, op->other);

	world->model.owners[op->slot].real =
		op->flag ? (struct fh_object *)fh_device_new(parent, &device_type, NULL, NULL, NULL)
			 : fh_object_new_child(parent, NULL, &plain_type, NULL);
	if (!world->model.owners[op->slot].real)
		world_fail(world, "no owner %d was made", op->slot);
}

/* What is its own, the caller has a ref of. */
static void end_object(struct fh_object *object, bool own, bool by_unref)
{
	if (!own) {
		fh_object_dispose(object);
	} else {
		if (!by_unref)
			fh_object_dispose(object);
		fh_object_unref(object);
	}
}

static enum fh_code make_eventfd(struct world *world, const struct op *op)
{
	const struct fh_eventfd_match match = {
		.offset = op->addr,
		.size = (unsigned)op->size,
		.match_data = op->flag,
		.data = (uint64_t)op->priority,
	};
	struct fh_error err = FH_ERROR_INIT;
	struct fh_eventfd *eventfd =
		fh_eventfd_new(owner_of(world, op->owner), world_region(world, op->other), &match,
			       stores_eventfd(world, op->slot), &err);

	if (!eventfd)
		return err.code;
	world->model.eventfds[op->slot].real = eventfd;
	return FH_OK;
}

static enum fh_dirty_client client_of(const struct op *op)
{
	return (enum fh_dirty_client)(op->priority & 7);
}

/* --- One edit ------------------------------------------------------------------------------- */

/* Before the model forgets what it was about. */
struct subject {
	struct fh_object *object;
	bool own;
};

static struct subject subject_of(const struct world *world, const struct op *op)
{
	const struct model *model = &world->model;
	struct subject subject = { NULL, false };

	switch (op->kind) {
	case OP_OWNER_DISPOSE: subject.object = model->owners[op->slot].real; break;
	case OP_REGION_DESTROY:
		subject.object = (struct fh_object *)model->regions[op->slot].real;
		subject.own = model->regions[op->slot].owner == MODEL_NONE;
		break;
	case OP_SPACE_DESTROY:
		subject.object = (struct fh_object *)model->spaces[op->slot].real;
		subject.own = model->spaces[op->slot].owner == MODEL_NONE;
		break;
	case OP_LISTENER_DESTROY:
		subject.object = (struct fh_object *)model->listeners[op->slot].real;
		subject.own = model->listeners[op->slot].owner == MODEL_NONE;
		break;
	case OP_EVENTFD_DESTROY:
		subject.object = (struct fh_object *)model->eventfds[op->slot].real;
		subject.own = model->eventfds[op->slot].owner == MODEL_NONE;
		break;
	}
	return subject;
}

/* The edits of struct fh_region. */
static enum fh_code edit_region(struct world *world, const struct op *op)
{
	struct fh_region *region = world->model.regions[op->slot].real;

	switch (op->kind) {
	case OP_ADD:
		return fh_region_add(world_region(world, op->other), region, op->addr,
				     op->priority);
	case OP_REMOVE: fh_region_remove(region); return FH_OK;
	case OP_MOVE: return fh_region_move(region, op->addr);
	case OP_PRIORITY: return fh_region_set_priority(region, op->priority);
	case OP_ENABLED: return fh_region_set_enabled(region, op->flag);
	case OP_RESIZE: return fh_region_resize(region, op->size);
	case OP_ALIAS_OFFSET: return fh_region_set_alias_offset(region, op->addr);
	case OP_ALIAS_TARGET:
		return fh_region_set_alias_target(region, world_region(world, op->other));
	case OP_READONLY: return fh_region_set_readonly(region, op->flag);
	case OP_NONVOLATILE: return fh_region_set_nonvolatile(region, op->flag);
	case OP_UNMERGEABLE: return fh_region_set_unmergeable(region, op->flag);
	case OP_ROM_MODE: return fh_region_set_rom_mode(region, op->flag);
	case OP_COALESCE: return fh_region_add_coalesced(region, op->addr, op->size);
	case OP_COALESCE_CLEAR: return fh_region_clear_coalesced(region);
	case OP_FLUSH: return fh_region_set_flush_coalesced(region, op->flag);
	case OP_LOG_START: return fh_dirty_start(region, client_of(op), NULL);
	default: fh_dirty_stop(region, client_of(op)); return FH_OK;
	}
}

static enum fh_code edit(struct world *world, const struct op *op, const struct subject *subject)
{
	struct model *model = &world->model;

	switch (op->kind) {
	case OP_BEGIN: fh_edit_begin(world->m); return FH_OK;
	case OP_COMMIT: fh_edit_commit(world->m); return FH_OK;
	case OP_POLL: fh_machine_poll(world->m); return FH_OK;
	case OP_OWNER_NEW: make_owner(world, op); return FH_OK;
	case OP_OWNER_REALIZE:
		return fh_device_realize((struct fh_device *)model->owners[op->slot].real, NULL);
	case OP_REGION_NEW: make_region(world, op); return FH_OK;
	case OP_SPACE_NEW:
		model->spaces[op->slot].real = fh_space_new(owner_of(world, op->owner), NULL,
							    world_region(world, op->other));
		return model->spaces[op->slot].real ? FH_OK : FH_EDEAD;
	case OP_SPACE_ROOT:
		return fh_space_set_root(model->spaces[op->slot].real,
					 world_region(world, op->other));
	case OP_LISTENER_NEW:
		model->listeners[op->slot].real =
			ears_listen(world->ears, op->slot, owner_of(world, op->owner),
				    &model->listeners[op->slot], model->spaces[op->other].real,
				    world->shown[op->other]);
		return model->listeners[op->slot].real ? FH_OK : FH_EDEAD;
	case OP_EVENTFD_NEW: return make_eventfd(world, op);
	case OP_LOG_ALL: return fh_dirty_global_start(world->m, client_of(op), NULL);
	case OP_LOG_ALL_STOP: fh_dirty_global_stop(world->m, client_of(op)); return FH_OK;
	case OP_OWNER_DISPOSE:
	case OP_REGION_DESTROY:
	case OP_SPACE_DESTROY:
	case OP_LISTENER_DESTROY:
	case OP_EVENTFD_DESTROY:
		end_object(subject->object, subject->own, op->flag);
		return FH_OK;
	}
	return edit_region(world, op);
}

/* Does it wait for control, which then does all that is queued? */
static bool op_settles(const struct op *op)
{
	return op->kind == OP_POLL || op->kind == OP_OWNER_DISPOSE;
}

/* Who was in that slot is still to be seen, or is to be told of its end. */
static bool eventfd_is_shown(const struct world *world, int slot)
{
	for (int i = 0; i < MODEL_SPACES; i++)
		for (size_t j = 0; j < world->shown[i]->extras.count; j++)
			if (world->shown[i]->extras.at[j].eventfd == slot)
				return true;
	return false;
}

/* May it be done now, as far as the model does not know? */
static bool op_is_possible(const struct world *world, const struct op *op)
{
	switch (op->kind) {
	case OP_COMMIT: return world->depth > 0;
	case OP_POLL:
	case OP_STORE:
	case OP_TAKE:
	case OP_OWNER_REALIZE: return world->depth == 0;
	/* Who was in that slot still shows something, or is to be told of its end. */
	case OP_SPACE_NEW:
		return world->shown[op->slot]->view.count == 0 &&
		       !ears_wait_for_space(world->ears, op->slot);
	case OP_LISTENER_NEW: return !ears_is_attached(world->ears, op->slot);
	case OP_EVENTFD_NEW: return !eventfd_is_shown(world, op->slot);
	}
	return true;
}

bool world_apply(struct world *world, const struct op *op)
{
	const struct subject subject = subject_of(world, op);
	const bool first = op->kind == OP_OWNER_DISPOSE && world->depth == 0 &&
			   !world->model.owners[op->slot].requested;
	enum fh_code wanted;

	if (!op_is_possible(world, op) || !model_apply(&world->model, op, &wanted))
		return true;
	world->counts.edits += op->kind > OP_POLL;
	if (op->kind >= OP_STORE) {
		stores_access(world, op);
		return !world->failure[0];
	}
	if (op->kind == OP_BEGIN)
		world->depth++;
	if (op->kind == OP_COMMIT)
		world->depth--;
	if (first)
		model_hurry(&world->model, op->slot);
	if (world->depth == 0) {
		look_forward(world);
		while (op_settles(op) && model_settle(&world->model))
			look_forward(world);
	}
	const enum fh_code code = edit(world, op, &subject);

	if (code != wanted)
		world_fail(world, "it returned %s, not %s", fh_code_name(code),
			   fh_code_name(wanted));
	if (op->kind == OP_COALESCE_CLEAR)
		ears_check_asked(world->ears, &world->model, world->depth == 0);
	stores_edited(world);
	if (world->depth == 0 && !world->failure[0])
		look_at_all(world);
	return !world->failure[0];
}

/* --- Beginning and end ---------------------------------------------------------------------- */

struct world *world_new(void)
{
	struct world *world = calloc(1, sizeof(*world));
	struct model_region *root = &world->model.regions[0];

	model_init(&world->model);
	world->m = fh_machine_new(NULL, NULL);
	world->rng.state = 1;
	world->stores = stores_new();
	world->ears = ears_new(stores_rung(world->stores));
	for (int i = 0; i < MODEL_SPACES; i++) {
		world->shown[i] = calloc(1, sizeof(struct picture));
		world->next[i] = calloc(1, sizeof(struct picture));
	}
	world->model.spaces[0] = (struct model_space){
		.real = fh_machine_memory(world->m), .owner = MODEL_NONE, .builtin = true,
	};
	*root = (struct model_region){
		.real = fh_space_root(fh_machine_memory(world->m)), .owner = MODEL_NONE,
		.container = MODEL_NONE, .target = MODEL_NONE, .kind = FH_REGION_CONTAINER,
		.size = FH_SIZE_ALL, .enabled = true, .builtin = true,
	};
	world->model.region_slots = 1;
	return world;
}

const struct model *world_model(const struct world *world)
{
	return &world->model;
}

unsigned world_depth(const struct world *world)
{
	return world->depth;
}

struct world_counts world_counts(const struct world *world)
{
	struct world_counts counts = world->counts;

	counts.told = ears_told(world->ears);
	counts.extras = ears_extras_told(world->ears);
	return counts;
}

/* How many slots there are for what the edit ends. */
static int slots_of(const struct model *model, enum op_kind kind)
{
	switch (kind) {
	case OP_LISTENER_DESTROY: return MODEL_LISTENERS;
	case OP_SPACE_DESTROY: return MODEL_SPACES;
	case OP_OWNER_DISPOSE: return MODEL_OWNERS;
	case OP_EVENTFD_DESTROY: return MODEL_EVENTFDS;
	default: return model->region_slots;
	}
}

static bool can_end(const struct model *model, enum op_kind kind, int slot)
{
	switch (kind) {
	case OP_LISTENER_DESTROY: return model->listeners[slot].real;
	case OP_SPACE_DESTROY: return model->spaces[slot].real && !model->spaces[slot].builtin;
	case OP_OWNER_DISPOSE: return model->owners[slot].real;
	case OP_EVENTFD_DESTROY: return model->eventfds[slot].real;
	default: return model->regions[slot].real && !model->regions[slot].builtin;
	}
}

bool world_choose_end(const struct world *world, struct rng *rng, struct op *ret)
{
	static const enum op_kind kinds[] = {
		OP_LISTENER_DESTROY, OP_REGION_DESTROY, OP_REGION_DESTROY, OP_REGION_DESTROY,
		OP_SPACE_DESTROY, OP_OWNER_DISPOSE, OP_EVENTFD_DESTROY,
	};
	const unsigned count = sizeof(kinds) / sizeof(kinds[0]);
	const struct model *model = &world->model;
	const unsigned first_kind = (unsigned)rng_below(rng, count);

	*ret = (struct op){ .kind = OP_COMMIT };
	if (world->depth > 0)
		return true;
	for (unsigned k = 0; k < count; k++) {
		const enum op_kind kind = kinds[(first_kind + k) % count];
		const int slots = slots_of(model, kind);
		const int first = (int)rng_below(rng, (uint64_t)slots);

		for (int i = 0; i < slots; i++) {
			const int slot = (first + i) % slots;

			if (!can_end(model, kind, slot))
				continue;
			*ret = (struct op){ .kind = (uint8_t)kind, .slot = (int16_t)slot,
					    .flag = rng_chance(rng, 50) };
			return true;
		}
	}
	return false;
}

bool world_end(struct world *world, char *failure, size_t size)
{
	struct rng rng = { 1 };
	struct op op;
	bool good = !world->failure[0];

	while (good && world_choose_end(world, &rng, &op))
		good = world_apply(world, &op);
	if (good) {
		fh_machine_drain(world->m);
		const uint64_t alive = fh_ledger_read(world->m).alive;

		if (alive > 0) {
			world_fail(world, "%" PRIu64 " objects are alive at the end", alive);
			fh_ledger_print(world->m, stderr);
		} else if (fh_machine_destroy(world->m) != 0) {
			world_fail(world, "the machine does not end");
		}
		stores_check_rings(world, true);
		good = !world->failure[0];
	}
	if (!good)
		snprintf(failure, size, "%s", world->failure);
	for (int i = 0; i < MODEL_SPACES; i++) {
		extras_free(&world->shown[i]->extras);
		extras_free(&world->next[i]->extras);
		free(world->shown[i]);
		free(world->next[i]);
	}
	ears_free(world->ears);
	stores_free(world->stores);
	free(world);
	return good;
}
