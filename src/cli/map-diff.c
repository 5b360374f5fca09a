/* SPDX-License-Identifier: MIT */
/*
 * Two maps compared by what their spaces show.
 *
 * Both views of a space are cut wherever either of them has an edge. Each piece shows in both the
 * same, or something else in each; of the latter, what belongs together in one view is joined
 * again. What is then in both, the same part of a region as it was, has *moved*. Of the rest, what
 * has something else in its place, or the same with other marks, has *changed*, and the rest of
 * that *appeared* or *went*.
 *
 * R1. Regions are the same if name and owner are: numbers mean something in one file only. Spaces
 *     are the same if they have the same name; of several, the first of each, and so on.
 * R2. One range where the other has two that continue it is a difference, too: listeners are told
 *     of it.
 */
#include "cli/map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* One of the two maps. */
struct side {
	const struct fh_listing *listing;
	const struct fh_listed_range *ranges; /* of the space at hand */
	size_t count;
	size_t at; /* the range where the walk is, or the next one */
};

struct piece {
	uint64_t first;
	uint64_t last;
	uint64_t offset;
	const struct fh_listed_region *region;
	const struct fh_listed_range *range;
	const struct piece *partner; /* of one that moved: what it is in the other view */
};

struct pieces {
	struct piece *at;
	size_t count;
	size_t capacity;
};

/* What is told of one space. */
struct report {
	const char *space;
	FILE *out;
	uint64_t count; /* of lines, over all spaces */
};

/* --- Pieces --------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_region(const struct fh_listed_region *a, const struct fh_listed_region *b)
{
	return strcmp(a->name, b->name) == 0 && same_text(a->owner.path, b->owner.path);
}

/* The same part of a region, to a guest. */
static bool same_marks(const struct piece *a, const struct piece *b)
{
	return strcmp(a->range->as, b->range->as) == 0 &&
	       a->range->nonvolatile == b->range->nonvolatile;
}

static bool same_contents(const struct piece *a, const struct piece *b)
{
	return a->offset == b->offset && same_region(a->region, b->region);
}

/* One more piece, or a longer last one if it continues that within the same range. */
static void add_piece(struct pieces *pieces, const struct piece *piece)
{
	struct piece *const last = pieces->count > 0 ? &pieces->at[pieces->count - 1] : NULL;

	if (last != NULL && last->range == piece->range && last->last + 1 == piece->first) {
		last->last = piece->last;
		return;
	}
	if (pieces->count == pieces->capacity) {
		pieces->capacity = pieces->capacity * 2 + 64;
		pieces->at = realloc(pieces->at, pieces->capacity * sizeof(*pieces->at));
		if (pieces->at == NULL)
			abort();
	}
	pieces->at[pieces->count++] = *piece;
}

/* --- The walk ------------------------------------------------------------------------------- */

/* What the side shows from @addr on, up to its next edge; false: a hole. */
static bool piece_at(struct side *side, uint64_t addr, struct piece *ret)
{
	while (side->at < side->count && side->ranges[side->at].last < addr)
		side->at++;

	const struct fh_listed_range *const range =
		side->at < side->count ? &side->ranges[side->at] : NULL;

	*ret = (struct piece){ .first = addr, .last = UINT64_MAX };
	if (range == NULL)
		return false;
	if (range->first > addr) {
		ret->last = range->first - 1;
		return false;
	}
	ret->last = range->last;
	ret->offset = range->offset + (addr - range->first);
	ret->region = &side->listing->regions[range->region];
	ret->range = range;
	return true;
}

static void put_marks(const struct piece *piece, FILE *out)
{
	fprintf(out, "(%s%s): ", piece->range->nonvolatile ? "nv-" : "", piece->range->as);
	fh_cli_put_text(piece->region->name[0] != '\0' ? piece->region->name : "(unnamed)", out);
	if (piece->offset != 0)
		fprintf(out, " @%016" PRIx64, piece->offset);
}

static void begin_line(struct report *report, const char *what)
{
	fh_cli_put_text(report->space, report->out);
	fprintf(report->out, ": %s ", what);
	report->count++;
}

/* An edge that one view has in the middle of what both show. */
static void report_edge(struct report *report, const struct piece *piece, bool is_new)
{
	begin_line(report, is_new ? "split" : "joined");
	fprintf(report->out, "at %016" PRIx64 " ", piece->first);
	put_marks(piece, report->out);
	putc('\n', report->out);
}

/* Everything that differs goes to @went and @appeared. */
static void walk(struct side *old, struct side *new, struct pieces *went, struct pieces *appeared,
		 struct report *report)
{
	uint64_t addr = 0;
	bool same = false; /* the piece before this one was */

	for (;;) {
		struct piece before, after;
		const bool was = piece_at(old, addr, &before), is = piece_at(new, addr, &after);
		const uint64_t last = before.last < after.last ? before.last : after.last;

		before.last = last;
		after.last = last;
		if (was && is && same_contents(&before, &after) && same_marks(&before, &after)) {
			const bool old_edge = before.range->first == addr;
			const bool new_edge = after.range->first == addr;

			if (same && old_edge != new_edge)
				report_edge(report, &after, new_edge);
			same = true;
		} else {
			same = false;
			if (was)
				add_piece(went, &before);
			if (is)
				add_piece(appeared, &after);
		}
		if (last == UINT64_MAX)
			return;
		addr = last + 1;
	}
}

/* --- Moves ---------------------------------------------------------------------------------- */

/* By everything that a move leaves as it is, then by address. */
static int compare_contents(const struct piece *a, const struct piece *b)
{
	const uint64_t lengths[] = { a->last - a->first, b->last - b->first };
	int order = strcmp(a->region->name, b->region->name);

	if (order == 0)
		order = strcmp(a->region->owner.path != NULL ? a->region->owner.path : "",
			       b->region->owner.path != NULL ? b->region->owner.path : "");
	if (order == 0)
		order = (a->offset > b->offset) - (a->offset < b->offset);
	if (order == 0)
		order = (lengths[0] > lengths[1]) - (lengths[0] < lengths[1]);
	if (order == 0)
		order = strcmp(a->range->as, b->range->as);
	return order != 0 ? order : a->range->nonvolatile - b->range->nonvolatile;
}

static int compare_pieces(const void *a, const void *b)
{
	const struct piece *const left = *(struct piece *const *)a;
	const struct piece *const right = *(struct piece *const *)b;
	const int order = compare_contents(left, right);

	return order != 0 ? order : (left->first > right->first) - (left->first < right->first);
}

/* Owned by caller. */
static struct piece **sorted(struct pieces *pieces)
{
	struct piece **const list = calloc(pieces->count + 1, sizeof(*list));

	if (list == NULL)
		abort();
	for (size_t i = 0; i < pieces->count; i++)
		list[i] = &pieces->at[i];
	if (pieces->count > 1)
		qsort(list, pieces->count, sizeof(*list), compare_pieces);
	return list;
}

/* The same elsewhere. */
static void match_moves(struct pieces *went, struct pieces *appeared)
{
	struct piece **const olds = sorted(went), **const news = sorted(appeared);
	size_t i = 0, j = 0;

	while (i < went->count && j < appeared->count) {
		const int order = compare_contents(olds[i], news[j]);

		if (order == 0) {
			news[j]->partner = olds[i];
			olds[i]->partner = news[j];
		}
		i += order <= 0;
		j += order >= 0;
	}
	free(olds);
	free(news);
}

/* --- Lines ---------------------------------------------------------------------------------- */

/* What is told. The pieces are cut to fit, but for the old one of a move. */
struct line {
	struct piece old; /* no range: it appeared */
	struct piece new; /* no range: it went */
};

struct lines {
	struct line *at;
	size_t count;
};

static uint64_t line_first(const struct line *line)
{
	return line->new.range != NULL ? line->new.first : line->old.first;
}

/* By address; of the same one, what went first. */
static int compare_lines(const void *a, const void *b)
{
	const uint64_t left = line_first(a), right = line_first(b);

	if (left != right)
		return left < right ? -1 : 1;
	return (((const struct line *)a)->new.range != NULL) -
	       (((const struct line *)b)->new.range != NULL);
}

/* The beginning of the piece, up to @last, is taken from it; false: nothing is left. */
static bool take(struct piece *piece, uint64_t last, struct piece *ret)
{
	const bool more = piece->last != last;

	*ret = *piece;
	ret->last = last;
	piece->offset += last + 1 - piece->first;
	piece->first = last + 1;
	return more;
}

/* The next piece that did not move, or none: no range. */
static struct piece next_unmoved(const struct pieces *pieces, size_t *at)
{
	while (*at < pieces->count && pieces->at[*at].partner != NULL)
		(*at)++;
	return *at < pieces->count ? pieces->at[(*at)++] : (struct piece){ .first = UINT64_MAX };
}

/* Cut so that each line has all of what was there and all of what is there now. */
static void add_unmoved(struct lines *lines, const struct pieces *went,
			const struct pieces *appeared)
{
	size_t i = 0, j = 0;
	struct piece old = next_unmoved(went, &i), new = next_unmoved(appeared, &j);

	while (old.range != NULL || new.range != NULL) {
		struct line *const line = &lines->at[lines->count++];
		const bool has_old = old.range != NULL && (new.range == NULL ||
							   old.first <= new.first);
		const bool has_new = new.range != NULL && (old.range == NULL ||
							   new.first <= old.first);
		uint64_t last = has_old ? old.last : new.last;

		*line = (struct line){ 0 };
		if (has_old && has_new)
			last = old.last < new.last ? old.last : new.last;
		else if (has_old && new.range != NULL && new.first <= last)
			last = new.first - 1;
		else if (has_new && old.range != NULL && old.first <= last)
			last = old.first - 1;
		if (has_old && !take(&old, last, &line->old))
			old = next_unmoved(went, &i);
		if (has_new && !take(&new, last, &line->new))
			new = next_unmoved(appeared, &j);
	}
}

static void put_range(const struct piece *piece, FILE *out)
{
	fprintf(out, "%016" PRIx64 "-%016" PRIx64 " ", piece->first, piece->last);
}

static void report_line(struct report *report, const struct line *line)
{
	const bool was = line->old.range != NULL, is = line->new.range != NULL;
	const bool moved = was && is && line->old.first != line->new.first;
	FILE *const out = report->out;

	begin_line(report, moved ? "moved" : !was ? "appeared" : !is ? "went" : "changed");
	if (moved) {
		put_range(&line->old, out);
		fputs("to ", out);
	}
	put_range(is ? &line->new : &line->old, out);
	put_marks(was ? &line->old : &line->new, out);
	if (was && is && !moved) {
		fputs(" to ", out);
		put_marks(&line->new, out);
	}
	putc('\n', out);
}

static void report_pieces(struct report *report, const struct pieces *went,
			  const struct pieces *appeared)
{
	struct lines lines = {
		.at = calloc(2 * (went->count + appeared->count) + 1, sizeof(*lines.at))
	};

	if (lines.at == NULL)
		abort();
	for (size_t i = 0; i < appeared->count; i++) {
		if (appeared->at[i].partner != NULL)
			lines.at[lines.count++] = (struct line){ .old = *appeared->at[i].partner,
								 .new = appeared->at[i] };
	}
	add_unmoved(&lines, went, appeared);
	qsort(lines.at, lines.count, sizeof(*lines.at), compare_lines);
	for (size_t i = 0; i < lines.count; i++)
		report_line(report, &lines.at[i]);
	free(lines.at);
}

/* --- Spaces --------------------------------------------------------------------------------- */

static struct side side_of(const struct fh_listing *listing, const struct fh_listed_space *space)
{
	const size_t count = space != NULL ? space->range_count : 0;

	return (struct side){
		.listing = listing,
		.ranges = count > 0 ? &listing->ranges[space->first_range] : NULL,
		.count = count,
	};
}

/* Either may be NULL: there is no such space in that map. */
static void compare_spaces(const struct fh_listing *listings[2],
			   const struct fh_listed_space *old_space,
			   const struct fh_listed_space *new_space, struct report *report)
{
	struct side old = side_of(listings[0], old_space), new = side_of(listings[1], new_space);
	struct pieces went = { 0 }, appeared = { 0 };

	report->space = (old_space != NULL ? old_space : new_space)->name;
	if (old_space == NULL || new_space == NULL) {
		begin_line(report, old_space == NULL ? "new" : "gone");
		fputs("space\n", report->out);
	}
	walk(&old, &new, &went, &appeared, report);
	match_moves(&went, &appeared);
	report_pieces(report, &went, &appeared);
	free(went.at);
	free(appeared.at);
}

/* A space and its place in the listing. */
struct named {
	const char *name;
	size_t place;
};

static int compare_named(const void *a, const void *b)
{
	const struct named *const left = a, *const right = b;
	const int order = strcmp(left->name, right->name);

	return order != 0 ? order : (left->place > right->place) - (left->place < right->place);
}

/* Owned by caller. */
static struct named *sorted_names(const struct fh_listing *listing)
{
	struct named *const list = calloc(listing->space_count + 1, sizeof(*list));

	if (list == NULL)
		abort();
	for (size_t i = 0; i < listing->space_count; i++)
		list[i] = (struct named){ listing->spaces[i].name, i };
	if (listing->space_count > 1)
		qsort(list, listing->space_count, sizeof(*list), compare_named);
	return list;
}

/* By space of the old map: the place of its partner plus one; *ret_taken says which have one. */
static size_t *match_spaces(const struct fh_listing *listings[2], bool **ret_taken)
{
	struct named *const olds = sorted_names(listings[0]);
	struct named *const news = sorted_names(listings[1]);
	size_t *const partners = calloc(listings[0]->space_count + 1, sizeof(*partners));
	bool *const taken = calloc(listings[1]->space_count + 1, sizeof(*taken));
	size_t i = 0, j = 0;

	if (partners == NULL || taken == NULL)
		abort();
	while (i < listings[0]->space_count && j < listings[1]->space_count) {
		const int order = strcmp(olds[i].name, news[j].name);

		if (order == 0) {
			partners[olds[i].place] = news[j].place + 1;
			taken[news[j].place] = true;
		}
		i += order <= 0;
		j += order >= 0;
	}
	free(olds);
	free(news);
	*ret_taken = taken;
	return partners;
}

uint64_t fh_map_diff(const struct fh_listing *old, const struct fh_listing *new, FILE *out)
{
	const struct fh_listing *listings[2] = { old, new };
	struct report report = { .out = out };
	bool *taken;
	size_t *const partners = match_spaces(listings, &taken);

	for (size_t i = 0; i < old->space_count; i++)
		compare_spaces(listings, &old->spaces[i],
			       partners[i] != 0 ? &new->spaces[partners[i] - 1] : NULL, &report);
	for (size_t i = 0; i < new->space_count; i++) {
		if (!taken[i])
			compare_spaces(listings, NULL, &new->spaces[i], &report);
	}
	free(partners);
	free(taken);
	return report.count;
}
