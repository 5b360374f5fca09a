/* SPDX-License-Identifier: MIT */
/*
 * The record of who wants to know about an object's death; see concern.h for its rules.
 */
#include "object/concern.h"

#include "base/alloc.h"
#include "base/point.h"

static struct fh_concern *concern_of(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);

	if (concern)
		return concern;
	concern = fh_alloc(sizeof(*concern));
	fh_list_init(&concern->weaks);
	fh_list_init(&concern->watches);
	fh_list_init(&concern->revocations);
	fh_list_init(&concern->links);
	fh_list_init(&concern->watching);
	fh_list_init(&concern->held);
	fh_list_init(&concern->replaced);
	concern->own = NULL;
	/* Release: pairs with the acquire in fh_concern_peek(). */
	atomic_store_explicit(&object->concern, concern, memory_order_release);
	return concern;
}

struct fh_concern *fh_concern_open(struct fh_machine *m, struct fh_object *object, uint32_t flags,
				   uint32_t closed)
{
	struct fh_concern *concern = concern_of(object);

	fh_assert(object->machine == m);
	FH_POINT("concern.open");
	/* Release, for who sets a flag of @closed later; acquire, of who has set one (R3). */
	return fh_object_set_flags(object, flags) & closed ? NULL : concern;
}

void fh_object_concern_free(struct fh_object *object)
{
	struct fh_concern *concern = fh_concern_peek(object);

	if (!concern)
		return;
	fh_assert(fh_list_empty(&concern->weaks));
	fh_assert(fh_list_empty(&concern->watches));
	fh_assert(fh_list_empty(&concern->revocations));
	fh_assert(fh_list_empty(&concern->links));
	fh_assert(fh_list_empty(&concern->watching));
	fh_assert(fh_list_empty(&concern->held));
	fh_assert(fh_list_empty(&concern->replaced));
	fh_assert(!concern->own);
	fh_free(concern);
}
