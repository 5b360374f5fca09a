/* SPDX-License-Identifier: MIT */
/*
 * The terminal at standard input, raw while the machine has it.
 */
#ifndef MACHINE_TERMINAL_H
#define MACHINE_TERMINAL_H

#include <freehold/freehold.h>

#include "machine/loop.h"

struct terminal;

/*
 * Raw from here on, until terminal_free() or the end of the process, whatever ends it. Standard
 * input is a terminal. Owned by caller. Errors (NULL): FH_EIO, the host refused.
 */
struct terminal *terminal_new(struct loop *loop, struct fh_error *err);

/* As it was, for others; and raw again, if it is the process's to change. NULL is allowed. */
void terminal_suspend(struct terminal *terminal);
void terminal_resume(struct terminal *terminal);

/* As it was. Consumed, by the loop when it runs next; NULL is allowed. Returns NULL. */
struct terminal *terminal_free(struct terminal *terminal);

#endif
