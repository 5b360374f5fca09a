/* SPDX-License-Identifier: MIT */
/*
 * The terminal: see terminal.h.
 *
 * R1. Its mode is libuv's to save and restore: uv_tty_reset_mode() may be called in signal handlers
 *     and at exit, so that no way out leaves a raw terminal behind.
 */
#include "machine/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct terminal {
	uv_tty_t tty; /* first: closed by the loop, which frees the whole */
};

static void reset_terminal(void)
{
	uv_tty_reset_mode(); /* R1 */
}

/* The handler is gone by now (SA_RESETHAND): the signal ends the process when this returns. */
static void die(int signal)
{
	uv_tty_reset_mode();
	raise(signal);
}

static void catch_death(void)
{
	const int deadly[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGQUIT };
	struct sigaction action = { .sa_handler = die, .sa_flags = (int)SA_RESETHAND };

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		sigaction(deadly[i], &action, NULL);
	atexit(reset_terminal);
}

static void free_tty(uv_handle_t *handle)
{
	free(handle);
}

struct terminal *terminal_new(struct loop *loop, struct fh_error *err)
{
	struct terminal *terminal = calloc(1, sizeof(*terminal));
	int error = terminal ? uv_tty_init(loop_uv(loop), &terminal->tty, STDIN_FILENO, 0) :
			       UV_ENOMEM;

	if (error != 0) {
		fh_error_set(err, FH_EIO, "the terminal: %s", uv_strerror(error));
		free(terminal);
		return NULL;
	}
	catch_death();
	error = uv_tty_set_mode(&terminal->tty, UV_TTY_MODE_RAW);
	if (error == 0)
		return terminal;
	fh_error_set(err, FH_EIO, "the terminal: %s", uv_strerror(error));
	return terminal_free(terminal);
}

void terminal_suspend(struct terminal *terminal)
{
	if (terminal)
		uv_tty_set_mode(&terminal->tty, UV_TTY_MODE_NORMAL);
}

void terminal_resume(struct terminal *terminal)
{
	const pid_t group = tcgetpgrp(STDIN_FILENO);

	/* To change it in the background is to be stopped for that. */
	if (!terminal || (group >= 0 && group != getpgrp()))
		return;
	/* Whatever it was made meanwhile: libuv takes it for raw. */
	uv_tty_set_mode(&terminal->tty, UV_TTY_MODE_NORMAL);
	uv_tty_set_mode(&terminal->tty, UV_TTY_MODE_RAW);
}

struct terminal *terminal_free(struct terminal *terminal)
{
	if (!terminal)
		return NULL;
	uv_tty_reset_mode();
	uv_close((uv_handle_t *)&terminal->tty, free_tty);
	return NULL;
}
