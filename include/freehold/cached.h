/* SPDX-License-Identifier: MIT */
/*
 * Cached windows: a stretch of guest memory that a device looks at again and again, such as a ring
 * of descriptors. An access through a window costs the same whether the map is small or large, and
 * whatever else the thread accesses in between. A window keeps nothing alive that the guest can
 * see: it notices every change of the map under it, and shows what the space shows.
 */
#ifndef FREEHOLD_CACHED_H
#define FREEHOLD_CACHED_H

#include <freehold/space.h>

FH_BEGIN_DECLS

struct fh_cached; /**< a cached window */

/**
 * A window of @size bytes (not 0, asserted) from @addr on of @space, in the name of @owner
 * (borrowed from it; with a struct fh_machine *, owned by caller). Accesses are made with @attrs.
 * It ends with its owner: then all accesses are decode errors, for which who may still make some
 * holds a ref. When the space ends it is empty. The space's memory stays as long as the window.
 * Behind an IOMMU it remembers one translation, until that is invalidated: so a window of one page,
 * as the IOMMU has them, is best. Anything may be there, now and later: memory is accessed in place
 * as far as the range that is at @addr goes, the rest as any access of the space. Of a window that
 * reaches beyond the top of the space the rest is decode errors.
 * NULL: owner or space have been detached. Any thread; not in a listener or an interrupt input.
 */
FH_API struct fh_cached *fh_cached_new(FH_ANY owner, struct fh_space *space, uint64_t addr,
				       uint64_t size, struct fh_attrs attrs);
/** As fh_object_dispose(). NULL is allowed. Returns NULL. */
FH_API struct fh_cached *fh_cached_destroy(struct fh_cached *cached);

/**
 * Load or store of 1 to 8 bytes (asserted) at @offset of the window: as fh_space_load() and
 * fh_space_store(), also in context and results. What does not lie in the window as a whole is a
 * decode error: nothing is done, *ret_value is 0. Any number of threads may use a window at a time.
 */
FH_API enum fh_tx fh_cached_load(struct fh_cached *cached, uint64_t offset, unsigned size,
				 enum fh_order order, uint64_t *ret_value);
FH_API enum fh_tx fh_cached_store(struct fh_cached *cached, uint64_t offset, unsigned size,
				  enum fh_order order, uint64_t value);

/** The same for any number of bytes (0: FH_TX_OK): as fh_space_read() and fh_space_write(). */
FH_API enum fh_tx fh_cached_read(struct fh_cached *cached, uint64_t offset, void *buffer,
				 uint64_t size);
FH_API enum fh_tx fh_cached_write(struct fh_cached *cached, uint64_t offset, const void *buffer,
				  uint64_t size);

/**
 * Host memory of the window's @size bytes (not 0, asserted) from @offset on, to load from it
 * (FH_MAP_READ in @flags), store to it (FH_MAP_WRITE) or both with the processor's own
 * instructions. It is what was there when this was called, and may be used until the thread's
 * outermost read section ends (fh_read_begin(); there has to be one, asserted): so who walks a ring
 * looks once, and every access after that costs nothing more. NULL: some of it is not plain memory
 * in place for that use, such as registers, what lies behind an IOMMU, for stores ROM and memory
 * that somebody logs; then the functions above do what can be done. Context as for these.
 */
FH_API void *fh_cached_direct(struct fh_cached *cached, uint64_t offset, uint64_t size,
			      unsigned flags);

/** By width: fh_cached_load16(cached, offset, FH_LE, &value). */
#define FH_CACHED_TYPED(bits)                                                                      \
	static inline enum fh_tx fh_cached_load##bits(struct fh_cached *cached, uint64_t offset,   \
						      enum fh_order order,                         \
						      uint##bits##_t *ret_value)                   \
	{                                                                                          \
		uint64_t value;                                                                    \
		const enum fh_tx tx = fh_cached_load(cached, offset, bits / 8, order, &value);     \
		*ret_value = (uint##bits##_t)value;                                                \
		return tx;                                                                         \
	}                                                                                          \
	static inline enum fh_tx fh_cached_store##bits(struct fh_cached *cached, uint64_t offset,  \
						       uint##bits##_t value, enum fh_order order)  \
	{                                                                                          \
		return fh_cached_store(cached, offset, bits / 8, order, value);                    \
	}
FH_CACHED_TYPED(8)
FH_CACHED_TYPED(16)
FH_CACHED_TYPED(32)
FH_CACHED_TYPED(64)
#undef FH_CACHED_TYPED

FH_END_DECLS

#endif
