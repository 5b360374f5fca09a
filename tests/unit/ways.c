/* SPDX-License-Identifier: MIT */
/*
 * The ways to guest memory and registers: by address, through windows, pinned sections, mappings
 * and bounce buffers, as an atomic, behind an IOMMU. Whatever is promised of an access holds for
 * each of them.
 */
#include "support/flat.h"
#include "support/probe.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define REGS UINT64_C(0x10000)
#define RAM  UINT64_C(0x20000)
#define ROM  UINT64_C(0x30000)
#define PAGE UINT64_C(0x1000)
#define WORD UINT32_C(0x5a5a5a5a) /* the same in every order, and as a fill */

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_space *bus; /* all of memory, behind an IOMMU */
static struct fh_region *regs, *ram, *rom;
static struct fh_object *holder;
static unsigned loads, stores;
static struct fh_attrs last_attrs;

/* --- The ways ------------------------------------------------------------------------------- */

struct target {
	struct fh_space *space;
	uint64_t addr;
	struct fh_attrs attrs;
};

static enum fh_tx by_store(const struct target *to)
{
	return fh_space_store(to->space, to->addr, 4, FH_LE, to->attrs, WORD);
}

static enum fh_tx by_store_turned(const struct target *to)
{
	return fh_space_store(to->space, to->addr, 4, FH_BE, to->attrs, WORD);
}

static enum fh_tx by_write(const struct target *to)
{
	const uint32_t word = WORD;

	return fh_space_write(to->space, to->addr, &word, 4, to->attrs);
}

static enum fh_tx by_fill(const struct target *to)
{
	return fh_space_fill(to->space, to->addr, (uint8_t)WORD, 4, to->attrs);
}

static enum fh_tx by_window(const struct target *to)
{
	struct fh_cached *cached = fh_cached_new(m, to->space, to->addr - 4, 16, to->attrs);
	enum fh_tx tx = fh_cached_store(cached, 4, 4, FH_LE, WORD);

	if (tx == FH_TX_OK) /* and once more, remembered */
		tx = fh_cached_store(cached, 4, 4, FH_LE, WORD);
	fh_object_unref(cached);
	return tx;
}

static enum fh_tx by_window_in_bulk(const struct target *to)
{
	const uint32_t word = WORD;
	struct fh_cached *cached = fh_cached_new(m, to->space, to->addr - 4, 16, to->attrs);
	const enum fh_tx tx = fh_cached_write(cached, 4, &word, 4);

	fh_object_unref(cached);
	return tx;
}

static enum fh_tx by_pinned(const struct target *to)
{
	const uint32_t word = WORD;
	struct fh_section section;
	struct fh_pinned *pinned = fh_space_find(to->space, to->addr, 4, holder, &section);
	const enum fh_tx tx = fh_pinned_write(pinned, 0, &word, 4, to->attrs);

	fh_pinned_unpin(pinned);
	return tx;
}

static enum fh_tx by_mapping(const struct target *to)
{
	const uint32_t word = WORD;
	struct fh_mapped mapped;
	struct fh_mapping *mapping = fh_space_map(to->space, to->addr, 4, FH_MAP_WRITE, to->attrs,
						  holder, &mapped);

	if (!mapping)
		return mapped.tx;
	assert_int_equal(mapped.size, 4);
	memcpy(mapped.ptr, &word, 4);
	return fh_mapping_unmap(mapping, 4);
}

typedef enum fh_tx way(const struct target *to);

static way *const ways[] = {
	by_store, by_store_turned, by_write, by_fill, by_window, by_window_in_bulk, by_pinned,
	by_mapping,
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* Memory alone. */
static enum fh_tx by_atomic(const struct target *to)
{
	uint64_t old;

	return fh_space_fetch(to->space, to->addr, 4, FH_LE, to->attrs, FH_ATOMIC_SWAP, WORD, &old);
}

/* Its holder ends, instead of unmapping it. */
static enum fh_tx by_mapping_that_ends(const struct target *to)
{
	const uint32_t word = WORD;
	static const struct fh_type type = { .name = "brief" };
	struct fh_object *brief = fh_object_new_child(m, "brief", &type, NULL);
	struct fh_mapped mapped;
	struct fh_mapping *mapping = fh_space_map(to->space, to->addr, 4, FH_MAP_WRITE, to->attrs,
						  brief, &mapped);

	assert_non_null(mapping);
	memcpy(mapped.ptr, &word, 4);
	fh_object_dispose(brief);
	fh_machine_drain(m);
	return FH_TX_OK;
}

/* --- The world ------------------------------------------------------------------------------ */

static enum fh_tx regs_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size;
	loads++;
	last_attrs = attrs;
	*ret_value = 1;
	return FH_TX_OK;
}

static enum fh_tx regs_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	(void)state;
	assert_int_equal(offset, 0x10);
	assert_int_equal(size, 4);
	assert_int_equal(value, WORD);
	stores++;
	last_attrs = attrs;
	return FH_TX_OK;
}

static const struct fh_region_ops regs_ops = { .read = regs_read, .write = regs_write };

static enum fh_tx same_place(void *state, uint64_t addr, unsigned access, unsigned index,
			     struct fh_attrs attrs, struct fh_translation *ret)
{
	(void)state, (void)access, (void)index, (void)attrs;
	ret->first = addr & ~(PAGE - 1);
	ret->last = addr | (PAGE - 1);
	ret->space = memory;
	ret->addr = ret->first;
	ret->permissions = FH_IOMMU_READ | FH_IOMMU_WRITE;
	return FH_TX_OK;
}

static const struct fh_iommu_ops iommu_ops = { .translate = same_place };

static struct fh_region *placed(struct fh_region *region, const char *name, uint64_t addr)
{
	assert_int_equal(fh_object_add_child(m, name, region, NULL), FH_OK);
	fh_object_unref(region);
	fh_region_add(fh_space_root(memory), region, addr, 0);
	return region;
}

static int set_up(void **state)
{
	struct fh_region *iommu;

	(void)state;
	m = machine_begin();
	memory = fh_machine_memory(m);
	holder = fh_object_new_child(m, "holder", &holder_type, NULL);
	regs = placed(fh_region_new_mmio(m, NULL, PAGE, &regs_ops, NULL), "regs", REGS);
	ram = placed(fh_region_new_ram(m, NULL, 8 * PAGE, NULL), "ram", RAM);
	rom = placed(fh_region_new_rom(m, NULL, 8 * PAGE, FH_ROM_IGNORE, NULL), "rom", ROM);
	iommu = fh_region_new_iommu(m, NULL, FH_SIZE_ALL, &iommu_ops, NULL);
	assert_int_equal(fh_object_add_child(m, "iommu", iommu, NULL), FH_OK);
	fh_object_unref(iommu);
	bus = fh_space_new(m, NULL, iommu);
	assert_int_equal(fh_object_add_child(m, "bus", bus, NULL), FH_OK);
	fh_object_unref(bus);
	loads = stores = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	machine_end(m);
	return 0;
}

/* In front of the IOMMU, and behind it. */
static struct target target(unsigned i, uint64_t addr)
{
	return (struct target){ .space = i ? bus : memory, .addr = addr };
}

static uint32_t word_of(struct fh_region *region, uint64_t offset)
{
	uint32_t word;

	memcpy(&word, (uint8_t *)fh_region_ram(region) + offset, 4);
	return word;
}

/* --- What holds for all --------------------------------------------------------------------- */

static void check_dirty(way *do_it, struct fh_region *region, struct target to)
{
	const uint64_t offset = to.addr % (8 * PAGE);
	struct fh_dirty_snapshot *snapshot;

	memset(fh_region_ram(region), 0, 8 * PAGE);
	assert_int_equal(do_it(&to), FH_TX_OK);
	assert_int_equal(word_of(region, offset), WORD);
	snapshot = fh_dirty_snapshot_take(region, FH_DIRTY_USER0, 0, 8 * PAGE, NULL);
	assert_int_equal(fh_dirty_snapshot_pages(snapshot), 1);
	assert_true(fh_dirty_snapshot_test(snapshot, offset, 1));
	fh_dirty_snapshot_free(snapshot);
}

static void every_way_to_write_marks_the_page(void **state)
{
	(void)state;
	assert_int_equal(fh_dirty_start(ram, FH_DIRTY_USER0, NULL), FH_OK);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned w = 0; w < WAYS; w++)
			check_dirty(ways[w], ram, target(i, RAM + 3 * PAGE + 8));
		check_dirty(by_atomic, ram, target(i, RAM + 4 * PAGE + 8));
		check_dirty(by_mapping_that_ends, ram, target(i, RAM + 5 * PAGE + 8));
	}
}

static void debug_writes_rom_and_marks_it_in_every_way_and_nobody_else(void **state)
{
	struct target to;

	(void)state;
	assert_int_equal(fh_dirty_start(rom, FH_DIRTY_USER0, NULL), FH_OK);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned w = 0; w < WAYS; w++) {
			to = target(i, ROM + 2 * PAGE + 4);
			to.attrs.debug = true;
			check_dirty(ways[w], rom, to);
			memset(fh_region_ram(rom), 0, 8 * PAGE);
			to.attrs.debug = false;
			assert_int_equal(ways[w](&to), FH_TX_OK);
			assert_int_equal(word_of(rom, 2 * PAGE + 4), 0);
			assert_false(fh_dirty_test(rom, FH_DIRTY_USER0, 0, 8 * PAGE));
		}
		to = target(i, ROM);
		assert_int_equal(by_atomic(&to), FH_TX_DENIED);
	}
}

static void every_way_to_write_signals_the_eventfd(void **state)
{
	const struct fh_eventfd_match match = { .offset = 0x10, .match_data = true, .data = WORD };
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct fh_eventfd *doorbell = fh_eventfd_new(m, regs, &match, fd, NULL);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned w = 0; w < WAYS; w++) {
			const struct target to = target(i, REGS + 0x10);
			uint64_t count = 0;

			assert_int_equal(ways[w](&to), FH_TX_OK);
			assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
			assert_int_equal(count, ways[w] == by_window ? 2 : 1);
		}
	}
	assert_int_equal(stores, 0);
	fh_object_unref(doorbell);
	close(fd);
}

static void count_flush(void *state)
{
	++*(unsigned *)state;
}

static void every_way_asks_for_what_was_coalesced(void **state)
{
	static const struct fh_listener_ops ops = { .coalesced_flush = count_flush };
	unsigned asked = 0;
	struct fh_listener *ear = fh_listener_new(m, memory, 0, &ops, &asked);

	(void)state;
	assert_int_equal(fh_region_set_flush_coalesced(regs, true), FH_OK);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned w = 0; w < WAYS; w++) {
			const struct target to = target(i, REGS + 0x10);

			asked = 0;
			stores = 0;
			assert_int_equal(ways[w](&to), FH_TX_OK);
			assert_int_equal(stores, ways[w] == by_window ? 2 : 1);
			assert_int_equal(asked, stores);
		}
	}
	fh_object_unref(ear);
}

/* Stores by what was found before there was an eventfd, and before anybody was to be asked. */
static void what_was_found_before_signals_and_asks_as_well(void **state)
{
	static const struct fh_listener_ops ops = { .coalesced_flush = count_flush };
	const struct fh_eventfd_match match = { .offset = 0x10 };
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	const uint32_t word = WORD;
	unsigned asked = 0;
	struct fh_listener *ear = fh_listener_new(m, memory, 0, &ops, &asked);
	struct fh_section section;
	struct fh_mapped mapped;
	struct fh_pinned *pinned = fh_space_find(memory, REGS + 0x10, 4, holder, &section);
	struct fh_mapping *buffer = fh_space_map(memory, REGS + 0x10, 4, FH_MAP_WRITE,
						 FH_ATTRS_NONE, holder, &mapped);
	uint64_t count = 0;

	(void)state;
	assert_int_equal(fh_pinned_write(pinned, 0, &word, 4, FH_ATTRS_NONE), FH_TX_OK);
	assert_int_equal(stores, 1);
	assert_int_equal(asked, 0);
	struct fh_eventfd *doorbell = fh_eventfd_new(m, regs, &match, fd, NULL);

	assert_int_equal(fh_region_set_flush_coalesced(regs, true), FH_OK);
	assert_int_equal(fh_pinned_write(pinned, 0, &word, 4, FH_ATTRS_NONE), FH_TX_OK);
	assert_int_equal(asked, 1);
	assert_int_equal(fh_mapping_unmap(buffer, 4), FH_TX_OK);
	assert_int_equal(asked, 2);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 2);
	assert_int_equal(stores, 1);
	fh_object_unref(doorbell);
	assert_int_equal(fh_region_set_flush_coalesced(regs, false), FH_OK);
	assert_int_equal(fh_pinned_write(pinned, 0, &word, 4, FH_ATTRS_NONE), FH_TX_OK);
	assert_int_equal(stores, 2);
	assert_int_equal(asked, 2);
	fh_pinned_unpin(pinned);
	fh_object_unref(ear);
	close(fd);
}

static void attributes_go_along_in_every_way(void **state)
{
	const struct fh_attrs all = { .requester = 0x1234, .secure = true, .user = true,
				      .debug = true };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned w = 0; w < WAYS; w++) {
			struct target to = target(i, REGS + 0x10);

			to.attrs = all;
			last_attrs = FH_ATTRS_NONE;
			assert_int_equal(ways[w](&to), FH_TX_OK);
			assert_int_equal(last_attrs.requester, 0x1234);
			assert_true(last_attrs.secure && last_attrs.user && last_attrs.debug);
			assert_false(last_attrs.memory_only);
			to.attrs = (struct fh_attrs){ .memory_only = true };
			stores = 0;
			assert_int_equal(ways[w](&to), FH_TX_DENIED);
			assert_int_equal(stores, 0);
			to.addr = RAM + 0x10;
			memset(fh_region_ram(ram), 0, 8 * PAGE);
			assert_int_equal(ways[w](&to), FH_TX_OK);
			assert_int_equal(word_of(ram, 0x10), WORD);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_way_to_write_marks_the_page),
		TEST(debug_writes_rom_and_marks_it_in_every_way_and_nobody_else),
		TEST(every_way_to_write_signals_the_eventfd),
		TEST(every_way_asks_for_what_was_coalesced),
		TEST(what_was_found_before_signals_and_asks_as_well),
		TEST(attributes_go_along_in_every_way),
	};

	return cmocka_run_group_tests_name("ways", tests, NULL, NULL);
}
