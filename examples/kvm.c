/* SPDX-License-Identifier: MIT */
/*
 * A small guest under KVM: RAM, ROM, a device's registers, and memory that moves while the guest
 * runs: once because the guest asks its device for it, and many times from another thread. What it
 * writes meanwhile is not lost, and the dirty log tells of it. One of the registers is a doorbell:
 * KVM signals an eventfd, and the guest runs on.
 *
 * Needs x86-64 and /dev/kvm; elsewhere it says so and exits with 77, which stands for "skipped".
 */
#include <freehold/freehold.h>
#include <freehold/kvm.h>

#include <stdio.h>

#define SKIPPED 77

#if defined(__x86_64__) && __has_include(<linux/kvm.h>)

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE 0x1000

static const uint8_t guest_code[] = {
	0xb8, 0x00, 0xd0,		    /*       mov ax, 0xd000 */
	0x8e, 0xc0,			    /*       mov es, ax        ; the device */
	0xb8, 0x00, 0xf0,		    /*       mov ax, 0xf000 */
	0x8e, 0xd8,			    /*       mov ds, ax        ; the ROM */
	0xc6, 0x06, 0x00, 0x00, 'X',	    /*       mov byte [0], 'X' ; changes nothing */
	0xa0, 0x00, 0x00,		    /*       mov al, [0] */
	0x26, 0xa2, 0x00, 0x00,		    /*       mov es:[0], al    ; tells 'R' */
	0xb8, 0x00, 0x20,		    /*       mov ax, 0x2000 */
	0x8e, 0xd8,			    /*       mov ds, ax        ; the window */
	0xc6, 0x06, 0x10, 0x00, 'W',	    /*       mov byte [0x10], 'W' */
	0x26, 0xc6, 0x06, 0x01, 0x00, 0x03, /*       mov byte es:[1], 3 ; to 0x30000 with it */
	0xb8, 0x00, 0x30,		    /*       mov ax, 0x3000 */
	0x8e, 0xd8,			    /*       mov ds, ax */
	0xa0, 0x10, 0x00,		    /*       mov al, [0x10] */
	0x26, 0xa2, 0x00, 0x00,		    /*       mov es:[0], al    ; tells 'W' */
	0x26, 0xc6, 0x06, 0x04, 0x00, 0x07, /*       mov byte es:[4], 7 ; rings */
	0xfe, 0x06, 0x20, 0x00,		    /* next: inc byte [0x20]   ; counts in memory */
	0xfe, 0xc1,			    /*       inc cl            ; and in a register */
	0x26, 0x80, 0x3e, 0x02, 0x00, 0x00, /*       cmp byte es:[2], 0 */
	0x74, 0xf2,			    /*       je next */
	0x26, 0x88, 0x0e, 0x03, 0x00,	    /*       mov es:[3], cl    ; tells the count */
	0xf4,				    /*       hlt */
};

struct board {
	struct fh_machine *m;
	struct fh_region *window; /* RAM at 0x20000, then at 0x30000 */
	struct fh_region *over;	  /* RAM that comes and goes on top of its third page */
	char told[8];
	unsigned tells;
	uint8_t count;
	_Atomic bool moved, stop;
	unsigned lost; /* rounds in which the dirty log was wrong */
	unsigned rung; /* at the device, not at its doorbell */
};

static enum fh_tx board_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	struct board *board = state;

	(void)offset, (void)size, (void)attrs;
	*ret_value = atomic_load(&board->stop);
	return FH_TX_OK;
}

/* Edits the map from the vCPU's own exit. */
static enum fh_tx board_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	struct board *board = state;

	(void)size, (void)attrs;
	if (offset == 0 && board->tells < sizeof(board->told) - 1) {
		board->told[board->tells++] = (char)value;
	} else if (offset == 1) {
		fh_region_move(board->window, value << 16);
		atomic_store(&board->moved, true);
	} else if (offset == 3) {
		board->count = (uint8_t)value;
	} else if (offset == 4) {
		board->rung++;
	}
	return FH_TX_OK;
}

static const struct fh_region_ops board_ops = {
	.read = board_read, .write = board_write, .valid = { .max = 1 }
};

/* --- The other thread ----------------------------------------------------------------------- */

/* The first page of the window is written all the time, the sixth never. */
static bool wait_for_dirt(struct board *board)
{
	bool first = false, sixth = false;

	while (!first) {
		struct fh_dirty_snapshot *snapshot = fh_dirty_snapshot_take(
			board->window, FH_DIRTY_USER0, 0, UINT64_MAX, NULL);

		first = fh_dirty_snapshot_test(snapshot, 0, 1);
		sixth = sixth || fh_dirty_snapshot_test(snapshot, 5 * 4096, 1);
		fh_dirty_snapshot_free(snapshot);
		sched_yield();
	}
	return !sixth;
}

/* Cuts the window in two and heals it, under the running guest. */
static void *disturb(void *arg)
{
	struct board *board = arg;

	while (!atomic_load(&board->moved))
		sched_yield();
	fh_dirty_start(board->window, FH_DIRTY_USER0, NULL);
	for (unsigned round = 0; round < 10; round++) {
		fh_region_set_enabled(board->over, round % 2 == 0);
		board->lost += !wait_for_dirt(board);
	}
	atomic_store(&board->stop, true);
	return NULL;
}

/* --- KVM ------------------------------------------------------------------------------------ */

static void on_signal(int number)
{
	(void)number; /* that it came has ended KVM_RUN */
}

static void kick(void *arg)
{
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
}

/* Real mode, all segments at 0, at the start of the code. */
static bool vcpu_reset(int fd)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return false;
	sregs.cs.base = sregs.cs.selector = 0;
	return ioctl(fd, KVM_SET_SREGS, &sregs) == 0 && ioctl(fd, KVM_SET_REGS, &regs) == 0;
}

struct host {
	int kvm, vm, vcpu;
	struct kvm_run *run;
};

/* What is missing, or NULL. */
static const char *host_open(struct host *host)
{
	host->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (host->kvm < 0)
		return "/dev/kvm";
	if (ioctl(host->kvm, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0)
		return "KVM_CAP_READONLY_MEM";
	host->vm = ioctl(host->kvm, KVM_CREATE_VM, 0);
	if (host->vm < 0)
		return "KVM_CREATE_VM";
	host->vcpu = ioctl(host->vm, KVM_CREATE_VCPU, 0);
	if (host->vcpu < 0)
		return "KVM_CREATE_VCPU";
	host->run = mmap(NULL, (size_t)ioctl(host->kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
			 PROT_READ | PROT_WRITE, MAP_SHARED, host->vcpu, 0);
	return host->run == MAP_FAILED ? "the vCPU's state" : NULL;
}

/* Stores of 7 to the fifth register; who waits for the descriptor is told of them. */
static struct fh_eventfd *hang_bell(struct fh_region *regs, int fd)
{
	const struct fh_eventfd_match match = {
		.offset = 4, .size = 1, .match_data = true, .data = 7
	};

	return fh_eventfd_new(fh_object_get_machine(regs), regs, &match, fd, NULL);
}

static bool run(const struct host *host, struct fh_kvm *kvm, struct board *board)
{
	pthread_t self = pthread_self(), other;
	struct fh_error err = FH_ERROR_INIT;
	struct fh_kvm_vcpu *vcpu =
		fh_kvm_vcpu_new(kvm, host->vcpu, host->run, kick, &self, &err);
	const struct sigaction action = { .sa_handler = on_signal };

	if (!vcpu || !vcpu_reset(host->vcpu) || sigaction(SIGUSR1, &action, NULL) < 0)
		return false;
	pthread_create(&other, NULL, disturb, board);
	const enum fh_code code = fh_kvm_run(vcpu, &err);

	printf("fh_kvm_run: %s %s, exit reason %u\n", fh_code_name(code), err.message,
	       host->run->exit_reason);
	atomic_store(&board->moved, true);
	if (code == FH_OK && host->run->exit_reason == KVM_EXIT_HLT)
		pthread_join(other, NULL);
	else
		_exit(1); /* the other thread waits for the guest */
	fh_kvm_vcpu_free(vcpu);
	return true;
}

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_region *root = fh_space_root(fh_machine_memory(m));
	struct board board = { .m = m };
	struct fh_error err = FH_ERROR_INIT;
	struct host host;
	const char *missing = host_open(&host);

	if (missing)
		return printf("skipped: %s: %s\n", missing, strerror(errno)), SKIPPED;
	struct fh_region *ram = fh_region_new_ram(m, "ram", 0x10000, NULL);
	struct fh_region *rom = fh_region_new_rom(m, "rom", 0x1000, FH_ROM_IGNORE, NULL);
	struct fh_region *regs = fh_region_new_mmio(m, "regs", 0x1000, &board_ops, &board);

	board.window = fh_region_new_ram(m, "window", 0x8000, NULL);
	board.over = fh_region_new_ram(m, "over", 0x1000, NULL);
	if (!ram || !rom || !regs || !board.window || !board.over)
		return 1;
	memcpy((char *)fh_region_ram(ram) + CODE, guest_code, sizeof(guest_code));
	memcpy(fh_region_ram(rom), "R", 1);
	fh_region_add(root, ram, 0, 0);
	fh_region_add(root, rom, 0xf0000, 0);
	fh_region_add(root, regs, 0xd0000, 0);
	fh_region_add(root, board.window, 0x20000, 0);
	fh_region_add(board.window, board.over, 0x2000, 0);

	const int bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct fh_eventfd *bell = hang_bell(regs, bell_fd);
	uint64_t rings = 0;

	if (!bell)
		return 1;

	struct fh_kvm *kvm = fh_kvm_new(m, fh_machine_memory(m), host.vm, NULL, &err);

	if (!kvm && err.code == FH_ENOTSUP)
		return printf("skipped: %s\n", err.message), SKIPPED;
	if (!kvm)
		return printf("%s\n", err.message), 1;
	const bool ran = run(&host, kvm, &board);
	const uint8_t *memory = fh_region_ram(board.window);

	(void)!read(bell_fd, &rings, sizeof(rings));
	printf("the guest told \"%s\", rang %u, counted %u in a register and %u in memory\n",
	       board.told, (unsigned)rings, board.count, memory[0x20]);
	const bool good = ran && strcmp(board.told, "RW") == 0 && memory[0x20] == board.count &&
			  rings == 1 && board.rung == 0 && board.lost == 0 &&
			  fh_kvm_check(kvm, NULL) == FH_OK;

	fh_kvm_destroy(kvm);
	fh_object_unref(kvm);
	fh_object_unref(bell);
	close(bell_fd);
	fh_object_unref(board.over);
	fh_object_unref(board.window);
	fh_object_unref(regs);
	fh_object_unref(rom);
	fh_object_unref(ram);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || !good;
}

#else

int main(void)
{
	printf("skipped: not x86-64, or built without <linux/kvm.h>\n");
	return SKIPPED;
}

#endif
