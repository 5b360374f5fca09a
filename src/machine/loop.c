/* SPDX-License-Identifier: MIT */
/*
 * The event loop: see loop.h.
 *
 * R1. What other threads ask for is a bit of `asked`, set before uv_async_send() and taken by the
 *     loop's thread after the wake-up: nothing that was asked for is missed, and what was asked for
 *     twice is done once.
 * R2. Deadlines are a timerfd's, not a uv_timer's: those count whole milliseconds, which guests
 *     notice, and a timerfd is armed by any thread without waking this one.
 */
#include "machine/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { ASKED_POLL = 1, ASKED_WAKE = 2, ASKED_STOP = 4 };

struct loop {
	uv_loop_t uv;
	uv_async_t async;
	uv_poll_t expired;
	int timer;		/* R2 */
	_Atomic unsigned asked; /* R1 */
	struct fh_machine *machine;
	void (*wake)(void *arg);
	void *wake_arg;
};

static void ask(struct loop *loop, unsigned what)
{
	/*
	 * What was written before is seen by serve(), which acquires. seq_cst: uv_async_send() only
	 * looks whether a wake-up is on its way, and must not look before this is there to be
	 * taken.
	 */
	atomic_fetch_or_explicit(&loop->asked, what, memory_order_seq_cst);
	uv_async_send(&loop->async);
}

static void serve(uv_async_t *async)
{
	struct loop *loop = async->data;
	const unsigned asked = atomic_exchange_explicit(&loop->asked, 0, memory_order_acquire);

	if ((asked & ASKED_POLL) && loop->machine)
		fh_machine_poll(loop->machine);
	if ((asked & ASKED_WAKE) && loop->wake)
		loop->wake(loop->wake_arg);
	if (asked & ASKED_STOP)
		uv_stop(&loop->uv);
}

static void expire(uv_poll_t *poll, int status, int events)
{
	struct loop *loop = poll->data;
	uint64_t times;

	(void)status;
	(void)events;
	/* Another deadline may have been set meanwhile: then there is nothing to read. */
	if (read(loop->timer, &times, sizeof(times)) == (ssize_t)sizeof(times) && loop->machine)
		fh_machine_poll(loop->machine);
}

static void loop_post(void *arg)
{
	ask(arg, ASKED_POLL);
}

static void loop_timer(void *arg, uint64_t deadline)
{
	struct loop *loop = arg;
	struct itimerspec when = { 0 }; /* no deadline */

	if (deadline != UINT64_MAX) {
		/* All zero would disarm it. */
		deadline = deadline > 0 ? deadline : 1;
		when.it_value.tv_sec = (time_t)(deadline / 1000000000);
		when.it_value.tv_nsec = (long)(deadline % 1000000000);
	}
	timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

const struct fh_loop_ops loop_ops = { .post = loop_post, .timer = loop_timer };

static void close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	uv_walk(&loop->uv, close_handle, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_loop_close(&loop->uv);
	if (loop->timer >= 0)
		close(loop->timer);
	free(loop);
	return NULL;
}

struct loop *loop_new(struct fh_error *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int error = loop ? 0 : UV_ENOMEM;

	if (error == 0)
		error = uv_loop_init(&loop->uv);
	if (error != 0) {
		fh_error_set(err, FH_EIO, "no event loop: %s", uv_strerror(error));
		free(loop);
		return NULL;
	}
	loop->async.data = loop;
	loop->expired.data = loop;
	loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	error = loop->timer < 0 ? -errno : uv_async_init(&loop->uv, &loop->async, serve);
	if (error == 0)
		error = uv_poll_init(&loop->uv, &loop->expired, loop->timer);
	if (error == 0)
		error = uv_poll_start(&loop->expired, UV_READABLE, expire);
	if (error != 0) {
		fh_error_set(err, FH_EIO, "no event loop: %s", uv_strerror(error));
		return loop_free(loop);
	}
	return loop;
}

uv_loop_t *loop_uv(struct loop *loop)
{
	return &loop->uv;
}

void loop_run(struct loop *loop, struct fh_machine *machine, void (*wake)(void *arg), void *arg)
{
	loop->machine = machine;
	loop->wake = wake;
	loop->wake_arg = arg;
	/* What was asked for before is served now. */
	ask(loop, ASKED_POLL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	loop->machine = NULL;
	loop->wake = NULL;
}

void loop_wake(struct loop *loop)
{
	ask(loop, ASKED_WAKE);
}

void loop_stop(struct loop *loop)
{
	ask(loop, ASKED_STOP);
}
