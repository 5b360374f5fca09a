/* SPDX-License-Identifier: MIT */
/*
 * What every other public header needs: visibility, cleanup, error codes, errors, byte order.
 *
 * Everything here is a plain value. Nothing in this file allocates, locks or keeps state, so all
 * of it may be used from any thread and in any context.
 */
#ifndef FREEHOLD_BASE_H
#define FREEHOLD_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Marks what the shared library exports. */
#define FH_API __attribute__((visibility("default")))

#ifdef __cplusplus
#define FH_BEGIN_DECLS extern "C" {
#define FH_END_DECLS }
#else
#define FH_BEGIN_DECLS
#define FH_END_DECLS
#endif

/** The compiler checks the arguments of @a fmt_index as printf does. */
#define FH_PRINTF(fmt_index, args_index) \
	__attribute__((__format__(__printf__, fmt_index, args_index)))

/** Calls @a f(&variable) when the variable goes out of scope. */
#define FH_CLEANUP(f) __attribute__((__cleanup__(f)))

/**
 * fh_steal(&p): yields the pointer p and leaves NULL in its place, so that an FH_CLEANUP on p finds
 * nothing to do. Ownership goes to whoever takes the value.
 */
#ifdef __cplusplus
template <typename T> static inline T *fh_steal(T **ptr)
{
	T *stolen = *ptr;

	*ptr = nullptr;
	return stolen;
}
#else
#define fh_steal(ptr)                                     \
	(__extension__({                                  \
		__typeof__(ptr) fh_steal_ptr_ = (ptr);    \
		__typeof__(*(ptr)) fh_stolen_ = *fh_steal_ptr_; \
		*fh_steal_ptr_ = NULL;                    \
		fh_stolen_;                               \
	}))
#endif

FH_BEGIN_DECLS

/**
 * Outcome of what a user or the host can get wrong. Zero is success, failures are negative. What a
 * programmer gets wrong is an assertion instead, and what a guest gets wrong is an access result.
 */
enum fh_code {
	FH_OK = 0,
	FH_ENOMEM = -1,     /**< memory whose size a user chose could not be had */
	FH_EINVAL = -2,     /**< a value that is never legal here */
	FH_ENOENT = -3,     /**< nothing has that name */
	FH_EEXIST = -4,     /**< the name, slot or number is taken */
	FH_EBUSY = -5,      /**< in use, or in a state that does not permit it now */
	FH_ELOOP = -6,      /**< a cycle would be closed */
	FH_ERANGE = -7,     /**< outside the permitted range, or it overflows */
	FH_EPERM = -8,      /**< not permitted: read-only, refused by a policy */
	FH_ETYPE = -9,      /**< an object or value of another type */
	FH_EIO = -10,       /**< the host failed to read or write */
	FH_ENOTSUP = -11,   /**< not supported by this host, build or object */
	FH_EDEAD = -12,     /**< the object is disposed of */
	FH_EAMBIGUOUS = -13, /**< a partial path names more than one object */
	FH_EFORMAT = -14,   /**< a file, stream or text does not parse */
	FH_ELIMIT = -15,    /**< a documented limit would be exceeded */
	FH_ECANCELED = -16, /**< given up because its owner goes away */
	FH_EAGAIN = -17,    /**< cannot be had at this moment; may succeed later */
};

/**
 * The enumerator's name, such as "FH_ENOENT"; "FH_E?" for a value that is none.
 * @return static storage (borrowed), never NULL
 */
FH_API const char *fh_code_name(enum fh_code code);

/** Size of the text in struct fh_error, its terminating zero included. */
#define FH_ERROR_MESSAGE_SIZE 252

/**
 * Why something failed, in words for the person who asked for it. The caller owns it, usually on
 * its stack; a function that takes one accepts NULL from who only wants the code. The first failure
 * wins: later ones do not overwrite it, so that clean-up on the way out cannot hide the cause.
 */
struct fh_error {
	enum fh_code code;                   /**< FH_OK while nothing failed */
	char message[FH_ERROR_MESSAGE_SIZE]; /**< one line, UTF-8, no newline at its end */
};

/** Initializer: struct fh_error err = FH_ERROR_INIT; */
#ifdef __cplusplus
#define FH_ERROR_INIT {FH_OK, {0}}
#else
#define FH_ERROR_INIT {.code = FH_OK, .message = {0}}
#endif

/**
 * Records a failure, unless one is recorded already. A message that does not fit is cut between
 * two characters and ends in "..."; what in it is a control character or not UTF-8, such as a
 * damaged name, becomes '?'.
 *
 * @param err   where to (borrowed); may be NULL
 * @param code  what failed; not FH_OK
 * @param fmt   as printf
 * @return @a code always, so that `return fh_error_set(err, FH_ENOENT, ...)` is a statement
 */
FH_API enum fh_code fh_error_set(struct fh_error *err, enum fh_code code, const char *fmt, ...)
	FH_PRINTF(3, 4);

/** As fh_error_set(), with the arguments in a list. */
FH_API enum fh_code fh_error_vset(struct fh_error *err, enum fh_code code, const char *fmt,
				  va_list args) FH_PRINTF(3, 0);

/**
 * Puts context before the message of a failure on its way up: fh_error_prefix(err, "device '%s': ",
 * name). Does nothing where @a err is NULL or holds no failure. What does not fit is cut off the
 * tail of the older text.
 */
FH_API void fh_error_prefix(struct fh_error *err, const char *fmt, ...) FH_PRINTF(2, 3);

/** Makes @a err hold no failure, so that it can be used again. NULL is permitted. */
FH_API void fh_error_clear(struct fh_error *err);

/** Byte order of a value in guest memory or in a register. */
enum fh_order {
	FH_LE = 0,     /**< least significant byte first */
	FH_BE = 1,     /**< most significant byte first */
	FH_NATIVE = 2, /**< the order of the host, which is FH_LE on every supported host */
};

FH_END_DECLS

#endif
