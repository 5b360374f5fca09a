/* SPDX-License-Identifier: MIT */
/*
 * Turns: threads that want the same device all the time. Whoever waits for its domain gets it,
 * however soon the one who has it takes it again.
 *
 * R1. No clock decides: what is counted are turns. A thread that had MANY while another had less
 *     than ENOUGH has starved it.
 */
#include "support/nodes.h"

#include <sched.h>

#include "support/scale.h"

enum { ENOUGH = 1000, MANY = 1000000 };

struct player {
	struct worker worker;
	struct node *node;
	_Atomic unsigned turns;
};

struct game {
	struct player *players;
	unsigned count;
	unsigned enough, many;
	unsigned length; /* of a turn, in rounds of doing nothing */
	_Atomic unsigned ready;
};

static struct game game;

static unsigned fewest_turns(void)
{
	unsigned fewest = UINT32_MAX;

	for (unsigned i = 0; i < game.count; i++) {
		const unsigned turns = atomic_load_explicit(&game.players[i].turns,
							    memory_order_relaxed);

		fewest = turns < fewest ? turns : fewest;
	}
	return fewest;
}

static void take_time(struct node *node)
{
	(void)node;
	for (volatile unsigned i = 0; i < game.length; i++)
		;
}

static void play(void *arg)
{
	struct player *player = arg;

	/* Nobody starves whom the host's scheduler has not begun to run. */
	atomic_fetch_add_explicit(&game.ready, 1, memory_order_relaxed);
	while (atomic_load_explicit(&game.ready, memory_order_relaxed) < game.count)
		sched_yield();
	while (fewest_turns() < game.enough &&
	       atomic_load_explicit(&player->turns, memory_order_relaxed) < game.many) {
		CHECK(access_node(player->node) == FH_TX_OK);
		atomic_fetch_add_explicit(&player->turns, 1, memory_order_relaxed);
	}
}

/* Fewer are over while a busy host keeps one of the threads from running: that is no starving. */
static unsigned at_least(unsigned full)
{
	const unsigned turns = (unsigned)scaled(full);

	return turns > full ? turns : full;
}

static void play_game(unsigned count, unsigned enough, unsigned many, unsigned length)
{
	struct fh_machine *m = machine_begin();
	struct node node = { .action = take_time };
	struct player players[4] = { 0 };

	game = (struct game){ players, count, at_least(enough), at_least(many), length, 0 };
	nodes_init(&node, 1, m);
	for (unsigned i = 0; i < count; i++) {
		players[i].node = &node;
		worker_start(&players[i].worker, play, &players[i]);
	}
	for (unsigned i = 0; i < count; i++)
		worker_join(&players[i].worker);
	for (unsigned i = 0; i < count; i++)
		print_message("%u turns\n", players[i].turns);
	assert_true(fewest_turns() >= game.enough);
	nodes_fini(&node, 1);
	machine_end(m);
}

static void each_of_two_threads_has_its_turns(void **unused)
{
	(void)unused;
	play_game(2, ENOUGH, MANY, 0);
}

static void each_of_four_threads_has_its_turns(void **unused)
{
	(void)unused;
	play_game(4, ENOUGH, MANY, 0);
}

/* The domain is free for a moment only, long after whoever waits has gone to sleep. */
static void each_has_its_turns_however_long_they_are(void **unused)
{
	(void)unused;
	play_game(2, ENOUGH / 20, MANY / 20, 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_of_two_threads_has_its_turns),
		cmocka_unit_test(each_of_four_threads_has_its_turns),
		cmocka_unit_test(each_has_its_turns_however_long_they_are),
	};

	return cmocka_run_group_tests_name("stress/turns", tests, NULL, NULL);
}
