/* SPDX-License-Identifier: MIT */
/* Names of children: see family.h for why, R1 to R4. */
#include "object/family.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"

struct fh_family *fh_family_of(struct fh_object *parent)
{
	struct fh_family *family = parent->family;

	if (family)
		return family;
	family = fh_new(struct fh_family);
	family->parent = parent;
	fh_list_init(&family->children);
	fh_list_init(&family->gone);
	fh_list_init(&family->named);
	parent->family = family;
	fh_object_set_flags(parent, FH_OBJECT_EXPOSED);
	return family;
}

void fh_family_free(struct fh_object *object)
{
	struct fh_family *family = object->family;

	if (!family)
		return;
	fh_assert(fh_list_empty(&family->children) && fh_list_empty(&family->gone));
	fh_assert(!fh_list_linked(&family->named));
	fh_free(family->names);
	fh_free(family->counts);
	fh_free(family);
}

void fh_family_release(struct fh_object *parent)
{
	struct fh_list gone, *node;

	fh_list_init(&gone);
	fh_tree_acquire(parent->machine);
	if (parent->family)
		fh_list_splice_last(&gone, &parent->family->gone);
	fh_lock_release(&parent->machine->tree_lock);
	while ((node = fh_list_pop(&gone)))
		fh_object_unhold(fh_container_of(node, struct fh_object, sibling));
}

void fh_family_each_gone(const struct fh_object *parent,
			 void (*visit)(struct fh_object *child, void *arg), void *arg)
{
	if (!parent->family)
		return;
	fh_list_for_each_entry(child, &parent->family->gone, struct fh_object, sibling)
		visit(child, arg);
}

/* --- Names ---------------------------------------------------------------------------------- */

static void names_put(struct fh_family *family, uint64_t hash, struct fh_object *child)
{
	uint32_t i = (uint32_t)hash & family->mask;

	while (family->names[i].child)
		i = (i + 1) & family->mask;
	family->names[i] = (struct fh_name_slot){ .hash = hash, .child = child };
}

static void names_grow(struct fh_family *family)
{
	struct fh_name_slot *old = family->names;
	const uint32_t old_size = old ? family->mask + 1 : 0;
	const uint32_t size = old ? old_size * 2 : 4;

	family->names = fh_zalloc(size * sizeof(*family->names));
	family->mask = size - 1;
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i].child)
			names_put(family, old[i].hash, old[i].child);
	fh_free(old);
}

static struct fh_name_slot *names_find(const struct fh_family *family, uint64_t hash,
				       const char *name, size_t length)
{
	if (!family || !family->names)
		return NULL;
	for (uint32_t i = (uint32_t)hash & family->mask; family->names[i].child;
	     i = (i + 1) & family->mask) {
		if (family->names[i].hash != hash)
			continue;
		const char *other = fh_object_name_of(family->names[i].child);

		if (strncmp(other, name, length) == 0 && other[length] == '\0')
			return &family->names[i];
	}
	return NULL;
}

void fh_family_add_name(struct fh_family *family, const char *name, struct fh_object *child)
{
	if (!family->names || (family->count + 1) * 4 > (family->mask + 1) * 3)
		names_grow(family);
	names_put(family, fh_hash_string(name), child);
	if (family->count++ == 0)
		fh_list_add_last(&family->parent->machine->families, &family->named);
}

/* Close the gap that a removed entry leaves: what probed past it moves up. */
void fh_family_remove_name(struct fh_family *family, const char *name)
{
	const struct fh_name_slot *slot =
		names_find(family, fh_hash_string(name), name, strlen(name));
	uint32_t hole = (uint32_t)(slot - family->names);

	for (uint32_t i = (hole + 1) & family->mask; family->names[i].child;
	     i = (i + 1) & family->mask) {
		const uint32_t home = (uint32_t)family->names[i].hash & family->mask;

		if (((i - home) & family->mask) >= ((i - hole) & family->mask)) {
			family->names[hole] = family->names[i];
			hole = i;
		}
	}
	family->names[hole].child = NULL;
	if (--family->count == 0)
		fh_list_remove(&family->named);
}

struct fh_object *fh_family_find(const struct fh_family *family, uint64_t hash, const char *name,
				 size_t length)
{
	const struct fh_name_slot *slot = names_find(family, hash, name, length);

	return slot ? slot->child : NULL;
}

/* --- Numbers -------------------------------------------------------------------------------- */

size_t fh_name_stem(const char *name)
{
	const size_t length = strlen(name);

	return length > 3 && strcmp(name + length - 3, "[*]") == 0 ? length - 3 : 0;
}

static struct fh_name_count *count_slot(struct fh_name_count *counts, uint32_t mask, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & mask;

	while (counts[i].used && counts[i].hash != hash)
		i = (i + 1) & mask;
	return &counts[i];
}

static void counts_grow(struct fh_family *family)
{
	struct fh_name_count *old = family->counts;
	const uint32_t old_size = old ? family->counts_mask + 1 : 0;
	const uint32_t size = old ? old_size * 2 : 2;

	family->counts = fh_zalloc(size * sizeof(*family->counts));
	family->counts_mask = size - 1;
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i].used)
			*count_slot(family->counts, family->counts_mask, old[i].hash) = old[i];
	fh_free(old);
}

/* The number of the next name that begins so. */
static uint64_t count_next(struct fh_family *family, uint64_t hash)
{
	struct fh_name_count *slot;

	if (!family->counts || (family->counts_used + 1) * 4 > (family->counts_mask + 1) * 3)
		counts_grow(family);
	slot = count_slot(family->counts, family->counts_mask, hash);
	if (slot->used == 0) {
		slot->hash = hash;
		family->counts_used++;
	}
	return slot->used++;
}

char *fh_family_number(struct fh_object *parent, const char *name, size_t stem)
{
	const uint64_t hash = fh_hash_bytes(name, stem);
	const size_t size = stem + 24; /* "[", 20 digits, "]" and the end */
	char *numbered = fh_alloc(size);
	bool taken;

	fh_assert(!parent->class->core->immediate);
	memcpy(numbered, name, stem);
	fh_tree_acquire(parent->machine);
	struct fh_family *family = fh_family_of(parent);

	do {
		const int tail = snprintf(numbered + stem, size - stem, "[%" PRIu64 "]",
					  count_next(family, hash));
		const size_t length = stem + (size_t)tail;

		taken = fh_family_find(family, fh_hash_bytes(numbered, length), numbered, length);
	} while (taken);
	fh_lock_release(&parent->machine->tree_lock);
	return numbered;
}
