/* SPDX-License-Identifier: MIT */
/*
 * Memory accesses that the inline lookup does not do: misaligned ones, atomics, cache blocks.
 *
 * R1. Aligned accesses to RAM are single host accesses of that size; harts race on them by design.
 * R2. A reservation is a physical address and the value loaded from it. A store-conditional is a
 *     compare and exchange with that value: it fails where another hart changed it, and succeeds
 *     where the same value was put back, which no program can tell from no store in between.
 * R3. Atomics are sequentially consistent, whatever aq and rl say, which is more than is asked for.
 * R4. Atomics work on RAM. Registers have none of them: an access fault.
 */
#include "cpu/memory.h"

#include <string.h>

#include "cpu/block.h"
#include "cpu/privileged.h"
#include "cpu/tlb.h"

static inline unsigned insn_rd(uint32_t insn)
{
	const unsigned rd = insn >> 7 & 31;

	return rd ? rd : OP_SINK;
}

static inline uint64_t insn_rs1(const struct hart *h, uint32_t insn)
{
	return h->x[insn >> 15 & 31];
}

static inline uint64_t insn_rs2(const struct hart *h, uint32_t insn)
{
	return h->x[insn >> 20 & 31];
}

/* Misaligned, but within one page that the TLB has. */
static bool is_inside(uint64_t va, unsigned size, uint64_t tag)
{
	return tag == (va & TLB_PAGE_MASK) && (va & ~TLB_PAGE_MASK) <= TLB_PAGE_SIZE - size;
}

bool memory_load(struct hart *h, uint64_t va, unsigned size, uint64_t *ret)
{
	const struct tlb_entry *entry = tlb_data(h, va);

	if (!is_inside(va, size, entry->read))
		return hart_load_slow(h, va, size, ret);
	*ret = 0;
	memcpy(ret, tlb_host(entry, va), size);
	return true;
}

bool memory_store(struct hart *h, uint64_t va, unsigned size, uint64_t value)
{
	const struct tlb_entry *entry = tlb_data(h, va);

	if (!is_inside(va, size, entry->write))
		return hart_store_slow(h, va, size, value);
	memcpy(tlb_host(entry, va), &value, size);
	return true;
}

/* --- Atomics --------------------------------------------------------------------------------- */

/* Where an atomic works, or NULL and h->trap is set. */
struct place {
	void *host;
	uint64_t pa;
	unsigned size;
	struct tlb_store store;
};

static bool place_find(struct hart *h, uint32_t insn, enum access access, struct place *ret)
{
	const uint64_t va = insn_rs1(h, insn);
	const struct tlb_entry *entry = tlb_data(h, va);
	const bool load = access == ACCESS_LOAD;

	ret->size = insn & 0x1000 ? 8 : 4;
	ret->store = (struct tlb_store){ 0 };
	if (va & (ret->size - 1)) {
		hart_raise(h, load ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED, va);
		return false;
	}
	if ((load ? entry->read : entry->write) == (va & TLB_PAGE_MASK)) {
		ret->host = tlb_host(entry, va);
		ret->pa = tlb_physical(h->tlb, va);
		return true;
	}
	ret->host = tlb_fill(h, va, access, ret->size, &ret->pa, &ret->store);
	if (!ret->host && h->trap.cause == CAUSE_NONE)
		hart_raise(h, load ? CAUSE_LOAD_ACCESS : CAUSE_STORE_ACCESS, va); /* R4 */
	return ret->host;
}

static inline uint64_t place_key(const struct place *place)
{
	return place->pa | (place->size == 8);
}

bool memory_lr(struct hart *h, uint32_t insn)
{
	struct place place;
	uint64_t value;

	if (!place_find(h, insn, ACCESS_LOAD, &place))
		return false;
	if (place.size == 8)
		value = __atomic_load_n((uint64_t *)place.host, __ATOMIC_SEQ_CST);
	else
		value = (uint64_t)__atomic_load_n((int32_t *)place.host, __ATOMIC_SEQ_CST);
	h->reservation = place_key(&place);
	h->reserved_value = value;
	h->x[insn_rd(insn)] = value;
	return true;
}

bool memory_sc(struct hart *h, uint32_t insn)
{
	const uint64_t value = insn_rs2(h, insn);
	struct place place;
	bool done = false;

	if (!place_find(h, insn, ACCESS_STORE, &place))
		return false;
	if (h->reservation == place_key(&place)) {
		uint64_t expected = h->reserved_value;
		uint32_t expected_word = (uint32_t)expected;

		if (place.size == 8)
			done = __atomic_compare_exchange_n((uint64_t *)place.host, &expected, value,
							   false, __ATOMIC_SEQ_CST,
							   __ATOMIC_RELAXED);
		else
			done = __atomic_compare_exchange_n((uint32_t *)place.host, &expected_word,
							   (uint32_t)value, false,
							   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	h->reservation = UINT64_MAX;
	h->x[insn_rd(insn)] = !done;
	if (done)
		tlb_stored(h, &place.store, place.pa, place.size);
	return true;
}

/* What the host has no instruction for; `order` is funct5 of amomin, amomax, amominu, amomaxu. */
#define AMO_PICK(bits, unsigned_bits, old, operand, order)                                         \
	((order) == 0x10   ? ((bits)(old) < (bits)(operand) ? (old) : (operand)) :                 \
	 (order) == 0x14   ? ((bits)(old) > (bits)(operand) ? (old) : (operand)) :                 \
	 (order) == 0x18   ? ((unsigned_bits)(old) < (unsigned_bits)(operand) ? (old) : (operand)) : \
			     ((unsigned_bits)(old) > (unsigned_bits)(operand) ? (old) : (operand)))

#define AMO_FUNCTION(name, type, signed_type)                                                      \
	static type name(type *ptr, type operand, unsigned order)                                  \
	{                                                                                          \
		type old;                                                                          \
                                                                                                   \
		switch (order) {                                                                   \
		case 0x00:                                                                         \
			return __atomic_fetch_add(ptr, operand, __ATOMIC_SEQ_CST);                 \
		case 0x01:                                                                         \
			return __atomic_exchange_n(ptr, operand, __ATOMIC_SEQ_CST);                \
		case 0x04:                                                                         \
			return __atomic_fetch_xor(ptr, operand, __ATOMIC_SEQ_CST);                 \
		case 0x08:                                                                         \
			return __atomic_fetch_or(ptr, operand, __ATOMIC_SEQ_CST);                  \
		case 0x0c:                                                                         \
			return __atomic_fetch_and(ptr, operand, __ATOMIC_SEQ_CST);                 \
		default:                                                                           \
			old = __atomic_load_n(ptr, __ATOMIC_RELAXED);                              \
			while (!__atomic_compare_exchange_n(                                       \
				ptr, &old, AMO_PICK(signed_type, type, old, operand, order), false, \
				__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))                               \
				;                                                                  \
			return old;                                                                \
		}                                                                                  \
	}

AMO_FUNCTION(amo_word, uint32_t, int32_t)
AMO_FUNCTION(amo_twice, uint64_t, int64_t)

bool memory_amo(struct hart *h, uint32_t insn)
{
	const uint64_t operand = insn_rs2(h, insn);
	struct place place;
	uint64_t old;

	if (!place_find(h, insn, ACCESS_STORE, &place))
		return false;
	if (place.size == 8)
		old = amo_twice(place.host, operand, insn >> 27);
	else
		old = (uint64_t)(int32_t)amo_word(place.host, (uint32_t)operand, insn >> 27);
	h->x[insn_rd(insn)] = old;
	tlb_stored(h, &place.store, place.pa, place.size);
	return true;
}

/* --- Cache blocks ---------------------------------------------------------------------------- */

#define CBO_BLOCK_SIZE UINT64_C(64)

/* CMO 2.5.1. */
static bool cbo_is_enabled(const struct hart *h, unsigned operation)
{
	const uint64_t need = operation == 0 ? ENVCFG_CBIE :
			      operation == 4 ? ENVCFG_CBZE :
					       ENVCFG_CBCFE;

	if (h->priv < PRIV_M && !(h->menvcfg & need))
		return false;
	return h->priv > PRIV_U || (h->senvcfg & need);
}

/* The caches are coherent with everything: there is only the permission to check. */
static bool cbo_manage(struct hart *h, uint64_t block)
{
	uint64_t pa;

	return hart_translate(h, block, CBO_BLOCK_SIZE, ACCESS_LOAD, &pa);
}

static bool cbo_zero(struct hart *h, uint64_t block)
{
	const struct tlb_entry *entry = tlb_data(h, block);
	struct tlb_store store = { 0 };
	uint64_t pa = 0, *host;

	if (entry->write == (block & TLB_PAGE_MASK)) {
		host = tlb_host(entry, block);
	} else {
		host = tlb_fill(h, block, ACCESS_STORE, CBO_BLOCK_SIZE, &pa, &store);
		if (!host && h->trap.cause == CAUSE_NONE)
			hart_raise(h, CAUSE_STORE_ACCESS, block);
		if (!host)
			return false;
	}
	for (unsigned i = 0; i < CBO_BLOCK_SIZE / 8; i++)
		__atomic_store_n(&host[i], 0, __ATOMIC_RELAXED);
	tlb_stored(h, &store, pa, CBO_BLOCK_SIZE);
	return true;
}

/* CMO 2.5.2, 2.5.3: faults are those of stores, and bring the address as it is in rs1. */
static bool cbo_fault(struct hart *h, uint64_t va)
{
	if (h->trap.cause == CAUSE_LOAD_PAGE)
		h->trap.cause = CAUSE_STORE_PAGE;
	else if (h->trap.cause == CAUSE_LOAD_ACCESS)
		h->trap.cause = CAUSE_STORE_ACCESS;
	h->trap.tval = va;
	return false;
}

bool memory_cbo(struct hart *h, uint32_t insn)
{
	const unsigned operation = insn >> 20;
	const uint64_t va = insn_rs1(h, insn), block = va & ~(CBO_BLOCK_SIZE - 1);

	if (!cbo_is_enabled(h, operation)) {
		hart_raise(h, CAUSE_ILLEGAL, insn);
		return false;
	}
	return (operation == 4 ? cbo_zero(h, block) : cbo_manage(h, block)) || cbo_fault(h, va);
}
