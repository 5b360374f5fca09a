/* SPDX-License-Identifier: MIT */
/*
 * The object layer's part of a machine: the root of the tree, the ledger, control.
 */
#include "base/alloc.h"
#include "object/machine.h"

static const struct fh_core_ops root_core = { .size = sizeof(struct fh_object) };
static const struct fh_type root_type = { .name = "machine", .core = &root_core };

enum fh_code fh_machine_init_objects(struct fh_machine *m, const struct fh_machine_ops *ops,
				     const struct fh_machine_options *options,
				     struct fh_error *err)
{
	struct fh_object *root = &m->root;

	m->reaper = fh_reaper_new(err);
	if (!m->reaper)
		return FH_EAGAIN;
	m->ops = ops;
	if (options && options->loop_ops) {
		m->loop_ops = *options->loop_ops;
		m->loop = options->loop;
	}
	if (options && options->retired_limit)
		fh_reaper_set_limit(m->reaper, options->retired_limit);
	fh_list_init(&m->objects);
	fh_list_init(&m->families);
	fh_list_init(&root->sibling);
	fh_list_init(&root->all);
	root->machine = m;
	root->class = fh_class_get(m, &root_type);
	/* Relaxed: nobody else has the machine yet. */
	atomic_store_explicit(&root->life, FH_LIFE_REF | FH_LIFE_PIN, memory_order_relaxed);
	atomic_store_explicit(&root->flags,
			      FH_OBJECT_SHOWN | FH_OBJECT_BORN | FH_OBJECT_SETTLED |
				      FH_OBJECT_BUILTIN | FH_OBJECT_EXPOSED | FH_OBJECT_FINDABLE,
			      memory_order_relaxed);
	return FH_OK;
}

void fh_machine_fini_objects(struct fh_machine *m)
{
	struct fh_object *root = &m->root;

	fh_assert(fh_list_empty(&m->objects));
	fh_assert(!m->control.first);
	m->reaper = fh_reaper_destroy(m->reaper);
	/* The root leaves nothing but what others hung on it in its name. */
	fh_object_set_flags(root, FH_OBJECT_DETACHED);
	fh_holding_close(root);
	fh_holding_free(root);
	fh_concern_clear(root);
	fh_concern_unwatch(root);
	fh_properties_drop_links(root);
	fh_properties_release(root);
	fh_concern_free(root);
	fh_family_free(root);
	fh_defaults_fini(m);
	fh_classes_fini(m);
}
