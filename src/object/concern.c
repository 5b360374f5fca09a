/* SPDX-License-Identifier: MIT */
/*
 * The record of who wants to know about an object's death; see concern.h for its rules.
 */
#include "object/concern.h"

#include "base/alloc.h"

struct fh_concern *fh_object_concern(struct fh_object *object)
{
	struct fh_concern *concern = object->concern;

	if (concern)
		return concern;
	concern = fh_alloc(sizeof(*concern));
	fh_list_init(&concern->weaks);
	fh_list_init(&concern->watches);
	fh_list_init(&concern->revocations);
	fh_list_init(&concern->links);
	fh_list_init(&concern->watching);
	fh_list_init(&concern->held);
	object->concern = concern;
	return concern;
}

void fh_object_concern_free(struct fh_object *object)
{
	struct fh_concern *concern = object->concern;

	if (!concern)
		return;
	fh_assert(fh_list_empty(&concern->weaks));
	fh_assert(fh_list_empty(&concern->watches));
	fh_assert(fh_list_empty(&concern->revocations));
	fh_assert(fh_list_empty(&concern->links));
	fh_assert(fh_list_empty(&concern->watching));
	fh_assert(fh_list_empty(&concern->held));
	object->concern = NULL;
	fh_free(concern);
}
