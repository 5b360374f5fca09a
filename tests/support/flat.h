/* SPDX-License-Identifier: MIT */
/*
 * What a space shows, as one line of text that a test can compare:
 *
 *	"0-fff ram+0, 1000-1fff regs+0 ro"
 *
 * range, name of the region, offset in it; ro, romd, nv as they apply. "" is an empty space.
 * Included once, by the test's own file.
 */
#ifndef SUPPORT_FLAT_H
#define SUPPORT_FLAT_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <freehold/freehold.h>

struct flat {
	char text[4096];
	size_t used;
};

static inline void flat_add(struct flat *flat, const struct fh_section *section)
{
	const char *name = fh_object_name(section->region);
	const int length =
		snprintf(flat->text + flat->used, sizeof(flat->text) - flat->used,
			 "%s%" PRIx64 "-%" PRIx64 " %s+%" PRIx64 "%s%s%s", flat->used ? ", " : "",
			 section->first, section->last, name ? name : "?", section->offset,
			 section->readonly ? " ro" : "", section->rom_mode ? " romd" : "",
			 section->nonvolatile ? " nv" : "");

	assert_true(length > 0 && (size_t)length < sizeof(flat->text) - flat->used);
	flat->used += (size_t)length;
}

static inline bool flat_visit(const struct fh_section *section, void *arg)
{
	flat_add(arg, section);
	return true;
}

static inline struct flat flat_of(struct fh_space *space)
{
	struct flat flat = { .used = 0 };

	fh_space_each(space, flat_visit, &flat);
	return flat;
}

#define assert_flat(space, expected) assert_string_equal(flat_of(space).text, expected)

#endif
