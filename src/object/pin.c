/* SPDX-License-Identifier: MIT */
/*
 * Lasting pins: what outlives a read section is pinned, and says by whom (L4).
 *
 * R1. A pin is on its holder's list while it is in force. Its node comes from the holder's stock and
 *     returns there, and is freed only when the holder is finalized: so that ending a pin which the
 *     holder's dispose has ended is harmless.
 * R2. Whoever sets `target` to NULL under the holding's lock ends the pin; there is only one.
 * R3. A pin costs two locked operations and so does its end: the list's lock and the target's count.
 */
#include "base/alloc.h"
#include "base/rcu.h"
#include "object/concern.h"
#include "object/machine.h"

/*
 * Dispose sets DETACHED, then looks for a holding to close; this publishes the holding, then looks
 * at DETACHED. Both in the one total order of seq_cst: one of the two sees the other.
 */
static struct fh_holding *holding_new(struct fh_object *holder)
{
	struct fh_holding *fresh = fh_new(struct fh_holding);
	struct fh_holding *none = NULL;

	fresh->holder = holder;
	fh_list_init(&fresh->pins);
	fh_list_init(&fresh->stock);
	/* Release: pairs with the acquire in holding_of(). */
	if (!atomic_compare_exchange_strong_explicit(&holder->holding, &none, fresh,
						     memory_order_seq_cst, memory_order_acquire)) {
		fh_free(fresh);
		return none;
	}
	if (atomic_load_explicit(&holder->flags, memory_order_seq_cst) & FH_OBJECT_DETACHED) {
		fh_lock_acquire(&fresh->lock);
		fresh->closed = true;
		fh_lock_release(&fresh->lock);
	}
	return fresh;
}

static struct fh_holding *holding_of(struct fh_object *holder)
{
	struct fh_holding *holding = atomic_load_explicit(&holder->holding, memory_order_acquire);

	return FH_LIKELY(holding) ? holding : holding_new(holder);
}

static struct fh_pin *pin_from_stock(struct fh_holding *holding)
{
	struct fh_list *node = fh_list_pop(&holding->stock);

	if (FH_LIKELY(node))
		return fh_list_entry(node, struct fh_pin, node);
	struct fh_pin *pin = fh_new(struct fh_pin);

	fh_list_init(&pin->node);
	pin->holding = holding;
	return pin;
}

struct fh_pin *fh_pin_take(struct fh_object *target, struct fh_object *holder, const char *kind)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_holding *holding = holding_of(holder);
	struct fh_pin *pin = NULL;

	fh_lock_acquire_as(&holding->lock, t);
	if (FH_LIKELY(!holding->closed)) {
		fh_object_hold(target);
		pin = pin_from_stock(holding);
		pin->target = target;
		pin->kind = kind;
		fh_list_add_last(&holding->pins, &pin->node);
	}
	fh_lock_release_as(&holding->lock, t);
	return pin;
}

bool fh_pin_drop(struct fh_pin *pin)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_holding *holding = pin->holding;
	struct fh_revocation *revocation = NULL;

	fh_lock_acquire_as(&holding->lock, t);
	struct fh_object *target = pin->target;

	if (FH_LIKELY(target)) {
		revocation = pin->revocation;
		pin->target = NULL;
		pin->revocation = NULL;
		fh_list_remove(&pin->node);
		fh_list_add_first(&holding->stock, &pin->node);
	}
	fh_lock_release_as(&holding->lock, t);
	if (FH_UNLIKELY(revocation))
		fh_revocation_end(revocation);
	if (target)
		fh_object_unhold(target);
	return target;
}

struct fh_object *fh_pin_holder(const struct fh_pin *pin)
{
	return pin->holding->holder;
}

void fh_holding_close(struct fh_object *object)
{
	struct fh_holding *holding = atomic_load_explicit(&object->holding, memory_order_seq_cst);
	struct fh_list *node;

	fh_assert(fh_object_has(object, FH_OBJECT_DETACHED));
	if (!holding)
		return;
	fh_lock_acquire(&holding->lock);
	holding->closed = true;
	while ((node = fh_list_first(&holding->pins))) {
		fh_lock_release(&holding->lock);
		/* The node stays valid: it lives as long as the holder (R1). */
		fh_pin_drop(fh_list_entry(node, struct fh_pin, node));
		fh_lock_acquire(&holding->lock);
	}
	fh_lock_release(&holding->lock);
}

void fh_holding_free(struct fh_object *object)
{
	struct fh_holding *holding = atomic_load_explicit(&object->holding, memory_order_acquire);
	struct fh_list *node;

	if (!holding)
		return;
	fh_assert(fh_list_empty(&holding->pins));
	while ((node = fh_list_pop(&holding->stock)))
		fh_free(fh_list_entry(node, struct fh_pin, node));
	fh_free(holding);
}

void fh_holding_each(struct fh_object *object, void (*visit)(const struct fh_pin *pin, void *arg),
		     void *arg)
{
	struct fh_holding *holding = atomic_load_explicit(&object->holding, memory_order_acquire);

	if (!holding)
		return;
	fh_lock_acquire(&holding->lock);
	fh_list_for_each_entry(pin, &holding->pins, struct fh_pin, node)
		visit(pin, arg);
	fh_lock_release(&holding->lock);
}

/* --- Public --------------------------------------------------------------------------------- */

struct fh_pin *fh_object_pin(FH_ANY target_any, FH_ANY holder, const char *kind)
{
	struct fh_object *target = fh_object_of(target_any);

	if (fh_object_has(target, FH_OBJECT_DETACHED))
		return NULL;
	return fh_pin_take(target, fh_object_of(holder), kind);
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
