/* SPDX-License-Identifier: MIT */
/* Numbers that look random, the same in each run: of one thread, which has the seed. */
#ifndef SUPPORT_RANDOM_H
#define SUPPORT_RANDOM_H

/* One of 0 to @limit - 1; @limit is at most 32768. */
static inline unsigned below(unsigned *seed, unsigned limit)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 16 & 0x7fff) % limit;
}

#endif
