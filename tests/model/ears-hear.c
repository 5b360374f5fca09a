/* SPDX-License-Identifier: MIT */
/*
 * What listeners are told, compared with what they expect. See ears-part.h for R1 to R4.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/ears-part.h"

void ear_fail(struct ear *ear, const char *fmt, ...)
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
		ear_fail(ear, ear->speaking ? "begin within begin" : "told of nothing");
	if (space != ear->real_space)
		ear_fail(ear, "begin with another space");
	ear->speaking = true;
	ear->stage = STAGE_BEGIN;
	ear->removed = ear->added = 0;
	ear->batched = false;
}

/* False: out of place, which has been noted. */
static bool enter(struct ear *ear, enum ear_stage stage)
{
	if (!ear->speaking || !ear->first) {
		ear_fail(ear, "told outside begin and commit");
		return false;
	}
	if (ear->stage > stage)
		ear_fail(ear, "told of stage %d after stage %d", stage, ear->stage);
	ear->stage = stage;
	return true;
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
			ear_fail(ear, "told before listener %d", i);
		if (!removal && progress(other, turn, true) < turn->removed_count)
			ear_fail(ear, "told of an addition before listener %d of a removal", i);
	}
}

static void on_section(struct ear *ear, const struct fh_section *section, bool removal)
{
	const struct turn *turn = ear->first;
	size_t *done = removal ? &ear->removed : &ear->added;

	if (!enter(ear, removal ? STAGE_REMOVED : STAGE_ADDED))
		return;
	const size_t count = removal ? turn->removed_count : turn->added_count;
	const char *what = removal ? "removal" : "addition";
	const struct fh_section *wanted =
		&turn->sections[removal ? *done : turn->removed_count + *done];

	if (*done >= count)
		ear_fail(ear, "one %s too many", what);
	else if (!section_equal(section, wanted))
		ear_fail(ear, "%s %zu of %zu is %#" PRIx64 "..%#" PRIx64 ", not %#" PRIx64
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

static bool is_difference(const struct turn *turn, const struct fh_section *removed,
			  size_t removed_count, const struct fh_section *added,
			  size_t added_count)
{
	bool same = removed_count == turn->removed_count && added_count == turn->added_count;

	for (size_t i = 0; same && i < removed_count; i++)
		same = section_equal(&removed[i], &turn->sections[i]);
	for (size_t i = 0; same && i < added_count; i++)
		same = section_equal(&added[i], &turn->sections[removed_count + i]);
	return same;
}

static void on_batch(void *state, const struct fh_section *removed, size_t removed_count,
		     const struct fh_section *added, size_t added_count)
{
	struct ear *ear = state;
	const struct turn *turn = ear->first;

	if (!enter(ear, STAGE_BATCH))
		return;
	if (ear->batched)
		ear_fail(ear, "a second batch");
	ear->batched = true;
	if (!is_difference(turn, removed, removed_count, added, added_count))
		ear_fail(ear, "another batch: %zu removed, %zu added, not %zu and %zu",
			 removed_count, added_count, turn->removed_count, turn->added_count);
}

/* --- Eventfds, coalesced ranges, logs --------------------------------------------------------- */

/* The one that is told, of those not told yet, or NULL: @match is NULL for a coalesced range. */
static struct extra *find_extra(struct extras *extras, const struct fh_section *section,
				const struct fh_eventfd_match *match)
{
	for (size_t i = 0; i < extras->count; i++) {
		struct extra *extra = &extras->at[i];

		if (extra->told || extra->first != section->first ||
		    extra->last != section->last || extra->offset != section->offset ||
		    extra->region != section->region || (extra->eventfd != MODEL_NONE) != !!match)
			continue;
		if (match && (extra->match.offset != match->offset ||
			      extra->match.size != match->size ||
			      extra->match.match_data != match->match_data ||
			      extra->match.data != match->data))
			continue;
		return extra;
	}
	return NULL;
}

static struct extra *on_extra(struct ear *ear, const struct fh_section *section,
			      const struct fh_eventfd_match *match, bool come)
{
	if (!enter(ear, come ? STAGE_COME : STAGE_GONE))
		return NULL;
	struct extra *extra = find_extra(come ? &ear->first->come : &ear->first->gone, section,
					 match);

	if (!extra)
		ear_fail(ear, "told that %s at %#" PRIx64 "..%#" PRIx64 " has %s",
			 match ? "an eventfd" : "a coalesced range", section->first, section->last,
			 come ? "come" : "gone");
	else
		extra->told = true;
	ear->ears->extras_told++;
	return extra;
}

/* Whatever is told of an eventfd: its descriptor can be used. */
static void on_eventfd(struct ear *ear, const struct fh_section *section,
		       const struct fh_eventfd_match *match, int fd, bool come)
{
	const struct extra *extra = on_extra(ear, section, match, come);
	const uint64_t one = 1;

	if (!extra)
		return;
	if (write(fd, &one, sizeof(one)) != sizeof(one))
		ear_fail(ear, "descriptor %d of eventfd %d is none", fd, extra->eventfd);
	ear->ears->rung[extra->eventfd]++;
}

static void on_eventfd_add(void *state, const struct fh_section *section,
			   const struct fh_eventfd_match *match, int fd)
{
	on_eventfd(state, section, match, fd, true);
}

static void on_eventfd_del(void *state, const struct fh_section *section,
			   const struct fh_eventfd_match *match, int fd)
{
	on_eventfd(state, section, match, fd, false);
}

static void on_coalesced_add(void *state, const struct fh_section *section)
{
	on_extra(state, section, NULL, true);
}

static void on_coalesced_del(void *state, const struct fh_section *section)
{
	on_extra(state, section, NULL, false);
}

static void on_log(struct ear *ear, const struct fh_section *section, uint8_t before, bool start)
{
	struct log_change *change = NULL;

	if (!enter(ear, STAGE_LOGS))
		return;
	for (size_t i = 0; i < ear->first->logs.count && !change; i++)
		if (section_equal(&ear->first->logs.at[i].section, section))
			change = &ear->first->logs.at[i];
	if (!change || change->before != before || change->section.log_mask != section->log_mask ||
	    (start ? change->started : change->stopped))
		ear_fail(ear, "told that the log of %#" PRIx64 "..%#" PRIx64 " %s: %#x to %#x",
			 section->first, section->last, start ? "starts" : "stops", before,
			 section->log_mask);
	else if (start)
		change->started = true;
	else
		change->stopped = true;
	ear->ears->extras_told++;
}

static void on_log_start(void *state, const struct fh_section *section, uint8_t old_mask)
{
	on_log(state, section, old_mask, true);
}

static void on_log_stop(void *state, const struct fh_section *section, uint8_t old_mask)
{
	on_log(state, section, old_mask, false);
}

uint64_t ear_log_sum(const struct fh_section *section)
{
	struct rng rng = { section->first * 31 + section->last };

	return rng_next(&rng) + section->offset * section->log_mask;
}

static void on_log_sync(void *state, const struct fh_section *section)
{
	struct ear *ear = state;

	ear->synced += ear_log_sum(section);
}

static void on_log_clear(void *state, const struct fh_section *section)
{
	struct ear *ear = state;

	ear->cleared += ear_log_sum(section);
}

static void on_flush(void *state)
{
	struct ear *ear = state;

	ear->asked++;
}

static void check_list(struct ear *ear, const struct extras *extras, const char *what)
{
	for (size_t i = 0; i < extras->count; i++) {
		const struct extra *extra = &extras->at[i];

		if (!extra->told && (ear->callbacks & (extra->eventfd == MODEL_NONE
							       ? CALLBACK_COALESCED
							       : CALLBACK_EVENTFD)))
			ear_fail(ear, "not told that %s at %#" PRIx64 "..%#" PRIx64 " has %s",
				 extra->eventfd == MODEL_NONE ? "a coalesced range" : "an eventfd",
				 extra->first, extra->last, what);
	}
}

/* At the commit: everything has been told. */
static void check_extras(struct ear *ear, const struct turn *turn)
{
	check_list(ear, &turn->gone, "gone");
	check_list(ear, &turn->come, "come");
	for (size_t i = 0; i < turn->logs.count && (ear->callbacks & CALLBACK_LOG); i++) {
		const struct log_change *change = &turn->logs.at[i];
		const uint8_t after = change->section.log_mask;

		if (change->started != ((after & ~change->before) != 0) ||
		    change->stopped != ((change->before & ~after) != 0))
			ear_fail(ear, "told wrong of the log of %#" PRIx64 "..%#" PRIx64
				 ": %#x to %#x", change->section.first, change->section.last,
				 change->before, after);
	}
}

/* --- Before a commit -------------------------------------------------------------------------- */

static size_t count_eventfds(const struct extras *extras)
{
	size_t count = 0;

	for (size_t i = 0; i < extras->count; i++)
		count += extras->at[i].eventfd != MODEL_NONE;
	return count;
}

static bool are_eventfds(const struct extras *extras, const struct fh_section *sections,
			 size_t count)
{
	size_t found = 0;

	for (size_t k = 0; k < count; k++) {
		for (size_t i = 0; i < extras->count; i++) {
			const struct extra *extra = &extras->at[i];

			if (extra->eventfd != MODEL_NONE && extra->first == sections[k].first &&
			    extra->last == sections[k].last &&
			    extra->region == sections[k].region) {
				found++;
				break;
			}
		}
	}
	return found == count && count == count_eventfds(extras);
}

static void on_prepare(void *state, const struct fh_space_change *change)
{
	struct ear *ear = state;
	const struct turn *turn = ear->first;

	if (ear->speaking || ear->prepared || !turn)
		ear_fail(ear, "prepared at the wrong time");
	else if (!is_difference(turn, change->removed, change->removed_count, change->added,
				change->added_count))
		ear_fail(ear,
			 "prepared for another change: %zu removed, %zu added, not %zu and %zu",
			 change->removed_count, change->added_count, turn->removed_count,
			 turn->added_count);
	else if (!are_eventfds(&turn->gone, change->eventfds_removed,
			       change->eventfds_removed_count) ||
		 !are_eventfds(&turn->come, change->eventfds_added, change->eventfds_added_count))
		ear_fail(ear, "prepared for other eventfds");
	ear->prepared = true;
}

static bool has_prepare(const struct turn *turn)
{
	const size_t gone = turn->removed_count + count_eventfds(&turn->gone);

	return gone > 0 || (!turn->alone && turn->added_count + count_eventfds(&turn->come) > 0);
}

static bool has_batch(const struct turn *turn)
{
	return turn->alone || turn->removed_count + turn->added_count > 0;
}

/* --- The end of a commit ---------------------------------------------------------------------- */

static void on_commit(void *state, struct fh_space *space)
{
	struct ear *ear = state;
	struct turn *turn = ear->first;

	if (!ear->speaking || !turn) {
		ear_fail(ear, "commit without begin");
		return;
	}
	if (space != ear->real_space)
		ear_fail(ear, "commit with another space");
	if ((ear->callbacks & CALLBACK_REMOVE && ear->removed != turn->removed_count) ||
	    (ear->callbacks & CALLBACK_ADD && ear->added != turn->added_count) ||
	    (ear->callbacks & CALLBACK_BATCH && ear->batched != has_batch(turn)))
		ear_fail(ear, "commit after %zu of %zu removals and %zu of %zu additions",
		     ear->removed, turn->removed_count, ear->added, turn->added_count);
	if (ear->ops.prepare && ear->prepared != has_prepare(turn))
		ear_fail(ear, ear->prepared ? "prepared in vain" : "not prepared");
	check_extras(ear, turn);
	ear->speaking = ear->prepared = false;
	ear->first = turn->next;
	if (!ear->first)
		ear->last = &ear->first;
	turn_free(turn);
}

void turn_free(struct turn *turn)
{
	extras_free(&turn->gone);
	extras_free(&turn->come);
	free(turn->logs.at);
	free(turn);
}

void ear_set_callbacks(struct ear *ear, uint8_t callbacks)
{
	const bool eventfds = callbacks & CALLBACK_EVENTFD;
	const bool coalesced = callbacks & CALLBACK_COALESCED;
	const bool logs = callbacks & CALLBACK_LOG;

	ear->callbacks = callbacks;
	ear->ops = (struct fh_listener_ops){
		.prepare = callbacks & CALLBACK_BATCH ? on_prepare : NULL,
		.begin = on_begin,
		.remove = callbacks & CALLBACK_REMOVE ? on_remove : NULL,
		.add = callbacks & CALLBACK_ADD ? on_add : NULL,
		.batch = callbacks & CALLBACK_BATCH ? on_batch : NULL,
		.commit = on_commit,
		.log_start = logs ? on_log_start : NULL,
		.log_stop = logs ? on_log_stop : NULL,
		.log_sync = logs ? on_log_sync : NULL,
		.log_clear = logs ? on_log_clear : NULL,
		.eventfd_add = eventfds ? on_eventfd_add : NULL,
		.eventfd_del = eventfds ? on_eventfd_del : NULL,
		.coalesced_add = coalesced ? on_coalesced_add : NULL,
		.coalesced_del = coalesced ? on_coalesced_del : NULL,
		.coalesced_flush = callbacks & CALLBACK_FLUSH ? on_flush : NULL,
	};
}
