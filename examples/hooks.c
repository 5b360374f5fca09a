/* SPDX-License-Identifier: MIT */
/*
 * What a program may have to say when the library has no memory or finds a programmer's error. A
 * service would write to its log, and drop a cache before it gives up.
 */
#include <freehold/freehold.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <syslog.h>

static void *_Atomic cache;

/* True if there was one. */
static bool cache_drop(void)
{
	void *dropped = atomic_exchange(&cache, NULL);

	free(dropped);
	return dropped;
}

/* Instead of a line on standard error; afterwards the process aborts. */
void fh_hook_panic(const char *line)
{
	syslog(LOG_CRIT, "%s", line);
}

/* There is something that can be given up: once. */
bool fh_hook_no_memory(size_t size, unsigned attempt)
{
	(void)size, (void)attempt;
	return cache_drop();
}

int main(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;
	cache = malloc(1 << 20);

	/* As the library would call it. */
	const bool good = fh_hook_no_memory(64, 1) && !fh_hook_no_memory(64, 2);

	return fh_ledger_print(m, stdout) != 0 || fh_machine_destroy(m) != 0 || !good;
}
