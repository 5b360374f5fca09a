/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: an IOMMU with one page table, a device behind it, somebody who
 * shadows it, and an invalidation that is complete when it is said to be.
 * docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <stdatomic.h>

enum { PAGE = 0x1000, PAGES = 16 };

struct iommu {
	struct fh_region *window;
	struct fh_bh *complete;
	_Atomic uint64_t table[PAGES]; /* where each page leads; 0: nowhere */
	_Atomic unsigned done; /* invalidations that are complete */
	unsigned told;	       /* those of which the guest knows */
};

/* On any thread, in no domain. Says for which range it holds. */
static enum fh_tx iommu_translate(void *state, uint64_t addr, unsigned access, unsigned index,
				  struct fh_attrs attrs, struct fh_translation *ret)
{
	struct iommu *iommu = state;
	const uint64_t to = atomic_load(&iommu->table[addr / PAGE]);

	(void)access, (void)index, (void)attrs;
	if (to == 0)
		return FH_TX_DECODE_ERROR;
	*ret = (struct fh_translation){
		.first = addr & ~(uint64_t)(PAGE - 1), .last = addr | (PAGE - 1),
		.space = fh_machine_memory(fh_object_get_machine(iommu->window)),
		.addr = to, .permissions = FH_IOMMU_READ | FH_IOMMU_WRITE,
	};
	return FH_TX_OK;
}

static const struct fh_iommu_ops iommu_ops = { .translate = iommu_translate };

/* Any thread: pass it on. */
static void iommu_done(void *state)
{
	struct iommu *iommu = state;

	atomic_fetch_add(&iommu->done, 1);
	fh_bh_schedule(iommu->complete);
}

/* Here the guest would be told, by a register and an interrupt. */
static void iommu_complete(void *state)
{
	struct iommu *iommu = state;

	iommu->told = atomic_load(&iommu->done);
}

/* The guest has changed an entry and asks for an invalidation. */
static void iommu_set(struct iommu *iommu, unsigned page, uint64_t to)
{
	const uint64_t first = (uint64_t)page * PAGE;

	atomic_store(&iommu->table[page], to);
	fh_iommu_invalidate(iommu->window, 0, first, first + PAGE - 1, iommu_done, iommu);
}

static enum fh_code iommu_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct iommu *iommu = state;

	iommu->complete = fh_bh_new(device, "complete", iommu_complete, iommu);
	iommu->window = fh_region_new_iommu(device, "window", PAGES * PAGE, &iommu_ops, iommu);
	return fh_device_export(device, iommu->window, err);
}

static const struct fh_type iommu_type = {
	.name = "iommu", .parent = &fh_device_type, .state_size = sizeof(struct iommu),
	.device = &(const struct fh_device_ops){ .realize = iommu_realize }
};

/* Who shadows translations, as for a device that is passed through. */
static void shadow(void *state, const struct fh_iommu_event *event)
{
	if (event->kind == FH_IOMMU_UNMAP)
		++*(unsigned *)state;
}

/* It has no state, only what it owns. */
static const struct fh_type board_type = { .name = "board" };

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_object *board = fh_object_new_child(m, "board", &board_type, NULL);
	struct fh_region *ram = fh_region_new_ram(board, "ram", 0x10000, NULL);
	struct fh_device *device = fh_device_plug(m, &iommu_type, "iommu", NULL, NULL);
	unsigned unmapped = 0;
	uint32_t value = 0;

	if (!ram || !device)
		return 1;
	fh_region_add(fh_space_root(fh_machine_memory(m)), ram, 0x80000000, 0);

	struct iommu *iommu = fh_device_state(device);
	struct fh_space *dma = fh_space_new(board, "dma", fh_device_region(device, "window"));
	struct fh_iommu_notifier *notifier =
		fh_iommu_notifier_new(board, iommu->window, 0, 0, PAGES * PAGE - 1,
				      FH_IOMMU_UNMAP, shadow, &unmapped);

	iommu_set(iommu, 3, 0x80002000);
	bool good = fh_space_store32(dma, 0x3004, 7, FH_LE) == FH_TX_OK &&
		    fh_space_load32(fh_machine_memory(m), 0x80002004, FH_LE, &value) == FH_TX_OK &&
		    value == 7;

	iommu_set(iommu, 3, 0);
	good = good && unmapped == 2 && /* told before the invalidation returned */
	       fh_space_load32(dma, 0x3004, FH_LE, &value) == FH_TX_DECODE_ERROR;
	fh_machine_drain(m);
	good = good && iommu->told == 2; /* told when nothing used the old ones any more */

	fh_iommu_notifier_destroy(notifier);
	fh_device_unplug(device);
	fh_object_dispose(board);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}
