/* SPDX-License-Identifier: MIT */
/*
 * Bounce buffers. See bounce.h for R1 to R5.
 */
#include "memory/bounce.h"

#include "base/alloc.h"
#include "memory/chain.h"
#include "memory/dirty.h"
#include "memory/iommu.h"
#include "memory/extras.h"
#include "memory/lookaside.h"
#include "memory/room.h"
#include "memory/transfer.h"

struct fh_bounce {
	struct fh_pin_tail tail; /* R1 */
	struct fh_room *room;	 /* NULL: no buffer: R5 */
	struct fh_region *region;  /* C: pinned */
	struct fh_iommu_use *uses; /* R5 */
	unsigned use_count;
	uint64_t size;
	uint64_t offset;      /* in the region */
	uint32_t range_flags; /* how the region showed */
	bool writes;	      /* FH_MAP_WRITE */
	struct fh_attrs attrs;
	_Alignas(16) uint8_t data[];
};

/* What is at an address, behind IOMMUs if there are any. */
struct place {
	struct fh_range range; /* from the address on; region NULL: nothing */
	uint64_t size;	       /* of what was asked for, as far as it goes */
	struct fh_iommu_use *uses; /* R5: whoever takes them sets this to NULL */
	unsigned use_count;
};

struct fh_mapping *fh_mapped_fail(struct fh_mapped *ret, enum fh_code code, enum fh_tx tx)
{
	*ret = (struct fh_mapped){ .code = code, .tx = tx };
	return NULL;
}

static void uses_end(struct fh_iommu_use *uses, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fh_iommu_use_end(&uses[i]);
	fh_free(uses);
}

static void bounce_free(struct fh_bounce *bounce)
{
	struct fh_room *room = bounce->room;
	const uint64_t size = bounce->size;

	uses_end(bounce->uses, bounce->use_count);
	fh_free(bounce);
	if (room)
		fh_room_give(room, size);
}

/* The holder has been disposed of. */
static void bounce_end(struct fh_pin_tail *tail)
{
	struct fh_bounce *bounce = (struct fh_bounce *)tail;
	struct fh_thread *t = fh_thread_self();

	/* Without a buffer it is written already, nobody says how much. */
	if (!bounce->room && bounce->writes) {
		fh_rcu_read_begin(t);
		fh_dirty_mark_range(bounce->region, bounce->offset, bounce->size);
		fh_rcu_read_end(t);
	}
	bounce_free(bounce);
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
		offset += fh_transfer_part(transfer, t, region,
					   fh_extras_flags_now(region, bounce->range_flags),
					   offset, transfer->left);
		FH_POINT("bounce.between");
	}
	fh_chain_settle(t);
	return transfer->worst;
}

/* --- Map ------------------------------------------------------------------------------------ */

/* What the trail has come to; in its frames. */
static void place_reach(struct place *place, const struct fh_trail *trail)
{
	place->range = trail->range;
	place->size = trail->size;
	place->uses = fh_zalloc(trail->hops * sizeof(*place->uses));
	for (; place->use_count < trail->hops; place->use_count++)
		fh_iommu_use_begin(&place->uses[place->use_count], &trail->hop[place->use_count]);
}

static void place_leave(struct place *place)
{
	if (place->uses)
		uses_end(place->uses, place->use_count);
}

/*
 * In a read section, to whose end it is valid; then place_leave(). FH_TX_OK, or what an access
 * would come to.
 */
static enum fh_tx place_find(struct fh_thread *t, struct fh_space *space, uint64_t addr,
			     uint64_t size, unsigned access, struct fh_attrs attrs,
			     struct place *ret)
{
	struct fh_view_hit hit;
	struct fh_trail trail;
	enum fh_tx tx;

	for (;;) {
		*ret = (struct place){ .size = size };
		if (!fh_view_find(fh_space_view(space), addr, &hit))
			return FH_TX_DECODE_ERROR;
		ret->range = fh_view_hit_range(hit);
		ret->range.offset += addr - ret->range.first;
		ret->range.first = addr;
		if (ret->range.region->kind != FH_REGION_IOMMU)
			break;
		tx = fh_iommu_follow(t, ret->range.region, ret->range.offset, size, access, attrs,
				     &trail);
		if (tx == FH_TX_OK)
			place_reach(ret, &trail);
		if (FH_LIKELY(fh_iommu_arrive(t, &trail))) {
			if (tx != FH_TX_OK)
				return tx;
			break;
		}
		place_leave(ret);
	}
	if (ret->size - 1 > ret->range.last - ret->range.first)
		ret->size = ret->range.last - ret->range.first + 1;
	return FH_TX_OK;
}

static enum fh_code code_of_tx(enum fh_tx tx)
{
	return tx == FH_TX_DECODE_ERROR ? FH_ENOENT : tx == FH_TX_DENIED ? FH_EPERM : FH_EIO;
}

/* What is there that can be bounced: FH_OK, or what is wrong with it. */
static enum fh_code bounce_judge(const struct fh_region *region, unsigned flags,
				 struct fh_attrs attrs, enum fh_tx *ret_tx)
{
	*ret_tx = FH_TX_DECODE_ERROR;
	if (!fh_region_has_callbacks(region) && !fh_region_has_ram(region))
		return FH_ENOENT;
	*ret_tx = FH_TX_DENIED;
	if (!fh_attrs_permit(attrs, region))
		return FH_EPERM;
	*ret_tx = FH_TX_DEVICE_ERROR;
	return flags & FH_MAP_DIRECT_ONLY ? FH_ENOTSUP : FH_OK;
}

/* With a buffer of size bytes, or none of 0; or NULL. Takes the place's uses. */
static struct fh_bounce *bounce_new(struct place *place, uint64_t size, unsigned flags,
				    struct fh_attrs attrs)
{
	struct fh_bounce *bounce;

	bounce = size <= SIZE_MAX - sizeof(*bounce) ? fh_try_zalloc(1, sizeof(*bounce) + size) :
						      NULL;
	if (!bounce)
		return NULL;
	bounce->tail.end = bounce_end;
	bounce->region = place->range.region;
	bounce->size = size;
	bounce->offset = place->range.offset;
	bounce->range_flags = place->range.flags;
	bounce->writes = flags & FH_MAP_WRITE;
	bounce->attrs = attrs;
	bounce->uses = place->uses;
	bounce->use_count = place->use_count;
	place->uses = NULL;
	return bounce;
}

/* Fill the buffer, and hang it on a pin. The region is held. Consumed where it fails. */
static struct fh_mapping *bounce_pin(struct fh_thread *t, struct fh_region *region,
				     struct fh_bounce *bounce, unsigned flags,
				     struct fh_object *holder, struct fh_mapped *ret)
{
	struct fh_pin *pin;
	enum fh_tx tx = FH_TX_OK;

	if (bounce->room && (flags & FH_MAP_READ))
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
		.ptr = bounce->room ? bounce->data : region->ram + bounce->offset,
		.size = bounce->size,
		.bounced = bounce->room,
	};
	pin = fh_pin_take_tail(&region->object, holder, bounce->room ? "bounce" : "map",
			       &bounce->tail);
	if (!pin) {
		bounce_free(bounce);
		return fh_mapped_fail(ret, FH_EDEAD, FH_TX_DEVICE_ERROR);
	}
	return (struct fh_mapping *)pin;
}

/* R5: the memory itself, behind IOMMUs. */
static struct fh_bounce *bounce_direct(struct place *place, unsigned flags,
				       struct fh_attrs attrs)
{
	struct fh_bounce *bounce = bounce_new(place, 0, flags, attrs);

	if (bounce)
		bounce->size = place->size;
	return bounce;
}

/* A buffer, and room for it; *ret_code otherwise. */
static struct fh_bounce *bounce_buffer(struct fh_space *space, struct place *place,
				       unsigned flags, struct fh_attrs attrs,
				       struct fh_object *holder, enum fh_code *ret_code)
{
	uint64_t size = place->size;
	struct fh_bounce *bounce;
	struct fh_room *room;

	*ret_code = fh_room_take(space, holder, &size, &room);
	if (*ret_code != FH_OK)
		return NULL;
	bounce = bounce_new(place, size, flags, attrs);
	if (bounce) {
		bounce->room = room;
	} else {
		fh_room_give(room, size);
		*ret_code = FH_ENOMEM;
	}
	return bounce;
}

static struct fh_mapping *map_place(struct fh_thread *t, struct fh_space *space,
				    struct place *place, unsigned flags, struct fh_attrs attrs,
				    struct fh_object *holder, struct fh_mapped *ret)
{
	const unsigned direct = flags & (FH_MAP_READ | FH_MAP_WRITE);
	struct fh_region *region = place->range.region;
	enum fh_tx tx = FH_TX_DEVICE_ERROR;
	enum fh_code code = FH_ENOMEM;
	struct fh_mapping *mapping;
	struct fh_bounce *bounce;

	/* Nothing is read for one who cannot have it. */
	if (fh_object_has(holder, FH_OBJECT_DETACHED))
		return fh_mapped_fail(ret, FH_EDEAD, FH_TX_DEVICE_ERROR);
	if ((fh_direct(region, place->range.flags) & direct) == direct &&
	    fh_attrs_permit(attrs, region)) {
		bounce = bounce_direct(place, flags, attrs);
	} else {
		code = bounce_judge(region, flags, attrs, &tx);
		if (code != FH_OK)
			return fh_mapped_fail(ret, code, tx);
		bounce = bounce_buffer(space, place, flags, attrs, holder, &code);
	}
	if (!bounce)
		return fh_mapped_fail(ret, code, FH_TX_DEVICE_ERROR);
	fh_object_hold(&region->object);
	mapping = bounce_pin(t, region, bounce, flags, holder, ret);
	fh_object_unhold(&region->object);
	return mapping;
}

struct fh_mapping *fh_bounce_map(struct fh_thread *t, struct fh_space *space, uint64_t addr,
				 uint64_t size, unsigned flags, struct fh_attrs attrs,
				 struct fh_object *holder, struct fh_mapped *ret)
{
	const unsigned direct = flags & (FH_MAP_READ | FH_MAP_WRITE);
	struct fh_mapping *mapping;
	struct place place;
	const enum fh_tx tx = place_find(t, space, addr, size, direct, attrs, &place);

	if (tx != FH_TX_OK)
		return fh_mapped_fail(ret, code_of_tx(tx), tx);
	mapping = map_place(t, space, &place, flags, attrs, holder, ret);
	place_leave(&place);
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
		if (!bounce->room) /* R5: it was written already */
			fh_dirty_mark_range(fh_region_of(target), bounce->offset, written);
		else
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
