/* SPDX-License-Identifier: MIT */
/*
 * The listeners of the model test: each knows before every commit what it is going to be told, to
 * the call, and takes note of the first thing that is said otherwise.
 */
#ifndef MODEL_EARS_H
#define MODEL_EARS_H

#include "model/oracle-extras.h"

struct ears;

/* What a space shows. */
struct picture {
	struct view view;
	struct extras extras;
};

/* @rung (borrowed): by slot of an eventfd, how often listeners have signalled it. */
struct ears *ears_new(uint64_t *rung);
void ears_free(struct ears *ears);

/* Make the listener of a slot; it has to be told at once what @shown has. */
struct fh_listener *ears_listen(struct ears *ears, int slot, struct fh_object *owner,
				const struct model_listener *listener, struct fh_space *space,
				const struct picture *shown);

/*
 * The next commit goes from @shown to @next; listeners that the model does not have any more, or
 * whose space it does not, are told the end.
 */
void ears_expect(struct ears *ears, const struct model *model, struct picture *const shown[],
		 struct picture *const next[]);

/* The listener in that slot is still to be told of its end. */
bool ears_is_attached(const struct ears *ears, int slot);
/* The same of any listener of a space in that slot. */
bool ears_wait_for_space(const struct ears *ears, int space);

/* An access has, or has not, asked all of them once for coalesced stores. */
void ears_check_asked(struct ears *ears, const struct model *model, bool asked);

/*
 * Bits of those bytes have been asked for, and perhaps taken: listeners of spaces that show them
 * were told.
 */
void ears_check_logs(struct ears *ears, struct picture *const shown[],
		     const struct fh_region *region, uint64_t first, uint64_t last, bool taken);

/* What was said that should not have been, or not said that should; NULL: all is well. */
const char *ears_failure(struct ears *ears);
uint64_t ears_told(const struct ears *ears);
uint64_t ears_extras_told(const struct ears *ears);

#endif
