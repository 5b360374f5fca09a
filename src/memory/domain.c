/* SPDX-License-Identifier: MIT */
/*
 * Domains: what serialises the callbacks of a device and of all that share it. See chain.h, R4.
 */
#include "base/alloc.h"
#include "memory/chain.h"

struct fh_domain *fh_domain_new(void)
{
	/* A cache line of its own: it is written for every access to a register. */
	struct fh_domain *domain = fh_zalloc_aligned(64, 64);

	_Static_assert(sizeof(*domain) <= 64, "a domain fits into its line");
	fh_lock_init(&domain->lock);
	atomic_store_explicit(&domain->refs, 1, memory_order_relaxed);
	return domain;
}

struct fh_domain *fh_domain_ref(struct fh_domain *domain)
{
	/* Relaxed: whoever adds one has one. */
	const uint32_t refs = atomic_fetch_add_explicit(&domain->refs, 1, memory_order_relaxed);

	fh_assert(refs != 0);
	return domain;
}

struct fh_domain *fh_domain_unref(struct fh_domain *domain)
{
	if (!domain)
		return NULL;
	/* Release what was done with it; acquire, in the last one, what all others did. */
	const uint32_t refs = atomic_fetch_sub_explicit(&domain->refs, 1, memory_order_acq_rel);

	fh_assert(refs != 0);
	if (refs == 1) {
		fh_assert(!fh_lock_owner(&domain->lock));
		fh_free(domain);
	}
	return NULL;
}
