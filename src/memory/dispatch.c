/* SPDX-License-Identifier: MIT */
/*
 * From a piece to the callbacks of a region and back. See dispatch.h for R1 to R4.
 */
#include "memory/dispatch.h"

#include <string.h>

#include "memory/ram.h"

/* The greatest power of two that is at most n; n is not 0. */
static uint64_t power_below(uint64_t n)
{
	return UINT64_C(1) << (63 - __builtin_clzll(n));
}

/* The greatest power of two that divides offset, and more than any size for 0. */
static uint64_t alignment_of(uint64_t offset)
{
	return offset ? offset & -offset : UINT64_C(1) << 63;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t greatest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

unsigned fh_piece_size(const struct fh_region *region, uint64_t offset, uint64_t left)
{
	const uint64_t size = least(power_below(least(left, region->valid_max)),
				    alignment_of(offset));

	if (size < region->valid_min && left >= region->valid_min && region->ops->valid.unaligned)
		return region->valid_min;
	return (unsigned)size;
}

static bool is_valid(const struct fh_piece *piece)
{
	const struct fh_region *region = piece->region;

	return piece->size >= region->valid_min && piece->size <= region->valid_max &&
	       (region->ops->valid.unaligned || (piece->offset & (piece->size - 1)) == 0) &&
	       (piece->write ? region->ops->write != NULL : region->ops->read != NULL);
}

unsigned fh_region_simple_sizes(const struct fh_region *region, bool write)
{
	const unsigned wholes = 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8;
	const uint64_t min = greatest(region->valid_min, region->impl_min);
	const uint64_t max = least(region->valid_max, region->impl_max);

	if (!fh_region_has_callbacks(region) || region->big_endian || region->ops->accepts ||
	    !(write ? region->ops->write != NULL : region->ops->read != NULL))
		return 0;
	return wholes & ((2u << max) - 1) & ~((1u << min) - 1);
}

/* --- Units ---------------------------------------------------------------------------------- */

/* Value of a register from its bytes, or the other way round: R1. */
static uint64_t value_of_bytes(const struct fh_region *region, const uint8_t *bytes, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, bytes, size);
	return region->big_endian ? fh_swap(value, size) : value;
}

static void bytes_of_value(const struct fh_region *region, uint8_t *bytes, uint64_t value,
			   unsigned size)
{
	if (region->big_endian)
		value = fh_swap(size < 8 ? value & ((UINT64_C(1) << 8 * size) - 1) : value, size);
	memcpy(bytes, &value, size);
}

/* Bytes at offset of a register, which the callback reads whole. */
static enum fh_tx unit_read(const struct fh_piece *piece, uint64_t offset, uint8_t *bytes,
			    unsigned size)
{
	const struct fh_region *region = piece->region;
	uint64_t value = 0;
	const enum fh_tx tx =
		region->ops->read(region->state, offset, &value, size, piece->attrs);

	bytes_of_value(region, bytes, tx == FH_TX_OK ? value : 0, size);
	return tx;
}

static enum fh_tx unit_write(const struct fh_piece *piece, uint64_t offset, const uint8_t *bytes,
			     unsigned size)
{
	const struct fh_region *region = piece->region;

	return region->ops->write(region->state, offset, value_of_bytes(region, bytes, size), size,
				  piece->attrs);
}

/* `count` bytes from `skip` on of the register at offset, which is wider than they are. */
static enum fh_tx unit_widened(const struct fh_piece *piece, uint64_t offset, unsigned skip,
			       uint8_t *bytes, unsigned count)
{
	const struct fh_region *region = piece->region;
	const unsigned size = region->impl_min;
	uint8_t whole[8];
	enum fh_tx tx;

	if (piece->write && !(region->ops->read_modify_write && region->ops->read))
		return FH_TX_DEVICE_ERROR; /* neighbours are never overwritten */
	tx = unit_read(piece, offset, whole, size);
	if (!piece->write) {
		memcpy(bytes, whole + skip, count);
		return tx;
	}
	if (tx != FH_TX_OK)
		return tx;
	memcpy(whole + skip, bytes, count);
	return unit_write(piece, offset, whole, size);
}

/* R3 and R4. */
static enum fh_tx do_units(const struct fh_piece *piece)
{
	const struct fh_region *region = piece->region;
	enum fh_tx worst = FH_TX_OK;
	unsigned count;

	for (unsigned done = 0; done < piece->size; done += count) {
		const uint64_t offset = piece->offset + done;
		const unsigned left = piece->size - done;
		uint8_t *bytes = piece->bytes + done;
		enum fh_tx tx;

		count = (unsigned)power_below(least(left, region->impl_max));
		if (!region->ops->impl.unaligned)
			count = (unsigned)least(count, alignment_of(offset));
		if (count < region->impl_min) {
			const unsigned skip = (unsigned)(offset & (region->impl_min - 1u));

			count = (unsigned)least(left, region->impl_min - skip);
			tx = unit_widened(piece, offset - skip, skip, bytes, count);
		} else {
			tx = piece->write ? unit_write(piece, offset, bytes, count) :
					    unit_read(piece, offset, bytes, count);
		}
		worst = fh_tx_worst(worst, tx);
	}
	return worst;
}

/* --- Pieces --------------------------------------------------------------------------------- */

static enum fh_tx do_piece(const struct fh_piece *piece)
{
	const struct fh_region_ops *ops = piece->region->ops;

	if (ops->accepts && !ops->accepts(piece->region->state, piece->offset, piece->size,
					  piece->write, piece->attrs))
		return FH_TX_DECODE_ERROR;
	return do_units(piece);
}

enum fh_tx fh_dispatch(struct fh_thread *t, const struct fh_piece *piece, bool *ret_again)
{
	struct fh_region *region = piece->region;
	struct fh_frame frame;
	enum fh_engage engage;
	enum fh_tx tx;

	*ret_again = false;
	if (!piece->write)
		memset(piece->bytes, 0, piece->size);
	if (piece->attrs.memory_only)
		return FH_TX_DENIED;
	if (!is_valid(piece))
		return FH_TX_DECODE_ERROR;
	engage = fh_chain_enter(t, &frame, region->domain, region->owner, &region->object,
				region->ops->reentrant);
	if (FH_UNLIKELY(engage != FH_ENGAGED)) {
		*ret_again = engage == FH_AGAIN;
		return FH_TX_REENTRY;
	}
	tx = do_piece(piece);
	fh_chain_leave(t, &frame);
	return tx;
}
