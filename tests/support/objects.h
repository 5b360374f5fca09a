/* SPDX-License-Identifier: MIT */
/*
 * A machine of the object layer alone, for unit tests: nothing is mapped, a transaction is nothing,
 * and the test says itself how a device's domain answers. Included once, by the test's own file.
 */
#ifndef SUPPORT_OBJECTS_H
#define SUPPORT_OBJECTS_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "object/machine.h"
#include "object/object.h"

/* The domain of every object of a test: what its owner's `call` does. */
struct test_domain {
	bool refuses;
	unsigned calls;
};

static struct test_domain domain;

static inline void no_edit(struct fh_machine *m)
{
	(void)m;
}

static bool call_in_domain(struct fh_object *owner, void (*call)(void *arg), void *arg)
{
	domain.calls++;
	if (domain.refuses || !fh_object_is_shown(owner))
		return false;
	call(arg);
	return true;
}

static uint32_t explain_nothing(struct fh_object *object, FILE *out)
{
	(void)object;
	(void)out;
	return 0;
}

static void unrealize_nothing(struct fh_object *top)
{
	(void)top;
}

static bool all_may_join(struct fh_object *parent, struct fh_object *child)
{
	(void)parent;
	(void)child;
	return true;
}

static const struct fh_machine_ops ops = {
	.edit_begin = no_edit,
	.edit_join = no_edit,
	.edit_commit = no_edit,
	.call = call_in_domain,
	.explain = explain_nothing,
	.unrealize = unrealize_nothing,
	.may_join = all_may_join,
};

static inline int set_up(void **state)
{
	struct fh_machine *m = fh_new(struct fh_machine);

	domain = (struct test_domain){ false, 0 };
	*state = m;
	return fh_machine_init_objects(m, &ops, NULL, NULL);
}

static inline void settle(struct fh_machine *m)
{
	do
		fh_reaper_drain(m->reaper);
	while (fh_control_run(m, NULL));
}

/* Every test ends with the ledger: nothing is alive. */
static inline int tear_down(void **state)
{
	struct fh_machine *m = *state;

	settle(m);
	if (fh_ledger_print(m, stderr) != 0)
		return -1;
	fh_machine_fini_objects(m);
	fh_free(m);
	return 0;
}

static inline struct fh_object *root_of(struct fh_machine *m)
{
	return fh_machine_object(m);
}

static inline void assert_says(const struct fh_error *err, enum fh_code code, const char *text)
{
	assert_int_equal(err->code, code);
	if (!strstr(err->message, text))
		fail_msg("'%s' is not in: %s", text, err->message);
}

static inline void assert_text(struct fh_object *object, const char *name, const char *wanted)
{
	char *text = NULL;

	assert_int_equal(fh_object_get_text(object, name, &text, NULL), FH_OK);
	assert_string_equal(text, wanted);
	free(text);
}

#endif
