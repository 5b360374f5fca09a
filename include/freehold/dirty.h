/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging: which pages of a region's memory have been written since somebody last asked.
 *
 * Several clients log the same memory, each with a bitmap of its own: what one takes, the others
 * still find. A page is 4 KiB of the region, from its offset 0 on. Pages are clean when logging
 * starts: who wants the contents copies them after that.
 *
 * Every write that the library makes marks its pages, after the write: stores, bulk writes and
 * fills, debug accesses to ROM, pinned sections, CPUs. Who writes through a host pointer
 * (fh_region_ram()) marks them itself, fh_dirty_mark().
 *
 * No write is lost. When a bit has been taken (by a snapshot, or test-and-clear) and the function
 * has returned, the caller who reads the page sees every write that left no new bit. A page may be
 * found dirty of which the contents were seen already.
 *
 * Any region with host memory can be logged (RAM, ROM, ROM device); of the others the functions say
 * FH_ETYPE or find nothing.
 */
#ifndef FREEHOLD_DIRTY_H
#define FREEHOLD_DIRTY_H

#include <freehold/region.h>

FH_BEGIN_DECLS

/** Who logs. The bit of a client in a mask is 1 << client. */
enum fh_dirty_client {
	FH_DIRTY_DISPLAY,   /**< what a display adapter has to draw anew */
	FH_DIRTY_MIGRATION, /**< what has to be sent or saved once more */
	FH_DIRTY_CODE,	    /**< what was decoded or translated */
	FH_DIRTY_USER0,	    /**< these are the embedder's */
	FH_DIRTY_USER1,
	FH_DIRTY_USER2,
	FH_DIRTY_USER3,
	FH_DIRTY_USER4,
};

#define FH_DIRTY_CLIENTS 8    /* how many there are */
#define FH_DIRTY_PAGE	 4096 /* bytes */

/* --- Starting and stopping ------------------------------------------------------------------ */

/**
 * Log the writes to @region for @client. One that logs it already: FH_OK, and nothing happens.
 * Listeners are told (log_start) when the outermost transaction commits.
 *
 * Where the caller may wait, it waits for a grace period: from the return on every write marks its
 * pages. In a callback, a read section or a transaction it returns at once, and that holds from
 * some later moment on; see fh_dirty_is_complete(). Context: as the edits of region.h.
 * Errors: FH_EDEAD @region is NULL or has been detached; FH_ETYPE it has no memory; FH_ENOMEM no
 * room for the bitmap (1/32768 of the region's size); FH_EPERM in a listener.
 */
FH_API enum fh_code fh_dirty_start(struct fh_region *region, enum fh_dirty_client client,
				   struct fh_error *err);

/**
 * End it, unless the machine logs everything for @client. What was not taken is forgotten. Without
 * a start, or NULL, nothing happens. Does not wait. Context: as the edits of region.h,
 * and not in a listener (asserted).
 */
FH_API void fh_dirty_stop(struct fh_region *region, enum fh_dirty_client client);

/**
 * Log all memory of the machine for @client: each region that has memory, whether it is mapped or
 * not, and each that comes later (whose constructor then may fail with FH_ENOMEM for its bitmap).
 * Regions that the client logs already go on as they are. One that is on already: FH_OK. FH_ENOMEM:
 * no room for all bitmaps, nothing changed. FH_EPERM in a listener. Waits, and context, as
 * fh_dirty_start().
 */
FH_API enum fh_code fh_dirty_global_start(struct fh_machine *m, enum fh_dirty_client client,
					  struct fh_error *err);

/** End it, but for regions that fh_dirty_start() was called for. Else as fh_dirty_stop(). */
FH_API void fh_dirty_global_stop(struct fh_machine *m, enum fh_dirty_client client);

/** The mask of the clients that log @region at this moment. Any context. */
FH_API unsigned fh_dirty_clients(struct fh_region *region);

/**
 * @client logs @region, and every write that begins from now on marks its pages: a grace period has
 * passed since it was started. Any context.
 */
FH_API bool fh_dirty_is_complete(struct fh_region *region, enum fh_dirty_client client);

/* --- Marking -------------------------------------------------------------------------------- */

/**
 * The bytes @offset..@offset + @size - 1 of @region were written, without the library: called after
 * the write, by whoever keeps @region in memory. Marks all their pages for all clients. What lies
 * beyond the region's memory, or size 0, marks nothing. Any context, listeners included.
 */
FH_API void fh_dirty_mark(struct fh_region *region, uint64_t offset, uint64_t size);

/* --- Asking --------------------------------------------------------------------------------- */

/*
 * All of these concern the pages that have a byte in @offset..@offset + @size - 1. Those that take
 * bits ask the listeners of spaces that show the region first (log_sync), and tell them afterwards
 * (log_clear), if there are any with such callbacks; then that takes the topology lock and goes
 * through those spaces' views. Any thread, several at once: each bit goes to one of them. Context:
 * not in a listener or an interrupt input (asserted); @region is kept by the caller.
 */

/** Any of the pages is dirty. Takes nothing, asks no listener. Any context. */
FH_API bool fh_dirty_test(struct fh_region *region, enum fh_dirty_client client, uint64_t offset,
			  uint64_t size);

/** Any of the pages was dirty; now they are clean. */
FH_API bool fh_dirty_test_and_clear(struct fh_region *region, enum fh_dirty_client client,
				    uint64_t offset, uint64_t size);

struct fh_dirty_snapshot; /**< which pages were dirty at one moment */

/**
 * Take the bits of @client (snapshot, and clear): the pages are clean, and the result (owned by
 * caller) says which of them were dirty. It has nothing of the region, which may die before it.
 * Errors (NULL, nothing taken): FH_ENOENT the client does not log the region; FH_EINVAL there is
 * no byte of the region's memory in the range; FH_ENOMEM.
 */
FH_API struct fh_dirty_snapshot *fh_dirty_snapshot_take(struct fh_region *region,
							enum fh_dirty_client client,
							uint64_t offset, uint64_t size,
							struct fh_error *err);

/** (consumed.) NULL is allowed. Returns NULL. */
FH_API struct fh_dirty_snapshot *fh_dirty_snapshot_free(struct fh_dirty_snapshot *snapshot);

/** How many pages were dirty. */
FH_API uint64_t fh_dirty_snapshot_pages(const struct fh_dirty_snapshot *snapshot);

/**
 * Any page that has a byte in @offset..@offset + @size - 1 of the region was dirty. What the
 * snapshot does not cover was not.
 */
FH_API bool fh_dirty_snapshot_test(const struct fh_dirty_snapshot *snapshot, uint64_t offset,
				   uint64_t size);

/**
 * Call @visit for each run of dirty pages, in rising order, until it returns false: @offset in the
 * region, and bytes. Runs are of whole pages, but for one that the end of the region's memory cuts.
 */
FH_API void fh_dirty_snapshot_each(const struct fh_dirty_snapshot *snapshot,
				   bool (*visit)(uint64_t offset, uint64_t size, void *arg),
				   void *arg);

FH_END_DECLS

#endif
