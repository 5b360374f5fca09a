/* SPDX-License-Identifier: MIT */
/* The frame: see bench.h. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS 256

static struct row rows[ROWS];
static size_t row_count;
static bool quick;

double bench_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

size_t bench_scale(size_t full)
{
	return quick && full >= 10 ? full / 10 : full;
}

struct row *bench_row(const char *name, const char *unit)
{
	for (size_t i = 0; i < row_count; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	if (row_count == ROWS)
		abort();
	rows[row_count] = (struct row){ .name = name, .unit = unit };
	return &rows[row_count++];
}

void bench_sample(struct row *row, double value)
{
	if (row->count < BENCH_SAMPLES)
		row->samples[row->count++] = value;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(const struct row *row)
{
	double sorted[BENCH_SAMPLES];

	if (row->count == 0)
		return NAN;
	memcpy(sorted, row->samples, row->count * sizeof(*sorted));
	qsort(sorted, row->count, sizeof(*sorted), compare);
	return (sorted[(row->count - 1) / 2] + sorted[row->count / 2]) / 2;
}

double bench_min(const struct row *row)
{
	double least = row->count ? row->samples[0] : NAN;

	for (size_t i = 1; i < row->count; i++)
		if (row->samples[i] < least)
			least = row->samples[i];
	return least;
}

static void print_table(void)
{
	printf("%-34s %12s %12s  %s\n", "", "minimum", "median", "unit");
	for (size_t i = 0; i < row_count; i++)
		printf("%-34s %12.2f %12.2f  %s\n", rows[i].name, bench_min(&rows[i]),
		       bench_median(&rows[i]), rows[i].unit);
}

/* How a cost grows with the size of the map: each step of ten as a ratio. */
static void print_growth(void)
{
	static const char *const sizes[] = { "change.n10", "change.n100", "change.n1000",
					     "change.n10000", "change.n100000" };

	printf("\ngrowth of one change, N times ten each step:");
	for (size_t i = 1; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		printf(" %.2f", bench_median(bench_row(sizes[i], "ns")) /
					bench_median(bench_row(sizes[i - 1], "ns")));
	printf("\n");
}

static int write_json(const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file) {
		fprintf(stderr, "bench: cannot write %s\n", path);
		return 1;
	}
	fprintf(file, "[\n");
	for (size_t i = 0; i < row_count; i++)
		fprintf(file, "  {\"name\": \"%s\", \"value\": %.4f, \"unit\": \"%s\"}%s\n",
			rows[i].name, bench_median(&rows[i]), rows[i].unit,
			i + 1 < row_count ? "," : "");
	fprintf(file, "]\n");
	return fclose(file) != 0;
}

int main(int argc, char **argv)
{
	const char *json = NULL;
	const char *only = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			quick = true;
		} else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
			json = argv[++i];
		} else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
			only = argv[++i];
		} else {
			fprintf(stderr,
				"usage: bench [--quick] [--json FILE] "
				"[--only machine|object|device|access|change|dirty|doorbell|"
				"growth]\n");
			return 1;
		}
	}
	if (!only || strcmp(only, "machine") == 0)
		bench_machine();
	if (!only || strcmp(only, "object") == 0)
		bench_object();
	if (!only || strcmp(only, "device") == 0)
		bench_device();
	if (!only || strcmp(only, "access") == 0)
		bench_access();
	if (!only || strcmp(only, "dirty") == 0)
		bench_dirty();
	if (!only || strcmp(only, "doorbell") == 0)
		bench_doorbell();
	if (!only || strcmp(only, "growth") == 0)
		bench_growth();
	if (!only || strcmp(only, "change") == 0)
		bench_change();
	print_table();
	if (!only || strcmp(only, "change") == 0)
		print_growth();
	return json ? write_json(json) : 0;
}
