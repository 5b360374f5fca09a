/* SPDX-License-Identifier: MIT */
/*
 * Wires: from a change of an output to the call of an input's sink. The rules are those of irq.h.
 */
#include "base/alloc.h"
#include "base/barrier.h"
#include "device/irq.h"

enum wire_state { WIRE_LOW, WIRE_HIGH, WIRE_GONE };

/* fh_irq.pending: two flags, the number of pulses, the number of wires that are high. */
#define PENDING_BUSY UINT64_C(1)  /* somebody tells */
#define PENDING_AGAIN UINT64_C(2) /* who does looks at the shown bit again before it leaves */
#define PENDING_PULSE UINT64_C(4)
#define PENDING_PULSES UINT64_C(0xfffffffc)
#define PENDING_WIRE (UINT64_C(1) << 32)

struct wire {
	struct fh_deferred deferred;
	struct fh_irq *output, *input; /* C */
	struct fh_list of_input;       /* I: in input->wires */
	_Atomic uint32_t state;	       /* R2 */
};

struct fh_fanout {
	struct fh_deferred deferred;
	uint32_t room;			/* C */
	_Atomic(struct wire *) wires[]; /* I for writing; NULL: free */
};

/* --- Inputs --------------------------------------------------------------------------------- */

static int32_t wires_high(uint64_t pending)
{
	return (int32_t)(pending >> 32);
}

static void input_tell(struct fh_irq *input, struct fh_thread *t, bool level)
{
	/* Acquire: pairs with the release in fh_irq_intercept(). */
	const struct fh_sink *sink = atomic_load_explicit(&input->sink, memory_order_acquire);

	input->told = level;
	if (!sink->changed)
		return;
	fh_thread_hold(t, FH_HELD_LISTENER);
	sink->changed(sink->state, level);
	fh_thread_unhold(t, FH_HELD_LISTENER);
}

/*
 * One step of telling what `pending` says. False: there is nothing to tell. The look at the shown
 * bit lies in the section of the calls (L6).
 */
static bool input_step(struct fh_irq *input, struct fh_thread *t, uint64_t pending)
{
	const bool level = wires_high(pending) > 0;

	if (!fh_object_is_shown(&input->object))
		return false;
	if (pending & PENDING_PULSES) {
		/* Relaxed: a count; who is busy takes off what it has acquired. */
		atomic_fetch_sub_explicit(&input->pending, PENDING_PULSE, memory_order_relaxed);
		if (input->told)
			input_tell(input, t, false);
		input_tell(input, t, true);
		input_tell(input, t, false);
		return true;
	}
	if (input->told == level)
		return false;
	input_tell(input, t, level);
	return true;
}

/* Tells what is to be told (R4). The caller has set BUSY, and is in a read section. */
static void input_deliver(struct fh_irq *input)
{
	struct fh_thread *t = fh_thread_self();

	for (;;) {
		/* Acquire: pairs with the releases in input_change(); what came before is seen. */
		uint64_t pending = atomic_fetch_and_explicit(&input->pending, ~PENDING_AGAIN,
							     memory_order_acquire) &
				   ~PENDING_AGAIN;

		if (input_step(input, t, pending))
			continue;
		FH_POINT("irq.before-leave");
		/* Release: hands `told` to the next who is busy. Fails if something is new. */
		if (atomic_compare_exchange_strong_explicit(&input->pending, &pending,
							    pending & ~PENDING_BUSY,
							    memory_order_release,
							    memory_order_relaxed))
			return;
	}
}

/* What the word becomes; a pulse of a line that is high is none (R5), and too many are as many. */
static uint64_t pending_after(uint64_t pending, int wires, bool pulse)
{
	if (pulse && wires_high(pending) <= 0 && (pending & PENDING_PULSES) != PENDING_PULSES)
		pending += PENDING_PULSE;
	return pending + (uint64_t)wires * PENDING_WIRE;
}

/* @wires more of them are high; or a pulse; or neither: it may be told now. In a read section. */
static void input_change(struct fh_irq *input, int wires, bool pulse)
{
	const uint64_t flags = PENDING_BUSY | (wires == 0 && !pulse ? PENDING_AGAIN : 0);
	uint64_t old = atomic_load_explicit(&input->pending, memory_order_relaxed);

	/* Acquire `told` from who was busy last, release what the driver did. */
	while (!atomic_compare_exchange_weak_explicit(&input->pending, &old,
						      pending_after(old, wires, pulse) | flags,
						      memory_order_acq_rel, memory_order_relaxed))
		;
	if (!(old & PENDING_BUSY))
		input_deliver(input);
}

void fh_input_open(struct fh_irq *input)
{
	input_change(input, 0, false);
}

bool fh_input_level(const struct fh_irq *input)
{
	/* Relaxed: a look at one word. */
	return wires_high(atomic_load_explicit(&input->pending, memory_order_relaxed)) > 0;
}

/* --- Wires ---------------------------------------------------------------------------------- */

static bool output_drives(uint32_t level)
{
	return (level & (OUT_HIGH | OUT_OPEN | OUT_DEAD)) == (OUT_HIGH | OUT_OPEN);
}

/* Put the wire into that state unless it is gone; what it was. Acquire and release: R2. */
static enum wire_state wire_exchange(struct wire *wire, enum wire_state state)
{
	uint32_t old = atomic_load_explicit(&wire->state, memory_order_relaxed);

	do {
		if (old == WIRE_GONE)
			break;
	} while (!atomic_compare_exchange_weak_explicit(&wire->state, &old, state,
							memory_order_acq_rel,
							memory_order_relaxed));
	return old;
}

/* Bring the wire to what its output drives (R2). In a read section. */
static void wire_settle(struct wire *wire)
{
	bool drives;

	do {
		drives = output_drives(
			atomic_load_explicit(&wire->output->level, memory_order_seq_cst));
		FH_POINT("irq.settle");
		const enum wire_state old = wire_exchange(wire, drives ? WIRE_HIGH : WIRE_LOW);

		if (old == WIRE_GONE)
			return;
		if ((old == WIRE_HIGH) != drives)
			input_change(wire->input, drives ? 1 : -1, false);
	} while (output_drives(atomic_load_explicit(&wire->output->level,
						    memory_order_seq_cst)) != drives);
}

/* The wire holds nothing high any more, for ever. In a read section. */
static void wire_end(struct wire *wire)
{
	if (wire_exchange(wire, WIRE_GONE) == WIRE_HIGH)
		input_change(wire->input, -1, false);
}

static void wire_free(struct fh_deferred *deferred)
{
	fh_free(fh_container_of(deferred, struct wire, deferred));
}

/* Ended and in no array: its memory goes after a grace period. */
static void wire_retire(struct wire *wire)
{
	wire->deferred.run = wire_free;
	fh_reaper_defer(wire->input->object.machine->reaper, &wire->deferred, sizeof(*wire));
}

static void fanout_free(struct fh_deferred *deferred)
{
	fh_free(fh_container_of(deferred, struct fh_fanout, deferred));
}

static struct fh_fanout *fanout_of(struct fh_irq *output)
{
	/* seq_cst: R3. */
	return atomic_load_explicit(&output->fanout, memory_order_seq_cst);
}

static struct wire *wire_at(struct fh_fanout *fanout, uint32_t i)
{
	/* seq_cst: R3. */
	return atomic_load_explicit(&fanout->wires[i], memory_order_seq_cst);
}

/* Every wire of the output, settled or pulsed. In a read section. */
void fh_output_drive(struct fh_irq *output, bool pulse)
{
	struct fh_fanout *fanout = fanout_of(output);

	for (uint32_t i = 0; fanout && i < fanout->room; i++) {
		struct wire *wire = wire_at(fanout, i);

		if (!wire)
			continue;
		if (!pulse)
			wire_settle(wire);
		else if (atomic_load_explicit(&wire->state, memory_order_relaxed) != WIRE_GONE)
			input_change(wire->input, 0, true);
	}
}

/* --- Connections ---------------------------------------------------------------------------- */

/* The slot of the wire to @input, or for NULL a free one; NULL if there is none. Line lock held. */
static _Atomic(struct wire *) *slot_find(struct fh_irq *output, const struct fh_irq *input)
{
	struct fh_fanout *fanout = fanout_of(output);

	for (uint32_t i = 0; fanout && i < fanout->room; i++) {
		struct wire *wire = wire_at(fanout, i);

		if ((wire ? wire->input : NULL) == input)
			return &fanout->wires[i];
	}
	return NULL;
}

/* Twice the room. Line lock held. */
static void fanout_grow(struct fh_irq *output)
{
	struct fh_fanout *old = fanout_of(output);
	const uint32_t room = old ? old->room * 2 : 2;
	struct fh_fanout *fanout = fh_zalloc(sizeof(*fanout) + room * sizeof(fanout->wires[0]));

	fanout->room = room;
	for (uint32_t i = 0; old && i < old->room; i++)
		atomic_store_explicit(&fanout->wires[i], wire_at(old, i), memory_order_relaxed);
	fh_barrier_store(&output->fanout, fanout); /* R3 */
	if (old) {
		old->deferred.run = fanout_free;
		fh_reaper_defer(output->object.machine->reaper, &old->deferred,
				sizeof(*old) + old->room * sizeof(old->wires[0]));
	}
}

/* Line lock held. */
static enum fh_code connect_locked(struct fh_irq *output, struct fh_irq *input,
				   struct wire **ret_wire)
{
	struct wire *wire;

	if (fh_object_has(&output->object, FH_OBJECT_DETACHED) ||
	    fh_object_has(&input->object, FH_OBJECT_DETACHED))
		return FH_EDEAD;
	if (slot_find(output, input))
		return FH_EEXIST;
	if (!slot_find(output, NULL))
		fanout_grow(output);
	wire = fh_new(struct wire);
	wire->output = output;
	wire->input = input;
	fh_list_init(&wire->of_input);
	fh_list_add_last(&input->wires, &wire->of_input);
	/* R1: who drives the output may come to the input within a section. */
	fh_object_set_flags(&input->object, FH_OBJECT_FINDABLE);
	fh_object_set_flags(&output->object, FH_OBJECT_FINDABLE);
	fh_barrier_store(slot_find(output, NULL), wire); /* R3 */
	*ret_wire = wire;
	return FH_OK;
}

enum fh_code fh_irq_connect(struct fh_irq *output, struct fh_irq *input)
{
	if (!output || !input)
		return FH_EDEAD;
	struct fh_thread *t = fh_thread_self();
	struct wire *wire = NULL;
	enum fh_code code;

	if (output->is_input || !input->is_input ||
	    output->object.machine != input->object.machine)
		return FH_EINVAL;
	fh_rcu_read_begin(t); /* the wire may be gone as soon as the lock is released */
	fh_lock_acquire_as(fh_irq_lock(output), t);
	code = connect_locked(output, input, &wire);
	fh_lock_release_as(fh_irq_lock(output), t);
	FH_POINT("irq.connected");
	if (code == FH_OK)
		wire_settle(wire);
	fh_rcu_read_end(t);
	return code;
}

/* Off the input's list; the slot is the caller's to clear. Line lock held. */
static void wire_take(_Atomic(struct wire *) *slot, struct wire *wire)
{
	atomic_store_explicit(slot, NULL, memory_order_relaxed);
	fh_list_remove(&wire->of_input);
}

void fh_irq_disconnect(struct fh_irq *output, struct fh_irq *input)
{
	if (!output || !input)
		return;
	struct fh_thread *t = fh_thread_self();
	_Atomic(struct wire *) *slot;
	struct wire *wire = NULL;

	fh_rcu_read_begin(t);
	fh_lock_acquire_as(fh_irq_lock(output), t);
	slot = slot_find(output, input);
	if (slot) {
		wire = atomic_load_explicit(slot, memory_order_relaxed);
		wire_take(slot, wire);
	}
	fh_lock_release_as(fh_irq_lock(output), t);
	if (wire) {
		wire_end(wire);
		wire_retire(wire);
	}
	fh_rcu_read_end(t);
}

/* Any wire of a line that has been detached, taken off both sides; NULL if there is none. */
static struct wire *take_any_wire(struct fh_irq *irq)
{
	struct wire *wire = NULL;
	struct fh_fanout *fanout;
	struct fh_list *node;

	fh_lock_acquire(fh_irq_lock(irq));
	node = fh_list_first(&irq->wires);
	if (node) {
		wire = fh_list_entry(node, struct wire, of_input);
		wire_take(slot_find(wire->output, irq), wire);
	}
	fanout = fanout_of(irq);
	for (uint32_t i = 0; fanout && !wire && i < fanout->room; i++) {
		wire = wire_at(fanout, i);
		if (wire)
			wire_take(&fanout->wires[i], wire);
	}
	fh_lock_release(fh_irq_lock(irq));
	return wire;
}

void fh_irq_strip(struct fh_irq *irq)
{
	struct wire *wire;

	while ((wire = take_any_wire(irq))) {
		wire_end(wire);
		wire_retire(wire);
	}
}
