/* SPDX-License-Identifier: MIT */
/*
 * IOMMU regions: translated accesses, and what has to be over before an old translation is.
 *
 * R1. Translations are asked for anew by each part of an access and kept by nobody here, so that an
 *     invalidation has nothing to flush: an access that was translated before it ends with its read
 *     section, and a grace period is the proof that there is none left. (Cached windows compare
 *     `begun` in the section of each access: cached-way.c.)
 * R2. What outlives a section, a mapping, is entered as a use of each IOMMU on its way, inside the
 *     section in which it was translated. It carries the number of invalidations that had begun
 *     before it was translated. So after the grace period of an invalidation all uses are known
 *     that it has to wait for: those with a smaller number than its own that overlap with it.
 * R3. `lock` guards what is marked N. Notifiers are called under it, as leaves (FH_HELD_LISTENER).
 *     Which IOMMU a notifier belongs to changes only under the topology lock as well.
 * R4. A wait pins its IOMMU until it has called `done`; a use pins it until it has ended.
 * R5. A translation may leave the read section, and grace periods pass meanwhile. Who goes through
 *     IOMMUs is in the frames of all of them until it has arrived: that pins them. Then it
 *     looks whether one of them has invalidated anything, or has gone, since it was asked; if so it
 *     starts again. So what a use was made by is never older than it says, nor younger: a mapping
 *     that was translated anew holds up no invalidation that began before.
 */
#ifndef MEMORY_IOMMU_H
#define MEMORY_IOMMU_H

#include "base/lock.h"
#include "freehold/iommu.h"
#include "memory/region.h"
#include "memory/transfer.h"
#include "memory/view.h"

struct fh_iommu {
	struct fh_region region;
	const struct fh_iommu_ops *ops; /* C */
	unsigned indexes;		/* C: at least 1 */
	_Atomic uint64_t begun;		/* invalidations so far */
	struct fh_lock lock;
	struct fh_list notifiers; /* N: fh_iommu_notifier.link */
	struct fh_list uses;	  /* N: fh_iommu_use.link */
	struct fh_list waits;	  /* N: fh_iommu_wait.link: whose grace period is over */
};

/* An IOMMU on the way of an access. */
struct fh_hop {
	struct fh_iommu *iommu;
	unsigned index;
	uint64_t first, last; /* in the IOMMU's region */
	uint64_t begun;	      /* R2: invalidations that had begun before it translated */
	/* The leaf of what it leads to, and its generation, which may be FH_VIEW_NEVER. */
	const struct fh_view_leaf *leaf;
	uint64_t generation;
};

/* Where an access that begins in an IOMMU ends up. */
struct fh_trail {
	struct fh_range range; /* of what is there: first is the address asked for */
	uint64_t size;	       /* bytes that all translations hold for */
	uint64_t before, after; /* the same without regard to what was asked: around the first byte */
	unsigned permissions; /* that all translations give */
	unsigned hops;
	struct fh_hop hop[FH_IOMMU_HOPS];
	unsigned entered;     /* frames of the chain that it is in: R5 */
	struct fh_frame frame[FH_IOMMU_HOPS];
	uint64_t seen;	      /* t->left when it began */
};

/*
 * Follow what lies at @offset of the IOMMU @region, for @size bytes at most. FH_TX_OK and *ret; or
 * why not, and ret->size, for how many bytes. In a read section, to whose end it is valid. In any
 * case fh_iommu_arrive() is next.
 */
enum fh_tx fh_iommu_follow(struct fh_thread *t, struct fh_region *region, uint64_t offset,
			   uint64_t size, unsigned access, struct fh_attrs attrs,
			   struct fh_trail *ret);

/*
 * Leave the IOMMUs on the way; in the same read section, or one that follow resumed. False: the way
 * was no longer good when its end was found, as R5 says. Begin again, with the lookup of the first.
 */
bool fh_iommu_arrive(struct fh_thread *t, struct fh_trail *trail);

/* A mapping that was made through an IOMMU. */
struct fh_iommu_use {
	struct fh_list link; /* N */
	struct fh_hop hop;
};

/* Enter it: before fh_iommu_arrive(). */
void fh_iommu_use_begin(struct fh_iommu_use *use, const struct fh_hop *hop);
/* It is over. Calls what waited for it. From anywhere. */
void fh_iommu_use_end(struct fh_iommu_use *use);

/* As fh_transfer_part(), for an IOMMU. */
uint64_t fh_iommu_part(struct fh_transfer *transfer, struct fh_thread *t, struct fh_region *region,
		       uint64_t offset, uint64_t size);

void fh_iommu_init(struct fh_iommu *iommu, const struct fh_iommu_ops *ops);
/* Notifiers are told for the last time. Topology lock held. */
void fh_iommu_detach(struct fh_iommu *iommu);

static inline struct fh_iommu *fh_iommu_of(struct fh_region *region)
{
	fh_assert(region->kind == FH_REGION_IOMMU);
	return (struct fh_iommu *)region;
}

#endif
