/* SPDX-License-Identifier: MIT */
/*
 * The ACLINT, after the RISC-V advanced core local interruptor specification 1.0: MSWI, MTIMER and
 * SSWI of a machine's harts, all in one device, for they share their harts and their time.
 *
 * R1. All state belongs to the domain, but for `offset`, which anyone may load.
 * R2. mtime is the host's monotonic clock in ticks, plus `offset`. So it runs without anybody's
 *     doing, at the same pace for all, and needs no lock to be read.
 * R3. "mti-N" is high exactly if mtime >= mtimecmp[N]: it is looked at when either is written and
 *     when the timer that is armed for that moment expires.
 */
#include "hw/aclint.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <freehold/machine.h>

#define HARTS_MAX   4095
#define CLINT_SIZE  0x10000
#define MSWI_SIZE   0x4000
#define MTIMER_BASE 0x4000
#define MTIMER_SIZE 0x8000
#define MTIME	    0x7ff8
#define SSWI_SIZE   0x4000
#define TICK_NS	    (1000000000 / ACLINT_FREQUENCY)

struct hart {
	struct aclint *aclint;
	struct fh_irq *msi, *mti, *ssi;
	struct fh_timer *timer;
	uint64_t mtimecmp;
	bool msip;
};

struct aclint {
	struct fh_machine *machine;
	uint32_t hart_count; /* property */
	struct hart *harts;
	_Atomic uint64_t offset; /* relaxed: a value of its own, which orders nothing else */
	void (*jumped)(void *arg); /* or NULL */
	void *arg;
};

/* --- Time ----------------------------------------------------------------------------------- */

static uint64_t ticks_now(const struct aclint *aclint)
{
	return fh_machine_now(aclint->machine) / TICK_NS;
}

uint64_t aclint_time(void *device_state)
{
	const struct aclint *aclint = device_state;

	return ticks_now(aclint) + atomic_load_explicit(&aclint->offset, memory_order_relaxed);
}

/* R3. */
static void hart_update_timer(struct hart *hart)
{
	const uint64_t offset = atomic_load_explicit(&hart->aclint->offset, memory_order_relaxed);
	const uint64_t ticks = ticks_now(hart->aclint);
	const uint64_t time = ticks + offset;
	const bool reached = time >= hart->mtimecmp;
	uint64_t deadline;

	fh_irq_set(hart->mti, reached);
	/* What lies beyond the host's clock never comes. */
	if (reached ||
	    __builtin_add_overflow(ticks, hart->mtimecmp - time, &deadline) ||
	    __builtin_mul_overflow(deadline, TICK_NS, &deadline))
		fh_timer_cancel(hart->timer);
	else
		fh_timer_arm(hart->timer, deadline);
}

static void timer_expired(void *state)
{
	hart_update_timer(state);
}

static void time_set(struct aclint *aclint, uint64_t time)
{
	atomic_store_explicit(&aclint->offset, time - ticks_now(aclint), memory_order_relaxed);
	for (unsigned i = 0; i < aclint->hart_count; i++)
		hart_update_timer(&aclint->harts[i]);
	if (aclint->jumped)
		aclint->jumped(aclint->arg);
}

/* --- MTIMER --------------------------------------------------------------------------------- */

/* The register of 64 bits around @offset; of harts that are not there it is 0 for ever. */
static uint64_t mtimer_get(struct aclint *aclint, uint64_t offset)
{
	if (offset >= MTIME)
		return aclint_time(aclint);
	return offset / 8 < aclint->hart_count ? aclint->harts[offset / 8].mtimecmp : 0;
}

static enum fh_tx mtimer_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)size, (void)attrs;
	*ret_value = mtimer_get(state, offset) >> (offset % 8 * 8);
	return FH_TX_OK;
}

static enum fh_tx mtimer_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			       struct fh_attrs attrs)
{
	struct aclint *aclint = state;
	const unsigned shift = offset % 8 * 8;

	(void)attrs;
	if (size == 4)
		value = (mtimer_get(aclint, offset) & ~(UINT64_C(0xffffffff) << shift)) |
			value << shift;
	if (offset >= MTIME) {
		time_set(aclint, value);
	} else if (offset / 8 < aclint->hart_count) {
		aclint->harts[offset / 8].mtimecmp = value;
		hart_update_timer(&aclint->harts[offset / 8]);
	}
	return FH_TX_OK;
}

static const struct fh_region_ops mtimer_regs = {
	.read = mtimer_read,
	.write = mtimer_write,
	.valid = { .min = 4, .max = 8 },
	.impl = { .min = 4, .max = 8 },
};

/* --- MSWI, SSWI ----------------------------------------------------------------------------- */

static enum fh_tx mswi_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	const struct aclint *aclint = state;

	(void)size, (void)attrs;
	*ret_value = offset / 4 < aclint->hart_count && aclint->harts[offset / 4].msip;
	return FH_TX_OK;
}

static enum fh_tx mswi_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	struct aclint *aclint = state;

	(void)size, (void)attrs;
	if (offset / 4 < aclint->hart_count) {
		struct hart *hart = &aclint->harts[offset / 4];

		hart->msip = value & 1;
		fh_irq_set(hart->msi, hart->msip);
	}
	return FH_TX_OK;
}

static const struct fh_region_ops mswi_regs = {
	.read = mswi_read,
	.write = mswi_write,
	.valid = { .min = 4, .max = 4 },
	.impl = { .min = 4, .max = 4 },
};

/* SETSSIP keeps nothing: a one is an edge, which the hart's own SSIP bit remembers. */
static enum fh_tx sswi_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = 0;
	return FH_TX_OK;
}

static enum fh_tx sswi_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	struct aclint *aclint = state;

	(void)size, (void)attrs;
	if (offset / 4 < aclint->hart_count && (value & 1))
		fh_irq_pulse(aclint->harts[offset / 4].ssi);
	return FH_TX_OK;
}

static const struct fh_region_ops sswi_regs = {
	.read = sswi_read,
	.write = sswi_write,
	.valid = { .min = 4, .max = 4 },
	.impl = { .min = 4, .max = 4 },
};

/* --- Life ----------------------------------------------------------------------------------- */

void aclint_set_jumped(struct fh_device *device, void (*jumped)(void *arg), void *arg)
{
	struct aclint *aclint = fh_device_state(device);

	aclint->jumped = jumped;
	aclint->arg = arg;
}

static enum fh_code aclint_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct aclint *aclint = state;

	(void)err;
	aclint->machine = fh_object_get_machine(object);
	return FH_OK;
}

static void aclint_finalize(struct fh_object *object, void *state)
{
	struct aclint *aclint = state;

	(void)object;
	free(aclint->harts);
}

static void hart_make(struct fh_device *device, struct aclint *aclint, unsigned number)
{
	struct hart *hart = &aclint->harts[number];
	char name[32];

	hart->aclint = aclint;
	hart->mtimecmp = UINT64_MAX;
	snprintf(name, sizeof(name), "msi-%u", number);
	hart->msi = fh_irq_new(device, name);
	snprintf(name, sizeof(name), "mti-%u", number);
	hart->mti = fh_irq_new(device, name);
	snprintf(name, sizeof(name), "ssi-%u", number);
	hart->ssi = fh_irq_new(device, name);
	snprintf(name, sizeof(name), "timer-%u", number);
	hart->timer = fh_timer_new(device, name, timer_expired, hart);
}

static enum fh_code make_regions(struct fh_device *device, struct aclint *aclint,
				 struct fh_error *err)
{
	struct fh_region *clint = fh_region_new_container(device, "clint", CLINT_SIZE);
	struct fh_region *mswi =
		fh_region_new_mmio(device, "mswi", MSWI_SIZE, &mswi_regs, aclint);
	struct fh_region *mtimer =
		fh_region_new_mmio(device, "mtimer", MTIMER_SIZE, &mtimer_regs, aclint);
	struct fh_region *sswi =
		fh_region_new_mmio(device, "sswi", SSWI_SIZE, &sswi_regs, aclint);
	enum fh_code code = fh_region_add(clint, mswi, 0, 0);

	if (code == FH_OK)
		code = fh_region_add(clint, mtimer, MTIMER_BASE, 0);
	if (code != FH_OK)
		return fh_error_set(err, code, "the registers cannot be mapped");
	code = fh_device_export(device, clint, err);
	return code == FH_OK ? fh_device_export(device, sswi, err) : code;
}

static enum fh_code aclint_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct aclint *aclint = state;

	if (aclint->hart_count < 1 || aclint->hart_count > HARTS_MAX)
		return fh_error_set(err, FH_ERANGE, "harts: 1 to %u, not %u", HARTS_MAX,
				    aclint->hart_count);
	/* An attempt that failed may have left some. */
	free(aclint->harts);
	aclint->harts = calloc(aclint->hart_count, sizeof(*aclint->harts));
	if (!aclint->harts)
		return fh_error_set(err, FH_ENOMEM, "no memory for %u harts", aclint->hart_count);
	atomic_store_explicit(&aclint->offset, -ticks_now(aclint), memory_order_relaxed);
	for (unsigned i = 0; i < aclint->hart_count; i++)
		hart_make(device, aclint, i);
	return make_regions(device, aclint, err);
}

/* mtimecmp, which the specification leaves open, so that nothing interrupts. */
static void aclint_reset_enter(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct aclint *aclint = state;

	(void)device, (void)type;
	for (unsigned i = 0; i < aclint->hart_count; i++) {
		aclint->harts[i].mtimecmp = UINT64_MAX;
		aclint->harts[i].msip = false;
	}
}

static void aclint_reset_hold(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct aclint *aclint = state;

	(void)device, (void)type;
	for (unsigned i = 0; i < aclint->hart_count; i++)
		fh_irq_set(aclint->harts[i].msi, false);
	time_set(aclint, 0);
}

static const struct fh_property aclint_properties[] = {
	{ .name = "harts", .kind = FH_PROPERTY_U32, .offset = offsetof(struct aclint, hart_count),
	  .preset = "1", .description = "harts that are served" },
	{ 0 },
};

const struct fh_type aclint_type = {
	.name = "aclint",
	.parent = &fh_device_type,
	.state_size = sizeof(struct aclint),
	.init = aclint_init,
	.finalize = aclint_finalize,
	.properties = aclint_properties,
	.device = &(const struct fh_device_ops){
		.realize = aclint_realize,
		.reset_enter = aclint_reset_enter,
		.reset_hold = aclint_reset_hold,
	},
};
