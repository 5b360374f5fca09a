/* SPDX-License-Identifier: MIT */
/*
 * A change of the map under vCPUs that run, stopped between its publication and the change of KVM's
 * slots: no guest sees the new map and then the old one.
 */
#include "support/kvm-rig.h"

#include <sys/eventfd.h>

/* --- What the guest has, and what becomes of it ---------------------------------------------- */

static struct fh_region *ram, *over, *regs, *other_root;
static struct fh_eventfd *bells[2];
static struct fh_kvm *subject;

static enum fh_tx ignore_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			       struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)value, (void)size, (void)attrs;
	return FH_TX_OK;
}

static const struct fh_region_ops register_ops = { .write = ignore_write };

static struct fh_eventfd *new_bell(uint64_t offset)
{
	const struct fh_eventfd_match match = { .offset = offset, .size = 4 };
	const int eventfd_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct fh_eventfd *bell = fh_eventfd_new(m, regs, &match, eventfd_fd, NULL);

	close(eventfd_fd);
	assert_non_null(bell);
	return bell;
}

/* RAM at 0, registers at 0x100000, with an eventfd, if that is to be. */
static void world_begin(bool with_bell)
{
	ram = fh_region_new_ram(m, "ram", 8 * PAGE, NULL);
	over = fh_region_new_ram(m, "over", PAGE, NULL);
	regs = fh_region_new_mmio(m, "regs", PAGE, &register_ops, NULL);
	other_root = fh_region_new_container(m, "other", FH_SIZE_ALL);
	fh_region_add(root, ram, 0, 0);
	fh_region_add(root, regs, 0x100000, 0);
	if (with_bell)
		bells[0] = new_bell(8);
	subject = begin(NULL);
	cpu_start(&cpus[0], subject);
	wait_for_runs(1);
}

static void world_end(void)
{
	fh_kvm_vcpu_interrupt(cpus[0].vcpu);
	cpu_join(&cpus[0]);
	end(subject);
	for (unsigned i = 0; i < 2; i++) {
		if (bells[i])
			fh_object_unref(bells[i]);
		bells[i] = NULL;
	}
	fh_object_unref(other_root);
	fh_object_unref(regs);
	fh_object_unref(over);
	fh_object_unref(ram);
}

static void cut(void *arg)
{
	(void)arg;
	fh_region_add(root, over, 2 * PAGE, 1);
}

static void move(void *arg)
{
	(void)arg;
	fh_region_move(ram, PAGE);
}

static void take_away(void *arg)
{
	(void)arg;
	fh_region_set_enabled(ram, false);
}

static void protect(void *arg)
{
	(void)arg;
	fh_region_set_readonly(ram, true);
}

static void show_another_root(void *arg)
{
	(void)arg;
	fh_space_set_root(space, other_root);
}

static void move_the_registers(void *arg)
{
	(void)arg;
	fh_region_move(regs, 0x200000);
}

static void end_the_eventfd(void *arg)
{
	(void)arg;
	fh_eventfd_destroy(bells[0]);
}

static void end_kvm(void *arg)
{
	(void)arg;
	fh_kvm_destroy(subject);
}

static void add_memory(void *arg)
{
	(void)arg;
	fh_region_add(root, over, 0x300000, 0);
}

static void add_an_eventfd(void *arg)
{
	(void)arg;
	bells[1] = new_bell(0x10);
}

static unsigned count_inside(void)
{
	fake_lock(&fake);
	const unsigned inside = fake.inside;

	fake_unlock(&fake);
	return inside;
}

static unsigned inside_at_publication(void (*edit)(void *arg), bool with_bell)
{
	struct worker editor;
	unsigned inside;

	fake.runs = 0;
	world_begin(with_bell);
	fh_point_arm("commit.published");
	worker_start(&editor, edit, NULL);
	assert_true(fh_point_wait("commit.published"));
	usleep(20000); /* the vCPU would come in again */
	inside = count_inside();
	fh_point_release("commit.published");
	worker_join(&editor);
	fh_space_set_root(space, root);
	world_end();
	return inside;
}

static void no_vcpu_runs_between_publication_and_the_last_slot(void **state)
{
	void (*const edits[])(void *arg) = { cut, move, take_away, protect, show_another_root,
					     move_the_registers, end_the_eventfd, end_kvm };

	(void)state;
	for (unsigned i = 0; i < sizeof(edits) / sizeof(edits[0]); i++)
		assert_int_equal(inside_at_publication(edits[i], true), 0);
}

static void vcpus_run_on_where_they_lose_nothing(void **state)
{
	(void)state;
	assert_int_equal(inside_at_publication(add_memory, true), 1);
	assert_int_equal(inside_at_publication(add_an_eventfd, true), 1);
	assert_int_equal(inside_at_publication(move_the_registers, false), 1);
}

/* --- What a guest sees ------------------------------------------------------------------------ */

static unsigned guest_step, guest_looks[2];
static bool seen_new;

static void guest_sees(bool new)
{
	if (seen_new && !new)
		fake_wrong(&fake, "a guest has seen the new map and then the old one");
	seen_new = seen_new || new;
	guest_looks[new]++;
}

/* Reads the register that says which map it is, by an exit, and then the memory that does. */
static int looking_guest(struct fake_kvm *f, int vcpu_fd)
{
	struct kvm_run *run = fake_run_of_thread;
	const struct fake_slot *slot = fake_find(f, 2 * PAGE);

	(void)vcpu_fd;
	if (!slot) {
		fake_wrong(f, "a guest has seen a hole");
		return 1;
	}
	switch (guest_step++ % 3) {
	case 0:
		run->exit_reason = KVM_EXIT_MMIO;
		run->mmio.phys_addr = 0x100000;
		run->mmio.len = 1;
		run->mmio.is_write = 0;
		return 0;
	case 1:
		guest_sees(run->mmio.data[0]);
		return 1;
	default:
		guest_sees(slot->ptr[2 * PAGE - slot->first]);
		return 1;
	}
}

static enum fh_tx read_state(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	(void)offset, (void)size, (void)attrs;
	*ret_value = state != NULL;
	return FH_TX_OK;
}

static const struct fh_region_ops which_ops = { .read = read_state };
static struct fh_region *new_which;

static void publish_the_new_map(void *arg)
{
	(void)arg;
	fh_edit_begin(m);
	fh_region_add(root, over, 2 * PAGE, 1);
	fh_region_add(root, new_which, 0x100000, 1);
	fh_edit_commit(m);
}

static void wait_for_looks(bool new)
{
	for (unsigned looks = 0; looks < 10; sched_yield()) {
		fake_lock(&fake);
		looks = guest_looks[new];
		fake_unlock(&fake);
	}
}

static void no_guest_sees_the_new_map_and_then_the_old_one(void **state)
{
	struct fh_region *old_which = fh_region_new_mmio(m, NULL, 1, &which_ops, NULL);
	struct worker editor;

	(void)state;
	new_which = fh_region_new_mmio(m, NULL, 1, &which_ops, &new_which);
	ram = fh_region_new_ram(m, "ram", 8 * PAGE, NULL);
	over = fh_region_new_ram(m, "over", PAGE, NULL);
	memset(fh_region_ram(over), 1, PAGE);
	fh_region_add(root, ram, 0, 0);
	fh_region_add(root, old_which, 0x100000, 0);
	subject = begin(NULL);
	seen_new = false;
	guest_step = guest_looks[0] = guest_looks[1] = 0;
	fake.guest = looking_guest;
	cpu_start(&cpus[0], subject);
	wait_for_looks(false);
	fh_point_arm("commit.published");
	worker_start(&editor, publish_the_new_map, NULL);
	assert_true(fh_point_wait("commit.published"));
	usleep(50000); /* the guest may look */
	fh_point_release("commit.published");
	worker_join(&editor);
	wait_for_looks(true);
	assert_null(fake.wrong);
	fh_kvm_vcpu_interrupt(cpus[0].vcpu);
	cpu_join(&cpus[0]);
	end(subject);
	fh_object_unref(new_which);
	fh_object_unref(old_which);
	fh_object_unref(over);
	fh_object_unref(ram);
}

/* --- The editor is a vCPU itself -------------------------------------------------------------- */

static enum fh_tx cut_from_a_callback(void *state, uint64_t offset, uint64_t value, unsigned size,
				      struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)value, (void)size, (void)attrs;
	cut(NULL);
	return FH_TX_OK;
}

static const struct fh_region_ops cutting_ops = { .write = cut_from_a_callback };

/* The second vCPU makes one store and halts. */
static int storing_guest(struct fake_kvm *f, int vcpu_fd)
{
	struct kvm_run *run = fake_run_of_thread;

	(void)f, (void)vcpu_fd;
	if (run != &cpus[1].run)
		return 1;
	run->exit_reason = guest_step++ == 0 ? KVM_EXIT_MMIO : KVM_EXIT_HLT;
	run->mmio.phys_addr = 0x200000;
	run->mmio.len = 4;
	run->mmio.is_write = 1;
	return 0;
}

static void a_vcpu_that_edits_in_a_callback_waits_for_the_others_alone(void **state)
{
	struct fh_region *cutter = fh_region_new_mmio(m, NULL, PAGE, &cutting_ops, NULL);

	(void)state;
	fh_region_add(root, cutter, 0x200000, 0);
	guest_step = 0;
	fake.guest = storing_guest;
	world_begin(true);
	fh_point_arm("commit.published");
	cpu_start(&cpus[1], subject);
	assert_true(fh_point_wait("commit.published"));
	usleep(20000);
	assert_int_equal(count_inside(), 0);
	assert_int_equal(fake_find(&fake, 2 * PAGE)->pages, 8);
	fh_point_release("commit.published");
	assert_int_equal(cpu_join(&cpus[1]), FH_OK);
	assert_int_equal(fake_find(&fake, 2 * PAGE)->pages, 1);
	world_end();
	fh_object_unref(cutter);
}

/* -------------------------------------------------------------------------------------------- */

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(no_vcpu_runs_between_publication_and_the_last_slot),
		test(vcpus_run_on_where_they_lose_nothing),
		test(no_guest_sees_the_new_map_and_then_the_old_one),
		test(a_vcpu_that_edits_in_a_callback_waits_for_the_others_alone),
	};

	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
