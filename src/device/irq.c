/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines: their birth, their end, and how they are driven. The rules are those of irq.h.
 */
#include "device/irq.h"

#include "base/alloc.h"
#include "base/barrier.h"

/* --- Life ----------------------------------------------------------------------------------- */

/* L6 step 4: low, then alone. The sinks that are told are leaves below the topology lock. */
static void irq_detach(struct fh_object *object)
{
	struct fh_irq *irq = fh_irq_of(object);
	struct fh_thread *t = fh_thread_self();

	fh_rcu_read_begin(t);
	if (!irq->is_input) {
		fh_barrier_store(&irq->level, OUT_DEAD); /* R3 */
		fh_output_drive(irq, false);
	}
	fh_irq_strip(irq);
	fh_rcu_read_end(t);
}

/* Topology and tree lock held: no foreign code can be called, so that the line is put on a list. */
static void irq_shown_changed(struct fh_object *object)
{
	struct fh_irq *irq = fh_irq_of(object);
	struct fh_devices *devices = object->machine->devices;

	if (!fh_object_is_shown(object))
		return;
	fh_lock_acquire(&devices->line_lock);
	if (!fh_list_linked(&irq->opened)) {
		fh_object_hold(object);
		fh_list_add_last(&devices->opened, &irq->opened);
	}
	fh_lock_release(&devices->line_lock);
}

/* What the output did before is made up for (R6). In a read section. */
static void output_open(struct fh_irq *output)
{
	uint32_t old = atomic_load_explicit(&output->level, memory_order_relaxed);

	/* seq_cst: R3. */
	while (!atomic_compare_exchange_weak_explicit(&output->level, &old,
						      (old | OUT_OPEN) & ~(uint32_t)OUT_PULSED,
						      memory_order_seq_cst, memory_order_relaxed))
		;
	if ((old & OUT_PULSED) && !(old & OUT_DEAD))
		fh_output_drive(output, true);
	fh_output_drive(output, false);
}

static struct fh_irq *take_opened(struct fh_devices *devices)
{
	struct fh_list *node;

	fh_lock_acquire(&devices->line_lock);
	node = fh_list_pop(&devices->opened);
	fh_lock_release(&devices->line_lock);
	return node ? fh_list_entry(node, struct fh_irq, opened) : NULL;
}

void fh_irqs_open(struct fh_machine *m)
{
	struct fh_thread *t = fh_thread_self();
	struct fh_irq *irq;

	while ((irq = take_opened(m->devices))) {
		fh_rcu_read_begin(t);
		if (irq->is_input)
			fh_input_open(irq);
		else
			output_open(irq);
		fh_rcu_read_end(t);
		fh_object_unhold(&irq->object);
	}
}

static void irq_finalize(struct fh_object *object)
{
	struct fh_irq *irq = fh_irq_of(object);
	struct fh_sink *sink = atomic_load_explicit(&irq->sink, memory_order_relaxed);

	fh_assert(fh_list_empty(&irq->wires));
	fh_free(atomic_load_explicit(&irq->fanout, memory_order_relaxed));
	if (sink != &irq->own)
		fh_free(sink);
	fh_object_unhold(&irq->device->object);
}

static struct fh_object *irq_held(struct fh_object *object)
{
	return &fh_irq_of(object)->device->object;
}

static const struct fh_core_ops irq_core = {
	.size = sizeof(struct fh_irq),
	.immediate = true,
	.detach = irq_detach,
	.shown_changed = irq_shown_changed,
	.finalize = irq_finalize,
	.held_by_nature = irq_held,
};

static const struct fh_type irq_type = { .name = "irq", .core = &irq_core };

struct irq_arg {
	struct fh_device *device;
	bool is_input;
	void (*changed)(void *state, bool level);
	void *state;
};

static enum fh_code irq_construct(struct fh_object *object, void *arg, struct fh_error *err)
{
	const struct irq_arg *made = arg;
	struct fh_irq *irq = fh_irq_of(object);

	(void)err;
	irq->device = made->device;
	irq->is_input = made->is_input;
	irq->own.changed = made->changed;
	irq->own.state = made->state;
	/* Relaxed: nobody has the line yet. */
	atomic_store_explicit(&irq->sink, &irq->own, memory_order_relaxed);
	fh_list_init(&irq->opened);
	fh_list_init(&irq->wires);
	fh_object_hold(&made->device->object);
	return FH_OK;
}

struct fh_irq *fh_irq_new(struct fh_device *device, const char *name)
{
	struct irq_arg made = { .device = device };
	struct fh_object *object =
		fh_device_new_part(device, name, &irq_type, irq_construct, &made);

	/* Of a device that is shown already nobody will be told that it is. */
	if (object && fh_object_is_shown(object))
		atomic_fetch_or_explicit(&fh_irq_of(object)->level, OUT_OPEN, memory_order_seq_cst);
	return (struct fh_irq *)object;
}

struct fh_irq *fh_irq_new_input(struct fh_device *device, const char *name,
				void (*changed)(void *state, bool level), void *state)
{
	struct irq_arg made = {
		.device = device, .is_input = true, .changed = changed, .state = state
	};

	return (struct fh_irq *)fh_device_new_part(device, name, &irq_type, irq_construct, &made);
}

/* --- Driving -------------------------------------------------------------------------------- */

static void assert_may_drive(const struct fh_irq *output, const struct fh_thread *t)
{
	fh_assert(!output->is_input);
	/* Not in a transaction; but a sink may, whatever the thread that drives it is in. */
	fh_assert(!fh_thread_holds(t, FH_HELD_TOPOLOGY) ||
		  fh_thread_holds(t, FH_HELD_LISTENER));
}

void fh_irq_set(struct fh_irq *output, bool level)
{
	if (!output)
		return;
	struct fh_thread *t = fh_thread_self();
	const uint32_t now = atomic_load_explicit(&output->level, memory_order_relaxed);

	assert_may_drive(output, t);
	if (((now & OUT_HIGH) != 0) == level || (now & OUT_DEAD))
		return;
	fh_rcu_read_begin(t);
	FH_POINT("irq.before-set");
	/* seq_cst: R3. */
	if (level)
		atomic_fetch_or_explicit(&output->level, OUT_HIGH, memory_order_seq_cst);
	else
		atomic_fetch_and_explicit(&output->level, ~(uint32_t)OUT_HIGH,
					  memory_order_seq_cst);
	fh_output_drive(output, false);
	fh_rcu_read_end(t);
}

void fh_irq_pulse(struct fh_irq *output)
{
	if (!output)
		return;
	struct fh_thread *t = fh_thread_self();
	uint32_t old = atomic_load_explicit(&output->level, memory_order_relaxed);
	uint32_t after;

	assert_may_drive(output, t);
	fh_rcu_read_begin(t);
	do {
		after = old & ~(uint32_t)OUT_HIGH;
		if (!(old & (OUT_OPEN | OUT_DEAD)))
			after |= OUT_PULSED;
		/* seq_cst: R3. */
	} while (!atomic_compare_exchange_weak_explicit(&output->level, &old, after,
							memory_order_seq_cst,
							memory_order_relaxed));
	if (old & OUT_HIGH)
		fh_output_drive(output, false);
	if ((old & OUT_OPEN) && !(old & OUT_DEAD))
		fh_output_drive(output, true);
	fh_rcu_read_end(t);
}

bool fh_irq_level(struct fh_irq *irq)
{
	if (!irq)
		return false;
	/* Relaxed: a look at one word. */
	if (irq->is_input)
		return fh_input_level(irq);
	return (atomic_load_explicit(&irq->level, memory_order_relaxed) & (OUT_HIGH | OUT_DEAD)) ==
	       OUT_HIGH;
}

struct fh_irq *fh_device_irq(struct fh_device *device, const char *name)
{
	struct fh_object *object = fh_object_find_child(device, name);
	struct fh_object *irq = fh_object_cast(object, &irq_type);

	fh_object_unref(object);
	return (struct fh_irq *)irq;
}

static void sink_free(struct fh_deferred *deferred)
{
	fh_free(fh_container_of(deferred, struct fh_sink, deferred));
}

void fh_irq_intercept(struct fh_irq *input, void (*changed)(void *state, bool level), void *state)
{
	struct fh_sink *sink = &input->own;
	struct fh_sink *old;

	fh_assert(input->is_input);
	if (changed) {
		sink = fh_new(struct fh_sink);
		sink->changed = changed;
		sink->state = state;
	}
	/* Release: pairs with the acquire in input_tell(). */
	old = atomic_exchange_explicit(&input->sink, sink, memory_order_acq_rel);
	if (old != &input->own) {
		old->deferred.run = sink_free;
		fh_reaper_defer(input->object.machine->reaper, &old->deferred, sizeof(*old));
	}
}
