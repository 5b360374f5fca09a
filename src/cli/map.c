/* SPDX-License-Identifier: MIT */
/*
 * The command `freehold map`: render a memory map from a file, or check it against the views that
 * the file says it has.
 */
#include "cli/map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const char help[] =
	"Usage: freehold map [--flat|--tree|--json] [-o] [-D] FILE.json\n"
	"       freehold map --check FILE.json...\n"
	"       freehold map --diff OLD.json NEW.json\n"
	"       freehold map --svg OUT [--space NAME] FILE.json\n"
	"\n"
	"Build the memory map that the file describes and print it.\n"
	"\n"
	"  --flat   for each address space the ranges that a guest sees (the default)\n"
	"  --tree   the tree of regions that each address space is made of\n"
	"  --json   both, in the format of the file\n"
	"  --check  compare each address space with the view in the file; print the first\n"
	"           difference of each that differs, and a count; exit status 1 if any does\n"
	"  --diff   compare what the spaces of two files show: a line for each range that\n"
	"           appeared, went, moved or changed; exit status 1 if there is one, 2 on trouble\n"
	"  --svg    draw what each space shows, and the layers of which that comes, to the\n"
	"           file OUT (-: standard output); with --space, the spaces of that name alone\n"
	"  -o       with --flat and --tree: whose each region is\n"
	"  -D       with --tree: also what is disabled or not shown\n";

enum mode { MODE_FLAT, MODE_TREE, MODE_JSON, MODE_CHECK, MODE_DIFF, MODE_SVG };

struct request {
	enum mode mode;
	unsigned flags;	   /* enum fh_mtree */
	const char *out;   /* --svg: the file */
	const char *space; /* --space, or NULL */
	char **files;
	int file_count;
};

static const struct {
	const char *name;
	unsigned flags;
} modes[] = {
	[MODE_FLAT] = { "--flat", FH_MTREE_FLAT },
	[MODE_TREE] = { "--tree", 0 },
	[MODE_JSON] = { "--json", FH_MTREE_JSON },
	[MODE_CHECK] = { "--check", 0 },
	[MODE_DIFF] = { "--diff", 0 },
	[MODE_SVG] = { "--svg", 0 },
};

/* A map ready to be printed (owned by caller), or NULL and a line on standard error. */
static struct fh_map *load_and_build(const char *path)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_map *map = fh_map_load(path, &err);

	if (map != NULL && fh_map_build(map, &err) != FH_OK)
		map = fh_map_free(map);
	if (map == NULL)
		fh_cli_fail("%s: %s", path, err.message);
	return map;
}

static int print_file(const struct request *request)
{
	FH_CLEANUP(fh_map_freep) struct fh_map *map = load_and_build(request->files[0]);

	if (map == NULL)
		return EXIT_FAILURE;

	FH_CLEANUP(fh_listing_freep) struct fh_listing *listing = fh_map_list(map);

	fh_listing_print(listing, request->flags | modes[request->mode].flags, stdout);
	return EXIT_SUCCESS;
}

/* False after a line on standard error. */
static bool check_file(const char *path, struct fh_map_tally *tally)
{
	FH_CLEANUP(fh_map_freep) struct fh_map *map = load_and_build(path);

	if (map == NULL)
		return false;
	for (size_t i = 0; i < map->space_count; i++) {
		if (!map->spaces[i].has_flat) {
			fh_cli_fail("%s: spaces[%zu].flat: missing", path, i);
			return false;
		}
	}
	fh_map_compare(map, path, stdout, tally);
	return true;
}

static int check_files(const struct request *request)
{
	struct fh_map_tally tally = { 0 };
	bool all_read = true;

	for (int i = 0; i < request->file_count; i++)
		all_read = check_file(request->files[i], &tally) && all_read;
	printf("%" PRIu64 " spaces exact, %" PRIu64 " differ\n", tally.exact, tally.differ);
	return all_read && tally.differ == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* As diff has it: 2 is trouble. */
enum { DIFF_TROUBLE = 2 };

static int diff_files(const struct request *request)
{
	FH_CLEANUP(fh_map_freep) struct fh_map *old = load_and_build(request->files[0]);
	FH_CLEANUP(fh_map_freep) struct fh_map *new = load_and_build(request->files[1]);

	if (old == NULL || new == NULL)
		return DIFF_TROUBLE;

	FH_CLEANUP(fh_listing_freep) struct fh_listing *before = fh_map_list(old);
	FH_CLEANUP(fh_listing_freep) struct fh_listing *after = fh_map_list(new);
	const uint64_t lines = fh_map_diff(before, after, stdout);

	if (!fh_cli_flush())
		return DIFF_TROUBLE;
	return lines == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int draw_to(const struct fh_listing *listing, const struct request *request, FILE *out)
{
	struct fh_error err = FH_ERROR_INIT;

	if (fh_map_draw(listing, request->space, out, &err) != FH_OK)
		return fh_cli_fail("%s: %s", request->files[0], err.message);
	return EXIT_SUCCESS;
}

static int draw_file(const struct request *request)
{
	FH_CLEANUP(fh_map_freep) struct fh_map *map = load_and_build(request->files[0]);

	if (map == NULL)
		return EXIT_FAILURE;

	FH_CLEANUP(fh_listing_freep) struct fh_listing *listing = fh_map_list(map);

	if (strcmp(request->out, "-") == 0)
		return draw_to(listing, request, stdout);

	FILE *const out = fopen(request->out, "we");

	if (out == NULL)
		return fh_cli_fail("%s: %s", request->out, strerror(errno));

	const int status = draw_to(listing, request, out);
	const bool failed = ferror(out) != 0;

	if ((fclose(out) != 0 || failed) && status == EXIT_SUCCESS)
		return fh_cli_fail("%s: cannot be written", request->out);
	return status;
}

/* The flag of an option that says more, or 0. */
static unsigned flag_of(const char *option)
{
	if (strcmp(option, "-o") == 0)
		return FH_MTREE_OWNERS;
	return strcmp(option, "-D") == 0 ? FH_MTREE_DISABLED : 0;
}

static int parse_mode(const char *option, const char **ret_mode, struct request *request)
{
	size_t found = 0;

	while (found < sizeof(modes) / sizeof(modes[0]) && strcmp(option, modes[found].name) != 0)
		found++;
	if (found == sizeof(modes) / sizeof(modes[0]))
		return fh_cli_fail("map: there is no option '%s'", option);
	if (*ret_mode != NULL && strcmp(*ret_mode, option) != 0)
		return fh_cli_fail("map: %s and %s exclude each other", *ret_mode, option);
	*ret_mode = modes[found].name;
	request->mode = (enum mode)found;
	return EXIT_SUCCESS;
}

/* Files are gathered at the start of @argv. */
static int parse(int argc, char **argv, struct request *request)
{
	const char *mode = NULL;
	bool options = true;

	request->files = argv;
	for (int i = 1; i < argc; i++) {
		if (!options || argv[i][0] != '-')
			request->files[request->file_count++] = argv[i];
		else if (strcmp(argv[i], "--") == 0)
			options = false;
		else if (flag_of(argv[i]) != 0)
			request->flags |= flag_of(argv[i]);
		else if (strcmp(argv[i], "--space") == 0 && i + 1 < argc)
			request->space = argv[++i];
		else if (parse_mode(argv[i], &mode, request) != EXIT_SUCCESS)
			return EXIT_FAILURE;
		else if (request->mode == MODE_SVG && request->out == NULL && i + 1 < argc)
			request->out = argv[++i];
	}
	if (request->file_count == 0)
		return fh_cli_fail("map: a file is missing; try 'freehold map --help'");
	if (request->space != NULL && request->mode != MODE_SVG)
		return fh_cli_fail("map: only --svg has --space");
	if (request->mode == MODE_DIFF && request->file_count != 2)
		return fh_cli_fail("map: --diff takes two files");
	if (request->file_count > 1 && request->mode != MODE_CHECK && request->mode != MODE_DIFF)
		return fh_cli_fail("map: more than one file; only --check takes several");
	return EXIT_SUCCESS;
}

int fh_cli_map(int argc, char **argv)
{
	struct request request = { .mode = MODE_FLAT };
	int trouble = EXIT_FAILURE;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(help, stdout);
			return EXIT_SUCCESS;
		}
		if (strcmp(argv[i], modes[MODE_DIFF].name) == 0)
			trouble = DIFF_TROUBLE;
	}
	if (parse(argc, argv, &request) != EXIT_SUCCESS)
		return trouble;
	switch (request.mode) {
	case MODE_CHECK:
		return check_files(&request);
	case MODE_DIFF:
		return diff_files(&request);
	case MODE_SVG:
		return draw_file(&request);
	default:
		return print_file(&request);
	}
}
