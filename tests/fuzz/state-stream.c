/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a stream of states. Of one that is refused nothing is left: what is saved before and
 * after is the same. One that is accepted can be saved and restored again.
 *
 * The first byte says whether the checksums of the rest are made right before, so that what lies
 * behind them is tried, too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- The device ------------------------------------------------------------------------------ */

struct item {
	uint8_t kind;
	uint32_t value;
	char name[8];
};

struct state {
	bool flag;
	uint32_t regs[4];
	uint8_t fill;
	uint16_t queue[6];
	struct item item;
	uint32_t items;
	struct item *list;
	char *text;
	uint64_t late;
	uint8_t blob_size;
	uint8_t *blob;
	struct fh_timer *timer;
};

static const struct fh_state_field item_fields[] = {
	FH_STATE(U8, struct item, kind),
	FH_STATE(U32, struct item, value),
	FH_STATE_SINCE(2, STRING, struct item, name),
	{ 0 },
};
static const struct fh_state_table item_table = {
	.version = 2, .size = sizeof(struct item), .fields = item_fields
};

static bool flag_is_set(const void *state)
{
	return ((const struct state *)state)->flag;
}

static const struct fh_state_field fields[] = {
	FH_STATE(BOOL, struct state, flag),
	FH_STATE(U32, struct state, regs),
	FH_STATE_SOME(U16, struct state, queue, U8, fill),
	FH_STATE_OF(&item_table, struct state, item),
	{ .name = "list", .kind = FH_STATE_STRUCT, .offset = offsetof(struct state, list),
	  .size = sizeof(void *), .table = &item_table, .length_kind = FH_STATE_U32,
	  .length_offset = offsetof(struct state, items), .max = 500 },
	{ .name = "text", .kind = FH_STATE_STRING, .offset = offsetof(struct state, text),
	  .size = sizeof(void *), .max = 40 },
	{ .name = "late", .kind = FH_STATE_U64, .offset = offsetof(struct state, late),
	  .size = 8, .since = 2, .exists = flag_is_set },
	{ 0 },
};

static const struct fh_state_field blob_fields[] = {
	FH_STATE_POINTER(BYTES, struct state, blob, U8, blob_size, 1000),
	{ 0 },
};
static const struct fh_state_table blob_table = {
	.name = "blob", .version = 1, .fields = blob_fields
};
static const struct fh_state_field timer_fields[] = {
	FH_STATE(TIMER, struct state, timer),
	{ 0 },
};
static bool timer_is_armed(const void *state)
{
	return fh_timer_is_armed(((const struct state *)state)->timer);
}
static const struct fh_state_table timer_table = {
	.name = "timer", .version = 1, .fields = timer_fields, .needed = timer_is_armed
};
static const struct fh_state_table *const subsections[] = { &blob_table, &timer_table, NULL };

static enum fh_code check(const void *state, unsigned version, struct fh_error *err)
{
	const struct state *s = state;

	(void)version;
	return s->regs[0] == 7 ? fh_error_set(err, FH_ERANGE, "seven") : FH_OK;
}

static enum fh_code post_load(struct fh_device *device, void *state, unsigned version,
			      struct fh_error *err)
{
	const struct state *s = state;

	(void)device, (void)version;
	return s->regs[1] == 7 ? fh_error_set(err, FH_ERANGE, "seven") : FH_OK;
}

static const struct fh_state_table table = {
	.version = 2, .fields = fields, .subsections = subsections,
	.check = check, .post_load = post_load
};

static void expired(void *state)
{
	(void)state;
}

static enum fh_code realize(struct fh_device *device, void *state, struct fh_error *err)
{
	(void)err;
	((struct state *)state)->timer = fh_timer_new(device, "timer", expired, state);
	return FH_OK;
}

static void finalize(struct fh_object *object, void *state)
{
	struct state *s = state;

	(void)object;
	free(s->list);
	free(s->text);
	free(s->blob);
}

static const struct fh_type type = {
	.name = "fuzzed", .parent = &fh_device_type, .state_size = sizeof(struct state),
	.finalize = finalize,
	.device = &(const struct fh_device_ops){ .realize = realize, .saved = &table }
};

/* --- Checksums ------------------------------------------------------------------------------- */

struct walk {
	uint8_t *data;
	size_t at, end;
};

/* A number there, and past it; 0 at the end. */
static uint64_t walk_number(struct walk *walk, size_t size)
{
	uint64_t value = 0;

	if (size > walk->end - walk->at)
		size = walk->end - walk->at;
	memcpy(&value, walk->data + walk->at, size);
	walk->at += size;
	return value;
}

static void walk_skip(struct walk *walk, uint64_t size)
{
	walk->at = size > walk->end - walk->at ? walk->end : walk->at + size;
}

/* Of all from @start to here, to be put here. */
static void walk_crc(struct walk *walk, size_t start)
{
	const uint32_t crc = fh_state_crc(0, walk->data + start, walk->at - start);

	if (walk->end - walk->at >= sizeof(crc))
		memcpy(walk->data + walk->at, &crc, sizeof(crc));
	walk_skip(walk, sizeof(crc));
}

static void walk_table(struct walk *walk, unsigned depth)
{
	walk_number(walk, 4);
	for (uint64_t n = walk_number(walk, 2); n-- > 0 && walk->at < walk->end;) {
		const size_t start = walk->at;

		walk_skip(walk, walk_number(walk, 1));
		walk_skip(walk, 5);
		walk_skip(walk, walk_number(walk, 4));
		walk_crc(walk, start);
	}
	for (uint64_t n = walk_number(walk, 2); n-- > 0 && walk->at < walk->end && depth < 4;) {
		walk_skip(walk, walk_number(walk, 1));
		walk_table(walk, depth + 1);
	}
}

static void mend(uint8_t *data, size_t size)
{
	struct walk walk = { .data = data, .end = size };

	walk_skip(&walk, 12);
	walk_crc(&walk, 0);
	while (walk.at < size) {
		const size_t start = walk.at;
		const uint64_t tag = walk_number(&walk, 1);
		const uint64_t length = walk_number(&walk, 4);

		if (tag == FH_STATE_DEVICE) {
			walk.end = length > size - walk.at ? size : walk.at + length;
			walk_skip(&walk, walk_number(&walk, 2));
			walk_skip(&walk, walk_number(&walk, 1));
			for (uint64_t n = walk_number(&walk, 1); n-- > 0 && walk.at < walk.end;) {
				walk_skip(&walk, walk_number(&walk, 1));
				walk_table(&walk, 0);
			}
			walk.at = walk.end;
			walk.end = size;
			walk_crc(&walk, start);
		} else {
			walk_crc(&walk, 0);
		}
	}
}

/* --- A try ----------------------------------------------------------------------------------- */

static void must(bool true_)
{
	if (!true_)
		abort();
}

static struct fh_state_buffer save(struct fh_machine *m)
{
	struct fh_state_buffer buffer = { 0 };
	const struct fh_state_writer writer = fh_state_buffer_writer(&buffer);

	must(fh_state_save(m, &writer, NULL) == FH_OK);
	return buffer;
}

static void try(struct fh_machine *m, const uint8_t *data, size_t size)
{
	struct fh_state_buffer before = save(m), after;
	struct fh_error err = FH_ERROR_INIT;

	if (fh_state_restore(m, data, size, &err) == FH_OK) {
		after = save(m);
		must(fh_state_restore(m, after.data, after.size, NULL) == FH_OK);
	} else {
		after = save(m);
		must(err.code != FH_OK && err.message[0] != '\0');
		must(after.size == before.size && !memcmp(after.data, before.data, after.size));
	}
	fh_state_buffer_free(&before);
	fh_state_buffer_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_device *device = fh_device_plug(m, &type, "device", NULL, NULL);
	struct state *state = fh_device_state(device);
	uint8_t *copy = malloc(size); /* of just its size behind the first byte, too */

	state->fill = 2;
	state->items = 1;
	state->list = calloc(1, sizeof(struct item));
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1)
		mend(copy, size - 1);
	try(m, copy, size - 1);
	free(copy);
	must(fh_machine_destroy(m) == 0);
	return 0;
}
