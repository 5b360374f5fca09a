/* SPDX-License-Identifier: MIT */
/*
 * Devices: objects with callbacks that the guest reaches.
 *
 * created -> realized -> (unplug asked for) -> disposed -> finalized. A device and all below it are
 * shown to the guest, in one transaction, when the outermost realize has succeeded, and never
 * before (L7). Callbacks of a device (registers, timers, bottom halves, reset, setters of live
 * properties, completions, revocations) run one at a time: they are serialised by its *domain*. A
 * subtree shares the domain of its topmost device unless a device asks for its own. A device's
 * domain is settled when it is first needed, and stays.
 */
#ifndef FREEHOLD_DEVICE_H
#define FREEHOLD_DEVICE_H

#include <freehold/property.h>
#include <freehold/region.h>
#include <freehold/space.h>

FH_BEGIN_DECLS

struct fh_state_table;

/** What a reset stands for: power that comes on, or a reset line. */
enum fh_reset_type { FH_RESET_COLD, FH_RESET_WARM };

/** A device type's callbacks: struct fh_type.device. One that is NULL is inherited. */
struct fh_device_ops {
	/**
	 * Make regions, lines, timers, children; take resources. On failure everything made here is
	 * undone in reverse by the core; only what the core does not know is undone by hand. Lines
	 * that are driven, timers and bottom halves start to work when the device is shown.
	 * Context: the caller of realize, under no lock, not in a read section; it counts as a
	 * callback in so far as a dispose of something else is hidden at once and finished by the
	 * machine's poll.
	 */
	enum fh_code (*realize)(struct fh_device *device, void *state, struct fh_error *err);
	/**
	 * Give back what realize took and the core does not know: called for each level whose
	 * realize has succeeded, derived first. On control, after the drain; or where a realize
	 * failed later on.
	 */
	void (*unrealize)(struct fh_device *device, void *state);
	/**
	 * The three phases of reset, over the subtree: children first in each. In the domain. One
	 * that is inherited gets the state of the level that brings it.
	 */
	void (*reset_enter)(struct fh_device *device, void *state, enum fh_reset_type type);
	void (*reset_hold)(struct fh_device *device, void *state, enum fh_reset_type type);
	void (*reset_exit)(struct fh_device *device, void *state, enum fh_reset_type type);
	/** Devices of this very type (it is not inherited) do not share their parent's domain. */
	bool own_domain;
	/** What is saved of this level's state (freehold/state.h); NULL: nothing. Not inherited. */
	const struct fh_state_table *saved;
};

/** The root of all device types: abstract. */
FH_API extern const struct fh_type fh_device_type;

/**
 * A new device, child @name of @parent, not realized (borrowed from the parent). A struct
 * fh_machine * as parent: a child of the root. Properties from @settings, in order (may be NULL).
 * Errors (NULL, nothing left): as fh_object_new_child() and fh_object_set_text(); FH_ETYPE, not a
 * device type.
 */
FH_API struct fh_device *fh_device_new(FH_ANY parent, const struct fh_type *type, const char *name,
				       const struct fh_setting *settings, struct fh_error *err);

/**
 * Realize it: the type's realize, derived type's only (which calls fh_device_realize_base() where
 * it wants its parent type's); then children made but not realized, in order of creation; then, if
 * its parent is shown, show it with all that is realized below it. Under a parent that is not
 * shown yet it is shown with that one.
 * On failure everything is undone in reverse and the device is as before; it can be tried again.
 * A device that is disposed of meanwhile is never shown; the dispose waits for the realize to
 * return.
 * Errors: whatever realize returned; FH_EDEAD; FH_EBUSY it is realized, or another thread realizes
 * it or something above or below it at this moment.
 * Context: not in a transaction or read section, and so in a callback only between
 * fh_blocking_begin() and end, and not in one of the same domain (all asserted).
 */
FH_API enum fh_code fh_device_realize(struct fh_device *device, struct fh_error *err);

/**
 * To be called in a realize, at most once: the realize of the nearest type above @level which has
 * one. @level is the type whose realize calls it (asserted: one of the device's).
 * Errors: whatever that returned.
 */
FH_API enum fh_code fh_device_realize_base(struct fh_device *device, const struct fh_type *level,
					   struct fh_error *err);

/**
 * New and realize (borrowed from the parent): fh_device_new(), then fh_device_realize(), with their
 * contexts and errors. If realize fails the device is disposed of and NULL returned.
 */
FH_API struct fh_device *fh_device_plug(FH_ANY parent, const struct fh_type *type, const char *name,
					const struct fh_setting *settings, struct fh_error *err);
/** The same by the name of a type known to the machine (fh_machine_add_type()); FH_ENOENT. */
FH_API struct fh_device *fh_device_plug_named(FH_ANY parent, const char *type, const char *name,
					      const struct fh_setting *settings,
					      struct fh_error *err);

/**
 * Remove the device at once and whatever it is doing: fh_object_dispose(), with its contexts. From
 * any thread, also from its own callbacks. NULL is allowed. Returns NULL.
 */
FH_API struct fh_device *fh_device_unplug(struct fh_device *device);

/** Between a realize that succeeded and its unrealize. */
FH_API bool fh_device_is_realized(struct fh_device *device);

/** The device's state at the level of its own type (borrowed). */
FH_API void *fh_device_state(struct fh_device *device);

/**
 * Offer @region, which the device owns, to whoever places the device, under its name and the next
 * index, from 0 on. Nothing is kept alive.
 * Errors: FH_EINVAL not its own; FH_EDEAD region is NULL or disposed of; FH_EEXIST it is exported;
 * FH_ELIMIT there are 65,535.
 */
FH_API enum fh_code fh_device_export(struct fh_device *device, struct fh_region *region,
				     struct fh_error *err);
/**
 * An exported region by name or by index in order of export, or NULL (borrowed from the device).
 */
FH_API struct fh_region *fh_device_region(struct fh_device *device, const char *name);
FH_API struct fh_region *fh_device_region_at(struct fh_device *device, unsigned index);

/**
 * Reset the device and all below it that is shown: enter, hold, exit, each over the whole subtree.
 * In a callback, too: it is done when this returns if the callback's domain is that of the whole
 * subtree, else by the machine's next poll. Waits for the domains of the subtree. Context: not in
 * a transaction, a listener or an interrupt input (asserted).
 */
FH_API void fh_device_reset(struct fh_device *device, enum fh_reset_type type);
/** Every device of the machine, as one subtree. */
FH_API void fh_machine_reset(struct fh_machine *m, enum fh_reset_type type);

/**
 * Run @call(state) in the device's domain, as one of its callbacks, for which this waits: false,
 * and not called, if the device is not shown or the domain could only be entered again (see
 * FH_TX_REENTRY). Context: as fh_device_reset().
 */
FH_API bool fh_device_call(struct fh_device *device, void (*call)(void *state), void *state);

/* --- Interrupt lines ------------------------------------------------------------------------ */

/*
 * A line is an output or an input of a device. Any number of outputs drive an input (it is high
 * while one of them is), any number of inputs hang on an output. Lines die with their device: then
 * an output is low and all connections of either are gone. A connection keeps nobody alive. What an
 * output does before its device is shown goes out then.
 */

/**
 * An output (borrowed: child @name of @device, which is copied), low. NULL if the device has been
 * detached. A name that is taken is a programmer's error (asserted), here and for inputs, timers
 * and bottom halves.
 */
FH_API struct fh_irq *fh_irq_new(struct fh_device *device, const char *name);

/**
 * An input (borrowed: child @name of @device), as an output is. @changed(state, level) (may be
 * NULL) is told each change, in order, of the same input never on two threads at once. Context: a
 * leaf, inside a read section, with whatever the driving thread holds: it takes no domain, does
 * not access, edit, dispose or block; it may drive other lines.
 */
FH_API struct fh_irq *fh_irq_new_input(struct fh_device *device, const char *name,
				       void (*changed)(void *state, bool level), void *state);

/**
 * The input follows the output from now on, and is told at once if that is high. Both may be NULL.
 * Errors: FH_EEXIST connected already; FH_EINVAL not an output and an input, or two machines;
 * FH_EDEAD one of them is NULL or detached.
 */
FH_API enum fh_code fh_irq_connect(struct fh_irq *output, struct fh_irq *input);
/**
 * Undo it; without a connection, or with NULL, nothing happens. The output drives the input no
 * more.
 */
FH_API void fh_irq_disconnect(struct fh_irq *output, struct fh_irq *input);

/**
 * Drive an output. NULL is allowed, and does nothing. Inputs are told in this call, or by a thread
 * that is telling them just now. Any context but a transaction (asserted).
 */
FH_API void fh_irq_set(struct fh_irq *output, bool level);
static inline void fh_irq_raise(struct fh_irq *output)
{
	fh_irq_set(output, true);
}
static inline void fh_irq_lower(struct fh_irq *output)
{
	fh_irq_set(output, false);
}
/**
 * An edge: high and low again. Every input that no other output holds high at that moment is told a
 * rise and a fall of its own for it.
 */
FH_API void fh_irq_pulse(struct fh_irq *output);
/** The present level of either kind; of NULL, low. */
FH_API bool fh_irq_level(struct fh_irq *irq);
/** A child line by name, or NULL (borrowed). */
FH_API struct fh_irq *fh_device_irq(struct fh_device *device, const char *name);

/**
 * For tests: @changed is told instead of the input's own callback, until this is called with NULL.
 */
FH_API void fh_irq_intercept(struct fh_irq *input, void (*changed)(void *state, bool level),
			     void *state);

/* --- Timers, bottom halves ------------------------------------------------------------------ */

/**
 * Both run on the thread that polls the machine, as callbacks of their device, and never again once
 * the device is hidden. NULL if the device has been detached; with that NULL all of these do
 * nothing.
 */
FH_API struct fh_timer *fh_timer_new(struct fh_device *device, const char *name,
				     void (*expired)(void *state), void *state);
/** One-shot at @deadline (fh_machine_now()); replaces what was armed. Any thread, any context. */
FH_API void fh_timer_arm(struct fh_timer *timer, uint64_t deadline);
/**
 * Not armed any more; its callback may be running at this moment, but not if the caller is in
 * another callback of the same device.
 */
FH_API void fh_timer_cancel(struct fh_timer *timer);
FH_API bool fh_timer_is_armed(struct fh_timer *timer);
/** The same; and if it is, *@ret_deadline is when it expires. */
FH_API bool fh_timer_deadline(struct fh_timer *timer, uint64_t *ret_deadline);

/** A bottom half: @run(state) each time after it was scheduled. As fh_timer_new(). */
FH_API struct fh_bh *fh_bh_new(struct fh_device *device, const char *name, void (*run)(void *state),
			       void *state);
/** Run it soon, once for any number of calls before it starts. Any thread, any context. */
FH_API void fh_bh_schedule(struct fh_bh *bh);

/* --- I/O that may outlive its device -------------------------------------------------------- */

/**
 * An operation in flight (owned by caller), as a holder of pins of its own (L4): give it to
 * fh_space_map() and fh_space_find(). It pins its device and ends with fh_io_complete(), from any
 * thread. @kind as in fh_object_pin(). NULL if the device has been detached.
 */
FH_API struct fh_io *fh_io_begin(struct fh_device *device, const char *kind);
/**
 * The operation (consumed) is over: @done(state) is called as a callback of the device unless the
 * device is hidden (NULL: nothing is called); then all pins of the operation are released. NULL is
 * allowed. Returns NULL. Context: as fh_device_call(); a chain that holds the device's domain
 * already gets no call.
 */
FH_API struct fh_io *fh_io_complete(struct fh_io *io, void (*done)(void *state), void *state);

FH_END_DECLS

#endif
