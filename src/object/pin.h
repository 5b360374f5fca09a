/* SPDX-License-Identifier: MIT */
/*
 * The fast way to take and end a pin, inline for mappings, of which guests make many. The rules are
 * pin.c's.
 */
#ifndef OBJECT_PIN_H
#define OBJECT_PIN_H

#include "base/point.h"
#include "base/rcu.h"
#include "object/object.h"

#define FH_CHUNK_PINS 15

struct fh_pin_chunk {
	struct fh_pin_chunk *next; /* lock for writing; chunks are only ever put in front */
	struct fh_thread *thread;  /* C: R3 */
	unsigned hint;		   /* the thread's: where a free slot may be */
	unsigned kept;		   /* lock: slots that were in use at fh_holding_mark() */
	struct fh_pin pins[FH_CHUNK_PINS];
};

struct fh_holding {
	uint64_t id;		  /* C: R4 */
	struct fh_object *holder; /* C */
	_Atomic bool slow;	  /* set by hide */
	struct fh_lock lock;
	bool closed;			       /* lock: detached, no more pins */
	_Atomic bool called;		       /* a pin had a tail that calls */
	_Atomic(struct fh_pin_chunk *) chunks; /* lock for writing */
};

/* Callbacks may come in the object's name, for waiters and revocations. Asked with the last ref. */
static inline bool fh_holding_may_call(struct fh_object *object)
{
	/* Acquire: pairs with the release in holding_new(), of who had a mere pin of the object. */
	const struct fh_holding *holding =
		atomic_load_explicit(&object->holding, memory_order_acquire);

	return holding && atomic_load_explicit(&holding->called, memory_order_relaxed);
}

static inline struct fh_pin *fh_pin_free_slot(struct fh_pin_chunk *chunk)
{
	for (unsigned n = 0; n < FH_CHUNK_PINS; n++) {
		struct fh_pin *pin = &chunk->pins[chunk->hint];

		/* Acquire: pairs with the release of whoever ended the pin. */
		if (FH_LIKELY(!atomic_load_explicit(&pin->target, memory_order_acquire)))
			return pin;
		chunk->hint = (chunk->hint + 1) % FH_CHUNK_PINS;
	}
	return NULL;
}

static inline void fh_pin_fill(struct fh_pin *pin, struct fh_object *target, const char *kind)
{
	fh_object_hold(target);
	/* Relaxed: constant text, for who explains. */
	atomic_store_explicit(&pin->kind, kind, memory_order_relaxed);
	/* Release: pairs with the acquires of whoever looks at the slot from another thread. */
	atomic_store_explicit(&pin->target, target, memory_order_release);
}

/* As fh_pin_take(), or NULL where it is not the fast way. In a read section. */
static inline __attribute__((always_inline)) struct fh_pin *
fh_pin_try(struct fh_thread *t, struct fh_object *target, struct fh_object *holder,
	   const char *kind)
{
	/* Acquire: pairs with the release in holding_new(). */
	struct fh_holding *holding = atomic_load_explicit(&holder->holding, memory_order_acquire);
	struct fh_pin *pin;

	if (FH_UNLIKELY(!holding || t->pins_id != holding->id ||
			atomic_load_explicit(&holding->slow, memory_order_relaxed)))
		return NULL;
	pin = fh_pin_free_slot(t->pins);
	FH_POINT("pin.fast");
	if (FH_LIKELY(pin))
		fh_pin_fill(pin, target, kind);
	return pin;
}

/*
 * Ends the pin, where that is the fast way. Returns what it pinned until now, which is the caller's
 * to release; or NULL. In a read section.
 */
static inline __attribute__((always_inline)) struct fh_object *fh_pin_try_end(struct fh_pin *pin)
{
	struct fh_object *target;

	if (FH_UNLIKELY(atomic_load_explicit(&pin->holding->slow, memory_order_relaxed) ||
			atomic_load_explicit(&pin->tail, memory_order_relaxed)))
		return NULL;
	target = atomic_load_explicit(&pin->target, memory_order_relaxed);
	FH_POINT("pin.fast-end");
	/* Release: pairs with the acquire in fh_pin_free_slot(). */
	atomic_store_explicit(&pin->target, NULL, memory_order_release);
	return target;
}

#endif
