/* SPDX-License-Identifier: MIT */
/*
 * The ways to print a listing. None of them looks at anything but the listing.
 */
#ifndef MEMORY_LISTING_H
#define MEMORY_LISTING_H

#include "freehold/listing.h"

/* listing-text.c; flags are FH_MTREE_OWNERS, FH_MTREE_DISABLED. */
void fh_listing_print_tree(const struct fh_listing *listing, unsigned flags, FILE *out);
void fh_listing_print_flat(const struct fh_listing *listing, unsigned flags, FILE *out);

/* listing-json.c. */
void fh_listing_print_json(const struct fh_listing *listing, FILE *out);

#endif
