/* SPDX-License-Identifier: MIT */
/*
 * The oracle of the map: what an address space has to show, worked out in the most straightforward
 * way from a model of the region tree that the test keeps itself.
 *
 * R1. Nothing is read back from the library, and nothing is remembered from one painting to the
 *     next.
 * R2. The 2^64 addresses are divided into at most 4,096 cells, and each cell is asked for by its
 *     first address alone. A cell begins wherever anything in the model begins or ends, seen
 *     through any chain of containers and aliases; so within a cell nothing changes. A full
 *     painting has 4,096 cells: the rest begin at random addresses, which must not make a
 *     difference.
 */
#ifndef MODEL_ORACLE_H
#define MODEL_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <freehold/freehold.h>

enum {
	MODEL_REGIONS = 600,
	MODEL_OWNERS = 12,
	MODEL_SPACES = 8,
	MODEL_LISTENERS = 12,
	MODEL_CELLS = 4096,
	MODEL_INSTANCES = 1600, /* places at which some region is seen, per space */
	MODEL_EVENTFDS = 24,
	MODEL_SPANS = 24, /* coalesced ranges, as they were added */
	MODEL_PAGES = 64, /* that a region may have, where dirty ones are counted */
};

#define MODEL_NONE (-1)

struct model_region {
	struct fh_region *real; /* NULL: there is none in this slot */
	uint8_t *ram;
	enum fh_region_kind kind;
	int owner; /* or MODEL_NONE: its own */
	int container;
	int target;
	uint64_t size;
	uint64_t addr;
	uint64_t alias_offset;
	uint64_t capacity; /* of RAM kinds */
	uint64_t order;
	int32_t priority;
	bool enabled, readonly, nonvolatile, unmergeable, rom_mode;
	bool builtin; /* the machine's own: does not end before it */
	bool big_endian;
	bool flush;	 /* asks for coalesced stores, by itself */
	uint8_t log_own; /* clients that log it, beside those that log everything */
};

struct model_owner {
	struct fh_object *real; /* NULL: there is none in this slot */
	int parent;
	bool is_device;
	bool realized;
	bool shown;
	bool requested; /* its own dispose, not that of one above */
	bool hidden; /* for ever; the rest of its dispose is still to come */
	uint64_t hidden_at; /* those hidden together have the same; the first ones end first */
};

struct model_space {
	struct fh_space *real; /* NULL: there is none in this slot */
	int owner;
	int root; /* or MODEL_NONE */
	bool builtin;
};

struct model_listener {
	struct fh_listener *real; /* NULL: there is none in this slot */
	int owner;
	int space; /* or MODEL_NONE: the space is gone */
	int32_t priority;
	uint8_t callbacks;
};

struct model_eventfd {
	struct fh_eventfd *real; /* NULL: there is none in this slot */
	int owner;
	int region; /* or MODEL_NONE: the region is gone */
	struct fh_eventfd_match match;
	uint64_t serial; /* no other has it */
};

struct model_span {
	bool used;
	int region;
	uint64_t first, last;
};

struct model {
	struct model_region regions[MODEL_REGIONS];
	struct model_owner owners[MODEL_OWNERS];
	struct model_space spaces[MODEL_SPACES];
	struct model_listener listeners[MODEL_LISTENERS];
	struct model_eventfd eventfds[MODEL_EVENTFDS];
	struct model_span spans[MODEL_SPANS];
	uint8_t log_all; /* clients that log everything */
	uint64_t order;
	int region_slots; /* beyond these no region has been */
};

/* Ranges in order of address. */
struct view {
	size_t count;
	struct fh_section at[MODEL_CELLS];
};

/* Subregions, topmost first. */
struct model_kids {
	int begin[MODEL_REGIONS + 1];
	int kid[MODEL_REGIONS];
};

/* A pseudo-random number generator: the whole of a run follows from its seed. */
struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *rng);
/* Less than @limit, which is not 0. */
uint64_t rng_below(struct rng *rng, uint64_t limit);
/* True in @percent of 100 cases. */
bool rng_chance(struct rng *rng, unsigned percent);

bool model_is_visible(const struct model *model, int region);
bool model_has_memory(const struct model_region *region);
bool model_has_callbacks(const struct model_region *region);
/* The clients that log it. */
uint8_t model_log_mask(const struct model *model, int region);
/* Is @to @from, or below it by way of containers and aliases? */
bool model_reaches(const struct model *model, const struct model_kids *kids, int from, int to);
void model_sort_kids(const struct model *model, struct model_kids *ret);

/*
 * At how many places regions are seen from @root, if nothing hid them; at most MODEL_INSTANCES + 1.
 * Which, is noted in @ret_seen[MODEL_REGIONS] unless it is NULL.
 */
size_t oracle_count(const struct model *model, const struct model_kids *kids, int root,
		    bool *ret_seen);

/*
 * What a space with that root shows. With @rng every cell there can be is painted.
 */
void oracle_paint(const struct model *model, const struct model_kids *kids, int root,
		  struct rng *rng, struct view *ret);

bool section_equal(const struct fh_section *a, const struct fh_section *b);
bool view_equal(const struct view *a, const struct view *b);
/* What @to has not of @from, and the other way round. */
void view_difference(const struct view *from, const struct view *to, struct view *ret_removed,
		     struct view *ret_added);

#endif
