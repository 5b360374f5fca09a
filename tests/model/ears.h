/* SPDX-License-Identifier: MIT */
/*
 * The listeners of the model test: each knows before every commit what it is going to be told, to
 * the call, and takes note of the first thing that is said otherwise.
 */
#ifndef MODEL_EARS_H
#define MODEL_EARS_H

#include "model/oracle.h"

struct ears;

struct ears *ears_new(void);
void ears_free(struct ears *ears);

/* Make the listener of a slot; it has to be told at once what @shown has. */
struct fh_listener *ears_listen(struct ears *ears, int slot, struct fh_object *owner,
				const struct model_listener *listener, struct fh_space *space,
				const struct view *shown);

/*
 * The next commit goes from @shown to @next; listeners that the model does not have any more, or
 * whose space it does not, are told the end.
 */
void ears_expect(struct ears *ears, const struct model *model, struct view *const shown[],
		 struct view *const next[]);

/* The listener in that slot is still to be told of its end. */
bool ears_is_attached(const struct ears *ears, int slot);
/* The same of any listener of a space in that slot. */
bool ears_wait_for_space(const struct ears *ears, int space);

/* What was said that should not have been, or not said that should; NULL: all is well. */
const char *ears_failure(struct ears *ears);
uint64_t ears_told(const struct ears *ears);

#endif
