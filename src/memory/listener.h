/* SPDX-License-Identifier: MIT */
/*
 * Listeners, as the files that tell them something know them. R1 to R6: listener.c.
 */
#ifndef MEMORY_LISTENER_H
#define MEMORY_LISTENER_H

#include "memory/news.h"
#include "memory/space.h"
#include "memory/topology.h"

struct fh_listener {
	struct fh_object object;
	const struct fh_listener_ops *ops; /* C */
	void *state;			   /* C */
	int priority;			   /* C */
	struct fh_object *owner;	   /* C: pinned; itself if it has none */
	struct fh_space *space;		   /* P: NULL when it has left */
	bool leaving;			   /* P: or has left */
	struct fh_list link;		   /* P: in space->listeners or topology->leaving */
	struct fh_list wait_link;	   /* P: in topology->departing or ->joining */
};

#define each_listener(listener, space) \
	fh_list_for_each_entry(listener, &(space)->listeners, struct fh_listener, link)

/* Some space that shows the set, and has not switched to it in this commit, has listeners. */
static inline bool fh_view_set_has_listeners(const struct fh_view_set *set)
{
	fh_list_for_each_entry(space, &set->spaces, struct fh_space, set_link) {
		if (fh_list_empty(&space->listeners))
			break;
		if (!fh_list_linked(&space->switched_link))
			return true;
	}
	return false;
}

/* The view of a set before the present commit. */
static inline const struct fh_view_node *fh_view_set_before(const struct fh_view_set *set)
{
	if (!set)
		return NULL;
	/* Dirty or dead: as noted. Otherwise it does not change. */
	return fh_list_linked(&set->dirty_link) || !fh_list_linked(&set->all_link) ?
		       set->old_root :
		       fh_view_set_root(set);
}

/* And the one that it has after it. */
static inline const struct fh_view_node *fh_view_set_after(const struct fh_view_set *set)
{
	if (!set)
		return NULL;
	return fh_list_linked(&set->dirty_link) ? set->new_root : fh_view_set_root(set);
}

/* What of the space the leaving listener was told until this commit. */
static inline const struct fh_view_node *fh_listener_view_before(const struct fh_listener *listener)
{
	const struct fh_space *space = listener->space;

	return fh_view_set_before(fh_list_linked(&space->switched_link) ? space->showed :
									  space->shows);
}

static inline void fh_sections_add(struct fh_sections *sections, const struct fh_range *ranges,
				   size_t count)
{
	for (size_t i = 0; i < count; i++)
		fh_section_from_range(&fh_vector_add(sections), &ranges[i]);
}

/* listener-tell.c: everything, to one that joins or leaves; what is removed is of that time. */
void fh_listener_tell_alone(struct fh_listener *listener, struct fh_news *news,
			    enum fh_news_time old);

/* Tells it of what is published; what this transaction changes, it is told with the others. */
void fh_listener_join(struct fh_listener *listener);
/* R5: all have been told of the commit, this one as well. */
void fh_listener_depart(struct fh_listener *listener);
/* It has been told for the last time. */
void fh_listener_is_out(struct fh_listener *listener);

#endif
