/* SPDX-License-Identifier: MIT */
/*
 * Properties that come and go while others use them: no callback of one runs once its state is
 * released; an alias finds its target or says that it is gone; defaults change under births, and
 * paths lead to what is there.
 */
#include "support/probe.h"

#include <stdlib.h>

#include "support/scale.h"

#define CANARY UINT64_C(0x6f776e6564)

static const struct fh_type plain_type = { .name = "plain" };

struct target {
	uint32_t value;
};

static const struct fh_property target_properties[] = {
	{ .name = "value", .kind = FH_PROPERTY_U32, .offset = offsetof(struct target, value) },
	{ .name = NULL },
};

static const struct fh_type target_type = {
	.name = "target", .state_size = sizeof(struct target), .properties = target_properties
};

struct world {
	struct fh_machine *m;
	struct fh_object *object;
	_Atomic bool stop;
	_Atomic uint64_t released, used;
};

/* What a property's callbacks get. */
struct owned {
	uint64_t canary;
	_Atomic uint64_t value;
	struct world *world;
};

static enum fh_code set_owned(struct fh_object *object, void *state, const struct fh_value *value,
			      struct fh_error *err)
{
	struct owned *owned = state;

	(void)object;
	(void)err;
	CHECK(owned->canary == CANARY);
	atomic_store_explicit(&owned->value, value->u, memory_order_relaxed);
	owned->world->used++;
	return FH_OK;
}

static void get_owned(struct fh_object *object, void *state, struct fh_value *value)
{
	struct owned *owned = state;

	(void)object;
	CHECK(owned->canary == CANARY);
	value->u = atomic_load_explicit(&owned->value, memory_order_relaxed);
}

static void release_owned(void *state)
{
	struct owned *owned = state;

	CHECK(owned->canary == CANARY);
	owned->canary = 0;
	owned->world->released++;
	free(owned);
}

static void use(void *arg)
{
	struct world *world = arg;
	uint64_t value = 0;

	while (!world->stop) {
		enum fh_code code = fh_object_set_u64(world->object, "owned", 7, NULL);

		CHECK(code == FH_OK || code == FH_ENOENT);
		code = fh_object_get_u64(world->object, "owned", &value, NULL);
		CHECK(code == FH_OK || code == FH_ENOENT);
		code = fh_object_set_u64(world->object, "alias", 9, NULL);
		CHECK(code == FH_OK || code == FH_ENOENT || code == FH_EDEAD);
		code = fh_object_get_u64(world->object, "alias", &value, NULL);
		CHECK(code == FH_OK || code == FH_ENOENT || code == FH_EDEAD);
		code = fh_object_set_string(world->object, "string", "text", NULL);
		CHECK(code == FH_OK || code == FH_ENOENT);
		code = fh_object_set_link(world->object, "link", world->object, NULL);
		CHECK(code == FH_OK || code == FH_ENOENT);
	}
}

static bool note(const struct fh_type *level, const struct fh_property *property, void *arg)
{
	char *text = NULL;

	(void)level;
	fh_object_get_text(arg, property->name, &text, NULL);
	free(text);
	return true;
}

static void look(void *arg)
{
	struct world *world = arg;

	while (!world->stop) {
		struct fh_object *found = NULL;

		fh_object_each_property(world->object, note, world->object);
		if (fh_machine_resolve(world->m, "object/part[0]", NULL, &found, NULL) == FH_OK)
			fh_object_unref(found);
		found = NULL;
		if (fh_machine_resolve(world->m, "target", &target_type, &found, NULL) == FH_OK)
			fh_object_unref(found);
	}
}

static void come_and_go(struct world *world, unsigned round)
{
	const struct fh_property property = {
		.name = "owned", .kind = FH_PROPERTY_U64, .set = set_owned, .get = get_owned
	};
	const struct fh_property string = { .name = "string", .kind = FH_PROPERTY_STRING };
	const struct fh_property link = {
		.name = "link", .kind = FH_PROPERTY_LINK,
		.flags = round % 2 ? FH_PROPERTY_STRONG : 0
	};
	struct owned *owned = calloc(1, sizeof(*owned));
	struct fh_object *target = fh_object_new_child(world->m, "target", &target_type, NULL);

	owned->canary = CANARY;
	owned->world = world;
	CHECK(fh_object_add_property(world->object, &property, owned, release_owned, NULL) ==
	      FH_OK);
	CHECK(fh_object_add_property(world->object, &string, NULL, NULL, NULL) == FH_OK);
	CHECK(fh_object_add_property(world->object, &link, NULL, NULL, NULL) == FH_OK);
	CHECK(fh_object_add_alias(world->object, "alias", target, "value", NULL) == FH_OK);
	struct fh_object *part =
		fh_object_new_child(world->object, "part[*]", &plain_type, NULL);

	CHECK(fh_machine_set_default(world->m, "target", "value", round % 2 ? "1" : NULL, NULL) ==
	      FH_OK);
	fh_object_dispose(part);
	fh_object_dispose(target);
	CHECK(fh_object_remove_property(world->object, "alias", NULL) == FH_OK);
	CHECK(fh_object_remove_property(world->object, "owned", NULL) == FH_OK);
	CHECK(fh_object_remove_property(world->object, "string", NULL) == FH_OK);
	CHECK(fh_object_remove_property(world->object, "link", NULL) == FH_OK);
}

static void properties_come_and_go_while_they_are_used(void **unused)
{
	const unsigned rounds = (unsigned)scaled(20000);
	struct world world = { .m = machine_begin() };
	struct worker users[2], looker;

	(void)unused;
	world.object = fh_object_new_child(world.m, "object", &plain_type, NULL);
	fh_machine_set_default(world.m, "target", "value", "1", NULL);
	for (int i = 0; i < 2; i++)
		worker_start(&users[i], use, &world);
	worker_start(&looker, look, &world);
	/* Until it was used, however slow the host is. */
	for (unsigned round = 0; round < rounds || world.used == 0; round++)
		come_and_go(&world, round);
	world.stop = true;
	for (int i = 0; i < 2; i++)
		worker_join(&users[i]);
	worker_join(&looker);
	fh_object_dispose(world.object);
	machine_end(world.m);
	assert_true(world.released >= rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(properties_come_and_go_while_they_are_used),
	};

	return cmocka_run_group_tests_name("properties", tests, NULL, NULL);
}
