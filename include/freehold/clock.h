/* SPDX-License-Identifier: MIT */
/*
 * Clocks: how fast what a device counts is counted.
 *
 * A clock belongs to a device. It is set, or it follows another one at a ratio: a clock input
 * follows another device's output, an output that is derived follows its own device's input. A
 * change goes through to all that follow, however far. A connection keeps nobody alive: a clock
 * whose source goes stops.
 *
 * A period is in units of 2^-32 ns, from 2^-32 ns to nearly 4.3 s; 0: the clock stands still.
 */
#ifndef FREEHOLD_CLOCK_H
#define FREEHOLD_CLOCK_H

#include <freehold/device.h>

FH_BEGIN_DECLS

/** One nanosecond, as a period. */
#define FH_PERIOD_NS (UINT64_C(1) << 32)

/** The period of a frequency, to the nearest unit; of 0 Hz, 0. */
FH_API uint64_t fh_period_from_hz(uint64_t hz);
/** The frequency of a period, to the nearest Hz; of 0, 0. */
FH_API uint64_t fh_period_to_hz(uint64_t period);
/**
 * How long so many ticks take: the least whole ns at which fh_period_ticks() is as many. Exact;
 * UINT64_MAX if it is more, or if it is never.
 */
FH_API uint64_t fh_period_ns(uint64_t period, uint64_t ticks);
/** How many ticks are over after so many ns. Exact; UINT64_MAX if it is more; of a period 0, 0. */
FH_API uint64_t fh_period_ticks(uint64_t period, uint64_t ns);

/**
 * A clock that stands still (borrowed: child @name of @device). @changed(state) (may be NULL) is
 * told after its period has changed, once or more often, the last time with the last period to be
 * seen, never on two threads at once; what changed before its device is shown, it is told then.
 * Context: a leaf, as of interrupt inputs: inside a read section, with whatever the thread that
 * changed it holds; it takes no domain, does not access, edit, dispose or block; it may set clocks,
 * drive lines, arm timers, schedule bottom halves. NULL if the device has been detached. A name
 * that is taken is a programmer's error (asserted).
 */
FH_API struct fh_clock *fh_clock_new(struct fh_device *device, const char *name,
				     void (*changed)(void *state), void *state);
/** A child clock by name, or NULL (borrowed). */
FH_API struct fh_clock *fh_device_clock(struct fh_device *device, const char *name);

/**
 * Set it. Those that follow have their new periods when this returns; they are told in this call,
 * or by a thread that is telling just now. Any context but a transaction (asserted); so with all
 * that change a clock. Errors: FH_EBUSY it follows another; FH_EDEAD it is NULL or detached.
 */
FH_API enum fh_code fh_clock_set_period(struct fh_clock *clock, uint64_t period);
static inline enum fh_code fh_clock_set_hz(struct fh_clock *clock, uint64_t hz)
{
	return fh_clock_set_period(clock, fh_period_from_hz(hz));
}

/**
 * From now on its frequency is that of @source times @multiplier by @divider; to the nearest unit
 * of its period, which is never 0 if the source's is not. One that follows @source already has a
 * new ratio. Errors: FH_EBUSY it follows another; FH_ELOOP @source follows it; FH_EINVAL one of the
 * numbers is 0, or two machines; FH_EDEAD one of them is NULL or detached.
 */
FH_API enum fh_code fh_clock_follow(struct fh_clock *clock, struct fh_clock *source,
				    uint32_t multiplier, uint32_t divider);
/** Follow no more, and stop. NULL, or one that does not follow: nothing happens. */
FH_API void fh_clock_unfollow(struct fh_clock *clock);

/** The period at this moment; of NULL, 0. Any context. */
FH_API uint64_t fh_clock_period(struct fh_clock *clock);
/** The same as a frequency. */
static inline uint64_t fh_clock_hz(struct fh_clock *clock)
{
	return fh_period_to_hz(fh_clock_period(clock));
}

FH_END_DECLS

#endif
