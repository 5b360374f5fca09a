/* SPDX-License-Identifier: MIT */
/*
 * One step of a transfer: a stretch of memory, or a piece. See transfer.h.
 */
#include "memory/transfer.h"

#include <string.h>

#include "memory/dirty.h"
#include "memory/extras.h"
#include "memory/iommu.h"
#include "memory/ram.h"

static void transfer_advance(struct fh_transfer *transfer, uint64_t size, enum fh_tx tx)
{
	if (transfer->kind == FH_TRANSFER_READ)
		transfer->to += size;
	else if (transfer->kind == FH_TRANSFER_WRITE)
		transfer->from += size;
	transfer->left -= size;
	transfer->typed = false; /* R2: what follows is not the whole access */
	transfer->worst = fh_tx_worst(transfer->worst, tx);
}

void fh_transfer_fail(struct fh_transfer *transfer, uint64_t size, enum fh_tx tx)
{
	if (transfer->kind == FH_TRANSFER_READ)
		memset(transfer->to, 0, size);
	transfer_advance(transfer, size, tx);
}

static void transfer_memory(struct fh_transfer *transfer, struct fh_region *region,
			    uint64_t offset, uint64_t size)
{
	uint8_t *ptr = region->ram + offset;

	switch (transfer->kind) {
	case FH_TRANSFER_READ:
		fh_ram_read(transfer->to, ptr, size);
		break;
	case FH_TRANSFER_WRITE:
		fh_ram_write(ptr, transfer->from, size);
		break;
	case FH_TRANSFER_FILL:
		fh_ram_fill(ptr, transfer->byte, size);
		break;
	}
	/* Whatever the range says: it may have been found before logging began (pinned.c). */
	if (transfer->kind != FH_TRANSFER_READ)
		fh_dirty_mark_range(region, offset, size);
	transfer_advance(transfer, size, FH_TX_OK);
}

/* Memory of a device: exact accesses alone, the widest that are aligned. */
static void transfer_device(struct fh_transfer *transfer, const struct fh_region *region,
			    uint64_t offset, uint64_t size)
{
	uint8_t *ptr = region->ram + offset;
	uint64_t left = size;

	while (left > 0) {
		const unsigned piece = fh_device_piece(ptr, left);

		switch (transfer->kind) {
		case FH_TRANSFER_READ:
			fh_device_read(transfer->to, ptr, piece);
			break;
		case FH_TRANSFER_WRITE:
			fh_device_write(ptr, transfer->from, piece);
			break;
		case FH_TRANSFER_FILL:
			fh_ram_store(ptr, transfer->byte * UINT64_C(0x0101010101010101), piece);
			break;
		}
		transfer_advance(transfer, piece, FH_TX_OK);
		ptr += piece;
		left -= piece;
	}
	if (transfer->kind != FH_TRANSFER_READ)
		fh_dirty_mark_range(region, offset, size);
}

static void transfer_ram_device(struct fh_transfer *transfer, const struct fh_region *region,
				uint32_t range_flags, uint64_t offset, uint64_t size)
{
	if (!fh_attrs_permit(transfer->attrs, region))
		fh_transfer_fail(transfer, size, FH_TX_DENIED);
	else if (transfer->kind != FH_TRANSFER_READ && (range_flags & FH_RANGE_READONLY))
		transfer_advance(transfer, size, FH_TX_OK);
	else
		transfer_device(transfer, region, offset, size);
}

/* Writes to memory that a guest can only read. */
static void transfer_protected(struct fh_transfer *transfer, struct fh_region *region,
			       uint64_t offset, uint64_t size)
{
	if (transfer->attrs.debug && fh_ram_of(region)->backing.readonly)
		fh_transfer_fail(transfer, size, FH_TX_DENIED); /* by the host */
	else if (transfer->attrs.debug)
		transfer_memory(transfer, region, offset, size);
	else if (region->kind == FH_REGION_ROM && region->rom_write == FH_ROM_DECODE_ERROR)
		fh_transfer_fail(transfer, size, FH_TX_DECODE_ERROR);
	else
		transfer_advance(transfer, size, FH_TX_OK);
}

enum extras {
	EXTRAS_NONE,  /* go on */
	EXTRAS_DONE,  /* an eventfd was signalled */
	EXTRAS_AGAIN, /* the thread has left its section: look again */
};

/*
 * What a piece of a region with eventfds, or that asks for coalesced stores, has before its
 * callback.
 */
static FH_COLD enum extras transfer_extras(struct fh_transfer *transfer, struct fh_thread *t,
					      struct fh_region *region, uint32_t range_flags,
					      uint64_t offset, unsigned size)
{
	const uint64_t seen = t->left;
	uint64_t value = 0;

	if (transfer->attrs.debug || transfer->attrs.memory_only)
		return EXTRAS_NONE;
	if ((range_flags & FH_RANGE_FLUSH) && !transfer->flushed) {
		transfer->flushed = true;
		fh_coalesced_flush(t, region->object.machine);
		if (t->left != seen)
			return EXTRAS_AGAIN;
	}
	if (transfer->kind == FH_TRANSFER_READ || !(range_flags & FH_RANGE_EVENTFD))
		return EXTRAS_NONE;
	if (transfer->kind == FH_TRANSFER_WRITE)
		memcpy(&value, transfer->from, size);
	else
		memset(&value, transfer->byte, size);
	if (region->big_endian)
		value = fh_swap(value, size);
	if (!fh_eventfd_signal(region, offset, size, value))
		return EXTRAS_NONE;
	transfer_advance(transfer, size, FH_TX_OK);
	return EXTRAS_DONE;
}

/* True if it was done, false to look again. */
static bool transfer_piece(struct fh_transfer *transfer, struct fh_thread *t,
			   struct fh_region *region, uint64_t offset, unsigned size)
{
	uint8_t bytes[8];
	const struct fh_piece piece = {
		.region = region,
		.offset = offset,
		.size = size,
		.write = transfer->kind != FH_TRANSFER_READ,
		.attrs = transfer->attrs,
		.bytes = bytes,
	};
	bool again;
	enum fh_tx tx;

	if (transfer->kind == FH_TRANSFER_WRITE)
		memcpy(bytes, transfer->from, size);
	else
		memset(bytes, transfer->byte, size);
	tx = fh_dispatch(t, &piece, &again);
	if (again)
		return false;
	if (transfer->kind == FH_TRANSFER_READ)
		memcpy(transfer->to, bytes, size);
	transfer_advance(transfer, size, tx);
	return true;
}

uint64_t fh_transfer_part(struct fh_transfer *transfer, struct fh_thread *t,
			  struct fh_region *region, uint32_t range_flags, uint64_t offset,
			  uint64_t size)
{
	const unsigned direct = fh_direct(region, range_flags);
	const bool write = transfer->kind != FH_TRANSFER_READ;

	if (region->kind == FH_REGION_ROM_DEVICE && !fh_attrs_permit(transfer->attrs, region)) {
		fh_transfer_fail(transfer, size, FH_TX_DENIED);
	} else if (region->kind == FH_REGION_RAM_DEVICE) {
		transfer_ram_device(transfer, region, range_flags, offset, size);
	} else if (direct & (write ? FH_DIRECT_WRITE : FH_DIRECT_READ)) {
		transfer_memory(transfer, region, offset, size);
	} else if (direct && !fh_region_has_callbacks(region)) {
		transfer_protected(transfer, region, offset, size);
	} else if (fh_region_has_callbacks(region)) {
		const bool whole =
			transfer->typed && size == transfer->left && fh_size_is_whole(size);
		const unsigned piece =
			whole ? (unsigned)size : fh_piece_size(region, offset, size);

		if (FH_UNLIKELY(range_flags & FH_RANGE_EXTRAS)) {
			switch (transfer_extras(transfer, t, region, range_flags, offset, piece)) {
			case EXTRAS_DONE:
				return piece;
			case EXTRAS_AGAIN:
				return 0;
			case EXTRAS_NONE:
				break;
			}
		}
		return transfer_piece(transfer, t, region, offset, piece) ? piece : 0;
	} else if (region->kind == FH_REGION_IOMMU) {
		return fh_iommu_part(transfer, t, region, offset, size);
	} else {
		fh_transfer_fail(transfer, size, FH_TX_DECODE_ERROR); /* a reservation */
	}
	return size;
}
