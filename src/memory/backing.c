/* SPDX-License-Identifier: MIT */
/*
 * Host memory: mmap() and its kin, with an error for everything that they can refuse. See backing.h
 * for R1 to R4.
 */
#include "memory/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

/* --- Errors --------------------------------------------------------------------------------- */

static enum fh_code code_of(int number)
{
	switch (number) {
	case ENOENT:
	case ENOTDIR:
		return FH_ENOENT;
	case EACCES:
	case EPERM:
	case EROFS:
		return FH_EPERM;
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EMFILE:
	case ENFILE:
		return FH_ENOMEM;
	default:
		return FH_EIO;
	}
}

static enum fh_code host_error(struct fh_error *err, const char *what)
{
	const int number = errno;

	return fh_error_set(err, code_of(number), "%s: %s", what, strerror(number));
}

/* --- Pages ---------------------------------------------------------------------------------- */

static uint64_t host_page(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool is_power(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* 0: the host knows no huge pages. */
static uint64_t default_huge_page(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	if (!file)
		return 0;
	while (kib == 0 && fgets(line, sizeof(line), file))
		sscanf(line, "Hugepagesize: %llu kB", &kib);
	fclose(file);
	return (uint64_t)kib << 10;
}

static uint64_t round_up(uint64_t size, uint64_t page)
{
	return (size + (page - 1)) & ~(page - 1);
}

static unsigned huge_bits(uint64_t page)
{
	return (unsigned)__builtin_ctzll(page) << MAP_HUGE_SHIFT;
}

/* --- Mapping -------------------------------------------------------------------------------- */

static enum fh_code map(struct fh_backing *backing, int flags, struct fh_error *err)
{
	const int protection = backing->readonly ? PROT_READ : PROT_READ | PROT_WRITE;
	const uint64_t mapped = round_up(backing->size, backing->page_size);
	void *ptr;

	flags |= backing->shared ? MAP_SHARED : MAP_PRIVATE;
	if (backing->fd < 0)
		flags |= MAP_ANONYMOUS;
	if (!backing->huge)
		flags |= MAP_NORESERVE; /* huge pages are reserved: R4 */
	ptr = mmap(NULL, mapped, protection, flags, backing->fd, (off_t)backing->fd_offset);
	if (ptr == MAP_FAILED && backing->huge && errno == ENOMEM)
		return fh_error_set(err, FH_ENOMEM,
				    "the host has not %" PRIu64 " huge pages of %" PRIu64
				    " KiB free",
				    mapped / backing->page_size, backing->page_size >> 10);
	if (ptr == MAP_FAILED && backing->huge)
		return fh_error_set(err, FH_ENOTSUP,
				    "the host has no huge pages of %" PRIu64 " KiB",
				    backing->page_size >> 10);
	if (ptr == MAP_FAILED)
		return fh_error_set(err, code_of(errno),
				    "no room for %#" PRIx64 " bytes of RAM: %m", backing->size);
	backing->ptr = ptr;
	backing->mapped = mapped;
	return FH_OK;
}

static enum fh_code check_size(uint64_t size, struct fh_error *err)
{
	if (size == 0 || size == FH_SIZE_ALL)
		return fh_error_set(err, FH_EINVAL, "RAM cannot have %s bytes",
				    size == 0 ? "0" : "2^64");
	if (size > INT64_MAX)
		return fh_error_set(err, FH_ENOMEM, "no room for %#" PRIx64 " bytes of RAM", size);
	return FH_OK;
}

enum fh_code fh_backing_open_plain(struct fh_backing *backing, uint64_t size, struct fh_error *err)
{
	const enum fh_code code = check_size(size, err);

	*backing = (struct fh_backing){ .size = size, .fd = -1, .page_size = host_page() };
	return code == FH_OK ? map(backing, 0, err) : code;
}

/* --- Memory without a file of the caller's --------------------------------------------------- */

/* Long enough for ever, and sealed: nobody who is given the descriptor can take memory away. */
static enum fh_code open_memfd(struct fh_backing *backing, struct fh_error *err)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	if (backing->huge)
		flags |= MFD_HUGETLB | huge_bits(backing->page_size);
	backing->fd = memfd_create("freehold-ram", flags);
	if (backing->fd < 0 && backing->huge)
		return fh_error_set(err, FH_ENOTSUP,
				    "the host has no huge pages of %" PRIu64 " KiB: %m",
				    backing->page_size >> 10);
	if (backing->fd < 0)
		return host_error(err, "memfd_create");
	if (ftruncate(backing->fd, (off_t)round_up(backing->size, backing->page_size)) != 0)
		return host_error(err, "the size of a memfd");
	if (fcntl(backing->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return host_error(err, "sealing a memfd");
	return FH_OK;
}

static enum fh_code open_memory(struct fh_backing *backing, struct fh_error *err)
{
	enum fh_code code = FH_OK;

	if (backing->kind == FH_RAM_MEMFD)
		code = open_memfd(backing, err);
	if (code == FH_OK)
		code = map(backing,
			   backing->huge && backing->fd < 0 ?
				   (int)(MAP_HUGETLB | huge_bits(backing->page_size)) :
				   0,
			   err);
	if (code != FH_OK)
		fh_backing_close(backing, false);
	return code;
}

static enum fh_code open_huge(struct fh_backing *backing, const struct fh_ram_options *options,
			      struct fh_error *err)
{
	backing->page_size = options->page_size ? options->page_size : default_huge_page();
	if (backing->page_size == 0)
		return fh_error_set(err, FH_ENOTSUP, "the host knows no huge pages");
	if (!is_power(backing->page_size) || backing->page_size < host_page())
		return fh_error_set(err, FH_EINVAL, "%#" PRIx64 " is no size of a huge page",
				    backing->page_size);
	backing->huge = true;
	return open_memory(backing, err);
}

static enum fh_code open_own(struct fh_backing *backing, const struct fh_ram_options *options,
			     struct fh_error *err)
{
	if (options->huge == FH_RAM_HUGE_REQUIRED)
		return open_huge(backing, options, err);
	if (options->huge == FH_RAM_HUGE_WANTED) {
		struct fh_error unused = FH_ERROR_INIT;
		const enum fh_code code = open_huge(backing, options, &unused);

		if (code == FH_OK || code == FH_EINVAL)
			return code == FH_OK ? code : fh_error_set(err, code, "%s", unused.message);
		backing->huge = false;
	}
	backing->page_size = host_page();
	return open_memory(backing, err);
}

/* --- Files ---------------------------------------------------------------------------------- */

static enum fh_code open_path(struct fh_backing *backing, const struct fh_ram_options *options,
			      struct fh_error *err)
{
	const bool writes = options->create || (options->shared && !options->readonly);
	const int flags = O_CLOEXEC | (writes ? O_RDWR : O_RDONLY) |
			  (options->create ? O_CREAT : 0);

	if (!options->path)
		return fh_error_set(err, FH_EINVAL, "RAM of a file without a path");
	backing->fd = open(options->path, flags, 0600);
	return backing->fd < 0 ? host_error(err, "it cannot be opened") : FH_OK;
}

static enum fh_code open_duplicate(struct fh_backing *backing,
				   const struct fh_ram_options *options, struct fh_error *err)
{
	backing->fd = fcntl(options->fd, F_DUPFD_CLOEXEC, 0);
	return backing->fd < 0 ? host_error(err, "a descriptor for RAM") : FH_OK;
}

/* R4: that it is long enough, and offsets at its pages. */
static enum fh_code fit_file(struct fh_backing *backing, bool create, struct fh_error *err)
{
	struct statfs fs;
	struct stat status;
	uint64_t needed;

	if (fstat(backing->fd, &status) != 0 || fstatfs(backing->fd, &fs) != 0)
		return host_error(err, "a file for RAM");
	if (!S_ISREG(status.st_mode))
		return fh_error_set(err, FH_EINVAL, "RAM can only be of a regular file");
	backing->huge = fs.f_type == HUGETLBFS_MAGIC;
	backing->page_size = backing->huge ? (uint64_t)fs.f_bsize : host_page();
	if (backing->fd_offset % backing->page_size != 0 || backing->fd_offset > INT64_MAX / 2 ||
	    backing->size > INT64_MAX / 2)
		return fh_error_set(err, FH_EINVAL,
				    "%#" PRIx64 " bytes at offset %#" PRIx64
				    " of a file with pages of %#" PRIx64,
				    backing->size, backing->fd_offset, backing->page_size);
	needed = backing->fd_offset + backing->size;
	if (backing->huge)
		needed = round_up(needed, backing->page_size);
	if ((uint64_t)status.st_size >= needed)
		return FH_OK;
	if (!create)
		return fh_error_set(err, FH_EINVAL,
				    "the file has %#" PRIx64 " bytes, of which %#" PRIx64
				    " are needed",
				    (uint64_t)status.st_size, needed);
	return ftruncate(backing->fd, (off_t)needed) != 0 ? host_error(err, "a file for RAM") :
							     FH_OK;
}

static enum fh_code open_file(struct fh_backing *backing, const struct fh_ram_options *options,
			      struct fh_error *err)
{
	const bool by_path = backing->kind == FH_RAM_FILE;
	enum fh_code code;

	backing->fd_offset = options->offset;
	code = by_path ? open_path(backing, options, err) : open_duplicate(backing, options, err);
	if (code == FH_OK)
		code = fit_file(backing, by_path && options->create, err);
	if (code == FH_OK && options->huge == FH_RAM_HUGE_REQUIRED &&
	    (!backing->huge || (options->page_size && options->page_size != backing->page_size)))
		code = fh_error_set(err, FH_ENOTSUP,
				    "the file is on no file system of such huge pages");
	if (code == FH_OK)
		code = map(backing, 0, err);
	if (code != FH_OK)
		fh_backing_close(backing, false);
	if (by_path)
		fh_error_prefix(err, "%s: ", options->path ? options->path : "(none)");
	return code;
}

/* --- All kinds ------------------------------------------------------------------------------ */

static enum fh_code check_options(const struct fh_ram_options *options, struct fh_error *err)
{
	const bool file = options->backing == FH_RAM_FILE ||
			  options->backing == FH_RAM_DESCRIPTOR;

	if (options->readonly && (!file || options->create || options->preallocate))
		return fh_error_set(err, FH_EINVAL,
				    "only of a file that is there RAM can be read-only");
	if (options->backing == FH_RAM_POINTER &&
	    (!options->ptr || options->huge || options->preallocate))
		return fh_error_set(err, FH_EINVAL, "RAM at a pointer is as it is there");
	if (options->page_size && options->huge == FH_RAM_HUGE_NO)
		return fh_error_set(err, FH_EINVAL, "a page size is that of huge pages");
	return FH_OK;
}

/* In steps, of which somebody is told. */
static enum fh_code preallocate(const struct fh_backing *backing,
				const struct fh_ram_options *options, struct fh_error *err)
{
	const uint64_t total = backing->mapped;
	uint64_t step = round_up(total / 64, backing->page_size);

	if (step < 16 << 20)
		step = round_up(16 << 20, backing->page_size);
	for (uint64_t done = 0; done < total;) {
		const uint64_t size = total - done < step ? total - done : step;
		const enum fh_code code = fh_backing_allocate(backing, done, size, err);

		if (code != FH_OK)
			return code;
		done += size;
		if (options->progress && !options->progress(options->progress_state, done, total))
			return fh_error_set(err, FH_ECANCELED,
					    "preallocation of RAM was stopped");
	}
	return FH_OK;
}

/* The host may do as it likes about these. */
static void advise(struct fh_backing *backing, const struct fh_ram_options *options)
{
	if (options->huge == FH_RAM_HUGE_WANTED && !backing->huge)
		backing->transparent = madvise(backing->ptr, backing->mapped, MADV_HUGEPAGE) == 0;
	if (options->merge)
		madvise(backing->ptr, backing->mapped, MADV_MERGEABLE);
	if (options->no_dump)
		madvise(backing->ptr, backing->mapped, MADV_DONTDUMP);
}

enum fh_code fh_backing_open(struct fh_backing *backing, uint64_t size,
			     const struct fh_ram_options *options, struct fh_error *err)
{
	enum fh_code code = check_size(size, err);

	*backing = (struct fh_backing){
		.kind = options->backing,
		.size = size,
		.shared = options->shared || options->backing == FH_RAM_MEMFD,
		.readonly = options->readonly,
		.fd = -1,
		.page_size = host_page(),
	};
	if (code == FH_OK)
		code = check_options(options, err);
	if (code != FH_OK)
		return code;
	switch (options->backing) {
	case FH_RAM_ANONYMOUS:
	case FH_RAM_MEMFD:
		code = open_own(backing, options, err);
		break;
	case FH_RAM_FILE:
	case FH_RAM_DESCRIPTOR:
		code = open_file(backing, options, err);
		break;
	case FH_RAM_POINTER:
		*backing = fh_backing_of_pointer(options->ptr, options->release,
						 options->release_arg);
		return FH_OK;
	default:
		return fh_error_set(err, FH_EINVAL, "no such memory for RAM");
	}
	if (code != FH_OK)
		return code;
	advise(backing, options);
	if (options->preallocate)
		code = preallocate(backing, options, err);
	if (code != FH_OK)
		fh_backing_close(backing, false);
	return code;
}

struct fh_backing fh_backing_of_pointer(void *ptr, void (*release)(void *arg), void *arg)
{
	return (struct fh_backing){
		.kind = FH_RAM_POINTER,
		.ptr = ptr,
		.release = release,
		.release_arg = arg,
		.fd = -1,
		.page_size = host_page(),
	};
}

void fh_backing_close(struct fh_backing *backing, bool release)
{
	if (backing->mapped)
		munmap(backing->ptr, backing->mapped);
	if (backing->fd >= 0)
		close(backing->fd);
	if (release && backing->release)
		backing->release(backing->release_arg);
	backing->mapped = 0;
	backing->fd = -1;
	backing->ptr = NULL;
}

/* --- What is there -------------------------------------------------------------------------- */

/* The pages in which the bytes are. */
static uint64_t page_span(const struct fh_backing *backing, uint64_t *offset, uint64_t size)
{
	const uint64_t first = *offset & ~(backing->page_size - 1);
	const uint64_t end = round_up(*offset + size, backing->page_size);

	*offset = first;
	return end - first;
}

static enum fh_code no_memory(struct fh_error *err, uint64_t size)
{
	return fh_error_set(err, FH_ENOMEM, "the host has not got %#" PRIx64 " bytes more for RAM",
			    size);
}

enum fh_code fh_backing_touch(const struct fh_backing *backing, uint64_t offset, uint64_t size,
			      struct fh_error *err)
{
	size = page_span(backing, &offset, size);
	/* R4: of shared memory the pages are allocated before they are touched. */
	if (backing->fd >= 0 && backing->shared &&
	    fallocate(backing->fd, 0, (off_t)(backing->fd_offset + offset), (off_t)size) != 0)
		return errno == ENOSPC || errno == ENOMEM ? no_memory(err, size) :
							    host_error(err, "allocating RAM");
	/* A write that changes nothing: if it fails, somebody else has written there just now. */
	for (uint64_t at = offset; at < offset + size; at += backing->page_size) {
		uint8_t byte = __atomic_load_n(&backing->ptr[at], __ATOMIC_RELAXED);

		__atomic_compare_exchange_n(&backing->ptr[at], &byte, byte, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
	return FH_OK;
}

enum fh_code fh_backing_allocate(const struct fh_backing *backing, uint64_t offset, uint64_t size,
				 struct fh_error *err)
{
	const uint64_t span = page_span(backing, &offset, size);
	int result;

	do
		result = madvise(backing->ptr + offset, span, MADV_POPULATE_WRITE);
	while (result != 0 && (errno == EAGAIN || errno == EINTR));
	if (result == 0)
		return FH_OK;
	if (errno == EINVAL)
		return fh_backing_touch(backing, offset, span, err);
	/* EFAULT: what would have been a signal. */
	return errno == ENOMEM || errno == EFAULT ? no_memory(err, span) :
						    host_error(err, "allocating RAM");
}

bool fh_backing_can_punch(const struct fh_backing *backing)
{
	/* A private mapping of a file would show the file again. */
	return backing->mapped && !backing->readonly && (backing->shared || backing->fd < 0);
}

enum fh_code fh_backing_punch(const struct fh_backing *backing, uint64_t offset, uint64_t size,
			      struct fh_error *err)
{
	const uint64_t span = page_span(backing, &offset, size);
	int result;

	fh_assert(fh_backing_can_punch(backing));
	if (backing->fd >= 0)
		result = fallocate(backing->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)(backing->fd_offset + offset), (off_t)span);
	else
		result = madvise(backing->ptr + offset, span,
				 backing->shared ? MADV_REMOVE : MADV_DONTNEED);
	return result == 0 ? FH_OK :
			     fh_error_set(err, FH_EIO, "giving RAM back to the host: %m");
}

enum fh_code fh_backing_flush(const struct fh_backing *backing, uint64_t offset, uint64_t size,
			      struct fh_error *err)
{
	const uint64_t span = page_span(backing, &offset, size);

	if (backing->fd < 0 || !backing->shared)
		return fh_error_set(err, FH_ENOTSUP, "there is no file behind it");
	return msync(backing->ptr + offset, span, MS_SYNC) == 0 ?
		       FH_OK :
		       fh_error_set(err, FH_EIO, "writing RAM to its file: %m");
}
