/* SPDX-License-Identifier: MIT */
/*
 * Listings: a machine's memory map as plain values, and in print: as text in the layout that users
 * of QEMU's `info mtree` know, and as JSON, from which the same map can be built again
 * (docs/memory-map.md has the format).
 *
 * A listing is a copy, taken in one look under the topology lock: what it says was true at one
 * moment. It refers to nothing, so that it can be kept, changed and printed at leisure; printing
 * takes no lock. Regions refer to each other by number, their place in the listing, in order of
 * their births.
 */
#ifndef FREEHOLD_LISTING_H
#define FREEHOLD_LISTING_H

#include <freehold/space.h>

FH_BEGIN_DECLS

/** Where there is no region. */
#define FH_LISTED_NONE UINT32_MAX

/** Whose something is. */
struct fh_listed_owner {
	const char *path; /**< its path; NULL: there is none */
	bool is_device;
	bool is_parent; /**< a region that is its own: what is told is its parent in the tree */
};

/** A region. All texts, also those below, are the listing's. */
struct fh_listed_region {
	const struct fh_region *region; /**< to be compared, never used: it may be gone */
	const char *name;		/**< "": it has none */
	/**
	 * "container", "mmio", "ram", "rom", "romd" (ROM device), "ramd" (RAM device), "alias",
	 * "reservation", "iommu"; static storage.
	 */
	const char *kind;
	struct fh_listed_owner owner;
	uint64_t size; /**< FH_SIZE_ALL: 2^64 */
	uint64_t addr; /**< in its container */
	uint64_t alias_offset;
	uint32_t container;	 /**< or FH_LISTED_NONE */
	uint32_t target;	 /**< of an alias, or FH_LISTED_NONE: a hole */
	uint32_t *subs;		 /**< its subregions, topmost first */
	uint32_t sub_count;
	int32_t priority;
	bool enabled, readonly, nonvolatile, unmergeable, rom_mode;
	bool shown; /**< its owner is */
};

/** A range of a view. */
struct fh_listed_range {
	uint64_t first;
	uint64_t last;
	uint64_t offset; /**< of `first` in the region */
	uint32_t region;
	bool nonvolatile;
	const char *as; /**< fh_section_kind(); static storage */
};

/** A space. Spaces that share a view share its ranges. */
struct fh_listed_space {
	const struct fh_space *space; /**< to be compared, never used */
	const char *name;	      /**< "": it has none */
	struct fh_listed_owner owner; /**< its parent in the tree */
	uint32_t root;		      /**< or FH_LISTED_NONE */
	size_t first_range;	      /**< in fh_listing.ranges */
	size_t range_count;
};

/** The whole. Who has one may change it; what it points to stays allocated as it was. */
struct fh_listing {
	const char *origin; /**< NULL, or a text for people, which JSON begins with */
	struct fh_listed_region *regions;
	size_t region_count;
	struct fh_listed_space *spaces;
	size_t space_count;
	struct fh_listed_range *ranges;
	size_t range_count;
	void *memory; /**< the library's */
};

/**
 * All regions and spaces of the machine (owned by caller); with @space that one alone, and the
 * regions that can be reached from its root through subregions and aliases.
 * Between fh_edit_begin() and fh_edit_commit() it has the regions as they were edited, and the
 * views as they were published before, without the ranges of what was disposed of meanwhile. Takes
 * time and memory in proportion to what is listed. Context: also in listeners.
 */
FH_API struct fh_listing *fh_listing_new(struct fh_machine *m, struct fh_space *space);
/** Free it (consumed). NULL is allowed. Returns NULL. */
FH_API struct fh_listing *fh_listing_free(struct fh_listing *listing);
/** fh_listing_free() for FH_CLEANUP. */
FH_API void fh_listing_freep(struct fh_listing **listing);

/** What is printed; a combination. */
enum fh_mtree {
	FH_MTREE_FLAT = 1 << 0,	    /**< views, not trees */
	FH_MTREE_OWNERS = 1 << 1,   /**< and whose everything is */
	FH_MTREE_DISABLED = 1 << 2, /**< also regions that are not enabled or not shown */
	FH_MTREE_JSON = 1 << 3,	    /**< all there is, in JSON; the other flags mean nothing */
};

/**
 * Print the listing. Text: control characters in names are '?'. JSON: bytes that are not UTF-8 are
 * U+FFFD. Errors of @out are left for ferror().
 */
FH_API void fh_listing_print(const struct fh_listing *listing, unsigned flags, FILE *out);

/** Print what a machine, or one space of it, looks like now: a listing, printed and freed. */
FH_API void fh_mtree(struct fh_machine *m, struct fh_space *space, unsigned flags, FILE *out);

FH_END_DECLS

#endif
