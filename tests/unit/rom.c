/* SPDX-License-Identifier: MIT */
/*
 * ROM and ROM devices with memory of other kinds than anonymous: firmware of a file, flash that
 * remembers. What the memory itself can do is ram.c's.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <freehold/freehold.h>

enum { PAGE = 4096, SIZE = 4 * PAGE, BASE = 0x10000 };

static struct fh_machine *m;
static struct fh_space *memory;
static char path[64];
static unsigned writes, released;

static void count_release(void *state)
{
	(void)state;
	released++;
}

static enum fh_tx read_register(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
				struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = 0x77;
	return FH_TX_OK;
}

/* Programs a byte, as flash does. */
static enum fh_tx write_register(void *state, uint64_t offset, uint64_t value, unsigned size,
				 struct fh_attrs attrs)
{
	(void)size, (void)attrs;
	writes++;
	((uint8_t *)fh_region_ram(*(struct fh_region **)state))[offset] &= (uint8_t)value;
	return FH_TX_OK;
}

static const struct fh_region_ops ops = { .read = read_register,
					  .write = write_register,
					  .release = count_release };

static int setup(void **state)
{
	FILE *file;

	(void)state;
	m = fh_machine_new(NULL, NULL);
	memory = fh_machine_memory(m);
	writes = released = 0;
	snprintf(path, sizeof(path), "/tmp/freehold-rom-%d", (int)getpid());
	file = fopen(path, "we");
	for (unsigned i = 0; i < SIZE; i++)
		fputc(0x5a, file);
	fclose(file);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return fh_machine_destroy(m);
}

static uint8_t file_byte(off_t offset)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t byte = 0;

	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	close(fd);
	return byte;
}

static struct fh_region *rom_with(enum fh_rom_write write, const struct fh_ram_options *options)
{
	struct fh_error err = FH_ERROR_INIT;
	struct fh_region *rom = fh_region_new_rom_with(m, NULL, SIZE, write, options, &err);

	if (!rom)
		fail_msg("%s", err.message);
	fh_region_add(fh_space_root(memory), rom, BASE, 0);
	return rom;
}

static struct fh_region *flash; /* the callbacks' state */

static void flash_with(const struct fh_ram_options *options)
{
	struct fh_error err = FH_ERROR_INIT;

	flash = fh_region_new_rom_device_with(m, NULL, SIZE, &ops, &flash, options, &err);
	if (!flash)
		fail_msg("%s", err.message);
	fh_region_add(fh_space_root(memory), flash, BASE, 0);
}

static uint8_t at(uint64_t addr)
{
	uint8_t byte;

	assert_int_equal(fh_space_load8(memory, addr, FH_LE, &byte), FH_TX_OK);
	return byte;
}

static enum fh_tx debug_write(uint64_t addr, uint8_t byte)
{
	return fh_space_write(memory, addr, &byte, 1, (struct fh_attrs){ .debug = true });
}

static void assert_kind(uint64_t addr, const char *kind)
{
	struct fh_section section;

	fh_read_begin();
	assert_true(fh_space_lookup(memory, addr, &section));
	assert_string_equal(fh_section_kind(&section), kind);
	fh_read_end();
}

/* --- ROM ------------------------------------------------------------------------------------- */

static void firmware_of_a_private_file_can_be_patched_and_the_file_stays(void **state)
{
	const struct fh_ram_options options = { .backing = FH_RAM_FILE, .path = path };
	struct fh_region *rom = rom_with(FH_ROM_IGNORE, &options);

	(void)state;
	assert_int_equal(fh_region_get_info(rom).kind, FH_REGION_ROM);
	assert_int_equal(fh_region_get_ram_info(rom).backing, FH_RAM_FILE);
	assert_kind(BASE, "rom");
	assert_int_equal(at(BASE + SIZE - 1), 0x5a);
	assert_int_equal(fh_space_store8(memory, BASE, 1, FH_LE), FH_TX_OK);
	assert_int_equal(at(BASE), 0x5a);
	assert_int_equal(debug_write(BASE, 2), FH_TX_OK);
	*((uint8_t *)fh_region_ram(rom) + 1) = 3;
	assert_int_equal(at(BASE), 2);
	assert_int_equal(at(BASE + 1), 3);
	assert_int_equal(file_byte(0), 0x5a);
	fh_object_unref(rom);
}

static void firmware_that_the_host_gives_for_reading_only_is_changed_by_nobody(void **state)
{
	const struct fh_ram_options options = { .backing = FH_RAM_FILE,
						.path = path,
						.readonly = true };
	struct fh_region *rom;

	(void)state;
	chmod(path, 0400);
	rom = rom_with(FH_ROM_DECODE_ERROR, &options);
	assert_int_equal(at(BASE), 0x5a);
	assert_int_equal(fh_space_store8(memory, BASE, 1, FH_LE), FH_TX_DECODE_ERROR);
	assert_int_equal(debug_write(BASE, 1), FH_TX_DENIED);
	assert_int_equal(at(BASE), 0x5a);
	/* The mark is for what is in it, and is nobody's but the caller's. */
	assert_false(fh_region_get_info(rom).readonly);
	assert_int_equal(fh_region_set_readonly(rom, true), FH_OK);
	assert_int_equal(fh_region_set_readonly(rom, false), FH_OK);
	fh_object_unref(rom);
}

static void rom_of_a_memfd_is_shared_with_who_has_it(void **state)
{
	struct fh_region *rom =
		rom_with(FH_ROM_IGNORE, &(struct fh_ram_options){ .backing = FH_RAM_MEMFD });
	uint8_t *other = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			      fh_region_get_fd(rom, NULL), 0);

	(void)state;
	other[5] = 6;
	assert_int_equal(at(BASE + 5), 6);
	assert_int_equal(debug_write(BASE + 5, 7), FH_TX_OK);
	assert_int_equal(other[5], 7);
	munmap(other, SIZE);
	fh_object_unref(rom);
}

static void rom_of_a_descriptor_begins_where_it_is_said(void **state)
{
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	struct fh_region *rom;

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, PAGE), 1);
	rom = fh_region_new_rom_with(m, NULL, PAGE, FH_ROM_IGNORE,
				     &(struct fh_ram_options){ .backing = FH_RAM_DESCRIPTOR,
							       .fd = fd,
							       .offset = PAGE },
				     NULL);
	close(fd);
	fh_region_add(fh_space_root(memory), rom, BASE, 0);
	assert_int_equal(at(BASE), 'x');
	assert_int_equal(at(BASE + 1), 0x5a);
	fh_object_unref(rom);
}

static void rom_may_grow_up_to_its_maximum(void **state)
{
	struct fh_region *rom = rom_with(FH_ROM_IGNORE,
					 &(struct fh_ram_options){ .max_size = SIZE + PAGE });
	uint8_t byte;

	(void)state;
	assert_int_equal(fh_space_load8(memory, BASE + SIZE, FH_LE, &byte), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_region_resize(rom, SIZE + PAGE), FH_OK);
	assert_int_equal(at(BASE + SIZE), 0);
	assert_int_equal(fh_region_resize(rom, SIZE + PAGE + 1), FH_EINVAL);
	fh_object_unref(rom);
}

/* --- ROM devices ------------------------------------------------------------------------------ */

static void flash_of_a_shared_file_remembers_what_its_callbacks_write(void **state)
{
	const struct fh_ram_options options = { .backing = FH_RAM_FILE,
						.path = path,
						.shared = true };

	(void)state;
	flash_with(&options);
	assert_kind(BASE, "romd");
	assert_int_equal(at(BASE + 3), 0x5a);
	assert_int_equal(fh_space_store8(memory, BASE + 3, 0x0f, FH_LE), FH_TX_OK);
	assert_int_equal(writes, 1);
	assert_int_equal(at(BASE + 3), 0x0a);
	assert_int_equal(fh_region_flush(flash, 0, SIZE, NULL), FH_OK);
	assert_int_equal(file_byte(3), 0x0a);
	fh_region_set_rom_mode(flash, false);
	assert_int_equal(at(BASE + 3), 0x77);
	assert_kind(BASE, "i/o");
	fh_region_set_rom_mode(flash, true);
	assert_int_equal(at(BASE + 3), 0x0a);
	fh_object_unref(flash);
	fh_machine_drain(m);
	assert_int_equal(released, 1);
	/* The next one begins with it. */
	flash_with(&options);
	assert_int_equal(at(BASE + 3), 0x0a);
	fh_object_unref(flash);
}

static void flash_of_a_read_only_file_shows_as_any_other(void **state)
{
	const struct fh_ram_options options = { .backing = FH_RAM_FILE,
						.path = path,
						.readonly = true };

	(void)state;
	flash_with(&options);
	assert_kind(BASE, "romd");
	assert_int_equal(at(BASE), 0x5a);
	fh_region_set_rom_mode(flash, false);
	assert_int_equal(at(BASE), 0x77);
	fh_object_unref(flash);
}

/* --- Errors ----------------------------------------------------------------------------------- */

static void assert_both_refused(const char *name, const struct fh_ram_options *options,
				enum fh_code code)
{
	struct fh_error err = FH_ERROR_INIT;

	assert_null(fh_region_new_rom_with(m, name, SIZE, FH_ROM_IGNORE, options, &err));
	assert_int_equal(err.code, code);
	assert_true(err.message[0] != '\0');
	err = (struct fh_error)FH_ERROR_INIT;
	assert_null(fh_region_new_rom_device_with(m, name, SIZE, &ops, &flash, options, &err));
	assert_int_equal(err.code, code);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void what_makes_no_sense_is_refused_and_leaves_nothing(void **state)
{
	const struct fh_ram_options file = { .backing = FH_RAM_FILE, .path = path };
	struct fh_ram_options options = file;
	const unsigned before = open_descriptors();

	(void)state;
	assert_both_refused(NULL, &(struct fh_ram_options){ .unpopulated = true }, FH_EINVAL);
	assert_both_refused(NULL, &(struct fh_ram_options){ .granule = PAGE }, FH_EINVAL);
	options.offset = PAGE; /* too short */
	assert_both_refused(NULL, &options, FH_EINVAL);
	options = file;
	options.max_size = PAGE;
	assert_both_refused(NULL, &options, FH_EINVAL);
	options = file;
	options.path = "/nowhere/at/all";
	assert_both_refused(NULL, &options, FH_ENOENT);
	assert_both_refused("a/b", &file, FH_EINVAL);
	fh_machine_drain(m);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(released, 0);
}

static void parts_of_rom_do_not_go(void **state)
{
	struct fh_region *rom =
		rom_with(FH_ROM_IGNORE, &(struct fh_ram_options){ .backing = FH_RAM_MEMFD });

	(void)state;
	assert_int_equal(fh_region_discard(rom, 0, PAGE, NULL), FH_ETYPE);
	fh_object_unref(rom);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(firmware_of_a_private_file_can_be_patched_and_the_file_stays),
		TEST(firmware_that_the_host_gives_for_reading_only_is_changed_by_nobody),
		TEST(rom_of_a_memfd_is_shared_with_who_has_it),
		TEST(rom_of_a_descriptor_begins_where_it_is_said),
		TEST(rom_may_grow_up_to_its_maximum),
		TEST(flash_of_a_shared_file_remembers_what_its_callbacks_write),
		TEST(flash_of_a_read_only_file_shows_as_any_other),
		TEST(what_makes_no_sense_is_refused_and_leaves_nothing),
		TEST(parts_of_rom_do_not_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
