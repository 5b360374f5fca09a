/* SPDX-License-Identifier: MIT */
/*
 * What objects cost: to make and drop, to count, to set and get properties of, to take from a tree.
 */
#include "bench.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

struct state {
	uint32_t value;
};

static const struct fh_property properties[] = {
	{ .name = "value", .kind = FH_PROPERTY_U32, .offset = offsetof(struct state, value) },
	{ 0 },
};

static const struct fh_type plain_type = { .name = "bench-plain" };
static const struct fh_type value_type = {
	.name = "bench-value", .state_size = sizeof(struct state), .properties = properties
};

static double new_unref(struct fh_machine *m, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++)
		fh_object_unref(fh_object_new(m, &plain_type, NULL));
	return (bench_now() - start) / (double)count;
}

static double ref_unref(struct fh_object *object, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++)
		fh_object_unref(fh_object_ref(object));
	return (bench_now() - start) / (double)count;
}

static double property_set(struct fh_object *object, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++)
		fh_object_set_u64(object, "value", i & 0xffff, NULL);
	return (bench_now() - start) / (double)count;
}

static double property_get(struct fh_object *object, size_t count)
{
	const double start = bench_now();
	uint64_t value = 0;

	for (size_t i = 0; i < count; i++) {
		fh_object_get_u64(object, "value", &value, NULL);
		bench_keep(value);
	}
	return (bench_now() - start) / (double)count;
}

/* --- Growth: children of one parent, properties of one object, paths -------------------------- */

#define SIBLINGS 10000
#define CROWD 100000
#define NAME_SIZE 16

static struct fh_object *crowd[CROWD];
static char names[CROWD][NAME_SIZE]; /* made before anything is measured */

static void shuffle(struct fh_object **objects, size_t count, uint64_t *random)
{
	for (size_t i = count; i-- > 1;) {
		const size_t j = bench_random(random) % (i + 1);
		struct fh_object *swap = objects[i];

		objects[i] = objects[j];
		objects[j] = swap;
	}
}

/* 10,000 named children of one parent, taken from it in random order. */
static void siblings(struct fh_machine *m)
{
	struct fh_object *parent = fh_object_new_child(m, "parent", &plain_type, NULL);
	uint64_t random = 88172645463325252u;
	double start;

	for (size_t i = 0; i < SIBLINGS; i++)
		snprintf(names[i], NAME_SIZE, "child%zu", i);
	start = bench_now();
	for (size_t i = 0; i < SIBLINGS; i++)
		crowd[i] = fh_object_new_child(parent, names[i], &plain_type, NULL);
	bench_sample(bench_row("object.new_child", "ns"), (bench_now() - start) / SIBLINGS);
	shuffle(crowd, SIBLINGS, &random);
	start = bench_now();
	for (size_t i = 0; i < SIBLINGS; i++)
		fh_object_dispose(crowd[i]);
	bench_sample(bench_row("object.unparent_10000", "ns"), (bench_now() - start) / SIBLINGS);
	fh_object_dispose(parent);
	fh_machine_drain(m);
}

struct child_rows {
	size_t count;
	const char *add, *find, *unparent, *bytes;
};

/* What the three things cost in one round, in all. */
struct child_costs {
	double add, find, unparent;
};

static void children_round(struct fh_object *parent, size_t count, uint64_t *random,
			   struct child_costs *costs)
{
	double start = bench_now();

	for (size_t i = 0; i < count; i++)
		crowd[i] = fh_object_new_child(parent, "child[*]", &plain_type, NULL);
	costs->add += bench_now() - start;
	for (size_t i = 0; i < count; i++)
		snprintf(names[i], NAME_SIZE, "%s",
			 fh_object_name(crowd[bench_random(random) % count]));
	start = bench_now();
	for (size_t i = 0; i < count; i++)
		fh_object_unref(fh_object_find_child(parent, names[i]));
	costs->find += bench_now() - start;
	shuffle(crowd, count, random);
	start = bench_now();
	for (size_t i = 0; i < count; i++)
		fh_object_dispose(crowd[i]);
	costs->unparent += bench_now() - start;
}

static void children_bytes(struct fh_machine *m, const struct child_rows *rows)
{
	struct fh_object *parent = fh_object_new_child(m, "crowd", &plain_type, NULL);
	const size_t before = mallinfo2().uordblks;

	for (size_t i = 0; i < rows->count; i++)
		fh_object_new_child(parent, "child[*]", &plain_type, NULL);
	bench_sample(bench_row(rows->bytes, "B"),
		     (double)(mallinfo2().uordblks - before) / (double)rows->count);
	fh_object_dispose(parent);
	fh_machine_drain(m);
}

/* Of one look at the clock, which counts where a round is short. */
static double clock_cost(void)
{
	const double start = bench_now();

	for (int i = 1; i < 1000; i++)
		bench_now();
	return (bench_now() - start) / 1000;
}

/* A child's cost among @count, which numbers itself; found and taken at random. */
static void children(struct fh_machine *m, const struct child_rows *rows)
{
	struct fh_object *parent = fh_object_new_child(m, "crowd", &plain_type, NULL);
	const size_t rounds = rows->count < SIBLINGS ? SIBLINGS / rows->count : 1;
	const double total = (double)(rounds * rows->count);
	const double clock = clock_cost() * (double)rounds;
	uint64_t random = 88172645463325252u;
	struct child_costs costs = { 0 };

	for (size_t i = 0; i < rounds; i++) {
		children_round(parent, rows->count, &random, &costs);
		if (i % 100 == 99)
			fh_machine_drain(m);
	}
	bench_sample(bench_row(rows->add, "ns"), (costs.add - clock) / total);
	bench_sample(bench_row(rows->find, "ns"), (costs.find - clock) / total);
	bench_sample(bench_row(rows->unparent, "ns"), (costs.unparent - clock) / total);
	fh_object_dispose(parent);
	fh_machine_drain(m);
	if (rows->bytes)
		children_bytes(m, rows);
}

static void all_children(struct fh_machine *m)
{
	static const struct child_rows rows[] = {
		{ 1, "object.children.n1.add", "object.children.n1.find",
		  "object.children.n1.unparent", NULL },
		{ 100, "object.children.n100.add", "object.children.n100.find",
		  "object.children.n100.unparent", NULL },
		{ SIBLINGS, "object.children.n10000.add", "object.children.n10000.find",
		  "object.children.n10000.unparent", NULL },
		{ CROWD, "object.children.n100000.add", "object.children.n100000.find",
		  "object.children.n100000.unparent", "object.bytes" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		children(m, &rows[i]);
}

#define OWN 10000

/* Of the first @owned, at random. */
static double get_own(struct fh_object *object, unsigned owned, size_t count)
{
	uint64_t random = 88172645463325252u;
	uint64_t value = 0;
	double start;

	for (size_t i = 0; i < count; i++)
		snprintf(names[i], NAME_SIZE, "p%u", (unsigned)(bench_random(&random) % owned));
	start = bench_now();
	for (size_t i = 0; i < count; i++) {
		fh_object_get_u64(object, names[i], &value, NULL);
		bench_keep(value);
	}
	return (bench_now() - start) / (double)count;
}

/* One object's own properties, one and ten thousand of them. */
static void own_properties(struct fh_machine *m, size_t count)
{
	struct fh_object *object = fh_object_new(m, &plain_type, NULL);
	char name[NAME_SIZE];

	for (unsigned i = 0; i < OWN; i++) {
		const struct fh_property property = { .name = name, .kind = FH_PROPERTY_U32 };

		snprintf(name, sizeof(name), "p%u", i);
		fh_object_add_property(object, &property, NULL, NULL, NULL);
		if (i == 0)
			bench_sample(bench_row("property.own.n1.get", "ns"),
				     get_own(object, 1, count));
	}
	bench_sample(bench_row("property.own.n10000.get", "ns"), get_own(object, OWN, count));
	for (unsigned i = 0; i < OWN; i++)
		snprintf(names[i], NAME_SIZE, "p%u", i);
	const double start = bench_now();

	for (unsigned i = 0; i < OWN; i++)
		fh_object_remove_property(object, names[i], NULL);
	bench_sample(bench_row("property.own.n10000.remove", "ns"), (bench_now() - start) / OWN);
	fh_object_unref(object);
}

static double property_text(struct fh_object *object, size_t count)
{
	const double start = bench_now();
	char *text = NULL;

	for (size_t i = 0; i < count; i++) {
		fh_object_set_text(object, "value", "4711", NULL);
		fh_object_get_text(object, "value", &text, NULL);
		free(text);
	}
	return (bench_now() - start) / (double)count;
}

static double resolve(struct fh_machine *m, const char *path, size_t count)
{
	const double start = bench_now();
	struct fh_object *found = NULL;

	for (size_t i = 0; i < count; i++) {
		fh_machine_resolve(m, path, NULL, &found, NULL);
		fh_object_unref(found);
	}
	return (bench_now() - start) / (double)count;
}

/* In a machine of 1,000 objects that have children, one of which is five levels down. */
static void paths(struct fh_machine *m, size_t count)
{
	struct fh_object *top = fh_object_new_child(m, "paths", &plain_type, NULL);
	struct fh_object *object = top;

	for (int i = 0; i < 1000; i++)
		fh_object_new_child(fh_object_new_child(top, "slot[*]", &plain_type, NULL), "part",
				    &plain_type, NULL);
	for (int i = 0; i < 3; i++)
		object = fh_object_new_child(object, "bus", &plain_type, NULL);
	fh_object_new_child(object, "uart", &plain_type, NULL);
	bench_sample(bench_row("object.path_resolve", "ns"),
		     resolve(m, "/paths/bus/bus/bus/uart", count));
	bench_sample(bench_row("object.partial_resolve.n1000", "ns"),
		     resolve(m, "uart", count / 1000));
	fh_object_dispose(top);
	fh_machine_drain(m);
}

void bench_object(void)
{
	const size_t count = bench_scale(1000000);
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_object *object = fh_object_new(m, &value_type, NULL);

	for (int sample = 0; sample < 11; sample++) {
		bench_sample(bench_row("object.new_unref", "ns"), new_unref(m, count));
		bench_sample(bench_row("object.ref_unref", "ns"), ref_unref(object, count));
		bench_sample(bench_row("object.property_set", "ns"), property_set(object, count));
		bench_sample(bench_row("object.property_get", "ns"), property_get(object, count));
		bench_sample(bench_row("property.text", "ns"), property_text(object, count / 10));
		siblings(m);
		own_properties(m, count / 10);
		paths(m, count / 10);
		if (sample < 5)
			all_children(m);
	}
	fh_object_unref(object);
	fh_machine_destroyp(&m);
}
