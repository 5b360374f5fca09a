/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines: outputs drive inputs through wires. wire.c is what lies between the two, irq.c
 * the lines themselves.
 *
 * R1. Wires come and go under the machine's line lock. Who drives an output takes no lock: in a
 *     read section it walks the output's array of wires, which is replaced when it grows; arrays
 *     and wires are freed after a grace period. Wires count nothing (L2): an input is finalized a
 *     grace period after it was taken off its last wire.
 * R2. A wire knows whether it holds its input high (WIRE_HIGH). It is brought to what its output
 *     drives by exchanges on that one word, each followed by a look at the output again: of two
 *     threads that do so at once, the later one in the order of exchanges has seen what the other
 *     one saw, so that the last one to change the output decides. WIRE_GONE is final.
 * R3. A connection stores the wire and then looks at the output's level; a change stores the level
 *     and then looks at the wires. The stores are fh_barrier_store() or seq_cst exchanges, the
 *     looks seq_cst loads: one of the two sees the other.
 * R4. An input's pending word counts the wires that hold it high, and pulses that are not told yet.
 *     Who finds it not busy tells, until there is nothing to tell; others leave after changing the
 *     word. No lock is held while foreign code runs, and an input is never told on two threads at
 *     once.
 * R5. A pulse is counted unless the input is held high by a wire at that moment: a line that is
 *     high has no edge. Each that is counted is told as one rise and one fall.
 * R6. Nothing goes out before the output's device is shown (L7), or is told before the input's is;
 *     both are made up for then. From hide on nothing is told to an input of the subtree, as its
 *     own shown bit is looked at in the section before each call (L6). An output stays as it is
 *     until its detach, which lowers it.
 * R7. A sink is a leaf: while it runs its thread counts as holding FH_HELD_LISTENER.
 */
#ifndef DEVICE_IRQ_H
#define DEVICE_IRQ_H

#include "device/device.h"

struct fh_fanout;

/* fh_irq.level of an output. */
enum output_bit {
	OUT_HIGH = 1 << 0,
	OUT_OPEN = 1 << 1,   /* its device has been shown (R6) */
	OUT_PULSED = 1 << 2, /* before that */
	OUT_DEAD = 1 << 3,   /* detached: low for ever */
};

struct fh_sink {
	struct fh_deferred deferred;
	void (*changed)(void *state, bool level); /* C, may be NULL */
	void *state;				  /* C */
};

struct fh_irq {
	struct fh_object object;
	struct fh_device *device; /* C */
	bool is_input;		  /* C */
	struct fh_list opened;	  /* I: in fh_devices.opened */

	/* An output. */
	_Atomic uint32_t level;		 /* enum output_bit */
	_Atomic(struct fh_fanout *) fanout; /* I for writing; NULL until the first wire */

	/* An input. */
	_Atomic uint64_t pending;    /* R4 */
	bool told;		     /* of who is busy: the level it was told last */
	_Atomic(struct fh_sink *) sink; /* own, or a test's */
	struct fh_sink own;
	struct fh_list wires; /* I: wire.of_input */
};

static inline struct fh_irq *fh_irq_of(struct fh_object *object)
{
	return (struct fh_irq *)object;
}

static inline struct fh_lock *fh_irq_lock(const struct fh_irq *irq)
{
	return &irq->object.machine->devices->line_lock;
}

/* Settle every wire of the output, or pulse it. In a read section. */
void fh_output_drive(struct fh_irq *output, bool pulse);
/* Tell the input what it could not be told before it was shown. In a read section. */
void fh_input_open(struct fh_irq *input);
bool fh_input_level(const struct fh_irq *input);
/* Take all wires off a line that has been detached. In a read section. */
void fh_irq_strip(struct fh_irq *irq);

#endif
