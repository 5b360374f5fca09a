/* SPDX-License-Identifier: MIT */
/*
 * A page that notes every instruction which touches it: where, and in what order.
 *
 * The page is protected. An access faults; the handler notes its address, opens the page and has
 * the processor stop after that one instruction (the trap flag), where it is protected again. So an
 * access of 16 bytes is noted once and two of 8 bytes are noted twice. What a store has changed is
 * noted by comparing the page before and after: so many bytes it was wide, if all of them change.
 * x86-64 only. To be included once, by a test of one thread.
 */
#ifndef SUPPORT_WATCHED_H
#define SUPPORT_WATCHED_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { WATCHED_SIZE = 4096, WATCHED_MOST = 256 };

struct watched {
	uint8_t *page;
	uint8_t before[WATCHED_SIZE];
	unsigned count;
	struct {
		unsigned offset; /* where it faulted */
		unsigned changed; /* bytes, of a store */
	} touch[WATCHED_MOST];
};

static struct watched watched;

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WATCHED_THREAD_SANITIZER 1 /* its loads look twice */
#endif
#endif

#if defined(__x86_64__) && !defined(WATCHED_THREAD_SANITIZER)
#define WATCHED_WORKS true

enum { WATCHED_TRAP_FLAG = 0x100 };

static void watched_fault(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *const u = context;
	const uintptr_t offset = (uintptr_t)info->si_addr - (uintptr_t)watched.page;

	if (offset >= WATCHED_SIZE || watched.count == WATCHED_MOST) {
		signal(signal_number, SIG_DFL); /* it is another one's: once more, and die */
		return;
	}
	mprotect(watched.page, WATCHED_SIZE, PROT_READ | PROT_WRITE);
	memcpy(watched.before, watched.page, WATCHED_SIZE);
	watched.touch[watched.count].offset = (unsigned)offset;
	u->uc_mcontext.gregs[REG_EFL] |= WATCHED_TRAP_FLAG;
}

static void watched_step(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *const u = context;
	unsigned changed = 0;

	(void)signal_number;
	(void)info;
	for (unsigned i = 0; i < WATCHED_SIZE; i++)
		changed += watched.before[i] != watched.page[i];
	watched.touch[watched.count++].changed = changed;
	mprotect(watched.page, WATCHED_SIZE, PROT_NONE);
	u->uc_mcontext.gregs[REG_EFL] &= ~WATCHED_TRAP_FLAG;
}

static inline void watched_begin(void)
{
	watched.page = mmap(NULL, WATCHED_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static inline void watched_end(void)
{
	munmap(watched.page, WATCHED_SIZE);
}

/* From now on, until watched_off(). */
static inline void watched_on(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO };

	watched.count = 0;
	sigemptyset(&action.sa_mask);
	/* Here, since cmocka sets handlers of its own for each test. */
	action.sa_sigaction = watched_fault;
	sigaction(SIGSEGV, &action, NULL);
	action.sa_sigaction = watched_step;
	sigaction(SIGTRAP, &action, NULL);
	mprotect(watched.page, WATCHED_SIZE, PROT_NONE);
}

static inline void watched_off(void)
{
	mprotect(watched.page, WATCHED_SIZE, PROT_READ | PROT_WRITE);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
}

#else
#define WATCHED_WORKS false
static inline void watched_begin(void)
{
	watched.page = mmap(NULL, WATCHED_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static inline void watched_end(void)
{
	munmap(watched.page, WATCHED_SIZE);
}
static inline void watched_on(void)
{
}
static inline void watched_off(void)
{
}
#endif

#endif
