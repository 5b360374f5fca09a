/* SPDX-License-Identifier: MIT */
/*
 * Objects: types, the composition tree, who keeps whom alive.
 *
 * An object has two counts in one word. A *ref* is ownership: a caller, the parent in the tree, a
 * strong link. A *pin* is use: a published view that shows it, a mapping, an I/O in flight. When
 * the last ref goes, or the object is removed from the tree, it is *disposed of*: it gives up its
 * place in the machine. When the last pin has gone as well and a grace period is over, it is
 * *finalized*: its memory goes. docs/lifetimes.md states the laws L1 to L8 in full.
 *
 * What holds in all headers, unless a comment says otherwise:
 * - Ownership words: (borrowed) stays the giver's; (ref taken), (owned by caller): to be given
 *   back; (consumed): the callee's from the call on.
 * - Functions may be called from any thread and in any context. What waits says where it may not be
 *   called. Listeners and interrupt inputs are leaves: they call little (see there).
 * - Arguments are of one machine and not NULL. An @c err may always be NULL. On an error nothing
 *   has changed and outputs are untouched.
 * - Guest addresses, offsets and sizes are in bytes; times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef FREEHOLD_OBJECT_H
#define FREEHOLD_OBJECT_H

#include <freehold/base.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

FH_BEGIN_DECLS

struct fh_machine;
struct fh_object;
struct fh_region;
struct fh_space;
struct fh_listener;
struct fh_discard_listener;
struct fh_kvm;
struct fh_iommu_notifier;
struct fh_eventfd;
struct fh_device;
struct fh_bus;
struct fh_clock;
struct fh_irq;
struct fh_timer;
struct fh_bh;
struct fh_io;
struct fh_pin;
struct fh_weak;
struct fh_watch;

/**
 * An argument that takes any object: pass a struct fh_device *, struct fh_region *, ... as it is.
 * A struct fh_machine * stands for the root of its tree.
 */
#ifdef __cplusplus
struct fh_any {
	struct fh_object *object;
	fh_any(decltype(nullptr)) : object(nullptr) {}
	fh_any(struct fh_object *p) : object(p) {}
	fh_any(struct fh_machine *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_region *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_space *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_listener *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_kvm *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_cached *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_discard_listener *p)
		: object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_iommu_notifier *p)
		: object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_eventfd *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_device *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_bus *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_clock *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_irq *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_timer *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_bh *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
	fh_any(struct fh_io *p) : object(reinterpret_cast<struct fh_object *>(p)) {}
};
#define FH_ANY struct fh_any
#else
union fh_any {
	struct fh_object *object;
	struct fh_machine *machine;
	struct fh_region *region;
	struct fh_space *space;
	struct fh_listener *listener;
	struct fh_kvm *kvm;
	struct fh_cached *cached;
	struct fh_discard_listener *discard_listener;
	struct fh_iommu_notifier *iommu_notifier;
	struct fh_eventfd *eventfd;
	struct fh_device *device;
	struct fh_bus *bus;
	struct fh_clock *clock;
	struct fh_irq *irq;
	struct fh_timer *timer;
	struct fh_bh *bh;
	struct fh_io *io;
} __attribute__((transparent_union));
#define FH_ANY union fh_any
#endif

/* --- Types ---------------------------------------------------------------------------------- */

struct fh_property;
struct fh_device_ops;
struct fh_core_ops;

/** An interface is named by the address of one of these; its ops table has a shape of its own. */
struct fh_interface {
	const char *name;
};

/** What a type gives for an interface. */
struct fh_interface_entry {
	const struct fh_interface *interface;
	const void *ops;
};

/**
 * A type: a constant table. Single inheritance. The core allocates @state_size zeroed bytes for
 * each level of the inheritance beside the object, before init and until after finalize returned.
 */
struct fh_type {
	const char *name;	      /**< as used in fh_machine_find_type(), fh_device_plug_named() */
	const struct fh_type *parent; /**< NULL: fh_object_type */
	bool abstract;		      /**< cannot be created itself */
	size_t state_size;

	/**
	 * Base first. May fail: then what earlier levels did is undone and nothing is left (L7).
	 * If the parent goes meanwhile, the birth fails with FH_EDEAD when init has returned; only
	 * then come dispose, without name or parent, and finalize.
	 */
	enum fh_code (*init)(struct fh_object *object, void *state, struct fh_error *err);

	/**
	 * Derived first, once. On control, or where fh_object_unref() says at once, or on the
	 * thread on which its birth, or a realize above it, fails. The object is whole and still
	 * has its name and parent. What lay below it has left, but stays in memory until all levels
	 * have returned: its state may point there. So they do not wait for it to be released.
	 */
	void (*dispose)(struct fh_object *object, void *state);

	/**
	 * Derived first, once. On the machine's reaper thread under no lock; or, for an object that
	 * was never published nor findable, where the last pin goes. Releases memory and handles.
	 */
	void (*finalize)(struct fh_object *object, void *state);

	const struct fh_property *properties;		 /**< ended by an entry without a name */
	const struct fh_interface_entry *interfaces;	 /**< ended by an entry without interface */
	const struct fh_device_ops *device;		 /**< devices only; NULL: as the parent */
	const struct fh_core_ops *core;			 /**< the library's own types only */
};

/** The root of all types. Abstract: an object that is nothing else is of a type of its own. */
FH_API extern const struct fh_type fh_object_type;

/**
 * Make @type known by name in the machine, with its parents (needed only for creation by name
 * and introspection). The table and all it points to stay as they are as long as the machine; so
 * does every type's of which an object is made.
 * Errors: FH_EEXIST, another type has the name.
 */
FH_API enum fh_code fh_machine_add_type(struct fh_machine *m, const struct fh_type *type,
					struct fh_error *err);

/** The type made known to the machine by that name, or NULL (borrowed). */
FH_API const struct fh_type *fh_machine_find_type(struct fh_machine *m, const char *name);

/**
 * Call @visit, under no lock, for every type known to the machine, abstract ones included, in order
 * of their names, until it returns false: of all, or those that are @base or derive from it, or
 * that have @interface (NULL: any).
 */
FH_API void fh_machine_each_type(struct fh_machine *m, const struct fh_type *base,
				 const struct fh_interface *interface,
				 bool (*visit)(const struct fh_type *type, void *arg), void *arg);

/** What it derives from (NULL: it is the root of all), and whether it is @base or derives of it. */
FH_API const struct fh_type *fh_type_parent(const struct fh_type *type);
FH_API bool fh_type_is(const struct fh_type *type, const struct fh_type *base);

/** What the type, or the nearest above, gives for the interface, or NULL. Without a machine. */
FH_API const void *fh_type_interface(const struct fh_type *type,
				     const struct fh_interface *interface);

/* --- Creation, refs ------------------------------------------------------------------------- */

/**
 * A new object outside the tree (owned by caller).
 * Errors (NULL): FH_ETYPE @type is abstract; what a property's default cannot be; whatever an init
 * returned: see fh_object_new_child().
 */
FH_API struct fh_object *fh_object_new(struct fh_machine *m, const struct fh_type *type,
				       struct fh_error *err);

/**
 * A new object as child @name of @parent (borrowed: the parent holds the ref). @name NULL: a child
 * without a name; it is copied.
 * Errors (NULL): as fh_object_new() and fh_object_add_child().
 * If an init fails after it has made something below the object, or waited for room in its name,
 * all of it ends as with fh_object_dispose(), which may wait.
 */
FH_API struct fh_object *fh_object_new_child(FH_ANY parent, const char *name,
					     const struct fh_type *type, struct fh_error *err);

/**
 * One more ref (ref taken). The caller owns one, or knows that one is owned meanwhile (asserted).
 * Returns @object.
 */
FH_API void *fh_object_ref(FH_ANY object);

/**
 * One ref if there still is one: false means the object is on its way out. The memory must be
 * known to be there (a pin, a read section).
 */
FH_API bool fh_object_try_ref(FH_ANY object);

/**
 * Give a ref back (consumed). NULL is allowed. The last one disposes of the object: at once if it
 * was never shown, has no tree below it and never waited for room or held a revocable pin, or if it
 * is one of those that fh_object_dispose() takes at once; else it is hidden at once and the rest is
 * control's. Never waits. Returns NULL:
 * `p = fh_object_unref(p)`. Context, of the last one: not in a listener or an interrupt input.
 */
FH_API void *fh_object_unref(FH_ANY object);

/** fh_object_unref() for FH_CLEANUP: of what the variable points to. */
FH_API void fh_object_unrefp(void *pointer_to_object_pointer);

/**
 * Dispose of the object: remove it and all below it from the machine, in the order of law L6.
 * Regions, spaces, listeners, interrupt lines, timers, bottom halves: at once, never waits, legal
 * in any callback. What owns callbacks or children: outside callbacks, read sections, transactions
 * and finalizers it is done when this returns; inside, it is hidden from the guest when this
 * returns (from a transaction: when that commits) and the rest runs on the machine's control
 * queue. Refs and pins of others stay valid; the name is free when it is done. Twice is harmless,
 * NULL is allowed. Context: not in a listener or an interrupt input.
 */
FH_API void fh_object_dispose(FH_ANY object);

/** True from the moment dispose was asked for or the last ref went; of what lies below: it left. */
FH_API bool fh_object_is_disposed(FH_ANY object);

/* --- Casts ---------------------------------------------------------------------------------- */

/**
 * The object, if it is of @type or derives from it, else NULL (borrowed). NULL is allowed: NULL.
 * Constant cost.
 */
FH_API struct fh_object *fh_object_cast(FH_ANY object, const struct fh_type *type);

/**
 * The state of the level @type of the object (borrowed), which must be of that type (asserted).
 * Constant cost.
 */
FH_API void *fh_object_state(FH_ANY object, const struct fh_type *type);

/**
 * What the object's type, or the nearest above, gives for the interface, or NULL. Constant cost.
 */
FH_API const void *fh_object_interface(FH_ANY object, const struct fh_interface *interface);

/** The object's own type; its machine (borrowed). */
FH_API const struct fh_type *fh_object_get_type(FH_ANY object);
FH_API struct fh_machine *fh_object_get_machine(FH_ANY object);

/* --- The tree ------------------------------------------------------------------------------- */

/**
 * Put @child under @parent, which takes a ref. @name (copied): without '/', not empty; NULL: no
 * name; "name[*]", here and wherever a child is made: "name[N]", where N counts from 0 on what was
 * named so here (numbers of children that are gone are not given again). Regions, spaces, lines and
 * the like have no children (asserted).
 * A child of an owner that is not shown is not shown; of one that was hidden, never: such a one
 * takes only what is born below it, and regions, lines and the like. What a failed realize or birth
 * is undoing takes nothing.
 * Errors: FH_EEXIST the name is taken; FH_EBUSY @child has a parent or a name, or another thread is
 * realizing it, or something below it, while this one realizes what it is put below; FH_EDEAD one
 * of them is disposed of; FH_ELOOP @parent is below @child; FH_EINVAL the name, or two machines.
 */
FH_API enum fh_code fh_object_add_child(FH_ANY parent, const char *name, FH_ANY child,
					struct fh_error *err);

/** The child of that name (ref taken), or NULL. Constant cost. */
FH_API struct fh_object *fh_object_find_child(FH_ANY parent, const char *name);

/** The object at an absolute path ("/a/b"; "/" is the root), or NULL (ref taken). */
FH_API struct fh_object *fh_object_find(struct fh_machine *m, const char *path);

/**
 * The object that a path names, in *ret_object (ref taken). An absolute path begins with '/'. Any
 * other is partial: "b" or "a/b" names an object of the tree whose path ends in "/b", "/a/b". @type
 * is what it must be or derive from (NULL: anything); of partial paths, others do not count.
 * Cost: absolute, one look-up for each part. Partial, one look-up in each object that has a named
 * child, however many it has, under the lock of the tree: no object pays for an index.
 * Errors: FH_ENOENT; FH_ETYPE what the absolute path names is not of @type; FH_EAMBIGUOUS the
 * partial path names more than one, of which the message names two.
 */
FH_API enum fh_code fh_machine_resolve(struct fh_machine *m, const char *path,
				       const struct fh_type *type, struct fh_object **ret_object,
				       struct fh_error *err);

/** The parent (ref taken), or NULL. */
FH_API struct fh_object *fh_object_find_parent(FH_ANY object);

/** Its name, or NULL if it has none. Valid as long as the object (borrowed). */
FH_API const char *fh_object_name(FH_ANY object);

/**
 * The canonical path, or of an object that has left the tree the last one, into @buffer of @size
 * bytes, terminated unless @size is 0. What has no name stands as its type in angle brackets.
 * Returns the length it would need, without the terminator.
 */
FH_API size_t fh_object_path(FH_ANY object, char *buffer, size_t size);

/**
 * Call @visit for every child in order of creation; each is kept alive for the call. Stops when it
 * returns false. Children may be added and removed meanwhile. @visit is called under no lock.
 */
FH_API void fh_object_each_child(FH_ANY parent, bool (*visit)(struct fh_object *child, void *arg),
				 void *arg);

/* --- Pins ----------------------------------------------------------------------------------- */

/**
 * Keep @target's memory until fh_unpin(), in the name of @holder. @kind is a constant string for
 * the ledger ("dma", "cache"), not copied. A pin keeps nothing in the machine: the target may still
 * be disposed of. It ends by itself when the holder is disposed of. The caller has a ref or pin of
 * the target, or found it in the present read section. The result is borrowed from the holder,
 * which keeps it, ended or not, as long as its own memory.
 * Returns NULL if either has been detached (L6).
 */
FH_API struct fh_pin *fh_object_pin(FH_ANY target, FH_ANY holder, const char *kind);

/**
 * The same, and @revoke is called once on control when the target is disposed of, after the drain,
 * unless the holder is hidden or the pin has ended. It should unpin. Context: as a callback of the
 * holder, in its domain. Returns NULL also if the target's dispose has begun.
 */
FH_API struct fh_pin *fh_object_pin_revocable(FH_ANY target, FH_ANY holder, const char *kind,
					      void (*revoke)(struct fh_pin *pin, void *state),
					      void *state);

/**
 * End a pin. NULL is allowed; so is a pin that its holder's dispose has ended, as long as the
 * holder's memory is there. Returns NULL.
 */
FH_API struct fh_pin *fh_unpin(struct fh_pin *pin);

/* --- Weak references, watches --------------------------------------------------------------- */

/**
 * A reference that keeps nothing alive (owned by caller). Of a detached target it reads as NULL.
 */
FH_API struct fh_weak *fh_weak_new(FH_ANY target);
/** The target (ref taken), or NULL once its dispose was asked for. */
FH_API struct fh_object *fh_weak_get(struct fh_weak *weak);
/** Give the reference back (consumed). Returns NULL; NULL is allowed. Also after the machine. */
FH_API struct fh_weak *fh_weak_free(struct fh_weak *weak);

/**
 * Be told once when @target is disposed of: on control after its detach (or where its last ref
 * goes, see struct fh_type). The watch belongs to @holder (borrowed) and goes with it: a holder
 * that has been detached is not told. Returns NULL if either is detached. Context of @disposed:
 * under no lock and in no domain; @target is borrowed for the call.
 */
FH_API struct fh_watch *fh_object_watch(FH_ANY target, FH_ANY holder,
					void (*disposed)(struct fh_object *target, void *state),
					void *state);
/**
 * Not told any more once this returns, unless it is being told at this moment (consumed). NULL is
 * allowed, and a watch that was told, as long as its holder is there. Returns NULL.
 */
FH_API struct fh_watch *fh_watch_remove(struct fh_watch *watch);

/* --- Why is it alive (L8) ------------------------------------------------------------------- */

/**
 * Print why the object is alive: path, state, each ref and pin with holder and kind, and where a
 * view still shows it. For people; takes locks and time in proportion to the machine. @out is
 * written under no lock.
 */
FH_API void fh_object_explain(FH_ANY object, FILE *out);

/** How many objects a machine has had. */
struct fh_ledger {
	uint64_t created; /**< objects ever made, without the machine's own */
	uint64_t died;	  /**< finalized */
	uint64_t alive;	  /**< the rest */
};

/** Counts at this moment; after fh_machine_drain() they are exact for one thread. */
FH_API struct fh_ledger fh_ledger_read(struct fh_machine *m);

/**
 * Print the counts and, for each object alive (of a crowd: for the first hundred), why; as cycles
 * those of pins and refs among objects that are disposed of or have nobody else, with what keeps
 * each: pins by their kind, strong links by their property. Returns the number alive, at most
 * INT_MAX.
 */
FH_API int fh_ledger_print(struct fh_machine *m, FILE *out);

FH_END_DECLS

#endif
