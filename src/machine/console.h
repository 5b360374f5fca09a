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

/* What the user asks for at the keyboard, on any thread. */
struct console_keys {
	void (*quit)(void *arg);
	void (*go)(void *arg); /* let the harts run, if they do not */
};

/*
 * @kind: "stdio", "file:PATH", "pty" or "null". With stdio the terminal is raw from here on, until
 * console_free() or the end of the process, whatever ends it. @keys is borrowed, its functions are
 * called with @arg. Owned by caller.
 * Errors (NULL): FH_EINVAL no such kind; FH_EIO, FH_ENOENT the host refused.
 */
struct console *console_new(const char *kind, struct loop *loop, const struct console_keys *keys,
			    void *arg, struct fh_error *err);

/* For uart_set_backend(), with the console as its argument. */
extern const struct uart_backend console_backend;

/* Input goes to @port from now on (borrowed), until console_disconnect(). */
void console_connect(struct console *console, struct fh_device *port);

/*
 * The terminal as it was, for others to use while the process is stopped; and raw again, if it is
 * the process's to change. Context: the loop's thread.
 */
void console_suspend(struct console *console);
void console_resume(struct console *console);

/*
 * No more input; what the port still has to send is taken, and it is not used any more. Nothing
 * sends meanwhile. Context: in no callback.
 */
void console_disconnect(struct console *console);

/*
 * Write what is left and give the terminal back. That waits for who reads it, until @hurry(arg),
 * which is asked now and then (NULL: true), says that nobody wants to wait: then it is for a second
 * more. Consumed; NULL is allowed. Returns NULL.
 */
struct console *console_free(struct console *console, bool (*hurry)(void *arg), void *arg);

#endif
