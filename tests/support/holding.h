/* SPDX-License-Identifier: MIT */
/*
 * A machine, and somebody in whose name things are mapped and pinned. Included once, by the test's
 * own file.
 */
#ifndef SUPPORT_HOLDING_H
#define SUPPORT_HOLDING_H

#include "support/probe.h"

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_object *holder; /* dies with the machine */

static int set_up(void **state)
{
	(void)state;
	m = machine_begin();
	memory = fh_machine_memory(m);
	holder = fh_object_new_child(m, "holder", &holder_type, NULL);
	return 0;
}

static int tear_down(void **state)
{
	release_points(state);
	machine_end(m);
	return 0;
}

#endif
