/* SPDX-License-Identifier: MIT */
/*
 * What an object is made of, for the layers of the library.
 *
 * One allocation: [the core's struct, which begins with struct fh_object][state of each level of
 * the type, base first][name]. Every core struct (region, space, device, ...) begins with its
 * object, so that a pointer to one is a pointer to the other.
 *
 * R1. `life` holds the two counts: refs in the upper half, pins in the lower. All refs together
 *     hold one pin, so that the object is gone exactly when the word is 0 (L1).
 * R2. Flags are only ever set, except SHOWN, REALIZED and GATHERS. What they mean stands beside
 *     them.
 * R3. Fields marked T are guarded by the machine's tree lock, A by its ledger lock, P by the
 *     topology lock. Order: topology, then tree, then ledger, then links, then a holding's lock;
 *     machine.h has the functions that take them, which assert it in the tests' build.
 * R4. A class marked `immediate` has no children in the tree, and disposing of it never waits.
 */
#ifndef OBJECT_OBJECT_H
#define OBJECT_OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/reaper.h"
#include "freehold/machine.h"
#include "freehold/object.h"
#include "object/type.h"

struct fh_family;
struct fh_holding;
struct fh_concern;

enum fh_object_flag {
	FH_OBJECT_SHOWN = 1 << 0,     /* P: its regions show, its callbacks are called (L6) */
	FH_OBJECT_HIDDEN = 1 << 1,    /* P, T if it never was: never shown again */
	/* Has or had children, or was shown to the guest: dispose is for control. */
	FH_OBJECT_EXPOSED = 1 << 2,
	/* Was published, in the tree, or has weak links: finalize needs a grace period. */
	FH_OBJECT_FINDABLE = 1 << 3,
	FH_OBJECT_REQUESTED = 1 << 4, /* dispose was asked for */
	FH_OBJECT_DETACHED = 1 << 5,  /* L6 step 4 is done: no pins in its name, no links to it */
	FH_OBJECT_LEFT = 1 << 6,      /* L6 step 5 is done: disposed of */
	FH_OBJECT_FINALIZING = 1 << 7,
	FH_OBJECT_BORN = 1 << 8,      /* init has succeeded: may be found */
	FH_OBJECT_REALIZED = 1 << 9,  /* devices */
	FH_OBJECT_BUILTIN = 1 << 10,  /* the machine's own: the ledger does not count it */
	FH_OBJECT_SETTLED = 1 << 11,  /* the birth is over, well or not: see fh_object_settle() */
	FH_OBJECT_DISPOSING = 1 << 12, /* whoever set it calls the dispose callbacks (L5) */
	FH_OBJECT_GATHERS = 1 << 13,  /* P: a region of its own has coalesced ranges (extras.h R5) */
	FH_OBJECT_EXTRAS = 1 << 14,   /* a region's links and extras are there (extras.h R6) */
	/* T: it, or what is below, was shown when it joined what is not: callbacks of it may run. */
	FH_OBJECT_USED = 1 << 15,
	/* T: somebody is past the drain of it, with all below: nobody else claims any of that. */
	FH_OBJECT_TAKEN = 1 << 16,
	FH_OBJECT_CLOSED = 1 << 17,   /* T: it is being undone (undo.c): no child joins */
	FH_OBJECT_RESERVED = 1 << 18, /* T: an undo leaves it to control, for what is below */
	/*
	 * From this bit on: levels of the type whose init has succeeded, so that a failed birth
	 * undoes these.
	 */
	FH_OBJECT_LEVEL = 1 << 24,
};

struct fh_object {
	_Atomic uint64_t life;
	_Atomic uint32_t flags;
	_Atomic uint32_t blocked; /* callbacks of this owner that blocked and have not returned (L6) */
	const struct fh_class *class;
	struct fh_machine *machine;
	struct fh_object *parent;	/* T */
	struct fh_list sibling;		/* T: in parent->family->children, order of creation; or gone */
	struct fh_list all;		/* A: in machine->objects */
	struct fh_family *family;	/* T: children and their names; NULL until the first */
	_Atomic(struct fh_holding *) holding; /* pins in its name; NULL until the first */
	_Atomic(struct fh_concern *) concern; /* links lock: weak refs, watches and revocable pins on it */
	_Atomic(const char *) name;	/* NULL: none; set once, at birth or when it joins the tree */
	char *name_storage;		/* if it joined the tree after birth; goes with the object */
	char *last_path;		/* set once by leave, before LEFT */
	union {
		struct fh_deferred deferred; /* the reaper's; before that, `next` is control's */
		struct {
			struct fh_deferred *queue_next; /* deferred.next */
			uint64_t order : 48; /* T: of births, or of when it joined its parent later */
			uint64_t inner : 16; /* T: steps up to what was not born when it joined, or 0 */
		};
	};
};

/* --- The life word -------------------------------------------------------------------------- */

#define FH_LIFE_REF (UINT64_C(1) << 32)
#define FH_LIFE_PIN UINT64_C(1)

static inline uint32_t fh_object_refs(const struct fh_object *object)
{
	return (uint32_t)(atomic_load_explicit(&object->life, memory_order_relaxed) >> 32);
}

static inline uint32_t fh_object_pins(const struct fh_object *object)
{
	return (uint32_t)atomic_load_explicit(&object->life, memory_order_relaxed);
}

/*
 * An anonymous pin: the core's own uses (a view's range, a region's hold on its owner, a blocked
 * callback), each of which fh_object_explain() can account for. The caller holds a pin or ref, or
 * found the object in the present read section.
 */
static inline void fh_object_hold(struct fh_object *object)
{
	/* Relaxed: whoever adds a pin already has the object. */
	const uint64_t life =
		atomic_fetch_add_explicit(&object->life, FH_LIFE_PIN, memory_order_relaxed);

	fh_assert((uint32_t)life != 0);
}

/* The last pin is gone: finalize, here or on the reaper. */
void fh_object_last_unhold(struct fh_object *object);

static inline void fh_object_unhold(struct fh_object *object)
{
	/* Release: what was done with the object precedes its finalize, which acquires. */
	const uint64_t life =
		atomic_fetch_sub_explicit(&object->life, FH_LIFE_PIN, memory_order_acq_rel);

	fh_assert((uint32_t)life != 0);
	if (FH_UNLIKELY(life == FH_LIFE_PIN))
		fh_object_last_unhold(object);
}

static inline bool fh_object_has(const struct fh_object *object, uint32_t flags)
{
	/* Acquire: pairs with the release in fh_object_set_flags(). */
	return (atomic_load_explicit(&object->flags, memory_order_acquire) & flags) != 0;
}

/* Returns the flags as they were. */
static inline uint32_t fh_object_set_flags(struct fh_object *object, uint32_t flags)
{
	/* seq_cst for DETACHED: see holding_new() in pin.c. */
	return atomic_fetch_or_explicit(&object->flags, flags, memory_order_seq_cst);
}

/*
 * True if nobody but the calling thread can reach the object: it has one ref or pin, which is the
 * caller's, and was never findable. Then what would be a locked operation may be a plain one.
 */
static inline bool fh_object_is_alone(const struct fh_object *object, uint64_t life)
{
	/* Acquire: the other holders' last use precedes what the caller does now. */
	return atomic_load_explicit(&object->life, memory_order_acquire) == life &&
	       !(atomic_load_explicit(&object->flags, memory_order_relaxed) &
		 (FH_OBJECT_FINDABLE | FH_OBJECT_EXPOSED));
}

/* fh_object_set_flags() of an object that is alone. */
static inline void fh_object_set_flags_alone(struct fh_object *object, uint32_t flags)
{
	atomic_store_explicit(&object->flags,
			      flags | atomic_load_explicit(&object->flags, memory_order_relaxed),
			      memory_order_relaxed);
}

static inline uint32_t fh_object_clear_flags(struct fh_object *object, uint32_t flags)
{
	return atomic_fetch_and_explicit(&object->flags, ~flags, memory_order_acq_rel);
}

/* The look at the shown bit that precedes every callback. In a read section. */
static inline bool fh_object_is_shown(const struct fh_object *object)
{
	return fh_object_has(object, FH_OBJECT_SHOWN);
}

/* --- Birth ---------------------------------------------------------------------------------- */

/*
 * Make an object of @type under @parent (NULL: no parent, one ref for the caller).
 * The order: allocate, reserve the name, @construct(object, arg) for the core's own fields (may be
 * NULL), init base first, be findable. Returns (borrowed from the parent, or owned by caller), or
 * NULL with *err. An object under a parent that is not shown is not shown; otherwise it is, unless
 * it is a device.
 */
struct fh_object *fh_object_create(struct fh_machine *m, struct fh_object *parent, const char *name,
				   const struct fh_type *type,
				   enum fh_code (*construct)(struct fh_object *object, void *arg,
							     struct fh_error *err),
				   void *arg, struct fh_error *err);

/*
 * The owner argument of public constructors: NULL for a machine, else the object. *ret_m is its
 * machine.
 */
struct fh_object *fh_owner_of(FH_ANY owner, struct fh_machine **ret_m);

static inline struct fh_object *fh_object_of(FH_ANY any)
{
	return any.object;
}

/* What is made for an owner pins it until its own finalize; NULL: it is its own. Returns whose. */
static inline struct fh_object *fh_owner_pin(struct fh_object *object, struct fh_object *owner)
{
	if (!owner)
		return object;
	fh_object_hold(owner);
	return owner;
}

static inline void fh_owner_unpin(struct fh_object *object, struct fh_object *owner)
{
	if (owner != object)
		fh_object_unhold(owner);
}

/* --- Death (death.c; undo.c) ---------------------------------------------------------------- */

/*
 * The birth is over; @flags are set in the same moment. What is disposed of before, as when its
 * parent goes, is so without its dispose callbacks, since init is still at work on it: they are
 * called here. True: that was so, and the birth has failed.
 */
bool fh_object_settle(struct fh_object *object, uint32_t flags);

/*
 * What is undone outside of control is claimed before: whoever disposes of it waits in the drain
 * until fh_object_unclaim(). False: they are past that, with the object or with what lies between
 * it and @top. Tree lock held.
 */
bool fh_object_claim_locked(struct fh_object *object, const struct fh_object *top);
void fh_object_unclaim(struct fh_object *object);

/* What came below an object after a mark. */
struct fh_late {
	struct fh_object **objects; /* each claimed; the last first */
	size_t count, room;
	bool others; /* there are some in others' hands, or in use */
};

/*
 * Undo a realize that failed half way. fh_object_rollback() disposes of everything below @object
 * that was made or put there after the mark, in reverse and without a drain, since none of it was
 * ever shown. What was, before it was put there, or is in others' hands goes with control, and
 * with it what that is below of: decided by fh_object_claim_late(), for what is there then.
 * fh_object_rollback_own() ends the pins and watches in the object's name that were made since, and
 * puts its link properties back.
 */
uint64_t fh_object_mark(struct fh_object *object);
void fh_object_claim_late(struct fh_object *object, uint64_t mark, struct fh_late *ret);
void fh_object_unclaim_late(struct fh_late *late);
void fh_object_rollback(struct fh_object *object, uint64_t mark);
void fh_object_rollback_own(struct fh_object *object);
/* Whether it may be in use, and so is not to be unrealized without a drain. Tree lock held. */
bool fh_object_is_used_locked(const struct fh_object *object, const struct fh_object *top,
			      uint64_t mark);
/* The end of an object whose birth failed; takes the creator's ref. */
void fh_object_abort_birth(struct fh_object *object);
/* The last ref went; its pin passes over. */
void fh_object_last_unref(struct fh_object *object);
/* The type's callbacks, derived first; then what was below the object may go. */
void fh_object_call_dispose(struct fh_object *object);
void fh_object_finalize(struct fh_object *object);

/* True if the calling thread may wait for grace periods: no section, chain or lock. */
bool fh_thread_may_wait(void);

/* --- The tree (tree.c) ---------------------------------------------------------------------- */

/* Below or equal. Tree lock held. */
bool fh_object_is_below_locked(const struct fh_object *object, const struct fh_object *top);
/*
 * Next object in preorder within @top's subtree, NULL at the end; start with top. Tree lock held.
 */
struct fh_object *fh_object_next_locked(const struct fh_object *object,
					const struct fh_object *top);

/* The child created last, or NULL. Tree lock held. */
struct fh_object *fh_object_last_child_locked(const struct fh_object *object);
/* FH_OK for NULL and for what may be a name. */
enum fh_code fh_object_check_name(const char *name, struct fh_error *err);

/* --- Pins (pin.c) --------------------------------------------------------------------------- */

/*
 * What ends with a pin; the first field of what hangs on it. end() is called once, by whoever ends
 * the pin, which is before the target is unpinned: under no lock of pin.c, maybe under the topology
 * lock.
 */
struct fh_pin_tail {
	void (*end)(struct fh_pin_tail *tail);
	bool calls; /* something may be called in the holder's name */
};

/*
 * A lasting pin: a slot in a chunk of the holder's. `aux` belongs to whoever made it. It lives as
 * long as the holder.
 */
struct fh_pin {
	_Atomic(struct fh_object *) target; /* NULL: ended, free to be used again */
	struct fh_holding *holding;	    /* C */
	_Atomic(const char *) kind; /* who explains may look at it while the slot is used again */
	uint64_t aux[4];
	_Atomic(struct fh_pin_tail *) tail; /* holding->lock for writing; NULL: none */
};

/* What it pins (borrowed), or NULL if it has ended. In a read section. */
static inline struct fh_object *fh_pin_target(struct fh_pin *pin)
{
	/* Acquire: pairs with the release in fh_pin_take(). */
	return atomic_load_explicit(&pin->target, memory_order_acquire);
}

/* What hangs on it: NULL, nothing, or it has ended. */
static inline struct fh_pin_tail *fh_pin_tail(const struct fh_pin *pin)
{
	/* Relaxed: only to be compared; what it is then is decided under the lock. */
	return atomic_load_explicit(&pin->tail, memory_order_relaxed);
}

/*
 * As fh_object_pin(). NULL if the holder's list is closed. @aux (NULL: none): the first two of the
 * result's, for who ends the pin with the holder, maybe before this returns. The others are the
 * caller's to set.
 */
struct fh_pin *fh_pin_take(struct fh_object *target, struct fh_object *holder, const char *kind,
			   const uint64_t aux[2]);
/* The same with a tail, from the start. */
struct fh_pin *fh_pin_take_tail(struct fh_object *target, struct fh_object *holder,
				const char *kind, struct fh_pin_tail *tail);
/* End a pin; true if it had not ended already. */
bool fh_pin_drop(struct fh_pin *pin);
/*
 * End the pin that has this tail, and take it over: neither is its end() called nor the target
 * unpinned, both of which are the caller's from here on. NULL: it has ended already.
 */
struct fh_object *fh_pin_steal(struct fh_pin *pin, struct fh_pin_tail *tail);
/* Who holds it (borrowed). */
struct fh_object *fh_pin_holder(const struct fh_pin *pin);
/* Pins were taken in its name. False, after hide: none is taken or ended on the fast way. */
bool fh_holding_is_there(struct fh_object *object);
/* End all pins in the object's name and refuse new ones; idempotent. */
void fh_holding_close(struct fh_object *object);
/*
 * Pins in the object's name that are made after the mark end with the rollback; see
 * fh_object_mark().
 */
void fh_holding_mark(struct fh_object *object);
void fh_holding_rollback(struct fh_object *object);
/* At finalize: the stock goes. */
void fh_holding_free(struct fh_object *object);
/* Call @visit for each pin in the object's name. */
void fh_holding_each(struct fh_object *object,
		     void (*visit)(struct fh_object *target, const char *kind, void *arg),
		     void *arg);
/* Give the pin, which has none, a tail, unless it has ended. */
bool fh_pin_set_tail(struct fh_pin *pin, struct fh_pin_tail *tail);

/* From hide on (L6) pins in the object's name are taken and ended under a lock. In hide. */
void fh_holding_slow(struct fh_object *object);

/* --- What others attached to an object (concern.h, watch.c) ---------------------------------- */

/* Weak refs and weak links read as nothing from here on. */
void fh_concern_clear(struct fh_object *object);
/* Tell those who watch the object, or hold revocable pins on it. Foreign code runs. */
void fh_concern_revoke_below(struct fh_object *top);
void fh_concern_notify_below(struct fh_object *top);
bool fh_concern_has_notices(struct fh_object *object);
/* Watches in the object's own name are not told any more. */
void fh_concern_unwatch(struct fh_object *object);
/* Watches in its name that are made after the mark are not told after the rollback. */
void fh_concern_mark(struct fh_object *object);
void fh_concern_rollback(struct fh_object *object);
/* At finalize. */
void fh_concern_free(struct fh_object *object);

struct fh_revocation;
/* Have the pin revoked when @target is disposed of; false if that has begun. */
bool fh_revocation_new(struct fh_pin *pin, struct fh_object *target,
		       void (*revoke)(struct fh_pin *pin, void *state), void *state);

/* --- Death, in parts ------------------------------------------------------------------------ */

/*
 * Out of its parent, which gives its ref back, but with @keep has a pin until its own dispose
 * callbacks have returned (family.h R4). Children have left; nothing foreign is called. The caller
 * has set REQUESTED.
 */
void fh_object_unlink(struct fh_object *object, bool keep);
/* @name is the child's own, or, if that has none, fh_alloc'ed and the child's if this succeeds. */
enum fh_code fh_object_link(struct fh_object *parent, char *name, struct fh_object *child,
			    struct fh_error *err);
void fh_family_free(struct fh_object *object);
/* The path as a string to be fh_free'd. */
char *fh_object_path_dup(struct fh_object *object);

#endif
