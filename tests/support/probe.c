/* SPDX-License-Identifier: MIT */
/* The shared pieces of tests: see probe.h. */
#define _GNU_SOURCE /* pthread_timedjoin_np */
#include "support/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/point.h"
#include "support/scale.h"

void check_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
	abort();
}

/* --- The device ----------------------------------------------------------------------------- */

static void enter(struct probe_hooks *hooks)
{
	const unsigned now =
		1 + atomic_fetch_add_explicit(&hooks->inside, 1, memory_order_relaxed);
	unsigned most = atomic_load_explicit(&hooks->most_inside, memory_order_relaxed);

	while (now > most && !atomic_compare_exchange_weak_explicit(&hooks->most_inside, &most, now,
								    memory_order_relaxed,
								    memory_order_relaxed))
		;
}

static void leave(struct probe_hooks *hooks)
{
	atomic_fetch_sub_explicit(&hooks->inside, 1, memory_order_relaxed);
}

static enum fh_tx probe_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	struct probe *probe = state;
	struct probe_hooks *hooks = probe->hooks;
	enum fh_tx tx = FH_TX_OK;

	(void)size;
	(void)attrs;
	CHECK(probe->canary == PROBE_CANARY);
	enter(hooks);
	hooks->reads++;
	*ret_value = PROBE_CANARY;
	if (hooks->read)
		tx = hooks->read(probe, offset, ret_value);
	/* The state is there until the last callback has returned (L1). */
	CHECK(probe->canary == PROBE_CANARY);
	leave(hooks);
	return tx;
}

static enum fh_tx probe_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	struct probe *probe = state;
	struct probe_hooks *hooks = probe->hooks;
	enum fh_tx tx = FH_TX_OK;

	(void)size;
	(void)attrs;
	CHECK(probe->canary == PROBE_CANARY);
	enter(hooks);
	hooks->writes++;
	if (hooks->write)
		tx = hooks->write(probe, offset, value);
	CHECK(probe->canary == PROBE_CANARY);
	leave(hooks);
	return tx;
}

static const struct fh_region_ops serialised_ops = {
	.read = probe_read,
	.write = probe_write,
	.impl = { .min = 1, .max = 8 },
};

static const struct fh_region_ops concurrent_ops = {
	.read = probe_read,
	.write = probe_write,
	.impl = { .min = 1, .max = 8 },
	.concurrent = true,
};

static enum fh_code probe_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct probe *probe = state;
	enum fh_code code;

	probe->canary = PROBE_CANARY;
	probe->device = device;
	probe->regs = fh_region_new_mmio(device, "regs", PROBE_SIZE,
					 probe->hooks->concurrent ? &concurrent_ops :
								    &serialised_ops,
					 probe);
	probe->ram = fh_region_new_ram(device, "ram", PROBE_SIZE, err);
	if (!probe->ram)
		return FH_ENOMEM;
	code = fh_device_export(device, probe->regs, err);
	if (code == FH_OK)
		code = fh_device_export(device, probe->ram, err);
	if (code == FH_OK && probe->hooks->realize)
		code = probe->hooks->realize(probe, err);
	if (code == FH_OK)
		probe->hooks->realized++;
	return code;
}

static void probe_unrealize(struct fh_device *device, void *state)
{
	struct probe *probe = state;

	(void)device;
	CHECK(probe->canary == PROBE_CANARY);
	/* After the drain no callback of the device runs (L6). */
	CHECK(probe->hooks->inside == 0);
	probe->hooks->unrealized++;
	if (probe->hooks->unrealize)
		probe->hooks->unrealize(probe);
}

static void probe_dispose(struct fh_object *object, void *state)
{
	struct probe *probe = state;

	(void)object;
	if (!probe->hooks)
		return;
	probe->hooks->disposed++;
	if (probe->hooks->dispose)
		probe->hooks->dispose(probe);
}

static void probe_finalize(struct fh_object *object, void *state)
{
	struct probe *probe = state;

	(void)object;
	if (!probe->hooks)
		return;
	/* L5: dispose once, and before. */
	CHECK(probe->hooks->finalized == probe->hooks->disposed - 1);
	CHECK(probe->hooks->inside == 0);
	if (probe->hooks->finalize)
		probe->hooks->finalize(probe);
	probe->hooks->finalized++;
	probe->canary = 0;
}

static const struct fh_device_ops probe_ops = {
	.realize = probe_realize,
	.unrealize = probe_unrealize,
};

static const struct fh_device_ops probe_own_domain_ops = {
	.realize = probe_realize,
	.unrealize = probe_unrealize,
	.own_domain = true,
};

const struct fh_type probe_type = {
	.name = "probe",
	.parent = &fh_device_type,
	.state_size = sizeof(struct probe),
	.dispose = probe_dispose,
	.finalize = probe_finalize,
	.device = &probe_ops,
};

const struct fh_type probe_own_domain_type = {
	.name = "probe-own-domain",
	.parent = &fh_device_type,
	.state_size = sizeof(struct probe),
	.dispose = probe_dispose,
	.finalize = probe_finalize,
	.device = &probe_own_domain_ops,
};

struct probe *probe_of(struct fh_device *device)
{
	return fh_device_state(device);
}

struct fh_device *probe_new(FH_ANY parent, const char *name, struct probe_hooks *hooks)
{
	struct fh_device *device = fh_device_new(parent, &probe_type, name, NULL, NULL);

	assert_non_null(device);
	probe_of(device)->hooks = hooks;
	return device;
}

struct fh_device *probe_plug(FH_ANY parent, const char *name, struct probe_hooks *hooks,
			     uint64_t addr)
{
	struct fh_device *device = probe_new(parent, name, hooks);
	struct fh_machine *m = fh_object_get_machine(device);

	assert_int_equal(fh_device_realize(device, NULL), FH_OK);
	assert_int_equal(fh_region_add(fh_space_root(fh_machine_memory(m)),
				       fh_device_region(device, "regs"), addr, 0),
			 FH_OK);
	return device;
}

/* --- Machines ------------------------------------------------------------------------------- */

struct fh_machine *machine_begin(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	assert_non_null(m);
	return m;
}

void machine_check_alive(struct fh_machine *m, uint64_t alive)
{
	fh_machine_drain(m);
	if (fh_ledger_read(m).alive != alive)
		fh_ledger_print(m, stderr);
	assert_int_equal(fh_ledger_read(m).alive, alive);
}

void machine_end(struct fh_machine *m)
{
	fh_machine_drain(m);
	if (fh_machine_destroy(m) != 0) {
		fh_ledger_print(m, stderr);
		fail_msg("objects outlived their machine");
	}
}

int release_points(void **state)
{
	(void)state;
	fh_point_release_all();
	return 0;
}

const struct fh_type holder_type = { .name = "holder" };

struct fh_object *holder_new(struct fh_machine *m)
{
	struct fh_object *holder = fh_object_new(m, &holder_type, NULL);

	assert_non_null(holder);
	return holder;
}

uint32_t load32(struct fh_machine *m, uint64_t addr, enum fh_tx tx)
{
	uint32_t value = 0;

	assert_int_equal(fh_space_load32(fh_machine_memory(m), addr, FH_LE, &value), tx);
	return value;
}

void store32(struct fh_machine *m, uint64_t addr, uint32_t value, enum fh_tx tx)
{
	assert_int_equal(fh_space_store32(fh_machine_memory(m), addr, value, FH_LE), tx);
}

/* --- Threads -------------------------------------------------------------------------------- */

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	worker->run(worker->arg);
	/* Release: pairs with the acquire in worker_done(). */
	atomic_store_explicit(&worker->done, true, memory_order_release);
	return NULL;
}

void worker_start(struct worker *worker, void (*run)(void *arg), void *arg)
{
	worker->run = run;
	worker->arg = arg;
	atomic_store_explicit(&worker->done, false, memory_order_relaxed);
	assert_int_equal(pthread_create(&worker->thread, NULL, worker_main, worker), 0);
}

void worker_join_within(struct worker *worker, unsigned seconds)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += patience(seconds);
	if (pthread_timedjoin_np(worker->thread, NULL, &limit) != 0)
		fail_msg("a thread hangs");
}

void worker_join(struct worker *worker)
{
	worker_join_within(worker, 30);
}

bool worker_done(const struct worker *worker)
{
	return atomic_load_explicit(&worker->done, memory_order_acquire);
}

bool worker_done_within(const struct worker *worker, unsigned ms)
{
	for (unsigned i = 0; i < ms && !worker_done(worker); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	return worker_done(worker);
}
