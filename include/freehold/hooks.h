/* SPDX-License-Identifier: MIT */
/*
 * Hooks: functions that a program may define and the library then calls, where it would otherwise
 * have the last word. They are bound when the program is linked: there is nothing to register, no
 * state, and no moment at which they are not there yet. Whoever builds a program defines them,
 * once; a library that embeds this one leaves them to its programs.
 *
 * The shared library finds those of the program itself and of the libraries that it is linked with.
 * If it comes in by dlopen(), the program exports them (-rdynamic).
 */
#ifndef FREEHOLD_HOOKS_H
#define FREEHOLD_HOOKS_H

#include <freehold/base.h>

/** Marks what the library calls if the program has it. */
#define FH_HOOK __attribute__((__visibility__("default")))

FH_BEGIN_DECLS

/**
 * The process cannot go on: a programmer's error, or memory that could not be had. @line says which
 * (borrowed; "freehold: ...", one line without a newline at its end). Called instead of writing the
 * line to standard error; when it returns the process aborts. It may end the process itself.
 * Context: any thread, under any lock of the library: it calls nothing of the library. There may be
 * no memory.
 */
FH_HOOK void fh_hook_panic(const char *line);

/**
 * @size bytes, for a structure of the library's own, could not be allocated, for the @attempt-th
 * time in a row (from 1 on). True: something was freed, or will be; it is tried again. False, or
 * without such a hook: the process ends, see fh_hook_panic().
 * What a user, a file or a guest chose the size of is not asked for here: that fails with
 * FH_ENOMEM. Context: as fh_hook_panic(). It may wait for what does not need this library.
 */
FH_HOOK bool fh_hook_no_memory(size_t size, unsigned attempt);

FH_END_DECLS

#endif
