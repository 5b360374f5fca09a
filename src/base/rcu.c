/* SPDX-License-Identifier: MIT */
/*
 * The rare half of read sections, and grace periods. See rcu.h for R1-R4.
 */
#include "base/rcu.h"

#include <stdatomic.h>

#if FH_TSAN
#include <sanitizer/tsan_interface.h>

/* Its address is the tag of R4. */
static char section_tag;

void fh_rcu_tsan_section_ends(void)
{
	__tsan_release(&section_tag);
}

static void tsan_grace_period_over(void)
{
	__tsan_acquire(&section_tag);
}
#else
static void tsan_grace_period_over(void)
{
}
#endif

unsigned fh_rcu_leave(struct fh_thread *t)
{
	const unsigned depth = t->depth;

	if (depth > 0) {
		t->depth = 1;
		fh_rcu_read_end(t);
	}
	return depth;
}

void fh_rcu_resume(struct fh_thread *t, unsigned depth)
{
	fh_assert(t->depth == 0);
	if (depth > 0) {
		fh_rcu_read_begin(t);
		t->depth = depth;
	}
}

void fh_rcu_synchronize(void)
{
	fh_thread_assert_may_wait(fh_thread_self());
	/* Nor in a section that the embedder opened through urcu-bp: it would wait for itself. */
	fh_assert(!_urcu_bp_read_ongoing());
	urcu_bp_synchronize_rcu();
	tsan_grace_period_over();
}

uint64_t fh_ticket(void)
{
	/* Process-wide, as the grace periods are. Relaxed: only that no two are equal matters. */
	static _Atomic uint64_t last_ticket;

	return atomic_fetch_add_explicit(&last_ticket, 1, memory_order_relaxed) + 1;
}
