/* SPDX-License-Identifier: MIT */
/*
 * Harts that write logged memory through their TLBs, while somebody takes the bits and the map
 * changes under them: no page is lost.
 *
 * R1. As in dirty.c: a copy is kept as a migration keeps it, and has to be equal to the memory when
 *     the harts stand still and one more snapshot was taken. Many short rounds, since what is
 *     written again is copied again: only the last moments of a round tell.
 * R2. One hart writes few pages over and over, which stay open; another more than can be open.
 */
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "support/copy.h"
#include "support/probe.h"
#include "support/random.h"
#include "support/scale.h"

enum {
	HARTS = 2,
	PAGE = 0x1000,
	FEW = 64, /* powers of two */
	MANY = 4096,
	CODE = 0x10000, /* bytes, in front of the pages */
	SIZE = CODE + MANY * PAGE,
	WINDOW_SIZE = 4 * PAGE,
};

#define RAM	 UINT64_C(0x80000000)
#define WINDOW	 UINT64_C(0x50000000)
#define REGISTER UINT64_C(0x10000000)

/*
 * Counts in a random page (of those that a1 masks), in a word of the hart's own; every sixteenth
 * time also atomically, and in the window, whether it is there or not; every 256th time stores to
 * the register.
 */
static const uint32_t program[] = {
	0x00000417, /* auipc s0,0x0 */
	0x00000297, /* auipc t0,0x0 */
	0x07c28293, /* addi t0,t0,124 */
	0x30529073, /* csrrw zero,mtvec,t0 */
	0x000104b7, /* lui s1,0x10 */
	0x00940433, /* add s0,s0,s1 */
	0x00058a93, /* addi s5,a1,0 */
	0x00351913, /* slli s2,a0,0x3 */
	0x01240433, /* add s0,s0,s2 */
	0x100009b7, /* lui s3,0x10000 */
	0x50000a37, /* lui s4,0x50000 */
	0x012a0a33, /* add s4,s4,s2 */
	0x5851f5b7, /* lui a1,0x5851f */
	0x42d58593, /* addi a1,a1,1069 */
	0x00150613, /* addi a2,a0,1 */
	0x02b60633, /* mul a2,a2,a1 */
	0x3f560613, /* addi a2,a2,1013 */
	0x01465693, /* srli a3,a2,0x14 */
	0x0156f6b3, /* and a3,a3,s5 */
	0x00d40733, /* add a4,s0,a3 */
	0x00073783, /* ld a5,0(a4) */
	0x00178793, /* addi a5,a5,1 */
	0x00f73023, /* sd a5,0(a4) */
	0x03265693, /* srli a3,a2,0x32 */
	0x00f6f813, /* andi a6,a3,15 */
	0x00081663, /* bne a6,zero,80000070 */
	0x04ca3023, /* sd a2,64(s4) */
	0x00b7302f, /* amoadd.d zero,a1,(a4) */
	0x0ff6f813, /* andi a6,a3,255 */
	0xfc0814e3, /* bne a6,zero,8000003c */
	0x00c9b023, /* sd a2,0(s3) */
	0xfc1ff06f, /* jal zero,8000003c */
	0x34102373, /* csrrs t1,mepc,zero */
	0x00430313, /* addi t1,t1,4 */
	0x34131073, /* csrrw zero,mepc,t1 */
	0x30200073, /* mret */
};

struct world {
	struct fh_machine *m;
	struct fh_space *memory;
	struct fh_region *ram, *window, *reg;
	struct code_pages *code_pages;
	struct fh_device *hart[HARTS];
	_Atomic uint64_t stores; /* to the register */
	uint8_t bytes[SIZE]; /* of the copy */
	struct copy copy;
};

static uint64_t no_time(void *arg)
{
	(void)arg;
	return 0;
}

/* --- What happens beside the harts ------------------------------------------------------------ */

static void change_window(struct world *world, unsigned number)
{
	struct fh_region *root = fh_space_root(world->memory);

	if (number % 4 == 0)
		fh_region_remove(world->window);
	else if (number % 4 == 1)
		fh_region_add(root, world->window, WINDOW, 0);
	else
		fh_region_set_alias_offset(world->window, CODE + number * PAGE);
}

/* In a slice of the hart's, and in its chain. */
static enum fh_tx register_write(void *state, uint64_t offset, uint64_t value, unsigned size,
				 struct fh_attrs attrs)
{
	struct world *world = state;
	const uint64_t number = atomic_fetch_add_explicit(&world->stores, 1, memory_order_relaxed);

	(void)offset, (void)size, (void)attrs;
	if (number % 16 == 0)
		fh_dirty_test_and_clear(world->ram, FH_DIRTY_DISPLAY, 0, SIZE);
	if (number % 64 == 1)
		change_window(world, (unsigned)(value >> 40) % 60);
	if (number % 64 == 2) {
		fh_blocking_begin();
		sched_yield();
		fh_blocking_end();
	}
	return FH_TX_OK;
}

static const struct fh_region_ops register_ops = { .write = register_write, .concurrent = true };

static void disturb(struct world *world, unsigned *seed)
{
	const unsigned what = below(seed, 8);

	if (what == 0)
		assert_int_equal(fh_dirty_start(world->ram, FH_DIRTY_DISPLAY, NULL), FH_OK);
	else if (what == 1)
		fh_dirty_stop(world->ram, FH_DIRTY_DISPLAY);
	else if (what == 2)
		change_window(world, below(seed, 60));
	else if (what == 3)
		usleep(below(seed, 500));
	else
		fh_dirty_test_and_clear(world->ram, FH_DIRTY_DISPLAY, CODE, FEW * PAGE / 2);
}

/* --- Rounds ----------------------------------------------------------------------------------- */

static void stop(struct world *world)
{
	for (unsigned i = 0; i < HARTS; i++)
		cpu_stop(world->hart[i]);
}

static void round_of(struct world *world, unsigned *seed)
{
	for (unsigned i = 0; i < HARTS; i++)
		cpu_start(world->hart[i]);
	for (unsigned i = below(seed, 12); i > 0; i--) {
		copy_dirty(&world->copy);
		disturb(world, seed);
	}
	stop(world);
	copy_dirty(&world->copy);
	CHECK(copy_is_equal(&world->copy));
	/* Who stands still keeps no page dirty. */
	assert_false(fh_dirty_test_and_clear(world->ram, FH_DIRTY_MIGRATION, 0, SIZE));
}

static void world_begin(struct world *world)
{
	struct fh_region *root;

	memset(world, 0, sizeof(*world));
	world->m = machine_begin();
	world->memory = fh_machine_memory(world->m);
	root = fh_space_root(world->memory);
	world->ram = fh_region_new_ram(world->m, "ram", SIZE, NULL);
	world->copy = (struct copy){ .space = world->memory,
				     .ram = world->ram,
				     .addr = RAM,
				     .size = SIZE,
				     .bytes = world->bytes };
	world->window = fh_region_new_alias(world->m, "window", world->ram, CODE, WINDOW_SIZE);
	world->reg = fh_region_new_mmio(world->m, "reg", PAGE, &register_ops, world);
	fh_region_add(root, world->ram, RAM, 0);
	fh_region_add(root, world->window, WINDOW, 0);
	fh_region_add(root, world->reg, REGISTER, 0);
	memcpy(fh_region_ram(world->ram), program, sizeof(program));
	world->code_pages = code_pages_new();
	for (unsigned i = 0; i < HARTS; i++) {
		const struct cpu_config config = {
			.hart_id = i,
			.isa = cpu_isa_default(),
			.memory = world->memory,
			.code_pages = world->code_pages,
			.time = no_time,
			.reset_pc = RAM,
			.reset_a1 = (uint64_t)((i == 0 ? FEW : MANY) - 1) * PAGE,
		};

		world->hart[i] = fh_device_new(world->m, &cpu_type, i ? "b" : "a", NULL, NULL);
		cpu_configure(world->hart[i], &config);
		assert_int_equal(fh_device_realize(world->hart[i], NULL), FH_OK);
	}
}

static void world_end(struct world *world)
{
	for (unsigned i = 0; i < HARTS; i++)
		fh_device_unplug(world->hart[i]);
	fh_object_unref(world->window);
	fh_object_unref(world->ram);
	fh_object_unref(world->reg);
	machine_end(world->m);
	code_pages_free(world->code_pages);
}

static void copy_is_equal_once_the_harts_stand_still(void **state)
{
	static struct world world;
	unsigned seed = 5;

	(void)state;
	world_begin(&world);
	/* Until the register was stored to as well, however slow the host is. */
	for (uint64_t i = 0; i < scaled(20) || world.stores <= 100; i++) {
		assert_int_equal(fh_dirty_start(world.ram, FH_DIRTY_MIGRATION, NULL), FH_OK);
		copy_all(&world.copy);
		for (unsigned k = 0; k < 20; k++)
			round_of(&world, &seed);
		fh_dirty_stop(world.ram, FH_DIRTY_MIGRATION);
	}
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_is_equal_once_the_harts_stand_still),
	};

	return cmocka_run_group_tests_name("stress/harts", tests, NULL, NULL);
}
