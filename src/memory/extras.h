/* SPDX-License-Identifier: MIT */
/*
 * What some regions have besides their callbacks: eventfds and coalesced ranges.
 *
 * R1. Editors change the lists of struct fh_extras under the topology lock, in a transaction. Its
 *     commit makes a new table of them, which never changes, before anybody is told of anything,
 *     and publishes it before the views.
 * R2. Each such change turns FH_RANGE_TURN of all that the region shows, so that the commit
 *     publishes every range of it anew: lookasides forget it, and all its places are noted, as
 *     removed, added or reflagged (publish.c R8).
 * R3. A reader looks at the table only if the range that it found says that there is one: then
 *     the region has its links and extras since before that range was published, until it is
 *     finalized.
 * R4. The table of before a commit stays until all listeners have been told, then for a grace
 *     period. So does each eventfd that was disposed of, with its descriptor.
 * R5. All regions with coalesced ranges are in topology->gathering. Their owners have
 *     FH_OBJECT_GATHERS, so that all registers of such an owner show with FH_RANGE_FLUSH; where it
 *     changes, they are touched.
 * R6. Who has kept the flags of a range over read sections (pinned sections, bounce buffers) has
 *     these flags looked up again. FH_OBJECT_EXTRAS says that there is something to look at.
 */
#ifndef MEMORY_EXTRAS_H
#define MEMORY_EXTRAS_H

#include "base/reaper.h"
#include "freehold/eventfd.h"
#include "memory/links.h"
#include "memory/render.h"
#include "memory/topology.h"

/* One eventfd, as readers and listeners need it. */
struct fh_extra_event {
	struct fh_eventfd_match match;
	int fd;			    /* the library's, as long as the table */
	struct fh_eventfd *eventfd; /* only compared */
};

struct fh_extra_table {
	struct fh_deferred retire;
	struct fh_span *coalesced; /* in order, disjoint; behind the events */
	size_t coalesced_count;
	bool flush; /* fh_region_set_flush_coalesced() */
	size_t count;
	struct fh_extra_event events[]; /* by offset; at one offset the most specific first */
};

struct fh_extras {
	struct fh_region *region;		/* C */
	_Atomic(struct fh_extra_table *) table; /* P for writing; NULL: nothing */
	struct fh_extra_table *before, *after;	/* P: in a commit that changes it */
	struct fh_list changed_link;		/* P: in topology->extras_changed; region held */
	FH_VECTOR(fh_eventfds, struct fh_eventfd *) eventfds; /* P: in the order of events */
	struct fh_spans coalesced;		/* P */
	struct fh_list gather_link;		/* P: R5 */
	bool turn;				/* P: R2 */
	bool flush;				/* P: fh_region_set_flush_coalesced() */
};

/* How the region shows, as far as it is this: internal flags. Topology lock held. */
uint32_t fh_extras_flags(const struct fh_region *region);

/*
 * The flags that a range of the region had when it was found, with these as they are now (R6). In a
 * read section.
 */
uint32_t fh_extras_flags_now(const struct fh_region *region, uint32_t flags);

/* What is published. In a read section, R3; or under the topology lock. */
static inline const struct fh_extra_table *fh_extras_table(const struct fh_region *region)
{
	/* Acquire: pairs with the release in fh_extras_publish(). */
	return atomic_load_explicit(&region->links->extras->table, memory_order_acquire);
}

/* The region's, made if it has none. In a transaction. */
struct fh_extras *fh_extras_of(struct fh_region *region);
/* One of its lists has changed, or what is made of them. In a transaction. */
void fh_extras_changed(struct fh_extras *extras);

/* The region is disposed of: it has none any more. */
void fh_extras_detach(struct fh_region *region);
/* At finalize. */
void fh_extras_free(struct fh_extras *extras);

/*
 * At commit: make what is going to be published; publish it, before the views; clean up when all
 * listeners have been told.
 */
void fh_extras_make(struct fh_topology *topology);
void fh_extras_publish(struct fh_topology *topology);
void fh_extras_told(struct fh_topology *topology);

/* --- eventfd.c -------------------------------------------------------------------------------- */

/* The one that has been added, as an event. */
struct fh_extra_event fh_eventfd_event(const struct fh_eventfd *eventfd);
/* The region is disposed of. */
void fh_eventfd_cut_off(struct fh_eventfd *eventfd);
/* The order of events; 0: the same match. */
int fh_eventfd_compare(const struct fh_eventfd_match *a, const struct fh_eventfd_match *b);
/*
 * A store of the value to the region: true if an eventfd was signalled for it. In a read section.
 */
bool fh_eventfd_signal(const struct fh_region *region, uint64_t offset, unsigned size,
		       uint64_t value);

/* --- coalesced.c ------------------------------------------------------------------------------ */

/* A listener with coalesced_flush. */
struct fh_flusher {
	struct fh_object *listener;
	struct fh_object *owner;
	void (*flush)(void *state);
	void *state;
};

/* It joins, or leaves. Topology lock held; the listener stays for a grace period. */
void fh_coalesced_add_flusher(struct fh_topology *topology, const struct fh_flusher *flusher);
void fh_coalesced_remove_flusher(struct fh_topology *topology, const struct fh_object *listener);

/*
 * Ask all who keep stores to bring them. In a read section, which it may leave for a while
 * (t->left). Within itself: nothing.
 */
void fh_coalesced_flush(struct fh_thread *t, struct fh_machine *m);

#endif
