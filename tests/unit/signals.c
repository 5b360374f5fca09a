/* SPDX-License-Identifier: MIT */
/*
 * Signals, in a child process that is sent them: which end it, which are left ignored, and that a
 * stop is one for whoever started it.
 */
#include "support/probe.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/signals.h"
#include "support/host.h"
#include "support/scale.h"

struct child {
	pid_t pid;
	int says; /* a pipe: a letter for each call */
};

static struct {
	struct loop *loop;
	int fd;
} own; /* the child's */

static void say(char letter)
{
	if (write(own.fd, &letter, 1) != 1)
		_exit(99);
}

static void on_end(void *arg, int number)
{
	(void)arg;
	say(number == SIGINT ? 'I' : number == SIGTERM ? 'T' : 'H');
	loop_stop(own.loop);
}

static void on_suspend(void *arg)
{
	(void)arg;
	say('s');
}

static void on_resume(void *arg)
{
	(void)arg;
	say('r');
}

static void on_user(void *arg)
{
	(void)arg;
	say('u');
}

static const struct signals_ops ops = {
	.end = on_end, .suspend = on_suspend, .resume = on_resume, .user = on_user
};

static _Noreturn void be_child(void)
{
	struct signals *signals;

	alarm(patience(20));
	own.loop = loop_new(NULL);
	signals = signals_new(own.loop, &ops, NULL);
	say('+');
	loop_run(own.loop, NULL, NULL, NULL);
	signals_free(signals);
	loop_free(own.loop);
	_exit(0);
}

/* In a group of its own, as a job of a shell. */
static struct child start(int ignored)
{
	struct child c;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	c.says = fds[0];
	c.pid = fork();
	if (c.pid == 0) {
		close(fds[0]);
		own.fd = fds[1];
		setpgid(0, 0);
		signal(SIGHUP, SIG_DFL);
		if (ignored)
			signal(ignored, SIG_IGN);
		be_child();
	}
	close(fds[1]);
	return c;
}

static char heard(const struct child *c)
{
	char letter = 0;

	return read(c->says, &letter, 1) == 1 ? letter : 0;
}

static void assert_ended(struct child *c)
{
	int status;

	assert_int_equal(heard(c), 0);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(c->says);
}

static void each_that_asks_for_the_end_is_told_of(void **state)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct child c = start(0);

		assert_int_equal(heard(&c), '+');
		kill(c.pid, numbers[i]);
		assert_int_equal(heard(&c), "ITH"[i]);
		assert_ended(&c);
	}
}

static void what_was_ignored_stays_ignored(void **state)
{
	struct child c = start(SIGHUP);

	(void)state;
	assert_int_equal(heard(&c), '+');
	kill(c.pid, SIGHUP);
	usleep(20000);
	kill(c.pid, SIGUSR1);
	assert_int_equal(heard(&c), 'u');
	kill(c.pid, SIGTERM);
	assert_int_equal(heard(&c), 'T');
	assert_ended(&c);
}

static void a_stop_is_one_and_it_goes_on_again(void **state)
{
	struct child c;
	char letter;
	int status;

	(void)state;
	if (under_valgrind())
		skip();
	c = start(0);
	assert_int_equal(heard(&c), '+');
	for (int i = 0; i < 2; i++) {
		kill(c.pid, SIGTSTP);
		assert_int_equal(waitpid(c.pid, &status, WUNTRACED), c.pid);
		assert_true(WIFSTOPPED(status));
		assert_int_equal(WSTOPSIG(status), SIGTSTP);
		assert_int_equal(heard(&c), 's');
		kill(c.pid, SIGCONT);
		assert_int_equal(heard(&c), 'r');
		/* After the stop, and for SIGCONT itself. */
		assert_int_equal(heard(&c), 'r');
	}
	kill(c.pid, SIGSTOP);
	assert_int_equal(waitpid(c.pid, &status, WUNTRACED), c.pid);
	kill(c.pid, SIGCONT);
	letter = heard(&c);
	assert_int_equal(letter, 'r');
	kill(c.pid, SIGINT);
	assert_int_equal(heard(&c), 'I');
	assert_ended(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_that_asks_for_the_end_is_told_of),
		cmocka_unit_test(what_was_ignored_stays_ignored),
		cmocka_unit_test(a_stop_is_one_and_it_goes_on_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
