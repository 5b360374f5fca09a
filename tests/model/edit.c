/* SPDX-License-Identifier: MIT */
/*
 * What edits do to the model; see edit.h. The rules are those of the public headers.
 */
#include "model/edit.h"

#include <inttypes.h>
#include <string.h>

void model_init(struct model *model)
{
	memset(model, 0, sizeof(*model));
	for (int i = 0; i < MODEL_REGIONS; i++)
		model->regions[i].container = model->regions[i].target = MODEL_NONE;
}

bool model_region_used(const struct model *model, int slot)
{
	return slot >= 0 && slot < model->region_slots && model->regions[slot].real;
}

bool model_owner_used(const struct model *model, int slot)
{
	return slot >= 0 && slot < MODEL_OWNERS && model->owners[slot].real;
}

/* --- Owners --------------------------------------------------------------------------------- */

static bool is_below(const struct model *model, int owner, int top)
{
	while (owner != MODEL_NONE && owner != top)
		owner = model->owners[owner].parent;
	return owner == top;
}

/* Again until nothing changes: slots are in no order. */
static void show_owners(struct model *model)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (int i = 0; i < MODEL_OWNERS; i++) {
			struct model_owner *owner = &model->owners[i];
			const bool up = owner->parent == MODEL_NONE ||
					model->owners[owner->parent].shown;
			const bool shown = owner->real && up && !owner->hidden &&
					   (!owner->is_device || owner->realized);

			changed |= shown != owner->shown;
			owner->shown = shown;
		}
	}
}

static bool apply_owner_new(struct model *model, const struct op *op)
{
	struct model_owner *owner = &model->owners[op->slot];

	if (owner->real || (op->other != MODEL_NONE && !model_owner_used(model, op->other)))
		return false;
	memset(owner, 0, sizeof(*owner));
	owner->real = (struct fh_object *)model; /* to be filled in */
	owner->parent = op->other;
	owner->is_device = op->flag;
	if (op->other != MODEL_NONE && model->owners[op->other].hidden) {
		owner->hidden = true;
		owner->hidden_at = model->owners[op->other].hidden_at;
	}
	show_owners(model);
	return true;
}

static bool apply_owner_realize(struct model *model, const struct op *op, enum fh_code *ret_code)
{
	if (!model_owner_used(model, op->slot) || !model->owners[op->slot].is_device)
		return false;
	if (model->owners[op->slot].hidden) {
		*ret_code = FH_EDEAD;
	} else if (model->owners[op->slot].realized) {
		*ret_code = FH_EBUSY;
	} else {
		for (int i = 0; i < MODEL_OWNERS; i++) {
			struct model_owner *owner = &model->owners[i];

			if (owner->real && owner->is_device && !owner->hidden &&
			    is_below(model, i, op->slot))
				owner->realized = true;
		}
		show_owners(model);
	}
	return true;
}

static bool apply_owner_dispose(struct model *model, const struct op *op)
{
	if (!model_owner_used(model, op->slot))
		return false;
	model->order++;
	for (int i = 0; i < MODEL_OWNERS; i++) {
		struct model_owner *owner = &model->owners[i];

		if (owner->real && !owner->hidden && is_below(model, i, op->slot)) {
			owner->hidden = true;
			owner->hidden_at = model->order;
		}
	}
	model->owners[op->slot].requested = true;
	show_owners(model);
	return true;
}

void model_hurry(struct model *model, int slot)
{
	for (int i = 0; i < MODEL_OWNERS; i++)
		if (model->owners[i].real && is_below(model, i, slot))
			model->owners[i].hidden_at = 0;
}

/* --- Ends ----------------------------------------------------------------------------------- */

static void end_region(struct model *model, int slot)
{
	for (int i = 0; i < model->region_slots; i++) {
		if (model->regions[i].container == slot)
			model->regions[i].container = MODEL_NONE;
		if (model->regions[i].target == slot)
			model->regions[i].target = MODEL_NONE;
	}
	for (int i = 0; i < MODEL_SPACES; i++)
		if (model->spaces[i].real && model->spaces[i].root == slot)
			model->spaces[i].root = MODEL_NONE;
	for (int i = 0; i < MODEL_EVENTFDS; i++)
		if (model->eventfds[i].real && model->eventfds[i].region == slot)
			model->eventfds[i].region = MODEL_NONE;
	for (int i = 0; i < MODEL_SPANS; i++)
		if (model->spans[i].used && model->spans[i].region == slot)
			model->spans[i].used = false;
	memset(&model->regions[slot], 0, sizeof(model->regions[slot]));
	model->regions[slot].container = model->regions[slot].target = MODEL_NONE;
}

static void end_space(struct model *model, int slot)
{
	for (int i = 0; i < MODEL_LISTENERS; i++)
		if (model->listeners[i].real && model->listeners[i].space == slot)
			model->listeners[i].space = MODEL_NONE;
	memset(&model->spaces[slot], 0, sizeof(model->spaces[slot]));
}

static void end_listener(struct model *model, int slot)
{
	memset(&model->listeners[slot], 0, sizeof(model->listeners[slot]));
	model->listeners[slot].space = MODEL_NONE;
}

static bool owner_ends(const struct model *model, int owner, uint64_t hidden_at)
{
	return owner != MODEL_NONE && model->owners[owner].hidden &&
	       model->owners[owner].hidden_at == hidden_at;
}

bool model_settle(struct model *model)
{
	uint64_t first = UINT64_MAX;

	for (int i = 0; i < MODEL_OWNERS; i++)
		if (model->owners[i].real && model->owners[i].hidden &&
		    model->owners[i].hidden_at < first)
			first = model->owners[i].hidden_at;
	if (first == UINT64_MAX)
		return false;
	for (int i = 0; i < MODEL_LISTENERS; i++)
		if (model->listeners[i].real && owner_ends(model, model->listeners[i].owner, first))
			end_listener(model, i);
	for (int i = 0; i < MODEL_EVENTFDS; i++)
		if (model->eventfds[i].real && owner_ends(model, model->eventfds[i].owner, first))
			memset(&model->eventfds[i], 0, sizeof(model->eventfds[i]));
	for (int i = 0; i < MODEL_SPACES; i++)
		if (model->spaces[i].real && owner_ends(model, model->spaces[i].owner, first))
			end_space(model, i);
	for (int i = 0; i < model->region_slots; i++)
		if (model->regions[i].real && owner_ends(model, model->regions[i].owner, first))
			end_region(model, i);
	for (int i = 0; i < MODEL_OWNERS; i++)
		if (owner_ends(model, i, first))
			memset(&model->owners[i], 0, sizeof(model->owners[i]));
	return true;
}

/* --- Regions -------------------------------------------------------------------------------- */

static bool apply_region_new(struct model *model, const struct op *op)
{
	struct model_region *region = &model->regions[op->slot];

	if (region->real || (op->owner != MODEL_NONE && !model_owner_used(model, op->owner)) ||
	    (op->other != MODEL_NONE && !model_region_used(model, op->other)))
		return false;
	if (op->slot >= model->region_slots)
		model->region_slots = op->slot + 1;
	*region = (struct model_region){
		.real = (struct fh_region *)model, /* to be filled in */
		.kind = op->region_kind,
		.owner = op->owner,
		.container = MODEL_NONE,
		.target = op->other,
		.size = op->size,
		.alias_offset = op->addr,
		.capacity = op->size,
		.enabled = true,
		.rom_mode = op->region_kind == FH_REGION_ROM_DEVICE,
		.big_endian = op->region_kind == FH_REGION_MMIO && op->flag,
	};
	return true;
}

static bool would_loop(const struct model *model, int upper, int lower)
{
	struct model_kids kids;

	model_sort_kids(model, &kids);
	return model_reaches(model, &kids, lower, upper);
}

static enum fh_code apply_add(struct model *model, const struct op *op)
{
	struct model_region *sub = &model->regions[op->slot];

	if (sub->container != MODEL_NONE)
		return FH_EBUSY;
	if (would_loop(model, op->other, op->slot))
		return FH_ELOOP;
	sub->container = op->other;
	sub->addr = op->addr;
	sub->priority = op->priority;
	sub->order = ++model->order;
	return FH_OK;
}

static enum fh_code apply_alias_target(struct model *model, const struct op *op)
{
	struct model_region *alias = &model->regions[op->slot];

	if (alias->kind != FH_REGION_ALIAS)
		return FH_ETYPE;
	if (op->other != MODEL_NONE && would_loop(model, op->slot, op->other))
		return FH_ELOOP;
	alias->target = op->other;
	return FH_OK;
}

static enum fh_code apply_to_region(struct model *model, const struct op *op)
{
	struct model_region *region = &model->regions[op->slot];

	switch (op->kind) {
	case OP_REGION_DESTROY: end_region(model, op->slot); return FH_OK;
	case OP_ADD: return apply_add(model, op);
	case OP_REMOVE: region->container = MODEL_NONE; return FH_OK;
	case OP_MOVE:
		region->addr = op->addr;
		region->order = ++model->order;
		return FH_OK;
	case OP_PRIORITY: region->priority = op->priority; return FH_OK;
	case OP_ENABLED: region->enabled = op->flag; return FH_OK;
	case OP_RESIZE:
		if (model_has_memory(region) && op->size > region->capacity)
			return FH_EINVAL;
		region->size = op->size;
		return FH_OK;
	case OP_ALIAS_OFFSET:
		if (region->kind != FH_REGION_ALIAS)
			return FH_ETYPE;
		region->alias_offset = op->addr;
		return FH_OK;
	case OP_ALIAS_TARGET: return apply_alias_target(model, op);
	case OP_READONLY: region->readonly = op->flag; return FH_OK;
	case OP_NONVOLATILE: region->nonvolatile = op->flag; return FH_OK;
	case OP_UNMERGEABLE: region->unmergeable = op->flag; return FH_OK;
	case OP_ROM_MODE:
		if (region->kind != FH_REGION_ROM_DEVICE)
			return FH_ETYPE;
		region->rom_mode = op->flag;
		return FH_OK;
	}
	return FH_OK;
}

/* --- Spaces, listeners ---------------------------------------------------------------------- */

static bool apply_space_new(struct model *model, const struct op *op)
{
	struct model_space *space = &model->spaces[op->slot];

	if (space->real || (op->owner != MODEL_NONE && !model_owner_used(model, op->owner)) ||
	    (op->other != MODEL_NONE && !model_region_used(model, op->other)))
		return false;
	*space = (struct model_space){
		.real = (struct fh_space *)model, .owner = op->owner, .root = op->other
	};
	return true;
}

static bool apply_listener_new(struct model *model, const struct op *op)
{
	struct model_listener *listener = &model->listeners[op->slot];

	if (listener->real || (op->owner != MODEL_NONE && !model_owner_used(model, op->owner)) ||
	    op->other < 0 || op->other >= MODEL_SPACES || !model->spaces[op->other].real)
		return false;
	*listener = (struct model_listener){
		.real = (struct fh_listener *)model, .owner = op->owner, .space = op->other,
		.priority = op->priority, .callbacks = op->region_kind
	};
	return true;
}

bool model_apply(struct model *model, const struct op *op, enum fh_code *ret_code)
{
	*ret_code = FH_OK;
	if (op->kind >= OP_EVENTFD_NEW)
		return model_apply_extra(model, op, ret_code);
	switch (op->kind) {
	case OP_BEGIN:
	case OP_COMMIT:
	case OP_POLL: return true;
	case OP_OWNER_NEW: return apply_owner_new(model, op);
	case OP_OWNER_REALIZE: return apply_owner_realize(model, op, ret_code);
	case OP_OWNER_DISPOSE: return apply_owner_dispose(model, op);
	case OP_REGION_NEW: return apply_region_new(model, op);
	case OP_SPACE_NEW: return apply_space_new(model, op);
	case OP_LISTENER_NEW: return apply_listener_new(model, op);
	case OP_SPACE_ROOT:
		if (!model->spaces[op->slot].real ||
		    (op->other != MODEL_NONE && !model_region_used(model, op->other)))
			return false;
		model->spaces[op->slot].root = op->other;
		return true;
	case OP_SPACE_DESTROY:
		if (!model->spaces[op->slot].real || model->spaces[op->slot].builtin)
			return false;
		end_space(model, op->slot);
		return true;
	case OP_LISTENER_DESTROY:
		if (!model->listeners[op->slot].real)
			return false;
		end_listener(model, op->slot);
		return true;
	}
	if (!model_region_used(model, op->slot) ||
	    (op->kind == OP_REGION_DESTROY && model->regions[op->slot].builtin) ||
	    (op->kind == OP_ADD && !model_region_used(model, op->other)) ||
	    (op->kind == OP_ALIAS_TARGET && op->other != MODEL_NONE &&
	     !model_region_used(model, op->other)))
		return false;
	*ret_code = apply_to_region(model, op);
	return true;
}

/* --- Words ---------------------------------------------------------------------------------- */

static const char *const op_names[OP_EVENTFD_NEW] = {
	"begin", "commit", "poll", "new owner", "realize owner", "dispose of owner", "new region",
	"destroy region", "add", "remove", "move", "set priority", "set enabled", "resize",
	"set alias offset", "set alias target", "set readonly", "set nonvolatile",
	"set unmergeable", "set ROM mode", "new space", "set root of space", "destroy space",
	"new listener", "destroy listener",
};

static const char *const region_kinds[] = {
	"container", "mmio", "ram", "rom", "rom device", "alias", "reservation", "iommu",
	"ram device",
};

static const char *region_mark(const struct op *op)
{
	if (!op->flag)
		return "";
	return op->region_kind == FH_REGION_MMIO ? ", big-endian" : ", caller's memory";
}

void op_print(const struct op *op, FILE *out)
{
	if (op->kind >= OP_EVENTFD_NEW) {
		op_print_extra(op, out);
		return;
	}
	fprintf(out, "%s", op_names[op->kind]);
	if (op->kind <= OP_POLL) {
		fprintf(out, "\n");
		return;
	}
	fprintf(out, " %d", op->slot);
	switch (op->kind) {
	case OP_OWNER_NEW:
		fprintf(out, " (%s) below %d", op->flag ? "device" : "object", op->other);
		break;
	case OP_REGION_NEW:
		fprintf(out, " (%s%s) of owner %d, size %#" PRIx64, region_kinds[op->region_kind],
			region_mark(op), op->owner, op->size);
		if (op->region_kind == FH_REGION_ALIAS)
			fprintf(out, ", of region %d from %#" PRIx64, op->other, op->addr);
		break;
	case OP_ADD:
		fprintf(out, " to %d at %#" PRIx64 ", priority %d", op->other, op->addr,
			op->priority);
		break;
	case OP_MOVE:
	case OP_ALIAS_OFFSET: fprintf(out, ": %#" PRIx64, op->addr); break;
	case OP_PRIORITY: fprintf(out, ": %d", op->priority); break;
	case OP_RESIZE: fprintf(out, ": %#" PRIx64, op->size); break;
	case OP_ALIAS_TARGET:
	case OP_SPACE_ROOT: fprintf(out, ": region %d", op->other); break;
	case OP_ENABLED:
	case OP_READONLY:
	case OP_NONVOLATILE:
	case OP_UNMERGEABLE:
	case OP_ROM_MODE: fprintf(out, ": %s", op->flag ? "on" : "off"); break;
	case OP_SPACE_NEW:
		fprintf(out, " of owner %d, root region %d", op->owner, op->other);
		break;
	case OP_LISTENER_NEW:
		fprintf(out, " of owner %d, for space %d, priority %d, callbacks %u", op->owner,
			op->other, op->priority, op->region_kind);
		break;
	default: fprintf(out, "%s", op->flag ? " (by its last ref)" : ""); break;
	}
	fprintf(out, "\n");
}
