/* SPDX-License-Identifier: MIT */
/*
 * Classes: see type.h for why, R1 and R2.
 *
 * R3. The table of classes is replaced as a whole when it grows; old ones stay until the machine
 *     goes, so that readers need neither lock nor section. Together they are less than twice the
 *     last one.
 */
#include "object/type.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "object/machine.h"

#define FH_TYPE_DEPTH_MAX 64

struct fh_class_table {
	struct fh_class_table *older;
	uint32_t mask;
	uint32_t count;
	_Atomic(const struct fh_class *) slots[];
};

static const struct fh_core_ops object_core = { .size = sizeof(struct fh_object) };

const struct fh_type fh_object_type = { .name = "object", .abstract = true, .core = &object_core };

static const struct fh_type *type_parent(const struct fh_type *type)
{
	if (type == &fh_object_type)
		return NULL;
	return type->parent ? type->parent : &fh_object_type;
}

static const struct fh_class *table_find(const struct fh_class_table *table,
					 const struct fh_type *type)
{
	if (!table)
		return NULL;
	for (uint32_t i = (uint32_t)fh_hash_ptr(type) & table->mask;; i = (i + 1) & table->mask) {
		/* Acquire: pairs with the release in table_add(). */
		const struct fh_class *class =
			atomic_load_explicit(&table->slots[i], memory_order_acquire);

		if (!class || class->type == type)
			return class;
	}
}

static void table_add(struct fh_class_table *table, const struct fh_class *class)
{
	uint32_t i = (uint32_t)fh_hash_ptr(class->type) & table->mask;

	while (atomic_load_explicit(&table->slots[i], memory_order_relaxed))
		i = (i + 1) & table->mask;
	/* Release: the class is whole before it is found. */
	atomic_store_explicit(&table->slots[i], class, memory_order_release);
	table->count++;
}

/* A table with room for one more, published if it is new. Class lock held. */
static struct fh_class_table *table_reserve(struct fh_machine *m)
{
	struct fh_class_table *old = atomic_load_explicit(&m->classes, memory_order_relaxed);
	const uint32_t size = old ? (old->mask + 1) * 2 : 32;

	if (old && old->count * 2 < old->mask + 1)
		return old;
	struct fh_class_table *table = fh_zalloc(sizeof(*table) + size * sizeof(table->slots[0]));
	table->mask = size - 1;
	table->older = old;
	for (uint32_t i = 0; old && i <= old->mask; i++) {
		const struct fh_class *class =
			atomic_load_explicit(&old->slots[i], memory_order_relaxed);

		if (class)
			table_add(table, class);
	}
	/* Release: pairs with the acquire in fh_class_get(). */
	atomic_store_explicit(&m->classes, table, memory_order_release);
	return table;
}

static uint32_t power_above(uint32_t count)
{
	uint32_t size = 2;

	while (size < count * 2)
		size *= 2;
	return size;
}

static void class_add_level(struct fh_class *class, const struct fh_type *type, size_t offset)
{
	uint32_t i = (uint32_t)fh_hash_ptr(type) & class->level_mask;

	while (class->levels[i].type)
		i = (i + 1) & class->level_mask;
	class->levels[i] = (struct fh_class_level){ .type = type, .state_offset = offset };
}

/* An interface of a derived type stands in the place of the same one of its base. */
static void class_add_interface(struct fh_class *class, const struct fh_interface_entry *entry)
{
	uint32_t i = (uint32_t)fh_hash_ptr(entry->interface) & class->interface_mask;

	while (class->interfaces[i].interface && class->interfaces[i].interface != entry->interface)
		i = (i + 1) & class->interface_mask;
	class->interfaces[i] = *entry;
}

static void class_add_property(struct fh_class *class, const struct fh_property *property,
			       size_t offset)
{
	const uint64_t hash = fh_hash_string(property->name);
	uint32_t i = (uint32_t)hash & class->property_mask;

	while (class->properties[i].property &&
	       strcmp(class->properties[i].property->name, property->name) != 0)
		i = (i + 1) & class->property_mask;
	class->properties[i] = (struct fh_class_property){
		.property = property, .hash = hash, .state_offset = offset
	};
}

static uint32_t count_properties(const struct fh_type *type)
{
	uint32_t count = 0;

	for (; type; type = type_parent(type))
		for (const struct fh_property *p = type->properties; p && p->name; p++)
			count++;
	return count;
}

static uint32_t count_interfaces(const struct fh_type *type)
{
	uint32_t count = 0;

	for (; type; type = type_parent(type))
		for (const struct fh_interface_entry *e = type->interfaces; e && e->interface; e++)
			count++;
	return count;
}

static void class_fill_tables(struct fh_class *class)
{
	const struct fh_class *chain[FH_TYPE_DEPTH_MAX];
	unsigned depth = 0;

	for (const struct fh_class *c = class; c; c = c->parent)
		chain[depth++] = c;
	class->level_mask = power_above(depth) - 1;
	class->interface_mask = power_above(count_interfaces(class->type) + 1) - 1;
	class->property_mask = power_above(count_properties(class->type) + 1) - 1;
	class->levels = fh_zalloc((class->level_mask + 1) * sizeof(*class->levels));
	class->interfaces = fh_zalloc((class->interface_mask + 1) * sizeof(*class->interfaces));
	class->properties = fh_zalloc((class->property_mask + 1) * sizeof(*class->properties));
	while (depth--) { /* base first */
		const struct fh_type *type = chain[depth]->type;

		class_add_level(class, type, chain[depth]->state_offset);
		for (const struct fh_interface_entry *e = type->interfaces; e && e->interface; e++)
			class_add_interface(class, e);
		for (const struct fh_property *p = type->properties; p && p->name; p++)
			class_add_property(class, p, chain[depth]->state_offset);
	}
}

static size_t align_up(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

static const struct fh_class *class_make(struct fh_machine *m, const struct fh_type *type,
					 unsigned depth)
{
	const struct fh_class_table *table =
		atomic_load_explicit(&m->classes, memory_order_relaxed);
	const struct fh_class *known = table_find(table, type);
	const struct fh_type *up = type_parent(type);

	if (known)
		return known;
	fh_assert(depth < FH_TYPE_DEPTH_MAX);
	const struct fh_class *parent = up ? class_make(m, up, depth + 1) : NULL;
	struct fh_class *class = fh_new(struct fh_class);

	class->type = type;
	class->parent = parent;
	class->depth = parent ? parent->depth + 1 : 0;
	class->core = type->core ? type->core : parent->core;
	class->align = class->core->align;
	/* A level that brings a core struct of its own brings it before any state. */
	if (type->core) {
		fh_assert(!parent || parent->size == align_up(parent->core->size));
		class->state_offset = align_up(type->core->size);
	} else {
		class->state_offset = align_up(parent->size);
	}
	class->size = class->state_offset + align_up(type->state_size);
	if (class->core->merge)
		class->device = class->core->merge(parent ? parent->device : NULL, type->device);
	class_fill_tables(class);
	table_add(table_reserve(m), class);
	return class;
}

const struct fh_class *fh_class_get(struct fh_machine *m, const struct fh_type *type)
{
	/* Acquire: pairs with the release in table_reserve(). */
	const struct fh_class *class =
		table_find(atomic_load_explicit(&m->classes, memory_order_acquire), type);

	if (FH_LIKELY(class))
		return class;
	fh_lock_acquire(&m->class_lock);
	class = class_make(m, type, 0);
	fh_lock_release(&m->class_lock);
	return class;
}

const struct fh_class_level *fh_class_level(const struct fh_class *class,
					    const struct fh_type *type)
{
	for (uint32_t i = (uint32_t)fh_hash_ptr(type) & class->level_mask;;
	     i = (i + 1) & class->level_mask) {
		if (class->levels[i].type == type)
			return &class->levels[i];
		if (!class->levels[i].type)
			return NULL;
	}
}

static void class_free(const struct fh_class *class)
{
	if (class->core->merge)
		fh_free((void *)class->device);
	fh_free(class->levels);
	fh_free(class->interfaces);
	fh_free(class->properties);
	fh_free((void *)class);
}

void fh_classes_fini(struct fh_machine *m)
{
	struct fh_class_table *table = atomic_load_explicit(&m->classes, memory_order_relaxed);

	for (uint32_t i = 0; table && i <= table->mask; i++) {
		const struct fh_class *class =
			atomic_load_explicit(&table->slots[i], memory_order_relaxed);

		if (class)
			class_free(class);
	}
	while (table) {
		struct fh_class_table *older = table->older;

		fh_free(table);
		table = older;
	}
	fh_free(m->types);
}

/* --- Public --------------------------------------------------------------------------------- */

struct fh_object *fh_object_cast(FH_ANY any, const struct fh_type *type)
{
	struct fh_object *object = fh_object_of(any);

	return object && fh_class_level(object->class, type) ? object : NULL;
}

void *fh_object_state(FH_ANY any, const struct fh_type *type)
{
	struct fh_object *object = fh_object_of(any);
	const struct fh_class_level *level = fh_class_level(object->class, type);

	fh_assert(level);
	return fh_class_state(level, object);
}

const void *fh_object_interface(FH_ANY any, const struct fh_interface *interface)
{
	const struct fh_class *class = fh_object_of(any)->class;

	for (uint32_t i = (uint32_t)fh_hash_ptr(interface) & class->interface_mask;;
	     i = (i + 1) & class->interface_mask) {
		if (class->interfaces[i].interface == interface)
			return class->interfaces[i].ops;
		if (!class->interfaces[i].interface)
			return NULL;
	}
}

const struct fh_type *fh_object_get_type(FH_ANY any)
{
	return fh_object_of(any)->class->type;
}

static const struct fh_type *find_type_locked(struct fh_machine *m, const char *name)
{
	for (size_t i = 0; i < m->type_count; i++)
		if (strcmp(m->types[i]->name, name) == 0)
			return m->types[i];
	return NULL;
}

static enum fh_code add_types_locked(struct fh_machine *m, const struct fh_type *type,
				     struct fh_error *err)
{
	const struct fh_type *level;

	for (level = type; level; level = type_parent(level)) {
		const struct fh_type *known = find_type_locked(m, level->name);

		if (known && known != level)
			return fh_error_set(err, FH_EEXIST, "another type has the name '%s'",
					    level->name);
	}
	for (level = type; level && !find_type_locked(m, level->name); level = type_parent(level)) {
		m->types = fh_realloc(m->types, (m->type_count + 1) * sizeof(*m->types));
		m->types[m->type_count++] = level;
	}
	return FH_OK;
}

enum fh_code fh_machine_add_type(struct fh_machine *m, const struct fh_type *type,
				 struct fh_error *err)
{
	fh_lock_acquire(&m->class_lock);
	const enum fh_code code = add_types_locked(m, type, err);
	fh_lock_release(&m->class_lock);
	return code;
}

const struct fh_type *fh_machine_find_type(struct fh_machine *m, const char *name)
{
	fh_lock_acquire(&m->class_lock);
	const struct fh_type *type = find_type_locked(m, name);
	fh_lock_release(&m->class_lock);
	return type;
}

/* --- Introspection -------------------------------------------------------------------------- */

bool fh_type_is(const struct fh_type *type, const struct fh_type *base)
{
	while (type && type != base)
		type = type_parent(type);
	return type;
}

const void *fh_type_interface(const struct fh_type *type, const struct fh_interface *interface)
{
	for (; type; type = type_parent(type))
		for (const struct fh_interface_entry *e = type->interfaces; e && e->interface; e++)
			if (e->interface == interface)
				return e->ops;
	return NULL;
}

const struct fh_type *fh_type_parent(const struct fh_type *type)
{
	return type_parent(type);
}

static int compare_names(const void *a, const void *b)
{
	const struct fh_type *x = *(const struct fh_type *const *)a;
	const struct fh_type *y = *(const struct fh_type *const *)b;

	return strcmp(x->name, y->name);
}

void fh_machine_each_type(struct fh_machine *m, const struct fh_type *base,
			  const struct fh_interface *interface,
			  bool (*visit)(const struct fh_type *type, void *arg), void *arg)
{
	const struct fh_type **types;
	size_t count;

	fh_lock_acquire(&m->class_lock);
	count = m->type_count;
	types = fh_alloc((count + 1) * sizeof(*types));
	if (count > 0)
		memcpy(types, m->types, count * sizeof(*types));
	fh_lock_release(&m->class_lock);
	qsort(types, count, sizeof(*types), compare_names);
	for (size_t i = 0; i < count; i++) {
		if ((base && !fh_type_is(types[i], base)) ||
		    (interface && !fh_type_interface(types[i], interface)))
			continue;
		if (!visit(types[i], arg))
			break;
	}
	fh_free(types);
}
