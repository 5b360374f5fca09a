/* SPDX-License-Identifier: MIT */
/*
 * Assertions for what a programmer did wrong, and a few words to the compiler.
 *
 * fh_assert() is on in every build: a broken invariant of a memory map must not reach a guest. The
 * failing path is one out-of-line cold call, so that a check costs a compare and a branch that is
 * never taken. Guests, users and hosts never reach an assertion.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <stddef.h>

#define FH_LIKELY(x) __builtin_expect(!!(x), 1)
#define FH_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define FH_COLD __attribute__((cold, noinline))

/* Prints "freehold: " and the message to standard error with one write(2), and aborts. */
_Noreturn FH_COLD void fh_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same with "file:line: function: what". */
_Noreturn FH_COLD void fh_assert_fail(const char *what, const char *file, int line,
				      const char *function);

#define fh_assert(cond)                                                                  \
	do {                                                                             \
		if (FH_UNLIKELY(!(cond)))                                                \
			fh_assert_fail("assertion failed: " #cond, __FILE__, __LINE__,   \
				       __func__);                                        \
	} while (0)

/* Aborts with a message where control must not come; never undefined behaviour. */
#define fh_unreachable() fh_assert_fail("unreachable code reached", __FILE__, __LINE__, __func__)

/* From a pointer to a member to the structure that holds it. The member's type is checked. */
#define fh_container_of(ptr, type, member)                                               \
	(__extension__({                                                                 \
		__typeof__(((type *)NULL)->member) *fh_member_ = (ptr);                  \
		(type *)(void *)((char *)fh_member_ - offsetof(type, member));           \
	}))

#endif
