/* SPDX-License-Identifier: MIT */
/*
 * Tests of assertions: something is done in a child process, which has to abort and to say why.
 *
 * The child of a fork has one thread, and waits for ever for what the others of its parent had
 * locked, those of the library and those of a sanitizer among them. So the parent must have no
 * others: what an action needs (a machine, a thread) the action makes.
 */
#ifndef SUPPORT_DIES_H
#define SUPPORT_DIES_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/host.h"

/*
 * False if this process has other threads. One that has been joined is listed for a moment more.
 * Not asked where others are there always: ThreadSanitizer's, QEMU's.
 */
static inline bool dies_alone(void)
{
	struct stat task = { 0 };

	if (under_thread_sanitizer() || under_qemu())
		return true;
	for (unsigned i = 0; i < patience(5000); i++) {
		/* Links: its own two, and one for each thread. */
		if (stat("/proc/self/task", &task) != 0 || task.st_nlink <= 3)
			return true;
		usleep(1000);
	}
	return false;
}

/* True if action() aborts with text somewhere in what it writes to standard error. */
static inline bool dies_saying(void (*action)(void), const char *text)
{
	char said[1024] = "";
	size_t used = 0;
	int status = 0;
	int ends[2];
	ssize_t got;
	pid_t child;

	if (!dies_alone()) {
		fprintf(stderr, "dies_saying: this process has other threads\n");
		return false;
	}
	if (pipe(ends) != 0)
		return false;
	child = fork();
	if (child == 0) {
		const struct rlimit no_core = { 0, 0 };

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
	said[used] = '\0';
	close(ends[0]);
	return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGABRT && strstr(said, text);
}

#endif
