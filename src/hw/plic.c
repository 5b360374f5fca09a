/* SPDX-License-Identifier: MIT */
/*
 * The PLIC, after the RISC-V platform-level interrupt controller specification 1.0.0.
 *
 * R1. All state is under `lock`: the inputs are leaves, which take no domain, and harts claim
 *     without waiting for each other's domain. The region is concurrent.
 * R2. An output is driven with the lock released, and by one thread at a time, the one that set
 *     `driving`; it goes on until what it has driven is what the state asks for. Who finds
 *     `driving` set leaves the rest to that thread. So the last level driven is the right one.
 * R3. A gateway forwards one request and waits for its completion ("Interrupt Gateways"): `busy`
 *     is set from the request to the completion, `pending` from the request to the claim. A line
 *     that falls before the claim does not take the request back.
 */
#include "hw/plic.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define PRIORITY_MASK 7 /* seven levels above "never" */

#define SOURCES_MAX 1023
#define WORDS	    ((SOURCES_MAX + 1) / 32)

#define PENDING_BASE  0x1000
#define ENABLE_BASE   0x2000
#define ENABLE_STRIDE 0x80
#define CONTEXT_BASE  0x200000
#define CONTEXT_STRIDE 0x1000
#define CONTEXTS_MAX  ((PLIC_SIZE - CONTEXT_BASE) / CONTEXT_STRIDE)

enum { CONTEXT_THRESHOLD = 0, CONTEXT_CLAIM = 4 };

struct context {
	struct fh_irq *output;
	uint32_t enabled[WORDS];
	uint32_t threshold;
	bool driven;  /* what the output is */
	bool driving; /* a thread makes it follow (R2) */
};

struct source {
	struct plic *plic;
	unsigned id;
	uint32_t priority;
};

struct plic {
	uint32_t source_count; /* property */
	uint32_t context_count; /* property */
	pthread_mutex_t lock;
	struct source sources[SOURCES_MAX + 1];
	struct context *contexts;
	uint32_t level[WORDS], pending[WORDS], busy[WORDS];
};

/* --- Bits ----------------------------------------------------------------------------------- */

static bool bit_get(const uint32_t *words, unsigned id)
{
	return words[id / 32] >> (id % 32) & 1;
}

static void bit_set(uint32_t *words, unsigned id, bool value)
{
	const uint32_t mask = UINT32_C(1) << (id % 32);

	words[id / 32] = value ? words[id / 32] | mask : words[id / 32] & ~mask;
}

/* The sources that there are among the 32 of word @word; source 0 is none. */
static uint32_t existing(const struct plic *plic, unsigned word)
{
	const unsigned first = word * 32;
	uint32_t mask = word == 0 ? ~UINT32_C(1) : ~UINT32_C(0);

	if (first > plic->source_count)
		return 0;
	if (plic->source_count - first < 31)
		mask &= (UINT32_C(1) << (plic->source_count - first + 1)) - 1;
	return mask;
}

/* --- What is asked for; the lock is held ---------------------------------------------------- */

/* The pending, enabled source of the highest priority, of equals the lowest; 0: none. */
static unsigned context_best(const struct plic *plic, const struct context *context)
{
	unsigned best = 0;
	uint32_t highest = 0; /* priority 0 never interrupts */

	for (unsigned word = 0; word <= plic->source_count / 32; word++) {
		uint32_t set = plic->pending[word] & context->enabled[word];

		for (; set; set &= set - 1) {
			const unsigned id = word * 32 + __builtin_ctz(set);

			if (plic->sources[id].priority > highest) {
				highest = plic->sources[id].priority;
				best = id;
			}
		}
	}
	return best;
}

static bool context_wants(const struct plic *plic, const struct context *context)
{
	const unsigned best = context_best(plic, context);

	return best && plic->sources[best].priority > context->threshold;
}

/* R2. Releases the lock in between. */
static void context_drive(struct plic *plic, struct context *context)
{
	bool level;

	if (context->driving)
		return;
	context->driving = true;
	while ((level = context_wants(plic, context)) != context->driven) {
		context->driven = level;
		pthread_mutex_unlock(&plic->lock);
		fh_irq_set(context->output, level);
		pthread_mutex_lock(&plic->lock);
	}
	context->driving = false;
}

static void plic_drive(struct plic *plic)
{
	for (unsigned i = 0; i < plic->context_count; i++)
		context_drive(plic, &plic->contexts[i]);
}

/* --- Gateways ------------------------------------------------------------------------------- */

static void gateway_sample(struct plic *plic, unsigned id)
{
	if (!bit_get(plic->level, id) || bit_get(plic->busy, id))
		return;
	bit_set(plic->busy, id, true);
	bit_set(plic->pending, id, true);
}

static void source_changed(void *state, bool level)
{
	struct source *source = state;
	struct plic *plic = source->plic;

	pthread_mutex_lock(&plic->lock);
	bit_set(plic->level, source->id, level);
	gateway_sample(plic, source->id);
	plic_drive(plic);
	pthread_mutex_unlock(&plic->lock);
}

/* A claim does not look at the threshold ("Interrupt Claim Process"). */
static uint32_t context_claim(struct plic *plic, struct context *context)
{
	const unsigned id = context_best(plic, context);

	bit_set(plic->pending, id, false);
	return id;
}

/*
 * A source that the context has not enabled is ignored ("Interrupt Completion"), and so is one that
 * waits to be claimed.
 */
static void context_complete(struct plic *plic, struct context *context, uint32_t id)
{
	if (id > plic->source_count || !bit_get(context->enabled, id) ||
	    bit_get(plic->pending, id))
		return;
	bit_set(plic->busy, id, false);
	gateway_sample(plic, id);
}

/* --- Registers ------------------------------------------------------------------------------ */

/* Where an offset leads; what is nowhere reads as 0 and takes no writes. */
enum place { PLACE_NONE, PLACE_PRIORITY, PLACE_PENDING, PLACE_ENABLE, PLACE_CONTEXT };

struct where {
	enum place place;
	struct context *context;
	unsigned index; /* of the source, of the word, or the register's offset */
};

static struct where plic_find(struct plic *plic, uint64_t offset)
{
	struct where where = { .place = PLACE_NONE };
	uint64_t number;

	if (offset < PENDING_BASE) {
		where.index = offset / 4;
		if (where.index > 0 && where.index <= plic->source_count)
			where.place = PLACE_PRIORITY;
		return where;
	}
	if (offset < ENABLE_BASE) {
		where.index = (offset - PENDING_BASE) / 4;
		if (where.index < WORDS)
			where.place = PLACE_PENDING;
		return where;
	}
	if (offset < CONTEXT_BASE) {
		number = (offset - ENABLE_BASE) / ENABLE_STRIDE;
		where.index = (offset - ENABLE_BASE) % ENABLE_STRIDE / 4;
		where.place = PLACE_ENABLE;
	} else {
		number = (offset - CONTEXT_BASE) / CONTEXT_STRIDE;
		where.index = (offset - CONTEXT_BASE) % CONTEXT_STRIDE;
		where.place = PLACE_CONTEXT;
	}
	if (number >= plic->context_count)
		where.place = PLACE_NONE;
	else
		where.context = &plic->contexts[number];
	return where;
}

static uint32_t context_read(struct plic *plic, struct context *context, unsigned reg, bool debug)
{
	switch (reg) {
	case CONTEXT_THRESHOLD:
		return context->threshold;
	case CONTEXT_CLAIM:
		return debug ? context_best(plic, context) : context_claim(plic, context);
	default:
		return 0;
	}
}

static enum fh_tx plic_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	struct plic *plic = state;
	const struct where where = plic_find(plic, offset);

	(void)size;
	*ret_value = 0;
	pthread_mutex_lock(&plic->lock);
	switch (where.place) {
	case PLACE_PRIORITY:
		*ret_value = plic->sources[where.index].priority;
		break;
	case PLACE_PENDING:
		*ret_value = plic->pending[where.index];
		break;
	case PLACE_ENABLE:
		*ret_value = where.context->enabled[where.index];
		break;
	case PLACE_CONTEXT:
		*ret_value = context_read(plic, where.context, where.index, attrs.debug);
		/* What one context has claimed is gone for all. */
		if (where.index == CONTEXT_CLAIM)
			plic_drive(plic);
		break;
	case PLACE_NONE:
		break;
	}
	pthread_mutex_unlock(&plic->lock);
	return FH_TX_OK;
}

static enum fh_tx plic_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	struct plic *plic = state;
	const struct where where = plic_find(plic, offset);

	(void)size, (void)attrs;
	pthread_mutex_lock(&plic->lock);
	switch (where.place) {
	case PLACE_PRIORITY:
		plic->sources[where.index].priority = value & PRIORITY_MASK;
		break;
	case PLACE_ENABLE:
		where.context->enabled[where.index] = value & existing(plic, where.index);
		break;
	case PLACE_CONTEXT:
		if (where.index == CONTEXT_THRESHOLD)
			where.context->threshold = value & PRIORITY_MASK;
		else if (where.index == CONTEXT_CLAIM)
			context_complete(plic, where.context, value);
		break;
	case PLACE_PENDING:
	case PLACE_NONE:
		break;
	}
	plic_drive(plic);
	pthread_mutex_unlock(&plic->lock);
	return FH_TX_OK;
}

static const struct fh_region_ops plic_regs = {
	.read = plic_read,
	.write = plic_write,
	.valid = { .min = 4, .max = 4 },
	.impl = { .min = 4, .max = 4 },
	.concurrent = true,
};

/* --- Life ----------------------------------------------------------------------------------- */

static enum fh_code plic_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct plic *plic = state;

	(void)object, (void)err;
	pthread_mutex_init(&plic->lock, NULL);
	return FH_OK;
}

static void plic_finalize(struct fh_object *object, void *state)
{
	struct plic *plic = state;

	(void)object;
	free(plic->contexts);
	pthread_mutex_destroy(&plic->lock);
}

static void make_lines(struct fh_device *device, struct plic *plic)
{
	char name[32];

	for (unsigned i = 0; i < plic->context_count; i++) {
		snprintf(name, sizeof(name), "context-%u", i);
		plic->contexts[i].output = fh_irq_new(device, name);
	}
	for (unsigned id = 1; id <= plic->source_count; id++) {
		plic->sources[id].plic = plic;
		plic->sources[id].id = id;
		snprintf(name, sizeof(name), "source-%u", id);
		fh_irq_new_input(device, name, source_changed, &plic->sources[id]);
	}
}

static enum fh_code plic_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct plic *plic = state;

	if (plic->source_count < 1 || plic->source_count > SOURCES_MAX)
		return fh_error_set(err, FH_ERANGE, "sources: 1 to %u, not %u", SOURCES_MAX,
				    plic->source_count);
	if (plic->context_count < 1 || plic->context_count > CONTEXTS_MAX)
		return fh_error_set(err, FH_ERANGE, "contexts: 1 to %u, not %u", CONTEXTS_MAX,
				    plic->context_count);
	/* An attempt that failed may have left some. */
	free(plic->contexts);
	plic->contexts = calloc(plic->context_count, sizeof(*plic->contexts));
	if (!plic->contexts)
		return fh_error_set(err, FH_ENOMEM, "no memory for %u contexts",
				    plic->context_count);
	make_lines(device, plic);
	return fh_device_export(
		device, fh_region_new_mmio(device, "regs", PLIC_SIZE, &plic_regs, plic), err);
}

static void plic_reset_enter(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct plic *plic = state;

	(void)device, (void)type;
	pthread_mutex_lock(&plic->lock);
	for (unsigned id = 1; id <= plic->source_count; id++)
		plic->sources[id].priority = 0;
	for (unsigned i = 0; i < plic->context_count; i++) {
		plic->contexts[i].threshold = 0;
		for (unsigned word = 0; word < WORDS; word++)
			plic->contexts[i].enabled[word] = 0;
	}
	pthread_mutex_unlock(&plic->lock);
}

static void plic_reset_hold(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct plic *plic = state;

	(void)device, (void)type;
	pthread_mutex_lock(&plic->lock);
	plic_drive(plic);
	pthread_mutex_unlock(&plic->lock);
}

/* Only now do the lines stand as the reset of the devices behind them has left them. */
static void plic_reset_exit(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct plic *plic = state;

	(void)device, (void)type;
	pthread_mutex_lock(&plic->lock);
	for (unsigned word = 0; word < WORDS; word++)
		plic->pending[word] = plic->busy[word] = plic->level[word];
	plic_drive(plic);
	pthread_mutex_unlock(&plic->lock);
}

static const struct fh_property plic_properties[] = {
	{ .name = "sources", .kind = FH_PROPERTY_U32, .offset = offsetof(struct plic, source_count),
	  .preset = "95", .description = "interrupt sources, source 0 not counted" },
	{ .name = "contexts", .kind = FH_PROPERTY_U32,
	  .offset = offsetof(struct plic, context_count), .preset = "2",
	  .description = "who can be interrupted: a hart in a mode" },
	{ 0 },
};

const struct fh_type plic_type = {
	.name = "plic",
	.parent = &fh_device_type,
	.state_size = sizeof(struct plic),
	.init = plic_init,
	.finalize = plic_finalize,
	.properties = plic_properties,
	.device = &(const struct fh_device_ops){
		.realize = plic_realize,
		.reset_enter = plic_reset_enter,
		.reset_hold = plic_reset_hold,
		.reset_exit = plic_reset_exit,
	},
};
