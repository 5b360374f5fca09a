/* SPDX-License-Identifier: MIT */
/*
 * Lasting pins: what outlives a read section is pinned, and says by whom (L4).
 *
 * A holder's pins are slots in chunks. Each chunk belongs to one thread, which alone takes free
 * slots of it; any thread may end a pin, once. So neither needs a locked operation beside the
 * target's count, as long as the holder is shown. From hide on all is done under the holding's
 * lock: hide sets `slow`, and after the drain's grace period nobody is left on the fast path, which
 * lies in a read section.
 *
 * R1. A chunk stays until its holder is finalized, so that ending a pin which the holder's dispose
 *     has ended is harmless.
 * R2. Whoever sets `target` to NULL ends the pin: a slot's user, or dispose, which comes after the
 *     drain or, for what is never drained, when the last user is done with it.
 * R3. A chunk is found again by its thread's block. A block's memory that is used again for another
 *     thread hands the chunk on; the two never run at the same time.
 * R4. A thread remembers the chunk that it used last by the holding's id, which is never used
 *     twice: a stale memory is never followed.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "object/concern.h"
#include "object/machine.h"
#include "object/pin.h"

/*
 * Dispose sets HIDDEN and DETACHED and then looks for a holding to slow or close; this publishes
 * the holding, then looks at the flags. Both in the one total order of seq_cst: one sees the other.
 */
static struct fh_holding *holding_new(struct fh_object *holder)
{
	struct fh_holding *fresh = fh_new(struct fh_holding);
	struct fh_holding *none = NULL;

	fresh->id = fh_ticket();
	fresh->holder = holder;
	/* Relaxed: made public below. Slow until the flags were looked at. */
	atomic_store_explicit(&fresh->slow, true, memory_order_relaxed);
	/* Release: pairs with the acquire in holding_of(). */
	if (!atomic_compare_exchange_strong_explicit(&holder->holding, &none, fresh,
						     memory_order_seq_cst, memory_order_acquire)) {
		fh_free(fresh);
		return none;
	}
	fh_lock_acquire(&fresh->lock);
	const uint32_t flags = atomic_load_explicit(&holder->flags, memory_order_seq_cst);

	if (flags & FH_OBJECT_DETACHED)
		fresh->closed = true;
	/* Under the lock: fh_holding_slow() sets it afterwards, or HIDDEN was seen here. */
	atomic_store_explicit(&fresh->slow, (flags & FH_OBJECT_HIDDEN) != 0, memory_order_relaxed);
	fh_lock_release(&fresh->lock);
	return fresh;
}

static struct fh_holding *holding_peek(struct fh_object *holder)
{
	return atomic_load_explicit(&holder->holding, memory_order_seq_cst);
}

static struct fh_holding *holding_of(struct fh_object *holder)
{
	struct fh_holding *holding = atomic_load_explicit(&holder->holding, memory_order_acquire);

	return FH_LIKELY(holding) ? holding : holding_new(holder);
}

/* --- Slots ---------------------------------------------------------------------------------- */

/* A free slot of a chunk of the thread's, which the thread remembers. Holding's lock held. */
static struct fh_pin *slot_locked(struct fh_holding *holding, struct fh_thread *t)
{
	struct fh_pin_chunk *first =
		atomic_load_explicit(&holding->chunks, memory_order_relaxed);
	struct fh_pin_chunk *chunk = first;
	struct fh_pin *pin = NULL;

	for (; chunk; chunk = chunk->next)
		if (chunk->thread == t && (pin = fh_pin_free_slot(chunk)))
			break;
	if (!chunk) {
		chunk = fh_new(struct fh_pin_chunk);
		chunk->thread = t;
		chunk->next = first;
		for (unsigned i = 0; i < FH_CHUNK_PINS; i++)
			chunk->pins[i].holding = holding;
		/* Release: pairs with the acquire in fh_holding_each(). */
		atomic_store_explicit(&holding->chunks, chunk, memory_order_release);
		pin = &chunk->pins[0];
	}
	t->pins_id = holding->id;
	t->pins = chunk;
	return pin;
}

/* Its lock held. Relaxed: whoever has the last ref is ordered after all who had one. */
static void note_tail(struct fh_holding *holding, const struct fh_pin_tail *tail)
{
	if (tail && tail->calls)
		atomic_store_explicit(&holding->called, true, memory_order_relaxed);
}

static struct fh_pin *take_slow(struct fh_holding *holding, struct fh_thread *t,
				struct fh_object *target, const char *kind,
				struct fh_pin_tail *tail, const uint64_t aux[2])
{
	struct fh_pin *pin = NULL;

	fh_lock_acquire_as(&holding->lock, t);
	if (!holding->closed) {
		pin = slot_locked(holding, t);
		/* Relaxed, as all of it: the lock orders it. Before the slot is taken. */
		atomic_store_explicit(&pin->tail, tail, memory_order_relaxed);
		if (aux)
			memcpy(pin->aux, aux, 2 * sizeof(aux[0]));
		fh_pin_fill(pin, target, kind);
		note_tail(holding, tail);
	}
	fh_lock_release_as(&holding->lock, t);
	return pin;
}

struct fh_pin *fh_pin_take(struct fh_object *target, struct fh_object *holder, const char *kind,
			   const uint64_t aux[2])
{
	struct fh_thread *t = fh_thread_self();
	struct fh_pin *pin;

	fh_rcu_read_begin(t);
	pin = fh_pin_try(t, target, holder, kind);
	if (FH_UNLIKELY(!pin))
		pin = take_slow(holding_of(holder), t, target, kind, NULL, aux);
	else if (aux) /* The fast way: nobody ends it before this read section has ended. */
		memcpy(pin->aux, aux, 2 * sizeof(aux[0]));
	fh_rcu_read_end(t);
	return pin;
}

struct fh_pin *fh_pin_take_tail(struct fh_object *target, struct fh_object *holder,
				const char *kind, struct fh_pin_tail *tail)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_pin *pin;

	fh_rcu_read_begin(t);
	pin = take_slow(holding_of(holder), t, target, kind, tail, NULL);
	fh_rcu_read_end(t);
	return pin;
}

/* Holding's lock held. Returns what was pinned until now. */
static struct fh_object *end_locked(struct fh_pin *pin, struct fh_pin_tail **ret_tail)
{
	struct fh_object *target = atomic_load_explicit(&pin->target, memory_order_acquire);

	if (target) {
		*ret_tail = atomic_load_explicit(&pin->tail, memory_order_relaxed);
		atomic_store_explicit(&pin->tail, NULL, memory_order_relaxed);
		atomic_store_explicit(&pin->target, NULL, memory_order_release);
	}
	return target;
}

static struct fh_object *drop_slow(struct fh_pin *pin, struct fh_thread *t)
{
	struct fh_holding *holding = pin->holding;
	struct fh_pin_tail *tail = NULL;

	fh_lock_acquire_as(&holding->lock, t);
	struct fh_object *target = end_locked(pin, &tail);

	fh_lock_release_as(&holding->lock, t);
	if (tail)
		tail->end(tail);
	return target;
}

struct fh_object *fh_pin_steal(struct fh_pin *pin, struct fh_pin_tail *tail)
{
	struct fh_holding *holding = pin->holding;
	struct fh_object *target = NULL;
	struct fh_pin_tail *had;

	fh_lock_acquire(&holding->lock);
	if (atomic_load_explicit(&pin->tail, memory_order_relaxed) == tail)
		target = end_locked(pin, &had);
	fh_lock_release(&holding->lock);
	return target;
}

bool fh_pin_drop(struct fh_pin *pin)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_object *target;

	fh_rcu_read_begin(t);
	target = fh_pin_try_end(pin);
	if (FH_UNLIKELY(!target))
		target = drop_slow(pin, t);
	fh_rcu_read_end(t);
	if (FH_LIKELY(target))
		fh_object_unhold(target);
	return target;
}

bool fh_pin_set_tail(struct fh_pin *pin, struct fh_pin_tail *tail)
{
	fh_lock_acquire(&pin->holding->lock);
	const bool set = atomic_load_explicit(&pin->target, memory_order_acquire);

	if (set) {
		atomic_store_explicit(&pin->tail, tail, memory_order_relaxed);
		note_tail(pin->holding, tail);
	}
	fh_lock_release(&pin->holding->lock);
	return set;
}

struct fh_object *fh_pin_holder(const struct fh_pin *pin)
{
	return pin->holding->holder;
}

/* The holder ends it. */
static void lapse(struct fh_holding *holding, struct fh_pin *pin)
{
	const struct fh_machine_ops *ops = holding->holder->machine->ops;

	if (FH_UNLIKELY(fh_pin_target(pin) && ops->pin_lapses))
		ops->pin_lapses(pin);
	fh_pin_drop(pin);
}

/* --- The end of a holder -------------------------------------------------------------------- */

bool fh_holding_is_there(struct fh_object *object)
{
	return holding_peek(object);
}

void fh_holding_slow(struct fh_object *object)
{
	struct fh_holding *holding = holding_peek(object);

	if (!holding)
		return;
	fh_lock_acquire(&holding->lock);
	/* Relaxed: the drain's grace period orders it before the close. */
	atomic_store_explicit(&holding->slow, true, memory_order_relaxed);
	fh_lock_release(&holding->lock);
}

void fh_holding_close(struct fh_object *object)
{
	struct fh_holding *holding = holding_peek(object);

	fh_assert(fh_object_has(object, FH_OBJECT_DETACHED));
	if (!holding)
		return;
	fh_lock_acquire(&holding->lock);
	atomic_store_explicit(&holding->slow, true, memory_order_relaxed);
	holding->closed = true;
	struct fh_pin_chunk *chunk = atomic_load_explicit(&holding->chunks, memory_order_relaxed);

	fh_lock_release(&holding->lock);
	for (; chunk; chunk = chunk->next)
		for (unsigned i = 0; i < FH_CHUNK_PINS; i++)
			lapse(holding, &chunk->pins[i]);
}

/* --- A realize that fails (L7) ---------------------------------------------------------------- */

void fh_holding_mark(struct fh_object *object)
{
	struct fh_holding *holding = holding_peek(object);

	if (!holding)
		return;
	fh_lock_acquire(&holding->lock);
	struct fh_pin_chunk *chunk = atomic_load_explicit(&holding->chunks, memory_order_relaxed);

	for (; chunk; chunk = chunk->next) {
		chunk->kept = 0;
		for (unsigned i = 0; i < FH_CHUNK_PINS; i++)
			if (atomic_load_explicit(&chunk->pins[i].target, memory_order_relaxed))
				chunk->kept |= 1u << i;
	}
	fh_lock_release(&holding->lock);
}

void fh_holding_rollback(struct fh_object *object)
{
	struct fh_holding *holding = holding_peek(object);

	if (!holding)
		return;
	fh_lock_acquire(&holding->lock);
	struct fh_pin_chunk *chunk = atomic_load_explicit(&holding->chunks, memory_order_relaxed);

	fh_lock_release(&holding->lock);
	/*
	 * `kept` is written by the thread that marks and undoes alone; a chunk made since has none.
	 */
	for (; chunk; chunk = chunk->next)
		for (unsigned i = 0; i < FH_CHUNK_PINS; i++)
			if (!(chunk->kept >> i & 1))
				lapse(holding, &chunk->pins[i]);
}

void fh_holding_free(struct fh_object *object)
{
	struct fh_holding *holding = holding_peek(object);

	if (!holding)
		return;
	struct fh_pin_chunk *chunk = atomic_load_explicit(&holding->chunks, memory_order_acquire);

	while (chunk) {
		struct fh_pin_chunk *next = chunk->next;

		for (unsigned i = 0; i < FH_CHUNK_PINS; i++)
			fh_assert(!atomic_load_explicit(&chunk->pins[i].target,
							memory_order_relaxed));
		fh_free(chunk);
		chunk = next;
	}
	fh_free(holding);
}

void fh_holding_each(struct fh_object *object,
		     void (*visit)(struct fh_object *target, const char *kind, void *arg),
		     void *arg)
{
	struct fh_holding *holding = holding_peek(object);
	struct fh_pin_chunk *chunk =
		holding ? atomic_load_explicit(&holding->chunks, memory_order_acquire) : NULL;

	for (; chunk; chunk = chunk->next)
		for (unsigned i = 0; i < FH_CHUNK_PINS; i++) {
			struct fh_pin *pin = &chunk->pins[i];
			/* Acquire: pairs with the release in fh_pin_fill(). */
			struct fh_object *target =
				atomic_load_explicit(&pin->target, memory_order_acquire);

			if (target)
				visit(target,
				      atomic_load_explicit(&pin->kind, memory_order_relaxed),
				      arg);
		}
}

/* --- Public --------------------------------------------------------------------------------- */

struct fh_pin *fh_object_pin(FH_ANY target_any, FH_ANY holder, const char *kind)
{
	struct fh_object *target = fh_object_of(target_any);

	if (fh_object_has(target, FH_OBJECT_DETACHED))
		return NULL;
	return fh_pin_take(target, fh_object_of(holder), kind, NULL);
}

struct fh_pin *fh_object_pin_revocable(FH_ANY target_any, FH_ANY holder, const char *kind,
				       void (*revoke)(struct fh_pin *pin, void *state), void *state)
{
	struct fh_pin *pin = fh_object_pin(target_any, holder, kind);

	if (pin && !fh_revocation_new(pin, fh_object_of(target_any), revoke, state))
		pin = fh_unpin(pin);
	return pin;
}

struct fh_pin *fh_unpin(struct fh_pin *pin)
{
	if (pin)
		fh_pin_drop(pin);
	return NULL;
}
