/* SPDX-License-Identifier: MIT */
/*
 * Host memory behind a region: asking the host for it, and giving it back. The only place that
 * knows mmap().
 *
 * R1. Nothing here knows of regions or takes a lock.
 * R2. `mapped` bytes at `ptr` are ours; it is `size` rounded up to whole pages. 0: a caller's.
 * R3. What was asked for in vain leaves nothing behind.
 * R4. A signal (SIGBUS) for memory that the host has not got is never what tells: files are long
 *     enough before they are mapped, huge pages reserved, and preallocation is done by calls that
 *     return an error.
 */
#ifndef MEMORY_BACKING_H
#define MEMORY_BACKING_H

#include "freehold/ram.h"

struct fh_backing {
	uint8_t *ptr;
	uint64_t size;	 /* of the region at most */
	uint64_t mapped; /* R2 */
	uint64_t page_size;
	uint64_t fd_offset;
	int fd;		 /* -1: none */
	uint8_t kind;	 /* enum fh_ram_backing */
	bool shared, readonly, huge, transparent;
	void (*release)(void *arg); /* of a caller's memory, or NULL */
	void *release_arg;
};

/* `size` bytes of anonymous memory, as options of all zero ask for. */
enum fh_code fh_backing_open_plain(struct fh_backing *backing, uint64_t size, struct fh_error *err);
enum fh_code fh_backing_open(struct fh_backing *backing, uint64_t size,
			     const struct fh_ram_options *options, struct fh_error *err);
/* A caller's memory, whatever its size. */
struct fh_backing fh_backing_of_pointer(void *ptr, void (*release)(void *arg), void *arg);
/* What is ours; a caller's memory is released if @release says so. */
void fh_backing_close(struct fh_backing *backing, bool release);

/* Has the host allocate whole pages. */
enum fh_code fh_backing_allocate(const struct fh_backing *backing, uint64_t offset, uint64_t size,
				 struct fh_error *err);
/* The same without the call that newer hosts have for it. */
enum fh_code fh_backing_touch(const struct fh_backing *backing, uint64_t offset, uint64_t size,
			      struct fh_error *err);
/* Whole pages can be given back, and read as zeros then. */
bool fh_backing_can_punch(const struct fh_backing *backing);
enum fh_code fh_backing_punch(const struct fh_backing *backing, uint64_t offset, uint64_t size,
			      struct fh_error *err);
enum fh_code fh_backing_flush(const struct fh_backing *backing, uint64_t offset, uint64_t size,
			      struct fh_error *err);

#endif
