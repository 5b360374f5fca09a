/* SPDX-License-Identifier: MIT */
/*
 * Eventfds that KVM signals: those that the space would signal, and each store once. Against a KVM
 * that the test plays itself, with the rules of the real one.
 */
#include "support/kvm-rig.h"
#include "support/scale.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#define BASE UINT64_C(0x100000)

enum { BELLS = 12, WORLD_BYTES = 0x40 };

static int bells[BELLS]; /* eventfds of the test's own */
static int rung;	 /* an epoll set of them */
static _Atomic unsigned called;

static enum fh_tx count_call(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)value, (void)size, (void)attrs;
	called++;
	return FH_TX_OK;
}

static const struct fh_region_ops little_ops = { .write = count_call, .concurrent = true };
static const struct fh_region_ops big_ops = {
	.write = count_call, .concurrent = true, .order = FH_BE
};

static int setup_bells(void **state)
{
	rung = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < BELLS; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		bells[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(epoll_ctl(rung, EPOLL_CTL_ADD, bells[i], &event), 0);
	}
	called = 0;
	return setup(state);
}

static int teardown_bells(void **state)
{
	const int result = teardown(state);

	for (unsigned i = 0; i < BELLS; i++)
		close(bells[i]);
	close(rung);
	return result;
}

static struct fh_region *new_regs(const struct fh_region_ops *ops)
{
	struct fh_region *regs = fh_region_new_mmio(m, NULL, PAGE, ops, NULL);

	fh_region_add(root, regs, BASE, 0);
	return regs;
}

static struct fh_eventfd *add(struct fh_region *regs, unsigned bell,
			      struct fh_eventfd_match match)
{
	struct fh_eventfd *eventfd = fh_eventfd_new(m, regs, &match, bells[bell], NULL);

	assert_non_null(eventfd);
	return eventfd;
}

#define match(...) ((struct fh_eventfd_match){ __VA_ARGS__ })

/* --- Who is signalled ------------------------------------------------------------------------- */

static uint64_t take(unsigned bell)
{
	uint64_t count = 0;

	return read(bells[bell], &count, sizeof(count)) == sizeof(count) ? count : 0;
}

enum { NOBODY = -1, CALLED = -2 };

/* Who has heard the one store that was made. */
static int who(void)
{
	struct epoll_event events[BELLS];
	const int ready = epoll_wait(rung, events, BELLS, 0);
	int heard = NOBODY;
	uint64_t count = 0;

	assert_true(ready >= 0);
	for (int i = 0; i < ready; i++) {
		heard = (int)events[i].data.u32;
		count += take((unsigned)heard);
	}
	heard = called ? CALLED : heard;
	count += called;
	called = 0;
	assert_true(count <= 1);
	return heard;
}

/*
 * The guest's store of these bytes: by KVM, or else by an exit. Without the fake's lock, which its
 * vCPUs have most of the time: only this thread makes eventfds come and go.
 */
static int store(uint64_t addr, unsigned size, uint64_t value)
{
	if (!fake_rings(&fake, addr, size, value))
		(void)fh_space_store(space, addr, size, FH_LE, FH_ATTRS_NONE, value);
	return who();
}

static int store_in_kvm(uint64_t addr, unsigned size, uint64_t value)
{
	(void)fake_rings(&fake, addr, size, value);
	return who();
}

/* --- What KVM has ----------------------------------------------------------------------------- */

static void eventfds_follow_their_region(void **state)
{
	struct fh_region *regs = new_regs(&little_ops);
	struct fh_eventfd *sized = add(regs, 0, match(.offset = 8, .size = 4));
	struct fh_kvm *kvm = begin(NULL);
	struct fh_eventfd *any = add(regs, 1, match(.offset = 0x10));

	(void)state;
	assert_int_equal(fake.event_count, 5); /* any size: 1, 2, 4, 8 */
	assert_int_equal(store_in_kvm(BASE + 8, 4, 77), 0);
	assert_int_equal(store_in_kvm(BASE + 8, 2, 77), NOBODY);
	for (unsigned size = 1; size <= 8; size *= 2)
		assert_int_equal(store_in_kvm(BASE + 0x10, size, 5), 1);
	fh_region_move(regs, 2 * BASE);
	assert_int_equal(store_in_kvm(BASE + 8, 4, 77), NOBODY);
	assert_int_equal(store_in_kvm(2 * BASE + 8, 4, 77), 0);
	fh_region_set_enabled(regs, false);
	assert_int_equal(fake.event_count, 0);
	fh_region_set_enabled(regs, true);
	fh_object_unref(any);
	assert_int_equal(fake.event_count, 1);
	fh_object_unref(sized);
	assert_int_equal(fake.event_count, 0);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
	end(kvm);
	fh_object_unref(regs);
}

static void data_are_compared_in_the_order_of_the_region(void **state)
{
	(void)state;
	for (unsigned big = 0; big < 2; big++) {
		struct fh_region *regs = new_regs(big ? &big_ops : &little_ops);
		struct fh_kvm *kvm = begin(NULL);

		for (unsigned size = 1; size <= 8; size *= 2) {
			const uint64_t data = UINT64_C(0x8102030405060708) >> (64 - 8 * size);
			const uint64_t swapped = __builtin_bswap64(data) >> (64 - 8 * size);
			const uint64_t right = big ? swapped : data;
			const uint64_t wrong = (size > 1 && big ? data : swapped) ^ (size == 1);
			struct fh_eventfd *eventfd =
				add(regs, 2,
				    match(.offset = 8, .size = size, .match_data = true,
					  .data = data));

			assert_int_equal(store_in_kvm(BASE + 8, size, right), 2);
			assert_int_equal(store_in_kvm(BASE + 8, size, wrong), NOBODY);
			assert_int_equal(store(BASE + 8, size, wrong), CALLED);
			fh_object_unref(eventfd);
			eventfd = add(regs, 3,
				      match(.offset = 8, .match_data = true, .data = data));
			assert_int_equal(store_in_kvm(BASE + 8, size, right), 3);
			assert_int_equal(store(BASE + 8, size, wrong), CALLED);
			assert_int_equal(fake.event_count, size == 8 ? 1 : size == 4 ? 2 :
							   size == 2 ? 3 : 4);
			fh_object_unref(eventfd);
		}
		end(kvm);
		fh_object_unref(regs);
	}
}

static void what_kvm_has_no_order_of_is_the_spaces(void **state)
{
	struct fh_region *regs = new_regs(&little_ops);
	struct fh_kvm *kvm = begin(NULL);
	struct fh_eventfd *plain = add(regs, 0, match(.offset = 8, .size = 4));
	struct fh_eventfd *five =
		add(regs, 1, match(.offset = 8, .size = 4, .match_data = true, .data = 5));
	struct fh_eventfd *any;
	struct fh_error err = FH_ERROR_INIT;

	(void)state;
	assert_int_equal(fake.event_count, 0);
	assert_int_equal(fh_kvm_check(kvm, &err), FH_ENOTSUP);
	assert_string_equal(err.message, "an eventfd at 0x100008: others there compare data, and "
					 "KVM has no order of them");
	assert_int_equal(store(BASE + 8, 4, 5), 1);
	assert_int_equal(store(BASE + 8, 4, 6), 0);
	fh_object_unref(plain);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
	assert_int_equal(store_in_kvm(BASE + 8, 4, 5), 1);

	any = add(regs, 2, match(.offset = 8)); /* other sizes than 4 it can have */
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_ENOTSUP);
	assert_int_equal(fake.event_count, 3);
	assert_int_equal(store(BASE + 8, 4, 5), 1);
	assert_int_equal(store(BASE + 8, 4, 6), 2);
	assert_int_equal(store_in_kvm(BASE + 8, 2, 5), 2);
	fh_object_unref(any);
	assert_int_equal(fake.event_count, 1);
	fh_object_unref(five);
	end(kvm);
	fh_object_unref(regs);
}

static void of_equal_data_the_one_with_a_size_is_meant(void **state)
{
	struct fh_region *regs = new_regs(&little_ops);
	struct fh_kvm *kvm = begin(NULL);
	struct fh_eventfd *any = add(regs, 0, match(.match_data = true, .data = 5));
	struct fh_eventfd *two = add(regs, 1, match(.size = 2, .match_data = true, .data = 5));

	(void)state;
	assert_int_equal(fake.event_count, 4);
	assert_int_equal(store_in_kvm(BASE, 2, 5), 1);
	assert_int_equal(store_in_kvm(BASE, 4, 5), 0);
	fh_object_unref(two);
	assert_int_equal(store_in_kvm(BASE, 2, 5), 0);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
	fh_object_unref(any);
	end(kvm);
	fh_object_unref(regs);
}

static void stores_beyond_the_end_of_a_range_are_the_spaces(void **state)
{
	struct fh_region *regs = new_regs(&little_ops), *over = new_regs(&little_ops);
	struct fh_kvm *kvm = begin(&(struct fh_kvm_options){ .eventfd_any_length = true });
	struct fh_eventfd *any;

	(void)state;
	fh_region_set_priority(over, 1);
	fh_region_move(over, BASE + 2 * PAGE);
	any = add(regs, 0, match(.offset = 8));
	assert_int_equal(fake.event_count, 1); /* of length 0 */
	fh_region_move(over, BASE + 8 + 2);
	assert_int_equal(fake.event_count, 2);
	assert_int_equal(store_in_kvm(BASE + 8, 2, 5), 0);
	assert_int_equal(store_in_kvm(BASE + 8, 4, 5), NOBODY);
	fh_space_store32(space, BASE + 8, 5, FH_LE);
	assert_int_equal(called, 1); /* the other half */
	assert_int_equal(take(0), 1);
	called = 0;
	fh_region_move(over, BASE + 8 + 4);
	assert_int_equal(fake.event_count, 3);
	fh_region_move(over, BASE + 8 + 8);
	assert_int_equal(fake.event_count, 1);
	fh_region_move(over, BASE + 8 + 7);
	assert_int_equal(fake.event_count, 3);
	fh_region_resize(over, 0);
	assert_int_equal(store_in_kvm(BASE + 8, 8, 5), 0);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
	fh_object_unref(any);
	end(kvm);
	fh_object_unref(over);
	fh_object_unref(regs);
}

static void any_length_is_used_where_that_is_asked_for_and_exact(void **state)
{
	struct fh_region *regs = new_regs(&little_ops);
	struct fh_eventfd *any = add(regs, 0, match(.offset = 8)), *sized;
	struct fh_kvm *kvm = begin(&(struct fh_kvm_options){ .eventfd_any_length = true });

	(void)state;
	assert_int_equal(fake.event_count, 1);
	assert_int_equal(fake.events[0].len, 0);
	sized = add(regs, 1, match(.offset = 8, .size = 2)); /* now it is not alone */
	assert_int_equal(fake.event_count, 4);
	assert_int_equal(store_in_kvm(BASE + 8, 2, 1), 1);
	assert_int_equal(store_in_kvm(BASE + 8, 4, 1), 0);
	fh_object_unref(sized);
	assert_int_equal(fake.event_count, 1);
	fh_object_unref(any);
	end(kvm);
	fake.has_any_length = false;
	kvm = begin(&(struct fh_kvm_options){ .eventfd_any_length = true });
	any = add(regs, 0, match(.offset = 8));
	assert_int_equal(fake.event_count, 4);
	fh_object_unref(any);
	end(kvm);
	fh_object_unref(regs);
}

/* --- What it has not -------------------------------------------------------------------------- */

static void what_kvm_refuses_the_space_signals(void **state)
{
	const struct { int result; enum fh_code code; } refusals[] = {
		{ -EEXIST, FH_EEXIST }, { -ENOSPC, FH_ELIMIT }, { -ENOMEM, FH_ENOMEM },
		{ -EPERM, FH_EIO },
	};
	struct fh_region *regs = new_regs(&little_ops);
	struct fh_kvm *kvm = begin(NULL);
	struct fh_eventfd *sized, *other;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		fake.refuse_events = refusals[i].result;
		sized = add(regs, 0, match(.offset = 8, .size = 4));
		assert_int_equal(fh_kvm_check(kvm, NULL), refusals[i].code);
		assert_int_equal(fake.event_count, 0);
		assert_int_equal(store(BASE + 8, 4, 1), 0);
		fake.refuse_events = 0;
		other = add(regs, 1, match(.offset = 0x10, .size = 4)); /* tried again */
		assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
		assert_int_equal(store_in_kvm(BASE + 8, 4, 1), 0);
		fh_object_unref(other);
		fh_object_unref(sized);
	}
	fake.refuse_events = -ENOSPC;
	sized = add(regs, 0, match(.offset = 8, .size = 4));
	end(kvm);
	kvm = begin(NULL); /* that is no reason not to begin */
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_ELIMIT);
	fh_object_unref(sized);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
	fake.refuse_events = 0;
	end(kvm);
	fh_object_unref(regs);
}

static void where_kvm_has_none_or_takes_them_for_others_the_space_has_all(void **state)
{
	struct fh_region *regs = new_regs(&little_ops);
	struct fh_eventfd *sized = add(regs, 0, match(.offset = 8, .size = 4));
	struct fh_kvm *kvm;

	(void)state;
	fake.has_eventfds = false;
	kvm = begin(NULL);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_ENOTSUP);
	assert_int_equal(store(BASE + 8, 4, 1), 0);
	end(kvm);
	fake.has_eventfds = true;
	kvm = begin(&(struct fh_kvm_options){ .attrs = { .debug = true } });
	assert_int_equal(fake.event_count, 0);
	assert_int_equal(fh_kvm_check(kvm, NULL), FH_OK);
	end(kvm);
	fake.limit = (1 << 16) + FAKE_SLOTS;
	kvm = begin(&(struct fh_kvm_options){ .slot_first = 1 << 16 });
	assert_int_equal(fake.event_count, 0);
	end(kvm);
	fh_object_unref(sized);
	fh_object_unref(regs);
}

static void vcpus_run_on_while_eventfds_come_and_wait_while_they_go(void **state)
{
	struct fh_region *regs = new_regs(&little_ops), *far = new_regs(&little_ops);
	struct fh_kvm *kvm = begin(NULL);
	struct fh_eventfd *eventfds[2];

	(void)state;
	cpu_start(&cpus[0], kvm);
	wait_for_runs(1);
	eventfds[0] = add(regs, 0, match(.offset = 8, .size = 4));
	eventfds[1] = add(regs, 1, match(.offset = 0x10));
	fh_region_move(far, BASE + 0x100);
	assert_int_equal(fake.kicks, 0);
	fh_object_unref(eventfds[0]);
	assert_int_equal(fake.kicks, 1);
	fh_kvm_vcpu_interrupt(cpus[0].vcpu);
	cpu_join(&cpus[0]);
	fh_object_unref(eventfds[1]);
	end(kvm);
	fh_object_unref(far);
	fh_object_unref(regs);
}

/* --- As the space does, whatever there is ----------------------------------------------------- */

static uint64_t seed;

static uint64_t dice(uint64_t limit)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % limit;
}

static struct fh_eventfd *random_eventfd(struct fh_region *const regs[], unsigned bell)
{
	const unsigned size = (unsigned)((1u << dice(5)) & 15);
	struct fh_eventfd_match wanted = {
		.offset = dice(3) * 4, .size = size, .match_data = dice(3) != 0
	};

	if (wanted.match_data) /* an integer and its mirror image, and none of both */
		wanted.data = size == 1 ? 1 + dice(2) : dice(2) ? 0x0100 : 0x0001;
	return fh_eventfd_new(m, regs[dice(3)], &wanted, bells[bell], NULL);
}

/* All of it lies in one range. */
static bool is_whole(uint64_t addr, unsigned size)
{
	struct fh_section section;

	fh_read_begin();
	const bool found = fh_space_lookup(space, addr, &section);

	fh_read_end();
	return found && section.last - addr >= size - 1;
}

/* What KVM signals is what the space does; and it leaves nothing to it without saying so. */
static void check_addr(struct fh_kvm *kvm, uint64_t addr)
{
	static const uint64_t values[] = { 0, 1, 2, 0x100, 0x10000, 0x1000000, UINT64_C(1) << 56,
					   UINT64_C(1) << 48 };

	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			const uint64_t value = size == 8 ? values[i] :
						    values[i] & ((UINT64_C(1) << 8 * size) - 1);
			const int by_kvm = store_in_kvm(addr, size, value);

			if (!is_whole(addr, size)) {
				assert_int_equal(by_kvm, NOBODY);
				continue;
			}
			(void)fh_space_store(space, addr, size, FH_LE, FH_ATTRS_NONE, value);
			const int by_space = who();

			if (by_kvm != NOBODY || fh_kvm_check(kvm, NULL) == FH_OK)
				assert_int_equal(by_kvm, by_space >= 0 ? by_space : NOBODY);
		}
	}
}

static void stores_in_kvm_are_the_spaces_after_each_of_many_edits(void **state)
{
	struct fh_region *regs[3] = { new_regs(&little_ops), new_regs(&big_ops),
				      new_regs(&little_ops) };
	struct fh_eventfd *eventfds[BELLS] = { NULL };
	unsigned heard = 0;

	(void)state;
	seed = 11;
	for (unsigned with_any = 0; with_any < 2; with_any++) {
		struct fh_kvm *kvm =
			begin(&(struct fh_kvm_options){ .eventfd_any_length = with_any });

		cpu_start(&cpus[0], kvm);
		for (uint64_t round = scaled(1500); round > 0; round--) {
			const unsigned i = (unsigned)dice(BELLS), r = (unsigned)dice(3);

			fh_edit_begin(m);
			if (dice(3) == 0)
				fh_region_move(regs[r], BASE + dice(4) * 2);
			if (dice(8) == 0)
				fh_region_resize(regs[r], dice(2) ? PAGE : dice(16));
			if (eventfds[i])
				fh_object_unref(eventfds[i]);
			eventfds[i] = random_eventfd(regs, i);
			fh_edit_commit(m);
			for (uint64_t addr = BASE; addr < BASE + 16; addr++)
				check_addr(kvm, addr);
			heard += fake.event_count;
			assert_null(fake.wrong);
		}
		fh_kvm_vcpu_interrupt(cpus[0].vcpu);
		cpu_join(&cpus[0]);
		end(kvm);
		assert_int_equal(fake.event_count, 0);
	}
	assert_true(heard > 0);
	for (unsigned i = 0; i < BELLS; i++)
		if (eventfds[i])
			fh_object_unref(eventfds[i]);
	for (unsigned i = 0; i < 3; i++)
		fh_object_unref(regs[i]);
}

/* --- Rings while eventfds come and go --------------------------------------------------------- */

static uint64_t rings; /* under the fake's lock */
static _Atomic uint64_t failed; /* while the registers are not there */

static void on_failed(void *arg, struct fh_kvm_vcpu *vcpu, uint64_t addr, uint8_t *data,
		      unsigned size, bool write, enum fh_tx tx)
{
	(void)arg, (void)vcpu, (void)addr, (void)data, (void)size, (void)write, (void)tx;
	failed++;
}

static _Thread_local unsigned ring_step;

static int ringing_guest(struct fake_kvm *f, int vcpu_fd)
{
	struct kvm_run *run = fake_run_of_thread;
	const uint64_t addr = BASE + (ring_step % 2 ? 8 : 0x10);
	const uint64_t value = ++ring_step % 3;

	(void)vcpu_fd;
	rings++;
	if (fake_rings(f, addr, 4, value))
		return 1;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = addr;
	run->mmio.len = 4;
	run->mmio.is_write = 1;
	memcpy(run->mmio.data, &value, 4);
	return 0;
}

static void every_ring_is_one_signal_or_one_call(void **state)
{
	struct fh_region *regs = new_regs(&little_ops);
	struct fh_kvm *kvm = begin(&(struct fh_kvm_options){ .failed = on_failed });
	uint64_t signals = 0;

	(void)state;
	rings = 0;
	failed = 0;
	fake.guest = ringing_guest;
	for (unsigned i = 0; i < 2; i++)
		cpu_start(&cpus[i], kvm);
	for (uint64_t round = scaled(3000); round > 0 || signals == 0; round -= round > 0) {
		struct fh_eventfd *first =
			add(regs, 0, match(.offset = 8, .size = round % 2 ? 4 : 0));
		struct fh_eventfd *second = add(regs, 1,
						match(.offset = round % 4 ? 0x10 : 8, .size = 4,
						      .match_data = true, .data = 1));

		if (round % 8 == 0)
			fh_region_set_enabled(regs, false);
		fh_object_unref(round % 3 ? first : second);
		if (round % 8 == 0)
			fh_region_set_enabled(regs, true);
		fh_object_unref(round % 3 ? second : first);
		signals += take(0) + take(1);
	}
	for (unsigned i = 0; i < 2; i++) {
		fh_kvm_vcpu_interrupt(cpus[i].vcpu);
		cpu_join(&cpus[i]);
	}
	signals += take(0) + take(1);
	assert_true(signals > 0);
	assert_int_equal(rings, signals + called + failed);
	end(kvm);
	fh_object_unref(regs);
}

/* -------------------------------------------------------------------------------------------- */

#define test(name) cmocka_unit_test_setup_teardown(name, setup_bells, teardown_bells)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(eventfds_follow_their_region),
		test(data_are_compared_in_the_order_of_the_region),
		test(what_kvm_has_no_order_of_is_the_spaces),
		test(of_equal_data_the_one_with_a_size_is_meant),
		test(stores_beyond_the_end_of_a_range_are_the_spaces),
		test(any_length_is_used_where_that_is_asked_for_and_exact),
		test(what_kvm_refuses_the_space_signals),
		test(where_kvm_has_none_or_takes_them_for_others_the_space_has_all),
		test(vcpus_run_on_while_eventfds_come_and_wait_while_they_go),
		test(stores_in_kvm_are_the_spaces_after_each_of_many_edits),
		test(every_ring_is_one_signal_or_one_call),
	};

	return cmocka_run_group_tests_name("kvm-events", tests, NULL, NULL);
}
