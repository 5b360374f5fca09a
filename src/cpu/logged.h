/* SPDX-License-Identifier: MIT */
/*
 * Pages of logged memory that a hart may write without marking each store, since they are dirty
 * already. See logged.c.
 */
#ifndef CPU_LOGGED_H
#define CPU_LOGGED_H

#include "cpu/hart.h"

void logged_init(struct hart *h);
void logged_free(struct hart *h);

/* --- The hart's thread, in a slice ------------------------------------------------------------ */

/*
 * Around everything in which the hart writes through its TLB: a slice, less the accesses on its way
 * that may run callbacks.
 */
void logged_resume_slow(struct hart *h);
void logged_pause_slow(struct hart *h);

static inline void logged_resume(struct hart *h)
{
	if (h->logged_count)
		logged_resume_slow(h);
}

static inline void logged_pause(struct hart *h)
{
	if (h->logged_count)
		logged_pause_slow(h);
}

/*
 * The page at pa, which is that of the region at offset, is going to be marked dirty, and then may
 * be entered for writing. False: not that.
 */
bool logged_open(struct hart *h, uint64_t pa, struct fh_region *region, uint64_t offset);

/* It was opened, and is still: it may be entered for writing. */
bool logged_is_open(struct hart *h, uint64_t pa, const struct fh_region *region, uint64_t offset);

/* Of tlb_close_logged(): its write tags go. Within logged.c's lock. */
bool logged_is_closing(const struct hart *h, uint64_t pa);

/* --- The map's listener, any thread ----------------------------------------------------------- */

/* Bits of the section were taken. */
void logged_note_taken(struct hart *h, const struct fh_section *section);
/* Somebody begins to log it, whom writes of a moment before do not concern. */
void logged_note_started(struct hart *h, const struct fh_section *section);
/* It is gone. */
void logged_note_gone(struct hart *h, const struct fh_section *section);

#endif
