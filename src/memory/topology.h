/* SPDX-License-Identifier: MIT */
/*
 * The topology of a machine: the lock under which its map is edited, what a transaction has
 * touched, and what its commit does: resolve, climb, render, publish, tell, retire.
 *
 * R1. An edit records the windows that it touches, in the coordinates of the region at whose level
 *     it changes something, before and after the change. Commit carries each window upward through
 *     containers and aliases to every view. A link that changes records its whole window at its
 *     upper side, so that what lay below it is covered even if it moved since.
 * R2. All views are published before any listener is told, but of what is to come (`prepare`),
 *     which all are told before any is published; only when every listener has returned does the
 *     grace period of what was replaced begin (L3): one deferred call per commit.
 * R3. Nothing in a commit waits for a grace period.
 * R4. Everything here is guarded by the topology lock, but for what says otherwise.
 */
#ifndef MEMORY_TOPOLOGY_H
#define MEMORY_TOPOLOGY_H

#include "base/lock.h"
#include "memory/render.h"
#include "memory/view.h"

struct fh_flushers;
struct fh_retirement;
struct fh_space;
struct fh_view_set;

/* Something else shows in [first, last] of the region from this transaction on. */
struct fh_window {
	struct fh_region *region; /* NULL: the region was disposed of meanwhile */
	uint64_t first;
	uint64_t last;
	uint32_t older; /* index + 1 of the region's window before this, or 0 */
};
FH_VECTOR(fh_windows, struct fh_window);

struct fh_span {
	uint64_t first;
	uint64_t last;
};
FH_VECTOR(fh_spans, struct fh_span);

FH_VECTOR(fh_regions, struct fh_region *);
FH_VECTOR(fh_sections, struct fh_section);
FH_VECTOR(fh_objects, struct fh_object *);

/* Scratch of climb.c. */
struct fh_climb_step;
struct fh_climb_node;
struct fh_climb_span;
struct fh_climb {
	FH_VECTOR(fh_climb_steps, struct fh_climb_step) steps;
	FH_VECTOR(fh_climb_nodes, struct fh_climb_node) nodes;
	FH_VECTOR(fh_climb_links, struct fh_climb_span) pool;
	struct fh_spans spans;
};

/* A range of which only internal flags have changed. */
struct fh_reflag {
	struct fh_range range; /* as it is now */
	uint32_t before;       /* its flags until then */
};
FH_VECTOR(fh_reflags, struct fh_reflag);

/* An eventfd or a coalesced range of a region, at a place in a space. */
struct fh_extra_event;
struct fh_extra {
	struct fh_range range;		    /* the bytes of it, clipped */
	const struct fh_extra_event *event; /* NULL: a coalesced range */
};
FH_VECTOR(fh_extra_list, struct fh_extra);

/* The differences of all view sets in one commit, each set's in a row. */
struct fh_changes {
	struct fh_ranges removed;
	struct fh_ranges added;
	struct fh_reflags reflagged;
};

struct fh_topology {
	struct fh_machine *machine;
	struct fh_lock lock;
	unsigned depth;		     /* of nested transactions */
	uint64_t next_order;	     /* for fh_region.order */
	uint64_t graph_epoch;	     /* grows when a view may have come above a region */
	uint64_t commits;	     /* so far */
	struct fh_list spaces;	     /* fh_space.all_link: all that are not detached */
	struct fh_list sets;	     /* fh_view_set.all_link: all that some space shows */
	struct fh_view_pool pool;
	struct fh_list rams;	     /* fh_ram_region.ram_link: all that are not detached */
	uint8_t log_global;	     /* clients that log all of these (dirty.c) */
	_Atomic(struct fh_flushers *) flushers; /* listeners with coalesced_flush; P for writing */
	_Atomic uint64_t switches;   /* commits that had a space show another view; P for writing */
	_Atomic unsigned log_hooks;  /* listeners with log_sync or log_clear; P for writing */
	unsigned preparers;	     /* listeners with prepare */
	_Atomic uint64_t log_complete; /* a grace period has passed since that commit, at least */

	/* What the transaction is about. */
	struct fh_windows windows;
	struct fh_list unresolved;   /* fh_space.unresolved_link: may show another region */
	struct fh_list leaving;	     /* fh_listener.link: to be told removals, for the last time */
	struct fh_list departing;    /* fh_listener.wait_link: the same, when all have been told */
	struct fh_list joining;	     /* fh_listener.wait_link: will then be told additions */
	struct fh_list gathering;      /* fh_extras.gather_link: have coalesced ranges */
	struct fh_list extras_changed; /* fh_extras.changed_link: whose regions are held */
	bool log_starting;	     /* of regions that it had logged until then by less */

	/* What the commit has worked out. */
	struct fh_list dirty;	     /* fh_view_set.dirty_link: with windows to render */
	struct fh_list switched;     /* fh_space.switched_link: that show another set */
	struct fh_view_set *dead;    /* by dead_next: that no space shows any more */
	struct fh_changes changes;
	struct fh_view_retired retired;
	struct fh_objects unpins;     /* and what it held meanwhile */

	/* Scratch. */
	struct fh_regions stack;
	struct fh_climb climb;
	struct fh_render render;
	struct fh_ranges old, rendered;
	struct fh_objects appeared;
	struct fh_changes difference; /* of one space that switched */
	struct fh_extra_list gone, come; /* of one space */
	struct fh_sections sections;

	/* Records of what commits retire: not in use. */
	struct fh_retirement *retirements;
	_Atomic(struct fh_retirement *) returned; /* by the reaper, without lock */
};

void fh_topology_init(struct fh_machine *m);
/* Everything was disposed of and the reaper drained. */
void fh_topology_fini(struct fh_machine *m);

/*
 * Outermost begin takes the lock (FH_HELD_TOPOLOGY); outermost commit publishes and releases. Not
 * in a listener's callback (asserted).
 */
void fh_topology_begin(struct fh_machine *m);
void fh_topology_commit(struct fh_machine *m);

/*
 * The same, and also in a callback of a listener of this machine, by who changes nothing but who
 * listens: then it is part of the transaction that the listener is told of.
 */
void fh_topology_join(struct fh_machine *m);

/* FH_OK, or FH_EPERM: the thread is in a listener, or another leaf, where nothing is edited. */
enum fh_code fh_topology_check_context(struct fh_error *err);

/* The lock alone, to look at something: also in a transaction, and in a listener's callback. */
void fh_topology_look_begin(struct fh_machine *m);
void fh_topology_look_end(struct fh_machine *m);

static inline bool fh_topology_is_mine(struct fh_machine *m)
{
	return fh_lock_held_by_me(&m->topology->lock);
}

/* Note that [first, last] of @region shows something else from the commit on. */
void fh_topology_touch(struct fh_machine *m, struct fh_region *region, uint64_t first,
		       uint64_t last);

/* The region is disposed of: forget its windows. */
void fh_topology_forget(struct fh_region *region);

/* A link has changed above which views may be. */
static inline void fh_topology_graph_changed(struct fh_topology *topology)
{
	topology->graph_epoch++;
}

/*
 * Print in which spaces views show the object; returns how many ranges do, each of which pins it
 * (L8). Takes the topology lock.
 */
uint32_t fh_topology_explain(struct fh_object *object, FILE *out);

/* --- Windows upward (climb.c) --------------------------------------------------------------- */

/*
 * [first, last] of @region in coordinates of its container, or of the alias that shows it. False:
 * nothing of it is seen there.
 */
bool fh_climb_to_container(const struct fh_region *region, struct fh_span *span);
bool fh_climb_to_alias(const struct fh_alias *alias, struct fh_span *span);

/* Carry all windows to the view sets that show them, which become dirty. */
void fh_climb_windows(struct fh_topology *topology);
void fh_climb_reset(struct fh_climb *climb);
void fh_climb_free(struct fh_climb *climb);

/* Sort, and join what overlaps or touches. */
void fh_spans_merge(struct fh_spans *spans);

/* --- Which region a space shows (resolve.c) -------------------------------------------------- */

/* Something that decides to what @region resolves may have changed. */
void fh_resolve_check(struct fh_region *region);
/* The space's root has changed. */
void fh_resolve_space(struct fh_space *space);
/* Give all unresolved spaces the view sets of what they show now. */
void fh_resolve_run(struct fh_topology *topology);

/* --- Commit (publish.c, retire.c) ------------------------------------------------------------ */

void fh_publish_run(struct fh_topology *topology);

/* Pin what appeared, list what is to be unpinned. */
void fh_retire_pins(struct fh_topology *topology);
/* Hand everything that the commit replaced to the reaper. */
void fh_retire_run(struct fh_topology *topology);
void fh_retire_fini(struct fh_topology *topology);

/* --- Listeners (listener.c, listener-tell.c, listener-prepare.c) ----------------------------- */

/* Tell those who want to know of it before what the commit is going to publish. */
void fh_listeners_prepare(struct fh_topology *topology);

/* Tell everybody who has to know of the commit, now that it is published. */
void fh_listeners_tell(struct fh_topology *topology);
/* The space is disposed of: its listeners are told once more, at commit. */
void fh_listeners_leave(struct fh_space *space);

/*
 * Have the listeners of all spaces that show @region bring their dirty bits of its bytes
 * first..last (log_sync), or tell them that bits were taken (log_clear). Costs nothing if none has
 * the callback.
 */
void fh_listeners_log(struct fh_region *region, uint64_t first, uint64_t last, bool clear);

#endif
