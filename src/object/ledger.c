/* SPDX-License-Identifier: MIT */
/*
 * Every death can be explained (L8): who keeps an object, as a graph of all that are alive.
 *
 * R1. Nothing is recorded for this while the machine runs. Holders are found by going through all
 *     objects: an object's parent, strong links, the pins on each holder's list, what a region or
 *     line pins by its nature, what is kept for a dispose. What the life word says beyond that is
 *     callers' refs and uses in flight.
 * R2. The ledger lock keeps every object that is looked at in memory: finalize takes an object off
 *     the list before it frees it. Names and parents are read under the tree lock, which is taken
 *     before it. Output is composed in memory and written without any lock.
 * R3. The graph is built, and searched for cycles (ledger-cycles.c), under the tree, ledger and
 *     links locks: a ref that a parent or a link owns is then counted as long as the graph has its
 *     edge. So what has more refs than edges is in use by a caller, and nothing that is in use is
 *     taken for lost.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "object/family.h"
#include "object/ledger.h"

static void graph_add(struct fh_graph *graph, struct fh_object *kept, enum fh_way way,
		      const char *name)
{
	if (graph->count == graph->capacity) {
		graph->capacity = graph->capacity ? graph->capacity * 2 : 64;
		graph->edges = fh_realloc(graph->edges, graph->capacity * sizeof(*graph->edges));
	}
	graph->edges[graph->count++] = (struct fh_edge){
		.kept = kept, .keeper = graph->keeper, .way = way, .name = name
	};
}

static void add_pin(struct fh_object *target, const char *kind, void *arg)
{
	graph_add(arg, target, FH_WAY_PIN, kind);
}

static void add_gone(struct fh_object *child, void *arg)
{
	graph_add(arg, child, FH_WAY_DISPOSE, NULL);
}

static void add_strong(struct fh_object *target, const char *name, void *arg)
{
	graph_add(arg, target, FH_WAY_LINK, name);
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

static void graph_build_locked(struct fh_graph *graph, struct fh_machine *m)
{
	fh_list_for_each_entry(object, &m->objects, struct fh_object, all) {
		const struct fh_core_ops *core = object->class->core;

		if (object->parent) {
			graph->keeper = object->parent;
			graph_add(graph, object, FH_WAY_PARENT, NULL);
		}
		graph->keeper = object;
		if (core->held_by_nature) {
			struct fh_object *kept = core->held_by_nature(object);

			if (kept && kept != object)
				graph_add(graph, kept, FH_WAY_NATURE,
					  core->held_as ? core->held_as : "owner");
		}
		fh_holding_each(object, add_pin, graph);
		fh_family_each_gone(object, add_gone, graph);
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

void fh_ledger_put_name(struct fh_object *object, FILE *out)
{
	char *path = fh_object_path_locked(object);

	fprintf(out, "%s [%s, %s]", path, object->class->type->name, state_of(object));
	fh_free(path);
}

void fh_ledger_put_way(const struct fh_edge *edge, FILE *out)
{
	switch (edge->way) {
	case FH_WAY_PARENT: fprintf(out, "ref: child of"); break;
	case FH_WAY_LINK: fprintf(out, "ref: link '%s' of", edge->name); break;
	case FH_WAY_NATURE: fprintf(out, "pin: %s of", edge->name); break;
	case FH_WAY_PIN: fprintf(out, "pin: '%s' of", edge->name); break;
	case FH_WAY_DISPOSE: fprintf(out, "pin: until the end of the dispose of"); break;
	}
}

/* What is known of who keeps @object; @view_pins are accounted for already. Locks held. */
static void explain_locked(struct fh_object *object, const struct fh_graph *graph,
			   uint32_t view_pins, FILE *out)
{
	uint32_t refs = fh_object_refs(object);
	uint32_t pins = fh_object_pins(object);
	const uint32_t blocked = atomic_load_explicit(&object->blocked, memory_order_relaxed);

	if (refs > 0 && pins > 0)
		pins--; /* all refs together */
	pins -= view_pins < pins ? view_pins : pins;
	for (size_t i = 0; i < graph->count; i++) {
		const struct fh_edge *edge = &graph->edges[i];
		uint32_t *left = fh_edge_is_ref(edge) ? &refs : &pins;

		if (edge->kept != object)
			continue;
		fputs("    ", out);
		if (edge->way == FH_WAY_PARENT) {
			fputs("ref: its parent\n", out);
		} else {
			fh_ledger_put_way(edge, out);
			fputc(' ', out);
			fh_ledger_put_name(edge->keeper, out);
			fputc('\n', out);
		}
		*left -= *left > 0;
	}
	if (blocked > 0)
		fprintf(out, "    %u of its callbacks blocked and have not returned\n", blocked);
	if (refs > 0)
		fprintf(out, "    ref: %u of callers\n", refs);
	if (pins > 0)
		fprintf(out, "    pin: %u in flight (queued work, grace periods, callbacks)\n",
			pins);
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
	struct fh_graph graph = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	if (!memory)
		return;
	fh_tree_acquire(m);
	fh_ledger_put_name(object, memory);
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
			/*
			 * One that is being finalized cannot be pinned any more, and is not
			 * explained.
			 */
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
	struct fh_graph graph = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	graph_lock(m);
	const uint64_t alive = survivors_locked(m, survivors, FH_LEDGER_EXPLAINED);
	const uint64_t died = m->died;

	if (memory) {
		graph_build_locked(&graph, m);
		fh_ledger_put_cycles(m, &graph, memory);
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
