/* SPDX-License-Identifier: MIT */
/*
 * Maps in print: of random maps, what is printed as JSON builds the same map again, which shows the
 * same and is printed the same, to the byte.
 *
 *	FH_TEST_EFFORT=N	so many per cent of the usual number of worlds
 *	FH_MODEL_SEED=N		another run
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/map.h"
#include "model/look.h"
#include "support/scale.h"

enum { WORLDS = 40, EDITS = 600, PRINT_EVERY = 40 };

static char *json_of_machine(struct fh_machine *m, struct fh_space *space)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	fh_mtree(m, space, FH_MTREE_JSON, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *json_of_map(const struct fh_map *map)
{
	struct fh_listing *listing = fh_map_list(map);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	fh_listing_print(listing, FH_MTREE_JSON, out);
	fh_listing_free(listing);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* The first place where the two differ, for people. */
static void assert_same(const char *printed, const char *again)
{
	size_t at = 0, line = 0;

	if (strcmp(printed, again) == 0)
		return;
	for (; printed[at] == again[at]; at++)
		line = printed[at] == '\n' ? at + 1 : line;
	fail_msg("printed\n%.300s\nand then\n%.300s", printed + line, again + line);
}

static void check_print(struct fh_machine *m, struct fh_space *space)
{
	struct fh_error err = FH_ERROR_INIT;
	char *printed = json_of_machine(m, space);
	struct fh_map *map = fh_map_load_text(printed, strlen(printed), &err);

	if (!map || fh_map_build(map, &err) != FH_OK)
		fail_msg("%s in\n%s", err.message, printed);
	char *again = json_of_map(map);

	assert_same(printed, again);
	free(again);
	fh_map_free(map);
	free(printed);
}

static void check_world(uint64_t seed)
{
	struct rng rng = { seed };
	const struct style style = style_random(&rng);
	struct world *world = world_new();
	char failure[400] = "";

	for (unsigned i = 0; i < EDITS; i++) {
		const struct op op = edit_choose(world_model(world), &style, world_depth(world),
						 &rng);

		if (!world_apply(world, &op))
			fail_msg("%s", world_failure(world));
		if (i % PRINT_EVERY != 0 || world_depth(world) > 0)
			continue;
		check_print(world->m, NULL);
		check_print(world->m, fh_machine_memory(world->m));
	}
	if (!world_end(world, failure, sizeof(failure)))
		fail_msg("%s", failure);
}

static void random_map_is_built_again_from_its_json(void **state)
{
	const char *seed = getenv("FH_MODEL_SEED");
	const uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;

	(void)state;
	for (unsigned i = 0; i < scaled(WORLDS); i++)
		check_world(first * 1000003 + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_map_is_built_again_from_its_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
