/* SPDX-License-Identifier: MIT */
/*
 * Bytes as text that a user may give: the first says as what, a zero ends each of up to three
 * texts.
 *
 * As a property's value, of every kind: what is taken reads back as a text that is taken again and
 * reads back the same; what is refused has changed nothing. As a path: what is found has a path
 * that ends so, and an absolute one finds it again. As a name, a setting, a machine's default.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <freehold/freehold.h>

#define KINDS (FH_PROPERTY_LINK + 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct state {
	uint64_t fields[KINDS];
};

static const char *const colours[] = { "red", "green", "blue", NULL };

#define FIELD(name_, kind_)                                                                        \
	{ .name = name_, .kind = FH_PROPERTY_##kind_, .enum_names = colours,                       \
	  .offset = FH_PROPERTY_##kind_ * sizeof(uint64_t) }

static const struct fh_property properties[] = {
	FIELD("bool", BOOL), FIELD("u8", U8), FIELD("u16", U16), FIELD("u32", U32),
	FIELD("u64", U64), FIELD("i8", I8), FIELD("i16", I16), FIELD("i32", I32),
	FIELD("i64", I64), FIELD("size", SIZE), FIELD("string", STRING), FIELD("enum", ENUM),
	FIELD("link", LINK), { .name = NULL },
};

static const struct fh_type type = {
	.name = "fuzzed", .parent = &fh_device_type, .state_size = sizeof(struct state),
	.properties = properties
};

struct world {
	struct fh_machine *m;
	struct fh_device *device;
	const char *texts[3]; /* "" where the bytes have ended */
};

static void check(bool good, const char *what, const char *text)
{
	if (good)
		return;
	fprintf(stderr, "%s: '%s'\n", what, text);
	abort();
}

/* Owned by caller. */
static char *text_of(FH_ANY object, const char *name)
{
	char *text = NULL;

	check(fh_object_get_text(object, name, &text, NULL) == FH_OK, "not read", name);
	return text;
}

/* --- What is tried --------------------------------------------------------------------------- */

static void try_value(FH_ANY object, const char *name, const char *text)
{
	struct fh_error err = FH_ERROR_INIT;
	char *before = text_of(object, name);
	const enum fh_code code = fh_object_set_text(object, name, text, &err);
	char *after = text_of(object, name);

	if (code == FH_OK) {
		check(fh_object_set_text(object, name, after, NULL) == FH_OK, "not taken", after);
		char *again = text_of(object, name);

		check(strcmp(after, again) == 0, "not the same again", text);
		free(again);
	} else {
		check(err.code == code && err.message[0], "no reason", text);
		check(strcmp(before, after) == 0, "changed", text);
	}
	free(before);
	free(after);
}

static void try_values(struct world *world)
{
	for (const struct fh_property *p = properties; p->name; p++)
		for (size_t i = 0; i < 3; i++)
			try_value(world->device, p->name, world->texts[i]);
	try_value(world->device, "alias", world->texts[0]);
	try_value(world->device, "own", world->texts[1]);
}

static bool ends_with(const char *path, const char *end)
{
	const size_t length = strlen(path), tail = strlen(end);

	return tail <= length && strcmp(path + length - tail, end) == 0;
}

static void try_path(struct world *world, const char *path)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_object *found = NULL, *again = NULL;
	const enum fh_code code = fh_machine_resolve(world->m, path, NULL, &found, &err);
	char canonical[600];

	if (code != FH_OK) {
		check(!found && err.code == code, "found in spite of an error", path);
		return;
	}
	check(fh_object_path(found, canonical, sizeof(canonical)) < sizeof(canonical), "long",
	      path);
	check(ends_with(canonical, path), "another path", path);
	check(fh_machine_resolve(world->m, canonical, NULL, &again, NULL) == FH_OK, "lost", path);
	check(again == found, "another object", path);
	fh_object_unref(again);
	fh_object_unref(found);
}

/* Children of any name, then paths to them. */
static void try_paths(struct world *world)
{
	struct fh_object *a = fh_object_new_child(world->device, world->texts[0], &type, NULL);

	if (a) {
		try_path(world, fh_object_name(a));
		fh_object_new_child(a, world->texts[1], &type, NULL);
	}
	fh_object_new_child(world->m, world->texts[1], &type, NULL);
	for (size_t i = 0; i < 3; i++)
		try_path(world, world->texts[i]);
}

static void try_settings(struct world *world)
{
	const struct fh_setting settings[] = {
		{ world->texts[0], world->texts[1] }, { "string", world->texts[2] }, { NULL, NULL },
	};
	struct fh_error err = FH_ERROR_INIT;
	struct fh_device *device =
		fh_device_plug(world->m, &type, world->texts[2], settings, &err);

	check(device || err.code != FH_OK, "no reason", world->texts[0]);
}

static void try_default(struct world *world)
{
	struct fh_error err = FH_ERROR_INIT;
	const enum fh_code code = fh_machine_set_default(world->m, "fuzzed", world->texts[0],
							 world->texts[1], &err);

	if (code != FH_OK) {
		check(err.code == code, "no reason", world->texts[0]);
		return;
	}
	/* It was checked, so that only a link's path can fail the birth. */
	struct fh_object *object = fh_object_new(world->m, &type, &err);

	check(object || strcmp(world->texts[0], "link") == 0, err.message, world->texts[1]);
	fh_object_unref(object);
}

static void try_own(struct world *world)
{
	const struct fh_property property = {
		.name = world->texts[0], .kind = FH_PROPERTY_STRING, .preset = world->texts[1]
	};
	char *text;

	if (fh_object_add_property(world->device, &property, NULL, NULL, NULL) != FH_OK)
		return;
	text = text_of(world->device, world->texts[0]);
	check(strcmp(text, world->texts[1]) == 0, "another text", text);
	free(text);
	fh_object_add_alias(world->device, world->texts[1], world->device, world->texts[0], NULL);
	check(fh_object_remove_property(world->device, world->texts[0], NULL) == FH_OK,
	      "not removed", world->texts[0]);
	/* The alias has lost what it stood for, or shows something else. */
	if (fh_object_get_text(world->device, world->texts[1], &text, NULL) == FH_OK)
		free(text);
}

/* --- The world ------------------------------------------------------------------------------- */

static void world_begin(struct world *world)
{
	static const struct fh_property own = { .name = "own", .kind = FH_PROPERTY_SIZE };

	world->m = fh_machine_new(NULL, NULL);
	fh_machine_add_type(world->m, &type, NULL);
	world->device = fh_device_new(world->m, &type, "device", NULL, NULL);
	fh_object_add_property(world->device, &own, NULL, NULL, NULL);
	fh_object_add_alias(world->device, "alias", world->device, "i16", NULL);
}

/* The texts, in memory of the caller's. */
static void world_split(struct world *world, char *bytes, size_t size)
{
	for (size_t i = 0; i < 3; i++) {
		const size_t length = strnlen(bytes, size);

		world->texts[i] = size > 0 ? bytes : "";
		bytes += length < size ? length + 1 : length;
		size -= length < size ? length + 1 : length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(struct world *world) = {
		try_values, try_paths, try_settings, try_default, try_own,
	};
	struct world world = { 0 };
	char *bytes;

	if (size < 1 || size > 400)
		return 0;
	bytes = calloc(1, size);
	memcpy(bytes, data + 1, size - 1);
	world_split(&world, bytes, size - 1);
	world_begin(&world);
	tries[data[0] % (sizeof(tries) / sizeof(tries[0]))](&world);
	fh_machine_destroyp(&world.m);
	free(bytes);
	return 0;
}
