/* SPDX-License-Identifier: MIT */
/*
 * `freehold torture`: everything the library can do, at random, on all threads at once.
 *
 * Threads draw *rows* from a table and callbacks of devices draw *commands* from another, so that
 * an operation is one function and one line. Both find their objects in *slots*.
 *
 * R1. A thread uses an object only with a ref of its own, taken from a slot or by looking up a
 *     child. What a device's own callbacks use by pointer lives at least until the device is
 *     detached.
 * R2. Fields of a device's state marked D are touched in its domain alone, and are not atomic: a
 *     sanitizer sees it when two callbacks of one device run at the same time.
 * R3. No lock of ours is held while the library is called.
 * R4. Random numbers come from the state of who draws them: for one seed each thread draws the
 *     same sequence in every run. (What the others do meanwhile is for the scheduler to choose.)
 * R5. Whatever must never be is counted by fh_torture_check() and fails the run.
 */
#ifndef CLI_TORTURE_H
#define CLI_TORTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <freehold/freehold.h>

/* Where things lie in the machine's memory: RAM from 0 on, then a place for each device. */
#define FH_TORTURE_RAM_SIZE  UINT64_C(0x100000)
#define FH_TORTURE_BASE	     UINT64_C(0x10000000)
#define FH_TORTURE_STEP	     UINT64_C(0x10000)
#define FH_TORTURE_DEVICES   24u
#define FH_TORTURE_LOOSE     16u
#define FH_TORTURE_SPACES    6u
#define FH_TORTURE_LISTENERS 4u
#define FH_TORTURE_HOLDS     32u
#define FH_TORTURE_WEAKS     8u
#define FH_TORTURE_OBJECTS   8u

/* Within a device's bar. */
#define FH_TORTURE_REGS	      UINT64_C(0x0000)
#define FH_TORTURE_FAST	      UINT64_C(0x1000)
#define FH_TORTURE_ROM	      UINT64_C(0x2000)
#define FH_TORTURE_QUIRK      UINT64_C(0x3000)
#define FH_TORTURE_RAM	      UINT64_C(0x4000)
#define FH_TORTURE_KIDS	      UINT64_C(0x8000)
#define FH_TORTURE_PAGE	      UINT64_C(0x1000)
#define FH_TORTURE_RAM_BYTES  UINT64_C(0x4000)

/* Registers of a device: its canary, a scratch register, the command register. */
#define FH_TORTURE_REG_CANARY  UINT64_C(0x00)
#define FH_TORTURE_REG_SCRATCH UINT64_C(0x08)
#define FH_TORTURE_REG_COMMAND UINT64_C(0x10)

#define FH_TORTURE_CANARY UINT64_C(0xfeedc0de00000000) /* and a serial number below */
#define FH_TORTURE_DEAD	  UINT64_C(0xdeaddeaddeaddead)

struct fh_torture;
struct fh_torture_device;

enum fh_torture_outcome {
	FH_TORTURE_DONE,
	FH_TORTURE_REFUSED, /* the library said no, for one of the reasons that it may have */
	FH_TORTURE_IDLE,    /* there was nothing to do it to */
	FH_TORTURE_OUTCOMES
};

/* One object with a ref, or a struct fh_torture_hold or struct fh_weak without. */
struct fh_torture_slot {
	pthread_mutex_t lock;
	void *content;
};

/*
 * A thing that a device holds for a while. The device's memory is there as long as we have a ref.
 */
struct fh_torture_hold {
	struct fh_device *holder; /* (ref) */
	struct fh_pin *pin;
	struct fh_pinned *pinned;
	struct fh_mapping *mapping;
	uint64_t size;	 /* of what is pinned */
	uint64_t canary; /* what its first 8 bytes read as, unless 0 */
};

/* An operation in flight, on its way to a worker. */
struct fh_torture_job {
	struct fh_torture_job *next;
	struct fh_io *io;
	struct fh_mapping *mapping;
	struct fh_torture_device *device; /* alive as long as io */
	uint8_t *ptr;			  /* mapped, or NULL */
	uint64_t size;
	bool write;
	unsigned delay; /* microseconds */
};

struct fh_torture_jobs {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct fh_torture_job *first;
	struct fh_torture_job **last;
	unsigned count;
	bool closed;
};

struct fh_torture_counts {
	_Atomic uint64_t by_outcome[FH_TORTURE_OUTCOMES];
};

struct fh_torture_row {
	const char *name;
	unsigned weight;
	enum fh_torture_outcome (*run)(struct fh_torture *t, uint64_t *random);
};

/*
 * In a callback of the device, in its domain. @ttl: how many devices the command may still visit.
 */
struct fh_torture_command {
	const char *name;
	unsigned weight;
	enum fh_torture_outcome (*run)(struct fh_torture_device *device, unsigned ttl);
};

/* What a listener has been told, added up: nothing, once it is gone. */
struct fh_torture_ear {
	struct fh_torture_ear *next;
	struct fh_torture *t;
	uint64_t sum;  /* guarded by the topology lock, which the library holds */
	int64_t count; /* the same */
};

#define FH_TORTURE_ROWS	    96
#define FH_TORTURE_COMMANDS 48

struct fh_torture {
	struct fh_machine *m;
	struct fh_region *ram; /* (ref) at 0 */
	struct fh_region *system;
	struct fh_space *memory;
	FILE *null;

	struct fh_torture_slot devices[FH_TORTURE_DEVICES];
	struct fh_torture_slot loose[FH_TORTURE_LOOSE];
	struct fh_torture_slot spaces[FH_TORTURE_SPACES];
	struct fh_torture_slot listeners[FH_TORTURE_LISTENERS];
	struct fh_torture_slot holds[FH_TORTURE_HOLDS];
	struct fh_torture_slot weaks[FH_TORTURE_WEAKS];
	struct fh_torture_slot objects[FH_TORTURE_OBJECTS];

	struct fh_torture_jobs jobs;
	_Atomic(struct fh_torture_ear *) ears;

	struct fh_torture_row rows[FH_TORTURE_ROWS]; /* of all tables */
	size_t row_count;
	unsigned total_weight;

	struct fh_torture_counts row_counts[FH_TORTURE_ROWS];
	struct fh_torture_counts commands[FH_TORTURE_COMMANDS];
	_Atomic uint64_t results[FH_TX_DECODE_ERROR + 1];
	_Atomic uint64_t callbacks;
	_Atomic uint64_t serials; /* devices ever made */
	_Atomic uint64_t realized;
	_Atomic uint64_t finalized;
	_Atomic uint64_t failures; /* of checks */
};

struct fh_torture_device {
	/* Constant once it is realized. */
	uint64_t canary;
	uint64_t serial;
	struct fh_torture *t;
	struct fh_device *device;
	struct fh_region *bar, *regs, *fast, *rom, *ram, *spare;
	struct fh_region *bus_root;
	struct fh_space *bus;
	struct fh_irq *out;
	struct fh_timer *timer;
	struct fh_bh *bh;
	bool ready; /* may be called */

	/* Properties. */
	uint32_t fail; /* realize fails at this step; 0: not */
	uint32_t kids;
	_Atomic uint32_t dial; /* live */
	char *label;
	struct fh_object *friend;

	uint64_t random; /* D */
	uint64_t calls;	 /* D */
	uint64_t scratch; /* D */
	struct fh_region *quirk; /* D: made and destroyed at run time */
	struct fh_region *alias; /* D: the same */
	struct fh_space *extra;	 /* D: the same */

	uint64_t changes; /* guarded by the library: of the input, one at a time */
	bool gone;	  /* unrealized: never called again */
	bool disposed;	  /* its dispose callback was called */
	_Atomic uint64_t fast_calls;
	_Atomic uint64_t told; /* by watches and the like */
};

/* --- torture-support.c ---------------------------------------------------------------------- */

uint64_t fh_torture_random(uint64_t *state);
/* Less than @count. */
static inline unsigned fh_torture_pick(uint64_t *state, unsigned count)
{
	return (unsigned)(fh_torture_random(state) % count);
}
static inline bool fh_torture_chance(uint64_t *state, unsigned one_in)
{
	return fh_torture_pick(state, one_in) == 0;
}

/* Count a failure, and print the first few, unless @right. Returns @right. */
bool fh_torture_check(struct fh_torture *t, bool right, const char *what);

static inline enum fh_torture_outcome fh_torture_outcome(bool done)
{
	return done ? FH_TORTURE_DONE : FH_TORTURE_REFUSED;
}
/* The same of a code, or of an access's result, which is counted. */
static inline enum fh_torture_outcome fh_torture_code(enum fh_code code)
{
	return fh_torture_outcome(code == FH_OK);
}
enum fh_torture_outcome fh_torture_tx(struct fh_torture *t, enum fh_tx tx);

void fh_torture_slots_init(struct fh_torture *t);
void fh_torture_slots_fini(struct fh_torture *t);
/* A ref of what is in it (owned by caller), or NULL. Slots of objects only. */
void *fh_torture_get(struct fh_torture_slot *slot);
/* Put @content in (consumed); what was there (owned by caller), or NULL. */
void *fh_torture_swap(struct fh_torture_slot *slot, void *content);
/* Put @content in (consumed) if it is empty; else false, and it is still the caller's. */
bool fh_torture_put(struct fh_torture_slot *slot, void *content);

/* A device at random (ref taken), or NULL. */
struct fh_device *fh_torture_any_device(struct fh_torture *t, uint64_t *random);
/* Its state, which is there as long as the device. */
struct fh_torture_device *fh_torture_state(struct fh_device *device);
/* A child region, line ... by name (ref taken), or NULL. The device may be NULL. */
void *fh_torture_child(struct fh_device *device, const char *name);
/* The child @name of a device at random (ref taken), or NULL. */
void *fh_torture_any_child(struct fh_torture *t, uint64_t *random, const char *name);
/* A region at random, of a device or loose (ref taken), or NULL. */
struct fh_region *fh_torture_any_region(struct fh_torture *t, uint64_t *random);
/* A space at random (ref taken). */
struct fh_space *fh_torture_any_space(struct fh_torture *t, uint64_t *random);
/* An address at random, mostly one where something may be. */
uint64_t fh_torture_any_addr(uint64_t *random);

void fh_torture_jobs_init(struct fh_torture_jobs *jobs);
/* A job to complete later (consumed); with too many waiting, at once. */
void fh_torture_jobs_push(struct fh_torture *t, struct fh_torture_job *job);
/* No more of them; workers return when all are done. */
void fh_torture_jobs_close(struct fh_torture_jobs *jobs);
/* The body of a worker: @arg is a struct fh_torture. */
void *fh_torture_worker(void *arg);
/* Begin an operation of the device: map something of @space and hand it to a worker. */
enum fh_torture_outcome fh_torture_begin_io(struct fh_torture *t, struct fh_device *device,
					    struct fh_space *space, uint64_t *random);
/* Release all that it holds, and itself. NULL is allowed. */
void fh_torture_hold_free(struct fh_torture_hold *hold);

/* --- torture-device.c ----------------------------------------------------------------------- */

extern const struct fh_type fh_torture_anchor_type; /* how a device finds its struct fh_torture */
extern const struct fh_type fh_torture_plain_type;
extern const struct fh_type fh_torture_device_type;
extern const struct fh_type fh_torture_own_type; /* with a domain of its own, also below another */

/* --- torture-loose.c ------------------------------------------------------------------------ */

/* A region without a name, whose state goes when it is finalized. @owner as in region.h. */
struct fh_region *fh_torture_new_loose_mmio(struct fh_torture *t, FH_ANY owner, uint64_t size);

/* --- torture-command.c ---------------------------------------------------------------------- */

extern const struct fh_torture_command fh_torture_command_table[];
extern const size_t fh_torture_command_count;
/* Draw a command and run it. In a callback of the device. */
void fh_torture_act(struct fh_torture_device *device, unsigned ttl);

/*
 * --- torture-life.c, torture-map.c, torture-access.c: rows, each list ended by one without name
 * -
 */

extern const struct fh_torture_row fh_torture_life_rows[];
extern const struct fh_torture_row fh_torture_map_rows[];
extern const struct fh_torture_row fh_torture_access_rows[];

/* --- torture-report.c ----------------------------------------------------------------------- */

/* Unplug everything and let go of everything. */
void fh_torture_clear(struct fh_torture *t);
/* Once no listener is left: what each has heard must add up to nothing. Frees the records. */
void fh_torture_check_ears(struct fh_torture *t);
void fh_torture_print_report(struct fh_torture *t);
/* Print the ledger of the drained machine, and destroy that. Returns the exit status. */
int fh_torture_judge(struct fh_torture *t);

#endif
