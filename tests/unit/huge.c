/* SPDX-License-Identifier: MIT */
/*
 * RAM of huge pages: had, refused in words, or ordinary memory instead, as it was asked for. The
 * tests set how many the host keeps ready, and put back what was there; where they may not, they
 * are skipped, and say why. Only what the host counts proves that a page is a huge one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include <freehold/freehold.h>

#include "support/host.h"

enum { NO_PAGE_SIZE = 8 << 20 }; /* of no host */

static struct fh_machine *m;
static struct fh_space *memory;

/* --- The host's ------------------------------------------------------------------------------ */

/* Locked as long as a test wants the number to stay, by however many of these programs. */
static int number_fd = -1;
static long number_before = -1; /* to be put back; -1: nothing to do */

static long read_number(void)
{
	char text[32] = "";

	return pread(number_fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : -1;
}

static bool write_number(long number)
{
	char text[32];
	const int length = snprintf(text, sizeof(text), "%ld\n", number);

	return pwrite(number_fd, text, (size_t)length, 0) == length;
}

/* In KiB or pages, as /proc/meminfo has it; -1: it has no such line. */
static long meminfo(const char *name)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	long found = -1;

	while (found < 0 && file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			found = strtol(line + strlen(name) + 1, NULL, 10);
	if (file)
		fclose(file);
	return found;
}

static uint64_t page_size(void)
{
	return (uint64_t)meminfo("Hugepagesize") << 10;
}

/* Those that nobody has, nor has been promised. */
static long pages_left(void)
{
	return meminfo("HugePages_Free") - meminfo("HugePages_Rsvd");
}

#define skip_since(...) (fprintf(stderr, "skipped: " __VA_ARGS__), skip())

/* The host keeps so many ready, of which all are free; or the test is skipped. */
static void keep_ready(long count)
{
	if (under_valgrind() || under_qemu())
		skip_since("the host's memory is another's here\n");
	number_fd = open("/proc/sys/vm/nr_hugepages", O_RDWR | O_CLOEXEC);
	if (number_fd < 0)
		skip_since("nr_hugepages cannot be written: %s\n", strerror(errno));
	assert_int_equal(flock(number_fd, LOCK_EX), 0);
	if (read_number() != pages_left())
		skip_since("huge pages of this host are in use\n");
	if (meminfo("Hugepagesize") > 4096)
		skip_since("huge pages of this host have %ld KiB\n", meminfo("Hugepagesize"));
	number_before = read_number();
	if (!write_number(count) || read_number() != count)
		skip_since("the host has not %ld huge pages to keep ready\n", count);
	assert_int_equal(pages_left(), count);
}

static int setup(void **state)
{
	(void)state;
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	return 0;
}

static int teardown(void **state)
{
	const int leaks = fh_machine_destroy(m);

	(void)state;
	if (number_before >= 0 && !write_number(number_before))
		return -1;
	if (number_fd >= 0)
		close(number_fd);
	number_fd = -1;
	number_before = -1;
	return leaks;
}

static struct fh_region *ram_with(uint64_t size, const struct fh_ram_options *options)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_region *region = fh_region_new_ram_with(m, NULL, size, options, &err);

	if (!region)
		fail_msg("%s", err.message);
	return region;
}

static void assert_refused(uint64_t size, const struct fh_ram_options *options, enum fh_code code,
			   const char *words)
{
	struct fh_error err = FH_ERROR_INIT;

	assert_null(fh_region_new_ram_with(m, NULL, size, options, &err));
	if (err.code != code || !strstr(err.message, words))
		fail_msg("%s: %s", fh_code_name(err.code), err.message);
}

/* Of memory that has been written, and is `size` bytes: a guest's store ends up in it. */
static void assert_works(struct fh_region *ram, uint64_t size)
{
	uint64_t value = 1;

	fh_region_add(fh_space_root(memory), ram, 0, 0);
	for (uint64_t addr = 8; addr < size; addr += 0x1000)
		assert_int_equal(fh_space_store64(memory, addr, addr, FH_LE), FH_TX_OK);
	for (uint64_t addr = 8; addr < size; addr += 0x1000)
		assert_int_equal(*(uint64_t *)((char *)fh_region_ram(ram) + addr), addr);
	assert_int_equal(fh_space_load64(memory, size - 8, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 0);
	assert_int_equal(fh_space_load64(memory, size, FH_LE, &value), FH_TX_DECODE_ERROR);
	fh_region_remove(ram);
}

/* --- Had ------------------------------------------------------------------------------------- */

static void huge_pages_that_are_required_are_had(void **state)
{
	static const struct {
		enum fh_ram_backing backing;
		bool shared;
	} kinds[] = { { FH_RAM_ANONYMOUS, false }, { FH_RAM_ANONYMOUS, true },
		      { FH_RAM_MEMFD, true } };
	const uint64_t page = page_size();

	(void)state;
	keep_ready(4);
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t size = 2 * page - 0x1000; /* the rest of the last page is nobody's */
		struct fh_region *ram =
			ram_with(size, &(struct fh_ram_options){ .backing = kinds[i].backing,
								 .shared = kinds[i].shared,
								 .huge = FH_RAM_HUGE_REQUIRED });
		const struct fh_ram_info info = fh_region_get_ram_info(ram);

		assert_true(info.huge);
		assert_false(info.transparent);
		assert_int_equal(info.page_size, page);
		assert_int_equal(info.granule, page);
		assert_int_equal(info.max_size, size);
		assert_int_equal((uintptr_t)fh_region_ram(ram) % page, 0);
		/* Promised at once, so that no touch finds none; taken as they are touched. */
		assert_int_equal(pages_left(), 2);
		assert_int_equal(meminfo("HugePages_Free"), 4);
		assert_works(ram, size);
		assert_int_equal(meminfo("HugePages_Free"), 2);
		fh_object_unref(ram);
		fh_machine_drain(m);
		assert_int_equal(meminfo("HugePages_Free"), 4);
		assert_int_equal(pages_left(), 4);
	}
}

static void memfd_of_huge_pages_is_one_for_others(void **state)
{
	struct statfs fs;
	struct fh_region *ram;
	uint8_t *other;
	int fd;

	(void)state;
	keep_ready(2);
	ram = ram_with(2 * page_size(), &(struct fh_ram_options){ .backing = FH_RAM_MEMFD,
								  .huge = FH_RAM_HUGE_REQUIRED,
								  .page_size = page_size() });
	fd = fh_region_get_fd(ram, NULL);
	assert_int_equal(fstatfs(fd, &fs), 0);
	assert_int_equal(fs.f_type, HUGETLBFS_MAGIC);
	assert_int_equal(ftruncate(fd, 0), -1); /* sealed */
	other = mmap(NULL, 2 * page_size(), PROT_READ, MAP_SHARED, fd, 0);
	((uint8_t *)fh_region_ram(ram))[page_size() + 5] = 7;
	assert_int_equal(other[page_size() + 5], 7);
	munmap(other, 2 * page_size());
	fh_object_unref(ram);
}

static void descriptor_of_huge_pages_is_known_as_one(void **state)
{
	const uint64_t page = page_size();
	struct fh_ram_options options = { .backing = FH_RAM_DESCRIPTOR,
					  .shared = true,
					  .huge = FH_RAM_HUGE_REQUIRED };
	struct fh_region *ram;

	(void)state;
	keep_ready(3);
	options.fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	assert_int_equal(ftruncate(options.fd, (off_t)(3 * page)), 0);
	options.offset = page;
	ram = ram_with(2 * page, &options);
	assert_true(fh_region_get_ram_info(ram).huge);
	assert_int_equal(fh_region_get_ram_info(ram).page_size, page);
	assert_works(ram, 2 * page);
	fh_object_unref(ram);
	assert_refused(3 * page, &options, FH_EINVAL, "bytes, of which");
	options.offset = 0x1000;
	assert_refused(page, &options, FH_EINVAL, "with pages of");
	options.offset = 0;
	options.page_size = page / 2;
	assert_refused(page, &options, FH_ENOTSUP, "huge pages");
	close(options.fd);
}

static void one_that_may_grow_has_its_pages_from_the_start(void **state)
{
	struct fh_region *ram;

	(void)state;
	keep_ready(4);
	ram = ram_with(0x1000, &(struct fh_ram_options){ .huge = FH_RAM_HUGE_REQUIRED,
							 .max_size = 3 * page_size() });
	assert_int_equal(pages_left(), 1);
	assert_int_equal(fh_region_resize(ram, 3 * page_size()), FH_OK);
	assert_works(ram, 3 * page_size());
	fh_object_unref(ram);
}

/* --- Refused, or something else instead ------------------------------------------------------- */

static void too_few_huge_pages_are_refused_in_words(void **state)
{
	static const enum fh_ram_backing kinds[] = { FH_RAM_ANONYMOUS, FH_RAM_MEMFD };

	(void)state;
	keep_ready(2);
	for (unsigned i = 0; i < 2; i++) {
		assert_refused(3 * page_size(),
			       &(struct fh_ram_options){ .backing = kinds[i],
							 .huge = FH_RAM_HUGE_REQUIRED },
			       FH_ENOMEM, "has not 3 huge pages of");
		assert_int_equal(pages_left(), 2);
		assert_int_equal(meminfo("HugePages_Free"), 2);
	}
}

static void no_huge_pages_at_all_are_refused_in_words(void **state)
{
	(void)state;
	keep_ready(0);
	assert_refused(page_size(), &(struct fh_ram_options){ .huge = FH_RAM_HUGE_REQUIRED },
		       FH_ENOMEM, "has not 1 huge pages of");
}

static void sizes_that_no_host_has_are_refused_in_words(void **state)
{
	static const enum fh_ram_backing kinds[] = { FH_RAM_ANONYMOUS, FH_RAM_MEMFD };

	(void)state;
	if (under_qemu())
		skip_since("some of its versions say themselves what the host has\n");
	for (unsigned i = 0; i < 2; i++)
		assert_refused(8 << 20,
			       &(struct fh_ram_options){ .backing = kinds[i],
							 .huge = FH_RAM_HUGE_REQUIRED,
							 .page_size = NO_PAGE_SIZE },
			       FH_ENOTSUP, "huge pages");
}

static void huge_pages_that_are_wanted_are_had_if_there_are_enough(void **state)
{
	const struct fh_ram_options options = { .backing = FH_RAM_MEMFD,
						.huge = FH_RAM_HUGE_WANTED };
	const uint64_t size = 2 * page_size();
	struct fh_region *ram, *more;

	(void)state;
	keep_ready(3);
	ram = ram_with(size, &options);
	more = ram_with(size, &options);
	assert_true(fh_region_get_ram_info(ram).huge);
	assert_false(fh_region_get_ram_info(ram).transparent);
	assert_false(fh_region_get_ram_info(more).huge);
	assert_int_equal(fh_region_get_ram_info(more).page_size, sysconf(_SC_PAGESIZE));
	assert_int_equal(pages_left(), 1);
	assert_works(more, size);
	assert_works(ram, size);
	fh_object_unref(ram);
	fh_object_unref(more);
}

/* "VmFlags: ... hg" of the mapping at ptr: the host was asked for transparent huge pages. */
static bool is_advised(const void *ptr)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long first, last;
	bool inside = false, advised = false;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
			inside = (uintptr_t)ptr >= first && (uintptr_t)ptr < last;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			advised = strstr(line, " hg ") != NULL;
	}
	if (file)
		fclose(file);
	return advised;
}

static void assert_falls_back(uint64_t huge_page_size)
{
	struct fh_region *ram =
		ram_with(4 << 20, &(struct fh_ram_options){ .huge = FH_RAM_HUGE_WANTED,
							    .page_size = huge_page_size });
	const struct fh_ram_info info = fh_region_get_ram_info(ram);

	assert_false(info.huge);
	assert_int_equal(info.page_size, sysconf(_SC_PAGESIZE));
	/* Not every host knows transparent ones. */
	assert_int_equal(info.transparent, is_advised(fh_region_ram(ram)));
	assert_works(ram, 4 << 20);
	fh_object_unref(ram);
}

static void without_any_there_is_ordinary_memory_which_says_so(void **state)
{
	(void)state;
	keep_ready(0);
	assert_falls_back(0);
}

static void instead_of_a_size_that_no_host_has_there_is_ordinary_memory(void **state)
{
	(void)state;
	if (under_qemu())
		skip_since("the host's memory is another's here\n");
	assert_falls_back(NO_PAGE_SIZE);
}

/* --- Preallocation --------------------------------------------------------------------------- */

struct steps {
	unsigned count, stop_at;
	uint64_t done, total;
	long free; /* huge pages, at the last step */
};

static bool note_progress(void *state, uint64_t done, uint64_t total)
{
	struct steps *const steps = state;

	assert_true(done > steps->done);
	steps->done = done;
	steps->total = total;
	steps->free = meminfo("HugePages_Free");
	return ++steps->count != steps->stop_at;
}

static struct fh_ram_options preallocated(enum fh_ram_backing backing, enum fh_ram_huge huge,
					  struct steps *steps)
{
	return (struct fh_ram_options){ .backing = backing,
					.huge = huge,
					.preallocate = true,
					.progress = note_progress,
					.progress_state = steps };
}

static void preallocated_huge_pages_are_taken_and_progress_is_told(void **state)
{
	static const enum fh_ram_backing kinds[] = { FH_RAM_ANONYMOUS, FH_RAM_MEMFD };
	const uint64_t page = page_size();
	/* Three steps of 16 MiB at least, the last of them shorter; and a page that is cut. */
	const long pages = (long)((40 << 20) / page);
	const uint64_t size = (uint64_t)pages * page - 0x1000;

	(void)state;
	keep_ready(pages + 1);
	for (unsigned i = 0; i < 2; i++) {
		struct steps steps = { 0 };
		const struct fh_ram_options options =
			preallocated(kinds[i], FH_RAM_HUGE_REQUIRED, &steps);
		struct fh_region *ram = ram_with(size, &options);

		assert_int_equal(steps.count, 3);
		assert_int_equal(steps.done, (uint64_t)pages * page);
		assert_int_equal(steps.total, (uint64_t)pages * page);
		assert_int_equal(steps.free, 1);
		assert_works(ram, size);
		fh_object_unref(ram);
		fh_machine_drain(m);
		assert_int_equal(pages_left(), pages + 1);
	}
}

static void preallocation_that_is_stopped_gives_huge_pages_back(void **state)
{
	static const enum fh_ram_backing kinds[] = { FH_RAM_ANONYMOUS, FH_RAM_MEMFD };
	const uint64_t page = page_size();
	const long pages = (long)((40 << 20) / page);

	(void)state;
	keep_ready(pages);
	for (unsigned i = 0; i < 2; i++) {
		struct steps steps = { .stop_at = 2 };
		const struct fh_ram_options options =
			preallocated(kinds[i], FH_RAM_HUGE_REQUIRED, &steps);

		assert_refused((uint64_t)pages * page, &options, FH_ECANCELED, "stopped");
		assert_int_equal(steps.count, 2);
		assert_int_equal(steps.free, pages - (long)((32 << 20) / page));
		assert_int_equal(meminfo("HugePages_Free"), pages);
		assert_int_equal(pages_left(), pages);
	}
}

static void what_is_had_instead_is_preallocated_too(void **state)
{
	struct steps steps = { 0 };
	struct fh_ram_options options =
		preallocated(FH_RAM_ANONYMOUS, FH_RAM_HUGE_WANTED, &steps);
	static unsigned char there[(40 << 20) / 4096];
	struct fh_region *ram;

	(void)state;
	if (under_qemu())
		skip_since("the host's memory is another's here\n");
	options.page_size = NO_PAGE_SIZE;
	ram = ram_with(40 << 20, &options);
	assert_false(fh_region_get_ram_info(ram).huge);
	assert_int_equal(steps.count, 3);
	assert_int_equal(steps.done, 40 << 20);
	assert_int_equal(mincore(fh_region_ram(ram), 40 << 20, there), 0);
	for (unsigned i = 0; i < (40 << 20) / (unsigned)sysconf(_SC_PAGESIZE); i++)
		assert_true(there[i] & 1);
	fh_object_unref(ram);
}

/* --- Parts that come and go ------------------------------------------------------------------ */

static void discarded_huge_pages_go_back_to_the_host(void **state)
{
	static const enum fh_ram_backing kinds[] = { FH_RAM_ANONYMOUS, FH_RAM_MEMFD };
	const uint64_t page = page_size();

	(void)state;
	keep_ready(2);
	for (unsigned i = 0; i < 2; i++) {
		struct fh_region *ram = ram_with(
			2 * page, &(struct fh_ram_options){ .backing = kinds[i],
							    .huge = FH_RAM_HUGE_REQUIRED,
							    .preallocate = true });
		uint8_t *const ptr = fh_region_ram(ram);

		ptr[page] = 9;
		assert_int_equal(meminfo("HugePages_Free"), 0);
		assert_int_equal(fh_region_discard(ram, 0x1000, 0x1000, NULL), FH_EINVAL);
		assert_int_equal(fh_region_discard(ram, page, page, NULL), FH_OK);
		assert_int_equal(meminfo("HugePages_Free"), 1);
		assert_int_equal(fh_region_populate(ram, page, page, false, NULL), FH_OK);
		assert_int_equal(ptr[page], 0);
		assert_int_equal(meminfo("HugePages_Free"), 0);
		fh_object_unref(ram);
		fh_machine_drain(m);
	}
}

/* What is given back somebody else may take: then populating says so, and the guest is not hit. */
static void huge_pages_that_others_have_taken_are_not_populated(void **state)
{
	const uint64_t page = page_size();
	const struct fh_ram_options options = { .backing = FH_RAM_MEMFD,
						.huge = FH_RAM_HUGE_REQUIRED };
	struct fh_error err = FH_ERROR_INIT;
	struct fh_region *ram, *other;

	(void)state;
	keep_ready(2);
	ram = ram_with(2 * page, &options);
	memset(fh_region_ram(ram), 5, 2 * page);
	assert_int_equal(fh_region_discard(ram, page, page, NULL), FH_OK);
	other = ram_with(page, &options);
	assert_int_equal(fh_region_populate(ram, page, page, false, &err), FH_ENOMEM);
	assert_non_null(strstr(err.message, "has not got"));
	assert_false(fh_region_is_populated(ram, page, page));
	assert_int_equal(*(uint8_t *)fh_region_ram(ram), 5);
	fh_object_unref(other);
	fh_machine_drain(m);
	assert_int_equal(fh_region_populate(ram, page, page, false, NULL), FH_OK);
	*((uint8_t *)fh_region_ram(ram) + page) = 6;
	fh_object_unref(ram);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(huge_pages_that_are_required_are_had),
		TEST(memfd_of_huge_pages_is_one_for_others),
		TEST(descriptor_of_huge_pages_is_known_as_one),
		TEST(one_that_may_grow_has_its_pages_from_the_start),
		TEST(too_few_huge_pages_are_refused_in_words),
		TEST(no_huge_pages_at_all_are_refused_in_words),
		TEST(sizes_that_no_host_has_are_refused_in_words),
		TEST(huge_pages_that_are_wanted_are_had_if_there_are_enough),
		TEST(without_any_there_is_ordinary_memory_which_says_so),
		TEST(instead_of_a_size_that_no_host_has_there_is_ordinary_memory),
		TEST(preallocated_huge_pages_are_taken_and_progress_is_told),
		TEST(preallocation_that_is_stopped_gives_huge_pages_back),
		TEST(what_is_had_instead_is_preallocated_too),
		TEST(discarded_huge_pages_go_back_to_the_host),
		TEST(huge_pages_that_others_have_taken_are_not_populated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
