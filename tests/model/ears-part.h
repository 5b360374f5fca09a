/* SPDX-License-Identifier: MIT */
/*
 * What the files of the listeners share: ears.c expects, ears-hear.c hears.
 *
 * A *round* is what one commit has to tell the listeners of one space; a *turn*, a listener's part
 * of it. One that joins or leaves has a round of its own.
 *
 * R1. Turns are made before the library is called and are taken up in order. What is said is
 *     compared as it is said.
 * R2. Within a round: removals before additions, whoever is told; each removal is told to listeners
 *     in falling order of priority and each addition in rising order.
 * R3. Eventfds, coalesced ranges and logs are told in any order, each once.
 * R4. What is told of ranges and eventfds at a commit was told before it (prepare), but to one that
 *     joins.
 */
#ifndef MODEL_EARS_PART_H
#define MODEL_EARS_PART_H

#include "model/ears.h"
#include "model/edit.h"

/* How far a commit is, in this order. */
enum ear_stage {
	STAGE_BEGIN,
	STAGE_GONE,
	STAGE_REMOVED,
	STAGE_ADDED,
	STAGE_LOGS,
	STAGE_COME,
	STAGE_BATCH,
};

struct turn {
	struct turn *next;
	uint64_t round;
	bool alone; /* it joins or leaves */
	struct extras gone, come;
	struct log_changes logs;
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
	bool prepared; /* for the next turn */
	enum ear_stage stage;
	struct fh_listener_ops ops; /* as @callbacks says */
	unsigned asked;		    /* to bring coalesced stores */
	uint64_t synced, cleared;   /* sums of the sections that log_sync, log_clear told */
};

struct ears {
	struct ear ear[MODEL_LISTENERS];
	struct view removed, added;
	struct extras gone, come;
	struct log_changes logs;
	uint64_t *rung; /* by slot of an eventfd: how often it was signalled */
	uint64_t extras_told;
	uint64_t rounds;
	uint64_t told;
	char failure[300];
};

/* The callbacks that it has. */
void ear_set_callbacks(struct ear *ear, uint8_t callbacks);
void turn_free(struct turn *turn);
/* What the sections of log_sync and log_clear are added up of. */
uint64_t ear_log_sum(const struct fh_section *section);
void ear_fail(struct ear *ear, const char *fmt, ...) FH_PRINTF(2, 3);

#endif
