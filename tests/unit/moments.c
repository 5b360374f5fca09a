/* SPDX-License-Identifier: MIT */
/*
 * Moments at which little ever happens, forced: what goes between two steps of an access, a mapping
 * or a registration.
 */
#include "support/array.h"
#include "support/holding.h"
#include "support/host.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/point.h"

#define BASE UINT64_C(0x20000000)
#define PAGE UINT64_C(0x1000)

static struct fh_region *ram_at(uint64_t addr)
{
	return show(m, fh_region_new_ram(m, NULL, PAGE, NULL), addr);
}

/* --- Mappings ------------------------------------------------------------------------------- */

static _Atomic unsigned writes;

static enum fh_tx write_blocks(void *state, uint64_t offset, uint64_t value, unsigned size,
			       struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)value, (void)size, (void)attrs;
	writes++;
	fh_blocking_begin();
	FH_POINT("test.writing");
	fh_blocking_end();
	return FH_TX_OK;
}

struct unmapping {
	struct fh_mapping *mapping;
	enum fh_tx tx;
};

static void unmap_run(void *arg)
{
	struct unmapping *unmapping = arg;

	unmapping->tx = fh_mapping_unmap(unmapping->mapping, UINT64_MAX);
}

static void unplug_run(void *arg)
{
	fh_device_unplug(arg);
}

/*
 * Of the bounce buffer's two halves the first one's callback blocks while its device is unplugged.
 */
static void write_back_ends_where_it_finds_its_owner_hidden(void **state)
{
	static const struct fh_region_ops ops = { .write = write_blocks, .valid = { .max = 4 } };
	static struct probe_hooks hooks;
	struct fh_device *device = probe_plug(m, "device", &hooks, BASE);
	struct fh_region *regs = fh_region_new_mmio(device, "slow", 8, &ops, NULL);
	struct unmapping unmapping;
	struct worker unmap, unplug;
	struct fh_mapped mapped;

	(void)state;
	fh_region_add(fh_space_root(memory), regs, 0, 0);
	unmapping.mapping =
		fh_space_map(memory, 0, 8, FH_MAP_WRITE, FH_ATTRS_NONE, holder, &mapped);
	assert_true(mapped.bounced);
	writes = 0;
	fh_point_arm("test.writing");
	worker_start(&unmap, unmap_run, &unmapping);
	assert_true(fh_point_wait("test.writing"));
	worker_start(&unplug, unplug_run, device);
	while (fh_space_is_mapped(memory, 0, 1))
		;
	assert_false(worker_done(&unplug));
	fh_point_release("test.writing");
	worker_join(&unmap);
	worker_join(&unplug);
	assert_int_equal(unmapping.tx, FH_TX_DECODE_ERROR);
	assert_int_equal(writes, 1);
}

struct map {
	struct fh_mapping *mapping;
	struct fh_mapped mapped;
};

static void map_run(void *arg)
{
	struct map *map = arg;

	map->mapping = fh_space_map(memory, BASE + 8, PAGE, FH_MAP_WRITE, FH_ATTRS_NONE, holder,
				    &map->mapped);
}

/*
 * What was looked up cannot be remembered, since a commit has replaced it: it is looked up again.
 */
static void mapping_is_looked_up_again_after_a_commit(void **state)
{
	struct fh_region *ram = ram_at(BASE), *other;
	uint8_t *ptr = (uint8_t *)fh_region_ram(ram) + 8;
	struct worker worker;
	struct map map;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		fh_point_arm("lookup.walked");
		worker_start(&worker, map_run, &map);
		assert_true(fh_point_wait("lookup.walked"));
		if (i == 0)
			other = ram_at(BASE + 2 * PAGE); /* beside it */
		else
			fh_region_remove(ram);
		fh_point_release("lookup.walked");
		worker_join(&worker);
		if (i == 0) {
			assert_non_null(map.mapping);
			assert_ptr_equal(map.mapped.ptr, ptr);
			assert_int_equal(map.mapped.size, PAGE - 8);
			assert_int_equal(fh_mapping_unmap(map.mapping, 0), FH_TX_OK);
		}
	}
	assert_null(map.mapping);
	assert_int_equal(map.mapped.code, FH_ENOENT);
	drop(other);
	drop(ram);
}

static void buffer_that_cannot_be_had_is_an_error(void **state)
{
	static const struct fh_region_ops ops = { .write = write_blocks };
	struct fh_region *regs;
	struct fh_mapped mapped;

	(void)state;
	if (under_sanitizer())
		skip();
	regs = show(m, fh_region_new_mmio(m, NULL, FH_SIZE_ALL, &ops, NULL), 0);
	fh_space_set_bounce_limit(memory, UINT64_MAX);
	for (unsigned i = 0; i < 2; i++) {
		assert_null(fh_space_map(memory, 0, i ? UINT64_MAX : UINT64_C(1) << 62,
					 FH_MAP_WRITE, FH_ATTRS_NONE, holder, &mapped));
		assert_int_equal(mapped.code, FH_ENOMEM);
		assert_int_equal(mapped.tx, FH_TX_DEVICE_ERROR);
	}
	/* Its room was given back. */
	assert_non_null(fh_space_map(memory, 0, PAGE, FH_MAP_WRITE, FH_ATTRS_NONE, holder,
				     &mapped));
	assert_int_equal(mapped.size, PAGE);
	fh_object_dispose(holder);
	drop(regs);
}

/* --- Windows -------------------------------------------------------------------------------- */

static enum fh_tx window_tx;
static uint32_t window_value;

/* The first thing that a thread does. */
static void window_load(void *arg)
{
	window_tx = fh_cached_load32(arg, 0, FH_LE, &window_value);
}

static void window_that_ends_while_it_is_filled_remembers_nothing(void **state)
{
	struct fh_region *ram = ram_at(BASE);
	struct fh_cached *cached = fh_cached_new(m, memory, BASE, 16, FH_ATTRS_NONE);
	struct worker worker;

	(void)state;
	fh_point_arm("cached.walked");
	worker_start(&worker, window_load, cached);
	assert_true(fh_point_wait("cached.walked"));
	assert_null(fh_cached_destroy(cached));
	fh_point_release("cached.walked");
	worker_join(&worker);
	assert_int_equal(window_tx, FH_TX_OK); /* it had begun */
	for (unsigned i = 0; i < 2; i++) {
		window_load(cached);
		assert_int_equal(window_tx, FH_TX_DECODE_ERROR);
		assert_int_equal(window_value, 0);
	}
	fh_object_unref(cached);
	assert_null(fh_cached_destroy(NULL));
	drop(ram);
}

/* --- Listeners ------------------------------------------------------------------------------ */

static struct fh_space *short_lived;
static unsigned heard;

static void hear(void *state, struct fh_space *space)
{
	(void)state, (void)space;
	heard++;
}

static const struct fh_listener_ops late_ops = { .begin = hear, .commit = hear };
static struct fh_listener *late;

static void register_late(void *state, struct fh_space *space)
{
	(void)state;
	if (!late)
		late = fh_listener_new(m, space, 0, &late_ops, NULL);
}

/* It would join at the end of the transaction, in which its space ends. */
static void listener_that_waits_for_a_space_that_ends_hears_nothing(void **state)
{
	static const struct fh_listener_ops ops = { .commit = register_late };
	struct fh_region *ram = fh_region_new_ram(m, NULL, PAGE, NULL);
	struct fh_listener *first;

	(void)state;
	heard = 0;
	late = NULL;
	short_lived = fh_space_new(m, NULL, ram);
	fh_edit_begin(m);
	first = fh_listener_new(m, short_lived, 0, &ops, NULL);
	assert_non_null(late);
	fh_object_dispose(short_lived);
	fh_edit_commit(m);
	assert_int_equal(heard, 0);
	fh_object_unref(first);
	fh_object_unref(late);
	fh_object_unref(short_lived);
	drop(ram);
}

/* --- Births --------------------------------------------------------------------------------- */

static unsigned released;

static void count_release(void *state)
{
	(void)state;
	released++;
}

struct birth {
	struct fh_device *owner;
	struct fh_region *region;
};

static void birth_run(void *arg)
{
	static const struct fh_region_ops ops = { .write = write_blocks, .release = count_release };
	struct birth *birth = arg;

	birth->region = fh_region_new_mmio(birth->owner, NULL, PAGE, &ops, NULL);
}

static void birth_of_ram_run(void *arg)
{
	static uint8_t bytes[64];
	struct birth *birth = arg;

	birth->region = fh_region_new_ram_ptr(birth->owner, NULL, sizeof(bytes), bytes,
					      count_release, NULL);
}

/* Its owner leaves in the middle of the constructor, which fails: nothing was taken. */
static void region_that_is_not_born_releases_nothing(void **state)
{
	static struct probe_hooks hooks;
	void (*const births[])(void *arg) = { birth_run, birth_of_ram_run };

	(void)state;
	released = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct birth birth = { .owner = probe_plug(m, "owner", &hooks, BASE) };
		struct worker worker;

		fh_object_ref(birth.owner);
		fh_point_arm("birth.linked");
		worker_start(&worker, births[i], &birth);
		assert_true(fh_point_wait("birth.linked"));
		fh_device_unplug(birth.owner);
		fh_point_release("birth.linked");
		worker_join(&worker);
		assert_null(birth.region);
		fh_object_unref(birth.owner);
		fh_machine_drain(m);
		assert_int_equal(released, 0);
	}
}

/* The number of its descriptor is somebody else's by the time the eventfd's memory goes. */
static void eventfd_that_is_not_born_closes_its_descriptor_once(void **state)
{
	static const struct fh_region_ops ops = { .write = write_blocks };
	const struct fh_eventfd_match match = { .size = 4 };
	struct fh_region *regs = fh_region_new_mmio(m, NULL, PAGE, &ops, NULL);
	const int fd = eventfd(0, EFD_CLOEXEC);
	int others[4];

	(void)state;
	fh_object_ref(holder);
	fh_object_dispose(holder);
	fh_machine_drain(m);
	for (unsigned i = 0; i < 4; i++) {
		assert_null(fh_eventfd_new(holder, regs, &match, fd, NULL));
		others[i] = eventfd(0, EFD_CLOEXEC);
	}
	fh_machine_drain(m);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(close(others[i]), 0);
	fh_object_unref(holder);
	fh_object_unref(regs);
	close(fd);
}

/* --- Nothing at all --------------------------------------------------------------------------- */

static void count_done(void *state)
{
	++*(unsigned *)state;
}

static void what_is_asked_of_nothing_is_over_at_once(void **state)
{
	static const struct fh_region_ops ops = { .write = write_blocks };
	struct fh_region *regs = fh_region_new_mmio(m, NULL, PAGE, &ops, NULL);
	unsigned dones = 0;

	(void)state;
	fh_iommu_invalidate(NULL, 0, 0, UINT64_MAX, count_done, &dones);
	assert_int_equal(dones, 1);
	fh_iommu_invalidate(NULL, 0, 0, UINT64_MAX, NULL, NULL);
	fh_region_destroy(regs);
	assert_int_equal(fh_region_add_coalesced(regs, 0, 1), FH_EDEAD);
	assert_int_equal(fh_region_clear_coalesced(regs), FH_EDEAD);
	assert_int_equal(fh_region_set_flush_coalesced(regs, true), FH_EDEAD);
	fh_object_unref(regs);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(write_back_ends_where_it_finds_its_owner_hidden),
		TEST(mapping_is_looked_up_again_after_a_commit),
		TEST(buffer_that_cannot_be_had_is_an_error),
		TEST(window_that_ends_while_it_is_filled_remembers_nothing),
		TEST(listener_that_waits_for_a_space_that_ends_hears_nothing),
		TEST(region_that_is_not_born_releases_nothing),
		TEST(eventfd_that_is_not_born_closes_its_descriptor_once),
		TEST(what_is_asked_of_nothing_is_over_at_once),
	};

	return cmocka_run_group_tests_name("moments", tests, NULL, NULL);
}
