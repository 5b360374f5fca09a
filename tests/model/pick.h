/* SPDX-License-Identifier: MIT */
/*
 * What the choice of an edit picks from: things that are there, and numbers that make them meet.
 */
#ifndef MODEL_PICK_H
#define MODEL_PICK_H

#include "model/edit.h"

/* What one choice looks at. */
struct chooser {
	const struct model *model;
	const struct style *style;
	struct rng *rng;
	struct model_kids kids;
	bool seen[MODEL_REGIONS]; /* it has a place in some space */
};

bool is_container(const struct model_region *region);
bool is_alias(const struct model_region *region);
bool is_true_alias(const struct model_region *region);
bool is_blind_alias(const struct model_region *region);
bool is_memory(const struct model_region *region);
bool is_rom_device(const struct model_region *region);
bool is_loose(const struct model_region *region);
bool is_placed(const struct model_region *region);

/*
 * The slot of a region of the wanted kind (NULL: any), or MODEL_NONE. Seen: mostly one that has a
 * place in a space. Mostly: the same, and of another kind now and then.
 */
int pick_region(const struct chooser *c, bool (*wanted)(const struct model_region *region));
int pick_seen(const struct chooser *c, bool (*wanted)(const struct model_region *region));
int pick_mostly(const struct chooser *c, bool (*wanted)(const struct model_region *region));

/* MODEL_NONE in many cases. */
int pick_owner(const struct chooser *c);

/* There is always a space: the machine's own. Empty: one that shows nothing, if there is such. */
int pick_space(const struct chooser *c);
int pick_empty_space(const struct chooser *c);
bool is_empty_space(const struct model_space *space);

/* Another alias of the same target, in @container (MODEL_NONE: in any); NULL: there is none. */
const struct model_region *find_twin(const struct chooser *c, int slot, int container);

uint64_t any_addr(const struct chooser *c);
/* Most likely within the region. */
uint64_t any_addr_in(const struct chooser *c, int container);
/* For the region @slot in @container: beside something, or anywhere. */
uint64_t any_place(const struct chooser *c, int slot, int container);
/* Of something large, to put others into, or of a part of it. */
uint64_t any_size(const struct chooser *c, bool large);
int32_t any_priority(const struct chooser *c);

/* choose-extras.c: an edit from OP_EVENTFD_NEW on. */
enum op_kind choose_extra_kind(const struct chooser *c, unsigned depth);
void fill_extra(const struct chooser *c, struct op *op);

#endif
