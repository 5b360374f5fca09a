/* SPDX-License-Identifier: MIT */
/*
 * Granule by granule, and listener by listener. See parts.h for R1.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/parts.h"

void parts_fail(struct parts *parts, const char *fmt, ...)
{
	va_list args;

	if (parts->failure[0])
		return;
	va_start(args, fmt);
	vsnprintf(parts->failure, sizeof(parts->failure), fmt, args);
	va_end(args);
}

/* --- What is told --------------------------------------------------------------------------- */

void parts_expect(struct parts *parts, int veto_after, bool in_order)
{
	parts->call_count = parts->calls_done = 0;
	parts->veto_after = veto_after;
	parts->in_order = in_order;
}

/* The next of the calls to come that it may be: of its listener, or of all. */
static struct parts_call *next_call(struct parts *parts, int listener)
{
	for (size_t i = parts->calls_done; i < parts->call_count; i++)
		if (parts->in_order || parts->calls[i].listener == listener)
			return &parts->calls[i];
	return NULL;
}

static enum fh_code on_call(struct parts_listener *listener, struct fh_region *region,
			    bool populate, uint64_t offset, uint64_t size)
{
	struct parts *parts = listener->parts;
	const int slot = (int)(listener - parts->listeners);
	struct parts_call *call = next_call(parts, slot);

	parts->told++;
	if (!call || call->listener != slot || call->populate != populate ||
	    call->offset != offset || call->size != size ||
	    region != parts->regions[listener->region].real) {
		parts_fail(parts,
			   "listener %d is told that %#" PRIx64 " bytes from %#" PRIx64 " %s",
			   slot, size, offset, populate ? "come" : "go");
		return FH_OK;
	}
	const enum fh_code answer = call->answer;

	/* Those before it are of others, and still to come. */
	memmove(&parts->calls[parts->calls_done + 1], &parts->calls[parts->calls_done],
		(size_t)(call - &parts->calls[parts->calls_done]) * sizeof(*call));
	parts->calls_done++;
	return answer;
}

static enum fh_code on_populate(void *state, struct fh_region *region, uint64_t offset,
				uint64_t size)
{
	return on_call(state, region, true, offset, size);
}

static void on_discard(void *state, struct fh_region *region, uint64_t offset, uint64_t size)
{
	on_call(state, region, false, offset, size);
}

const struct fh_discard_ops parts_ops = { on_populate, on_discard };

void parts_check_calls(struct parts *parts)
{
	const struct parts_call *call = &parts->calls[parts->calls_done];

	if (parts->calls_done < parts->call_count)
		parts_fail(parts, "listener %d was not told that %#" PRIx64 " bytes from %#" PRIx64
			   " %s", call->listener, call->size, call->offset,
			   call->populate ? "come" : "go");
}

/* --- Telling -------------------------------------------------------------------------------- */

/* True: it was told, and did not refuse; or nothing of it is in its section. */
static bool tell(struct parts *parts, int slot, uint64_t first, uint64_t last, bool populate)
{
	const struct parts_listener *listener = &parts->listeners[slot];
	struct parts_call *call = &parts->calls[parts->call_count];

	if (first < listener->first)
		first = listener->first;
	if (last > listener->last)
		last = listener->last;
	if (first > last)
		return true;
	*call = (struct parts_call){ slot, populate, first, last - first + 1, FH_OK };
	if (populate && parts->veto_after >= 0 && parts->veto_after-- == 0)
		call->answer = FH_EIO;
	parts->vetoes += call->answer != FH_OK;
	parts->call_count++;
	return call->answer == FH_OK;
}

/* The listener of the region that registered next after @order, respectively last before it. */
static int neighbour(const struct parts *parts, int region, uint64_t order, bool after)
{
	int found = -1;

	for (int i = 0; i < PARTS_LISTENERS; i++) {
		const struct parts_listener *listener = &parts->listeners[i];

		if (!listener->real || listener->region != region ||
		    (after ? listener->order <= order : listener->order >= order))
			continue;
		if (found < 0 || (after ? listener->order < parts->listeners[found].order
					: listener->order > parts->listeners[found].order))
			found = i;
	}
	return found;
}

/* Those that registered before @order, the last first. */
static void tell_discard(struct parts *parts, int region, uint64_t order, uint64_t first,
			 uint64_t last)
{
	for (int i = neighbour(parts, region, order, false); i >= 0;
	     i = neighbour(parts, region, parts->listeners[i].order, false))
		tell(parts, i, first, last, false);
}

static bool tell_populate(struct parts *parts, int region, uint64_t first, uint64_t last)
{
	for (int i = neighbour(parts, region, 0, true); i >= 0;
	     i = neighbour(parts, region, parts->listeners[i].order, true)) {
		if (!tell(parts, i, first, last, true)) {
			tell_discard(parts, region, parts->listeners[i].order, first, last);
			return false;
		}
	}
	return true;
}

/* --- Granules ------------------------------------------------------------------------------- */

struct run {
	uint64_t first, last;
};

/* Of bytes first..last, the runs that are there, respectively are not. Returns how many. */
static int find_runs(const struct parts_region *region, uint64_t first, uint64_t last, bool there,
		     struct run *ret)
{
	int count = 0;

	for (int i = 0; i < region->granules; i++) {
		uint64_t from = (uint64_t)i * region->granule;
		uint64_t to = from + region->granule - 1;

		if (region->there[i] != there || to < first || from > last)
			continue;
		from = from < first ? first : from;
		to = to > last ? last : to;
		if (count > 0 && ret[count - 1].last + 1 == from)
			ret[count - 1].last = to;
		else
			ret[count++] = (struct run){ from, to };
	}
	return count;
}

static void set_there(struct parts_region *region, uint64_t first, uint64_t last, bool there)
{
	for (int i = 0; i < region->granules; i++) {
		const uint64_t at = (uint64_t)i * region->granule;

		if (at < first || at > last || region->there[i] == there)
			continue;
		region->there[i] = there;
		region->content[i] = 0;
		region->known[i] = true;
	}
}

static enum fh_code check_range(const struct parts_region *region, uint64_t offset, uint64_t size)
{
	if (offset > region->size || size > region->size - offset)
		return FH_ERANGE;
	if (offset % region->granule != 0 ||
	    (size % region->granule != 0 && offset + size != region->size))
		return FH_EINVAL;
	return FH_OK;
}

/* What was written there meanwhile may be lost or not. */
static void forget(struct parts_region *region, const struct run *run)
{
	for (int i = 0; i < region->granules; i++)
		if ((uint64_t)i * region->granule >= run->first &&
		    (uint64_t)i * region->granule <= run->last && region->content[i] != 0)
			region->known[i] = false;
}

enum fh_code parts_populate(struct parts *parts, int slot, uint64_t offset, uint64_t size)
{
	struct parts_region *region = &parts->regions[slot];
	const enum fh_code code = check_range(region, offset, size);
	struct run runs[PARTS_GRANULES];
	int count, told = 0;

	if (code != FH_OK || size == 0)
		return code;
	count = find_runs(region, offset, offset + (size - 1), false, runs);
	while (told < count && tell_populate(parts, slot, runs[told].first, runs[told].last))
		told++;
	if (told == count) {
		set_there(region, offset, offset + (size - 1), true);
		return FH_OK;
	}
	while (--told >= 0)
		tell_discard(parts, slot, UINT64_MAX, runs[told].first, runs[told].last);
	for (int i = 0; i < count; i++)
		forget(region, &runs[i]);
	return FH_EIO;
}

enum fh_code parts_discard(struct parts *parts, int slot, uint64_t offset, uint64_t size)
{
	struct parts_region *region = &parts->regions[slot];
	const enum fh_code code = check_range(region, offset, size);
	struct run runs[PARTS_GRANULES];
	int count;

	if (code != FH_OK || size == 0)
		return code;
	if (region->bans > 0)
		return FH_EBUSY;
	count = find_runs(region, offset, offset + (size - 1), true, runs);
	for (int i = 0; i < count; i++)
		tell_discard(parts, slot, UINT64_MAX, runs[i].first, runs[i].last);
	set_there(region, offset, offset + (size - 1), false);
	return FH_OK;
}

/* --- Listeners ------------------------------------------------------------------------------ */

enum fh_code parts_join(struct parts *parts, int slot)
{
	const struct parts_listener *listener = &parts->listeners[slot];
	struct run runs[PARTS_GRANULES];
	const int count = find_runs(&parts->regions[listener->region], listener->first,
				    listener->last, true, runs);
	int told = 0;

	while (told < count && tell(parts, slot, runs[told].first, runs[told].last, true))
		told++;
	if (told == count)
		return FH_OK;
	while (--told >= 0)
		tell(parts, slot, runs[told].first, runs[told].last, false);
	return FH_EIO;
}

void parts_leave(struct parts *parts, int slot)
{
	const struct parts_listener *listener = &parts->listeners[slot];
	struct run runs[PARTS_GRANULES];
	int left = find_runs(&parts->regions[listener->region], listener->first, listener->last,
			     true, runs);

	while (--left >= 0)
		tell(parts, slot, runs[left].first, runs[left].last, false);
}
