/* SPDX-License-Identifier: MIT */
/* What an access costs: registers and RAM, alone, with a second reader, beside an editor. */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define STRIDE UINT64_C(0x2000)
#define COUNT 1000
#define RAM_BASE UINT64_C(0x80000000)
#define ROM_BASE UINT64_C(0x40000000)
#define RAM_SIZE UINT64_C(0x1000000)
#define ADDRS 65536

struct board {
	struct fh_machine *m;
	struct fh_space *memory;
	struct fh_region *root;
	struct fh_region *regions[COUNT];
	struct fh_region *serialised, *ram, *rom;
	uint64_t addrs[ADDRS];
};

#define SERIALISED_ADDR (STRIDE * COUNT + 0x1000)

static void board_build(struct board *board)
{
	uint64_t random = 88172645463325252u;

	board->m = fh_machine_new(NULL, NULL);
	board->memory = fh_machine_memory(board->m);
	board->root = fh_space_root(board->memory);
	for (size_t i = 0; i < COUNT; i++) {
		board->regions[i] = fh_region_new_mmio(board->m, NULL, 0x1000,
						       &bench_concurrent_ops, NULL);
		fh_region_add(board->root, board->regions[i], i * STRIDE, 0);
	}
	board->serialised =
		fh_region_new_mmio(board->m, NULL, 0x1000, &bench_serialised_ops, NULL);
	fh_region_add(board->root, board->serialised, SERIALISED_ADDR, 0);
	board->ram = fh_region_new_ram(board->m, NULL, RAM_SIZE, NULL);
	fh_region_add(board->root, board->ram, RAM_BASE, 0);
	board->rom = fh_region_new_rom(board->m, NULL, 0x1000, FH_ROM_IGNORE, NULL);
	fh_region_add(board->root, board->rom, ROM_BASE, 0);
	for (size_t i = 0; i < ADDRS; i++)
		board->addrs[i] = bench_random(&random) % COUNT * STRIDE +
				  bench_random(&random) % 0x3ff * 4;
}

static void board_free(struct board *board)
{
	for (size_t i = 0; i < COUNT; i++)
		fh_object_unref(board->regions[i]);
	fh_object_unref(board->serialised);
	fh_object_unref(board->ram);
	fh_object_unref(board->rom);
	fh_machine_destroyp(&board->m);
}

/* --- One thread ----------------------------------------------------------------------------- */

static double load_same(struct board *board, uint64_t addr, size_t count)
{
	const double start = bench_now();
	uint32_t value;

	for (size_t i = 0; i < count; i++) {
		fh_space_load32(board->memory, addr, FH_LE, &value);
		bench_keep(value);
	}
	return (bench_now() - start) / (double)count;
}

static double load_random(struct board *board, size_t count)
{
	const double start = bench_now();
	uint32_t value;

	for (size_t i = 0; i < count; i++) {
		fh_space_load32(board->memory, board->addrs[i % ADDRS], FH_LE, &value);
		bench_keep(value);
	}
	return (bench_now() - start) / (double)count;
}

static double ram_load8(struct board *board, size_t count)
{
	const double start = bench_now();
	uint64_t value;

	for (size_t i = 0; i < count; i++) {
		fh_space_load64(board->memory, RAM_BASE + (i & 0xff) * 8, FH_LE, &value);
		bench_keep(value);
	}
	return (bench_now() - start) / (double)count;
}

static double ram_store8(struct board *board, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++)
		fh_space_store64(board->memory, RAM_BASE + (i & 0xff) * 8, i, FH_LE);
	return (bench_now() - start) / (double)count;
}

static double ram_bulk(struct board *board, bool write, size_t size, size_t count)
{
	static _Alignas(4096) uint8_t buffer[4096];
	const double start = bench_now();

	for (size_t i = 0; i < count; i++) {
		const uint64_t addr = RAM_BASE + (i & 0xf) * 4096;

		if (write)
			fh_space_write(board->memory, addr, buffer, size, FH_ATTRS_NONE);
		else
			fh_space_read(board->memory, addr, buffer, size, FH_ATTRS_NONE);
	}
	return (bench_now() - start) / (double)count;
}

static double cached_load8(struct fh_cached *cached, size_t count)
{
	const double start = bench_now();
	uint64_t value;

	for (size_t i = 0; i < count; i++) {
		fh_cached_load64(cached, (i & 0xff) * 8, FH_LE, &value);
		bench_keep(value);
	}
	return (bench_now() - start) / (double)count;
}

/* As who walks a ring: one look for 64 loads. */
static double cached_direct8(struct fh_cached *cached, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i += 64) {
		fh_read_begin();
		const uint64_t *ring = fh_cached_direct(cached, i & 0x600, 512, FH_MAP_READ);

		for (size_t j = 0; ring && j < 64; j++)
			bench_keep(ring[j]);
		fh_read_end();
	}
	return (bench_now() - start) / (double)count;
}

static double cached_store8(struct fh_cached *cached, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++)
		fh_cached_store64(cached, (i & 0xff) * 8, i, FH_LE);
	return (bench_now() - start) / (double)count;
}

static double map_unmap(struct board *board, struct fh_object *holder, uint64_t base,
			unsigned flags, size_t count)
{
	const double start = bench_now();

	for (size_t i = 0; i < count; i++) {
		struct fh_mapped mapped;

		fh_mapping_unmap(fh_space_map(board->memory, base + (i & 7) * 512, 512, flags,
					      FH_ATTRS_NONE, holder, &mapped),
				 flags & FH_MAP_WRITE ? 512 : 0);
	}
	return (bench_now() - start) / (double)count;
}

/* The whole of it leads to RAM. */
static enum fh_tx translate(void *state, uint64_t addr, unsigned access, unsigned index,
			    struct fh_attrs attrs, struct fh_translation *ret)
{
	const struct board *board = state;

	(void)access, (void)index, (void)attrs;
	*ret = (struct fh_translation){ .first = addr & ~UINT64_C(0xfff),
					.last = addr | 0xfff,
					.space = board->memory,
					.addr = RAM_BASE + (addr & ~UINT64_C(0xfff)),
					.permissions = FH_IOMMU_READ | FH_IOMMU_WRITE };
	return FH_TX_OK;
}

static double iommu_load8(struct fh_space *bus, size_t count)
{
	const double start = bench_now();
	uint64_t value;

	for (size_t i = 0; i < count; i++) {
		fh_space_load64(bus, (i & 0xff) * 8, FH_LE, &value);
		bench_keep(value);
	}
	return (bench_now() - start) / (double)count;
}

static void bench_iommu(struct board *board)
{
	static const struct fh_iommu_ops ops = { .translate = translate };
	struct fh_region *iommu = fh_region_new_iommu(board->m, NULL, RAM_SIZE, &ops, board);
	struct fh_space *bus = fh_space_new(board->m, NULL, iommu);
	struct fh_cached *cached = fh_cached_new(board->m, bus, 0, 0x1000, FH_ATTRS_NONE);
	const size_t count = bench_scale(500000);

	for (int sample = 0; sample < 11; sample++) {
		bench_sample(bench_row("iommu.read8", "ns"), iommu_load8(bus, count));
		bench_sample(bench_row("iommu.cached8", "ns"), cached_load8(cached, count));
	}
	fh_object_unref(cached);
	fh_object_unref(bus);
	fh_object_unref(iommu);
}

static const struct fh_type holder_type = { .name = "bench-holder" };

static void bench_one_thread(struct board *board)
{
	const size_t count = bench_scale(2000000);
	struct fh_object *holder = fh_object_new_child(board->m, "holder", &holder_type, NULL);
	struct fh_cached *cached =
		fh_cached_new(holder, board->memory, RAM_BASE, 0x1000, FH_ATTRS_NONE);

	for (int sample = 0; sample < 11; sample++) {
		const double same = load_same(board, 0, count);
		const double serialised = load_same(board, SERIALISED_ADDR, count);

		bench_sample(bench_row("mmio.same", "ns"), same);
		bench_sample(bench_row("mmio.serialised.same", "ns"), serialised);
		bench_sample(bench_row("mmio.serialised", "ns"), serialised - same);
		bench_sample(bench_row("mmio.random.n1000", "ns"), load_random(board, count));
		bench_sample(bench_row("ram.read8", "ns"), ram_load8(board, count));
		bench_sample(bench_row("ram.write8", "ns"), ram_store8(board, count));
		bench_sample(bench_row("ram.read64", "ns"), ram_bulk(board, false, 64, count / 4));
		bench_sample(bench_row("ram.write64", "ns"), ram_bulk(board, true, 64, count / 4));
		bench_sample(bench_row("ram.read4096", "ns"),
			     ram_bulk(board, false, 4096, count / 20));
		bench_sample(bench_row("ram.write4096", "ns"),
			     ram_bulk(board, true, 4096, count / 20));
		bench_sample(bench_row("cached.load", "ns"), cached_load8(cached, count));
		bench_sample(bench_row("cached.store", "ns"), cached_store8(cached, count));
		bench_sample(bench_row("cached.direct", "ns"), cached_direct8(cached, count));
		bench_sample(bench_row("map.unmap", "ns"),
			     map_unmap(board, holder, RAM_BASE, FH_MAP_READ, count / 2));
		bench_sample(bench_row("map.unmap_write", "ns"),
			     map_unmap(board, holder, RAM_BASE, FH_MAP_WRITE, count / 2));
		bench_sample(bench_row("map.bounce", "ns"),
			     map_unmap(board, holder, ROM_BASE, FH_MAP_WRITE, count / 8));
	}
	fh_object_dispose(holder);
	bench_iommu(board);
}

/* --- Two threads ---------------------------------------------------------------------------- */

/*
 * Where there are two processors, the first thread of a pair has one for itself, and everybody else
 * the other: the second thread, the one that waits for both, and the machine's reaper, which
 * inherits it. So what the first loses is what the second does to it through memory, and not the
 * scheduler's idea of three threads on two processors; rows called "unpinned" have that.
 */
struct processors {
	cpu_set_t all, first, others;
	bool apart;
};

static void processors_split(struct processors *p)
{
	int found = 0;

	CPU_ZERO(&p->first);
	CPU_ZERO(&p->others);
	sched_getaffinity(0, sizeof(p->all), &p->all);
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
		if (CPU_ISSET(cpu, &p->all))
			CPU_SET(cpu, found++ == 0 ? &p->first : &p->others);
	}
	p->apart = found == 2 && sched_setaffinity(0, sizeof(p->others), &p->others) == 0;
}

static void processors_join(const struct processors *p)
{
	sched_setaffinity(0, sizeof(p->all), &p->all);
}

struct side {
	struct board *board;
	void (*run)(struct side *side);
	_Atomic bool *stop;
	pthread_barrier_t *start;
	const cpu_set_t *processor; /* NULL: as it comes */
	uint64_t done;
	double rate; /* per ns */
};

static void *side_main(void *arg)
{
	struct side *side = arg;

	if (side->processor)
		sched_setaffinity(0, sizeof(*side->processor), side->processor);
	pthread_barrier_wait(side->start);
	const double start = bench_now();

	side->run(side);
	side->rate = (double)side->done / (bench_now() - start);
	return NULL;
}

static bool stopped(const struct side *side)
{
	return atomic_load_explicit(side->stop, memory_order_relaxed);
}

static void read_random(struct side *side)
{
	while (!stopped(side)) {
		load_random(side->board, 4096);
		side->done += 4096;
	}
}

static void read_same(struct side *side)
{
	while (!stopped(side)) {
		load_same(side->board, 0, 4096);
		side->done += 4096;
	}
}

static void spin(struct side *side)
{
	while (!stopped(side))
		for (int i = 0; i < 4096; i++)
			bench_keep((uint64_t)i);
}

/* Adds, moves and removes regions of the upper half, flat out. */
static void edit(struct side *side)
{
	struct board *board = side->board;
	uint64_t random = 1234567;

	while (!stopped(side)) {
		const size_t i = COUNT / 2 + bench_random(&random) % (COUNT / 2);

		fh_region_remove(board->regions[i]);
		fh_region_add(board->root, board->regions[i], i * STRIDE, 0);
		side->done += 2;
	}
}

/* The rate of the first side beside the second, if there is one. */
static double beside(struct board *board, const struct processors *processors,
		     void (*first)(struct side *), void (*second)(struct side *), double *ret_sum)
{
	_Atomic bool stop = false;
	pthread_barrier_t start;
	pthread_t threads[2];
	struct side sides[2] = {
		{ .board = board,
		  .run = first,
		  .stop = &stop,
		  .start = &start,
		  .processor = processors && processors->apart ? &processors->first : NULL },
		{ .board = board, .run = second, .stop = &stop, .start = &start },
	};
	const unsigned count = second ? 2 : 1;

	pthread_barrier_init(&start, NULL, count + 1);
	for (unsigned i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, side_main, &sides[i]);
	pthread_barrier_wait(&start);
	const double until = bench_now() + (double)bench_scale(150000000);

	while (bench_now() < until) {
		const struct timespec ms = { .tv_nsec = 1000000 };

		nanosleep(&ms, NULL);
	}
	stop = true;
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	if (ret_sum)
		*ret_sum = sides[0].rate + sides[1].rate;
	return sides[0].rate;
}

/* What a reader loses beside an editor, of the medians of the two rows: 1 - rate over rate. */
static void sample_loss(const char *name, const char *editor, const char *spinner)
{
	bench_sample(bench_row(name, "%"),
		     100 * (1 - bench_median(bench_row(spinner, "ns")) /
					bench_median(bench_row(editor, "ns"))));
}

static void bench_two_threads(struct board *board, const struct processors *p)
{
	for (int sample = 0; sample < 11; sample++) {
		double two;
		const double one = beside(board, p, read_random, NULL, NULL);

		beside(board, p, read_random, read_random, &two);
		bench_sample(bench_row("mmio.two_readers_ratio", "ratio"), two / one);
		bench_sample(bench_row("mmio.same.beside_editor", "ns"),
			     1 / beside(board, p, read_same, edit, NULL));
		bench_sample(bench_row("mmio.same.beside_spinner", "ns"),
			     1 / beside(board, p, read_same, spin, NULL));
		bench_sample(bench_row("mmio.random.beside_editor", "ns"),
			     1 / beside(board, p, read_random, edit, NULL));
		bench_sample(bench_row("mmio.random.beside_spinner", "ns"),
			     1 / beside(board, p, read_random, spin, NULL));
	}
	sample_loss("mmio.editor_loss", "mmio.same.beside_editor", "mmio.same.beside_spinner");
	sample_loss("mmio.editor_loss.random", "mmio.random.beside_editor",
		    "mmio.random.beside_spinner");
}

static void bench_unpinned(struct board *board)
{
	for (int sample = 0; sample < 11; sample++) {
		bench_sample(bench_row("mmio.same.beside_editor.unpinned", "ns"),
			     1 / beside(board, NULL, read_same, edit, NULL));
		bench_sample(bench_row("mmio.same.beside_spinner.unpinned", "ns"),
			     1 / beside(board, NULL, read_same, spin, NULL));
	}
	sample_loss("mmio.editor_loss.unpinned", "mmio.same.beside_editor.unpinned",
		    "mmio.same.beside_spinner.unpinned");
}

void bench_access(void)
{
	static struct board board;
	struct processors processors;

	board_build(&board);
	bench_one_thread(&board);
	bench_unpinned(&board);
	board_free(&board);
	processors_split(&processors);
	board_build(&board);
	bench_two_threads(&board, &processors);
	board_free(&board);
	processors_join(&processors);
}
