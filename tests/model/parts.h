/* SPDX-License-Identifier: MIT */
/*
 * The oracle of memory that comes and goes (ram.h): which granules of a few regions are there, what
 * is in them, and what each discard listener is to be told, to the call.
 *
 * R1. What an edit does is worked out before the library is asked, the refusals of listeners
 *     included: what they are told is compared as they are told it.
 */
#ifndef MODEL_PARTS_H
#define MODEL_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <freehold/freehold.h>

enum {
	PARTS_REGIONS = 3,
	PARTS_GRANULES = 40, /* of a region, at most */
	PARTS_LISTENERS = 8,
	PARTS_BANS = 4,
	PARTS_OWNERS = 2,
	PARTS_CALLS = 2000,
};

struct parts_region {
	struct fh_region *real; /* NULL: there is none */
	uint64_t size, granule;
	int granules;
	int bans;
	bool there[PARTS_GRANULES];
	bool known[PARTS_GRANULES]; /* @content is what is in it */
	uint8_t content[PARTS_GRANULES];
};

struct parts;

struct parts_listener {
	struct parts *parts;
	struct fh_discard_listener *real; /* NULL: there is none */
	int region, owner;		  /* owner: or -1 */
	uint64_t first, last;		  /* in the region */
	uint64_t order;			  /* of registration */
};

/* What a listener is told, and what it answers. */
struct parts_call {
	int listener;
	bool populate;
	uint64_t offset, size;
	enum fh_code answer;
};

struct parts {
	struct fh_machine *m;
	struct fh_object *owners[PARTS_OWNERS];
	struct parts_region regions[PARTS_REGIONS];
	struct parts_listener listeners[PARTS_LISTENERS];
	struct {
		struct fh_discard_ban *real;
		int region; /* or -1: it is gone */
	} bans[PARTS_BANS];
	uint64_t order;
	struct parts_call calls[PARTS_CALLS]; /* that are to come */
	size_t call_count, calls_done;
	bool in_order;	/* all of them; otherwise those of each listener */
	int veto_after; /* so many calls to populate are answered well; -1: all */
	uint64_t told, vetoes;
	char failure[300];
};

void parts_fail(struct parts *parts, const char *fmt, ...) FH_PRINTF(2, 3);

/* The oracle: what comes of an edit, and with which calls. */
enum fh_code parts_populate(struct parts *parts, int region, uint64_t offset, uint64_t size);
enum fh_code parts_discard(struct parts *parts, int region, uint64_t offset, uint64_t size);
/* The listener, as it is filled in, joins or leaves. */
enum fh_code parts_join(struct parts *parts, int listener);
void parts_leave(struct parts *parts, int listener);

/* Before the library is called, and after. */
void parts_expect(struct parts *parts, int veto_after, bool in_order);
void parts_check_calls(struct parts *parts);

extern const struct fh_discard_ops parts_ops;

#endif
