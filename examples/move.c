/* SPDX-License-Identifier: MIT */
/*
 * A map that is edited while another thread reads through it. The reader takes no lock, and the
 * editor does not wait for it; yet each access sees one version of the map: what moves is always at
 * exactly one place.
 */
#include <freehold/freehold.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define MOVES 20000

struct reader {
	struct fh_space *memory;
	_Atomic bool stop;
	uint64_t reads, wrong;
};

/* A word of eight bytes 0x55 lies at 0 or at 8, in front of zeros. */
static void *read_on(void *arg)
{
	struct reader *reader = arg;

	do {
		uint8_t bytes[16];
		const enum fh_tx tx =
			fh_space_read(reader->memory, 0, bytes, sizeof(bytes), FH_ATTRS_NONE);
		const bool at_0 = bytes[0] == 0x55 && bytes[7] == 0x55;
		const bool at_8 = bytes[8] == 0x55 && bytes[15] == 0x55;

		reader->reads++;
		reader->wrong += tx != FH_TX_OK || at_0 == at_8;
	} while (!reader->stop);
	return NULL;
}

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct reader reader = { .memory = fh_machine_memory(m) };
	struct fh_region *root = fh_space_root(reader.memory);
	struct fh_region *zeros = fh_region_new_ram(m, "zeros", 0x1000, NULL);
	struct fh_region *word = fh_region_new_ram(m, "word", 8, NULL);
	pthread_t thread;

	if (!zeros || !word)
		return 1;
	fh_region_add(root, zeros, 0, 0);
	fh_region_add(root, word, 0, 1);
	fh_space_fill(reader.memory, 0, 0x55, 8, FH_ATTRS_NONE);
	if (pthread_create(&thread, NULL, read_on, &reader) != 0)
		return 1;
	for (unsigned i = 1; i <= MOVES; i++)
		fh_region_move(word, i % 2 * 8);
	reader.stop = true;
	pthread_join(thread, NULL);
	printf("%d moves, of which no access saw a half: %s\n", MOVES,
	       reader.wrong == 0 ? "yes" : "no");

	fh_object_unref(word);
	fh_object_unref(zeros);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || reader.wrong != 0;
}
