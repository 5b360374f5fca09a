/* SPDX-License-Identifier: MIT */
/*
 * The hart as a device: start, stop, reset, waiting, its lines and timer, a map that changes under
 * it, and its end, with small programs in machine code.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "support/probe.h"
#include "support/scale.h"

#define RAM_BASE UINT64_C(0x80000000)
#define DATA	 0x1000 /* in RAM: what the programs write */
#define SECOND	 UINT64_C(0x50000000)

/* Stores a0 and a1 at DATA and DATA + 8, then counts at DATA + 16. */
static const uint32_t counts[] = {
	0x800012b7, 0x02029293, 0x0202d293, /* t0 = RAM_BASE + DATA */
	0x00a2b023,			    /* sd a0, 0(t0) */
	0x00b2b423,			    /* sd a1, 8(t0) */
	0x0002b823,			    /* sd zero, 16(t0) */
	0x0102b303,			    /* 1: ld t1, 16(t0) */
	0x00130313,			    /* addi t1, t1, 1 */
	0x0062b823,			    /* sd t1, 16(t0) */
	0xff5ff06f,			    /* j 1b */
};

/* Copies from SECOND to DATA + 16 until that traps; then mcause to DATA + 24, mtval to 32. */
static const uint32_t copies[] = {
	0x00000397,			    /* auipc t2, 0 */
	0x02c38393,			    /* addi t2, t2, handler */
	0x30539073,			    /* csrw mtvec, t2 */
	0x800012b7, 0x02029293, 0x0202d293, /* t0 = RAM_BASE + DATA */
	0x50000e37,			    /* lui t3, 0x50000 */
	0x000e3303,			    /* 1: ld t1, 0(t3) */
	0x0062b823,			    /* sd t1, 16(t0) */
	0xff9ff06f,			    /* j 1b */
	0x00000013,			    /* nop */
	0x34202373,			    /* handler: csrr t1, mcause */
	0x0062bc23,			    /* sd t1, 24(t0) */
	0x34302373,			    /* csrr t1, mtval */
	0x0262b023,			    /* sd t1, 32(t0) */
	0x0000006f,			    /* j . */
};

/*
 * Enables all interrupts in mie, sets stimecmp to 13 ms from now, stores 1 at DATA + 8, waits, and
 * stores mip at DATA + 16; then waits for ever.
 */
static const uint32_t waits[] = {
	0x800012b7, 0x02029293, 0x0202d293, /* t0 = RAM_BASE + DATA */
	0xfff00313,			    /* li t1, -1 */
	0x30431073,			    /* csrw mie, t1 */
	0x30a31073,			    /* csrw menvcfg, t1 */
	0xc01023f3,			    /* csrr t2, time */
	0x00020e37,			    /* lui t3, 0x20 */
	0x01c383b3,			    /* add t2, t2, t3 */
	0x14d39073,			    /* csrw stimecmp, t2 */
	0x00100e13,			    /* li t3, 1 */
	0x01c2b423,			    /* sd t3, 8(t0) */
	0x10500073,			    /* wfi */
	0x34402373,			    /* csrr t1, mip */
	0x0062b823,			    /* sd t1, 16(t0) */
	0x30401073,			    /* csrw mie, zero */
	0x10500073,			    /* 1: wfi */
	0xffdff06f,			    /* j 1b */
};

/* Stores of all kinds, each into a page of its own from 2 on; then 1 to DATA + 16, and again. */
static const uint32_t writes[] = {
	0x00100e13,			    /* li t3, 1 */
	0x000013b7,			    /* lui t2, 1 */
	0x800012b7, 0x02029293, 0x0202d293, /* 1: t0 = RAM_BASE + DATA */
	0x00028e93,			    /* mv t4, t0 */
	0x007282b3, 0x01c2b32f,		    /* next page; amoadd.d t1, t3, (t0) */
	0x007282b3, 0x1002b32f, 0x19c2b32f, /* next; lr.d t1, (t0); sc.d t1, t3, (t0) */
	0x007282b3, 0x0062b8a3,		    /* next; sd t1, 17(t0) */
	0x007282b3, 0x007282b3, 0xfe62be23, /* next but one; sd t1, -4(t0) */
	0x007282b3, 0x0042a00f,		    /* next; cbo.zero (t0) */
	0x007282b3, 0x19c2b32f,		    /* next; sc.d t1, t3, (t0): fails */
	0x007282b3, 0x01c28023,		    /* next; sb t3, (t0) */
	0x01ceb823,			    /* sd t3, 16(t4) */
	0xfadff06f,			    /* j 1b */
};

struct rig {
	struct fh_machine *m;
	struct fh_region *ram, *second;
	struct code_pages *code_pages;
	struct fh_device *hart;
	struct fh_device *board;
	struct fh_irq *out;
	_Atomic uint64_t stopped_clock; /* what it shows; 0: it runs */
};

static const struct fh_type board_type = {.name = "board", .parent = &fh_device_type};

static uint64_t now(void *arg)
{
	struct rig *const g = arg;

	/* Acquire and release: the hart is told after it was set. */
	const uint64_t stopped = atomic_load_explicit(&g->stopped_clock, memory_order_acquire);

	return stopped ? stopped : fh_machine_now(g->m) / 100;
}

static void set_clock(struct rig *g, uint64_t time)
{
	atomic_store_explicit(&g->stopped_clock, time, memory_order_release);
}

static int set_up(void **state)
{
	struct rig *const g = calloc(1, sizeof(*g));
	struct fh_region *root;
	struct cpu_config config;

	g->m = machine_begin();
	root = fh_space_root(fh_machine_memory(g->m));
	g->ram = fh_region_new_ram(g->m, "ram", 0x10000, NULL);
	g->second = fh_region_new_ram(g->m, "second", 0x1000, NULL);
	fh_region_add(root, g->ram, RAM_BASE, 0);
	fh_region_add(root, g->second, SECOND, 0);
	g->code_pages = code_pages_new();
	g->board = fh_device_new(g->m, &board_type, "board", NULL, NULL);
	assert_int_equal(fh_device_realize(g->board, NULL), FH_OK);
	g->out = fh_irq_new(g->board, "out");
	config = (struct cpu_config){
		.hart_id = 2,
		.isa = cpu_isa_default(),
		.memory = fh_machine_memory(g->m),
		.code_pages = g->code_pages,
		.time = now,
		.time_arg = g,
		.reset_pc = RAM_BASE,
		.reset_a1 = 0xd7b,
	};
	g->hart = fh_device_new(g->m, &cpu_type, "hart", NULL, NULL);
	cpu_configure(g->hart, &config);
	assert_int_equal(fh_device_realize(g->hart, NULL), FH_OK);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *const g = *state;

	fh_device_unplug(g->hart);
	fh_device_unplug(g->board);
	fh_object_unref(g->ram);
	fh_object_unref(g->second);
	machine_end(g->m);
	code_pages_free(g->code_pages);
	free(g);
	return 0;
}

static void load(struct rig *g, const uint32_t *code, size_t size)
{
	memcpy(fh_region_ram(g->ram), code, size);
}

static uint64_t peek(struct rig *g, uint64_t offset)
{
	return __atomic_load_n((uint64_t *)((char *)fh_region_ram(g->ram) + DATA + offset),
			       __ATOMIC_RELAXED);
}

/* Polls the machine meanwhile; false after some seconds. */
static bool becomes_other_than(struct rig *g, uint64_t offset, uint64_t value)
{
	for (unsigned i = 0; i < patience(20000); i++) {
		if (peek(g, offset) != value)
			return true;
		fh_machine_poll(g->m);
		usleep(200);
	}
	return false;
}

static void start_is_from_reset_state(void **state)
{
	struct rig *g = *state;

	load(g, counts, sizeof(counts));
	assert_int_equal(peek(g, 16), 0);
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 16, 0));
	assert_int_equal(peek(g, 0), 2);
	assert_int_equal(peek(g, 8), 0xd7b);
}

static void stop_stands_still_and_start_goes_on(void **state)
{
	struct rig *g = *state;
	uint64_t count;

	load(g, counts, sizeof(counts));
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 16, 0));
	cpu_stop(g->hart);
	count = peek(g, 16);
	usleep(5000);
	assert_int_equal(peek(g, 16), count);
	assert_true(cpu_instret(g->hart) >= count);
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 16, count));
	assert_true(peek(g, 16) > count);
}

static void reset_starts_anew_running_or_not(void **state)
{
	struct rig *g = *state;

	load(g, counts, sizeof(counts));
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 16, 0));
	cpu_set_reset(g->hart, RAM_BASE, 0xabc);
	fh_device_reset(g->hart, FH_RESET_WARM);
	assert_true(becomes_other_than(g, 8, 0xd7b));
	assert_int_equal(peek(g, 8), 0xabc);
	cpu_stop(g->hart);
	cpu_set_reset(g->hart, RAM_BASE, 0xdef);
	fh_device_reset(g->hart, FH_RESET_COLD);
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 8, 0xabc));
	assert_int_equal(peek(g, 8), 0xdef);
}

/* R2 of hart.c: else the drain would wait for ever. */
static void grace_periods_end_while_a_hart_spins(void **state)
{
	struct rig *g = *state;

	load(g, counts, sizeof(counts));
	cpu_start(g->hart);
	for (unsigned i = 0; i < 20; i++) {
		fh_region_move(g->second, SECOND + 0x10000 * (i + 1));
		fh_machine_drain(g->m);
	}
}

static void unplug_ends_a_hart_that_spins(void **state)
{
	struct rig *g = *state;
	uint64_t count;

	load(g, counts, sizeof(counts));
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 16, 0));
	fh_device_unplug(g->hart);
	g->hart = NULL;
	count = peek(g, 16);
	usleep(2000);
	assert_int_equal(peek(g, 16), count);
}

static void unplug_ends_a_hart_that_waits(void **state)
{
	struct rig *g = *state;

	set_clock(g, 1);
	load(g, waits, sizeof(waits));
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 8, 0));
	usleep(2000);
	assert_int_equal(peek(g, 16), 0);
	fh_device_unplug(g->hart);
	g->hart = NULL;
}

static void line_ends_the_wait(void **state)
{
	static const struct {
		const char *name;
		uint64_t bit;
	} lines[] = {{"msi", 3}, {"mti", 7}, {"ssi", 1}, {"mei", 11}, {"sei", 9}};
	struct rig *g = *state;

	set_clock(g, 1);
	load(g, waits, sizeof(waits));
	for (unsigned i = 0; i < 5; i++) {
		struct fh_irq *const in = fh_device_irq(g->hart, lines[i].name);
		const uint64_t zero[3] = {0};

		memcpy((char *)fh_region_ram(g->ram) + DATA, zero, sizeof(zero));
		cpu_start(g->hart);
		assert_true(becomes_other_than(g, 8, 0));
		assert_int_equal(peek(g, 16), 0);
		assert_int_equal(fh_irq_connect(g->out, in), FH_OK);
		if (i == 2)
			fh_irq_pulse(g->out); /* an edge is enough */
		else
			fh_irq_raise(g->out);
		assert_true(becomes_other_than(g, 16, 0));
		assert_int_equal(peek(g, 16), UINT64_C(1) << lines[i].bit);
		cpu_stop(g->hart);
		fh_irq_lower(g->out);
		fh_irq_disconnect(g->out, in);
		fh_device_reset(g->hart, FH_RESET_WARM);
	}
}

/* Sstc */
static void stimecmp_ends_the_wait(void **state)
{
	struct rig *g = *state;

	load(g, waits, sizeof(waits));
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 16, 0));
	assert_int_equal(peek(g, 16), 1 << 5);
}

/* The hart's own timer is armed for a minute from now. */
static void time_that_jumps_ends_the_wait(void **state)
{
	static const uint32_t lui = 0x20000e37; /* lui t3, 0x20000 */
	struct rig *g = *state;

	set_clock(g, 1);
	load(g, waits, sizeof(waits));
	memcpy((char *)fh_region_ram(g->ram) + 7 * 4, &lui, 4);
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 8, 0));
	usleep(2000);
	set_clock(g, 0x20000000);
	cpu_time_jumped(g->hart);
	usleep(2000);
	assert_int_equal(peek(g, 16), 0);
	set_clock(g, 0x20000001);
	cpu_time_jumped(g->hart);
	assert_true(becomes_other_than(g, 16, 0));
	assert_int_equal(peek(g, 16), 1 << 5);
}

static void removed_memory_is_an_access_fault(void **state)
{
	struct rig *g = *state;

	*(uint64_t *)fh_region_ram(g->second) = 7;
	load(g, copies, sizeof(copies));
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 16, 0));
	assert_int_equal(peek(g, 24), 0);
	fh_region_remove(g->second);
	assert_true(becomes_other_than(g, 24, 0));
	assert_true(becomes_other_than(g, 32, 0));
	assert_int_equal(peek(g, 24), 5); /* load access fault */
	assert_int_equal(peek(g, 32), SECOND);
}

static void memory_that_hides_memory_is_what_is_read(void **state)
{
	struct rig *g = *state;
	struct fh_region *other = fh_region_new_ram(g->m, "other", 0x1000, NULL);

	*(uint64_t *)fh_region_ram(g->second) = 7;
	*(uint64_t *)fh_region_ram(other) = 8;
	load(g, copies, sizeof(copies));
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 16, 0));
	fh_region_add(fh_space_root(fh_machine_memory(g->m)), other, SECOND, 1);
	assert_true(becomes_other_than(g, 16, 7));
	assert_int_equal(peek(g, 16), 8);
	fh_object_unref(other);
	assert_true(becomes_other_than(g, 16, 8));
	assert_int_equal(peek(g, 16), 7);
}

/* --- Dirty logging ---------------------------------------------------------------------------- */

static uint32_t take_dirty(struct rig *g)
{
	struct fh_dirty_snapshot *snapshot =
		fh_dirty_snapshot_take(g->ram, FH_DIRTY_MIGRATION, 0, UINT64_MAX, NULL);
	uint32_t pages = 0;

	assert_non_null(snapshot);
	for (unsigned i = 0; i < 16; i++)
		pages |= (uint32_t)fh_dirty_snapshot_test(snapshot, i * 0x1000, 0x1000) << i;
	fh_dirty_snapshot_free(snapshot);
	return pages;
}

/*
 * The guest makes all its stores at least once, from the first on: the second 1 ends a whole round.
 */
static void go_round(struct rig *g)
{
	uint64_t *const done = (uint64_t *)((char *)fh_region_ram(g->ram) + DATA + 16);

	for (unsigned i = 0; i < 2; i++) {
		__atomic_store_n(done, 0, __ATOMIC_RELAXED);
		assert_true(becomes_other_than(g, 16, 0));
	}
}

static void stores_of_every_kind_mark_their_pages(void **state)
{
	struct rig *g = *state;

	load(g, writes, sizeof(writes));
	for (unsigned i = 0; i < 5; i++) {
		cpu_start(g->hart); /* all pages become writable in the TLB */
		go_round(g);
		assert_int_equal(fh_dirty_start(g->ram, FH_DIRTY_MIGRATION, NULL), FH_OK);
		go_round(g);
		cpu_stop(g->hart);
		/* 8 has the store-conditional that fails. */
		assert_int_equal(take_dirty(g) & ~1u, 0x2fe);
		assert_int_equal(take_dirty(g), 0);
		fh_dirty_stop(g->ram, FH_DIRTY_MIGRATION);
	}
	cpu_start(g->hart);
	go_round(g);
}

static void running_hart_misses_no_store_from_the_start_on(void **state)
{
	struct rig *g = *state;

	load(g, counts, sizeof(counts));
	cpu_start(g->hart);
	assert_true(becomes_other_than(g, 16, 0));
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(fh_dirty_start(g->ram, FH_DIRTY_MIGRATION, NULL), FH_OK);
		const uint64_t count = peek(g, 16);

		/* The store after the next comes after the mark of the next. */
		assert_true(becomes_other_than(g, 16, count));
		assert_true(becomes_other_than(g, 16, peek(g, 16)));
		assert_int_equal(take_dirty(g), 1 << 1);
		fh_dirty_stop(g->ram, FH_DIRTY_MIGRATION);
		/* Writable in the TLB again. */
		assert_true(becomes_other_than(g, 16, peek(g, 16)));
	}
}

static void hart_without_memory_is_not_realized(void **state)
{
	struct rig *g = *state;
	struct fh_error err = FH_ERROR_INIT;

	assert_null(fh_device_plug(g->m, &cpu_type, "bare", NULL, &err));
	assert_int_equal(err.code, FH_EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(start_is_from_reset_state),
		TEST(stop_stands_still_and_start_goes_on),
		TEST(reset_starts_anew_running_or_not),
		TEST(grace_periods_end_while_a_hart_spins),
		TEST(unplug_ends_a_hart_that_spins),
		TEST(unplug_ends_a_hart_that_waits),
		TEST(line_ends_the_wait),
		TEST(stimecmp_ends_the_wait),
		TEST(time_that_jumps_ends_the_wait),
		TEST(removed_memory_is_an_access_fault),
		TEST(memory_that_hides_memory_is_what_is_read),
		TEST(stores_of_every_kind_mark_their_pages),
		TEST(running_hart_misses_no_store_from_the_start_on),
		TEST(hart_without_memory_is_not_realized),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
