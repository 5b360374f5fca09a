/* SPDX-License-Identifier: MIT */
/*
 * Eventfds that are signalled instead of a callback: the objects, and the look at a store. What
 * readers see of them is extras.h's.
 *
 * R5. A store looks in a table in which those of one offset stand together, the most specific
 *     first: it is done with the first that matches.
 * R6. An eventfd that leaves is held until its commit has been told and a grace period is over;
 *     its descriptor goes with its memory. Until then the number means the same to everybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/point.h"
#include "memory/dispatch.h"
#include "memory/extras.h"

struct fh_eventfd {
	struct fh_object object;
	struct fh_eventfd_match match; /* C */
	int fd;			       /* C: our own */
	struct fh_object *owner;       /* C: pinned; itself if it has none */
	struct fh_region *region;      /* P: NULL: it has left */
};

/* --- The order ------------------------------------------------------------------------------ */

static unsigned rank(const struct fh_eventfd_match *match)
{
	return (match->match_data ? 2u : 0) + (match->size != 0 ? 1u : 0);
}

int fh_eventfd_compare(const struct fh_eventfd_match *a, const struct fh_eventfd_match *b)
{
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	if (rank(a) != rank(b))
		return rank(a) > rank(b) ? -1 : 1;
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return a->data == b->data ? 0 : a->data < b->data ? -1 : 1;
}

/* The first that is not before @match. */
static size_t find(const struct fh_eventfds *eventfds, const struct fh_eventfd_match *match)
{
	size_t low = 0, high = eventfds->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (fh_eventfd_compare(&eventfds->at[middle]->match, match) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* --- Stores --------------------------------------------------------------------------------- */

static void add_one(int fd)
{
	const uint64_t one = 1;
	const int kept = errno;
	ssize_t written;

	do
		written = write(fd, &one, sizeof(one));
	while (written < 0 && errno == EINTR);
	errno = kept;
}

static bool is_meant(const struct fh_eventfd_match *match, unsigned size, uint64_t value)
{
	return (match->size == 0 || match->size == size) &&
	       (!match->match_data || match->data == value);
}

bool fh_eventfd_signal(const struct fh_region *region, uint64_t offset, unsigned size,
		       uint64_t value)
{
	const struct fh_extra_table *table = fh_extras_table(region);
	size_t low = 0, high = table ? table->count : 0;

	FH_POINT("eventfd.found");
	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (table->events[middle].match.offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	for (; table && low < table->count && table->events[low].match.offset == offset; low++) {
		if (is_meant(&table->events[low].match, size, value)) {
			add_one(table->events[low].fd);
			return true;
		}
	}
	return false;
}

struct fh_extra_event fh_eventfd_event(const struct fh_eventfd *eventfd)
{
	return (struct fh_extra_event){ eventfd->match, eventfd->fd,
					(struct fh_eventfd *)eventfd };
}

/* --- The object ----------------------------------------------------------------------------- */

static struct fh_eventfd *eventfd_of(struct fh_object *object)
{
	return (struct fh_eventfd *)object;
}

/* Its place in the lists is the caller's business. */
void fh_eventfd_cut_off(struct fh_eventfd *eventfd)
{
	struct fh_topology *topology = eventfd->object.machine->topology;

	eventfd->region = NULL;
	fh_object_hold(&eventfd->object); /* R6 */
	fh_vector_add(&topology->unpins) = &eventfd->object;
}

/* In a transaction; idempotent. */
static void eventfd_detach(struct fh_object *object)
{
	struct fh_eventfd *eventfd = eventfd_of(object);
	struct fh_extras *extras;
	struct fh_eventfds *all;
	size_t at;

	if (!eventfd->region)
		return;
	extras = fh_extras_of(eventfd->region);
	all = &extras->eventfds;
	at = find(all, &eventfd->match);
	fh_assert(at < all->count && all->at[at] == eventfd);
	memmove(all->at + at, all->at + at + 1, (--all->count - at) * sizeof(*all->at));
	fh_extras_changed(extras);
	fh_eventfd_cut_off(eventfd);
}

static void eventfd_finalize(struct fh_object *object)
{
	struct fh_eventfd *eventfd = eventfd_of(object);

	fh_assert(!eventfd->region);
	if (fh_object_has(object, FH_OBJECT_BORN)) /* else it is the constructor's */
		close(eventfd->fd);
	fh_owner_unpin(object, eventfd->owner);
}

static struct fh_object *eventfd_held_by_nature(struct fh_object *object)
{
	return eventfd_of(object)->owner;
}

static const struct fh_core_ops eventfd_core = {
	.size = sizeof(struct fh_eventfd),
	.immediate = true,
	.detach = eventfd_detach,
	.finalize = eventfd_finalize,
	.held_by_nature = eventfd_held_by_nature,
};

static const struct fh_type eventfd_type = { .name = "eventfd", .core = &eventfd_core };

static enum fh_code eventfd_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct fh_eventfd *made = arg;
	struct fh_eventfd *eventfd = eventfd_of(object);

	(void)err;
	eventfd->match = made->match;
	eventfd->fd = made->fd;
	eventfd->owner = fh_owner_pin(object, made->owner);
	return FH_OK;
}

static enum fh_code check_match(const struct fh_eventfd_match *match, struct fh_error *err)
{
	const unsigned size = match->size;

	if (size > 8 || (size & (size - 1)) != 0)
		return fh_error_set(err, FH_EINVAL, "no store has %u bytes", size);
	if (match->match_data && size != 0 && size != 8 && match->data >> (8 * size) != 0)
		return fh_error_set(err, FH_EINVAL, "the data do not fit into %u bytes", size);
	return FH_OK;
}

static enum fh_code duplicate(int fd, int *ret_fd, struct fh_error *err)
{
	const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return fh_error_set(err, errno == EMFILE ? FH_ELIMIT : FH_EINVAL,
				    "cannot duplicate descriptor %d: %m", fd);
	*ret_fd = copy;
	return FH_OK;
}

/* In a transaction. */
static enum fh_code check_add(struct fh_region *region, const struct fh_eventfd_match *match,
			      struct fh_error *err)
{
	const uint64_t need = match->size ? match->size : 1;
	const struct fh_eventfds *all;
	size_t at;

	if (fh_object_has(&region->object, FH_OBJECT_DETACHED))
		return fh_error_set(err, FH_EDEAD, "the region has been disposed of");
	if (region->size == 0 || match->offset > fh_size_last(region->size) ||
	    need - 1 > fh_size_last(region->size) - match->offset)
		return fh_error_set(err, FH_ERANGE, "the region is smaller than that");
	if (!region->links || !region->links->extras)
		return FH_OK;
	all = &region->links->extras->eventfds;
	at = find(all, match);
	if (at < all->count && fh_eventfd_compare(&all->at[at]->match, match) == 0)
		return fh_error_set(err, FH_EEXIST, "the region has an eventfd for these stores");
	return FH_OK;
}

static void add(struct fh_eventfd *eventfd, struct fh_region *region)
{
	struct fh_extras *extras = fh_extras_of(region);
	struct fh_eventfds *all = &extras->eventfds;
	const size_t at = find(all, &eventfd->match);

	fh_vector_add(all) = NULL;
	memmove(all->at + at + 1, all->at + at, (all->count - 1 - at) * sizeof(*all->at));
	all->at[at] = eventfd;
	eventfd->region = region;
	fh_extras_changed(extras);
}

struct fh_eventfd *fh_eventfd_new(FH_ANY any, struct fh_region *region,
				  const struct fh_eventfd_match *match, int fd,
				  struct fh_error *err)
{
	struct fh_machine *m;
	struct fh_eventfd made = { .match = *match, .owner = fh_owner_of(any, &m) };
	struct fh_object *object = NULL;

	if (!region) {
		fh_error_set(err, FH_EDEAD, "there is no region");
		return NULL;
	}
	fh_assert(region->object.machine == m);
	if (!match->match_data)
		made.match.data = 0;
	if (fh_topology_check_context(err) != FH_OK || check_match(&made.match, err) != FH_OK)
		return NULL;
	if (!fh_region_has_callbacks(region)) {
		fh_error_set(err, FH_ETYPE, "the region has no registers");
		return NULL;
	}
	if (duplicate(fd, &made.fd, err) != FH_OK)
		return NULL;
	/* In a transaction: the ends of owner and region come before all of this or after. */
	fh_topology_begin(m);
	if (check_add(region, &made.match, err) == FH_OK)
		object = fh_object_create(m, made.owner, NULL, &eventfd_type, eventfd_construct,
					  &made, err);
	if (object)
		add(eventfd_of(object), region);
	fh_topology_commit(m);
	if (!object)
		close(made.fd);
	return (struct fh_eventfd *)object;
}

struct fh_eventfd *fh_eventfd_destroy(struct fh_eventfd *eventfd)
{
	if (eventfd)
		fh_object_dispose((struct fh_object *)eventfd);
	return NULL;
}
