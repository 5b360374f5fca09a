/* SPDX-License-Identifier: MIT */
/*
 * Signals: see signals.h.
 *
 * R1. Handlers only wake the loop (libuv's do); everything else is done on its thread.
 * R2. A stop is the default action of SIGTSTP, not SIGSTOP: who has no shell that would let it go
 *     on is not stopped.
 */
#include "machine/signals.h"

#include <signal.h>
#include <stdlib.h>

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGUSR1 };

enum { COUNT = sizeof(caught) / sizeof(caught[0]) };

struct signals {
	const struct signals_ops *ops;
	void *arg;
	struct loop *loop;
	uv_signal_t handles[COUNT];
	unsigned open;
};

static void on_signal(uv_signal_t *handle, int number);

/* R2 */
static void suspend(struct signals *s, uv_signal_t *handle)
{
	s->ops->suspend(s->arg);
	uv_signal_stop(handle);
	raise(SIGTSTP);
	uv_signal_start(handle, on_signal, SIGTSTP);
	/* If it was not stopped there is no SIGCONT. */
	s->ops->resume(s->arg);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct signals *s = handle->data;

	switch (number) {
	case SIGTSTP:
		suspend(s, handle);
		break;
	case SIGCONT:
		s->ops->resume(s->arg);
		break;
	case SIGUSR1:
		s->ops->user(s->arg);
		break;
	default:
		s->ops->end(s->arg, number);
		break;
	}
}

static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

struct signals *signals_new(struct loop *loop, const struct signals_ops *ops, void *arg)
{
	struct signals *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ops = ops;
	s->arg = arg;
	s->loop = loop;
	for (unsigned i = 0; i < COUNT; i++) {
		uv_signal_t *handle = &s->handles[s->open];

		if (is_ignored(caught[i]))
			continue;
		if (uv_signal_init(loop_uv(loop), handle) != 0)
			break;
		handle->data = s;
		s->open++;
		uv_signal_start(handle, on_signal, caught[i]);
	}
	return s;
}

struct signals *signals_free(struct signals *s)
{
	if (!s)
		return NULL;
	for (unsigned i = 0; i < s->open; i++)
		uv_close((uv_handle_t *)&s->handles[i], NULL);
	/* The handles have to be there until the loop has seen that. */
	uv_run(loop_uv(s->loop), UV_RUN_NOWAIT);
	free(s);
	return NULL;
}
