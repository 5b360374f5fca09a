/* SPDX-License-Identifier: MIT */
/*
 * What listeners are to be told. See ears.h, and ears-part.h for R1 to R3.
 */
#include <stdlib.h>
#include <string.h>

#include "model/ears-part.h"

/* --- What is expected ----------------------------------------------------------------------- */

static void extras_copy(struct extras *to, const struct extras *from)
{
	if (!from || from->count == 0)
		return;
	to->count = to->room = from->count;
	to->at = malloc(from->count * sizeof(from->at[0]));
	memcpy(to->at, from->at, from->count * sizeof(from->at[0]));
}

static struct turn *ear_expect(struct ear *ear, uint64_t round, const struct view *removed,
			       const struct view *added, const struct extras *gone,
			       const struct extras *come)
{
	const size_t removed_count = removed ? removed->count : 0;
	const size_t added_count = added ? added->count : 0;
	struct turn *turn = calloc(1, sizeof(*turn) + (removed_count + added_count) *
							      sizeof(turn->sections[0]));

	turn->round = round;
	turn->removed_count = removed_count;
	turn->added_count = added_count;
	if (removed_count > 0)
		memcpy(turn->sections, removed->at, removed_count * sizeof(removed->at[0]));
	if (added_count > 0)
		memcpy(turn->sections + removed_count, added->at,
		       added_count * sizeof(added->at[0]));
	extras_copy(&turn->gone, gone);
	extras_copy(&turn->come, come);
	*ear->last = turn;
	ear->last = &turn->next;
	return turn;
}

struct fh_listener *ears_listen(struct ears *ears, int slot, struct fh_object *owner,
				const struct model_listener *listener, struct fh_space *space,
				const struct picture *shown)
{
	static const struct view nothing;
	struct ear *ear = &ears->ear[slot];
	struct turn *turn;

	ear->attached = true;
	ear->space = listener->space;
	ear->real_space = space;
	ear->priority = listener->priority;
	ear->asked = 0;
	ear->synced = ear->cleared = 0;
	ear_set_callbacks(ear, listener->callbacks);
	turn = ear_expect(ear, ++ears->rounds, NULL, &shown->view, NULL, &shown->extras);
	turn->alone = true;
	logs_find(&nothing, &shown->view, &turn->logs);
	return fh_listener_new(owner, space, listener->priority, &ear->ops, ear);
}

static bool is_ended(const struct ear *ear, const struct model *model)
{
	const struct model_listener *listener = &model->listeners[ear->slot];

	return !listener->real || listener->space == MODEL_NONE;
}

/* What is new, in @ears; false: nothing. */
static bool compare(struct ears *ears, const struct picture *shown, const struct picture *next)
{
	view_difference(&shown->view, &next->view, &ears->removed, &ears->added);
	extras_difference(&shown->extras, &next->extras, &ears->gone, &ears->come);
	logs_find(&shown->view, &next->view, &ears->logs);
	return ears->removed.count + ears->added.count + ears->gone.count + ears->come.count +
		       ears->logs.count > 0;
}

static void ear_expect_news(struct ear *ear, uint64_t round)
{
	struct ears *ears = ear->ears;
	const size_t bytes = ears->logs.count * sizeof(ears->logs.at[0]);
	struct turn *turn = ear_expect(ear, round, &ears->removed, &ears->added, &ears->gone,
				       &ears->come);

	if (bytes == 0)
		return;
	turn->logs.at = malloc(bytes);
	turn->logs.count = turn->logs.room = ears->logs.count;
	memcpy(turn->logs.at, ears->logs.at, bytes);
}

static void space_expect(struct ears *ears, const struct model *model, int space,
			 const struct picture *shown, const struct picture *next)
{
	const uint64_t round = ++ears->rounds;
	bool compared = false, news = false;

	for (int i = 0; i < MODEL_LISTENERS; i++) {
		struct ear *ear = &ears->ear[i];

		if (!ear->attached || ear->space != space)
			continue;
		if (is_ended(ear, model)) {
			ear_expect(ear, ++ears->rounds, &shown->view, NULL, &shown->extras, NULL)
				->alone = true;
			ear->attached = false;
			continue;
		}
		if (!compared)
			news = compare(ears, shown, next);
		compared = true;
		if (news)
			ear_expect_news(ear, round);
	}
}

void ears_expect(struct ears *ears, const struct model *model, struct picture *const shown[],
		 struct picture *const next[])
{
	for (int i = 0; i < MODEL_SPACES; i++)
		space_expect(ears, model, i, shown[i], next[i]);
}

bool ears_is_attached(const struct ears *ears, int slot)
{
	return ears->ear[slot].attached;
}

bool ears_wait_for_space(const struct ears *ears, int space)
{
	for (int i = 0; i < MODEL_LISTENERS; i++)
		if (ears->ear[i].attached && ears->ear[i].space == space)
			return true;
	return false;
}

void ears_check_asked(struct ears *ears, const struct model *model, bool asked)
{
	for (int i = 0; i < MODEL_LISTENERS; i++) {
		struct ear *ear = &ears->ear[i];
		const int owner = model->listeners[i].owner;
		const bool expected = asked && ear->attached && (ear->callbacks & CALLBACK_FLUSH) &&
				      (owner == MODEL_NONE || model->owners[owner].shown);

		if (ear->asked != expected)
			ear_fail(ear, "asked %u times for coalesced stores, not %d", ear->asked,
				 expected);
		ear->asked = 0;
	}
}

/* The parts of a view that show bytes first..last of the region. */
static uint64_t sum_of_parts(const struct view *view, const struct fh_region *region,
			     uint64_t first, uint64_t last)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < view->count; i++) {
		struct fh_section part = view->at[i];
		const uint64_t part_last = part.offset + (part.last - part.first);

		if (part.region != region || part.offset > last || part_last < first)
			continue;
		if (part_last > last)
			part.last -= part_last - last;
		if (part.offset < first) {
			part.first += first - part.offset;
			part.offset = first;
		}
		sum += ear_log_sum(&part);
	}
	return sum;
}

void ears_check_logs(struct ears *ears, struct picture *const shown[],
		     const struct fh_region *region, uint64_t first, uint64_t last, bool taken)
{
	for (int i = 0; i < MODEL_LISTENERS; i++) {
		struct ear *ear = &ears->ear[i];
		uint64_t sum = 0;

		if (ear->attached && (ear->callbacks & CALLBACK_LOG))
			sum = sum_of_parts(&shown[ear->space]->view, region, first, last);
		if (ear->synced != sum)
			ear_fail(ear, "asked for other bits than those of its sections");
		if (ear->cleared != (taken ? sum : 0))
			ear_fail(ear, "told that other bits were taken than were");
		ear->synced = ear->cleared = 0;
	}
}

/* --- All of them ---------------------------------------------------------------------------- */

const char *ears_failure(struct ears *ears)
{
	for (int i = 0; i < MODEL_LISTENERS; i++)
		if (ears->ear[i].first)
			ear_fail(&ears->ear[i], "was not told that something changed");
	return ears->failure[0] ? ears->failure : NULL;
}

uint64_t ears_told(const struct ears *ears)
{
	return ears->told;
}

uint64_t ears_extras_told(const struct ears *ears)
{
	return ears->extras_told;
}

struct ears *ears_new(uint64_t *rung)
{
	struct ears *ears = calloc(1, sizeof(*ears));

	ears->rung = rung;
	for (int i = 0; i < MODEL_LISTENERS; i++) {
		ears->ear[i].ears = ears;
		ears->ear[i].slot = i;
		ears->ear[i].last = &ears->ear[i].first;
	}
	return ears;
}

void ears_free(struct ears *ears)
{
	for (int i = 0; i < MODEL_LISTENERS; i++) {
		while (ears->ear[i].first) {
			struct turn *turn = ears->ear[i].first;

			ears->ear[i].first = turn->next;
			turn_free(turn);
		}
	}
	extras_free(&ears->gone);
	extras_free(&ears->come);
	free(ears->logs.at);
	free(ears);
}
