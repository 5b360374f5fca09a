/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's own frame: rows of samples, a table, a file.
 *
 * R1. What is compared is measured in turns, so that a drift of the machine's speed hits both
 *     sides.
 * R2. A row keeps all its samples: the table shows minimum and median, the file holds the median.
 * R3. Nothing here judges: no row fails because it was slow.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <freehold/freehold.h>

#define BENCH_SAMPLES 64

struct row {
	const char *name;
	const char *unit;
	double samples[BENCH_SAMPLES];
	size_t count;
};

/* The row of that name, made on first use; @name is kept. */
struct row *bench_row(const char *name, const char *unit);
void bench_sample(struct row *row, double value);
double bench_median(const struct row *row);
double bench_min(const struct row *row);

/* Nanoseconds of a clock that only goes forward. */
double bench_now(void);

/* How much is done, of @full: all of it, or a tenth with --quick. */
size_t bench_scale(size_t full);

/* A generator of its own, so that runs are the same. */
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Keeps a value from being optimised away. */
static inline void bench_keep(uint64_t value)
{
	__asm__ volatile("" : : "r"(value) : "memory");
}

/* Registers that do nothing: reads give the region's address in @state. */
extern const struct fh_region_ops bench_concurrent_ops;
extern const struct fh_region_ops bench_serialised_ops;

void bench_change(void);
void bench_access(void);
void bench_dirty(void);
void bench_doorbell(void);
void bench_growth(void);
void bench_object(void);
void bench_device(void);
void bench_machine(void);

#endif
