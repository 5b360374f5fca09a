/* SPDX-License-Identifier: MIT */
/*
 * KVM's slots are what the view shows, and vCPUs notice nothing while they change: against a KVM
 * that the test plays itself.
 */
#include "support/kvm-rig.h"
#include "support/scale.h"

#include <freehold/dirty.h>

static struct fh_region *new_ram(const char *name, uint64_t pages)
{
	return fh_region_new_ram(m, name, pages * PAGE, NULL);
}

static enum fh_tx count_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)offset, (void)value, (void)size, (void)attrs;
	++*(unsigned *)state;
	return FH_TX_OK;
}

static enum fh_tx read_offset(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)state, (void)size, (void)attrs;
	*ret_value = offset;
	return FH_TX_OK;
}

static const struct fh_region_ops register_ops = { .read = read_offset, .write = count_write };
static unsigned written_registers;

/* --- Slots are what the view shows ---------------------------------------------------------- */

struct expected {
	char *ptr;
	bool readonly, logged;
};

struct lookup {
	uint64_t addr;
	struct expected found;
};

static bool look(const struct fh_section *section, void *arg)
{
	struct lookup *lookup = arg;

	if (section->first <= lookup->addr && section->last >= lookup->addr + PAGE - 1 &&
	    section->ptr) {
		char *ptr = (char *)section->ptr + (lookup->addr - section->first);

		if ((uintptr_t)ptr % PAGE == 0)
			lookup->found = (struct expected){ ptr,
							   section->readonly || section->rom_mode,
							   section->log_mask != 0 };
	}
	return section->first <= lookup->addr;
}

static bool page_is_right(uint64_t addr)
{
	struct lookup lookup = { .addr = addr };
	const struct fake_slot *slot = fake_find(&fake, addr);

	fh_space_each(space, look, &lookup);
	if (!slot || !lookup.found.ptr)
		return !slot && !lookup.found.ptr;
	return slot->ptr + (addr - slot->first) == lookup.found.ptr &&
	       !!(slot->flags & KVM_MEM_READONLY) == lookup.found.readonly &&
	       (lookup.found.readonly ||
		!!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES) == lookup.found.logged);
}

static void check_slots(uint64_t pages)
{
	uint64_t right = 0;

	fake_lock(&fake);
	while (right < pages && page_is_right(right * PAGE))
		right++;
	fake_unlock(&fake);
	assert_int_equal(right, pages);
}

static void each_kind_has_the_slot_that_it_should_have(void **state)
{
	static char bar[PAGE] __attribute__((aligned(PAGE)));

	(void)state;
	struct fh_region *ram = new_ram("ram", 4);
	struct fh_region *rom = fh_region_new_rom(m, "rom", 2 * PAGE, FH_ROM_IGNORE, NULL);
	struct fh_region *flash = fh_region_new_rom_device(m, "flash", 2 * PAGE, &register_ops,
							   &written_registers, NULL);
	struct fh_region *regs =
		fh_region_new_mmio(m, "regs", PAGE, &register_ops, &written_registers);
	struct fh_region *device = fh_region_new_ram_device(m, "bar", PAGE, bar, NULL, NULL);

	fh_region_add(root, ram, 0, 0);
	fh_region_add(root, device, 7 * PAGE, 0);
	fh_region_add(root, rom, 4 * PAGE, 0);
	fh_region_add(root, flash, 8 * PAGE, 0);
	fh_region_add(root, regs, PAGE, 1);
	struct fh_kvm *kvm = begin(NULL);

	check_slots(12);
	assert_int_equal(fake_count(&fake), 5); /* RAM, RAM, ROM, RAM device, ROM device */
	fh_region_set_rom_mode(flash, false);
	check_slots(12);
	assert_int_equal(fake_count(&fake), 4);
	fh_region_set_readonly(ram, true);
	check_slots(12);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);

	fh_object_unref(kvm);
	fh_object_unref(device);
	fh_object_unref(regs);
	fh_object_unref(flash);
	fh_object_unref(rom);
	fh_object_unref(ram);
}

static void parts_of_pages_are_left_to_the_space(void **state)
{
	(void)state;
	struct fh_region *ram = new_ram("ram", 8);
	struct fh_region *regs =
		fh_region_new_mmio(m, "regs", 16, &register_ops, &written_registers);
	struct fh_kvm *kvm = begin(NULL);

	fh_region_add(root, ram, 0, 0);
	fh_region_add(root, regs, 2 * PAGE + 0x800, 1);
	check_slots(12);
	assert_non_null(fake_find(&fake, PAGE));
	assert_null(fake_find(&fake, 2 * PAGE));
	assert_non_null(fake_find(&fake, 3 * PAGE));
	fh_region_move(regs, 3 * PAGE - 8); /* across two pages */
	check_slots(12);
	assert_null(fake_find(&fake, 3 * PAGE));
	fh_region_move(ram, 0x10); /* nothing is where a page could be */
	check_slots(12);
	assert_int_equal(fake_count(&fake), 0);
	fh_region_move(ram, -4 * PAGE); /* to the top of the space */
	assert_int_equal(fake_count(&fake), 1);

	fh_object_unref(kvm);
	fh_object_unref(regs);
	fh_object_unref(ram);
}

static void without_read_only_slots_there_are_none(void **state)
{
	(void)state;
	struct fh_region *ram = new_ram("ram", 1);
	struct fh_region *rom = fh_region_new_rom(m, "rom", PAGE, FH_ROM_IGNORE, NULL);

	fake.has_readonly = false;
	fh_region_add(root, ram, 0, 0);
	fh_region_add(root, rom, PAGE, 0);
	struct fh_kvm *kvm = begin(NULL);

	assert_int_equal(fake_count(&fake), 1);
	assert_null(fake_find(&fake, PAGE));
	fh_object_unref(kvm);
	fh_object_unref(rom);
	fh_object_unref(ram);
}

/* --- What the host does not give ------------------------------------------------------------ */

static void more_ranges_than_slots_is_an_error_that_passes(void **state)
{
	(void)state;
	struct fh_region *ram[3];
	struct fh_error err = FH_ERROR_INIT;
	struct fh_kvm *kvm = begin(&(struct fh_kvm_options){ .slot_first = 5, .slot_limit = 2 });

	for (unsigned i = 0; i < 3; i++) {
		ram[i] = new_ram(NULL, 1);
		assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
		fh_region_add(root, ram[i], 2 * i * PAGE, 0);
	}
	assert_int_equal(fh_kvm_check(kvm, &err), FH_ELIMIT);
	assert_string_equal(err.message, "memory at 0x4000..0x4fff: all 2 slots are taken");
	assert_int_equal(fake_count(&fake), 2);
	assert_int_equal(fake.slots[5].pages, 1);
	fh_region_remove(ram[0]);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
	check_slots(8);

	fh_region_add(root, ram[0], 0, 0);
	fh_error_clear(&err);
	fh_kvm_destroy(kvm);
	fh_object_unref(kvm);
	assert_int_equal(fake_count(&fake), 0);
	fake.limit = 2;
	assert_null(kvm_new_with(m, space, fd, NULL, &fake.calls, &err));
	assert_int_equal(err.code, FH_ELIMIT);
	assert_int_equal(fake_count(&fake), 0);
	for (unsigned i = 0; i < 3; i++)
		fh_object_unref(ram[i]);
}

static void what_kvm_refuses_is_an_error_and_tried_again(void **state)
{
	(void)state;
	struct fh_region *ram = new_ram("ram", 1), *more = new_ram("more", 1);
	struct fh_error err = FH_ERROR_INIT;
	struct fh_kvm *kvm = begin(NULL);

	fake.refuse = -ENOMEM;
	fh_region_add(root, ram, 0, 0);
	assert_int_equal(fh_kvm_check(kvm, &err), FH_ENOMEM);
	fake.refuse = 0;
	fh_region_add(root, more, PAGE, 0);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
	check_slots(3);
	fh_object_unref(kvm);
	fh_object_unref(more);
	fh_object_unref(ram);
}

/* --- vCPUs ---------------------------------------------------------------------------------- */


static void nobody_waits_for_additions(void **state)
{
	(void)state;
	struct fh_region *ram = new_ram("ram", 4), *more = new_ram("more", 2);
	struct fh_kvm *kvm = begin(NULL);
	struct cpu *cpu = &cpus[0];

	cpu_start(cpu, kvm);
	wait_for_runs(1);
	fh_region_add(root, ram, 0, 0);
	fh_region_add(root, more, 8 * PAGE, 0);
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_USER0, NULL), FH_OK);
	assert_int_equal(fake.kicks, 0);
	fh_region_move(more, PAGE); /* RAM is cut in two */
	assert_int_equal(fake.kicks, 1);
	check_slots(12);
	fh_kvm_vcpu_interrupt(cpu->vcpu);
	assert_int_equal(cpu_join(cpu), FH_ECANCELED);
	fh_object_unref(kvm);
	fh_object_unref(more);
	fh_object_unref(ram);
}

static void a_vcpu_ends_when_its_kvm_does(void **state)
{
	(void)state;
	struct fh_kvm *kvm = begin(NULL);
	struct cpu *cpu = &cpus[0];

	cpu_start(cpu, kvm);
	wait_for_runs(1);
	fh_kvm_destroy(kvm);
	assert_int_equal(cpu_join(cpu), FH_EDEAD);
	assert_null(fh_kvm_vcpu_new(kvm, fd, &cpu->run, fake_kick, &fake, NULL));
	fh_object_unref(kvm);
}

/* The first run is a store to a register, the next a load of nothing, then the guest halts. */
static unsigned guest_step;

static int register_guest(struct fake_kvm *f, int vcpu_fd)
{
	struct kvm_run *run = fake_run_of_thread;

	(void)f, (void)vcpu_fd;
	run->exit_reason = KVM_EXIT_MMIO;
	switch (guest_step++) {
	case 0:
		run->mmio.phys_addr = 0x100008;
		run->mmio.len = 4;
		run->mmio.is_write = 1;
		memcpy(run->mmio.data, "\1\2\3\4", 4);
		return 0;
	case 1:
		run->mmio.phys_addr = 0x100010;
		run->mmio.len = 2;
		run->mmio.is_write = 0;
		return 0;
	case 2:
		assert_int_equal(run->mmio.data[0], 0x10);
		run->mmio.phys_addr = 0x300000;
		return 0;
	default:
		run->exit_reason = KVM_EXIT_HLT;
		return 0;
	}
}

static unsigned failures;

static void on_failed(void *arg, struct fh_kvm_vcpu *vcpu, uint64_t addr, uint8_t *data,
		      unsigned size, bool write, enum fh_tx tx)
{
	(void)arg, (void)vcpu;
	failures++;
	assert_int_equal(addr, 0x300000);
	assert_int_equal(size, 2);
	assert_false(write);
	assert_int_equal(tx, FH_TX_DECODE_ERROR);
	assert_int_equal(data[0] & data[1], 0xff);
}

static void exits_for_memory_are_accesses_and_others_are_returned(void **state)
{
	(void)state;
	struct fh_region *regs =
		fh_region_new_mmio(m, "regs", PAGE, &register_ops, &written_registers);
	struct fh_kvm *kvm = begin(&(struct fh_kvm_options){ .failed = on_failed });
	struct cpu *cpu = &cpus[0];

	fh_region_add(root, regs, 0x100000, 0);
	written_registers = guest_step = failures = 0;
	fake.guest = register_guest;
	cpu_new(cpu, kvm);
	fake_run_of_thread = &cpu->run;
	assert_int_equal(fh_kvm_run(cpu->vcpu, NULL), FH_OK);
	assert_int_equal(cpu->run.exit_reason, KVM_EXIT_HLT);
	assert_int_equal(written_registers, 1);
	assert_int_equal(failures, 1);
	fh_kvm_vcpu_free(cpu->vcpu);
	fh_object_unref(kvm);
	fh_object_unref(regs);
}

static struct fh_region *moved;

static enum fh_tx move_it(void *state, uint64_t offset, uint64_t value, unsigned size,
			  struct fh_attrs attrs)
{
	(void)state, (void)size, (void)attrs, (void)value;
	fh_region_move(moved, (offset + 2) * PAGE);
	return FH_TX_OK;
}

static const struct fh_region_ops mover_ops = { .write = move_it };

static _Thread_local unsigned own_step;

/* Each vCPU's every run but the last is a store that moves what others have in a slot. */
static int mover_guest(struct fake_kvm *f, int vcpu_fd)
{
	struct kvm_run *run = fake_run_of_thread;

	(void)f, (void)vcpu_fd;
	run->exit_reason = own_step < 200 ? KVM_EXIT_MMIO : KVM_EXIT_HLT;
	run->mmio.phys_addr = 0x100000 + own_step++ % 32;
	run->mmio.len = 1;
	run->mmio.is_write = 1;
	return own_step % 3 ? 0 : 1;
}

static void vcpus_edit_from_their_own_exits(void **state)
{
	(void)state;
	struct fh_region *ram = new_ram("ram", 64);
	struct fh_region *regs = fh_region_new_mmio(m, "regs", PAGE, &mover_ops, NULL);
	struct fh_kvm *kvm = begin(NULL);

	moved = new_ram("moved", 2);
	fh_region_add(root, ram, 0, 0);
	fh_region_add(root, moved, 0, 1);
	fh_region_add(root, regs, 0x100000, 0);
	fake.guest = mover_guest;
	for (unsigned i = 0; i < 3; i++)
		cpu_start(&cpus[i], kvm);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(cpu_join(&cpus[i]), FH_OK);
	check_slots(64);
	fh_object_unref(kvm);
	fh_object_unref(regs);
	fh_object_unref(moved);
	fh_object_unref(ram);
}

/* --- Thousands of edits while a guest writes ------------------------------------------------ */

enum { WORLD = 96, REGIONS = 10, RAMS = 4, RAM_PAGES = 24 };

static struct fh_region *regions[REGIONS];
static char *memory[RAMS];
static bool logging[RAMS];	       /* under fake.lock */
static bool wrote[RAMS][RAM_PAGES];    /* since the last look; under fake.lock */
static bool guest_rests;	       /* under fake.lock */
static uint64_t seed;
static unsigned dirty_found; /* pages */

static uint64_t dice(uint64_t *at, uint64_t limit)
{
	*at = *at * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*at >> 33) % limit;
}

/* Writes a byte somewhere in a slot, and tells KVM's log, if KVM is to log. */
static int writing_guest(struct fake_kvm *f, int vcpu_fd)
{
	static uint64_t guest_seed = 1;
	struct fake_slot *slot = fake_find(f, dice(&guest_seed, WORLD) * PAGE);

	(void)vcpu_fd;
	if (guest_rests || !slot || (slot->flags & KVM_MEM_READONLY))
		return 1;
	const uint64_t page = dice(&guest_seed, slot->pages);
	char *ptr = slot->ptr + page * PAGE;

	for (unsigned i = 0; i < RAMS; i++)
		if (logging[i] && ptr >= memory[i] && ptr < memory[i] + RAM_PAGES * PAGE)
			wrote[i][(ptr - memory[i]) / (ptrdiff_t)PAGE] = true;
	if (slot->flags & KVM_MEM_LOG_DIRTY_PAGES)
		slot->dirty[page] = true;
	return 1;
}

static void world_new(void)
{
	for (unsigned i = 0; i < RAMS; i++) {
		regions[i] = new_ram(NULL, RAM_PAGES);
		memory[i] = fh_region_ram(regions[i]);
		logging[i] = false;
	}
	memset(wrote, 0, sizeof(wrote));
	regions[4] = fh_region_new_rom(m, NULL, 8 * PAGE, FH_ROM_IGNORE, NULL);
	regions[5] = fh_region_new_rom_device(m, NULL, 8 * PAGE, &register_ops,
					      &written_registers, NULL);
	regions[6] = fh_region_new_mmio(m, NULL, PAGE, &register_ops, &written_registers);
	regions[7] = fh_region_new_mmio(m, NULL, 64, &register_ops, &written_registers);
	regions[8] = fh_region_new_alias(m, NULL, regions[0], 2 * PAGE, 12 * PAGE);
	regions[9] = fh_region_new_alias(m, NULL, regions[1], 0, RAM_PAGES * PAGE);
	for (unsigned i = 0; i < REGIONS; i++)
		fh_region_add(root, regions[i], dice(&seed, WORLD) * PAGE, 0);
}

static uint64_t dice_addr(void)
{
	const uint64_t addr = dice(&seed, WORLD) * PAGE;

	return dice(&seed, 8) ? addr : addr + dice(&seed, PAGE);
}

static void edit(void)
{
	struct fh_region *region = regions[dice(&seed, REGIONS)];
	const bool on = dice(&seed, 2);

	switch (dice(&seed, 8)) {
	case 0:
	case 1:
	case 2:
		fh_region_move(region, dice_addr());
		break;
	case 3:
		fh_region_set_enabled(region, on);
		break;
	case 4:
		fh_region_set_priority(region, (int32_t)dice(&seed, 4));
		break;
	case 5:
		fh_region_set_readonly(region, on && dice(&seed, 3) == 0);
		break;
	case 6:
		fh_region_set_rom_mode(regions[5], on);
		break;
	default:
		fh_region_set_alias_offset(regions[8 + on], dice(&seed, 8) * PAGE);
	}
}

static void rest(bool on)
{
	fake_lock(&fake);
	guest_rests = on;
	fake_unlock(&fake);
}

/* What the guest wrote, and no more, is what the library says; then all is clean. */
static void check_dirty(unsigned i)
{
	struct fh_dirty_snapshot *snapshot;

	rest(true);
	snapshot = fh_dirty_snapshot_take(regions[i], FH_DIRTY_USER0, 0, UINT64_MAX, NULL);
	assert_non_null(snapshot);
	for (unsigned page = 0; page < RAM_PAGES; page++)
		assert_int_equal(fh_dirty_snapshot_test(snapshot, page * PAGE, PAGE),
				 wrote[i][page]);
	dirty_found += (unsigned)fh_dirty_snapshot_pages(snapshot);
	fh_dirty_snapshot_free(snapshot);
	memset(wrote[i], 0, sizeof(wrote[i]));
	rest(false);
}

static void toggle_logging(unsigned i)
{
	rest(true);
	logging[i] = !logging[i];
	memset(wrote[i], 0, sizeof(wrote[i]));
	if (logging[i])
		assert_int_equal(fh_dirty_start(regions[i], FH_DIRTY_USER0, NULL), FH_OK);
	else
		fh_dirty_stop(regions[i], FH_DIRTY_USER0);
	rest(false);
}

static void one_step(void)
{
	const unsigned i = (unsigned)dice(&seed, RAMS);
	const uint64_t what = dice(&seed, 20);

	if (what == 0) {
		toggle_logging(i);
	} else if (what < 4) {
		if (logging[i])
			check_dirty(i);
	} else if (what < 8) {
		fh_edit_begin(m);
		for (uint64_t count = dice(&seed, 5); count > 0; count--)
			edit();
		fh_edit_commit(m);
	} else {
		edit();
	}
}

static void slots_are_the_view_after_each_of_many_edits(void **state)
{
	(void)state;
	struct fh_kvm *kvm = begin(NULL);

	seed = 7;
	dirty_found = 0;
	world_new();
	fake.guest = writing_guest;
	for (unsigned i = 0; i < 2; i++)
		cpu_start(&cpus[i], kvm);
	/* Until the guests have been seen to write, however slow the host is. */
	for (uint64_t i = scaled(6000); i > 0 || dirty_found == 0; i -= i > 0) {
		one_step();
		check_slots(WORLD + RAM_PAGES);
		assert_null(fake.wrong);
	}
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
	for (unsigned i = 0; i < RAMS; i++)
		if (logging[i])
			check_dirty(i);
	for (unsigned i = 0; i < 2; i++) {
		fh_kvm_vcpu_interrupt(cpus[i].vcpu);
		assert_int_equal(cpu_join(&cpus[i]), FH_ECANCELED);
	}
	fh_object_unref(kvm);
	for (unsigned i = 0; i < REGIONS; i++)
		fh_object_unref(regions[i]);
}

/* --- Dirty logs ----------------------------------------------------------------------------- */

static void pages_of_a_slot_that_is_cut_stay_dirty(void **state)
{
	(void)state;
	struct fh_region *ram = new_ram("ram", 100), *over = new_ram("over", 1);
	struct fh_kvm *kvm = begin(NULL);
	struct fh_dirty_snapshot *snapshot;

	fh_region_add(root, ram, 0, 0);
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_MIGRATION, NULL), FH_OK);
	fake_find(&fake, 0)->dirty[3] = true;
	fake_find(&fake, 0)->dirty[70] = true;
	fake_find(&fake, 0)->dirty[71] = true;
	fh_region_add(root, over, 10 * PAGE, 1);
	assert_int_equal(fake_count(&fake), 3);
	fake_find(&fake, 11 * PAGE)->dirty[88] = true; /* the last page */
	snapshot = fh_dirty_snapshot_take(ram, FH_DIRTY_MIGRATION, 0, UINT64_MAX, NULL);
	assert_int_equal(fh_dirty_snapshot_pages(snapshot), 4);
	assert_true(fh_dirty_snapshot_test(snapshot, 3 * PAGE, 1));
	assert_true(fh_dirty_snapshot_test(snapshot, 71 * PAGE, 1));
	assert_true(fh_dirty_snapshot_test(snapshot, 99 * PAGE, 1));
	fh_dirty_snapshot_free(snapshot);

	fake_find(&fake, 0)->dirty[5] = true;
	fh_region_remove(ram); /* what is not to be seen any more was written all the same */
	snapshot = fh_dirty_snapshot_take(ram, FH_DIRTY_MIGRATION, 0, UINT64_MAX, NULL);
	assert_int_equal(fh_dirty_snapshot_pages(snapshot), 1);
	fh_dirty_snapshot_free(snapshot);
	fh_object_unref(kvm);
	fh_object_unref(over);
	fh_object_unref(ram);
}

/* -------------------------------------------------------------------------------------------- */

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(each_kind_has_the_slot_that_it_should_have),
		test(parts_of_pages_are_left_to_the_space),
		test(without_read_only_slots_there_are_none),
		test(more_ranges_than_slots_is_an_error_that_passes),
		test(what_kvm_refuses_is_an_error_and_tried_again),
		test(nobody_waits_for_additions),
		test(a_vcpu_ends_when_its_kvm_does),
		test(exits_for_memory_are_accesses_and_others_are_returned),
		test(vcpus_edit_from_their_own_exits),
		test(slots_are_the_view_after_each_of_many_edits),
		test(pages_of_a_slot_that_is_cut_stay_dirty),
	};

	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
