/* SPDX-License-Identifier: MIT */
/*
 * Accesses to the worlds of the model test: what a store does, as the oracle has it. It signals an
 * eventfd, or calls the callback of a register, or marks pages; coalesced stores are asked for
 * before. store-paths.c chooses stores and makes them, pages.c has the dirty pages.
 *
 * R1. Only while no transaction is open: what the model has is then what is published.
 */
#ifndef MODEL_STORES_H
#define MODEL_STORES_H

#include "model/edit.h"

struct world;

/* The registers of a region. */
struct registers_of {
	struct stores *stores;
	int slot;
};

struct stores {
	struct registers_of registers[MODEL_REGIONS];
	uint64_t calls, sum;		   /* of callbacks: how many, and of what */
	uint64_t calls_wanted, sum_wanted; /* as the oracle has it */
	int fd[MODEL_EVENTFDS];		   /* -1: none */
	uint64_t rung[MODEL_EVENTFDS];	   /* how often, since it was last looked at */
	bool just_rung[MODEL_EVENTFDS];	   /* by the present store */
	bool asks;			   /* the present store asks for coalesced ones */
	uint8_t *device_memory;		   /* MODEL_PAGES of it */
	bool logs;			   /* something is logged */
	uint8_t mask[MODEL_REGIONS];	   /* the clients that @dirty is of */
	uint64_t dirty[MODEL_REGIONS][FH_DIRTY_CLIENTS]; /* a bit for each page */
};

struct stores *stores_new(void);
void stores_free(struct stores *stores);

const struct fh_region_ops *stores_registers(bool big_endian);
void *stores_state(struct stores *stores, int slot);
uint8_t *stores_device_memory(struct stores *stores);
uint64_t *stores_rung(struct stores *stores);

/* A descriptor for the eventfd of that slot. */
int stores_eventfd(struct world *world, int slot);

/* An edit has been made. */
void stores_edited(struct world *world);
/* OP_STORE or OP_TAKE. */
void stores_access(struct world *world, const struct op *op);
/* All eventfds have been signalled as often as was wanted. */
void stores_check_rings(struct world *world, bool all);

/* What it does, in the oracle. */
struct store {
	uint64_t addr;
	const uint8_t *bytes;
	uint64_t size;
	bool typed; /* one access of that size */
	bool debug;
};

/* To what that space shows; @only: to that section of it, NULL: to all. */
void stores_expect(struct world *world, int space, const struct store *store,
		   const struct fh_section *only);

/* Bytes of the region were written. */
void pages_mark(struct stores *stores, int slot, uint64_t offset, uint64_t size);
void pages_take(struct world *world, const struct op *op);

void stores_store(struct world *world, const struct op *op);

#endif
