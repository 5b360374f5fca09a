/* SPDX-License-Identifier: MIT */
/*
 * The event loop of the program: libuv's, on the thread that runs the machine.
 */
#ifndef MACHINE_LOOP_H
#define MACHINE_LOOP_H

#include <uv.h>

#include <freehold/freehold.h>

struct loop;

/* For fh_machine_options, with the loop as their argument. */
extern const struct fh_loop_ops loop_ops;

/* Owned by caller. Errors (NULL): FH_EIO, the host refused. */
struct loop *loop_new(struct fh_error *err);
/* Consumed. The machine is gone, or polled by somebody else. NULL is allowed. Returns NULL. */
struct loop *loop_free(struct loop *loop);

/* For handles of others, which they close before loop_free(). */
uv_loop_t *loop_uv(struct loop *loop);

/*
 * Poll @machine (borrowed until this returns) when it asks for it, and call @wake(arg) on this
 * thread after each loop_wake(), until loop_stop() is called.
 */
void loop_run(struct loop *loop, struct fh_machine *machine, void (*wake)(void *arg), void *arg);

/* Any thread, any context. */
void loop_wake(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
