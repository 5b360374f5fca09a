/* SPDX-License-Identifier: MIT */
/* A device whose read callback stands still, on a thread of its own; unrealize may not meet it. */
#ifndef SUPPORT_STANDING_H
#define SUPPORT_STANDING_H

#include "support/probe.h"

#include "base/point.h"

#define STANDING_ADDR UINT64_C(0x20000000)

struct standing {
	struct probe_hooks hooks; /* outlives the machine */
	struct worker reader;
};

static inline enum fh_tx standing_callback(struct probe *probe, uint64_t offset,
					   uint64_t *ret_value)
{
	(void)probe;
	(void)offset;
	FH_POINT("standing.read");
	*ret_value = 0;
	return FH_TX_OK;
}

static inline void standing_unrealize(struct probe *probe)
{
	CHECK(probe->hooks->inside == 0);
}

/* "child" of @parent, at STANDING_ADDR. */
static inline void standing_plug(struct standing *standing, struct fh_object *parent)
{
	standing->hooks = (struct probe_hooks){ .read = standing_callback,
						.unrealize = standing_unrealize };
	probe_plug(parent, "child", &standing->hooks, STANDING_ADDR);
}

static inline void standing_load(void *m)
{
	load32(m, STANDING_ADDR, FH_TX_OK);
}

static inline void standing_begin(struct standing *standing, struct fh_machine *m)
{
	fh_point_arm("standing.read");
	worker_start(&standing->reader, standing_load, m);
	CHECK(fh_point_wait("standing.read"));
}

static inline void standing_end(struct standing *standing)
{
	fh_point_release("standing.read");
	worker_join(&standing->reader);
}

#endif
