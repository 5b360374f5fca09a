/* SPDX-License-Identifier: MIT */
/*
 * The heavy half of asymmetric barriers. See barrier.h.
 */
#include "base/barrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

static bool membarrier(int command)
{
	const int kept = errno;
	const bool done = syscall(SYS_membarrier, command, 0, 0) == 0;

	errno = kept;
	return done;
}

bool fh_barrier_register(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

void fh_barrier_heavy(void)
{
	const bool done = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);

	/* A sandbox that forbids it after it was registered breaks liburcu as well. */
	fh_assert(done);
}
