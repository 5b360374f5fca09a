/* SPDX-License-Identifier: MIT */
/*
 * A guest whose memory is logged: bench/guest.S on one hart, in turns with nobody who logs, with
 * one who logs and takes nothing, and with one who takes all bits a hundred times a second, as a
 * display or a migration would.
 *
 *     bench-guest guest.hex
 *
 * prints a line for each: name and instructions per microsecond, the median of five.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <freehold/freehold.h>

#include "cpu/cpu.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x2000000)
#define TURNS	 5

struct board {
	struct fh_machine *m;
	struct fh_region *ram, *uart, *finisher;
	struct code_pages *code_pages;
	struct fh_device *hart;
	_Atomic bool finished;
};

enum mode { UNLOGGED, LOGGED, TAKEN, MODES };

static const char *const names[MODES] = { "guest.mips.unlogged", "guest.mips.logged",
					  "guest.mips.taken" };

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t guest_time(void *arg)
{
	(void)arg;
	return now() / 100;
}

/* A UART that is always ready, and what ends the run. */
static enum fh_tx read_ready(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = 0x20;
	return FH_TX_OK;
}

static enum fh_tx write_nothing(void *state, uint64_t offset, uint64_t value, unsigned size,
				struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)value, (void)size, (void)attrs;
	return FH_TX_OK;
}

static enum fh_tx write_finish(void *state, uint64_t offset, uint64_t value, unsigned size,
			       struct fh_attrs attrs)
{
	(void)offset, (void)value, (void)size, (void)attrs;
	atomic_store_explicit(&((struct board *)state)->finished, true, memory_order_release);
	return FH_TX_OK;
}

static const struct fh_region_ops uart_ops = { .read = read_ready, .write = write_nothing };
static const struct fh_region_ops finisher_ops = { .read = read_ready, .write = write_finish };

static void board_begin(struct board *board, const void *image, size_t size)
{
	struct fh_region *root;
	struct cpu_config config;

	board->m = fh_machine_new(NULL, NULL);
	root = fh_space_root(fh_machine_memory(board->m));
	board->ram = fh_region_new_ram(board->m, NULL, RAM_SIZE, NULL);
	board->uart = fh_region_new_mmio(board->m, NULL, 0x100, &uart_ops, board);
	board->finisher = fh_region_new_mmio(board->m, NULL, 0x1000, &finisher_ops, board);
	fh_region_add(root, board->ram, RAM_BASE, 0);
	fh_region_add(root, board->uart, 0x10000000, 0);
	fh_region_add(root, board->finisher, 0x100000, 0);
	memcpy(fh_region_ram(board->ram), image, size);
	board->code_pages = code_pages_new();
	config = (struct cpu_config){ .isa = cpu_isa_default(),
				      .memory = fh_machine_memory(board->m),
				      .code_pages = board->code_pages,
				      .time = guest_time,
				      .reset_pc = RAM_BASE };
	board->hart = fh_device_new(board->m, &cpu_type, "hart", NULL, NULL);
	cpu_configure(board->hart, &config);
	fh_device_realize(board->hart, NULL);
}

static void board_end(struct board *board)
{
	fh_device_unplug(board->hart);
	fh_object_unref(board->ram);
	fh_object_unref(board->uart);
	fh_object_unref(board->finisher);
	fh_machine_destroyp(&board->m);
	code_pages_free(board->code_pages);
}

static double run(enum mode mode, const void *image, size_t size)
{
	struct board board = { 0 };
	uint64_t start, time;
	double mips;

	board_begin(&board, image, size);
	if (mode != UNLOGGED)
		fh_dirty_start(board.ram, FH_DIRTY_MIGRATION, NULL);
	start = now();
	cpu_start(board.hart);
	while (!atomic_load_explicit(&board.finished, memory_order_acquire)) {
		usleep(mode == TAKEN ? 10000 : 1000);
		if (mode == TAKEN)
			fh_dirty_test_and_clear(board.ram, FH_DIRTY_MIGRATION, 0, RAM_SIZE);
	}
	time = now() - start;
	cpu_stop(board.hart);
	mips = (double)cpu_instret(board.hart) * 1000 / (double)time;
	board_end(&board);
	return mips;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static double samples[MODES][TURNS];
	static uint32_t image[1024];
	FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
	size_t words = 0;

	if (!file) {
		fprintf(stderr, "usage: bench-guest guest.hex\n");
		return 1;
	}
	while (words < 1024 && fscanf(file, "%x", &image[words]) == 1)
		words++;
	fclose(file);
	for (int turn = 0; turn < TURNS; turn++)
		for (int mode = 0; mode < MODES; mode++)
			samples[mode][turn] = run((enum mode)mode, image, words * sizeof(*image));
	for (int mode = 0; mode < MODES; mode++) {
		qsort(samples[mode], TURNS, sizeof(double), compare);
		printf("%s %.4f\n", names[mode], samples[mode][TURNS / 2]);
	}
	return 0;
}
