/* SPDX-License-Identifier: MIT */
/*
 * Every death can be explained (L8): who keeps an object, as a graph of all that are alive.
 *
 * R1. Nothing is recorded for this while the machine runs. Holders are found by going through all
 *     objects: an object's parent, strong links, the pins on each holder's list, what a region or
 *     line pins by its nature. What the life word says beyond that is callers' refs and uses in flight.
 * R2. The ledger lock keeps every object that is looked at in memory: finalize takes an object off the
 *     list before it frees it. Names and parents are read under the tree lock, which is taken before
 *     it. Output is composed in memory and written without any lock.
 * R3. The graph is built, and searched for cycles, under the tree, ledger and links locks: a ref that
 *     a parent or a link owns is then counted as long as the graph has its edge. So what has more refs
 *     than edges is in use by a caller, and nothing that is in use is taken for lost.
 * R4. An object is *lost* if it is disposed of, or if all its refs are owned by what is lost: nobody
 *     will ever ask for its dispose. What keeps it so are, until its dispose, refs alone, as the
 *     dispose ends the pins; and afterwards refs and pins. Cycles of such edges are printed.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "object/machine.h"

/* How one object keeps another; refs come first. */
enum way { WAY_PARENT, WAY_LINK, WAY_NATURE, WAY_PIN };

/* @keeper keeps @kept. */
struct edge {
	struct fh_object *kept;
	struct fh_object *keeper;
	enum way way;
	const char *name; /* of the link's property; what it is by nature; of the pin */
};

struct graph {
	struct edge *edges;
	size_t count, capacity;
	struct fh_object *keeper; /* whose edges are being added */
};

static bool edge_is_ref(const struct edge *edge)
{
	return edge->way <= WAY_LINK;
}

static void graph_add(struct graph *graph, struct fh_object *kept, enum way way, const char *name)
{
	if (graph->count == graph->capacity) {
		graph->capacity = graph->capacity ? graph->capacity * 2 : 64;
		graph->edges = fh_realloc(graph->edges, graph->capacity * sizeof(*graph->edges));
	}
	graph->edges[graph->count++] = (struct edge){
		.kept = kept, .keeper = graph->keeper, .way = way, .name = name
	};
}

static void add_pin(struct fh_object *target, const char *kind, void *arg)
{
	graph_add(arg, target, WAY_PIN, kind);
}

static void add_strong(struct fh_object *target, const char *name, void *arg)
{
	graph_add(arg, target, WAY_LINK, name);
}

/* Of R3. */
static void graph_lock(struct fh_machine *m) FH_NO_THREAD_SAFETY_ANALYSIS
{
	fh_tree_acquire(m);
	fh_ledger_acquire(m);
	fh_links_acquire(m);
}

static void graph_unlock(struct fh_machine *m) FH_NO_THREAD_SAFETY_ANALYSIS
{
	fh_lock_release(&m->links_lock);
	fh_lock_release(&m->ledger_lock);
	fh_lock_release(&m->tree_lock);
}

static void graph_build_locked(struct graph *graph, struct fh_machine *m)
{
	fh_list_for_each_entry(object, &m->objects, struct fh_object, all) {
		const struct fh_core_ops *core = object->class->core;

		if (object->parent) {
			graph->keeper = object->parent;
			graph_add(graph, object, WAY_PARENT, NULL);
		}
		graph->keeper = object;
		if (core->held_by_nature) {
			struct fh_object *kept = core->held_by_nature(object);

			if (kept && kept != object)
				graph_add(graph, kept, WAY_NATURE,
					  core->held_as ? core->held_as : "owner");
		}
		fh_holding_each(object, add_pin, graph);
		fh_properties_each_strong_locked(object, add_strong, graph);
	}
}

static const char *state_of(const struct fh_object *object)
{
	if (fh_object_has(object, FH_OBJECT_FINALIZING))
		return "finalizing";
	if (fh_object_has(object, FH_OBJECT_LEFT))
		return "disposed";
	if (fh_object_has(object, FH_OBJECT_REQUESTED))
		return "being disposed";
	return fh_object_has(object, FH_OBJECT_SHOWN) ? "shown" : "not shown";
}

/* Tree lock held. */
static void print_name(struct fh_object *object, FILE *out)
{
	char *path = fh_object_path_locked(object);

	fprintf(out, "%s [%s, %s]", path, object->class->type->name, state_of(object));
	fh_free(path);
}

/* What is kept is that to its keeper, whose name follows. */
static void print_way(const struct edge *edge, FILE *out)
{
	switch (edge->way) {
	case WAY_PARENT: fprintf(out, "ref: child of"); break;
	case WAY_LINK: fprintf(out, "ref: link '%s' of", edge->name); break;
	case WAY_NATURE: fprintf(out, "pin: %s of", edge->name); break;
	case WAY_PIN: fprintf(out, "pin: '%s' of", edge->name); break;
	}
}

/* What is known of who keeps @object; @view_pins are accounted for already. Locks held. */
static void explain_locked(struct fh_object *object, const struct graph *graph, uint32_t view_pins,
			   FILE *out)
{
	uint32_t refs = fh_object_refs(object);
	uint32_t pins = fh_object_pins(object);
	const uint32_t blocked = atomic_load_explicit(&object->blocked, memory_order_relaxed);

	if (refs > 0 && pins > 0)
		pins--; /* all refs together */
	pins -= view_pins < pins ? view_pins : pins;
	for (size_t i = 0; i < graph->count; i++) {
		const struct edge *edge = &graph->edges[i];
		uint32_t *left = edge_is_ref(edge) ? &refs : &pins;

		if (edge->kept != object)
			continue;
		fputs("    ", out);
		if (edge->way == WAY_PARENT) {
			fputs("ref: its parent\n", out);
		} else {
			print_way(edge, out);
			fputc(' ', out);
			print_name(edge->keeper, out);
			fputc('\n', out);
		}
		*left -= *left > 0;
	}
	if (blocked > 0)
		fprintf(out, "    %u of its callbacks blocked and have not returned\n", blocked);
	if (refs > 0)
		fprintf(out, "    ref: %u of callers\n", refs);
	if (pins > 0)
		fprintf(out, "    pin: %u in flight (queued work, grace periods, callbacks)\n", pins);
}

/* --- Cycles --------------------------------------------------------------------------------- */

struct node {
	struct fh_object *object;
	size_t next_edge;  /* to be followed next */
	uint32_t own_refs; /* that are no edges: of callers */
	bool lost;	   /* R4 */
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
	const struct edge *x = a, *y = b;

	return compare_objects(x->keeper, y->keeper);
}

/* By what is kept; those of one keeper are neighbours, its refs first. */
static int compare_kept(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

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
static void sort_edges(struct search *search, struct graph *graph, bool by_keeper)
{
	if (graph->count > 0)
		qsort(graph->edges, graph->count, sizeof(*graph->edges),
		      by_keeper ? compare_keepers : compare_kept);
	for (size_t i = 0; i < search->count; i++)
		search->nodes[i].next_edge = graph->count;
	for (size_t i = graph->count; i-- > 0;) {
		const struct edge *edge = &graph->edges[i];
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

/* R4: from what callers have, go on to what that has. */
static void find_lost(struct search *search, struct graph *graph)
{
	for (size_t i = 0; i < search->count; i++) {
		search->nodes[i].lost = true;
		search->nodes[i].own_refs = fh_object_refs(search->nodes[i].object);
	}
	for (size_t i = 0; i < graph->count; i++) {
		const struct edge *edge = &graph->edges[i];
		struct node *kept = node_of(search, edge->kept);

		/* The root is in no list: what it is the parent of is in use. */
		if (kept && edge_is_ref(edge) && node_of(search, edge->keeper))
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
			if (edge_is_ref(&graph->edges[i]))
				push_if_lost(search, node_of(search, graph->edges[i].kept));
		}
	}
}

/* The node that keeps @edge's, if that is of those that R4 speaks of. */
static struct node *lost_keeper(const struct search *search, const struct edge *edge)
{
	struct node *keeper = node_of(search, edge->keeper);

	if (!keeper || !keeper->lost || (!edge_is_ref(edge) && !is_dead(edge->kept)))
		return NULL;
	/* Its dispose is under way, and its children go with it. */
	return edge->way == WAY_PARENT && is_dead(edge->keeper) ? NULL : keeper;
}

/* Each way in which the next of the path keeps @node; its next_edge is the first. */
static void print_ways(const struct search *search, const struct graph *graph,
		       const struct node *node, FILE *out)
{
	const struct edge *edge = &graph->edges[node->next_edge];
	const struct edge *const end = graph->edges + graph->count;
	const struct fh_object *keeper = edge->keeper;

	for (; edge < end && edge->kept == node->object && edge->keeper == keeper; edge++) {
		if (!lost_keeper(search, edge))
			continue;
		fputs("        ", out);
		print_way(edge, out);
		fputc('\n', out);
	}
}

/* The path from @first_depth to its end, which the last edge closes. */
static void print_cycle(const struct search *search, const struct graph *graph, size_t first_depth,
			FILE *out)
{
	fprintf(out, "cycle: each is kept by the next\n");
	for (size_t d = first_depth; d < search->depth; d++) {
		const struct node *node = &search->nodes[search->path[d]];

		fprintf(out, "    ");
		print_name(node->object, out);
		fputc('\n', out);
		print_ways(search, graph, node, out);
	}
	fprintf(out, "    and again ");
	print_name(search->nodes[search->path[first_depth]].object, out);
	fputc('\n', out);
}

/* One step of the depth-first search from the end of the path; edges are sorted by what is kept. */
static void search_step(struct search *search, const struct graph *graph, FILE *out)
{
	struct node *node = &search->nodes[search->path[search->depth - 1]];
	const struct fh_object *last = NULL;

	for (; node->next_edge < graph->count; node->next_edge++) {
		const struct edge *edge = &graph->edges[node->next_edge];
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

/* Cycles among what is lost, each once; R3's locks held. */
static void print_cycles_locked(struct fh_machine *m, struct graph *graph, FILE *out)
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

/* --- Public --------------------------------------------------------------------------------- */

static void write_out(char *text, size_t size, FILE *out)
{
	fwrite(text, 1, size, out);
	free(text);
}

/* @own_pins: the caller's, not to be counted. */
static void explain(struct fh_object *object, uint32_t own_pins, FILE *out)
{
	struct fh_machine *m = object->machine;
	struct graph graph = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	if (!memory)
		return;
	fh_tree_acquire(m);
	print_name(object, memory);
	fh_lock_release(&m->tree_lock);
	fprintf(memory, ": %u refs, %u pins\n", fh_object_refs(object),
		fh_object_pins(object) - own_pins);
	const uint32_t view_pins = m->ops->explain(object, memory) + own_pins;

	graph_lock(m);
	graph_build_locked(&graph, m);
	explain_locked(object, &graph, view_pins, memory);
	graph_unlock(m);
	fh_free(graph.edges);
	fclose(memory);
	write_out(text, size, out);
}

void fh_object_explain(FH_ANY any, FILE *out)
{
	explain(fh_object_of(any), 0, out);
}

/* What the ledger counts as alive, and of these the first @room, pinned. Ledger lock held. */
static uint64_t survivors_locked(struct fh_machine *m, struct fh_object **ret_objects, size_t room)
{
	uint64_t alive = 0;

	fh_list_for_each_entry(object, &m->objects, struct fh_object, all) {
		if (fh_object_has(object, FH_OBJECT_BUILTIN))
			continue;
		if (alive < room) {
			ret_objects[alive] = object;
			/* One that is being finalized cannot be pinned any more, and is not explained. */
			uint64_t life = atomic_load_explicit(&object->life, memory_order_relaxed);

			while (life != 0 &&
			       !atomic_compare_exchange_weak_explicit(
				       &object->life, &life, life + FH_LIFE_PIN,
				       memory_order_relaxed, memory_order_relaxed))
				;
			if (life == 0)
				ret_objects[alive] = NULL;
		}
		alive++;
	}
	return alive;
}

struct fh_ledger fh_ledger_read(struct fh_machine *m)
{
	struct fh_ledger ledger = { 0 };

	fh_ledger_acquire(m);
	ledger.alive = survivors_locked(m, NULL, 0);
	ledger.died = m->died;
	ledger.created = ledger.alive + ledger.died;
	fh_lock_release(&m->ledger_lock);
	return ledger;
}

#define FH_LEDGER_EXPLAINED 100 /* survivors explained one by one */

int fh_ledger_print(struct fh_machine *m, FILE *out)
{
	struct fh_object *survivors[FH_LEDGER_EXPLAINED];
	struct graph graph = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	graph_lock(m);
	const uint64_t alive = survivors_locked(m, survivors, FH_LEDGER_EXPLAINED);
	const uint64_t died = m->died;

	if (memory) {
		graph_build_locked(&graph, m);
		print_cycles_locked(m, &graph, memory);
	}
	graph_unlock(m);
	fh_free(graph.edges);
	fprintf(out, "ledger: %llu objects created, %llu died, %llu alive\n",
		(unsigned long long)(alive + died), (unsigned long long)died,
		(unsigned long long)alive);
	for (size_t i = 0; i < alive && i < FH_LEDGER_EXPLAINED; i++) {
		if (!survivors[i])
			continue;
		fprintf(out, "  ");
		explain(survivors[i], 1, out);
		fh_object_unhold(survivors[i]);
	}
	if (alive > FH_LEDGER_EXPLAINED)
		fprintf(out, "  ... and %llu more\n",
			(unsigned long long)(alive - FH_LEDGER_EXPLAINED));
	if (memory) {
		fclose(memory);
		write_out(text, size, out);
	}
	return alive > INT_MAX ? INT_MAX : (int)alive;
}
