/* SPDX-License-Identifier: MIT */
/*
 * Loaders: see loader.h. Formats: the ELF-64 object file format (System V ABI, RISC-V supplement
 * for e_machine), and the RISC-V boot image header of the kernel's documentation
 * (arch/riscv/boot-image-header).
 */
#include "machine/loader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT (UINT64_C(16) << 30)

/* The boot image header: 64 bytes, all little endian. */
struct image_header {
	uint32_t code0, code1;
	uint64_t text_offset;
	uint64_t image_size;
	uint64_t flags;
	uint32_t version, reserved1;
	uint64_t reserved2;
	uint64_t magic;	 /* "RISCV\0\0\0", deprecated */
	uint32_t magic2; /* "RSC\x05" */
	uint32_t reserved3;
};

#define IMAGE_MAGIC2 UINT32_C(0x05435352)
#define ARM64_MAGIC  UINT32_C(0x644d5241) /* "ARM\x64", at the same place */

/* --- Files ---------------------------------------------------------------------------------- */

static enum fh_code file_error(const char *path, int error, struct fh_error *err)
{
	return fh_error_set(err, error == ENOENT ? FH_ENOENT : FH_EIO, "%s: %s", path,
			    strerror(error));
}

static bool read_fully(int fd, char *data, uint64_t size)
{
	while (size > 0) {
		const ssize_t got = read(fd, data, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got == 0 ? EIO : errno;
			return false;
		}
		data += got;
		size -= (uint64_t)got;
	}
	return true;
}

static void *read_open_file(int fd, const char *path, uint64_t limit, uint64_t *ret_size,
			    struct fh_error *err)
{
	struct stat stat;
	char *data;

	if (fstat(fd, &stat) != 0) {
		file_error(path, errno, err);
		return NULL;
	}
	if (!S_ISREG(stat.st_mode)) {
		fh_error_set(err, FH_EIO, "%s: not a regular file", path);
		return NULL;
	}
	if ((uint64_t)stat.st_size > limit) {
		fh_error_set(err, FH_ERANGE, "%s: %lld bytes are more than the %llu that fit", path,
			     (long long)stat.st_size, (unsigned long long)limit);
		return NULL;
	}
	data = malloc((size_t)stat.st_size + 1);
	if (!data) {
		fh_error_set(err, FH_ENOMEM, "%s: no memory to read it", path);
		return NULL;
	}
	if (!read_fully(fd, data, (uint64_t)stat.st_size)) {
		file_error(path, errno, err);
		free(data);
		return NULL;
	}
	data[stat.st_size] = '\0';
	*ret_size = (uint64_t)stat.st_size;
	return data;
}

void *loader_read(const char *path, uint64_t limit, uint64_t *ret_size, struct fh_error *err)
{
	/* Not to wait for somebody at the other end of a pipe, which is refused anyway. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	void *data;

	if (fd < 0) {
		file_error(path, errno, err);
		return NULL;
	}
	data = read_open_file(fd, path, limit, ret_size, err);
	close(fd);
	return data;
}

/* --- Into memory ---------------------------------------------------------------------------- */

static const struct fh_attrs loader_attrs = { .debug = true, .memory_only = true };

static enum fh_code does_not_fit(const char *path, uint64_t addr, uint64_t size,
				 struct fh_error *err)
{
	return fh_error_set(err, FH_ERANGE, "%s: %llu bytes at 0x%llx are not in RAM", path,
			    (unsigned long long)size, (unsigned long long)addr);
}

/* R1: every byte of addr..addr + size - 1 is memory that a loader can write. */
static bool is_memory(struct fh_space *memory, uint64_t addr, uint64_t size)
{
	const uint64_t last = addr + size - 1;
	struct fh_section section;
	bool there = last >= addr;

	fh_read_begin();
	for (uint64_t at = addr; there; at = section.last + 1) {
		there = fh_space_lookup(memory, at, &section) && section.ptr && !section.device;
		if (!there || section.last >= last)
			break;
	}
	fh_read_end();
	return there;
}

enum fh_code loader_put(struct fh_space *memory, const char *path, uint64_t addr, const void *data,
			uint64_t size, struct fh_error *err)
{
	if (size > 0 && (!is_memory(memory, addr, size) ||
			 fh_space_write(memory, addr, data, size, loader_attrs) != FH_TX_OK))
		return does_not_fit(path, addr, size, err);
	return FH_OK;
}

/* --- ELF ------------------------------------------------------------------------------------ */

static bool inside(uint64_t offset, uint64_t size, uint64_t whole)
{
	return offset <= whole && size <= whole - offset;
}

static enum fh_code elf_check(const Elf64_Ehdr *header, uint64_t size, const char *path,
			      struct fh_error *err)
{
	if (size < sizeof(*header) || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_ident[EI_DATA] != ELFDATA2LSB)
		return fh_error_set(err, FH_EFORMAT, "%s: not a 64-bit little-endian ELF file",
				    path);
	if (header->e_machine != EM_RISCV)
		return fh_error_set(err, FH_EFORMAT,
				    "%s: for another architecture (ELF machine %u)", path,
				    header->e_machine);
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return fh_error_set(err, FH_EFORMAT, "%s: an ELF file, but not a program", path);
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff % 8 != 0 ||
	    !inside(header->e_phoff, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr), size))
		return fh_error_set(err, FH_EFORMAT, "%s: damaged program headers", path);
	return FH_OK;
}

static bool is_loaded(const Elf64_Phdr *segment)
{
	return segment->p_type == PT_LOAD && segment->p_memsz > 0;
}

/* Of checked segments, one before @segment in the table that lies where it lies; NULL: none. */
static const Elf64_Phdr *elf_overlapped(const Elf64_Phdr *segments, const Elf64_Phdr *segment)
{
	for (const Elf64_Phdr *other = segments; other < segment; other++)
		if (is_loaded(other) &&
		    segment->p_paddr <= other->p_paddr + other->p_memsz - 1 &&
		    other->p_paddr <= segment->p_paddr + segment->p_memsz - 1)
			return other;
	return NULL;
}

/* R1: the segment is whole and has a place. */
static enum fh_code elf_check_segment(struct fh_space *memory, const char *path, uint64_t size,
				      const Elf64_Phdr *segments, const Elf64_Phdr *segment,
				      struct image *image, struct fh_error *err)
{
	const uint64_t last = segment->p_paddr + segment->p_memsz - 1;

	if (segment->p_filesz > segment->p_memsz ||
	    !inside(segment->p_offset, segment->p_filesz, size) || last < segment->p_paddr)
		return fh_error_set(err, FH_EFORMAT, "%s: a damaged segment", path);
	if (!is_memory(memory, segment->p_paddr, segment->p_memsz))
		return does_not_fit(path, segment->p_paddr, segment->p_memsz, err);
	if (elf_overlapped(segments, segment))
		return fh_error_set(err, FH_EFORMAT, "%s: segments overlap at 0x%llx", path,
				    (unsigned long long)segment->p_paddr);
	if (segment->p_paddr < image->first)
		image->first = segment->p_paddr;
	if (last > image->last)
		image->last = last;
	return FH_OK;
}

static enum fh_code elf_segment(struct fh_space *memory, const char *path, const char *file,
				const Elf64_Phdr *segment, struct fh_error *err)
{
	const uint64_t bss = segment->p_memsz - segment->p_filesz;
	const uint64_t bss_addr = segment->p_paddr + segment->p_filesz;
	const enum fh_code code = loader_put(memory, path, segment->p_paddr,
					     file + segment->p_offset, segment->p_filesz, err);

	if (code != FH_OK)
		return code;
	if (bss > 0 && fh_space_fill(memory, bss_addr, 0, bss, loader_attrs) != FH_TX_OK)
		return does_not_fit(path, bss_addr, bss, err);
	return FH_OK;
}

/* The virtual address @value as a physical one. */
static uint64_t elf_physical(const char *file, uint64_t value)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
	const Elf64_Phdr *segments = (const Elf64_Phdr *)(file + header->e_phoff);

	for (unsigned i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == PT_LOAD && value >= segments[i].p_vaddr &&
		    value - segments[i].p_vaddr < segments[i].p_memsz)
			return value - segments[i].p_vaddr + segments[i].p_paddr;
	return value;
}

/* Looks for the symbol `tohost`; a file without symbols, or with damaged ones, has none. */
static void elf_find_tohost(const char *file, uint64_t size, struct image *image)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
	const Elf64_Shdr *sections;

	if (header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shoff % 8 != 0 ||
	    !inside(header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr), size))
		return;
	sections = (const Elf64_Shdr *)(file + header->e_shoff);
	for (unsigned i = 0; i < header->e_shnum; i++) {
		const Elf64_Shdr *table = &sections[i];

		if (table->sh_type != SHT_SYMTAB || table->sh_link >= header->e_shnum ||
		    table->sh_offset % 8 != 0 || !inside(table->sh_offset, table->sh_size, size))
			continue;
		const Elf64_Shdr *names = &sections[table->sh_link];
		const Elf64_Sym *symbols = (const Elf64_Sym *)(file + table->sh_offset);

		if (!inside(names->sh_offset, names->sh_size, size))
			continue;
		for (uint64_t s = 0; s < table->sh_size / sizeof(*symbols); s++) {
			if (!inside(symbols[s].st_name, sizeof("tohost"), names->sh_size) ||
			    memcmp(file + names->sh_offset + symbols[s].st_name, "tohost",
				   sizeof("tohost")) != 0)
				continue;
			image->has_tohost = true;
			image->tohost = elf_physical(file, symbols[s].st_value);
			return;
		}
	}
}

/* R1: where it starts and where it ends are in memory too. */
static enum fh_code elf_check_addresses(struct fh_space *memory, const char *path,
					const struct image *image, struct fh_error *err)
{
	if (!is_memory(memory, image->entry, 2))
		return fh_error_set(err, FH_ERANGE, "%s: its entry 0x%llx is not in RAM", path,
				    (unsigned long long)image->entry);
	if (image->has_tohost && !is_memory(memory, image->tohost, 8))
		return fh_error_set(err, FH_ERANGE, "%s: its tohost 0x%llx is not in RAM", path,
				    (unsigned long long)image->tohost);
	return FH_OK;
}

static enum fh_code load_elf(struct fh_space *memory, const char *path, const char *file,
			     uint64_t size, struct image *ret, struct fh_error *err)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
	const Elf64_Phdr *segments;
	struct image image = { .first = UINT64_MAX, .is_elf = true };
	enum fh_code code = elf_check(header, size, path, err);

	if (code != FH_OK)
		return code;
	segments = (const Elf64_Phdr *)(file + header->e_phoff);
	for (unsigned i = 0; code == FH_OK && i < header->e_phnum; i++)
		if (is_loaded(&segments[i]))
			code = elf_check_segment(memory, path, size, segments, &segments[i], &image,
						 err);
	if (code != FH_OK)
		return code;
	if (image.first == UINT64_MAX)
		return fh_error_set(err, FH_EFORMAT, "%s: no segment to load", path);
	image.entry = elf_physical(file, header->e_entry);
	elf_find_tohost(file, size, &image);
	code = elf_check_addresses(memory, path, &image, err);
	for (unsigned i = 0; code == FH_OK && i < header->e_phnum; i++)
		if (is_loaded(&segments[i]))
			code = elf_segment(memory, path, file, &segments[i], err);
	if (code == FH_OK)
		*ret = image;
	return code;
}

/* --- Images --------------------------------------------------------------------------------- */

static enum fh_code load_flat(struct fh_space *memory, const char *path, const char *file,
			      uint64_t size, uint64_t addr, struct image *ret, struct fh_error *err)
{
	struct image_header header = { 0 };
	uint64_t occupied = size;

	if (size >= sizeof(header))
		memcpy(&header, file, sizeof(header));
	if (header.magic2 == ARM64_MAGIC)
		return fh_error_set(err, FH_EFORMAT,
				    "%s: a kernel for another architecture (arm64)", path);
	if (header.magic2 == IMAGE_MAGIC2) {
		if (header.flags & 1)
			return fh_error_set(err, FH_EFORMAT, "%s: a big-endian kernel", path);
		addr = (addr + UINT64_C(0x1fffff)) & ~UINT64_C(0x1fffff);
		if (header.image_size > occupied)
			occupied = header.image_size;
	} else if (size >= 2 && memcmp(file, "MZ", 2) == 0) {
		return fh_error_set(err, FH_EFORMAT,
				    "%s: an EFI program, but not a RISC-V kernel image", path);
	}
	/* What the kernel clears itself has to be there all the same. */
	if (!is_memory(memory, addr, occupied))
		return does_not_fit(path, addr, occupied, err);
	const enum fh_code code = loader_put(memory, path, addr, file, size, err);

	if (code != FH_OK)
		return code;
	*ret = (struct image){ .entry = addr, .first = addr, .last = addr + occupied - 1 };
	return FH_OK;
}

/*
 * A file that is to be loaded as it is and cannot fit is not worth to be read, which may take all
 * of the host's memory. True as well if there is something else wrong with it: reading finds that.
 */
static bool may_fit(struct fh_space *memory, const char *path, uint64_t addr, uint64_t *ret_size)
{
	char magic[SELFMAG] = "";
	struct stat stat;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const bool is_flat = fd >= 0 && fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
			     read(fd, magic, SELFMAG) == SELFMAG &&
			     memcmp(magic, ELFMAG, SELFMAG) != 0;

	if (fd >= 0)
		close(fd);
	if (!is_flat)
		return true;
	*ret_size = (uint64_t)stat.st_size;
	return is_memory(memory, addr, *ret_size);
}

enum fh_code loader_image(struct fh_space *memory, const char *path, uint64_t addr,
			  struct image *ret, struct fh_error *err)
{
	uint64_t size = 0;
	enum fh_code code;
	char *file;

	if (!may_fit(memory, path, addr, &size))
		return does_not_fit(path, addr, size, err);
	file = loader_read(path, FILE_LIMIT, &size, err);
	if (!file)
		return err ? err->code : FH_EIO;
	if (size == 0)
		code = fh_error_set(err, FH_EFORMAT, "%s: empty", path);
	else if (size >= SELFMAG && memcmp(file, ELFMAG, SELFMAG) == 0)
		code = load_elf(memory, path, file, size, ret, err);
	else if (size >= 2 && memcmp(file, "\x1f\x8b", 2) == 0)
		code = fh_error_set(err, FH_EFORMAT, "%s: compressed with gzip; unpack it first",
				    path);
	else
		code = load_flat(memory, path, file, size, addr, ret, err);
	free(file);
	return code;
}
