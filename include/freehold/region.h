/* SPDX-License-Identifier: MIT */
/*
 * Memory regions: what a guest-physical address means. Regions form trees through containers and a
 * directed graph through aliases; an address space shows one root (space.h).
 *
 * Structure counts nothing (L2): a container does not keep its subregions, an alias not its target.
 * When either end is disposed of, the link goes. What the guest can see is pinned (L3).
 *
 * Sizes are bytes; FH_SIZE_ALL stands for 2^64. Ranges are inclusive.
 * Every change takes effect for the guest atomically when the outermost transaction commits; each
 * function below is a transaction of its own outside one.
 */
#ifndef FREEHOLD_REGION_H
#define FREEHOLD_REGION_H

#include <freehold/object.h>

FH_BEGIN_DECLS

#define FH_SIZE_ALL UINT64_MAX /* the whole 2^64 space */

/** The outcome of an access; of a multi-part access, the greatest. */
enum fh_tx {
	FH_TX_OK,
	FH_TX_DEVICE_ERROR, /**< the device was reached and refused */
	FH_TX_REENTRY,	    /**< refused: it would re-enter a device that is in a callback */
	FH_TX_DENIED,	    /**< the attributes do not permit it */
	FH_TX_DECODE_ERROR, /**< nothing there that takes such an access */
};

/** Who makes an access, and how. All zero: an ordinary one. */
struct fh_attrs {
	uint32_t requester;  /**< requester id of the bus master */
	bool secure;	     /**< from the secure world */
	bool user;	     /**< from an unprivileged mode */
	bool debug;	     /**< a debugger or loader: may write ROM, must have no side effects */
	bool memory_only;    /**< RAM and ROM only: anything else is FH_TX_DENIED */
};

/** Which accesses are taken; see struct fh_region_ops. Sizes are asserted when a region is made. */
struct fh_access_sizes {
	uint8_t min;	/**< bytes, a power of two up to 8; 0: 1 */
	uint8_t max;	/**< bytes, a power of two up to 8; 0: see struct fh_region_ops */
	bool unaligned; /**< accesses not aligned to their size are fine */
};

/**
 * The callbacks of an mmio or ROM device region. @offset is relative to the region, also through
 * aliases. Context: inside a read section and in the domain of the region's device, so that a
 * device's callbacks never run at the same time; with `concurrent`, without the domain. A region
 * whose owner is in no device has a domain of its own. Callbacks may access memory, edit the map,
 * create and dispose of regions, unplug devices, this one included; they leave every transaction
 * and read section that they open.
 *
 * `valid` is what the guest may do; anything else is a decode error. It judges a typed access of 1,
 * 2, 4 or 8 bytes in one range as it is; other accesses are first cut into pieces that it takes, if
 * there are such. `impl` is what the callbacks take: the core splits wider and widens narrower
 * pieces, in the byte order of the region. A field that is 0 means: min 1; valid.max 8; impl.max =
 * valid.max.
 * A write narrower than impl.min becomes a read, a change of the bytes meant, and a write, if
 * `read_modify_write` says so, else FH_TX_DEVICE_ERROR: neighbours are never overwritten. A widened
 * access is aligned to impl.min, and may reach beyond the end of a region of an odd size.
 * Alignment is that of the offset in the region. A value is the integer as the device sees it: the
 * bytes of the region from @offset on, taken in the region's byte order.
 */
struct fh_region_ops {
	/** NULL: reads are decode errors. Sets *ret_value on FH_TX_OK; higher bytes are ignored. */
	enum fh_tx (*read)(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			   struct fh_attrs attrs);
	/** NULL: writes are decode errors. The bytes above @size of @value are 0. */
	enum fh_tx (*write)(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs);
	/**
	 * Optional: refuse (false: decode error) a piece that `valid` lets through. Same context.
	 */
	bool (*accepts)(void *state, uint64_t offset, unsigned size, bool write,
			struct fh_attrs attrs);
	/**
	 * Optional: called once when the region is finalized; releases @state. Context: finalize.
	 */
	void (*release)(void *state);
	struct fh_access_sizes valid;
	struct fh_access_sizes impl;
	enum fh_order order;	/**< of the region's registers: FH_LE, FH_BE or FH_NATIVE */
	bool read_modify_write; /**< narrow writes may be widened by reading first */
	bool concurrent;	/**< callbacks do their own locking: no domain is taken */
	bool reentrant;		/**< accesses that come back from the device's own callbacks are let in */
};

/*
 * Constructors. @owner is the object whose device the region is part of: it owns the region, the
 * result is (borrowed) from it, and it is a child @name (copied) of the owner (NULL: without a
 * name). A struct fh_machine * as owner means none: the region is its own and (owned by caller).
 * NULL is returned if the owner has been detached (L6), or if the name is taken or no name; and for
 * RAM (see there); of RAM, ROM kinds and aliases also in a listener. What was given (@state, @ptr)
 * is then not released.
 */

/** Holds subregions; its holes show what lies under it. */
FH_API struct fh_region *fh_region_new_container(FH_ANY owner, const char *name, uint64_t size);

/**
 * Registers. @ops and @state (both borrowed) must stay valid until the region is finalized; see
 * ops->release. The state of the owner does. Else as fh_region_new_container().
 */
FH_API struct fh_region *fh_region_new_mmio(FH_ANY owner, const char *name, uint64_t size,
					    const struct fh_region_ops *ops, void *state);

/**
 * Anonymous, zeroed RAM, allocated lazily by the host.
 * Errors (NULL): FH_ENOMEM the host has no such amount of address space; FH_EINVAL @size is 0 or
 * 2^64; FH_EDEAD the owner has been detached; FH_EEXIST the name is taken; FH_EINVAL it is no name.
 * Else as fh_region_new_container().
 */
FH_API struct fh_region *fh_region_new_ram(FH_ANY owner, const char *name, uint64_t size,
					   struct fh_error *err);

/**
 * RAM at @ptr (borrowed), which must stay valid until @release(arg) is called when the region is
 * finalized (NULL: for ever). Context of @release: finalize, under no lock. Else as
 * fh_region_new_container().
 */
FH_API struct fh_region *fh_region_new_ram_ptr(FH_ANY owner, const char *name, uint64_t size,
					       void *ptr, void (*release)(void *arg), void *arg);

/**
 * A RAM device: host memory at @ptr that has side effects, such as a mapped BAR of a real device.
 * Accesses are loads and stores of 1, 2, 4 or 8 bytes of host memory, each of exactly the size
 * asked for and aligned; what is not aligned there, of another size or longer is cut into pieces
 * that are, as wide as possible, in rising order. Never is a byte touched twice or one that was not
 * asked for. Listeners and fh_space_map() are given the memory itself, marked as a device's: who
 * uses it follows the same rules. Accesses with attrs.debug or memory_only are FH_TX_DENIED, atomic
 * ones too. Else as fh_region_new_ram_ptr().
 */
FH_API struct fh_region *fh_region_new_ram_device(FH_ANY owner, const char *name, uint64_t size,
						  void *ptr, void (*release)(void *arg),
						  void *arg);

/** What a guest's write to ROM does: nothing, silently, or a decode error. */
enum fh_rom_write { FH_ROM_IGNORE, FH_ROM_DECODE_ERROR };

/**
 * ROM: reads RAM; guest writes change nothing; accesses with attrs.debug may write. Loaders may
 * also write through fh_region_ram(). Errors and all else as fh_region_new_ram().
 */
FH_API struct fh_region *fh_region_new_rom(FH_ANY owner, const char *name, uint64_t size,
					   enum fh_rom_write write, struct fh_error *err);

/**
 * ROM device: reads RAM while in ROM mode (from the start), else callbacks; writes are always
 * callbacks. @ops and @state as in fh_region_new_mmio(), errors and all else as in
 * fh_region_new_ram().
 */
FH_API struct fh_region *fh_region_new_rom_device(FH_ANY owner, const char *name, uint64_t size,
						  const struct fh_region_ops *ops, void *state,
						  struct fh_error *err);

/**
 * A window onto @target (not kept alive) from @offset on, with the target's own subregions; where
 * the target itself lies does not matter. @target may be NULL (a hole), or any region whose size it
 * may exceed (the rest is a hole). When the target is disposed of the alias is a hole.
 * Returns NULL too if @target has been detached. Else as fh_region_new_container().
 */
FH_API struct fh_region *fh_region_new_alias(FH_ANY owner, const char *name,
					     struct fh_region *target, uint64_t offset,
					     uint64_t size);

/**
 * An address range that is someone else's: accesses are decode errors, listeners are told of it.
 * Else as fh_region_new_container().
 */
FH_API struct fh_region *fh_region_new_reservation(FH_ANY owner, const char *name, uint64_t size);

/* --- Structure ------------------------------------------------------------------------------ */

/**
 * Map @sub at @addr of @container; neither keeps the other alive. Higher @priority hides lower;
 * among equals the one added later is on top. Any region can hold subregions: its own backing shows
 * in the holes between them; those of an alias hide what it shows. What lies beyond the container's
 * end, or beyond 2^64, is not seen. Either may be NULL.
 * Errors: FH_EBUSY @sub has a container; FH_ELOOP it would close a cycle through containers and
 * aliases; FH_EDEAD one of them is NULL or detached; FH_EINVAL other machines; FH_EPERM as below.
 */
FH_API enum fh_code fh_region_add(struct fh_region *container, struct fh_region *sub, uint64_t addr,
				  int32_t priority);

/** Take @sub out of its container; without one, or NULL, nothing happens. FH_EPERM. */
FH_API enum fh_code fh_region_remove(struct fh_region *sub);

/**
 * Dispose of the region: as fh_object_dispose(). NULL is allowed. Returns NULL. A ref of the
 * caller's stays: who owns the region gives it back with fh_object_unref(), which disposes of it
 * as well.
 */
FH_API struct fh_region *fh_region_destroy(struct fh_region *region);

/*
 * Changes. A guest sees each at once as a whole, when the outermost transaction commits: a move
 * shows the region at exactly one place. On a region that is NULL or has been detached: FH_EDEAD,
 * nothing changed. Setting what is set already is no change. In a listener's callback, or another
 * leaf (an interrupt input, an IOMMU's notifier), nothing is edited: FH_EPERM, from each of them,
 * as from all functions that edit the map and return a code.
 */

/**
 * To @addr of its container, and on top of those with equal priority. The address of a region in no
 * container may be set, too; adding it sets it anew. FH_EDEAD.
 */
FH_API enum fh_code fh_region_move(struct fh_region *region, uint64_t addr);
/** Among its siblings; its order among equals stays. FH_EDEAD. */
FH_API enum fh_code fh_region_set_priority(struct fh_region *region, int32_t priority);
/** A region that is not enabled is a hole, with all below it. From birth: enabled. FH_EDEAD. */
FH_API enum fh_code fh_region_set_enabled(struct fh_region *region, bool enabled);
/**
 * Size 0 shows nothing. The order among equals stays. FH_EDEAD; FH_EINVAL: RAM and ROM kinds cannot
 * grow beyond the size they were made with, or the maximum that they were given then (ram.h), below
 * which host memory stays as it is.
 */
FH_API enum fh_code fh_region_resize(struct fh_region *region, uint64_t size);
/** FH_EDEAD; FH_ETYPE: not an alias. */
FH_API enum fh_code fh_region_set_alias_offset(struct fh_region *alias, uint64_t offset);
/**
 * @target NULL: a hole. FH_ETYPE not an alias; FH_ELOOP it would close a cycle; FH_EDEAD one of
 * them has been detached; FH_EINVAL other machines.
 */
FH_API enum fh_code fh_region_set_alias_target(struct fh_region *alias, struct fh_region *target);
/**
 * Guest writes to RAM change nothing, as if it were ROM that ignores them; registers are still
 * written. Inherited by all that shows through containers and aliases. FH_EDEAD; FH_EPERM: false,
 * for memory that the host itself gives for reading only (ram.h).
 */
FH_API enum fh_code fh_region_set_readonly(struct fh_region *region, bool readonly);
/** A mark for listeners and listings. Inherited as the above. FH_EDEAD. */
FH_API enum fh_code fh_region_set_nonvolatile(struct fh_region *region, bool nonvolatile);
/**
 * Whether reads go to memory (from birth) or to the callbacks. FH_EDEAD; FH_ETYPE: no ROM device.
 */
FH_API enum fh_code fh_region_set_rom_mode(struct fh_region *region, bool rom_mode);
/** Adjacent ranges of it are never joined to one. FH_EDEAD. */
FH_API enum fh_code fh_region_set_unmergeable(struct fh_region *region, bool unmergeable);

/**
 * Transactions nest: what is edited between the outermost begin and its commit becomes visible as
 * one change of each address space. In between the calling thread holds the machine's topology
 * lock, and does not access, wait, realize, reset, poll or drive lines (asserted). Disposing is
 * allowed: what owns callbacks or children is hidden by the commit, and the rest is control's.
 * The commit tells listeners, and does not wait; but an editor outside of callbacks, read sections
 * and other locks waits in it while more memory than the machine's limit waits for a grace period.
 * Context: not in a listener or an interrupt input (asserted).
 */
FH_API void fh_edit_begin(struct fh_machine *m);
FH_API void fh_edit_commit(struct fh_machine *m);

/* --- What it is ----------------------------------------------------------------------------- */

/** What a region is, from birth. */
enum fh_region_kind {
	FH_REGION_CONTAINER,
	FH_REGION_MMIO,
	FH_REGION_RAM,
	FH_REGION_ROM,
	FH_REGION_ROM_DEVICE,
	FH_REGION_ALIAS,
	FH_REGION_RESERVATION,
	FH_REGION_IOMMU, /**< iommu.h */
	FH_REGION_RAM_DEVICE,
};

/**
 * A snapshot of a region, taken under the topology lock; its pointers are only as valid as the
 * caller knows (in a transaction: as long as that).
 */
struct fh_region_info {
	enum fh_region_kind kind;
	uint64_t size; /**< FH_SIZE_ALL: 2^64 */
	uint64_t addr; /**< in its container */
	int32_t priority;
	bool enabled, readonly, nonvolatile, unmergeable, rom_mode;
	bool shown; /**< its owner is */
	struct fh_region *container;
	struct fh_region *alias_target;
	uint64_t alias_offset;
	enum fh_order order; /**< of its registers: FH_LE or FH_BE; without any: FH_LE */
	struct fh_object *owner; /**< itself if it has no other */
};

/** What the region is now, the present transaction's edits included. */
FH_API struct fh_region_info fh_region_get_info(struct fh_region *region);

/**
 * Call @visit for each subregion (borrowed for the call), topmost first, until it returns false.
 * Context: holds the topology lock meanwhile: @visit does nothing that a transaction forbids, nor
 * does it edit.
 */
FH_API void fh_region_each_sub(struct fh_region *region,
			       bool (*visit)(struct fh_region *sub, void *arg), void *arg);

/**
 * Host pointer to the start of a RAM, ROM, ROM device or RAM device region (borrowed, valid as long
 * as the region), else NULL. For loaders: what is written there the library does not see.
 */
FH_API void *fh_region_ram(struct fh_region *region);

FH_END_DECLS

#endif
