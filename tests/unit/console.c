/* SPDX-License-Identifier: MIT */
/*
 * The console: that no byte is lost between the port and whoever is at the other end, whether he
 * reads, does not, hangs up or comes back; the keys; and the terminal, which is itself again.
 */
#include "support/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "hw/uart.h"
#include "machine/console.h"
#include "support/scale.h"

#define BASE 0x10000000

enum { DATA, IER, FCR, LCR, MCR, LSR };
enum { LSR_DATA = 0x01, LSR_EMPTY = 0x20 };

struct world {
	struct fh_machine *m;
	struct loop *loop;
	struct fh_device *uart;
	struct console *console;
	const struct uart_backend *backend; /* instead of the console's own */
	int saved[3]; /* the process's own descriptors */
	int far_in;   /* what the console reads is written here */
	int far_out;  /* and what it writes is read here */
	_Atomic int quits, goes;
	int asked; /* for hurry */
	int patience;
};

static void quit(void *arg)
{
	atomic_fetch_add_explicit(&((struct world *)arg)->quits, 1, memory_order_relaxed);
}

static void go(void *arg)
{
	atomic_fetch_add_explicit(&((struct world *)arg)->goes, 1, memory_order_relaxed);
}

static const struct console_keys keys = { .quit = quit, .go = go };

static bool hurry(void *arg)
{
	struct world *w = arg;

	return ++w->asked > w->patience;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	signal(SIGPIPE, SIG_IGN);
	w->m = machine_begin();
	w->loop = loop_new(NULL);
	w->far_in = w->far_out = -1;
	for (int i = 0; i < 3; i++)
		w->saved[i] = dup(i);
	*state = w;
	return 0;
}

static void restore(struct world *w)
{
	for (int i = 0; i < 3; i++)
		dup2(w->saved[i], i);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	restore(w);
	for (int i = 0; i < 3; i++)
		close(w->saved[i]);
	if (w->far_in >= 0 && w->far_in != w->far_out)
		close(w->far_in);
	if (w->far_out >= 0)
		close(w->far_out);
	loop_free(w->loop);
	machine_end(w->m);
	free(w);
	return 0;
}

/* The port, with the console behind it. */
static void open_console(struct world *w, const char *kind)
{
	w->console = console_new(kind, w->loop, &keys, w, NULL);
	assert_non_null(w->console);
	w->uart = fh_device_new(w->m, &uart_type, "uart", NULL, NULL);
	uart_set_backend(w->uart, w->backend ? w->backend : &console_backend, w->console);
	assert_int_equal(fh_device_realize(w->uart, NULL), FH_OK);
	fh_region_add(fh_space_root(fh_machine_memory(w->m)), fh_device_region(w->uart, "regs"),
		      BASE, 0);
	console_connect(w->console, w->uart);
}

/* Standard input and output are pipes. */
static void open_pipes(struct world *w)
{
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	fflush(stdout);
	dup2(in[0], 0);
	dup2(out[1], 1);
	close(in[0]);
	close(out[1]);
	w->far_in = in[1];
	w->far_out = out[0];
	open_console(w, "stdio");
}

/* They are a terminal; its near end stays open as descriptor 0. */
static void open_terminal(struct world *w)
{
	const int master = posix_openpt(O_RDWR | O_NOCTTY);
	int slave;

	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	fflush(stdout);
	dup2(slave, 0);
	dup2(slave, 1);
	close(slave);
	w->far_in = w->far_out = master;
}

/* A pseudo-terminal of the console's own. */
static void open_pty(struct world *w, char *name)
{
	char text[200] = "";
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	dup2(pipes[1], 2);
	close(pipes[1]);
	open_console(w, "pty");
	dup2(w->saved[2], 2);
	assert_true(read(pipes[0], text, sizeof(text) - 1) > 0);
	close(pipes[0]);
	assert_int_equal(sscanf(text, "freehold: serial line at %63s", name), 1);
}

/* The wire is cut, and then the rest is written. */
static void end(struct world *w)
{
	console_disconnect(w->console);
	fh_device_unplug(w->uart);
	w->console = console_free(w->console, hurry, w);
	assert_null(w->console);
	restore(w);
}

static uint8_t get(struct world *w, unsigned reg)
{
	uint8_t value = 0;

	fh_space_load8(fh_machine_memory(w->m), BASE + reg, FH_LE, &value);
	return value;
}

static void put(struct world *w, unsigned reg, uint8_t value)
{
	fh_space_store8(fh_machine_memory(w->m), BASE + reg, value, FH_LE);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A little later, up to patience(20) seconds altogether. */
static bool wait_more(struct world *w, double since)
{
	fh_machine_poll(w->m);
	usleep(1000);
	return now() < since + patience(20);
}

/* What the guest reads of @size bytes that are to come. */
static void guest_reads(struct world *w, char *text, size_t size)
{
	const double since = now();

	for (size_t i = 0; i < size;) {
		if (get(w, LSR) & LSR_DATA)
			text[i++] = (char)get(w, DATA);
		else
			assert_true(wait_more(w, since));
	}
	text[size] = '\0';
}

static void guest_writes(struct world *w, const char *text)
{
	const double since = now();

	for (; *text; put(w, DATA, (uint8_t)*text++))
		while (!(get(w, LSR) & LSR_EMPTY))
			assert_true(wait_more(w, since));
}

/* Reads what there is within a moment, until @text has come; where that begins. */
static bool comes(struct world *w, int fd, const char *text)
{
	const double since = now();
	char seen[4096];
	size_t size = 0;

	do {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

		if (poll(&poll_fd, 1, 10) == 1 && (poll_fd.revents & POLLIN)) {
			const ssize_t got = read(fd, seen + size, sizeof(seen) - 1 - size);

			size += got > 0 ? (size_t)got : 0;
		}
		seen[size] = '\0';
		if (strstr(seen, text))
			return true;
	} while (wait_more(w, since));
	return false;
}

/* --- Bytes ---------------------------------------------------------------------------------- */

static void input_waits_until_the_guest_has_room(void **state)
{
	struct world *w = *state;
	char sent[3001], seen[3001];

	open_pipes(w);
	put(w, FCR, 1);
	for (size_t i = 0; i < 3000; i++)
		sent[i] = (char)('a' + i % 23);
	sent[3000] = '\0';
	assert_int_equal(write(w->far_in, sent, 3000), 3000);
	guest_reads(w, seen, 3000);
	end(w);
	assert_string_equal(seen, sent);
}

/* Until neither the pipe nor the ring nor the port takes more, or for ever; how much that was. */
static size_t flood(struct world *w)
{
	size_t count = 0;
	double full = now();

	put(w, FCR, 1);
	while (now() < full + 0.3 && count < 300000) {
		if (get(w, LSR) & LSR_EMPTY) {
			put(w, DATA, (uint8_t)('a' + count++ % 23));
			full = now();
		} else {
			fh_machine_poll(w->m);
		}
	}
	return count;
}

/* The same again, at the far end. */
static void assert_flood(struct world *w, size_t count)
{
	const double since = now();
	char bytes[4096];

	for (size_t at = 0; at < count;) {
		struct pollfd fd = { .fd = w->far_out, .events = POLLIN };

		if (poll(&fd, 1, 0) == 0) {
			assert_true(wait_more(w, since));
			continue;
		}
		const ssize_t got = read(w->far_out, bytes, sizeof(bytes));

		assert_true(got > 0);
		for (ssize_t i = 0; i < got; i++)
			assert_int_equal(bytes[i], 'a' + at++ % 23);
	}
}

static void output_that_is_not_read_waits_and_is_not_lost(void **state)
{
	struct world *w = *state;
	size_t count;

	open_pipes(w);
	count = flood(w);
	assert_true(count > 65536);
	assert_flood(w, count);
	guest_writes(w, "again");
	assert_true(comes(w, w->far_out, "again"));
	end(w);
}

/* Once there is no room; and before the console hears that it was missed, there is all of it. */
static bool refused;

static size_t refuse_once(void *arg, const uint8_t *bytes, size_t size)
{
	const bool refuses = !refused;

	refused = true;
	return refuses ? 0 : console_backend.write(arg, bytes, size);
}

static void blocked(void *arg)
{
	usleep(20000); /* now the writer sleeps */
	console_backend.blocked(arg);
}

static void a_port_that_asks_late_is_told_of_room_all_the_same(void **state)
{
	static const struct uart_backend refusing = { .write = refuse_once, .blocked = blocked };
	struct world *w = *state;

	refused = false;
	w->backend = &refusing;
	open_pipes(w);
	put(w, DATA, '0');
	assert_false(get(w, LSR) & LSR_EMPTY);
	assert_true(comes(w, w->far_out, "0"));
	end(w);
}

struct reader {
	int fd;
	size_t count;
	char last[8];
};

static void *read_late(void *arg)
{
	struct reader *r = arg;
	char byte;

	usleep(300000);
	while (read(r->fd, &byte, 1) == 1) {
		memmove(r->last, r->last + 1, 7);
		r->last[6] = byte;
		r->count++;
	}
	return NULL;
}

static void what_is_in_the_port_at_the_end_is_written(void **state)
{
	struct world *w = *state;
	struct reader reader = { 0 };
	pthread_t thread;
	size_t count;

	w->patience = 1000;
	open_pipes(w);
	count = flood(w);
	/* The first of the FIFO's bytes is there: these are behind it. */
	put(w, DATA, 'X');
	put(w, DATA, 'Y');
	put(w, DATA, 'Z');
	reader.fd = w->far_out;
	pthread_create(&thread, NULL, read_late, &reader);
	end(w); /* and with the last writer, its standard output, gone the reader ends */
	pthread_join(thread, NULL);
	assert_int_equal(reader.count, count + 3);
	assert_string_equal(reader.last + 4, "XYZ");
}

static void who_does_not_want_to_wait_for_a_reader_does_not(void **state)
{
	struct world *w = *state;
	double since;

	w->patience = 3;
	open_pipes(w);
	flood(w);
	since = now();
	end(w);
	assert_true(now() - since > 1.0 && now() - since < 10);
	assert_int_equal(w->asked, 4);
}

static void a_reader_that_is_gone_keeps_nobody(void **state)
{
	struct world *w = *state;

	w->patience = 1000;
	open_pipes(w);
	close(w->far_out);
	w->far_out = -1;
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2); /* it says so */
	assert_int_equal(flood(w), 300000);
	end(w);
	assert_true(w->asked < 100);
}

static void end_of_input_is_not_the_end(void **state)
{
	struct world *w = *state;

	open_pipes(w);
	close(w->far_in);
	w->far_in = -1;
	guest_writes(w, "still here");
	assert_true(comes(w, w->far_out, "still here"));
	end(w);
	assert_int_equal(w->quits, 0);
}

static void a_file_has_all_of_it(void **state)
{
	struct world *w = *state;
	char path[] = "/tmp/freehold-console-XXXXXX", kind[64], seen[64] = "";
	const int fd = mkstemp(path);

	snprintf(kind, sizeof(kind), "file:%s", path);
	open_console(w, kind);
	guest_writes(w, "to the file");
	end(w);
	assert_int_equal(read(fd, seen, sizeof(seen) - 1), 11);
	assert_string_equal(seen, "to the file");
	close(fd);
	unlink(path);
}

static void kinds_that_are_none_are_refused(void **state)
{
	struct world *w = *state;
	struct fh_error err = FH_ERROR_INIT;

	assert_null(console_new("telnet:4", w->loop, &keys, w, &err));
	assert_int_equal(err.code, FH_EINVAL);
	assert_non_null(strstr(err.message, "-serial telnet:4"));
	fh_error_clear(&err);
	assert_null(console_new("file:/nowhere/at/all", w->loop, &keys, w, &err));
	assert_string_equal(err.message, "/nowhere/at/all: No such file or directory");
}

/* --- Keys and the terminal ------------------------------------------------------------------ */

static void keys_do_what_the_help_says(void **state)
{
	struct world *w = *state;
	char seen[5];

	open_terminal(w);
	open_console(w, "stdio");
	assert_int_equal(write(w->far_in, "a\001\001b\001h\001xc\001cd\001q", 13), 13);
	guest_reads(w, seen, 4);
	assert_memory_equal(seen, "a\001bc", 4);
	guest_reads(w, seen, 1);
	assert_string_equal(seen, "d");
	assert_true(comes(w, w->far_out, "Ctrl-A c"));
	end(w);
	assert_int_equal(w->quits, 1);
	assert_int_equal(w->goes, 1);
}

static void a_break_comes_in_its_place(void **state)
{
	struct world *w = *state;
	const double since = now();
	char seen[2];
	uint8_t lsr;

	open_pipes(w);
	put(w, FCR, 1);
	assert_int_equal(write(w->far_in, "a\001bz", 4), 4);
	guest_reads(w, seen, 1);
	assert_string_equal(seen, "a");
	while (!((lsr = get(w, LSR)) & LSR_DATA))
		assert_true(wait_more(w, since));
	assert_int_equal(lsr & 0x10, 0x10);
	assert_int_equal(get(w, DATA), 0);
	guest_reads(w, seen, 1);
	assert_string_equal(seen, "z");
	end(w);
}

static bool is_raw(int fd)
{
	struct termios mode;

	assert_int_equal(tcgetattr(fd, &mode), 0);
	return !(mode.c_lflag & (ICANON | ECHO | ISIG));
}

static void the_terminal_is_given_back_for_a_while_and_at_the_end(void **state)
{
	struct world *w = *state;
	struct termios before = { 0 }, mode = { 0 }; /* and what lies between the fields */

	open_terminal(w);
	tcgetattr(0, &before);
	open_console(w, "stdio");
	assert_true(is_raw(0));
	console_suspend(w->console);
	tcgetattr(0, &mode);
	assert_memory_equal(&mode, &before, sizeof(mode));
	console_resume(w->console);
	assert_true(is_raw(0));

	/* SIGSTOP tells nobody: a shell has made the terminal its own, and SIGCONT comes. */
	assert_int_equal(tcsetattr(0, TCSANOW, &before), 0);
	console_resume(w->console);
	assert_true(is_raw(0));

	console_disconnect(w->console);
	fh_device_unplug(w->uart);
	console_free(w->console, NULL, NULL);
	tcgetattr(0, &mode);
	restore(w);
	assert_memory_equal(&mode, &before, sizeof(mode));
}

/* --- Pseudo-terminals ----------------------------------------------------------------------- */

static void a_pseudo_terminal_is_there_for_who_comes_and_comes_back(void **state)
{
	struct world *w = *state;
	char name[64], seen[8];

	open_pty(w, name);
	guest_writes(w, "to nobody");
	for (int i = 0; i < 3; i++) {
		const int fd = open(name, O_RDWR | O_NOCTTY);
		char text[16];

		assert_true(fd >= 0);
		usleep(150000); /* it looks for somebody ten times a second */
		snprintf(text, sizeof(text), "visit %d", i);
		guest_writes(w, text);
		assert_true(comes(w, fd, text));
		assert_int_equal(write(fd, "\001xhi", 4), 4);
		guest_reads(w, seen, 4);
		assert_memory_equal(seen, "\001xhi", 4); /* no keys here */
		close(fd);
		guest_writes(w, "hung up");
	}
	end(w);
	assert_int_equal(w->quits, 0);
}

static void a_pseudo_terminal_is_read_to_the_end(void **state)
{
	struct world *w = *state;
	struct reader reader = { 0 };
	char name[64];
	pthread_t thread;

	open_pty(w, name);
	reader.fd = open(name, O_RDWR | O_NOCTTY);
	usleep(150000);
	guest_writes(w, "these are the last words");
	pthread_create(&thread, NULL, read_late, &reader);
	end(w);
	pthread_join(thread, NULL);
	close(reader.fd);
	assert_int_equal(reader.count, 24);
}

static void a_pseudo_terminal_that_is_not_read_keeps_nobody(void **state)
{
	struct world *w = *state;
	char name[64];
	double since;
	int fd;

	w->patience = 1000;
	open_pty(w, name);
	fd = open(name, O_RDWR | O_NOCTTY);
	flood(w);
	since = now();
	end(w);
	assert_true(now() - since < 10);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(input_waits_until_the_guest_has_room),
		TEST(output_that_is_not_read_waits_and_is_not_lost),
		TEST(a_port_that_asks_late_is_told_of_room_all_the_same),
		TEST(what_is_in_the_port_at_the_end_is_written),
		TEST(who_does_not_want_to_wait_for_a_reader_does_not),
		TEST(a_reader_that_is_gone_keeps_nobody),
		TEST(end_of_input_is_not_the_end),
		TEST(a_file_has_all_of_it),
		TEST(kinds_that_are_none_are_refused),
		TEST(keys_do_what_the_help_says),
		TEST(a_break_comes_in_its_place),
		TEST(the_terminal_is_given_back_for_a_while_and_at_the_end),
		TEST(a_pseudo_terminal_is_there_for_who_comes_and_comes_back),
		TEST(a_pseudo_terminal_is_read_to_the_end),
		TEST(a_pseudo_terminal_that_is_not_read_keeps_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
