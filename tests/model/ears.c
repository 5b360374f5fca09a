/* SPDX-License-Identifier: MIT */
/*
 * See ears.h. A *round* is what one commit has to tell the listeners of one space; a *turn*, a
 * listener's part of it. One that joins or leaves has a round of its own.
 *
 * R1. Turns are made before the library is called and are taken up in order. What is said is
 *     compared as it is said.
 * R2. Within a round: removals before additions, whoever is told; each removal is told to listeners
 *     in falling order of priority and each addition in rising order.
 */
#include "model/ears.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/edit.h"

struct turn {
	struct turn *next;
	uint64_t round;
	size_t removed_count, added_count;
	struct fh_section sections[]; /* the removed, then the added */
};

struct ear {
	struct ears *ears;
	int slot;
	bool attached;
	int space;
	struct fh_space *real_space;
	int priority;
	uint8_t callbacks;
	struct turn *first, **last;
	bool speaking; /* between begin and commit of the first turn */
	size_t removed, added;
	bool batched;
};

struct ears {
	struct ear ear[MODEL_LISTENERS];
	struct view removed, added;
	uint64_t rounds;
	uint64_t told;
	char failure[300];
};

static void fail(struct ear *ear, const char *fmt, ...) FH_PRINTF(2, 3);

static void fail(struct ear *ear, const char *fmt, ...)
{
	struct ears *ears = ear->ears;
	va_list args;
	int used;

	if (ears->failure[0])
		return;
	used = snprintf(ears->failure, sizeof(ears->failure), "listener %d of space %d: ",
			ear->slot, ear->space);
	va_start(args, fmt);
	vsnprintf(ears->failure + used, sizeof(ears->failure) - (size_t)used, fmt, args);
	va_end(args);
}

/* --- What is said --------------------------------------------------------------------------- */

static void on_begin(void *state, struct fh_space *space)
{
	struct ear *ear = state;

	if (ear->speaking || !ear->first)
		fail(ear, ear->speaking ? "begin within begin" : "told of nothing");
	if (space != ear->real_space)
		fail(ear, "begin with another space");
	ear->speaking = true;
	ear->removed = ear->added = 0;
	ear->batched = false;
}

/* How far @other is in @turn's round: SIZE_MAX if it has nothing to do there, or has finished. */
static size_t progress(const struct ear *other, const struct turn *turn, bool removals)
{
	const uint8_t callback = removals ? CALLBACK_REMOVE : CALLBACK_ADD;

	if (!other->first || other->first->round != turn->round || !(other->callbacks & callback))
		return SIZE_MAX;
	return removals ? other->removed : other->added;
}

static void check_order(struct ear *ear, const struct turn *turn, bool removal, size_t index)
{
	for (int i = 0; i < MODEL_LISTENERS; i++) {
		const struct ear *other = &ear->ears->ear[i];
		const bool before = removal ? other->priority > ear->priority
					    : other->priority < ear->priority;

		if (before && progress(other, turn, removal) <= index)
			fail(ear, "told before listener %d", i);
		if (!removal && progress(other, turn, true) < turn->removed_count)
			fail(ear, "told of an addition before listener %d of a removal", i);
	}
}

static void on_section(struct ear *ear, const struct fh_section *section, bool removal)
{
	const struct turn *turn = ear->first;
	size_t *done = removal ? &ear->removed : &ear->added;

	if (!ear->speaking || !turn) {
		fail(ear, "told outside begin and commit");
		return;
	}
	const size_t count = removal ? turn->removed_count : turn->added_count;
	const char *what = removal ? "removal" : "addition";
	const struct fh_section *wanted =
		&turn->sections[removal ? *done : turn->removed_count + *done];

	if (*done >= count)
		fail(ear, "one %s too many", what);
	else if (!section_equal(section, wanted))
		fail(ear, "%s %zu of %zu is %#" PRIx64 "..%#" PRIx64 ", not %#" PRIx64
		     "..%#" PRIx64, what, *done + 1, count, section->first, section->last,
		     wanted->first, wanted->last);
	check_order(ear, turn, removal, *done);
	++*done;
	ear->ears->told++;
}

static void on_remove(void *state, const struct fh_section *section)
{
	on_section(state, section, true);
}

static void on_add(void *state, const struct fh_section *section)
{
	on_section(state, section, false);
}

static void on_batch(void *state, const struct fh_section *removed, size_t removed_count,
		     const struct fh_section *added, size_t added_count)
{
	struct ear *ear = state;
	const struct turn *turn = ear->first;
	bool same;

	if (!ear->speaking || !turn || ear->batched) {
		fail(ear, "a batch out of place");
		return;
	}
	ear->batched = true;
	same = removed_count == turn->removed_count && added_count == turn->added_count;
	for (size_t i = 0; same && i < removed_count; i++)
		same = section_equal(&removed[i], &turn->sections[i]);
	for (size_t i = 0; same && i < added_count; i++)
		same = section_equal(&added[i], &turn->sections[removed_count + i]);
	if (!same)
		fail(ear, "another batch: %zu removed, %zu added, not %zu and %zu", removed_count,
		     added_count, turn->removed_count, turn->added_count);
}

static void on_commit(void *state, struct fh_space *space)
{
	struct ear *ear = state;
	struct turn *turn = ear->first;

	if (!ear->speaking || !turn) {
		fail(ear, "commit without begin");
		return;
	}
	if (space != ear->real_space)
		fail(ear, "commit with another space");
	if ((ear->callbacks & CALLBACK_REMOVE && ear->removed != turn->removed_count) ||
	    (ear->callbacks & CALLBACK_ADD && ear->added != turn->added_count) ||
	    (ear->callbacks & CALLBACK_BATCH && !ear->batched))
		fail(ear, "commit after %zu of %zu removals and %zu of %zu additions",
		     ear->removed, turn->removed_count, ear->added, turn->added_count);
	ear->speaking = false;
	ear->first = turn->next;
	if (!ear->first)
		ear->last = &ear->first;
	free(turn);
}

/* One table for each combination of callbacks. */
#define OPS(callbacks)                                                                             \
	[callbacks] = {                                                                            \
		.begin = on_begin,                                                                 \
		.remove = (callbacks) & CALLBACK_REMOVE ? on_remove : NULL,                        \
		.add = (callbacks) & CALLBACK_ADD ? on_add : NULL,                                 \
		.batch = (callbacks) & CALLBACK_BATCH ? on_batch : NULL,                           \
		.commit = on_commit,                                                               \
	}

static const struct fh_listener_ops listener_ops[8] = {
	OPS(0), OPS(1), OPS(2), OPS(3), OPS(4), OPS(5), OPS(6), OPS(7),
};

/* --- What is expected ----------------------------------------------------------------------- */

static void ear_expect(struct ear *ear, uint64_t round, const struct view *removed,
		       const struct view *added)
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
	*ear->last = turn;
	ear->last = &turn->next;
}

struct fh_listener *ears_listen(struct ears *ears, int slot, struct fh_object *owner,
				const struct model_listener *listener, struct fh_space *space,
				const struct view *shown)
{
	struct ear *ear = &ears->ear[slot];

	ear->attached = true;
	ear->space = listener->space;
	ear->real_space = space;
	ear->priority = listener->priority;
	ear->callbacks = listener->callbacks & 7;
	ear_expect(ear, ++ears->rounds, NULL, shown);
	return fh_listener_new(owner, space, listener->priority, &listener_ops[ear->callbacks],
			       ear);
}

static bool is_ended(const struct ear *ear, const struct model *model)
{
	const struct model_listener *listener = &model->listeners[ear->slot];

	return !listener->real || listener->space == MODEL_NONE;
}

static void space_expect(struct ears *ears, const struct model *model, int space,
			 const struct view *shown, const struct view *next)
{
	const uint64_t round = ++ears->rounds;
	bool compared = false;

	for (int i = 0; i < MODEL_LISTENERS; i++) {
		struct ear *ear = &ears->ear[i];

		if (!ear->attached || ear->space != space)
			continue;
		if (is_ended(ear, model)) {
			ear_expect(ear, ++ears->rounds, shown, NULL);
			ear->attached = false;
			continue;
		}
		if (!compared)
			view_difference(shown, next, &ears->removed, &ears->added);
		compared = true;
		if (ears->removed.count + ears->added.count > 0)
			ear_expect(ear, round, &ears->removed, &ears->added);
	}
}

void ears_expect(struct ears *ears, const struct model *model, struct view *const shown[],
		 struct view *const next[])
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

/* --- All of them ---------------------------------------------------------------------------- */

const char *ears_failure(struct ears *ears)
{
	for (int i = 0; i < MODEL_LISTENERS; i++)
		if (ears->ear[i].first)
			fail(&ears->ear[i], "was not told that something changed");
	return ears->failure[0] ? ears->failure : NULL;
}

uint64_t ears_told(const struct ears *ears)
{
	return ears->told;
}

struct ears *ears_new(void)
{
	struct ears *ears = calloc(1, sizeof(*ears));

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
			free(turn);
		}
	}
	free(ears);
}
