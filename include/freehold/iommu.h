/* SPDX-License-Identifier: MIT */
/*
 * IOMMUs: regions whose accesses are translated, each to a place in another address space.
 *
 * A translation holds for as long as the device that makes it says so. When it changes its mind it
 * calls fh_iommu_invalidate(): notifiers are told at once, and when no access, and no mapping made
 * through the IOMMU, uses an older translation any more, it is told in turn, and only then tells
 * the guest that the invalidation is complete.
 */
#ifndef FREEHOLD_IOMMU_H
#define FREEHOLD_IOMMU_H

#include <freehold/region.h>
#include <freehold/space.h>

FH_BEGIN_DECLS

/** What an access does, and what a translation permits. */
enum { FH_IOMMU_READ = 1, FH_IOMMU_WRITE = 2 };

/** Where a range of an IOMMU's own addresses leads. */
struct fh_translation {
	uint64_t first; /**< in the IOMMU's region */
	uint64_t last;
	struct fh_space *space; /**< borrowed from the read section; NULL: nowhere (decode error) */
	uint64_t addr;		/**< there, of `first` */
	unsigned permissions;	/**< of FH_IOMMU_READ and WRITE; what is not there is FH_TX_DENIED */
};

/** The callbacks of an IOMMU. */
struct fh_iommu_ops {
	/**
	 * Translate an access (of FH_IOMMU_READ or WRITE; 0: whatever there is) at @addr of the
	 * region, made by the requester that stands for @index. FH_TX_OK and the range around @addr
	 * for which that holds, in *ret; or the result that the access has, and then optionally in
	 * ret->first and last, which are @addr before, the range for which it is so.
	 * Context: in a read section, in no domain, on any number of threads at the same time: as a
	 * callback of the owner, which may access memory (page tables), also through other IOMMUs,
	 * but neither edits nor waits for what needs a domain. It loads its tables after it was
	 * called and returns what it loaded. Where it has blocked, and an IOMMU on the way of the
	 * access has invalidated anything meanwhile, all of them are asked once more. With
	 * attrs.debug it has no side effects.
	 */
	enum fh_tx (*translate)(void *state, uint64_t addr, unsigned access, unsigned index,
				struct fh_attrs attrs, struct fh_translation *ret);
	/**
	 * Optional: the index that attributes stand for, below `indexes`. Context: as translate.
	 */
	unsigned (*index_of)(void *state, struct fh_attrs attrs);
	/** How many independent sets of translations there are; 0: 1. */
	unsigned indexes;
	/**
	 * Optional: notifiers of these kinds (FH_IOMMU_MAP, UNMAP) now exist for @index; 0: none
	 * any more. Context: as the callbacks of notifiers.
	 */
	void (*notifiers_changed)(void *state, unsigned index, unsigned kinds);
	/**
	 * Optional: called once when the region is finalized; releases @state. Context: finalize.
	 */
	void (*release)(void *state);
};

/**
 * An IOMMU of @size bytes. @ops and @state (both borrowed) must stay valid until the region is
 * finalized; see ops->release. The state of the owner does. Else as fh_region_new_container().
 *
 * Accesses go where translate leads, part by part, with the attributes that they have; translations
 * may lead to other IOMMUs, FH_IOMMU_HOPS of them in all: what leads further, or in a circle, is a
 * decode error, as is what a translation has beyond the top of a space. fh_space_lookup() and
 * listeners see the region itself. That it is read-only where it shows says nothing of what lies
 * behind: permissions do.
 */
FH_API struct fh_region *fh_region_new_iommu(FH_ANY owner, const char *name, uint64_t size,
					     const struct fh_iommu_ops *ops, void *state);

#define FH_IOMMU_HOPS 8 /**< IOMMUs behind each other, at most */

/* --- Changes ---------------------------------------------------------------------------------- */

#define FH_IOMMU_ALL_INDEXES UINT32_MAX /**< as an index: all of them */

/**
 * Translations of @index (FH_IOMMU_ALL_INDEXES: of all) for @first to @last are no longer what they
 * were; those that the IOMMU gives from now on are new. Tells notifiers that they are unmapped,
 * before this returns. Without this a cached window (cached.h) may go on with what it was told for
 * the same kind of access; what was refused is asked for again each time.
 * @done(state) (NULL: nothing) is called once, when no access uses an old translation any more and
 * all mappings (fh_space_map()) that were made by one are unmapped; it may be called before this
 * returns, and also when the owner has been hidden meanwhile.
 * Context of @done: any thread, also a library's, under no lock that matters to the caller, but
 * neither accesses nor waits: it passes the message on, with fh_bh_schedule().
 * Context: any, callbacks included; not in a transaction, a listener or a notifier (asserted).
 * NULL or an IOMMU that has been disposed of: only @done is called.
 */
FH_API void fh_iommu_invalidate(struct fh_region *iommu, unsigned index, uint64_t first,
				uint64_t last, void (*done)(void *state), void *state);

/* --- Notifiers -------------------------------------------------------------------------------- */

enum { FH_IOMMU_MAP = 1, FH_IOMMU_UNMAP = 2 };

/** What a notifier is told. Borrowed for the call. */
struct fh_iommu_event {
	unsigned kind; /**< FH_IOMMU_MAP or UNMAP */
	unsigned index;
	struct fh_translation translation; /**< clipped to the notifier's range; of an UNMAP only
						first and last */
};

/**
 * Be told of translations that come and go, as who shadows them needs it. In the name of @owner
 * (borrowed; with a struct fh_machine *, owned by caller), for @first to @last of @index
 * (FH_IOMMU_ALL_INDEXES: of all), and events of the @kinds given. @notify and @state (borrowed; the
 * owner's state is fine) stay until the notifier or the IOMMU is gone; when the IOMMU is disposed
 * of, notifiers of UNMAP are told once more, of all.
 * Context of @notify: a leaf, one at a time for each IOMMU, with whatever the notifying thread
 * holds: it takes no domain, does not access, edit, dispose, wait or block.
 * Returns NULL if owner or IOMMU have been detached, or @index is none.
 */
FH_API struct fh_iommu_notifier *
fh_iommu_notifier_new(FH_ANY owner, struct fh_region *iommu, unsigned index, uint64_t first,
		      uint64_t last, unsigned kinds,
		      void (*notify)(void *state, const struct fh_iommu_event *event), void *state);
/** As fh_object_dispose(): afterwards it is told nothing more. NULL is allowed. Returns NULL. */
FH_API struct fh_iommu_notifier *fh_iommu_notifier_destroy(struct fh_iommu_notifier *notifier);

/**
 * Tell the notifiers of @index of a translation that is new (which need not be told where nobody
 * asks for it, see ops->notifiers_changed). To change one, invalidate first. Context: as
 * fh_iommu_invalidate().
 */
FH_API void fh_iommu_notify_map(struct fh_region *iommu, unsigned index,
				const struct fh_translation *translation);

/**
 * Tell the notifier of all translations that there are in its range, as maps, by asking for one
 * after the other, in the domain of the IOMMU's device, for which this waits: so none comes or goes
 * meanwhile that the device announces in its callbacks. Translations that fail are skipped by the
 * range that translate returned for them.
 * Errors: FH_EDEAD one of them is NULL, detached or hidden; FH_EBUSY the domain could only be
 * entered again, or the wait would close a circle. Context: as fh_device_call().
 */
FH_API enum fh_code fh_iommu_replay(struct fh_iommu_notifier *notifier);

FH_END_DECLS

#endif
