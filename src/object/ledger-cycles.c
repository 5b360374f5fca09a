/* SPDX-License-Identifier: MIT */
/*
 * The cycles in the graph of ledger.c, under the locks of its R3.
 *
 * R1. An object is *lost* if it is disposed of, or if all its refs are owned by what is lost:
 *     nobody will ever ask for its dispose. What keeps it so are, until its dispose, refs alone, as
 *     the dispose ends the pins; and afterwards refs and pins. Cycles of such edges are printed.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "object/ledger.h"

struct node {
	struct fh_object *object;
	size_t next_edge;  /* to be followed next */
	uint32_t own_refs; /* that are no edges: of callers */
	bool lost;	   /* R1 */
	int state;	   /* 0 new, 1 on the path, 2 done */
};

struct search {
	struct node *nodes;
	size_t count;
	size_t *path;
	size_t depth;
};

static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return x->object < y->object ? -1 : x->object > y->object;
}

static int compare_objects(const struct fh_object *a, const struct fh_object *b)
{
	return a < b ? -1 : a > b;
}

static int compare_keepers(const void *a, const void *b)
{
	const struct fh_edge *x = a, *y = b;

	return compare_objects(x->keeper, y->keeper);
}

/* By what is kept; those of one keeper are neighbours, its refs first. */
static int compare_kept(const void *a, const void *b)
{
	const struct fh_edge *x = a, *y = b;

	if (x->kept != y->kept)
		return compare_objects(x->kept, y->kept);
	if (x->keeper != y->keeper)
		return compare_objects(x->keeper, y->keeper);
	return (int)x->way - (int)y->way;
}

static struct node *node_of(const struct search *search, struct fh_object *object)
{
	const struct node key = { .object = object };

	return bsearch(&key, search->nodes, search->count, sizeof(key), compare_nodes);
}

/* Sorts the edges, so that a node's are those from its next_edge on. */
static void sort_edges(struct search *search, struct fh_graph *graph, bool by_keeper)
{
	if (graph->count > 0)
		qsort(graph->edges, graph->count, sizeof(*graph->edges),
		      by_keeper ? compare_keepers : compare_kept);
	for (size_t i = 0; i < search->count; i++)
		search->nodes[i].next_edge = graph->count;
	for (size_t i = graph->count; i-- > 0;) {
		const struct fh_edge *edge = &graph->edges[i];
		struct node *node = node_of(search, by_keeper ? edge->keeper : edge->kept);

		if (node)
			node->next_edge = i; /* ends at the first of its edges */
	}
}

static bool is_dead(const struct fh_object *object)
{
	return fh_object_has(object, FH_OBJECT_REQUESTED);
}

/* In use: by the path as a stack, so is what it owns a ref of. */
static void push_if_lost(struct search *search, struct node *node)
{
	if (!node || !node->lost || is_dead(node->object))
		return;
	node->lost = false;
	search->path[search->depth++] = (size_t)(node - search->nodes);
}

/* R1: from what callers have, go on to what that has. */
static void find_lost(struct search *search, struct fh_graph *graph)
{
	for (size_t i = 0; i < search->count; i++) {
		search->nodes[i].lost = true;
		search->nodes[i].own_refs = fh_object_refs(search->nodes[i].object);
	}
	for (size_t i = 0; i < graph->count; i++) {
		const struct fh_edge *edge = &graph->edges[i];
		struct node *kept = node_of(search, edge->kept);

		/* The root is in no list: what it is the parent of is in use. */
		if (kept && fh_edge_is_ref(edge) && node_of(search, edge->keeper))
			kept->own_refs--;
	}
	sort_edges(search, graph, true);
	for (size_t i = 0; i < search->count; i++)
		if (search->nodes[i].own_refs > 0)
			push_if_lost(search, &search->nodes[i]);
	while (search->depth > 0) {
		const struct node *node = &search->nodes[search->path[--search->depth]];

		for (size_t i = node->next_edge; i < graph->count; i++) {
			if (graph->edges[i].keeper != node->object)
				break;
			if (fh_edge_is_ref(&graph->edges[i]))
				push_if_lost(search, node_of(search, graph->edges[i].kept));
		}
	}
}

/* The node that keeps @edge's, if that is of those that R1 speaks of. */
static struct node *lost_keeper(const struct search *search, const struct fh_edge *edge)
{
	struct node *keeper = node_of(search, edge->keeper);

	if (!keeper || !keeper->lost || (!fh_edge_is_ref(edge) && !is_dead(edge->kept)))
		return NULL;
	/* Its dispose is under way, and its children go with it or when it is over. */
	if (edge->way == FH_WAY_DISPOSE || (edge->way == FH_WAY_PARENT && is_dead(edge->keeper)))
		return NULL;
	return keeper;
}

/* Each way in which the next of the path keeps @node; its next_edge is the first. */
static void print_ways(const struct search *search, const struct fh_graph *graph,
		       const struct node *node, FILE *out)
{
	const struct fh_edge *edge = &graph->edges[node->next_edge];
	const struct fh_edge *const end = graph->edges + graph->count;
	const struct fh_object *keeper = edge->keeper;

	for (; edge < end && edge->kept == node->object && edge->keeper == keeper; edge++) {
		if (!lost_keeper(search, edge))
			continue;
		fputs("        ", out);
		fh_ledger_put_way(edge, out);
		fputc('\n', out);
	}
}

/* The path from @first_depth to its end, which the last edge closes. */
static void print_cycle(const struct search *search, const struct fh_graph *graph,
			size_t first_depth, FILE *out)
{
	fprintf(out, "cycle: each is kept by the next\n");
	for (size_t d = first_depth; d < search->depth; d++) {
		const struct node *node = &search->nodes[search->path[d]];

		fprintf(out, "    ");
		fh_ledger_put_name(node->object, out);
		fputc('\n', out);
		print_ways(search, graph, node, out);
	}
	fprintf(out, "    and again ");
	fh_ledger_put_name(search->nodes[search->path[first_depth]].object, out);
	fputc('\n', out);
}

/* One step of the depth-first search from the end of the path; edges are sorted by what is kept. */
static void search_step(struct search *search, const struct fh_graph *graph, FILE *out)
{
	struct node *node = &search->nodes[search->path[search->depth - 1]];
	const struct fh_object *last = NULL;

	for (; node->next_edge < graph->count; node->next_edge++) {
		const struct fh_edge *edge = &graph->edges[node->next_edge];
		struct node *keeper;

		if (edge->kept != node->object)
			break;
		if (edge->keeper == last)
			continue;
		keeper = lost_keeper(search, edge);
		if (!keeper || keeper->state == 2)
			continue;
		last = edge->keeper;
		if (keeper->state == 0) {
			keeper->state = 1;
			search->path[search->depth++] = (size_t)(keeper - search->nodes);
			return; /* to come here again when the keeper is done */
		}
		for (size_t d = 0; d < search->depth; d++)
			if (&search->nodes[search->path[d]] == keeper)
				print_cycle(search, graph, d, out);
	}
	node->state = 2;
	search->depth--;
}

void fh_ledger_put_cycles(struct fh_machine *m, struct fh_graph *graph, FILE *out)
{
	struct search search = { 0 };
	size_t capacity = 0;

	fh_list_for_each(link, &m->objects)
		capacity++;
	search.nodes = fh_zalloc((capacity + 1) * sizeof(*search.nodes));
	search.path = fh_zalloc((capacity + 1) * sizeof(*search.path));
	fh_list_for_each_entry(object, &m->objects, struct fh_object, all)
		search.nodes[search.count++].object = object;
	qsort(search.nodes, search.count, sizeof(*search.nodes), compare_nodes);
	find_lost(&search, graph);
	sort_edges(&search, graph, false);
	for (size_t i = 0; i < search.count; i++) {
		if (search.nodes[i].state != 0 || !search.nodes[i].lost)
			continue;
		search.nodes[i].state = 1;
		search.path[search.depth++] = i;
		while (search.depth > 0)
			search_step(&search, graph, out);
	}
	fh_free(search.nodes);
	fh_free(search.path);
}
