/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a map file. What is one is built; what is printed of it as JSON is a map file again,
 * of the same map: printed once more, it is the same bytes. All other ways to print it come to an
 * end.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/map.h"

/* What shows more is as good as any other map, but takes long. */
#define PIECE_LIMIT 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* NULL: it is none, or too large. */
static struct fh_map *build(const char *text, size_t size, struct fh_error *err)
{
	struct fh_map *map = fh_map_load_text(text, size, err);

	if (map && (map->piece_count > PIECE_LIMIT || fh_map_build(map, err) != FH_OK))
		map = fh_map_free(map);
	return map;
}

/* Owned by caller. */
static char *print(const struct fh_map *map, unsigned flags)
{
	struct fh_listing *listing = fh_map_list(map);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	fh_listing_print(listing, flags, out);
	fh_listing_free(listing);
	fclose(out);
	return text;
}

static void check_again(const char *printed)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_map *map = build(printed, strlen(printed), &err);
	struct fh_map_tally tally = { 0 };
	FILE *out = fopen("/dev/null", "w");
	struct fh_listing *listing;
	char *again;

	if (!map) {
		fprintf(stderr, "%s\n%s\n", err.message, printed);
		abort();
	}
	again = print(map, FH_MTREE_JSON);
	listing = fh_map_list(map);
	if (fh_map_diff(listing, listing, stderr) > 0)
		abort();
	fh_map_draw(listing, NULL, out, NULL);
	fh_listing_free(listing);
	fh_map_compare(map, "again", out, &tally);
	if (strcmp(printed, again) != 0 || tally.differ > 0) {
		fprintf(stderr, "%s\n%s\n", printed, again);
		abort();
	}
	free(again);
	fclose(out);
	fh_map_free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_map *map = build((const char *)data, size, &err);
	char *json;

	if (!map)
		return 0;
	free(print(map, FH_MTREE_FLAT | FH_MTREE_OWNERS));
	free(print(map, FH_MTREE_DISABLED | FH_MTREE_OWNERS));
	json = print(map, FH_MTREE_JSON);
	check_again(json);
	free(json);
	fh_map_free(map);
	return 0;
}
