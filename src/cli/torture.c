/* SPDX-License-Identifier: MIT */
/*
 * The command `freehold torture`: a machine, threads that do to it whatever comes to their minds,
 * and at the end the proof that nothing is left of all they made.
 *
 * One thread of the machine polls; some workers complete I/O; a watchdog ends the run with a
 * message if for a long time nobody finishes anything, because a deadlock would otherwise look
 * like patience.
 */
#include "cli/torture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "cli/cli.h"

#define WORKERS	       2
#define MOST_THREADS   64
#define PATIENCE       120 /* seconds without an operation finished */
#define MOST_SECONDS   UINT64_C(2592000)
#define SECOND	       UINT64_C(1000000000)

static const char help[] =
	"Usage: freehold torture [--seconds N] [--seed N] [--threads N]\n"
	"\n"
	"Plug, map, move, access and unplug devices at random on many threads, then prove that\n"
	"nothing is left. Exit status 0 only if everything died and no check failed.\n"
	"\n"
	"  --seconds N  for how long (default 10)\n"
	"  --seed N     of the random numbers of all threads (default: a new one, printed)\n"
	"  --threads N  how many (default 8)\n";

struct request {
	uint64_t seconds;
	uint64_t seed;
	uint64_t threads;
};

static const struct fh_torture_row *const row_tables[] = {
	fh_torture_access_rows, fh_torture_map_rows, fh_torture_life_rows
};

struct run;

struct player {
	struct run *run;
	pthread_t thread;
	uint64_t random;
	_Atomic uint64_t finished;	/* operations */
	_Atomic(const char *) doing;	/* the name of one */
};

struct run {
	struct fh_torture t;
	struct player players[MOST_THREADS];
	size_t player_count;
	pthread_t workers[WORKERS];
	_Atomic bool stop;
	_Atomic uint64_t polls;
	_Atomic(const char *) phase; /* of the main thread */

	/* The loop: how the machine asks to be polled. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool posted;	   /* under lock */
	uint64_t deadline; /* under lock */

	pthread_t watchdog;
	bool over; /* under lock: for the watchdog */
};

/* --- The threads ---------------------------------------------------------------------------- */

/* The index of a row at random. */
static size_t draw_row(const struct fh_torture *t, uint64_t *random)
{
	unsigned drawn = fh_torture_pick(random, t->total_weight);
	size_t i = 0;

	while (drawn >= t->rows[i].weight)
		drawn -= t->rows[i++].weight;
	return i;
}

static void *play(void *arg)
{
	struct player *const player = arg;
	struct run *const run = player->run;

	/* Relaxed: sooner or later. */
	while (!atomic_load_explicit(&run->stop, memory_order_relaxed)) {
		const size_t i = draw_row(&run->t, &player->random);
		const struct fh_torture_row *const row = &run->t.rows[i];

		/* Relaxed, all three: for people, and counts. */
		atomic_store_explicit(&player->doing, row->name, memory_order_relaxed);

		const enum fh_torture_outcome outcome = row->run(&run->t, &player->random);

		atomic_fetch_add_explicit(&run->t.row_counts[i].by_outcome[outcome], 1,
					  memory_order_relaxed);
		atomic_fetch_add_explicit(&player->finished, 1, memory_order_relaxed);
	}
	return NULL;
}

static void post(void *arg)
{
	struct run *const run = arg;

	pthread_mutex_lock(&run->lock);
	run->posted = true;
	pthread_cond_broadcast(&run->wake);
	pthread_mutex_unlock(&run->lock);
}

static void set_timer(void *arg, uint64_t deadline)
{
	struct run *const run = arg;

	pthread_mutex_lock(&run->lock);
	run->deadline = deadline;
	pthread_cond_broadcast(&run->wake);
	pthread_mutex_unlock(&run->lock);
}

static const struct fh_loop_ops loop_ops = { .post = post, .timer = set_timer };

static struct timespec to_timespec(uint64_t nanoseconds)
{
	return (struct timespec){ .tv_sec = (time_t)(nanoseconds / SECOND),
				  .tv_nsec = (long)(nanoseconds % SECOND) };
}

/* Until the machine wants to be polled, or @until. */
static void wait_for_work(struct run *run, uint64_t until)
{
	pthread_mutex_lock(&run->lock);
	while (!run->posted) {
		const uint64_t first = run->deadline < until ? run->deadline : until;
		const struct timespec when = to_timespec(first);

		if (pthread_cond_timedwait(&run->wake, &run->lock, &when) == ETIMEDOUT) {
			run->deadline = UINT64_MAX;
			break;
		}
	}
	run->posted = false;
	pthread_mutex_unlock(&run->lock);
}

static void poll_until(struct run *run, uint64_t until)
{
	struct fh_machine *const m = run->t.m;

	while (fh_machine_now(m) < until) {
		fh_machine_poll(m);
		/* Relaxed: a count. */
		atomic_fetch_add_explicit(&run->polls, 1, memory_order_relaxed);
		wait_for_work(run, until);
	}
}

/* --- The watchdog --------------------------------------------------------------------------- */

static uint64_t progress(struct run *run)
{
	/* Relaxed: only whether it grows. */
	uint64_t sum = atomic_load_explicit(&run->polls, memory_order_relaxed) +
		       atomic_load_explicit(&run->t.callbacks, memory_order_relaxed);

	/*
	 * The main thread polls on, whatever hangs: its sum counts only when the players are
	 * done.
	 */
	if (!atomic_load_explicit(&run->stop, memory_order_relaxed))
		sum = 0;
	for (size_t i = 0; i < run->player_count; i++)
		sum += atomic_load_explicit(&run->players[i].finished, memory_order_relaxed);
	return sum;
}

static void bark(struct run *run)
{
	fprintf(stderr, "freehold: torture: nothing has moved for %d seconds\n", PATIENCE);
	/* Relaxed: for people. */
	fprintf(stderr, "  main thread: %s\n",
		atomic_load_explicit(&run->phase, memory_order_relaxed));
	for (size_t i = 0; i < run->player_count; i++)
		fprintf(stderr, "  thread %zu: %s\n", i,
			atomic_load_explicit(&run->players[i].doing, memory_order_relaxed));
	abort();
}

static void *watch(void *arg)
{
	struct run *const run = arg;
	uint64_t seen = progress(run), next = fh_machine_now(run->t.m) + SECOND;
	unsigned still = 0;

	pthread_mutex_lock(&run->lock);
	while (!run->over) {
		const struct timespec when = to_timespec(next);

		/* Posts wake it too: a second has passed only at a timeout. */
		if (pthread_cond_timedwait(&run->wake, &run->lock, &when) != ETIMEDOUT)
			continue;

		const uint64_t now = progress(run);

		still = now == seen ? still + 1 : 0;
		seen = now;
		next += SECOND;
		if (still >= PATIENCE)
			bark(run);
	}
	pthread_mutex_unlock(&run->lock);
	return NULL;
}

static void set_phase(struct run *run, const char *phase)
{
	/* Relaxed: for people. */
	atomic_store_explicit(&run->phase, phase, memory_order_relaxed);
}

/* --- Before and after ----------------------------------------------------------------------- */

static void gather_rows(struct fh_torture *t)
{
	for (size_t i = 0; i < sizeof(row_tables) / sizeof(row_tables[0]); i++) {
		for (const struct fh_torture_row *row = row_tables[i]; row->name != NULL; row++) {
			t->rows[t->row_count++] = *row;
			t->total_weight += row->weight;
		}
	}
}

static bool set_up(struct run *run, struct fh_error *err)
{
	struct fh_torture *const t = &run->t;
	pthread_condattr_t attr;

	pthread_mutex_init(&run->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&run->wake, &attr);
	pthread_condattr_destroy(&attr);
	run->deadline = UINT64_MAX;
	gather_rows(t);
	fh_torture_slots_init(t);
	fh_torture_jobs_init(&t->jobs);
	t->null = fopen("/dev/null", "w");
	if (t->null == NULL) {
		fh_error_set(err, FH_EIO, "/dev/null: %s", strerror(errno));
		return false;
	}

	const struct fh_machine_options options = { .loop_ops = &loop_ops, .loop = run };

	t->m = fh_machine_new(&options, err);
	if (t->m == NULL)
		return false;
	t->memory = fh_machine_memory(t->m);
	t->system = fh_space_root(t->memory);
	t->ram = fh_region_new_ram(t->m, "ram", FH_TORTURE_RAM_SIZE, err);
	if (t->ram == NULL)
		return false;
	fh_region_add(t->system, t->ram, 0, -1);

	struct fh_object *const anchor =
		fh_object_new_child(t->m, "torture", &fh_torture_anchor_type, err);

	if (anchor == NULL)
		return false;
	*(struct fh_torture **)fh_object_state(anchor, &fh_torture_anchor_type) = t;
	return fh_machine_add_type(t->m, &fh_torture_device_type, err) == FH_OK &&
	       fh_machine_add_type(t->m, &fh_torture_own_type, err) == FH_OK;
}

static void start(struct run *run, const struct request *request)
{
	uint64_t seeds = request->seed;

	run->player_count = (size_t)request->threads;
	for (size_t i = 0; i < WORKERS; i++)
		pthread_create(&run->workers[i], NULL, fh_torture_worker, &run->t);
	for (size_t i = 0; i < run->player_count; i++) {
		struct player *const player = &run->players[i];

		player->run = run;
		player->random = fh_torture_random(&seeds);
		/* Relaxed: before there is a thread. */
		atomic_store_explicit(&player->doing, "nothing yet", memory_order_relaxed);
		pthread_create(&player->thread, NULL, play, player);
	}
	pthread_create(&run->watchdog, NULL, watch, run);
}

static void stop(struct run *run)
{
	struct fh_torture *const t = &run->t;

	set_phase(run, "joining the threads");
	/* Relaxed: the joins order what follows. */
	atomic_store_explicit(&run->stop, true, memory_order_relaxed);
	for (size_t i = 0; i < run->player_count; i++)
		pthread_join(run->players[i].thread, NULL);
	set_phase(run, "joining the workers");
	fh_torture_jobs_close(&t->jobs);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(run->workers[i], NULL);
	set_phase(run, "unplugging everything");
	fh_torture_clear(t);
	set_phase(run, "draining");
	fh_machine_drain(t->m);
	fh_torture_check_ears(t);

	pthread_mutex_lock(&run->lock);
	run->over = true;
	pthread_cond_broadcast(&run->wake);
	pthread_mutex_unlock(&run->lock);
	pthread_join(run->watchdog, NULL);
}

/* --- The whole ------------------------------------------------------------------------------ */

static int torture(const struct request *request)
{
	struct run *const run = calloc(1, sizeof(*run));
	struct fh_error err = FH_ERROR_INIT;

	if (run == NULL)
		return fh_cli_fail("torture: not enough memory");
	if (!set_up(run, &err))
		return fh_cli_fail("torture: %s", err.message);
	printf("torture: seed %" PRIu64 ", %" PRIu64 " threads, %" PRIu64 " seconds\n",
	       request->seed, request->threads, request->seconds);
	fflush(stdout);
	set_phase(run, "polling");
	start(run, request);
	poll_until(run, fh_machine_now(run->t.m) + request->seconds * SECOND);
	stop(run);
	fh_torture_print_report(&run->t);

	const int status = fh_torture_judge(&run->t);

	fclose(run->t.null);
	fh_torture_slots_fini(&run->t);
	pthread_mutex_destroy(&run->lock);
	pthread_cond_destroy(&run->wake);
	free(run);
	return status;
}

/* --- The command line ----------------------------------------------------------------------- */

static int parse(int argc, char **argv, struct request *request)
{
	const struct {
		const char *name;
		uint64_t min, max;
		uint64_t *number;
	} options[] = {
		{ "--seconds", 1, MOST_SECONDS, &request->seconds },
		{ "--seed", 0, UINT64_MAX, &request->seed },
		{ "--threads", 1, MOST_THREADS, &request->threads },
	};

	for (int i = 1; i < argc; i += 2) {
		size_t found = 0;

		while (found < sizeof(options) / sizeof(options[0]) &&
		       strcmp(argv[i], options[found].name) != 0)
			found++;
		if (found == sizeof(options) / sizeof(options[0]))
			return fh_cli_fail("torture: there is no option '%s'", argv[i]);
		if (i + 1 == argc)
			return fh_cli_fail("torture: %s needs a number", argv[i]);
		if (!fh_cli_parse_number(argv[i + 1], options[found].max, options[found].number) ||
		    *options[found].number < options[found].min)
			return fh_cli_fail("torture: %s: '%s' is not a number from %" PRIu64
					   " to %" PRIu64,
					   argv[i], argv[i + 1], options[found].min,
					   options[found].max);
	}
	return EXIT_SUCCESS;
}

int fh_cli_torture(int argc, char **argv)
{
	struct request request = { .seconds = 10, .threads = 8 };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(help, stdout);
			return EXIT_SUCCESS;
		}
	}
	if (getrandom(&request.seed, sizeof(request.seed), 0) != sizeof(request.seed))
		request.seed = (uint64_t)time(NULL);
	request.seed %= 1000000000; /* short enough to be typed */
	if (parse(argc, argv, &request) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	return torture(&request);
}
