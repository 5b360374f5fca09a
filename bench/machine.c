/* SPDX-License-Identifier: MIT */
/* What a machine costs: to make and destroy, and to have a thousand of. */
#include "bench.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#define ALIVE 1000

static size_t heap_bytes(void)
{
	const struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/*
 * Memory of the process that is in use, stacks of threads included; 0 where the host does not say.
 */
static size_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long size = 0, resident = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static double create_destroy(size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++) {
		struct fh_machine *m = fh_machine_new(NULL, NULL);

		fh_machine_destroyp(&m);
	}
	return (bench_now() - start) / (double)count / 1000;
}

/* Each made before any is destroyed. */
static void crowd(void)
{
	static struct fh_machine *machines[ALIVE];
	const size_t count = bench_scale(ALIVE);
	const size_t heap = heap_bytes(), resident = resident_bytes();
	double start = bench_now();

	for (size_t i = 0; i < count; i++)
		machines[i] = fh_machine_new(NULL, NULL);
	bench_sample(bench_row("machine.create.n1000", "us"),
		     (bench_now() - start) / (double)count / 1000);
	bench_sample(bench_row("machine.bytes", "B"),
		     (double)(heap_bytes() - heap) / (double)count);
	bench_sample(bench_row("machine.resident", "B"),
		     ((double)resident_bytes() - (double)resident) / (double)count);
	start = bench_now();
	for (size_t i = 0; i < count; i++)
		fh_machine_destroyp(&machines[i]);
	bench_sample(bench_row("machine.destroy.n1000", "us"),
		     (bench_now() - start) / (double)count / 1000);
}

void bench_machine(void)
{
	crowd(); /* first: what is freed stays resident */
	for (int sample = 0; sample < 11; sample++)
		bench_sample(bench_row("machine.create_destroy", "us"),
			     create_destroy(bench_scale(200)));
}
