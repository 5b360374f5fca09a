/* SPDX-License-Identifier: MIT */
/*
 * Parts of memory that come and go. See discard.h for R1 to R4.
 */
#include "memory/discard.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/point.h"
#include "memory/chain.h"
#include "memory/dirty.h"
#include "memory/region.h"
#include "memory/topology.h"
#include "memory/vector.h"

/* A stretch of the region's memory; last is inclusive. */
struct stretch {
	uint64_t first, last;
};
FH_VECTOR(stretches, struct stretch);

struct fh_discard_listener {
	struct fh_object object;
	const struct fh_discard_ops *ops; /* C, to `state` */
	struct stretch section;
	void *state;
	struct fh_object *owner;   /* C: pinned; itself if it has none */
	struct fh_ram_region *ram; /* topology lock: NULL: cut off */
	struct fh_list link;	   /* L */
};

/* --- The lock ------------------------------------------------------------------------------- */

static void leaf_begin(struct fh_discard *discard) FH_ACQUIRE(discard->lock)
{
	struct fh_thread *t = fh_thread_self();

	fh_thread_hold(t, FH_HELD_LISTENER);
	fh_lock_acquire_as(&discard->lock, t);
}

static void leaf_end(struct fh_discard *discard) FH_RELEASE(discard->lock)
{
	struct fh_thread *t = fh_thread_self();

	fh_lock_release_as(&discard->lock, t);
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

/* --- Bits ----------------------------------------------------------------------------------- */

static uint64_t granule_count(const struct fh_ram_region *ram)
{
	return ram->capacity ? fh_size_last(ram->capacity) / ram->discard.granule + 1 : 0;
}

static uint64_t *bits_new(const struct fh_ram_region *ram, bool set)
{
	const uint64_t words = (granule_count(ram) + 63) / 64;
	uint64_t *bits = fh_try_zalloc(words ? words : 1, sizeof(*bits));

	if (bits && set)
		memset(bits, 0xff, words * sizeof(*bits));
	return bits;
}

static bool is_absent(const struct fh_discard *discard, uint64_t granule)
{
	return discard->absent && (discard->absent[granule / 64] >> granule % 64 & 1);
}

static void set_absent(struct fh_ram_region *ram, const struct stretch *stretch, bool absent)
{
	struct fh_discard *discard = &ram->discard;

	for (uint64_t i = stretch->first / discard->granule; i <= stretch->last / discard->granule;
	     i++) {
		const uint64_t bit = UINT64_C(1) << i % 64;

		if (absent)
			discard->absent[i / 64] |= bit;
		else
			discard->absent[i / 64] &= ~bit;
	}
}

/*
 * The next run within @within, from *at on, of what is absent, respectively populated. L held.
 * False: there is none. *at becomes where to go on, unless the run ends where @within does.
 */
static bool next_run(const struct fh_ram_region *ram, const struct stretch *within, bool absent,
		     uint64_t *at, struct stretch *ret)
{
	const struct fh_discard *discard = &ram->discard;
	const uint64_t end = within->last / discard->granule;
	uint64_t first = *at / discard->granule;
	uint64_t last;

	if (!discard->absent) {
		if (absent)
			return false;
		*ret = (struct stretch){ *at, within->last };
		*at = within->last + 1;
		return ret->first <= ret->last;
	}
	while (first <= end && is_absent(discard, first) != absent)
		first++;
	if (first > end)
		return false;
	for (last = first; last < end && is_absent(discard, last + 1) == absent;)
		last++;
	ret->first = first * discard->granule;
	ret->last = last * discard->granule + (discard->granule - 1);
	if (ret->first < *at)
		ret->first = *at;
	if (ret->last > within->last)
		ret->last = within->last;
	*at = ret->last + 1;
	return ret->first <= ret->last;
}

static void collect(const struct fh_ram_region *ram, const struct stretch *within, bool absent,
		    struct stretches *ret)
{
	uint64_t at = within->first;
	struct stretch run;

	while (next_run(ram, within, absent, &at, &run)) {
		fh_vector_add(ret) = run;
		if (run.last == within->last)
			break;
	}
}

/* --- Telling -------------------------------------------------------------------------------- */

/* False: nothing of the run is in the listener's section. */
static bool clip(const struct fh_discard_listener *listener, const struct stretch *run,
		 struct stretch *ret)
{
	const struct stretch *section = &listener->section;

	*ret = *run;
	if (ret->first < section->first)
		ret->first = section->first;
	if (ret->last > section->last)
		ret->last = section->last;
	return ret->first <= ret->last;
}

static enum fh_code tell_populate(const struct fh_discard_listener *listener,
				  struct fh_ram_region *ram, const struct stretch *run)
{
	struct stretch part;

	return clip(listener, run, &part) && listener->ops->populate ?
		       listener->ops->populate(listener->state, &ram->region, part.first,
					       part.last - part.first + 1) :
		       FH_OK;
}

static void tell_discard(const struct fh_discard_listener *listener, struct fh_ram_region *ram,
			 const struct stretch *run)
{
	struct stretch part;

	if (clip(listener, run, &part) && listener->ops->discard)
		listener->ops->discard(listener->state, &ram->region, part.first,
				       part.last - part.first + 1);
}

/* All that come before @end in the list, in reverse. L held. */
static void tell_discard_before(struct fh_ram_region *ram, struct fh_list *end,
				const struct stretch *run)
{
	for (struct fh_list *node = end->prev; node != &ram->discard.listeners;
	     node = node->prev)
		tell_discard(fh_list_entry(node, struct fh_discard_listener, link), ram, run);
}

/* Every listener; FH_OK, or nobody has been told. L held. */
static enum fh_code tell_populate_all(struct fh_ram_region *ram, const struct stretch *run)
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

/* --- Populate and discard ------------------------------------------------------------------- */

static enum fh_code check_kind(struct fh_region *region, struct fh_error *err)
{
	if (!region || fh_object_has(&region->object, FH_OBJECT_DETACHED))
		return fh_error_set(err, FH_EDEAD, "the region is disposed of");
	if (region->kind != FH_REGION_RAM)
		return fh_error_set(err, FH_ETYPE, "the region is no RAM");
	return FH_OK;
}

/* Bytes as whole granules of the region, or why not. */
static enum fh_code check_range(struct fh_region *region, uint64_t offset, uint64_t size,
				struct fh_error *err)
{
	const enum fh_code code = check_kind(region, err);
	const struct fh_ram_region *ram = (const struct fh_ram_region *)region;

	if (code != FH_OK)
		return code;
	if (!fh_backing_can_punch(&ram->backing))
		return fh_error_set(err, FH_ENOTSUP,
				    "memory of this kind cannot be given back to the host");
	if (offset > ram->capacity || size > ram->capacity - offset)
		return fh_error_set(err, FH_ERANGE,
				    "%#" PRIx64 " bytes at %#" PRIx64 " are not in the region",
				    size, offset);
	if (offset % ram->discard.granule != 0 ||
	    (size % ram->discard.granule != 0 && offset + size != ram->capacity))
		return fh_error_set(err, FH_EINVAL,
				    "%#" PRIx64 " bytes at %#" PRIx64
				    " are no whole pieces of %#" PRIx64,
				    size, offset, ram->discard.granule);
	return FH_OK;
}

static enum fh_code punch(struct fh_ram_region *ram, const struct stretch *run,
			  struct fh_error *err)
{
	return fh_backing_punch(&ram->backing, run->first, run->last - run->first + 1, err);
}

/* L held. */
static enum fh_code discard_locked(struct fh_ram_region *ram, const struct stretch *range,
				   struct fh_error *err)
{
	enum fh_code worst = FH_OK;
	uint64_t at = range->first;
	struct stretch run;

	if (ram->discard.bans > 0)
		return fh_error_set(err, FH_EBUSY, "discards of the region are forbidden");
	if (!ram->discard.absent && !(ram->discard.absent = bits_new(ram, false)))
		return fh_error_set(err, FH_ENOMEM, "no memory to note what is discarded");
	for (bool more = true; more && next_run(ram, range, false, &at, &run);
	     more = run.last != range->last) {
		tell_discard_before(ram, &ram->discard.listeners, &run);
		set_absent(ram, &run, true);

		const enum fh_code code = punch(ram, &run, err);

		if (code != FH_OK)
			worst = code;
		FH_POINT("discard.punched");
		fh_dirty_mark(&ram->region, run.first, run.last - run.first + 1);
	}
	return worst;
}

enum fh_code fh_region_discard(struct fh_region *region, uint64_t offset, uint64_t size,
			       struct fh_error *err)
{
	struct fh_ram_region *ram = (struct fh_ram_region *)region;
	enum fh_code code = check_range(region, offset, size, err);

	if (code != FH_OK || size == 0)
		return code;
	fh_chain_assert_may_access(fh_thread_self());
	leaf_begin(&ram->discard);
	code = discard_locked(ram, &(struct stretch){ offset, offset + (size - 1) }, err);
	leaf_end(&ram->discard);
	return code;
}

/* What was allocated for the first runs goes again; that it does not is no harm: R4. */
static void punch_all(struct fh_ram_region *ram, const struct stretches *runs)
{
	struct fh_error unused = FH_ERROR_INIT;

	for (size_t i = 0; i < runs->count; i++)
		punch(ram, &runs->at[i], &unused);
}

/* The host's part: R4. */
static enum fh_code prepare(struct fh_ram_region *ram, const struct stretches *runs,
			    bool preallocate, struct fh_error *err)
{
	enum fh_code code = FH_OK;

	for (size_t i = 0; i < runs->count && code == FH_OK; i++) {
		const struct stretch *run = &runs->at[i];

		code = punch(ram, run, err);
		if (code == FH_OK && preallocate)
			code = fh_backing_allocate(&ram->backing, run->first,
						   run->last - run->first + 1, err);
	}
	return code;
}

/* L held. */
static enum fh_code populate_locked(struct fh_ram_region *ram, const struct stretch *range,
				    bool preallocate, struct fh_error *err)
{
	struct stretches runs = { .count = 0 };
	enum fh_code code;
	size_t told = 0;

	collect(ram, range, true, &runs);
	code = prepare(ram, &runs, preallocate, err);
	while (code == FH_OK && told < runs.count) {
		code = tell_populate_all(ram, &runs.at[told]);
		if (code == FH_OK)
			told++;
		else
			fh_error_set(err, code, "a listener refuses %#" PRIx64 " to %#" PRIx64,
				     runs.at[told].first, runs.at[told].last);
	}
	if (code != FH_OK) {
		while (told > 0)
			tell_discard_before(ram, &ram->discard.listeners, &runs.at[--told]);
		punch_all(ram, &runs);
	}
	for (size_t i = 0; i < runs.count && code == FH_OK; i++)
		set_absent(ram, &runs.at[i], false);
	fh_vector_free(&runs);
	return code;
}

enum fh_code fh_region_populate(struct fh_region *region, uint64_t offset, uint64_t size,
				bool preallocate, struct fh_error *err)
{
	struct fh_ram_region *ram = (struct fh_ram_region *)region;
	enum fh_code code = check_range(region, offset, size, err);

	if (code != FH_OK || size == 0)
		return code;
	fh_chain_assert_may_access(fh_thread_self());
	leaf_begin(&ram->discard);
	code = populate_locked(ram, &(struct stretch){ offset, offset + (size - 1) }, preallocate,
			       err);
	leaf_end(&ram->discard);
	return code;
}

/* --- Asking --------------------------------------------------------------------------------- */

/* The range, cut to the region's memory. False: nothing. */
static bool stretch_of(const struct fh_ram_region *ram, uint64_t offset, uint64_t size,
		       struct stretch *ret)
{
	if (size == 0 || ram->capacity == 0 || offset > fh_size_last(ram->capacity))
		return false;
	ret->first = offset;
	ret->last = fh_add_clipped(offset, size - 1);
	if (ret->last > fh_size_last(ram->capacity))
		ret->last = fh_size_last(ram->capacity);
	return true;
}

bool fh_region_is_populated(struct fh_region *region, uint64_t offset, uint64_t size)
{
	struct fh_ram_region *ram = fh_ram_of(region);
	struct stretch range, run;
	uint64_t at = offset;
	bool populated;

	if (!stretch_of(ram, offset, size, &range) || range.last - range.first != size - 1)
		return false;
	leaf_begin(&ram->discard);
	populated = !next_run(ram, &range, true, &at, &run);
	leaf_end(&ram->discard);
	return populated;
}

void fh_region_each_populated(struct fh_region *region, uint64_t offset, uint64_t size,
			      bool (*visit)(uint64_t offset, uint64_t size, void *arg), void *arg)
{
	struct fh_ram_region *ram = fh_ram_of(region);
	struct stretch range, run;
	uint64_t at = offset;

	if (!stretch_of(ram, offset, size, &range))
		return;
	leaf_begin(&ram->discard);
	while (next_run(ram, &range, false, &at, &run)) {
		if (!visit(run.first, run.last - run.first + 1, arg) || run.last == range.last)
			break;
	}
	leaf_end(&ram->discard);
}

/* --- Bans ----------------------------------------------------------------------------------- */

struct ban {
	struct fh_pin_tail tail;
	struct fh_ram_region *ram; /* pinned */
};

/* By whoever ends the pin, before the region is unpinned. Not as a leaf: it calls nothing. */
static void ban_end(struct fh_pin_tail *tail)
{
	struct ban *ban = fh_container_of(tail, struct ban, tail);

	fh_lock_acquire(&ban->ram->discard.lock);
	ban->ram->discard.bans--;
	fh_lock_release(&ban->ram->discard.lock);
	fh_free(ban);
}

struct fh_discard_ban *fh_region_forbid_discard(struct fh_region *region, FH_ANY holder)
{
	struct fh_ram_region *ram = fh_ram_of(region);
	struct fh_pin *pin;
	struct ban *ban;

	fh_chain_assert_may_access(fh_thread_self());
	if (fh_object_has(&region->object, FH_OBJECT_DETACHED))
		return NULL;
	ban = fh_new(struct ban);
	ban->tail.end = ban_end;
	ban->ram = ram;
	fh_lock_acquire(&ram->discard.lock);
	ram->discard.bans++;
	fh_lock_release(&ram->discard.lock);
	pin = fh_pin_take_tail(&region->object, fh_object_of(holder), "no-discard", &ban->tail);
	if (!pin)
		ban_end(&ban->tail);
	return (struct fh_discard_ban *)pin;
}

struct fh_discard_ban *fh_discard_ban_end(struct fh_discard_ban *ban)
{
	if (ban)
		fh_pin_drop((struct fh_pin *)ban);
	return NULL;
}

/* --- Listeners ------------------------------------------------------------------------------ */

static struct fh_discard_listener *listener_of(struct fh_object *object)
{
	return (struct fh_discard_listener *)object;
}

/* R3, for one that leaves. L held. */
static void tell_gone(struct fh_discard_listener *listener, struct fh_ram_region *ram)
{
	struct stretches runs = { .count = 0 };

	collect(ram, &listener->section, false, &runs);
	while (runs.count > 0)
		tell_discard(listener, ram, &runs.at[--runs.count]);
	fh_vector_free(&runs);
}

/* R3, for one that comes. L held. */
static enum fh_code replay(struct fh_discard_listener *listener, struct fh_ram_region *ram)
{
	struct stretches runs = { .count = 0 };
	enum fh_code code = FH_OK;
	size_t told = 0;

	collect(ram, &listener->section, false, &runs);
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
	leaf_begin(&ram->discard);
	fh_list_remove(&listener->link);
	tell_gone(listener, ram);
	leaf_end(&ram->discard);
	listener->ram = NULL;
}

static void listener_finalize(struct fh_object *object)
{
	struct fh_discard_listener *listener = listener_of(object);

	fh_assert(!listener->ram);
	if (listener->owner != object)
		fh_object_unhold(listener->owner);
}

static struct fh_object *listener_held_by_nature(struct fh_object *object)
{
	struct fh_discard_listener *listener = listener_of(object);

	return listener->owner != object ? listener->owner : NULL;
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
	listener->owner = made->owner ? made->owner : object;
	fh_list_init(&listener->link);
	if (listener->owner != object)
		fh_object_hold(listener->owner);
	return FH_OK;
}

static enum fh_code listener_join(struct fh_discard_listener *listener, struct fh_ram_region *ram,
				  struct fh_error *err)
{
	enum fh_code code;

	leaf_begin(&ram->discard);
	code = replay(listener, ram);
	if (code == FH_OK) {
		fh_list_add_last(&ram->discard.listeners, &listener->link);
		listener->ram = ram;
	}
	leaf_end(&ram->discard);
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

	/* In a transaction: the ends of owner and region come before all of this or after. */
	fh_topology_begin(m);
	if (check_kind(region, err) == FH_OK) {
		fh_assert(region->object.machine == m);
		if (stretch_of(fh_ram_of(region), offset, size, &made.section))
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

/* --- Regions -------------------------------------------------------------------------------- */

enum fh_code fh_discard_init(struct fh_ram_region *ram, uint64_t granule, bool unpopulated,
			     struct fh_error *err)
{
	struct fh_discard *discard = &ram->discard;

	fh_lock_init(&discard->lock);
	fh_list_init(&discard->listeners);
	discard->granule = granule ? granule : ram->backing.page_size;
	if ((discard->granule & (discard->granule - 1)) != 0 ||
	    discard->granule < ram->backing.page_size)
		return fh_error_set(err, FH_EINVAL, "RAM cannot come in pieces of %#" PRIx64,
				    granule);
	if (!unpopulated)
		return FH_OK;
	if (!fh_backing_can_punch(&ram->backing))
		return fh_error_set(err, FH_ENOTSUP,
				    "memory of this kind cannot be given back to the host");
	discard->absent = bits_new(ram, true);
	return discard->absent ? FH_OK :
				 fh_error_set(err, FH_ENOMEM,
					      "no memory to note what is not populated");
}

void fh_discard_detach(struct fh_ram_region *ram)
{
	struct fh_list *node;

	leaf_begin(&ram->discard);
	while ((node = fh_list_pop(&ram->discard.listeners))) {
		struct fh_discard_listener *listener =
			fh_list_entry(node, struct fh_discard_listener, link);

		tell_gone(listener, ram);
		listener->ram = NULL;
	}
	leaf_end(&ram->discard);
}

void fh_discard_fini(struct fh_ram_region *ram)
{
	fh_assert(fh_list_empty(&ram->discard.listeners));
	fh_assert(ram->discard.bans == 0);
	fh_free(ram->discard.absent);
}
