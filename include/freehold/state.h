/* SPDX-License-Identifier: MIT */
/*
 * The state of devices as a stream of bytes, and back: for snapshots, migration, replay.
 *
 * A device type describes its state by one table (struct fh_device_ops.saved), which serves both
 * ways. What a level of a type describes is its own: the tables of a type's parents are used too,
 * base first. docs/state.md has the format of the stream, byte by byte.
 *
 * The stream is not trusted. What is damaged, cut off or another machine's is refused by an error
 * that names the device and the field, before anything of the machine has changed: all is read into
 * copies of the states, every check is made on these, and then they change places with the states.
 *
 * A device's state is looked at and changed in its domain, one device after the other. Whoever
 * wants a moment of the whole machine stops what drives it (vCPUs, the poll) meanwhile.
 */
#ifndef FREEHOLD_STATE_H
#define FREEHOLD_STATE_H

#include <freehold/device.h>

FH_BEGIN_DECLS

/** What a field is. One whose size is a multiple of its kind's is an array. */
enum fh_state_kind {
	FH_STATE_NONE,
	FH_STATE_BOOL, /**< bool; anything but 0 and 1 is refused */
	FH_STATE_U8,
	FH_STATE_U16,
	FH_STATE_U32,
	FH_STATE_U64,
	FH_STATE_I8,
	FH_STATE_I16,
	FH_STATE_I32,
	FH_STATE_I64,
	FH_STATE_BYTES,	 /**< bytes as they are */
	FH_STATE_STRING, /**< char [], terminated; or a char * where @c max is set (NULL: as "") */
	FH_STATE_STRUCT, /**< as @c table says */
	FH_STATE_TIMER,	 /**< struct fh_timer *: whether it is armed, and how long it still has */
};

struct fh_state_table;

/** A field of a state. FH_STATE() and its like fill it in. Constant, as the table. */
struct fh_state_field {
	const char *name; /**< in the stream: 1 to 255 bytes, unlike all others of the table */
	enum fh_state_kind kind;
	size_t offset;
	size_t size;	/**< sizeof the member: a whole number of elements */
	unsigned since; /**< in streams of this version and above; 0: in all */
	/**
	 * Whether this device has it, NULL: it does. Looks only at what precedes it in the table
	 * and at what does not change once the device is realized: in a restore it gets the copy.
	 */
	bool (*exists)(const void *state);
	const struct fh_state_table *table; /**< FH_STATE_STRUCT: of one element */
	/**
	 * The number of elements in use is a member of this kind (U8 to U64) at @c length_offset,
	 * no field of its own; FH_STATE_NONE: all are. For @c max this is needed but for a string.
	 */
	enum fh_state_kind length_kind;
	size_t length_offset;
	/**
	 * Not 0: the member points to the elements, from malloc(), NULL for none; at most so many
	 * (a string's bytes). A restore frees the old ones. Neither timers nor further pointers in
	 * them.
	 */
	uint32_t max;
};

/** What is saved of a state. A constant. */
struct fh_state_table {
	const char *name;	  /**< of a subsection; else not looked at */
	unsigned version;	  /**< what is written, from 1 on */
	unsigned minimum_version; /**< the oldest that is understood; 0: every one */
	size_t size;		  /**< of one element, of FH_STATE_STRUCT */
	const struct fh_state_field *fields; /**< ended by one without a name; may be NULL */
	/**
	 * Tables of the same state that are saved where they are needed(), and not missed where
	 * they are not in a stream; ended by NULL. One that the device does not know is refused. So
	 * what few devices use can be added without a new version. Not of a struct.
	 */
	const struct fh_state_table *const *subsections;
	/** As exists() of a field: whether there is anything to be saved. NULL: yes. */
	bool (*needed)(const void *state);

	/* None of these of a struct. */

	/** Before it is saved: bring the state up to date, or refuse. In the domain. */
	enum fh_code (*pre_save)(struct fh_device *device, void *state, struct fh_error *err);
	/**
	 * May what was read become the state? @state is a copy, to be looked at only; @version is
	 * the stream's. Here to refuse leaves everything as it was. May be called on any device of
	 * the stream before any is changed.
	 */
	enum fh_code (*check)(const void *state, unsigned version, struct fh_error *err);
	/**
	 * All devices have their new states: bring what follows from it (lines, what is mapped) in
	 * line. In the domain; in the order of the stream, base first, subsections before the table
	 * that has them. If it refuses, all devices get their old states back, and those that
	 * were called are called once more, with the present version; what refuses that needs a
	 * reset, and the error says so.
	 */
	enum fh_code (*post_load)(struct fh_device *device, void *state, unsigned version,
				  struct fh_error *err);
};

/** FH_STATE(U32, struct uart, divisor): a field by the name of its member. */
#define FH_STATE(kind_, struct_, member_) FH_STATE_SINCE(0, kind_, struct_, member_)
/** The same, new in a version. */
#define FH_STATE_SINCE(version_, kind_, struct_, member_)                              \
	{                                                                              \
		.name = #member_, .kind = FH_STATE_##kind_,                            \
		.offset = offsetof(struct_, member_),                                  \
		.size = sizeof(((struct_ *)0)->member_), .since = (version_),          \
	}
/** A struct or an array of them. */
#define FH_STATE_OF(table_, struct_, member_)                                          \
	{                                                                              \
		.name = #member_, .kind = FH_STATE_STRUCT,                             \
		.offset = offsetof(struct_, member_),                                  \
		.size = sizeof(((struct_ *)0)->member_), .table = (table_),            \
	}
/** An array in the state of which the first so many are used as the member @length_ says. */
#define FH_STATE_SOME(kind_, struct_, member_, length_kind_, length_)                  \
	{                                                                              \
		.name = #member_, .kind = FH_STATE_##kind_,                            \
		.offset = offsetof(struct_, member_),                                  \
		.size = sizeof(((struct_ *)0)->member_),                               \
		.length_kind = FH_STATE_##length_kind_,                                \
		.length_offset = offsetof(struct_, length_),                           \
	}
/** An array that the member points to. */
#define FH_STATE_POINTER(kind_, struct_, member_, length_kind_, length_, max_)         \
	{                                                                              \
		.name = #member_, .kind = FH_STATE_##kind_,                            \
		.offset = offsetof(struct_, member_),                                  \
		.size = sizeof(((struct_ *)0)->member_),                               \
		.length_kind = FH_STATE_##length_kind_,                                \
		.length_offset = offsetof(struct_, length_), .max = (max_),            \
	}

/** Where a stream goes. */
struct fh_state_writer {
	/** All of @data, or an error. Under no lock and not in a read section. */
	enum fh_code (*write)(void *arg, const void *data, size_t size, struct fh_error *err);
	void *arg;
};

/** A stream in memory; all zero is an empty one. */
struct fh_state_buffer {
	uint8_t *data;
	size_t size;
	size_t room;
};
/** A writer that appends to it (borrowed). Its errors: FH_ENOMEM. */
FH_API struct fh_state_writer fh_state_buffer_writer(struct fh_state_buffer *buffer);
/** Free what it holds and make it empty. */
FH_API void fh_state_buffer_free(struct fh_state_buffer *buffer);

/**
 * Write the state of all devices at and below @top (a device, a machine, any object) that are
 * shown and have a table, parents before children. A device that goes meanwhile is left out.
 * Errors, after which what was written is of no use: whatever the writer or a pre_save returns;
 * FH_EINVAL a device or something above it has no name; FH_ELIMIT the state of one takes 4 GiB;
 * FH_ENOMEM. Context: not in a callback, read section or transaction (asserted).
 */
FH_API enum fh_code fh_state_save(FH_ANY top, const struct fh_state_writer *writer,
				  struct fh_error *err);

/**
 * Give all devices at and below @top that are shown and have a table the state that the stream
 * says (borrowed). They are found by their path and must be of the same type. All or nothing, but
 * see struct fh_state_table.post_load.
 * Errors: FH_EFORMAT damaged, cut off, or not as the tables say; FH_ENOTSUP a version or
 * subsection that is not known; FH_ENOENT a device of the stream is not in the machine, or the
 * other way round; FH_ETYPE it is of another type; FH_EDEAD one went meanwhile; FH_ENOMEM;
 * whatever a check or post_load returns. Context: as fh_state_save().
 */
FH_API enum fh_code fh_state_restore(FH_ANY top, const void *data, size_t size,
				     struct fh_error *err);

FH_END_DECLS

#endif
