/* SPDX-License-Identifier: MIT */
/*
 * Sections that outlive the read section in which they were found.
 *
 * R1. A pinned section is a pin of its region (L4), which keeps what the range looked like when
 *     it was found: where in the region it begins, how long it is, how the region showed. The
 *     handle is the pin itself.
 * R2. It passes the map by, so it looks at the shown bit of the region's owner itself, inside the
 *     read section in which it accesses (L6), and again whenever that section was left in
 *     between.
 * R3. The pin may be ended at any moment by the dispose of its holder. The region that it named
 *     then stays as long as the read section, as it was published (L1), or is pinned by its
 *     callback's frame.
 * R4. An IOMMU that has been disposed of translates nothing more, as if it had been looked up: its
 *     invalidations wait for nobody (iommu.h, R5), and an access that it asks to begin again would
 *     find it as it was.
 */
#include "memory/chain.h"
#include "memory/extras.h"
#include "memory/lookaside.h"
#include "memory/space.h"
#include "memory/transfer.h"

/* What fh_pin.aux holds. */
enum {
	AUX_OFFSET, /* in the region, where the section begins */
	AUX_MOST,   /* bytes of the section, less one */
	AUX_FLAGS,  /* of the range */
};

struct fh_pinned *fh_space_find(struct fh_space *space, uint64_t addr, uint64_t size, FH_ANY holder,
				struct fh_section *ret)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_pin *pin = NULL;
	struct fh_view_hit hit;

	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	if (size != 0 && fh_view_find(fh_space_view(space), addr, &hit)) {
		struct fh_range range = fh_view_hit_range(hit);

		range.offset += addr - range.first;
		range.first = addr;
		if (range.last - addr > fh_size_last(size))
			range.last = addr + fh_size_last(size);
		FH_POINT("lookup.found");
		pin = fh_pin_take(&range.region->object, fh_object_of(holder), "section",
				  NULL);
		if (pin) {
			pin->aux[AUX_OFFSET] = range.offset;
			pin->aux[AUX_MOST] = range.last - range.first;
			pin->aux[AUX_FLAGS] = range.flags;
			fh_section_from_range(ret, &range);
		}
	}
	fh_rcu_read_end(t);
	return (struct fh_pinned *)pin;
}

/* The region, if it may be accessed: R2 to R4. In a read section. */
static struct fh_region *pinned_region(struct fh_pin *pin)
{
	struct fh_object *target = fh_pin_target(pin);

	struct fh_region *region = target ? fh_region_of(target) : NULL;

	if (!region || !fh_object_is_shown(region->owner))
		return NULL;
	if (region->kind == FH_REGION_IOMMU && fh_object_has(target, FH_OBJECT_DETACHED))
		return NULL; /* R4 */
	return region;
}

static enum fh_tx pinned_run(struct fh_pinned *pinned, uint64_t offset,
			     struct fh_transfer *transfer)
{
	struct fh_pin *pin = (struct fh_pin *)pinned;
	struct fh_thread *t = fh_thread_self();
	struct fh_region *region;
	uint64_t seen;

	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	region = pinned_region(pin);
	seen = t->left;
	while (transfer->left > 0) {
		if (FH_UNLIKELY(seen != t->left)) {
			region = pinned_region(pin);
			seen = t->left;
		}
		if (!region || offset > pin->aux[AUX_MOST]) {
			fh_transfer_fail(transfer, transfer->left, FH_TX_DECODE_ERROR);
			break;
		}
		const uint64_t most = pin->aux[AUX_MOST] - offset;
		const uint64_t size = transfer->left - 1 > most ? most + 1 : transfer->left;

		const uint32_t flags =
			fh_extras_flags_now(region, (uint32_t)pin->aux[AUX_FLAGS]);

		offset += fh_transfer_part(transfer, t, region, flags,
					   pin->aux[AUX_OFFSET] + offset, size);
		FH_POINT("access.between");
	}
	fh_chain_settle(t);
	fh_rcu_read_end(t);
	return transfer->worst;
}

enum fh_tx fh_pinned_read(struct fh_pinned *pinned, uint64_t offset, void *buffer, uint64_t size,
			  struct fh_attrs attrs)
{
	return pinned_run(pinned, offset, &(struct fh_transfer){ .kind = FH_TRANSFER_READ,
								 .attrs = attrs,
								 .to = buffer,
								 .left = size });
}

enum fh_tx fh_pinned_write(struct fh_pinned *pinned, uint64_t offset, const void *buffer,
			   uint64_t size, struct fh_attrs attrs)
{
	return pinned_run(pinned, offset, &(struct fh_transfer){ .kind = FH_TRANSFER_WRITE,
								 .attrs = attrs,
								 .from = buffer,
								 .left = size });
}

struct fh_pinned *fh_pinned_unpin(struct fh_pinned *pinned)
{
	if (pinned)
		fh_pin_drop((struct fh_pin *)pinned);
	return NULL;
}
