/* SPDX-License-Identifier: MIT */
/*
 * What edits of eventfds, coalesced ranges and logs do to the model; see edit.h. The rules are
 * those of eventfd.h and dirty.h.
 */
#include <inttypes.h>

#include "model/edit.h"

/* --- Eventfds ------------------------------------------------------------------------------- */

static bool is_inside(const struct model_region *region, uint64_t offset, uint64_t size)
{
	const uint64_t last = region->size == FH_SIZE_ALL ? UINT64_MAX : region->size - 1;

	return region->size != 0 && offset <= last && size - 1 <= last - offset;
}

static bool is_size(uint64_t size)
{
	return size == 0 || size == 1 || size == 2 || size == 4 || size == 8;
}

static bool is_same(const struct fh_eventfd_match *a, const struct fh_eventfd_match *b)
{
	return a->offset == b->offset && a->size == b->size && a->match_data == b->match_data &&
	       a->data == b->data;
}

static enum fh_code check_eventfd(const struct model *model, const struct op *op,
				  const struct fh_eventfd_match *match)
{
	const struct model_region *region = &model->regions[op->other];

	if (!is_size(op->size) || (op->size % 8 != 0 && match->data >> 8 * op->size != 0))
		return FH_EINVAL;
	if (!model_has_callbacks(region))
		return FH_ETYPE;
	if (!is_inside(region, op->addr, op->size ? op->size : 1))
		return FH_ERANGE;
	for (int i = 0; i < MODEL_EVENTFDS; i++)
		if (model->eventfds[i].real && model->eventfds[i].region == op->other &&
		    is_same(&model->eventfds[i].match, match))
			return FH_EEXIST;
	return FH_OK;
}

static bool apply_eventfd_new(struct model *model, const struct op *op, enum fh_code *ret_code)
{
	const struct fh_eventfd_match match = {
		.offset = op->addr,
		.size = (unsigned)op->size,
		.match_data = op->flag,
		.data = op->flag ? (uint64_t)op->priority : 0,
	};

	if (model->eventfds[op->slot].real || !model_region_used(model, op->other) ||
	    (op->owner != MODEL_NONE && !model_owner_used(model, op->owner)))
		return false;
	*ret_code = check_eventfd(model, op, &match);
	if (*ret_code == FH_OK)
		model->eventfds[op->slot] = (struct model_eventfd){
			.real = (struct fh_eventfd *)model, /* to be filled in */
			.owner = op->owner,
			.region = op->other,
			.match = match,
			.serial = ++model->order,
		};
	return true;
}

static bool apply_eventfd_destroy(struct model *model, const struct op *op)
{
	if (!model->eventfds[op->slot].real)
		return false;
	model->eventfds[op->slot] = (struct model_eventfd){ .real = NULL };
	return true;
}

/* --- Coalesced ranges ----------------------------------------------------------------------- */

static bool apply_coalesce(struct model *model, const struct op *op, enum fh_code *ret_code)
{
	const struct model_region *region = &model->regions[op->slot];
	int slot = 0;

	while (slot < MODEL_SPANS && model->spans[slot].used)
		slot++;
	if (slot == MODEL_SPANS)
		return false;
	if (!model_has_callbacks(region))
		*ret_code = FH_ETYPE;
	else if (op->size == 0)
		*ret_code = FH_EINVAL;
	else if (!is_inside(region, op->addr, op->size))
		*ret_code = FH_ERANGE;
	else
		model->spans[slot] = (struct model_span){ true, op->slot, op->addr,
							  op->addr + (op->size - 1) };
	return true;
}

static void clear_spans(struct model *model, int region)
{
	for (int i = 0; i < MODEL_SPANS; i++)
		if (model->spans[i].region == region)
			model->spans[i].used = false;
}

/* --- All of them ---------------------------------------------------------------------------- */

static bool apply_to_region(struct model *model, const struct op *op, enum fh_code *ret_code)
{
	struct model_region *region = &model->regions[op->slot];
	const uint8_t bit = (uint8_t)(1u << (op->priority & 7));

	if (!model_region_used(model, op->slot))
		return false;
	switch (op->kind) {
	case OP_COALESCE: return apply_coalesce(model, op, ret_code);
	case OP_COALESCE_CLEAR: clear_spans(model, op->slot); return true;
	case OP_FLUSH:
		if (!model_has_callbacks(region))
			*ret_code = FH_ETYPE;
		else
			region->flush = op->flag;
		return true;
	case OP_LOG_START:
		if (!model_has_memory(region))
			*ret_code = FH_ETYPE;
		else
			region->log_own |= bit;
		return true;
	case OP_LOG_STOP: region->log_own &= (uint8_t)~bit; return true;
	default: return model_has_memory(region); /* OP_TAKE */
	}
}

bool model_apply_extra(struct model *model, const struct op *op, enum fh_code *ret_code)
{
	const uint8_t bit = (uint8_t)(1u << (op->priority & 7));

	switch (op->kind) {
	case OP_EVENTFD_NEW: return apply_eventfd_new(model, op, ret_code);
	case OP_EVENTFD_DESTROY: return apply_eventfd_destroy(model, op);
	case OP_LOG_ALL: model->log_all |= bit; return true;
	case OP_LOG_ALL_STOP: model->log_all &= (uint8_t)~bit; return true;
	case OP_STORE: return model->spaces[op->slot].real != NULL;
	default: return apply_to_region(model, op, ret_code);
	}
}

/* --- Words ---------------------------------------------------------------------------------- */

void op_print_extra(const struct op *op, FILE *out)
{
	static const char *const names[OP_KINDS] = {
		[OP_EVENTFD_NEW] = "new eventfd", [OP_EVENTFD_DESTROY] = "destroy eventfd",
		[OP_COALESCE] = "coalesce region",
		[OP_COALESCE_CLEAR] = "coalesce nothing of region",
		[OP_FLUSH] = "set flush of region", [OP_LOG_START] = "log region",
		[OP_LOG_STOP] = "do not log region", [OP_LOG_ALL] = "log everything",
		[OP_LOG_ALL_STOP] = "do not log everything", [OP_STORE] = "store to space",
		[OP_TAKE] = "take of region",
	};

	fprintf(out, "%s %d", names[op->kind], op->slot);
	switch (op->kind) {
	case OP_EVENTFD_NEW:
		fprintf(out, " of owner %d, for region %d at %#" PRIx64 ", size %" PRIu64,
			op->owner, op->other, op->addr, op->size);
		if (op->flag)
			fprintf(out, ", data %#x", (unsigned)op->priority);
		break;
	case OP_COALESCE:
		fprintf(out, " from %#" PRIx64 ", size %#" PRIx64, op->addr, op->size);
		break;
	case OP_FLUSH: fprintf(out, ": %s", op->flag ? "on" : "off"); break;
	case OP_LOG_START:
	case OP_LOG_STOP:
	case OP_LOG_ALL:
	case OP_LOG_ALL_STOP: fprintf(out, " for client %d", op->priority & 7); break;
	case OP_STORE: fprintf(out, " chosen by %#" PRIx64, op->addr); break;
	case OP_TAKE:
		fprintf(out, " from %#" PRIx64 ", size %#" PRIx64 " for client %d%s", op->addr,
			op->size, op->priority & 7, op->flag ? " (any)" : "");
		break;
	default: fprintf(out, "%s", op->flag ? " (by its last ref)" : ""); break;
	}
	fprintf(out, "\n");
}
