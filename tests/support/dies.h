/* SPDX-License-Identifier: MIT */
/*
 * Tests of assertions: something is done in a child process, which has to abort and to say why.
 *
 * To be used while the test has no other threads: the child of a fork has only one.
 */
#ifndef SUPPORT_DIES_H
#define SUPPORT_DIES_H

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* True if action() aborts with text somewhere in what it writes to standard error. */
static inline bool dies_saying(void (*action)(void), const char *text)
{
	char said[1024] = "";
	size_t used = 0;
	int status = 0;
	int ends[2];
	ssize_t got;
	pid_t child;

	if (pipe(ends) != 0)
		return false;
	child = fork();
	if (child == 0) {
		const struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		action();
		_exit(0);
	}
	close(ends[1]);
	while (used < sizeof(said) - 1 &&
	       (got = read(ends[0], said + used, sizeof(said) - 1 - used)) > 0)
		used += (size_t)got;
	close(ends[0]);
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, text);
}

#endif
