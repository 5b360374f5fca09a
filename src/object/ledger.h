/* SPDX-License-Identifier: MIT */
/*
 * Who keeps whom, as a graph of all objects that are alive at one moment. The rules are those of
 * ledger.c; it is there only as long as its locks are held.
 */
#ifndef OBJECT_LEDGER_H
#define OBJECT_LEDGER_H

#include <stdio.h>

#include "object/machine.h"

/* How one object keeps another; refs come first. */
enum fh_way { FH_WAY_PARENT, FH_WAY_LINK, FH_WAY_NATURE, FH_WAY_PIN, FH_WAY_DISPOSE };

/* @keeper keeps @kept. */
struct fh_edge {
	struct fh_object *kept;
	struct fh_object *keeper;
	enum fh_way way;
	const char *name; /* of the link's property; what it is by nature; of the pin */
};

struct fh_graph {
	struct fh_edge *edges;
	size_t count, capacity;
	struct fh_object *keeper; /* whose edges are being added */
};

static inline bool fh_edge_is_ref(const struct fh_edge *edge)
{
	return edge->way <= FH_WAY_LINK;
}

/* The object's path, type and state. Tree lock held. */
void fh_ledger_put_name(struct fh_object *object, FILE *out);
/* What is kept is that to its keeper, whose name follows. */
void fh_ledger_put_way(const struct fh_edge *edge, FILE *out);
/* ledger-cycles.c: the cycles among what is lost, each once. Sorts the edges. */
void fh_ledger_put_cycles(struct fh_machine *m, struct fh_graph *graph, FILE *out);

#endif
