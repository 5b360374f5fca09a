/* SPDX-License-Identifier: MIT */
/* What objects cost: to make and drop, to count, to set and get properties of, to take from a tree. */
#include "bench.h"

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

#define SIBLINGS 10000

/* 10,000 named children of one parent, taken from it in random order. */
static void siblings(struct fh_machine *m)
{
	static struct fh_object *children[SIBLINGS];
	struct fh_object *parent = fh_object_new_child(m, "parent", &plain_type, NULL);
	uint64_t random = 88172645463325252u;
	char name[16];
	double start = bench_now();

	for (size_t i = 0; i < SIBLINGS; i++) {
		snprintf(name, sizeof(name), "child%zu", i);
		children[i] = fh_object_new_child(parent, name, &plain_type, NULL);
	}
	bench_sample(bench_row("object.new_child", "ns"), (bench_now() - start) / SIBLINGS);
	for (size_t i = SIBLINGS; i-- > 1;) {
		const size_t j = bench_random(&random) % (i + 1);
		struct fh_object *swap = children[i];

		children[i] = children[j];
		children[j] = swap;
	}
	start = bench_now();
	for (size_t i = 0; i < SIBLINGS; i++)
		fh_object_dispose(children[i]);
	bench_sample(bench_row("object.unparent_10000", "ns"), (bench_now() - start) / SIBLINGS);
	fh_object_dispose(parent);
	fh_machine_drain(m);
}

void bench_object(void)
{
	const size_t count = bench_scale(1000000);
	struct fh_machine *m = fh_machine_new(NULL);
	struct fh_object *object = fh_object_new(m, &value_type, NULL);

	for (int sample = 0; sample < 11; sample++) {
		bench_sample(bench_row("object.new_unref", "ns"), new_unref(m, count));
		bench_sample(bench_row("object.ref_unref", "ns"), ref_unref(object, count));
		bench_sample(bench_row("object.property_set", "ns"), property_set(object, count));
		bench_sample(bench_row("object.property_get", "ns"), property_get(object, count));
		siblings(m);
	}
	fh_object_unref(object);
	fh_machine_destroyp(&m);
}
