/* SPDX-License-Identifier: MIT */
/*
 * Regions as objects: birth, end, and what they are. How they are put together is region-edit.c's.
 *
 * R6. What a caller gives (state, a pointer to RAM) is released only if a region came of it: a
 *     constructor that returns NULL has taken nothing.
 */
#include "memory/region.h"

#include <inttypes.h>

#include "memory/chain.h"
#include "memory/dirty.h"
#include "memory/iommu.h"
#include "memory/ram.h"
#include "memory/topology.h"

/* --- End ------------------------------------------------------------------------------------ */

static void ram_release(struct fh_ram_region *ram, bool born)
{
	fh_discard_fini(ram);
	fh_backing_close(&ram->backing, born);
}

/* Nothing leads here any more (L5). */
static void region_finalize(struct fh_object *object)
{
	struct fh_region *region = fh_region_of(object);
	const bool born = fh_object_has(object, FH_OBJECT_BORN);

	fh_assert(!region->container);
	fh_assert(!fh_region_target(region));
	fh_region_free_links(region);
	if (fh_region_has_ram(region)) {
		fh_dirty_region_fini(fh_ram_of(region));
		ram_release(fh_ram_of(region), born);
	}
	if (born && region->ops && region->ops->release)
		region->ops->release(region->state);
	if (born && region->kind == FH_REGION_IOMMU && fh_iommu_of(region)->ops->release)
		fh_iommu_of(region)->ops->release(region->state);
	fh_domain_unref(region->domain);
	fh_owner_unpin(object, region->owner);
}

static struct fh_object *region_held_by_nature(struct fh_object *object)
{
	return fh_region_of(object)->owner;
}

/* --- Types ---------------------------------------------------------------------------------- */

#define REGION_CORE(type)                                \
	{                                                \
		.size = sizeof(type), .immediate = true, \
		.detach = fh_region_detach,              \
		.shown_changed = fh_region_shown_changed, \
		.finalize = region_finalize,             \
		.held_by_nature = region_held_by_nature, \
	}

static const struct fh_core_ops region_core = REGION_CORE(struct fh_region);
static const struct fh_core_ops alias_core = REGION_CORE(struct fh_alias);
static const struct fh_core_ops iommu_core = REGION_CORE(struct fh_iommu);
static const struct fh_core_ops ram_core = REGION_CORE(struct fh_ram_region);

const struct fh_type fh_region_type = { .name = "region", .core = &region_core };

static const struct fh_type alias_type = {
	.name = "alias", .parent = &fh_region_type, .core = &alias_core
};
static const struct fh_type iommu_type = {
	.name = "iommu", .parent = &fh_region_type, .core = &iommu_core
};
static const struct fh_type ram_type = {
	.name = "ram", .parent = &fh_region_type, .core = &ram_core
};

static const struct fh_type *type_of(enum fh_region_kind kind)
{
	switch (kind) {
	case FH_REGION_ALIAS:
		return &alias_type;
	case FH_REGION_RAM:
	case FH_REGION_ROM:
	case FH_REGION_ROM_DEVICE:
	case FH_REGION_RAM_DEVICE:
		return &ram_type;
	case FH_REGION_IOMMU:
		return &iommu_type;
	default:
		return &fh_region_type;
	}
}

/* --- Birth ---------------------------------------------------------------------------------- */

/* What the constructors are told. */
struct spec {
	enum fh_region_kind kind;
	uint64_t size;
	struct fh_object *owner; /* NULL: its own */
	const struct fh_region_ops *ops;
	void *state;
	const struct fh_iommu_ops *iommu_ops;
	enum fh_rom_write rom_write;
	struct fh_backing *backing; /* RAM: moves to the region; NULL: is made for it */
	const struct fh_ram_options *ram; /* or NULL */
};

static void assert_sizes(const struct fh_access_sizes *sizes)
{
	fh_assert(sizes->min == 0 || fh_size_is_whole(sizes->min));
	fh_assert(sizes->max == 0 || fh_size_is_whole(sizes->max));
}

/* The registers' part: what 0 means is said in the public header. */
static void region_set_ops(struct fh_region *region, const struct fh_region_ops *ops, void *state)
{
	struct fh_machine *m = region->object.machine;
	struct fh_domain *domain;

	fh_assert(ops);
	assert_sizes(&ops->valid);
	assert_sizes(&ops->impl);
	region->ops = ops;
	region->state = state;
	region->valid_min = ops->valid.min ? ops->valid.min : 1;
	region->valid_max = ops->valid.max ? ops->valid.max : 8;
	region->impl_min = ops->impl.min ? ops->impl.min : 1;
	region->impl_max = ops->impl.max ? ops->impl.max : region->valid_max;
	region->big_endian = ops->order == FH_BE;
	if (ops->concurrent)
		return;
	domain = m->ops->domain_of(region->owner);
	region->domain = domain ? fh_domain_ref(domain) : fh_domain_new();
}

static const struct fh_ram_options plain_ram;

static enum fh_code ram_construct(struct fh_ram_region *ram, const struct spec *spec,
				  struct fh_error *err)
{
	const struct fh_ram_options *options = spec->ram ? spec->ram : &plain_ram;
	enum fh_code code = FH_OK;

	ram->capacity = options->max_size ? options->max_size : spec->size;
	if (spec->backing) {
		ram->backing = *spec->backing;
		*spec->backing = (struct fh_backing){ .fd = -1 };
	} else {
		code = fh_backing_open_plain(&ram->backing, spec->size, err);
	}
	ram->region.ram = ram->backing.ptr;
	ram->region.readonly = fh_region_is_readonly_ever(&ram->region);
	ram->region.nonvolatile = options->nonvolatile;
	ram->resized = options->resized;
	ram->resized_state = options->resized_state;
	if (code == FH_OK)
		code = fh_discard_init(ram, options->granule, options->unpopulated, err);
	if (code == FH_OK && (code = fh_dirty_region_init(ram, err)) != FH_OK)
		fh_discard_fini(ram);
	if (code != FH_OK)
		fh_backing_close(&ram->backing, false);
	return code;
}

static enum fh_code region_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	struct fh_region *region = fh_region_of(object);
	const struct spec *spec = arg;

	region->kind = spec->kind;
	region->rom_write = spec->rom_write;
	region->mergeable = true;
	region->owner = spec->owner ? spec->owner : object;
	region->size = spec->size;
	region->enabled = true;
	region->rom_mode = spec->kind == FH_REGION_ROM_DEVICE;
	if (spec->kind == FH_REGION_ALIAS)
		fh_list_init(&fh_alias_of(region)->link);
	if (fh_region_has_ram(region)) {
		const enum fh_code code = ram_construct(fh_ram_of(region), spec, err);

		if (code != FH_OK)
			return code;
	}
	if (spec->kind == FH_REGION_MMIO || spec->kind == FH_REGION_ROM_DEVICE)
		region_set_ops(region, spec->ops, spec->state);
	if (spec->kind == FH_REGION_IOMMU) {
		region->state = spec->state;
		fh_iommu_init(fh_iommu_of(region), spec->iommu_ops);
	}
	if (spec->owner)
		fh_object_hold(spec->owner);
	return FH_OK;
}

static struct fh_region *region_new(FH_ANY any, const char *name, struct spec *spec,
				    struct fh_error *err)
{
	struct fh_machine *m;

	spec->owner = fh_owner_of(any, &m);
	return (struct fh_region *)fh_object_create(m, spec->owner, name, type_of(spec->kind),
						    region_construct, spec, err);
}

struct fh_region *fh_region_new_container(FH_ANY owner, const char *name, uint64_t size)
{
	struct spec spec = { .kind = FH_REGION_CONTAINER, .size = size };

	return region_new(owner, name, &spec, NULL);
}

struct fh_region *fh_region_new_mmio(FH_ANY owner, const char *name, uint64_t size,
				     const struct fh_region_ops *ops, void *state)
{
	struct spec spec = { .kind = FH_REGION_MMIO, .size = size, .ops = ops, .state = state };

	return region_new(owner, name, &spec, NULL);
}

struct fh_region *fh_region_new_ram(FH_ANY owner, const char *name, uint64_t size,
				    struct fh_error *err)
{
	struct spec spec = { .kind = FH_REGION_RAM, .size = size };

	return region_new(owner, name, &spec, err);
}

/* The host's part comes first: it may take long, and in no lock or half-made object. */
static struct fh_region *region_new_with(FH_ANY owner, const char *name, struct spec *spec,
					 const struct fh_ram_options *options,
					 struct fh_error *err)
{
	struct fh_backing backing;
	struct fh_region *region;

	if (options->max_size && (spec->size == FH_SIZE_ALL || options->max_size < spec->size)) {
		fh_error_set(err, FH_EINVAL, "RAM of %#" PRIx64 " bytes, at most %#" PRIx64,
			     spec->size, options->max_size);
		return NULL;
	}
	if (options->unpopulated && (options->preallocate || options->backing == FH_RAM_POINTER)) {
		fh_error_set(err, FH_EINVAL, "such RAM cannot begin unpopulated");
		return NULL;
	}
	if (spec->kind != FH_REGION_RAM && (options->unpopulated || options->granule)) {
		fh_error_set(err, FH_EINVAL, "parts of ROM do not come and go");
		return NULL;
	}
	if (fh_backing_open(&backing, options->max_size ? options->max_size : spec->size, options,
			    err) != FH_OK)
		return NULL;
	spec->backing = &backing;
	spec->ram = options;
	region = region_new(owner, name, spec, err);
	if (!region)
		fh_backing_close(&backing, false);
	return region;
}

struct fh_region *fh_region_new_ram_with(FH_ANY owner, const char *name, uint64_t size,
					 const struct fh_ram_options *options,
					 struct fh_error *err)
{
	struct spec spec = { .kind = FH_REGION_RAM, .size = size };

	return region_new_with(owner, name, &spec, options, err);
}

struct fh_region *fh_region_new_rom_with(FH_ANY owner, const char *name, uint64_t size,
					 enum fh_rom_write write,
					 const struct fh_ram_options *options,
					 struct fh_error *err)
{
	struct spec spec = { .kind = FH_REGION_ROM, .size = size, .rom_write = write };

	return region_new_with(owner, name, &spec, options, err);
}

struct fh_region *fh_region_new_rom_device_with(FH_ANY owner, const char *name, uint64_t size,
						const struct fh_region_ops *ops, void *state,
						const struct fh_ram_options *options,
						struct fh_error *err)
{
	struct spec spec = { .kind = FH_REGION_ROM_DEVICE,
			     .size = size,
			     .ops = ops,
			     .state = state };

	fh_assert(ops);
	return region_new_with(owner, name, &spec, options, err);
}

struct fh_region *fh_region_new_ram_ptr(FH_ANY owner, const char *name, uint64_t size, void *ptr,
					void (*release)(void *arg), void *arg)
{
	struct fh_backing backing = fh_backing_of_pointer(ptr, release, arg);
	struct spec spec = { .kind = FH_REGION_RAM, .size = size, .backing = &backing };

	return region_new(owner, name, &spec, NULL);
}

struct fh_region *fh_region_new_ram_device(FH_ANY owner, const char *name, uint64_t size,
					   void *ptr, void (*release)(void *arg), void *arg)
{
	struct fh_backing backing = fh_backing_of_pointer(ptr, release, arg);
	struct spec spec = { .kind = FH_REGION_RAM_DEVICE, .size = size, .backing = &backing };

	return region_new(owner, name, &spec, NULL);
}

struct fh_region *fh_region_new_rom(FH_ANY owner, const char *name, uint64_t size,
				    enum fh_rom_write write, struct fh_error *err)
{
	struct spec spec = { .kind = FH_REGION_ROM, .size = size, .rom_write = write };

	return region_new(owner, name, &spec, err);
}

struct fh_region *fh_region_new_rom_device(FH_ANY owner, const char *name, uint64_t size,
					   const struct fh_region_ops *ops, void *state,
					   struct fh_error *err)
{
	struct spec spec = { .kind = FH_REGION_ROM_DEVICE,
			     .size = size,
			     .ops = ops,
			     .state = state };

	return region_new(owner, name, &spec, err);
}

struct fh_region *fh_region_new_alias(FH_ANY owner, const char *name, struct fh_region *target,
				      uint64_t offset, uint64_t size)
{
	struct spec spec = { .kind = FH_REGION_ALIAS, .size = size };
	struct fh_machine *m = fh_object_of(owner)->machine;
	struct fh_region *region = NULL;

	fh_assert(!target || target->object.machine == m);
	if (fh_topology_check_context(NULL) != FH_OK)
		return NULL;
	/* In a transaction: the ends of owner and target come before all of this or after. */
	fh_topology_begin(m);
	if (!target || !fh_object_has(&target->object, FH_OBJECT_DETACHED))
		region = region_new(owner, name, &spec, NULL);
	if (region) {
		fh_alias_of(region)->offset = offset;
		if (target)
			fh_alias_link_target(fh_alias_of(region), target);
	}
	fh_topology_commit(m);
	return region;
}

struct fh_region *fh_region_new_reservation(FH_ANY owner, const char *name, uint64_t size)
{
	struct spec spec = { .kind = FH_REGION_RESERVATION, .size = size };

	return region_new(owner, name, &spec, NULL);
}

struct fh_region *fh_region_new_iommu(FH_ANY owner, const char *name, uint64_t size,
				      const struct fh_iommu_ops *ops, void *state)
{
	struct spec spec = {
		.kind = FH_REGION_IOMMU, .size = size, .iommu_ops = ops, .state = state
	};

	return region_new(owner, name, &spec, NULL);
}

struct fh_region *fh_region_destroy(struct fh_region *region)
{
	if (region)
		fh_object_dispose(region);
	return NULL;
}

/* --- What it is ----------------------------------------------------------------------------- */

struct fh_region_info fh_region_get_info(struct fh_region *region)
{
	struct fh_machine *m = region->object.machine;
	struct fh_region_info info;

	fh_topology_look_begin(m);
	info = (struct fh_region_info){
		.kind = region->kind,
		.size = region->size,
		.addr = region->addr,
		.priority = region->priority,
		.enabled = region->enabled,
		.readonly = region->readonly,
		.nonvolatile = region->nonvolatile,
		.unmergeable = !region->mergeable,
		.rom_mode = region->rom_mode,
		.shown = fh_object_is_shown(region->owner),
		.container = region->container,
		.alias_target = fh_region_target(region),
		.order = region->big_endian ? FH_BE : FH_LE,
		.owner = region->owner,
	};
	if (region->kind == FH_REGION_ALIAS)
		info.alias_offset = fh_alias_of(region)->offset;
	fh_topology_look_end(m);
	return info;
}

void fh_region_each_sub(struct fh_region *region, bool (*visit)(struct fh_region *sub, void *arg),
			void *arg)
{
	size_t count;
	struct fh_region **subs;

	fh_topology_look_begin(region->object.machine);
	subs = fh_region_sorted_subs(region, &count);
	for (size_t i = 0; i < count && visit(subs[i], arg); i++)
		;
	fh_free(subs);
	fh_topology_look_end(region->object.machine);
}

void *fh_region_ram(struct fh_region *region)
{
	return region->ram;
}
