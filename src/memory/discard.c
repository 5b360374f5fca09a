/* SPDX-License-Identifier: MIT */
/*
 * Parts of memory that come and go. See discard.h for R1 to R4. Listeners are discard-listener.c's.
 */
#include "memory/discard-part.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/point.h"
#include "memory/dirty.h"

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

/* The first granule from @at to @end that is absent, respectively populated; end + 1: none is. */
static uint64_t find(const struct fh_discard *discard, uint64_t at, uint64_t end, bool absent)
{
	while (at <= end) {
		const uint64_t word = discard->absent[at / 64];
		const uint64_t bits = (absent ? word : ~word) >> at % 64;

		if (bits) {
			at += (unsigned)__builtin_ctzll(bits);
			return at <= end ? at : end + 1;
		}
		at = (at | 63) + 1;
	}
	return end + 1;
}

static void set_absent(struct fh_ram_region *ram, const struct fh_stretch *stretch, bool absent)
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
static bool next_run(const struct fh_ram_region *ram, const struct fh_stretch *within, bool absent,
		     uint64_t *at, struct fh_stretch *ret)
{
	const struct fh_discard *discard = &ram->discard;
	const uint64_t end = within->last / discard->granule;
	uint64_t first = *at / discard->granule;
	uint64_t last;

	if (!discard->absent) {
		if (absent)
			return false;
		*ret = (struct fh_stretch){ *at, within->last };
		*at = within->last + 1;
		return ret->first <= ret->last;
	}
	first = find(discard, first, end, absent);
	if (first > end)
		return false;
	last = find(discard, first, end, !absent) - 1;
	ret->first = first * discard->granule;
	ret->last = last * discard->granule + (discard->granule - 1);
	if (ret->first < *at)
		ret->first = *at;
	if (ret->last > within->last)
		ret->last = within->last;
	*at = ret->last + 1;
	return ret->first <= ret->last;
}

void fh_discard_collect(const struct fh_ram_region *ram, const struct fh_stretch *within,
			bool absent,
			struct fh_stretches *ret)
{
	uint64_t at = within->first;
	struct fh_stretch run;

	while (next_run(ram, within, absent, &at, &run)) {
		fh_vector_add(ret) = run;
		if (run.last == within->last)
			break;
	}
}

/* --- Populate and discard ------------------------------------------------------------------- */

enum fh_code fh_discard_check(struct fh_region *region, struct fh_error *err)
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
	const enum fh_code code = fh_discard_check(region, err);
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

static enum fh_code punch(struct fh_ram_region *ram, const struct fh_stretch *run,
			  struct fh_error *err)
{
	return fh_backing_punch(&ram->backing, run->first, run->last - run->first + 1, err);
}

/* L held. */
static enum fh_code discard_locked(struct fh_ram_region *ram, const struct fh_stretch *range,
				   struct fh_error *err)
{
	enum fh_code worst = FH_OK;
	uint64_t at = range->first;
	struct fh_stretch run;

	if (ram->discard.bans > 0)
		return fh_error_set(err, FH_EBUSY, "discards of the region are forbidden");
	if (!ram->discard.absent && !(ram->discard.absent = bits_new(ram, false)))
		return fh_error_set(err, FH_ENOMEM, "no memory to note what is discarded");
	for (bool more = true; more && next_run(ram, range, false, &at, &run);
	     more = run.last != range->last) {
		fh_discard_tell_discard(ram, &run);
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
	fh_discard_leaf_begin(&ram->discard);
	code = discard_locked(ram, &(struct fh_stretch){ offset, offset + (size - 1) }, err);
	fh_discard_leaf_end(&ram->discard);
	return code;
}

/* What was allocated for the first runs goes again; that it does not is no harm: R4. */
static void punch_all(struct fh_ram_region *ram, const struct fh_stretches *runs)
{
	struct fh_error unused = FH_ERROR_INIT;

	for (size_t i = 0; i < runs->count; i++)
		punch(ram, &runs->at[i], &unused);
}

/* The host's part: R4. */
static enum fh_code prepare(struct fh_ram_region *ram, const struct fh_stretches *runs,
			    bool preallocate, struct fh_error *err)
{
	enum fh_code code = FH_OK;

	for (size_t i = 0; i < runs->count && code == FH_OK; i++) {
		const struct fh_stretch *run = &runs->at[i];

		code = punch(ram, run, err);
		/* What was given back of huge pages is promised to nobody any more. */
		if (code == FH_OK && (preallocate || ram->backing.huge))
			code = fh_backing_allocate(&ram->backing, run->first,
						   run->last - run->first + 1, err);
	}
	return code;
}

/* L held. */
static enum fh_code populate_locked(struct fh_ram_region *ram, const struct fh_stretch *range,
				    bool preallocate, struct fh_error *err)
{
	struct fh_stretches runs = { .count = 0 };
	enum fh_code code;
	size_t told = 0;

	fh_discard_collect(ram, range, true, &runs);
	code = prepare(ram, &runs, preallocate, err);
	while (code == FH_OK && told < runs.count) {
		code = fh_discard_tell_populate(ram, &runs.at[told]);
		if (code == FH_OK)
			told++;
		else
			fh_error_set(err, code, "a listener refuses %#" PRIx64 " to %#" PRIx64,
				     runs.at[told].first, runs.at[told].last);
	}
	if (code != FH_OK) {
		while (told > 0)
			fh_discard_tell_discard(ram, &runs.at[--told]);
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
	fh_discard_leaf_begin(&ram->discard);
	code = populate_locked(ram, &(struct fh_stretch){ offset, offset + (size - 1) },
			       preallocate, err);
	fh_discard_leaf_end(&ram->discard);
	return code;
}

/* --- Asking --------------------------------------------------------------------------------- */

bool fh_stretch_of(const struct fh_ram_region *ram, uint64_t offset, uint64_t size,
		       struct fh_stretch *ret)
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
	struct fh_stretch range, run;
	uint64_t at = offset;
	bool populated;

	if (!fh_stretch_of(ram, offset, size, &range) || range.last - range.first != size - 1)
		return false;
	fh_discard_leaf_begin(&ram->discard);
	populated = !next_run(ram, &range, true, &at, &run);
	fh_discard_leaf_end(&ram->discard);
	return populated;
}

void fh_region_each_populated(struct fh_region *region, uint64_t offset, uint64_t size,
			      bool (*visit)(uint64_t offset, uint64_t size, void *arg), void *arg)
{
	struct fh_ram_region *ram = fh_ram_of(region);
	struct fh_stretch range, run;
	uint64_t at = offset;

	if (!fh_stretch_of(ram, offset, size, &range))
		return;
	fh_discard_leaf_begin(&ram->discard);
	while (next_run(ram, &range, false, &at, &run)) {
		if (!visit(run.first, run.last - run.first + 1, arg) || run.last == range.last)
			break;
	}
	fh_discard_leaf_end(&ram->discard);
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

void fh_discard_fini(struct fh_ram_region *ram)
{
	fh_assert(fh_list_empty(&ram->discard.listeners));
	fh_assert(ram->discard.bans == 0);
	fh_free(ram->discard.absent);
}
