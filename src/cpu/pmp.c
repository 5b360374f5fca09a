/* SPDX-License-Identifier: MIT */
/*
 * Physical memory protection: 16 entries (priv 3.7).
 *
 * R1. `first` and `last` of an entry always say what its cfg and the addresses mean; an entry that
 *     matches nothing has first > last. Every write decodes anew.
 * R2. What a TLB entry was filled with is stale after a write: each flushes (priv 3.7.2 asks
 *     software for an sfence.vma; without one either is permitted).
 */
#include "cpu/privileged.h"
#include "cpu/tlb.h"

#define PMP_CFG0  0x3a0
#define PMP_ADDR0 0x3b0
#define PMP_COUNT 16

#define CFG_A	    0x18
#define CFG_A_TOR   0x08
#define CFG_A_NA4   0x10
#define CFG_A_NAPOT 0x18
#define CFG_L	    0x80
#define CFG_WRITABLE (CFG_L | CFG_A | PERM_ALL)
/* pmpaddr holds bits 55 to 2 of an address. */
#define ADDR_WRITABLE ((UINT64_C(1) << 54) - 1)

/* R1 */
static void decode(struct hart *h, unsigned index)
{
	struct pmp_entry *const entry = &h->pmp[index];
	uint64_t low;

	entry->first = 1;
	entry->last = 0;
	switch (entry->cfg & CFG_A) {
	case CFG_A_TOR:
		low = index > 0 ? h->pmp[index - 1].addr : 0;
		if (low < entry->addr) {
			entry->first = low << 2;
			entry->last = (entry->addr << 2) - 1;
		}
		break;
	case CFG_A_NA4:
		entry->first = entry->addr << 2;
		entry->last = entry->first + 3;
		break;
	case CFG_A_NAPOT:
		/* The trailing ones, and the zero above them, say the size. */
		low = entry->addr ^ (entry->addr + 1);
		entry->first = (entry->addr & ~low) << 2;
		entry->last = ((entry->addr | low) << 2) + 3;
		break;
	default:
		break;
	}
}

static bool locked(const struct hart *h, unsigned index)
{
	return h->pmp[index].cfg & CFG_L;
}

/* The address register of a locked entry, or the one below a locked TOR entry (priv 3.7.1). */
static bool addr_locked(const struct hart *h, unsigned index)
{
	if (locked(h, index))
		return true;
	return index + 1 < PMP_COUNT && locked(h, index + 1) &&
	       (h->pmp[index + 1].cfg & CFG_A) == CFG_A_TOR;
}

static void write_cfg(struct hart *h, unsigned index, uint8_t cfg)
{
	if (locked(h, index))
		return;
	cfg &= CFG_WRITABLE;
	if ((cfg & (PERM_R | PERM_W)) == PERM_W)
		cfg &= ~PERM_W; /* reserved: WARL */
	h->pmp[index].cfg = cfg;
	decode(h, index);
}

static void write_addr(struct hart *h, unsigned index, uint64_t value)
{
	if (addr_locked(h, index))
		return;
	h->pmp[index].addr = value & ADDR_WRITABLE;
	decode(h, index);
	if (index + 1 < PMP_COUNT)
		decode(h, index + 1);
}

static bool exists(const struct hart *h, unsigned csr)
{
	/* In RV64 odd pmpcfg registers do not exist (priv 3.7.1). */
	return h->isa.pmp_regions == PMP_COUNT &&
	       (csr == PMP_CFG0 || csr == PMP_CFG0 + 2 ||
		(csr >= PMP_ADDR0 && csr < PMP_ADDR0 + PMP_COUNT));
}

bool pmp_read(const struct hart *h, unsigned csr, uint64_t *ret)
{
	uint64_t value = 0;

	if (!exists(h, csr))
		return false;
	if (csr >= PMP_ADDR0) {
		*ret = h->pmp[csr - PMP_ADDR0].addr;
		return true;
	}
	for (unsigned i = 0; i < 8; i++)
		value |= (uint64_t)h->pmp[(csr - PMP_CFG0) * 4 + i].cfg << (8 * i);
	*ret = value;
	return true;
}

bool pmp_write(struct hart *h, unsigned csr, uint64_t value)
{
	if (!exists(h, csr))
		return false;
	if (csr >= PMP_ADDR0) {
		write_addr(h, csr - PMP_ADDR0, value);
	} else {
		for (unsigned i = 0; i < 8; i++)
			write_cfg(h, (csr - PMP_CFG0) * 4 + i, (uint8_t)(value >> (8 * i)));
	}
	tlb_flush(h); /* R2 */
	return true;
}

unsigned pmp_permissions(const struct hart *h, uint64_t pa, uint64_t size, enum priv priv,
			 bool *ret_partial)
{
	const uint64_t last = pa + size - 1;

	*ret_partial = false;
	for (unsigned i = 0; i < h->isa.pmp_regions; i++) {
		const struct pmp_entry *const entry = &h->pmp[i];

		if (entry->first > entry->last || entry->first > last || entry->last < pa)
			continue;
		if (entry->first > pa || entry->last < last) {
			*ret_partial = true;
			return 0;
		}
		return priv == PRIV_M && !(entry->cfg & CFG_L) ? PERM_ALL : entry->cfg & PERM_ALL;
	}
	return priv == PRIV_M || h->isa.pmp_regions == 0 ? PERM_ALL : 0;
}

void pmp_reset(struct hart *h)
{
	for (unsigned i = 0; i < PMP_COUNT; i++) {
		h->pmp[i].cfg = 0;
		h->pmp[i].addr = 0;
		decode(h, i);
	}
}
