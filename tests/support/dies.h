/* SPDX-License-Identifier: MIT */
/*
 * Tests of assertions: something is done in a child process, which has to abort and to say why.
 *
 * To be used while the test has no other threads: the child of a fork has only one. The library's own
 * may have a lock at that moment, which the child then waits for in vain: another is made.
 */
#ifndef SUPPORT_DIES_H
#define SUPPORT_DIES_H

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DIES_SECONDS = 20, DIES_TRIES = 3 };

/* What waitpid() says of a child that does it, and what it wrote; -1: there was none. */
static inline int dies_try(void (*action)(void), char said[], size_t size)
{
	size_t used = 0;
	int status = 0;
	int ends[2];
	ssize_t got;
	pid_t child;

	if (pipe(ends) != 0)
		return -1;
	child = fork();
	if (child == 0) {
		const struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		signal(SIGALRM, SIG_DFL);
		alarm(DIES_SECONDS);
		dup2(ends[1], STDERR_FILENO);
		action();
		_exit(0);
	}
	close(ends[1]);
	while (used < size - 1 && (got = read(ends[0], said + used, size - 1 - used)) > 0)
		used += (size_t)got;
	said[used] = '\0';
	close(ends[0]);
	return child < 0 || waitpid(child, &status, 0) != child ? -1 : status;
}

/* True if action() aborts with text somewhere in what it writes to standard error. */
static inline bool dies_saying(void (*action)(void), const char *text)
{
	char said[1024] = "";
	int status = -1;

	for (int i = 0; i < DIES_TRIES; i++) {
		status = dies_try(action, said, sizeof(said));
		if (status == -1 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM)
			break;
	}
	return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, text);
}

#endif
