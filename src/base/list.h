/* SPDX-License-Identifier: MIT */
/*
 * Intrusive circular doubly linked list. A head and a node are the same structure.
 *
 * R1. A node is in at most one list. A node in no list points to itself, so that removing it once
 *     more is harmless: links are torn down from both sides, in either order (L6).
 * R2. No list is thread-safe by itself; whoever holds the list names the lock.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct fh_list {
	struct fh_list *prev;
	struct fh_list *next;
};

/* Static initializer for a head or a lone node named x. */
#define FH_LIST_INIT(x) {&(x), &(x)}

static inline void fh_list_init(struct fh_list *node)
{
	node->prev = node;
	node->next = node;
}

/* Of a head: no nodes. */
static inline bool fh_list_empty(const struct fh_list *head)
{
	return head->next == head;
}

/* Of a node: it is in a list. */
static inline bool fh_list_linked(const struct fh_list *node)
{
	return node->next != node;
}

/* Puts node, which is in no list, right behind where (a head: becomes the first). */
static inline void fh_list_add_after(struct fh_list *where, struct fh_list *node)
{
	node->prev = where;
	node->next = where->next;
	where->next->prev = node;
	where->next = node;
}

/* Puts node, which is in no list, right before where (a head: becomes the last). */
static inline void fh_list_add_before(struct fh_list *where, struct fh_list *node)
{
	fh_list_add_after(where->prev, node);
}

static inline void fh_list_add_first(struct fh_list *head, struct fh_list *node)
{
	fh_list_add_after(head, node);
}

static inline void fh_list_add_last(struct fh_list *head, struct fh_list *node)
{
	fh_list_add_before(head, node);
}

/* Takes node out of its list, if it is in one (R1). */
static inline void fh_list_remove(struct fh_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	fh_list_init(node);
}

/* First or last node, NULL if there is none. */
static inline struct fh_list *fh_list_first(const struct fh_list *head)
{
	return fh_list_empty(head) ? NULL : head->next;
}

static inline struct fh_list *fh_list_last(const struct fh_list *head)
{
	return fh_list_empty(head) ? NULL : head->prev;
}

/* Takes out the first node and returns it, NULL if there is none. */
static inline struct fh_list *fh_list_pop(struct fh_list *head)
{
	struct fh_list *node = fh_list_first(head);

	if (node)
		fh_list_remove(node);
	return node;
}

/* Moves all nodes of from to the tail of to, in order; from is empty afterwards. */
static inline void fh_list_splice_last(struct fh_list *to, struct fh_list *from)
{
	if (fh_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	fh_list_init(from);
}

/*
 * Emitting to listeners of which any may remove any (itself, others, all) or add new ones:
 *
 *	struct fh_list pending;
 *
 *	fh_list_visit_begin(&pending, &listeners);
 *	while ((node = fh_list_visit_next(&pending, &listeners)))
 *		notify(fh_container_of(node, struct listener, link));
 *
 * Each node that is in the list at the beginning and at its turn is visited once. A node added
 * meanwhile is not visited. Nothing but the two list heads has to outlive a call. A visit of the
 * same list from within a visit sees only the nodes that had their turn; a visit is gone through to
 * its end, or the rest is put back with fh_list_splice_last.
 */
static inline void fh_list_visit_begin(struct fh_list *pending, struct fh_list *head)
{
	fh_list_init(pending);
	fh_list_splice_last(pending, head);
}

static inline struct fh_list *fh_list_visit_next(struct fh_list *pending, struct fh_list *head)
{
	struct fh_list *node = fh_list_pop(pending);

	if (node)
		fh_list_add_last(head, node);
	return node;
}

#define fh_list_entry(node, type, member) fh_container_of(node, type, member)

/* The body must not remove any node. */
#define fh_list_for_each(node, head) \
	for (struct fh_list *node = (head)->next; node != (head); node = node->next)

/* The body may remove the node it is at, and no other. */
#define fh_list_for_each_safe(node, head)                                                \
	for (struct fh_list *node = (head)->next, *node##_next_ = node->next;            \
	     node != (head); node = node##_next_, node##_next_ = node->next)

/* Backwards; the body must not remove any node. */
#define fh_list_for_each_reverse(node, head) \
	for (struct fh_list *node = (head)->prev; node != (head); node = node->prev)

/*
 * The node of an entry. At the end of a list the entry is none, and may be aligned as none can be.
 */
#define fh_list_node_of(entry, type, member) \
	((struct fh_list *)(void *)((char *)(entry) + offsetof(type, member)))

/* Over the structures themselves; the body must not remove any. */
#define fh_list_for_each_entry(entry, head, type, member)                                \
	for (type *entry = fh_list_entry((head)->next, type, member);                    \
	     fh_list_node_of(entry, type, member) != (head);                             \
	     entry = fh_list_entry(entry->member.next, type, member))

/* Over the structures themselves; the body may remove (and free) the one it is at. */
#define fh_list_for_each_entry_safe(entry, head, type, member)                           \
	for (type *entry = fh_list_entry((head)->next, type, member),                    \
		  *entry##_next_ = fh_list_entry(                                        \
			  fh_list_node_of(entry, type, member)->next, type, member);     \
	     fh_list_node_of(entry, type, member) != (head);                             \
	     entry = entry##_next_,                                                      \
		  entry##_next_ = fh_list_entry(                                         \
			  fh_list_node_of(entry, type, member)->next, type, member))

#endif
