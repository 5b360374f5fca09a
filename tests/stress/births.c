/* SPDX-License-Identifier: MIT */
/*
 * Three threads make one of everything in the name of a device, over and over, until they are
 * refused because it is unplugged. What was made is released once, what was refused has taken
 * nothing, no descriptor is left open, and nothing outlives the machine.
 */
#include "support/probe.h"

#include <dirent.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/scale.h"

enum { THREADS = 3 };

struct rig {
	struct fh_machine *m;
	struct fh_device *device;
	struct fh_region *regs, *iommu, *ram; /* of nobody */
	int fd;
	_Atomic unsigned made, released, rounds;
};

static enum fh_tx nothing_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			       struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = 0;
	return FH_TX_OK;
}

static void count_release(void *state)
{
	((struct rig *)state)->released++;
}

static const struct fh_region_ops regs_ops = { .read = nothing_read, .release = count_release };
static const struct fh_region_ops plain_ops = { .read = nothing_read };

static enum fh_tx nowhere(void *state, uint64_t addr, unsigned access, unsigned index,
			  struct fh_attrs attrs, struct fh_translation *ret)
{
	(void)state, (void)addr, (void)access, (void)index, (void)attrs, (void)ret;
	return FH_TX_DECODE_ERROR;
}

static const struct fh_iommu_ops iommu_ops = { .translate = nowhere, .release = count_release };
static const struct fh_iommu_ops plain_iommu_ops = { .translate = nowhere };
static const struct fh_listener_ops listener_ops = { .begin = NULL };

static enum fh_code populate(void *state, struct fh_region *region, uint64_t offset, uint64_t size)
{
	(void)state, (void)region, (void)offset, (void)size;
	return FH_OK;
}

static void discard(void *state, struct fh_region *region, uint64_t offset, uint64_t size)
{
	(void)state, (void)region, (void)offset, (void)size;
}

static const struct fh_discard_ops discard_ops = { .populate = populate, .discard = discard };

static void ignore(void *state, const struct fh_iommu_event *event)
{
	(void)state, (void)event;
}

/* False: it was refused, as all that follows will be. */
static bool make_one(struct rig *rig, unsigned what)
{
	static uint8_t bytes[64];
	struct fh_space *memory = fh_machine_memory(rig->m);
	const struct fh_ram_options memfd = { .backing = FH_RAM_MEMFD };
	struct fh_region *region;

	switch (what) {
	case 0: region = fh_region_new_mmio(rig->device, NULL, 8, &regs_ops, rig); break;
	case 1: region = fh_region_new_iommu(rig->device, NULL, 8, &iommu_ops, rig); break;
	case 2:
		region = fh_region_new_ram_ptr(rig->device, NULL, 64, bytes, count_release, rig);
		break;
	case 3: return fh_region_new_ram_with(rig->device, NULL, 4096, &memfd, NULL);
	case 4: return fh_region_new_alias(rig->device, NULL, rig->ram, 0, 64);
	case 5: return fh_space_new(rig->device, NULL, rig->ram);
	case 6: return fh_listener_new(rig->device, memory, 0, &listener_ops, NULL);
	case 7: return fh_cached_new(rig->device, memory, 0, 64, FH_ATTRS_NONE);
	case 8:
		return fh_iommu_notifier_new(rig->device, rig->iommu, 0, 0, 7, FH_IOMMU_UNMAP,
					     ignore, NULL);
	case 9:
		return fh_discard_listener_new(rig->device, rig->ram, 0, FH_SIZE_ALL, &discard_ops,
					       NULL, NULL);
	default: {
		const unsigned number = rig->rounds++;
		const struct fh_eventfd_match match = { .match_data = true, .data = number };

		return fh_eventfd_new(rig->device, rig->regs, &match, rig->fd, NULL);
	}
	}
	if (region)
		rig->made++;
	return region;
}

static void make_all(void *arg)
{
	struct rig *rig = arg;
	unsigned refused = 0;

	for (unsigned what = 0; refused < 11; what = (what + 1) % 11)
		refused = make_one(rig, what) ? 0 : refused + 1;
	fh_object_unref(rig->device);
}

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void what_is_born_is_released_once_and_what_is_not_never(void **state)
{
	static struct probe_hooks hooks;
	static struct rig rig;
	unsigned open_before;

	(void)state;
	memset(&rig, 0, sizeof(rig));
	rig.m = machine_begin();
	rig.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rig.regs = fh_region_new_mmio(rig.m, NULL, 8, &plain_ops, NULL);
	rig.iommu = fh_region_new_iommu(rig.m, NULL, 8, &plain_iommu_ops, NULL);
	rig.ram = fh_region_new_ram(rig.m, NULL, 4096, NULL);
	fh_region_add(fh_space_root(fh_machine_memory(rig.m)), rig.regs, 0, 0);
	machine_check_alive(rig.m, 3);
	open_before = open_descriptors();
	for (uint64_t round = scaled(400); round > 0; round--) {
		struct worker workers[THREADS];

		rig.device = probe_plug(rig.m, "device", &hooks, 0x10000);
		rig.made = rig.released = rig.rounds = 0;
		for (unsigned i = 0; i < THREADS; i++) {
			fh_object_ref(rig.device);
			worker_start(&workers[i], make_all, &rig);
		}
		while (rig.rounds < round % 4)
			sched_yield();
		fh_device_unplug(rig.device);
		for (unsigned i = 0; i < THREADS; i++)
			worker_join(&workers[i]);
		machine_check_alive(rig.m, 3);
		assert_int_equal(rig.released, rig.made);
		assert_int_equal(open_descriptors(), open_before);
	}
	fh_object_unref(rig.regs);
	fh_object_unref(rig.iommu);
	fh_object_unref(rig.ram);
	close(rig.fd);
	machine_end(rig.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_born_is_released_once_and_what_is_not_never),
	};

	return cmocka_run_group_tests_name("births", tests, NULL, NULL);
}
