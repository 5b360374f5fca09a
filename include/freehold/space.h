/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: what a bus master sees. A space shows one root region at address 0. Readers take
 * no lock: each access uses the view that is published at its start.
 */
#ifndef FREEHOLD_SPACE_H
#define FREEHOLD_SPACE_H

#include <freehold/region.h>

FH_BEGIN_DECLS

/**
 * A new space, child @name (copied) of @owner (borrowed from it); with a struct fh_machine * as
 * owner (owned by caller). @root may be NULL: nothing is mapped. The space does not keep its root:
 * when the root is disposed of, the space is empty. The root's own place in a container does not
 * matter.
 * Returns NULL if the owner or the root has been detached, or the name is taken or no name.
 */
FH_API struct fh_space *fh_space_new(FH_ANY owner, const char *name, struct fh_region *root);

/** The root, or NULL (borrowed: valid as long as the caller knows). */
FH_API struct fh_region *fh_space_root(struct fh_space *space);

/**
 * Show another root, or nothing (NULL), from the commit of the transaction on.
 * Errors: FH_EDEAD, @root or the space has been detached, or the space is NULL.
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

/**
 * How the range shows in listings: "ram", "rom" (anything that is read-only), "romd" (in ROM mode),
 * "i/o", "reservation". Static storage.
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
 * has ended, and beyond the section's end. Context: as fh_space_read().
 */
FH_API enum fh_tx fh_pinned_read(struct fh_pinned *pinned, uint64_t offset, void *buffer,
				 uint64_t size, struct fh_attrs attrs);
FH_API enum fh_tx fh_pinned_write(struct fh_pinned *pinned, uint64_t offset, const void *buffer,
				  uint64_t size, struct fh_attrs attrs);
/** As fh_unpin() (consumed). Returns NULL; NULL is allowed. */
FH_API struct fh_pinned *fh_pinned_unpin(struct fh_pinned *pinned);

/* --- Mappings ------------------------------------------------------------------------------- */

struct fh_mapping; /**< host memory that a holder may use until it unmaps it */

/**
 * Map guest memory for direct use, in the name of @holder (as fh_object_pin(), kind "map"; borrowed
 * from the holder): a device for the time of its life, or a struct fh_io for an operation that may
 * outlive it (device.h). *size is what is wanted and becomes what was got, which may be less.
 * *ret_ptr is the host address, valid until the mapping ends, whatever becomes of the map.
 * NULL, outputs untouched: what is at @addr is not directly accessible for that (@write: RAM that
 * is not read-only), or *size is 0, or the holder has been detached.
 * Context: not in a transaction or a listener (asserted).
 */
FH_API struct fh_mapping *fh_space_map(struct fh_space *space, uint64_t addr, uint64_t *size,
				       bool write, FH_ANY holder, void **ret_ptr);

/**
 * End the mapping (consumed), from any thread; also allowed when its holder's dispose has ended it,
 * as long as the holder's memory is there. NULL is allowed. Returns NULL.
 */
FH_API struct fh_mapping *fh_mapping_unmap(struct fh_mapping *mapping);

/* --- Listeners ------------------------------------------------------------------------------ */

/**
 * Be told of every change of a space's view, as an accelerator needs it. Context of all callbacks:
 * under the topology lock, after the new view is published and before the grace period of the old
 * one begins. They may not edit, access, dispose, wait, or take a device's domain. In one
 * transaction all removals come before all additions. Sections are borrowed for the call. All
 * optional. For each commit that changes the view of the space: begin, remove..., add..., batch,
 * commit; each step for all listeners of the space before the next one.
 * fh_space_each() and the functions that only look at regions may be called.
 */
struct fh_listener_ops {
	void (*begin)(void *state, struct fh_space *space);
	void (*remove)(void *state, const struct fh_section *section);
	void (*add)(void *state, const struct fh_section *section);
	/**
	 * The whole difference at once, each part by address, instead of or beside remove and add.
	 */
	void (*batch)(void *state, const struct fh_section *removed, size_t removed_count,
		      const struct fh_section *added, size_t added_count);
	void (*commit)(void *state, struct fh_space *space);
};

/**
 * A listener of @space, in the name of @owner (borrowed; with a struct fh_machine *, owned by
 * caller). Of several, removals are told in falling order of @priority, all else in rising order.
 * Registering replays the present map as additions, before this returns; disposing of it undoes the
 * map with removals (begin, remove, batch and commit are called once more), and so does the end of
 * owner or space: in a transaction when it commits, so that @ops and @state (both borrowed) stay
 * until then. The owner's state does.
 * Returns NULL if owner or space have been detached.
 */
FH_API struct fh_listener *fh_listener_new(FH_ANY owner, struct fh_space *space, int priority,
					   const struct fh_listener_ops *ops, void *state);
/** As fh_object_dispose(). NULL is allowed. Returns NULL. */
FH_API struct fh_listener *fh_listener_destroy(struct fh_listener *listener);

FH_END_DECLS

#endif
