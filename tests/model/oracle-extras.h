/* SPDX-License-Identifier: MIT */
/*
 * The oracle of what lies in the ranges of a view besides registers and memory: eventfds, coalesced
 * ranges, logs. Worked out from the model and a painted view each time, as all of the oracle.
 */
#ifndef MODEL_ORACLE_EXTRAS_H
#define MODEL_ORACLE_EXTRAS_H

#include "model/oracle.h"

/* An eventfd or a coalesced range, where it is to be seen. */
struct extra {
	uint64_t first, last;
	uint64_t offset; /* of the first byte in the region */
	const struct fh_region *region;
	int eventfd; /* slot; MODEL_NONE: a coalesced range */
	uint64_t serial;
	struct fh_eventfd_match match;
	bool told; /* somebody has been */
};

struct extras {
	size_t count, room;
	struct extra *at;
};

/* What the clients of a range change to. */
struct log_change {
	struct fh_section section;
	uint8_t before;
	bool started, stopped; /* has been told */
};

struct log_changes {
	size_t count, room;
	struct log_change *at;
};

void extras_find(const struct model *model, const struct view *view, struct extras *ret);
/* What @to has not of @from, and the other way round. */
void extras_difference(const struct extras *from, const struct extras *to,
		       struct extras *ret_gone, struct extras *ret_come);
void extras_free(struct extras *extras);

/* Additions of what is logged, and what is there before and after, logged by others. */
void logs_find(const struct view *from, const struct view *to, struct log_changes *ret);

/* The coalesced bytes of a region as disjoint ranges, in order: how many, of MODEL_SPANS. */
size_t spans_of(const struct model *model, int region, struct model_span *ret);

/* Which eventfd a store of the region signals: a slot, or MODEL_NONE. */
int eventfd_of_store(const struct model *model, int region, uint64_t offset, unsigned size,
		     uint64_t value);
/* Accesses to the region ask for coalesced stores. */
bool region_asks(const struct model *model, int region);

#endif
