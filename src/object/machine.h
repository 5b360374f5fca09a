/* SPDX-License-Identifier: MIT */
/*
 * The machine, as the layers of the library see it. It begins with the root of its tree.
 *
 * Upper layers hang their own part here by a pointer that only they follow, and give the object
 * layer what it needs of them in a table, so that includes point downward only.
 */
#ifndef OBJECT_MACHINE_H
#define OBJECT_MACHINE_H

#include "base/lock.h"
#include "object/object.h"

struct fh_default;  /* default.c */
struct fh_topology; /* memory layer */
struct fh_domain;   /* memory layer */
struct fh_devices;  /* device layer */
struct fh_wait;	    /* memory layer */

struct fh_machine_ops {
	/* memory: transactions of the topology lock. */
	void (*edit_begin)(struct fh_machine *m);
	void (*edit_commit)(struct fh_machine *m);
	/*
	 * As edit_begin, but also in a callback of a listener: for what may be disposed of there.
	 */
	void (*edit_join)(struct fh_machine *m);
	/* memory: a callback of @holder for @target, in its domain; see fh_chain_call(). */
	bool (*call)(struct fh_object *owner, void (*call)(void *arg), void *arg);
	/*
	 * device: the domain of callbacks for what @owner owns (borrowed), or NULL if none is above
	 * it.
	 */
	struct fh_domain *(*domain_of)(struct fh_object *owner);
	/* memory: print where views still show the object; returns how many ranges (pins). */
	uint32_t (*explain)(struct fh_object *object, FILE *out);
	/*
	 * memory (NULL: nothing): a pin ends because its holder does, and not by its user. It has
	 * not ended yet. Maybe under the topology lock.
	 */
	void (*pin_lapses)(struct fh_pin *pin);
	/*
	 * device: unrealize every realized device of the subtree, last realized first. On control,
	 * no locks.
	 */
	void (*unrealize)(struct fh_object *top);
	/*
	 * device: whether @child, with all below it, may be put below @parent: false if realizes of
	 * two threads would be in progress, one below the other. Tree lock held.
	 */
	bool (*may_join)(struct fh_object *parent, struct fh_object *child);
	/* device: run what is due; true if anything was. */
	bool (*poll)(struct fh_machine *m);
};

struct fh_control {
	struct fh_lock lock;	   /* control itself: who holds it may wait for grace periods */
	struct fh_lock queue_lock; /* Q */
	struct fh_object *first;   /* Q: linked by deferred.next; each holds a pin */
	struct fh_object *last;	   /* Q */
};

struct fh_machine {
	struct fh_object root;
	const struct fh_machine_ops *ops;
	struct fh_loop_ops loop_ops; /* zero: none */
	void *loop;
	struct fh_reaper *reaper;

	struct fh_lock tree_lock;   /* T */
	struct fh_list families;    /* T: family.h */
	struct fh_lock links_lock;  /* weak refs, watches, revocable pins, link properties and strings */
	struct fh_lock ledger_lock; /* A */
	struct fh_list objects;	    /* A */
	uint64_t died;		    /* A: objects finalized */
	uint64_t orders;	    /* A: the last fh_object.order */

	struct fh_control control;
	struct fh_gate drained; /* opened when an owner's `blocked` becomes 0 */

	struct fh_lock class_lock;
	_Atomic(struct fh_class_table *) classes;
	const struct fh_type **types; /* class lock: known by name */
	size_t type_count;
	_Atomic(struct fh_default *) defaults; /* class lock; NULL: none (default.c) */

	_Atomic uint64_t realizations; /* device: order in which realizations completed */
	struct fh_topology *topology;  /* memory */
	struct fh_devices *devices;    /* device: device/device.h */
	struct fh_space *memory;       /* memory: the space "memory" */

	struct fh_lock wait_lock;      /* memory (chain.h): a leaf */
	struct fh_wait *waits;	       /* wait lock: threads of a chain that wait for a domain */
	struct fh_lock room_lock;      /* memory (room.h): a leaf */
	struct fh_list room_due;       /* room lock: waiters for room to be called */
};

static inline struct fh_object *fh_machine_object(struct fh_machine *m)
{
	return &m->root;
}

/* --- Locks ---------------------------------------------------------------------------------- */

/* The locks of object.h's R3, in their order; a holding's, the last, is taken in pin.c only. */
enum fh_rank { FH_RANK_TOPOLOGY, FH_RANK_TREE, FH_RANK_LEDGER, FH_RANK_LINKS };

/* The thread may take that lock next: it has none that comes later. Checked in the tests' build. */
static inline void fh_rank_assert(const struct fh_machine *m, enum fh_rank next)
{
#ifdef FH_POINTS
	fh_assert(!fh_lock_held_by_me(&m->links_lock));
	fh_assert(next >= FH_RANK_LEDGER || !fh_lock_held_by_me(&m->ledger_lock));
	fh_assert(next >= FH_RANK_TREE || !fh_lock_held_by_me(&m->tree_lock));
#else
	(void)m;
	(void)next;
#endif
}

static inline void fh_tree_acquire(struct fh_machine *m) FH_ACQUIRE(m->tree_lock)
{
	fh_rank_assert(m, FH_RANK_TREE);
	fh_lock_acquire(&m->tree_lock);
}

static inline void fh_ledger_acquire_as(struct fh_machine *m, struct fh_thread *t)
	FH_ACQUIRE(m->ledger_lock)
{
	fh_rank_assert(m, FH_RANK_LEDGER);
	fh_lock_acquire_as(&m->ledger_lock, t);
}

static inline void fh_ledger_acquire(struct fh_machine *m) FH_ACQUIRE(m->ledger_lock)
{
	fh_ledger_acquire_as(m, fh_thread_self());
}

static inline void fh_links_acquire_as(struct fh_machine *m, struct fh_thread *t)
	FH_ACQUIRE(m->links_lock)
{
	fh_rank_assert(m, FH_RANK_LINKS);
	fh_lock_acquire_as(&m->links_lock, t);
}

static inline void fh_links_acquire(struct fh_machine *m) FH_ACQUIRE(m->links_lock)
{
	fh_links_acquire_as(m, fh_thread_self());
}

/* --- Parts of the layer --------------------------------------------------------------------- */

/*
 * object layer's part of fh_machine_new() and of the end of fh_machine_destroy(). Init fails, with
 * err set and the machine as it was, if it has no reaper.
 */
enum fh_code fh_machine_init_objects(struct fh_machine *m, const struct fh_machine_ops *ops,
				     const struct fh_machine_options *options,
				     struct fh_error *err);
void fh_machine_fini_objects(struct fh_machine *m);

/* tree.c: the object's path as it is, or was last, as a string to be fh_free'd. Tree lock held. */
char *fh_object_path_locked(struct fh_object *object);

/* Have the embedder poll, if it has a loop. From anywhere. */
void fh_machine_kick(struct fh_machine *m);

/* control.c: put the object's dispose on the queue; the caller's pin passes over. */
void fh_control_queue(struct fh_object *object);
/*
 * Take control, dispose of @object (or NULL), whose pin passes over, and run the queue until it is
 * empty. True if anything was done. Must be allowed to wait.
 */
bool fh_control_run(struct fh_machine *m, struct fh_object *object);
/* death.c: the whole of L6 for one object, on control; the caller's pin is consumed. */
void fh_object_dispose_now(struct fh_object *object);

#endif
