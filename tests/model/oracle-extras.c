/* SPDX-License-Identifier: MIT */
/*
 * Eventfds, coalesced ranges and logs of views, by looking at every pair of a range and an extra.
 * See oracle-extras.h.
 */
#include <stdlib.h>

#include "model/oracle-extras.h"

/* --- Lists ---------------------------------------------------------------------------------- */

static struct extra *extras_add(struct extras *extras)
{
	if (extras->count == extras->room) {
		extras->room = extras->room ? 2 * extras->room : 16;
		extras->at = realloc(extras->at, extras->room * sizeof(extras->at[0]));
	}
	return &extras->at[extras->count++];
}

void extras_free(struct extras *extras)
{
	free(extras->at);
	*extras = (struct extras){ .count = 0 };
}

/* Bytes first..last of the region, as far as the section shows them. */
static struct extra part_of(const struct fh_section *section, uint64_t first, uint64_t last)
{
	const uint64_t section_last = section->offset + (section->last - section->first);
	const uint64_t from = first < section->offset ? section->offset : first;
	const uint64_t to = last > section_last ? section_last : last;

	return (struct extra){
		.first = section->first + (from - section->offset),
		.last = section->first + (to - section->offset),
		.offset = from,
		.region = section->region,
		.eventfd = MODEL_NONE,
	};
}

static bool overlaps(const struct fh_section *section, uint64_t first, uint64_t last)
{
	return first <= section->offset + (section->last - section->first) &&
	       last >= section->offset;
}

/* --- What is to be seen ----------------------------------------------------------------------- */

/* Only where all of it shows in one range. */
static void find_eventfd(const struct model *model, int slot, const struct view *view,
			 struct extras *ret)
{
	const struct model_eventfd *eventfd = &model->eventfds[slot];
	const uint64_t first = eventfd->match.offset;
	const uint64_t size = eventfd->match.size ? eventfd->match.size : 1;

	for (size_t i = 0; i < view->count; i++) {
		const struct fh_section *section = &view->at[i];

		if (section->region != model->regions[eventfd->region].real ||
		    !overlaps(section, first, first + (size - 1)))
			continue;
		const struct extra part = part_of(section, first, first + (size - 1));

		if (part.last - part.first != size - 1)
			continue;
		struct extra *extra = extras_add(ret);

		*extra = part;
		extra->eventfd = slot;
		extra->serial = eventfd->serial;
		extra->match = eventfd->match;
	}
}

static int compare_spans(const void *a, const void *b)
{
	const struct model_span *left = a, *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

size_t spans_of(const struct model *model, int region, struct model_span *ret)
{
	size_t found = 0, count = 0;

	for (int i = 0; i < MODEL_SPANS; i++)
		if (model->spans[i].used && model->spans[i].region == region)
			ret[found++] = model->spans[i];
	qsort(ret, found, sizeof(*ret), compare_spans);
	for (size_t i = 0; i < found; i++) {
		struct model_span *before = count > 0 ? &ret[count - 1] : NULL;

		if (before && (before->last == UINT64_MAX || ret[i].first <= before->last + 1)) {
			if (before->last < ret[i].last)
				before->last = ret[i].last;
		} else {
			ret[count++] = ret[i];
		}
	}
	return count;
}

static void find_spans(const struct model *model, int region, const struct view *view,
		       struct extras *ret)
{
	struct model_span spans[MODEL_SPANS];
	const size_t count = spans_of(model, region, spans);

	for (size_t i = 0; count > 0 && i < view->count; i++) {
		if (view->at[i].region != model->regions[region].real)
			continue;
		for (size_t j = 0; j < count; j++)
			if (overlaps(&view->at[i], spans[j].first, spans[j].last))
				*extras_add(ret) =
					part_of(&view->at[i], spans[j].first, spans[j].last);
	}
}

void extras_find(const struct model *model, const struct view *view, struct extras *ret)
{
	bool done[MODEL_REGIONS] = { false };

	ret->count = 0;
	for (int i = 0; i < MODEL_EVENTFDS; i++)
		if (model->eventfds[i].real && model->eventfds[i].region != MODEL_NONE)
			find_eventfd(model, i, view, ret);
	for (int i = 0; i < MODEL_SPANS; i++) {
		const int region = model->spans[i].region;

		if (model->spans[i].used && !done[region])
			find_spans(model, region, view, ret);
		done[region] |= model->spans[i].used;
	}
}

/* --- Differences ---------------------------------------------------------------------------- */

static bool extra_equal(const struct extra *a, const struct extra *b)
{
	return a->first == b->first && a->last == b->last && a->offset == b->offset &&
	       a->region == b->region && a->eventfd == b->eventfd && a->serial == b->serial;
}

/* Those of @of that @without has not, each of which counts once. */
static void subtract(const struct extras *of, const struct extras *without, struct extras *ret)
{
	bool *taken;
	size_t next = 0; /* most are at the same place in both */

	ret->count = 0;
	if (of->count == 0)
		return;
	taken = calloc(without->count + 1, sizeof(*taken));
	for (size_t i = 0; i < of->count; i++) {
		size_t j = 0;

		for (; j < without->count; j++) {
			const size_t at = (next + j) % without->count;

			if (!taken[at] && extra_equal(&of->at[i], &without->at[at])) {
				taken[at] = true;
				next = at + 1;
				break;
			}
		}
		if (j == without->count)
			*extras_add(ret) = of->at[i];
	}
	free(taken);
}

void extras_difference(const struct extras *from, const struct extras *to,
		       struct extras *ret_gone, struct extras *ret_come)
{
	subtract(from, to, ret_gone);
	subtract(to, from, ret_come);
}

/* --- Logs ----------------------------------------------------------------------------------- */

static void logs_add(struct log_changes *logs, const struct fh_section *section, uint8_t before)
{
	if (logs->count == logs->room) {
		logs->room = logs->room ? 2 * logs->room : 16;
		logs->at = realloc(logs->at, logs->room * sizeof(logs->at[0]));
	}
	logs->at[logs->count++] = (struct log_change){ .section = *section, .before = before };
}

/* Both are in order of address. */
void logs_find(const struct view *from, const struct view *to, struct log_changes *ret)
{
	size_t old = 0;

	ret->count = 0;
	for (size_t i = 0; i < to->count; i++) {
		const struct fh_section *section = &to->at[i];

		while (old < from->count && from->at[old].first < section->first)
			old++;
		const bool same = old < from->count && section_equal(&from->at[old], section);
		const uint8_t before = same ? from->at[old].log_mask : 0;

		if (before != section->log_mask)
			logs_add(ret, section, before);
	}
}

/* --- Stores --------------------------------------------------------------------------------- */

static int rank_of(const struct fh_eventfd_match *match)
{
	return 2 * match->match_data + (match->size != 0);
}

int eventfd_of_store(const struct model *model, int region, uint64_t offset, unsigned size,
		     uint64_t value)
{
	int best = MODEL_NONE;

	for (int i = 0; i < MODEL_EVENTFDS; i++) {
		const struct model_eventfd *eventfd = &model->eventfds[i];
		const struct fh_eventfd_match *match = &eventfd->match;

		if (!eventfd->real || eventfd->region != region || match->offset != offset ||
		    (match->size != 0 && match->size != size) ||
		    (match->match_data && match->data != value))
			continue;
		if (best == MODEL_NONE ||
		    rank_of(match) > rank_of(&model->eventfds[best].match))
			best = i;
	}
	return best;
}

bool region_asks(const struct model *model, int region)
{
	const int owner = model->regions[region].owner;

	if (model->regions[region].flush)
		return true;
	for (int i = 0; i < MODEL_SPANS; i++)
		if (model->spans[i].used &&
		    (model->spans[i].region == region ||
		     (owner != MODEL_NONE &&
		      model->regions[model->spans[i].region].owner == owner)))
			return true;
	return false;
}
