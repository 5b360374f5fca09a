/* SPDX-License-Identifier: MIT */
/*
 * The goldfish real-time clock: nanoseconds since 1970 in two halves, and one alarm.
 *
 * R1. All state belongs to the domain.
 * R2. The time is the host's real time plus `offset`; nothing but the guest sets it, a reset does
 *     not.
 * R3. Reading the low half latches the high half, so that the two are of one moment. Writing the
 *     high half takes effect, and is kept for the write of the low half that follows, so that what
 *     passes in between does not carry into it.
 */
#include "hw/rtc.h"

#include <time.h>

#include <freehold/machine.h>

#define RTC_SIZE 0x1000

enum {
	REG_TIME_LOW = 0x00,
	REG_TIME_HIGH = 0x04,
	REG_ALARM_LOW = 0x08, /* a write arms the alarm */
	REG_ALARM_HIGH = 0x0c,
	REG_IRQ_ENABLED = 0x10,
	REG_CLEAR_ALARM = 0x14,
	REG_ALARM_STATUS = 0x18,
	REG_CLEAR_INTERRUPT = 0x1c,
};

struct rtc {
	struct fh_machine *machine;
	struct fh_irq *irq;
	struct fh_timer *timer;
	int64_t offset; /* property */
	uint64_t alarm;
	uint32_t alarm_high; /* for the next alarm: the write of the low half takes it */
	uint32_t latched_high; /* of the time, at the last read of its low half */
	uint32_t set_high;
	bool high_is_set; /* and the low half is yet to come */
	bool armed, pending, enabled;
};

/* --- Time ----------------------------------------------------------------------------------- */

static uint64_t host_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t rtc_time(const struct rtc *rtc)
{
	return host_time() + rtc->offset;
}

/*
 * Timers run on a clock that nobody sets. The host's real time may be set, and then the alarm is
 * nearer than it was: it is looked at every now and then.
 */
static void alarm_update(struct rtc *rtc)
{
	const uint64_t longest = UINT64_C(10000000000);
	const uint64_t now = rtc_time(rtc);

	if (rtc->armed && now >= rtc->alarm) {
		rtc->armed = false;
		rtc->pending = true;
	}
	if (rtc->armed) {
		const uint64_t wait = rtc->alarm - now;

		fh_timer_arm(rtc->timer,
			     fh_machine_now(rtc->machine) + (wait < longest ? wait : longest));
	} else {
		fh_timer_cancel(rtc->timer);
	}
	fh_irq_set(rtc->irq, rtc->pending && rtc->enabled);
}

static void timer_expired(void *state)
{
	alarm_update(state);
}

static void time_set(struct rtc *rtc, uint32_t high, uint32_t low)
{
	rtc->offset = (int64_t)(((uint64_t)high << 32 | low) - host_time());
}

/* --- Registers ------------------------------------------------------------------------------ */

static enum fh_tx rtc_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			   struct fh_attrs attrs)
{
	struct rtc *rtc = state;
	const uint64_t now = rtc_time(rtc);

	(void)size;
	*ret_value = 0;
	switch (offset) {
	case REG_TIME_LOW:
		*ret_value = (uint32_t)now;
		if (!attrs.debug)
			rtc->latched_high = now >> 32;
		break;
	case REG_TIME_HIGH:
		*ret_value = rtc->latched_high;
		break;
	case REG_ALARM_LOW:
		*ret_value = (uint32_t)rtc->alarm;
		break;
	case REG_ALARM_HIGH:
		*ret_value = rtc->alarm_high;
		break;
	case REG_IRQ_ENABLED:
		*ret_value = rtc->enabled;
		break;
	case REG_ALARM_STATUS:
		*ret_value = rtc->armed;
		break;
	default:
		break;
	}
	return FH_TX_OK;
}

static enum fh_tx rtc_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs)
{
	struct rtc *rtc = state;
	const uint64_t now = rtc_time(rtc);

	(void)size, (void)attrs;
	switch (offset) {
	case REG_TIME_LOW:
		time_set(rtc, rtc->high_is_set ? rtc->set_high : now >> 32, value);
		rtc->high_is_set = false;
		break;
	case REG_TIME_HIGH:
		time_set(rtc, value, now);
		rtc->set_high = value;
		rtc->high_is_set = true;
		break;
	case REG_ALARM_LOW:
		rtc->alarm = (uint64_t)rtc->alarm_high << 32 | value;
		rtc->armed = true;
		break;
	case REG_ALARM_HIGH:
		rtc->alarm_high = value;
		break;
	case REG_IRQ_ENABLED:
		rtc->enabled = value & 1;
		break;
	case REG_CLEAR_ALARM:
		rtc->armed = false;
		break;
	case REG_CLEAR_INTERRUPT:
		rtc->pending = false;
		break;
	default:
		break;
	}
	alarm_update(rtc);
	return FH_TX_OK;
}

static const struct fh_region_ops rtc_regs = {
	.read = rtc_read,
	.write = rtc_write,
	.valid = { .min = 4, .max = 4 },
	.impl = { .min = 4, .max = 4 },
};

/* --- Life ----------------------------------------------------------------------------------- */

static enum fh_code rtc_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct rtc *rtc = state;

	(void)err;
	rtc->machine = fh_object_get_machine(object);
	return FH_OK;
}

static enum fh_code rtc_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct rtc *rtc = state;

	rtc->irq = fh_irq_new(device, "irq");
	rtc->timer = fh_timer_new(device, "timer", timer_expired, rtc);
	return fh_device_export(
		device, fh_region_new_mmio(device, "regs", RTC_SIZE, &rtc_regs, rtc), err);
}

static void rtc_reset_enter(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct rtc *rtc = state;

	(void)device, (void)type;
	rtc->alarm = rtc->alarm_high = 0;
	rtc->armed = rtc->pending = rtc->enabled = rtc->high_is_set = false;
	rtc->latched_high = 0;
}

static void rtc_reset_hold(struct fh_device *device, void *state, enum fh_reset_type type)
{
	(void)device, (void)type;
	alarm_update(state);
}

static const struct fh_property rtc_properties[] = {
	{ .name = "offset", .kind = FH_PROPERTY_I64, .offset = offsetof(struct rtc, offset),
	  .description = "ns by which the clock is ahead of the host's" },
	{ 0 },
};

const struct fh_type rtc_type = {
	.name = "goldfish-rtc",
	.parent = &fh_device_type,
	.state_size = sizeof(struct rtc),
	.init = rtc_init,
	.properties = rtc_properties,
	.device = &(const struct fh_device_ops){
		.realize = rtc_realize,
		.reset_enter = rtc_reset_enter,
		.reset_hold = rtc_reset_hold,
	},
};
