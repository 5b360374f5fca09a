/* SPDX-License-Identifier: MIT */
/*
 * Files into guest memory: what is loaded where, and that what does not fit or is not what it says
 * changes nothing.
 */
#include "machine/loader.h"

#include <elf.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RAM  UINT64_C(0x80000000)
#define SIZE UINT64_C(0x1000000)

struct world {
	struct fh_machine *m;
	struct fh_space *memory;
	struct fh_region *ram;
	char path[64];
	struct fh_error err;
	struct image image;
};

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->m = fh_machine_new(NULL, NULL);
	w->memory = fh_machine_memory(w->m);
	w->ram = fh_region_new_ram(w->m, "ram", SIZE, NULL);
	fh_region_add(fh_space_root(w->memory), w->ram, RAM, 0);
	snprintf(w->path, sizeof(w->path), "/tmp/freehold-loader-XXXXXX");
	close(mkstemp(w->path));
	*state = w;
	return 0;
}

static int end_world(void **state)
{
	struct world *w = *state;
	int alive;

	unlink(w->path);
	fh_region_destroy(w->ram);
	fh_object_unref(w->ram);
	alive = fh_machine_destroy(w->m);
	free(w);
	return alive;
}

static void put_file(struct world *w, const void *data, size_t size)
{
	FILE *file = fopen(w->path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	fclose(file);
}

static enum fh_code load(struct world *w, const void *data, size_t size, uint64_t addr)
{
	put_file(w, data, size);
	fh_error_clear(&w->err);
	return loader_image(w->memory, w->path, addr, &w->image, &w->err);
}

static void assert_refused(struct world *w, const void *data, size_t size, uint64_t addr,
			   enum fh_code code, const char *text)
{
	assert_int_equal(load(w, data, size, addr), code);
	assert_int_equal(w->err.code, code);
	assert_non_null(strstr(w->err.message, text));
	assert_non_null(strstr(w->err.message, w->path));
}

static uint8_t byte_at(struct world *w, uint64_t addr)
{
	uint8_t value;

	assert_int_equal(fh_space_load8(w->memory, addr, FH_LE, &value), FH_TX_OK);
	return value;
}

/* --- ELF ------------------------------------------------------------------------------------ */

/* One segment of 16 bytes and 16 more of zeros, and symbols. */
struct program {
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	Elf64_Shdr sections[2]; /* symbols, their names */
	Elf64_Sym symbols[3];
	char names[32];
	uint8_t code[16];
};

static struct program program(void)
{
	struct program p = { 0 };

	memcpy(p.header.e_ident, ELFMAG, SELFMAG);
	p.header.e_ident[EI_CLASS] = ELFCLASS64;
	p.header.e_ident[EI_DATA] = ELFDATA2LSB;
	p.header.e_type = ET_EXEC;
	p.header.e_machine = EM_RISCV;
	p.header.e_entry = 0xffffffff80000004;
	p.header.e_phoff = offsetof(struct program, segment);
	p.header.e_phentsize = sizeof(Elf64_Phdr);
	p.header.e_phnum = 1;
	p.header.e_shoff = offsetof(struct program, sections);
	p.header.e_shentsize = sizeof(Elf64_Shdr);
	p.header.e_shnum = 2;
	p.segment = (Elf64_Phdr){ .p_type = PT_LOAD,
				  .p_offset = offsetof(struct program, code),
				  .p_vaddr = 0xffffffff80000000,
				  .p_paddr = RAM + 0x1000,
				  .p_filesz = 16,
				  .p_memsz = 32 };
	p.sections[0] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB,
				      .sh_offset = offsetof(struct program, symbols),
				      .sh_size = sizeof(p.symbols),
				      .sh_link = 1 };
	p.sections[1] = (Elf64_Shdr){ .sh_type = SHT_STRTAB,
				      .sh_offset = offsetof(struct program, names),
				      .sh_size = sizeof(p.names) };
	memcpy(p.names, "\0fromhost\0tohost", sizeof("\0fromhost\0tohost"));
	p.symbols[1] = (Elf64_Sym){ .st_name = 1, .st_value = 0xffffffff80000010 };
	p.symbols[2] = (Elf64_Sym){ .st_name = 10, .st_value = 0xffffffff80000018 };
	memset(p.code, 0x5a, sizeof(p.code));
	return p;
}

static void elf_goes_to_its_physical_addresses(void **state)
{
	struct world *w = *state;
	const struct program p = program();

	fh_space_fill(w->memory, RAM, 0xff, 0x2000, FH_ATTRS_NONE);
	assert_int_equal(load(w, &p, sizeof(p), 0), FH_OK);
	assert_true(w->image.is_elf);
	assert_int_equal(w->image.entry, RAM + 0x1004);
	assert_int_equal(w->image.first, RAM + 0x1000);
	assert_int_equal(w->image.last, RAM + 0x101f);
	assert_int_equal(byte_at(w, RAM + 0xfff), 0xff);
	assert_int_equal(byte_at(w, RAM + 0x1000), 0x5a);
	assert_int_equal(byte_at(w, RAM + 0x100f), 0x5a);
	assert_int_equal(byte_at(w, RAM + 0x1010), 0);
	assert_int_equal(byte_at(w, RAM + 0x101f), 0);
	assert_int_equal(byte_at(w, RAM + 0x1020), 0xff);
}

static void tohost_is_found_at_its_physical_address(void **state)
{
	struct world *w = *state;
	struct program p = program();

	assert_int_equal(load(w, &p, sizeof(p), 0), FH_OK);
	assert_true(w->image.has_tohost);
	assert_int_equal(w->image.tohost, RAM + 0x1018);

	p.names[15] = 'x'; /* "tohosx" */
	assert_int_equal(load(w, &p, sizeof(p), 0), FH_OK);
	assert_false(w->image.has_tohost);
}

static void damaged_symbols_are_no_symbols(void **state)
{
	struct world *w = *state;
	struct program p = program();

	p.symbols[2].st_name = UINT32_MAX;
	assert_int_equal(load(w, &p, sizeof(p), 0), FH_OK);
	assert_false(w->image.has_tohost);

	p = program();
	p.sections[0].sh_size = UINT64_MAX;
	assert_int_equal(load(w, &p, sizeof(p), 0), FH_OK);
	assert_false(w->image.has_tohost);

	p = program();
	p.sections[0].sh_link = 7;
	assert_int_equal(load(w, &p, sizeof(p), 0), FH_OK);
	assert_false(w->image.has_tohost);

	p = program();
	p.header.e_shoff = UINT64_MAX - 7;
	assert_int_equal(load(w, &p, sizeof(p), 0), FH_OK);
	assert_false(w->image.has_tohost);
}

static void elf_of_another_machine_is_refused(void **state)
{
	struct world *w = *state;
	struct program p = program();

	p.header.e_machine = EM_X86_64;
	assert_refused(w, &p, sizeof(p), 0, FH_EFORMAT, "another architecture");
	p = program();
	p.header.e_ident[EI_CLASS] = ELFCLASS32;
	assert_refused(w, &p, sizeof(p), 0, FH_EFORMAT, "not a 64-bit little-endian ELF");
	p = program();
	p.header.e_type = ET_REL;
	assert_refused(w, &p, sizeof(p), 0, FH_EFORMAT, "not a program");
	assert_refused(w, &p, 20, 0, FH_EFORMAT, "not a 64-bit little-endian ELF");
}

static void damaged_elf_is_refused_unwritten(void **state)
{
	struct world *w = *state;
	struct program p = program();

	p.header.e_phoff = UINT64_MAX - 7;
	assert_refused(w, &p, sizeof(p), 0, FH_EFORMAT, "damaged program headers");
	p = program();
	p.header.e_phoff += 4;
	assert_refused(w, &p, sizeof(p), 0, FH_EFORMAT, "damaged program headers");
	p = program();
	p.segment.p_offset = UINT64_MAX;
	assert_refused(w, &p, sizeof(p), 0, FH_EFORMAT, "damaged segment");
	p = program();
	p.segment.p_filesz = 64;
	assert_refused(w, &p, sizeof(p), 0, FH_EFORMAT, "damaged segment");
	p = program();
	p.segment.p_paddr = UINT64_MAX - 8;
	assert_refused(w, &p, sizeof(p), 0, FH_EFORMAT, "damaged segment");
	p = program();
	p.segment.p_type = PT_NOTE;
	assert_refused(w, &p, sizeof(p), 0, FH_EFORMAT, "no segment");
	assert_int_equal(byte_at(w, RAM + 0x1000), 0);
}

static void elf_beyond_ram_is_refused_unwritten(void **state)
{
	struct world *w = *state;
	struct program p = program();

	p.segment.p_paddr = 0x1000;
	assert_refused(w, &p, sizeof(p), 0, FH_ERANGE, "32 bytes at 0x1000 are not in RAM");
	p.segment.p_paddr = RAM + SIZE - 16;
	assert_refused(w, &p, sizeof(p), 0, FH_ERANGE, "not in RAM");
	assert_int_equal(byte_at(w, RAM + SIZE - 16), 0);
	p.segment.p_paddr = RAM;
	p.segment.p_memsz = UINT64_C(1) << 62;
	assert_refused(w, &p, sizeof(p), 0, FH_ERANGE, "not in RAM");
	assert_int_equal(byte_at(w, RAM), 0);
}

static void segments_that_overlap_are_refused_unwritten(void **state)
{
	struct world *w = *state;
	struct {
		struct program p;
		Elf64_Phdr segments[3];
	} two = { .p = program() };

	two.p.header.e_phoff = sizeof(struct program);
	two.p.header.e_phnum = 3;
	two.segments[0] = two.segments[1] = two.segments[2] = two.p.segment;
	two.segments[0].p_type = PT_NOTE; /* lies nowhere */
	two.segments[2].p_paddr += 31;
	assert_refused(w, &two, sizeof(two), 0, FH_EFORMAT, "segments overlap at 0x8000101f");
	two.segments[2].p_paddr -= 62;
	assert_refused(w, &two, sizeof(two), 0, FH_EFORMAT, "segments overlap at 0x80000fe1");
	assert_int_equal(byte_at(w, RAM + 0x1000), 0);
	two.segments[2].p_paddr -= 1;
	assert_int_equal(load(w, &two, sizeof(two), 0), FH_OK);
	assert_int_equal(w->image.first, RAM + 0xfe0);
	assert_int_equal(w->image.last, RAM + 0x101f);
}

static void start_and_end_outside_of_ram_are_refused_unwritten(void **state)
{
	struct world *w = *state;
	struct program p = program();

	p.header.e_entry = 0x1000;
	assert_refused(w, &p, sizeof(p), 0, FH_ERANGE, "its entry 0x1000 is not in RAM");
	p = program();
	p.symbols[2].st_value = UINT64_MAX - 3;
	assert_refused(w, &p, sizeof(p), 0, FH_ERANGE, "its tohost 0xfffffffffffffffc is not");
	assert_int_equal(byte_at(w, RAM + 0x1000), 0);
}

/* --- Images --------------------------------------------------------------------------------- */

static void put_header(uint8_t *image, uint64_t text_offset, uint64_t size, uint64_t flags)
{
	memcpy(image, "MZ", 2);
	memcpy(image + 8, &text_offset, 8);
	memcpy(image + 16, &size, 8);
	memcpy(image + 24, &flags, 8);
	memcpy(image + 48, "RISCV\0\0", 8);
	memcpy(image + 56, "RSC\x05", 4);
}

static void image_goes_to_a_multiple_of_two_mebibytes(void **state)
{
	struct world *w = *state;
	uint8_t image[100] = { 0 };

	put_header(image, 0x200000, 0x1000, 0);
	image[99] = 7;
	assert_int_equal(load(w, image, sizeof(image), RAM + 0x1001), FH_OK);
	assert_int_equal(w->image.entry, RAM + 0x200000);
	assert_int_equal(w->image.first, RAM + 0x200000);
	assert_int_equal(w->image.last, RAM + 0x200fff);
	assert_false(w->image.is_elf);
	assert_false(w->image.has_tohost);
	assert_int_equal(byte_at(w, RAM + 0x200063), 7);
}

static void image_needs_room_for_what_it_clears(void **state)
{
	struct world *w = *state;
	uint8_t image[100] = { 0 };

	put_header(image, 0x200000, SIZE + 1, 0);
	assert_refused(w, image, sizeof(image), RAM, FH_ERANGE, "not in RAM");
	put_header(image, 0x200000, SIZE, 0);
	assert_int_equal(load(w, image, sizeof(image), RAM), FH_OK);
	put_header(image, UINT64_MAX, UINT64_MAX, 0);
	assert_refused(w, image, sizeof(image), RAM, FH_ERANGE, "not in RAM");
	put_header(image, 0, UINT64_MAX, 0);
	assert_refused(w, image, sizeof(image), RAM, FH_ERANGE, "not in RAM");
}

static void foreign_kernels_are_refused(void **state)
{
	struct world *w = *state;
	uint8_t image[100] = { 0 };

	put_header(image, 0, 0, 1);
	assert_refused(w, image, sizeof(image), RAM, FH_EFORMAT, "big-endian");
	memcpy(image + 56, "ARM\x64", 4);
	assert_refused(w, image, sizeof(image), RAM, FH_EFORMAT, "(arm64)");
	memcpy(image + 56, "none", 4);
	assert_refused(w, image, sizeof(image), RAM, FH_EFORMAT, "not a RISC-V kernel");
	assert_refused(w, "\x1f\x8b\x08", 3, RAM, FH_EFORMAT, "compressed with gzip");
	assert_refused(w, "", 0, RAM, FH_EFORMAT, "empty");
}

static void other_files_are_loaded_as_they_are(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w, "abc", 3, RAM + 5), FH_OK);
	assert_int_equal(w->image.entry, RAM + 5);
	assert_int_equal(w->image.last, RAM + 7);
	assert_int_equal(byte_at(w, RAM + 7), 'c');

	assert_int_equal(loader_put(w->memory, "x", RAM + 0x100, "abc", 3, NULL), FH_OK);
	assert_int_equal(byte_at(w, RAM + 0x102), 'c');
	assert_int_equal(loader_put(w->memory, "x", RAM + SIZE - 2, "abc", 3, &w->err), FH_ERANGE);
	assert_string_equal(w->err.message, "x: 3 bytes at 0x80fffffe are not in RAM");
	assert_int_equal(byte_at(w, RAM + SIZE - 1), 0);
}

static void a_file_that_cannot_fit_is_not_read(void **state)
{
	struct world *w = *state;

	/* Nobody has that much memory to read it to. */
	put_file(w, "flat", 4);
	assert_int_equal(truncate(w->path, (off_t)1 << 42), 0);
	assert_int_equal(loader_image(w->memory, w->path, RAM, &w->image, &w->err), FH_ERANGE);
	assert_non_null(strstr(w->err.message, "4398046511104 bytes at 0x80000000 are not in RAM"));
}

static void a_pipe_is_refused_at_once(void **state)
{
	struct world *w = *state;

	unlink(w->path);
	assert_int_equal(mkfifo(w->path, 0600), 0);
	assert_int_equal(loader_image(w->memory, w->path, RAM, &w->image, &w->err), FH_EIO);
	assert_non_null(strstr(w->err.message, ": not a regular file"));
}

/* --- Files ---------------------------------------------------------------------------------- */

static void files_that_cannot_be_read_are_named(void **state)
{
	struct world *w = *state;
	struct fh_error err = FH_ERROR_INIT;
	uint64_t size = 77;

	assert_null(loader_read("/nowhere/at/all", 10, &size, &err));
	assert_int_equal(err.code, FH_ENOENT);
	assert_string_equal(err.message, "/nowhere/at/all: No such file or directory");
	fh_error_clear(&err);
	assert_null(loader_read("/tmp", 10, &size, &err));
	assert_string_equal(err.message, "/tmp: not a regular file");
	fh_error_clear(&err);
	put_file(w, "0123456789", 10);
	assert_null(loader_read(w->path, 9, &size, &err));
	assert_int_equal(err.code, FH_ERANGE);
	assert_int_equal(size, 77);

	char *text = loader_read(w->path, 10, &size, NULL);

	assert_string_equal(text, "0123456789");
	assert_int_equal(size, 10);
	free(text);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(elf_goes_to_its_physical_addresses),
		WORLD_TEST(tohost_is_found_at_its_physical_address),
		WORLD_TEST(damaged_symbols_are_no_symbols),
		WORLD_TEST(elf_of_another_machine_is_refused),
		WORLD_TEST(damaged_elf_is_refused_unwritten),
		WORLD_TEST(elf_beyond_ram_is_refused_unwritten),
		WORLD_TEST(segments_that_overlap_are_refused_unwritten),
		WORLD_TEST(start_and_end_outside_of_ram_are_refused_unwritten),
		WORLD_TEST(image_goes_to_a_multiple_of_two_mebibytes),
		WORLD_TEST(image_needs_room_for_what_it_clears),
		WORLD_TEST(foreign_kernels_are_refused),
		WORLD_TEST(other_files_are_loaded_as_they_are),
		WORLD_TEST(a_file_that_cannot_fit_is_not_read),
		WORLD_TEST(a_pipe_is_refused_at_once),
		WORLD_TEST(files_that_cannot_be_read_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
