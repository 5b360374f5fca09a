/* SPDX-License-Identifier: MIT */
/*
 * Atomic accesses: what processors need of memory beyond loads and stores.
 *
 * R1. They are done on RAM that the guest may read and write, in one piece, against everything else
 *     that is done to it; sequentially consistent. Nothing else takes them.
 * R2. The value of a guest's byte order is exchanged as a whole, so that one loop does for every
 *     operation, size and order.
 */
#include "memory/dirty.h"
#include "memory/chain.h"
#include "memory/iommu.h"
#include "memory/lookaside.h"
#include "memory/ram.h"
#include "memory/space.h"

/* What is to be done. */
struct atomic {
	unsigned size;
	enum fh_order order;
	bool compare; /* with `expected`, and put `operand` there if it is that */
	enum fh_atomic_op op;
	uint64_t expected;
	uint64_t operand;
};

static uint64_t mask(uint64_t value, unsigned size)
{
	return value & (UINT64_MAX >> (64 - 8 * size));
}

static int64_t sign_extend(uint64_t value, unsigned size)
{
	const unsigned shift = 64 - 8 * size;

	return (int64_t)(value << shift) >> shift;
}

/* Both are masked. */
static uint64_t result_of(enum fh_atomic_op op, uint64_t old, uint64_t operand, unsigned size)
{
	const bool less = sign_extend(old, size) < sign_extend(operand, size);

	switch (op) {
	case FH_ATOMIC_SWAP:
		return operand;
	case FH_ATOMIC_ADD:
		return mask(old + operand, size);
	case FH_ATOMIC_AND:
		return old & operand;
	case FH_ATOMIC_OR:
		return old | operand;
	case FH_ATOMIC_XOR:
		return old ^ operand;
	case FH_ATOMIC_MIN:
		return less ? old : operand;
	case FH_ATOMIC_MAX:
		return less ? operand : old;
	case FH_ATOMIC_MIN_UNSIGNED:
		return old < operand ? old : operand;
	case FH_ATOMIC_MAX_UNSIGNED:
		return old < operand ? operand : old;
	}
	fh_assert(!"an operation");
	return old;
}

#define FH_EXCHANGE(type)                                                                          \
	{                                                                                          \
		type old = (type)*expected;                                                        \
		const bool done = __atomic_compare_exchange_n((type *)ptr, &old, (type)desired,    \
							      false, __ATOMIC_SEQ_CST,             \
							      __ATOMIC_SEQ_CST);                   \
		*expected = old;                                                                   \
		return done;                                                                       \
	}

/* In host order; *expected becomes what is there. */
static bool exchange(void *ptr, uint64_t *expected, uint64_t desired, unsigned size)
{
	switch (size) {
	case 1:
		FH_EXCHANGE(uint8_t)
	case 2:
		FH_EXCHANGE(uint16_t)
	case 4:
		FH_EXCHANGE(uint32_t)
	default:
		FH_EXCHANGE(uint64_t)
	}
}

static uint64_t turned(const struct atomic *atomic, uint64_t value)
{
	return atomic->order == FH_BE ? fh_swap(value, atomic->size) : value;
}

/* Returns what was there before. */
static uint64_t atomic_do(void *ptr, const struct atomic *atomic)
{
	const unsigned size = atomic->size;
	uint64_t there = atomic->compare ? turned(atomic, mask(atomic->expected, size)) :
					   fh_ram_load(ptr, size);
	const uint64_t operand = mask(atomic->operand, size);

	if (atomic->compare) {
		exchange(ptr, &there, turned(atomic, operand), size);
		return turned(atomic, there);
	}
	for (;;) {
		const uint64_t old = turned(atomic, there);
		const uint64_t result = result_of(atomic->op, old, operand, size);

		if (exchange(ptr, &there, turned(atomic, result), size))
			return old;
	}
}

/* In a read section. */
static void atomic_do_at(const struct fh_range *range, void *ptr, const struct atomic *atomic,
			 uint64_t *ret_old)
{
	*ret_old = atomic_do(ptr, atomic);
	if (!atomic->compare || *ret_old == mask(atomic->expected, atomic->size))
		fh_dirty_mark_range(range->region, range->offset, atomic->size);
}

/* What lies at addr, behind IOMMUs if there are any. In a read section. */
static enum fh_tx atomic_look(struct fh_thread *t, struct fh_space *space, uint64_t addr,
			      unsigned size, struct fh_attrs attrs, struct fh_range *ret)
{
	const unsigned access = FH_IOMMU_READ | FH_IOMMU_WRITE;
	struct fh_view_hit hit;
	struct fh_trail trail;
	enum fh_tx tx;

	do {
		if (!fh_view_find(fh_space_view(space), addr, &hit))
			return FH_TX_DECODE_ERROR;
		*ret = fh_view_hit_range(hit);
		ret->offset += addr - ret->first;
		ret->first = addr;
		if (ret->region->kind != FH_REGION_IOMMU)
			return FH_TX_OK;
		tx = fh_iommu_follow(t, ret->region, ret->offset, size, access, attrs, &trail);
	} while (!fh_iommu_arrive(t, &trail));
	if (tx != FH_TX_OK)
		return tx;
	*ret = trail.range;
	return trail.size < size ? FH_TX_DENIED : FH_TX_OK;
}

/* Where it is to be done, or why it cannot be. In a read section. */
static enum fh_tx atomic_find(struct fh_thread *t, struct fh_space *space, uint64_t addr,
			      unsigned size, struct fh_attrs attrs, struct fh_range *ret)
{
	const enum fh_tx tx = atomic_look(t, space, addr, size, attrs, ret);

	if (tx != FH_TX_OK)
		return tx;
	if (ret->region->kind == FH_REGION_RESERVATION)
		return FH_TX_DECODE_ERROR;
	if (ret->last - ret->first < size - 1 || !(fh_direct(ret->region, ret->flags) &
						   FH_DIRECT_WRITE))
		return FH_TX_DENIED;
	return FH_TX_OK;
}

static enum fh_tx atomic_run(struct fh_space *space, uint64_t addr, struct fh_attrs attrs,
			     const struct atomic *atomic, uint64_t *ret_old)
{
	const unsigned size = atomic->size;
	struct fh_thread *t = fh_thread_self();
	struct fh_range range;
	enum fh_tx tx;

	fh_assert(fh_size_is_whole(size) && size != 0);
	*ret_old = 0;
	if ((addr & (size - 1)) != 0)
		return FH_TX_DECODE_ERROR;
	fh_chain_assert_may_access(t);
	fh_rcu_read_begin(t);
	tx = atomic_find(t, space, addr, size, attrs, &range);
	if (tx == FH_TX_OK) {
		void *ptr = range.region->ram + range.offset;

		/* An aligned address may lie at an odd one of the host's. */
		if (fh_ptr_is_aligned(ptr, size))
			atomic_do_at(&range, ptr, atomic, ret_old);
		else
			tx = FH_TX_DENIED;
	}
	fh_rcu_read_end(t);
	return tx;
}

enum fh_tx fh_space_cmpxchg(struct fh_space *space, uint64_t addr, unsigned size,
			    enum fh_order order, struct fh_attrs attrs, uint64_t expected,
			    uint64_t desired, uint64_t *ret_old)
{
	const struct atomic atomic = { .size = size,
				       .order = order,
				       .compare = true,
				       .expected = expected,
				       .operand = desired };

	return atomic_run(space, addr, attrs, &atomic, ret_old);
}

enum fh_tx fh_space_fetch(struct fh_space *space, uint64_t addr, unsigned size,
			  enum fh_order order, struct fh_attrs attrs, enum fh_atomic_op op,
			  uint64_t operand, uint64_t *ret_old)
{
	const struct atomic atomic = { .size = size, .order = order, .op = op, .operand = operand };

	return atomic_run(space, addr, attrs, &atomic, ret_old);
}
