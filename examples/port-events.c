/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: a doorbell that wakes a worker thread by an eventfd, and never
 * calls back. docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DOORBELL = 0x50, QUEUE = 1 };

struct queue {
	struct fh_region *regs;
	unsigned calls; /* of the callback */
};

static enum fh_tx queue_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)offset, (void)value, (void)size, (void)attrs;
	((struct queue *)state)->calls++;
	return FH_TX_OK;
}

static const struct fh_region_ops queue_regs = { .write = queue_write };

static enum fh_code queue_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct queue *queue = state;

	queue->regs = fh_region_new_mmio(device, "regs", 0x1000, &queue_regs, queue);
	return fh_device_export(device, queue->regs, err);
}

static const struct fh_type queue_type = {
	.name = "queue", .parent = &fh_device_type, .state_size = sizeof(struct queue),
	.device = &(const struct fh_device_ops){ .realize = queue_realize }
};

/* The guest is ready: stores of this queue's number to the doorbell wake the worker from now on. */
static struct fh_eventfd *queue_start(struct fh_device *device, int fd, struct fh_error *err)
{
	const struct queue *queue = fh_device_state(device);
	const struct fh_eventfd_match match = { .offset = DOORBELL, .size = 2, .match_data = true,
						.data = QUEUE };

	return fh_eventfd_new(device, queue->regs, &match, fd, err);
}

static void *work(void *arg)
{
	uint64_t times = 0;

	return read(*(int *)arg, &times, sizeof(times)) == sizeof(times) ? arg : NULL;
}

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_space *memory = fh_machine_memory(m);
	struct fh_device *device = fh_device_plug(m, &queue_type, "queue", NULL, NULL);
	int fd = eventfd(0, EFD_CLOEXEC);
	pthread_t worker;
	void *woken;

	if (!device || fd < 0 || pthread_create(&worker, NULL, work, &fd) != 0)
		return 1;
	fh_region_add(fh_space_root(memory), fh_device_region(device, "regs"), 0, 0);

	struct fh_eventfd *doorbell = queue_start(device, fd, NULL);
	const struct queue *queue = fh_device_state(device);
	bool good = doorbell && fh_space_store16(memory, DOORBELL, QUEUE, FH_LE) == FH_TX_OK;

	pthread_join(worker, &woken);
	good = good && woken && queue->calls == 0;
	fh_space_store16(memory, DOORBELL, QUEUE + 1, FH_LE); /* another one's */
	good = good && queue->calls == 1;
	fh_eventfd_destroy(doorbell);
	fh_space_store16(memory, DOORBELL, QUEUE, FH_LE);
	good = good && queue->calls == 2;

	fh_device_unplug(device);
	close(fd); /* the library has its own */
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}
