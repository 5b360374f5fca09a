/* SPDX-License-Identifier: MIT */
/*
 * A stream read into copies of states, which then change places with them.
 *
 * R1. A copy of a level's state is made in the device's domain. Fields are read into it; `moves`
 *     says which bytes of it those are, and `timers` what is to become of timers. To change places
 *     twice is to undo it.
 * R2. What a copy's pointers point to is of malloc() and listed in `pointers` as soon as it is not
 *     the state's own any more. Whatever stands there in the end is freed: before the change that
 *     is the new, after it the old.
 * R3. Nothing is allocated for more than a table permits and the stream has bytes for.
 */
#ifndef DEVICE_STATE_LOAD_H
#define DEVICE_STATE_LOAD_H

#include "device/state.h"
#include "memory/vector.h"

struct fh_state_move {
	void *live, *copy;
	size_t size;
};

struct fh_state_timer {
	struct fh_timer *timer;
	bool armed;
	uint64_t deadline;
};

/* A table that was read: of a level or a subsection. */
struct fh_state_read {
	const struct fh_state_table *table;
	const char *name; /* of the type or subsection */
	void *live, *copy;
	unsigned version;
	bool called; /* its post_load */
};

struct fh_state_load {
	struct fh_device *device; /* ref */
	char *path;
	uint64_t now; /* what timers that are left to run are counted from */
	bool moved;
	char **copies; /* by depth of the level; NULL: it has no table */
	FH_VECTOR(fh_state_reads, struct fh_state_read) reads; /* in the order of post_load */
	FH_VECTOR(fh_state_moves, struct fh_state_move) moves;
	FH_VECTOR(fh_state_timers, struct fh_state_timer) timers;
	FH_VECTOR(fh_state_pointers, void **) pointers;
};

void fh_state_load_free(struct fh_state_load *load);

/* Calls it in the device's domain. FH_EDEAD: not so, the device is hidden. */
enum fh_code fh_state_call(struct fh_state_load *load, void (*call)(void *arg), void *arg,
			   struct fh_error *err);

/* What has not been read yet of something whose end is known. */
struct fh_state_in {
	const uint8_t *at;
	size_t left;
};

/* False: there are fewer. */
bool fh_state_in_number(struct fh_state_in *in, size_t size, uint64_t *ret_value);
bool fh_state_in_piece(struct fh_state_in *in, size_t size, struct fh_state_in *ret_piece);
/* A name behind its length, as a string to be fh_free'd; NULL: fewer, or none. */
char *fh_state_in_name(struct fh_state_in *in, size_t size_of_length);

/* A stream on its way into the devices at and below an object. */
struct fh_state_restore {
	struct fh_object *top;
	struct fh_machine *m;
	const uint8_t *data; /* the stream's start */
	struct fh_state_in in;
	FH_VECTOR(fh_state_loads, struct fh_state_load *) loads;
};

/* state-stream.c: all of it into loads, which are the caller's to free in any case. */
enum fh_code fh_state_read_stream(struct fh_state_restore *restore, struct fh_error *err);

/* state-load.c: one level of load->device, whose name has been read. */
enum fh_code fh_state_read_level(struct fh_state_load *load, const struct fh_class *level,
				 struct fh_state_in *in, struct fh_error *err);

#endif
