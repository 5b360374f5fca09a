/* SPDX-License-Identifier: MIT */
/*
 * The end of `freehold torture`: let go of everything, say what was done, and judge what is left.
 */
#include "cli/torture.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cli/cli.h"

/* --- Letting go ----------------------------------------------------------------------------- */

static bool dispose_child(struct fh_object *child, void *arg)
{
	(void)arg;
	fh_object_dispose(child);
	return true;
}

/* Let go of everything, so that nothing but the library could still keep something alive. */
void fh_torture_clear(struct fh_torture *t)
{
	for (size_t i = 0; i < FH_TORTURE_HOLDS; i++)
		fh_torture_hold_free(fh_torture_swap(&t->holds[i], NULL));
	for (size_t i = 0; i < FH_TORTURE_WEAKS; i++)
		fh_weak_free(fh_torture_swap(&t->weaks[i], NULL));
	for (size_t i = 0; i < FH_TORTURE_LISTENERS; i++)
		fh_object_unref(fh_torture_swap(&t->listeners[i], NULL));
	for (size_t i = 0; i < FH_TORTURE_SPACES; i++)
		fh_object_unref(fh_torture_swap(&t->spaces[i], NULL));
	for (size_t i = 0; i < FH_TORTURE_LOOSE; i++)
		fh_object_unref(fh_torture_swap(&t->loose[i], NULL));
	for (size_t i = 0; i < FH_TORTURE_OBJECTS; i++)
		fh_object_unref(fh_torture_swap(&t->objects[i], NULL));
	for (size_t i = 0; i < FH_TORTURE_DEVICES; i++) {
		struct fh_device *const device = fh_torture_swap(&t->devices[i], NULL);

		fh_device_unplug(device);
		fh_object_unref(device);
	}
	fh_object_each_child(t->m, dispose_child, NULL);
	t->ram = fh_object_unref(t->ram);
}

/* Listeners that have heard additions and removals of the same sections have heard nothing. */
void fh_torture_check_ears(struct fh_torture *t)
{
	/* Acquire: pairs with the release of who put it in front. */
	struct fh_torture_ear *ear = atomic_load_explicit(&t->ears, memory_order_acquire);

	while (ear != NULL) {
		struct fh_torture_ear *const next = ear->next;

		fh_torture_check(t, ear->count == 0 && ear->sum == 0,
				 "a listener was told of additions and not of their removal");
		free(ear);
		ear = next;
	}
}

/* --- The report ----------------------------------------------------------------------------- */

static void print_counts(const char *name, struct fh_torture_counts *counts)
{
	printf("  %-20s", name);
	for (size_t i = 0; i < FH_TORTURE_OUTCOMES; i++)
		/* Relaxed: all threads have been joined. */
		printf(" %12" PRIu64,
		       atomic_load_explicit(&counts->by_outcome[i], memory_order_relaxed));
	putchar('\n');
}

static uint64_t read_count(_Atomic uint64_t *count)
{
	/* Relaxed: all threads have been joined. */
	return atomic_load_explicit(count, memory_order_relaxed);
}

void fh_torture_print_report(struct fh_torture *t)
{
	printf("  %-20s %12s %12s %12s\n", "on threads", "done", "refused", "idle");
	for (size_t i = 0; i < t->row_count; i++)
		print_counts(t->rows[i].name, &t->row_counts[i]);
	printf("  %-20s %12s %12s %12s\n", "in callbacks", "done", "refused", "idle");
	for (size_t i = 0; i < fh_torture_command_count; i++)
		print_counts(fh_torture_command_table[i].name, &t->commands[i]);
	printf("accesses: %" PRIu64 " ok, %" PRIu64 " device errors, %" PRIu64
	       " re-entries refused, %" PRIu64 " denied, %" PRIu64 " decode errors\n",
	       read_count(&t->results[FH_TX_OK]), read_count(&t->results[FH_TX_DEVICE_ERROR]),
	       read_count(&t->results[FH_TX_REENTRY]), read_count(&t->results[FH_TX_DENIED]),
	       read_count(&t->results[FH_TX_DECODE_ERROR]));
	printf("devices: %" PRIu64 " made, %" PRIu64 " realized, %" PRIu64 " finalized, %" PRIu64
	       " callbacks\n",
	       read_count(&t->serials), read_count(&t->realized), read_count(&t->finalized),
	       read_count(&t->callbacks));
}

/* The machine is drained: whatever is alive is so for a reason that should not be. */
int fh_torture_judge(struct fh_torture *t)
{
	const int alive = fh_ledger_print(t->m, stdout);

	fh_torture_check(t, read_count(&t->finalized) == read_count(&t->serials),
			 "not every device was finalized exactly once");
	if (alive == 0)
		fh_torture_check(t, fh_machine_destroy(t->m) == 0,
				 "an empty machine was not destroyed");

	const uint64_t failures = read_count(&t->failures);

	if (alive != 0)
		return fh_cli_fail("torture: %d objects are still alive", alive);
	if (failures != 0)
		return fh_cli_fail("torture: %" PRIu64 " checks failed", failures);
	return EXIT_SUCCESS;
}
