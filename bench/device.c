/* SPDX-License-Identifier: MIT */
/* What devices cost: to come and to go, and to be saved and restored. */
#include "bench.h"

#include <malloc.h>
#include <stdlib.h>

struct state {
	struct fh_timer *timer;
	uint32_t regs[16];
	uint64_t counter;
	bool enabled;
	uint8_t fifo[64];
};

static const struct fh_state_field fields[] = {
	FH_STATE(U32, struct state, regs),
	FH_STATE(U64, struct state, counter),
	FH_STATE(BOOL, struct state, enabled),
	FH_STATE(BYTES, struct state, fifo),
	FH_STATE(TIMER, struct state, timer),
	{ 0 },
};

static const struct fh_state_table table = { .version = 1, .fields = fields };

static void expired(void *state)
{
	(void)state;
}

/* Two regions of registers, which the device maps itself. */
static enum fh_code device_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct fh_region *system = fh_space_root(fh_machine_memory(fh_object_get_machine(device)));
	struct fh_region *regs =
		fh_region_new_mmio(device, "regs", 0x1000, &bench_serialised_ops, state);
	struct fh_region *window =
		fh_region_new_mmio(device, "window", 0x1000, &bench_serialised_ops, state);

	(void)err;
	((struct state *)state)->timer = fh_timer_new(device, "timer", expired, state);
	fh_region_add(system, regs, 0x10000000, 0);
	fh_region_add(system, window, 0x20000000, 0);
	return FH_OK;
}

static const struct fh_type device_type = {
	.name = "bench-device", .parent = &fh_device_type, .state_size = sizeof(struct state),
	.device = &(const struct fh_device_ops){ .realize = device_realize, .saved = &table }
};

static enum fh_code plain_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)err;
	((struct state *)state)->timer = fh_timer_new(device, "timer", expired, state);
	return FH_OK;
}

static const struct fh_type plain_type = {
	.name = "bench-saved", .parent = &fh_device_type, .state_size = sizeof(struct state),
	.device = &(const struct fh_device_ops){ .realize = plain_realize, .saved = &table }
};

/* New, realized, unplugged: until the caller may go on, and until it is gone. */
static void cycle(struct fh_machine *m, size_t count)
{
	const double start = bench_now();
	double callers = 0;

	for (size_t i = 0; i < count; i++) {
		const double begin = bench_now();

		fh_device_unplug(fh_device_plug(m, &device_type, "device", NULL, NULL));
		callers += bench_now() - begin;
		fh_machine_drain(m);
	}
	bench_sample(bench_row("device.cycle", "ns"), callers / (double)count);
	bench_sample(bench_row("device.cycle_all", "ns"), (bench_now() - start) / (double)count);
}

/* --- Memory ---------------------------------------------------------------------------------- */

/* The same two regions, for a board to map. */
static enum fh_code card_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	((struct state *)state)->timer = fh_timer_new(device, "timer", expired, state);
	for (unsigned i = 0; i < 2; i++) {
		struct fh_region *region = fh_region_new_mmio(device, i ? "window" : "regs", 0x1000,
							      &bench_serialised_ops, state);

		if (fh_device_export(device, region, err) != FH_OK)
			return err->code;
	}
	return FH_OK;
}

static const struct fh_type card_type = {
	.name = "bench-card", .parent = &fh_device_type, .state_size = sizeof(struct state),
	.device = &(const struct fh_device_ops){ .realize = card_realize }
};

/* What the heap holds for a device that is plugged, its two regions in the map. */
static void bytes(size_t count)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_region *system = fh_space_root(fh_machine_memory(m));
	const size_t before = mallinfo2().uordblks;

	for (size_t i = 0; i < count; i++) {
		struct fh_device *card = fh_device_plug(m, &card_type, "card[*]", NULL, NULL);

		for (unsigned j = 0; j < 2; j++)
			fh_region_add(system, fh_device_region_at(card, j), (2 * i + j) << 13, 0);
		fh_machine_drain(m); /* what each replaces is used again, and does not count */
	}
	bench_sample(bench_row("device.bytes", "B"),
		     (double)(mallinfo2().uordblks - before) / (double)count);
	fh_machine_destroyp(&m);
}

/* --- States ---------------------------------------------------------------------------------- */

#define SAVED 100

static void states(struct fh_machine *m, size_t count)
{
	struct fh_state_buffer buffer = { 0 };
	const struct fh_state_writer writer = fh_state_buffer_writer(&buffer);
	double save = 0, restore = 0;

	for (size_t i = 0; i < count; i++) {
		double start = bench_now();

		buffer.size = 0;
		if (fh_state_save(m, &writer, NULL) != FH_OK)
			abort();
		save += bench_now() - start;
		start = bench_now();
		if (fh_state_restore(m, buffer.data, buffer.size, NULL) != FH_OK)
			abort();
		restore += bench_now() - start;
	}
	bench_sample(bench_row("state.save", "ns"), save / (double)(count * SAVED));
	bench_sample(bench_row("state.restore", "ns"), restore / (double)(count * SAVED));
	bench_sample(bench_row("state.size", "bytes"), (double)buffer.size / SAVED);
	fh_state_buffer_free(&buffer);
}

void bench_device(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_machine *other = fh_machine_new(NULL, NULL);
	char name[] = "device00";

	for (unsigned i = 0; i < SAVED; i++) {
		name[6] = (char)('0' + i / 10);
		name[7] = (char)('0' + i % 10);
		if (!fh_device_plug(other, &plain_type, name, NULL, NULL))
			abort();
	}
	for (int sample = 0; sample < 11; sample++) {
		cycle(m, bench_scale(200));
		states(other, bench_scale(100));
	}
	bytes(bench_scale(1000));
	fh_machine_destroyp(&other);
	fh_machine_destroyp(&m);
}
