/* SPDX-License-Identifier: MIT */
/*
 * The last addresses there are, in regions of 2^64 bytes: what lies before the border is done, what
 * would lie beyond it is a decode error, and nothing comes out at address 0.
 */
#include "support/array.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define TOP(n) (-UINT64_C(n)) /* that many bytes before the border */

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *all; /* registers, 2^64 bytes of them, at 0 */
static unsigned calls;
static uint64_t last_offset, last_value;

static enum fh_tx all_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			   struct fh_attrs attrs)
{
	(void)state, (void)size, (void)attrs;
	calls++;
	last_offset = offset;
	*ret_value = UINT64_C(0x1122334455667788);
	return FH_TX_OK;
}

static enum fh_tx all_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)state, (void)size, (void)attrs;
	calls++;
	last_offset = offset;
	last_value = value;
	return FH_TX_OK;
}

static int set_up(void **state)
{
	static const struct fh_region_ops ops = { .read = all_read, .write = all_write };

	(void)state;
	m = machine_begin();
	memory = fh_machine_memory(m);
	all = show(m, fh_region_new_mmio(m, NULL, FH_SIZE_ALL, &ops, NULL), 0);
	calls = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	drop(all);
	machine_end(m);
	return 0;
}

static void assert_called_once_at(uint64_t offset)
{
	assert_int_equal(calls, 1);
	assert_int_equal(last_offset, offset);
	calls = 0;
}

static void registers_are_reached_up_to_the_last_byte(void **state)
{
	uint8_t bytes[16];
	uint64_t value;

	(void)state;
	assert_int_equal(fh_space_store64(memory, TOP(8), 1, FH_LE), FH_TX_OK);
	assert_called_once_at(TOP(8));
	assert_int_equal(fh_space_store(memory, TOP(2), 4, FH_LE, none, 0xaabbccdd),
			 FH_TX_DECODE_ERROR);
	assert_called_once_at(TOP(2));
	assert_int_equal(last_value, 0xccdd);
	assert_int_equal(fh_space_load(memory, TOP(1), 8, FH_BE, none, &value),
			 FH_TX_DECODE_ERROR);
	assert_called_once_at(TOP(1));
	assert_int_equal(value, UINT64_C(0x88) << 56);
	memset(bytes, 9, sizeof(bytes));
	assert_int_equal(fh_space_read(memory, TOP(4), bytes, 16, none), FH_TX_DECODE_ERROR);
	assert_called_once_at(TOP(4));
	assert_memory_equal(bytes, "\x88\x77\x66\x55\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

static void memory_is_reached_up_to_the_last_byte(void **state)
{
	struct fh_region *ram = fh_region_new_ram(m, NULL, 0x1000, NULL);
	uint8_t *end = (uint8_t *)fh_region_ram(ram) + 0x1000;
	uint64_t value;

	(void)state;
	fh_region_add(fh_space_root(memory), ram, TOP(0x1000), 1);
	assert_int_equal(fh_space_fetch(memory, TOP(8), 8, FH_BE, none, FH_ATOMIC_ADD, 3, &value),
			 FH_TX_OK);
	assert_int_equal(end[-1], 3);
	assert_int_equal(fh_space_load(memory, TOP(4), 8, FH_LE, none, &value),
			 FH_TX_DECODE_ERROR);
	assert_int_equal(value, 0x03000000);
	assert_int_equal(fh_space_fill(memory, TOP(16), 7, 32, none), FH_TX_DECODE_ERROR);
	assert_int_equal(end[-16], 7);
	assert_int_equal(end[-1], 7);
	assert_int_equal(end[-17], 0);
	assert_int_equal(calls, 0);
	drop(ram);
}

static struct fh_section heard;

static void hear(void *state, const struct fh_section *section,
		 const struct fh_eventfd_match *match, int fd)
{
	(void)state, (void)match, (void)fd;
	heard = *section;
}

static void eventfd_may_be_of_the_last_bytes(void **state)
{
	static const struct fh_listener_ops ops = { .eventfd_add = hear };
	struct fh_listener *ear = fh_listener_new(m, memory, 0, &ops, NULL);
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct fh_eventfd_match match = { .offset = TOP(4), .size = 4 };
	struct fh_eventfd *doorbell = fh_eventfd_new(m, all, &match, fd, NULL);
	struct fh_error err = FH_ERROR_INIT;
	uint64_t count = 0;

	(void)state;
	assert_int_equal(heard.first, TOP(4));
	assert_int_equal(heard.last, UINT64_MAX);
	assert_int_equal(fh_space_store32(memory, TOP(4), 5, FH_LE), FH_TX_OK);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	assert_int_equal(calls, 0);
	match.offset = TOP(2);
	assert_null(fh_eventfd_new(m, all, &match, fd, &err));
	assert_int_equal(err.code, FH_ERANGE);
	fh_object_unref(doorbell);
	fh_object_unref(ear);
	close(fd);
}

static enum fh_tx everywhere(void *state, uint64_t addr, unsigned access, unsigned index,
			     struct fh_attrs attrs, struct fh_translation *ret)
{
	(void)state, (void)addr, (void)access, (void)index, (void)attrs;
	*ret = (struct fh_translation){ 0, UINT64_MAX, memory, 0,
					FH_IOMMU_READ | FH_IOMMU_WRITE };
	return FH_TX_OK;
}

static void note_event(void *state, const struct fh_iommu_event *event)
{
	*(struct fh_translation *)state = event->translation;
}

static void iommu_may_be_of_all_addresses(void **state)
{
	static const struct fh_iommu_ops ops = { .translate = everywhere };
	struct fh_region *iommu = fh_region_new_iommu(m, NULL, FH_SIZE_ALL, &ops, NULL);
	struct fh_space *bus = fh_space_new(m, NULL, iommu);
	struct fh_translation told = { 0 };
	struct fh_iommu_notifier *notifier = fh_iommu_notifier_new(
		m, iommu, 0, 0, UINT64_MAX, FH_IOMMU_MAP, note_event, &told);
	struct fh_mapped mapped;
	struct fh_mapping *mapping;

	(void)state;
	assert_int_equal(fh_space_store32(bus, TOP(4), 1, FH_LE), FH_TX_OK);
	assert_called_once_at(TOP(4));
	assert_int_equal(fh_space_store(bus, TOP(2), 4, FH_LE, none, 1), FH_TX_DECODE_ERROR);
	assert_called_once_at(TOP(2));
	assert_int_equal(fh_iommu_replay(notifier), FH_OK);
	assert_int_equal(told.last, UINT64_MAX);
	mapping = fh_space_map(bus, TOP(4), 16, FH_MAP_WRITE, none, iommu, &mapped);
	assert_int_equal(mapped.size, 4);
	assert_int_equal(fh_mapping_unmap(mapping, 16), FH_TX_OK);
	assert_called_once_at(TOP(4));
	fh_object_unref(notifier);
	fh_object_unref(bus);
	fh_object_unref(iommu);
}

static void alias_ends_where_its_target_does(void **state)
{
	struct fh_region *alias = fh_region_new_alias(m, NULL, all, TOP(16), FH_SIZE_ALL);
	struct fh_space *space = fh_space_new(m, NULL, alias);

	(void)state;
	assert_int_equal(fh_space_store32(space, 8, 1, FH_LE), FH_TX_OK);
	assert_called_once_at(TOP(8));
	assert_int_equal(fh_space_store64(space, 12, 1, FH_LE), FH_TX_DECODE_ERROR);
	assert_called_once_at(TOP(4));
	assert_int_equal(fh_space_store32(space, 16, 1, FH_LE), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_space_store32(space, TOP(4), 1, FH_LE), FH_TX_DECODE_ERROR);
	assert_int_equal(calls, 0);
	fh_object_unref(space);
	drop(alias);
}

static void reservation_may_take_everything(void **state)
{
	struct fh_region *taken = fh_region_new_reservation(m, NULL, FH_SIZE_ALL);
	uint64_t value;

	(void)state;
	fh_region_add(fh_space_root(memory), taken, 0, 1);
	assert_true(fh_space_is_mapped(memory, 0, FH_SIZE_ALL));
	assert_int_equal(fh_space_load(memory, 0, 8, FH_LE, none, &value), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_space_load(memory, TOP(8), 8, FH_LE, none, &value),
			 FH_TX_DECODE_ERROR);
	assert_int_equal(calls, 0);
	drop(taken);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_are_reached_up_to_the_last_byte),
		TEST(memory_is_reached_up_to_the_last_byte),
		TEST(eventfd_may_be_of_the_last_bytes),
		TEST(iommu_may_be_of_all_addresses),
		TEST(alias_ends_where_its_target_does),
		TEST(reservation_may_take_everything),
	};

	return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
