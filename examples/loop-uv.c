/* SPDX-License-Identifier: MIT */
/*
 * libuv's event loop under a machine. Deadlines are a timerfd's: libuv's own timers count whole
 * milliseconds, and only the loop's thread may set them.
 */
#include <freehold/freehold.h>

#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

struct loop {
	uv_loop_t uv;
	uv_async_t asked;
	uv_poll_t expired;
	int timer;
	struct fh_machine *machine;
};

static void loop_post(void *arg)
{
	struct loop *loop = arg;

	uv_async_send(&loop->asked);
}

static void loop_timer(void *arg, uint64_t deadline)
{
	struct loop *loop = arg;
	struct itimerspec when = { 0 };

	if (deadline != UINT64_MAX) {
		when.it_value.tv_sec = (time_t)(deadline / 1000000000);
		when.it_value.tv_nsec = deadline ? (long)(deadline % 1000000000) : 1;
	}
	timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static const struct fh_loop_ops loop_ops = { .post = loop_post, .timer = loop_timer };

static void on_asked(uv_async_t *async)
{
	struct loop *loop = async->data;

	fh_machine_poll(loop->machine);
}

static void on_expired(uv_poll_t *poll, int status, int events)
{
	struct loop *loop = poll->data;
	uint64_t times;

	(void)status, (void)events;
	/* If another deadline was set meanwhile there is nothing to read. */
	if (read(loop->timer, &times, sizeof(times)) == (ssize_t)sizeof(times))
		fh_machine_poll(loop->machine);
}

static bool loop_open(struct loop *loop)
{
	const struct fh_machine_options options = { .loop_ops = &loop_ops, .loop = loop };

	loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer < 0 || uv_loop_init(&loop->uv) != 0)
		return false;
	if (uv_async_init(&loop->uv, &loop->asked, on_asked) != 0 ||
	    uv_poll_init(&loop->uv, &loop->expired, loop->timer) != 0 ||
	    uv_poll_start(&loop->expired, UV_READABLE, on_expired) != 0)
		return false;
	loop->asked.data = loop;
	loop->expired.data = loop;
	loop->machine = fh_machine_new(&options, NULL); /* last: it may ask for a poll at once */
	return loop->machine;
}

/* The machine first, which asks to be polled until it is gone. */
static int loop_close(struct loop *loop)
{
	if (fh_machine_destroy(loop->machine) != 0)
		return 1;
	uv_close((uv_handle_t *)&loop->asked, NULL);
	uv_close((uv_handle_t *)&loop->expired, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	close(loop->timer);
	return uv_loop_close(&loop->uv) != 0;
}

/* --- A device that ticks -------------------------------------------------------------------- */

struct ticker {
	struct fh_device *self;
	struct fh_timer *timer;
	struct fh_bh *bh;
	struct loop *loop;
	unsigned ticks;
};

static void ticker_expired(void *state)
{
	fh_bh_schedule(((struct ticker *)state)->bh);
}

static void ticker_run(void *state)
{
	struct ticker *ticker = state;

	if (++ticker->ticks == 10)
		uv_stop(&ticker->loop->uv);
	else
		fh_timer_arm(ticker->timer,
			     fh_machine_now(fh_object_get_machine(ticker->self)) + 1000000);
}

static enum fh_code ticker_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct ticker *ticker = state;

	(void)err;
	ticker->self = device;
	ticker->timer = fh_timer_new(device, "timer", ticker_expired, ticker);
	ticker->bh = fh_bh_new(device, "bh", ticker_run, ticker);
	fh_timer_arm(ticker->timer, 0);
	return FH_OK;
}

static const struct fh_type ticker_type = {
	.name = "ticker", .parent = &fh_device_type, .state_size = sizeof(struct ticker),
	.device = &(const struct fh_device_ops){ .realize = ticker_realize }
};

int main(void)
{
	struct loop loop = { 0 };

	if (!loop_open(&loop))
		return 1;

	struct fh_device *device = fh_device_new(loop.machine, &ticker_type, "ticker", NULL, NULL);
	struct ticker *ticker = fh_device_state(device);

	ticker->loop = &loop;
	if (fh_device_realize(device, NULL) != FH_OK)
		return 1;
	uv_run(&loop.uv, UV_RUN_DEFAULT);
	printf("%u ticks\n", ticker->ticks);
	fh_device_unplug(device);
	fh_machine_drain(loop.machine);
	return fh_ledger_print(loop.machine, stdout) != 0 || loop_close(&loop) != 0;
}
