/* SPDX-License-Identifier: MIT */
/*
 * Who is told of memory that comes and goes. See discard.h for R1 to R4.
 */
#include "memory/discard-part.h"
#include "memory/topology.h"

struct fh_discard_listener {
	struct fh_object object;
	const struct fh_discard_ops *ops; /* C, to `state` */
	struct fh_stretch section;
	void *state;
	struct fh_object *owner;   /* C: pinned; itself if it has none */
	struct fh_ram_region *ram; /* topology lock: NULL: cut off */
	struct fh_list link;	   /* L */
};

/* --- Telling -------------------------------------------------------------------------------- */

/* False: nothing of the run is in the listener's section. */
static bool clip(const struct fh_discard_listener *listener, const struct fh_stretch *run,
		 struct fh_stretch *ret)
{
	const struct fh_stretch *section = &listener->section;

	*ret = *run;
	if (ret->first < section->first)
		ret->first = section->first;
	if (ret->last > section->last)
		ret->last = section->last;
	return ret->first <= ret->last;
}

static enum fh_code tell_populate(const struct fh_discard_listener *listener,
				  struct fh_ram_region *ram, const struct fh_stretch *run)
{
	struct fh_stretch part;

	return clip(listener, run, &part) && listener->ops->populate ?
		       listener->ops->populate(listener->state, &ram->region, part.first,
					       part.last - part.first + 1) :
		       FH_OK;
}

static void tell_discard(const struct fh_discard_listener *listener, struct fh_ram_region *ram,
			 const struct fh_stretch *run)
{
	struct fh_stretch part;

	if (clip(listener, run, &part) && listener->ops->discard)
		listener->ops->discard(listener->state, &ram->region, part.first,
				       part.last - part.first + 1);
}

/* All that come before @end in the list, in reverse. L held. */
static void tell_discard_before(struct fh_ram_region *ram, struct fh_list *end,
				const struct fh_stretch *run)
{
	for (struct fh_list *node = end->prev; node != &ram->discard.listeners;
	     node = node->prev)
		tell_discard(fh_list_entry(node, struct fh_discard_listener, link), ram, run);
}

enum fh_code fh_discard_tell_populate(struct fh_ram_region *ram, const struct fh_stretch *run)
{
	fh_list_for_each_entry(listener, &ram->discard.listeners, struct fh_discard_listener,
			       link) {
		const enum fh_code code = tell_populate(listener, ram, run);

		if (code != FH_OK) {
			tell_discard_before(ram, &listener->link, run);
			return code;
		}
	}
	return FH_OK;
}

void fh_discard_tell_discard(struct fh_ram_region *ram, const struct fh_stretch *run)
{
	tell_discard_before(ram, &ram->discard.listeners, run);
}

/* --- Lives -------------------------------------------------------------------------------- */

static struct fh_discard_listener *listener_of(struct fh_object *object)
{
	return (struct fh_discard_listener *)object;
}

/* R3, for one that leaves. L held. */
static void tell_gone(struct fh_discard_listener *listener, struct fh_ram_region *ram)
{
	struct fh_stretches runs = { .count = 0 };

	fh_discard_collect(ram, &listener->section, false, &runs);
	while (runs.count > 0)
		tell_discard(listener, ram, &runs.at[--runs.count]);
	fh_vector_free(&runs);
}

/* R3, for one that comes. L held. */
static enum fh_code replay(struct fh_discard_listener *listener, struct fh_ram_region *ram)
{
	struct fh_stretches runs = { .count = 0 };
	enum fh_code code = FH_OK;
	size_t told = 0;

	fh_discard_collect(ram, &listener->section, false, &runs);
	while (told < runs.count && code == FH_OK) {
		code = tell_populate(listener, ram, &runs.at[told]);
		told += code == FH_OK;
	}
	while (code != FH_OK && told > 0)
		tell_discard(listener, ram, &runs.at[--told]);
	fh_vector_free(&runs);
	return code;
}

/* Topology lock held (R2); idempotent. */
static void listener_detach(struct fh_object *object)
{
	struct fh_discard_listener *listener = listener_of(object);
	struct fh_ram_region *ram = listener->ram;

	if (!ram)
		return;
	fh_discard_leaf_begin(&ram->discard);
	fh_list_remove(&listener->link);
	tell_gone(listener, ram);
	fh_discard_leaf_end(&ram->discard);
	listener->ram = NULL;
}

static void listener_finalize(struct fh_object *object)
{
	struct fh_discard_listener *listener = listener_of(object);

	fh_assert(!listener->ram);
	fh_owner_unpin(object, listener->owner);
}

static struct fh_object *listener_held_by_nature(struct fh_object *object)
{
	return listener_of(object)->owner;
}

static const struct fh_core_ops listener_core = {
	.size = sizeof(struct fh_discard_listener),
	.immediate = true,
	.detach = listener_detach,
	.finalize = listener_finalize,
	.held_by_nature = listener_held_by_nature,
};

static const struct fh_type listener_type = { .name = "discard-listener", .core = &listener_core };

static enum fh_code listener_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct fh_discard_listener *made = arg;
	struct fh_discard_listener *listener = listener_of(object);

	(void)err;
	listener->ops = made->ops;
	listener->section = made->section;
	listener->state = made->state;
	listener->owner = fh_owner_pin(object, made->owner);
	fh_list_init(&listener->link);
	return FH_OK;
}

static enum fh_code listener_join(struct fh_discard_listener *listener, struct fh_ram_region *ram,
				  struct fh_error *err)
{
	enum fh_code code;

	fh_discard_leaf_begin(&ram->discard);
	code = replay(listener, ram);
	if (code == FH_OK) {
		fh_list_add_last(&ram->discard.listeners, &listener->link);
		listener->ram = ram;
	}
	fh_discard_leaf_end(&ram->discard);
	return code == FH_OK ? code : fh_error_set(err, code, "the listener refuses what is there");
}

struct fh_discard_listener *fh_discard_listener_new(FH_ANY any, struct fh_region *region,
						    uint64_t offset, uint64_t size,
						    const struct fh_discard_ops *ops, void *state,
						    struct fh_error *err)
{
	struct fh_machine *m;
	struct fh_discard_listener made = {
		.ops = ops, .state = state, .owner = fh_owner_of(any, &m)
	};
	struct fh_discard_listener *listener = NULL;
	bool joined = false;

	if (fh_topology_check_context(err) != FH_OK)
		return NULL;
	/* In a transaction: the ends of owner and region come before all of this or after. */
	fh_topology_begin(m);
	if (fh_discard_check(region, err) == FH_OK) {
		fh_assert(region->object.machine == m);
		if (fh_stretch_of(fh_ram_of(region), offset, size, &made.section))
			listener = (struct fh_discard_listener *)fh_object_create(
				m, made.owner, NULL, &listener_type, listener_construct, &made,
				err);
		else
			fh_error_set(err, FH_EINVAL, "nothing of it is in the region");
	}
	if (listener)
		joined = listener_join(listener, fh_ram_of(region), err) == FH_OK;
	fh_topology_commit(m);
	if (!listener || joined)
		return listener;
	if (made.owner)
		fh_object_dispose((struct fh_object *)listener);
	else
		fh_object_unref((struct fh_object *)listener);
	return NULL;
}

struct fh_discard_listener *fh_discard_listener_destroy(struct fh_discard_listener *listener)
{
	if (listener)
		fh_object_dispose((struct fh_object *)listener);
	return NULL;
}

void fh_discard_detach(struct fh_ram_region *ram)
{
	struct fh_list *node;

	fh_discard_leaf_begin(&ram->discard);
	while ((node = fh_list_pop(&ram->discard.listeners))) {
		struct fh_discard_listener *listener =
			fh_list_entry(node, struct fh_discard_listener, link);

		tell_gone(listener, ram);
		listener->ram = NULL;
	}
	fh_discard_leaf_end(&ram->discard);
}
