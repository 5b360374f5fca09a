/* SPDX-License-Identifier: MIT */
/*
 * What a region's memory is, and having it written back. How it is made is region.c's and
 * backing.c's.
 */
#include <inttypes.h>

#include "memory/region.h"

struct fh_ram_info fh_region_get_ram_info(struct fh_region *region)
{
	const struct fh_ram_region *ram = fh_ram_of(region);
	const struct fh_backing *backing = &ram->backing;
	struct fh_ram_info info = {
		.backing = (enum fh_ram_backing)backing->kind,
		.shared = backing->shared,
		.readonly = backing->readonly,
		.huge = backing->huge,
		.transparent = backing->transparent,
		.page_size = backing->page_size,
		.max_size = ram->capacity,
		.granule = ram->discard.granule,
	};

	info.fd = fh_region_get_fd(region, &info.fd_offset);
	return info;
}

int fh_region_get_fd(struct fh_region *region, uint64_t *ret_offset)
{
	const struct fh_backing *backing =
		fh_region_has_ram(region) ? &fh_ram_of(region)->backing : NULL;

	if (!backing || !backing->shared)
		return -1;
	if (ret_offset)
		*ret_offset = backing->fd_offset;
	return backing->fd;
}

enum fh_code fh_region_flush(struct fh_region *region, uint64_t offset, uint64_t size,
			     struct fh_error *err)
{
	const struct fh_ram_region *ram = (const struct fh_ram_region *)region;

	if (!region)
		return fh_error_set(err, FH_EDEAD, "there is no region");
	if (!fh_region_has_ram(region))
		return fh_error_set(err, FH_ETYPE, "the region has no memory");
	if (offset > ram->capacity || size > ram->capacity - offset)
		return fh_error_set(err, FH_ERANGE,
				    "%#" PRIx64 " bytes at %#" PRIx64 " are not in the region",
				    size, offset);
	return size == 0 ? FH_OK : fh_backing_flush(&ram->backing, offset, size, err);
}
