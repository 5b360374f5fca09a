/* SPDX-License-Identifier: MIT */
/*
 * Eventfds and coalesced ranges: which stores go where, what listeners are told of them, and what
 * becomes of both when the map, their owner or their region goes.
 */
#include "support/flat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/probe.h"

#include "memory/extras.h"

#define BASE UINT64_C(0x10000)
#define FDS  6

static struct fh_machine *m;
static struct fh_space *memory;
static struct fh_region *root, *regs;
static int fds[FDS];
static unsigned stores;
static uint64_t last_value;
static char heard[4096];

static enum fh_tx regs_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	*ret_value = 0x55;
	return FH_TX_OK;
}

static enum fh_tx regs_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	(void)state, (void)offset, (void)size, (void)attrs;
	stores++;
	last_value = value;
	return FH_TX_OK;
}

static const struct fh_region_ops regs_ops = { .read = regs_read, .write = regs_write };
static const struct fh_region_ops regs_be_ops = {
	.read = regs_read, .write = regs_write, .order = FH_BE
};
static const struct fh_region_ops readonly_ops = { .read = regs_read, .valid = { .max = 4 } };

static struct fh_region *named(struct fh_region *region, const char *name)
{
	assert_int_equal(fh_object_add_child(m, name, region, NULL), FH_OK);
	fh_object_unref(region);
	return region;
}

static int setup(void **state)
{
	(void)state;
	m = machine_begin();
	memory = fh_machine_memory(m);
	root = fh_space_root(memory);
	regs = named(fh_region_new_mmio(m, NULL, 0x1000, &regs_ops, NULL), "regs");
	fh_region_add(root, regs, BASE, 0);
	/* So that the root shows more than one region. */
	fh_region_add(root, named(fh_region_new_mmio(m, NULL, 1, &regs_ops, NULL), "far"),
		      UINT64_MAX, 0);
	for (unsigned i = 0; i < FDS; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	stores = 0;
	heard[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	machine_end(m);
	for (unsigned i = 0; i < FDS; i++)
		close(fds[i]);
	return 0;
}

/* What it was signalled since the last look. */
static uint64_t signals(unsigned i)
{
	uint64_t count;

	return read(fds[i], &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static struct fh_eventfd *watch(uint64_t offset, unsigned size, unsigned i)
{
	const struct fh_eventfd_match match = { .offset = offset, .size = size };
	struct fh_eventfd *eventfd = fh_eventfd_new(m, regs, &match, fds[i], NULL);

	assert_non_null(eventfd);
	return eventfd;
}

static struct fh_eventfd *watch_data(uint64_t offset, unsigned size, uint64_t data, unsigned i)
{
	const struct fh_eventfd_match match = {
		.offset = offset, .size = size, .match_data = true, .data = data
	};
	struct fh_eventfd *eventfd = fh_eventfd_new(m, regs, &match, fds[i], NULL);

	assert_non_null(eventfd);
	return eventfd;
}

static void end(struct fh_eventfd *eventfd)
{
	fh_eventfd_destroy(eventfd);
	fh_object_unref(eventfd);
}

/* --- Stores --------------------------------------------------------------------------------- */

static void store_that_matches_signals_and_calls_nothing(void **state)
{
	struct fh_eventfd *eventfd = watch(0x10, 4, 0);
	uint32_t value;

	(void)state;
	assert_int_equal(fh_space_store32(memory, BASE + 0x10, 7, FH_LE), FH_TX_OK);
	assert_int_equal(signals(0), 1);
	assert_int_equal(stores, 0);
	/* Another size, another place, a load. */
	fh_space_store16(memory, BASE + 0x10, 7, FH_LE);
	fh_space_store32(memory, BASE + 0x14, 7, FH_LE);
	assert_int_equal(fh_space_load32(memory, BASE + 0x10, FH_LE, &value), FH_TX_OK);
	assert_int_equal(value, 0x55);
	assert_int_equal(stores, 2);
	assert_int_equal(signals(0), 0);
	end(eventfd);
	fh_space_store32(memory, BASE + 0x10, 7, FH_LE);
	assert_int_equal(stores, 3);
	assert_int_equal(signals(0), 0);
}

static void lookaside_notices_one_that_comes_and_goes(void **state)
{
	(void)state;
	fh_space_store32(memory, BASE + 8, 1, FH_LE);
	fh_space_store32(memory, BASE + 8, 1, FH_LE);
	for (unsigned i = 1; i < 4; i++) {
		struct fh_eventfd *eventfd = watch(8, 0, 0);

		fh_space_store32(memory, BASE + 8, 1, FH_LE);
		fh_space_store64(memory, BASE + 8, 1, FH_LE);
		assert_int_equal(signals(0), 2);
		end(eventfd);
		fh_space_store32(memory, BASE + 8, 1, FH_LE);
		assert_int_equal(stores, 2 + i);
	}
}

static void most_specific_of_those_that_match_is_signalled_alone(void **state)
{
	struct fh_eventfd *all[] = {
		watch(0x20, 0, 0),	   watch(0x20, 4, 1),	      watch_data(0x20, 0, 9, 2),
		watch_data(0x20, 4, 9, 3), watch_data(0x20, 4, 8, 4),
	};
	static const struct {
		unsigned size;
		uint64_t value;
		unsigned i;
	} cases[] = {
		{ 1, 1, 0 }, { 4, 1, 1 }, { 2, 9, 2 }, { 4, 9, 3 }, { 4, 8, 4 }, { 8, 8, 0 },
		{ 8, 9, 2 },
	};

	(void)state;
	for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		fh_space_store(memory, BASE + 0x20, cases[c].size, FH_LE, FH_ATTRS_NONE,
			       cases[c].value);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(signals(i), i == cases[c].i);
	}
	assert_int_equal(stores, 0);
	for (unsigned i = 0; i < 5; i++)
		end(all[i]);
}

static void data_are_those_that_the_device_would_see(void **state)
{
	struct fh_region *big = named(fh_region_new_mmio(m, NULL, 0x100, &regs_be_ops, NULL), "be");
	const struct fh_eventfd_match match = {
		.offset = 0, .size = 4, .match_data = true, .data = 0x12345678
	};
	struct fh_eventfd *eventfd = fh_eventfd_new(m, big, &match, fds[0], NULL);

	(void)state;
	fh_region_add(root, big, 0, 0);
	fh_space_store32(memory, 0, 0x12345678, FH_BE);
	assert_int_equal(signals(0), 1);
	fh_space_store32(memory, 0, 0x78563412, FH_LE);
	assert_int_equal(signals(0), 1);
	fh_space_store32(memory, 0, 0x12345678, FH_LE);
	assert_int_equal(signals(0), 0);
	assert_int_equal(last_value, 0x78563412);
	end(eventfd);
}

static void pieces_of_longer_stores_are_stores(void **state)
{
	struct fh_eventfd *eventfd = watch(0x18, 8, 0);
	uint8_t bytes[24] = { 0 };

	(void)state;
	fh_space_write(memory, BASE + 0x10, bytes, sizeof(bytes), FH_ATTRS_NONE);
	assert_int_equal(signals(0), 1);
	assert_int_equal(stores, 2);
	fh_space_fill(memory, BASE + 0x18, 1, 8, FH_ATTRS_NONE);
	assert_int_equal(signals(0), 1);
	end(eventfd);
}

static void debug_stores_have_no_such_effect_and_memory_only_is_denied(void **state)
{
	struct fh_eventfd *eventfd = watch(0, 0, 0);

	(void)state;
	assert_int_equal(fh_space_store(memory, BASE, 4, FH_LE, (struct fh_attrs){ .debug = true },
					1),
			 FH_TX_OK);
	assert_int_equal(stores, 1);
	assert_int_equal(fh_space_store(memory, BASE, 4, FH_LE,
					(struct fh_attrs){ .memory_only = true }, 1),
			 FH_TX_DENIED);
	assert_int_equal(signals(0), 0);
	end(eventfd);
}

static void region_need_not_take_the_store_itself(void **state)
{
	struct fh_region *bell =
		named(fh_region_new_mmio(m, NULL, 0x100, &readonly_ops, NULL), "bell");
	const struct fh_eventfd_match match = { .offset = 0, .size = 8 };
	struct fh_eventfd *eventfd = fh_eventfd_new(m, bell, &match, fds[0], NULL);

	(void)state;
	fh_region_add(root, bell, 0, 0);
	assert_int_equal(fh_space_store64(memory, 0, 1, FH_LE), FH_TX_OK);
	assert_int_equal(fh_space_store64(memory, 8, 1, FH_LE), FH_TX_DECODE_ERROR);
	assert_int_equal(signals(0), 1);
	end(eventfd);
}

static void errors_say_what_is_wrong(void **state)
{
	static const struct {
		struct fh_eventfd_match match;
		enum fh_code code;
	} cases[] = {
		{ { .offset = 0, .size = 3 }, FH_EINVAL },
		{ { .offset = 0, .size = 16 }, FH_EINVAL },
		{ { .offset = 0, .size = 2, .match_data = true, .data = 0x10000 }, FH_EINVAL },
		{ { .offset = 0x1000 }, FH_ERANGE },
		{ { .offset = 0xffd, .size = 4 }, FH_ERANGE },
		{ { .offset = UINT64_MAX, .size = 4 }, FH_ERANGE },
		{ { .offset = 0x40, .size = 4, .data = 5 }, FH_EEXIST }, /* data mean nothing */
	};
	const struct fh_eventfd_match fine = { .offset = 0x44 };
	struct fh_eventfd *eventfd = watch(0x40, 4, 0);
	struct fh_region *ram = named(fh_region_new_ram(m, NULL, 0x1000, NULL), "ram");
	struct fh_region *dead = fh_region_new_mmio(m, NULL, 0x1000, &regs_ops, NULL);
	struct fh_error err = { 0 };

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_null(fh_eventfd_new(m, regs, &cases[i].match, fds[1], &err));
		assert_int_equal(err.code, cases[i].code);
		fh_error_clear(&err);
	}
	assert_null(fh_eventfd_new(m, regs, &fine, -1, &err));
	assert_int_equal(err.code, FH_EINVAL);
	fh_error_clear(&err);
	assert_null(fh_eventfd_new(m, ram, &fine, fds[0], &err));
	assert_int_equal(err.code, FH_ETYPE);
	fh_error_clear(&err);
	fh_region_destroy(dead);
	assert_null(fh_eventfd_new(m, dead, &fine, fds[0], &err));
	assert_int_equal(err.code, FH_EDEAD);
	fh_error_clear(&err);
	assert_null(fh_eventfd_new(m, NULL, &fine, fds[0], &err));
	assert_int_equal(err.code, FH_EDEAD);
	fh_object_unref(dead);
	end(eventfd);
	assert_null(fh_eventfd_destroy(NULL));
}

/* --- Lives ---------------------------------------------------------------------------------- */

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1 || errno != EBADF;
}

static void descriptor_is_our_own_and_goes_after_the_end(void **state)
{
	const int mine = eventfd(0, EFD_NONBLOCK);
	const struct fh_eventfd_match match = { .offset = 0 };
	struct fh_eventfd *eventfd = fh_eventfd_new(m, regs, &match, mine, NULL);
	const int copy = fh_eventfd_event(eventfd).fd;
	uint64_t count = 0;
	int other;

	(void)state;
	other = dup(mine);
	close(mine);
	fh_space_store32(memory, BASE, 1, FH_LE);
	assert_int_equal(read(other, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	close(other);
	assert_true(is_open(copy));
	end(eventfd);
	fh_machine_drain(m);
	assert_false(is_open(copy));
}

static void eventfd_dies_with_its_owner(void **state)
{
	static const struct fh_type owner_type = { .name = "owner" };
	struct fh_object *owner = fh_object_new(m, &owner_type, NULL);
	const struct fh_eventfd_match match = { .offset = 0 };

	(void)state;
	assert_non_null(fh_eventfd_new(owner, regs, &match, fds[0], NULL));
	fh_space_store32(memory, BASE, 1, FH_LE);
	assert_int_equal(signals(0), 1);
	fh_object_dispose(owner);
	fh_space_store32(memory, BASE, 1, FH_LE);
	assert_int_equal(signals(0), 0);
	assert_int_equal(stores, 1);
	assert_null(fh_eventfd_new(owner, regs, &match, fds[0], NULL));
	fh_object_unref(owner);
}

static void end_of_the_region_leaves_an_eventfd_without_effect(void **state)
{
	struct fh_region *gone = fh_region_new_mmio(m, NULL, 0x1000, &regs_ops, NULL);
	const struct fh_eventfd_match match = { .offset = 0 };
	struct fh_eventfd *eventfd = fh_eventfd_new(m, gone, &match, fds[0], NULL);

	(void)state;
	fh_region_add(root, gone, 0, 0);
	fh_space_store32(memory, 0, 1, FH_LE);
	assert_int_equal(signals(0), 1);
	fh_object_unref(gone);
	assert_int_equal(fh_space_store32(memory, 0, 1, FH_LE), FH_TX_DECODE_ERROR);
	fh_machine_drain(m);
	end(eventfd);

	/* And in one transaction, never seen by anybody. */
	gone = fh_region_new_mmio(m, NULL, 0x1000, &regs_ops, NULL);
	fh_edit_begin(m);
	eventfd = fh_eventfd_new(m, gone, &match, fds[0], NULL);
	fh_object_unref(gone);
	fh_object_unref(eventfd);
	fh_edit_commit(m);
	assert_int_equal(signals(0), 0);
}

static void change_takes_effect_with_its_transaction(void **state)
{
	struct fh_eventfd *old = watch(0, 4, 0), *new;
	const struct fh_eventfd_match match = { .offset = 0, .size = 4 };

	(void)state;
	fh_edit_begin(m);
	fh_eventfd_destroy(old);
	new = fh_eventfd_new(m, regs, &match, fds[1], NULL);
	assert_ptr_equal(fh_extras_table(regs)->events[0].eventfd, old);
	fh_edit_commit(m);
	assert_ptr_equal(fh_extras_table(regs)->events[0].eventfd, new);
	fh_space_store32(memory, BASE, 1, FH_LE);
	assert_int_equal(signals(0), 0);
	assert_int_equal(signals(1), 1);
	fh_object_unref(old);
	end(new);
}

/* --- What listeners are told ---------------------------------------------------------------- */

static void hear(const char *what, const struct fh_section *section, const char *more)
{
	const size_t used = strlen(heard);
	struct flat flat = { .used = 0 };
	int length;

	if (section)
		flat_add(&flat, section);
	length = snprintf(heard + used, sizeof(heard) - used, "%s(%s%s) ", what, flat.text, more);
	assert_true(length > 0 && (size_t)length < sizeof(heard) - used);
}

static void hear_event(const char *what, const struct fh_section *section,
		       const struct fh_eventfd_match *match, int fd)
{
	char more[64];

	assert_true(is_open(fd));
	snprintf(more, sizeof(more), " %u", match->size);
	if (match->match_data)
		snprintf(more, sizeof(more), " %u=%u", match->size, (unsigned)match->data);
	hear(what, section, more);
}

static void ear_begin(void *state, struct fh_space *space)
{
	(void)state, (void)space;
	hear("begin", NULL, "");
}

static void ear_remove(void *state, const struct fh_section *section)
{
	(void)state;
	hear("-", section, "");
}

static void ear_add(void *state, const struct fh_section *section)
{
	(void)state;
	hear("+", section, "");
}

static void ear_event_add(void *state, const struct fh_section *section,
			  const struct fh_eventfd_match *match, int fd)
{
	(void)state;
	hear_event("+e", section, match, fd);
}

static void ear_event_del(void *state, const struct fh_section *section,
			  const struct fh_eventfd_match *match, int fd)
{
	(void)state;
	hear_event("-e", section, match, fd);
}

static void ear_coalesced_add(void *state, const struct fh_section *section)
{
	(void)state;
	hear("+c", section, "");
}

static void ear_coalesced_del(void *state, const struct fh_section *section)
{
	(void)state;
	hear("-c", section, "");
}

static void ear_batch(void *state, const struct fh_section *removed, size_t removed_count,
		      const struct fh_section *added, size_t added_count)
{
	(void)state, (void)removed, (void)added;
	if (removed_count + added_count > 0)
		hear("batch", NULL, "");
}

static void ear_commit(void *state, struct fh_space *space)
{
	(void)state, (void)space;
	hear("commit", NULL, "");
}

static const struct fh_listener_ops ear_ops = {
	.begin = ear_begin,
	.remove = ear_remove,
	.add = ear_add,
	.eventfd_add = ear_event_add,
	.eventfd_del = ear_event_del,
	.coalesced_add = ear_coalesced_add,
	.coalesced_del = ear_coalesced_del,
	.batch = ear_batch,
	.commit = ear_commit,
};

#define assert_heard(expected)                        \
	do {                                          \
		assert_string_equal(heard, expected); \
		heard[0] = '\0';                      \
	} while (0)

static struct fh_listener *listen(void)
{
	struct fh_listener *ear = fh_listener_new(m, memory, 0, &ear_ops, NULL);

	assert_non_null(ear);
	return ear;
}

#define FAR "ffffffffffffffff-ffffffffffffffff far+0"

static void registering_replays_eventfds_and_leaving_undoes_them(void **state)
{
	struct fh_eventfd *a = watch(0x10, 4, 0), *b = watch_data(0x10, 4, 3, 1);
	struct fh_listener *ear = listen();

	(void)state;
	assert_heard("begin() +(10000-10fff regs+0) +(" FAR ") +e(10010-10013 regs+10 4=3) "
		     "+e(10010-10013 regs+10 4) batch() commit() ");
	fh_object_unref(ear);
	assert_heard("begin() -e(10010-10013 regs+10 4=3) -e(10010-10013 regs+10 4) "
		     "-(10000-10fff regs+0) -(" FAR ") batch() commit() ");
	end(a);
	end(b);
	assert_heard("");
}

static void change_of_eventfds_alone_is_told_alone(void **state)
{
	struct fh_region *alias = named(fh_region_new_alias(m, NULL, regs, 8, 0xc), "alias");
	struct fh_listener *ear;
	struct fh_eventfd *a, *b;

	(void)state;
	fh_region_add(root, alias, 0, 0);
	ear = listen();
	heard[0] = '\0';
	a = watch(0x10, 4, 0);
	assert_heard("begin() +e(8-b regs+10 4) +e(10010-10013 regs+10 4) commit() ");
	/* Partly, or not at all, in the alias. */
	b = watch(0x12, 4, 0);
	assert_heard("begin() +e(10012-10015 regs+12 4) commit() ");
	fh_edit_begin(m);
	fh_eventfd_destroy(a);
	fh_eventfd_destroy(b);
	fh_object_unref(a);
	fh_object_unref(b);
	a = watch(0x10, 4, 0);
	fh_edit_commit(m);
	assert_heard("begin() -e(8-b regs+10 4) -e(10010-10013 regs+10 4) "
		     "-e(10012-10015 regs+12 4) +e(8-b regs+10 4) +e(10010-10013 regs+10 4) "
		     "commit() ");
	/* There and back again is nothing. */
	fh_edit_begin(m);
	b = watch(0x20, 0, 0);
	fh_object_unref(b);
	fh_edit_commit(m);
	assert_heard("");
	end(a);
	heard[0] = '\0';
	fh_object_unref(ear);
}

static void eventfd_that_stays_in_its_place_is_not_told_again(void **state)
{
	struct fh_eventfd *a = watch(0x10, 0, 0), *b = watch(0x800, 4, 0);
	struct fh_region *over = named(fh_region_new_mmio(m, NULL, 8, &regs_ops, NULL), "over");
	struct fh_listener *ear = listen();

	(void)state;
	heard[0] = '\0';
	fh_region_add(root, over, BASE + 0x7fe, 1);
	assert_heard("begin() -e(10800-10803 regs+800 4) -(10000-10fff regs+0) "
		     "+(10000-107fd regs+0) +(107fe-10805 over+0) +(10806-10fff regs+806) "
		     "batch() commit() ");
	fh_region_move(over, BASE + 0x900);
	assert_heard("begin() -(10000-107fd regs+0) -(107fe-10805 over+0) -(10806-10fff regs+806) "
		     "+(10000-108ff regs+0) +(10900-10907 over+0) +(10908-10fff regs+908) "
		     "+e(10800-10803 regs+800 4) batch() commit() ");
	/* With it, in one transaction, and moved. */
	fh_edit_begin(m);
	fh_region_move(regs, BASE + 0x1000);
	end(a);
	fh_edit_commit(m);
	assert_heard("begin() -e(10010-10010 regs+10 0) -e(10800-10803 regs+800 4) "
		     "-(10000-108ff regs+0) -(10908-10fff regs+908) +(11000-11fff regs+0) "
		     "+e(11800-11803 regs+800 4) batch() commit() ");
	fh_region_set_enabled(regs, false);
	assert_heard("begin() -e(11800-11803 regs+800 4) -(11000-11fff regs+0) batch() commit() ");
	end(b);
	assert_heard("");
	fh_object_unref(ear);
}

static void end_of_a_region_takes_its_eventfds_from_listeners(void **state)
{
	struct fh_region *gone = fh_region_new_mmio(m, "gone", 0x1000, &regs_ops, NULL);
	const struct fh_eventfd_match match = { .offset = 4 };
	struct fh_eventfd *eventfd = fh_eventfd_new(m, gone, &match, fds[0], NULL);
	struct fh_listener *ear;

	(void)state;
	fh_region_add(root, gone, 0, 0);
	fh_region_add_coalesced(gone, 8, 8);
	ear = listen();
	heard[0] = '\0';
	fh_object_unref(gone);
	assert_heard("begin() -e(4-4 gone+4 0) -c(8-f gone+8) -(0-fff gone+0) batch() commit() ");
	fh_object_unref(eventfd);
	fh_object_unref(ear);
}

static void space_that_switches_is_told_the_difference(void **state)
{
	struct fh_region *other = named(fh_region_new_container(m, NULL, FH_SIZE_ALL), "other");
	struct fh_region *alias = named(fh_region_new_alias(m, NULL, regs, 0, 0x800), "alias");
	struct fh_region *more = named(fh_region_new_alias(m, NULL, regs, 0, 0x100), "more");
	struct fh_eventfd *a = watch(0x10, 4, 0), *b = watch(0x900, 4, 1), *c;
	struct fh_listener *ear = listen();

	(void)state;
	fh_region_add(other, alias, BASE, 0);
	fh_region_add(other, more, 0, 0);
	heard[0] = '\0';
	fh_edit_begin(m);
	fh_space_set_root(memory, other);
	c = watch(0x20, 1, 2);
	fh_edit_commit(m);
	assert_heard("begin() -e(10900-10903 regs+900 4) -(10000-10fff regs+0) -(" FAR ") "
		     "+(0-ff regs+0) +(10000-107ff regs+0) +e(10-13 regs+10 4) "
		     "+e(20-20 regs+20 1) +e(10020-10020 regs+20 1) batch() commit() ");
	fh_space_set_root(memory, root);
	fh_object_unref(ear);
	end(a);
	end(b);
	end(c);
}

static void one_that_registers_in_a_transaction_hears_the_rest_at_its_end(void **state)
{
	struct fh_eventfd *a = watch(0, 4, 0), *b;
	struct fh_listener *ear;

	(void)state;
	fh_edit_begin(m);
	fh_eventfd_destroy(a);
	b = watch(4, 4, 1);
	ear = listen();
	assert_heard("begin() +(10000-10fff regs+0) +(" FAR ") +e(10000-10003 regs+0 4) batch() "
		     "commit() ");
	fh_edit_commit(m);
	assert_heard("begin() -e(10000-10003 regs+0 4) +e(10004-10007 regs+4 4) commit() ");
	fh_edit_begin(m);
	fh_eventfd_destroy(b);
	fh_listener_destroy(ear);
	fh_edit_commit(m);
	assert_heard("begin() -e(10004-10007 regs+4 4) -(10000-10fff regs+0) -(" FAR ") batch() "
		     "commit() ");
	fh_object_unref(a);
	fh_object_unref(b);
	fh_object_unref(ear);
}

/* --- Coalesced ranges ----------------------------------------------------------------------- */

static void coalesced_ranges_are_told_as_far_as_they_are_seen(void **state)
{
	struct fh_region *over = named(fh_region_new_mmio(m, NULL, 0x10, &regs_ops, NULL), "over");
	struct fh_listener *ear = listen();

	(void)state;
	heard[0] = '\0';
	assert_int_equal(fh_region_add_coalesced(regs, 0x100, 0x10), FH_OK);
	assert_heard("begin() +c(10100-1010f regs+100) commit() ");
	assert_int_equal(fh_region_add_coalesced(regs, 0x200, 0x100), FH_OK);
	assert_heard("begin() +c(10200-102ff regs+200) commit() ");
	assert_int_equal(fh_region_add_coalesced(regs, 0x110, 0x10), FH_OK);
	assert_heard("begin() -c(10100-1010f regs+100) +c(10100-1011f regs+100) commit() ");
	fh_region_add(root, over, BASE + 0x280, 1);
	assert_heard("begin() -c(10200-102ff regs+200) -(10000-10fff regs+0) "
		     "+(10000-1027f regs+0) +(10280-1028f over+0) +(10290-10fff regs+290) "
		     "+c(10200-1027f regs+200) +c(10290-102ff regs+290) batch() commit() ");
	assert_int_equal(fh_region_clear_coalesced(regs), FH_OK);
	assert_heard("begin() -c(10100-1011f regs+100) -c(10200-1027f regs+200) "
		     "-c(10290-102ff regs+290) commit() ");
	assert_int_equal(fh_region_clear_coalesced(regs), FH_OK);
	assert_heard("");
	fh_object_unref(ear);
}

static void coalesced_errors_change_nothing(void **state)
{
	struct fh_region *ram = named(fh_region_new_ram(m, NULL, 0x1000, NULL), "ram");
	struct fh_listener *ear = listen();

	(void)state;
	heard[0] = '\0';
	assert_int_equal(fh_region_add_coalesced(NULL, 0, 1), FH_EDEAD);
	assert_int_equal(fh_region_add_coalesced(ram, 0, 1), FH_ETYPE);
	assert_int_equal(fh_region_add_coalesced(regs, 0, 0), FH_EINVAL);
	assert_int_equal(fh_region_add_coalesced(regs, 0xfff, 2), FH_ERANGE);
	assert_int_equal(fh_region_add_coalesced(regs, 0x1000, 1), FH_ERANGE);
	assert_int_equal(fh_region_set_flush_coalesced(ram, true), FH_ETYPE);
	assert_heard("");
	fh_object_unref(ear);
}

/* Keeps stores as an accelerator does. */
struct ring {
	uint64_t addr[8];
	unsigned kept, flushed;
	bool block;
};

static void ring_flush(void *state)
{
	struct ring *ring = state;
	const unsigned kept = ring->kept;

	ring->flushed++;
	ring->kept = 0;
	if (ring->block) {
		fh_blocking_begin();
		fh_blocking_end();
	}
	for (unsigned i = 0; i < kept; i++)
		assert_int_equal(fh_space_store32(memory, ring->addr[i], i, FH_LE), FH_TX_OK);
}

static const struct fh_listener_ops ring_ops = { .coalesced_flush = ring_flush };

static void what_was_kept_is_brought_before_the_next_access(void **state)
{
	struct fh_region *status = named(fh_region_new_mmio(m, NULL, 8, &regs_ops, NULL), "status");
	struct ring rings[2] = { 0 };
	struct fh_listener *ears[2];
	uint32_t value;

	(void)state;
	fh_region_add(root, status, 0, 0);
	for (unsigned i = 0; i < 2; i++)
		ears[i] = fh_listener_new(m, memory, 0, &ring_ops, &rings[i]);
	fh_region_add_coalesced(regs, 0x100, 0x100);
	fh_space_load32(memory, 0, FH_LE, &value);
	assert_int_equal(rings[0].flushed, 0);
	for (unsigned round = 0; round < 4; round++) {
		rings[0].block = round % 2;
		rings[1].addr[0] = rings[0].addr[0] = BASE + 0x100;
		rings[1].kept = rings[0].kept = 1;
		stores = 0;
		if (round < 2) {
			fh_space_load32(memory, BASE, FH_LE, &value);
			assert_int_equal(stores, 2);
		} else {
			fh_space_store32(memory, BASE + 0x100, 77, FH_LE);
			assert_int_equal(stores, 3);
			assert_int_equal(last_value, 77);
		}
		assert_int_equal(rings[0].flushed, round + 1);
		assert_int_equal(rings[1].flushed, round + 1);
	}
	/* Registers elsewhere, if the device says so. */
	fh_space_load32(memory, 0, FH_LE, &value);
	assert_int_equal(rings[0].flushed, 4);
	assert_int_equal(fh_region_set_flush_coalesced(status, true), FH_OK);
	fh_space_load32(memory, 0, FH_LE, &value);
	assert_int_equal(rings[0].flushed, 5);
	fh_space_load(memory, 0, 4, FH_LE, (struct fh_attrs){ .debug = true }, &(uint64_t){ 0 });
	assert_int_equal(rings[0].flushed, 5);
	fh_object_unref(ears[0]);
	fh_space_load32(memory, 0, FH_LE, &value);
	assert_int_equal(rings[0].flushed, 5);
	assert_int_equal(rings[1].flushed, 6);
	fh_object_unref(ears[1]);
	fh_region_clear_coalesced(regs);
	fh_space_load32(memory, BASE, FH_LE, &value);
}

int main(void)
{
#define event_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		event_test(store_that_matches_signals_and_calls_nothing),
		event_test(lookaside_notices_one_that_comes_and_goes),
		event_test(most_specific_of_those_that_match_is_signalled_alone),
		event_test(data_are_those_that_the_device_would_see),
		event_test(pieces_of_longer_stores_are_stores),
		event_test(debug_stores_have_no_such_effect_and_memory_only_is_denied),
		event_test(region_need_not_take_the_store_itself),
		event_test(errors_say_what_is_wrong),
		event_test(descriptor_is_our_own_and_goes_after_the_end),
		event_test(eventfd_dies_with_its_owner),
		event_test(end_of_the_region_leaves_an_eventfd_without_effect),
		event_test(change_takes_effect_with_its_transaction),
		event_test(registering_replays_eventfds_and_leaving_undoes_them),
		event_test(change_of_eventfds_alone_is_told_alone),
		event_test(eventfd_that_stays_in_its_place_is_not_told_again),
		event_test(end_of_a_region_takes_its_eventfds_from_listeners),
		event_test(space_that_switches_is_told_the_difference),
		event_test(one_that_registers_in_a_transaction_hears_the_rest_at_its_end),
		event_test(coalesced_ranges_are_told_as_far_as_they_are_seen),
		event_test(coalesced_errors_change_nothing),
		event_test(what_was_kept_is_brought_before_the_next_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
