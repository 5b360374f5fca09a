/* SPDX-License-Identifier: MIT */
/*
 * A memory map from a file: what was read, and the machine that was built from it.
 *
 * R1. The number of a region is its place in the file's list. Wherever a map is printed or
 *     compared, what the library says is told apart by this number.
 * R2. A map is built once and only rendered: nothing in it is ever accessed, so its RAM has no
 *     memory behind it and its registers have no callbacks.
 * R3. A map that fh_map_load() returned has no numbers out of range, no region in two places, and
 *     no cycle but those that `unrolled` aliases close (see map-graph.c).
 */
#ifndef CLI_MAP_H
#define CLI_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <freehold/base.h>
#include <freehold/listing.h>
#include <freehold/machine.h>
#include <freehold/region.h>
#include <freehold/space.h>

#define FH_MAP_NONE UINT32_MAX

/* A file larger than this is refused before it is parsed. */
#define FH_MAP_FILE_LIMIT (UINT64_C(256) << 20)
/* As is one with more values than this: each takes about a hundred bytes while it is parsed. */
#define FH_MAP_VALUE_LIMIT (UINT64_C(16) << 20)
/* And a map that shows more pieces of regions than this, over all its spaces. */
#define FH_MAP_PIECE_LIMIT (UINT64_C(16) << 20)

enum fh_map_kind {
	FH_MAP_CONTAINER,
	FH_MAP_MMIO,
	FH_MAP_RAM,
	FH_MAP_ROM,
	FH_MAP_ROMD,
	FH_MAP_RAMD,
	FH_MAP_ALIAS,
	FH_MAP_RESERVATION,
	FH_MAP_IOMMU,
	FH_MAP_KINDS
};

/* As in the file, and as listings name them. */
extern const char *const fh_map_kind_names[FH_MAP_KINDS];

/* Whose a region or space is: text for people. */
struct fh_map_owner {
	char *path; /* or NULL */
	bool is_device;
	bool is_parent;
};

struct fh_map_region {
	char *name;
	enum fh_map_kind kind;
	uint64_t addr;
	uint64_t size; /* FH_SIZE_ALL: 2^64 */
	int32_t priority;
	bool enabled;
	bool shown;	    /* its owner is */
	bool readonly;
	bool nonvolatile;
	bool unmergeable;
	bool rom_mode;	    /* romd only */
	bool unrolled;	    /* alias only: see map-graph.c */
	uint32_t *subs;	    /* topmost first */
	uint32_t sub_count;
	uint32_t container; /* FH_MAP_NONE: none */
	uint32_t target;    /* alias only; FH_MAP_NONE: a hole */
	uint64_t alias_offset;
	struct fh_map_owner owner;
	struct fh_region *region; /* (owned) once it is built */
};

struct fh_map_range {
	uint64_t first;
	uint64_t last;
	uint64_t offset;
	uint32_t region;
	bool nonvolatile;
	const char *as; /* static storage */
};

struct fh_map_space {
	char *name;
	struct fh_map_owner owner;
	uint32_t root; /* FH_MAP_NONE: nothing is mapped */
	bool has_flat;
	size_t flat_count;
	struct fh_map_range *flat;
	struct fh_space *space; /* (owned) once it is built */
};

/* Which number stands for a region; sorted by pointer. */
struct fh_map_entry {
	const struct fh_region *region;
	uint32_t number;
};

struct fh_map {
	char *origin; /* or NULL */
	size_t region_count;
	struct fh_map_region *regions;
	size_t space_count;
	struct fh_map_space *spaces;
	uint64_t piece_count; /* of regions that it shows, over all spaces, if nothing hid them */

	/* What fh_map_build() made. */
	struct fh_machine *m;
	void *backing;		   /* a page that cannot be accessed: see R2 */
	struct fh_device *hidden;  /* the owner of what is not shown, or NULL */
	size_t extra_count;
	struct fh_region **extras; /* (owned) what unrolled aliases need */
	size_t entry_count;
	struct fh_map_entry *entries;
};

/* map-load.c: read a file (owned by caller). Errors: NULL, *err names the place in the file. */
struct fh_map *fh_map_load(const char *path, struct fh_error *err);
/* The same of a file's contents. */
struct fh_map *fh_map_load_text(const char *text, size_t size, struct fh_error *err);
/* Everything, the machine included. NULL is allowed. Returns NULL. */
struct fh_map *fh_map_free(struct fh_map *map);
void fh_map_freep(struct fh_map **map);

/*
 * map-graph.c: FH_ELOOP the map is endless; FH_ELIMIT it is too large. Sets `unrolled` and
 * `piece_count`.
 */
enum fh_code fh_map_check_graph(struct fh_map *map, struct fh_error *err);
/* The next subregion of an unrolled alias' target that its window meets, from place *at on. */
uint32_t fh_map_next_in_window(const struct fh_map *map, uint32_t alias, uint32_t *at);

/* map-build.c: make the machine, its regions and spaces. At most once. */
enum fh_code fh_map_build(struct fh_map *map, struct fh_error *err);
/* Take it down again; what fh_map_free() does first. */
void fh_map_demolish(struct fh_map *map);
/* The number of a region of the machine; of the stand-in for a target, that of the target. */
uint32_t fh_map_number(const struct fh_map *map, const struct fh_region *region);

/*
 * map-listing.c: what the map that was built is now (owned by caller): the library's listing under
 * the file's numbers and names, which are borrowed from the map.
 */
struct fh_listing *fh_map_list(const struct fh_map *map);

/* map-check.c: compare each space with the file's `flat`; differences are printed after @path. */
struct fh_map_tally {
	uint64_t exact;
	uint64_t differ;
};
void fh_map_compare(const struct fh_map *map, const char *path, FILE *out,
		    struct fh_map_tally *tally);


/*
 * map-svg.c: draw the spaces of that name, or, if it is NULL, every view that shows anything.
 * Errors: FH_ENOENT no space has the name; FH_ELIMIT there is too much to draw. Then nothing is
 * written.
 */
enum fh_code fh_map_draw(const struct fh_listing *listing, const char *space, FILE *out,
			 struct fh_error *err);

/*
 * map-diff.c: what the spaces of two maps show differently, a line each. Returns the number of
 * lines.
 */
uint64_t fh_map_diff(const struct fh_listing *old, const struct fh_listing *new, FILE *out);

#endif
