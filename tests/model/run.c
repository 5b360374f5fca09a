/* SPDX-License-Identifier: MIT */
/*
 * Worlds of random edits, in a child process; see run.h. The edits are recorded in memory that both
 * share.
 */
#include "model/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	WORLD_EDITS = 4000,   /* no world is longer, without its end */
	WORLD_SECONDS = 60,   /* then it hangs */
	MINIMISE_SECONDS = 90,
	RECENT_EDITS = 60, /* printed of what cannot be made to happen again */
};

/* What parent and child share. */
struct record {
	uint64_t world; /* its number */
	size_t count;
	struct op ops[WORLD_EDITS + 1000];
	char failure[500];
	struct world_counts counts;
};

/* cmocka would make a failed test of a signal, and go on. */
static void let_signals_kill(void)
{
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
}

/* --- In the child --------------------------------------------------------------------------- */

static void add_counts(struct world_counts *sum, struct world_counts counts)
{
	sum->edits += counts.edits;
	sum->commits += counts.commits;
	sum->changes += counts.changes;
	sum->paintings += counts.paintings;
	sum->told += counts.told;
	sum->ranges += counts.ranges;
	sum->extras += counts.extras;
	sum->stores += counts.stores;
	sum->rings += counts.rings;
	sum->pages += counts.pages;
}

/* The world follows from the seed of the run and its number. */
static bool run_world(struct record *record, const struct run_plan *plan, uint64_t seed)
{
	struct rng rng = { seed ^ record->world * UINT64_C(0xd1342543de82ef95) };
	const struct style style = plan->style(&rng);
	const size_t edits = 50 + rng_below(&rng, 1 + rng_below(&rng, WORLD_EDITS - 50));
	struct world *world = world_new();
	bool good = true;

	struct op op;

	record->count = 0;
	alarm(WORLD_SECONDS);
	while (good && record->count < edits) {
		op = edit_choose(world_model(world), &style, world_depth(world), &rng);
		record->ops[record->count++] = op;
		good = world_apply(world, &op);
	}
	while (good && world_choose_end(world, &rng, &op)) {
		if (record->count == sizeof(record->ops) / sizeof(record->ops[0]))
			abort();
		record->ops[record->count++] = op;
		good = world_apply(world, &op);
	}
	add_counts(&record->counts, world_counts(world));
	return world_end(world, record->failure, sizeof(record->failure));
}

/* Again, without choosing: what is not possible any more is passed over. */
static bool run_again(struct record *record)
{
	struct world *world = world_new();
	bool good = true;

	alarm(WORLD_SECONDS);
	for (size_t i = 0; good && i < record->count; i++)
		good = world_apply(world, &record->ops[i]);
	return world_end(world, record->failure, sizeof(record->failure));
}

/* --- In the parent -------------------------------------------------------------------------- */

static struct record *record_new(void)
{
	struct record *record = mmap(NULL, sizeof(*record), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(record, MAP_FAILED);
	return record;
}

static void say_how_it_ended(struct record *record, int status)
{
	if (WIFSIGNALED(status) && !record->failure[0])
		snprintf(record->failure, sizeof(record->failure), "%s",
			 WTERMSIG(status) == SIGALRM ? "it hangs" : strsignal(WTERMSIG(status)));
	else if (status != 0 && !record->failure[0])
		snprintf(record->failure, sizeof(record->failure), "it exits with %d",
			 WEXITSTATUS(status));
}

/* Did the child fail? */
static bool wait_for(struct record *record, pid_t child)
{
	int status = 0;

	assert_true(child > 0);
	while (waitpid(child, &status, 0) != child)
		;
	say_how_it_ended(record, status);
	return status != 0;
}

static bool fails_again(struct record *record, bool silent)
{
	record->failure[0] = '\0';
	fflush(NULL);
	const pid_t child = fork();

	if (child == 0) {
		let_signals_kill();
		if (silent)
			dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		_exit(run_again(record) ? 0 : 1);
	}
	return wait_for(record, child);
}

/* Without @count edits from @from on: true, and they are gone, if that fails too. */
static bool try_without(struct record *record, struct op *saved, size_t from, size_t count)
{
	const size_t all = record->count;

	memcpy(saved, record->ops, all * sizeof(*saved));
	memmove(record->ops + from, record->ops + from + count,
		(all - from - count) * sizeof(*saved));
	record->count = all - count;
	if (fails_again(record, true))
		return true;
	memcpy(record->ops, saved, all * sizeof(*saved));
	record->count = all;
	return false;
}

static void minimise(struct record *record)
{
	struct op *saved = malloc(sizeof(record->ops));
	const time_t until = time(NULL) + MINIMISE_SECONDS;
	size_t chunk = record->count / 2;
	bool less = false;

	while (chunk > 0 && time(NULL) < until) {
		for (size_t from = 0; from + chunk <= record->count && time(NULL) < until;) {
			if (try_without(record, saved, from, chunk))
				less = true;
			else
				from += chunk;
		}
		if (chunk == 1 && !less)
			break;
		chunk = chunk > 1 ? chunk / 2 : 1;
		less = false;
	}
	free(saved);
}

static void report(struct record *record, uint64_t seed)
{
	const size_t count = record->count;
	size_t first = 0;

	fprintf(stderr, "world %" PRIu64 " of seed %" PRIu64 ": %s\n", record->world, seed,
		record->failure);
	if (fails_again(record, true)) {
		minimise(record);
		if (!fails_again(record, false))
			snprintf(record->failure, sizeof(record->failure), "not every time");
		fprintf(stderr, "of %zu edits, these suffice (%s):\n", count, record->failure);
	} else {
		first = count > RECENT_EDITS ? count - RECENT_EDITS : 0;
		fprintf(stderr, "it does not happen again; the last edits:\n");
	}
	for (size_t i = first; i < record->count; i++) {
		fprintf(stderr, "%5zu  ", i + 1);
		op_print(&record->ops[i], stderr);
	}
	fprintf(stderr, "again: FH_MODEL_SEED=%" PRIu64 " FH_MODEL_WORLD=%" PRIu64 "\n", seed,
		record->world);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	if (text && strcmp(text, "random") == 0)
		return (uint64_t)time(NULL) * 1000003 ^ (uint64_t)getpid();
	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void print_counts(const struct record *record)
{
	const struct world_counts *counts = &record->counts;

	fprintf(stderr,
		"%" PRIu64 " edits in %" PRIu64 " worlds, %" PRIu64 " commits (%" PRIu64
		" seen), %" PRIu64 " full paintings, %" PRIu64 " ranges compared, %" PRIu64
		" told\n",
		counts->edits, record->world + 1, counts->commits, counts->changes,
		counts->paintings, counts->ranges, counts->told);
	if (counts->stores > 0)
		fprintf(stderr,
			"%" PRIu64 " eventfds, coalesced ranges and logs told, %" PRIu64
			" stores, %" PRIu64 " rings, %" PRIu64 " dirty pages taken\n",
			counts->extras, counts->stores, counts->rings, counts->pages);
}

bool run_worlds(const struct run_plan *plan)
{
	const uint64_t seed = number_from("FH_MODEL_SEED", 20260);
	const uint64_t usual = plan->edits * number_from("FH_TEST_EFFORT", 100) / 100;
	const uint64_t edits = plan->variable ? number_from(plan->variable, usual) : usual;
	const uint64_t only = number_from("FH_MODEL_WORLD", UINT64_MAX);
	struct record *record = record_new();

	fprintf(stderr, "FH_MODEL_SEED=%" PRIu64 "\n", seed);
	fflush(NULL);
	record->world = only == UINT64_MAX ? 0 : only;
	const pid_t child = fork();

	if (child == 0) {
		let_signals_kill();
		bool good = run_world(record, plan, seed);

		while (good && only == UINT64_MAX && record->counts.edits < edits) {
			record->world++;
			good = run_world(record, plan, seed);
		}
		exit(good ? 0 : 1); /* not _exit: LeakSanitizer looks at exit */
	}
	const bool failed = wait_for(record, child);

	if (failed)
		report(record, seed);
	print_counts(record);
	munmap(record, sizeof(*record));
	return !failed;
}
