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
	OP_KINDS,
};

/* Slots are indexes into the model; MODEL_NONE where there is none. */
struct op {
	uint8_t kind;
	uint8_t region_kind; /* REGION_NEW; LISTENER_NEW: callbacks */
	bool flag;	     /* the new state; RAM: the caller's memory; an end: by unref alone */
	int16_t slot;	     /* what the edit is about */
	int16_t other;	     /* container, target, root, space, parent */
	int16_t owner;
	int32_t priority;
	uint64_t addr; /* or the offset of an alias */
	uint64_t size;
};

/* What listeners have as callbacks besides begin and commit. */
enum { CALLBACK_REMOVE = 1, CALLBACK_ADD = 2, CALLBACK_BATCH = 4 };

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
};

struct style style_random(struct rng *rng);

/*
 * What the edit does to the model. False, nothing changed: it is none that could be done now.
 * *ret_code is what the library has to return.
 */
bool model_apply(struct model *model, const struct op *op, enum fh_code *ret_code);
/* The second half of the disposal of owners that are hidden. */
void model_settle(struct model *model);
bool model_has_hidden(const struct model *model);
void model_init(struct model *model);

/* The next edit, for a model that is @depth transactions deep. */
struct op edit_choose(const struct model *model, const struct style *style, unsigned depth,
		      struct rng *rng);

void op_print(const struct op *op, FILE *out);

#endif
