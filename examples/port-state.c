/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: the table that says what of a device is saved; a machine whose
 * state is saved, and restored into another one. docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <stdio.h>

struct clock {
	struct fh_irq *irq;
	struct fh_timer *alarm;
	uint8_t control;
	uint32_t fifo[8];
	uint8_t used;
	uint32_t trim; /* since version 2 */
	bool strange;  /* hardly ever */
	uint64_t since;
};

static bool is_strange(const void *state)
{
	return ((const struct clock *)state)->strange;
}

/* In the stream only where it is needed: who does not know it can read all others. */
static const struct fh_state_table clock_strange = {
	.name = "strange", .version = 1, .needed = is_strange,
	.fields = (const struct fh_state_field[]){
		FH_STATE(BOOL, struct clock, strange),
		FH_STATE(U64, struct clock, since),
		{ 0 },
	},
};

/* A look at what was read, before anything has changed. */
static enum fh_code clock_check(const void *state, unsigned version, struct fh_error *err)
{
	const struct clock *clock = state;

	(void)version;
	if (clock->trim > 1000)
		return fh_error_set(err, FH_EFORMAT, "trim is %u", clock->trim);
	return FH_OK;
}

/* Bring in line what follows from the fields. */
static enum fh_code clock_loaded(struct fh_device *device, void *state, unsigned version,
				 struct fh_error *err)
{
	const struct clock *clock = state;

	(void)device, (void)version, (void)err;
	fh_irq_set(clock->irq, clock->control & 1);
	return FH_OK;
}

static const struct fh_state_table clock_saved = {
	.version = 2, .minimum_version = 1, .check = clock_check, .post_load = clock_loaded,
	.fields = (const struct fh_state_field[]){
		FH_STATE(TIMER, struct clock, alarm),
		FH_STATE(U8, struct clock, control),
		FH_STATE_SOME(U32, struct clock, fifo, U8, used),
		FH_STATE_SINCE(2, U32, struct clock, trim),
		{ 0 },
	},
	.subsections = (const struct fh_state_table *const[]){ &clock_strange, NULL },
};

static void clock_expired(void *state)
{
	fh_irq_raise(((struct clock *)state)->irq);
}

static enum fh_code clock_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct clock *clock = state;

	(void)err;
	clock->irq = fh_irq_new(device, "irq");
	clock->alarm = fh_timer_new(device, "alarm", clock_expired, clock);
	return FH_OK;
}

static const struct fh_type clock_type = {
	.name = "clock", .parent = &fh_device_type, .state_size = sizeof(struct clock),
	.device = &(const struct fh_device_ops){ .realize = clock_realize, .saved = &clock_saved }
};

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *from = fh_machine_new(NULL, NULL);
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *to = fh_machine_new(NULL, NULL);

	if (!from || !to)
		return 1;

	struct fh_device *old = fh_device_plug(from, &clock_type, "clock", NULL, NULL);
	struct fh_device *new = fh_device_plug(to, &clock_type, "clock", NULL, NULL);
	struct fh_error err = FH_ERROR_INIT;

	if (!old || !new)
		return 1;

	struct clock *clock = fh_device_state(old), *copy = fh_device_state(new);

	clock->control = 1, clock->trim = 5, clock->used = 2, clock->fifo[1] = 0x55;
	fh_timer_arm(clock->alarm, fh_machine_now(from) + UINT64_C(3600000000000));

	struct fh_state_buffer stream = { 0 };
	const struct fh_state_writer writer = fh_state_buffer_writer(&stream);

	if (fh_state_save(from, &writer, &err) != FH_OK ||
	    fh_state_restore(to, stream.data, stream.size, &err) != FH_OK)
		return printf("%s\n", err.message), 1;

	bool good = copy->trim == 5 && copy->used == 2 && copy->fifo[1] == 0x55 &&
		    fh_timer_is_armed(copy->alarm) && fh_irq_level(copy->irq);

	/* What is damaged or cut off is refused as a whole, and the error says where. */
	good = good && fh_state_restore(to, stream.data, stream.size / 2, &err) != FH_OK &&
	       copy->trim == 5;
	printf("%s\n", err.message);
	fh_state_buffer_free(&stream);
	return fh_device_unplug(old), fh_device_unplug(new), !good;
}
