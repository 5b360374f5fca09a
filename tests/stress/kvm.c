/* SPDX-License-Identifier: MIT */
/*
 * A guest of two vCPUs under the host's own KVM: they ring while eventfds come and go, and look
 * while what they look at changes. Where the host has none the tests say so and are skipped.
 */
#include "support/kvm-host.h"
#include "support/scale.h"

#include <sched.h>
#include <sys/eventfd.h>

#include "base/point.h"

/* What the guest finds: devices of a page each. */
enum { DEVICE = 0xd0000, LITTLE = DEVICE, BIG = DEVICE + 0x1000, STOP = DEVICE + 0x2000 };
enum { MATCHED = 0x10, ANY = 0x20, COUNTER = 0x3000, WINDOW = 0x20000, PAGE = 0x1000 };
enum { ROUND_RINGS = 6, STRIDE = 4 };

static const uint8_t ringing_code[] = {
	0xb8, 0x00, 0xd0,			  /*       mov ax, 0xd000 */
	0x8e, 0xc0,				  /*       mov es, ax */
	0x26, 0xc7, 0x06, 0x10, 0x00, 0x34, 0x12, /* next: mov word es:[0x10], 0x1234 */
	0x26, 0xc7, 0x06, 0x10, 0x00, 0x12, 0x34, /*       mov word es:[0x10], 0x3412 */
	0x26, 0xc7, 0x06, 0x10, 0x10, 0x34, 0x12, /*       mov word es:[0x1010], 0x1234 */
	0x26, 0xc7, 0x06, 0x10, 0x10, 0x12, 0x34, /*       mov word es:[0x1010], 0x3412 */
	0x26, 0xc6, 0x06, 0x20, 0x00, 0x05,	  /*       mov byte es:[0x20], 5 */
	0x26, 0xc7, 0x06, 0x20, 0x00, 0x05, 0x00, /*       mov word es:[0x20], 5 */
	0x66, 0xff, 0x87, 0x00, 0x30,		  /*       inc dword [bx + 0x3000] */
	0x26, 0x80, 0x3e, 0x00, 0x20, 0x00,	  /*       cmp byte es:[0x2000], 0 */
	0x74, 0xca,				  /*       je next */
	0xf4,					  /*       hlt */
};

static const uint8_t looking_code[] = {
	0xb8, 0x00, 0xd0,		    /*       mov ax, 0xd000 */
	0x8e, 0xc0,			    /*       mov es, ax */
	0xb8, 0x00, 0x20,		    /*       mov ax, 0x2000 */
	0x8e, 0xd8,			    /*       mov ds, ax */
	0x26, 0xa0, 0x00, 0x10,		    /* next: mov al, es:[0x1000] */
	0x8a, 0x26, 0x10, 0x00,		    /*       mov ah, [0x10] */
	0x26, 0x89, 0x07,		    /*       mov es:[bx], ax */
	0x26, 0x80, 0x3e, 0x00, 0x20, 0x00, /*       cmp byte es:[0x2000], 0 */
	0x74, 0xed,			    /*       je next */
	0xf4,				    /*       hlt */
};

struct rig {
	struct host host;
	struct fh_machine *m;
	struct fh_region *root, *ram, *stop;
	struct fh_kvm *kvm;
	_Atomic bool end; /* what the guest reads at STOP */
	_Atomic uint64_t called, failed;
};

static struct rig rig;

static enum fh_tx stop_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = rig.end;
	return FH_TX_OK;
}

static const struct fh_region_ops stop_ops = { .read = stop_read, .concurrent = true };

static void on_failed(void *arg, struct fh_kvm_vcpu *vcpu, uint64_t addr, uint8_t *data,
		      unsigned size, bool write, enum fh_tx tx)
{
	(void)arg, (void)vcpu, (void)addr, (void)data, (void)size, (void)tx;
	CHECK(write);
	rig.failed++;
}

/* False: skipped. */
static bool rig_begin(const uint8_t *code, size_t size)
{
	memset(&rig, 0, sizeof(rig));
	if (!host_open(&rig.host))
		return false;
	rig.m = machine_begin();
	rig.root = fh_space_root(fh_machine_memory(rig.m));
	rig.ram = fh_region_new_ram(rig.m, NULL, 0x10000, NULL);
	rig.stop = fh_region_new_mmio(rig.m, NULL, PAGE, &stop_ops, NULL);
	assert_non_null(rig.ram);
	memcpy((char *)fh_region_ram(rig.ram) + HOST_CODE, code, size);
	fh_region_add(rig.root, rig.ram, 0, 0);
	fh_region_add(rig.root, rig.stop, STOP, 0);
	return true;
}

static void rig_start(bool any_length, unsigned vcpus)
{
	struct fh_error err = FH_ERROR_INIT;
	const struct fh_kvm_options options = {
		.failed = on_failed, .eventfd_any_length = any_length
	};

	rig.kvm = kvm_new_with(rig.m, fh_machine_memory(rig.m), rig.host.vm, &options,
			       &rig.host.calls, &err);
	assert_string_equal(err.message, "");
	host_start(&rig.host, rig.kvm, vcpus, STRIDE);
}

static void rig_stop(void)
{
	rig.end = true;
	host_join(&rig.host);
}

static void rig_end(void)
{
	fh_kvm_destroy(rig.kvm);
	fh_object_unref(rig.kvm);
	fh_object_unref(rig.stop);
	fh_object_unref(rig.ram);
	machine_end(rig.m);
	host_close(&rig.host);
}

static uint64_t rounds_of(unsigned vcpu)
{
	const char *counter = (char *)fh_region_ram(rig.ram) + COUNTER + STRIDE * vcpu;
	uint32_t count;

	memcpy(&count, counter, sizeof(count));
	return count;
}

/* --- Rings ------------------------------------------------------------------------------------ */

static enum fh_tx count_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)value, (void)size, (void)attrs;
	rig.called++;
	return FH_TX_OK;
}

static const struct fh_region_ops little_ops = { .write = count_write, .concurrent = true };
static const struct fh_region_ops big_ops = {
	.write = count_write, .concurrent = true, .order = FH_BE
};

static struct fh_region *devices[2];

static void devices_new(void)
{
	devices[0] = fh_region_new_mmio(rig.m, NULL, PAGE, &little_ops, NULL);
	devices[1] = fh_region_new_mmio(rig.m, NULL, PAGE, &big_ops, NULL);
	fh_region_add(rig.root, devices[0], LITTLE, 0);
	fh_region_add(rig.root, devices[1], BIG, 0);
}

static struct fh_eventfd *watch(struct fh_region *region, struct fh_eventfd_match match, int fd)
{
	struct fh_eventfd *eventfd = fh_eventfd_new(rig.m, region, &match, fd, NULL);

	CHECK(eventfd);
	return eventfd;
}

static uint64_t take(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static struct fh_eventfd_match word_match(uint64_t data)
{
	return (struct fh_eventfd_match){
		.offset = MATCHED, .size = 2, .match_data = true, .data = data
	};
}

/* One round: either byte order rings for its own value alone, and none of it is an exit. */
static void check_one_round(bool any_length)
{
	struct fh_eventfd *eventfds[3];
	int fds[3];

	if (!rig_begin(ringing_code, sizeof(ringing_code)))
		skip();
	for (unsigned i = 0; i < 3; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	devices_new();
	eventfds[0] = watch(devices[0], word_match(0x1234), fds[0]);
	eventfds[1] = watch(devices[1], word_match(0x1234), fds[1]); /* bytes 12 34 */
	eventfds[2] = watch(devices[0], (struct fh_eventfd_match){ .offset = ANY }, fds[2]);
	rig.end = true;
	rig_start(any_length, 1);
	assert_int_equal(fh_kvm_check(rig.kvm, NULL), FH_OK);
	rig_stop();
	assert_int_equal(rounds_of(0), 1);
	assert_int_equal(take(fds[0]), 1);
	assert_int_equal(take(fds[1]), 1);
	assert_int_equal(take(fds[2]), 2);
	assert_int_equal(rig.called, 2); /* the mirror images */
	assert_int_equal(rig.host.runs, 4); /* which are exits, as STOP is; the last one halts */
	for (unsigned i = 0; i < 3; i++) {
		fh_object_unref(eventfds[i]);
		close(fds[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		fh_object_unref(devices[i]);
	rig_end();
}

static void the_right_value_rings_without_an_exit(void **state)
{
	(void)state;
	check_one_round(false);
	check_one_round(true);
}

/* All vCPUs have rung once, in a whole round. */
static void wait_for_a_round(void)
{
	for (unsigned i = 0; i < HOST_CPUS; i++)
		for (const uint64_t now = rounds_of(i); rounds_of(i) < now + 2;)
			sched_yield();
}

static void change(uint64_t round, int fd)
{
	struct fh_eventfd *matched =
		watch(devices[round % 2], word_match(round % 3 ? 0x1234 : 0x3412), fd);
	struct fh_eventfd *any =
		watch(devices[0], (struct fh_eventfd_match){ .offset = ANY, .size = round % 4 % 3 },
		      fd);
	struct fh_eventfd *plain = NULL;

	if (round % 5 == 0) /* KVM has no order of this and the first */
		plain = watch(devices[round % 2],
			      (struct fh_eventfd_match){ .offset = MATCHED, .size = 2 }, fd);
	if (round % 7 == 0)
		fh_region_move(devices[1], round % 2 ? BIG : BIG + 0x8000);
	if (round % 4 == 0)
		wait_for_a_round();
	fh_object_unref(any);
	fh_object_unref(matched);
	if (plain)
		fh_object_unref(plain);
}

static void every_ring_is_one_signal_or_one_call(void **state)
{
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t signals, rounds = 0;

	(void)state;
	if (!rig_begin(ringing_code, sizeof(ringing_code))) {
		close(fd);
		skip();
	}
	devices_new();
	rig_start(false, HOST_CPUS);
	for (uint64_t round = scaled(500); round > 0; round--)
		change(round, fd);
	rig_stop();
	signals = take(fd);
	assert_true(signals > 0);
	for (unsigned i = 0; i < HOST_CPUS; i++)
		rounds += rounds_of(i);
	assert_int_equal(ROUND_RINGS * rounds, signals + rig.called + rig.failed);
	for (unsigned i = 0; i < 2; i++)
		fh_object_unref(devices[i]);
	rig_end();
	close(fd);
}

/* --- Looks ------------------------------------------------------------------------------------ */

/* What a vCPU has seen, in order: by an exit and in a slot by turns. */
struct seen {
	_Atomic uint64_t looks, changes, last;
};

static struct seen seen[HOST_CPUS];

static enum fh_tx looks_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	struct seen *by = &seen[offset / STRIDE];

	(void)state, (void)size, (void)attrs;
	for (unsigned i = 0; i < 2; i++, value >>= 8) {
		by->changes += by->last != (value & 1);
		by->last = value & 1;
	}
	by->looks++;
	return FH_TX_OK;
}

static enum fh_tx which_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	(void)offset, (void)size, (void)attrs;
	*ret_value = state != NULL;
	return FH_TX_OK;
}

static const struct fh_region_ops looks_ops = { .write = looks_write };
static const struct fh_region_ops which_ops = { .read = which_read };

struct flip {
	struct fh_region *which, *window;
	bool on;
};

static void flip(void *arg)
{
	const struct flip *to = arg;

	fh_edit_begin(rig.m);
	fh_region_set_enabled(to->which, to->on);
	fh_region_set_enabled(to->window, to->on);
	fh_edit_commit(rig.m);
}

static void wait_for_looks(uint64_t more)
{
	for (unsigned i = 0; i < HOST_CPUS; i++)
		for (const uint64_t now = seen[i].looks; seen[i].looks < now + more;)
			sched_yield();
}

/*
 * Two registers and two windows, of which the second hide the first or do not. The editor stops
 * where the view is published and KVM has not been told.
 */
static void a_guest_sees_each_change_once(void **state)
{
	struct fh_region *regs[2], *windows[2], *looker;
	struct flip to = { .on = false };
	const uint64_t flips = 2 * scaled(20);

	(void)state;
	if (!rig_begin(looking_code, sizeof(looking_code)))
		skip();
	memset(seen, 0, sizeof(seen));
	looker = fh_region_new_mmio(rig.m, NULL, PAGE, &looks_ops, NULL);
	fh_region_add(rig.root, looker, DEVICE, 0);
	for (int i = 0; i < 2; i++) {
		regs[i] = fh_region_new_mmio(rig.m, NULL, PAGE, &which_ops, i ? &rig : NULL);
		windows[i] = fh_region_new_ram(rig.m, NULL, PAGE, NULL);
		memset(fh_region_ram(windows[i]), i, PAGE);
		fh_region_set_enabled(regs[i], i == 0);
		fh_region_set_enabled(windows[i], i == 0);
		fh_region_add(rig.root, regs[i], DEVICE + 0x1000, i);
		fh_region_add(rig.root, windows[i], WINDOW, i);
	}
	to.which = regs[1];
	to.window = windows[1];
	rig_start(false, HOST_CPUS);
	for (uint64_t i = 0; i < flips; i++) {
		struct worker editor;

		wait_for_looks(2);
		to.on = !to.on;
		fh_point_arm("commit.published");
		worker_start(&editor, flip, &to);
		assert_true(fh_point_wait("commit.published"));
		usleep(2000);
		fh_point_release("commit.published");
		worker_join(&editor);
	}
	wait_for_looks(2);
	rig_stop();
	for (unsigned i = 0; i < HOST_CPUS; i++)
		assert_int_equal(seen[i].changes, flips);
	for (unsigned i = 0; i < 2; i++) {
		fh_object_unref(regs[i]);
		fh_object_unref(windows[i]);
	}
	fh_object_unref(looker);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_value_rings_without_an_exit),
		cmocka_unit_test(every_ring_is_one_signal_or_one_call),
		cmocka_unit_test(a_guest_sees_each_change_once),
	};

	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
