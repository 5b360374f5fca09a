/* SPDX-License-Identifier: MIT */
/*
 * Objects for tests of what keeps what: plain ones, and ones with a strong link to a friend.
 * Included once, by the test's own file.
 */
#ifndef SUPPORT_LINKED_H
#define SUPPORT_LINKED_H

#include "support/probe.h"

static const struct fh_type plain_type = { .name = "plain" };

struct linked {
	struct fh_object *friend;
};

static const struct fh_property linked_properties[] = {
	{ .name = "friend", .kind = FH_PROPERTY_LINK, .flags = FH_PROPERTY_STRONG,
	  .offset = offsetof(struct linked, friend) },
	{ .name = NULL },
};

static const struct fh_type linked_type = {
	.name = "linked",
	.state_size = sizeof(struct linked),
	.properties = linked_properties,
};

#endif
