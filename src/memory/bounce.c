/* SPDX-License-Identifier: MIT */
/*
 * Bounce buffers. See bounce.h for R1 to R4.
 */
#include "memory/bounce.h"

#include "base/alloc.h"
#include "memory/chain.h"
#include "memory/lookaside.h"
#include "memory/room.h"
#include "memory/transfer.h"

struct fh_bounce {
	struct fh_pin_tail tail; /* R1 */
	struct fh_room *room;
	uint64_t size;
	uint64_t offset;      /* in the region */
	uint32_t range_flags; /* how the region showed */
	bool writes;	      /* FH_MAP_WRITE */
	struct fh_attrs attrs;
	_Alignas(16) uint8_t data[];
};

struct fh_mapping *fh_mapped_fail(struct fh_mapped *ret, enum fh_code code, enum fh_tx tx)
{
	*ret = (struct fh_mapped){ .code = code, .tx = tx };
	return NULL;
}

static void bounce_free(struct fh_bounce *bounce)
{
	struct fh_room *room = bounce->room;
	const uint64_t size = bounce->size;

	fh_free(bounce);
	fh_room_give(room, size);
}

/* The holder has been disposed of. */
static void bounce_end(struct fh_pin_tail *tail)
{
	bounce_free((struct fh_bounce *)tail);
}

/* R4. The region is pinned by the caller. In a read section. */
static enum fh_tx bounce_run(struct fh_thread *t, struct fh_region *region,
			     struct fh_bounce *bounce, struct fh_transfer *transfer)
{
	uint64_t offset = bounce->offset;
	uint64_t seen = t->left;
	bool shown = fh_object_is_shown(region->owner);

	transfer->attrs = bounce->attrs;
	while (transfer->left > 0) {
		if (FH_UNLIKELY(seen != t->left)) {
			shown = fh_object_is_shown(region->owner);
			seen = t->left;
		}
		if (!shown) {
			fh_transfer_fail(transfer, transfer->left, FH_TX_DECODE_ERROR);
			break;
		}
		offset += fh_transfer_part(transfer, t, region, bounce->range_flags, offset,
					   transfer->left);
		FH_POINT("bounce.between");
	}
	fh_chain_settle(t);
	return transfer->worst;
}

/* --- Map ------------------------------------------------------------------------------------ */

/* What is there that can be bounced: FH_OK, or what is wrong with it. */
static enum fh_code bounce_judge(const struct fh_region *region, unsigned flags,
				 struct fh_attrs attrs, enum fh_tx *ret_tx)
{
	*ret_tx = FH_TX_DECODE_ERROR;
	if (!region || (!fh_region_has_callbacks(region) && !fh_region_has_ram(region)))
		return FH_ENOENT;
	*ret_tx = FH_TX_DENIED;
	if (attrs.memory_only && fh_region_has_callbacks(region))
		return FH_EPERM;
	*ret_tx = FH_TX_DEVICE_ERROR;
	return flags & FH_MAP_DIRECT_ONLY ? FH_ENOTSUP : FH_OK;
}

/* A buffer with room for it; *ret_code otherwise. */
static struct fh_bounce *bounce_new(struct fh_space *space, const struct fh_range *range,
				    uint64_t size, unsigned flags, struct fh_attrs attrs,
				    struct fh_object *holder, enum fh_code *ret_code)
{
	struct fh_room *room;
	struct fh_bounce *bounce;

	*ret_code = fh_room_take(space, holder, &size, &room);
	if (*ret_code != FH_OK)
		return NULL;
	bounce = size <= SIZE_MAX - sizeof(*bounce) ? fh_try_zalloc(1, sizeof(*bounce) + size) :
						      NULL;
	if (!bounce) {
		fh_room_give(room, size);
		*ret_code = FH_ENOMEM;
		return NULL;
	}
	bounce->tail.end = bounce_end;
	bounce->room = room;
	bounce->size = size;
	bounce->offset = range->offset;
	bounce->range_flags = range->flags;
	bounce->writes = flags & FH_MAP_WRITE;
	bounce->attrs = attrs;
	return bounce;
}

/* Fill it, and hang it on a pin. The region is held. Consumes the buffer where it fails. */
static struct fh_mapping *bounce_pin(struct fh_thread *t, struct fh_region *region,
				     struct fh_bounce *bounce, unsigned flags,
				     struct fh_object *holder, struct fh_mapped *ret)
{
	struct fh_pin *pin;
	enum fh_tx tx = FH_TX_OK;

	if (flags & FH_MAP_READ)
		tx = bounce_run(t, region, bounce,
				&(struct fh_transfer){ .kind = FH_TRANSFER_READ,
						       .to = bounce->data,
						       .left = bounce->size });
	if (tx != FH_TX_OK) {
		bounce_free(bounce);
		return fh_mapped_fail(ret, FH_EIO, tx);
	}
	FH_POINT("bounce.filled");
	*ret = (struct fh_mapped){
		.ptr = bounce->data,
		.size = bounce->size,
		.bounced = true,
	};
	pin = fh_pin_take_tail(&region->object, holder, "bounce", &bounce->tail);
	if (!pin) {
		bounce_free(bounce);
		return fh_mapped_fail(ret, FH_EDEAD, FH_TX_DEVICE_ERROR);
	}
	return (struct fh_mapping *)pin;
}

struct fh_mapping *fh_bounce_map(struct fh_thread *t, struct fh_space *space, uint64_t addr,
				 uint64_t size, unsigned flags, struct fh_attrs attrs,
				 struct fh_object *holder, struct fh_mapped *ret)
{
	struct fh_range range = { .region = NULL };
	struct fh_view_hit hit;
	struct fh_bounce *bounce;
	struct fh_mapping *mapping;
	enum fh_code code;
	enum fh_tx tx;

	if (fh_view_find(fh_space_view(space), addr, &hit))
		range = fh_view_hit_range(hit);
	code = bounce_judge(range.region, flags, attrs, &tx);
	if (code != FH_OK)
		return fh_mapped_fail(ret, code, tx);
	/* Nothing is read for one who cannot have it. */
	if (fh_object_has(holder, FH_OBJECT_DETACHED))
		return fh_mapped_fail(ret, FH_EDEAD, FH_TX_DEVICE_ERROR);
	range.offset += addr - range.first;
	if (size - 1 > range.last - addr)
		size = range.last - addr + 1;
	bounce = bounce_new(space, &range, size, flags, attrs, holder, &code);
	if (!bounce)
		return fh_mapped_fail(ret, code, FH_TX_DEVICE_ERROR);
	fh_object_hold(&range.region->object);
	mapping = bounce_pin(t, range.region, bounce, flags, holder, ret);
	fh_object_unhold(&range.region->object);
	return mapping;
}

/* --- Unmap ---------------------------------------------------------------------------------- */

enum fh_tx fh_bounce_unmap(struct fh_pin *pin, uint64_t written)
{
	struct fh_bounce *bounce = (struct fh_bounce *)fh_pin_tail(pin);
	struct fh_thread *t = fh_thread_self();
	struct fh_object *target = bounce ? fh_pin_steal(pin, &bounce->tail) : NULL;
	enum fh_tx tx = FH_TX_OK;

	if (!target)
		return written == 0 ? FH_TX_OK : FH_TX_DECODE_ERROR;
	FH_POINT("bounce.stolen");
	fh_chain_assert_may_access(t);
	if (bounce->writes && written > 0) {
		if (written > bounce->size)
			written = bounce->size;
		fh_rcu_read_begin(t);
		tx = bounce_run(t, fh_region_of(target), bounce,
				&(struct fh_transfer){ .kind = FH_TRANSFER_WRITE,
						       .from = bounce->data,
						       .left = written });
		fh_rcu_read_end(t);
	}
	bounce_free(bounce);
	fh_object_unhold(target);
	return tx;
}
