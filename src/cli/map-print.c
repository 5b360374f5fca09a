/* SPDX-License-Identifier: MIT */
/*
 * A map as text: flat, range by range as the guest sees it, or as the tree that it is made of. The
 * layout is the one that users of QEMU's `info mtree` and `info mtree -f` read every day.
 *
 * R1. All but names and kinds is asked of the library, not taken from the file.
 * R2. No recursion: the depth of a map is for the file to choose. Nor does the width of a line grow
 *     with it: below DEEPEST_INDENT the depth is a number.
 */
#include "cli/map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define DEEPEST_INDENT 64

/* What stands in place of a missing or empty name. */
static void put_name(const char *name, FILE *out)
{
	fh_cli_put_text(name[0] != '\0' ? name : "(unnamed)", out);
}

static void put_region_name(const struct fh_map *map, uint32_t number, FILE *out)
{
	put_name(number != FH_MAP_NONE ? map->regions[number].name : "(none)", out);
}

static uint32_t root_of(const struct fh_map *map, const struct fh_map_space *space)
{
	struct fh_region *const root = fh_space_root(space->space);

	return root != NULL ? fh_map_number(map, root) : FH_MAP_NONE;
}

/* Spaces with the same root are listed together, at the place of the first of them. */
struct groups {
	uint32_t *roots; /* by space */
	size_t *next;	 /* by space: the next with the same root, or 0 */
	uint8_t *later;	 /* by space: it is not the first of its root */
};

static void *new_array(size_t count, size_t size)
{
	void *const array = calloc(count + 1, size);

	if (array == NULL)
		abort();
	return array;
}

static struct groups new_groups(const struct fh_map *map)
{
	struct groups groups = {
		.roots = new_array(map->space_count, sizeof(*groups.roots)),
		.next = new_array(map->space_count, sizeof(*groups.next)),
		.later = new_array(map->space_count, sizeof(*groups.later)),
	};
	/* By region, and one more for none: the last space seen with that root, plus one. */
	size_t *const latest = new_array(map->region_count + 1, sizeof(*latest));

	for (size_t i = 0; i < map->space_count; i++) {
		const uint32_t root = root_of(map, &map->spaces[i]);
		size_t *const last = &latest[root != FH_MAP_NONE ? root : map->region_count];

		groups.roots[i] = root;
		if (*last != 0) {
			groups.next[*last - 1] = i;
			groups.later[i] = 1;
		}
		*last = i + 1;
	}
	free(latest);
	return groups;
}

static void free_groups(struct groups *groups)
{
	free(groups->roots);
	free(groups->next);
	free(groups->later);
}

/* --- Flat ----------------------------------------------------------------------------------- */

struct listing {
	const struct fh_map *map;
	FILE *out;
	uint64_t count;
};

static bool put_range(const struct fh_section *section, void *arg)
{
	struct listing *const listing = arg;
	FILE *const out = listing->out;

	fprintf(out, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s%s): ", section->first,
		section->last, fh_region_get_info(section->region).priority,
		section->nonvolatile ? "nv-" : "", fh_map_shows_as(listing->map, section));
	put_region_name(listing->map, fh_map_number(listing->map, section->region), out);
	if (section->offset != 0)
		fprintf(out, " @%016" PRIx64, section->offset);
	putc('\n', out);
	listing->count++;
	return true;
}

static void put_flat_head(const struct fh_map *map, const struct groups *groups, size_t first,
			  FILE *out)
{
	const uint32_t root = groups->roots[first];
	size_t i = first;

	do {
		fputs(" AS \"", out);
		fh_cli_put_text(map->spaces[i].name, out);
		fputs("\", root: ", out);
		put_region_name(map, root, out);
		if (root != FH_MAP_NONE && map->regions[root].kind == FH_MAP_ALIAS) {
			fputs(", alias ", out);
			put_region_name(map, map->regions[root].target, out);
		}
		putc('\n', out);
		i = groups->next[i];
	} while (i != 0);
	fputs(" Root memory region: ", out);
	put_region_name(map, root, out);
	putc('\n', out);
}

void fh_map_print_flat(const struct fh_map *map, FILE *out)
{
	struct groups groups = new_groups(map);
	unsigned view = 0;

	for (size_t i = 0; i < map->space_count; i++) {
		struct listing listing = { .map = map, .out = out };

		if (groups.later[i])
			continue;
		fprintf(out, "FlatView #%u\n", view++);
		put_flat_head(map, &groups, i, out);
		fh_space_each(map->spaces[i].space, put_range, &listing);
		if (listing.count == 0)
			fputs("  No rendered FlatView\n", out);
		putc('\n', out);
	}
	free_groups(&groups);
}

/* --- Tree ----------------------------------------------------------------------------------- */

/* An address of the tree: a sum along its containers, which may pass 2^64 for good. */
typedef unsigned __int128 fh_map_addr;

struct branch {
	fh_map_addr addr;
	uint32_t region;
	uint32_t depth;
	size_t rank; /* among its siblings; 0 is topmost */
};

struct tree {
	const struct fh_map *map;
	FILE *out;
	uint8_t *seen;	      /* by region: it has been printed */
	const char **kinds;   /* by region: what it shows as, once that is known */
	uint32_t *chain;      /* for kind_in_tree() */
	struct branch *stack; /* still to be printed, the next one last */
	size_t count;
	size_t capacity;
};

static void push(struct tree *tree, struct branch branch)
{
	if (tree->count == tree->capacity) {
		const size_t capacity = tree->capacity * 2 + 64;
		struct branch *const stack = realloc(tree->stack, capacity * sizeof(*stack));

		if (stack == NULL)
			abort();
		tree->stack = stack;
		tree->capacity = capacity;
	}
	tree->stack[tree->count++] = branch;
}

static uint64_t clip(fh_map_addr addr)
{
	return addr > UINT64_MAX ? UINT64_MAX : (uint64_t)addr;
}

static uint64_t last_of(fh_map_addr first, uint64_t size)
{
	return clip(first + (size == FH_SIZE_ALL ? UINT64_MAX : size != 0 ? size - 1 : 0));
}

/* What @number shows as, if it is not an alias of something. */
static const char *own_kind(const struct fh_map *map, uint32_t number)
{
	const struct fh_map_region *const region = &map->regions[number];
	const struct fh_region_info info = fh_region_get_info(region->region);

	if (info.readonly && (region->kind == FH_MAP_RAM || region->kind == FH_MAP_ROMD))
		return fh_map_kind_names[FH_MAP_ROM];
	if (region->kind == FH_MAP_MMIO || (region->kind == FH_MAP_ROMD && !info.rom_mode))
		return "i/o";
	return fh_map_kind_names[region->kind];
}

/* The same of what shows as @kind, seen through the alias @number. */
static const char *alias_kind(const struct fh_map *map, uint32_t number, const char *kind)
{
	const bool readonly = fh_region_get_info(map->regions[number].region).readonly;
	const bool is_memory = strcmp(kind, fh_map_kind_names[FH_MAP_RAM]) == 0 ||
			       strcmp(kind, fh_map_kind_names[FH_MAP_ROMD]) == 0;

	return readonly && is_memory ? fh_map_kind_names[FH_MAP_ROM] : kind;
}

/* What a region shows as by itself; an alias as what it shows. Each is found out once. */
static const char *kind_in_tree(const struct tree *tree, uint32_t number)
{
	const struct fh_map_region *const regions = tree->map->regions;
	size_t length = 0;
	uint32_t at = number;

	while (tree->kinds[at] == NULL) {
		if (regions[at].target == FH_MAP_NONE)
			tree->kinds[at] = own_kind(tree->map, at);
		else
			tree->chain[length++] = at;
		at = regions[at].target != FH_MAP_NONE ? regions[at].target : at;
	}
	while (length-- > 0) {
		const char *const kind = tree->kinds[at];

		at = tree->chain[length];
		tree->kinds[at] = alias_kind(tree->map, at, kind);
	}
	return tree->kinds[number];
}

static void put_alias(const struct tree *tree, const struct fh_region_info *info)
{
	const uint32_t target = info->alias_target != NULL ?
					fh_map_number(tree->map, info->alias_target) :
					FH_MAP_NONE;

	fputs(" @", tree->out);
	put_region_name(tree->map, target, tree->out);
	fprintf(tree->out, " %016" PRIx64 "-%016" PRIx64, info->alias_offset,
		last_of(info->alias_offset, info->size));
}

static void put_branch(const struct tree *tree, const struct branch *branch)
{
	const struct fh_map_region *const region = &tree->map->regions[branch->region];
	const struct fh_region_info info = fh_region_get_info(region->region);
	FILE *const out = tree->out;

	const bool deep = branch->depth > DEEPEST_INDENT;

	fprintf(out, "%*s", 2 * (int)(deep ? DEEPEST_INDENT : branch->depth), "");
	if (deep)
		fprintf(out, "[depth %u] ", branch->depth);
	fprintf(out, "%016" PRIx64 "-%016" PRIx64 " (prio %d, %s%s): ", clip(branch->addr),
		last_of(branch->addr, info.size), info.priority, info.nonvolatile ? "nv-" : "",
		kind_in_tree(tree, branch->region));
	if (info.kind == FH_REGION_ALIAS)
		fputs("alias ", out);
	put_name(region->name, out);
	if (info.kind == FH_REGION_ALIAS)
		put_alias(tree, &info);
	if (info.size == 0)
		fputs(" [empty]", out);
	if (!info.enabled)
		fputs(" [disabled]", out);
	putc('\n', out);
}

static int compare_branches(const void *a, const void *b)
{
	const struct branch *const left = a, *const right = b;

	if (left->addr != right->addr)
		return left->addr < right->addr ? 1 : -1;
	return (left->rank < right->rank) - (left->rank > right->rank);
}

/* By address, of the same address topmost first; as on a stack, in reverse. */
static void push_subs(struct tree *tree, const struct branch *branch)
{
	const struct fh_map *const map = tree->map;
	size_t count;
	uint32_t *const subs =
		fh_map_subs(map, map->regions[branch->region].region, &count);
	const size_t start = tree->count;

	for (size_t i = 0; i < count; i++) {
		const struct fh_region_info info = fh_region_get_info(map->regions[subs[i]].region);

		push(tree, (struct branch){ .addr = branch->addr + info.addr,
					    .region = subs[i],
					    .depth = branch->depth + 1,
					    .rank = i });
	}
	free(subs);
	if (count > 1)
		qsort(tree->stack + start, count, sizeof(*tree->stack), compare_branches);
}

static void put_tree(struct tree *tree, uint32_t root)
{
	push(tree, (struct branch){ .addr = 0, .region = root, .depth = 1 });
	while (tree->count > 0) {
		const struct branch branch = tree->stack[--tree->count];

		tree->seen[branch.region] = 1;
		put_branch(tree, &branch);
		push_subs(tree, &branch);
	}
	putc('\n', tree->out);
}

static void put_spaces(struct tree *tree)
{
	const struct fh_map *const map = tree->map;
	struct groups groups = new_groups(map);

	for (size_t i = 0; i < map->space_count; i++) {
		size_t j = i;

		if (groups.later[i])
			continue;
		do {
			fputs("address-space: ", tree->out);
			put_name(map->spaces[j].name, tree->out);
			putc('\n', tree->out);
			j = groups.next[j];
		} while (j != 0);
		if (groups.roots[i] != FH_MAP_NONE)
			put_tree(tree, groups.roots[i]);
		else
			putc('\n', tree->out);
	}
	free_groups(&groups);
}

void fh_map_print_tree(const struct fh_map *map, FILE *out)
{
	struct tree tree = {
		.map = map,
		.out = out,
		.seen = new_array(map->region_count, sizeof(*tree.seen)),
		.kinds = new_array(map->region_count, sizeof(*tree.kinds)),
		.chain = new_array(map->region_count, sizeof(*tree.chain)),
	};

	put_spaces(&tree);
	/* What no space has in its own tree: targets of aliases, and what is not in use. */
	for (size_t i = 0; i < map->region_count; i++) {
		if (tree.seen[i] || fh_region_get_info(map->regions[i].region).container != NULL)
			continue;
		fputs("memory-region: ", out);
		put_name(map->regions[i].name, out);
		putc('\n', out);
		put_tree(&tree, (uint32_t)i);
	}
	free(tree.stack);
	free(tree.seen);
	free(tree.kinds);
	free(tree.chain);
}
