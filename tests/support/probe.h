/* SPDX-License-Identifier: MIT */
/*
 * What scenario, stress and unit tests share: a machine that must die, a device whose callbacks the
 * test supplies, and threads that must end.
 *
 * R1. struct probe_hooks belongs to the test and outlives the machine: it counts what happened to
 *     the device even after the device is gone.
 * R2. Every test ends with machine_end(), which is the ledger check.
 */
#ifndef SUPPORT_PROBE_H
#define SUPPORT_PROBE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <freehold/freehold.h>

/* For what may run on any thread, where cmocka's assertions have nowhere to jump to. */
#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
_Noreturn void check_failed(const char *what, const char *file, int line);

struct probe;

/* All callbacks optional. */
struct probe_hooks {
	enum fh_tx (*read)(struct probe *probe, uint64_t offset, uint64_t *ret_value);
	enum fh_tx (*write)(struct probe *probe, uint64_t offset, uint64_t value);
	enum fh_code (*realize)(struct probe *probe, struct fh_error *err);
	void (*unrealize)(struct probe *probe);
	void (*dispose)(struct probe *probe);
	void (*finalize)(struct probe *probe);
	void *arg; /* the test's */
	bool concurrent;

	_Atomic unsigned reads, writes, realized, unrealized, disposed, finalized;
	_Atomic unsigned inside;      /* callbacks running at this moment */
	_Atomic unsigned most_inside; /* and the most there ever were */
};

#define PROBE_SIZE 0x1000 /* of the registers and of the RAM */
#define PROBE_CANARY UINT32_C(0x5eed1e55)

/* The state of a probe device. */
struct probe {
	uint32_t canary; /* PROBE_CANARY while alive */
	struct fh_device *device;
	struct probe_hooks *hooks;
	struct fh_region *regs; /* "regs", exported: mmio; offset 0 reads as the canary */
	struct fh_region *ram;	/* "ram", exported */
	struct fh_space *space; /* where the device does DMA: the test's to set, or NULL */
	void *data;		/* the test's */
};

extern const struct fh_type probe_type;
extern const struct fh_type probe_own_domain_type; /* the same, with a domain of its own */

/* A probe, not realized (borrowed); asserts that it worked. */
struct fh_device *probe_new(FH_ANY parent, const char *name, struct probe_hooks *hooks);
/* A probe, realized, with its registers at @addr of the machine's memory (borrowed). */
struct fh_device *probe_plug(FH_ANY parent, const char *name, struct probe_hooks *hooks,
			     uint64_t addr);
struct probe *probe_of(struct fh_device *device);

struct fh_machine *machine_begin(void);
/* Drains and destroys; fails the test, after printing the ledger, if anything is alive. */
void machine_end(struct fh_machine *m);
/* Drains and fails unless exactly @alive objects are. */
void machine_check_alive(struct fh_machine *m, uint64_t alive);

/* For the teardown of a test that failed half way: whoever it has stopped at a point goes on. */
int release_points(void **state);

/* Who pins and maps: an object of the test's own. */
extern const struct fh_type holder_type;
struct fh_object *holder_new(struct fh_machine *m);

/* A load of 4 bytes from the machine's memory, which must have the outcome @tx. */
uint32_t load32(struct fh_machine *m, uint64_t addr, enum fh_tx tx);
void store32(struct fh_machine *m, uint64_t addr, uint32_t value, enum fh_tx tx);

struct worker {
	pthread_t thread;
	void (*run)(void *arg);
	void *arg;
	_Atomic bool done;
};

void worker_start(struct worker *worker, void (*run)(void *arg), void *arg);
/* Fails the test if the thread does not end within patience(30) seconds: something hangs. */
void worker_join(struct worker *worker);
void worker_join_within(struct worker *worker, unsigned seconds);
bool worker_done(const struct worker *worker);
/* True if it is done within @ms; for things that must not happen, a short time is enough. */
bool worker_done_within(const struct worker *worker, unsigned ms);

#endif
