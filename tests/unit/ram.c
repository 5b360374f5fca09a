/* SPDX-License-Identifier: MIT */
/*
 * Memory behind RAM regions: what each option does, what the host refuses, and that nothing is left
 * behind. Huge pages are huge.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <freehold/freehold.h>

#include "memory/backing.h"

#include "support/host.h"

enum { PAGE = 4096, SIZE = 16 * PAGE };

static struct fh_machine *m;
static struct fh_space *memory;
static char path[64];

static int setup(void **state)
{
	(void)state;
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	snprintf(path, sizeof(path), "/tmp/freehold-ram-%d", (int)getpid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return fh_machine_destroy(m);
}

static struct fh_region *ram_with(uint64_t size, const struct fh_ram_options *options)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_region *region = fh_region_new_ram_with(m, NULL, size, options, &err);

	if (!region)
		fail_msg("%s", err.message);
	return region;
}

static void assert_refused(uint64_t size, const struct fh_ram_options *options, enum fh_code code)
{
	struct fh_error err = FH_ERROR_INIT;

	assert_null(fh_region_new_ram_with(m, NULL, size, options, &err));
	if (err.code != code)
		fail_msg("%s: %s", fh_code_name(err.code), err.message);
	assert_true(err.message[0] != '\0');
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static uint64_t resident(const void *ptr, uint64_t size)
{
	unsigned char pages[1024];
	uint64_t count = 0;

	assert_true(size / PAGE <= sizeof(pages));
	assert_int_equal(mincore((void *)(uintptr_t)ptr, size, pages), 0);
	for (uint64_t i = 0; i < size / PAGE; i++)
		count += pages[i] & 1;
	return count;
}

/* A file of @pages pages of 0x5a. */
static void write_file(unsigned pages)
{
	FILE *file = fopen(path, "we");

	for (unsigned i = 0; i < pages * PAGE; i++)
		fputc(0x5a, file);
	fclose(file);
}

static uint8_t file_byte(off_t offset)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t byte = 0;

	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	close(fd);
	return byte;
}

/* --- Anonymous, memfd ----------------------------------------------------------------------- */

static void options_of_zero_make_plain_ram(void **state)
{
	struct fh_region *ram = ram_with(SIZE, &(struct fh_ram_options){ 0 });
	const struct fh_ram_info info = fh_region_get_ram_info(ram);

	(void)state;
	assert_int_equal(info.backing, FH_RAM_ANONYMOUS);
	assert_false(info.shared || info.readonly || info.huge || info.transparent);
	assert_int_equal(info.page_size, sysconf(_SC_PAGESIZE));
	assert_int_equal(info.max_size, SIZE);
	assert_int_equal(info.fd, -1);
	assert_int_equal(*(uint8_t *)fh_region_ram(ram), 0);
	fh_object_unref(ram);
}

static void memfd_is_shared_and_cannot_be_shrunk(void **state)
{
	const unsigned before = open_descriptors();
	struct fh_region *ram =
		ram_with(SIZE, &(struct fh_ram_options){ .backing = FH_RAM_MEMFD });
	uint64_t offset = 99;
	const int fd = fh_region_get_fd(ram, &offset);
	uint8_t *other;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(offset, 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(ftruncate(fd, PAGE), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 2 * SIZE), -1);
	other = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	fh_region_add(fh_space_root(memory), ram, 0, 0);
	fh_space_store32(memory, 8, 0x12345678, FH_LE);
	assert_int_equal(*(uint32_t *)(void *)(other + 8), 0x12345678);
	munmap(other, SIZE);
	fh_object_unref(ram);
	fh_machine_drain(m);
	assert_int_equal(open_descriptors(), before);
}

/* --- Files ---------------------------------------------------------------------------------- */

static void shared_file_is_written_at_its_offset(void **state)
{
	struct fh_region *ram;
	uint64_t offset;

	(void)state;
	write_file(4);
	ram = ram_with(2 * PAGE, &(struct fh_ram_options){ .backing = FH_RAM_FILE,
							   .path = path,
							   .offset = PAGE,
							   .shared = true });
	assert_int_equal(*(uint8_t *)fh_region_ram(ram), 0x5a);
	*(uint8_t *)fh_region_ram(ram) = 1;
	assert_int_equal(file_byte(PAGE), 1);
	assert_int_equal(file_byte(0), 0x5a);
	assert_true(fh_region_get_fd(ram, &offset) >= 0);
	assert_int_equal(offset, PAGE);
	fh_object_unref(ram);
}

static void private_file_is_not_written(void **state)
{
	struct fh_region *ram;

	(void)state;
	write_file(2);
	ram = ram_with(PAGE, &(struct fh_ram_options){ .backing = FH_RAM_FILE, .path = path });
	*(uint8_t *)fh_region_ram(ram) = 1;
	assert_int_equal(file_byte(0), 0x5a);
	assert_int_equal(fh_region_get_fd(ram, NULL), -1);
	assert_int_equal(fh_region_flush(ram, 0, PAGE, NULL), FH_ENOTSUP);
	assert_int_equal(fh_region_discard(ram, 0, PAGE, NULL), FH_ENOTSUP);
	fh_object_unref(ram);
}

static void file_is_made_and_made_longer_if_asked_for(void **state)
{
	struct fh_ram_options options = { .backing = FH_RAM_FILE, .path = path, .shared = true };
	struct stat status;

	(void)state;
	assert_refused(SIZE, &options, FH_ENOENT);
	options.create = true;
	fh_object_unref(ram_with(SIZE, &options));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, SIZE);
	fh_object_unref(ram_with(2 * SIZE, &options));
	fh_object_unref(ram_with(PAGE, &options));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, 2 * SIZE);
}

static void file_that_is_too_short_is_refused(void **state)
{
	const unsigned before = open_descriptors();
	const struct fh_ram_options options = { .backing = FH_RAM_FILE,
						.path = path,
						.offset = PAGE };

	(void)state;
	write_file(2);
	assert_refused(PAGE + 1, &options, FH_EINVAL);
	fh_object_unref(ram_with(PAGE, &options));
	fh_machine_drain(m);
	assert_int_equal(open_descriptors(), before);
}

static void read_only_file_is_never_written(void **state)
{
	struct fh_region *ram;

	(void)state;
	write_file(2);
	chmod(path, 0400);
	ram = ram_with(PAGE, &(struct fh_ram_options){ .backing = FH_RAM_FILE,
						       .path = path,
						       .shared = true,
						       .readonly = true });
	fh_region_add(fh_space_root(memory), ram, 0, 0);
	assert_int_equal(fh_space_store8(memory, 0, 1, FH_LE), FH_TX_OK);
	assert_int_equal(fh_space_write(memory, 0, &(uint8_t){ 1 }, 1,
					(struct fh_attrs){ .debug = true }),
			 FH_TX_DENIED);
	assert_int_equal(*(uint8_t *)fh_region_ram(ram), 0x5a);
	assert_int_equal(fh_region_set_readonly(ram, false), FH_EPERM);
	assert_true(fh_region_get_info(ram).readonly);
	assert_int_equal(fh_region_set_readonly(ram, true), FH_OK);
	fh_object_unref(ram);
}

static void descriptor_is_duplicated(void **state)
{
	struct fh_region *ram;
	int fd;

	(void)state;
	write_file(4);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ram = ram_with(PAGE, &(struct fh_ram_options){ .backing = FH_RAM_DESCRIPTOR,
						       .fd = fd,
						       .offset = 2 * PAGE,
						       .shared = true });
	close(fd);
	assert_int_not_equal(fh_region_get_fd(ram, NULL), fd);
	*(uint8_t *)fh_region_ram(ram) = 7;
	assert_int_equal(fh_region_flush(ram, 0, PAGE, NULL), FH_OK);
	assert_int_equal(file_byte(2 * PAGE), 7);
	fh_object_unref(ram);
	assert_refused(PAGE, &(struct fh_ram_options){ .backing = FH_RAM_DESCRIPTOR, .fd = -1 },
		       FH_EIO);
}

static unsigned released;

static void count_release(void *arg)
{
	(void)arg;
	released++;
}

static void pointer_is_the_callers(void **state)
{
	static uint8_t bytes[PAGE] __attribute__((aligned(PAGE)));
	const struct fh_ram_options options = { .backing = FH_RAM_POINTER,
						.ptr = bytes,
						.release = count_release };
	struct fh_region *ram = ram_with(PAGE, &options);

	(void)state;
	assert_ptr_equal(fh_region_ram(ram), bytes);
	assert_int_equal(fh_region_discard(ram, 0, PAGE, NULL), FH_ENOTSUP);
	released = 0;
	fh_object_unref(ram);
	fh_machine_drain(m);
	assert_int_equal(released, 1);
	/* What fails has taken nothing. */
	assert_null(fh_region_new_ram_with(m, "a/b", PAGE, &options, NULL));
	fh_machine_drain(m);
	assert_int_equal(released, 1);
}

static void what_makes_no_sense_is_refused(void **state)
{
	if (under_valgrind())
		skip(); /* it says "invalid" of what is too large */
	(void)state;
	assert_refused(0, &(struct fh_ram_options){ 0 }, FH_EINVAL);
	assert_refused(FH_SIZE_ALL, &(struct fh_ram_options){ 0 }, FH_EINVAL);
	assert_refused(2 * PAGE, &(struct fh_ram_options){ .max_size = PAGE }, FH_EINVAL);
	assert_refused(UINT64_C(1) << 62, &(struct fh_ram_options){ 0 }, FH_ENOMEM);
	assert_refused(PAGE, &(struct fh_ram_options){ .backing = FH_RAM_FILE }, FH_EINVAL);
	assert_refused(PAGE, &(struct fh_ram_options){ .readonly = true }, FH_EINVAL);
	assert_refused(PAGE, &(struct fh_ram_options){ .backing = FH_RAM_POINTER }, FH_EINVAL);
	assert_refused(PAGE, &(struct fh_ram_options){ .granule = 100 }, FH_EINVAL);
	assert_refused(PAGE, &(struct fh_ram_options){ .granule = 3 * PAGE }, FH_EINVAL);
	assert_refused(PAGE, &(struct fh_ram_options){ .page_size = PAGE }, FH_EINVAL);
	assert_refused(PAGE, &(struct fh_ram_options){ .unpopulated = true, .preallocate = true },
		       FH_EINVAL);
	write_file(2);
	assert_refused(PAGE, &(struct fh_ram_options){ .backing = FH_RAM_FILE,
						       .path = path,
						       .offset = 12 },
		       FH_EINVAL);
	assert_refused(PAGE,
		       &(struct fh_ram_options){ .backing = FH_RAM_FILE, .path = "/dev/null" },
		       FH_EINVAL);
}

/* --- Preallocation --------------------------------------------------------------------------- */

struct steps {
	unsigned count, stop_at;
	uint64_t done, total;
};

static bool note_progress(void *state, uint64_t done, uint64_t total)
{
	struct steps *const steps = state;

	assert_true(done > steps->done);
	steps->done = done;
	steps->total = total;
	return ++steps->count != steps->stop_at;
}

static void preallocated_memory_is_there_and_progress_is_told(void **state)
{
	if (under_qemu())
		skip(); /* counts what is resident */
	const enum fh_ram_backing kinds[] = { FH_RAM_ANONYMOUS, FH_RAM_MEMFD };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct steps steps = { 0 };
		struct fh_region *ram = ram_with(
			40 << 20, &(struct fh_ram_options){ .backing = kinds[i],
							    .preallocate = true,
							    .progress = note_progress,
							    .progress_state = &steps });

		assert_int_equal(steps.done, 40 << 20);
		assert_int_equal(steps.total, 40 << 20);
		assert_int_equal(steps.count, 3);
		assert_int_equal(resident((char *)fh_region_ram(ram) + (36 << 20), 4 << 20), 1024);
		fh_object_unref(ram);
	}
}

static void preallocation_can_be_stopped(void **state)
{
	const unsigned before = open_descriptors();
	struct steps steps = { .stop_at = 2 };

	(void)state;
	assert_refused(40 << 20,
		       &(struct fh_ram_options){ .backing = FH_RAM_MEMFD,
						 .preallocate = true,
						 .progress = note_progress,
						 .progress_state = &steps },
		       FH_ECANCELED);
	assert_int_equal(steps.count, 2);
	assert_int_equal(open_descriptors(), before);
}

/* Hosts before Linux 5.14. */
static void memory_is_allocated_without_the_new_call_too(void **state)
{
	struct fh_region *ram = ram_with(
		SIZE, &(struct fh_ram_options){ .backing = FH_RAM_MEMFD, .shared = true });
	struct fh_backing backing = { .ptr = fh_region_ram(ram),
				      .mapped = SIZE,
				      .page_size = PAGE,
				      .fd = fh_region_get_fd(ram, NULL),
				      .shared = true };

	(void)state;
	assert_int_equal(resident(backing.ptr, SIZE), 0);
	backing.ptr[2 * PAGE] = 9;
	assert_int_equal(fh_backing_touch(&backing, PAGE, 4 * PAGE, NULL), FH_OK);
	assert_int_equal(resident(backing.ptr, SIZE), 4);
	assert_int_equal(backing.ptr[2 * PAGE], 9);
	fh_object_unref(ram);
}

/* 0: an error as it should be, in both ways of allocating; 77: the host permits no such thing. */
static int in_a_full_file_system(void)
{
	struct fh_ram_options options = { .backing = FH_RAM_FILE,
					  .path = "/tmp/ram",
					  .create = true,
					  .shared = true,
					  .preallocate = true };
	struct fh_error err = FH_ERROR_INIT;
	struct fh_region *ram;
	struct fh_backing backing;

	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/tmp", "tmpfs", 0, "size=1m") != 0)
		return 77;
	if (fh_region_new_ram_with(m, NULL, 4 << 20, &options, &err) || err.code != FH_ENOMEM)
		return 1;
	options.preallocate = false;
	ram = fh_region_new_ram_with(m, NULL, 4 << 20, &options, NULL);
	backing = (struct fh_backing){ .ptr = fh_region_ram(ram),
				       .mapped = 4 << 20,
				       .page_size = PAGE,
				       .fd = fh_region_get_fd(ram, NULL),
				       .shared = true };
	return fh_backing_touch(&backing, 0, 4 << 20, NULL) == FH_ENOMEM ? 0 : 2;
}

static void a_host_that_runs_out_is_an_error_and_no_signal(void **state)
{
	if (under_valgrind() || under_qemu())
		skip(); /* mounts, and counts what is resident */
	int status = 0;
	const pid_t child = fork();

	(void)state;
	if (child == 0) {
		signal(SIGBUS, SIG_DFL);
		_exit(in_a_full_file_system());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- Another size ---------------------------------------------------------------------------- */

static struct {
	unsigned count;
	uint64_t size;
	struct fh_region *region;
} resized;

static void note_size(void *state, struct fh_region *region, uint64_t size)
{
	assert_ptr_equal(state, &resized);
	assert_int_equal(fh_region_get_info(region).size, size);
	resized.count++;
	resized.size = size;
	resized.region = region;
}

static void ram_grows_up_to_its_maximum_and_says_so(void **state)
{
	struct fh_region *ram =
		ram_with(PAGE, &(struct fh_ram_options){ .backing = FH_RAM_MEMFD,
							 .max_size = SIZE,
							 .resized = note_size,
							 .resized_state = &resized });
	uint8_t *const ptr = fh_region_ram(ram);
	uint8_t byte;

	(void)state;
	memset(&resized, 0, sizeof(resized));
	fh_region_add(fh_space_root(memory), ram, 0, 0);
	assert_int_equal(fh_space_load8(memory, PAGE, FH_LE, &byte), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_region_resize(ram, SIZE), FH_OK);
	assert_int_equal(resized.count, 1);
	assert_int_equal(resized.size, SIZE);
	assert_ptr_equal(resized.region, ram);
	assert_ptr_equal(fh_region_ram(ram), ptr);
	assert_int_equal(fh_space_store8(memory, SIZE - 1, 3, FH_LE), FH_TX_OK);
	assert_int_equal(ptr[SIZE - 1], 3);
	assert_int_equal(fh_region_resize(ram, SIZE), FH_OK); /* no change */
	assert_int_equal(fh_region_resize(ram, SIZE + 1), FH_EINVAL);
	assert_int_equal(resized.count, 1);
	assert_int_equal(fh_region_resize(ram, 0), FH_OK);
	assert_int_equal(resized.count, 2);
	assert_int_equal(fh_region_get_ram_info(ram).max_size, SIZE);
	fh_object_unref(ram);
}

static void ram_may_begin_with_nothing(void **state)
{
	struct fh_region *ram = ram_with(0, &(struct fh_ram_options){ .max_size = SIZE });

	(void)state;
	assert_int_equal(fh_region_get_info(ram).size, 0);
	assert_int_equal(fh_region_resize(ram, 100), FH_OK);
	fh_object_unref(ram);
}

/* --- Non-volatile ---------------------------------------------------------------------------- */

/* KiB of the mapping at ptr that are dirty, or -1. */
static long dirty_kib(const void *ptr)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long first, last;
	bool inside = false;
	char line[256];
	long sum = -1, kib;

	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &first, &last) == 2 && strchr(line, '-') < line + 17)
			inside = (uintptr_t)ptr >= first && (uintptr_t)ptr < last;
		else if (inside && (sscanf(line, "Shared_Dirty: %ld", &kib) == 1 ||
				    sscanf(line, "Private_Dirty: %ld", &kib) == 1))
			sum = (sum < 0 ? 0 : sum) + kib;
	}
	fclose(file);
	return sum;
}

/* Whether pages of the file are dirty until they are written back, and then no more. */
static bool file_is_written_back(void)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *ptr;
	bool good;

	assert_int_equal(ftruncate(fd, PAGE), 0);
	ptr = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(ptr, MAP_FAILED);
	ptr[0] = 1;
	good = dirty_kib(ptr) > 0 && msync(ptr, PAGE, MS_SYNC) == 0 && dirty_kib(ptr) == 0;
	munmap(ptr, PAGE);
	close(fd);
	return good;
}

static struct fh_region *nonvolatile(void)
{
	return ram_with(SIZE, &(struct fh_ram_options){ .backing = FH_RAM_FILE,
							.path = path,
							.create = true,
							.shared = true,
							.nonvolatile = true });
}

static void flush_writes_back_what_was_written(void **state)
{
	struct fh_region *ram;

	(void)state;
	/* On many hosts /tmp is in memory. */
	snprintf(path, sizeof(path), "freehold-ram-%d", (int)getpid());
	if (!file_is_written_back())
		skip(); /* so is the current directory */
	ram = nonvolatile();
	fh_region_add(fh_space_root(memory), ram, 0, 0);
	fh_space_store8(memory, 5 * PAGE, 1, FH_LE);
	assert_int_equal(fh_region_flush(ram, 5 * PAGE + 8, 8, NULL), FH_OK);
	assert_int_equal(dirty_kib(fh_region_ram(ram)), 0);
	fh_object_unref(ram);
}

static void flush_takes_what_is_there(void **state)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_section section;
	struct fh_region *ram;

	(void)state;
	ram = nonvolatile();
	fh_region_add(fh_space_root(memory), ram, 0, 0);
	fh_read_begin();
	assert_true(fh_space_lookup(memory, 0, &section));
	fh_read_end();
	assert_true(section.nonvolatile);
	assert_int_equal(fh_region_flush(ram, 0, SIZE, &err), FH_OK);
	fh_space_store8(memory, 5 * PAGE, 1, FH_LE);
	assert_int_equal(fh_region_flush(ram, 0, PAGE, &err), FH_OK);
	assert_int_equal(fh_region_flush(ram, 5 * PAGE + 8, 8, &err), FH_OK);
	assert_int_equal(fh_region_flush(ram, 0, 0, &err), FH_OK);
	assert_int_equal(fh_region_flush(ram, SIZE, 1, NULL), FH_ERANGE);
	assert_int_equal(fh_region_flush(NULL, 0, 1, NULL), FH_EDEAD);
	assert_int_equal(fh_region_flush(fh_space_root(memory), 0, 1, NULL), FH_ETYPE);
	fh_object_unref(ram);
}

static void failure_to_write_back_is_reported(void **state)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_region *ram;

	(void)state;
	if (under_valgrind())
		skip(); /* it looks at what the call is given */
#if defined(__SANITIZE_ADDRESS__)
	skip(); /* it has maps of its own, which come to lie in the hole */
#endif
	ram = ram_with(SIZE, &(struct fh_ram_options){ .backing = FH_RAM_FILE,
						       .path = path,
						       .create = true,
						       .shared = true });
	/* What is not mapped the host cannot write. */
	munmap((char *)fh_region_ram(ram) + PAGE, PAGE);
	assert_int_equal(fh_region_flush(ram, 0, 3 * PAGE, &err), FH_EIO);
	assert_true(err.message[0] != '\0');
	fh_object_unref(ram);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_of_zero_make_plain_ram),
		TEST(memfd_is_shared_and_cannot_be_shrunk),
		TEST(shared_file_is_written_at_its_offset),
		TEST(private_file_is_not_written),
		TEST(file_is_made_and_made_longer_if_asked_for),
		TEST(file_that_is_too_short_is_refused),
		TEST(read_only_file_is_never_written),
		TEST(descriptor_is_duplicated),
		TEST(pointer_is_the_callers),
		TEST(what_makes_no_sense_is_refused),
		TEST(preallocated_memory_is_there_and_progress_is_told),
		TEST(preallocation_can_be_stopped),
		TEST(memory_is_allocated_without_the_new_call_too),
		TEST(a_host_that_runs_out_is_an_error_and_no_signal),
		TEST(ram_grows_up_to_its_maximum_and_says_so),
		TEST(ram_may_begin_with_nothing),
		TEST(flush_writes_back_what_was_written),
		TEST(flush_takes_what_is_there),
		TEST(failure_to_write_back_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
