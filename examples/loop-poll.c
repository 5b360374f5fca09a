/* SPDX-License-Identifier: MIT */
/*
 * An event loop of one's own: poll(2) on two descriptors, one that says "poll the machine soon" and
 * one that says "its deadline is here". A device's timer ticks in it, and a guest, which is another
 * thread, unplugs the device by a register.
 */
#include <freehold/freehold.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* --- The loop ------------------------------------------------------------------------------- */

struct loop {
	int asked; /* an eventfd */
	int timer; /* a timerfd of CLOCK_MONOTONIC */
};

/* Any thread, under locks of the library: pass the message on, and nothing else. */
static void loop_post(void *arg)
{
	struct loop *loop = arg;

	eventfd_write(loop->asked, 1);
}

static void loop_timer(void *arg, uint64_t deadline)
{
	struct loop *loop = arg;
	struct itimerspec when = { 0 }; /* disarmed */

	if (deadline != UINT64_MAX) {
		when.it_value.tv_sec = (time_t)(deadline / 1000000000);
		when.it_value.tv_nsec = deadline ? (long)(deadline % 1000000000) : 1;
	}
	timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static const struct fh_loop_ops loop_ops = { .post = loop_post, .timer = loop_timer };

/* Wait for either, and do what is due. */
static void loop_turn(struct loop *loop, struct fh_machine *m)
{
	struct pollfd fds[] = { { .fd = loop->asked, .events = POLLIN },
				{ .fd = loop->timer, .events = POLLIN } };
	uint64_t count;

	if (poll(fds, 2, -1) <= 0)
		return; /* a signal */
	/* Emptied first: what is asked for from here on makes another turn. */
	for (unsigned i = 0; i < 2; i++)
		if ((fds[i].revents & POLLIN) && read(fds[i].fd, &count, sizeof(count)) < 0)
			continue; /* another deadline was set meanwhile */
	fh_machine_poll(m);
}

/* --- A device that ticks -------------------------------------------------------------------- */

struct ticker {
	struct fh_device *self;
	struct fh_timer *timer;
	unsigned ticks;
};

static void ticker_expired(void *state)
{
	struct ticker *ticker = state;

	ticker->ticks++;
	fh_timer_arm(ticker->timer,
		     fh_machine_now(fh_object_get_machine(ticker->self)) + 1000000);
}

static enum fh_tx ticker_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			       struct fh_attrs attrs)
{
	struct ticker *ticker = state;

	(void)offset, (void)value, (void)size, (void)attrs;
	printf("%u ticks, and away\n", ticker->ticks);
	fh_device_unplug(ticker->self); /* hidden now; the loop does the rest */
	return FH_TX_OK;
}

static enum fh_tx ticker_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)offset, (void)size, (void)attrs;
	*ret_value = ((struct ticker *)state)->ticks;
	return FH_TX_OK;
}

static const struct fh_region_ops ticker_regs = { .read = ticker_read, .write = ticker_write };

static enum fh_code ticker_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct ticker *ticker = state;

	ticker->self = device;
	ticker->timer = fh_timer_new(device, "timer", ticker_expired, ticker);
	fh_timer_arm(ticker->timer, 0);
	return fh_device_export(
		device, fh_region_new_mmio(device, "regs", 0x1000, &ticker_regs, ticker), err);
}

static const struct fh_type ticker_type = {
	.name = "ticker", .parent = &fh_device_type, .state_size = sizeof(struct ticker),
	.device = &(const struct fh_device_ops){ .realize = ticker_realize }
};

/* The guest: reads until it has seen ten ticks, then writes. */
static void *run_guest(void *arg)
{
	struct fh_space *memory = arg;
	uint32_t ticks = 0;

	while (fh_space_load32(memory, 0, FH_LE, &ticks) == FH_TX_OK && ticks < 10)
		usleep(500);
	fh_space_store32(memory, 0, 1, FH_LE);
	return NULL;
}

static void set_true(struct fh_object *target, void *state)
{
	(void)target;
	*(bool *)state = true;
}

int main(void)
{
	struct loop loop = { .asked = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			     .timer = timerfd_create(CLOCK_MONOTONIC,
						     TFD_CLOEXEC | TFD_NONBLOCK) };
	const struct fh_machine_options options = { .loop_ops = &loop_ops, .loop = &loop };
	bool gone = false;
	pthread_t guest;

	if (loop.asked < 0 || loop.timer < 0)
		return 1;

	struct fh_machine *m = fh_machine_new(&options, NULL);
	struct fh_device *ticker =
		m ? fh_device_plug(m, &ticker_type, "ticker", NULL, NULL) : NULL;

	if (!ticker)
		return 1;
	fh_region_add(fh_space_root(fh_machine_memory(m)), fh_device_region(ticker, "regs"), 0, 0);
	fh_object_watch(ticker, m, set_true, &gone);
	if (pthread_create(&guest, NULL, run_guest, fh_machine_memory(m)) != 0)
		return 1;
	while (!gone)
		loop_turn(&loop, m);
	pthread_join(guest, NULL);
	fh_machine_drain(m);

	const int alive = fh_ledger_print(m, stdout);

	if (fh_machine_destroy(m) != 0)
		return 1;
	close(loop.timer);
	close(loop.asked);
	return alive;
}
