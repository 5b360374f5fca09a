/* SPDX-License-Identifier: MIT */
/*
 * The console: see console.h.
 *
 * R1. Two threads, one that reads and one that writes, block as they like; descriptors that the
 *     process shares with others keep their flags. The guest's side, in the domain of the port,
 *     only moves bytes into a ring.
 * R2. No byte is lost: what the ring cannot take stays in the port, which is told when there is
 *     room; what the port cannot take stays here, and when `pending` is full nothing is read. (To a
 *     pseudo-terminal that nobody has open, or at the end that nobody reads, nothing is sent, as
 *     through a cable without an end.)
 * R3. `lock` guards what is marked L. The port is called with it only by uart_writable(), which
 *     takes no lock of a device.
 */
#include "machine/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "machine/terminal.h"

/* The slack is for what a port still has when it is disconnected. */
enum { RING_SIZE = 65536, RING_SLACK = 64, PENDING_SIZE = 16384, CTRL_A = 1 };

struct console {
	int in, out; /* -1: none */
	bool own;    /* to be closed */
	bool pty, escapes;
	struct terminal *terminal; /* or NULL: there is none, or it is not used */
	const struct console_keys *keys;
	void *keys_arg;
	char pty_name[64];

	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint8_t ring[RING_SIZE + RING_SLACK]; /* L */
	size_t ring_room;		      /* L: how much may be in it */
	size_t ring_first, ring_used;	      /* L */
	bool blocked;		      /* L: the port waits for room */
	bool closing, closed;	      /* L: write what there is and end; ended */
	bool broken;		      /* L: output goes nowhere */
	struct fh_device *port;	      /* L, for the writer */
	pthread_t writer, reader;
	bool writes, reads; /* the threads are there */

	/* The reader's. */
	int wake;	   /* an eventfd */
	_Atomic bool stop; /* the reader has to end */
	uint8_t pending[PENDING_SIZE];
	size_t pending_used;
	bool escaped;
};

/* --- Output --------------------------------------------------------------------------------- */

static void put_locked(struct console *c, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		c->ring[(c->ring_first + c->ring_used++) % sizeof(c->ring)] = bytes[i];
	pthread_cond_broadcast(&c->changed);
}

static size_t console_write(void *arg, const uint8_t *bytes, size_t size)
{
	struct console *c = arg;
	size_t taken;

	if (c->out < 0)
		return size;
	pthread_mutex_lock(&c->lock);
	taken = c->ring_room - c->ring_used < size ? c->ring_room - c->ring_used : size;
	put_locked(c, bytes, taken);
	pthread_mutex_unlock(&c->lock);
	return taken;
}

static void console_blocked(void *arg)
{
	struct console *c = arg;

	pthread_mutex_lock(&c->lock);
	c->blocked = true;
	/* The writer may have made room since; then it is asleep. */
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static bool nobody_listens(const struct console *c)
{
	struct pollfd fd = { .fd = c->out };

	return c->pty && poll(&fd, 1, 0) == 1 && (fd.revents & POLLHUP);
}

/* False: the bytes can go nowhere, now or ever. */
static bool write_fully(struct console *c, const uint8_t *bytes, size_t size)
{
	while (size > 0 && !nobody_listens(c)) {
		const ssize_t done = write(c->out, bytes, size);

		if (done > 0) {
			bytes += done;
			size -= (size_t)done;
		} else if (done < 0 && errno == EAGAIN) {
			struct pollfd fd = { .fd = c->out, .events = POLLOUT };

			poll(&fd, 1, 100);
		} else if (done < 0 && errno != EINTR && !c->pty) {
			return false;
		}
	}
	return true;
}

static void *write_thread(void *arg)
{
	struct console *c = arg;
	uint8_t chunk[4096];

	/* end_writer() cancels only what hangs in write(), where nothing is held. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_mutex_lock(&c->lock);
	for (;;) {
		if (c->blocked && c->ring_used <= RING_SIZE / 2) {
			c->blocked = false;
			if (c->port)
				uart_writable(c->port); /* R3 */
			continue;
		}
		if (c->ring_used == 0 && c->closing)
			break;
		if (c->ring_used == 0) {
			pthread_cond_wait(&c->changed, &c->lock);
			continue;
		}
		size_t size = 0;

		while (size < sizeof(chunk) && size < c->ring_used) {
			chunk[size] = c->ring[(c->ring_first + size) % sizeof(c->ring)];
			size++;
		}
		const bool broken = c->broken;

		pthread_mutex_unlock(&c->lock);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		const bool lost = !broken && !write_fully(c, chunk, size);
		const int error = errno;

		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);

		pthread_mutex_lock(&c->lock);
		if (lost) {
			c->broken = true;
			fprintf(stderr, "freehold: serial output is lost: %s\n", strerror(error));
		}
		c->ring_first = (c->ring_first + size) % sizeof(c->ring);
		c->ring_used -= size;
	}
	c->closed = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* --- Input ---------------------------------------------------------------------------------- */

static void say(struct console *c, const char *text)
{
	pthread_mutex_lock(&c->lock);
	/* For people who look at it: if there is no room, there is no one. */
	if (c->ring_room - c->ring_used >= strlen(text))
		put_locked(c, (const uint8_t *)text, strlen(text));
	pthread_mutex_unlock(&c->lock);
}

static void help(struct console *c)
{
	say(c, "\r\n"
	       "Ctrl-A h       this help\r\n"
	       "Ctrl-A x       leave: the machine is switched off\r\n"
	       "Ctrl-A b       send a break\r\n"
	       "Ctrl-A c       let the harts run, after -S\r\n"
	       "Ctrl-A Ctrl-A  send Ctrl-A\r\n");
}

static void deliver(struct console *c)
{
	size_t taken;

	if (c->pending_used == 0)
		return;
	taken = uart_receive(c->port, c->pending, c->pending_used);
	memmove(c->pending, c->pending + taken, c->pending_used - taken);
	c->pending_used -= taken;
}

static void take_byte(struct console *c, uint8_t byte)
{
	if (!c->escapes || (!c->escaped && byte != CTRL_A)) {
		c->pending[c->pending_used++] = byte;
		return;
	}
	if (!c->escaped) {
		c->escaped = true;
		return;
	}
	c->escaped = false;
	if (byte == CTRL_A) {
		c->pending[c->pending_used++] = byte;
	} else if (byte == 'x') {
		say(c, "\r\n");
		c->keys->quit(c->keys_arg);
	} else if (byte == 'c') {
		c->keys->go(c->keys_arg);
	} else if (byte == 'h' || byte == '?') {
		help(c);
	} else if (byte == 'b') {
		deliver(c);
		uart_break(c->port);
	}
}

/* False: there is nothing more to come. */
static bool take_input(struct console *c)
{
	uint8_t bytes[512];
	const size_t room = PENDING_SIZE - c->pending_used;
	const ssize_t got = read(c->in, bytes, room < sizeof(bytes) ? room : sizeof(bytes));

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		return c->pty;
	for (ssize_t i = 0; i < got; i++)
		take_byte(c, bytes[i]);
	return true;
}

static void *read_thread(void *arg)
{
	struct console *c = arg;
	bool more = c->in >= 0;
	int timeout = -1;

	/* Acquire: pairs with the release in console_disconnect(). */
	while (!atomic_load_explicit(&c->stop, memory_order_acquire)) {
		struct pollfd fds[] = {
			{ .fd = c->wake, .events = POLLIN },
			{ .fd = more && timeout < 0 && c->pending_used < PENDING_SIZE ? c->in : -1,
			  .events = POLLIN },
		};
		uint64_t times;

		poll(fds, 2, timeout);
		timeout = -1;
		if (fds[0].revents && read(c->wake, &times, sizeof(times)) < 0)
			continue;
		if (c->pty && (fds[1].revents & POLLHUP) && !(fds[1].revents & POLLIN))
			timeout = 100; /* nobody there: look again later */
		else if (fds[1].revents)
			more = take_input(c);
		deliver(c);
	}
	return NULL;
}

static void wake_reader(struct console *c)
{
	const uint64_t one = 1;

	/* It fails only if the counter is full, and then the reader is awake. */
	if (write(c->wake, &one, sizeof(one)) < 0)
		return;
}

static void console_room(void *arg)
{
	wake_reader(arg);
}

const struct uart_backend console_backend = {
	.write = console_write,
	.blocked = console_blocked,
	.room = console_room,
};

/* --- The terminal --------------------------------------------------------------------------- */

void console_suspend(struct console *c)
{
	terminal_suspend(c->terminal);
}

void console_resume(struct console *c)
{
	terminal_resume(c->terminal);
}

/* --- Kinds ---------------------------------------------------------------------------------- */

static enum fh_code open_stdio(struct console *c, struct loop *loop, struct fh_error *err)
{
	c->in = STDIN_FILENO;
	c->out = STDOUT_FILENO;
	c->escapes = true;
	fflush(stdout);
	if (!isatty(STDIN_FILENO))
		return FH_OK;
	c->terminal = terminal_new(loop, err);
	return c->terminal ? FH_OK : FH_EIO;
}

static enum fh_code open_file(struct console *c, const char *path, struct fh_error *err)
{
	c->own = true;
	c->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (c->out < 0)
		return fh_error_set(err, errno == ENOENT ? FH_ENOENT : FH_EIO, "%s: %s", path,
				    strerror(errno));
	return FH_OK;
}

static enum fh_code open_pty(struct console *c, struct fh_error *err)
{
	const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	struct termios mode;
	int slave = -1;

	c->own = true;
	c->pty = true;
	c->in = master;
	c->out = master;
	if (master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 &&
	    ptsname_r(master, c->pty_name, sizeof(c->pty_name)) == 0)
		slave = open(c->pty_name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return fh_error_set(err, FH_EIO, "no pseudo-terminal: %s", strerror(errno));
	if (tcgetattr(slave, &mode) == 0) {
		cfmakeraw(&mode);
		tcsetattr(slave, TCSANOW, &mode);
	}
	/* From this close on the master knows whether anybody is there. */
	close(slave);
	fprintf(stderr, "freehold: serial line at %s\n", c->pty_name);
	return FH_OK;
}

static enum fh_code open_kind(struct console *c, const char *kind, struct loop *loop,
			      struct fh_error *err)
{
	if (strcmp(kind, "stdio") == 0 || strcmp(kind, "mon:stdio") == 0)
		return open_stdio(c, loop, err);
	if (strncmp(kind, "file:", 5) == 0)
		return open_file(c, kind + 5, err);
	if (strcmp(kind, "pty") == 0)
		return open_pty(c, err);
	if (strcmp(kind, "null") == 0 || strcmp(kind, "none") == 0)
		return FH_OK;
	return fh_error_set(err, FH_EINVAL,
			    "-serial %s: it is one of stdio, file:PATH, pty and null", kind);
}

struct console *console_new(const char *kind, struct loop *loop, const struct console_keys *keys,
			    void *arg, struct fh_error *err)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c) {
		fh_error_set(err, FH_ENOMEM, "no memory for a console");
		return NULL;
	}
	c->in = -1;
	c->out = -1;
	c->keys = keys;
	c->keys_arg = arg;
	c->ring_room = RING_SIZE;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_t clock;

	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &clock);
	pthread_condattr_destroy(&clock);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake < 0)
		fh_error_set(err, FH_EIO, "no descriptor: %s", strerror(errno));
	if (c->wake < 0 || open_kind(c, kind, loop, err) != FH_OK)
		return console_free(c, NULL, NULL);
	return c;
}

void console_connect(struct console *c, struct fh_device *port)
{
	pthread_mutex_lock(&c->lock);
	c->port = port;
	pthread_mutex_unlock(&c->lock);
	c->writes = c->out >= 0 && pthread_create(&c->writer, NULL, write_thread, c) == 0;
	c->reads = c->in >= 0 && pthread_create(&c->reader, NULL, read_thread, c) == 0;
}

void console_disconnect(struct console *c)
{
	struct fh_device *port;

	if (c->reads) {
		/* Release: pairs with the acquire in read_thread(). */
		atomic_store_explicit(&c->stop, true, memory_order_release);
		wake_reader(c);
		pthread_join(c->reader, NULL);
		c->reads = false;
	}
	pthread_mutex_lock(&c->lock);
	port = c->port;
	c->port = NULL;
	c->ring_room = RING_SIZE + RING_SLACK;
	pthread_mutex_unlock(&c->lock);
	if (port)
		uart_flush(port);
}

/* --- The end -------------------------------------------------------------------------------- */

static struct timespec later(long ms)
{
	struct timespec when;

	clock_gettime(CLOCK_MONOTONIC, &when);
	when.tv_nsec += ms * 1000000;
	when.tv_sec += when.tv_nsec / 1000000000;
	when.tv_nsec %= 1000000000;
	return when;
}

static bool is_past(const struct timespec *when)
{
	const struct timespec now = later(0);

	return now.tv_sec > when->tv_sec ||
	       (now.tv_sec == when->tv_sec && now.tv_nsec >= when->tv_nsec);
}

/* Context: console_disconnect() was called. */
static void end_writer(struct console *c, bool (*hurry)(void *arg), void *arg)
{
	struct timespec limit;
	bool hurries = false;

	pthread_mutex_lock(&c->lock);
	c->closing = true;
	pthread_cond_broadcast(&c->changed);
	while (!c->closed && !(hurries && is_past(&limit))) {
		const struct timespec look = later(50);

		if (pthread_cond_timedwait(&c->changed, &c->lock, &look) != ETIMEDOUT || hurries)
			continue;
		pthread_mutex_unlock(&c->lock);
		/* Who has a pseudo-terminal open without reading it does not keep the machine. */
		hurries = c->pty || !hurry || hurry(arg);
		limit = later(1000);
		pthread_mutex_lock(&c->lock);
	}
	if (!c->closed)
		pthread_cancel(c->writer);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->writer, NULL);
}

/* What was written to a pseudo-terminal and not read yet; it would be gone with the master. */
static bool is_unread(const struct console *c)
{
	const int slave = open(c->pty_name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	int left = 0;

	if (slave < 0)
		return false;
	if (ioctl(slave, FIONREAD, &left) != 0)
		left = 0;
	close(slave);
	return left > 0;
}

static void end_pty(struct console *c)
{
	const struct timespec limit = later(1000);
	unsigned empty = 0;

	/* Twice: what was written last is on its way for a moment. */
	while (empty < 2 && !is_past(&limit) && !nobody_listens(c)) {
		empty = is_unread(c) ? 0 : empty + 1;
		poll(NULL, 0, 10);
	}
}

struct console *console_free(struct console *c, bool (*hurry)(void *arg), void *arg)
{
	if (!c)
		return NULL;
	if (c->writes)
		end_writer(c, hurry, arg);
	if (c->writes && c->pty)
		end_pty(c);
	terminal_free(c->terminal);
	if (c->own && c->out >= 0)
		close(c->out);
	if (c->wake >= 0)
		close(c->wake);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}
