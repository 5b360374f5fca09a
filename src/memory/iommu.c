/* SPDX-License-Identifier: MIT */
/*
 * IOMMUs: following translations, and invalidations that end when the old ones are used no more.
 * See iommu.h for R1 to R5.
 */
#include "memory/iommu.h"

#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "base/point.h"
#include "base/reaper.h"
#include "memory/chain.h"
#include "memory/lookaside.h"
#include "memory/topology.h"

/* --- Following ------------------------------------------------------------------------------ */

/* Of size bytes from addr on, how many lie at or below last, which is not below addr. */
static uint64_t clip(uint64_t addr, uint64_t last, uint64_t size)
{
	return size - 1 > last - addr ? last - addr + 1 : size;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * One IOMMU's answer, in a frame of it. ret->first and last lie around addr whatever comes of it.
 */
static enum fh_tx translate(struct fh_iommu *iommu, uint64_t addr, unsigned access,
			    unsigned index, struct fh_attrs attrs, struct fh_translation *ret)
{
	enum fh_tx tx;

	*ret = (struct fh_translation){ .first = addr, .last = addr };
	tx = iommu->ops->translate(iommu->region.state, addr, access, index, attrs, ret);
	fh_assert(ret->first <= addr && addr <= ret->last);
	if (tx != FH_TX_OK)
		return tx;
	if (access & ~ret->permissions)
		return FH_TX_DENIED;
	return ret->space ? FH_TX_OK : FH_TX_DECODE_ERROR;
}

static enum fh_engage enter(struct fh_thread *t, struct fh_iommu *iommu, struct fh_frame *frame)
{
	struct fh_region *region = &iommu->region;

	return fh_chain_enter(t, frame, NULL, region->owner, &region->object, true);
}

static unsigned index_of(const struct fh_iommu *iommu, struct fh_attrs attrs)
{
	const unsigned index =
		iommu->ops->index_of ? iommu->ops->index_of(iommu->region.state, attrs) : 0;

	fh_assert(index < iommu->indexes);
	return index;
}

/* Over one IOMMU; *offset is that in *region and becomes that in the next. */
static enum fh_tx hop(struct fh_thread *t, struct fh_iommu *iommu, uint64_t offset, unsigned access,
		      struct fh_attrs attrs, struct fh_trail *trail)
{
	struct fh_hop *taken = &trail->hop[trail->hops++];
	struct fh_translation to;
	struct fh_view_hit hit;
	enum fh_tx tx;

	if (enter(t, iommu, &trail->frame[trail->entered]) != FH_ENGAGED)
		return FH_TX_REENTRY;
	trail->entered++;
	taken->iommu = iommu;
	taken->index = index_of(iommu, attrs);
	/* Acquire: pairs with the release in fh_iommu_invalidate(): what it announced is seen. */
	taken->begun = atomic_load_explicit(&iommu->begun, memory_order_acquire);
	tx = translate(iommu, offset, access, taken->index, attrs, &to);
	FH_POINT("iommu.translated");
	trail->size = clip(offset, to.last, trail->size);
	taken->first = offset;
	taken->last = offset + (trail->size - 1);
	if (tx != FH_TX_OK)
		return tx;

	if (offset - to.first > UINT64_MAX - to.addr)
		return FH_TX_DECODE_ERROR; /* beyond the top */

	const uint64_t addr = to.addr + (offset - to.first);
	const struct fh_view_node *root = fh_space_view(to.space);

	if (!fh_view_find(root, addr, &hit)) {
		trail->size = clip(addr, fh_view_hole_last(root, addr), trail->size);
		return FH_TX_DECODE_ERROR;
	}
	taken->leaf = hit.leaf;
	taken->generation = to.space->object.machine == iommu->region.object.machine ?
				    fh_view_leaf_generation(hit.leaf) :
				    FH_VIEW_NEVER;
	trail->permissions &= to.permissions;
	trail->range = fh_view_hit_range(hit);
	trail->before = least(trail->before, least(offset - to.first, addr - trail->range.first));
	trail->after = least(trail->after, least(to.last - offset, trail->range.last - addr));
	trail->range.offset += addr - trail->range.first;
	trail->range.first = addr;
	trail->size = clip(addr, trail->range.last, trail->size);
	return FH_TX_OK;
}

enum fh_tx fh_iommu_follow(struct fh_thread *t, struct fh_region *region, uint64_t offset,
			   uint64_t size, unsigned access, struct fh_attrs attrs,
			   struct fh_trail *ret)
{
	ret->size = size;
	ret->before = ret->after = UINT64_MAX;
	ret->permissions = FH_IOMMU_READ | FH_IOMMU_WRITE;
	ret->hops = 0;
	ret->entered = 0;
	ret->seen = t->left;
	while (region->kind == FH_REGION_IOMMU) {
		enum fh_tx tx = FH_TX_DECODE_ERROR; /* too many: a circle, most likely */

		if (ret->hops < FH_IOMMU_HOPS)
			tx = hop(t, fh_iommu_of(region), offset, access, attrs, ret);
		if (tx != FH_TX_OK)
			return tx;
		region = ret->range.region;
		offset = ret->range.offset;
	}
	return FH_TX_OK;
}

/* R5. */
static bool trail_is_stale(const struct fh_trail *trail)
{
	for (unsigned i = 0; i < trail->entered; i++) {
		const struct fh_hop *hop = &trail->hop[i];

		/*
		 * Acquire: as in hop(). An invalidation that begins after this load has its grace
		 * period wait for the section that the caller is in.
		 */
		if (fh_object_has(&hop->iommu->region.object, FH_OBJECT_DETACHED) ||
		    atomic_load_explicit(&hop->iommu->begun, memory_order_acquire) != hop->begun)
			return true;
	}
	return false;
}

bool fh_iommu_arrive(struct fh_thread *t, struct fh_trail *trail)
{
	const bool good = FH_LIKELY(trail->seen == t->left) || !trail_is_stale(trail);

	while (trail->entered > 0)
		fh_chain_leave(t, &trail->frame[--trail->entered]);
	return good;
}

uint64_t fh_iommu_part(struct fh_transfer *transfer, struct fh_thread *t, struct fh_region *region,
		       uint64_t offset, uint64_t size)
{
	const unsigned access =
		transfer->kind == FH_TRANSFER_READ ? FH_IOMMU_READ : FH_IOMMU_WRITE;
	struct fh_trail trail;
	const enum fh_tx tx =
		fh_iommu_follow(t, region, offset, size, access, transfer->attrs, &trail);

	if (FH_UNLIKELY(!fh_iommu_arrive(t, &trail)))
		return 0;
	if (FH_UNLIKELY(transfer->trail) && tx == FH_TX_OK)
		memcpy(transfer->trail, &trail,
		       offsetof(struct fh_trail, hop) + trail.hops * sizeof(trail.hop[0]));
	if (tx == FH_TX_OK)
		return fh_transfer_part(transfer, t, trail.range.region, trail.range.flags,
					trail.range.offset, trail.size);
	fh_transfer_fail(transfer, trail.size, tx);
	return trail.size;
}

/* --- Invalidations ---------------------------------------------------------------------------- */

struct fh_iommu_wait {
	struct fh_deferred deferred;
	struct fh_list link; /* N */
	struct fh_iommu *iommu;
	unsigned index;
	uint64_t first, last;
	uint64_t number; /* of this invalidation, from 1 on */
	void (*done)(void *state);
	void *state;
};

static bool index_meets(unsigned a, unsigned b)
{
	return a == b || a == FH_IOMMU_ALL_INDEXES || b == FH_IOMMU_ALL_INDEXES;
}

/* R2. */
static bool wait_is_for(const struct fh_iommu_wait *wait, const struct fh_hop *hop)
{
	return hop->begun < wait->number && index_meets(hop->index, wait->index) &&
	       hop->first <= wait->last && wait->first <= hop->last;
}

/* N held. */
static bool wait_is_over(const struct fh_iommu_wait *wait)
{
	fh_list_for_each_entry(use, &wait->iommu->uses, struct fh_iommu_use, link) {
		if (wait_is_for(wait, &use->hop))
			return false;
	}
	return true;
}

static void wait_finish(struct fh_iommu_wait *wait)
{
	struct fh_iommu *iommu = wait->iommu;

	FH_POINT("iommu.done");
	if (wait->done)
		wait->done(wait->state);
	fh_free(wait);
	fh_object_unhold(&iommu->region.object);
}

/* On the reaper: no access uses an old translation any more. */
static void wait_graced(struct fh_deferred *deferred)
{
	struct fh_iommu_wait *wait = fh_container_of(deferred, struct fh_iommu_wait, deferred);
	struct fh_iommu *iommu = wait->iommu;
	bool over;

	fh_lock_acquire(&iommu->lock);
	over = wait_is_over(wait);
	if (!over)
		fh_list_add_last(&iommu->waits, &wait->link);
	fh_lock_release(&iommu->lock);
	if (over)
		wait_finish(wait);
}

void fh_iommu_use_begin(struct fh_iommu_use *use, const struct fh_hop *hop)
{
	struct fh_iommu *iommu = hop->iommu;

	use->hop = *hop;
	fh_list_init(&use->link);
	fh_object_hold(&iommu->region.object);
	fh_lock_acquire(&iommu->lock);
	fh_list_add_last(&iommu->uses, &use->link);
	fh_lock_release(&iommu->lock);
}

void fh_iommu_use_end(struct fh_iommu_use *use)
{
	struct fh_iommu *iommu = use->hop.iommu;
	struct fh_list over;

	fh_list_init(&over);
	fh_lock_acquire(&iommu->lock);
	fh_list_remove(&use->link);
	fh_list_for_each_entry_safe(wait, &iommu->waits, struct fh_iommu_wait, link) {
		if (wait_is_over(wait)) {
			fh_list_remove(&wait->link);
			fh_list_add_last(&over, &wait->link);
		}
	}
	fh_lock_release(&iommu->lock);
	fh_list_for_each_entry_safe(wait, &over, struct fh_iommu_wait, link)
		wait_finish(wait);
	fh_object_unhold(&iommu->region.object);
}

/* --- Notifiers ------------------------------------------------------------------------------ */

struct fh_iommu_notifier {
	struct fh_object object;
	unsigned index;		 /* C, to `state` */
	uint64_t first, last;
	unsigned kinds;
	void (*notify)(void *state, const struct fh_iommu_event *event);
	void *state;
	struct fh_object *owner; /* C: pinned; itself if it has none */
	struct fh_iommu *iommu;	 /* topology lock: NULL: cut off */
	struct fh_list link;	 /* N */
};

/* N held. */
static void notify_one(const struct fh_iommu_notifier *notifier,
		       const struct fh_iommu_event *event)
{
	struct fh_iommu_event clipped = *event;
	struct fh_translation *range = &clipped.translation;

	if (!(notifier->kinds & event->kind) || !index_meets(notifier->index, event->index) ||
	    range->last < notifier->first || notifier->last < range->first)
		return;
	if (range->first < notifier->first) {
		range->addr += notifier->first - range->first;
		range->first = notifier->first;
	}
	if (range->last > notifier->last)
		range->last = notifier->last;
	notifier->notify(notifier->state, &clipped);
}

static void leaf_begin(struct fh_iommu *iommu) FH_ACQUIRE(iommu->lock)
{
	struct fh_thread *t = fh_thread_self();

	fh_thread_hold(t, FH_HELD_LISTENER);
	fh_lock_acquire_as(&iommu->lock, t);
}

static void leaf_end(struct fh_iommu *iommu) FH_RELEASE(iommu->lock)
{
	struct fh_thread *t = fh_thread_self();

	fh_lock_release_as(&iommu->lock, t);
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

static void notify_all(struct fh_iommu *iommu, const struct fh_iommu_event *event)
{
	leaf_begin(iommu);
	fh_list_for_each_entry(notifier, &iommu->notifiers, struct fh_iommu_notifier, link)
		notify_one(notifier, event);
	leaf_end(iommu);
}

void fh_iommu_invalidate(struct fh_region *region, unsigned index, uint64_t first, uint64_t last,
			 void (*done)(void *state), void *state)
{
	const struct fh_iommu_event event = {
		.kind = FH_IOMMU_UNMAP,
		.index = index,
		.translation = { .first = first, .last = last },
	};
	struct fh_iommu_wait *wait;
	struct fh_iommu *iommu;

	fh_chain_assert_may_access(fh_thread_self());
	if (!region || fh_object_has(&region->object, FH_OBJECT_DETACHED)) {
		if (done)
			done(state);
		return;
	}
	iommu = fh_iommu_of(region);
	wait = fh_new(struct fh_iommu_wait);
	fh_list_init(&wait->link);
	wait->deferred.run = wait_graced;
	wait->iommu = iommu;
	wait->index = index;
	wait->first = first;
	wait->last = last;
	wait->done = done;
	wait->state = state;
	/* Release: pairs with the acquire in hop(). */
	wait->number = atomic_fetch_add_explicit(&iommu->begun, 1, memory_order_acq_rel) + 1;
	notify_all(iommu, &event);
	fh_object_hold(&region->object);
	fh_reaper_defer(region->object.machine->reaper, &wait->deferred, sizeof(*wait));
	fh_reaper_flush_now(region->object.machine->reaper);
}

void fh_iommu_notify_map(struct fh_region *region, unsigned index,
			 const struct fh_translation *translation)
{
	const struct fh_iommu_event event = {
		.kind = FH_IOMMU_MAP, .index = index, .translation = *translation
	};

	fh_chain_assert_may_access(fh_thread_self());
	if (region && !fh_object_has(&region->object, FH_OBJECT_DETACHED))
		notify_all(fh_iommu_of(region), &event);
}

/* Tell the IOMMU for which kinds there are notifiers. N held. */
static void tell_wanted(struct fh_iommu *iommu, unsigned index)
{
	const bool all = index == FH_IOMMU_ALL_INDEXES;

	if (!iommu->ops->notifiers_changed)
		return;
	for (unsigned i = all ? 0 : index; i < (all ? iommu->indexes : index + 1); i++) {
		unsigned kinds = 0;

		fh_list_for_each_entry(n, &iommu->notifiers, struct fh_iommu_notifier, link) {
			if (index_meets(n->index, i))
				kinds |= n->kinds;
		}
		iommu->ops->notifiers_changed(iommu->region.state, i, kinds);
	}
}

static struct fh_iommu_notifier *notifier_of(struct fh_object *object)
{
	return (struct fh_iommu_notifier *)object;
}

/* Topology lock held, as R3 has it; idempotent. */
static void notifier_detach(struct fh_object *object)
{
	struct fh_iommu_notifier *notifier = notifier_of(object);
	struct fh_iommu *iommu = notifier->iommu;

	if (!iommu)
		return;
	leaf_begin(iommu);
	fh_list_remove(&notifier->link);
	tell_wanted(iommu, notifier->index);
	leaf_end(iommu);
	notifier->iommu = NULL;
}

void fh_iommu_detach(struct fh_iommu *iommu)
{
	const struct fh_iommu_event event = {
		.kind = FH_IOMMU_UNMAP,
		.index = FH_IOMMU_ALL_INDEXES,
		.translation = { .first = 0, .last = UINT64_MAX },
	};
	struct fh_list *node;

	leaf_begin(iommu);
	while ((node = fh_list_pop(&iommu->notifiers))) {
		struct fh_iommu_notifier *notifier =
			fh_list_entry(node, struct fh_iommu_notifier, link);

		notify_one(notifier, &event);
		notifier->iommu = NULL;
	}
	leaf_end(iommu);
}

static void notifier_finalize(struct fh_object *object)
{
	struct fh_iommu_notifier *notifier = notifier_of(object);

	fh_assert(!notifier->iommu);
	fh_owner_unpin(object, notifier->owner);
}

static struct fh_object *notifier_held_by_nature(struct fh_object *object)
{
	return notifier_of(object)->owner;
}

static const struct fh_core_ops notifier_core = {
	.size = sizeof(struct fh_iommu_notifier),
	.immediate = true,
	.detach = notifier_detach,
	.finalize = notifier_finalize,
	.held_by_nature = notifier_held_by_nature,
};

static const struct fh_type notifier_type = { .name = "iommu-notifier", .core = &notifier_core };

static enum fh_code notifier_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct fh_iommu_notifier *made = arg;
	struct fh_iommu_notifier *notifier = notifier_of(object);

	(void)err;
	notifier->index = made->index;
	notifier->first = made->first;
	notifier->last = made->last;
	notifier->kinds = made->kinds;
	notifier->notify = made->notify;
	notifier->state = made->state;
	notifier->owner = fh_owner_pin(object, made->owner);
	fh_list_init(&notifier->link);
	return FH_OK;
}

struct fh_iommu_notifier *
fh_iommu_notifier_new(FH_ANY any, struct fh_region *region, unsigned index, uint64_t first,
		      uint64_t last, unsigned kinds,
		      void (*notify)(void *state, const struct fh_iommu_event *event), void *state)
{
	struct fh_machine *m;
	struct fh_iommu_notifier made = {
		.index = index, .first = first, .last = last, .kinds = kinds, .notify = notify,
		.state = state, .owner = fh_owner_of(any, &m),
	};
	struct fh_iommu *iommu = fh_iommu_of(region);
	struct fh_iommu_notifier *notifier = NULL;

	fh_assert(region->object.machine == m);
	if (index != FH_IOMMU_ALL_INDEXES && index >= iommu->indexes)
		return NULL;
	if (fh_topology_check_context(NULL) != FH_OK)
		return NULL;
	/* In a transaction: the ends of owner and IOMMU come before all of this or after. */
	fh_topology_begin(m);
	if (!fh_object_has(&region->object, FH_OBJECT_DETACHED))
		notifier = (struct fh_iommu_notifier *)fh_object_create(
			m, made.owner, NULL, &notifier_type, notifier_construct, &made, NULL);
	if (notifier) {
		notifier->iommu = iommu;
		leaf_begin(iommu);
		fh_list_add_last(&iommu->notifiers, &notifier->link);
		tell_wanted(iommu, index);
		leaf_end(iommu);
	}
	fh_topology_commit(m);
	return notifier;
}

struct fh_iommu_notifier *fh_iommu_notifier_destroy(struct fh_iommu_notifier *notifier)
{
	if (notifier)
		fh_object_dispose((struct fh_object *)notifier);
	return NULL;
}

/* --- Replay --------------------------------------------------------------------------------- */

struct replay {
	struct fh_iommu_notifier *notifier;
	struct fh_iommu *iommu;
	unsigned index;
	uint64_t last; /* address of the IOMMU */
};

static enum fh_tx replay_ask(const struct replay *replay, uint64_t addr,
			     struct fh_translation *ret)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_frame frame;
	enum fh_tx tx;

	*ret = (struct fh_translation){ .first = addr, .last = addr };
	if (enter(t, replay->iommu, &frame) != FH_ENGAGED)
		return FH_TX_REENTRY;
	tx = translate(replay->iommu, addr, 0, replay->index, (struct fh_attrs){ .debug = true },
		       ret);
	fh_chain_leave(t, &frame);
	return tx;
}

/* In the domain of the IOMMU's device, and so in a read section. */
static void replay_index(const struct replay *replay)
{
	struct fh_iommu *iommu = replay->iommu;
	const struct fh_iommu_notifier *notifier = replay->notifier;
	const uint64_t last = notifier->last < replay->last ? notifier->last : replay->last;
	uint64_t addr = notifier->first;
	struct fh_iommu_event event = { .kind = FH_IOMMU_MAP, .index = replay->index };

	while (addr <= last) {
		const enum fh_tx tx = replay_ask(replay, addr, &event.translation);
		const uint64_t next = event.translation.last;

		if (tx == FH_TX_OK) {
			leaf_begin(iommu);
			if (fh_list_linked(&notifier->link))
				notify_one(notifier, &event);
			leaf_end(iommu);
		}
		if (next >= last)
			return;
		addr = next + 1;
	}
}

static void replay_call(void *arg)
{
	struct replay *replay = arg;
	const unsigned index = replay->notifier->index;
	const bool all = index == FH_IOMMU_ALL_INDEXES;

	for (replay->index = all ? 0 : index;
	     replay->index < (all ? replay->iommu->indexes : index + 1); replay->index++)
		replay_index(replay);
}

enum fh_code fh_iommu_replay(struct fh_iommu_notifier *notifier)
{
	struct replay replay = { .notifier = notifier };
	struct fh_machine *m;
	struct fh_object *iommu;
	uint64_t size = 0;
	enum fh_code code;

	if (!notifier)
		return FH_EDEAD;
	m = notifier->object.machine;
	fh_topology_look_begin(m);
	replay.iommu = notifier->iommu;
	if (replay.iommu) {
		fh_object_hold(&replay.iommu->region.object);
		size = replay.iommu->region.size;
		replay.last = fh_size_last(size);
	}
	fh_topology_look_end(m);
	if (!replay.iommu)
		return FH_EDEAD;
	iommu = &replay.iommu->region.object;
	if (!fh_object_is_shown(replay.iommu->region.owner))
		code = FH_EDEAD;
	else if (size == 0)
		code = FH_OK;
	else
		code = fh_chain_call_owner(replay.iommu->region.owner, replay_call, &replay) ?
			       FH_OK :
			       FH_EBUSY;
	fh_object_unhold(iommu);
	return code;
}

/* --- Birth ---------------------------------------------------------------------------------- */

void fh_iommu_init(struct fh_iommu *iommu, const struct fh_iommu_ops *ops)
{
	iommu->ops = ops;
	iommu->indexes = ops->indexes ? ops->indexes : 1;
	fh_lock_init(&iommu->lock);
	fh_list_init(&iommu->notifiers);
	fh_list_init(&iommu->uses);
	fh_list_init(&iommu->waits);
}
