/* SPDX-License-Identifier: MIT */
/*
 * Birth of objects, their refs, and the end of their memory. See object.h for R1 to R4; what lies
 * between, dispose, is death.c.
 */
#include "object/object.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/point.h"
#include "base/rcu.h"
#include "object/family.h"
#include "object/machine.h"

/* --- Memory --------------------------------------------------------------------------------- */

static void *object_alloc(const struct fh_class *class, size_t size)
{
	if (class->align > 16)
		return fh_zalloc_aligned((size + class->align - 1) & ~(class->align - 1),
					 class->align);
	return fh_zalloc(size);
}

static void ledger_add(struct fh_object *object)
{
	struct fh_machine *m = object->machine;
	struct fh_thread *t = fh_thread_self();

	fh_ledger_acquire_as(m, t);
	fh_list_add_last(&m->objects, &object->all);
	object->order = ++m->orders;
	fh_lock_release_as(&m->ledger_lock, t);
}

static void ledger_remove(struct fh_object *object)
{
	struct fh_machine *m = object->machine;
	struct fh_thread *t = fh_thread_self();

	fh_ledger_acquire_as(m, t);
	fh_list_remove(&object->all);
	m->died++;
	fh_lock_release_as(&m->ledger_lock, t);
}

/* --- Finalize ------------------------------------------------------------------------------- */

/* Call @pick's callback of each level whose init succeeded, derived first. */
static void call_levels(struct fh_object *object, bool finalize)
{
	const uint32_t flags = atomic_load_explicit(&object->flags, memory_order_acquire);
	const unsigned born = flags / FH_OBJECT_LEVEL;

	for (const struct fh_class *c = object->class; c; c = c->parent) {
		void (*call)(struct fh_object *, void *) =
			finalize ? c->type->finalize : c->type->dispose;

		if (call && c->depth < born)
			call(object, (char *)object + c->state_offset);
	}
}

void fh_object_call_dispose(struct fh_object *object)
{
	call_levels(object, false);
	if (fh_object_has(object, FH_OBJECT_EXPOSED))
		fh_family_release(object);
}

void fh_object_finalize(struct fh_object *object)
{
	const uint32_t flags = atomic_load_explicit(&object->flags, memory_order_relaxed);

	/* Once (L5): only the last pin comes here, and nobody can take another. */
	fh_assert(!(flags & FH_OBJECT_FINALIZING) && (flags & FH_OBJECT_LEFT));
	fh_assert(atomic_load_explicit(&object->life, memory_order_acquire) == 0);
	/* Relaxed: nobody else looks at it any more but the ledger. */
	atomic_store_explicit(&object->flags, flags | FH_OBJECT_FINALIZING, memory_order_relaxed);
	call_levels(object, true);
	if (object->class->core->finalize)
		object->class->core->finalize(object);
	ledger_remove(object);
	fh_properties_release(object);
	fh_holding_free(object);
	fh_concern_free(object);
	fh_family_free(object);
	fh_free(object->last_path);
	fh_free(object->name_storage);
	fh_free(object);
}

static void finalize_deferred(struct fh_deferred *deferred)
{
	fh_object_finalize(fh_container_of(deferred, struct fh_object, deferred));
}

void fh_object_last_unhold(struct fh_object *object)
{
	struct fh_thread *t = fh_thread_self();
	bool free_hands = t->depth == 0 && !t->chain;

	for (unsigned kind = 0; kind < FH_HELD_KINDS; kind++)
		free_hands = free_hands && t->held[kind] == 0;
	/* Never published nor findable: nobody else can be looking at it (L1). */
	if (free_hands && !fh_object_has(object, FH_OBJECT_FINDABLE)) {
		fh_object_finalize(object);
		return;
	}
	object->deferred.run = finalize_deferred;
	fh_reaper_defer(object->machine->reaper, &object->deferred, object->class->size);
}

/* --- Birth ---------------------------------------------------------------------------------- */

static struct fh_object *object_alloc_init(struct fh_machine *m, const struct fh_class *class,
					   const char *name)
{
	const size_t name_size = name ? strlen(name) + 1 : 0;
	struct fh_object *object = object_alloc(class, class->size + name_size);

	object->class = class;
	object->machine = m;
	atomic_store_explicit(&object->life, FH_LIFE_REF | FH_LIFE_PIN, memory_order_relaxed);
	atomic_store_explicit(&object->flags, class->core->hidden_at_birth ? 0 : FH_OBJECT_SHOWN,
			      memory_order_relaxed);
	fh_list_init(&object->sibling);
	if (name) {
		memcpy((char *)object + class->size, name, name_size);
		atomic_store_explicit(&object->name, (char *)object + class->size,
				      memory_order_relaxed);
	}
	return object;
}

static enum fh_code init_levels(struct fh_object *object, const struct fh_class *class,
				struct fh_error *err)
{
	if (class->parent) {
		const enum fh_code code = init_levels(object, class->parent, err);

		if (code != FH_OK)
			return code;
	}
	if (class->type->init) {
		const enum fh_code code =
			class->type->init(object, (char *)object + class->state_offset, err);

		if (code != FH_OK) {
			fh_error_set(err, code, "its init failed with %s", fh_code_name(code));
			fh_error_prefix(err, "%s: ", class->type->name);
			return code;
		}
	}
	if (fh_object_is_alone(object, FH_LIFE_REF | FH_LIFE_PIN))
		atomic_store_explicit(
			&object->flags,
			FH_OBJECT_LEVEL + atomic_load_explicit(&object->flags, memory_order_relaxed),
			memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&object->flags, FH_OBJECT_LEVEL, memory_order_acq_rel);
	return FH_OK;
}

static struct fh_object *create(struct fh_machine *m, struct fh_object *parent, const char *name,
				const struct fh_type *type,
				enum fh_code (*construct)(struct fh_object *object, void *arg,
							  struct fh_error *err),
				void *arg, struct fh_error *err)
{
	const struct fh_class *class = fh_class_get(m, type);

	if (type->abstract) {
		fh_error_set(err, FH_ETYPE, "the type '%s' is abstract", type->name);
		return NULL;
	}
	if (fh_object_check_name(name, err) != FH_OK)
		return NULL;
	struct fh_object *object = object_alloc_init(m, class, name);
	enum fh_code code = construct ? construct(object, arg, err) : FH_OK;

	if (code != FH_OK) {
		fh_free(object);
		return NULL;
	}
	ledger_add(object);
	if (parent)
		code = fh_object_link(parent, (char *)fh_object_name_of(object), object, err);
	FH_POINT("birth.linked");
	if (code == FH_OK)
		code = fh_properties_preset(object, err);
	if (code == FH_OK)
		code = init_levels(object, class, err);
	if (code != FH_OK) {
		/* What init left is undone like any death; nobody could find the object (L7). */
		fh_object_abort_birth(object);
		return NULL;
	}
	if (fh_object_is_alone(object, FH_LIFE_REF | FH_LIFE_PIN)) {
		fh_object_set_flags_alone(object, FH_OBJECT_BORN | FH_OBJECT_SETTLED);
	} else if (fh_object_settle(object, FH_OBJECT_BORN)) {
		fh_error_set(err, FH_EDEAD, "it was disposed of while it was being born");
		fh_object_unref(object);
		return NULL;
	}
	if (parent)
		fh_object_unref(object); /* the parent's ref remains */
	return object;
}

struct fh_object *fh_object_create(struct fh_machine *m, struct fh_object *parent, const char *name,
				   const struct fh_type *type,
				   enum fh_code (*construct)(struct fh_object *object, void *arg,
							     struct fh_error *err),
				   void *arg, struct fh_error *err)
{
	const size_t stem = parent && name ? fh_name_stem(name) : 0;

	if (FH_LIKELY(stem == 0))
		return create(m, parent, name, type, construct, arg, err);
	char *numbered = fh_family_number(parent, name, stem);
	struct fh_object *object = create(m, parent, numbered, type, construct, arg, err);

	fh_free(numbered);
	return object;
}

struct fh_object *fh_owner_of(FH_ANY any, struct fh_machine **ret_m)
{
	struct fh_object *owner = fh_object_of(any);

	*ret_m = owner->machine;
	return owner == &owner->machine->root ? NULL : owner;
}

struct fh_object *fh_object_new(struct fh_machine *m, const struct fh_type *type,
				struct fh_error *err)
{
	return fh_object_create(m, NULL, NULL, type, NULL, NULL, err);
}

struct fh_object *fh_object_new_child(FH_ANY parent, const char *name, const struct fh_type *type,
				      struct fh_error *err)
{
	struct fh_object *object = fh_object_of(parent);

	return fh_object_create(object->machine, object, name, type, NULL, NULL, err);
}

/* --- Refs ----------------------------------------------------------------------------------- */

void *fh_object_ref(FH_ANY any)
{
	struct fh_object *object = fh_object_of(any);
	/* Relaxed: the caller has a ref already. */
	const uint64_t life =
		atomic_fetch_add_explicit(&object->life, FH_LIFE_REF, memory_order_relaxed);

	fh_assert(life >= FH_LIFE_REF); /* no resurrection (L5) */
	return object;
}

bool fh_object_try_ref(FH_ANY any)
{
	struct fh_object *object = fh_object_of(any);
	uint64_t life = atomic_load_explicit(&object->life, memory_order_relaxed);

	do {
		if (life < FH_LIFE_REF)
			return false;
		/* Relaxed: what makes the memory certain to be there ordered it as well. */
	} while (!atomic_compare_exchange_weak_explicit(&object->life, &life, life + FH_LIFE_REF,
							memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

void *fh_object_unref(FH_ANY any)
{
	struct fh_object *object = fh_object_of(any);

	if (!object)
		return NULL;
	/* Release and acquire: as in fh_object_unhold(). */
	const uint64_t life =
		atomic_fetch_sub_explicit(&object->life, FH_LIFE_REF, memory_order_acq_rel);

	fh_assert(life >= FH_LIFE_REF);
	if (life < 2 * FH_LIFE_REF)
		fh_object_last_unref(object);
	return NULL;
}

void fh_object_unrefp(void *pointer)
{
	fh_object_unref(*(struct fh_object **)pointer);
}

bool fh_object_is_disposed(FH_ANY any)
{
	return fh_object_has(fh_object_of(any), FH_OBJECT_REQUESTED);
}

struct fh_machine *fh_object_get_machine(FH_ANY any)
{
	return fh_object_of(any)->machine;
}
