/* SPDX-License-Identifier: MIT */
/*
 * Stores that somebody else deals with: eventfds that are signalled instead of a callback, and
 * coalesced ranges, where an accelerator may gather stores and bring them later.
 *
 * Both belong to a region with registers (mmio, ROM device) and go wherever it shows. Listeners are
 * told at which addresses of a space that is (struct fh_listener_ops); the library does the same
 * for every store that comes through it, whether a listener has taken it or not.
 */
#ifndef FREEHOLD_EVENTFD_H
#define FREEHOLD_EVENTFD_H

#include <freehold/region.h>

FH_BEGIN_DECLS

/* --- Eventfds ------------------------------------------------------------------------------- */

/** Which stores. */
struct fh_eventfd_match {
	uint64_t offset; /**< in the region: exactly there */
	unsigned size;	 /**< 1, 2, 4 or 8 bytes; 0: of any size */
	bool match_data; /**< only of `data` */
	uint64_t data;	 /**< the integer as the device sees it; else 0 */
};

/**
 * Signal @fd at stores to @region that @match describes, instead of calling its callback: the
 * store of a guest or device, or that part of a longer one which the region gets as one (region.h,
 * `valid`). The region's `valid` and `accepts` are not asked; the result is FH_TX_OK. Accesses with
 * attrs.debug go to the callback, those with attrs.memory_only are denied. Of several that
 * match, the most specific one alone is signalled: first those that compare data, of
 * these first the one with a size; then the one with a size; then the one of any size.
 *
 * The result is an object in the name of @owner (borrowed from it; with a struct fh_machine *,
 * owned by caller), which dies with its owner; when the region is disposed of it does nothing any
 * more.
 * @fd is duplicated: the caller may close it at once. It should be an eventfd and not be able to
 * block; adding 1 to it is all that is done, and what cannot be added is lost. The duplicate is
 * closed a grace period after the end of the object.
 *
 * Takes effect when the outermost transaction commits, several of one region at once.
 * Context: as the edits of region.h.
 * Errors (NULL): FH_EDEAD owner or region is detached, or the region is NULL; FH_ETYPE it has no
 * registers; FH_EINVAL the size is none, the data do not fit into it, @fd is no descriptor;
 * FH_ERANGE it is not all inside the region, as large as that is now; FH_EEXIST the region has one
 * with that match; FH_ELIMIT the host has no more descriptors; FH_EPERM in a listener.
 */
FH_API struct fh_eventfd *fh_eventfd_new(FH_ANY owner, struct fh_region *region,
					 const struct fh_eventfd_match *match, int fd,
					 struct fh_error *err);

/**
 * As fh_object_dispose(): from the commit on stores that begin go to the callback, and those that
 * began before it have signalled when a grace period has passed. NULL is allowed. Returns NULL.
 */
FH_API struct fh_eventfd *fh_eventfd_destroy(struct fh_eventfd *eventfd);

/* --- Coalesced ranges ----------------------------------------------------------------------- */

/*
 * In a coalesced range nobody needs to know of a store before the device is asked for something
 * else. An accelerator that is told of one (coalesced_add) may keep the stores that a guest makes
 * there, and bring them, in their order, when coalesced_flush asks for them. A store that comes
 * through the library is never kept: there is no cost that this would save.
 *
 * So that all stores arrive in their order as far as anybody can tell, all listeners of the machine
 * that have coalesced_flush are asked to bring what they keep
 * - before any access through the library to registers of a device that has coalesced ranges: of
 *   all regions with the same owner, whichever of them has the ranges;
 * - before any access to a region that is marked with fh_region_set_flush_coalesced(). A device
 *   marks so what depends on coalesced ranges of another;
 * - before the state of devices is saved or restored, and before a reset;
 * - by fh_machine_flush_coalesced().
 * Not before accesses with attrs.debug or attrs.memory_only, and reads of a ROM device in ROM mode.
 *
 * What was kept when a range moves or goes is for the listener to find a place for, or not: who
 * moves or removes a region with coalesced ranges asks for it first.
 */

/**
 * Bytes @offset..@offset + @size - 1 of @region may be coalesced, from the commit on. Ranges that
 * overlap or touch become one. Context: as the edits of region.h.
 * Errors: FH_EDEAD the region is NULL or detached; FH_ETYPE it has no registers; FH_EINVAL @size
 * is 0; FH_ERANGE it is not all inside the region; FH_EPERM in a listener.
 */
FH_API enum fh_code fh_region_add_coalesced(struct fh_region *region, uint64_t offset,
					    uint64_t size);
/**
 * No byte of it may be, from the commit on. Before that, what was kept is asked for, unless the
 * caller is in a transaction. FH_EDEAD, FH_EPERM.
 */
FH_API enum fh_code fh_region_clear_coalesced(struct fh_region *region);
/** Ask for what was coalesced before each access to @region. FH_EDEAD, FH_ETYPE, FH_EPERM. */
FH_API enum fh_code fh_region_set_flush_coalesced(struct fh_region *region, bool flush);

/**
 * Have what was coalesced brought, by all listeners of the machine: for a device that looks at it
 * without an access to its registers, in a timer that draws a picture, or when an eventfd has been
 * signalled that a host's kernel may have signalled by itself. Costs a load if there is nobody to
 * ask. Context: as fh_space_store(). Within coalesced_flush: nothing.
 */
FH_API void fh_machine_flush_coalesced(struct fh_machine *m);

FH_END_DECLS

#endif
