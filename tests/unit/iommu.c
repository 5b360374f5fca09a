/* SPDX-License-Identifier: MIT */
/*
 * IOMMUs: where accesses end up, what they may do there, how far translations lead, what notifiers
 * are told, and when an invalidation is over.
 */
#include "support/probe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/point.h"
#include "memory/iommu.h"

#define PAGE   UINT64_C(0x1000)
#define PAGES  8
#define IOMMUS 2

/* A table of pages, each of which leads to a page of `target`. */
struct table {
	struct fh_device *device;
	struct fh_region *region;
	struct fh_space *bus; /* what a device behind the IOMMU sees */
	struct fh_space *target;
	unsigned index_bits; /* index = requester & this */
	_Atomic uint64_t page[2][PAGES];
	_Atomic unsigned permissions[PAGES]; /* 0: not there */
	_Atomic unsigned asked, released, wanted[2];
	_Atomic bool block; /* leave the read section before answering */
};

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *ram;
static struct probe_hooks hooks[IOMMUS];
static struct table tables[IOMMUS];

static enum fh_tx table_translate(void *state, uint64_t addr, unsigned access, unsigned index,
				  struct fh_attrs attrs, struct fh_translation *ret)
{
	struct table *table = state;
	const uint64_t page = addr / PAGE;

	(void)access, (void)attrs;
	table->asked++;
	if (table->block) {
		fh_blocking_begin();
		FH_POINT("test.translating");
		fh_blocking_end();
	}
	ret->first = page * PAGE;
	ret->last = page * PAGE + PAGE - 1;
	if (page >= PAGES || table->permissions[page] == 0)
		return FH_TX_DENIED;
	ret->space = table->target;
	ret->addr = table->page[index][page];
	ret->permissions = table->permissions[page];
	return FH_TX_OK;
}

static unsigned table_index(void *state, struct fh_attrs attrs)
{
	const struct table *table = state;

	return attrs.requester & table->index_bits;
}

static void table_wanted(void *state, unsigned index, unsigned kinds)
{
	((struct table *)state)->wanted[index] = kinds;
}

static void table_release(void *state)
{
	((struct table *)state)->released++;
}

static const struct fh_iommu_ops table_ops = {
	.translate = table_translate,
	.index_of = table_index,
	.indexes = 2,
	.notifiers_changed = table_wanted,
	.release = table_release,
};

static void table_init(struct table *table, const char *name, struct fh_space *target)
{
	memset(table, 0, sizeof(*table));
	memset(&hooks[table - tables], 0, sizeof(hooks[0]));
	table->device = probe_plug(m, name, &hooks[table - tables],
				   UINT64_C(0x10000000) + PAGE * (uint64_t)(table - tables));
	table->target = target;
	table->region = fh_region_new_iommu(table->device, "iommu", PAGES * PAGE, &table_ops, table);
	table->bus = fh_space_new(table->device, "bus", table->region);
	assert_non_null(table->region);
	assert_non_null(table->bus);
}

static void table_map(struct table *table, unsigned page, uint64_t to, unsigned permissions)
{
	table->page[0][page] = to;
	table->page[1][page] = to + 0x100000;
	table->permissions[page] = permissions;
}

enum { RW = FH_IOMMU_READ | FH_IOMMU_WRITE };

static int set_up(void **state)
{
	(void)state;
	m = machine_begin();
	memory = fh_machine_memory(m);
	ram = fh_region_new_ram(m, NULL, 0x200000, NULL);
	fh_object_add_child(m, "ram", ram, NULL);
	fh_object_unref(ram);
	fh_region_add(fh_space_root(memory), ram, 0, 0);
	table_init(&tables[0], "iommu", memory);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fh_point_release_all();
	machine_end(m);
	assert_int_equal(tables[0].released, 1);
	return 0;
}

static uint32_t ram32(uint64_t addr)
{
	uint32_t value;

	memcpy(&value, (uint8_t *)fh_region_ram(ram) + addr, sizeof(value));
	return value;
}

/* --- Accesses ------------------------------------------------------------------------------- */

static void access_goes_where_the_translation_leads(void **state)
{
	struct table *table = &tables[0];
	uint32_t value = 0;

	(void)state;
	table_map(table, 2, 0x7000, RW);
	assert_int_equal(fh_space_store32(table->bus, 2 * PAGE + 8, 0x12345678, FH_LE), FH_TX_OK);
	assert_int_equal(ram32(0x7008), 0x12345678);
	assert_int_equal(fh_space_load32(table->bus, 2 * PAGE + 8, FH_BE, &value), FH_TX_OK);
	assert_int_equal(value, 0x78563412);
	/* Never remembered: the next access asks again. */
	table_map(table, 2, 0x9000, RW);
	assert_int_equal(fh_space_store32(table->bus, 2 * PAGE + 8, 1, FH_LE), FH_TX_OK);
	assert_int_equal(ram32(0x9008), 1);
	assert_int_equal(ram32(0x7008), 0x12345678);
}

static void access_over_pages_is_cut_at_their_borders(void **state)
{
	struct table *table = &tables[0];
	uint8_t out[3 * PAGE], in[3 * PAGE];
	uint64_t value;

	(void)state;
	table_map(table, 1, 0x9000, RW);
	table_map(table, 2, 0x5000, RW);
	table_map(table, 3, 0x20000, RW);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(fh_space_write(table->bus, PAGE, out, sizeof(out), FH_ATTRS_NONE),
			 FH_TX_OK);
	assert_memory_equal((uint8_t *)fh_region_ram(ram) + 0x9000, out, PAGE);
	assert_memory_equal((uint8_t *)fh_region_ram(ram) + 0x5000, out + PAGE, PAGE);
	assert_memory_equal((uint8_t *)fh_region_ram(ram) + 0x20000, out + 2 * PAGE, PAGE);
	assert_int_equal(fh_space_read(table->bus, PAGE, in, sizeof(in), FH_ATTRS_NONE), FH_TX_OK);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(fh_space_load(table->bus, 2 * PAGE - 3, 8, FH_LE, FH_ATTRS_NONE, &value),
			 FH_TX_OK);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(value >> 8 * i & 0xff, out[PAGE - 3 + i]);
}

static void what_is_not_permitted_is_denied(void **state)
{
	struct table *table = &tables[0];
	uint32_t value = 7;

	(void)state;
	table_map(table, 0, 0x7000, FH_IOMMU_READ);
	table_map(table, 1, 0x8000, FH_IOMMU_WRITE);
	assert_int_equal(fh_space_load32(table->bus, 0, FH_LE, &value), FH_TX_OK);
	assert_int_equal(fh_space_store32(table->bus, 0, 5, FH_LE), FH_TX_DENIED);
	assert_int_equal(ram32(0x7000), 0);
	assert_int_equal(fh_space_store32(table->bus, PAGE, 5, FH_LE), FH_TX_OK);
	assert_int_equal(fh_space_load32(table->bus, PAGE, FH_LE, &value), FH_TX_DENIED);
	assert_int_equal(value, 0);
	/* What translate itself refuses has its result. */
	assert_int_equal(fh_space_load32(table->bus, 5 * PAGE, FH_LE, &value), FH_TX_DENIED);
	/* The rest of a longer access is done. */
	assert_int_equal(fh_space_store(table->bus, PAGE - 2, 4, FH_LE, FH_ATTRS_NONE, 0x04030201),
			 FH_TX_DENIED);
	assert_int_equal(ram32(0x8000), 0x0403);
}

static void translation_into_a_hole_is_a_decode_error(void **state)
{
	struct table *table = &tables[0];
	uint32_t value;

	(void)state;
	table_map(table, 0, 0x40000000, RW);
	assert_int_equal(fh_space_load32(table->bus, 0, FH_LE, &value), FH_TX_DECODE_ERROR);
	table->target = NULL;
	assert_int_equal(fh_space_load32(table->bus, 0, FH_LE, &value), FH_TX_DECODE_ERROR);
	table->target = memory;
	/* A page that leads to the last bytes of memory, and beyond. */
	table_map(table, 0, 0x200000 - 0x800, RW);
	assert_int_equal(fh_space_load32(table->bus, 0x7fc, FH_LE, &value), FH_TX_OK);
	assert_int_equal(fh_space_load32(table->bus, 0x800, FH_LE, &value), FH_TX_DECODE_ERROR);
}

static void permissions_decide_and_not_how_the_iommu_shows(void **state)
{
	struct table *table = &tables[0];

	(void)state;
	table_map(table, 2, 0x7000, RW);
	fh_region_set_readonly(table->region, true);
	assert_int_equal(fh_space_store32(table->bus, 2 * PAGE, 9, FH_LE), FH_TX_OK);
	assert_int_equal(ram32(0x7000), 9);
}

static void translation_may_lead_to_registers(void **state)
{
	struct table *table = &tables[0];
	uint32_t value;

	(void)state;
	table_map(table, 4, 0x10000000, RW);
	assert_int_equal(fh_space_load32(table->bus, 4 * PAGE, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, PROBE_CANARY);
	assert_int_equal(fh_space_load(table->bus, 4 * PAGE, 4, FH_LE,
				       (struct fh_attrs){ .memory_only = true },
				       &(uint64_t){ 0 }),
			 FH_TX_DENIED);
}

static void requester_chooses_the_index(void **state)
{
	struct table *table = &tables[0];
	const struct fh_attrs other = { .requester = 0x301 };

	(void)state;
	table->index_bits = 1;
	table_map(table, 0, 0x7000, RW);
	assert_int_equal(fh_space_store(table->bus, 0, 4, FH_LE, other, 0xabcd), FH_TX_OK);
	assert_int_equal(ram32(0x7000), 0);
	assert_int_equal(ram32(0x107000), 0xabcd);
}

/* --- Chains ----------------------------------------------------------------------------------- */

static void iommus_behind_each_other_all_translate(void **state)
{
	struct table *inner = &tables[0], *outer = &tables[1];
	uint32_t value;

	(void)state;
	table_init(outer, "outer", inner->bus);
	table_map(outer, 1, 3 * PAGE, RW);
	table_map(inner, 3, 0x7000, FH_IOMMU_READ);
	((uint32_t *)fh_region_ram(ram))[0x7010 / 4] = 99;
	assert_int_equal(fh_space_load32(outer->bus, PAGE + 0x10, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 99);
	assert_int_equal(fh_space_store32(outer->bus, PAGE + 0x10, 1, FH_LE), FH_TX_DENIED);
}

static void translation_does_not_reach_over_the_top(void **state)
{
	struct table *table = &tables[0];
	uint64_t value;

	(void)state;
	table_map(table, 0, UINT64_MAX - 0x7ff, RW);
	((uint32_t *)fh_region_ram(ram))[0] = 77;
	assert_int_equal(fh_space_load(table->bus, 0x800, 4, FH_LE, FH_ATTRS_NONE, &value),
			 FH_TX_DECODE_ERROR);
	assert_int_equal(value, 0);
}

static void circle_of_iommus_is_a_decode_error(void **state)
{
	struct table *table = &tables[0];
	uint32_t value;
	uint8_t bytes[100];

	(void)state;
	table->target = table->bus;
	table_map(table, 0, 0, RW);
	assert_int_equal(fh_space_load32(table->bus, 0, FH_LE, &value), FH_TX_DECODE_ERROR);
	assert_int_equal(table->asked, FH_IOMMU_HOPS);
	assert_int_equal(fh_space_write(table->bus, 0, bytes, sizeof(bytes), FH_ATTRS_NONE),
			 FH_TX_DECODE_ERROR);
	table->target = memory;
}

/* --- Notifiers ------------------------------------------------------------------------------ */

static char heard[1024];
static char name_a[] = "a", name_b[] = "b"; /* of notifiers: their state */

static void hear(void *state, const struct fh_iommu_event *event)
{
	const size_t used = strlen(heard);
	const struct fh_translation *t = &event->translation;

	snprintf(heard + used, sizeof(heard) - used, "%s%s%s %llx-%llx", used ? " " : "",
		 (const char *)state, event->kind == FH_IOMMU_MAP ? "+" : "-",
		 (unsigned long long)t->first, (unsigned long long)t->last);
	if (event->kind == FH_IOMMU_MAP)
		snprintf(heard + strlen(heard), sizeof(heard) - strlen(heard), ">%llx",
			 (unsigned long long)t->addr);
}

static void assert_heard(const char *what)
{
	assert_string_equal(heard, what);
	heard[0] = '\0';
}

static struct fh_translation translation(uint64_t first, uint64_t last, uint64_t addr)
{
	return (struct fh_translation){ first, last, memory, addr, RW };
}

static void notifiers_hear_what_overlaps_with_them(void **state)
{
	struct table *table = &tables[0];
	const struct fh_translation wide = translation(0x1000, 0x4fff, 0x7000);
	struct fh_iommu_notifier *a, *b;

	(void)state;
	heard[0] = '\0';
	a = fh_iommu_notifier_new(table->device, table->region, 0, 0x2000, 0x2fff,
				  FH_IOMMU_MAP | FH_IOMMU_UNMAP, hear, name_a);
	assert_int_equal(table->wanted[0], FH_IOMMU_MAP | FH_IOMMU_UNMAP);
	assert_int_equal(table->wanted[1], 0);
	b = fh_iommu_notifier_new(table->device, table->region, FH_IOMMU_ALL_INDEXES, 0,
				  UINT64_MAX, FH_IOMMU_UNMAP, hear, name_b);
	assert_int_equal(table->wanted[1], FH_IOMMU_UNMAP);
	fh_iommu_notify_map(table->region, 0, &wide);
	assert_heard("a+ 2000-2fff>8000");
	fh_iommu_notify_map(table->region, 1, &wide);
	assert_heard("");
	fh_iommu_invalidate(table->region, 0, 0x1000, 0x2001, NULL, NULL);
	assert_heard("a- 2000-2001 b- 1000-2001");
	fh_iommu_invalidate(table->region, 1, 0x3000, 0x3fff, NULL, NULL);
	assert_heard("b- 3000-3fff");
	assert_null(fh_iommu_notifier_destroy(a));
	assert_int_equal(table->wanted[0], FH_IOMMU_UNMAP);
	fh_iommu_notify_map(table->region, 0, &wide);
	assert_heard("");
	/* The end of the IOMMU unmaps everything, once. */
	fh_region_destroy(table->region);
	assert_heard("b- 0-ffffffffffffffff");
	fh_iommu_invalidate(table->region, 0, 0, 1, NULL, NULL);
	assert_int_equal(fh_iommu_replay(b), FH_EDEAD);
	assert_null(fh_iommu_notifier_destroy(b));
	assert_heard("");
	assert_null(fh_iommu_notifier_new(m, table->region, 5, 0, 1, 1, hear, name_a));
}

static void notifier_ends_with_its_owner(void **state)
{
	static struct probe_hooks shadow_hooks;
	struct table *table = &tables[0];
	struct fh_device *shadow = probe_plug(m, "shadow", &shadow_hooks, 0x20000000);

	(void)state;
	heard[0] = '\0';
	assert_non_null(fh_iommu_notifier_new(shadow, table->region, 0, 0, UINT64_MAX,
					      FH_IOMMU_UNMAP, hear, name_a));
	fh_device_unplug(shadow);
	fh_iommu_invalidate(table->region, 0, 0, UINT64_MAX, NULL, NULL);
	assert_heard("");
	assert_int_equal(table->wanted[0], 0);
}

static void replay_tells_of_what_there_is(void **state)
{
	struct table *table = &tables[0];
	struct fh_iommu_notifier *notifier;

	(void)state;
	heard[0] = '\0';
	table_map(table, 1, 0x9000, RW);
	table_map(table, 4, 0x3000, FH_IOMMU_READ);
	table_map(table, 5, 0x4000, FH_IOMMU_READ);
	notifier = fh_iommu_notifier_new(table->device, table->region, FH_IOMMU_ALL_INDEXES,
					 0x1800, 0x4fff, FH_IOMMU_MAP, hear, name_a);
	assert_int_equal(fh_iommu_replay(notifier), FH_OK);
	assert_heard("a+ 1800-1fff>9800 a+ 4000-4fff>3000 "
		     "a+ 1800-1fff>109800 a+ 4000-4fff>103000");
	/* Of what the IOMMU is now. */
	fh_region_resize(table->region, 0x2000);
	assert_int_equal(fh_iommu_replay(notifier), FH_OK);
	assert_heard("a+ 1800-1fff>9800 a+ 1800-1fff>109800");
	fh_region_resize(table->region, 0);
	assert_int_equal(fh_iommu_replay(notifier), FH_OK);
	assert_heard("");
}

/* --- Invalidations ---------------------------------------------------------------------------- */

static _Atomic unsigned dones;

static void done(void *state)
{
	(void)state;
	dones++;
}

struct store {
	struct fh_space *space;
	uint64_t addr;
	uint32_t value;
	enum fh_tx tx;
};

static void store_run(void *arg)
{
	struct store *store = arg;

	store->tx = fh_space_store32(store->space, store->addr, store->value, FH_LE);
}

static bool done_within(unsigned ms)
{
	for (unsigned i = 0; i < ms && dones == 0; i++)
		usleep(1000);
	return dones > 0;
}

static void invalidation_waits_for_accesses_that_were_translated_before(void **state)
{
	struct table *table = &tables[0];
	struct store store = { .space = table->bus, .addr = 0x2000, .value = 1 };
	struct worker worker;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x7000, RW);
	fh_point_arm("iommu.translated");
	worker_start(&worker, store_run, &store);
	assert_true(fh_point_wait("iommu.translated"));
	table_map(table, 2, 0x9000, RW);
	fh_iommu_invalidate(table->region, 0, 0x2000, 0x2fff, done, NULL);
	assert_false(done_within(50));
	assert_int_equal(ram32(0x7000), 0);
	fh_point_release("iommu.translated");
	worker_join(&worker);
	assert_true(done_within(20000));
	/* By its old translation, and it was over before the end was told. */
	assert_int_equal(ram32(0x7000), 1);
	store_run(&store);
	assert_int_equal(ram32(0x9000), 1);
}

/*
 * The store is in the second IOMMU's translate, outside its read section, while the first one's
 * translation is changed, and the invalidation is over.
 */
static void translation_that_ended_while_the_next_one_blocked_is_not_used(void **state)
{
	struct table *inner = &tables[0], *outer = &tables[1];
	struct store store = { .addr = PAGE + 8, .value = 1 };
	struct worker worker;

	(void)state;
	dones = 0;
	table_init(outer, "outer", inner->bus);
	table_map(outer, 1, 3 * PAGE, RW);
	table_map(inner, 3, 0x7000, RW);
	table_map(inner, 4, 0x9000, RW);
	store.space = outer->bus;
	inner->block = true;
	fh_point_arm("test.translating");
	worker_start(&worker, store_run, &store);
	assert_true(fh_point_wait("test.translating"));
	table_map(outer, 1, 4 * PAGE, RW);
	fh_iommu_invalidate(outer->region, 0, PAGE, 2 * PAGE - 1, done, NULL);
	assert_true(done_within(20000));
	fh_point_release("test.translating");
	worker_join(&worker);
	assert_int_equal(store.tx, FH_TX_OK);
	assert_int_equal(ram32(0x7008), 0);
	assert_int_equal(ram32(0x9008), 1);
	/* One that always blocks is no reason to try again. */
	assert_int_equal(outer->asked, 2);
	store_run(&store);
	assert_int_equal(outer->asked, 3);
}

/* What a mapping does. */
static void use_begin(struct table *table, uint64_t addr, struct fh_iommu_use *use)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_trail trail;

	fh_rcu_read_begin(t);
	assert_int_equal(fh_iommu_follow(t, table->region, addr, 16, FH_IOMMU_READ, FH_ATTRS_NONE,
					 &trail),
			 FH_TX_OK);
	assert_int_equal(trail.hops, 1);
	fh_iommu_use_begin(use, &trail.hop[0]);
	assert_true(fh_iommu_arrive(t, &trail));
	fh_rcu_read_end(t);
}

static void invalidation_waits_for_mappings_of_its_range_and_for_no_later_ones(void **state)
{
	struct table *table = &tables[0];
	struct fh_iommu_use same, elsewhere, later;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x7000, RW);
	table_map(table, 3, 0x8000, RW);
	use_begin(table, 0x2ff0, &same);
	use_begin(table, 0x3000, &elsewhere);
	fh_iommu_invalidate(table->region, FH_IOMMU_ALL_INDEXES, 0x2000, 0x2fff, done, NULL);
	use_begin(table, 0x2ff0, &later);
	assert_false(done_within(50));
	fh_iommu_use_end(&same);
	assert_true(done_within(20000));
	fh_iommu_use_end(&elsewhere);
	fh_iommu_use_end(&later);
	assert_int_equal(dones, 1);
}

static void iommu_that_goes_ends_its_invalidations(void **state)
{
	struct table *table = &tables[0];
	struct fh_iommu_use use;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x7000, RW);
	use_begin(table, 0x2000, &use);
	fh_iommu_invalidate(table->region, 0, 0, UINT64_MAX, done, NULL);
	fh_device_unplug(table->device);
	assert_false(done_within(30));
	assert_int_equal(table->released, 0);
	fh_iommu_use_end(&use);
	assert_true(done_within(20000));
}

/* --- Mappings --------------------------------------------------------------------------------- */

static struct probe_hooks mapper_hooks;

static struct fh_device *mapper_plug(void)
{
	memset(&mapper_hooks, 0, sizeof(mapper_hooks));
	return probe_plug(m, "mapper", &mapper_hooks, 0x20000000);
}

static void mapping_is_of_the_memory_behind_and_holds_up_its_invalidation(void **state)
{
	struct table *table = &tables[0];
	struct fh_device *mapper = mapper_plug();
	struct fh_mapped mapped, later;
	struct fh_mapping *mapping, *second;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x7000, RW);
	mapping = fh_space_map(table->bus, 0x2010, 0x2000, FH_MAP_WRITE, FH_ATTRS_NONE, mapper,
			       &mapped);
	assert_non_null(mapping);
	assert_ptr_equal(mapped.ptr, (uint8_t *)fh_region_ram(ram) + 0x7010);
	assert_int_equal(mapped.size, PAGE - 0x10);
	assert_false(mapped.bounced);
	table_map(table, 2, 0x9000, RW);
	fh_iommu_invalidate(table->region, 0, 0x2000, 0x2fff, done, NULL);
	/* A later mapping leads elsewhere and is not waited for. */
	second = fh_space_map(table->bus, 0x2010, 4, FH_MAP_READ, FH_ATTRS_NONE, mapper, &later);
	assert_ptr_equal(later.ptr, (uint8_t *)fh_region_ram(ram) + 0x9010);
	assert_false(done_within(30));
	assert_int_equal(fh_mapping_unmap(mapping, 4), FH_TX_OK);
	assert_true(done_within(20000));
	/* What its holder's end unmaps is over as well. */
	dones = 0;
	fh_iommu_invalidate(table->region, 0, 0, UINT64_MAX, done, NULL);
	assert_false(done_within(30));
	fh_device_unplug(mapper);
	assert_true(done_within(20000));
	(void)second;
}

static void registers_behind_are_bounced_and_written_where_it_led(void **state)
{
	struct table *table = &tables[0];
	struct fh_device *mapper = mapper_plug();
	struct fh_mapped mapped;
	struct fh_mapping *mapping;

	(void)state;
	dones = 0;
	table_map(table, 2, 0x20000000, RW);
	mapping = fh_space_map(table->bus, 0x2000, 4, FH_MAP_READ | FH_MAP_WRITE, FH_ATTRS_NONE,
			       mapper, &mapped);
	assert_non_null(mapping);
	assert_true(mapped.bounced);
	assert_int_equal(*(uint32_t *)mapped.ptr, PROBE_CANARY);
	table_map(table, 2, 0x7000, RW);
	fh_iommu_invalidate(table->region, 0, 0, UINT64_MAX, done, NULL);
	assert_false(done_within(30));
	assert_int_equal(fh_mapping_unmap(mapping, 4), FH_TX_OK);
	assert_true(done_within(20000));
	assert_true(mapper_hooks.writes > 0);
	assert_int_equal(ram32(0x7000), 0);
	fh_device_unplug(mapper);
}

static void mapping_is_refused_as_an_access_is(void **state)
{
	struct table *table = &tables[0];
	struct fh_device *mapper = mapper_plug();
	struct fh_mapped mapped;
	struct fh_mapping *mapping;

	(void)state;
	table_map(table, 2, 0x7000, FH_IOMMU_READ);
	table_map(table, 3, 0x60000000, RW);
	assert_null(fh_space_map(table->bus, 0x2000, 4, FH_MAP_WRITE, FH_ATTRS_NONE, mapper,
				 &mapped));
	assert_int_equal(mapped.code, FH_EPERM);
	assert_int_equal(mapped.tx, FH_TX_DENIED);
	mapping = fh_space_map(table->bus, 0x2000, 4, FH_MAP_READ, FH_ATTRS_NONE, mapper, &mapped);
	assert_non_null(mapping);
	fh_mapping_unmap(mapping, 0);
	assert_null(fh_space_map(table->bus, 0x3000, 4, FH_MAP_READ, FH_ATTRS_NONE, mapper,
				 &mapped));
	assert_int_equal(mapped.code, FH_ENOENT);
	/* Atomics go the same way. */
	uint64_t old;

	table_map(table, 4, 0x8000, RW);
	assert_int_equal(fh_space_fetch(table->bus, 0x4004, 4, FH_LE, FH_ATTRS_NONE, FH_ATOMIC_ADD,
					5, &old),
			 FH_TX_OK);
	assert_int_equal(ram32(0x8004), 5);
	assert_int_equal(fh_space_fetch(table->bus, 0x2004, 4, FH_LE, FH_ATTRS_NONE, FH_ATOMIC_ADD,
					5, &old),
			 FH_TX_DENIED);
	fh_device_unplug(mapper);
}

struct map {
	struct fh_space *space;
	uint64_t addr;
	struct fh_device *holder;
	struct fh_mapping *mapping;
	struct fh_mapped mapped;
};

static void map_run(void *arg)
{
	struct map *map = arg;

	map->mapping = fh_space_map(map->space, map->addr, 16, FH_MAP_WRITE, FH_ATTRS_NONE,
				    map->holder, &map->mapped);
}

static void mapping_does_not_use_what_ended_while_a_translation_blocked(void **state)
{
	struct table *inner = &tables[0], *outer = &tables[1];
	struct map map = { .addr = PAGE, .holder = mapper_plug() };
	struct worker worker;

	(void)state;
	dones = 0;
	table_init(outer, "outer", inner->bus);
	table_map(outer, 1, 3 * PAGE, RW);
	table_map(inner, 3, 0x7000, RW);
	table_map(inner, 4, 0x9000, RW);
	map.space = outer->bus;
	inner->block = true;
	fh_point_arm("test.translating");
	worker_start(&worker, map_run, &map);
	assert_true(fh_point_wait("test.translating"));
	table_map(outer, 1, 4 * PAGE, RW);
	fh_iommu_invalidate(outer->region, 0, PAGE, 2 * PAGE - 1, done, NULL);
	assert_true(done_within(20000));
	fh_point_release("test.translating");
	worker_join(&worker);
	assert_non_null(map.mapping);
	assert_ptr_equal(map.mapped.ptr, (uint8_t *)fh_region_ram(ram) + 0x9000);
	/* It is of both of them. */
	dones = 0;
	fh_iommu_invalidate(outer->region, 0, PAGE, 2 * PAGE - 1, done, NULL);
	assert_false(done_within(30));
	fh_mapping_unmap(map.mapping, 0);
	assert_true(done_within(20000));
	fh_device_unplug(map.holder);
}

/* The IOMMU's region is gone, and all grace periods are over, when its callback resumes. */
static void mapping_finds_nothing_in_an_iommu_that_went_while_it_was_asked(void **state)
{
	struct table *table = &tables[0];
	struct map map = { .space = table->bus, .addr = 2 * PAGE, .holder = mapper_plug() };
	struct worker worker;

	(void)state;
	table_map(table, 2, 0x7000, RW);
	table->block = true;
	fh_point_arm("test.translating");
	worker_start(&worker, map_run, &map);
	assert_true(fh_point_wait("test.translating"));
	fh_region_destroy(table->region);
	fh_machine_drain(m);
	fh_point_release("test.translating");
	worker_join(&worker);
	assert_null(map.mapping);
	assert_int_equal(map.mapped.code, FH_ENOENT);
	fh_device_unplug(map.holder);
}

/* --- Lifetimes -------------------------------------------------------------------------------- */

static void unplug_run(void *arg)
{
	fh_device_unplug(arg);
}

static void unplug_waits_for_a_translation_that_blocks(void **state)
{
	struct table *table = &tables[0];
	struct store store = { .space = table->bus, .addr = 0x2000, .value = 5 };
	struct worker access, unplug;

	(void)state;
	table_map(table, 2, 0x7000, RW);
	table->block = true;
	fh_point_arm("test.translating");
	worker_start(&access, store_run, &store);
	assert_true(fh_point_wait("test.translating"));
	worker_start(&unplug, unplug_run, table->device);
	assert_false(worker_done_within(&unplug, 30));
	fh_point_release("test.translating");
	worker_join(&unplug);
	worker_join(&access);
	assert_int_equal(store.tx, FH_TX_OK);
	assert_int_equal(fh_space_store32(memory, 0x7000, 6, FH_LE), FH_TX_OK);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(access_goes_where_the_translation_leads),
		test(access_over_pages_is_cut_at_their_borders),
		test(what_is_not_permitted_is_denied),
		test(translation_into_a_hole_is_a_decode_error),
		test(permissions_decide_and_not_how_the_iommu_shows),
		test(translation_may_lead_to_registers),
		test(requester_chooses_the_index),
		test(iommus_behind_each_other_all_translate),
		test(translation_does_not_reach_over_the_top),
		test(circle_of_iommus_is_a_decode_error),
		test(notifiers_hear_what_overlaps_with_them),
		test(notifier_ends_with_its_owner),
		test(replay_tells_of_what_there_is),
		test(invalidation_waits_for_accesses_that_were_translated_before),
		test(translation_that_ended_while_the_next_one_blocked_is_not_used),
		test(invalidation_waits_for_mappings_of_its_range_and_for_no_later_ones),
		test(iommu_that_goes_ends_its_invalidations),
		test(mapping_is_of_the_memory_behind_and_holds_up_its_invalidation),
		test(registers_behind_are_bounced_and_written_where_it_led),
		test(mapping_is_refused_as_an_access_is),
		test(mapping_does_not_use_what_ended_while_a_translation_blocked),
		test(mapping_finds_nothing_in_an_iommu_that_went_while_it_was_asked),
		test(unplug_waits_for_a_translation_that_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
