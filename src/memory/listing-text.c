/* SPDX-License-Identifier: MIT */
/*
 * A listing as text: flat, range by range as the guest sees it, or as the tree that it is made of.
 * The layout is the one that users of QEMU's `info mtree` and `info mtree -f` read every day.
 *
 * R1. No recursion: the depth of a map is for others to choose. Nor does the width of a line grow
 *     with it: below DEEPEST_INDENT the depth is a number.
 */
#include <inttypes.h>
#include <string.h>

#include "memory/listing.h"
#include "memory/vector.h"

#define DEEPEST_INDENT 64

/* --- Words ---------------------------------------------------------------------------------- */

static void put_text(const char *text, FILE *out)
{
	for (; *text != '\0'; text++)
		putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

/* What stands in place of a name that is missing or empty. */
static void put_name(const char *name, FILE *out)
{
	put_text(name[0] != '\0' ? name : "(unnamed)", out);
}

static void put_region_name(const struct fh_listing *listing, uint32_t number, FILE *out)
{
	put_name(number != FH_LISTED_NONE ? listing->regions[number].name : "(none)", out);
}

static void put_owner(const struct fh_listed_owner *owner, unsigned flags, FILE *out)
{
	if (!(flags & FH_MTREE_OWNERS) || !owner->path)
		return;
	fprintf(out, " %s:{%s path=", owner->is_parent ? "parent" : "owner",
		owner->is_device ? "dev" : "obj");
	put_text(owner->path, out);
	putc('}', out);
}

/* --- Groups --------------------------------------------------------------------------------- */

/* Spaces with the same root are listed together, at the place of the first of them. */
struct group {
	size_t next; /* by space: the next with the same root, or 0 */
	bool later;  /* it is not the first of its root */
};

static struct group *new_groups(const struct fh_listing *listing)
{
	struct group *groups = fh_zalloc((listing->space_count + 1) * sizeof(*groups));
	/* By region, and one more for none: the last space seen with that root, plus one. */
	size_t *latest = fh_zalloc((listing->region_count + 1) * sizeof(*latest));

	for (size_t i = 0; i < listing->space_count; i++) {
		const uint32_t root = listing->spaces[i].root;
		size_t *last = &latest[root != FH_LISTED_NONE ? root : listing->region_count];

		if (*last != 0) {
			groups[*last - 1].next = i;
			groups[i].later = true;
		}
		*last = i + 1;
	}
	fh_free(latest);
	return groups;
}

/* --- Flat ----------------------------------------------------------------------------------- */

static void put_range(const struct fh_listing *listing, const struct fh_listed_range *range,
		      unsigned flags, FILE *out)
{
	const struct fh_listed_region *region = &listing->regions[range->region];

	fprintf(out, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s%s): ", range->first, range->last,
		region->priority, range->nonvolatile ? "nv-" : "", range->as);
	put_name(region->name, out);
	if (range->offset != 0)
		fprintf(out, " @%016" PRIx64, range->offset);
	put_owner(&region->owner, flags, out);
	putc('\n', out);
}

static void put_flat_head(const struct fh_listing *listing, const struct group *groups,
			  size_t first, unsigned flags, FILE *out)
{
	const uint32_t root = listing->spaces[first].root;
	size_t i = first;

	do {
		fputs(" AS \"", out);
		put_text(listing->spaces[i].name, out);
		fputs("\", root: ", out);
		put_region_name(listing, root, out);
		if (root != FH_LISTED_NONE && strcmp(listing->regions[root].kind, "alias") == 0) {
			fputs(", alias ", out);
			put_region_name(listing, listing->regions[root].target, out);
		}
		put_owner(&listing->spaces[i].owner, flags, out);
		putc('\n', out);
		i = groups[i].next;
	} while (i != 0);
	fputs(" Root memory region: ", out);
	put_region_name(listing, root, out);
	putc('\n', out);
}

void fh_listing_print_flat(const struct fh_listing *listing, unsigned flags, FILE *out)
{
	struct group *groups = new_groups(listing);
	unsigned view = 0;

	for (size_t i = 0; i < listing->space_count; i++) {
		const struct fh_listed_space *space = &listing->spaces[i];

		if (groups[i].later)
			continue;
		fprintf(out, "FlatView #%u\n", view++);
		put_flat_head(listing, groups, i, flags, out);
		for (size_t j = 0; j < space->range_count; j++)
			put_range(listing, &listing->ranges[space->first_range + j], flags, out);
		if (space->range_count == 0)
			fputs("  No rendered FlatView\n", out);
		putc('\n', out);
	}
	fh_free(groups);
}

/* --- Tree ----------------------------------------------------------------------------------- */

/* An address of the tree: a sum along its containers, which may pass 2^64 for good. */
typedef unsigned __int128 tree_addr;

struct branch {
	tree_addr addr;
	uint32_t region;
	uint32_t depth;
	size_t rank; /* among its siblings; 0 is topmost */
};
FH_VECTOR(branch_list, struct branch);

struct tree {
	const struct fh_listing *listing;
	unsigned flags;
	FILE *out;
	bool *seen;		  /* by region: it has been printed, or left out */
	const char **kinds;	  /* by region: what it shows as, once that is known */
	uint32_t *chain;	  /* for kind_in_tree() */
	struct branch_list stack; /* still to be printed, the next one last */
};

static uint64_t clip(tree_addr addr)
{
	return addr > UINT64_MAX ? UINT64_MAX : (uint64_t)addr;
}

static uint64_t last_of(tree_addr first, uint64_t size)
{
	return clip(first + (size == FH_SIZE_ALL ? UINT64_MAX : size != 0 ? size - 1 : 0));
}

static bool is_memory(const char *kind)
{
	return strncmp(kind, "ram", 3) == 0 || strcmp(kind, "romd") == 0;
}

/* What a region shows as, if it is not an alias of something. */
static const char *own_kind(const struct fh_listed_region *region)
{
	if (region->readonly && is_memory(region->kind))
		return "rom";
	if (strcmp(region->kind, "mmio") == 0 ||
	    (strcmp(region->kind, "romd") == 0 && !region->rom_mode))
		return "i/o";
	return region->kind;
}

/* What a region shows as by itself; an alias as what it shows. Each is found out once. */
static const char *kind_in_tree(const struct tree *tree, uint32_t number)
{
	const struct fh_listed_region *regions = tree->listing->regions;
	size_t length = 0;
	uint32_t at = number;

	for (; !tree->kinds[at]; at = regions[at].target) {
		if (regions[at].target == FH_LISTED_NONE) {
			tree->kinds[at] = own_kind(&regions[at]);
			break;
		}
		tree->chain[length++] = at;
	}
	while (length-- > 0) {
		const char *kind = tree->kinds[at];

		at = tree->chain[length];
		tree->kinds[at] = regions[at].readonly && is_memory(kind) ? "rom" : kind;
	}
	return tree->kinds[number];
}

static void put_branch(const struct tree *tree, const struct branch *branch)
{
	const struct fh_listed_region *region = &tree->listing->regions[branch->region];
	const bool is_alias = strcmp(region->kind, "alias") == 0;
	const bool deep = branch->depth > DEEPEST_INDENT;
	FILE *out = tree->out;

	fprintf(out, "%*s", 2 * (int)(deep ? DEEPEST_INDENT : branch->depth), "");
	if (deep)
		fprintf(out, "[depth %u] ", branch->depth);
	fprintf(out, "%016" PRIx64 "-%016" PRIx64 " (prio %d, %s%s): %s", clip(branch->addr),
		last_of(branch->addr, region->size), region->priority,
		region->nonvolatile ? "nv-" : "", kind_in_tree(tree, branch->region),
		is_alias ? "alias " : "");
	put_name(region->name, out);
	if (is_alias) {
		fputs(" @", out);
		put_region_name(tree->listing, region->target, out);
		fprintf(out, " %016" PRIx64 "-%016" PRIx64, region->alias_offset,
			last_of(region->alias_offset, region->size));
	}
	fputs(region->size == 0 ? " [empty]" : "", out);
	fputs(!region->enabled ? " [disabled]" : "", out);
	fputs(!region->shown ? " [not shown]" : "", out);
	put_owner(&region->owner, tree->flags, out);
	putc('\n', out);
}

static int compare_branches(const void *a, const void *b)
{
	const struct branch *left = a, *right = b;

	if (left->addr != right->addr)
		return left->addr < right->addr ? 1 : -1;
	return (left->rank < right->rank) - (left->rank > right->rank);
}

/* By address, of the same address topmost first; as on a stack, in reverse. */
static void push_subs(struct tree *tree, const struct branch *branch)
{
	const struct fh_listed_region *region = &tree->listing->regions[branch->region];
	const size_t start = tree->stack.count;

	for (uint32_t i = 0; i < region->sub_count; i++) {
		const uint32_t sub = region->subs[i];

		fh_vector_add(&tree->stack) = (struct branch){
			.addr = branch->addr + tree->listing->regions[sub].addr,
			.region = sub,
			.depth = branch->depth + 1,
			.rank = i,
		};
	}
	if (region->sub_count > 1)
		qsort(tree->stack.at + start, region->sub_count, sizeof(*tree->stack.at),
		      compare_branches);
}

static void put_tree(struct tree *tree, uint32_t root)
{
	fh_vector_add(&tree->stack) = (struct branch){ .region = root, .depth = 1 };
	while (tree->stack.count > 0) {
		const struct branch branch = tree->stack.at[--tree->stack.count];
		const struct fh_listed_region *region = &tree->listing->regions[branch.region];

		tree->seen[branch.region] = true;
		if ((!region->enabled || !region->shown) && !(tree->flags & FH_MTREE_DISABLED))
			continue;
		put_branch(tree, &branch);
		push_subs(tree, &branch);
	}
	putc('\n', tree->out);
}

static void put_spaces(struct tree *tree)
{
	const struct fh_listing *listing = tree->listing;
	struct group *groups = new_groups(listing);

	for (size_t i = 0; i < listing->space_count; i++) {
		size_t j = i;

		if (groups[i].later)
			continue;
		do {
			fputs("address-space: ", tree->out);
			put_name(listing->spaces[j].name, tree->out);
			put_owner(&listing->spaces[j].owner, tree->flags, tree->out);
			putc('\n', tree->out);
			j = groups[j].next;
		} while (j != 0);
		if (listing->spaces[i].root != FH_LISTED_NONE)
			put_tree(tree, listing->spaces[i].root);
		else
			putc('\n', tree->out);
	}
	fh_free(groups);
}

void fh_listing_print_tree(const struct fh_listing *listing, unsigned flags, FILE *out)
{
	const size_t room = listing->region_count + 1;
	struct tree tree = {
		.listing = listing,
		.flags = flags,
		.out = out,
		.seen = fh_zalloc(room * sizeof(*tree.seen)),
		.kinds = fh_zalloc(room * sizeof(*tree.kinds)),
		.chain = fh_zalloc(room * sizeof(*tree.chain)),
	};

	put_spaces(&tree);
	/* What no space has in its own tree: targets of aliases, and what is not in use. */
	for (size_t i = 0; i < listing->region_count; i++) {
		if (tree.seen[i] || listing->regions[i].container != FH_LISTED_NONE)
			continue;
		fputs("memory-region: ", out);
		put_name(listing->regions[i].name, out);
		putc('\n', out);
		put_tree(&tree, (uint32_t)i);
	}
	fh_vector_free(&tree.stack);
	fh_free(tree.seen);
	fh_free(tree.kinds);
	fh_free(tree.chain);
}
