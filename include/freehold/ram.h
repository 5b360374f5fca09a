/* SPDX-License-Identifier: MIT */
/*
 * The memory behind RAM and ROM regions: where it comes from, how large it may become, that it is
 * written back, and which parts of it are there at all.
 */
#ifndef FREEHOLD_RAM_H
#define FREEHOLD_RAM_H

#include <freehold/region.h>

FH_BEGIN_DECLS

/* --- Making it ------------------------------------------------------------------------------ */

/** Where the memory comes from. */
enum fh_ram_backing {
	FH_RAM_ANONYMOUS,  /**< the host's memory, zeroed */
	FH_RAM_MEMFD,	   /**< the same with a descriptor, sealed against every change of size */
	FH_RAM_FILE,	   /**< a file by its path */
	FH_RAM_DESCRIPTOR, /**< a file or memfd of the caller's */
	FH_RAM_POINTER,	   /**< memory of the caller's */
};

/** Huge pages of the host's (hugetlb). */
enum fh_ram_huge {
	FH_RAM_HUGE_NO,
	/**
	 * If the host has enough of them free; otherwise ordinary memory, which the host is asked
	 * to make of transparent huge pages. What came of it says fh_region_get_ram_info().
	 */
	FH_RAM_HUGE_WANTED,
	FH_RAM_HUGE_REQUIRED, /**< or the region is not made */
};

/** How memory is to be made. All zero: as fh_region_new_ram(), _rom() and _rom_device() do. */
struct fh_ram_options {
	enum fh_ram_backing backing;
	/**
	 * Writes reach the file, and whoever else maps the memory; otherwise they are the region's
	 * own. A memfd is always shared.
	 */
	bool shared;
	/**
	 * FILE, DESCRIPTOR: opened and mapped for reading only. RAM is read-only then and stays so
	 * (FH_EPERM); accesses with attrs.debug cannot write it either (FH_TX_DENIED).
	 */
	bool readonly;
	/**
	 * FILE: made if it is not there (mode 0600), and made longer if it is too short. Without
	 * it, and in a DESCRIPTOR, what is too short is an error.
	 */
	bool create;
	const char *path;  /**< FILE: borrowed for the call */
	int fd;		   /**< DESCRIPTOR: borrowed for the call: it is duplicated */
	uint64_t offset;   /**< FILE, DESCRIPTOR: of the memory in it; a multiple of its page size */
	void *ptr;	   /**< POINTER: as in fh_region_new_ram_ptr(), with the next two */
	void (*release)(void *arg);
	void *release_arg;

	/**
	 * The size that fh_region_resize() may give it at most; 0: the size it is made with. All of
	 * that is mapped from the start, so that pointers stay what they are.
	 */
	uint64_t max_size;
	/**
	 * Optional: the region has another size. Called by fh_region_resize(), before the guest
	 * sees it. Context: as a listener's callback (space.h): under the topology lock.
	 */
	void (*resized)(void *state, struct fh_region *region, uint64_t size);
	void *resized_state;

	enum fh_ram_huge huge; /**< ANONYMOUS, MEMFD */
	uint64_t page_size;    /**< of huge pages, a power of two; 0: the host's default */

	/**
	 * All of it (the maximum) is there before the constructor returns: later on the guest finds
	 * no page missing. A host that has not got it is FH_ENOMEM, and never a signal.
	 */
	bool preallocate;
	/**
	 * Optional: so many of @total bytes are there. False: stop, FH_ECANCELED. Context: the
	 * constructor's, under no lock of the library's.
	 */
	bool (*progress)(void *state, uint64_t done, uint64_t total);
	void *progress_state;

	bool merge;    /**< advice: the host may merge equal pages (MADV_MERGEABLE) */
	bool no_dump;  /**< advice: leave it out of core dumps (MADV_DONTDUMP) */
	bool nonvolatile; /**< as fh_region_set_nonvolatile(), from birth */

	/**
	 * Nothing is populated at first: see fh_region_populate(). Not with POINTER or preallocate,
	 * and not where discarding is FH_ENOTSUP.
	 */
	bool unpopulated;
	/**
	 * In what pieces parts come and go: a power of two; 0: the page size, which is the least.
	 */
	uint64_t granule;
};

/**
 * A RAM region of @size bytes with such memory (@options is borrowed for the call).
 * Errors (NULL), each in words:
 *   FH_EINVAL   a size of 0 (without a maximum) or 2^64, a maximum that is less, an offset or page
 *               size that does not fit, a file that is too short, options that exclude each other
 *   FH_ENOENT, FH_EPERM, FH_EIO  the file
 *   FH_ENOMEM   address space, memory, room on the file system, or huge pages that are free
 *   FH_ENOTSUP  the host knows no huge pages, or none of that size
 *   FH_ECANCELED  `progress` said so
 *   FH_EDEAD, FH_EEXIST, FH_EINVAL  owner and name, as for fh_region_new_ram()
 * What a failed call has opened or allocated is given back (but a file that was made stays, and
 * `release` is not called). A file must not be made shorter by others as long as the region is
 * there: the host would send a signal, SIGBUS, to who accesses it. Any thread; opens files and may
 * take long: neither in a callback nor in a transaction, if that matters.
 */
FH_API struct fh_region *fh_region_new_ram_with(FH_ANY owner, const char *name, uint64_t size,
						const struct fh_ram_options *options,
						struct fh_error *err);

/**
 * ROM with such memory: firmware in a file, most often (private: accesses with attrs.debug change
 * the region's own copy; `readonly`: nothing can, they are FH_TX_DENIED, and fh_region_ram() cannot
 * be written). @write, and what the guest sees, as in fh_region_new_rom(); the rest and errors as
 * above, and FH_EINVAL for `unpopulated` or a `granule`: parts of ROM do not come and go.
 */
FH_API struct fh_region *fh_region_new_rom_with(FH_ANY owner, const char *name, uint64_t size,
						enum fh_rom_write write,
						const struct fh_ram_options *options,
						struct fh_error *err);

/**
 * A ROM device with such memory: flash that keeps its contents in a shared file, to which its
 * callbacks write through fh_region_ram(), and which fh_region_flush() makes safe. @ops and @state
 * as in fh_region_new_rom_device(); what fails has not released @state. Else as above.
 */
FH_API struct fh_region *fh_region_new_rom_device_with(FH_ANY owner, const char *name,
						       uint64_t size,
						       const struct fh_region_ops *ops,
						       void *state,
						       const struct fh_ram_options *options,
						       struct fh_error *err);

/* --- What it is ----------------------------------------------------------------------------- */

/** The memory of a region, as it was made. */
struct fh_ram_info {
	enum fh_ram_backing backing;
	bool shared, readonly;
	bool huge;	    /**< of huge pages */
	bool transparent;   /**< the host was asked for transparent ones instead */
	uint64_t page_size; /**< of the host's pages that it is made of */
	uint64_t max_size;
	uint64_t granule;   /**< of discards */
	int fd;		    /**< as fh_region_get_fd() */
	uint64_t fd_offset;
};

/** Of a RAM, ROM, ROM device or RAM device region (asserted). Any context. */
FH_API struct fh_ram_info fh_region_get_ram_info(struct fh_region *region);

/**
 * The descriptor of the memory (borrowed from the region), for who maps it into another process (a
 * vhost-user back end) or hands it to an accelerator; *ret_offset (may be NULL) is where in it the
 * region's memory begins. -1: there is none, or writes to the region would not be seen through it.
 * Any context.
 */
FH_API int fh_region_get_fd(struct fh_region *region, uint64_t *ret_offset);

/* --- Writing it back ------------------------------------------------------------------------ */

/**
 * Have what was written to @offset..@offset + @size - 1 reach the file, as far as the host can
 * promise that (msync), before this returns. @size 0: nothing.
 * Errors: FH_EDEAD @region is NULL; FH_ETYPE it has no memory; FH_ERANGE beyond it; FH_ENOTSUP no
 * shared file is behind it; FH_EIO the host says that it failed.
 * Waits for the disk: in a callback, between fh_blocking_begin() and end. Any thread.
 */
FH_API enum fh_code fh_region_flush(struct fh_region *region, uint64_t offset, uint64_t size,
				    struct fh_error *err);

/* --- Parts that are there, and parts that are not ------------------------------------------- */

/*
 * A part of a region that is discarded is given back to the host, and reads as zeros. Its addresses
 * stay valid, for the guest, for mappings and for pointers: who writes there has memory again, and
 * loses what was written when the part is populated. So whether it is used is an agreement with the
 * guest (of virtio-mem, or a balloon), and the map is not changed by it. Of huge pages the host has
 * only so many: who touches what was discarded, and finds that others have taken them all, gets a
 * signal of the host's, SIGBUS.
 *
 * Who gives the memory to something that does not notice (a device that is passed through and has
 * its pages pinned by the host) either is a discard listener, and uses only what it is told of, or
 * forbids discards. Mappings of fh_space_map() do not: they are addresses, and stay that.
 *
 * From birth everything is populated, unless the options say `unpopulated`. Offsets and sizes are
 * multiples of the granule, but for the end of the last one, which is that of the memory.
 */

/**
 * Discard what is populated in @offset..@offset + @size - 1: listeners are told, in reverse order
 * of registration, then the memory is given back. It is marked dirty (dirty.h).
 * Errors: FH_EDEAD @region is NULL or has been detached; FH_ETYPE it is no RAM; FH_ERANGE beyond
 * it; FH_EINVAL not a multiple; FH_ENOTSUP private memory of a file, or a caller's; FH_EBUSY
 * somebody forbids it; FH_ENOMEM; FH_EIO the host failed: it counts as discarded, what it reads as
 * is not certain.
 * Context: not in a transaction or a listener (asserted). One at a time for each region.
 */
FH_API enum fh_code fh_region_discard(struct fh_region *region, uint64_t offset, uint64_t size,
				      struct fh_error *err);

/**
 * Have all of @offset..@offset + @size - 1 populated: what is not is zeroed, with @preallocate also
 * allocated (huge pages always are), then listeners are told, in order of registration. One that
 * refuses has those told before it be told of a discard, in reverse, and of what was populated here
 * nothing is.
 * Errors: as fh_region_discard() without FH_EBUSY; FH_ENOMEM the host has not got the memory; and
 * what a listener refused with. Then nothing has changed. Context: as fh_region_discard().
 */
FH_API enum fh_code fh_region_populate(struct fh_region *region, uint64_t offset, uint64_t size,
				       bool preallocate, struct fh_error *err);

/** All of it is populated. Beyond the memory nothing is. Not in a discard listener. */
FH_API bool fh_region_is_populated(struct fh_region *region, uint64_t offset, uint64_t size);

/**
 * Call @visit for each run of populated memory in the range, in rising order, until it returns
 * false. None comes or goes meanwhile. Context of @visit: as of a discard listener.
 */
FH_API void fh_region_each_populated(struct fh_region *region, uint64_t offset, uint64_t size,
				     bool (*visit)(uint64_t offset, uint64_t size, void *arg),
				     void *arg);

struct fh_discard_ban; /**< discards of a region are forbidden */

/**
 * From now on nothing of @region can be discarded (FH_EBUSY), in the name of @holder (as
 * fh_object_pin(), kind "no-discard"; borrowed from the holder), until fh_discard_ban_end() or the
 * holder's dispose. NULL: one of them has been detached. Waits for a discard that is under way.
 * Context: as fh_region_discard().
 */
FH_API struct fh_discard_ban *fh_region_forbid_discard(struct fh_region *region, FH_ANY holder);
/** (consumed.) NULL is allowed. Returns NULL. */
FH_API struct fh_discard_ban *fh_discard_ban_end(struct fh_discard_ban *ban);

/**
 * Context of both: a leaf, under a lock of the region: they take no domain, do not access, edit,
 * dispose, wait, or call anything here for the same region. Runs are those of the region, cut to
 * the listener's section.
 */
struct fh_discard_ops {
	/** @offset..@offset + @size - 1 of the region is there. Other than FH_OK: refused. */
	enum fh_code (*populate)(void *state, struct fh_region *region, uint64_t offset,
				 uint64_t size);
	/** It is about to go (or, what was said before to be there, did not come). */
	void (*discard)(void *state, struct fh_region *region, uint64_t offset, uint64_t size);
};

/**
 * Be told of what comes and goes in @offset..@offset + @size - 1 of @region (FH_SIZE_ALL: up to its
 * end), in the name of @owner (borrowed; with a struct fh_machine *, owned by caller). All that is
 * populated is told before this returns; when the listener, its owner or the region ends, what is
 * there then is told as discarded. @ops and @state (both borrowed) stay until then; the owner's
 * state does.
 * Errors (NULL): FH_EDEAD owner or region have been detached; FH_ETYPE no RAM; FH_EPERM in a
 * listener; FH_EINVAL nothing of it is in the region; what the listener itself refused with.
 */
FH_API struct fh_discard_listener *fh_discard_listener_new(FH_ANY owner, struct fh_region *region,
							   uint64_t offset, uint64_t size,
							   const struct fh_discard_ops *ops,
							   void *state, struct fh_error *err);
/** As fh_object_dispose(). NULL is allowed. Returns NULL. */
FH_API struct fh_discard_listener *
fh_discard_listener_destroy(struct fh_discard_listener *listener);

FH_END_DECLS

#endif
