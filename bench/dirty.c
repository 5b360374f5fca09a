/* SPDX-License-Identifier: MIT */
/*
 * What dirty logging costs: a store to a page that is clean, to one that is dirty, to one that is
 * not logged; taking bits where nothing is dirty, and where much is.
 */
#include "bench.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE (UINT64_C(1) << 30)
#define PAGE FH_DIRTY_PAGE
#define PAGES 16384 /* that are written */

struct board {
	struct fh_machine *m;
	struct fh_space *memory;
	struct fh_region *ram;
};

/* One store to each of these pages, which are in the host's memory already. */
static double store_pages(struct board *board)
{
	const double start = bench_now();

	for (uint64_t i = 0; i < PAGES; i++)
		fh_space_store64(board->memory, RAM_BASE + i * PAGE + (i & 63) * 8, i, FH_LE);
	return (bench_now() - start) / PAGES;
}

/* To one page: what marking costs, without the host's own misses. */
static double store_same(struct board *board, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++)
		fh_space_store64(board->memory, RAM_BASE + (i & 63) * 8, i, FH_LE);
	return (bench_now() - start) / (double)count;
}

/* Returns nanoseconds; *ret_pages: what was dirty. */
static double take(struct board *board, uint64_t *ret_pages)
{
	const double start = bench_now();
	struct fh_dirty_snapshot *snapshot =
		fh_dirty_snapshot_take(board->ram, FH_DIRTY_MIGRATION, 0, RAM_SIZE, NULL);
	const double time = bench_now() - start;

	*ret_pages = fh_dirty_snapshot_pages(snapshot);
	fh_dirty_snapshot_free(snapshot);
	return time;
}

static void sample(struct board *board)
{
	const size_t count = bench_scale(2000000);
	uint64_t pages;
	double time;

	store_pages(board);
	const double plain = store_pages(board);

	bench_sample(bench_row("dirty.store8.unlogged", "ns"), store_same(board, count));
	fh_dirty_start(board->ram, FH_DIRTY_MIGRATION, NULL);
	const double clean = store_pages(board);
	const double again = store_pages(board);

	bench_sample(bench_row("dirty.mark.clean", "ns"), clean);
	bench_sample(bench_row("dirty.mark.dirty", "ns"), again);
	bench_sample(bench_row("dirty.mark.unlogged", "ns"), plain);
	bench_sample(bench_row("dirty.store8.same", "ns"), store_same(board, count));
	take(board, &pages);
	time = take(board, &pages);
	bench_sample(bench_row("dirty.scan.clean", "ns/MiB"), time / (RAM_SIZE >> 20));
	const double clean_time = time;

	for (uint64_t i = 0; i < RAM_SIZE / PAGE; i += 64) /* one in each word: the worst */
		fh_dirty_mark(board->ram, i * PAGE, 1);
	time = take(board, &pages);
	bench_sample(bench_row("dirty.scan.sparse", "ns/page"),
		     (time - clean_time) / (double)pages);
	fh_dirty_mark(board->ram, 0, RAM_SIZE);
	time = take(board, &pages);
	bench_sample(bench_row("dirty.scan.full", "ns/page"), (time - clean_time) / (double)pages);
	fh_dirty_mark(board->ram, 0, 1);
	const double start = bench_now();

	fh_dirty_test_and_clear(board->ram, FH_DIRTY_MIGRATION, 0, 1);
	bench_sample(bench_row("dirty.take_one", "ns"), bench_now() - start);
	fh_dirty_stop(board->ram, FH_DIRTY_MIGRATION);
}

void bench_dirty(void)
{
	struct board board = { .m = fh_machine_new(NULL, NULL) };

	board.memory = fh_machine_memory(board.m);
	board.ram = fh_region_new_ram(board.m, NULL, RAM_SIZE, NULL);
	fh_region_add(fh_space_root(board.memory), board.ram, RAM_BASE, 0);
	for (int i = 0; i < 11; i++)
		sample(&board);
	fh_object_unref(board.ram);
	fh_machine_destroyp(&board.m);
}
