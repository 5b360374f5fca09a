/* SPDX-License-Identifier: MIT */
/*
 * The edits that the model test is made of: what one is, what it does to the model, how it is
 * chosen and how it is printed. None of this knows the library.
 */
#ifndef MODEL_EDIT_H
#define MODEL_EDIT_H

#include <stdio.h>

#include "model/oracle.h"

enum op_kind {
	OP_BEGIN,
	OP_COMMIT,
	OP_POLL,
	OP_OWNER_NEW,
	OP_OWNER_REALIZE,
	OP_OWNER_DISPOSE,
	OP_REGION_NEW,
	OP_REGION_DESTROY,
	OP_ADD,
	OP_REMOVE,
	OP_MOVE,
	OP_PRIORITY,
	OP_ENABLED,
	OP_RESIZE,
	OP_ALIAS_OFFSET,
	OP_ALIAS_TARGET,
	OP_READONLY,
	OP_NONVOLATILE,
	OP_UNMERGEABLE,
	OP_ROM_MODE,
	OP_SPACE_NEW,
	OP_SPACE_ROOT,
	OP_SPACE_DESTROY,
	OP_LISTENER_NEW,
	OP_LISTENER_DESTROY,
	OP_EVENTFD_NEW,
	OP_EVENTFD_DESTROY,
	OP_COALESCE,
	OP_COALESCE_CLEAR,
	OP_FLUSH,
	OP_LOG_START,
	OP_LOG_STOP,
	OP_LOG_ALL,
	OP_LOG_ALL_STOP,
	/* These change nothing that is shown, and are done outside of transactions. */
	OP_STORE,
	OP_TAKE,
	OP_KINDS,
};

/* Slots are indexes into the model; MODEL_NONE where there is none. */
struct op {
	uint8_t kind;
	uint8_t region_kind; /* REGION_NEW; LISTENER_NEW: callbacks */
	bool flag;	     /* the new state; RAM: the caller's memory; an end: by unref alone;
				registers: big-endian; eventfd: data count; take: test alone */
	int16_t slot;	     /* what the edit is about */
	int16_t other;	     /* container, target, root, space, parent */
	int16_t owner;
	int32_t priority; /* or a client that logs; data of an eventfd; REGION_NEW: its memory can
			     be accessed */
	uint64_t addr; /* or the offset of an alias; STORE: what the choice of one begins with */
	uint64_t size;
};

/* What listeners have as callbacks besides begin and commit. */
enum {
	CALLBACK_REMOVE = 1,
	CALLBACK_ADD = 2,
	CALLBACK_BATCH = 4,
	CALLBACK_EVENTFD = 8,
	CALLBACK_COALESCED = 16,
	CALLBACK_LOG = 32,
	CALLBACK_FLUSH = 64,
};

/* How the edits of one world are chosen. */
struct style {
	uint64_t unit;	   /* addresses are mostly multiples of it */
	unsigned grid;	   /* of which there are so many */
	int regions;	   /* at most, and more or less */
	int owners;
	int spaces;
	int listeners;
	unsigned batches;  /* percent of the edits begin a transaction */
	unsigned flat;	   /* percent of the regions are put right into the first */
	bool striped;	   /* mostly aliases, which show the same few regions side by side */
	unsigned extras;   /* percent of the edits are from OP_EVENTFD_NEW on */
	bool accesses;	   /* all memory is real, and little, and every region can be accessed */
};

struct style style_random(struct rng *rng);
/* With eventfds, coalesced ranges, logs and stores. */
struct style style_with_extras(struct rng *rng);

/*
 * What the edit does to the model. False, nothing changed: it is none that could be done now.
 * *ret_code is what the library has to return.
 */
bool model_apply(struct model *model, const struct op *op, enum fh_code *ret_code);
/* The same of OP_EVENTFD_NEW and later ones. */
bool model_apply_extra(struct model *model, const struct op *op, enum fh_code *ret_code);
bool model_region_used(const struct model *model, int slot);
bool model_owner_used(const struct model *model, int slot);
/*
 * The second half of the disposal of those owners that were hidden first, together. False: there
 * are none.
 */
bool model_settle(struct model *model);
/* The owner, with all below it, which is hidden, ends before those that wait already. */
void model_hurry(struct model *model, int owner);
void model_init(struct model *model);

/* The next edit, for a model that is @depth transactions deep. */
struct op edit_choose(const struct model *model, const struct style *style, unsigned depth,
		      struct rng *rng);

void op_print(const struct op *op, FILE *out);
void op_print_extra(const struct op *op, FILE *out);

#endif
