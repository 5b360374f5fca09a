/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: what a bus master sees. A space shows one root region at address 0. Readers take
 * no lock: each access uses the view that is published at its start.
 */
#ifndef FREEHOLD_SPACE_H
#define FREEHOLD_SPACE_H

#include <freehold/eventfd.h>
#include <freehold/region.h>

FH_BEGIN_DECLS

/**
 * A new space, child @name (copied) of @owner (borrowed from it); with a struct fh_machine * as
 * owner (owned by caller). @root may be NULL: nothing is mapped. The space does not keep its root:
 * when the root is disposed of, the space is empty. The root's own place in a container does not
 * matter.
 * Returns NULL if the owner or the root has been detached, or the name is taken or no name; and in
 * a listener.
 */
FH_API struct fh_space *fh_space_new(FH_ANY owner, const char *name, struct fh_region *root);

/** The root, or NULL (borrowed: valid as long as the caller knows). */
FH_API struct fh_region *fh_space_root(struct fh_space *space);

/**
 * Show another root, or nothing (NULL), from the commit of the transaction on.
 * Errors: FH_EDEAD, @root or the space has been detached, or the space is NULL; FH_EPERM in a
 * listener.
 */
FH_API enum fh_code fh_space_set_root(struct fh_space *space, struct fh_region *root);

/* --- Accesses ------------------------------------------------------------------------------- */

/*
 * All of them: from any thread, without a lock. A callback that is reached runs in the calling
 * thread, in its device's domain, for which the caller may wait. The result is the worst of all
 * parts. Context: not in a transaction, a listener or an interrupt input (asserted). In a callback
 * the access carries the chain of callbacks that the thread is in: see FH_TX_REENTRY.
 */

/**
 * Load or store of 1 to 8 bytes (asserted), in byte order @order: the integer is made of the bytes
 * as they lie in address order, and a register lies there in its region's order (struct
 * fh_region_ops). Any alignment; memory is accessed in one piece where that is aligned. One of 1,
 * 2, 4 or 8 bytes within one range is judged by the region's `valid` as it is; others, and those
 * that lie in more than one range, are cut into parts that are aligned in their region and that
 * `valid` takes where there are such, and done one after the other. On an error *ret_value holds
 * what could be read, the rest 0. Bytes of @value beyond @size are ignored.
 */
FH_API enum fh_tx fh_space_load(struct fh_space *space, uint64_t addr, unsigned size,
				enum fh_order order, struct fh_attrs attrs, uint64_t *ret_value);
FH_API enum fh_tx fh_space_store(struct fh_space *space, uint64_t addr, unsigned size,
				 enum fh_order order, struct fh_attrs attrs, uint64_t value);

/**
 * Bulk access of @size bytes (0: FH_TX_OK) in address order, registers in pieces that they take;
 * fill writes @byte over and over. One view for the whole of it, unless a callback on the way
 * blocked or waited. Parts that fail read as 0; the others are done all the same. Beyond the top
 * of the space: decode error. Result and context as for fh_space_load().
 */
FH_API enum fh_tx fh_space_read(struct fh_space *space, uint64_t addr, void *buffer, uint64_t size,
				struct fh_attrs attrs);
FH_API enum fh_tx fh_space_write(struct fh_space *space, uint64_t addr, const void *buffer,
				 uint64_t size, struct fh_attrs attrs);
FH_API enum fh_tx fh_space_fill(struct fh_space *space, uint64_t addr, uint8_t byte, uint64_t size,
				struct fh_attrs attrs);

/** What fh_space_fetch() puts in place of the old value: of that and of its operand. */
enum fh_atomic_op {
	FH_ATOMIC_SWAP, /**< the operand */
	FH_ATOMIC_ADD,
	FH_ATOMIC_AND,
	FH_ATOMIC_OR,
	FH_ATOMIC_XOR,
	FH_ATOMIC_MIN, /**< of signed integers */
	FH_ATOMIC_MAX,
	FH_ATOMIC_MIN_UNSIGNED,
	FH_ATOMIC_MAX_UNSIGNED,
};

/**
 * Atomic access of 1, 2, 4 or 8 bytes (asserted): if the value there is @expected, it becomes
 * @desired; respectively it becomes what @op makes of it and @operand. *ret_old is the value before
 * (0 on an error). Sequentially consistent, against all accesses of the guest's and the host's.
 * Processors need them of memory: RAM alone takes them, where it may be written and one range has
 * all of it. Anything else is FH_TX_DENIED and not touched; FH_TX_DECODE_ERROR where nothing is or
 * @addr is not aligned. Context as for fh_space_load().
 */
FH_API enum fh_tx fh_space_cmpxchg(struct fh_space *space, uint64_t addr, unsigned size,
				   enum fh_order order, struct fh_attrs attrs, uint64_t expected,
				   uint64_t desired, uint64_t *ret_old);
FH_API enum fh_tx fh_space_fetch(struct fh_space *space, uint64_t addr, unsigned size,
				 enum fh_order order, struct fh_attrs attrs, enum fh_atomic_op op,
				 uint64_t operand, uint64_t *ret_old);

/** Attributes of an ordinary access. */
#ifdef __cplusplus
#define FH_ATTRS_NONE (fh_attrs())
#else
#define FH_ATTRS_NONE ((struct fh_attrs){ 0 })
#endif

/**
 * Loads and stores with ordinary attributes, by width: fh_space_load32(space, addr, FH_LE, &value),
 * fh_space_store32(space, addr, value, FH_LE). As fh_space_load() and fh_space_store().
 */
#define FH_SPACE_TYPED(bits)                                                                       \
	static inline enum fh_tx fh_space_load##bits(struct fh_space *space, uint64_t addr,        \
						     enum fh_order order,                          \
						     uint##bits##_t *ret_value)                    \
	{                                                                                          \
		uint64_t value;                                                                    \
		const enum fh_tx tx = fh_space_load(space, addr, bits / 8, order, FH_ATTRS_NONE,   \
						    &value);                                       \
		*ret_value = (uint##bits##_t)value;                                                \
		return tx;                                                                         \
	}                                                                                          \
	static inline enum fh_tx fh_space_store##bits(struct fh_space *space, uint64_t addr,       \
						      uint##bits##_t value, enum fh_order order)   \
	{                                                                                          \
		return fh_space_store(space, addr, bits / 8, order, FH_ATTRS_NONE, value);         \
	}
FH_SPACE_TYPED(8)
FH_SPACE_TYPED(16)
FH_SPACE_TYPED(32)
FH_SPACE_TYPED(64)
#undef FH_SPACE_TYPED

/* --- Looking -------------------------------------------------------------------------------- */

/**
 * A range of a view. The region and `ptr` are borrowed: from the read section, the pin or the
 * listener's call.
 */
struct fh_section {
	uint64_t first; /**< in the space */
	uint64_t last;
	struct fh_region *region;
	uint64_t offset;  /**< in the region, at `first` */
	void *ptr;	  /**< host memory at `first`; NULL if it is not accessed directly */
	bool readonly;	  /**< guest writes do not reach `ptr` */
	bool rom_mode;	  /**< a ROM device in ROM mode: reads from `ptr`, writes by callback */
	bool nonvolatile;
	uint8_t log_mask; /**< clients that log writes (dirty.h): not 0: who writes to `ptr` calls
			       fh_dirty_mark() afterwards */
	bool device;	  /**< `ptr` is a RAM device's: accesses of exact size, aligned, no memcpy() */
};

/**
 * What is at @addr: true, and the whole range in *ret; or false, and ret->first..last is the hole.
 * Context: in a read section (asserted), to whose end *ret is valid.
 */
FH_API bool fh_space_lookup(struct fh_space *space, uint64_t addr, struct fh_section *ret);

/**
 * Call @visit for each range (borrowed for the call) of the view that is published now, in order of
 * address, until it returns false. Opens a read section for the whole of it.
 */
FH_API void fh_space_each(struct fh_space *space,
			  bool (*visit)(const struct fh_section *section, void *arg), void *arg);

/** Every address from @addr to @addr + @size - 1 shows something; of 0 bytes: true. Any thread. */
FH_API bool fh_space_is_mapped(struct fh_space *space, uint64_t addr, uint64_t size);

/**
 * Some space shows a part of @region now: registers or memory of its own, not what lies in it as in
 * a container. Goes through all views, under the topology lock: not for hot paths. Any thread; not
 * in an interrupt input.
 */
FH_API bool fh_region_is_mapped(struct fh_region *region);

/**
 * At offset @addr of @container, mapped or not, something other than its own backing shows: a
 * subregion or what is in one, none of them disabled or hidden. As the tree is now, in a
 * transaction with the edits that were made in it. Context as for fh_region_is_mapped().
 */
FH_API bool fh_region_present(struct fh_region *container, uint64_t addr);

/**
 * How the range shows in listings: "ram", "rom" (anything that is read-only), "romd" (in ROM mode),
 * "ramd" (a RAM device), "i/o", "iommu", "reservation". Static storage.
 */
FH_API const char *fh_section_kind(const struct fh_section *section);

/* --- Pinned sections ------------------------------------------------------------------------ */

struct fh_pinned; /**< a section that outlives the read section */

/**
 * The range at @addr, pinned in the name of @holder (as fh_object_pin(), kind "section"; borrowed
 * from the holder), with the section in *ret clipped to @addr..@addr + @size - 1.
 * NULL, *ret untouched: a hole, or @size is 0, or the holder has been detached.
 */
FH_API struct fh_pinned *fh_space_find(struct fh_space *space, uint64_t addr, uint64_t size,
				       FH_ANY holder, struct fh_section *ret);

/**
 * Access the pinned region at @offset from the start of the section, whether the map still shows it
 * or not, as it showed when it was found. FH_TX_DECODE_ERROR once its owner is hidden or the pin
 * has ended, once an IOMMU is disposed of, and beyond the section's end. Context: as
 * fh_space_read().
 */
FH_API enum fh_tx fh_pinned_read(struct fh_pinned *pinned, uint64_t offset, void *buffer,
				 uint64_t size, struct fh_attrs attrs);
FH_API enum fh_tx fh_pinned_write(struct fh_pinned *pinned, uint64_t offset, const void *buffer,
				  uint64_t size, struct fh_attrs attrs);
/** As fh_unpin() (consumed). Returns NULL; NULL is allowed. */
FH_API struct fh_pinned *fh_pinned_unpin(struct fh_pinned *pinned);

/* --- Mappings ------------------------------------------------------------------------------- */

struct fh_mapping; /**< host memory that a holder may use until it unmaps it */

/** What a mapping is for: READ, WRITE or both, and how. */
enum fh_map_flag {
	FH_MAP_READ = 1 << 0,
	FH_MAP_WRITE = 1 << 1,
	FH_MAP_DIRECT_ONLY = 1 << 2, /**< guest memory itself or nothing: no bounce buffer */
};

/** What fh_space_map() has found. */
struct fh_mapped {
	void *ptr;	   /**< host memory; without a mapping, NULL */
	uint64_t size;	   /**< bytes of it, at most what was asked for; without a mapping, 0 */
	bool bounced;	   /**< it is a bounce buffer */
	bool device;	   /**< it is a RAM device's: see struct fh_section */
	enum fh_code code; /**< FH_OK, or why there is no mapping */
	enum fh_tx tx;	   /**< the same as the outcome of an access */
};

/**
 * Map up to @size bytes of guest memory for direct use, in the name of @holder (as fh_object_pin(),
 * kind "map"; borrowed from the holder): a device for the time of its life, or a struct fh_io for
 * an operation that may outlive it (device.h). @flags are of enum fh_map_flag. `ret->ptr` is valid
 * until the mapping ends, whatever becomes of the map; it may be less than was wanted.
 *
 * What is no memory that can be used in place (registers, for writing also ROM and what else is
 * read-only) is given as a *bounce buffer* (kind "bounce"), which takes its size from the space's
 * room, see fh_space_set_bounce_limit(), and is at most that limit long. For FH_MAP_READ it is
 * filled here by an access with @attrs, with all that goes with one; otherwise with zeros. What was
 * written to it gets to its place with fh_mapping_unmap().
 *
 * Behind an IOMMU what is mapped is what its translation leads to, as far as that goes; it is so
 * until the mapping ends, for which an invalidation (iommu.h) waits.
 *
 * NULL: `ret->code` says why.
 *   FH_ENOENT   a hole or a reservation is there (tx: FH_TX_DECODE_ERROR)
 *   FH_EPERM    @attrs or an IOMMU do not permit it (FH_TX_DENIED)
 *   FH_EIO      translation failed otherwise, or the buffer could not be filled: `tx` is what came
 *               of reading
 *   FH_EAGAIN   there is no room at this moment: see fh_space_notify_room() (FH_TX_DEVICE_ERROR, as
 *               all that follow)
 *   FH_ENOTSUP  not without a bounce buffer, and FH_MAP_DIRECT_ONLY is given or the limit is 0
 *   FH_ENOMEM   memory for the buffer could not be had
 *   FH_EDEAD    the holder or the space has been detached
 *   FH_EINVAL   @size is 0
 * Context: as fh_space_read().
 */
FH_API struct fh_mapping *fh_space_map(struct fh_space *space, uint64_t addr, uint64_t size,
				       unsigned flags, struct fh_attrs attrs, FH_ANY holder,
				       struct fh_mapped *ret);

/**
 * End the mapping (consumed), from any thread; also allowed when its holder's dispose has ended it,
 * as long as the holder's memory is there. NULL is allowed: FH_TX_OK.
 * @written: how many bytes, from the start, were written to a mapping made with FH_MAP_WRITE; more
 * than it has: all of it. These and no others of a bounce buffer are written back: with the
 * attributes of the mapping, to the region and offset that were mapped, whether the map still shows
 * them there or not. Returns the result of that; FH_TX_DECODE_ERROR, and nothing is written, once
 * the region's owner is hidden; otherwise FH_TX_OK. Of a mapping that has ended: nothing is written
 * any more, FH_TX_DECODE_ERROR unless @written is 0.
 * Guest memory that was written is marked dirty, if it is logged (dirty.h): what @written says; of
 * a mapping for writing that its holder's end has ended, all of it.
 * Context: as fh_space_write().
 */
FH_API enum fh_tx fh_mapping_unmap(struct fh_mapping *mapping, uint64_t written);

/* --- Room for bounce buffers ---------------------------------------------------------------- */

/** Bytes that the bounce buffers of a space take together, at most, if nobody says otherwise. */
#define FH_BOUNCE_LIMIT_DEFAULT UINT64_C(65536)

/**
 * Let the bounce buffers of @space take @bytes together. With 0 there are none. Those that are
 * there stay. Any thread, any context.
 */
FH_API void fh_space_set_bounce_limit(struct fh_space *space, uint64_t bytes);

struct fh_waiter; /**< somebody who waits for room */

/**
 * Have @call(state) called once when there is room for a bounce buffer of @size bytes (or of the
 * limit, if that is less), which may be so already. It is a callback of the device that @holder is,
 * belongs to, or is an operation of, on the thread that polls the machine. Room is given in order
 * of registration, and while somebody waits to nobody else; until @call has returned it is set
 * aside for mappings of that size in the name of @holder. @call may find that there is nothing to
 * map any more: it is also called when the limit becomes 0 or the space is disposed of.
 * The waiter (borrowed from the holder) is a pin of the space in the holder's name, kind "room", so
 * that it goes with the holder; if the holder's device is hidden before the call there is none.
 * NULL: holder or space have been detached, or the holder is not shown. Any thread, any context but
 * a listener or an interrupt input.
 */
FH_API struct fh_waiter *fh_space_notify_room(struct fh_space *space, uint64_t size, FH_ANY holder,
					      void (*call)(void *state), void *state);
/**
 * Wait no more (consumed). Only while the call has not begun, which a callback of the same device
 * can be sure of. NULL is allowed. Returns NULL.
 */
FH_API struct fh_waiter *fh_waiter_cancel(struct fh_waiter *waiter);

/* --- Listeners ------------------------------------------------------------------------------ */

/** What a commit is going to tell a listener: rows in order of address (borrowed for the call). */
struct fh_space_change {
	const struct fh_section *removed; /**< as `remove` will be told */
	size_t removed_count;
	const struct fh_section *added; /**< `add` */
	size_t added_count;
	const struct fh_section *eventfds_removed; /**< `eventfd_del` */
	size_t eventfds_removed_count;
	const struct fh_section *eventfds_added; /**< `eventfd_add` */
	size_t eventfds_added_count;
};

/**
 * Be told of every change of a space's view, as an accelerator needs it. Context of all callbacks:
 * under the topology lock; of all but `prepare`, after the new view is published and before the
 * grace period of the old one begins. In one transaction all removals come before all additions.
 * Sections are borrowed for the call. All optional. For each commit that changes the view of the
 * space, or who logs what it shows, or its eventfds or coalesced ranges: prepare; then, when the
 * views of all spaces are published, begin, eventfd_del and coalesced_del..., remove..., keep...,
 * add..., log_start and log_stop..., eventfd_add and coalesced_add..., batch (unless no range was
 * removed or added), commit; each step for all listeners of the space before the next one.
 *
 * What a callback may do: fh_space_each(), fh_space_lookup() in a read section, and the functions
 * that only look at regions. Functions that edit the map and return a code refuse with FH_EPERM and
 * have changed nothing, constructors that would edit return NULL. It does not access, take a
 * device's domain, begin a transaction, or dispose of anything but listeners (asserted); nor does
 * it wait for what may be waiting itself, as for a lock of the library's (kvm.h waits for vCPUs
 * that are in KVM_RUN, where they hold nothing).
 * Listeners, of any space of the machine, may be made and disposed of. A new one is told of the map
 * when all have been told of the present commit; one that is disposed of, itself or another, is
 * told the rest of it as well, and then the removals that undo the map: with what went before, each
 * hears a story that is whole. Its @state stays until then. In log_sync and log_clear, when these
 * are over.
 */
struct fh_listener_ops {
	/**
	 * What the commit will change, before anything of it is published, in any space: who has a
	 * copy of the map that a guest uses by itself stops the guest here, where the change takes
	 * something from the copy, and lets it go on in `commit`, which follows in any case. So the
	 * guest, too, sees all of the old map and then all of the new one. fh_space_each() shows
	 * the old one. Of what nobody is told when he joins, or is disposed of in a callback, he is
	 * not told before either. Not for changes of who logs alone.
	 */
	void (*prepare)(void *state, const struct fh_space_change *change);
	void (*begin)(void *state, struct fh_space *space);
	void (*remove)(void *state, const struct fh_section *section);
	/**
	 * A range that the commit, which has changed others, leaves as it is. Costs a walk of the
	 * whole view at each commit. When the listener registers all ranges are additions.
	 */
	void (*keep)(void *state, const struct fh_section *section);
	void (*add)(void *state, const struct fh_section *section);
	/**
	 * The whole difference at once, each part by address, instead of or beside remove and add.
	 */
	void (*batch)(void *state, const struct fh_section *removed, size_t removed_count,
		      const struct fh_section *added, size_t added_count);
	void (*commit)(void *state, struct fh_space *space);

	/*
	 * Dirty logging (dirty.h). A change of who logs is neither a removal nor an addition.
	 */

	/**
	 * More clients log writes to the section: those of section->log_mask; before the commit it
	 * were those of @old_mask. Also after each addition of a section that is logged, with
	 * @old_mask 0. From its return on, whoever writes to section->ptr, other than through the
	 * library, has to notice which pages; the writes of a moment before that are not asked for.
	 */
	void (*log_start)(void *state, const struct fh_section *section, uint8_t old_mask);
	/**
	 * Less clients do, or none. A section that is removed is logged no more without this: bits
	 * of it that are still to be brought are marked in `remove`.
	 */
	void (*log_stop)(void *state, const struct fh_section *section, uint8_t old_mask);
	/**
	 * Somebody is going to take bits of the section, a part of a range: bring those that are
	 * known here alone, with fh_dirty_mark(section->region, ...). Not within a commit.
	 */
	void (*log_sync)(void *state, const struct fh_section *section);
	/**
	 * Bits of the section, a part of a range, have been taken, and who did has not yet read the
	 * pages: notice writes to pages that log_sync brought once more. Not within a commit.
	 */
	void (*log_clear)(void *state, const struct fh_section *section);

	/*
	 * Stores that need no callback (eventfd.h). What is told here adds up as ranges do: of an
	 * eventfd that is to be seen at the same address before and after a commit nothing is told,
	 * whatever became of the range that it lies in.
	 */

	/**
	 * Stores to section->first..last that @match (its offset apart) describes signal @fd, which
	 * is the library's own and stays until eventfd_del for it has returned. The section is just
	 * the bytes of the store; one byte, if it may have any size. Not told where an eventfd is
	 * only partly to be seen. The library signals it as well, at the stores that come to it.
	 */
	void (*eventfd_add)(void *state, const struct fh_section *section,
			    const struct fh_eventfd_match *match, int fd);
	void (*eventfd_del)(void *state, const struct fh_section *section,
			    const struct fh_eventfd_match *match, int fd);
	/** Stores to the section, as much as is to be seen of a coalesced range, may be kept. */
	void (*coalesced_add)(void *state, const struct fh_section *section);
	void (*coalesced_del)(void *state, const struct fh_section *section);
	/**
	 * Bring the stores that were kept, with fh_space_store(), in their order: somebody is going
	 * to access registers that may depend on them. A callback of the listener's owner, in a
	 * read section, in no domain of its own and under no lock, on any thread, on several at
	 * once. The stores carry the chain of callbacks that the thread is in: one that is refused
	 * for that (FH_TX_REENTRY) is brought next time. Nobody is asked again by what is done in
	 * it.
	 */
	void (*coalesced_flush)(void *state);
};

/**
 * A listener of @space, in the name of @owner (borrowed; with a struct fh_machine *, owned by
 * caller). Of several, removals are told in falling order of @priority, all else in rising order.
 * Registering replays the present map as additions, before this returns; disposing of it undoes the
 * map with removals (begin, remove, batch and commit are called once more), and so does the end of
 * owner or space: in a transaction when it commits, so that @ops and @state (both borrowed) stay
 * until then. The owner's state does.
 * In a callback of a listener (of the same machine) both take effect later, see struct
 * fh_listener_ops. Any number of threads may register and dispose.
 * Returns NULL if owner or space have been detached.
 */
FH_API struct fh_listener *fh_listener_new(FH_ANY owner, struct fh_space *space, int priority,
					   const struct fh_listener_ops *ops, void *state);
/** As fh_object_dispose(). NULL is allowed. Returns NULL. */
FH_API struct fh_listener *fh_listener_destroy(struct fh_listener *listener);

FH_END_DECLS

#endif
