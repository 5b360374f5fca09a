/* SPDX-License-Identifier: MIT */
/*
 * The other end of the serial line: the terminal, a file, a pseudo-terminal, or nothing.
 */
#ifndef MACHINE_CONSOLE_H
#define MACHINE_CONSOLE_H

#include <freehold/freehold.h>

#include "hw/uart.h"
#include "machine/loop.h"

struct console;

/*
 * @kind: "stdio", "file:PATH", "pty" or "null". With stdio the terminal is raw from here on, until
 * console_free() or the end of the process, whatever ends it. @quit(arg) is called on any thread
 * when the user asks for the end at the keyboard. Owned by caller.
 * Errors (NULL): FH_EINVAL no such kind; FH_EIO, FH_ENOENT the host refused.
 */
struct console *console_new(const char *kind, struct loop *loop, void (*quit)(void *arg), void *arg,
			    struct fh_error *err);

/* For uart_set_backend(), with the console as its argument. */
extern const struct uart_backend console_backend;

/* Input goes to @port from now on (borrowed), until console_disconnect(). */
void console_connect(struct console *console, struct fh_device *port);

/* No more input, and @port is not used any more. Context: in no callback. */
void console_disconnect(struct console *console);

/*
 * Write what is left and give the terminal back. @hurry: not for longer than a second, for an end
 * that was asked for. Consumed; NULL is allowed. Returns NULL.
 */
struct console *console_free(struct console *console, bool hurry);

#endif
