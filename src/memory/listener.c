/* SPDX-License-Identifier: MIT */
/*
 * Listeners: who is told of every change of a space's view.
 *
 * R1. All callbacks but coalesced_flush run under the topology lock, with FH_HELD_LISTENER noted,
 *     so that an edit from within one is refused. So no list of listeners changes while it is gone
 *     through.
 * R2. A listener is told of additions and removals such that, put together, they are what the
 *     space's published view shows: all of it when it registers, the difference at each commit,
 *     none when it leaves.
 * R3. What is logged is told apart from that: after the additions, of each range whose clients are
 *     others than before. An addition of one that is logged is followed by log_start; a removal
 *     ends it.
 * R4. One that leaves, because it or its space is disposed of, is told at the commit of that
 *     transaction. It is held until then and for a grace period; its owner is pinned as long as
 *     it exists, so that `state` is there.
 * R5. What callbacks ask for waits until the present commit has been told to all: then those are
 *     told that depart, of what is published now, and those that join. Outside of a commit
 *     (registering, log_sync) that is the commit which the outermost transaction has at its end.
 */
#include "base/thread.h"
#include "memory/extras.h"
#include "memory/listener.h"

static struct fh_listener *listener_of(struct fh_object *object)
{
	return (struct fh_listener *)object;
}

/* --- Joining and leaving -------------------------------------------------------------------- */

static bool in_callback(void)
{
	return fh_thread_holds(fh_thread_self(), FH_HELD_LISTENER);
}

/* What finds it other than through its space. Under the lock. */
static void listener_count_hooks(struct fh_listener *listener, bool joins)
{
	struct fh_topology *topology = listener->object.machine->topology;
	const unsigned count = atomic_load_explicit(&topology->log_hooks, memory_order_relaxed);

	if (listener->ops->log_sync || listener->ops->log_clear) /* Relaxed: as where it is read. */
		atomic_store_explicit(&topology->log_hooks, joins ? count + 1 : count - 1,
				      memory_order_relaxed);
	if (listener->ops->coalesced_flush && joins)
		fh_coalesced_add_flusher(topology,
					 &(struct fh_flusher){ &listener->object, listener->owner,
							       listener->ops->coalesced_flush,
							       listener->state });
	else if (listener->ops->coalesced_flush)
		fh_coalesced_remove_flusher(topology, &listener->object);
}

/* Among equals, behind those that were there. */
static void space_add_listener(struct fh_space *space, struct fh_listener *listener)
{
	struct fh_list *before = &space->listeners;

	fh_list_for_each(node, &space->listeners) {
		if (fh_list_entry(node, struct fh_listener, link)->priority >
		    listener->priority) {
			before = node;
			break;
		}
	}
	fh_list_add_before(before, &listener->link);
	fh_space_list(space);
}

/* Of what the listener's space shows now. */
static struct fh_news listener_news(const struct fh_listener *listener, bool joins)
{
	/* Relaxed: under the lock. */
	const struct fh_view_node *view = fh_view_set_root(
		atomic_load_explicit(&listener->space->set, memory_order_relaxed));
	struct fh_topology *topology = listener->object.machine->topology;

	return joins ? fh_news_compare(topology, NULL, view) :
		       fh_news_compare(topology, view, NULL);
}

void fh_listener_join(struct fh_listener *listener)
{
	struct fh_news news = listener_news(listener, true);

	space_add_listener(listener->space, listener);
	listener_count_hooks(listener, true);
	if (listener->ops->prepare)
		listener->object.machine->topology->preparers++;
	fh_listener_tell_alone(listener, &news, FH_NEWS_NOW);
}

void fh_listener_is_out(struct fh_listener *listener)
{
	struct fh_topology *topology = listener->object.machine->topology;

	if (listener->ops->prepare)
		topology->preparers--;
	fh_vector_add(&topology->unpins) = &listener->space->object;
	fh_vector_add(&topology->unpins) = &listener->object;
	listener->space = NULL;
}

void fh_listener_depart(struct fh_listener *listener)
{
	struct fh_news news = listener_news(listener, false);

	listener_count_hooks(listener, false);
	fh_list_remove(&listener->link);
	fh_space_list(listener->space);
	fh_listener_tell_alone(listener, &news, FH_NEWS_NOW);
	fh_listener_is_out(listener);
}

/* Takes it from its space and has it told so, once. */
static void listener_leave(struct fh_listener *listener)
{
	struct fh_topology *topology = listener->object.machine->topology;

	if (!fh_list_linked(&listener->link)) { /* it has not joined, and was told nothing */
		fh_list_remove(&listener->wait_link);
		listener->space = NULL;
		return;
	}
	if (!listener->leaving) {
		listener->leaving = true;
		/* The commit looks at both once more. */
		fh_object_hold(&listener->object);
		fh_object_hold(&listener->space->object);
	}
	if (in_callback()) { /* R5 */
		fh_list_add_last(&topology->departing, &listener->wait_link);
		return;
	}
	fh_list_remove(&listener->wait_link); /* its space ends before it could depart */
	listener_count_hooks(listener, false);
	fh_list_remove(&listener->link);
	fh_list_add_last(&topology->leaving, &listener->link);
	fh_space_list(listener->space);
}

void fh_listeners_leave(struct fh_space *space)
{
	struct fh_list *node;

	while ((node = fh_list_first(&space->listeners)))
		listener_leave(fh_list_entry(node, struct fh_listener, link));
	fh_list_for_each_safe(waiting, &space->object.machine->topology->joining) {
		struct fh_listener *listener =
			fh_list_entry(waiting, struct fh_listener, wait_link);

		if (listener->space == space)
			listener_leave(listener);
	}
}

static void listener_detach(struct fh_object *object)
{
	struct fh_listener *listener = listener_of(object);

	if (listener->space && !listener->leaving)
		listener_leave(listener);
}

static void listener_finalize(struct fh_object *object)
{
	struct fh_listener *listener = listener_of(object);

	fh_assert(!listener->space);
	fh_owner_unpin(object, listener->owner);
}

static struct fh_object *listener_held_by_nature(struct fh_object *object)
{
	return listener_of(object)->owner;
}

static const struct fh_core_ops listener_core = {
	.size = sizeof(struct fh_listener),
	.immediate = true,
	.leaf = true,
	.detach = listener_detach,
	.finalize = listener_finalize,
	.held_by_nature = listener_held_by_nature,
};

const struct fh_type fh_listener_type = { .name = "listener", .core = &listener_core };

static enum fh_code listener_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct fh_listener *made = arg;
	struct fh_listener *listener = listener_of(object);

	(void)err;
	listener->ops = made->ops;
	listener->state = made->state;
	listener->priority = made->priority;
	listener->owner = fh_owner_pin(object, made->owner);
	fh_list_init(&listener->link);
	fh_list_init(&listener->wait_link);
	return FH_OK;
}

struct fh_listener *fh_listener_new(FH_ANY any, struct fh_space *space, int priority,
				    const struct fh_listener_ops *ops, void *state)
{
	struct fh_machine *m;
	struct fh_object *owner = fh_owner_of(any, &m);
	struct fh_listener made = {
		.ops = ops, .state = state, .priority = priority, .owner = owner
	};
	struct fh_object *object = NULL;

	fh_assert(space->object.machine == m);
	/* In a transaction, so that the owner's detach comes before all of this or after. */
	fh_topology_join(m);
	if (!fh_object_has(&space->object, FH_OBJECT_DETACHED))
		object = fh_object_create(m, owner, NULL, &fh_listener_type, listener_construct,
					  &made, NULL);
	if (object) {
		listener_of(object)->space = space;
		if (in_callback()) /* R5 */
			fh_list_add_last(&m->topology->joining, &listener_of(object)->wait_link);
		else
			fh_listener_join(listener_of(object));
	}
	fh_topology_commit(m);
	return object ? listener_of(object) : NULL;
}

struct fh_listener *fh_listener_destroy(struct fh_listener *listener)
{
	if (listener)
		fh_object_dispose(listener);
	return NULL;
}
