/* SPDX-License-Identifier: MIT */
/*
 * Properties of one object, added at run time: its own, and aliases for those of others.
 *
 * R1. They are in a table that hangs on the object's concern: what has none pays nothing. Who uses
 *     one counts in `uses`, the table is one of these: so it is freed, under no lock, when it has
 *     been removed and the last get or set of it has returned.
 */
#include "object/property-own.h"

#include "base/alloc.h"
#include "object/concern.h"

struct fh_own_table {
	struct fh_list order;
	struct fh_own **buckets;
	uint32_t mask;
	uint32_t count;
};

/* --- One ------------------------------------------------------------------------------------ */

struct fh_own *fh_own_new(struct fh_object *object, const char *name)
{
	const size_t size = strlen(name) + 1;
	struct fh_own *own = fh_zalloc(sizeof(*own) + size);

	memcpy(own->name, name, size);
	fh_list_init(&own->order);
	own->object = object;
	own->uses = 1;
	own->property.name = own->name;
	own->slot.property = &own->property;
	own->slot.hash = fh_hash_string(name);
	return own;
}

/* Under no lock; foreign code is called. */
static void own_free(struct fh_own *own)
{
	void *const field = fh_property_field(own->object, &own->slot);

	if (own->property.kind == FH_PROPERTY_LINK) {
		fh_link_forget(own->object, field);
	} else if (own->ours && fh_property_owns_string(&own->property)) {
		fh_free(*(char **)field);
		*(char **)field = NULL;
	}
	fh_weak_free(own->alias);
	if (own->release)
		own->release(own->state);
	fh_free((char *)own->property.description);
	fh_free(own->alias_name);
	fh_free(own);
}

void fh_own_put(struct fh_own *own)
{
	struct fh_machine *m = own->object->machine;

	fh_links_acquire(m);
	const bool last = --own->uses == 0;

	fh_lock_release(&m->links_lock);
	if (last)
		own_free(own);
}

/* --- The table ------------------------------------------------------------------------------ */

/* Where in its bucket the property is, or would be. */
static struct fh_own **table_at(const struct fh_own_table *table, const char *name, uint64_t hash)
{
	struct fh_own **at = &table->buckets[(uint32_t)hash & table->mask];

	while (*at && ((*at)->slot.hash != hash || strcmp((*at)->name, name) != 0))
		at = &(*at)->next;
	return at;
}

static void table_grow(struct fh_own_table *table)
{
	const uint32_t size = table->buckets ? (table->mask + 1) * 2 : 4;

	fh_free(table->buckets);
	table->buckets = fh_zalloc(size * sizeof(table->buckets[0]));
	table->mask = size - 1;
	fh_list_for_each_entry(own, &table->order, struct fh_own, order) {
		struct fh_own **bucket = &table->buckets[(uint32_t)own->slot.hash & table->mask];

		own->next = *bucket;
		*bucket = own;
	}
}

static struct fh_own_table *table_of(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);

	return concern ? concern->own : NULL;
}

/* False: the name is taken. */
static bool table_add(struct fh_concern *concern, struct fh_own *own)
{
	if (!concern->own) {
		concern->own = fh_new(struct fh_own_table);
		fh_list_init(&concern->own->order);
	}
	struct fh_own_table *table = concern->own;

	if (!table->buckets || table->count > table->mask)
		table_grow(table);
	struct fh_own **at = table_at(table, own->name, own->slot.hash);

	if (*at)
		return false;
	*at = own;
	own->uses++;
	fh_list_add_last(&table->order, &own->order);
	table->count++;
	return true;
}

/* The table's use passes to the caller. */
static void table_remove(struct fh_own_table *table, struct fh_own *own)
{
	*table_at(table, own->name, own->slot.hash) = own->next;
	fh_list_remove(&own->order);
	table->count--;
}

/* Links lock held. NULL: there is none. */
static struct fh_own *own_at(struct fh_object *object, const char *name, uint64_t hash)
{
	const struct fh_own_table *table = table_of(object);

	return table ? *table_at(table, name, hash) : NULL;
}

struct fh_own *fh_own_find(struct fh_object *object, const char *name, uint64_t hash)
{
	struct fh_own *own;

	fh_links_acquire(object->machine);
	own = own_at(object, name, hash);
	if (own)
		own->uses++;
	fh_lock_release(&object->machine->links_lock);
	return own;
}

struct fh_own **fh_own_take_all(struct fh_object *object, size_t *ret_count)
{
	struct fh_own **owns = NULL;
	struct fh_own_table *table;

	*ret_count = 0;
	fh_links_acquire(object->machine);
	table = table_of(object);
	if (table && table->count > 0) {
		owns = fh_alloc(table->count * sizeof(*owns));
		fh_list_for_each_entry(own, &table->order, struct fh_own, order) {
			own->uses++;
			owns[(*ret_count)++] = own;
		}
	}
	fh_lock_release(&object->machine->links_lock);
	return owns;
}

/* --- Adding, removing ----------------------------------------------------------------------- */

static enum fh_code check_new(struct fh_object *object, const char *name, struct fh_error *err)
{
	const uint64_t hash = fh_hash_string(name);
	struct fh_own *taken = NULL;

	if (name[0] == '\0' || strchr(name, '/'))
		return fh_error_set(err, FH_EINVAL, "'%s' is no name for a property", name);
	if (!fh_class_find_property(object->class, name, hash)) {
		taken = fh_own_find(object, name, hash);
		if (!taken)
			return FH_OK;
		fh_own_put(taken);
	}
	return fh_error_set(err, FH_EEXIST, "there is a property '%s' already", name);
}

static enum fh_code check_kind(const struct fh_property *property, struct fh_error *err)
{
	if ((unsigned)property->kind > FH_PROPERTY_LINK ||
	    (property->kind == FH_PROPERTY_ENUM && !property->enum_names))
		return fh_error_set(err, FH_EINVAL, "property '%s': not of a kind to be added",
				    property->name);
	return FH_OK;
}

/* Consumes a use of @own. */
static enum fh_code publish(struct fh_object *object, struct fh_own *own, struct fh_error *err)
{
	struct fh_machine *m = object->machine;
	enum fh_code code = FH_OK;

	fh_links_acquire(m);
	struct fh_concern *concern = fh_concern_open(m, object, 0, FH_OBJECT_DETACHED);

	if (!concern)
		code = FH_EDEAD;
	else if (!table_add(concern, own))
		code = FH_EEXIST;
	fh_lock_release(&m->links_lock);
	if (code == FH_OK) {
		own->ours = true;
	} else {
		own->release = NULL; /* nothing has changed: the state stays the caller's */
		fh_error_set(err, code, "property '%s': %s", own->name,
			     code == FH_EDEAD ? "its object is disposed of" : "exists already");
	}
	fh_own_put(own);
	return code;
}

enum fh_code fh_object_add_property(FH_ANY any, const struct fh_property *property, void *state,
				    void (*release)(void *state), struct fh_error *err)
{
	struct fh_object *object = fh_object_of(any);
	enum fh_code code = check_new(object, property->name, err);
	struct fh_own *own;

	if (code == FH_OK)
		code = check_kind(property, err);
	if (code != FH_OK)
		return code;
	own = fh_own_new(object, property->name);
	own->property = *property;
	own->property.name = own->name;
	own->property.description =
		property->description ? fh_strdup(property->description) : NULL;
	own->property.preset = NULL;
	own->state = state;
	if (!state)
		own->property.offset = 0;
	own->slot.state_offset =
		(uintptr_t)(state ? state : &own->value) - (uintptr_t)object;
	if (property->preset) {
		code = fh_property_set_preset(object, &own->slot, property->preset, err);
		own->ours = code == FH_OK;
	}
	if (code != FH_OK) {
		fh_own_put(own);
		return code;
	}
	own->release = release;
	return publish(object, own, err);
}

enum fh_code fh_object_add_alias(FH_ANY any, const char *name, FH_ANY target_any,
				 const char *target_name, struct fh_error *err)
{
	struct fh_object *object = fh_object_of(any);
	struct fh_object *target = fh_object_of(target_any);
	enum fh_code code = check_new(object, name, err);
	struct fh_found found;
	struct fh_own *own;

	if (code != FH_OK)
		return code;
	if (target->machine != object->machine)
		return fh_error_set(err, FH_EINVAL, "the objects are of two machines");
	code = fh_property_open(&found, target, target_name, FH_KINDS_ALL, err);
	fh_property_close(&found);
	if (code != FH_OK)
		return code;
	own = fh_own_new(object, name);
	own->property.kind = FH_PROPERTY_ALIAS;
	own->alias = fh_weak_new(target);
	own->alias_name = fh_strdup(target_name);
	return publish(object, own, err);
}

enum fh_code fh_object_remove_property(FH_ANY any, const char *name, struct fh_error *err)
{
	struct fh_object *object = fh_object_of(any);
	const uint64_t hash = fh_hash_string(name);
	struct fh_own *own;

	fh_links_acquire(object->machine);
	own = own_at(object, name, hash);
	if (own)
		table_remove(table_of(object), own);
	fh_lock_release(&object->machine->links_lock);
	if (own) {
		fh_own_put(own);
		return FH_OK;
	}
	if (fh_class_find_property(object->class, name, hash))
		return fh_error_set(err, FH_EPERM, "property '%s' is of the type '%s'", name,
				    object->class->type->name);
	return fh_property_refuse(object, name, NULL, FH_KINDS_ALL, err);
}

/* --- Over an object's life ------------------------------------------------------------------ */

void fh_properties_mark_own(struct fh_object *object)
{
	struct fh_own_table *table;

	if (!fh_concern_peek(object))
		return;
	fh_links_acquire(object->machine);
	table = table_of(object);
	if (table)
		fh_list_for_each_entry(own, &table->order, struct fh_own, order)
			own->kept = true;
	fh_lock_release(&object->machine->links_lock);
}

/* One that may go, out of the table, or NULL. */
static struct fh_own *take_last(struct fh_object *object, bool all)
{
	struct fh_own *own = NULL;

	fh_links_acquire(object->machine);
	struct fh_own_table *table = table_of(object);
	struct fh_list *node = table ? fh_list_last(&table->order) : NULL;

	if (node) {
		own = fh_container_of(node, struct fh_own, order);
		if (all || !own->kept)
			table_remove(table, own);
		else
			own = NULL; /* what is older was kept as well */
	}
	fh_lock_release(&object->machine->links_lock);
	return own;
}

void fh_properties_rollback_own(struct fh_object *object)
{
	struct fh_own *own;

	if (!fh_concern_peek(object))
		return;
	while ((own = take_last(object, false)))
		fh_own_put(own);
}

void fh_properties_release_own(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);
	struct fh_own *own;

	if (!concern || !concern->own)
		return;
	while ((own = take_last(object, true)))
		fh_own_put(own);
	fh_free(concern->own->buckets);
	fh_free(concern->own);
	concern->own = NULL;
}
