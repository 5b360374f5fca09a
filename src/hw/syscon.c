/* SPDX-License-Identifier: MIT */
/*
 * The test finisher: one register at 0 that is written, the rest reads as 0 and takes no writes.
 * Linux's syscon driver reads the register before it writes, OpenSBI may write half of it.
 */
#include "hw/syscon.h"

#define SYSCON_SIZE 0x1000

struct syscon {
	const struct syscon_ops *ops; /* or NULL */
	void *arg;
};

static enum fh_tx syscon_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = 0;
	return FH_TX_OK;
}

static enum fh_tx syscon_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			       struct fh_attrs attrs)
{
	const struct syscon *syscon = state;
	const unsigned code = value >> 16;

	(void)size;
	/* A debugger that dumps memory back does not end the machine. */
	if (offset != 0 || !syscon->ops || attrs.debug)
		return FH_TX_OK;
	switch (value & 0xffff) {
	case SYSCON_FAIL:
		syscon->ops->poweroff(syscon->arg, code ? code : 1);
		break;
	case SYSCON_PASS:
		syscon->ops->poweroff(syscon->arg, 0);
		break;
	case SYSCON_RESET:
		syscon->ops->reset(syscon->arg);
		break;
	default:
		break;
	}
	return FH_TX_OK;
}

static const struct fh_region_ops syscon_regs = {
	.read = syscon_read,
	.write = syscon_write,
	.valid = { .min = 2, .max = 4 },
	.impl = { .min = 2, .max = 4 },
};

void syscon_set_ops(struct fh_device *device, const struct syscon_ops *ops, void *arg)
{
	struct syscon *syscon = fh_device_state(device);

	syscon->ops = ops;
	syscon->arg = arg;
}

static enum fh_code syscon_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	return fh_device_export(
		device, fh_region_new_mmio(device, "regs", SYSCON_SIZE, &syscon_regs, state), err);
}

const struct fh_type syscon_type = {
	.name = "syscon",
	.parent = &fh_device_type,
	.state_size = sizeof(struct syscon),
	.device = &(const struct fh_device_ops){ .realize = syscon_realize },
};
