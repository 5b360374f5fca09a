/* SPDX-License-Identifier: MIT */
/*
 * An IOMMU for tests: a table of pages, each of which leads to a page of a space. Included once, by
 * the test's own file.
 */
#ifndef SUPPORT_TABLE_H
#define SUPPORT_TABLE_H

#include "support/probe.h"

#include <string.h>
#include <unistd.h>

#include "base/point.h"
#include "memory/iommu.h"
#include "support/scale.h"

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

static inline enum fh_tx table_translate(void *state, uint64_t addr, unsigned access,
					 unsigned index, struct fh_attrs attrs,
					 struct fh_translation *ret)
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

static inline unsigned table_index(void *state, struct fh_attrs attrs)
{
	const struct table *table = state;

	return attrs.requester & table->index_bits;
}

static inline void table_wanted(void *state, unsigned index, unsigned kinds)
{
	((struct table *)state)->wanted[index] = kinds;
}

static inline void table_release(void *state)
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

static inline void table_init(struct table *table, const char *name, struct fh_space *target)
{
	memset(table, 0, sizeof(*table));
	memset(&hooks[table - tables], 0, sizeof(hooks[0]));
	table->device = probe_plug(m, name, &hooks[table - tables],
				   UINT64_C(0x10000000) + PAGE * (uint64_t)(table - tables));
	table->target = target;
	table->region =
		fh_region_new_iommu(table->device, "iommu", PAGES * PAGE, &table_ops, table);
	table->bus = fh_space_new(table->device, "bus", table->region);
	assert_non_null(table->region);
	assert_non_null(table->bus);
}

static inline void table_map(struct table *table, unsigned page, uint64_t to, unsigned permissions)
{
	table->page[0][page] = to;
	table->page[1][page] = to + 0x100000;
	table->permissions[page] = permissions;
}

enum { RW = FH_IOMMU_READ | FH_IOMMU_WRITE };

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
	(void)state;
	fh_point_release_all();
	machine_end(m);
	assert_int_equal(tables[0].released, 1);
	return 0;
}

static inline uint32_t ram32(uint64_t addr)
{
	uint32_t value;

	memcpy(&value, (uint8_t *)fh_region_ram(ram) + addr, sizeof(value));
	return value;
}

/* --- Who uses it ----------------------------------------------------------------------------- */

static _Atomic unsigned dones;

static inline void done(void *state)
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

static inline void store_run(void *arg)
{
	struct store *store = arg;

	store->tx = fh_space_store32(store->space, store->addr, store->value, FH_LE);
}

static inline bool done_within(unsigned ms)
{
	for (unsigned i = 0; i < ms && dones == 0; i++)
		usleep(1000);
	return dones > 0;
}

static inline bool done_in_time(void)
{
	return done_within(patience(20000));
}

static struct probe_hooks mapper_hooks;

static inline struct fh_device *mapper_plug(void)
{
	memset(&mapper_hooks, 0, sizeof(mapper_hooks));
	return probe_plug(m, "mapper", &mapper_hooks, 0x20000000);
}

struct map {
	struct fh_space *space;
	uint64_t addr;
	struct fh_device *holder;
	struct fh_mapping *mapping;
	struct fh_mapped mapped;
};

static inline void map_run(void *arg)
{
	struct map *map = arg;

	map->mapping = fh_space_map(map->space, map->addr, 16, FH_MAP_WRITE, FH_ATTRS_NONE,
				    map->holder, &map->mapped);
}

#endif
