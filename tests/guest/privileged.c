/* SPDX-License-Identifier: MIT */
/*
 * Runs guests without firmware, privileged.S and harts.S, on harts with nothing around them but RAM
 * and a few registers: one that ends the guest, and eight that drive lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "support/probe.h"

#define RAM_BASE  UINT64_C(0x80000000)
#define RAM_SIZE  UINT64_C(0x1000000)
#define EXIT_BASE UINT64_C(0x10000000)
#define LINES	  8

struct rig {
	struct fh_machine *m;
	struct fh_region *ram;
	struct fh_irq *lines[LINES]; /* at EXIT_BASE + 0x100 + 8 * index */
	struct code_pages *code_pages;
	struct fh_device *board, *harts[4];
	_Atomic uint64_t ended; /* what the guest stored; 0: it runs */
};

static enum fh_tx board_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	struct rig *const g = state;

	(void)size, (void)attrs;
	if (offset == 0)
		atomic_store_explicit(&g->ended, value, memory_order_relaxed); /* a word */
	else if (offset >= 0x100 && offset < 0x100 + 8 * LINES)
		fh_irq_set(g->lines[(offset - 0x100) / 8], value & 1);
	return FH_TX_OK;
}

static const struct fh_region_ops board_ops = {.write = board_write};
static const struct fh_type board_type = {.name = "board", .parent = &fh_device_type};

static uint64_t now(void *arg)
{
	return fh_machine_now(arg) / 100;
}

static void make_board(struct rig *g)
{
	struct fh_region *const root = fh_space_root(fh_machine_memory(g->m));
	char name[] = "line0";

	g->board = fh_device_new(g->m, &board_type, "board", NULL, NULL);
	for (unsigned i = 0; i < LINES; i++) {
		name[4] = (char)('0' + i);
		g->lines[i] = fh_irq_new(g->board, name);
	}
	fh_region_add(root, fh_region_new_mmio(g->board, "exit", 0x1000, &board_ops, g), EXIT_BASE,
		      0);
	assert_int_equal(fh_device_realize(g->board, NULL), FH_OK);
	g->ram = fh_region_new_ram(g->m, "ram", RAM_SIZE, NULL);
	fh_region_add(root, g->ram, RAM_BASE, 0);
}

static struct fh_device *make_hart(struct rig *g, unsigned id)
{
	const struct cpu_config config = {
		.hart_id = id,
		.isa = cpu_isa_default(),
		.memory = fh_machine_memory(g->m),
		.code_pages = g->code_pages,
		.time = now,
		.time_arg = g->m,
		.reset_pc = RAM_BASE,
	};
	const char name[] = {'h', (char)('0' + id), 0};
	struct fh_device *const hart = fh_device_new(g->m, &cpu_type, name, NULL, NULL);

	cpu_configure(hart, &config);
	assert_int_equal(fh_device_realize(hart, NULL), FH_OK);
	return hart;
}

static void load(struct rig *g, const char *variable)
{
	const char *const path = getenv(variable);
	FILE *file;

	if (!path)
		skip(); /* no compiler for guests */
	file = fopen(path, "rb");
	assert_non_null(file);
	assert_true(fread(fh_region_ram(g->ram), 1, RAM_SIZE, file) > 0);
	fclose(file);
}

/* What the guest ended with; 0: not within some seconds. */
static uint64_t run(struct rig *g, unsigned harts)
{
	uint64_t ended = 0;

	for (unsigned i = 0; i < harts; i++)
		g->harts[i] = make_hart(g, i);
	fh_irq_connect(g->lines[0], fh_device_irq(g->harts[0], "msi"));
	fh_irq_connect(g->lines[7], fh_device_irq(g->harts[0], "ssi"));
	for (unsigned i = 0; i < harts; i++)
		cpu_start(g->harts[i]);
	for (unsigned i = 0; i < 40000 && !ended; i++) {
		usleep(500);
		fh_machine_poll(g->m);
		ended = atomic_load_explicit(&g->ended, memory_order_relaxed);
	}
	return ended;
}

static int set_up(void **state)
{
	struct rig *const g = calloc(1, sizeof(*g));

	g->m = machine_begin();
	g->code_pages = code_pages_new();
	make_board(g);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *const g = *state;

	for (unsigned i = 0; i < 4; i++)
		fh_device_unplug(g->harts[i]);
	fh_device_unplug(g->board);
	fh_object_unref(g->ram);
	machine_end(g->m);
	code_pages_free(g->code_pages);
	free(g);
	return 0;
}

/* Anything but 1: the number of the check in privileged.S, times 2, plus 1. */
static void privileged_architecture_is_as_software_expects(void **state)
{
	struct rig *g = *state;

	load(g, "PRIVILEGED_GUEST");
	assert_int_equal(run(g, 1), 1);
}

static void four_harts_count_without_losing_one(void **state)
{
	struct rig *g = *state;

	load(g, "HARTS_GUEST");
	assert_int_equal(run(g, 4), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(privileged_architecture_is_as_software_expects),
		TEST(four_harts_count_without_losing_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
