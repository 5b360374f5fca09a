/* SPDX-License-Identifier: MIT */
/*
 * Accesses to an address space: the short way for what is simple, and the loop for all else.
 *
 * R1. An access is made in one read section, unless a callback on its way blocks or waits.
 * R2. What lies in more than one range is looked up in one root, so that the view is one and the
 *     same for the whole access. When the thread has left its sections since (t->left), the root
 *     is loaded anew.
 * R3. The short way does one call of a callback, or one access to memory, for an entry of the
 *     lookaside; it knows nothing else, and whatever it does not know goes the long way from the
 *     start.
 */
#include "memory/dirty.h"
#include "memory/dispatch.h"
#include "memory/lookaside.h"
#include "memory/ram.h"
#include "memory/space.h"
#include "memory/transfer.h"

#define FH_ASIDE __attribute__((noinline))

/* --- The long way --------------------------------------------------------------------------- */

/* Of size bytes from addr on, how many lie at or below last, which is not below addr. */
static uint64_t clip(uint64_t addr, uint64_t last, uint64_t size)
{
	return size - 1 > last - addr ? last - addr + 1 : size;
}

/* Where a transfer has got to. */
struct way {
	struct fh_thread *t;
	struct fh_space *space;
	uint64_t addr;
	uint64_t seen;			  /* t->left when root was loaded */
	const struct fh_view_node *root;
	struct fh_range range;		  /* of root, if known */
	bool known;
};

static void way_begin(struct way *way)
{
	way->root = fh_space_view(way->space);
	way->seen = way->t->left;
	way->known = false;
}

/* The range at addr is in way->range. False: a hole. */
static bool way_find(struct way *way)
{
	struct fh_view_hit hit;

	if (way->known && way->addr <= way->range.last)
		return true;
	way->known = fh_view_find(way->root, way->addr, &hit);
	if (way->known)
		way->range = fh_view_hit_range(hit);
	FH_POINT("lookup.found");
	return way->known;
}

/* Returns the bytes done; 0: the thread waited. */
static uint64_t way_step(struct way *way, struct fh_transfer *transfer)
{
	const struct fh_range *range = &way->range;
	uint64_t size;

	if (!way_find(way)) {
		size = clip(way->addr, fh_view_hole_last(way->root, way->addr), transfer->left);
		fh_transfer_fail(transfer, size, FH_TX_DECODE_ERROR);
		return size;
	}
	size = clip(way->addr, range->last, transfer->left);
	return fh_transfer_part(transfer, way->t, range->region, range->flags,
				range->offset + (way->addr - range->first), size);
}

/* The whole transfer, from addr on. In a read section. */
static enum fh_tx run(struct fh_thread *t, struct fh_space *space, uint64_t addr,
		      struct fh_transfer *transfer)
{
	struct way way = { .t = t, .space = space, .addr = addr };

	way_begin(&way);
	while (transfer->left > 0) {
		if (FH_UNLIKELY(way.seen != t->left)) /* R2 */
			way_begin(&way);
		const uint64_t done = way_step(&way, transfer);

		way.addr += done;
		if (done != 0 && way.addr == 0 && transfer->left > 0) /* beyond the top */
			fh_transfer_fail(transfer, transfer->left, FH_TX_DECODE_ERROR);
		FH_POINT("access.between");
	}
	fh_chain_settle(t);
	return transfer->worst;
}

enum fh_tx fh_access_run(struct fh_thread *t, struct fh_space *space, uint64_t addr,
			 struct fh_transfer *transfer)
{
	return run(t, space, addr, transfer);
}

/* --- Typed ---------------------------------------------------------------------------------- */

/*
 * The short way is a leaf that calls nothing, so that it saves no registers: what it cannot do
 * itself it hands to another function as its last act. Those that are called with a section open
 * end it.
 */

static inline uint64_t mask(uint64_t value, unsigned size)
{
	return value & (UINT64_MAX >> (64 - 8 * size));
}

/* Host memory for an aligned access of a whole size, or NULL. */
static inline void *look_memory(const struct fh_look *look, uint64_t addr, unsigned size,
				unsigned direct)
{
	void *ptr = (void *)(look->ram_bias + addr);

	return (look->direct & direct) && fh_size_is_whole(size) && fh_ptr_is_aligned(ptr, size) ?
		       ptr :
		       NULL;
}

/*
 * Of an access that the short way did not know: the memory of a device, if that is what was found
 * just now, and one exact access does it (ram.h R3). Here, so that the short way need not know it.
 */
static inline const struct fh_look *look_device(const struct fh_thread *t, struct fh_space *space,
						uint64_t addr, unsigned size,
						struct fh_attrs attrs, unsigned direct)
{
	const struct fh_look *look = t->recent;

	if (FH_LIKELY(!look || !(look->direct & direct)) || attrs.debug || attrs.memory_only)
		return NULL;
	look = fh_lookaside_recent(t, space, addr, size);
	return look && look_memory(look, addr, size, direct) ? look : NULL;
}

static FH_ASIDE enum fh_tx load_long(struct fh_space *space, uint64_t addr, unsigned size,
				     enum fh_order order, struct fh_attrs attrs,
				     uint64_t *ret_value)
{
	struct fh_thread *t = fh_thread_self();
	uint64_t value = 0;
	struct fh_transfer transfer = {
		.kind = FH_TRANSFER_READ,
		.typed = true,
		.attrs = attrs,
		.to = (uint8_t *)&value,
		.left = size,
	};
	const struct fh_look *device =
		look_device(t, space, addr, size, attrs, FH_DIRECT_DEVICE_READ);
	enum fh_tx tx = FH_TX_OK;

	if (device)
		value = fh_ram_load((void *)(device->ram_bias + addr), size);
	else
		tx = run(t, space, addr, &transfer);
	fh_rcu_read_end(t);
	*ret_value = order == FH_BE ? fh_swap(value, size) : value;
	return tx;
}

static FH_ASIDE enum fh_tx store_long(struct fh_space *space, uint64_t addr, unsigned size,
				      enum fh_order order, struct fh_attrs attrs, uint64_t value)
{
	struct fh_thread *t = fh_thread_self();
	const uint64_t bytes = order == FH_BE ? fh_swap(mask(value, size), size) : value;
	struct fh_transfer transfer = {
		.kind = FH_TRANSFER_WRITE,
		.typed = true,
		.attrs = attrs,
		.from = (const uint8_t *)&bytes,
		.left = size,
	};
	const struct fh_look *device =
		look_device(t, space, addr, size, attrs, FH_DIRECT_DEVICE_WRITE);
	enum fh_tx tx = FH_TX_OK;

	if (device) {
		fh_ram_store((void *)(device->ram_bias + addr), bytes, size);
		fh_dirty_mark_range(device->region, addr + device->bias, size);
	} else {
		tx = run(t, space, addr, &transfer);
	}
	fh_rcu_read_end(t);
	return tx;
}

/* One call of a callback does it: see fh_region_simple_sizes(). */
static inline bool look_is_simple(const struct fh_look *look, uint64_t addr, unsigned size,
				  unsigned sizes, enum fh_order order)
{
	return (sizes >> size & 1) && ((addr + look->bias) & (size - 1)) == 0 && order != FH_BE;
}

static inline enum fh_engage look_enter(struct fh_thread *t, struct fh_frame *frame,
					const struct fh_look *look)
{
	return fh_chain_enter(t, frame, look->domain, look->owner, &look->region->object,
			      look->reentrant);
}

static FH_ASIDE enum fh_tx load_simple(struct fh_space *space, const struct fh_look *look,
				       uint64_t addr, unsigned size, struct fh_attrs attrs,
				       uint64_t *ret_value)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_frame frame;
	uint64_t value = 0;
	enum fh_tx tx;

	if (FH_UNLIKELY(look_enter(t, &frame, look) != FH_ENGAGED))
		return load_long(space, addr, size, FH_LE, attrs, ret_value);
	tx = look->read(look->state, addr + look->bias, &value, size, attrs);
	fh_chain_leave(t, &frame);
	fh_rcu_read_end(t);
	*ret_value = tx == FH_TX_OK ? mask(value, size) : 0;
	return tx;
}

static FH_ASIDE enum fh_tx store_simple(struct fh_space *space, const struct fh_look *look,
					uint64_t addr, unsigned size, struct fh_attrs attrs,
					uint64_t value)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_frame frame;
	enum fh_tx tx;

	if (FH_UNLIKELY(look_enter(t, &frame, look) != FH_ENGAGED))
		return store_long(space, addr, size, FH_LE, attrs, value);
	tx = look->write(look->state, addr + look->bias, mask(value, size), size, attrs);
	fh_chain_leave(t, &frame);
	fh_rcu_read_end(t);
	return tx;
}

/* To memory that is logged. */
static FH_ASIDE enum fh_tx store_logged(const struct fh_look *look, uint64_t addr, unsigned size,
					enum fh_order order, uint64_t value)
{
	struct fh_thread *t = fh_thread_self();

	if (order == FH_BE)
		value = fh_swap(mask(value, size), size);
	fh_ram_store((void *)(look->ram_bias + addr), value, size);
	fh_dirty_mark_range(look->region, addr + look->bias, size);
	fh_rcu_read_end(t);
	return FH_TX_OK;
}

/* With what was found, or NULL. */
static inline __attribute__((always_inline)) enum fh_tx
load_found(struct fh_thread *t, struct fh_space *space, const struct fh_look *look, uint64_t addr,
	   unsigned size, enum fh_order order, struct fh_attrs attrs, uint64_t *ret_value)
{
	FH_POINT("lookup.found");
	if (FH_LIKELY(look && !attrs.memory_only)) {
		const void *ptr = look_memory(look, addr, size, FH_DIRECT_READ);

		if (ptr) {
			const uint64_t value = fh_ram_load(ptr, size);

			fh_rcu_read_end(t);
			*ret_value = order == FH_BE ? fh_swap(value, size) : value;
			return FH_TX_OK;
		}
		if (look_is_simple(look, addr, size, look->load_sizes, order))
			return load_simple(space, look, addr, size, attrs, ret_value);
	}
	return load_long(space, addr, size, order, attrs, ret_value);
}

static inline __attribute__((always_inline)) enum fh_tx
store_found(struct fh_thread *t, struct fh_space *space, const struct fh_look *look, uint64_t addr,
	    unsigned size, enum fh_order order, struct fh_attrs attrs, uint64_t value)
{
	FH_POINT("lookup.found");
	if (FH_LIKELY(look && !attrs.memory_only)) {
		void *ptr = look_memory(look, addr, size, FH_DIRECT_STORE);

		if (ptr) {
			if (order == FH_BE)
				value = fh_swap(mask(value, size), size);
			fh_ram_store(ptr, value, size);
			fh_rcu_read_end(t);
			return FH_TX_OK;
		}
		if (look_is_simple(look, addr, size, look->store_sizes, order))
			return store_simple(space, look, addr, size, attrs, value);
		if (look_memory(look, addr, size, FH_DIRECT_WRITE))
			return store_logged(look, addr, size, order, value);
	}
	return store_long(space, addr, size, order, attrs, value);
}

/* Anything but what was used last. */
static FH_ASIDE enum fh_tx load_other(struct fh_space *space, uint64_t addr, unsigned size,
				      enum fh_order order, struct fh_attrs attrs,
				      uint64_t *ret_value)
{
	struct fh_thread *t = fh_thread_self();
	const struct fh_look *look = fh_lookaside_find(t, space, addr, size);

	return load_found(t, space, look, addr, size, order, attrs, ret_value);
}

static FH_ASIDE enum fh_tx store_other(struct fh_space *space, uint64_t addr, unsigned size,
				       enum fh_order order, struct fh_attrs attrs, uint64_t value)
{
	struct fh_thread *t = fh_thread_self();
	const struct fh_look *look = fh_lookaside_find(t, space, addr, size);

	return store_found(t, space, look, addr, size, order, attrs, value);
}

/* The thread has never been in a read section. */
static FH_COLD enum fh_tx load_first(struct fh_space *space, uint64_t addr, unsigned size,
				     enum fh_order order, struct fh_attrs attrs,
				     uint64_t *ret_value)
{
	fh_rcu_read_begin(fh_thread_self());
	return load_other(space, addr, size, order, attrs, ret_value);
}

static FH_COLD enum fh_tx store_first(struct fh_space *space, uint64_t addr, unsigned size,
				      enum fh_order order, struct fh_attrs attrs, uint64_t value)
{
	fh_rcu_read_begin(fh_thread_self());
	return store_other(space, addr, size, order, attrs, value);
}

enum fh_tx fh_space_load(struct fh_space *space, uint64_t addr, unsigned size, enum fh_order order,
			 struct fh_attrs attrs, uint64_t *ret_value)
{
	struct fh_thread *t = fh_rcu_thread_ready();
	const struct fh_look *look;

	fh_assert(size - 1 < 8);
	if (FH_UNLIKELY(!t))
		return load_first(space, addr, size, order, attrs, ret_value);
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	look = fh_lookaside_recent(t, space, addr, size);
	if (!look)
		return load_other(space, addr, size, order, attrs, ret_value);
	return load_found(t, space, look, addr, size, order, attrs, ret_value);
}

enum fh_tx fh_space_store(struct fh_space *space, uint64_t addr, unsigned size, enum fh_order order,
			  struct fh_attrs attrs, uint64_t value)
{
	struct fh_thread *t = fh_rcu_thread_ready();
	const struct fh_look *look;

	fh_assert(size - 1 < 8);
	if (FH_UNLIKELY(!t))
		return store_first(space, addr, size, order, attrs, value);
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	look = fh_lookaside_recent(t, space, addr, size);
	if (!look)
		return store_other(space, addr, size, order, attrs, value);
	return store_found(t, space, look, addr, size, order, attrs, value);
}

/* --- Bulk ----------------------------------------------------------------------------------- */

/* Memory that is all in one range, without the loop. NULL: something else. In a read section. */
static inline void *find_memory(struct fh_thread *t, struct fh_space *space, uint64_t addr,
				uint64_t size, struct fh_attrs attrs, unsigned direct)
{
	const struct fh_look *look = fh_lookaside_recent(t, space, addr, size);

	if (!look)
		look = fh_lookaside_find(t, space, addr, size);
	return look && (look->direct & direct) && !attrs.memory_only ?
		       (void *)(look->ram_bias + addr) :
		       NULL;
}

enum fh_tx fh_space_read(struct fh_space *space, uint64_t addr, void *buffer, uint64_t size,
			 struct fh_attrs attrs)
{
	struct fh_thread *t = fh_thread_self();
	enum fh_tx tx = FH_TX_OK;

	if (size == 0)
		return FH_TX_OK;
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	const void *ptr = find_memory(t, space, addr, size, attrs, FH_DIRECT_READ);

	if (FH_LIKELY(ptr))
		fh_ram_read(buffer, ptr, size);
	else
		tx = run(t, space, addr, &(struct fh_transfer){ .kind = FH_TRANSFER_READ,
							      .attrs = attrs,
							      .to = buffer,
							      .left = size });
	fh_rcu_read_end(t);
	return tx;
}

enum fh_tx fh_space_write(struct fh_space *space, uint64_t addr, const void *buffer, uint64_t size,
			  struct fh_attrs attrs)
{
	struct fh_thread *t = fh_thread_self();
	enum fh_tx tx = FH_TX_OK;

	if (size == 0)
		return FH_TX_OK;
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	void *ptr = find_memory(t, space, addr, size, attrs, FH_DIRECT_STORE);

	if (FH_LIKELY(ptr))
		fh_ram_write(ptr, buffer, size);
	else
		tx = run(t, space, addr, &(struct fh_transfer){ .kind = FH_TRANSFER_WRITE,
							      .attrs = attrs,
							      .from = buffer,
							      .left = size });
	fh_rcu_read_end(t);
	return tx;
}

enum fh_tx fh_space_fill(struct fh_space *space, uint64_t addr, uint8_t byte, uint64_t size,
			 struct fh_attrs attrs)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_transfer transfer = {
		.kind = FH_TRANSFER_FILL,
		.byte = byte,
		.attrs = attrs,
		.left = size,
	};
	enum fh_tx tx;

	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	tx = run(t, space, addr, &transfer);
	fh_rcu_read_end(t);
	return tx;
}
