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

struct fh_access_sizes {
	uint8_t min;	/**< bytes, a power of two up to 8; 0: 1 */
	uint8_t max;	/**< bytes, a power of two up to 8; 0: see struct fh_region_ops */
	bool unaligned; /**< accesses not aligned to their size are fine */
};

/**
 * The callbacks of an mmio or ROM device region. @offset is relative to the region, also through
 * aliases. Context: inside a read section and in the domain of the region's device, so that a
 * device's callbacks never run at the same time; with `concurrent`, without the domain. They may
 * access memory, edit the map, create and dispose of regions, unplug devices, this one included.
 *
 * `valid` is what the guest may do; anything else is a decode error. `impl` is what the callbacks
 * take: the core splits wider and widens narrower accesses, in the byte order of the region. A
 * field that is 0 means: min 1; valid.max 8; impl.max = valid.max.
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
	/** Optional: refuse (false: decode error) what `valid` would let through. Same context. */
	bool (*accepts)(void *state, uint64_t offset, unsigned size, bool write,
			struct fh_attrs attrs);
	/** Optional: called once when the region is finalized; releases @state. */
	void (*release)(void *state);
	struct fh_access_sizes valid;
	struct fh_access_sizes impl;
	enum fh_order order;	/**< of the region's registers: FH_LE, FH_BE or FH_NATIVE */
	bool read_modify_write; /**< narrow writes may be widened by reading first */
	bool concurrent;	/**< callbacks do their own locking: no domain is taken */
	bool reentrant;		/**< accesses that come back while the device is in a callback are let in */
};

/**
 * Constructors. @owner is the object whose device the region is part of: it owns the region, the
 * result is borrowed from it, and it is a child @name of the owner (NULL: without a name). A
 * struct fh_machine * as owner means none: the region is its own and (owned by caller).
 * NULL is returned only if the owner has been detached already (L6), and for RAM (see there).
 */

/** Holds subregions; its holes show what lies under it. */
FH_API struct fh_region *fh_region_new_container(FH_ANY owner, const char *name, uint64_t size);

/** Registers. @ops and @state must stay valid until the region is finalized; see ops->release. */
FH_API struct fh_region *fh_region_new_mmio(FH_ANY owner, const char *name, uint64_t size,
					    const struct fh_region_ops *ops, void *state);

/**
 * Anonymous, zeroed RAM, allocated lazily by the host.
 * Errors (NULL): FH_ENOMEM the host has no such amount of address space; FH_EINVAL @size is 0 or 2^64.
 */
FH_API struct fh_region *fh_region_new_ram(FH_ANY owner, const char *name, uint64_t size,
					   struct fh_error *err);

/**
 * RAM at @ptr, which must stay valid until @release(arg) is called when the region is finalized
 * (NULL: for ever).
 */
FH_API struct fh_region *fh_region_new_ram_ptr(FH_ANY owner, const char *name, uint64_t size,
					       void *ptr, void (*release)(void *arg), void *arg);

/** What a guest's write to ROM does: nothing, silently, or a decode error. */
enum fh_rom_write { FH_ROM_IGNORE, FH_ROM_DECODE_ERROR };

/** ROM: reads RAM; guest writes change nothing; accesses with attrs.debug may write. Errors as RAM. */
FH_API struct fh_region *fh_region_new_rom(FH_ANY owner, const char *name, uint64_t size,
					   enum fh_rom_write write, struct fh_error *err);

/**
 * ROM device: reads RAM while in ROM mode (from the start), else callbacks; writes are always
 * callbacks. Errors as RAM.
 */
FH_API struct fh_region *fh_region_new_rom_device(FH_ANY owner, const char *name, uint64_t size,
						  const struct fh_region_ops *ops, void *state,
						  struct fh_error *err);

/**
 * A window onto @target from @offset on, with the target's own subregions. @target may be NULL (a
 * hole), or any region whose size it may exceed (the rest is a hole).
 * Returns NULL too if target is disposed of.
 */
FH_API struct fh_region *fh_region_new_alias(FH_ANY owner, const char *name,
					     struct fh_region *target, uint64_t offset,
					     uint64_t size);

/** An address range that is someone else's: accesses are decode errors, listeners see it. */
FH_API struct fh_region *fh_region_new_reservation(FH_ANY owner, const char *name, uint64_t size);

/* --- Structure ------------------------------------------------------------------------------ */

/**
 * Map @sub at @addr of @container. Higher @priority hides lower; among equals the one added later
 * is on top. Any region can hold subregions: its own backing shows in the holes between them.
 * Errors, nothing changed: FH_EBUSY @sub has a container; FH_ELOOP it would close a cycle through
 * containers and aliases; FH_EDEAD one of them is NULL or disposed of; FH_EINVAL other machines.
 */
FH_API enum fh_code fh_region_add(struct fh_region *container, struct fh_region *sub, uint64_t addr,
				  int32_t priority);

/** Take @sub out of its container; without one, or NULL, nothing happens. */
FH_API void fh_region_remove(struct fh_region *sub);

/**
 * Dispose of the region: as fh_object_dispose(). NULL is allowed. Returns NULL. A ref of the caller's
 * stays: who owns the region gives it back with fh_object_unref(), which disposes of it as well.
 */
FH_API struct fh_region *fh_region_destroy(struct fh_region *region);

/**
 * Changes. A guest sees each at once as a whole: a move shows the region at exactly one place.
 * On a region that is NULL or disposed of: FH_EDEAD, nothing changed.
 */
FH_API enum fh_code fh_region_move(struct fh_region *region, uint64_t addr); /**< and on top of equals */
FH_API enum fh_code fh_region_set_priority(struct fh_region *region, int32_t priority);
FH_API enum fh_code fh_region_set_enabled(struct fh_region *region, bool enabled);
/** FH_EINVAL: RAM and ROM kinds cannot grow beyond the size they were made with. */
FH_API enum fh_code fh_region_resize(struct fh_region *region, uint64_t size);
/** FH_ETYPE: not an alias. */
FH_API enum fh_code fh_region_set_alias_offset(struct fh_region *alias, uint64_t offset);
/** FH_ELOOP, FH_ETYPE; @target NULL: a hole. */
FH_API enum fh_code fh_region_set_alias_target(struct fh_region *alias, struct fh_region *target);
/** Inherited through containers and aliases. */
FH_API enum fh_code fh_region_set_readonly(struct fh_region *region, bool readonly);
FH_API enum fh_code fh_region_set_nonvolatile(struct fh_region *region, bool nonvolatile);
/** FH_ETYPE: not a ROM device. */
FH_API enum fh_code fh_region_set_rom_mode(struct fh_region *region, bool rom_mode);
/** Adjacent ranges of it are never joined to one. */
FH_API enum fh_code fh_region_set_unmergeable(struct fh_region *region, bool unmergeable);

/** Transactions nest. Between begin and commit the calling thread holds the machine's topology lock:
 * no accesses, no waits, no realize, no unplug of another thread's making. */
FH_API void fh_edit_begin(struct fh_machine *m);
FH_API void fh_edit_commit(struct fh_machine *m);

/* --- What it is ----------------------------------------------------------------------------- */

enum fh_region_kind {
	FH_REGION_CONTAINER,
	FH_REGION_MMIO,
	FH_REGION_RAM,
	FH_REGION_ROM,
	FH_REGION_ROM_DEVICE,
	FH_REGION_ALIAS,
	FH_REGION_RESERVATION,
};

/** A snapshot of a region, taken under the topology lock; pointers are borrowed and only as valid as
 * the caller knows. */
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
	struct fh_object *owner; /**< itself if it has no other */
};

FH_API struct fh_region_info fh_region_get_info(struct fh_region *region);

/**
 * Call @visit for each subregion, topmost first. In a transaction of the caller's, so that the tree
 * stays as it is; @visit may not edit.
 */
FH_API void fh_region_each_sub(struct fh_region *region,
			       bool (*visit)(struct fh_region *sub, void *arg), void *arg);

/** Host pointer to the start of a RAM, ROM or ROM device region, else NULL. Valid as long as the region. */
FH_API void *fh_region_ram(struct fh_region *region);

FH_END_DECLS

#endif
