/* SPDX-License-Identifier: MIT */
/*
 * What there is to tell the listeners of one space: the difference of two views.
 *
 * R1. Rows of ranges are in order of address. A range that shows the same as before is in none of
 *     them, but in `reflagged` if internal flags of it differ.
 * R2. Extras (eventfds and coalesced ranges, at their places in the space) are those of the ranges
 *     removed and reflagged as they were, and of the ranges added and reflagged as they are, less
 *     what is in both: an eventfd that is to be seen at the same address as before has neither
 *     gone nor come, whatever became of the range around it.
 * R3. An eventfd has a place where all of it lies in one range; a coalesced range, wherever a part
 *     of it does, that part.
 */
#ifndef MEMORY_NEWS_H
#define MEMORY_NEWS_H

#include "memory/extras.h"
#include "memory/space.h"

/* Which tables of extras: of before the present commit, of after it, or those published now. */
enum fh_news_time { FH_NEWS_BEFORE, FH_NEWS_AFTER, FH_NEWS_NOW };

struct fh_news {
	const struct fh_range *removed;
	size_t removed_count;
	const struct fh_range *added;
	size_t added_count;
	const struct fh_reflag *reflagged;
	size_t reflagged_count;
	const struct fh_extra *gone; /* fh_news_find_extras() */
	size_t gone_count;
	const struct fh_extra *come;
	size_t come_count;
	const struct fh_view_node *view; /* as it is now: NULL: empty, or all of it is in `added` */
	bool alone; /* to one that joins or leaves */
};

/* The difference of a dirty set's views in the present commit. Without extras. */
struct fh_news fh_news_of_set(const struct fh_topology *topology, const struct fh_view_set *set);

/* What is in one view and not in the other, to topology->difference. Without extras. */
struct fh_news fh_news_compare(struct fh_topology *topology, const struct fh_view_node *before,
			       const struct fh_view_node *after);

/* Fill in the extras. @old: when what is removed was; @new: when what is added is. */
void fh_news_find_extras(struct fh_topology *topology, struct fh_news *news,
			 enum fh_news_time old, enum fh_news_time new);

/* There is anything in it that a listener can be told. */
bool fh_news_any(const struct fh_news *news);
/* The clients of some range that stays are others. */
bool fh_news_has_logs(const struct fh_news *news);

#endif
