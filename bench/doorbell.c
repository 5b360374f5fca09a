/* SPDX-License-Identifier: MIT */
/*
 * What doorbells cost: a store that signals an eventfd, with and without a look at its data, beside
 * one that calls a device, and beside the bare system call; stores to coalesced ranges, beside
 * those that somebody keeps and brings 64 at a time.
 */
#include "bench.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define PAGE	 UINT64_C(0x1000)
#define PLAIN	 UINT64_C(0x10000) /* three pages of registers */
#define RUNG	 (PLAIN + PAGE)
#define GATHERED (PLAIN + 2 * PAGE)
#define BATCH	 64

struct board {
	struct fh_machine *m;
	struct fh_space *memory;
	struct fh_region *regs[3];
	struct fh_eventfd *eventfds[3];
	int fd;
	uint32_t ring[BATCH]; /* what is kept */
	unsigned kept;
};

static void bring(void *state)
{
	struct board *board = state;

	for (unsigned i = 0; i < board->kept; i++)
		fh_space_store32(board->memory, GATHERED, board->ring[i], FH_LE);
	board->kept = 0;
}

static const struct fh_listener_ops keeper_ops = { .coalesced_flush = bring };

static double stores(struct board *board, uint64_t addr, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++)
		fh_space_store32(board->memory, addr, 1, FH_LE);
	return (bench_now() - start) / (double)count;
}

/* As an accelerator has it: into the ring, and all of it when somebody asks. */
static double kept_stores(struct board *board, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++) {
		*(volatile uint32_t *)&board->ring[board->kept++] = (uint32_t)i;
		if (board->kept == BATCH)
			fh_machine_flush_coalesced(board->m);
	}
	return (bench_now() - start) / (double)count;
}

static double writes(const struct board *board, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++) {
		const uint64_t one = 1;

		bench_keep((uint64_t)write(board->fd, &one, sizeof(one)));
	}
	return (bench_now() - start) / (double)count;
}

static void sample(struct board *board)
{
	const size_t count = bench_scale(200000);

	bench_sample(bench_row("doorbell.mmio", "ns"), stores(board, PLAIN, count));
	bench_sample(bench_row("doorbell.eventfd", "ns"), stores(board, RUNG, count));
	bench_sample(bench_row("doorbell.eventfd_match", "ns"), stores(board, RUNG + 8, count));
	bench_sample(bench_row("doorbell.write", "ns"), writes(board, count));
	bench_sample(bench_row("doorbell.coalesced", "ns"), kept_stores(board, count));
	bench_sample(bench_row("doorbell.coalesced.asked", "ns"),
		     stores(board, GATHERED, count));
}

static void board_begin(struct board *board)
{
	const struct fh_eventfd_match matches[] = {
		{ .offset = 0, .size = 4 },
		{ .offset = 8, .size = 4, .match_data = true, .data = 1 },
		{ .offset = 8, .size = 4, .match_data = true, .data = 2 },
	};

	board->m = fh_machine_new(NULL, NULL);
	board->memory = fh_machine_memory(board->m);
	for (unsigned i = 0; i < 3; i++) {
		board->regs[i] = fh_region_new_mmio(board->m, NULL, PAGE, &bench_concurrent_ops,
						    NULL);
		fh_region_add(fh_space_root(board->memory), board->regs[i], PLAIN + i * PAGE, 0);
	}
	board->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; i < 3; i++)
		board->eventfds[i] =
			fh_eventfd_new(board->m, board->regs[1], &matches[i], board->fd, NULL);
	fh_region_add_coalesced(board->regs[2], 0, PAGE);
}

void bench_doorbell(void)
{
	struct board board = { .kept = 0 };

	board_begin(&board);
	struct fh_listener *keeper =
		fh_listener_new(board.m, board.memory, 0, &keeper_ops, &board);

	for (int i = 0; i < 11; i++)
		sample(&board);
	fh_object_unref(keeper);
	for (unsigned i = 0; i < 3; i++) {
		fh_object_unref(board.eventfds[i]);
		fh_object_unref(board.regs[i]);
	}
	close(board.fd);
	fh_machine_destroyp(&board.m);
}
