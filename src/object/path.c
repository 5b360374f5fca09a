/* SPDX-License-Identifier: MIT */
/*
 * Paths: of objects, and to them.
 *
 * R1. A path is made, and followed, under the tree lock (tree.c).
 * R2. A partial path is looked up in each family that has names, and where its first part is found
 *     the rest is followed down: no index by name is kept, so that no object pays for one.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "object/family.h"
#include "object/machine.h"

/* --- From an object ------------------------------------------------------------------------- */

/* The path as it is now. Tree lock held. */
static char *path_locked(const struct fh_object *object)
{
	const struct fh_object *o;
	size_t length = 0;

	if (object == &object->machine->root)
		return fh_strdup("/");
	for (o = object; o->parent; o = o->parent)
		length += 1 + (fh_object_name_of(o) ? strlen(fh_object_name_of(o)) :
						      strlen(o->class->type->name) + 2);
	if (length == 0)
		return fh_printf("<%s>", object->class->type->name);
	/* A subtree outside the machine's tree starts with its top's type. */
	const bool outside = o != &object->machine->root;
	const size_t front = outside ? strlen(o->class->type->name) + 2 : 0;
	char *path = fh_alloc(front + length + 1);
	char *at = path + front + length;

	*at = '\0';
	for (o = object; o->parent; o = o->parent) {
		const char *name = fh_object_name_of(o) ? fh_object_name_of(o) :
							  o->class->type->name;
		const size_t size = strlen(name);

		if (!fh_object_name_of(o))
			*--at = '>';
		at -= size;
		memcpy(at, name, size);
		if (!fh_object_name_of(o))
			*--at = '<';
		*--at = '/';
	}
	if (outside) {
		path[0] = '<';
		memcpy(path + 1, o->class->type->name, front - 2);
		path[front - 1] = '>';
	}
	return path;
}

char *fh_object_path_locked(struct fh_object *object)
{
	return object->last_path ? fh_strdup(object->last_path) : path_locked(object);
}

char *fh_object_path_dup(struct fh_object *object)
{
	fh_tree_acquire(object->machine);
	char *path = fh_object_path_locked(object);

	fh_lock_release(&object->machine->tree_lock);
	return path;
}

size_t fh_object_path(FH_ANY any, char *buffer, size_t size)
{
	FH_CLEANUP(fh_freep) char *path = fh_object_path_dup(fh_object_of(any));
	const size_t length = strlen(path);

	if (size > 0) {
		const size_t copied = length < size ? length : size - 1;

		memcpy(buffer, path, copied);
		buffer[copied] = '\0';
	}
	return length;
}

/* --- To an object --------------------------------------------------------------------------- */

/* The child of that name, once it is born. */
static struct fh_object *find_locked(const struct fh_family *family, uint64_t hash,
				     const char *name, size_t length)
{
	struct fh_object *child = fh_family_find(family, hash, name, length);

	return child && fh_object_has(child, FH_OBJECT_BORN) ? child : NULL;
}

/* From @object on down @path, which is empty or begins with a '/', or NULL. */
static struct fh_object *descend_locked(struct fh_object *object, const char *path)
{
	while (object && *path == '/') {
		const size_t length = strcspn(++path, "/");

		object = find_locked(object->family, fh_hash_bytes(path, length), path, length);
		path += length;
	}
	return object;
}

static struct fh_object *absolute_locked(struct fh_machine *m, const char *path)
{
	return path[1] == '\0' ? &m->root : descend_locked(&m->root, path);
}

struct fh_object *fh_object_find_child(FH_ANY parent_any, const char *name)
{
	struct fh_object *parent = fh_object_of(parent_any);
	const size_t length = strlen(name);
	const uint64_t hash = fh_hash_bytes(name, length);

	fh_tree_acquire(parent->machine);
	struct fh_object *child = find_locked(parent->family, hash, name, length);

	if (child && !fh_object_try_ref(child))
		child = NULL;
	fh_lock_release(&parent->machine->tree_lock);
	return child;
}

struct fh_object *fh_object_find(struct fh_machine *m, const char *path)
{
	if (path[0] != '/')
		return NULL;
	fh_tree_acquire(m);
	struct fh_object *object = absolute_locked(m, path);

	if (object && !fh_object_try_ref(object))
		object = NULL;
	fh_lock_release(&m->tree_lock);
	return object;
}

/* --- Partial paths -------------------------------------------------------------------------- */

/* The object below @family that @path leads to, if it is in the machine's tree and of @type. */
static struct fh_object *match_locked(const struct fh_family *family, uint64_t hash,
				      const char *path, const struct fh_type *type)
{
	const size_t length = strcspn(path, "/");
	struct fh_object *object = find_locked(family, hash, path, length);

	object = object ? descend_locked(object, path + length) : NULL;
	if (!object || (type && !fh_object_cast(object, type)))
		return NULL;
	return fh_object_is_below_locked(object, &object->machine->root) ? object : NULL;
}

/* The first two that match, refs taken. */
static void find_partial_locked(struct fh_machine *m, const char *path, const struct fh_type *type,
				struct fh_object **found)
{
	const uint64_t hash = fh_hash_bytes(path, strcspn(path, "/"));
	unsigned count = 0;

	fh_list_for_each_entry(family, &m->families, struct fh_family, named) {
		struct fh_object *object = match_locked(family, hash, path, type);

		if (object && fh_object_try_ref(object))
			found[count++] = object;
		if (count == 2)
			return;
	}
}

static enum fh_code refuse_two(struct fh_object *const *found, const char *path,
			       struct fh_error *err)
{
	FH_CLEANUP(fh_freep) char *first = fh_object_path_dup(found[0]);
	FH_CLEANUP(fh_freep) char *second = fh_object_path_dup(found[1]);

	return fh_error_set(err, FH_EAMBIGUOUS, "the path '%s' is ambiguous: %s, %s", path, first,
			    second);
}

static enum fh_code refuse_none(const char *path, const struct fh_type *type, struct fh_error *err)
{
	if (!type)
		return fh_error_set(err, FH_ENOENT, "no object has the path '%s'", path);
	return fh_error_set(err, FH_ENOENT, "no object of type '%s' has the path '%s'", type->name,
			    path);
}

static enum fh_code resolve_partial(struct fh_machine *m, const char *path,
				    const struct fh_type *type, struct fh_object **ret_object,
				    struct fh_error *err)
{
	struct fh_object *found[2] = { NULL, NULL };
	enum fh_code code = FH_OK;

	fh_tree_acquire(m);
	find_partial_locked(m, path, type, found);
	fh_lock_release(&m->tree_lock);
	if (!found[0])
		return refuse_none(path, type, err);
	if (!found[1]) {
		*ret_object = found[0];
		return FH_OK;
	}
	code = refuse_two(found, path, err);
	fh_object_unref(found[0]);
	fh_object_unref(found[1]);
	return code;
}

enum fh_code fh_machine_resolve(struct fh_machine *m, const char *path, const struct fh_type *type,
				struct fh_object **ret_object, struct fh_error *err)
{
	FH_CLEANUP(fh_object_unrefp) struct fh_object *object = NULL;

	if (path[0] != '/')
		return resolve_partial(m, path, type, ret_object, err);
	object = fh_object_find(m, path);
	if (!object)
		return refuse_none(path, NULL, err);
	if (type && !fh_object_cast(object, type))
		return fh_error_set(err, FH_ETYPE, "%s is a '%s', not a '%s'", path,
				    object->class->type->name, type->name);
	*ret_object = fh_steal(&object);
	return FH_OK;
}
